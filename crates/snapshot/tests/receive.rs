//! A file is received whole, from wherever it was interrupted, or not at all.

mod common;

use common::{
    CLUSTER, GROUP, blocks_of, choose, directory, meta, read_all, remove_older_than, try_write,
    write,
};
use snapshot::format::{HEADER_BYTES, RECORD_HEADER_BYTES, receiving_name};
use snapshot::{
    DamageKind, Directory, FileId, Found, Meta, ReceiveError, Receiver, SnapshotError, Source,
    verify, verify_watched,
};
use vfs::{Crash, Fault, MemVfs, OperationKind, Vfs};

struct Pair {
    disk: MemVfs,
    to: Directory,
    sent: Found,
    source: Source,
}

fn pair() -> Pair {
    let disk = MemVfs::new(1);
    let sent = write(&directory(&disk, "/from"), 9, &blocks_of(9));
    let source = Source::open(&disk, &sent).unwrap();
    let to = directory(&disk, "/to");
    Pair {
        disk,
        to,
        sent,
        source,
    }
}

/// Sends what is left, in pieces, and finishes.
fn send_rest(
    mut receiver: Receiver,
    source: &Source,
    piece_bytes: usize,
) -> Result<Found, ReceiveError> {
    loop {
        let offset = receiver.received_bytes();
        let chunk = source.read(offset, piece_bytes).unwrap();
        if chunk.is_empty() {
            return receiver.finish();
        }
        receiver.chunk(offset, &chunk)?;
    }
}

#[test]
fn a_file_arrives_in_pieces_of_any_size() {
    for piece_bytes in [1, 7, 64, 100, 1 << 20] {
        let Pair {
            to,
            sent,
            source,
            disk,
        } = pair();
        let (receiver, offset) = Receiver::begin(&to, source.id()).unwrap();
        assert_eq!((offset, receiver.id()), (0, sent.id()));
        let found = send_rest(receiver, &source, piece_bytes).unwrap();
        assert_eq!(found.id(), sent.id());
        assert_eq!(read_all(&disk, &found.path).unwrap().1, blocks_of(9));
        assert_eq!(choose(&to).unwrap().found, Some(found));
    }
}

#[test]
fn an_interrupted_reception_goes_on_behind_the_last_intact_block() {
    let bytes = pair().sent.bytes;
    // Where blocks end.
    let mut ends = vec![0, (HEADER_BYTES + meta(9).head.len()) as u64];
    for block in blocks_of(9) {
        ends.push(ends[ends.len() - 1] + (RECORD_HEADER_BYTES + block.len()) as u64);
    }
    ends.push(bytes);
    for interrupted_at in 0..=bytes {
        let Pair {
            to, source, sent, ..
        } = pair();
        let (mut receiver, _) = Receiver::begin(&to, source.id()).unwrap();
        let first = source.read(0, interrupted_at as usize).unwrap();
        receiver.chunk(0, &first).unwrap();
        drop(receiver);
        let (receiver, offset) = Receiver::begin(&to, source.id()).unwrap();
        let expected = ends.iter().rev().find(|end| **end <= interrupted_at);
        assert_eq!(Some(&offset), expected, "interrupted at {interrupted_at}");
        let found = send_rest(receiver, &source, 100).unwrap();
        assert_eq!(found.id(), sent.id());
    }
}

#[test]
fn what_a_crash_left_behind_the_intact_part_does_not_matter() {
    let Pair {
        disk,
        to,
        source,
        sent,
    } = pair();
    let partial = to.path().join(receiving_name(&source.id()));
    let mut bytes = disk.contents(&sent.path).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0);
    disk.overwrite(&partial, 0, &bytes).unwrap();
    let (receiver, offset) = Receiver::begin(&to, source.id()).unwrap();
    assert!(offset > 0 && offset <= half as u64);
    assert_eq!(send_rest(receiver, &source, 100).unwrap().id(), sent.id());
}

#[test]
fn pieces_doubled_out_of_order_or_too_long_change_nothing() {
    let Pair {
        to, source, sent, ..
    } = pair();
    let (mut receiver, _) = Receiver::begin(&to, source.id()).unwrap();
    let piece = source.read(0, 100).unwrap();
    receiver.chunk(0, &piece).unwrap();
    for offset in [0, 50, 99, 101, 200, u64::MAX] {
        let error = receiver.chunk(offset, &piece).unwrap_err();
        assert!(matches!(error, ReceiveError::Offset { expected: 100, .. }));
    }
    let error = receiver
        .chunk(100, &vec![0; sent.bytes as usize])
        .unwrap_err();
    assert!(matches!(error, ReceiveError::TooLong { .. }), "{error}");
    assert_eq!(receiver.received_bytes(), 100);
    assert_eq!(send_rest(receiver, &source, 100).unwrap().id(), sent.id());
}

