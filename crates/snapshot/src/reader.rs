//! Reading a snapshot, and checking it.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use vfs::{File, Vfs};

use crate::error::failed;
use crate::format::{
    BLOCK_BYTES_MAX, END_BODY_BYTES, End, FORMAT_VERSION, HEAD_BYTES_MAX, HEADER_BYTES, Header,
    RECORD_HEADER_BYTES, RecordHeader, RecordKind,
};
use crate::{DamageKind, FileId, Found, Meta, SnapshotError};

/// The bytes that are read at once.
const READ_BYTES: usize = 256 << 10;

/// Reads one snapshot file, checking everything on the way.
pub struct Reader {
    input: Input,
    header: Header,
    chain: u32,
    block_count: u64,
    block_bytes: u64,
    is_at_end: bool,
}

/// What [`verify`] found to be good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the file says of itself.
    pub meta: Meta,
    /// The number of its blocks.
    pub blocks: u64,
    /// Its length.
    pub bytes: u64,
    /// Its last chain value.
    pub checksum: u32,
}

impl Report {
    /// Which file it is.
    pub fn id(&self) -> FileId {
        FileId {
            cluster: self.meta.cluster,
            group: self.meta.group,
            index: self.meta.index,
            term: self.meta.term,
            bytes: self.bytes,
            checksum: self.checksum,
        }
    }

    pub(crate) fn at(self, path: PathBuf) -> Found {
        Found {
            meta: self.meta,
            path,
            bytes: self.bytes,
            checksum: self.checksum,
        }
    }
}

/// Hears, a block at a time, how many of how many bytes of a file were read, and says whether to go on.
/// A large file takes minutes to read: whoever waits for that wants to be told, and may not want to wait.
pub type Watch<'a> = dyn FnMut(u64, u64) -> bool + 'a;

/// Reads a file from its first byte to its last and checks all of it.
pub fn verify(vfs: &dyn Vfs, path: &Path) -> Result<Report, SnapshotError> {
    verify_watched(vfs, path, &mut |_, _| true)
}

/// Like [`verify`], watched.
///
/// # Errors
/// [`SnapshotError::Stopped`] if the watch says so.
pub fn verify_watched(
    vfs: &dyn Vfs,
    path: &Path,
    watch: &mut Watch<'_>,
) -> Result<Report, SnapshotError> {
    let (meta, mut reader) = Reader::open(vfs, path)?;
    while reader.next_block()?.is_some() {
        if !watch(reader.offset(), reader.file_bytes()) {
            return Err(SnapshotError::Stopped);
        }
    }
    Ok(reader.report(meta))
}

/// Which file this is, by its header and its end: without reading what is between. Whoever is sent the
/// file checks all of it.
pub fn identify(vfs: &dyn Vfs, path: &Path) -> Result<FileId, SnapshotError> {
    let (meta, reader) = Reader::open(vfs, path)?;
    let input = reader.input;
    let bytes = input.file_bytes;
    let mut end = [0; RECORD_HEADER_BYTES + END_BODY_BYTES];
    let offset = bytes.saturating_sub(end.len() as u64);
    let read = input.file.read_full_at(offset, &mut end);
    read.map_err(failed("reading", path))?;
    let (header, body) = end.split_at(RECORD_HEADER_BYTES);
    let header = header.first_chunk().and_then(RecordHeader::decode);
    let is_end = End::decode(body).is_some_and(|end| end.file_bytes == bytes);
    match header {
        Some((header, checksum)) if is_end && header.kind == RecordKind::End => Ok(FileId {
            cluster: meta.cluster,
            group: meta.group,
            index: meta.index,
            term: meta.term,
            bytes,
            checksum,
        }),
        _ => Err(input.damaged(offset, DamageKind::CutShort)),
    }
}

impl Reader {
    /// Opens a file and reads its header and head.
    pub fn open(vfs: &dyn Vfs, path: &Path) -> Result<(Meta, Reader), SnapshotError> {
        let mut input = Input::open(vfs, path)?;
        let header: [u8; HEADER_BYTES] = input.take_array()?;
        let Some((header, chain)) = Header::decode(&header) else {
            return Err(input.damaged(0, DamageKind::Header));
        };
        if header.version > FORMAT_VERSION {
            return Err(SnapshotError::NewerVersion {
                path: path.to_path_buf(),
                version: header.version,
                known: FORMAT_VERSION,
            });
        }
        let head_bytes = header.head_bytes as usize;
        if header.version != FORMAT_VERSION || head_bytes > HEAD_BYTES_MAX {
            return Err(input.damaged(0, DamageKind::Header));
        }
        let head_offset = input.offset;
        let head = input.take(head_bytes)?;
        if crc32c::crc32c(&head) != header.head_checksum {
            return Err(input.damaged(head_offset, DamageKind::Head));
        }
        let meta = Meta {
            cluster: header.cluster,
            group: header.group,
            term: header.term,
            index: header.index,
            time_ms: header.time_ms,
            head: Bytes::from(head),
        };
        let reader = Reader {
            input,
            header,
            chain,
            block_count: 0,
            block_bytes: 0,
            is_at_end: false,
        };
        Ok((meta, reader))
    }

