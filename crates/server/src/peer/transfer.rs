//! What is said on a connection that carries a snapshot, after the handshake.
//!
//! ```text
//! dialler                                 acceptor
//! Offer { last, bytes, checksum }  ---->
//!                                  <----  Holds { file, bytes }   it has a part of another file
//! Offer { last, bytes, checksum }  ---->  that file if it is still there, or the same as before
//!                                  <----  Working { done, total }, while it reads what it has of it
//!                                  <----  Resume { offset }   send from here
//!                                         or Unwanted         it has that much itself
//! Chunk { offset, bytes }          ---->
//!                                  <----  Received { offset } one for each chunk
//!  ...                                     ...
//!                                  <----  Working { done, total }, while it checks and loads
//!                                  <----  Installed
//! ```
//!
//! Either side may say `Failed` at any point and end the connection; the text is for the other side's log.
//!
//! Chunks are answered one by one, and at most [`CHUNKS_UNANSWERED_MAX`] are under way: so memory is
//! bounded at both ends, a transfer that does not move is noticed, and a word from the acceptor is
//! never further away than a few chunks. What was received is kept when the connection breaks: the next
//! offer of the same file (last entry, length and checksum) is answered with where to go on.
//!
//! A leader that takes snapshots faster than a link carries them would offer a newer file each time, and
//! every part of an older one would be for nothing. So an acceptor that has such a part says so once,
//! and the dialler goes on with that file if it still has it and its log goes on behind it.
//!
//! Before it can answer an offer, the acceptor may have to read a large part of a file that it has
//! already. It says that it is at work, or what it holds, only to a dialler whose offer says that it
//! understands that: one of an earlier release would take the word for a mistake.
//!
//! The frames are those of [`super::frame`], so each chunk has its checksum; the file as a whole has
//! another, which is compared before it gets its name.

use bytes::Bytes;
use prost::{Message, Oneof};
use raft::{EntryId, LogIndex, Term};

use super::codec::{DecodeError, Scope, encode_frame, printable};

/// Bytes of a chunk, but for the last one.
pub const CHUNK_BYTES: usize = 512 * 1024;

/// The largest chunk that is taken.
pub const CHUNK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The largest frame on such a connection.
pub const TRANSFER_FRAME_BYTES_MAX: usize = CHUNK_BYTES_MAX + 1024;

/// Chunks that may be under way without an answer.
pub const CHUNKS_UNANSWERED_MAX: usize = 4;

/// The longest text taken from the other side.
const TEXT_CHARS_MAX: usize = 512;

/// A snapshot that is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// The last entry that it stands for.
    pub last: EntryId,
    /// The length of the file.
    pub bytes: u64,
    /// The checksum of the file.
    pub checksum: u32,
    /// Whether the dialler understands [`Transfer::Working`] before the answer. Absent means that it
    /// does not.
    pub hears_working: bool,
    /// Whether it understands [`Transfer::Holds`], too.
    pub hears_holds: bool,
}

/// A frame of such a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transfer {
    /// From the dialler, first.
    Offer(Offer),
    /// From the acceptor, once, instead of an answer to the offer: it has received a part of another
    /// file. It waits for another offer, of either file.
    Holds {
        /// The last entry that the file stands for.
        last: EntryId,
        /// The length of the file.
        bytes: u64,
        /// The checksum of the file.
        checksum: u32,
    },
    /// From the acceptor: the bytes from `offset` on are wanted.
    Resume {
        /// What it has already.
        offset: u64,
    },
    /// From the acceptor: it needs no such snapshot (any more).
    Unwanted {
        /// Why.
        text: String,
    },
    /// From the dialler: a piece of the file.
    Chunk {
        /// Where it belongs.
        offset: u64,
        /// The piece.
        bytes: Bytes,
    },
    /// From the acceptor: everything before `offset` has arrived.
    Received {
        /// Where the next chunk goes.
        offset: u64,
    },
    /// From the acceptor: what it has of the file, or all of it, is being read, and perhaps loaded.
    Working {
        /// Bytes done.
        done: u64,
        /// Bytes to do.
        total: u64,
    },
    /// From the acceptor: the snapshot is its state now.
    Installed,
    /// From either: it gives up.
    Failed {
        /// Why.
        text: String,
    },
}

