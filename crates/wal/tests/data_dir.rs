//! The data directory: who may use it, and that it is left alone when it is refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vfs::{Crash, Fault, MemVfs, OperationKind, StdVfs, Vfs};
use wal::{DataDir, DataDirError, OpenError, Options};

const CLUSTER: u64 = 11;
const NODE: u64 = 3;

fn path() -> &'static Path {
    Path::new("/srv/quorate/3")
}

fn open(disk: &MemVfs) -> Result<DataDir, DataDirError> {
    DataDir::open(Arc::new(disk.clone()), path(), CLUSTER, NODE)
}

fn options() -> Options {
    Options {
        segment_bytes: 8192,
        ..Options::default()
    }
}

/// Every file below the directory and its bytes.
fn image(disk: &MemVfs) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut dirs = vec![path().to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for name in disk.list(&dir).unwrap_or_default() {
            let path = dir.join(name);
            match disk.contents(&path) {
                Ok(bytes) => files.push((path, bytes)),
                Err(_) => dirs.push(path),
            }
        }
    }
    files
}

#[test]
fn incarnation_rises_at_each_start_and_survives_the_power() {
    let disk = MemVfs::new(1);
    for incarnation in 1..=5 {
        let dir = open(&disk).unwrap();
        assert_eq!(dir.incarnation(), incarnation);
        assert!(disk.exists(&dir.wal_path()).unwrap());
        assert!(disk.exists(&dir.snapshots_path()).unwrap());
        drop(dir);
        disk.crash(Crash::LoseUnsynced);
    }
}

#[test]
fn a_second_process_is_refused_and_changes_nothing() {
    let disk = MemVfs::new(1);
    let first = open(&disk).unwrap();
    let before = image(&disk);
    assert!(matches!(open(&disk), Err(DataDirError::InUse { .. })));
    assert_eq!(image(&disk), before);
    drop(first);
    assert_eq!(open(&disk).unwrap().incarnation(), 2);
}

#[test]
fn a_second_process_is_refused_on_real_files() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a/b/data");
    let vfs: Arc<dyn Vfs> = Arc::new(StdVfs::new());
    let first = DataDir::open(vfs.clone(), &path, CLUSTER, NODE).unwrap();
    let second = DataDir::open(vfs.clone(), &path, CLUSTER, NODE);
    assert!(matches!(second, Err(DataDirError::InUse { .. })));
    drop(first);
    assert_eq!(
        DataDir::open(vfs, &path, CLUSTER, NODE)
            .unwrap()
            .incarnation(),
        2
    );
}

#[test]
fn another_cluster_or_node_is_refused_and_changes_nothing() {
    let disk = MemVfs::new(1);
    open(&disk).unwrap();
    let before = image(&disk);
    let operations = disk.operations();
    let other = |cluster, node| DataDir::open(Arc::new(disk.clone()), path(), cluster, node);
    let error = other(12, NODE).unwrap_err();
    assert!(matches!(
        error,
        DataDirError::OtherCluster {
            found: CLUSTER,
            expected: 12,
            ..
        }
    ));
    let error = other(CLUSTER, 4).unwrap_err();
    assert!(matches!(
        error,
        DataDirError::OtherNode {
            found: NODE,
            expected: 4,
            ..
        }
    ));
    assert!(error.to_string().contains("--node-id"), "{error}");
    assert_eq!((image(&disk), disk.operations()), (before, operations));
}

#[test]
fn a_newer_layout_is_refused_by_name() {
    let disk = MemVfs::new(1);
    open(&disk).unwrap();
    let identity = path().join("IDENTITY");
    let mut bytes = disk.contents(&identity).unwrap();
    bytes[8] = 2;
    let checksum = crc32c::crc32c(&bytes[..60]).to_le_bytes();
    bytes[60..].copy_from_slice(&checksum);
    disk.overwrite(&identity, 0, &bytes).unwrap();
    assert!(matches!(
        open(&disk),
        Err(DataDirError::NewerFormat {
            found: 2,
            known: 1,
            ..
        })
    ));
}

