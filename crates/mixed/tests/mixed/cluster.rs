//! The group in one thread: an event heap over virtual time, with network and disks. What goes
//! wrong in it is told by `faults`.

use std::collections::{BTreeMap, BTreeSet};

use raft::{EntryId, LogIndex, NodeId, ReadEntries, Term};
use sim::tape::{Site, SiteKind, Tape};

use crate::checker::{Checker, Violation, violation};
use crate::disk::Write;
use crate::member::{Belief, Member, Output};
use crate::mistake::Mistake;
use crate::ours::Ours;
use crate::seat::{Inbox, Seat, Shape, Stats, TICK_US, position};
use crate::swarm::Swarm;
use crate::theirs::Theirs;
use crate::translate::{Translator, Wire};

/// The most messages under way; links hold only so much.
const MESSAGES_MAX: usize = 2_000;

/// What is to happen.
#[derive(Debug)]
pub(crate) enum Event {
    Tick(usize),
    Deliver(Wire),
    /// The oldest writes of a process are durable.
    Written {
        node: usize,
        start: u64,
        writes: usize,
    },
    ReadBack {
        node: usize,
        start: u64,
        read: ReadEntries,
    },
    Start(usize),
    Client,
    Fault,
    Heal,
}

/// See the module.
pub(crate) struct Cluster {
    pub(crate) tape: Tape,
    pub(crate) swarm: Swarm,
    pub(crate) now_us: u64,
    events: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    pub(crate) seats: Vec<Seat>,
    /// Links (from, to), by position, whose messages are lost.
    pub(crate) cut: BTreeSet<(usize, usize)>,
    /// Trouble is over: nothing goes wrong any more.
    pub(crate) is_calm: bool,
    translator: Translator,
    mistake: Mistake,
    pub(crate) checker: Checker,
    pub(crate) next_token: u64,
    pub(crate) next_payload: u64,
    /// Whether what happens is printed, a line each.
    traces: bool,
    pub(crate) stats: Stats,
}

impl Cluster {
    pub(crate) fn new(seed: u64, shape: Shape, mistake: Mistake) -> Cluster {
        let mut tape = Tape::new(seed);
        let swarm = Swarm::draw(&mut tape);
        let nodes = shape.ours + shape.theirs;
        let mut cluster = Cluster {
            tape,
            swarm,
            now_us: 0,
            events: BTreeMap::new(),
            next_event: 0,
            seats: (1..=nodes).map(|number| Seat::new(number, shape)).collect(),
            cut: BTreeSet::new(),
            is_calm: false,
            translator: Translator::new(NodeId(shape.ours), mistake),
            mistake,
            checker: Checker::new(mistake == Mistake::None),
            next_token: 0,
            next_payload: 0,
            traces: std::env::var_os("MIXED_TRACE").is_some(),
            stats: Stats::default(),
        };
        for node in 0..cluster.seats.len() {
            let drift = cluster
                .tape
                .below(Site::new(SiteKind::Clock, node), TICK_US / 10);
            cluster.seats[node].tick_us += drift;
            cluster.at(0, Event::Start(node));
            cluster.at(drift, Event::Tick(node));
        }
        cluster.at(TICK_US, Event::Client);
        cluster.at(TICK_US, Event::Fault);
        cluster
    }

    /// Lets time go on until `until_us`.
    pub(crate) fn run_until(&mut self, until_us: u64) -> Result<(), Violation> {
        while let Some(entry) = self.events.first_entry()
            && entry.key().0 <= until_us
        {
            let ((at_us, _), event) = entry.remove_entry();
            self.now_us = at_us;
            self.stats.events += 1;
            self.happen(event)?;
        }
        self.now_us = until_us;
        Ok(())
    }

