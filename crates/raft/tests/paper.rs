//! The claims of the Raft paper's section 5, one test each, in its order and named after it.
//!
//! Most look at a single server from outside: what it answers, what it writes, what it becomes.

#[allow(dead_code, reason = "each test program uses a part of it")]
mod common;

use std::collections::BTreeSet;

use bytes::Bytes;
use raft::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, ClusterId, Config, Entry, EntryId,
    EntryKind, Envelope, GroupId, HardState, Heartbeat, LogIndex, Message, NodeId, Raft, Recovered,
    RequestPreVoteResponse, RequestVote, RequestVoteResponse, Role, Round, Session, Term,
};

use common::Cluster;

/// Server 1 of some, with a disk that writes at once.
struct Server {
    raft: Raft,
    applied: Vec<Entry>,
    log: Vec<EntryId>,
}

impl Server {
    /// With a log of entries of these terms.
    fn new(servers: u64, terms: &[u64]) -> Server {
        Server::with(servers, terms, HardState::default(), |_| ())
    }

    fn with(
        servers: u64,
        terms: &[u64],
        mut hard_state: HardState,
        configure: impl FnOnce(&mut Config),
    ) -> Server {
        let mut config = Config::new(NodeId(1), (1..=servers).map(NodeId));
        configure(&mut config);
        let log: Vec<EntryId> = (1..)
            .zip(terms)
            .map(|(index, &term)| EntryId::new(term, index))
            .collect();
        let mut term_runs: Vec<(LogIndex, Term)> = Vec::new();
        for id in &log {
            if term_runs.last().is_none_or(|&(_, term)| term != id.term) {
                term_runs.push((id.index, id.term));
            }
        }
        let last = log.last().copied().unwrap_or(EntryId::ZERO);
        hard_state.term = hard_state.term.max(last.term);
        let recovered = Recovered {
            hard_state,
            term_runs,
            last,
            ..Recovered::default()
        };
        let raft = Raft::new(config, recovered).expect("a sound log");
        Server {
            raft,
            applied: Vec::new(),
            log,
        }
    }

    /// All that comes out, in the end.
    fn drain(&mut self) -> Vec<Envelope> {
        let mut sent = Vec::new();
        while let Some(ready) = self.raft.ready() {
            self.raft.check_invariants();
            sent.extend(ready.messages);
            self.applied.extend(ready.apply);
            if let Some(persist) = ready.persist {
                if let Some(first_dropped) = persist.truncate_from {
                    self.log.retain(|id| id.index < first_dropped);
                }
                self.log
                    .extend(persist.entries.iter().map(|entry| entry.id));
                sent.extend(persist.messages);
                self.raft.persisted(persist.write);
            }
        }
        sent
    }

    fn receive(&mut self, from: u64, message: impl Into<Message>) -> Vec<Envelope> {
        let envelope = Envelope {
            cluster: ClusterId(0),
            group: GroupId(0),
            from: NodeId(from),
            to: NodeId(1),
            message: message.into(),
        };
        self.raft.step(envelope).expect("an honest message");
        self.drain()
    }

    /// The answer to a message, which is one.
    fn answer(&mut self, from: u64, message: impl Into<Message>) -> Message {
        let mut sent = self.receive(from, message);
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0).message
    }

    /// Passes the pre-vote, so that a campaign begins.
    fn become_candidate(&mut self) -> Vec<Envelope> {
        self.raft.campaign();
        let mut sent = self.drain();
        let term = self.raft.term().next();
        for voter in 2..=self.raft.config().conf.voters.len() as u64 {
            sent.extend(self.receive(
                voter,
                RequestPreVoteResponse {
                    term,
                    granted: true,
                },
            ));
        }
        assert_eq!(self.raft.role(), Role::Candidate);
        sent.retain(|envelope| matches!(envelope.message, Message::RequestVote(_)));
        sent
    }

    fn become_leader(&mut self) -> Vec<Envelope> {
        self.become_candidate();
        let term = self.raft.term();
        let mut sent = Vec::new();
        for voter in 2..=self.raft.config().conf.voters.len() as u64 {
            sent.extend(self.receive(
                voter,
                RequestVoteResponse {
                    term,
                    granted: true,
                },
            ));
        }
        assert!(self.raft.is_leader());
        sent
    }

    fn propose(&mut self, text: &'static str) -> Vec<Envelope> {
        let payload = Bytes::from_static(text.as_bytes());
        self.raft
            .propose(EntryKind::Batch, payload, 0)
            .expect("a leader");
        self.drain()
    }

    fn tick_until_campaign(&mut self) -> u32 {
        for ticks in 1..100 {
            self.raft.tick();
            if !self.drain().is_empty() {
                return ticks;
            }
        }
        panic!("no election");
    }
}

