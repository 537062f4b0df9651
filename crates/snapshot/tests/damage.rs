//! Every damage is found, named, and never taken for a snapshot; no bytes make a reader panic.

mod common;

use std::path::Path;

use common::{blocks_of, choose, directory, meta, read_all, remove_older_than, write};
use proptest::prelude::*;
use snapshot::format::{HEADER_BYTES, Header, RECORD_HEADER_BYTES, RecordHeader, RecordKind};
use snapshot::{DamageKind, Misfit, Position, SnapshotError, identify, verify};
use vfs::{Fault, MemVfs, OperationKind, Vfs};

/// Asserts that a file is refused by everything that reads it, and returns where it is damaged.
fn assert_damaged(disk: &MemVfs, path: &Path) -> (u64, DamageKind) {
    let read = read_all(disk, path).expect_err("read although damaged");
    let verified = verify(disk, path).expect_err("good although damaged");
    let (SnapshotError::Damaged { damage, .. }, SnapshotError::Damaged { damage: other, .. }) =
        (&read, &verified)
    else {
        panic!("{read}, {verified}");
    };
    assert_eq!(damage, other);
    assert!(read.to_string().contains(&path.display().to_string()));
    (damage.offset, damage.kind)
}

#[test]
fn a_flip_of_each_bit_is_found() {
    let disk = MemVfs::new(1);
    let directory = directory(&disk, "/snapshots");
    let found = write(&directory, 9, &blocks_of(9));
    for offset in 0..found.bytes {
        for bit in 0..8 {
            disk.flip_bit(&found.path, offset, bit).unwrap();
            let (damaged, _) = assert_damaged(&disk, &found.path);
            assert!(
                damaged <= offset,
                "damage at {offset} reported at {damaged}"
            );
            disk.flip_bit(&found.path, offset, bit).unwrap();
        }
    }
    verify(&disk, &found.path).expect("all flips were undone");
}

#[test]
fn a_file_cut_at_each_byte_is_set_aside_and_the_one_before_is_taken() {
    let whole = MemVfs::new(1);
    let older = write(&directory(&whole, "/snapshots"), 5, &blocks_of(5));
    let newer = write(&directory(&whole, "/snapshots"), 9, &blocks_of(9));
    for len in 0..newer.bytes {
        let disk = whole.copy();
        disk.truncate(&newer.path, len).unwrap();
        let (offset, kind) = assert_damaged(&disk, &newer.path);
        assert_eq!((offset, kind), (len, DamageKind::CutShort));
        identify(&disk, &newer.path).expect_err("it has no end");
        let directory = directory(&disk, "/snapshots");
        let newest = choose(&directory).unwrap();
        assert_eq!(newest.found.as_ref(), Some(&older));
        let [refused] = &newest.passed_over[..] else {
            panic!("{:?}", newest.passed_over);
        };
        let renamed = newest.settle(&directory, 0).unwrap().set_aside;
        let text = refused.error.to_string();
        assert!(text.contains(&newer.path.display().to_string()), "{text}");
        // It is under another name, all of it, and stays there.
        assert_eq!(disk.contents(&renamed[0]).unwrap().len() as u64, len);
        remove_older_than(&directory, 1_000).unwrap();
        directory.remove_temporary().unwrap();
        directory.remove_partial_to(u64::MAX).unwrap();
        assert!(disk.exists(&renamed[0]).unwrap());
        assert!(!disk.exists(&newer.path).unwrap());
    }
}

#[test]
fn bytes_behind_the_end_are_damage() {
    let disk = MemVfs::new(1);
    let found = write(&directory(&disk, "/snapshots"), 9, &blocks_of(9));
    disk.overwrite(&found.path, found.bytes, &[0]).unwrap();
    let damage = assert_damaged(&disk, &found.path);
    assert_eq!(damage, (found.bytes, DamageKind::Trailing));
}

#[test]
fn blocks_left_out_doubled_or_exchanged_are_damage() {
    let disk = MemVfs::new(1);
    let blocks = [vec![1; 100], vec![2; 100], vec![3; 100]];
    let found = write(&directory(&disk, "/snapshots"), 9, &blocks);
    let bytes = disk.contents(&found.path).unwrap();
    let start = HEADER_BYTES + found.meta.head.len();
    let record = |number: usize| {
        let offset = start + number * (RECORD_HEADER_BYTES + 100);
        bytes[offset..offset + RECORD_HEADER_BYTES + 100].to_vec()
    };
    let end = bytes[start + 3 * (RECORD_HEADER_BYTES + 100)..].to_vec();
    for order in [&[0, 1][..], &[1, 2], &[0, 0, 1, 2], &[1, 0, 2], &[0, 2, 1]] {
        let mut changed = bytes[..start].to_vec();
        order
            .iter()
            .for_each(|number| changed.extend(record(*number)));
        changed.extend(&end);
        let path = Path::new("/changed");
        let _ = disk.remove(path);
        disk.overwrite(path, 0, &changed).unwrap();
        assert_eq!(
            assert_damaged(&disk, path).1,
            DamageKind::Chain,
            "{order:?}"
        );
    }
}

#[test]
fn a_block_of_another_file_is_damage() {
    let disk = MemVfs::new(1);
    let directory = directory(&disk, "/snapshots");
    let mine = write(&directory, 9, &blocks_of(9));
    let other = write(&directory, 10, &blocks_of(9));
    let foreign = disk.contents(&other.path).unwrap();
    let start = HEADER_BYTES + mine.meta.head.len();
    disk.overwrite(&mine.path, start as u64, &foreign[start..])
        .unwrap();
    assert_eq!(assert_damaged(&disk, &mine.path).1, DamageKind::Chain);
}

