//! Receiving a snapshot in pieces.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use vfs::{File, Vfs};

use crate::error::failed;
use crate::format::{RECEIVING_SUFFIX, receiving_name};
use crate::writer::publish;
use crate::{DamageKind, Directory, FileId, Found, Reader, Report, SnapshotError, Watch, verify};

/// The bytes that are received before they are synced; see the writer.
const SYNC_BYTES: u64 = 8 << 20;

/// Why a piece, or the end, of a file is refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// Peer: the piece does not begin where the last one ended. Nothing was written.
    #[error("a piece of a snapshot begins at {offset}, and {expected} comes next")]
    Offset {
        /// Where it begins.
        offset: u64,
        /// Where it should.
        expected: u64,
    },
    /// Peer: the piece goes beyond the end of the file. Nothing was written.
    #[error("a piece of a snapshot ends at {end}, and the file has {bytes} bytes")]
    TooLong {
        /// Where it ends.
        end: u64,
        /// The length of the file as announced.
        bytes: u64,
    },
    /// Peer: the file is not complete.
    #[error("only {received} of {bytes} bytes of a snapshot have arrived")]
    Incomplete {
        /// What arrived.
        received: u64,
        /// The length of the file as announced.
        bytes: u64,
    },
    /// Peer or disk: the file is not what was announced, or it could not be written or read. What was
    /// received of it is gone: the next attempt begins anew.
    #[error(transparent)]
    File(#[from] SnapshotError),
}

/// Receives one file.
///
/// What was received stays when this is dropped, and across restarts: the next [`Receiver::begin`] of
/// the same file goes on behind the last block that is intact. It does not stay where the disk fails:
/// a bad sector in it would end every attempt at the same place.
///
/// On a full disk room is made once, by [`Directory::make_room`]. If that is not enough, what was
/// received goes too: the log needs the space more, and nothing else would ever give it back.
pub struct Receiver {
    directory: Directory,
    file: Box<dyn File>,
    path: PathBuf,
    id: FileId,
    /// The bytes that are in the file and belong there.
    received_bytes: u64,
    synced_bytes: u64,
}

impl Receiver {
    /// Begins, or goes on with, the reception of a file. Returns the offset from which the sender has
    /// to send. What there is of other files is removed: one file is received at a time.
    pub fn begin(directory: &Directory, id: FileId) -> Result<(Receiver, u64), SnapshotError> {
        Receiver::begin_watched(directory, id, &mut |_, _| true)
    }

    /// Like [`Receiver::begin`], watched while what is there already is read and checked.
    ///
    /// # Errors
    /// [`SnapshotError::Stopped`] if the watch says so: what is there stays.
    pub fn begin_watched(
        directory: &Directory,
        id: FileId,
        watch: &mut Watch<'_>,
    ) -> Result<(Receiver, u64), SnapshotError> {
        let vfs: Arc<dyn Vfs> = directory.vfs().clone();
        let name = receiving_name(&id);
        let path = directory.path().join(&name);
        let names = directory.names()?.into_iter();
        let others = names.filter(|other| {
            let is_partial = other.ends_with(&format!(".{RECEIVING_SUFFIX}"));
            is_partial && *other != name
        });
        let others = others.map(|other| directory.path().join(other)).collect();
        directory.remove(others)?;
        let is_there = vfs.exists(&path).map_err(failed("looking", &path))?;
        let reopened = is_there.then(|| reopen(vfs.as_ref(), &path, &id, watch));
        let (file, received_bytes) = match reopened {
            None => (create(directory, &path)?, 0),
            Some(Ok(reopened)) => reopened,
            Some(Err(SnapshotError::Stopped)) => return Err(SnapshotError::Stopped),
            // What cannot be read now may never be.
            Some(Err(_)) => {
                directory.remove(vec![path.clone()])?;
                (create(directory, &path)?, 0)
            }
        };
        let receiver = Receiver {
            directory: directory.clone(),
            file,
            path,
            id,
            received_bytes,
            synced_bytes: 0,
        };
        Ok((receiver, received_bytes))
    }

    /// Adds the piece that comes next. One that does not is refused and changes nothing.
    pub fn chunk(&mut self, offset: u64, bytes: &[u8]) -> Result<(), ReceiveError> {
        let expected = self.received_bytes;
        if offset != expected {
            return Err(ReceiveError::Offset { offset, expected });
        }
        let end = offset.saturating_add(bytes.len() as u64);
        if end > self.id.bytes {
            let bytes = self.id.bytes;
            return Err(ReceiveError::TooLong { end, bytes });
        }
        let mut written = self.file.write_all_at(offset, bytes);
        if written.as_ref().is_err_and(vfs::is_no_space) {
            self.directory.make_room()?;
            written = self.file.write_all_at(offset, bytes);
        }
        if let Err(source) = written {
            self.directory.remove(vec![self.path.clone()])?;
            return Err(failed("writing", &self.path)(source).into());
        }
        self.received_bytes = end;
        if self.received_bytes - self.synced_bytes >= SYNC_BYTES {
            self.sync()?;
        }
        Ok(())
    }

