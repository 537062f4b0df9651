//! Replies of the commands on keys of any type and on whole databases. The texts were taken from
//! redis-server 7.0.15.

mod support;

use resp::Protocol;
use support::{Published, Replica};

const NO_SUCH_KEY: &str = "-ERR no such key|";
const SYNTAX: &str = "-ERR syntax error|";
const NOT_AN_INTEGER: &str = "-ERR value is not an integer or out of range|";
const OUT_OF_RANGE: &str = "-ERR DB index is out of range|";
const NOT_AN_INT: &str =
    "-ERR value is out of range, value must between -2147483648 and 2147483647|";
const SAME_OBJECT: &str = "-ERR source and destination objects are the same|";

#[test]
fn del_exists_touch_and_type_count_and_name() {
    let mut replica = Replica::new();
    replica.expect(&[
        ("MSET a 1 b 2 c 3", "+OK|"),
        ("EXISTS a b nosuch a", ":3|"),
        ("TOUCH a nosuch a", ":2|"),
        ("TYPE a", "+string|"),
        ("TYPE nosuch", "+none|"),
        ("DEL a a nosuch", ":1|"),
        ("UNLINK b c", ":2|"),
        ("EXISTS a b c", ":0|"),
        ("DBSIZE", ":0|"),
    ]);
}

#[test]
fn rename_carries_value_and_expiry() {
    let mut replica = Replica::new();
    replica.expect(&[
        ("RENAME nosuch x", NO_SUCH_KEY),
        ("RENAMENX nosuch x", NO_SUCH_KEY),
        ("SET a 1 PX 5000", "+OK|"),
        ("SET b 2", "+OK|"),
        ("RENAMENX a b", ":0|"),
        ("RENAMENX a a", ":0|"),
        ("RENAME a a", "+OK|"),
        ("RENAME a b", "+OK|"),
        ("GET b", "$1|1|"),
        ("PTTL b", ":5000|"),
        ("EXISTS a", ":0|"),
        ("SET c 3", "+OK|"),
        ("RENAME c b", "+OK|"),
        ("TTL b", ":-1|"),
        ("RENAMENX b d", ":1|"),
        ("GET d", "$1|3|"),
    ]);
}

#[test]
fn copy_duplicates_within_and_between_databases() {
    let mut replica = Replica::new();
    replica.expect(&[
        ("COPY nosuch x", ":0|"),
        ("SET a 1 PX 5000", "+OK|"),
        ("COPY a b", ":1|"),
        ("PTTL b", ":5000|"),
        ("SET b 2", "+OK|"),
        ("COPY a b", ":0|"),
        ("COPY a b REPLACE", ":1|"),
        ("GET b", "$1|1|"),
        ("COPY a a", SAME_OBJECT),
        ("COPY a a DB 0", SAME_OBJECT),
        ("COPY a a DB 3", ":1|"),
        ("COPY a a db 3", ":0|"),
        ("COPY a a db 3 replace", ":1|"),
        ("COPY a c DB", SYNTAX),
        ("COPY a c NOPE", SYNTAX),
        ("COPY a c DB x", NOT_AN_INTEGER),
        ("COPY a c DB 99999999999", NOT_AN_INT),
        ("COPY a c DB 16", OUT_OF_RANGE),
        ("COPY a c DB -1", OUT_OF_RANGE),
    ]);
    replica.database = 3;
    replica.expect(&[("GET a", "$1|1|"), ("PTTL a", ":5000|"), ("DBSIZE", ":1|")]);
}

#[test]
fn move_takes_a_key_to_another_database() {
    let mut replica = Replica::new();
    replica.expect(&[
        ("SET a 1 PX 5000", "+OK|"),
        ("MOVE a 0", SAME_OBJECT),
        ("MOVE a x", NOT_AN_INTEGER),
        ("MOVE a 99999999999", NOT_AN_INT),
        ("MOVE a 16", OUT_OF_RANGE),
        ("MOVE nosuch 1", ":0|"),
        ("MOVE a 1", ":1|"),
        ("EXISTS a", ":0|"),
        ("SET a 2", "+OK|"),
        ("MOVE a 1", ":0|"),
        ("GET a", "$1|2|"),
    ]);
    replica.database = 1;
    replica.expect(&[("GET a", "$1|1|"), ("PTTL a", ":5000|")]);
}

