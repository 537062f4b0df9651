//! FORMAT.md says what the code does, and logs written by earlier builds stay readable.
//!
//! The fixtures are logs of each version of the format. They must never be rewritten: if a test fails, the
//! format has changed, and wants a new version. `QUORATE_WRITE_FIXTURES=1` writes those that are missing.

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use common::{GROUP, IDENTITY, SEGMENT_BYTES, entry_of};
use vfs::MemVfs;
use wal::format::{
    BASE_EMPTIES, CARRY_BASE_BYTES, CARRY_HAS_BASE, CARRY_HAS_STATE, CarryBody, DiskKind, END_MARK,
    FORMAT_VERSION, RECORD_HEADER_BYTES, RecordHeader, SEGMENT_END_MARK, SEGMENT_HEADER_BYTES,
    SEGMENT_MAGIC, SegmentHeader, preparing_name, record_bytes, segment_name, segment_number,
    segment_seed,
};
use wal::{Identity, Record, Wal};

/// The rows `offset | bytes | field` of the table below a heading of FORMAT.md.
fn table(heading: &str) -> Vec<(usize, usize, String)> {
    let text = include_str!("../FORMAT.md");
    let section = text
        .split(heading)
        .nth(1)
        .unwrap_or_else(|| panic!("no {heading}"));
    let rows = section
        .lines()
        .skip_while(|line| !line.starts_with("| offset"));
    let cells = rows
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            (
                cells[0].parse().unwrap(),
                cells[1].parse().unwrap_or(0),
                cells[2].to_string(),
            )
        });
    cells.collect()
}

/// The bytes of the field whose description begins with `name`.
fn field<'a>(rows: &[(usize, usize, String)], name: &str, bytes: &'a [u8]) -> &'a [u8] {
    let found = rows.iter().find(|(_, _, field)| field.starts_with(name));
    let (offset, len, _) = found.unwrap_or_else(|| panic!("no field {name}"));
    &bytes[*offset..offset + len]
}

fn assert_rows_are_gapless(rows: &[(usize, usize, String)], end: usize) {
    let mut expected = 0;
    for (offset, len, name) in rows {
        assert_eq!(*offset, expected, "{name}");
        expected += len;
    }
    assert_eq!(expected, end);
}

#[test]
fn segment_header_is_as_documented() {
    let rows = table("### Header");
    assert_rows_are_gapless(&rows, SEGMENT_HEADER_BYTES);
    let header = SegmentHeader {
        version: FORMAT_VERSION,
        identity: Identity {
            cluster: 0x0102_0304_0506_0708,
            node: 0x1112_1314_1516_1718,
        },
        segment: 0x2122_2324_2526_2728,
        segment_bytes: 0x3132_3334_3536_3738,
        oldest: 0x4142_4344_4546_4748,
        previous_end: 0x5152_5354_5556_5758,
        previous_chain: 0x6162_6364,
    };
    let (bytes, chain) = header.encode();
    assert_eq!(field(&rows, "magic", &bytes), SEGMENT_MAGIC);
    assert_eq!(
        field(&rows, "version of the format", &bytes),
        FORMAT_VERSION.to_le_bytes()
    );
    assert_eq!(
        field(&rows, "cluster id", &bytes),
        header.identity.cluster.to_le_bytes()
    );
    assert_eq!(
        field(&rows, "node id", &bytes),
        header.identity.node.to_le_bytes()
    );
    assert_eq!(
        field(&rows, "segment number", &bytes),
        header.segment.to_le_bytes()
    );
    assert_eq!(
        field(&rows, "length of the file", &bytes),
        header.segment_bytes.to_le_bytes()
    );
    assert_eq!(
        field(&rows, "number of the oldest", &bytes),
        header.oldest.to_le_bytes()
    );
    assert_eq!(
        field(&rows, "offset where", &bytes),
        header.previous_end.to_le_bytes()
    );
    assert_eq!(
        field(&rows, "chain value", &bytes),
        header.previous_chain.to_le_bytes()
    );
    assert_eq!(field(&rows, "checksum", &bytes), chain.to_le_bytes());
    assert_eq!(field(&rows, "end mark", &bytes), SEGMENT_END_MARK);
    assert_eq!(chain, crc32c::crc32c(&bytes[..504]));
    assert_eq!(SegmentHeader::decode(&bytes), Some((header, chain)));
}

