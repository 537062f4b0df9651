//! Real processes join a cluster and leave it, under load, and are told what they may not do.

mod harness;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use harness::{
    Cluster, Exit, Plan, alone, free_ports,
    load::{Load, Seen, Task, check_appended},
    poll, text,
};
use resp::Value;

/// Where a log begins, in a data directory.
const FIRST_SEGMENT: &str = "wal/00000000000000000001.wal";

/// A cluster of one that can grow.
fn single() -> Cluster {
    let peer = format!("127.0.0.1:{}", free_ports(1)[0]);
    Cluster::start(&Plan::of(1).set("peer-bind", &peer))
}

/// Runs a command of the program against a node.
fn run(cluster: &Cluster, node: usize, args: &[&str]) -> Output {
    let seed = format!("127.0.0.1:{}", cluster.node(node).port);
    Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(args)
        .args(["--cluster", &seed])
        .output()
        .expect("the binary runs")
}

/// The same, which must succeed. Returns what it says.
fn done(cluster: &Cluster, node: usize, args: &[&str]) -> String {
    let output = run(cluster, node, args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}

/// The same, which must be refused. Returns the reason.
fn refused(cluster: &Cluster, node: usize, args: &[&str]) -> String {
    let output = run(cluster, node, args);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {output:?}");
    let text = String::from_utf8_lossy(&output.stderr)
        .trim_end()
        .to_owned();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

fn field(cluster: &Cluster, node: usize, name: &str) -> String {
    let info = cluster.node(node).info();
    info.and_then(|info| info.fields.get(name).cloned())
        .unwrap_or_default()
}

fn await_voters(cluster: &Cluster, node: usize, voters: &str) {
    poll(&format!("the voters are {voters}"), || {
        (field(cluster, node, "raft_voters") == voters).then_some(())
    });
}

/// The ids that QUORATE MEMBERS tells.
fn member_ids(cluster: &Cluster, node: usize) -> Vec<i64> {
    let array = |value: Value| match value {
        Value::Array(items) => items,
        other => panic!("{other:?}"),
    };
    let told = array(cluster.node(node).ask(&["QUORATE", "MEMBERS"]));
    let is_key = |field: &Value| field.as_bytes() == Some(b"members");
    let at = told.iter().position(is_key).expect("the members");
    let members = array(told[at + 1].clone()).into_iter();
    let id = |member: Value| array(member)[1].as_integer().expect("an id");
    members.map(id).collect()
}

fn await_exit(cluster: &mut Cluster, id: usize) -> Exit {
    poll("the removed node stops", || cluster.node_mut(id).exit())
}

fn load_on(cluster: &Cluster, node: usize) -> Load {
    let port = cluster.node(node).port;
    let mut load = Load::new();
    let key = || "counter".to_owned();
    load.spawn(port, Task::Increment { key: key() });
    load.spawn(port, Task::ReadCounter { key: key() });
    load.spawn(
        port,
        Task::Append {
            key: "log".into(),
            client: "a".into(),
        },
    );
    load
}

/// Stops the load, of which no command may have failed, and compares what it saw with what is there.
fn check_load(cluster: &Cluster, node: usize, load: Load) -> Vec<Seen> {
    let seen = load.stop();
    for one in &seen {
        assert!(one.errors.is_empty(), "{:?}", one.errors);
        assert!(one.acknowledged > 0);
    }
    let counter = text(&cluster.node(node).ask(&["GET", "counter"]));
    assert_eq!(counter, seen[0].acknowledged.to_string());
    let log = text(&cluster.node(node).ask(&["GET", "log"]));
    check_appended(&log, &seen.iter().collect::<Vec<_>>());
    seen
}

#[test]
fn a_cluster_grows_from_one_to_five_and_shrinks_to_three_and_no_command_fails() {
    let _alone = alone();
    let mut cluster = single();
    let load = load_on(&cluster, 1);
    for (id, voters) in [(2, "1,2"), (3, "1,2,3"), (4, "1,2,3,4"), (5, "1,2,3,4,5")] {
        load.await_progress(500);
        assert_eq!(cluster.join(id - 1, &[]), id);
        await_voters(&cluster, 1, voters);
    }
    load.await_progress(500);
    for (id, voters) in [(2, "1,3,4,5"), (5, "1,3,4")] {
        let told = done(&cluster, 3, &["remove-node", &id.to_string()]);
        assert!(told.starts_with(&format!("node {id} is removed")), "{told}");
        let exit = await_exit(&mut cluster, id);
        assert_eq!(exit.code, Some(3), "{}", exit.stderr);
        assert!(
            exit.stderr.contains("was removed from the cluster"),
            "{}",
            exit.stderr
        );
        await_voters(&cluster, 4, voters);
        load.await_progress(500);
    }
    check_load(&cluster, 3, load);
    let status = done(&cluster, 4, &["status"]);
    assert!(status.contains("3 of 3 voters answer"), "{status}");
    // Nothing of how it came to be is needed to start it again.
    for id in [1, 3, 4] {
        cluster.node_mut(id).kill();
    }
    for id in [1, 3, 4] {
        cluster.node_mut(id).unset("join");
        cluster.node_mut(id).start();
    }
    cluster.await_ready(&[1, 3, 4]);
    await_voters(&cluster, 4, "1,3,4");
}

#[test]
fn a_node_that_died_with_its_disk_is_replaced_by_one_command() {
    let _alone = alone();
    let mut cluster = Cluster::of_three();
    let leader = cluster.leader();
    let dead = cluster.others(leader)[0];
    let load = load_on(&cluster, leader);
    load.await_progress(500);
    cluster.node_mut(dead).kill();
    std::fs::remove_dir_all(cluster.node(dead).data_dir()).expect("removed");
    load.await_progress(500);
    poll("the leader misses it", || {
        let members = done(&cluster, leader, &["status"]);
        members.contains("unreachable").then_some(())
    });
    assert_eq!(cluster.join(leader, &[("replace", &dead.to_string())]), 4);
    let left: Vec<String> = (1..=4)
        .filter(|id| *id != dead)
        .map(|id| id.to_string())
        .collect();
    await_voters(&cluster, 4, &left.join(","));
    load.await_progress(500);
    check_load(&cluster, 4, load);
    // The old one comes back empty-handed, under its old id: it is told, and never let in.
    cluster.node_mut(dead).start();
    let exit = await_exit(&mut cluster, dead);
    assert_eq!(exit.code, Some(3), "{}", exit.stderr);
}

#[test]
fn a_node_is_replaced_at_the_addresses_of_the_one_that_died_with_its_disk() {
    let _alone = alone();
    let mut cluster = Cluster::of_three();
    let leader = cluster.leader();
    let dead = cluster.others(leader)[0];
    let load = load_on(&cluster, leader);
    load.await_progress(500);
    cluster.node_mut(dead).kill();
    std::fs::remove_dir_all(cluster.node(dead).data_dir()).expect("removed");
    // The same machine, the same ports, the same directory, and nothing in it.
    let seed = format!("127.0.0.1:{}", cluster.node(leader).port);
    let node = cluster.node_mut(dead);
    for setting in ["cluster", "node-id"] {
        node.unset(setting);
    }
    node.set("join", &seed);
    node.set("replace", &dead.to_string());
    // As long as the dead node may be alive, it is not replaced, and the new one says so and ends.
    poll("the new node is let in", || {
        let node = cluster.node_mut(dead);
        if node.exit().is_some() || !node.is_running() {
            node.start();
        }
        (field(&cluster, dead, "raft_node_id") == "4").then_some(())
    });
    let left: Vec<String> = (1..=4)
        .filter(|id| *id != dead)
        .map(|id| id.to_string())
        .collect();
    await_voters(&cluster, leader, &left.join(","));
    load.await_progress(500);
    cluster.await_ready(&[dead]);
    // What was written before and after is there, on the new node.
    check_load(&cluster, dead, load);
    let expected: Vec<i64> = (1..=4).filter(|id| *id != dead as i64).collect();
    assert_eq!(member_ids(&cluster, leader), expected);
    let status = done(&cluster, leader, &["status"]);
    assert!(status.contains("3 of 3 voters answer"), "{status}");
    let gone = refused(&cluster, leader, &["remove-node", &dead.to_string()]);
    assert!(gone.contains(&format!("node {dead} ")), "{gone}");
}

#[test]
fn a_leader_is_removed_and_clients_of_others_do_not_notice() {
    let _alone = alone();
    let mut cluster = Cluster::of_three();
    let leader = cluster.leader();
    cluster.join(leader, &[]);
    await_voters(&cluster, leader, "1,2,3,4");
    let load = load_on(&cluster, 4);
    load.await_progress(500);
    done(&cluster, 4, &["remove-node", &leader.to_string()]);
    assert_eq!(await_exit(&mut cluster, leader).code, Some(3));
    load.await_progress(500);
    check_load(&cluster, 4, load);
}

#[test]
fn a_node_that_was_away_when_it_was_removed_is_told_when_it_comes_back() {
    let _alone = alone();
    let mut cluster = Cluster::of_three();
    let leader = cluster.leader();
    let away = cluster.others(leader)[0];
    cluster.node_mut(away).kill();
    poll("it can be removed", || {
        let removed = run(&cluster, leader, &["remove-node", &away.to_string()]);
        removed.status.success().then_some(())
    });
    let term = field(&cluster, leader, "raft_term");
    for _ in 0..2 {
        cluster.node_mut(away).start();
        let exit = await_exit(&mut cluster, away);
        assert_eq!(exit.code, Some(3), "{}", exit.stderr);
        let last = exit.stderr.lines().last().unwrap_or_default();
        assert!(last.contains("removed from the cluster"), "{last}");
    }
    assert_eq!(
        field(&cluster, leader, "raft_term"),
        term,
        "it disturbed nobody"
    );
}

#[test]
fn what_would_harm_is_refused_in_one_line() {
    let _alone = alone();
    let mut cluster = Cluster::of_three();
    let leader = cluster.leader();
    let follower = cluster.others(leader)[0];
    for (args, part) in [
        (&["remove-node", "7"][..], "node 7 is not a member"),
        (
            &["remove-node", &follower.to_string()],
            "--force does it all the same",
        ),
        (&["promote", "7"], "node 7 is not a member"),
        (&["transfer", "7"], "node 7 is not a member"),
        (
            &["add-node", "127.0.0.1:1", "--id", "2"],
            "id 2 was used before",
        ),
        (
            &["replace-node", &follower.to_string(), "127.0.0.1:1"],
            "answers",
        ),
    ] {
        let reason = refused(&cluster, follower, args);
        assert!(reason.contains(part), "{args:?}: {reason}");
    }
    done(&cluster, follower, &["transfer", &follower.to_string()]);
    assert_eq!(cluster.leader(), follower);
    let id = follower.to_string();
    let told = done(&cluster, leader, &["add-node", "127.0.0.1:1", "--no-wait"]);
    assert_eq!(told, "node 4 is added");
    let status = done(&cluster, follower, &["status"]);
    assert!(
        status.contains("node 4 votes when it has caught up: it was not started yet"),
        "{status}"
    );
    done(&cluster, leader, &["remove-node", "4"]);
    let demoted = leader.to_string();
    done(&cluster, leader, &["demote", &demoted, "--force"]);
    assert_eq!(field(&cluster, leader, "raft_role"), "learner");
    done(&cluster, leader, &["promote", &demoted]);
    assert_eq!(field(&cluster, follower, "raft_node_id"), id);
    // A directory of one cluster is of no use to another.
    let other = single();
    let node = cluster.node_mut(leader);
    node.kill();
    node.set("join", &format!("127.0.0.1:{}", other.node(1).port));
    node.unset("cluster");
    node.start();
    let exit = await_exit(&mut cluster, leader);
    assert_eq!(exit.code, Some(2), "{}", exit.stderr);
}

#[test]
fn a_join_that_is_interrupted_is_repeated_and_gets_the_same_id() {
    let _alone = alone();
    // Born without an address for peers, which it is given before it grows.
    let mut cluster = Cluster::start(&Plan::of(1));
    cluster.node(1).ask(&["SET", "key", "value"]);
    let deaf = refused(&cluster, 1, &["add-node", "127.0.0.1:1"]);
    assert!(deaf.contains("set peer-bind"), "{deaf}");
    let peer = format!("127.0.0.1:{}", free_ports(1)[0]);
    cluster.node_mut(1).kill();
    cluster.node_mut(1).set("peer-bind", &peer);
    cluster.node_mut(1).start();
    cluster.await_ready(&[1]);
    let id = cluster.join(1, &[]);
    // It dies at once, and then as soon as each of the things that it makes on its way is there.
    for step in [
        "",
        "CHARTER",
        "IDENTITY",
        "wal",
        "snapshots",
        FIRST_SEGMENT,
        "PEERS",
    ] {
        let made = cluster.node(id).data_dir().join(step);
        poll("the node that joins is so far", || {
            (step.is_empty() || made.exists()).then_some(())
        });
        let node = cluster.node_mut(id);
        node.kill();
        node.start();
    }
    await_voters(&cluster, 1, "1,2");
    cluster.await_ready(&[2]);
    assert_eq!(text(&cluster.node(2).ask(&["GET", "key"])), "value");
    assert_eq!(field(&cluster, 2, "raft_node_id"), "2");
    let last = done(&cluster, 1, &["add-node", "127.0.0.1:1", "--no-wait"]);
    assert_eq!(last, "node 3 is added", "no id was used up");
}

/// Every file below a directory, and its bytes.
fn bytes_below(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => files.extend(bytes_below(&path)),
            false => {
                let bytes = std::fs::read(&path).expect("a file");
                files.insert(path, bytes);
            }
        }
    }
    files
}

