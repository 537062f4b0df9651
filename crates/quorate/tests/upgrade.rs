//! A cluster is restarted node by node, under load, into another release: no command fails, and its
//! feature level rises when the last node has changed, unless its operator holds it back.
//!
//! There is one program. What it says it knows is a setting for tests (`test-feature-level`).

mod harness;

use std::process::{Command, Output};

use harness::{
    Cluster, Exit, Plan, alone,
    load::{Load, Seen, Task, check_appended},
    poll, text,
};

/// Replies that clients get before and after something is done to a node.
const REPLIES_BETWEEN: u64 = 200;

/// Runs a command of the program against a node.
fn run(cluster: &Cluster, node: usize, args: &[&str]) -> Output {
    let seed = format!("127.0.0.1:{}", cluster.node(node).port);
    Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(args)
        .args(["--cluster", &seed])
        .output()
        .expect("the binary runs")
}

fn status(cluster: &Cluster) -> String {
    let output = run(cluster, 1, &["status"]);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn level(cluster: &Cluster, node: usize) -> Option<String> {
    let info = cluster.node(node).info()?;
    info.fields.get("feature_level").cloned()
}

fn await_level(cluster: &Cluster, ids: &[usize], wanted: &str) {
    poll(&format!("nodes {ids:?} are at level {wanted}"), || {
        let is_there = |id: &usize| level(cluster, *id).as_deref() == Some(wanted);
        ids.iter().all(is_there).then_some(())
    });
}

fn await_status(cluster: &Cluster, part: &str) {
    poll(&format!("the status says {part:?}"), || {
        status(cluster).contains(part).then_some(())
    });
}

fn await_exit(cluster: &mut Cluster, id: usize) -> Exit {
    poll("the node stops", || cluster.node_mut(id).exit())
}

/// Stops a node as an operator would, lets something be done to it, and starts it again.
fn restart(cluster: &mut Cluster, id: usize, change: impl FnOnce(&mut harness::Node)) {
    cluster.node(id).terminate();
    let exit = await_exit(cluster, id);
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    change(cluster.node_mut(id));
    cluster.node_mut(id).start();
    cluster.await_ready(&[id]);
}

/// Restarts a node while clients of the others write and read, none of whose commands may fail.
fn restart_under_load(
    cluster: &mut Cluster,
    id: usize,
    round: usize,
    change: impl FnOnce(&mut harness::Node),
) -> Vec<Seen> {
    let mut load = Load::new();
    for other in cluster.others(id) {
        let port = cluster.node(other).port;
        let counter = || "counter".to_owned();
        load.spawn(port, Task::Increment { key: counter() });
        load.spawn(port, Task::ReadCounter { key: counter() });
        let client = format!("{round:02}-{other}");
        let key = "journal".to_owned();
        load.spawn(port, Task::Append { key, client });
    }
    load.await_progress(REPLIES_BETWEEN);
    restart(cluster, id, change);
    load.await_progress(REPLIES_BETWEEN);
    let seen = load.stop();
    for one in &seen {
        assert!(one.errors.is_empty(), "{:?}", one.errors);
        assert_eq!((one.unknown, one.refused), (0, 0));
        assert!(one.acknowledged > 0);
    }
    seen
}

#[test]
fn a_rolling_upgrade_fails_no_command_and_raises_the_level_at_its_end() {
    let _alone = alone();
    let mut cluster = Cluster::of_three();
    await_level(&cluster, &[1, 2, 3], "1");
    let (mut increments, mut appended) = (0, Vec::new());
    // Twice: to the same release, and to the next.
    for round in 0..6 {
        let id = round % 3 + 1;
        let is_upgrade = round >= 3;
        let seen = restart_under_load(&mut cluster, id, round, |node| {
            if is_upgrade {
                node.set("test-feature-level", "2");
            }
        });
        for (at, one) in seen.into_iter().enumerate() {
            match at % 3 {
                0 => increments += one.acknowledged,
                2 => appended.push(one),
                _ => {}
            }
        }
        match round {
            3 => await_status(&cluster, "a newer Quorate runs on nodes 2, 3, too"),
            4 => await_status(&cluster, "a newer Quorate runs on node 3, too"),
            _ => {}
        }
        if round < 5 {
            assert_eq!(level(&cluster, id).as_deref(), Some("1"), "round {round}");
        }
    }
    await_level(&cluster, &[1, 2, 3], "2");
    let counter = text(&cluster.ask_all(&["GET", "counter"]));
    assert_eq!(counter, increments.to_string());
    let journal = text(&cluster.ask_all(&["GET", "journal"]));
    check_appended(&journal, &appended.iter().collect::<Vec<_>>());
    let text = status(&cluster);
    assert!(!text.contains("feature level"), "nothing is left: {text}");

    // The way back is closed, and so is the door for a program that knows less.
    let old = cluster.others(cluster.leader())[0];
    cluster.node(old).terminate();
    await_exit(&mut cluster, old);
    cluster.node_mut(old).unset("test-feature-level");
    cluster.node_mut(old).start();
    let exit = await_exit(&mut cluster, old);
    assert_eq!(exit.code, Some(2), "{}", exit.stderr);
    let last = exit.stderr.lines().last().unwrap_or_default();
    let expected =
        "this cluster runs at feature level 2, this program knows 1: install a newer Quorate";
    assert!(last.contains(expected), "{last}");
    cluster.node_mut(old).set("test-feature-level", "2");
    cluster.node_mut(old).start();
    cluster.await_ready(&[old]);
    let newcomer = cluster.join(1, &[]);
    let exit = await_exit(&mut cluster, newcomer);
    assert_eq!(exit.code, Some(1), "{}", exit.stderr);
    assert!(exit.stderr.contains(expected), "{}", exit.stderr);
    cluster.node_mut(newcomer).set("test-feature-level", "2");
    cluster.node_mut(newcomer).start();
    cluster.await_ready(&[newcomer]);
    await_level(&cluster, &[newcomer], "2");
}

#[test]
fn an_operator_holds_the_level_back_goes_back_and_lets_it_rise() {
    let _alone = alone();
    let plan = Plan::of(3).set("feature-level-max", "1");
    let mut cluster = Cluster::start(&plan);
    let new = |node: &mut harness::Node| node.set("test-feature-level", "2");
    for id in 1..=3 {
        restart(&mut cluster, id, new);
    }
    await_status(&cluster, "feature-level-max holds it back on node");
    assert_eq!(level(&cluster, 1).as_deref(), Some("1"));
    // A node goes back to the old release, and works.
    restart_under_load(&mut cluster, 2, 0, |node| node.unset("test-feature-level"));
    await_status(&cluster, "a newer Quorate runs on node 2, too");
    assert_eq!(text(&cluster.node(2).ask(&["SET", "k", "v"])), "OK");
    restart(&mut cluster, 2, new);
    for id in 1..=3 {
        let set = cluster
            .node(id)
            .ask(&["CONFIG", "SET", "feature-level-max", "0"]);
        assert_eq!(text(&set), "OK");
    }
    await_level(&cluster, &[1, 2, 3], "2");
    // Lost with all its processes, it is what the log and the snapshots say.
    for id in 1..=3 {
        cluster.node_mut(id).kill();
    }
    for id in 1..=3 {
        cluster.node_mut(id).start();
    }
    cluster.await_ready(&[1, 2, 3]);
    await_level(&cluster, &[1, 2, 3], "2");
}