#[test]
fn record_header_is_as_documented() {
    let rows = table("## Records");
    assert_rows_are_gapless(&rows, RECORD_HEADER_BYTES);
    let header = RecordHeader {
        previous: 0x0102_0304,
        body_bytes: 0x1112_1314,
        body_checksum: 0x2122_2324,
        group: 0x3132_3334_3536_3738,
        term: 0x4142_4344_4546_4748,
        index: 0x5152_5354_5556_5758,
        stamp: 0x6162_6364_6566_6768,
        durable: 0x7172_7374,
        kind: 0x81,
        tag: 0x91,
    };
    let offset = 4096_u64;
    let (bytes, checksum) = header.encode(segment_seed(IDENTITY, 9), offset);
    assert_eq!(
        field(&rows, "checksum of the header", &bytes),
        checksum.to_le_bytes()
    );
    assert_eq!(
        field(&rows, "chain value before", &bytes),
        header.previous.to_le_bytes()
    );
    assert_eq!(
        field(&rows, "length of the body", &bytes),
        header.body_bytes.to_le_bytes()
    );
    assert_eq!(
        field(&rows, "checksum of the body", &bytes),
        header.body_checksum.to_le_bytes()
    );
    assert_eq!(field(&rows, "group", &bytes), header.group.to_le_bytes());
    assert_eq!(field(&rows, "term", &bytes), header.term.to_le_bytes());
    assert_eq!(field(&rows, "index", &bytes), header.index.to_le_bytes());
    assert_eq!(field(&rows, "stamp", &bytes), header.stamp.to_le_bytes());
    assert_eq!(
        field(&rows, "durable mark", &bytes),
        header.durable.to_le_bytes()
    );
    assert_eq!(field(&rows, "kind", &bytes), [header.kind]);
    assert_eq!(field(&rows, "tag", &bytes), [header.tag]);
    assert_eq!(field(&rows, "end mark", &bytes), [END_MARK]);
    let placed = [IDENTITY.cluster, IDENTITY.node, 9, offset]
        .map(u64::to_le_bytes)
        .concat();
    assert_eq!(checksum, crc32c::crc32c(&[&placed, &bytes[4..]].concat()));
    assert_eq!(
        RecordHeader::decode(&bytes, segment_seed(IDENTITY, 9), offset),
        Some((header, checksum))
    );
    assert_eq!(
        RecordHeader::decode(&bytes, segment_seed(IDENTITY, 9), offset + 8),
        None
    );
    assert_eq!(
        RecordHeader::decode(&bytes, segment_seed(IDENTITY, 8), offset),
        None
    );
}

#[test]
fn body_of_a_carry_is_as_documented() {
    let rows = table("### Body of a carry");
    assert_rows_are_gapless(&rows[..3], CARRY_BASE_BYTES);
    let carry = CarryBody {
        term: 0x0102_0304_0506_0708,
        index: 0x1112_1314_1516_1718,
        stamp: 0x2122_2324_2526_2728,
    };
    let mut bytes = carry.encode().to_vec();
    assert_eq!(field(&rows, "term", &bytes), carry.term.to_le_bytes());
    assert_eq!(field(&rows, "index", &bytes), carry.index.to_le_bytes());
    assert_eq!(field(&rows, "stamp", &bytes), carry.stamp.to_le_bytes());
    assert_eq!(CarryBody::decode(&bytes[..23]), None);
    bytes.extend_from_slice(b"state");
    assert_eq!(rows[3].0, CARRY_BASE_BYTES);
    assert_eq!(CarryBody::decode(&bytes), Some((carry, &b"state"[..])));
}

