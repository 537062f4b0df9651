//! The data set: sixteen databases at one position of the log.

use std::cell::Cell;
use std::hash::Hasher;

use buggify::{Canary, Point};
use resp::Encoder;
use siphasher::sip::SipHasher13;

use crate::command::{CommandSpec, Handler};
use crate::context::{Effects, ReadContext, ReadEnv, ReadOutcome, WriteContext};
use crate::database::Database;
use crate::digest::Digest;
use crate::errors;
use crate::keyspace::{DetachedSegment, Entry, Key, Placement, Position};
use crate::rolling;
use crate::snapshot::Frozen;

/// The number of databases, Redis's default.
pub const DATABASE_COUNT: u8 = 16;

/// The most keys that the application of one entry removes because they are expired. Bounds the
/// pause; what is left is expired all the same (no command sees it) and goes with the next entries.
pub const EXPIRE_PER_ENTRY_MAX: usize = 1_000;

/// The most segments, of some thousand keys each, of emptied databases that are freed per entry.
const FREE_PER_ENTRY_MAX: usize = 16;

/// The bits of a version that count commands within an entry.
pub(crate) const VERSION_OPERATION_BITS: u32 = 20;

/// The data set of one replica, which changes only by applying log entries.
///
/// The protocol: [`Store::begin_entry`] for every entry of the log, in order, whatever its kind;
/// then [`Store::write`] for each command in it. [`Store::read`] between entries, at any time.
///
/// Replicas that applied the same entries are equal: in what every command replies, in when keys
/// vanish, in [`Store::state_hash`].
#[derive(Debug)]
pub struct Store {
    databases: Vec<Database>,
    /// The log time: the largest time of an applied entry.
    time_ms: u64,
    /// The index of the last entry begun.
    applied: u64,
    /// The number of commands of that entry that were executed.
    operation: u64,
    /// Emptied databases, on their way to being freed.
    discarded: Vec<DetachedSegment>,
    counters: Counters,
}

