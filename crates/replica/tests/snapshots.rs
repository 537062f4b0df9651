//! Snapshots: when they are taken, what a start makes of them, and what becomes of clients when one
//! takes the place of the state they were talking to.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::{Client, Fate, World, show};
use replica::{Config, PeerMessage};

/// A snapshot every few writes, and no log kept behind it.
fn often(config: &mut Config) {
    config.snapshot_log_bytes_min = 300;
    config.snapshot_log_bytes_max = 300;
    config.log_tail_bytes = 0;
}

/// Snapshots only when they are asked for, and no log kept behind them.
fn when_asked(config: &mut Config) {
    config.log_tail_bytes = 0;
}

fn write(world: &mut World, client: Client, count: u32) {
    for number in 0..count {
        let key = format!("k{}", number % 10);
        world.call(client, &["SET", &key, &number.to_string()]);
    }
}

/// The number behind a field of INFO.
fn info(world: &mut World, client: Client, field: &str) -> i64 {
    let text = world.show(client, &["INFO", "everything"]);
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|value| value.trim().parse().ok())
        .unwrap_or_else(|| panic!("no number {field} in {text}"))
}

fn first_index(world: &mut World, id: u64) -> u64 {
    world.replica(id).raft().status().first.0
}

fn assert_equal_states(world: &mut World) {
    world.run_until("all have applied all", |world| {
        let mut applied = world.nodes.iter().map(|node| {
            let replica = node.replica.as_ref().expect("it runs");
            (replica.metrics().applied_index, replica.raft().commit().0)
        });
        let first = applied.next().expect("a node");
        first.0 == first.1 && applied.all(|other| other == first)
    });
    let hash = world.replica(1).state_hash();
    for id in 2..=world.nodes.len() as u64 {
        assert_eq!(world.replica(id).state_hash(), hash, "node {id}");
    }
}

/// Takes a snapshot of a node's present state.
fn snapshot(world: &mut World, id: u64) {
    let before = world.node(id).snapshots_taken;
    let now = world.now;
    world.replica(id).request_snapshot(now);
    world.settle();
    assert_eq!(world.node(id).snapshots_taken, before + 1);
}

/// A follower that is cut off while the others cut their logs. Returns it and its client.
fn left_behind(world: &mut World) -> (u64, Client) {
    let follower = world.follower();
    let client = world.client(follower);
    world.isolate(follower);
    (follower, client)
}

fn others(world: &World, id: u64) -> Vec<u64> {
    let ids = 1..=world.nodes.len() as u64;
    ids.filter(|other| *other != id).collect()
}

/// The others go on writing and cut their logs, so that only a snapshot brings `id` up to date.
fn go_on_without(world: &mut World, id: u64, requests: &[&[&str]]) {
    let leader = world.leader();
    let client = world.client(leader);
    world.pipeline(client, requests);
    world.settle();
    // A follower that was heard just now is on its way, and the log is kept for it.
    world.run_ms(300);
    for other in others(world, id) {
        snapshot(world, other);
    }
}

fn rejoin(world: &mut World, id: u64) {
    world.heal();
    let before = world.node(id).snapshots_installed;
    world.run_until("a snapshot is installed", |world| {
        world.node(id).snapshots_installed > before
    });
}

#[test]
fn the_log_is_cut_behind_snapshots_and_the_state_survives_restarts() {
    let mut world = World::ready_with(3, often);
    let leader = world.leader();
    let client = world.client(leader);
    world.call(client, &["SET", "t", "x", "PX", "100000"]);
    write(&mut world, client, 100);
    for id in 1..=3 {
        assert!(world.node(id).snapshots_taken > 5, "node {id}");
        assert!(first_index(&mut world, id) > 80, "node {id}");
    }
    assert_equal_states(&mut world);
    let before = world.replica(1).state_hash();
    for id in 1..=3 {
        world.crash(id);
        world.start(id);
        world.await_ready();
    }
    assert_equal_states(&mut world);
    let client = world.client(1);
    assert_eq!(world.show(client, &["GET", "k9"]), "99");
    assert_eq!(world.show(client, &["DBSIZE"]), "11");
    let ttl = world.show(client, &["PTTL", "t"]);
    assert!(
        (1..=100_000).contains(&ttl.parse::<i64>().unwrap()),
        "{ttl}"
    );
    assert_ne!(world.replica(1).state_hash(), before, "time has gone on");
}