#[test]
fn identity_file_is_as_documented() {
    let rows = table("`IDENTITY` has 64 bytes");
    assert_rows_are_gapless(&rows, wal::data_dir::IDENTITY_BYTES);
    let disk = MemVfs::new(1);
    let path = Path::new("/data");
    for _ in 0..3 {
        let mut dir =
            wal::DataDir::open(Arc::new(disk.clone()), path, 0x1122_3344_5566_7788, 9).unwrap();
        dir.directory_id(0x99aa).unwrap();
    }
    let bytes = disk.contents(&path.join("IDENTITY")).unwrap();
    assert_eq!(field(&rows, "magic", &bytes), wal::data_dir::IDENTITY_MAGIC);
    assert_eq!(
        field(&rows, "version", &bytes),
        wal::data_dir::DATA_DIR_VERSION.to_le_bytes()
    );
    assert_eq!(field(&rows, "1 once", &bytes), [0]);
    assert_eq!(
        field(&rows, "cluster id", &bytes),
        0x1122_3344_5566_7788_u64.to_le_bytes()
    );
    assert_eq!(field(&rows, "node id", &bytes), 9_u64.to_le_bytes());
    assert_eq!(field(&rows, "incarnation", &bytes), 3_u64.to_le_bytes());
    assert_eq!(field(&rows, "outdated", &bytes), [0]);
    assert_eq!(
        field(&rows, "directory id", &bytes),
        0x99aa_u64.to_le_bytes()
    );
    assert_eq!(
        field(&rows, "checksum", &bytes),
        crc32c::crc32c(&bytes[..60]).to_le_bytes()
    );
}

#[test]
fn oldest_file_is_as_documented() {
    let rows = table("`OLDEST` has 48 bytes");
    assert_rows_are_gapless(&rows, wal::oldest::OLDEST_BYTES);
    let disk = MemVfs::new(1);
    write_fixture(&disk);
    let bytes = disk.contents(&common::dir().join("OLDEST")).unwrap();
    assert_eq!(field(&rows, "magic", &bytes), wal::oldest::OLDEST_MAGIC);
    let version = wal::oldest::OLDEST_VERSION.to_le_bytes();
    assert_eq!(field(&rows, "version", &bytes), version);
    let cluster = IDENTITY.cluster.to_le_bytes();
    assert_eq!(field(&rows, "cluster", &bytes), cluster);
    assert_eq!(field(&rows, "node", &bytes), IDENTITY.node.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..44]).to_le_bytes();
    assert_eq!(field(&rows, "checksum", &bytes), checksum);
}

#[test]
fn peers_file_is_as_documented() {
    let header = table("`PEERS` has a header");
    assert_rows_are_gapless(&header, wal::known_peers::PEERS_HEADER_BYTES);
    let rows = table("A run of a member reaches");
    assert_rows_are_gapless(&rows, wal::known_peers::PEER_RUN_BYTES);
    let disk = MemVfs::new(1);
    let path = Path::new("/data");
    let mut dir =
        wal::DataDir::open(Arc::new(disk.clone()), path, 0x1122_3344_5566_7788, 9).unwrap();
    let mut known = dir.take_known_peers().unwrap();
    let run = wal::PeerRun {
        node: 0x0102_0304,
        incarnation: 0x1112_1314,
        process: 0x2122_2324,
        directory: 0x3132_3334,
    };
    for node in [run.node, 3] {
        known.record(wal::PeerRun { node, ..run }).unwrap();
    }
    let bytes = disk.contents(&path.join("PEERS")).unwrap();
    assert_eq!(
        field(&header, "magic", &bytes),
        wal::known_peers::PEERS_MAGIC
    );
    assert_eq!(
        field(&header, "version", &bytes),
        wal::known_peers::PEERS_VERSION.to_le_bytes()
    );
    assert_eq!(field(&header, "number of runs", &bytes), [2, 0, 0, 0]);
    assert_eq!(
        field(&header, "cluster id", &bytes),
        0x1122_3344_5566_7788_u64.to_le_bytes()
    );
    assert_eq!(field(&header, "node id", &bytes), 9_u64.to_le_bytes());
    let (second, checksum) = bytes[64..].split_at(32);
    assert_eq!(field(&rows, "the member's", &bytes[32..])[0], 3);
    for (name, number) in [
        ("the member's", run.node),
        ("its incarnation", run.incarnation),
        ("process", run.process),
        ("its directory", run.directory),
    ] {
        assert_eq!(field(&rows, name, second), number.to_le_bytes(), "{name}");
    }
    assert_eq!(checksum, crc32c::crc32c(&bytes[..96]).to_le_bytes());
}

