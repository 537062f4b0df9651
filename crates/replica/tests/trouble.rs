//! Slow disks, links that carry one way only, clocks that disagree, queues that are full: what a
//! client is told, and when.

mod common;

use common::{TICK_MS, World};

/// Runs until the client has this many replies, and says how long it took.
fn wait_ms(world: &mut World, client: common::Client, count: usize) -> (Vec<String>, u64) {
    let before_us = world.now.mono_us;
    let mut replies = Vec::new();
    world.run_until("replies", |world| {
        replies.extend(world.replies(client));
        replies.len() >= count
    });
    (replies, (world.now.mono_us - before_us) / 1000)
}

#[test]
fn a_disk_that_stalls_on_a_minority_delays_nobody() {
    let mut world = World::ready(3);
    let (leader, follower) = (world.leader(), world.follower());
    for stalled in [leader, follower] {
        world.node(stalled).disk_stalled = true;
        for node in 1..=3 {
            let client = world.client(node);
            world.send(client, &[&["INCR", "n"], &["GET", "n"]]);
            world.settle();
            assert_eq!(
                world.replies(client).len(),
                2,
                "{node} while {stalled} stalls"
            );
        }
        world.node(stalled).disk_stalled = false;
        world.run_ms(200);
    }
}

#[test]
fn a_disk_that_stalls_on_a_majority_makes_writes_uncertain_and_loses_none() {
    let mut world = World::ready(3);
    for node in &mut world.nodes {
        node.disk_stalled = true;
    }
    let clients: Vec<_> = (1..=3).map(|node| world.client(node)).collect();
    for &client in &clients {
        world.send(client, &[&["INCR", "n"]]);
    }
    for &client in &clients {
        let (replies, waited_ms) = wait_ms(&mut world, client, 1);
        assert!(replies[0].starts_with("-UNCERTAIN"), "{replies:?}");
        assert!(waited_ms <= 5_000 + 2 * TICK_MS, "{waited_ms}");
    }
    for node in &mut world.nodes {
        node.disk_stalled = false;
    }
    world.run_ms(500);
    assert_eq!(world.show(clients[0], &["GET", "n"]), "3");
}

#[test]
fn links_that_carry_one_way_only_cost_at_most_a_pause() {
    for from in 1..=3 {
        for to in 1..=3 {
            let mut world = World::ready(3);
            world.cut.insert((from, to));
            world.run_ms(2_000);
            let leader = world.leader();
            let client = world.client(leader);
            assert_eq!(world.show(client, &["INCR", "n"]), "1", "{from} to {to}");
            // A node that can neither ask nor be answered says so; it never answers wrongly.
            for node in 1..=3 {
                let client = world.client(node);
                let reply = world.show(client, &["GET", "n"]);
                assert!(
                    reply == "1" || reply.starts_with("-NOQUORUM"),
                    "{from} to {to}, read on {node}: {reply}"
                );
            }
            world.heal();
            world.run_ms(1_000);
            for node in 1..=3 {
                let client = world.client(node);
                assert_eq!(world.show(client, &["GET", "n"]), "1");
            }
        }
    }
}

#[test]
fn clocks_half_a_minute_apart_move_expiry_and_nothing_else() {
    for offsets in [[30_000, 0, -30_000], [-30_000, 30_000, 0]] {
        let mut world = World::ready(3);
        for (node, offset_ms) in world.nodes.iter_mut().zip(offsets) {
            node.clock_offset_ms = offset_ms;
        }
        let term = world.replica(1).metrics().term;
        for node in 1..=3 {
            let client = world.client(node);
            let key = format!("k{node}");
            assert_eq!(world.show(client, &["SET", &key, "v", "PX", "400"]), "OK");
            assert_eq!(world.show(client, &["SET", "stays", "v"]), "OK");
        }
        // All nodes agree on what is there, at each moment: once gone, gone everywhere.
        let mut is_gone = [false; 4];
        // A clock that is behind the log's time has to catch up with it first.
        for _ in 0..45 {
            for reader in 1..=3 {
                let client = world.client(reader);
                for (key, gone) in is_gone.iter_mut().enumerate().skip(1) {
                    let reply = world.show(client, &["GET", &format!("k{key}")]);
                    assert!(!*gone || reply == "nil", "k{key} came back on {reader}");
                    *gone |= reply == "nil";
                }
            }
            world.run_ms(700);
        }
        assert_eq!(is_gone[1..], [true; 3], "{offsets:?}");
        let client = world.client(2);
        assert_eq!(world.show(client, &["GET", "stays"]), "v");
        assert_eq!(world.replica(1).metrics().term, term, "no election");
        world.run_ms(100);
        let hashes: Vec<u64> = (1..=3).map(|id| world.replica(id).state_hash()).collect();
        assert_eq!(hashes, [hashes[0]; 3]);
    }
}

