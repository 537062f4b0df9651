//! Removing the segments that no group needs any more.
//!
//! # Order
//!
//! A segment is not needed when every group's log begins behind it, which [`crate::RecordKind::Base`]
//! records bring about. It is removed only when nobody can ever miss it:
//!
//! 1. the base records are durable: the segment that has them is synced before the next one is begun;
//! 2. the next segment's header names the oldest segment that is needed, and is synced: from then on
//!    recovery knows that older ones may be absent;
//! 3. the older files are unlinked, one a step, each unlink made durable alone.
//!
//! A crash between any two of these leaves a log that recovery accepts. What an interrupted removal
//! left is found by its number at the next start, and removed by the next calls.
//!
//! # Where reading may begin
//!
//! At a segment whose carries are durable and name the base: not at the one that is just begun, whose
//! carries follow its header, and not at one of format version 1.

use std::collections::VecDeque;
use std::io;

use buggify::Canary;

use crate::WalError;
use crate::format::{SEGMENT_BYTES_MIN, SEGMENT_HEADER_BYTES, VERSION_WITH_BASES, segment_name};
use crate::log::Wal;
use crate::reserve::PrepareError;
use crate::segment::writer::Writer;

/// How many segments must become removable for a new one to be begun early on their account. The rest of
/// the segment at hand is given up then, so that one alone is not worth it.
const REMOVABLE_SEGMENTS_MIN: u64 = 2;

/// Room in a segment that is begun on a full disk, for what cannot be refused until there is space.
const SHORT_SEGMENT_ROOM: u64 = 16 << 10;

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
    /// The oldest segment that a durable header says is needed.
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
    /// begins a new segment early, so that its header allows it. `false` if there is nothing to do now.
    /// Call it when there is nothing else to do.
    ///
    /// A segment becomes removable by base records that are durable; see
    /// [`RecordKind::Base`](crate::RecordKind::Base). On a full disk a short segment is begun if no
    /// other fits; if not even that does, nothing is removed until something else frees a little space.
    /// A failure latches.
    pub fn remove_obsolete(&mut self) -> Result<bool, WalError> {
        self.check_latch()?;
        let result = self.remove_step();
        self.is_latched |= result.is_err();
        result
    }

    /// Bytes that the log's files take on disk: the segments that are there, be they needed or not, and
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
        let removable = oldest - self.segments.oldest;
        if removable == 0 {
            return Ok(false);
        }
        if self.reserve.allocated() == 0 {
            match self.reserve.begin() {
                Ok(()) => {}
                Err(PrepareError::NoSpace) => return self.rotate_on_full_disk(),
                Err(error) => return Err(prepare_failed(error)),
            }
        }
        if removable < REMOVABLE_SEGMENTS_MIN {
            return Ok(false);
        }
        match self.reserve.ensure(1) {
            Ok(()) => self.rotate()?,
            Err(PrepareError::NoSpace) => return Ok(false),
            Err(error) => return Err(prepare_failed(error)),
        }
        Ok(true)
    }

    /// Begins a segment that is just long enough for what it begins with and a little more, so that
    /// others can be removed where not even one of the usual length fits: a full disk would stay
    /// full otherwise.
    fn rotate_on_full_disk(&mut self) -> Result<bool, WalError> {
        let needed = SEGMENT_HEADER_BYTES as u64 + self.carried_bytes_max(&[]);
        let segment_bytes = (needed + SHORT_SEGMENT_ROOM).next_multiple_of(SEGMENT_BYTES_MIN);
        if segment_bytes >= self.options.segment_bytes {
            return Ok(false);
        }
        match self.reserve.make_short(segment_bytes) {
            Ok(()) => self.rotate()?,
            Err(PrepareError::NoSpace) => return Ok(false),
            Err(error) => return Err(prepare_failed(error)),
        }
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

    /// The oldest segment that is needed once all that was appended is durable, as the header of the next
    /// segment may say it.
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

/// A segment that could not be prepared for another reason than space.
fn prepare_failed(error: PrepareError) -> WalError {
    match error {
        PrepareError::NoSpace => WalError::Full,
        PrepareError::Io { segment, source } => WalError::Prepare { segment, source },
    }
}
