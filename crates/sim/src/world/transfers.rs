//! Snapshots on their way to followers that are too far behind, as chains of events.
//!
//! A transfer has a connection of its own. It announces a file, sends it piece by piece from where the
//! receiver stands, and ends when the receiver has checked, kept and installed it. A cut, the end of a
//! process or a fault breaks it at any step; the next one goes on where it stood.

use raft::{EntryId, LogIndex, NodeId, SendSnapshot, Term};
use snapshot::{FileId, Found, ReceiveError, Receiver, SnapshotError, Source, verify};

use crate::judges::{Fact, Violation};
use crate::report::{FaultClass, TraceKind};
use crate::tape::{Site, SiteKind};
use crate::world::World;
use crate::world::node::{CLUSTER, GROUP, StartFailure};
use crate::world::queue::Event;
use crate::world::snapshots::load;

/// How often a step of a transfer breaks it, in a million, where that fault is on.
const BREAKS_PPM: u64 = 100_000;

/// How long a sender waits in silence before it gives a transfer up.
const LOST_AFTER_US: u64 = 3_000_000;

/// A snapshot on its way.
pub(super) struct Transfer {
    from: usize,
    to: usize,
    /// An older file is of no use: the sender's log begins behind this entry.
    least: LogIndex,
    /// The runs of both processes: it ends with either.
    lives: (u32, u32),
    source: Source,
    stage: Stage,
}

/// What comes next.
enum Stage {
    /// The receiver learns which file it is.
    Announced,
    /// Pieces are sent.
    Sending(Box<Receiver>),
    /// The file is durable at the receiver under its final name.
    Received(Box<Found>),
    /// The sender learns how it ended.
    Ended { is_installed: bool },
}

impl World {
    /// A leader wants a follower to have a snapshot.
    pub(super) fn begin_transfer(&mut self, from: usize, request: SendSnapshot) {
        let to = request.to.0 as usize - 1;
        let lives = (self.nodes[from].life, self.nodes[to].life);
        let is_same = |transfer: &Transfer| (transfer.from, transfer.to) == (from, to);
        let mut under_way = self.transfers.iter().flatten();
        if under_way.any(|transfer| is_same(transfer) && transfer.lives == lives) {
            // That one will say how it ended.
            return;
        }
        match self.open_source(from, request.least) {
            Ok(source) => {
                let number = self.transfers.len() as u32;
                let last = last_of(&source.id());
                self.note(0x300 | to as u64, source.id().index);
                self.transfers.push(Some(Transfer {
                    from,
                    to,
                    least: request.least,
                    lives,
                    source,
                    stage: Stage::Announced,
                }));
                self.report.transfers += 1;
                self.transfer_later(number, 2 * self.swarm.latency_us);
                self.input(from, |replica, now| {
                    replica.snapshot_sending(now, request.to, last);
                });
            }
            Err(reason) => {
                self.show(|| TraceKind::Ended {
                    node: NodeId(from as u64 + 1),
                    text: format!("no snapshot for {}: {reason}", request.to),
                });
                self.input(from, |replica, now| {
                    replica.snapshot_sent(now, request.to, EntryId::ZERO, false);
                });
            }
        }
    }

    /// Opens the newest snapshot of a node to send it. One that is damaged is set aside, and another is
    /// taken, as for one that cannot be read.
    fn open_source(&mut self, node: usize, least: LogIndex) -> Result<Source, String> {
        let place = &self.nodes[node];
        let is_damaged = place.is_damaged;
        let Some(process) = &place.process else {
            return Err("it does not run".to_owned());
        };
        let directory = process.snapshots.directory.clone();
        let vfs = directory.vfs().as_ref();
        let files = directory.list().map_err(|error| error.to_string())?;
        let newest = files.into_iter().next();
        let reason = match newest.filter(|(index, ..)| *index >= least.0) {
            None => format!("none reaches {least}"),
            Some((_, _, path)) => match verify(vfs, &path) {
                Ok(report) => {
                    return Source::open_as(vfs, &path, report.id()).map_err(|it| it.to_string());
                }
                Err(error @ SnapshotError::Io { .. }) => {
                    if !self.crashed_in_file(node) {
                        self.take_another_snapshot(node);
                    }
                    return Err(error.to_string());
                }
                Err(error) => {
                    // If even that fails, it is found again.
                    let _ = directory.set_aside(&path);
                    error.to_string()
                }
            },
        };
        if !is_damaged {
            self.fail(Violation {
                property: "snapshots",
                detail: format!("n{} is to send a snapshot: {reason}", node + 1),
            });
        }
        self.take_another_snapshot(node);
        Err(reason)
    }

