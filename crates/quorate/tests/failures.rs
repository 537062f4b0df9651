//! Nodes that are killed, frozen and cut off, and what clients may and may not see of it.

mod harness;

use std::time::{Duration, Instant};

use harness::{
    Cluster, Plan, SmallDisk, alone, encode,
    load::{Load, Seen, Task, check_appended},
    poll, text,
};
use resp::Value;

/// How often the leader is killed.
const KILLS: usize = 20;

/// Replies that clients get before something is done to the cluster, and again after it.
const REPLIES_BETWEEN: u64 = 200;

/// What the scheduler of a loaded machine may add to a deadline.
const GRACE: Duration = Duration::from_secs(1);

fn increment(key: &str) -> Task {
    Task::Increment {
        key: key.to_owned(),
    }
}

fn number(value: &Value) -> u64 {
    text(value)
        .parse()
        .unwrap_or_else(|_| panic!("a number, not {}", text(value)))
}

/// Sum of what all clients have got acknowledged.
fn acknowledged<'a>(seen: impl IntoIterator<Item = &'a Seen>) -> u64 {
    seen.into_iter().map(|seen| seen.acknowledged).sum()
}

fn assert_no_errors(seen: &[Seen]) {
    for seen in seen {
        assert!(
            seen.errors.is_empty(),
            "a client of a node that lived saw {:?}",
            seen.errors
        );
        assert_eq!((seen.unknown, seen.refused), (0, 0));
    }
}

#[test]
fn twenty_kills_of_the_leader_are_pauses_for_clients_of_the_others() {
    let _alone = alone();
    let mut cluster = Cluster::of_three();
    let mut increments = 0;
    let mut transactions = 0;
    let mut appended: Vec<Seen> = Vec::new();
    let mut longest_pauses = Vec::new();
    for round in 0..KILLS {
        let leader = cluster.leader();
        let mut load = Load::new();
        for survivor in cluster.others(leader) {
            let port = cluster.node(survivor).port;
            load.spawn(port, increment("counter"));
            let client = format!("{round:02}-{survivor}");
            load.spawn(
                port,
                Task::Append {
                    key: "journal".into(),
                    client,
                },
            );
            let (first, second) = ("first".into(), "second".into());
            load.spawn(port, Task::Transaction { first, second });
        }
        load.await_progress(REPLIES_BETWEEN);
        cluster.node_mut(leader).kill();
        load.await_progress(REPLIES_BETWEEN);
        let seen = load.stop();
        assert_no_errors(&seen);
        longest_pauses.extend(seen.iter().map(|seen| seen.longest_pause).max());
        for (index, seen) in seen.into_iter().enumerate() {
            match index % 3 {
                0 => increments += seen.acknowledged,
                1 => appended.push(seen),
                _ => transactions += seen.acknowledged,
            }
        }
        cluster.node_mut(leader).start();
        cluster.await_ready(&[leader]);
    }
    assert_eq!(number(&cluster.ask_all(&["GET", "counter"])), increments);
    assert_eq!(number(&cluster.ask_all(&["GET", "first"])), transactions);
    assert_eq!(number(&cluster.ask_all(&["GET", "second"])), transactions);
    let journal = text(&cluster.ask_all(&["GET", "journal"]));
    check_appended(&journal, &appended.iter().collect::<Vec<_>>());
    assert_eq!(
        journal.split_terminator(';').count() as u64,
        acknowledged(&appended)
    );
    longest_pauses.sort();
    println!(
        "{increments} increments, {transactions} transactions, {} tokens; pause at a kill: median {:?}, longest {:?}",
        acknowledged(&appended),
        longest_pauses[KILLS / 2],
        longest_pauses[KILLS - 1],
    );
}

