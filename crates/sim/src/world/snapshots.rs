//! A node's snapshots: what its snapshot thread does, as a chain of events.
//!
//! A snapshot is written in steps: the file is begun, each block is added, the file is made durable
//! under its name. Anything may happen between two steps, and the power may fail within one. Older
//! ones are removed when the log begins, durably, behind what they contain.

use std::path::Path;

use raft::{EntryId, LogIndex, SnapshotMeta, WriteId};
use replica::{LoadedSnapshot, Snapshot, SnapshotLoader};
use snapshot::{Directory, Meta, Reader, SnapshotError, Writer};
use vfs::Vfs;
use wal::RecordKind;

use crate::judges::Fact;
use crate::report::{FaultClass, TraceKind};
use crate::tape::{Site, SiteKind};
use crate::world::World;
use crate::world::node::{CLUSTER, DATA_DIR, GROUP, StartFailure};
use crate::world::queue::Event;

/// What a process keeps of its snapshots.
pub(super) struct Snapshots {
    pub(super) directory: Directory,
    /// The one being written.
    writing: Option<Writing>,
    /// The newest that is durable.
    newest: LogIndex,
    /// The write that will make the log begin later, and where.
    base: Option<(WriteId, LogIndex)>,
}

struct Writing {
    snapshot: SnapshotMeta,
    meta: Meta,
    blocks: kv::Blocks,
    writer: Option<Writer>,
}

/// What a start found.
pub(super) struct Opened {
    pub(super) snapshots: Snapshots,
    pub(super) loaded: Option<LoadedSnapshot>,
}

impl Snapshots {
    /// Opens a node's snapshots, and loads the newest good one. On a disk that was never damaged,
    /// there are no others.
    pub(super) fn open(
        vfs: std::sync::Arc<dyn Vfs>,
        is_damaged: bool,
    ) -> Result<Opened, StartFailure> {
        let directory = Directory::open(vfs, &Path::new(DATA_DIR).join("snapshots"))?;
        directory.remove_temporary()?;
        let newest = directory.newest_good(CLUSTER, GROUP)?;
        if let Some(refused) = newest.refused.first().filter(|_| !is_damaged) {
            return Err(StartFailure::Refused(refused.error.to_string()));
        }
        let loaded = match &newest.good {
            Some(found) => Some(load(&directory, &found.path)?),
            None => None,
        };
        let last = loaded.as_ref().map(|loaded| loaded.meta.last);
        directory.remove_partial_to(last.map_or(0, |last| last.index.0))?;
        let snapshots = Snapshots {
            directory,
            writing: None,
            newest: last.unwrap_or_default().index,
            base: None,
        };
        Ok(Opened { snapshots, loaded })
    }
}

impl Writing {
    /// Does the next step. Returns the file's size when it is durable.
    fn step(&mut self, directory: &Directory) -> Result<Option<u64>, SnapshotError> {
        let Some(writer) = &mut self.writer else {
            self.writer = Some(Writer::create(directory, &self.meta)?);
            return Ok(None);
        };
        if let Some(block) = self.blocks.next() {
            writer.block(&block)?;
            return Ok(None);
        }
        match self.writer.take() {
            Some(writer) => Ok(Some(writer.finish()?.bytes)),
            None => Ok(None),
        }
    }

    fn is_last_step(&self) -> bool {
        self.writer.is_some() && self.blocks.keys_left() == 0
    }
}

/// Reads a snapshot's file.
pub(super) fn load(directory: &Directory, path: &Path) -> Result<LoadedSnapshot, StartFailure> {
    let refused = |error: replica::SnapshotError| StartFailure::Refused(error.to_string());
    let (meta, mut reader) = Reader::open(directory.vfs().as_ref(), path)?;
    let mut loader = SnapshotLoader::new(&meta.head).map_err(refused)?;
    while let Some(block) = reader.next_block()? {
        loader.block(&block).map_err(refused)?;
    }
    loader.finish().map_err(refused)
}

impl World {
    /// Begins to write a snapshot.
    pub(super) fn begin_snapshot(&mut self, node: usize, snapshot: Snapshot) {
        let id = self.nodes[node].id;
        let last = snapshot.meta.last;
        let Some(process) = &self.nodes[node].process else {
            return;
        };
        let hash = process.replica.state_hash();
        self.see(&Fact::State {
            node: id,
            index: last.index,
            hash,
        });
        self.note(0x200 | node as u64, last.index.0);
        let life = self.nodes[node].life;
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        process.snapshots.writing = Some(Writing {
            meta: Meta {
                cluster: CLUSTER,
                group: GROUP,
                term: last.term.0,
                index: last.index.0,
                time_ms: snapshot.meta.time_ms,
                head: snapshot.head,
            },
            snapshot: snapshot.meta,
            blocks: snapshot.frozen.blocks(),
            writer: None,
        });
        self.snapshot_step_later(node, life);
    }

    fn snapshot_step_later(&mut self, node: usize, life: u32) {
        let takes_us = self.file_step_us(node);
        self.queue
            .push(self.now_us + takes_us, Event::Snapshot { node, life });
    }