fn entry(term: u64, index: u64) -> Entry {
    Entry {
        id: EntryId::new(term, index),
        kind: EntryKind::Batch,
        time_ms: 0,
        payload: Bytes::new(),
    }
}

fn append(term: u64, prev: (u64, u64), commit: u64, entries: &[(u64, u64)]) -> AppendEntries {
    AppendEntries {
        session: Session(0),
        term: Term(term),
        prev: EntryId::new(prev.0, prev.1),
        commit: LogIndex(commit),
        round: Round(0),
        entries: entries
            .iter()
            .map(|&(term, index)| entry(term, index))
            .collect(),
    }
}

fn accepted(term: u64, match_index: u64) -> AppendEntriesResponse {
    AppendEntriesResponse {
        session: Session(0),
        term: Term(term),
        round: Round(0),
        outcome: AppendOutcome::Accepted {
            match_index: LogIndex(match_index),
        },
    }
}

fn heartbeat(term: u64) -> Heartbeat {
    Heartbeat {
        session: Session(0),
        term: Term(term),
        commit: LogIndex(0),
        round: Round(0),
    }
}

fn request_vote(term: u64, last: (u64, u64)) -> RequestVote {
    RequestVote {
        term: Term(term),
        last: EntryId::new(last.0, last.1),
        transfer: false,
    }
}

fn is_granted(message: &Message) -> bool {
    matches!(message, Message::RequestVoteResponse(response) if response.granted)
}

fn is_accepted(message: &Message) -> bool {
    matches!(
        message,
        Message::AppendEntriesResponse(response)
            if matches!(response.outcome, AppendOutcome::Accepted { .. })
    )
}

// 5.1 Raft basics

#[test]
fn s5_1_if_a_servers_term_is_smaller_it_updates_it_to_the_larger_value() {
    let mut server = Server::new(3, &[1]);
    server.receive(2, heartbeat(7));
    assert_eq!(server.raft.term(), Term(7));
}

#[test]
fn s5_1_if_a_candidate_discovers_that_its_term_is_out_of_date_it_reverts_to_follower() {
    let mut server = Server::new(3, &[1]);
    server.become_candidate();
    server.receive(
        2,
        RequestVoteResponse {
            term: Term(9),
            granted: false,
        },
    );
    assert_eq!(
        (server.raft.role(), server.raft.term()),
        (Role::Follower, Term(9))
    );
}

#[test]
fn s5_1_if_a_leader_discovers_that_its_term_is_out_of_date_it_reverts_to_follower() {
    let mut server = Server::new(3, &[1]);
    server.become_leader();
    server.receive(2, accepted(9, 0));
    assert_eq!(
        (server.raft.role(), server.raft.term()),
        (Role::Follower, Term(9))
    );
}

#[test]
fn s5_1_if_a_server_receives_a_request_with_a_stale_term_number_it_rejects_the_request() {
    let mut server = Server::new(3, &[1, 5]);
    assert!(!is_granted(&server.answer(2, request_vote(4, (4, 9)))));
    let answer = server.answer(2, append(4, (1, 1), 0, &[(4, 2)]));
    assert!(!is_accepted(&answer));
    assert_eq!(answer.term(), Term(5), "the sender learns the term");
    assert_eq!(server.log, [EntryId::new(1, 1), EntryId::new(5, 2)]);
}

// 5.2 Leader election

#[test]
fn s5_2_when_servers_start_up_they_begin_as_followers() {
    let server = Server::new(3, &[1, 2, 2]);
    assert_eq!(server.raft.role(), Role::Follower);
}

