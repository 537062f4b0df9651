//! The one who breaks things: every so often it looks at each class of faults that is on in this run,
//! and the tape says whether it strikes, whom, and for how long.
//!
//! Damage to what a disk holds durably is placed by an *atlas*: only so many nodes may have it that a
//! quorum keeps every committed entry. In [`Profile::Ruin`] detectable damage strikes anybody; the
//! demand is then that nodes stop and never lie. Damage is placed below the last sync but one: what
//! a disk loses at the very end of the log, nobody can tell from a write that never arrived.

use std::path::{Path, PathBuf};

use replica::Disconnect;
use snapshot::format::FINISHED_SUFFIX;
use vfs::{Crash, Fault, MemVfs, OperationKind, SECTOR_BYTES, Vfs};

use crate::judges::Fact;
use crate::profile::Profile;
use crate::report::{FaultClass, TraceKind};
use crate::tape::{Site, SiteKind};
use crate::world::World;
use crate::world::node::{DATA_DIR, Down, Node, Process};
use crate::world::operator::Request;
use crate::world::queue::Event;
use crate::world::swarm::NEMESIS_PERIOD_US;

/// How a fault that lasts is ended.
#[derive(Clone, Debug)]
pub(super) enum Undo {
    /// These links get through again.
    Uncut {
        links: Vec<(usize, usize)>,
        since_us: u64,
    },
    /// A link is as fast as the others.
    Speed(usize, usize),
    /// A paused process goes on.
    Resume(usize),
    /// A disk is as fast as ever.
    FastDisk(usize),
    /// A disk has room.
    Room(usize),
    /// A clock goes on.
    Thaw(usize),
    /// No fault ends: a process of a storm is killed.
    Kill(usize),
    /// No fault ends: an operator asks for something.
    Ask(FaultClass, Request),
    /// No fault ends: the power fails, be a process running or not.
    Power(usize),
}

/// A cut that lasts longer is noticed by the shell, which makes a new connection afterwards.
const CUT_NOTICED_US: u64 = 3_000_000;

impl World {
    /// Looks for something to break.
    pub(super) fn strike(&mut self) {
        if self.is_healing {
            return;
        }
        self.queue
            .push(self.now_us + NEMESIS_PERIOD_US, Event::Nemesis);
        for &class in FaultClass::ALL {
            let rate = self.swarm.rates[class as usize];
            let site = Site::new(SiteKind::FaultGap, class as usize);
            if rate > 0 && self.tape.chance(site, rate) {
                self.inject(class);
            }
        }
        if self.swarm.churns {
            self.bear(|world| {
                let site = Site::new(SiteKind::Fault, FaultClass::NodeAdded as usize);
                world.tape.chance(site, world.swarm.birth_ppm)
            });
        }
    }

    /// Clocks that run fast or slow do so from the beginning.
    pub(super) fn set_initial_clocks(&mut self) {
        if !self.swarm.is_on(FaultClass::ClockDrift) {
            return;
        }
        for node in 0..self.nodes.len() {
            let site = Site::new(SiteKind::Clock, node);
            let most = [0, 1_000, 10_000, 100_000][self.tape.below(site, 4) as usize];
            let drift = self.tape.below(site, 2 * most + 1) as i64;
            let drift = drift / 2 * if drift % 2 == 0 { 1 } else { -1 };
            self.nodes[node].clock.drift_ppm = drift;
            if drift != 0 {
                self.struck(FaultClass::ClockDrift, &[node], || format!("{drift} ppm"));
            }
        }
    }

    pub(super) fn below(&mut self, class: FaultClass, bound: usize) -> usize {
        let site = Site::new(SiteKind::Fault, class as usize);
        self.tape.below(site, bound as u64) as usize
    }

    /// One of the nodes that have a machine.
    fn pick_node(&mut self, class: FaultClass) -> usize {
        let present = self.present();
        present[self.below(class, present.len())]
    }