#[test]
fn what_one_node_has_of_a_lost_cluster_is_made_a_new_one() {
    let _alone = alone();
    let plan = Plan::of(3)
        .set("snapshot-log-size-min", "256KiB")
        .set("snapshot-log-percent", "10")
        .set("log-tail-size", "16KiB");
    let mut cluster = Cluster::start(&plan);
    let long = "v".repeat(5000);
    for number in 0..100 {
        let key = format!("key{number}");
        cluster.node(2).ask(&["SET", &key, &key]);
        cluster.node(2).ask(&["SET", "long", &long]);
    }
    poll("a snapshot was taken", || {
        let first = field(&cluster, 2, "raft_first_index").parse::<u64>();
        (first.is_ok_and(|first| first > 1)).then_some(())
    });
    cluster.node(2).ask(&["SET", "last", "one"]);
    for id in 1..=3 {
        cluster.node_mut(id).kill();
    }
    let new = cluster.directory().join("new");
    let old = cluster.node(2).data_dir().display().to_string();
    let recover = |extra: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_quorate"))
            .args(["recover", "--force-new-cluster", "--data-dir", &old, "--to"])
            .arg(&new)
            .args(extra)
            .output()
            .expect("the binary runs")
    };
    let before = bytes_below(Path::new(&old));
    let unasked = recover(&[]);
    assert_eq!(unasked.status.code(), Some(2), "nobody has said yes");
    assert!(!new.exists());
    let made = recover(&["--yes"]);
    assert!(made.status.success(), "{made:?}");
    let lost = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(
        lost.contains("Lost: every acknowledged write that only other nodes have"),
        "{lost}"
    );
    assert_eq!(recover(&["--yes"]).status.code(), Some(1), "it exists now");
    let after = bytes_below(Path::new(&old));
    assert!(before == after, "the old directory is only read");

    // The old configuration still fits it, and an old member that comes back is not let in.
    cluster.node_mut(2).set_data_dir(&new);
    cluster.node_mut(2).start();
    cluster.node_mut(3).start();
    cluster.await_ready(&[2]);
    assert_eq!(field(&cluster, 2, "raft_voters"), "2");
    assert_eq!(text(&cluster.node(2).ask(&["GET", "last"])), "one");
    for number in 0..100 {
        let key = format!("key{number}");
        assert_eq!(text(&cluster.node(2).ask(&["GET", &key])), key);
    }
    let first = cluster.node(2).ask(&["INCR", "n"]);
    assert_eq!(first.as_integer(), Some(1));
    assert_eq!(cluster.join(2, &[]), 4);
    await_voters(&cluster, 4, "2,4");
    cluster.await_ready(&[4]);
    assert_eq!(text(&cluster.node(4).ask(&["GET", "key7"])), "key7");
}

