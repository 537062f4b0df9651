//! What a snapshot costs: the time to freeze, to copy a segment that changes while it is frozen, to
//! write the blocks, and to load them. `cargo bench -p kv --bench snapshot [-- KEYS [VALUE_BYTES]]`.
//!
//! Times are those of the processor, so that a busy machine does not show. Linux only.

use std::hint::black_box;
use std::time::Duration;

use kv::{Effects, ReadEnv, SnapshotLoader, Store, lookup};
use resp::{Encoder, Protocol};

struct NoEffects;

impl Effects for NoEffects {
    fn publish(&mut self, _sharded: bool, _channel: &[u8], _message: &[u8]) -> i64 {
        0
    }
}

const SECRET: [u8; 16] = *b"0123456789abcdef";

fn main() {
    let numbers: Vec<u64> = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let key_count = numbers.first().copied().unwrap_or(1_000_000);
    let value = vec![b'v'; numbers.get(1).copied().unwrap_or(128) as usize];
    let mut store = Store::new();
    store.bootstrap(SECRET);
    store.begin_entry(1, 1);
    let start = Instant::now();
    (0..key_count).for_each(|number| set(&mut store, number, &value));
    println!("{key_count} keys, values of {} bytes", value.len());
    println!(
        "set            {:>9.0} ns/key",
        per_key(start.elapsed(), key_count)
    );
    overwrite(&mut store, key_count, &value);
    get_all(&store, key_count);
    copy_segments(&mut store, key_count, &value);
    through_blocks(&store, key_count);
}

fn overwrite(store: &mut Store, key_count: u64, value: &[u8]) {
    const WRITES: u64 = 200_000;
    store.begin_entry(2, 2);
    let start = Instant::now();
    (0..WRITES).for_each(|number| set(store, scattered(number, key_count), value));
    println!(
        "overwrite      {:>9.0} ns",
        per_key(start.elapsed(), WRITES)
    );
}

fn get_all(store: &Store, key_count: u64) {
    const READS: u64 = 1_000_000;
    let spec = lookup(b"get").expect("GET is in the table");
    let env = ReadEnv {
        wall_ms: 1,
        seed: 0,
    };
    let mut reply = Vec::new();
    let start = Instant::now();
    for number in 0..READS {
        reply.clear();
        let key = key_of(scattered(number, key_count));
        let mut out = Encoder::new(&mut reply, Protocol::Resp2);
        let outcome = store.read(spec, 0, &[b"GET", &key], &env, &mut out);
        let _ = black_box(outcome);
    }
    println!("get            {:>9.0} ns", per_key(start.elapsed(), READS));
}

/// Writes one key after the other while a frozen view lives, the most expensive moment: nearly each
/// of the first writes copies a segment.
fn copy_segments(store: &mut Store, key_count: u64, value: &[u8]) {
    const WRITES: u64 = 500;
    let start = Instant::now();
    let frozen = store.freeze();
    println!(
        "freeze         {:>9.1} us",
        start.elapsed().as_secs_f64() * 1e6
    );
    store.begin_entry(3, 3);
    let start = Instant::now();
    (0..WRITES).for_each(|number| set(store, scattered(number, key_count), value));
    println!(
        "frozen write   {:>9.0} ns",
        per_key(start.elapsed(), WRITES)
    );
    black_box(&frozen);
}

fn through_blocks(store: &Store, key_count: u64) {
    let frozen = store.freeze();
    let start = Instant::now();
    let blocks: Vec<Vec<u8>> = frozen.blocks().collect();
    let bytes: usize = blocks.iter().map(Vec::len).sum();
    println!(
        "write blocks   {:>9.0} ns/key, {} blocks, {:.1} bytes/key",
        per_key(start.elapsed(), key_count),
        blocks.len(),
        bytes as f64 / key_count as f64
    );
    let resident = resident_bytes();
    let start = Instant::now();
    let mut loader = SnapshotLoader::new(SECRET, store.applied(), store.time_ms());
    for block in &blocks {
        loader.block(block).expect("our own block");
    }
    let loaded = loader.finish();
    let took = start.elapsed();
    println!(
        "load           {:>9.0} ns/key, {:.3} s, {:.1} bytes/key resident",
        per_key(took, key_count),
        took.as_secs_f64(),
        (resident_bytes() - resident) as f64 / key_count as f64
    );
    let start = Instant::now();
    let hash = loaded.state_hash();
    println!(
        "state hash     {:>9.0} ns/key",
        per_key(start.elapsed(), key_count)
    );
    assert_eq!(hash, store.state_hash());
}

fn key_of(number: u64) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    let mut rest = number;
    for digit in key[4..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

fn set(store: &mut Store, number: u64, value: &[u8]) {
    let spec = lookup(b"set").expect("SET is in the table");
    let key = key_of(number);
    let mut reply = Vec::new();
    let mut out = Encoder::new(&mut reply, Protocol::Resp2);
    store.write(spec, 0, &[b"SET", &key, value], &mut NoEffects, &mut out);
}

/// A number below `key_count`, far from that of the number before.
fn scattered(number: u64, key_count: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % key_count
}

fn per_key(elapsed: Duration, count: u64) -> f64 {
    elapsed.as_nanos() as f64 / count as f64
}

/// A moment of this thread's time on the processor.
struct Instant(Duration);

impl Instant {
    fn now() -> Instant {
        let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat");
        let schedstat = schedstat.unwrap_or_default();
        let nanos = schedstat
            .split(' ')
            .next()
            .and_then(|nanos| nanos.parse().ok());
        Instant(Duration::from_nanos(nanos.unwrap_or(0)))
    }

    fn elapsed(&self) -> Duration {
        Instant::now().0.saturating_sub(self.0)
    }
}

/// The resident set of this process.
fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4_096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: Option<u64> = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0) * PAGE_BYTES
}
