//! The threads of snapshots, without a node around them.

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Poll, Token, Waker};
use raft::{ClusterId, EntryId, GroupId, LogIndex, NodeId};
use replica::FeatureLevels;
use snapshot::{Directory, Found, Meta, Receiver, SnapshotError, Source, Writer};
use vfs::{Fault, MemVfs, OperationKind};
use wal::{GroupLog, PeerRun};

use super::channel::{Channel, Stop, TransferError};
use super::deliver::Delivery;
use super::receive::{Arrival, Receiving};
use super::scrub::{Scrub, Step};
use super::send::Sending;
use super::{Completion, Outbox, SnapshotSettings, Snapshots, lock};
use crate::peer::codec::Scope;
use crate::peer::frame::FrameReader;
use crate::peer::handshake::{Hello, PROTOCOL_VERSION, PROTOCOL_VERSION_MIN, Purpose, Roll};
use crate::peer::transfer::{Offer, TRANSFER_FRAME_BYTES_MAX, Transfer};
use crate::peer::{Detached, SnapshotTarget};
use crate::transport::Transport;

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
    snapshots_in(directory())
}

fn snapshots_in(directory: Directory) -> (Snapshots, Poll) {
    let settings = SnapshotSettings {
        scope: SCOPE,
        bytes_per_second: 0,
        log_percent: 100,
        log_bytes_min: 0,
        log_bytes_max: u64::MAX,
        log_bytes_spare: 0,
        send_bytes_per_second: 0,
        scrub_bytes_per_second: 1 << 30,
    };
    let poll = Poll::new().expect("a poll");
    let waker = Waker::new(poll.registry(), Token(0)).expect("a waker");
    let snapshots = Snapshots::start(settings, directory, None, Arc::new(waker));
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
        levels: FeatureLevels::OF_FIRST_RELEASE,
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
            feature_level: 0,
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
    for round in 0..50 {
        // Without a file to send, a transfer has ended before it began.
        assert!(
            snapshots.send(target(to), LogIndex(0)),
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
    assert!(snapshots.send(target(NodeId(2)), LogIndex(0)));
    // Whatever its thread has done by now: its end was not told, and is still to come.
    assert!(!snapshots.send(target(NodeId(2)), LogIndex(0)));
    assert!(snapshots.send(target(NodeId(3)), LogIndex(0)));
}

/// What a node of which a snapshot is received has.
struct Place {
    receiving: Receiving,
    _poll: Poll,
}

fn place(working_interval: Duration) -> Place {
    let poll = Poll::new().expect("a poll");
    let waker = Waker::new(poll.registry(), Token(0)).expect("a waker");
    let outbox = Outbox::new(Arc::new(waker));
    Place {
        receiving: Receiving {
            directory: directory(),
            scope: SCOPE,
            outbox: Arc::new(outbox),
            received_bytes: Arc::default(),
            working_interval,
        },
        _poll: poll,
    }
}

/// A connection after its handshake: the ends of the sender and of the receiver.
fn connection() -> (Channel, Detached) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let dialled = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    let (accepted, _) = listener.accept().expect("accepted");
    let detached = |socket| Detached {
        transport: Transport::Plain(mio::net::TcpStream::from_std(socket)),
        reader: FrameReader::new(TRANSFER_FRAME_BYTES_MAX),
        unsent: Vec::new(),
    };
    let channel = Channel::adopt(detached(dialled), SCOPE, Stop::default());
    (channel.expect("a channel"), detached(accepted))
}

/// A file of several blocks, whole, and not one that can be loaded.
fn write_file(directory: &Directory) -> Found {
    // A version, and then it ends.
    write_file_of(directory, &[1])
}

fn write_file_of(directory: &Directory, head: &'static [u8]) -> Found {
    write_file_at(directory, head, 70)
}

fn write_file_at(directory: &Directory, head: &'static [u8], index: u64) -> Found {
    let meta = Meta {
        cluster: SCOPE.cluster.0,
        group: SCOPE.group.0,
        term: 3,
        index,
        time_ms: 1,
        head: head.into(),
    };
    let mut writer = Writer::create(directory, &meta).expect("a writer");
    for block in 0..4 {
        writer.block(&[block; 1000]).expect("written");
    }
    writer.finish().expect("durable")
}

/// Brings a file to a place, as a sender does, or one that the place has a part of. Returns the last
/// entry of the one that was sent.
fn bring(place: &Place, file: &Found, sender: &Directory) -> Result<EntryId, TransferError> {
    let (mut channel, detached) = connection();
    let arrival = Arrival {
        from: NodeId(1),
        connection: detached,
        applied: LogIndex(0),
        stop: Stop::default(),
    };
    let target = target(NodeId(2));
    let source = Source::open(sender.vfs().as_ref(), file).expect("open");
    let (stop, sent_bytes) = (Stop::default(), AtomicU64::new(0));
    let sending = Sending {
        target: &target,
        source: &source,
        bytes_per_second: 0,
        stop: &stop,
        older: &|last, bytes, checksum| delivery(sender).older(last, bytes, checksum),
        sent_bytes: &sent_bytes,
    };
    thread::scope(|scope| {
        scope.spawn(|| place.receiving.serve(arrival));
        sending.bring(&mut channel, &mut 0)
    })
}

/// Puts all of a file but its last byte where a receiver goes on.
fn leave_partial(place: &Place, file: &Found, sender: &Directory) {
    let source = Source::open(sender.vfs().as_ref(), file).expect("open");
    let begun = Receiver::begin(&place.receiving.directory, source.id());
    let (mut receiver, _) = begun.expect("begun");
    let most = source.read(0, source.id().bytes as usize - 1);
    receiver.chunk(0, &most.expect("read")).expect("taken");
}

fn delivery(directory: &Directory) -> Delivery {
    Delivery {
        directory: directory.clone(),
        target: target(NodeId(2)),
        least: LogIndex(0),
        on_older: Box::new(|_| {}),
        bytes_per_second: 0,
        stop: Stop::default(),
        sent_bytes: Arc::default(),
        checked: Arc::default(),
    }
}

#[test]
fn a_file_that_cannot_be_read_is_written_anew_instead_of_tried_for_ever() {
    let disk = MemVfs::new(1);
    let sender = Directory::open(Arc::new(disk.clone()), Path::new("/snapshots"));
    let sender = sender.expect("a directory");
    write_file(&sender);
    disk.inject(OperationKind::Read, 1, Fault::Io);
    let ended = delivery(&sender).run();
    assert!(matches!(ended, Completion::Damaged { .. }), "{ended:?}");
    // It may be good: it was not judged.
    assert_eq!(sender.list().expect("listed").len(), 1);
    // A peer that cannot be reached says nothing of the file.
    let ended = delivery(&sender).run();
    assert!(matches!(ended, Completion::Sent { .. }), "{ended:?}");
}

/// What a place says to the offer of a file, and to the same offer once more.
fn answer_to(place: &Place, file: &Found, applied: u64, hears_holds: bool) -> Transfer {
    let (mut channel, detached) = connection();
    let arrival = Arrival {
        from: NodeId(1),
        connection: detached,
        applied: LogIndex(applied),
        stop: Stop::default(),
    };
    let offer = Offer {
        last: super::position(file.meta.term, file.meta.index),
        bytes: file.bytes,
        checksum: file.checksum,
        hears_working: false,
        hears_holds,
    };
    thread::scope(|scope| {
        scope.spawn(|| place.receiving.serve(arrival));
        channel.send(&Transfer::Offer(offer)).expect("sent");
        let answer = channel.receive().expect("an answer");
        channel.close();
        answer
    })
}

#[test]
fn a_transfer_goes_on_with_the_file_that_was_begun_when_there_is_a_newer_one() {
    let (sender, place) = (directory(), place(Duration::ZERO));
    let older = write_file(&sender);
    leave_partial(&place, &older, &sender);
    let newer = write_file_at(&sender, &[1], 90);

    let held = answer_to(&place, &newer, 0, true);
    assert!(
        matches!(held, Transfer::Holds { last, bytes, .. } if last.index.0 == 70 && bytes == older.bytes),
        "{held:?}"
    );
    let vfs = sender.vfs().as_ref();
    let begun = |file: &Found| {
        let source = Source::open(vfs, file).expect("open");
        Receiver::begin(&place.receiving.directory, source.id())
            .expect("begun")
            .1
    };
    assert!(begun(&older) > 4000, "nothing was lost by saying so");
    // It arrives whole, in whatever order: that file's content is no state.
    let before = place.receiving.received_bytes.load(Ordering::Relaxed);
    bring(&place, &newer, &sender).expect_err("it cannot be loaded");
    let received = place.receiving.received_bytes.load(Ordering::Relaxed) - before;
    assert!(
        received < 1100,
        "only the rest of the older file: {received}"
    );
}

#[test]
fn a_part_of_a_file_that_is_of_no_use_is_not_gone_on_with() {
    let sender = directory();
    let older = write_file(&sender);
    let newer = write_file_at(&sender, &[1], 90);
    // One of an earlier release does not know the word, and what is applied is not needed.
    for (applied, hears_holds) in [(0, false), (70, true)] {
        let place = place(Duration::ZERO);
        leave_partial(&place, &older, &sender);
        let answer = answer_to(&place, &newer, applied, hears_holds);
        assert!(
            matches!(answer, Transfer::Resume { offset: 0 }),
            "{answer:?}"
        );
    }
    // Nor does the sender take a file that its log does not go on behind, another, or one that is gone.
    let mut delivery = delivery(&sender);
    let (last, bytes, checksum) = (super::position(3, 70), older.bytes, older.checksum);
    assert!(delivery.older(last, bytes, checksum).is_some());
    assert!(delivery.older(last, bytes, checksum ^ 1).is_none());
    delivery.least = LogIndex(71);
    assert!(delivery.older(last, bytes, checksum).is_none());
    delivery.least = LogIndex(0);
    vfs::Vfs::remove(sender.vfs().as_ref(), &older.path).expect("removed");
    assert!(delivery.older(last, bytes, checksum).is_none());
}

#[test]
fn a_file_that_does_not_reach_the_log_is_not_sent() {
    let sender = directory();
    write_file(&sender);
    let mut delivery = delivery(&sender);
    delivery.least = LogIndex(71);
    let ended = delivery.run();
    assert!(matches!(ended, Completion::Damaged { .. }), "{ended:?}");
}

#[test]
fn a_receiver_that_reads_what_it_has_says_so_before_it_answers() {
    let sender = directory();
    let file = write_file(&sender);
    for hears_working in [true, false] {
        let place = place(Duration::ZERO);
        leave_partial(&place, &file, &sender);
        let (mut channel, detached) = connection();
        let arrival = Arrival {
            from: NodeId(1),
            connection: detached,
            applied: LogIndex(0),
            stop: Stop::default(),
        };
        let offer = Offer {
            last: super::position(3, 70),
            bytes: file.bytes,
            checksum: file.checksum,
            hears_working,
            hears_holds: true,
        };
        thread::scope(|scope| {
            scope.spawn(|| place.receiving.serve(arrival));
            channel.send(&Transfer::Offer(offer)).expect("sent");
            let mut working = 0;
            let offset = loop {
                match channel.receive().expect("an answer") {
                    Transfer::Working { done, total } if done < total => working += 1,
                    Transfer::Resume { offset } => break offset,
                    other => panic!("{other:?}"),
                }
            };
            assert!(offset > 4000, "{offset}");
            // One that does not know the word is left to its patience.
            assert_eq!(working > 0, hears_working);
            channel.close();
        });
    }
}

#[test]
fn a_sender_waits_for_a_receiver_that_says_that_it_is_at_work() {
    let (sender, place) = (directory(), place(Duration::ZERO));
    let file = write_file(&sender);
    leave_partial(&place, &file, &sender);
    let error = bring(&place, &file, &sender).expect_err("it cannot be loaded");
    // Not because it came out of turn: all of it has arrived.
    assert!(matches!(error, TransferError::GivenUp(_)), "{error}");
}

#[test]
fn a_receiver_that_is_to_stop_does_not_read_what_it_has_to_the_end() {
    let (sender, place) = (directory(), place(Duration::ZERO));
    let file = write_file(&sender);
    leave_partial(&place, &file, &sender);
    let (_sender, detached) = connection();
    let stop = Stop::default();
    let mut receiving = Channel::adopt(detached, SCOPE, Stop::default()).expect("a channel");
    stop.raise();
    let source = Source::open(sender.vfs().as_ref(), &file).expect("open");
    let begun = place
        .receiving
        .begin(&mut receiving, source.id(), true, &stop);
    assert!(matches!(begun, Err(TransferError::Stopped)));
}

#[test]
fn a_snapshot_that_cannot_be_loaded_leaves_nothing_however_often_it_is_sent() {
    let (sender, place) = (directory(), place(Duration::ZERO));
    let file = write_file(&sender);
    for _ in 0..3 {
        let error = bring(&place, &file, &sender).expect_err("it cannot be loaded");
        assert!(error.to_string().contains("cannot be loaded"), "{error}");
        let received = &place.receiving.directory;
        assert_eq!(received.disk_bytes().expect("listed"), 0);
        // What a start finds is what was there before.
        let vfs = Arc::clone(received.vfs());
        let start = super::open(vfs, received.path(), SCOPE).expect("a start");
        assert!(start.choice.state.is_none());
        start.settle(None).expect("nothing is missing");
    }
}

#[test]
fn a_start_passes_over_a_snapshot_that_holds_no_state() {
    // Such as an earlier release left when it died between the end of a reception and its loading.
    let directory = directory();
    write_file(&directory);
    let vfs = Arc::clone(directory.vfs());
    let start = super::open(vfs, directory.path(), SCOPE).expect("a start");
    assert!(start.choice.state.is_none());
    start
        .settle(None)
        .expect("the log reaches back to its beginning");
    assert_eq!(directory.list().expect("listed"), []);
    assert!(
        directory.disk_bytes().expect("listed") > 0,
        "it is set aside"
    );
}

#[test]
fn a_start_keeps_a_part_of_a_snapshot_only_while_it_may_be_needed() {
    let sender = directory();
    let file = write_file(&sender);
    let log = |last| GroupLog {
        base: (0, 0),
        first: 1,
        last: (3, last),
        ..GroupLog::default()
    };
    for (last, is_kept) in [(69, true), (70, false)] {
        let place = place(Duration::ZERO);
        leave_partial(&place, &file, &sender);
        let directory = &place.receiving.directory;
        let start = super::open(Arc::clone(directory.vfs()), directory.path(), SCOPE);
        start
            .expect("a start")
            .settle(Some(&log(last)))
            .expect("they meet");
        let partial = directory.partial(SCOPE.cluster.0, SCOPE.group.0);
        assert_eq!(partial.expect("listed").is_some(), is_kept, "{last}");
    }
}

#[test]
fn a_start_refuses_a_snapshot_that_a_newer_release_wrote() {
    let directory = directory();
    write_file_of(&directory, &[200]);
    let vfs = Arc::clone(directory.vfs());
    let refused = super::open(vfs, directory.path(), SCOPE).err();
    let refused = refused.expect("it may be all there is").to_string();
    assert!(refused.contains("newer"), "{refused}");
    assert_eq!(directory.list().expect("listed").len(), 1);
}

#[test]
fn a_start_does_not_pass_over_a_snapshot_that_cannot_be_read_now() {
    let disk = MemVfs::new(1);
    let vfs: Arc<dyn vfs::Vfs> = Arc::new(disk.clone());
    let directory =
        Directory::open(Arc::clone(&vfs), Path::new("/snapshots")).expect("a directory");
    let file = write_file(&directory);
    disk.inject(OperationKind::Read, 1, Fault::Io);
    let failed = super::open(vfs, directory.path(), SCOPE).err();
    let failed = failed.expect("nobody knows what it holds").to_string();
    let path = file.path.display().to_string();
    assert!(failed.starts_with("cannot read"), "{failed}");
    assert!(
        failed.contains(&path) && failed.contains("try again"),
        "{failed}"
    );
    assert_eq!(directory.list().expect("listed").len(), 1);
}

/// Steps of reading again at a time that is always due, until one finds something; none within `count`
/// is `None`.
fn found_within(scrub: &mut Scrub, now: &mut Instant, count: usize) -> Option<Step> {
    (0..count).find_map(|_| {
        *now += Duration::from_secs(2);
        let step = scrub.step(*now);
        (step.is_damage || step.is_lost).then_some(step)
    })
}

#[test]
fn a_snapshot_that_rots_while_the_node_runs_is_set_aside_and_one_that_cannot_be_read_is_not() {
    let disk = MemVfs::new(1);
    let vfs: Arc<dyn vfs::Vfs> = Arc::new(disk.clone());
    let directory = Directory::open(vfs, Path::new("/snapshots")).expect("a directory");
    let file = write_file(&directory);
    let mut now = Instant::now();
    let mut scrub = Scrub::new(directory.clone(), 1 << 20, now);
    assert_eq!(found_within(&mut scrub, &mut now, 100), None, "it is good");

    // Once is no reason for anything, twice is one to write it anew; the file stays.
    disk.inject(OperationKind::Read, 1, Fault::Io);
    assert_eq!(found_within(&mut scrub, &mut now, 100), None);
    disk.inject(OperationKind::Read, 1, Fault::Io);
    disk.inject(OperationKind::Read, 2, Fault::Io);
    let found = found_within(&mut scrub, &mut now, 100).expect("unreadable");
    assert!(found.is_lost && !found.is_damage);
    assert_eq!(directory.list().expect("listed").len(), 1);

    disk.flip_bit(&file.path, file.bytes / 2, 3)
        .expect("inside");
    let found = found_within(&mut scrub, &mut now, 100).expect("damaged");
    assert!(found.is_lost && found.is_damage);
    assert_eq!(directory.list().expect("listed"), []);
    // As long as there is none, it is asked for again.
    let again = found_within(&mut scrub, &mut now, 100).expect("asked for again");
    assert!(again.is_lost && !again.is_damage);
    write_file(&directory);
    assert_eq!(found_within(&mut scrub, &mut now, 100), None, "it is back");
}

#[test]
fn the_thread_that_writes_tells_of_damage_and_ends_when_it_is_told_to() {
    let directory = directory();
    let file = write_file(&directory);
    let bytes = [0xff; 100];
    let vfs = directory.vfs();
    let mut damaged = vfs.open(&file.path).expect("open");
    damaged
        .write_all_at(file.bytes / 2, &bytes)
        .expect("written");
    let (mut snapshots, _poll) = snapshots_in(directory.clone());
    let (mut completions, started) = (Vec::new(), Instant::now());
    while completions.is_empty() {
        snapshots.completions(&mut completions);
        assert!(started.elapsed() < PATIENCE, "the damage is never found");
        thread::yield_now();
    }
    assert!(matches!(
        completions[..],
        [Completion::Lost { is_damage: true }]
    ));
    assert_eq!(snapshots.statistics().damage_found, 1);
    snapshots.close();
}

#[test]
fn a_node_that_stops_does_not_check_the_file_that_it_was_to_send() {
    let directory = directory();
    write_file(&directory);
    let delivery = |stop: &Stop| Delivery {
        directory: directory.clone(),
        target: target(NodeId(2)),
        least: LogIndex(0),
        on_older: Box::new(|_| {}),
        bytes_per_second: 0,
        stop: stop.clone(),
        sent_bytes: Arc::default(),
        checked: Arc::default(),
    };
    for is_stopping in [false, true] {
        let stop = Stop::default();
        if is_stopping {
            stop.raise_all();
        }
        let delivery = delivery(&stop);
        let source = delivery.source();
        assert_eq!(matches!(source, Err(SnapshotError::Stopped)), is_stopping);
        assert_eq!(lock(&delivery.checked).is_empty(), is_stopping);
    }
}
