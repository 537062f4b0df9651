//! A cluster of real processes, for tests that kill, stop and cut off nodes.
//!
//! The nodes are children of the test: `quorate serve` with flags that a person could have typed, data in a
//! temporary directory, ports found free. What the tests do to them is what happens to processes: signals,
//! lost links, full disks. Nothing of a cluster stays behind, whether its test passes, panics or is killed: nodes are killed when the
//! cluster is dropped, and stop by themselves when the pipe from their parent closes.
//!
//! Nothing here sleeps to wait for something: [`poll`] looks until it is so, and fails the test after
//! [`PATIENCE`].

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    reason = "each test file uses a part of this"
)]

mod connection;
mod disk;
pub mod load;
mod node;
mod ports;
mod proxy;
pub mod quota;
pub mod recorder;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

pub use self::{
    connection::{Connection, encode, text},
    disk::SmallDisk,
    node::{Exit, Info, Node},
    ports::free_ports,
    proxy::Network,
};

/// No wait of a test is longer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often something that is waited for is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How often a cluster is started anew because a port was taken between finding and using it.
const START_ATTEMPTS_MAX: usize = 5;

/// Held by each test of a file while it runs: they compete for two cores and measure time.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks until there is something to see.
pub fn poll<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "waited {PATIENCE:?} for: {what}"
        );
        thread::sleep(POLL_INTERVAL);
    }
}

/// What a cluster is started with.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Number of nodes.
    pub nodes: usize,
    /// Whether a [`Network`] stands between the nodes.
    pub is_proxied: bool,
    /// Settings of all nodes, beside those that the cluster chooses.
    pub settings: Vec<(&'static str, String)>,
}

impl Plan {
    pub fn of(nodes: usize) -> Plan {
        Plan {
            nodes,
            is_proxied: false,
            settings: Vec::new(),
        }
    }

    pub fn proxied(mut self) -> Plan {
        self.is_proxied = true;
        self
    }

    pub fn set(mut self, key: &'static str, value: &str) -> Plan {
        self.settings.retain(|(other, _)| *other != key);
        self.settings.push((key, value.to_owned()));
        self
    }
}

/// Nodes 1 to N, in this order.
pub struct Cluster {
    pub nodes: Vec<Node>,
    network: Option<Network>,
    directory: TempDir,
}

impl Cluster {
    /// Three nodes that have a leader.
    pub fn of_three() -> Cluster {
        Cluster::start(&Plan::of(3))
    }

    /// Starts the nodes and waits until they have a leader and answer.
    pub fn start(plan: &Plan) -> Cluster {
        for _ in 1..START_ATTEMPTS_MAX {
            match Cluster::try_start(plan) {
                Some(cluster) => return cluster,
                None => eprintln!("a port was taken by somebody else, trying others"),
            }
        }
        Cluster::try_start(plan).expect("free ports")
    }

    /// `None` if a node exited because its port was in use.
    fn try_start(plan: &Plan) -> Option<Cluster> {
        let directory = tempfile::Builder::new()
            .prefix("quorate-test-")
            .tempdir()
            .expect("a temporary directory");
        let count = plan.nodes;
        let ports = free_ports(2 * count);
        let (clients, peers) = ports.split_at(count);
        let network = plan.is_proxied.then(|| Network::before(peers));
        let reached_at = network
            .as_ref()
            .map_or_else(|| peers.to_vec(), Network::ports);
        let members: Vec<String> = (1..=count)
            .map(|id| format!("{id}=127.0.0.1:{}", reached_at[id - 1]))
            .collect();
        let nodes = (1..=count).map(|id| {
            let mut settings = plan.settings.clone();
            settings.push(("node-id", id.to_string()));
            if count > 1 {
                settings.push(("cluster", members.join(",")));
                settings.push(("peer-bind", format!("127.0.0.1:{}", peers[id - 1])));
                settings.push((
                    "advertise-peer",
                    format!("127.0.0.1:{}", reached_at[id - 1]),
                ));
            }
            Node::new(id, clients[id - 1], directory.path(), settings)
        });
        let mut cluster = Cluster {
            nodes: nodes.collect(),
            network,
            directory,
        };
        for node in &mut cluster.nodes {
            node.start();
        }
        cluster.await_start().then_some(cluster)
    }

    fn await_start(&mut self) -> bool {
        poll("the nodes have started", || {
            for node in &mut self.nodes {
                if let Some(exit) = node.exit() {
                    if exit.stderr.contains("in use") {
                        return Some(false);
                    }
                    panic!("node {} did not start: {exit:?}", node.id);
                }
            }
            self.nodes.iter().all(Node::is_ready).then_some(true)
        })
    }

    /// Starts a node that joins through another one, under the next id.
    pub fn join(&mut self, seed: usize, settings: &[(&'static str, &str)]) -> usize {
        let id = self.nodes.len() + 1;
        let ports = free_ports(2);
        let mut all = vec![
            ("join", format!("127.0.0.1:{}", self.node(seed).port)),
            ("peer-bind", format!("127.0.0.1:{}", ports[1])),
        ];
        all.extend(
            settings
                .iter()
                .map(|(key, value)| (*key, (*value).to_owned())),
        );
        let mut node = Node::new(id, ports[0], self.directory.path(), all);
        node.start();
        self.nodes.push(node);
        id
    }

    /// The node with this id.
    pub fn node(&self, id: usize) -> &Node {
        &self.nodes[id - 1]
    }

    /// The node with this id.
    pub fn node_mut(&mut self, id: usize) -> &mut Node {
        &mut self.nodes[id - 1]
    }

    /// All ids.
    pub fn ids(&self) -> Vec<usize> {
        self.nodes.iter().map(|node| node.id).collect()
    }

    /// All ids but one.
    pub fn others(&self, id: usize) -> Vec<usize> {
        self.ids()
            .into_iter()
            .filter(|other| *other != id)
            .collect()
    }

    /// Waits until all running nodes follow one leader that knows itself to be it.
    pub fn leader(&self) -> usize {
        self.leader_among(&self.ids())
    }

    /// The same for some of the nodes.
    pub fn leader_among(&self, ids: &[usize]) -> usize {
        poll("the nodes agree on a leader", || {
            let running = ids
                .iter()
                .map(|id| self.node(*id))
                .filter(|node| node.is_running());
            let infos: Option<Vec<Info>> = running.map(Node::info).collect();
            let infos = infos?;
            let leader = infos.first()?.leader?;
            let agree = infos.iter().all(|info| info.leader == Some(leader));
            let leads = infos
                .iter()
                .any(|info| info.node == leader && info.role == "leader");
            (agree && leads).then_some(leader)
        })
    }

    /// Waits until every node of these serves reads.
    pub fn await_ready(&self, ids: &[usize]) {
        for id in ids {
            let node = self.node(*id);
            poll("a node serves reads", || node.is_ready().then_some(()));
        }
    }

    /// The same command to each node, each on a new connection; all must answer the same.
    pub fn ask_all(&self, command: &[&str]) -> resp::Value {
        let mut answers = self.nodes.iter().map(|node| (node.id, node.ask(command)));
        let (_, first) = answers.next().expect("there are nodes");
        for (id, answer) in answers {
            assert_eq!(answer, first, "node {id} and node 1 differ on {command:?}");
        }
        first
    }

    /// The links between the nodes.
    pub fn network(&self) -> &Network {
        self.network.as_ref().expect("the cluster is proxied")
    }

    /// Where data and logs of the nodes are.
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.kill();
            if thread::panicking() {
                node.print_log();
            }
        }
    }
}
