//! Facts that did not happen, for the judges' own tests.

use bytes::Bytes;
use raft::{
    ConfChange, ConfState, EntryId, EntryKind, HardState, LogIndex, Message, NodeId, Role, Term,
    WriteId,
};
use replica::{Config, NodeInfo, Now, Output, PeerMessage, Replica, Write};
use wal::Record;

use crate::judges::{Fact, Judge, Shadow, View, Violation};

/// A judge that is shown facts, until it finds a violation.
pub(super) struct MadeUp<J> {
    pub(super) judge: J,
    pub(super) shadow: Shadow,
    /// Steps show this one, unless another is given.
    replica: Replica,
    outcome: Result<(), Violation>,
}

impl<J: Judge> MadeUp<J> {
    /// Nodes that have just been started for the first time.
    pub(super) fn new(nodes: usize, judge: J) -> MadeUp<J> {
        MadeUp::with_room(nodes, nodes, judge)
    }

    /// The same, and so many nodes in all that there may be later.
    pub(super) fn with_room(first: usize, nodes: usize, judge: J) -> MadeUp<J> {
        let mut made_up = MadeUp {
            judge,
            shadow: Shadow::default(),
            replica: replica(),
            outcome: Ok(()),
        };
        made_up.show(&Fact::Begin { nodes, first });
        for node in 1..=first as u64 {
            made_up.restart(node, &[], view(0, 0, 0));
        }
        made_up
    }

    pub(super) fn show(&mut self, fact: &Fact<'_>) {
        if self.outcome.is_ok() {
            self.shadow.take(fact);
            self.outcome = self.judge.see(fact, &self.shadow);
        }
    }

    /// A node ends, and starts on this.
    pub(super) fn restart(&mut self, node: u64, recovered: &[Record], view: View) {
        let node = NodeId(node);
        self.show(&Fact::Ended { node });
        let incarnation = self.shadow.node(node).incarnation + 1;
        self.show(&Fact::Started {
            node,
            incarnation,
            recovered,
            snapshot: None,
            view,
        });
    }

    /// A snapshot is durable.
    pub(super) fn snapshot(&mut self, node: u64, last: EntryId) {
        self.show(&Fact::SnapshotDurable {
            node: NodeId(node),
            last,
            is_received: false,
        });
    }

    pub(super) fn damage(&mut self, node: u64) {
        let node = NodeId(node);
        self.show(&Fact::Damaged { node });
    }

    pub(super) fn hand(&mut self, node: u64, id: u64, records: &[Record]) {
        let write = Write {
            id: WriteId(id),
            records: records.to_vec(),
            sync: true,
        };
        let node = NodeId(node);
        self.show(&Fact::Handed {
            node,
            write: &write,
        });
    }

    pub(super) fn persist(&mut self, node: u64, id: u64) {
        let (node, write) = (NodeId(node), WriteId(id));
        self.show(&Fact::Persisted { node, write });
    }

    pub(super) fn send(&mut self, from: u64, to: u64, message: impl Into<Message>) {
        let message = &PeerMessage::Raft(message.into());
        let (from, to) = (NodeId(from), NodeId(to));
        self.show(&Fact::Sent { from, to, message });
    }

    pub(super) fn step(&mut self, node: u64, view: View) {
        let replica = std::mem::replace(&mut self.replica, replica());
        self.step_of(node, view, &replica);
        self.replica = replica;
    }

    pub(super) fn step_of(&mut self, node: u64, view: View, replica: &Replica) {
        let node = NodeId(node);
        self.show(&Fact::Stepped {
            node,
            view,
            replica,
        });
    }

    /// Asserts that no fact was found to break the property.
    pub(super) fn is_well(&self) {
        assert_eq!(self.outcome, Ok(()));
    }

    /// Asserts that the property was found to be broken, as told.
    pub(super) fn fired(&self, detail: &str) {
        let violation = self.outcome.as_ref().expect_err("nothing was noticed");
        assert_eq!(violation.property, self.judge.property());
        assert!(violation.detail.contains(detail), "{violation}");
    }
}

/// A follower whose log ends with an entry of its term.
pub(super) fn view(term: u64, last: u64, commit: u64) -> View {
    View {
        role: Role::Follower,
        term: Term(term),
        vote: None,
        leader: None,
        commit: LogIndex(commit),
        applied: LogIndex(0),
        durable: LogIndex(0),
        last: EntryId::new(if last == 0 { 0 } else { term }, last),
    }
}

