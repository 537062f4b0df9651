//! Snapshots of this replica: cut, and reported on; and those of others, installed.
//!
//! A snapshot is cut between two entries. Cutting copies no key: a thread of the shell turns the
//! frozen state into blocks while the replica goes on, and says when they are durable. Then the log
//! is cut behind it.

use buggify::Canary;
use bytes::Bytes;
use raft::{EntryId, LogIndex, NodeId, SnapshotMeta};

use crate::config::{ClientId, Now};
use crate::execute;
use crate::output::Output;
use crate::snapshot::{LoadedSnapshot, Retired, Snapshot};

use super::Replica;
use super::apply::NUMBERS_USED;

impl Replica {
    /// Asks for a snapshot of the present state, for a backup or because an older one turned out to
    /// be damaged. It comes in the next [`Output::snapshot`], unless one is under way already.
    pub fn request_snapshot(&mut self, now: Now) {
        self.set_now(now);
        self.node.compaction.request();
    }

    /// The snapshot is durable under its final name, and holds so many bytes. The log is cut behind
    /// it.
    pub fn snapshot_written(&mut self, now: Now, meta: SnapshotMeta, bytes: u64) {
        self.set_now(now);
        self.wake_savers();
        if !self.node.compaction.succeed(meta.last, bytes, now) {
            return;
        }
        tracing::info!(index = meta.last.index.0, bytes, "took a snapshot");
        self.cut_log(meta);
        self.node.stats.snapshots_taken += 1;
    }

    /// What the log on disk held at the start, so that this run goes on counting where the one before
    /// it ended: see [`wal::GroupLog::places`]. Without it the log is bounded by what is written to it
    /// from now on.
    pub fn log_recovered(&mut self, places: &[(u64, u64)]) {
        let last = self.raft.status().last.index;
        self.node.compaction.note_recovered(places, last);
    }

    /// Cuts the log behind the newest snapshot.
    fn cut_log(&mut self, meta: SnapshotMeta) {
        let needed = self.needed_by_followers();
        let cut_to = self.node.compaction.cut_to(&self.node.config, needed);
        self.raft.snapshot_taken(meta, cut_to);
        self.node.consensus.first = self.raft.status().first;
    }

    /// The snapshot could not be written. Another is tried later.
    pub fn snapshot_failed(&mut self, now: Now, reason: &str) {
        self.set_now(now);
        self.wake_savers();
        tracing::warn!(
            reason,
            "a snapshot failed, the log is kept until one succeeds"
        );
        self.node.compaction.fail(reason.to_owned(), now);
    }

    /// The newest snapshot turned out to be damaged and was set aside: the next is taken whether or
    /// not the state has changed since.
    pub fn snapshot_lost(&mut self, now: Now) {
        self.set_now(now);
        self.node.compaction.forget_last();
    }

    /// The transfer of a snapshot of the entries up to `last` to a follower has begun: the log behind
    /// it is kept until it has ended, within a bound.
    pub fn snapshot_sending(&mut self, now: Now, to: NodeId, last: EntryId) {
        self.set_now(now);
        self.sending.insert(to, last.index);
    }

    /// The transfer of a snapshot to a follower has ended: that of the entries up to `last`, if it
    /// came so far that one was chosen. Whether the follower has installed it. That the base of its
    /// log is durable too, it says by itself, as it accepts entries.
    pub fn snapshot_sent(&mut self, now: Now, to: NodeId, last: EntryId, is_installed: bool) {
        self.set_now(now);
        self.sending.remove(&to);
        self.raft.snapshot_sent(to, last, is_installed);
    }

    /// Puts the state of another node's snapshot, complete and durable here, in the place of this
    /// one. It is ignored if it is not newer than what is known to be committed here.
    ///
    /// Clients stay. Commands of theirs that the snapshot contains have been executed, and what they
    /// came to is not known: they are answered with UNCERTAIN. What it does not contain is handed to
    /// the leader again. Subscribers have missed messages, and are disconnected.
    ///
    /// Returns the state that is not needed any more, to be dropped elsewhere: that takes as long as
    /// there are keys.
    pub fn install(&mut self, now: Now, snapshot: LoadedSnapshot) -> Retired {
        self.set_now(now);
        let level = snapshot.machine.feature_level();
        if let Err(error) = self.node.config.feature_levels.check(level) {
            self.fatal = Some(error.to_string());
        }
        if self.fatal.is_some() || !self.raft.install_snapshot(snapshot.meta.clone()) {
            return Retired(snapshot.machine);
        }
        let LoadedSnapshot {
            meta,
            mut machine,
            bytes,
        } = snapshot;
        tracing::info!(
            from = self.node.consensus.applied.0,
            to = meta.last.index.0,
            bytes,
            "caught up by a snapshot"
        );
        let skipped = meta.last.index.0 - self.node.consensus.applied.0;
        self.node.stats.entries_by_snapshot += skipped;
        self.node.stats.snapshots_installed += 1;
        let stats = self.node.machine.store.stats();
        machine.store.continue_stats(stats);
        let retired = std::mem::replace(&mut self.node.machine, machine);
        self.node.consistency.forget(self.node.config.node);
        self.node.consensus.applied = meta.last.index;
        self.node.consensus.first = self.raft.status().first;
        self.node.compaction.note_loaded(&meta, bytes);
        self.check_own_numbers();
        self.forget_changes(meta.last.index);
        self.fail_contained();
        self.disconnect_subscribers();
        self.note_consensus();
        Retired(retired)
    }

