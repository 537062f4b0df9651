//! Writing a snapshot.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vfs::{File, Vfs};

use crate::error::failed;
use crate::format::{
    BLOCK_BYTES_MAX, End, HEAD_BYTES_MAX, Header, RecordHeader, RecordKind, finished_name,
    writing_name,
};
use crate::{Directory, Found, Meta, SnapshotError};

/// The bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 256 << 10;

/// The bytes that are written before they are synced. One sync at the end of a large file would make
/// the kernel write gigabytes at once, and the log's own syncs wait for that.
const SYNC_BYTES: u64 = 8 << 20;

/// Writes one snapshot file.
///
/// It gets its name in [`Writer::finish`]. A writer that is dropped before removes what it wrote.
pub struct Writer {
    vfs: Arc<dyn Vfs>,
    file: Box<dyn File>,
    /// The name it has until it is finished.
    path: PathBuf,
    directory: PathBuf,
    meta: Meta,
    buffer: Vec<u8>,
    /// The bytes that are in the file, without the buffer.
    written_bytes: u64,
    synced_bytes: u64,
    chain: u32,
    block_count: u64,
    block_bytes: u64,
    is_finished: bool,
}

impl Writer {
    /// Begins a file in a directory. What a crashed writer left of the same snapshot is replaced.
    pub fn create(directory: &Directory, meta: &Meta) -> Result<Writer, SnapshotError> {
        check_length("head", meta.head.len(), HEAD_BYTES_MAX)?;
        let vfs = directory.vfs().clone();
        let path = directory.path().join(writing_name(meta.index, meta.term));
        if vfs.exists(&path).map_err(failed("looking", &path))? {
            vfs.remove(&path).map_err(failed("removing", &path))?;
        }
        let file = vfs.create(&path).map_err(failed("creating", &path))?;
        let (header, chain) = Header::of(meta).encode();
        let mut writer = Writer {
            vfs,
            file,
            path,
            directory: directory.path().to_path_buf(),
            meta: meta.clone(),
            buffer: Vec::with_capacity(2 * BUFFER_BYTES),
            written_bytes: 0,
            synced_bytes: 0,
            chain,
            block_count: 0,
            block_bytes: 0,
            is_finished: false,
        };
        writer.put(&header)?;
        writer.put(&meta.head)?;
        Ok(writer)
    }

    /// Adds a block. After an error the writer can only be dropped.
    pub fn block(&mut self, block: &[u8]) -> Result<(), SnapshotError> {
        check_length("block", block.len(), BLOCK_BYTES_MAX)?;
        self.block_count += 1;
        self.block_bytes += block.len() as u64;
        self.record(RecordKind::Block, self.block_count, block)
    }

    /// Makes the file durable and gives it its name, which is durable when this returns.
    pub fn finish(mut self) -> Result<Found, SnapshotError> {
        let end_bytes = crate::format::RECORD_HEADER_BYTES + crate::format::END_BODY_BYTES;
        let end = End {
            blocks: self.block_count,
            block_bytes: self.block_bytes,
            file_bytes: self.bytes() + end_bytes as u64,
        };
        self.record(RecordKind::End, self.block_count + 1, &end.encode())?;
        self.flush()?;
        self.sync()?;
        let name = finished_name(self.meta.index, self.meta.term);
        let finished = self.directory.join(name);
        publish(self.vfs.as_ref(), &self.path, &finished)?;
        self.is_finished = true;
        Ok(Found {
            meta: self.meta.clone(),
            path: finished,
            bytes: self.written_bytes,
            checksum: self.chain,
        })
    }

    /// The length of the file so far.
    pub fn bytes(&self) -> u64 {
        self.written_bytes + self.buffer.len() as u64
    }

    fn record(&mut self, kind: RecordKind, number: u64, body: &[u8]) -> Result<(), SnapshotError> {
        let header = RecordHeader {
            previous: self.chain,
            body_bytes: body.len() as u32,
            body_checksum: crc32c::crc32c(body),
            number,
            kind,
        };
        let (bytes, chain) = header.encode();
        self.chain = chain;
        self.put(&bytes)?;
        self.put(body)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        if bytes.len() < BUFFER_BYTES {
            self.buffer.extend_from_slice(bytes);
            if self.buffer.len() < BUFFER_BYTES {
                return Ok(());
            }
            self.flush()?;
        } else {
            // As it is: a block may be as large as a value, and a copy of it is not worth a write.
            self.flush()?;
            self.write(bytes)?;
        }
        if self.written_bytes - self.synced_bytes >= SYNC_BYTES {
            self.sync()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SnapshotError> {
        let buffer = std::mem::take(&mut self.buffer);
        let result = self.write(&buffer);
        self.buffer = buffer;
        self.buffer.clear();
        result
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let written = self.file.write_all_at(self.written_bytes, bytes);
        written.map_err(failed("writing", &self.path))?;
        self.written_bytes += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), SnapshotError> {
        let synced = self.file.sync_data();
        synced.map_err(failed("syncing", &self.path))?;
        self.synced_bytes = self.written_bytes;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.is_finished {
            // Best effort: what stays is removed by `Directory::remove_temporary`.
            let _ = self.vfs.remove(&self.path);
        }
    }
}

/// Gives a file that is durable its final name, durably.
pub(crate) fn publish(vfs: &dyn Vfs, from: &Path, to: &Path) -> Result<(), SnapshotError> {
    vfs.rename(from, to).map_err(failed("renaming", from))?;
    let directory = vfs::parent_of(to);
    vfs.sync_dir(&directory)
        .map_err(failed("syncing", &directory))
}

fn check_length(what: &'static str, bytes: usize, bytes_max: usize) -> Result<(), SnapshotError> {
    if bytes <= bytes_max {
        return Ok(());
    }
    Err(SnapshotError::TooLong {
        what,
        bytes,
        bytes_max,
    })
}
