//! Snapshots (paper, section 7; thesis, chapter 5): a log cannot grow for ever, so now and then the
//! state itself is written down, and the entries that led to it are dropped.
//!
//! This crate never sees a snapshot's content. It knows what a snapshot *stands for*
//! ([`SnapshotMeta`]): the state after one entry of the log. Cutting, writing, sending, checking and
//! loading are the shell's; here is decided what may be dropped, who needs a snapshot, and whether
//! one that came is news.
//!
//! # Order on the disk
//!
//! 1. The snapshot is durable. Then the shell calls [`Raft::snapshot_taken`] or
//!    [`Raft::install_snapshot`].
//! 2. [`Persist::base`](crate::Persist::base) is durable: the log begins behind that entry.
//! 3. Only now may files be removed that hold older entries, or older snapshots.
//!
//! Whatever the moment of a crash, a start therefore finds a snapshot that meets the log, or one
//! that is ahead of it. The second is a crash in the midst of an installation: `Log::meet` finishes
//! it. (Redisraft and openraft could each be left with a gap between the two: redisraft issue 43,
//! openraft issues 559 and 561.)
//!
//! # A follower that is too far behind
//!
//! A leader that has dropped what a follower lacks learns so when the follower rejects a probe at
//! the base of the leader's log. It then stops appending to it, and asks for a snapshot to be sent
//! ([`Ready::send_snapshots`](crate::Ready::send_snapshots)). Heartbeats go on. The transfer is the
//! shell's; it ends with [`Raft::snapshot_sent`], or earlier, when the follower acknowledges what
//! it has installed.
//!
//! # Beside figure 13 of the paper
//!
//! | Figure 13 | Here |
//! |---|---|
//! | term, leader, offset, data, done | the shell's: a snapshot is the same whoever brings it, so it needs no leader, and one that was begun under another may be completed |
//! | lastIncludedIndex, lastIncludedTerm | [`SnapshotMeta::last`] |
//! | 1. refuse an old term | [`Raft::install_snapshot`] refuses what is not news instead: what is committed is so in every term |
//! | 2 to 5. gather the chunks, keep the newest file | the shell's |
//! | 6. if the log has the last included entry, retain what follows it | `Log::install` returns true |
//! | 7. discard the entire log | `Log::install` returns false |
//! | 8. reset the state machine, load the configuration | the shell's, when [`Raft::install_snapshot`] returns true; the configuration is taken there |
//! | the answer | an [`AppendEntriesResponse`] that accepts the last included entry |

use buggify::{Canary, Point};

use crate::membership::ConfState;
use crate::message::{AppendEntriesResponse, AppendOutcome};
use crate::raft::{Raft, State};
use crate::types::{EntryId, LogIndex, NodeId, Round};

/// What a snapshot stands for: the state after `last`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SnapshotMeta {
    /// The last entry whose effects the state holds. It is committed.
    pub last: EntryId,
    /// The time of the state in milliseconds since 1970: not below that of any entry up to `last`.
    pub time_ms: u64,
    /// The members as of `last`: the latest configuration among the entries up to it, not one that
    /// follows (a later one may never be committed: openraft issue 1808).
    pub conf: ConfState,
}

/// A follower needs a snapshot, because the log no longer holds what it lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SendSnapshot {
    /// The follower.
    pub to: NodeId,
    /// The snapshot's last entry must be this or a later one, so that the log continues it.
    pub least: LogIndex,
}

impl Raft {
    /// What a snapshot stands for that is cut now, of state that has applied everything up to
    /// [`Raft::applied_index`]. `time_ms` is the time of the state.
    pub fn snapshot_meta(&self, time_ms: u64) -> SnapshotMeta {
        let applied = self.log.applied();
        SnapshotMeta {
            last: self.log.id(applied).unwrap_or(self.log.base()),
            time_ms,
            conf: self.confs.at(applied).1.clone(),
        }
    }

    /// The newest durable snapshot of this node, as far as this replica was told; all zero if there
    /// is none.
    pub fn snapshot(&self) -> &SnapshotMeta {
        &self.snapshot
    }

