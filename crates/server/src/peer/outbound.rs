//! The connection that this node dials to one peer, and sends everything for that peer on.
//!
//! A small state machine: wait, resolve, connect, greet, up; any failure leads back to waiting,
//! with a delay that doubles from 10 ms to 1 s and is drawn at random around that, so that the
//! nodes of a cluster that restarts together do not dial in step. The first delays are short
//! because a peer that was killed and started again should be met within milliseconds.

use std::io;
use std::net::SocketAddr;

use mio::Registry;
use mio::net::TcpStream;
use raft::NodeId;
use replica::{Disconnect, PeerMessage};
use rustls::pki_types::ServerName;
use tracing::debug;
use wal::KnownPeers;

use crate::tokens::Source;
use crate::transport::Transport;

use super::codec::{self, Greeting, Incoming};
use super::frame::FRAME_BYTES_MAX;
use super::handshake::{Hello, MAGIC, Refused, judge_welcome};
use super::history::remember;
use super::stream::{Fill, Stream, is_reset};
use super::{PeerContext, random_unit};

const BACKOFF_FIRST_US: u64 = 10_000;
const BACKOFF_MAX_US: u64 = 1_000_000;

/// How long a TCP connection may take to come up, and again how long the greeting may take.
const CONNECT_TIMEOUT_US: u64 = 1_000_000;

/// How far the queue of one peer may grow. Messages beyond it are dropped: all of Raft's may be
/// lost (the leader's probes and heartbeats find out what is missing), and Raft's own window keeps
/// honest traffic far below. It bounds the memory that a stalled peer can cost the others.
pub(super) const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The dialled connection of one peer.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) node: NodeId,
    address: String,
    index: usize,
    phase: Phase,
    stream: Option<Stream>,
    /// What the address resolved to; a failed attempt moves on to the next.
    resolved: Vec<SocketAddr>,
    next_resolved: usize,
    backoff_us: u64,
    last_heard_us: u64,
    last_ping_us: u64,
    pub(super) statistics: OutboundStatistics,
}

/// Figures for /metrics.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct OutboundStatistics {
    pub(super) messages_sent: u64,
    pub(super) messages_dropped: u64,
    pub(super) round_trip_us: u64,
    pub(super) bytes_sent_before: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing is under way until this time.
    Waiting { dial_at_us: u64 },
    /// The resolver is at work.
    Resolving,
    /// TCP is.
    Connecting { until_us: u64 },
    /// The greeting is.
    Greeting { until_us: u64 },
    /// Messages may be sent.
    Up,
    /// The peer is no member any more: nothing is dialled again.
    Ended,
}

/// What an outbound connection has to tell.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Nothing.
    Quiet,
    /// The name of the peer has to be resolved.
    Resolve,
    /// The handshake is done.
    Up(Hello),
    /// This node refuses the peer.
    Refused(Refused),
    /// The peer refuses this node.
    RefusedByPeer(Refused),
    /// The connection, or the attempt at one, failed.
    Down(Disconnect, String),
}

impl Outbound {
    pub(super) fn new(node: NodeId, address: String, index: usize) -> Outbound {
        Outbound {
            node,
            address,
            index,
            phase: Phase::Waiting { dial_at_us: 0 },
            stream: None,
            resolved: Vec::new(),
            next_resolved: 0,
            backoff_us: BACKOFF_FIRST_US,
            last_heard_us: 0,
            last_ping_us: 0,
            statistics: OutboundStatistics::default(),
        }
    }

    /// Whether messages can be sent.
    pub(super) fn is_up(&self) -> bool {
        self.phase == Phase::Up
    }

    /// Bytes that wait for the peer.
    pub(super) fn queued_bytes(&self) -> usize {
        self.stream.as_ref().map_or(0, Stream::queued_bytes)
    }

    /// All bytes ever sent to the peer.
    pub(super) fn bytes_sent(&self) -> u64 {
        let current = self.stream.as_ref().map_or(0, |stream| stream.sent_bytes);
        self.statistics.bytes_sent_before + current
    }

