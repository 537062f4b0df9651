//! A second opinion on what commands do: written from their documentation, without a look at how
//! the product does it, over ordered maps and plain bytes.
//!
//! It knows the commands that the simulator's clients use and no others.

mod call;
mod commands;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use crate::history::Reply;

pub(super) use crate::judges::witness::model::call::{Call, Kind};

/// Bits of a version that count the writes of an entry: what WATCH remembers is part of the log, so
/// the model has to make the same numbers.
const VERSION_OPERATION_BITS: u32 = 20;

/// How many databases there are.
const DATABASES: usize = 16;

/// The reply that a call must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// This one.
    Exactly(Reply),
    /// An integer, both bounds included: where the log alone does not decide.
    Between(i64, i64),
}

impl Expected {
    fn integer(value: i64) -> Expected {
        Expected::Exactly(Reply::Integer(value))
    }

    fn ok() -> Expected {
        Expected::Exactly(Reply::Text(b"OK".to_vec()))
    }

    fn error(text: &str) -> Expected {
        Expected::Exactly(Reply::Error(text.to_owned()))
    }

    /// Whether a reply is as it must be.
    pub(super) fn admits(&self, reply: &Reply) -> bool {
        match (self, reply) {
            (Expected::Exactly(expected), _) => expected == reply,
            (Expected::Between(least, most), Reply::Integer(found)) => {
                (least..=most).contains(&found)
            }
            (Expected::Between(..), _) => false,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Exactly(reply) => formatter.write_str(&show(reply)),
            Expected::Between(least, i64::MAX) => write!(formatter, "at least {least}"),
            Expected::Between(least, most) => write!(formatter, "from {least} to {most}"),
        }
    }
}

/// A reply as people read it.
pub(super) fn show(reply: &Reply) -> String {
    match reply {
        Reply::Text(text) => format!("\"{}\"", text.escape_ascii()),
        Reply::Integer(number) => number.to_string(),
        Reply::Null => "nil".to_owned(),
        Reply::List(items) => {
            let items: Vec<String> = items.iter().map(show).collect();
            format!("[{}]", items.join(", "))
        }
        Reply::Error(text) => format!("({text})"),
    }
}

/// Which time a read was served at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    /// The log's.
    Log,
    /// The log's, or that of the serving node if it was ahead: not known here.
    Node,
}

/// The data set at one point of the log.
#[derive(Debug, Default)]
pub(super) struct Model {
    databases: [BTreeMap<Vec<u8>, Item>; DATABASES],
    /// The latest time of any entry so far: the only time that writes know.
    time_ms: u64,
    index: u64,
    /// Writes of the entry so far.
    operation: u64,
}

/// A key's value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    value: Vec<u8>,
    expires_ms: Option<u64>,
    version: u64,
}

impl Model {
    /// An entry of the log begins.
    pub(super) fn begin_entry(&mut self, index: u64, time_ms: u64) {
        self.index = index;
        self.operation = 0;
        self.time_ms = self.time_ms.max(time_ms);
    }

    /// The log position of the last change of a key, 0 if there is no such key.
    pub(super) fn version(&self, db: u8, key: &[u8]) -> u64 {
        self.get(db, key).map_or(0, |item| item.version)
    }

    /// Runs a call; `None` if the model does not know the command.
    pub(super) fn run(&mut self, call: &Call<'_>, clock: Clock) -> Option<Expected> {
        if call.kind == Kind::Write {
            self.operation += 1;
        }
        self.execute(call, clock)
    }

    fn get(&self, db: u8, key: &[u8]) -> Option<&Item> {
        let item = self.databases[usize::from(db)].get(key)?;
        match item.expires_ms {
            Some(expires_ms) if expires_ms <= self.time_ms => None,
            _ => Some(item),
        }
    }

    /// What a key holds.
    pub(super) fn value_of(&self, db: u8, key: &[u8]) -> Option<&[u8]> {
        self.get(db, key).map(|item| item.value.as_slice())
    }

    fn value(&self, db: u8, key: &[u8]) -> Reply {
        let item = self.get(db, key);
        item.map_or(Reply::Null, |item| Reply::Text(item.value.clone()))
    }

    fn put(&mut self, db: u8, key: &[u8], value: Vec<u8>, expires_ms: Option<u64>) {
        let item = Item {
            value,
            expires_ms,
            version: self.index << VERSION_OPERATION_BITS | self.operation,
        };
        let database = &mut self.databases[usize::from(db)];
        match database.get_mut(key) {
            Some(there) => *there = item,
            None => {
                database.insert(key.to_vec(), item);
            }
        }
    }

    fn remove(&mut self, db: u8, key: &[u8]) -> bool {
        let was_there = self.get(db, key).is_some();
        self.databases[usize::from(db)].remove(key);
        was_there
    }
}
