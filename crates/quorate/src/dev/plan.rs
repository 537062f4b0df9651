//! What will be started, decided and checked before anything is.

use std::{io::Write, net::TcpListener, path::PathBuf, time::Duration};

use clap::{Args, FromArgMatches};
use server::config::{Address, Config};
use vfs::StdVfs;

use super::{DEV_DATA_DIRECTORY, DevArguments, node::Node};
use crate::{failure::Failure, login::Login, serve::ServeArguments, status::aligned};

/// Where data is kept if nothing else was said.
const DEFAULT_DIRECTORY: &str = "quorate-dev";
/// Distance of the peers' ports from the clients', and of the metrics' from these.
const PORT_STRIDE: u16 = 1000;
/// Settings that differ from node to node, and so are not for the flags of all nodes.
const OWN_SETTINGS: &[&str] = &[
    "node-id",
    "cluster",
    "bind",
    "peer-bind",
    "admin-bind",
    "advertise-client",
    "advertise-peer",
    "data-dir",
];

/// All that is to be started.
pub(super) struct Plan {
    /// The nodes.
    pub(super) nodes: Vec<NodePlan>,
    /// The directory of all of them.
    pub(super) directory: PathBuf,
    /// How to log in to them.
    pub(super) login: Login,
    /// The cluster that they will be.
    cluster: u64,
    /// How long a node may take to stop.
    pub(super) shutdown_timeout: Duration,
    /// Whether the directory must be new, because it will be removed.
    is_ephemeral: bool,
}

/// One node that is to be started.
#[derive(Debug, Clone)]
pub(super) struct NodePlan {
    /// Its id, which is also its number.
    pub(super) id: u64,
    /// Where it serves clients.
    pub(super) client: Address,
    /// Where it serves peers.
    pub(super) peer: Address,
    /// Where it serves metrics.
    pub(super) admin: Address,
    /// Its directory, of the log and the data.
    pub(super) directory: PathBuf,
    /// What it is started with.
    pub(super) arguments: ServeArguments,
}

impl Plan {
    /// Decides everything, and checks what can be checked without touching anything.
    pub(super) fn make(arguments: &DevArguments) -> Result<Self, Failure> {
        let common = parse_serve_flags(&arguments.serve_flags)?;
        let last =
            u32::from(arguments.port) + 2 * u32::from(PORT_STRIDE) + u32::from(arguments.nodes) - 1;
        if arguments.port == 0 || last > u32::from(u16::MAX) {
            return Err(Failure::usage(format!(
                "--port {}: this needs ports up to {last}, and the largest is {}: choose a base from 1 to {}",
                arguments.port,
                u16::MAX,
                u16::MAX - 2 * PORT_STRIDE - (arguments.nodes - 1)
            )));
        }
        let directory = match (&arguments.data_dir, arguments.ephemeral) {
            (Some(path), _) => path.clone(),
            (None, true) => {
                std::env::temp_dir().join(format!("quorate-dev-{}", std::process::id()))
            }
            (None, false) => PathBuf::from(DEFAULT_DIRECTORY),
        };
        let address = |offset: u16| Address::new("127.0.0.1", arguments.port + offset);
        let members: Vec<String> = (0..arguments.nodes)
            .map(|number| format!("{}={}", number + 1, address(PORT_STRIDE + number)))
            .collect();
        let nodes: Vec<NodePlan> = (0..arguments.nodes)
            .map(|number| {
                let id = u64::from(number) + 1;
                let [client, peer, admin] =
                    [0, PORT_STRIDE, 2 * PORT_STRIDE].map(|stride| address(stride + number));
                let directory = directory.join(format!("node-{id}"));
                let mut flags = vec![
                    ("node-id", id.to_string()),
                    ("bind", client.to_string()),
                    ("admin-bind", admin.to_string()),
                    (
                        "data-dir",
                        directory
                            .join(DEV_DATA_DIRECTORY)
                            .to_string_lossy()
                            .into_owned(),
                    ),
                ];
                if arguments.nodes > 1 {
                    flags.push(("cluster", members.join(",")));
                    flags.push(("peer-bind", peer.to_string()));
                }
                let arguments = common.with_flags(flags);
                NodePlan {
                    id,
                    client,
                    peer,
                    admin,
                    directory,
                    arguments,
                }
            })
            .collect();
        let config = check_configurations(&nodes)?;
        if config.has_client_tls() {
            return Err(Failure::usage(
                "after `--`: dev talks to its nodes in the clear: leave tls-cert out",
            ));
        }
        let password = config
            .requirepass
            .as_ref()
            .map(|secret| secret.expose().as_bytes().to_vec());
        Ok(Self {
            nodes,
            directory,
            login: Login {
                password,
                ..Login::default()
            },
            cluster: config.cluster_id(),
            shutdown_timeout: config.shutdown_timeout,
            is_ephemeral: arguments.ephemeral,
        })
    }

