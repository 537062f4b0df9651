//! A connection that hides nothing: what the server sends, when it sends it, and every error.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use resp::{ReplyParser, Value};

use super::PATIENCE;

/// A blocking client connection without reconnects, retries or pools.
pub struct Connection {
    stream: TcpStream,
    parser: ReplyParser,
    received: Vec<u8>,
}

impl Connection {
    /// Connects to a port of 127.0.0.1.
    pub fn open(port: u16) -> io::Result<Connection> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Connection {
            stream,
            parser: ReplyParser::new(),
            received: Vec::new(),
        })
    }

    /// How long to wait for a reply.
    pub fn set_patience(&mut self, patience: Duration) {
        self.stream
            .set_read_timeout(Some(patience))
            .expect("a timeout above zero");
    }

    /// Sends a command and receives its reply.
    pub fn ask(&mut self, command: &[&str]) -> io::Result<Value> {
        self.send(&encode(command))?;
        self.receive()
    }

    /// Sends a command and receives its reply, which must not be an error.
    pub fn call(&mut self, command: &[&str]) -> Value {
        let reply = self
            .ask(command)
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        assert!(reply.as_error().is_none(), "{command:?}: {}", text(&reply));
        reply
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Receives one reply.
    pub fn receive(&mut self) -> io::Result<Value> {
        Ok(self.receive_with_bytes()?.0)
    }

    /// Receives one reply, with the bytes that it was sent as.
    pub fn receive_with_bytes(&mut self) -> io::Result<(Value, Vec<u8>)> {
        loop {
            let parsed = self.parser.parse(&self.received);
            let parsed = parsed.map_err(|error| {
                let sent = String::from_utf8_lossy(&self.received).into_owned();
                io::Error::new(ErrorKind::InvalidData, format!("{error} in {sent:?}"))
            })?;
            if let Some((value, length)) = parsed {
                return Ok((value, self.received.drain(..length).collect()));
            }
            let mut chunk = [0; 64 << 10];
            match self.stream.read(&mut chunk)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => self.received.extend_from_slice(&chunk[..count]),
            }
        }
    }

    /// Receives everything until the server closes the connection, or nothing came for `patience`.
    pub fn receive_rest(&mut self, patience: Duration) -> io::Result<(Vec<u8>, bool)> {
        self.set_patience(patience);
        let mut chunk = [0; 64 << 10];
        let is_closed = loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => break true,
                Ok(count) => self.received.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break true,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    break false;
                }
                Err(error) => return Err(error),
            }
        };
        Ok((std::mem::take(&mut self.received), is_closed))
    }

    /// A second handle, for a thread that sends while this one receives.
    pub fn sender(&self) -> TcpStream {
        self.stream
            .try_clone()
            .expect("a second handle to a socket")
    }
}

/// A command as it is sent.
pub fn encode<Argument: AsRef<[u8]>>(command: &[Argument]) -> Vec<u8> {
    let mut bytes = Vec::new();
    resp::encode_request(&mut bytes, command);
    bytes
}

/// The text of a string or an error, for comparisons and messages.
pub fn text(value: &Value) -> String {
    match value.as_error().or_else(|| value.as_bytes()) {
        Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        None => format!("{value:?}"),
    }
}
