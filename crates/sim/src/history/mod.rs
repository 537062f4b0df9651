//! What clients asked and what they were told: the record that the checkers judge.
//!
//! The file form is JSON lines, one event a line, in the order in which the events happened; times are
//! microseconds of one clock.
//!
//! ```text
//! {"time":1200,"type":"invoke","op":0,"process":3,"node":1,"commands":[["SET","k1","w0"]]}
//! {"time":1950,"type":"ok","op":0,"replies":["OK"]}
//! {"time":2000,"type":"invoke","op":1,"process":3,"node":1,"commands":[["INCR","n1"],["GET","k1"]]}
//! {"time":9000,"type":"info","op":1,"error":"UNCERTAIN the command may or may not take effect"}
//! ```
//!
//! - `invoke`: a process asked. `op` numbers the operations from 0. More than one command is a
//!   transaction: all of them at one moment, as MULTI and EXEC do it.
//! - `ok`: it was answered. `replies` has one for each command. A reply is a string, a number, null,
//!   a list of replies, or `{"error": "WRONGTYPE ..."}` for a command that was executed and failed.
//!   `at` (optional) is the place in the log where a server says that it was executed: `[index, order]`.
//! - `fail`: it certainly took no effect.
//! - `info`: nobody knows whether it did, or will.
//! - `message`: a message came to a listener, without `op`: see [`Delivery`] for its fields `process`,
//!   `node`, `session`, `channel` and `message`. Only checkers of channels look at it.
//!
//! An operation without a second event is as one with `info`. A process has at most one connection at a
//! time, but may have several operations under way on it (a pipeline).
//!
//! Arguments and replies that are not UTF-8 are written as `{"hex": "00ff"}`. Fields that are not named
//! here are ignored. All keys are those of database 0, unless a `SELECT` stands before them among the
//! commands of the operation; the simulator writes the key `r1` of database 9 as `r1@9` instead.
//!
//! A transaction with watched keys begins with a command for each of them: `["WATCH", key, value]`
//! or, if the key did not exist, `["WATCH", key]`. The value is what the client read after it
//! watched the key, so the transaction says: only if the key still holds this, do that. It is
//! answered by `"OK"`, and the commands behind it by what they reply. If the server says that a key
//! was changed in between (EXEC replied null), the operation did nothing: its outcome is `ok` with
//! `"replies": null`, in memory [`Outcome::Done`] of a single [`Reply::Null`]. This does not mean
//! that the key holds another value: it may have been changed before it was read.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{HistoryError, HistoryProblem};

/// A reply, as far as checkers care.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// A string, simple or bulk.
    Text(Vec<u8>),
    /// An integer.
    Integer(i64),
    /// Null.
    Null,
    /// A list.
    List(Vec<Reply>),
    /// The command was executed, and failed.
    Error(String),
}

/// What became of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not answered yet; at the end of a history the same as [`Outcome::Unknown`].
    Open,
    /// Answered, with a reply for each command.
    Done(Vec<Reply>),
    /// It certainly took no effect.
    Failed(String),
    /// Nobody knows.
    Unknown(String),
}

/// Where a server says that an operation was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The log index.
    pub index: u64,
    /// For a write, which command of the entry, from 0. For a read, `u32::MAX`: after all of the
    /// entry.
    pub order: u32,
}

/// One operation of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The client.
    pub process: u32,
    /// The node that it asked.
    pub node: u64,
    /// When it asked.
    pub invoked_us: u64,
    /// When it was answered, or gave up.
    pub completed_us: Option<u64>,
    /// One command, or the commands of a transaction. The first argument of each is its name.
    pub commands: Vec<Vec<Vec<u8>>>,
    /// What became of it.
    pub outcome: Outcome,
    /// Where the server says that it was executed, if it says so.
    pub position: Option<Position>,
}

/// What happened to an operation, in order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryEvent {
    /// It was asked.
    Invoked(usize),
    /// It was answered, or given up.
    Completed(usize),
}

/// A message that came to a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// When it came.
    pub time_us: u64,
    /// The listener.
    pub process: u32,
    /// The node that it listened at.
    pub node: u64,
    /// Which connection of the listener: they are counted from 1. It listens to all of its channels
    /// from when it begins until it ends.
    pub session: u32,
    /// The channel.
    pub channel: Vec<u8>,
    /// The message.
    pub message: Vec<u8>,
}

/// All operations of a run, by number, and the order of their events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The operations.
    pub operations: Vec<Operation>,
    /// Their events in order: the order of events at the same time matters.
    pub events: Vec<HistoryEvent>,
    /// What came to listeners, in order of time.
    pub deliveries: Vec<Delivery>,
}

impl History {
    /// A process asks. Returns the operation's number.
    pub fn invoke(
        &mut self,
        now_us: u64,
        process: u32,
        node: u64,
        commands: Vec<Vec<Vec<u8>>>,
    ) -> usize {
        let op = self.operations.len();
        self.operations.push(Operation {
            process,
            node,
            invoked_us: now_us,
            completed_us: None,
            commands,
            outcome: Outcome::Open,
            position: None,
        });
        self.events.push(HistoryEvent::Invoked(op));
        op
    }

    /// An operation ends.
    pub fn complete(
        &mut self,
        now_us: u64,
        op: usize,
        outcome: Outcome,
        position: Option<Position>,
    ) {
        let operation = &mut self.operations[op];
        debug_assert_eq!(operation.outcome, Outcome::Open, "operation {op} ends once");
        operation.completed_us = Some(now_us);
        operation.outcome = outcome;
        operation.position = position;
        self.events.push(HistoryEvent::Completed(op));
    }
}
