//! The leader's side of replication (paper, section 5.3) and commitment (section 5.4.2).
//!
//! Inputs only change the log and what is known of the followers. What follows from that for each
//! follower is found out once per drain, in `replicate`: so a thousand proposals make one append,
//! and an append that leaves anyway carries the commit index and the round that would otherwise
//! have taken messages of their own.

use std::collections::VecDeque;

use buggify::{Canary, Point};
use bytes::Bytes;

use crate::config::Config;
use crate::error::{ProposeError, StepError};
use crate::log::Log;
use crate::message::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, Heartbeat, HeartbeatResponse,
};
use crate::outbox::Outbox;
use crate::progress::{Progress, ProgressState};
use crate::quorum;
use crate::raft::{Leader, Raft, State};
use crate::read_back::{Purpose, ReadBack};
use crate::snapshot::SendSnapshot;
use crate::types::{Entry, EntryId, EntryKind, LogIndex, NodeId, ReadRequestId, Round, Term};

/// The sizes of this leader's proposals that are not committed, or not on its own disk. (The
/// followers may commit what a slow disk of the leader has yet to write. Such entries are bounded
/// too: they are held in memory.)
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Uncommitted {
    proposals: VecDeque<(LogIndex, usize)>,
    bytes: usize,
}

impl Uncommitted {
    fn add(&mut self, index: LogIndex, bytes: usize) {
        self.proposals.push_back((index, bytes));
        self.bytes += bytes;
    }