#[test]
fn names_and_sizes_and_kinds_are_as_documented() {
    let text = include_str!("../FORMAT.md");
    assert!(text.contains(&format!("Version {FORMAT_VERSION}.")));
    assert_eq!(segment_name(7), "00000000000000000007.wal");
    assert_eq!(preparing_name(7), "00000000000000000007.preparing");
    assert_eq!(segment_number(&segment_name(7)), Some(7));
    for name in [
        "7.wal",
        "00000000000000000007.preparing",
        "99999999999999999999.wal",
        "x.wal",
    ] {
        assert_eq!(segment_number(name), None, "{name}");
    }
    assert_eq!([0, 1, 7, 8].map(record_bytes), [64, 64, 64, 72]);
    for (kind, number, name) in [
        (DiskKind::Entry, 1, "entry"),
        (DiskKind::Truncate, 2, "truncate"),
        (DiskKind::State, 3, "state"),
        (DiskKind::Carry, 4, "carry"),
        (DiskKind::Base, 5, "base"),
    ] {
        assert_eq!(kind as u8, number);
        assert_eq!(DiskKind::from_number(number), Some(kind));
        assert!(text.contains(&format!("| {number} | {name} |")));
    }
    assert_eq!(DiskKind::from_number(0), None);
    assert_eq!((CARRY_HAS_STATE, CARRY_HAS_BASE, BASE_EMPTIES), (1, 2, 1));
}

/// What the fixture of format 1 holds: two groups, three segments, a truncation and a prepared segment.
fn records_of_format_1() -> Vec<Vec<Record>> {
    let mut appends = Vec::new();
    for index in 1..=20 {
        let state = Record::state(GROUP, Bytes::from(format!("state {index}")));
        appends.push(vec![entry_of(1, index, 500), state]);
    }
    let mut records = vec![Record::truncate(GROUP, 19)];
    records.extend((19..=23).map(|index| entry_of(4, index, 700)));
    records.push(Record {
        group: 1,
        ..entry_of(2, 1, 0)
    });
    appends.push(records);
    appends
}

/// The fixture of format 2: as that of format 1, then a base that keeps entries and one that empties a
/// group, in segments whose older ones are removed.
fn write_fixture(disk: &MemVfs) {
    let (mut log, _) = common::open(disk).unwrap();
    let mut appends = records_of_format_1();
    appends.push(vec![
        Record::base(GROUP, 4, 21, 1021),
        Record::base(1, 3, 9, 1009),
    ]);
    for index in 24..=40 {
        appends.push(vec![entry_of(4, index, 700)]);
    }
    for records in appends {
        log.append(&records).unwrap();
        log.sync().unwrap();
        while log.remove_obsolete().unwrap() {}
    }
    while log.prepare_next().unwrap() == wal::Preparation::More {}
}

