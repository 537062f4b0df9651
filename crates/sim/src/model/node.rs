//! One node of the model: the production replica, and a disk.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

use buggify::Canary;
use bytes::Bytes;
use raft::{
    ConfChange, ConfState, Config, Entry, EntryId, EntryKind, Envelope, HardState, LogIndex,
    MembershipChange, Message, NodeId, Persist, Raft, ReadToken, Recovered, Role, SnapshotMeta,
    Term, TimeoutNow, WriteId,
};

use crate::model::scope::Scope;

/// Something that happens to a node. Whatever follows from it is decided by the production code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Input {
    /// A message arrives, by its number.
    Deliver(u16),
    /// The oldest write is durable, and the node is told.
    Persist,
    /// The election timer expires, with pre-votes.
    Campaign,
    /// The node campaigns without pre-votes.
    Timeout,
    /// A heartbeat interval passes on a leader.
    Beat,
    /// A proposal, by its number.
    Propose(u8),
    /// A read, by its number.
    Read(u8),
    /// Leadership is to go to a node.
    Transfer(u8),
    /// A change of the members, about this node ([`change_about`]).
    Change(u8),
    /// The connection to a node is reset.
    Reset(u8),
    /// A snapshot is taken of what is applied, and the log cut behind it.
    Snapshot,
    /// A snapshot of another node has arrived and is durable, by its number.
    Install(u16),
    /// The process dies and starts again. So many writes reached the disk without the node's being
    /// told, and of the next one a part.
    Crash { written: u8, torn: Torn },
}

/// What a crash leaves of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Torn {
    /// Nothing.
    Nothing,
    /// Term and vote, without the entries.
    HardState,
    /// The entries, without term and vote.
    Log,
}

/// What is on a disk.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Disk {
    pub(super) hard_state: HardState,
    /// The log from entry 1 on. Those up to `base` are not on the disk as entries: the snapshot has
    /// their effects, and here it is judged as if it had them.
    pub(super) entries: Vec<Entry>,
    /// The entry behind which the log begins.
    pub(super) base: EntryId,
    /// The newest snapshot: the entries whose effects it has.
    pub(super) snapshot: Vec<Entry>,
}

impl Disk {
    fn write_log(&mut self, write: &Write) {
        if let Some(base) = write.base {
            self.rebase(base);
        }
        if let Some(cut) = write.truncate_from {
            self.entries.truncate(position(cut));
        }
        self.entries.extend_from_slice(&write.entries);
    }

    fn write(&mut self, write: &Write) {
        if let Some(hard_state) = write.hard_state {
            self.hard_state = hard_state;
        }
        self.write_log(write);
    }

    /// The log begins behind `base`. If it does not hold that entry it is emptied, as by the wal crate.
    fn rebase(&mut self, base: EntryId) {
        let held = self.entries.get(position(base.index)).map(|entry| entry.id);
        let holds_it = match buggify::canary(Canary::BaseKeepsOtherTail) {
            false => held == Some(base),
            true => held.is_some(),
        };
        let end = position(base.index.next());
        let behind = match holds_it {
            true => self.entries.split_off(end),
            false => Vec::new(),
        };
        self.entries = self.snapshot.get(..end).unwrap_or_default().to_vec();
        self.entries.extend(behind);
        self.base = base;
    }

    fn last(&self) -> EntryId {
        self.entries.last().map_or(EntryId::ZERO, |entry| entry.id)
    }

    /// The term and vote that a start finds. Entries of a later term prove that term.
    pub(super) fn promise(&self) -> (Term, Option<NodeId>) {
        let (hard_state, last) = (self.hard_state, self.last().term);
        if last > hard_state.term {
            (last, None)
        } else {
            (hard_state.term, hard_state.vote)
        }
    }

    fn recovered(&self) -> Recovered {
        let mut term_runs: Vec<(LogIndex, Term)> = Vec::new();
        for Entry { id, .. } in self.entries.iter().skip(position(self.base.index.next())) {
            if term_runs.last().is_none_or(|&(_, term)| term != id.term) {
                term_runs.push((id.index, id.term));
            }
        }
        let confs = self.entries.iter().filter_map(|entry| {
            let conf = conf_of(entry)?;
            Some((entry.id.index, conf))
        });
        Recovered {
            hard_state: self.hard_state,
            term_runs,
            confs: confs.collect(),
            last: self.last(),
            last_time_ms: self.entries.last().map_or(0, |entry| entry.time_ms),
            base: self.base,
            snapshot: meta_of(&self.snapshot),
            ..Recovered::default()
        }
    }
}

fn position(index: LogIndex) -> usize {
    usize::try_from(index.0.saturating_sub(1)).unwrap_or(usize::MAX)
}