#[test]
fn a_part_of_a_file_is_no_file() {
    let Pair {
        to, source, disk, ..
    } = pair();
    let (mut receiver, _) = Receiver::begin(&to, source.id()).unwrap();
    receiver.chunk(0, &source.read(0, 100).unwrap()).unwrap();
    let error = receiver.finish().unwrap_err();
    assert!(matches!(
        error,
        ReceiveError::Incomplete { received: 100, .. }
    ));
    assert!(to.list().unwrap().is_empty());
    // What arrived is kept for the next attempt, and survives the removal of what was written.
    to.remove_temporary().unwrap();
    let partial = to.path().join(receiving_name(&source.id()));
    assert!(disk.exists(&partial).unwrap());
    assert_eq!(to.partial(CLUSTER, GROUP).unwrap(), Some(source.id()));
    // A node that has not got that far may need it; one that has does not.
    assert!(to.remove_partial_to(8).unwrap().is_empty());
    assert_eq!(to.remove_partial_to(9).unwrap(), [partial]);
    assert_eq!(to.partial(CLUSTER, GROUP).unwrap(), None);
}

#[test]
fn a_damaged_transfer_is_refused_and_the_next_one_begins_anew() {
    let Pair {
        to,
        source,
        sent,
        disk,
    } = pair();
    for flipped in 0..sent.bytes {
        let mut bytes = disk.contents(&sent.path).unwrap();
        bytes[flipped as usize] ^= 1;
        let (mut receiver, offset) = Receiver::begin(&to, source.id()).unwrap();
        assert_eq!(offset, 0, "what was damaged was kept");
        receiver.chunk(0, &bytes).unwrap();
        let error = receiver.finish().unwrap_err();
        let ReceiveError::File(SnapshotError::Damaged { .. }) = error else {
            panic!("{error}");
        };
        assert!(to.list().unwrap().is_empty());
    }
    let (receiver, _) = Receiver::begin(&to, source.id()).unwrap();
    assert_eq!(send_rest(receiver, &source, 100).unwrap().id(), sent.id());
}

#[test]
fn another_file_than_the_announced_one_is_refused() {
    let Pair { to, sent, disk, .. } = pair();
    let bytes = disk.contents(&sent.path).unwrap();
    let announced = sent.id();
    let others = [
        FileId {
            cluster: 8,
            ..announced
        },
        FileId {
            group: 2,
            ..announced
        },
        FileId {
            index: 8,
            ..announced
        },
        FileId {
            term: 4,
            ..announced
        },
        FileId {
            checksum: announced.checksum ^ 1,
            ..announced
        },
    ];
    for id in others {
        let (mut receiver, _) = Receiver::begin(&to, id).unwrap();
        receiver.chunk(0, &bytes).unwrap();
        let error = receiver.finish().unwrap_err();
        assert!(
            matches!(
                &error,
                ReceiveError::File(SnapshotError::Damaged { damage, .. })
                    if damage.kind == DamageKind::Other
            ),
            "{error}"
        );
        assert!(to.list().unwrap().is_empty());
    }
}

#[test]
fn a_source_that_changes_is_noticed() {
    let Pair {
        disk, to, source, ..
    } = pair();
    let (mut receiver, _) = Receiver::begin(&to, source.id()).unwrap();
    receiver.chunk(0, &source.read(0, 300).unwrap()).unwrap();
    // The sender replaced its file by another of the same length: the rest is of that one.
    let meta = Meta {
        time_ms: 2_000,
        ..meta(9)
    };
    let changed = try_write(&directory(&disk, "/changed"), &meta, &blocks_of(9)).unwrap();
    let changed = Source::open(&disk, &changed).unwrap();
    let error = send_rest(receiver, &changed, 100).unwrap_err();
    assert!(matches!(
        error,
        ReceiveError::File(SnapshotError::Damaged { .. })
    ));
    // Announced as what it is, it arrives; what there was of the other is gone.
    let (receiver, offset) = Receiver::begin(&to, changed.id()).unwrap();
    assert_eq!(offset, 0);
    send_rest(receiver, &changed, 100).unwrap();
    assert_eq!(disk.list(to.path()).unwrap().len(), 1);
}

