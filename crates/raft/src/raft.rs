//! The replica: its state, its inputs, and the way from one role to the next.
//!
//! What happens within a role is told by `election`, `append` (the follower's side of replication),
//! `replication` (the leader's side), `read_index` and `transfer`; what comes out by `drain`.

use std::collections::BTreeMap;

use buggify::{Canary, Point};
use bytes::Bytes;

use crate::conf_history::ConfHistory;
use crate::config::{Config, ConfigError, Recovered};
use crate::election::Votes;
use crate::error::StepError;
use crate::invariants;
use crate::log::Log;
use crate::message::{Envelope, Message};
use crate::outbox::Outbox;
use crate::progress::Progress;
use crate::quorum;
use crate::random::Random;
use crate::read_back::ReadBack;
use crate::read_index::{ForwardedReads, ReadQueue};
use crate::ready::SoftState;
use crate::replication::Uncommitted;
use crate::snapshot::{SendSnapshot, SnapshotMeta};
use crate::transfer::Transfer;
use crate::types::{
    Entry, EntryId, EntryKind, LogIndex, NodeId, ReadToken, Role, Round, Session, Term, WriteId,
};
use crate::writes::{Promise, Writes};

/// How many of its longest election timeouts a leader waits for its own disk before it yields: one
/// that cannot write can still send heartbeats, and would lead for ever without ever being able to
/// (the zombie leader of hashicorp raft issue 503).
const DISK_PATIENCE_TIMEOUTS: u32 = 2;

/// One replica of one group. See the crate's documentation for the contract.
#[derive(Clone, Debug, Hash)]
pub struct Raft {
    pub(crate) config: Config,
    /// The latest term this node has seen. Never falls.
    pub(crate) term: Term,
    /// Who got this node's vote in `term`. Cleared only when the term rises.
    pub(crate) vote: Option<NodeId>,
    pub(crate) state: State,
    pub(crate) log: Log,
    /// The configurations in the log. The latest is in force.
    pub(crate) confs: ConfHistory,
    pub(crate) writes: Writes,
    /// Ticks since the leader was heard from, a vote was granted, or a campaign began.
    pub(crate) election_elapsed: u32,
    /// When `election_elapsed` reaches this, an election starts. Drawn anew each time.
    pub(crate) election_timeout: u32,
    pub(crate) random: Random,
    pub(crate) outbox: Outbox,
    pub(crate) read_back: ReadBack,
    /// Reads to be handed out.
    pub(crate) reads_ready: Vec<(ReadToken, LogIndex)>,
    pub(crate) reads_failed: Vec<ReadToken>,
    /// The name of the next request for a read index. Starts at random, so that an answer to an
    /// earlier process of this node is not taken for one to this; in the lower half of the numbers,
    /// so that it always rises.
    pub(crate) next_read_request: u64,
    /// The newest durable snapshot of this node.
    pub(crate) snapshot: SnapshotMeta,
    /// Followers that need a snapshot, to be handed out.
    pub(crate) snapshots_to_send: Vec<SendSnapshot>,
    /// The soft state last handed out.
    pub(crate) soft_state_told: SoftState,
    /// The clock for entries that this crate makes.
    pub(crate) wall_ms: u64,
}

/// The role, with what belongs to it and ends with it.
#[derive(Clone, Debug, Hash)]
pub(crate) enum State {
    Follower(Follower),
    PreCandidate(Votes),
    Candidate(Votes),
    Leader(Box<Leader>),
}

/// What a follower knows.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Follower {
    /// Who leads the term. Changes at most once in a term: from `None`.
    pub(crate) leader: Option<NodeId>,
    /// The connection to the leader was reset since it was last heard from: its process is dead.
    pub(crate) leader_reset: bool,
    /// Ticks until the early election after a reset.
    pub(crate) early_election: Option<u32>,
    /// A pre-vote that was ignored because the leader seemed alive. If its connection turns out to
    /// be reset a moment later, it is answered after all.
    pub(crate) ignored_pre_vote: Option<Envelope>,
    /// The session in which the leader speaks to this node.
    pub(crate) session: Session,
    /// The latest round of the leader that was echoed.
    pub(crate) round_echoed: Round,
    /// The furthest acceptance that was said; if it is not durable, it waits for the disk.
    pub(crate) acceptance_said: LogIndex,
    pub(crate) reads: ForwardedReads,
}

