//! Snapshots on disk and between nodes: everything about them that takes time, off the reactor's thread.
//!
//! What a snapshot holds and when one is due is `replica`'s, what a file looks like is `snapshot`'s. Here
//! are the threads between:
//!
//! - one **writes** what the replica has cut off, paced, keeps the directory in order ([`write`]), and reads
//!   what is kept again in its spare time, to find damage ([`scrub`]);
//! - one **receives**, checks and loads what a leader sends ([`receive`]), there only while there is
//!   something to receive;
//! - one for each peer that is being sent a snapshot **sends** it ([`send`]);
//! - one reads pieces of files for clients that make a **backup** ([`backup`]), from the first of them on.
//!
//! Each transfer has a connection of its own to the peer port ([`channel`]), so that its bytes wait
//! before nobody's entries and heartbeats. The reactor accepts it and judges its greeting, as of
//! every connection, and then hands the socket over: from there on it is blocking I/O in a thread,
//! because a reactor that writes files would wait for a disk, and one that does not would have to
//! hold chunks in memory until a thread has written them.
//!
//! What is finished is told as the disk thread tells it: put into a list, and the reactor woken.

mod backup;
mod channel;
mod deliver;
mod pace;
mod receive;
mod scrub;
mod send;
mod start;
#[cfg(test)]
mod tests;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::Waker;
use raft::{EntryId, LogIndex, NodeId, SnapshotMeta, Term};
use replica::{BackupAnswer, BackupRequest, ClientId, LoadedSnapshot, Retired, Snapshot};
use snapshot::{Directory, FileId, Found};
use tracing::error;

use self::channel::Stop;
use self::deliver::Delivery;
use self::receive::{Arrival, Receiving};
use self::scrub::Scrub;
use self::write::{Job, Writing};
use crate::peer::codec::Scope;
use crate::peer::{Detached, SnapshotTarget};

pub use self::start::SnapshotStartError;
pub(crate) use self::start::{Start, open};

/// The log may be so many times as large as makes a snapshot due before nothing is more important than
/// to write one.
const URGENT_PARTS: u64 = 2;

/// While a file grows, what all of them take on disk is measured so often.
const MEASURE_INTERVAL: Duration = Duration::from_secs(1);

/// Files of which it is remembered that they were good: more than there ever are.
const CHECKED_MAX: usize = 4;

/// How snapshots are handled on this node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SnapshotSettings {
    pub(crate) scope: Scope,
    /// The rate of writing.
    pub(crate) bytes_per_second: u64,
    /// The log that makes a snapshot due: this share of the last one's size, in percent, ...
    pub(crate) log_percent: u64,
    /// ... at least this, ...
    pub(crate) log_bytes_min: u64,
    /// ... and at most this.
    pub(crate) log_bytes_max: u64,
    /// What the log takes on disk beside: its tail, and segments that are begun or prepared.
    pub(crate) log_bytes_spare: u64,
    /// The rate of sending, to each peer.
    pub(crate) send_bytes_per_second: u64,
    /// The rate of reading again what is on disk; 0: never.
    pub(crate) scrub_bytes_per_second: u64,
}

/// What a thread has done.
#[derive(Debug)]
pub(crate) enum Completion {
    /// A snapshot is durable under its final name.
    Written {
        meta: Box<SnapshotMeta>,
        found: Box<Found>,
        took: Duration,
    },
    /// It is not, and nothing is left of it.
    WriteFailed { reason: String },
    /// A transfer goes on with another file than the newest.
    Sending { to: NodeId, last: EntryId },
    /// A transfer has ended.
    Sent {
        to: NodeId,
        last: EntryId,
        is_installed: bool,
    },
    /// This node's own file is damaged, and was set aside, or cannot be read: another has to be written
    /// before a transfer can begin.
    Damaged { to: NodeId },
    /// This node's own file was found damaged, and set aside, or cannot be read any more: another has to
    /// be written, while there is memory to write it from.
    Lost { is_damage: bool },
    /// A client is to be answered.
    Backup {
        client: ClientId,
        answer: Result<BackupAnswer, String>,
    },
    /// A snapshot has been received, is durable under its final name, and loaded.
    Received {
        loaded: Box<LoadedSnapshot>,
        /// To be told when the state is the node's.
        answer: SyncSender<()>,
    },
}

/// Figures, for /metrics.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SnapshotStatistics {
    pub(crate) written: u64,
    pub(crate) write_failures: u64,
    pub(crate) last_bytes: u64,
    pub(crate) last_millis: u64,
    pub(crate) last_index: u64,
    pub(crate) is_writing: bool,
    pub(crate) disk_bytes: u64,
    pub(crate) sent: u64,
    pub(crate) send_failures: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) sending: u64,
    pub(crate) received: u64,
    pub(crate) received_bytes: u64,
    pub(crate) scrubbed_bytes: u64,
    pub(crate) damage_found: u64,
}

