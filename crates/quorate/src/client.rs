//! A connection to one node: blocking, with a deadline for everything.
//!
//! The tools need a client that can say *where in a conversation* it broke: a request that certainly
//! never left may be sent elsewhere, one that may have arrived may not. So there is no hidden retry
//! here, and no pool.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use resp::{ReplyBuffer, Value, encode_request};
use server::config::Address;

use crate::{login::Login, transport::Transport};

/// How long a wait for a reply lasts before it looks whether it was interrupted.
const INTERRUPT_POLL: Duration = Duration::from_millis(100);

/// What a node that speaks TLS says to one that does not: the first byte of an alert (RFC 8446,
/// section 5.1). No reply begins with it.
const TLS_ALERT: u8 = 0x15;

/// Why a conversation with a node ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClientError {
    /// No connection could be made: nothing was sent.
    #[error("cannot reach {address}: {reason}")]
    Unreachable {
        /// The node's address.
        address: Address,
        /// What the system said.
        reason: String,
    },
    /// The node did not accept the password, the protocol or the database.
    #[error("{address} refused {what}: {reason}")]
    Refused {
        /// The node's address.
        address: Address,
        /// The command it refused.
        what: &'static str,
        /// Its error.
        reason: String,
    },
    /// The node wants to know who asks.
    #[error("{address} wants a password: give it with -a or REDISCLI_AUTH")]
    NeedsPassword {
        /// The node's address.
        address: Address,
    },
    /// The node speaks TLS, and this side does not.
    #[error("{address} speaks TLS: add --tls --cacert FILE")]
    NeedsTls {
        /// The node's address.
        address: Address,
    },
    /// This side speaks TLS, and what came back is not TLS.
    #[error("{address} does not seem to speak TLS ({reason}): try without --tls and --cacert")]
    NotTls {
        /// The node's address.
        address: Address,
        /// What came back.
        reason: String,
    },
    /// The connection broke, or what came over it was not a reply.
    #[error("connection to {address} lost: {reason}")]
    Lost {
        /// The node's address.
        address: Address,
        /// What the system said.
        reason: String,
    },
    /// No reply came in time.
    #[error("no answer from {address} within {} s", within.as_secs_f64())]
    TimedOut {
        /// The node's address.
        address: Address,
        /// The time that was given.
        within: Duration,
    },
    /// Somebody pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl ClientError {
    /// Whether who asks, or how, is at fault: it is so at every node, and will be in a second.
    pub(crate) fn is_of_the_login(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::NeedsPassword { .. } | Self::NeedsTls { .. } => true,
            // One that dies in the middle of it looks the same.
            Self::NotTls { .. }
            | Self::Unreachable { .. }
            | Self::Lost { .. }
            | Self::TimedOut { .. }
            | Self::Interrupted => false,
        }
    }
}

/// A connection to one node.
pub(crate) struct Connection {
    address: Address,
    stream: Transport,
    replies: ReplyBuffer,
    /// Whether a byte has come from the node.
    has_heard: bool,
    /// How long the node may let a request wait before it takes it.
    send_timeout: Duration,
}

impl Connection {
    /// Connects and logs in.
    pub(crate) fn open(
        address: &Address,
        login: &Login,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        let unreachable = |error: io::Error| ClientError::Unreachable {
            address: address.clone(),
            reason: plain_reason(&error),
        };
        let stream = connect(address, timeout).map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        stream
            .set_write_timeout(Some(timeout))
            .map_err(unreachable)?;
        // For the handshake of TLS, which comes with the first request.
        stream
            .set_read_timeout(Some(timeout))
            .map_err(unreachable)?;
        let stream =
            Transport::new(stream, login.tls.as_ref(), &address.host).map_err(unreachable)?;
        let mut connection = Self {
            address: address.clone(),
            stream,
            replies: ReplyBuffer::default(),
            has_heard: false,
            send_timeout: timeout,
        };
        connection.log_in(login, timeout)?;
        Ok(connection)
    }

    /// Sends requests that [`encode_request`] wrote.
    pub(crate) fn send(&mut self, requests: &[u8]) -> Result<(), ClientError> {
        self.stream
            .write_all(requests)
            .and_then(|()| self.stream.flush())
            .map_err(|error| self.broken(&error))
    }

