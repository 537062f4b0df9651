//! One connection: its socket, what it has to send, and what it waits for.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    time::Duration,
};

use mio::{Interest, Registry, Token, net::TcpStream};

use crate::{
    commands::Commands,
    measure::{Outcome, Recorder, Started},
    options::Plan,
    reply::scan,
    schedule::Clock,
};

/// How long the first connections may take; later ones have the rest of the run.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection, broken or not.
#[derive(Debug)]
pub(super) struct Connection {
    link: Link,
    /// What it sends.
    pub(super) commands: Commands,
    /// Encoded commands, the first `written` bytes of which the socket has taken.
    pub(super) output: Vec<u8>,
    written: usize,
    /// The beginning of a reply whose end has not come.
    partial: Vec<u8>,
    /// What has no reply yet, in the order of the replies.
    pub(super) in_flight: VecDeque<Started>,
    /// Whether it is in the driver's queue of connections with room.
    pub(super) is_queued: bool,
    /// How many links it has lost.
    attempts: usize,
    /// Bytes sent, by all links.
    pub(super) sent_bytes: u64,
    /// Bytes received, by all links.
    pub(super) received_bytes: u64,
}

#[derive(Debug)]
enum Link {
    Open(TcpStream),
    Connecting(TcpStream),
    Broken,
}

impl Connection {
    /// Connects, and waits for it.
    pub(super) fn open(plan: &Plan, number: usize, registry: &Registry) -> Result<Self, String> {
        let target = plan.target(number, 0);
        let connect = || -> io::Result<TcpStream> {
            let stream = std::net::TcpStream::connect_timeout(&target.address, CONNECT_TIMEOUT)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            register(&mut stream, number, registry)?;
            Ok(stream)
        };
        let stream = connect().map_err(|error| {
            let (name, all) = (&target.name, plan.connections);
            format!(
                "connection {} of {all} to {name} failed: {error}",
                number + 1
            )
        })?;
        Ok(Connection {
            link: Link::Open(stream),
            commands: Commands::new(plan, number),
            output: Vec::new(),
            written: 0,
            partial: Vec::new(),
            in_flight: VecDeque::with_capacity(plan.pipeline),
            is_queued: true,
            attempts: 0,
            sent_bytes: 0,
            received_bytes: 0,
        })
    }

    /// Begins to connect again, to the next target.
    pub(super) fn begin_connect(
        &mut self,
        plan: &Plan,
        number: usize,
        registry: &Registry,
    ) -> Result<(), String> {
        let target = plan.target(number, self.attempts);
        let connect = || -> io::Result<TcpStream> {
            let mut stream = TcpStream::connect(target.address)?;
            register(&mut stream, number, registry)?;
            Ok(stream)
        };
        let stream = connect().map_err(|error| format!("cannot connect: {error}"))?;
        self.link = Link::Connecting(stream);
        Ok(())
    }

    /// Whether commands can be sent.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.link, Link::Open(_))
    }

    /// The socket can be written to: it is connected, or has taken what filled it.
    pub(super) fn became_writable(&mut self) -> Result<(), String> {
        if let Link::Connecting(stream) = &self.link {
            let failure = stream.take_error().unwrap_or_else(Some);
            if let Some(error) = failure {
                return Err(format!("cannot connect: {error}"));
            }
            if stream.peer_addr().is_err() {
                return Ok(());
            }
            // Without it small commands would only wait longer; the first connections have it.
            let _ = stream.set_nodelay(true);
            let Link::Connecting(stream) = std::mem::replace(&mut self.link, Link::Broken) else {
                return Ok(());
            };
            self.link = Link::Open(stream);
        }
        self.flush()
    }

    /// Writes what there is, as far as the socket takes it.
    pub(super) fn flush(&mut self) -> Result<(), String> {
        let Link::Open(stream) = &mut self.link else {
            return Ok(());
        };
        while self.written < self.output.len() {
            match stream.write(&self.output[self.written..]) {
                Ok(bytes) => {
                    self.written += bytes;
                    self.sent_bytes += bytes as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot send: {error}")),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads what has come, and counts the replies in it. `is_ending` says that there is an end or an
    /// error behind it, which will not be announced again.
    pub(super) fn receive(
        &mut self,
        buffer: &mut [u8],
        is_ending: bool,
        clock: Clock,
        recorder: &mut Recorder,
    ) -> Result<(), String> {
        loop {
            let Link::Open(stream) = &mut self.link else {
                return Ok(());
            };
            let bytes = match stream.read(buffer) {
                Ok(0) => return Err("the server closed the connection".to_owned()),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("cannot receive: {error}")),
            };
            self.received_bytes += bytes as u64;
            self.take_replies(&buffer[..bytes], clock.now(), recorder)?;
            // A stream socket that gave less than there was room for has no more (epoll(7)).
            if bytes < buffer.len() && !is_ending {
                return Ok(());
            }
        }
    }

    fn take_replies(
        &mut self,
        received: &[u8],
        now: u64,
        recorder: &mut Recorder,
    ) -> Result<(), String> {
        let mut partial = std::mem::take(&mut self.partial);
        let input = if partial.is_empty() {
            received
        } else {
            partial.extend_from_slice(received);
            &partial
        };
        let mut position = 0;
        while let Some((outcome, bytes)) =
            scan(&input[position..]).map_err(|error| error.to_string())?
        {
            let Some(started) = self.in_flight.pop_front() else {
                return Err("a reply came that nobody asked for".to_owned());
            };
            recorder.ended(started, now, outcome);
            position += bytes;
        }
        if partial.is_empty() {
            partial.extend_from_slice(&received[position..]);
        } else {
            partial.drain(..position);
        }
        self.partial = partial;
        Ok(())
    }

    /// Gives the link up: everything in flight failed for this reason.
    pub(super) fn lose(
        &mut self,
        plan: &Plan,
        number: usize,
        reason: &str,
        now: u64,
        recorder: &mut Recorder,
    ) {
        let text = format!("{}: {reason}", plan.target(number, self.attempts).name);
        if self.in_flight.is_empty() {
            recorder.failed(&text);
        }
        for started in self.in_flight.drain(..) {
            recorder.ended(started, now, Outcome::Failed(&text));
        }
        self.link = Link::Broken;
        self.output.clear();
        self.written = 0;
        self.partial.clear();
        self.attempts += 1;
    }
}

fn register(stream: &mut TcpStream, number: usize, registry: &Registry) -> io::Result<()> {
    let interest = Interest::READABLE | Interest::WRITABLE;
    registry.register(stream, Token(number), interest)
}
