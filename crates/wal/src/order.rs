//! Whether records may follow those before them, decided before any of them is written.

use std::collections::BTreeMap;

use crate::format::DiskKind;
use crate::index::{GroupIndex, Id};

/// Why a record cannot follow those before it. Of a record being appended it is the caller's
/// mistake; of one read back intact it is damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfOrder {
    /// The index that would have been accepted, or the highest one.
    pub(crate) expected: u64,
}

/// The order of a group's records. `held` is the first and last index, or nothing if nothing of the
/// group was ever placed; then any first entry will do, because logs may begin behind a snapshot.
pub(crate) fn check_order(
    held: Option<(u64, u64)>,
    kind: DiskKind,
    index: u64,
) -> Result<(), OutOfOrder> {
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
        (DiskKind::Base, None) if index == u64::MAX => Err(OutOfOrder {
            expected: u64::MAX - 1,
        }),
        (DiskKind::Base, Some((first, _)))
            if index < first.saturating_sub(1) || index == u64::MAX =>
        {
            Err(OutOfOrder {
                expected: first.saturating_sub(1),
            })
        }
        _ => Ok(()),
    }
}

/// What a group would hold after some records of a call.
#[derive(Clone, Debug)]
struct Ahead {
    /// First and last index; nothing if nothing of the group was ever placed.
    held: Option<(u64, u64)>,
    /// The base, if a record of the call set it.
    base: Option<Id>,
    /// From here on the group's entries are those of the call.
    from: u64,
    /// The first index of each run of entries of one term among them.
    term_runs: Vec<(u64, u64)>,
}

impl Ahead {
    fn of(index: Option<&GroupIndex>) -> Ahead {
        let held = index.and_then(GroupIndex::held);
        Ahead {
            held,
            base: None,
            from: held.map_or(0, |(_, last)| last.saturating_add(1)),
            term_runs: Vec::new(),
        }
    }

    fn holds(&self, index: Option<&GroupIndex>, id: Id) -> bool {
        if self.base == Some(id) {
            return true;
        }
        let Some((first, last)) = self.held else {
            return false;
        };
        if id.index >= first && id.index <= last && id.index >= self.from {
            let after = self.term_runs.partition_point(|(run, _)| *run <= id.index);
            return after
                .checked_sub(1)
                .is_some_and(|run| self.term_runs[run].1 == id.term);
        }
        let is_in_index = id.index.saturating_add(1) >= first && id.index <= last;
        let is_base_known = self.base.is_none_or(|base| base.index != id.index);
        is_in_index && is_base_known && index.is_some_and(|index| index.holds(id).unwrap_or(false))
    }

    fn take(&mut self, index: Option<&GroupIndex>, kind: DiskKind, id: Id) {
        let at = id.index;
        match kind {
            DiskKind::Entry => {
                if self.held.is_none() {
                    self.from = at;
                }
                self.held = Some((self.held.map_or(at, |(first, _)| first), at));
                if self
                    .term_runs
                    .last()
                    .is_none_or(|(_, term)| *term != id.term)
                {
                    self.term_runs.push((at, id.term));
                }
            }
            DiskKind::Truncate => {
                self.held = self.held.map(|(first, _)| (first, at.saturating_sub(1)));
                self.from = self.from.min(at);
                let kept = self.term_runs.partition_point(|(run, _)| *run < at);
                self.term_runs.truncate(kept);
            }
            DiskKind::Base => {
                let last = self.held.map_or(at, |(_, last)| last.max(at));
                if self.holds(index, id) {
                    self.held = Some((at.saturating_add(1), last));
                } else {
                    self.held = Some((at.saturating_add(1), at));
                    self.from = at.saturating_add(1);
                    self.term_runs.clear();
                }
                self.base = Some(id);
            }
            DiskKind::State | DiskKind::Carry => {}
        }
    }
}

/// Checks a sequence of records against groups without changing them.
#[derive(Default)]
pub(crate) struct OrderCheck {
    ahead: BTreeMap<u64, Ahead>,
}

impl OrderCheck {
    /// Checks the next record.
    pub(crate) fn next(
        &mut self,
        groups: &BTreeMap<u64, GroupIndex>,
        kind: DiskKind,
        group: u64,
        id: Id,
    ) -> Result<(), OutOfOrder> {
        let index = groups.get(&group);
        let ahead = self.ahead.entry(group).or_insert_with(|| Ahead::of(index));
        check_order(ahead.held, kind, id.index)?;
        ahead.take(index, kind, id);
        Ok(())
    }
}