/// A node that starts from its snapshot and a tail, and one that replays the same log from its
/// beginning, are equal.
#[test]
fn snapshot_and_tail_make_the_state_that_the_whole_log_makes() {
    let mut world = World::ready_with(3, |config| {
        // Nothing is ever cut: the same log does for both.
        config.log_tail_bytes = u64::MAX;
    });
    let leader = world.leader();
    let client = world.client(leader);
    write(&mut world, client, 20);
    world.call(client, &["SET", "short", "x", "PX", "50"]);
    world.call(client, &["SADD", "not-a-command-yet", "x"]);
    snapshot(&mut world, leader);
    write(&mut world, client, 7);
    world.run_ms(200);
    let stored = world.node(leader).stored.clone();
    let mut hashes = Vec::new();
    for from in [None, stored] {
        world.crash(leader);
        world.node(leader).stored = from;
        world.start(leader);
        world.await_ready();
        assert_equal_states(&mut world);
        hashes.push(world.replica(leader).metrics().entries_applied);
    }
    assert!(hashes[1] < hashes[0] - 15, "the tail is short: {hashes:?}");
}

#[test]
fn a_tail_is_kept_for_followers_that_are_a_little_behind() {
    let mut world = World::ready_with(3, |config| {
        config.snapshot_log_bytes_min = 300;
        config.snapshot_log_bytes_max = 300;
        config.log_tail_bytes = 100_000;
    });
    let (follower, _) = left_behind(&mut world);
    let leader = world.leader();
    let client = world.client(leader);
    write(&mut world, client, 50);
    world.heal();
    assert_equal_states(&mut world);
    assert!(world.node(leader).snapshots_taken > 3);
    assert_eq!(first_index(&mut world, leader), 1);
    assert_eq!(world.node(follower).snapshots_installed, 0);
    // The tail is measured in bytes of entries.
    let value = "v".repeat(30_000);
    for _ in 0..8 {
        world.call(client, &["SET", "large", &value]);
    }
    let first = first_index(&mut world, leader);
    let last = world.replica(leader).raft().last_index().0;
    assert!((last - 6..last - 2).contains(&first), "{first} of {last}");
}

#[test]
fn a_follower_that_is_too_far_behind_is_sent_a_snapshot() {
    let mut world = World::ready_with(3, often);
    let (follower, _) = left_behind(&mut world);
    let leader = world.leader();
    let client = world.client(leader);
    write(&mut world, client, 60);
    rejoin(&mut world, follower);
    assert_equal_states(&mut world);
    write(&mut world, client, 20);
    assert_equal_states(&mut world);
    let client = world.client(follower);
    assert_eq!(world.show(client, &["GET", "k9"]), "19");
    // And again after its restart, from the snapshot it was sent.
    world.crash(follower);
    world.start(follower);
    assert_equal_states(&mut world);
}

#[test]
fn transfers_that_fail_are_tried_again() {
    let mut world = World::ready_with(3, often);
    let (follower, _) = left_behind(&mut world);
    let leader = world.leader();
    let client = world.client(leader);
    write(&mut world, client, 30);
    world.transfers_stalled = true;
    world.heal();
    world.run_ms(500);
    assert_eq!(world.transfers.len(), 1, "one is asked for, and once");
    let (from, request) = world.transfers.pop_front().unwrap();
    let now = world.now;
    world
        .replica(from)
        .snapshot_sent(now, request.to, raft::EntryId::ZERO, false);
    world.transfers_stalled = false;
    world.run_until("the next succeeds", |world| {
        world.node(follower).snapshots_installed == 1
    });
    assert_equal_states(&mut world);
}

