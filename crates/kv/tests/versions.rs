//! Versions: the log position of a key's last change, which WATCH compares.

mod support;

use kv::{DATABASE_COUNT, Store};
use resp::{Encoder, Protocol};
use support::{Recorder, Replica, spec_of};

/// The version of the `operation`th command of the last entry.
fn version_of(replica: &Replica, operation: u64) -> u64 {
    replica.index << 20 | operation
}

#[test]
fn a_version_is_the_entry_and_the_command_within_it() {
    let mut replica = Replica::new();
    assert_eq!(replica.store.version(0, b"a"), 0);
    replica.begin_entry();
    replica.run_in_entry(&[b"SET", b"a", b"1"]);
    replica.run_in_entry(&[b"GET", b"a"]);
    replica.run_in_entry(&[b"SET", b"b", b"1"]);
    replica.run_in_entry(&[b"SET", b"c", b"1"]);
    assert_eq!(replica.store.version(0, b"a"), version_of(&replica, 1));
    assert_eq!(replica.store.version(0, b"c"), version_of(&replica, 3));
    assert_eq!(replica.store.version(1, b"a"), 0);
    assert_eq!(replica.store.version(200, b"a"), 0);
}

#[test]
fn every_change_and_nothing_else_moves_the_version() {
    let mut replica = Replica::new();
    replica.run("SET a 1");
    for (line, changes) in [
        ("GET a", false),
        ("SET a 1", true),
        ("SET a 2 NX", false),
        ("SETNX a 2", false),
        ("INCR a", true),
        ("INCRBY a x", false),
        ("APPEND a 1", true),
        ("EXPIRE a 100", true),
        ("EXPIRE a 50 GT", false),
        ("TTL a", false),
        ("PERSIST a", true),
        ("PERSIST a", false),
        ("RENAME a a", false),
        ("COPY a b", false),
        ("COPY b a", false),
        ("COPY b a REPLACE", true),
        ("DEL b", false),
        ("SETRANGE a 0 \"\"", false),
        ("SETRANGE a 0 x", true),
        ("GETEX a", false),
        ("GETEX a EX 100", true),
        ("GETSET a 5", true),
        ("MSET a 6", true),
        ("MSETNX a 7 c 8", false),
        ("OBJECT ENCODING a", false),
        ("SWAPDB 1 2", false),
    ] {
        let before = replica.store.version(0, b"a");
        replica.run(line);
        let after = replica.store.version(0, b"a");
        assert_eq!(after != before, changes, "{line}");
        assert!(after >= before, "{line}");
    }
}

#[test]
fn a_key_that_was_removed_and_made_again_has_another_version() {
    let mut replica = Replica::new();
    replica.run("SET a 1");
    let watched = replica.store.version(0, b"a");
    replica.run("DEL a");
    assert_eq!(replica.store.version(0, b"a"), 0);
    replica.run("SET a 1");
    assert!(replica.store.version(0, b"a") > watched);
    let watched = replica.store.version(0, b"a");
    replica.run("SWAPDB 0 1");
    assert_eq!(
        (
            replica.store.version(0, b"a"),
            replica.store.version(1, b"a")
        ),
        (0, watched)
    );
    replica.run("SWAPDB 0 1");
    replica.run("SET a 1 PX 10");
    replica.advance(10);
    assert_eq!(replica.store.version(0, b"a"), 0);
}

#[test]
#[should_panic(expected = "entry 3 begun after entry 3")]
fn an_entry_cannot_be_applied_twice() {
    let mut store = Store::new();
    store.begin_entry(3, 1);
    store.begin_entry(3, 1);
}

#[test]
#[should_panic(expected = "bootstrapped with 1 keys present")]
fn the_secret_cannot_change_under_keys() {
    let mut replica = Replica::new();
    replica.run("SET a 1");
    replica.store.bootstrap([0; 16]);
}

#[test]
fn what_a_newer_node_might_send_gets_an_error() {
    let mut store = Store::new();
    store.begin_entry(1, 1);
    let mut reply = Vec::new();
    let mut out = Encoder::new(&mut reply, Protocol::Resp2);
    let set: [&[u8]; 3] = [b"SET", b"a", b"1"];
    store.write(
        spec_of(&set),
        DATABASE_COUNT,
        &set,
        &mut Recorder::default(),
        &mut out,
    );
    let get: [&[u8]; 2] = [b"GET", b"a"];
    store.write(spec_of(&get), 0, &get, &mut Recorder::default(), &mut out);
    let errors = "-ERR DB index is out of range\r\n-ERR 'get' is not a command of the log\r\n";
    assert_eq!(String::from_utf8_lossy(&reply), errors);
}
