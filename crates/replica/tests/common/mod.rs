//! A cluster of replicas in one thread: a network, disks and clocks that do what a test says.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part of what is public to all of them"
)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use raft::{ClusterId, EntryId, GroupId, NodeId, SendSnapshot, SnapshotMeta};
use replica::{
    ClientId, ClientInfo, Config, Disconnect, FeatureLevels, LoadedSnapshot, NodeInfo, Now, Output,
    PeerInfo, PeerMessage, Replica, Snapshot, SnapshotLoader, StartError, Witness, Write, storage,
};
use resp::{ReplyBuffer, Value};
use vfs::{Crash, MemVfs};
use wal::data_dir::DataDir;
use wal::{Options, Wal};

pub const TICK_MS: u64 = 10;
const GROUP: u64 = 1;

/// The whole cluster.
pub struct World {
    pub nodes: Vec<Node>,
    /// How many nodes the cluster was born with; those behind them have joined.
    pub first: u64,
    pub now: Now,
    /// Messages under way.
    pub network: VecDeque<Packet>,
    /// Directed links that lose everything.
    pub cut: BTreeSet<(u64, u64)>,
    /// How long a message travels.
    pub latency_ms: u64,
    /// Decides what becomes of each message when it is sent.
    pub fate: Judge,
    pub config: fn(&mut Config),
    /// Transfers of snapshots that were asked for: from, and what.
    pub transfers: VecDeque<(u64, SendSnapshot)>,
    /// No transfer goes on while set.
    pub transfers_stalled: bool,
}

/// A snapshot on a disk.
#[derive(Clone)]
pub struct Stored {
    pub meta: SnapshotMeta,
    pub head: bytes::Bytes,
    pub blocks: Vec<Vec<u8>>,
}

impl Stored {
    fn write(snapshot: Snapshot) -> Stored {
        Stored {
            meta: snapshot.meta,
            head: snapshot.head,
            blocks: snapshot.frozen.blocks().collect(),
        }
    }

    pub fn bytes(&self) -> u64 {
        let blocks: usize = self.blocks.iter().map(Vec::len).sum();
        (self.head.len() + blocks) as u64
    }

    pub fn load(&self) -> LoadedSnapshot {
        let mut loader = SnapshotLoader::new(&self.head).expect("a head");
        assert_eq!(*loader.meta(), self.meta);
        for block in &self.blocks {
            loader.block(block).expect("a block");
        }
        loader.finish().expect("a whole snapshot")
    }
}

/// Decides the fate of a message: from, to, what.
pub type Judge = Box<dyn FnMut(u64, u64, &PeerMessage) -> Fate>;

/// A message under way.
pub struct Packet {
    pub from: u64,
    pub to: u64,
    pub message: PeerMessage,
    /// When it arrives.
    pub due_us: u64,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Arrives,
    IsLost,
    ArrivesTwice,
    /// It arrives so much later than others.
    IsLate {
        ms: u64,
    },
}

/// One node: its process, if it runs, and its disk.
pub struct Node {
    pub id: u64,
    pub replica: Option<Replica>,
    pub incarnation: u64,
    /// The feature levels that its program knows.
    pub levels: FeatureLevels,
    /// Its disk, which outlives the process.
    pub vfs: MemVfs,
    /// Its log, while it runs.
    log: Option<(DataDir, Wal)>,
    /// Writes that have not reached the log.
    pub pending: VecDeque<Write>,
    /// Nothing becomes durable while set.
    pub disk_stalled: bool,
    /// Its newest snapshot, which outlives the process.
    pub stored: Option<Stored>,
    /// The snapshot being written.
    pub writing: Option<Snapshot>,
    /// No snapshot becomes durable while set.
    pub snapshots_stalled: bool,
    /// How many snapshots became durable, and how many of others were installed.
    pub snapshots_taken: u32,
    pub snapshots_installed: u32,
    /// Added to the world's wall clock, in ms.
    pub clock_offset_ms: i64,
    output: Output,
    replies: BTreeMap<ClientId, ReplyBuffer>,
    pub closed: BTreeSet<ClientId>,
    /// How many bytes a client's socket takes in a turn.
    pub socket_bytes_max: usize,
    /// Clients whose sockets have not taken all of their output.
    unwritten: BTreeSet<ClientId>,
    /// What each client was sent since the start of the process.
    pub sent: BTreeMap<ClientId, Vec<u8>>,
    /// Where replies were made, since the start of the process.
    pub witnesses: Vec<Witness>,
    /// Why the replica could not go on. A test that does not expect it fails.
    pub fatal: Option<String>,
    pub may_fail: bool,
    /// Clients that the replica said may be read again.
    pub resumed: BTreeSet<ClientId>,
}

