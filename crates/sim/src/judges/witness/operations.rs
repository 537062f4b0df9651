//! Operations as the checker looks at them.

use std::fmt;

use crate::history::{History, Operation, Outcome, Reply};
use crate::judges::witness::model::{Call, Kind};

/// A moment of the log at which something was executed. A read that names a record ran before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    /// The entry.
    pub(super) index: u64,
    /// The record of it.
    pub(super) order: u32,
    /// Whether it was that record itself.
    pub(super) is_write: bool,
}

impl Moment {
    /// The order of a read that saw all of its entry.
    pub(super) const AFTER_ENTRY: u32 = u32::MAX;
}

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Moment { index, order, .. } = *self;
        match (order, self.is_write) {
            (Moment::AFTER_ENTRY, _) => write!(formatter, "behind entry {index}"),
            (_, true) => write!(formatter, "record {order} of entry {index}"),
            (_, false) => write!(formatter, "before record {order} of entry {index}"),
        }
    }
}

/// A key that a transaction watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watch<'a> {
    /// Its database.
    pub(super) db: u8,
    /// The key.
    pub(super) key: &'a [u8],
    /// What it held when it was read behind the WATCH.
    pub(super) value: Option<&'a [u8]>,
}

/// What an operation was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told<'a> {
    /// These replies, one for each call.
    Replies(&'a [Reply]),
    /// That a watched key had changed.
    Aborted,
    /// Nothing, or that it failed.
    Nothing,
}

/// An operation, its commands read.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// Its number in the history.
    pub(super) op: usize,
    /// The operation.
    pub(super) operation: &'a Operation,
    /// What it watches.
    pub(super) watches: Vec<Watch<'a>>,
    /// Its commands that concern keys or channels.
    pub(super) calls: Vec<Call<'a>>,
    /// Whether one of them goes into the log.
    pub(super) is_write: bool,
    /// Where it was executed, if that is known.
    pub(super) moment: Option<Moment>,
}

impl<'a> Asked<'a> {
    fn new(op: usize, operation: &'a Operation) -> Asked<'a> {
        let (mut watches, mut calls) = (Vec::new(), Vec::new());
        for command in &operation.commands {
            let call = Call::asked(command);
            match call.kind {
                Kind::Watch => watches.extend(call.args.first().map(|key| Watch {
                    db: call.db,
                    key,
                    value: call.args.get(1).copied(),
                })),
                Kind::Read | Kind::Write => calls.push(call),
                Kind::Other => {}
            }
        }
        let is_write = calls.iter().any(|call| call.kind == Kind::Write);
        let moment = operation.position.map(|position| Moment {
            index: position.index,
            order: position.order,
            is_write,
        });
        Asked {
            op,
            operation,
            watches,
            calls,
            is_write,
            moment,
        }
    }

    /// Its writes.
    pub(super) fn writes(&self) -> impl Iterator<Item = &Call<'a>> {
        self.calls.iter().filter(|call| call.kind == Kind::Write)
    }

    /// What it was told.
    pub(super) fn told(&self) -> Told<'a> {
        match &self.operation.outcome {
            Outcome::Done(replies) => match &replies[..] {
                [Reply::Null] if self.operation.commands.len() > 1 => Told::Aborted,
                replies => Told::Replies(replies.get(self.watches.len()..).unwrap_or_default()),
            },
            _ => Told::Nothing,
        }
    }
}

impl fmt::Display for Asked<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Operation { process, node, .. } = *self.operation;
        write!(formatter, "operation {} (", self.op)?;
        for watch in &self.watches {
            write!(formatter, "WATCH {}; ", watch.key.escape_ascii())?;
        }
        for (place, call) in self.calls.iter().enumerate() {
            let comma = if place == 0 { "" } else { "; " };
            write!(formatter, "{comma}{call}")?;
        }
        write!(formatter, ") of client {process} through node {node}")?;
        match self.moment {
            Some(moment) => write!(formatter, ", executed {moment}"),
            None => Ok(()),
        }
    }
}

/// All operations of a history, by number.
pub(super) fn read(history: &History) -> Vec<Asked<'_>> {
    let operations = history.operations.iter().enumerate();
    operations
        .map(|(op, operation)| Asked::new(op, operation))
        .collect()
}
