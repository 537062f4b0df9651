//! The bytes that nodes say to each other, kept for ever.
//!
//! `fixtures/frames-N.txt` holds one frame of every kind as protocol version N writes it; all are read, the
//! newest is also written. They must never be rewritten: nodes of that release are out there. If this test fails because a frame is read as
//! something else, or not at all, the change is wrong. If it fails because a frame is written otherwise,
//! that is right only under a new protocol version, with a file of its own beside the old one.
//! `QUORATE_WRITE_FIXTURES=1` writes a file that is missing.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use raft::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, ClusterId, Entry, EntryId, EntryKind,
    GroupId, Heartbeat, HeartbeatResponse, LogIndex, Message, NodeId, ReadIndex, ReadIndexResponse,
    RequestPreVote, RequestPreVoteResponse, RequestVote, RequestVoteResponse, Round, Session, Term,
    TimeoutNow,
};
use replica::{FeatureLevels, Forward, ForwardRefused, PeerMessage, Refusal, StateHash};
use server::peer::codec::{
    Greeting, Incoming, Scope, decode_greeting, decode_message, encode_greeting, encode_message,
    encode_ping, encode_pong, encode_refusal,
};
use server::peer::frame::{FRAME_BYTES_MAX, FrameReader};
use server::peer::handshake::{Hello, MAGIC, PROTOCOL_VERSION, Purpose, RefusalReason, Refused};
use server::peer::transfer::{Offer, Transfer, decode_transfer, encode_transfer};

/// The name and the bytes of a frame that is kept, with what it means.
type Kept = ((String, Vec<u8>), (&'static str, Frame));

/// The oldest version whose frames are kept.
const PROTOCOL_VERSION_KEPT: u32 = 2;

const SCOPE: Scope = Scope {
    cluster: ClusterId(0x1122_3344_5566_7788),
    group: GroupId(1),
};

/// What a frame says.
#[derive(Clone, Debug, PartialEq)]
enum Frame {
    Greeting(Greeting),
    Incoming(Incoming),
    Transfer(Transfer),
}

impl Frame {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Frame::Greeting(greeting) => encode_greeting(greeting, true, &mut out),
            Frame::Incoming(Incoming::Message(message)) => {
                encode_message(SCOPE, message, &mut out);
            }
            Frame::Incoming(Incoming::Ping(number)) => encode_ping(SCOPE, *number, &mut out),
            Frame::Incoming(Incoming::Pong(number)) => encode_pong(SCOPE, *number, &mut out),
            Frame::Incoming(Incoming::Refused(refused)) => {
                encode_refusal(SCOPE, refused, &mut out);
            }
            Frame::Transfer(transfer) => encode_transfer(SCOPE, transfer, &mut out),
        }
        out
    }

    /// Reads bytes as a frame of the same family.
    fn decode_like(&self, bytes: &[u8]) -> Frame {
        let body = |bytes: &[u8]| {
            let mut reader = FrameReader::new(FRAME_BYTES_MAX);
            reader.extend(bytes);
            let body = reader.next_body().expect("a valid frame");
            assert_eq!(reader.buffered(), 0);
            body.expect("a whole frame")
        };
        match self {
            Frame::Greeting(_) => {
                let frame = bytes.strip_prefix(&MAGIC).expect("the magic number");
                Frame::Greeting(decode_greeting(body(frame)).expect("a greeting"))
            }
            Frame::Incoming(_) => {
                Frame::Incoming(decode_message(SCOPE, body(bytes)).expect("a message"))
            }
            Frame::Transfer(_) => {
                Frame::Transfer(decode_transfer(SCOPE, body(bytes)).expect("a transfer"))
            }
        }
    }
}

fn raft(message: impl Into<Message>) -> Frame {
    Frame::Incoming(Incoming::Message(PeerMessage::Raft(message.into())))
}

fn other(message: PeerMessage) -> Frame {
    Frame::Incoming(Incoming::Message(message))
}

fn votes() -> Vec<(&'static str, Frame)> {
    let (term, last) = (Term(300), EntryId::new(299, 70_000));
    vec![
        ("request-pre-vote", raft(RequestPreVote { term, last })),
        (
            "pre-vote-granted",
            raft(RequestPreVoteResponse {
                term,
                granted: true,
            }),
        ),
        (
            "request-vote",
            raft(RequestVote {
                term,
                last,
                transfer: false,
            }),
        ),
        (
            "request-vote-transfer",
            raft(RequestVote {
                term,
                last,
                transfer: true,
            }),
        ),
        (
            "vote-refused",
            raft(RequestVoteResponse {
                term,
                granted: false,
            }),
        ),
        ("timeout-now", raft(TimeoutNow { term })),
    ]
}