/// What a leader knows.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Leader {
    /// The first entry of this leader's own. Until it is committed, nothing is known to be.
    pub(crate) term_start: LogIndex,
    /// Every other member, and those that were removed lately.
    pub(crate) progress: BTreeMap<NodeId, Progress>,
    /// The current round of messages.
    pub(crate) round: Round,
    /// Ticks since the last heartbeat.
    pub(crate) heartbeat_elapsed: u32,
    pub(crate) uncommitted: Uncommitted,
    pub(crate) transfer: Option<Transfer>,
    /// This leader is no voter any more, and has begun to hand over.
    pub(crate) is_resigning: bool,
    pub(crate) reads: ReadQueue,
}

impl Raft {
    /// Starts a replica from its settings and what its disk remembers. It starts as a follower
    /// that knows no leader.
    ///
    /// # Errors
    /// If the settings contradict each other, or what was recovered contradicts itself.
    pub fn new(config: Config, recovered: Recovered) -> Result<Raft, ConfigError> {
        config.validate()?;
        let log = Log::new(&recovered, config.log_cache_bytes_max)?;
        let confs = ConfHistory::recover(&config.conf, &recovered, &log)?;
        // The disk may have torn the write that held both a new term and its first entry. The vote
        // in that term was then never sent, so it need not be known.
        let mut promise = Promise {
            term: recovered.hard_state.term,
            vote: recovered.hard_state.vote,
        };
        if log.last().term > promise.term {
            promise = Promise {
                term: log.last().term,
                vote: None,
            };
        }
        let mut random = Random::new(config.seed, config.id);
        let next_read_request = random.next() / 2;
        let soft_state = SoftState {
            role: Role::Follower,
            leader: None,
            term: promise.term,
        };
        let mut raft = Raft {
            term: promise.term,
            vote: promise.vote,
            state: State::Follower(Follower::default()),
            log,
            confs,
            writes: Writes::new(promise, recovered.hard_state.commit),
            election_elapsed: 0,
            election_timeout: 0,
            random,
            outbox: Outbox::new(config.cluster, config.group, config.id),
            read_back: ReadBack::default(),
            reads_ready: Vec::new(),
            reads_failed: Vec::new(),
            next_read_request,
            snapshot: recovered.snapshot.unwrap_or_default(),
            snapshots_to_send: Vec::new(),
            soft_state_told: soft_state,
            wall_ms: 0,
            config,
        };
        raft.reset_election_timer();
        raft.check();
        Ok(raft)
    }

    /// Time goes on by one tick.
    pub fn tick(&mut self) {
        self.writes.tick();
        self.read_back.tick();
        match &mut self.state {
            State::Leader(_) => self.tick_leader(),
            State::Follower(follower) => {
                follower.reads.tick(self.config.heartbeat_ticks);
                self.tick_election();
            }
            State::PreCandidate(_) | State::Candidate(_) => self.tick_election(),
        }
        self.check();
    }

    /// A message has arrived.
    ///
    /// # Errors
    /// If the message is not for this replica, or says what no honest peer can say. Nothing has
    /// changed then. Messages that are merely late or out of place are ignored without an error.
    pub fn step(&mut self, envelope: Envelope) -> Result<(), StepError> {
        self.admit(&envelope)?;
        let result = self.step_admitted(envelope);
        self.check();
        result
    }

    /// The write, and all before it, is durable.
    pub fn persisted(&mut self, write: WriteId) {
        if let Some(index) = self.writes.complete(write) {
            self.log.durable_to(index);
            self.count_own_vote();
            if !buggify::canary(Canary::OwnDiskNotRecounted) {
                self.advance_commit();
            }
        }
        self.check();
    }

    /// The state machine has applied everything up to this index.
    ///
    /// # Panics
    /// If it was never handed out.
    pub fn applied(&mut self, index: LogIndex) {
        self.log.applied_to(index);
        self.check();
    }

    /// The wall clock, for the entries that Raft itself makes. To be set before other inputs.
    pub fn set_wall_ms(&mut self, wall_ms: u64) {
        self.wall_ms = wall_ms;
    }

