//! The protobuf messages of the peer protocol, as prost derives them from these structs.
//!
//! This file is the schema: field numbers and types are what older and newer releases agree on.
//! Numbers are never reused and types never change; a new field gets a new number and a meaning for
//! its absence, and only what cannot be said that way raises the protocol version of the handshake.
//! Nothing here is interpreted: that is `codec`'s.

use bytes::Bytes;
use prost::{Message, Oneof};

/// The number of [`Body::AppendEntries`] in a [`Frame`].
pub(crate) const APPEND_ENTRIES_TAG: u32 = 20;

/// The number of `entries` in [`AppendEntries`].
pub(crate) const ENTRY_TAG: u32 = 5;

/// The frames of the handshake.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Greeting {
    #[prost(oneof = "GreetingBody", tags = "1, 2, 3")]
    pub(crate) body: Option<GreetingBody>,
}

/// What a handshake frame says.
#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum GreetingBody {
    /// The dialler's first frame.
    #[prost(message, tag = "1")]
    Hello(Hello),
    /// The acceptor's answer.
    #[prost(message, tag = "2")]
    Welcome(Hello),
    /// The acceptor's refusal; the connection ends after it.
    #[prost(message, tag = "3")]
    Refused(Refused),
}

/// See [`super::handshake::Hello`].
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Hello {
    #[prost(uint32, tag = "1")]
    pub(crate) protocol_version: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) protocol_version_min: u32,
    #[prost(fixed64, tag = "3")]
    pub(crate) cluster: u64,
    #[prost(string, tag = "4")]
    pub(crate) cluster_name: String,
    #[prost(uint64, tag = "5")]
    pub(crate) node: u64,
    #[prost(uint64, tag = "6")]
    pub(crate) target: u64,
    #[prost(uint64, tag = "7")]
    pub(crate) incarnation: u64,
    #[prost(fixed64, tag = "8")]
    pub(crate) process: u64,
    #[prost(string, tag = "9")]
    pub(crate) client_addr: String,
    #[prost(string, tag = "10")]
    pub(crate) version: String,
    /// Zero stands for unknown.
    #[prost(fixed64, tag = "11")]
    pub(crate) directory: u64,
    /// What the connection is for; zero, or absent, for messages.
    #[prost(uint32, tag = "12")]
    pub(crate) purpose: u32,
    /// Absent: it does not say.
    #[prost(string, tag = "13")]
    pub(crate) peer_addr: String,
    /// From protocol 3 on: the feature levels it knows. Absent: those of the first release.
    #[prost(uint32, tag = "14")]
    pub(crate) feature_level_min: u32,
    #[prost(uint32, tag = "15")]
    pub(crate) feature_level_max: u32,
}

/// See [`super::handshake::Refused`].
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Refused {
    #[prost(uint32, tag = "1")]
    pub(crate) reason: u32,
    #[prost(string, tag = "2")]
    pub(crate) text: String,
}

/// A frame after the handshake. Cluster and group are in every one of them: one connection will
/// carry many groups, and a message that strays is refused, not believed.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Frame {
    #[prost(fixed64, tag = "1")]
    pub(crate) cluster: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) group: u64,
    #[prost(
        oneof = "Body",
        tags = "16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 32, 33, 34, 48, 49, 50"
    )]
    pub(crate) body: Option<Body>,
}

/// What a frame says.
#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Body {
    #[prost(message, tag = "16")]
    RequestPreVote(RequestVote),
    #[prost(message, tag = "17")]
    RequestPreVoteResponse(VoteResponse),
    #[prost(message, tag = "18")]
    RequestVote(RequestVote),
    #[prost(message, tag = "19")]
    RequestVoteResponse(VoteResponse),
    #[prost(message, tag = "20")]
    AppendEntries(AppendEntries),
    #[prost(message, tag = "21")]
    AppendEntriesResponse(AppendEntriesResponse),
    #[prost(message, tag = "22")]
    Heartbeat(Heartbeat),
    #[prost(message, tag = "23")]
    HeartbeatResponse(Heartbeat),
    #[prost(message, tag = "24")]
    ReadIndex(ReadIndex),
    #[prost(message, tag = "25")]
    ReadIndexResponse(ReadIndex),
    #[prost(message, tag = "26")]
    TimeoutNow(TimeoutNow),
    #[prost(message, tag = "32")]
    Forward(Forward),
    #[prost(message, tag = "33")]
    ForwardRefused(ForwardRefused),
    #[prost(message, tag = "34")]
    StateHash(StateHash),
    /// The dialler asks whether the acceptor still lives; the number comes back in the pong.
    #[prost(fixed64, tag = "48")]
    Ping(u64),
    #[prost(fixed64, tag = "49")]
    Pong(u64),
    /// The dialler refuses who answered it.
    #[prost(message, tag = "50")]
    Refused(Refused),
}

