//! A hash of the data that is kept up to date, so that replicas can be compared while they work.
//!
//! The hash of a set of entries is the sum of theirs, so a change costs the hash of the entry before and
//! of the one after, and the hash of all costs nothing. It is good against chance, not against intent:
//! it finds memory that went bad under a write, and a replica that applies an entry otherwise than
//! others, not an adversary.
//!
//! Values of more than [`WHOLE_BYTES_MAX`] are hashed by their length and both ends: a change in place of a
//! huge value must not cost its length. What differs in the middle alone is found by
//! [`Store::state_hash`](crate::Store::state_hash), which reads everything.

use crate::keyspace::Entry;
use crate::value::Value;

/// The longest value that is hashed whole.
const WHOLE_BYTES_MAX: usize = 512;

/// The bytes of each end of a longer one.
const END_BYTES: usize = WHOLE_BYTES_MAX / 2;

/// Odd numbers without a pattern: the digits of pi.
const SEEDS: [u64; 4] = [
    0x243f_6a88_85a3_08d3,
    0x1319_8a2e_0370_7345,
    0xa409_3822_299f_31d1,
    0x082e_fa98_ec4e_6c89,
];

/// The hash of one entry, never dependent on how key or value are kept.
pub(crate) fn of_entry(entry: &Entry) -> u64 {
    let Value::String(string) = &entry.value;
    let value = string.with_bytes(|bytes| match bytes.len() {
        length if length <= WHOLE_BYTES_MAX => of_bytes(SEEDS[0], bytes),
        length => {
            let (first, last) = (&bytes[..END_BYTES], &bytes[length - END_BYTES..]);
            of_bytes(of_bytes(SEEDS[1], first) ^ length as u64, last)
        }
    });
    let expire_at = entry.expire_at().unwrap_or(0);
    let key = of_bytes(value ^ entry.version, &entry.key);
    mix(key ^ SEEDS[2], expire_at ^ SEEDS[3])
}

/// The hash of all databases, from the sums and numbers of entries of each.
pub(crate) fn of_all(databases: impl Iterator<Item = (u64, usize)>) -> u64 {
    databases.fold(SEEDS[0], |hash, (sum, count)| {
        mix(mix(hash ^ sum, SEEDS[1]) ^ count as u64, SEEDS[2])
    })
}

/// Multiplies and folds, 16 bytes at a time, as wyhash and its kin do.
fn of_bytes(seed: u64, bytes: &[u8]) -> u64 {
    let mut hash = seed ^ bytes.len() as u64;
    let (pairs, rest) = bytes.as_chunks::<16>();
    for pair in pairs {
        let both = u128::from_le_bytes(*pair);
        hash = mix(both as u64 ^ SEEDS[1], (both >> 64) as u64 ^ hash);
    }
    if !rest.is_empty() {
        let mut last = [0; 16];
        last[..rest.len()].copy_from_slice(rest);
        let both = u128::from_le_bytes(last);
        hash = mix(both as u64 ^ SEEDS[2], (both >> 64) as u64 ^ hash);
    }
    mix(hash ^ SEEDS[3], SEEDS[0])
}

fn mix(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::num::NonZeroU64;

    use super::*;
    use crate::keyspace::Key;
    use crate::value::StringValue;

    fn entry(key: &[u8], value: &[u8]) -> Entry {
        Entry {
            key: Key::new(key),
            value: StringValue::from_bytes(value).into(),
            version: 7,
            expire_at: None,
        }
    }

    #[test]
    fn whatever_differs_gives_another_hash() {
        let mut hashes = BTreeSet::new();
        let mut add = |entry: &Entry| assert!(hashes.insert(of_entry(entry)), "{entry:?}");
        for length in 0..600 {
            add(&entry(b"key", &vec![0; length]));
        }
        for length in 0..100 {
            add(&entry(&vec![b'k'; length], b"value"));
        }
        for bit in 0..64 {
            let mut changed = entry(b"key", b"value");
            changed.version ^= 1 << bit;
            add(&changed);
            changed.version = 7;
            changed.expire_at = NonZeroU64::new(1 << bit);
            add(&changed);
        }
        for place in (0..END_BYTES).chain(1_000 - END_BYTES..1_000) {
            let mut value = vec![1; 1_000];
            value[place] = 2;
            add(&entry(b"key", &value));
        }
        for place in 0..WHOLE_BYTES_MAX {
            let mut value = vec![1; WHOLE_BYTES_MAX];
            value[place] = 2;
            add(&entry(b"key", &value));
        }
        // What is key and what is value matters.
        add(&entry(b"a", b"bc"));
        add(&entry(b"ab", b"c"));
    }

    #[test]
    fn it_is_the_same_for_ever_and_however_a_value_is_kept() {
        assert_eq!(of_entry(&entry(b"key", b"value")), 0x62e7_c045_2c04_8be1);
        let mut text = entry(b"key", b"");
        text.value = StringValue::from_text(b"12").into();
        assert_eq!(of_entry(&text), of_entry(&entry(b"key", b"12")));
        text.value = StringValue::growing(b"12".to_vec()).into();
        assert_eq!(of_entry(&text), of_entry(&entry(b"key", b"12")));
        assert_ne!(
            of_all([(1, 1), (0, 0)].into_iter()),
            of_all([(0, 0), (1, 1)].into_iter())
        );
    }
}
