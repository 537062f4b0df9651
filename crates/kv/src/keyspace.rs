//! The keyspace: all keys of one database, in one order.
//!
//! Every key has a [`Position`]: its slot, then a keyed hash. The keys are kept in the order of their
//! positions, in *segments* of at most about a thousand keys, each a contiguous range. A directory
//! of their first positions finds the segment of a key (module `directory`). A segment that fills up is
//! cut at its middle key, not at the middle of its range, so it does not matter how positions are
//! spread: a million keys with one hash tag, all in one slot, make the same thousand segments as a
//! million keys without.
//!
//! That one order serves everything that walks keys. SCAN's cursor is a position, so it needs no
//! state on any node and survives every change of the segments: a key that stays keeps its position
//! and is met. The keys of a slot are one range. And because everything is shared by reference count
//! and copied when it is changed while shared, a copy of the directory's top is a frozen view of the whole
//! keyspace, whose price is paid a page of a segment at a time.

mod builder;
mod directory;
mod key;
mod pages;
mod position;
mod segment;

use std::collections::VecDeque;
use std::sync::Arc;

use buggify::Point;

use crate::rolling;

pub(crate) use builder::{Builder, PushError};
use directory::{At, Directory, Shelf};
pub use key::Key;
pub(crate) use position::{Placement, Position};
pub use position::{SLOT_COUNT, key_slot};
pub(crate) use segment::Entry;
use segment::{SEGMENT_KEYS_MAX, Segment};

/// A segment with fewer keys is merged with a neighbour, when they fit together.
const SEGMENT_KEYS_MIN: usize = SEGMENT_KEYS_MAX / 8;

/// The largest result of a merge: far enough from a split that the two do not alternate.
const MERGED_KEYS_MAX: usize = SEGMENT_KEYS_MAX / 4 * 3;

/// The keys of one database, ordered by position.
#[derive(Clone, Debug)]
pub(crate) struct Keyspace {
    /// The segments. Invariant: none is empty, unless it is the only one.
    directory: Directory,
    /// The number of keys.
    key_count: usize,
    /// The sum of the hashes of all entries but the one at `open`.
    sum: u64,
    /// The entry that was handed out last to be changed. It is added to `sum` when it cannot change any
    /// more: before anything else is changed.
    open: Option<Place>,
    placement: Placement,
}

/// Where a key is, or where it has to be inserted. Valid until the next insertion or removal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    position: Position,
    segment: At,
    rank: usize,
}

impl Keyspace {
    pub(crate) fn new(placement: Placement) -> Self {
        Keyspace {
            directory: Directory::of_one(),
            key_count: 0,
            sum: 0,
            open: None,
            placement,
        }
    }

    /// Inserts an entry at the place where [`Keyspace::find`] did not find its key.
    pub(crate) fn insert(&mut self, place: Place, entry: Entry) {
        let Place {
            position,
            segment,
            rank,
        } = place;
        self.settle();
        self.sum = self.sum.wrapping_add(rolling::of_entry(&entry));
        let changed = self.directory.get_mut(segment);
        changed.insert(rank, position, entry);
        self.key_count += 1;
        let is_full = changed.len() > SEGMENT_KEYS_MAX;
        if is_full || buggify::point(Point::KeySegmentCutEarly) {
            self.split(segment);
        }
    }

    /// Removes the entry at a place where [`Keyspace::find`] found its key.
    pub(crate) fn remove(&mut self, place: Place) -> Entry {
        self.settle();
        let range = self.directory.range(place.segment);
        let segment = self.directory.get_mut(place.segment);
        let entry = segment.remove(place.rank, &self.placement, range);
        let is_small = segment.len() < SEGMENT_KEYS_MIN;
        self.key_count -= 1;
        self.sum = self.sum.wrapping_sub(rolling::of_entry(&entry));
        if is_small {
            self.merge(place.segment);
        }
        entry
    }

