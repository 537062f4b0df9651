//! The disk thread: it alone writes, syncs and reads the log, so that the reactor never waits for a
//! disk.
//!
//! # Group commit
//! While one sync runs, the reactor goes on handing over writes. The thread then takes all of them
//! at once: one append, one sync, one completion that names the last. The more there is to do, the
//! more one sync carries; when there is little, a write waits for nobody.
//!
//! # Waking up
//! A wake-up is a system call and a context switch, and under load both sides are awake anyway. So
//! each side says when it is about to sleep, and is only woken then. The flags are checked after
//! the queue has been filled on one side, and raised before the queue is checked on the other, in
//! one total order (`SeqCst`, or under the queue's lock), so that no wake-up is lost.
//!
//! # Failure
//! A failed write or sync is final: what the disk holds is unknown, and trying again can report
//! success for data that is gone (the PostgreSQL fsync bug of 2018; Rebello et al., USENIX ATC
//! 2020). The process says so in one line and exits, without another word to anybody. A *full* disk
//! is no failure: nothing was written. The write is kept, the replica refuses new ones and serves
//! reads, and the write is carried out when there is space. Because one that is held holds back what
//! is behind it, votes among them, the replica hears that space is short before it is used up, and at
//! a start before anything else; what it hands over then is small, and the log keeps room for it.
//!
//! # Damage
//! In its spare time the thread reads the log again, at a limited rate. Bytes that are not what was
//! written are a failure like any other: the node stops before anybody relies on them, while its
//! peers still have what they were.

mod spare;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::Waker;
use raft::{Entry, GroupId, ReadEntries, ReadRequestId, WriteId};
use replica::{Write, storage};
use thiserror::Error;
use tracing::{error, info, warn};
use wal::{Record, RecordKind, Space, Wal, WalError};

use crate::disk::spare::{SpareTime, Step};
use crate::metrics::DiskMetrics;

/// How often a disk that is short of space is asked whether it has some again.
const SPACE_POLL: Duration = Duration::from_millis(250);

/// A sync that takes longer is worth a line.
const SLOW_SYNC: Duration = Duration::from_secs(1);

/// What the disk thread has done.
#[derive(Debug)]
pub(crate) enum Completion {
    /// This write and all before it are durable.
    Persisted(WriteId),
    /// Entries that were asked for.
    EntriesRead(ReadRequestId, Vec<Entry>),
    /// The disk is short of space, or no longer.
    Space {
        /// Whether it is short.
        is_low: bool,
    },
    /// The log is unusable. Only seen where [`OnFailure::Report`] was asked for.
    Failed(DiskError),
}

/// Why the disk thread gave up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DiskError {
    /// The disk, or the log on it.
    #[error("{}: {source}", dir.display())]
    Wal {
        /// The log's directory.
        dir: PathBuf,
        /// What happened.
        source: WalError,
    },
    /// The log holds a record that is no entry of ours.
    #[error("{}: {source}", dir.display())]
    Record {
        /// The log's directory.
        dir: PathBuf,
        /// What is wrong with it.
        source: storage::StorageError,
    },
}

impl DiskError {
    /// Whether what the disk has is not what was written: then a start on it would be refused, too.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            DiskError::Wal {
                source: WalError::Damaged(_),
                ..
            }
        )
    }
}

/// What to do when the log is unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// End the process at once, as a server must: not even replies that wait in buffers leave.
    Exit,
    /// Tell the reactor, which ends its loop. For tests that run several nodes in one process.
    Report,
}

/// An opened log, and what the thread needs to know of it.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) wal: Wal,
    /// Where it is, for messages.
    pub(crate) dir: PathBuf,
    /// The group whose entries are read back.
    pub(crate) group: GroupId,
    /// How fast it is read again; 0: never.
    pub(crate) scrub_bytes_per_second: u64,
}

