//! A replica among liars: any message of any peer, with any numbers in it, in any order. Nothing
//! may make it panic or break an invariant of its own state, and what it refuses must leave it as
//! it was.

use bytes::Bytes;
use proptest::prelude::*;
use raft::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, ClusterId, ConfChange, ConfState, Config,
    Entry, EntryId, EntryKind, Envelope, GroupId, Heartbeat, HeartbeatResponse, LogIndex,
    MembershipChange, Message, NodeId, Raft, ReadEntries, ReadIndex, ReadIndexResponse, ReadToken,
    Recovered, RequestPreVote, RequestPreVoteResponse, RequestVote, RequestVoteResponse, Round,
    Session, Term, TimeoutNow, WriteId,
};

#[derive(Clone, Debug)]
enum Input {
    Tick,
    Campaign,
    Propose,
    Change(MembershipChange),
    Read(u64),
    Transfer(Option<u64>),
    Reset(u64),
    Connected(u64),
    Persist,
    EntriesRead { first: u64, terms: Vec<u64> },
    Step(Envelope),
}

/// Mostly plausible numbers, now and then an absurd one.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        20 => 0..6_u64,
        1 => Just(u64::MAX),
        1 => Just(u64::MAX / 2),
        1 => any::<u64>(),
    ]
}

fn entry_id() -> impl Strategy<Value = EntryId> {
    (number(), number()).prop_map(|(term, index)| EntryId::new(term, index))
}

/// An entry of a leader that may put anybody in force, or nobody, or nonsense.
fn entry(id: EntryId) -> Entry {
    let dice = id.term.0.wrapping_mul(7).wrapping_add(id.index.0);
    let (kind, payload) = match dice % 4 {
        0 => (EntryKind::Membership, change_payload(dice / 4)),
        _ => (EntryKind::Batch, Bytes::from_static(b"payload")),
    };
    Entry {
        id,
        kind,
        time_ms: 0,
        payload,
    }
}

fn change_payload(dice: u64) -> Bytes {
    let set = |bits: u64| (0..5).filter(move |bit| bits >> bit & 1 == 1).map(NodeId);
    let is_joint = dice.is_multiple_of(2);
    let conf = ConfState {
        voters: set(1 + dice.wrapping_mul(5) % 31).collect(),
        learners: set(dice % 16).collect(),
        voters_outgoing: set(if is_joint { 2 + dice % 14 } else { 0 }).collect(),
        auto_leave: is_joint,
        ..ConfState::default()
    };
    let context = Bytes::new();
    ConfChange { conf, context }.encode()
}

fn membership_change() -> impl Strategy<Value = MembershipChange> {
    (0..6, 0..5_u64, 0..5_u64).prop_map(|(kind, id, other)| {
        let (id, other) = (NodeId(id), NodeId(other));
        match kind {
            0 => MembershipChange::AddLearner(id),
            1 => MembershipChange::Promote(id),
            2 => MembershipChange::Demote(id),
            3 => MembershipChange::RemoveLearner(id),
            4 => MembershipChange::Replace {
                old: id,
                new: other,
            },
            _ => MembershipChange::To(ConfState::of_voters([id, other])),
        }
    })
}

