//! Where the entries of a group are, and what is known of the group without reading them.

use buggify::Canary;
use bytes::Bytes;

use crate::WalError;
use crate::format::{BASE_EMPTIES, DiskKind, RecordHeader, record_bytes};
use crate::order::{OutOfOrder, check_order};

/// The place of one entry within its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) offset: u32,
    pub(crate) body_bytes: u32,
    /// The entry's stamp: after a truncation the last entry's must be known again.
    pub(crate) stamp: u64,
}

impl Spot {
    fn body_len(&self) -> u64 {
        u64::from(self.body_bytes)
    }

    /// The offset behind the record.
    pub(crate) fn end(&self) -> u64 {
        u64::from(self.offset) + record_bytes(u64::from(self.body_bytes))
    }
}

/// An entry and where it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) index: u64,
    pub(crate) segment: u64,
    pub(crate) spot: Spot,
}

/// Consecutive entries of one group in one segment.
#[derive(Clone, Debug)]
struct Run {
    segment: u64,
    first: u64,
    spots: Vec<Spot>,
}

/// The id of an entry, in the order of Raft's "more up to date".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) term: u64,
    pub(crate) index: u64,
}

/// The entry before the first one held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) id: Id,
    pub(crate) stamp: u64,
}

/// Entries behind the base whose segments are not there: reading began behind them. A log whose
/// oldest segment was rightly advanced drops all of them again before it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Absent {
    /// The last of them.
    last: u64,
    /// Its term and stamp, as long as it is the one that a carry named.
    known: Option<(u64, u64)>,
}

/// One group: 16 bytes an entry, and two numbers a term.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupIndex {
    /// The entry before the first one held; unknown until something of the group was seen that
    /// places it.
    base: Option<Base>,
    absent: Option<Absent>,
    runs: Vec<Run>,
    /// The first index of each run of entries of one term.
    term_runs: Vec<(u64, u64)>,
    state: Option<Bytes>,
    /// Bytes of the bodies of the entries held.
    bytes: u64,
}

impl GroupIndex {
    pub(crate) fn state(&self) -> Option<&Bytes> {
        self.state.as_ref()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn term_runs(&self) -> &[(u64, u64)] {
        &self.term_runs
    }

    /// The entry before the first one held; zeros if nothing is known of one.
    pub(crate) fn base(&self) -> Base {
        self.base.unwrap_or_default()
    }

    /// The first index held; the next one if none is.
    pub(crate) fn first(&self) -> u64 {
        self.base().id.index.saturating_add(1)
    }

    /// The last entry's id, or that of the one before the first if none is held. Its term is 0 if the
    /// entry is one whose segment is not there.
    pub(crate) fn last(&self) -> Id {
        match (self.runs.last(), self.term_runs.last(), self.absent) {
            (Some(run), Some((_, term)), _) => Id {
                term: *term,
                index: run.first + run.spots.len() as u64 - 1,
            },
            (_, _, Some(absent)) => Id {
                term: absent.known.map_or(0, |(term, _)| term),
                index: absent.last,
            },
            _ => self.base().id,
        }
    }

    /// The last entry's stamp.
    pub(crate) fn last_stamp(&self) -> u64 {
        match (
            self.runs.last().and_then(|run| run.spots.last()),
            self.absent,
        ) {
            (Some(spot), _) => spot.stamp,
            (None, Some(absent)) => absent.known.map_or(0, |(_, stamp)| stamp),
            (None, None) => self.base().stamp,
        }
    }

    /// The oldest segment with an entry of the group; `None` if no entry is held.
    pub(crate) fn oldest_segment(&self) -> Option<u64> {
        self.runs.first().map(|run| run.segment)
    }

    /// Index, segment and offset of each entry held, in order.
    pub(crate) fn places(&self) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
        self.spots_from(self.first())
            .map(|entry| (entry.index, entry.segment, u64::from(entry.spot.offset)))
    }

    /// Whether entries that the group should hold are in segments that are not there.
    pub(crate) fn lacks_entries(&self) -> bool {
        self.absent.is_some()
    }

