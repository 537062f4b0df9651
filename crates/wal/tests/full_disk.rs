//! A disk that is full, and one that fails.

mod common;

use common::{GROUP, SEGMENT_BYTES, check_entries, entry, last_index, open};
use vfs::{Crash, Fault, MemVfs, OperationKind, Vfs};
use wal::{OpenError, Preparation, Space, WalError};

const BODY: usize = 690;

/// Appends and syncs entries until the log is full; returns the last index written.
fn fill(log: &mut wal::Wal, first: u64) -> u64 {
    for index in first.. {
        match log.append(&[entry(index, BODY)]) {
            Ok(()) => log.sync().unwrap(),
            Err(WalError::Full) => return index - 1,
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("a log that is never full");
}

#[test]
fn a_full_disk_is_seen_early_refused_cleanly_and_forgotten_when_space_returns() {
    let disk = MemVfs::new(1);
    disk.set_capacity(Some(SEGMENT_BYTES * 2 + 1000));
    let (mut log, _) = open(&disk).unwrap();
    assert_eq!(log.space(), Space::Ample);
    let mut index = 0;
    while log.position().0 == 1 {
        index += 1;
        assert_eq!(log.space(), Space::Ample);
        log.append(&[entry(index, BODY)]).unwrap();
    }
    // The reserve is in use and cannot be made again: refuse clients, while a segment is still free.
    assert_eq!(log.space(), Space::Low);
    assert_eq!(
        log.prepare_next().unwrap(),
        Preparation::More,
        "zeros ahead need no space"
    );
    let last = fill(&mut log, index + 1);
    assert!(last > index + 5);

    let position = log.position();
    let (before, names) = (common::image(&disk), disk.list(common::dir()).unwrap());
    assert!(matches!(
        log.append(&[entry(last + 1, BODY)]),
        Err(WalError::Full)
    ));
    assert_eq!(log.space(), Space::Low);
    while log.prepare_next().unwrap() == Preparation::More {}
    assert_eq!(log.prepare_next().unwrap(), Preparation::NoSpace);
    assert_eq!(log.position(), position);
    assert_eq!(
        common::image(&disk),
        before,
        "nothing was written, and nothing is left behind"
    );
    assert_eq!(disk.list(common::dir()).unwrap(), names);
    assert!(!log.is_latched());
    check_entries(&log, last, BODY);
    log.append(&[wal::Record::state(
        GROUP,
        bytes::Bytes::from_static(b"vote"),
    )])
    .expect("what still fits is taken");
    log.sync().unwrap();

    disk.set_capacity(None);
    assert_eq!(log.space(), Space::Ample);
    log.append(&[entry(last + 1, BODY)]).unwrap();
    log.sync().unwrap();
    drop(log);
    disk.crash(Crash::LoseUnsynced);
    let (log, recovery) = open(&disk).unwrap();
    assert_eq!(last_index(&recovery), last + 1);
    check_entries(&log, last + 1, BODY);
}

#[test]
fn votes_bases_and_terms_find_room_where_entries_do_not() {
    let disk = MemVfs::new(1);
    disk.set_capacity(Some(SEGMENT_BYTES * 2));
    let (mut log, _) = open(&disk).unwrap();
    let mut last = fill(&mut log, 1);
    assert_eq!(log.space(), Space::Low);
    let before = log.position();
    for vote in 0..3u8 {
        let vote = bytes::Bytes::from(vec![vote; 80]);
        log.append(&[wal::Record::state(GROUP, vote)])
            .expect("a vote finds room");
        last += 1;
        log.append(&[entry(last, 0)]).expect("a term can begin");
    }
    log.append(&[wal::Record::base(GROUP, 1, last, 0)])
        .expect("a base finds room");
    log.sync().unwrap();
    assert_eq!(log.position().0, before.0, "in the segment at hand");
    drop(log);
    disk.crash(Crash::LoseUnsynced);
    let (_, recovery) = open(&disk).unwrap();
    assert_eq!(recovery.groups[&GROUP].base, (1, last));
}

#[test]
fn what_does_not_fit_gets_a_segment_of_its_size_if_no_other_fits() {
    let segment_bytes = 256 << 10;
    let options = wal::Options {
        segment_bytes,
        ..wal::Options::default()
    };
    let disk = MemVfs::new(1);
    let dir = common::dir();
    let open = || {
        let disk = std::sync::Arc::new(disk.clone());
        wal::Wal::open(disk, dir, common::IDENTITY, options.clone())
    };
    let (mut log, _) = open().unwrap();
    log.append(&[entry(1, 200 << 10)]).unwrap();
    // Less than a segment, and more than the batch.
    disk.set_capacity(Some(segment_bytes + (200 << 10)));
    log.append(&[entry(2, 100 << 10)]).expect("a short segment");
    log.sync().unwrap();
    assert_eq!(log.position().0, 2);
    assert_eq!(log.space(), Space::Low);
    assert!(log.disk_bytes() < 2 * segment_bytes);
    assert!(matches!(
        log.append(&[entry(3, 100 << 10)]),
        Err(WalError::Full)
    ));
    let vote = wal::Record::state(GROUP, bytes::Bytes::from_static(b"vote"));
    log.append(&[vote]).expect("a vote finds room");
    log.append(&[wal::Record::base(GROUP, 1, 2, 0)]).unwrap();
    log.sync().unwrap();
    while log.remove_obsolete().unwrap() {}
    assert_eq!(log.space(), Space::Ample, "the long segment is gone");
    log.append(&[entry(3, 100 << 10)]).unwrap();
    log.sync().unwrap();
    drop(log);
    disk.crash(Crash::LoseUnsynced);
    let (log, _) = open().unwrap();
    assert_eq!(
        log.read(GROUP, 3, 3, usize::MAX).unwrap(),
        [entry(3, 100 << 10)]
    );
}

#[test]
fn a_batch_over_several_segments_is_written_whole_or_not_at_all() {
    let disk = MemVfs::new(1);
    let (mut log, _) = open(&disk).unwrap();
    disk.set_capacity(Some(SEGMENT_BYTES * 3));
    let batch: Vec<_> = (1..=40).map(|index| entry(index, BODY)).collect();
    assert!(matches!(log.append(&batch), Err(WalError::Full)));
    assert_eq!(log.position(), (1, 512));
    disk.set_capacity(None);
    log.append(&batch).unwrap();
    log.sync().unwrap();
    drop(log);
    disk.crash(Crash::LoseUnsynced);
    let (log, recovery) = open(&disk).unwrap();
    assert!(recovery.segments > 3);
    check_entries(&log, 40, BODY);
}

#[test]
fn a_log_that_exists_opens_on_a_full_disk() {
    let disk = MemVfs::new(1);
    common::written(&disk, 5, BODY);
    disk.set_capacity(Some(0));
    let (mut log, recovery) = open(&disk).unwrap();
    assert_eq!(last_index(&recovery), 5);
    assert_eq!(log.space(), Space::Low);
    check_entries(&log, 5, BODY);
}

#[test]
fn a_new_log_on_a_full_disk_is_refused_and_leaves_nothing() {
    let disk = MemVfs::new(1);
    disk.set_capacity(Some(100));
    assert!(matches!(open(&disk), Err(OpenError::Full { .. })));
    assert!(disk.list(common::dir()).unwrap().is_empty());
    disk.set_capacity(None);
    assert!(open(&disk).unwrap().1.is_new);
}

#[test]
fn a_failed_sync_latches_for_ever() {
    let disk = MemVfs::new(1);
    let (mut log, _) = open(&disk).unwrap();
    log.append(&[entry(1, BODY)]).unwrap();
    disk.inject(OperationKind::Sync, 1, Fault::Io);
    assert!(matches!(log.sync(), Err(WalError::Sync { segment: 1, .. })));
    let operations = disk.operations();
    for _ in 0..3 {
        assert!(matches!(log.sync(), Err(WalError::Latched)));
        assert!(matches!(
            log.append(&[entry(2, BODY)]),
            Err(WalError::Latched)
        ));
        assert!(matches!(log.read(GROUP, 1, 1, 1), Err(WalError::Latched)));
        assert!(matches!(log.prepare_next(), Err(WalError::Latched)));
        assert_eq!(log.space(), Space::Low);
    }
    assert_eq!(
        disk.operations(),
        operations,
        "a latched log leaves the disk alone"
    );
}

#[test]
fn a_failed_write_latches_and_loses_nothing_that_was_synced() {
    for fault in [Fault::Io, Fault::NoSpace] {
        let disk = MemVfs::new(1);
        common::written(&disk, 5, BODY);
        let (mut log, _) = open(&disk).unwrap();
        disk.inject(OperationKind::Write, 1, fault);
        assert!(matches!(
            log.append(&[entry(6, BODY)]),
            Err(WalError::Write { .. })
        ));
        assert!(matches!(
            log.append(&[entry(6, BODY)]),
            Err(WalError::Latched)
        ));
        drop(log);
        let (log, recovery) = open(&disk).unwrap();
        assert_eq!(last_index(&recovery), 5);
        check_entries(&log, 5, BODY);
    }
}

#[test]
fn short_writes_are_completed() {
    let disk = MemVfs::new(1);
    let (mut log, _) = open(&disk).unwrap();
    for nth in 1..=6 {
        disk.inject(OperationKind::Write, nth, Fault::Short);
    }
    for index in 1..=3 {
        log.append(&[entry(index, BODY)]).unwrap();
        log.sync().unwrap();
    }
    drop(log);
    disk.crash(Crash::LoseUnsynced);
    let (log, recovery) = open(&disk).unwrap();
    assert_eq!(recovery.torn_bytes_cut, None);
    check_entries(&log, 3, BODY);
}

#[test]
fn a_disk_that_fails_while_a_segment_is_prepared_latches() {
    for kind in [
        OperationKind::Create,
        OperationKind::Allocate,
        OperationKind::Write,
        OperationKind::Sync,
        OperationKind::Rename,
        OperationKind::SyncDirectory,
    ] {
        let disk = MemVfs::new(1);
        let (mut log, _) = open(&disk).unwrap();
        log.append(&[entry(1, BODY)]).unwrap();
        log.sync().unwrap();
        disk.inject(kind, 1, Fault::Io);
        let error = loop {
            match log.prepare_next() {
                Ok(Preparation::More) => {}
                Ok(end) => panic!("{kind:?} did not strike: {end:?}"),
                Err(error) => break error,
            }
        };
        assert!(
            matches!(error, WalError::Prepare { .. }),
            "{kind:?}: {error}"
        );
        assert!(log.is_latched());
        drop(log);
        let (log, _) = open(&disk).unwrap();
        check_entries(&log, 1, BODY);
    }
}
