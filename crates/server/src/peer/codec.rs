//! Between the messages that replicas mean and the frames that travel.
//!
//! Encoding cannot fail. Decoding believes nothing: whatever bytes come, the result is a message
//! whose every field is in the range its type promises, or a [`DecodeError`]. What is plausible *as
//! Raft* (terms, positions, whether entries follow each other) is not judged here but by `raft`,
//! which has to judge it anyway.

use bytes::Bytes;
use prost::Message as _;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use raft::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, ClusterId, Entry, EntryId, EntryKind,
    GroupId, Heartbeat, HeartbeatResponse, LogIndex, Message, NodeId, ReadIndex, ReadIndexResponse,
    RequestPreVote, RequestPreVoteResponse, RequestVote, RequestVoteResponse, Round, Session, Term,
    TimeoutNow,
};
use replica::{FeatureLevels, Forward, ForwardRefused, PeerMessage, Refusal, StateHash};
use thiserror::Error;

use super::frame::{FRAME_BYTES_MAX, begin_frame, finish_frame};
use super::handshake::{Hello, MAGIC, Purpose, RefusalReason, Refused, TEXT_BYTES_MAX};
use super::wire::{self, Body, GreetingBody};

/// The most entries of one message. An entry without content has 2 bytes in a frame and some 130 as
/// the structs it is read into, so that a frame of them would be gigabytes. An honest sender counts
/// [`Entry::OVERHEAD_BYTES`] for each, and never sends more than fits in a frame by that count.
pub const ENTRIES_MAX: usize = FRAME_BYTES_MAX / Entry::OVERHEAD_BYTES;

/// Which cluster and group a connection's messages belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// The cluster.
    pub cluster: ClusterId,
    /// The group.
    pub group: GroupId,
}

/// What a frame after the handshake says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// For the replica.
    Message(PeerMessage),
    /// "Are you there?", from the dialler.
    Ping(u64),
    /// "I am", from the acceptor, with the number of the ping.
    Pong(u64),
    /// The dialler refuses who answered it; the connection ends.
    Refused(Refused),
}

/// What a frame of the handshake says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Greeting {
    /// From the dialler.
    Hello(Hello),
    /// From the acceptor.
    Welcome(Hello),
    /// From the acceptor.
    Refused(Refused),
}

/// Why the body of a frame is not a message. Always the peer's fault.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not protobuf, or not of this schema.
    #[error("not a message of the peer protocol: {0}")]
    Protobuf(#[from] prost::DecodeError),
    /// No body that this release knows.
    #[error("a message of an unknown kind")]
    UnknownKind,
    /// A message of another cluster or group.
    #[error("a message for cluster {cluster:016x}, group {group}")]
    Stray {
        /// The cluster it names.
        cluster: u64,
        /// The group it names.
        group: u64,
    },
    /// A required part is missing or has a value without meaning.
    #[error("{what} of {value} has no meaning")]
    Value {
        /// Which part.
        what: &'static str,
        /// What it says.
        value: u64,
    },
    /// More entries than a peer may send at once.
    #[error("more than {ENTRIES_MAX} entries in a message")]
    ManyEntries,
    /// A text longer than a peer may send.
    #[error("a text of {0} bytes in a handshake")]
    LongText(usize),
}

/// Appends the frame of `message` to `out`.
pub fn encode_message(scope: Scope, message: &PeerMessage, out: &mut Vec<u8>) {
    encode_body(scope, message_body(message), out);
}

/// Appends a ping.
pub fn encode_ping(scope: Scope, number: u64, out: &mut Vec<u8>) {
    encode_body(scope, Body::Ping(number), out);
}

/// Appends the answer to a ping.
pub fn encode_pong(scope: Scope, number: u64, out: &mut Vec<u8>) {
    encode_body(scope, Body::Pong(number), out);
}

/// Appends the dialler's refusal of who answered it.
pub fn encode_refusal(scope: Scope, refused: &Refused, out: &mut Vec<u8>) {
    encode_body(scope, Body::Refused(refused_to_wire(refused)), out);
}

