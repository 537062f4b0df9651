//! What the facts so far add up to: each node's log as it was handed to its disk, how much of it is
//! durable, and the ledger of what was committed. Judges share it.
//!
//! It believes no replica: logs come from the records that were handed to the disk, durability from
//! what the disk confirmed. Only the commit index is taken from what Raft says, and judged.

mod confs;
mod disk;
mod entry;
mod ledger;

use raft::{ConfState, EntryId, HardState, LogIndex, NodeId, Term, WriteId};
use wal::{Record, RecordKind};

pub use crate::judges::shadow::confs::{Confs, is_quorum};
use crate::judges::shadow::disk::{Change, Queue};
pub use crate::judges::shadow::disk::{Disk, LastLife};
pub use crate::judges::shadow::entry::{Held, Mark, at};
pub use crate::judges::shadow::ledger::{Committed, Ledger};
use crate::judges::{Fact, View};

/// See the module.
#[derive(Debug, Default)]
pub struct Shadow {
    nodes: Vec<NodeShadow>,
    /// The configuration that the first members are born with.
    born: ConfState,
    /// That of the others, until a snapshot or their log says more.
    nobody: ConfState,
    /// Every configuration that stood in any log, by the term of its entry.
    ever: Vec<(Term, LogIndex, ConfState)>,
    ledger: Ledger,
    /// By index, the entry that was handed to a disk last: most entries are seen once per node, with
    /// the same bytes.
    latest: Vec<Held>,
    /// Steps of nodes so far.
    steps: u64,
    /// The first fact that contradicts those before it.
    contradiction: Option<String>,
}

/// One node, as the facts show it.
#[derive(Debug, Default)]
pub struct NodeShadow {
    /// Whether its process runs.
    pub up: bool,
    /// How often it was started.
    pub incarnation: u64,
    /// Its log as it was handed to its disk, durable or not, from index 1 on. Entries that a base
    /// stands for are there as they were committed: judges need not know that logs are cut.
    pub log: Vec<Held>,
    /// The configurations in it.
    pub confs: Confs,
    /// The position of the latest one after the step before the last.
    pub conf_before: LogIndex,
    /// The same, after its last step.
    conf_seen: LogIndex,
    /// Whether configurations came or went in its last step.
    pub conf_changed: bool,
    /// The same, of the step that is being taken.
    conf_is_changing: bool,
    /// Behind this entry its log begins, really, as it was handed to its disk; zero if it is whole.
    pub base: EntryId,
    /// Its snapshots that are durable: what each ends with, the oldest first.
    pub snapshots: Vec<EntryId>,
    /// Those that came from other nodes in this life.
    received: Vec<EntryId>,
    /// Its state comes from a snapshot, which names the members.
    has_loaded: bool,
    /// The one it started from.
    pub started_from: Option<EntryId>,
    /// The latest hard state that was handed to its disk.
    pub handed: HardState,
    /// What its disk has confirmed to hold.
    pub durable: Disk,
    /// Up to here its disk is known to hold the same as `log`, and no truncation that would change
    /// that is on its way.
    pub settled: LogIndex,
    /// What it said of itself after its last step, or at its start.
    pub view: Option<View>,
    /// What it said of itself before its last step; `None` until the first step of a life.
    pub before: Option<View>,
    /// Whether its last step changed its view.
    pub changed: bool,
    /// The lowest entry that its last write dropped from its log.
    pub dropped: Option<(LogIndex, Mark)>,
    /// Its disk was harmed at some time: what it finds when it starts may be anything. What a disk lost
    /// may come to light much later, as when the kernel's copy hides it until the power fails.
    pub damaged: bool,
    /// Its disk as it was when it was started last.
    pub last_life: LastLife,
    queue: Queue,
}