/// The threads' end of the way to the reactor.
#[derive(Debug)]
struct Outbox {
    completions: Mutex<Vec<Completion>>,
    waker: Arc<Waker>,
    /// What the directory takes on disk, as far as its threads have measured it.
    disk_bytes: AtomicU64,
}

impl Outbox {
    fn new(waker: Arc<Waker>) -> Outbox {
        Outbox {
            completions: Mutex::default(),
            waker,
            disk_bytes: AtomicU64::new(0),
        }
    }

    /// Measures what all files of the directory take. One that is renamed at this moment cannot be: then the
    /// last figure stays, until the next time.
    fn measure(&self, directory: &Directory) {
        if let Ok(bytes) = directory.disk_bytes() {
            self.disk_bytes.store(bytes, Ordering::Relaxed);
        }
    }

    fn complete(&self, completion: Completion) {
        lock(&self.completions).push(completion);
        if let Err(error) = self.waker.wake() {
            error!(%error, "the reactor cannot be woken");
        }
    }
}

/// The reactor's end.
pub(crate) struct Snapshots {
    settings: SnapshotSettings,
    directory: Directory,
    outbox: Arc<Outbox>,
    stop: Stop,
    is_urgent: Arc<AtomicBool>,
    /// Dropped to end the thread that writes.
    jobs: Option<Sender<Job>>,
    writer: Option<JoinHandle<()>>,
    /// Dropped to end the thread that receives.
    arrivals: Option<Sender<Arrival>>,
    receiver: Option<JoinHandle<()>>,
    /// Dropped to end the thread that reads for clients.
    backups: Option<Sender<BackupRequest>>,
    backup_reader: Option<JoinHandle<()>>,
    /// The connection that is being received on, or waits to be.
    receiving: Stop,
    /// Transfers to peers whose end was not told yet. A transfer leaves with its [`Completion`], not
    /// with its thread: between the two, the replica already knows of the end, and may want the next.
    sending: BTreeMap<NodeId, JoinHandle<()>>,
    /// Threads of transfers whose end was told: all that they still do is end.
    ending: Vec<JoinHandle<()>>,
    /// Files that were checked in this run, or written.
    checked: Arc<Mutex<BTreeSet<FileId>>>,
    newest: Option<EntryId>,
    sent_bytes: Arc<AtomicU64>,
    received_bytes: Arc<AtomicU64>,
    scrubbed_bytes: Arc<AtomicU64>,
    statistics: SnapshotStatistics,
}

impl std::fmt::Debug for Snapshots {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Snapshots")
            .field("settings", &self.settings)
            .field("newest", &self.newest)
            .field("sending", &self.sending.keys())
            .finish_non_exhaustive()
    }
}

impl Snapshots {
    /// Starts the thread that writes. `newest` is the file that the node has started from.
    pub(crate) fn start(
        settings: SnapshotSettings,
        directory: Directory,
        newest: Option<EntryId>,
        waker: Arc<Waker>,
    ) -> io::Result<Snapshots> {
        let outbox = Arc::new(Outbox::new(waker));
        outbox.measure(&directory);
        let (stop, is_urgent) = (Stop::default(), Arc::new(AtomicBool::new(false)));
        let scrubbed_bytes = Arc::<AtomicU64>::default();
        let writing = Writing {
            directory: directory.clone(),
            scope: settings.scope,
            bytes_per_second: settings.bytes_per_second,
            outbox: Arc::clone(&outbox),
            stop: stop.clone(),
            is_urgent: Arc::clone(&is_urgent),
            scrubbed_bytes: Arc::clone(&scrubbed_bytes),
        };
        let (jobs, todo): (Sender<Job>, Receiver<Job>) = channel();
        let writer = thread::Builder::new()
            .name("snapshots".into())
            .spawn(move || {
                Writing::be_nice();
                let directory = writing.directory.clone();
                let rate = settings.scrub_bytes_per_second;
                writing.serve(&todo, Scrub::new(directory, rate, Instant::now()));
            })?;
        let statistics = SnapshotStatistics {
            last_index: newest.map_or(0, |last| last.index.0),
            ..SnapshotStatistics::default()
        };
        Ok(Snapshots {
            settings,
            directory,
            outbox,
            stop: stop.clone(),
            is_urgent,
            jobs: Some(jobs),
            writer: Some(writer),
            arrivals: None,
            receiver: None,
            backups: None,
            backup_reader: None,
            receiving: stop.child(),
            sending: BTreeMap::new(),
            ending: Vec::new(),
            checked: Arc::default(),
            newest,
            sent_bytes: Arc::default(),
            received_bytes: Arc::default(),
            scrubbed_bytes,
            statistics,
        })
    }