#[test]
fn s5_2_a_server_remains_a_follower_as_long_as_it_receives_messages_from_a_leader() {
    let mut server = Server::new(3, &[1]);
    for _ in 0..100 {
        server.raft.tick();
        server.receive(2, heartbeat(1));
        assert_eq!(server.raft.role(), Role::Follower);
    }
}

#[test]
fn s5_2_if_a_follower_receives_no_communication_it_begins_an_election() {
    let mut server = Server::new(3, &[1]);
    server.receive(2, heartbeat(1));
    let ticks = server.tick_until_campaign();
    let config = server.raft.config();
    assert!(ticks >= config.election_timeout_ticks_min);
    assert!(ticks <= config.election_timeout_ticks_max);
}

#[test]
fn s5_2_to_begin_an_election_a_follower_increments_its_term_and_votes_for_itself() {
    let mut server = Server::new(5, &[1]);
    let requests = server.become_candidate();
    assert_eq!(
        (server.raft.term(), server.raft.status().vote),
        (Term(2), Some(NodeId(1)))
    );
    let asked: BTreeSet<NodeId> = requests.iter().map(|request| request.to).collect();
    assert_eq!(
        asked,
        (2..=5).map(NodeId).collect(),
        "it asks every other server"
    );
    assert!(
        requests
            .iter()
            .all(|request| request.message.term() == Term(2))
    );
}

#[test]
fn s5_2_a_candidate_wins_if_it_receives_votes_from_a_majority() {
    for (servers, others_needed) in [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (7, 3)] {
        let mut server = Server::new(servers, &[1]);
        server.become_candidate_or_leader();
        for voter in 0..others_needed {
            assert!(
                !server.raft.is_leader(),
                "{servers} servers, {voter} other votes"
            );
            let term = server.raft.term();
            server.receive(
                voter + 2,
                RequestVoteResponse {
                    term,
                    granted: true,
                },
            );
        }
        assert!(
            server.raft.is_leader(),
            "{servers} servers, {others_needed} other votes"
        );
    }
}

impl Server {
    /// A candidate, or, alone, the leader.
    fn become_candidate_or_leader(&mut self) {
        if self.raft.config().conf.voters.len() == 1 {
            self.raft.campaign();
            self.drain();
        } else {
            self.become_candidate();
        }
    }
}

#[test]
fn s5_2_a_vote_that_is_repeated_counts_once() {
    let mut server = Server::new(5, &[1]);
    server.become_candidate();
    for _ in 0..3 {
        server.receive(
            2,
            RequestVoteResponse {
                term: Term(2),
                granted: true,
            },
        );
    }
    assert!(!server.raft.is_leader());
}

#[test]
fn s5_2_each_server_votes_for_at_most_one_candidate_first_come_first_served() {
    let mut server = Server::new(3, &[1]);
    assert!(is_granted(&server.answer(2, request_vote(2, (1, 1)))));
    assert!(!is_granted(&server.answer(3, request_vote(2, (1, 1)))));
    assert!(
        is_granted(&server.answer(2, request_vote(2, (1, 1)))),
        "the same one may ask again"
    );
    assert!(
        is_granted(&server.answer(3, request_vote(3, (1, 1)))),
        "the next term is another"
    );
}

#[test]
fn s5_2_once_a_candidate_wins_it_sends_messages_to_all_other_servers() {
    let mut server = Server::new(5, &[1]);
    let sent = server.become_leader();
    let reached: BTreeSet<NodeId> = sent.iter().map(|envelope| envelope.to).collect();
    assert_eq!(reached, (2..=5).map(NodeId).collect());
    let from_leader = |envelope: &Envelope| matches!(envelope.message, Message::AppendEntries(_));
    assert!(sent.iter().all(from_leader));
}

#[test]
fn s5_2_a_candidate_recognizes_a_leader_whose_term_is_at_least_as_large() {
    for term in [2, 3] {
        let mut server = Server::new(3, &[1]);
        server.become_candidate();
        server.receive(3, append(term, (1, 1), 0, &[]));
        assert_eq!(
            (server.raft.role(), server.raft.leader()),
            (Role::Follower, Some(NodeId(3)))
        );
    }
}

