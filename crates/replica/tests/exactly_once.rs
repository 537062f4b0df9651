//! A batch takes effect once: whatever becomes of it and of its leader on the way, and whatever
//! becomes of its gateway.

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::{Client, Fate, World, show};
use replica::PeerMessage;

fn is_forward(message: &PeerMessage) -> bool {
    matches!(message, PeerMessage::Forward(_))
}

/// What a client has in flight when trouble comes: three increments and three appended bytes, three
/// of the six in a transaction.
fn send_mixture(world: &mut World, client: Client) {
    world.send(client, &[&["INCR", "n"], &["APPEND", "text", "a"]]);
    world.send(
        client,
        &[
            &["MULTI"],
            &["INCR", "n"],
            &["APPEND", "text", "b"],
            &["GET", "n"],
            &["EXEC"],
        ],
    );
    world.send(client, &[&["APPEND", "text", "c"], &["INCR", "n"]]);
}

const MIXTURE: [&str; 9] = [
    "1", "1", "OK", "QUEUED", "QUEUED", "QUEUED", "[2 2 2]", "3", "3",
];

fn assert_mixture_once(world: &mut World, node: u64, what: &str) {
    let client = world.client(node);
    assert_eq!(world.show(client, &["GET", "n"]), "3", "{what}");
    assert_eq!(world.show(client, &["GET", "text"]), "abc", "{what}");
}

#[test]
fn batches_lost_doubled_or_late_on_their_way_are_applied_once_and_in_order() {
    for fate in [Fate::IsLost, Fate::ArrivesTwice, Fate::IsLate { ms: 40 }] {
        for every in [2, 3] {
            let mut world = World::ready(3);
            let follower = world.follower();
            let client = world.client(follower);
            let count = Cell::new(0);
            world.fate = Box::new(move |_, _, message| {
                count.set(count.get() + u32::from(is_forward(message)));
                // The first attempts have trouble, so that there is an end.
                match is_forward(message) && count.get().is_multiple_of(every) && count.get() < 4 {
                    true => fate,
                    false => Fate::Arrives,
                }
            });
            for _ in 0..2 {
                world.settle_once();
            }
            send_mixture(&mut world, client);
            let replies = world.pipeline_rest(client, MIXTURE.len());
            let shown: Vec<String> = replies.iter().map(show).collect();
            assert_eq!(shown, MIXTURE, "{fate:?} every {every}");
            assert_mixture_once(&mut world, follower, &format!("{fate:?} every {every}"));
        }
    }
}

#[test]
fn a_leader_may_die_at_any_message_between_proposal_and_apply() {
    for last in 0..60 {
        let mut world = World::ready(3);
        let (leader, survivor) = (world.leader(), world.follower());
        let client = world.client(survivor);
        let sent = Rc::new(Cell::new(0));
        let counter = Rc::clone(&sent);
        world.fate = Box::new(move |from, to, _| {
            counter.set(counter.get() + 1);
            match counter.get() > last && (from == leader || to == leader) {
                true => Fate::IsLost,
                false => Fate::Arrives,
            }
        });
        send_mixture(&mut world, client);
        world.settle();
        world.crash(leader);
        world.fate = Box::new(|_, _, _| Fate::Arrives);
        let replies = world.pipeline_rest(client, MIXTURE.len());
        let shown: Vec<String> = replies.iter().map(show).collect();
        assert_eq!(shown, MIXTURE, "after {last} messages");
        world.start(leader);
        assert_mixture_once(&mut world, leader, &format!("after {last} messages"));
        if sent.get() < last {
            return;
        }
    }
    panic!("the mixture takes more messages than were tried");
}

#[test]
fn the_batch_of_a_dead_gateway_that_arrives_late_is_applied_once_or_never() {
    for late_ms in [0, 20, 200, 2_000] {
        let mut world = World::ready(3);
        let gateway = world.follower();
        let client = world.client(gateway);
        assert_eq!(world.show(client, &["INCR", "n"]), "1");
        let leader = world.leader();
        // Handed over twice: one copy at once, one after the gateway has come back.
        let held = Rc::new(Cell::new(None));
        let keep = Rc::clone(&held);
        world.fate = Box::new(move |_, _, message| {
            if is_forward(message) {
                keep.set(Some(message.clone()));
            }
            Fate::Arrives
        });
        world.send(client, &[&["INCR", "n"]]);
        world.settle();
        world.fate = Box::new(|_, _, _| Fate::Arrives);
        world.crash(gateway);
        world.start(gateway);
        world.run_ms(late_ms);
        let late = held.take().expect("a batch was forwarded");
        let now = world.local_now(leader);
        let from = raft::NodeId(gateway);
        world.replica(leader).peer_message(now, from, late.clone());
        let client = world.client(gateway);
        assert_eq!(world.show(client, &["INCR", "n"]), "3", "{late_ms} ms");
        // And after the new incarnation's first batch.
        let now = world.local_now(leader);
        world.replica(leader).peer_message(now, from, late);
        world.run_ms(100);
        assert_eq!(world.show(client, &["INCR", "n"]), "4", "{late_ms} ms");
    }
}

