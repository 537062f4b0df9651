//! The claims of the Raft paper's section 7 (log compaction), one test each, and what must hold
//! beyond them: about the disk's order, about snapshots that come at a bad moment, and about who
//! belongs to the group.

use bytes::Bytes;
use raft::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, ClusterId, ConfChange, ConfState, Config,
    ConfigError, Entry, EntryId, EntryKind, Envelope, GroupId, HardState, LogIndex, Message,
    NodeId, Persist, Raft, ReadEntries, Recovered, RequestPreVoteResponse, RequestVote,
    RequestVoteResponse, Round, SendSnapshot, Session, SnapshotMeta, Term,
};

fn id(term: u64, index: u64) -> EntryId {
    EntryId::new(term, index)
}

fn conf(voters: u64) -> ConfState {
    ConfState::of_voters((1..=voters).map(NodeId))
}

fn snapshot(term: u64, index: u64) -> SnapshotMeta {
    SnapshotMeta {
        last: id(term, index),
        time_ms: 1_000 * index,
        conf: conf(3),
    }
}

fn entry(term: u64, index: u64) -> Entry {
    Entry {
        id: id(term, index),
        kind: EntryKind::Batch,
        time_ms: index,
        payload: Bytes::from_static(b"x"),
    }
}

/// Server 1 of three, whose disk writes when told.
struct Server {
    raft: Raft,
    sent: Vec<Message>,
    applied: Vec<EntryId>,
    writes: Vec<Persist>,
    asks: Vec<SendSnapshot>,
    reads: Vec<ReadEntries>,
}

impl Server {
    /// With a log of these terms on its disk.
    fn new(terms: &[u64], commit: u64) -> Server {
        Server::recover(recovered(terms, commit)).expect("a sound disk")
    }

    fn recover(recovered: Recovered) -> Result<Server, ConfigError> {
        let mut config = Config::new(NodeId(1), (1..=3).map(NodeId));
        config.log_cache_bytes_max = 100;
        let mut server = Server {
            raft: Raft::new(config, recovered)?,
            sent: Vec::new(),
            applied: Vec::new(),
            writes: Vec::new(),
            asks: Vec::new(),
            reads: Vec::new(),
        };
        server.drain();
        Ok(server)
    }

    fn drain(&mut self) {
        while let Some(ready) = self.raft.ready() {
            self.raft.check_invariants();
            self.sent
                .extend(ready.messages.into_iter().map(|envelope| envelope.message));
            self.asks.extend(ready.send_snapshots);
            self.reads.extend(ready.read_entries);
            self.writes.extend(ready.persist);
            if let Some(last) = ready.apply.last() {
                self.raft.applied(last.id.index);
            }
            self.applied
                .extend(ready.apply.iter().map(|entry| entry.id));
        }
    }

    fn receive(&mut self, from: u64, message: impl Into<Message>) {
        let envelope = Envelope {
            cluster: ClusterId(0),
            group: GroupId(0),
            from: NodeId(from),
            to: NodeId(1),
            message: message.into(),
        };
        self.raft.step(envelope).expect("an honest message");
        self.drain();
    }

    /// The oldest writes are durable.
    fn finish_writes(&mut self, count: usize) {
        for write in self.writes.drain(..count).collect::<Vec<_>>() {
            let envelopes = write.messages.into_iter();
            self.sent.extend(envelopes.map(|envelope| envelope.message));
            self.raft.persisted(write.write);
            self.raft.check_invariants();
        }
        self.drain();
    }

    fn finish_all_writes(&mut self) {
        while !self.writes.is_empty() {
            self.finish_writes(1);
        }
    }

    fn install(&mut self, snapshot: SnapshotMeta) -> bool {
        let is_news = self.raft.install_snapshot(snapshot);
        self.raft.check_invariants();
        self.drain();
        is_news
    }

    fn become_leader(&mut self) {
        self.raft.campaign();
        self.drain();
        let (term, granted) = (self.raft.term().next(), true);
        self.receive(2, RequestPreVoteResponse { term, granted });
        self.finish_all_writes();
        let term = self.raft.term();
        self.receive(2, RequestVoteResponse { term, granted });
        self.finish_all_writes();
        assert!(self.raft.is_leader());
    }