    /// Whether a record of this kind and index may come next.
    pub(crate) fn check(&self, kind: DiskKind, index: u64) -> Result<(), OutOfOrder> {
        check_order(self.held(), kind, index)
    }

    /// The first and last index held; nothing if nothing was ever placed.
    pub(crate) fn held(&self) -> Option<(u64, u64)> {
        self.base.map(|_| (self.first(), self.last().index))
    }

    /// Whether the group holds this entry, or begins right behind it. `None` if that cannot be told,
    /// because the entry is in a segment that is not there.
    pub(crate) fn holds(&self, id: Id) -> Option<bool> {
        if self.base.is_some_and(|base| base.id == id) {
            return Some(true);
        }
        if self
            .absent
            .is_some_and(|absent| id.index > self.base().id.index && id.index <= absent.last)
        {
            return None;
        }
        if buggify::canary(Canary::BaseKeepsOtherTail) {
            return Some(self.term_at(id.index).is_some());
        }
        Some(self.term_at(id.index) == Some(id.term))
    }

    /// Takes in a record that [`GroupIndex::check`] accepted.
    pub(crate) fn apply(&mut self, segment: u64, offset: u64, header: &RecordHeader, body: Bytes) {
        match DiskKind::from_number(header.kind) {
            Some(DiskKind::Entry) => self.push(segment, offset, header),
            Some(DiskKind::Truncate) => self.truncate(header.index),
            Some(DiskKind::State) => self.state = Some(body),
            Some(DiskKind::Base) => self.rebase(header),
            Some(DiskKind::Carry) | None => {
                unreachable!("a record of kind {} was checked before", header.kind)
            }
        }
    }

    /// Takes in where the group stood when the first segment that is read began.
    pub(crate) fn begin(&mut self, carried: &Carried) {
        self.base = carried.base;
        self.absent = (carried.last.index > self.base().id.index).then_some(Absent {
            last: carried.last.index,
            known: Some((carried.last.term, carried.stamp)),
        });
        self.state = carried.state.clone();
    }

    /// Compares a carry with what is known, and learns what is not. `false` if they contradict.
    pub(crate) fn agrees(&mut self, carried: &Carried, has_base: bool) -> bool {
        if let Some(absent) = self.absent.as_mut().filter(|_| self.runs.is_empty())
            && absent.known.is_none()
            && absent.last == carried.last.index
        {
            absent.known = Some((carried.last.term, carried.stamp));
        }
        carried.last == self.last()
            && carried.stamp == self.last_stamp()
            && carried.state == self.state
            && (!has_base || carried.base == self.base)
    }

    /// Where the group stands, to be written at the start of a segment.
    pub(crate) fn carried(&self) -> Carried {
        Carried {
            base: self.base,
            last: self.last(),
            stamp: self.last_stamp(),
            state: self.state.clone(),
        }
    }

    /// The term of the entry at `index`, if it is held.
    pub(crate) fn term_at(&self, index: u64) -> Option<u64> {
        if index < self.first() || index > self.last().index {
            return None;
        }
        let after = self.term_runs.partition_point(|(first, _)| *first <= index);
        after.checked_sub(1).map(|run| self.term_runs[run].1)
    }

    /// The places of entries `first` to `last`: as many as their bodies fit in `bytes_max`, and at least
    /// one if `first` exists.
    pub(crate) fn wanted(
        &self,
        group: u64,
        first: u64,
        last: u64,
        bytes_max: usize,
    ) -> Result<Vec<Wanted>, WalError> {
        if first < self.first() {
            return Err(WalError::NotHeld {
                group,
                index: first,
                first: self.first(),
            });
        }
        let mut wanted: Vec<Wanted> = Vec::new();
        let mut bytes = 0_usize;
        for entry in self.spots_from(first) {
            bytes = bytes.saturating_add(entry.spot.body_bytes as usize);
            if entry.index > last || (bytes > bytes_max && !wanted.is_empty()) {
                break;
            }
            wanted.push(entry);
        }
        Ok(wanted)
    }

