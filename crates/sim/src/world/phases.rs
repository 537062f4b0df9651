//! The end of a run: a random quorum is healed, the rest is frozen as failed, and everything that was
//! promised must come about. If it does not, what is missing is named.

use buggify::Point;
use replica::Replica;
use vfs::Crash;

use crate::judges::invariants::no_leaks::left_over;
use crate::judges::linearizable::{self, Limits, Verdict};
use crate::judges::{self, View, Violation};
use crate::profile::Profile;
use crate::report::TraceKind;
use crate::tape::{Site, SiteKind};
use crate::world::World;
use crate::world::node::Down;
use crate::world::queue::Event;
use crate::world::watch::operation_text;

/// How long operations of clients may take to end once nothing is wrong, beside their own timeouts.
const SETTLE_US: u64 = 20_000_000;

/// How far the search for an order of the operations on a key goes; beyond it, it is given up and
/// counted.
const SEARCH_STEPS_MAX: u64 = 60_000;

/// How often patience is renewed while a node catches up. Each time, something must have arrived; a
/// point that withholds the hint of a rejection and one that sends entries in fours make thousands of
/// messages of it.
const CATCH_UP_ROUNDS: usize = 300;

/// What a segment begins with: header and carry.
const SEGMENT_BEGIN_BYTES: u64 = 1024;

/// How often the world looks whether what it waits for has come.
const LOOK_US: u64 = 20_000;

impl World {
    /// Everything after the safety phase.
    pub(super) fn end_safely(&mut self) {
        self.phase("healing");
        self.heal();
        if self.options.profile == Profile::Ruin {
            self.with_clients(|clients, scene| clients.settle(scene));
            self.wait_for(SETTLE_US, |_| false);
        } else {
            self.demand_progress();
        }
        if self.failure.is_none() {
            self.judge_history();
        }
    }

    fn demand_progress(&mut self) {
        let healed = self.choose_core();
        // Ten election timeouts, and what it takes to connect, to sync and to send.
        let patience_us = 10 * self.swarm.election_timeout_max_us() + 2_000_000;
        self.demand(patience_us, |world| {
            world.missing_leader(&world.members_of(&healed))
        });
        self.with_clients(|clients, scene| clients.settle(scene));
        self.demand(SETTLE_US, World::missing_answers);
        let core = match self.swarm.churns {
            true => self.demand_order(patience_us, &healed),
            false => Some(healed),
        };
        let Some(core) = core else {
            return;
        };
        self.demand_equality(patience_us, &core);
        self.demand(patience_us, |world| world.missing_calm(&core));
        // A gateway's patience is at most sixteen of the longest election timeouts, or eight seconds. Until
        // what it could not get into the log is there, it may still believe that a disk is full.
        let resend_us = 16 * self.swarm.election_timeout_max_us() + SETTLE_US;
        self.demand(resend_us, |world| world.missing_quiet(&core));
        self.demand_equality(patience_us, &core);
        self.wait_out_old_packets();
        self.demand_equality(patience_us, &core);
        for &node in &core {
            let id = self.nodes[node].id;
            self.with_clients(|clients, scene| clients.final_reads(id, scene));
        }
        self.demand(SETTLE_US, World::missing_answers);
        self.demand_equality(patience_us, &core);
        self.demand(resend_us, |world| world.missing_quiet(&core));
        self.demand_service();
        self.demand_stability(&core);
        self.demand_equality(patience_us, &core);
        self.demand_rejoin(patience_us, &core);
        self.demand_room(&core);
        if self.failure.is_none() {
            let replicas: Vec<&Replica> = core
                .iter()
                .filter_map(|&node| self.nodes[node].process.as_ref())
                .map(|process| &process.replica)
                .collect();
            if let Err(violation) = self.judges.finish(&replicas, &self.shadow) {
                self.fail(violation);
            }
        }
    }

