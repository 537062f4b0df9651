//! A digest of the data, to compare replicas, and for DEBUG DIGEST.

use std::fmt;
use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::keyspace::Entry;
use crate::value::Value;

/// The number of independent 64-bit lanes: as many as 40 hexadecimal digits, the length that Redis
/// prints, need.
const LANE_COUNT: usize = 3;

/// A digest of a set of keys. Digests of disjoint sets are added, so the order of the keys, which
/// depends on the cluster's secret, does not show. Good against chance, not against intent.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Digest([u64; LANE_COUNT]);

impl Digest {
    /// The digest of a value: of its type and contents, not of how it is kept.
    pub(crate) fn of_value(value: &Value) -> Self {
        Digest::of(|hasher| value.digest(hasher))
    }

    /// The digest of what clients see of an entry.
    pub(crate) fn of_entry(database: u8, entry: &Entry) -> Self {
        Digest::of(|hasher| hash_visible(database, entry, hasher))
    }

    /// The digest of an entry with its version.
    pub(crate) fn of_versioned_entry(database: u8, entry: &Entry) -> Self {
        Digest::of(|hasher| {
            hasher.write_u64(entry.version);
            hash_visible(database, entry, hasher);
        })
    }

    /// Adds the digest of a disjoint set.
    pub(crate) fn add(&mut self, other: &Digest) {
        for (lane, other) in self.0.iter_mut().zip(other.0) {
            *lane = lane.wrapping_add(other);
        }
    }

    /// One number for all lanes.
    pub(crate) fn fold(&self) -> u64 {
        let mut hasher = SipHasher13::new();
        self.0.iter().for_each(|lane| hasher.write_u64(*lane));
        hasher.finish()
    }

    fn of(feed: impl Fn(&mut SipHasher13)) -> Self {
        let mut number = 0;
        Digest([(); LANE_COUNT].map(|()| {
            number += 1;
            let mut hasher = SipHasher13::new_with_keys(number, 0);
            feed(&mut hasher);
            hasher.finish()
        }))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, third] = self.0;
        write!(formatter, "{first:016x}{second:016x}{:08x}", third >> 32)
    }
}

fn hash_visible(database: u8, entry: &Entry, hasher: &mut SipHasher13) {
    hasher.write_u8(database);
    hasher.write_u64(entry.key.len() as u64);
    hasher.write(&entry.key);
    hasher.write_u64(entry.expire_at().unwrap_or(0));
    entry.value.digest(hasher);
}