/// A client of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    pub node: u64,
    pub id: ClientId,
}

impl World {
    pub fn new(count: u64) -> World {
        World::with(count, |_| {})
    }

    /// A cluster that has a leader and has applied its bootstrap record everywhere.
    pub fn ready_with(count: u64, config: fn(&mut Config)) -> World {
        let mut world = World::with(count, config);
        world.await_ready();
        world
    }

    pub fn await_ready(&mut self) {
        self.run_until("every node is ready", |world| {
            world
                .nodes
                .iter()
                .all(|node| node.replica.as_ref().is_some_and(Replica::is_ready))
        });
    }

    pub fn with(count: u64, config: fn(&mut Config)) -> World {
        let mut world = World {
            nodes: (1..=count).map(Node::new).collect(),
            first: count,
            now: Now {
                wall_ms: 1_700_000_000_000,
                mono_us: 1_000_000,
            },
            network: VecDeque::new(),
            cut: BTreeSet::new(),
            latency_ms: 0,
            fate: Box::new(|_, _, _| Fate::Arrives),
            config,
            transfers: VecDeque::new(),
            transfers_stalled: false,
        };
        for id in 1..=count {
            world.start(id);
        }
        world
    }

    /// A cluster that has a leader and has applied its bootstrap record everywhere.
    pub fn ready(count: u64) -> World {
        World::ready_with(count, |_| {})
    }

    pub fn node(&mut self, id: u64) -> &mut Node {
        &mut self.nodes[id as usize - 1]
    }

    pub fn replica(&mut self, id: u64) -> &mut Replica {
        self.node(id).replica.as_mut().expect("the node runs")
    }

    pub fn start(&mut self, id: u64) {
        self.try_start(id).expect("valid");
    }

    /// Starts a node, which may refuse what it finds: then it does not run.
    pub fn try_start(&mut self, id: u64) -> Result<(), StartError> {
        let count = self.nodes.len() as u64;
        let first = self.first;
        let now = self.now;
        let change = self.config;
        let node = self.node(id);
        let vfs: Arc<dyn vfs::Vfs> = Arc::new(node.vfs.clone());
        let mut dir = DataDir::open(vfs, Path::new("/data"), 7, id).expect("its own directory");
        let options = Options {
            segment_bytes: 256 << 10,
            keep_tags: storage::KEPT_TAGS,
            ..Options::default()
        };
        let (log, recovery) = dir.open_wal(options).expect("an intact log");
        node.incarnation = dir.incarnation();
        let recovered = storage::recovered(recovery.groups.get(&GROUP)).expect("readable");
        node.log = Some((dir, log));
        let mut config = Config {
            cluster: ClusterId(7),
            group: GroupId(GROUP),
            node: NodeId(id),
            incarnation: node.incarnation,
            members: (1..=first)
                .chain([id])
                .map(|id| (NodeId(id), format!("127.0.0.1:{}", 8000 + id)))
                .collect(),
            addresses: BTreeMap::new(),
            feature_levels: node.levels,
            feature_level_found: storage::feature_level(recovery.groups.get(&GROUP)),
            feature_level_max: 0,
            is_joined: id > first,
            serves_peers: true,
            tick_ms: TICK_MS,
            election_timeout_ms: 150,
            heartbeat_ms: 30,
            seed: id * 31 + node.incarnation,
            cluster_secret: [id as u8; 16],
            request_timeout_ms: 5_000,
            entry_bytes_max: 16 << 20,
            batch_bytes_max: 1 << 20,
            unapplied_bytes_max: 64 << 20,
            snapshot_log_bytes_min: Config::SNAPSHOT_LOG_BYTES_MIN,
            snapshot_log_bytes_max: Config::SNAPSHOT_LOG_BYTES_MAX,
            snapshot_state_percent: Config::SNAPSHOT_STATE_PERCENT,
            log_tail_bytes: Config::LOG_TAIL_BYTES,
            state_check_entries: 16,
            clients_max: 10_000,
            output_bytes_max: 64 << 20,
            requirepass: None,
            client_addr: format!("127.0.0.1:{}", 7000 + id),
            info: NodeInfo::default(),
        };
        change(&mut config);
        let snapshot = node.stored.as_ref().map(Stored::load);
        let mut replica = match Replica::new(config, recovered, snapshot, now) {
            Ok(replica) => replica,
            Err(error) => {
                node.log = None;
                return Err(error);
            }
        };
        let places = recovery.groups.get(&GROUP).map(|log| log.places.clone());
        replica.log_recovered(&places.unwrap_or_default());
        node.replica = Some(replica);
        for peer in 1..=count {
            if peer != id && self.node(peer).replica.is_some() {
                self.connect(id, peer);
                self.connect(peer, id);
            }
        }
        Ok(())
    }

