//! The other nodes: connections to them, and from them.
//!
//! # Two connections a pair, one each way
//! Every node dials every other, sends its messages on the connection it dialled, and receives on
//! those it accepted. The alternative, one connection a pair, needs a rule for who dials and
//! another for when both do; and it makes a node whose own port is unreachable look half alive. Two
//! need no rule: whoever has something to say owns the connection it says it on, with its own
//! queue, its own backoff and its own probe, and nobody's queue can hold up anybody else's.
//!
//! # What ends a connection, and what the replica is told
//! A killed process is known at once: its kernel closes both connections, which shows as end of
//! stream or reset, and new attempts are refused. The replica is told [`Disconnect::Reset`], and
//! may start an election without waiting for a timeout (design section 4). A silent path is found
//! by pings of ours: no pong for the idle timeout, and the connection is dropped as
//! [`Disconnect::Lost`].
//!
//! # What may get lost
//! Messages are dropped when a peer is not connected or its queue is full, and never wait
//! elsewhere. Raft's own messages all tolerate loss. A forwarded batch that is dropped is sent
//! again by its gateway, which learns of every disconnect.

pub mod codec;
pub mod frame;
pub mod handshake;
pub mod transfer;

mod history;
mod inbound;
mod outbound;
mod resolver;
mod stream;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use mio::net::TcpStream;
use mio::{Registry, Waker};
use raft::NodeId;
use replica::{Disconnect, Membership, PeerInfo, PeerMessage};
use tracing::{debug, error, info, warn};
use wal::{KnownPeers, PeerRun};

use crate::tokens::Source;
use crate::transport::Transport;

use self::codec::Scope;
use self::handshake::{Hello, PROTOCOL_VERSION_SNAPSHOT, Purpose, RefusalReason, Refused, Roll};
use self::inbound::Inbound;
use self::outbound::Outbound;
use self::resolver::Resolver;
use self::stream::{Stream, is_reset};

pub(crate) use self::outbound::server_name;
pub(crate) use self::stream::Detached;

/// The same refusal is logged again only after this long; dialling goes on meanwhile.
const REFUSAL_LOG_INTERVAL_US: u64 = 30_000_000;

/// Both sides of TLS between nodes. Each shows its certificate to the other.
#[derive(Debug, Clone)]
pub(crate) struct PeerTls {
    /// For accepted connections.
    pub(crate) server: Arc<rustls::ServerConfig>,
    /// For dialled connections.
    pub(crate) client: Arc<rustls::ClientConfig>,
}

/// What the peers of a node are.
#[derive(Debug)]
pub(crate) struct PeerSettings {
    /// The cluster and group whose messages travel.
    pub(crate) scope: Scope,
    /// What this node says of itself; `target` is filled in per connection.
    pub(crate) hello: Hello,
    /// Who is to be connected before the replica says who belongs to the cluster: peer addresses by
    /// node, this node included.
    pub(crate) members: BTreeMap<NodeId, String>,
    /// TLS, if the peers speak it.
    pub(crate) tls: Option<PeerTls>,
    /// A connection on which nothing was heard for this long is given up.
    pub(crate) idle_timeout_us: u64,
    /// Seeds the jitter of reconnects.
    pub(crate) seed: u64,
    /// Who was met before.
    pub(crate) known: KnownPeers,
}

/// What connections need to know of their node.
#[derive(Debug)]
struct PeerContext {
    scope: Scope,
    hello: Hello,
    roll: Roll,
    tls: Option<PeerTls>,
    idle_timeout_us: u64,
    ping_interval_us: u64,
    seed: u64,
    registry: Registry,
}

impl PeerContext {
    fn registry(&self) -> &Registry {
        &self.registry
    }
}