/// Appends the frame of a message.
pub fn encode_transfer(scope: Scope, transfer: &Transfer, out: &mut Vec<u8>) {
    let body = match transfer {
        Transfer::Offer(offer) => Body::Offer(WireOffer {
            term: offer.last.term.0,
            index: offer.last.index.0,
            bytes: offer.bytes,
            checksum: offer.checksum,
            hears_working: offer.hears_working,
            hears_holds: offer.hears_holds,
        }),
        Transfer::Holds {
            last,
            bytes,
            checksum,
        } => Body::Holds(WireHolds {
            term: last.term.0,
            index: last.index.0,
            bytes: *bytes,
            checksum: *checksum,
        }),
        Transfer::Resume { offset } => Body::Resume(*offset),
        Transfer::Unwanted { text } => Body::Unwanted(text.clone()),
        Transfer::Chunk { offset, bytes } => Body::Chunk(WireChunk {
            offset: *offset,
            bytes: bytes.clone(),
        }),
        Transfer::Received { offset } => Body::Received(*offset),
        Transfer::Working { done, total } => Body::Working(WireWorking {
            done: *done,
            total: *total,
        }),
        Transfer::Installed => Body::Installed(true),
        Transfer::Failed { text } => Body::Failed(text.clone()),
    };
    let frame = TransferFrame {
        cluster: scope.cluster.0,
        group: scope.group.0,
        body: Some(body),
    };
    encode_frame(&frame, out);
}

/// Reads the body of a frame.
///
/// # Errors
/// If the bytes are no such message, or one of another cluster or group.
pub fn decode_transfer(scope: Scope, body: Bytes) -> Result<Transfer, DecodeError> {
    let frame = TransferFrame::decode(body)?;
    if frame.cluster != scope.cluster.0 || frame.group != scope.group.0 {
        return Err(DecodeError::Stray {
            cluster: frame.cluster,
            group: frame.group,
        });
    }
    Ok(match frame.body.ok_or(DecodeError::UnknownKind)? {
        Body::Offer(offer) => Transfer::Offer(Offer {
            last: EntryId {
                term: Term(offer.term),
                index: LogIndex(offer.index),
            },
            bytes: offer.bytes,
            checksum: offer.checksum,
            hears_working: offer.hears_working,
            hears_holds: offer.hears_holds,
        }),
        Body::Holds(holds) => Transfer::Holds {
            last: EntryId {
                term: Term(holds.term),
                index: LogIndex(holds.index),
            },
            bytes: holds.bytes,
            checksum: holds.checksum,
        },
        Body::Resume(offset) => Transfer::Resume { offset },
        Body::Unwanted(text) => Transfer::Unwanted {
            text: bounded(text),
        },
        Body::Chunk(chunk) => Transfer::Chunk {
            offset: chunk.offset,
            bytes: chunk.bytes,
        },
        Body::Received(offset) => Transfer::Received { offset },
        Body::Working(working) => Transfer::Working {
            done: working.done,
            total: working.total,
        },
        Body::Installed(_) => Transfer::Installed,
        Body::Failed(text) => Transfer::Failed {
            text: bounded(text),
        },
    })
}

