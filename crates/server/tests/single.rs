//! One node, seen from its ports and its data directory.

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::time::Duration;

use common::{Node, bulk, config, http_get, ok, options, options_on, wait_until};
use resp::Value;
use server::{ServeError, Server};
use vfs::{Fault, MemVfs, OperationKind};

#[test]
fn what_was_written_is_read_and_survives_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = config(dir.path(), &[]);
    let node = Node::start(&config, options());
    let mut client = node.client();
    assert_eq!(client.call(&["SET", "k", "v"]), ok());
    assert_eq!(client.call(&["GET", "k"]), bulk("v"));
    node.stop().expect("an orderly stop");

    let node = Node::start(&config, options());
    assert_eq!(node.client().call(&["GET", "k"]), bulk("v"));
}

#[test]
fn a_pipeline_is_answered_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = Node::start(&config(dir.path(), &[]), options());
    let mut client = node.client();
    for number in 0..5000 {
        client.send(&["SET", &format!("key:{}", number % 7), &number.to_string()]);
        client.send(&["GET", &format!("key:{}", number % 7)]);
    }
    for number in 0..5000 {
        assert_eq!(client.receive(), ok());
        assert_eq!(client.receive(), bulk(&number.to_string()));
    }
}

#[test]
fn large_values_pass_in_both_directions() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = Node::start(&config(dir.path(), &[]), options());
    let value = "x".repeat(900_000);
    let mut client = node.client();
    assert_eq!(client.call(&["SET", "big", &value]), ok());
    for _ in 0..20 {
        client.send(&["GET", "big"]);
    }
    for _ in 0..20 {
        assert_eq!(client.receive(), bulk(&value));
    }
}

#[test]
fn a_client_that_ends_its_half_still_gets_its_reply() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = Node::start(&config(dir.path(), &[]), options());
    // The first command may wait for the first leader; the one below is about the connection.
    assert_eq!(node.client().call(&["SET", "k", "v"]), ok());
    let mut client = node.client();
    client.send(&["SET", "k", "w"]);
    client
        .stream
        .shutdown(Shutdown::Write)
        .expect("half closed");
    assert_eq!(client.receive(), ok());
    assert_eq!(client.try_receive(), None);
}

#[test]
fn clients_beyond_the_limit_get_the_error_of_redis() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = Node::start(&config(dir.path(), &[("max-clients", "2")]), options());
    let mut held = [node.client(), node.client()];
    for client in &mut held {
        assert_eq!(client.call(&["PING"]), Value::Simple("PONG".into()));
    }
    let mut text = String::new();
    let mut third = node.client();
    third.stream.read_to_string(&mut text).expect("an answer");
    assert_eq!(text, "-ERR max number of clients reached\r\n");
    drop(held);
    wait_until("a slot is free again", || {
        let mut client = node.client();
        client.send(&["PING"]);
        client.try_receive() == Some(Value::Simple("PONG".into()))
    });
}

#[test]
fn a_client_that_does_not_read_is_disconnected() {
    let dir = tempfile::tempdir().expect("a directory");
    let limits = [
        ("client-output-limit", "256KiB"),
        ("client-output-soft-limit", "128KiB"),
    ];
    let node = Node::start(&config(dir.path(), &limits), options());
    let mut client = node.client();
    assert_eq!(client.call(&["SET", "big", &"x".repeat(200_000)]), ok());
    // Until the node's end of the connection is closed, which shows as a failed write.
    let mut request = Vec::new();
    resp::encode_request(&mut request, &["GET", "big"]);
    client
        .stream
        .set_write_timeout(Some(Duration::from_millis(100)))
        .expect("a timeout");
    wait_until("the slow reader is disconnected", || {
        match client.stream.write_all(&request) {
            Ok(()) => false,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    });
    assert_eq!(
        node.client().call(&["STRLEN", "big"]),
        Value::Integer(200_000)
    );
}

#[test]
fn a_port_in_use_is_refused_before_the_data_directory_exists() {
    let dir = tempfile::tempdir().expect("a directory");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let data = dir.path().join("data");
    for setting in ["bind", "admin-bind"] {
        let config = config(&data, &[(setting, &address)]);
        let error = Server::start(&config, options()).expect_err("the port is in use");
        assert!(matches!(error, ServeError::Bind { .. }), "{error}");
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(&address), "{error}");
        assert!(!data.exists(), "nothing was touched");
    }
}

#[test]
fn a_data_directory_of_another_is_refused_with_code_2() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = config(dir.path(), &[]);
    let node = Node::start(&first, options());
    let in_use = Server::start(&first, options()).expect_err("locked");
    assert!(
        in_use.to_string().contains("in use by another process"),
        "{in_use}"
    );
    node.stop().expect("an orderly stop");

    for (settings, words) in [
        ([("node-id", "2")], "node 1"),
        ([("cluster-name", "other")], "belongs to cluster"),
    ] {
        let config = config(dir.path(), &settings);
        let error = Server::start(&config, options()).expect_err("someone else's");
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("cluster") || error.to_string().contains(words));
        assert_eq!(error.to_string().lines().count(), 1, "one line: {error}");
    }
}

