//! Reading a log back: the facts are collected here, the decisions are made in `decision`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use buggify::Canary;
use bytes::Bytes;
use vfs::{File, Vfs};

use crate::decision::{
    Behind, FileSeen, FileVerdict, HeaderSeen, Next, Stop, StopSeen, StopVerdict, judge_file,
    judge_stop,
};
use crate::format::{
    BASE_EMPTIES, CARRY_HAS_BASE, CARRY_HAS_STATE, CarryBody, DiskKind, FORMAT_VERSION,
    PREPARING_SUFFIX, RecordHeader, SEGMENT_BYTES_MAX, SEGMENT_HEADER_BYTES, SegmentHeader,
    VERSION_WITH_BASES, segment_name, segment_number, segment_seed,
};
use crate::index::{Base, Carried, GroupIndex, Id};
use crate::remove::{Closed, Segments};
use crate::segment::reader::{Found, Reader, Step, is_zeros};
use crate::segment::writer::{Writer, write_zeros};
use crate::{Damage, Identity, OpenError, Record, Why};

/// What a log held when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The groups that have anything in the log.
    pub groups: BTreeMap<u64, GroupLog>,
    /// The torn write that was cut off, if there was one.
    pub torn_bytes_cut: Option<TornTail>,
    /// Segments in use.
    pub segments: u64,
    /// Records read.
    pub records: u64,
    /// Whether there was no log, and one was begun.
    pub is_new: bool,
}

/// What the log has of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupLog {
    /// The body of the latest [`crate::RecordKind::State`].
    pub state: Option<Bytes>,
    /// Term and index of the entry behind which the log begins: of the latest
    /// [`crate::RecordKind::Base`]. Zeros if the log begins at index 1; a term of 0 if the log began
    /// behind an entry that nothing names.
    pub base: (u64, u64),
    /// The first index held, one behind the base's; the next one to be written if none is held.
    pub first: u64,
    /// Term and index of the last entry; of the one before `first` if none is held, as far as it is
    /// known, and zeros if not.
    pub last: (u64, u64),
    /// The first index of each run of entries of one term, and that term.
    pub term_runs: Vec<(u64, u64)>,
    /// The stamp of the last entry.
    pub last_stamp: u64,
    /// Bytes of the bodies of the entries held.
    pub bytes: u64,
    /// Of the entries held, those with [`crate::Options::keep_tag`] as their tag, in order.
    pub tagged: Vec<Record>,
}

/// A torn write that was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub segment: u64,
    /// Where the first record that was torn begins.
    pub offset: u64,
    /// Bytes from there to the last one that was written.
    pub bytes: u64,
}

impl std::fmt::Display for TornTail {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let TornTail {
            segment,
            offset,
            bytes,
        } = self;
        write!(
            formatter,
            "a torn write of {bytes} bytes at offset {offset} of segment {segment}"
        )
    }
}

/// A segment in use, as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentRead {
    pub(crate) header: SegmentHeader,
    pub(crate) records: u64,
    /// Where its records end, or stopped being intact.
    pub(crate) end: u64,
    pub(crate) chain: u32,
    pub(crate) durable: u64,
}

/// All that was found in a log's directory. Nothing was changed.
#[derive(Default)]
pub(crate) struct Examination {
    pub(crate) groups: BTreeMap<u64, GroupIndex>,
    /// The segments in use that were read, in order; the last may be damaged.
    pub(crate) segments: Vec<SegmentRead>,
    pub(crate) torn: Option<TornTail>,
    pub(crate) spares: Vec<(u64, u64)>,
    /// Files that hold nothing and are in the way.
    pub(crate) discards: Vec<PathBuf>,
    /// All segment files seen, in order.
    pub(crate) files: Vec<u64>,
    /// Those before the oldest segment that is needed: number and length.
    pub(crate) obsolete: Vec<(u64, u64)>,
    /// The carries of the segment that was read last.
    pub(crate) carried: Carries,
    /// The entries to keep, by group.
    keep_tag: Option<u8>,
    tagged: BTreeMap<u64, Vec<Record>>,
}