    /// A node's newest file is of no use.
    fn take_another_snapshot(&mut self, node: usize) {
        let id = self.nodes[node].id;
        self.see(&Fact::SnapshotLost { node: id });
        self.input(node, |replica, now| {
            replica.snapshot_lost(now);
            replica.request_snapshot(now);
        });
    }

    fn transfer_later(&mut self, transfer: u32, after_us: u64) {
        self.queue
            .push(self.now_us + after_us, Event::Transfer { transfer });
    }

    /// A transfer takes its next step.
    pub(super) fn transfer_step(&mut self, number: u32) {
        let Some(mut transfer) = self.transfers[number as usize].take() else {
            return;
        };
        let (from, to) = (transfer.from, transfer.to);
        if self.process(from, transfer.lives.0).is_none() {
            return;
        }
        let paused_until_us = self.nodes[to].paused_until_us;
        if paused_until_us > self.now_us {
            self.queue
                .push(paused_until_us, Event::Transfer { transfer: number });
            self.transfers[number as usize] = Some(transfer);
            return;
        }
        if let Stage::Ended { is_installed } = transfer.stage {
            return self.transfer_ended(&transfer, is_installed);
        }
        let is_cut = self.network.is_cut(from, to) || self.network.is_cut(to, from);
        let is_broken =
            is_cut || self.process(to, transfer.lives.1).is_none() || self.breaks_transfer(to);
        let (stage, wait_us) = match is_broken {
            true => {
                let wait_us = if is_cut {
                    LOST_AFTER_US
                } else {
                    self.swarm.latency_us
                };
                let is_installed = false;
                (Stage::Ended { is_installed }, wait_us)
            }
            false => {
                if matches!(transfer.stage, Stage::Announced)
                    && let Some(begun) = self.begun_before(from, to, transfer.least)
                {
                    let last = last_of(&begun.id());
                    transfer.source = begun;
                    let peer = NodeId(to as u64 + 1);
                    self.input(from, |replica, now| {
                        replica.snapshot_sending(now, peer, last);
                    });
                }
                let stage = self.receiver_step(&transfer.source, to, transfer.stage);
                let site = Site::new(SiteKind::Snapshot, 32 + to);
                let link_us = self.network.link(from, to).slow_us + 2 * self.swarm.latency_us;
                let jitter_us = self.tape.exponential_us(site, self.swarm.jitter_us.max(1));
                (stage, self.file_step_us(to) + link_us + jitter_us)
            }
        };
        transfer.stage = stage;
        self.transfers[number as usize] = Some(transfer);
        self.transfer_later(number, wait_us);
    }

    fn breaks_transfer(&mut self, to: usize) -> bool {
        if self.is_healing || !self.swarm.is_on(FaultClass::FailedTransfer) {
            return false;
        }
        let site = Site::new(SiteKind::Snapshot, 64 + to);
        let breaks = self.tape.chance(site, BREAKS_PPM);
        if breaks {
            self.report.faults.add(FaultClass::FailedTransfer);
        }
        breaks
    }

    /// The file that the receiver has a part of, if the sender still has it and its log goes on behind it.
    fn begun_before(&self, from: usize, to: usize, least: LogIndex) -> Option<Source> {
        let receiver = self.nodes[to].process.as_ref()?;
        let partial = receiver.snapshots.directory.partial(CLUSTER, GROUP);
        let partial = partial.ok()??;
        let is_of_use =
            partial.index >= least.0 && partial.index > receiver.replica.raft().applied_index().0;
        let sender = &self.nodes[from].process.as_ref()?.snapshots.directory;
        let path = sender.finished_path(partial.index, partial.term);
        let report = verify(sender.vfs().as_ref(), &path)
            .ok()
            .filter(|_| is_of_use)?;
        let is_same = report.id() == partial;
        let source = is_same.then(|| Source::open_as(sender.vfs().as_ref(), &path, partial));
        source?.ok()
    }