    fn present(&self) -> Vec<usize> {
        let all = 0..self.nodes.len();
        all.filter(|&node| self.nodes[node].is_present()).collect()
    }

    pub(super) fn lasts_us(&mut self, class: FaultClass, least_us: u64, mean_us: u64) -> u64 {
        let site = Site::new(SiteKind::Fault, class as usize);
        least_us + self.tape.exponential_us(site, mean_us)
    }

    /// Notes that a fault was injected.
    pub(super) fn struck(
        &mut self,
        class: FaultClass,
        nodes: &[usize],
        text: impl FnOnce() -> String,
    ) {
        self.report.faults.add(class);
        self.note(class as u64 | 0x100, nodes.len() as u64);
        let ids = || {
            nodes
                .iter()
                .map(|&node| raft::NodeId(node as u64 + 1))
                .collect()
        };
        self.show(|| TraceKind::Fault {
            class,
            nodes: ids(),
            text: text(),
        });
    }

    pub(super) fn undo_later(&mut self, after_us: u64, undo: Undo) {
        let fault = self.faults.len() as u32;
        self.faults.push(Some(undo));
        self.queue
            .push(self.now_us + after_us, Event::Undo { fault });
    }

    fn inject(&mut self, class: FaultClass) {
        use FaultClass as F;
        match class {
            // Decided packet by packet, client by client, or point by point.
            F::Loss | F::Duplicate | F::LongDelay | F::CorruptFrame => {}
            F::ClockDrift | F::Buggify | F::FailedTransfer => {}
            F::CrashInSnapshot => {
                let node = self.pick_node(class);
                self.nodes[node].crash_in_snapshot = Some(1 + self.below(class, 6) as u64);
            }
            F::DamagedSnapshot => self.inject_in_snapshot(),
            F::ClientDisconnect | F::ClientTimeout | F::Burst => {}
            F::Replay
            | F::Reset
            | F::Clog
            | F::Swizzle
            | F::SlowLink
            | F::CutOneWay
            | F::CutBothWays => self.inject_on_link(class),
            F::Isolate | F::Halves | F::MajorityRing | F::Bridge | F::Chain => {
                self.inject_partition(class);
            }
            F::Crash
            | F::CrashInDisk
            | F::CrashStorm
            | F::CrashAll
            | F::PowerLoss
            | F::TornWrite
            | F::Pause
            | F::GracefulStop => self.inject_in_process(class),
            F::WipedDisk | F::OldDisk => self.inject_lost_disk(class),
            F::BitFlip | F::ZeroedSector | F::MisdirectedWrite | F::LostWrite => {
                self.inject_damage(class);
            }
            F::SlowDisk
            | F::HungDisk
            | F::WriteError
            | F::SyncError
            | F::ReadError
            | F::ShortWrite
            | F::DiskFull => self.inject_in_disk(class),
            F::ClockJump | F::ClockFrozen => self.inject_in_clock(class),
            F::SlowReader => self.inject_slow_reader(),
            F::NodeAdded
            | F::LearnerAdded
            | F::LearnerPromoted
            | F::VoterDemoted
            | F::MemberRemoved
            | F::LeaderRemoved
            | F::MemberReplaced
            | F::LeadershipMoved
            | F::TwoAdmins
            | F::IslandAsked
            | F::KilledInJoint
            | F::RemovedReturns
            | F::DeadPromoted => self.operate(class),
        }
    }

    // The network.

    fn pick_link(&mut self, class: FaultClass) -> Option<(usize, usize)> {
        let present = self.present();
        let count = present.len();
        if count < 2 {
            return None;
        }
        let from = self.below(class, count);
        let to = (from + 1 + self.below(class, count - 1)) % count;
        Some((present[from], present[to]))
    }

