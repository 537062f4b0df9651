//! The data directory of a node: who it belongs to, and who is using it.
//!
//! ```text
//! LOCK        empty; locked by the process that uses the directory
//! IDENTITY    cluster id, node id, incarnation, directory id; checksummed
//! CHARTER     who the node is, if it joined, was recovered or restored; checksummed; often absent
//! PEERS       the newest run of each other member that this node has met; checksummed
//! wal/        the log
//! snapshots/  snapshots
//! ```
//!
//! IDENTITY and PEERS are replaced as a whole: written under another name, synced, renamed over, and the
//! directory synced. So a crash leaves the old one or the new one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use buggify::Canary;
use thiserror::Error;
use vfs::{Lock, Vfs};

use crate::{Identity, KnownPeers, OpenError, Options, Recovery, Wal};

const LOCK_NAME: &str = "LOCK";
const IDENTITY_NAME: &str = "IDENTITY";
const IDENTITY_NEW_NAME: &str = "IDENTITY.new";
const WAL_NAME: &str = "wal";
const SNAPSHOTS_NAME: &str = "snapshots";

/// The first bytes of IDENTITY.
pub const IDENTITY_MAGIC: [u8; 8] = *b"QUORATID";
/// The version of the data directory's layout that this code makes, and the newest that it knows.
pub const DATA_DIR_VERSION: u32 = 1;
/// The length of IDENTITY.
pub const IDENTITY_BYTES: usize = 64;

/// What IDENTITY says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentityFile {
    /// The cluster's id.
    pub cluster: u64,
    /// The node's id.
    pub node: u64,
    /// How many times the node has started.
    pub incarnation: u64,
    /// Whether the log was created: from then on its absence is a loss, not a beginning.
    pub log_exists: bool,
    /// Whether another member has refused the directory because it knows a newer run of the node:
    /// from then on it is never used again.
    pub is_outdated: bool,
    /// Whether the node was removed from its cluster: then, too, it is never used again.
    pub is_removed: bool,
    /// Drawn at random when the directory was made: a directory that is made anew for the same node
    /// has another. 0 until it was drawn.
    pub directory: u64,
}

