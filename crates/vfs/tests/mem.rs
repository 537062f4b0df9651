//! The simulated disk: crashes, tears, faults, and that the same seed gives the same disk.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use proptest::prelude::*;
use vfs::{
    Crash, Fault, File, MemVfs, OperationKind, SECTOR_BYTES, Vfs, create_dir_durable, is_no_space,
};

const SECTOR: u64 = SECTOR_BYTES as u64;

fn path() -> &'static Path {
    Path::new("/file")
}

/// A durable file of four sectors of `a`.
fn with_file(seed: u64) -> (MemVfs, Box<dyn File>) {
    let disk = MemVfs::new(seed);
    let mut file = disk.create(path()).unwrap();
    file.write_all_at(0, &[b'a'; 4 * SECTOR_BYTES]).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    (disk, file)
}

#[test]
fn what_was_not_synced_is_lost() {
    let (disk, mut file) = with_file(1);
    file.write_all_at(10, b"new").unwrap();
    file.allocate(100_000).unwrap();
    disk.crash(Crash::LoseUnsynced);
    assert_eq!(disk.contents(path()).unwrap(), [b'a'; 4 * SECTOR_BYTES]);
}

#[test]
fn what_was_synced_stays() {
    let (disk, mut file) = with_file(1);
    file.write_all_at(10, b"new").unwrap();
    file.sync_data().unwrap();
    for crash in [Crash::LoseUnsynced, Crash::Torn, Crash::Process] {
        disk.crash(crash);
        assert_eq!(&disk.contents(path()).unwrap()[10..13], b"new");
    }
}

#[test]
fn the_death_of_a_process_loses_nothing() {
    let (disk, mut file) = with_file(1);
    file.write_all_at(10, b"new").unwrap();
    disk.create(Path::new("/other")).unwrap();
    disk.crash(Crash::Process);
    assert_eq!(&disk.contents(path()).unwrap()[10..13], b"new");
    assert!(disk.exists(Path::new("/other")).unwrap());
}

#[test]
fn what_a_dead_process_did_not_sync_goes_with_the_next_loss_of_power() {
    for seed in 0..20 {
        for (crash, is_torn) in [(Crash::LoseUnsynced, false), (Crash::Torn, true)] {
            let (disk, mut file) = with_file(seed);
            file.write_all_at(0, b"new").unwrap();
            disk.create(Path::new("/other")).unwrap();
            disk.crash(Crash::Process);
            assert_eq!(&disk.contents(path()).unwrap()[..3], b"new");
            disk.crash(crash);
            let found = disk.contents(path()).unwrap();
            let is_lost = &found[..3] == b"aaa";
            assert!(is_lost || is_torn && &found[..3] == b"new", "{found:?}");
            assert!(is_torn || !disk.exists(Path::new("/other")).unwrap());
        }
    }
}

#[test]
fn the_next_process_makes_durable_what_a_dead_one_wrote() {
    let (disk, mut file) = with_file(1);
    file.write_all_at(0, b"new").unwrap();
    disk.create(Path::new("/other")).unwrap();
    disk.crash(Crash::Process);
    disk.open(path()).unwrap().sync_data().unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk.crash(Crash::LoseUnsynced);
    assert_eq!(&disk.contents(path()).unwrap()[..3], b"new");
    assert!(disk.exists(Path::new("/other")).unwrap());
}

#[test]
fn a_failed_sync_is_still_forgotten_by_the_device_after_the_process_died() {
    let (disk, mut file) = with_file(1);
    file.write_all_at(0, b"new").unwrap();
    disk.inject(OperationKind::Sync, 1, Fault::Io);
    file.sync_data().unwrap_err();
    disk.crash(Crash::Process);
    assert_eq!(
        &disk.contents(path()).unwrap()[..3],
        b"new",
        "the kernel has it"
    );
    disk.open(path()).unwrap().sync_data().unwrap();
    disk.crash(Crash::LoseUnsynced);
    assert_eq!(
        &disk.contents(path()).unwrap()[..3],
        b"aaa",
        "its pages were clean"
    );
}

#[test]
fn a_directory_that_a_dead_process_made_is_made_durable_by_the_next() {
    let dir = Path::new("/a/b/c");
    for operation in 1..=6 {
        let disk = MemVfs::new(1);
        disk.halt_at_operation(operation);
        assert!(create_dir_durable(&disk, dir).is_err(), "{operation}");
        disk.crash(Crash::Process);
        create_dir_durable(&disk, dir).unwrap();
        disk.crash(Crash::LoseUnsynced);
        assert!(disk.exists(dir).unwrap(), "killed in operation {operation}");
    }
}

#[test]
fn handles_of_a_process_that_is_gone_are_dead() {
    let (disk, mut file) = with_file(1);
    let lock = disk.lock(Path::new("/LOCK")).unwrap();
    disk.crash(Crash::Process);
    file.write_at(0, b"x").unwrap_err();
    file.sync_data().unwrap_err();
    file.read_at(0, &mut [0]).unwrap_err();
    let again = disk.lock(Path::new("/LOCK")).unwrap();
    drop(lock);
    assert!(
        disk.lock(Path::new("/LOCK")).is_err(),
        "a dead lock releases nothing"
    );
    drop(again);
}

