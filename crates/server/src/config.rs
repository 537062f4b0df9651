//! Every setting of a node: its name, its default, what it means, and how it is read and checked.
//!
//! A setting is stated once, in the `settings!` table below. From that one line come the field of
//! [`Config`], the key in a TOML file (`election-timeout`), the environment variable
//! (`QUORATE_ELECTION_TIMEOUT`), the flag (`--election-timeout`), the help text, the default, and the
//! line that `--print-config` prints. The three sources say the same things in the same words, and
//! the nearest to the person who types wins: flag, then environment, then file, then default.
//!
//! All sources are text, so there is one parser a type ([`value`]) and none a source. What cannot be
//! read, what no setting has as its name, and what contradicts itself is a [`ConfigError`]: one line
//! that says what is wrong, where it was said, and what to do. Nothing is created or opened before a
//! configuration is whole, so a refusal leaves nothing behind.
//!
//! Left out on purpose: settings of the cluster as a whole that all nodes must agree on belong into
//! the log, not here. The environment is read by name only: unknown `QUORATE_…` variables are not
//! errors, because Kubernetes puts such variables (`QUORATE_SERVICE_HOST`, `QUORATE_PORT`) into the
//! containers beside a service of that name.

mod check;
mod error;
mod print;
mod source;
mod table;
pub mod value;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use replica::FeatureLevels;

use self::table::settings;
pub use self::{
    error::{ConfigError, Problem},
    source::Origin,
    table::Setting,
    value::{Address, ByteSize, LogFormat, LogLevel, Members, Secret, TestVfs, TlsClientAuth},
};

