//! Reads the snapshot on disk again, a block at a time, while the thread that writes snapshots has nothing
//! else to do: damage is found as long as the state is in memory, to be written anew, and not by the
//! start that needs the file.
//!
//! A file that is damaged is set aside. One that the system does not read may be good, and keeps its name;
//! when it cannot be read twice in a row, the state is written anew all the same, which replaces it.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use snapshot::{Directory, Reader, SnapshotError};
use tracing::{error, warn};

use super::pace::Pace;

/// A pass begins no sooner than this after the one before began: a small file need not be read all
/// the time.
const PASS_PERIOD: Duration = Duration::from_secs(1);

/// A node that has lost its snapshot, and has none written after so long, asks for one again.
const LOST_PERIOD: Duration = Duration::from_secs(60);

/// What to read next, and when.
pub(super) struct Scrub {
    directory: Directory,
    bytes_per_second: u64,
    pace: Pace,
    /// The file that is being read.
    reader: Option<(PathBuf, Reader)>,
    /// Files of this pass that come after it.
    left: Vec<PathBuf>,
    /// When to read on.
    due: Instant,
    pass_began: Instant,
    /// What could not be read in the pass before.
    unread: Option<PathBuf>,
    /// When it was told that the snapshot is lost, if none is there since.
    lost: Option<Instant>,
}

/// What came of a step.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// Bytes that were read and are good.
    pub(super) bytes: u64,
    /// A file was found damaged.
    pub(super) is_damage: bool,
    /// The state has to be written anew.
    pub(super) is_lost: bool,
}

impl Scrub {
    /// Reads at this rate; 0: never.
    pub(super) fn new(directory: Directory, bytes_per_second: u64, now: Instant) -> Scrub {
        Scrub {
            directory,
            bytes_per_second,
            pace: Pace::new(bytes_per_second, now),
            reader: None,
            left: Vec::new(),
            due: now,
            pass_began: now,
            unread: None,
            lost: None,
        }
    }

    /// How long until there is something to read; `None`: for ever.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let is_on = self.bytes_per_second > 0;
        is_on.then(|| self.due.saturating_duration_since(now))
    }

    /// Other files may be there now, and what is being read may have been removed: its space is not free
    /// before it is closed.
    pub(super) fn forget(&mut self) {
        self.reader = None;
        self.left.clear();
    }

    /// Reads the next block. What is wrong is said in the node's log.
    pub(super) fn step(&mut self, now: Instant) -> Step {
        let read = match self.reader.take() {
            Some((path, reader)) => self.read_on(path, reader, now),
            None => self.open_next(now),
        };
        read.unwrap_or_else(|(path, error)| self.judge(path, &error))
    }

    fn read_on(
        &mut self,
        path: PathBuf,
        mut reader: Reader,
        now: Instant,
    ) -> Result<Step, Trouble> {
        let before = reader.offset();
        let read = reader.next_block();
        let read = read.and_then(|block| reader.forget_cached(before).map(|()| block));
        match read {
            Err(error) => Err((path, error)),
            Ok(block) => {
                let bytes = reader.offset() - before;
                self.due = now + self.pace.moved(bytes, now);
                match block {
                    Some(_) => self.reader = Some((path, reader)),
                    None => self.unread = self.unread.take().filter(|unread| *unread != path),
                }
                let read = Step {
                    bytes,
                    ..Step::default()
                };
                Ok(read)
            }
        }
    }

    fn open_next(&mut self, now: Instant) -> Result<Step, Trouble> {
        let Some(path) = self.left.pop() else {
            return self.begin_pass(now);
        };
        match Reader::open(self.directory.vfs().as_ref(), &path) {
            Ok((_, reader)) => {
                self.reader = Some((path, reader));
                Ok(Step::default())
            }
            Err(error) => Err((path, error)),
        }
    }

    fn begin_pass(&mut self, now: Instant) -> Result<Step, Trouble> {
        self.due = self.pass_began + PASS_PERIOD;
        if self.due > now {
            return Ok(Step::default());
        }
        self.pass_began = now;
        self.due = now;
        let path = self.directory.path().to_path_buf();
        let files = self.directory.list().map_err(|error| (path, error))?;
        self.left = files.into_iter().map(|(_, _, path)| path).collect();
        if !self.left.is_empty() {
            self.lost = None;
            return Ok(Step::default());
        }
        self.due = now + PASS_PERIOD;
        // It was asked for before, and could not be written: on a full disk, for example.
        let is_lost = self.lost.is_some_and(|lost| now >= lost + LOST_PERIOD);
        if is_lost {
            self.lost = Some(now);
        }
        Ok(Step {
            is_lost,
            ..Step::default()
        })
    }

    fn judge(&mut self, path: PathBuf, error: &SnapshotError) -> Step {
        if error.is_damage() {
            return self.set_aside(path, error);
        }
        let is_gone = matches!(
            error,
            SnapshotError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound
        );
        if is_gone {
            return Step::default();
        }
        let is_again = self.unread.as_ref() == Some(&path);
        match is_again {
            false => warn!("{error}; this snapshot is read again later"),
            true => error!("{error}; this snapshot is replaced by one that is written from memory"),
        }
        self.unread = (!is_again).then_some(path);
        Step {
            is_lost: is_again,
            ..Step::default()
        }
    }

    fn set_aside(&mut self, path: PathBuf, error: &SnapshotError) -> Step {
        match self.directory.set_aside(&path) {
            Ok(kept_as) => error!(
                kept_as = %kept_as.display(),
                "{error}; another one is written from memory: look after the disk"
            ),
            Err(failure) => error!("{error}; it cannot be set aside: {failure}"),
        }
        self.lost = Some(self.pass_began);
        Step {
            bytes: 0,
            is_damage: true,
            is_lost: true,
        }
    }
}

type Trouble = (PathBuf, SnapshotError);
