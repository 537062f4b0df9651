//! Recovery as a table: what is observed, and what follows from it.
//!
//! Two pure functions decide everything that recovery decides. [`judge_file`] says what a segment
//! file is, from its header and its length; [`judge_stop`] says what the place means at which the
//! records of a segment in use stop. Both are tested over all their inputs.
//!
//! # Torn or damaged
//!
//! A crash may leave any subset of the sectors that were written and not synced. Rot, a misdirected
//! write or a careless hand may leave anything. The first must be cut, or the node would not
//! start after a power cut; the second must never be, or acknowledged entries would vanish without
//! a word (Alagappan et al., "Protocol-Aware Recovery", FAST 2018). What tells them apart:
//!
//! - *Proof of durability.* Every record carries the offset up to which its segment was durable when
//!   it was written. If any intact record says that the place was durable, the place is damaged. All of
//!   a segment is proven durable by the header of the next one, which is written only after the
//!   last sync of the segment before returned.
//! - *Shape.* Segments are zeros before they are written, no record has a zero as its last byte, and
//!   sectors are written whole or not at all. So a record of which only a part arrived lacks either a
//!   whole sector or its end. One that lacks neither was written completely and changed afterwards.
//!
//! What remains: the writes of the very last sync, if nothing was written after it, carry no proof.
//! Damage there that looks like sectors which were never written is taken for a torn write. It cannot
//! be told from one by anybody; the copies on the other nodes are what it is repaired from.

use buggify::Canary;

use crate::damage::Why;

/// What the header sector of a segment file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderSeen {
    /// A header, of this node, in the file of its own number, in a format that is known.
    Own,
    /// A header of a newer format.
    Newer,
    /// A header that names another cluster or node.
    Foreign,
    /// A header of this node that names another segment than the file's name does.
    Misplaced,
    /// Zeros.
    Zeros,
    /// Not a header, and its end is missing as if its write had been torn.
    Partial,
    /// Not a header.
    Garbage,
    /// The file is shorter than a header.
    Short,
}

/// What is observed of a segment file before its records are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSeen {
    /// What the header sector holds.
    pub header: HeaderSeen,
    /// Whether the file has the length that its header states. Of a file without an intact header:
    /// whether it has the length that new segments get.
    pub length_is_right: bool,
    /// Whether everything behind the header sector is zeros.
    pub rest_is_zeros: bool,
    /// Whether so few bytes of the file are not zeros, and none an end mark, that it never held a whole
    /// header or record: at most [`STRAY_BYTES_MAX`].
    pub is_nearly_zeros: bool,
    /// Whether a later file has an intact header.
    pub is_followed: bool,
    /// Whether its number is below the oldest one that the newest intact header says is needed.
    pub is_obsolete: bool,
}

/// The bytes other than zero that a prepared segment may have and still be one with nothing in it: fewer than
/// any header has (its magic and its end mark), or any record (its checksums and its marks).
pub const STRAY_BYTES_MAX: usize = 8;

/// What a segment file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileVerdict {
    /// It holds records, or may.
    InUse,
    /// It was prepared and not used yet.
    Spare,
    /// No group needs it any more, whatever it holds: left by a removal that was interrupted.
    Obsolete,
    /// It was prepared and not used, and cannot be: removed, and prepared again when needed.
    Discard,
    /// The same, because bytes in it have changed since it was prepared.
    DiscardRotten,
    /// It was written by a newer version of this software.
    Newer,
    /// It is damaged.
    Damaged(Why),
}