/// Appends a frame of the handshake, [`MAGIC`] before it if it is the sender's first.
pub fn encode_greeting(greeting: &Greeting, is_first: bool, out: &mut Vec<u8>) {
    let body = match greeting {
        Greeting::Hello(hello) => GreetingBody::Hello(hello_to_wire(hello)),
        Greeting::Welcome(hello) => GreetingBody::Welcome(hello_to_wire(hello)),
        Greeting::Refused(refused) => GreetingBody::Refused(refused_to_wire(refused)),
    };
    if is_first {
        out.extend_from_slice(&MAGIC);
    }
    encode_frame(&wire::Greeting { body: Some(body) }, out);
}

/// Reads the body of a frame after the handshake.
pub fn decode_message(scope: Scope, body: Bytes) -> Result<Incoming, DecodeError> {
    check_entry_count(&body)?;
    let frame = wire::Frame::decode(body)?;
    // Before the scope is compared: that it differs may be the reason of the refusal.
    if let Some(Body::Refused(refused)) = frame.body {
        return Ok(Incoming::Refused(refused_from_wire(refused)));
    }
    if frame.cluster != scope.cluster.0 || frame.group != scope.group.0 {
        return Err(DecodeError::Stray {
            cluster: frame.cluster,
            group: frame.group,
        });
    }
    let message = match frame.body.ok_or(DecodeError::UnknownKind)? {
        Body::Ping(number) => return Ok(Incoming::Ping(number)),
        Body::Pong(number) => return Ok(Incoming::Pong(number)),
        Body::Forward(forward) => PeerMessage::Forward(Forward {
            term: Term(forward.term),
            batch: forward.batch,
        }),
        Body::ForwardRefused(refused) => {
            PeerMessage::ForwardRefused(forward_refused_from_wire(refused)?)
        }
        Body::StateHash(told) => PeerMessage::StateHash(StateHash {
            index: LogIndex(told.index),
            scheme: told.scheme,
            hash: told.hash,
            is_answer: told.is_answer,
        }),
        Body::AppendEntries(append) => PeerMessage::Raft(append_from_wire(append)?.into()),
        other => PeerMessage::Raft(raft_from_wire(other)?),
    };
    Ok(Incoming::Message(message))
}

/// Counts the entries of a message without reading them: the one part of a frame that grows in memory
/// when it is read.
fn check_entry_count(mut body: &[u8]) -> Result<(), DecodeError> {
    let mut count = 0;
    while let Some(field) = next_field(&mut body)? {
        if field.tag != wire::APPEND_ENTRIES_TAG {
            continue;
        }
        let mut append = field.bytes;
        while let Some(field) = next_field(&mut append)? {
            count += usize::from(field.tag == wire::ENTRY_TAG);
            if count > ENTRIES_MAX {
                return Err(DecodeError::ManyEntries);
            }
        }
    }
    Ok(())
}

/// A field of an encoded message.
struct Field<'a> {
    tag: u32,
    /// Of strings, bytes and messages; else empty.
    bytes: &'a [u8],
}

/// Takes the next field off an encoded message.
fn next_field<'a>(message: &mut &'a [u8]) -> Result<Option<Field<'a>>, DecodeError> {
    if message.is_empty() {
        return Ok(None);
    }
    let (tag, wire_type) = decode_key(message)?;
    if wire_type != WireType::LengthDelimited {
        skip_field(wire_type, tag, message, DecodeContext::default())?;
        return Ok(Some(Field { tag, bytes: &[] }));
    }
    let len = decode_varint(message)?;
    let (bytes, rest) = usize::try_from(len)
        .ok()
        .and_then(|len| message.split_at_checked(len))
        .ok_or(DecodeError::Value {
            what: "a length",
            value: len,
        })?;
    *message = rest;
    Ok(Some(Field { tag, bytes }))
}

/// Reads the body of a handshake frame.
pub fn decode_greeting(body: Bytes) -> Result<Greeting, DecodeError> {
    let greeting = wire::Greeting::decode(body)?;
    match greeting.body.ok_or(DecodeError::UnknownKind)? {
        GreetingBody::Hello(hello) => Ok(Greeting::Hello(hello_from_wire(hello)?)),
        GreetingBody::Welcome(hello) => Ok(Greeting::Welcome(hello_from_wire(hello)?)),
        GreetingBody::Refused(refused) => Ok(Greeting::Refused(refused_from_wire(refused))),
    }
}

