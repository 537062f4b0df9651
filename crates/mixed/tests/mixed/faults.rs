//! What goes wrong in a run, and the demand that it passes: when all is well again, the group
//! agrees and works within a bound.

use raft::NodeId;
use sim::tape::{Site, SiteKind};

use crate::checker::{Violation, violation};
use crate::cluster::{Cluster, Event};
use crate::seat::TICK_US;

/// How long trouble lasts.
pub(crate) const TROUBLE_US: u64 = 3_000_000;
/// How long the group may take to recover from it: some fifteen of the longest election timeouts.
const RECOVERY_MAX_US: u64 = 6_000_000;
/// How often it is asked whether it has.
const POLL_US: u64 = 5 * TICK_US;

/// What a fault is about, as far as the tape tells them apart.
const WHAT: usize = 0;
const WHOM: usize = 1;
const HOW_LONG: usize = 2;

impl Cluster {
    /// Something goes wrong.
    pub(crate) fn fault(&mut self) -> Result<(), Violation> {
        if self.is_calm {
            return Ok(());
        }
        let node = self.victim();
        match self.fault_below(WHAT, 12) {
            1..=3 => self.crash(node)?,
            4 => self.isolate(node),
            5 => self.split(),
            6 => {
                let peer = self.any_node(Site::new(SiteKind::Fault, WHOM));
                self.cut.insert((node, peer));
            }
            7 => self.seats[node].has_slow_disk = true,
            8 => self.seats[node].has_stopped_clock = true,
            9 => self.transfer()?,
            10 | 11 => self.seats[node].is_paused = true,
            _ => {}
        }
        let lasts_us = self.fault_below(HOW_LONG, 400_000);
        self.at(lasts_us, Event::Heal);
        let gap_us = self.swarm.fault_gap_us;
        let gap_us = self
            .tape
            .exponential_us(Site::new(SiteKind::FaultGap, 0), gap_us);
        self.at(gap_us + TICK_US, Event::Fault);
        Ok(())
    }

    /// All but crashes passes at once: overlapping faults heal together.
    pub(crate) fn heal(&mut self) -> Result<(), Violation> {
        self.cut.clear();
        for node in 0..self.seats.len() {
            let seat = &mut self.seats[node];
            seat.has_slow_disk = false;
            seat.has_stopped_clock = false;
            if seat.is_paused {
                self.resume(node)?;
            }
        }
        Ok(())
    }

    fn fault_below(&mut self, of: usize, bound: u64) -> u64 {
        self.tape.below(Site::new(SiteKind::Fault, of), bound)
    }

    /// The leader half of the time.
    fn victim(&mut self) -> usize {
        let site = Site::new(SiteKind::Fault, WHOM);
        let node = self.any_node(site);
        match self.leader() {
            Some(leader) if self.tape.chance(site, 500_000) => leader,
            _ => node,
        }
    }

    /// A process dies in the middle of its writes, and starts again later.
    fn crash(&mut self, node: usize) -> Result<(), Violation> {
        let process = Site::new(SiteKind::Process, node);
        let pieces = usize::try_from(self.tape.below(process, 8)).unwrap_or(0);
        let down_us = self.tape.exponential_us(process, 150_000);
        let seat = &mut self.seats[node];
        if seat.member.take().is_none() {
            return Ok(());
        }
        seat.disk.crash(pieces);
        self.stats.crashes += 1;
        let id = seat.id;
        self.trace(|| format!("{id} crashes"));
        self.at(down_us + 1, Event::Start(node));
        for peer in (0..self.seats.len()).filter(|&peer| peer != node) {
            // A connection that is reset shows it; one that is cut does not.
            let is_told = self.tape.chance(process, 600_000);
            let seat = &mut self.seats[peer];
            if is_told && let Some(member) = seat.running() {
                member.peer_reset(id);
                self.drain(peer)?;
            }
        }
        Ok(())
    }

    fn isolate(&mut self, node: usize) {
        self.stats.partitions += 1;
        for peer in 0..self.seats.len() {
            self.cut.extend([(node, peer), (peer, node)]);
        }
    }

    /// Two halves that do not hear each other.
    fn split(&mut self) {
        self.stats.partitions += 1;
        let halves = self.fault_below(WHOM, 1 << self.seats.len());
        let half = |node: usize| halves >> node & 1;
        let nodes = 0..self.seats.len();
        for (from, to) in nodes
            .clone()
            .flat_map(|from| nodes.clone().map(move |to| (from, to)))
        {
            if half(from) != half(to) {
                self.cut.insert((from, to));
            }
        }
    }

    fn transfer(&mut self) -> Result<(), Violation> {
        let to = self.any_node(Site::new(SiteKind::Fault, WHOM));
        let to_id = self.seats[to].id;
        if let Some(leader) = self.leader().filter(|&leader| leader != to)
            && !self.seats[leader].is_paused
            && let Some(member) = &mut self.seats[leader].member
        {
            self.stats.transfers += 1;
            member.transfer(to_id);
            self.drain(leader)?;
        }
        Ok(())
    }

    /// All trouble ends. Before long there is one leader, all follow it, all apply a last proposal,
    /// and every node serves a read.
    pub(crate) fn recover(&mut self) -> Result<(), Violation> {
        self.heal()?;
        self.is_calm = true;
        self.trace(|| "all trouble ends".to_owned());
        for node in 0..self.seats.len() {
            self.start(node)?;
        }
        let began_us = self.now_us;
        let deadline_us = began_us + RECOVERY_MAX_US;
        let mut missing = String::new();
        while self.now_us < deadline_us {
            self.run_until(self.now_us + POLL_US)?;
            match self.works()? {
                Ok(()) => {
                    self.stats.recovery_us = self.now_us - began_us;
                    return Ok(());
                }
                Err(still_missing) => missing = still_missing,
            }
        }
        Err(violation("works again", missing))
    }

    /// Whether the group agrees and works; if not, what is missing.
    fn works(&mut self) -> Result<Result<(), String>, Violation> {
        let nodes = 0..self.seats.len();
        let beliefs: Vec<_> = nodes.clone().map(|node| self.belief(node)).collect();
        let leaders: Vec<Option<NodeId>> = beliefs
            .iter()
            .map(|belief| belief.and_then(|belief| belief.leader))
            .collect();
        let Some(leader) = self.leader() else {
            return Ok(Err(format!("a leader: {beliefs:?}")));
        };
        let leader_id = Some(self.seats[leader].id);
        if leaders.iter().any(|&believed| believed != leader_id) {
            return Ok(Err(format!("agreement on who leads: {beliefs:?}")));
        }
        if !self.propose(leader)? {
            return Ok(Err(format!("a leader that takes proposals: {beliefs:?}")));
        }
        let last = self.seats[leader].disk.log.len() as u64;
        let reads: Vec<u64> = nodes
            .clone()
            .map(|node| self.read(node))
            .collect::<Result<_, _>>()?;
        self.run_until(self.now_us + POLL_US)?;
        let applied: Vec<u64> = self.seats.iter().map(|seat| seat.applied).collect();
        if applied.iter().any(|&applied| applied < last) {
            return Ok(Err(format!(
                "{last} entries applied everywhere, only {applied:?} are"
            )));
        }
        match reads
            .iter()
            .position(|&token| !self.checker.is_served(token))
        {
            Some(node) => Ok(Err(format!("a read through {}", self.seats[node].id))),
            None => Ok(Ok(())),
        }
    }
}