    /// A snapshot that was cut here is durable: entries up to `cut_to` may go (entries behind it
    /// are kept for followers that are a little behind). Nothing goes beyond the newest durable
    /// snapshot, nor beyond what is durable in the log. A snapshot that is not newer than the
    /// newest known changes nothing but where to cut.
    ///
    /// # Panics
    /// If the snapshot is ahead of what was applied, or does not belong to this log.
    pub fn snapshot_taken(&mut self, snapshot: SnapshotMeta, cut_to: LogIndex) {
        let SnapshotMeta { last, .. } = snapshot;
        assert!(
            last.index <= self.log.applied(),
            "a snapshot of {last}, but only {} is applied",
            self.log.applied()
        );
        if let Some(term) = self.log.term(last.index) {
            assert!(
                term == last.term,
                "a snapshot of {last}, which is of {term}"
            );
        }
        if last.index > self.snapshot.last.index {
            self.snapshot = snapshot;
        }
        let cut_to = match buggify::point(Point::LogTailCut) {
            false => cut_to,
            true => self.snapshot.last.index,
        };
        let cut = cut_to.min(self.snapshot.last.index).min(self.log.durable());
        self.compact_to(cut);
        self.check();
    }

    /// Drops the log up to `cut`, and whatever was to be read of that part of it.
    fn compact_to(&mut self, cut: LogIndex) {
        self.log.compact_to(cut);
        self.confs.cut_to(self.log.base().index);
        let called_off = self.read_back.begins_behind(self.log.base().index);
        if let State::Leader(leader) = &mut self.state {
            for node in called_off {
                if let Some(progress) = leader.progress.get_mut(&node) {
                    progress.reading = None;
                }
            }
        }
    }

    /// Another node's snapshot is durable here, complete and checked. Returns whether it is news:
    /// then the state machine must become the snapshot's at once, before it is given anything else
    /// to apply. Otherwise it is to be ignored: what is committed here is not behind it (two
    /// snapshots may come close together, in the wrong order: etcd issue 18055), or its term or index
    /// is one that no honest node can have reached.
    ///
    /// The log is reset to begin behind it; or, if it holds the snapshot's last entry, only what is
    /// before that goes.
    pub fn install_snapshot(&mut self, snapshot: SnapshotMeta) -> bool {
        let SnapshotMeta { last, time_ms, .. } = snapshot;
        let commit = self.log.commit();
        // A leader's log holds everything that is committed.
        if last.index <= commit || self.is_leader() {
            return last != EntryId::ZERO && buggify::canary(Canary::SnapshotRollsBack);
        }
        if self.is_absurd(last) {
            return false;
        }
        if last.term > self.term {
            // It proves that somebody led this term.
            self.become_follower(last.term, None);
        }
        let conf = match buggify::canary(Canary::SnapshotKeepsOldConf) {
            false => snapshot.conf.clone(),
            true => self.confs.latest().clone(),
        };
        if self.log.install(last, time_ms) {
            self.confs.replace_to(last.index, conf);
        } else {
            self.confs.reset(last.index, conf);
            // What is under way to the disk belongs to the old log.
            self.writes.truncated(commit);
        }
        self.read_back.begins_behind(last.index);
        self.snapshot = snapshot;
        self.tell_installed(last.index);
        self.check();
        true
    }

    /// Tells the leader, which may then go on with appends. Like any acceptance it waits until what
    /// it claims is durable: the base of the log.
    fn tell_installed(&mut self, match_index: LogIndex) {
        let State::Follower(follower) = &mut self.state else {
            return;
        };
        if let Some(leader) = follower.leader {
            follower.acceptance_said = follower.acceptance_said.max(match_index);
            let response = AppendEntriesResponse {
                term: self.term,
                round: Round(0),
                session: follower.session,
                outcome: AppendOutcome::Accepted { match_index },
            };
            self.outbox.send_acceptance(leader, response);
        }
    }

    /// The transfer of a snapshot to a follower has ended. If the follower has installed it (or did
    /// not need it), appends go on behind `last`; if the transfer failed, it is tried again, but
    /// not at once.
    pub fn snapshot_sent(&mut self, to: NodeId, last: EntryId, is_installed: bool) {
        let end = self.log.last().index;
        if let State::Leader(leader) = &mut self.state
            && let Some(progress) = leader.progress.get_mut(&to)
        {
            let patience = self.config.election_timeout_ticks_min;
            progress.snapshot_sent(last.index.min(end), is_installed, patience);
        }
        self.check();
    }
}
