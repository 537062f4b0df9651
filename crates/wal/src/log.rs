//! The open log.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use buggify::{Canary, Point};
use bytes::Bytes;
use vfs::Vfs;

use crate::format::{
    BASE_EMPTIES, CARRY_BASE_BYTES, DiskKind, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN,
    SEGMENT_HEADER_BYTES, VERSION_WITH_BASES, record_bytes,
};
use crate::index::{GroupIndex, Id};
use crate::order::OrderCheck;
use crate::readback::Readback;
use crate::recovery::{self, Examination, ExamineError, failed};
use crate::remove::Segments;
use crate::reserve::{PrepareError, Reserve};
use crate::rotate::create_first;
use crate::scrub::Cursor;
use crate::segment::writer::{Batch, Content, Writer};
use crate::{Identity, OpenError, Record, RecordKind, Recovery, WalError};

/// Entries with bodies of at most so many bytes may take the last room on a full disk: those that
/// begin a term, without which a new leader could not even serve reads.
pub const SMALL_ENTRY_BYTES: usize = 512;

/// What larger entries leave of the room, or an eighth of a segment if that is less: a few hundred
/// votes.
const LAST_ROOM_BYTES_MAX: u64 = 64 << 10;

/// What a large batch leaves of a disk where no segment of the usual length fits: the space of the small
/// file without which no segment can be removed, with what a file system may need beside.
const REMOVAL_BYTES: u64 = 16 << 10;

/// How a log is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The size of new segments: a multiple of 4096, at least [`SEGMENT_BYTES_MIN`] and at most
    /// [`SEGMENT_BYTES_MAX`]. Bounds the size of a record.
    pub segment_bytes: u64,
    /// Segments to keep prepared ahead of the one being written: what [`Wal::space`] calls ample.
    pub reserve_segments: usize,
    /// Whether [`Wal::sync`] syncs. `false` is only for the test that shows that it must.
    pub sync: bool,
    /// Whether a missing log is an error: set when the data directory knows that there was one. A
    /// node that lost its log and kept its id would forget its votes and what it acknowledged.
    pub must_exist: bool,
    /// Recovery also reads the bodies of entries with these tags; see [`GroupLog::tagged`]. For the few
    /// entries that must be known before any other is read, such as those that say who belongs to a
    /// group.
    ///
    /// [`GroupLog::tagged`]: crate::GroupLog::tagged
    pub keep_tags: &'static [u8],
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes: 64 << 20,
            reserve_segments: 1,
            sync: true,
            must_exist: false,
            keep_tags: &[],
        }
    }
}

/// Whether there is space for what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// The reserve is there.
    Ample,
    /// It is not, and cannot be made: refuse what can be refused. What cannot be, such as votes and
    /// bases, still finds room: [`Wal::append`] never gives the last of it to entries.
    Low,
}

/// What is left to prepare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preparation {
    /// Nothing.
    Done,
    /// Another step.
    More,
    /// Something, but the disk is full.
    NoSpace,
}

/// The log of a node, shared by all its groups. See the crate's documentation.
///
/// It belongs to one thread: all calls do I/O and wait for it.
pub struct Wal {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) dir: PathBuf,
    pub(crate) identity: Identity,
    pub(crate) options: Options,
    pub(crate) writer: Writer,
    /// The segments before the one being written.
    pub(crate) segments: Segments,
    pub(crate) reserve: Reserve,
    pub(crate) groups: BTreeMap<u64, GroupIndex>,
    pub(crate) batch: Batch,
    pub(crate) readback: Readback,
    pub(crate) scrub: Option<Cursor>,
    /// Set by the first failed write or sync, and never cleared.
    pub(crate) is_latched: bool,
}

