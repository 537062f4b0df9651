//! Nodes of two releases in one cluster: its feature level rises when all know a higher one, never
//! before, and nobody who does not know it takes part.

mod common;

use common::{World, show};
use replica::{FeatureLevels, StartError};

/// A program that knows all levels up to this one.
fn up_to(newest: u32) -> FeatureLevels {
    FeatureLevels { least: 1, newest }
}

fn level(world: &mut World, id: u64) -> u64 {
    world.replica(id).metrics().feature_level
}

/// Whether these nodes have all applied this level.
fn are_at(world: &mut World, ids: &[u64], wanted: u64) -> bool {
    ids.iter().all(|id| level(world, *id) == wanted)
}

fn await_level(world: &mut World, ids: &[u64], wanted: u64) {
    world.run_until("the level is reached", |world| are_at(world, ids, wanted));
}

/// Installs a program that knows these levels, and starts it.
fn upgrade(world: &mut World, id: u64, newest: u32) {
    world.crash(id);
    world.node(id).levels = up_to(newest);
    world.start(id);
    world.await_ready();
}

fn ask(world: &mut World, id: u64, request: &[&str]) -> String {
    let client = world.client(id);
    world.show(client, request)
}

/// Lets enough time pass for a leader to raise the level if it would.
fn give_time(world: &mut World) {
    world.run_ms(2_000);
}

#[test]
fn the_level_rises_with_the_last_node_and_clients_do_not_notice() {
    let mut world = World::ready(3);
    let mut count = 0;
    for id in 1..=3 {
        upgrade(&mut world, id, 2);
        for node in 1..=3 {
            count += 1;
            assert_eq!(ask(&mut world, node, &["INCR", "n"]), count.to_string());
        }
        if id < 3 {
            give_time(&mut world);
            assert!(are_at(&mut world, &[1, 2, 3], 1), "after node {id}");
        }
    }
    await_level(&mut world, &[1, 2, 3], 2);
    let info = ask(&mut world, 2, &["INFO", "raft"]);
    assert!(info.contains("feature_level:2\r\nfeature_level_known:2\r\nfeature_level_max:0"));
    let leader = world.leader();
    let members = ask(&mut world, leader, &["QUORATE", "MEMBERS"]);
    assert_eq!(members.matches("feature-level 2").count(), 4, "{members}");
    let hashes = [1, 2, 3].map(|id| world.replica(id).state_hash());
    assert!(hashes.iter().all(|hash| *hash == hashes[0]));
}

#[test]
fn a_node_that_is_away_holds_the_level_back_until_it_is_back_or_removed() {
    let mut world = World::ready(3);
    let away = world.follower();
    for id in (1..=3).filter(|id| *id != away) {
        upgrade(&mut world, id, 2);
    }
    world.crash(away);
    world.node(away).levels = up_to(2);
    give_time(&mut world);
    let others: Vec<u64> = (1..=3).filter(|id| *id != away).collect();
    assert!(are_at(&mut world, &others, 1));
    world.start(away);
    await_level(&mut world, &[1, 2, 3], 2);

    let away = world.follower();
    for id in (1..=3).filter(|id| *id != away) {
        upgrade(&mut world, id, 3);
    }
    let others: Vec<u64> = (1..=3).filter(|id| *id != away).collect();
    world.crash(away);
    let leader = world.leader();
    world.run_until("it is removed", |world| {
        let id = away.to_string();
        ask(world, leader, &["QUORATE", "REMOVE-NODE", &id, "FORCE"]) == "OK"
    });
    await_level(&mut world, &others, 3);
}

#[test]
fn learners_count_too() {
    let mut world = World::ready(1);
    let added = ask(&mut world, 1, &["QUORATE", "ADD-NODE", "h:8002", "LEARNER"]);
    assert_eq!(added, "2");
    world.join();
    await_level(&mut world, &[2], 1);
    upgrade(&mut world, 1, 2);
    give_time(&mut world);
    assert!(are_at(&mut world, &[1, 2], 1));
    upgrade(&mut world, 2, 2);
    await_level(&mut world, &[1, 2], 2);
}

#[test]
fn an_operator_holds_the_level_back_and_lets_it_rise() {
    let mut world = World::ready_with(3, |config| config.feature_level_max = 1);
    for id in 1..=3 {
        upgrade(&mut world, id, 2);
    }
    give_time(&mut world);
    assert!(are_at(&mut world, &[1, 2, 3], 1));
    // The way back is open.
    upgrade(&mut world, 1, 1);
    assert_eq!(ask(&mut world, 1, &["SET", "k", "v"]), "OK");
    upgrade(&mut world, 1, 2);
    for id in 1..=3 {
        let set = ask(&mut world, id, &["CONFIG", "SET", "feature-level-max", "0"]);
        assert_eq!(set, "OK");
    }
    await_level(&mut world, &[1, 2, 3], 2);
    // The level does not fall.
    for id in 1..=3 {
        ask(&mut world, id, &["CONFIG", "SET", "feature-level-max", "1"]);
    }
    give_time(&mut world);
    assert!(are_at(&mut world, &[1, 2, 3], 2));
}