/// Why a data directory cannot be used. Nothing in it was changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataDirError {
    /// Caller: another process uses it.
    #[error("{}: in use by another process; stop that one, or choose another --data-dir", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// Caller: it belongs to another cluster.
    #[error(
        "{}: belongs to cluster {found:016x}, and this node is of cluster {expected:016x}; check \
         --cluster-name and --cluster, or choose another --data-dir", path.display()
    )]
    OtherCluster {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found: u64,
        /// Whose it should be.
        expected: u64,
    },
    /// Caller: it belongs to another node of the cluster.
    #[error(
        "{}: belongs to node {found}, and this is node {expected}; check --node-id, or choose another \
         --data-dir", path.display()
    )]
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found: u64,
        /// Whose it should be.
        expected: u64,
    },
    /// Caller: it was made by a newer version of this software.
    #[error(
        "{}: has layout version {found}, and this program knows versions up to {known}; start the \
         newer version again", path.display()
    )]
    NewerFormat {
        /// The directory.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// Disk: IDENTITY is damaged.
    #[error(
        "{}: is damaged; restore it, or replace the node by `quorate serve --join HOST:PORT --replace ID` \
         with an empty --data-dir", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// Disk: IDENTITY is missing although there is a log.
    #[error(
        "{}: is missing although there is a log beside it; restore it, or replace the node by \
         `quorate serve --join HOST:PORT --replace ID` with an empty --data-dir", path.display()
    )]
    IdentityMissing {
        /// The file.
        path: PathBuf,
    },
    /// Disk: PEERS is damaged.
    #[error(
        "{}: is damaged; restore it, or remove it if no other node has lost its data directory",
        path.display()
    )]
    PeersDamaged {
        /// The file.
        path: PathBuf,
    },
    /// Caller: another member has met a newer run of this node than the directory knows of.
    #[error(
        "{}: was refused by another member, because this node has run on a newer data directory: \
         votes and log entries that it gave its word for are not in this one; restore the newest, \
         or leave this node stopped", path.display()
    )]
    Outdated {
        /// The directory.
        path: PathBuf,
    },
    /// Caller: the node was removed from the cluster.
    #[error(
        "{}: belongs to node {node}, which was removed from the cluster and is not used again; to let \
         this machine come back, start it with --join and an empty --data-dir", path.display()
    )]
    Removed {
        /// The directory.
        path: PathBuf,
        /// The node.
        node: u64,
    },
    /// Disk: an operation failed.
    #[error(
        "cannot use the data directory: {}: {source}; {}", path.display(), advice(source)
    )]
    Io {
        /// On what.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

/// A data directory that this process has locked.
pub struct DataDir {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    identity: IdentityFile,
    known_peers: Option<KnownPeers>,
    _lock: Box<dyn Lock>,
}

impl DataDir {
    /// Locks the data directory of a node, creating it at the first start, and increments its
    /// incarnation durably.
    ///
    /// The incarnation tells a node's batches from those of its earlier lives; it must never be used
    /// twice, so it is on disk before this returns. When the directory is refused, nothing in it was
    /// changed.
    pub fn open(
        vfs: Arc<dyn Vfs>,
        path: &Path,
        cluster: u64,
        node: u64,
    ) -> Result<DataDir, DataDirError> {
        // Judged before the lock file is touched, and again under the lock: see "nothing changed".
        check_owner(path, read_identity(vfs.as_ref(), path)?, cluster, node)?;
        vfs::create_dir_durable(vfs.as_ref(), path).map_err(failed(path))?;
        let lock = lock(vfs.as_ref(), path)?;
        let found = read_identity(vfs.as_ref(), path)?;
        check_owner(path, found, cluster, node)?;
        let known_peers = KnownPeers::read(vfs.clone(), path, cluster, node)?;
        for name in [WAL_NAME, SNAPSHOTS_NAME] {
            let dir = path.join(name);
            vfs::create_dir_durable(vfs.as_ref(), &dir).map_err(failed(&dir))?;
        }
        let identity = IdentityFile {
            cluster,
            node,
            incarnation: found.map_or(0, |found| found.incarnation) + 1,
            log_exists: found.is_some_and(|found| found.log_exists),
            is_outdated: false,
            is_removed: false,
            directory: found.map_or(0, |found| found.directory),
        };
        let is_again = found.is_some() && buggify::canary(Canary::IncarnationUsedTwice);
        if !is_again {
            write_identity(vfs.as_ref(), path, &identity)?;
        }
        Ok(DataDir {
            vfs,
            path: path.to_path_buf(),
            identity,
            known_peers: Some(known_peers),
            _lock: lock,
        })
    }

    /// Locks the data directory of a node that does not run, to read it and nothing else: not a byte of
    /// it changes. `None` if it holds no node's data.
    ///
    /// # Errors
    /// If it is in use, damaged, or one that is never used again.
    pub fn lock_to_read(vfs: &dyn Vfs, path: &Path) -> Result<Option<LockedToRead>, DataDirError> {
        let judge = || {
            let found = read_identity(vfs, path)?;
            if let Some(it) = found {
                check_owner(path, found, it.cluster, it.node)?;
            }
            Ok(found)
        };
        if judge()?.is_none() {
            return Ok(None);
        }
        // Whoever uses a directory has made the file: without it nobody does.
        let lock_path = path.join(LOCK_NAME);
        let lock = match vfs.exists(&lock_path).map_err(failed(&lock_path))? {
            true => Some(lock(vfs, path)?),
            false => None,
        };
        let locked = judge()?.map(|identity| LockedToRead {
            identity,
            path: path.to_path_buf(),
            _lock: lock,
        });
        Ok(locked)
    }

    /// Opens the node's log. Once it has been created, its absence is an error for ever.
    pub fn open_wal(&mut self, options: Options) -> Result<(Wal, Recovery), OpenError> {
        let identity = Identity {
            cluster: self.identity.cluster,
            node: self.identity.node,
        };
        let must_exist = options.must_exist || self.identity.log_exists;
        let options = Options {
            must_exist,
            ..options
        };
        let opened = Wal::open(self.vfs.clone(), &self.wal_path(), identity, options)?;
        if !self.identity.log_exists {
            let identity = IdentityFile {
                log_exists: true,
                ..self.identity
            };
            write_identity(self.vfs.as_ref(), &self.path, &identity).map_err(|error| {
                crate::recovery::failed("update", &self.path.join(IDENTITY_NAME))(io::Error::other(
                    error,
                ))
            })?;
            self.identity = identity;
        }
        Ok(opened)
    }

    /// The directory's own id: `drawn`, which must be random, if it has none yet.
    ///
    /// It is durable before this returns, because peers are told it and remember it: see
    /// [`known_peers`](crate::known_peers).
    pub fn directory_id(&mut self, drawn: u64) -> Result<u64, DataDirError> {
        if self.identity.directory == 0 {
            let identity = IdentityFile {
                directory: drawn.max(1),
                ..self.identity
            };
            write_identity(self.vfs.as_ref(), &self.path, &identity)?;
            self.identity = identity;
        }
        Ok(self.identity.directory)
    }

    /// Makes every later start on this directory fail with [`DataDirError::Outdated`].
    ///
    /// Each start raises the incarnation. Without this mark, a node on an old copy that is started
    /// again and again, as supervisors do, would pass the number at which it is recognized.
    pub fn set_outdated(&mut self) -> Result<(), DataDirError> {
        let identity = IdentityFile {
            is_outdated: true,
            ..self.identity
        };
        write_identity(self.vfs.as_ref(), &self.path, &identity)?;
        self.identity = identity;
        Ok(())
    }

    /// Makes every later start on this directory fail with [`DataDirError::Removed`].
    pub fn set_removed(&mut self) -> Result<(), DataDirError> {
        let identity = IdentityFile {
            is_removed: true,
            ..self.identity
        };
        write_identity(self.vfs.as_ref(), &self.path, &identity)?;
        self.identity = identity;
        Ok(())
    }

    /// What this node remembers of the other members. There is one memory: it can be taken once.
    pub fn take_known_peers(&mut self) -> Option<KnownPeers> {
        self.known_peers.take()
    }

    /// How many times the node has started, this time included.
    pub fn incarnation(&self) -> u64 {
        self.identity.incarnation
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory of the log.
    pub fn wal_path(&self) -> PathBuf {
        self.path.join(WAL_NAME)
    }

    /// The directory of the snapshots.
    pub fn snapshots_path(&self) -> PathBuf {
        self.path.join(SNAPSHOTS_NAME)
    }
}

/// A data directory that is only read. See [`DataDir::lock_to_read`].
pub struct LockedToRead {
    identity: IdentityFile,
    path: PathBuf,
    _lock: Option<Box<dyn Lock>>,
}

impl LockedToRead {
    /// Whose it is.
    pub fn identity(&self) -> IdentityFile {
        self.identity
    }

    /// The directory of the log.
    pub fn wal_path(&self) -> PathBuf {
        self.path.join(WAL_NAME)
    }

    /// The directory of the snapshots.
    pub fn snapshots_path(&self) -> PathBuf {
        self.path.join(SNAPSHOTS_NAME)
    }
}

impl std::fmt::Debug for DataDir {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, identity, .. } = self;
        let mut debug = formatter.debug_struct("DataDir");
        debug
            .field("path", path)
            .field("identity", identity)
            .finish_non_exhaustive()
    }
}