    /// Cuts a snapshot, if one is due: the turn is over, so that this is between two entries.
    pub(super) fn cut_snapshot(&mut self, output: &mut Output) {
        let now = self.node.now;
        if self.fatal.is_some() || !self.node.compaction.is_due(&self.node.config, now) {
            return;
        }
        let applied = self.node.consensus.applied;
        if let Some(last) = self.node.compaction.last()
            && last.last.index == applied
        {
            self.node.compaction.end_unchanged(now);
            self.cut_log(self.raft.snapshot().clone());
            return self.wake_savers();
        }
        let store = &self.node.machine.store;
        let mut meta = self.raft.snapshot_meta(store.time_ms());
        if meta.conf.is_empty() {
            // A node that has joined and has not come to an entry that names the members.
            meta.conf = self.node.machine.founders();
        }
        let Some(head) = self.node.machine.head(meta.clone()) else {
            let reason = "no leader has been elected yet, there is no state".to_owned();
            self.node.compaction.fail(reason, now);
            return self.wake_savers();
        };
        self.node.compaction.begin(meta.last, now);
        if buggify::canary(Canary::LogCutBeforeSnapshotDurable) {
            self.raft.snapshot_taken(meta.clone(), meta.last.index);
        }
        output.snapshot = Some(Snapshot {
            head: Bytes::from(head.encode()),
            frozen: store.freeze(),
            meta,
        });
    }

    /// Before a clean exit: a snapshot, if it costs less than it saves at the next start.
    pub(super) fn request_snapshot_at_exit(&mut self) {
        let state_bytes = self.node.machine.store.keyspace_bytes() as u64;
        let compaction = &mut self.node.compaction;
        if compaction.is_cheap_at_exit(&self.node.config, state_bytes) {
            self.exit_snapshot = compaction.request();
        }
    }

    /// Takes note of the snapshot that the state was loaded from at the start.
    pub(super) fn note_start(&mut self, meta: &SnapshotMeta, bytes: u64) {
        self.node.consensus.applied = meta.last.index;
        self.node.consensus.first = self.raft.status().first;
        self.node.stats.entries_by_snapshot = meta.last.index.0;
        self.node.compaction.note_loaded(meta, bytes);
        self.check_own_numbers();
    }

    /// Stops a replica that finds batches of its own in a state, which it has not made.
    fn check_own_numbers(&mut self) {
        let (node, incarnation) = (self.node.config.node, self.node.config.incarnation);
        let next = self.gateway.next_sequence();
        let is_used = self.node.machine.last_batch(node).is_some_and(|last| {
            last.incarnation > incarnation
                || (last.incarnation == incarnation && last.sequence >= next)
        });
        if is_used {
            self.fatal = Some(NUMBERS_USED.to_owned());
        }
    }

    /// The entry behind which followers that answer, or are being sent a snapshot, need the log.
    fn needed_by_followers(&self) -> Option<LogIndex> {
        if !self.raft.is_leader() {
            return None;
        }
        let status = self.raft.status();
        let patience = self.raft.config().election_timeout_ticks_min;
        let needed = status.peers.iter().filter_map(|peer| {
            let sent = self.sending.get(&peer.id).copied();
            // One that is behind the beginning of the log is helped by a snapshot only.
            let is_on_its_way =
                peer.quiet_ticks < patience && peer.match_index.next() >= status.first;
            sent.or(is_on_its_way.then_some(peer.match_index))
        });
        needed.min()
    }

    /// Answers what a snapshot contains of this gateway's batches.
    fn fail_contained(&mut self) {
        let (node, incarnation) = (self.node.config.node, self.node.config.incarnation);
        let last = self.node.machine.last_batch(node);
        let contained = last
            .filter(|last| last.incarnation == incarnation)
            .map_or(0, |last| last.sequence);
        let before = self.gateway.last_applied();
        self.node.stats.batches_by_snapshot += contained.saturating_sub(before);
        let mut failed = Vec::new();
        self.gateway
            .contained(contained, self.node.now.mono_us, &mut failed);
        for (plan, failure) in failed {
            execute::fail(&mut self.node, &plan, failure);
        }
        self.answer_refused();
    }

    /// Messages published in entries that the snapshot stands for never come.
    fn disconnect_subscribers(&mut self) {
        let subscribers: Vec<ClientId> = self
            .node
            .sessions
            .iter()
            .filter(|(_, session)| session.subscription_count() + session.shard_channels.len() > 0)
            .map(|(client, _)| client)
            .collect();
        for client in subscribers {
            self.node.close(client);
        }
    }

    /// Clients that wait for a snapshot look again.
    fn wake_savers(&mut self) {
        for client in std::mem::take(&mut self.waiting) {
            self.node.wake(client);
        }
    }
}
