//! RDB files, as Redis writes them: a strict reader that streams.
//!
//! A file is a header (`REDIS` and four digits of a version), a row of items, and a checksum. An item
//! begins with a byte that says what it is: a key of some type, or something about the keys that follow,
//! such as their database or the next one's expiry. Source: `rdb.c` and `rdb.h` of Redis; tried with
//! files of versions 2 to 13.
//!
//! There are crates that read RDB (`rdb` 0.4 is the one that is alive). None checks the sum at the end
//! or says where a file is damaged, and both are the point here: a dump that is imported is often
//! the only copy. So everything is checked against the bytes that are there: a length never reserves
//! more memory than the file has bytes, and every error has an offset.

mod crc64;
mod error;
mod input;
mod lzf;
mod skip;

use std::io::Read;

pub(crate) use self::error::{Damage, RdbError};
use self::{
    input::{Input, Text},
    skip::{skip_module_parts, skip_value},
};
use super::record::Record;

/// The newest version that is known: that of Redis 8.6.
const VERSION_MAX: u32 = 13;
/// The first version that has a checksum.
const VERSION_WITH_CHECKSUM: u32 = 5;
/// No Redis has been configured with more databases than fit this.
const DATABASE_MAX: u64 = i32::MAX as u64;

/// What stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// A key that holds a string.
    String(Record),
    /// Something that is not imported.
    Skipped {
        /// Its database.
        database: u32,
        /// What it is, in the words of `TYPE`.
        kind: &'static str,
    },
}

/// Reads a file once.
pub(crate) struct Reader<R> {
    input: Input<R>,
    version: u32,
    database: u32,
    has_checksum: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the header of a source that has `length` bytes.
    pub(crate) fn new(source: R, length: u64) -> Result<Self, RdbError> {
        let mut input = Input::new(source, length);
        let not_rdb = || RdbError::new(0, Damage::NotRdb);
        let header: [u8; 9] = input.array().map_err(|_| not_rdb())?;
        let digits = header.strip_prefix(b"REDIS").ok_or_else(not_rdb)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(not_rdb());
        }
        let version = digits
            .iter()
            .fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
        if version == 0 || version > VERSION_MAX {
            let newest = VERSION_MAX;
            return Err(RdbError::new(5, Damage::Version { version, newest }));
        }
        Ok(Self {
            input,
            version,
            database: 0,
            has_checksum: false,
        })
    }

    /// The file's version.
    pub(crate) fn version(&self) -> u32 {
        self.version
    }

    /// How many bytes are read.
    pub(crate) fn position(&self) -> u64 {
        self.input.position()
    }

    /// Whether the file has a checksum, which is right: known when all is read. Redis writes none with
    /// `rdbchecksum no`.
    pub(crate) fn has_checksum(&self) -> bool {
        self.has_checksum
    }

    /// The next item; `None` at the end, after the checksum was found right.
    pub(crate) fn next_item(&mut self) -> Result<Option<Item>, RdbError> {
        let mut expires_at_ms = None;
        loop {
            let at = self.input.position();
            let database = self.database;
            match self.input.byte()? {
                255 => return self.end().map(|()| None),
                254 => self.database = self.database_number()?,
                // Seconds, then milliseconds since 1970.
                253 => {
                    let seconds = i32::from_le_bytes(self.input.array()?);
                    expires_at_ms = Some(i64::from(seconds) * 1000);
                }
                252 => expires_at_ms = Some(i64::from_le_bytes(self.input.array()?)),
                // How many keys the database has, and how many of them expire.
                251 => self.input.skip_numbers(2)?,
                250 => self.input.skip_texts(2)?,
                // How often, and how long ago, the next key was used.
                249 => self.input.skip(1)?,
                248 => self.input.skip_numbers(1)?,
                247 => {
                    // The module, the word "when" and its value, and the parts.
                    self.input.skip_numbers(3)?;
                    skip_module_parts(&mut self.input)?;
                    let kind = "module data";
                    return Ok(Some(Item::Skipped { database, kind }));
                }
                246 => return Err(RdbError::new(at, Damage::PreRelease("a function"))),
                245 => {
                    self.input.skip_text()?;
                    let kind = "function library";
                    return Ok(Some(Item::Skipped { database, kind }));
                }
                // A slot's number, its keys, and how many of them expire.
                244 => self.input.skip_numbers(3)?,
                // What modules keep about the next key.
                243 => {
                    for _ in 0..self.input.count()? {
                        self.input.skip(4)?;
                        skip_module_parts(&mut self.input)?;
                    }
                }
                kind => return self.key(at, kind, expires_at_ms).map(Some),
            }
        }
    }

    fn database_number(&mut self) -> Result<u32, RdbError> {
        let at = self.input.position();
        let number = self.input.number()?;
        if number > DATABASE_MAX {
            return Err(RdbError::new(at, Damage::Database(number)));
        }
        Ok(number as u32)
    }

    fn key(&mut self, at: u64, kind: u8, expires_at_ms: Option<i64>) -> Result<Item, RdbError> {
        let database = self.database;
        let skipped = |kind| Item::Skipped { database, kind };
        if kind != 0 {
            self.input.skip_text()?;
            let name = skip_value(&mut self.input, kind).map_err(|error| match error.damage {
                // Where the type stands says more than where its value would begin.
                Damage::UnknownType(_) => RdbError::new(at, error.damage),
                _ => error,
            })?;
            return Ok(skipped(name));
        }
        let (key, value) = (self.input.text()?, self.input.text()?);
        let (Text::Bytes(key), Text::Bytes(value)) = (key, value) else {
            return Ok(skipped("string of more than 512 MiB"));
        };
        Ok(Item::String(Record {
            database,
            key,
            value,
            expires_at_ms,
        }))
    }

    /// Compares the sum and looks whether this is all.
    fn end(&mut self) -> Result<(), RdbError> {
        if self.version >= VERSION_WITH_CHECKSUM {
            let actual = self.input.sum();
            let at = self.input.position();
            let stored = u64::from_le_bytes(self.input.array()?);
            if stored != 0 && stored != actual {
                return Err(RdbError::new(at, Damage::Checksum { stored, actual }));
            }
            self.has_checksum = stored != 0;
        }
        match self.input.left() {
            0 => Ok(()),
            count => Err(self.input.error(Damage::Trailing(count))),
        }
    }
}

#[cfg(test)]
mod tests;