#[test]
fn what_a_snapshot_contains_is_uncertain_and_what_it_does_not_is_sent_again() {
    let mut world = World::ready_with(3, when_asked);
    let follower = world.follower();
    let (first, second) = (world.client(follower), world.client(follower));
    // The batch gets through, the news of it does not.
    world.fate = Box::new(move |_, to, _| match to == follower {
        true => Fate::IsLost,
        false => Fate::Arrives,
    });
    world.send(
        first,
        &[
            &["INCR", "n"],
            &["GET", "n"],
            &["MULTI"],
            &["INCR", "n"],
            &["EXEC"],
        ],
    );
    world.settle();
    world.isolate(follower);
    world.fate = Box::new(|_, _, _| Fate::Arrives);
    // This one does not get through.
    world.send(second, &[&["INCR", "n"]]);
    world.settle();
    go_on_without(&mut world, follower, &[&["SET", "a", "b"]]);
    assert!(world.replies(first).is_empty());
    rejoin(&mut world, follower);
    let replies = world.pipeline_rest(first, 5);
    let shown: Vec<String> = replies.iter().map(show).collect();
    assert!(shown[0].starts_with("-UNCERTAIN "), "{shown:?}");
    assert!(shown[1].starts_with("-NOQUORUM "), "{shown:?}");
    assert_eq!(&shown[2..4], ["OK", "QUEUED"]);
    assert!(shown[4].starts_with("-UNCERTAIN "), "{shown:?}");
    let replies = world.pipeline_rest(second, 1);
    assert_eq!(show(&replies[0]), "3", "resent, and applied once");
    // Their sessions go on.
    assert_eq!(world.show(first, &["INCR", "n"]), "4");
    assert_eq!(world.show(second, &["GET", "n"]), "4");
    assert_equal_states(&mut world);
}

#[test]
fn a_copy_of_a_batch_that_comes_after_snapshots_and_restarts_is_skipped() {
    let mut world = World::ready_with(3, when_asked);
    let gateway = world.follower();
    let client = world.client(gateway);
    let kept: Rc<RefCell<Vec<PeerMessage>>> = Rc::default();
    let keep = Rc::clone(&kept);
    world.fate = Box::new(move |_, _, message| {
        if matches!(message, PeerMessage::Forward(_)) {
            keep.borrow_mut().push(message.clone());
        }
        Fate::Arrives
    });
    for _ in 0..3 {
        world.call(client, &["INCR", "n"]);
    }
    world.settle();
    for id in 1..=3 {
        snapshot(&mut world, id);
    }
    for id in others(&world, gateway) {
        world.crash(id);
        world.start(id);
        world.await_ready();
    }
    let leader = world.leader();
    let term = world.replica(leader).raft().term();
    let now = world.now;
    let old: Vec<PeerMessage> = kept.borrow().clone();
    assert_eq!(old.len(), 3);
    for message in old {
        let PeerMessage::Forward(mut forward) = message else {
            continue;
        };
        forward.term = term;
        world.replica(leader).peer_message(
            now,
            raft::NodeId(gateway),
            PeerMessage::Forward(forward),
        );
    }
    world.settle();
    assert_eq!(world.show(client, &["GET", "n"]), "3");
    assert_equal_states(&mut world);
}

#[test]
fn an_install_disconnects_subscribers_and_keeps_the_others() {
    let mut world = World::ready_with(3, when_asked);
    let follower = world.follower();
    let names = ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"];
    let subscribers = names.map(|name| {
        let client = world.client(follower);
        world.call(client, &[name, "news"]);
        client
    });
    let other = world.client(follower);
    world.call(other, &["SELECT", "3"]);
    world.isolate(follower);
    go_on_without(&mut world, follower, &[&["PUBLISH", "news", "missed"]]);
    rejoin(&mut world, follower);
    world.settle();
    for client in subscribers {
        assert!(world.node(follower).closed.contains(&client.id));
        assert!(world.replies(client).is_empty());
    }
    assert!(!world.node(follower).closed.contains(&other.id));
    assert_eq!(world.show(other, &["SET", "in", "3"]), "OK");
    assert_eq!(world.show(other, &["EXISTS", "in"]), "1");
}

