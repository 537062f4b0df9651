//! Takes a snapshot's file from a peer, checks it, and loads it: one thread, one transfer at a time.
//!
//! The newest connection wins. A peer that dials anew has lost the one before, and a new leader has a
//! newer snapshot than the old one; either way what was being received on the older connection is of
//! no more use than the file on disk, which stays, and is gone on with if it is the same.
//!
//! Nothing of this touches the state of the node: only when the whole file is checked, loaded and durable
//! under its final name does the reactor get it, and puts it in the old state's place in one
//! step. A crash before leaves the old state, one after it the new.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use raft::{LogIndex, NodeId};
use replica::{LoadedSnapshot, SnapshotLoader};
use snapshot::{Directory, FileId, ReceiveError, Received, Receiver, load};
use tracing::{info, warn};

use super::channel::{Channel, Stop, TransferError, reading_patience};
use super::{Completion, MEASURE_INTERVAL, Outbox, position};
use crate::peer::Detached;
use crate::peer::codec::Scope;
use crate::peer::transfer::{Offer, Transfer};

/// How often the thread looks whether it is to stop, while it waits for the reactor.
const ANSWER_POLL: Duration = Duration::from_millis(100);

/// How often the sender hears that the file is still being loaded.
pub(super) const WORKING_INTERVAL: Duration = Duration::from_secs(1);

/// A connection on which a peer brings a snapshot.
pub(super) struct Arrival {
    pub(super) from: NodeId,
    pub(super) connection: Detached,
    /// What this node had applied when the connection came: an older snapshot is not wanted.
    pub(super) applied: LogIndex,
    /// Raised when a newer connection takes its place.
    pub(super) stop: Stop,
}

/// What the thread works with.
pub(super) struct Receiving {
    pub(super) directory: Directory,
    pub(super) scope: Scope,
    pub(super) outbox: Arc<Outbox>,
    /// All bytes of snapshots that this node has received.
    pub(super) received_bytes: Arc<AtomicU64>,
    /// How often the sender hears that this node is at work: [`WORKING_INTERVAL`] but in tests.
    pub(super) working_interval: Duration,
}

/// Work on a file that takes time: tells the sender, which would take a long silence for the end, how
/// far it is, and looks whether to stop.
struct Telling<'a> {
    channel: &'a mut Channel,
    stop: &'a Stop,
    interval: Duration,
    told: Instant,
    failure: Option<TransferError>,
}

impl Telling<'_> {
    /// Whether to go on.
    fn hear(&mut self, done: u64, total: u64) -> bool {
        if self.told.elapsed() >= self.interval {
            self.told = Instant::now();
            let told = self.channel.send(&Transfer::Working { done, total });
            self.failure = told.err();
        }
        self.failure.is_none() && !self.stop.is_raised()
    }

    /// Why the work was given up from here; `None` if it was not.
    fn given_up(self) -> Option<TransferError> {
        let stopped = || self.stop.is_raised().then_some(TransferError::Stopped);
        self.failure.or_else(stopped)
    }
}

impl Receiving {
    /// Serves one connection to its end.
    pub(super) fn serve(&self, arrival: Arrival) {
        let (from, stop) = (arrival.from, arrival.stop.clone());
        let started = Instant::now();
        let mut channel = match Channel::adopt(arrival.connection, self.scope, arrival.stop) {
            Ok(channel) => channel,
            Err(error) => {
                warn!(peer = from.0, %error, "a snapshot's connection is of no use");
                return;
            }
        };
        let taken = self.take(&mut channel, from, arrival.applied, &stop);
        self.outbox.measure(&self.directory);
        match taken {
            Ok(Some(offer)) => {
                info!(
                    peer = from.0,
                    index = offer.last.index.0,
                    bytes = offer.bytes,
                    took_ms = started.elapsed().as_millis() as u64,
                    "snapshot received"
                );
                channel.close();
            }
            Ok(None) => channel.close(),
            Err(TransferError::Stopped) => {
                channel.fail("another connection took this one's place, or the node stops".into());
            }
            Err(error) => {
                warn!(peer = from.0, %error, "a snapshot was not received; the leader sends it again");
                channel.fail(error.to_string());
            }
        }
    }

    /// `None` if the snapshot is not wanted.
    fn take(
        &self,
        channel: &mut Channel,
        from: NodeId,
        applied: LogIndex,
        stop: &Stop,
    ) -> Result<Option<Offer>, TransferError> {
        let mut offer = Self::offered(channel)?;
        if offer.last.index > applied && self.tell_holds(channel, &offer, applied)? {
            offer = Self::offered(channel)?;
        }
        if offer.last.index <= applied {
            let text = format!("entry {} is applied here already", offer.last.index.0);
            channel.send(&Transfer::Unwanted { text })?;
            return Ok(None);
        }
        let received = self.file(channel, from, offer, stop)?;
        let loaded = self.load(channel, received, stop)?;
        self.hand_over(channel, loaded, offer.bytes, stop)?;
        channel.send(&Transfer::Installed)?;
        Ok(Some(offer))
    }

    fn offered(channel: &mut Channel) -> Result<Offer, TransferError> {
        match channel.receive()? {
            Transfer::Offer(offer) => Ok(offer),
            Transfer::Failed { text } => Err(TransferError::GivenUp(text)),
            _ => Err(TransferError::OutOfTurn("something else than an offer")),
        }
    }

