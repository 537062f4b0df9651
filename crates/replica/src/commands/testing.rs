//! A node for tests of commands, and a client of it: no log, no shell.

use std::collections::BTreeMap;

use raft::{ClusterId, GroupId, LogIndex, NodeId, Role, Term};
use resp::{Encoder, Protocol};

use crate::compaction::Compaction;
use crate::config::{ClientId, ClientInfo, Config, HostStats, NodeInfo, Now};
use crate::consistency::Consistency;
use crate::features::FeatureLevels;
use crate::machine::Machine;
use crate::membership::Wish;
use crate::node::{Consensus, Member, Node};
use crate::pubsub::PubSub;
use crate::random::Random;
use crate::session::Sessions;
use crate::settings::Settings;
use crate::slowlog::Slowlog;
use crate::stats::Stats;

/// When the node of a test was started.
const STARTED: Now = Now {
    wall_ms: 1_700_000_000_000,
    mono_us: 1_000_000,
};

impl Node {
    /// Node 1 of one, leading.
    pub(crate) fn for_test() -> Self {
        Node::for_test_of(1)
    }

    /// Node 1, leading, of a cluster of nodes 1 to `count` at 10.0.0.x:7000, all connected.
    pub(crate) fn for_test_of(count: u64) -> Self {
        let config = config(count);
        let member = |id: u64| Member {
            peer_addr: format!("10.0.0.{id}:8000"),
            client_addr: format!("10.0.0.{id}:7000"),
            version: "0.1.0".to_owned(),
            feature_level: 1,
            connected: true,
            votes: true,
            wish: Wish::Stay,
            is_alive: true,
            matched: 7,
        };
        Node {
            settings: Settings::new(&config),
            machine: Machine::new(),
            sessions: Sessions::default(),
            pubsub: PubSub::default(),
            compaction: Compaction::default(),
            consistency: Consistency::default(),
            stats: Stats::default(),
            slowlog: Slowlog::default(),
            members: (1..=count).map(|id| (NodeId(id), member(id))).collect(),
            consensus: Consensus {
                role: Role::Leader,
                term: Term(3),
                leader: Some(NodeId(1)),
                commit: LogIndex(9),
                applied: LogIndex(9),
                first: LogIndex(1),
                last: LogIndex(9),
                leader_changes: 0,
                disk_full: false,
                is_changing: false,
            },
            host: HostStats::default(),
            now: STARTED,
            started: STARTED,
            random: Random::new(1),
            pause: None,
            flush: Vec::new(),
            closing: Vec::new(),
            runnable: Vec::new(),
            shutdown: None,
            witnesses: Vec::new(),
            config,
        }
    }

    /// Makes another node, or nobody, the leader.
    pub(crate) fn follow(&mut self, leader: Option<u64>) {
        self.consensus.role = Role::Follower;
        self.consensus.leader = leader.map(NodeId);
        if let Some(leader) = leader {
            self.stats.last_leader = Some(NodeId(leader));
        }
    }

    /// A client that has just connected.
    pub(crate) fn connect(&mut self) -> ClientId {
        let info = ClientInfo {
            peer_addr: format!("127.0.0.1:{}", 50_000 + self.sessions.total()),
            local_addr: "10.0.0.1:7000".to_owned(),
            tls: false,
        };
        let authenticated = !self.settings.requires_authentication();
        self.sessions.insert(info, self.now.mono_us, authenticated)
    }

    /// A client that speaks RESP3.
    pub(crate) fn connect_resp3(&mut self) -> ClientId {
        let client = self.connect();
        self.session(client).protocol = Protocol::Resp3;
        client
    }

    /// What a client is replied, checks of the dispatcher included, escaped to be readable.
    pub(crate) fn reply(&mut self, client: ClientId, request: &str) -> String {
        let words = resp::split_args(request.as_bytes()).expect("a request");
        let args: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        escape(&self.reply_bytes(client, &args))
    }

    fn reply_bytes(&mut self, client: ClientId, args: &[&[u8]]) -> Vec<u8> {
        let mut reply = Vec::new();
        let session = self.session(client);
        let mut out = Encoder::new(&mut reply, session.protocol);
        let Some(spec) = kv::lookup_request(args) else {
            let text = match kv::lookup(args[0]) {
                Some(_) => kv::error_text::unknown_subcommand(args),
                None => kv::error_text::unknown_command(args),
            };
            out.error(text);
            return reply;
        };
        if !spec.accepts_argument_count(args.len()) {
            out.error(kv::error_text::wrong_number_of_arguments(spec));
            return reply;
        }
        if !session.authenticated && !super::allowed_without_authentication(spec) {
            out.error(super::NOAUTH);
            return reply;
        }
        if session.in_subscriber_mode() && !super::allowed_in_subscriber_mode(spec) {
            out.error(super::subscriber_mode_error(spec));
            return reply;
        }
        if let kv::Handler::Read(_) = spec.handler {
            let env = kv::ReadEnv {
                wall_ms: 0,
                seed: 0,
            };
            let outcome = self.machine.store.read(spec, 0, args, &env, &mut out);
            assert_eq!(outcome, kv::ReadOutcome::Done);
            return reply;
        }
        let command = super::find(spec).expect("a session command");
        (command.handler)(self, client, args, &mut out);
        reply
    }
}

/// Bytes as text: printable ASCII as it is, the rest escaped.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        match byte {
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(byte as char),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

pub(crate) fn config(count: u64) -> Config {
    Config {
        cluster: ClusterId(42),
        group: GroupId(1),
        node: NodeId(1),
        incarnation: 1,
        members: (1..=count)
            .map(|id| (NodeId(id), format!("10.0.0.{id}:8000")))
            .collect::<BTreeMap<_, _>>(),
        addresses: BTreeMap::new(),
        feature_levels: FeatureLevels::OF_THIS_RELEASE,
        feature_level_found: 0,
        feature_level_max: 0,
        is_joined: false,
        serves_peers: true,
        tick_ms: 10,
        election_timeout_ms: 150,
        heartbeat_ms: 30,
        seed: 1,
        cluster_secret: [7; 16],
        request_timeout_ms: 5_000,
        entry_bytes_max: 16 << 20,
        batch_bytes_max: 1 << 20,
        unapplied_bytes_max: 64 << 20,
        snapshot_log_bytes_min: Config::SNAPSHOT_LOG_BYTES_MIN,
        snapshot_log_bytes_max: Config::SNAPSHOT_LOG_BYTES_MAX,
        snapshot_state_percent: Config::SNAPSHOT_STATE_PERCENT,
        log_tail_bytes: Config::LOG_TAIL_BYTES,
        state_check_entries: Config::STATE_CHECK_ENTRIES,
        clients_max: 10_000,
        output_bytes_max: 64 << 20,
        requirepass: None,
        client_addr: "10.0.0.1:7000".to_owned(),
        info: NodeInfo {
            process_id: 4_242,
            tcp_port: 7_000,
            run_id: "0".repeat(40),
            version: "0.1.0".to_owned(),
            os: "Linux test".to_owned(),
            executable: "/usr/bin/quorate".to_owned(),
            config_file: String::new(),
            data_dir: "/var/lib/quorate".to_owned(),
            started_wall_ms: STARTED.wall_ms,
            bind: "10.0.0.1:7000".to_owned(),
            cluster_name: "quorate".to_owned(),
        },
    }
}
