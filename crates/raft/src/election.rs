//! Elections (paper, sections 5.2 and 5.4.1), with pre-votes (thesis, section 9.6), and the early
//! election that follows a reset connection.

use std::collections::BTreeMap;

use buggify::Canary;

use crate::membership::ConfState;
use crate::message::{
    AppendEntriesResponse, AppendOutcome, Envelope, HeartbeatResponse, Message, RequestPreVote,
    RequestPreVoteResponse, RequestVote, RequestVoteResponse,
};
use crate::quorum::{self, VoteOutcome};
use crate::raft::{Follower, Raft, State};
use crate::types::{EntryId, NodeId, Round, Session};

/// Votes by voter: granted or refused.
pub(crate) type Votes = BTreeMap<NodeId, bool>;

/// The voters' early elections after a reset are this far apart, so that they do not split the
/// vote. Two ticks, because a tick of the others may be just about to end.
const EARLY_ELECTION_STAGGER_TICKS: u32 = 2;

impl Raft {
    /// Starts an election now, whatever the timer says. A leader goes on leading, and a learner, or
    /// one who does not belong (any more, or yet), has nobody to lead.
    pub fn campaign(&mut self) {
        self.start_election();
        self.check();
    }

    /// Time goes on by one tick, without a leader's being heard from.
    pub(crate) fn tick_election(&mut self) {
        self.election_elapsed = self.election_elapsed.saturating_add(1);
        let is_alone = self.confs.latest().is_only_voter(self.config.id);
        let is_early = match &mut self.state {
            State::Follower(Follower {
                early_election: Some(ticks),
                ..
            }) => {
                *ticks = ticks.saturating_sub(1);
                *ticks == 0
            }
            State::Follower(_) => is_alone,
            _ => false,
        };
        if is_early || self.election_elapsed >= self.election_timeout {
            self.start_election();
        }
    }

    /// Whether this node is a voter: in the configuration in force, or in the committed one. One that
    /// a change removes may be the only one that has the change, and is needed until it is committed
    /// (thesis, section 4.2.2 and figure 4.6); its own vote does not count then.
    pub(crate) fn may_campaign(&self) -> bool {
        let id = self.config.id;
        let mut confs = self.confs.since(self.log.commit());
        confs.any(|conf| conf.is_voter(id))
    }

    /// Asks whether an election can be won, before it disturbs a leader that others still hear.
    fn start_election(&mut self) {
        let promise_is_durable = self.writes.durable_promise() == self.promise();
        // One whose last vote is not durable yet has a slow disk, not a lost election: more terms
        // would only queue up behind it.
        if !self.may_campaign() || self.is_leader() || !promise_is_durable {
            return;
        }
        if buggify::canary(Canary::NoPreVote) {
            return self.start_campaign(false);
        }
        self.change_state(State::PreCandidate(Votes::new()));
        self.ask_voters(RequestPreVote {
            term: self.term.next(),
            last: self.log.last(),
        });
        self.on_pre_vote(self.config.id, true);
    }

    /// Campaigns in a new term. The candidate's vote for itself counts like any other: when it is
    /// durable (`count_own_vote`).
    fn start_campaign(&mut self, transfer: bool) {
        self.term = self.term.next();
        self.vote = Some(self.config.id);
        self.change_state(State::Candidate(Votes::new()));
        self.ask_voters(RequestVote {
            term: self.term,
            last: self.log.last(),
            transfer,
        });
        if buggify::canary(Canary::OwnVoteBeforeDurable) {
            self.on_vote(self.config.id, true);
        }
    }

    fn ask_voters(&mut self, request: impl Into<Message> + Copy) {
        for voter in self.confs.latest().all_voters() {
            if voter != self.config.id {
                self.outbox.send(voter, request);
            }
        }
    }

    /// Whether this node has reason to believe that a leader is alive: then it neither helps to
    /// replace it nor adopts the term of someone who tries (thesis, section 4.2.3).
    pub(crate) fn follows_live_leader(&self) -> bool {
        if buggify::canary(Canary::LiveLeaderDeposed) {
            return self.is_leader();
        }
        match &self.state {
            State::Leader(_) => true,
            State::Follower(Follower {
                leader: Some(_),
                leader_reset,
                ..
            }) => !leader_reset && self.election_elapsed < self.config.election_timeout_ticks_min,
            _ => false,
        }
    }

    pub(crate) fn on_request_pre_vote(&mut self, envelope: Envelope, message: RequestPreVote) {
        let from = envelope.from;
        let refusal = RequestPreVoteResponse {
            term: self.term,
            granted: false,
        };
        if message.term <= self.term {
            // The sender has fallen behind, and must learn it, or it would block everybody
            // (etcd issue 8243).
            if !buggify::canary(Canary::LowerTermPreVoteIgnored) {
                self.outbox.send(from, refusal);
            }
            return;
        }
        if self.follows_live_leader() {
            if let State::Follower(follower) = &mut self.state {
                follower.ignored_pre_vote = Some(envelope);
            }
            return;
        }
        if self.is_up_to_date(message.last) && !self.refuses_as_learner() {
            let grant = RequestPreVoteResponse {
                term: message.term,
                granted: true,
            };
            self.outbox.send(from, grant);
            if let State::Follower(Follower {
                early_election: Some(ticks),
                ..
            }) = &mut self.state
            {
                *ticks = EARLY_ELECTION_STAGGER_TICKS.max(*ticks);
            }
            return;
        }
        self.outbox.send(from, refusal);
        if let State::Follower(Follower {
            leader_reset: true, ..
        }) = self.state
        {
            // The leader is dead, and this log is better than that of the one who asks.
            self.start_election();
        }
    }