    /// Checks the file, makes it durable and gives it its name, which is durable when this returns.
    /// A file that is not what was announced is removed, so that the next attempt begins anew.
    pub fn finish(self) -> Result<Found, ReceiveError> {
        let received = self.complete()?;
        match verify(received.vfs().as_ref(), received.path()) {
            Ok(report) => received.publish(report),
            Err(error) => {
                received.discard()?;
                Err(error.into())
            }
        }
    }

    /// All bytes are there: makes them durable. Whoever has read the file and found it good and of use
    /// gives it its name by [`Received::publish`], and until then it stays a file that is being received,
    /// which no start takes for a snapshot.
    ///
    /// # Errors
    /// If bytes are missing, or the disk does not take them.
    pub fn complete(mut self) -> Result<Received, ReceiveError> {
        if self.received_bytes != self.id.bytes {
            return Err(ReceiveError::Incomplete {
                received: self.received_bytes,
                bytes: self.id.bytes,
            });
        }
        self.sync()?;
        Ok(Received {
            directory: self.directory,
            path: self.path,
            id: self.id,
        })
    }

    /// Which file it is.
    pub fn id(&self) -> FileId {
        self.id
    }

    /// How much of it is there: where the next piece begins.
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    fn sync(&mut self) -> Result<(), SnapshotError> {
        if let Err(source) = self.file.sync_data() {
            // What a failed sync left is unknown, a later one that succeeds proves nothing, and
            // reading it back shows the kernel's memory: see the promises of `vfs`.
            self.directory.remove(vec![self.path.clone()])?;
            return Err(failed("syncing", &self.path)(source));
        }
        self.synced_bytes = self.received_bytes;
        Ok(())
    }
}

/// A file of which every byte has arrived and is durable, and none was believed yet: to be read, and then
/// published or discarded. Dropped, it stays as it is: the next [`Receiver::begin`] finds it whole.
#[must_use = "a file that was received has no name yet"]
pub struct Received {
    directory: Directory,
    path: PathBuf,
    id: FileId,
}

impl Received {
    /// Where it is until it is published.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name, which is durable when this returns. `report` says what was read. A file
    /// that is not what was announced is removed, so that the next attempt begins anew.
    ///
    /// # Errors
    /// If it is another file, or the disk fails.
    pub fn publish(self, report: Report) -> Result<Found, ReceiveError> {
        if report.id() != self.id {
            let error = SnapshotError::damaged(&self.path, 0, DamageKind::Other);
            self.discard()?;
            return Err(error.into());
        }
        let path = self.directory.finished_path(self.id.index, self.id.term);
        publish(self.vfs().as_ref(), &self.path, &path)?;
        Ok(Found {
            meta: report.meta,
            path,
            bytes: report.bytes,
            checksum: report.checksum,
        })
    }

    /// Removes the file: it is of no use here, and the next attempt must not go on behind its last byte
    /// for ever. It is never the only copy, since another node has sent it.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn discard(self) -> Result<(), SnapshotError> {
        self.directory.remove(vec![self.path]).map(|_| ())
    }

    fn vfs(&self) -> &Arc<dyn Vfs> {
        self.directory.vfs()
    }
}

/// Opens what is there of a file, and says how much of it is intact.
fn reopen(
    vfs: &dyn Vfs,
    path: &Path,
    id: &FileId,
    watch: &mut Watch<'_>,
) -> Result<(Box<dyn File>, u64), SnapshotError> {
    let intact = intact_bytes(vfs, path, id, watch)?;
    let file = vfs.open(path).map_err(failed("opening", path))?;
    Ok((file, intact))
}

fn create(directory: &Directory, path: &Path) -> Result<Box<dyn File>, SnapshotError> {
    let mut created = directory.vfs().create(path);
    if created.as_ref().is_err_and(vfs::is_no_space) {
        directory.make_room()?;
        created = directory.vfs().create(path);
    }
    created.map_err(failed("creating", path))
}

/// How much of a file that was being received is intact. A crash may have kept any part of it.
fn intact_bytes(
    vfs: &dyn Vfs,
    path: &Path,
    id: &FileId,
    watch: &mut Watch<'_>,
) -> Result<u64, SnapshotError> {
    let (_, mut reader) = match Reader::open(vfs, path) {
        Ok(opened) => opened,
        Err(error @ SnapshotError::Io { .. }) => return Err(error),
        Err(_) => return Ok(0),
    };
    let header = reader.header();
    let same = (header.cluster, header.group, header.index, header.term)
        == (id.cluster, id.group, id.index, id.term);
    if !same {
        return Ok(0);
    }
    let mut intact = reader.offset();
    loop {
        match reader.next_block() {
            Ok(Some(_)) => {
                intact = reader.offset();
                if !watch(intact, reader.file_bytes()) {
                    return Err(SnapshotError::Stopped);
                }
            }
            // The whole file is there already.
            Ok(None) => return Ok(reader.offset().min(id.bytes)),
            Err(error @ SnapshotError::Io { .. }) => return Err(error),
            Err(_) => return Ok(intact.min(id.bytes)),
        }
    }
}