#[test]
fn a_damaged_identity_is_refused_at_each_byte_and_each_length() {
    let disk = MemVfs::new(1);
    open(&disk).unwrap();
    let identity = path().join("IDENTITY");
    let intact = disk.contents(&identity).unwrap();
    for byte in 0..intact.len() as u64 {
        disk.flip_bit(&identity, byte, 2).unwrap();
        assert!(
            matches!(open(&disk), Err(DataDirError::Damaged { .. })),
            "byte {byte}"
        );
        disk.flip_bit(&identity, byte, 2).unwrap();
    }
    disk.overwrite(&identity, intact.len() as u64, &[0])
        .unwrap();
    assert!(matches!(open(&disk), Err(DataDirError::Damaged { .. })));
    for len in (0..intact.len()).rev() {
        disk.truncate(&identity, len as u64).unwrap();
        assert!(
            matches!(open(&disk), Err(DataDirError::Damaged { .. })),
            "{len} bytes"
        );
    }
}

#[test]
fn a_log_without_an_identity_is_refused() {
    let disk = MemVfs::new(1);
    open(&disk).unwrap().open_wal(options()).unwrap();
    disk.remove(&path().join("IDENTITY")).unwrap();
    let before = image(&disk);
    assert!(matches!(
        open(&disk),
        Err(DataDirError::IdentityMissing { .. })
    ));
    assert_eq!(image(&disk), before);
}

#[test]
fn a_node_that_lost_its_log_does_not_come_back_under_its_id() {
    let disk = MemVfs::new(1);
    let mut dir = open(&disk).unwrap();
    let (log, recovery) = dir.open_wal(options()).unwrap();
    assert!(recovery.is_new);
    drop((log, dir));
    for name in disk.list(&path().join("wal")).unwrap() {
        disk.remove(&path().join("wal").join(name)).unwrap();
    }
    let error = open(&disk).unwrap().open_wal(options()).unwrap_err();
    assert!(matches!(error, OpenError::LogMissing { .. }));
    assert!(error.to_string().contains("--replace ID"), "{error}");
}

#[test]
fn a_crash_in_every_operation_of_the_first_start_is_recovered_from() {
    let disk = MemVfs::new(0);
    open(&disk).unwrap().open_wal(options()).unwrap();
    for number in 1..=disk.operations() {
        for (seed, crash) in [
            (0, Crash::Process),
            (0, Crash::LoseUnsynced),
            (1, Crash::Torn),
            (2, Crash::Torn),
        ] {
            let disk = MemVfs::new(number * 4 + seed);
            disk.halt_at_operation(number);
            let started = open(&disk).map(|mut dir| {
                let opened = dir.open_wal(options()).is_ok();
                (dir.incarnation(), opened)
            });
            assert!(started.as_ref().map_or(true, |(_, opened)| !opened));
            disk.crash(crash);
            let mut dir = open(&disk).unwrap();
            if let Ok((before, _)) = started {
                assert!(dir.incarnation() > before, "operation {number}");
            }
            dir.open_wal(options()).unwrap();
        }
    }
}

#[test]
fn a_disk_that_fails_is_an_error_and_the_next_start_succeeds() {
    for kind in [
        OperationKind::Create,
        OperationKind::Write,
        OperationKind::Sync,
        OperationKind::Rename,
        OperationKind::SyncDirectory,
    ] {
        let disk = MemVfs::new(1);
        open(&disk).unwrap();
        disk.inject(kind, 1, Fault::Io);
        assert!(
            matches!(open(&disk), Err(DataDirError::Io { .. })),
            "{kind:?}"
        );
        disk.crash(Crash::LoseUnsynced);
        assert!(open(&disk).unwrap().incarnation() >= 2);
    }
}
