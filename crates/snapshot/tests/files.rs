//! Files are written, listed, found, removed.

mod common;

use std::sync::Arc;

use common::{
    CLUSTER, Counting, GROUP, blocks_of, choose, directory, meta, read_all, remove_older_than,
    try_write, write,
};
use proptest::prelude::*;
use snapshot::format::{FORMAT_VERSION, Header, finished_name, writing_name};
use snapshot::{Directory, Meta, SnapshotError, Writer, identify, verify};
use vfs::{Fault, MemVfs, OperationKind, StdVfs, Vfs};

#[test]
fn a_file_says_what_was_written() {
    let disk = MemVfs::new(1);
    let directory = directory(&disk, "/snapshots");
    let blocks = vec![b"one".to_vec(), Vec::new(), vec![7; 300_000], vec![8; 1]];
    let found = write(&directory, 9, &blocks);
    let (read_meta, read_blocks) = read_all(&disk, &found.path).unwrap();
    assert_eq!((&read_meta, &read_blocks), (&found.meta, &blocks));
    assert_eq!(read_meta, meta(9));
    let report = verify(&disk, &found.path).unwrap();
    assert_eq!(report.id(), found.id());
    assert_eq!(identify(&disk, &found.path).unwrap(), found.id());
    assert_eq!(report.blocks, 4);
    assert_eq!(
        report.bytes,
        disk.contents(&found.path).unwrap().len() as u64
    );
}

#[test]
fn the_newest_good_file_is_found_and_older_ones_are_removed_on_demand() {
    let disk = MemVfs::new(1);
    let directory = directory(&disk, "/snapshots");
    assert!(choose(&directory).unwrap().found.is_none());
    write(&directory, 5, &[]);
    let found = write(&directory, 1_000, &blocks_of(1_000));
    write(&directory, 9, &[]);
    let newest = choose(&directory).unwrap();
    assert_eq!(newest.found, Some(found));
    assert!(newest.passed_over.is_empty());
    let indexes = |directory: &Directory| -> Vec<u64> {
        let files = directory.list().unwrap();
        files.into_iter().map(|(index, _, _)| index).collect()
    };
    assert_eq!(indexes(&directory), [1_000, 9, 5]);
    assert_eq!(directory.disk_bytes().unwrap(), disk.used_bytes());
    assert_eq!(remove_older_than(&directory, 9).unwrap().len(), 1);
    assert_eq!(indexes(&directory), [1_000, 9]);
    assert_eq!(remove_older_than(&directory, 2_000).unwrap().len(), 2);
    assert_eq!(remove_older_than(&directory, 2_000).unwrap().len(), 0);
}

#[test]
fn files_of_another_cluster_or_group_are_refused_by_name() {
    let disk = MemVfs::new(1);
    let directory = directory(&disk, "/snapshots");
    write(&directory, 5, &[]);
    for (cluster, group) in [(CLUSTER + 1, GROUP), (CLUSTER, GROUP + 1)] {
        let error = directory
            .choose::<Counting>((cluster, group), &mut |_, _| true)
            .unwrap_err();
        assert!(matches!(error, SnapshotError::OtherCluster { .. }));
        let path = directory.finished_path(5, 3);
        assert!(error.to_string().starts_with(&path.display().to_string()));
    }
}

#[test]
fn a_newer_version_is_refused_by_name_and_never_passed_over() {
    let disk = MemVfs::new(1);
    let directory = directory(&disk, "/snapshots");
    write(&directory, 5, &[]);
    let newer = write(&directory, 9, &blocks_of(9));
    let mut header = Header::of(&newer.meta);
    header.version = FORMAT_VERSION + 1;
    disk.overwrite(&newer.path, 0, &header.encode().0).unwrap();
    for result in [
        verify(&disk, &newer.path).map(|_| ()),
        choose(&directory).map(|_| ()),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(
            error,
            SnapshotError::NewerVersion {
                version: 2,
                known: 1,
                ..
            }
        ));
        let text = error.to_string();
        assert!(text.contains(&newer.path.display().to_string()), "{text}");
        assert!(text.contains("format version 2"), "{text}");
    }
    assert!(disk.exists(&newer.path).unwrap());
}

#[test]
fn a_writer_that_fails_or_is_dropped_leaves_nothing() {
    let disk = MemVfs::new(1);
    let directory = directory(&disk, "/snapshots");
    let mut writer = Writer::create(&directory, &meta(9)).unwrap();
    writer.block(b"a block").unwrap();
    drop(writer);
    let is_empty = || disk.list(directory.path()).unwrap().is_empty();
    assert!(is_empty());
    for kind in [
        OperationKind::Write,
        OperationKind::Sync,
        OperationKind::Rename,
    ] {
        disk.inject(kind, 1, Fault::Io);
        let error = try_write(&directory, &meta(9), &blocks_of(9)).unwrap_err();
        assert!(matches!(error, SnapshotError::Io { .. }), "{error}");
        assert!(is_empty(), "{kind:?}");
    }
    disk.set_capacity(Some(disk.used_bytes() + 300));
    let error = try_write(&directory, &meta(9), &blocks_of(9)).unwrap_err();
    assert!(error.is_no_space(), "{error}");
    assert!(
        error.to_string().ends_with("free space on its disk"),
        "{error}"
    );
    assert!(is_empty());
    disk.set_capacity(None);
    write(&directory, 9, &blocks_of(9));
}

#[test]
fn what_a_crashed_writer_left_is_replaced_or_removed() {
    let disk = MemVfs::new(1);
    let directory = directory(&disk, "/snapshots");
    let left = directory.path().join(writing_name(9, 3));
    disk.overwrite(&left, 0, b"what a crash left").unwrap();
    let found = write(&directory, 9, &blocks_of(9));
    assert_eq!(read_all(&disk, &found.path).unwrap().1, blocks_of(9));
    disk.overwrite(&left, 0, b"what a crash left").unwrap();
    assert_eq!(directory.remove_temporary().unwrap(), [left]);
    assert_eq!(directory.list().unwrap().len(), 1);
}

#[test]
fn too_long_a_head_is_refused() {
    let disk = MemVfs::new(1);
    let directory = directory(&disk, "/snapshots");
    let head = vec![0; snapshot::format::HEAD_BYTES_MAX + 1];
    let meta = Meta {
        head: head.into(),
        ..meta(9)
    };
    let error = Writer::create(&directory, &meta).err().unwrap();
    assert!(matches!(error, SnapshotError::TooLong { .. }));
}

#[test]
fn it_works_on_real_files() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("snapshots");
    let directory = Directory::open(Arc::new(StdVfs), &path).unwrap();
    let found = write(&directory, 9, &blocks_of(9));
    assert_eq!(found.path, path.join(finished_name(9, 3)));
    let newest = choose(&directory).unwrap();
    assert_eq!(newest.found, Some(found));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_blocks_are_read_as_they_were_written(
        head in proptest::collection::vec(any::<u8>(), 0..100),
        lengths in proptest::collection::vec(0..200_000_usize, 0..12),
    ) {
        let disk = MemVfs::new(1);
        let directory = directory(&disk, "/snapshots");
        let blocks: Vec<Vec<u8>> = lengths
            .iter()
            .map(|length| (0..*length).map(|byte| (byte % 251) as u8).collect())
            .collect();
        let meta = Meta { head: head.into(), ..meta(9) };
        let found = try_write(&directory, &meta, &blocks).unwrap();
        prop_assert_eq!(read_all(&disk, &found.path).unwrap(), (meta, blocks));
        let newest = choose(&directory).unwrap();
        prop_assert_eq!(newest.found, Some(found));
    }
}
