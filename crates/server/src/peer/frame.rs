//! Framing on a peer connection: length, checksum, body.
//!
//! ```text
//! u32 LE  body length        at most FRAME_BYTES_MAX, checked before anything is allocated
//! u32 LE  CRC-32C of the body
//! [u8]    body               one protobuf message, see `wire`
//! ```
//!
//! The checksum is there although TCP has one: sixteen bits of sum let damage from a bad network
//! card or a middlebox through every so often, and what comes in here is written to a log that
//! three machines then agree on. A frame that fails it ends the connection: nothing after it can be
//! trusted to be at a frame boundary.
//!
//! A body is handed out as [`Bytes`] that share the receive buffer, so an entry's payload goes from
//! the socket into the log's cache, the disk thread and the state machine without being copied.

use bytes::{Bytes, BytesMut};
use thiserror::Error;

/// The largest body a frame may have. Entries are at most `max-entry-size` (16 MiB by default), and
/// an append carries about 1 MiB of them or one larger one, so honest frames stay far below.
pub const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes before the body.
pub const FRAME_HEADER_BYTES: usize = 8;

/// How far ahead of the bytes that have arrived the receive buffer may grow. A header that
/// announces 64 MiB therefore costs this much, not 64 MiB, until its bytes come.
const GROW_BYTES: usize = 64 * 1024;

/// Why a byte stream is not a sequence of frames. Always the sender's fault, or the network's.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// The header announces more than [`FRAME_BYTES_MAX`] (or the smaller limit of a handshake).
    #[error("a frame of {bytes} bytes was announced, the limit is {limit}")]
    TooLarge {
        /// What the header says.
        bytes: usize,
        /// What is allowed at this point of the connection.
        limit: usize,
    },
    /// The body is not what the sender summed.
    #[error(
        "checksum of a frame of {bytes} bytes: {found:#010x} announced, {computed:#010x} found"
    )]
    Checksum {
        /// Length of the body.
        bytes: usize,
        /// The header's checksum.
        found: u32,
        /// The checksum of the body as received.
        computed: u32,
    },
}

/// Reserves a frame's header in `out` and returns where the frame starts; the body follows, and
/// then [`finish_frame`] fills the header in. So a body is encoded in place, once.
pub fn begin_frame(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
    start
}

/// Completes the frame that starts at `start`.
///
/// # Panics
///
/// If the body is larger than [`FRAME_BYTES_MAX`]: bodies are bounded by `max-entry-size` long
/// before they come here.
pub fn finish_frame(out: &mut [u8], start: usize) {
    let (header, body) = out[start..].split_at_mut(FRAME_HEADER_BYTES);
    assert!(
        body.len() <= FRAME_BYTES_MAX,
        "frame body of {} bytes exceeds the limit of {FRAME_BYTES_MAX}",
        body.len()
    );
    header[..4].copy_from_slice(&(body.len() as u32).to_le_bytes());
    header[4..].copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
}

/// Gathers received bytes and cuts them into frame bodies.
#[derive(Debug)]
pub struct FrameReader {
    buffer: BytesMut,
    body_bytes_max: usize,
    is_prefix_taken: bool,
}

impl FrameReader {
    /// A reader that accepts bodies up to `body_bytes_max`.
    pub fn new(body_bytes_max: usize) -> FrameReader {
        FrameReader {
            buffer: BytesMut::new(),
            body_bytes_max: body_bytes_max.min(FRAME_BYTES_MAX),
            is_prefix_taken: false,
        }
    }

    /// Raises or lowers the limit: a peer that has not shown who it is gets a small one.
    pub fn set_body_bytes_max(&mut self, body_bytes_max: usize) {
        self.body_bytes_max = body_bytes_max.min(FRAME_BYTES_MAX);
    }

