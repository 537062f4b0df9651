//! The bytes of an RDB file, with their position and their sum, and the numbers and strings in them.

use std::io::Read;

use super::{
    crc64::crc64,
    error::{Damage, RdbError},
    lzf,
};

/// Bytes that are asked of the file at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// The longest string that is held in memory: what Redis allows by default (`proto-max-bulk-len`).
pub(crate) const STRING_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// A length, or one of the other ways to write a string, which stand where a length would.
enum Length {
    Plain(u64),
    Integer(i64),
    /// The string is compressed.
    Compressed,
}

/// A string of the file.
pub(crate) enum Text {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// It has more than [`STRING_BYTES_MAX`], and was passed over.
    TooLong,
}

/// A file that is read once, from its beginning to its end.
pub(crate) struct Input<R> {
    source: R,
    /// Bytes of the whole file: no length in it may promise more.
    length: u64,
    buffer: Vec<u8>,
    /// Where in the file the buffer's first byte is.
    buffer_offset: u64,
    /// What of the buffer is taken. Invariant: `summed <= taken <= buffer.len()`.
    taken: usize,
    /// What of the buffer is in the sum.
    summed: usize,
    sum: u64,
}

impl<R: Read> Input<R> {
    /// Reads a source that has `length` bytes.
    pub(crate) fn new(source: R, length: u64) -> Self {
        Self {
            source,
            length,
            buffer: Vec::new(),
            buffer_offset: 0,
            taken: 0,
            summed: 0,
            sum: 0,
        }
    }