impl Store {
    /// An empty data set, before the first entry.
    pub fn new() -> Self {
        Store {
            databases: databases([0; 16]),
            time_ms: 0,
            applied: 0,
            operation: 0,
            discarded: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// Sets the secret of the cluster, which comes from its first entry. It keys the hash that
    /// places keys, so that no client can aim keys at one place.
    ///
    /// # Panics
    /// When there are keys already: they are placed by another secret.
    pub fn bootstrap(&mut self, secret: [u8; 16]) {
        let key_count: usize = (0..DATABASE_COUNT)
            .map(|number| self.key_count(number))
            .sum();
        assert!(key_count == 0, "bootstrapped with {key_count} keys present");
        self.databases = databases(secret);
    }

    /// Starts the application of an entry: log time advances, and keys that are due by it are
    /// removed, in the order of (expiry, database, key), at most [`EXPIRE_PER_ENTRY_MAX`].
    ///
    /// # Panics
    /// When the entry is not after the last one: its effects would be applied twice.
    pub fn begin_entry(&mut self, index: u64, time_ms: u64) {
        assert!(
            index > self.applied,
            "entry {index} begun after entry {}",
            self.applied
        );
        self.applied = index;
        self.operation = 0;
        self.time_ms = match buggify::canary(Canary::LogTimeGoesBack) {
            false => self.time_ms.max(time_ms),
            true => time_ms,
        };
        self.expire_due();
        if !buggify::point(Point::FreeingPutOff) {
            self.free_discarded(FREE_PER_ENTRY_MAX);
        }
    }

    /// Executes one command of the entry that was begun last.
    ///
    /// A command that is not a write, or a database that does not exist, gets an error reply: an
    /// entry may come from a node whose table is newer.
    pub fn write(
        &mut self,
        spec: &CommandSpec,
        database: u8,
        args: &[&[u8]],
        effects: &mut dyn Effects,
        out: &mut Encoder<'_>,
    ) {
        let Handler::Write(handler) = spec.handler else {
            return out.error(format!("ERR '{}' is not a command of the log", spec.name));
        };
        if database >= DATABASE_COUNT {
            return out.error(errors::DATABASE_OUT_OF_RANGE);
        }
        self.operation += 1;
        let version = self.current_version();
        handler(
            &mut WriteContext::new(self, database, version, effects),
            args,
            out,
        );
    }

    /// Executes a command that only reads.
    pub fn read(
        &self,
        spec: &CommandSpec,
        database: u8,
        args: &[&[u8]],
        env: &ReadEnv,
        out: &mut Encoder<'_>,
    ) -> ReadOutcome {
        let Handler::Read(handler) = spec.handler else {
            out.error(format!("ERR '{}' is not a command that reads", spec.name));
            return ReadOutcome::Done;
        };
        if database >= DATABASE_COUNT {
            out.error(errors::DATABASE_OUT_OF_RANGE);
            return ReadOutcome::Done;
        }
        let context = ReadContext::new(self, database, *env);
        handler(&context, args, out);
        context.outcome()
    }

    /// A view of all keys at the last entry begun, for a snapshot. Costs a reference per hundred
    /// thousand keys; nothing is copied until it changes.
    pub fn freeze(&self) -> Frozen {
        let databases = self.databases.iter();
        let frozen = databases.map(|database| database.keys().freeze());
        Frozen::new(self.applied, self.time_ms, frozen.collect())
    }

    /// A data set of these databases, at a position of the log.
    pub(crate) fn from_parts(databases: Vec<Database>, applied: u64, time_ms: u64) -> Self {
        Store {
            databases,
            time_ms,
            applied,
            operation: 0,
            discarded: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// Frees a part of what FLUSHDB and FLUSHALL took out; about a thousand keys per segment.
    /// Returns whether something is left. Applying entries does the same, so a caller needs this
    /// only to use idle time.
    pub fn free_discarded(&mut self, segments_max: usize) -> bool {
        let kept = self.discarded.len().saturating_sub(segments_max);
        self.discarded.truncate(kept);
        if kept == 0 {
            self.discarded = Vec::new();
        }
        kept > 0
    }

    /// The log position of the last change of a key, 0 when it is absent. What WATCH remembers and
    /// compares: a key that was removed and made again has another version.
    pub fn version(&self, database: u8, key: &[u8]) -> u64 {
        let database = self.databases.get(usize::from(database));
        let entry = database.and_then(|database| database.live(key, self.time_ms));
        entry.map_or(0, |entry| entry.version)
    }

    /// The earliest expiry of any key. When that is due by the leader's clock, an entry has to carry
    /// the time.
    pub fn next_expiry(&self) -> Option<u64> {
        self.databases
            .iter()
            .filter_map(Database::next_expiry)
            .min()
    }

    /// The number of keys in a database, as DBSIZE counts: with those that are expired and not
    /// removed yet.
    pub fn key_count(&self, database: u8) -> usize {
        self.databases
            .get(usize::from(database))
            .map_or(0, |database| database.keys().key_count())
    }

    /// The number of keys in a database that have an expiry.
    pub fn expires_count(&self, database: u8) -> usize {
        self.databases
            .get(usize::from(database))
            .map_or(0, Database::expires_count)
    }

    /// The number of keys of a slot, in all databases: CLUSTER COUNTKEYSINSLOT.
    pub fn count_keys_in_slot(&self, slot: u16) -> usize {
        let Some(first) = Position::of_slot(slot) else {
            return 0;
        };
        let end = Position::of_slot(slot + 1);
        self.databases
            .iter()
            .map(|database| database.keys().count_between(first, end))
            .sum()
    }

    /// At most `count_max` keys of a slot, of database 0 first: CLUSTER GETKEYSINSLOT.
    pub fn keys_in_slot(&self, slot: u16, count_max: usize) -> Vec<Key> {
        let Some(first) = Position::of_slot(slot) else {
            return Vec::new();
        };
        let end = Position::of_slot(slot + 1);
        let in_slot = |position: Position| end.is_none_or(|end| position < end);
        let keys = self.databases.iter().flat_map(|database| {
            let entries = database.keys().entries_from(first);
            entries.take_while(move |(position, _)| in_slot(*position))
        });
        keys.take(count_max)
            .map(|(_, entry)| entry.key.clone())
            .collect()
    }

    /// What happened since the start of the process.
    pub fn stats(&self) -> Stats {
        Stats {
            keyspace_hits: self.counters.hits.get(),
            keyspace_misses: self.counters.misses.get(),
            expired_keys: self.databases.iter().map(Database::expired_count).sum(),
        }
    }

    /// Counts on from the figures of a data set that this one takes the place of, when a snapshot is
    /// installed.
    pub fn continue_stats(&mut self, stats: Stats) {
        let Counters { hits, misses } = &self.counters;
        hits.set(hits.get() + stats.keyspace_hits);
        misses.set(misses.get() + stats.keyspace_misses);
        if let Some(database) = self.databases.first_mut() {
            database.add_expired_count(stats.expired_keys);
        }
    }

    /// Sets the counters of [`Store::stats`] to zero: CONFIG RESETSTAT.
    pub fn reset_stats(&mut self) {
        self.counters = Counters::default();
        self.databases
            .iter_mut()
            .for_each(Database::reset_expired_count);
    }

    /// The log time: the largest time of an applied entry.
    pub fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// The index of the last entry begun.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// A hash of everything that replicas must agree on. Equal on replicas that applied the same
    /// entries, whatever secret places their keys. Walks all keys: for tests and checks.
    pub fn state_hash(&self) -> u64 {
        let databases = (0..DATABASE_COUNT).zip(&self.databases);
        let entries = databases.flat_map(|(number, database)| {
            let entries = database.keys().entries();
            entries.map(move |entry| (number, entry))
        });
        state_hash(self.applied, self.time_ms, entries)
    }

    /// A hash of the same that costs nothing, whatever the number of keys: it is kept up to date by
    /// every change. Of values of more than 512 bytes it covers the length and both ends. Not
    /// comparable to [`Store::state_hash`].
    pub fn rolling_hash(&self) -> u64 {
        let databases = self.databases.iter().map(|database| {
            let keys = database.keys();
            (keys.sum(), keys.key_count())
        });
        let mut hasher = SipHasher13::new();
        hasher.write_u64(self.applied);
        hasher.write_u64(self.time_ms);
        hasher.write_u64(rolling::of_all(databases));
        hasher.finish()
    }

    /// The bytes of the keyspace's own arrays, without what long keys and values allocate.
    pub fn keyspace_bytes(&self) -> usize {
        self.databases
            .iter()
            .map(|database| database.keys().allocated_bytes())
            .sum()
    }

    /// Removes all keys of some databases. A small data set is freed at once.
    pub(crate) fn flush(&mut self, databases: impl IntoIterator<Item = u8>) {
        for number in databases {
            let taken = self.databases[usize::from(number)].take_all();
            self.discarded.extend(taken);
        }
        self.free_discarded(FREE_PER_ENTRY_MAX);
    }

    /// Makes the keys of two databases change places.
    pub(crate) fn swap_databases(&mut self, first: u8, second: u8) {
        self.databases.swap(usize::from(first), usize::from(second));
    }

    pub(crate) fn database_mut(&mut self, number: u8) -> &mut Database {
        &mut self.databases[usize::from(number)]
    }

    pub(crate) fn database(&self, number: u8) -> &Database {
        &self.databases[usize::from(number)]
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The version that the command being executed gives to the keys it changes. An entry of more
    /// than a million commands gives the last ones the same version, which only an EXEC within that
    /// entry could notice.
    fn current_version(&self) -> u64 {
        let operation_max = (1 << VERSION_OPERATION_BITS) - 1;
        let operation = match buggify::canary(Canary::ApplyUsesLocalState) {
            false => self.operation,
            true => self.counters.hits.get(),
        };
        self.applied << VERSION_OPERATION_BITS | operation.min(operation_max)
    }

    fn expire_due(&mut self) {
        for _ in 0..EXPIRE_PER_ENTRY_MAX {
            let due = |database: &&mut Database| database.next_expiry().unwrap_or(u64::MAX);
            // The first of equals is taken: the lower number.
            let Some(database) = self.databases.iter_mut().min_by_key(due) else {
                return;
            };
            if !database.remove_first_expired(self.time_ms) {
                return;
            }
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

/// What happened in a [`Store`] since the start of the process, or since the last reset.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Stats {
    /// Reads that found their key.
    pub keyspace_hits: u64,
    /// Reads that did not.
    pub keyspace_misses: u64,
    /// Keys removed because they expired.
    pub expired_keys: u64,
}

/// The counters behind [`Stats`]. Not part of the state: reads move them, on one node only.
#[derive(Default, Debug)]
pub(crate) struct Counters {
    hits: Cell<u64>,
    misses: Cell<u64>,
}

impl Counters {
    pub(crate) fn count_lookup(&self, hit: bool) {
        let counter = if hit { &self.hits } else { &self.misses };
        counter.set(counter.get() + 1);
    }
}

/// The hash of a data set: see [`Store::state_hash`].
pub(crate) fn state_hash<'a>(
    applied: u64,
    time_ms: u64,
    entries: impl Iterator<Item = (u8, &'a Entry)>,
) -> u64 {
    let mut all = Digest::default();
    for (number, entry) in entries {
        all.add(&Digest::of_versioned_entry(number, entry));
    }
    let mut hasher = SipHasher13::new();
    hasher.write_u64(applied);
    hasher.write_u64(time_ms);
    hasher.write_u64(all.fold());
    hasher.finish()
}

fn databases(secret: [u8; 16]) -> Vec<Database> {
    let placement = Placement::new(secret);
    (0..DATABASE_COUNT)
        .map(|_| Database::new(placement.clone()))
        .collect()
}
