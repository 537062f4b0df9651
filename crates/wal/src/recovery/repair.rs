//! What a start changes on disk: it removes what holds nothing, cuts a torn tail, and makes durable what
//! was read.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;

use buggify::Canary;
use vfs::{File, Vfs};

use crate::OpenError;
use crate::format::{segment_name, segment_seed};
use crate::recovery::{Examination, SegmentRead, TornTail, failed};
use crate::remove::Segments;
use crate::reserve::Spare;
use crate::segment::writer::{Writer, write_zeros};

/// What is left to do on disk after an examination, and the log's open end.
pub(crate) struct Opened {
    pub(crate) writer: Option<Writer>,
    pub(crate) spares: VecDeque<Spare>,
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
        spares.push_back(Spare {
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
        oldest: last_in_use.map_or(1, |_| examination.oldest),
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
