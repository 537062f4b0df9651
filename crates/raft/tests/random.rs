//! Groups under random trouble: messages lost, doubled, reordered; nodes killed with the loss of
//! all that was not durable; links cut; disks slow; clocks standing still; snapshots cut, brought to
//! others, lost on the way, brought again too late. The checker watches every step. Then the trouble
//! ends, and the group must come to agree and to work again.
//!
//! Everything follows from a seed, printed on failure. `QUORATE_SEEDS=N` runs more of them.

#[allow(dead_code, reason = "each test program uses a part of it")]
mod common;

use std::collections::BTreeSet;

use raft::{ConfState, Envelope, MembershipChange, NodeId, Raft};

use common::disk::Snapshot;
use common::snapshots::Fate;
use common::{Cluster, Disk};

/// The test's own chance: xorshift64*, so that it owes nothing to the code under test.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// A run: a group, its trouble, and what was asked of it.
struct Run {
    cluster: Cluster,
    chance: Chance,
    nodes: u64,
    /// How often a piece of work is a change of the members.
    churn_one_in: Option<u64>,
    loss_one_in: u64,
    double_one_in: u64,
    /// Messages that were delivered or lost, and may turn up again much later.
    ghosts: Vec<Envelope>,
    /// Snapshots that were on their way once, and may turn up again much later.
    old_snapshots: Vec<Snapshot>,
    /// A node whose clock stands still.
    frozen: Option<NodeId>,
    next_token: u64,
    next_payload: u64,
    /// Snapshots that were brought to others.
    brought: u64,
    /// Changes of the members that were begun.
    changes: u64,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        chance.below(2);
        let nodes = if chance.one_in(2) { 3 } else { 5 };
        let tiny = chance.one_in(2);
        // In half of the runs nodes come and go. Those that come are strangers at first.
        let churn_one_in = chance.one_in(2).then(|| 1 + chance.below(6));
        let strangers = if churn_one_in.is_some() { 2 } else { 0 };
        let mut cluster = Cluster::with_strangers(nodes, strangers, |config| {
            config.promotion_lag_max = 5;
            config.seed = seed * 100 + config.id.0;
            config.heartbeat_ticks = 1;
            config.election_timeout_ticks_min = 5;
            config.election_timeout_ticks_max = 10;
            if tiny {
                config.append_bytes_max = 200;
                config.inflight_messages_max = 3;
                config.inflight_bytes_max = 500;
                config.log_cache_bytes_max = 300;
                config.uncommitted_bytes_max = 2000;
                config.apply_bytes_max = 150;
            }
        });
        cluster.tracing = false;
        let loss_one_in = [3, 10, 50, 1_000_000][usize::try_from(chance.below(4)).unwrap_or(0)];
        let double_one_in = 2 + chance.below(30);
        Run {
            cluster,
            chance,
            nodes: nodes + strangers,
            churn_one_in,
            loss_one_in,
            double_one_in,
            ghosts: Vec::new(),
            old_snapshots: Vec::new(),
            frozen: None,
            next_token: 0,
            next_payload: 0,
            brought: 0,
            changes: 0,
        }
    }

    fn any_node(&mut self) -> NodeId {
        NodeId(1 + self.chance.below(self.nodes))
    }

    fn any_live_node(&mut self) -> Option<NodeId> {
        let id = self.any_node();
        self.cluster.node(id).is_up().then_some(id)
    }

    /// Delivers, loses or doubles one of the messages under way, most often an early one.
    fn move_message(&mut self) {
        let waiting = self.cluster.network.len() as u64;
        if waiting == 0 {
            return;
        }
        let reach = if self.chance.one_in(4) {
            waiting
        } else {
            waiting.min(4)
        };
        let position = usize::try_from(self.chance.below(reach)).unwrap_or(0);
        let Some(envelope) = self.cluster.network.remove(position) else {
            return;
        };
        if self.chance.one_in(self.double_one_in) {
            self.cluster.network.push_back(envelope.clone());
        }
        if self.chance.one_in(20) {
            self.ghosts.push(envelope.clone());
        }
        if !self.chance.one_in(self.loss_one_in) {
            self.cluster.deliver(envelope);
        }
        if self.chance.one_in(40) && !self.ghosts.is_empty() {
            let position = self.chance.below(self.ghosts.len() as u64);
            let position = usize::try_from(position).unwrap_or(0);
            let ghost = self.ghosts.swap_remove(position);
            self.cluster.deliver(ghost);
        }
    }

    fn finish_disk_work(&mut self) {
        if let Some(id) = self.any_live_node() {
            self.cluster.finish_write(id);
            self.cluster.finish_reads(id);
        }
    }

    /// Snapshots are cut, written, and brought to others.
    fn move_snapshots(&mut self) {
        let Some(mut id) = self.any_live_node() else {
            return;
        };
        if let Some(leader) = self.cluster.leader()
            && self.chance.one_in(2)
        {
            id = leader;
        }
        match self.chance.below(8) {
            0 | 1 => self.cluster.cut_snapshot(id),
            2..5 if !self.cluster.node(id).cutting.is_empty() => {
                let tail = if self.chance.one_in(4) { 5 } else { 0 };
                let tail = self.chance.below(tail + 1);
                self.cluster.finish_snapshot(id, tail);
            }
            5 if !self.old_snapshots.is_empty() => {
                let position = self.chance.below(self.old_snapshots.len() as u64);
                let position = usize::try_from(position).unwrap_or(0);
                let snapshot = self.old_snapshots.swap_remove(position);
                self.cluster.offer(id, &snapshot);
            }
            _ if !self.cluster.deliveries.is_empty() => {
                let position = self.chance.below(self.cluster.deliveries.len() as u64);
                let position = usize::try_from(position).unwrap_or(0);
                let delivery = self.cluster.deliveries.swap_remove(position);
                self.old_snapshots.push(delivery.snapshot.clone());
                let fate = match self.chance.below(8) {
                    0..5 => Fate::Arrives,
                    5 => Fate::ArrivesUnnoticed,
                    6 => Fate::Lost,
                    _ => Fate::ArrivesAtCrash,
                };
                self.brought += u64::from(fate != Fate::Lost);
                self.cluster.end_delivery(delivery, fate);
            }
            _ => {}
        }
    }

    /// What clients do.
    fn work(&mut self) {
        let Some(mut id) = self.any_live_node() else {
            return;
        };
        if let Some(leader) = self.cluster.leader()
            && self.chance.one_in(2)
        {
            id = leader;
        }
        if let Some(one_in) = self.churn_one_in
            && self.chance.one_in(one_in)
        {
            self.change_members(id);
        } else if self.chance.one_in(3) {
            self.next_token += 1;
            self.cluster.read(id, self.next_token);
        } else {
            self.next_payload += 1;
            let payload = format!("payload {}", self.next_payload);
            self.cluster.propose(id, &payload);
        }
    }

    /// One of these, or any node at all.
    fn any_of(&mut self, nodes: &BTreeSet<NodeId>) -> NodeId {
        let position = self.chance.below(nodes.len() as u64 + 1);
        let position = usize::try_from(position).unwrap_or(0);
        let chosen = nodes.iter().nth(position).copied();
        chosen.unwrap_or_else(|| self.any_node())
    }

    /// Asks for some change of the members, sensible or not. One that was removed may come again.
    fn change_members(&mut self, at: NodeId) {
        let conf = self.cluster.raft(at).conf().clone();
        let voter = self.any_of(&conf.voters);
        let learner = self.any_of(&conf.learners);
        let stranger = self.any_node();
        let change = match self.chance.below(8) {
            0 | 1 => MembershipChange::AddLearner(stranger),
            2 | 3 => MembershipChange::Promote(learner),
            4 => MembershipChange::Demote(voter),
            5 => MembershipChange::RemoveLearner(learner),
            6 => MembershipChange::Replace {
                old: voter,
                new: learner,
            },
            _ => {
                let mut target = ConfState::default();
                for id in conf.members() {
                    if !self.chance.one_in(3) {
                        target.voters.insert(id);
                    } else {
                        target.learners.insert(id);
                    }
                }
                MembershipChange::To(target)
            }
        };
        if self.cluster.change_members(at, change) {
            self.changes += 1;
        }
    }

    /// What goes wrong.
    fn trouble(&mut self) {
        match self.chance.below(11) {
            0 => {
                if let Some(id) = self.any_live_node() {
                    self.crash(id);
                }
            }
            1 | 2 => {
                let id = self.any_node();
                if !self.cluster.node(id).is_up() {
                    self.restart(id);
                }
            }
            3 => {
                let (from, to) = (self.any_node(), self.any_node());
                self.cluster.cut.push((from, to));
                if self.chance.one_in(2) {
                    self.cluster.cut.push((to, from));
                }
            }
            4 | 5 => {
                self.cluster.cut.clear();
                self.frozen = None;
            }
            6 => {
                let id = self.cluster.leader().unwrap_or_else(|| self.any_node());
                self.isolate(id);
            }
            7 => {
                let id = self.any_node();
                let slow = self.chance.one_in(2);
                if let Some(node) = self.cluster.nodes.get_mut(&id) {
                    node.disk = if slow { Disk::Slow } else { Disk::Fast };
                    node.reads_back = node.disk;
                }
            }
            8 => self.flap(),
            9 => {
                // A process that was stopped, or a clock that jumps: many ticks at once.
                let id = self.any_node();
                for _ in 0..self.chance.below(30) {
                    self.cluster.tick(id);
                }
            }
            _ => {
                if let Some(leader) = self.cluster.leader() {
                    self.cluster.transfer(leader, None);
                }
            }
        }
    }

    /// Cuts off a leader, which may not even notice that time goes by; of five nodes, one may share
    /// its fate and go on believing in it.
    fn isolate(&mut self, id: NodeId) {
        self.frozen = self.chance.one_in(2).then_some(id);
        let companion = self.any_node();
        let has_companion = self.nodes == 5 && self.chance.one_in(2);
        for peer in (1..=self.nodes).map(NodeId) {
            if !(has_companion && peer == companion) {
                self.cluster.cut.extend([(id, peer), (peer, id)]);
            }
            if has_companion && peer != id {
                self.cluster
                    .cut
                    .extend([(companion, peer), (peer, companion)]);
            }
        }
    }

    /// Lets the inputs of some node gather, as a busy reactor does, or drains the one that gathers.
    fn gather_or_drain(&mut self) {
        match self.cluster.gathering.take() {
            Some(id) if self.cluster.node(id).is_up() => self.cluster.drain(id),
            _ => self.cluster.gathering = self.any_live_node(),
        }
    }

    /// Connections to a node that lives are reset, and made again or not.
    fn flap(&mut self) {
        let id = self.cluster.leader().unwrap_or_else(|| self.any_node());
        for peer in (1..=self.nodes).map(NodeId) {
            for (at, other) in [(peer, id), (id, peer)] {
                if at != other && self.cluster.node(at).is_up() {
                    if self.chance.one_in(2) {
                        self.cluster.input(at, "", |raft| raft.peer_reset(other));
                    }
                    if self.chance.one_in(2) {
                        self.cluster
                            .input(at, "", |raft| raft.peer_connected(other));
                    }
                }
            }
        }
    }

    fn crash(&mut self, id: NodeId) {
        self.cluster.gathering.take_if(|gathering| *gathering == id);
        let pieces = self.chance.below(8);
        self.cluster
            .crash_torn(id, usize::try_from(pieces).unwrap_or(0));
        for peer in (1..=self.nodes).map(NodeId) {
            if self.cluster.node(peer).is_up() && !self.chance.one_in(3) {
                self.cluster.input(peer, "", |raft| raft.peer_reset(id));
            }
        }
    }

    fn restart(&mut self, id: NodeId) {
        self.cluster.restart(id);
        for peer in (1..=self.nodes).map(NodeId) {
            if peer != id && self.cluster.node(peer).is_up() && !self.chance.one_in(3) {
                self.cluster.input(peer, "", |raft| raft.peer_connected(id));
                self.cluster.input(id, "", |raft| raft.peer_connected(peer));
            }
        }
    }

    fn safety_phase(&mut self, steps: u64) {
        for _ in 0..steps {
            if self.chance.one_in(10) {
                self.gather_or_drain();
            }
            match self.chance.below(100) {
                0..55 => self.move_message(),
                55..70 => self.finish_disk_work(),
                70..84 => {
                    let id = self.any_node();
                    if self.frozen != Some(id) {
                        self.cluster.tick(id);
                    }
                }
                84..92 => self.work(),
                92..98 => self.move_snapshots(),
                98 => {
                    if let Some(id) = self.any_live_node()
                        && self.chance.one_in(4)
                    {
                        self.cluster.input(id, "", Raft::campaign);
                    }
                }
                _ => self.trouble(),
            }
            // Links hold only so much.
            let excess = self.cluster.network.len().saturating_sub(400);
            self.cluster.network.drain(..excess);
        }
    }

    /// All trouble ends. Within a few election timeouts there is one leader, everybody holds and
    /// applies the same, and a read and a write go through on every node.
    fn liveness_phase(&mut self) {
        if let Some(id) = self.cluster.gathering.take()
            && self.cluster.node(id).is_up()
        {
            self.cluster.drain(id);
        }
        self.cluster.cut.clear();
        let ids: Vec<NodeId> = self.cluster.nodes.keys().copied().collect();
        for &id in &ids {
            if let Some(node) = self.cluster.nodes.get_mut(&id) {
                node.disk = Disk::Fast;
                node.reads_back = Disk::Fast;
            }
            if !self.cluster.node(id).is_up() {
                self.cluster.restart(id);
            }
        }
        self.cluster.deliveries_run = Disk::Fast;
        self.run_undisturbed(10 * 10);
        let leader = self
            .cluster
            .leader()
            .expect("a leader, once the trouble is over");
        let conf = self.cluster.raft(leader).conf().clone();
        assert!(!conf.is_joint(), "{conf} is never left");
        let ids = conf.members();
        for &id in &ids {
            assert_eq!(
                self.cluster.raft(id).leader(),
                Some(leader),
                "{id} knows the leader"
            );
        }
        self.cluster.reads.clear();
        self.next_token += 1;
        for &id in &ids {
            self.cluster.read(id, self.next_token);
        }
        let proposed = self
            .cluster
            .propose(leader, "the last")
            .expect("a leader that works");
        self.run_undisturbed(10);
        assert_eq!(self.cluster.reads.len(), ids.len(), "every node can read");
        for &id in &ids {
            assert_eq!(
                self.cluster.raft(id).conf(),
                &conf,
                "{id} knows who belongs"
            );
            let applied = self.cluster.node(id).applied.last().map(|entry| entry.id);
            assert_eq!(applied, Some(proposed), "{id} has applied everything");
            let status = self.cluster.raft(id).status();
            let idle = status.uncommitted_bytes + status.reads_waiting;
            assert_eq!(idle, 0, "{id} has forgotten something: {status:?}");
            for peer in &status.peers {
                let rest = (peer.inflight_messages, peer.inflight_bytes);
                assert_eq!(rest, (0, 0), "{id} waits for {peer:?}");
                assert!(peer.replicating, "{id} does not reach {peer:?}");
            }
        }
    }

    fn run_undisturbed(&mut self, ticks: u64) {
        self.cluster.settle();
        for _ in 0..ticks {
            for id in (1..=self.nodes).map(NodeId) {
                self.cluster.tick(id);
                self.cluster.settle();
            }
        }
    }
}

