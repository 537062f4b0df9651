//! Nodes among each other: connecting, the handshake's judgement, and packets.

use raft::{Message, NodeId};
use replica::{Disconnect, FeatureLevels, PeerInfo, PeerMessage};
use wal::known_peers::{self, PeerRun};

use crate::judges::Fact;
use crate::report::{FaultClass, TraceKind};
use crate::tape::{Site, SiteKind};
use crate::world::World;
use crate::world::network::Packet;
use crate::world::node::Down;
use crate::world::queue::Event;

/// How often two nodes that are not connected try.
const CONNECT_PERIOD_US: u64 = 100_000;

/// How long a node waits in silence before it gives a connection up.
const LOST_AFTER_US: u64 = 3_000_000;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Arrives,
    IsLost,
    ArrivesTwice,
    IsLate,
    IsDamaged,
    IsReplayedLater,
}

impl World {
    /// Has two nodes try to connect.
    pub(super) fn connect_later(&mut self, one: usize, other: usize) {
        let pair = self.network.pair_index(one, other);
        let state = self.network.pair(one, other);
        if !state.is_connected && !state.connect_scheduled {
            state.connect_scheduled = true;
            self.queue
                .push(self.now_us + CONNECT_PERIOD_US / 4, Event::Connect { pair });
        }
    }

    pub(super) fn try_connect(&mut self, pair: usize) {
        let (one, other) = self.network.ends(pair);
        let state = self.network.pair(one, other);
        state.connect_scheduled = false;
        if state.is_connected {
            return;
        }
        let is_for_ever = |node: usize| {
            let place = &self.nodes[node];
            matches!(place.down, Down::Frozen | Down::Refused) || !place.is_present()
        };
        if is_for_ever(one) || is_for_ever(other) || !self.is_wanted(one, other) {
            return;
        }
        let is_cut = self.network.is_cut(one, other) || self.network.is_cut(other, one);
        let are_awake = [one, other].map(|node| self.nodes[node].is_awake(self.now_us));
        if !is_cut && are_awake == [true, true] {
            self.meet(one, other);
            return;
        }
        self.network.pair(one, other).connect_scheduled = true;
        self.queue
            .push(self.now_us + CONNECT_PERIOD_US, Event::Connect { pair });
        // Whoever dials a node whose process is gone is refused.
        for (node, peer) in [(one, other), (other, one)] {
            let is_refused = self.nodes[peer].process.is_none();
            let is_told = is_refused && self.dials(node, peer);
            if !is_cut && is_told && self.nodes[node].is_awake(self.now_us) {
                self.input(node, |replica, now| {
                    replica.peer_disconnected(now, NodeId(peer as u64 + 1), Disconnect::Reset);
                });
            }
        }
    }

    /// The handshake: each judges by what it remembers whether the other is what it was, and
    /// remembers it.
    fn meet(&mut self, one: usize, other: usize) {
        if !self.let_each_other_in(one, other) {
            return;
        }
        for (node, peer) in [(one, other), (other, one)] {
            let Some(run) = self.run_of(peer) else {
                return;
            };
            let Some(process) = &mut self.nodes[node].process else {
                return;
            };
            let known = process.known_peers.run(run.node);
            match known_peers::judge(known, run) {
                Ok(None) => {}
                Ok(Some(met)) => {
                    if process.known_peers.record(met).is_err() {
                        self.connect_later(one, other);
                        if self.nodes[node].vfs.halted_in().is_some() {
                            let how = self.power_failure(node);
                            self.crash(node, how, "the power failed");
                            self.restart_later(node);
                        }
                        return;
                    }
                }
                Err(lost) => {
                    self.turned_away(peer, &format!("n{} finds {lost}", node + 1));
                    return;
                }
            }
        }
        self.network.pair(one, other).is_connected = true;
        for (node, peer) in [(one, other), (other, one)] {
            let Some(run) = self.run_of(peer) else {
                continue;
            };
            let info = PeerInfo {
                client_addr: format!("127.0.0.1:{}", 7001 + peer),
                version: "simulated".to_owned(),
                incarnation: run.incarnation,
                feature_level: FeatureLevels::OF_THIS_RELEASE.newest,
            };
            self.input(node, |replica, now| {
                replica.peer_connected(now, NodeId(peer as u64 + 1), info);
            });
        }
    }

    fn run_of(&self, node: usize) -> Option<PeerRun> {
        self.nodes[node].process.as_ref().map(|process| process.run)
    }

    /// A node learns from a peer that it has lost its history: it stops for good.
    fn turned_away(&mut self, node: usize, text: &str) {
        if let Some(process) = &mut self.nodes[node].process {
            // If even that fails it will be turned away again.
            let _ = process.dir.set_outdated();
        }
        self.crash(node, vfs::Crash::Process, text);
        self.refused(node, text.to_owned());
    }

    /// A connection ends. Whoever lives learns of it: soon if the other's answer gets through, after
    /// a long silence if not.
    pub(super) fn break_connection(&mut self, one: usize, other: usize, reason: Disconnect) {
        self.break_connection_with(one, other, [reason, reason]);
    }

    /// The same; each end sees another reason.
    pub(super) fn break_connection_with(
        &mut self,
        one: usize,
        other: usize,
        reasons: [Disconnect; 2],
    ) {
        let state = self.network.pair(one, other);
        if !state.is_connected {
            return;
        }
        state.is_connected = false;
        state.epoch += 1;
        for (node, peer, reason) in [(one, other, reasons[0]), (other, one, reasons[1])] {
            let life = self.nodes[node].life;
            let (reason, wait_us) = match self.network.is_cut(peer, node) {
                true => (Disconnect::Lost, LOST_AFTER_US),
                false => (reason, self.swarm.latency_us),
            };
            self.queue.push(
                self.now_us + wait_us,
                Event::Disconnected {
                    node,
                    life,
                    peer,
                    reason,
                },
            );
        }
        self.connect_later(one, other);
    }