/// The reactor's end.
#[derive(Debug)]
pub(crate) struct Disk {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    inbox: Mutex<Inbox>,
    /// Signalled when the inbox is filled while the thread sleeps.
    filled: Condvar,
    completions: Mutex<Vec<Completion>>,
    /// Raised while the reactor is in, or about to enter, its poll.
    is_reactor_asleep: AtomicBool,
    /// What the log takes on disk, for INFO.
    log_bytes: AtomicU64,
    waker: Arc<Waker>,
}

#[derive(Debug, Default)]
struct Inbox {
    writes: Vec<Write>,
    reads: Vec<ReadEntries>,
    is_thread_asleep: bool,
    is_closed: bool,
}

/// The thread's end.
struct DiskThread {
    shared: Arc<Shared>,
    wal: Wal,
    dir: PathBuf,
    /// The segment that was written to last.
    segment: u64,
    group: GroupId,
    on_failure: OnFailure,
    metrics: DiskMetrics,
    /// Taken over and not yet on disk. Longer than one turn only while the disk is full.
    writes: VecDeque<Write>,
    reads: Vec<ReadEntries>,
    /// Kept so that a turn does not allocate it anew.
    records: Vec<Record>,
    is_low: bool,
    spare: SpareTime,
}

/// What the thread is to do next.
#[derive(PartialEq, Eq)]
enum Work {
    /// Something was handed over, or is held.
    Requests,
    /// Nothing: time for what can wait.
    Spare,
    /// Everything is done, and nothing will follow.
    End,
}

/// What became of the writes that were taken over.
enum Progress {
    Done,
    /// Some are held until there is space.
    Held,
}

impl Disk {
    /// Starts the thread, which owns the log from then on.
    pub(crate) fn start(
        log: Log,
        waker: Arc<Waker>,
        on_failure: OnFailure,
        metrics: DiskMetrics,
    ) -> io::Result<Disk> {
        let shared = Arc::new(Shared {
            inbox: Mutex::new(Inbox::default()),
            filled: Condvar::new(),
            completions: Mutex::new(Vec::new()),
            is_reactor_asleep: AtomicBool::new(false),
            log_bytes: AtomicU64::new(0),
            waker,
        });
        let mut disk_thread = DiskThread {
            shared: Arc::clone(&shared),
            wal: log.wal,
            dir: log.dir,
            segment: 0,
            group: log.group,
            on_failure,
            metrics,
            writes: VecDeque::new(),
            reads: Vec::new(),
            records: Vec::new(),
            is_low: false,
            spare: SpareTime::new(log.scrub_bytes_per_second, Instant::now()),
        };
        // The first completion of all, so that nothing is taken that would not fit.
        let is_low = disk_thread.wal.space() == Space::Low;
        disk_thread.say_space(is_low);
        let thread = thread::Builder::new()
            .name("disk".into())
            .spawn(move || disk_thread.run())?;
        Ok(Disk {
            shared,
            thread: Some(thread),
        })
    }

    /// Hands over writes, in order, and requests to read; both vectors are emptied and keep their
    /// memory.
    pub(crate) fn submit(&mut self, writes: &mut Vec<Write>, reads: &mut Vec<ReadEntries>) {
        if writes.is_empty() && reads.is_empty() {
            return;
        }
        let mut inbox = lock(&self.shared.inbox);
        inbox.writes.append(writes);
        inbox.reads.append(reads);
        let is_asleep = inbox.is_thread_asleep;
        drop(inbox);
        if is_asleep {
            self.shared.filled.notify_one();
        }
    }

    /// Moves what has been done since the last call into `completions`.
    pub(crate) fn completions(&mut self, completions: &mut Vec<Completion>) {
        completions.append(&mut lock(&self.shared.completions));
    }

    /// The reactor is about to sleep. Returns false if it must not, because something is done.
    pub(crate) fn before_sleep(&mut self) -> bool {
        self.shared.is_reactor_asleep.store(true, Ordering::SeqCst);
        lock(&self.shared.completions).is_empty()
    }

    /// The reactor is awake.
    pub(crate) fn after_sleep(&mut self) {
        self.shared.is_reactor_asleep.store(false, Ordering::SeqCst);
    }

