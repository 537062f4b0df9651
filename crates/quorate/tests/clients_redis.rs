//! The `redis` crate, which nobody here wrote, against three real processes: each test runs in RESP2
//! and RESP3, on the leader and on both followers.

mod harness;

use std::{collections::BTreeSet, sync::mpsc, thread, time::Duration};

use harness::{Cluster, PATIENCE, alone};
use redis::{Client, Commands, Connection, ErrorKind, PubSubCommands, RedisResult, Value};

/// Opens a connection as an application would, by URL.
fn connect(cluster: &Cluster, node: usize, protocol: &str) -> Connection {
    let port = cluster.node(node).port;
    let client = Client::open(format!("redis://127.0.0.1:{port}/?protocol={protocol}"))
        .expect("a URL that the client understands");
    let connection = client.get_connection().expect("the node takes connections");
    connection
        .set_read_timeout(Some(PATIENCE))
        .expect("a timeout above zero");
    connection
}

/// Every protocol on every node.
fn everywhere(cluster: &Cluster, mut test: impl FnMut(&mut Connection, &str)) {
    for protocol in ["resp2", "resp3"] {
        for node in cluster.ids() {
            let prefix = format!("{protocol}:{node}:");
            test(&mut connect(cluster, node, protocol), &prefix);
        }
    }
}

#[test]
fn values_written_on_one_node_are_read_on_every_other() {
    let _alone = alone();
    let cluster = Cluster::of_three();
    let binary: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    everywhere(&cluster, |connection, prefix| {
        let key = format!("{prefix}binary");
        let () = connection.set(&key, &binary).expect("SET");
        let () = connection
            .mset(&[(format!("{prefix}a"), 1), (format!("{prefix}b"), 2)])
            .expect("MSET");
        let counted: i64 = connection.incr(format!("{prefix}a"), 41).expect("INCRBY");
        assert_eq!(counted, 42);
        let float: f64 = connection
            .incr(format!("{prefix}float"), 0.5)
            .expect("INCRBYFLOAT");
        assert!((float - 0.5).abs() < f64::EPSILON);
        for reader in cluster.ids() {
            let mut other = connect(&cluster, reader, "resp3");
            let read: Vec<u8> = other.get(&key).expect("GET");
            assert_eq!(read, binary, "{key} on node {reader}");
            let numbers: (i64, i64, Option<i64>) = other
                .mget(&[
                    format!("{prefix}a"),
                    format!("{prefix}b"),
                    format!("{prefix}c"),
                ])
                .expect("MGET");
            assert_eq!(numbers, (42, 2, None));
        }
        let removed: i64 = connection.del(&[&key, "nothing"]).expect("DEL");
        assert_eq!(removed, 1);
    });
}

#[test]
fn expiry_is_seen_alike_on_every_node() {
    let _alone = alone();
    let cluster = Cluster::of_three();
    everywhere(&cluster, |connection, prefix| {
        let (soon, later) = (format!("{prefix}soon"), format!("{prefix}later"));
        let () = connection.pset_ex(&soon, "x", 40).expect("PSETEX");
        let () = connection.set_ex(&later, "x", 1000).expect("SETEX");
        harness::poll("the key is gone", || {
            let value: Option<String> = connection.get(&soon).expect("GET");
            value.is_none().then_some(())
        });
        for reader in cluster.ids() {
            let mut other = connect(&cluster, reader, "resp2");
            assert!(
                !other.exists::<_, bool>(&soon).expect("EXISTS"),
                "gone once, gone everywhere"
            );
            let left: i64 = other.ttl(&later).expect("TTL");
            assert!(
                (900..=1000).contains(&left),
                "{left} s left on node {reader}"
            );
        }
    });
}

