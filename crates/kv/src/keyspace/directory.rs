//! The directory: all segments in the order of their ranges, and which of them covers a position.
//!
//! Two levels, as in a B-tree of fixed height. A *shelf* holds some hundred neighbouring segments, the
//! directory the shelves. Both levels are sorted arrays of first positions, searched by halving. Ten
//! million keys are some hundred shelves, so what a frozen view takes at once is some hundred references;
//! the first change below a shelf then copies that shelf's references, and the first change of a segment
//! one page of it (module `pages`). It also keeps the price of a cut flat: only one shelf moves its tail.

use std::sync::Arc;

use super::position::Position;
use super::segment::Segment;

/// A shelf is cut in two when it would exceed this many segments.
pub(super) const SHELF_SEGMENTS_MAX: usize = 128;

/// A shelf with fewer segments is merged with a neighbour, when they fit together.
const SHELF_SEGMENTS_MIN: usize = SHELF_SEGMENTS_MAX / 8;

/// The largest result of a merge, and how full shelves are built: far enough from a cut.
const SHELF_SEGMENTS_FILLED: usize = SHELF_SEGMENTS_MAX / 4 * 3;

/// Where a segment is. Ordered as the segments are; valid until one is added or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    shelf: usize,
    slot: usize,
}

/// All segments, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    /// The first position of the range of each shelf, ascending.
    starts: Vec<u64>,
    /// The shelves, parallel to `starts`. Invariant: none is empty.
    shelves: Vec<Arc<Shelf>>,
    segment_count: usize,
}

/// Neighbouring segments.
#[derive(Clone, Debug, Default)]
pub(super) struct Shelf {
    /// The first position of the range of each segment, ascending.
    starts: Vec<u64>,
    /// The segments, parallel to `starts`.
    segments: Vec<Arc<Segment>>,
}

impl Directory {
    /// One empty segment for all positions.
    pub(super) fn of_one() -> Directory {
        let mut directory = Directory::default();
        directory.push(Position::FIRST, Segment::default());
        directory
    }

    /// The number of segments.
    pub(super) fn len(&self) -> usize {
        self.segment_count
    }

    /// The segment whose range has a position.
    pub(super) fn find(&self, position: Position) -> At {
        let shelf = last_at_or_before(&self.starts, position);
        At {
            shelf,
            slot: last_at_or_before(&self.shelves[shelf].starts, position),
        }
    }

    pub(super) fn get(&self, at: At) -> &Segment {
        &self.shelves[at.shelf].segments[at.slot]
    }

    /// The segment, to be changed; what a frozen view shares is copied first.
    pub(super) fn get_mut(&mut self, at: At) -> &mut Segment {
        let shelf = Arc::make_mut(&mut self.shelves[at.shelf]);
        Arc::make_mut(&mut shelf.segments[at.slot])
    }

    /// The first position of a segment and that of the next.
    pub(super) fn range(&self, at: At) -> (Position, Position) {
        let starts = &self.shelves[at.shelf].starts;
        let end = starts
            .get(at.slot + 1)
            .or_else(|| self.starts.get(at.shelf + 1));
        let end = end.copied().unwrap_or(u64::MAX);
        (Position(starts[at.slot]), Position(end))
    }

    /// The segment before this one.
    pub(super) fn before(&self, at: At) -> Option<At> {
        if let Some(slot) = at.slot.checked_sub(1) {
            return Some(At { slot, ..at });
        }
        let shelf = at.shelf.checked_sub(1)?;
        let slot = self.shelves[shelf].segments.len() - 1;
        Some(At { shelf, slot })
    }

    /// The segment behind this one.
    pub(super) fn behind(&self, at: At) -> Option<At> {
        if at.slot + 1 < self.shelves[at.shelf].segments.len() {
            let slot = at.slot + 1;
            return Some(At { slot, ..at });
        }
        let shelf = at.shelf + 1;
        (shelf < self.shelves.len()).then_some(At { shelf, slot: 0 })
    }

    /// All segments, from one on.
    pub(super) fn from(&self, at: At) -> impl Iterator<Item = &Segment> {
        let first = &self.shelves[at.shelf].segments[at.slot..];
        let rest = self.shelves[at.shelf + 1..].iter();
        let rest = rest.flat_map(|shelf| &shelf.segments);
        first.iter().chain(rest).map(Arc::as_ref)
    }

    /// All segments.
    pub(super) fn segments(&self) -> impl Iterator<Item = &Segment> {
        let shelves = self.shelves.iter();
        shelves.flat_map(|shelf| &shelf.segments).map(Arc::as_ref)
    }

    /// All segments, taken out.
    pub(super) fn into_segments(self) -> impl Iterator<Item = Arc<Segment>> {
        self.shelves.into_iter().flat_map(|shelf| {
            let shelf = Arc::unwrap_or_clone(shelf);
            shelf.segments
        })
    }

    /// All shelves, shared as they are now.
    pub(super) fn shelves(&self) -> impl Iterator<Item = Arc<Shelf>> {
        self.shelves.iter().cloned()
    }

    /// A segment for two random numbers, each as likely as any other; `None` where the two name none:
    /// then with others. The chance of that is less than a half, unless shelves were just merged.
    pub(super) fn draw(&self, shelf: u64, slot: u64) -> Option<At> {
        let shelf = (shelf % self.shelves.len() as u64) as usize;
        let count = self.shelves[shelf].segments.len();
        let places = match self.shelves.len() {
            1 => count,
            _ => SHELF_SEGMENTS_MAX,
        };
        let slot = (slot % places as u64) as usize;
        (slot < count).then_some(At { shelf, slot })
    }

