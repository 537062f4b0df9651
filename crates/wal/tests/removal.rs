//! Bases, and the removal of the segments behind them.

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{GROUP, IDENTITY, SEGMENT_BYTES, dir, entry, entry_of, open, refused, segment_path};
use vfs::{Crash, Fault, MemVfs, OperationKind, Vfs};
use wal::format::{CARRY_BASE_BYTES, SEGMENT_HEADER_BYTES, record_bytes, segment_number};
use wal::oldest::{OLDEST_BYTES, OLDEST_NAME};
use wal::{Options, Preparation, Record, Space, Wal, WalError, Why};

const BODY: usize = 700;

fn append(log: &mut Wal, indexes: std::ops::RangeInclusive<u64>) {
    for index in indexes {
        log.append(&[entry(index, BODY)]).unwrap();
        log.sync().unwrap();
    }
}

fn base(index: u64) -> Record {
    Record::base(GROUP, 1, index, 1000 + index)
}

fn remove_all(log: &mut Wal) -> u64 {
    let mut steps = 0;
    while log.remove_obsolete().unwrap() {
        steps += 1;
    }
    steps
}

fn segments(disk: &MemVfs) -> Vec<u64> {
    let names = disk.list(dir()).unwrap();
    let numbers = names
        .iter()
        .filter_map(|name| segment_number(name.to_str()?));
    numbers.collect()
}

fn oldest_path() -> std::path::PathBuf {
    dir().join(OLDEST_NAME)
}

/// Entries 1 to 60, of which 1 to 55 are behind a base; nothing removed yet.
fn with_base(disk: &MemVfs) -> Wal {
    let (mut log, _) = open(disk).unwrap();
    append(&mut log, 1..=60);
    log.append(&[Record::state(GROUP, Bytes::from_static(b"vote")), base(55)])
        .unwrap();
    log.sync().unwrap();
    log
}

/// What must be there after all of it.
fn check(disk: &MemVfs) -> Wal {
    let (log, recovery) = open(disk).unwrap();
    let group = &recovery.groups[&GROUP];
    assert_eq!((group.base, group.first), ((1, 55), 56));
    assert_eq!((group.last, group.last_stamp), ((1, 60), 1060));
    assert_eq!(group.state.as_deref(), Some(&b"vote"[..]));
    let records = log.read(GROUP, 56, 99, usize::MAX).unwrap();
    assert!(
        records
            .into_iter()
            .eq((56..=60).map(|index| entry(index, BODY)))
    );
    let error = log.read(GROUP, 55, 99, usize::MAX).unwrap_err();
    assert!(
        matches!(error, WalError::NotHeld { first: 56, .. }),
        "{error}"
    );
    log
}

#[test]
fn segments_behind_the_base_go_one_a_step_and_the_rest_stays() {
    let disk = MemVfs::new(1);
    let mut log = with_base(&disk);
    let before = segments(&disk);
    assert_eq!(log.disk_bytes(), before.len() as u64 * SEGMENT_BYTES);
    assert!(log.remove_obsolete().unwrap(), "it is written down");
    assert_eq!(segments(&disk), before, "nothing is unlinked by that");
    let mut count = segments(&disk).len();
    while log.remove_obsolete().unwrap() {
        let left = segments(&disk);
        assert_eq!(left.len() + 1, count, "one a step, from the front");
        assert!(
            left.is_sorted() && left[0] as usize + left.len() == 1 + *left.last().unwrap() as usize
        );
        count = left.len();
        assert_eq!(log.disk_bytes(), count as u64 * SEGMENT_BYTES);
    }
    assert!(count <= 2, "{:?}", segments(&disk));
    drop(log);
    check(&disk);
}

#[test]
fn nothing_is_removed_that_a_group_needs() {
    let disk = MemVfs::new(1);
    let mut log = with_base(&disk);
    // Another group has one entry, in a segment in the middle.
    let other = Record {
        group: 9,
        ..entry(1, 10)
    };
    log.append(std::slice::from_ref(&other)).unwrap();
    append(&mut log, 61..=100);
    log.append(&[base(99)]).unwrap();
    log.sync().unwrap();
    remove_all(&mut log);
    assert_eq!(log.read(9, 1, 1, 99).unwrap(), [other]);
    let kept = segments(&disk);
    log.append(&[Record::truncate(9, 1)]).unwrap();
    log.sync().unwrap();
    remove_all(&mut log);
    assert!(segments(&disk).len() < kept.len(), "now nobody needs them");
    drop(log);
    let (log, recovery) = open(&disk).unwrap();
    assert_eq!(recovery.groups[&9].last, (0, 0));
    assert_eq!(log.read(GROUP, 100, 100, 1).unwrap().len(), 1);
}