#[test]
fn s5_2_a_candidate_rejects_a_leader_of_a_smaller_term_and_continues() {
    let mut server = Server::new(3, &[3]);
    server.become_candidate();
    let answer = server.answer(3, append(3, (3, 1), 0, &[]));
    assert!(!is_accepted(&answer));
    assert_eq!(server.raft.role(), Role::Candidate);
}

#[test]
fn s5_2_a_candidate_that_neither_wins_nor_loses_times_out_and_starts_a_new_election() {
    let mut server = Server::new(3, &[1]);
    server.become_candidate();
    assert_eq!(server.raft.term(), Term(2));
    server.tick_until_campaign();
    server.receive(
        2,
        RequestPreVoteResponse {
            term: Term(3),
            granted: true,
        },
    );
    assert_eq!(
        (server.raft.role(), server.raft.term()),
        (Role::Candidate, Term(3))
    );
}

#[test]
fn s5_2_election_timeouts_are_chosen_randomly_from_a_fixed_interval() {
    let mut seen = BTreeSet::new();
    for seed in 0..300 {
        let configure = |config: &mut Config| config.seed = seed;
        let mut server = Server::with(3, &[1], HardState::default(), configure);
        seen.insert(server.tick_until_campaign());
    }
    assert_eq!(seen, (10..=20).collect());
}

// 5.3 Log replication

#[test]
fn s5_3_the_leader_appends_the_command_and_sends_it_to_each_other_server() {
    let mut server = Server::new(3, &[1]);
    server.become_leader();
    for follower in [2, 3] {
        server.receive(follower, accepted(2, 2));
    }
    let sent = server.propose("x = 3");
    let carries = |envelope: &Envelope| {
        matches!(&envelope.message, Message::AppendEntries(append)
            if append.entries.len() == 1 && append.prev == EntryId::new(2, 2))
    };
    assert_eq!(sent.iter().filter(|envelope| carries(envelope)).count(), 2);
    assert_eq!(server.log.last(), Some(&EntryId::new(2, 3)));
}

#[test]
fn s5_3_an_entry_is_committed_once_it_is_replicated_on_a_majority() {
    for (servers, others_needed) in [(3, 1), (5, 2), (7, 3)] {
        let mut server = Server::new(servers, &[]);
        server.become_leader();
        for follower in 0..others_needed {
            assert!(
                server.applied.is_empty(),
                "{servers} servers, {follower} others"
            );
            server.receive(follower + 2, accepted(1, 1));
        }
        assert_eq!(
            server.applied.len(),
            1,
            "{servers} servers, {others_needed} others"
        );
    }
}

#[test]
fn s5_3_committing_an_entry_commits_all_preceding_entries_of_previous_leaders_too() {
    let mut server = Server::with(3, &[1, 1, 2], HardState::default(), |config| {
        config.apply_bytes_max = 1 << 20;
    });
    server.become_leader();
    server.receive(2, accepted(3, 4));
    assert_eq!(server.raft.commit(), LogIndex(4));
}

#[test]
fn s5_3_the_leader_includes_the_committed_index_in_future_messages() {
    let mut server = Server::new(3, &[]);
    server.become_leader();
    let sent = server.receive(2, accepted(1, 1));
    let news = |envelope: &Envelope| matches!(&envelope.message, Message::AppendEntries(append) if append.commit == LogIndex(1));
    assert!(sent.iter().any(news), "{sent:?}");
}

#[test]
fn s5_3_once_a_follower_learns_that_an_entry_is_committed_it_applies_it_in_log_order() {
    let mut server = Server::new(3, &[]);
    server.receive(2, append(1, (0, 0), 0, &[(1, 1), (1, 2), (1, 3)]));
    assert!(server.applied.is_empty());
    server.receive(2, append(1, (1, 3), 2, &[]));
    let applied: Vec<u64> = server
        .applied
        .iter()
        .map(|entry| entry.id.index.0)
        .collect();
    assert_eq!(applied, [1, 2]);
}

#[test]
fn s5_3_a_follower_commits_only_what_the_message_has_checked() {
    let mut server = Server::new(3, &[1, 1, 1]);
    server.receive(2, append(2, (1, 1), 3, &[(1, 2)]));
    assert_eq!(
        server.raft.commit(),
        LogIndex(2),
        "entry 3 may not be the leader's"
    );
}