    /// The connection to a peer was reset, or refused: its process died.
    ///
    /// If the peer leads, an election need not wait for its silence (see the crate's documentation,
    /// "Early elections"). Not to be called for a connection that merely timed out.
    pub fn peer_reset(&mut self, peer: NodeId) {
        match &mut self.state {
            State::Leader(leader) => {
                if let Some(progress) = leader.progress.get_mut(&peer) {
                    progress.disconnected();
                }
            }
            State::Follower(follower)
                if follower.leader == Some(peer) && !follower.leader_reset =>
            {
                follower.leader_reset = true;
                self.start_early_election(peer);
            }
            _ => {}
        }
        self.check();
    }

    /// The connection to a peer is there, or there again. What was in flight before is taken for
    /// lost, so the leader probes at once.
    ///
    /// A follower forgets that its leader was reset only when it hears from it: the process behind
    /// the new connection may be a new one, which no longer leads.
    pub fn peer_connected(&mut self, peer: NodeId) {
        if let State::Leader(leader) = &mut self.state
            && let Some(progress) = leader.progress.get_mut(&peer)
        {
            progress.probe_from(progress.match_index);
        }
        self.check();
    }

    /// The settings this replica was started with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Asserts every invariant of the replica's state, at a cost that grows with the cache. Meant
    /// for tests and simulators, after every input; the cheap part runs after every input of any
    /// build with debug assertions.
    ///
    /// # Panics
    /// If an invariant does not hold: a bug in this crate.
    pub fn check_invariants(&self) {
        invariants::check(self);
        self.log.check_thoroughly();
    }

    pub(crate) fn check(&self) {
        if cfg!(debug_assertions) {
            invariants::check(self);
        }
    }

    /// Refuses what no honest peer of this replica can have sent, whatever its state.
    fn admit(&self, envelope: &Envelope) -> Result<(), StepError> {
        let Config {
            cluster, group, id, ..
        } = &self.config;
        let Envelope {
            from, to, message, ..
        } = envelope;
        if envelope.cluster != *cluster {
            let (found, expected) = (envelope.cluster, *cluster);
            return Err(StepError::OtherCluster { found, expected });
        }
        if envelope.group != *group {
            return Err(StepError::OtherGroup {
                found: envelope.group,
                expected: *group,
            });
        }
        if to != id {
            return Err(StepError::NotForUs { to: *to, id: *id });
        }
        // Not only members: a node that joins knows nobody yet, and one that was away may hear from
        // members it has not heard of. Who counts is decided where things are counted.
        if from == id || from.0 == 0 {
            return Err(StepError::NotAPeer { from: *from });
        }
        let highest = message.highest_claim();
        if self.is_absurd(highest) {
            return Err(StepError::Absurd {
                term: highest.term,
                index: highest.index,
            });
        }
        if let Message::AppendEntries(append) = message {
            append.validate()?;
        }
        Ok(())
    }

    /// Whether a term and an index that come from outside are so high that no honest peer can have
    /// reached them. To go along would leave none for elections and entries to come.
    pub(crate) fn is_absurd(&self, claim: EntryId) -> bool {
        let term_max = Term(self.term.0.saturating_add(Term::LEAP_MAX));
        claim.term > term_max || claim.index > LogIndex::CLAIM_MAX
    }

    /// Compares terms (paper, section 5.1), then hands the message to its kind.
    fn step_admitted(&mut self, envelope: Envelope) -> Result<(), StepError> {
        let from = envelope.from;
        let term = envelope.message.term();
        match envelope.message {
            // Pre-votes are about a term that nobody is in yet.
            Message::RequestPreVote(message) => {
                self.on_request_pre_vote(envelope, message);
                return Ok(());
            }
            Message::RequestPreVoteResponse(message) if message.granted => {
                self.on_pre_vote_granted(from, message);
                return Ok(());
            }
            Message::RequestVote(message)
                if term > self.term && !message.transfer && self.follows_live_leader() =>
            {
                return Ok(());
            }
            _ => {}
        }
        if term < self.term && !takes_old_answer(&envelope.message) {
            self.answer_lower_term(from, &envelope.message);
            return Ok(());
        }
        self.refuse_impossible(from, &envelope.message)?;
        if term > self.term {
            self.become_follower(term, None);
        }
        self.dispatch(from, envelope.message)
    }

