//! Replicas compare their states, and one whose state is bent stops before it does more harm.

mod common;

use common::{Client, Fate, World};
use raft::LogIndex;
use replica::{Config, PeerMessage, StateHash};

/// Entries between two comparisons.
const INTERVAL: u64 = 4;

/// Compared often; all of the log is kept.
fn often(config: &mut Config) {
    config.state_check_entries = INTERVAL;
    config.log_tail_bytes = u64::MAX;
}

fn never(config: &mut Config) {
    config.state_check_entries = 0;
}

fn write(world: &mut World, client: Client, count: u64) {
    for number in 0..count {
        world.call(client, &["INCRBY", "sum", &number.to_string()]);
    }
}

fn applied(world: &mut World, id: u64) -> u64 {
    world.replica(id).metrics().applied_index
}

fn await_equal(world: &mut World, ids: &[u64]) {
    world.run_until("all have applied all", |world| {
        let first = applied(world, ids[0]);
        ids.iter().all(|id| applied(world, *id) == first)
    });
}

/// Restarts a node from a snapshot in which one byte of one value is another.
fn bend(world: &mut World, id: u64) {
    let client = world.client(id);
    world.call(client, &["SET", "victim", "straight"]);
    world.run_until("it is applied", |world| {
        world.settle();
        world.show(client, &["GET", "victim"]) == "straight"
    });
    let now = world.now;
    world.replica(id).request_snapshot(now);
    world.settle();
    world.crash(id);
    let node = world.node(id);
    let stored = node.stored.as_mut().expect("a snapshot was taken");
    let bytes = stored
        .blocks
        .iter_mut()
        .find_map(|block| {
            let at = block.windows(8).position(|part| part == b"straight")?;
            Some(&mut block[at..at + 8])
        })
        .expect("the value stands in a block");
    bytes.copy_from_slice(b"strAight");
    node.may_fail = true;
    world.start(id);
    world.run_until("it is up to date", |world| {
        world
            .node(id)
            .replica
            .as_ref()
            .is_none_or(replica::Replica::is_ready)
    });
}

#[test]
fn equal_states_are_found_equal() {
    let mut world = World::ready_with(3, often);
    let leader = world.leader();
    let client = world.client(leader);
    write(&mut world, client, 50);
    await_equal(&mut world, &[1, 2, 3]);
    for id in 1..=3 {
        let metrics = world.replica(id).metrics();
        assert_eq!(
            metrics.state_agreed_index,
            metrics.applied_index / INTERVAL * INTERVAL
        );
        assert_eq!(
            (metrics.state_mismatches, metrics.members_differing),
            (0, 0)
        );
    }
}

#[test]
fn a_follower_whose_state_is_bent_stops_and_the_others_go_on() {
    let mut world = World::ready_with(3, often);
    let bent = world.follower();
    bend(&mut world, bent);
    let leader = world.leader();
    let client = world.client(leader);
    write(&mut world, client, 2 * INTERVAL);
    let fatal = world.node(bent).fatal.clone().expect("it has stopped");
    assert!(
        fatal.contains("data differs from that of a majority"),
        "{fatal}"
    );
    let others: Vec<u64> = (1..=3).filter(|id| *id != bent).collect();
    await_equal(&mut world, &others);
    for id in others {
        let metrics = world.replica(id).metrics();
        assert_eq!(
            (metrics.state_mismatches, metrics.members_differing),
            (1, 1)
        );
        let client = world.client(id);
        let info = world.show(client, &["INFO", "everything"]);
        let field = format!("state_differing_nodes:{bent}@");
        assert!(info.contains(&field), "no {field} in {info}");
    }

    // From a good snapshot, or none, it makes its state anew, and the alarm ends.
    world.node(bent).stored = None;
    world.start(bent);
    write(&mut world, client, 2 * INTERVAL);
    await_equal(&mut world, &[1, 2, 3]);
    for id in 1..=3 {
        assert_eq!(world.replica(id).metrics().members_differing, 0);
    }
}

#[test]
fn a_leader_whose_state_is_bent_stops_and_another_leads() {
    let mut world = World::ready_with(3, often);
    let bent = world.follower();
    bend(&mut world, bent);
    // Hashes do not pass until it leads.
    world.fate = Box::new(|_, _, message| match message {
        PeerMessage::StateHash(_) => Fate::IsLost,
        _ => Fate::Arrives,
    });
    while world.leader() != bent {
        let leader = world.leader();
        world.crash(leader);
        world.leader();
        world.start(leader);
        world.await_ready();
    }
    world.fate = Box::new(|_, _, _| Fate::Arrives);
    let other = if bent == 1 { 2 } else { 1 };
    let client = world.client(other);
    write(&mut world, client, 2 * INTERVAL);
    assert!(world.node(bent).fatal.is_some());
    assert_ne!(world.leader(), bent);
}

#[test]
fn one_that_was_not_told_learns_by_the_answers() {
    let mut world = World::ready_with(3, often);
    let bent = world.follower();
    world.fate = Box::new(move |_, to, message| match message {
        PeerMessage::StateHash(StateHash {
            is_answer: false, ..
        }) if to == bent => Fate::IsLost,
        _ => Fate::Arrives,
    });
    bend(&mut world, bent);
    let leader = world.leader();
    let client = world.client(leader);
    write(&mut world, client, 2 * INTERVAL);
    assert!(world.node(bent).fatal.is_some());
}

#[test]
fn where_no_majority_agrees_all_raise_the_alarm_and_none_stops() {
    let mut world = World::ready_with(2, often);
    bend(&mut world, 2);
    let leader = world.leader();
    let client = world.client(leader);
    write(&mut world, client, 2 * INTERVAL);
    await_equal(&mut world, &[1, 2]);
    for id in 1..=2 {
        let metrics = world.replica(id).metrics();
        assert_eq!(
            (metrics.state_mismatches, metrics.members_differing),
            (1, 1)
        );
    }
}

#[test]
fn it_can_be_turned_off() {
    let mut world = World::ready_with(3, never);
    world.fate = Box::new(|_, _, message| {
        assert!(!matches!(message, PeerMessage::StateHash(_)));
        Fate::Arrives
    });
    let leader = world.leader();
    let client = world.client(leader);
    write(&mut world, client, 20);
}

#[test]
fn what_strangers_and_other_releases_say_is_not_compared() {
    let mut world = World::ready_with(3, often);
    let leader = world.leader();
    let client = world.client(leader);
    write(&mut world, client, 20);
    let index = LogIndex(world.replica(1).metrics().state_agreed_index);
    let now = world.now;
    let mut told = StateHash {
        index,
        scheme: u32::MAX,
        hash: 1,
        is_answer: false,
    };
    for from in [2, 3] {
        let message = PeerMessage::StateHash(told);
        world
            .replica(1)
            .peer_message(now, raft::NodeId(from), message);
    }
    told.scheme = 1;
    for from in [1, 4, 5, u64::MAX] {
        let message = PeerMessage::StateHash(told);
        world
            .replica(1)
            .peer_message(now, raft::NodeId(from), message);
    }
    world.settle();
    assert_eq!(world.replica(1).metrics().members_differing, 0);
}
