//! Replicas that apply the same entries are equal; the cluster's secret shows in the order of walks
//! and in nothing else.

mod support;

use proptest::prelude::*;
use resp::Protocol;
use support::Replica;

/// Commands that use few keys, so that they meet.
fn command() -> impl Strategy<Value = Vec<String>> {
    let key = || prop_oneof!["[abc]", "\\{t\\}[abc]", "long-key-that-is-not-inline:[abc]"];
    let value = prop_oneof!["[0-9]{1,4}", "[a-z]{0,60}"];
    let time = prop_oneof![-5i64..200, Just(100_000)];
    let database = 0..3u8;
    prop_oneof![
        (key(), value.clone()).prop_map(|(key, value)| format!("SET {key} {value}")),
        (key(), value.clone(), 1..200i64)
            .prop_map(|(key, value, time)| format!("SET {key} {value} PX {time}")),
        (key(), value.clone()).prop_map(|(key, value)| format!("SET {key} {value} KEEPTTL")),
        (key(), value).prop_map(|(key, value)| format!("APPEND {key} {value}")),
        key().prop_map(|key| format!("INCR {key}")),
        (key(), key()).prop_map(|(first, second)| format!("DEL {first} {second}")),
        (key(), time, prop_oneof!["", " NX", " XX", " GT", " LT"])
            .prop_map(|(key, time, option)| format!("PEXPIRE {key} {time}{option}")),
        key().prop_map(|key| format!("PERSIST {key}")),
        key().prop_map(|key| format!("PTTL {key}")),
        key().prop_map(|key| format!("GET {key}")),
        (key(), key()).prop_map(|(from, to)| format!("RENAME {from} {to}")),
        (key(), key()).prop_map(|(from, to)| format!("RENAMENX {from} {to}")),
        (key(), key(), database.clone())
            .prop_map(|(from, to, database)| format!("COPY {from} {to} DB {database} REPLACE")),
        (key(), database.clone()).prop_map(|(key, database)| format!("MOVE {key} {database}")),
        database.prop_map(|database| format!("SWAPDB 0 {database}")),
        Just("FLUSHDB".to_owned()),
        Just("DBSIZE".to_owned()),
        Just("DEBUG DIGEST".to_owned()),
    ]
    .prop_map(|line| line.split(' ').map(str::to_owned).collect())
}

#[derive(Clone, Debug)]
struct Entry {
    time_ms: u64,
    database: u8,
    commands: Vec<Vec<String>>,
}

fn entry() -> impl Strategy<Value = Entry> {
    let commands = prop::collection::vec(command(), 0..6);
    (0..60u64, 0..3u8, commands).prop_map(|(time_ms, database, commands)| Entry {
        time_ms,
        database,
        commands,
    })
}

fn apply(replica: &mut Replica, entry: &Entry) -> Vec<String> {
    replica.database = entry.database;
    replica.advance(entry.time_ms);
    let run = |command: &Vec<String>| {
        let args: Vec<&[u8]> = command.iter().map(|word| word.as_bytes()).collect();
        replica.run_in_entry(&args)
    };
    entry.commands.iter().map(run).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_same_entries_give_the_same_state(entries in prop::collection::vec(entry(), 1..60)) {
        let mut first = Replica::new();
        let mut second = Replica::new();
        let mut elsewhere = Replica::with_secret(*b"another secret!!");
        for replica in [&mut first, &mut second, &mut elsewhere] {
            replica.protocol = Protocol::Resp3;
        }
        for entry in &entries {
            let replies = apply(&mut first, entry);
            prop_assert_eq!(&replies, &apply(&mut second, entry));
            prop_assert_eq!(&replies, &apply(&mut elsewhere, entry));
            prop_assert_eq!(first.store.state_hash(), second.store.state_hash());
            prop_assert_eq!(first.store.state_hash(), elsewhere.store.state_hash());
            prop_assert_eq!(first.store.next_expiry(), elsewhere.store.next_expiry());
        }
        prop_assert_eq!(first.scan_all(3), second.scan_all(3));
    }
}

#[test]
fn the_state_hash_sees_every_difference() {
    let base = |replica: &mut Replica| {
        replica.run("SET a 1");
    };
    let changes: [&dyn Fn(&mut Replica); 7] = [
        &|_| {},
        &|replica| {
            replica.run("SET a 2");
        },
        &|replica| {
            replica.run("SET a 1");
        },
        &|replica| {
            replica.run("PEXPIRE a 100");
        },
        &|replica| {
            replica.run("RENAME a b");
        },
        &|replica| {
            replica.run("MOVE a 1");
        },
        &|replica| {
            replica.advance(1);
        },
    ];
    let mut hashes: Vec<u64> = changes
        .iter()
        .map(|change| {
            let mut replica = Replica::new();
            base(&mut replica);
            change(&mut replica);
            replica.store.state_hash()
        })
        .collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), changes.len());
}
