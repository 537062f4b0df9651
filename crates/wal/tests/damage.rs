//! One test per shape of damage: what is cut, what is refused, and where the refusal points.

mod common;

use common::{
    GROUP, IDENTITY, SEGMENT_BYTES, check_entries, dir, entry, image, last_index, open, options,
    refused, restore, segment_path, written,
};
use vfs::{Crash, File, MemVfs, Vfs};
use wal::format::{
    RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES, SegmentHeader, record_bytes,
    segment_seed,
};
use wal::{Identity, OpenError, Wal, Why};

const BODY: usize = 700;

fn overwrite(disk: &MemVfs, (segment, offset): (u64, u64), bytes: &[u8]) {
    disk.overwrite(&segment_path(segment), offset, bytes)
        .unwrap();
}

fn bytes_of(disk: &MemVfs, (segment, offset): (u64, u64), len: usize) -> Vec<u8> {
    disk.contents(&segment_path(segment)).unwrap()[offset as usize..][..len].to_vec()
}

/// Opens a log whose last write must be cut, and checks what is left and that the log goes on.
fn cut_to(disk: &MemVfs, last: u64) {
    let (mut log, recovery) = open(disk).unwrap();
    let torn = recovery.torn_bytes_cut.expect("something was cut");
    assert_eq!(last_index(&recovery), last);
    check_entries(&log, last, BODY);
    log.append(&[entry(last + 1, BODY)]).unwrap();
    log.sync().unwrap();
    drop(log);
    disk.crash(Crash::LoseUnsynced);
    let (log, recovery) = open(disk).unwrap();
    assert_eq!(recovery.torn_bytes_cut, None, "{torn:?} was cut durably");
    check_entries(&log, last + 1, BODY);
}

#[test]
fn torn_at_each_byte_of_the_last_record() {
    let disk = MemVfs::new(1);
    let places = written(&disk, 3, BODY);
    let intact = image(&disk);
    let (segment, start) = places[2];
    let record = bytes_of(&disk, (segment, start), record_bytes(BODY as u64) as usize);
    for kept in 1..record.len() {
        let disk = MemVfs::new(1);
        restore(&disk, &intact);
        let mut torn = record.clone();
        torn[kept..].fill(0);
        overwrite(&disk, (segment, start), &torn);
        cut_to(&disk, 2);
    }
}

#[test]
fn torn_to_nothing_is_no_record_at_all() {
    let disk = MemVfs::new(1);
    let places = written(&disk, 3, BODY);
    overwrite(
        &disk,
        places[2],
        &vec![0; record_bytes(BODY as u64) as usize],
    );
    let (log, recovery) = open(&disk).unwrap();
    assert_eq!(recovery.torn_bytes_cut, None);
    check_entries(&log, 2, BODY);
}

#[test]
fn flipped_bit_in_each_byte_of_the_last_record_is_damage_and_not_a_torn_write() {
    let disk = MemVfs::new(1);
    let places = written(&disk, 3, BODY);
    let (segment, start) = places[2];
    for byte in 0..record_bytes(BODY as u64) {
        disk.flip_bit(&segment_path(segment), start + byte, (byte % 8) as u8)
            .unwrap();
        let (damaged, offset, why) = refused(&disk);
        assert_eq!((damaged, offset), (segment, start), "byte {byte}");
        let expected = if byte < RECORD_HEADER_BYTES as u64 {
            Why::RecordHeader
        } else {
            Why::RecordBody
        };
        assert_eq!(why, expected, "byte {byte}");
        disk.flip_bit(&segment_path(segment), start + byte, (byte % 8) as u8)
            .unwrap();
    }
    open(&disk).unwrap();
}