/// Where and as whom to dial a peer that is to get a snapshot.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotTarget {
    pub(crate) node: NodeId,
    /// Its peer address, `host:port`.
    pub(crate) address: String,
    /// Who has to answer there: the run that its connection for messages has met. The thread that
    /// dials can remember nobody, so whoever else answers is left to that connection to judge.
    pub(crate) run: PeerRun,
    /// What to say.
    pub(crate) hello: Hello,
    pub(crate) roll: Roll,
    pub(crate) scope: Scope,
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
}

/// What the peers have to tell the replica.
#[derive(Debug)]
pub(crate) enum PeerEvent {
    /// Messages to this peer will leave from now on.
    Connected(NodeId, PeerInfo),
    /// They will not, until it is connected again.
    Disconnected(NodeId, Disconnect),
    /// A message.
    Message(NodeId, PeerMessage),
    /// A connection on which this peer brings a snapshot.
    Snapshot(NodeId, Detached),
    /// A member knows a newer run of this node than its data directory does: it must not go on.
    Outdated(Refused),
    /// A member says that this node was removed: it must not go on either.
    Removed(Refused),
    /// A member says that the cluster's feature level is one that this program does not know.
    Unfit(Refused),
}

/// Figures about one peer, for /metrics.
#[derive(Debug, Clone, Default)]
pub(crate) struct PeerStatistics {
    pub(crate) node: u64,
    pub(crate) is_connected: bool,
    pub(crate) queued_bytes: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
    pub(crate) messages_sent: u64,
    pub(crate) messages_received: u64,
    pub(crate) messages_dropped: u64,
    pub(crate) round_trip_us: u64,
}

/// What the replica was last told of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reported {
    Nothing,
    Connected,
    Disconnected(Disconnect),
}

impl Reported {
    /// A message of the peer goes to the replica, which takes it for a sign of life.
    fn heard(&mut self) {
        if matches!(self, Reported::Disconnected(_)) {
            *self = Reported::Nothing;
        }
    }

    /// Whether the end of a connection is news to the replica.
    fn is_changed_by(self, disconnect: Disconnect) -> bool {
        match (self, disconnect) {
            (Reported::Connected, _) => true,
            (Reported::Disconnected(Disconnect::Reset), Disconnect::Reset) => false,
            (_, Disconnect::Reset) => true,
            (_, Disconnect::Lost) => false,
        }
    }
}

/// One member other than this node.
#[derive(Debug)]
struct Peer {
    outbound: Outbound,
    reported: Reported,
    /// From its last greeting.
    info: PeerInfo,
    /// The refusal that was last logged, and when.
    logged: Option<(Refused, u64)>,
    /// Of connections that have ended.
    received_bytes_before: u64,
    messages_received_before: u64,
}

impl Peer {
    fn new(node: NodeId, address: String, index: usize) -> Peer {
        Peer {
            outbound: Outbound::new(node, address, index),
            reported: Reported::Nothing,
            info: PeerInfo::default(),
            logged: None,
            received_bytes_before: 0,
            messages_received_before: 0,
        }
    }
}

/// All connections to and from other nodes.
#[derive(Debug)]
pub(crate) struct Peers {
    context: PeerContext,
    known: KnownPeers,
    /// Those that are members, that may become members, and that were: a place is not used again,
    /// because what is under way for it (events, names being resolved) says no more than its index.
    peers: Vec<Peer>,
    inbound: Vec<Option<Inbound>>,
    resolver: Resolver,
    events: Vec<PeerEvent>,
    /// Outbound connections with unsent messages of this turn.
    unflushed: Vec<usize>,
}