#[test]
fn a_full_disk_refuses_writes_serves_reads_and_recovers() {
    let disk = MemVfs::new(1);
    let config = config(
        "/data".as_ref(),
        &[
            ("wal-segment-size", "1MiB"),
            ("max-entry-size", "256KiB"),
            ("max-batch-size", "64KiB"),
        ],
    );
    let node = Node::start(&config, options_on(&disk));
    let mut client = node.client();
    assert_eq!(client.call(&["SET", "before", "1"]), ok());
    disk.set_capacity(Some(4 << 20));
    let value = "x".repeat(60_000);
    let refused = client.call_until(&["SET", "filler", &value], |reply| *reply != ok());
    let Value::Error(text) = &refused else {
        panic!("not an error: {refused:?}");
    };
    assert!(
        String::from_utf8_lossy(text.as_ref()).starts_with("DISKFULL"),
        "{refused:?}"
    );
    assert_eq!(client.call(&["GET", "before"]), bulk("1"));

    disk.set_capacity(None);
    client.call_until(&["SET", "after", "2"], |reply| *reply == ok());
    node.stop().expect("an orderly stop");
    let node = Node::start(&config, options_on(&disk));
    assert_eq!(
        node.client().call(&["MGET", "before", "after"]),
        Value::Array(vec![bulk("1"), bulk("2")])
    );
}

#[test]
fn a_failed_sync_ends_the_node_without_an_answer() {
    let disk = MemVfs::new(1);
    let config = config("/data".as_ref(), &[]);
    let mut node = Node::start(&config, options_on(&disk));
    let mut client = node.client();
    assert_eq!(client.call(&["SET", "k", "v"]), ok());
    disk.inject(OperationKind::Sync, 1, Fault::Io);
    client.send(&["SET", "k", "w"]);
    let error = node.join().expect_err("the disk failed");
    assert!(matches!(error, ServeError::Disk(_)), "{error}");
    assert_eq!(error.exit_code(), 1);
    assert_eq!(client.try_receive(), None, "nothing was acknowledged");
}

#[test]
fn the_admin_port_tells_health_readiness_and_figures() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = config(dir.path(), &[("admin-bind", "127.0.0.1:0")]);
    let node = Node::start(&config, options());
    let admin = node.admin_addr.expect("an admin port");
    assert_eq!(http_get(admin, "/healthz"), (200, "ok\n".into()));
    assert_eq!(http_get(admin, "/nonsense").0, 404);
    wait_until("the node is ready", || http_get(admin, "/readyz").0 == 200);
    assert_eq!(node.client().call(&["SET", "k", "v"]), ok());
    wait_until("the figures arrive", || {
        let (status, text) = http_get(admin, "/metrics");
        assert_eq!(status, 200);
        text.contains("quorate_keys 1\n")
    });
    let (_, text) = http_get(admin, "/metrics");
    for line in [
        "quorate_raft_role{role=\"leader\"} 1\n",
        "quorate_ready 1\n",
        "# TYPE quorate_wal_sync_duration_seconds histogram\n",
        "# EOF\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
}

#[test]
fn a_node_alone_of_three_is_not_ready_and_says_why() {
    let dir = tempfile::tempdir().expect("a directory");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let cluster = format!("1=127.0.0.1:{port},2=127.0.0.1:1,3=127.0.0.1:2");
    let settings = [
        ("cluster", cluster.as_str()),
        ("admin-bind", "127.0.0.1:0"),
        ("request-timeout", "500ms"),
    ];
    let options = server::Options {
        peer_listeners: Some(vec![listener]),
        ..options()
    };
    let node = Node::start(&config(dir.path(), &settings), options);
    let admin = node.admin_addr.expect("an admin port");
    wait_until("it says why", || {
        let (status, reason) = http_get(admin, "/readyz");
        assert_eq!(status, 503);
        reason.starts_with("no leader: 1 of 3")
    });
    let reply = node.client().call(&["SET", "k", "v"]);
    let Value::Error(text) = &reply else {
        panic!("not an error: {reply:?}");
    };
    assert!(
        String::from_utf8_lossy(text.as_ref()).starts_with("NOQUORUM"),
        "{reply:?}"
    );
}

#[test]
fn a_shutdown_command_stops_the_node_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::start(&config(dir.path(), &[]), options());
    let mut client = node.client();
    assert_eq!(client.call(&["SET", "k", "v"]), ok());
    client.send(&["SHUTDOWN"]);
    node.join().expect("an orderly stop");
    assert_eq!(client.try_receive(), None);
}
