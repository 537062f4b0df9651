//! Segments prepared ahead, so that a full disk is met early and not in the middle of a write.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use buggify::Canary;
use vfs::{File, Vfs};

use crate::format::{preparing_name, segment_name};
use crate::segment::writer::{ZERO_PIECE_BYTES, write_zeros};

/// A segment that has its file, its length, its space and its name, and no header.
pub(crate) struct Spare {
    pub(crate) file: Box<dyn File>,
    pub(crate) segment: u64,
    pub(crate) segment_bytes: u64,
    /// Zeros were written up to this offset.
    pub(crate) zeroed: u64,
}

/// The spares in order, and the one that is being prepared.
pub(crate) struct Reserve {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    segment_bytes: u64,
    ready: VecDeque<Spare>,
    filling: Option<Spare>,
    /// The number of the next segment to prepare.
    next: u64,
}

/// Why a segment could not be prepared.
pub(crate) enum PrepareError {
    /// The disk is full. What was begun is removed.
    NoSpace,
    /// Anything else.
    Io { segment: u64, source: io::Error },
}

impl Reserve {
    pub(crate) fn new(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        segment_bytes: u64,
        ready: VecDeque<Spare>,
        next: u64,
    ) -> Reserve {
        Reserve {
            vfs,
            dir: dir.to_path_buf(),
            segment_bytes,
            ready,
            filling: None,
            next,
        }
    }

    /// Segments whose space is allocated, be they ready or not.
    pub(crate) fn allocated(&self) -> usize {
        self.ready.len() + usize::from(self.filling.is_some())
    }

    /// Bytes of the segments that are ready or being prepared.
    pub(crate) fn bytes(&self) -> u64 {
        let spares = self.ready.iter().chain(&self.filling);
        spares.map(|spare| spare.segment_bytes).sum()
    }

    /// Segments that are ready.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// The number of a segment that is being prepared.
    pub(crate) fn is_filling(&self) -> bool {
        self.filling.is_some()
    }

    /// Creates the next segment's file and allocates its space. This is the step that a full disk
    /// refuses; it takes a millisecond where the file system can allocate.
    pub(crate) fn begin(&mut self) -> Result<(), PrepareError> {
        self.begin_of(self.segment_bytes)
    }

    /// Makes a segment ready that is shorter than others, to be used at once.
    pub(crate) fn make_short(&mut self, segment_bytes: u64) -> Result<(), PrepareError> {
        self.begin_of(segment_bytes)?;
        self.complete()
    }

    fn begin_of(&mut self, segment_bytes: u64) -> Result<(), PrepareError> {
        debug_assert!(self.filling.is_none(), "one segment is prepared at a time");
        let segment = self.next;
        let path = self.dir.join(preparing_name(segment));
        let allocated = self.vfs.create(&path).and_then(|mut file| {
            file.allocate(segment_bytes)?;
            Ok(file)
        });
        match allocated {
            Ok(file) => {
                self.filling = Some(Spare {
                    file,
                    segment,
                    segment_bytes,
                    zeroed: 0,
                });
                Ok(())
            }
            Err(error) => Err(self.give_up(segment, error)),
        }
    }

    /// Writes the next piece of zeros into the segment that is being prepared, and syncs it, so that
    /// the sync of a batch never finds a heap of them before it. Completes the segment with the last.
    pub(crate) fn fill(&mut self) -> Result<(), PrepareError> {
        let Some(spare) = &mut self.filling else {
            return Ok(());
        };
        let len = ZERO_PIECE_BYTES.min(spare.segment_bytes - spare.zeroed);
        let written = write_zeros(spare.file.as_mut(), spare.zeroed, len)
            .and_then(|()| spare.file.sync_data());
        if let Err(error) = written {
            let segment = spare.segment;
            return Err(self.give_up(segment, error));
        }
        spare.zeroed += len;
        if spare.zeroed == spare.segment_bytes {
            self.complete()
        } else {
            Ok(())
        }
    }

    /// Makes the segment that is being prepared ready as it is: length and name durable.
    pub(crate) fn complete(&mut self) -> Result<(), PrepareError> {
        let Some(mut spare) = self.filling.take() else {
            return Ok(());
        };
        let segment = spare.segment;
        let from = self.dir.join(preparing_name(segment));
        let to = self.dir.join(segment_name(segment));
        let completed = spare
            .file
            .sync_data()
            .and_then(|()| self.vfs.rename(&from, &to))
            .and_then(|()| match buggify::canary(Canary::DirectoryNotSynced) {
                false => self.vfs.sync_dir(&self.dir),
                true => Ok(()),
            });
        match completed {
            Ok(()) => {
                self.ready.push_back(spare);
                self.next += 1;
                Ok(())
            }
            Err(error) => Err(self.give_up(segment, error)),
        }
    }

    /// Makes at least `count` segments ready, without filling them with zeros.
    pub(crate) fn ensure(&mut self, count: usize) -> Result<(), PrepareError> {
        while self.ready.len() < count {
            if self.filling.is_none() {
                self.begin()?;
            }
            self.complete()?;
        }
        Ok(())
    }

    /// Hands out the next segment.
    pub(crate) fn take(&mut self) -> Option<Spare> {
        self.ready.pop_front()
    }

    /// Removes what was begun, so that a full disk is not kept full by it.
    fn give_up(&mut self, segment: u64, source: io::Error) -> PrepareError {
        self.filling = None;
        if !vfs::is_no_space(&source) {
            return PrepareError::Io { segment, source };
        }
        match self.vfs.remove(&self.dir.join(preparing_name(segment))) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return PrepareError::Io { segment, source },
        }
        match self.vfs.sync_dir(&self.dir) {
            Ok(()) => PrepareError::NoSpace,
            Err(source) => PrepareError::Io { segment, source },
        }
    }
}