    /// Waits for the next reply or push. Without a `timeout` it waits until there is one.
    pub(crate) fn receive(
        &mut self,
        timeout: Option<Duration>,
        interrupted: Option<&AtomicBool>,
    ) -> Result<Value, ClientError> {
        let started = Instant::now();
        let mut chunk = [0; 16 * 1024];
        loop {
            let next = self.replies.next_value();
            if let Some(value) = next.map_err(|error| self.lost(&error))? {
                return Ok(value);
            }
            if interrupted.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
                return Err(ClientError::Interrupted);
            }
            let left = timeout.map(|timeout| timeout.saturating_sub(started.elapsed()));
            if left == Some(Duration::ZERO) {
                let within = timeout.unwrap_or_default();
                return Err(ClientError::TimedOut {
                    address: self.address.clone(),
                    within,
                });
            }
            let wait = left.map_or(INTERRUPT_POLL, |left| left.min(INTERRUPT_POLL));
            self.stream
                .socket()
                .set_read_timeout(Some(wait))
                .map_err(|error| self.lost(&error))?;
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(self.broken(&io::ErrorKind::UnexpectedEof.into())),
                Ok(_) if self.is_told_to_speak_tls(chunk[0]) => {
                    return Err(ClientError::NeedsTls {
                        address: self.address.clone(),
                    });
                }
                Ok(count) => {
                    self.has_heard = true;
                    self.replies.feed(&chunk[..count]);
                }
                Err(error) if is_retryable(&error) => {}
                Err(error) => return Err(self.broken(&error)),
            }
        }
    }

    /// Sends one command and waits for its reply.
    pub(crate) fn call(
        &mut self,
        args: &[impl AsRef<[u8]>],
        timeout: Duration,
    ) -> Result<Value, ClientError> {
        let mut request = Vec::new();
        encode_request(&mut request, args);
        self.send(&request)?;
        loop {
            let value = self.receive(Some(timeout), None)?;
            if !matches!(value, Value::Push(_)) {
                return Ok(value);
            }
        }
    }

    /// Whether the node has closed the connection while nobody looked. A request must not be given
    /// to such a connection: it would be lost without need.
    pub(crate) fn is_closed(&self) -> bool {
        let mut byte = [0];
        if self.stream.socket().set_nonblocking(true).is_err() {
            return true;
        }
        let peeked = self.stream.socket().peek(&mut byte);
        let is_open = match peeked {
            Ok(count) => count > 0,
            Err(error) => is_retryable(&error),
        };
        self.stream.socket().set_nonblocking(false).is_err() || !is_open
    }

    /// The node's address, as it was given.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    fn log_in(&mut self, login: &Login, timeout: Duration) -> Result<(), ClientError> {
        let user = login.user.clone().unwrap_or_else(|| b"default".to_vec());
        if login.is_resp3 {
            let mut hello = vec![b"HELLO".to_vec(), b"3".to_vec()];
            if let Some(password) = &login.password {
                hello.extend([b"AUTH".to_vec(), user, password.clone()]);
            }
            self.must("HELLO 3", &hello, timeout)?;
        } else if let Some(password) = &login.password {
            let mut auth = vec![b"AUTH".to_vec()];
            auth.extend(login.user.clone());
            auth.push(password.clone());
            self.must("AUTH", &auth, timeout)?;
        }
        if login.database != 0 {
            let number = login.database.to_string().into_bytes();
            self.must("SELECT", &[b"SELECT".to_vec(), number], timeout)?;
        }
        Ok(())
    }

    fn must(
        &mut self,
        what: &'static str,
        args: &[Vec<u8>],
        timeout: Duration,
    ) -> Result<(), ClientError> {
        match self.call(args, timeout)?.as_error() {
            None => Ok(()),
            Some(error) => Err(ClientError::Refused {
                address: self.address.clone(),
                what,
                reason: String::from_utf8_lossy(error).into_owned(),
            }),
        }
    }

    fn is_told_to_speak_tls(&self, first: u8) -> bool {
        !self.has_heard && !self.stream.is_tls() && first == TLS_ALERT
    }

    /// The connection broke. Where TLS is still being agreed on, the likely cause is that only one
    /// side speaks it.
    fn broken(&self, error: &io::Error) -> ClientError {
        if is_retryable(error) {
            return ClientError::TimedOut {
                address: self.address.clone(),
                within: self.send_timeout,
            };
        }
        let is_end = matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
        );
        let reason = match error.kind() {
            io::ErrorKind::UnexpectedEof => "closed by the node".to_owned(),
            _ => plain_reason(error),
        };
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
        let is_noise = matches!(cause, Some(rustls::Error::InvalidMessage(_)));
        match self.stream.is_handshaking() && (is_end || is_noise) {
            true => ClientError::NotTls {
                address: self.address.clone(),
                reason: match is_noise {
                    true => "it answered something else".to_owned(),
                    false => reason,
                },
            },
            false => self.lost(&reason),
        }
    }

    fn lost(&self, reason: &dyn std::fmt::Display) -> ClientError {
        ClientError::Lost {
            address: self.address.clone(),
            reason: reason.to_string(),
        }
    }
}

/// Tries each socket address behind a name, sharing the time between them.
fn connect(address: &Address, timeout: Duration) -> io::Result<TcpStream> {
    let candidates: Vec<SocketAddr> = address.resolve()?;
    let share = timeout / u32::try_from(candidates.len().max(1)).unwrap_or(1);
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for candidate in candidates {
        match TcpStream::connect_timeout(&candidate, share.max(Duration::from_millis(1))) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn is_retryable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

/// The system's words without its error number.
fn plain_reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_lowercase()
}
