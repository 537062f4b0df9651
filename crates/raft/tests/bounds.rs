//! "Everything is bounded": what a hung disk, a slow disk or a dead link make pile up must have an
//! end, or a node that is merely in trouble dies of it.

#[allow(dead_code, reason = "each test program uses a part of it")]
mod common;

use raft::{NodeId, Raft};

use common::{Cluster, Disk};

const LEADER: NodeId = NodeId(1);
const FOLLOWER: NodeId = NodeId(2);

/// Three nodes, led by the first.
fn group(configure: impl Fn(&mut raft::Config)) -> Cluster {
    let mut cluster = Cluster::new(3, configure);
    cluster.tracing = false;
    cluster.input(LEADER, "campaigns", Raft::campaign);
    cluster.settle();
    assert!(cluster.raft(LEADER).is_leader());
    cluster
}

fn heartbeat_intervals(cluster: &mut Cluster, count: u32) {
    for _ in 0..count {
        for id in [LEADER, FOLLOWER, NodeId(3)] {
            cluster.tick(id);
        }
        cluster.settle();
    }
}

/// The followers commit what the leader's own disk has not written, so counting what is not
/// committed would not hold the leader back: its memory would take all that its disk cannot.
#[test]
fn a_leader_whose_disk_falls_behind_the_followers_refuses_proposals() {
    let mut cluster = group(|config| config.uncommitted_bytes_max = 1000);
    if let Some(node) = cluster.nodes.get_mut(&LEADER) {
        node.disk = Disk::Slow;
    }
    for _ in 0..100 {
        cluster.propose(LEADER, "a proposal");
        cluster.settle();
    }
    let raft = cluster.raft(LEADER);
    assert!(
        raft.commit() == raft.last_index(),
        "the followers commit everything"
    );
    assert!(
        raft.last_index().0 < 20,
        "{} entries are in memory only",
        raft.last_index()
    );
    assert!(cluster.propose(LEADER, "one more").is_none());
    while cluster.node(LEADER).writes_under_way() > 0 {
        cluster.finish_write(LEADER);
    }
    assert!(
        cluster.propose(LEADER, "one more").is_some(),
        "the disk has caught up"
    );
}

/// A large proposal is refused only when a small one would be, too: else small ones, which come and
/// are committed all the time, would keep it out for ever.
#[test]
fn a_large_proposal_is_not_starved_by_small_ones() {
    let mut cluster = group(|config| config.uncommitted_bytes_max = 1000);
    if let Some(node) = cluster.nodes.get_mut(&LEADER) {
        node.disk = Disk::Slow;
    }
    assert!(cluster.propose(LEADER, "small").is_some());
    assert!(cluster.propose(LEADER, &"large".repeat(500)).is_some());
    assert!(cluster.propose(LEADER, "small").is_none());
}

/// A leader asks a follower that owes an answer again and again. The answers that wait for its disk
/// must not pile up behind it.
#[test]
fn a_follower_whose_disk_hangs_owes_one_acceptance() {
    let mut cluster = group(|_| {});
    if let Some(node) = cluster.nodes.get_mut(&FOLLOWER) {
        node.disk = Disk::Slow;
    }
    cluster.propose(LEADER, "a proposal");
    heartbeat_intervals(&mut cluster, 100);
    assert!(cluster.raft(LEADER).is_leader());
    assert_eq!(cluster.node(FOLLOWER).writes_under_way(), 1);
    while cluster.node(FOLLOWER).writes_under_way() > 0 {
        cluster.finish_write(FOLLOWER);
    }
    cluster.settle();
    let status = cluster.raft(LEADER).status();
    assert!(
        status
            .peers
            .iter()
            .all(|peer| peer.match_index == status.last.index),
        "{status:?}"
    );
}

/// A follower that hears the leader, and cannot reach it, asks for its read index for ever.
#[test]
fn a_follower_that_cannot_reach_the_leader_keeps_one_request() {
    let mut cluster = group(|_| {});
    cluster.cut.push((FOLLOWER, LEADER));
    cluster.read(FOLLOWER, 1);
    heartbeat_intervals(&mut cluster, 100);
    assert_eq!(cluster.raft(FOLLOWER).leader(), Some(LEADER));
    assert_eq!(cluster.raft(FOLLOWER).status().reads_waiting, 1);
    cluster.cut.clear();
    heartbeat_intervals(&mut cluster, 5);
    assert_eq!(cluster.reads.len(), 1, "answered when the link is back");
}