#[test]
fn flipped_bit_in_each_field_of_a_record_in_the_middle() {
    let fields = [
        0,
        4,
        8,
        12,
        16,
        24,
        32,
        40,
        48,
        52,
        53,
        54,
        55,
        56,
        56 + BODY as u64,
    ];
    let disk = MemVfs::new(1);
    let places = written(&disk, 3, BODY);
    let (segment, start) = places[1];
    for field in fields {
        disk.flip_bit(&segment_path(segment), start + field, 3)
            .unwrap();
        let (damaged, offset, why) = refused(&disk);
        assert_eq!((damaged, offset), (segment, start), "field at {field}");
        assert!(
            matches!(why, Why::RecordHeader | Why::RecordBody),
            "field at {field}: {why}"
        );
        disk.flip_bit(&segment_path(segment), start + field, 3)
            .unwrap();
    }
}

#[test]
fn flipped_bit_in_each_byte_of_a_segment_header() {
    let disk = MemVfs::new(1);
    written(&disk, 3, BODY);
    for byte in 0..SEGMENT_HEADER_BYTES as u64 {
        disk.flip_bit(&segment_path(1), byte, 5).unwrap();
        assert_eq!(refused(&disk), (1, 0, Why::HeaderLost), "byte {byte}");
        disk.flip_bit(&segment_path(1), byte, 5).unwrap();
    }
}

#[test]
fn flipped_bit_in_the_unwritten_part_of_the_last_segment() {
    let disk = MemVfs::new(1);
    let places = written(&disk, 2, BODY);
    let (segment, start) = places[1];
    let end = start + record_bytes(BODY as u64);
    overwrite(&disk, (segment, end + 3), &[1]);
    // Not a record, not even its shape: cut like any write that arrived in part and proves nothing.
    let (log, recovery) = open(&disk).unwrap();
    assert_eq!(
        recovery
            .torn_bytes_cut
            .map(|torn| (torn.segment, torn.offset)),
        Some((segment, end))
    );
    check_entries(&log, 2, BODY);
}

#[test]
fn zeroed_sector_in_each_place_before_the_last_record() {
    let disk = MemVfs::new(1);
    let places = written(&disk, 4, BODY);
    let (segment, last) = places[3];
    let intact = image(&disk);
    for sector in (SEGMENT_HEADER_BYTES as u64..last)
        .step_by(512)
        .filter(|at| at + 512 <= last)
    {
        let disk = MemVfs::new(1);
        restore(&disk, &intact);
        overwrite(&disk, (segment, sector), &[0; 512]);
        let (damaged, offset, _) = refused(&disk);
        assert_eq!(damaged, segment, "sector {sector}");
        assert!(
            (sector.saturating_sub(record_bytes(BODY as u64))..=sector + 512).contains(&offset)
        );
    }
}

#[test]
fn zeroed_sector_in_the_last_write_is_taken_for_torn() {
    let disk = MemVfs::new(1);
    let places = written(&disk, 3, BODY);
    let (segment, start) = places[2];
    overwrite(
        &disk,
        (segment, (start + 56).next_multiple_of(512)),
        &[0; 512],
    );
    cut_to(&disk, 2);
}

#[test]
fn damage_before_valid_records() {
    let disk = MemVfs::new(1);
    let places = written(&disk, 6, BODY);
    for place in &places[..5] {
        let before = bytes_of(&disk, *place, 64);
        overwrite(&disk, *place, &[0; 64]);
        let (segment, offset, why) = refused(&disk);
        assert_eq!((segment, offset, why), (place.0, place.1, Why::RecordLost));
        overwrite(&disk, *place, &before);
    }
}

#[test]
fn damage_in_an_earlier_segment_is_never_a_torn_write() {
    let disk = MemVfs::new(1);
    let places = written(&disk, 24, BODY);
    let last_of_first = *places.iter().rfind(|(segment, _)| *segment == 1).unwrap();
    let len = record_bytes(BODY as u64) as usize;
    let record = bytes_of(&disk, last_of_first, len);
    let mut torn = record.clone();
    torn[100..].fill(0);
    overwrite(&disk, last_of_first, &torn);
    assert_eq!(refused(&disk), (1, last_of_first.1, Why::RecordBody));
    overwrite(&disk, last_of_first, &vec![0; len]);
    assert_eq!(refused(&disk), (1, last_of_first.1, Why::NextContradicts));
    overwrite(&disk, last_of_first, &record);
    overwrite(&disk, (1, SEGMENT_BYTES - 1), &[9]);
    let (segment, _, why) = refused(&disk);
    assert_eq!((segment, why), (1, Why::BytesBehindEnd));
}

