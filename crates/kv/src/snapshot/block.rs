//! The encoding of one block, both directions.

use std::num::NonZeroU64;

use crate::keyspace::{Entry, Key};
use crate::value::{StringValue, Value};

/// A block is closed when it has this many bytes. It has more by at most one entry.
pub const BLOCK_BYTES_TARGET: usize = 64 << 10;

/// The version of the encoding that is written, and the newest that is read.
pub(super) const BLOCK_VERSION: u8 = 1;

/// The length of what stands before the entries.
pub(super) const BLOCK_HEADER_BYTES: usize = 8;

const TYPE_INTEGER: u8 = 1;
const TYPE_STRING: u8 = 2;
const TYPE_GROWING: u8 = 3;

const FLAG_EXPIRES: u8 = 1;

/// A block that is being written.
#[derive(Debug)]
pub(super) struct BlockWriter {
    bytes: Vec<u8>,
    entry_count: u32,
}

impl BlockWriter {
    pub(super) fn new(database: u8) -> Self {
        let mut bytes = Vec::with_capacity(BLOCK_BYTES_TARGET + (BLOCK_BYTES_TARGET / 16));
        bytes.extend([BLOCK_VERSION, database, 0, 0]);
        bytes.extend(0_u32.to_le_bytes());
        BlockWriter {
            bytes,
            entry_count: 0,
        }
    }

    pub(super) fn push(&mut self, entry: &Entry) {
        let Value::String(string) = &entry.value;
        let kind = match string.as_integer() {
            Some(_) => TYPE_INTEGER,
            None if string.is_growing() => TYPE_GROWING,
            None => TYPE_STRING,
        };
        let flags = if entry.expire_at.is_some() {
            FLAG_EXPIRES
        } else {
            0
        };
        self.bytes.extend([kind, flags]);
        self.bytes.extend(entry.version.to_le_bytes());
        if let Some(expire_at) = entry.expire_at() {
            self.bytes.extend(expire_at.to_le_bytes());
        }
        self.push_bytes(&entry.key);
        match string.as_integer() {
            Some(integer) => self.bytes.extend(integer.to_le_bytes()),
            None => string.with_bytes(|bytes| self.push_bytes(bytes)),
        }
        self.entry_count += 1;
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= BLOCK_BYTES_TARGET
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entry_count == 0
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes[4..8].copy_from_slice(&self.entry_count.to_le_bytes());
        self.bytes
    }

    fn push_bytes(&mut self, bytes: &[u8]) {
        // Keys and values have at most 512 MiB, the longest that a request can carry.
        self.bytes.extend((bytes.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(bytes);
    }
}

/// What is wrong with the bytes of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Malformed {
    /// It ends early, or has a field that cannot be.
    Bytes,
    /// It was written by a newer encoding.
    Version(u8),
    /// A value has a type that is not known here.
    Type(u8),
}

/// The entries of a block.
pub(super) struct BlockReader<'a> {
    rest: &'a [u8],
    entries_left: u32,
}

impl<'a> BlockReader<'a> {
    /// The number of the database, and the entries.
    pub(super) fn new(block: &'a [u8]) -> Result<(u8, Self), Malformed> {
        let (header, rest) = block
            .split_first_chunk::<BLOCK_HEADER_BYTES>()
            .ok_or(Malformed::Bytes)?;
        let [version, database, zero, other_zero, count @ ..] = *header;
        if version != BLOCK_VERSION {
            return Err(Malformed::Version(version));
        }
        if (zero, other_zero) != (0, 0) {
            return Err(Malformed::Bytes);
        }
        let entries_left = u32::from_le_bytes(count);
        Ok((database, BlockReader { rest, entries_left }))
    }

    /// The next entry; `None` behind the last one.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Malformed> {
        if self.entries_left == 0 {
            return match self.rest {
                [] => Ok(None),
                _ => Err(Malformed::Bytes),
            };
        }
        self.entries_left -= 1;
        let [kind, flags] = self.take_array()?;
        let version = self.take_u64()?;
        let expire_at = match flags {
            0 => None,
            FLAG_EXPIRES => Some(NonZeroU64::new(self.take_u64()?).ok_or(Malformed::Bytes)?),
            _ => return Err(Malformed::Bytes),
        };
        let key = Key::new(self.take_bytes()?);
        let value = match kind {
            TYPE_INTEGER => StringValue::from_integer(i64::from_le_bytes(self.take_array()?)),
            TYPE_STRING => StringValue::from_text(self.take_bytes()?),
            TYPE_GROWING => StringValue::growing(self.take_bytes()?.to_vec()),
            unknown => return Err(Malformed::Type(unknown)),
        };
        Ok(Some(Entry {
            key,
            value: value.into(),
            version,
            expire_at,
        }))
    }

    fn take_bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = u32::from_le_bytes(self.take_array()?) as usize;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Bytes)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn take_u64(&mut self) -> Result<u64, Malformed> {
        self.take_array().map(u64::from_le_bytes)
    }

    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Malformed::Bytes)?;
        self.rest = rest;
        Ok(*bytes)
    }
}
