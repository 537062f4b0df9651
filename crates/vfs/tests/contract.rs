//! What every disk promises, for all three of them.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vfs::{LossyVfs, MemVfs, StdVfs, SyncMode, Vfs, create_dir_durable};

/// Runs a check on every disk, in a directory of its own.
fn on_every_disk(check: impl Fn(&dyn Vfs, &Path)) {
    let memory = MemVfs::new(1);
    create_dir_durable(&memory, Path::new("/a/b")).unwrap();
    check(&memory, Path::new("/a/b"));

    let root = tempfile::tempdir().unwrap();
    check(&StdVfs::new(), root.path());

    for mode in [SyncMode::Real, SyncMode::Nothing] {
        let root = tempfile::tempdir().unwrap();
        check(&LossyVfs::new(Arc::new(StdVfs::new()), mode), root.path());
    }
}

fn read_all(vfs: &dyn Vfs, path: &Path) -> Vec<u8> {
    let file = vfs.open_read(path).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize + 10];
    let read = file.read_full_at(0, &mut bytes).unwrap();
    bytes.truncate(read);
    bytes
}

#[test]
fn what_is_written_is_read() {
    on_every_disk(|vfs, dir| {
        let path = dir.join("file");
        let mut file = vfs.create(&path).unwrap();
        assert!(file.is_empty().unwrap());
        file.write_all_at(3, b"defg").unwrap();
        file.write_all_at(0, b"abc").unwrap();
        assert_eq!(read_all(vfs, &path), b"abcdefg");
        file.sync_data().unwrap();
        file.write_all_at(1, b"B").unwrap();
        let mut buffer = [0; 3];
        assert_eq!(file.read_at(0, &mut buffer).unwrap(), 3);
        assert_eq!(&buffer, b"aBc");
        assert_eq!(file.read_at(7, &mut buffer).unwrap(), 0);
        assert_eq!(file.read_at(u64::from(u32::MAX), &mut buffer).unwrap(), 0);
        assert_eq!(file.read_full_at(5, &mut buffer).unwrap(), 2);
        assert_eq!(file.len().unwrap(), 7);
    });
}

#[test]
fn vectored_writes_are_one_after_the_other() {
    on_every_disk(|vfs, dir| {
        let path = dir.join("file");
        let mut file = vfs.create(&path).unwrap();
        let parts: Vec<Vec<u8>> = (0..3000_u32).map(|n| n.to_le_bytes().to_vec()).collect();
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        slices.insert(7, IoSlice::new(&[]));
        file.write_all_vectored_at(5, &mut slices).unwrap();
        assert_eq!(read_all(vfs, &path)[5..], parts.concat());
        file.write_all_vectored_at(0, &mut []).unwrap();
    });
}

#[test]
fn allocated_space_is_zeros_and_keeps_what_was_there() {
    on_every_disk(|vfs, dir| {
        let path = dir.join("file");
        let mut file = vfs.create(&path).unwrap();
        file.write_all_at(0, b"abc").unwrap();
        file.sync_data().unwrap();
        file.allocate(5000).unwrap();
        file.allocate(100).unwrap();
        assert_eq!(file.len().unwrap(), 5000);
        let bytes = read_all(vfs, &path);
        assert_eq!(&bytes[..3], b"abc");
        assert!(bytes[3..].iter().all(|byte| *byte == 0));
    });
}

#[test]
fn names_are_created_once_renamed_over_and_removed() {
    on_every_disk(|vfs, dir| {
        let (one, two) = (dir.join("one"), dir.join("two"));
        vfs.create(&one).unwrap().write_all_at(0, b"1").unwrap();
        let error = vfs.create(&one).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        vfs.create(&two).unwrap().write_all_at(0, b"2").unwrap();
        assert_eq!(vfs.list(dir).unwrap(), ["one", "two"]);
        vfs.rename(&one, &two).unwrap();
        vfs.sync_dir(dir).unwrap();
        assert_eq!(vfs.list(dir).unwrap(), ["two"]);
        assert_eq!(read_all(vfs, &two), b"1");
        assert!(!vfs.exists(&one).unwrap());
        assert!(vfs.exists(dir).unwrap());
        assert_eq!(
            vfs.open(&one).err().unwrap().kind(),
            io::ErrorKind::NotFound
        );
        vfs.remove(&two).unwrap();
        assert_eq!(
            vfs.remove(&two).err().unwrap().kind(),
            io::ErrorKind::NotFound
        );
        assert!(vfs.list(dir).unwrap().is_empty());
        vfs.create(&two).unwrap();
        assert_eq!(
            read_all(vfs, &two),
            b"",
            "a new file has nothing of the old one"
        );
    });
}

#[test]
fn a_file_opened_for_reading_refuses_writes() {
    on_every_disk(|vfs, dir| {
        let path = dir.join("file");
        vfs.create(&path).unwrap().write_all_at(0, b"abc").unwrap();
        vfs.open_read(&path).unwrap().write_at(0, b"x").unwrap_err();
        assert_eq!(read_all(vfs, &path), b"abc");
    });
}

#[test]
fn a_lock_is_exclusive_and_ends_with_its_holder() {
    on_every_disk(|vfs, dir| {
        let path = dir.join("LOCK");
        let lock = vfs.lock(&path).unwrap();
        assert_eq!(
            vfs.lock(&path).err().unwrap().kind(),
            io::ErrorKind::WouldBlock
        );
        drop(lock);
        drop(vfs.lock(&path).unwrap());
        assert!(vfs.exists(&path).unwrap());
    });
}

#[test]
fn directories_are_made_durable_up_to_the_first_that_exists() {
    on_every_disk(|vfs, dir| {
        let deep: PathBuf = dir.join("x/y/z");
        create_dir_durable(vfs, &deep).unwrap();
        create_dir_durable(vfs, &deep).unwrap();
        vfs.create(&deep.join("file")).unwrap();
        assert_eq!(vfs.list(&deep).unwrap(), ["file"]);
        assert!(vfs.free_bytes(&deep).unwrap() > 0);
    });
}

#[test]
fn unsynced_writes_die_with_the_process_that_holds_them() {
    // Dropping a `LossyVfs` is what a kill does to it: its memory is gone.
    for (mode, survives) in [(SyncMode::Real, true), (SyncMode::Nothing, false)] {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        let process = LossyVfs::new(Arc::new(StdVfs::new()), mode);
        let mut file = process.create(&path).unwrap();
        file.allocate(16).unwrap();
        file.write_all_at(0, b"synced").unwrap();
        file.sync_data().unwrap();
        file.write_all_at(6, b" lost").unwrap();
        assert!(read_all(&process, &path).starts_with(b"synced lost"));
        drop((file, process));
        let bytes = read_all(&StdVfs::new(), &path);
        let expected: &[u8] = if survives {
            b"synced\0"
        } else {
            b"\0\0\0\0\0\0\0"
        };
        assert!(bytes.starts_with(expected), "{mode:?}: {bytes:?}");
    }
}

#[test]
fn unsynced_writes_follow_a_renamed_file() {
    let root = tempfile::tempdir().unwrap();
    let (one, two) = (root.path().join("one"), root.path().join("two"));
    let process = LossyVfs::new(Arc::new(StdVfs::new()), SyncMode::Real);
    let mut file = process.create(&one).unwrap();
    file.write_all_at(0, b"abc").unwrap();
    process.rename(&one, &two).unwrap();
    assert_eq!(read_all(&process, &two), b"abc");
    assert_eq!(read_all(&StdVfs::new(), &two), b"");
    file.sync_data().unwrap();
    assert_eq!(read_all(&StdVfs::new(), &two), b"abc");
}
