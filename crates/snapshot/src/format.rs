//! The bytes of a snapshot file. FORMAT.md says the same in tables; `tests/format.rs` compares.

use crate::{FileId, Meta};

/// The first bytes of a file.
pub const MAGIC: [u8; 8] = *b"QUORASNP";
/// The version of the format that this code writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;
/// The length of the header.
pub const HEADER_BYTES: usize = 64;
/// The length of what stands before each body.
pub const RECORD_HEADER_BYTES: usize = 32;
/// The length of the body of the end record.
pub const END_BODY_BYTES: usize = 24;
/// The longest head.
pub const HEAD_BYTES_MAX: usize = 256 << 20;
/// The longest block.
pub const BLOCK_BYTES_MAX: usize = 1 << 30;

/// What follows the last point of the name of a finished file.
pub const FINISHED_SUFFIX: &str = "snapshot";
/// What follows the last point of the name of a file that is being written.
pub const WRITING_SUFFIX: &str = "writing";
/// What follows the last point of the name of a file that is being received.
pub const RECEIVING_SUFFIX: &str = "receiving";
/// What follows the last point of the name of a file that was found damaged.
pub const DAMAGED_SUFFIX: &str = "damaged";

/// The name of a finished file. The order of names is the order of the log.
pub fn finished_name(index: u64, term: u64) -> String {
    format!("{index:020}-{term:020}.{FINISHED_SUFFIX}")
}

/// The position (index, term) that the name of a finished file says.
pub fn finished_position(name: &str) -> Option<(u64, u64)> {
    let stem = name.strip_suffix(FINISHED_SUFFIX)?.strip_suffix('.')?;
    let (index, term) = stem.split_once('-')?;
    let position = (parse_padded(index)?, parse_padded(term)?);
    Some(position)
}

/// The name of a file that is being written.
pub fn writing_name(index: u64, term: u64) -> String {
    format!("{index:020}-{term:020}.{WRITING_SUFFIX}")
}

/// The name of a file that is being received: it says which file, so that the rest can be asked for
/// after a restart.
pub fn receiving_name(id: &FileId) -> String {
    format!(
        "{:020}-{:020}-{:020}-{:08x}.{RECEIVING_SUFFIX}",
        id.index, id.term, id.bytes, id.checksum
    )
}

/// Which file one that is being received will be, from its name: index, term, length, checksum. `None`
/// if it is not called like one.
pub fn receiving_file(name: &str) -> Option<(u64, u64, u64, u32)> {
    let stem = name.strip_suffix(RECEIVING_SUFFIX)?.strip_suffix('.')?;
    let mut parts = stem.split('-');
    let mut number = || parse_padded(parts.next()?);
    let (index, term, bytes) = (number()?, number()?, number()?);
    let checksum = parts.next().filter(|digits| digits.len() == 8)?;
    let checksum = u32::from_str_radix(checksum, 16).ok()?;
    parts
        .next()
        .is_none()
        .then_some((index, term, bytes, checksum))
}

fn parse_padded(digits: &str) -> Option<u64> {
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// The header without what follows from the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The version of the format.
    pub version: u32,
    /// The length of the head.
    pub head_bytes: u32,
    /// The cluster's id.
    pub cluster: u64,
    /// The Raft group.
    pub group: u64,
    /// The term of the last log entry that the state contains.
    pub term: u64,
    /// The index of that entry.
    pub index: u64,
    /// The log time of the state.
    pub time_ms: u64,
    /// The checksum of the head.
    pub head_checksum: u32,
}

impl Header {
    /// The header of a file. The head must not exceed [`HEAD_BYTES_MAX`].
    pub fn of(meta: &Meta) -> Header {
        Header {
            version: FORMAT_VERSION,
            head_bytes: meta.head.len() as u32,
            cluster: meta.cluster,
            group: meta.group,
            term: meta.term,
            index: meta.index,
            time_ms: meta.time_ms,
            head_checksum: crc32c::crc32c(&meta.head),
        }
    }