    /// Chooses a quorum of nodes whose disks are whole, starts those of it that are down, and freezes
    /// the others for good.
    fn choose_core(&mut self) -> Vec<usize> {
        let site = Site::new(SiteKind::Liveness, 0);
        let is_whole = |node: &usize| {
            let place = &self.nodes[*node];
            !place.is_damaged && place.down != Down::Refused && place.is_present()
        };
        let mut whole: Vec<usize> = (0..self.nodes.len()).filter(is_whole).collect();
        if self.swarm.churns {
            whole = self.choose_members(whole);
        } else {
            let quorum = self.nodes.len() / 2 + 1;
            let least = quorum.min(whole.len());
            let size =
                whole.len() - self.tape.below(site, (whole.len() - least + 1) as u64) as usize;
            while whole.len() > size {
                let leaver = self.tape.below(site, whole.len() as u64) as usize;
                whole.remove(leaver);
            }
        }
        for node in 0..self.nodes.len() {
            if !whole.contains(&node) {
                self.crash(node, Crash::Process, "frozen");
                if self.nodes[node].down == Down::Restarts {
                    self.nodes[node].down = Down::Frozen;
                }
            } else if self.nodes[node].process.is_none() {
                let life = self.nodes[node].life;
                self.queue.push(self.now_us, Event::Start { node, life });
            }
        }
        let names: Vec<String> = whole.iter().map(|node| format!("n{}", node + 1)).collect();
        self.phase(&format!("the core is {}", names.join(" ")));
        whole
    }

    /// All may look well while packets from before the healing are still late: a leader that hears
    /// nothing meanwhile steps down for it, and whoever asks right then is refused rightly.
    fn wait_out_old_packets(&mut self) {
        let late_us = self.network.last_arrival_us().saturating_sub(self.now_us);
        self.wait_for(late_us + 2 * self.swarm.election_timeout_max_us(), |_| {
            false
        });
    }

    /// Whatever was asked now that all is well had to be served: writes, too. Not where points make
    /// leaders restless or refuse writes.
    fn demand_service(&mut self) {
        let may_refuse = self.swarm.points.contains(&Point::ForwardRefusedFull);
        if let Some(operation) = self.clients.final_failure(&self.history)
            && self.failure.is_none()
            && self.leaders_stay()
            && !may_refuse
        {
            let detail = format!("nothing is wrong any more: {}", operation_text(operation));
            self.fail(Violation {
                property: "service",
                detail,
            });
        }
    }

    /// Logs are cut behind snapshots: a disk holds no more of the log than what was configured makes
    /// necessary. Not where a point begins segments without need, nor where a snapshot has just failed.
    fn demand_room(&mut self, core: &[usize]) {
        if self.swarm.points.contains(&Point::SegmentFullEarly) || self.failure.is_some() {
            return;
        }
        for &node in core {
            let segment_bytes = self.swarm.segment_bytes;
            let Some(process) = &mut self.nodes[node].process else {
                continue;
            };
            while matches!(process.wal.remove_obsolete(), Ok(true)) {}
            let (held, metrics) = (process.wal.disk_bytes(), process.replica.metrics());
            let config = process.replica.config();
            let share = metrics.snapshot_bytes * config.snapshot_state_percent / 100;
            let due = share
                .max(config.snapshot_log_bytes_min)
                .min(config.snapshot_log_bytes_max);
            // The log behind the last snapshot, as much again while the next is written, and twice as
            // much for followers on their way; the tail, which is measured in sixteenths.
            let tail_bytes = config.log_tail_bytes + config.log_tail_bytes / 16;
            let records_bytes = 4 * due + tail_bytes;
            // Two segments in a row hold more than one can (wal's FORMAT.md). The first and the last
            // are not full, and two may be prepared.
            let two_hold_bytes = segment_bytes - 2 * SEGMENT_BEGIN_BYTES;
            let most = ((2 * records_bytes).div_ceil(two_hold_bytes) + 4) * segment_bytes;
            let is_late = metrics.snapshot_failed || metrics.log_bytes_since_snapshot > 2 * due;
            if held > most && !is_late {
                let first = metrics.first_index;
                self.fail(Violation {
                    property: "room",
                    detail: format!(
                        "the log of n{} takes {held} bytes on the disk, at most {most} are \
                         necessary; it begins with {first}, the last snapshot ends with {}",
                        node + 1,
                        metrics.snapshot_index
                    ),
                });
            }
        }
    }

    pub(super) fn phase(&mut self, text: &str) {
        self.show(|| TraceKind::Phase {
            text: text.to_owned(),
        });
    }

    /// Waits until nothing is missing, and fails the run if something still is after so long.
    pub(super) fn demand(&mut self, patience_us: u64, missing: impl Fn(&World) -> Option<String>) {
        self.wait_for(patience_us, |world| missing(world).is_none());
        if self.failure.is_none()
            && let Some(what) = missing(self)
        {
            self.fail(Violation {
                property: "liveness",
                detail: format!("{patience_us} us after healing, {what}"),
            });
        }
    }

