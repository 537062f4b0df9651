//! What the keyspace costs: time per SET of a new key, per overwrite and per GET, and resident bytes
//! per key, by number of keys. `cargo bench -p kv --bench keyspace [-- KEYS]`.
//!
//! Bytes are the growth of the resident set, so they include what the allocator adds. Linux only.

use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

use kv::{Effects, ReadEnv, Store, lookup};
use resp::{Encoder, Protocol};

struct NoEffects;

impl Effects for NoEffects {
    fn publish(&mut self, _sharded: bool, _channel: &[u8], _message: &[u8]) -> i64 {
        0
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u64> = arguments
        .iter()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    match numbers[..] {
        [key_count, value_bytes] => measure(key_count, value_bytes as usize),
        _ => measure_each(numbers.first().copied().unwrap_or(1_000_000)),
    }
}

/// Measures each size of value in a process of its own, so that none uses what another freed.
fn measure_each(key_count: u64) {
    println!("{key_count} keys of {KEY_BYTES} bytes");
    println!(
        "{:>12} {:>10} {:>10} {:>10} {:>10}",
        "value bytes", "new ns", "over ns", "get ns", "bytes/key"
    );
    let program = std::env::current_exe().expect("the path of this program");
    for value_bytes in [5, 16, 32, 100] {
        let arguments = [key_count.to_string(), value_bytes.to_string()];
        let status = Command::new(&program).args(arguments).status();
        assert!(status.expect("this program starts").success());
    }
}

fn measure(key_count: u64, value_bytes: usize) {
    // Five digits are a string that is kept as an integer.
    let value = vec![b'7'; value_bytes];
    let keys = Keys::shuffled(key_count);
    let resident_before = resident_bytes();
    let mut store = Store::new();
    store.bootstrap(*b"0123456789abcdef");
    let new_ns = set_all(&mut store, 1, &keys, &value);
    let resident = resident_bytes().saturating_sub(resident_before);
    let over_ns = set_all(&mut store, 2, &keys, &value);
    let get_ns = get_all(&store, &keys);
    println!(
        "{value_bytes:>12} {new_ns:>10.0} {over_ns:>10.0} {get_ns:>10.0} {:>10.1}",
        resident as f64 / key_count as f64,
    );
}

fn set_all(store: &mut Store, index: u64, keys: &Keys, value: &[u8]) -> f64 {
    let spec = lookup(b"set").expect("SET is in the table");
    let mut reply = Vec::new();
    store.begin_entry(index, 1);
    let start = Instant::now();
    for key in keys.iter() {
        reply.clear();
        let mut out = Encoder::new(&mut reply, Protocol::Resp2);
        store.write(spec, 0, &[b"SET", key, value], &mut NoEffects, &mut out);
    }
    per_key(start, keys)
}

fn get_all(store: &Store, keys: &Keys) -> f64 {
    let spec = lookup(b"get").expect("GET is in the table");
    let env = ReadEnv {
        wall_ms: 1,
        seed: 0,
    };
    let mut reply = Vec::new();
    let start = Instant::now();
    for key in keys.iter() {
        reply.clear();
        let mut out = Encoder::new(&mut reply, Protocol::Resp2);
        let outcome = store.read(spec, 0, &[b"GET", key], &env, &mut out);
        let _ = black_box(outcome);
    }
    per_key(start, keys)
}

fn per_key(start: Instant, keys: &Keys) -> f64 {
    start.elapsed().as_nanos() as f64 / keys.count as f64
}

const KEY_BYTES: usize = 16;

/// The keys, made before the clock runs.
struct Keys {
    count: u64,
    bytes: Vec<u8>,
}

impl Keys {
    /// All keys, in an order that jumps about: multiples of a prime that does not divide the count.
    fn shuffled(count: u64) -> Self {
        let primes = [483_611, 483_619, 483_629];
        let stride: u64 = primes
            .into_iter()
            .find(|prime| !count.is_multiple_of(*prime))
            .unwrap_or(1);
        let mut bytes = Vec::with_capacity(count as usize * KEY_BYTES);
        for number in 0..count {
            let number = number * stride % count;
            bytes.extend_from_slice(format!("key:{number:012}").as_bytes());
        }
        Keys { count, bytes }
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(KEY_BYTES)
    }
}

/// The resident set of this process.
fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4_096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: Option<u64> = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0) * PAGE_BYTES
}
