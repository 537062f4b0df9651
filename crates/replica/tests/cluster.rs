//! Whole clusters of replicas, without I/O: what a client sees through failures.

mod common;

use common::{World, show};

#[test]
fn a_write_on_any_node_is_read_on_every_node() {
    let mut world = World::ready(3);
    for writer in 1..=3 {
        let client = world.client(writer);
        let value = writer.to_string();
        assert_eq!(world.show(client, &["SET", "key", &value]), "OK");
        for reader in 1..=3 {
            let client = world.client(reader);
            assert_eq!(
                world.show(client, &["GET", "key"]),
                value,
                "read on {reader}"
            );
        }
    }
}

#[test]
fn a_cluster_of_one_needs_nobody() {
    let mut world = World::ready(1);
    let client = world.client(1);
    assert_eq!(world.show(client, &["SET", "a", "1"]), "OK");
    assert_eq!(world.show(client, &["INCR", "a"]), "2");
    assert_eq!(world.show(client, &["GET", "a"]), "2");
}

#[test]
fn replies_of_a_pipeline_are_in_order_and_reads_see_the_writes_before_them() {
    let mut world = World::ready(3);
    for node in 1..=3 {
        let client = world.client(node);
        let replies = world.pipeline(
            client,
            &[
                &["GET", "p"],
                &["SET", "p", "1"],
                &["GET", "p"],
                &["PING"],
                &["INCR", "p"],
                &["NOSUCH"],
                &["GET", "p"],
                &["DEL", "p"],
                &["EXISTS", "p"],
            ],
        );
        let shown: Vec<String> = replies.iter().map(show).collect();
        let unknown = "-ERR unknown command 'NOSUCH', with args beginning with: ";
        assert_eq!(
            shown,
            ["nil", "OK", "1", "PONG", "2", unknown, "2", "1", "0"]
        );
    }
}

#[test]
fn increments_in_flight_through_a_survivor_are_applied_once_when_the_leader_dies() {
    let mut world = World::ready(3);
    for round in 1..=10 {
        let leader = world.leader();
        let survivor = world.follower();
        let client = world.client(survivor);
        let requests: Vec<[&str; 2]> = vec![["INCR", "counter"]; 20];
        let requests: Vec<&[&str]> = requests.iter().map(|request| &request[..]).collect();
        world.send(client, &requests);
        // The batch is on its way to the leader, or in its log, or committed: one turn each.
        for _ in 0..round % 4 {
            world.settle_once();
        }
        world.crash(leader);
        let replies = world.pipeline_rest(client, 20);
        assert!(
            replies.iter().all(|reply| reply.as_error().is_none()),
            "{replies:?}"
        );
        world.start(leader);
        let reader = world.client(survivor);
        assert_eq!(
            world.show(reader, &["GET", "counter"]),
            (round * 20).to_string()
        );
    }
}

#[test]
fn all_nodes_crash_and_every_acknowledged_write_is_there() {
    let mut world = World::ready(3);
    let client = world.client(1);
    for number in 0..100 {
        let key = format!("key{number}");
        assert_eq!(world.show(client, &["SET", &key, &key]), "OK");
    }
    for id in 1..=3 {
        world.crash(id);
    }
    for id in 1..=3 {
        world.start(id);
    }
    world.leader();
    for node in 1..=3 {
        let client = world.client(node);
        for number in 0..100 {
            let key = format!("key{number}");
            assert_eq!(world.show(client, &["GET", &key]), key);
        }
    }
}