/// A text of the other side as it may appear in our log: one line, not endless.
fn bounded(text: String) -> String {
    let mut text = printable(text);
    if let Some((end, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
        text.truncate(end);
    }
    text
}

/// The schema; the rules of [`super::wire`] hold.
#[derive(Clone, PartialEq, Message)]
struct TransferFrame {
    #[prost(fixed64, tag = "1")]
    cluster: u64,
    #[prost(uint64, tag = "2")]
    group: u64,
    #[prost(oneof = "Body", tags = "16, 17, 18, 19, 20, 21, 22, 23, 24")]
    body: Option<Body>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Body {
    #[prost(message, tag = "16")]
    Offer(WireOffer),
    #[prost(uint64, tag = "17")]
    Resume(u64),
    #[prost(string, tag = "18")]
    Unwanted(String),
    #[prost(message, tag = "19")]
    Chunk(WireChunk),
    #[prost(uint64, tag = "20")]
    Received(u64),
    #[prost(message, tag = "21")]
    Working(WireWorking),
    #[prost(bool, tag = "22")]
    Installed(bool),
    #[prost(string, tag = "23")]
    Failed(String),
    #[prost(message, tag = "24")]
    Holds(WireHolds),
}

#[derive(Clone, Copy, PartialEq, Message)]
struct WireOffer {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    index: u64,
    #[prost(uint64, tag = "3")]
    bytes: u64,
    #[prost(fixed32, tag = "4")]
    checksum: u32,
    #[prost(bool, tag = "5")]
    hears_working: bool,
    #[prost(bool, tag = "6")]
    hears_holds: bool,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct WireHolds {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    index: u64,
    #[prost(uint64, tag = "3")]
    bytes: u64,
    #[prost(fixed32, tag = "4")]
    checksum: u32,
}

#[derive(Clone, PartialEq, Message)]
struct WireChunk {
    #[prost(uint64, tag = "1")]
    offset: u64,
    /// Shares the receive buffer.
    #[prost(bytes = "bytes", tag = "2")]
    bytes: Bytes,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct WireWorking {
    #[prost(uint64, tag = "1")]
    done: u64,
    #[prost(uint64, tag = "2")]
    total: u64,
}

#[cfg(test)]
mod tests {
    use raft::{ClusterId, GroupId};

    use super::*;
    use crate::peer::frame::{FRAME_HEADER_BYTES, FrameReader};

    const SCOPE: Scope = Scope {
        cluster: ClusterId(77),
        group: GroupId(1),
    };

    fn messages() -> Vec<Transfer> {
        vec![
            Transfer::Offer(Offer {
                last: EntryId {
                    term: Term(3),
                    index: LogIndex(9),
                },
                bytes: 1 << 40,
                checksum: 0xdead_beef,
                hears_working: true,
                hears_holds: true,
            }),
            Transfer::Holds {
                last: EntryId {
                    term: Term(3),
                    index: LogIndex(8),
                },
                bytes: 7,
                checksum: 6,
            },
            Transfer::Resume { offset: 0 },
            Transfer::Unwanted { text: "no".into() },
            Transfer::Chunk {
                offset: 512,
                bytes: Bytes::from(vec![7; 300]),
            },
            Transfer::Received { offset: 812 },
            Transfer::Working { done: 1, total: 2 },
            Transfer::Installed,
            Transfer::Failed {
                text: "disk".into(),
            },
        ]
    }

    #[test]
    fn every_message_comes_back_as_it_was() {
        let mut bytes = Vec::new();
        for message in messages() {
            encode_transfer(SCOPE, &message, &mut bytes);
        }
        let mut reader = FrameReader::new(TRANSFER_FRAME_BYTES_MAX);
        reader.extend(&bytes);
        for message in messages() {
            let body = reader.next_body().expect("frames").expect("whole");
            assert_eq!(decode_transfer(SCOPE, body), Ok(message));
        }
    }

    #[test]
    fn a_message_of_another_cluster_is_refused() {
        let mut bytes = Vec::new();
        encode_transfer(SCOPE, &Transfer::Installed, &mut bytes);
        let other = Scope {
            cluster: ClusterId(78),
            ..SCOPE
        };
        let body = Bytes::from(bytes.split_off(FRAME_HEADER_BYTES));
        let refused = decode_transfer(other, body);
        assert!(matches!(refused, Err(DecodeError::Stray { .. })));
    }

    #[test]
    fn the_largest_chunk_fits_in_a_frame() {
        let mut bytes = Vec::new();
        let chunk = Transfer::Chunk {
            offset: u64::MAX,
            bytes: Bytes::from(vec![0; CHUNK_BYTES_MAX]),
        };
        encode_transfer(SCOPE, &chunk, &mut bytes);
        assert!(bytes.len() - FRAME_HEADER_BYTES <= TRANSFER_FRAME_BYTES_MAX);
    }

    #[test]
    fn a_text_from_outside_is_one_bounded_line() {
        let mut bytes = Vec::new();
        let text = format!("a\nb{}", "ü".repeat(10_000));
        encode_transfer(SCOPE, &Transfer::Failed { text }, &mut bytes);
        let body = Bytes::from(bytes.split_off(FRAME_HEADER_BYTES));
        let Ok(Transfer::Failed { text }) = decode_transfer(SCOPE, body) else {
            panic!("not what was sent");
        };
        assert!(text.starts_with("abü") && text.chars().count() <= TEXT_CHARS_MAX);
    }
}
