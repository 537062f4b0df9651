//! Connections between nodes, and the packets under way on them.
//!
//! A connection behaves as TCP does, and a little worse: what is sent arrives in order or not at all,
//! except that Raft's own messages, which must survive anything, may also overtake each other, arrive
//! twice, or arrive from a connection that is gone. A batch that a gateway forwards arrives at most
//! once: the shell promises the replica that there is one copy (see `replica::Replica`).

use std::collections::VecDeque;

use replica::PeerMessage;

/// How many old packets of a link are kept to be replayed.
const OLD_PACKETS_MAX: usize = 16;

/// A message under way.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) from: usize,
    pub(super) to: usize,
    /// The connection that it was sent on.
    pub(super) epoch: u32,
    /// It arrives although that connection is gone.
    pub(super) is_replay: bool,
    pub(super) sent_us: u64,
    pub(super) message: PeerMessage,
}

/// One direction between two nodes.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// How many faults cut it at present.
    pub(super) cuts: u32,
    /// Everything waits until then.
    pub(super) clogged_until_us: u64,
    /// Added to each packet's time.
    pub(super) slow_us: u64,
    /// When the last packet arrives: later ones do not overtake it.
    pub(super) last_arrival_us: u64,
    /// Raft's messages of some time ago.
    pub(super) old: VecDeque<PeerMessage>,
}

impl Link {
    /// Keeps a message to be replayed later.
    pub(super) fn remember(&mut self, message: &PeerMessage) {
        if self.old.len() == OLD_PACKETS_MAX {
            self.old.pop_front();
        }
        self.old.push_back(message.clone());
    }
}

/// A connection between two nodes, or its absence.
#[derive(Debug, Default)]
pub(super) struct Pair {
    pub(super) is_connected: bool,
    /// They will try to connect.
    pub(super) connect_scheduled: bool,
    /// Rises each time the connection ends.
    pub(super) epoch: u32,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Network {
    nodes: usize,
    links: Vec<Link>,
    pairs: Vec<Pair>,
    packets: Vec<Option<Packet>>,
    free: Vec<u32>,
}

impl Network {
    pub(super) fn new(nodes: usize) -> Network {
        Network {
            nodes,
            links: (0..nodes * nodes).map(|_| Link::default()).collect(),
            pairs: (0..nodes * nodes).map(|_| Pair::default()).collect(),
            packets: Vec::new(),
            free: Vec::new(),
        }
    }

    /// The number of a directed link.
    pub(super) fn link_index(&self, from: usize, to: usize) -> usize {
        from * self.nodes + to
    }

    pub(super) fn link(&mut self, from: usize, to: usize) -> &mut Link {
        let index = self.link_index(from, to);
        &mut self.links[index]
    }

    /// The number of the connection between two nodes.
    pub(super) fn pair_index(&self, one: usize, other: usize) -> usize {
        one.min(other) * self.nodes + one.max(other)
    }

    pub(super) fn pair(&mut self, one: usize, other: usize) -> &mut Pair {
        let index = self.pair_index(one, other);
        &mut self.pairs[index]
    }

    /// The nodes of a connection.
    pub(super) fn ends(&self, pair: usize) -> (usize, usize) {
        (pair / self.nodes, pair % self.nodes)
    }

    /// Whether anything gets through in this direction.
    pub(super) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.links[self.link_index(from, to)].cuts > 0
    }

    /// When the last of the packets now under way arrives, on whichever link.
    pub(super) fn last_arrival_us(&self) -> u64 {
        let arrivals = self.links.iter().map(|link| link.last_arrival_us);
        arrivals.max().unwrap_or(0)
    }

    /// Whether any link is cut.
    pub(super) fn is_any_cut(&self) -> bool {
        self.links.iter().any(|link| link.cuts > 0)
    }

    /// Puts a packet under way; the number finds it again.
    pub(super) fn put(&mut self, packet: Packet) -> u32 {
        match self.free.pop() {
            Some(place) => {
                self.packets[place as usize] = Some(packet);
                place
            }
            None => {
                self.packets.push(Some(packet));
                (self.packets.len() - 1) as u32
            }
        }
    }

    /// Takes a packet that arrives.
    pub(super) fn take(&mut self, place: u32) -> Option<Packet> {
        let packet = self.packets[place as usize].take();
        if packet.is_some() {
            self.free.push(place);
        }
        packet
    }

    /// Removes every cut, clog and slowness.
    pub(super) fn heal(&mut self) {
        for link in &mut self.links {
            link.cuts = 0;
            link.clogged_until_us = 0;
            link.slow_us = 0;
        }
    }
}
