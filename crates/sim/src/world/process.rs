//! What a node's process does: starts, ticks, ends turns, uses its disk, dies.
//!
//! The reactor and the disk thread of the server are two chains of events here. The disk takes all
//! writes that wait at once (group commit), works for a while, and reports; a crash in between finds
//! them written and not synced.

use raft::{NodeId, WriteId};
use replica::{Disconnect, Output, PeerMessage, Replica, Write, storage};
use vfs::Crash;
use wal::{Preparation, Record, Space, WalError};

use crate::judges::{Fact, View, Violation};
use crate::report::TraceKind;
use crate::tape::{Site, SiteKind};
use crate::world::World;
use crate::world::node::{Down, Found, GROUP, Process, StartFailure, UnderWay};
use crate::world::queue::Event;

/// As many ticks as the server makes up for at once when it was late.
const TICKS_PER_TURN_MAX: u64 = 2;

/// How long a node that was asked to stop may take.
const STOP_TIMEOUT_US: u64 = 2_000_000;

/// How often a full disk is asked whether it has space again.
const SPACE_POLL_US: u64 = 250_000;

impl World {
    /// The process of a node, if this life of it still lasts.
    pub(super) fn process(&mut self, node: usize, life: u32) -> Option<&mut Process> {
        let node = &mut self.nodes[node];
        if node.life == life {
            node.process.as_mut()
        } else {
            None
        }
    }

    /// Gives a running process an input, and sees to it that it ends a turn.
    pub(super) fn input(&mut self, node: usize, act: impl FnOnce(&mut Replica, replica::Now)) {
        let now = self.nodes[node].clock.at(self.now_us);
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        act(&mut process.replica, now);
        if process.turn_scheduled {
            return;
        }
        if self.swarm.turn_us == 0 {
            self.turn(node);
        } else {
            process.turn_scheduled = true;
            let life = self.nodes[node].life;
            self.queue
                .push(self.now_us + self.swarm.turn_us, Event::Turn { node, life });
        }
    }

    pub(super) fn end_turn(&mut self, node: usize, life: u32) {
        if let Some(process) = self.process(node, life) {
            process.turn_scheduled = false;
            self.turn(node);
        }
    }

    pub(super) fn start(&mut self, node: usize, life: u32) {
        let now_us = self.now_us;
        let place = &mut self.nodes[node];
        if place.life != life || place.process.is_some() || place.down != Down::Restarts {
            return;
        }
        place.life += 1;
        place.crash_at_output = None;
        place.sessions.clear();
        match place.start(&self.swarm, now_us, &mut self.tape) {
            Ok(_) if place.is_forgotten() => {
                // Started so often on an old copy, and met by nobody, that it seems to be a later run.
                // The promise does not cover that.
                place.process = None;
                place.vfs.crash(Crash::Process);
                place.down = Down::Refused;
            }
            Ok(found) => {
                place.down = Down::No;
                self.started(node, &found);
            }
            Err(StartFailure::Disk(text)) => {
                let id = place.id;
                place.vfs.crash(Crash::Process);
                self.show(|| TraceKind::Ended {
                    node: id,
                    text: format!("did not start: {text}"),
                });
                self.restart_later(node);
            }
            Err(StartFailure::Refused(_)) if place.is_retired => place.down = Down::Removed,
            Err(StartFailure::Refused(text)) => self.refused(node, text),
        }
    }

    fn started(&mut self, node: usize, found: &Found) {
        let Some(process) = &self.nodes[node].process else {
            return;
        };
        let (id, life) = (self.nodes[node].id, self.nodes[node].life);
        let incarnation = process.run.incarnation;
        let view = View::of(&process.replica);
        self.see(&Fact::Started {
            node: id,
            incarnation,
            recovered: &found.records,
            snapshot: found.snapshot,
            view,
        });
        if let Some((index, hash)) = found.state {
            self.see(&Fact::State {
                node: id,
                index,
                hash,
            });
        }
        self.show(|| TraceKind::Started {
            node: id,
            incarnation,
        });
        self.schedule_tick(node, life);
        for peer in 0..self.nodes.len() {
            if peer != node {
                self.connect_later(node, peer);
            }
        }
    }

    /// A node does not run on what its disk holds. That is right if the disk was damaged, and a bug if
    /// not.
    pub(super) fn refused(&mut self, node: usize, text: String) {
        let place = &mut self.nodes[node];
        place.down = Down::Refused;
        let (id, is_damaged) = (place.id, place.is_damaged);
        self.see(&Fact::Refused {
            node: id,
            reason: &text,
        });
        if !is_damaged {
            self.fail(Violation {
                property: "recovery",
                detail: format!("{id} refuses to start on a disk that was never damaged: {text}"),
            });
        }
        self.show(|| TraceKind::Ended {
            node: id,
            text: format!("refused: {text}"),
        });
    }