impl Shadow {
    /// Takes in a fact.
    pub fn take(&mut self, fact: &Fact<'_>) {
        match *fact {
            Fact::Begin { nodes, first } => {
                self.nodes.resize_with(nodes, NodeShadow::default);
                self.born = ConfState::of_voters((1..=first as u64).map(NodeId));
            }
            Fact::Started {
                node,
                incarnation,
                recovered,
                snapshot,
                view,
            } => self.started(node, incarnation, recovered, snapshot, view),
            Fact::SnapshotDurable {
                node,
                last,
                is_received,
            } => {
                let of = self.node_mut(node);
                of.received.extend(is_received.then_some(last));
                let snapshots = &mut of.snapshots;
                snapshots.retain(|held| held.index != last.index);
                snapshots.push(last);
                snapshots.sort_by_key(|held| held.index);
            }
            Fact::SnapshotsRemoved { node, below } => {
                let snapshots = &mut self.node_mut(node).snapshots;
                snapshots.retain(|held| held.index >= below);
            }
            Fact::Ended { node } => self.node_mut(node).up = false,
            Fact::Damaged { node } => self.node_mut(node).damaged = true,
            Fact::Handed { node, write } => self.handed(node, write),
            Fact::Persisted { node, write } => self.persisted(node, write),
            Fact::Stepped { node, view, .. } => self.stepped(node, view),
            Fact::Sent { .. }
            | Fact::Received { .. }
            | Fact::Retired { .. }
            | Fact::Refused { .. }
            | Fact::Answered { .. }
            | Fact::SnapshotLost { .. }
            | Fact::State { .. } => {}
        }
    }

    /// A node.
    ///
    /// # Panics
    /// If there is no such node: [`Fact::Begin`] said how many there are.
    pub fn node(&self, node: NodeId) -> &NodeShadow {
        &self.nodes[place(node)]
    }

