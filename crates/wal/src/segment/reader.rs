//! Reading a segment's records in order, and judging the place where they stop.

use std::io;

use buggify::Canary;
use bytes::Bytes;
use vfs::{File, SECTOR_BYTES};

use crate::decision::{Behind, Stop};
use crate::format::{
    DiskKind, END_MARK, RECORD_ALIGN_BYTES, RECORD_HEADER_BYTES, RecordHeader,
    SEGMENT_HEADER_BYTES, padding_bytes, record_bytes,
};

/// How much is read at once. Memory is bounded by it: bodies are checked piece by piece.
const CHUNK_BYTES: usize = 256 << 10;

/// A part of a file in memory, read ahead.
struct Window<'a> {
    file: &'a dyn File,
    /// No more than this is read at once: the chunk, or less if the file is smaller.
    ahead: usize,
    start: u64,
    /// What was read from `start` on is the first `filled` bytes.
    bytes: Vec<u8>,
    filled: usize,
}

impl Window<'_> {
    /// Up to `len` bytes from `offset` on; fewer where the file ends.
    fn at(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        if offset < self.start || offset + len as u64 > self.start + self.filled as u64 {
            if self.bytes.len() < self.ahead.max(len) {
                self.bytes = vec![0; self.ahead.max(len)];
            }
            self.filled = self.file.read_full_at(offset, &mut self.bytes)?;
            self.start = offset;
        }
        let from = (offset - self.start) as usize;
        Ok(&self.bytes[from..self.filled.min(from + len)])
    }
}

/// A record that is intact and follows the one before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) offset: u64,
    pub(crate) kind: DiskKind,
    pub(crate) header: RecordHeader,
}

/// What stands at the current offset.
pub(crate) enum Step {
    Record(Found),
    Stop(Stop),
}

/// Walks the records of one segment.
pub(crate) struct Reader<'a> {
    window: Window<'a>,
    seed: u32,
    segment_bytes: u64,
    offset: u64,
    chain: u32,
    durable: u64,
}

impl<'a> Reader<'a> {
    /// Begins at the first record. `chain` is the checksum of the segment's header.
    pub(crate) fn new(file: &'a dyn File, seed: u32, chain: u32, segment_bytes: u64) -> Reader<'a> {
        Reader {
            window: Window {
                file,
                ahead: CHUNK_BYTES.min(usize::try_from(segment_bytes).unwrap_or(CHUNK_BYTES)),
                start: 0,
                bytes: Vec::new(),
                filled: 0,
            },
            seed,
            segment_bytes,
            offset: SEGMENT_HEADER_BYTES as u64,
            chain,
            durable: SEGMENT_HEADER_BYTES as u64,
        }
    }

    /// Where the next record begins, or the walk stopped.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The chain value there.
    pub(crate) fn chain(&self) -> u32 {
        self.chain
    }

    /// The highest offset that a record read so far proves to be durable.
    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    /// Checks the record at the current offset. Does not move; see [`Reader::advance`].
    pub(crate) fn look(&mut self) -> io::Result<Step> {
        let offset = self.offset;
        if self.segment_bytes.saturating_sub(offset) < record_bytes(0) {
            return Ok(Step::Stop(Stop::End));
        }
        let Some(bytes) = self.header_bytes(offset)? else {
            return Ok(Step::Stop(Stop::End));
        };
        if bytes == [0; RECORD_HEADER_BYTES] {
            return Ok(Step::Stop(Stop::Zeros));
        }
        let Some((header, _)) = RecordHeader::decode(&bytes, self.seed, offset) else {
            return Ok(Step::Stop(Stop::Header));
        };
        if header.previous != self.chain {
            return Ok(Step::Stop(Stop::Chain));
        }
        let end = offset + record_bytes(u64::from(header.body_bytes));
        let kind = DiskKind::from_number(header.kind);
        let (Some(kind), true) = (
            kind,
            end <= self.segment_bytes && u64::from(header.durable) <= offset,
        ) else {
            return Ok(Step::Stop(Stop::Content));
        };
        if !self.body_is_intact(offset, &header)? {
            return Ok(Step::Stop(Stop::Body));
        }
        Ok(Step::Record(Found {
            offset,
            kind,
            header,
        }))
    }

    /// Moves behind a record that [`Reader::look`] found.
    pub(crate) fn advance(&mut self, found: &Found) {
        let (_, checksum) = found.header.encode(self.seed, found.offset);
        self.chain = checksum;
        self.durable = self.durable.max(u64::from(found.header.durable));
        self.offset = found.offset + record_bytes(u64::from(found.header.body_bytes));
    }

    /// The body of a record that [`Reader::look`] found: its length is proven by then.
    pub(crate) fn body(&mut self, found: &Found) -> io::Result<Bytes> {
        let len = found.header.body_bytes as usize;
        let bytes = self
            .window
            .at(found.offset + RECORD_HEADER_BYTES as u64, len)?;
        Ok(Bytes::copy_from_slice(bytes))
    }

    /// The first bytes of such a body, at most a chunk of them.
    pub(crate) fn body_start(&mut self, found: &Found, bytes_max: usize) -> io::Result<Bytes> {
        let len = bytes_max
            .min(CHUNK_BYTES)
            .min(found.header.body_bytes as usize);
        let bytes = self
            .window
            .at(found.offset + RECORD_HEADER_BYTES as u64, len)?;
        Ok(Bytes::copy_from_slice(bytes))
    }

    /// Moves on to the next record header that is intact in itself, taking what it says of the record
    /// before it for true, and says what it found: `Records` if it moved. Stays where it is if there
    /// is none.
    pub(crate) fn skip_to_intact(&mut self) -> io::Result<Behind> {
        let mut at = self.offset;
        let mut passed = Behind::Zeros;
        while at < self.segment_bytes {
            let header = self.header_bytes(at)?;
            let decoded = header.and_then(|bytes| RecordHeader::decode(&bytes, self.seed, at));
            if let Some((header, _)) = decoded.filter(|_| at > self.offset) {
                self.offset = at;
                self.chain = header.previous;
                return Ok(Behind::Records);
            }
            if !is_zeros(self.window.at(at, RECORD_ALIGN_BYTES)?) {
                passed = Behind::Bytes;
            }
            at += RECORD_ALIGN_BYTES as u64;
        }
        Ok(passed)
    }

    /// Whether what stands at the current offset looks like a record of which only a part was
    /// written: a whole sector of it is zeros, or its last byte is.
    pub(crate) fn is_torn_shape(&mut self, stop: Stop) -> io::Result<bool> {
        let offset = self.offset;
        let len = match stop {
            Stop::Zeros => return Ok(true),
            Stop::Header => RECORD_HEADER_BYTES as u64,
            Stop::Body => {
                let header = self.header_bytes(offset)?;
                let header =
                    header.and_then(|bytes| RecordHeader::decode(&bytes, self.seed, offset));
                header.map_or(0, |(header, _)| record_bytes(u64::from(header.body_bytes)))
            }
            Stop::End | Stop::Chain | Stop::Content => return Ok(false),
        };
        let end = offset + len;
        let mut at = offset;
        let mut last_byte = 0;
        while at < end {
            let sector_end = (at / SECTOR_BYTES as u64 + 1) * SECTOR_BYTES as u64;
            let portion = (sector_end.min(end) - at) as usize;
            let bytes = self.window.at(at, portion)?;
            if bytes.len() < portion || is_zeros(bytes) {
                return Ok(true);
            }
            last_byte = bytes[portion - 1];
            at += portion as u64;
        }
        Ok(last_byte == 0)
    }

    /// What stands from the current offset to the end of the segment.
    ///
    /// A header counts as proof whether its body is intact or not: its checksum covers the mark, and
    /// the mark was true when it was computed.
    pub(crate) fn behind(&mut self) -> io::Result<Behind> {
        let stop = self.offset;
        let mut behind = Behind::Zeros;
        let mut at = stop;
        while at < self.segment_bytes {
            let chunk = self.window.at(at, CHUNK_BYTES / 2)?.len();
            if chunk == 0 {
                break;
            }
            if is_zeros(self.window.at(at, chunk)?) {
                at += chunk as u64;
                continue;
            }
            behind = if behind == Behind::Zeros {
                Behind::Bytes
            } else {
                behind
            };
            for candidate in (at.max(stop + 1)..at + chunk as u64)
                .filter(|candidate| candidate % RECORD_ALIGN_BYTES as u64 == 0)
            {
                match self.mark_at(candidate)? {
                    Some(durable) if durable > stop => return Ok(Behind::Proof),
                    Some(_) => behind = Behind::Records,
                    None => {}
                }
            }
            at += chunk as u64;
        }
        Ok(behind)
    }

    /// The end of the last byte from the current offset on that is not zero; the current offset if
    /// there is none.
    pub(crate) fn content_end(&mut self) -> io::Result<u64> {
        let mut end = self.offset;
        let mut at = self.offset;
        while at < self.segment_bytes {
            let bytes = self.window.at(at, CHUNK_BYTES)?;
            if bytes.is_empty() {
                break;
            }
            if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
                end = at + last as u64 + 1;
            }
            at += bytes.len() as u64;
        }
        Ok(end)
    }