    /// The entry at a place where [`Keyspace::find`] found its key, to be changed.
    pub(crate) fn entry_mut(&mut self, place: Place) -> &mut Entry {
        self.settle();
        let entry = self.directory.get_mut(place.segment).entry_mut(place.rank);
        self.sum = self.sum.wrapping_sub(rolling::of_entry(entry));
        self.open = Some(place);
        entry
    }

    /// Takes all keys out. They are returned in pieces, for the caller to free when it likes.
    pub(crate) fn take_all(&mut self) -> Vec<DetachedSegment> {
        if self.key_count == 0 {
            return Vec::new();
        }
        let emptied = std::mem::replace(self, Keyspace::new(self.placement.clone()));
        let segments = emptied.directory.into_segments();
        segments.map(DetachedSegment).collect()
    }

    pub(crate) fn key_count(&self) -> usize {
        self.key_count
    }

    /// The sum of the hashes of all entries.
    pub(crate) fn sum(&self) -> u64 {
        let open = self
            .open
            .map_or(0, |place| rolling::of_entry(self.entry(place)));
        self.sum.wrapping_add(open)
    }

    /// The place of a key: `Ok` when the key is there.
    pub(crate) fn find(&self, key: &[u8]) -> Result<Place, Place> {
        let position = self.placement.position(key);
        let segment = self.directory.find(position);
        let range = self.directory.range(segment);
        let found = self.directory.get(segment).find(position, key, range);
        match found {
            Ok(rank) => Ok(Place {
                position,
                segment,
                rank,
            }),
            Err(rank) => Err(Place {
                position,
                segment,
                rank,
            }),
        }
    }

    /// The entry at a place where [`Keyspace::find`] found its key.
    pub(crate) fn entry(&self, place: Place) -> &Entry {
        self.directory.get(place.segment).entry(place.rank)
    }

    /// The entry of a key.
    pub(crate) fn lookup(&self, key: &[u8]) -> Option<&Entry> {
        self.find(key).ok().map(|place| self.entry(place))
    }

    /// All entries, in the order of positions.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.directory
            .segments()
            .flat_map(|segment| segment.entries_from(0))
            .map(|(_, entry)| entry)
    }

    /// All entries at or after a position, in the order of positions.
    pub(crate) fn entries_from(&self, from: Position) -> impl Iterator<Item = (Position, &Entry)> {
        let first = self.directory.find(from);
        let rank = self.directory.get(first).lower_bound(from);
        let rest = self
            .directory
            .from(first)
            .skip(1)
            .flat_map(|segment| segment.entries_from(0));
        self.directory.get(first).entries_from(rank).chain(rest)
    }

    /// The number of keys at or after `from` and before `end`, where `None` is the end of all.
    pub(crate) fn count_between(&self, from: Position, end: Option<Position>) -> usize {
        let first = self.directory.find(from);
        let last = end.map(|end| self.directory.find(end));
        let mut count = 0;
        let mut at = Some(first);
        while let Some(here) = at
            && last.is_none_or(|last| here < last)
        {
            count += self.directory.get(here).len();
            at = self.directory.behind(here);
        }
        if let (Some(end), Some(last)) = (end, last) {
            count += self.directory.get(last).lower_bound(end);
        }
        count.saturating_sub(self.directory.get(first).lower_bound(from))
    }

    /// A uniformly chosen entry. `random` is called for each random number that is needed.
    ///
    /// Takes a segment, then a place among as many as a full one has, and starts over when nothing
    /// is there: that way a key of a small segment is no more likely than any other.
    pub(crate) fn random_entry(&self, mut random: impl FnMut() -> u64) -> Option<&Entry> {
        const ATTEMPTS_MAX: u32 = 256;
        if self.key_count == 0 {
            return None;
        }
        // A few segments can all be far from full, and are cheap to measure.
        let few = self.directory.len() <= 8;
        let first = self.directory.segments().take(8);
        let largest = first.map(Segment::len).max();
        let places = largest.filter(|_| few).unwrap_or(SEGMENT_KEYS_MAX) as u64;
        let mut last = self.directory.find(Position::FIRST);
        for _ in 0..ATTEMPTS_MAX {
            let Some(segment) = self.directory.draw(random(), random()) else {
                continue;
            };
            last = segment;
            let segment = self.directory.get(segment);
            let rank = (random() % places) as usize;
            if rank < segment.len() {
                return Some(segment.entry(rank));
            }
        }
        let segment = self.directory.get(last);
        let rank = (random() % segment.len() as u64) as usize;
        Some(segment.entry(rank))
    }

    /// All segments, shared as they are now. What is changed later is copied first.
    pub(crate) fn freeze(&self) -> FrozenKeyspace {
        FrozenKeyspace {
            key_count: self.key_count,
            shelves: self.directory.shelves().collect(),
        }
    }

    /// The bytes of the directory and of the arrays of all segments, without what keys and values
    /// allocate themselves.
    pub(crate) fn allocated_bytes(&self) -> usize {
        let segments = self.directory.segments().map(Segment::allocated_bytes);
        segments.sum::<usize>() + self.directory.allocated_bytes()
    }

    /// Adds what the entry that was handed out has become.
    fn settle(&mut self) {
        self.sum = self.sum();
        self.open = None;
    }

    fn split(&mut self, at: At) {
        let segment = self.directory.get_mut(at);
        let Some(rank) = segment.split_rank() else {
            return;
        };
        let start = segment.position(rank);
        let upper = segment.split_off(rank);
        self.directory.insert_behind(at, start, upper);
    }

    /// Merges a segment with the smaller of its neighbours, if the two fit into one or if there is
    /// nothing to move.
    fn merge(&mut self, at: At) {
        let directory = &mut self.directory;
        let length = |at: &At| directory.get(*at).len();
        let neighbours = [directory.before(at), directory.behind(at)];
        let smaller = neighbours.into_iter().flatten().min_by_key(length);
        let Some(neighbour) = smaller else {
            return;
        };
        let fits = length(&at) + length(&neighbour) <= MERGED_KEYS_MAX || length(&at) == 0;
        if !fits {
            return;
        }
        let (lower, upper) = (at.min(neighbour), at.max(neighbour));
        let start = directory.range(lower).0;
        let moved = directory.remove(upper);
        // Where it is may have changed: shelves merge, too.
        let lower = directory.find(start);
        directory.get_mut(lower).append(moved);
    }
}

