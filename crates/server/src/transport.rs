//! A byte stream that is either plain TCP or TLS over it, for a readiness loop.
//!
//! The reactor is edge-triggered: it reads or writes a stream until the stream says
//! [`WouldBlock`](io::ErrorKind::WouldBlock), and then waits for the next edge. rustls keeps its
//! own buffers between the socket and the plaintext, so two questions have other answers over TLS
//! than over a bare socket, and both are asked here rather than guessed by the caller:
//!
//! - "Did a short read empty the socket?" ([`Transport::short_read_is_empty`]): yes on a bare
//!   socket, which saves one system call a turn; never over TLS, where records and reads do not
//!   line up.
//! - "Is there output that the caller has already handed over?" ([`Transport::wants_write`]): never
//!   on a bare socket; over TLS, records may wait for the socket, handshake records among them.

use std::io;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::sync::Arc;

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::pki_types::ServerName;

/// The most plaintext rustls may hold for a socket that does not take it. What does not fit stays
/// with the caller, whose own limits then apply.
const TLS_BUFFER_BYTES_MAX: usize = 256 * 1024;

/// One non-blocking stream.
#[derive(Debug)]
pub(crate) enum Transport {
    /// TCP as it is.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream>),
}

/// A rustls session and the socket under it.
#[derive(Debug)]
pub(crate) struct TlsStream {
    socket: TcpStream,
    session: rustls::Connection,
}

impl Transport {
    /// Wraps an accepted socket: TLS when a server configuration is given.
    pub(crate) fn accept(
        socket: TcpStream,
        tls: Option<&Arc<rustls::ServerConfig>>,
    ) -> io::Result<Transport> {
        let Some(config) = tls else {
            return Ok(Transport::Plain(socket));
        };
        let mut session =
            rustls::ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        session.set_buffer_limit(Some(TLS_BUFFER_BYTES_MAX));
        Ok(Transport::Tls(Box::new(TlsStream {
            socket,
            session: session.into(),
        })))
    }

    /// Wraps a dialled socket: TLS when a client configuration and the name to verify are given.
    pub(crate) fn dial(
        socket: TcpStream,
        tls: Option<(&Arc<rustls::ClientConfig>, ServerName<'static>)>,
    ) -> io::Result<Transport> {
        let Some((config, name)) = tls else {
            return Ok(Transport::Plain(socket));
        };
        let mut session =
            rustls::ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        session.set_buffer_limit(Some(TLS_BUFFER_BYTES_MAX));
        Ok(Transport::Tls(Box::new(TlsStream {
            socket,
            session: session.into(),
        })))
    }

    /// Reads plaintext. `Ok(0)` is the end of the stream; `WouldBlock` means that nothing is left
    /// to read until the next readable edge.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => retry_interrupted(|| socket.read(buffer)),
            Transport::Tls(stream) => stream.read(buffer),
        }
    }

    /// Writes plaintext and returns how much was taken, which over TLS may still wait for the
    /// socket.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => retry_interrupted(|| socket.write(bytes)),
            Transport::Tls(stream) => stream.write(bytes),
        }
    }

    /// Pushes out what an earlier call has taken. Over plain TCP there is nothing to push.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match self {
            Transport::Plain(_) => Ok(()),
            Transport::Tls(stream) => stream.flush(),
        }
    }

    /// Says goodbye: TLS's close alert if there is room for it, then the end of our half of the
    /// stream. Errors are of no interest to anybody here.
    pub(crate) fn close(&mut self) {
        if let Transport::Tls(stream) = self {
            stream.session.send_close_notify();
            let _ = stream.flush();
        }
        let _ = self.socket().shutdown(Shutdown::Write);
    }

    /// Registers the socket for both directions, edge-triggered, once for its whole life: interest
    /// never changes, so no system call is spent on changing it.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.socket_mut().register(registry, token, interest)
    }

    /// Takes the socket out of the poll.
    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.socket_mut().deregister(registry)
    }

    /// Whether a read that did not fill its buffer has emptied the socket.
    pub(crate) fn short_read_is_empty(&self) -> bool {
        matches!(self, Transport::Plain(_))
    }

    /// Whether bytes taken by [`write`](Self::write), or made by the TLS handshake, wait for the
    /// socket.
    pub(crate) fn wants_write(&self) -> bool {
        match self {
            Transport::Plain(_) => false,
            Transport::Tls(stream) => stream.session.wants_write(),
        }
    }

    /// The socket underneath.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Transport::Plain(socket) => socket,
            Transport::Tls(stream) => &stream.socket,
        }
    }

    fn socket_mut(&mut self) -> &mut TcpStream {
        match self {
            Transport::Plain(socket) => socket,
            Transport::Tls(stream) => &mut stream.socket,
        }
    }
}

impl TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The peer ended TCP without the TLS alert. RESP and peer frames know by themselves
                // whether they were cut, so truncation needs no error of its own.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) => return Err(error),
            }
            let TlsStream { socket, session } = self;
            if retry_interrupted(|| session.read_tls(socket))? == 0 {
                return Ok(0);
            }
            let processed = self.session.process_new_packets();
            // Handshake answers, and the alert that explains a failure, leave before anything else.
            match self.flush() {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        let taken = self.session.writer().write(bytes)?;
        if taken == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match self.flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let TlsStream { socket, session } = self;
        while session.wants_write() {
            if retry_interrupted(|| session.write_tls(socket))? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }
}

/// Repeats a system call that a signal interrupted.
fn retry_interrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