#[test]
fn a_file_under_the_name_of_another_is_set_aside() {
    let disk = MemVfs::new(1);
    let directory = directory(&disk, "/snapshots");
    let found = write(&directory, 9, &blocks_of(9));
    let wrong = directory.finished_path(10, 3);
    disk.rename(&found.path, &wrong).unwrap();
    let newest = choose(&directory).unwrap();
    assert!(newest.found.is_none());
    assert!(matches!(
        &newest.passed_over[0].error,
        SnapshotError::Damaged { damage, .. } if damage.kind == DamageKind::Name
    ));
}

#[test]
fn no_memory_is_taken_by_an_announced_length() {
    let disk = MemVfs::new(1);
    let path = Path::new("/announced");
    let mut header = Header::of(&meta(9));
    header.head_bytes = 256 << 20;
    disk.overwrite(path, 0, &header.encode().0).unwrap();
    assert_eq!(assert_damaged(&disk, path).1, DamageKind::CutShort);
    header.head_bytes = u32::MAX;
    disk.overwrite(path, 0, &header.encode().0).unwrap();
    assert_eq!(assert_damaged(&disk, path).1, DamageKind::Header);

    header.head_bytes = 0;
    header.head_checksum = 0;
    let (mut bytes, previous) = (header.encode().0.to_vec(), header.encode().1);
    let lengths = [
        (RecordKind::Block, 1 << 30, DamageKind::CutShort),
        (RecordKind::Block, u32::MAX, DamageKind::Record),
        (RecordKind::End, 25, DamageKind::Record),
        (RecordKind::End, 24, DamageKind::CutShort),
    ];
    for (kind, body_bytes, expected) in lengths {
        bytes.truncate(HEADER_BYTES);
        let record = RecordHeader {
            previous,
            body_bytes,
            body_checksum: 0,
            number: 1,
            kind,
        };
        bytes.extend(record.encode().0);
        disk.overwrite(path, 0, &bytes).unwrap();
        assert_eq!(assert_damaged(&disk, path).1, expected);
    }
}

/// Bytes as they come, or a good file of which parts were replaced and some checksums made good
/// again, so that what is behind them is reached as well.
fn arbitrary_file() -> impl Strategy<Value = Vec<u8>> {
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), any::<[u8; 4]>()), 1..4);
    let edited = (edits, any::<bool>()).prop_map(|(edits, mend)| {
        let disk = MemVfs::new(1);
        let found = write(&directory(&disk, "/snapshots"), 9, &blocks_of(9));
        let mut bytes = disk.contents(&found.path).expect("just written");
        for (place, with) in edits {
            let place = place.index(bytes.len() - 4);
            bytes[place..place + 4].copy_from_slice(&with);
        }
        if mend {
            let checksum = crc32c::crc32c(&bytes[..60]);
            bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
            let record = HEADER_BYTES + found.meta.head.len();
            let checksum = crc32c::crc32c(&bytes[record + 4..record + RECORD_HEADER_BYTES]);
            bytes[record..record + 4].copy_from_slice(&checksum.to_le_bytes());
        }
        bytes
    });
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..400), edited]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in arbitrary_file()) {
        let disk = MemVfs::new(1);
        let directory = directory(&disk, "/snapshots");
        let path = directory.finished_path(9, 3);
        disk.overwrite(&path, 0, &bytes).unwrap();
        let read = read_all(&disk, &path);
        let verified = verify(&disk, &path);
        let _ = identify(&disk, &path);
        prop_assert_eq!(read.is_ok(), verified.is_ok());
        match choose(&directory) {
            Ok(newest) => prop_assert_eq!(newest.found.is_some(), read.is_ok()),
            Err(error) => {
                let by_name = matches!(
                    error,
                    SnapshotError::NewerVersion { .. } | SnapshotError::OtherCluster { .. }
                );
                prop_assert!(by_name, "{}", error);
            }
        }
    }
}

#[test]
fn of_the_files_that_were_set_aside_the_newest_are_kept() {
    let disk = MemVfs::new(1);
    let directory = directory(&disk, "/snapshots");
    let mut names = Vec::new();
    for index in 1..=5 {
        let found = write(&directory, index, &blocks_of(2));
        names.push(directory.set_aside(&found.path).unwrap());
    }
    let kept: Vec<bool> = names
        .iter()
        .map(|name| disk.exists(name).unwrap())
        .collect();
    assert_eq!(kept, [false, false, false, false, true]);
    // An older one that is found later takes nothing away from it.
    let found = write(&directory, 3, &blocks_of(2));
    let older = directory.set_aside(&found.path).unwrap();
    assert!(disk.exists(&older).unwrap() && disk.exists(&names[4]).unwrap());
}

#[test]
fn a_choice_changes_nothing_and_what_cannot_be_read_now_is_not_passed_over() {
    let disk = MemVfs::new(1);
    let directory = directory(&disk, "/snapshots");
    write(&directory, 5, &blocks_of(5));
    let newer = write(&directory, 9, &blocks_of(9));
    disk.inject(OperationKind::Read, 1, Fault::Io);
    let error = choose(&directory).unwrap_err();
    assert!(matches!(error, SnapshotError::Io { .. }), "{error}");
    disk.flip_bit(&newer.path, 100, 0).unwrap();
    let choice = choose(&directory).unwrap();
    assert_eq!(choice.last(), Some(Position { term: 3, index: 5 }));
    // The log does not reach back to it: the start refuses, and both files are as they were.
    let base = Position { term: 3, index: 6 };
    assert_eq!(choice.judge(base), Err(Misfit::Gap));
    assert_eq!(directory.list().unwrap().len(), 2);
}