    /// All nodes, with their ids.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &NodeShadow)> + Clone {
        (1..).map(NodeId).zip(&self.nodes)
    }

    /// What was committed.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The configuration in force on a node at an index of its log.
    pub fn conf_at(&self, node: NodeId, index: LogIndex) -> &ConfState {
        let found = self.node(node).confs.at(index).map(|(_, conf)| conf);
        let knows_born = self.born.contains(node) || self.node(node).has_loaded;
        found.unwrap_or(match knows_born {
            true => &self.born,
            false => &self.nobody,
        })
    }

    /// The configuration in force on a node: the latest in its log.
    pub fn conf(&self, node: NodeId) -> &ConfState {
        self.conf_at(node, LogIndex(u64::MAX))
    }

    /// The configuration in a node's log before the one at an index.
    pub fn conf_before(&self, node: NodeId, index: LogIndex) -> &ConfState {
        let before = self.node(node).confs.before(index);
        before.unwrap_or(&self.born)
    }

    /// The latest configuration that is committed, and the position of its entry.
    pub fn conf_committed(&self) -> (LogIndex, &ConfState) {
        let committed = self.ledger.confs().at(LogIndex(u64::MAX));
        committed.unwrap_or((LogIndex(0), &self.born))
    }

    /// Whether a node is one of the first members.
    pub fn is_first(&self, node: NodeId) -> bool {
        self.born.contains(node)
    }

    /// Whether the members ever changed.
    pub fn members_changed(&self) -> bool {
        !self.ever.is_empty()
    }

    /// Every configuration that stood in any log behind an index, in an entry of at most this term.
    pub fn confs_ever(&self, behind: LogIndex, term: Term) -> impl Iterator<Item = &ConfState> {
        let found = self.ever.iter();
        let is_meant =
            move |(of, index, _): &&(Term, LogIndex, ConfState)| *of <= term && *index > behind;
        found.filter(is_meant).map(|(_, _, conf)| conf)
    }

    /// Steps of nodes so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The first fact that contradicts those before it.
    pub fn contradiction(&self) -> Option<&str> {
        self.contradiction.as_deref()
    }

    fn node_mut(&mut self, node: NodeId) -> &mut NodeShadow {
        &mut self.nodes[place(node)]
    }

    fn contradict(&mut self, node: NodeId, what: &str, record: &Record) {
        let Record { term, index, .. } = *record;
        self.contradiction
            .get_or_insert_with(|| format!("{node}: {what}: record of index {index}, term {term}"));
    }

    fn started(
        &mut self,
        node: NodeId,
        incarnation: u64,
        recovered: &[Record],
        snapshot: Option<EntryId>,
        view: View,
    ) {
        let before = std::mem::take(self.node_mut(node));
        let (mut log, mut state): (Vec<Held>, _) = (Vec::new(), HardState::default());
        let mut base = EntryId::ZERO;
        for record in recovered {
            match change(record) {
                Some(Change::Base(found)) if self.ledger.contains(found) && log.is_empty() => {
                    base = found;
                    log = self.ledger.held(found.index).collect();
                }
                Some(Change::State(found)) => state = found,
                Some(Change::Truncate(index)) => log.truncate(index.previous().0 as usize),
                Some(Change::Entry(index)) if index.0 == log.len() as u64 + 1 => {
                    log.push(Held::of(record, before.log.get(log.len())));
                }
                _ => self.contradict(node, "recovered what is no log", record),
            }
        }
        let durable = Disk {
            log: log.iter().map(Held::mark).collect(),
            base,
            state,
        };
        if let Some(last) = snapshot {
            self.begin_with_snapshot(node, last, &mut log);
        }
        let settled = durable.log.iter().zip(&log);
        let settled = settled
            .take_while(|(mark, held)| **mark == held.mark())
            .count();
        let last_life = LastLife {
            incarnation: before.incarnation,
            damaged: before.damaged,
            durable: before.durable,
            queue: before.queue,
        };
        let mut snapshots = before.snapshots;
        if let Some(last) = snapshot
            && !snapshots.contains(&last)
        {
            // It had its name when the node died, and nobody was told. The start makes it durable.
            snapshots.push(last);
            snapshots.sort_by_key(|held| held.index);
        }
        let confs = Confs::of(&log);
        *self.node_mut(node) = NodeShadow {
            up: true,
            conf_before: confs.latest_index(),
            conf_seen: confs.latest_index(),
            conf_changed: true,
            confs,
            incarnation,
            settled: LogIndex(settled as u64),
            log,
            base,
            snapshots,
            started_from: snapshot,
            has_loaded: snapshot.is_some(),
            handed: state,
            durable,
            view: Some(view),
            changed: true,
            damaged: last_life.damaged,
            last_life,
            ..NodeShadow::default()
        };
        self.commit(node, &view);
    }

    /// The log that a node begins with when its snapshot ends with `last`: if the log on its disk does
    /// not hold that, a crash has interrupted an installation, which the start finishes.
    fn begin_with_snapshot(&mut self, node: NodeId, last: EntryId, log: &mut Vec<Held>) {
        if !self.ledger.contains(last) {
            self.contradiction.get_or_insert_with(|| {
                format!("{node} starts from a snapshot to {last}, which nobody has committed")
            });
            return;
        }
        if at(log, last.index).is_none_or(|held| held.term != last.term) {
            *log = self.ledger.held(last.index).collect();
        }
    }

    fn handed(&mut self, node: NodeId, write: &replica::Write) {
        self.nodes[place(node)].dropped = None;
        for record in &write.records {
            match change(record) {
                Some(Change::Entry(index)) => self.handed_entry(node, index, record),
                Some(Change::Truncate(index)) => {
                    let node = &mut self.nodes[place(node)];
                    node.cut(index);
                    node.queue.push(Change::Truncate(index), Mark::default());
                }
                Some(Change::Base(base)) => self.handed_base(node, base, record),
                Some(Change::State(state)) => {
                    let node = &mut self.nodes[place(node)];
                    node.handed = state;
                    node.queue.push(Change::State(state), Mark::default());
                }
                None => self.contradict(node, "handed over what is no record of a log", record),
            }
        }
        let node = self.node_mut(node);
        let log_end = LogIndex(node.log.len() as u64);
        node.queue.end_write(write.id, write.sync, log_end);
    }

    fn handed_base(&mut self, node: NodeId, base: EntryId, record: &Record) {
        if !self.ledger.contains(base) {
            return self.contradict(
                node,
                "begins its log behind what nobody has committed",
                record,
            );
        }
        let ledger = &self.ledger;
        let shadow = &mut self.nodes[place(node)];
        if shadow
            .held(base.index)
            .is_none_or(|held| held.term != base.term)
        {
            let same = shadow.log.iter().zip(ledger.held(base.index));
            let same = same.take_while(|(ours, theirs)| *ours == theirs).count() as u64;
            shadow.cut(LogIndex(same + 1));
            shadow
                .log
                .extend(ledger.held(base.index).skip(same as usize));
            shadow
                .confs
                .copy(ledger.confs(), LogIndex(same), base.index);
        }
        shadow.conf_is_changing = true;
        shadow.base = base;
        shadow.has_loaded |= shadow.received.contains(&base);
        shadow.queue.push(Change::Base(base), Mark::default());
    }

    fn handed_entry(&mut self, node: NodeId, index: LogIndex, record: &Record) {
        let shadow = &mut self.nodes[place(node)];
        let place = index.previous().0 as usize;
        if index.0 == 0 || place > shadow.log.len() {
            self.contradict(node, "handed over an entry behind a gap", record);
            return;
        }
        // A write that replaces entries without a truncation: the log is cut all the same, so that
        // judges see what it does.
        shadow.cut(index);
        let held = Held::of(record, self.latest.get(place));
        if place == self.latest.len() {
            self.latest.push(held.clone());
        } else if let Some(latest) = self.latest.get_mut(place)
            && latest.mark() != held.mark()
        {
            latest.clone_from(&held);
        }
        shadow.queue.push(Change::Entry(index), held.mark());
        let count = shadow.confs.count();
        shadow.confs.take(index, &held);
        if shadow.confs.count() > count {
            shadow.conf_is_changing = true;
            let conf = shadow.confs.at(index).map(|(_, conf)| conf.clone());
            self.ever.extend(conf.map(|conf| (held.term, index, conf)));
        }
        shadow.log.push(held);
    }

    fn persisted(&mut self, node: NodeId, write: WriteId) {
        let Shadow { nodes, ledger, .. } = self;
        let node = &mut nodes[place(node)];
        if let Some(log_end) = node.queue.persisted(write, &mut node.durable, ledger) {
            node.settled = node.settled.max(log_end);
        }
    }

    fn stepped(&mut self, node: NodeId, view: View) {
        self.steps += 1;
        let shadow = self.node_mut(node);
        let before = shadow.view.replace(view);
        shadow.before = before;
        shadow.changed = before != Some(view);
        shadow.conf_before = std::mem::replace(&mut shadow.conf_seen, shadow.confs.latest_index());
        shadow.conf_changed = std::mem::take(&mut shadow.conf_is_changing) || before.is_none();
        if shadow.changed {
            self.commit(node, &view);
        }
    }

    /// What this node commits is committed, if it is the first to do so.
    fn commit(&mut self, node: NodeId, view: &View) {
        let known = self.ledger.last().0 as usize;
        let log = &self.nodes[place(node)].log;
        let commit = log.len().min(view.commit.0 as usize);
        for held in log.get(known..commit).unwrap_or_default() {
            self.ledger.push(Committed {
                held: held.clone(),
                by: node,
                in_term: view.term,
                step: self.steps,
            });
        }
    }
}