    /// Starts a node that joins, under the next id.
    pub fn join(&mut self) -> u64 {
        let id = self.nodes.len() as u64 + 1;
        self.nodes.push(Node::new(id));
        self.start(id);
        id
    }

    /// A node that was removed is told so, and stops for good.
    pub fn retire(&mut self, id: u64) {
        self.crash(id);
    }

    fn connect(&mut self, id: u64, peer: u64) {
        let info = PeerInfo {
            client_addr: format!("127.0.0.1:{}", 7000 + peer),
            version: "test".into(),
            incarnation: self.node(peer).incarnation,
            feature_level: self.node(peer).levels.newest,
        };
        let now = self.now;
        self.replica(id).peer_connected(now, NodeId(peer), info);
    }

    /// kill -9, and loss of power: what is not durable is gone.
    pub fn crash(&mut self, id: u64) {
        let node = self.node(id);
        node.replica = None;
        node.log = None;
        node.pending.clear();
        node.writing = None;
        node.vfs.crash(Crash::LoseUnsynced);
        node.replies.clear();
        node.unwritten.clear();
        node.sent.clear();
        node.witnesses.clear();
        self.network
            .retain(|packet| packet.from != id && packet.to != id);
        self.transfers.retain(|(from, _)| *from != id);
        let now = self.now;
        for node in &mut self.nodes {
            if let Some(replica) = &mut node.replica {
                replica.peer_disconnected(now, NodeId(id), Disconnect::Reset);
            }
        }
    }

    /// Cuts a node off from all others, both ways.
    pub fn isolate(&mut self, id: u64) {
        for peer in 1..=self.nodes.len() as u64 {
            self.cut.insert((id, peer));
            self.cut.insert((peer, id));
        }
    }

    pub fn heal(&mut self) {
        self.cut.clear();
        let count = self.nodes.len() as u64;
        for id in 1..=count {
            for peer in 1..=count {
                if id != peer
                    && self.node(id).replica.is_some()
                    && self.node(peer).replica.is_some()
                {
                    self.connect(id, peer);
                }
            }
        }
    }

