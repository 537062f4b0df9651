//! One replica of one group: Raft, the state machine, and this node's clients, driven by a shell.

mod apply;
mod checks;
mod levels;
mod membership;
mod snapshots;
mod start;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use buggify::Point;
use bytes::Bytes;
use raft::{
    Entry, EntryKind, Envelope, Heartbeat, LogIndex, Message, NodeId, Raft, ReadRequestId, Ready,
    Recovered, Role, WriteId,
};
use resp::Encoder;

use crate::backup::Backups;
use crate::batch::BatchReader;
use crate::commands;
use crate::compaction::Compaction;
use crate::config::{ClientId, ClientInfo, Config, Disconnect, HostStats, Now, PeerInfo};
use crate::consistency::Consistency;
use crate::execute;
use crate::features::FeatureLevelError;
use crate::gateway::Gateway;
use crate::machine::Machine;
use crate::message::{Forward, ForwardRefused, PeerMessage, Refusal};
use crate::metrics::Metrics;
use crate::node::{Consensus, Node};
use crate::output::{Output, Write};
use crate::plan::Plan;
use crate::pubsub::PubSub;
use crate::random::Random;
use crate::reads::Reads;
use crate::session::{Session, Sessions};
use crate::settings::Settings;
use crate::slowlog::Slowlog;
use crate::snapshot::LoadedSnapshot;
use crate::stats::Stats;
use crate::storage;

use self::levels::Raise;
pub(crate) use self::membership::Asked;
use self::membership::Changes;

/// How long a client may stay connected without authenticating, where a password is required.
const AUTHENTICATION_DEADLINE_US: u64 = 10_000_000;

/// A replica. See the [crate](crate) for what it does; the shell's duties are:
///
/// 1. Call [`tick`](Self::tick) every [`Config::tick_ms`], and pass every input as it comes.
/// 2. After the inputs of a turn, call [`drain`](Self::drain) once and carry out its [`Output`]:
///    writes strictly in order, messages to one peer in order and each at most once: a refused
///    batch is certain not to be in the log only because there was one copy of it.
/// 3. Never report a write as [`persisted`](Self::persisted) before it and all writes before it are
///    on stable storage. The promise of this system rests on that.
#[derive(Debug)]
pub struct Replica {
    pub(crate) raft: Raft,
    pub(crate) node: Node,
    pub(crate) gateway: Gateway,
    pub(crate) reads: Reads,
    /// Changes of the members.
    pub(crate) changes: Changes,
    /// Clients that fetch a snapshot.
    pub(crate) backups: Backups,
    /// Messages that may leave when a write is durable, oldest first.
    held: VecDeque<(WriteId, Vec<Envelope>)>,
    /// Messages that leave at the next drain.
    messages: Vec<(NodeId, PeerMessage)>,
    /// Clients whose next request waits for time to pass or for room, not for their own runs: ticks
    /// look at them again.
    pub(crate) waiting: BTreeSet<ClientId>,
    /// Clients that may be read again.
    pub(crate) resumed: Vec<ClientId>,
    /// Followers that are being sent a snapshot, and the last entry in it.
    sending: BTreeMap<NodeId, LogIndex>,
    /// Runs of reads that met a key due by the clock: they go through the log.
    deferred: Plan,
    /// The index up to which a time entry of ours must be applied before another is proposed.
    time_entry: Option<LogIndex>,
    /// An entry of ours that raises the feature level, until it is applied.
    raise: Option<Raise>,
    /// When idle clients were last looked for.
    clients_checked_us: u64,
    /// No input of clients is taken any more.
    draining: bool,
    /// The snapshot that the end of the process waits for: the one asked for because it is cheap.
    exit_snapshot: Option<u64>,
    /// The replica cannot go on, and why.
    fatal: Option<String>,
}

/// A replica cannot be made of this configuration and what was recovered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Raft refuses them.
    #[error(transparent)]
    Raft(#[from] raft::ConfigError),
    /// The tick does not divide time finely enough.
    #[error(
        "the tick ({tick_ms} ms) must be shorter than the heartbeat interval ({heartbeat_ms} ms)"
    )]
    Tick {
        /// The tick.
        tick_ms: u64,
        /// The heartbeat interval.
        heartbeat_ms: u64,
    },
    /// The log or the snapshot is of a cluster whose rules this program does not know.
    #[error(transparent)]
    FeatureLevel(#[from] FeatureLevelError),
}

