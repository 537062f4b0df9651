//! What can be wrong with an RDB file, and where.

use super::lzf::LzfError;

/// A file that cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {damage}")]
pub(crate) struct RdbError {
    /// Offset in the file of what is wrong.
    pub(crate) offset: u64,
    /// What is wrong.
    pub(crate) damage: Damage,
}

impl RdbError {
    /// An error at an offset.
    pub(crate) fn new(offset: u64, damage: Damage) -> Self {
        Self { offset, damage }
    }
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    /// It does not begin as an RDB file does.
    #[error("not an RDB file: it does not begin with REDIS and four digits")]
    NotRdb,
    /// A newer program made it.
    #[error("RDB version {version} is newer than this program knows (it reads 1 to {newest})")]
    Version {
        /// The file's version.
        version: u32,
        /// The newest one that is known.
        newest: u32,
    },
    /// It ends too early.
    #[error("the file ends too early: {wanted} bytes should follow and {left} do")]
    Ends {
        /// Bytes that should follow.
        wanted: u64,
        /// Bytes that do.
        left: u64,
    },
    /// The system cannot read it.
    #[error("cannot read the file: {0}")]
    Unreadable(String),
    /// A byte that begins no length.
    #[error("damaged: {byte:#04x} begins no length")]
    Length {
        /// The byte.
        byte: u8,
    },
    /// A string stands where a number should.
    #[error("damaged: a string where a number should be")]
    NotANumber,
    /// More elements are promised than there are bytes.
    #[error("damaged: {count} elements in the {left} bytes that are left")]
    Count {
        /// Elements.
        count: u64,
        /// Bytes left in the file.
        left: u64,
    },
    /// A compressed string cannot be unpacked.
    #[error("damaged: {0}")]
    Compression(LzfError),
    /// A type of value that no version up to the newest one has.
    #[error("damaged, or made by a newer Redis: no type of value has the number {0}")]
    UnknownType(u8),
    /// A part of a module's value that is of no known kind.
    #[error("damaged: no part of a module's data has the number {0}")]
    UnknownModulePart(u64),
    /// Something that only release candidates have written.
    #[error("{0}, which only a release candidate of Redis has written, cannot be read")]
    PreRelease(&'static str),
    /// The number of a database is too large to be one.
    #[error("damaged: there is no database {0}")]
    Database(u64),
    /// The bytes are not those that were written.
    #[error(
        "damaged: the checksum of the file is {stored:016x} and that of its bytes {actual:016x}"
    )]
    Checksum {
        /// What the file says.
        stored: u64,
        /// What its bytes say.
        actual: u64,
    },
    /// Something follows the end.
    #[error(
        "{0} bytes follow the end of the RDB part; of an append-only file, name its base.rdb instead"
    )]
    Trailing(u64),
}