#[test]
fn a_new_announcement_replaces_what_was_received_of_another_file() {
    let Pair {
        disk, to, source, ..
    } = pair();
    let (mut receiver, _) = Receiver::begin(&to, source.id()).unwrap();
    receiver.chunk(0, &source.read(0, 300).unwrap()).unwrap();
    drop(receiver);
    let newer = write(&directory(&disk, "/from"), 12, &blocks_of(12));
    let newer = Source::open(&disk, &newer).unwrap();
    let (receiver, offset) = Receiver::begin(&to, newer.id()).unwrap();
    assert_eq!(offset, 0);
    send_rest(receiver, &newer, 100).unwrap();
    assert_eq!(disk.list(to.path()).unwrap().len(), 1);
}

#[test]
fn a_source_is_readable_after_its_name_is_gone_and_says_when_it_was_cut() {
    let Pair {
        disk,
        to,
        source,
        sent,
    } = pair();
    disk.remove(&sent.path).unwrap();
    let (receiver, _) = Receiver::begin(&to, source.id()).unwrap();
    let found = send_rest(receiver, &source, 100).unwrap();
    let source = Source::open(&disk, &found).unwrap();
    disk.truncate(&found.path, 500).unwrap();
    assert_eq!(source.read(400, 100).unwrap().len(), 100);
    assert!(matches!(
        source.read(450, 100).unwrap_err(),
        SnapshotError::Damaged { .. }
    ));
    assert!(source.read(sent.bytes, 100).unwrap().is_empty());
    assert!(source.read(u64::MAX, 100).unwrap().is_empty());
}

#[test]
fn room_is_made_on_a_full_disk_and_the_reception_goes_on() {
    let Pair {
        disk,
        to,
        source,
        sent,
    } = pair();
    write(&to, 3, &blocks_of(3));
    let newest = write(&to, 5, &blocks_of(5));
    let (mut receiver, _) = Receiver::begin(&to, source.id()).unwrap();
    receiver.chunk(0, &source.read(0, 300).unwrap()).unwrap();
    disk.set_capacity(Some(disk.used_bytes()));
    let found = send_rest(receiver, &source, 300).unwrap();
    assert_eq!(found.id(), sent.id());
    let left: Vec<_> = to.list().unwrap().into_iter().map(|it| it.2).collect();
    assert_eq!(left, [found.path, newest.path], "the older one made room");
}

#[test]
fn what_was_received_is_given_back_to_a_disk_that_stays_full() {
    let Pair {
        disk,
        to,
        source,
        sent,
    } = pair();
    let newest = write(&to, 5, &blocks_of(5));
    let before = disk.used_bytes();
    let (mut receiver, _) = Receiver::begin(&to, source.id()).unwrap();
    receiver.chunk(0, &source.read(0, 300).unwrap()).unwrap();
    disk.set_capacity(Some(disk.used_bytes()));
    let error = receiver
        .chunk(300, &source.read(300, 300).unwrap())
        .unwrap_err();
    assert!(
        matches!(&error, ReceiveError::File(error) if error.is_no_space()),
        "{error}"
    );
    drop(receiver);
    assert_eq!(disk.used_bytes(), before);
    assert_eq!(to.list().unwrap()[0].2, newest.path, "the newest stays");
    disk.set_capacity(None);
    let (receiver, offset) = Receiver::begin(&to, source.id()).unwrap();
    assert_eq!(offset, 0);
    assert_eq!(send_rest(receiver, &source, 100).unwrap().id(), sent.id());
}

#[test]
fn what_a_disk_cannot_read_or_write_of_a_part_is_received_anew() {
    for (kind, nth) in [(OperationKind::Read, 1), (OperationKind::Write, 1)] {
        let Pair {
            disk,
            to,
            source,
            sent,
        } = pair();
        let (mut receiver, _) = Receiver::begin(&to, source.id()).unwrap();
        receiver.chunk(0, &source.read(0, 300).unwrap()).unwrap();
        drop(receiver);
        let piece = source.read(0, 500).unwrap();
        disk.inject(kind, nth, Fault::Io);
        let (mut receiver, mut offset) = Receiver::begin(&to, source.id()).unwrap();
        if kind == OperationKind::Write {
            let error = receiver
                .chunk(offset, &piece[offset as usize..])
                .unwrap_err();
            assert!(matches!(
                error,
                ReceiveError::File(SnapshotError::Io { .. })
            ));
            drop(receiver);
            (receiver, offset) = Receiver::begin(&to, source.id()).unwrap();
        }
        disk.clear_faults();
        assert_eq!(offset, 0, "{kind:?} {nth}");
        assert_eq!(send_rest(receiver, &source, 100).unwrap().id(), sent.id());
    }
}