#[test]
fn a_program_that_does_not_know_the_level_does_not_start_on_its_log_or_its_snapshot() {
    for has_snapshot in [false, true] {
        let mut world = World::ready(3);
        for id in 1..=3 {
            upgrade(&mut world, id, 2);
        }
        await_level(&mut world, &[1, 2, 3], 2);
        if has_snapshot {
            let now = world.now;
            for id in 1..=3 {
                world.replica(id).request_snapshot(now);
            }
            world.run_until("snapshots", |world| {
                world.nodes.iter().all(|node| node.stored.is_some())
            });
        }
        let node = world.follower();
        world.crash(node);
        world.node(node).levels = up_to(1);
        let error = world.try_start(node).expect_err("it knows too little");
        assert!(matches!(error, StartError::FeatureLevel(_)), "{error}");
        assert_eq!(
            error.to_string(),
            "this cluster runs at feature level 2, this program knows 1: install a newer Quorate"
        );
        world.node(node).levels = up_to(2);
        world.start(node);
        await_level(&mut world, &[node], 2);
    }
}

#[test]
fn a_snapshot_of_a_level_that_is_not_known_is_not_installed() {
    let mut world = World::ready(3);
    for id in 1..=3 {
        upgrade(&mut world, id, 2);
    }
    await_level(&mut world, &[1, 2, 3], 2);
    let now = world.now;
    world.replica(1).request_snapshot(now);
    world.run_until("a snapshot", |world| world.nodes[0].stored.is_some());
    let stored = world.nodes[0].stored.clone().expect("a snapshot");

    let mut other = World::ready(1);
    other.node(1).may_fail = true;
    other.install(1, stored);
    other.run_until("it stops", |other| other.nodes[0].fatal.is_some());
    let reason = other.nodes[0].fatal.clone().unwrap_or_default();
    assert!(reason.contains("feature level 2, this program knows 1"));
}

#[test]
fn a_node_that_is_sent_a_level_that_it_does_not_know_stops_before_it_acknowledges() {
    let mut world = World::ready(3);
    let old = 3;
    for id in [1, 2] {
        upgrade(&mut world, id, 2);
    }
    world.run_until("a node that was upgraded leads", |world| {
        let leader = world.leader();
        leader != old || ask(world, leader, &["QUORATE", "TRANSFER", "1"]) == "OK"
    });
    // The others take it for a newer one: as if it had been exchanged behind their back.
    world.node(old).levels = up_to(2);
    world.heal();
    world.node(old).may_fail = true;
    world.run_until("the old program stops", |world| {
        world.nodes[old as usize - 1].fatal.is_some()
    });
    let reason = world.node(old).fatal.take().unwrap_or_default();
    assert_eq!(
        reason,
        "this cluster runs at feature level 2, this program knows 1: install a newer Quorate"
    );
    let others: Vec<u64> = (1..=3).filter(|id| *id != old).collect();
    await_level(&mut world, &others, 2);
    // Nothing of the entry is on its disk: nobody was told that it is.
    world.node(old).levels = up_to(1);
    assert!(world.try_start(old).is_ok());
}

#[test]
fn a_program_that_does_not_know_the_level_may_not_join() {
    let mut world = World::ready(1);
    upgrade(&mut world, 1, 3);
    await_level(&mut world, &[1], 3);
    let mut join = |levels: &[&str]| {
        let request = ["QUORATE", "JOIN", "127.0.0.1:8002", "ff"];
        ask(&mut world, 1, &[&request[..], levels].concat())
    };
    let refused = "-ERR this cluster runs at feature level 3, this program knows";
    assert!(join(&[]).starts_with(&format!("{refused} 1:")));
    assert!(join(&["LEVELS", "1", "2"]).starts_with(&format!("{refused} 2:")));
    assert!(join(&["LEVELS", "4", "5"]).contains("this program needs 4"));
    let joined = join(&["LEVELS", "2", "3"]);
    assert!(joined.starts_with("[2 "), "{joined}");
}

#[test]
fn a_level_survives_a_restart_of_all_and_a_snapshot_tells_it() {
    let mut world = World::ready(3);
    for id in 1..=3 {
        upgrade(&mut world, id, 2);
    }
    await_level(&mut world, &[1, 2, 3], 2);
    let now = world.now;
    world.replica(2).request_snapshot(now);
    world.run_until("a snapshot", |world| world.nodes[1].stored.is_some());
    for id in 1..=3 {
        world.crash(id);
    }
    for id in 1..=3 {
        world.start(id);
    }
    assert_eq!(level(&mut world, 2), 2, "before it has heard of anybody");
    world.await_ready();
    await_level(&mut world, &[1, 2, 3], 2);
    let client = world.client(1);
    let set = world.call(client, &["SET", "k", "v"]);
    assert_eq!(show(&set), "OK");
}