#[test]
fn a_node_joins_by_a_snapshot_when_the_log_was_cut_and_a_grown_node_keeps_its_port() {
    let _alone = alone();
    let peer = format!("127.0.0.1:{}", free_ports(1)[0]);
    let plan = Plan::of(1)
        .set("peer-bind", &peer)
        .set("snapshot-log-size-min", "256KiB")
        .set("snapshot-log-percent", "10")
        .set("log-tail-size", "16KiB");
    let mut cluster = Cluster::start(&plan);
    let load = load_on(&cluster, 1);
    let value = "v".repeat(4000);
    for number in 0..300 {
        let key = format!("key{number}");
        cluster.node(1).ask(&["SET", &key, &value]);
    }
    poll("the log was cut", || {
        let first = field(&cluster, 1, "raft_first_index").parse::<u64>();
        (first.is_ok_and(|first| first > 1)).then_some(())
    });
    let second = cluster.join(1, &[]);
    await_voters(&cluster, 1, "1,2");
    load.await_progress(200);
    check_load(&cluster, second, load);
    let found = cluster.node(second).ask(&["STRLEN", "key299"]);
    assert_eq!(found.as_integer(), Some(4000));
    // What it knows of the members came with the snapshot.
    for id in [1, 2] {
        cluster.node_mut(id).kill();
    }
    for id in [1, 2] {
        cluster.node_mut(id).start();
    }
    cluster.await_ready(&[1, 2]);
    cluster.node_mut(1).kill();
    cluster.node_mut(1).unset("peer-bind");
    cluster.node_mut(1).start();
    let exit = await_exit(&mut cluster, 1);
    assert_eq!(exit.code, Some(2), "{}", exit.stderr);
    assert!(exit.stderr.contains("set peer-bind"), "{}", exit.stderr);
}