    fn inject_on_link(&mut self, class: FaultClass) {
        use FaultClass as F;
        let Some((from, to)) = self.pick_link(class) else {
            return;
        };
        let ends = [from, to];
        match class {
            F::Replay => {
                let count = self.replay(from, to);
                if count > 0 {
                    self.struck(class, &ends, || format!("{count} packets"));
                }
            }
            F::Reset => {
                self.struck(class, &ends, String::new);
                self.break_connection(from, to, Disconnect::Reset);
            }
            F::Clog => {
                let until_us = self.now_us + self.lasts_us(class, 50_000, 1_000_000);
                self.network.link(from, to).clogged_until_us = until_us;
                self.struck(class, &ends, || format!("until {until_us} us"));
            }
            F::Swizzle => self.inject_swizzle(),
            F::SlowLink => {
                let slow_us = 20_000 + self.below(class, 200_000) as u64;
                self.network.link(from, to).slow_us = slow_us;
                let lasts_us = self.lasts_us(class, 500_000, 5_000_000);
                self.struck(class, &ends, || {
                    format!("{slow_us} us more, for {lasts_us} us")
                });
                self.undo_later(lasts_us, Undo::Speed(from, to));
            }
            F::CutOneWay => self.cut(class, vec![(from, to)]),
            _ => self.cut(class, vec![(from, to), (to, from)]),
        }
    }

    fn inject_swizzle(&mut self) {
        let class = FaultClass::Swizzle;
        let mut struck = Vec::new();
        for node in 0..self.nodes.len() {
            if self.below(class, 2) == 0 {
                continue;
            }
            struck.push(node);
            for peer in 0..self.nodes.len() {
                if peer == node {
                    continue;
                }
                for (from, to) in [(node, peer), (peer, node)] {
                    let until_us = self.now_us + self.lasts_us(class, 0, 1_000_000);
                    self.network.link(from, to).clogged_until_us = until_us;
                }
            }
        }
        self.struck(class, &struck, String::new);
    }

    fn inject_partition(&mut self, class: FaultClass) {
        use FaultClass as F;
        let order = self.shuffled(class);
        let count = order.len();
        if count < 2 {
            return;
        }
        // Which pairs, by their places in the random order, see each other.
        let sees: &dyn Fn(usize, usize) -> bool = match class {
            F::Isolate => &|a, _| a != 0,
            F::Halves => &|a, b| (a < count / 2) == (b < count / 2),
            F::MajorityRing => &|a, b| (b - a).min(count - (b - a)) <= count / 4,
            F::Bridge => &|a, b| a == 0 || (a <= count / 2) == (b <= count / 2),
            _ => &|a, b| b - a == 1,
        };
        let mut links = Vec::new();
        for a in 0..count {
            for b in a + 1..count {
                if !sees(a, b) {
                    links.extend([(order[a], order[b]), (order[b], order[a])]);
                }
            }
        }
        if !links.is_empty() {
            self.cut(class, links);
        }
    }

    fn shuffled(&mut self, class: FaultClass) -> Vec<usize> {
        let mut order = self.present();
        for place in (1..order.len()).rev() {
            let other = place - self.below(class, place + 1);
            order.swap(place, other);
        }
        order
    }

    fn cut(&mut self, class: FaultClass, links: Vec<(usize, usize)>) {
        // One cut on top of the other soon leaves nothing that could go wrong.
        if self.network.is_any_cut() && self.below(class, 4) < 3 {
            return;
        }
        for &(from, to) in &links {
            self.network.link(from, to).cuts += 1;
        }
        let lasts_us = self.lasts_us(class, 100_000, 3_000_000);
        let text = || {
            let list: Vec<String> = links
                .iter()
                .map(|(from, to)| format!("n{}-/->n{}", from + 1, to + 1))
                .collect();
            format!("{} for {lasts_us} us", list.join(" "))
        };
        self.struck(class, &[], text);
        let since_us = self.now_us;
        self.undo_later(lasts_us, Undo::Uncut { links, since_us });
    }

    // Processes.

