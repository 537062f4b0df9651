//! What one connection sees: nothing it sent is forgotten, and nothing is answered out of turn.

mod common;

use common::{Client, World, show};

/// A request as bytes.
fn encoded(request: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    resp::encode_request(&mut bytes, request);
    bytes
}

/// Sends bytes as a socket would: in pieces, and only while the replica wants them.
fn stream(world: &mut World, client: Client, bytes: &[u8], piece: usize) {
    let mut wanted = true;
    for piece in bytes.chunks(piece) {
        if !wanted {
            world.run_until("the client may be read again", |world| {
                world.node(client.node).resumed.contains(&client.id)
            });
        }
        world.receive(client, piece);
        wanted = world.wants_input(client);
    }
}

#[test]
fn a_large_request_behind_one_in_flight_is_read_to_its_end() {
    let mut world = World::ready(3);
    let follower = world.follower();
    let value = "v".repeat(1 << 20);
    for first in [
        &["GET", "a"][..],
        &["INCR", "a"],
        &["SELECT", "1"],
        &["MULTI"],
    ] {
        let client = world.client(follower);
        let mut bytes = encoded(first);
        bytes.extend(encoded(&["GET", "b"]));
        bytes.extend(encoded(&["SELECT", "0"]));
        bytes.extend(encoded(&["ECHO", &value]));
        stream(&mut world, client, &bytes, 100 << 10);
        assert_eq!(world.pipeline_rest(client, 4).len(), 4, "behind {first:?}");
    }
}

#[test]
fn a_refused_transaction_that_changes_the_session_does_not_block_it() {
    let mut world = World::ready(3);
    let leader = world.leader();
    let client = world.client(leader);
    let now = world.now;
    world.replica(leader).disk_space(now, true);
    let requests: [&[&str]; 4] = [&["MULTI"], &["SELECT", "1"], &["SET", "a", "1"], &["EXEC"]];
    let replies = world.pipeline(client, &requests);
    assert!(show(&replies[3]).starts_with("-DISKFULL"), "{replies:?}");
    assert_eq!(world.show(client, &["PING"]), "PONG");
}

#[test]
fn a_refused_batch_is_answered_behind_those_before_it() {
    let mut world = World::ready(3);
    let (leader, follower) = (world.leader(), world.follower());
    let client = world.client(follower);
    for node in &mut world.nodes {
        node.disk_stalled = true;
    }
    world.send(client, &[&["INCR", "a"]]);
    world.settle();
    let now = world.now;
    world.replica(leader).disk_space(now, true);
    world.send(client, &[&["INCR", "b"]]);
    world.settle();
    assert!(
        world.replies(client).is_empty(),
        "the first is not known yet"
    );
    for node in &mut world.nodes {
        node.disk_stalled = false;
    }
    world.settle();
    let replies = world.replies(client);
    assert_eq!(replies.len(), 2, "{replies:?}");
    assert_eq!(replies[0], "1");
    assert!(replies[1].starts_with("-DISKFULL"), "{replies:?}");
    let now = world.now;
    world.replica(leader).disk_space(now, false);
    assert_eq!(world.show(client, &["INCR", "b"]), "1");
    assert_eq!(world.show(client, &["INCR", "a"]), "2");
}

#[test]
fn while_the_leaders_disk_is_full_nothing_piles_up_at_a_gateway() {
    let mut world = World::ready(3);
    let (leader, follower) = (world.leader(), world.follower());
    let client = world.client(follower);
    let now = world.now;
    world.replica(leader).disk_space(now, true);
    for _ in 0..100 {
        let reply = world.show(client, &["INCR", "n"]);
        assert!(reply.starts_with("-DISKFULL"), "{reply}");
        world.run_ms(common::TICK_MS);
    }
    let metrics = world.replica(follower).metrics();
    assert!(metrics.batches_unapplied <= 1, "{metrics:?}");
    let now = world.now;
    world.replica(leader).disk_space(now, false);
    world.run_ms(100);
    assert_eq!(world.show(client, &["INCR", "n"]), "1");
}

#[test]
fn reads_are_confirmed_over_links_slower_than_an_election_timeout() {
    let mut world = World::ready(3);
    let follower = world.follower();
    let client = world.client(follower);
    assert_eq!(world.show(client, &["SET", "far", "1"]), "OK");
    world.latency_ms = 60;
    assert_eq!(world.show(client, &["GET", "far"]), "1");
}