    /// The durable mark of the record header at an offset, if there is one.
    fn mark_at(&mut self, offset: u64) -> io::Result<Option<u64>> {
        let seed = self.seed;
        let bytes = self.window.at(offset, RECORD_HEADER_BYTES)?;
        if bytes.len() < RECORD_HEADER_BYTES || bytes[RECORD_HEADER_BYTES - 1] != END_MARK {
            return Ok(None);
        }
        let mut header = [0; RECORD_HEADER_BYTES];
        header.copy_from_slice(bytes);
        let header = RecordHeader::decode(&header, seed, offset);
        Ok(header.map(|(header, _)| u64::from(header.durable)))
    }

    fn header_bytes(&mut self, offset: u64) -> io::Result<Option<[u8; RECORD_HEADER_BYTES]>> {
        let bytes = self.window.at(offset, RECORD_HEADER_BYTES)?;
        Ok(bytes.try_into().ok())
    }

    fn body_is_intact(&mut self, offset: u64, header: &RecordHeader) -> io::Result<bool> {
        let mut at = offset + RECORD_HEADER_BYTES as u64;
        let end = at + u64::from(header.body_bytes);
        let mut checksum = 0;
        while at < end {
            let len = (end - at).min(CHUNK_BYTES as u64) as usize;
            let bytes = self.window.at(at, len)?;
            if bytes.len() < len {
                return Ok(false);
            }
            checksum = crc32c::crc32c_append(checksum, bytes);
            at += len as u64;
        }
        let padding = padding_bytes(u64::from(header.body_bytes)) as usize;
        let marks = self.window.at(end, padding)?;
        let is_ended = marks.len() == padding && marks.iter().all(|byte| *byte == END_MARK);
        let is_intact =
            checksum == header.body_checksum || buggify::canary(Canary::ChecksumNotCompared);
        Ok(is_intact && is_ended)
    }
}

/// Whether all of these bytes are zeros.
pub(crate) fn is_zeros(bytes: &[u8]) -> bool {
    static ZEROS: [u8; 4096] = [0; 4096];
    bytes
        .chunks(ZEROS.len())
        .all(|chunk| chunk == &ZEROS[..chunk.len()])
}