#[test]
fn swapdb_and_flush_change_whole_databases() {
    let mut replica = Replica::new();
    replica.expect(&[
        ("SET a 1 PX 5000", "+OK|"),
        ("SWAPDB x 1", "-ERR invalid first DB index|"),
        ("SWAPDB 1 x", "-ERR invalid second DB index|"),
        ("SWAPDB 99999999999 1", "-ERR invalid first DB index|"),
        ("SWAPDB 1 99", OUT_OF_RANGE),
        ("SWAPDB -1 1", OUT_OF_RANGE),
        ("SWAPDB 0 0", "+OK|"),
        ("SWAPDB 0 1", "+OK|"),
        ("DBSIZE", ":0|"),
        ("SET b 1", "+OK|"),
        ("FLUSHDB FOO", SYNTAX),
        ("FLUSHDB SYNC ASYNC", SYNTAX),
        ("FLUSHDB async", "+OK|"),
        ("DBSIZE", ":0|"),
    ]);
    replica.database = 1;
    replica.expect(&[
        ("GET a", "$1|1|"),
        ("FLUSHALL FOO", SYNTAX),
        ("FLUSHALL SYNC", "+OK|"),
        ("DBSIZE", ":0|"),
    ]);
    assert_eq!(replica.store.next_expiry(), None);
}

#[test]
fn a_large_database_is_freed_over_several_entries() {
    let mut replica = Replica::new();
    replica.begin_entry();
    for number in 0..40_000 {
        replica.run_in_entry(&[b"SET", format!("key:{number}").as_bytes(), b"value"]);
    }
    replica.expect(&[("FLUSHALL", "+OK|"), ("DBSIZE", ":0|")]);
    assert!(
        replica.store.free_discarded(1),
        "40,000 keys were freed at once"
    );
    for _ in 0..10 {
        replica.begin_entry();
    }
    assert!(!replica.store.free_discarded(0));
}

#[test]
fn keys_and_scan_filter_by_pattern_and_type() {
    let mut replica = Replica::new();
    replica.expect(&[
        ("MSET hello 1 hallo 2 hxllo 3 other 4", "+OK|"),
        ("KEYS nosuch*", "*0|"),
        ("KEYS oth??", "*1|$5|other|"),
        ("SCAN 0 MATCH oth* COUNT 100", "*2|$1|0|*1|$5|other|"),
        (
            "SCAN 0 MATCH oth* COUNT 100 TYPE STRING",
            "*2|$1|0|*1|$5|other|",
        ),
        ("SCAN 0 TYPE list", "*2|$1|0|*0|"),
        ("SCAN 0 TYPE nosuch", "*2|$1|0|*0|"),
        ("SCAN x", "-ERR invalid cursor|"),
        ("SCAN 99999999999999999999", "-ERR invalid cursor|"),
        ("SCAN -1", "*2|$1|0|*0|"),
        ("SCAN 9007199254740991 COUNT 5", "*2|$1|0|*0|"),
        ("SCAN 9007199254740992", "*2|$1|0|*0|"),
        ("SCAN 0 COUNT 0", SYNTAX),
        ("SCAN 0 COUNT -1", SYNTAX),
        ("SCAN 0 COUNT x", NOT_AN_INTEGER),
        ("SCAN 0 COUNT", SYNTAX),
        ("SCAN 0 NOPE 1", SYNTAX),
    ]);
    let mut found = replica.scan_all(1);
    found.sort();
    assert_eq!(found, ["hallo", "hello", "hxllo", "other"]);
    assert_eq!(replica.scan_page("\"\"", 100).1.len(), 4);
    let keys = replica.run("KEYS h[ae]llo");
    assert!(
        keys.starts_with("*2|") && keys.contains("hello") && keys.contains("hallo"),
        "{keys}"
    );
}

#[test]
fn randomkey_takes_every_key_by_the_seed_of_the_read() {
    let mut replica = Replica::new();
    assert_eq!(replica.run("RANDOMKEY"), "$-1|");
    replica.protocol = Protocol::Resp3;
    assert_eq!(replica.run("RANDOMKEY"), "_|");
    replica.expect(&[("MSET a 1 b 2 c 3", "+OK|")]);
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..100 {
        replica.seed = seed;
        let reply = replica.run("RANDOMKEY");
        assert_eq!(replica.run("RANDOMKEY"), reply);
        seen.insert(reply);
    }
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        ["$1|a|", "$1|b|", "$1|c|"]
    );
}