/// Writes through every node, then the power of all of them fails at once. Returns how many of the
/// acknowledged writes are missing afterwards.
fn lost_after_power_failure(sync_does_nothing: bool) -> usize {
    let mut world = World::ready(3);
    for node in &world.nodes {
        node.vfs.set_sync_does_nothing(sync_does_nothing);
    }
    let clients: Vec<_> = (1..=3).map(|node| world.client(node)).collect();
    let keys: Vec<String> = (0..60).map(|number| format!("key{number}")).collect();
    for (key, &client) in keys.iter().zip(clients.iter().cycle()) {
        assert_eq!(world.show(client, &["SET", key, "v"]), "OK");
    }
    for id in 1..=3 {
        world.crash(id);
    }
    for id in 1..=3 {
        world.start(id);
    }
    let leader = world.leader();
    let client = world.client(leader);
    keys.iter()
        .filter(|key| world.show(client, &["GET", key]) != "v")
        .count()
}

#[test]
fn what_was_acknowledged_survives_a_power_failure_of_all_nodes() {
    assert_eq!(lost_after_power_failure(false), 0);
}

#[test]
fn without_sync_a_power_failure_loses_what_was_acknowledged() {
    assert_eq!(
        lost_after_power_failure(true),
        60,
        "the test above proves nothing"
    );
}

#[test]
fn a_minority_answers_no_quorum_within_the_deadline_and_never_a_stale_read() {
    let mut world = World::ready(3);
    let follower = world.follower();
    let client = world.client(follower);
    assert_eq!(world.show(client, &["SET", "k", "old"]), "OK");
    world.isolate(follower);
    let leader = world.leader();
    let other = world.client(leader);
    assert_eq!(world.show(other, &["SET", "k", "new"]), "OK");
    // The node still takes the leader for one, for a moment.
    let early = world.client(follower);
    let reply = world.show(early, &["GET", "k"]);
    assert!(reply.starts_with("-NOQUORUM"), "{reply}");
    world.run_ms(1_000);
    let reply = world.show(client, &["SET", "k", "lost"]);
    assert!(reply.starts_with("-NOQUORUM"), "{reply}");
    assert!(reply.contains("nothing was written"), "{reply}");
    world.heal();
    world.run_ms(1_000);
    assert_eq!(world.show(client, &["GET", "k"]), "new");
    assert_eq!(world.show(client, &["SET", "k", "newer"]), "OK");
}

#[test]
fn an_isolated_leader_serves_no_stale_read_and_says_that_it_does_not_know() {
    let mut world = World::ready(3);
    let leader = world.leader();
    let client = world.client(leader);
    assert_eq!(world.show(client, &["SET", "k", "old"]), "OK");
    world.isolate(leader);
    let write = world.client(leader);
    world.send(write, &[&["INCR", "n"]]);
    let read = world.client(leader);
    world.send(read, &[&["GET", "k"]]);
    world.run_ms(1_000);
    let successor = world.leader();
    assert_ne!(successor, leader);
    let elsewhere = world.client(successor);
    assert_eq!(world.show(elsewhere, &["SET", "k", "new"]), "OK");
    world.run_ms(5_000);
    let reply = show(&world.reply(write).expect("a reply by the deadline"));
    assert!(reply.starts_with("-UNCERTAIN"), "{reply}");
    let reply = show(&world.reply(read).expect("a reply by the deadline"));
    assert!(reply.starts_with("-NOQUORUM"), "{reply}");
    world.heal();
    world.run_ms(2_000);
    // The batch was kept and resent: its number must not be missing.
    assert_eq!(world.show(elsewhere, &["GET", "n"]), "1");
    assert_eq!(world.show(client, &["INCR", "n"]), "2");
}