/// The carries of one segment.
#[derive(Default)]
pub(crate) struct Carries {
    /// The groups that have one.
    pub(crate) groups: BTreeSet<u64>,
    /// Whether all groups of the segments before have one.
    pub(crate) is_complete: bool,
}

/// Why an examination ended early.
pub(crate) enum ExamineError {
    Damaged(Damage),
    Newer {
        segment: u64,
        version: u32,
    },
    Io {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl ExamineError {
    pub(crate) fn into_open_error(self, dir: &Path) -> OpenError {
        let dir = dir.to_path_buf();
        match self {
            ExamineError::Damaged(damage) => OpenError::Damaged { dir, damage },
            ExamineError::Newer { segment, version } => OpenError::NewerFormat {
                dir,
                segment,
                version,
                known: FORMAT_VERSION,
            },
            ExamineError::Io {
                operation,
                path,
                source,
            } => OpenError::Io {
                operation,
                path,
                source,
            },
        }
    }
}

fn damaged(segment: u64, offset: u64, why: Why) -> ExamineError {
    ExamineError::Damaged(Damage {
        segment,
        offset,
        why,
    })
}

/// One segment file and what its first sector says.
struct SegmentFile {
    number: u64,
    path: PathBuf,
    file: Box<dyn File>,
    len: u64,
    header: Result<(SegmentHeader, u32), HeaderSeen>,
}

/// Reads a log and decides what it is. `spare_bytes` is the length that prepared segments must have to
/// be of use. What was read before an error is left in `examination`.
pub(crate) fn examine(
    vfs: &dyn Vfs,
    dir: &Path,
    identity: Identity,
    spare_bytes: Option<u64>,
    examination: &mut Examination,
) -> Result<(), ExamineError> {
    let files = list_files(vfs, dir, examination)?;
    let in_use = judge_files(&files, identity, spare_bytes, examination)?;
    for (position, file) in in_use.iter().enumerate() {
        let next = in_use
            .get(position + 1)
            .and_then(|next| next.header.as_ref().ok());
        read_segment(
            file,
            next.map(|(header, _)| header),
            position == 0,
            examination,
        )?;
    }
    let is_lacking = examination.groups.values().any(GroupIndex::lacks_entries);
    match in_use.first() {
        Some(first) if is_lacking => Err(damaged(first.number - 1, 0, Why::Missing)),
        _ => Ok(()),
    }
}

fn list_files(
    vfs: &dyn Vfs,
    dir: &Path,
    examination: &mut Examination,
) -> Result<Vec<SegmentFile>, ExamineError> {
    let io = |operation, path: &Path| {
        let path = path.to_path_buf();
        move |source| ExamineError::Io {
            operation,
            path,
            source,
        }
    };
    let mut files = Vec::new();
    for name in vfs.list(dir).map_err(io("list", dir))? {
        let path = dir.join(&name);
        let Some(name) = name.to_str() else { continue };
        if name.ends_with(PREPARING_SUFFIX) {
            examination.discards.push(path);
        } else if let Some(number) = segment_number(name) {
            let file = vfs.open_read(&path).map_err(io("open", &path))?;
            let len = file.len().map_err(io("stat", &path))?;
            let header = read_header(file.as_ref()).map_err(io("read", &path))?;
            examination.files.push(number);
            files.push(SegmentFile {
                number,
                path,
                file,
                len,
                header,
            });
        }
    }
    Ok(files)
}

/// Reads the first sector of a segment.
fn read_header(file: &dyn File) -> io::Result<Result<(SegmentHeader, u32), HeaderSeen>> {
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    if file.read_full_at(0, &mut bytes)? < bytes.len() {
        return Ok(Err(HeaderSeen::Short));
    }
    Ok(match SegmentHeader::decode(&bytes) {
        Some(decoded) => Ok(decoded),
        None if is_zeros(&bytes) => Err(HeaderSeen::Zeros),
        None if bytes[bytes.len() - 1] == 0 => Err(HeaderSeen::Partial),
        None => Err(HeaderSeen::Garbage),
    })
}

/// Judges every file that the log still needs, and returns those in use, in order.
fn judge_files<'a>(
    files: &'a [SegmentFile],
    identity: Identity,
    spare_bytes: Option<u64>,
    examination: &mut Examination,
) -> Result<Vec<&'a SegmentFile>, ExamineError> {
    let last_intact = files
        .iter()
        .filter(|file| file.header.is_ok())
        .map(|file| file.number)
        .max();
    let oldest = oldest_needed(files);
    let mut in_use: Vec<&SegmentFile> = Vec::new();
    let mut expected = oldest;
    let mut is_discarding = false;
    for file in files {
        let seen =
            observe_file(file, identity, spare_bytes, last_intact, oldest).map_err(|source| {
                ExamineError::Io {
                    operation: "read",
                    path: file.path.clone(),
                    source,
                }
            })?;
        if !seen.is_obsolete && file.number != expected {
            return Err(damaged(expected, 0, Why::Missing));
        }
        expected = expected.max(file.number.saturating_add(1));
        match judge_file(seen) {
            FileVerdict::Obsolete => examination.obsolete.push((file.number, file.len)),
            FileVerdict::InUse => in_use.push(file),
            // Spares are used in order: one behind a file that is discarded would never be.
            FileVerdict::Spare if is_discarding => examination.discards.push(file.path.clone()),
            FileVerdict::Spare => examination.spares.push((file.number, file.len)),
            FileVerdict::Discard => {
                is_discarding = true;
                examination.discards.push(file.path.clone());
            }
            FileVerdict::Newer => {
                let version = file.header.as_ref().map_or(0, |(header, _)| header.version);
                return Err(ExamineError::Newer {
                    segment: file.number,
                    version,
                });
            }
            FileVerdict::Damaged(why) => return Err(damaged(file.number, 0, why)),
        }
    }
    Ok(in_use)
}

