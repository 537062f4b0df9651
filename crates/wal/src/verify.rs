//! Checking a log without opening it: `quorate wal verify`.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use vfs::Vfs;

use crate::data_dir::{self, DataDirError};
use crate::format::{SEGMENT_HEADER_BYTES, SegmentHeader, segment_number};
use crate::recovery::{Examination, ExamineError, examine};
use crate::{Damage, GroupLog, Identity, TornTail};

/// Why a log cannot be looked at.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OfflineError {
    /// Caller: there is no log there.
    #[error("{}: no segments of a log here, nor in `wal` below it", path.display())]
    NoLog {
        /// The directory that was named.
        path: PathBuf,
    },
    /// Disk: an operation failed.
    #[error("{}: {operation} failed: {source}", path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// To what.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The log's directory.
    pub dir: PathBuf,
    /// Whose log it is, as far as anything there says so.
    pub identity: Option<Identity>,
    /// The segment files, in order.
    pub segments: Vec<SegmentReport>,
    /// The groups, as far as they were read.
    pub groups: Vec<(u64, GroupLog)>,
    /// A torn write at the end, which the next start will cut off.
    pub torn: Option<TornTail>,
    /// What is wrong, if anything is.
    pub problem: Option<Problem>,
}

/// One segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// Its number.
    pub segment: u64,
    /// What it is.
    pub state: SegmentState,
}

/// What a segment file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentState {
    /// It was read.
    Read {
        /// Its intact records.
        records: u64,
        /// Where they end.
        end: u64,
        /// The length of the file.
        segment_bytes: u64,
    },
    /// It was prepared and not used yet.
    Spare,
    /// It was prepared and not used, and bytes of it have changed since.
    RottenSpare,
    /// No group needs it any more: the node goes on removing it.
    Obsolete,
    /// It was not read, because something before it is wrong.
    NotRead,
}

/// What keeps a node from starting on a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The log is damaged.
    Damaged(Damage),
    /// A segment is of a newer format.
    NewerFormat {
        /// The segment.
        segment: u64,
        /// Its version.
        version: u32,
    },
    /// IDENTITY, beside the log, is damaged or missing.
    Identity(String),
}

impl Report {
    /// Whether a node would start on this log.
    pub fn is_intact(&self) -> bool {
        self.problem.is_none()
    }
}

/// Checks every byte of a log as a start would, and changes nothing.
///
/// `path` is a data directory or the `wal` directory in one. The node may be running; a write under
/// way then looks like a torn one. Memory is that of the index, 16 bytes an entry; bodies are
/// checked in pieces.
pub fn verify(vfs: &dyn Vfs, path: &Path) -> Result<Report, OfflineError> {
    let dir = log_dir(vfs, path)?;
    let (identity, identity_problem) = identity_of(vfs, &dir)?;
    let mut examination = Examination::default();
    let examined = match identity {
        Some(identity) => examine(vfs, &dir, identity, None, &mut examination),
        // Without a single intact header, whose log it is does not matter: nothing can be in use.
        None => examine(
            vfs,
            &dir,
            Identity {
                cluster: 0,
                node: 0,
            },
            None,
            &mut examination,
        ),
    };
    let problem = match examined {
        Ok(()) => identity_problem,
        Err(ExamineError::Damaged(damage)) => Some(Problem::Damaged(damage)),
        Err(ExamineError::Newer { segment, version }) => {
            Some(Problem::NewerFormat { segment, version })
        }
        Err(ExamineError::Io {
            operation,
            path,
            source,
        }) => {
            return Err(OfflineError::Io {
                operation,
                path,
                source,
            });
        }
    };
    let segments = examination.files.iter().map(|segment| SegmentReport {
        segment: *segment,
        state: state_of(&examination, *segment),
    });
    Ok(Report {
        segments: segments.collect(),
        groups: examination.recovery().groups.into_iter().collect(),
        torn: examination.torn,
        dir,
        identity,
        problem,
    })
}

fn state_of(examination: &Examination, segment: u64) -> SegmentState {
    let read = examination
        .segments
        .iter()
        .find(|read| read.header.segment == segment);
    let is_spare = examination
        .spares
        .iter()
        .any(|(spare, _)| *spare == segment);
    let is_obsolete = examination
        .obsolete
        .iter()
        .any(|(obsolete, _)| *obsolete == segment);
    match read {
        Some(read) => SegmentState::Read {
            records: read.records,
            end: read.end,
            segment_bytes: read.header.segment_bytes,
        },
        None if is_spare => SegmentState::Spare,
        None if is_obsolete => SegmentState::Obsolete,
        None if examination.rotten_spares.contains(&segment) => SegmentState::RottenSpare,
        None => SegmentState::NotRead,
    }
}

