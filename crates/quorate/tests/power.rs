//! The sync is real. `kill -9` loses nothing that a process has written, since the kernel has it; a loss of power
//! does. Here nodes keep in their own memory what they have written and not synced, so that a kill of
//! all nodes at once is a loss of power for the whole cluster.

mod harness;

use harness::{
    Cluster, PATIENCE, Plan, alone,
    load::{Load, Task},
    poll, text,
};

/// Acknowledged writes before the power goes.
const REPLIES: u64 = 1500;

/// Cuts the power under load, starts all nodes again, and says what is missing.
///
/// The nodes have run before, and the files that say who they are are put back as they were then: what is tested is
/// the log, and without a sync not even those files would be there.
fn cut_power(disk: &str) -> Result<usize, String> {
    let mut cluster = Cluster::start(&Plan::of(3).set("test-vfs", "lossy"));
    cluster
        .node(1)
        .connect()
        .call(&["SET", "before", "the load"]);
    let mut files = Vec::new();
    for node in &mut cluster.nodes {
        node.kill();
        for name in ["IDENTITY", "PEERS"] {
            let path = node.data_dir().join(name);
            let content = std::fs::read(&path).expect("a node has this file");
            files.push((path, content));
        }
        node.set("test-vfs", disk);
        node.start();
    }
    cluster.await_ready(&cluster.ids());

    let mut load = Load::new();
    for id in cluster.ids() {
        for client in 0..2 {
            let client = format!("{id}-{client}");
            load.spawn(cluster.node(id).port, Task::Create { client });
        }
    }
    load.await_progress(REPLIES);
    for node in &mut cluster.nodes {
        node.kill_begin();
    }
    for node in &mut cluster.nodes {
        node.kill();
    }
    let seen = load.stop();
    let acknowledged: Vec<String> = seen
        .into_iter()
        .flat_map(|seen| seen.records)
        .map(|record| record.token)
        .collect();

    if disk == "lossy-nosync" {
        for (path, content) in files {
            std::fs::write(path, content).expect("a file can be written");
        }
    }
    for node in &mut cluster.nodes {
        node.set("test-vfs", "lossy");
        node.start();
    }
    poll("the nodes serve reads, or say why not", || {
        for node in &mut cluster.nodes {
            if let Some(exit) = node.exit() {
                let reason = exit.stderr.lines().last().unwrap_or_default();
                return Some(Err(format!("node {} does not start: {reason}", node.id)));
            }
        }
        cluster
            .nodes
            .iter()
            .all(harness::Node::is_ready)
            .then_some(Ok(()))
    })?;
    for node in &cluster.nodes {
        let mut connection = node.connect();
        connection.set_patience(PATIENCE);
        let missing = acknowledged.iter().filter(|name| {
            let value = connection.call(&["GET", name]);
            text(&value) != **name
        });
        let missing = missing.count();
        if missing > 0 {
            let of = acknowledged.len();
            return Err(format!(
                "{missing} of {of} acknowledged writes are not on node {}",
                node.id
            ));
        }
    }
    Ok(acknowledged.len())
}

#[test]
fn a_loss_of_power_in_all_nodes_loses_no_acknowledged_write() {
    let _alone = alone();
    let kept = cut_power("lossy").expect("nothing is lost");
    assert!(kept as u64 >= REPLIES, "{kept} writes were acknowledged");
    println!("{kept} acknowledged writes survived");
}

#[test]
fn without_the_sync_the_same_loss_of_power_is_noticed() {
    let _alone = alone();
    let lost = cut_power("lossy-nosync").expect_err("a server that does not sync loses writes");
    println!("{lost}");
}