#[test]
fn s5_3_if_the_follower_does_not_find_the_preceding_entry_it_refuses_the_new_ones() {
    let cases = [
        ((1, 1), true),
        ((2, 2), true),
        ((1, 2), false),
        ((2, 3), false),
        ((3, 3), false),
    ];
    for (prev, accepts) in cases {
        let mut server = Server::new(3, &[1, 2]);
        let answer = server.answer(2, append(3, prev, 0, &[(3, prev.1 + 1)]));
        assert_eq!(is_accepted(&answer), accepts, "{prev:?}");
    }
}

#[test]
fn s5_3_conflicting_entries_in_follower_logs_are_overwritten_by_the_leaders() {
    let mut server = Server::new(3, &[1, 1, 2, 2]);
    let answer = server.answer(2, append(3, (1, 1), 0, &[(1, 2), (3, 3)]));
    assert_eq!(answer, accepted(3, 3).into());
    assert_eq!(
        server.log,
        [EntryId::new(1, 1), EntryId::new(1, 2), EntryId::new(3, 3)]
    );
}

#[test]
fn s5_3_entries_that_do_not_conflict_are_left_alone() {
    let mut server = Server::new(3, &[1, 1, 1]);
    let answer = server.answer(2, append(2, (0, 0), 0, &[(1, 1)]));
    assert_eq!(answer, accepted(2, 1).into());
    assert_eq!(server.log.len(), 3, "a late message truncates nothing");
}

#[test]
fn s5_3_when_a_leader_comes_to_power_next_index_is_just_after_its_last_entry() {
    let mut server = Server::new(3, &[1, 1, 1]);
    let sent = server.become_leader();
    for envelope in &sent {
        let Message::AppendEntries(append) = &envelope.message else {
            panic!("{envelope}")
        };
        assert_eq!(append.prev, EntryId::new(1, 3));
    }
}

#[test]
fn s5_3_after_a_rejection_the_leader_decrements_next_index_and_retries() {
    let mut server = Server::new(3, &[1, 1, 1]);
    server.become_leader();
    let outcome = AppendOutcome::Rejected {
        prev: LogIndex(3),
        hint: EntryId::new(1, 1),
    };
    let rejection = AppendEntriesResponse {
        session: Session(0),
        term: Term(2),
        round: Round(0),
        outcome,
    };
    let sent = server.receive(2, rejection);
    let Message::AppendEntries(append) = &sent[0].message else {
        panic!("{sent:?}")
    };
    assert_eq!(append.prev, EntryId::new(1, 1));
}

#[test]
fn s5_3_one_rejection_bypasses_all_conflicting_entries_of_a_term() {
    let mut server = Server::new(3, &[1, 1, 2, 2, 2]);
    let answer = server.answer(2, append(4, (3, 5), 0, &[]));
    let hint = EntryId::new(2, 5);
    let outcome = AppendOutcome::Rejected {
        prev: LogIndex(5),
        hint,
    };
    assert_eq!(
        answer,
        AppendEntriesResponse {
            session: Session(0),
            term: Term(4),
            round: Round(0),
            outcome
        }
        .into()
    );
    let answer = server.answer(2, append(4, (1, 5), 0, &[]));
    let hint = EntryId::new(1, 2);
    let outcome = AppendOutcome::Rejected {
        prev: LogIndex(5),
        hint,
    };
    assert_eq!(
        answer,
        AppendEntriesResponse {
            session: Session(0),
            term: Term(4),
            round: Round(0),
            outcome
        }
        .into()
    );
}

#[test]
fn s5_3_a_leader_never_overwrites_or_deletes_entries_in_its_own_log() {
    let mut server = Server::new(3, &[1, 1, 1]);
    server.become_leader();
    let before = server.log.clone();
    server.propose("x");
    let outcome = AppendOutcome::Rejected {
        prev: LogIndex(3),
        hint: EntryId::ZERO,
    };
    server.receive(
        2,
        AppendEntriesResponse {
            session: Session(0),
            term: Term(2),
            round: Round(0),
            outcome,
        },
    );
    server.receive(3, accepted(2, 5));
    assert_eq!(server.log[..before.len()], before);
}