    fn inject_in_process(&mut self, class: FaultClass) {
        use FaultClass as F;
        let node = self.pick_node(class);
        if self.nodes[node].process.is_none() && class != F::CrashAll {
            return;
        }
        self.struck(class, &[node], String::new);
        match class {
            F::Crash => match self.below(class, 3) {
                0 => {
                    self.kill(node, Crash::Process);
                    if self.below(class, 2) == 0 {
                        // Before the next process has made durable what this one has not.
                        let after_us = self.lasts_us(class, 1_000, 500_000);
                        self.undo_later(after_us, Undo::Power(node));
                    }
                }
                _ => {
                    let outputs = self.below(class, 12) as u32;
                    self.nodes[node].crash_at_output = Some(outputs);
                }
            },
            F::CrashInDisk => {
                let after = 1 + self.below(class, 12) as u64;
                let vfs = &self.nodes[node].vfs;
                vfs.halt_at_operation(vfs.operations() + after);
            }
            F::CrashStorm => {
                let mut after_us = 0;
                for _ in 0..2 + self.below(class, 8) {
                    let victim = self.pick_node(class);
                    after_us += self.lasts_us(class, 1_000, 100_000);
                    self.undo_later(after_us, Undo::Kill(victim));
                }
            }
            F::CrashAll => {
                for victim in 0..self.nodes.len() {
                    let how = self.power_failure(victim);
                    self.kill(victim, how);
                }
            }
            F::PowerLoss => self.kill(node, Crash::LoseUnsynced),
            F::TornWrite => self.kill(node, Crash::Torn),
            F::Pause => {
                let lasts_us = self.lasts_us(class, 1_000, 2_000_000);
                self.nodes[node].paused_until_us = self.now_us + lasts_us;
                self.undo_later(lasts_us, Undo::Resume(node));
            }
            _ => self.begin_stop(node),
        }
    }

    pub(super) fn kill(&mut self, node: usize, how: Crash) {
        self.crash(node, how, "killed");
        self.restart_later(node);
    }

    /// What a failing power leaves of what was not synced.
    pub(super) fn power_failure(&mut self, node: usize) -> Crash {
        let site = Site::new(SiteKind::DiskFault, node);
        [Crash::LoseUnsynced, Crash::Torn][self.tape.below(site, 2) as usize]
    }

    // Disks.

    fn inject_in_disk(&mut self, class: FaultClass) {
        use FaultClass as F;
        let node = self.pick_node(class);
        let nth = 1 + self.below(class, 8) as u64;
        let lasts_us = self.lasts_us(class, 100_000, 3_000_000);
        self.struck(class, &[node], || format!("for {lasts_us} us"));
        let place = &mut self.nodes[node];
        match class {
            F::SlowDisk => {
                place.slow_disk_us = 20_000 + nth * 20_000;
                self.undo_later(lasts_us, Undo::FastDisk(node));
            }
            F::HungDisk => place.hung_until_us = self.now_us + 2 * lasts_us,
            F::WriteError => place.vfs.inject(OperationKind::Write, nth, Fault::Io),
            F::SyncError => place.vfs.inject(OperationKind::Sync, nth, Fault::Io),
            F::ReadError => place.vfs.inject(OperationKind::Read, nth, Fault::Io),
            F::ShortWrite => place.vfs.inject(OperationKind::Write, nth, Fault::Short),
            _ => {
                let room = self.swarm.segment_bytes / 16 * (nth - 1);
                place.vfs.set_capacity(Some(place.vfs.used_bytes() + room));
                self.undo_later(lasts_us, Undo::Room(node));
            }
        }
    }

    /// Whether this node may lose what its disk holds durably.
    fn may_lose(&self, node: usize) -> bool {
        if self.swarm.churns {
            return self.is_survivable(Some(node), None);
        }
        let lost = self.nodes.iter().filter(|node| node.is_damaged).count();
        self.nodes[node].is_damaged || lost < self.swarm.losable()
    }