impl Wal {
    /// Opens the log in `dir`, creating it if there is none, and says what it holds.
    ///
    /// All that is reported is durable when this returns, also if the process that wrote it died
    /// before its sync. Refuses a damaged log, one of another node or cluster, and one of a newer
    /// version, without changing anything.
    pub fn open(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        identity: Identity,
        options: Options,
    ) -> Result<(Wal, Recovery), OpenError> {
        let bytes = options.segment_bytes;
        if !bytes.is_multiple_of(4096) || !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&bytes)
        {
            return Err(OpenError::Options {
                segment_bytes: bytes,
            });
        }
        let mut examination = Examination::keeping(options.keep_tags);
        if vfs.exists(dir).map_err(failed("look up", dir))? {
            match recovery::examine(vfs.as_ref(), dir, identity, Some(bytes), &mut examination) {
                Err(ExamineError::Damaged(_)) if buggify::canary(Canary::DamagedLogBegunAnew) => {
                    examination = Examination::discarding(dir, &examination.files);
                }
                examined => examined.map_err(|error| error.into_open_error(dir))?,
            }
        }
        let must_exist = options.must_exist && !buggify::canary(Canary::DamagedLogBegunAnew);
        if examination.segments.is_empty() && must_exist {
            return Err(OpenError::LogMissing {
                dir: dir.to_path_buf(),
            });
        }
        vfs::create_dir_durable(vfs.as_ref(), dir).map_err(failed("create", dir))?;
        let opened = recovery::repair(&vfs, dir, &examination)?;
        let mut reserve = Reserve::new(vfs.clone(), dir, bytes, opened.spares, opened.next);
        let writer = match opened.writer {
            Some(writer) => writer,
            None => create_first(&mut reserve, dir, identity, bytes)?,
        };
        let recovery = examination.recovery();
        let mut wal = Wal {
            readback: Readback::new(vfs.clone(), dir, identity),
            vfs,
            dir: dir.to_path_buf(),
            identity,
            options,
            writer,
            segments: opened.segments,
            reserve,
            groups: examination.groups,
            batch: Batch::default(),
            scrub: None,
            is_latched: false,
        };
        wal.complete_carries(&examination.carried)?;
        Ok((wal, recovery))
    }

    /// Adds records behind the last one, in order; they are readable at once and durable after the next
    /// [`Wal::sync`].
    ///
    /// One call writes once, except where a segment ends: then that segment is synced before the next
    /// one is begun. On [`WalError::Full`], [`WalError::TooLarge`] and [`WalError::OutOfOrder`]
    /// nothing was written, and the log goes on. A failed write latches.
    ///
    /// Where no segment of the usual length fits on the disk any more, one that is just long enough is
    /// begun. Large entries are `Full` while there would still be some room behind them: that is left
    /// for votes, bases and entries of at most [`SMALL_ENTRY_BYTES`], which a node needs to stay of use
    /// on a full disk, and to make room on it.
    pub fn append(&mut self, records: &[Record]) -> Result<(), WalError> {
        self.check_latch()?;
        self.check_order(records)?;
        let mut needed = self.segments_needed(records)?;
        let mut is_full_early =
            buggify::point(Point::SegmentFullEarly) || self.is_too_old_for(records);
        if is_full_early {
            // One to begin, and one because it begins with carried records.
            needed.segments += 2;
        }
        match self.ensure(&needed) {
            Ok(()) => {}
            Err(PrepareError::NoSpace) if buggify::canary(Canary::FullDiskIgnored) => return Ok(()),
            Err(PrepareError::NoSpace) => {
                self.make_short_for(&needed)?;
                is_full_early = true;
            }
            Err(error) => {
                self.is_latched = true;
                return Err(prepare_failed(error));
            }
        }
        let result = match is_full_early {
            false => self.write(records),
            true => self.rotate().and_then(|()| self.write(records)),
        };
        self.is_latched |= result.is_err();
        result
    }

    /// Makes everything appended durable.
    ///
    /// A failure latches for ever: the kernel may have dropped what it could not write, so that a
    /// second attempt would succeed without it.
    pub fn sync(&mut self) -> Result<(), WalError> {
        self.check_latch()?;
        if self.writer.durable == self.writer.end {
            return Ok(());
        }
        if !self.options.sync {
            self.writer.durable = self.writer.end;
            return Ok(());
        }
        let mut result = self.writer.sync();
        if result.is_err() && buggify::canary(Canary::SyncTriedAgain) {
            result = self.writer.sync();
        }
        result.map_err(|source| {
            self.is_latched = true;
            WalError::Sync {
                segment: self.writer.segment,
                source,
            }
        })
    }

    /// Does one bounded step of what is done ahead: keeps the reserve, and writes zeros where records
    /// will go. Call it when there is nothing else to do, until it says that nothing is left; a caller
    /// that is never idle keeps pace with one call for each 512 KiB that it appends.
    ///
    /// A step is at most one write and one sync of 512 KiB, or the creation or renaming of one file,
    /// so a batch that arrives meanwhile waits for a few milliseconds. Nothing depends on it but speed:
    /// [`Wal::append`] makes what it needs, without the zeros.
    pub fn prepare_next(&mut self) -> Result<Preparation, WalError> {
        self.check_latch()?;
        if buggify::point(Point::PreparationSkipped) {
            return Ok(Preparation::Done);
        }
        if self.writer.can_zero_ahead() {
            let segment = self.writer.segment;
            self.writer.zero_ahead().map_err(|source| {
                self.is_latched = true;
                WalError::Prepare { segment, source }
            })?;
            return Ok(Preparation::More);
        }
        let step = if self.reserve.is_filling() {
            self.reserve.fill()
        } else if self.reserve.ready() < self.options.reserve_segments {
            self.reserve.begin()
        } else {
            return Ok(Preparation::Done);
        };
        match step {
            Ok(()) => Ok(Preparation::More),
            Err(PrepareError::NoSpace) => Ok(Preparation::NoSpace),
            Err(PrepareError::Io { segment, source }) => {
                self.is_latched = true;
                Err(WalError::Prepare { segment, source })
            }
        }
    }

    /// Whether the reserve is there. If it is not, tries to allocate it, which is a millisecond's
    /// work where the file system can allocate; while the answer is `Low`, ask now and then.
    pub fn space(&mut self) -> Space {
        while self.reserve.allocated() < self.options.reserve_segments {
            let step = if self.is_latched {
                return Space::Low;
            } else if self.reserve.is_filling() {
                self.reserve.complete()
            } else {
                self.reserve.begin()
            };
            match step {
                Ok(()) => {}
                Err(PrepareError::NoSpace) => return Space::Low,
                Err(PrepareError::Io { .. }) => {
                    self.is_latched = true;
                    return Space::Low;
                }
            }
        }
        Space::Ample
    }

    /// Reads entries of a group from `first` to `last`, both included: as many as their bodies fit in
    /// `bytes_max`, and at least one if `first` exists. Checks every one against its checksum.
    ///
    /// Ends early at the end of the log; an entry before its beginning is [`WalError::NotHeld`].
    pub fn read(
        &self,
        group: u64,
        first: u64,
        last: u64,
        bytes_max: usize,
    ) -> Result<Vec<Record>, WalError> {
        self.check_latch()?;
        let Some(index) = self.groups.get(&group) else {
            return Ok(Vec::new());
        };
        let bytes_max = match buggify::point(Point::ReadOneRecord) {
            false => bytes_max,
            true => 0,
        };
        let wanted = index.wanted(group, first, last, bytes_max)?;
        self.readback.read(&self.writer, group, index, &wanted)
    }

    /// The number of the segment that is being written, and the offset where the next record goes.
    pub fn position(&self) -> (u64, u64) {
        (self.writer.segment, self.writer.end)
    }

    /// Whether a write or a sync has failed.
    pub fn is_latched(&self) -> bool {
        self.is_latched
    }

    /// Whether a record is of a kind that the format of the segment at hand does not know. It goes into
    /// the next one, so that an older program names the version that it does not know.
    fn is_too_old_for(&self, records: &[Record]) -> bool {
        self.writer.version < VERSION_WITH_BASES
            && records.iter().any(|record| record.kind == RecordKind::Base)
    }

    pub(crate) fn check_latch(&self) -> Result<(), WalError> {
        if self.is_latched {
            Err(WalError::Latched)
        } else {
            Ok(())
        }
    }

    fn check_order(&self, records: &[Record]) -> Result<(), WalError> {
        let mut order = OrderCheck::default();
        for record in records {
            let kind = disk_kind(record.kind);
            let id = Id {
                term: record.term,
                index: record.index,
            };
            order
                .next(&self.groups, kind, record.group, id)
                .map_err(|wrong| {
                    let (group, kind, index) = (record.group, record.kind, record.index);
                    WalError::OutOfOrder {
                        group,
                        kind,
                        index,
                        expected: wrong.expected,
                    }
                })?;
        }
        Ok(())
    }

    /// What these records need beyond the segment at hand. Counts the carried records of each new
    /// segment as large as they can get within this call.
    fn segments_needed(&self, records: &[Record]) -> Result<Needed, WalError> {
        let mut room = self.writer.room();
        let total: u64 = records
            .iter()
            .map(|record| record_bytes(record.body.len() as u64))
            .sum();
        let leaves_room = records.iter().any(is_large_entry);
        let left_free = match leaves_room {
            true => LAST_ROOM_BYTES_MAX.min(self.options.segment_bytes / 8),
            false => 0,
        };
        let carried = if total <= room {
            0
        } else {
            self.carried_bytes_max(records)
        };
        let segment_bytes = self.options.segment_bytes;
        let bytes_max = segment_bytes.saturating_sub(SEGMENT_HEADER_BYTES as u64 + carried);
        let mut segments = 0;
        for record in records {
            let bytes = record_bytes(record.body.len() as u64);
            if bytes > room {
                if bytes > bytes_max {
                    return Err(WalError::TooLarge { bytes, bytes_max });
                }
                segments += 1;
                room = bytes_max;
            }
            room -= bytes;
        }
        let alone =
            SEGMENT_HEADER_BYTES as u64 + self.carried_bytes_max(records) + total + left_free;
        Ok(Needed {
            segments,
            leaves_room,
            is_room_left: room >= left_free,
            alone: alone.next_multiple_of(SEGMENT_BYTES_MIN),
        })
    }

    /// Makes sure of the segments that are needed, and of one behind them if they would be filled up.
    fn ensure(&mut self, needed: &Needed) -> Result<(), PrepareError> {
        let is_next_there = self.reserve.allocated() > needed.segments;
        let behind = usize::from(!needed.is_room_left && !is_next_there);
        self.reserve.ensure(needed.segments + behind)
    }

    /// Makes a segment that is just long enough, on a disk that has no space for one of the usual
    /// length.
    fn make_short_for(&mut self, needed: &Needed) -> Result<(), WalError> {
        let is_shorter = needed.alone < self.options.segment_bytes;
        if !is_shorter || self.reserve.allocated() > 0 {
            return Err(WalError::Full);
        }
        // Removing segments takes a little space, too, and is what makes room again.
        let is_last_room_taken = needed.leaves_room && {
            let free = self.vfs.free_bytes(&self.dir).unwrap_or(u64::MAX);
            free < needed.alone + REMOVAL_BYTES
        };
        if is_last_room_taken {
            return Err(WalError::Full);
        }
        self.reserve.make_short(needed.alone).map_err(|error| {
            self.is_latched |= matches!(error, PrepareError::Io { .. });
            prepare_failed(error)
        })
    }

    pub(crate) fn carried_bytes_max(&self, records: &[Record]) -> u64 {
        let state_bytes = |index: &GroupIndex| index.state().map_or(0, Bytes::len) as u64;
        let mut groups: BTreeMap<u64, u64> = self
            .groups
            .iter()
            .map(|(group, index)| (*group, state_bytes(index)))
            .collect();
        for record in records {
            let bytes = groups.entry(record.group).or_default();
            if record.kind == RecordKind::State {
                *bytes = (*bytes).max(record.body.len() as u64);
            }
        }
        groups
            .values()
            .map(|bytes| record_bytes(CARRY_BASE_BYTES as u64 + *bytes))
            .sum()
    }

    fn write(&mut self, mut records: &[Record]) -> Result<(), WalError> {
        while !records.is_empty() {
            self.batch.restart(&self.writer);
            let room = self.writer.room();
            let fitting = records
                .iter()
                .scan(0, |bytes, record| {
                    *bytes += record_bytes(record.body.len() as u64);
                    Some(*bytes)
                })
                .take_while(|bytes| *bytes <= room)
                .count();
            let (fitting, rest) = records.split_at(fitting);
            for record in fitting {
                self.gather(record);
            }
            self.write_batch()?;
            records = rest;
            if !records.is_empty() {
                self.rotate()?;
            }
        }
        Ok(())
    }

    /// Adds a record to the batch and to its group's index. If the write then fails, the log is
    /// latched, and nobody sees the index again.
    fn gather(&mut self, record: &Record) {
        let group = self.groups.entry(record.group).or_default();
        let mut content = content(record);
        if record.kind == RecordKind::Base {
            let id = Id {
                term: record.term,
                index: record.index,
            };
            let is_held = group.holds(id).unwrap_or(false);
            content.tag = if is_held { 0 } else { BASE_EMPTIES };
        }
        let (offset, header) = self.batch.push(&content);
        let body = match record.kind {
            RecordKind::State => record.body.clone(),
            RecordKind::Entry | RecordKind::Truncate | RecordKind::Base => Bytes::new(),
        };
        group.apply(self.writer.segment, offset, &header, body);
    }

    pub(crate) fn write_batch(&mut self) -> Result<(), WalError> {
        if self.batch.len() == 0 {
            return Ok(());
        }
        let (segment, offset) = self.position();
        self.writer
            .write(&self.batch)
            .map_err(|source| WalError::Write {
                segment,
                offset,
                source,
            })
    }
}

