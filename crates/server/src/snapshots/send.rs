//! Brings a snapshot's file to a peer: one thread a transfer, at most one a peer.
//!
//! The bytes go from the file to the socket as they are, a chunk at a time and at the rate that is
//! set, so a transfer costs the same little memory whatever the size of the state, and no time of the
//! reactor. Before the first transfer of a file it is read and checked: a node whose disk has
//! damaged its snapshot must not make another node load and refuse it again and again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use raft::EntryId;
use snapshot::Source;
use tracing::{debug, info};

use super::channel::{Channel, Stop, TransferError, reading_patience};
use super::pace::Pace;
use super::position;
use crate::peer::SnapshotTarget;
use crate::peer::transfer::{CHUNK_BYTES, CHUNKS_UNANSWERED_MAX, Offer, Transfer};

/// Connections that may break, one after the other and without any progress, before the transfer is
/// given up. The leader asks for it again after a while.
const ATTEMPTS: u32 = 3;

/// The pause before a broken connection is dialled anew.
const RETRY_PAUSE: Duration = Duration::from_millis(300);

/// The longest rest without looking whether to stop.
const REST_MAX: Duration = Duration::from_millis(50);

/// One transfer.
pub(super) struct Sending<'a> {
    pub(super) target: &'a SnapshotTarget,
    /// The file to send.
    pub(super) source: &'a Source,
    /// Opens another file instead, of which the peer has a part, if it is still there and of use.
    pub(super) older: &'a dyn Fn(EntryId, u64, u32) -> Option<Source>,
    pub(super) bytes_per_second: u64,
    pub(super) stop: &'a Stop,
    /// All bytes of snapshots that this node has sent.
    pub(super) sent_bytes: &'a AtomicU64,
}

impl Sending<'_> {
    /// Returns when the peer has installed a snapshot, or has no need of it, and up to which entry.
    pub(super) fn run(&self) -> Result<EntryId, TransferError> {
        let (mut attempts, mut furthest) = (ATTEMPTS, 0);
        loop {
            let mut reached = 0;
            let error = match self.attempt(&mut reached) {
                Ok(last) => return Ok(last),
                Err(error) => error,
            };
            if reached > furthest {
                (attempts, furthest) = (ATTEMPTS, reached);
            }
            attempts -= 1;
            if attempts == 0 || !error.is_of_connection() || self.stop.is_raised() {
                return Err(error);
            }
            debug!(peer = self.target.node.0, %error, reached, "a snapshot's connection broke");
            thread::sleep(RETRY_PAUSE);
        }
    }

    /// One connection. `reached` is set to how much of the file the peer has confirmed.
    fn attempt(&self, reached: &mut u64) -> Result<EntryId, TransferError> {
        let mut channel = Channel::dial(self.target, self.stop.clone())?;
        let last = self.bring(&mut channel, reached)?;
        channel.close();
        Ok(last)
    }

    /// What is said on a connection.
    pub(super) fn bring(
        &self,
        channel: &mut Channel,
        reached: &mut u64,
    ) -> Result<EntryId, TransferError> {
        let mut offer = offer_of(self.source);
        channel.send(&Transfer::Offer(offer))?;
        let mut older = None;
        let mut may_hold = true;
        let offset = loop {
            match channel.receive()? {
                // It reads what it has of the file, which may be most of it.
                Transfer::Working { .. } => {}
                Transfer::Holds {
                    last,
                    bytes,
                    checksum,
                } if may_hold => {
                    may_hold = false;
                    older = (self.older)(last, bytes, checksum);
                    offer = offer_of(older.as_ref().unwrap_or(self.source));
                    channel.send(&Transfer::Offer(offer))?;
                }
                Transfer::Resume { offset } if offset <= offer.bytes => break offset,
                Transfer::Unwanted { text } => {
                    info!(peer = self.target.node.0, %text, "the peer needs no snapshot");
                    return Ok(offer.last);
                }
                Transfer::Failed { text } => return Err(TransferError::GivenUp(text)),
                _ => return Err(TransferError::OutOfTurn("an answer to an offer")),
            }
        };
        let source = older.as_ref().unwrap_or(self.source);
        if offset > 0 {
            info!(
                peer = self.target.node.0,
                index = offer.last.index.0,
                offset,
                "the transfer of a snapshot goes on"
            );
        }
        *reached = offset;
        self.stream(channel, source, reached)?;
        channel.set_patience(reading_patience(offer.bytes));
        loop {
            match channel.receive()? {
                Transfer::Working { .. } => {}
                Transfer::Installed => return Ok(offer.last),
                Transfer::Failed { text } => return Err(TransferError::GivenUp(text)),
                _ => return Err(TransferError::OutOfTurn("an answer to a whole file")),
            }
        }
    }

    /// Sends the file from `reached` to its end.
    fn stream(
        &self,
        channel: &mut Channel,
        source: &Source,
        reached: &mut u64,
    ) -> Result<(), TransferError> {
        let total = source.id().bytes;
        let mut pace = Pace::new(self.bytes_per_second, Instant::now());
        let (mut sent, mut unanswered) = (*reached, 0);
        while *reached < total {
            if sent < total && unanswered < CHUNKS_UNANSWERED_MAX {
                let chunk = source
                    .read(sent, CHUNK_BYTES)
                    .map_err(|error| TransferError::File(error.to_string()))?;
                let count = chunk.len() as u64;
                channel.send(&Transfer::Chunk {
                    offset: sent,
                    bytes: Bytes::from(chunk),
                })?;
                sent += count;
                unanswered += 1;
                self.sent_bytes.fetch_add(count, Ordering::Relaxed);
                self.rest(pace.moved(count, Instant::now()))?;
                continue;
            }
            match channel.receive()? {
                Transfer::Received { offset } if *reached < offset && offset <= sent => {
                    *reached = offset;
                    unanswered -= 1;
                }
                Transfer::Failed { text } => return Err(TransferError::GivenUp(text)),
                _ => return Err(TransferError::OutOfTurn("an answer to a chunk")),
            }
        }
        Ok(())
    }

    /// Rests as the pace wants, and no longer than until it is to stop.
    fn rest(&self, mut rest: Duration) -> Result<(), TransferError> {
        while rest > Duration::ZERO {
            if self.stop.is_raised() {
                return Err(TransferError::Stopped);
            }
            let step = rest.min(REST_MAX);
            thread::sleep(step);
            rest -= step;
        }
        Ok(())
    }
}

fn offer_of(source: &Source) -> Offer {
    let id = source.id();
    Offer {
        last: position(id.term, id.index),
        bytes: id.bytes,
        checksum: id.checksum,
        hears_working: true,
        hears_holds: true,
    }
}