#[test]
fn a_transaction_runs_if_what_it_watches_has_not_changed() {
    let mut world = World::ready(3);
    let follower = world.follower();
    let (a, b) = (world.client(follower), world.client(1));
    assert_eq!(world.show(a, &["SET", "w", "1"]), "OK");
    assert_eq!(world.show(a, &["WATCH", "w"]), "OK");
    assert_eq!(world.show(a, &["MULTI"]), "OK");
    assert_eq!(world.show(a, &["INCR", "w"]), "QUEUED");
    assert_eq!(world.show(a, &["GET", "w"]), "QUEUED");
    assert_eq!(world.show(a, &["PING"]), "QUEUED");
    assert_eq!(world.show(a, &["EXEC"]), "[2 2 PONG]");
    assert_eq!(world.show(a, &["WATCH", "w"]), "OK");
    assert_eq!(world.show(b, &["SET", "w", "9"]), "OK");
    assert_eq!(world.show(a, &["MULTI"]), "OK");
    assert_eq!(world.show(a, &["INCR", "w"]), "QUEUED");
    assert_eq!(world.show(a, &["EXEC"]), "nil");
    assert_eq!(world.show(a, &["GET", "w"]), "9");
}

#[test]
fn what_a_transaction_watches_stays_its_own_while_more_is_cut_behind_it() {
    let mut world = World::ready(3);
    let client = world.client(2);
    let conflict: &[&[&str]] = &[
        &["WATCH", "w"],
        &["INCR", "w"],
        &["MULTI"],
        &["GET", "w"],
        &["EXEC"],
    ];
    // Each of these ends what the session watches, before the EXEC in front of them is run.
    let followers: [&[&[&str]]; 4] = [
        &[&["MULTI"], &["DISCARD"]],
        &[&["MULTI"], &["NOSUCH"], &["EXEC"]],
        &[&["EXEC", "surplus"]],
        &[&["MULTI"], &["SET", "x", "1"], &["EXEC"]],
    ];
    for follower in followers {
        let replies = world.pipeline(client, &[conflict, follower].concat());
        assert_eq!(show(&replies[4]), "nil", "EXEC before {follower:?}");
    }
    assert_eq!(
        world.show(client, &["GET", "x"]),
        "1",
        "not a conflict of the last one"
    );
    assert_eq!(
        world.show(client, &["EXEC", "surplus"]),
        "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command"
    );
}

#[test]
fn a_whole_transaction_may_be_pipelined() {
    let mut world = World::ready(3);
    let client = world.client(2);
    let replies = world.pipeline(
        client,
        &[
            &["WATCH", "t"],
            &["MULTI"],
            &["SET", "t", "5"],
            &["INCRBY", "t", "2"],
            &["GET", "t"],
            &["EXEC"],
            &["GET", "t"],
            &["MULTI"],
            &["GET", "t"],
            &["EXEC"],
            &["MULTI"],
            &["NOSUCH"],
            &["EXEC"],
            &["DISCARD"],
        ],
    );
    let shown: Vec<String> = replies.iter().map(show).collect();
    assert_eq!(
        shown[..6],
        ["OK", "OK", "QUEUED", "QUEUED", "QUEUED", "[OK 7 7]"]
    );
    assert_eq!(shown[6..10], ["7", "OK", "QUEUED", "[7]"]);
    assert_eq!(shown[10], "OK");
    assert_eq!(
        shown[12],
        "-EXECABORT Transaction discarded because of previous errors."
    );
    assert_eq!(shown[13], "-ERR DISCARD without MULTI");
}

#[test]
fn a_message_published_anywhere_reaches_subscribers_everywhere() {
    let mut world = World::ready(3);
    let subscribers: Vec<_> = (1..=3).map(|node| world.client(node)).collect();
    for &subscriber in &subscribers {
        assert_eq!(
            world.show(subscriber, &["SUBSCRIBE", "news"]),
            "[subscribe news 1]"
        );
    }
    let publisher = world.client(2);
    assert_eq!(world.show(publisher, &["PUBLISH", "news", "hello"]), "1");
    world.settle();
    for &subscriber in &subscribers {
        let message = world.reply(subscriber).expect("a message");
        assert_eq!(show(&message), "[message news hello]");
    }
}