    /// A message of the current term.
    fn dispatch(&mut self, from: NodeId, message: Message) -> Result<(), StepError> {
        if let State::Leader(leader) = &mut self.state
            && let Some(progress) = leader.progress.get_mut(&from)
            && message
                .answered_session()
                .is_none_or(|session| progress.is_of_session(session))
        {
            progress.quiet_ticks = 0;
        }
        match message {
            Message::RequestPreVote(_) => {}
            Message::RequestPreVoteResponse(_) => self.on_pre_vote_refused(from),
            Message::RequestVote(message) => self.on_request_vote(from, message),
            Message::RequestVoteResponse(message) => self.on_vote(from, message.granted),
            Message::AppendEntries(message) => {
                self.hear_leader(from);
                self.on_append_entries(from, message);
            }
            Message::AppendEntriesResponse(message) => self.on_append_response(from, message),
            Message::Heartbeat(message) => {
                self.hear_leader(from);
                self.on_heartbeat(from, message);
            }
            Message::HeartbeatResponse(message) => self.on_heartbeat_response(from, message),
            Message::ReadIndex(message) => return self.on_read_index(from, message),
            Message::ReadIndexResponse(message) => self.on_read_index_response(from, message),
            Message::TimeoutNow(_) => {
                self.hear_leader(from);
                self.on_timeout_now();
            }
        }
        Ok(())
    }

    /// Refuses what contradicts this replica's state, in a message of its term or a later one,
    /// before any of it is believed.
    fn refuse_impossible(&self, from: NodeId, message: &Message) -> Result<(), StepError> {
        if message.is_from_leader()
            && message.term() == self.term
            && let Some(leader) = self.leader()
            && leader != from
        {
            return Err(StepError::TwoLeaders {
                term: self.term,
                leader,
                from,
            });
        }
        match message {
            Message::AppendEntries(append) => self.refuse_conflict_below_commit(append),
            Message::Heartbeat(heartbeat) if heartbeat.commit > self.log.last().index => {
                let (commit, last) = (heartbeat.commit, self.log.last().index);
                Err(StepError::CommitBeyondLog { commit, last })
            }
            Message::AppendEntriesResponse(response) if self.is_leader() => {
                self.refuse_match_beyond_log(from, response)
            }
            _ => Ok(()),
        }
    }

    /// The leader of the current term is alive.
    fn hear_leader(&mut self, from: NodeId) {
        if self.leader() != Some(from) {
            self.become_follower(self.term, Some(from));
        }
        self.election_elapsed = 0;
        if let State::Follower(follower) = &mut self.state {
            follower.leader_reset = false;
            follower.early_election = None;
            follower.ignored_pre_vote = None;
        }
    }

    /// Follows `leader`, or nobody yet, in a term that is the current or a later one.
    pub(crate) fn become_follower(&mut self, term: Term, leader: Option<NodeId>) {
        assert!(
            term >= self.term,
            "the term would fall from {} to {term}",
            self.term
        );
        assert!(leader != Some(self.config.id), "nobody follows itself");
        if term > self.term || buggify::canary(Canary::VoteForgottenOnStepDown) {
            self.term = term;
            self.vote = None;
        }
        self.change_state(State::Follower(Follower {
            leader,
            ..Follower::default()
        }));
    }

    /// Leads the term (paper, section 5.2).
    pub(crate) fn become_leader(&mut self) {
        let id = self.config.id;
        assert!(
            matches!(self.state, State::Candidate(_)) && self.vote == Some(id),
            "{} that voted for {:?} cannot lead",
            self.role(),
            self.vote
        );
        let promise = self.writes.durable_promise();
        assert!(
            promise == self.promise(),
            "leads by a vote that is not durable: {promise:?}"
        );
        let term_start = self.log.last().index.next();
        let progress = self.initial_progress(term_start);
        self.change_state(State::Leader(Box::new(Leader {
            term_start,
            progress,
            round: Round(0),
            heartbeat_elapsed: 0,
            uncommitted: Uncommitted::default(),
            transfer: None,
            is_resigning: false,
            reads: ReadQueue::default(),
        })));
        // An entry of its own term lets the leader commit what it inherited, and know how far the
        // log is committed (sections 5.4.2 and 8).
        if self.log.last() == EntryId::ZERO {
            self.append_own(EntryKind::Bootstrap, self.config.bootstrap.clone());
        } else {
            self.append_own(EntryKind::Noop, Bytes::new());
        }
    }

