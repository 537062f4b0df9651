//! Every byte of a segment file. FORMAT.md says the same in prose; a test holds the two together.
//!
//! Nothing here does I/O, and nothing here panics on any bytes.

use crate::Identity;

/// The first bytes of every segment that is in use.
pub const SEGMENT_MAGIC: [u8; 8] = *b"QUORAWAL";
/// The version of the format that this code writes, and the newest that it reads. Version 1 had no
/// [`DiskKind::Base`], and its carries did not name the base.
pub const FORMAT_VERSION: u32 = 2;
/// The first version with bases.
pub const VERSION_WITH_BASES: u32 = 2;
/// A segment's header fills one sector, which is written once and never again, so that no torn
/// write of a record can take it along. Records begin behind it.
pub const SEGMENT_HEADER_BYTES: usize = vfs::SECTOR_BYTES;
/// Bytes of a record before its body.
pub const RECORD_HEADER_BYTES: usize = 56;
/// Records begin at multiples of this, so that a reader that lost its way need not try every byte.
pub const RECORD_ALIGN_BYTES: usize = 8;
/// Ends a record's header, and fills up its last bytes. It is not zero, and unwritten bytes are:
/// a record whose last byte is zero was not written to its end.
pub const END_MARK: u8 = 0xd7;
/// Ends a segment's header, for the same reason.
pub const SEGMENT_END_MARK: [u8; 4] = [END_MARK; 4];
/// Segments are named by their number, in this many digits, so that names sort as numbers do.
pub const SEGMENT_NAME_DIGITS: usize = 20;
/// The suffix of a segment's name.
pub const SEGMENT_SUFFIX: &str = ".wal";
/// The suffix while a segment is being prepared; left-overs are removed at the next start.
pub const PREPARING_SUFFIX: &str = ".preparing";
/// Offsets are stored in 32 bits.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 31;
/// Smaller segments have no use but in tests.
pub const SEGMENT_BYTES_MIN: u64 = 4096;

/// The kinds of record on disk. Zero is none of them: unwritten bytes are zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum DiskKind {
    /// An entry of a group's log.
    Entry = 1,
    /// Entries of a group are dropped from `index` on.
    Truncate = 2,
    /// A group's state.
    State = 3,
    /// Where a group stood when the segment began: `term` and `index` of its last entry, `stamp` of
    /// that entry, and a body as [`CarryBody`] has it. One for each group begins every segment but
    /// the first, so that older segments can be removed.
    Carry = 4,
    /// The group's log begins behind the entry (`term`, `index`), whose stamp is `stamp`. The tag says
    /// what became of the entries behind it; see [`BASE_EMPTIES`].
    Base = 5,
}

/// [`DiskKind::Base`]'s tag when the group did not hold the entry: its log is emptied. Otherwise the tag
/// is 0, and what stands behind the entry stays.
pub const BASE_EMPTIES: u8 = 1;
/// Bytes of a carry's body before the state.
pub const CARRY_BASE_BYTES: usize = 24;

/// The body of a [`DiskKind::Carry`]: the group's base (zeros without [`CARRY_HAS_BASE`]), and behind it
/// the state (nothing without [`CARRY_HAS_STATE`]). In version 1 the state is all of the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CarryBody {
    /// The term of the entry behind which the group's log begins.
    pub term: u64,
    /// Its index.
    pub index: u64,
    /// Its stamp.
    pub stamp: u64,
}

impl CarryBody {
    /// The bytes before the state.
    pub fn encode(&self) -> [u8; CARRY_BASE_BYTES] {
        let mut bytes = [0; CARRY_BASE_BYTES];
        bytes[..8].copy_from_slice(&self.term.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.index.to_le_bytes());
        bytes[16..].copy_from_slice(&self.stamp.to_le_bytes());
        bytes
    }

    /// The base in a body, and the bytes behind it.
    pub fn decode(body: &[u8]) -> Option<(CarryBody, &[u8])> {
        let (base, state) = body.split_at_checked(CARRY_BASE_BYTES)?;
        let base = CarryBody {
            term: u64_at(base, 0),
            index: u64_at(base, 8),
            stamp: u64_at(base, 16),
        };
        Some((base, state))
    }
}

/// The bit of [`DiskKind::Carry`]'s tag for a group that has a state.
pub const CARRY_HAS_STATE: u8 = 1;
/// The bit of [`DiskKind::Carry`]'s tag for a group whose log has a place: an entry or a base was
/// written at some time. Not in version 1.
pub const CARRY_HAS_BASE: u8 = 2;

impl DiskKind {
    /// The kind of this number, if there is one.
    pub fn from_number(number: u8) -> Option<DiskKind> {
        match number {
            1 => Some(DiskKind::Entry),
            2 => Some(DiskKind::Truncate),
            3 => Some(DiskKind::State),
            4 => Some(DiskKind::Carry),
            5 => Some(DiskKind::Base),
            _ => None,
        }
    }
}

/// The name of a segment's file.
pub fn segment_name(segment: u64) -> String {
    format!(
        "{segment:0width$}{SEGMENT_SUFFIX}",
        width = SEGMENT_NAME_DIGITS
    )
}

/// The name of a segment's file while it is being prepared.
pub fn preparing_name(segment: u64) -> String {
    format!(
        "{segment:0width$}{PREPARING_SUFFIX}",
        width = SEGMENT_NAME_DIGITS
    )
}

/// The number of the segment whose file has this name, if it is exactly such a name.
pub fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SEGMENT_SUFFIX)?;
    let is_exact =
        digits.len() == SEGMENT_NAME_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    if is_exact { digits.parse().ok() } else { None }
}

