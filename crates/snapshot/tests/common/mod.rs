//! Files of a cluster 7, group 1.

#![allow(dead_code, reason = "each test file uses a part")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use snapshot::{
    Choice, Directory, Found, Load, Meta, Position, Reader, SnapshotError, Unloadable, Writer,
};
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

/// Any head and any blocks are a state: how many there were.
pub(crate) struct Counting(usize);

impl Load for Counting {
    type State = usize;

    fn begin(_: &Meta) -> Result<Self, Unloadable> {
        Ok(Counting(0))
    }

    fn block(&mut self, _: &[u8]) -> Result<(), Unloadable> {
        self.0 += 1;
        Ok(())
    }

    fn finish(self) -> Result<usize, Unloadable> {
        Ok(self.0)
    }
}

pub(crate) fn choose(directory: &Directory) -> Result<Choice<usize>, SnapshotError> {
    directory.choose::<Counting>((CLUSTER, GROUP), &mut |_, _| true)
}

pub(crate) fn remove_older_than(
    directory: &Directory,
    index: u64,
) -> Result<Vec<PathBuf>, SnapshotError> {
    directory.remove_replaced(Position { term: 3, index })
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
