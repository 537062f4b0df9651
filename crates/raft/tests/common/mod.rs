//! A whole group in one thread: replicas, their disks, and the network between them, with nothing
//! left to chance. Scripts and randomized tests drive it; `checker` watches it.
//!
//! A node's disk completes writes at once (`Disk::Fast`) or when told (`Disk::Slow`). Messages stay
//! in the network until they are delivered or dropped. Everything that happens is traced.

pub(crate) mod checker;
pub(crate) mod disk;
pub(crate) mod snapshots;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use raft::{
    ConfState, Config, Entry, EntryId, Envelope, HardState, LogIndex, MembershipChange, NodeId,
    Persist, Raft, ReadEntries, ReadToken, Ready, Role, WriteId,
};

use checker::Checker;
use disk::{DiskLog, Durable, Snapshot};
use snapshots::Delivery;

/// When a node's disk completes its writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    Fast,
    Slow,
}

/// A write that is under way.
#[derive(Debug)]
struct Write {
    id: WriteId,
    hard_state: Option<HardState>,
    base: Option<EntryId>,
    truncate_from: Option<LogIndex>,
    entries: Vec<Entry>,
    messages: Vec<Envelope>,
}

/// One node: a process that may be dead, and a disk that is not.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) raft: Option<Raft>,
    pub(crate) durable: Durable,
    pub(crate) disk: Disk,
    /// Whether requests to read entries back are answered.
    pub(crate) reads_back: Disk,
    /// The log with all writes under way.
    pub(crate) log: DiskLog,
    writes: VecDeque<Write>,
    reads: VecDeque<ReadEntries>,
    pub(crate) applied: Vec<Entry>,
    /// Snapshots that were cut and are being written, oldest first.
    pub(crate) cutting: VecDeque<Snapshot>,
    starts: u64,
    role: Role,
}

impl Node {
    pub(crate) fn is_up(&self) -> bool {
        self.raft.is_some()
    }

    pub(crate) fn raft(&self) -> &Raft {
        self.raft.as_ref().expect("the node is up")
    }

    pub(crate) fn writes_under_way(&self) -> usize {
        self.writes.len()
    }

    pub(crate) fn reads_under_way(&self) -> usize {
        self.reads.len()
    }
}

/// The group.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    /// Messages under way, oldest first.
    pub(crate) network: VecDeque<Envelope>,
    /// Pairs (from, to) whose messages are lost.
    pub(crate) cut: Vec<(NodeId, NodeId)>,
    /// A node whose inputs gather before it is drained.
    pub(crate) gathering: Option<NodeId>,
    /// What happened, a line each.
    pub(crate) trace: Vec<String>,
    pub(crate) tracing: bool,
    pub(crate) checker: Checker,
    /// Snapshots on their way to followers.
    pub(crate) deliveries: Vec<Delivery>,
    /// Whether they arrive by themselves.
    pub(crate) deliveries_run: Disk,
    /// Reads that were answered: the token, and the index they may be served at.
    pub(crate) reads: Vec<(NodeId, ReadToken, LogIndex)>,
    pub(crate) reads_failed: Vec<(NodeId, ReadToken)>,
}

impl Cluster {
    /// A group of voters 1 to `count`, each with the settings that `configure` makes of the usual
    /// ones.
    pub(crate) fn new(count: u64, configure: impl Fn(&mut Config)) -> Cluster {
        Cluster::with_strangers(count, 0, configure)
    }

    /// The same, with more nodes that belong to no group yet.
    pub(crate) fn with_strangers(
        count: u64,
        strangers: u64,
        configure: impl Fn(&mut Config),
    ) -> Cluster {
        let voters: Vec<NodeId> = (1..=count).map(NodeId).collect();
        let mut cluster = Cluster {
            nodes: BTreeMap::new(),
            network: VecDeque::new(),
            cut: Vec::new(),
            gathering: None,
            trace: Vec::new(),
            tracing: true,
            checker: Checker::new(voters.iter().copied()),
            deliveries: Vec::new(),
            deliveries_run: Disk::Slow,
            reads: Vec::new(),
            reads_failed: Vec::new(),
        };
        for id in (1..=count + strangers).map(NodeId) {
            let mut config = Config::new(id, voters.iter().copied());
            if !voters.contains(&id) {
                config.conf = ConfState::default();
            }
            config.bootstrap = Bytes::from_static(b"birth");
            configure(&mut config);
            let node = Node {
                config,
                raft: None,
                durable: Durable::default(),
                disk: Disk::Fast,
                reads_back: Disk::Fast,
                log: DiskLog::default(),
                writes: VecDeque::new(),
                reads: VecDeque::new(),
                applied: Vec::new(),
                cutting: VecDeque::new(),
                starts: 0,
                role: Role::Follower,
            };
            cluster.nodes.insert(id, node);
            cluster.restart(id);
        }
        cluster.trace.clear();
        cluster
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[&id]
    }

