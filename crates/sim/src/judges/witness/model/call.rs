//! One command as it is compared: the same whether a history or the log tells of it.

use replica::inspect::LoggedCommand;

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::judges::witness) enum Kind {
    /// Reads keys.
    Read,
    /// Goes into the log.
    Write,
    /// Watches a key, in a history.
    Watch,
    /// Anything else: it concerns the connection, or is not known here.
    Other,
}

/// Which arguments are keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    None,
    First,
    All,
    /// Every second one.
    Pairs,
}

const COMMANDS: [(&str, Kind, Keys); 27] = [
    ("GET", Kind::Read, Keys::First),
    ("SET", Kind::Write, Keys::First),
    ("INCR", Kind::Write, Keys::First),
    ("INCRBY", Kind::Write, Keys::First),
    ("DECR", Kind::Write, Keys::First),
    ("DECRBY", Kind::Write, Keys::First),
    ("APPEND", Kind::Write, Keys::First),
    ("GETSET", Kind::Write, Keys::First),
    ("SETNX", Kind::Write, Keys::First),
    ("DEL", Kind::Write, Keys::All),
    ("PTTL", Kind::Read, Keys::First),
    ("TTL", Kind::Read, Keys::First),
    ("PEXPIRE", Kind::Write, Keys::First),
    ("EXPIRE", Kind::Write, Keys::First),
    ("PERSIST", Kind::Write, Keys::First),
    ("MGET", Kind::Read, Keys::All),
    ("MSET", Kind::Write, Keys::Pairs),
    ("MSETNX", Kind::Write, Keys::Pairs),
    ("PUBLISH", Kind::Write, Keys::None),
    ("SPUBLISH", Kind::Write, Keys::None),
    ("EXISTS", Kind::Read, Keys::All),
    ("STRLEN", Kind::Read, Keys::First),
    ("GETDEL", Kind::Write, Keys::First),
    ("SETEX", Kind::Write, Keys::First),
    ("PSETEX", Kind::Write, Keys::First),
    ("UNLINK", Kind::Write, Keys::All),
    ("WATCH", Kind::Watch, Keys::First),
];

/// A command with its database, its name in upper case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::judges::witness) struct Call<'a> {
    /// What it does.
    pub(in crate::judges::witness) kind: Kind,
    /// The database; 0 if it has no keys.
    pub(in crate::judges::witness) db: u8,
    /// Its name.
    pub(in crate::judges::witness) name: &'static str,
    /// What follows the name.
    pub(in crate::judges::witness) args: Vec<&'a [u8]>,
}

impl<'a> Call<'a> {
    /// A command of a history, which names a key `k` of database 9 `k@9`.
    pub(in crate::judges::witness) fn asked(command: &'a [Vec<u8>]) -> Call<'a> {
        let Some((name, args)) = command.split_first() else {
            return Call::new(b"", 0, Vec::new()).0;
        };
        let args = args.iter().map(Vec::as_slice).collect();
        let (mut call, keys) = Call::new(name, 0, args);
        let step = match keys {
            Keys::None => return call,
            Keys::First => usize::MAX,
            Keys::All => 1,
            Keys::Pairs => 2,
        };
        for key in call.args.iter_mut().step_by(step) {
            if let Some((plain, db)) = split_database(key) {
                *key = plain;
                call.db = db;
            }
        }
        call
    }

    /// A command of the log.
    pub(in crate::judges::witness) fn logged(command: &LoggedCommand<'a>) -> Call<'a> {
        let Some((name, args)) = command.args.split_first() else {
            return Call::new(b"", 0, Vec::new()).0;
        };
        Call::new(name, command.db, args.to_vec()).0
    }

    fn new(name: &[u8], db: u8, args: Vec<&'a [u8]>) -> (Call<'a>, Keys) {
        let found = COMMANDS
            .iter()
            .find(|(known, ..)| known.as_bytes().eq_ignore_ascii_case(name));
        let (name, kind, keys) = found.copied().unwrap_or(("", Kind::Other, Keys::None));
        let db = match keys {
            Keys::None => 0,
            _ => db,
        };
        let call = Call {
            kind,
            db,
            name,
            args,
        };
        (call, keys)
    }

    /// Appends bytes that no other call appends.
    pub(in crate::judges::witness) fn sign(&self, out: &mut Vec<u8>) {
        out.push(self.db);
        out.push(self.args.len() as u8);
        let name = self.name.as_bytes();
        for part in std::iter::once(name).chain(self.args.iter().copied()) {
            out.extend_from_slice(&(part.len() as u32).to_le_bytes());
            out.extend_from_slice(part);
        }
    }
}

impl std::fmt::Display for Call<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name)?;
        for arg in &self.args {
            write!(formatter, " {}", arg.escape_ascii())?;
        }
        match self.db {
            0 => Ok(()),
            db => write!(formatter, " (database {db})"),
        }
    }
}

/// `k@9` is the key `k` of database 9.
fn split_database(key: &[u8]) -> Option<(&[u8], u8)> {
    let at = key.iter().rposition(|byte| *byte == b'@')?;
    let db = std::str::from_utf8(&key[at + 1..]).ok()?.parse().ok()?;
    (db < super::DATABASES as u8).then_some((&key[..at], db))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kv::CommandId;

    fn asked(line: &str) -> Vec<Vec<u8>> {
        line.split(' ')
            .map(|word| word.as_bytes().to_vec())
            .collect()
    }

    #[test]
    fn a_call_is_the_same_asked_and_logged() {
        for (line, db, plain) in [
            ("SET k v", 0, "set k v"),
            ("SET k@9 v@3", 9, "SET k v@3"),
            ("MSET a@2 x b@2 y", 2, "MSET a x b y"),
            ("DEL a@15 b@15", 15, "DEL a b"),
            ("PUBLISH p@1 m", 4, "PUBLISH p@1 m"),
        ] {
            let (asked, plain) = (asked(line), asked(plain));
            let logged = LoggedCommand {
                id: CommandId(0),
                db,
                args: plain.iter().map(Vec::as_slice).collect(),
            };
            let (one, other) = (Call::asked(&asked), Call::logged(&logged));
            assert_eq!(one, other, "{line}");
        }
        assert_eq!(Call::asked(&asked("WATCH k")).kind, Kind::Watch);
        assert_eq!(Call::asked(&[]).kind, Kind::Other);
    }

    #[test]
    fn different_calls_have_different_signatures() {
        let lines = ["SET a b", "SET ab ", "SET a b c", "SET a@1 b", "GETSET a b"];
        let mut signatures: Vec<Vec<u8>> = lines
            .iter()
            .map(|line| {
                let mut signature = Vec::new();
                Call::asked(&asked(line)).sign(&mut signature);
                signature
            })
            .collect();
        signatures.sort();
        signatures.dedup();
        assert_eq!(signatures.len(), lines.len());
    }
}
