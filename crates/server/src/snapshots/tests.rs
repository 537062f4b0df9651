//! The threads of snapshots, without a node around them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Poll, Token, Waker};
use raft::{ClusterId, GroupId, NodeId};
use snapshot::Directory;
use vfs::MemVfs;
use wal::PeerRun;

use super::{Completion, SnapshotSettings, Snapshots};
use crate::peer::SnapshotTarget;
use crate::peer::codec::Scope;
use crate::peer::handshake::{Hello, PROTOCOL_VERSION, PROTOCOL_VERSION_MIN, Purpose, Roll};

/// A bound on every wait, far above what any takes.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) const SCOPE: Scope = Scope {
    cluster: ClusterId(77),
    group: GroupId(1),
};

pub(super) fn directory() -> Directory {
    Directory::open(Arc::new(MemVfs::new(1)), Path::new("/snapshots")).expect("a directory")
}

/// The threads, and what keeps their waker alive.
fn snapshots() -> (Snapshots, Poll) {
    let settings = SnapshotSettings {
        scope: SCOPE,
        bytes_per_second: 0,
        log_percent: 100,
        log_bytes_min: 0,
        log_bytes_max: u64::MAX,
        log_bytes_spare: 0,
        send_bytes_per_second: 0,
    };
    let poll = Poll::new().expect("a poll");
    let waker = Waker::new(poll.registry(), Token(0)).expect("a waker");
    let snapshots = Snapshots::start(settings, directory(), None, Arc::new(waker));
    (snapshots.expect("a thread"), poll)
}

/// A peer at an address where nobody listens.
fn target(node: NodeId) -> SnapshotTarget {
    let hello = Hello {
        protocol_version: PROTOCOL_VERSION,
        protocol_version_min: PROTOCOL_VERSION_MIN,
        cluster: SCOPE.cluster,
        cluster_name: "test".into(),
        node: NodeId(1),
        target: node,
        purpose: Purpose::Snapshot,
        incarnation: 1,
        process: 1,
        directory: 1,
        client_addr: String::new(),
        peer_addr: String::new(),
        version: "0.0.0".into(),
    };
    SnapshotTarget {
        node,
        address: "127.0.0.1:1".into(),
        run: PeerRun {
            node: node.0,
            incarnation: 1,
            process: 1,
            directory: 1,
        },
        hello,
        roll: Roll {
            members: BTreeSet::from([NodeId(1), node]),
            ids_used_below: 3,
            is_leader: true,
        },
        scope: SCOPE,
        tls: None,
    }
}

#[test]
fn a_transfer_that_is_wanted_as_soon_as_the_last_one_is_told_to_have_ended_begins() {
    let (mut snapshots, _poll) = snapshots();
    let to = NodeId(2);
    let started = Instant::now();
    for round in 0..200 {
        // Without a file to send, a transfer has ended before it began.
        assert!(
            snapshots.send(target(to)),
            "nobody would be told of the end of round {round}"
        );
        let mut completions = Vec::new();
        while completions.is_empty() {
            snapshots.completions(&mut completions);
            assert!(started.elapsed() < PATIENCE, "round {round} never ends");
            std::hint::spin_loop();
        }
        let [Completion::Damaged { to: ended }] = completions[..] else {
            panic!("{completions:?}");
        };
        assert_eq!(ended, to);
    }
    assert_eq!(snapshots.statistics().sending, 0);
}

#[test]
fn a_transfer_that_is_under_way_is_not_begun_twice() {
    let (mut snapshots, _poll) = snapshots();
    assert!(snapshots.send(target(NodeId(2))));
    // Whatever its thread has done by now: its end was not told, and is still to come.
    assert!(!snapshots.send(target(NodeId(2))));
    assert!(snapshots.send(target(NodeId(3))));
}
