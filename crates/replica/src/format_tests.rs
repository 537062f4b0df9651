//! The bytes in log entries and snapshots, kept for ever.
//!
//! `tests/fixtures/encodings-1.txt` holds one value of each kind as a release writes it whose cluster was
//! never raised to another feature level; `encodings-2.txt` what there is beyond that. They must never be
//! rewritten: logs and snapshots with such bytes are out there. If this test fails
//! because one is read as something else, or not at all, the change is wrong. If it fails because one is
//! written otherwise, that is right only under a new version of that encoding, with a file of its own
//! beside the old one.

use std::collections::BTreeMap;

use bytes::Bytes;
use kv::CommandId;
use raft::{ConfChange, ConfState, EntryId, HardState, LogIndex, NodeId, SnapshotMeta, Term};

use crate::batch::{BatchHeader, BatchReader, HEADER_LENGTH, Record, push_transaction};
use crate::bootstrap::Bootstrap;
use crate::encoding::push_command;
use crate::features;
use crate::head::Head;
use crate::machine::LastBatch;
use crate::membership::{Enrolled, Roster, Wish};
use crate::session::Watch;

const FIXTURE: &str = include_str!("../tests/fixtures/encodings-1.txt");
const FIXTURE_2: &str = include_str!("../tests/fixtures/encodings-2.txt");

fn bootstrap() -> Bootstrap {
    Bootstrap {
        feature_level: 1,
        secret: *b"0123456789abcdef",
        members: vec![(NodeId(1), "a:1".into()), (NodeId(2), "b:2".into())],
    }
}

fn conf() -> ConfState {
    let mut conf = ConfState::of_voters([NodeId(1), NodeId(2)]);
    conf.learners.insert(NodeId(9));
    conf.voters_outgoing.insert(NodeId(3));
    conf.learners_next.insert(NodeId(3));
    conf.auto_leave = true;
    conf
}

fn roster() -> Roster {
    let enrolled = |peer_addr: &str, token, wish| Enrolled {
        peer_addr: peer_addr.to_owned(),
        token,
        wish,
    };
    Roster {
        members: BTreeMap::from([
            (NodeId(1), enrolled("a:1", 0, Wish::Stay)),
            (NodeId(2), enrolled("b:2", 0, Wish::Leave)),
            (NodeId(8), enrolled("h:8", 77, Wish::Vote)),
            (NodeId(9), enrolled("i:9", 78, Wish::Replace(NodeId(2)))),
        ]),
        next_id: 10,
    }
}

fn change() -> ConfChange {
    ConfChange {
        conf: conf(),
        context: roster().encode(),
    }
}

fn hard_state() -> HardState {
    HardState {
        term: Term(300),
        vote: Some(NodeId(2)),
        commit: LogIndex(70_000),
    }
}

fn head() -> Head {
    let batch = |incarnation, sequence| LastBatch {
        incarnation,
        sequence,
    };
    Head {
        meta: SnapshotMeta {
            last: EntryId::new(300, 70_000),
            time_ms: 1_700_000_000_000,
            conf: conf(),
        },
        bootstrap: bootstrap(),
        gateways: BTreeMap::from([(NodeId(1), batch(4, 5)), (NodeId(u64::MAX), batch(1, 2))]),
        roster: roster(),
        keys: 5,
        feature_level: 1,
    }
}

/// The same of a cluster whose feature level was raised.
fn raised_head() -> Head {
    Head {
        feature_level: 7,
        ..head()
    }
}

const HEADER: BatchHeader = BatchHeader {
    gateway: NodeId(3),
    incarnation: 7,
    sequence: 1_000_000,
};

/// A command, then a transaction that watches a key and has one command.
fn batch() -> Vec<u8> {
    let mut bytes = vec![0; HEADER_LENGTH];
    HEADER.write(&mut bytes);
    let set: [&[u8]; 3] = [b"SET", b"a", b"1"];
    push_command(&mut bytes, CommandId(2), 4, set.into_iter());
    let watch = Watch {
        db: 1,
        key: Bytes::from_static(b"w"),
        version: 7,
    };
    push_transaction(&mut bytes, &[watch], 1);
    let delete: [&[u8]; 2] = [b"DEL", b"b"];
    push_command(&mut bytes, CommandId(3), 15, delete.into_iter());
    bytes
}

fn check_batch(bytes: &[u8]) {
    let (header, mut reader) = BatchReader::open(bytes).expect("a batch");
    assert_eq!(header, HEADER);
    let Ok(Some(Record::Command(set))) = reader.next() else {
        panic!("a command");
    };
    assert_eq!((set.id, set.db), (CommandId(2), 4));
    assert_eq!(set.args[..], [&b"SET"[..], b"a", b"1"]);
    let Ok(Some(Record::Transaction { watches, writes })) = reader.next() else {
        panic!("a transaction");
    };
    assert_eq!((&watches[..], writes), (&[(1, &b"w"[..], 7)][..], 1));
    let delete = reader.next_command().expect("a command");
    assert_eq!((delete.id, delete.db), (CommandId(3), 15));
    assert!(matches!(reader.next(), Ok(None)));
}

fn written() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("batch", batch()),
        ("bootstrap", bootstrap().encode()),
        ("configuration", conf().encode()),
        ("roster", roster().encode().to_vec()),
        ("membership-entry", change().encode().to_vec()),
        ("hard-state", hard_state().encode().to_vec()),
        ("snapshot-head", head().encode().to_vec()),
    ]
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

fn stored(fixture: &'static str) -> BTreeMap<&'static str, Vec<u8>> {
    let lines = fixture.lines();
    lines
        .map(|line| line.split_once(' ').expect("a name and bytes"))
        .map(|(name, digits)| (name, bytes(digits)))
        .collect()
}

#[test]
fn what_a_higher_feature_level_brings_is_read_and_written_as_ever() {
    let stored = stored(FIXTURE_2);
    let entry = &stored["feature-level-entry"];
    assert_eq!(features::decode(entry), Ok(7));
    assert_eq!(hex(&features::encode(7)), hex(entry));
    let head = &stored["snapshot-head"];
    assert_eq!(Head::decode(head), Ok(raised_head()));
    assert_eq!(hex(&raised_head().encode()), hex(head));
}

#[test]
fn what_stands_in_entries_and_snapshots_is_read_and_written_as_ever() {
    let stored = stored(FIXTURE);
    check_batch(&stored["batch"]);
    assert_eq!(Bootstrap::decode(&stored["bootstrap"]), Ok(bootstrap()));
    assert_eq!(ConfState::decode(&stored["configuration"]), Ok(conf()));
    assert_eq!(Roster::decode(&stored["roster"]), Ok(roster()));
    let entry = Bytes::from(stored["membership-entry"].clone());
    assert_eq!(ConfChange::decode(&entry), Ok(change()));
    assert_eq!(HardState::decode(&stored["hard-state"]), Ok(hard_state()));
    assert_eq!(Head::decode(&stored["snapshot-head"]), Ok(head()));
    for (name, bytes) in written() {
        assert_eq!(
            hex(&bytes),
            hex(&stored[name]),
            "{name} is written otherwise"
        );
    }
}
