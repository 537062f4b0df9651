//! One peer connection's bytes: what was read and not yet cut into frames, what waits to be sent.

use std::io;

use mio::Registry;

use crate::transport::Transport;

use super::frame::FrameReader;
use super::handshake::HANDSHAKE_BYTES_MAX;

/// A send buffer that grew beyond this in a burst is given back once it is empty.
const IDLE_CAPACITY_MAX: usize = 1024 * 1024;

/// Sent bytes are cut off the front of a buffer that never runs empty once they are this many.
const COMPACT_BYTES: usize = 256 * 1024;

/// A connection with its buffers and the edges it has seen.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) transport: Transport,
    pub(super) reader: FrameReader,
    /// Frames in the order they will be sent: from `sent` on.
    out: Vec<u8>,
    sent: usize,
    is_readable: bool,
    is_writable: bool,
    /// The other side has ended its half: reading goes on until the end is reached.
    is_read_closed: bool,
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
}

/// A connection taken out of the readiness loop after its handshake, for a thread that blocks.
#[derive(Debug)]
pub(crate) struct Detached {
    pub(crate) transport: Transport,
    /// What was read and not yet cut into frames.
    pub(crate) reader: FrameReader,
    /// What is still to be sent, before anything else.
    pub(crate) unsent: Vec<u8>,
}

/// What a turn's reading ended with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fill {
    /// Nothing (more) to read until the next edge.
    Drained,
    /// The turn's share was read, and there may be more.
    More,
    /// The other side has closed.
    End,
}

impl Stream {
    pub(super) fn new(transport: Transport) -> Stream {
        Stream {
            transport,
            reader: FrameReader::new(HANDSHAKE_BYTES_MAX),
            out: Vec::new(),
            sent: 0,
            is_readable: false,
            is_writable: false,
            is_read_closed: false,
            received_bytes: 0,
            sent_bytes: 0,
        }
    }

    /// Takes the connection out of the readiness loop.
    pub(super) fn detach(mut self, registry: &Registry) -> io::Result<Detached> {
        self.transport.deregister(registry)?;
        Ok(Detached {
            transport: self.transport,
            reader: self.reader,
            unsent: self.out.split_off(self.sent),
        })
    }

    /// Takes note of an edge.
    pub(super) fn set_ready(&mut self, readable: bool, writable: bool, read_closed: bool) {
        self.is_readable |= readable || read_closed;
        self.is_writable |= writable;
        self.is_read_closed |= read_closed;
    }

    /// Whether a read may bring something.
    pub(super) fn is_readable(&self) -> bool {
        self.is_readable
    }

    /// Whether an edge has said that the socket takes bytes.
    pub(super) fn is_writable(&self) -> bool {
        self.is_writable
    }

    /// Reads once, at most one scratch buffer full: the turn's share of this peer.
    pub(super) fn fill(&mut self, scratch: &mut [u8]) -> io::Result<Fill> {
        if !self.is_readable {
            return Ok(Fill::Drained);
        }
        match self.transport.read(scratch) {
            Ok(0) => Ok(Fill::End),
            Ok(count) => {
                self.received_bytes += count as u64;
                self.reader.extend(&scratch[..count]);
                let is_short = count < scratch.len() && !self.is_read_closed;
                if is_short && self.transport.short_read_is_empty() {
                    self.is_readable = false;
                    return Ok(Fill::Drained);
                }
                Ok(Fill::More)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_readable = false;
                Ok(Fill::Drained)
            }
            Err(error) => Err(error),
        }
    }

    /// The buffer to append frames to.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Bytes that wait to be sent.
    pub(super) fn queued_bytes(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Writes what the socket takes. Everything a turn has queued leaves in one system call.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if !self.is_writable {
            return Ok(());
        }
        let result = self.write_queued();
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_writable = false;
                Ok(())
            }
            other => other,
        }
    }

    fn write_queued(&mut self) -> io::Result<()> {
        self.transport.flush()?;
        while self.sent < self.out.len() {
            let count = self.transport.write(&self.out[self.sent..])?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.sent += count;
            self.sent_bytes += count as u64;
            if self.sent >= COMPACT_BYTES && self.sent * 2 >= self.out.len() {
                self.out.drain(..self.sent);
                self.sent = 0;
            }
        }
        self.out.clear();
        self.sent = 0;
        if self.out.capacity() > IDLE_CAPACITY_MAX {
            self.out.shrink_to(IDLE_CAPACITY_MAX);
        }
        self.transport.flush()
    }
}

/// Whether an error says that the process at the other end is gone, rather than the path to it.
pub(super) fn is_reset(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionReset
            | Kind::ConnectionRefused
            | Kind::ConnectionAborted
            | Kind::BrokenPipe
            | Kind::UnexpectedEof
            | Kind::NotConnected
    )
}