#[test]
fn record_copied_to_another_offset() {
    let disk = MemVfs::new(1);
    let places = written(&disk, 3, BODY);
    let len = record_bytes(BODY as u64) as usize;
    let first = bytes_of(&disk, places[0], len);
    overwrite(&disk, places[1], &first);
    assert_eq!(
        refused(&disk),
        (places[1].0, places[1].1, Why::RecordHeader)
    );
}

#[test]
fn record_of_another_segment_at_the_same_offset() {
    let disk = MemVfs::new(1);
    let places = written(&disk, 24, BODY);
    let len = record_bytes(BODY as u64) as usize;
    let in_second = *places
        .iter()
        .filter(|(segment, _)| *segment == 2)
        .nth(1)
        .unwrap();
    let in_third = (3, in_second.1);
    let misplaced = bytes_of(&disk, in_second, len);
    overwrite(&disk, in_third, &misplaced);
    let (segment, offset, why) = refused(&disk);
    assert_eq!((segment, offset, why), (3, in_third.1, Why::RecordHeader));
}

#[test]
fn record_of_an_earlier_life_of_the_same_place_does_not_follow() {
    // The same cluster, node, segment and offset, so that only the chain can tell.
    let earlier = MemVfs::new(1);
    let (mut log, _) = open(&earlier).unwrap();
    let mut places = Vec::new();
    for index in 1..=3 {
        places.push(log.position());
        log.append(&[common::entry_of(9, index, BODY)]).unwrap();
        log.sync().unwrap();
    }
    let old = bytes_of(&earlier, places[1], record_bytes(BODY as u64) as usize);
    let disk = MemVfs::new(1);
    assert_eq!(written(&disk, 3, BODY), places);
    overwrite(&disk, places[1], &old);
    assert_eq!(refused(&disk), (1, places[1].1, Why::RecordChain));
}

#[test]
fn old_records_behind_the_tail_do_not_come_back() {
    let disk = MemVfs::new(1);
    let places = written(&disk, 3, BODY);
    let len = record_bytes(BODY as u64) as usize;
    let old = bytes_of(&disk, places[2], len);
    let fresh = MemVfs::new(1);
    written(&fresh, 1, BODY);
    overwrite(&fresh, places[2], &old);
    // It says that the place before it was durable, and that place is empty.
    assert_eq!(refused(&fresh), (1, places[1].1, Why::RecordLost));
}

#[test]
fn segment_of_another_node_or_cluster() {
    for foreign in [
        Identity {
            node: 4,
            ..IDENTITY
        },
        Identity {
            cluster: 1,
            ..IDENTITY
        },
    ] {
        let disk = MemVfs::new(1);
        let (mut log, _) =
            Wal::open(std::sync::Arc::new(disk.clone()), dir(), foreign, options()).unwrap();
        log.append(&[entry(1, BODY)]).unwrap();
        log.sync().unwrap();
        assert_eq!(refused(&disk), (1, 0, Why::Foreign));
    }
}

#[test]
fn missing_segment() {
    for missing in 1..=3 {
        let disk = MemVfs::new(1);
        written(&disk, 36, BODY);
        disk.remove(&segment_path(missing)).unwrap();
        assert_eq!(refused(&disk), (missing, 0, Why::Missing));
    }
}

#[test]
fn missing_last_segment_with_a_prepared_one_behind_it() {
    let disk = MemVfs::new(1);
    let last = written(&disk, 12, BODY).last().unwrap().0;
    let (mut log, _) = open(&disk).unwrap();
    while log.prepare_next().unwrap() == wal::Preparation::More {}
    drop(log);
    disk.remove(&segment_path(last)).unwrap();
    assert_eq!(refused(&disk), (last, 0, Why::Missing));
}

