//! Reading what is durable again: all of it, in bounded pieces, and any byte that changed is found.

mod common;

use common::{SEGMENT_BYTES, entry, segment_path};
use vfs::{Fault, MemVfs, OperationKind, Vfs};
use wal::{Damage, Record, ScrubStep, Wal, WalError, Why};

/// Steps to the end of the pass; the damage if there is some.
fn pass(log: &mut Wal, bytes_max: u64) -> Result<Vec<ScrubStep>, Damage> {
    let mut steps = Vec::new();
    loop {
        match log.scrub_next(bytes_max) {
            Ok(step) => {
                assert!(step.bytes <= bytes_max.max(4096), "{step:?}");
                steps.push(step);
                if step.is_pass_complete {
                    return Ok(steps);
                }
            }
            Err(WalError::Damaged(damage)) => return Err(damage),
            Err(error) => panic!("{error}"),
        }
        assert!(steps.len() < 1000, "the scrub does not come to an end");
    }
}

fn filled(disk: &MemVfs) -> Wal {
    common::written(disk, 24, 900);
    let (mut log, _) = common::open(disk).unwrap();
    log.append(&[entry(25, 6000), Record::state(9, "state".into())])
        .unwrap();
    log.sync().unwrap();
    log
}

#[test]
fn a_pass_reads_all_that_is_durable_and_begins_again() {
    let disk = MemVfs::new(1);
    let mut log = filled(&disk);
    let (segment, end) = log.position();
    for bytes_max in [0, 4096, 5000, 1 << 20] {
        let steps = pass(&mut log, bytes_max).unwrap();
        let last = steps.last().unwrap();
        assert_eq!((last.segment, last.offset), (segment, end));
        let bytes: u64 = steps.iter().map(|step| step.bytes).sum();
        let whole = (segment - 1) * SEGMENT_BYTES + end;
        // Headers that a piece cuts are read twice.
        let twice = 56 * steps.len() as u64;
        assert!((whole..=whole + twice).contains(&bytes), "{bytes}");
    }
}

#[test]
fn what_is_not_durable_is_not_read() {
    let disk = MemVfs::new(1);
    let mut log = filled(&disk);
    let (segment, end) = log.position();
    log.append(&[entry(26, 100)]).unwrap();
    let last = *pass(&mut log, 4096).unwrap().last().unwrap();
    assert_eq!((last.segment, last.offset), (segment, end));
    log.sync().unwrap();
    let last = *pass(&mut log, 4096).unwrap().last().unwrap();
    assert_eq!((last.segment, last.offset), log.position());
}

#[test]
fn any_byte_that_changed_is_found_where_it_is() {
    let disk = MemVfs::new(1);
    let mut log = filled(&disk);
    let (last, end) = log.position();
    for segment in 1..=last {
        let bytes = if segment == last { end } else { SEGMENT_BYTES };
        for offset in (0..bytes).step_by(41) {
            disk.flip_bit(&segment_path(segment), offset, 3).unwrap();
            let found = pass(&mut log, 4096).expect_err("a flipped bit");
            assert_eq!(found.segment, segment, "{found} for {offset}");
            assert!(found.offset <= offset, "{found} for {offset}");
            let again = pass(&mut log, 4096).expect_err("it is still there");
            assert_eq!(again, found, "nothing was repaired, nothing latched");
            disk.flip_bit(&segment_path(segment), offset, 3).unwrap();
        }
    }
    pass(&mut log, 1 << 20).unwrap();
}

#[test]
fn a_cut_or_exchanged_file_is_found() {
    let disk = MemVfs::new(1);
    let mut log = filled(&disk);
    let second = disk.contents(&segment_path(2)).unwrap();
    disk.truncate(&segment_path(2), 1000).unwrap();
    let found = pass(&mut log, 4096).unwrap_err();
    assert_eq!(
        (found.segment, found.offset, found.why),
        (2, 1000, Why::Length)
    );
    disk.overwrite(&segment_path(2), 0, &second).unwrap();
    pass(&mut log, 4096).unwrap();
    let third = disk.contents(&segment_path(3)).unwrap();
    disk.overwrite(&segment_path(2), 0, &third).unwrap();
    let found = pass(&mut log, 4096).unwrap_err();
    assert_eq!((found.segment, found.why), (2, Why::Misplaced));
}

#[test]
fn a_disk_that_cannot_read_is_an_error_and_no_verdict() {
    let disk = MemVfs::new(1);
    let mut log = filled(&disk);
    disk.inject(OperationKind::Read, 1, Fault::Io);
    let error = log.scrub_next(4096).unwrap_err();
    assert!(
        matches!(error, WalError::Read { segment: 1, .. }),
        "{error}"
    );
    assert!(!log.is_latched());
    pass(&mut log, 4096).unwrap();
}

#[test]
fn the_place_is_kept_while_segments_are_begun_and_removed() {
    let disk = MemVfs::new(1);
    let mut log = filled(&disk);
    let before = log.scrub_next(4096).unwrap();
    for index in 26..60 {
        log.append(&[entry(index, 900)]).unwrap();
        log.sync().unwrap();
    }
    let after = log.scrub_next(4096).unwrap();
    assert_eq!(after.segment, before.segment);
    assert!(after.offset > before.offset);
    // The segment that is being scrubbed goes, and so does damage in it.
    disk.flip_bit(&segment_path(1), 600, 0).unwrap();
    log.append(&[Record::base(common::GROUP, 1, 50, 0)])
        .unwrap();
    log.sync().unwrap();
    while log.remove_obsolete().unwrap() {}
    assert!(!disk.exists(&segment_path(1)).unwrap());
    let steps = pass(&mut log, 4096).unwrap();
    assert!(steps[0].segment > 1);
    assert_eq!(steps.last().unwrap().segment, log.position().0);
    // The segment being written is left behind while the scrub is in it.
    let mut log = log;
    while log.scrub_next(4096).unwrap().segment < log.position().0 {}
    for index in 60..80 {
        log.append(&[entry(index, 900)]).unwrap();
        log.sync().unwrap();
    }
    pass(&mut log, 4096).unwrap();
}

#[test]
fn an_empty_log_has_its_header_only() {
    let disk = MemVfs::new(1);
    let (mut log, _) = common::open(&disk).unwrap();
    let steps = pass(&mut log, 1 << 20).unwrap();
    assert_eq!(steps.iter().map(|step| step.bytes).sum::<u64>(), 512);
    let steps = pass(&mut log, 1 << 20).unwrap();
    assert_eq!(steps.len(), 1, "and again");
}
