//! The power fails in each operation: afterwards there is the old snapshot or the new one, whole.

mod common;

use common::{
    blocks_of, choose, meta, read_all, remove_older_than, try_directory, try_write, write,
};
use snapshot::{Directory, FileId, ReceiveError, Receiver, SnapshotError, Source};
use vfs::{Crash, MemVfs, Vfs};

const CRASHES: [Crash; 3] = [Crash::Process, Crash::LoseUnsynced, Crash::Torn];

/// How far a script came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Progress {
    Begun,
    /// The new snapshot is durable: `finish` returned.
    Durable,
    /// The old one was removed.
    Removed,
}

/// Runs a script whose power fails in each of its operations, in each way, and judges what is left.
/// `prepare` makes the disk; the disk after the crash must then hold snapshot 5 or 9, never half of one.
fn crash_everywhere(prepare: impl Fn() -> MemVfs, script: impl Fn(&MemVfs, &mut Progress)) {
    let mut operation = 0;
    let mut seed = 0;
    loop {
        operation += 1;
        let mut struck = false;
        for crash in CRASHES {
            // What a torn crash keeps is drawn anew from what the disk drew before.
            for _ in 0..if crash == Crash::Torn { 4 } else { 1 } {
                seed += 1;
                let disk = prepare();
                for _ in 0..seed % 4 {
                    disk.crash(Crash::Torn);
                }
                let mut progress = Progress::Begun;
                disk.halt_at_operation(disk.operations() + operation);
                script(&disk, &mut progress);
                struck = disk.halted_in().is_some();
                disk.crash(crash);
                judge(
                    &disk,
                    progress,
                    &format!("operation {operation}, {crash:?}"),
                );
            }
        }
        if !struck {
            assert!(operation > 5, "the script had {operation} operations");
            return;
        }
    }
}

fn judge(disk: &MemVfs, progress: Progress, context: &str) {
    let directory = try_directory(disk, "/snapshots").expect("the power is back");
    directory.remove_temporary().expect("the power is back");
    let newest = choose(&directory).expect("readable");
    assert!(
        newest.passed_over.is_empty(),
        "{context}: {:?}",
        newest.passed_over
    );
    let found = newest
        .found
        .unwrap_or_else(|| panic!("{context}: no snapshot"));
    let index = found.meta.index;
    assert!(
        index == 9 || (index == 5 && progress < Progress::Durable),
        "{context}: {index}"
    );
    let (read_meta, blocks) = read_all(disk, &found.path).expect("it was found good");
    assert_eq!(
        (read_meta, blocks),
        (meta(index), blocks_of(index)),
        "{context}"
    );
    if progress == Progress::Removed {
        let count = directory.list().expect("readable").len();
        assert_eq!(count, 1, "{context}");
    }
    // Whoever found it builds on it: it does not go with the next loss of power.
    disk.crash(Crash::LoseUnsynced);
    let directory = try_directory(disk, "/snapshots").expect("the power is back");
    let again = choose(&directory).expect("readable");
    let again = again.found.map(|found| found.meta.index);
    assert_eq!(again, Some(index), "{context}, and the power failed");
}

#[test]
fn a_snapshot_that_a_dead_process_has_renamed_stays_when_the_power_fails() {
    let disk = with_an_old_snapshot();
    let directory = common::directory(&disk, "/snapshots");
    // The last operation of writing a snapshot is the sync of the directory.
    let before = disk.operations();
    write(&directory, 9, &blocks_of(9));
    let operations = disk.operations() - before;
    let disk = with_an_old_snapshot();
    let directory = common::directory(&disk, "/snapshots");
    disk.halt_at_operation(disk.operations() + operations);
    assert!(try_write(&directory, &meta(9), &blocks_of(9)).is_err());
    let (kind, _) = disk.halted_in().expect("in its last operation");
    assert_eq!(kind, vfs::OperationKind::SyncDirectory);
    disk.crash(Crash::Process);
    for crash in [Crash::LoseUnsynced, Crash::Process] {
        let directory = try_directory(&disk, "/snapshots").expect("the power is back");
        let newest = choose(&directory).expect("readable");
        let index = newest.found.map(|found| found.meta.index);
        assert_eq!(index, Some(9), "before {crash:?}");
        disk.crash(crash);
    }
}