impl Replica {
    /// A replica that starts from what was recovered: from the newest good snapshot, if there is one,
    /// and the log behind it. Without one the state machine is empty, and is rebuilt by applying the
    /// whole log.
    ///
    /// # Errors
    /// If the configuration contradicts itself or what was recovered, or the log does not continue
    /// the snapshot.
    pub fn new(
        config: Config,
        mut recovered: Recovered,
        snapshot: Option<LoadedSnapshot>,
        now: Now,
    ) -> Result<Self, StartError> {
        if config.tick_ms == 0 || config.tick_ms > config.heartbeat_ms {
            return Err(StartError::Tick {
                tick_ms: config.tick_ms,
                heartbeat_ms: config.heartbeat_ms,
            });
        }
        config.feature_levels.check(config.feature_level_found)?;
        recovered.snapshot = snapshot.as_ref().map(|snapshot| snapshot.meta.clone());
        let raft = Raft::new(start::raft_config(&config), recovered)?;
        let (machine, loaded) = match snapshot {
            Some(snapshot) => {
                let level = snapshot.machine.feature_level();
                config.feature_levels.check(level)?;
                (snapshot.machine, Some((snapshot.meta, snapshot.bytes)))
            }
            None => (Machine::new(), None),
        };
        let patience_us = (config.election_timeout_ms * 4).max(1000) * 1000;
        let gateway = Gateway::new(config.node, config.incarnation, patience_us);
        let reads = Reads::default();
        let mut node = Node {
            settings: Settings::new(&config),
            machine,
            sessions: Sessions::default(),
            pubsub: PubSub::default(),
            compaction: Compaction::default(),
            consistency: Consistency::default(),
            stats: Stats::default(),
            slowlog: Slowlog::default(),
            members: start::members(&config),
            consensus: Consensus::of(&raft),
            host: HostStats::default(),
            now,
            started: now,
            random: Random::new(config.seed),
            pause: None,
            flush: Vec::new(),
            closing: Vec::new(),
            runnable: Vec::new(),
            shutdown: None,
            witnesses: Vec::new(),
            config,
        };
        node.consensus.leader_changes = 0;
        let mut replica = Replica {
            raft,
            node,
            gateway,
            reads,
            changes: Changes::new(),
            backups: Backups::default(),
            held: VecDeque::new(),
            messages: Vec::new(),
            waiting: BTreeSet::new(),
            resumed: Vec::new(),
            sending: BTreeMap::new(),
            deferred: Plan::default(),
            time_entry: None,
            raise: None,
            clients_checked_us: now.mono_us,
            draining: false,
            exit_snapshot: None,
            fatal: None,
        };
        if let Some((meta, bytes)) = loaded {
            replica.note_start(&meta, bytes);
        }
        Ok(replica)
    }

    /// Time has passed: call every [`Config::tick_ms`].
    pub fn tick(&mut self, now: Now) {
        self.set_now(now);
        self.raft.tick();
        let mut failed = Vec::new();
        self.gateway.tick(now.mono_us, &mut failed);
        self.reads.tick(&mut self.raft, now.mono_us, &mut failed);
        for (plan, failure) in failed {
            execute::fail(&mut self.node, &plan, failure);
        }
        self.node.stats.sample(now, &self.node.host);
        if self.draining {
            self.resign();
        }
        self.propose_time();
        self.refresh_members();
        self.pursue_wishes();
        self.raise_level();
        self.tick_changes();
        commands::resume_paused(&mut self.node);
        // What looks at every client is done once a second, however short the tick.
        if now.mono_us.saturating_sub(self.clients_checked_us) >= 1_000_000 {
            self.clients_checked_us = now.mono_us;
            if buggify::point(Point::ResignUnasked) {
                self.resign();
            }
            if buggify::point(Point::CampaignUnasked) {
                self.raft.campaign();
            }
            commands::close_idle(&mut self.node);
            self.close_unauthenticated();
        }
        for client in std::mem::take(&mut self.waiting) {
            self.node.wake(client);
        }
    }

    /// A connection to a peer stands: both ways of speaking to it start afresh.
    pub fn peer_connected(&mut self, now: Now, peer: NodeId, info: PeerInfo) {
        self.set_now(now);
        match self.node.members.contains_key(&peer) {
            true => self.node.peer_connected(peer, info),
            false => self.stranger_connected(peer, info),
        }
        self.raft.peer_connected(peer);
        self.gateway.connection_restored(peer);
    }