impl Peers {
    pub(crate) fn new(settings: PeerSettings, registry: Registry, waker: Arc<Waker>) -> Peers {
        let own = settings.hello.node;
        let others = settings.members.iter().filter(|(node, _)| **node != own);
        let peers = others
            .enumerate()
            .map(|(index, (node, address))| Peer::new(*node, address.clone(), index))
            .collect();
        Peers {
            context: PeerContext {
                scope: settings.scope,
                hello: settings.hello,
                roll: Roll {
                    members: settings.members.keys().copied().collect(),
                    ..Roll::default()
                },
                tls: settings.tls,
                idle_timeout_us: settings.idle_timeout_us,
                ping_interval_us: settings.idle_timeout_us / 4,
                seed: settings.seed,
                registry,
            },
            known: settings.known,
            peers,
            inbound: Vec::new(),
            resolver: Resolver::new(waker),
            events: Vec::new(),
            unflushed: Vec::new(),
        }
    }

    /// The members have changed: connections are opened to new ones, and ended with those that are
    /// none any more. A node that may be a member which this one has not heard of yet is kept.
    pub(crate) fn set_membership(&mut self, membership: &Membership) {
        self.context.roll = Roll {
            members: membership.members.keys().copied().collect(),
            ids_used_below: membership.ids_used_below,
            is_leader: membership.is_leader,
            feature_level: membership.feature_level,
        };
        for index in 0..self.peers.len() {
            let outbound = &self.peers[index].outbound;
            let stays = match membership.members.get(&outbound.node) {
                Some(address) => address == outbound.address(),
                None => outbound.node.0 >= membership.ids_used_below,
            };
            if !stays && !outbound.is_ended() {
                self.end_peer(index);
            }
        }
        for (node, address) in &membership.members {
            if *node != self.context.hello.node {
                self.add_peer(*node, address);
            }
        }
    }

    fn add_peer(&mut self, node: NodeId, address: &str) {
        let index = self.peers.len();
        if address.is_empty() || self.place(node).is_some() || index >= Source::OUTBOUND_MAX {
            return;
        }
        debug!(peer = node.0, address, "a peer to connect to");
        self.peers.push(Peer::new(node, address.to_owned(), index));
    }

    /// Ends both connections with a node that is no member any more, or is one elsewhere.
    fn end_peer(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        let node = peer.outbound.node;
        peer.outbound.end(&self.context);
        self.down(
            index,
            Disconnect::Lost,
            "it is not a member at this address any more",
        );
        let inbound = self
            .inbound
            .iter()
            .position(|inbound| inbound.as_ref().and_then(Inbound::node) == Some(node));
        if let Some(inbound) = inbound {
            self.forget_inbound(inbound);
        }
    }

    /// Where the peer of this id stands, unless it is one no more.
    fn place(&self, node: NodeId) -> Option<usize> {
        place(&self.peers, node)
    }

    /// Takes in a connection from the peer port.
    pub(crate) fn accept(&mut self, socket: TcpStream, address: SocketAddr, now_us: u64) {
        let free = self.inbound.iter().position(Option::is_none);
        let index = free.unwrap_or(self.inbound.len());
        if index >= Source::INBOUND_MAX {
            warn!(%address, "too many connections at the peer port, one is closed");
            return;
        }
        match self.wrap(socket, index) {
            Ok(stream) => {
                let inbound = Some(Inbound::new(stream, address, now_us));
                match self.inbound.get_mut(index) {
                    Some(slot) => *slot = inbound,
                    None => self.inbound.push(inbound),
                }
            }
            Err(error) => warn!(%address, %error, "cannot take a connection at the peer port"),
        }
    }

    /// Takes note of an edge on one of the connections, and reads what there is.
    pub(crate) fn set_ready(&mut self, source: Source, event: &mio::event::Event) {
        let closed = event.is_read_closed() || event.is_error();
        let (readable, writable) = (event.is_readable(), event.is_writable());
        match source {
            Source::Outbound(index) => {
                if let Some(peer) = self.peers.get_mut(index) {
                    peer.outbound.set_ready(readable, writable, closed);
                }
            }
            Source::Inbound(index) => {
                if let Some(Some(inbound)) = self.inbound.get_mut(index) {
                    inbound.set_ready(readable, writable, closed);
                }
            }
            _ => {}
        }
    }