    /// What the log takes on disk.
    pub(crate) fn log_bytes(&self) -> u64 {
        self.shared.log_bytes.load(Ordering::Relaxed)
    }

    /// Ends the thread after everything handed over is durable.
    pub(crate) fn close(mut self) {
        self.close_and_join();
    }

    fn close_and_join(&mut self) {
        lock(&self.shared.inbox).is_closed = true;
        self.shared.filled.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("the disk thread ended with an internal error");
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.close_and_join();
        }
    }
}

impl DiskThread {
    fn run(mut self) {
        if let Err(failure) = self.serve() {
            self.fail(failure);
        }
    }

    fn serve(&mut self) -> Result<(), DiskError> {
        loop {
            match self.take_work() {
                Work::Requests => {
                    let progress = self.write_all()?;
                    self.read_all()?;
                    // While space is short, every chance to get some is taken.
                    if self.is_low {
                        self.spare.may_remove();
                    }
                    self.late_step()?;
                    let is_low =
                        matches!(progress, Progress::Held) || self.wal.space() == Space::Low;
                    self.say_space(is_low);
                }
                Work::Spare => self.spare_step()?,
                Work::End => break,
            }
        }
        // What is still held for lack of space was never acknowledged to anybody.
        self.wal.sync().map_err(|source| self.wal_error(source))
    }

    /// Takes everything that has been handed over; sleeps while there is nothing to do.
    fn take_work(&mut self) -> Work {
        let mut inbox = lock(&self.shared.inbox);
        loop {
            if !inbox.writes.is_empty() || !inbox.reads.is_empty() {
                self.writes.extend(inbox.writes.drain(..));
                self.reads.append(&mut inbox.reads);
                return Work::Requests;
            }
            if inbox.is_closed {
                return Work::End;
            }
            let spare_in = self.spare.wait(Instant::now());
            if spare_in == Some(Duration::ZERO) {
                return Work::Spare;
            }
            inbox.is_thread_asleep = true;
            let poll_in = self.is_low.then_some(SPACE_POLL);
            let Some(wake_in) = spare_in.into_iter().chain(poll_in).min() else {
                let waited = self.shared.filled.wait(inbox);
                inbox = waited.unwrap_or_else(PoisonError::into_inner);
                inbox.is_thread_asleep = false;
                continue;
            };
            let waited = self.shared.filled.wait_timeout(inbox, wake_in);
            let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            inbox = woken;
            if timeout.timed_out() && self.is_low {
                inbox.is_thread_asleep = false;
                return Work::Requests;
            }
            inbox.is_thread_asleep = false;
        }
    }

    /// Carries out the writes: all in one append if they fit, else one after the other as far as
    /// the space that is left goes.
    fn write_all(&mut self) -> Result<Progress, DiskError> {
        let Some(last) = self.writes.back().map(|write| write.id) else {
            return Ok(Progress::Done);
        };
        let is_sync_wanted = self.writes.iter().any(|write| write.sync);
        self.records.clear();
        for write in &self.writes {
            self.records.extend(write.records.iter().cloned());
        }
        match self.wal.append(&self.records) {
            Ok(()) => {
                self.writes.clear();
                self.metrics.observe_batch(&self.records);
                if has_base(&self.records) {
                    self.spare.may_remove();
                }
                self.records.clear();
                self.spare.written();
                self.sync_and_report(is_sync_wanted, last)?;
                Ok(Progress::Done)
            }
            Err(WalError::Full) => self.write_singly(),
            Err(source) => Err(self.wal_error(source)),
        }
    }

    fn write_singly(&mut self) -> Result<Progress, DiskError> {
        self.records.clear();
        while let Some(write) = self.writes.front() {
            match self.wal.append(&write.records) {
                Ok(()) => {
                    let (id, sync) = (write.id, write.sync);
                    if has_base(&write.records) {
                        self.spare.may_remove();
                    }
                    self.writes.pop_front();
                    self.sync_and_report(sync, id)?;
                }
                Err(WalError::Full) => return Ok(Progress::Held),
                Err(source) => return Err(self.wal_error(source)),
            }
        }
        Ok(Progress::Done)
    }