    /// A connection to a peer ended.
    pub fn peer_disconnected(&mut self, now: Now, peer: NodeId, reason: Disconnect) {
        self.set_now(now);
        if let Some(member) = self.node.members.get_mut(&peer) {
            member.connected = false;
        }
        self.stranger_disconnected(peer);
        if reason == Disconnect::Reset {
            self.raft.peer_reset(peer);
        }
    }

    /// A message of a peer. Whatever it says, it does no harm: what makes no sense is dropped.
    pub fn peer_message(&mut self, now: Now, from: NodeId, message: PeerMessage) {
        self.set_now(now);
        match message {
            PeerMessage::Raft(message) => {
                let message = self.admit_to_disk(message);
                self.step(from, message);
            }
            PeerMessage::Forward(forward) => self.forwarded(from, forward),
            PeerMessage::StateHash(told) => self.state_told(from, told),
            PeerMessage::ForwardRefused(refusal) => {
                self.gateway.refused(from, &refusal);
                self.answer_refused();
            }
        }
    }

    /// A write, and all before it, is on stable storage.
    pub fn persisted(&mut self, now: Now, write: WriteId) {
        self.set_now(now);
        self.raft.persisted(write);
        while self.held.front().is_some_and(|(held, _)| *held <= write) {
            if let Some((_, envelopes)) = self.held.pop_front() {
                self.send(envelopes);
            }
        }
    }

    /// Entries read back from the log on disk.
    pub fn entries_read(&mut self, now: Now, request: ReadRequestId, entries: Vec<Entry>) {
        self.set_now(now);
        self.raft.entries_read(request, entries);
    }

    /// The log's disk has run short of space, or has space again. While it is short nothing is taken
    /// that would only wait for space in front of what needs little, such as votes: neither of clients
    /// nor, as a follower, of the leader, and no time entries are proposed.
    pub fn disk_space(&mut self, now: Now, low: bool) {
        self.set_now(now);
        self.node.consensus.disk_full = low;
    }

    /// A client connected. `None`: there are too many, disconnect it.
    pub fn client_connected(&mut self, now: Now, info: ClientInfo) -> Option<ClientId> {
        self.set_now(now);
        if self.node.sessions.count() >= self.node.settings.clients_max {
            self.node.stats.rejected_connections += 1;
            return None;
        }
        let authenticated = !self.node.settings.requires_authentication();
        Some(self.node.sessions.insert(info, now.mono_us, authenticated))
    }

    /// Bytes of a client. Whole requests are started where they stand; only an incomplete rest, or
    /// what has to wait, is copied.
    pub fn client_received(&mut self, now: Now, client: ClientId, bytes: &[u8]) {
        self.set_now(now);
        if !self.draining {
            self.advance(client, bytes);
        }
    }

    /// A client is gone. What it has in the log takes effect; nobody hears the replies.
    pub fn client_disconnected(&mut self, client: ClientId) {
        if let Some(mut session) = self.node.sessions.remove(client) {
            self.node.pubsub.remove_client(client, &mut session);
            self.waiting.remove(&client);
            self.backups.forget(client);
        }
    }

    /// What waits to be written to a client.
    pub fn client_output(&self, client: ClientId) -> &[u8] {
        self.node
            .sessions
            .find(client)
            .map_or(&[], |session| session.pending_output())
    }

    /// The first `count` bytes of [`client_output`](Self::client_output) were written.
    pub fn client_written(&mut self, client: ClientId, count: usize) {
        let Some(session) = self.node.sessions.find_mut(client) else {
            return;
        };
        session.output_written(count);
        if session.pending_output().is_empty() && !session.pending_input().is_empty() {
            self.node.wake(client);
        }
    }

    /// Whether the client's socket is to be read. After a no, wait for [`Output::resumed`].
    pub fn client_wants_input(&mut self, client: ClientId) -> bool {
        let Some(session) = self.node.sessions.find_mut(client) else {
            return false;
        };
        if session.closing || self.draining {
            return false;
        }
        session.input_stopped = session.has_enough_input();
        !session.input_stopped
    }

    /// Whether a client is owed nothing: all its requests are answered and the replies written. A
    /// client that has ended its half of the connection can then be disconnected.
    pub fn client_is_idle(&self, client: ClientId) -> bool {
        self.node.sessions.find(client).is_none_or(Session::is_idle)
    }