    /// What was acknowledged to the leader since it was last asked.
    fn acknowledged(&mut self) -> Vec<u64> {
        let matched = |message: Message| match message {
            Message::AppendEntriesResponse(AppendEntriesResponse {
                outcome: AppendOutcome::Accepted { match_index },
                ..
            }) => Some(match_index.0),
            _ => None,
        };
        self.sent.drain(..).filter_map(matched).collect()
    }

    fn first(&self) -> u64 {
        self.raft.status().first.0
    }

    fn needs_snapshot(&self, peer: u64) -> bool {
        let status = self.raft.status();
        let mut peers = status.peers.iter();
        peers.any(|found| found.id == NodeId(peer) && found.needs_snapshot)
    }
}

fn recovered(terms: &[u64], commit: u64) -> Recovered {
    let mut term_runs: Vec<(LogIndex, Term)> = Vec::new();
    for (index, &term) in (1..).zip(terms) {
        if term_runs.last().is_none_or(|&(_, last)| last != Term(term)) {
            term_runs.push((LogIndex(index), Term(term)));
        }
    }
    let last = id(terms.last().copied().unwrap_or(0), terms.len() as u64);
    Recovered {
        hard_state: HardState {
            term: last.term,
            vote: None,
            commit: LogIndex(commit),
        },
        term_runs,
        last,
        ..Recovered::default()
    }
}

fn append(term: u64, prev: (u64, u64), commit: u64, entries: &[(u64, u64)]) -> AppendEntries {
    AppendEntries {
        term: Term(term),
        prev: id(prev.0, prev.1),
        commit: LogIndex(commit),
        round: Round(0),
        session: Session(0),
        entries: entries
            .iter()
            .map(|&(term, index)| entry(term, index))
            .collect(),
    }
}

fn answer(term: u64, outcome: AppendOutcome) -> AppendEntriesResponse {
    AppendEntriesResponse {
        term: Term(term),
        round: Round(0),
        session: Session(0),
        outcome,
    }
}

fn accepted(term: u64, match_index: u64) -> AppendEntriesResponse {
    let match_index = LogIndex(match_index);
    answer(term, AppendOutcome::Accepted { match_index })
}

fn rejected(term: u64, prev: u64, hint: (u64, u64)) -> AppendEntriesResponse {
    let (prev, hint) = (LogIndex(prev), id(hint.0, hint.1));
    answer(term, AppendOutcome::Rejected { prev, hint })
}

/// A server that holds all of a log of these terms, with all of it applied.
fn follower_that_applied(terms: &[u64]) -> Server {
    let mut server = Server::new(&[], 0);
    let entries: Vec<(u64, u64)> = terms.iter().copied().zip(1..).collect();
    let term = terms.last().copied().unwrap_or(1);
    let commit = terms.len() as u64;
    server.receive(2, append(term, (0, 0), commit, &entries));
    server.finish_all_writes();
    assert_eq!(server.raft.applied_index(), LogIndex(commit));
    server.sent.clear();
    server
}

/// A leader of five entries, all applied. The first three are gone.
fn leader_with_cut_log() -> Server {
    let mut server = follower_that_applied(&[1, 1, 2, 2, 2]);
    let taken = server.raft.snapshot_meta(0);
    server.raft.snapshot_taken(taken, LogIndex(3));
    server.drain();
    server.finish_all_writes();
    server.become_leader();
    server
}

#[test]
fn s7_a_server_discards_the_log_up_to_a_snapshot_that_is_durable() {
    let mut server = follower_that_applied(&[1, 1, 2, 2]);
    let taken = server.raft.snapshot_meta(7);
    assert_eq!((taken.last, taken.time_ms), (id(2, 4), 7));
    assert_eq!(server.first(), 1, "nothing goes before it is durable");
    server.raft.snapshot_taken(taken, LogIndex(3));
    server.drain();
    assert_eq!(server.first(), 4);
    let bases: Vec<_> = server.writes.iter().map(|write| write.base).collect();
    assert_eq!(bases, [Some(id(2, 3))], "the disk is told once");
    assert_eq!(server.raft.last(), id(2, 4));
}

