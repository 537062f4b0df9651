//! Reading what is durable again and again, so that damage is found while the other nodes still have
//! what was damaged, and not at the next start.
//!
//! A step reads one bounded piece and compares it with its checksums, as a start would. It goes
//! through the segments that a start would read, from the oldest to the durable part of the one
//! being written, and then begins again. A record may be larger than a piece: the checksum of its
//! body is carried from piece to piece.
//!
//! Complete segments are read from the disk, not from what the kernel remembers of it, as far as it
//! heeds the wish; of the one being written the newest part may come from memory.

use vfs::File;

use crate::format::{
    DiskKind, END_MARK, RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES, SegmentHeader,
    record_bytes, segment_name, segment_seed,
};
use crate::log::Wal;
use crate::segment::reader::is_zeros;
use crate::{Damage, WalError, Why};

/// No more than this is read at once.
const PIECE_BYTES_MAX: u64 = 256 << 10;
/// No less is read, so that every step comes further.
const PIECE_BYTES_MIN: u64 = 4096;

/// What a step of [`Wal::scrub_next`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScrubStep {
    /// The segment that was read last.
    pub segment: u64,
    /// Everything in it before this offset is checked.
    pub offset: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Whether the end of the log was reached: the next step begins with the oldest segment again.
    pub is_pass_complete: bool,
}

/// How far the scrub has come.
pub(crate) struct Cursor {
    segment: u64,
    /// The file, unless it is the one being written.
    file: Option<Box<dyn File>>,
    seed: u32,
    /// The next byte to check.
    offset: u64,
    /// The chain value at the end of the last record that was checked.
    chain: u32,
    /// The record that the offset is inside of.
    open: Option<OpenRecord>,
}

/// A record of which a part was checked.
struct OpenRecord {
    start: u64,
    header: RecordHeader,
    /// The chain value behind it.
    chain: u32,
    /// The checksum of its body so far.
    body_checksum: u32,
}

/// What must be found in a segment.
struct Expected {
    /// Where the records to check end.
    records_end: u64,
    /// The chain value there, if it is known.
    chain: Option<u32>,
    /// Behind the records there are zeros up to here.
    zeros_end: u64,
    /// Where the segment before ends, and the chain value there, if it is known.
    previous: Option<(u64, u32)>,
}

impl Wal {
    /// Reads the next piece of what is durable, at most `bytes_max` bytes (but at least 4096, and at most
    /// 256 KiB), and checks it. Keeps its place from call to call, also while segments are begun
    /// and removed.
    ///
    /// [`WalError::Damaged`] says what does not match; the log goes on, but whoever calls this
    /// must not: a node that finds its log damaged stops. The same place is checked again by the next
    /// call. [`WalError::Read`] means that the disk cannot read what it has.
    pub fn scrub_next(&mut self, bytes_max: u64) -> Result<ScrubStep, WalError> {
        self.check_latch()?;
        let mut cursor = match self.scrub.take() {
            Some(cursor) if self.is_in_use(cursor.segment) => cursor,
            _ => self.cursor_at(self.oldest_in_use()),
        };
        let result = self.scrub_piece(&mut cursor, bytes_max);
        if !matches!(&result, Ok(step) if step.is_pass_complete) {
            self.scrub = Some(cursor);
        }
        result
    }

    fn scrub_piece(&self, cursor: &mut Cursor, bytes_max: u64) -> Result<ScrubStep, WalError> {
        let mut expected = self.expected_in(cursor.segment);
        while cursor.offset >= expected.zeros_end && cursor.segment != self.writer.segment {
            *cursor = self.cursor_at(cursor.segment + 1);
            expected = self.expected_in(cursor.segment);
        }
        let len = (expected.zeros_end - cursor.offset)
            .min(bytes_max.clamp(PIECE_BYTES_MIN, PIECE_BYTES_MAX));
        let bytes = self.scrub_read(cursor, len)?;
        let segment = cursor.segment;
        let damaged = |(offset, why)| {
            WalError::Damaged(Damage {
                segment,
                offset,
                why,
            })
        };
        let mut rest = bytes.as_slice();
        if cursor.offset == 0 {
            let (header, records) = rest.split_at(SEGMENT_HEADER_BYTES.min(rest.len()));
            let chain = self.check_header(segment, header, &expected);
            cursor.chain = chain.map_err(|why| damaged((0, why)))?;
            cursor.offset = SEGMENT_HEADER_BYTES as u64;
            rest = records;
        }
        cursor.check_records(rest, &expected).map_err(damaged)?;
        let is_last = cursor.segment == self.writer.segment;
        Ok(ScrubStep {
            segment: cursor.segment,
            offset: cursor.offset,
            bytes: bytes.len() as u64,
            is_pass_complete: is_last && cursor.offset >= expected.zeros_end,
        })
    }

    fn is_in_use(&self, segment: u64) -> bool {
        (self.oldest_in_use()..=self.writer.segment).contains(&segment)
    }

    fn oldest_in_use(&self) -> u64 {
        let closed = self.segments.closed.front();
        closed.map_or(self.writer.segment, |closed| closed.segment)
    }

    fn cursor_at(&self, segment: u64) -> Cursor {
        Cursor {
            segment,
            file: None,
            seed: segment_seed(self.identity, segment),
            offset: 0,
            chain: 0,
            open: None,
        }
    }