#[test]
fn torn_writes_keep_any_subset_of_sectors_and_nothing_finer() {
    let mut seen: BTreeSet<Vec<u8>> = BTreeSet::new();
    for seed in 0..400 {
        let (disk, mut file) = with_file(seed);
        file.write_all_at(0, &[b'b'; 3 * SECTOR_BYTES]).unwrap();
        disk.crash(Crash::Torn);
        let bytes = disk.contents(path()).unwrap();
        let sectors: Vec<u8> = bytes
            .chunks(SECTOR_BYTES)
            .map(|sector| {
                assert!(
                    sector.iter().all(|byte| *byte == sector[0]),
                    "a sector is whole"
                );
                sector[0]
            })
            .collect();
        assert_eq!(sectors[3], b'a');
        seen.insert(sectors[..3].to_vec());
    }
    assert_eq!(seen.len(), 8, "every subset occurs: {seen:?}");
}

#[test]
fn a_sector_written_twice_may_hold_the_state_in_between() {
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let (disk, mut file) = with_file(seed);
        file.write_all_at(SECTOR, b"one").unwrap();
        file.write_all_at(SECTOR, b"two").unwrap();
        disk.crash(Crash::Torn);
        seen.insert(disk.contents(path()).unwrap()[SECTOR_BYTES..SECTOR_BYTES + 3].to_vec());
    }
    assert_eq!(
        seen,
        BTreeSet::from([b"aaa".to_vec(), b"one".to_vec(), b"two".to_vec()])
    );
}