settings! {
    /// Id of this node, 1 or more. It is one of the ids in `cluster`, and never given to another node.
    "node-id" node_id: u64, "ID", "1";

    /// Name of the cluster. Together with the list of first members it makes the cluster's id, which
    /// keeps nodes of different clusters apart, on the network and on disk.
    "cluster-name" cluster_name: String, "NAME", "quorate";

    /// The first members with their peer addresses, the same on every node. Not set: a cluster of one.
    "cluster" cluster: Members, "ID=HOST:PORT,...", "";

    /// Addresses to serve clients on.
    "bind" bind: Vec<Address>, "HOST:PORT,...", "127.0.0.1:6379";

    /// Address to serve other nodes on. Not set: this node's address in `cluster`. A cluster of one has
    /// none, and needs one before other nodes can be added to it.
    "peer-bind" peer_bind: Option<Address>, "HOST:PORT", "";

    /// Address to serve /metrics, /healthz and /readyz on. Not set: none.
    "admin-bind" admin_bind: Option<Address>, "HOST:PORT", "";

    /// Address at which clients reach this node, told to them by CLUSTER and INFO. Not set: the first
    /// of `bind`.
    "advertise-client" advertise_client: Option<Address>, "HOST:PORT", "";

    /// Address at which other nodes reach this node, if it is not `peer-bind` (behind a proxy or NAT).
    /// It must be this node's address in `cluster`.
    "advertise-peer" advertise_peer: Option<Address>, "HOST:PORT", "";

    /// Directory of this node's data, created at the first start.
    "data-dir" data_dir: PathBuf, "DIR", "quorate-data";

    /// Password that clients must give (AUTH). A flag can be seen by others on the machine: prefer
    /// the file or the environment.
    "requirepass" requirepass: Option<Secret>, "PASSWORD", "";

    /// File whose first line is the password that clients must give.
    "requirepass-file" requirepass_file: Option<PathBuf>, "FILE", "";

    /// Refuse addresses that other machines can reach, unless clients need a password or a
    /// certificate, and peers a certificate.
    "protected-mode" protected_mode: bool, "yes|no", "yes";

    /// Certificate chain (PEM) shown to clients; with it, `bind` speaks TLS.
    "tls-cert" tls_cert: Option<PathBuf>, "FILE", "";

    /// Private key (PEM) of `tls-cert`.
    "tls-key" tls_key: Option<PathBuf>, "FILE", "";

    /// Authorities (PEM) whose certificates clients may show.
    "tls-ca" tls_ca: Option<PathBuf>, "FILE", "";

    /// Whether clients must show a certificate.
    "tls-client-auth" tls_client_auth: TlsClientAuth, "no|optional|required", "no";

    /// Certificate chain (PEM) shown to other nodes; with it, nodes speak TLS and check each other.
    "peer-tls-cert" peer_tls_cert: Option<PathBuf>, "FILE", "";

    /// Private key (PEM) of `peer-tls-cert`.
    "peer-tls-key" peer_tls_key: Option<PathBuf>, "FILE", "";

    /// Authorities (PEM) whose certificates other nodes must show.
    "peer-tls-ca" peer_tls_ca: Option<PathBuf>, "FILE", "";

    /// Shortest time without word from a leader before a node stands for election; the time of each
    /// election is drawn between once and twice this.
    "election-timeout" election_timeout: Duration, "DURATION", "500ms";

    /// Time between a leader's signs of life.
    "heartbeat-interval" heartbeat_interval: Duration, "DURATION", "50ms";

    /// Resolution of the timers of elections and heartbeats.
    "tick" tick: Duration, "DURATION", "10ms";

    /// Time after which a command that found no quorum is answered with NOQUORUM or UNCERTAIN.
    "request-timeout" request_timeout: Duration, "DURATION", "5s";

    /// Time a stopping node takes to hand its leadership over and to finish what is in flight.
    "shutdown-timeout" shutdown_timeout: Duration, "DURATION", "10s";

    /// Largest entry of the log, and so the largest command that writes.
    "max-entry-size" max_entry_size: ByteSize, "SIZE", "16MiB";

    /// Size at which a batch of commands is closed.
    "max-batch-size" max_batch_size: ByteSize, "SIZE", "1MiB";

    /// Client connections at a time.
    "max-clients" max_clients: u32, "COUNT", "10000";

    /// Messages waiting for one subscriber at which it is disconnected. Of replies, eight times as
    /// much may wait for any client before no more of its requests are started.
    "client-output-limit" client_output_limit: ByteSize, "SIZE", "64MiB";

    /// Output waiting for one client that it may not exceed for longer than
    /// `client-output-soft-time` without reading any of it (a subscriber: even if it does).
    "client-output-soft-limit" client_output_soft_limit: ByteSize, "SIZE", "16MiB";

    /// How long a client may stay above `client-output-soft-limit`.
    "client-output-soft-time" client_output_soft_time: Duration, "DURATION", "60s";

    /// Size of a file of the log on disk.
    "wal-segment-size" wal_segment_size: ByteSize, "SIZE", "64MiB";

    /// Least size of the log since the last snapshot at which the next one is taken.
    "snapshot-log-size-min" snapshot_log_size_min: ByteSize, "SIZE", "64MiB";

    /// Size of the log since the last snapshot at which the next one is always taken.
    "snapshot-log-size-max" snapshot_log_size_max: ByteSize, "SIZE", "16GiB";

    /// Size of the log since the last snapshot, in percent of the state's size, at which the next one
    /// is taken, within the two limits above. More: fewer snapshots, more disk, longer starts.
    "snapshot-log-percent" snapshot_log_percent: u32, "PERCENT", "100";

    /// Part of the log that is kept behind a snapshot, so that a node that was away for a moment
    /// catches up from the log.
    "log-tail-size" log_tail_size: ByteSize, "SIZE", "32MiB";

    /// How many entries of the log lie between two comparisons of the nodes' data; 0 for none. A node
    /// that differs from the majority stops.
    "state-check-entries" state_check_entries: u32, "COUNT", "1024";

    /// Highest feature level to which this node raises the cluster while it leads; 0: the highest that
    /// all nodes know. Set it on all nodes before an upgrade that is to be undone if need be.
    "feature-level-max" feature_level_max: u32, "LEVEL", "0";

    /// Bytes of a snapshot written per second, so that the log's own writes are not
    /// held up. It does not bind while the disk runs short of space.
    "snapshot-bytes-per-second" snapshot_bytes_per_second: ByteSize, "SIZE", "64MiB";

    /// Bytes of a snapshot sent to each node that needs one, per second.
    "snapshot-send-bytes-per-second" snapshot_send_bytes_per_second: ByteSize, "SIZE", "64MiB";

    /// Bytes of the log, and of the snapshot, that are read again per second in spare time, to find damage
    /// while other nodes, or the memory, still have what was damaged. 0: never.
    "scrub-bytes-per-second" scrub_bytes_per_second: ByteSize, "SIZE", "1MiB";

    /// Form of the node's own log, on standard error.
    "log-format" log_format: LogFormat, "text|json", "text";

    /// Least severity of lines in the node's own log.
    "log-level" log_level: LogLevel, "error|warn|info|debug|trace", "info";

    /// For tests only: the disk as it is, one that forgets at a kill what was not synced, or one that
    /// moreover is never synced.
    hidden "test-vfs" test_vfs: TestVfs, "std|lossy|lossy-nosync", "std";

    /// For tests only: the highest feature level that this program says it knows; 0: the one that it
    /// does know.
    hidden "test-feature-level" test_feature_level: u32, "LEVEL", "0";
}