#[test]
fn s7_the_last_included_index_and_term_serve_the_consistency_check() {
    let mut server = follower_that_applied(&[1, 1, 2, 2]);
    server.raft.snapshot_taken(snapshot(2, 4), LogIndex(4));
    server.receive(2, append(2, (2, 4), 4, &[(2, 5)]));
    server.finish_all_writes();
    assert_eq!(server.acknowledged(), [5]);
    // What is below is committed, and what is above is compared.
    server.receive(2, append(2, (1, 2), 4, &[(2, 3)]));
    assert_eq!(server.acknowledged(), [4], "a late one says nothing of 5");
    server.receive(2, append(2, (1, 2), 4, &[(2, 3), (2, 4), (2, 5), (2, 6)]));
    server.finish_all_writes();
    assert_eq!(server.acknowledged(), [6]);
}

#[test]
fn s7_votes_compare_the_last_included_entry_when_there_is_no_other() {
    for (last, granted) in [(id(2, 4), true), (id(2, 3), false), (id(1, 9), false)] {
        let mut server = follower_that_applied(&[1, 1, 2, 2]);
        server.raft.snapshot_taken(snapshot(2, 4), LogIndex(4));
        // Its leader is dead.
        server.raft.peer_reset(NodeId(2));
        let (term, transfer) = (Term(9), true);
        server.receive(
            3,
            RequestVote {
                term,
                last,
                transfer,
            },
        );
        server.finish_all_writes();
        let grants = server.sent.iter().any(
            |message| matches!(message, Message::RequestVoteResponse(response) if response.granted),
        );
        assert_eq!(grants, granted, "{last}");
    }
}

#[test]
fn s7_a_leader_sends_a_snapshot_when_it_has_discarded_the_next_entry() {
    let mut server = leader_with_cut_log();
    let term = server.raft.term().0;
    server.receive(3, rejected(term, 5, (1, 1)));
    assert_eq!(server.asks, [], "the beginning of the log may do yet");
    server.receive(3, rejected(term, 3, (1, 1)));
    let ask = SendSnapshot {
        to: NodeId(3),
        least: LogIndex(3),
    };
    assert_eq!(server.asks, [ask]);
    server.sent.clear();
    // Once, and no appends meanwhile.
    for _ in 0..100 {
        server.raft.tick();
        server.receive(2, accepted(term, 6));
        server
            .raft
            .propose(EntryKind::Batch, Bytes::new(), 0)
            .expect("a leader");
        server.drain();
        server.finish_all_writes();
    }
    assert_eq!(server.asks, [ask]);
    let appends = |message: &&Message| {
        matches!(message, Message::AppendEntries(append)
        if append.prev.index < LogIndex(6))
    };
    assert_eq!(server.sent.iter().filter(appends).count(), 0);
}

#[test]
fn s7_a_follower_that_rejects_where_the_log_begins_is_not_probed_below() {
    let mut server = leader_with_cut_log();
    let term = server.raft.term().0;
    server.receive(3, rejected(term, 5, (0, 0)));
    let probes: Vec<u64> = server
        .sent
        .iter()
        .filter_map(|message| match message {
            Message::AppendEntries(append) => Some(append.prev.index.0),
            _ => None,
        })
        .collect();
    assert_eq!(probes.last(), Some(&3));
}

#[test]
fn s7_an_installed_snapshot_supersedes_the_entire_log_of_a_follower_that_lags() {
    let mut server = Server::new(&[1, 1], 1);
    assert!(server.install(snapshot(2, 5)));
    let status = server.raft.status();
    assert_eq!((status.first, status.last), (LogIndex(6), id(2, 5)));
    assert_eq!((status.commit, status.applied), (LogIndex(5), LogIndex(5)));
    assert_eq!(status.term, Term(2), "it proves its term");
    assert_eq!(
        server.writes.last().and_then(|write| write.base),
        Some(id(2, 5))
    );
}

