//! What a line means: a Redis command as it stands, or one of the plain words.
//!
//! The plain words are `put KEY VALUE`, `delete KEY...`, `list [PREFIX]`, `help [COMMAND]`, `quit` and
//! `exit`. None of them is the name of a Redis command, but `quit`, which means the same.

/// A word that is not a Redis command.
pub(super) struct PlainWord {
    /// The word.
    pub(super) name: &'static str,
    /// What follows it.
    pub(super) arguments: &'static str,
    /// What it does.
    pub(super) summary: &'static str,
}

/// The plain words, for completion, hints and help.
pub(super) const PLAIN_WORDS: &[PlainWord] = &[
    PlainWord {
        name: "put",
        arguments: "key value",
        summary: "Set a key (SET)",
    },
    PlainWord {
        name: "delete",
        arguments: "key [key ...]",
        summary: "Delete keys (DEL)",
    },
    PlainWord {
        name: "list",
        arguments: "[prefix]",
        summary: "List keys (SCAN)",
    },
    PlainWord {
        name: "help",
        arguments: "[command]",
        summary: "Explain a command",
    },
    PlainWord {
        name: "quit",
        arguments: "",
        summary: "Leave",
    },
];

/// A command with its arguments, the name first. Invariant: not empty.
pub(super) type Command = Vec<Vec<u8>>;

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// Nothing.
    Empty,
    /// Something that cannot be read, and why.
    Wrong(String),
    /// A command for the cluster, answered by one reply.
    Command(Command),
    /// A command after which messages come until somebody has enough.
    Subscription(Command),
    /// The keys that begin with a prefix.
    List(Vec<u8>),
    /// Help about something, or about everything.
    Help(Vec<String>),
    /// The end.
    Quit,
}

impl Line {
    /// Reads a line, quoted as in redis-cli.
    pub(super) fn parse(line: &[u8]) -> Self {
        match resp::split_args(line) {
            Ok(args) => Self::of_args(args),
            Err(_) => Self::Wrong("Invalid argument(s): quotes do not match".into()),
        }
    }

    /// What arguments that are split already ask for.
    pub(super) fn of_args(mut args: Vec<Vec<u8>>) -> Self {
        let Some(word) = args.first() else {
            return Self::Empty;
        };
        let word = String::from_utf8_lossy(word).to_ascii_lowercase();
        match (word.as_str(), args.len()) {
            ("quit" | "exit", 1) => Self::Quit,
            ("put", 3) => Self::Command(renamed(args, "SET")),
            ("put", _) => Self::Wrong("put takes a key and a value: put KEY VALUE".into()),
            ("delete", 2..) => Self::Command(renamed(args, "DEL")),
            ("delete", _) => Self::Wrong("delete takes keys: delete KEY [KEY ...]".into()),
            ("list", 1) => Self::List(Vec::new()),
            ("list", 2) => Self::List(args.swap_remove(1)),
            ("list", _) => Self::Wrong("list takes one prefix at most: list [PREFIX]".into()),
            ("help" | "?", _) => Self::Help(
                args[1..]
                    .iter()
                    .map(|arg| String::from_utf8_lossy(arg).into_owned())
                    .collect(),
            ),
            ("subscribe" | "psubscribe" | "ssubscribe", 2..) => Self::Subscription(args),
            _ => Self::Command(args),
        }
    }
}

fn renamed(mut args: Vec<Vec<u8>>, name: &str) -> Command {
    args[0] = name.as_bytes().to_vec();
    args
}

/// The SCAN pattern of keys that begin with `prefix`.
pub(super) fn prefix_pattern(prefix: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(prefix.len() + 1);
    for byte in prefix {
        if b"*?[]\\^-".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern.push(b'*');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> Line {
        Line::Command(words.iter().map(|word| word.as_bytes().to_vec()).collect())
    }

    #[test]
    fn plain_words_become_commands() {
        assert_eq!(Line::parse(b"put k \"a b\""), command(&["SET", "k", "a b"]));
        assert_eq!(Line::parse(b"DELETE a b"), command(&["DEL", "a", "b"]));
        assert_eq!(Line::parse(b"list user:"), Line::List(b"user:".to_vec()));
        assert_eq!(Line::parse(b"help set"), Line::Help(vec!["set".into()]));
        assert_eq!(Line::parse(b"quit"), Line::Quit);
        assert!(matches!(Line::parse(b"put k"), Line::Wrong(_)));
    }

    #[test]
    fn everything_else_is_left_as_it_was_typed() {
        assert_eq!(Line::parse(b"  "), Line::Empty);
        assert_eq!(Line::parse(b"GeT k"), command(&["GeT", "k"]));
        assert_eq!(Line::parse(b"quit now"), command(&["quit", "now"]));
        assert!(matches!(Line::parse(b"subscribe c"), Line::Subscription(_)));
        assert!(matches!(Line::parse(b"get \"x"), Line::Wrong(_)));
    }

    #[test]
    fn a_prefix_matches_only_itself() {
        assert_eq!(prefix_pattern(b"a*b["), b"a\\*b\\[*");
        assert_eq!(prefix_pattern(b""), b"*");
    }
}