    /// One turn of reading: at most one scratch buffer a connection. Returns what there is to tell.
    pub(crate) fn receive(
        &mut self,
        now_us: u64,
        scratch: &mut [u8],
    ) -> std::vec::Drain<'_, PeerEvent> {
        while let Some((index, answer)) = self.resolver.answer() {
            let outcome = self.peers[index]
                .outbound
                .resolved(&self.context, now_us, answer);
            self.outbound_outcome(index, now_us, outcome);
        }
        for index in 0..self.peers.len() {
            let outbound = &mut self.peers[index].outbound;
            let outcome = outbound.drive(&self.context, &mut self.known, now_us, scratch);
            self.outbound_outcome(index, now_us, outcome);
        }
        // Known peers first: one whose process has just been replaced is seen to have closed its
        // old connection before its new one is judged.
        let greeted = |inbound: &Inbound| inbound.node().is_some();
        for is_greeted in [true, false] {
            for index in 0..self.inbound.len() {
                let turn = self.inbound[index].as_ref();
                if turn.is_some_and(|inbound| {
                    (inbound.has_input() || inbound.has_output()) && greeted(inbound) == is_greeted
                }) {
                    self.drive_inbound(index, now_us, scratch);
                }
            }
        }
        self.events.drain(..)
    }

    /// Dials, pings, and gives up what has been silent for too long.
    pub(crate) fn tick(&mut self, now_us: u64) {
        for index in 0..self.peers.len() {
            let outcome = self.peers[index].outbound.tick(&self.context, now_us);
            self.outbound_outcome(index, now_us, outcome);
            self.flush_one(index, now_us);
        }
        for index in 0..self.inbound.len() {
            let is_overdue = self.inbound[index]
                .as_ref()
                .is_some_and(|inbound| inbound.is_overdue(&self.context, now_us));
            if is_overdue {
                self.end_inbound(index, Disconnect::Lost);
            }
        }
    }

    /// Queues a message for a peer, or drops it.
    pub(crate) fn send(&mut self, to: NodeId, message: &PeerMessage, now_us: u64) {
        let Some(index) = self.place(to) else {
            return;
        };
        let peer = &mut self.peers[index];
        if peer.outbound.send(&self.context, message) {
            if !self.unflushed.contains(&index) {
                self.unflushed.push(index);
            }
        } else if peer.outbound.is_up() && matches!(message, PeerMessage::Forward(_)) {
            // Its gateway has to learn that a batch did not leave. A peer that lets this much pile
            // up gains from a new connection anyway.
            peer.outbound.drop_connection(&self.context, now_us);
            self.down(index, Disconnect::Lost, "its queue is full");
        }
    }

    /// Sends what this turn has queued: one system call a peer.
    pub(crate) fn flush(&mut self, now_us: u64) {
        while let Some(index) = self.unflushed.pop() {
            self.flush_one(index, now_us);
        }
    }

    /// Whether a turn is wanted without waiting for an event.
    pub(crate) fn has_work(&self) -> bool {
        !self.events.is_empty()
            || self.peers.iter().any(|peer| peer.outbound.has_input())
            || self.inbound.iter().flatten().any(Inbound::has_input)
    }

    /// Ends all connections.
    pub(crate) fn close(&mut self, now_us: u64) {
        for peer in &mut self.peers {
            peer.outbound.drop_connection(&self.context, now_us);
        }
        for inbound in self.inbound.drain(..).flatten() {
            inbound.close(self.context.registry());
        }
    }

    /// What a thread needs to bring a snapshot to a peer; `None` while the peer is not connected.
    pub(crate) fn snapshot_target(&self, node: NodeId) -> Option<SnapshotTarget> {
        let peer = &self.peers[self.place(node)?];
        if !peer.outbound.is_up() {
            return None;
        }
        Some(SnapshotTarget {
            node,
            address: peer.outbound.address().to_owned(),
            run: self.known.run(node.0)?,
            hello: Hello {
                target: node,
                purpose: Purpose::Snapshot,
                protocol_version_min: PROTOCOL_VERSION_SNAPSHOT,
                ..self.context.hello.clone()
            },
            roll: self.context.roll.clone(),
            scope: self.context.scope,
            tls: self.context.tls.as_ref().map(|tls| Arc::clone(&tls.client)),
        })
    }

    /// Figures per peer.
    pub(crate) fn statistics(&self) -> Vec<PeerStatistics> {
        let peers = self.peers.iter().filter(|peer| !peer.outbound.is_ended());
        let peers = peers.map(|peer| {
            let node = peer.outbound.node;
            let inbound = || {
                let all = self.inbound.iter().flatten();
                all.filter(move |inbound| inbound.node() == Some(node))
            };
            let statistics = &peer.outbound.statistics;
            PeerStatistics {
                node: node.0,
                is_connected: peer.reported == Reported::Connected,
                queued_bytes: peer.outbound.queued_bytes() as u64,
                sent_bytes: peer.outbound.bytes_sent(),
                received_bytes: peer.received_bytes_before
                    + inbound().map(Inbound::bytes_received).sum::<u64>(),
                messages_sent: statistics.messages_sent,
                messages_received: peer.messages_received_before
                    + inbound()
                        .map(|inbound| inbound.messages_received)
                        .sum::<u64>(),
                messages_dropped: statistics.messages_dropped,
                round_trip_us: statistics.round_trip_us,
            }
        });
        peers.collect()
    }

    fn wrap(&self, socket: TcpStream, index: usize) -> io::Result<Stream> {
        socket.set_nodelay(true)?;
        let tls = self.context.tls.as_ref().map(|tls| &tls.server);
        let mut transport = Transport::accept(socket, tls)?;
        transport.register(self.context.registry(), Source::Inbound(index).token())?;
        Ok(Stream::new(transport))
    }

    fn flush_one(&mut self, index: usize, now_us: u64) {
        let outcome = self.peers[index].outbound.flush(&self.context, now_us);
        self.outbound_outcome(index, now_us, outcome);
    }

    fn outbound_outcome(&mut self, index: usize, now_us: u64, outcome: outbound::Outcome) {
        let peer = &mut self.peers[index];
        match outcome {
            outbound::Outcome::Quiet => {}
            outbound::Outcome::Resolve => {
                let address = peer.outbound.address().to_owned();
                if let Err(error) = self.resolver.ask(index, &address) {
                    let outcome = peer.outbound.resolved(&self.context, now_us, Err(error));
                    self.outbound_outcome(index, now_us, outcome);
                }
            }
            outbound::Outcome::Up(hello) => {
                peer.info = peer_info(&hello);
                peer.logged = None;
                self.up(index);
            }
            outbound::Outcome::Refused(refused) => self.refused(index, now_us, &refused),
            outbound::Outcome::RefusedByPeer(refused) => {
                self.refused(index, now_us, &refused);
                self.heed(refused);
            }
            outbound::Outcome::Down(disconnect, reason) => self.down(index, disconnect, &reason),
        }
    }

    fn refused(&mut self, index: usize, now_us: u64, refused: &Refused) {
        let peer = &mut self.peers[index];
        let address = peer.outbound.address().to_owned();
        log_refusal(&mut peer.logged, now_us, refused, &address);
        self.down(index, Disconnect::Lost, "refused");
    }

    /// A member has refused this node. One that says that the data is lost must be believed, even if
    /// the others know nothing of it: with one of those, this node could be a majority that forgot.
    fn heed(&mut self, refused: Refused) {
        match refused.reason {
            RefusalReason::DataLost => self.events.push(PeerEvent::Outdated(refused)),
            RefusalReason::Removed => self.events.push(PeerEvent::Removed(refused)),
            RefusalReason::FeatureLevel => self.events.push(PeerEvent::Unfit(refused)),
            _ => {}
        }
    }

    fn drive_inbound(&mut self, index: usize, now_us: u64, scratch: &mut [u8]) {
        let Some(inbound) = &mut self.inbound[index] else {
            return;
        };
        let events = &mut self.events;
        let heard_before = events.len();
        let mut deliver = |node, message| events.push(PeerEvent::Message(node, message));
        let outcome = inbound.drive(&self.context, now_us, scratch, &mut deliver);
        if events.len() > heard_before {
            // Also what a dead process left in the socket: the end of this connection is news again.
            let place = inbound.node().and_then(|node| place(&self.peers, node));
            if let Some(place) = place {
                self.peers[place].reported.heard();
            }
        }
        match outcome {
            Ok(inbound::Outcome::Quiet) => {}
            Ok(inbound::Outcome::Hello(hello)) => self.greet(index, now_us, &hello),
            Ok(inbound::Outcome::Refused(refused)) => {
                let address = inbound.address.to_string();
                let place = inbound.node().and_then(|node| place(&self.peers, node));
                let mut nowhere = None;
                let logged = place.map_or(&mut nowhere, |place| &mut self.peers[place].logged);
                log_refusal(logged, now_us, &refused, &address);
                self.end_inbound(index, Disconnect::Lost);
                self.heed(refused);
            }
            Err(error) if is_reset(&error) => self.end_inbound(index, Disconnect::Reset),
            Err(error) => {
                let (address, node) = (inbound.address, inbound.node());
                match node {
                    Some(node) => warn!(peer = node.0, %address, %error, "peer connection broken"),
                    None => debug!(%address, %error, "no peer at the peer port"),
                }
                self.end_inbound(index, Disconnect::Lost);
            }
        }
    }

    /// Someone at the peer port has said who it is.
    fn greet(&mut self, index: usize, now_us: u64, hello: &Hello) {
        let earlier = self
            .inbound
            .iter()
            .position(|other| other.as_ref().and_then(Inbound::node) == Some(hello.node));
        let live = earlier.and_then(|index| self.inbound[index].as_ref()?.live());
        let Some(inbound) = &mut self.inbound[index] else {
            return;
        };
        let address = inbound.address.to_string();
        let peer = place(&self.peers, hello.node);
        if let Err(refused) = inbound.judge(&self.context, &mut self.known, now_us, live, hello) {
            let mut nowhere = None;
            let logged = peer.map_or(&mut nowhere, |peer| &mut self.peers[peer].logged);
            log_refusal(logged, now_us, &refused, &address);
            return;
        }
        if hello.purpose == Purpose::Snapshot {
            self.hand_over(index, hello.node);
            return;
        }
        // The same process has dialled anew: what it left behind is closed without a word.
        if let Some(earlier) = earlier {
            self.forget_inbound(earlier);
        }
        if peer.is_none() {
            // It is let in, so it may be a member that this node has not heard of: the leader, even.
            self.add_peer(hello.node, &hello.peer_addr);
        }
        if let Some(index) = self.place(hello.node) {
            let peer = &mut self.peers[index];
            peer.info = peer_info(hello);
            if peer.outbound.is_up() {
                self.up(index);
            } else {
                // It lives, so there is no reason to wait for the next attempt.
                peer.outbound.dial_soon();
            }
        }
    }

    /// A snapshot is received by a thread of its own, so that its bytes cost the reactor nothing.
    fn hand_over(&mut self, index: usize, node: NodeId) {
        let Some(inbound) = self.inbound[index].take() else {
            return;
        };
        match inbound.detach(&self.context.registry) {
            Ok(detached) => self.events.push(PeerEvent::Snapshot(node, detached)),
            Err(error) => warn!(peer = node.0, %error, "cannot take a snapshot's connection"),
        }
    }

    fn forget_inbound(&mut self, index: usize) -> Option<NodeId> {
        let inbound = self.inbound[index].take()?;
        let node = inbound.node();
        if let Some(place) = node.and_then(|node| self.place(node)) {
            let peer = &mut self.peers[place];
            peer.received_bytes_before += inbound.bytes_received();
            peer.messages_received_before += inbound.messages_received;
        }
        inbound.close(self.context.registry());
        node
    }

    fn end_inbound(&mut self, index: usize, disconnect: Disconnect) {
        let Some(node) = self.forget_inbound(index) else {
            return;
        };
        if let Some(peer) = self.place(node) {
            self.down(peer, disconnect, "its connection to this node ended");
        }
    }

    fn up(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        if peer.reported == Reported::Connected {
            return;
        }
        peer.reported = Reported::Connected;
        let node = peer.outbound.node;
        info!(
            peer = node.0,
            address = peer.outbound.address(),
            version = %peer.info.version,
            incarnation = peer.info.incarnation,
            "peer connected"
        );
        self.events
            .push(PeerEvent::Connected(node, peer.info.clone()));
    }

    /// Tells the replica, but only what it does not know: a process that is gone is refused again
    /// at every attempt, and an attempt that times out says nothing new about a peer that was not
    /// there.
    fn down(&mut self, index: usize, disconnect: Disconnect, reason: &str) {
        let peer = &mut self.peers[index];
        if !peer.reported.is_changed_by(disconnect) {
            return;
        }
        let node = peer.outbound.node;
        if peer.reported == Reported::Connected {
            warn!(peer = node.0, ?disconnect, %reason, "peer disconnected");
        } else {
            debug!(peer = node.0, ?disconnect, %reason, "peer not reachable");
        }
        peer.reported = Reported::Disconnected(disconnect);
        self.events.push(PeerEvent::Disconnected(node, disconnect));
    }
}

