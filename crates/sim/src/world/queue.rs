//! The event heap: what will happen, and when.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use raft::SendSnapshot;
use replica::{Disconnect, Witness};

/// Something that will happen. Nodes and clients are indices from 0.
///
/// A `life` numbers the runs of a node's process, an `epoch` those of a connection: what was meant for
/// one that is gone finds another number and does nothing.
#[derive(Debug)]
pub(super) enum Event {
    /// A node's timer.
    Tick { node: usize, life: u32 },
    /// A node's reactor ends a turn.
    Turn { node: usize, life: u32 },
    /// A packet arrives. The number finds it in the network.
    Arrive { packet: u32 },
    /// A node's disk takes what waits.
    DiskStart { node: usize, life: u32 },
    /// A node's disk has done what it took.
    DiskEnd { node: usize, life: u32 },
    /// A node's snapshot thread does the next step.
    Snapshot { node: usize, life: u32 },
    /// A leader wants a follower to have a snapshot.
    SendSnapshot {
        node: usize,
        life: u32,
        request: SendSnapshot,
    },
    /// A transfer of a snapshot takes its next step.
    Transfer { transfer: u32 },
    /// A process starts.
    Start { node: usize, life: u32 },
    /// Two nodes try to connect.
    Connect { pair: usize },
    /// A node learns that a connection ended.
    Disconnected {
        node: usize,
        life: u32,
        peer: usize,
        reason: Disconnect,
    },
    /// The nemesis looks for something to break.
    Nemesis,
    /// A fault ends.
    Undo { fault: u32 },
    /// A client's connection request arrives at its gateway.
    ClientConnect { client: usize, epoch: u32 },
    /// A client learns that its connection stands.
    ClientUp { client: usize, epoch: u32 },
    /// Bytes of a client arrive at its gateway.
    ClientBytes {
        client: usize,
        epoch: u32,
        bytes: Box<[u8]>,
    },
    /// Replies arrive at a client.
    ClientReply {
        client: usize,
        epoch: u32,
        reply: Box<Replies>,
    },
    /// A client that reads slowly reads again.
    ClientReads { client: usize, epoch: u32 },
    /// A client learns that its connection is gone.
    ClientGone { client: usize, epoch: u32 },
    /// A gateway learns that a client is gone.
    ClientLeft {
        node: usize,
        life: u32,
        session: replica::ClientId,
    },
    /// A client's timer.
    ClientWake { client: usize },
}

/// Reply bytes on their way to a client.
#[derive(Debug)]
pub(super) struct Replies {
    pub(super) bytes: Vec<u8>,
    pub(super) witnesses: Vec<Witness>,
}

#[derive(Debug)]
struct Scheduled {
    at_us: u64,
    /// Events at the same time happen in the order in which they were scheduled.
    order: u64,
    event: Event,
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Scheduled) -> Ordering {
        (self.at_us, self.order).cmp(&(other.at_us, other.order))
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Scheduled) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Scheduled) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scheduled {}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
}

impl Queue {
    /// Schedules an event.
    pub(super) fn push(&mut self, at_us: u64, event: Event) {
        self.scheduled += 1;
        self.heap.push(Reverse(Scheduled {
            at_us,
            order: self.scheduled,
            event,
        }));
    }

    /// Takes the next event, if it is due by `until_us`.
    pub(super) fn pop(&mut self, until_us: u64) -> Option<(u64, Event)> {
        if self.heap.peek()?.0.at_us > until_us {
            return None;
        }
        let Reverse(next) = self.heap.pop()?;
        Some((next.at_us, next.event))
    }
}