    /// Whether every other node that may run again remembers this run of the node. A lost history is
    /// seen by those who know the node's last run: whoever never met it lets it in, and then what it
    /// gave its word for is lost. The promise does not cover that.
    fn is_known_to_all(&self, node: usize) -> bool {
        let Some(run) = self.nodes[node].process.as_ref().map(|it| it.run) else {
            return false;
        };
        self.nodes.iter().enumerate().all(|(peer, place)| {
            let knows = |process: &Process| process.known_peers.run(run.node) == Some(run);
            let is_gone = place.down == Down::Refused || !place.is_present();
            peer == node || is_gone || place.process.as_ref().is_some_and(knows)
        })
    }

    /// Whether this node and others that have lost their logs are a majority of the first members: by
    /// their configurations they would found the cluster again, beside the one that there is. The promise
    /// does not cover that.
    fn could_found_again(&self, node: usize) -> bool {
        let is_lost = |place: &&Node| place.charter.is_none() && place.has_lost_log;
        let lost = self.nodes.iter().filter(is_lost).count();
        let place = &self.nodes[node];
        place.charter.is_none() && !place.has_lost_log && lost >= self.swarm.losable()
    }

    pub(super) fn damaged(&mut self, node: usize) {
        self.nodes[node].is_damaged = true;
        let id = self.nodes[node].id;
        self.see(&Fact::Damaged { node: id });
    }

    fn inject_lost_disk(&mut self, class: FaultClass) {
        let node = self.pick_node(class);
        if self.nodes[node].down == Down::Refused {
            return;
        }
        let process = self.nodes[node].process.as_ref();
        let Some(started) = process.map(|process| process.run.incarnation) else {
            return;
        };
        let disk = match class {
            FaultClass::WipedDisk => {
                let seed = self.below(class, usize::MAX) as u64;
                MemVfs::new(seed)
            }
            _ => match self.nodes[node].old_disk.take() {
                // A copy that is brought back within the same start counts as a newer one: nobody can
                // tell, and it is not promised.
                Some((old, made_in)) if made_in < started => old,
                Some(too_young) => {
                    self.nodes[node].old_disk = Some(too_young);
                    return;
                }
                None => {
                    // The first strike makes the copy, a later one brings it back.
                    self.nodes[node].old_disk = Some((self.nodes[node].vfs.copy(), started));
                    return;
                }
            },
        };
        if !self.may_lose(node) || !self.is_known_to_all(node) || self.could_found_again(node) {
            return;
        }
        self.struck(class, &[node], String::new);
        self.damaged(node);
        self.crash(node, Crash::Process, class.label());
        self.nodes[node].vfs = disk;
        self.nodes[node].has_lost_log = true;
        self.nodes[node].rolled_back = (class == FaultClass::OldDisk).then_some(started);
        self.nodes[node].vfs.crash(Crash::LoseUnsynced);
        self.restart_later(node);
    }

