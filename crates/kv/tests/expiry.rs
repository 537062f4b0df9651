//! Expiry: the commands, the order and the bound of removal, and the two clocks.

mod support;

use kv::{EXPIRE_PER_ENTRY_MAX, ReadOutcome};
use support::Replica;

const NOT_AN_INTEGER: &str = "-ERR value is not an integer or out of range|";

#[test]
fn expire_sets_and_ttl_tells() {
    let mut replica = Replica::new();
    replica.expect(&[
        ("EXPIRE nosuch 10", ":0|"),
        ("TTL nosuch", ":-2|"),
        ("PTTL nosuch", ":-2|"),
        ("EXPIRETIME nosuch", ":-2|"),
        ("SET a 1", "+OK|"),
        ("TTL a", ":-1|"),
        ("PEXPIRETIME a", ":-1|"),
        ("PERSIST a", ":0|"),
        ("EXPIRE a 10", ":1|"),
        ("TTL a", ":10|"),
        ("PTTL a", ":10000|"),
        ("EXPIRETIME a", ":1010|"),
        ("PEXPIRETIME a", ":1010000|"),
        ("PEXPIRE a 1499", ":1|"),
        ("TTL a", ":1|"),
        ("PEXPIRE a 1500", ":1|"),
        ("TTL a", ":2|"),
        ("EXPIREAT a 1005", ":1|"),
        ("PTTL a", ":5000|"),
        ("PEXPIREAT a 1001234", ":1|"),
        ("PTTL a", ":1234|"),
        ("PERSIST a", ":1|"),
        ("TTL a", ":-1|"),
    ]);
    assert_eq!(replica.store.next_expiry(), None);
}

#[test]
fn a_time_that_has_passed_removes_the_key() {
    let mut replica = Replica::new();
    for line in [
        "EXPIRE a 0",
        "EXPIRE a -1",
        "PEXPIRE a -9223372036854775808",
        "EXPIREAT a 1000",
        "PEXPIREAT a 0",
        "PEXPIREAT a 1000000",
    ] {
        replica.expect(&[("SET a 1", "+OK|"), (line, ":1|"), ("EXISTS a", ":0|")]);
    }
    assert_eq!(replica.store.expires_count(0), 0);
}

#[test]
fn conditions_compare_with_the_expiry_that_is_there() {
    let mut replica = Replica::new();
    replica.expect(&[
        ("SET a 1", "+OK|"),
        ("EXPIRE a 10 XX", ":0|"),
        ("EXPIRE a 10 GT", ":0|"),
        ("EXPIRE a 10 LT", ":1|"),
        ("EXPIRE a 10 NX", ":0|"),
        ("EXPIRE a 10 GT", ":0|"),
        ("EXPIRE a 11 gt", ":1|"),
        ("EXPIRE a 11 LT", ":0|"),
        ("EXPIRE a 5 lt xx", ":1|"),
        ("EXPIRE a 20 XX", ":1|"),
        ("PERSIST a", ":1|"),
        ("EXPIRE a 20 XX LT", ":0|"),
        ("EXPIRE a 20 NX", ":1|"),
        ("EXPIRE a -5 GT", ":0|"),
        ("EXPIRE a -5 LT", ":1|"),
        ("EXISTS a", ":0|"),
    ]);
}

