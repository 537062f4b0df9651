//! Snapshots in a group under test: cut, written, brought to others, installed there.

use raft::{EntryId, LogIndex, NodeId, SendSnapshot};

use super::disk::Snapshot;
use super::{Cluster, Disk};

/// A snapshot on its way to a follower.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) snapshot: Snapshot,
}

/// What becomes of a snapshot on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is installed, and the sender told so.
    Arrives,
    /// It is installed, but the sender takes it for lost.
    ArrivesUnnoticed,
    /// It is lost, which the sender notices.
    Lost,
    /// It is on the receiver's disk when the receiver dies.
    ArrivesAtCrash,
}

impl Cluster {
    /// The node cuts a snapshot, which is not durable yet.
    pub(crate) fn cut_snapshot(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        let raft = node.raft.as_ref().expect("the node is up");
        let time_ms = node.applied.last().map_or(0, |entry| entry.time_ms);
        let meta = raft.snapshot_meta(time_ms);
        let state = node.applied.clone();
        let last = state.last().map_or(EntryId::ZERO, |entry| entry.id);
        assert_eq!(meta.last, last, "{id} cuts a snapshot of what it applied");
        node.cutting.push_back(Snapshot { meta, state });
    }

    /// The oldest snapshot that the node has cut is durable. The log keeps `tail` entries before
    /// its end.
    pub(crate) fn finish_snapshot(&mut self, id: NodeId, tail: u64) {
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        let Some(snapshot) = node.cutting.pop_front() else {
            return;
        };
        node.durable.keep_snapshot(&snapshot);
        let last = snapshot.meta.last;
        let cut_to = LogIndex(last.index.0.saturating_sub(tail));
        let what = format!("has a snapshot of {last}, and cuts its log to {cut_to}");
        self.input(id, &what, |raft| raft.snapshot_taken(snapshot.meta, cut_to));
    }

    /// The leader is asked for a snapshot: its newest is on its way.
    pub(super) fn start_delivery(&mut self, from: NodeId, ask: SendSnapshot) {
        let SendSnapshot { to, least } = ask;
        self.note(format!("  {to} needs a snapshot of at least {least}"));
        let newest = self.nodes[&from].durable.snapshot.clone();
        let snapshot = newest.expect("who has dropped entries has a snapshot");
        assert!(
            snapshot.meta.last.index >= least,
            "{from} has no snapshot of {least} to send"
        );
        // A second one to the same node takes the place of the first.
        self.deliveries
            .retain(|delivery| (delivery.from, delivery.to) != (from, to));
        self.deliveries.push(Delivery { from, to, snapshot });
    }

    /// A snapshot that is on its way ends there.
    pub(crate) fn end_delivery(&mut self, delivery: Delivery, fate: Fate) {
        let Delivery { from, to, snapshot } = delivery;
        let reaches = self.nodes[&to].is_up() && !self.cut.contains(&(from, to));
        let last = snapshot.meta.last;
        if reaches && fate != Fate::Lost {
            if fate == Fate::ArrivesAtCrash {
                let node = self.nodes.get_mut(&to).expect("a node of the cluster");
                node.durable.keep_snapshot(&snapshot);
                self.crash(to);
            } else {
                self.offer(to, &snapshot);
            }
        }
        if self.nodes[&from].is_up() {
            let is_installed = reaches && fate == Fate::Arrives;
            let what = match is_installed {
                true => format!("knows that {to} has the snapshot of {last}"),
                false => format!("could not bring the snapshot of {last} to {to}"),
            };
            self.input(from, &what, |raft| {
                raft.snapshot_sent(to, last, is_installed)
            });
        }
    }

    /// A snapshot reaches a node, whoever it may come from.
    pub(crate) fn offer(&mut self, id: NodeId, snapshot: &Snapshot) {
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        node.durable.keep_snapshot(snapshot);
        self.install(id, snapshot.clone());
    }

    /// A snapshot that is durable on the node's disk is offered to the node.
    pub(crate) fn install(&mut self, id: NodeId, snapshot: Snapshot) {
        let Snapshot { meta, state } = snapshot;
        let last = meta.last;
        let before = self.nodes[&id].applied.len();
        let what = format!("receives a snapshot of {last}");
        self.note(format!("{id} {what}"));
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        let raft = node.raft.as_mut().expect("the node is up");
        if raft.install_snapshot(meta) {
            assert!(state.len() > before, "{id} would go back to {last}");
            node.applied.clone_from(&state);
            self.checker.installed(id, &state);
        } else {
            assert!(state.len() <= before || raft.commit() >= last.index || raft.is_leader());
            self.note("  which is nothing new".to_owned());
        }
        self.raft(id).check_invariants();
        self.drain(id);
    }

    /// The oldest snapshot under way from one node to the other.
    pub(crate) fn take_delivery(&mut self, from: NodeId, to: NodeId) -> Option<Delivery> {
        let is_it = |delivery: &Delivery| (delivery.from, delivery.to) == (from, to);
        let position = self.deliveries.iter().position(is_it)?;
        Some(self.deliveries.remove(position))
    }

    /// Brings a snapshot, if the group's snapshots travel by themselves.
    pub(super) fn deliver_snapshot(&mut self) -> bool {
        if self.deliveries_run == Disk::Slow || self.deliveries.is_empty() {
            return false;
        }
        let delivery = self.deliveries.remove(0);
        self.end_delivery(delivery, Fate::Arrives);
        true
    }
}
