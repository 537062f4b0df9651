//! From a configuration to a running node, in an order that leaves nothing behind when it fails.
//!
//! 1. Certificates are read and every port is bound. What fails here has touched nothing.
//! 2. The data directory is locked and checked; its incarnation is raised. A directory of another
//!    cluster or node, in use, too new or damaged is refused unchanged.
//! 3. The newest good snapshot is loaded, the log behind it recovered; the replica is made of both.
//! 4. The threads start, and the reactor turns. Committed entries are applied from the log as its
//!    first work, while clients may already connect and wait.

mod recover;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Interest, Poll, Waker};
use raft::{ClusterId, GroupId, NodeId};
use replica::{NodeInfo, Replica};
use tracing::{error, info, warn};
use vfs::Vfs;
use wal::{DataDir, KnownPeers};

use crate::admin::Admin;
use crate::clock::{Clock, wall_ms};
use crate::config::{Address, Config, Origin};
use crate::disk::{Disk, OnFailure};
use crate::error::ServeError;
use crate::host;
use crate::identity::Identity;
use crate::listener::{self, Listener};
use crate::metrics::{self, DiskMetrics, Published};
use crate::peer::codec::Scope;
use crate::peer::handshake::{Hello, PROTOCOL_VERSION, PROTOCOL_VERSION_MIN, Purpose};
use crate::peer::{PeerSettings, PeerTls, Peers};
use crate::reactor::{Clients, OutputLimits, Parts, Reactor, Stopper};
use crate::signals::Signals;
use crate::snapshots::{SnapshotSettings, Snapshots};
use crate::tls;
use crate::tokens::Source;

use self::recover::{Storage, choose_vfs, open_storage};

/// The one group of this release. Messages and records name it, because there will be more.
pub(crate) const GROUP: GroupId = GroupId(1);

/// The software version, as peers and INFO are told.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The shortest time after which a silent peer connection is given up.
const PEER_IDLE_MIN: Duration = Duration::from_secs(2);

/// That time in election timeouts, where those are long.
const PEER_IDLE_ELECTIONS: u32 = 10;

/// Segments of the log beside those that are full of what is needed: the first one, the one being
/// written, and one prepared; and one because records do not fill a segment to its end.
const SPARE_SEGMENTS: u64 = 4;

/// Batches of this gateway that are not applied may hold this many entries' worth of bytes.
const UNAPPLIED_ENTRIES: usize = 4;

/// What a process that runs a node may choose beside its configuration. The default is what
/// [`serve`](crate::serve) uses.
pub struct Options {
    /// The disk; chosen by the configuration if `None`. Tests put one in memory here.
    pub vfs: Option<Arc<dyn Vfs>>,
    /// Whether SIGTERM and SIGINT stop the node. Signals belong to a process, so only one node of a
    /// process can have them.
    pub has_signals: bool,
    /// What to do when the disk fails.
    pub on_failure: OnFailure,
    /// Bound sockets to serve clients on, instead of binding `bind`.
    pub client_listeners: Option<Vec<TcpListener>>,
    /// Bound sockets to serve peers on, instead of binding `peer-bind`. So that a test can know the
    /// ports of a cluster before it starts the first node.
    pub peer_listeners: Option<Vec<TcpListener>>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            vfs: None,
            has_signals: true,
            on_failure: OnFailure::Exit,
            client_listeners: None,
            peer_listeners: None,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Options")
            .field("has_vfs", &self.vfs.is_some())
            .field("has_signals", &self.has_signals)
            .field("on_failure", &self.on_failure)
            .finish_non_exhaustive()
    }
}

/// A node that is ready to run.
#[derive(Debug)]
pub struct Server {
    reactor: Reactor,
    stopper: Stopper,
    client_addrs: Vec<SocketAddr>,
    admin_addrs: Vec<SocketAddr>,
    /// Locked until the node has stopped.
    data_dir: DataDir,
    _admin: Option<Admin>,
}

/// The sockets that were bound before anything else was done.
struct Bound {
    clients: Vec<TcpListener>,
    peers: Vec<TcpListener>,
    admin: Vec<TcpListener>,
    client_tls: Option<Arc<rustls::ServerConfig>>,
    peer_tls: Option<PeerTls>,
}