/// The configuration that an entry brings.
fn conf_of(entry: &Entry) -> Option<ConfState> {
    let is_change = entry.kind == EntryKind::Membership;
    let payload = is_change.then_some(&entry.payload)?;
    ConfChange::decode(payload).ok().map(|change| change.conf)
}

/// What a snapshot stands for that has the effects of these entries.
fn meta_of(snapshot: &[Entry]) -> Option<SnapshotMeta> {
    let last = snapshot.last()?.id;
    let conf = snapshot.iter().rev().find_map(conf_of);
    Some(SnapshotMeta {
        last,
        time_ms: 0,
        conf: conf.unwrap_or_else(|| ConfState::of_voters((1..=3).map(NodeId))),
    })
}

/// The change of members that can be made about a node. There are always two voters or three, so
/// that a majority of the voters is one of the nodes.
fn change_about(id: NodeId, conf: &ConfState) -> Option<MembershipChange> {
    Some(match conf.learners.first() {
        None => MembershipChange::Demote(id),
        Some(&learner) if learner == id => MembershipChange::Promote(id),
        Some(&learner) => MembershipChange::Replace {
            old: id,
            new: learner,
        },
    })
}

/// A write under way.
#[derive(Clone, Debug)]
struct Write {
    id: WriteId,
    hard_state: Option<HardState>,
    base: Option<EntryId>,
    truncate_from: Option<LogIndex>,
    entries: Vec<Entry>,
    messages: Vec<Envelope>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) raft: Raft,
    pub(super) disk: Disk,
    writes: VecDeque<Write>,
    /// Starts so far. It seeds the replica, as in production.
    starts: u8,
}

/// What came of an input.
#[derive(Clone, Debug)]
pub(super) struct Reaction {
    pub(super) node: Node,
    pub(super) sent: Vec<Envelope>,
    /// Reads that may be served, and the index they wait for.
    pub(super) served: Vec<(u8, u8)>,
    /// Reads that lost their leader.
    pub(super) failed: Vec<u8>,
    /// The production code refused an honest message, or stopped.
    pub(super) broken: Option<String>,
}

impl Node {
    /// Starts on what the disk holds.
    pub(super) fn start(id: u8, disk: Disk, starts: u8, scope: &Scope) -> Result<Node, String> {
        let mut config = Config::new(NodeId(u64::from(id)), (1..=3).map(NodeId));
        // Time passes only by inputs of the model.
        config.election_timeout_ticks_min = 1_000_000;
        config.election_timeout_ticks_max = 1_000_000;
        config.heartbeat_ticks = 1;
        config.seed = u64::from(starts) << 8 | u64::from(id);
        if scope.single_entry_appends {
            config.append_bytes_max = 1;
        }
        let raft = Raft::new(config, disk.recovered()).map_err(|error| error.to_string())?;
        Ok(Node {
            raft,
            disk,
            writes: VecDeque::new(),
            starts,
        })
    }

    /// The log with all that is under way to the disk: what the replica holds.
    pub(super) fn log(&self) -> Vec<Entry> {
        let mut disk = self.disk.clone();
        for write in &self.writes {
            disk.write_log(write);
        }
        disk.entries
    }

    /// The disk will have the log that the replica holds.
    fn check_disk(&self) -> Result<(), String> {
        if self.disk.snapshot.is_empty() {
            return Ok(());
        }
        let log = self.log();
        let (held, written) = (self.raft.status().last, log.last().map(|entry| entry.id));
        let is_gapless = (1..)
            .zip(&log)
            .all(|(index, entry)| entry.id.index.0 == index);
        match is_gapless && written == Some(held) {
            true => Ok(()),
            false => Err(format!(
                "its log ends with {held}, and on the disk with {written:?}"
            )),
        }
    }

    /// The ways in which a crash can end.
    pub(super) fn crashes(&self) -> Vec<Input> {
        let mut ways = Vec::new();
        for written in 0..=self.writes.len() {
            let is_torn_differently = self
                .writes
                .get(written)
                .is_some_and(|write| write.hard_state.is_some() && !write.entries.is_empty());
            let torn: &[Torn] = if is_torn_differently {
                &[Torn::Nothing, Torn::HardState, Torn::Log]
            } else {
                &[Torn::Nothing]
            };
            let written = u8::try_from(written).unwrap_or(u8::MAX);
            ways.extend(torn.iter().map(|&torn| Input::Crash { written, torn }));
        }
        ways
    }

    /// Feeds all that decides the node's future.
    pub(super) fn fingerprint(&self, resets: bool, hasher: &mut impl Hasher) {
        self.raft.fingerprint(resets, hasher);
        self.disk.hash(hasher);
        self.writes.len().hash(hasher);
        for write in &self.writes {
            let Write {
                id: _,
                hard_state,
                base,
                truncate_from,
                entries,
                messages,
            } = write;
            (hard_state, base, truncate_from, entries, messages).hash(hasher);
        }
        self.starts.hash(hasher);
    }