#[cfg(test)]
impl Keyspace {
    /// The number of segments that a frozen view shares.
    pub(crate) fn shared_segments(&self) -> usize {
        self.directory.shared_segments()
    }
}

/// A piece of a database that was emptied. Dropping it frees its keys and values.
#[derive(Debug)]
pub(crate) struct DetachedSegment(#[expect(dead_code, reason = "held to be dropped")] Arc<Segment>);

/// A keyspace as it was when it was frozen: the segments of its shelves, to be used up in order.
#[derive(Clone, Debug)]
pub(crate) struct FrozenKeyspace {
    key_count: usize,
    shelves: VecDeque<Arc<Shelf>>,
}

impl FrozenKeyspace {
    /// The number of keys when it was frozen.
    pub(crate) fn key_count(&self) -> usize {
        self.key_count
    }

    /// The entries that are left, in the order of positions.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        let segments = self.shelves.iter().flat_map(|shelf| shelf.segments());
        let entries = segments.flat_map(|segment| segment.entries_from(0));
        entries.map(|(_, entry)| entry)
    }

    /// The segments of the next shelf; it is this view's no more.
    pub(crate) fn take_shelf(&mut self) -> Option<VecDeque<FrozenSegment>> {
        let shelf = self.shelves.pop_front()?;
        let segments = shelf.segments().iter().cloned();
        Some(segments.map(FrozenSegment).collect())
    }
}

/// A segment as it was when it was frozen. As long as this lives, a change of the keyspace's own copy
/// copies it first.
#[derive(Clone, Debug)]
pub(crate) struct FrozenSegment(Arc<Segment>);

impl FrozenSegment {
    /// The number of keys.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The entry at a rank of the order of positions.
    pub(crate) fn entry(&self, rank: usize) -> &Entry {
        self.0.entry(rank)
    }
}

#[cfg(test)]
mod tests;
