//! Writes snapshots, frees what was replaced, and reads what it has written again: a thread of its own, at
//! a low priority.
//!
//! The state that it writes is frozen: the reactor goes on changing its own, and copies a segment
//! aside before it changes it, if this thread has not written it yet. So the reactor waits for nothing here.
//! What it does share with this thread is the disk and the processor; both are bounded by the pace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use raft::EntryId;
use replica::{Retired, Snapshot};
use snapshot::{Directory, Found, Meta, Position, SnapshotError, Writer};
use tracing::{error, info, warn};

use super::channel::Stop;
use super::pace::Pace;
use super::scrub::Scrub;
use super::{Completion, MEASURE_INTERVAL, Outbox};
use crate::peer::codec::Scope;

/// How nice the thread is (nice(1)): what the reactor and the disk thread leave of the processor is its.
const NICENESS: i32 = 10;

/// The longest rest without looking whether to stop.
const REST_MAX: Duration = Duration::from_millis(50);

/// A snapshot that takes longer says every so often how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// What the thread is asked for.
pub(super) enum Job {
    /// Write it.
    Write(Box<Snapshot>),
    /// A received snapshot, which ends with this entry, has replaced this state: drop it, which takes time,
    /// since it has as many pieces as there are keys; and remove files that are older.
    Replaced(Box<Retired>, EntryId),
}

/// What the thread works with.
pub(super) struct Writing {
    pub(super) directory: Directory,
    pub(super) scope: Scope,
    pub(super) bytes_per_second: u64,
    pub(super) outbox: Arc<Outbox>,
    pub(super) stop: Stop,
    /// The disk runs short of space: the sooner the log can be cut, the better.
    pub(super) is_urgent: Arc<AtomicBool>,
    /// Bytes of snapshots that were read again and are good.
    pub(super) scrubbed_bytes: Arc<AtomicU64>,
}

impl Writing {
    /// Lowers this thread's priority, if the system lets it.
    pub(super) fn be_nice() {
        let thread = rustix::thread::gettid();
        if let Err(error) = rustix::process::setpriority_process(Some(thread), NICENESS) {
            warn!(%error, "snapshots are written at the same priority as everything else");
        }
    }

    /// Does what is asked for, until nobody is there to ask; meanwhile, reads the files again.
    pub(super) fn serve(&self, todo: &Receiver<Job>, mut scrub: Scrub) {
        loop {
            let job = match scrub.wait(Instant::now()) {
                Some(wait) => todo.recv_timeout(wait),
                None => todo.recv().map_err(RecvTimeoutError::from),
            };
            match job {
                Ok(job) => {
                    self.carry_out(job);
                    scrub.forget();
                }
                Err(RecvTimeoutError::Timeout) => {
                    let step = scrub.step(Instant::now());
                    self.scrubbed_bytes.fetch_add(step.bytes, Ordering::Relaxed);
                    if step.is_damage {
                        self.outbox.measure(&self.directory);
                    }
                    if step.is_lost {
                        let is_damage = step.is_damage;
                        self.outbox.complete(Completion::Lost { is_damage });
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn carry_out(&self, job: Job) {
        match job {
            Job::Replaced(state, by) => {
                drop(state);
                self.remove_replaced(by);
            }
            Job::Write(snapshot) => self.write_and_tell(*snapshot),
        }
    }

    /// Removes what a file replaces that is this node's now.
    fn remove_replaced(&self, by: EntryId) {
        let by = Position {
            term: by.term.0,
            index: by.index.0,
        };
        match self.directory.remove_replaced(by) {
            Ok(paths) => {
                for path in paths {
                    info!(path = %path.display(), "an old snapshot was removed");
                }
            }
            Err(error) => warn!(%error, "old snapshots were not removed"),
        }
        self.outbox.measure(&self.directory);
    }

    fn write_and_tell(&self, snapshot: Snapshot) {
        let started = Instant::now();
        let meta = snapshot.meta.clone();
        let last = meta.last;
        info!(
            index = last.index.0,
            term = last.term.0,
            "writing a snapshot"
        );
        match self.write(snapshot) {
            Ok(found) => {
                let took = started.elapsed();
                info!(
                    index = last.index.0,
                    bytes = found.bytes,
                    took_ms = took.as_millis() as u64,
                    path = %found.path.display(),
                    "snapshot written"
                );
                self.remove_replaced(last);
                self.outbox.complete(Completion::Written {
                    meta: Box::new(meta),
                    found: Box::new(found),
                    took,
                });
            }
            Err(Failure::Stopped) => {}
            Err(Failure::File(error)) => {
                error!(index = last.index.0, "no snapshot was written: {error}");
                self.outbox.complete(Completion::WriteFailed {
                    reason: error.to_string(),
                });
            }
        }
    }

    fn write(&self, snapshot: Snapshot) -> Result<Found, Failure> {
        let last = snapshot.meta.last;
        let meta = Meta {
            cluster: self.scope.cluster.0,
            group: self.scope.group.0,
            term: last.term.0,
            index: last.index.0,
            time_ms: snapshot.meta.time_ms,
            head: snapshot.head,
        };
        let mut writer = Writer::create(&self.directory, &meta)?;
        let mut pace = Pace::new(self.bytes_per_second, Instant::now());
        let (mut told, mut measured) = (Instant::now(), Instant::now());
        for block in snapshot.frozen.blocks() {
            writer.block(&block)?;
            let rest = pace.moved(block.len() as u64, Instant::now());
            if self.stop.is_raised() {
                return Err(Failure::Stopped);
            }
            if !self.is_urgent.load(Ordering::Relaxed) {
                self.rest(rest)?;
            }
            if measured.elapsed() >= MEASURE_INTERVAL {
                measured = Instant::now();
                self.outbox.measure(&self.directory);
            }
            if told.elapsed() >= PROGRESS_INTERVAL {
                told = Instant::now();
                info!(bytes = writer.bytes(), "still writing a snapshot");
            }
        }
        Ok(writer.finish()?)
    }

    fn rest(&self, mut rest: Duration) -> Result<(), Failure> {
        while rest > Duration::ZERO {
            let step = rest.min(REST_MAX);
            thread::sleep(step);
            rest -= step;
            if self.stop.is_raised() {
                return Err(Failure::Stopped);
            }
        }
        Ok(())
    }
}

enum Failure {
    Stopped,
    File(SnapshotError),
}

impl From<SnapshotError> for Failure {
    fn from(error: SnapshotError) -> Failure {
        Failure::File(error)
    }
}
