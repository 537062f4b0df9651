//! The keyspace: all keys of one database, in one order.
//!
//! Every key has a [`Position`]: its slot, then a keyed hash. The keys are kept in the order of their
//! positions, in *segments* of at most about a thousand keys, each a contiguous range. A directory,
//! the sorted array of the first positions, finds the segment of a key. A segment that fills up is
//! cut at its middle key, not at the middle of its range, so it does not matter how positions are
//! spread: a million keys with one hash tag, all in one slot, make the same thousand segments as a
//! million keys without.
//!
//! That one order serves everything that walks keys. SCAN's cursor is a position, so it needs no
//! state on any node and survives every change of the segments: a key that stays keeps its position
//! and is met. The keys of a slot are one range. And because a segment is shared by reference count
//! and copied when it is changed while shared, a copy of the directory is a frozen view of the whole
//! keyspace, whose price is paid one page of a segment at a time (module `pages`).

mod builder;
mod key;
mod pages;
mod position;
mod segment;

use std::sync::Arc;

use buggify::Point;

use crate::rolling;

pub(crate) use builder::{Builder, PushError};
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
    /// The first position of the range of each segment, ascending. Invariant: the first is 0.
    starts: Vec<u64>,
    /// The segments, parallel to `starts`. Invariant: none is empty, unless it is the only one.
    segments: Vec<Arc<Segment>>,
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
    segment: usize,
    rank: usize,
}

impl Keyspace {
    pub(crate) fn new(placement: Placement) -> Self {
        Keyspace {
            starts: vec![Position::FIRST.0],
            segments: vec![Arc::default()],
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
        Arc::make_mut(&mut self.segments[segment]).insert(rank, position, entry);
        self.key_count += 1;
        let is_full = self.segments[segment].len() > SEGMENT_KEYS_MAX;
        if is_full || buggify::point(Point::KeySegmentCutEarly) {
            self.split(segment);
        }
    }

    /// Removes the entry at a place where [`Keyspace::find`] found its key.
    pub(crate) fn remove(&mut self, place: Place) -> Entry {
        self.settle();
        let range = self.range(place.segment);
        let segment = Arc::make_mut(&mut self.segments[place.segment]);
        let entry = segment.remove(place.rank, &self.placement, range);
        self.key_count -= 1;
        self.sum = self.sum.wrapping_sub(rolling::of_entry(&entry));
        if self.segments[place.segment].len() < SEGMENT_KEYS_MIN {
            self.merge(place.segment);
        }
        entry
    }

    /// The entry at a place where [`Keyspace::find`] found its key, to be changed.
    pub(crate) fn entry_mut(&mut self, place: Place) -> &mut Entry {
        self.settle();
        let entry = Arc::make_mut(&mut self.segments[place.segment]).entry_mut(place.rank);
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
        emptied.segments.into_iter().map(DetachedSegment).collect()
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
        let segment = self.segment_of(position);
        let found = self.segments[segment].find(position, key, self.range(segment));
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
        self.segments[place.segment].entry(place.rank)
    }

    /// The entry of a key.
    pub(crate) fn lookup(&self, key: &[u8]) -> Option<&Entry> {
        self.find(key).ok().map(|place| self.entry(place))
    }

    /// All entries, in the order of positions.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.segments
            .iter()
            .flat_map(|segment| segment.entries_from(0))
            .map(|(_, entry)| entry)
    }

    /// All entries at or after a position, in the order of positions.
    pub(crate) fn entries_from(&self, from: Position) -> impl Iterator<Item = (Position, &Entry)> {
        let first = self.segment_of(from);
        let rank = self.segments[first].lower_bound(from);
        let rest = self.segments[first + 1..]
            .iter()
            .flat_map(|segment| segment.entries_from(0));
        self.segments[first].entries_from(rank).chain(rest)
    }

