//! The model against the documentation, and against the product.

use kv::{Effects, ReadEnv, ReadOutcome, Store};
use resp::{Encoder, Protocol, ReplyBuffer, Value};

use crate::history::Reply;
use crate::judges::witness::model::{Call, Clock, Expected, Model};

/// Runs lines one entry after the other, 10 ms apart, and tells the replies.
fn run(lines: &[&str]) -> Vec<String> {
    let mut model = Model::default();
    let mut replies = Vec::new();
    for (entry, line) in (1..).zip(lines) {
        model.begin_entry(entry, 1_000 + 10 * entry);
        let command: Vec<Vec<u8>> = line
            .split(' ')
            .map(|word| word.as_bytes().to_vec())
            .collect();
        let expected = model.run(&Call::asked(&command), Clock::Log);
        replies.push(match expected {
            Some(Expected::Exactly(reply)) => show(&reply),
            other => format!("{other:?}"),
        });
    }
    replies
}

fn show(reply: &Reply) -> String {
    match reply {
        Reply::Text(text) => String::from_utf8_lossy(text).into_owned(),
        Reply::Integer(number) => number.to_string(),
        Reply::Null => "nil".to_owned(),
        Reply::List(items) => items.iter().map(show).collect::<Vec<_>>().join(" "),
        Reply::Error(text) => format!("-{}", &text[..text.len().min(11)]),
    }
}

#[test]
fn strings_and_numbers_do_what_the_documentation_says() {
    let script = [
        ("GET k", "nil"),
        ("SET k v", "OK"),
        ("SET k w NX", "nil"),
        ("SET k w XX GET", "v"),
        ("GETSET k 5", "w"),
        ("INCR k", "6"),
        ("DECRBY k 10", "-4"),
        ("INCRBY k 9223372036854775807", "9223372036854775803"),
        ("INCRBY k 5", "-ERR increme"),
        ("INCRBY k 1x", "-ERR value i"),
        ("APPEND k x", "20"),
        ("INCR k", "-ERR value i"),
        ("STRLEN k", "20"),
        ("SETNX k a", "0"),
        ("MSET a 1 b 2", "OK"),
        ("MGET a b c", "1 2 nil"),
        ("MSETNX b 1 c 1", "0"),
        ("SETNX c 3", "1"),
        ("EXISTS a b c a d", "4"),
        ("DEL a b d", "2"),
        ("GETDEL c", "3"),
        ("SET k@3 v", "OK"),
        ("SET k v WHAT", "-ERR syntax "),
        ("GET k@3", "v"),
    ];
    let lines: Vec<&str> = script.iter().map(|(line, _)| *line).collect();
    let expected: Vec<&str> = script.iter().map(|(_, reply)| *reply).collect();
    assert_eq!(run(&lines), expected);
}

#[test]
fn keys_expire_by_the_time_of_the_log() {
    let script = [
        ("SET k v PX 25", "OK"),
        ("PTTL k", "15"),
        ("GET k", "v"),
        ("GET k", "nil"),
        ("PTTL k", "-2"),
        ("SET k v", "OK"),
        ("PTTL k", "-1"),
        ("PEXPIRE k 100", "1"),
        ("APPEND k w", "2"),
        ("SET k 1 KEEPTTL", "OK"),
        ("INCR k", "2"),
        ("TTL k", "0"),
        ("PERSIST k", "1"),
        ("PERSIST k", "0"),
        ("EXPIRE k 1", "1"),
        ("TTL k", "1"),
        ("PEXPIRE k -1", "1"),
        ("PEXPIRE k 5", "0"),
        ("SET k v PX 0", "-ERR invalid"),
    ];
    let lines: Vec<&str> = script.iter().map(|(line, _)| *line).collect();
    let expected: Vec<&str> = script.iter().map(|(_, reply)| *reply).collect();
    assert_eq!(run(&lines), expected);
}

#[test]
fn versions_tell_each_change_apart() {
    let mut model = Model::default();
    let set = [b"SET".to_vec(), b"k".to_vec(), b"v".to_vec()];
    model.begin_entry(7, 0);
    assert_eq!(model.version(0, b"k"), 0);
    model.run(&Call::asked(&set), Clock::Log);
    model.run(&Call::asked(&set), Clock::Log);
    assert_eq!(model.version(0, b"k"), 7 << 20 | 2);
    model.begin_entry(8, 0);
    let get = [b"GET".to_vec(), b"k".to_vec()];
    model.run(&Call::asked(&get), Clock::Log);
    assert_eq!(model.version(0, b"k"), 7 << 20 | 2);
}

