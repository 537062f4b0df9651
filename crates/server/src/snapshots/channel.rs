//! A peer connection for one snapshot, driven by a thread that blocks.
//!
//! Blocking is what makes the transfer simple, and short socket timeouts are what makes blocking safe:
//! every [`POLL`] a thread that waits looks whether it is to stop, and whether the other side has been
//! silent for too long.

use std::io;
use std::net::{TcpStream as StdStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use raft::NodeId;
use socket2::SockRef;
use thiserror::Error;
use wal::PeerRun;

use crate::peer::codec::{self, DecodeError, Greeting, Scope};
use crate::peer::frame::{FrameError, FrameReader};
use crate::peer::handshake::{HANDSHAKE_BYTES_MAX, Hello, MAGIC, Refused, judge_welcome};
use crate::peer::transfer::{TRANSFER_FRAME_BYTES_MAX, Transfer, decode_transfer, encode_transfer};
use crate::peer::{Detached, SnapshotTarget, server_name};
use crate::transport::Transport;

/// How long a system call may wait before the thread looks around.
const POLL: Duration = Duration::from_millis(100);

/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection on which nothing moves for this long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// While the other side reads a file it may be silent for as long as a slow disk takes to read it,
/// and this.
const READING_PATIENCE: Duration = Duration::from_secs(30);

/// The bytes that a slow disk reads in a second.
const SLOW_DISK_BYTES_PER_SECOND: u64 = 20 << 20;

/// Bytes read at once.
const SCRATCH_BYTES: usize = 256 * 1024;

/// Tells a thread to stop what it does: because the node stops, or because something else took its
/// place. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop {
    node: Arc<AtomicBool>,
    own: Arc<AtomicBool>,
}

impl Stop {
    /// One that is raised by itself, or with all others of the node.
    pub(super) fn child(&self) -> Stop {
        Stop {
            node: Arc::clone(&self.node),
            own: Arc::default(),
        }
    }

    /// Everything stops.
    pub(super) fn raise_all(&self) {
        self.node.store(true, Ordering::Relaxed);
    }