fn appends() -> Vec<(&'static str, Frame)> {
    let (term, round, session) = (Term(300), Round(9), Session(5));
    let entry = |index, kind, payload: &'static [u8]| Entry {
        id: EntryId::new(300, index),
        kind,
        time_ms: 1_700_000_000_000 + index,
        payload: Bytes::from_static(payload),
    };
    let answer = |outcome| {
        raft(AppendEntriesResponse {
            session,
            term,
            round,
            outcome,
        })
    };
    let entries = vec![
        entry(70_001, EntryKind::Noop, b""),
        entry(70_002, EntryKind::Bootstrap, b"first"),
        entry(70_003, EntryKind::Batch, &[0, 255, 10]),
        entry(70_004, EntryKind::Membership, b"who"),
    ];
    let append = AppendEntries {
        session,
        term,
        prev: EntryId::new(299, 70_000),
        commit: LogIndex(69_000),
        round,
        entries,
    };
    let (accepted, rejected) = (
        AppendOutcome::Accepted {
            match_index: LogIndex(70_004),
        },
        AppendOutcome::Rejected {
            prev: LogIndex(70_000),
            hint: EntryId::new(298, 65_000),
        },
    );
    let heartbeat = Heartbeat {
        session,
        term,
        commit: LogIndex(69_000),
        round,
    };
    let heard = HeartbeatResponse {
        session,
        term,
        round,
    };
    let read = ReadIndex { term, request: 77 };
    let readable = ReadIndexResponse {
        term,
        request: 77,
        index: LogIndex(69_000),
    };
    vec![
        ("append-entries", raft(append)),
        ("append-accepted", answer(accepted)),
        ("append-rejected", answer(rejected)),
        ("heartbeat", raft(heartbeat)),
        ("heartbeat-response", raft(heard)),
        ("read-index", raft(read)),
        ("read-index-response", raft(readable)),
    ]
}

fn of_replicas() -> Vec<(&'static str, Frame)> {
    let refused = |reason, leader| {
        other(PeerMessage::ForwardRefused(ForwardRefused {
            term: Term(300),
            incarnation: 4,
            sequence: 1_000_000,
            reason,
            leader,
        }))
    };
    let told = |is_answer| {
        other(PeerMessage::StateHash(StateHash {
            index: LogIndex(70_656),
            scheme: 1,
            hash: 0x0123_4567_89ab_cdef,
            is_answer,
        }))
    };
    let forward = Forward {
        term: Term(300),
        batch: Bytes::from_static(b"a batch"),
    };
    vec![
        ("forward", other(PeerMessage::Forward(forward))),
        (
            "forward-refused-not-leader",
            refused(Refusal::NotLeader, Some(NodeId(3))),
        ),
        ("forward-refused-busy", refused(Refusal::Busy, None)),
        (
            "forward-refused-disk-full",
            refused(Refusal::DiskFull, None),
        ),
        (
            "forward-refused-malformed",
            refused(Refusal::Malformed, None),
        ),
        ("state-hash", told(false)),
        ("state-hash-answer", told(true)),
        ("ping", Frame::Incoming(Incoming::Ping(42))),
        ("pong", Frame::Incoming(Incoming::Pong(42))),
    ]
}

fn greetings(version: u32) -> Vec<(&'static str, Frame)> {
    let hello = Hello {
        protocol_version: version,
        protocol_version_min: 1,
        cluster: SCOPE.cluster,
        cluster_name: "quorate".into(),
        node: NodeId(2),
        target: NodeId(1),
        purpose: Purpose::Messages,
        incarnation: 7,
        process: 99,
        directory: 55,
        peer_addr: "127.0.0.1:8002".into(),
        client_addr: "127.0.0.1:7002".into(),
        version: "0.1.0".into(),
        // Older protocols do not say.
        levels: match version {
            ..3 => FeatureLevels::OF_FIRST_RELEASE,
            _ => FeatureLevels {
                least: 2,
                newest: 300,
            },
        },
    };
    let transfer = Hello {
        purpose: Purpose::Snapshot,
        ..hello.clone()
    };
    let refused = Refused {
        reason: RefusalReason::DataLost,
        text: "its directory was lost".into(),
    };
    vec![
        ("hello", Frame::Greeting(Greeting::Hello(hello.clone()))),
        (
            "hello-of-a-transfer",
            Frame::Greeting(Greeting::Hello(transfer)),
        ),
        ("welcome", Frame::Greeting(Greeting::Welcome(hello))),
        (
            "refused",
            Frame::Greeting(Greeting::Refused(refused.clone())),
        ),
        (
            "refused-by-the-dialler",
            Frame::Incoming(Incoming::Refused(refused)),
        ),
    ]
}