/// Entries 1 to 60 and a base at 55 that is not durable yet, then a removal that the power failure in
/// its operation `nth` ends. Whether it came so far.
fn removal_cut_short(nth: u64, crash: Crash) -> Option<MemVfs> {
    let disk = MemVfs::new(nth);
    let (mut log, _) = open(&disk).unwrap();
    append(&mut log, 1..=60);
    log.append(&[base(55)]).unwrap();
    disk.halt_at_operation(disk.operations() + nth);
    while log.remove_obsolete().is_ok_and(|more| more) {}
    disk.halted_in()?;
    disk.crash(crash);
    Some(disk)
}

#[test]
fn a_base_that_is_not_durable_removes_nothing() {
    for crash in [Crash::LoseUnsynced, Crash::Torn, Crash::Process] {
        let mut struck = 0;
        while let Some(disk) = removal_cut_short(struck + 1, crash) {
            struck += 1;
            let (log, recovery) = open(&disk).unwrap();
            let first = recovery.groups[&GROUP].first;
            let records = log.read(GROUP, first, 99, usize::MAX).unwrap();
            assert!(
                records
                    .into_iter()
                    .eq((first..=60).map(|index| entry(index, BODY)))
            );
        }
        assert!(struck > 10, "{struck} operations");
    }
}

#[test]
fn segments_removed_before_the_base_is_durable_are_missed() {
    let _armed = buggify::arm(
        Some(buggify::Canary::SegmentsRemovedBeforeBase),
        &[],
        Box::new(|_| false),
    );
    let disk = removal_cut_short(3, Crash::LoseUnsynced).expect("segments are removed");
    assert_eq!(refused(&disk), (1, 0, Why::Missing));
}

#[test]
fn a_base_that_is_not_carried_is_missed() {
    let armed = buggify::arm(
        Some(buggify::Canary::BaseNotCarried),
        &[],
        Box::new(|_| false),
    );
    let disk = MemVfs::new(1);
    let mut log = with_base(&disk);
    append(&mut log, 61..=80);
    remove_all(&mut log);
    drop((log, armed));
    let (_, _, why) = refused(&disk);
    assert_eq!(why, Why::RecordContent, "what is carried contradicts");
}

#[test]
fn a_tail_that_contradicts_a_base_and_stays_is_in_the_way() {
    let disk = MemVfs::new(1);
    let mut log = with_base(&disk);
    let _armed = buggify::arm(
        Some(buggify::Canary::BaseKeepsOtherTail),
        &[],
        Box::new(|_| false),
    );
    log.append(&[Record::base(GROUP, 9, 58, 0)]).unwrap();
    let error = log.append(&[entry_of(9, 59, 10)]).unwrap_err();
    assert!(
        matches!(error, WalError::OutOfOrder { expected: 61, .. }),
        "{error}"
    );
}

#[test]
fn an_interrupted_removal_goes_on_at_the_next_start() {
    let disk = MemVfs::new(1);
    let mut log = with_base(&disk);
    assert!(log.remove_obsolete().unwrap() && log.remove_obsolete().unwrap());
    drop(log);
    let left = segments(&disk);
    assert_eq!(left[0], 2, "one was removed");
    // Files that are not needed may be damaged, foreign, of a newer format, or gone.
    disk.overwrite(&segment_path(2), 0, &[0xff; 600]).unwrap();
    disk.truncate(&segment_path(3), 100).unwrap();
    disk.remove(&segment_path(4)).unwrap();
    let report = wal::verify(&disk, dir()).unwrap();
    assert!(report.is_intact(), "{report}");
    assert!(
        report
            .to_string()
            .contains("segment 3: not needed any more")
    );
    let mut log = check(&disk);
    assert!(remove_all(&mut log) > 1);
    assert!(segments(&disk)[0] > 4);
    drop(log);
    let mut log = check(&disk);
    assert_eq!(remove_all(&mut log), 0, "nothing is left to remove");
}