#[test]
fn s7_a_follower_retains_the_entries_that_follow_a_snapshot_of_a_prefix_of_its_log() {
    let mut server = Server::new(&[1, 1, 2, 2], 1);
    assert!(server.install(snapshot(2, 3)));
    let status = server.raft.status();
    assert_eq!((status.first, status.last), (LogIndex(4), id(2, 4)));
    assert_eq!((status.commit, status.durable), (LogIndex(3), LogIndex(4)));
}

#[test]
fn a_conflicting_log_is_discarded_and_nothing_of_it_counts_as_durable() {
    let mut server = Server::new(&[1, 1], 1);
    server.receive(2, append(1, (1, 2), 1, &[(1, 3), (1, 4), (1, 5)]));
    server.acknowledged();
    assert!(server.install(snapshot(2, 4)));
    server.receive(3, append(2, (2, 4), 4, &[(2, 5)]));
    // The old entry 5 is written, and then the new one. (The old leader is told of the old one: when
    // that was said, it was so.)
    server.finish_writes(1);
    assert_eq!(server.raft.durable(), LogIndex(1), "what was committed");
    server.acknowledged();
    server.finish_all_writes();
    assert_eq!(server.raft.durable(), LogIndex(5));
    assert_eq!(server.acknowledged(), [5]);
}

#[test]
fn a_snapshot_that_is_not_news_changes_nothing() {
    let mut server = follower_that_applied(&[1, 1, 2, 2]);
    for (term, index) in [(2, 4), (1, 2), (0, 0)] {
        assert!(!server.install(snapshot(term, index)), "{index}");
    }
    assert_eq!((server.first(), server.raft.last()), (1, id(2, 4)));
    let mut leader = leader_with_cut_log();
    assert!(!leader.install(snapshot(9, 99)), "a leader has everything");
}

#[test]
fn the_leader_hears_of_an_installation_when_it_is_durable() {
    let mut server = Server::new(&[1], 0);
    server.receive(2, append(2, (2, 9), 5, &[]));
    server.finish_all_writes();
    server.sent.clear();
    assert!(server.install(snapshot(2, 5)));
    assert_eq!(server.acknowledged(), Vec::<u64>::new());
    assert_eq!(server.raft.durable(), LogIndex(0));
    server.finish_all_writes();
    assert_eq!(server.acknowledged(), [5]);
}

#[test]
fn the_log_is_cut_neither_beyond_the_snapshot_nor_beyond_what_is_durable() {
    let mut server = follower_that_applied(&[1, 1, 1, 1]);
    let early = SnapshotMeta {
        last: id(1, 2),
        ..snapshot(1, 2)
    };
    server.raft.snapshot_taken(early, LogIndex(4));
    assert_eq!(server.first(), 3);
    // The followers have committed what this leader's own disk has yet to write.
    server.become_leader();
    let term = server.raft.term().0;
    server.receive(2, accepted(term, 5));
    server
        .raft
        .propose(EntryKind::Batch, Bytes::new(), 0)
        .expect("a leader");
    server.drain();
    server.receive(2, accepted(term, 6));
    server.receive(3, accepted(term, 6));
    assert_eq!(server.raft.applied_index(), LogIndex(6));
    assert_eq!(server.raft.durable(), LogIndex(5));
    server
        .raft
        .snapshot_taken(server.raft.snapshot_meta(0), LogIndex(6));
    assert_eq!(server.first(), 6, "entry 6 is only in memory");
    server.finish_all_writes();
    let newest = server.raft.snapshot().clone();
    server.raft.snapshot_taken(newest, LogIndex(6));
    assert_eq!(server.first(), 7, "the same snapshot, when it may go");
}

#[test]
#[should_panic(expected = "only 4 is applied")]
fn a_snapshot_of_what_is_not_applied_is_a_bug() {
    let mut server = follower_that_applied(&[1, 1, 1, 1]);
    server.raft.snapshot_taken(snapshot(1, 5), LogIndex(1));
}

