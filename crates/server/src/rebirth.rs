//! A new cluster out of what one node of a lost one has left.
//!
//! When a majority of the voters is gone for good, nobody can decide anything, and nobody knows what the
//! lost ones had acknowledged. What this node has can be made the whole of a new cluster: its snapshot and
//! its log are copied into a new data directory under a new cluster id, and an entry behind them says that
//! this node alone belongs. The old directory is only read, not a byte of it changes, so that nothing is lost
//! by trying. The new id
//! keeps nodes of the old cluster, should they come back, from ever meeting the new one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft::{EntryId, HardState, LogIndex, NodeId, Term};
use replica::{SnapshotLoader, storage};
use snapshot::{Choice, Directory, Found, Misfit, Position, Reader, SnapshotError, Writer};
use thiserror::Error;
use vfs::{StdVfs, Vfs};
use wal::data_dir::{DataDir, IdentityFile, LockedToRead};
use wal::{
    Charter, DataDirError, GroupLog, OpenError, Options, ReadOnlyLog, Record, Wal, WalError,
};

use crate::server::GROUP;

/// Bytes of entries that are copied at a time.
const COPY_BYTES: usize = 1 << 20;

/// Why no new cluster is made. The old directory is as it was.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RebirthError {
    /// There is nothing to make it of.
    #[error("{}: holds no node's data", path.display())]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// The new directory is there already.
    #[error("{}: exists already: name a directory that does not, for the new cluster's data", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// The log begins behind what the snapshot holds.
    #[error("{}: the log begins behind entry {base}, and no good snapshot holds what is before", path.display())]
    Gap {
        /// The directory.
        path: PathBuf,
        /// Where the log begins.
        base: u64,
    },
    /// Snapshot and log are not of one history.
    #[error(
        "{}: the newest snapshot ends with entry {index}, and the log knows that entry by another term: one of \
         them is not this node's", path.display()
    )]
    OtherHistory {
        /// The directory.
        path: PathBuf,
        /// Where they should meet.
        index: u64,
    },
    /// The data directory cannot be used.
    #[error("{0}")]
    DataDir(#[from] DataDirError),
    /// The log cannot be opened.
    #[error("{0}")]
    Open(#[from] OpenError),
    /// The log cannot be read or written.
    #[error("{0}")]
    Wal(#[from] WalError),
    /// A snapshot cannot be read or written.
    #[error("{0}")]
    Snapshot(#[from] SnapshotError),
    /// The log holds what is no Raft log.
    #[error("{0}")]
    Storage(#[from] storage::StorageError),
    /// The operating system refuses.
    #[error("cannot {what}: {source}")]
    System {
        /// What was asked of it.
        what: &'static str,
        /// What it says.
        source: io::Error,
    },
}

impl RebirthError {
    fn of(misfit: Misfit, path: &Path, base: u64) -> RebirthError {
        let path = path.to_path_buf();
        match misfit {
            Misfit::Gap => RebirthError::Gap { path, base },
            Misfit::OtherHistory { .. } => RebirthError::OtherHistory { path, index: base },
        }
    }
}

/// What a node of a lost cluster has.
pub struct Remains {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    identity: IdentityFile,
    cluster_name: String,
    /// What configurations of the old cluster make of its name and members.
    former_cluster: u64,
    wal: ReadOnlyLog,
    log: GroupLog,
    snapshot: Option<Found>,
    hard_state: HardState,
    /// Locked as long as this lives.
    _data_dir: LockedToRead,
}

impl std::fmt::Debug for Remains {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, identity, .. } = self;
        let mut debug = formatter.debug_struct("Remains");
        debug
            .field("path", path)
            .field("identity", identity)
            .finish_non_exhaustive()
    }
}

impl Remains {
    /// Looks at a data directory, and locks it.
    ///
    /// # Errors
    /// If it holds nothing, is in use, or is damaged.
    pub fn of(path: &Path, cluster_name: &str) -> Result<Remains, RebirthError> {
        let vfs: Arc<dyn Vfs> = Arc::new(StdVfs::new());
        let empty = || RebirthError::Empty {
            path: path.to_path_buf(),
        };
        let data_dir = DataDir::lock_to_read(vfs.as_ref(), path)?.ok_or_else(empty)?;
        let identity = data_dir.identity();
        let charter = Charter::read(vfs.as_ref(), path)?;
        let owner = wal::Identity {
            cluster: identity.cluster,
            node: identity.node,
        };
        let (wal, recovery) = ReadOnlyLog::open(
            Arc::clone(&vfs),
            &data_dir.wal_path(),
            owner,
            storage::KEPT_TAGS,
        )?;
        let log = recovery.groups.get(&GROUP.0).cloned().unwrap_or_default();
        let snapshots = Directory::existing(Arc::clone(&vfs), &data_dir.snapshots_path())?;
        let scope = (identity.cluster, GROUP.0);
        let choice = match snapshots {
            Some(directory) => directory.choose::<SnapshotLoader>(scope, &mut |_, _| true)?,
            None => Choice::default(),
        };
        let recovered = storage::recovered(Some(&log))?;
        if choice.found.is_none() && log.last.1 == 0 {
            return Err(empty());
        }
        let (term, index) = log.base;
        let judged = choice.judge(Position { term, index });
        judged.map_err(|misfit| RebirthError::of(misfit, path, index))?;
        let former = charter.as_ref().map_or(0, |charter| charter.former_cluster);
        Ok(Remains {
            vfs,
            path: path.to_path_buf(),
            identity,
            cluster_name: charter.map_or_else(|| cluster_name.to_owned(), |it| it.cluster_name),
            former_cluster: if former == 0 {
                identity.cluster
            } else {
                former
            },
            wal,
            log,
            snapshot: choice.found,
            hard_state: recovered.hard_state,
            _data_dir: data_dir,
        })
    }

    /// The node.
    pub fn node(&self) -> u64 {
        self.identity.node
    }

    /// The cluster's id.
    pub fn cluster(&self) -> u64 {
        self.identity.cluster
    }

    /// The last entry that this node has. Of several nodes of a cluster, the one with the greatest has
    /// every entry that any of them knows to be committed: terms count first (section 5.4.1).
    pub fn last(&self) -> EntryId {
        let (term, index) = match self.tail_end() {
            0 => self.start(),
            _ => self.log.last,
        };
        EntryId::new(term, index)
    }

    /// The last entry that this node knew to be committed.
    pub fn committed(&self) -> LogIndex {
        self.hard_state.commit.max(LogIndex(self.start().1))
    }

    /// Where the snapshot ends: term and index.
    fn start(&self) -> (u64, u64) {
        let meta = self.snapshot.as_ref().map(|found| &found.meta);
        meta.map_or((0, 0), |meta| (meta.term, meta.index))
    }

    /// The last entry of the log that goes on where the snapshot ends; 0 if it does not.
    fn tail_end(&self) -> u64 {
        let (term, index) = self.start();
        let is_inside = self.log.base == (term, index) || self.term_at(index) == Some(term);
        match index == 0 || (is_inside && self.log.last.1 >= index) {
            true => self.log.last.1,
            false => 0,
        }
    }

    fn term_at(&self, index: u64) -> Option<u64> {
        let runs = self.log.term_runs.iter();
        let run = runs.take_while(|(first, _)| *first <= index).last();
        run.filter(|_| index <= self.log.last.1)
            .map(|(_, term)| *term)
    }

    /// Writes the data directory of the new cluster. Returns the cluster's id. What an earlier attempt
    /// left unfinished is removed.
    ///
    /// # Errors
    /// If `to` exists, or something cannot be read or written.
    pub fn found_cluster(&self, to: &Path) -> Result<u64, RebirthError> {
        let system = |what| move |source| RebirthError::System { what, source };
        if to.exists() {
            return Err(RebirthError::Exists {
                path: to.to_path_buf(),
            });
        }
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(".unfinished");
        let partial = to.with_file_name(name);
        if partial.exists() {
            std::fs::remove_dir_all(&partial).map_err(system("remove an unfinished directory"))?;
        }
        let mut drawn = [0; 8];
        getrandom::fill(&mut drawn).map_err(|error| RebirthError::System {
            what: "draw a new cluster id",
            source: io::Error::other(error.to_string()),
        })?;
        let cluster = u64::from_le_bytes(drawn).max(1);
        vfs::create_dir_durable(self.vfs.as_ref(), &partial).map_err(system("make a directory"))?;
        self.copy_snapshot(&partial.join("snapshots"), cluster)?;
        self.copy_log(&partial.join("wal"), cluster)?;
        let charter = Charter {
            token: 0,
            cluster,
            former_cluster: self.former_cluster,
            node: self.identity.node,
            cluster_name: self.cluster_name.clone(),
            peer_bind: String::new(),
            members: Vec::new(),
        };
        charter.write(self.vfs.as_ref(), &partial)?;
        let identity = IdentityFile {
            cluster,
            log_exists: true,
            directory: 0,
            ..self.identity
        };
        wal::data_dir::write_new_identity(self.vfs.as_ref(), &partial, &identity)?;
        let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
        let rename = self.vfs.rename(&partial, to);
        let synced = rename.and_then(|()| self.vfs.sync_dir(parent.unwrap_or(Path::new("."))));
        synced.map_err(system("give the new directory its name"))?;
        Ok(cluster)
    }

    fn copy_snapshot(&self, to: &Path, cluster: u64) -> Result<(), RebirthError> {
        let directory = Directory::open(Arc::clone(&self.vfs), to)?;
        let Some(found) = &self.snapshot else {
            return Ok(());
        };
        let (meta, mut reader) = Reader::open(self.vfs.as_ref(), &found.path)?;
        let mut writer = Writer::create(&directory, &snapshot::Meta { cluster, ..meta })?;
        while let Some(block) = reader.next_block()? {
            writer.block(&block)?;
        }
        writer.finish()?;
        Ok(())
    }

    fn copy_log(&self, to: &Path, cluster: u64) -> Result<(), RebirthError> {
        let identity = wal::Identity {
            cluster,
            node: self.identity.node,
        };
        let (mut log, _) = Wal::open(Arc::clone(&self.vfs), to, identity, Options::default())?;
        let (term, index) = self.start();
        if index > 0 {
            write(&mut log, &[Record::base(GROUP.0, term, index, 0)])?;
        }
        let (mut next, end) = (index + 1, self.tail_end());
        let mut first = None;
        while next <= end {
            let records = self.wal.read(GROUP.0, next, end, COPY_BYTES)?;
            let Some(last) = records.last() else {
                return Err(RebirthError::Gap {
                    path: self.path.clone(),
                    base: next,
                });
            };
            next = last.index + 1;
            first = first.or_else(|| records.first().filter(|record| record.index == 1).cloned());
            write(&mut log, &records)?;
        }
        let last = self.last().index.0;
        let term = self.hard_state.term.0.max(self.log.last.0).max(term) + 1;
        let head = self.snapshot.as_ref().map(|found| found.meta.head.clone());
        let node = NodeId(self.identity.node);
        let payload = storage::sole_membership(node, &self.log, head.as_deref(), first.as_ref());
        let state = HardState {
            term: Term(term),
            vote: None,
            commit: LogIndex(last),
        };
        let stamp = self.log.last_stamp;
        let entry = Record::entry(
            GROUP.0,
            term,
            last + 1,
            storage::MEMBERSHIP_TAG,
            stamp,
            payload,
        );
        let state = Record::state(GROUP.0, state.encode().to_vec().into());
        write(&mut log, &[state, entry])
    }
}

fn write(log: &mut Wal, records: &[Record]) -> Result<(), RebirthError> {
    log.append(records)?;
    log.sync()?;
    log.prepare_next()?;
    Ok(())
}