/// A fixture's files, as they would lie in [`common::dir`].
fn fixture(version: &str) -> Option<Vec<(PathBuf, Vec<u8>)>> {
    let files = std::fs::read_dir(fixture_dir(version)).ok()?;
    let mut stored: Vec<(PathBuf, Vec<u8>)> = files
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (
                common::dir().join(path.file_name().unwrap()),
                std::fs::read(&path).unwrap(),
            )
        })
        .collect();
    stored.sort();
    Some(stored)
}

fn fixture_dir(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/format-{version}"))
}

fn open_fixture(version: &str) -> (MemVfs, Wal, wal::Recovery) {
    let disk = MemVfs::new(1);
    common::restore(&disk, &fixture(version).unwrap());
    let (log, recovery) = common::open(&disk).unwrap();
    assert_eq!(
        SEGMENT_BYTES, 8192,
        "the fixtures' segments have this length"
    );
    (disk, log, recovery)
}

fn check_format_1(log: &Wal, recovery: &wal::Recovery) {
    let group = &recovery.groups[&GROUP];
    assert_eq!(group.state.as_deref(), Some(&b"state 20"[..]));
    assert_eq!((group.base, group.first, group.last), ((0, 0), 1, (4, 23)));
    assert_eq!(group.term_runs, [(1, 1), (19, 4)]);
    assert_eq!(recovery.groups[&1].last, (2, 1));
    let records = log.read(GROUP, 1, 99, usize::MAX).unwrap();
    let expected = (1..=18).map(|index| entry_of(1, index, 500));
    let expected = expected.chain((19..=23).map(|index| entry_of(4, index, 700)));
    assert!(records.into_iter().eq(expected));
}

#[test]
fn log_of_format_1_is_read_and_continued() {
    let (disk, mut log, recovery) = open_fixture("1");
    assert_eq!((recovery.segments, recovery.torn_bytes_cut), (3, None));
    check_format_1(&log, &recovery);
    log.append(&[entry_of(4, 24, 700)]).unwrap();
    log.append(&[Record::truncate(GROUP, 24)]).unwrap();
    log.sync().unwrap();
    assert_eq!(log.position().0, 3, "a segment of version 1 is filled up");
    drop(log);
    let (mut log, recovery) = common::open(&disk).unwrap();
    check_format_1(&log, &recovery);

    log.append(&[Record::base(GROUP, 4, 20, 1020)]).unwrap();
    assert_eq!(log.position().0, 4, "a base needs a segment of version 2");
    for index in 24..=60 {
        log.append(&[entry_of(4, index, 700)]).unwrap();
    }
    log.sync().unwrap();
    while log.remove_obsolete().unwrap() {}
    assert!(
        disk.contents(&common::segment_path(1)).is_ok(),
        "entries from 21 on are in segments of version 1"
    );
    log.append(&[
        Record::base(GROUP, 4, 58, 1058),
        Record::base(1, 2, 1, 1001),
    ])
    .unwrap();
    log.sync().unwrap();
    while log.remove_obsolete().unwrap() {}
    assert!(disk.contents(&common::segment_path(3)).is_err());
    drop(log);
    let (log, recovery) = common::open(&disk).unwrap();
    let group = &recovery.groups[&GROUP];
    assert_eq!((group.base, group.last), ((4, 58), (4, 60)));
    assert_eq!(group.state.as_deref(), Some(&b"state 20"[..]));
    assert_eq!(recovery.groups[&1].last, (2, 1));
    assert_eq!(log.read(GROUP, 59, 60, usize::MAX).unwrap().len(), 2);
}

#[test]
fn log_of_format_2_is_read_and_written_as_ever() {
    let fresh = MemVfs::new(1);
    write_fixture(&fresh);
    let fresh = common::image(&fresh);
    if fixture("2-oldest").is_none() && std::env::var_os("QUORATE_WRITE_FIXTURES").is_some() {
        std::fs::create_dir_all(fixture_dir("2-oldest")).unwrap();
        for (path, bytes) in &fresh {
            std::fs::write(
                fixture_dir("2-oldest").join(path.file_name().unwrap()),
                bytes,
            )
            .unwrap();
        }
    }
    assert!(
        fixture("2-oldest").unwrap() == fresh,
        "this code writes other bytes than format 2"
    );
    check_format_2("2-oldest");
}