#[test]
fn a_log_whose_oldest_needed_segment_is_gone_is_refused() {
    let disk = MemVfs::new(1);
    let mut log = with_base(&disk);
    remove_all(&mut log);
    drop(log);
    let oldest = segments(&disk)[0];
    let bytes = disk.contents(&segment_path(oldest)).unwrap();
    disk.remove(&segment_path(oldest)).unwrap();
    assert_eq!(refused(&disk), (oldest, 0, Why::Missing));
    disk.overwrite(&segment_path(oldest), 0, &bytes).unwrap();
    check(&disk);
}

#[test]
fn damage_behind_the_base_stops_a_node_as_long_as_the_segment_is_needed() {
    let disk = MemVfs::new(1);
    let (mut log, _) = open(&disk).unwrap();
    append(&mut log, 1..=60);
    log.append(&[base(1)]).unwrap();
    log.sync().unwrap();
    drop(log);
    disk.flip_bit(&segment_path(1), 600, 2).unwrap();
    assert_eq!(
        refused(&disk).0,
        1,
        "entry 1 is behind the base, and its segment is in use"
    );
}

#[test]
fn a_base_is_torn_or_damaged_like_any_record() {
    let disk = MemVfs::new(1);
    let (mut log, _) = open(&disk).unwrap();
    append(&mut log, 1..=5);
    let (segment, start) = log.position();
    log.append(&[base(3)]).unwrap();
    log.sync().unwrap();
    drop(log);
    let intact = common::image(&disk);
    let record = disk.contents(&segment_path(segment)).unwrap();
    let record = &record[start as usize..][..record_bytes(0) as usize];
    for byte in 0..record.len() {
        let path = segment_path(segment);
        disk.flip_bit(&path, start + byte as u64, (byte % 8) as u8)
            .unwrap();
        let (found, offset, _) = refused(&disk);
        assert_eq!((found, offset), (segment, start), "byte {byte}");
        disk.flip_bit(&path, start + byte as u64, (byte % 8) as u8)
            .unwrap();
    }
    for kept in 1..record.len() {
        let torn = MemVfs::new(1);
        common::restore(&torn, &intact);
        let zeros = vec![0; record.len() - kept];
        torn.overwrite(&segment_path(segment), start + kept as u64, &zeros)
            .unwrap();
        let (_, recovery) = open(&torn).unwrap();
        let group = &recovery.groups[&GROUP];
        assert!(recovery.torn_bytes_cut.is_some(), "{kept} bytes");
        assert_eq!((group.base, group.last), ((0, 0), (1, 5)));
    }
}

#[test]
fn a_log_that_ends_before_its_base_goes_on_behind_it() {
    let disk = MemVfs::new(1);
    let (mut log, _) = open(&disk).unwrap();
    append(&mut log, 1..=5);
    log.append(&[Record::base(GROUP, 4, 100, 77), entry_of(5, 101, BODY)])
        .unwrap();
    log.sync().unwrap();
    let error = log.append(&[base(99)]).unwrap_err();
    assert!(
        matches!(error, WalError::OutOfOrder { expected: 100, .. }),
        "{error}"
    );
    drop(log);
    let (mut log, recovery) = open(&disk).unwrap();
    let group = &recovery.groups[&GROUP];
    assert_eq!(
        (group.base, group.last, group.bytes),
        ((4, 100), (5, 101), BODY as u64)
    );
    assert_eq!(group.term_runs, [(101, 5)]);
    // The same index with another term contradicts: all of it goes.
    log.append(&[Record::base(GROUP, 6, 101, 78)]).unwrap();
    log.sync().unwrap();
    drop(log);
    let (_, recovery) = open(&disk).unwrap();
    let group = &recovery.groups[&GROUP];
    assert_eq!(
        (group.base, group.last, group.bytes),
        ((6, 101), (6, 101), 0)
    );
    assert_eq!(group.last_stamp, 78);
}

