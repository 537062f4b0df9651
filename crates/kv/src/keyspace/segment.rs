//! A segment: the keys of one contiguous range of positions.
//!
//! Three lists. `positions` is sorted, and `slots` is parallel to it: it says where in `entries` the
//! key of that position is. Entries stay where they are when a key is inserted; what moves to make
//! room is ten bytes per key of a small array, which stays in the processor's cache. So a change
//! touches one or two entries, and only their pages have to be copied when they are shared.
//!
//! A look-up guesses the rank by interpolation, because the hash spreads positions evenly, and gallops
//! from there. It reads one or two cache lines of positions and then the entry. Where positions are
//! not even (a few slots filled by hash tags), the gallop degrades to a binary search, never to a walk.

use std::num::NonZeroU64;

use super::key::Key;
use super::pages::Pages;
use super::position::{Placement, Position};
use crate::value::Value;

/// A segment is split when it would exceed this many keys.
pub(super) const SEGMENT_KEYS_MAX: usize = 1_024;

/// The hard limit, from the width of `slots`. Only keys that share all 64 bits of their position can
/// fill a segment beyond [`SEGMENT_KEYS_MAX`], because it cannot be split between them.
pub(super) const SEGMENT_KEYS_LIMIT: usize = 1 << 16;

/// The step of the gallop from the guessed rank: the positions of one cache line.
const GALLOP_STEP: usize = 8;

/// What the keyspace holds for a key.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: Key,
    /// Its value.
    pub(crate) value: Value,
    /// The log position of the last change, never 0.
    pub(crate) version: u64,
    /// When the key expires, in milliseconds since the epoch, of log time.
    pub(crate) expire_at: Option<NonZeroU64>,
}

impl Entry {
    /// No entry: what stands where a page has room.
    pub(super) const EMPTY: Entry = Entry {
        key: Key::EMPTY,
        value: Value::EMPTY,
        version: 0,
        expire_at: None,
    };

    /// When the key expires.
    pub(crate) fn expire_at(&self) -> Option<u64> {
        self.expire_at.map(NonZeroU64::get)
    }

    /// The bytes that this entry takes: its part of the segment, and what key and value allocate.
    pub(crate) fn used_bytes(&self) -> usize {
        let in_segment = size_of::<Entry>() + size_of::<u64>() + size_of::<u16>();
        in_segment + self.key.heap_bytes() + self.value.heap_bytes()
    }

    /// Whether the key is expired at a time. Expiry is inclusive: a key that expires at `t` is gone
    /// at `t`.
    pub(crate) fn is_expired(&self, time_ms: u64) -> bool {
        self.expire_at
            .is_some_and(|expire_at| expire_at.get() <= time_ms)
    }
}

/// The keys of one contiguous range of positions.
#[derive(Clone, Debug, Default)]
pub(super) struct Segment {
    /// The position of every key, sorted; equal ones are ordered by key.
    positions: Vec<u64>,
    /// The index in `entries` of the key at the same rank. Invariant: a permutation of its indexes.
    slots: Vec<u16>,
    /// The entries, in no order.
    entries: Pages,
}

impl Segment {
    pub(super) fn len(&self) -> usize {
        self.positions.len()
    }

    /// The rank of a key, or the rank at which it has to be inserted. `range` is the range of
    /// positions that this segment covers; it only makes the guess better.
    pub(super) fn find(
        &self,
        position: Position,
        key: &[u8],
        range: (Position, Position),
    ) -> Result<usize, usize> {
        let mut rank = self.lower_bound_from(position, self.guess(position, range));
        while self.positions.get(rank) == Some(&position.0) {
            match self.entry(rank).key.as_bytes().cmp(key) {
                std::cmp::Ordering::Equal => return Ok(rank),
                std::cmp::Ordering::Greater => return Err(rank),
                std::cmp::Ordering::Less => rank += 1,
            }
        }
        Err(rank)
    }

    /// The number of keys before a position.
    pub(super) fn lower_bound(&self, position: Position) -> usize {
        self.positions.partition_point(|other| *other < position.0)
    }

    pub(super) fn position(&self, rank: usize) -> Position {
        Position(self.positions[rank])
    }

    pub(super) fn entry(&self, rank: usize) -> &Entry {
        self.entries.get(usize::from(self.slots[rank]))
    }

    pub(super) fn entry_mut(&mut self, rank: usize) -> &mut Entry {
        self.entries.get_mut(usize::from(self.slots[rank]))
    }

    /// The entries in the order of positions, from a rank on.
    pub(super) fn entries_from(&self, rank: usize) -> impl Iterator<Item = (Position, &Entry)> {
        let ranks = rank.min(self.len())..self.len();
        ranks.map(|rank| (self.position(rank), self.entry(rank)))
    }

    /// Inserts an entry at the rank that [`Segment::find`] returned.
    pub(super) fn insert(&mut self, rank: usize, position: Position, entry: Entry) {
        let slot = u16::try_from(self.entries.len());
        assert!(
            slot.is_ok(),
            "{SEGMENT_KEYS_LIMIT} keys share the position {position:?}"
        );
        self.reserve_one();
        self.positions.insert(rank, position.0);
        self.slots.insert(rank, slot.unwrap_or(u16::MAX));
        self.entries.push(entry);
    }

    /// Removes the entry at a rank.
    pub(super) fn remove(
        &mut self,
        rank: usize,
        placement: &Placement,
        range: (Position, Position),
    ) -> Entry {
        self.positions.remove(rank);
        let slot = self.slots.remove(rank);
        let last = self.entries.len() - 1;
        if usize::from(slot) != last {
            let moved = self.entries.get(last).key.clone();
            let moved_rank = self.find(placement.position(&moved), &moved, range);
            let moved_rank =
                moved_rank.unwrap_or_else(|_| panic!("{moved:?} is not in its segment"));
            self.slots[moved_rank] = slot;
        }
        let removed = self.entries.swap_remove(usize::from(slot));
        if self.positions.capacity() > 32 && self.len() < self.positions.capacity() / 2 {
            self.shrink();
        }
        removed
    }