    /// The places of the entries from `first` on, in order.
    fn spots_from(&self, first: u64) -> impl Iterator<Item = Wanted> + '_ {
        let after = self.runs.partition_point(|run| run.first <= first);
        self.runs[after.saturating_sub(1)..]
            .iter()
            .flat_map(move |run| {
                let skipped =
                    usize::try_from(first.saturating_sub(run.first)).unwrap_or(usize::MAX);
                run.spots
                    .iter()
                    .enumerate()
                    .skip(skipped)
                    .map(|(position, spot)| Wanted {
                        index: run.first + position as u64,
                        segment: run.segment,
                        spot: *spot,
                    })
            })
    }

    fn push(&mut self, segment: u64, offset: u64, header: &RecordHeader) {
        let index = header.index;
        self.base.get_or_insert(Base {
            id: Id {
                term: 0,
                index: index.saturating_sub(1),
            },
            stamp: 0,
        });
        debug_assert_eq!(index, self.last().index + 1, "entries are consecutive");
        let spot = Spot {
            offset: u32::try_from(offset).expect("segments are below 4 GiB"),
            body_bytes: header.body_bytes,
            stamp: header.stamp,
        };
        match self.runs.last_mut() {
            Some(run) if run.segment == segment => run.spots.push(spot),
            _ => self.runs.push(Run {
                segment,
                first: index,
                spots: vec![spot],
            }),
        }
        if self
            .term_runs
            .last()
            .is_none_or(|(_, term)| *term != header.term)
        {
            self.term_runs.push((index, header.term));
        }
        self.bytes += u64::from(header.body_bytes);
    }

    fn truncate(&mut self, first_dropped: u64) {
        while let Some(run) = self.runs.last_mut() {
            let kept =
                usize::try_from(first_dropped.saturating_sub(run.first)).unwrap_or(usize::MAX);
            if kept >= run.spots.len() {
                break;
            }
            self.bytes -= run
                .spots
                .drain(kept..)
                .map(|spot| u64::from(spot.body_bytes))
                .sum::<u64>();
            if run.spots.is_empty() {
                self.runs.pop();
            }
        }
        let kept = self
            .term_runs
            .partition_point(|(first, _)| *first < first_dropped);
        self.term_runs.truncate(kept);
        let last_kept = first_dropped.saturating_sub(1);
        self.absent = match self.absent {
            Some(_) if last_kept == self.base().id.index => None,
            Some(absent) if last_kept < absent.last => Some(Absent {
                last: last_kept,
                known: None,
            }),
            absent => absent,
        };
    }

    /// The log begins behind the entry that the header names.
    fn rebase(&mut self, header: &RecordHeader) {
        let id = Id {
            term: header.term,
            index: header.index,
        };
        self.base = Some(Base {
            id,
            stamp: header.stamp,
        });
        if header.tag == BASE_EMPTIES {
            self.absent = None;
            self.runs.clear();
            self.term_runs.clear();
            self.bytes = 0;
            return;
        }
        self.absent = self.absent.filter(|absent| absent.last > id.index);
        let first = id.index.saturating_add(1);
        let whole = self
            .runs
            .partition_point(|run| run.first + run.spots.len() as u64 <= first);
        let mut freed = 0;
        for run in self.runs.drain(..whole) {
            freed += run.spots.iter().map(Spot::body_len).sum::<u64>();
        }
        if let Some(run) = self.runs.first_mut().filter(|run| run.first < first) {
            let dropped = (first - run.first) as usize;
            freed += run
                .spots
                .drain(..dropped)
                .map(|spot| spot.body_len())
                .sum::<u64>();
            run.first = first;
        }
        self.bytes -= freed;
        if self.runs.is_empty() {
            self.term_runs.clear();
            return;
        }
        let after = self.term_runs.partition_point(|(run, _)| *run <= first);
        self.term_runs.drain(..after.saturating_sub(1));
        if let Some((run, _)) = self.term_runs.first_mut() {
            *run = first.max(*run);
        }
    }
}

/// Where a group stands, as a carry says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Carried {
    /// Nothing if nothing of the group was ever placed.
    pub(crate) base: Option<Base>,
    pub(crate) last: Id,
    /// The stamp of the last entry.
    pub(crate) stamp: u64,
    pub(crate) state: Option<Bytes>,
}