impl std::fmt::Debug for Wal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Wal")
            .field("dir", &self.dir)
            .field("identity", &self.identity)
            .field("position", &self.position())
            .field("is_latched", &self.is_latched)
            .finish_non_exhaustive()
    }
}

/// What records need beyond the room in the segment at hand.
struct Needed {
    /// Segments of the usual length.
    segments: usize,
    /// Whether they must leave room for what must always find some.
    leaves_room: bool,
    /// Whether enough is left in the last of them for that.
    is_room_left: bool,
    /// The length of a segment that has only these records, and such room behind them.
    alone: u64,
}

/// A segment that could not be prepared.
fn prepare_failed(error: PrepareError) -> WalError {
    match error {
        PrepareError::NoSpace => WalError::Full,
        PrepareError::Io { segment, source } => WalError::Prepare { segment, source },
    }
}

/// Whether a record may not take the last room there is.
fn is_large_entry(record: &Record) -> bool {
    record.kind == RecordKind::Entry && record.body.len() > SMALL_ENTRY_BYTES
}

fn disk_kind(kind: RecordKind) -> DiskKind {
    match kind {
        RecordKind::Entry => DiskKind::Entry,
        RecordKind::Truncate => DiskKind::Truncate,
        RecordKind::State => DiskKind::State,
        RecordKind::Base => DiskKind::Base,
    }
}

fn content(record: &Record) -> Content<'_> {
    Content {
        kind: disk_kind(record.kind),
        group: record.group,
        term: record.term,
        index: record.index,
        tag: record.tag,
        stamp: record.stamp,
        body: &record.body,
    }
}
