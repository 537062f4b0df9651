//! What a node remembers of the others: nothing is forgotten, nothing is believed that is damaged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vfs::{Crash, Fault, MemVfs, OperationKind, Vfs};
use wal::{DataDir, DataDirError, KnownPeers, PeerRun};

const CLUSTER: u64 = 11;
const NODE: u64 = 3;

fn path() -> &'static Path {
    Path::new("/srv/quorate/3")
}

fn peers_path() -> PathBuf {
    path().join("PEERS")
}

fn open(disk: &MemVfs) -> Result<DataDir, DataDirError> {
    DataDir::open(Arc::new(disk.clone()), path(), CLUSTER, NODE)
}

fn known(disk: &MemVfs) -> KnownPeers {
    let mut dir = open(disk).unwrap();
    let known = dir.take_known_peers().unwrap();
    assert!(dir.take_known_peers().is_none(), "there is one memory");
    known
}

fn run(node: u64, incarnation: u64) -> PeerRun {
    PeerRun {
        node,
        incarnation,
        process: incarnation * 1000 + node,
        directory: node * 77,
    }
}

#[test]
fn runs_are_remembered_after_a_loss_of_power() {
    let disk = MemVfs::new(1);
    assert_eq!(known(&disk).run(1), None);
    for incarnation in 1..=5 {
        for node in [9, 1, u64::MAX / 1000] {
            let mut known = known(&disk);
            known.record(run(node, incarnation)).unwrap();
            drop(known);
            disk.crash(Crash::LoseUnsynced);
        }
        let known = known(&disk);
        assert_eq!(known.run(1), Some(run(1, incarnation)));
        assert_eq!(known.run(9), Some(run(9, incarnation)));
        assert_eq!(known.run(2), None);
    }
}

#[test]
fn a_run_that_was_not_written_is_not_remembered_and_may_be_tried_again() {
    for fault in [Fault::Io, Fault::NoSpace] {
        for kind in [
            OperationKind::Create,
            OperationKind::Write,
            OperationKind::Sync,
            OperationKind::Rename,
            OperationKind::SyncDirectory,
        ] {
            let disk = MemVfs::new(1);
            let mut memory = known(&disk);
            memory.record(run(1, 4)).unwrap();
            disk.inject(kind, 1, fault);
            let error = memory.record(run(1, 5)).unwrap_err();
            let has_advice = error.to_string().contains("free space");
            assert_eq!(has_advice, fault == Fault::NoSpace, "{error}");
            assert_eq!(memory.run(1), Some(run(1, 4)), "{kind:?} {fault:?}");
            memory.record(run(1, 5)).unwrap();
            drop(memory);
            disk.crash(Crash::LoseUnsynced);
            assert_eq!(known(&disk).run(1), Some(run(1, 5)), "{kind:?} {fault:?}");
        }
    }
}

#[test]
fn damage_is_refused_by_name_at_each_byte_and_each_length_and_changes_nothing() {
    let disk = MemVfs::new(1);
    let mut memory = known(&disk);
    memory.record(run(1, 4)).unwrap();
    memory.record(run(2, 6)).unwrap();
    drop(memory);
    let intact = disk.contents(&peers_path()).unwrap();
    let identity = disk.contents(&path().join("IDENTITY")).unwrap();
    let is_refused = |what: &str| {
        let error = open(&disk).expect_err(what);
        assert!(
            matches!(&error, DataDirError::PeersDamaged { path } if *path == peers_path()),
            "{what}: {error}"
        );
        assert!(error.to_string().contains("PEERS: is damaged"), "{error}");
    };
    for byte in 0..intact.len() as u64 {
        disk.flip_bit(&peers_path(), byte, 5).unwrap();
        is_refused(&format!("byte {byte}"));
        disk.flip_bit(&peers_path(), byte, 5).unwrap();
    }
    for len in 0..intact.len() {
        replace(&disk, &intact[..len]);
        is_refused(&format!("torn at {len}"));
    }
    replace(&disk, &[&intact[..], &[0]].concat());
    is_refused("too long");
    assert_eq!(disk.contents(&path().join("IDENTITY")).unwrap(), identity);
    replace(&disk, &intact);
    assert_eq!(known(&disk).run(2), Some(run(2, 6)));
}

#[test]
fn the_memory_of_another_node_and_a_newer_version_are_refused() {
    let disk = MemVfs::new(1);
    known(&disk).record(run(1, 4)).unwrap();
    let intact = disk.contents(&peers_path()).unwrap();
    let changed = |at: usize| {
        let mut bytes = intact.clone();
        bytes[at] += 1;
        let end = bytes.len() - 4;
        let checksum = crc32c::crc32c(&bytes[..end]).to_le_bytes();
        bytes[end..].copy_from_slice(&checksum);
        replace(&disk, &bytes);
        open(&disk).unwrap_err()
    };
    assert!(matches!(
        changed(8),
        DataDirError::NewerFormat {
            found: 2,
            known: 1,
            ..
        }
    ));
    for (at, what) in [(12, "count"), (16, "cluster"), (24, "node")] {
        let error = changed(at);
        assert!(
            matches!(error, DataDirError::PeersDamaged { .. }),
            "{what}: {error}"
        );
    }
}

#[test]
fn a_directory_has_one_id_for_ever_and_a_new_one_another() {
    let disk = MemVfs::new(1);
    assert_eq!(open(&disk).unwrap().directory_id(5).unwrap(), 5);
    disk.crash(Crash::LoseUnsynced);
    assert_eq!(open(&disk).unwrap().directory_id(6).unwrap(), 5);
    let disk = MemVfs::new(1);
    assert_eq!(open(&disk).unwrap().directory_id(0).unwrap(), 1);
}

#[test]
fn an_outdated_directory_is_never_used_again() {
    let disk = MemVfs::new(1);
    open(&disk).unwrap().set_outdated().unwrap();
    disk.crash(Crash::LoseUnsynced);
    for _ in 0..3 {
        let error = open(&disk).unwrap_err();
        assert!(matches!(error, DataDirError::Outdated { .. }), "{error}");
    }
    let identity = wal::data_dir::read_identity(&disk, path()).unwrap();
    assert_eq!(identity.map(|identity| identity.incarnation), Some(1));
}

fn replace(disk: &MemVfs, bytes: &[u8]) {
    disk.remove(&peers_path()).unwrap();
    let mut file = disk.create(&peers_path()).unwrap();
    file.write_all_at(0, bytes).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(path()).unwrap();
}
