//! Reading a log back: the facts are collected here, the decisions are made in `decision`.

mod files;
mod repair;
mod take_in;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use vfs::Vfs;

use crate::decision::{Behind, Next, Stop, StopSeen, StopVerdict, judge_stop};
use crate::format::{FORMAT_VERSION, SegmentHeader, segment_name, segment_seed};
use crate::index::GroupIndex;
use crate::oldest::{self, OLDEST_NAME};
use crate::recovery::files::{SegmentFile, judge_files, list_files, oldest_needed};
pub(crate) use crate::recovery::repair::repair;
use crate::remove::Closed;
use crate::segment::reader::{Reader, Step};
use crate::{Damage, Identity, OpenError, Record, Why};

/// How finely the places of entries are told: see [`GroupLog::places`].
const PLACES_PER_SEGMENT: u64 = 16;

/// What a log held when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The groups that have anything in the log.
    pub groups: BTreeMap<u64, GroupLog>,
    /// The torn write that was cut off, if there was one.
    pub torn_bytes_cut: Option<TornTail>,
    /// Segments that were prepared and not used, and of which bytes have changed since: they are removed and
    /// prepared anew. Nothing is lost by it, but the disk is worth a look.
    pub rotten_spares: Vec<u64>,
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
    /// Where some of the entries held are, in order: an index, and the bytes that the log's segments have
    /// from its record on to the end of the log. The first entry of each segment is among them, and
    /// enough others that a sixteenth of a segment is the most between two of them and a record.
    pub places: Vec<(u64, u64)>,
    /// Of the entries held, those with one of [`crate::Options::keep_tags`] as their tag, in order.
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
    /// Of the files to discard, the segments that have changed since they were prepared.
    pub(crate) rotten_spares: Vec<u64>,
    /// Files that hold nothing and are in the way.
    pub(crate) discards: Vec<PathBuf>,
    /// The oldest segment that is needed.
    pub(crate) oldest: u64,
    /// All segment files seen, in order.
    pub(crate) files: Vec<u64>,
    /// Those before the oldest segment that is needed: number and length.
    pub(crate) obsolete: Vec<(u64, u64)>,
    /// The carries of the segment that was read last.
    pub(crate) carried: Carries,
    /// The entries to keep, by group.
    keep_tags: &'static [u8],
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
    let said = oldest::read(vfs, dir, identity).map_err(|source| ExamineError::Io {
        operation: "read",
        path: dir.join(OLDEST_NAME),
        source,
    })?;
    examination.oldest = oldest_needed(&files, said);
    let in_use = judge_files(&files, identity, spare_bytes, examination)?;
    if let (Some(segment), []) = (said, in_use.as_slice()) {
        return Err(damaged(segment, 0, Why::Missing));
    }
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

    /// See [`GroupLog::places`].
    fn places(&self, index: &GroupIndex) -> Vec<(u64, u64)> {
        let mut places = Vec::new();
        let mut behind = 0;
        let mut ends = BTreeMap::new();
        for (position, read) in self.segments.iter().rev().enumerate() {
            let is_last = position == 0;
            let bytes = if is_last {
                read.end
            } else {
                read.header.segment_bytes
            };
            behind += bytes;
            ends.insert(read.header.segment, (behind, bytes / PLACES_PER_SEGMENT));
        }
        let mut before: Option<(u64, u64)> = None;
        for (entry, segment, offset) in index.places() {
            let is_apart = |(other, at): (u64, u64), apart| other != segment || offset - at > apart;
            if let Some(&(behind, apart)) = ends.get(&segment)
                && before.is_none_or(|before| is_apart(before, apart))
            {
                places.push((entry, behind - offset));
                before = Some((segment, offset));
            }
        }
        places
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
                places: self.places(index),
                tagged: self.tagged.get(group).cloned().unwrap_or_default(),
            };
            (*group, log)
        });
        Recovery {
            groups: groups.collect(),
            torn_bytes_cut: self.torn,
            rotten_spares: self.rotten_spares.clone(),
            segments: self.segments.len() as u64,
            records: self.segments.iter().map(|segment| segment.records).sum(),
            is_new: self.segments.is_empty(),
        }
    }
}
