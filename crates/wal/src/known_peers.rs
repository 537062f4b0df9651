//! What a node remembers of the other members: the newest run of each that it has met.
//!
//! A member whose data directory was lost, or replaced by an older copy, has forgotten votes that it
//! gave and entries that it acknowledged. If it came back under its old id, a majority could form
//! without anybody who knows an acknowledged write. It cannot see this itself: an empty directory
//! looks the same at the first start of all. The others can, because they remember it here, and
//! [`judge`] by it whoever comes back.
//!
//! PEERS is replaced as a whole, as IDENTITY is, and [`KnownPeers::record`] returns when it is
//! durable: what is remembered must not be forgotten by the next start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use buggify::Canary;
use vfs::Vfs;

use crate::data_dir::{DataDirError, failed, replace_file};

const PEERS_NAME: &str = "PEERS";
const PEERS_NEW_NAME: &str = "PEERS.new";

/// The first bytes of PEERS.
pub const PEERS_MAGIC: [u8; 8] = *b"QUORATPR";
/// The version of PEERS that this code writes, and the newest that it knows.
pub const PEERS_VERSION: u32 = 1;
/// The length of PEERS before its runs.
pub const PEERS_HEADER_BYTES: usize = 32;
/// The length of a run.
pub const PEER_RUN_BYTES: usize = 32;
/// The length of the checksum behind the runs.
const CHECKSUM_BYTES: usize = 4;
/// More runs than any cluster has members; a longer file is damaged, and not read into memory.
const RUNS_MAX: usize = 1 << 16;

/// One run of another member: from one of its starts to the end of that process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerRun {
    /// The member's id.
    pub node: u64,
    /// How many times it had started on its data directory.
    pub incarnation: u64,
    /// Drawn by it at random at that start.
    pub process: u64,
    /// Drawn by it at random when its data directory was made; 0 if it did not say.
    pub directory: u64,
}

/// How a member shows that it is not what it was: its promises are gone, and nobody may count on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LostHistory {
    /// Its data directory was made anew.
    #[error("another data directory than before: the old one was lost or left behind")]
    OtherDirectory,
    /// It runs on an older copy of its data directory.
    #[error(
        "an old copy of its data directory: this is its start {met}, and start {known} was seen"
    )]
    OldCopy {
        /// The start that it says it is.
        met: u64,
        /// A later one that was seen.
        known: u64,
    },
    /// Two processes were started on copies of one data directory.
    #[error("a copy of its data directory: another start {known} was seen")]
    Copy {
        /// The start that both say they are.
        known: u64,
    },
}

/// Whether a member is the one that was met before, in this run or a later one. `known` is its newest
/// known run. Returns the run if it has to be remembered before the member is let in.
///
/// # Errors
/// If the member has lost what it gave its word for.
pub fn judge(known: Option<PeerRun>, met: PeerRun) -> Result<Option<PeerRun>, LostHistory> {
    let Some(known) = known.filter(|_| !buggify::canary(Canary::WipedNodeTakenBack)) else {
        return Ok(Some(met));
    };
    if known.directory != 0 && met.directory != known.directory {
        return Err(LostHistory::OtherDirectory);
    }
    if met.incarnation < known.incarnation {
        return Err(LostHistory::OldCopy {
            met: met.incarnation,
            known: known.incarnation,
        });
    }
    if met.incarnation == known.incarnation && met.process != known.process {
        return Err(LostHistory::Copy {
            known: known.incarnation,
        });
    }
    Ok(Some(met).filter(|met| *met != known))
}

/// The newest run of each other member that this node has met.
pub struct KnownPeers {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    cluster: u64,
    node: u64,
    runs: BTreeMap<u64, PeerRun>,
}

impl KnownPeers {
    /// Reads PEERS of a data directory that belongs to this cluster and node. Without the file
    /// nobody is known: so begins a new node, and one that an earlier version has run.
    pub(crate) fn read(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        cluster: u64,
        node: u64,
    ) -> Result<KnownPeers, DataDirError> {
        let mut known = KnownPeers {
            vfs,
            dir: dir.to_path_buf(),
            cluster,
            node,
            runs: BTreeMap::new(),
        };
        let path = dir.join(PEERS_NAME);
        if known.vfs.exists(&path).map_err(failed(&path))? {
            let bytes = read_bounded(known.vfs.as_ref(), &path)?;
            known.runs = known.decode(&path, &bytes)?;
        }
        Ok(known)
    }

