//! A connection that a peer dialled, and sends its messages on. This node answers it with the
//! greeting and with pongs, never with messages: those leave on its own dialled connection.

use std::io;
use std::net::SocketAddr;

use mio::Registry;
use raft::NodeId;
use replica::PeerMessage;
use tracing::debug;
use wal::KnownPeers;

use super::PeerContext;
use super::codec::{self, DecodeError, Greeting, Incoming};
use super::frame::FRAME_BYTES_MAX;
use super::handshake::{Hello, LivePeer, Purpose, Refused, judge_hello};
use super::history::remember;
use super::outbound::{invalid_data, next_greeting};
use super::stream::{Detached, Fill, Stream};
use super::transfer::TRANSFER_FRAME_BYTES_MAX;

/// How long a dialler may take to say who it is.
const GREETING_TIMEOUT_US: u64 = 5_000_000;

/// A connection accepted at the peer port.
#[derive(Debug)]
pub(super) struct Inbound {
    stream: Stream,
    pub(super) address: SocketAddr,
    phase: Phase,
    last_heard_us: u64,
    pub(super) messages_received: u64,
}

#[derive(Debug)]
enum Phase {
    /// It has not said who it is.
    Greeting { until_us: u64 },
    /// It speaks for a member.
    Up {
        node: NodeId,
        process: u64,
        /// It speaks a later protocol too: what this release does not know of is no fault of its.
        is_newer: bool,
    },
    /// It brings a snapshot, and leaves the reactor: see [`Inbound::detach`].
    Snapshot,
    /// It was refused; the connection ends when it has been told.
    Refused,
}

/// What an inbound connection's turn led to.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Nothing that others need to know.
    Quiet,
    /// It asks to speak for a member. Answered by [`Inbound::judge`].
    Hello(Box<Hello>),
    /// The dialler has judged our answer and wants nothing to do with us.
    Refused(Refused),
}

impl Inbound {
    pub(super) fn new(stream: Stream, address: SocketAddr, now_us: u64) -> Inbound {
        Inbound {
            stream,
            address,
            phase: Phase::Greeting {
                until_us: now_us + GREETING_TIMEOUT_US,
            },
            last_heard_us: now_us,
            messages_received: 0,
        }
    }

    /// The member it speaks for.
    pub(super) fn node(&self) -> Option<NodeId> {
        match self.phase {
            Phase::Up { node, .. } => Some(node),
            Phase::Greeting { .. } | Phase::Snapshot | Phase::Refused => None,
        }
    }

    /// Who speaks, for the rule against two processes with one id.
    pub(super) fn live(&self) -> Option<LivePeer> {
        match self.phase {
            Phase::Up { process, .. } => Some(LivePeer { process }),
            Phase::Greeting { .. } | Phase::Snapshot | Phase::Refused => None,
        }
    }

    /// Takes note of an edge.
    pub(super) fn set_ready(&mut self, readable: bool, writable: bool, read_closed: bool) {
        self.stream.set_ready(readable, writable, read_closed);
    }

    /// Whether there is something left to read that needs no further edge.
    pub(super) fn has_input(&self) -> bool {
        self.stream.is_readable()
    }

    /// Whether there is something to send that an edge has made room for.
    pub(super) fn has_output(&self) -> bool {
        self.stream.is_writable()
            && (self.stream.queued_bytes() > 0 || self.stream.transport.wants_write())
    }

    /// Whether the connection has outlived its time: never greeted, or silent for too long.
    pub(super) fn is_overdue(&self, context: &PeerContext, now_us: u64) -> bool {
        match self.phase {
            Phase::Greeting { until_us } => until_us <= now_us,
            Phase::Up { .. } => now_us.saturating_sub(self.last_heard_us) > context.idle_timeout_us,
            Phase::Snapshot | Phase::Refused => true,
        }
    }

    /// All bytes received.
    pub(super) fn bytes_received(&self) -> u64 {
        self.stream.received_bytes
    }