    /// Adds bytes from the socket.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.buffer.capacity() - self.buffer.len() < bytes.len() {
            self.buffer.reserve(bytes.len().max(GROW_BYTES));
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole body, `None` when more bytes are needed.
    pub fn next_body(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some((header, rest)) = self.buffer.split_first_chunk::<FRAME_HEADER_BYTES>() else {
            return Ok(None);
        };
        let bytes = read_u32(header, 0) as usize;
        let found = read_u32(header, 4);
        if bytes > self.body_bytes_max {
            return Err(FrameError::TooLarge {
                bytes,
                limit: self.body_bytes_max,
            });
        }
        let Some(body) = rest.get(..bytes) else {
            return Ok(None);
        };
        let computed = crc32c::crc32c(body);
        if computed != found {
            return Err(FrameError::Checksum {
                bytes,
                found,
                computed,
            });
        }
        let mut frame = self.buffer.split_to(FRAME_HEADER_BYTES + bytes).freeze();
        Ok(Some(frame.split_off(FRAME_HEADER_BYTES)))
    }

    /// Bytes received that no frame has consumed.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Takes exactly `N` raw bytes off the front, for the magic that precedes the first frame.
    pub fn take_prefix<const N: usize>(&mut self) -> Option<[u8; N]> {
        let prefix = *self.buffer.first_chunk::<N>()?;
        let _ = self.buffer.split_to(N);
        self.is_prefix_taken = true;
        Some(prefix)
    }

    /// Whether [`take_prefix`](Self::take_prefix) has succeeded.
    pub fn is_prefix_taken(&self) -> bool {
        self.is_prefix_taken
    }
}

fn read_u32(header: &[u8; FRAME_HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let start = begin_frame(&mut out);
        out.extend_from_slice(body);
        finish_frame(&mut out, start);
        out
    }

    #[test]
    fn the_bytes_of_a_frame_are_pinned() {
        // CRC-32C of "123456789" is the check value of the polynomial (RFC 3720, appendix B.4).
        let mut expected = vec![9, 0, 0, 0, 0x83, 0x92, 0x06, 0xe3];
        expected.extend_from_slice(b"123456789");
        assert_eq!(frame(b"123456789"), expected);
    }

    #[test]
    fn frames_are_found_at_every_split_point() {
        let mut stream = frame(b"first");
        stream.extend(frame(b""));
        stream.extend(frame(&[7; 300]));
        for split in 0..=stream.len() {
            let mut reader = FrameReader::new(1024);
            let mut bodies = Vec::new();
            for part in [&stream[..split], &stream[split..]] {
                reader.extend(part);
                while let Some(body) = reader.next_body().expect("whole frames") {
                    bodies.push(body);
                }
            }
            assert_eq!(bodies, [&b"first"[..], &[], &[7; 300]], "split at {split}");
            assert_eq!(reader.buffered(), 0);
        }
    }

    #[test]
    fn an_announced_length_allocates_nothing_before_its_bytes_come() {
        let mut reader = FrameReader::new(FRAME_BYTES_MAX);
        reader.extend(&(FRAME_BYTES_MAX as u32).to_le_bytes());
        reader.extend(&[0; 4]);
        assert_eq!(reader.next_body(), Ok(None));
        assert!(reader.buffer.capacity() <= 2 * GROW_BYTES);
    }

    #[test]
    fn a_length_past_the_limit_is_refused_from_the_header_alone() {
        let mut reader = FrameReader::new(100);
        reader.extend(&[101, 0, 0, 0, 0, 0, 0, 0]);
        let error = FrameError::TooLarge {
            bytes: 101,
            limit: 100,
        };
        assert_eq!(reader.next_body(), Err(error));
    }

    #[test]
    fn every_flipped_bit_of_the_body_is_noticed() {
        let good = frame(b"vote for me");
        for bit in FRAME_HEADER_BYTES * 8..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let mut reader = FrameReader::new(1024);
            reader.extend(&bad);
            assert!(matches!(
                reader.next_body(),
                Err(FrameError::Checksum { .. })
            ));
        }
    }
}