#[test]
fn expire_refuses_what_redis_refuses() {
    let mut replica = Replica::new();
    let together = "options at the same time are not compatible|";
    replica.expect(&[
        ("SET a 1", "+OK|"),
        ("EXPIRE a x", NOT_AN_INTEGER),
        ("EXPIRE a 9999999999999999999", NOT_AN_INTEGER),
        (
            "EXPIRE a 9223372036854775807",
            "-ERR invalid expire time in 'expire' command|",
        ),
        (
            "EXPIRE a -9223372036854775808",
            "-ERR invalid expire time in 'expire' command|",
        ),
        (
            "EXPIRE nosuch 9223372036854775807",
            "-ERR invalid expire time in 'expire' command|",
        ),
        (
            "PEXPIRE a 9223372036854775807",
            "-ERR invalid expire time in 'pexpire' command|",
        ),
        (
            "EXPIREAT a 9223372036854775807",
            "-ERR invalid expire time in 'expireat' command|",
        ),
        ("PEXPIREAT a 9223372036854775807", ":1|"),
        ("PEXPIRETIME a", ":9223372036854775807|"),
        ("EXPIRE a x FOO", "-ERR Unsupported option FOO|"),
        (
            "EXPIRE a 1 NX XX",
            &format!("-ERR NX and XX, GT or LT {together}"),
        ),
        (
            "EXPIRE a 1 GT NX",
            &format!("-ERR NX and XX, GT or LT {together}"),
        ),
        ("EXPIRE a 1 GT LT", &format!("-ERR GT and LT {together}")),
    ]);
}

#[test]
fn a_key_is_gone_at_its_expiry_by_log_time() {
    let mut replica = Replica::new();
    replica.expect(&[("SET a 1 PX 100", "+OK|"), ("SET b 1", "+OK|")]);
    replica.advance(99);
    assert_eq!(replica.run("GET a"), "$1|1|");
    assert_ne!(replica.store.version(0, b"a"), 0);
    replica.advance(1);
    assert_eq!(replica.run("GET a"), "$-1|");
    assert_eq!(replica.store.version(0, b"a"), 0);
    assert_eq!(replica.run("DBSIZE"), ":1|");
    assert_eq!(replica.store.stats().expired_keys, 1);
}

#[test]
fn log_time_never_goes_back() {
    let mut replica = Replica::new();
    replica.expect(&[("SET a 1 PX 100", "+OK|")]);
    replica.advance(200);
    replica.time_ms -= 10_000;
    replica.expect(&[
        ("GET a", "$-1|"),
        ("SET a 1 PX 100", "+OK|"),
        ("PTTL a", ":100|"),
    ]);
    assert_eq!(replica.store.time_ms(), 1_000_200);
}

#[test]
fn expired_keys_are_removed_in_order_and_a_bounded_number_at_a_time() {
    let mut replica = Replica::new();
    replica.begin_entry();
    let count = EXPIRE_PER_ENTRY_MAX * 2 + 10;
    for number in 0..count {
        let expire_at = 2_000_000 + (number % 7) as u64;
        let expire_at = expire_at.to_string();
        replica.database = (number % 3) as u8;
        let key = format!("key:{number}");
        replica.run_in_entry(&[b"SET", key.as_bytes(), b"v", b"PXAT", expire_at.as_bytes()]);
    }
    replica.database = 0;
    assert_eq!(replica.store.next_expiry(), Some(2_000_000));
    let left = |replica: &Replica| {
        (0..3)
            .map(|number| replica.store.key_count(number))
            .sum::<usize>()
    };
    replica.advance(2_000_000);
    assert_eq!(left(&replica), count - EXPIRE_PER_ENTRY_MAX);
    // Keys 0, 7, 14, … were the first. A key that is left is expired all the same.
    assert!(replica.store.next_expiry() > Some(2_000_000));
    let key_left = format!("EXISTS key:{}", count / 21 * 21 - 21 + 6);
    assert_eq!(replica.run(&key_left), ":0|");
    replica.advance(0);
    replica.advance(0);
    assert_eq!(left(&replica), 0);
    assert_eq!(replica.store.next_expiry(), None);
    assert_eq!(replica.store.stats().expired_keys, count as u64);
}