    /// Reads the turn's share, hands messages to `deliver`, and writes what is due. An error ends
    /// the connection; `UnexpectedEof` is the other side's closing.
    pub(super) fn drive(
        &mut self,
        context: &PeerContext,
        now_us: u64,
        scratch: &mut [u8],
        deliver: &mut impl FnMut(NodeId, PeerMessage),
    ) -> io::Result<Outcome> {
        let fill = self.stream.fill(scratch)?;
        let mut outcome = Outcome::Quiet;
        match self.phase {
            Phase::Greeting { .. } => {
                if let Some(body) = next_greeting(&mut self.stream)? {
                    outcome = match codec::decode_greeting(body).map_err(invalid_data)? {
                        Greeting::Hello(hello) => Outcome::Hello(Box::new(hello)),
                        Greeting::Welcome(_) | Greeting::Refused(_) => {
                            return Err(invalid_data("a greeting out of turn"));
                        }
                    };
                }
            }
            Phase::Up { node, is_newer, .. } => {
                outcome = self.receive(context, now_us, (node, is_newer), deliver)?;
            }
            Phase::Snapshot | Phase::Refused => {}
        }
        if fill == Fill::End {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.stream.flush()?;
        Ok(outcome)
    }

    /// Lets the dialler in or refuses it, and tells it.
    pub(super) fn judge(
        &mut self,
        context: &PeerContext,
        known: &mut KnownPeers,
        now_us: u64,
        live: Option<LivePeer>,
        hello: &Hello,
    ) -> Result<(), Refused> {
        let verdict = judge_hello(&context.hello, &context.roll, live, hello)
            .and_then(|()| remember(known, &context.hello, hello));
        let answer = match &verdict {
            Ok(()) => {
                self.last_heard_us = now_us;
                let (bytes_max, phase) = match hello.purpose {
                    Purpose::Messages => (
                        FRAME_BYTES_MAX,
                        Phase::Up {
                            node: hello.node,
                            process: hello.process,
                            is_newer: hello.protocol_version > context.hello.protocol_version,
                        },
                    ),
                    Purpose::Snapshot => (TRANSFER_FRAME_BYTES_MAX, Phase::Snapshot),
                };
                self.stream.reader.set_body_bytes_max(bytes_max);
                self.phase = phase;
                Greeting::Welcome(Hello {
                    target: hello.node,
                    purpose: hello.purpose,
                    ..context.hello.clone()
                })
            }
            Err(refused) => {
                self.phase = Phase::Refused;
                Greeting::Refused(refused.clone())
            }
        };
        codec::encode_greeting(&answer, true, self.stream.out());
        // An error shows again at the next read, which is where connections end.
        let _ = self.stream.flush();
        verdict
    }

    /// Takes the connection out of the reactor, after it was let in to bring a snapshot.
    pub(super) fn detach(self, registry: &Registry) -> io::Result<Detached> {
        self.stream.detach(registry)
    }

    /// Ends the connection.
    pub(super) fn close(mut self, registry: &Registry) {
        self.stream.transport.close();
        let _ = self.stream.transport.deregister(registry);
    }

    fn receive(
        &mut self,
        context: &PeerContext,
        now_us: u64,
        (node, is_newer): (NodeId, bool),
        deliver: &mut impl FnMut(NodeId, PeerMessage),
    ) -> io::Result<Outcome> {
        while let Some(body) = self.stream.reader.next_body().map_err(invalid_data)? {
            self.last_heard_us = now_us;
            match codec::decode_message(context.scope, body) {
                Ok(Incoming::Message(message)) => {
                    self.messages_received += 1;
                    deliver(node, message);
                }
                Ok(Incoming::Ping(number)) => {
                    codec::encode_pong(context.scope, number, self.stream.out());
                }
                Ok(Incoming::Pong(_)) => {
                    return Err(invalid_data(
                        "a pong against the direction of its connection",
                    ));
                }
                Ok(Incoming::Refused(refused)) => return Ok(Outcome::Refused(refused)),
                // In a rolling upgrade. It is lost, as any message may be: to end the connection would
                // lose all others with it, again and again.
                Err(DecodeError::UnknownKind) if is_newer => {
                    debug!(
                        peer = node.0,
                        "a message of a kind that this release does not know"
                    );
                }
                Err(error) => return Err(invalid_data(error)),
            }
        }
        Ok(Outcome::Quiet)
    }
}
