//! Where in the log replies were made, as a simulator is told.

mod common;

use common::{Client, World, show};
use replica::{AFTER_ENTRY, Witness};
use resp::ReplyBuffer;

/// What a client was sent, reply by reply, each with its witness.
fn witnessed(world: &mut World, client: Client) -> Vec<(String, Option<(u64, u32)>)> {
    let node = world.node(client.node);
    let sent = node.sent.get(&client.id).cloned().unwrap_or_default();
    let mut witnesses: Vec<Witness> = node
        .witnesses
        .iter()
        .copied()
        .filter(|witness| witness.client == client.id)
        .collect();
    assert!(
        witnesses.is_sorted_by_key(|witness| witness.offset),
        "{witnesses:?}"
    );
    let mut buffer = ReplyBuffer::default();
    let mut replies = Vec::new();
    let mut starts_at = 0;
    for (at, byte) in sent.iter().enumerate() {
        buffer.feed(&[*byte]);
        if let Some(reply) = buffer.next_value().expect("well-formed replies") {
            let witness = witnesses
                .first()
                .filter(|witness| witness.offset == starts_at);
            let position = witness.map(|witness| (witness.index.0, witness.order));
            if position.is_some() {
                witnesses.remove(0);
            }
            replies.push((show(&reply), position));
            starts_at = at as u64 + 1;
        }
    }
    assert_eq!(witnesses, [], "each belongs to a reply");
    replies
}

/// The same with indices counted from the first one.
fn relative(replies: &[(String, Option<(u64, u32)>)]) -> Vec<(&str, Option<(u64, u32)>)> {
    let first = replies.iter().find_map(|(_, position)| *position);
    let first = first.map_or(0, |(index, _)| index);
    replies
        .iter()
        .map(|(reply, position)| {
            let position = position.map(|(index, order)| (index - first, order));
            (reply.as_str(), position)
        })
        .collect()
}

#[test]
fn calls_one_by_one_are_witnessed_at_rising_indices() {
    for follower in [false, true] {
        for protocol in ["2", "3"] {
            let mut world = World::ready(3);
            let node = match follower {
                true => world.follower(),
                false => world.leader(),
            };
            let client = world.client(node);
            world.call(client, &["HELLO", protocol]);
            let calls: [&[&str]; 9] = [
                &["SET", "k", "1"],
                &["GET", "k"],
                &["INCR", "k"],
                &["PING"],
                &["GET", "missing"],
                &["SET", "t", "x"],
                &["INCR", "t"],
                &["NOSUCH"],
                &["GET", "k"],
            ];
            for call in calls {
                world.call(client, call);
            }
            let replies = witnessed(&mut world, client);
            assert_eq!(
                relative(&replies[1..]),
                [
                    ("OK", Some((0, 0))),
                    ("1", Some((0, AFTER_ENTRY))),
                    ("2", Some((1, 0))),
                    ("PONG", None),
                    ("nil", Some((1, AFTER_ENTRY))),
                    ("OK", Some((2, 0))),
                    ("-ERR value is not an integer or out of range", Some((3, 0))),
                    (
                        "-ERR unknown command 'NOSUCH', with args beginning with: ",
                        None
                    ),
                    ("2", Some((3, AFTER_ENTRY))),
                ]
            );
            let applied = world.replica(node).metrics().applied_index;
            assert_eq!(replies[9].1, Some((applied, AFTER_ENTRY)));
        }
    }
}

#[test]
fn a_pipeline_is_witnessed_record_by_record() {
    let mut world = World::ready(3);
    let node = world.follower();
    let client = world.client(node);
    // What the socket does not take at once is not counted twice.
    world.node(node).socket_bytes_max = 3;
    world.pipeline(
        client,
        &[
            &["GET", "k"],
            &["SET", "k", "1"],
            &["GET", "k"],
            &["INCR", "k"],
            &["PING"],
            &["MULTI"],
            &["INCR", "k"],
            &["GET", "k"],
            &["INCR", "k"],
            &["EXEC"],
            &["GET", "k"],
            &["MULTI"],
            &["GET", "k"],
            &["EXEC"],
            &["INCR", "k"],
            &["GET", "k"],
        ],
    );
    let replies = witnessed(&mut world, client);
    assert_eq!(
        relative(&replies),
        [
            ("nil", Some((0, 0))),
            ("OK", Some((0, 0))),
            ("1", Some((0, 1))),
            ("2", Some((0, 1))),
            ("PONG", None),
            ("OK", None),
            ("QUEUED", None),
            ("QUEUED", None),
            ("QUEUED", None),
            ("[3 3 4]", Some((0, 2))),
            ("4", Some((0, 3))),
            ("OK", None),
            ("QUEUED", None),
            ("[4]", Some((0, 3))),
            ("5", Some((0, 3))),
            ("5", Some((0, 4))),
        ]
    );
}