#[test]
fn s5_3_if_followers_lose_packets_the_leader_retries_until_all_store_all_entries() {
    let mut cluster = Cluster::new(3, |config| config.heartbeat_ticks = 1);
    cluster.input(NodeId(1), "", Raft::campaign);
    cluster.settle();
    let proposed = cluster.propose(NodeId(1), "x");
    cluster.network.clear();
    for _ in 0..3 {
        cluster.tick(NodeId(1));
        cluster.settle();
    }
    for id in 1..=3 {
        assert_eq!(
            cluster
                .node(NodeId(id))
                .applied
                .last()
                .map(|entry| entry.id),
            proposed
        );
    }
}

// 5.4.1 Election restriction

#[test]
fn s5_4_1_the_voter_denies_its_vote_if_its_own_log_is_more_up_to_date() {
    let cases: [(&[u64], (u64, u64), bool); 7] = [
        (&[1], (1, 1), true),
        (&[1], (1, 2), true),
        (&[1, 1], (1, 1), false),
        (&[1], (2, 1), true),
        (&[1, 1], (2, 1), true),
        (&[2], (1, 2), false),
        (&[], (0, 0), true),
    ];
    for (terms, last, granted) in cases {
        let mut server = Server::new(3, terms);
        let answer = server.answer(2, request_vote(3, last));
        assert_eq!(
            is_granted(&answer),
            granted,
            "{last:?} for a log of terms {terms:?}"
        );
    }
}

// 5.4.2 Committing entries from previous terms

#[test]
fn s5_4_2_only_entries_of_the_leaders_current_term_are_committed_by_counting_replicas() {
    let mut server = Server::new(5, &[1, 2]);
    server.become_leader();
    for follower in 2..=5 {
        server.receive(follower, accepted(3, 2));
    }
    assert_eq!(
        server.raft.commit(),
        LogIndex(0),
        "all hold entry 2, but it is of term 2"
    );
    for follower in 2..=3 {
        server.receive(follower, accepted(3, 3));
    }
    assert_eq!(server.raft.commit(), LogIndex(3));
}

// 5.4.3 Safety argument: the randomized test checks Leader Completeness and State Machine Safety
// at every step.

// 5.5 Follower and candidate crashes

#[test]
fn s5_5_if_a_follower_crashes_the_leader_retries_until_it_restarts() {
    let mut cluster = Cluster::new(3, |config| config.heartbeat_ticks = 1);
    cluster.input(NodeId(1), "", Raft::campaign);
    cluster.settle();
    cluster.crash(NodeId(3));
    let proposed = cluster.propose(NodeId(1), "x");
    cluster.settle();
    cluster.restart(NodeId(3));
    for _ in 0..3 {
        cluster.tick(NodeId(1));
        cluster.settle();
    }
    assert_eq!(
        cluster.node(NodeId(3)).applied.last().map(|entry| entry.id),
        proposed
    );
}

#[test]
fn s5_5_a_follower_that_receives_a_request_twice_ignores_what_it_holds_already() {
    let mut server = Server::new(3, &[]);
    let request = append(1, (0, 0), 1, &[(1, 1), (1, 2)]);
    let first = server.receive(2, request.clone());
    let second = server.receive(2, request);
    assert_eq!(first.last(), second.last(), "the answer is the same");
    assert_eq!((server.log.len(), server.applied.len()), (2, 1));
}

// 5.6 Timing and availability

#[test]
fn s5_6_a_candidate_or_leader_without_a_majority_makes_no_progress_and_no_harm() {
    let mut cluster = Cluster::new(3, |_| ());
    cluster.crash(NodeId(2));
    cluster.crash(NodeId(3));
    for _ in 0..200 {
        cluster.tick(NodeId(1));
        cluster.settle();
    }
    assert_eq!(cluster.raft(NodeId(1)).term(), Term(0));
    cluster.restart(NodeId(2));
    for _ in 0..40 {
        cluster.tick(NodeId(1));
        cluster.tick(NodeId(2));
        cluster.settle();
    }
    assert!(cluster.leader().is_some());
}
