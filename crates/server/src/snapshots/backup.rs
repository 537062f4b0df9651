//! Reading pieces of snapshot files for clients: QUORATE BACKUP.
//!
//! A client that has chosen a file keeps it open here, so that it can go on reading when newer
//! snapshots have taken the file's name away. A file that nobody has read from for a while is given
//! up, since one without a name takes its space until then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use replica::{BackupAnswer, BackupRequest, BackupWish, ClientId};
use snapshot::{Directory, SnapshotError, Source, identify};

use super::{Completion, Outbox};

/// How long a client may leave its file alone.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Files that are open at once; the one left alone for longest gives way.
const OPEN_MAX: usize = 8;

/// What the thread works with.
pub(super) struct Reading {
    directory: Directory,
    outbox: Arc<Outbox>,
    open: BTreeMap<ClientId, (Source, Instant)>,
}

impl Reading {
    pub(super) fn new(directory: Directory, outbox: Arc<Outbox>) -> Reading {
        Reading {
            directory,
            outbox,
            open: BTreeMap::new(),
        }
    }

    /// Answers requests until nobody can ask any more.
    pub(super) fn serve(&mut self, requests: &Receiver<BackupRequest>) {
        loop {
            match requests.recv_timeout(IDLE_MAX) {
                Ok(BackupRequest { client, wish }) => {
                    let answer = match wish {
                        BackupWish::Begin => self.begin(client),
                        BackupWish::Read { offset, count } => self.read(client, offset, count),
                    };
                    self.outbox.complete(Completion::Backup { client, answer });
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.open.retain(|_, (_, used)| used.elapsed() < IDLE_MAX);
        }
    }

    fn begin(&mut self, client: ClientId) -> Result<BackupAnswer, String> {
        let source = self.newest().map_err(|error| error.to_string())?;
        let source = source.ok_or("there is no snapshot yet: BGSAVE writes one")?;
        let id = source.id();
        self.open.remove(&client);
        if self.open.len() >= OPEN_MAX {
            let oldest = self.open.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(client, _)| *client) {
                self.open.remove(&oldest);
            }
        }
        self.open.insert(client, (source, Instant::now()));
        Ok(BackupAnswer::File {
            index: id.index,
            term: id.term,
            bytes: id.bytes,
            checksum: id.checksum,
        })
    }

    fn newest(&self) -> Result<Option<Source>, SnapshotError> {
        let vfs = self.directory.vfs().as_ref();
        let Some((_, _, path)) = self.directory.list()?.into_iter().next() else {
            return Ok(None);
        };
        let id = identify(vfs, &path)?;
        Source::open_as(vfs, &path, id).map(Some)
    }

    fn read(
        &mut self,
        client: ClientId,
        offset: u64,
        count: usize,
    ) -> Result<BackupAnswer, String> {
        let open = self.open.get_mut(&client);
        let (source, used) = open.ok_or("no snapshot is chosen: QUORATE BACKUP BEGIN does")?;
        *used = Instant::now();
        let piece = source.read(offset, count);
        piece
            .map(BackupAnswer::Piece)
            .map_err(|error| error.to_string())
    }
}