fn encode_body(scope: Scope, body: Body, out: &mut Vec<u8>) {
    let frame = wire::Frame {
        cluster: scope.cluster.0,
        group: scope.group.0,
        body: Some(body),
    };
    encode_frame(&frame, out);
}

pub(super) fn encode_frame(message: &impl prost::Message, out: &mut Vec<u8>) {
    let start = begin_frame(out);
    out.reserve(message.encoded_len());
    message
        .encode(out)
        .expect("a vector has room for whatever was reserved");
    finish_frame(out, start);
}

fn message_body(message: &PeerMessage) -> Body {
    match message {
        PeerMessage::Raft(message) => raft_body(message),
        PeerMessage::Forward(forward) => Body::Forward(wire::Forward {
            term: forward.term.0,
            batch: forward.batch.clone(),
        }),
        PeerMessage::ForwardRefused(refused) => Body::ForwardRefused(wire::ForwardRefused {
            term: refused.term.0,
            incarnation: refused.incarnation,
            sequence: refused.sequence,
            reason: refusal_code(refused.reason),
            leader: refused.leader.map_or(0, |leader| leader.0),
        }),
        PeerMessage::StateHash(told) => Body::StateHash(wire::StateHash {
            index: told.index.0,
            scheme: told.scheme,
            hash: told.hash,
            is_answer: told.is_answer,
        }),
    }
}

fn raft_body(message: &Message) -> Body {
    let vote = |term: Term, last: EntryId, transfer| wire::RequestVote {
        term: term.0,
        last: id_to_wire(last),
        transfer,
    };
    let voted = |term: Term, granted| wire::VoteResponse {
        term: term.0,
        granted,
    };
    let heartbeat =
        |term: Term, commit: LogIndex, round: Round, session: Session| wire::Heartbeat {
            term: term.0,
            commit: commit.0,
            round: round.0,
            session: session.0,
        };
    let read = |term: Term, request, index: LogIndex| wire::ReadIndex {
        term: term.0,
        request,
        index: index.0,
    };
    match message {
        Message::RequestPreVote(it) => Body::RequestPreVote(vote(it.term, it.last, false)),
        Message::RequestPreVoteResponse(it) => {
            Body::RequestPreVoteResponse(voted(it.term, it.granted))
        }
        Message::RequestVote(it) => Body::RequestVote(vote(it.term, it.last, it.transfer)),
        Message::RequestVoteResponse(it) => Body::RequestVoteResponse(voted(it.term, it.granted)),
        Message::AppendEntries(it) => Body::AppendEntries(append_to_wire(it)),
        Message::AppendEntriesResponse(it) => {
            Body::AppendEntriesResponse(append_response_to_wire(it))
        }
        Message::Heartbeat(it) => {
            Body::Heartbeat(heartbeat(it.term, it.commit, it.round, it.session))
        }
        Message::HeartbeatResponse(it) => {
            Body::HeartbeatResponse(heartbeat(it.term, LogIndex(0), it.round, it.session))
        }
        Message::ReadIndex(it) => Body::ReadIndex(read(it.term, it.request, LogIndex(0))),
        Message::ReadIndexResponse(it) => {
            Body::ReadIndexResponse(read(it.term, it.request, it.index))
        }
        Message::TimeoutNow(it) => Body::TimeoutNow(wire::TimeoutNow { term: it.term.0 }),
    }
}