    pub(crate) fn on_pre_vote_granted(&mut self, from: NodeId, message: RequestPreVoteResponse) {
        if message.term == self.term.next() {
            self.on_pre_vote(from, true);
        }
    }

    /// Refused by a voter in the same term.
    pub(crate) fn on_pre_vote_refused(&mut self, from: NodeId) {
        self.on_pre_vote(from, false);
    }

    fn on_pre_vote(&mut self, from: NodeId, granted: bool) {
        let State::PreCandidate(votes) = &mut self.state else {
            return;
        };
        note_vote(votes, from, granted, self.confs.latest(), self.config.id);
        match quorum::vote_outcome(self.confs.latest(), votes) {
            VoteOutcome::Won => self.start_campaign(false),
            VoteOutcome::Lost => self.become_follower(self.term, None),
            VoteOutcome::Pending => {}
        }
    }

    /// One vote a term, first come, first served, and only for a log that is not behind this one.
    pub(crate) fn on_request_vote(&mut self, from: NodeId, message: RequestVote) {
        let is_free = match self.vote {
            Some(vote) => vote == from,
            None => self.leader().is_none(),
        };
        let granted = is_free && self.is_up_to_date(message.last) && !self.refuses_as_learner();
        if granted {
            self.vote = Some(from);
            match self.state {
                State::Follower(_) => self.reset_election_timer(),
                _ => self.become_follower(self.term, None),
            }
        }
        self.outbox.send(
            from,
            RequestVoteResponse {
                term: self.term,
                granted,
            },
        );
    }

    pub(crate) fn on_vote(&mut self, from: NodeId, granted: bool) {
        let State::Candidate(votes) = &mut self.state else {
            return;
        };
        note_vote(votes, from, granted, self.confs.latest(), self.config.id);
        let own_vote_counts = votes.contains_key(&self.config.id);
        match quorum::vote_outcome(self.confs.latest(), votes) {
            // Others may make a quorum while the own vote is still on its way to the disk; a leader
            // speaks in its term at once, so it waits.
            VoteOutcome::Won if own_vote_counts => self.become_leader(),
            VoteOutcome::Lost => self.become_follower(self.term, None),
            VoteOutcome::Won | VoteOutcome::Pending => {}
        }
    }

    /// The disk has made progress: if a candidate's vote for itself is durable, it counts.
    pub(crate) fn count_own_vote(&mut self) {
        if matches!(self.state, State::Candidate(_))
            && self.writes.durable_promise() == self.promise()
        {
            self.on_vote(self.config.id, true);
        }
    }

    /// A mistake: to vote only if this node's own configuration, which may be old, says so.
    fn refuses_as_learner(&self) -> bool {
        buggify::canary(Canary::LearnerRefusesVote) && !self.confs.latest().is_voter(self.config.id)
    }

    /// Whether a log that ends with `last` holds everything that this one may have helped to commit
    /// (paper, section 5.4.1).
    fn is_up_to_date(&self, last: EntryId) -> bool {
        last >= self.log.last()
    }

    /// The leader asks this node to take over.
    pub(crate) fn on_timeout_now(&mut self) {
        if self.may_campaign() {
            self.start_campaign(true);
        }
    }

    /// The process of `leader` is dead. The voters take turns, the lowest id first, so that one
    /// election is likely to do.
    pub(crate) fn start_early_election(&mut self, leader: NodeId) {
        let id = self.config.id;
        let turn = self
            .confs
            .latest()
            .all_voters()
            .filter(|&node| node < id && node != leader);
        let turn = u32::try_from(turn.count()).unwrap_or(u32::MAX);
        let State::Follower(follower) = &mut self.state else {
            return;
        };
        follower.early_election = Some(turn.saturating_mul(EARLY_ELECTION_STAGGER_TICKS));
        if let Some(envelope) = follower.ignored_pre_vote.take()
            && let Message::RequestPreVote(message) = envelope.message
        {
            self.on_request_pre_vote(envelope, message);
        } else if turn == 0 {
            self.start_election();
        }
    }

    /// A message from a term that is over. Its sender must learn so when it asks for something, or
    /// when it leads: with votes being ignored under a live leader, a node that got ahead of the
    /// leader's term would otherwise be shut out for ever (etcd pull request 5468).
    pub(crate) fn answer_lower_term(&mut self, from: NodeId, message: &Message) {
        let term = self.term;
        if message.is_from_leader() && buggify::canary(Canary::LowerTermLeaderIgnored) {
            return;
        }
        match message {
            Message::RequestVote(_) => {
                self.outbox.send(
                    from,
                    RequestVoteResponse {
                        term,
                        granted: false,
                    },
                );
            }
            Message::AppendEntries(append) => {
                let outcome = AppendOutcome::Rejected {
                    prev: append.prev.index,
                    hint: EntryId::ZERO,
                };
                self.outbox.send(
                    from,
                    AppendEntriesResponse {
                        term,
                        round: Round(0),
                        session: Session(0),
                        outcome,
                    },
                );
            }
            Message::Heartbeat(_) => {
                self.outbox.send(
                    from,
                    HeartbeatResponse {
                        term,
                        round: Round(0),
                        session: Session(0),
                    },
                );
            }
            _ => {}
        }
    }
}

/// Notes a vote. It is the candidate's configuration that says who votes: the voter may not know yet
/// that it is one (etcd pull request 10998). The candidate's own is noted even if it does not count,
/// because nobody leads before its vote is durable.
fn note_vote(votes: &mut Votes, from: NodeId, granted: bool, conf: &ConfState, id: NodeId) {
    let is_of_old_half = from == id && !conf.voters.contains(&id);
    if is_of_old_half && buggify::canary(Canary::CandidateOfOldHalfNoSelfVote) {
        return;
    }
    if conf.is_voter(from) || from == id {
        votes.entry(from).or_insert(granted);
    }
}