#[test]
fn gateways_come_and_go_and_each_increment_counts_once() {
    let mut world = World::ready(3);
    let mut acknowledged = 0;
    let mut unknown = 0;
    for round in 0..12 {
        let node = 1 + round % 3;
        let client = world.client(node);
        world.send(client, &[&["INCR", "n"], &["INCR", "n"]]);
        for _ in 0..round % 5 {
            world.settle_once();
        }
        let answered = world.replies(client).len() as i64;
        acknowledged += answered;
        unknown += 2 - answered;
        world.crash(node);
        world.start(node);
        let reader = world.client(1 + (round + 1) % 3);
        let reply = world.show(reader, &["GET", "n"]);
        let value: i64 = reply.parse().unwrap_or(0);
        assert!(
            (acknowledged..=acknowledged + unknown).contains(&value),
            "round {round}: {value}, acknowledged {acknowledged}, unknown {unknown}"
        );
    }
}

#[test]
fn a_peer_that_sends_rubbish_for_a_batch_harms_nobody() {
    let mut world = World::ready(3);
    let (leader, peer) = (world.leader(), world.follower());
    let header = |gateway: u64, incarnation: u64, sequence: u64| {
        let mut bytes = vec![1];
        bytes.extend(gateway.to_le_bytes());
        bytes.extend(incarnation.to_le_bytes());
        bytes.extend(sequence.to_le_bytes());
        bytes
    };
    let incarnation = world.node(peer).incarnation;
    let transaction = |watches: u32, writes: u32| {
        let mut bytes = vec![0xFF, 0xFF];
        bytes.extend(watches.to_le_bytes());
        bytes.extend(writes.to_le_bytes());
        bytes
    };
    let rubbish = [
        Vec::new(),
        vec![1],
        vec![9; 40],
        header(peer, incarnation, 1),
        header(peer, incarnation, 0),
        header(peer, u64::MAX, u64::MAX),
        header(99, 1, 1),
        // Counts that nothing stands behind, unknown commands, databases that are not there.
        [header(peer, incarnation, 2), transaction(u32::MAX, 0)].concat(),
        [header(peer, incarnation, 3), transaction(0, u32::MAX)].concat(),
        [
            header(peer, incarnation, 4),
            vec![0xFE, 0xFF, 0, 0, 0, 0, 0],
        ]
        .concat(),
        [
            header(peer, incarnation, 5),
            vec![0, 0, 200, 0xFF, 0xFF, 0xFF, 0xFF],
        ]
        .concat(),
        [
            header(peer, incarnation, 6),
            vec![1, 0, 255, 1, 0, 0, 0, 0, 0, 0, 0],
        ]
        .concat(),
        [header(peer, incarnation, 7), header(peer, incarnation, 8)].concat(),
    ];
    for bytes in rubbish {
        let forward = PeerMessage::Forward(replica::Forward {
            term: raft::Term(1),
            batch: bytes.into(),
        });
        let now = world.local_now(leader);
        world
            .replica(leader)
            .peer_message(now, raft::NodeId(peer), forward);
        world.settle();
    }
    let other = 6 - leader - peer;
    let client = world.client(other);
    assert_eq!(world.show(client, &["INCR", "n"]), "1");
    world.run_ms(500);
    let hashes: Vec<u64> = (1..=3).map(|id| world.replica(id).state_hash()).collect();
    assert_eq!(hashes, [hashes[0]; 3]);
}

/// What a data directory restored from an old copy looks like to the others: an incarnation, and
/// numbers, that they have seen before.
#[test]
#[should_panic(expected = "its data directory is an old copy")]
fn a_node_whose_numbers_were_used_before_stops() {
    let mut world = World::ready(3);
    let (leader, node) = (world.leader(), world.follower());
    let mut batch = vec![1];
    for number in [node, world.node(node).incarnation, 1] {
        batch.extend(number.to_le_bytes());
    }
    let forward = PeerMessage::Forward(replica::Forward {
        term: raft::Term(1),
        batch: batch.into(),
    });
    let now = world.local_now(leader);
    world
        .replica(leader)
        .peer_message(now, raft::NodeId(node), forward);
    world.settle();
    let client = world.client(node);
    world.call(client, &["INCR", "n"]);
}
