//! From a command's syntax line to the tree of arguments that COMMAND DOCS replies.
//!
//! The table holds one line per command, such as
//! `key value [NX | XX] [EX seconds | PX milliseconds] [key ...]`, because that is what people write
//! and read. Capitals are words to be typed as they are, `[ ]` may be left out, `< >` groups, `|`
//! separates alternatives, and a group that ends in `...` repeats what stands in front of it.

/// An argument of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Argument<'a> {
    pub(super) name: String,
    pub(super) kind: ArgumentKind<'a>,
    /// The word in front of the value, or the word itself.
    pub(super) token: Option<&'a str>,
    pub(super) is_optional: bool,
    pub(super) is_multiple: bool,
}

/// What an argument is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ArgumentKind<'a> {
    /// A value, with the type that COMMAND DOCS gives it.
    Value(&'static str),
    /// A word to be typed as it is.
    Token,
    /// Arguments that belong together.
    Block(Vec<Argument<'a>>),
    /// One of several arguments.
    OneOf(Vec<Argument<'a>>),
}

impl<'a> Argument<'a> {
    fn new(name: &str, kind: ArgumentKind<'a>) -> Argument<'a> {
        Argument {
            name: name.to_owned(),
            kind,
            token: None,
            is_optional: false,
            is_multiple: false,
        }
    }

    /// The argument of a single word.
    fn of_word(word: &'a str) -> Argument<'a> {
        if word.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return Argument::new(word, ArgumentKind::Value(value_type(word)));
        }
        let mut argument = Argument::new(&word.to_ascii_lowercase(), ArgumentKind::Token);
        argument.token = Some(word);
        argument
    }

    /// One argument of several that stand side by side.
    fn of_sequence(mut parts: Vec<Argument<'a>>) -> Argument<'a> {
        if parts.len() == 1 {
            return parts.remove(0);
        }
        let name = parts
            .first()
            .map_or_else(String::new, |part| part.name.clone());
        Argument::new(&name, ArgumentKind::Block(parts))
    }
}

/// Parses a syntax line of the table.
pub(super) fn parse_syntax(line: &str) -> Vec<Argument<'_>> {
    let mut parser = Parser { rest: line };
    match parser.alternatives() {
        (mut sequences, _) if sequences.len() == 1 => sequences.remove(0),
        (sequences, _) => vec![one_of(sequences)],
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    /// Sequences separated by `|`, up to the end of the group, and whether the last one ended in
    /// `...`.
    fn alternatives(&mut self) -> (Vec<Vec<Argument<'a>>>, bool) {
        let mut sequences = Vec::new();
        let mut sequence = Vec::new();
        let mut repeats = false;
        while let Some(symbol) = self.next_symbol() {
            match symbol {
                "]" | ">" => break,
                "|" => sequences.push(std::mem::take(&mut sequence)),
                "..." => repeats = true,
                "[" => self.optional_group(&mut sequence),
                "<" => {
                    let (parts, _) = self.alternatives();
                    push(&mut sequence, group(parts));
                }
                word => push(&mut sequence, Argument::of_word(word)),
            }
        }
        sequences.push(sequence);
        (sequences, repeats)
    }

    /// What follows a `[`: an optional argument, or the repetition of those in front of it.
    fn optional_group(&mut self, sequence: &mut Vec<Argument<'a>>) {
        let (mut parts, repeats) = self.alternatives();
        if repeats && parts.len() == 1 {
            let repeated = parts.remove(0);
            let start = sequence.len().saturating_sub(repeated.len());
            let mut block = Argument::of_sequence(sequence.split_off(start));
            block.is_multiple = true;
            sequence.push(block);
            return;
        }
        let mut argument = group(parts);
        argument.is_optional = true;
        sequence.push(argument);
    }

    fn next_symbol(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start();
        let is_bracket = |character| matches!(character, '[' | ']' | '<' | '>');
        let first = rest.chars().next()?;
        let length = if is_bracket(first) {
            1
        } else {
            rest.find(|character: char| character == ' ' || is_bracket(character))
                .unwrap_or(rest.len())
        };
        let (symbol, rest) = rest.split_at(length);
        self.rest = rest;
        Some(symbol)
    }
}

/// Appends an argument; a value takes the word in front of it as its token.
fn push<'a>(sequence: &mut Vec<Argument<'a>>, mut argument: Argument<'a>) {
    let is_token = |last: &Argument<'_>| {
        last.kind == ArgumentKind::Token && !last.is_optional && !last.is_multiple
    };
    if argument.kind != ArgumentKind::Token && sequence.last().is_some_and(is_token) {
        argument.token = sequence.pop().and_then(|word| word.token);
    }
    sequence.push(argument);
}

fn group<'a>(mut sequences: Vec<Vec<Argument<'a>>>) -> Argument<'a> {
    match sequences.len() {
        1 => Argument::of_sequence(sequences.remove(0)),
        _ => one_of(sequences),
    }
}