    pub(crate) fn raft(&self, id: NodeId) -> &Raft {
        self.node(id).raft()
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).expect("a node of the cluster")
    }

    pub(crate) fn note(&mut self, line: String) {
        if self.tracing {
            self.trace.push(line);
        }
    }

    /// Starts the process from what its disk holds.
    pub(crate) fn restart(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        assert!(!node.is_up(), "{id} is up");
        node.starts += 1;
        let mut config = node.config.clone();
        config.seed = config.seed.wrapping_mul(1 << 16).wrapping_add(node.starts);
        node.log = node.durable.log.clone();
        let snapshot = node.durable.snapshot.as_ref();
        node.applied = snapshot.map_or_else(Vec::new, |snapshot| snapshot.state.clone());
        node.role = Role::Follower;
        let raft = Raft::new(config, node.durable.recovered()).expect("a sound disk");
        node.raft = Some(raft);
        let state = node.durable.hard_state;
        let last = node.durable.last();
        self.note(format!("{id} starts: {} last={last}", show(&state)));
        self.drain(id);
    }

    /// Kills the process in the middle of its writes: of all the pieces under way (a hard state, a
    /// base, a truncation, an entry), the first few are on the disk afterwards, without anybody's having
    /// been told, and the rest is lost.
    pub(crate) fn crash_torn(&mut self, id: NodeId, pieces: usize) {
        let node = self.node_mut(id);
        let mut left = pieces;
        let mut take = |wanted: usize| {
            let taken = wanted.min(left);
            left -= taken;
            taken
        };
        for write in std::mem::take(&mut node.writes) {
            if let Some(hard_state) = write.hard_state
                && take(1) == 1
            {
                node.durable.hard_state = hard_state;
            }
            let base = write.base.map_or(Ok(None), |base| match take(1) {
                1 => Ok(Some(base)),
                _ => Err(()),
            });
            let Ok(base) = base else {
                break;
            };
            node.durable.log.write(base, None, &[]);
            let truncation = write.truncate_from.map_or(Ok(None), |cut| match take(1) {
                1 => Ok(Some(cut)),
                _ => Err(()),
            });
            let Ok(truncate_from) = truncation else {
                break;
            };
            let written = take(write.entries.len());
            let entries = write.entries.get(..written).unwrap_or_default();
            node.durable.log.write(None, truncate_from, entries);
            if written < write.entries.len() {
                break;
            }
        }
        self.crash(id);
    }

    /// Kills the process. What was not written is lost, and so are messages that waited for it.
    pub(crate) fn crash(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        node.raft = None;
        node.writes.clear();
        node.reads.clear();
        node.cutting.clear();
        self.deliveries.retain(|delivery| delivery.from != id);
        self.note(format!("{id} crashes"));
    }

    /// Replaces a node's disk with a log of the given terms, and starts it again.
    pub(crate) fn set_log(&mut self, id: NodeId, terms: &[u64], hard_state: HardState) {
        let was_tracing = std::mem::replace(&mut self.tracing, false);
        if self.node(id).is_up() {
            self.crash(id);
        }
        let entry = |(index, &term): (u64, &u64)| {
            let id = EntryId::new(term, index);
            self.checker.entry(id).unwrap_or_else(|| Entry {
                id,
                kind: raft::EntryKind::Batch,
                time_ms: index,
                payload: Bytes::from(id.to_string()),
            })
        };
        let entries: Vec<Entry> = (1..).zip(terms).map(entry).collect();
        self.checker.written(&entries);
        self.node_mut(id).durable = Durable {
            hard_state,
            log: DiskLog::of(entries),
            snapshot: None,
        };
        self.tracing = was_tracing;
        self.restart(id);
    }

    /// Gives the node an input, then drains it.
    pub(crate) fn input<T>(
        &mut self,
        id: NodeId,
        what: &str,
        act: impl FnOnce(&mut Raft) -> T,
    ) -> T {
        self.note(format!("{id} {what}"));
        let raft = self.node_mut(id).raft.as_mut().expect("the node is up");
        let result = act(raft);
        raft.check_invariants();
        self.drain(id);
        result
    }

    pub(crate) fn tick(&mut self, id: NodeId) {
        if self.node(id).is_up() {
            self.quietly(id, "ticks", Raft::tick);
        }
    }

    /// An input that is traced only if something comes of it.
    fn quietly(&mut self, id: NodeId, what: &str, act: impl FnOnce(&mut Raft)) {
        let before = self.trace.len();
        self.input(id, what, act);
        if self.trace.len() == before + 1 {
            self.trace.pop();
        }
    }

    pub(crate) fn propose(&mut self, id: NodeId, payload: &str) -> Option<EntryId> {
        let what = format!("proposes \"{payload}\"");
        let bytes = Bytes::copy_from_slice(payload.as_bytes());
        let kind = raft::EntryKind::Batch;
        let mut refusal = None;
        let result = self.input(id, &what, |raft| {
            let result = raft.propose(kind, bytes, 0);
            refusal = result.as_ref().err().map(ToString::to_string);
            result
        });
        self.note_refusal(refusal);
        result.ok()
    }

    pub(crate) fn read(&mut self, id: NodeId, token: u64) {
        self.checker.read_begins(id, ReadToken(token));
        let what = format!("is asked for read {token}");
        let result = self.input(id, &what, |raft| raft.read_index(ReadToken(token)));
        self.note_refusal(result.err().map(|error| error.to_string()));
    }

    pub(crate) fn transfer(&mut self, id: NodeId, to: Option<NodeId>) {
        let result = self.input(id, "is to hand over", |raft| raft.transfer_leadership(to));
        let refusal = result.as_ref().err().map(ToString::to_string);
        self.note_refusal(refusal);
    }

    /// Asks for a change of the members.
    pub(crate) fn change_members(&mut self, id: NodeId, change: MembershipChange) -> bool {
        let what = format!("is to {change}");
        let context = Bytes::from_static(b"addresses");
        let result = self.input(id, &what, |raft| raft.propose_membership(change, context));
        let refusal = result.as_ref().err().map(ToString::to_string);
        self.note_refusal(refusal);
        result.is_ok()
    }

    fn note_refusal(&mut self, refusal: Option<String>) {
        if let Some(refusal) = refusal {
            self.note(format!("  refused: {refusal}"));
        }
    }

    /// Delivers the message, unless the link is cut or the receiver is dead.
    pub(crate) fn deliver(&mut self, envelope: Envelope) {
        let Envelope { from, to, .. } = envelope;
        if self.cut.contains(&(from, to)) || !self.nodes[&to].is_up() {
            self.note(format!("{to} misses {from}: {}", envelope.message));
            return;
        }
        let what = format!("<- {from}: {}", envelope.message);
        let result = self.input(to, &what, |raft| raft.step(envelope));
        self.note_refusal(result.err().map(|error| error.to_string()));
    }

    /// Delivers everything and lets the fast disks work, until nothing is left to do.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100_000 {
            if let Some(envelope) = self.network.pop_front() {
                self.deliver(envelope);
            } else if let Some(id) = self.busy_node() {
                self.let_disk_work(id);
            } else if !self.deliver_snapshot() {
                return;
            }
        }
        panic!("the group does not come to rest: {:#?}", self.network);
    }

    fn busy_node(&self) -> Option<NodeId> {
        let is_busy = |node: &Node| {
            (node.disk == Disk::Fast && !node.writes.is_empty())
                || (node.reads_back == Disk::Fast && !node.reads.is_empty())
        };
        self.nodes
            .iter()
            .find(|(_, node)| node.is_up() && is_busy(node))
            .map(|(&id, _)| id)
    }

    /// Completes the node's oldest write.
    pub(crate) fn finish_write(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        let Some(write) = node.writes.pop_front() else {
            return;
        };
        if let Some(hard_state) = write.hard_state {
            node.durable.hard_state = hard_state;
        }
        let log = &mut node.durable.log;
        log.write(write.base, write.truncate_from, &write.entries);
        let what = format!("disk: w{} done", write.id.0);
        self.note(format!("{id} {what}"));
        for envelope in write.messages {
            self.post(envelope);
        }
        let raft = self.node_mut(id).raft.as_mut().expect("the node is up");
        raft.persisted(write.id);
        raft.check_invariants();
        self.drain(id);
    }

    /// Answers the node's requests to read entries back.
    pub(crate) fn finish_reads(&mut self, id: NodeId) {
        while let Some(read) = self.node_mut(id).reads.pop_front() {
            let ReadEntries {
                request,
                first,
                last,
                bytes_max,
            } = read;
            let mut bytes = 0;
            let wanted = |entry: &&Entry| entry.id.index >= first && entry.id.index <= last;
            let entries: Vec<Entry> = self
                .node(id)
                .durable
                .log
                .entries
                .iter()
                .filter(wanted)
                .take_while(|entry| {
                    let is_first = bytes == 0;
                    bytes += entry.size_bytes();
                    is_first || bytes <= bytes_max
                })
                .cloned()
                .collect();
            let what = format!("has read back {}", show_entries(&entries));
            self.input(id, &what, |raft| raft.entries_read(request, entries));
        }
    }

    /// Does what the replica wants done.
    pub(crate) fn drain(&mut self, id: NodeId) {
        if self.gathering == Some(id) {
            return;
        }
        while let Some(ready) = self
            .nodes
            .get_mut(&id)
            .and_then(|node| node.raft.as_mut()?.ready())
        {
            self.raft(id).check_invariants();
            self.do_ready(id, ready);
        }
        if let Some(raft) = &self.node(id).raft {
            let log = &self.node(id).log;
            let found = (log.base, log.last());
            assert_eq!(
                found,
                (raft.base(), raft.last()),
                "{id}: what the disk is told"
            );
        }
        self.let_disk_work(id);
    }

    /// Completes what the node's disk has to do, as far as it is fast.
    pub(crate) fn let_disk_work(&mut self, id: NodeId) {
        while self.node(id).disk == Disk::Fast && self.node(id).writes_under_way() > 0 {
            self.finish_write(id);
        }
        if self.node(id).reads_back == Disk::Fast {
            self.finish_reads(id);
        }
    }

    fn do_ready(&mut self, id: NodeId, ready: Ready) {
        if let Some(soft_state) = ready.soft_state {
            let leader = soft_state
                .leader
                .map_or("nobody".into(), |leader| leader.to_string());
            self.note(format!(
                "  {} in {}, led by {leader}",
                soft_state.role, soft_state.term
            ));
            let node = self.node_mut(id);
            let was = std::mem::replace(&mut node.role, soft_state.role);
            if soft_state.role == Role::Leader && was != Role::Leader {
                self.checker
                    .leader_elected(id, soft_state.term, &self.nodes[&id]);
            }
        }
        for envelope in ready.messages {
            self.note(format!("  to {}: {}", envelope.to, envelope.message));
            self.post(envelope);
        }
        if let Some(persist) = ready.persist {
            self.start_write(id, persist);
        }
        if let (Some(first), Some(last)) = (ready.apply.first(), ready.apply.last()) {
            let (first, last) = (first.id, last.id);
            self.note(match first == last {
                true => format!("  applies {first}"),
                false => format!("  applies {first}..{last}"),
            });
            self.checker.applied(id, &ready.apply, &self.nodes);
            let node = self.node_mut(id);
            node.applied.extend(ready.apply);
            let raft = node.raft.as_mut().expect("the node is up");
            raft.applied(last.index);
        }
        for (token, index) in ready.reads {
            self.note(format!("  read {} may be served at {index}", token.0));
            self.checker.read_answered(id, token, index);
            self.reads.push((id, token, index));
        }
        for token in ready.reads_failed {
            self.note(format!("  read {} has failed", token.0));
            self.reads_failed.push((id, token));
        }
        for read in ready.read_entries {
            self.note(format!("  reads back {}..{}", read.first, read.last));
            self.node_mut(id).reads.push_back(read);
        }
        for ask in ready.send_snapshots {
            self.start_delivery(id, ask);
        }
    }

    fn start_write(&mut self, id: NodeId, persist: Persist) {
        let Persist {
            write,
            hard_state,
            base,
            truncate_from,
            entries,
            sync,
            messages,
        } = persist;
        let mut line = format!("  write w{}", write.0);
        if let Some(hard_state) = hard_state {
            line += &format!(" {}", show(&hard_state));
        }
        if let Some(base) = base {
            line += &format!(" base={base}");
        }
        if let Some(index) = truncate_from {
            line += &format!(" truncate={index}");
        }
        if !entries.is_empty() {
            line += &format!(" entries=[{}]", show_entries(&entries));
        }
        if !sync {
            line += " unsynced";
        }
        self.note(line);
        for envelope in &messages {
            self.note(format!("    then to {}: {}", envelope.to, envelope.message));
        }
        self.checker.written(&entries);
        let node = self.node_mut(id);
        node.log.write(base, truncate_from, &entries);
        node.writes.push_back(Write {
            id: write,
            hard_state,
            base,
            truncate_from,
            entries,
            messages,
        });
    }

    /// The message leaves its node.
    fn post(&mut self, envelope: Envelope) {
        self.checker
            .sent(&envelope, &self.nodes[&envelope.from].durable);
        self.network.push_back(envelope);
    }

    /// The node that leads in the highest term, if it is alive.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        let leaders = self.nodes.iter().filter_map(|(&id, node)| {
            let raft = node.raft.as_ref()?;
            raft.is_leader().then(|| (raft.term(), id))
        });
        leaders.max().map(|(_, id)| id)
    }
}

pub(crate) fn show(state: &HardState) -> String {
    let vote = state.vote.map_or("none".into(), |vote| vote.to_string());
    format!("{} vote={vote} commit={}", state.term, state.commit)
}

pub(crate) fn show_entries(entries: &[Entry]) -> String {
    match entries {
        [] => "nothing".into(),
        [only] => only.id.to_string(),
        [first, .., last] => format!("{}..{}", first.id, last.id),
    }
}