    /// Damages a part of the log that is not at its end.
    fn inject_damage(&mut self, class: FaultClass) {
        let node = self.pick_node(class);
        if !self.may_lose(node) && self.options.profile != Profile::Ruin {
            return;
        }
        let Some(process) = &self.nodes[node].process else {
            return;
        };
        let Some((segment, end)) = process
            .synced
            .first()
            .copied()
            .filter(|_| process.synced.len() == 2)
        else {
            return;
        };
        let vfs = self.nodes[node].vfs.clone();
        let segments = segment_files(&vfs);
        let older = segments
            .iter()
            .filter(|(number, _)| *number < segment)
            .count();
        let chosen = older - self.below(class, older + 1);
        let Some((number, path)) = segments.get(chosen) else {
            return;
        };
        let used = match *number == segment {
            true => end,
            false => vfs.contents(path).map_or(0, |bytes| bytes.len() as u64),
        };
        let sectors = used as usize / SECTOR_BYTES;
        if sectors < 2 {
            return;
        }
        let sector = self.below(class, sectors);
        let offset = (sector * SECTOR_BYTES) as u64;
        let bit = self.below(class, SECTOR_BYTES * 8);
        let other = (self.below(class, sectors) * SECTOR_BYTES) as u64;
        let result = match class {
            FaultClass::BitFlip => vfs.flip_bit(path, offset + bit as u64 / 8, (bit % 8) as u8),
            FaultClass::ZeroedSector => vfs.overwrite(path, offset, &[0; SECTOR_BYTES]),
            FaultClass::LostWrite => {
                let bytes = (used - offset).min(4096) as usize;
                vfs.overwrite(path, offset, &vec![0; bytes])
            }
            _ => vfs.contents(path).and_then(|bytes| {
                let from = other as usize;
                vfs.overwrite(path, offset, &bytes[from..from + SECTOR_BYTES])
            }),
        };
        if result.is_err() {
            return;
        }
        self.struck(class, &[node], || format!("{} at {offset}", path.display()));
        self.damaged(node);
        if self.below(class, 2) == 1 {
            self.kill(node, Crash::LoseUnsynced);
        }
    }

    /// Damages a snapshot.
    fn inject_in_snapshot(&mut self) {
        let class = FaultClass::DamagedSnapshot;
        let node = self.pick_node(class);
        if !self.may_lose(node) && self.options.profile != Profile::Ruin {
            return;
        }
        let vfs = self.nodes[node].vfs.clone();
        let dir = Path::new(DATA_DIR).join("snapshots");
        let mut names = vfs.list(&dir).unwrap_or_default();
        names.retain(|name| name.to_string_lossy().ends_with(FINISHED_SUFFIX));
        names.sort();
        let Some(path) = names.last().map(|name| dir.join(name)) else {
            return;
        };
        let bytes = vfs.contents(&path).map_or(0, |bytes| bytes.len());
        let offset = self.below(class, bytes.max(1)) as u64;
        let result = match self.below(class, 2) {
            0 => vfs.flip_bit(&path, offset, (offset % 8) as u8),
            _ => {
                let offset = offset / SECTOR_BYTES as u64 * SECTOR_BYTES as u64;
                let count = SECTOR_BYTES.min(bytes - offset as usize);
                vfs.overwrite(&path, offset, &vec![0; count])
            }
        };
        if result.is_err() {
            return;
        }
        self.struck(class, &[node], || format!("{} at {offset}", path.display()));
        self.damaged(node);
        if self.below(class, 2) == 1 {
            self.kill(node, Crash::LoseUnsynced);
        }
    }

    // Clocks and clients.

    fn inject_in_clock(&mut self, class: FaultClass) {
        let node = self.pick_node(class);
        let now_us = self.now_us;
        if class == FaultClass::ClockFrozen {
            let clock = &mut self.nodes[node].clock;
            let wall_ms = clock.at(now_us).wall_ms;
            clock.frozen_ms = Some(wall_ms.saturating_add_signed(-clock.offset_ms));
            let lasts_us = self.lasts_us(class, 100_000, 3_000_000);
            self.struck(class, &[node], || format!("for {lasts_us} us"));
            self.undo_later(lasts_us, Undo::Thaw(node));
            return;
        }
        let jump_ms = [500, -500, 30_000, -30_000, 3_600_000, -3_600_000][self.below(class, 6)];
        self.nodes[node].clock.offset_ms += jump_ms;
        self.struck(class, &[node], || format!("by {jump_ms} ms"));
    }

    fn inject_slow_reader(&mut self) {
        let class = FaultClass::SlowReader;
        let client = self.below(class, self.connections.len());
        let lasts_us = self.lasts_us(class, 10_000, 1_000_000);
        self.connections[client].reads_from_us = self.now_us + lasts_us;
        self.struck(class, &[], || format!("client {client} for {lasts_us} us"));
    }

