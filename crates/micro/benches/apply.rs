//! The keyspace: a command with its arguments in hand, to its reply.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use kv::{Effects, ReadEnv, Store, lookup};
use resp::{Encoder, Protocol};

fn main() {
    divan::main();
}

/// Commands of a sample.
const COMMANDS: usize = 1000;
/// Keys that are there before.
const KEY_COUNTS: [usize; 2] = [100_000, 1_000_000];

struct NoEffects;

impl Effects for NoEffects {
    fn publish(&mut self, _sharded: bool, _channel: &[u8], _message: &[u8]) -> i64 {
        0
    }
}

/// SET of a key that exists, with 128 bytes.
#[divan::bench(args = KEY_COUNTS)]
fn set(bencher: Bencher, key_count: usize) {
    static VALUE: [u8; 128] = [b'w'; 128];
    write(bencher, key_count, &[b'v'; 128], |key| {
        vec![b"SET", key, &VALUE]
    });
}

/// INCR of a counter that exists.
#[divan::bench(args = KEY_COUNTS)]
fn incr(bencher: Bencher, key_count: usize) {
    write(bencher, key_count, b"10", |key| vec![b"INCR", key]);
}

/// GET of a key of 128 bytes.
#[divan::bench(args = KEY_COUNTS)]
fn get(bencher: Bencher, key_count: usize) {
    let store = filled(key_count, &[b'v'; 128]);
    let spec = lookup(b"get").expect("in the table");
    let env = ReadEnv {
        wall_ms: 1,
        seed: 0,
    };
    let mut keys = Keys::new(key_count);
    let mut reply = Vec::new();
    bencher.counter(ItemsCount::new(COMMANDS)).bench_local(|| {
        for _ in 0..COMMANDS {
            let key = keys.draw();
            reply.clear();
            let mut out = Encoder::new(&mut reply, Protocol::Resp2);
            let _ = black_box(store.read(spec, 0, &[b"GET", &key], &env, &mut out));
        }
    });
}

fn write(
    bencher: Bencher,
    key_count: usize,
    value: &[u8],
    command: impl for<'k> Fn(&'k [u8]) -> Vec<&'k [u8]>,
) {
    let mut store = filled(key_count, value);
    let mut keys = Keys::new(key_count);
    let spec = lookup(command(b"k")[0]).expect("in the table");
    let mut index = 1;
    let mut reply = Vec::new();
    bencher.counter(ItemsCount::new(COMMANDS)).bench_local(|| {
        index += 1;
        store.begin_entry(index, 1);
        for _ in 0..COMMANDS {
            let key = keys.draw();
            reply.clear();
            let mut out = Encoder::new(&mut reply, Protocol::Resp2);
            store.write(spec, 0, &command(&key), &mut NoEffects, &mut out);
        }
        black_box(&reply);
    });
}

fn filled(key_count: usize, value: &[u8]) -> Store {
    let mut store = Store::new();
    store.bootstrap(*b"0123456789abcdef");
    store.begin_entry(1, 1);
    let spec = lookup(b"set").expect("in the table");
    let mut reply = Vec::new();
    for number in 0..key_count {
        reply.clear();
        let mut out = Encoder::new(&mut reply, Protocol::Resp2);
        let key = key_of(number);
        store.write(spec, 0, &[b"SET", &key, value], &mut NoEffects, &mut out);
    }
    store
}

fn key_of(number: usize) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    let mut rest = number;
    for digit in key.iter_mut().rev() {
        if rest == 0 {
            break;
        }
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// Keys in an order that jumps about.
struct Keys {
    count: usize,
    state: u64,
}

impl Keys {
    fn new(count: usize) -> Keys {
        Keys { count, state: 1 }
    }

    fn draw(&mut self) -> [u8; 16] {
        // Knuth's linear congruential generator (MMIX); its high bits are good enough.
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        key_of((self.state >> 33) as usize % self.count)
    }
}
