//! A store that was frozen, written as blocks and loaded again is the same store, then and ever after;
//! blocks that cannot be are refused.

mod support;

use kv::{BLOCK_BYTES_TARGET, DATABASE_COUNT, Frozen, LoadError, SnapshotLoader, Store};
use proptest::prelude::*;
use resp::Protocol;
use support::{Recorder, Replica};

const SECRET: [u8; 16] = *b"0123456789abcdef";

fn loader(applied: u64) -> SnapshotLoader {
    SnapshotLoader::new(SECRET, applied, 1)
}

/// The store of a frozen view, by way of its blocks.
fn load(frozen: Frozen) -> Store {
    let mut loader = SnapshotLoader::new(SECRET, frozen.applied(), frozen.time_ms());
    let key_count = frozen.key_count();
    for block in frozen.blocks() {
        loader.block(&block).expect("our own block");
    }
    assert_eq!(loader.key_count(), key_count);
    loader.finish()
}

fn assert_same(left: &Store, right: &Store) {
    assert_eq!(left.state_hash(), right.state_hash());
    assert_eq!(left.rolling_hash(), right.rolling_hash());
    assert_eq!(left.next_expiry(), right.next_expiry());
    assert_eq!(
        (left.applied(), left.time_ms()),
        (right.applied(), right.time_ms())
    );
    for database in 0..DATABASE_COUNT {
        assert_eq!(left.key_count(database), right.key_count(database));
        assert_eq!(left.expires_count(database), right.expires_count(database));
    }
}

/// A replica that goes on from a store.
fn replica_of(store: Store, like: &Replica) -> Replica {
    Replica {
        store,
        index: like.index,
        time_ms: like.time_ms,
        wall_ms: like.wall_ms,
        database: like.database,
        protocol: Protocol::Resp2,
        effects: Recorder::default(),
        seed: like.seed,
    }
}

#[test]
fn an_empty_store_has_one_block_and_is_loaded() {
    let mut replica = Replica::with_secret(SECRET);
    replica.advance(5);
    let blocks: Vec<Vec<u8>> = replica.store.freeze().blocks().collect();
    assert_eq!(blocks, [[1, 0, 0, 0, 0, 0, 0, 0]]);
    assert_same(&load(replica.store.freeze()), &replica.store);
}

#[test]
fn the_bytes_of_a_block_are_as_documented() {
    let mut replica = Replica::with_secret(SECRET);
    replica.database = 3;
    replica.run("SET a -2");
    replica.run("SET b text PXAT 4096000");
    replica.run("APPEND c grows");
    let version = |index: u64| (index << 20 | 1).to_le_bytes();
    let mut a = vec![1, 0];
    a.extend(version(1));
    a.extend([1, 0, 0, 0, b'a']);
    a.extend((-2_i64).to_le_bytes());
    let mut b = vec![2, 1];
    b.extend(version(2));
    b.extend(4_096_000_u64.to_le_bytes());
    b.extend(b"\x01\0\0\0b\x04\0\0\0text");
    let mut c = vec![2, 0];
    c.extend(version(3));
    c.extend(b"\x01\0\0\0c\x05\0\0\0grows");
    let grown = replica.store.freeze().blocks().next().expect("a block");
    // The order is that of slots: CRC16 of the key.
    let mut by_slot = [
        (kv::key_slot(b"a"), a),
        (kv::key_slot(b"b"), b),
        (kv::key_slot(b"c"), c),
    ];
    by_slot.sort();
    let mut expected = vec![1, 3, 0, 0, 3, 0, 0, 0];
    by_slot
        .into_iter()
        .for_each(|(_, entry)| expected.extend(entry));
    assert_eq!(grown, expected);
    // A string that was changed in place keeps its room, and OBJECT ENCODING its answer.
    replica.run("APPEND c more");
    let mut loaded = replica_of(load(replica.store.freeze()), &replica);
    for key in ["a", "b", "c"] {
        let line = format!("OBJECT ENCODING {key}");
        assert_eq!(loaded.run(&line), replica.run(&line));
    }
}