    /// Everything up to `settled` is committed, and durable here.
    fn settle(&mut self, settled: LogIndex) {
        while let Some(&(index, bytes)) = self.proposals.front()
            && index <= settled
        {
            self.proposals.pop_front();
            self.bytes -= bytes;
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn count(&self) -> usize {
        self.proposals.len()
    }

    pub(crate) fn newest_bytes(&self) -> usize {
        self.proposals.back().map_or(0, |&(_, bytes)| bytes)
    }
}

impl Raft {
    /// Appends an entry to the leader's log. Its time is `wall_ms`, or that of the entry before if
    /// it is later. The entry is committed if one with the returned id comes out to be applied;
    /// if one with the same index and another term does, it is lost.
    ///
    /// # Errors
    /// If this node cannot append now. Nothing was appended.
    pub fn propose(
        &mut self,
        kind: EntryKind,
        payload: Bytes,
        wall_ms: u64,
    ) -> Result<EntryId, ProposeError> {
        let known_leader = self.leader();
        let State::Leader(leader) = &mut self.state else {
            return Err(ProposeError::NotLeader {
                leader: known_leader,
            });
        };
        if matches!(kind, EntryKind::Bootstrap | EntryKind::Membership) {
            return Err(ProposeError::Kind { kind });
        }
        if let Some(transfer) = &leader.transfer
            && !buggify::canary(Canary::ProposeDuringTransfer)
        {
            return Err(ProposeError::Transferring { to: transfer.to });
        }
        let bytes = payload.len() + Entry::OVERHEAD_BYTES;
        let uncommitted_bytes = leader.uncommitted.bytes();
        // The size of what is proposed does not matter: otherwise a large proposal could be refused
        // for ever while small ones, which always find room, keep the log busy.
        let is_full =
            uncommitted_bytes > 0 && uncommitted_bytes >= self.config.uncommitted_bytes_max;
        if is_full && !buggify::canary(Canary::UncommittedWithoutBound) {
            return Err(ProposeError::UncommittedFull { uncommitted_bytes });
        }
        leader.uncommitted.add(self.log.last().index.next(), bytes);
        self.wall_ms = wall_ms;
        let id = self.append_own(kind, payload);
        self.check();
        Ok(id)
    }

    /// Brings every follower as far as it may be brought now.
    pub(crate) fn replicate(&mut self) {
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let Leader {
            progress,
            round,
            reads,
            ..
        } = &mut **leader;
        let base = self.log.base().index;
        let starts_round = reads.needs_round_after(*round);
        if starts_round {
            round.0 += 1;
        }
        let mut sender = Sender {
            term: self.term,
            round: *round,
            log: &self.log,
            config: &self.config,
            outbox: &mut self.outbox,
            read_back: &mut self.read_back,
        };
        for (&node, progress) in progress {
            let appended = sender.append(node, progress);
            if progress.take_snapshot_due() {
                let least = base;
                self.snapshots_to_send
                    .push(SendSnapshot { to: node, least });
            }
            if starts_round && !appended {
                sender.heartbeat(node, progress);
            }
            if progress.is_silent() && buggify::canary(Canary::SilentPeerBlocksOthers) {
                break;
            }
        }
        self.hand_over();
        if starts_round {
            self.release_reads();
        }
    }

    /// Heartbeats for everybody, at regular intervals.
    pub(crate) fn send_heartbeats(&mut self) {
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        leader.heartbeat_elapsed = 0;
        let mut sender = Sender {
            term: self.term,
            round: leader.round,
            log: &self.log,
            config: &self.config,
            outbox: &mut self.outbox,
            read_back: &mut self.read_back,
        };
        for (&node, progress) in &mut leader.progress {
            progress.heartbeat();
            sender.heartbeat(node, progress);
        }
    }

    pub(crate) fn refuse_match_beyond_log(
        &self,
        from: NodeId,
        response: &AppendEntriesResponse,
    ) -> Result<(), StepError> {
        let last = self.log.last().index;
        match response.outcome {
            AppendOutcome::Accepted { match_index }
                if response.term == self.term && match_index > last =>
            {
                Err(StepError::MatchBeyondLog {
                    from,
                    match_index,
                    last,
                })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn on_append_response(&mut self, from: NodeId, response: AppendEntriesResponse) {
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let Some(progress) = leader.progress.get_mut(&from) else {
            return;
        };
        if !progress.is_of_session(response.session) {
            return;
        }
        progress.answered(response.round, leader.round);
        match response.outcome {
            AppendOutcome::Accepted { match_index } => {
                if progress.accepted(match_index, self.log.base().index) {
                    self.advance_commit();
                }
            }
            AppendOutcome::Rejected { prev, hint } if progress.is_current_rejection(prev) => {
                let base = self.log.base();
                let is_too_far_behind = prev <= base.index
                    || (base != EntryId::ZERO && buggify::point(Point::SnapshotSentUnneeded));
                if is_too_far_behind {
                    progress.needs_snapshot();
                } else {
                    // Below the hint the follower's terms are not above the hint's, so neither
                    // can the meeting point be where this log's are.
                    let meeting = self.log.last_at_most(hint.index.min(prev), hint.term);
                    progress.probe_from(meeting.index.min(prev.previous()));
                }
            }
            AppendOutcome::Rejected { .. } => {}
        }
        self.release_reads();
    }

    pub(crate) fn on_heartbeat_response(&mut self, from: NodeId, response: HeartbeatResponse) {
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let Some(progress) = leader.progress.get_mut(&from) else {
            return;
        };
        if !progress.is_of_session(response.session) {
            return;
        }
        progress.answered(response.round, leader.round);
        progress.heartbeat_answered();
        self.release_reads();
    }

    /// Commits what a quorum holds durably, this node's own disk being one of them. Only entries of
    /// the leader's own term are committed by counting; those before them are committed with them
    /// (section 5.4.2 and figure 8).
    pub(crate) fn advance_commit(&mut self) {
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let id = self.config.id;
        let durable = match buggify::canary(Canary::OwnMatchBeforeDurable) {
            false => self.log.durable(),
            true => self.log.last().index,
        };
        let held = quorum::reached(&self.confs.counted_by(id), |voter| {
            let matched = leader
                .progress
                .get(&voter)
                .map_or(LogIndex(0), |progress| progress.match_index);
            if voter == id { durable } else { matched }
        });
        let commit = self.log.commit();
        let is_own_term = self.log.term(held) == Some(self.term);
        let is_news =
            held > commit && (is_own_term || buggify::canary(Canary::OldTermCommittedByCount));
        if is_news {
            self.log.commit_to(held);
            if commit < leader.term_start {
                leader.reads.first_commit(held);
            }
        }
        leader.uncommitted.settle(self.log.commit().min(durable));
        if is_news {
            self.release_reads();
        }
    }

    /// Entries for a follower have come back from the disk.
    pub(crate) fn send_read_back(&mut self, node: NodeId, entries: Option<Vec<Entry>>) {
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let Some(progress) = leader.progress.get_mut(&node) else {
            return;
        };
        progress.reading = None;
        let Some(entries) = entries else {
            progress.read_failed = true;
            return;
        };
        let first = entries.first().map(|entry| entry.id.index);
        if first == Some(progress.next_index) && progress.is_replicating() {
            let mut sender = Sender {
                term: self.term,
                round: leader.round,
                log: &self.log,
                config: &self.config,
                outbox: &mut self.outbox,
                read_back: &mut self.read_back,
            };
            sender.send(node, progress, entries);
        }
    }
}

impl State {
    /// Whether the leader still waits for this very request on behalf of a follower.
    pub(crate) fn is_reading_for(&self, node: NodeId, request: ReadRequestId) -> bool {
        let State::Leader(leader) = self else {
            return false;
        };
        leader
            .progress
            .get(&node)
            .is_some_and(|progress| progress.reading == Some(request))
    }
}

/// What it takes to send to followers.
struct Sender<'a> {
    term: Term,
    round: Round,
    log: &'a Log,
    config: &'a Config,
    outbox: &'a mut Outbox,
    read_back: &'a mut ReadBack,
}

impl Sender<'_> {
    /// Sends all that may be sent now. Returns whether anything was.
    fn append(&mut self, node: NodeId, progress: &mut Progress) -> bool {
        if !progress.is_silent() && !progress.is_snapshot() {
            self.skip_to_base(progress);
        }
        match progress.state {
            ProgressState::Probe { waiting: true } => false,
            ProgressState::Probe { waiting: false } => self.probe(node, progress),
            ProgressState::Replicate(_) => self.stream(node, progress),
            ProgressState::Snapshot(_) => false,
        }
    }

    /// What is to be sent next must not be before the beginning of the log. The entry there can
    /// still be asked after: only a follower that rejects it needs a snapshot.
    fn skip_to_base(&mut self, progress: &mut Progress) {
        let base = self.log.base().index;
        if progress.next_index <= base {
            progress.probe_from(base);
        }
    }

    /// One append, to find out where the logs agree. It carries entries if they are at hand: more
    /// often than not the guess is right.
    fn probe(&mut self, node: NodeId, progress: &mut Progress) -> bool {
        let bytes_max = self.append_bytes_max();
        let last = self.log.last().index;
        let entries = self
            .log
            .cached(progress.next_index, last, bytes_max)
            .unwrap_or_default();
        self.send(node, progress, entries)
    }

    /// As much as the window allows; if nothing is left to send, news of the commit index.
    fn stream(&mut self, node: NodeId, progress: &mut Progress) -> bool {
        let inflight_bytes_max = self.config.inflight_bytes_max;
        let inflight_messages_max = match buggify::point(Point::WindowOfOne) {
            false => self.config.inflight_messages_max,
            true => 1,
        };
        let last = self.log.last().index;
        let mut sent = progress.check_due && self.send(node, progress, Vec::new());
        while let ProgressState::Replicate(inflight) = &progress.state {
            if inflight.is_full(inflight_messages_max, inflight_bytes_max) {
                break;
            }
            if progress.next_index > last {
                let is_news = self.log.commit() > progress.commit_sent
                    && !buggify::point(Point::CommitNewsLate);
                sent |= is_news && self.send(node, progress, Vec::new());
                break;
            }
            let Some(entries) = self
                .log
                .cached(progress.next_index, last, self.append_bytes_max())
            else {
                self.read_entries(node, progress);
                break;
            };
            sent |= self.send(node, progress, entries);
        }
        sent
    }

    fn append_bytes_max(&self) -> usize {
        match buggify::point(Point::AppendOneEntry) {
            false => self.config.append_bytes_max,
            true => 0,
        }
    }

    /// Sends one append. Returns whether it could: not if a snapshot has replaced what is before.
    fn send(&mut self, node: NodeId, progress: &mut Progress, entries: Vec<Entry>) -> bool {
        let Some(prev) = self.log.id(progress.next_index.previous()) else {
            return false;
        };
        let commit = self.log.commit();
        let bytes = entries.iter().map(Entry::size_bytes).sum();
        let last = entries.last().map_or(prev, |entry| entry.id).index;
        progress.sent(last, bytes, commit);
        let (term, round, session) = (self.term, self.round, progress.session);
        self.outbox.send(
            node,
            AppendEntries {
                term,
                prev,
                commit,
                round,
                session,
                entries,
            },
        );
        true
    }

    /// The entries a lagging follower needs have left memory.
    fn read_entries(&mut self, node: NodeId, progress: &mut Progress) {
        if progress.reading.is_some() || progress.read_failed {
            return;
        }
        let first = progress.next_index;
        let last = self
            .log
            .cache_first()
            .map_or(self.log.last().index, LogIndex::previous);
        if first > self.log.base().index {
            let bytes_max = self.config.append_bytes_max;
            let purpose = Purpose::Replicate(node);
            progress.reading = Some(self.read_back.request(purpose, first, last, bytes_max));
        }
    }

    fn heartbeat(&mut self, node: NodeId, progress: &mut Progress) {
        let commit = match buggify::canary(Canary::CommitBeyondMatch) {
            false => self.log.commit().min(progress.match_index),
            true => self.log.commit(),
        };
        progress.commit_sent = progress.commit_sent.max(commit);
        self.outbox.send(
            node,
            Heartbeat {
                term: self.term,
                commit,
                round: self.round,
                session: progress.session,
            },
        );
    }
}
