//! The clients: they speak RESP with the nodes as any program would, and write down what they
//! asked and what they were told.
//!
//! A client has one connection to one node. It acts at random times: an *act* sends one request, or
//! a pipeline, in one piece. If a reply does not come in time, or the connection breaks, what
//! was open on it is of unknown outcome, and the client goes to another node.
//!
//! # Keys
//!
//! The first letter of a key tells what is done to it, so that checkers can treat each kind by its
//! own rules:
//!
//! | prefix | commands |
//! | --- | --- |
//! | `r` | registers: `SET`, `SET .. XX`, `SET .. GET`, `SETNX`, `GETSET`, `DEL`, `GET` |
//! | `n` | counters: `INCR`, `INCRBY`, `DECRBY`, `GET`; an `INCRBY` of a word that is no number |
//! | `a` | lists of tokens: `APPEND key token,`, `GET` |
//! | `w` | compare and set: `WATCH`, `SET`, `GET` (see [`crate::history`]) |
//! | `t` | keys that expire: `SET .. PX`, `PEXPIRE`, `PTTL`, `PERSIST`, `GET` |
//! | `p` | channels: `PUBLISH` |
//!
//! The same key in another database is another key: in the history, `r1` of database 9 is `r1@9`.
//! Every value written is a *token* that no other write carries (some have a tail of `x` behind
//! a dot); so are messages. Keys of the kind `a` go out of use when they are long, and new ones take
//! their place: reading a list costs its length.
//!
//! Transactions over several keys mix `r` and `n`, or are of `a` alone. Transactions that are
//! discarded, or refused because a command in them is, are operations that certainly failed.

mod client;
mod commands;
mod connection;
mod dice;
mod optimistic;
pub mod replies;
mod workload;

#[cfg(test)]
mod tests;

use raft::NodeId;
use replica::Witness;

use crate::clients::client::{Client, Role};
use crate::clients::workload::Workload;
use crate::history::{History, Operation, Outcome, Position};
use crate::judges::Violation;
use crate::profile::Profile;
use crate::report::{FaultClass, FaultCounts};
use crate::tape::{Site, SiteKind, Tape};

/// The property that [`Clients::violation`] is about: every request has its reply, in order.
pub const PROPERTY: &str = "replies";

/// What a client wants the world to do. Of one client the world carries them out in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect to a node. Answered by [`Clients::connected`] or [`Clients::disconnected`].
    Connect {
        /// The client.
        client: usize,
        /// The node.
        node: NodeId,
    },
    /// Send bytes on the connection.
    Send {
        /// The client.
        client: usize,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Close the connection, or give up connecting. Nothing more of it may reach the client.
    Disconnect {
        /// The client.
        client: usize,
    },
    /// Call [`Clients::wake`] at a time.
    Wake {
        /// The client.
        client: usize,
        /// When.
        at_us: u64,
    },
}

/// What the clients see of the world, and where they leave what they do.
pub struct Scene<'a> {
    /// The time.
    pub now_us: u64,
    /// Where choices come from.
    pub tape: &'a mut Tape,
    /// Where operations are written down.
    pub history: &'a mut History,
    /// Where faults are counted.
    pub faults: &'a mut FaultCounts,
    /// What the world is to do.
    pub actions: &'a mut Vec<Action>,
    /// Operations that ended in this call.
    pub answered: &'a mut Vec<usize>,
}

/// All clients of a run. See the module.
#[derive(Debug)]
pub struct Clients {
    clients: Vec<Client>,
    shared: Shared,
}

/// What the clients have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    workload: Workload,
    /// How many nodes there are.
    nodes: usize,
    /// No new operations.
    settled: bool,
    /// Operations that were asked, or are bound to be, and have not ended.
    open: usize,
    /// Until when load is multiplied.
    burst_until_us: u64,
    /// The first thing that was wrong with the replies themselves.
    violation: Option<Violation>,
}

impl Shared {
    /// An operation ends.
    fn complete(
        &mut self,
        scene: &mut Scene<'_>,
        op: usize,
        outcome: Outcome,
        position: Option<Position>,
    ) {
        scene.history.complete(scene.now_us, op, outcome, position);
        scene.answered.push(op);
        self.open -= 1;
    }
}