#[test]
fn blocks_are_of_the_target_size_and_depend_on_the_data_alone() {
    let mut replica = Replica::with_secret(SECRET);
    let mut backwards = Replica::with_secret(SECRET);
    replica.begin_entry();
    backwards.begin_entry();
    let value = "v".repeat(100);
    let key = |number: usize| format!("key:{number}");
    for number in 0..3_000 {
        replica.run_in_entry(&[b"SET", key(number).as_bytes(), value.as_bytes()]);
    }
    for number in (0..6_000).rev() {
        backwards.run_in_entry(&[b"SET", key(number).as_bytes(), b"other"]);
    }
    for number in 3_000..6_000 {
        backwards.run_in_entry(&[b"DEL", key(number).as_bytes()]);
    }
    // The same contents and versions, in other segments.
    backwards.begin_entry();
    replica.begin_entry();
    for number in 0..3_000 {
        for replica in [&mut replica, &mut backwards] {
            replica.run_in_entry(&[b"SET", key(number).as_bytes(), b"same"]);
        }
    }
    let blocks: Vec<Vec<u8>> = replica.store.freeze().blocks().collect();
    assert_eq!(
        blocks,
        backwards.store.freeze().blocks().collect::<Vec<_>>()
    );
    let (last, full) = blocks.split_last().expect("there are blocks");
    assert!(full.iter().all(|block| block.len() >= BLOCK_BYTES_TARGET));
    assert!(
        full.iter()
            .all(|block| block.len() < BLOCK_BYTES_TARGET + 100)
    );
    assert!(last.len() < BLOCK_BYTES_TARGET + 100);
}

#[test]
fn large_values_and_binary_keys_go_through() {
    let mut replica = Replica::with_secret(SECRET);
    let every_byte: Vec<u8> = (0..=255).collect();
    let large = vec![0xe9; 3 << 20];
    for database in [0, 7, 15] {
        replica.database = database;
        for byte in 0..=255_u8 {
            replica.run_args(&[b"SET", &[byte], &every_byte]);
            replica.run_args(&[b"SET", &[&[byte][..], &every_byte].concat(), &[byte]]);
        }
        replica.run_args(&[b"SET", b"", b""]);
        replica.run_args(&[b"SET", "caf\u{e9}".as_bytes(), &large]);
        replica.run_args(&[b"SET", b"caf\xe9", b"-9223372036854775808"]);
    }
    let mut loaded = replica_of(load(replica.store.freeze()), &replica);
    assert_same(&loaded.store, &replica.store);
    assert_eq!(
        loaded.run_args(&[b"STRLEN", "caf\u{e9}".as_bytes()]),
        ":3145728|"
    );
}

#[test]
fn keys_that_are_due_and_not_removed_yet_stay_so() {
    let mut replica = Replica::with_secret(SECRET);
    replica.begin_entry();
    for number in 0..3_000 {
        let key = format!("key:{number}");
        replica.run_in_entry(&[b"SET", key.as_bytes(), b"v", b"PX", b"10"]);
    }
    replica.advance(20);
    assert_eq!(replica.store.key_count(0), 2_000);
    let mut loaded = replica_of(load(replica.store.freeze()), &replica);
    for _ in 0..3 {
        assert_same(&loaded.store, &replica.store);
        loaded.advance(1);
        replica.advance(1);
    }
    assert_eq!(loaded.store.key_count(0), 0);
}

/// A block of database `database` with these entries, each of version 1 << 20.
fn block_of(database: u8, entries: &[(&[u8], Option<u64>)]) -> Vec<u8> {
    let mut block = vec![1, database, 0, 0];
    block.extend((entries.len() as u32).to_le_bytes());
    for (key, expire_at) in entries {
        block.extend([1, u8::from(expire_at.is_some())]);
        block.extend((1_u64 << 20).to_le_bytes());
        block.extend(expire_at.iter().flat_map(|at| at.to_le_bytes()));
        block.extend((key.len() as u32).to_le_bytes());
        block.extend_from_slice(key);
        block.extend(7_i64.to_le_bytes());
    }
    block
}

