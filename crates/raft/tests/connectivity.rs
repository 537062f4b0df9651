//! Partial connectivity (pitfall 11): whichever of the directed links between three nodes are cut,
//! a group in which some node reaches, and hears, a quorum comes to have a leader that commits, and
//! keeps it. Cloudflare's outage of 2020 was a group that did not.

#[allow(dead_code, reason = "each test program uses a part of it")]
mod common;

use raft::{NodeId, Raft};

use common::Cluster;

const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// The pairs of nodes whose link is cut, by the bits of `mask`.
fn cut_links(mask: u32) -> Vec<(NodeId, NodeId)> {
    let mut links = Vec::new();
    for from in NODES {
        for to in NODES {
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
        for id in NODES {
            cluster.tick(id);
            cluster.settle();
        }
    }
}

#[test]
fn a_quorum_connected_node_is_enough_for_every_set_of_cut_links() {
    for mask in 0..64 {
        let mut cluster = Cluster::new(3, |config| config.seed += u64::from(mask));
        cluster.tracing = false;
        cluster.input(NodeId(1), "", Raft::campaign);
        cluster.settle();
        cluster.cut = cut_links(mask);
        let is_linked = |one: NodeId, other: NodeId| {
            let cut = &cluster.cut;
            !cut.contains(&(one, other)) && !cut.contains(&(other, one))
        };
        let has_quorum = NODES
            .iter()
            .any(|&id| NODES.iter().any(|&peer| peer != id && is_linked(id, peer)));
        run(&mut cluster, 200);
        let leader = cluster.leader();
        let term = leader.map(|id| cluster.raft(id).term());
        let committed = cluster.checker.committed.len();
        if let Some(leader) = leader {
            cluster.propose(leader, "x");
        }
        run(&mut cluster, 100);
        if has_quorum {
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
        for id in NODES {
            assert_eq!(cluster.raft(id).leader(), Some(leader));
        }
    }
}
