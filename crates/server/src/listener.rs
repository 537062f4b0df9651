//! Listening sockets: bound before the data directory is touched, and drained without spinning.
//!
//! A process that is out of file descriptors cannot accept, and its listener stays readable. Trying
//! again at once would burn a core until some client leaves; so a listener that meets that error
//! rests for [`ACCEPT_PAUSE`] and is then tried again by the reactor's clock.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use crate::config::Address;
use crate::error::ServeError;
use crate::tokens::Source;

/// Connections that the system may hold until they are accepted, as Redis's `tcp-backlog`.
const BACKLOG: i32 = 511;

/// How long a listener rests when the process is out of file descriptors.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections accepted per listener and turn, so that a flood of them cannot starve the others.
const ACCEPTS_PER_TURN: usize = 64;

/// Idle time before the system probes a client that may have vanished, as Redis's `tcp-keepalive`.
const KEEPALIVE: Duration = Duration::from_secs(300);

/// One listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    /// Set by an edge, cleared when there was nothing left to accept.
    is_readable: bool,
    /// No accept before this time, in microseconds of the reactor's clock.
    resume_at_us: Option<u64>,
}

/// What a turn of accepting ended with.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// A connection.
    Connection(TcpStream, SocketAddr),
    /// Nothing more for now.
    Empty,
    /// The process is out of file descriptors; the listener rests.
    OutOfDescriptors(io::Error),
}

/// Binds every socket address that `address` stands for.
pub(crate) fn bind(
    setting: &'static str,
    address: &Address,
) -> Result<Vec<StdListener>, ServeError> {
    let fail = |source: io::Error| ServeError::Bind {
        setting,
        address: address.to_string(),
        source,
    };
    let resolved = address.resolve().map_err(fail)?;
    let mut listeners = Vec::new();
    let mut failure = None;
    for socket_addr in resolved {
        match bind_one(socket_addr) {
            Ok(listener) => listeners.push(listener),
            // A name such as localhost may stand for an address family that the machine lacks.
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => failure = Some(error),
            Err(error) => return Err(fail(error)),
        }
    }
    match (listeners.is_empty(), failure) {
        (false, _) => Ok(listeners),
        (true, Some(error)) => Err(fail(error)),
        (true, None) => Err(fail(io::ErrorKind::AddrNotAvailable.into())),
    }
}

fn bind_one(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Without it, a restart within the minute in which old connections linger could not bind.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

impl Listener {
    /// Puts a bound socket into the poll.
    pub(crate) fn register(
        socket: StdListener,
        registry: &Registry,
        source: Source,
    ) -> io::Result<Listener> {
        let mut socket = TcpListener::from_std(socket);
        registry.register(&mut socket, source.token(), Interest::READABLE)?;
        Ok(Listener {
            socket,
            is_readable: true,
            resume_at_us: None,
        })
    }

    /// An edge came: there is something to accept.
    pub(crate) fn set_readable(&mut self) {
        self.is_readable = true;
    }

    /// Accepts up to the turn's share, handing each connection to `take`; returns why it ended if
    /// that is worth telling.
    pub(crate) fn accept_all(
        &mut self,
        now_us: u64,
        mut take: impl FnMut(TcpStream, SocketAddr),
    ) -> Option<io::Error> {
        if !self.is_due(now_us) {
            return None;
        }
        self.resume_at_us = None;
        for _ in 0..ACCEPTS_PER_TURN {
            match self.accept() {
                Accepted::Connection(socket, address) => take(socket, address),
                Accepted::Empty => {
                    self.is_readable = false;
                    return None;
                }
                Accepted::OutOfDescriptors(error) => {
                    self.resume_at_us = Some(now_us + ACCEPT_PAUSE.as_micros() as u64);
                    return Some(error);
                }
            }
        }
        None
    }

    /// Whether accepting makes sense now.
    pub(crate) fn is_due(&self, now_us: u64) -> bool {
        self.is_readable && self.resume_at_us.is_none_or(|at| at <= now_us)
    }

    /// When a resting listener is to be tried again.
    pub(crate) fn resume_at_us(&self) -> Option<u64> {
        self.resume_at_us
    }

    fn accept(&self) -> Accepted {
        loop {
            match self.socket.accept() {
                Ok((socket, address)) => return Accepted::Connection(socket, address),
                Err(error) if is_out_of_descriptors(&error) => {
                    return Accepted::OutOfDescriptors(error);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Accepted::Empty,
                // The connection failed while it waited (ECONNABORTED and its kin): not the
                // listener's trouble, the next one is asked for.
                Err(_) => {}
            }
        }
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    error.raw_os_error().is_some_and(|code| {
        [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
            .iter()
            .any(|errno| errno.raw_os_error() == code)
    })
}

/// Options for a connection that carries requests and replies: no delay for small segments, and a
/// probe that finds clients whose machine vanished.
pub(crate) fn set_client_options(socket: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE / 3)
        .with_retries(3);
    socket.set_tcp_keepalive(&keepalive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named_together_with_its_setting() {
        let taken = StdListener::bind("127.0.0.1:0").expect("a free port");
        let port = taken.local_addr().expect("bound").port();
        let error = bind("bind", &Address::new("127.0.0.1", port)).expect_err("in use");
        let text = error.to_string();
        assert!(text.contains(&port.to_string()), "{text}");
        assert!(text.contains("bind"), "{text}");
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn every_error_that_means_no_descriptors_is_known() {
        let mfile = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        assert!(is_out_of_descriptors(&mfile));
        assert!(!is_out_of_descriptors(&io::ErrorKind::WouldBlock.into()));
    }
}