    /// Whether messages may come to a client at any time, whether it reads them or not.
    pub fn client_is_subscriber(&self, client: ClientId) -> bool {
        self.node
            .sessions
            .find(client)
            .is_some_and(|session| session.subscription_count() + session.shard_channels.len() > 0)
    }

    /// Whether requests may be started without any further input: a turn is owed.
    pub fn has_work(&self) -> bool {
        !self.node.runnable.is_empty()
    }

    /// Ends a turn: starts what can be started, hands over what was gathered, applies what was
    /// committed, and fills `output` with everything that leaves.
    pub fn drain(&mut self, now: Now, output: &mut Output) {
        self.set_now(now);
        output.clear();
        loop {
            self.run_runnable();
            self.hand_over();
            self.drain_raft(output);
            self.run_reads();
            if self.node.runnable.is_empty() && self.deferred.is_empty() {
                break;
            }
        }
        self.cut_snapshot(output);
        output.membership = self.refresh_membership();
        output.messages.append(&mut self.messages);
        for &client in &self.node.flush {
            if let Some(session) = self.node.sessions.find_mut(client) {
                session.flushing = false;
            }
        }
        output.flush.append(&mut self.node.flush);
        output.close.append(&mut self.node.closing);
        output.resumed.append(&mut self.resumed);
        output.backups.append(&mut self.backups.take_requests());
        output.shutdown = self.node.shutdown.take();
        output.fatal.clone_from(&self.fatal);
        output.witnesses.append(&mut self.node.witnesses);
    }

    /// Takes no more input of clients, and hands leadership over. What has been received is still
    /// answered.
    pub fn begin_shutdown(&mut self, now: Now) {
        self.set_now(now);
        if !std::mem::replace(&mut self.draining, true) {
            self.request_snapshot_at_exit();
        }
        self.resign();
    }

    /// Whether all that clients wait for is answered, another node may lead, and the snapshot is written that
    /// [`Replica::begin_shutdown`] has asked for. One that was under way by itself is given up with the
    /// process: the log has what it would hold. The shell has a deadline: a leader whose peers lag far behind is not rid of its office until then.
    pub fn shutdown_finished(&self) -> bool {
        let own = self.node.config.node;
        let compaction = &self.node.compaction;
        let must_hand_over = self.raft.is_leader() && !self.raft.conf().is_only_voter(own);
        !must_hand_over
            && self.reads.is_empty()
            && !self.gateway.has_waiting_clients()
            && self
                .exit_snapshot
                .is_none_or(|name| compaction.has_ended(name))
            && (self.waiting.is_empty() || !compaction.is_running())
    }

    /// Takes figures about the host, for INFO.
    pub fn set_host_stats(&mut self, host: HostStats) {
        self.node.host = host;
    }

    /// Whether this node can serve reads now: it knows a leader, has applied what it knows to be
    /// committed, and does not stop.
    pub fn is_ready(&self) -> bool {
        !self.draining
            && self.node.machine.is_bootstrapped()
            && self.raft.leader().is_some()
            && self.node.consensus.applied >= self.raft.commit()
    }

    /// Consensus, to look at.
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// Figures for monitoring.
    pub fn metrics(&self) -> Metrics {
        Metrics::of(self)
    }

    /// What it was made with.
    pub fn config(&self) -> &Config {
        &self.node.config
    }

    /// How many messages wait for the disk.
    pub fn held_messages(&self) -> usize {
        self.held.iter().map(|(_, envelopes)| envelopes.len()).sum()
    }

    /// A hash of the replicated state: equal on replicas that have applied the same index.
    pub fn state_hash(&self) -> u64 {
        self.node.machine.state_hash()
    }

    pub(crate) fn set_now(&mut self, now: Now) {
        self.node.now = now;
        self.raft.set_wall_ms(now.wall_ms);
    }

    /// What of a message may be taken while the disk is short of space: of an append with entries that
    /// may not fit, only that the leader lives. It sends them again, at most one append for each of
    /// its heartbeats, until they are taken.
    fn admit_to_disk(&self, message: Message) -> Message {
        match message {
            Message::AppendEntries(append)
                if self.node.consensus.disk_full
                    && !append.entries.iter().all(storage::always_finds_room) =>
            {
                Message::Heartbeat(Heartbeat {
                    term: append.term,
                    // How far the logs agree is not examined here.
                    commit: LogIndex(0),
                    round: append.round,
                    session: append.session,
                })
            }
            message => message,
        }
    }

