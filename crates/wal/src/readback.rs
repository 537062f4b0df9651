//! Reading entries back, for followers that lag and for applying again after a restart.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use buggify::{Canary, Point};
use bytes::Bytes;
use vfs::{File, Vfs};

use crate::format::{DiskKind, RECORD_HEADER_BYTES, RecordHeader, segment_name, segment_seed};
use crate::index::{GroupIndex, Spot, Wanted};
use crate::segment::writer::Writer;
use crate::{Damage, Identity, Record, RecordKind, WalError, Why};

/// Files of older segments kept open.
const READERS_MAX: usize = 8;
/// Entries of one segment are read by one call if no more than this lies between them: what other
/// groups wrote meanwhile is read along and skipped.
const GAP_BYTES_MAX: u64 = 4096;

/// Reads entries from whatever segment they are in.
pub(crate) struct Readback {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    identity: Identity,
    /// The segments read last. Behind a cell, because reading changes nothing that a caller can see.
    open: RefCell<Vec<(u64, Box<dyn File>)>>,
}

impl Readback {
    pub(crate) fn new(vfs: Arc<dyn Vfs>, dir: &Path, identity: Identity) -> Readback {
        Readback {
            vfs,
            dir: dir.to_path_buf(),
            identity,
            open: RefCell::default(),
        }
    }

    /// Reads and checks the wanted entries of a group, which are in order. `writer` has the segment that is
    /// being written.
    pub(crate) fn read(
        &self,
        writer: &Writer,
        group: u64,
        index: &GroupIndex,
        wanted: &[Wanted],
    ) -> Result<Vec<Record>, WalError> {
        let mut records = Vec::with_capacity(wanted.len());
        let stretches = wanted.chunk_by(|entry, next| {
            entry.segment == next.segment
                && u64::from(next.spot.offset) - entry.spot.end() <= GAP_BYTES_MAX
        });
        for stretch in stretches {
            self.read_stretch(writer, group, index, stretch, &mut records)?;
        }
        Ok(records)
    }

    /// Keeps a file open that will probably be read.
    pub(crate) fn keep(&self, segment: u64, file: Box<dyn File>) {
        let mut open = self.open.borrow_mut();
        if buggify::point(Point::ReadersClosed) {
            open.clear();
        }
        if open.len() == READERS_MAX {
            open.remove(0);
        }
        open.push((segment, file));
    }

    /// Closes the file of a segment that is removed, so that its space is free.
    pub(crate) fn forget(&self, segment: u64) {
        self.open.borrow_mut().retain(|(open, _)| *open != segment);
    }

    /// Reads entries that are close to each other by one call. Their bodies share its buffer.
    fn read_stretch(
        &self,
        writer: &Writer,
        group: u64,
        index: &GroupIndex,
        stretch: &[Wanted],
        records: &mut Vec<Record>,
    ) -> Result<(), WalError> {
        let (Some(first), Some(last)) = (stretch.first(), stretch.last()) else {
            return Ok(());
        };
        let segment = first.segment;
        let start = u64::from(first.spot.offset);
        let mut bytes = vec![0; (last.spot.end() - start) as usize];
        let read = self.read_at(writer, segment, start, &mut bytes)?;
        bytes.truncate(read);
        let bytes = Bytes::from(bytes);
        let seed = segment_seed(self.identity, segment);
        for entry in stretch {
            let record = entry_in(&bytes, start, &entry.spot, seed).filter(|record| {
                (record.group, record.index) == (group, entry.index)
                    && Some(record.term) == index.term_at(entry.index)
            });
            let offset = u64::from(entry.spot.offset);
            let damage = Damage {
                segment,
                offset,
                why: Why::RecordBody,
            };
            records.push(record.ok_or(WalError::Damaged(damage))?);
        }
        Ok(())
    }

    fn read_at(
        &self,
        writer: &Writer,
        segment: u64,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, WalError> {
        let failed = |source| WalError::Read {
            segment,
            offset,
            source,
        };
        if segment == writer.segment {
            return writer.file.read_full_at(offset, buffer).map_err(failed);
        }
        let is_open = self
            .open
            .borrow()
            .iter()
            .any(|(number, _)| *number == segment);
        if !is_open {
            let path = self.dir.join(segment_name(segment));
            self.keep(segment, self.vfs.open_read(&path).map_err(failed)?);
        }
        let open = self.open.borrow();
        let (_, file) = open
            .iter()
            .find(|(number, _)| *number == segment)
            .expect("it was just opened");
        file.read_full_at(offset, buffer).map_err(failed)
    }
}

/// The entry at `spot` in bytes that begin at offset `start`, if it is intact.
fn entry_in(bytes: &Bytes, start: u64, spot: &Spot, seed: u32) -> Option<Record> {
    let offset = u64::from(spot.offset);
    let at = usize::try_from(offset - start).ok()?;
    let header = bytes.get(at..at + RECORD_HEADER_BYTES)?.try_into().ok()?;
    let (header, _): (RecordHeader, u32) = RecordHeader::decode(header, seed, offset)?;
    let body_at = at + RECORD_HEADER_BYTES;
    let body_end = body_at + header.body_bytes as usize;
    let is_entry = header.kind == DiskKind::Entry as u8 && header.body_bytes == spot.body_bytes;
    if !is_entry || body_end > bytes.len() {
        return None;
    }
    let body = bytes.slice(body_at..body_end);
    let is_intact = crc32c::crc32c(&body) == header.body_checksum
        || buggify::canary(Canary::ChecksumNotCompared);
    is_intact.then_some(Record {
        kind: RecordKind::Entry,
        group: header.group,
        term: header.term,
        index: header.index,
        tag: header.tag,
        stamp: header.stamp,
        body,
    })
}