#[test]
fn a_subscription_on_a_node_that_applies_the_past_gets_none_of_it() {
    let mut world = World::ready(3);
    let late = world.follower();
    world.crash(late);
    let leader = world.leader();
    let publisher = world.client(leader);
    for number in 0..200 {
        world.call(publisher, &["PUBLISH", "t", &number.to_string()]);
    }
    world.start(late);
    let subscriber = world.client(late);
    world.send(subscriber, &[&["SUBSCRIBE", "t"]]);
    let confirmation = world.pipeline_rest(subscriber, 1);
    assert_eq!(show(&confirmation[0]), "[subscribe t 1]");
    assert_eq!(
        confirmation.len(),
        1,
        "messages of the past: {confirmation:?}"
    );
    world.call(publisher, &["PUBLISH", "t", "new"]);
    let messages = world.pipeline_rest(subscriber, 1);
    assert_eq!(show(&messages[0]), "[message t new]");
}

#[test]
fn keys_expire_on_every_node_by_the_time_of_the_log() {
    let mut world = World::ready(3);
    // A node whose clock is an hour ahead neither expires keys early nor serves them for ever.
    let skewed = world.follower();
    world.node(skewed).clock_offset_ms = 30_000;
    let (a, b) = (world.client(1), world.client(2));
    assert_eq!(world.show(a, &["SET", "e", "1", "PX", "500"]), "OK");
    for node in 1..=3 {
        let client = world.client(node);
        assert_eq!(world.show(client, &["GET", "e"]), "1", "on {node}");
    }
    world.run_ms(600);
    assert_eq!(world.show(b, &["GET", "e"]), "nil");
    assert_eq!(world.show(a, &["EXISTS", "e"]), "0");
    world.run_ms(100);
    let hashes: Vec<u64> = (1..=3).map(|id| world.replica(id).state_hash()).collect();
    assert_eq!(hashes[0], hashes[1]);
    assert_eq!(hashes[1], hashes[2]);
}

#[test]
fn leadership_is_handed_over_without_a_failed_command() {
    let mut world = World::ready(3);
    for _ in 0..5 {
        let leader = world.leader();
        let follower = world.follower();
        let client = world.client(follower);
        let now = world.now;
        world.send(client, &[&["INCR", "handed"], &["GET", "handed"]]);
        world.replica(leader).begin_shutdown(now);
        world.send(client, &[&["INCR", "handed"], &["GET", "handed"]]);
        let reply = world.pipeline_rest(client, 4);
        assert!(
            reply.iter().all(|value| value.as_error().is_none()),
            "{reply:?}"
        );
        world.run_until("handed over", |world| {
            world.replica(leader).metrics().leader != leader
                && world.replica(leader).shutdown_finished()
        });
        world.crash(leader);
        world.start(leader);
    }
    let client = world.client(1);
    assert_eq!(world.show(client, &["GET", "handed"]), "10");
}

#[test]
fn a_command_larger_than_an_entry_is_refused_by_name() {
    let mut world = World::with(1, |config| config.entry_bytes_max = 1000);
    world.leader();
    let client = world.client(1);
    let large = "x".repeat(2000);
    let reply = world.show(client, &["SET", "k", &large]);
    assert!(reply.contains("max-entry-size (1000)"), "{reply}");
    assert_eq!(world.show(client, &["EXISTS", "k"]), "0");
}

#[test]
fn one_reply_may_be_larger_than_the_output_limit_and_a_pipeline_of_them_may_not() {
    let mut world = World::with(1, |config| config.output_bytes_max = 1_000 / 8);
    world.leader();
    let (patient, greedy) = (world.client(1), world.client(1));
    let large = "x".repeat(5_000);
    assert_eq!(world.show(patient, &["SET", "k", &large]), "OK");
    assert_eq!(world.show(patient, &["GET", "k"]), large);
    let get: &[&str] = &["GET", "k"];
    world.send(greedy, &[get; 5]);
    world.settle();
    assert!(world.node(1).closed.contains(&greedy.id));
    assert_eq!(world.show(patient, &["GET", "k"]), large);
}