    /// Lets everything happen that needs no time.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut quiet = true;
            for index in 0..self.nodes.len() {
                quiet &= !self.turn(index);
            }
            quiet &= !self.transfer();
            if quiet
                && self
                    .network
                    .iter()
                    .all(|packet| packet.due_us > self.now.mono_us)
            {
                return;
            }
            self.deliver();
        }
        panic!("the cluster does not settle");
    }

    /// Carries out one transfer of a snapshot. Whether there was one.
    fn transfer(&mut self) -> bool {
        if self.transfers_stalled {
            return false;
        }
        let Some((from, request)) = self.transfers.pop_front() else {
            return false;
        };
        let (now, to) = (self.now, request.to.0);
        let is_cut = self.cut.contains(&(from, to)) || self.cut.contains(&(to, from));
        let stored = self.node(from).stored.clone();
        let stored = stored.filter(|stored| stored.meta.last.index >= request.least);
        let last = stored
            .as_ref()
            .map_or(EntryId::ZERO, |stored| stored.meta.last);
        let is_installed = match (stored, is_cut || self.node(to).replica.is_none()) {
            (Some(stored), false) => {
                self.install(to, stored);
                true
            }
            _ => false,
        };
        self.replica(from)
            .snapshot_sent(now, request.to, last, is_installed);
        true
    }

    /// A node receives a snapshot, keeps and installs it.
    pub fn install(&mut self, id: u64, stored: Stored) {
        let now = self.local_now(id);
        let node = self.node(id);
        let loaded = stored.load();
        let held = node.stored.as_ref().map(|held| held.meta.last.index);
        if held.is_none_or(|held| held < stored.meta.last.index) {
            node.stored = Some(stored);
        }
        node.snapshots_installed += 1;
        self.replica(id).install(now, loaded);
    }

    /// Delivers the messages that are due.
    pub fn deliver(&mut self) {
        for packet in std::mem::take(&mut self.network) {
            if packet.due_us > self.now.mono_us {
                self.network.push_back(packet);
            } else if !self.cut.contains(&(packet.from, packet.to)) {
                let now = self.local_now(packet.to);
                if let Some(replica) = &mut self.node(packet.to).replica {
                    replica.peer_message(now, NodeId(packet.from), packet.message);
                }
            }
        }
    }

    /// Puts a message on its way.
    fn post(&mut self, from: u64, to: u64, message: PeerMessage) {
        if to > self.nodes.len() as u64 {
            // It is a member and was not started yet.
            return;
        }
        let (copies, late_ms) = match (self.fate)(from, to, &message) {
            Fate::Arrives => (1, 0),
            Fate::IsLost => (0, 0),
            Fate::ArrivesTwice => (2, 0),
            Fate::IsLate { ms } => (1, ms),
        };
        let due_us = self.now.mono_us + (self.latency_ms + late_ms) * 1000;
        for _ in 0..copies {
            let message = message.clone();
            self.network.push_back(Packet {
                from,
                to,
                message,
                due_us,
            });
        }
    }

    pub fn local_now(&mut self, id: u64) -> Now {
        let mut now = self.now;
        now.wall_ms = now
            .wall_ms
            .wrapping_add_signed(self.node(id).clock_offset_ms);
        now
    }

    /// One turn of one node: drain, then its disk. Whether anything happened.
    fn turn(&mut self, index: usize) -> bool {
        let now = self.local_now(index as u64 + 1);
        let node = &mut self.nodes[index];
        let id = node.id;
        let Some(replica) = &mut node.replica else {
            return false;
        };
        let mut output = std::mem::take(&mut node.output);
        replica.drain(now, &mut output);
        if node.may_fail && output.fatal.is_some() {
            node.fatal = output.fatal.take();
            self.crash(id);
            return true;
        }
        assert_eq!(output.fatal, None, "node {} cannot go on", node.id);
        let mut busy = !output.messages.is_empty() || !output.writes.is_empty();
        let messages = std::mem::take(&mut output.messages);
        busy |= output.snapshot.is_some() || !output.send_snapshots.is_empty();
        if let Some(snapshot) = output.snapshot.take() {
            assert!(node.writing.is_none(), "two snapshots at a time");
            node.writing = Some(snapshot);
        }
        let requests = std::mem::take(&mut output.send_snapshots);
        self.transfers
            .extend(requests.into_iter().map(|request| (id, request)));
        if !node.snapshots_stalled
            && let Some(snapshot) = node.writing.take()
        {
            let stored = Stored::write(snapshot);
            let (meta, bytes) = (stored.meta.clone(), stored.bytes());
            node.stored = Some(stored);
            node.snapshots_taken += 1;
            replica.snapshot_written(now, meta, bytes);
            busy = true;
        }
        node.witnesses.append(&mut output.witnesses);
        node.unwritten.extend(output.flush.drain(..));
        for client in std::mem::take(&mut node.unwritten) {
            let waiting = replica.client_output(client);
            let bytes = waiting[..waiting.len().min(node.socket_bytes_max)].to_vec();
            if bytes.len() < waiting.len() {
                node.unwritten.insert(client);
            }
            replica.client_written(client, bytes.len());
            node.replies.entry(client).or_default().feed(&bytes);
            node.sent
                .entry(client)
                .or_default()
                .extend_from_slice(&bytes);
            busy = true;
        }
        for client in output.close.drain(..) {
            replica.client_disconnected(client);
            node.closed.insert(client);
        }
        let (_, log) = node.log.as_mut().expect("the node runs");
        for request in output.entry_reads.drain(..) {
            let (first, last) = (request.first.0, request.last.0);
            let records = log
                .read(GROUP, first, last, request.bytes_max)
                .expect("intact");
            let entries = records
                .into_iter()
                .map(|record| storage::entry(record).expect("one"));
            replica.entries_read(now, request.request, entries.collect());
            busy = true;
        }
        node.resumed.extend(output.resumed.drain(..));
        node.pending.extend(output.writes.drain(..));
        if !node.disk_stalled {
            while let Some(write) = node.pending.pop_front() {
                log.append(&write.records).expect("room");
                if write.sync {
                    log.sync().expect("a disk that works");
                }
                replica.persisted(now, write.id);
                busy = true;
            }
            log.prepare_next().expect("a disk that works");
        }
        node.output = output;
        for (to, message) in messages {
            self.post(id, to.0, message);
        }
        busy
    }

    /// Lets time pass.
    pub fn run_ms(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(TICK_MS) {
            self.now.wall_ms += TICK_MS;
            self.now.mono_us += TICK_MS * 1000;
            for id in 1..=self.nodes.len() as u64 {
                let now = self.local_now(id);
                if let Some(replica) = &mut self.node(id).replica {
                    replica.tick(now);
                }
            }
            self.settle();
        }
    }

    pub fn run_until(&mut self, what: &str, mut done: impl FnMut(&mut World) -> bool) {
        for _ in 0..6_000 {
            if done(self) {
                return;
            }
            self.run_ms(TICK_MS);
        }
        panic!("a minute passed, and not: {what}");
    }

    /// The leader that a majority follows.
    pub fn leader(&mut self) -> u64 {
        let mut leader = 0;
        self.run_until("a leader", |world| {
            let running = || world.nodes.iter().filter_map(|node| node.replica.as_ref());
            let mut followers: BTreeMap<_, BTreeSet<NodeId>> = BTreeMap::new();
            for replica in running() {
                let metrics = replica.metrics();
                followers
                    .entry((metrics.term, metrics.leader))
                    .or_default()
                    .insert(replica.config().node);
            }
            let found = running().find(|replica| {
                let (term, id) = (replica.raft().term().0, replica.config().node);
                let voters = &replica.raft().conf().voters;
                let followers = followers.get(&(term, id.0));
                let count = followers.map_or(0, |all| all.intersection(voters).count());
                replica.raft().is_leader() && count > voters.len() / 2
            });
            leader = found.map_or(0, |replica| replica.config().node.0);
            leader != 0
        });
        leader
    }

    /// A node that does not lead.
    pub fn follower(&mut self) -> u64 {
        let leader = self.leader();
        (1..)
            .find(|id| *id != leader && self.nodes[*id as usize - 1].replica.is_some())
            .expect("one")
    }

    pub fn client(&mut self, node: u64) -> Client {
        let now = self.now;
        let info = ClientInfo {
            peer_addr: "127.0.0.1:5000".into(),
            ..ClientInfo::default()
        };
        let id = self
            .replica(node)
            .client_connected(now, info)
            .expect("room");
        Client { node, id }
    }

    /// Sends requests without waiting for anything.
    pub fn send(&mut self, client: Client, requests: &[&[&str]]) {
        let mut bytes = Vec::new();
        for request in requests {
            resp::encode_request(&mut bytes, request);
        }
        let now = self.local_now(client.node);
        self.replica(client.node)
            .client_received(now, client.id, &bytes);
    }

    /// Bytes as they come from a socket.
    pub fn receive(&mut self, client: Client, bytes: &[u8]) {
        let now = self.local_now(client.node);
        self.replica(client.node)
            .client_received(now, client.id, bytes);
    }

    /// Lets the shell ask, as it does before each read, whether to read from the client.
    pub fn wants_input(&mut self, client: Client) -> bool {
        self.node(client.node).resumed.remove(&client.id);
        self.replica(client.node).client_wants_input(client.id)
    }

    /// All replies of a client that are there.
    pub fn replies(&mut self, client: Client) -> Vec<String> {
        std::iter::from_fn(|| self.reply(client))
            .map(|reply| show(&reply))
            .collect()
    }

    /// The next reply of a client, if it is there.
    pub fn reply(&mut self, client: Client) -> Option<Value> {
        let buffer = self.node(client.node).replies.get_mut(&client.id)?;
        buffer.next_value().expect("well-formed replies")
    }

    /// Sends requests and waits for all replies.
    pub fn pipeline(&mut self, client: Client, requests: &[&[&str]]) -> Vec<Value> {
        self.send(client, requests);
        let mut replies = Vec::new();
        self.run_until("replies", |world| {
            world.settle();
            while let Some(reply) = world.reply(client) {
                replies.push(reply);
            }
            replies.len() >= requests.len()
        });
        assert_eq!(replies.len(), requests.len(), "{replies:?}");
        replies
    }

    pub fn call(&mut self, client: Client, request: &[&str]) -> Value {
        self.pipeline(client, &[request]).remove(0)
    }

    /// What `call` replies, as redis-cli would show it.
    pub fn show(&mut self, client: Client, request: &[&str]) -> String {
        show(&self.call(client, request))
    }
}