    fn expected_in(&self, segment: u64) -> Expected {
        let closed = |segment: u64| {
            let all = self.segments.closed.iter();
            all.rev().find(|closed| closed.segment == segment)
        };
        let previous = closed(segment - 1).map(|closed| (closed.end, closed.chain));
        match closed(segment) {
            Some(closed) => Expected {
                records_end: closed.end,
                chain: Some(closed.chain),
                zeros_end: closed.segment_bytes,
                previous,
            },
            None => Expected {
                records_end: self.writer.durable,
                chain: None,
                zeros_end: self.writer.durable,
                previous,
            },
        }
    }

    fn scrub_read(&self, cursor: &mut Cursor, len: u64) -> Result<Vec<u8>, WalError> {
        let (segment, offset) = (cursor.segment, cursor.offset);
        let failed = |source| WalError::Read {
            segment,
            offset,
            source,
        };
        let mut bytes = vec![0; len as usize];
        let file = if segment == self.writer.segment {
            self.writer.file.as_ref()
        } else {
            if cursor.file.is_none() {
                let path = self.dir.join(segment_name(segment));
                cursor.file = Some(self.vfs.open_read(&path).map_err(failed)?);
            }
            let file = cursor.file.as_deref().expect("it was just opened");
            file.forget_cached(offset, len).map_err(failed)?;
            file
        };
        let read = file.read_full_at(offset, &mut bytes).map_err(failed)?;
        if read < bytes.len() {
            let why = Why::Length;
            return Err(WalError::Damaged(Damage {
                segment,
                offset: offset + read as u64,
                why,
            }));
        }
        Ok(bytes)
    }

    /// The chain value that a segment's header gives its first record.
    fn check_header(&self, segment: u64, bytes: &[u8], expected: &Expected) -> Result<u32, Why> {
        let bytes = bytes.try_into().map_err(|_| Why::Length)?;
        let (header, chain) = SegmentHeader::decode(bytes).ok_or(Why::HeaderLost)?;
        if header.identity != self.identity {
            return Err(Why::Foreign);
        }
        if header.segment != segment {
            return Err(Why::Misplaced);
        }
        match expected.previous {
            Some(previous) if previous != (header.previous_end, header.previous_chain) => {
                Err(Why::NextContradicts)
            }
            _ => Ok(chain),
        }
    }
}

impl Cursor {
    /// Checks bytes that stand at the offset, and moves it behind what was checked.
    fn check_records(&mut self, mut bytes: &[u8], expected: &Expected) -> Result<(), (u64, Why)> {
        while self.offset < expected.records_end {
            let passed = match self.open.take() {
                Some(open) => self.check_body(open, bytes)?,
                None if bytes.len() < RECORD_HEADER_BYTES => return Ok(()),
                None => self.check_header(bytes, expected.records_end)?,
            };
            if passed == 0 {
                return Ok(());
            }
            bytes = &bytes[passed..];
        }
        if expected.chain.is_some_and(|chain| chain != self.chain) {
            return Err((self.offset, Why::RecordChain));
        }
        if !is_zeros(bytes) {
            return Err((self.offset, Why::BytesBehindEnd));
        }
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Checks the header of the record that begins at the offset.
    fn check_header(&mut self, bytes: &[u8], records_end: u64) -> Result<usize, (u64, Why)> {
        let start = self.offset;
        let damaged = |why| (start, why);
        let bytes: &[u8; RECORD_HEADER_BYTES] =
            bytes.first_chunk().ok_or(damaged(Why::RecordHeader))?;
        if is_zeros(bytes) {
            return Err(damaged(Why::RecordLost));
        }
        let (header, chain) =
            RecordHeader::decode(bytes, self.seed, start).ok_or(damaged(Why::RecordHeader))?;
        if header.previous != self.chain {
            return Err(damaged(Why::RecordChain));
        }
        let end = start + record_bytes(u64::from(header.body_bytes));
        if DiskKind::from_number(header.kind).is_none() || end > records_end {
            return Err(damaged(Why::RecordContent));
        }
        self.offset += RECORD_HEADER_BYTES as u64;
        self.open = Some(OpenRecord {
            start,
            header,
            chain,
            body_checksum: 0,
        });
        Ok(RECORD_HEADER_BYTES)
    }

    /// Checks what is there of the body of a record, and of the marks behind it.
    fn check_body(&mut self, mut open: OpenRecord, bytes: &[u8]) -> Result<usize, (u64, Why)> {
        let body_bytes = u64::from(open.header.body_bytes);
        let body_end = open.start + RECORD_HEADER_BYTES as u64 + body_bytes;
        let end = open.start + record_bytes(body_bytes);
        let here = bytes.len().min((end - self.offset) as usize);
        let in_body = body_end.saturating_sub(self.offset).min(here as u64) as usize;
        let (body, marks) = bytes[..here].split_at(in_body);
        open.body_checksum = crc32c::crc32c_append(open.body_checksum, body);
        self.offset += here as u64;
        let is_whole = self.offset == end;
        let is_intact = marks.iter().all(|byte| *byte == END_MARK)
            && (!is_whole || open.body_checksum == open.header.body_checksum);
        if !is_intact {
            // Checked again from its beginning, should anybody ask again.
            self.offset = open.start;
            return Err((open.start, Why::RecordBody));
        }
        if is_whole {
            self.chain = open.chain;
        } else {
            self.open = Some(open);
        }
        Ok(here)
    }
}