/// The oldest segment that the newest header says is needed.
fn oldest_needed(files: &[SegmentFile]) -> u64 {
    let newest = files.iter().rev().find_map(|file| {
        let (header, _) = file.header.as_ref().ok()?;
        Some(header.oldest.min(file.number))
    });
    newest.unwrap_or(1)
}

fn observe_file(
    file: &SegmentFile,
    identity: Identity,
    spare_bytes: Option<u64>,
    last_intact: Option<u64>,
    oldest: u64,
) -> io::Result<FileSeen> {
    let is_obsolete = file.number < oldest;
    let header = match &file.header {
        Ok((header, _)) if header.version > FORMAT_VERSION => HeaderSeen::Newer,
        Ok((header, _)) if header.identity != identity => HeaderSeen::Foreign,
        Ok((header, _)) if header.segment != file.number => HeaderSeen::Misplaced,
        Ok(_) => HeaderSeen::Own,
        Err(seen) => *seen,
    };
    let length_is_right = match &file.header {
        Ok((header, _)) => header.segment_bytes == file.len && file.len <= SEGMENT_BYTES_MAX,
        Err(_) => spare_bytes.is_none_or(|bytes| bytes == file.len),
    };
    let is_followed = last_intact.is_some_and(|last| last > file.number);
    let rest_is_zeros = is_obsolete || file.header.is_ok() || rest_is_zeros(file)?;
    Ok(FileSeen {
        header,
        length_is_right,
        rest_is_zeros,
        is_followed,
        is_obsolete,
    })
}

fn rest_is_zeros(file: &SegmentFile) -> io::Result<bool> {
    let mut reader = Reader::new(file.file.as_ref(), 0, 0, file.len);
    Ok(reader.content_end()? == reader.offset())
}