    /// Where the connection leads.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Takes note of an edge.
    pub(super) fn set_ready(&mut self, readable: bool, writable: bool, read_closed: bool) {
        if let Some(stream) = &mut self.stream {
            stream.set_ready(readable, writable, read_closed);
        }
    }

    /// Does what time asks for: dial, give up, ping.
    pub(super) fn tick(&mut self, context: &PeerContext, now_us: u64) -> Outcome {
        match self.phase {
            Phase::Waiting { dial_at_us } if dial_at_us <= now_us => self.dial(context, now_us),
            Phase::Connecting { until_us } | Phase::Greeting { until_us } if until_us <= now_us => {
                let reason = format!("no answer from {}", self.address);
                self.fail(context, now_us, Disconnect::Lost, reason)
            }
            Phase::Up if now_us.saturating_sub(self.last_heard_us) > context.idle_timeout_us => {
                let reason = format!("nothing heard from {}", self.address);
                self.fail(context, now_us, Disconnect::Lost, reason)
            }
            Phase::Up if now_us.saturating_sub(self.last_ping_us) >= context.ping_interval_us => {
                self.last_ping_us = now_us;
                if let Some(stream) = &mut self.stream {
                    codec::encode_ping(context.scope, now_us, stream.out());
                }
                Outcome::Quiet
            }
            _ => Outcome::Quiet,
        }
    }

    /// The resolver's answer.
    pub(super) fn resolved(
        &mut self,
        context: &PeerContext,
        now_us: u64,
        answer: io::Result<Vec<SocketAddr>>,
    ) -> Outcome {
        if self.phase != Phase::Resolving {
            return Outcome::Quiet;
        }
        match answer {
            Ok(addresses) if !addresses.is_empty() => {
                self.resolved = addresses;
                self.next_resolved = 0;
                self.connect(context, now_us)
            }
            Ok(_) => {
                let reason = format!("{} has no address", self.address);
                self.fail(context, now_us, Disconnect::Lost, reason)
            }
            Err(error) => {
                let reason = format!("cannot resolve {}: {error}", self.address);
                self.fail(context, now_us, Disconnect::Lost, reason)
            }
        }
    }

    /// Queues a message. Returns false if it cannot be, because the peer is not there or far
    /// behind.
    pub(super) fn send(&mut self, context: &PeerContext, message: &PeerMessage) -> bool {
        let stream = self.stream.as_mut().filter(|_| self.phase == Phase::Up);
        let Some(stream) = stream.filter(|stream| stream.queued_bytes() <= QUEUE_BYTES_MAX) else {
            self.statistics.messages_dropped += 1;
            return false;
        };
        codec::encode_message(context.scope, message, stream.out());
        self.statistics.messages_sent += 1;
        true
    }

    /// Reads and writes what can be; called after edges and, to write, at the end of a turn.
    pub(super) fn drive(
        &mut self,
        context: &PeerContext,
        known: &mut KnownPeers,
        now_us: u64,
        scratch: &mut [u8],
    ) -> Outcome {
        if matches!(self.phase, Phase::Connecting { .. }) {
            match self.finish_connect(context, now_us) {
                Ok(true) => {}
                Ok(false) => return Outcome::Quiet,
                Err(error) => return self.fail_io(context, now_us, &error),
            }
        }
        match self.receive(context, known, now_us, scratch) {
            Ok(Outcome::Quiet) => self.flush(context, now_us),
            Ok(outcome) => outcome,
            Err(error) => self.fail_io(context, now_us, &error),
        }
    }

    /// Writes what is queued.
    pub(super) fn flush(&mut self, context: &PeerContext, now_us: u64) -> Outcome {
        let Some(stream) = &mut self.stream else {
            return Outcome::Quiet;
        };
        match stream.flush() {
            Ok(()) => Outcome::Quiet,
            Err(error) => self.fail_io(context, now_us, &error),
        }
    }

    /// Whether there is something left to read that needs no further edge.
    pub(super) fn has_input(&self) -> bool {
        let is_connected = matches!(self.phase, Phase::Greeting { .. } | Phase::Up);
        is_connected && self.stream.as_ref().is_some_and(Stream::is_readable)
    }