/// Numbers drawn from the system at a start.
struct Drawn {
    seed: u64,
    process: u64,
    directory: u64,
    cluster_secret: [u8; 16],
    run_id: [u8; 20],
}

impl Server {
    /// Does everything up to the first turn of the reactor.
    ///
    /// # Errors
    /// For every reason not to start; see [`ServeError`].
    pub fn start(config: &Config, mut options: Options) -> Result<Server, ServeError> {
        let started = Instant::now();
        let bound = Bound::new(config, &mut options)?;
        let client_addrs = addresses(&bound.clients)?;
        let admin_addrs = addresses(&bound.admin)?;
        let vfs = options
            .vfs
            .take()
            .unwrap_or_else(|| choose_vfs(config.test_vfs));
        let identity = Identity::of(config, vfs.as_ref())?;
        let cluster = ClusterId(identity.cluster);
        let mut data_dir =
            DataDir::open(Arc::clone(&vfs), &config.data_dir, cluster.0, identity.node)?;
        let drawn = Drawn::new()?;
        let directory = data_dir.directory_id(drawn.directory)?;
        let known = data_dir
            .take_known_peers()
            .expect("the directory was opened here, and its memory is taken once");
        let Storage {
            snapshots,
            log,
            recovered,
            places,
            addresses,
            feature_level,
        } = open_storage(config, cluster, &vfs, &mut data_dir)?;

        check_peer_port(config, &identity, &recovered, &snapshots, &addresses)?;

        let clock = Clock::new();
        let replica_config = replica_config(config, &identity, &data_dir, &drawn, &client_addrs);
        let replica_config = replica::Config {
            addresses,
            feature_level_found: feature_level,
            ..replica_config
        };
        let client_addr = replica_config.client_addr.clone();
        let newest = snapshots.last();
        let mut replica = Replica::new(
            replica_config,
            recovered,
            snapshots.choice.state,
            clock.now(),
        )?;
        replica.log_recovered(&places);

        let poll = Poll::new().map_err(ServeError::system("create an event queue"))?;
        let waker = Waker::new(poll.registry(), Source::Waker.token())
            .map_err(ServeError::system("create an event queue"))?;
        let waker = Arc::new(waker);
        let disk_metrics = DiskMetrics::new();
        let published = Published::new();
        let admin = bound.start_admin(&published, &disk_metrics)?;
        let disk = Disk::start(log, Arc::clone(&waker), options.on_failure, disk_metrics)
            .map_err(ServeError::system("start the disk thread"))?;
        let snapshots = Snapshots::start(
            snapshot_settings(config, cluster),
            snapshots.directory,
            newest,
            Arc::clone(&waker),
        )
        .map_err(ServeError::system("start the thread for snapshots"))?;
        let stopper = Stopper::new(Arc::clone(&waker));
        let signals = match options.has_signals {
            true => Some(install_signals(&poll)?),
            false => None,
        };
        let hello = hello(config, &identity, &data_dir, &drawn, client_addr, directory);
        let registry = poll
            .registry()
            .try_clone()
            .map_err(ServeError::system("share the event queue"))?;
        let peers = Peers::new(
            peer_settings(
                config,
                &identity,
                hello,
                bound.peer_tls.clone(),
                drawn.seed,
                known,
            ),
            registry,
            waker,
        );
        info!(
            version = VERSION, node = identity.node, cluster = %identity.cluster_name,
            cluster_id = %format_args!("{:016x}", cluster.0), members = identity.members.len(),
            clients = ?client_addrs, admin = ?admin_addrs, incarnation = data_dir.incarnation(),
            data_dir = %config.data_dir.display(), process = std::process::id(),
            took_ms = started.elapsed().as_millis() as u64, "started"
        );
        let reactor = Reactor::new(Parts {
            clock,
            replica,
            clients: Clients::new(output_limits(config), bound.client_tls.clone()),
            client_listeners: register(&poll, bound.clients, Source::ClientListener)?,
            peers,
            peer_listeners: register(&poll, bound.peers, |_| Source::PeerListener)?,
            disk,
            snapshots,
            signals,
            stopper: stopper.clone(),
            published,
            on_failure: options.on_failure,
            tick: config.tick,
            shutdown_timeout: config.shutdown_timeout,
            poll,
        });
        Ok(Server {
            reactor,
            stopper,
            client_addrs,
            admin_addrs,
            data_dir,
            _admin: admin,
        })
    }