    fn sync_and_report(&mut self, is_sync_wanted: bool, last: WriteId) -> Result<(), DiskError> {
        if is_sync_wanted {
            let started = Instant::now();
            self.wal.sync().map_err(|source| self.wal_error(source))?;
            let took = started.elapsed();
            self.metrics.observe_sync(took);
            if took >= SLOW_SYNC {
                warn!(
                    millis = took.as_millis() as u64,
                    "the disk is slow: one sync took long"
                );
            }
        }
        let (segment, _) = self.wal.position();
        if segment != self.segment {
            self.segment = segment;
            self.spare.may_remove();
            self.publish_size();
        }
        self.complete(Completion::Persisted(last));
        Ok(())
    }

    fn read_all(&mut self) -> Result<(), DiskError> {
        let mut reads = std::mem::take(&mut self.reads);
        for read in reads.drain(..) {
            let (first, last) = (read.first.0, read.last.0);
            let found = self.wal.read(self.group.0, first, last, read.bytes_max);
            let records = match found {
                // A snapshot has replaced them since they were asked for: that is no fault.
                Err(WalError::NotHeld { .. }) => Vec::new(),
                found => found.map_err(|source| self.wal_error(source))?,
            };
            let entries = records
                .into_iter()
                .map(storage::entry)
                .collect::<Result<_, _>>();
            let entries = entries.map_err(|source| DiskError::Record {
                dir: self.dir.clone(),
                source,
            })?;
            self.complete(Completion::EntriesRead(read.request, entries));
        }
        self.reads = reads;
        Ok(())
    }

    /// A step of what can wait, while there is nothing else to do.
    fn spare_step(&mut self) -> Result<(), DiskError> {
        let step = self
            .spare
            .step(&mut self.wal, &self.metrics, Instant::now());
        if step.map_err(|source| self.wal_error(source))? == Step::NoSpace {
            self.say_space(true);
        }
        self.publish_size();
        Ok(())
    }

    /// A step of what has waited too long, between two turns.
    fn late_step(&mut self) -> Result<(), DiskError> {
        let now = Instant::now();
        if self.spare.is_late(now) {
            self.spare
                .late_step(&mut self.wal, &self.metrics, now)
                .map_err(|source| self.wal_error(source))?;
            self.publish_size();
        }
        Ok(())
    }

    fn publish_size(&self) {
        let bytes = self.wal.disk_bytes();
        self.shared.log_bytes.store(bytes, Ordering::Relaxed);
        self.metrics.observe_size(bytes);
    }

    /// Says when space runs short, before it is needed, and when there is enough again.
    fn say_space(&mut self, is_low: bool) {
        if is_low == self.is_low {
            return;
        }
        self.is_low = is_low;
        self.spare.may_remove();
        let dir = self.dir.display();
        if is_low {
            error!(dir = %dir, "the disk is full: writes are refused, reads go on");
        } else {
            info!(dir = %dir, "the disk has space again: writes are accepted");
        }
        self.complete(Completion::Space { is_low });
    }

    fn complete(&self, completion: Completion) {
        lock(&self.shared.completions).push(completion);
        if self.shared.is_reactor_asleep.swap(false, Ordering::SeqCst)
            && let Err(error) = self.shared.waker.wake()
        {
            error!(%error, "the reactor cannot be woken");
        }
    }

    fn wal_error(&self, source: WalError) -> DiskError {
        DiskError::Wal {
            dir: self.dir.clone(),
            source,
        }
    }

    fn fail(&self, failure: DiskError) {
        error!("{failure}; this node stops: nothing more can be promised");
        match self.on_failure {
            OnFailure::Exit => std::process::exit(crate::error::EXIT_FAILURE),
            OnFailure::Report => self.complete(Completion::Failed(failure)),
        }
    }
}

/// Whether the log begins later from here on.
fn has_base(records: &[Record]) -> bool {
    records.iter().any(|record| record.kind == RecordKind::Base)
}

/// A lock whose holder panicked ends the process in production; in tests, what it guards is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