    /// Adds a segment behind all others.
    pub(super) fn push(&mut self, start: Position, segment: Segment) {
        let is_full = |shelf: &Arc<Shelf>| shelf.segments.len() >= SHELF_SEGMENTS_FILLED;
        if self.shelves.last().is_none_or(is_full) {
            self.starts.push(start.0);
            self.shelves.push(Arc::default());
        }
        if let Some(last) = self.shelves.last_mut() {
            let last = Arc::make_mut(last);
            last.starts.push(start.0);
            last.segments.push(Arc::new(segment));
            self.segment_count += 1;
        }
    }

    /// Adds a segment behind this one, for the positions from `start` on.
    pub(super) fn insert_behind(&mut self, at: At, start: Position, segment: Segment) {
        let shelf = Arc::make_mut(&mut self.shelves[at.shelf]);
        shelf.starts.insert(at.slot + 1, start.0);
        shelf.segments.insert(at.slot + 1, Arc::new(segment));
        self.segment_count += 1;
        let count = shelf.segments.len();
        if count > SHELF_SEGMENTS_MAX {
            let upper = shelf.split_off(count / 2);
            self.starts.insert(at.shelf + 1, upper.starts[0]);
            self.shelves.insert(at.shelf + 1, Arc::new(upper));
        }
    }

    /// Removes a segment that is not the first. The one before covers its range from then on.
    pub(super) fn remove(&mut self, at: At) -> Segment {
        let shelf = Arc::make_mut(&mut self.shelves[at.shelf]);
        shelf.starts.remove(at.slot);
        let segment = shelf.segments.remove(at.slot);
        self.segment_count -= 1;
        match shelf.starts.first() {
            Some(first) => self.starts[at.shelf] = *first,
            None => {
                self.starts.remove(at.shelf);
                self.shelves.remove(at.shelf);
            }
        }
        if at.shelf < self.shelves.len() {
            self.merge(at.shelf);
        }
        Arc::unwrap_or_clone(segment)
    }

    /// Merges a shelf that has few segments with a neighbour, if the two fit into one.
    fn merge(&mut self, index: usize) {
        if self.shelves[index].segments.len() >= SHELF_SEGMENTS_MIN {
            return;
        }
        let fits = |lower: usize| {
            let pair = self.shelves.get(lower..lower + 2);
            pair.is_some_and(|pair| {
                let merged: usize = pair.iter().map(|shelf| shelf.segments.len()).sum();
                merged <= SHELF_SEGMENTS_FILLED
            })
        };
        let lower = match index.checked_sub(1) {
            Some(before) if fits(before) => before,
            _ if fits(index) => index,
            _ => return,
        };
        self.starts.remove(lower + 1);
        let upper = Arc::unwrap_or_clone(self.shelves.remove(lower + 1));
        let shelf = Arc::make_mut(&mut self.shelves[lower]);
        shelf.starts.extend(upper.starts);
        shelf.segments.extend(upper.segments);
    }

    /// The bytes of all arrays but those of the segments themselves.
    pub(super) fn allocated_bytes(&self) -> usize {
        let header_bytes = 2 * size_of::<usize>();
        let of_shelf = |shelf: &Arc<Shelf>| {
            let arrays = shelf.starts.capacity() + shelf.segments.capacity();
            size_of::<Shelf>() + header_bytes + arrays * size_of::<u64>()
        };
        let shelves: usize = self.shelves.iter().map(of_shelf).sum();
        let arrays = self.starts.capacity() + self.shelves.capacity();
        let segments = self.segment_count * (size_of::<Segment>() + header_bytes);
        shelves + segments + arrays * size_of::<u64>()
    }
}

impl Shelf {
    pub(super) fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    fn split_off(&mut self, slot: usize) -> Shelf {
        Shelf {
            starts: self.starts.split_off(slot),
            segments: self.segments.split_off(slot),
        }
    }
}

/// The index of the last number that is not greater than the position. The first never is.
fn last_at_or_before(starts: &[u64], position: Position) -> usize {
    starts
        .partition_point(|start| *start <= position.0)
        .saturating_sub(1)
}

#[cfg(test)]
impl Directory {
    /// Checks every invariant that the fields state.
    pub(super) fn check(&self) {
        assert_eq!(self.starts.len(), self.shelves.len());
        let starts = self.shelves.iter().flat_map(|shelf| &shelf.starts);
        let starts: Vec<u64> = starts.copied().collect();
        assert_eq!(starts.first(), Some(&0));
        assert!(starts.is_sorted_by(|left, right| left < right));
        assert_eq!(starts.len(), self.segment_count);
        for (start, shelf) in self.starts.iter().zip(&self.shelves) {
            assert_eq!(Some(start), shelf.starts.first());
            assert_eq!(shelf.starts.len(), shelf.segments.len());
            assert!(shelf.segments.len() <= SHELF_SEGMENTS_MAX);
        }
        let mut at = Some(At { shelf: 0, slot: 0 });
        for segment in self.segments() {
            let here = at.expect("as many as there are");
            assert!(std::ptr::eq(self.get(here), segment));
            assert_eq!(self.find(self.range(here).0), here);
            at = self.behind(here);
            let back = at.and_then(|next| self.before(next));
            assert!(at.is_none() || back == Some(here));
        }
        assert_eq!(at, None);
    }

    /// The number of segments that a frozen view shares.
    pub(super) fn shared_segments(&self) -> usize {
        let shared = |shelf: &Arc<Shelf>| {
            let is_shared = |segment: &&Arc<Segment>| {
                Arc::strong_count(shelf) > 1 || Arc::strong_count(segment) > 1
            };
            shelf.segments.iter().filter(is_shared).count()
        };
        self.shelves.iter().map(shared).sum()
    }
}