    /// Remembers a run instead of that member's last one, durably.
    ///
    /// # Errors
    /// If the disk does not take it. What was remembered before still is, in memory and on disk, and
    /// it may be tried again: every attempt writes a file of its own, so that a failed sync of one
    /// says nothing of the next.
    pub fn record(&mut self, run: PeerRun) -> Result<(), DataDirError> {
        let mut runs = self.runs.clone();
        runs.insert(run.node, run);
        let bytes = encode(self.cluster, self.node, &runs);
        replace_file(
            self.vfs.as_ref(),
            &self.dir,
            PEERS_NAME,
            PEERS_NEW_NAME,
            &bytes,
        )?;
        self.runs = runs;
        Ok(())
    }

    /// The newest known run of a member.
    pub fn run(&self, node: u64) -> Option<PeerRun> {
        self.runs.get(&node).copied()
    }

    fn decode(&self, path: &Path, bytes: &[u8]) -> Result<BTreeMap<u64, PeerRun>, DataDirError> {
        let damaged = || DataDirError::PeersDamaged {
            path: path.to_path_buf(),
        };
        let (body, checksum) = bytes
            .split_last_chunk::<CHECKSUM_BYTES>()
            .filter(|(body, _)| body.len() >= PEERS_HEADER_BYTES)
            .ok_or_else(damaged)?;
        if body[..8] != PEERS_MAGIC || *checksum != crc32c::crc32c(body).to_le_bytes() {
            return Err(damaged());
        }
        let version = u32_at(body, 8);
        if version > PEERS_VERSION {
            return Err(DataDirError::NewerFormat {
                path: path.to_path_buf(),
                found: version,
                known: PEERS_VERSION,
            });
        }
        let is_ours = (u64_at(body, 16), u64_at(body, 24)) == (self.cluster, self.node);
        let runs = &body[PEERS_HEADER_BYTES..];
        if !is_ours || runs.len() != u32_at(body, 12) as usize * PEER_RUN_BYTES {
            return Err(damaged());
        }
        let runs = runs.chunks_exact(PEER_RUN_BYTES).map(|bytes| {
            let run = PeerRun {
                node: u64_at(bytes, 0),
                incarnation: u64_at(bytes, 8),
                process: u64_at(bytes, 16),
                directory: u64_at(bytes, 24),
            };
            (run.node, run)
        });
        Ok(runs.collect())
    }
}

impl std::fmt::Debug for KnownPeers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("KnownPeers")
            .field("dir", &self.dir)
            .field("runs", &self.runs)
            .finish_non_exhaustive()
    }
}

fn read_bounded(vfs: &dyn Vfs, path: &Path) -> Result<Vec<u8>, DataDirError> {
    let file = vfs.open_read(path).map_err(failed(path))?;
    let len = file.len().map_err(failed(path))?;
    let len_max = PEERS_HEADER_BYTES + RUNS_MAX * PEER_RUN_BYTES + CHECKSUM_BYTES;
    let len = usize::try_from(len)
        .ok()
        .filter(|len| *len <= len_max)
        .ok_or_else(|| DataDirError::PeersDamaged {
            path: path.to_path_buf(),
        })?;
    let mut bytes = vec![0; len];
    let read = file.read_full_at(0, &mut bytes).map_err(failed(path))?;
    bytes.truncate(read);
    Ok(bytes)
}

fn encode(cluster: u64, node: u64, runs: &BTreeMap<u64, PeerRun>) -> Vec<u8> {
    let count = u32::try_from(runs.len()).expect("a cluster has far fewer members");
    let mut bytes = Vec::with_capacity(PEERS_HEADER_BYTES + runs.len() * PEER_RUN_BYTES + 4);
    bytes.extend_from_slice(&PEERS_MAGIC);
    bytes.extend_from_slice(&PEERS_VERSION.to_le_bytes());
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&cluster.to_le_bytes());
    bytes.extend_from_slice(&node.to_le_bytes());
    for run in runs.values() {
        for number in [run.node, run.incarnation, run.process, run.directory] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}