    /// The rank in the middle at which the segment can be cut: where the position changes, so that
    /// equal positions stay together. `None` when all positions are equal.
    pub(super) fn split_rank(&self) -> Option<usize> {
        let middle = self.len() / 2;
        let differs = |rank: &usize| self.positions[rank - 1] != self.positions[*rank];
        let after = (middle.max(1)..self.len()).find(differs);
        let before = (1..middle).rev().find(differs);
        match (before, after) {
            (Some(before), Some(after)) => Some(if middle - before < after - middle {
                before
            } else {
                after
            }),
            (before, after) => before.or(after),
        }
    }

    /// Cuts the segment at a rank; the upper part is returned.
    pub(super) fn split_off(&mut self, rank: usize) -> Segment {
        let all = std::mem::take(self);
        let mut upper = Segment::with_room_for(all.len() - rank);
        *self = Segment::with_room_for(rank);
        for (index, (position, entry)) in all.into_sorted().enumerate() {
            let half = if index < rank { &mut *self } else { &mut upper };
            half.push(position, entry);
        }
        upper
    }

    /// Appends the keys of the segment that follows.
    pub(super) fn append(&mut self, next: Segment) {
        for (position, entry) in next.into_sorted() {
            self.push(position, entry);
        }
    }

    /// The bytes of this segment's own arrays.
    pub(super) fn allocated_bytes(&self) -> usize {
        self.positions.capacity() * size_of::<u64>()
            + self.slots.capacity() * size_of::<u16>()
            + self.entries.allocated_bytes()
    }

    /// The last entry, with its position.
    pub(super) fn last(&self) -> Option<(Position, &Entry)> {
        let rank = self.len().checked_sub(1)?;
        Some((self.position(rank), self.entry(rank)))
    }

    /// Gives back the room that no entry uses.
    pub(super) fn shrink_to_fit(&mut self) {
        self.positions.shrink_to_fit();
        self.slots.shrink_to_fit();
    }

    /// An empty segment that takes this many keys, and some more, without growing.
    fn with_room_for(key_count: usize) -> Segment {
        Segment::with_capacity(key_count + key_count / 8)
    }

    /// An empty segment that takes this many keys without growing.
    pub(super) fn with_capacity(capacity: usize) -> Segment {
        Segment {
            positions: Vec::with_capacity(capacity),
            slots: Vec::with_capacity(capacity),
            entries: Pages::with_capacity(capacity),
        }
    }

    /// The entries with their positions, in order.
    fn into_sorted(self) -> impl Iterator<Item = (Position, Entry)> {
        let mut entries = self.entries;
        let positions = self.positions.into_iter().zip(self.slots);
        positions.map(move |(position, slot)| (Position(position), entries.take(slot.into())))
    }

    /// Adds an entry whose place is behind all others.
    pub(super) fn push(&mut self, position: Position, entry: Entry) {
        self.insert(self.len(), position, entry);
    }

    /// Makes room for one more key. Grows by an eighth, not by doubling: the unused half of a doubled
    /// array would cost more than moving it a few more times.
    fn reserve_one(&mut self) {
        let length = self.positions.len();
        if length == self.positions.capacity() {
            let growth = (length / 8).max(4);
            self.positions.reserve_exact(growth);
            self.slots.reserve_exact(growth);
        }
    }

    fn shrink(&mut self) {
        let capacity = self.len() + self.len() / 8;
        self.positions.shrink_to(capacity);
        self.slots.shrink_to(capacity);
    }

    /// The rank that a position would have if positions were spread evenly.
    fn guess(&self, position: Position, (start, end): (Position, Position)) -> usize {
        let spread = end.0 - start.0;
        let offset = position.0.saturating_sub(start.0);
        // Scaled so that the product below fits whatever the length.
        let shift = (u64::BITS - spread.leading_zeros()).saturating_sub(40);
        let guess = (offset >> shift) * self.len() as u64 / ((spread >> shift) + 1);
        guess as usize
    }

    /// The number of keys before a position, found by galloping from a guess.
    fn lower_bound_from(&self, position: Position, guess: usize) -> usize {
        let positions = &self.positions[..];
        let length = positions.len();
        let (mut low, mut high);
        if guess < length && positions[guess] < position.0 {
            low = guess + 1;
            let mut step = GALLOP_STEP;
            loop {
                high = low + step;
                if high >= length {
                    high = length;
                    break;
                }
                if positions[high] >= position.0 {
                    break;
                }
                low = high + 1;
                step *= 2;
            }
        } else {
            high = guess.min(length);
            let mut step = GALLOP_STEP;
            loop {
                low = high.saturating_sub(step);
                if low == 0 || positions[low - 1] < position.0 {
                    break;
                }
                high = low - 1;
                step *= 2;
            }
        }
        low + positions[low..high].partition_point(|other| *other < position.0)
    }
}

#[cfg(test)]
impl Segment {
    /// The number of pages, and how many of them are those of another segment.
    pub(super) fn pages_shared_with(&self, other: &Segment) -> (usize, usize) {
        self.entries.shared_with(&other.entries)
    }

    /// Checks every invariant that the fields state.
    pub(super) fn check(&self) {
        assert_eq!(self.positions.len(), self.entries.len());
        assert!(self.positions.is_sorted());
        let mut slots: Vec<usize> = self.slots.iter().copied().map(usize::from).collect();
        slots.sort_unstable();
        assert!(slots.into_iter().eq(0..self.entries.len()));
    }
}
