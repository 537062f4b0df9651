//! Files of a cluster 7, group 1.

#![allow(dead_code, reason = "each test file uses a part")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use snapshot::{Directory, Found, Meta, Reader, SnapshotError, Writer};
use vfs::{MemVfs, Vfs};

pub(crate) const CLUSTER: u64 = 7;
pub(crate) const GROUP: u64 = 1;

pub(crate) fn meta(index: u64) -> Meta {
    Meta {
        cluster: CLUSTER,
        group: GROUP,
        term: 3,
        index,
        time_ms: 1_000,
        head: Bytes::from_static(b"the head"),
    }
}

/// A few blocks that differ by index, one of them empty.
pub(crate) fn blocks_of(index: u64) -> Vec<Vec<u8>> {
    vec![
        format!("block of {index}").into_bytes(),
        Vec::new(),
        vec![index as u8; 700],
    ]
}

pub(crate) fn directory(disk: &MemVfs, path: &str) -> Directory {
    try_directory(disk, path).expect("the disk is well")
}

pub(crate) fn try_directory(disk: &MemVfs, path: &str) -> Result<Directory, SnapshotError> {
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    Directory::open(vfs, Path::new(path))
}

pub(crate) fn write(directory: &Directory, index: u64, blocks: &[Vec<u8>]) -> Found {
    try_write(directory, &meta(index), blocks).expect("the disk is well")
}

pub(crate) fn try_write(
    directory: &Directory,
    meta: &Meta,
    blocks: &[Vec<u8>],
) -> Result<Found, SnapshotError> {
    let mut writer = Writer::create(directory, meta)?;
    for block in blocks {
        writer.block(block)?;
    }
    writer.finish()
}

/// All that a file says.
pub(crate) fn read_all(vfs: &dyn Vfs, path: &Path) -> Result<(Meta, Vec<Vec<u8>>), SnapshotError> {
    let (meta, mut reader) = Reader::open(vfs, path)?;
    let mut blocks = Vec::new();
    while let Some(block) = reader.next_block()? {
        blocks.push(block);
    }
    Ok((meta, blocks))
}