#[test]
fn pipelines_answer_in_order_and_errors_stay_with_their_commands() {
    let _alone = alone();
    let cluster = Cluster::of_three();
    everywhere(&cluster, |connection, prefix| {
        let key = format!("{prefix}counter");
        let mut pipeline = redis::pipe();
        for _ in 0..2000 {
            pipeline.incr(&key, 1);
            pipeline.get(&key);
        }
        let replies: Vec<i64> = pipeline.query(connection).expect("a pipeline");
        let expected: Vec<i64> = (1..=2000).flat_map(|number| [number, number]).collect();
        assert_eq!(replies, expected);

        let text = format!("{prefix}text");
        let mut pipeline = redis::pipe();
        pipeline
            .set(&text, "x")
            .incr(&text, 1)
            .append(&text, "y")
            .get(&text);
        let error = pipeline
            .query::<Value>(connection)
            .expect_err("INCR of a text");
        assert!(error.to_string().contains("not an integer"), "{error}");
        let after: String = connection.get(&text).expect("GET");
        assert_eq!(
            after, "xy",
            "the commands behind the failed one took effect"
        );
    });
}

#[test]
fn transactions_are_one_step_for_everybody() {
    let _alone = alone();
    let cluster = Cluster::of_three();
    everywhere(&cluster, |connection, prefix| {
        let (from, to) = (format!("{prefix}from"), format!("{prefix}to"));
        let replies: (i64, i64, i64) = redis::pipe()
            .atomic()
            .incr(&from, -5)
            .incr(&to, 5)
            .get(&from)
            .query(connection)
            .expect("MULTI and EXEC");
        assert_eq!(replies, (-5, 5, -5));
        let error = redis::pipe()
            .atomic()
            .incr(&from, 1)
            .cmd("NOSUCH")
            .query::<Value>(connection);
        let error = error.expect_err("a transaction with an unknown command");
        assert!(
            error.to_string().contains("EXECABORT")
                || error.kind() == ErrorKind::Server(redis::ServerErrorKind::ExecAbort),
            "{error}"
        );
        let untouched: i64 = connection.get(&from).expect("GET");
        assert_eq!(untouched, -5);
    });
}

#[test]
fn watch_on_three_nodes_at_once_loses_no_increment() {
    const INCREMENTS: i64 = 40;
    let _alone = alone();
    let cluster = Cluster::of_three();
    thread::scope(|scope| {
        for (node, protocol) in [(1, "resp2"), (2, "resp3"), (3, "resp2"), (1, "resp3")] {
            let mut connection = connect(&cluster, node, protocol);
            scope.spawn(move || {
                for _ in 0..INCREMENTS {
                    let done: RedisResult<(i64,)> =
                        redis::transaction(&mut connection, &["shared"], |connection, pipeline| {
                            let old: Option<i64> = connection.get("shared")?;
                            let new = old.unwrap_or(0) + 1;
                            pipeline
                                .set("shared", new)
                                .ignore()
                                .get("shared")
                                .query(connection)
                        });
                    done.expect("a transaction that is tried until it succeeds");
                }
            });
        }
    });
    assert_eq!(
        cluster.ask_all(&["GET", "shared"]),
        resp::Value::Bulk(b"160".to_vec())
    );
}

#[test]
fn messages_published_on_any_node_reach_subscribers_of_every_node_once_and_in_order() {
    const MESSAGES: usize = 200;
    let _alone = alone();
    let cluster = Cluster::of_three();
    for publisher in cluster.ids() {
        let channel = format!("news.{publisher}");
        let mut subscribers: Vec<Connection> = cluster
            .ids()
            .into_iter()
            .map(|node| connect(&cluster, node, "resp2"))
            .collect();
        let mut subscriptions: Vec<_> = subscribers.iter_mut().map(Connection::as_pubsub).collect();
        for subscription in &mut subscriptions {
            subscription.subscribe(&channel).expect("SUBSCRIBE");
            subscription.psubscribe("news.*").expect("PSUBSCRIBE");
        }
        let mut publishing = connect(&cluster, publisher, "resp3");
        for number in 0..MESSAGES {
            let () = publishing.publish(&channel, number).expect("PUBLISH");
        }
        for subscription in &mut subscriptions {
            for number in 0..2 * MESSAGES {
                let message = subscription.get_message().expect("a message");
                assert_eq!(message.get_channel_name(), channel);
                assert_eq!(
                    message.get_payload::<usize>().expect("a number"),
                    number / 2
                );
                assert_eq!(message.from_pattern(), number % 2 == 1);
            }
        }
    }
}

