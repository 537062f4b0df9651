//! Linearizable reads without writing to the log (thesis, section 6.4).
//!
//! A read may be served from state that has applied the leader's commit index as of the read's
//! arrival, provided that the leader was still the leader then. Three rules make this safe:
//!
//! 1. *The leader mints.* Reads are ordered by the round numbers of the leader, not by names that
//!    callers or followers choose: a duplicate or a late message can then only ever confirm what
//!    it was sent after. (etcd keyed reads by the caller's context until 2026, and a retried
//!    context could be confirmed by the answer to its first attempt: a stale read.)
//! 2. *Rounds start after arrival.* A read that arrives in round `r` waits for a quorum to answer
//!    messages of round `r + 1` or later. Every append and heartbeat carries the current round, so
//!    under load a confirmation costs no message.
//! 3. *Own term first.* A leader does not know how far its log is committed before an entry of its
//!    own term is (section 6.4, step 1): until then reads wait.
//!
//! A follower gathers its reads and asks the leader for an index on behalf of all of them. As the
//! answer to a request is good for every read that began before the request was sent, it also
//! answers all earlier requests; a lost one is made good by asking again.

use std::collections::{BTreeMap, VecDeque};

use buggify::Canary;

use crate::error::{ReadError, StepError};
use crate::message::{ReadIndex, ReadIndexResponse};
use crate::quorum;
use crate::raft::{Follower, Leader, Raft, State};
use crate::types::{LogIndex, NodeId, ReadToken, Round};

/// Groups of reads that may wait on a leader on behalf of others. Honest followers gather, and need
/// a few each.
const REMOTE_READS_WAITING_MAX: usize = 4096;

/// Reads on the leader that wait for confirmation, in the order of their arrival.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct ReadQueue {
    /// Invariant: rounds never fall from front to back.
    groups: VecDeque<ReadGroup>,
    remote_groups: usize,
}

/// Reads that arrived between the same rounds.
#[derive(Clone, Debug, Hash)]
struct ReadGroup {
    /// Confirmed when a quorum has answered this round.
    round: Round,
    /// The commit index when the reads arrived; unknown until the leader has committed an entry of
    /// its own term.
    index: Option<LogIndex>,
    origin: ReadOrigin,
}

#[derive(Clone, Debug, Hash)]
enum ReadOrigin {
    Local(Vec<ReadToken>),
    Remote { follower: NodeId, request: u64 },
}

impl ReadQueue {
    fn push_local(&mut self, token: ReadToken, round: Round, commit: Option<LogIndex>) {
        if let Some(ReadGroup {
            round: last_round,
            index,
            origin: ReadOrigin::Local(tokens),
        }) = self.groups.back_mut()
            && *last_round == round
        {
            *index = commit;
            tokens.push(token);
            return;
        }
        let origin = ReadOrigin::Local(vec![token]);
        self.groups.push_back(ReadGroup {
            round,
            index: commit,
            origin,
        });
    }

    /// The leader's first commit in its term tells the index of reads that came before it.
    pub(crate) fn first_commit(&mut self, commit: LogIndex) {
        for group in &mut self.groups {
            group.index.get_or_insert(commit);
        }
    }

    /// Whether a read waits for a round that has not started.
    pub(crate) fn needs_round_after(&self, round: Round) -> bool {
        self.groups.back().is_some_and(|group| group.round > round)
    }

    /// The next group that a quorum has confirmed.
    fn pop_confirmed(&mut self, confirmed: Round) -> Option<(LogIndex, ReadOrigin)> {
        let group = self.groups.front()?;
        let index = group.index.filter(|_| group.round <= confirmed)?;
        let origin = self.groups.pop_front()?.origin;
        if matches!(origin, ReadOrigin::Remote { .. }) {
            self.remote_groups -= 1;
        }
        Some((index, origin))
    }

    pub(crate) fn waiting(&self) -> usize {
        self.groups.len()
    }

    pub(crate) fn into_local_tokens(self) -> impl Iterator<Item = ReadToken> {
        self.groups
            .into_iter()
            .flat_map(|group| match group.origin {
                ReadOrigin::Local(tokens) => tokens,
                ReadOrigin::Remote { .. } => Vec::new(),
            })
    }
}

/// Reads of a follower that wait for the leader's answer.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct ForwardedReads {
    /// Reads that came since the last request was sent.
    gathering: Vec<ReadToken>,
    /// Reads by the request that was sent for them.
    asked: BTreeMap<u64, Vec<ReadToken>>,
    /// Ticks since a request was sent or answered.
    ticks: u32,
    /// The last request, or the answer to it, seems to be lost.
    ask_again: bool,
}

impl ForwardedReads {
    /// Time goes on by one tick.
    pub(crate) fn tick(&mut self, patience_ticks: u32) {
        self.ticks = self.ticks.saturating_add(1);
        self.ask_again = !self.asked.is_empty() && self.ticks > patience_ticks;
    }

    /// Forgets how long requests have been waiting.
    pub(crate) fn forget_time(&mut self) {
        self.ticks = 0;
    }

    /// The reads that the answer to `request` serves: its own and all that were asked for before.
    /// None if there is no such request (any more): an answer from the past proves nothing.
    fn answered(&mut self, request: u64) -> Vec<ReadToken> {
        if !self.asked.contains_key(&request) {
            return Vec::new();
        }
        self.ticks = 0;
        self.ask_again = false;
        let later = self.asked.split_off(&(request + 1));
        std::mem::replace(&mut self.asked, later)
            .into_values()
            .flatten()
            .collect()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.asked.len() + usize::from(!self.gathering.is_empty())
    }

