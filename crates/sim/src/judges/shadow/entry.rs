//! Entries as judges compare them.

use std::hash::Hasher;

use bytes::Bytes;
use raft::{EntryKind, LogIndex, Term};
use siphasher::sip::SipHasher13;
use wal::Record;

/// An entry in a node's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The term of the leader that made it.
    pub term: Term,
    /// A hash of its kind, time and payload.
    pub hash: u64,
    /// Its kind, as its record has it: see [`Held::kind`].
    pub tag: u8,
    /// The leader's time.
    pub time_ms: u64,
    /// The payload, shared.
    pub payload: Bytes,
}

/// What tells entries at the same index apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The term of the leader that made it.
    pub term: Term,
    /// A hash of its kind, time and payload.
    pub hash: u64,
}

impl Held {
    /// The entry in a record. If it is the same as `known`, it shares its payload, and need not be
    /// hashed: comparing is cheaper.
    pub(super) fn of(record: &Record, known: Option<&Held>) -> Held {
        let Record {
            term,
            tag,
            stamp,
            ref body,
            ..
        } = *record;
        let is_known = |known: &&Held| {
            let is_same_place = known.payload.as_ptr() == body.as_ptr();
            (known.term.0, known.tag, known.time_ms) == (term, tag, stamp)
                && known.payload.len() == body.len()
                && (is_same_place || known.payload == body)
        };
        if let Some(known) = known.filter(is_known) {
            return known.clone();
        }
        let mut hasher = SipHasher13::new();
        hasher.write_u8(tag);
        hasher.write_u64(stamp);
        hasher.write(body);
        Held {
            term: Term(term),
            hash: hasher.finish(),
            tag,
            time_ms: stamp,
            payload: body.clone(),
        }
    }

    /// Its kind; `None` for a number that names none.
    pub fn kind(&self) -> Option<EntryKind> {
        EntryKind::try_from(self.tag).ok()
    }

    /// What tells it apart.
    pub fn mark(&self) -> Mark {
        Mark {
            term: self.term,
            hash: self.hash,
        }
    }
}

/// What stands at an index of a log that begins with index 1.
pub fn at<T>(log: &[T], index: LogIndex) -> Option<&T> {
    log.get(usize::try_from(index.0.checked_sub(1)?).ok()?)
}
