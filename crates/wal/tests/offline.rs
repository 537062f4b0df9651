//! `verify` and `dump`, which look at a log and change nothing.

mod common;

use std::sync::Arc;

use common::{GROUP, dir, entry, image, open, segment_path, written};
use vfs::{MemVfs, Vfs};
use wal::{
    Damage, DataDir, DumpLine, OfflineError, Options, Preparation, Problem, Record, SegmentState,
    Why, dump, verify,
};

const BODY: usize = 700;

fn dumped(disk: &MemVfs) -> Vec<DumpLine> {
    let mut lines = Vec::new();
    dump(disk, dir(), &mut |line| lines.push(line)).unwrap();
    lines
}

#[test]
fn an_intact_log_is_reported_and_left_alone() {
    let disk = MemVfs::new(1);
    let last = written(&disk, 30, BODY).last().unwrap().0;
    let (mut log, _) = open(&disk).unwrap();
    while log.prepare_next().unwrap() == Preparation::More {}
    drop(log);
    let before = image(&disk);
    let report = verify(&disk, dir()).unwrap();
    assert!(report.is_intact());
    assert_eq!(report.identity, Some(common::IDENTITY));
    assert_eq!(report.segments.len() as u64, last + 1);
    assert_eq!(report.segments.last().unwrap().state, SegmentState::Spare);
    assert_eq!(report.groups[0].1.last, (1, 30));
    let text = report.to_string();
    assert!(
        text.contains("group 7: entries 1 to 30, last term 1, 21000 bytes"),
        "{text}"
    );
    assert!(text.ends_with("\nintact"), "{text}");
    assert_eq!(dumped(&disk).len() as u64, 30 + (last - 1) + 2 * last + 1);
    assert_eq!(image(&disk), before);
}

#[test]
fn a_data_directory_is_found_through_its_name_and_its_identity() {
    let disk = MemVfs::new(1);
    let path = std::path::Path::new("/data");
    let mut data = DataDir::open(Arc::new(disk.clone()), path, 0xab, 6).unwrap();
    let options = Options {
        segment_bytes: 8192,
        ..Options::default()
    };
    let (mut log, _) = data.open_wal(options).unwrap();
    log.append(&[entry(1, BODY)]).unwrap();
    // The node runs: its lock does not keep a reader out.
    for path in [path, &path.join("wal")] {
        let report = verify(&disk, path).unwrap();
        assert_eq!(
            report.identity,
            Some(wal::Identity {
                cluster: 0xab,
                node: 6
            })
        );
        assert!(report.is_intact(), "{report}");
    }
}

#[test]
fn damage_is_reported_where_it_is() {
    let disk = MemVfs::new(1);
    let places = written(&disk, 30, BODY);
    let (segment, offset) = places[14];
    disk.flip_bit(&segment_path(segment), offset + 100, 0)
        .unwrap();
    let report = verify(&disk, dir()).unwrap();
    let damage = Damage {
        segment,
        offset,
        why: Why::RecordBody,
    };
    assert_eq!(report.problem, Some(Problem::Damaged(damage)));
    let text = report.to_string();
    assert!(
        text.contains(&format!("segment {segment} is damaged at offset {offset}")),
        "{text}"
    );
    assert!(
        text.contains("replace the node by `quorate serve --join HOST:PORT --replace ID`"),
        "{text}"
    );
    let last = report.segments.last().unwrap();
    assert_eq!(last.state, SegmentState::NotRead);
}

#[test]
fn dump_goes_on_behind_damage() {
    let disk = MemVfs::new(1);
    let places = written(&disk, 8, BODY);
    disk.flip_bit(&segment_path(1), places[3].1 + 100, 0)
        .unwrap();
    let lines = dumped(&disk);
    let indexes: Vec<(u64, bool)> = lines
        .iter()
        .filter_map(|line| match line {
            DumpLine::Record(record) => Some((record.index, record.is_chained)),
            _ => None,
        })
        .collect();
    let expected = [1, 2, 3, 5, 6, 7, 8].map(|index| (index, index != 5));
    assert_eq!(indexes, expected);
    let stops: Vec<String> = lines
        .iter()
        .filter(|line| matches!(line, DumpLine::Stop { .. }))
        .map(ToString::to_string)
        .collect();
    let at = places[3].1;
    assert_eq!(
        stops[0],
        format!("segment 1 STOPS at {at}: Body stands there, Records behind")
    );
    assert!(stops[1].starts_with("segment 1 ends at"), "{stops:?}");
}

