//! Removing the segments that no group needs any more.
//!
//! # Order
//!
//! A segment is not needed when every group's log begins behind it, which [`crate::RecordKind::Base`]
//! records bring about. It is removed only when nobody can ever miss it:
//!
//! 1. the base records are durable: the segment that has them is synced;
//! 2. `OLDEST`, or the header of the next segment if one is begun before, names the oldest segment that
//!    is needed, durably: from then on recovery knows that older ones may be absent;
//! 3. the older files are unlinked, one a step, each unlink made durable alone.
//!
//! A crash between any two of these leaves a log that recovery accepts. What an interrupted removal
//! left is found by its number at the next start, and removed by the next calls.
//!
//! # Where reading may begin
//!
//! At a segment whose carries are durable and name the base: not at the one that is being begun, whose
//! carries follow its header, and not at one of format version 1.
//!
//! # Why no segment is begun early
//!
//! It would give up the rest of the one before. A log of which a little becomes useless again and again,
//! as when a node goes through a long log after a start, would consist of nearly empty segments.

use std::collections::VecDeque;
use std::io;

use buggify::Canary;

use crate::WalError;
use crate::format::{VERSION_WITH_BASES, segment_name};
use crate::log::Wal;
use crate::oldest;
use crate::segment::writer::Writer;

/// A segment whose records are complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) segment: u64,
    pub(crate) version: u32,
    pub(crate) segment_bytes: u64,
    /// Where its records end, and the chain value there.
    pub(crate) end: u64,
    pub(crate) chain: u32,
}

/// The segments before the one that is being written.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    /// The oldest segment that a durable header, or `OLDEST`, says is needed.
    pub(crate) oldest: u64,
    /// Those from there on, in order.
    pub(crate) closed: VecDeque<Closed>,
    /// Files before it that are still there: number and length.
    pub(crate) obsolete: VecDeque<(u64, u64)>,
}

impl Segments {
    /// The segment that was written is complete, and a durable header behind it names `oldest`.
    pub(crate) fn close(&mut self, writer: &Writer, oldest: u64) {
        self.closed.push_back(Closed {
            segment: writer.segment,
            version: writer.version,
            segment_bytes: writer.segment_bytes,
            end: writer.end,
            chain: writer.chain,
        });
        self.advance(oldest);
    }

    /// It is durable that `oldest` is the oldest segment that is needed.
    fn advance(&mut self, oldest: u64) {
        self.oldest = oldest;
        while let Some(first) = self.closed.front().filter(|first| first.segment < oldest) {
            self.obsolete
                .push_back((first.segment, first.segment_bytes));
            self.closed.pop_front();
        }
    }

    fn bytes(&self) -> u64 {
        let closed = self.closed.iter().map(|closed| closed.segment_bytes);
        let obsolete = self.obsolete.iter().map(|(_, bytes)| *bytes);
        closed.chain(obsolete).sum()
    }
}

impl Wal {
    /// Does one bounded step of removing segments that no group needs any more: unlinks one file, or
    /// says durably that older ones may go. `false` if there is nothing to do now. Call it when there is
    /// nothing else to do.
    ///
    /// A segment becomes removable by base records that are durable; see
    /// [`RecordKind::Base`](crate::RecordKind::Base). It takes no space but that of a small file: if not
    /// even that is there, nothing is removed until something else frees a little. A failure latches.
    pub fn remove_obsolete(&mut self) -> Result<bool, WalError> {
        self.check_latch()?;
        let result = self.remove_step();
        self.is_latched |= result.is_err();
        result
    }

    /// Bytes that the log's segments take on disk: those that are there, be they needed or not, and
    /// those that are prepared.
    pub fn disk_bytes(&self) -> u64 {
        self.segments.bytes() + self.writer.segment_bytes + self.reserve.bytes()
    }

    fn remove_step(&mut self) -> Result<bool, WalError> {
        if let Some(&(segment, _)) = self.segments.obsolete.front() {
            self.unlink(segment)?;
            self.segments.obsolete.pop_front();
            return Ok(true);
        }
        let oldest = self.oldest_for_next();
        if buggify::canary(Canary::SegmentsRemovedBeforeBase)
            && let Some(first) = self.segments.closed.front().copied()
            && first.segment < oldest
        {
            self.unlink(first.segment)?;
            self.segments.closed.pop_front();
            return Ok(true);
        }
        if oldest == self.segments.oldest {
            return Ok(false);
        }
        // The base records, and the carries of the segment at hand.
        self.sync()?;
        match oldest::write(self.vfs.as_ref(), &self.dir, self.identity, oldest) {
            Ok(()) => {}
            Err(error) if vfs::is_no_space(&error) => return Ok(false),
            Err(source) => {
                let segment = self.segments.oldest;
                return Err(WalError::Remove { segment, source });
            }
        }
        self.segments.advance(oldest);
        Ok(true)
    }

    /// Removes a segment's file, durably.
    fn unlink(&mut self, segment: u64) -> Result<(), WalError> {
        self.readback.forget(segment);
        let failed = |source| WalError::Remove { segment, source };
        match self.vfs.remove(&self.dir.join(segment_name(segment))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        self.vfs.sync_dir(&self.dir).map_err(failed)
    }

    /// The oldest segment that is needed once all that was appended is durable, as `OLDEST` or the header
    /// of the next segment may say it.
    pub(crate) fn oldest_for_next(&self) -> u64 {
        let current = self.writer.segment;
        let needed = self
            .groups
            .values()
            .filter_map(|index| index.oldest_segment())
            .fold(current, u64::min);
        let version = match self
            .segments
            .closed
            .iter()
            .find(|closed| closed.segment == needed)
        {
            Some(closed) => closed.version,
            None => self.writer.version,
        };
        if version < VERSION_WITH_BASES {
            return self.segments.oldest;
        }
        needed.max(self.segments.oldest)
    }
}
