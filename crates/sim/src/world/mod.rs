//! The world in one thread: nodes that run the production code, and everything outside of them.
//!
//! Simulated is only what lies outside the process: the network, the disk below the file seam, the
//! clocks, the clients, and the shell's threads as an event heap over virtual time. `replica`, `raft`,
//! `kv` and `wal` are the code that a server runs.
//!
//! A run has two phases. In the *safety phase* faults strike, clients work, and every step is judged.
//! In the *liveness phase* a random quorum is healed, the rest is frozen as failed, and progress is
//! demanded (`phases`). Then the history of the clients is judged as a whole.
//!
//! | file | what |
//! |---|---|
//! | `queue` | the event heap |
//! | `swarm` | the options of a run |
//! | `node`, `process` | disks, clocks, processes, and the disk thread |
//! | `snapshots`, `transfers` | snapshots of nodes, written, sent and installed |
//! | `network`, `peers` | packets, connections, handshakes |
//! | `members` | who may speak with whom while members come and go |
//! | `operator` | the people who change the members |
//! | `gateways` | connections of clients |
//! | `nemesis` | faults, and their ends |
//! | `phases`, `reign`, `order` | healing, and what must follow |
//! | `watch` | what judges and people are shown |

mod gateways;
mod members;
mod nemesis;
mod network;
mod node;
mod operator;
mod order;
mod peers;
mod phases;
mod process;
mod queue;
mod reign;
mod snapshots;
mod swarm;
mod transfers;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use crate::clients::{Action, Clients, Scene};
use crate::history::History;
use crate::judges::{Judges, Shadow, Violation};
use crate::report::{Failure, FaultClass, RunOptions, RunReport, TraceEvent};
use crate::tape::{Site, SiteKind, Tape};
use crate::world::gateways::Connection;
use crate::world::nemesis::Undo;
use crate::world::network::Network;
use crate::world::node::Node;
use crate::world::operator::Operator;
use crate::world::queue::{Event, Queue};
use crate::world::swarm::Swarm;
use crate::world::transfers::Transfer;

/// Everything.
struct World {
    options: RunOptions,
    swarm: Swarm,
    tape: Tape,
    queue: Queue,
    now_us: u64,
    step: u64,
    nodes: Vec<Node>,
    network: Network,
    /// Snapshots on their way, by number, until they have ended.
    transfers: Vec<Option<Transfer>>,
    operator: Operator,
    clients: Clients,
    /// By client.
    connections: Vec<Connection>,
    history: History,
    shadow: Shadow,
    judges: Judges,
    report: RunReport,
    trace: Vec<TraceEvent>,
    /// Faults that last, by number, until they are undone.
    faults: Vec<Option<Undo>>,
    /// No new faults.
    is_healing: bool,
    failure: Option<Failure>,
    // Kept so that a step does not allocate them anew.
    actions: Vec<Action>,
    answered: Vec<usize>,
}

/// Runs a seed. Never panics: a panic of the code under test is a failure of the run.
pub fn run(options: &RunOptions) -> RunReport {
    let tape = match &options.only {
        Some(kept) => Tape::only(options.seed, kept.clone()),
        None if options.record => Tape::record(options.seed),
        None => Tape::new(options.seed),
    };
    let mut world = World::new(options.clone(), tape);
    let decisions = Arc::new(Mutex::new(Decisions::new(options)));
    let shared = Arc::clone(&decisions);
    let decide = Box::new(move |point: buggify::Point| {
        let mut decisions = shared.lock().unwrap_or_else(PoisonError::into_inner);
        decisions.fires(point)
    });
    let armed = buggify::arm(options.canary, &world.swarm.points, decide);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.live()));
    drop(armed);
    if let Err(panic) = outcome {
        world.fail(Violation {
            property: "panic",
            detail: panic_text(panic.as_ref()),
        });
    }
    let decisions = std::mem::take(&mut *decisions.lock().unwrap_or_else(PoisonError::into_inner));
    world.finish(decisions)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    let text = text.unwrap_or("without a message");
    match crate::panics::take_place() {
        Some(place) => format!("{place}: {text}"),
        None => text.to_owned(),
    }
}

/// Whether points of `buggify` fire: asked from the depths of the production code, where the world
/// is not at hand, so it has a tape of its own. The sites are disjoint.
#[derive(Debug, Default)]
struct Decisions {
    tape: Option<Tape>,
    fired: u64,
}

impl Decisions {
    fn new(options: &RunOptions) -> Decisions {
        let tape = match &options.only {
            Some(kept) => Tape::only(options.seed, kept.clone()),
            None if options.record => Tape::record(options.seed),
            None => Tape::new(options.seed),
        };
        Decisions {
            tape: Some(tape),
            fired: 0,
        }
    }

    fn fires(&mut self, point: buggify::Point) -> bool {
        if point == buggify::Point::LeaderKeepsOffice {
            return true;
        }
        let site = Site::new(SiteKind::Buggify, point as usize);
        let rate = match point {
            // Every other file would otherwise be a segment with a single record.
            buggify::Point::SegmentFullEarly => 20_000,
            buggify::Point::ForwardRefusedFull => 50_000,
            _ => 250_000,
        };
        let fires = self
            .tape
            .as_mut()
            .is_some_and(|tape| tape.chance(site, rate));
        self.fired += u64::from(fires);
        fires
    }
}