    /// Refuses if anything listens on a port that is needed.
    pub(super) fn check_ports(&self) -> Result<(), Failure> {
        let is_single = self.nodes.len() == 1;
        for node in &self.nodes {
            for (what, address) in [
                ("clients", &node.client),
                ("peers", &node.peer),
                ("metrics", &node.admin),
            ] {
                if is_single && what == "peers" {
                    continue;
                }
                if let Err(error) = TcpListener::bind((address.host.as_str(), address.port)) {
                    let reason = match error.kind() {
                        std::io::ErrorKind::AddrInUse => "is in use".to_owned(),
                        _ => format!("cannot be used ({error})"),
                    };
                    return Err(Failure::usage(format!(
                        "port {} ({what} of node {}) {reason}: stop what uses it, or choose other ports \
                         with --port BASE",
                        address.port, node.id
                    )));
                }
            }
        }
        Ok(())
    }

    /// Refuses if data is there that was made by other nodes. A node would refuse it too, but in words
    /// about flags that it was not given by the user. What else may be wrong is left to the node.
    pub(super) fn check_data(&self) -> Result<(), Failure> {
        let vfs = StdVfs::new();
        for node in &self.nodes {
            let data = node.directory.join(DEV_DATA_DIRECTORY);
            if let Ok(Some(identity)) = wal::data_dir::read_identity(&vfs, &data)
                && (identity.cluster, identity.node) != (self.cluster, node.id)
            {
                return Err(Failure::usage(format!(
                    "{} was made with other --nodes, --port or --cluster-name: use the same, or choose \
                     another --data-dir, or remove it",
                    self.directory.display()
                )));
            }
        }
        Ok(())
    }

    /// Makes the directories.
    pub(super) fn create_directory(&self) -> Result<(), Failure> {
        if self.is_ephemeral
            && std::fs::read_dir(&self.directory).is_ok_and(|mut entries| entries.next().is_some())
        {
            return Err(Failure::usage(format!(
                "{}: --ephemeral would remove what is in there already: name an empty directory, or none",
                self.directory.display()
            )));
        }
        for node in &self.nodes {
            std::fs::create_dir_all(&node.directory).map_err(|error| {
                Failure::usage(format!(
                    "{}: cannot create it: {error}",
                    node.directory.display()
                ))
            })?;
        }
        Ok(())
    }

    /// Removes what the run has left.
    pub(super) fn remove_directory(&self) {
        if let Err(error) = std::fs::remove_dir_all(&self.directory) {
            eprintln!(
                "quorate: {}: cannot remove it: {error}",
                self.directory.display()
            );
        }
    }

    /// Shows the nodes, and what to do now.
    pub(super) fn print_table(&self, nodes: &[Node], leader: u64) -> Result<(), Failure> {
        let header = ["NODE", "CLIENTS", "PEERS", "METRICS", "PID", "ROLE"];
        let mut lines = vec![header.map(str::to_owned).to_vec()];
        for (plan, node) in self.nodes.iter().zip(nodes) {
            let peer = if self.nodes.len() == 1 {
                "-".into()
            } else {
                plan.peer.to_string()
            };
            lines.push(vec![
                plan.id.to_string(),
                plan.client.to_string(),
                peer,
                format!("http://{}/metrics", plan.admin),
                node.process_id().to_string(),
                if plan.id == leader {
                    "leader".into()
                } else {
                    "follower".into()
                },
            ]);
        }
        let addresses: Vec<String> = self
            .nodes
            .iter()
            .map(|node| node.client.to_string())
            .collect();
        let list = addresses.join(",");
        let port = self.nodes[0].client.port;
        let login = if self.login.password.is_some() {
            " -a PASSWORD"
        } else {
            ""
        };
        let leader_process = nodes
            .iter()
            .find(|node| node.id() == leader)
            .map_or(0, Node::process_id);
        let text = format!(
            "\n{}\nlogs: {}/node-*/log\n\n  redis-cli -p {port}{login}\n  quorate cli --cluster {list}{login}\n  \
             quorate status --cluster {list}{login}\n  kill -9 {leader_process}   # the leader\n\n\
             Ctrl-C stops all nodes.\n",
            aligned(&lines),
            self.directory.display()
        );
        let mut output = std::io::stdout();
        output.write_all(text.as_bytes())?;
        output.flush()?;
        Ok(())
    }
}

/// Reads flags of `serve` that were given to all nodes.
fn parse_serve_flags(flags: &[String]) -> Result<ServeArguments, Failure> {
    let command = ServeArguments::augment_args(clap::Command::new("serve")).no_binary_name(true);
    let refuse = |error: clap::Error| {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        Failure::usage(format!(
            "after `--`: {}",
            line.trim_start_matches("error: ")
        ))
    };
    let matches = command.try_get_matches_from(flags).map_err(refuse)?;
    for setting in OWN_SETTINGS {
        if matches.contains_id(setting) {
            return Err(Failure::usage(format!(
                "after `--`: dev sets --{setting} itself, for each node: leave it out"
            )));
        }
    }
    ServeArguments::from_arg_matches(&matches).map_err(refuse)
}

/// Checks the configuration of every node, as each will itself, and returns that of the first.
fn check_configurations(nodes: &[NodePlan]) -> Result<Config, Failure> {
    let mut first = None;
    for node in nodes {
        // The children get no settings from the environment either.
        let config = node.arguments.load(|_| None).map_err(Failure::usage)?;
        first = first.or(Some(config));
    }
    Ok(first.expect("there is at least one node"))
}