impl Config {
    /// Reads the configuration from its sources and checks it.
    ///
    /// `file` is the path given by `--config` or `QUORATE_CONFIG`; `environment` looks a variable up
    /// (a function, so that tests need not change the process's environment); `flags` are setting
    /// names with the values given on the command line.
    pub fn load(
        file: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
        flags: &[(&str, String)],
    ) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        if let Some(path) = file {
            for (setting, value, line) in source::read_file(path)? {
                let origin = Origin::File {
                    path: path.to_owned(),
                    line,
                };
                config.set(setting, &value, origin)?;
            }
        }
        for setting in Config::settings() {
            let variable = setting.variable();
            if let Some(value) = environment(&variable) {
                config.set(setting, &value, Origin::Environment { variable })?;
            }
        }
        for (key, value) in flags {
            let setting = Setting::by_key(key).expect("flags are made from the table of settings");
            config.set(setting, value, Origin::Flag { key: setting.key })?;
        }
        config.read_password_file()?;
        check::check(&config)?;
        Ok(config)
    }

    /// The configuration as a TOML file, each line with where its value came from. Reading it back
    /// gives the same configuration, but for a password that was not given by a file: it is not shown.
    pub fn to_toml(&self) -> String {
        print::to_toml(self)
    }

    /// Where the value of a setting came from.
    pub fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::Default)
    }

    /// The members of the cluster. A node without `cluster` is the only member of its own.
    pub fn members(&self) -> BTreeMap<u64, Address> {
        if self.cluster.is_empty() {
            BTreeMap::from([(self.node_id, self.reached_at())])
        } else {
            self.cluster
                .iter()
                .map(|(id, address)| (*id, address.clone()))
                .collect()
        }
    }

    /// Whether there is a port for other nodes: always with other first members, and where a cluster of
    /// one is to be able to grow.
    pub fn serves_peers(&self) -> bool {
        self.cluster.len() > 1 || self.peer_bind.is_some()
    }

    /// The address at which other nodes reach this one, where no list of members tells it.
    pub fn reached_at(&self) -> Address {
        if let Some(address) = &self.advertise_peer {
            return address.clone();
        }
        let bound = self.peer_address();
        match bound.is_wildcard() {
            true => Address::new(&self.client_address().host, bound.port),
            false => bound,
        }
    }

    /// The cluster's id (design section 5, "Birth"): equal exactly where `cluster-name` and the list
    /// of first members are. A cluster of one has no list, so that its node may move.
    ///
    /// Invariant: the value for given settings never changes between releases; it is on disk. FNV-1a
    /// is enough: ids tell clusters of one operator apart, they are no secret and no defence.
    pub fn cluster_id(&self) -> u64 {
        let mut token = self.cluster_name.clone();
        for (id, address) in self.cluster.iter() {
            token.push_str(&format!("\n{id}={address}"));
        }
        token
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            })
    }

    /// The feature levels that this program knows.
    pub fn feature_levels(&self) -> FeatureLevels {
        let levels = FeatureLevels::OF_THIS_RELEASE;
        match self.test_feature_level {
            0 => levels,
            newest => FeatureLevels { newest, ..levels },
        }
    }

    /// The address to listen on for peers.
    pub fn peer_address(&self) -> Address {
        if let Some(address) = &self.peer_bind {
            return address.clone();
        }
        if let Some(address) = self.cluster.get(self.node_id) {
            return address.clone();
        }
        let client = &self.bind[0];
        Address::new(
            &client.host,
            client
                .port
                .checked_add(1000)
                .unwrap_or_else(|| client.port - 1000),
        )
    }

    /// The address that clients are told, by CLUSTER SLOTS and INFO.
    pub fn client_address(&self) -> Address {
        if let Some(address) = &self.advertise_client {
            return address.clone();
        }
        let first = &self.bind[0];
        if !first.is_wildcard() {
            return first.clone();
        }
        let host = self
            .cluster
            .get(self.node_id)
            .map_or("127.0.0.1", |peer| &peer.host);
        Address::new(host, first.port)
    }

    /// Whether client connections speak TLS.
    pub fn has_client_tls(&self) -> bool {
        self.tls_cert.is_some()
    }

    /// Whether peer connections speak TLS.
    pub fn has_peer_tls(&self) -> bool {
        self.peer_tls_cert.is_some()
    }

    fn set(&mut self, setting: &Setting, text: &str, origin: Origin) -> Result<(), ConfigError> {
        (setting.write)(self, text).map_err(|expected| Problem::BadValue {
            key: setting.key,
            value: if setting.is_secret() {
                "(hidden)".into()
            } else {
                text.into()
            },
            origin: origin.clone(),
            expected,
        })?;
        self.origins.insert(setting.key, origin);
        Ok(())
    }

    /// Puts the first line of `requirepass-file` into `requirepass`.
    fn read_password_file(&mut self) -> Result<(), ConfigError> {
        let Some(path) = &self.requirepass_file else {
            return Ok(());
        };
        let origin = self.origin("requirepass-file").clone();
        if self.requirepass.is_some() {
            let other = self.origin("requirepass").clone();
            return Err(Problem::PasswordTwice {
                file: origin,
                direct: other,
            }
            .into());
        }
        let text = std::fs::read_to_string(path).map_err(|error| Problem::PasswordFile {
            origin: origin.clone(),
            path: path.clone(),
            reason: error.to_string(),
        })?;
        let password = text.lines().next().unwrap_or_default();
        if password.is_empty() {
            return Err(Problem::PasswordFile {
                origin,
                path: path.clone(),
                reason: "its first line is empty".into(),
            }
            .into());
        }
        self.requirepass = Some(Secret::new(password));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