/// As format 2 was written before there was `OLDEST`: a segment was begun early for others to go.
#[test]
fn log_of_format_2_without_oldest_is_read() {
    check_format_2("2");
}

fn check_format_2(version: &str) {
    let (_, log, recovery) = open_fixture(version);
    let group = &recovery.groups[&GROUP];
    assert_eq!(group.state.as_deref(), Some(&b"state 20"[..]));
    assert_eq!(
        (group.base, group.first, group.last),
        ((4, 21), 22, (4, 40))
    );
    assert_eq!(group.term_runs, [(22, 4)]);
    let other = &recovery.groups[&1];
    assert_eq!((other.base, other.first, other.last), ((3, 9), 10, (3, 9)));
    assert_eq!(other.last_stamp, 1009);
    let records = log.read(GROUP, 22, 99, usize::MAX).unwrap();
    let expected = (22..=40).map(|index| entry_of(4, index, 700));
    assert!(records.into_iter().eq(expected));
}

/// A log of format 1 as a program that removed segments 1 and 2 would have left it: there was none, and the
/// format had its place for it.
#[test]
fn log_whose_older_segments_were_deleted_is_read_from_its_carries() {
    let header = SegmentHeader {
        version: 1,
        identity: IDENTITY,
        segment: 3,
        segment_bytes: SEGMENT_BYTES,
        oldest: 3,
        previous_end: 8000,
        previous_chain: 77,
    };
    let (head, mut chain) = header.encode();
    let mut bytes = head.to_vec();
    let state = b"the latest state";
    let carry = (DiskKind::Carry, 9, 400, CARRY_HAS_STATE, &state[..]);
    for (kind, term, index, tag, body) in [carry, (DiskKind::Entry, 10, 401, 2, &b"entry"[..])] {
        let record = RecordHeader {
            previous: chain,
            body_bytes: body.len() as u32,
            body_checksum: crc32c::crc32c(body),
            group: GROUP,
            term,
            index,
            stamp: index * 10,
            durable: SEGMENT_HEADER_BYTES as u32,
            kind: kind as u8,
            tag,
        };
        let start = bytes.len();
        let (head, checksum) = record.encode(segment_seed(IDENTITY, 3), start as u64);
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(body);
        bytes.resize(start + record_bytes(body.len() as u64) as usize, END_MARK);
        chain = checksum;
    }
    bytes.resize(SEGMENT_BYTES as usize, 0);

    let disk = MemVfs::new(1);
    common::restore(&disk, &[(common::segment_path(3), bytes)]);
    let (mut log, recovery) = common::open(&disk).unwrap();
    let group = &recovery.groups[&GROUP];
    assert_eq!(group.state.as_deref(), Some(&state[..]));
    assert_eq!(
        (group.first, group.last, group.last_stamp),
        (401, (10, 401), 4010)
    );
    assert_eq!(
        log.read(GROUP, 401, 401, 100).unwrap()[0].body,
        b"entry"[..]
    );
    log.append(&[Record::truncate(GROUP, 401)]).unwrap();
    let more: Vec<Record> = (401..=420).map(|index| entry_of(11, index, 700)).collect();
    log.append(&more).unwrap();
    log.sync().unwrap();
    drop(log);
    let (log, recovery) = common::open(&disk).unwrap();
    assert_eq!(
        (recovery.groups[&GROUP].first, recovery.groups[&GROUP].last),
        (401, (11, 420))
    );
    assert_eq!(log.read(GROUP, 401, 420, usize::MAX).unwrap(), more);
}