#[test]
fn dump_shows_what_a_record_says() {
    let disk = MemVfs::new(1);
    let (mut log, _) = open(&disk).unwrap();
    let body = bytes::Bytes::from_static(b"SET\n\"key\"");
    log.append(&[wal::Record::entry(GROUP, 5, 1, 2, 99, body)])
        .unwrap();
    log.append(&[wal::Record::truncate(GROUP, 1)]).unwrap();
    let lines: Vec<String> = dumped(&disk).iter().map(ToString::to_string).collect();
    assert_eq!(
        lines[1],
        "1:512 entry group 7 (5, 1) tag 2 stamp 99 durable 512 body 9 \"SET\\n\\\"key\\\"\""
    );
    assert_eq!(
        lines[2],
        "1:584 truncate group 7 (0, 1) tag 0 stamp 0 durable 512 body 0"
    );
    assert_eq!(lines[3], "segment 1 ends at 648");
}

#[test]
fn a_torn_tail_is_reported_and_not_cut() {
    let disk = MemVfs::new(1);
    let (segment, offset) = written(&disk, 3, BODY)[2];
    disk.overwrite(&segment_path(segment), offset + 300, &[0; 460])
        .unwrap();
    let before = image(&disk);
    let report = verify(&disk, dir()).unwrap();
    assert!(report.is_intact());
    assert_eq!(
        report.torn.map(|torn| (torn.segment, torn.offset)),
        Some((segment, offset))
    );
    assert!(report.to_string().contains("the next start cuts it off"));
    assert_eq!(image(&disk), before);
}

#[test]
fn a_place_without_a_log_is_an_error() {
    let disk = MemVfs::new(1);
    disk.create_dir_all(dir()).unwrap();
    assert!(matches!(
        verify(&disk, dir()),
        Err(OfflineError::NoLog { .. })
    ));
    let nowhere = std::path::Path::new("/nowhere");
    assert!(matches!(
        dump(&disk, nowhere, &mut |_| {}),
        Err(OfflineError::NoLog { .. })
    ));
}

#[test]
fn a_header_that_states_an_absurd_length_is_survived() {
    let disk = MemVfs::new(1);
    written(&disk, 3, BODY);
    let bytes = disk.contents(&segment_path(1)).unwrap();
    let header = bytes[..wal::format::SEGMENT_HEADER_BYTES]
        .try_into()
        .unwrap();
    let (header, _) = wal::format::SegmentHeader::decode(header).unwrap();
    for segment_bytes in [0, 1, 600, u64::from(u32::MAX) + 1, u64::MAX] {
        let absurd = wal::format::SegmentHeader {
            segment_bytes,
            ..header
        };
        disk.overwrite(&segment_path(1), 0, &absurd.encode().0)
            .unwrap();
        let report = verify(&disk, dir()).unwrap();
        let damage = Damage {
            segment: 1,
            offset: 0,
            why: Why::Length,
        };
        assert_eq!(report.problem, Some(Problem::Damaged(damage)));
        assert!(dumped(&disk).len() >= 2);
    }
}

#[test]
fn bases_and_what_they_made_useless_are_shown() {
    let disk = MemVfs::new(1);
    let (mut log, _) = open(&disk).unwrap();
    for index in 1..=40 {
        log.append(&[entry(index, BODY)]).unwrap();
    }
    log.append(&[
        Record::base(GROUP, 1, 38, 1038),
        Record::base(8, 3, 1000, 5),
    ])
    .unwrap();
    log.sync().unwrap();
    assert!(log.remove_obsolete().unwrap(), "it is written down");
    for index in 41..=50 {
        log.append(&[entry(index, BODY)]).unwrap();
    }
    log.sync().unwrap();
    drop(log);
    let report = verify(&disk, dir()).unwrap();
    assert!(report.is_intact());
    assert_eq!(report.segments[0].state, SegmentState::Obsolete);
    let text = report.to_string();
    for line in [
        "segment 1: not needed any more",
        "group 7: entries 39 to 50, last term 1, 8400 bytes; state 0 bytes",
        "group 7: begins behind entry 38 of term 1: the snapshot of it, or a later one, must be there",
        "group 8: entries 1001 to 1000, last term 3, 0 bytes; state 0 bytes",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    let lines: Vec<String> = dumped(&disk).iter().map(ToString::to_string).collect();
    for part in [
        " base group 7 (1, 38) tag 0 stamp 1038 ",
        " base group 8 (3, 1000) tag 1 stamp 5 ",
        " carry group 8 (3, 1000) tag 2 stamp 5 ",
        "OLDEST: segments before 5 are not needed",
    ] {
        assert!(lines.iter().any(|line| line.contains(part)), "{part}");
    }
}