#[test]
fn a_whole_file_that_cannot_be_read_is_received_anew() {
    let Pair {
        disk,
        to,
        source,
        sent,
    } = pair();
    let whole = source.read(0, usize::MAX).unwrap();
    let (mut receiver, _) = Receiver::begin(&to, source.id()).unwrap();
    receiver.chunk(0, &whole).unwrap();
    disk.inject(OperationKind::Read, 1, Fault::Io);
    let error = receiver.finish().unwrap_err();
    assert!(matches!(
        error,
        ReceiveError::File(SnapshotError::Io { .. })
    ));
    let (receiver, offset) = Receiver::begin(&to, source.id()).unwrap();
    assert_eq!(offset, 0);
    assert_eq!(send_rest(receiver, &source, 100).unwrap().id(), sent.id());
}

#[test]
fn what_was_received_goes_when_a_finished_file_reaches_as_far() {
    let Pair { to, source, .. } = pair();
    let receive_a_part = || {
        let (mut receiver, _) = Receiver::begin(&to, source.id()).unwrap();
        receiver.chunk(0, &source.read(0, 300).unwrap()).unwrap();
    };
    receive_a_part();
    write(&to, 8, &blocks_of(8));
    assert!(remove_older_than(&to, 0).unwrap().is_empty());
    write(&to, 9, &blocks_of(9));
    assert_eq!(remove_older_than(&to, 0).unwrap().len(), 1);
    assert_eq!(to.partial(CLUSTER, GROUP).unwrap(), None);
    assert_eq!(to.list().unwrap().len(), 2);
}

#[test]
fn after_a_failed_sync_nothing_that_was_received_is_believed() {
    let Pair {
        disk,
        to,
        source,
        sent,
    } = pair();
    disk.inject(OperationKind::Sync, 1, Fault::Io);
    let (receiver, _) = Receiver::begin(&to, source.id()).unwrap();
    let error = send_rest(receiver, &source, 100).unwrap_err();
    assert!(matches!(
        error,
        ReceiveError::File(SnapshotError::Io { .. })
    ));
    assert!(disk.list(to.path()).unwrap().is_empty());
    let (receiver, offset) = Receiver::begin(&to, source.id()).unwrap();
    assert_eq!(offset, 0);
    let found = send_rest(receiver, &source, 100).unwrap();
    disk.crash(Crash::LoseUnsynced);
    assert_eq!(found.id(), sent.id());
    let newest = choose(&directory(&disk, "/to")).unwrap();
    assert_eq!(newest.found, Some(found));
}

#[test]
fn whoever_waits_for_a_partial_file_to_be_read_hears_of_it_and_may_stop_it() {
    let Pair {
        disk, to, source, ..
    } = pair();
    let (mut receiver, _) = Receiver::begin(&to, source.id()).unwrap();
    let whole = source.read(0, usize::MAX).unwrap();
    receiver.chunk(0, &whole).unwrap();
    drop(receiver);

    let mut heard = Vec::new();
    let begun = Receiver::begin_watched(&to, source.id(), &mut |done, total| {
        heard.push((done, total));
        true
    });
    assert_eq!(begun.unwrap().1, source.id().bytes);
    assert_eq!(heard.len(), blocks_of(9).len(), "once a block");
    assert!(heard.iter().all(|(done, total)| done < total));

    let begun = Receiver::begin_watched(&to, source.id(), &mut |_, _| false);
    assert!(matches!(begun, Err(SnapshotError::Stopped)));
    let partial = to.path().join(receiving_name(&source.id()));
    assert_eq!(
        disk.contents(&partial).unwrap(),
        whole,
        "and nothing is lost"
    );
    let verified = verify_watched(&disk, &partial, &mut |_, _| false);
    assert!(matches!(verified, Err(SnapshotError::Stopped)));
}

#[test]
fn a_file_that_was_received_has_no_name_until_it_was_found_of_use() {
    let Pair {
        disk,
        to,
        sent,
        source,
    } = pair();
    let whole = source.read(0, usize::MAX).unwrap();
    let complete = || {
        let (mut receiver, offset) = Receiver::begin(&to, source.id()).unwrap();
        receiver.chunk(offset, &whole[offset as usize..]).unwrap();
        receiver.complete().unwrap()
    };
    // Whoever dies before it is loaded finds it whole, and as no snapshot.
    drop(complete());
    assert_eq!(to.list().unwrap(), []);
    let (receiver, offset) = Receiver::begin(&to, source.id()).unwrap();
    assert_eq!(offset, sent.bytes);
    let received = receiver.complete().unwrap();
    // One that is of no use leaves nothing, however often it comes.
    received.discard().unwrap();
    assert_eq!(to.disk_bytes().unwrap(), 0);
    let received = complete();
    let report = verify(&disk, received.path()).unwrap();
    let found = received.publish(report).unwrap();
    assert_eq!(found.id(), sent.id());
    assert_eq!(to.list().unwrap().len(), 1);
}