/// Reads one segment's records into the examination, and judges where they stop.
fn read_segment(
    file: &SegmentFile,
    next: Option<&SegmentHeader>,
    is_first: bool,
    examination: &mut Examination,
) -> Result<(), ExamineError> {
    let Ok((header, chain)) = file.header else {
        return Err(damaged(file.number, 0, Why::HeaderLost));
    };
    let seed = segment_seed(header.identity, header.segment);
    let mut reader = Reader::new(file.file.as_ref(), seed, chain, header.segment_bytes);
    let io = |source| ExamineError::Io {
        operation: "read",
        path: file.path.clone(),
        source,
    };
    let groups_before = examination.groups.len();
    examination.carried = Carries::default();
    let mut records = 0;
    let stop = loop {
        match reader.look().map_err(io)? {
            Step::Stop(stop) => break stop,
            Step::Record(found) => {
                let body = match examination.wants_body(&found) {
                    true => reader.body(&found).map_err(io)?,
                    false => Bytes::new(),
                };
                if !examination.take_in(&header, is_first, &found, body) {
                    break Stop::Content;
                }
                reader.advance(&found);
                records += 1;
            }
        }
    };
    let carried = &mut examination.carried;
    carried.is_complete = carried.groups.len() >= groups_before;
    let end = reader.offset();
    examination.segments.push(SegmentRead {
        header,
        records,
        end,
        chain: reader.chain(),
        durable: reader.durable(),
    });
    let next = match next {
        None => Next::None,
        Some(next) if next.previous_end == end && next.previous_chain == reader.chain() => {
            Next::Continues
        }
        Some(_) => Next::Contradicts,
    };
    let is_torn_shape = reader.is_torn_shape(stop).map_err(io)?;
    let behind = reader.behind().map_err(io)?;
    match judge_stop(StopSeen {
        stop,
        is_torn_shape,
        behind,
        next,
    }) {
        StopVerdict::Clean => Ok(()),
        StopVerdict::Damaged(why) => Err(damaged(header.segment, end, why)),
        StopVerdict::CutTornTail => {
            debug_assert_ne!(behind, Behind::Zeros, "something is torn");
            let bytes = reader.content_end().map_err(io)? - end;
            examination.torn = Some(TornTail {
                segment: header.segment,
                offset: end,
                bytes,
            });
            Ok(())
        }
    }
}

impl Examination {
    /// One that also keeps the entries with this tag.
    pub(crate) fn keeping(keep_tag: Option<u8>) -> Examination {
        Examination {
            keep_tag,
            ..Examination::default()
        }
    }

    fn wants_body(&self, found: &Found) -> bool {
        match found.kind {
            DiskKind::State | DiskKind::Carry => true,
            DiskKind::Entry => self.keep_tag == Some(found.header.tag),
            DiskKind::Truncate | DiskKind::Base => false,
        }
    }

    /// Takes an intact record into its group. `false` if it cannot stand where it does.
    fn take_in(
        &mut self,
        segment: &SegmentHeader,
        is_first: bool,
        found: &Found,
        body: Bytes,
    ) -> bool {
        let header = &found.header;
        match found.kind {
            DiskKind::Carry => return self.take_carry(segment, is_first, header, &body),
            DiskKind::Base if segment.version < VERSION_WITH_BASES => return false,
            _ => {}
        }
        let group = self.groups.entry(header.group).or_default();
        if group.check(found.kind, header.index).is_err() {
            return false;
        }
        if found.kind == DiskKind::Base && !base_is_true(group, header) {
            return false;
        }
        if self.keep_tag.is_some() {
            self.tagged_keep(found, &body);
        }
        let group = self.groups.entry(header.group).or_default();
        group.apply(segment.segment, found.offset, header, body);
        true
    }

    fn take_carry(
        &mut self,
        segment: &SegmentHeader,
        is_first: bool,
        header: &RecordHeader,
        body: &Bytes,
    ) -> bool {
        let Some(carried) = carried(segment.version, header, body) else {
            return false;
        };
        let has_base = segment.version >= VERSION_WITH_BASES;
        self.carried.groups.insert(header.group);
        match self.groups.get_mut(&header.group) {
            Some(group) => group.agrees(&carried, has_base),
            None if is_first && segment.segment > 1 => {
                let group = self.groups.entry(header.group).or_default();
                group.begin(&carried);
                true
            }
            None => false,
        }
    }