#[test]
fn clients_of_the_killed_node_know_what_they_do_not_know() {
    let _alone = alone();
    let mut cluster = Cluster::of_three();
    let leader = cluster.leader();
    let mut load = Load::new();
    for id in cluster.ids() {
        load.spawn(cluster.node(id).port, increment("counter"));
    }
    load.await_progress(REPLIES_BETWEEN);
    cluster.node_mut(leader).kill();
    load.await_progress(REPLIES_BETWEEN);
    let seen = load.stop();
    cluster.node_mut(leader).start();
    cluster.await_ready(&[leader]);
    let count = number(&cluster.ask_all(&["GET", "counter"]));
    let unknown: u64 = seen.iter().map(|seen| seen.unknown).sum();
    let sure = acknowledged(&seen);
    assert!(unknown > 0, "the killed node had clients that were waiting");
    assert!(
        (sure..=sure + unknown).contains(&count),
        "{count} is not {sure} to {sure}+{unknown}"
    );
}

#[test]
fn all_three_killed_at_once_keep_everything_acknowledged() {
    const ROUNDS: usize = 3;
    let _alone = alone();
    let mut cluster = Cluster::of_three();
    let mut created: Vec<String> = Vec::new();
    let (mut sure, mut unknown) = (0, 0);
    for round in 0..ROUNDS {
        let mut load = Load::new();
        for id in cluster.ids() {
            let port = cluster.node(id).port;
            load.spawn(
                port,
                Task::Create {
                    client: format!("{round}-{id}"),
                },
            );
            load.spawn(port, increment("counter"));
        }
        load.await_progress(3 * REPLIES_BETWEEN);
        for node in &mut cluster.nodes {
            node.kill_begin();
        }
        for node in &mut cluster.nodes {
            node.kill();
        }
        for (index, seen) in load.stop().into_iter().enumerate() {
            if index % 2 == 0 {
                created.extend(seen.records.into_iter().map(|record| record.token));
            } else {
                sure += seen.acknowledged;
                unknown += seen.unknown;
            }
        }
        for node in &mut cluster.nodes {
            node.start();
        }
        cluster.await_ready(&cluster.ids());
        for node in &cluster.nodes {
            let mut connection = node.connect();
            let command: Vec<&str> = std::iter::once("MGET")
                .chain(created.iter().map(String::as_str))
                .collect();
            let values = connection.call(&command);
            let values = values.as_slice().expect("an array");
            for (name, value) in created.iter().zip(values) {
                assert_eq!(
                    text(value),
                    *name,
                    "an acknowledged SET on node {}",
                    node.id
                );
            }
        }
        let count = number(&cluster.ask_all(&["GET", "counter"]));
        assert!(
            (sure..=sure + unknown).contains(&count),
            "{count} is not {sure} to {sure}+{unknown}"
        );
    }
    println!(
        "{} keys and {sure} increments survived {ROUNDS} times",
        created.len()
    );
}

/// Asks until a node that is cut off has noticed, and then demands definite errors in time.
fn assert_minority_is_honest(cluster: &Cluster, cut_off: usize, timeout: Duration) {
    let node = cluster.node(cut_off);
    let mut connection = node.connect();
    let ask = |connection: &mut harness::Connection, command: &[&str]| {
        let started = Instant::now();
        let reply = connection
            .ask(command)
            .expect("an answer, not a lost connection");
        assert!(
            started.elapsed() < timeout + GRACE,
            "{command:?} took {:?}",
            started.elapsed()
        );
        let error = reply
            .as_error()
            .map(|error| String::from_utf8_lossy(error).into_owned());
        error.unwrap_or_else(|| panic!("{command:?} on a minority: {}", text(&reply)))
    };
    // What was handed to a leader before anybody noticed is in doubt; what comes later is not.
    let first = ask(&mut connection, &["SET", "in-doubt", "x"]);
    assert!(
        first.starts_with("UNCERTAIN ") || first.starts_with("NOQUORUM "),
        "{first}"
    );
    poll(
        "the node that is cut off knows that it has no leader",
        || node.info().filter(|info| info.leader.is_none()).map(drop),
    );
    for command in [
        &["SET", "refused", "x"][..],
        &["GET", "register"],
        &["INCR", "refused"],
    ] {
        let error = ask(&mut connection, command);
        assert!(error.starts_with("NOQUORUM "), "{command:?}: {error}");
    }
    let transaction = [
        &["MULTI"][..],
        &["SET", "refused", "x"],
        &["GET", "register"],
    ];
    for command in transaction {
        connection.call(command);
    }
    let error = ask(&mut connection, &["EXEC"]);
    assert!(error.starts_with("NOQUORUM "), "EXEC: {error}");
    assert_eq!(
        text(&connection.call(&["PING"])),
        "PONG",
        "the node itself lives"
    );
}

