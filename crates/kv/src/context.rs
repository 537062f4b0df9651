//! What a command's handler can see and do.
//!
//! Handlers are functions of (state, arguments, log time) and of nothing else. A context is all they
//! get: it resolves expiry, stamps versions and collects effects, so that no handler can forget to.

use std::cell::Cell;

use buggify::Canary;

use crate::database::{Database, Expiry};
use crate::keyspace::Entry;
use crate::store::Store;
use crate::value::Value;

/// What applying a command does besides changing keys.
pub trait Effects {
    /// A message was published, to a channel or to a sharded channel. Returns the number of
    /// receivers on this node.
    fn publish(&mut self, sharded: bool, channel: &[u8], message: &[u8]) -> i64;
}

/// What a read may depend on besides the data set: where and when it is served.
#[derive(Clone, Copy, Debug)]
pub struct ReadEnv {
    /// The clock of the serving node, in milliseconds since the epoch.
    pub wall_ms: u64,
    /// A number that differs from read to read, for RANDOMKEY and its kin.
    pub seed: u64,
}

/// What became of a read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum ReadOutcome {
    /// The reply is valid.
    Done,
    /// The read met a key that is due to expire by the clock of the serving node and not expired by
    /// the log. The reply is to be thrown away, and the read to be repeated after an entry that
    /// carries the time.
    DueByClock,
}

/// The context of a command that reads.
///
/// Expired means expired by log time, the time of the last applied entry. A key that is due by the
/// serving clock only must not be shown (it would seem to live on) and must not be hidden (another
/// node would still show it): the read is stopped and sent through the log.
pub struct ReadContext<'a> {
    store: &'a Store,
    database: u8,
    env: ReadEnv,
    due: Cell<bool>,
}

impl<'a> ReadContext<'a> {
    pub(crate) fn new(store: &'a Store, database: u8, env: ReadEnv) -> Self {
        ReadContext {
            store,
            database,
            env,
            due: Cell::new(false),
        }
    }

    pub(crate) fn outcome(&self) -> ReadOutcome {
        if self.due.get() {
            ReadOutcome::DueByClock
        } else {
            ReadOutcome::Done
        }
    }

    /// The value of a key. Counts as a hit or a miss.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&'a Value> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of a key. Counts as a hit or a miss.
    pub(crate) fn entry(&self, key: &[u8]) -> Option<&'a Entry> {
        let entry = self.database().raw(key).filter(|entry| self.shows(entry));
        self.store.counters().count_lookup(entry.is_some());
        entry
    }

    /// Whether an entry that a walk met is to be shown.
    pub(crate) fn shows(&self, entry: &Entry) -> bool {
        if entry.is_expired(self.store.time_ms()) {
            return false;
        }
        if entry.is_expired(self.env.wall_ms) {
            if buggify::canary(Canary::ExpiredByLocalClock) {
                return false;
            }
            self.due.set(true);
        }
        true
    }

    /// The time at which the read is served, from which a time to live is counted: log time, or the
    /// serving node's clock where that is ahead.
    pub(crate) fn now_ms(&self) -> u64 {
        self.store.time_ms().max(self.env.wall_ms)
    }

    /// A number that differs from read to read.
    pub(crate) fn seed(&self) -> u64 {
        self.env.seed
    }

    /// The database of the connection.
    pub(crate) fn database(&self) -> &'a Database {
        self.store.database(self.database)
    }

    /// All of the data set, for the commands that concern all databases.
    pub(crate) fn store(&self) -> &'a Store {
        self.store
    }

    /// Another database.
    pub(crate) fn database_at(&self, number: u8) -> &'a Database {
        self.store.database(number)
    }
}

/// The context of a command that is being applied.
pub struct WriteContext<'a> {
    store: &'a mut Store,
    database: u8,
    version: u64,
    effects: &'a mut dyn Effects,
}

impl<'a> WriteContext<'a> {
    pub(crate) fn new(
        store: &'a mut Store,
        database: u8,
        version: u64,
        effects: &'a mut dyn Effects,
    ) -> Self {
        WriteContext {
            store,
            database,
            version,
            effects,
        }
    }

    /// The same context in another database.
    pub(crate) fn in_database(&mut self, database: u8) -> WriteContext<'_> {
        WriteContext {
            store: self.store,
            database,
            version: self.version,
            effects: self.effects,
        }
    }

    /// Sets the value of a key, present or not, of whatever type.
    pub(crate) fn set(&mut self, key: &[u8], value: impl Into<Value>, expiry: Expiry) {
        let (version, time_ms) = (self.version, self.now_ms());
        self.database_mut()
            .set(key, value.into(), expiry, version, time_ms);
    }

    /// The value of a key, to be changed in place: the key counts as changed whatever is done.
    pub(crate) fn get_mut(&mut self, key: &[u8]) -> Option<&mut Value> {
        let (version, time_ms) = (self.version, self.now_ms());
        self.database_mut()
            .touch(key, version, time_ms)
            .map(|entry| &mut entry.value)
    }

    /// Removes a key. Returns its entry, if it was there.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let time_ms = self.now_ms();
        self.database_mut().remove(key, time_ms)
    }

    /// Changes when a key expires, `None` for never. Returns whether the key is there. A time that
    /// has passed is the caller's to handle: EXPIRE deletes then.
    pub(crate) fn set_expire_at(&mut self, key: &[u8], expire_at: Option<u64>) -> bool {
        let (version, time_ms) = (self.version, self.now_ms());
        self.database_mut()
            .set_expire_at(key, expire_at, version, time_ms)
    }

    /// Publishes a message. Returns the number of receivers on this node.
    pub(crate) fn publish(&mut self, sharded: bool, channel: &[u8], message: &[u8]) -> i64 {
        self.effects.publish(sharded, channel, message)
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Value> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of a key.
    pub(crate) fn entry(&self, key: &[u8]) -> Option<&Entry> {
        self.store.database(self.database).live(key, self.now_ms())
    }

    /// Whether a key is there.
    pub(crate) fn exists(&self, key: &[u8]) -> bool {
        self.entry(key).is_some()
    }

    /// The time of the entry that is being applied, the only time a write knows.
    pub(crate) fn now_ms(&self) -> u64 {
        self.store.time_ms()
    }

    /// The number of the database of the connection.
    pub(crate) fn database_number(&self) -> u8 {
        self.database
    }

    /// All of the data set, for the commands that concern whole databases.
    pub(crate) fn store_mut(&mut self) -> &mut Store {
        self.store
    }

    fn database_mut(&mut self) -> &mut Database {
        self.store.database_mut(self.database)
    }
}