#[test]
fn a_node_that_stops_hands_over_to_another_if_the_first_it_chose_does_not_answer() {
    let mut world = World::ready(3);
    let leader = world.leader();
    let chosen = world.follower();
    world.cut.insert((leader, chosen));
    let now = world.now;
    world.replica(leader).begin_shutdown(now);
    world.run_until("the shutdown is finished", |world| {
        world.replica(leader).shutdown_finished()
    });
    assert_ne!(world.replica(leader).metrics().leader, leader);
}

#[test]
fn what_was_received_before_a_stop_is_answered_and_what_comes_after_is_not_read() {
    let mut world = World::ready(3);
    let node = world.follower();
    let client = world.client(node);
    world.send(
        client,
        &[
            &["INCR", "n"],
            &["SELECT", "1"],
            &["INCR", "n"],
            &["GET", "n"],
        ],
    );
    let now = world.now;
    world.replica(node).begin_shutdown(now);
    assert!(!world.wants_input(client));
    world.send(client, &[&["INCR", "n"]]);
    world.run_until("the shutdown is finished", |world| {
        world.replica(node).shutdown_finished()
    });
    assert_eq!(world.replies(client), ["1", "OK", "1", "1"]);
}

#[test]
fn a_gateway_that_allows_more_than_its_leader_is_not_stuck_behind_a_large_command() {
    let mut world = World::with(3, |config| {
        if config.node.0 == 3 {
            config.entry_bytes_max = 100_000;
        } else {
            config.entry_bytes_max = 1_000;
        }
    });
    if world.leader() == 3 {
        world.crash(3);
        world.leader();
        world.start(3);
    }
    world.run_ms(500);
    assert_ne!(world.leader(), 3);
    let client = world.client(3);
    let large = "x".repeat(50_000);
    let reply = world.show(client, &["SET", "large", &large]);
    assert!(reply.starts_with("-ERR"), "{reply}");
    assert!(reply.contains("nothing was written"), "{reply}");
    assert_eq!(world.show(client, &["INCR", "n"]), "1");
    assert_eq!(world.show(client, &["EXISTS", "large"]), "0");
}

#[test]
fn a_transaction_that_is_queued_may_not_take_more_memory_than_an_entry() {
    let mut world = World::with(1, |config| config.entry_bytes_max = 10_000);
    world.leader();
    let client = world.client(1);
    assert_eq!(world.show(client, &["MULTI"]), "OK");
    let key = "k".repeat(4_000);
    for expected in ["QUEUED", "QUEUED"] {
        assert_eq!(world.show(client, &["GET", &key]), expected);
    }
    let reply = world.show(client, &["GET", &key]);
    assert!(reply.contains("max-entry-size (10000)"), "{reply}");
    assert!(world.show(client, &["EXEC"]).starts_with("-EXECABORT"));
    assert_eq!(world.show(client, &["PING"]), "PONG");
}

#[test]
fn skipped_replies_are_those_that_redis_skips() {
    let mut world = World::ready(1);
    let client = world.client(1);
    let skip: &[&str] = &["CLIENT", "REPLY", "SKIP"];
    world.send(client, &[skip, skip, &["ECHO", "skipped"], &["ECHO", "a"]]);
    world.send(client, &[skip, &["GET", "skipped"], &["GET", "b"]]);
    world.send(client, &[skip, &["INCR", "c"], &["INCR", "c"]]);
    world.send(client, &[skip, &["CLIENT", "REPLY", "ON"]]);
    world.settle();
    world.send(
        client,
        &[&["CLIENT", "REPLY", "OFF"], &["INCR", "c"], &["PING"]],
    );
    world.send(client, &[&["CLIENT", "REPLY", "ON"], &["GET", "c"]]);
    world.settle();
    assert_eq!(world.replies(client), ["a", "nil", "2", "OK", "OK", "3"]);
}

#[test]
fn a_transaction_whose_read_is_put_off_does_its_other_commands_once() {
    let mut world = World::ready(3);
    let follower = world.follower();
    world.node(follower).clock_offset_ms = 5_000;
    let (client, victim) = (world.client(follower), world.client(follower));
    let id = world.show(victim, &["CLIENT", "ID"]);
    assert_eq!(world.show(client, &["SET", "due", "v", "PX", "1000"]), "OK");
    let requests: [&[&str]; 4] = [
        &["MULTI"],
        &["CLIENT", "KILL", "ID", &id],
        &["GET", "due"],
        &["EXEC"],
    ];
    let replies = world.pipeline(client, &requests);
    assert_eq!(show(&replies[3]), "[1 v]");
}