#[test]
fn object_and_memory_describe_a_value() {
    let mut replica = Replica::new();
    let long = "x".repeat(45);
    replica.expect(&[
        ("MSET int 5 large 10000 word hello", "+OK|"),
        (&format!("SET long {long}"), "+OK|"),
        ("OBJECT ENCODING int", "$3|int|"),
        ("OBJECT ENCODING word", "$6|embstr|"),
        ("OBJECT ENCODING long", "$3|raw|"),
        ("OBJECT ENCODING nosuch", "$-1|"),
        ("OBJECT REFCOUNT int", ":2147483647|"),
        ("OBJECT REFCOUNT large", ":1|"),
        ("OBJECT REFCOUNT word", ":1|"),
        ("OBJECT REFCOUNT nosuch", "$-1|"),
        ("OBJECT IDLETIME word", ":0|"),
        ("OBJECT IDLETIME nosuch", "$-1|"),
        ("OBJECT FREQ nosuch", "$-1|"),
        (
            "OBJECT FREQ word",
            "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please \
             note that when switching between policies at runtime LRU and LFU data will take some \
             time to adjust.|",
        ),
        ("MEMORY USAGE nosuch", "$-1|"),
        ("MEMORY USAGE int", ":74|"),
        ("MEMORY USAGE int SAMPLES 5", ":74|"),
        ("MEMORY USAGE int SAMPLES -1", SYNTAX),
        ("MEMORY USAGE int SAMPLES x", NOT_AN_INTEGER),
        ("MEMORY USAGE int NOPE", SYNTAX),
        ("MEMORY USAGE int SAMPLES", SYNTAX),
        ("DEBUG OBJECT nosuch", NO_SUCH_KEY),
    ]);
    let reply = replica.run("DEBUG OBJECT word");
    assert!(reply.starts_with("+Value at:0x0 refcount:1 encoding:embstr serializedlength:5 "));
    replica.protocol = Protocol::Resp3;
    replica.expect(&[
        ("OBJECT ENCODING nosuch", "_|"),
        ("MEMORY USAGE nosuch", "_|"),
    ]);
}

#[test]
fn digests_depend_on_contents_only() {
    let mut replica = Replica::new();
    let empty = replica.run("DEBUG DIGEST");
    assert_eq!(empty, format!("+{}|", "0".repeat(40)));
    replica.expect(&[("MSET a 1 b 1 c 2", "+OK|")]);
    let values = replica.run("DEBUG DIGEST-VALUE a b c nosuch");
    let values: Vec<&str> = values.split('|').filter(|line| line.len() == 40).collect();
    assert_eq!(values[0], values[1]);
    assert_ne!(values[0], values[2]);
    assert_eq!(values[3], "0".repeat(40));
    let before = replica.run("DEBUG DIGEST");
    replica.run("SET a 5");
    assert_ne!(replica.run("DEBUG DIGEST"), before);
    replica.run("SET a 1");
    assert_eq!(replica.run("DEBUG DIGEST"), before);
}

#[test]
fn publishing_is_an_effect_of_the_log() {
    let mut replica = Replica::new();
    replica.expect(&[("PUBLISH news hello", ":3|"), ("SPUBLISH shard hi", ":3|")]);
    let expected =
        [(false, "news", "hello"), (true, "shard", "hi")].map(|(sharded, to, text)| Published {
            sharded,
            channel: to.into(),
            message: text.into(),
        });
    assert_eq!(replica.effects.published, expected);
}

#[test]
fn the_keys_of_a_slot_are_counted_and_listed() {
    let mut replica = Replica::new();
    replica.begin_entry();
    for number in 0..3_000 {
        replica.run_in_entry(&[b"SET", format!("{{tag}}{number}").as_bytes(), b"v"]);
        replica.run_in_entry(&[b"SET", format!("key{number}").as_bytes(), b"v"]);
    }
    replica.database = 1;
    replica.run("SET {tag}elsewhere v");
    let slot = kv::key_slot(b"tag");
    let others = (0..3_000)
        .filter(|n| kv::key_slot(format!("key{n}").as_bytes()) == slot)
        .count();
    assert_eq!(replica.store.count_keys_in_slot(slot), 3_001 + others);
    assert_eq!(replica.store.keys_in_slot(slot, 10).len(), 10);
    let all = replica.store.keys_in_slot(slot, usize::MAX);
    assert_eq!(all.len(), 3_001 + others);
    assert!(all.iter().all(|key| kv::key_slot(key) == slot));
    let total: usize = (0..kv::SLOT_COUNT)
        .map(|slot| replica.store.count_keys_in_slot(slot))
        .sum();
    assert_eq!(total, 6_001);
    assert_eq!(replica.store.count_keys_in_slot(kv::SLOT_COUNT), 0);
    assert!(replica.store.keys_in_slot(u16::MAX, 10).is_empty());
}