#[test]
fn what_was_to_be_read_of_the_dropped_part_is_called_off() {
    let mut server = leader_with_cut_log();
    let term = server.raft.term().0;
    server.receive(2, accepted(term, 6));
    // Follower 3 is known to hold entry 3, and lacks what has left the leader's memory.
    server.receive(3, rejected(term, 5, (2, 3)));
    server.receive(3, accepted(term, 3));
    let read = server
        .reads
        .pop()
        .expect("entries 4 and 5 are on disk only");
    assert_eq!(read.first, LogIndex(4));
    let taken = server.raft.snapshot_meta(0);
    server.raft.snapshot_taken(taken, LogIndex(6));
    server.sent.clear();
    server.drain();
    server
        .raft
        .entries_read(read.request, vec![entry(2, 4), entry(2, 5)]);
    server.drain();
    let prevs: Vec<u64> = server
        .sent
        .iter()
        .filter_map(|message| match message {
            Message::AppendEntries(append) => Some(append.prev.index.0),
            _ => None,
        })
        .collect();
    assert_eq!(
        prevs,
        [6],
        "the beginning of the log is asked after instead"
    );
    server.receive(3, rejected(term, 6, (2, 3)));
    assert!(server.needs_snapshot(3));
}

#[test]
fn a_snapshot_that_does_not_connect_to_the_log_ends_nothing() {
    let mut server = leader_with_cut_log();
    let term = server.raft.term().0;
    server.receive(3, rejected(term, 5, (1, 1)));
    server.receive(3, rejected(term, 3, (1, 1)));
    server.receive(3, accepted(term, 2));
    assert!(server.needs_snapshot(3), "the log begins behind 3");
    server.receive(3, accepted(term, 3));
    assert!(!server.needs_snapshot(3));
}

#[test]
fn a_start_takes_the_state_of_the_snapshot_and_the_log_behind_it() {
    let with = |terms: &[u64], commit, snapshot| {
        Server::recover(Recovered {
            snapshot: Some(snapshot),
            ..recovered(terms, commit)
        })
    };
    let whole = with(&[1, 1, 2, 2], 4, snapshot(2, 3)).expect("they meet");
    assert_eq!(whole.raft.applied_index(), LogIndex(3));
    assert_eq!(whole.raft.last(), id(2, 4));
    assert_eq!(whole.reads[0].first, LogIndex(4), "the tail is applied");
    assert!(whole.writes.is_empty(), "there is nothing to mend");
    // A crash in the midst of an installation: too short a log, or another.
    for terms in [&[1, 1][..], &[1, 1, 1, 1]] {
        let reset = with(terms, 2, snapshot(2, 3)).expect("the new state is taken");
        assert_eq!((reset.first(), reset.raft.last()), (4, id(2, 3)));
        assert_eq!(reset.raft.commit(), LogIndex(3));
        assert_eq!(reset.raft.term(), Term(2));
        assert_eq!(reset.writes[0].base, Some(id(2, 3)));
    }
}

#[test]
fn a_start_refuses_what_cannot_be_so() {
    let behind = Recovered {
        base: id(2, 4),
        term_runs: Vec::new(),
        last: id(2, 4),
        ..recovered(&[1, 1, 2, 2], 4)
    };
    let gap = |snapshot: Option<SnapshotMeta>| {
        Server::recover(Recovered {
            snapshot,
            ..behind.clone()
        })
        .err()
    };
    assert!(matches!(gap(None), Some(ConfigError::Gap { .. })));
    let old = gap(Some(snapshot(1, 2)));
    assert!(matches!(old, Some(ConfigError::Gap { .. })), "{old:?}");
    assert_eq!(gap(Some(snapshot(2, 4))), None);
    let other = Server::recover(Recovered {
        snapshot: Some(snapshot(3, 2)),
        ..recovered(&[1, 1, 2, 2], 4)
    });
    let other = other.err();
    assert!(
        matches!(other, Some(ConfigError::SnapshotConflict { .. })),
        "{other:?}"
    );
}

/// An entry that brings a configuration of so many voters.
fn membership(term: u64, index: u64, voters: u64) -> Entry {
    let change = ConfChange {
        conf: conf(voters),
        context: Bytes::new(),
    };
    Entry {
        kind: EntryKind::Membership,
        payload: change.encode(),
        ..entry(term, index)
    }
}

