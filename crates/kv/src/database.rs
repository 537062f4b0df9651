//! One numbered database: its keys and the order in which they expire.

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use crate::keyspace::{DetachedSegment, Entry, Key, Keyspace, Place, Placement};
use crate::value::Value;

/// What happens to the expiry of a key when its value is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Expiry {
    /// The key does not expire any more.
    Clear,
    /// The key expires when it would have.
    Keep,
    /// The key expires at this time, in milliseconds since the epoch.
    At(u64),
}

/// The keys of one database.
///
/// Changes come from one applied entry at a time; the methods that change something take the log
/// time of that entry. They see an expired key as absent, and remove it when they meet it. Only
/// [`Database::raw`] and [`Database::keys`] show keys that are expired but not removed yet.
#[derive(Debug)]
pub(crate) struct Database {
    keys: Keyspace,
    /// Every key that has an expiry, by that. Invariant: exactly the keys of `keys` whose entry has
    /// an `expire_at`.
    expiries: BTreeSet<(u64, Key)>,
    /// The number of keys that were removed because they expired. A statistic, not state.
    expired_count: u64,
}

impl Database {
    pub(crate) fn new(placement: Placement) -> Self {
        Database {
            keys: Keyspace::new(placement),
            expiries: BTreeSet::new(),
            expired_count: 0,
        }
    }

    /// A database of these keys. `expiries` are those of all keys that expire, in any order.
    pub(crate) fn from_parts(keys: Keyspace, expiries: Vec<(u64, Key)>) -> Self {
        Database {
            keys,
            // Sorts, then builds the tree from its leaves: no search per key.
            expiries: BTreeSet::from_iter(expiries),
            expired_count: 0,
        }
    }

    /// Sets the value of a key, present or not.
    pub(crate) fn set(
        &mut self,
        key: &[u8],
        value: Value,
        expiry: Expiry,
        version: u64,
        time_ms: u64,
    ) {
        match self.keys.find(key) {
            Ok(place) => {
                let entry = self.keys.entry_mut(place);
                let before = entry.expire_at();
                let expired = entry.is_expired(time_ms);
                let kept = before.filter(|_| !expired);
                let after = match expiry {
                    Expiry::Clear => None,
                    Expiry::Keep => kept,
                    Expiry::At(time) => NonZeroU64::new(time).map(NonZeroU64::get),
                };
                entry.value = value;
                entry.version = version;
                entry.expire_at = after.and_then(NonZeroU64::new);
                self.expired_count += u64::from(expired);
                self.reindex(key, before, after);
            }
            Err(place) => {
                let at = match expiry {
                    Expiry::At(time) => NonZeroU64::new(time),
                    Expiry::Clear | Expiry::Keep => None,
                };
                let entry = Entry {
                    key: Key::new(key),
                    value,
                    version,
                    expire_at: at,
                };
                self.keys.insert(place, entry);
                self.reindex(key, None, at.map(NonZeroU64::get));
            }
        }
    }

    /// The entry of a key, to be changed; its version becomes `version`. The caller must not change
    /// `key` or `expire_at`.
    pub(crate) fn touch(&mut self, key: &[u8], version: u64, time_ms: u64) -> Option<&mut Entry> {
        let place = self.find_live(key, time_ms)?;
        let entry = self.keys.entry_mut(place);
        entry.version = version;
        Some(entry)
    }

    /// Changes when a key expires. Returns whether there is such a key.
    pub(crate) fn set_expire_at(
        &mut self,
        key: &[u8],
        expire_at: Option<u64>,
        version: u64,
        time_ms: u64,
    ) -> bool {
        let Some(place) = self.find_live(key, time_ms) else {
            return false;
        };
        let entry = self.keys.entry_mut(place);
        let before = entry.expire_at();
        entry.version = version;
        entry.expire_at = expire_at.and_then(NonZeroU64::new);
        self.reindex(key, before, expire_at);
        true
    }

    /// Removes a key.
    pub(crate) fn remove(&mut self, key: &[u8], time_ms: u64) -> Option<Entry> {
        let place = self.find_live(key, time_ms)?;
        Some(self.remove_at(place))
    }

    /// Removes the key that expires first, if it is due.
    pub(crate) fn remove_first_expired(&mut self, time_ms: u64) -> bool {
        let Some((expire_at, key)) = self.expiries.first() else {
            return false;
        };
        if *expire_at > time_ms {
            return false;
        }
        let key = key.clone();
        let place = self.keys.find(&key);
        let place = place.unwrap_or_else(|_| panic!("{key:?} is indexed by expiry and not there"));
        self.remove_at(place);
        self.expired_count += 1;
        true
    }

    /// Removes all keys, and returns them in pieces to be freed.
    pub(crate) fn take_all(&mut self) -> Vec<DetachedSegment> {
        self.expiries.clear();
        self.keys.take_all()
    }

    pub(crate) fn add_expired_count(&mut self, count: u64) {
        self.expired_count += count;
    }

    pub(crate) fn reset_expired_count(&mut self) {
        self.expired_count = 0;
    }

    /// The entry of a key that is not expired.
    pub(crate) fn live(&self, key: &[u8], time_ms: u64) -> Option<&Entry> {
        self.raw(key).filter(|entry| !entry.is_expired(time_ms))
    }

    /// The entry of a key, expired or not.
    pub(crate) fn raw(&self, key: &[u8]) -> Option<&Entry> {
        self.keys.lookup(key)
    }

    /// The keys with their order, expired or not.
    pub(crate) fn keys(&self) -> &Keyspace {
        &self.keys
    }

    /// The earliest expiry.
    pub(crate) fn next_expiry(&self) -> Option<u64> {
        self.expiries.first().map(|(expire_at, _)| *expire_at)
    }

    /// The number of keys that have an expiry.
    pub(crate) fn expires_count(&self) -> usize {
        self.expiries.len()
    }

    /// The number of keys that were removed because they expired, since the last reset.
    pub(crate) fn expired_count(&self) -> u64 {
        self.expired_count
    }

    /// The place of a key, which is removed first if it is expired.
    fn find_live(&mut self, key: &[u8], time_ms: u64) -> Option<Place> {
        let place = self.keys.find(key).ok()?;
        if self.keys.entry(place).is_expired(time_ms) {
            self.remove_at(place);
            self.expired_count += 1;
            return None;
        }
        Some(place)
    }

    fn remove_at(&mut self, place: Place) -> Entry {
        let entry = self.keys.remove(place);
        self.reindex(&entry.key, entry.expire_at(), None);
        entry
    }

    /// Moves a key in the order of expiry.
    fn reindex(&mut self, key: &[u8], before: Option<u64>, after: Option<u64>) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            let removed = self.expiries.remove(&(before, Key::new(key)));
            assert!(
                removed,
                "{:?} at {before} was not indexed by expiry",
                Key::new(key)
            );
        }
        if let Some(after) = after {
            self.expiries.insert((after, Key::new(key)));
        }
    }
}
