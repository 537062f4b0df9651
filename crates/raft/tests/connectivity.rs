//! Partial connectivity (pitfall 11): whichever of the directed links between three nodes are cut,
//! a group in which some node reaches, and hears, a quorum comes to have a leader that commits, and
//! keeps it. Cloudflare's outage of 2020 was a group that did not.

#[allow(dead_code, reason = "each test program uses a part of it")]
mod common;

use raft::{NodeId, Raft};

use common::Cluster;

const SAMPLES: u32 = 100;

/// The pairs of nodes whose link is cut, by the bits of `mask`.
fn cut_links(nodes: u64, mask: u32) -> Vec<(NodeId, NodeId)> {
    let mut links = Vec::new();
    for from in (1..=nodes).map(NodeId) {
        for to in (1..=nodes).map(NodeId) {
            if from != to {
                links.push((from, to));
            }
        }
    }
    (0..)
        .zip(links)
        .filter(|(bit, _)| mask >> bit & 1 == 1)
        .map(|(_, link)| link)
        .collect()
}

fn run(cluster: &mut Cluster, ticks: u32) {
    for _ in 0..ticks {
        for id in (1..=cluster.nodes.len() as u64).map(NodeId) {
            cluster.tick(id);
            cluster.settle();
        }
    }
}

/// Whether some node has links, both ways, to so many others that they are a quorum with it.
fn is_quorum_connected(cluster: &Cluster) -> bool {
    let is_linked = |one: NodeId, other: NodeId| {
        let cut = &cluster.cut;
        !cut.contains(&(one, other)) && !cut.contains(&(other, one))
    };
    let ids = || cluster.nodes.keys().copied();
    ids().any(|id| 2 * ids().filter(|&peer| is_linked(id, peer)).count() > ids().count())
}

/// Cuts links of a group that works, and heals them.
fn cut_and_heal(nodes: u64, mask: u32) {
    let mut cluster = Cluster::new(nodes, |config| config.seed += u64::from(mask));
    cluster.tracing = false;
    cluster.input(NodeId(1), "", Raft::campaign);
    cluster.settle();
    cluster.cut = cut_links(nodes, mask);
    run(&mut cluster, 200);
    let leader = cluster.leader();
    let term = leader.map(|id| cluster.raft(id).term());
    let committed = cluster.checker.committed.len();
    if let Some(leader) = leader {
        cluster.propose(leader, "x");
    }
    run(&mut cluster, 100);
    if is_quorum_connected(&cluster) {
        assert!(leader.is_some(), "no leader with {:?} cut", cluster.cut);
        assert!(
            cluster.checker.committed.len() > committed,
            "nothing is committed with {:?} cut",
            cluster.cut
        );
        assert_eq!(
            cluster.leader().map(|id| cluster.raft(id).term()),
            term,
            "leadership is not stable with {:?} cut",
            cluster.cut
        );
    }
    cluster.cut.clear();
    run(&mut cluster, 60);
    let leader = cluster
        .leader()
        .expect("a leader when all links are whole again");
    for &id in cluster.nodes.keys() {
        assert_eq!(cluster.raft(id).leader(), Some(leader));
    }
}

#[test]
fn a_quorum_connected_node_is_enough_for_every_set_of_cut_links() {
    for mask in 0..1 << 6 {
        cut_and_heal(3, mask);
    }
}

/// Of the million sets of links between five nodes, a sample.
#[test]
fn a_quorum_connected_node_is_enough_for_sets_of_cut_links_between_five() {
    for sample in 0..SAMPLES {
        // The high bits of a multiplicative hash; two of them together cut fewer links.
        let hash = |seed: u32| seed.wrapping_add(1).wrapping_mul(0x9e37_79b9) >> 12;
        let mask = hash(sample);
        cut_and_heal(
            5,
            if sample % 2 == 0 {
                mask
            } else {
                mask & hash(!sample)
            },
        );
    }
}