    /// Hands a snapshot over to be written.
    pub(crate) fn write(&mut self, snapshot: Snapshot) {
        self.statistics.is_writing = true;
        self.ask(Job::Write(Box::new(snapshot)));
    }

    /// Another node's snapshot, which ends with this entry, is this node's state now: what it replaced is
    /// freed elsewhere, and older files are removed.
    pub(crate) fn installed(&mut self, retired: Retired, last: EntryId) {
        self.ask(Job::Replaced(Box::new(retired), last));
    }

    /// While the disk runs short of space, or the log outgrows its bound, snapshots are written as
    /// fast as they can be.
    pub(crate) fn judge_urgency(&mut self, is_disk_low: bool, log_disk_bytes: u64) {
        let share = self
            .statistics
            .last_bytes
            .saturating_mul(self.settings.log_percent)
            / 100;
        let due = share.clamp(self.settings.log_bytes_min, self.settings.log_bytes_max);
        let bound = due.saturating_mul(URGENT_PARTS) + self.settings.log_bytes_spare;
        let is_urgent = is_disk_low || log_disk_bytes > bound;
        self.is_urgent.store(is_urgent, Ordering::Relaxed);
    }

    /// The last entry of the newest file.
    pub(crate) fn newest(&self) -> Option<EntryId> {
        self.newest
    }

    /// Begins to send the newest file to a peer, or another one that reaches `least` and of which the peer
    /// has a part. A transfer to it that is under way goes on instead,
    /// and this returns false: its end is told in any case.
    pub(crate) fn send(&mut self, target: SnapshotTarget, least: LogIndex) -> bool {
        let to = target.node;
        self.ending.retain(|thread| !thread.is_finished());
        if self.sending.contains_key(&to) {
            return false;
        }
        let outbox = Arc::clone(&self.outbox);
        let delivery = Delivery {
            directory: self.directory.clone(),
            target,
            least,
            on_older: Box::new(move |last| outbox.complete(Completion::Sending { to, last })),
            bytes_per_second: self.settings.send_bytes_per_second,
            stop: self.stop.child(),
            sent_bytes: Arc::clone(&self.sent_bytes),
            checked: Arc::clone(&self.checked),
        };
        let outbox = Arc::clone(&self.outbox);
        let spawned = thread::Builder::new()
            .name(format!("snapshot-to-{}", to.0))
            .spawn(move || {
                let completion = delivery.run();
                outbox.measure(&delivery.directory);
                outbox.complete(completion);
            });
        match spawned {
            Ok(thread) => {
                self.sending.insert(to, thread);
            }
            Err(error) => {
                error!(%error, "no thread can be started to send a snapshot");
                self.outbox.complete(sent(to, None));
            }
        }
        true
    }

    /// Takes over a connection on which a peer brings a snapshot. `applied` is how far this node is.
    pub(crate) fn receive(&mut self, from: NodeId, connection: Detached, applied: LogIndex) {
        self.receiving.raise();
        self.receiving = self.stop.child();
        let arrival = Arrival {
            from,
            connection,
            applied,
            stop: self.receiving.clone(),
        };
        let arrivals = match &self.arrivals {
            Some(arrivals) => arrivals,
            None => match self.start_receiver() {
                Ok(arrivals) => self.arrivals.insert(arrivals),
                Err(error) => {
                    error!(%error, "no thread can be started to receive a snapshot");
                    return;
                }
            },
        };
        if arrivals.send(arrival).is_err() {
            error!("the thread that receives snapshots has ended with an internal error");
        }
    }

    /// Hands on what a client wants of a file.
    pub(crate) fn backup(&mut self, request: BackupRequest) {
        let requests = match &self.backups {
            Some(requests) => requests,
            None => match self.start_backup_reader() {
                Ok(requests) => self.backups.insert(requests),
                Err(error) => {
                    let reason = format!("no thread can be started to read a snapshot: {error}");
                    return self.outbox.complete(Completion::Backup {
                        client: request.client,
                        answer: Err(reason),
                    });
                }
            },
        };
        if requests.send(request).is_err() {
            error!("the thread that reads snapshots has ended with an internal error");
        }
    }

    /// Moves what has been done since the last call into `completions`.
    pub(crate) fn completions(&mut self, completions: &mut Vec<Completion>) {
        let first = completions.len();
        completions.append(&mut lock(&self.outbox.completions));
        for completion in &completions[first..] {
            self.note(completion);
        }
    }

    /// Figures.
    pub(crate) fn statistics(&self) -> SnapshotStatistics {
        SnapshotStatistics {
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
            received_bytes: self.received_bytes.load(Ordering::Relaxed),
            scrubbed_bytes: self.scrubbed_bytes.load(Ordering::Relaxed),
            sending: self.sending.len() as u64,
            disk_bytes: self.outbox.disk_bytes.load(Ordering::Relaxed),
            ..self.statistics
        }
    }