/// The start value of every checksum in a segment: whose it is, and which it is.
pub fn segment_seed(identity: Identity, segment: u64) -> u32 {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&identity.cluster.to_le_bytes());
    bytes[8..16].copy_from_slice(&identity.node.to_le_bytes());
    bytes[16..].copy_from_slice(&segment.to_le_bytes());
    crc32c::crc32c(&bytes)
}

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The format's version.
    pub version: u32,
    /// Whose segment it is.
    pub identity: Identity,
    /// Its number, counted from 1 and never used twice.
    pub segment: u64,
    /// The length of the file.
    pub segment_bytes: u64,
    /// The oldest segment that the log needed when this one began; older ones may be absent.
    pub oldest: u64,
    /// Where the records of the segment before end; 0 in the first segment.
    pub previous_end: u64,
    /// The chain value at that place; 0 in the first segment.
    pub previous_chain: u32,
}

impl SegmentHeader {
    /// The header's bytes, and its checksum, which is the segment's first chain value.
    pub fn encode(&self) -> ([u8; SEGMENT_HEADER_BYTES], u32) {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.identity.cluster.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.identity.node.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.segment.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.segment_bytes.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.oldest.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.previous_end.to_le_bytes());
        bytes[64..68].copy_from_slice(&self.previous_chain.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..504]);
        bytes[504..508].copy_from_slice(&checksum.to_le_bytes());
        bytes[508..].copy_from_slice(&SEGMENT_END_MARK);
        (bytes, checksum)
    }

    /// The header in these bytes and its checksum, if they are one and nothing in them is damaged.
    /// The version is not judged: the layout of the header is the same in all versions, for ever.
    pub fn decode(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> Option<(SegmentHeader, u32)> {
        let checksum = u32_at(bytes, 504);
        let is_intact = bytes[..8] == SEGMENT_MAGIC
            && bytes[508..] == SEGMENT_END_MARK
            && crc32c::crc32c(&bytes[..504]) == checksum;
        if !is_intact {
            return None;
        }
        let header = SegmentHeader {
            version: u32_at(bytes, 8),
            identity: Identity {
                cluster: u64_at(bytes, 16),
                node: u64_at(bytes, 24),
            },
            segment: u64_at(bytes, 32),
            segment_bytes: u64_at(bytes, 40),
            oldest: u64_at(bytes, 48),
            previous_end: u64_at(bytes, 56),
            previous_chain: u32_at(bytes, 64),
        };
        Some((header, checksum))
    }
}

/// The header of a record, without its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// The chain value before: the checksum of the record before, or of the segment's header.
    pub previous: u32,
    /// The length of the body.
    pub body_bytes: u32,
    /// CRC32C of the body.
    pub body_checksum: u32,
    /// The group.
    pub group: u64,
    /// The term.
    pub term: u64,
    /// The index.
    pub index: u64,
    /// The stamp.
    pub stamp: u64,
    /// The durable mark: when this record was written, a sync of everything in this segment before
    /// this offset had returned.
    pub durable: u32,
    /// The number of the kind; see [`DiskKind`].
    pub kind: u8,
    /// The tag.
    pub tag: u8,
}

impl RecordHeader {
    /// The header's bytes at `offset` of the segment with this seed, and its checksum, which is the
    /// next chain value: it covers the body through the body's checksum, and everything before
    /// through `previous`.
    pub fn encode(&self, seed: u32, offset: u64) -> ([u8; RECORD_HEADER_BYTES], u32) {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        bytes[4..8].copy_from_slice(&self.previous.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.body_checksum.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.group.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.term.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.index.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.stamp.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.durable.to_le_bytes());
        bytes[52] = self.kind;
        bytes[53] = self.tag;
        bytes[55] = END_MARK;
        let checksum = header_checksum(&bytes, seed, offset);
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        (bytes, checksum)
    }

    /// The header in these bytes and its checksum, if they are one of this segment and this place.
    /// The kind is not judged.
    pub fn decode(
        bytes: &[u8; RECORD_HEADER_BYTES],
        seed: u32,
        offset: u64,
    ) -> Option<(RecordHeader, u32)> {
        let checksum = u32_at(bytes, 0);
        let is_intact = bytes[55] == END_MARK
            && bytes[54] == 0
            && header_checksum(bytes, seed, offset) == checksum;
        if !is_intact {
            return None;
        }
        let header = RecordHeader {
            previous: u32_at(bytes, 4),
            body_bytes: u32_at(bytes, 8),
            body_checksum: u32_at(bytes, 12),
            group: u64_at(bytes, 16),
            term: u64_at(bytes, 24),
            index: u64_at(bytes, 32),
            stamp: u64_at(bytes, 40),
            durable: u32_at(bytes, 48),
            kind: bytes[52],
            tag: bytes[53],
        };
        Some((header, checksum))
    }
}

fn header_checksum(bytes: &[u8; RECORD_HEADER_BYTES], seed: u32, offset: u64) -> u32 {
    let placed = crc32c::crc32c_append(seed, &offset.to_le_bytes());
    crc32c::crc32c_append(placed, &bytes[4..])
}

/// Bytes of [`END_MARK`] behind a body of this length: 1 to 8, up to the next aligned offset.
pub fn padding_bytes(body_bytes: u64) -> u64 {
    let align = RECORD_ALIGN_BYTES as u64;
    align - (RECORD_HEADER_BYTES as u64 + body_bytes) % align
}

/// Bytes that a record with a body of this length takes.
pub fn record_bytes(body_bytes: u64) -> u64 {
    RECORD_HEADER_BYTES as u64 + body_bytes + padding_bytes(body_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}
