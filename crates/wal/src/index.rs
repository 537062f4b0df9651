//! Where the entries of a group are, and what is known of the group without reading them.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::WalError;
use crate::format::{CARRY_HAS_STATE, DiskKind, RecordHeader, record_bytes};

/// The place of one entry within its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) offset: u32,
    pub(crate) body_bytes: u32,
    /// The entry's stamp: after a truncation the last entry's must be known again.
    pub(crate) stamp: u64,
}

impl Spot {
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

/// One group: 16 bytes an entry, and two numbers a term.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupIndex {
    /// The entry before the first one held; unknown until something of the group was seen that
    /// places it.
    base: Option<(Id, u64)>,
    runs: Vec<Run>,
    /// The first index of each run of entries of one term.
    term_runs: Vec<(u64, u64)>,
    state: Option<Bytes>,
    /// Bytes of the bodies of the entries held.
    bytes: u64,
}

/// Why a record cannot follow those before it. Of a record being appended it is the caller's
/// mistake; of one read back intact it is damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfOrder {
    /// The index that would have been accepted, or the highest one.
    pub(crate) expected: u64,
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

    /// The first index held; the next one if none is.
    pub(crate) fn first(&self) -> u64 {
        self.base
            .map_or(1, |(base, _)| base.index.saturating_add(1))
    }

    /// The last entry's id, or that of the one before the first if none is held.
    pub(crate) fn last(&self) -> Id {
        let base = self.base.map_or(Id::default(), |(base, _)| base);
        match (self.runs.last(), self.term_runs.last()) {
            (Some(run), Some((_, term))) => Id {
                term: *term,
                index: run.first + run.spots.len() as u64 - 1,
            },
            _ => base,
        }
    }

    /// The last entry's stamp.
    pub(crate) fn last_stamp(&self) -> u64 {
        let base = self.base.map_or(0, |(_, stamp)| stamp);
        self.runs
            .last()
            .and_then(|run| run.spots.last())
            .map_or(base, |spot| spot.stamp)
    }

    /// Whether a record of this kind and index may come next.
    pub(crate) fn check(&self, kind: DiskKind, index: u64) -> Result<(), OutOfOrder> {
        check_order(
            self.base
                .is_some()
                .then(|| (self.first(), self.last().index)),
            kind,
            index,
        )
    }

    /// Takes in a record that [`GroupIndex::check`] accepted.
    pub(crate) fn apply(&mut self, segment: u64, offset: u64, header: &RecordHeader, body: Bytes) {
        match DiskKind::from_number(header.kind) {
            Some(DiskKind::Entry) => self.push(segment, offset, header),
            Some(DiskKind::Truncate) => self.truncate(header.index),
            Some(DiskKind::State) => self.state = Some(body),
            Some(DiskKind::Carry) => self.carry_in(header, body),
            None => unreachable!("a record of kind {} was checked before", header.kind),
        }
    }

    /// Whether a carry record says what is known already.
    pub(crate) fn agrees_with_carry(&self, header: &RecordHeader, body: &[u8]) -> bool {
        let state = (header.tag == CARRY_HAS_STATE).then_some(body);
        let last = Id {
            term: header.term,
            index: header.index,
        };
        last == self.last() && header.stamp == self.last_stamp() && state == self.state.as_deref()
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
        if self.base.is_none() {
            self.base = Some((
                Id {
                    term: 0,
                    index: index.saturating_sub(1),
                },
                0,
            ));
        }
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
    }

    fn carry_in(&mut self, header: &RecordHeader, body: Bytes) {
        let last = Id {
            term: header.term,
            index: header.index,
        };
        self.base = (last != Id::default()).then_some((last, header.stamp));
        self.state = (header.tag == CARRY_HAS_STATE).then_some(body);
    }
}

/// The order of a group's records. `held` is the first and last index, or nothing if nothing of the
/// group was ever placed; then any first entry will do, because logs may begin behind a snapshot.
fn check_order(held: Option<(u64, u64)>, kind: DiskKind, index: u64) -> Result<(), OutOfOrder> {
    match (kind, held) {
        (DiskKind::Entry, None) if index == 0 || index == u64::MAX => {
            Err(OutOfOrder { expected: 1 })
        }
        (DiskKind::Entry, Some((_, last))) if last.checked_add(1) != Some(index) => {
            Err(OutOfOrder {
                expected: last.saturating_add(1),
            })
        }
        (DiskKind::Truncate, None) => Err(OutOfOrder { expected: 0 }),
        (DiskKind::Truncate, Some((first, last)))
            if index < first || index > last.saturating_add(1) =>
        {
            Err(OutOfOrder {
                expected: last.saturating_add(1),
            })
        }
        _ => Ok(()),
    }
}

/// Checks a sequence of records against groups without changing them: what would be the first and
/// last index of each group touched.
#[derive(Default)]
pub(crate) struct OrderCheck {
    held: BTreeMap<u64, Option<(u64, u64)>>,
}

impl OrderCheck {
    /// Checks the next record.
    pub(crate) fn next(
        &mut self,
        groups: &BTreeMap<u64, GroupIndex>,
        kind: DiskKind,
        group: u64,
        index: u64,
    ) -> Result<(), OutOfOrder> {
        let held = self.held.entry(group).or_insert_with(|| {
            let index = groups.get(&group)?;
            index
                .base
                .is_some()
                .then(|| (index.first(), index.last().index))
        });
        check_order(*held, kind, index)?;
        match kind {
            DiskKind::Entry => *held = Some((held.map_or(index, |(first, _)| first), index)),
            DiskKind::Truncate => *held = held.map(|(first, _)| (first, index - 1)),
            DiskKind::State | DiskKind::Carry => {}
        }
        Ok(())
    }
}