#[test]
fn a_resp3_connection_gets_messages_between_replies() {
    let _alone = alone();
    let cluster = Cluster::of_three();
    for node in cluster.ids() {
        let mut connection = connect(&cluster, node, "resp3");
        let (sender, pushes) = mpsc::channel();
        connection.set_push_sender(sender);
        connection.subscribe_resp3("news").expect("SUBSCRIBE");
        // The client reads pushes when it reads a reply.
        let mut await_push = |kind: redis::PushKind, what: &str| {
            harness::poll(what, || {
                let () = connection
                    .set("key", "value")
                    .expect("SET on a subscribed connection");
                pushes.try_iter().find(|push| push.kind == kind)
            })
        };
        // It begins when it is confirmed, which the client does not wait for.
        await_push(redis::PushKind::Subscribe, "the subscription is confirmed");
        let other = cluster.others(node)[0];
        let () = connect(&cluster, other, "resp2")
            .publish("news", "hello")
            .expect("PUBLISH");
        let message = await_push(redis::PushKind::Message, "the message arrives");
        assert_eq!(
            message.data,
            [
                Value::BulkString(b"news".to_vec()),
                Value::BulkString(b"hello".to_vec())
            ]
        );
        connection.unsubscribe_resp3("news").expect("UNSUBSCRIBE");
    }
}

#[test]
fn a_publisher_is_told_how_many_heard_it_on_its_node() {
    let _alone = alone();
    let cluster = Cluster::of_three();
    let mut listening = connect(&cluster, 1, "resp2");
    let (heard, receiver) = mpsc::channel();
    let listener = thread::spawn(move || {
        listening.subscribe(&["here"], |message| {
            heard
                .send(message.get_payload::<String>().expect("a text"))
                .expect("somebody listens");
            redis::ControlFlow::Break(())
        })
    });
    let mut publishing = connect(&cluster, 1, "resp3");
    harness::poll("the subscriber is counted", || {
        let count: i64 = publishing.publish("here", "hello").expect("PUBLISH");
        (count == 1).then_some(())
    });
    assert_eq!(receiver.recv_timeout(PATIENCE).expect("a message"), "hello");
    listener.join().expect("no panic").expect("no error");
}

#[test]
fn a_scan_finds_every_key_on_every_node() {
    let _alone = alone();
    let cluster = Cluster::of_three();
    let names: BTreeSet<String> = (0..3000).map(|number| format!("key:{number}")).collect();
    let mut pipeline = redis::pipe();
    for name in &names {
        pipeline.set(name, "x").ignore();
    }
    let () = pipeline
        .query(&mut connect(&cluster, 1, "resp2"))
        .expect("a pipeline");
    everywhere(&cluster, |connection, _| {
        let options = redis::ScanOptions::default()
            .with_pattern("key:*")
            .with_count(100);
        let found = connection.scan_options::<String>(options).expect("SCAN");
        let found: RedisResult<BTreeSet<String>> = found.collect();
        assert_eq!(found.expect("texts"), names);
    });
}

#[test]
fn the_cluster_client_works_from_any_seed() {
    let _alone = alone();
    let cluster = Cluster::of_three();
    for node in cluster.ids() {
        let seed = format!("redis://127.0.0.1:{}", cluster.node(node).port);
        let client = redis::cluster::ClusterClientBuilder::new([seed])
            .connection_timeout(Duration::from_secs(5))
            .build()
            .expect("a cluster client");
        let mut connection = client.get_connection().expect("CLUSTER SLOTS");
        for number in 0..50 {
            let key = format!("cluster:{node}:{number}");
            let () = connection.set(&key, number).expect("SET");
            let value: i64 = connection.get(&key).expect("GET");
            assert_eq!(value, number);
        }
    }
}
