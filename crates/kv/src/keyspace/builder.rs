//! Building a keyspace from entries that come in its own order.
//!
//! An insertion looks its place up, moves what is behind it, and cuts the segment when it is full. None
//! of that is needed when the entries arrive in the order of positions, as from a snapshot: each is put
//! at the end of the last segment, and a segment that has enough is closed.

use super::directory::Directory;
use super::segment::{SEGMENT_KEYS_LIMIT, SEGMENT_KEYS_MAX, Segment};
use super::{Entry, Keyspace, Placement, Position};
use crate::rolling;

/// The keys of each segment that is built. Full segments would all be cut by the first insertions; at
/// three quarters a fifth more keys fit first, and the arrays have no unused room at all.
const FILL_KEYS: usize = SEGMENT_KEYS_MAX / 4 * 3;

/// A keyspace in the making.
#[derive(Debug)]
pub(crate) struct Builder {
    keyspace: Keyspace,
    /// The segment that is being filled, behind those of `keyspace`.
    filling: Segment,
    /// The first position of its range.
    start: Position,
}

/// Why an entry was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PushError {
    /// It does not come behind the one before.
    Order,
    /// As many keys as a segment can hold share its position.
    Crowded,
}

impl Builder {
    pub(crate) fn new(placement: Placement) -> Self {
        let mut keyspace = Keyspace::new(placement);
        keyspace.directory = Directory::default();
        Builder {
            keyspace,
            filling: Segment::with_capacity(0),
            start: Position::FIRST,
        }
    }

    /// Adds an entry, which must come behind all others: in its position, or in its key at the same.
    pub(crate) fn push(&mut self, entry: Entry) -> Result<(), PushError> {
        let position = self.keyspace.placement.position(&entry.key);
        let is_equal = match self.filling.last() {
            Some((last, _)) if last > position => return Err(PushError::Order),
            Some((last, before)) if last == position => {
                if before.key >= entry.key {
                    return Err(PushError::Order);
                }
                true
            }
            _ => false,
        };
        // Equal positions stay in one segment: look-ups and cuts count on it.
        if !is_equal && self.filling.len() >= FILL_KEYS {
            self.close(Segment::with_capacity(FILL_KEYS));
            self.start = position;
        }
        if self.filling.len() >= SEGMENT_KEYS_LIMIT {
            return Err(PushError::Crowded);
        }
        let sum = self.keyspace.sum;
        self.keyspace.sum = sum.wrapping_add(rolling::of_entry(&entry));
        self.filling.push(position, entry);
        self.keyspace.key_count += 1;
        Ok(())
    }

    /// The keyspace of all entries.
    pub(crate) fn finish(mut self) -> Keyspace {
        if self.filling.len() > 0 || self.keyspace.directory.len() == 0 {
            self.filling.shrink_to_fit();
            self.close(Segment::with_capacity(0));
        }
        self.keyspace
    }

    fn close(&mut self, next: Segment) {
        let full = std::mem::replace(&mut self.filling, next);
        self.keyspace.directory.push(self.start, full);
    }
}
