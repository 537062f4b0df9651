//! What the tests share: a small log on a simulated disk.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use vfs::MemVfs;
use wal::{Identity, OpenError, Options, Record, Recovery, Wal, Why};

pub(crate) const IDENTITY: Identity = Identity {
    cluster: 0xc1a5_7e12,
    node: 3,
};
pub(crate) const GROUP: u64 = 7;
pub(crate) const SEGMENT_BYTES: u64 = 8192;

pub(crate) fn dir() -> &'static Path {
    Path::new("/data/wal")
}

pub(crate) fn options() -> Options {
    Options {
        segment_bytes: SEGMENT_BYTES,
        ..Options::default()
    }
}

pub(crate) fn open(disk: &MemVfs) -> Result<(Wal, Recovery), OpenError> {
    Wal::open(Arc::new(disk.clone()), dir(), IDENTITY, options())
}

pub(crate) fn segment_path(segment: u64) -> PathBuf {
    dir().join(wal::format::segment_name(segment))
}

/// An entry of term 1 whose body has no zeros and tells its index.
pub(crate) fn entry(index: u64, body_bytes: usize) -> Record {
    entry_of(1, index, body_bytes)
}

pub(crate) fn entry_of(term: u64, index: u64, body_bytes: usize) -> Record {
    let body: Vec<u8> = (0..body_bytes)
        .map(|at| 1 + ((index as usize + at) % 250) as u8)
        .collect();
    Record::entry(GROUP, term, index, 2, 1000 + index, Bytes::from(body))
}

/// A log with entries `1..=last` of `body_bytes`, one sync each. Returns where each record begins.
pub(crate) fn written(disk: &MemVfs, last: u64, body_bytes: usize) -> Vec<(u64, u64)> {
    let (mut log, _) = open(disk).unwrap();
    let mut places = Vec::new();
    for index in 1..=last {
        log.append(&[entry(index, body_bytes)]).unwrap();
        log.sync().unwrap();
        let (segment, end) = log.position();
        places.push((segment, end - wal::format::record_bytes(body_bytes as u64)));
    }
    places
}

/// Opens a log that must be refused as damaged, and returns segment, offset and reason.
pub(crate) fn refused(disk: &MemVfs) -> (u64, u64, Why) {
    let before = image(disk);
    let damage = match open(disk) {
        Err(OpenError::Damaged { damage, .. }) => damage,
        other => panic!("not refused as damaged: {other:?}"),
    };
    assert_eq!(image(disk), before, "a refused log is not touched");
    (damage.segment, damage.offset, damage.why)
}

/// Every file of the log and its bytes.
pub(crate) fn image(disk: &MemVfs) -> Vec<(PathBuf, Vec<u8>)> {
    let names = vfs::Vfs::list(disk, dir()).unwrap();
    let paths = names.into_iter().map(|name| dir().join(name));
    paths
        .map(|path| (path.clone(), disk.contents(&path).unwrap()))
        .collect()
}

/// Writes an image back, on a disk that has none of it.
pub(crate) fn restore(disk: &MemVfs, image: &[(PathBuf, Vec<u8>)]) {
    vfs::create_dir_durable(disk, dir()).unwrap();
    for (path, bytes) in image {
        disk.overwrite(path, 0, bytes).unwrap();
    }
}

/// The last index of the test group after a recovery.
pub(crate) fn last_index(recovery: &Recovery) -> u64 {
    recovery.groups.get(&GROUP).map_or(0, |group| group.last.1)
}

/// Reads everything the log has of the test group and checks it against [`entry`].
pub(crate) fn check_entries(log: &Wal, last: u64, body_bytes: usize) {
    let records = log.read(GROUP, 1, u64::MAX, usize::MAX).unwrap();
    assert_eq!(records.len() as u64, last);
    for (index, record) in (1..=last).zip(records) {
        assert_eq!(record, entry(index, body_bytes));
    }
}