#[test]
fn a_snapshot_holds_the_configuration_of_its_last_entry_not_a_later_one() {
    let mut server = Server::new(&[], 0);
    let mut message = append(1, (0, 0), 2, &[(1, 1), (1, 2)]);
    message.entries.push(membership(1, 3, 4));
    server.receive(2, message);
    server.finish_all_writes();
    assert_eq!(server.raft.conf(), &conf(4), "in force at once");
    assert_eq!(server.raft.snapshot_meta(0).conf, conf(3));
}

#[test]
fn an_installed_snapshot_brings_the_configuration_and_what_was_dropped_takes_none_along() {
    // Of an entry that was never committed (openraft issue 1808).
    let mut server = Server::new(&[], 0);
    let mut message = append(1, (0, 0), 1, &[(1, 1), (1, 2)]);
    message.entries.push(membership(1, 3, 4));
    server.receive(2, message);
    assert_eq!(server.raft.conf(), &conf(4));
    let mut news = snapshot(2, 3);
    news.conf = conf(5);
    assert!(server.install(news.clone()));
    assert_eq!(server.raft.conf(), &conf(5));
    // One that follows the snapshot's last entry in the log stays in force.
    let mut server = Server::new(&[], 0);
    let mut message = append(2, (0, 0), 1, &[(1, 1), (1, 2), (2, 3)]);
    message.entries.push(membership(2, 4, 4));
    server.receive(2, message);
    assert!(server.install(news));
    assert_eq!(server.raft.conf(), &conf(4));
    assert_eq!(server.raft.conf_committed(), (LogIndex(3), &conf(5)));
}

#[test]
fn a_start_takes_the_configuration_of_snapshot_and_tail() {
    let mut news = snapshot(1, 3);
    news.conf = conf(5);
    let with = |terms: &[u64], confs: &[(u64, u64)]| {
        let found = confs
            .iter()
            .map(|&(index, voters)| (LogIndex(index), conf(voters)));
        let server = Server::recover(Recovered {
            snapshot: Some(news.clone()),
            confs: found.collect(),
            ..recovered(terms, 1)
        });
        server.expect("a sound disk").raft.conf().clone()
    };
    assert_eq!(
        with(&[1, 1, 1, 1], &[(2, 4)]),
        conf(5),
        "it is in the snapshot"
    );
    assert_eq!(with(&[1, 1, 1, 1], &[(4, 4)]), conf(4));
    assert_eq!(with(&[1, 1], &[(2, 4)]), conf(5), "the log is reset");
    assert_eq!(with(&[1, 1, 2, 2], &[(4, 4)]), conf(5), "the log is reset");
}

#[test]
fn time_does_not_go_back_behind_a_snapshot() {
    let mut server = Server::new(&[1], 1);
    assert!(server.install(snapshot(2, 5)));
    server.finish_all_writes();
    server.become_leader();
    server
        .raft
        .propose(EntryKind::Batch, Bytes::new(), 17)
        .expect("a leader");
    server.drain();
    let write = server.writes.last().expect("it is written");
    let times: Vec<u64> = write.entries.iter().map(|entry| entry.time_ms).collect();
    assert_eq!(times, [5_000], "the snapshot's time");
}

/// A header with a damaged or malicious term must not end elections for ever, nor an index the log.
#[test]
fn a_snapshot_of_an_impossible_term_or_index_is_ignored() {
    let mut server = Server::new(&[1, 1, 1], 3);
    let before = (server.raft.status().term, server.raft.last_index());
    let (term, index_max) = (before.0.0, LogIndex::CLAIM_MAX.0);
    for (term, index) in [
        (u64::MAX, 10),
        (term + Term::LEAP_MAX + 1, 10),
        (2, index_max + 1),
        (2, u64::MAX),
    ] {
        let is_news = server.raft.install_snapshot(SnapshotMeta {
            last: id(term, index),
            ..snapshot(2, 10)
        });
        assert!(!is_news, "{term}, {index}");
        server.drain();
        let after = (server.raft.status().term, server.raft.last_index());
        assert_eq!(after, before, "{term}, {index}");
    }
    assert!(
        server
            .raft
            .install_snapshot(snapshot(1 + Term::LEAP_MAX, 10))
    );
}