#[test]
fn a_watch_sees_what_a_snapshot_brought() {
    let mut world = World::ready_with(3, when_asked);
    let follower = world.follower();
    let leader = world.leader();
    let setter = world.client(leader);
    world.pipeline(setter, &[&["SET", "changed", "1"], &["SET", "kept", "1"]]);
    let watchers = ["changed", "kept", "absent"].map(|key| {
        let client = world.client(follower);
        world.call(client, &["WATCH", key]);
        client
    });
    world.isolate(follower);
    go_on_without(&mut world, follower, &[&["SET", "changed", "1"]]);
    rejoin(&mut world, follower);
    let outcomes = watchers.map(|client| {
        let replies = world.pipeline(client, &[&["MULTI"], &["INCR", "n"], &["EXEC"]]);
        show(&replies[2])
    });
    assert_eq!(outcomes, ["nil", "[1]", "[2]"]);
}

#[test]
fn reads_that_wait_are_served_from_the_snapshot() {
    let mut world = World::ready_with(3, when_asked);
    let follower = world.follower();
    let client = world.client(follower);
    world.isolate(follower);
    world.send(client, &[&["GET", "k"]]);
    go_on_without(&mut world, follower, &[&["SET", "k", "new"]]);
    rejoin(&mut world, follower);
    assert_eq!(show(&world.pipeline_rest(client, 1)[0]), "new");
}

#[test]
fn a_snapshot_that_is_not_news_is_ignored() {
    let mut world = World::ready_with(3, when_asked);
    let (leader, follower) = (world.leader(), world.follower());
    let client = world.client(leader);
    world.call(client, &["SET", "k", "old"]);
    snapshot(&mut world, leader);
    world.call(client, &["SET", "k", "new"]);
    assert_equal_states(&mut world);
    let stored = world.node(leader).stored.clone().unwrap();
    for id in [leader, follower] {
        world.install(id, stored.clone());
        let client = world.client(id);
        assert_eq!(world.show(client, &["GET", "k"]), "new");
    }
    assert_equal_states(&mut world);
}

#[test]
fn save_answers_when_the_snapshot_is_durable() {
    let mut world = World::ready_with(1, when_asked);
    let (saver, other) = (world.client(1), world.client(1));
    let started = info(&mut world, saver, "rdb_last_save_time");
    world.call(saver, &["SET", "a", "b"]);
    assert_eq!(info(&mut world, saver, "rdb_changes_since_last_save"), 1);
    world.run_ms(3_000);
    world.node(1).snapshots_stalled = true;
    world.send(saver, &[&["SAVE"], &["GET", "a"]]);
    world.run_ms(2_100);
    assert!(world.replies(saver).is_empty());
    // Others do not wait, and are told.
    let busy = "-ERR Background save already in progress";
    assert_eq!(world.show(other, &["SAVE"]), busy);
    assert_eq!(world.show(other, &["BGSAVE"]), busy);
    assert_eq!(world.show(other, &["SET", "a", "c"]), "OK");
    assert_eq!(info(&mut world, other, "rdb_bgsave_in_progress"), 1);
    assert_eq!(info(&mut world, other, "rdb_current_bgsave_time_sec"), 2);
    world.node(1).snapshots_stalled = false;
    let replies = world.pipeline_rest(saver, 2);
    assert_eq!((&*show(&replies[0]), &*show(&replies[1])), ("OK", "c"));
    assert_eq!(info(&mut world, other, "rdb_bgsave_in_progress"), 0);
    assert_eq!(info(&mut world, other, "rdb_last_bgsave_time_sec"), 2);
    assert_eq!(info(&mut world, other, "rdb_changes_since_last_save"), 1);
    let saved = info(&mut world, other, "rdb_last_save_time");
    assert!(saved >= started + 5, "{started} {saved}");
    assert_eq!(world.show(other, &["LASTSAVE"]), saved.to_string());
    let index = info(&mut world, other, "snapshot_index");
    assert_eq!(info(&mut world, other, "log_first_index"), index + 1);
}

