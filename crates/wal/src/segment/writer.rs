//! The segment that records are added to.

use std::io::{self, IoSlice};
use std::ops::Range;

use bytes::Bytes;
use vfs::File;

use crate::format::{
    DiskKind, END_MARK, RecordHeader, SEGMENT_HEADER_BYTES, padding_bytes, record_bytes,
};

/// Bodies from this size on are handed to the kernel where they are; smaller ones are copied next to
/// their headers, because a copy of a few KiB costs less than another element of the vector.
const GATHER_BODY_BYTES: usize = 32 << 10;

/// Zeros are written ahead in pieces of this size, and synced piece by piece, so that a batch that
/// arrives meanwhile waits for one piece at most.
pub(crate) const ZERO_PIECE_BYTES: u64 = 512 << 10;

/// The segment that records are added to.
pub(crate) struct Writer {
    pub(crate) file: Box<dyn File>,
    pub(crate) segment: u64,
    /// The format's version that its header names.
    pub(crate) version: u32,
    pub(crate) segment_bytes: u64,
    pub(crate) seed: u32,
    /// Where the next record goes.
    pub(crate) end: u64,
    /// The chain value there.
    pub(crate) chain: u32,
    /// Everything before this offset is durable: the mark that the next records carry.
    /// Invariant: `durable <= end`.
    pub(crate) durable: u64,
    /// Zeros were written up to this offset, ahead of the records.
    pub(crate) zeroed: u64,
}

impl Writer {
    /// Bytes that still fit.
    pub(crate) fn room(&self) -> u64 {
        self.segment_bytes - self.end
    }

    /// Writes a gathered batch with one system call, if the disk takes it whole.
    pub(crate) fn write(&mut self, batch: &Batch) -> io::Result<()> {
        assert!(
            batch.len <= self.room(),
            "{} bytes into room for {}",
            batch.len,
            self.room()
        );
        let mut slices = batch.slices();
        self.file.write_all_vectored_at(self.end, &mut slices)?;
        self.end += batch.len;
        self.chain = batch.chain;
        Ok(())
    }

    /// Makes everything written durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.durable = self.end;
        Ok(())
    }

    /// Whether zeros can still be written ahead of the records.
    pub(crate) fn can_zero_ahead(&self) -> bool {
        self.zero_from() < self.segment_bytes
    }

    /// Writes one piece of zeros ahead of the records, and syncs.
    ///
    /// The file system has the space, but marks it as unwritten; the first write to such a place
    /// changes the file's metadata, and the sync behind it must then write the journal too.
    pub(crate) fn zero_ahead(&mut self) -> io::Result<()> {
        let from = self.zero_from();
        let len = ZERO_PIECE_BYTES.min(self.segment_bytes - from);
        write_zeros(self.file.as_mut(), from, len)?;
        self.file.sync_data()?;
        self.zeroed = from + len;
        Ok(())
    }

    fn zero_from(&self) -> u64 {
        self.zeroed
            .max(self.end)
            .next_multiple_of(SEGMENT_HEADER_BYTES as u64)
    }
}

/// Writes zeros over a range of a file.
pub(crate) fn write_zeros(file: &mut dyn File, mut from: u64, len: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let end = from + len;
    while from < end {
        let piece = (end - from).min(ZEROS.len() as u64);
        let mut slices: Vec<IoSlice<'_>> = Vec::new();
        let mut gathered = 0;
        while gathered < end - from && slices.len() < 8 {
            let next = piece.min(end - from - gathered);
            slices.push(IoSlice::new(&ZEROS[..next as usize]));
            gathered += next;
        }
        file.write_all_vectored_at(from, &mut slices)?;
        from += gathered;
    }
    Ok(())
}

/// The bytes of some records, gathered for one write. The buffers are kept from batch to batch.
#[derive(Default)]
pub(crate) struct Batch {
    buffer: Vec<u8>,
    pieces: Vec<Piece>,
    len: u64,
    seed: u32,
    start: u64,
    durable: u32,
    chain: u32,
}

enum Piece {
    /// A range of the buffer.
    Copied(Range<usize>),
    /// A body, written from where it is.
    Shared(Bytes),
}

/// What goes into a record besides what the log adds.
pub(crate) struct Content<'a> {
    pub(crate) kind: DiskKind,
    pub(crate) group: u64,
    pub(crate) term: u64,
    pub(crate) index: u64,
    pub(crate) tag: u8,
    pub(crate) stamp: u64,
    pub(crate) body: &'a Bytes,
}

impl Batch {
    /// Empties the batch; what is pushed next goes to the end of `writer`.
    pub(crate) fn restart(&mut self, writer: &Writer) {
        self.buffer.clear();
        self.pieces.clear();
        self.len = 0;
        self.seed = writer.seed;
        self.start = writer.end;
        self.chain = writer.chain;
        self.durable = u32::try_from(writer.durable).expect("segments are below 4 GiB");
    }

    /// Bytes gathered.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Adds a record and returns its place and its header.
    pub(crate) fn push(&mut self, content: &Content<'_>) -> (u64, RecordHeader) {
        let offset = self.start + self.len;
        let body = content.body;
        let header = RecordHeader {
            previous: self.chain,
            body_bytes: u32::try_from(body.len()).expect("a record that fits in a segment"),
            body_checksum: crc32c::crc32c(body),
            group: content.group,
            term: content.term,
            index: content.index,
            stamp: content.stamp,
            durable: self.durable,
            kind: content.kind as u8,
            tag: content.tag,
        };
        let (bytes, checksum) = header.encode(self.seed, offset);
        self.copy(&bytes);
        if body.len() < GATHER_BODY_BYTES {
            self.copy(body);
        } else {
            self.pieces.push(Piece::Shared(body.clone()));
        }
        let padding = padding_bytes(body.len() as u64) as usize;
        self.copy(&[END_MARK; 8][..padding]);
        self.len += record_bytes(body.len() as u64);
        self.chain = checksum;
        (offset, header)
    }

    fn copy(&mut self, bytes: &[u8]) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(bytes);
        match self.pieces.last_mut() {
            Some(Piece::Copied(range)) => range.end = self.buffer.len(),
            _ => self.pieces.push(Piece::Copied(start..self.buffer.len())),
        }
    }

    fn slices(&self) -> Vec<IoSlice<'_>> {
        let bytes = self.pieces.iter().map(|piece| match piece {
            Piece::Copied(range) => &self.buffer[range.clone()],
            Piece::Shared(body) => body.as_ref(),
        });
        bytes.map(IoSlice::new).collect()
    }
}