    /// Starts a node that has marked its data directory as one of a removed node: it must refuse.
    pub(super) fn start_removed(&mut self, node: usize) {
        let now_us = self.now_us;
        let place = &mut self.nodes[node];
        match place.start(&self.swarm, now_us, &mut self.tape) {
            Err(_) => place.vfs.crash(Crash::Process),
            Ok(_) => {
                place.process = None;
                let detail = format!("n{} was removed, and starts again", node + 1);
                let property = "farewell";
                self.fail(Violation { property, detail });
            }
        }
    }

    pub(super) fn schedule_tick(&mut self, node: usize, life: u32) {
        let clock = self.nodes[node].clock;
        let local_us = clock.at(self.now_us).mono_us;
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        let wait_us = clock.true_us(process.next_tick_us.saturating_sub(local_us));
        process.tick_due_us = self.now_us + wait_us.max(1);
        self.queue
            .push(process.tick_due_us, Event::Tick { node, life });
    }

    pub(super) fn tick(&mut self, node: usize, life: u32) {
        let paused_until_us = self.nodes[node].paused_until_us;
        let local_us = self.nodes[node].clock.at(self.now_us).mono_us;
        let (tick_us, now_us) = (self.swarm.tick_ms * 1000, self.now_us);
        let Some(process) = self.process(node, life) else {
            return;
        };
        if process.tick_due_us != now_us {
            return;
        }
        if paused_until_us > now_us {
            process.tick_due_us = paused_until_us;
            self.queue.push(paused_until_us, Event::Tick { node, life });
            return;
        }
        let Some(late_us) = local_us.checked_sub(process.next_tick_us) else {
            self.schedule_tick(node, life);
            return;
        };
        let late = late_us / tick_us;
        process.next_tick_us = match late < TICKS_PER_TURN_MAX {
            true => process.next_tick_us + (late + 1) * tick_us,
            false => local_us + tick_us,
        };
        let stops_at_us = process.stops_at_us;
        let ticks = (late + 1).min(TICKS_PER_TURN_MAX);
        self.input(node, |replica, now| {
            for _ in 0..ticks {
                replica.tick(now);
            }
        });
        if let Some(stops_at_us) = stops_at_us {
            self.stop_if_finished(node, stops_at_us);
        }
        self.schedule_tick(node, life);
    }

    /// Asks a node to stop.
    pub(super) fn begin_stop(&mut self, node: usize) {
        if let Some(process) = &mut self.nodes[node].process {
            process.stops_at_us = Some(self.now_us + STOP_TIMEOUT_US);
            self.input(node, |replica, now| replica.begin_shutdown(now));
        }
    }

    fn stop_if_finished(&mut self, node: usize, stops_at_us: u64) {
        let is_finished = self.nodes[node]
            .process
            .as_ref()
            .is_some_and(|process| process.replica.shutdown_finished());
        if is_finished || self.now_us >= stops_at_us {
            self.crash(node, Crash::Process, "stopped");
            self.restart_later(node);
        }
    }

    /// Ends a turn of a node: what it wants done is done.
    fn turn(&mut self, node: usize) {
        let now = self.nodes[node].clock.at(self.now_us);
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        let mut output = std::mem::take(&mut process.output);
        process.replica.drain(now, &mut output);
        if let Some(reason) = output.fatal.take() {
            self.gave_up(node, &reason);
            return;
        }
        let has_work = process.replica.has_work();
        let life = self.nodes[node].life;
        self.carry_out(node, &mut output);
        if self.nodes[node].life != life {
            return;
        }
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        process.output = output;
        if has_work && !process.turn_scheduled {
            process.turn_scheduled = true;
            self.queue.push(self.now_us + 1, Event::Turn { node, life });
        }
        self.stepped(node);
        let membership = self.nodes[node].process.as_ref().map(|it| &it.membership);
        if membership.is_some_and(|membership| membership.is_removed) {
            self.retire(node, "removed, by its own log");
        } else {
            self.wake_disk(node);
        }
    }

    /// The replica said that it cannot go on. Only a node whose disk lost its word may say so.
    fn gave_up(&mut self, node: usize, reason: &str) {
        self.crash(node, Crash::Process, reason);
        self.refused(node, reason.to_owned());
    }