fn lock(vfs: &dyn Vfs, path: &Path) -> Result<Box<dyn Lock>, DataDirError> {
    let lock_path = path.join(LOCK_NAME);
    vfs.lock(&lock_path).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => DataDirError::InUse {
            path: path.to_path_buf(),
        },
        _ => DataDirError::Io {
            path: lock_path.clone(),
            source,
        },
    })
}

fn check_owner(
    path: &Path,
    found: Option<IdentityFile>,
    cluster: u64,
    node: u64,
) -> Result<(), DataDirError> {
    let Some(found) = found else { return Ok(()) };
    let path = path.to_path_buf();
    if found.cluster != cluster {
        return Err(DataDirError::OtherCluster {
            path,
            found: found.cluster,
            expected: cluster,
        });
    }
    if found.node != node {
        return Err(DataDirError::OtherNode {
            path,
            found: found.node,
            expected: node,
        });
    }
    if found.is_outdated {
        return Err(DataDirError::Outdated { path });
    }
    if found.is_removed {
        let node = found.node;
        return Err(DataDirError::Removed { path, node });
    }
    Ok(())
}

/// Reads IDENTITY, if the directory has one.
pub fn read_identity(vfs: &dyn Vfs, dir: &Path) -> Result<Option<IdentityFile>, DataDirError> {
    let path = dir.join(IDENTITY_NAME);
    if !vfs.exists(&path).map_err(failed(&path))? {
        return match log_is_empty(vfs, dir)? {
            true => Ok(None),
            false => Err(DataDirError::IdentityMissing { path }),
        };
    }
    let mut bytes = [0; IDENTITY_BYTES];
    let file = vfs.open_read(&path).map_err(failed(&path))?;
    let read = file.read_full_at(0, &mut bytes).map_err(failed(&path))?;
    let len = file.len().map_err(failed(&path))?;
    let Some((version, identity)) = decode(&bytes) else {
        return Err(DataDirError::Damaged { path });
    };
    if version > DATA_DIR_VERSION {
        let path = dir.to_path_buf();
        return Err(DataDirError::NewerFormat {
            path,
            found: version,
            known: DATA_DIR_VERSION,
        });
    }
    if read < IDENTITY_BYTES || len != IDENTITY_BYTES as u64 {
        return Err(DataDirError::Damaged { path });
    }
    Ok(Some(identity))
}