/// Names the seed if the run it is made for panics.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "failed with seed {}; repeat it with QUORATE_SEED={}",
                self.0, self.0
            );
        }
    }
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn trouble_breaks_nothing_and_passes() {
    let seeds = match from_environment("QUORATE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..from_environment("QUORATE_SEEDS").unwrap_or(60),
    };
    let (mut committed, mut served, mut brought, mut changes) = (0, 0, 0, 0);
    for seed in seeds.clone() {
        let guard = Seed(seed);
        let mut run = Run::new(seed);
        run.safety_phase(4000);
        committed += run.cluster.checker.committed.len();
        served += run.cluster.reads.len();
        brought += run.brought;
        changes += run.changes;
        run.liveness_phase();
        drop(guard);
    }
    let runs = usize::try_from(seeds.end - seeds.start).expect("a small number");
    eprintln!(
        "{committed} entries committed, {served} reads served, {brought} snapshots brought, \
         {changes} changes of members begun in {runs} runs"
    );
    assert!(
        runs == 1 || committed > 10 * runs,
        "trouble leaves some room for work"
    );
    assert!(
        runs == 1 || 2 * brought > runs as u64,
        "followers fall behind what was cut"
    );
    assert!(
        runs == 1 || served > runs,
        "trouble leaves some room for reads"
    );
}

#[test]
fn one_seed_makes_one_run() {
    let traces = [(); 2].map(|()| {
        let mut run = Run::new(7);
        run.cluster.tracing = true;
        run.safety_phase(2000);
        run.cluster.trace
    });
    assert!(traces[0].len() > 1000);
    assert!(traces[0] == traces[1], "two runs of one seed differ");
}
