//! What was committed: one log that every node's log must begin with.

use raft::{EntryId, LogIndex, NodeId, Term};

use crate::judges::shadow::confs::Confs;
use crate::judges::shadow::entry::{Held, Mark, at};

/// The committed entries, from index 1 on. The first node that commits an index fixes it.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Vec<Committed>,
    confs: Confs,
}

/// A committed entry.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The entry.
    pub held: Held,
    /// Who was the first to say that it is committed.
    pub by: NodeId,
    /// The term that node was in.
    pub in_term: Term,
    /// At which step of the run.
    pub step: u64,
}

impl Ledger {
    /// The entry at an index.
    pub fn entry(&self, index: LogIndex) -> Option<&Committed> {
        at(&self.entries, index)
    }

    /// All entries, from index 1 on.
    pub fn entries(&self) -> &[Committed] {
        &self.entries
    }

    /// The configurations among them.
    pub fn confs(&self) -> &Confs {
        &self.confs
    }

    /// Whether this entry was committed.
    pub fn contains(&self, id: EntryId) -> bool {
        self.entry(id.index)
            .is_some_and(|entry| entry.held.term == id.term)
    }

    /// The entries up to an index, from index 1 on.
    pub(super) fn held(&self, to: LogIndex) -> impl Iterator<Item = Held> + '_ {
        let entries = self.entries.iter().take(to.0 as usize);
        entries.map(|entry| entry.held.clone())
    }

    /// What tells the entries up to an index apart from others, from index 1 on.
    pub(super) fn marks(&self, to: LogIndex) -> impl Iterator<Item = Mark> + '_ {
        let entries = self.entries.iter().take(to.0 as usize);
        entries.map(|entry| entry.held.mark())
    }

    /// The last index that was committed.
    pub fn last(&self) -> LogIndex {
        LogIndex(self.entries.len() as u64)
    }

    pub(super) fn push(&mut self, entry: Committed) {
        let index = self.last().next();
        self.confs.take(index, &entry.held);
        self.entries.push(entry);
    }
}
