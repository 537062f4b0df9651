//! What a node knows besides consensus: the state machine, its clients, its settings, its figures.
//! Session commands (PING, CLIENT, INFO, SUBSCRIBE, …) are functions of it.

use std::collections::BTreeMap;

use kv::CommandId;
use raft::{LogIndex, NodeId, Role, Term};

use crate::compaction::Compaction;
use crate::config::{ClientId, Config, HostStats, Now, PeerInfo};
use crate::consistency::Consistency;
use crate::machine::Machine;
use crate::membership::Wish;
use crate::output::Shutdown;
use crate::pubsub::PubSub;
use crate::random::Random;
use crate::session::{Session, Sessions};
use crate::settings::Settings;
use crate::slowlog::Slowlog;
use crate::stats::Stats;
use crate::witness::Witness;

/// Everything of a replica that a command may look at or change, except the log itself.
#[derive(Debug)]
pub(crate) struct Node {
    /// What the shell gave at birth.
    pub(crate) config: Config,
    /// What CONFIG SET may change while it runs.
    pub(crate) settings: Settings,
    /// The replicated state.
    pub(crate) machine: Machine,
    /// The clients connected here.
    pub(crate) sessions: Sessions,
    /// Who subscribed to what, here.
    pub(crate) pubsub: PubSub,
    /// Snapshots of this node.
    pub(crate) compaction: Compaction,
    /// What is known of the states of the members.
    pub(crate) consistency: Consistency,
    /// Counters for INFO and metrics.
    pub(crate) stats: Stats,
    /// Slow commands.
    pub(crate) slowlog: Slowlog,
    /// The other nodes as they are seen from here, and this one.
    pub(crate) members: BTreeMap<NodeId, Member>,
    /// Consensus as of the last drain.
    pub(crate) consensus: Consensus,
    /// Figures about the host.
    pub(crate) host: HostStats,
    /// The time of the input being handled.
    pub(crate) now: Now,
    /// When this replica was made.
    pub(crate) started: Now,
    /// Random choices that need not agree with other replicas'.
    pub(crate) random: Random,
    /// CLIENT PAUSE: until when, and whether only writes are held back.
    pub(crate) pause: Option<Pause>,
    /// Sessions with output for the shell to write.
    pub(crate) flush: Vec<ClientId>,
    /// Sessions to disconnect.
    pub(crate) closing: Vec<ClientId>,
    /// Sessions whose next commands may now be started.
    pub(crate) runnable: Vec<ClientId>,
    /// SHUTDOWN was called.
    pub(crate) shutdown: Option<Shutdown>,
    /// Where replies were made, for a simulator.
    pub(crate) witnesses: Vec<Witness>,
}

/// A member of the cluster as seen from this node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Member {
    /// Where peers reach it.
    pub(crate) peer_addr: String,
    /// Where clients reach it: empty until it has been heard from.
    pub(crate) client_addr: String,
    /// Its software version: empty until it has been heard from.
    pub(crate) version: String,
    /// The highest feature level that it knows: 0 until it has been heard from.
    pub(crate) feature_level: u32,
    /// Whether a connection to it stands. True of this node itself.
    pub(crate) connected: bool,
    /// Whether it votes; otherwise it is a learner.
    pub(crate) votes: bool,
    /// What is to become of it.
    pub(crate) wish: Wish,
    /// Whether it was heard from lately (on the leader; true elsewhere).
    pub(crate) is_alive: bool,
    /// The last index known to be in its log (on the leader; 0 elsewhere).
    pub(crate) matched: u64,
}

/// Consensus as commands see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Consensus {
    pub(crate) role: Role,
    pub(crate) term: Term,
    pub(crate) leader: Option<NodeId>,
    pub(crate) commit: LogIndex,
    pub(crate) applied: LogIndex,
    /// The first index that is in the log: those before it are in snapshots only.
    pub(crate) first: LogIndex,
    pub(crate) last: LogIndex,
    /// How often this node has seen the leader change.
    pub(crate) leader_changes: u64,
    /// The log refuses writes for lack of space on this node's disk.
    pub(crate) disk_full: bool,
    /// A change of the members is under way.
    pub(crate) is_changing: bool,
}