#[test]
fn swapped_segments() {
    let disk = MemVfs::new(1);
    written(&disk, 36, BODY);
    let second = disk.contents(&segment_path(2)).unwrap();
    let third = disk.contents(&segment_path(3)).unwrap();
    disk.overwrite(&segment_path(2), 0, &third).unwrap();
    disk.overwrite(&segment_path(3), 0, &second).unwrap();
    assert_eq!(refused(&disk), (2, 0, Why::Misplaced));
}

#[test]
fn segment_rolled_back_to_an_older_copy() {
    let disk = MemVfs::new(1);
    let (mut log, _) = open(&disk).unwrap();
    for index in 1..=8 {
        log.append(&[entry(index, BODY)]).unwrap();
        log.sync().unwrap();
    }
    let old = disk.contents(&segment_path(1)).unwrap();
    for index in 9..=20 {
        log.append(&[entry(index, BODY)]).unwrap();
        log.sync().unwrap();
    }
    disk.overwrite(&segment_path(1), 0, &old).unwrap();
    let (segment, _, why) = refused(&disk);
    assert_eq!((segment, why), (1, Why::NextContradicts));
}

#[test]
fn truncated_file() {
    let disk = MemVfs::new(1);
    written(&disk, 20, BODY);
    let intact = image(&disk);
    for len in [0, 1, 511, 512, 4096, SEGMENT_BYTES - 1] {
        for segment in [1, 2] {
            let disk = MemVfs::new(1);
            restore(&disk, &intact);
            disk.truncate(&segment_path(segment), len).unwrap();
            assert_eq!(refused(&disk), (segment, 0, Why::Length), "to {len} bytes");
        }
    }
}

#[test]
fn file_with_bytes_added_at_its_end() {
    let disk = MemVfs::new(1);
    written(&disk, 3, BODY);
    overwrite(&disk, (1, SEGMENT_BYTES), &[0]);
    assert_eq!(refused(&disk), (1, 0, Why::Length));
}

#[test]
fn zeroed_header_of_a_segment_in_use() {
    let disk = MemVfs::new(1);
    written(&disk, 20, BODY);
    for segment in [1, 2] {
        let header = bytes_of(&disk, (segment, 0), SEGMENT_HEADER_BYTES);
        overwrite(&disk, (segment, 0), &[0; SEGMENT_HEADER_BYTES]);
        assert_eq!(refused(&disk), (segment, 0, Why::HeaderLost));
        overwrite(&disk, (segment, 0), &header);
    }
}

#[test]
fn header_torn_at_each_byte_before_anything_was_written_behind_it() {
    let disk = MemVfs::new(1);
    open(&disk).unwrap();
    let intact = image(&disk);
    for kept in 0..SEGMENT_HEADER_BYTES {
        let disk = MemVfs::new(1);
        restore(&disk, &intact);
        overwrite(
            &disk,
            (1, kept as u64),
            &vec![0; SEGMENT_HEADER_BYTES - kept],
        );
        let (_, recovery) = open(&disk).unwrap();
        assert!(recovery.is_new, "{kept} bytes of the header arrived");
    }
}

/// A log of three entries with segment 2 prepared behind it.
fn with_spare() -> MemVfs {
    let disk = MemVfs::new(1);
    written(&disk, 3, BODY);
    let (mut log, _) = open(&disk).unwrap();
    while log.prepare_next().unwrap() == wal::Preparation::More {}
    drop(log);
    assert!(disk.exists(&segment_path(2)).unwrap());
    disk
}