    fn step(&mut self, from: NodeId, message: Message) {
        let envelope = Envelope {
            cluster: self.node.config.cluster,
            group: self.node.config.group,
            from,
            to: self.node.config.node,
            message,
        };
        if let Err(error) = self.raft.step(envelope) {
            tracing::warn!(%from, %error, "refused a message");
        }
    }

    /// A gateway hands over a batch: it goes into the log as it is.
    fn forwarded(&mut self, from: NodeId, forward: Forward) {
        let header = match BatchReader::open(&forward.batch) {
            Ok((header, _)) if header.gateway == from => header,
            _ => {
                tracing::warn!(%from, "refused a forwarded batch that is not one");
                return;
            }
        };
        let oversized = forward.batch.len() > self.node.config.entry_bytes_max.saturating_mul(2);
        let reason = if oversized {
            Refusal::Malformed
        } else if buggify::point(Point::ForwardRefusedBusy) {
            Refusal::Busy
        } else if self.node.consensus.disk_full || buggify::point(Point::ForwardRefusedFull) {
            Refusal::DiskFull
        } else {
            let wall_ms = self.node.now.wall_ms;
            match self.raft.propose(EntryKind::Batch, forward.batch, wall_ms) {
                Ok(_) => return,
                Err(raft::ProposeError::NotLeader { .. }) => Refusal::NotLeader,
                Err(_) => Refusal::Busy,
            }
        };
        let refusal = ForwardRefused {
            term: forward.term,
            incarnation: header.incarnation,
            sequence: header.sequence,
            reason,
            leader: self.raft.leader(),
        };
        self.messages
            .push((from, PeerMessage::ForwardRefused(refusal)));
    }

    /// Tries to hand leadership over, to whoever is the best choice now. The chosen node may turn
    /// out not to answer: then raft gives up after an election timeout, and the next tick tries
    /// again.
    fn resign(&mut self) {
        if self.raft.is_leader() && self.raft.status().transferring.is_none() {
            // Nobody reachable, perhaps not yet.
            let _ = self.raft.transfer_leadership(None);
        }
    }

    fn run_runnable(&mut self) {
        for client in std::mem::take(&mut self.node.runnable) {
            if let Some(session) = self.node.sessions.find_mut(client) {
                session.queued = false;
                self.advance(client, &[]);
            }
        }
        if !self.deferred.is_empty() {
            let deferred = std::mem::take(&mut self.deferred);
            self.gateway.gathering().plan.append(deferred);
        }
    }

    fn hand_over(&mut self) {
        let now = self.node.now;
        let timeout_us = self.node.config.request_timeout_ms * 1000;
        self.gateway.close_batch(now.mono_us, timeout_us);
        let resent = self
            .gateway
            .hand_over(&mut self.raft, now, &mut self.messages);
        self.node.stats.batches_resent += resent;
        self.reads.ask(&mut self.raft, now.mono_us, timeout_us);
    }

    fn drain_raft(&mut self, output: &mut Output) {
        while let Some(ready) = self.raft.ready() {
            self.handle_ready(ready, output);
        }
        self.note_consensus();
    }

    fn handle_ready(&mut self, ready: Ready, output: &mut Output) {
        self.send(ready.messages);
        if let Some(mut persist) = ready.persist {
            self.note_appended(&persist);
            let envelopes = std::mem::take(&mut persist.messages);
            if !envelopes.is_empty() {
                self.held.push_back((persist.write, envelopes));
            }
            let group = self.node.config.group;
            let records = storage::records(group, &persist, self.raft.snapshot().time_ms);
            self.node
                .compaction
                .note_written(&self.node.config, &records);
            output.writes.push(Write {
                id: persist.write,
                records,
                sync: persist.sync,
            });
        }
        output.entry_reads.extend(ready.read_entries);
        output.send_snapshots.extend(ready.send_snapshots);
        if ready.soft_state.is_some() {
            self.note_consensus();
        }
        if let Some(last) = ready.apply.last().map(|entry| entry.id.index) {
            for entry in &ready.apply {
                self.apply(entry);
            }
            self.raft.applied(last);
            self.note_applied(last);
            self.node.consensus.applied = last;
        }
        for (token, index) in ready.reads {
            self.node.stats.read_rounds += 1;
            self.reads.confirmed(token, index);
        }
        for token in ready.reads_failed {
            self.reads.refused(token);
        }
    }

