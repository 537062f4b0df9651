//! Snapshots in the reactor's turn: what the replica wants goes to their threads, what these have done
//! goes to the replica.

use raft::{EntryId, LogIndex, NodeId, SendSnapshot};
use replica::Now;

use super::{Parts, Reactor};
use crate::snapshots::Completion;

/// What is between the replica and the threads.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// Kept so that a turn does not allocate it anew.
    completions: Vec<Completion>,
    /// Followers that need a newer snapshot than there is: one is being taken.
    waiting: Vec<SendSnapshot>,
    is_disk_low: bool,
}

impl Reactor {
    /// Tells the replica what the threads have done.
    pub(super) fn complete_snapshots(&mut self, now: Now) {
        let mut completions = std::mem::take(&mut self.desk.completions);
        self.parts.snapshots.completions(&mut completions);
        for completion in completions.drain(..) {
            self.complete_snapshot(now, completion);
        }
        self.desk.completions = completions;
    }

    fn complete_snapshot(&mut self, now: Now, completion: Completion) {
        let Parts { replica, .. } = &mut self.parts;
        match completion {
            Completion::Written { meta, found, .. } => {
                replica.snapshot_written(now, *meta, found.bytes);
                for send in std::mem::take(&mut self.desk.waiting) {
                    self.send_snapshot(now, send);
                }
            }
            Completion::WriteFailed { reason } => {
                replica.snapshot_failed(now, &reason);
                for send in self.desk.waiting.drain(..) {
                    replica.snapshot_sent(now, send.to, EntryId::ZERO, false);
                }
            }
            Completion::Sending { to, last } => replica.snapshot_sending(now, to, last),
            Completion::Sent {
                to,
                last,
                is_installed,
            } => replica.snapshot_sent(now, to, last, is_installed),
            Completion::Damaged { to } => {
                replica.snapshot_lost(now);
                self.wait_for_snapshot(now, to, LogIndex(0));
            }
            Completion::Lost { .. } => {
                replica.snapshot_lost(now);
                replica.request_snapshot(now);
            }
            Completion::Backup { client, answer } => replica.answer_backup(now, client, answer),
            Completion::Received { loaded, answer } => {
                let last = loaded.meta.last;
                let retired = replica.install(now, *loaded);
                self.parts.snapshots.installed(retired, last);
                // It waits for this with a bounded patience, and may be gone.
                let _ = answer.send(());
            }
        }
    }

    /// Hands over what the replica wants done.
    pub(super) fn carry_out_snapshots(&mut self, now: Now) {
        if let Some(snapshot) = self.output.snapshot.take() {
            self.parts.snapshots.write(snapshot);
        }
        for send in std::mem::take(&mut self.output.send_snapshots) {
            self.send_snapshot(now, send);
        }
        for request in self.output.backups.drain(..) {
            self.parts.snapshots.backup(request);
        }
    }

    /// The disk runs short of space, or does no longer: a snapshot is what lets the log be cut.
    pub(super) fn disk_space(&mut self, now: Now, is_low: bool) {
        self.parts.replica.disk_space(now, is_low);
        self.desk.is_disk_low = is_low;
        self.judge_urgency();
        if is_low {
            self.parts.replica.request_snapshot(now);
        }
    }

    /// Looks whether the log grows faster than snapshots let it be cut.
    pub(super) fn judge_urgency(&mut self) {
        let Parts {
            snapshots, disk, ..
        } = &mut self.parts;
        snapshots.judge_urgency(self.desk.is_disk_low, disk.log_bytes());
    }

    fn send_snapshot(&mut self, now: Now, send: SendSnapshot) {
        let Parts {
            replica,
            snapshots,
            peers,
            ..
        } = &mut self.parts;
        let newest = snapshots.newest().unwrap_or(EntryId::ZERO);
        if newest.index < send.least {
            self.wait_for_snapshot(now, send.to, send.least);
            return;
        }
        match peers.snapshot_target(send.to) {
            Some(target) => {
                if snapshots.send(target, send.least) {
                    replica.snapshot_sending(now, send.to, newest);
                }
            }
            None => replica.snapshot_sent(now, send.to, EntryId::ZERO, false),
        }
    }

    fn wait_for_snapshot(&mut self, now: Now, to: NodeId, least: LogIndex) {
        self.desk.waiting.retain(|waiting| waiting.to != to);
        self.desk.waiting.push(SendSnapshot { to, least });
        self.parts.replica.request_snapshot(now);
    }
}