    /// Gives the node an input, and does what it asks for.
    pub(super) fn react(
        &self,
        input: Input,
        message: Option<&Envelope>,
        snapshot: Option<&[Entry]>,
        scope: &Scope,
    ) -> Reaction {
        let mut reaction = Reaction {
            node: self.clone(),
            sent: Vec::new(),
            served: Vec::new(),
            failed: Vec::new(),
            broken: None,
        };
        let done = catch_unwind(AssertUnwindSafe(|| {
            reaction.take(input, message, snapshot, scope)?;
            reaction.node.raft.check_invariants();
            reaction.drain(scope);
            reaction.node.raft.check_invariants();
            reaction.node.check_disk()
        }));
        reaction.broken = match done {
            Ok(Ok(())) => None,
            Ok(Err(refusal)) => Some(refusal),
            Err(panic) => Some(panic_text(&*panic)),
        };
        reaction
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panic: {}", text.unwrap_or("without words"))
}

impl Reaction {
    fn take(
        &mut self,
        input: Input,
        message: Option<&Envelope>,
        snapshot: Option<&[Entry]>,
        scope: &Scope,
    ) -> Result<(), String> {
        let raft = &mut self.node.raft;
        match input {
            Input::Deliver(_) => {
                let envelope = message.expect("a delivery has a message").clone();
                return raft.step(envelope).map_err(|error| error.to_string());
            }
            Input::Persist => self.persist(),
            Input::Campaign => raft.campaign(),
            Input::Timeout => return self.time_out(),
            Input::Beat => raft.tick(),
            // What a node answers that cannot take a proposal or a read is of no interest here.
            Input::Propose(number) => {
                let _ = raft.propose(EntryKind::Batch, Bytes::from(vec![number]), 0);
            }
            Input::Read(number) => {
                if raft.read_index(ReadToken(u64::from(number))).is_err() {
                    self.failed.push(number);
                }
            }
            Input::Transfer(to) => {
                let _ = raft.transfer_leadership(Some(NodeId(u64::from(to))));
            }
            Input::Change(about) => {
                if let Some(change) = change_about(NodeId(u64::from(about)), raft.conf()) {
                    let _ = raft.propose_membership(change, Bytes::new());
                }
            }
            Input::Reset(peer) => raft.peer_reset(NodeId(u64::from(peer))),
            Input::Snapshot => self.take_snapshot(),
            Input::Install(_) => self.install(snapshot.expect("an installation has a snapshot")),
            Input::Crash { written, torn } => return self.crash(written, torn, scope),
        }
        Ok(())
    }

    fn take_snapshot(&mut self) {
        let node = &mut self.node;
        let meta = node.raft.snapshot_meta(0);
        let mut entries = node.log();
        entries.truncate(position(meta.last.index.next()));
        node.disk.snapshot = entries;
        let cut_to = meta.last.index;
        node.raft.snapshot_taken(meta, cut_to);
    }

    fn install(&mut self, snapshot: &[Entry]) {
        let node = &mut self.node;
        if let Some(meta) = meta_of(snapshot)
            && node.raft.install_snapshot(meta)
        {
            node.disk.snapshot = snapshot.to_vec();
        }
    }

    /// The oldest write is durable.
    fn persist(&mut self) {
        let node = &mut self.node;
        if let Some(write) = node.writes.pop_front() {
            node.disk.write(&write);
            self.sent.extend(write.messages);
            node.raft.persisted(write.id);
        }
    }

    /// Campaigns as a node does that was told to take over: without pre-votes, and with votes that
    /// nobody refuses for a leader's sake.
    fn time_out(&mut self) -> Result<(), String> {
        let raft = &mut self.node.raft;
        let id = raft.config().id;
        let another = NodeId(if id == NodeId(1) { 2 } else { 1 });
        let (cluster, group) = (raft.config().cluster, raft.config().group);
        let envelope = Envelope {
            cluster,
            group,
            from: raft.leader().unwrap_or(another),
            to: id,
            message: Message::TimeoutNow(TimeoutNow { term: raft.term() }),
        };
        raft.step(envelope).map_err(|error| error.to_string())
    }

    fn crash(&mut self, written: u8, torn: Torn, scope: &Scope) -> Result<(), String> {
        let node = &mut self.node;
        for _ in 0..written {
            if let Some(write) = node.writes.pop_front() {
                node.disk.write(&write);
            }
        }
        if let Some(write) = node.writes.pop_front() {
            match (torn, write.hard_state) {
                (Torn::HardState, Some(hard_state)) => node.disk.hard_state = hard_state,
                (Torn::Log, _) => node.disk.write_log(&write),
                _ => {}
            }
        }
        let id = u8::try_from(node.raft.config().id.0).unwrap_or(0);
        let disk = std::mem::take(&mut node.disk);
        *node = Node::start(id, disk, node.starts + 1, scope)?;
        Ok(())
    }