fn cut_off_and_heal(chooses_leader: bool) {
    let timeout = Duration::from_millis(1500);
    let _alone = alone();
    let cluster = Cluster::start(&Plan::of(3).proxied().set("request-timeout", "1500ms"));
    let leader = cluster.leader();
    let cut_off = if chooses_leader {
        leader
    } else {
        cluster.others(leader)[0]
    };
    let majority = cluster.others(cut_off);
    cluster
        .node(cut_off)
        .connect()
        .call(&["SET", "register", "old"]);

    // Clients of the minority that read all the time: none may see a value that is out of date.
    let mut readers = Load::new();
    readers.spawn(
        cluster.node(cut_off).port,
        Task::ReadCounter {
            key: "counter".into(),
        },
    );
    readers.spawn(cluster.node(majority[0]).port, increment("counter"));
    readers.await_progress(REPLIES_BETWEEN);
    cluster.network().isolate(cut_off);
    readers.await_progress(REPLIES_BETWEEN);

    cluster
        .node(majority[1])
        .connect()
        .call(&["SET", "register", "new"]);
    assert_minority_is_honest(&cluster, cut_off, timeout);
    let new_leader = cluster.leader_among(&majority);
    assert_ne!(new_leader, cut_off);
    readers.await_progress(REPLIES_BETWEEN);

    cluster.network().heal();
    cluster.await_ready(&[cut_off]);
    assert_eq!(
        text(&cluster.node(cut_off).ask(&["GET", "register"])),
        "new"
    );
    let seen = readers.stop();
    assert!(
        seen[1].errors.is_empty(),
        "the majority saw {:?}",
        seen[1].errors
    );
    assert!(!seen[0].errors.is_empty(), "the minority saw errors");
    let definite = |error: &String| error.starts_with("NOQUORUM ");
    assert!(
        seen[0].errors.iter().all(definite),
        "reads end in NOQUORUM: {:?}",
        seen[0].errors
    );

    let all = cluster.ids();
    let leader = cluster.leader_among(&all);
    let commit = cluster.node(leader).info().expect("INFO").commit;
    poll("the node that was cut off catches up", || {
        cluster
            .node(cut_off)
            .info()
            .filter(|info| info.applied >= commit)
            .map(drop)
    });
    assert_eq!(
        number(&cluster.ask_all(&["GET", "counter"])),
        seen[1].acknowledged
    );
    assert_eq!(cluster.ask_all(&["EXISTS", "refused"]), Value::Integer(0));
}

#[test]
fn a_follower_cut_off_refuses_in_time_and_catches_up() {
    cut_off_and_heal(false);
}

#[test]
fn a_leader_cut_off_is_replaced_and_never_serves_what_is_out_of_date() {
    cut_off_and_heal(true);
}

#[test]
fn a_leader_that_hears_nobody_is_replaced() {
    let _alone = alone();
    let cluster = Cluster::start(&Plan::of(3).proxied());
    let leader = cluster.leader();
    let others = cluster.others(leader);
    let mut load = Load::new();
    for id in &others {
        load.spawn(cluster.node(*id).port, increment("counter"));
    }
    load.await_progress(REPLIES_BETWEEN);
    // One way only: its followers hear it, and would follow it for ever if it went on leading.
    for id in &others {
        cluster.network().cut(*id, leader);
    }
    load.await_progress(REPLIES_BETWEEN);
    cluster.network().heal();
    cluster.await_ready(&[leader]);
    let seen = load.stop();
    assert_no_errors(&seen);
    assert_eq!(
        number(&cluster.ask_all(&["GET", "counter"])),
        acknowledged(&seen)
    );
}