    fn carry_out(&mut self, node: usize, output: &mut Output) {
        let id = self.nodes[node].id;
        let membership = output.membership.take();
        if let Some(membership) = &membership {
            self.membership_told(node, membership);
        }
        for write in output.writes.drain(..) {
            if self.crashes_here(node) {
                return;
            }
            self.see(&Fact::Handed {
                node: id,
                write: &write,
            });
            self.note(write.id.0, write.records.len() as u64);
            self.note_conf(node, &write);
            if let Some(process) = &mut self.nodes[node].process {
                process.writes.push_back(write);
            }
        }
        if let Some(process) = &mut self.nodes[node].process {
            process.reads.append(&mut output.entry_reads);
        }
        for (to, message) in output.messages.drain(..) {
            if self.crashes_here(node) {
                return;
            }
            self.send(node, to, message);
        }
        if let Some(snapshot) = output.snapshot.take() {
            self.begin_snapshot(node, snapshot);
        }
        self.carry_out_for_clients(node, output);
        let life = self.nodes[node].life;
        for request in output.send_snapshots.drain(..) {
            if self.nodes[node].life == life {
                self.queue.push(
                    self.now_us,
                    Event::SendSnapshot {
                        node,
                        life,
                        request,
                    },
                );
            }
        }
    }