#[test]
fn time_spent_in_a_pause_is_not_counted_against_a_write() {
    let mut world = World::with(3, |config| {
        config.unapplied_bytes_max = 1_000;
        config.batch_bytes_max = 300;
    });
    let node = {
        world.leader();
        world.follower()
    };
    let other = world.client(node);
    assert_eq!(
        world.show(other, &["CLIENT", "PAUSE", "10000", "WRITE"]),
        "OK"
    );
    let value = "v".repeat(200);
    let clients: Vec<_> = (0..20).map(|_| world.client(node)).collect();
    for &client in &clients {
        world.send(client, &[&["SET", "k", &value]]);
    }
    world.run_ms(11_000);
    for &client in &clients {
        assert_eq!(world.replies(client), ["OK"]);
    }
}

#[test]
fn a_client_is_idle_when_all_it_sent_is_answered_and_not_before() {
    let mut world = World::ready(3);
    let node = world.follower();
    let (client, other) = (world.client(node), world.client(node));
    let idle = |world: &mut World| world.replica(node).client_is_idle(client.id);
    assert!(idle(&mut world));
    world.receive(client, b"*2\r\n$3\r\nGE");
    assert!(idle(&mut world), "half a request may never be whole");
    world.receive(client, b"T\r\n$1\r\nk\r\n");
    assert!(!idle(&mut world));
    world.settle();
    assert!(idle(&mut world));
    assert_eq!(world.show(other, &["CLIENT", "PAUSE", "1000"]), "OK");
    world.send(client, &[&["GET", "k"]]);
    world.settle();
    assert!(!idle(&mut world), "it is held back, not forgotten");
    world.run_ms(1_100);
    assert!(idle(&mut world));
    assert_eq!(world.replies(client), ["nil", "nil"]);
}

#[test]
fn debug_sleep_is_answered_when_it_is_over_and_holds_up_nobody_else() {
    let mut world = World::ready(3);
    let leader = world.leader();
    let (sleeper, other) = (world.client(leader), world.client(leader));
    world.show(
        other,
        &["CONFIG", "SET", "slowlog-log-slower-than", "100000"],
    );
    let requests: [&[&str]; 4] = [
        &["SET", "a", "1"],
        &["DEBUG", "SLEEP", "0.2"],
        &["DEBUG", "SLEEP", "0.2"],
        &["GET", "a"],
    ];
    world.send(sleeper, &requests);
    world.run_ms(150);
    assert_eq!(world.replies(sleeper), ["OK"]);
    assert_eq!(world.show(other, &["INCR", "a"]), "2");
    world.run_ms(150);
    assert_eq!(world.replies(sleeper), ["OK"]);
    world.run_ms(300);
    assert_eq!(world.replies(sleeper), ["OK", "2"]);
    assert_eq!(world.show(other, &["SLOWLOG", "LEN"]), "2");
    assert_eq!(world.show(sleeper, &["DEBUG", "SLEEP", "0"]), "OK");
}

#[test]
fn client_list_counts_the_request_that_asks_for_it() {
    let mut world = World::ready(3);
    let leader = world.leader();
    let (client, idle) = (world.client(leader), world.client(leader));
    world.show(idle, &["PING"]);
    let list = world.show(client, &["CLIENT", "LIST"]);
    let input = |line: &str| line.split(' ').any(|field| field == "qbuf=26");
    let counted: Vec<bool> = list.lines().map(input).collect();
    assert_eq!(counted, [true, false], "{list}");
}

#[test]
fn a_client_whose_output_is_half_written_may_ask_for_figures_about_it() {
    let mut world = World::ready(1);
    let client = world.client(1);
    world.node(1).socket_bytes_max = 1;
    for request in [&["CLIENT", "LIST"][..], &["INFO", "clients"]] {
        // Alone, and in its place behind a write.
        for before in [&[][..], &[&["SET", "k", "v"][..]]] {
            world.send(client, &[&["PING"]]);
            world.settle_once();
            world.send(client, before);
            world.send(client, &[request]);
            world.pipeline_rest(client, before.len() + 2);
        }
    }
}