#[test]
fn carries_that_a_crash_kept_out_are_written_by_the_next_start() {
    // A segment is begun, and the power fails before what it begins with is there.
    let mut lost = 0;
    for nth in 1..=8 {
        for crash in [Crash::LoseUnsynced, Crash::Torn] {
            let disk = MemVfs::new(nth);
            let (mut log, _) = open(&disk).unwrap();
            for group in 1..=20 {
                log.append(&[Record::state(group, Bytes::from(vec![group as u8; 60]))])
                    .unwrap();
            }
            append(&mut log, 1..=5);
            let segment = log.position().0;
            disk.halt_at_operation(disk.operations() + nth);
            while log.append(&[entry(6, 3000)]).is_ok() {}
            disk.crash(crash);
            let Ok((mut log, _)) = open(&disk) else {
                panic!("refused")
            };
            let is_begun = log.position().0 > segment;
            let (_, recovery) = open(&disk).unwrap();
            let last = common::last_index(&recovery);
            lost += u64::from(is_begun && last == 5);
            // Everything before the segment that was cut short goes: reading begins there.
            append(&mut log, last + 1..=last + 40);
            log.append(&[base(last)]).unwrap();
            append(&mut log, last + 41..=last + 60);
            remove_all(&mut log);
            if is_begun {
                assert_eq!(segments(&disk)[0], segment + 1);
            }
            drop(log);
            let (_, recovery) = open(&disk).unwrap();
            for group in 1..=20 {
                let state = recovery.groups[&group].state.as_deref();
                assert_eq!(state, Some(&[group as u8; 60][..]), "group {group}");
            }
        }
    }
    assert!(
        lost > 0,
        "no crash struck between a header and what follows it"
    );
}

#[test]
fn a_full_disk_is_freed_where_no_segment_fits() {
    let options = Options {
        segment_bytes: 64 << 10,
        ..Options::default()
    };
    let disk = MemVfs::new(1);
    let open = || Wal::open(Arc::new(disk.clone()), dir(), IDENTITY, options.clone());
    let (mut log, _) = open().unwrap();
    disk.set_capacity(Some((64 << 10) * 3 + 100));
    let mut index = 0;
    loop {
        match log.append(&[entry(index + 1, 6000)]) {
            Ok(()) => index += 1,
            Err(WalError::Full) => break,
            Err(error) => panic!("{error}"),
        }
    }
    log.sync().unwrap();
    assert_eq!(log.space(), Space::Low);
    assert!(!log.remove_obsolete().unwrap(), "everything is needed");
    log.append(&[base(index)]).unwrap();
    log.sync().unwrap();
    assert_eq!(log.space(), Space::Low, "a base alone frees nothing");
    assert!(remove_all(&mut log) >= 3);
    assert_eq!(log.space(), Space::Ample);
    log.append(&[entry(index + 1, 6000)]).unwrap();
    log.sync().unwrap();
    remove_all(&mut log);
    drop(log);
    disk.crash(Crash::LoseUnsynced);
    let (log, recovery) = open().unwrap();
    assert_eq!(recovery.groups[&GROUP].base, (1, index));
    assert_eq!(log.read(GROUP, index + 1, index + 1, 1).unwrap().len(), 1);
}

#[test]
fn a_failed_removal_latches() {
    for kind in [OperationKind::Remove, OperationKind::SyncDirectory] {
        let disk = MemVfs::new(1);
        let mut log = with_base(&disk);
        assert!(log.remove_obsolete().unwrap());
        disk.inject(kind, 1, Fault::Io);
        let error = log.remove_obsolete().unwrap_err();
        assert!(
            matches!(error, WalError::Remove { segment: 1, .. }),
            "{error}"
        );
        assert!(matches!(log.remove_obsolete(), Err(WalError::Latched)));
        drop(log);
        disk.crash(Crash::Process);
        let mut log = check(&disk);
        remove_all(&mut log);
    }
}

/// What a log takes at most that needs so many bytes of records, as FORMAT.md says it.
fn disk_bound(bytes: u64) -> u64 {
    let first = SEGMENT_HEADER_BYTES as u64 + record_bytes(CARRY_BASE_BYTES as u64 + 4);
    let filled = SEGMENT_BYTES - first - record_bytes(BODY as u64);
    (bytes.div_ceil(filled) + 1 + 1) * SEGMENT_BYTES
}