    /// Something is to happen after a while.
    pub(crate) fn at(&mut self, after_us: u64, event: Event) {
        self.events
            .insert((self.now_us + after_us, self.next_event), event);
        self.next_event += 1;
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Tick(node) => {
                let seat = &mut self.seats[node];
                let tick_us = seat.tick_us;
                if !seat.has_stopped_clock
                    && !seat.is_paused
                    && let Some(member) = &mut seat.member
                {
                    member.tick();
                    self.drain(node)?;
                }
                self.at(tick_us, Event::Tick(node));
            }
            Event::Deliver(wire) => self.deliver(&wire)?,
            Event::Written { node, .. } | Event::ReadBack { node, .. }
                if self.seats[node].is_paused =>
            {
                self.at(TICK_US, event);
            }
            Event::Written {
                node,
                start,
                writes,
            } => {
                let seat = &mut self.seats[node];
                if seat.start == start && seat.member.is_some() {
                    seat.is_syncing = false;
                    self.finish_writes(node, writes)?;
                    self.start_sync(node);
                    self.drain(node)?;
                }
            }
            Event::ReadBack { node, start, read } => {
                let seat = &mut self.seats[node];
                if seat.start == start
                    && let Some(member) = &mut seat.member
                {
                    let entries = seat.disk.durable.read(&read);
                    member.entries_read(read.request, entries);
                    self.drain(node)?;
                }
            }
            Event::Start(node) => self.start(node)?,
            Event::Client => self.client()?,
            Event::Fault => self.fault()?,
            Event::Heal => self.heal()?,
        }
        Ok(())
    }

    /// A process starts from what its disk holds.
    pub(crate) fn start(&mut self, node: usize) -> Result<(), Violation> {
        if self.seats[node].member.is_some() {
            return Ok(());
        }
        let nodes = self.seats.len() as u64;
        let seed = self.tape.below(Site::new(SiteKind::Seed, node), 1 << 48);
        let seat = &mut self.seats[node];
        seat.start += 1;
        seat.applied = 0;
        seat.is_paused = false;
        seat.inbox = Inbox::default();
        seat.is_syncing = false;
        let settings = self.swarm.settings(seat.id, nodes, seed);
        let durable = &seat.disk.durable;
        let member: Result<Box<dyn Member>, String> = if seat.is_ours {
            Ours::start(&settings, durable).map(|member| Box::new(member) as Box<dyn Member>)
        } else {
            Theirs::start(&settings, durable).map(|member| Box::new(member) as Box<dyn Member>)
        };
        let id = seat.id;
        let state = durable.hard_state;
        let last = durable.last();
        self.trace(|| format!("{id} starts: {state:?} last={last}"));
        let seat = &mut self.seats[node];
        let member = member.map_err(|error| violation("starts again", format!("{id}: {error}")))?;
        seat.member = Some(member);
        for peer in (0..self.seats.len()).filter(|&peer| peer != node) {
            self.meet(peer, node)?;
            self.meet(node, peer)?;
        }
        self.drain(node)
    }

    /// A connection stands (again).
    fn meet(&mut self, node: usize, peer: usize) -> Result<(), Violation> {
        let id = self.seats[peer].id;
        let seat = &mut self.seats[node];
        if let Some(member) = seat.running() {
            member.peer_connected(id);
            self.drain(node)?;
        }
        Ok(())
    }

    /// Prints what happens, if that is wanted.
    pub(crate) fn trace(&self, line: impl Fn() -> String) {
        if self.traces {
            eprintln!("{:>10} {}", self.now_us, line());
        }
    }

    fn deliver(&mut self, wire: &Wire) -> Result<(), Violation> {
        let (from, to) = (position(wire.from()), position(wire.to()));
        if self.cut.contains(&(from, to)) {
            self.stats.messages_lost += 1;
            return Ok(());
        }
        let Some(seat) = self.seats.get_mut(to) else {
            return Err(violation("messages have receivers", format!("{wire:?}")));
        };
        let Some(member) = &mut seat.member else {
            return Ok(());
        };
        if seat.is_paused {
            seat.inbox.wires.push(wire.clone());
            return Ok(());
        }
        if self.traces
            && let Ok(Some(envelope)) = self.translator.for_ours(wire)
        {
            eprintln!("{:>10} {envelope}", self.now_us);
        }
        if let Err(refusal) = member.step(wire, &mut self.translator) {
            let detail = format!("{} refuses {wire:?}: {refusal}", seat.id);
            return Err(violation("honest messages are understood", detail));
        }
        self.drain(to)
    }

    /// The process goes on.
    pub(crate) fn resume(&mut self, node: usize) -> Result<(), Violation> {
        let seat = &mut self.seats[node];
        seat.is_paused = false;
        let Inbox { reads, wires } = std::mem::take(&mut seat.inbox);
        if let Some(member) = &mut seat.member {
            for token in reads {
                member.read(token);
            }
            self.drain(node)?;
        }
        for wire in wires {
            self.deliver(&wire)?;
        }
        Ok(())
    }

    /// Carries out all that follows from a node's last inputs.
    pub(crate) fn drain(&mut self, node: usize) -> Result<(), Violation> {
        while let Some(member) = &mut self.seats[node].member {
            let output = member
                .drain()
                .map_err(|error| violation("words we know", error))?;
            let Some(output) = output else {
                break;
            };
            self.carry_out(node, output)?;
        }
        let seat = &self.seats[node];
        if let Some(Belief {
            term, leads: true, ..
        }) = seat.member.as_ref().map(|m| m.belief())
            && self.checker.leads(seat.id, term, &seat.disk)?
        {
            let counter = if seat.is_ours {
                &mut self.stats.terms_led_by_ours
            } else {
                &mut self.stats.terms_led_by_theirs
            };
            *counter += 1;
            self.trace(|| format!("{} leads {term}", self.seats[node].id));
        }
        Ok(())
    }

    fn carry_out(&mut self, node: usize, output: Output) -> Result<(), Violation> {
        let Output {
            messages,
            write,
            applied,
            reads,
            read_entries,
        } = output;
        for wire in messages {
            self.send(node, wire)?;
        }
        if let Some(write) = write {
            self.write(node, write)?;
        }
        if !applied.is_empty() {
            let seat = &self.seats[node];
            let term = self.belief(node).map_or(Term(0), |belief| belief.term);
            let disks = self.seats.iter().map(|seat| &seat.disk);
            self.checker
                .applied(seat.id, term, seat.applied, &applied, disks)?;
            self.seats[node].applied += applied.len() as u64;
        }
        let asks_across = self.follows_other_kind(node);
        for (token, index) in reads {
            self.stats.reads_served += 1;
            self.stats.reads_across += u64::from(asks_across);
            self.checker.read_served(token, index)?;
        }
        let start = self.seats[node].start;
        for read in read_entries {
            let delay_us = self.disk_delay_us(node);
            self.at(delay_us, Event::ReadBack { node, start, read });
        }
        Ok(())
    }

    fn write(&mut self, node: usize, mut write: Write) -> Result<(), Violation> {
        if self.mistake == Mistake::AcknowledgesBeforeDurable {
            for wire in std::mem::take(&mut write.messages) {
                self.send(node, wire)?;
            }
        }
        let seat = &mut self.seats[node];
        let is_quick = !write.sync && seat.disk.writes_under_way() == 0;
        if let Some(first) = write.entries.first() {
            let before = LogIndex(first.id.index.0 - 1);
            let before = match crate::disk::entry_at(&seat.disk.log, before) {
                Some(entry) => entry.id,
                None => EntryId::ZERO,
            };
            self.checker.written(seat.id, before, &write.entries)?;
        }
        seat.disk.submit(write);
        if is_quick {
            return self.finish_writes(node, 1);
        }
        self.start_sync(node);
        Ok(())
    }

    /// If the disk does nothing and is to do something, it begins: one sync for all writes that
    /// have gathered.
    fn start_sync(&mut self, node: usize) {
        let seat = &mut self.seats[node];
        let writes = seat.disk.writes_under_way();
        if seat.is_syncing || writes == 0 {
            return;
        }
        seat.is_syncing = true;
        let start = seat.start;
        let delay_us = self.disk_delay_us(node);
        self.at(
            delay_us,
            Event::Written {
                node,
                start,
                writes,
            },
        );
    }

    fn disk_delay_us(&mut self, node: usize) -> u64 {
        let site = Site::new(SiteKind::DiskDelay, node);
        let mean_us = match (self.is_calm, self.seats[node].has_slow_disk) {
            (true, _) => 300,
            (false, false) => self.swarm.disk_us,
            (false, true) => 50_000 + 3 * self.swarm.disk_us,
        };
        self.tape.exponential_us(site, mean_us)
    }

    /// The oldest writes of a running process are durable.
    fn finish_writes(&mut self, node: usize, writes: usize) -> Result<(), Violation> {
        for _ in 0..writes {
            let seat = &mut self.seats[node];
            let Some(write) = seat.disk.complete() else {
                break;
            };
            if let Some(member) = &mut seat.member {
                member.persisted(write.number);
            }
            for wire in write.messages {
                self.send(node, wire)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, node: usize, wire: Wire) -> Result<(), Violation> {
        let view = self
            .translator
            .for_ours(&wire)
            .map_err(|error| violation("words we know", error))?;
        if let Some(envelope) = view {
            self.checker
                .sent(&envelope, &self.seats[node].disk.durable)?;
        }
        let to = position(wire.to());
        let link = node * 16 + to;
        let fate = Site::new(SiteKind::PacketFate, link);
        let is_lost = !self.is_calm && self.tape.chance(fate, self.swarm.loss);
        if is_lost || self.cut.contains(&(node, to)) || self.events.len() > MESSAGES_MAX {
            self.stats.messages_lost += 1;
            return Ok(());
        }
        let is_doubled = !self.is_calm && self.tape.chance(fate, self.swarm.doubling);
        if is_doubled {
            self.stats.messages_doubled += 1;
            let delay_us = 3 * self.packet_delay_us(link);
            self.at(delay_us, Event::Deliver(wire.clone()));
        }
        let delay_us = self.packet_delay_us(link);
        self.at(delay_us, Event::Deliver(wire));
        Ok(())
    }

    fn packet_delay_us(&mut self, link: usize) -> u64 {
        let mean_us = if self.is_calm {
            500
        } else {
            self.swarm.delay_us
        };
        50 + self
            .tape
            .exponential_us(Site::new(SiteKind::PacketDelay, link), mean_us)
    }

    pub(crate) fn any_node(&mut self, site: Site) -> usize {
        let nodes = self.seats.len() as u64;
        usize::try_from(self.tape.below(site, nodes)).unwrap_or(0)
    }

    pub(crate) fn belief(&self, node: usize) -> Option<Belief> {
        Some(self.seats[node].member.as_ref()?.belief())
    }

    /// Whether the node follows one that is not of its kind.
    fn follows_other_kind(&self, node: usize) -> bool {
        let leader = self.belief(node).and_then(|belief| belief.leader);
        let leader = leader.and_then(|leader| self.seats.get(position(leader)));
        leader.is_some_and(|leader| leader.is_ours != self.seats[node].is_ours)
    }

    /// Who leads in the latest term.
    pub(crate) fn leader(&self) -> Option<usize> {
        let leaders = (0..self.seats.len()).filter_map(|node| {
            let belief = self.belief(node)?;
            belief.leads.then_some((belief.term, node))
        });
        leaders.max().map(|(_, node)| node)
    }
}