#[test]
fn transactions_are_witnessed_whether_they_took_place_or_not() {
    let mut world = World::ready(3);
    let node = world.leader();
    let (client, other) = (world.client(node), world.client(node));
    let transaction: [&[&str]; 3] = [&["MULTI"], &["SET", "k", "2"], &["EXEC"]];
    world.call(client, &["WATCH", "k"]);
    world.pipeline(client, &transaction);
    world.call(client, &["WATCH", "k"]);
    world.call(other, &["SET", "k", "3"]);
    world.pipeline(client, &transaction);
    world.call(client, &["WATCH", "k"]);
    world.pipeline(client, &[&["MULTI"], &["GET", "k"], &["EXEC"]]);
    world.call(client, &["WATCH", "k"]);
    world.call(other, &["SET", "k", "4"]);
    world.pipeline(client, &[&["MULTI"], &["GET", "k"], &["EXEC"]]);
    world.pipeline(client, &[&["MULTI"], &["SET", "k"], &["EXEC"]]);
    let replies = witnessed(&mut world, client);
    let positions: Vec<_> = relative(&replies)
        .into_iter()
        .filter(|(reply, position)| position.is_some() || reply.starts_with("-EXECABORT"))
        .collect();
    assert_eq!(
        positions,
        [
            ("[OK]", Some((0, 0))),
            ("nil", Some((2, 0))),
            ("[3]", Some((2, AFTER_ENTRY))),
            ("nil", Some((3, AFTER_ENTRY))),
            (
                "-EXECABORT Transaction discarded because of previous errors.",
                None
            ),
        ]
    );
}

#[test]
fn messages_between_replies_count_as_output() {
    let mut world = World::ready(3);
    let node = world.follower();
    let (client, other) = (world.client(node), world.client(node));
    world.pipeline(client, &[&["HELLO", "3"], &["SUBSCRIBE", "c"]]);
    world.call(other, &["PUBLISH", "c", "one"]);
    world.send(
        client,
        &[&["GET", "k"], &["PUBLISH", "c", "two"], &["GET", "k"]],
    );
    world.settle();
    world.call(other, &["PUBLISH", "c", "three"]);
    let replies = witnessed(&mut world, client);
    assert_eq!(
        relative(&replies[2..]),
        [
            ("[message c one]", None),
            ("nil", Some((0, 0))),
            ("[message c two]", None),
            ("1", Some((0, 0))),
            ("nil", Some((0, 1))),
            ("[message c three]", None),
        ]
    );
}

#[test]
fn replies_that_are_not_sent_or_say_that_nothing_was_executed_have_no_witness() {
    let mut world = World::with(3, |config| config.request_timeout_ms = 200);
    let node = world.leader();
    let client = world.client(node);
    world.send(
        client,
        &[
            &["SET", "k", "1"],
            &["CLIENT", "REPLY", "SKIP"],
            &["INCR", "k"],
            &["INCR", "k"],
        ],
    );
    world.run_ms(100);
    world.isolate(node);
    world.send(client, &[&["GET", "k"]]);
    world.run_ms(1_000);
    world.send(client, &[&["INCR", "k"]]);
    world.run_ms(1_000);
    let replies = witnessed(&mut world, client);
    let [first, second, read, write] = &replies[..] else {
        panic!("four replies: {replies:?}");
    };
    assert_eq!(first.0, "OK");
    assert!(first.1.is_some());
    assert_eq!(second.0, "3");
    assert!(second.1.is_some());
    for (reply, position) in [read, write] {
        assert!(reply.starts_with("-NOQUORUM"), "{reply}");
        assert_eq!(*position, None);
    }
}
