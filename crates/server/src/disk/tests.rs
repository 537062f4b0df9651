use std::path::Path;

use bytes::Bytes;
use mio::{Poll, Token};
use vfs::MemVfs;
use wal::{Identity, Options};

use super::*;

const SEGMENT_BYTES: u64 = 128 << 10;
const ENTRY_BYTES: usize = 60 << 10;

fn open(vfs: &MemVfs) -> Log {
    let identity = Identity {
        cluster: 1,
        node: 1,
    };
    let options = Options {
        segment_bytes: SEGMENT_BYTES,
        ..Options::default()
    };
    let opened = Wal::open(Arc::new(vfs.clone()), Path::new("/wal"), identity, options);
    Log {
        wal: opened.expect("a log").0,
        dir: "/wal".into(),
        group: GroupId(1),
        scrub_bytes_per_second: 0,
    }
}

fn start(vfs: &MemVfs) -> (Poll, Disk) {
    let poll = Poll::new().expect("an event queue");
    let waker = Waker::new(poll.registry(), Token(0)).expect("a waker");
    let metrics = DiskMetrics::new();
    let disk = Disk::start(open(vfs), Arc::new(waker), OnFailure::Report, metrics);
    (poll, disk.expect("a thread"))
}

fn entry(index: u64) -> Record {
    Record::entry(1, 1, index, 0, 0, Bytes::from(vec![7; ENTRY_BYTES]))
}

fn write(id: u64, record: Record) -> Write {
    Write {
        id: WriteId(id),
        records: vec![record],
        sync: true,
    }
}

/// Waits until something that was done is what is looked for.
fn wait_for(disk: &mut Disk, is_it: impl Fn(&Completion) -> bool) {
    let mut done = Vec::new();
    while !done.iter().any(&is_it) {
        done.clear();
        disk.completions(&mut done);
        thread::yield_now();
    }
}

#[test]
fn a_start_on_a_full_disk_says_so_before_anything_else() {
    let vfs = MemVfs::new(1);
    drop(open(&vfs));
    vfs.set_capacity(Some(0));
    let (_poll, mut disk) = start(&vfs);
    let mut done = Vec::new();
    disk.completions(&mut done);
    assert!(matches!(done[..], [Completion::Space { is_low: true }]));
}

#[test]
fn votes_and_bases_are_written_on_a_full_disk_and_the_base_frees_it() {
    let vfs = MemVfs::new(1);
    vfs.set_capacity(Some(3 * SEGMENT_BYTES));
    // As much as fits, of what was under way when the disk ran full.
    let mut log = open(&vfs);
    let mut last = 0;
    while log.wal.append(&[entry(last + 1)]).is_ok() {
        last += 1;
    }
    log.wal.sync().expect("a good disk");
    drop(log);
    vfs.set_capacity(Some(vfs.used_bytes() + (24 << 10)));

    let (_poll, mut disk) = start(&vfs);
    wait_for(&mut disk, |done| {
        matches!(done, Completion::Space { is_low: true })
    });
    let vote = Record::state(1, Bytes::from(vec![1; 100]));
    let base = Record::base(1, 1, last, 0);
    for (id, record) in [(1, vote.clone()), (2, vote), (3, base)] {
        disk.submit(&mut vec![write(id, record)], &mut Vec::new());
        wait_for(
            &mut disk,
            |done| matches!(done, Completion::Persisted(write) if write.0 == id),
        );
    }
    wait_for(&mut disk, |done| {
        matches!(done, Completion::Space { is_low: false })
    });
    disk.submit(&mut vec![write(4, entry(last + 1))], &mut Vec::new());
    wait_for(&mut disk, |done| {
        matches!(done, Completion::Persisted(WriteId(4)))
    });
}
