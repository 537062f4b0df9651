//! What a node's disk holds: a hard state, a log that may begin behind a snapshot, and a snapshot.

use raft::{
    ConfChange, ConfState, Entry, EntryId, EntryKind, HardState, LogIndex, Recovered, SnapshotMeta,
    Term,
};

/// A log on a disk, or one with all that is on its way there.
#[derive(Clone, Debug, Default)]
pub(crate) struct DiskLog {
    /// The entry it begins behind.
    pub(crate) base: EntryId,
    pub(crate) entries: Vec<Entry>,
}

impl DiskLog {
    pub(crate) fn of(entries: Vec<Entry>) -> DiskLog {
        DiskLog {
            base: EntryId::ZERO,
            entries,
        }
    }

    pub(crate) fn last(&self) -> EntryId {
        self.entries.last().map_or(self.base, |entry| entry.id)
    }

    pub(crate) fn entry(&self, index: LogIndex) -> Option<&Entry> {
        self.entries.get(self.position(index)?)
    }

    pub(crate) fn id(&self, index: LogIndex) -> Option<EntryId> {
        if index == self.base.index {
            return Some(self.base);
        }
        self.entry(index).map(|entry| entry.id)
    }

    fn position(&self, index: LogIndex) -> Option<usize> {
        usize::try_from(index.0.checked_sub(self.base.index.0 + 1)?).ok()
    }

    /// A write's effect, or that of its first pieces.
    pub(crate) fn write(
        &mut self,
        base: Option<EntryId>,
        truncate_from: Option<LogIndex>,
        entries: &[Entry],
    ) {
        if let Some(base) = base {
            self.begin_behind(base);
        }
        if let Some(first_dropped) = truncate_from {
            let kept = self.position(first_dropped).expect("behind the base");
            assert!(kept <= self.entries.len(), "truncated behind the end");
            self.entries.truncate(kept);
        }
        for entry in entries {
            assert_eq!(
                entry.id.index,
                self.last().index.next(),
                "a gap or overlap on disk"
            );
            self.entries.push(entry.clone());
        }
    }

    /// The rule of `Persist::base`.
    fn begin_behind(&mut self, base: EntryId) {
        assert!(base.index > self.base.index, "the base goes back to {base}");
        if self.id(base.index) == Some(base) {
            self.entries.retain(|entry| entry.id.index > base.index);
        } else {
            self.entries.clear();
        }
        self.base = base;
    }
}

/// The configurations that entries bring, and their positions.
pub(crate) fn confs_of(entries: &[Entry]) -> impl Iterator<Item = (LogIndex, ConfState)> {
    let changes = entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::Membership);
    changes.map(|entry| {
        let change = ConfChange::decode(&entry.payload).expect("written by raft");
        (entry.id.index, change.conf)
    })
}

/// A snapshot. The state of these tests' machine is all that it has applied.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) meta: SnapshotMeta,
    pub(crate) state: Vec<Entry>,
}

/// What survives a crash.
#[derive(Clone, Debug, Default)]
pub(crate) struct Durable {
    pub(crate) hard_state: HardState,
    pub(crate) log: DiskLog,
    pub(crate) snapshot: Option<Snapshot>,
}

impl Durable {
    pub(crate) fn last(&self) -> EntryId {
        self.log.last()
    }

    /// Whether the entry, or its effect, is there.
    pub(crate) fn contains(&self, id: EntryId) -> bool {
        let in_snapshot = || {
            let state = &self.snapshot.as_ref()?.state;
            state.get(usize::try_from(id.index.0.checked_sub(1)?).ok()?)
        };
        id == EntryId::ZERO
            || self.log.id(id.index) == Some(id)
            || in_snapshot().is_some_and(|entry| entry.id == id)
    }

    pub(crate) fn entry(&self, index: LogIndex) -> Option<&Entry> {
        self.log.entry(index)
    }

    /// A complete snapshot is on the disk; the newest is kept.
    pub(crate) fn keep_snapshot(&mut self, snapshot: &Snapshot) {
        let newest = self.snapshot.as_ref().map(|kept| kept.meta.last.index);
        if newest.is_none_or(|newest| newest < snapshot.meta.last.index) {
            self.snapshot = Some(snapshot.clone());
        }
    }

    pub(crate) fn recovered(&self) -> Recovered {
        let mut term_runs: Vec<(LogIndex, Term)> = Vec::new();
        for entry in &self.log.entries {
            if term_runs
                .last()
                .is_none_or(|&(_, term)| term != entry.id.term)
            {
                term_runs.push((entry.id.index, entry.id.term));
            }
        }
        Recovered {
            hard_state: self.hard_state,
            snapshot: self.snapshot.as_ref().map(|snapshot| snapshot.meta.clone()),
            base: self.log.base,
            term_runs,
            last: self.last(),
            confs: confs_of(&self.log.entries).collect(),
            last_time_ms: self.log.entries.last().map_or(0, |entry| entry.time_ms),
            ..Recovered::default()
        }
    }
}