fn raft_from_wire(body: Body) -> Result<Message, DecodeError> {
    Ok(match body {
        Body::RequestPreVote(it) => Message::RequestPreVote(RequestPreVote {
            term: Term(it.term),
            last: id_from_wire(it.last),
        }),
        Body::RequestPreVoteResponse(it) => {
            Message::RequestPreVoteResponse(RequestPreVoteResponse {
                term: Term(it.term),
                granted: it.granted,
            })
        }
        Body::RequestVote(it) => Message::RequestVote(RequestVote {
            term: Term(it.term),
            last: id_from_wire(it.last),
            transfer: it.transfer,
        }),
        Body::RequestVoteResponse(it) => Message::RequestVoteResponse(RequestVoteResponse {
            term: Term(it.term),
            granted: it.granted,
        }),
        Body::AppendEntriesResponse(it) => append_response_from_wire(it)?.into(),
        Body::Heartbeat(it) => Message::Heartbeat(Heartbeat {
            term: Term(it.term),
            commit: LogIndex(it.commit),
            round: Round(it.round),
            session: Session(it.session),
        }),
        Body::HeartbeatResponse(it) => Message::HeartbeatResponse(HeartbeatResponse {
            term: Term(it.term),
            round: Round(it.round),
            session: Session(it.session),
        }),
        Body::ReadIndex(it) => Message::ReadIndex(ReadIndex {
            term: Term(it.term),
            request: it.request,
        }),
        Body::ReadIndexResponse(it) => Message::ReadIndexResponse(ReadIndexResponse {
            term: Term(it.term),
            request: it.request,
            index: LogIndex(it.index),
        }),
        Body::TimeoutNow(it) => Message::TimeoutNow(TimeoutNow {
            term: Term(it.term),
        }),
        Body::AppendEntries(_)
        | Body::Forward(_)
        | Body::ForwardRefused(_)
        | Body::StateHash(_)
        | Body::Ping(_)
        | Body::Pong(_)
        | Body::Refused(_) => return Err(DecodeError::UnknownKind),
    })
}

fn append_to_wire(append: &AppendEntries) -> wire::AppendEntries {
    let entries = append.entries.iter().map(|entry| wire::Entry {
        term: entry.id.term.0,
        index: entry.id.index.0,
        kind: u32::from(u8::from(entry.kind)),
        time_ms: entry.time_ms,
        payload: entry.payload.clone(),
    });
    wire::AppendEntries {
        term: append.term.0,
        prev: id_to_wire(append.prev),
        commit: append.commit.0,
        round: append.round.0,
        session: append.session.0,
        entries: entries.collect(),
    }
}

fn append_from_wire(append: wire::AppendEntries) -> Result<AppendEntries, DecodeError> {
    let entries = append.entries.into_iter().map(|entry| {
        let kind = u8::try_from(entry.kind)
            .ok()
            .and_then(|number| EntryKind::try_from(number).ok());
        Ok(Entry {
            id: EntryId::new(entry.term, entry.index),
            kind: kind.ok_or(DecodeError::Value {
                what: "an entry kind",
                value: u64::from(entry.kind),
            })?,
            time_ms: entry.time_ms,
            payload: entry.payload,
        })
    });
    Ok(AppendEntries {
        term: Term(append.term),
        prev: id_from_wire(append.prev),
        commit: LogIndex(append.commit),
        round: Round(append.round),
        session: Session(append.session),
        entries: entries.collect::<Result<_, DecodeError>>()?,
    })
}

fn append_response_to_wire(response: &AppendEntriesResponse) -> wire::AppendEntriesResponse {
    let outcome = match response.outcome {
        AppendOutcome::Accepted { match_index } => wire::AppendOutcome::Accepted(match_index.0),
        AppendOutcome::Rejected { prev, hint } => wire::AppendOutcome::Rejected(wire::Rejected {
            prev: prev.0,
            hint: id_to_wire(hint),
        }),
    };
    wire::AppendEntriesResponse {
        term: response.term.0,
        round: response.round.0,
        session: response.session.0,
        outcome: Some(outcome),
    }
}

fn append_response_from_wire(
    response: wire::AppendEntriesResponse,
) -> Result<AppendEntriesResponse, DecodeError> {
    let missing = DecodeError::Value {
        what: "an append outcome",
        value: 0,
    };
    let outcome = match response.outcome.ok_or(missing)? {
        wire::AppendOutcome::Accepted(match_index) => AppendOutcome::Accepted {
            match_index: LogIndex(match_index),
        },
        wire::AppendOutcome::Rejected(rejected) => AppendOutcome::Rejected {
            prev: LogIndex(rejected.prev),
            hint: id_from_wire(rejected.hint),
        },
    };
    Ok(AppendEntriesResponse {
        term: Term(response.term),
        round: Round(response.round),
        session: Session(response.session),
        outcome,
    })
}