/// Decides what a segment file is.
pub fn judge_file(seen: FileSeen) -> FileVerdict {
    if seen.is_obsolete {
        return FileVerdict::Obsolete;
    }
    match seen.header {
        HeaderSeen::Newer => FileVerdict::Newer,
        HeaderSeen::Foreign => FileVerdict::Damaged(Why::Foreign),
        HeaderSeen::Misplaced => FileVerdict::Damaged(Why::Misplaced),
        HeaderSeen::Own if seen.length_is_right => FileVerdict::InUse,
        HeaderSeen::Own | HeaderSeen::Short => FileVerdict::Damaged(Why::Length),
        HeaderSeen::Zeros | HeaderSeen::Partial | HeaderSeen::Garbage if seen.is_followed => {
            FileVerdict::Damaged(Why::HeaderLost)
        }
        HeaderSeen::Zeros if seen.rest_is_zeros && seen.length_is_right => FileVerdict::Spare,
        HeaderSeen::Zeros if seen.rest_is_zeros => FileVerdict::Discard,
        HeaderSeen::Zeros | HeaderSeen::Partial | HeaderSeen::Garbage if seen.is_nearly_zeros => {
            FileVerdict::DiscardRotten
        }
        HeaderSeen::Partial if seen.rest_is_zeros => FileVerdict::Discard,
        HeaderSeen::Zeros | HeaderSeen::Partial | HeaderSeen::Garbage => {
            FileVerdict::Damaged(Why::HeaderLost)
        }
    }
}

/// What stands where the next record would begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The segment ends: no record fits any more.
    End,
    /// Zeros where a header would be.
    Zeros,
    /// Bytes that are no header of a record of this place.
    Header,
    /// An intact header whose body, or the marks behind it, are not those that were written.
    Body,
    /// A record that is whole in itself and does not follow the one before it.
    Chain,
    /// An intact record that says what cannot be: an unknown kind, a wrong index, a length beyond
    /// the segment.
    Content,
}

/// What stands from there to the end of the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// Zeros.
    Zeros,
    /// Other bytes, but no header of a record.
    Bytes,
    /// Headers of records, none of which was written after the stop was durable.
    Records,
    /// The header of a record which says that the stop was durable when it was written.
    Proof,
}

/// What the next segment says about the end of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// This is the last segment in use.
    None,
    /// It continues from exactly this offset and chain value.
    Continues,
    /// It continues from elsewhere.
    Contradicts,
}

/// What is observed at the place where the records of a segment stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopSeen {
    /// What stands there.
    pub stop: Stop,
    /// Whether that looks like a record of which only a part was written. Always so for zeros.
    pub is_torn_shape: bool,
    /// What stands behind.
    pub behind: Behind,
    /// What the next segment says.
    pub next: Next,
}

/// What follows for the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopVerdict {
    /// All records were read.
    Clean,
    /// A write was torn by a crash before it was durable: it is cut off.
    CutTornTail,
    /// Something durable is damaged.
    Damaged(Why),
}

/// Decides what the end of a segment's records means.
pub fn judge_stop(seen: StopSeen) -> StopVerdict {
    let is_at_rest = matches!(seen.stop, Stop::End | Stop::Zeros) && seen.behind == Behind::Zeros;
    match seen.next {
        Next::Continues if is_at_rest => return StopVerdict::Clean,
        Next::Continues => return StopVerdict::Damaged(Why::BytesBehindEnd),
        Next::Contradicts if is_at_rest => return StopVerdict::Damaged(Why::NextContradicts),
        Next::Contradicts | Next::None => {}
    }
    if buggify::canary(Canary::DamageCutAsTornTail) && seen.next == Next::None && !is_at_rest {
        return StopVerdict::CutTornTail;
    }
    let may_be_torn = seen.next == Next::None && seen.behind != Behind::Proof && seen.is_torn_shape;
    let may_be_torn = may_be_torn && !buggify::canary(Canary::TornTailRefused);
    match seen.stop {
        Stop::End | Stop::Zeros if is_at_rest => StopVerdict::Clean,
        Stop::End => StopVerdict::Damaged(Why::BytesBehindEnd),
        Stop::Zeros | Stop::Header | Stop::Body if may_be_torn => StopVerdict::CutTornTail,
        Stop::Zeros => StopVerdict::Damaged(Why::RecordLost),
        Stop::Header => StopVerdict::Damaged(Why::RecordHeader),
        Stop::Body => StopVerdict::Damaged(Why::RecordBody),
        Stop::Chain => StopVerdict::Damaged(Why::RecordChain),
        Stop::Content => StopVerdict::Damaged(Why::RecordContent),
    }
}