    /// Stops all threads: what is half written or half sent is given up, what is half received stays.
    pub(crate) fn close(mut self) {
        self.close_and_join();
    }

    fn close_and_join(&mut self) {
        self.stop.raise_all();
        self.jobs = None;
        self.arrivals = None;
        self.backups = None;
        // Whoever waits for an answer gets none.
        lock(&self.outbox.completions).clear();
        let senders = std::mem::take(&mut self.sending).into_values();
        let senders = senders.chain(std::mem::take(&mut self.ending));
        let readers = self
            .receiver
            .take()
            .into_iter()
            .chain(self.backup_reader.take());
        let threads = self.writer.take().into_iter().chain(readers);
        for thread in threads.chain(senders) {
            if thread.join().is_err() {
                error!("a thread for snapshots ended with an internal error");
            }
        }
    }

    fn ask(&mut self, job: Job) {
        let is_taken = self
            .jobs
            .as_ref()
            .is_some_and(|jobs| jobs.send(job).is_ok());
        if !is_taken {
            error!("the thread that writes snapshots has ended with an internal error");
        }
    }

    fn start_backup_reader(&mut self) -> io::Result<Sender<BackupRequest>> {
        let (requests, queue): (Sender<BackupRequest>, Receiver<BackupRequest>) = channel();
        let mut reader = backup::Reading::new(self.directory.clone(), Arc::clone(&self.outbox));
        let thread = thread::Builder::new()
            .name("backup".into())
            .spawn(move || reader.serve(&queue))?;
        self.backup_reader = Some(thread);
        Ok(requests)
    }

    fn start_receiver(&mut self) -> io::Result<Sender<Arrival>> {
        let (arrivals, queue): (Sender<Arrival>, Receiver<Arrival>) = channel();
        let receiving = Receiving {
            directory: self.directory.clone(),
            scope: self.settings.scope,
            outbox: Arc::clone(&self.outbox),
            received_bytes: Arc::clone(&self.received_bytes),
            working_interval: receive::WORKING_INTERVAL,
        };
        let thread = thread::Builder::new()
            .name("snapshot-from".into())
            .spawn(move || queue.iter().for_each(|arrival| receiving.serve(arrival)))?;
        self.receiver = Some(thread);
        Ok(arrivals)
    }

    fn note(&mut self, completion: &Completion) {
        let statistics = &mut self.statistics;
        match completion {
            Completion::Written { found, took, .. } => {
                statistics.written += 1;
                statistics.is_writing = false;
                statistics.last_bytes = found.bytes;
                statistics.last_millis = took.as_millis() as u64;
                let mut checked = lock(&self.checked);
                checked.insert(found.id());
                while checked.len() > CHECKED_MAX {
                    checked.pop_first();
                }
                drop(checked);
                self.set_newest(position(found.meta.term, found.meta.index));
            }
            Completion::WriteFailed { .. } => {
                statistics.write_failures += 1;
                statistics.is_writing = false;
            }
            Completion::Sent {
                to, is_installed, ..
            } => {
                match is_installed {
                    true => statistics.sent += 1,
                    false => statistics.send_failures += 1,
                }
                self.ending.extend(self.sending.remove(to));
            }
            Completion::Damaged { to } => {
                statistics.send_failures += 1;
                // Without a newest file there was nothing to be damaged, or it was counted before.
                statistics.damage_found += u64::from(self.newest.take().is_some());
                self.ending.extend(self.sending.remove(to));
            }
            Completion::Lost { is_damage } => {
                statistics.damage_found += u64::from(*is_damage);
                self.newest = None;
                lock(&self.checked).clear();
            }
            Completion::Backup { .. } | Completion::Sending { .. } => {}
            Completion::Received { loaded, .. } => {
                statistics.received += 1;
                self.set_newest(loaded.meta.last);
            }
        }
    }

    fn set_newest(&mut self, last: EntryId) {
        if self.newest.is_none_or(|newest| newest.index < last.index) {
            self.newest = Some(last);
            self.statistics.last_index = last.index.0;
        }
    }
}

impl Drop for Snapshots {
    fn drop(&mut self) {
        self.close_and_join();
    }
}

fn sent(to: NodeId, last: Option<EntryId>) -> Completion {
    Completion::Sent {
        to,
        last: last.unwrap_or(EntryId::ZERO),
        is_installed: last.is_some(),
    }
}

fn position(term: u64, index: u64) -> EntryId {
    EntryId {
        term: Term(term),
        index: LogIndex(index),
    }
}

/// A lock whose holder panicked ends the process in production; in tests, what it guards is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