    /// Counts down to a crash that was planned for a boundary between two outputs.
    fn crashes_here(&mut self, node: usize) -> bool {
        match &mut self.nodes[node].crash_at_output {
            None => false,
            Some(0) => {
                self.crash(node, Crash::LoseUnsynced, "killed between two outputs");
                self.restart_later(node);
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
        }
    }

    fn send(&mut self, from: usize, to: NodeId, message: PeerMessage) {
        let id = self.nodes[from].id;
        self.see(&Fact::Sent {
            from: id,
            to,
            message: &message,
        });
        self.post(from, to.0 as usize - 1, message);
    }

    /// Tells the disk that there is something to do.
    pub(super) fn wake_disk(&mut self, node: usize) {
        let life = self.nodes[node].life;
        let hung_until_us = self.nodes[node].hung_until_us;
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        let has_work = !process.writes.is_empty() || !process.reads.is_empty();
        let is_wanted = has_work || process.disk_is_low;
        if !is_wanted || process.disk_scheduled || process.under_way.is_some() {
            return;
        }
        process.disk_scheduled = true;
        let wait_us = match process.disk_is_low || process.is_held {
            true => SPACE_POLL_US,
            false => 0,
        };
        let at_us = (self.now_us + wait_us).max(hung_until_us);
        self.queue.push(at_us, Event::DiskStart { node, life });
    }

    /// The disk takes all that waits.
    pub(super) fn disk_starts(&mut self, node: usize, life: u32) {
        let resumes_us = self.nodes[node]
            .hung_until_us
            .max(self.nodes[node].paused_until_us);
        if resumes_us > self.now_us {
            self.queue.push(resumes_us, Event::DiskStart { node, life });
            return;
        }
        let slow_us = self.nodes[node].slow_disk_us;
        let Some(process) = self.process(node, life) else {
            return;
        };
        if !process.disk_scheduled {
            return;
        }
        process.disk_scheduled = false;
        let (mut last, mut sync) = (None, false);
        let is_full = match append_all(process, &mut last, &mut sync) {
            Ok(is_full) => is_full,
            Err(error) => return self.disk_failed(node, &error),
        };
        process.is_held = is_full;
        process.is_to_prepare |= process.disk_is_low;
        process.under_way = Some(UnderWay { last, sync });
        let site = Site::new(SiteKind::DiskDelay, node);
        let jitter_us = match self.swarm.disk_jitter_us {
            0 => 0,
            mean => self.tape.exponential_us(site, mean),
        };
        let takes_us = self.swarm.disk_us + jitter_us + slow_us;
        self.queue
            .push(self.now_us + takes_us, Event::DiskEnd { node, life });
    }

    /// The disk has done what it took.
    pub(super) fn disk_ends(&mut self, node: usize, life: u32) {
        let resumes_us = self.nodes[node]
            .hung_until_us
            .max(self.nodes[node].paused_until_us);
        if resumes_us > self.now_us {
            self.queue.push(resumes_us, Event::DiskEnd { node, life });
            return;
        }
        let Some(process) = self.process(node, life) else {
            return;
        };
        let Some(under_way) = process.under_way.take() else {
            return;
        };
        if under_way.sync
            && let Err(error) = process.wal.sync()
        {
            return self.disk_failed(node, &error);
        }
        if under_way.sync {
            if process.synced.len() == 2 {
                process.synced.remove(0);
            }
            let end = process.wal.position();
            process.synced.push(end);
        }
        if let Some(write) = under_way.last {
            self.persisted(node, write);
        }
        if let Err(error) = self.read_back(node, life) {
            return self.disk_failed(node, &error);
        }
        if let Err(error) = self.prepare(node, life) {
            return self.disk_failed(node, &error);
        }
        self.wake_disk(node);
    }

    fn persisted(&mut self, node: usize, write: WriteId) {
        let id = self.nodes[node].id;
        self.see(&Fact::Persisted { node: id, write });
        self.show(|| TraceKind::Persisted {
            node: id,
            text: format!("write {}", write.0),
        });
        self.input(node, |replica, now| replica.persisted(now, write));
    }

    fn read_back(&mut self, node: usize, life: u32) -> Result<(), WalError> {
        let Some(process) = self.process(node, life) else {
            return Ok(());
        };
        for read in std::mem::take(&mut process.reads) {
            let Some(process) = self.process(node, life) else {
                return Ok(());
            };
            let (first, last) = (read.first.0, read.last.0);
            let found = process.wal.read(GROUP, first, last, read.bytes_max);
            let records = match found {
                // A snapshot has replaced them since they were asked for: that is no fault.
                Err(WalError::NotHeld { .. }) => Vec::new(),
                found => found?,
            };
            let entries: Result<Vec<_>, _> = records.into_iter().map(storage::entry).collect();
            match entries {
                Ok(entries) => self.input(node, |replica, now| {
                    replica.entries_read(now, read.request, entries);
                }),
                Err(error) => self.gave_up(node, &error.to_string()),
            }
        }
        Ok(())
    }

    /// Makes room for what comes, and says when there is none.
    fn prepare(&mut self, node: usize, life: u32) -> Result<(), WalError> {
        let Some(process) = self.process(node, life) else {
            return Ok(());
        };
        let mut is_low = process.is_held;
        while process.is_to_prepare {
            match process.wal.prepare_next()? {
                Preparation::More => {}
                Preparation::Done => process.is_to_prepare = false,
                Preparation::NoSpace => {
                    process.is_to_prepare = false;
                    is_low = true;
                }
            }
        }
        // A step in spare time.
        process.wal.remove_obsolete()?;
        is_low |= process.wal.space() == Space::Low;
        if is_low != process.disk_is_low {
            process.disk_is_low = is_low;
            self.input(node, |replica, now| replica.disk_space(now, is_low));
        }
        Ok(())
    }

    /// A failed write or sync is final: the process ends without another word.
    fn disk_failed(&mut self, node: usize, error: &WalError) {
        if let WalError::OutOfOrder { .. } = error {
            self.fail(Violation {
                property: "log_order",
                detail: format!("n{}: {error}", node + 1),
            });
        }
        let place = &self.nodes[node];
        let is_planned_halt = place.vfs.halted_in().is_some();
        let how = match is_planned_halt {
            true => self.power_failure(node),
            false => Crash::Process,
        };
        self.crash(node, how, &error.to_string());
        self.restart_later(node);
    }

    /// Ends a process.
    pub(super) fn crash(&mut self, node: usize, how: Crash, why: &str) {
        let place = &mut self.nodes[node];
        if place.process.take().is_none() {
            return;
        }
        place.life += 1;
        place.vfs.crash(how);
        place.down = Down::Restarts;
        place.paused_until_us = 0;
        let id = place.id;
        self.see(&Fact::Ended { node: id });
        self.show(|| TraceKind::Ended {
            node: id,
            text: format!("{why} ({how:?})"),
        });
        self.note(node as u64, how as u64);
        self.drop_clients_of(node);
        self.forget_asked(node);
        for peer in 0..self.nodes.len() {
            if peer != node {
                self.break_connection(node, peer, Disconnect::Reset);
            }
        }
    }

    /// Starts a node again after a while.
    pub(super) fn restart_later(&mut self, node: usize) {
        let site = Site::new(SiteKind::Process, node);
        let wait_us = match self.is_healing {
            true => 0,
            false => self.tape.exponential_us(site, self.swarm.restart_us),
        };
        let place = &self.nodes[node];
        if place.down == Down::Restarts {
            let life = place.life;
            self.queue
                .push(self.now_us + 10_000 + wait_us, Event::Start { node, life });
        }
    }
}

/// Appends what waits, as far as there is space. Returns whether something is held back for lack of
/// it.
fn append_all(
    process: &mut Process,
    last: &mut Option<WriteId>,
    sync: &mut bool,
) -> Result<bool, WalError> {
    let all: Vec<Record> = process
        .writes
        .iter()
        .flat_map(|write: &Write| write.records.iter().cloned())
        .collect();
    process.is_to_prepare |= !all.is_empty();
    match process.wal.append(&all) {
        Ok(()) => {
            *sync = process.writes.iter().any(|write| write.sync);
            *last = process.writes.back().map(|write| write.id);
            process.writes.clear();
            return Ok(false);
        }
        Err(WalError::Full) => {}
        Err(error) => return Err(error),
    }
    while let Some(write) = process.writes.front() {
        match process.wal.append(&write.records) {
            Ok(()) => {
                *last = Some(write.id);
                *sync |= write.sync;
                process.writes.pop_front();
            }
            Err(WalError::Full) => return Ok(true),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}
