//! One pipeline of every kind of command, cut at every byte: always the same replies.

mod common;

use common::{World, show};

fn pipeline() -> (Vec<u8>, Vec<String>) {
    let steps: [(&[&str], &str); 33] = [
        (&["GET", "k"], "nil"),
        (&["SET", "k", "1"], "OK"),
        (&["INCR", "k"], "2"),
        (&["GET", "k"], "2"),
        (&["PING"], "PONG"),
        (&["WATCH", "k"], "OK"),
        (&["MULTI"], "OK"),
        (&["INCR", "k"], "QUEUED"),
        (&["SELECT", "3"], "QUEUED"),
        (&["SET", "k", "third"], "QUEUED"),
        (&["GET", "k"], "QUEUED"),
        (&["EXEC"], "[3 OK OK third]"),
        (&["GET", "k"], "third"),
        (&["SELECT", "0"], "OK"),
        (&["GET", "k"], "3"),
        (&["WATCH", "k"], "OK"),
        (&["SET", "k", "4"], "OK"),
        (&["MULTI"], "OK"),
        (&["INCR", "k"], "QUEUED"),
        (&["EXEC"], "nil"),
        (&["MULTI"], "OK"),
        (&["GET", "k"], "QUEUED"),
        (&["PING"], "QUEUED"),
        (&["EXEC"], "[4 PONG]"),
        (&["MULTI"], "OK"),
        (
            &["SET", "k"],
            "-ERR wrong number of arguments for 'set' command",
        ),
        (
            &["EXEC"],
            "-EXECABORT Transaction discarded because of previous errors.",
        ),
        (&["DEL", "k"], "1"),
        (&["EXISTS", "k"], "0"),
        (&["CLIENT", "GETNAME"], "nil"),
        (&["SELECT", "3"], "OK"),
        (&["DEL", "k"], "1"),
        (&["ECHO", "end"], "end"),
    ];
    let mut bytes = Vec::new();
    for (request, _) in &steps {
        resp::encode_request(&mut bytes, request);
    }
    let expected = steps.iter().map(|(_, reply)| (*reply).to_owned());
    (bytes, expected.collect())
}

#[test]
fn a_pipeline_cut_in_two_anywhere_is_answered_alike() {
    let (bytes, expected) = pipeline();
    for nodes in [1, 3] {
        let mut world = World::ready(nodes);
        let node = if nodes == 1 { 1 } else { world.follower() };
        for cut in 0..=bytes.len() {
            let client = world.client(node);
            world.receive(client, &bytes[..cut]);
            // Cuts within a turn, between turns, and with all before them answered.
            match cut % 3 {
                0 => {}
                1 => world.settle_once(),
                _ => world.settle(),
            }
            world.receive(client, &bytes[cut..]);
            let replies = world.pipeline_rest(client, expected.len());
            let shown: Vec<String> = replies.iter().map(show).collect();
            assert_eq!(shown, expected, "cut at {cut}, {nodes} nodes");
        }
    }
}

#[test]
fn a_pipeline_that_comes_byte_by_byte_is_answered_alike() {
    let (bytes, expected) = pipeline();
    for turns in [0, 1, 2] {
        let mut world = World::ready(3);
        let node = world.follower();
        let client = world.client(node);
        for byte in &bytes {
            world.receive(client, std::slice::from_ref(byte));
            for _ in 0..turns {
                world.settle_once();
            }
        }
        let replies = world.pipeline_rest(client, expected.len());
        let shown: Vec<String> = replies.iter().map(show).collect();
        assert_eq!(shown, expected);
    }
}

#[test]
fn a_protocol_error_is_answered_behind_what_came_before_it_and_ends_the_connection() {
    let before: [&[&[&str]]; 4] = [
        &[],
        &[&["GET", "a"]],
        &[&["SET", "a", "1"]],
        &[&["MULTI"], &["SET", "a", "1"], &["SELECT", "1"], &["EXEC"]],
    ];
    for requests in before {
        for is_cut in [false, true] {
            let mut world = World::ready(3);
            let node = world.follower();
            let client = world.client(node);
            let mut bytes = Vec::new();
            for request in requests {
                resp::encode_request(&mut bytes, request);
            }
            if is_cut {
                world.receive(client, &bytes);
                bytes.clear();
            }
            bytes.extend(b"*1\r\n!oops\r\n");
            resp::encode_request(&mut bytes, &["SET", "behind", "1"]);
            world.receive(client, &bytes);
            world.settle();
            let replies = world.replies(client);
            assert_eq!(replies.len(), requests.len() + 1, "{replies:?}");
            let last = replies.last().expect("one");
            assert!(last.starts_with("-ERR Protocol error"), "{replies:?}");
            assert!(world.node(node).closed.contains(&client.id));
            let reader = world.client(node);
            assert_eq!(world.show(reader, &["EXISTS", "behind"]), "0");
        }
    }
}

#[test]
fn hello_in_the_middle_changes_only_what_is_behind_it() {
    let mut world = World::ready(3);
    let node = world.follower();
    let client = world.client(node);
    let requests: [&[&str]; 5] = [
        &["SET", "k", "1"],
        &["GET", "none"],
        &["HELLO", "3"],
        &["GET", "none"],
        &["INCR", "k"],
    ];
    let replies = world.pipeline(client, &requests);
    assert_eq!(show(&replies[1]), "nil");
    assert!(
        matches!(replies[2], resp::Value::Map(_)),
        "{:?}",
        replies[2]
    );
    assert!(matches!(replies[3], resp::Value::Null), "{:?}", replies[3]);
    assert_eq!(show(&replies[4]), "2");
}

#[test]
fn a_client_that_leaves_in_the_middle_is_not_missed() {
    let (bytes, expected) = pipeline();
    let mut world = World::ready(3);
    let node = world.follower();
    for cut in (0..bytes.len()).step_by(7) {
        let leaving = world.client(node);
        world.receive(leaving, &bytes[..cut]);
        if cut % 2 == 0 {
            world.settle_once();
        }
        world.replica(node).client_disconnected(leaving.id);
        world.settle();
        // Its slot is used again, and its replies do not come to the next one.
        let client = world.client(node);
        world.call(client, &["FLUSHALL"]);
        world.receive(client, &bytes);
        let replies = world.pipeline_rest(client, expected.len());
        let shown: Vec<String> = replies.iter().map(show).collect();
        assert_eq!(shown, expected, "left at {cut}");
        world.replica(node).client_disconnected(client.id);
    }
}