#[test]
fn names_are_durable_only_after_the_directory_was_synced() {
    let disk = MemVfs::new(1);
    disk.create_dir_all(Path::new("/a/b")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk.sync_dir(Path::new("/a")).unwrap();
    let (one, two) = (Path::new("/a/b/one"), Path::new("/a/b/two"));
    disk.create(one).unwrap().sync_data().unwrap();
    disk.crash(Crash::LoseUnsynced);
    assert!(!disk.exists(one).unwrap());

    disk.create(one).unwrap();
    disk.sync_dir(Path::new("/a/b")).unwrap();
    disk.rename(one, two).unwrap();
    disk.crash(Crash::LoseUnsynced);
    assert!(disk.exists(one).unwrap() && !disk.exists(two).unwrap());

    disk.remove(one).unwrap();
    disk.crash(Crash::LoseUnsynced);
    assert!(disk.exists(one).unwrap());
}

#[test]
fn a_directory_without_a_durable_name_takes_its_files_along() {
    let disk = MemVfs::new(1);
    disk.create_dir_all(Path::new("/a/b")).unwrap();
    disk.create(Path::new("/a/b/file")).unwrap();
    disk.sync_dir(Path::new("/a/b")).unwrap();
    disk.sync_dir(Path::new("/a")).unwrap();
    disk.crash(Crash::LoseUnsynced);
    assert!(!disk.exists(Path::new("/a")).unwrap());
    assert!(!disk.exists(Path::new("/a/b/file")).unwrap());
}

#[test]
fn a_rename_is_there_or_not_and_never_loses_the_file() {
    let mut seen = BTreeSet::new();
    for seed in 0..50 {
        let disk = MemVfs::new(seed);
        let (one, two) = (Path::new("/one"), Path::new("/two"));
        disk.overwrite(one, 0, b"1").unwrap();
        disk.overwrite(two, 0, b"2").unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        disk.rename(one, two).unwrap();
        disk.crash(Crash::Torn);
        seen.insert((disk.contents(one).ok(), disk.contents(two).unwrap()));
    }
    let before = (Some(b"1".to_vec()), b"2".to_vec());
    assert_eq!(seen, BTreeSet::from([before, (None, b"1".to_vec())]));
}

#[test]
fn the_power_fails_in_the_operation_that_was_chosen() {
    let (disk, mut file) = with_file(1);
    disk.halt_at_operation(disk.operations() + 2);
    file.write_all_at(0, b"1").unwrap();
    file.write_all_at(1, b"2").unwrap_err();
    assert_eq!(
        disk.halted_in(),
        Some((OperationKind::Write, path().to_path_buf()))
    );
    file.sync_data().unwrap_err();
    disk.list(Path::new("/")).unwrap_err();
    disk.exists(path()).unwrap_err();
    disk.crash(Crash::Process);
    assert_eq!(
        &disk.contents(path()).unwrap()[..3],
        b"12a",
        "it may have happened all the same"
    );
}

#[test]
fn a_sync_in_which_the_power_fails_has_synced_nothing() {
    let (disk, mut file) = with_file(1);
    file.write_all_at(0, b"new").unwrap();
    disk.halt_at_operation(disk.operations() + 1);
    file.sync_data().unwrap_err();
    disk.crash(Crash::LoseUnsynced);
    assert_eq!(&disk.contents(path()).unwrap()[..3], b"aaa");
}

#[test]
fn a_failed_sync_loses_the_writes_and_the_next_one_says_nothing() {
    let (disk, mut file) = with_file(1);
    file.write_all_at(0, b"new").unwrap();
    disk.inject(OperationKind::Sync, 1, Fault::Io);
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
    file.sync_data().unwrap();
    let mut seen = [0; 3];
    file.read_at(0, &mut seen).unwrap();
    assert_eq!(&seen, b"new", "readers go on seeing it");
    disk.crash(Crash::LoseUnsynced);
    assert_eq!(&disk.contents(path()).unwrap()[..3], b"aaa");
}

#[test]
fn faults_strike_the_nth_operation_of_their_kind() {
    let (disk, mut file) = with_file(1);
    disk.inject(OperationKind::Write, 2, Fault::Io);
    disk.inject(OperationKind::Write, 3, Fault::Short);
    assert_eq!(file.write_at(0, b"1234").unwrap(), 4);
    file.write_at(0, b"5678").unwrap_err();
    assert_eq!(file.write_at(0, b"9abc").unwrap(), 2);
    assert_eq!(&disk.contents(path()).unwrap()[..4], b"9a34");
    disk.inject(OperationKind::Create, 1, Fault::NoSpace);
    assert!(is_no_space(&disk.create(Path::new("/x")).err().unwrap()));
    disk.create(Path::new("/x")).unwrap();
}

#[test]
fn a_full_disk_takes_what_fits_and_then_nothing() {
    let disk = MemVfs::new(1);
    disk.set_capacity(Some(1000));
    let mut file = disk.create(path()).unwrap();
    assert!(is_no_space(&file.allocate(1001).unwrap_err()));
    assert_eq!(file.write_at(0, &[1; 1500]).unwrap(), 1000);
    let error = file.write_all_at(1000, &[1]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    file.write_all_at(0, &[2; 1000])
        .expect("space that the file has already");
    assert_eq!(disk.free_bytes(Path::new("/")).unwrap(), 0);
    disk.remove(path()).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    assert_eq!(disk.free_bytes(Path::new("/")).unwrap(), 1000);
}

#[test]
fn damage_is_durable_and_exact() {
    let (disk, _) = with_file(1);
    disk.flip_bit(path(), 700, 1).unwrap();
    disk.overwrite(path(), 3, b"xy").unwrap();
    disk.truncate(path(), 1000).unwrap();
    disk.crash(Crash::LoseUnsynced);
    let bytes = disk.contents(path()).unwrap();
    assert_eq!(
        (bytes.len(), bytes[700], &bytes[2..6]),
        (1000, b'a' ^ 2, &b"axya"[..])
    );
    disk.flip_bit(path(), 1000, 0).unwrap_err();
}

#[test]
fn a_disk_that_lies_about_syncs() {
    let (disk, mut file) = with_file(1);
    disk.set_sync_does_nothing(true);
    file.write_all_at(0, b"new").unwrap();
    file.sync_data().unwrap();
    disk.crash(Crash::LoseUnsynced);
    assert_eq!(&disk.contents(path()).unwrap()[..3], b"aaa");
}

#[derive(Clone, Debug)]
enum Step {
    Write { offset: u16, len: u16, byte: u8 },
    Sync,
    Crash,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_sector_after_a_crash_is_one_that_was_there(
        steps in prop::collection::vec(prop_oneof![
            4 => (0..2048_u16, 1..1500_u16, any::<u8>())
                .prop_map(|(offset, len, byte)| Step::Write { offset, len, byte }),
            1 => Just(Step::Sync),
            1 => Just(Step::Crash),
        ], 1..40),
        seed: u64,
    ) {
        let run = || {
            let disk = MemVfs::new(seed);
            let mut file = disk.create(path()).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            let mut live = vec![0_u8; 4096];
            let mut states: Vec<Vec<u8>> = vec![live.clone()];
            for step in &steps {
                match step {
                    Step::Write { offset, len, byte } => {
                        let (from, to) = (usize::from(*offset), usize::from(*offset) + usize::from(*len));
                        file.write_all_at(u64::from(*offset), &vec![*byte; to - from]).unwrap();
                        live[from..to].fill(*byte);
                        states.push(live.clone());
                    }
                    Step::Sync => {
                        file.sync_data().unwrap();
                        states = vec![live.clone()];
                    }
                    Step::Crash => {
                        disk.crash(Crash::Torn);
                        let mut found = disk.contents(path()).unwrap();
                        found.resize(4096, 0);
                        for (number, sector) in found.chunks(SECTOR_BYTES).enumerate() {
                            let from = number * SECTOR_BYTES;
                            let is_known =
                                states.iter().any(|state| &state[from..from + SECTOR_BYTES] == sector);
                            assert!(is_known, "sector {number}");
                        }
                        live = found;
                        states = vec![live.clone()];
                        file = disk.open(path()).unwrap();
                    }
                }
            }
            disk.crash(Crash::Torn);
            disk.contents(path()).unwrap()
        };
        prop_assert_eq!(run(), run(), "the same seed gives the same disk");
    }
}