    /// Runs the node on this thread until it is asked to stop.
    ///
    /// # Errors
    /// If it cannot go on. With [`OnFailure::Exit`], a disk that fails ends the process instead.
    pub fn run(mut self) -> Result<(), ServeError> {
        let result = self.reactor.run();
        if let Err(ServeError::Outdated(_)) = &result {
            error!("this node stops, and its data directory is not used again");
            self.data_dir.set_outdated()?;
        }
        if let Err(ServeError::Removed(_)) = &result {
            self.data_dir.set_removed()?;
        }
        result
    }

    /// Stops the node from another thread.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Where clients are served.
    pub fn client_addrs(&self) -> &[SocketAddr] {
        &self.client_addrs
    }

    /// Where /metrics, /healthz and /readyz are served.
    pub fn admin_addrs(&self) -> &[SocketAddr] {
        &self.admin_addrs
    }
}

impl Bound {
    fn new(config: &Config, options: &mut Options) -> Result<Bound, ServeError> {
        let client_tls = tls::client_port(config)?;
        let peer_tls = tls::peer_port(config)?;
        let clients = match options.client_listeners.take() {
            Some(listeners) => nonblocking(listeners)?,
            None => bind_all("bind", &config.bind)?,
        };
        let peers = match options.peer_listeners.take() {
            Some(listeners) => nonblocking(listeners)?,
            None if !config.serves_peers() => Vec::new(),
            None => listener::bind("peer-bind", &config.peer_address())?,
        };
        let admin = match &config.admin_bind {
            None => Vec::new(),
            Some(address) => listener::bind("admin-bind", address)?,
        };
        Ok(Bound {
            clients,
            peers,
            admin,
            client_tls,
            peer_tls,
        })
    }

    fn start_admin(
        &self,
        published: &Arc<Published>,
        disk_metrics: &DiskMetrics,
    ) -> Result<Option<Admin>, ServeError> {
        if self.admin.is_empty() {
            return Ok(None);
        }
        let fail = ServeError::system("serve the admin port");
        let listeners = self.admin.iter().map(TcpListener::try_clone);
        let registry = metrics::registry(published, disk_metrics);
        let admin = listeners
            .collect::<Result<Vec<_>, _>>()
            .and_then(|listeners| Admin::start(listeners, registry, Arc::clone(published)));
        admin.map(Some).map_err(fail)
    }
}

impl Drawn {
    fn new() -> Result<Drawn, ServeError> {
        let mut bytes = [0; 60];
        getrandom::fill(&mut bytes).map_err(|error| ServeError::System {
            what: "draw random numbers",
            source: std::io::Error::other(error.to_string()),
        })?;
        let (seed, rest) = take(&bytes);
        let (process, rest) = take(rest);
        let (directory, rest) = take(rest);
        let (cluster_secret, rest) = take(rest);
        let (run_id, _) = take(rest);
        Ok(Drawn {
            seed: u64::from_le_bytes(seed),
            process: u64::from_le_bytes(process),
            directory: u64::from_le_bytes(directory),
            cluster_secret,
            run_id,
        })
    }
}

/// The first `N` of the bytes, and the rest.
fn take<const N: usize>(bytes: &[u8]) -> ([u8; N], &[u8]) {
    let (first, rest) = bytes
        .split_first_chunk()
        .expect("as many bytes were drawn as are taken");
    (*first, rest)
}

fn bind_all(setting: &'static str, addresses: &[Address]) -> Result<Vec<TcpListener>, ServeError> {
    let mut listeners = Vec::new();
    for address in addresses {
        listeners.extend(listener::bind(setting, address)?);
    }
    listeners.truncate(Source::CLIENT_LISTENERS_MAX);
    Ok(listeners)
}

fn nonblocking(listeners: Vec<TcpListener>) -> Result<Vec<TcpListener>, ServeError> {
    for listener in &listeners {
        listener
            .set_nonblocking(true)
            .map_err(ServeError::system("make a socket non-blocking"))?;
    }
    Ok(listeners)
}

