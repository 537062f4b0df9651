//! A store that was frozen, written as blocks and loaded again is the same store.

mod support;

use kv::{SnapshotLoader, Store};
use support::Replica;

const SECRET: [u8; 16] = *b"0123456789abcdef";

/// Writes a store out and loads it.
fn through_blocks(store: &Store) -> Store {
    let frozen = store.freeze();
    let mut loader = SnapshotLoader::new(SECRET, frozen.applied(), frozen.time_ms());
    for block in frozen.blocks() {
        loader.block(&block).expect("our own block");
    }
    loader.finish()
}

#[test]
fn a_loaded_store_is_the_frozen_one() {
    let mut replica = Replica::with_secret(SECRET);
    for number in 0..5_000 {
        replica.run(&format!("SET key:{number} value:{number}"));
        if number % 3 == 0 {
            replica.run(&format!("PEXPIRE key:{number} {}", 1_000 + number));
        }
    }
    let loaded = through_blocks(&replica.store);
    assert_eq!(loaded.state_hash(), replica.store.state_hash());
    assert_eq!(loaded.next_expiry(), replica.store.next_expiry());
    assert_eq!(loaded.expires_count(0), replica.store.expires_count(0));
    assert_eq!(loaded.key_count(0), 5_000);
    assert_eq!(
        through_blocks(&Store::new()).state_hash(),
        Store::new().state_hash()
    );
}