    /// Keeps the entries that are asked for in step with the log.
    fn tagged_keep(&mut self, found: &Found, body: &Bytes) {
        let header = &found.header;
        let tagged = self.tagged.entry(header.group).or_default();
        match found.kind {
            DiskKind::Entry if self.keep_tag == Some(header.tag) => tagged.push(Record::entry(
                header.group,
                header.term,
                header.index,
                header.tag,
                header.stamp,
                body.clone(),
            )),
            DiskKind::Truncate => tagged.retain(|entry| entry.index < header.index),
            DiskKind::Base if header.tag == BASE_EMPTIES => tagged.clear(),
            DiskKind::Base => tagged.retain(|entry| entry.index > header.index),
            DiskKind::Entry | DiskKind::State | DiskKind::Carry => {}
        }
    }
}

/// Whether a base record says what became of the log when it was written.
fn base_is_true(group: &GroupIndex, header: &RecordHeader) -> bool {
    let id = Id {
        term: header.term,
        index: header.index,
    };
    let is_emptied = header.tag == BASE_EMPTIES;
    let is_possible = header.tag <= BASE_EMPTIES && header.body_bytes == 0;
    is_possible && group.holds(id).is_none_or(|is_held| is_held != is_emptied)
}

/// What a carry says, if that can be.
fn carried(version: u32, header: &RecordHeader, body: &Bytes) -> Option<Carried> {
    let last = Id {
        term: header.term,
        index: header.index,
    };
    let has_state = header.tag & CARRY_HAS_STATE != 0;
    let (base, state) = if version < VERSION_WITH_BASES {
        // Where nothing is known of a base, the log begins behind what was carried.
        let base = Base {
            id: last,
            stamp: header.stamp,
        };
        ((last != Id::default()).then_some(base), body.clone())
    } else {
        let (base, state) = CarryBody::decode(body)?;
        let has_base = header.tag & CARRY_HAS_BASE != 0;
        let base = Base {
            id: Id {
                term: base.term,
                index: base.index,
            },
            stamp: base.stamp,
        };
        (has_base.then_some(base), body.slice_ref(state))
    };
    let from = base.map_or(Id::default(), |base| base.id);
    let is_possible = last.index != u64::MAX
        && header.tag <= CARRY_HAS_STATE | CARRY_HAS_BASE
        && (from == last || base.is_some() && from.index < last.index)
        && (has_state || state.is_empty());
    is_possible.then_some(Carried {
        base,
        last,
        stamp: header.stamp,
        state: has_state.then_some(state),
    })
}

/// What is left to do on disk after an examination, and the log's open end.
pub(crate) struct Opened {
    pub(crate) writer: Option<Writer>,
    pub(crate) spares: VecDeque<crate::reserve::Spare>,
    pub(crate) next: u64,
    pub(crate) segments: Segments,
}

/// Removes what holds nothing, cuts a torn tail, and makes durable what was read.
pub(crate) fn repair(
    vfs: &Arc<dyn Vfs>,
    dir: &Path,
    examination: &Examination,
) -> Result<Opened, OpenError> {
    // From the highest number down, each made durable alone: no crash leaves a gap in the numbers.
    for path in examination.discards.iter().rev() {
        vfs.remove(path).map_err(failed("remove", path))?;
        vfs.sync_dir(dir).map_err(failed("sync", dir))?;
    }
    let mut spares = VecDeque::new();
    for (segment, segment_bytes) in &examination.spares {
        let path = dir.join(segment_name(*segment));
        let file = vfs.open(&path).map_err(failed("open", &path))?;
        let (segment, segment_bytes) = (*segment, *segment_bytes);
        spares.push_back(crate::reserve::Spare {
            file,
            segment,
            segment_bytes,
            zeroed: segment_bytes,
        });
    }
    let last_in_use = examination.segments.last();
    let next = last_in_use
        .map_or(1, |last| last.header.segment.saturating_add(1))
        .saturating_add(spares.len() as u64);
    let segments = Segments {
        oldest: last_in_use.map_or(1, |last| last.header.oldest),
        closed: examination.closed(),
        obsolete: examination.obsolete.iter().copied().collect(),
    };
    let writer = match last_in_use {
        Some(last) => Some(reopen_last(vfs.as_ref(), dir, last, examination.torn)?),
        None => None,
    };
    vfs.sync_dir(dir).map_err(failed("sync", dir))?;
    Ok(Opened {
        writer,
        spares,
        next,
        segments,
    })
}