    /// The peer has shown that it is there: the next tick dials.
    pub(super) fn dial_soon(&mut self) {
        self.backoff_us = BACKOFF_FIRST_US;
        if let Phase::Waiting { dial_at_us } = &mut self.phase {
            *dial_at_us = 0;
        }
    }

    /// Ends the connection from this side and dials anew after the usual delay.
    pub(super) fn drop_connection(&mut self, context: &PeerContext, now_us: u64) {
        self.close(context.registry());
        let jitter = 0.5 + random_unit(context.seed ^ now_us ^ self.node.0);
        let delay_us = (self.backoff_us as f64 * jitter) as u64;
        self.backoff_us = (self.backoff_us * 2).min(BACKOFF_MAX_US);
        self.phase = Phase::Waiting {
            dial_at_us: now_us + delay_us,
        };
    }

    /// Ends the connection for good.
    pub(super) fn end(&mut self, context: &PeerContext) {
        self.close(context.registry());
        self.phase = Phase::Ended;
    }

    /// Whether it was ended for good.
    pub(super) fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    fn dial(&mut self, context: &PeerContext, now_us: u64) -> Outcome {
        if let Ok(address) = self.address.parse::<SocketAddr>() {
            self.resolved = vec![address];
            self.next_resolved = 0;
        }
        // Once every address of a name has failed, it is looked up again: it may have moved.
        if self.next_resolved >= self.resolved.len() {
            self.phase = Phase::Resolving;
            return Outcome::Resolve;
        }
        self.connect(context, now_us)
    }

    fn connect(&mut self, context: &PeerContext, now_us: u64) -> Outcome {
        let address = self.resolved[self.next_resolved];
        self.next_resolved += 1;
        match self.open(context, address) {
            Ok(stream) => {
                self.stream = Some(stream);
                self.phase = Phase::Connecting {
                    until_us: now_us + CONNECT_TIMEOUT_US,
                };
                Outcome::Quiet
            }
            Err(error) => self.fail_io(context, now_us, &error),
        }
    }

    fn open(&self, context: &PeerContext, address: SocketAddr) -> io::Result<Stream> {
        let socket = TcpStream::connect(address)?;
        let tls = match &context.tls {
            None => None,
            Some(tls) => Some((&tls.client, server_name(&self.address)?)),
        };
        let mut transport = Transport::dial(socket, tls)?;
        transport.register(context.registry(), Source::Outbound(self.index).token())?;
        Ok(Stream::new(transport))
    }

    /// Whether TCP has come up; then our greeting is queued.
    fn finish_connect(&mut self, context: &PeerContext, now_us: u64) -> io::Result<bool> {
        let Some(stream) = &mut self.stream else {
            return Ok(false);
        };
        let socket = stream.transport.socket();
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        if !stream.is_writable() || socket.peer_addr().is_err() {
            return Ok(false);
        }
        socket.set_nodelay(true)?;
        let hello = Hello {
            target: self.node,
            ..context.hello.clone()
        };
        codec::encode_greeting(&Greeting::Hello(hello), true, stream.out());
        self.phase = Phase::Greeting {
            until_us: now_us + CONNECT_TIMEOUT_US,
        };
        Ok(true)
    }

    fn receive(
        &mut self,
        context: &PeerContext,
        known: &mut KnownPeers,
        now_us: u64,
        scratch: &mut [u8],
    ) -> io::Result<Outcome> {
        let Some(stream) = &mut self.stream else {
            return Ok(Outcome::Quiet);
        };
        let fill = stream.fill(scratch)?;
        if self.phase != Phase::Up {
            if let Some(outcome) = self.receive_greeting(context, known, now_us)? {
                return Ok(outcome);
            }
        } else {
            self.receive_pongs(context, now_us)?;
        }
        match fill {
            Fill::End => Err(io::ErrorKind::UnexpectedEof.into()),
            Fill::Drained | Fill::More => Ok(Outcome::Quiet),
        }
    }