    fn send(&mut self, envelopes: Vec<Envelope>) {
        self.messages.extend(
            envelopes
                .into_iter()
                .map(|envelope| (envelope.to, PeerMessage::Raft(envelope.message))),
        );
    }

    fn run_reads(&mut self) {
        while let Some(plan) = self.reads.take_ready(self.node.consensus.applied) {
            execute::run_reads(&mut self.node, &plan, &mut self.deferred);
        }
    }

    /// Takes over what commands and the gateway see of consensus.
    fn note_consensus(&mut self) {
        let before = self.node.consensus;
        let mut after = Consensus::of(&self.raft);
        after.applied = before.applied;
        after.first = self.raft.base().index.next();
        after.disk_full = before.disk_full;
        after.leader_changes = before.leader_changes;
        after.is_changing = before.is_changing;
        if after.leader.is_some() && (after.leader, after.term) != (before.leader, before.term) {
            after.leader_changes += 1;
        }
        if (after.role, after.leader) != (before.role, before.leader) {
            log_role(&after);
        }
        if after.leader.is_some() {
            self.node.stats.last_leader = after.leader;
        }
        self.node.consensus = after;
        self.gateway.set_leader(after.leader, after.term);
    }

    /// As the leader, moves the log's time on when a key is due, so that keys go on time.
    fn propose_time(&mut self) {
        let applied = self.node.consensus.applied;
        let is_under_way = self.time_entry.is_some_and(|index| index > applied);
        if is_under_way || !self.raft.is_leader() || self.node.consensus.disk_full {
            return;
        }
        self.time_entry = None;
        let wall_ms = self.node.now.wall_ms;
        let store = &self.node.machine.store;
        let is_due = store
            .next_expiry()
            .is_some_and(|at| at <= wall_ms.max(store.time_ms()));
        let is_due = is_due || buggify::point(Point::TimeEntryUnasked);
        if is_due && let Ok(id) = self.raft.propose(EntryKind::Noop, Bytes::new(), wall_ms) {
            self.time_entry = Some(id.index);
        }
    }

    fn refresh_members(&mut self) {
        let status = self.raft.status();
        if !self.raft.is_leader() {
            for member in self.node.members.values_mut() {
                (member.matched, member.is_alive) = (0, true);
            }
            return;
        }
        let quiet_max = self.node.config.election_timeout_ms / self.node.config.tick_ms;
        for peer in status.peers {
            if let Some(member) = self.node.members.get_mut(&peer.id) {
                member.matched = peer.match_index.0;
                member.is_alive = u64::from(peer.quiet_ticks) < quiet_max;
            }
        }
    }

    fn close_unauthenticated(&mut self) {
        if !self.node.settings.requires_authentication() {
            return;
        }
        let now_us = self.node.now.mono_us;
        let late: Vec<ClientId> = self
            .node
            .sessions
            .iter()
            .filter(|(_, session)| {
                !session.authenticated
                    && now_us.saturating_sub(session.connected_us) > AUTHENTICATION_DEADLINE_US
            })
            .map(|(client, _)| client)
            .collect();
        for client in late {
            if let Some(session) = self.node.sessions.find_mut(client) {
                Encoder::new(&mut session.output, session.protocol)
                    .error("NOAUTH Authentication took too long.");
            }
            self.node.flush(client);
            self.node.close(client);
        }
    }
}

impl Consensus {
    fn of(raft: &Raft) -> Self {
        Consensus {
            role: raft.role(),
            term: raft.term(),
            leader: raft.leader(),
            commit: raft.commit(),
            applied: LogIndex(0),
            first: LogIndex(1),
            last: raft.last_index(),
            leader_changes: 0,
            disk_full: false,
            is_changing: false,
        }
    }
}

fn log_role(consensus: &Consensus) {
    let term = consensus.term.0;
    match (consensus.role, consensus.leader) {
        (Role::Leader, _) => tracing::info!(term, "leading"),
        (Role::Follower, Some(leader)) => tracing::info!(term, leader = leader.0, "following"),
        (role, None) => tracing::info!(term, %role, "no leader"),
        (role, Some(leader)) => tracing::info!(term, %role, leader = leader.0, "campaigning"),
    }
}