impl Clients {
    /// The clients of a run: how many, what they do, how often.
    pub fn new(profile: Profile, nodes: usize, tape: &mut Tape) -> Clients {
        let workload = Workload::draw(profile, tape);
        let clients = (0..workload.clients)
            .map(|client| Client::new(client, Role::Worker, nodes, tape, &workload))
            .collect();
        Clients {
            clients,
            shared: Shared {
                workload,
                nodes,
                settled: false,
                open: 0,
                burst_until_us: 0,
                violation: None,
            },
        }
    }

    /// How many there are; those that [`Clients::final_reads`] added are the last.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether there are none; there always are some.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// The run begins.
    pub fn begin(&mut self, scene: &mut Scene<'_>) {
        for client in &mut self.clients {
            client.connect(scene);
            client.schedule(scene);
        }
    }

    /// The time has come that a client asked for. Early and repeated calls do nothing.
    pub fn wake(&mut self, client: usize, scene: &mut Scene<'_>) {
        let begins_burst = self.clients[client].wake(&mut self.shared, scene);
        self.clients[client].schedule(scene);
        if begins_burst {
            self.burst(client, scene);
        }
    }

    /// The connection asked for stands.
    pub fn connected(&mut self, client: usize, scene: &mut Scene<'_>) {
        let client = &mut self.clients[client];
        client.connected(&mut self.shared, scene);
        client.schedule(scene);
    }

    /// The connection was refused, or broke. What was open on it is of unknown outcome.
    pub fn disconnected(&mut self, client: usize, scene: &mut Scene<'_>) {
        let client = &mut self.clients[client];
        client.disconnected(&mut self.shared, scene);
        client.schedule(scene);
    }

    /// Replies arrived, or a part of one, in order, and what the server says of where they were
    /// made. A witness comes no later than the last byte of its reply.
    pub fn received(
        &mut self,
        client: usize,
        bytes: &[u8],
        witnesses: &[Witness],
        scene: &mut Scene<'_>,
    ) {
        let made = witnesses.iter().map(|witness| {
            let position = Position {
                index: witness.index.0,
                order: witness.order,
            };
            (witness.offset, position)
        });
        self.take(client, bytes, made, scene);
    }

    /// The same, each witness by its offset and what it says.
    fn take(
        &mut self,
        client: usize,
        bytes: &[u8],
        made: impl IntoIterator<Item = (u64, Position)>,
        scene: &mut Scene<'_>,
    ) {
        let client = &mut self.clients[client];
        client.received(bytes, made, &mut self.shared, scene);
        client.schedule(scene);
    }

    /// No new operations from now on. What is open ends by its time limit at the latest.
    pub fn settle(&mut self, scene: &mut Scene<'_>) {
        self.shared.settled = true;
        for client in &mut self.clients {
            client.settle();
            client.schedule(scene);
        }
    }

    /// How many operations have not ended.
    pub fn open_operations(&self) -> usize {
        self.shared.open
    }

    /// A fresh client writes a key through a node, and then reads every key. Counts as open until
    /// all are read, or given up.
    pub fn final_reads(&mut self, node: NodeId, scene: &mut Scene<'_>) {
        let keys = self.shared.workload.touched();
        self.shared.open += keys.len();
        let index = self.clients.len();
        let role = Role::Reader { node, keys };
        let nodes = self.shared.nodes;
        let workload = &self.shared.workload;
        let mut client = Client::new(index, role, nodes, scene.tape, workload);
        client.connect(scene);
        client.schedule(scene);
        self.clients.push(client);
    }

    /// The first of the operations of [`Clients::final_reads`] that was not served.
    pub fn final_failure<'h>(&self, history: &'h History) -> Option<&'h Operation> {
        let is_final = |process: u32| self.clients[process as usize].is_reader();
        history.operations.iter().rev().find(|operation| {
            is_final(operation.process) && !matches!(operation.outcome, Outcome::Done(_))
        })
    }

    /// What was wrong with the replies themselves, if anything ever was: bytes that are not RESP, a
    /// reply that nobody asked for, a reply that its command cannot have.
    pub fn violation(&self) -> Option<Violation> {
        self.shared.violation.clone()
    }

    /// Load is multiplied for a while: all clients act sooner.
    fn burst(&mut self, by: usize, scene: &mut Scene<'_>) {
        scene.faults.add(FaultClass::Burst);
        let site = Site::new(SiteKind::ClientChoice, client::site::BURST + by);
        let length_us = scene.tape.between(site, 200_000, 1_500_000);
        self.shared.burst_until_us = scene.now_us + length_us;
        for client in &mut self.clients {
            client.hurry(scene.now_us);
            client.schedule(scene);
        }
    }
}
