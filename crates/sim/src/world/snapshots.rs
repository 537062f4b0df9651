//! A node's snapshots: what its snapshot thread does, as a chain of events.
//!
//! A snapshot is written in steps: the file is begun, each block is added, the file is made durable
//! under its name. Anything may happen between two steps, and the power may fail within one.

use std::path::Path;

use raft::{EntryId, SnapshotMeta};
use replica::{LoadedSnapshot, Snapshot, SnapshotLoader};
use snapshot::{Directory, Meta, Position, SnapshotError, Writer};
use vfs::Vfs;

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
    /// Opens a node's snapshots, and loads the one that it starts from, if its log, which begins behind
    /// `base` (term and index), goes on there. On a disk that was never damaged, none is passed over.
    /// The log ends with entry `log_last`.
    pub(super) fn open(
        vfs: std::sync::Arc<dyn Vfs>,
        is_damaged: bool,
        (term, index): (u64, u64),
        log_last: u64,
    ) -> Result<Opened, StartFailure> {
        let directory = Directory::open(vfs, &Path::new(DATA_DIR).join("snapshots"))?;
        directory.remove_temporary()?;
        let choice = directory.choose::<SnapshotLoader>((CLUSTER, GROUP), &mut |_, _| true)?;
        if let Some(refused) = choice.passed_over.first().filter(|_| !is_damaged) {
            return Err(StartFailure::Refused(refused.error.to_string()));
        }
        let judged = choice.judge(Position { term, index });
        judged.map_err(|misfit| StartFailure::Refused(format!("{misfit:?} at {index}")))?;
        choice.settle(&directory, log_last)?;
        let snapshots = Snapshots {
            directory,
            writing: None,
        };
        Ok(Opened {
            snapshots,
            loaded: choice.state,
        })
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
    let vfs = directory.vfs().as_ref();
    let loaded = snapshot::load::<SnapshotLoader>(vfs, path, (CLUSTER, GROUP), &mut |_, _| true);
    Ok(loaded?.0)
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
        let last = meta.last;
        self.snapshot_is_durable(node, last, false);
        self.remove_replaced_snapshots(node, last);
        if self.process(node, life).is_some() {
            self.input(node, |replica, now| {
                replica.snapshot_written(now, meta, bytes);
            });
        }
    }

    /// A snapshot has got its name.
    pub(super) fn snapshot_is_durable(&mut self, node: usize, last: EntryId, is_received: bool) {
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
    }

    /// The state of the node was written to a snapshot, or taken from one: what it replaces goes.
    pub(super) fn remove_replaced_snapshots(&mut self, node: usize, by: EntryId) {
        let Some(process) = &self.nodes[node].process else {
            return;
        };
        let directory = process.snapshots.directory.clone();
        let id = self.nodes[node].id;
        self.see(&Fact::SnapshotsRemoved {
            node: id,
            below: by.index,
        });
        let by = Position {
            term: by.term.0,
            index: by.index.0,
        };
        // What cannot be removed now is removed with the next.
        if directory.remove_replaced(by).is_err() {
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