    /// Says which other file there is a part of, if there is one that is still of use. The sender, which
    /// may have to read that file first, answers with another offer.
    fn tell_holds(
        &self,
        channel: &mut Channel,
        offer: &Offer,
        applied: LogIndex,
    ) -> Result<bool, TransferError> {
        let Scope { cluster, group } = self.scope;
        let partial = self.directory.partial(cluster.0, group.0);
        let partial = partial.map_err(|error| file_error(&error))?;
        let offered = self.file_id(offer);
        let useful = partial.filter(|file| *file != offered && file.index > applied.0);
        let Some(file) = useful.filter(|_| offer.hears_holds) else {
            return Ok(false);
        };
        channel.send(&Transfer::Holds {
            last: position(file.term, file.index),
            bytes: file.bytes,
            checksum: file.checksum,
        })?;
        channel.set_patience(reading_patience(file.bytes));
        Ok(true)
    }

    fn file_id(&self, offer: &Offer) -> FileId {
        FileId {
            cluster: self.scope.cluster.0,
            group: self.scope.group.0,
            index: offer.last.index.0,
            term: offer.last.term.0,
            bytes: offer.bytes,
            checksum: offer.checksum,
        }
    }

    /// Receives the file, up to its last byte.
    fn file(
        &self,
        channel: &mut Channel,
        from: NodeId,
        offer: Offer,
        stop: &Stop,
    ) -> Result<Received, TransferError> {
        let id = self.file_id(&offer);
        let (mut receiver, mut offset) = self.begin(channel, id, offer.hears_working, stop)?;
        info!(
            peer = from.0,
            index = id.index,
            bytes = id.bytes,
            offset,
            "a snapshot is being received"
        );
        channel.send(&Transfer::Resume { offset })?;
        let mut measured = Instant::now();
        while offset < id.bytes {
            let (at, bytes) = match channel.receive()? {
                Transfer::Chunk { offset, bytes } if !bytes.is_empty() => (offset, bytes),
                Transfer::Failed { text } => return Err(TransferError::GivenUp(text)),
                _ => return Err(TransferError::OutOfTurn("something else than a chunk")),
            };
            receiver.chunk(at, &bytes).map_err(receive_error)?;
            let count = bytes.len() as u64;
            self.received_bytes.fetch_add(count, Ordering::Relaxed);
            offset += count;
            if measured.elapsed() >= MEASURE_INTERVAL {
                measured = Instant::now();
                self.outbox.measure(&self.directory);
            }
            channel.send(&Transfer::Received { offset })?;
        }
        receiver.complete().map_err(receive_error)
    }

    /// Opens the file, reading what there is of it already.
    pub(super) fn begin(
        &self,
        channel: &mut Channel,
        id: FileId,
        hears_working: bool,
        stop: &Stop,
    ) -> Result<(Receiver, u64), TransferError> {
        let mut telling = self.telling(channel, stop);
        let begun =
            Receiver::begin_watched(
                &self.directory,
                id,
                &mut |done, total| match hears_working {
                    true => telling.hear(done, total),
                    false => !stop.is_raised(),
                },
            );
        begun.map_err(|error| telling.given_up().unwrap_or_else(|| file_error(&error)))
    }

    fn telling<'a>(&self, channel: &'a mut Channel, stop: &'a Stop) -> Telling<'a> {
        Telling {
            channel,
            stop,
            interval: self.working_interval,
            told: Instant::now(),
            failure: None,
        }
    }

    /// Checks and loads the file, and gives it its name if that succeeds: one step, so that no start ever
    /// finds a snapshot that was received and cannot be loaded, and no attempt goes on behind the last
    /// byte of one for ever. A file that cannot be loaded is removed: the sender has it.
    fn load(
        &self,
        channel: &mut Channel,
        received: Received,
        stop: &Stop,
    ) -> Result<LoadedSnapshot, TransferError> {
        let vfs = self.directory.vfs().as_ref();
        let mut telling = self.telling(channel, stop);
        let scope = (self.scope.cluster.0, self.scope.group.0);
        let loaded = load::<SnapshotLoader>(vfs, received.path(), scope, &mut |done, total| {
            telling.hear(done, total)
        });
        match loaded {
            Ok((loaded, report)) => {
                received.publish(report).map_err(receive_error)?;
                Ok(loaded)
            }
            Err(error) => {
                if let Some(given_up) = telling.given_up() {
                    return Err(given_up);
                }
                if let Err(error) = received.discard() {
                    warn!(%error, "a snapshot that cannot be loaded stays");
                }
                Err(TransferError::Useless(error.to_string()))
            }
        }
    }

    /// Gives the state to the reactor, and waits until it is the node's.
    fn hand_over(
        &self,
        channel: &mut Channel,
        loaded: LoadedSnapshot,
        bytes: u64,
        stop: &Stop,
    ) -> Result<(), TransferError> {
        let (answer, answered) = sync_channel(1);
        self.outbox.complete(Completion::Received {
            loaded: Box::new(loaded),
            answer,
        });
        let mut told = Instant::now();
        loop {
            match answered.recv_timeout(ANSWER_POLL) {
                Ok(()) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(TransferError::Stopped),
                Err(RecvTimeoutError::Timeout) if stop.is_raised() => {
                    return Err(TransferError::Stopped);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if told.elapsed() >= self.working_interval {
                told = Instant::now();
                channel.send(&Transfer::Working {
                    done: bytes,
                    total: bytes,
                })?;
            }
        }
    }
}

fn file_error(error: &snapshot::SnapshotError) -> TransferError {
    TransferError::File(error.to_string())
}

fn receive_error(error: ReceiveError) -> TransferError {
    TransferError::File(error.to_string())
}