fn transfers() -> Vec<(&'static str, Frame)> {
    let text = || "because".to_owned();
    let offer = Offer {
        last: EntryId::new(300, 70_000),
        bytes: 5_000_000_000,
        checksum: 0xdead_beef,
        hears_working: false,
        hears_holds: false,
    };
    let patient = Offer {
        hears_working: true,
        ..offer
    };
    let chunk = Transfer::Chunk {
        offset: 524_288,
        bytes: Bytes::from_static(b"a piece"),
    };
    let working = Transfer::Working {
        done: 1000,
        total: 2000,
    };
    let frames = [
        ("offer", Transfer::Offer(offer)),
        ("offer-that-hears-working", Transfer::Offer(patient)),
        ("resume", Transfer::Resume { offset: 524_288 }),
        ("unwanted", Transfer::Unwanted { text: text() }),
        ("chunk", chunk),
        ("received", Transfer::Received { offset: 524_295 }),
        ("working", working),
        ("installed", Transfer::Installed),
        ("failed", Transfer::Failed { text: text() }),
    ];
    let frames = frames.into_iter();
    frames
        .map(|(name, transfer)| (name, Frame::Transfer(transfer)))
        .collect()
}

/// What protocol 3 has brought.
fn of_protocol_3() -> Vec<(&'static str, Frame)> {
    let entry = Entry {
        id: EntryId::new(300, 70_001),
        kind: EntryKind::FeatureLevel,
        time_ms: 1_700_000_000_000,
        payload: Bytes::from_static(&[1, 2, 0, 0, 0]),
    };
    let append = AppendEntries {
        session: Session(5),
        term: Term(300),
        prev: EntryId::new(299, 70_000),
        commit: LogIndex(69_000),
        round: Round(9),
        entries: vec![entry],
    };
    let offer = Offer {
        last: EntryId::new(300, 70_000),
        bytes: 5_000_000_000,
        checksum: 0xdead_beef,
        hears_working: true,
        hears_holds: true,
    };
    let holds = Transfer::Holds {
        last: EntryId::new(299, 60_000),
        bytes: 4_000_000_000,
        checksum: 0xbeef_dead,
    };
    let refused = Refused {
        reason: RefusalReason::FeatureLevel,
        text: "it knows 2".into(),
    };
    vec![
        ("append-feature-level", raft(append)),
        (
            "refused-for-its-level",
            Frame::Greeting(Greeting::Refused(refused)),
        ),
        (
            "offer-that-hears-holds",
            Frame::Transfer(Transfer::Offer(offer)),
        ),
        ("holds", Frame::Transfer(holds)),
    ]
}

/// One frame of every kind, as this protocol version has them.
fn frames(version: u32) -> Vec<(&'static str, Frame)> {
    let mut frames = [
        votes(),
        appends(),
        of_replicas(),
        greetings(version),
        transfers(),
    ]
    .concat();
    if version >= 3 {
        frames.extend(of_protocol_3());
    }
    frames
}

fn fixture(version: u32) -> PathBuf {
    let name = format!("tests/fixtures/frames-{version}.txt");
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|pair| std::str::from_utf8(pair).expect("digits"))
        .map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits"))
        .collect()
}

#[test]
fn every_kind_of_frame_is_read_and_written_as_ever() {
    for version in PROTOCOL_VERSION_KEPT..PROTOCOL_VERSION {
        check(version);
    }
    let path = fixture(PROTOCOL_VERSION);
    if !path.exists() && std::env::var_os("QUORATE_WRITE_FIXTURES").is_some() {
        let lines = frames(PROTOCOL_VERSION).into_iter();
        let lines = lines.map(|(name, frame)| format!("{name} {}\n", hex(&frame.encode())));
        std::fs::write(&path, lines.collect::<String>()).expect("written");
    }
    for ((name, stored), (_, frame)) in check(PROTOCOL_VERSION) {
        assert_eq!(hex(&frame.encode()), hex(&stored), "{name} is written");
    }
}

/// Reads what is kept of a version, and compares it with what it means.
fn check(version: u32) -> Vec<Kept> {
    let text =
        std::fs::read_to_string(fixture(version)).expect("the fixture of this protocol version");
    let stored: Vec<(String, Vec<u8>)> = text
        .lines()
        .map(|line| line.split_once(' ').expect("a name and bytes"))
        .map(|(name, digits)| (name.to_owned(), bytes(digits)))
        .collect();
    let frames = frames(version);
    let names = |names: &mut dyn Iterator<Item = &str>| -> Vec<String> {
        names.map(str::to_owned).collect()
    };
    assert_eq!(
        names(&mut stored.iter().map(|(name, _)| name.as_str())),
        names(&mut frames.iter().map(|(name, _)| *name))
    );
    for ((name, stored), (_, frame)) in stored.iter().zip(&frames) {
        assert_eq!(frame.decode_like(stored), *frame, "{name} is read");
    }
    stored.into_iter().zip(frames).collect()
}