/// (term, index).
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct EntryId {
    #[prost(uint64, tag = "1")]
    pub(crate) term: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) index: u64,
}

/// Also the pre-vote, which has no `transfer`.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct RequestVote {
    #[prost(uint64, tag = "1")]
    pub(crate) term: u64,
    #[prost(message, required, tag = "2")]
    pub(crate) last: EntryId,
    #[prost(bool, tag = "3")]
    pub(crate) transfer: bool,
}

/// The answer to both votes.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct VoteResponse {
    #[prost(uint64, tag = "1")]
    pub(crate) term: u64,
    #[prost(bool, tag = "2")]
    pub(crate) granted: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AppendEntries {
    #[prost(uint64, tag = "1")]
    pub(crate) term: u64,
    #[prost(message, required, tag = "2")]
    pub(crate) prev: EntryId,
    #[prost(uint64, tag = "3")]
    pub(crate) commit: u64,
    #[prost(uint64, tag = "4")]
    pub(crate) round: u64,
    #[prost(message, repeated, tag = "5")]
    pub(crate) entries: Vec<Entry>,
    #[prost(uint64, tag = "6")]
    pub(crate) session: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Entry {
    #[prost(uint64, tag = "1")]
    pub(crate) term: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) index: u64,
    #[prost(uint32, tag = "3")]
    pub(crate) kind: u32,
    #[prost(uint64, tag = "4")]
    pub(crate) time_ms: u64,
    /// Shares the receive buffer: prost splits it off, nothing is copied.
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) payload: Bytes,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct AppendEntriesResponse {
    #[prost(uint64, tag = "1")]
    pub(crate) term: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) round: u64,
    #[prost(oneof = "AppendOutcome", tags = "3, 4")]
    pub(crate) outcome: Option<AppendOutcome>,
    #[prost(uint64, tag = "5")]
    pub(crate) session: u64,
}

#[derive(Clone, Copy, PartialEq, Oneof)]
pub(crate) enum AppendOutcome {
    /// The match index.
    #[prost(uint64, tag = "3")]
    Accepted(u64),
    #[prost(message, tag = "4")]
    Rejected(Rejected),
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Rejected {
    #[prost(uint64, tag = "1")]
    pub(crate) prev: u64,
    #[prost(message, required, tag = "2")]
    pub(crate) hint: EntryId,
}

/// Also its response, which has no `commit`.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Heartbeat {
    #[prost(uint64, tag = "1")]
    pub(crate) term: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) commit: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) round: u64,
    #[prost(uint64, tag = "4")]
    pub(crate) session: u64,
}

/// Also its response, which has an `index`.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct ReadIndex {
    #[prost(uint64, tag = "1")]
    pub(crate) term: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) request: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) index: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct TimeoutNow {
    #[prost(uint64, tag = "1")]
    pub(crate) term: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Forward {
    #[prost(uint64, tag = "1")]
    pub(crate) term: u64,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) batch: Bytes,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct ForwardRefused {
    #[prost(uint64, tag = "1")]
    pub(crate) term: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) incarnation: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) sequence: u64,
    #[prost(uint32, tag = "4")]
    pub(crate) reason: u32,
    /// Zero stands for none.
    #[prost(uint64, tag = "5")]
    pub(crate) leader: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct StateHash {
    #[prost(uint64, tag = "1")]
    pub(crate) index: u64,
    #[prost(uint32, tag = "2")]
    pub(crate) scheme: u32,
    #[prost(fixed64, tag = "3")]
    pub(crate) hash: u64,
    #[prost(bool, tag = "4")]
    pub(crate) is_answer: bool,
}