fn one_of(sequences: Vec<Vec<Argument<'_>>>) -> Argument<'_> {
    let parts: Vec<_> = sequences.into_iter().map(Argument::of_sequence).collect();
    let name = parts
        .first()
        .map_or_else(String::new, |part| part.name.clone());
    Argument::new(&name, ArgumentKind::OneOf(parts))
}

/// The type of a value, from its name.
fn value_type(name: &str) -> &'static str {
    match name {
        "key" | "newkey" | "source" | "destination" | "key1" | "key2" => "key",
        "pattern" => "pattern",
        "unix-time-seconds" | "unix-time-milliseconds" => "unix-time",
        "seconds" | "milliseconds" | "offset" | "count" | "start" | "end" | "increment"
        | "decrement" | "db" | "destination-db" | "index" | "index1" | "index2" | "timeout"
        | "numreplicas" | "numlocal" | "len" | "slot" | "start-slot" | "end-slot" | "cursor"
        | "port" | "client-id" | "protover" | "config-epoch" => "integer",
        _ => "string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::all;

    /// The tree, printed: `name:type`, with the token in front, `?` for optional, `*` for multiple.
    fn print(arguments: &[Argument<'_>]) -> String {
        let printed: Vec<String> = arguments.iter().map(print_one).collect();
        printed.join(" ")
    }

    fn print_one(argument: &Argument<'_>) -> String {
        let what = match &argument.kind {
            ArgumentKind::Value(kind) => format!("{}:{kind}", argument.name),
            ArgumentKind::Token => String::new(),
            ArgumentKind::Block(parts) => format!("({})", print(parts)),
            ArgumentKind::OneOf(parts) => {
                let parts: Vec<String> = parts.iter().map(print_one).collect();
                format!("{{{}}}", parts.join("|"))
            }
        };
        let token = argument
            .token
            .map(|token| format!("{token}="))
            .unwrap_or_default();
        let optional = if argument.is_optional { "?" } else { "" };
        let multiple = if argument.is_multiple { "*" } else { "" };
        format!("{token}{what}{optional}{multiple}")
    }

    #[test]
    fn lines_become_the_trees_that_redis_replies() {
        let table = [
            ("", ""),
            ("key", "key:key"),
            ("key [key ...]", "key:key*"),
            ("key value [key value ...]", "(key:key value:string)*"),
            ("[channel [channel ...]]", "channel:string*?"),
            (
                "cursor [MATCH pattern] [COUNT count]",
                "cursor:integer MATCH=pattern:pattern? COUNT=count:integer?",
            ),
            ("key [NX | XX]", "key:key {NX=|XX=}?"),
            ("[EX seconds | KEEPTTL]", "{EX=seconds:integer|KEEPTTL=}?"),
            ("<ON | OFF>", "{ON=|OFF=}"),
            (
                "[TO host port [FORCE]]",
                "(TO=host:string port:integer FORCE=?)?",
            ),
            (
                "[FILTERBY <MODULE module-name | PATTERN pattern>]",
                "FILTERBY={MODULE=module-name:string|PATTERN=pattern:pattern}?",
            ),
            (
                "host port | NO ONE",
                "{(host:string port:integer)|(NO= ONE=)}",
            ),
        ];
        for (line, expected) in table {
            let printed = print(&parse_syntax(line)).replace("*?", "?*");
            assert_eq!(printed, expected.replace("*?", "?*"), "{line:?}");
        }
    }

    #[test]
    fn every_line_of_the_table_has_balanced_brackets_and_parses() {
        for spec in all().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands)) {
            let line = spec.arguments;
            let count = |bracket: char| line.matches(bracket).count();
            assert_eq!(count('['), count(']'), "{line}");
            assert_eq!(count('<'), count('>'), "{line}");
            assert_eq!(parse_syntax(line).is_empty(), line.is_empty(), "{line}");
        }
    }
}