    /// This one stops.
    pub(super) fn raise(&self) {
        self.own.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_raised(&self) -> bool {
        self.node.load(Ordering::Relaxed) || self.own.load(Ordering::Relaxed)
    }
}

/// Why a transfer ended without its snapshot having arrived.
#[derive(Debug, Error)]
pub(super) enum TransferError {
    /// The connection, or the way to it.
    #[error("{0}")]
    Connection(#[from] io::Error),
    /// The other side is there, but nothing moves.
    #[error("nothing was heard for {} s", .0.as_secs())]
    Silent(Duration),
    /// This side was told to stop.
    #[error("stopped")]
    Stopped,
    /// The other side does not speak the protocol.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// Nor does it here.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// It says something at the wrong time.
    #[error("{0} came out of turn")]
    OutOfTurn(&'static str),
    /// One side refuses the other.
    #[error("{0}")]
    Refused(Refused),
    /// Another run of the node answered than the one that is connected for messages.
    #[error("node {} was started anew meanwhile", .0.0)]
    OtherRun(NodeId),
    /// The other side gave up, and says why.
    #[error("the other node says: {0}")]
    GivenUp(String),
    /// The snapshot's file, here.
    #[error("{0}")]
    File(String),
    /// All of the snapshot has arrived, and there is no state in it for this node.
    #[error("it arrived whole and cannot be loaded, so it was removed again: {0}")]
    Useless(String),
}

impl TransferError {
    /// Whether a new connection may do better at once.
    pub(super) fn is_of_connection(&self) -> bool {
        matches!(
            self,
            TransferError::Connection(_) | TransferError::Silent(_)
        )
    }
}

/// A connection, after or in its handshake.
pub(super) struct Channel {
    transport: Transport,
    reader: FrameReader,
    scope: Scope,
    out: Vec<u8>,
    scratch: Vec<u8>,
    stop: Stop,
    patience: Duration,
}

impl Channel {
    /// Takes over a connection that the reactor has accepted and let in.
    pub(super) fn adopt(
        detached: Detached,
        scope: Scope,
        stop: Stop,
    ) -> Result<Channel, TransferError> {
        let socket = SockRef::from(detached.transport.socket());
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(POLL))?;
        socket.set_write_timeout(Some(POLL))?;
        let mut channel = Channel {
            transport: detached.transport,
            reader: detached.reader,
            scope,
            out: detached.unsent,
            scratch: vec![0; SCRATCH_BYTES],
            stop,
            patience: SILENCE_MAX,
        };
        channel.flush()?;
        Ok(channel)
    }

    /// Dials a peer and greets it.
    pub(super) fn dial(target: &SnapshotTarget, stop: Stop) -> Result<Channel, TransferError> {
        let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
        let mut socket = None;
        for address in target.address.to_socket_addrs()? {
            if stop.is_raised() {
                return Err(TransferError::Stopped);
            }
            match StdStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(connected) => {
                    socket = Some(connected);
                    break;
                }
                Err(error) => failure = error,
            }
        }
        let socket = socket.ok_or(failure)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(POLL))?;
        socket.set_write_timeout(Some(POLL))?;
        let tls = match &target.tls {
            Some(config) => Some((config, server_name(&target.address)?)),
            None => None,
        };
        let mut channel = Channel {
            transport: Transport::dial(TcpStream::from_std(socket), tls)?,
            reader: FrameReader::new(HANDSHAKE_BYTES_MAX),
            scope: target.scope,
            out: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES],
            stop,
            patience: SILENCE_MAX,
        };
        channel.greet(target)?;
        Ok(channel)
    }

    /// Sends a message, and waits until the socket has taken it.
    pub(super) fn send(&mut self, message: &Transfer) -> Result<(), TransferError> {
        encode_transfer(self.scope, message, &mut self.out);
        self.flush()
    }

    /// Waits for the next message.
    pub(super) fn receive(&mut self) -> Result<Transfer, TransferError> {
        let body = self.body()?;
        Ok(decode_transfer(self.scope, body)?)
    }

    /// The other side may be silent for longer from now on: it has work to do that takes time.
    pub(super) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Gives up, and says why if that is possible.
    pub(super) fn fail(mut self, text: String) {
        // Nothing can be done about a word that does not arrive.
        let _ = self.send(&Transfer::Failed { text });
        self.close();
    }

    /// Ends the connection.
    pub(super) fn close(mut self) {
        self.transport.close();
    }

    fn greet(&mut self, target: &SnapshotTarget) -> Result<(), TransferError> {
        let hello = Greeting::Hello(target.hello.clone());
        codec::encode_greeting(&hello, true, &mut self.out);
        self.flush()?;
        let magic = loop {
            match self.reader.take_prefix::<{ MAGIC.len() }>() {
                Some(magic) => break magic,
                None => self.fill()?,
            }
        };
        if magic != MAGIC {
            return Err(TransferError::OutOfTurn("something else than a greeting"));
        }
        let body = self.body()?;
        let welcome = match codec::decode_greeting(body)? {
            Greeting::Welcome(welcome) => welcome,
            Greeting::Refused(refused) => return Err(TransferError::Refused(refused)),
            Greeting::Hello(_) => return Err(TransferError::OutOfTurn("a greeting")),
        };
        judge_welcome(&target.hello, &target.roll, target.node, &welcome)
            .map_err(TransferError::Refused)?;
        if run_of(&welcome) != target.run {
            return Err(TransferError::OtherRun(target.node));
        }
        self.reader.set_body_bytes_max(TRANSFER_FRAME_BYTES_MAX);
        Ok(())
    }

    fn body(&mut self) -> Result<bytes::Bytes, TransferError> {
        loop {
            if let Some(body) = self.reader.next_body()? {
                return Ok(body);
            }
            self.fill()?;
        }
    }

    /// Reads once, waiting as long as it may take.
    fn fill(&mut self) -> Result<(), TransferError> {
        let since = Instant::now();
        loop {
            if self.stop.is_raised() {
                return Err(TransferError::Stopped);
            }
            match self.transport.read(&mut self.scratch) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(count) => {
                    self.reader.extend(&self.scratch[..count]);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            if since.elapsed() > self.patience {
                return Err(TransferError::Silent(self.patience));
            }
        }
    }

    /// Writes everything that is to be sent, waiting as long as it may take.
    fn flush(&mut self) -> Result<(), TransferError> {
        let mut sent = 0;
        let mut since = Instant::now();
        loop {
            let step = match sent < self.out.len() {
                true => self.transport.write(&self.out[sent..]),
                false => self.transport.flush().map(|()| 0),
            };
            match step {
                Ok(0) if sent < self.out.len() => {
                    return Err(io::Error::from(io::ErrorKind::WriteZero).into());
                }
                Ok(0) => break,
                Ok(count) => {
                    sent += count;
                    since = Instant::now();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            if self.stop.is_raised() {
                return Err(TransferError::Stopped);
            }
            if since.elapsed() > self.patience {
                return Err(TransferError::Silent(self.patience));
            }
        }
        self.out.clear();
        Ok(())
    }
}

/// How long the other side may be silent while it reads a file of this length.
pub(super) fn reading_patience(bytes: u64) -> Duration {
    READING_PATIENCE + Duration::from_secs(bytes / SLOW_DISK_BYTES_PER_SECOND)
}

/// The run that a greeting speaks of.
fn run_of(hello: &Hello) -> PeerRun {
    PeerRun {
        node: hello.node.0,
        incarnation: hello.incarnation,
        process: hello.process,
        directory: hello.directory,
    }
}