    pub(crate) fn into_tokens(self) -> impl Iterator<Item = ReadToken> {
        self.asked.into_values().flatten().chain(self.gathering)
    }
}

impl Raft {
    /// Asks for a read index. The answer comes in [`Ready::reads`](crate::Ready::reads), or, if the
    /// leader is lost meanwhile, in [`Ready::reads_failed`](crate::Ready::reads_failed). It may
    /// take for ever if no quorum answers: the caller has a deadline.
    ///
    /// # Errors
    /// If no leader is known.
    pub fn read_index(&mut self, token: ReadToken) -> Result<(), ReadError> {
        let result = match &mut self.state {
            State::Leader(leader) => {
                let commit = leader.known_commit(self.log.commit());
                let round = leader.round_after_arrival();
                leader.reads.push_local(token, round, commit);
                Ok(())
            }
            State::Follower(Follower {
                leader: Some(_),
                reads,
                ..
            }) => {
                reads.gathering.push(token);
                Ok(())
            }
            _ => Err(ReadError::NoLeader),
        };
        self.release_reads();
        self.check();
        result
    }

    /// A follower asks for an index.
    pub(crate) fn on_read_index(
        &mut self,
        from: NodeId,
        message: ReadIndex,
    ) -> Result<(), StepError> {
        let State::Leader(leader) = &mut self.state else {
            return Ok(());
        };
        if leader.reads.remote_groups >= REMOTE_READS_WAITING_MAX {
            return Err(StepError::TooManyReads { from });
        }
        leader.reads.remote_groups += 1;
        let index = leader.known_commit(self.log.commit());
        let round = leader.round_after_arrival();
        leader.reads.groups.push_back(ReadGroup {
            round,
            index,
            origin: ReadOrigin::Remote {
                follower: from,
                request: message.request,
            },
        });
        self.release_reads();
        Ok(())
    }

    /// The leader answers.
    pub(crate) fn on_read_index_response(&mut self, from: NodeId, message: ReadIndexResponse) {
        if let State::Follower(follower) = &mut self.state
            && follower.leader == Some(from)
        {
            let tokens = follower.reads.answered(message.request);
            let index = match buggify::canary(Canary::ReadAtOwnCommit) {
                false => message.index,
                true => self.log.commit(),
            };
            self.reads_ready
                .extend(tokens.into_iter().map(|token| (token, index)));
        }
    }

    /// On the leader: lets the reads go that a quorum has confirmed.
    pub(crate) fn release_reads(&mut self) {
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        if leader.reads.waiting() == 0 {
            return;
        }
        let id = self.config.id;
        let mut confirmed = quorum::reached(self.confs.latest(), |voter| {
            let round = leader
                .progress
                .get(&voter)
                .map_or(Round(0), |progress| progress.round);
            if voter == id { Round(u64::MAX) } else { round }
        });
        if buggify::canary(Canary::ReadQuorumTooSmall) {
            let answered = leader.progress.values().map(|progress| progress.round);
            confirmed = answered.max().unwrap_or(confirmed);
        }
        while let Some((index, origin)) = leader.reads.pop_confirmed(confirmed) {
            match origin {
                ReadOrigin::Local(tokens) => {
                    self.reads_ready
                        .extend(tokens.into_iter().map(|token| (token, index)));
                }
                ReadOrigin::Remote { follower, request } => {
                    let term = self.term;
                    self.outbox.send(
                        follower,
                        ReadIndexResponse {
                            term,
                            request,
                            index,
                        },
                    );
                }
            }
        }
    }

    /// On a follower: asks the leader for an index, for all reads that have gathered.
    pub(crate) fn forward_reads(&mut self) {
        let State::Follower(Follower {
            leader: Some(leader),
            reads,
            ..
        }) = &mut self.state
        else {
            return;
        };
        if reads.gathering.is_empty() && !reads.ask_again {
            return;
        }
        let gathered = std::mem::take(&mut reads.gathering);
        let request = match reads.asked.last_key_value() {
            // Whichever copy of a request the leader sees, it sees it after it was first sent.
            Some((&latest, _)) if gathered.is_empty() => latest,
            _ => {
                let request = self.next_read_request;
                self.next_read_request +=
                    u64::from(!buggify::canary(Canary::ReadRequestsShareAName));
                reads.asked.entry(request).or_default().extend(gathered);
                request
            }
        };
        reads.ticks = 0;
        reads.ask_again = false;
        self.outbox.send(
            *leader,
            ReadIndex {
                term: self.term,
                request,
            },
        );
    }
}

impl Leader {
    /// The round that confirms what arrives now: the first that begins afterwards.
    fn round_after_arrival(&self) -> Round {
        if buggify::canary(Canary::ReadWithoutRound) {
            return Round(0);
        }
        if buggify::canary(Canary::ReadByEarlierRound) {
            return self.round;
        }
        Round(self.round.0 + 1)
    }

    /// The commit index, if an entry of this term is committed, so that it is known to be the
    /// cluster's.
    fn known_commit(&self, commit: LogIndex) -> Option<LogIndex> {
        let is_known =
            commit >= self.term_start || buggify::canary(Canary::ReadBeforeOwnTermCommit);
        is_known.then_some(commit)
    }
}