/// CLIENT PAUSE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pause {
    /// When it ends, in [`Now::mono_us`].
    pub(crate) until_us: u64,
    /// Whether only writes wait (CLIENT PAUSE … WRITE).
    pub(crate) writes_only: bool,
}

impl Node {
    /// The session of `client`. Session commands run only for a client that is there.
    ///
    /// # Panics
    /// If the client is gone: the caller has checked it.
    pub(crate) fn session(&mut self, client: ClientId) -> &mut Session {
        self.sessions
            .find_mut(client)
            .expect("a session command runs for a client that is there")
    }

    /// Disconnects a client once its output is written. Nothing more of its input is run.
    pub(crate) fn close(&mut self, client: ClientId) {
        if let Some(session) = self.sessions.find_mut(client)
            && !session.closing
        {
            session.closing = true;
            self.closing.push(client);
        }
    }

    /// Notes that a client has output for the shell to write.
    pub(crate) fn flush(&mut self, client: ClientId) {
        if let Some(session) = self.sessions.find_mut(client)
            && !session.flushing
        {
            session.flushing = true;
            self.flush.push(client);
        }
    }

    /// Notes that the next command of a client may be startable now.
    pub(crate) fn wake(&mut self, client: ClientId) {
        if let Some(session) = self.sessions.find_mut(client)
            && !session.queued
        {
            session.queued = true;
            self.runnable.push(client);
        }
    }

    /// Ends the sleep that the client's command was held back for, and tells how long it was.
    pub(crate) fn slept_us(&mut self, client: ClientId) -> u64 {
        let now_us = self.now.mono_us;
        let session = self.sessions.find_mut(client);
        let since_us = session.and_then(|session| session.asleep_since_us.take());
        since_us.map_or(0, |since_us| now_us - since_us)
    }

    /// Counts a command that ran for a client, and keeps it in the slow log if it was slow.
    pub(crate) fn note_call(
        &mut self,
        client: ClientId,
        id: CommandId,
        args: &[&[u8]],
        reply: &[u8],
        duration_us: u64,
    ) {
        let (settings, wall_ms) = (&self.settings, self.now.wall_ms);
        self.stats
            .count_call(id, reply, reply.first() == Some(&b'-'));
        self.stats.count_time(settings, id, wall_ms, duration_us);
        let slower_than_us = settings.slowlog_slower_than_us;
        if slower_than_us >= 0
            && duration_us >= slower_than_us as u64
            && let Some(session) = self.sessions.find(client)
        {
            self.slowlog
                .record(settings, session, wall_ms, duration_us, args);
        }
    }

    /// A peer's connection stands.
    pub(crate) fn peer_connected(&mut self, peer: NodeId, info: PeerInfo) {
        if let Some(member) = self.members.get_mut(&peer) {
            member.client_addr = info.client_addr;
            member.version = info.version;
            member.feature_level = info.feature_level;
            member.connected = true;
        }
    }

    /// Ids of the members that vote, or of those that do not.
    pub(crate) fn ids(&self, votes: bool) -> impl Iterator<Item = NodeId> + '_ {
        self.members
            .iter()
            .filter(move |(_, member)| member.votes == votes)
            .map(|(id, _)| *id)
    }

    /// Whether this node votes.
    pub(crate) fn is_voter(&self) -> bool {
        let own = self.members.get(&self.config.node);
        own.is_some_and(|member| member.votes)
    }

    /// The address of the leader for clients, if both are known.
    pub(crate) fn leader_addr(&self) -> Option<&str> {
        let member = self.members.get(&self.consensus.leader?)?;
        (!member.client_addr.is_empty()).then_some(member.client_addr.as_str())
    }
}