fn append_entries() -> impl Strategy<Value = Message> {
    let honest = prop::collection::vec(0..3_u64, 0..4);
    let broken = prop::collection::vec(entry_id(), 0..3);
    (number(), entry_id(), number(), number(), honest, broken).prop_map(
        |(term, prev, commit, round, rises, broken)| {
            let mut entries = Vec::new();
            let mut id = prev;
            for rise in rises {
                id.index = LogIndex(id.index.0.wrapping_add(1));
                id.term = Term(id.term.0.saturating_add(rise).min(term));
                entries.push(entry(id));
            }
            if term % 5 == 4 {
                entries.extend(broken.into_iter().map(entry));
            }
            let (term, commit, round) = (Term(term), LogIndex(commit), Round(round));
            AppendEntries {
                session: Session(round.0 % 3),
                term,
                prev,
                commit,
                round,
                entries,
            }
            .into()
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    let outcome = prop_oneof![
        number().prop_map(|index| AppendOutcome::Accepted {
            match_index: LogIndex(index)
        }),
        (number(), entry_id()).prop_map(|(prev, hint)| AppendOutcome::Rejected {
            prev: LogIndex(prev),
            hint
        }),
    ];
    let append_response = (number(), number(), outcome).prop_map(|(term, round, outcome)| {
        AppendEntriesResponse {
            session: Session(round % 3),
            term: Term(term),
            round: Round(round),
            outcome,
        }
        .into()
    });
    prop_oneof![
        4 => append_entries(),
        4 => append_response,
        10 => short_message(),
    ]
}

/// A message of one of the kinds that are made of numbers only.
fn short_message() -> impl Strategy<Value = Message> {
    let numbers = (number(), number(), number(), any::<bool>());
    (0..9, numbers).prop_map(|(kind, (term, first, second, flag))| {
        let term = Term(term);
        let last = EntryId::new(first, second);
        match kind {
            0 => RequestPreVote { term, last }.into(),
            1 => RequestPreVoteResponse {
                term,
                granted: flag,
            }
            .into(),
            2 => RequestVote {
                term,
                last,
                transfer: flag,
            }
            .into(),
            3 => RequestVoteResponse {
                term,
                granted: flag,
            }
            .into(),
            4 => Heartbeat {
                session: Session(second % 3),
                term,
                commit: LogIndex(first),
                round: Round(second),
            }
            .into(),
            5 => HeartbeatResponse {
                session: Session(first % 3),
                term,
                round: Round(first),
            }
            .into(),
            6 => ReadIndex {
                term,
                request: first,
            }
            .into(),
            7 => ReadIndexResponse {
                term,
                request: first,
                index: LogIndex(second),
            }
            .into(),
            _ => TimeoutNow { term }.into(),
        }
    })
}

fn envelope() -> impl Strategy<Value = Envelope> {
    let stray = prop_oneof![30 => Just(0_u64), 1 => Just(1_u64)];
    let to = prop_oneof![30 => Just(1_u64), 1 => 0..5_u64];
    (stray.clone(), stray, 0..5_u64, to, message()).prop_map(
        |(cluster, group, from, to, message)| Envelope {
            cluster: ClusterId(cluster),
            group: GroupId(group),
            from: NodeId(from),
            to: NodeId(to),
            message,
        },
    )
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        3 => Just(Input::Tick),
        1 => Just(Input::Campaign),
        2 => Just(Input::Propose),
        2 => membership_change().prop_map(Input::Change),
        1 => (0..9_u64).prop_map(Input::Read),
        1 => prop::option::of(0..5_u64).prop_map(Input::Transfer),
        1 => (0..5_u64).prop_map(Input::Reset),
        1 => (0..5_u64).prop_map(Input::Connected),
        4 => Just(Input::Persist),
        1 => (0..6_u64, prop::collection::vec(0..6_u64, 0..4))
            .prop_map(|(first, terms)| Input::EntriesRead { first, terms }),
        20 => envelope().prop_map(Input::Step),
    ]
}

/// A replica with a slow but honest shell.
struct Shell {
    raft: Raft,
    writes: Vec<WriteId>,
    reads: Vec<ReadEntries>,
}

impl Shell {
    fn give(&mut self, input: Input) {
        match input {
            Input::Tick => self.raft.tick(),
            Input::Campaign => self.raft.campaign(),
            Input::Propose => {
                let _ = self
                    .raft
                    .propose(EntryKind::Batch, Bytes::from_static(b"mine"), 0);
            }
            Input::Change(change) => {
                let _ = self.raft.propose_membership(change, Bytes::new());
            }
            Input::Read(token) => {
                let _ = self.raft.read_index(ReadToken(token));
            }
            Input::Transfer(to) => {
                let _ = self.raft.transfer_leadership(to.map(NodeId));
            }
            Input::Reset(peer) => self.raft.peer_reset(NodeId(peer)),
            Input::Connected(peer) => self.raft.peer_connected(NodeId(peer)),
            Input::Persist => {
                if !self.writes.is_empty() {
                    self.raft.persisted(self.writes.remove(0));
                }
            }
            Input::EntriesRead { first, terms } => {
                if let Some(read) = self.reads.pop() {
                    let ids = (first..)
                        .zip(terms)
                        .map(|(index, term)| EntryId::new(term, index));
                    self.raft
                        .entries_read(read.request, ids.map(entry).collect());
                }
            }
            Input::Step(envelope) => {
                let before = self.raft.status();
                if self.raft.step(envelope).is_err() {
                    assert_eq!(
                        self.raft.status(),
                        before,
                        "a refusal has changed something"
                    );
                }
            }
        }
        self.raft.check_invariants();
        while let Some(ready) = self.raft.ready() {
            self.raft.check_invariants();
            self.writes
                .extend(ready.persist.map(|persist| persist.write));
            self.reads.extend(ready.read_entries);
            if let Some(last) = ready.apply.last() {
                self.raft.applied(last.id.index);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..Default::default() })]

    #[test]
    fn nothing_a_peer_sends_breaks_a_replica(
        voters in 1..4_u64,
        inputs in prop::collection::vec(input(), 1..250),
    ) {
        let mut config = Config::new(NodeId(1), (1..=voters).map(NodeId));
        config.election_timeout_ticks_min = 2;
        config.election_timeout_ticks_max = 4;
        config.log_cache_bytes_max = 200;
        config.append_bytes_max = 150;
        config.inflight_messages_max = 2;
        let raft = Raft::new(config, Recovered::default()).expect("a sound configuration");
        let mut shell = Shell { raft, writes: Vec::new(), reads: Vec::new() };
        for input in inputs {
            shell.give(input);
        }
    }
}

/// A peer that claims the highest term it may does not keep the group from ever voting again.
#[test]
fn no_claim_uses_up_the_terms() {
    let config = Config::new(NodeId(1), (1..=3).map(NodeId));
    let raft = Raft::new(config, Recovered::default()).expect("a sound configuration");
    let mut shell = Shell {
        raft,
        writes: Vec::new(),
        reads: Vec::new(),
    };
    let from_peer = |term, transfer| Envelope {
        cluster: ClusterId(0),
        group: GroupId(0),
        from: NodeId(2),
        to: NodeId(1),
        message: RequestVote {
            term: Term(term),
            last: EntryId::ZERO,
            transfer,
        }
        .into(),
    };
    for shift in 0..64 {
        shell.give(Input::Step(from_peer(1 << shift, true)));
    }
    shell.give(Input::Step(from_peer(u64::MAX / 2, true)));
    shell.give(Input::Step(from_peer(u64::MAX, true)));
    let next = shell.raft.term().0.checked_add(1).expect("there is one");
    let result = shell.raft.step(from_peer(next, true));
    assert_eq!(result, Ok(()), "an honest candidate of the next term");
}

/// A change of members that cannot be read is refused with its message, and nothing of that is taken.
#[test]
fn a_change_that_cannot_be_read_is_refused() {
    let config = Config::new(NodeId(1), (1..=3).map(NodeId));
    let mut raft = Raft::new(config, Recovered::default()).expect("a sound configuration");
    let good = Entry {
        kind: EntryKind::Batch,
        ..entry(EntryId::new(1, 1))
    };
    let bad = Entry {
        id: EntryId::new(1, 2),
        kind: EntryKind::Membership,
        time_ms: 0,
        payload: Bytes::from_static(b"\x02\0\0\0\x09\0"),
    };
    let append = AppendEntries {
        term: Term(1),
        prev: EntryId::ZERO,
        commit: LogIndex(0),
        round: Round(0),
        session: Session(0),
        entries: vec![good, bad],
    };
    let envelope = Envelope {
        cluster: ClusterId(0),
        group: GroupId(0),
        from: NodeId(2),
        to: NodeId(1),
        message: append.into(),
    };
    let refusal = raft.step(envelope).expect_err("of a newer version");
    assert_eq!(
        refusal.to_string(),
        "the membership entry 2@t1 cannot be read: \
         configuration of version 9, newer than the 1 that is known here"
    );
    assert_eq!(raft.last_index(), LogIndex(0));
}