#[test]
fn a_log_of_which_a_little_goes_again_and_again_consists_of_full_segments() {
    // As when a node goes through a long log after a start, and takes snapshots on the way.
    let disk = MemVfs::new(1);
    let (mut log, _) = open(&disk).unwrap();
    append(&mut log, 1..=1000);
    for applied in (5..=990).step_by(5) {
        log.append(&[base(applied)]).unwrap();
        log.sync().unwrap();
        remove_all(&mut log);
        let needed = (1000 - applied) * record_bytes(BODY as u64) + applied * record_bytes(0) / 5;
        let (most, held) = (disk_bound(needed), log.disk_bytes());
        assert!(held <= most, "{held} of {most} behind {applied}");
    }
    drop(log);
    let (_, recovery) = open(&disk).unwrap();
    assert_eq!(recovery.groups[&GROUP].first, 991);
}

#[test]
fn where_reading_begins_is_found_in_either_place() {
    let disk = MemVfs::new(1);
    let mut log = with_base(&disk);
    remove_all(&mut log);
    let first = segments(&disk)[0];
    // Segments that are begun say so, too; OLDEST falls behind.
    let older = disk.contents(&oldest_path()).unwrap();
    append(&mut log, 61..=100);
    log.append(&[base(90)]).unwrap();
    append(&mut log, 101..=120);
    remove_all(&mut log);
    drop(log);
    assert!(segments(&disk)[0] > first);
    disk.overwrite(&oldest_path(), 0, &older).unwrap();
    let (log, recovery) = open(&disk).unwrap();
    assert_eq!(recovery.groups[&GROUP].base, (1, 90));
    assert_eq!(log.read(GROUP, 91, 120, usize::MAX).unwrap().len(), 30);
}

#[test]
fn a_damaged_oldest_is_passed_over_and_what_is_missing_without_it_is_noticed() {
    let disk = MemVfs::new(1);
    let mut log = with_base(&disk);
    assert!(log.remove_obsolete().unwrap());
    drop(log);
    let intact = common::image(&disk);
    for byte in 0..OLDEST_BYTES as u64 {
        let disk = MemVfs::new(1);
        common::restore(&disk, &intact);
        disk.flip_bit(&oldest_path(), byte, (byte % 8) as u8)
            .unwrap();
        check(&disk);
        disk.remove(&segment_path(1)).unwrap();
        assert_eq!(refused(&disk), (1, 0, Why::Missing), "byte {byte}");
    }
    disk.truncate(&oldest_path(), 20).unwrap();
    check(&disk);
}

#[test]
fn a_start_says_what_the_log_holds_behind_its_entries() {
    let disk = MemVfs::new(1);
    let (mut log, _) = open(&disk).unwrap();
    append(&mut log, 1..=60);
    let (segment, end) = log.position();
    drop(log);
    let (_, recovery) = open(&disk).unwrap();
    let places = &recovery.groups[&GROUP].places;
    assert_eq!(places.len(), 60, "entries are larger than the distance");
    let all = (segment - 1) * SEGMENT_BYTES + end;
    assert_eq!(places[0], (1, all - SEGMENT_HEADER_BYTES as u64));
    assert_eq!(places[59], (60, record_bytes(BODY as u64)));
    assert!(places.is_sorted_by(|a, b| a.0 < b.0 && a.1 > b.1));
}

#[test]
fn disk_use_stays_within_its_bound_however_much_is_written() {
    let disk = MemVfs::new(1);
    let (mut log, _) = open(&disk).unwrap();
    let tail = 20;
    let mut most = 0;
    for index in 1..=2000_u64 {
        log.append(&[entry(index, BODY)]).unwrap();
        if index.is_multiple_of(30) {
            log.sync().unwrap();
            log.append(&[base(index - tail)]).unwrap();
            log.sync().unwrap();
        }
        remove_all(&mut log);
        while log.prepare_next().unwrap() == Preparation::More {}
        most = most.max(disk.used_bytes());
    }
    // At most 50 entries behind the base, and two bases.
    let bytes = 50 * record_bytes(BODY as u64) + 2 * record_bytes(0);
    let bound = disk_bound(bytes) + 1024;
    assert!(most <= bound, "{most} of {bound}");
    assert!(
        2000 * record_bytes(BODY as u64) > 10 * bound,
        "far more was written"
    );
}