/// A reply in few characters.
pub fn show(value: &Value) -> String {
    match value {
        Value::Integer(number) => number.to_string(),
        _ if value.is_null() => "nil".into(),
        _ => match (value.as_slice(), value.as_error(), value.as_bytes()) {
            (Some(items), ..) => {
                format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" "))
            }
            (_, Some(error), _) => format!("-{}", String::from_utf8_lossy(error)),
            (.., Some(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            _ => format!("{value:?}"),
        },
    }
}

impl Node {
    fn new(id: u64) -> Node {
        Node {
            id,
            replica: None,
            incarnation: 0,
            levels: FeatureLevels::OF_THIS_RELEASE,
            vfs: MemVfs::new(id),
            log: None,
            pending: VecDeque::new(),
            disk_stalled: false,
            stored: None,
            writing: None,
            snapshots_stalled: false,
            snapshots_taken: 0,
            snapshots_installed: 0,
            clock_offset_ms: 0,
            output: Output::default(),
            replies: BTreeMap::new(),
            closed: BTreeSet::new(),
            socket_bytes_max: usize::MAX,
            unwritten: BTreeSet::new(),
            sent: BTreeMap::new(),
            witnesses: Vec::new(),
            fatal: None,
            may_fail: false,
            resumed: BTreeSet::new(),
        }
    }
}

impl World {
    /// One turn of every node and one delivery of what is under way.
    pub fn settle_once(&mut self) {
        for index in 0..self.nodes.len() {
            self.turn(index);
        }
        self.deliver();
    }

    /// Waits for replies to what was sent before.
    pub fn pipeline_rest(&mut self, client: Client, count: usize) -> Vec<Value> {
        let mut replies = Vec::new();
        self.run_until("replies", |world| {
            world.settle();
            while let Some(reply) = world.reply(client) {
                replies.push(reply);
            }
            replies.len() >= count
        });
        replies
    }
}