impl World {
    fn new(options: RunOptions, mut tape: Tape) -> World {
        let swarm = Swarm::draw(options.profile, &mut tape);
        let nodes = (0..swarm.places)
            .map(|index| Node::new(index, index < swarm.nodes, &mut tape))
            .collect();
        let clients = Clients::new(options.profile, swarm.places, &mut tape);
        World {
            network: Network::new(swarm.places),
            transfers: Vec::new(),
            connections: (0..clients.len()).map(|_| Connection::default()).collect(),
            report: RunReport {
                seed: options.seed,
                nodes: swarm.nodes,
                ..RunReport::default()
            },
            nodes,
            operator: Operator::default(),
            clients,
            swarm,
            options,
            tape,
            queue: Queue::default(),
            now_us: 0,
            step: 0,
            history: History::default(),
            shadow: Shadow::default(),
            judges: Judges::default(),
            trace: Vec::new(),
            faults: Vec::new(),
            is_healing: false,
            failure: None,
            actions: Vec::new(),
            answered: Vec::new(),
        }
    }

    /// The whole run.
    fn live(&mut self) {
        self.begin();
        self.run_until(self.options.duration_us);
        if self.failure.is_none() {
            self.end_safely();
        }
    }

    fn begin(&mut self) {
        self.show_begin();
        for node in 0..self.nodes.len() {
            self.queue.push(0, Event::Start { node, life: 0 });
        }
        for one in 0..self.nodes.len() {
            for other in one + 1..self.nodes.len() {
                self.connect_later(one, other);
            }
        }
        self.set_initial_clocks();
        self.queue.push(swarm::NEMESIS_PERIOD_US, Event::Nemesis);
        self.with_clients(|clients, scene| clients.begin(scene));
    }

    /// Handles events until a time, or until a property breaks.
    fn run_until(&mut self, until_us: u64) {
        while self.failure.is_none() {
            let Some((at_us, event)) = self.queue.pop(until_us) else {
                self.now_us = self.now_us.max(until_us);
                return;
            };
            self.now_us = at_us;
            self.step += 1;
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Tick { node, life } => self.tick(node, life),
            Event::Turn { node, life } => self.end_turn(node, life),
            Event::Arrive { packet } => self.arrive(packet),
            Event::DiskStart { node, life } => self.disk_starts(node, life),
            Event::DiskEnd { node, life } => self.disk_ends(node, life),
            Event::Snapshot { node, life } => self.snapshot_step(node, life),
            Event::SendSnapshot {
                node,
                life,
                request,
            } => {
                if self.process(node, life).is_some() {
                    self.begin_transfer(node, request);
                }
            }
            Event::Transfer { transfer } => self.transfer_step(transfer),
            Event::Start { node, life } => self.start(node, life),
            Event::Connect { pair } => self.try_connect(pair),
            Event::Disconnected {
                node,
                life,
                peer,
                reason,
            } => self.peer_gone(node, life, peer, reason),
            Event::Nemesis => self.strike(),
            Event::Undo { fault } => self.undo(fault),
            Event::ClientConnect { client, epoch } => self.client_connects(client, epoch),
            Event::ClientUp { client, epoch } => self.client_is_up(client, epoch),
            Event::ClientBytes {
                client,
                epoch,
                bytes,
            } => self.client_sends(client, epoch, &bytes),
            Event::ClientReply {
                client,
                epoch,
                reply,
            } => self.client_hears(client, epoch, &reply),
            Event::ClientReads { client, epoch } => self.client_reads(client, epoch),
            Event::ClientGone { client, epoch } => self.client_is_gone(client, epoch),
            Event::ClientLeft {
                node,
                life,
                session,
            } => self.client_left(node, life, session),
            Event::ClientWake { client } => {
                self.with_clients(|clients, scene| clients.wake(client, scene));
            }
        }
    }

    /// Lets clients act, and carries out what they want.
    fn with_clients(&mut self, act: impl FnOnce(&mut Clients, &mut Scene<'_>)) {
        let mut actions = std::mem::take(&mut self.actions);
        let mut answered = std::mem::take(&mut self.answered);
        let mut scene = Scene {
            now_us: self.now_us,
            tape: &mut self.tape,
            history: &mut self.history,
            faults: &mut self.report.faults,
            actions: &mut actions,
            answered: &mut answered,
        };
        act(&mut self.clients, &mut scene);
        for op in answered.drain(..) {
            self.show_answer(op);
        }
        for action in actions.drain(..) {
            self.carry_out_action(action);
        }
        self.actions = actions;
        self.answered = answered;
    }

    /// The first violation ends the run.
    fn fail(&mut self, violation: Violation) {
        if self.failure.is_none() {
            self.failure = Some(Failure {
                violation,
                step: self.step,
                at_us: self.now_us,
                nodes: Vec::new(),
            });
        }
    }

    /// Sums up.
    fn finish(mut self, decisions: Decisions) -> RunReport {
        for _ in 0..decisions.fired {
            self.report.faults.add(FaultClass::Buggify);
        }
        self.report.events = self.step;
        self.report.simulated_us = self.now_us;
        self.report.operations = self.history.operations.len() as u64;
        self.report.changes = self.shadow.ledger().confs().count() as u64;
        if let Some(mut failure) = self.failure.take() {
            // Not when it broke: the node that was stepped then was not in its place.
            failure.nodes = self.describe_nodes();
            self.report.failure = Some(failure);
        }
        self.report.trace = std::mem::take(&mut self.trace);
        self.note(self.step, self.now_us);
        let mut choices = self.tape.into_recorded();
        choices.extend(decisions.tape.map(Tape::into_recorded).unwrap_or_default());
        self.report.choices = choices;
        if self.options.keep_history {
            self.report.history = Some(self.history);
        }
        self.report
    }
}
