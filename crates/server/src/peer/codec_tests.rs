//! Round trips of every kind of message, hostile bytes, and pinned bytes.

use proptest::prelude::*;

use super::*;
use crate::peer::frame::{FRAME_BYTES_MAX, FrameReader};

const SCOPE: Scope = Scope {
    cluster: ClusterId(0x1122_3344_5566_7788),
    group: GroupId(1),
};

fn body_of(frame: &[u8]) -> Bytes {
    let mut reader = FrameReader::new(FRAME_BYTES_MAX);
    reader.extend(frame);
    let body = reader.next_body().expect("a valid frame");
    assert_eq!(reader.buffered(), 0);
    body.expect("a whole frame")
}

fn round_trip(message: &PeerMessage) -> Incoming {
    let mut frame = Vec::new();
    encode_message(SCOPE, message, &mut frame);
    decode_message(SCOPE, body_of(&frame)).expect("our own encoding")
}

fn entry_id() -> impl Strategy<Value = EntryId> {
    (any::<u64>(), any::<u64>()).prop_map(|(term, index)| EntryId::new(term, index))
}

fn entry() -> impl Strategy<Value = Entry> {
    let payload = prop::collection::vec(any::<u8>(), 0..200);
    (entry_id(), 0u8..4, any::<u64>(), payload).prop_map(|(id, kind, time_ms, payload)| Entry {
        id,
        kind: EntryKind::try_from(kind).expect("a known kind"),
        time_ms,
        payload: payload.into(),
    })
}

fn append() -> impl Strategy<Value = Message> {
    let entries = prop::collection::vec(entry(), 0..5);
    (
        any::<u64>(),
        entry_id(),
        any::<u64>(),
        any::<u64>(),
        entries,
    )
        .prop_map(|(term, prev, commit, round, entries)| {
            Message::AppendEntries(AppendEntries {
                session: Session(commit ^ round),
                term: Term(term),
                prev,
                commit: LogIndex(commit),
                round: Round(round),
                entries,
            })
        })
}

fn small_message() -> impl Strategy<Value = Message> {
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>());
    (0..11, numbers, entry_id(), any::<bool>()).prop_map(
        |(kind, (first, second, third), id, flag)| {
            let term = Term(first);
            let round = Round(second);
            match kind {
                0 => RequestPreVote { term, last: id }.into(),
                1 => RequestPreVoteResponse {
                    term,
                    granted: flag,
                }
                .into(),
                2 => RequestVote {
                    term,
                    last: id,
                    transfer: flag,
                }
                .into(),
                3 => RequestVoteResponse {
                    term,
                    granted: flag,
                }
                .into(),
                4 => {
                    let outcome = AppendOutcome::Accepted {
                        match_index: LogIndex(third),
                    };
                    AppendEntriesResponse {
                        session: Session(second ^ third),
                        term,
                        round,
                        outcome,
                    }
                    .into()
                }
                5 => {
                    let outcome = AppendOutcome::Rejected {
                        prev: LogIndex(third),
                        hint: id,
                    };
                    AppendEntriesResponse {
                        session: Session(second ^ third),
                        term,
                        round,
                        outcome,
                    }
                    .into()
                }
                6 => Heartbeat {
                    session: Session(second ^ third),
                    term,
                    commit: LogIndex(third),
                    round,
                }
                .into(),
                7 => HeartbeatResponse {
                    session: Session(second ^ third),
                    term,
                    round,
                }
                .into(),
                8 => ReadIndex {
                    term,
                    request: third,
                }
                .into(),
                9 => ReadIndexResponse {
                    term,
                    request: third,
                    index: LogIndex(second),
                }
                .into(),
                _ => TimeoutNow { term }.into(),
            }
        },
    )
}

fn forward() -> impl Strategy<Value = PeerMessage> {
    let batch = prop::collection::vec(any::<u8>(), 0..200);
    (any::<u64>(), batch).prop_map(|(term, batch)| {
        PeerMessage::Forward(Forward {
            term: Term(term),
            batch: batch.into(),
        })
    })
}