    /// The next block; `None` when the end was read and says what it has to.
    pub fn next_block(&mut self) -> Result<Option<Vec<u8>>, SnapshotError> {
        if self.is_at_end {
            return Ok(None);
        }
        let offset = self.input.offset;
        let header: [u8; RECORD_HEADER_BYTES] = self.input.take_array()?;
        let Some((header, chain)) = RecordHeader::decode(&header) else {
            return Err(self.input.damaged(offset, DamageKind::Record));
        };
        if header.previous != self.chain || header.number != self.block_count + 1 {
            return Err(self.input.damaged(offset, DamageKind::Chain));
        }
        let body_bytes = header.body_bytes as usize;
        let bytes_max = match header.kind {
            RecordKind::Block => BLOCK_BYTES_MAX,
            RecordKind::End => END_BODY_BYTES,
        };
        if body_bytes > bytes_max {
            return Err(self.input.damaged(offset, DamageKind::Record));
        }
        let body = self.input.take(body_bytes)?;
        if crc32c::crc32c(&body) != header.body_checksum {
            return Err(self.input.damaged(offset, DamageKind::Body));
        }
        self.chain = chain;
        match header.kind {
            RecordKind::Block => {
                self.block_count += 1;
                self.block_bytes += body.len() as u64;
                Ok(Some(body))
            }
            RecordKind::End => self.end(offset, &body).map(|()| None),
        }
    }

    /// Lets the system forget what it keeps of the file in memory up to where it was read: whoever reads
    /// it again wants the disk's word, and nobody else needs it.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn forget_cached(&self, from: u64) -> Result<(), SnapshotError> {
        let len = self.input.offset.saturating_sub(from);
        let forgotten = self.input.file.forget_cached(from, len);
        forgotten.map_err(failed("reading", &self.input.path))
    }

    /// How much of the file was read and found good.
    pub fn offset(&self) -> u64 {
        self.input.offset
    }

    /// The length of the file.
    pub fn file_bytes(&self) -> u64 {
        self.input.file_bytes
    }

    /// The last chain value so far: behind the end, the file's checksum.
    pub fn checksum(&self) -> u32 {
        self.chain
    }

    /// The number of blocks so far.
    pub fn block_count(&self) -> u64 {
        self.block_count
    }

    /// What was read, once the end was.
    pub(crate) fn report(self, meta: Meta) -> Report {
        Report {
            meta,
            blocks: self.block_count,
            bytes: self.offset(),
            checksum: self.chain,
        }
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    fn end(&mut self, offset: u64, body: &[u8]) -> Result<(), SnapshotError> {
        let expected = End {
            blocks: self.block_count,
            block_bytes: self.block_bytes,
            file_bytes: self.input.offset,
        };
        if End::decode(body) != Some(expected) {
            return Err(self.input.damaged(offset, DamageKind::Totals));
        }
        if self.input.offset != self.input.file_bytes {
            return Err(self.input.damaged(self.input.offset, DamageKind::Trailing));
        }
        self.is_at_end = true;
        Ok(())
    }
}

/// A file that is read from front to back, in large pieces.
struct Input {
    file: Box<dyn File>,
    path: PathBuf,
    /// The length of the file when it was opened.
    file_bytes: u64,
    /// The offset of the next byte to be taken.
    offset: u64,
    buffer: Vec<u8>,
    /// What of the buffer was taken.
    taken: usize,
}

impl Input {
    fn open(vfs: &dyn Vfs, path: &Path) -> Result<Input, SnapshotError> {
        let file = vfs.open_read(path).map_err(failed("opening", path))?;
        let file_bytes = file.len().map_err(failed("reading", path))?;
        Ok(Input {
            file,
            path: path.to_path_buf(),
            file_bytes,
            offset: 0,
            buffer: Vec::new(),
            taken: 0,
        })
    }

    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// The next bytes. Not more is allocated than the file still has.
    fn take(&mut self, count: usize) -> Result<Vec<u8>, SnapshotError> {
        if count as u64 > self.file_bytes - self.offset {
            return Err(self.damaged(self.file_bytes, DamageKind::CutShort));
        }
        let mut bytes = vec![0; count];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, target: &mut [u8]) -> Result<(), SnapshotError> {
        let mut filled = 0;
        while filled < target.len() {
            let count = match &self.buffer[self.taken..] {
                // A long body is read to where it is to be, not by way of the buffer.
                [] if target.len() - filled >= READ_BYTES => {
                    self.read_to(&mut target[filled..], self.offset)?
                }
                [] => {
                    self.refill()?;
                    0
                }
                available => {
                    let count = available.len().min(target.len() - filled);
                    target[filled..filled + count].copy_from_slice(&available[..count]);
                    self.taken += count;
                    count
                }
            };
            filled += count;
            self.offset += count as u64;
        }
        Ok(())
    }

    /// Reads the next piece into the buffer.
    fn refill(&mut self) -> Result<(), SnapshotError> {
        let left = self.file_bytes - self.offset;
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(READ_BYTES);
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(count, 0);
        let read = self.read_to(&mut buffer, self.offset)?;
        buffer.truncate(read);
        self.buffer = buffer;
        self.taken = 0;
        Ok(())
    }

    /// Reads at least a byte.
    fn read_to(&self, target: &mut [u8], offset: u64) -> Result<usize, SnapshotError> {
        let read = self.file.read_full_at(offset, target);
        match read.map_err(failed("reading", &self.path))? {
            0 => Err(self.damaged(offset, DamageKind::CutShort)),
            read => Ok(read),
        }
    }

    fn damaged(&self, offset: u64, kind: DamageKind) -> SnapshotError {
        SnapshotError::damaged(&self.path, offset, kind)
    }
}
