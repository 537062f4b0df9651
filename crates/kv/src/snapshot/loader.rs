//! From blocks to a store.

use thiserror::Error;

use super::block::{BLOCK_VERSION, BlockReader, Malformed};
use crate::database::Database;
use crate::keyspace::{Builder, Entry, Key, Placement, PushError};
use crate::store::{DATABASE_COUNT, Store, VERSION_OPERATION_BITS};

/// Why a block cannot be loaded. The loader is of no use any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Caller: the block is of a newer version of this software.
    #[error(
        "a snapshot block has encoding version {version}, and this program knows versions up to \
         {known}: start the newer version again"
    )]
    NewerVersion {
        /// Its version.
        version: u8,
        /// The newest version known here.
        known: u8,
    },
    /// Caller: a value has a type of a newer version of this software.
    #[error(
        "a snapshot block has a value of type {kind}, which this program does not know: start the \
         newer version again"
    )]
    UnknownType {
        /// Its type.
        kind: u8,
    },
    /// Disk or peer: the bytes are no block.
    #[error("a snapshot block is malformed")]
    Malformed,
    /// Disk or peer: an entry does not come behind the one before.
    #[error("a snapshot block has keys out of order in database {database}")]
    OutOfOrder {
        /// The database.
        database: u8,
    },
    /// Disk or peer: an entry was changed by a later log entry than the snapshot's last.
    #[error(
        "a snapshot block has a key of version {version}, which the snapshot's position cannot have"
    )]
    Version {
        /// The version of the key.
        version: u64,
    },
    /// Disk or peer: the database does not exist.
    #[error("a snapshot block is of database {database}")]
    Database {
        /// The database.
        database: u8,
    },
}

/// Builds a [`Store`] from the blocks of a [`Frozen`](crate::Frozen), in their order.
///
/// Keys are appended to the last segment, without a search. A store that is loaded is equal to the
/// one that was frozen: in what commands reply, in when keys expire, in
/// [`Store::state_hash`]. Any bytes may be given: what cannot be is refused.
#[derive(Debug)]
pub struct SnapshotLoader {
    applied: u64,
    time_ms: u64,
    placement: Placement,
    /// The databases that are complete.
    databases: Vec<Database>,
    /// The database that follows them.
    keys: Builder,
    /// Its expiries.
    expiries: Vec<(u64, Key)>,
    key_count: usize,
}

impl SnapshotLoader {
    /// A loader of the state at the log position `applied`, whose log time is `time_ms`.
    /// `secret` is the cluster's: see [`Store::bootstrap`].
    pub fn new(secret: [u8; 16], applied: u64, time_ms: u64) -> Self {
        let placement = Placement::new(secret);
        SnapshotLoader {
            applied,
            time_ms,
            databases: Vec::with_capacity(usize::from(DATABASE_COUNT)),
            keys: Builder::new(placement.clone()),
            expiries: Vec::new(),
            key_count: 0,
            placement,
        }
    }

    /// Adds the next block.
    pub fn block(&mut self, block: &[u8]) -> Result<(), LoadError> {
        let (database, mut entries) = BlockReader::new(block).map_err(refused)?;
        if database >= DATABASE_COUNT {
            return Err(LoadError::Database { database });
        }
        if usize::from(database) < self.databases.len() {
            return Err(LoadError::OutOfOrder { database });
        }
        while self.databases.len() < usize::from(database) {
            self.close_database();
        }
        while let Some(entry) = entries.next().map_err(refused)? {
            self.add(database, entry)?;
        }
        Ok(())
    }

    /// The number of keys so far.
    pub fn key_count(&self) -> usize {
        self.key_count
    }

    /// The store of all blocks.
    pub fn finish(mut self) -> Store {
        while self.databases.len() < usize::from(DATABASE_COUNT) {
            self.close_database();
        }
        Store::from_parts(self.databases, self.applied, self.time_ms)
    }

    fn add(&mut self, database: u8, entry: Entry) -> Result<(), LoadError> {
        let version = entry.version;
        if version == 0 || version >> VERSION_OPERATION_BITS > self.applied {
            return Err(LoadError::Version { version });
        }
        let expiry = entry.expire_at().map(|at| (at, entry.key.clone()));
        self.keys.push(entry).map_err(|error| match error {
            PushError::Order => LoadError::OutOfOrder { database },
            PushError::Crowded => LoadError::Malformed,
        })?;
        self.expiries.extend(expiry);
        self.key_count += 1;
        Ok(())
    }

    fn close_database(&mut self) {
        let keys = std::mem::replace(&mut self.keys, Builder::new(self.placement.clone()));
        let expiries = std::mem::take(&mut self.expiries);
        let database = Database::from_parts(keys.finish(), expiries);
        self.databases.push(database);
    }
}

fn refused(malformed: Malformed) -> LoadError {
    match malformed {
        Malformed::Bytes => LoadError::Malformed,
        Malformed::Version(version) if version > BLOCK_VERSION => LoadError::NewerVersion {
            version,
            known: BLOCK_VERSION,
        },
        Malformed::Version(_) => LoadError::Malformed,
        Malformed::Type(kind) => LoadError::UnknownType { kind },
    }
}