fn addresses(listeners: &[TcpListener]) -> Result<Vec<SocketAddr>, ServeError> {
    let addresses = listeners.iter().map(TcpListener::local_addr);
    addresses
        .collect::<Result<_, _>>()
        .map_err(ServeError::system("read a socket's address"))
}

fn register(
    poll: &Poll,
    sockets: Vec<TcpListener>,
    source: impl Fn(usize) -> Source,
) -> Result<Vec<Listener>, ServeError> {
    let listeners = sockets
        .into_iter()
        .enumerate()
        .map(|(index, socket)| Listener::register(socket, poll.registry(), source(index)));
    listeners
        .collect::<Result<_, _>>()
        .map_err(ServeError::system("watch a listening socket"))
}

fn install_signals(poll: &Poll) -> Result<Signals, ServeError> {
    let install = || {
        let mut signals = Signals::install()?;
        let token = Source::Signals.token();
        poll.registry()
            .register(signals.source(), token, Interest::READABLE)?;
        Ok(signals)
    };
    install().map_err(ServeError::system("handle signals"))
}

fn replica_config(
    config: &Config,
    identity: &Identity,
    data_dir: &DataDir,
    drawn: &Drawn,
    client_addrs: &[SocketAddr],
) -> replica::Config {
    let announced = announced_address(config, client_addrs);
    let clients_max = config.max_clients as usize;
    let clients_possible = host::raise_descriptor_limit(clients_max);
    if clients_possible < clients_max {
        warn!(
            clients = clients_possible,
            wanted = clients_max,
            "the limit of open files allows fewer clients than max-clients"
        );
    }
    replica::Config {
        cluster: ClusterId(identity.cluster),
        group: GROUP,
        node: NodeId(identity.node),
        incarnation: data_dir.incarnation(),
        members: identity.members.clone(),
        addresses: BTreeMap::new(),
        feature_levels: config.feature_levels(),
        feature_level_found: 0,
        feature_level_max: config.feature_level_max,
        is_joined: identity.is_joined,
        serves_peers: config.serves_peers(),
        tick_ms: millis(config.tick),
        election_timeout_ms: millis(config.election_timeout),
        heartbeat_ms: millis(config.heartbeat_interval),
        seed: drawn.seed,
        cluster_secret: drawn.cluster_secret,
        request_timeout_ms: millis(config.request_timeout),
        entry_bytes_max: config.max_entry_size.bytes(),
        batch_bytes_max: config.max_batch_size.bytes(),
        unapplied_bytes_max: config.max_entry_size.bytes() * UNAPPLIED_ENTRIES,
        snapshot_log_bytes_min: config.snapshot_log_size_min.0,
        snapshot_log_bytes_max: config.snapshot_log_size_max.0,
        snapshot_state_percent: config.snapshot_log_percent.into(),
        state_check_entries: config.state_check_entries.into(),
        log_tail_bytes: config.log_tail_size.0,
        clients_max: clients_possible,
        output_bytes_max: config.client_output_limit.bytes(),
        requirepass: config
            .requirepass
            .as_ref()
            .map(|password| password.expose().to_owned()),
        client_addr: announced.to_string(),
        info: node_info(config, identity, drawn, announced.port),
    }
}

fn node_info(config: &Config, identity: &Identity, drawn: &Drawn, tcp_port: u16) -> NodeInfo {
    let path_text = |path: std::io::Result<PathBuf>| {
        path.map(|path| path.display().to_string())
            .unwrap_or_default()
    };
    NodeInfo {
        process_id: std::process::id(),
        tcp_port,
        run_id: drawn
            .run_id
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
        version: VERSION.into(),
        os: host::os_name(),
        executable: path_text(std::env::current_exe()),
        config_file: config_file(config),
        data_dir: path_text(std::path::absolute(&config.data_dir)),
        started_wall_ms: wall_ms(),
        bind: join(&config.bind),
        cluster_name: identity.cluster_name.clone(),
    }
}