fn refused() -> impl Strategy<Value = PeerMessage> {
    const REASONS: [Refusal; 4] = [
        Refusal::NotLeader,
        Refusal::Busy,
        Refusal::DiskFull,
        Refusal::Malformed,
    ];
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>());
    let leader = prop::option::of((1..=u64::MAX).prop_map(NodeId));
    (numbers, prop::sample::select(&REASONS[..]), leader).prop_map(
        |((term, incarnation, sequence), reason, leader)| {
            PeerMessage::ForwardRefused(ForwardRefused {
                term: Term(term),
                incarnation,
                sequence,
                reason,
                leader,
            })
        },
    )
}

fn state_hash() -> impl Strategy<Value = PeerMessage> {
    let numbers = (any::<u64>(), any::<u32>(), any::<u64>(), any::<bool>());
    numbers.prop_map(|(index, scheme, hash, is_answer)| {
        PeerMessage::StateHash(StateHash {
            index: LogIndex(index),
            scheme,
            hash,
            is_answer,
        })
    })
}

fn message() -> impl Strategy<Value = PeerMessage> {
    prop_oneof![
        state_hash(),
        append().prop_map(PeerMessage::Raft),
        small_message().prop_map(PeerMessage::Raft),
        forward(),
        refused(),
    ]
}

fn hello() -> Hello {
    Hello {
        protocol_version: 1,
        protocol_version_min: 1,
        cluster: SCOPE.cluster,
        cluster_name: "quorate".into(),
        node: NodeId(2),
        target: NodeId(1),
        purpose: Purpose::Messages,
        incarnation: 7,
        process: 99,
        directory: 55,
        peer_addr: String::new(),
        client_addr: "127.0.0.1:7002".into(),
        version: "0.1.0".into(),
        levels: FeatureLevels {
            least: 2,
            newest: 3,
        },
    }
}

proptest! {
    #[test]
    fn every_message_comes_back_as_it_was_sent(message in message()) {
        prop_assert_eq!(round_trip(&message), Incoming::Message(message));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_message(SCOPE, Bytes::from(bytes.clone()));
        let _ = decode_greeting(Bytes::from(bytes));
    }

    #[test]
    fn no_damaged_message_panics(
        message in message(),
        at in any::<prop::sample::Index>(),
        value in any::<u8>(),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut frame = Vec::new();
        encode_message(SCOPE, &message, &mut frame);
        let mut body = body_of(&frame).to_vec();
        let at = at.index(body.len());
        body[at] = value;
        body.truncate(keep.index(body.len() + 1));
        let _ = decode_message(SCOPE, Bytes::from(body));
    }
}

#[test]
fn payloads_share_the_receive_buffer() {
    let entry = Entry {
        id: EntryId::new(3, 4),
        kind: EntryKind::Batch,
        time_ms: 5,
        payload: Bytes::from(vec![7; 1000]),
    };
    let message = PeerMessage::Raft(Message::AppendEntries(AppendEntries {
        session: Session(0),
        term: Term(3),
        prev: EntryId::new(3, 3),
        commit: LogIndex(2),
        round: Round(1),
        entries: vec![entry],
    }));
    let mut frame = Vec::new();
    encode_message(SCOPE, &message, &mut frame);
    let body = body_of(&frame);
    let range = body.as_ptr_range();
    let Ok(Incoming::Message(PeerMessage::Raft(Message::AppendEntries(append)))) =
        decode_message(SCOPE, body.clone())
    else {
        panic!("not an append");
    };
    assert!(range.contains(&append.entries[0].payload.as_ptr()));
}

#[test]
fn a_heartbeat_has_these_bytes() {
    let heartbeat = Heartbeat {
        session: Session(0),
        term: Term(5),
        commit: LogIndex(300),
        round: Round(2),
    };
    let mut frame = Vec::new();
    encode_message(SCOPE, &PeerMessage::Raft(heartbeat.into()), &mut frame);
    let expected = [
        // cluster, fixed64
        0x09, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, // group, varint
        0x10, 0x01, // heartbeat, field 22, seven bytes
        0xb2, 0x01, 0x07, // term, commit, round
        0x08, 0x05, 0x10, 0xac, 0x02, 0x18, 0x02,
    ];
    assert_eq!(body_of(&frame), expected[..]);
}