    /// Does what the replica asks for, until it asks for nothing.
    fn drain(&mut self, scope: &Scope) {
        while let Some(ready) = self.node.raft.ready() {
            self.sent.extend(ready.messages);
            if let Some(persist) = ready.persist {
                self.write(persist);
                if scope.writes_max == 0 {
                    self.persist();
                }
            }
            if let Some(last) = ready.apply.last() {
                self.node.raft.applied(last.id.index);
            }
            let small = |number: u64| u8::try_from(number).unwrap_or(u8::MAX);
            self.served.extend(
                ready
                    .reads
                    .iter()
                    .map(|(token, index)| (small(token.0), small(index.0))),
            );
            self.failed
                .extend(ready.reads_failed.iter().map(|token| small(token.0)));
            for read in ready.read_entries {
                let entries = &self.node.disk.entries;
                let end = position(read.last.next()).min(entries.len());
                let found = entries.get(position(read.first)..end).unwrap_or_default();
                let found = found.to_vec();
                self.node.raft.entries_read(read.request, found);
            }
        }
    }

    fn write(&mut self, persist: Persist) {
        let Persist {
            write,
            hard_state,
            base,
            truncate_from,
            entries,
            sync: _,
            messages,
        } = persist;
        self.node.writes.push_back(Write {
            id: write,
            hard_state,
            base,
            truncate_from,
            entries,
            messages,
        });
    }
}

/// An entry, as far as it matters here: its term, and what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Item {
    pub(super) term: u8,
    /// The number of the proposal; 0 for what Raft itself has appended. For a change of members
    /// [`Item::CHANGE`], and a bit for each voter of either half.
    pub(super) carries: u8,
}

/// A bit for each of the nodes 1 to 3.
fn bits(nodes: &BTreeSet<NodeId>) -> u8 {
    nodes.iter().map(|node| 1 << (node.0 - 1)).sum()
}

impl Item {
    /// It is a change of members.
    pub(super) const CHANGE: u8 = 0x80;

    fn of(entry: &Entry) -> Item {
        Item {
            term: u8::try_from(entry.id.term.0).unwrap_or(u8::MAX),
            carries: match entry.kind {
                EntryKind::Batch => entry.payload.first().copied().unwrap_or(0),
                EntryKind::Membership => conf_of(entry).map_or(0, |conf| {
                    Item::CHANGE | bits(&conf.voters) | bits(&conf.voters_outgoing) << 3
                }),
                _ => 0,
            },
        }
    }
}

/// What the search looks at in a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) role: Role,
    pub(super) term: u8,
    pub(super) vote: u8,
    /// Whom it follows, itself included; 0 for nobody.
    pub(super) leader: u8,
    pub(super) commit: u8,
    /// The log with all that is under way to the disk.
    pub(super) log: Vec<Item>,
    /// The log on the disk.
    pub(super) disk: Vec<Item>,
    /// The term that the disk proves.
    pub(super) disk_term: u8,
    /// The vote on the disk in that term; 0 for none.
    pub(super) disk_vote: u8,
    pub(super) writes: u8,
    pub(super) applied: u8,
    /// How many entries the snapshot stands for.
    pub(super) snapshot: u8,
}

impl Facts {
    pub(super) fn of(node: &Node) -> Facts {
        let small = |number: u64| u8::try_from(number).unwrap_or(u8::MAX);
        let of = |id: Option<NodeId>| id.map_or(0, |id| small(id.0));
        let raft = &node.raft;
        let (disk_term, disk_vote) = node.disk.promise();
        Facts {
            role: raft.role(),
            term: small(raft.term().0),
            vote: of(raft.vote()),
            leader: of(raft.leader()),
            commit: small(raft.commit().0),
            log: node.log().iter().map(Item::of).collect(),
            disk: node.disk.entries.iter().map(Item::of).collect(),
            disk_term: small(disk_term.0),
            disk_vote: of(disk_vote),
            writes: small(node.writes.len() as u64),
            applied: small(raft.applied_index().0),
            snapshot: small(node.disk.snapshot.len() as u64),
        }
    }

    /// Whether term and vote are on the disk as they are in memory.
    pub(super) fn promise_is_durable(&self) -> bool {
        (self.term, self.vote) == (self.disk_term, self.disk_vote)
    }

    pub(super) fn leads(&self) -> bool {
        self.role == Role::Leader
    }
}