/// Opens the last segment for writing.
///
/// What no later record proves to be durable is written once more and synced, before anybody hears of
/// it. The process that wrote it may have died before its sync, or its sync may have failed: then
/// the kernel holds pages that it believes are clean, the disk does not have them, and a sync alone
/// would report success (Rebello et al., USENIX ATC 2020).
fn reopen_last(
    vfs: &dyn Vfs,
    dir: &Path,
    last: &SegmentRead,
    torn: Option<TornTail>,
) -> Result<Writer, OpenError> {
    let header = last.header;
    let path = dir.join(segment_name(header.segment));
    let mut file = vfs.open(&path).map_err(failed("open", &path))?;
    let unproven = if last.records == 0 { 0 } else { last.durable };
    rewrite(file.as_mut(), unproven, last.end).map_err(failed("rewrite", &path))?;
    if let Some(torn) = torn
        && !buggify::canary(Canary::TornTailLeftInPlace)
    {
        write_zeros(file.as_mut(), torn.offset, torn.bytes).map_err(failed("cut", &path))?;
    }
    file.sync_data().map_err(failed("sync", &path))?;
    Ok(Writer {
        file,
        segment: header.segment,
        version: header.version,
        segment_bytes: header.segment_bytes,
        seed: segment_seed(header.identity, header.segment),
        end: last.end,
        chain: last.chain,
        durable: last.end,
        zeroed: header.segment_bytes,
    })
}

fn rewrite(file: &mut dyn File, mut from: u64, end: u64) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    while from < end {
        let len = (end - from).min(buffer.len() as u64) as usize;
        if file.read_full_at(from, &mut buffer[..len])? < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.write_all_at(from, &buffer[..len])?;
        from += len as u64;
    }
    Ok(())
}

/// Wraps an I/O error with what was being done to what.
pub(crate) fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_path_buf();
    move |source| OpenError::Io {
        operation,
        path,
        source,
    }
}

impl Examination {
    /// One that found nothing worth keeping in these segments.
    pub(crate) fn discarding(dir: &Path, segments: &[u64]) -> Examination {
        Examination {
            discards: segments
                .iter()
                .map(|&n| dir.join(segment_name(n)))
                .collect(),
            ..Examination::default()
        }
    }

    /// The segments before the last one in use.
    fn closed(&self) -> VecDeque<Closed> {
        let before_last = self.segments.len().saturating_sub(1);
        let closed = self.segments[..before_last].iter().map(|read| Closed {
            segment: read.header.segment,
            version: read.header.version,
            segment_bytes: read.header.segment_bytes,
            end: read.end,
            chain: read.chain,
        });
        closed.collect()
    }

    /// The examination's outcome as callers see it.
    pub(crate) fn recovery(&self) -> Recovery {
        let groups = self.groups.iter().map(|(group, index)| {
            let last = index.last();
            let log = GroupLog {
                state: index.state().cloned(),
                base: (index.base().id.term, index.base().id.index),
                first: index.first(),
                last: (last.term, last.index),
                term_runs: index.term_runs().to_vec(),
                last_stamp: index.last_stamp(),
                bytes: index.bytes(),
                tagged: self.tagged.get(group).cloned().unwrap_or_default(),
            };
            (*group, log)
        });
        Recovery {
            groups: groups.collect(),
            torn_bytes_cut: self.torn,
            segments: self.segments.len() as u64,
            records: self.segments.iter().map(|segment| segment.records).sum(),
            is_new: self.segments.is_empty(),
        }
    }
}