/// The smallest frame body with this many entries, in two appends as protobuf allows.
fn body_with_entries(count: usize) -> Bytes {
    use prost::encoding::{encode_key, encode_varint};
    let mut body = wire::Frame {
        cluster: SCOPE.cluster.0,
        group: SCOPE.group.0,
        body: None,
    }
    .encode_to_vec();
    for count in [count / 2, count - count / 2] {
        // `prev`, which is required, and entries of no bytes.
        let mut append = vec![0x12, 0];
        for _ in 0..count {
            encode_key(wire::ENTRY_TAG, WireType::LengthDelimited, &mut append);
            append.push(0);
        }
        encode_key(
            wire::APPEND_ENTRIES_TAG,
            WireType::LengthDelimited,
            &mut body,
        );
        encode_varint(append.len() as u64, &mut body);
        body.extend_from_slice(&append);
    }
    body.into()
}

#[test]
fn a_frame_cannot_hold_more_entries_than_an_honest_one() {
    let Ok(Incoming::Message(PeerMessage::Raft(Message::AppendEntries(append)))) =
        decode_message(SCOPE, body_with_entries(1000))
    else {
        panic!("not an append");
    };
    assert_eq!(append.entries.len(), 1000);
    assert_eq!(check_entry_count(&body_with_entries(ENTRIES_MAX)), Ok(()));
    assert_eq!(
        decode_message(SCOPE, body_with_entries(ENTRIES_MAX + 1)),
        Err(DecodeError::ManyEntries)
    );
}

#[test]
fn a_message_of_another_cluster_or_group_is_refused() {
    let mut frame = Vec::new();
    let message = PeerMessage::Raft(TimeoutNow { term: Term(1) }.into());
    encode_message(SCOPE, &message, &mut frame);
    let body = body_of(&frame);
    let mut other = SCOPE;
    other.cluster.0 += 1;
    assert!(matches!(
        decode_message(other, body.clone()),
        Err(DecodeError::Stray { .. })
    ));
    other = SCOPE;
    other.group.0 += 1;
    assert!(matches!(
        decode_message(other, body),
        Err(DecodeError::Stray { .. })
    ));
}

#[test]
fn pings_and_pongs_carry_their_number() {
    let mut frame = Vec::new();
    encode_ping(SCOPE, 42, &mut frame);
    assert_eq!(
        decode_message(SCOPE, body_of(&frame)),
        Ok(Incoming::Ping(42))
    );
    frame.clear();
    encode_pong(SCOPE, 43, &mut frame);
    assert_eq!(
        decode_message(SCOPE, body_of(&frame)),
        Ok(Incoming::Pong(43))
    );
}

#[test]
fn greetings_come_back_as_they_were_sent() {
    let refused = Refused {
        reason: RefusalReason::WrongCluster,
        text: "no".into(),
    };
    for greeting in [
        Greeting::Hello(hello()),
        Greeting::Welcome(hello()),
        Greeting::Refused(refused),
    ] {
        let mut bytes = Vec::new();
        encode_greeting(&greeting, true, &mut bytes);
        assert_eq!(bytes[..MAGIC.len()], MAGIC);
        let body = body_of(&bytes[MAGIC.len()..]);
        assert_eq!(decode_greeting(body), Ok(greeting));
    }
}

#[test]
fn a_peer_cannot_put_lines_into_our_log_or_fill_our_memory() {
    let mut forged = hello();
    forged.version = "1\r\nERROR all is lost".into();
    let mut bytes = Vec::new();
    encode_greeting(&Greeting::Hello(forged), false, &mut bytes);
    let Ok(Greeting::Hello(read)) = decode_greeting(body_of(&bytes)) else {
        panic!("not a hello");
    };
    assert_eq!(read.version, "1ERROR all is lost");

    let mut long = hello();
    long.client_addr = "x".repeat(TEXT_BYTES_MAX + 1);
    bytes.clear();
    encode_greeting(&Greeting::Hello(long), false, &mut bytes);
    assert_eq!(
        decode_greeting(body_of(&bytes)),
        Err(DecodeError::LongText(TEXT_BYTES_MAX + 1))
    );
}