#[test]
fn a_full_disk_on_the_leader_refuses_writes_on_every_node_and_serves_reads() {
    let mut world = World::ready(3);
    let leader = world.leader();
    let follower = world.follower();
    let (a, b) = (world.client(leader), world.client(follower));
    assert_eq!(world.show(a, &["SET", "d", "1"]), "OK");
    let now = world.now;
    world.replica(leader).disk_space(now, true);
    for client in [a, b] {
        let reply = world.show(client, &["SET", "d", "2"]);
        assert!(reply.starts_with("-DISKFULL"), "{reply}");
        assert_eq!(world.show(client, &["GET", "d"]), "1");
    }
    let now = world.now;
    world.replica(leader).disk_space(now, false);
    // The follower finds out when what was refused is handed over again.
    world.run_ms(2 * common::TICK_MS);
    assert_eq!(world.show(b, &["SET", "d", "3"]), "OK");
    assert_eq!(world.show(a, &["GET", "d"]), "3");
}

fn set_disk_space(world: &mut World, id: u64, is_low: bool) {
    let now = world.now;
    world.replica(id).disk_space(now, is_low);
}

#[test]
fn a_follower_with_a_full_disk_takes_no_entries_lives_on_and_catches_up() {
    let mut world = World::ready(3);
    let leader = world.leader();
    let full = world.follower();
    let client = world.client(leader);
    assert_eq!(world.show(client, &["SET", "d", "0"]), "OK");
    world.run_ms(200);
    set_disk_space(&mut world, full, true);
    let held = world.replica(full).raft().last_index();
    let term = world.replica(full).raft().term();
    for value in 1..=20 {
        assert_eq!(world.show(client, &["SET", "d", &value.to_string()]), "OK");
        world.run_ms(100);
    }
    assert_eq!(world.replica(full).raft().last_index(), held);
    assert!(
        world.node(full).pending.is_empty(),
        "nothing waits for space"
    );
    assert_eq!(
        world.replica(leader).raft().term(),
        term,
        "and nobody campaigns"
    );
    let reader = world.client(leader);
    assert_eq!(world.show(reader, &["GET", "d"]), "20");

    // It votes: of the others only one is left, and that one must lead.
    world.crash(leader);
    let other = (1..=3)
        .find(|id| ![leader, full].contains(id))
        .expect("three");
    world.run_until("a new leader", |world| {
        world.replica(other).raft().is_leader()
    });

    set_disk_space(&mut world, full, false);
    world.run_until("it has caught up", |world| {
        let last = world.replica(other).raft().last_index();
        world.replica(full).raft().last_index() == last
    });
    let client = world.client(full);
    assert_eq!(world.show(client, &["GET", "d"]), "20");
}

#[test]
fn a_cluster_whose_disks_are_all_full_elects_a_leader_and_serves_reads() {
    let mut world = World::ready(3);
    let leader = world.leader();
    let client = world.client(leader);
    assert_eq!(world.show(client, &["SET", "d", "1"]), "OK");
    assert_eq!(world.show(client, &["SET", "e", "1", "PX", "300"]), "OK");
    world.run_ms(200);
    for id in 1..=3 {
        set_disk_space(&mut world, id, true);
    }
    world.crash(leader);
    let new = world.leader();
    let client = world.client(new);
    assert_eq!(world.show(client, &["GET", "d"]), "1");
    assert!(
        world
            .show(client, &["SET", "d", "2"])
            .starts_with("-DISKFULL")
    );
    let last = world.replica(new).raft().last_index();
    world.run_ms(1_000);
    let now_last = world.replica(new).raft().last_index();
    assert_eq!(now_last, last, "expiry writes nothing");
    for id in (1..=3).filter(|id| *id != leader) {
        set_disk_space(&mut world, id, false);
    }
    world.run_ms(1_000);
    assert_eq!(world.show(client, &["GET", "e"]), "nil");
    assert_eq!(world.show(client, &["SET", "d", "2"]), "OK");
}