#[test]
fn a_frozen_leader_comes_back_without_stale_reads_or_lost_writes() {
    const FROZEN: Duration = Duration::from_secs(3);
    let _alone = alone();
    let cluster = Cluster::of_three();
    let leader = cluster.leader();
    let others = cluster.others(leader);
    let mut load = Load::new();
    for id in &others {
        load.spawn(cluster.node(*id).port, increment("counter"));
        load.spawn(
            cluster.node(*id).port,
            Task::ReadCounter {
                key: "counter".into(),
            },
        );
    }
    let mut frozen_load = Load::new();
    frozen_load.spawn(cluster.node(leader).port, increment("counter"));
    load.await_progress(REPLIES_BETWEEN);
    frozen_load.await_progress(REPLIES_BETWEEN);

    let mut reading = cluster.node(leader).connect();
    cluster.node(leader).freeze();
    let started = Instant::now();
    let mut survivor = cluster.node(others[0]).connect();
    let mut floors = Vec::new();
    // Reads that wait in the socket of the frozen node, each with what was acknowledged before it.
    while started.elapsed() < FROZEN {
        floors.push(number(&survivor.call(&["GET", "counter"])));
        reading
            .send(&encode(&["GET", "counter"]))
            .expect("the kernel takes bytes for it");
        load.await_progress(REPLIES_BETWEEN / 4);
    }
    assert_ne!(
        cluster.leader_among(&others),
        leader,
        "there is another leader meanwhile"
    );
    cluster.node(leader).thaw();
    for floor in floors {
        let reply = reading.receive().expect("an answer");
        match reply.as_error() {
            Some(error) => assert!(error.starts_with(b"NOQUORUM "), "{}", text(&reply)),
            None => assert!(
                number(&reply) >= floor,
                "stale: {} < {floor}",
                number(&reply)
            ),
        }
    }
    load.await_progress(REPLIES_BETWEEN);
    let seen = load.stop();
    let frozen_seen = frozen_load.stop();
    assert_no_errors(&seen);
    let sure = acknowledged(seen.iter().step_by(2)) + acknowledged(&frozen_seen);
    let unknown: u64 = frozen_seen.iter().map(|seen| seen.unknown).sum();
    let count = number(&cluster.ask_all(&["GET", "counter"]));
    assert!(
        (sure..=sure + unknown).contains(&count),
        "{count} is not {sure} to {sure}+{unknown}"
    );
}

#[test]
fn a_cluster_that_loses_two_nodes_serves_again_when_one_is_back() {
    let _alone = alone();
    let mut cluster = Cluster::start(&Plan::of(3).set("request-timeout", "1s"));
    let leader = cluster.leader();
    let survivor = cluster.others(leader)[0];
    cluster
        .node(survivor)
        .connect()
        .call(&["SET", "key", "value"]);
    for id in cluster.others(survivor) {
        cluster.node_mut(id).kill();
    }
    poll("the survivor says that it has no quorum", || {
        let reply = cluster.node(survivor).ask(&["SET", "key", "lonely"]);
        text(&reply).starts_with("NOQUORUM ").then_some(())
    });
    assert!(text(&cluster.node(survivor).ask(&["GET", "key"])).starts_with("NOQUORUM "));
    cluster.node_mut(leader).start();
    cluster.await_ready(&[survivor, leader]);
    let value = text(&cluster.node(leader).ask(&["GET", "key"]));
    assert!(value == "value" || value == "lonely", "{value}");
    assert_eq!(text(&cluster.node(survivor).ask(&["GET", "key"])), value);
}