/// Where the peer of this id stands, unless it is one no more: one that has moved has an ended place too.
fn place(peers: &[Peer], node: NodeId) -> Option<usize> {
    peers
        .iter()
        .position(|peer| peer.outbound.node == node && !peer.outbound.is_ended())
}

fn peer_info(hello: &Hello) -> PeerInfo {
    PeerInfo {
        client_addr: hello.client_addr.clone(),
        version: hello.version.clone(),
        incarnation: hello.incarnation,
        feature_level: hello.levels.newest,
    }
}

/// Says a refusal once, and again after a while if it goes on.
fn log_refusal(logged: &mut Option<(Refused, u64)>, now_us: u64, refused: &Refused, address: &str) {
    let is_old = logged.as_ref().is_some_and(|(last, at_us)| {
        last == refused && now_us.saturating_sub(*at_us) < REFUSAL_LOG_INTERVAL_US
    });
    if !is_old {
        match refused.reason {
            RefusalReason::DataLost => {
                error!(%address, reason = ?refused.reason, "peer handshake refused: {refused}");
            }
            _ => warn!(%address, reason = ?refused.reason, "peer handshake refused: {refused}"),
        }
        *logged = Some((refused.clone(), now_us));
    }
}

/// A number in [0, 1) from a seed: SplitMix64's finalizer. Only jitter is drawn from it.
fn random_unit(seed: u64) -> f64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    (mixed >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod places_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_told_once_and_again_after_a_message() {
        let mut reported = Reported::Disconnected(Disconnect::Reset);
        assert!(!reported.is_changed_by(Disconnect::Reset));
        reported.heard();
        assert!(reported.is_changed_by(Disconnect::Reset));
        assert!(!reported.is_changed_by(Disconnect::Lost));
    }

    #[test]
    fn a_live_connection_is_not_forgotten_over_a_message() {
        let mut reported = Reported::Connected;
        reported.heard();
        assert_eq!(reported, Reported::Connected);
        for disconnect in [Disconnect::Reset, Disconnect::Lost] {
            assert!(reported.is_changed_by(disconnect));
        }
    }
}
