//! The follower's side of replication (paper, section 5.3).

use buggify::{Canary, Point};

use crate::error::StepError;
use crate::message::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, Heartbeat, HeartbeatResponse,
};
use crate::raft::{Raft, State};
use crate::types::{Entry, EntryId, LogIndex, NodeId, Round, Session};

impl Raft {
    /// Refuses an append that would change what is committed. An honest leader's never does: it
    /// holds every committed entry (Leader Completeness, section 5.4.3).
    pub(crate) fn refuse_conflict_below_commit(
        &self,
        append: &AppendEntries,
    ) -> Result<(), StepError> {
        let commit = self.log.commit();
        let known = std::iter::once(append.prev).chain(append.entries.iter().map(|entry| entry.id));
        for found in known.take_while(|id| id.index <= commit) {
            if let Some(committed) = self.log.id(found.index)
                && committed != found
            {
                return Err(StepError::ConflictBelowCommit { found, committed });
            }
        }
        Ok(())
    }

    /// Takes entries of the leader. The message has passed all checks.
    pub(crate) fn on_append_entries(&mut self, from: NodeId, append: AppendEntries) {
        let AppendEntries {
            term,
            prev,
            commit,
            round,
            session,
            entries,
        } = append;
        self.begin_session(session);
        // What a snapshot has replaced is committed, hence equal.
        let is_below_base = prev.index < self.log.base().index;
        if !is_below_base && !self.log.contains(prev) {
            let hint = match buggify::point(Point::RejectionWithoutHint) {
                false => self.log.last_at_most(prev.index, prev.term),
                true => EntryId::ZERO,
            };
            let outcome = AppendOutcome::Rejected {
                prev: prev.index,
                hint,
            };
            self.outbox.send(
                from,
                AppendEntriesResponse {
                    term,
                    round,
                    session,
                    outcome,
                },
            );
            return;
        }
        let end = entries.last().map_or(prev, |entry| entry.id).index;
        self.take_entries(entries);
        let match_index = end.max(self.log.base().index);
        // Only as far as this message has checked: what is behind it may be anybody's.
        match buggify::canary(Canary::CommitBeyondAppend) {
            false => self.commit_up_to(commit.min(match_index)),
            true => self.commit_up_to(commit.min(self.log.last().index)),
        }
        if match_index > self.log.durable() {
            self.echo_round_early(from, round, session);
            if self.owes_acceptance(match_index) {
                return;
            }
        }
        let outcome = AppendOutcome::Accepted { match_index };
        self.outbox.send_acceptance(
            from,
            AppendEntriesResponse {
                term,
                round,
                session,
                outcome,
            },
        );
    }

    /// Adds what the log lacks. Entries that are there already are left alone, and so is what is
    /// behind them: this may be a late message, and truncating on it would drop entries that were
    /// acknowledged since. Only an entry of another term at the same position shows that the rest
    /// is not the leader's.
    fn take_entries(&mut self, entries: Vec<Entry>) {
        let last = self.log.last().index;
        let base = self.log.base().index;
        let is_held = |entry: &Entry| {
            let is_equal =
                self.log.contains(entry.id) && !buggify::canary(Canary::LateAppendTruncates);
            entry.id.index <= base || is_equal
        };
        let starts_at_end = entries.first().is_none_or(|first| first.id.index > last);
        let held = if starts_at_end {
            0
        } else {
            entries.iter().take_while(|e| is_held(e)).count()
        };
        let mut news = entries.into_iter().skip(held).peekable();
        if let Some(first) = news.peek()
            && first.id.index <= last
        {
            let cut = first.id.index;
            self.log.truncate_from(cut);
            self.confs.truncate_from(cut);
            self.writes.truncated(cut.previous());
        }
        for entry in news {
            self.take_conf(&entry);
            self.log.append(entry);
        }
    }

    /// A leader that waits for a round need not wait for this node's disk: an acceptance will be
    /// late, so the round is answered ahead of it.
    fn echo_round_early(&mut self, from: NodeId, round: Round, session: Session) {
        if let State::Follower(follower) = &mut self.state
            && round > follower.round_echoed
            && !buggify::point(Point::RoundNotEchoedEarly)
        {
            follower.round_echoed = round;
            self.outbox.send(
                from,
                HeartbeatResponse {
                    term: self.term,
                    round,
                    session,
                },
            );
        }
    }

    /// Whether an acceptance up to `match_index` or further waits for the disk already. One is
    /// enough: a leader that asks again and again while the disk hangs must not make answers pile up.
    /// Otherwise, from now on one does.
    fn owes_acceptance(&mut self, match_index: LogIndex) -> bool {
        let State::Follower(follower) = &mut self.state else {
            return false;
        };
        let is_owed = match_index <= follower.acceptance_said;
        follower.acceptance_said = follower.acceptance_said.max(match_index);
        is_owed
    }

    /// The leader has taken this node for a new member since: what is owed to an earlier session is
    /// of no use to it, so it is said anew.
    fn begin_session(&mut self, session: Session) {
        if let State::Follower(follower) = &mut self.state
            && session > follower.session
        {
            follower.session = session;
            follower.acceptance_said = LogIndex(0);
            follower.round_echoed = Round(0);
        }
    }

    pub(crate) fn on_heartbeat(&mut self, from: NodeId, heartbeat: Heartbeat) {
        self.commit_up_to(heartbeat.commit);
        if let State::Follower(follower) = &mut self.state {
            follower.round_echoed = follower.round_echoed.max(heartbeat.round);
        }
        let Heartbeat {
            term,
            round,
            session,
            ..
        } = heartbeat;
        self.outbox.send(
            from,
            HeartbeatResponse {
                term,
                round,
                session,
            },
        );
    }

    fn commit_up_to(&mut self, index: LogIndex) {
        if index > self.log.commit() {
            self.log.commit_to(index);
        }
    }
}