    /// The number of keys at or after `from` and before `end`, where `None` is the end of all.
    pub(crate) fn count_between(&self, from: Position, end: Option<Position>) -> usize {
        let first = self.segment_of(from);
        let last = end.map_or(self.segments.len() - 1, |end| self.segment_of(end));
        let whole: usize = self.segments[first..last]
            .iter()
            .map(|segment| segment.len())
            .sum();
        let before = self.segments[first].lower_bound(from);
        let upto = match end {
            Some(end) => self.segments[last].lower_bound(end),
            None => self.segments[last].len(),
        };
        (whole + upto).saturating_sub(before)
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
        let few = self.segments.len() <= 8;
        let largest = self
            .segments
            .iter()
            .take(8)
            .map(|segment| segment.len())
            .max();
        let places = largest.filter(|_| few).unwrap_or(SEGMENT_KEYS_MAX) as u64;
        let mut segment = 0;
        for _ in 0..ATTEMPTS_MAX {
            segment = (random() % self.segments.len() as u64) as usize;
            let rank = (random() % places) as usize;
            if rank < self.segments[segment].len() {
                return Some(self.segments[segment].entry(rank));
            }
        }
        let rank = (random() % self.segments[segment].len() as u64) as usize;
        Some(self.segments[segment].entry(rank))
    }

    /// All segments, shared as they are now. What is changed later is copied first.
    pub(crate) fn freeze(&self) -> Vec<FrozenSegment> {
        let shared = self.segments.iter().cloned();
        shared.map(FrozenSegment).collect()
    }

    /// The bytes of the directory and of the arrays of all segments, without what keys and values
    /// allocate themselves.
    pub(crate) fn allocated_bytes(&self) -> usize {
        let segments: usize = self
            .segments
            .iter()
            .map(|segment| segment.allocated_bytes())
            .sum();
        let headers = self.segments.len() * (size_of::<Segment>() + 2 * size_of::<usize>());
        let directory = (self.starts.capacity() + self.segments.capacity()) * size_of::<u64>();
        segments + headers + directory
    }

    /// Adds what the entry that was handed out has become.
    fn settle(&mut self) {
        self.sum = self.sum();
        self.open = None;
    }

    /// The segment whose range has a position.
    fn segment_of(&self, position: Position) -> usize {
        self.starts.partition_point(|start| *start <= position.0) - 1
    }

    /// The first position of a segment and that of the next.
    fn range(&self, segment: usize) -> (Position, Position) {
        let end = self.starts.get(segment + 1).copied().unwrap_or(u64::MAX);
        (Position(self.starts[segment]), Position(end))
    }

    fn split(&mut self, index: usize) {
        let segment = Arc::make_mut(&mut self.segments[index]);
        let Some(rank) = segment.split_rank() else {
            return;
        };
        let start = segment.position(rank);
        let upper = segment.split_off(rank);
        self.starts.insert(index + 1, start.0);
        self.segments.insert(index + 1, Arc::new(upper));
    }

    /// Merges a segment with the smaller of its neighbours, if the two fit into one or if there is
    /// nothing to move.
    fn merge(&mut self, index: usize) {
        let length = |index: usize| self.segments.get(index).map_or(usize::MAX, |s| s.len());
        let before = index.checked_sub(1).map_or(usize::MAX, length);
        let lower = if before <= length(index + 1) {
            index.wrapping_sub(1)
        } else {
            index
        };
        let merged = length(lower).saturating_add(length(lower.wrapping_add(1)));
        let fits = merged <= MERGED_KEYS_MAX || length(index) == 0;
        if merged == usize::MAX || !fits {
            return;
        }
        self.starts.remove(lower + 1);
        let upper = self.segments.remove(lower + 1);
        let upper = Arc::try_unwrap(upper).unwrap_or_else(|shared| (*shared).clone());
        Arc::make_mut(&mut self.segments[lower]).append(upper);
    }
}

#[cfg(test)]
impl Keyspace {
    /// The number of segments that a frozen view shares.
    pub(crate) fn shared_segments(&self) -> usize {
        let shared = self.segments.iter();
        shared
            .filter(|segment| Arc::strong_count(segment) > 1)
            .count()
    }
}

/// A piece of a database that was emptied. Dropping it frees its keys and values.
#[derive(Debug)]
pub(crate) struct DetachedSegment(#[expect(dead_code, reason = "held to be dropped")] Arc<Segment>);

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

    /// The entries in the order of positions.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.entries_from(0).map(|(_, entry)| entry)
    }
}

#[cfg(test)]
mod tests;