#[test]
fn a_leaders_clock_that_jumps_back_brings_no_key_back() {
    let mut world = World::ready(3);
    let leader = world.leader();
    let client = world.client(leader);
    assert_eq!(world.show(client, &["SET", "k", "v", "PX", "100"]), "OK");
    world.run_ms(200);
    assert_eq!(world.show(client, &["GET", "k"]), "nil");
    world.node(leader).clock_offset_ms = -30_000;
    for node in 1..=3 {
        let client = world.client(node);
        assert_eq!(world.show(client, &["GET", "k"]), "nil", "on {node}");
    }
    // Time stands until the clock has caught up; nothing expires early.
    assert_eq!(world.show(client, &["SET", "k", "w", "PX", "60000"]), "OK");
    world.node(leader).clock_offset_ms = 0;
    world.run_ms(10_000);
    assert_eq!(world.show(client, &["GET", "k"]), "w");
}

#[test]
fn a_run_of_reads_that_meets_a_key_due_by_the_clock_is_answered_in_order() {
    let mut world = World::ready(3);
    let follower = world.follower();
    world.node(follower).clock_offset_ms = 5_000;
    let client = world.client(follower);
    assert_eq!(world.show(client, &["SET", "due", "v", "PX", "1000"]), "OK");
    assert_eq!(world.show(client, &["SET", "other", "w"]), "OK");
    let requests: [&[&str]; 9] = [
        &["GET", "other"],
        &["GET", "due"],
        &["PING"],
        &["MULTI"],
        &["GET", "due"],
        &["GET", "other"],
        &["EXEC"],
        &["GET", "other"],
        &["INCR", "n"],
    ];
    // First with the write, in one run; then without it, so that the reads are deferred.
    for count in [9, 8] {
        let replies = world.pipeline(client, &requests[..count]);
        let shown: Vec<String> = replies.iter().map(common::show).collect();
        assert_eq!(
            shown[..8],
            ["w", "v", "PONG", "OK", "QUEUED", "QUEUED", "[v w]", "w"]
        );
    }
    assert_eq!(world.show(client, &["INCR", "n"]), "2");
}

#[test]
fn full_queues_without_a_quorum_are_answered_by_the_deadline() {
    let mut world = World::with(3, |config| {
        config.unapplied_bytes_max = 2_000;
        config.batch_bytes_max = 300;
        config.request_timeout_ms = 1_000;
    });
    let node = {
        world.leader();
        world.follower()
    };
    world.isolate(node);
    let clients: Vec<_> = (0..20).map(|_| world.client(node)).collect();
    let value = "v".repeat(100);
    for &client in &clients {
        let requests: Vec<[&str; 3]> = vec![["SET", "k", &value]; 10];
        let requests: Vec<&[&str]> = requests.iter().map(|request| &request[..]).collect();
        world.send(client, &requests);
    }
    let start_us = world.now.mono_us;
    for &client in &clients {
        let (replies, _) = wait_ms(&mut world, client, 10);
        for reply in &replies {
            let is_expected = reply.starts_with("-NOQUORUM") || reply.starts_with("-UNCERTAIN");
            assert!(is_expected, "{reply}");
        }
    }
    // A command may wait for room for one deadline, and be in flight for another.
    let waited_ms = (world.now.mono_us - start_us) / 1000;
    assert!(waited_ms <= 2 * 1_000 + 10 * TICK_MS, "{waited_ms}");
    world.heal();
    world.run_ms(2_000);
    for &client in &clients {
        assert_eq!(world.show(client, &["SET", "k", "after"]), "OK");
    }
    assert_eq!(world.replica(node).metrics().batches_unapplied, 0);
}

#[test]
fn a_client_held_by_pause_or_sleep_goes_on() {
    let mut world = World::ready(1);
    let (client, other) = (world.client(1), world.client(1));
    assert_eq!(
        world.show(other, &["CLIENT", "PAUSE", "200", "WRITE"]),
        "OK"
    );
    world.send(client, &[&["GET", "a"], &["INCR", "a"], &["GET", "a"]]);
    world.run_ms(100);
    assert_eq!(world.replies(client), ["nil"]);
    world.run_ms(200);
    assert_eq!(world.replies(client), ["1", "1"]);
    assert_eq!(
        world.show(other, &["CLIENT", "PAUSE", "100000", "WRITE"]),
        "OK"
    );
    world.send(client, &[&["INCR", "a"]]);
    world.run_ms(10_000);
    assert!(world.replies(client).is_empty());
    assert_eq!(world.show(other, &["CLIENT", "UNPAUSE"]), "OK");
    world.settle();
    assert_eq!(world.replies(client), ["2"]);
}

#[test]
fn nothing_grows_while_a_client_waits_for_its_password() {
    let mut world = World::with(1, |config| config.requirepass = Some("secret".into()));
    world.leader();
    let client = world.client(1);
    // Errors that it does not read stop its input; what it sends is not taken without end.
    let mut request = Vec::new();
    resp::encode_request(&mut request, &["GET", "a"]);
    let flood = request.repeat(50_000);
    for piece in flood.chunks(10_000) {
        if !world.wants_input(client) {
            break;
        }
        world.receive(client, piece);
    }
    let pending = world.replica(1).client_output(client.id).len();
    assert!(pending < 2_000, "{pending} bytes of errors wait");
    assert!(!world.wants_input(client));
    world.run_ms(11_000);
    assert!(world.node(1).closed.contains(&client.id));
}