/// The directory with the segments: the one named, or `wal` below it.
pub(crate) fn log_dir(vfs: &dyn Vfs, path: &Path) -> Result<PathBuf, OfflineError> {
    for dir in [path.join("wal"), path.to_path_buf()] {
        let names = match vfs.exists(&dir).and_then(|exists| {
            if exists {
                vfs.list(&dir)
            } else {
                Ok(Vec::new())
            }
        }) {
            Ok(names) => names,
            Err(source) if source.kind() == io::ErrorKind::NotADirectory => continue,
            Err(source) => {
                return Err(OfflineError::Io {
                    operation: "list",
                    path: dir,
                    source,
                });
            }
        };
        if names
            .iter()
            .filter_map(|name| name.to_str())
            .any(|name| segment_number(name).is_some())
        {
            return Ok(dir);
        }
    }
    Err(OfflineError::NoLog {
        path: path.to_path_buf(),
    })
}

/// Whose log it is: as IDENTITY beside it says, or else as most of the headers do.
fn identity_of(
    vfs: &dyn Vfs,
    dir: &Path,
) -> Result<(Option<Identity>, Option<Problem>), OfflineError> {
    let beside = match data_dir::read_identity(vfs, &vfs::parent_of(dir)) {
        Ok(Some(file)) => {
            return Ok((
                Some(Identity {
                    cluster: file.cluster,
                    node: file.node,
                }),
                None,
            ));
        }
        Ok(None) | Err(DataDirError::IdentityMissing { .. }) => None,
        Err(error) => Some(Problem::Identity(error.to_string())),
    };
    let names = vfs.list(dir).map_err(|source| OfflineError::Io {
        operation: "list",
        path: dir.to_path_buf(),
        source,
    })?;
    let mut votes: Vec<(Identity, usize)> = Vec::new();
    for name in names
        .iter()
        .filter(|name| name.to_str().and_then(segment_number).is_some())
    {
        let path = dir.join(name);
        let header = read_segment_header(vfs, &path).map_err(|source| OfflineError::Io {
            operation: "read",
            path,
            source,
        })?;
        let Some((header, _)) = header else { continue };
        match votes
            .iter_mut()
            .find(|(identity, _)| *identity == header.identity)
        {
            Some((_, count)) => *count += 1,
            None => votes.push((header.identity, 1)),
        }
    }
    let identity = votes
        .iter()
        .rev()
        .max_by_key(|(_, count)| *count)
        .map(|(identity, _)| *identity);
    Ok((identity, beside))
}

/// The intact header of a segment file, if it has one.
pub(crate) fn read_segment_header(
    vfs: &dyn Vfs,
    path: &Path,
) -> io::Result<Option<(SegmentHeader, u32)>> {
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    let read = vfs.open_read(path)?.read_full_at(0, &mut bytes)?;
    Ok(if read < bytes.len() {
        None
    } else {
        SegmentHeader::decode(&bytes)
    })
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "log {}", self.dir.display())?;
        match self.identity {
            Some(Identity { cluster, node }) => {
                writeln!(formatter, " of cluster {cluster:016x}, node {node}")?;
            }
            None => writeln!(formatter, " of nobody that can be told")?,
        }
        for segment in &self.segments {
            writeln!(formatter, "{segment}")?;
        }
        for (group, log) in &self.groups {
            let (term, last) = log.last;
            let state = log.state.as_ref().map_or(0, |state| state.len());
            writeln!(
                formatter,
                "group {group}: entries {} to {last}, last term {term}, {} bytes; state {state} bytes",
                log.first, log.bytes
            )?;
            if let (term, index @ 1..) = log.base {
                writeln!(
                    formatter,
                    "group {group}: begins behind entry {index} of term {term}: the snapshot of it, or a \
                     later one, must be there"
                )?;
            }
        }
        if let Some(torn) = self.torn {
            writeln!(formatter, "{torn}; the next start cuts it off")?;
        }
        match &self.problem {
            None => write!(formatter, "intact"),
            Some(problem) => write!(formatter, "NOT INTACT: {problem}"),
        }
    }
}

impl fmt::Display for SegmentReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "segment {}: ", self.segment)?;
        match self.state {
            SegmentState::Read {
                records,
                end,
                segment_bytes,
            } => {
                write!(
                    formatter,
                    "{records} records, {end} of {segment_bytes} bytes"
                )
            }
            SegmentState::Spare => write!(formatter, "prepared, not in use"),
            SegmentState::RottenSpare => write!(
                formatter,
                "prepared, not in use, and not all zeros: nothing is in it, and the next start makes it anew"
            ),
            SegmentState::Obsolete => write!(formatter, "not needed any more"),
            SegmentState::NotRead => write!(formatter, "not read"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Damaged(damage) => write!(
                formatter,
                "{damage}; replace the node by `quorate serve --join HOST:PORT --replace ID` with an empty \
                 --data-dir: the others have what it had"
            ),
            Problem::NewerFormat { segment, version } => write!(
                formatter,
                "segment {segment} has format version {version}, which this program does not know"
            ),
            Problem::Identity(text) => formatter.write_str(text),
        }
    }
}
