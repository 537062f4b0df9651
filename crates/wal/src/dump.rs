//! Showing what is in a log, record by record: `quorate wal dump`.

use std::fmt;
use std::path::Path;

use bytes::Bytes;
use vfs::Vfs;

use crate::decision::{Behind, Stop};
use crate::format::{DiskKind, SegmentHeader, segment_number, segment_seed};
use crate::oldest::{self, OLDEST_NAME};
use crate::segment::reader::{Reader, Step};
use crate::verify::{OfflineError, log_dir, read_segment_header};

/// As much of a body as a line shows.
const PREVIEW_BYTES: usize = 32;

/// One thing found in a log. `Display` is the line that the tool prints.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DumpLine {
    /// A segment begins.
    Segment(SegmentHeader),
    /// A segment file without an intact header: prepared and not used, or damaged.
    Headless {
        /// Its number.
        segment: u64,
    },
    /// An intact record.
    Record(DumpRecord),
    /// `OLDEST` says so.
    Oldest {
        /// The oldest segment that is needed.
        segment: u64,
    },
    /// The records of a segment end, or stop being intact.
    Stop {
        /// The segment.
        segment: u64,
        /// Where.
        offset: u64,
        /// What stands there.
        stop: Stop,
        /// What stands behind.
        behind: Behind,
    },
}

/// An intact record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpRecord {
    /// The segment.
    pub segment: u64,
    /// Where it begins.
    pub offset: u64,
    /// What it does.
    pub kind: DiskKind,
    /// The group.
    pub group: u64,
    /// The term.
    pub term: u64,
    /// The index.
    pub index: u64,
    /// The tag.
    pub tag: u8,
    /// The stamp.
    pub stamp: u64,
    /// What was durable when it was written.
    pub durable: u32,
    /// The length of the body.
    pub body_bytes: u32,
    /// The first bytes of the body.
    pub preview: Bytes,
    /// Whether it follows the record printed before; not so behind a damaged place.
    pub is_chained: bool,
}

/// Calls `line` with everything found in a log, in order. Judges nothing and stops at nothing: behind a
/// damaged place it goes on with the next record that is intact in itself.
///
/// `path` is a data directory or the `wal` directory in one. Memory is bounded by a chunk of a file.
pub fn dump(
    vfs: &dyn Vfs,
    path: &Path,
    line: &mut dyn FnMut(DumpLine),
) -> Result<(), OfflineError> {
    let dir = log_dir(vfs, path)?;
    let io = |operation, path: &Path| {
        let path = path.to_path_buf();
        move |source| OfflineError::Io {
            operation,
            path,
            source,
        }
    };
    let mut identity = None;
    for name in vfs.list(&dir).map_err(io("list", &dir))? {
        let Some(segment) = name.to_str().and_then(segment_number) else {
            continue;
        };
        let path = dir.join(&name);
        match read_segment_header(vfs, &path).map_err(io("read", &path))? {
            None => line(DumpLine::Headless { segment }),
            Some((header, chain)) => {
                line(DumpLine::Segment(header));
                identity = Some(header.identity);
                dump_segment(vfs, &path, segment, &header, chain, line)
                    .map_err(io("read", &path))?;
            }
        }
    }
    if let Some(identity) = identity {
        let path = dir.join(OLDEST_NAME);
        let oldest = oldest::read(vfs, &dir, identity).map_err(io("read", &path))?;
        if let Some(segment) = oldest {
            line(DumpLine::Oldest { segment });
        }
    }
    Ok(())
}

fn dump_segment(
    vfs: &dyn Vfs,
    path: &Path,
    segment: u64,
    header: &SegmentHeader,
    chain: u32,
    line: &mut dyn FnMut(DumpLine),
) -> std::io::Result<()> {
    let file = vfs.open_read(path)?;
    let seed = segment_seed(header.identity, header.segment);
    let segment_bytes = header.segment_bytes.min(file.len()?);
    let mut reader = Reader::new(file.as_ref(), seed, chain, segment_bytes);
    let mut is_chained = true;
    loop {
        match reader.look()? {
            Step::Record(found) => {
                let record = found.header;
                let preview = reader.body_start(&found, PREVIEW_BYTES)?;
                line(DumpLine::Record(DumpRecord {
                    segment,
                    offset: found.offset,
                    kind: found.kind,
                    group: record.group,
                    term: record.term,
                    index: record.index,
                    tag: record.tag,
                    stamp: record.stamp,
                    durable: record.durable,
                    body_bytes: record.body_bytes,
                    preview,
                    is_chained,
                }));
                is_chained = true;
                reader.advance(&found);
            }
            Step::Stop(stop) => {
                let offset = reader.offset();
                let behind = reader.skip_to_intact()?;
                line(DumpLine::Stop {
                    segment,
                    offset,
                    stop,
                    behind,
                });
                is_chained = false;
                if behind != Behind::Records {
                    return Ok(());
                }
            }
        }
    }
}

impl fmt::Display for DumpLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DumpLine::Segment(header) => write!(
                formatter,
                "segment {} format {} cluster {:016x} node {} bytes {} oldest {} after {}@{:08x}",
                header.segment,
                header.version,
                header.identity.cluster,
                header.identity.node,
                header.segment_bytes,
                header.oldest,
                header.previous_end,
                header.previous_chain
            ),
            DumpLine::Headless { segment } => write!(formatter, "segment {segment} has no header"),
            DumpLine::Oldest { segment } => write!(
                formatter,
                "{OLDEST_NAME}: segments before {segment} are not needed"
            ),
            DumpLine::Record(record) => write!(formatter, "{record}"),
            DumpLine::Stop {
                segment,
                offset,
                stop,
                behind,
            } => match (stop, behind) {
                (Stop::End | Stop::Zeros, Behind::Zeros) => {
                    write!(formatter, "segment {segment} ends at {offset}")
                }
                _ => write!(
                    formatter,
                    "segment {segment} STOPS at {offset}: {stop:?} stands there, {behind:?} behind"
                ),
            },
        }
    }
}

impl fmt::Display for DumpRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            DiskKind::Entry => "entry",
            DiskKind::Truncate => "truncate",
            DiskKind::State => "state",
            DiskKind::Carry => "carry",
            DiskKind::Base => "base",
        };
        write!(
            formatter,
            "{}:{} {kind} group {} ({}, {}) tag {} stamp {} durable {} body {}",
            self.segment,
            self.offset,
            self.group,
            self.term,
            self.index,
            self.tag,
            self.stamp,
            self.durable,
            self.body_bytes
        )?;
        if !self.preview.is_empty() {
            write!(formatter, " \"{}\"", self.preview.escape_ascii())?;
        }
        if self.preview.len() < self.body_bytes as usize {
            formatter.write_str("...")?;
        }
        if self.is_chained {
            Ok(())
        } else {
            formatter.write_str(" (behind damage)")
        }
    }
}