    /// Ends one role, with all that belongs to it, and begins another.
    pub(crate) fn change_state(&mut self, next: State) {
        let last = std::mem::replace(&mut self.state, next);
        match last {
            State::Leader(leader) if buggify::canary(Canary::ReadsServedOnStepDown) => {
                let tokens = leader.reads.into_local_tokens();
                self.reads_ready
                    .extend(tokens.map(|token| (token, self.log.commit())));
            }
            State::Leader(leader) => self.reads_failed.extend(leader.reads.into_local_tokens()),
            State::Follower(follower) => self.reads_failed.extend(follower.reads.into_tokens()),
            State::PreCandidate(_) | State::Candidate(_) => {}
        }
        self.reset_election_timer();
    }

    pub(crate) fn reset_election_timer(&mut self) {
        let Config {
            election_timeout_ticks_min,
            election_timeout_ticks_max,
            ..
        } = self.config;
        let longest = match buggify::point(Point::ElectionTimeoutAtMinimum) {
            false => election_timeout_ticks_max,
            true => election_timeout_ticks_min,
        };
        self.election_elapsed = 0;
        self.election_timeout = self.random.between(election_timeout_ticks_min, longest);
    }

    /// What this node promises now.
    pub(crate) fn promise(&self) -> Promise {
        Promise {
            term: self.term,
            vote: self.vote,
        }
    }

    /// Appends an entry of this leader's term, with the leader's time.
    pub(crate) fn append_own(&mut self, kind: EntryKind, payload: Bytes) -> EntryId {
        let id = EntryId {
            term: self.term,
            index: self.log.last().index.next(),
        };
        let time_ms = match buggify::canary(Canary::LogTimeGoesBack) {
            false => self.wall_ms.max(self.log.last_time_ms()),
            true => self.wall_ms,
        };
        self.log.append(Entry {
            id,
            kind,
            time_ms,
            payload,
        });
        id
    }

    fn tick_leader(&mut self) {
        let Config {
            election_timeout_ticks_min,
            election_timeout_ticks_max,
            ..
        } = self.config;
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        leader.tick_transfer(election_timeout_ticks_min);
        leader.tick_leaving(self.log.commit());
        for progress in leader.progress.values_mut() {
            progress.tick();
        }
        let id = self.config.id;
        let heard = |voter: NodeId| {
            let progress = leader.progress.get(&voter);
            voter == id
                || progress.is_some_and(|peer| peer.quiet_ticks < election_timeout_ticks_min)
        };
        let hears_quorum = quorum::reached(self.confs.latest(), heard)
            || buggify::point(Point::LeaderKeepsOffice)
            || buggify::canary(Canary::NoCheckQuorum);
        let disk_patience = election_timeout_ticks_max.saturating_mul(DISK_PATIENCE_TIMEOUTS);
        let disk_hangs =
            self.writes.stalled_ticks() > disk_patience && !buggify::canary(Canary::HungDiskLeads);
        let is_alone = self.confs.latest().is_only_voter(id);
        if !hears_quorum || (disk_hangs && !is_alone) {
            // CheckQuorum (thesis, section 6.2): who cannot commit makes room.
            self.become_follower(self.term, None);
            return;
        }
        leader.heartbeat_elapsed += 1;
        leader.round.0 += u64::from(buggify::point(Point::RoundUnasked));
        if leader.heartbeat_elapsed >= self.config.heartbeat_ticks
            || buggify::point(Point::HeartbeatEarly)
        {
            self.send_heartbeats();
        }
    }
}

/// Whether a mistake is being made with answers to an earlier term.
fn takes_old_answer(message: &Message) -> bool {
    match message {
        Message::RequestVoteResponse(_) => buggify::canary(Canary::VoteOfOldTermCounts),
        Message::AppendEntriesResponse(_) => buggify::canary(Canary::AcceptanceOfOldTermCounts),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::HardState;

    #[test]
    fn an_entry_on_disk_proves_its_term_but_no_vote_in_it() {
        let recovered = Recovered {
            hard_state: HardState {
                term: Term(2),
                vote: Some(NodeId(2)),
                commit: LogIndex(0),
            },
            term_runs: vec![(LogIndex(1), Term(3))],
            last: EntryId::new(3, 1),
            ..Recovered::default()
        };
        let config = Config::new(NodeId(1), (1..=3).map(NodeId));
        let raft = Raft::new(config, recovered).expect("a sound disk");
        raft.check_invariants();
        assert_eq!((raft.term(), raft.status().vote), (Term(3), None));
    }
}