    pub(super) fn peer_gone(&mut self, node: usize, life: u32, peer: usize, reason: Disconnect) {
        if self.process(node, life).is_none() || self.network.pair(node, peer).is_connected {
            return;
        }
        self.input(node, |replica, now| {
            replica.peer_disconnected(now, NodeId(peer as u64 + 1), reason);
        });
    }

    /// Puts a message on its way.
    pub(super) fn post(&mut self, from: usize, to: usize, message: PeerMessage) {
        let pair = self.network.pair(from, to);
        let (is_connected, epoch) = (pair.is_connected, pair.epoch);
        let is_raft = matches!(message, PeerMessage::Raft(_));
        if !is_connected || self.network.is_cut(from, to) {
            self.show_sent(from, to, None, &message);
            return;
        }
        let fate = self.fate(from, to);
        let copies = match fate {
            Fate::IsLost => 0,
            Fate::ArrivesTwice if is_raft => 2,
            Fate::IsDamaged => {
                self.report.faults.add(FaultClass::CorruptFrame);
                self.show_sent(from, to, None, &message);
                self.break_connection(from, to, Disconnect::Reset);
                return;
            }
            Fate::IsReplayedLater if is_raft => {
                self.network.link(from, to).remember(&message);
                1
            }
            _ => 1,
        };
        if copies == 0 {
            self.show_sent(from, to, None, &message);
        }
        for _ in 0..copies {
            let at_us = self.arrival_us(from, to, is_raft, fate);
            self.show_sent(from, to, Some(at_us), &message);
            let packet = self.network.put(Packet {
                from,
                to,
                epoch,
                is_replay: false,
                sent_us: self.now_us,
                message: message.clone(),
            });
            self.queue.push(at_us, Event::Arrive { packet });
        }
    }

    fn fate(&mut self, from: usize, to: usize) -> Fate {
        if self.swarm.fates.is_empty() || self.is_healing {
            return Fate::Arrives;
        }
        let site = Site::new(SiteKind::PacketFate, self.network.link_index(from, to));
        let drawn = self.tape.below(site, 1_000_000);
        let mut edge = 1_000_000;
        for &(fate, class, ppm) in &self.swarm.fates {
            edge -= ppm;
            if drawn >= edge {
                if fate != Fate::IsDamaged && fate != Fate::IsReplayedLater {
                    self.report.faults.add(class);
                }
                return fate;
            }
        }
        Fate::Arrives
    }

    fn arrival_us(&mut self, from: usize, to: usize, is_raft: bool, fate: Fate) -> u64 {
        let site = Site::new(SiteKind::PacketDelay, self.network.link_index(from, to));
        let mut travels_us = self.swarm.latency_us;
        if self.swarm.jitter_us > 0 {
            travels_us += self.tape.exponential_us(site, self.swarm.jitter_us);
        }
        let is_late = fate == Fate::IsLate && is_raft;
        if is_late {
            let most_us = 10 * self.swarm.election_timeout_max_us();
            travels_us += self.tape.below(site, most_us);
        }
        let (now_us, reorders) = (self.now_us, self.swarm.reorders && is_raft);
        let link = self.network.link(from, to);
        let at_us = (now_us + travels_us + link.slow_us).max(link.clogged_until_us);
        if is_late || reorders {
            return at_us;
        }
        link.last_arrival_us = link.last_arrival_us.max(at_us);
        link.last_arrival_us
    }

    pub(super) fn arrive(&mut self, place: u32) {
        let Some(packet) = self.network.take(place) else {
            return;
        };
        let (from, to) = (packet.from, packet.to);
        if self.nodes[to].process.is_none() || self.network.is_cut(from, to) {
            return;
        }
        let epoch = self.network.pair(from, to).epoch;
        if packet.epoch != epoch && !packet.is_replay {
            return;
        }
        let paused_until_us = self.nodes[to].paused_until_us;
        if paused_until_us > self.now_us {
            let packet = self.network.put(packet);
            self.queue.push(paused_until_us, Event::Arrive { packet });
            return;
        }
        self.show(|| TraceKind::Arrived {
            from: NodeId(from as u64 + 1),
            to: NodeId(to as u64 + 1),
            text: super::watch::message_text(&packet.message),
        });
        self.note(((from as u64) << 8) | to as u64, packet.sent_us);
        let sender = NodeId(from as u64 + 1);
        if self.swarm.churns
            && let PeerMessage::Raft(message) = &packet.message
            && is_of_election(message)
        {
            let (from, to) = (sender, self.nodes[to].id);
            self.see(&Fact::Received { from, to, message });
        }
        self.input(to, |replica, now| {
            replica.peer_message(now, sender, packet.message);
        });
    }

    /// Sends old packets of a link once more.
    pub(super) fn replay(&mut self, from: usize, to: usize) -> usize {
        let old = std::mem::take(&mut self.network.link(from, to).old);
        let count = old.len();
        for message in old {
            let at_us = self.now_us + self.swarm.latency_us;
            self.show_sent(from, to, Some(at_us), &message);
            let packet = self.network.put(Packet {
                from,
                to,
                epoch: 0,
                is_replay: true,
                sent_us: self.now_us,
                message,
            });
            self.queue.push(at_us, Event::Arrive { packet });
        }
        count
    }
}

fn is_of_election(message: &Message) -> bool {
    matches!(
        message,
        Message::RequestPreVote(_)
            | Message::RequestPreVoteResponse(_)
            | Message::RequestVote(_)
            | Message::RequestVoteResponse(_)
    )
}