#[test]
fn flipped_bit_in_a_prepared_segment_is_no_damage_to_the_log() {
    let intact = image(&with_spare());
    let places = [
        0,
        7,
        100,
        508,
        510,
        511,
        512,
        519,
        567,
        5000,
        SEGMENT_BYTES - 1,
    ];
    for (place, bit) in places.into_iter().zip((0..8).cycle()) {
        let disk = MemVfs::new(1);
        restore(&disk, &intact);
        disk.flip_bit(&segment_path(2), place, bit).unwrap();
        let report = wal::verify(&disk, dir()).unwrap();
        assert!(report.is_intact(), "{report}");
        let (mut log, recovery) = open(&disk).unwrap();
        assert_eq!(recovery.rotten_spares, [2], "offset {place}");
        check_entries(&log, 3, BODY);
        // It is made anew, and the log goes on in it.
        for index in 4..=20 {
            log.append(&[entry(index, BODY)]).unwrap();
        }
        log.sync().unwrap();
        drop(log);
        disk.crash(Crash::LoseUnsynced);
        let (log, recovery) = open(&disk).unwrap();
        assert_eq!(recovery.rotten_spares, []);
        check_entries(&log, 20, BODY);
    }
}

#[test]
fn more_in_a_prepared_segment_than_rot_can_explain() {
    for (offset, bytes) in [
        (5000, &b"some text."[..]),
        (0, b"some text."),
        // An end mark: something was written there.
        (567, &[0xd7]),
        (511, &[0xd7]),
    ] {
        let disk = with_spare();
        overwrite(&disk, (2, offset), bytes);
        let is_torn_header = offset == 0;
        match is_torn_header {
            true => check_entries(&open(&disk).unwrap().0, 3, BODY),
            false => assert_eq!(refused(&disk), (2, 0, Why::HeaderLost), "offset {offset}"),
        }
    }
}

#[test]
fn a_segment_in_use_is_never_taken_for_a_prepared_one() {
    // Its header is gone, and of its only entry one bit.
    let disk = MemVfs::new(1);
    let places = written(&disk, 1, 20);
    let (segment, start) = places[0];
    overwrite(&disk, (segment, 0), &[0; SEGMENT_HEADER_BYTES]);
    for byte in 0..record_bytes(20) {
        disk.flip_bit(&segment_path(segment), start + byte, 0)
            .unwrap();
        assert_eq!(refused(&disk), (segment, 0, Why::HeaderLost));
        disk.flip_bit(&segment_path(segment), start + byte, 0)
            .unwrap();
    }
}

#[test]
fn newer_format_is_refused_by_name() {
    let disk = MemVfs::new(1);
    written(&disk, 1, BODY);
    let bytes: [u8; SEGMENT_HEADER_BYTES] = bytes_of(&disk, (1, 0), SEGMENT_HEADER_BYTES)
        .try_into()
        .unwrap();
    let (header, _) = SegmentHeader::decode(&bytes).unwrap();
    let (bytes, _) = SegmentHeader {
        version: 3,
        ..header
    }
    .encode();
    overwrite(&disk, (1, 0), &bytes);
    let error = open(&disk).unwrap_err();
    assert!(matches!(
        error,
        OpenError::NewerFormat {
            segment: 1,
            version: 3,
            known: 2,
            ..
        }
    ));
    assert!(error.to_string().contains("format version 3"), "{error}");
}

#[test]
fn intact_record_that_says_what_cannot_be() {
    let cases: [fn(&mut RecordHeader); 5] = [
        |header| header.kind = 9,
        |header| header.index = 5,
        |header| header.body_bytes = u32::MAX,
        |header| header.durable = u32::MAX,
        |header| header.kind = 4,
    ];
    for case in cases {
        let disk = MemVfs::new(1);
        let places = written(&disk, 3, BODY);
        let (segment, start) = places[2];
        let bytes: [u8; RECORD_HEADER_BYTES] = bytes_of(&disk, places[2], RECORD_HEADER_BYTES)
            .try_into()
            .unwrap();
        let seed = segment_seed(IDENTITY, segment);
        let (mut header, _) = RecordHeader::decode(&bytes, seed, start).unwrap();
        case(&mut header);
        overwrite(&disk, places[2], &header.encode(seed, start).0);
        assert_eq!(
            refused(&disk),
            (segment, start, Why::RecordContent),
            "{header:?}"
        );
    }
}