    /// The bytes, and the first chain value: their checksum.
    pub fn encode(&self) -> ([u8; HEADER_BYTES], u32) {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.head_bytes.to_le_bytes());
        let numbers = [
            self.cluster,
            self.group,
            self.term,
            self.index,
            self.time_ms,
        ];
        for (field, number) in bytes[16..56].chunks_exact_mut(8).zip(numbers) {
            field.copy_from_slice(&number.to_le_bytes());
        }
        bytes[56..60].copy_from_slice(&self.head_checksum.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&checksum.to_le_bytes());
        (bytes, checksum)
    }

    /// The header of these bytes, with the first chain value. `None` when they are no intact header.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<(Header, u32)> {
        let checksum = u32_at(bytes, 60);
        if bytes[..8] != MAGIC || checksum != crc32c::crc32c(&bytes[..60]) {
            return None;
        }
        let header = Header {
            version: u32_at(bytes, 8),
            head_bytes: u32_at(bytes, 12),
            cluster: u64_at(bytes, 16),
            group: u64_at(bytes, 24),
            term: u64_at(bytes, 32),
            index: u64_at(bytes, 40),
            time_ms: u64_at(bytes, 48),
            head_checksum: u32_at(bytes, 56),
        };
        Some((header, checksum))
    }
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum RecordKind {
    /// A block of the state.
    Block = 1,
    /// The end of the file.
    End = 2,
}

/// What stands before a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// The chain value before: the checksum of the record header before, or of the file's header.
    pub previous: u32,
    /// The length of the body.
    pub body_bytes: u32,
    /// The checksum of the body.
    pub body_checksum: u32,
    /// The number of the record; the first is 1.
    pub number: u64,
    /// What the record is.
    pub kind: RecordKind,
}

impl RecordHeader {
    /// The bytes, and the next chain value: their checksum.
    pub fn encode(&self) -> ([u8; RECORD_HEADER_BYTES], u32) {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        bytes[4..8].copy_from_slice(&self.previous.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.body_checksum.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..28].copy_from_slice(&(self.kind as u32).to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[4..]);
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        (bytes, checksum)
    }

    /// The header of these bytes, with the next chain value. `None` when they are no intact header.
    pub fn decode(bytes: &[u8; RECORD_HEADER_BYTES]) -> Option<(RecordHeader, u32)> {
        let checksum = u32_at(bytes, 0);
        if checksum != crc32c::crc32c(&bytes[4..]) || u32_at(bytes, 28) != 0 {
            return None;
        }
        let kind = match u32_at(bytes, 24) {
            1 => RecordKind::Block,
            2 => RecordKind::End,
            _ => return None,
        };
        let header = RecordHeader {
            previous: u32_at(bytes, 4),
            body_bytes: u32_at(bytes, 8),
            body_checksum: u32_at(bytes, 12),
            number: u64_at(bytes, 16),
            kind,
        };
        Some((header, checksum))
    }
}

/// The body of the end record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The number of blocks.
    pub blocks: u64,
    /// The bytes of all blocks together.
    pub block_bytes: u64,
    /// The length of the file, this record included.
    pub file_bytes: u64,
}

impl End {
    /// The bytes.
    pub fn encode(&self) -> [u8; END_BODY_BYTES] {
        let mut bytes = [0; END_BODY_BYTES];
        bytes[..8].copy_from_slice(&self.blocks.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.block_bytes.to_le_bytes());
        bytes[16..].copy_from_slice(&self.file_bytes.to_le_bytes());
        bytes
    }

    /// The end of these bytes.
    pub fn decode(bytes: &[u8]) -> Option<End> {
        let bytes: &[u8; END_BODY_BYTES] = bytes.try_into().ok()?;
        Some(End {
            blocks: u64_at(bytes, 0),
            block_bytes: u64_at(bytes, 8),
            file_bytes: u64_at(bytes, 16),
        })
    }
}

/// # Panics
/// When the field is not within `bytes`: callers pass arrays of known length.
fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let field = bytes[offset..].first_chunk().expect("the field is inside");
    u32::from_le_bytes(*field)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let field = bytes[offset..].first_chunk().expect("the field is inside");
    u64::from_le_bytes(*field)
}
