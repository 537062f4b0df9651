//! What strings do beyond Redis 7.0, and over time; `golden.rs` has the rest.

mod support;

use support::Replica;

#[test]
fn set_ifeq_compares_and_sets() {
    let mut replica = Replica::new();
    replica.expect(&[
        ("SET k v IFEQ v", "$-1|"),
        ("EXISTS k", ":0|"),
        ("SET k v", "+OK|"),
        ("SET k w IFEQ x", "$-1|"),
        ("GET k", "$1|v|"),
        ("SET k w IFEQ v", "+OK|"),
        ("SET k 1 IFEQ w GET EX 100", "$1|w|"),
        ("TTL k", ":100|"),
        ("SET k 2 IFEQ 0 GET", "$1|1|"),
        ("SET k 2 IFEQ 1 KEEPTTL", "+OK|"),
        ("TTL k", ":100|"),
        ("SET absent 2 IFEQ 1 GET", "$-1|"),
        ("EXISTS absent", ":0|"),
        ("SET k 3 IFEQ", "-ERR syntax error|"),
        ("SET k 3 IFEQ 2 NX", "-ERR syntax error|"),
        ("SET k 3 XX IFEQ 2", "-ERR syntax error|"),
    ]);
}

#[test]
fn delifeq_deletes_only_what_it_was_told() {
    let mut replica = Replica::new();
    replica.expect(&[
        ("DELIFEQ lock me", ":0|"),
        ("SET lock other", "+OK|"),
        ("DELIFEQ lock me", ":0|"),
        ("SET lock me", "+OK|"),
        ("DELIFEQ lock me", ":1|"),
        ("EXISTS lock", ":0|"),
        ("SET n 12", "+OK|"),
        ("DELIFEQ n 012", ":0|"),
        ("DELIFEQ n 12", ":1|"),
    ]);
}

#[test]
fn an_expired_string_is_absent_to_every_command() {
    let mut replica = Replica::new();
    for (line, reply) in [
        ("SET k new NX", "+OK|"),
        ("SETNX k new", ":1|"),
        ("SET k new XX", "$-1|"),
        ("SET k new GET", "$-1|"),
        ("SET k new IFEQ old", "$-1|"),
        ("GETSET k new", "$-1|"),
        ("GETDEL k", "$-1|"),
        ("GETEX k PERSIST", "$-1|"),
        ("MGET k", "*1|$-1|"),
        ("MSETNX k 1 j 2", ":1|"),
        ("APPEND k new", ":3|"),
        ("STRLEN k", ":0|"),
        ("GETRANGE k 0 -1", "$0||"),
        ("SETRANGE k 2 x", ":3|"),
        ("INCR k", ":1|"),
        ("INCRBYFLOAT k 1.5", "$3|1.5|"),
        ("DELIFEQ k old", ":0|"),
        ("LCS k k LEN", ":0|"),
    ] {
        replica.expect(&[("FLUSHALL", "+OK|"), ("SET k old PX 100", "+OK|")]);
        replica.advance(100);
        replica.expect(&[(line, reply)]);
        if replica.run("EXISTS k") == ":1|" {
            assert_eq!(
                replica.run("TTL k"),
                ":-1|",
                "{line}: a new key has no old expiry"
            );
        }
    }
}

#[test]
fn relative_expiries_count_from_the_log_time_of_the_entry() {
    let mut replica = Replica::new();
    replica.time_ms = 5_000;
    replica.expect(&[
        ("SET k v EX 10", "+OK|"),
        ("PEXPIRETIME k", ":15000|"),
        ("GETEX k PX 1", "$1|v|"),
        ("PEXPIRETIME k", ":5001|"),
        ("PSETEX k 7 v", "+OK|"),
        ("PEXPIRETIME k", ":5007|"),
        ("GETEX k PXAT 5000", "$1|v|"),
        ("EXISTS k", ":0|"),
    ]);
}

#[test]
fn a_string_may_not_grow_past_its_limit() {
    let mut replica = Replica::new();
    let too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)|";
    replica.expect(&[
        ("SET k v", "+OK|"),
        ("SETRANGE k 536870912 x", too_long),
        ("SETRANGE new 536870912 x", too_long),
        ("EXISTS new", ":0|"),
        ("GET k", "$1|v|"),
    ]);
}

#[test]
fn lcs_refuses_a_table_larger_than_its_limit() {
    let mut replica = Replica::new();
    replica.expect(&[
        ("SETRANGE a 11999 x", ":12000|"),
        (
            "LCS a a",
            "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len|",
        ),
        ("LCS a b LEN", ":0|"),
    ]);
}

/// A copy shares the bytes of its source, and neither sees what is done to the other.
#[test]
fn a_copy_is_a_value_of_its_own() {
    let mut replica = Replica::new();
    let long = "x".repeat(100);
    replica.expect(&[
        (&format!("SET a {long}"), "+OK|"),
        ("APPEND a y", ":101|"),
        ("COPY a b", ":1|"),
        ("APPEND a z", ":102|"),
        ("SETRANGE b 0 z", ":101|"),
        ("GETRANGE a 0 0", "$1|x|"),
        ("GETRANGE a 99 -1", "$3|xyz|"),
        ("GETRANGE b 99 -1", "$2|xy|"),
    ]);
}