    /// How long a step of reading or writing a snapshot takes.
    pub(super) fn file_step_us(&mut self, node: usize) -> u64 {
        let site = Site::new(SiteKind::Snapshot, node);
        // When faults end, slow threads are fast again.
        let mean_us = match self.is_healing {
            false => self.swarm.snapshot_step_us,
            true => self.swarm.snapshot_step_us.min(1_000),
        };
        self.swarm.disk_us + self.nodes[node].slow_disk_us + self.tape.exponential_us(site, mean_us)
    }

    /// The snapshot thread does the next step.
    pub(super) fn snapshot_step(&mut self, node: usize, life: u32) {
        let place = &self.nodes[node];
        let resumes_us = place.hung_until_us.max(place.paused_until_us);
        if resumes_us > self.now_us {
            self.queue.push(resumes_us, Event::Snapshot { node, life });
            return;
        }
        let Some(process) = self.process(node, life) else {
            return;
        };
        let Some(mut writing) = process.snapshots.writing.take() else {
            return;
        };
        let directory = process.snapshots.directory.clone();
        if writing.is_last_step() {
            self.arm_crash_in_snapshot(node);
        }
        match writing.step(&directory) {
            Ok(None) => {
                if let Some(process) = self.process(node, life) {
                    process.snapshots.writing = Some(writing);
                }
                self.snapshot_step_later(node, life);
            }
            Ok(Some(bytes)) => self.snapshot_written(node, life, writing.snapshot, bytes),
            Err(error) => {
                drop(writing);
                let reason = error.to_string();
                if !self.crashed_in_file(node) {
                    self.input(node, |replica, now| replica.snapshot_failed(now, &reason));
                }
            }
        }
    }

    fn snapshot_written(&mut self, node: usize, life: u32, meta: SnapshotMeta, bytes: u64) {
        let before = self.snapshot_is_durable(node, life, meta.last, false);
        self.input(node, |replica, now| {
            replica.snapshot_written(now, meta, bytes);
        });
        // The one before it is kept until the log is cut, those before that are of no use.
        self.remove_snapshots(node, before);
    }

    /// A snapshot has got its name. Returns the one that was the newest before.
    pub(super) fn snapshot_is_durable(
        &mut self,
        node: usize,
        life: u32,
        last: EntryId,
        is_received: bool,
    ) -> LogIndex {
        let id = self.nodes[node].id;
        self.see(&Fact::SnapshotDurable {
            node: id,
            last,
            is_received,
        });
        self.show(|| TraceKind::Persisted {
            node: id,
            text: match is_received {
                false => format!("snapshot to {last}"),
                true => format!("snapshot to {last}, received"),
            },
        });
        let Some(process) = self.process(node, life) else {
            return LogIndex(0);
        };
        let newest = &mut process.snapshots.newest;
        let before = *newest;
        *newest = last.index.max(before);
        before
    }

    /// Notes that a write brings a new beginning of the log.
    pub(super) fn note_base(&mut self, node: usize, write: &replica::Write) {
        let bases = write.records.iter();
        let base = bases
            .filter(|record| record.kind == RecordKind::Base)
            .last();
        if let Some(base) = base
            && let Some(process) = &mut self.nodes[node].process
        {
            process.snapshots.base = Some((write.id, LogIndex(base.index)));
        }
    }

    /// The log begins, durably, behind what older snapshots contain.
    pub(super) fn base_may_be_durable(&mut self, node: usize, write: WriteId) {
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        let snapshots = &mut process.snapshots;
        let is_durable =
            |&mut (by, base): &mut (WriteId, LogIndex)| by <= write && base <= snapshots.newest;
        if snapshots.base.take_if(is_durable).is_some() {
            let newest = snapshots.newest;
            self.remove_snapshots(node, newest);
        }
    }

    fn remove_snapshots(&mut self, node: usize, below: LogIndex) {
        let Some(process) = &self.nodes[node].process else {
            return;
        };
        let directory = process.snapshots.directory.clone();
        let id = self.nodes[node].id;
        self.see(&Fact::SnapshotsRemoved { node: id, below });
        // What cannot be removed now is removed with the next.
        if directory.remove_older_than(below.0).is_err() {
            self.crashed_in_file(node);
        }
    }

    /// Whether the power failed while a file of a snapshot was worked on: the process is gone then.
    pub(super) fn crashed_in_file(&mut self, node: usize) -> bool {
        if self.nodes[node].vfs.halted_in().is_none() {
            return false;
        }
        let how = self.power_failure(node);
        self.crash(node, how, "the power failed while a snapshot was worked on");
        self.restart_later(node);
        true
    }

    /// A file of a snapshot is about to get its name: the power may fail on the way.
    pub(super) fn arm_crash_in_snapshot(&mut self, node: usize) {
        let place = &mut self.nodes[node];
        if let Some(after) = place.crash_in_snapshot.take() {
            place.vfs.halt_at_operation(place.vfs.operations() + after);
            self.report.faults.add(FaultClass::CrashInSnapshot);
        }
    }
}

impl From<SnapshotError> for StartFailure {
    fn from(error: SnapshotError) -> StartFailure {
        match error {
            SnapshotError::Io { .. } => StartFailure::Disk(error.to_string()),
            _ => StartFailure::Refused(error.to_string()),
        }
    }
}