#[test]
fn writes_treat_an_expired_key_that_is_still_there_as_absent() {
    let mut replica = Replica::new();
    replica.begin_entry();
    for number in 0..EXPIRE_PER_ENTRY_MAX {
        let key = format!("first:{number}");
        replica.run_in_entry(&[b"SET", key.as_bytes(), b"v", b"PX", b"10"]);
    }
    for key in [b"a", b"b", b"c", b"d", b"e", b"f", b"g"] {
        replica.run_in_entry(&[b"SET", key, b"5", b"PX", b"20"]);
    }
    // This entry has all it may remove in the first thousand.
    replica.advance(100);
    assert_eq!(replica.store.key_count(0), 7);
    for (args, reply) in [
        (&["DEL", "a"][..], ":0|"),
        (&["INCR", "b"], ":1|"),
        (&["TTL", "b"], ":-1|"),
        (&["SET", "c", "x", "XX"], "$-1|"),
        (&["SET", "d", "x", "NX"], "+OK|"),
        (&["EXPIRE", "e", "5"], ":0|"),
        (&["SET", "f", "x", "KEEPTTL"], "+OK|"),
        (&["TTL", "f"], ":-1|"),
        (&["RENAME", "g", "h"], "-ERR no such key|"),
    ] {
        let args: Vec<&[u8]> = args.iter().map(|word| word.as_bytes()).collect();
        assert_eq!(replica.run_in_entry(&args), reply, "{args:?}");
    }
    replica.advance(0);
    assert_eq!(replica.store.key_count(0), 3);
    assert_eq!(replica.store.expires_count(0), 0);
}

#[test]
fn a_read_that_meets_a_key_due_by_the_serving_clock_goes_through_the_log() {
    let mut replica = Replica::new();
    replica.expect(&[("SET a 1 PX 100", "+OK|"), ("SET b 1 PX 200", "+OK|")]);
    replica.wall_ms = replica.time_ms + 60;
    assert_eq!(replica.run("PTTL a"), ":40|");
    replica.wall_ms = replica.time_ms + 100;
    for line in [
        "GET a",
        "EXISTS a",
        "TTL a",
        "TYPE a",
        "KEYS *",
        "SCAN 0",
        "OBJECT ENCODING a",
    ] {
        assert_eq!(replica.outcome(line), ReadOutcome::DueByClock, "{line}");
    }
    assert_eq!(replica.outcome("GET b"), ReadOutcome::Done);
    assert_eq!(replica.outcome("KEYS b*"), ReadOutcome::Done);
    assert_eq!(replica.outcome("MGET b a"), ReadOutcome::DueByClock);
    replica.advance(100);
    assert_eq!(replica.run("GET a"), "$-1|");
    assert_eq!(replica.run("PTTL b"), ":100|");
}

#[test]
fn a_serving_clock_that_is_behind_changes_nothing() {
    let mut replica = Replica::new();
    replica.expect(&[("SET a 1 PX 100", "+OK|")]);
    replica.wall_ms = 5;
    assert_eq!(replica.run("PTTL a"), ":100|");
    replica.advance(100);
    assert_eq!(replica.run("GET a"), "$-1|");
}

#[test]
fn the_index_of_expiries_follows_every_change() {
    let mut replica = Replica::new();
    for (line, next_expiry, count) in [
        ("SET a 1 PX 100", Some(1_000_100), 1),
        ("SET b 1 PX 50", Some(1_000_050), 2),
        ("SET b 2", Some(1_000_100), 1),
        ("PEXPIRE b 10", Some(1_000_010), 2),
        ("SET b 3 KEEPTTL", Some(1_000_010), 2),
        ("PERSIST b", Some(1_000_100), 1),
        ("RENAME a c", Some(1_000_100), 1),
        ("COPY c b REPLACE", Some(1_000_100), 2),
        ("DEL c", Some(1_000_100), 1),
        ("MOVE b 4", Some(1_000_100), 0),
        ("SWAPDB 0 4", Some(1_000_100), 1),
        ("FLUSHALL", None, 0),
    ] {
        replica.run(line);
        assert_eq!(replica.store.next_expiry(), next_expiry, "{line}");
        assert_eq!(replica.store.expires_count(0), count, "{line}");
    }
}