#[test]
fn the_directory_of_another_node_or_cluster_is_refused_and_left_alone() {
    let _alone = alone();
    let mut cluster = Cluster::of_three();
    cluster.node(1).connect().call(&["SET", "key", "value"]);
    cluster.node_mut(3).kill();
    let own = cluster.node(3).data_dir().to_owned();
    let other = cluster.node(2).data_dir().to_owned();

    let refused = |cluster: &mut Cluster, words: &str| {
        cluster.node_mut(3).start();
        let exit = poll("the node refuses to start", || cluster.node_mut(3).exit());
        assert_eq!(exit.code, Some(2), "{exit:?}");
        let last = exit.stderr.lines().last().unwrap_or_default().to_owned();
        assert!(last.contains(words), "{last}");
    };
    cluster.node_mut(3).set_data_dir(&other);
    refused(&mut cluster, "belongs to node 2");
    cluster.node_mut(3).set_data_dir(&own);
    cluster.node_mut(3).set("cluster-name", "another");
    refused(&mut cluster, "cluster");

    cluster.node_mut(3).set("cluster-name", "quorate");
    cluster.node_mut(3).start();
    cluster.await_ready(&cluster.ids());
    assert_eq!(text(&cluster.ask_all(&["GET", "key"])), "value");
}

#[test]
fn an_orderly_stop_of_the_leader_hands_over_and_loses_nothing() {
    let _alone = alone();
    let mut cluster = Cluster::of_three();
    let leader = cluster.leader();
    let mut load = Load::new();
    for id in cluster.others(leader) {
        load.spawn(cluster.node(id).port, increment("counter"));
    }
    load.await_progress(REPLIES_BETWEEN);
    cluster.node(leader).terminate();
    let exit = poll("the node stops", || cluster.node_mut(leader).exit());
    assert_eq!(exit.code, Some(0), "{exit:?}");
    load.await_progress(REPLIES_BETWEEN);
    let seen = load.stop();
    assert_no_errors(&seen);
    cluster.node_mut(leader).start();
    cluster.await_ready(&[leader]);
    assert_eq!(
        number(&cluster.ask_all(&["GET", "counter"])),
        acknowledged(&seen)
    );
}

/// Writes until a node refuses, and returns how many values it has taken.
fn write_until_full(connection: &mut harness::Connection) -> usize {
    let value = "x".repeat(10_000);
    (0..)
        .find(|number| {
            let reply = connection.ask(&["SET", &format!("big:{number}"), &value]);
            let reply = reply.expect("an answer, not a lost connection");
            let error = reply.as_error().map(|_| text(&reply));
            assert!(
                error.iter().all(|error| error.starts_with("DISKFULL ")),
                "{error:?}"
            );
            assert!(*number < 10_000, "the disk is not that large");
            error.is_some()
        })
        .expect("numbers go on")
}

#[test]
fn a_full_disk_refuses_writes_serves_reads_and_recovers() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let Some(disk) = SmallDisk::mount(&directory.path().join("disk"), "16m") else {
        eprintln!("skipped: a small file system can be mounted by root only");
        return;
    };
    let plan = Plan::of(1)
        .set("wal-segment-size", "1MiB")
        .set("max-entry-size", "64KiB")
        .set("max-batch-size", "64KiB");
    let mut cluster = Cluster::start(&plan);
    let node = cluster.node_mut(1);
    node.kill();
    node.set_data_dir(&disk.path.join("data"));
    node.start();
    poll("the node serves reads", || node.is_ready().then_some(()));

    let mut connection = node.connect();
    connection.call(&["SET", "key", "value"]);
    disk.fill(0);
    let written = write_until_full(&mut connection);
    assert_eq!(text(&connection.call(&["GET", "key"])), "value");
    assert_eq!(
        connection.call(&["EXISTS", &format!("big:{written}")]),
        Value::Integer(0)
    );
    let refused = text(&node.ask(&["APPEND", "key", "more"]));
    assert!(refused.starts_with("DISKFULL "), "{refused}");

    disk.free();
    poll("writes are taken again, without a restart", || {
        let reply = connection
            .ask(&["SET", "after", "recovery"])
            .expect("an answer");
        reply.is_ok().then_some(())
    });
    node.kill();
    node.start();
    poll("the node serves reads", || node.is_ready().then_some(()));
    assert_eq!(text(&node.ask(&["GET", "key"])), "value");
    assert_eq!(text(&node.ask(&["GET", "after"])), "recovery");
    assert_eq!(node.ask(&["DBSIZE"]), Value::Integer(written as i64 + 2));
    node.kill();
}