#[test]
fn a_stop_does_not_wait_for_a_snapshot_that_nobody_waits_for() {
    let mut world = World::ready_with(1, when_asked);
    let client = world.client(1);
    world.call(client, &["SET", "a", "b"]);
    world.node(1).snapshots_stalled = true;
    assert_eq!(world.show(client, &["BGSAVE"]), "Background saving started");
    world.run_ms(100);
    assert_eq!(info(&mut world, client, "rdb_bgsave_in_progress"), 1);
    let now = world.now;
    world.replica(1).begin_shutdown(now);
    assert!(world.replica(1).shutdown_finished());
}

#[test]
fn bgsave_answers_at_once_and_failures_are_told() {
    let mut world = World::ready_with(1, when_asked);
    let client = world.client(1);
    world.call(client, &["SET", "a", "b"]);
    world.node(1).snapshots_stalled = true;
    let started = "Background saving started";
    assert_eq!(world.show(client, &["BGSAVE"]), started);
    world.settle();
    assert!(world.node(1).writing.take().is_some());
    let now = world.now;
    world.replica(1).snapshot_failed(now, "no space left");
    let text = world.show(client, &["INFO", "persistence"]);
    assert!(text.contains("rdb_last_bgsave_status:err"), "{text}");
    world.send(client, &[&["SAVE"]]);
    world.settle();
    world.node(1).writing = None;
    world.replica(1).snapshot_failed(now, "no space left");
    let replies = world.pipeline_rest(client, 1);
    assert_eq!(show(&replies[0]), "-ERR the snapshot failed: no space left");
    world.node(1).snapshots_stalled = false;
    assert_eq!(world.show(client, &["BGSAVE", "SCHEDULE"]), started);
    world.settle();
    assert_eq!(world.node(1).snapshots_taken, 1);
    assert_eq!(world.show(client, &["BGSAVE", "now"]), "-ERR syntax error");
    // Nothing has changed since: that is as good as another.
    assert_eq!(world.show(client, &["SAVE"]), "OK");
    assert_eq!(world.node(1).snapshots_taken, 1);
    let text = world.show(client, &["INFO", "persistence"]);
    assert!(text.contains("rdb_last_bgsave_status:ok"), "{text}");
}

#[test]
fn a_failed_snapshot_is_tried_again_but_not_at_once() {
    let mut world = World::ready_with(1, often);
    let client = world.client(1);
    world.node(1).snapshots_stalled = true;
    write(&mut world, client, 20);
    let mut attempts = 0;
    for _ in 0..200 {
        if world.node(1).writing.take().is_some() {
            attempts += 1;
            let now = world.now;
            world.replica(1).snapshot_failed(now, "made to fail");
        }
        world.run_ms(100);
    }
    assert!((3..=6).contains(&attempts), "{attempts} in 20 s");
}

#[test]
fn a_state_with_batches_that_this_node_has_not_made_stops_it() {
    let mut world = World::ready_with(3, when_asked);
    let follower = world.follower();
    let client = world.client(follower);
    world.call(client, &["SET", "a", "b"]);
    snapshot(&mut world, follower);
    let stored = world.node(follower).stored.clone().unwrap();
    let mut config = world.replica(follower).config().clone();
    let recovered = || raft::Recovered {
        last: stored.meta.last,
        base: stored.meta.last,
        ..raft::Recovered::default()
    };
    for (incarnation, is_fatal) in [(1, true), (2, false)] {
        config.incarnation = incarnation;
        let snapshot = Some(stored.load());
        let mut replica =
            replica::Replica::new(config.clone(), recovered(), snapshot, world.now).unwrap();
        let mut output = replica::Output::default();
        replica.drain(world.now, &mut output);
        assert_eq!(output.fatal.is_some(), is_fatal, "{:?}", output.fatal);
    }
}