fn log_is_empty(vfs: &dyn Vfs, dir: &Path) -> Result<bool, DataDirError> {
    let path = dir.join(WAL_NAME);
    if !vfs.exists(&path).map_err(failed(&path))? {
        return Ok(true);
    }
    Ok(vfs.list(&path).map_err(failed(&path))?.is_empty())
}

fn write_identity(vfs: &dyn Vfs, dir: &Path, identity: &IdentityFile) -> Result<(), DataDirError> {
    let bytes = encode(identity);
    replace_file(vfs, dir, IDENTITY_NAME, IDENTITY_NEW_NAME, &bytes)
}

/// Writes the IDENTITY of a data directory that has none: of a node that is made out of another's data.
///
/// # Errors
/// If the disk does not take it.
pub fn write_new_identity(
    vfs: &dyn Vfs,
    dir: &Path,
    identity: &IdentityFile,
) -> Result<(), DataDirError> {
    write_identity(vfs, dir, identity)
}

/// Replaces a small file so that a crash leaves the old one or the new one; durable on return.
pub(crate) fn replace_file(
    vfs: &dyn Vfs,
    dir: &Path,
    name: &str,
    new_name: &str,
    bytes: &[u8],
) -> Result<(), DataDirError> {
    let (new, path) = (dir.join(new_name), dir.join(name));
    if vfs.exists(&new).map_err(failed(&new))? {
        vfs.remove(&new).map_err(failed(&new))?;
    }
    let mut file = vfs.create(&new).map_err(failed(&new))?;
    file.write_all_at(0, bytes).map_err(failed(&new))?;
    if !buggify::canary(Canary::RenamedBeforeDurable) {
        file.sync_data().map_err(failed(&new))?;
    }
    vfs.rename(&new, &path).map_err(failed(&path))?;
    vfs.sync_dir(dir).map_err(failed(dir))
}

fn encode(identity: &IdentityFile) -> [u8; IDENTITY_BYTES] {
    let mut bytes = [0; IDENTITY_BYTES];
    bytes[..8].copy_from_slice(&IDENTITY_MAGIC);
    bytes[8..12].copy_from_slice(&DATA_DIR_VERSION.to_le_bytes());
    bytes[12] = u8::from(identity.log_exists);
    bytes[13] = u8::from(identity.is_outdated);
    bytes[14] = u8::from(identity.is_removed);
    bytes[16..24].copy_from_slice(&identity.cluster.to_le_bytes());
    bytes[24..32].copy_from_slice(&identity.node.to_le_bytes());
    bytes[32..40].copy_from_slice(&identity.incarnation.to_le_bytes());
    bytes[40..48].copy_from_slice(&identity.directory.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..60]);
    bytes[60..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The version, and what the file says if its version is known.
fn decode(bytes: &[u8; IDENTITY_BYTES]) -> Option<(u32, IdentityFile)> {
    let field = |at: usize| {
        let mut field = [0; 8];
        field.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(field)
    };
    let checksum = crc32c::crc32c(&bytes[..60]).to_le_bytes();
    if bytes[..8] != IDENTITY_MAGIC || bytes[60..] != checksum {
        return None;
    }
    let version = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
    let identity = IdentityFile {
        cluster: field(16),
        node: field(24),
        incarnation: field(32),
        log_exists: bytes[12] == 1,
        is_outdated: bytes[13] == 1,
        is_removed: bytes[14] == 1,
        directory: field(40),
    };
    Some((version, identity))
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free space on its disk and start again"
        }
        _ => "make it usable or name another",
    }
}

pub(crate) fn failed(path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    let path = path.to_path_buf();
    move |source| DataDirError::Io { path, source }
}