    /// Waits until the nodes have applied the same. Many entries may be missing, a link slow, and a
    /// point may have them sent one by one: as long as they come, there is patience.
    pub(super) fn demand_equality(&mut self, patience_us: u64, core: &[usize]) {
        // What a follower holds already moves nothing but the leader's knowledge of it.
        let arrived = |world: &World| -> u64 {
            let nodes = core
                .iter()
                .filter_map(|&node| world.nodes[node].process.as_ref());
            let known = nodes.map(|process| {
                let status = process.replica.raft().status();
                let known: u64 = status.peers.iter().map(|peer| peer.match_index.0).sum();
                status.applied.0 + status.durable.0 + known
            });
            known.sum::<u64>() + world.snapshot_bytes_arrived()
        };
        for _ in 0..CATCH_UP_ROUNDS {
            let before = arrived(self);
            self.wait_for(patience_us, |world| world.missing_equality(core).is_none());
            if arrived(self) == before || self.missing_equality(core).is_none() {
                break;
            }
        }
        self.demand(0, |world| world.missing_equality(core));
    }

    pub(super) fn wait_for(&mut self, patience_us: u64, done: impl Fn(&World) -> bool) {
        let until_us = self.now_us + patience_us;
        while self.failure.is_none() && self.now_us < until_us && !done(self) {
            self.run_until((self.now_us + LOOK_US).min(until_us));
        }
    }

    pub(super) fn missing_leader(&self, core: &[usize]) -> Option<String> {
        let views = match self.views(core) {
            Ok(views) => views,
            Err(missing) => return Some(missing),
        };
        let Some(first) = views.first() else {
            return Some("no member runs".to_owned());
        };
        let leader = first.leader;
        let Some(leader) = leader else {
            return Some(format!("n{} knows no leader", core[0] + 1));
        };
        let other = views
            .iter()
            .position(|view| view.leader != Some(leader) || view.term != views[0].term);
        match other {
            Some(place) => Some(format!(
                "n{} does not follow {leader} in {}",
                core[place] + 1,
                views[0].term
            )),
            None if !core.contains(&(leader.0 as usize - 1)) => {
                Some(format!("{leader} is followed, and is gone"))
            }
            None => None,
        }
    }

    fn missing_answers(&self) -> Option<String> {
        match self.clients.open_operations() {
            0 => None,
            open => Some(format!("{open} operations of clients are not answered")),
        }
    }

    pub(super) fn missing_equality(&self, core: &[usize]) -> Option<String> {
        if let Some(missing) = self.missing_leader(core) {
            return Some(missing);
        }
        let views = match self.views(core) {
            Ok(views) => views,
            Err(missing) => return Some(missing),
        };
        let last = views.iter().map(|view| view.last).max()?;
        for (&node, view) in core.iter().zip(&views) {
            if view.last != last || view.applied != last.index {
                return Some(format!(
                    "n{} has applied {} of {last}, and its log ends with {}",
                    node + 1,
                    view.applied,
                    view.last
                ));
            }
        }
        None
    }

    /// What still waits on a node, although nobody waits for it.
    fn missing_quiet(&self, core: &[usize]) -> Option<String> {
        let processes = core
            .iter()
            .filter_map(|&node| self.nodes[node].process.as_ref());
        processes
            .map(|process| left_over(&process.replica, &self.shadow))
            .find_map(|left| left)
    }

    /// A node that was asked to stop does so first.
    fn missing_calm(&self, core: &[usize]) -> Option<String> {
        let is_stopping = |&node: &usize| {
            let process = self.nodes[node].process.as_ref();
            process.is_none_or(|process| process.stops_at_us.is_some())
        };
        let stopping = core.iter().copied().find(is_stopping)?;
        Some(format!("n{} stops", stopping + 1))
    }

    pub(super) fn views(&self, core: &[usize]) -> Result<Vec<View>, String> {
        core.iter()
            .map(|&node| match &self.nodes[node].process {
                Some(process) => Ok(View::of(&process.replica)),
                None => Err(format!("n{} is down", node + 1)),
            })
            .collect()
    }

    /// Judges the history of all clients as a whole.
    fn judge_history(&mut self) {
        if let Err(violation) = self.history_verdict() {
            self.fail(violation);
        }
    }

    fn history_verdict(&mut self) -> Result<(), Violation> {
        judges::witness::check(&self.history, &self.shadow)?;
        judges::deliveries::check(&self.history)?;
        judges::list_append::check(&self.history)?;
        let limits = Limits {
            steps_max: SEARCH_STEPS_MAX,
            ..Limits::default()
        };
        match linearizable::check(&self.history, limits) {
            Verdict::Violation { violation, .. } => Err(violation),
            Verdict::Inconclusive { partitions, .. } => {
                self.report.inconclusive += partitions;
                Ok(())
            }
            Verdict::Linearizable(_) => Ok(()),
        }
    }
}