#[test]
fn reordered_sectors_of_one_batch_that_was_not_synced() {
    // Three appends, no sync: any subset of their sectors may have arrived, in any order.
    let disk = MemVfs::new(1);
    let (mut log, _) = open(&disk).unwrap();
    log.append(&[entry(1, BODY)]).unwrap();
    log.sync().unwrap();
    let (_, start) = log.position();
    for index in 2..=4 {
        log.append(&[entry(index, BODY)]).unwrap();
    }
    let (_, end) = log.position();
    drop(log);
    let whole = disk.contents(&segment_path(1)).unwrap();
    disk.crash(Crash::LoseUnsynced);
    let sectors: Vec<usize> = (start as usize / 512..=end as usize / 512).collect();
    let intact = image(&disk);
    for arrived in 0..1_u32 << sectors.len() {
        let disk = MemVfs::new(1);
        restore(&disk, &intact);
        for (bit, sector) in sectors
            .iter()
            .enumerate()
            .filter(|(bit, _)| arrived & (1 << bit) != 0)
        {
            let _ = bit;
            let from = (*sector * 512).max(start as usize);
            let to = ((sector + 1) * 512).min(end as usize);
            disk.overwrite(&segment_path(1), from as u64, &whole[from..to])
                .unwrap();
        }
        let (log, recovery) = open(&disk).unwrap();
        let last = last_index(&recovery);
        assert!((1..=4).contains(&last));
        check_entries(&log, last, BODY);
        if arrived == (1 << sectors.len()) - 1 {
            assert_eq!((last, recovery.torn_bytes_cut), (4, None));
        }
    }
}

#[test]
fn stale_page_cache_after_a_failed_sync_is_not_believed() {
    // The kernel shows what the disk does not have; recovery must make it so or lose it, and must
    // not report what the next power cut takes away.
    let disk = MemVfs::new(1);
    let (mut log, _) = open(&disk).unwrap();
    log.append(&[entry(1, BODY)]).unwrap();
    log.sync().unwrap();
    log.append(&[entry(2, BODY)]).unwrap();
    disk.inject(vfs::OperationKind::Sync, 1, vfs::Fault::Io);
    log.sync().unwrap_err();
    drop(log);
    let (_, recovery) = open(&disk).unwrap();
    let reported = last_index(&recovery);
    disk.crash(Crash::LoseUnsynced);
    let (log, recovery) = open(&disk).unwrap();
    assert_eq!(last_index(&recovery), reported);
    check_entries(&log, reported, BODY);
}

#[test]
fn entry_damaged_after_recovery_is_not_served() {
    let disk = MemVfs::new(1);
    let places = written(&disk, 3, BODY);
    let (log, _) = open(&disk).unwrap();
    for field in [0, 16, 24, 32, 52, 60] {
        disk.flip_bit(&segment_path(1), places[1].1 + field, 1)
            .unwrap();
        let error = log.read(GROUP, 1, 3, usize::MAX).unwrap_err();
        assert!(matches!(error, wal::WalError::Damaged(damage) if damage.offset == places[1].1));
        disk.flip_bit(&segment_path(1), places[1].1 + field, 1)
            .unwrap();
    }
    check_entries(&log, 3, BODY);
}

#[test]
fn unreadable_sector_is_an_error_and_no_verdict() {
    let disk = MemVfs::new(1);
    written(&disk, 3, BODY);
    disk.inject(vfs::OperationKind::Read, 2, vfs::Fault::Io);
    assert!(matches!(
        open(&disk),
        Err(OpenError::Io {
            operation: "read",
            ..
        })
    ));
    let file = disk.open_read(&segment_path(1)).unwrap();
    assert_eq!(File::len(file.as_ref()).unwrap(), SEGMENT_BYTES);
}