    fn receive_greeting(
        &mut self,
        context: &PeerContext,
        known: &mut KnownPeers,
        now_us: u64,
    ) -> io::Result<Option<Outcome>> {
        let Some(stream) = &mut self.stream else {
            return Ok(None);
        };
        let Some(body) = next_greeting(stream)? else {
            return Ok(None);
        };
        match codec::decode_greeting(body).map_err(invalid_data)? {
            Greeting::Welcome(hello) => {
                let verdict = judge_welcome(&context.hello, &context.roll, self.node, &hello)
                    .and_then(|()| remember(known, &context.hello, &hello));
                if let Err(refused) = verdict {
                    codec::encode_refusal(context.scope, &refused, stream.out());
                    // What the socket does not take at once the peer will not be told.
                    let _ = stream.flush();
                    self.pause(context, now_us);
                    return Ok(Some(Outcome::Refused(refused)));
                }
                stream.reader.set_body_bytes_max(FRAME_BYTES_MAX);
                self.phase = Phase::Up;
                self.backoff_us = BACKOFF_FIRST_US;
                self.next_resolved = 0;
                self.last_heard_us = now_us;
                self.last_ping_us = now_us;
                Ok(Some(Outcome::Up(hello)))
            }
            Greeting::Refused(refused) => {
                self.pause(context, now_us);
                Ok(Some(Outcome::RefusedByPeer(refused)))
            }
            Greeting::Hello(_) => Err(invalid_data("a greeting out of turn")),
        }
    }

    /// Ends the connection after a refusal.
    fn pause(&mut self, context: &PeerContext, now_us: u64) {
        // Nothing that is refused mends itself within milliseconds, but for a restarted process
        // whose old connection has not been noticed to be dead.
        self.backoff_us = (BACKOFF_MAX_US / 8).max(self.backoff_us);
        self.drop_connection(context, now_us);
    }

    fn receive_pongs(&mut self, context: &PeerContext, now_us: u64) -> io::Result<()> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        while let Some(body) = stream.reader.next_body().map_err(invalid_data)? {
            self.last_heard_us = now_us;
            match codec::decode_message(context.scope, body).map_err(invalid_data)? {
                Incoming::Pong(sent_us) => {
                    self.statistics.round_trip_us = now_us.saturating_sub(sent_us);
                }
                Incoming::Ping(_) | Incoming::Message(_) | Incoming::Refused(_) => {
                    return Err(invalid_data(
                        "a message against the direction of its connection",
                    ));
                }
            }
        }
        Ok(())
    }

    fn fail_io(&mut self, context: &PeerContext, now_us: u64, error: &io::Error) -> Outcome {
        let disconnect = if is_reset(error) {
            Disconnect::Reset
        } else {
            Disconnect::Lost
        };
        let reason = match error.kind() {
            io::ErrorKind::UnexpectedEof => format!("{} closed the connection", self.address),
            _ => format!("{}: {error}", self.address),
        };
        self.fail(context, now_us, disconnect, reason)
    }

    fn fail(
        &mut self,
        context: &PeerContext,
        now_us: u64,
        disconnect: Disconnect,
        reason: String,
    ) -> Outcome {
        debug!(peer = self.node.0, %reason, "connection attempt ended");
        self.drop_connection(context, now_us);
        Outcome::Down(disconnect, reason)
    }

    fn close(&mut self, registry: &Registry) {
        if let Some(mut stream) = self.stream.take() {
            self.statistics.bytes_sent_before += stream.sent_bytes;
            stream.transport.close();
            let _ = stream.transport.deregister(registry);
        }
    }
}

/// The name that a peer's certificate must show: the host it was dialled by.
pub(crate) fn server_name(address: &str) -> io::Result<ServerName<'static>> {
    let host = address.rsplit_once(':').map_or("", |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned()).map_err(io::Error::other)
}

/// The next frame of a handshake. The magic, which comes before the other side's first frame, is
/// taken off the stream with it; a connection has exactly one greeting each way.
pub(super) fn next_greeting(stream: &mut Stream) -> io::Result<Option<bytes::Bytes>> {
    if !stream.reader.is_prefix_taken() {
        let Some(magic) = stream.reader.take_prefix::<{ MAGIC.len() }>() else {
            return Ok(None);
        };
        if magic != MAGIC {
            return Err(invalid_data("not the peer protocol"));
        }
    }
    stream.reader.next_body().map_err(invalid_data)
}

pub(super) fn invalid_data(
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