    /// Ends a fault.
    pub(super) fn undo(&mut self, fault: u32) {
        let Some(undo) = self.faults[fault as usize].take() else {
            return;
        };
        match undo {
            Undo::Uncut { links, since_us } => self.uncut(&links, since_us),
            Undo::Speed(from, to) => self.network.link(from, to).slow_us = 0,
            Undo::Resume(node) => self.resume(node),
            Undo::FastDisk(node) => self.nodes[node].slow_disk_us = 0,
            Undo::Room(node) => self.nodes[node].vfs.set_capacity(None),
            Undo::Ask(class, request) => self.ask_now(class, request),
            Undo::Thaw(node) => self.nodes[node].clock.frozen_ms = None,
            Undo::Kill(node) => {
                if !self.is_healing && self.nodes[node].process.is_some() {
                    let how = self.power_failure(node);
                    self.kill(node, how);
                }
            }
            Undo::Power(node) => self.power_fails(node),
        }
    }

    /// The power of a machine fails. One on which no process runs loses what the last one did not sync.
    fn power_fails(&mut self, node: usize) {
        if self.is_healing {
            return;
        }
        let how = self.power_failure(node);
        let place = &self.nodes[node];
        if place.process.is_some() {
            self.kill(node, how);
        } else if place.down == Down::Restarts {
            place.vfs.crash(how);
            let id = place.id;
            self.show(|| TraceKind::Ended {
                node: id,
                text: format!("the power fails while no process runs ({how:?})"),
            });
        }
    }

    fn uncut(&mut self, links: &[(usize, usize)], since_us: u64) {
        for &(from, to) in links {
            let link = self.network.link(from, to);
            link.cuts = link.cuts.saturating_sub(1);
        }
        if self.now_us - since_us >= CUT_NOTICED_US {
            for &(from, to) in links {
                self.break_connection(from, to, Disconnect::Lost);
            }
        }
    }

    /// A paused process goes on.
    fn resume(&mut self, node: usize) {
        if self.nodes[node].paused_until_us <= self.now_us {
            self.feed_all(node);
        }
    }

    /// Ends everything that disturbs, except what disks have lost.
    pub(super) fn heal(&mut self) {
        self.is_healing = true;
        if self.swarm.churns {
            self.bear_the_last();
        }
        for fault in 0..self.faults.len() {
            self.undo(fault as u32);
        }
        self.network.heal();
        for node in 0..self.nodes.len() {
            let place = &mut self.nodes[node];
            place.crash_at_output = None;
            place.crash_in_snapshot = None;
            place.paused_until_us = place.paused_until_us.min(self.now_us);
            place.hung_until_us = place.hung_until_us.min(self.now_us);
            place.slow_disk_us = 0;
            place.vfs.set_capacity(None);
            place.vfs.clear_faults();
            let life = place.life;
            if place.process.is_some() {
                // What waited for the end of a pause, or for a disk that hung, need not wait longer.
                self.queue
                    .push(self.now_us, Event::DiskStart { node, life });
                self.queue.push(self.now_us, Event::DiskEnd { node, life });
                self.schedule_tick(node, life);
            }
            self.feed_all(node);
        }
        for connection in &mut self.connections {
            connection.reads_from_us = connection.reads_from_us.min(self.now_us);
        }
    }
}

/// The files of a node's log, by number.
fn segment_files(vfs: &MemVfs) -> Vec<(u64, PathBuf)> {
    let dir = Path::new(DATA_DIR).join("wal");
    let names = vfs.list(&dir).unwrap_or_default();
    let mut files: Vec<(u64, PathBuf)> = names
        .iter()
        .filter_map(|name| {
            let digits = name.to_str()?.split('.').next()?;
            let number = digits.parse().ok()?;
            Some((number, dir.join(name)))
        })
        .collect();
    files.sort();
    files
}