#[test]
fn what_cannot_be_is_refused() {
    let (low, high) = match kv::key_slot(b"a") < kv::key_slot(b"b") {
        true => (b"a", b"b"),
        false => (b"b", b"a"),
    };
    let good = block_of(1, &[(low, None), (high, Some(5))]);
    assert_eq!(loader(1).block(&good), Ok(()));
    let refused = |block: &[u8]| loader(1).block(block).expect_err("refused");
    let out_of_order = LoadError::OutOfOrder { database: 1 };
    assert_eq!(
        refused(&block_of(1, &[(high, None), (low, None)])),
        out_of_order
    );
    assert_eq!(
        refused(&block_of(1, &[(low, None), (low, None)])),
        out_of_order
    );
    let mut again = loader(1);
    again.block(&good).expect("the first time");
    assert_eq!(again.block(&good), Err(out_of_order));
    let mut back = loader(1);
    back.block(&block_of(2, &[])).expect("an empty block");
    assert_eq!(back.block(&good), Err(out_of_order));

    assert_eq!(
        refused(&block_of(16, &[])),
        LoadError::Database { database: 16 }
    );
    assert_eq!(
        refused(&block_of(1, &[(low, Some(0))])),
        LoadError::Malformed
    );
    let later = loader(0).block(&good);
    assert_eq!(later, Err(LoadError::Version { version: 1 << 20 }));
    let mut never = good.clone();
    never[10..18].fill(0);
    assert_eq!(refused(&never), LoadError::Version { version: 0 });
    let mut newer = good.clone();
    newer[0] = 2;
    assert_eq!(
        refused(&newer),
        LoadError::NewerVersion {
            version: 2,
            known: 1
        }
    );
    let mut unknown = good.clone();
    unknown[8] = 9;
    assert_eq!(refused(&unknown), LoadError::UnknownType { kind: 9 });
    for len in 0..good.len() {
        assert_eq!(refused(&good[..len]), LoadError::Malformed, "cut at {len}");
    }
    assert_eq!(refused(&[&good[..], &[0]].concat()), LoadError::Malformed);
    // Announced lengths take no memory.
    let mut long = block_of(1, &[(low, None)]);
    long[18..22].fill(0xff);
    assert_eq!(refused(&long), LoadError::Malformed);
    assert_eq!(
        refused(&[1, 1, 0, 0, 255, 255, 255, 255]),
        LoadError::Malformed
    );
}

/// A database and a command.
type Command = (u8, Vec<Vec<u8>>);

/// A command on few keys and all databases.
fn command() -> impl Strategy<Value = Command> {
    let key = || prop::collection::vec(prop_oneof![Just(0_u8), Just(0xe9), Just(b'k')], 0..3);
    let long_key = || key().prop_map(|key| [&key[..], &[b'x'; 30]].concat());
    let key = move || prop_oneof![key(), long_key()];
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        (0..1_000_i64).prop_map(|number| number.to_string().into_bytes()),
    ];
    let words = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect::<Vec<_>>();
    let number = |number: u64| number.to_string().into_bytes();
    let command = prop_oneof![
        6 => (key(), value.clone()).prop_map(move |(k, v)| words(&[b"SET", &k, &v])),
        4 => (key(), value.clone(), 1..300_u64)
            .prop_map(move |(k, v, t)| words(&[b"SET", &k, &v, b"PX", &number(t)])),
        2 => (key(), value).prop_map(move |(k, v)| words(&[b"APPEND", &k, &v])),
        2 => key().prop_map(move |k| words(&[b"INCR", &k])),
        2 => key().prop_map(move |k| words(&[b"DEL", &k])),
        1 => key().prop_map(move |k| words(&[b"PERSIST", &k])),
        1 => (0..16_u64, 0..16_u64)
            .prop_map(move |(a, b)| words(&[b"SWAPDB", &number(a), &number(b)])),
        1 => Just(words(&[b"FLUSHDB"])),
    ];
    (prop_oneof![Just(0_u8), Just(15), 0..16_u8], command)
}

fn apply(replica: &mut Replica, entries: &[(u64, Command)]) -> Vec<String> {
    let mut replies = Vec::new();
    for (pause_ms, (database, command)) in entries {
        replica.advance(*pause_ms);
        replica.database = *database;
        let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
        replies.push(replica.run_in_entry(&words));
    }
    replies
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_loaded_store_is_the_frozen_one_and_goes_on_like_it(
        before in prop::collection::vec((0..50_u64, command()), 0..120),
        after in prop::collection::vec((0..50_u64, command()), 0..60),
    ) {
        let mut original = Replica::with_secret(SECRET);
        apply(&mut original, &before);
        let (hash, frozen) = (original.store.state_hash(), original.store.freeze());
        let loaded = load(frozen.clone());
        assert_same(&loaded, &original.store);
        let mut loaded = replica_of(loaded, &original);
        prop_assert_eq!(apply(&mut loaded, &after), apply(&mut original, &after));
        assert_same(&loaded.store, &original.store);
        // Whatever happened since, the frozen view is as it was.
        prop_assert_eq!(frozen.state_hash(), hash);
        prop_assert_eq!(load(frozen).state_hash(), hash);
    }

    #[test]
    fn no_bytes_make_a_loader_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let _ = loader(1).block(&bytes);
        let mut replica = Replica::with_secret(SECRET);
        for number in 0..20 {
            replica.run(&format!("SET key:{number} value PX 1000"));
        }
        let mut block = replica.store.freeze().blocks().next().expect("a block");
        for (place, byte) in edits {
            let place = place.index(block.len());
            block[place] = byte;
        }
        let mut edited = loader(100);
        if edited.block(&block).is_ok() {
            edited.finish().begin_entry(101, u64::MAX);
        }
    }
}
