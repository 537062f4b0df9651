//! Three nodes in one process, over real sockets and real files.

mod common;

use common::{Client, Cluster, bulk, ok};
use resp::Value;

#[test]
fn every_node_takes_writes_and_serves_what_others_took() {
    let dir = tempfile::tempdir().expect("a directory");
    let cluster = Cluster::start(dir.path(), &[]);
    let mut clients: Vec<_> = (0..3).map(|index| cluster.node(index).client()).collect();
    for (index, client) in clients.iter_mut().enumerate() {
        let key = format!("from:{index}");
        assert_eq!(client.call(&["SET", &key, "here"]), ok());
    }
    for client in &mut clients {
        for index in 0..3 {
            assert_eq!(
                client.call(&["GET", &format!("from:{index}")]),
                bulk("here")
            );
        }
    }
}

#[test]
fn large_values_pass_through_every_node() {
    let dir = tempfile::tempdir().expect("a directory");
    let cluster = Cluster::start(dir.path(), &[]);
    let value = "x".repeat(500_000);
    for node in 0..3 {
        let mut client = cluster.node(node).client();
        for index in 0..10 {
            client.send(&["SET", &format!("big:{index}"), &value]);
        }
        for _ in 0..10 {
            assert_eq!(client.receive(), ok());
        }
    }
    assert_eq!(
        cluster.node(2).client().call(&["GET", "big:9"]),
        bulk(&value)
    );
}

#[test]
fn a_leader_that_stops_costs_its_peers_a_pause_and_no_write() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut cluster = Cluster::start(dir.path(), &[]);
    assert_eq!(
        cluster.node(0).client().call(&["SET", "counter", "0"]),
        ok()
    );
    for round in 1..=3 {
        let leader = leader_index(&cluster);
        let survivor = (leader + 1) % 3;
        let mut client = cluster.node(survivor).client();
        assert_eq!(
            client.call(&["INCR", "counter"]),
            Value::Integer(round * 2 - 1)
        );
        cluster.stop(leader);
        assert_eq!(client.call(&["INCR", "counter"]), Value::Integer(round * 2));
        cluster.restart(leader);
        let counter = (round * 2).to_string();
        assert_eq!(
            cluster.node(leader).client().call(&["GET", "counter"]),
            bulk(&counter)
        );
    }
}

#[test]
fn all_nodes_stopped_and_started_have_everything() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut cluster = Cluster::start(dir.path(), &[]);
    let mut client = cluster.node(1).client();
    for number in 0..500 {
        client.send(&["SET", &format!("key:{number}"), &number.to_string()]);
    }
    for _ in 0..500 {
        assert_eq!(client.receive(), ok());
    }
    for index in 0..3 {
        cluster.stop(index);
    }
    for index in 0..3 {
        cluster.restart(index);
    }
    let mut client = cluster.node(2).client();
    assert_eq!(client.call(&["DBSIZE"]), Value::Integer(500));
    assert_eq!(client.call(&["GET", "key:499"]), bulk("499"));
}

fn leader_index(cluster: &Cluster) -> usize {
    let mut client: Client<_> = cluster.node(0).client();
    let reply = client.call_until(&["INFO", "raft"], |reply| leader_of(reply).is_some());
    leader_of(&reply).expect("waited for") - 1
}

fn leader_of(info: &Value) -> Option<usize> {
    let text = match info {
        Value::Bulk(bytes) => String::from_utf8_lossy(bytes.as_ref()).into_owned(),
        Value::Verbatim { .. } => format!("{info:?}"),
        _ => return None,
    };
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("raft_leader_id:"))?;
    line.trim().parse().ok().filter(|id| *id != 0)
}