    /// What the receiver does when something arrives.
    fn receiver_step(&mut self, source: &Source, to: usize, stage: Stage) -> Stage {
        let failed = Stage::Ended {
            is_installed: false,
        };
        let Some(process) = &mut self.nodes[to].process else {
            return failed;
        };
        let directory = process.snapshots.directory.clone();
        let outcome = match stage {
            Stage::Announced => Receiver::begin(&directory, source.id())
                .map(|(receiver, _)| Stage::Sending(Box::new(receiver)))
                .map_err(|error| error.to_string()),
            Stage::Sending(receiver) => self.receive(source, to, receiver),
            Stage::Received(found) => self.install(to, &found),
            Stage::Ended { .. } => return stage,
        };
        match outcome {
            Ok(stage) => stage,
            Err(reason) => {
                self.crashed_in_file(to);
                self.show(|| TraceKind::Ended {
                    node: NodeId(to as u64 + 1),
                    text: format!("did not take a snapshot: {reason}"),
                });
                failed
            }
        }
    }

    /// The next piece arrives; behind the last one, the file is checked and gets its name.
    fn receive(
        &mut self,
        source: &Source,
        to: usize,
        mut receiver: Box<Receiver>,
    ) -> Result<Stage, String> {
        let offset = receiver.received_bytes();
        let chunk = source
            .read(offset, self.swarm.chunk_bytes)
            .map_err(|error| error.to_string())?;
        if !chunk.is_empty() {
            receiver
                .chunk(offset, &chunk)
                .map_err(|error| error.to_string())?;
            return Ok(Stage::Sending(receiver));
        }
        self.arm_crash_in_snapshot(to);
        let found = receiver
            .finish()
            .map_err(|error: ReceiveError| error.to_string())?;
        self.snapshot_is_durable(to, last_of(&source.id()), true);
        Ok(Stage::Received(Box::new(found)))
    }

    /// The state of the file takes the place of the receiver's.
    fn install(&mut self, to: usize, found: &Found) -> Result<Stage, String> {
        let Some(process) = &self.nodes[to].process else {
            return Err("it does not run".to_owned());
        };
        let directory = process.snapshots.directory.clone();
        let loaded = load(&directory, &found.path).map_err(|failure| match failure {
            StartFailure::Disk(text) | StartFailure::Refused(text) => text,
        })?;
        let last = loaded.meta.last;
        let mut hash = None;
        self.input(to, |replica, now| {
            let before = replica.raft().applied_index();
            replica.install(now, loaded);
            let after = replica.raft().applied_index();
            hash = (after > before).then(|| replica.state_hash());
        });
        self.remove_replaced_snapshots(to, last);
        let id = self.nodes[to].id;
        if let Some(hash) = hash {
            self.report.installs += 1;
            self.see(&Fact::State {
                node: id,
                index: last.index,
                hash,
            });
        }
        Ok(Stage::Ended { is_installed: true })
    }

    fn transfer_ended(&mut self, transfer: &Transfer, is_installed: bool) {
        let last = last_of(&transfer.source.id());
        let to = self.nodes[transfer.to].id;
        self.show(|| TraceKind::Persisted {
            node: NodeId(transfer.from as u64 + 1),
            text: format!("sending a snapshot to {last} to {to} ended, installed: {is_installed}"),
        });
        self.input(transfer.from, |replica, now| {
            replica.snapshot_sent(now, to, last, is_installed);
        });
    }

    /// Bytes of snapshots that have arrived, of transfers under way: whoever waits sees that something
    /// comes.
    pub(super) fn snapshot_bytes_arrived(&self) -> u64 {
        let stages = self.transfers.iter().flatten().map(|it| &it.stage);
        let bytes = stages.map(|stage| match stage {
            Stage::Sending(receiver) => receiver.received_bytes(),
            Stage::Received(found) => found.bytes,
            Stage::Announced | Stage::Ended { .. } => 0,
        });
        bytes.sum()
    }
}

fn last_of(id: &FileId) -> EntryId {
    EntryId {
        term: Term(id.term),
        index: LogIndex(id.index),
    }
}
