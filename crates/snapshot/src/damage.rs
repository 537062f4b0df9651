//! What is wrong with a file, and where.

use std::fmt;

/// Where a file is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The offset of the header, head or record that is damaged.
    pub offset: u64,
    /// What is wrong there.
    pub kind: DamageKind,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DamageKind {
    /// It is no header of a snapshot, or a changed one.
    Header,
    /// The head is changed.
    Head,
    /// No intact record begins there.
    Record,
    /// The record is intact and does not follow the one before.
    Chain,
    /// The body of the record is changed.
    Body,
    /// The file ends there, in the middle.
    CutShort,
    /// The end record counts other blocks or bytes than there are.
    Totals,
    /// Bytes follow the end record.
    Trailing,
    /// The file's name says another position than its header.
    Name,
    /// It is another file than the one announced.
    Other,
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            DamageKind::Header => "no snapshot begins there, or its header is damaged",
            DamageKind::Head => "the head is damaged",
            DamageKind::Record => "the header of a block is damaged",
            DamageKind::Chain => "a block does not follow the one before",
            DamageKind::Body => "a block is damaged",
            DamageKind::CutShort => "the file ends in the middle",
            DamageKind::Totals => "the end counts other blocks than there are",
            DamageKind::Trailing => "bytes follow the end",
            DamageKind::Name => "the name says another position than the header",
            DamageKind::Other => "it is another file than the one announced",
        };
        write!(formatter, "{what}, at offset {}", self.offset)
    }
}
