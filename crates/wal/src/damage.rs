//! What is damaged, where, and why that is the verdict.

use std::fmt;

/// Why something is damage and not a torn write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// The segment's header names another cluster or node.
    Foreign,
    /// The segment's header names another segment than the file's name does.
    Misplaced,
    /// The file does not have the length it was made with.
    Length,
    /// The segment has no intact header although it was in use.
    HeaderLost,
    /// The file is missing although segments on both sides of its number were in use or prepared.
    Missing,
    /// Bytes stand behind the last record, where nothing was ever written.
    BytesBehindEnd,
    /// The next segment continues from another place or another history.
    NextContradicts,
    /// Zeros stand where a durable record was.
    RecordLost,
    /// A record's header does not match its checksum.
    RecordHeader,
    /// A record's body does not match its checksum.
    RecordBody,
    /// A record does not follow the one before it.
    RecordChain,
    /// A record is intact and says what cannot be.
    RecordContent,
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Why::Foreign => "the segment belongs to another cluster or node",
            Why::Misplaced => "the segment's header has another number than the file's name",
            Why::Length => "the file does not have the length it was made with",
            Why::HeaderLost => "the segment's header is damaged",
            Why::Missing => "the segment's file is missing",
            Why::BytesBehindEnd => "there are bytes behind the last record",
            Why::NextContradicts => "the next segment does not continue from here",
            Why::RecordLost => "a record that was durable is gone",
            Why::RecordHeader => "the header of a record does not match its checksum",
            Why::RecordBody => "the body of a record does not match its checksum",
            Why::RecordChain => "a record does not follow the one before it",
            Why::RecordContent => "a record is intact but cannot stand here",
        })
    }
}

/// A place in the log that is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub segment: u64,
    /// The offset in its file.
    pub offset: u64,
    /// Why it is damage.
    pub why: Why,
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "segment {} is damaged at offset {}: {}",
            self.segment, self.offset, self.why
        )
    }
}