    /// How many bytes are taken: the offset of the next one.
    pub(crate) fn position(&self) -> u64 {
        self.buffer_offset + self.taken as u64
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> u64 {
        self.length.saturating_sub(self.position())
    }

    /// CRC-64 of all bytes that are taken.
    pub(crate) fn sum(&mut self) -> u64 {
        self.sum = crc64(self.sum, &self.buffer[self.summed..self.taken]);
        self.summed = self.taken;
        self.sum
    }

    /// An error at the next byte.
    pub(crate) fn error(&self, damage: Damage) -> RdbError {
        RdbError::new(self.position(), damage)
    }

    /// Fails where fewer bytes are left, before anything is reserved for them.
    fn must_hold(&self, count: u64) -> Result<(), RdbError> {
        match count <= self.left() {
            true => Ok(()),
            false => Err(self.error(Damage::Ends {
                wanted: count,
                left: self.left(),
            })),
        }
    }

    fn fill(&mut self) -> Result<(), RdbError> {
        self.sum();
        self.buffer_offset += self.buffer.len() as u64;
        (self.taken, self.summed) = (0, 0);
        let wanted = self.length.saturating_sub(self.buffer_offset);
        let wanted = wanted.min(BUFFER_BYTES as u64) as usize;
        self.buffer.resize(wanted, 0);
        let read = self.source.read_exact(&mut self.buffer);
        read.map_err(|error| self.error(Damage::Unreadable(error.to_string())))
    }

    /// Calls `take` with the next `count` bytes, in as many pieces as it takes.
    fn pieces(&mut self, count: u64, mut take: impl FnMut(&[u8])) -> Result<(), RdbError> {
        self.must_hold(count)?;
        let mut missing = count;
        while missing > 0 {
            if self.taken == self.buffer.len() {
                self.fill()?;
            }
            let here = (self.buffer.len() - self.taken) as u64;
            let piece = here.min(missing);
            let end = self.taken + piece as usize;
            take(&self.buffer[self.taken..end]);
            self.taken = end;
            missing -= piece;
        }
        Ok(())
    }

    /// Passes bytes over.
    pub(crate) fn skip(&mut self, count: u64) -> Result<(), RdbError> {
        self.pieces(count, |_| ())
    }

    /// As many bytes as the array has.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], RdbError> {
        let mut array = [0; N];
        let mut at = 0;
        self.pieces(N as u64, |piece| {
            array[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        })?;
        Ok(array)
    }

    /// One byte.
    pub(crate) fn byte(&mut self) -> Result<u8, RdbError> {
        Ok(self.array::<1>()?[0])
    }

    fn bytes(&mut self, count: u64) -> Result<Vec<u8>, RdbError> {
        self.must_hold(count)?;
        let mut bytes = Vec::with_capacity(count as usize);
        self.pieces(count, |piece| bytes.extend_from_slice(piece))?;
        Ok(bytes)
    }

    /// The two upper bits say how a length goes on: 6 bits, 14 bits, 32 or 64 bits (big-endian), or no
    /// length but another encoding (`rdbLoadLenByRef`).
    fn length_or_encoding(&mut self) -> Result<Length, RdbError> {
        let at = self.position();
        let first = self.byte()?;
        let low = first & 0x3f;
        Ok(match (first >> 6, low) {
            (0, _) => Length::Plain(u64::from(low)),
            (1, _) => Length::Plain(u64::from(low) << 8 | u64::from(self.byte()?)),
            (2, 0) => Length::Plain(u64::from(u32::from_be_bytes(self.array()?))),
            (2, 1) => Length::Plain(u64::from_be_bytes(self.array()?)),
            (3, 0) => Length::Integer(i64::from(i8::from_le_bytes(self.array()?))),
            (3, 1) => Length::Integer(i64::from(i16::from_le_bytes(self.array()?))),
            (3, 2) => Length::Integer(i64::from(i32::from_le_bytes(self.array()?))),
            (3, 3) => Length::Compressed,
            _ => return Err(RdbError::new(at, Damage::Length { byte: first })),
        })
    }

    /// A length or another number that is not negative.
    pub(crate) fn number(&mut self) -> Result<u64, RdbError> {
        let at = self.position();
        match self.length_or_encoding()? {
            Length::Plain(number) => Ok(number),
            Length::Integer(_) | Length::Compressed => Err(RdbError::new(at, Damage::NotANumber)),
        }
    }

    /// How many elements follow. None takes less than a byte, so there cannot be more than bytes.
    pub(crate) fn count(&mut self) -> Result<u64, RdbError> {
        let at = self.position();
        let count = self.number()?;
        match count <= self.left() {
            true => Ok(count),
            false => Err(RdbError::new(
                at,
                Damage::Count {
                    count,
                    left: self.left(),
                },
            )),
        }
    }

    /// A string, in whichever way it is written.
    pub(crate) fn text(&mut self) -> Result<Text, RdbError> {
        let at = self.position();
        match self.length_or_encoding()? {
            Length::Plain(count) if count > STRING_BYTES_MAX => {
                self.skip(count)?;
                Ok(Text::TooLong)
            }
            Length::Plain(count) => Ok(Text::Bytes(self.bytes(count)?)),
            Length::Integer(number) => Ok(Text::Bytes(number.to_string().into_bytes())),
            Length::Compressed => {
                let packed = self.number()?;
                let count = self.number()?;
                if count > STRING_BYTES_MAX {
                    self.skip(packed)?;
                    return Ok(Text::TooLong);
                }
                let packed = self.bytes(packed)?;
                let bytes = lzf::unpack(&packed, count);
                Ok(Text::Bytes(bytes.map_err(|error| {
                    RdbError::new(at, Damage::Compression(error))
                })?))
            }
        }
    }

    /// Passes a string over.
    pub(crate) fn skip_text(&mut self) -> Result<(), RdbError> {
        match self.length_or_encoding()? {
            Length::Plain(count) => self.skip(count),
            Length::Integer(_) => Ok(()),
            Length::Compressed => {
                let packed = self.number()?;
                self.number()?;
                self.skip(packed)
            }
        }
    }

    /// Passes `count` strings over.
    pub(crate) fn skip_texts(&mut self, count: u64) -> Result<(), RdbError> {
        (0..count).try_for_each(|_| self.skip_text())
    }

    /// Passes `count` numbers over.
    pub(crate) fn skip_numbers(&mut self, count: u64) -> Result<(), RdbError> {
        (0..count).try_for_each(|_| self.number().map(drop))
    }
}