/// The file that settings came from, if any did.
fn config_file(config: &Config) -> String {
    let origins = Config::settings()
        .iter()
        .map(|setting| config.origin(setting.key));
    let mut files = origins.filter_map(|origin| match origin {
        Origin::File { path, .. } => Some(path.display().to_string()),
        _ => None,
    });
    files.next().unwrap_or_default()
}

fn join(addresses: &[Address]) -> String {
    let texts: Vec<String> = addresses.iter().map(Address::to_string).collect();
    texts.join(" ")
}

/// The address told to clients. A port that was left to the system to choose is known only now.
fn announced_address(config: &Config, client_addrs: &[SocketAddr]) -> Address {
    let mut announced = config.client_address();
    if announced.port == 0
        && let Some(bound) = client_addrs.first()
    {
        announced.port = bound.port();
    }
    announced
}

fn hello(
    config: &Config,
    identity: &Identity,
    data_dir: &DataDir,
    drawn: &Drawn,
    client_addr: String,
    directory: u64,
) -> Hello {
    Hello {
        protocol_version: PROTOCOL_VERSION,
        protocol_version_min: PROTOCOL_VERSION_MIN,
        cluster: ClusterId(identity.cluster),
        cluster_name: identity.cluster_name.clone(),
        node: NodeId(identity.node),
        target: NodeId(0),
        purpose: Purpose::Messages,
        incarnation: data_dir.incarnation(),
        process: drawn.process,
        directory,
        client_addr,
        peer_addr: match config.serves_peers() {
            true => identity.peer_addr(),
            false => String::new(),
        },
        version: VERSION.into(),
        levels: config.feature_levels(),
    }
}

fn peer_settings(
    config: &Config,
    identity: &Identity,
    hello: Hello,
    tls: Option<PeerTls>,
    seed: u64,
    known: KnownPeers,
) -> PeerSettings {
    let idle = (config.election_timeout * PEER_IDLE_ELECTIONS).max(PEER_IDLE_MIN);
    PeerSettings {
        scope: Scope {
            cluster: hello.cluster,
            group: GROUP,
        },
        hello,
        members: identity.members.clone(),
        tls,
        idle_timeout_us: micros(idle),
        seed,
        known,
    }
}

fn snapshot_settings(config: &Config, cluster: ClusterId) -> SnapshotSettings {
    SnapshotSettings {
        scope: Scope {
            cluster,
            group: GROUP,
        },
        bytes_per_second: config.snapshot_bytes_per_second.0,
        log_percent: config.snapshot_log_percent.into(),
        log_bytes_min: config.snapshot_log_size_min.0,
        log_bytes_max: config.snapshot_log_size_max.0,
        log_bytes_spare: config.log_tail_size.0 + SPARE_SEGMENTS * config.wal_segment_size.0,
        send_bytes_per_second: config.snapshot_send_bytes_per_second.0,
        scrub_bytes_per_second: config.scrub_bytes_per_second.0,
    }
}

/// A node that has peers must be reachable for them, and should be where they look for it.
fn check_peer_port(
    config: &Config,
    identity: &Identity,
    recovered: &raft::Recovered,
    snapshots: &crate::snapshots::Start,
    addresses: &BTreeMap<NodeId, String>,
) -> Result<(), ServeError> {
    let node = NodeId(identity.node);
    let of_log = recovered.confs.last().map(|(_, conf)| conf);
    let of_snapshot = snapshots
        .choice
        .state
        .as_ref()
        .map(|loaded| &loaded.meta.conf);
    let conf = of_log.or(of_snapshot);
    let has_peers = conf.is_some_and(|conf| conf.members().iter().any(|id| *id != node));
    if has_peers && !config.serves_peers() {
        return Err(ServeError::NoPeerPort {
            node: identity.node,
        });
    }
    let own = identity.peer_addr();
    if let Some(known) = addresses.get(&node)
        && has_peers
        && !known.is_empty()
        && *known != own
    {
        warn!(
            known,
            own, "the other nodes look for this one at another address than it has now"
        );
    }
    Ok(())
}

fn output_limits(config: &Config) -> OutputLimits {
    OutputLimits {
        hard_bytes: config.client_output_limit.bytes(),
        soft_bytes: config.client_output_soft_limit.bytes(),
        soft_us: micros(config.client_output_soft_time),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