pub(super) fn leader(term: u64, last: u64, commit: u64) -> View {
    View {
        role: Role::Leader,
        ..view(term, last, commit)
    }
}

/// An entry of which all is decided by these.
pub(super) fn entry(term: u64, index: u64, payload: &'static str) -> Record {
    Record::entry(
        1,
        term,
        index,
        2,
        index,
        Bytes::from_static(payload.as_bytes()),
    )
}

/// An entry that brings a configuration.
pub(super) fn conf_entry(term: u64, index: u64, conf: &ConfState) -> Record {
    let change = ConfChange {
        conf: conf.clone(),
        context: Bytes::new(),
    };
    let tag = EntryKind::Membership as u8;
    Record::entry(1, term, index, tag, index, change.encode())
}

/// Voters and learners.
pub(super) fn conf(voters: &[u64], learners: &[u64]) -> ConfState {
    ConfState {
        learners: learners.iter().copied().map(NodeId).collect(),
        ..ConfState::of_voters(voters.iter().copied().map(NodeId))
    }
}

/// The passage from one set of voters to another.
pub(super) fn joint(from: &[u64], to: &[u64]) -> ConfState {
    let outgoing = conf(from, &[]).voters;
    let voters = conf(to, &[]).voters;
    ConfState {
        learners_next: outgoing.difference(&voters).copied().collect(),
        voters_outgoing: outgoing,
        voters,
        auto_leave: true,
        ..ConfState::default()
    }
}

pub(super) fn truncate(first_dropped: u64) -> Record {
    Record::truncate(1, first_dropped)
}

/// A log begins behind this entry.
pub(super) fn base(term: u64, index: u64) -> Record {
    Record::base(1, term, index, 0)
}

pub(super) fn state(term: u64, vote: Option<u64>, commit: u64) -> Record {
    let state = HardState {
        term: Term(term),
        vote: vote.map(NodeId),
        commit: LogIndex(commit),
    };
    Record::state(1, Bytes::copy_from_slice(&state.encode()))
}

/// A replica of a cluster of one that has done nothing.
pub(super) fn replica() -> Replica {
    let config = Config {
        cluster: raft::ClusterId(7),
        group: raft::GroupId(1),
        node: NodeId(1),
        incarnation: 1,
        members: [(NodeId(1), String::new())].into(),
        addresses: std::collections::BTreeMap::new(),
        feature_levels: replica::FeatureLevels::OF_THIS_RELEASE,
        feature_level_found: 0,
        feature_level_max: 0,
        is_joined: false,
        serves_peers: true,
        tick_ms: 10,
        election_timeout_ms: 150,
        heartbeat_ms: 30,
        seed: 1,
        cluster_secret: [1; 16],
        request_timeout_ms: 5_000,
        entry_bytes_max: 1 << 20,
        batch_bytes_max: 1 << 20,
        unapplied_bytes_max: 1 << 20,
        snapshot_log_bytes_min: Config::SNAPSHOT_LOG_BYTES_MIN,
        snapshot_log_bytes_max: Config::SNAPSHOT_LOG_BYTES_MAX,
        snapshot_state_percent: Config::SNAPSHOT_STATE_PERCENT,
        log_tail_bytes: Config::LOG_TAIL_BYTES,
        state_check_entries: 16,
        clients_max: 10,
        output_bytes_max: 1 << 20,
        requirepass: None,
        client_addr: String::new(),
        info: NodeInfo::default(),
    };
    Replica::new(config, raft::Recovered::default(), None, Now::default()).expect("it is valid")
}
/// The same, after it has elected itself and applied the first entry of its log.
pub(super) fn replica_that_has_applied() -> Replica {
    let mut replica = replica();
    let mut output = Output::default();
    for tick in 1..1000 {
        let now = Now {
            wall_ms: tick * 10,
            mono_us: tick * 10_000,
        };
        replica.tick(now);
        replica.drain(now, &mut output);
        for write in &output.writes {
            replica.persisted(now, write.id);
        }
        if replica.raft().applied_index() > LogIndex(0) {
            return replica;
        }
    }
    unreachable!("a cluster of one elects itself in ten seconds")
}
