//! FORMAT.md says what the code does, and files written by earlier builds stay readable.
//!
//! The fixture is a file of format version 1. It must never be rewritten: if this test fails, the format
//! has changed, and wants a new version. `QUORATE_WRITE_FIXTURES=1` writes it if it is missing.

mod common;

use std::path::{Path, PathBuf};

use common::{directory, meta, read_all, write};
use snapshot::format::{
    BLOCK_BYTES_MAX, DAMAGED_SUFFIX, END_BODY_BYTES, End, FORMAT_VERSION, HEAD_BYTES_MAX,
    HEADER_BYTES, Header, MAGIC, RECORD_HEADER_BYTES, RecordHeader, RecordKind, finished_name,
    finished_position, receiving_name, writing_name,
};
use snapshot::{FileId, verify};
use vfs::MemVfs;

/// The rows `offset | bytes | field` of the table that begins with a heading of FORMAT.md.
fn table(heading: &str) -> Vec<(usize, usize, String)> {
    let text = include_str!("../FORMAT.md");
    let section = text.split(heading).nth(1).expect("the heading is there");
    let mut rows = Vec::new();
    for line in section
        .lines()
        .skip_while(|line| !line.starts_with("| ---"))
    {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        match cells[..] {
            ["---:", "---:", "---"] => {}
            [offset, bytes, field] => {
                let offset = offset.parse().expect("an offset");
                rows.push((offset, bytes.parse().unwrap_or(0), field.to_string()));
            }
            _ => break,
        }
    }
    rows
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
fn the_header_is_as_documented() {
    let rows = table("## Header");
    assert_rows_are_gapless(&rows, HEADER_BYTES);
    let header = Header {
        version: FORMAT_VERSION,
        head_bytes: 0x0102_0304,
        cluster: 0x1112_1314_1516_1718,
        group: 0x2122_2324_2526_2728,
        term: 0x3132_3334_3536_3738,
        index: 0x4142_4344_4546_4748,
        time_ms: 0x5152_5354_5556_5758,
        head_checksum: 0x6162_6364,
    };
    let (bytes, chain) = header.encode();
    let numbers = [
        ("cluster id", header.cluster),
        ("group", header.group),
        ("term", header.term),
        ("index", header.index),
        ("log time", header.time_ms),
    ];
    for (name, number) in numbers {
        assert_eq!(field(&rows, name, &bytes), number.to_le_bytes(), "{name}");
    }
    let small = [
        ("version", 1),
        ("length of the head", header.head_bytes),
        ("checksum of the head", header.head_checksum),
        ("checksum of bytes 0 to 59", chain),
    ];
    for (name, number) in small {
        assert_eq!(field(&rows, name, &bytes), number.to_le_bytes(), "{name}");
    }
    assert_eq!(field(&rows, "magic", &bytes), MAGIC);
    assert_eq!(chain, crc32c::crc32c(&bytes[..60]));
    assert_eq!(Header::decode(&bytes), Some((header, chain)));
}

#[test]
fn a_record_is_as_documented() {
    let rows = table("## Records");
    assert_rows_are_gapless(&rows, RECORD_HEADER_BYTES);
    for kind in [RecordKind::Block, RecordKind::End] {
        let header = RecordHeader {
            previous: 0x0102_0304,
            body_bytes: 0x1112_1314,
            body_checksum: 0x2122_2324,
            number: 0x3132_3334_3536_3738,
            kind,
        };
        let (bytes, chain) = header.encode();
        let small = [
            ("checksum of bytes 4 to 31", chain),
            ("chain value before", header.previous),
            ("length of the body", header.body_bytes),
            ("checksum of the body", header.body_checksum),
            ("kind", kind as u32),
            ("zeros", 0),
        ];
        for (name, number) in small {
            assert_eq!(field(&rows, name, &bytes), number.to_le_bytes(), "{name}");
        }
        let number = field(&rows, "number of the record", &bytes);
        assert_eq!(number, header.number.to_le_bytes());
        assert_eq!(chain, crc32c::crc32c(&bytes[4..]));
        assert_eq!(RecordHeader::decode(&bytes), Some((header, chain)));
    }
    let text = include_str!("../FORMAT.md");
    assert!(text.contains("kind: 1 block, 2 end"));
    assert!(text.contains("at most 256 MiB") && HEAD_BYTES_MAX == 256 << 20);
    assert!(text.contains("at most 1 GiB") && BLOCK_BYTES_MAX == 1 << 30);
}

#[test]
fn the_end_is_as_documented() {
    let rows = table("covers every byte before it.");
    assert_rows_are_gapless(&rows, END_BODY_BYTES);
    let end = End {
        blocks: 0x0102_0304_0506_0708,
        block_bytes: 0x1112_1314_1516_1718,
        file_bytes: 0x2122_2324_2526_2728,
    };
    let bytes = end.encode();
    let numbers = [
        ("number of blocks", end.blocks),
        ("bytes of all blocks", end.block_bytes),
        ("length of the file", end.file_bytes),
    ];
    for (name, number) in numbers {
        assert_eq!(field(&rows, name, &bytes), number.to_le_bytes(), "{name}");
    }
    assert_eq!(End::decode(&bytes), Some(end));
    assert_eq!(End::decode(&bytes[1..]), None);
}

#[test]
fn names_are_as_documented() {
    let id = FileId {
        cluster: 1,
        group: 1,
        index: 90,
        term: 7,
        bytes: 1_234,
        checksum: 0xab,
    };
    let position = "00000000000000000090-00000000000000000007";
    assert_eq!(finished_name(90, 7), format!("{position}.snapshot"));
    assert_eq!(writing_name(90, 7), format!("{position}.writing"));
    assert_eq!(
        receiving_name(&id),
        format!("{position}-00000000000000001234-000000ab.receiving")
    );
    let text = include_str!("../FORMAT.md");
    assert!(text.contains(&format!("`INDEX-TERM.snapshot.{DAMAGED_SUFFIX}`")));
    assert_eq!(finished_position(&finished_name(90, 7)), Some((90, 7)));
    let ends = finished_position(&finished_name(u64::MAX, 0));
    assert_eq!(ends, Some((u64::MAX, 0)));
    let no_names = [
        "",
        ".snapshot",
        "90-7.snapshot",
        "00000000000000000090-00000000000000000007.snapshot.damaged",
        "00000000000000000090-00000000000000000007.writing",
        "99999999999999999999-00000000000000000007.snapshot",
        "+0000000000000000090-00000000000000000007.snapshot",
    ];
    for name in no_names {
        assert_eq!(finished_position(name), None, "{name}");
    }
}

#[test]
fn a_file_of_format_1_stays_readable() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1");
    let path: PathBuf = dir.join(finished_name(9, 3));
    let blocks = vec![b"the first block".to_vec(), Vec::new(), vec![0xd7; 1_000]];
    let disk = MemVfs::new(1);
    let written = write(&directory(&disk, "/snapshots"), 9, &blocks);
    let bytes = disk.contents(&written.path).expect("just written");
    if std::env::var_os("QUORATE_WRITE_FIXTURES").is_some() && !path.exists() {
        std::fs::create_dir_all(&dir).expect("a directory of ours");
        std::fs::write(&path, &bytes).expect("a file of ours");
    }
    let (read_meta, read_blocks) = read_all(&vfs::StdVfs, &path).expect("the fixture is good");
    assert_eq!((read_meta, read_blocks), (meta(9), blocks));
    let report = verify(&vfs::StdVfs, &path).expect("the fixture is good");
    assert_eq!((report.blocks, report.id()), (3, written.id()));
    // Not only is the old one read: the same state still makes the same bytes.
    assert_eq!(std::fs::read(&path).expect("readable"), bytes);
}