struct NoListeners;

impl Effects for NoListeners {
    fn publish(&mut self, _sharded: bool, _channel: &[u8], _message: &[u8]) -> i64 {
        0
    }
}

/// What the product replies to a command.
fn by_product(store: &mut Store, line: &str) -> Reply {
    let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let spec = kv::lookup(args[0]).expect("a command");
    let mut bytes = Vec::new();
    let mut out = Encoder::new(&mut bytes, Protocol::Resp2);
    if spec.is_write() {
        store.write(spec, 0, &args, &mut NoListeners, &mut out);
    } else {
        let env = ReadEnv {
            wall_ms: store.time_ms(),
            seed: 0,
        };
        assert_eq!(
            store.read(spec, 0, &args, &env, &mut out),
            ReadOutcome::Done
        );
    }
    let mut buffer = ReplyBuffer::default();
    buffer.feed(&bytes);
    let value = buffer.next_value().expect("a reply");
    plain(value.expect("a whole reply"))
}

fn plain(value: Value) -> Reply {
    match value {
        Value::Simple(text) | Value::Bulk(text) => Reply::Text(text),
        Value::Integer(number) => Reply::Integer(number),
        Value::Array(values) => Reply::List(values.into_iter().map(plain).collect()),
        Value::Error(text) => Reply::Error(String::from_utf8_lossy(&text).into_owned()),
        _ => Reply::Null,
    }
}

/// Commands at random, mostly over two keys, so that every command meets every kind of value.
fn random_line(random: &mut impl FnMut(u64) -> u64) -> String {
    let key = format!("k{}", random(2));
    let number = random(5) as i64 - 1;
    let value = match random(3) {
        0 => "abc".to_owned(),
        _ => random(100).to_string(),
    };
    match random(28) {
        0 => format!("SET {key} {value}"),
        1 => format!("SET {key} {value} NX"),
        2 => format!("SET {key} {value} XX GET"),
        3 => format!("SET {key} {value} PX {}", 10 * number),
        4 => format!("SET {key} {value} EX 1 NX GET"),
        5 => format!("SET {key} {value} KEEPTTL"),
        6 => format!("SET {key} {value} PX 20 XX"),
        7 => format!("GETSET {key} {value}"),
        8 => format!("SETNX {key} {value}"),
        9 => format!("DEL {key} k1"),
        10 => format!("INCR {key}"),
        11 => format!("DECR {key}"),
        12 => format!("INCRBY {key} {value}"),
        13 => format!("DECRBY {key} {value}"),
        14 => format!("APPEND {key} {value}"),
        15 => format!("STRLEN {key}"),
        16 => format!("PEXPIRE {key} {}", 10 * number),
        17 => format!("EXPIRE {key} {number}"),
        18 => format!("PERSIST {key}"),
        19 => format!("PTTL {key}"),
        20 => format!("TTL {key}"),
        21 => format!("MSET {key} {value} k1 x"),
        22 => format!("MSETNX {key} {value} k3 x"),
        23 => format!("MGET {key} k0 k3"),
        24 => format!("EXISTS {key} k0 k3"),
        25 => format!("GETDEL {key}"),
        26 => format!("PSETEX {key} 15 {value}"),
        _ => format!("UNLINK {key}"),
    }
}

/// Two programs that were written apart agree on what commands do.
#[test]
fn the_model_and_the_product_agree() {
    let mut state = 1_u64;
    let mut random = |bound: u64| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (state >> 33) % bound
    };
    let (mut model, mut store) = (Model::default(), Store::new());
    let mut time_ms = 1_000;
    for index in 1..=5_000 {
        time_ms += random(12);
        model.begin_entry(index, time_ms);
        store.begin_entry(index, time_ms);
        for _ in 0..=random(2) {
            let line = random_line(&mut random);
            let command: Vec<Vec<u8>> = line
                .split(' ')
                .map(|word| word.as_bytes().to_vec())
                .collect();
            let expected = model.run(&Call::asked(&command), Clock::Log);
            let found = by_product(&mut store, &line);
            assert_eq!(
                expected,
                Some(Expected::Exactly(found)),
                "entry {index}: {line}"
            );
        }
        for key in [b"k0", b"k1", b"k3"] {
            assert_eq!(
                model.version(0, key),
                store.version(0, key),
                "entry {index}"
            );
        }
    }
}