fn forward_refused_from_wire(refused: wire::ForwardRefused) -> Result<ForwardRefused, DecodeError> {
    Ok(ForwardRefused {
        term: Term(refused.term),
        incarnation: refused.incarnation,
        sequence: refused.sequence,
        reason: refusal_from_code(refused.reason)?,
        leader: Some(NodeId(refused.leader)).filter(|leader| leader.0 != 0),
    })
}

/// The numbers of [`Refusal`] on the wire.
fn refusal_code(reason: Refusal) -> u32 {
    match reason {
        Refusal::NotLeader => 1,
        Refusal::Busy => 2,
        Refusal::DiskFull => 3,
        Refusal::Malformed => 4,
    }
}

fn refusal_from_code(code: u32) -> Result<Refusal, DecodeError> {
    match code {
        1 => Ok(Refusal::NotLeader),
        2 => Ok(Refusal::Busy),
        3 => Ok(Refusal::DiskFull),
        4 => Ok(Refusal::Malformed),
        other => Err(DecodeError::Value {
            what: "a refusal",
            value: u64::from(other),
        }),
    }
}

fn id_to_wire(id: EntryId) -> wire::EntryId {
    wire::EntryId {
        term: id.term.0,
        index: id.index.0,
    }
}

fn id_from_wire(id: wire::EntryId) -> EntryId {
    EntryId::new(id.term, id.index)
}

fn refused_to_wire(refused: &Refused) -> wire::Refused {
    wire::Refused {
        reason: refused.reason as u32,
        text: refused.text.clone(),
    }
}

fn refused_from_wire(refused: wire::Refused) -> Refused {
    Refused {
        reason: RefusalReason::from_code(refused.reason),
        text: printable(refused.text),
    }
}

fn hello_to_wire(hello: &Hello) -> wire::Hello {
    wire::Hello {
        protocol_version: hello.protocol_version,
        protocol_version_min: hello.protocol_version_min,
        cluster: hello.cluster.0,
        cluster_name: hello.cluster_name.clone(),
        node: hello.node.0,
        target: hello.target.0,
        incarnation: hello.incarnation,
        process: hello.process,
        directory: hello.directory,
        purpose: hello.purpose as u32,
        client_addr: hello.client_addr.clone(),
        peer_addr: hello.peer_addr.clone(),
        version: hello.version.clone(),
        feature_level_min: hello.levels.least,
        feature_level_max: hello.levels.newest,
    }
}

fn hello_from_wire(hello: wire::Hello) -> Result<Hello, DecodeError> {
    for text in [
        &hello.cluster_name,
        &hello.client_addr,
        &hello.peer_addr,
        &hello.version,
    ] {
        if text.len() > TEXT_BYTES_MAX {
            return Err(DecodeError::LongText(text.len()));
        }
    }
    if hello.node == 0 {
        return Err(DecodeError::Value {
            what: "a node id",
            value: 0,
        });
    }
    let purpose = Purpose::from_code(hello.purpose).ok_or(DecodeError::Value {
        what: "a connection's purpose",
        value: hello.purpose.into(),
    })?;
    Ok(Hello {
        protocol_version: hello.protocol_version,
        protocol_version_min: hello.protocol_version_min,
        cluster: ClusterId(hello.cluster),
        cluster_name: printable(hello.cluster_name),
        node: NodeId(hello.node),
        target: NodeId(hello.target),
        purpose,
        incarnation: hello.incarnation,
        process: hello.process,
        directory: hello.directory,
        client_addr: printable(hello.client_addr),
        peer_addr: printable(hello.peer_addr),
        version: printable(hello.version),
        levels: match hello.feature_level_max {
            0 => FeatureLevels::OF_FIRST_RELEASE,
            newest => FeatureLevels {
                least: hello.feature_level_min,
                newest,
            },
        },
    })
}

/// A peer's text as it may appear in our log and in INFO: without control characters, which could
/// forge lines there.
pub(super) fn printable(mut text: String) -> String {
    if text.contains(char::is_control) {
        text.retain(|character| !character.is_control());
    }
    text
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