fn with_an_old_snapshot() -> MemVfs {
    let disk = MemVfs::new(1);
    let directory = common::directory(&disk, "/snapshots");
    write(&directory, 5, &blocks_of(5));
    disk
}

fn remove_the_old_one(directory: &Directory, progress: &mut Progress) -> Result<(), SnapshotError> {
    *progress = Progress::Durable;
    remove_older_than(directory, 9)?;
    *progress = Progress::Removed;
    Ok(())
}

#[test]
fn a_crash_in_each_operation_of_writing_leaves_the_old_snapshot_or_the_new() {
    crash_everywhere(with_an_old_snapshot, |disk, progress| {
        let mut script = || -> Result<(), SnapshotError> {
            let directory = try_directory(disk, "/snapshots")?;
            try_write(&directory, &meta(9), &blocks_of(9))?;
            remove_the_old_one(&directory, progress)
        };
        let _ = script();
    });
}

#[test]
fn a_crash_in_each_operation_of_receiving_leaves_the_old_snapshot_or_the_new() {
    let prepare = || {
        let disk = with_an_old_snapshot();
        write(&common::directory(&disk, "/sender"), 9, &blocks_of(9));
        disk
    };
    crash_everywhere(prepare, |disk, progress| {
        let mut script = || -> Result<(), ReceiveError> {
            let sender = try_directory(disk, "/sender")?;
            let sent = choose(&sender)?.found.expect("prepared");
            let source = Source::open(disk, &sent)?;
            let directory = try_directory(disk, "/snapshots")?;
            receive(&directory, &source, source.id())?;
            Ok(remove_the_old_one(&directory, progress)?)
        };
        let _ = script();
    });
}

#[test]
fn a_reception_goes_on_after_each_crash() {
    let disk = MemVfs::new(3);
    let sender = common::directory(&disk, "/sender");
    let sent = write(&sender, 9, &blocks_of(9));
    let mut operation = 0;
    loop {
        operation += 1;
        let mut finished = 0;
        for crash in CRASHES {
            let disk = disk.copy();
            let source = Source::open(&disk, &sent).expect("readable");
            let directory = common::directory(&disk, "/snapshots");
            disk.halt_at_operation(disk.operations() + operation);
            finished += usize::from(receive(&directory, &source, source.id()).is_ok());
            disk.crash(crash);
            let source = Source::open(&disk, &sent).expect("readable");
            let directory = common::directory(&disk, "/snapshots");
            receive(&directory, &source, source.id())
                .unwrap_or_else(|error| panic!("operation {operation}, {crash:?}: {error}"));
            let newest = choose(&directory).expect("readable");
            assert_eq!(newest.found.map(|found| found.id()), Some(sent.id()));
        }
        if finished == CRASHES.len() {
            return;
        }
    }
}

#[test]
fn a_crash_while_a_damaged_file_is_set_aside_leaves_it_under_one_of_the_names() {
    for operation in 1..=3 {
        for crash in CRASHES {
            let disk = with_an_old_snapshot();
            let directory = common::directory(&disk, "/snapshots");
            let damaged = write(&directory, 9, &blocks_of(9));
            disk.flip_bit(&damaged.path, 100, 0).expect("inside");
            disk.halt_at_operation(disk.operations() + operation);
            let choice = choose(&directory).expect("readable");
            let _ = choice.settle(&directory, 0);
            disk.crash(crash);
            let directory = common::directory(&disk, "/snapshots");
            let newest = choose(&directory).expect("readable");
            newest.settle(&directory, 0).expect("the power is back");
            assert_eq!(newest.found.map(|found| found.meta.index), Some(5));
            let names = disk.list(directory.path()).expect("readable");
            let set_aside = names
                .iter()
                .filter(|name| name.to_string_lossy().ends_with(".snapshot.damaged"));
            assert_eq!((names.len(), set_aside.count()), (2, 1));
        }
    }
}

/// Receives a file in pieces of 100 bytes.
fn receive(directory: &Directory, source: &Source, id: FileId) -> Result<(), ReceiveError> {
    let (mut receiver, mut offset) = Receiver::begin(directory, id)?;
    loop {
        let chunk = source.read(offset, 100)?;
        if chunk.is_empty() {
            break;
        }
        receiver.chunk(offset, &chunk)?;
        offset += chunk.len() as u64;
    }
    receiver.finish().map(|_| ())
}