impl NodeShadow {
    /// The entry at an index of the log that was handed to the disk.
    pub fn held(&self, index: LogIndex) -> Option<&Held> {
        at(&self.log, index)
    }

    /// Whether its disk is known to hold an entry, for good.
    pub fn holds_durably(&self, index: LogIndex, mark: Mark) -> bool {
        index <= self.settled && at(&self.durable.log, index) == Some(&mark)
    }

    /// Whether its disk has confirmed all that was handed to it.
    pub fn is_idle(&self) -> bool {
        self.queue.is_idle()
    }

    /// Drops an index and all behind it.
    fn cut(&mut self, index: LogIndex) {
        if let Some(mark) = self.held(index).map(Held::mark) {
            let lowest = self.dropped.get_or_insert((index, mark));
            if index < lowest.0 {
                *lowest = (index, mark);
            }
            let kept = index.previous();
            self.log.truncate(kept.0 as usize);
            self.conf_is_changing |= self.confs.cut(index);
            self.settled = self.settled.min(kept);
            self.queue.cut(kept);
        }
    }
}

fn place(node: NodeId) -> usize {
    node.0 as usize - 1
}

/// What a record does to a log; `None` for what cannot be read.
fn change(record: &Record) -> Option<Change> {
    Some(match record.kind {
        RecordKind::Entry => Change::Entry(LogIndex(record.index)),
        RecordKind::Truncate => Change::Truncate(LogIndex(record.index)),
        RecordKind::State => Change::State(HardState::decode(&record.body).ok()?),
        RecordKind::Base => Change::Base(EntryId::new(record.term, record.index)),
    })
}
