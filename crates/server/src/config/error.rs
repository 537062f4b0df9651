//! What can be wrong with a configuration: each as one line that says what, where, and what to do.

use std::path::PathBuf;

use super::{Address, Origin};

/// Why a configuration is refused. The fault is the caller's in every case, so the exit code is 2.
/// Boxed, so that the results which carry it stay small.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct ConfigError(Box<Problem>);

impl ConfigError {
    /// What is wrong.
    pub fn problem(&self) -> &Problem {
        &self.0
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The configuration file cannot be read.
    #[error("{}: cannot read the configuration file: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The configuration file is not TOML.
    #[error("{}:{line}: not TOML: {reason}", path.display())]
    NotToml {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser said.
        reason: String,
    },
    /// No setting has this name.
    #[error("{}:{line}: no setting is called {key:?}{}", path.display(), advice(*nearest))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The name.
        key: String,
        /// A setting with a name like it.
        nearest: Option<&'static str>,
    },
    /// A value cannot be read.
    #[error("{origin}: {key} = {value:?}{}", judged(expected))]
    BadValue {
        /// The setting.
        key: &'static str,
        /// The text that was given; hidden for a password.
        value: String,
        /// Where it was given.
        origin: Origin,
        /// What it is not, and what to write.
        expected: String,
    },
    /// A value is out of its range.
    #[error("{origin}: {key} = {value} is out of range: choose from {minimum} to {maximum}")]
    OutOfRange {
        /// The setting.
        key: &'static str,
        /// Its value.
        value: String,
        /// Where it was given.
        origin: Origin,
        /// The smallest value.
        minimum: String,
        /// The largest value.
        maximum: String,
    },
    /// Two settings do not go together because one must be larger.
    #[error(
        "{key} = {value} ({origin}) is too small beside {other} = {other_value} ({other_origin}): \
         make it at least {least}"
    )]
    TooSmallBeside {
        /// The setting that is too small.
        key: &'static str,
        /// Its value.
        value: String,
        /// Where it was given.
        origin: Origin,
        /// The setting that it depends on.
        other: &'static str,
        /// The value of that one.
        other_value: String,
        /// Where that one was given.
        other_origin: Origin,
        /// The least value that would do.
        least: String,
    },
    /// The node is not a member of its own cluster.
    #[error(
        "node-id = {node} ({node_origin}) is not in cluster ({cluster_origin}), which has {members}: \
         use one of these ids, or list this node"
    )]
    NotAMember {
        /// The node's id.
        node: u64,
        /// Where it was given.
        node_origin: Origin,
        /// Where the cluster was given.
        cluster_origin: Origin,
        /// The ids that are in it.
        members: String,
    },
    /// The node listens for peers elsewhere than they look for it.
    #[error(
        "{key} = {address} ({origin}) is not where cluster ({cluster_origin}) has node {node}, \
         {listed}: make them equal, or set advertise-peer = {listed} if that address leads here"
    )]
    PeerAddressDiffers {
        /// `peer-bind` or `advertise-peer`.
        key: &'static str,
        /// Its value.
        address: Address,
        /// Where it was given.
        origin: Origin,
        /// Where the cluster was given.
        cluster_origin: Origin,
        /// The node's id.
        node: u64,
        /// The node's address in the cluster.
        listed: Address,
    },
    /// One port is asked to serve two things.
    #[error(
        "{first} = {address} ({first_origin}) and {second} ({second_origin}) are the same address: \
         give each its own port"
    )]
    SameAddress {
        /// A setting.
        first: &'static str,
        /// Where it was given.
        first_origin: Origin,
        /// Another setting.
        second: &'static str,
        /// Where that was given.
        second_origin: Origin,
        /// The address of both.
        address: Address,
    },
    /// Clients of other machines could do anything.
    #[error(
        "bind = {address} ({origin}) can be reached by other machines, and nothing protects it: set \
         requirepass or tls-client-auth = \"required\", or bind to 127.0.0.1 (protected-mode = \"no\" \
         allows it as it is)"
    )]
    UnprotectedClients {
        /// The address.
        address: Address,
        /// Where it was given.
        origin: Origin,
    },
    /// Peers of other machines could do anything.
    #[error(
        "peer-bind = {address} ({origin}) can be reached by other machines, and nothing protects it: \
         set peer-tls-cert, peer-tls-key and peer-tls-ca, or use 127.0.0.1 (protected-mode = \"no\" \
         allows it as it is)"
    )]
    UnprotectedPeers {
        /// The address.
        address: Address,
        /// Where it was given.
        origin: Origin,
    },
    /// A setting of TLS needs another that is not set.
    #[error("{key} ({origin}) needs {missing}, which is not set: set it, or take {key} away")]
    TlsIncomplete {
        /// The setting that was given.
        key: &'static str,
        /// Where it was given.
        origin: Origin,
        /// The setting that is missing.
        missing: &'static str,
    },
    /// The password was given twice.
    #[error(
        "the password is given by both requirepass ({direct}) and requirepass-file ({file}): keep one"
    )]
    PasswordTwice {
        /// Where the file was named.
        file: Origin,
        /// Where the password itself was given.
        direct: Origin,
    },
    /// The file of the password is of no use.
    #[error("{origin}: cannot take the password from {}: {reason}", path.display())]
    PasswordFile {
        /// Where the file was named.
        origin: Origin,
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

fn advice(nearest: Option<&'static str>) -> String {
    match nearest {
        Some(name) => format!(": did you mean {name:?}?"),
        None => ": see `quorate serve --help` for all of them".to_owned(),
    }
}

/// How a complaint about a value is put behind it: `is not a count`, or a sentence of its own.
pub(super) fn judged(expected: &str) -> String {
    let continues = ["not ", "none ", "neither "];
    match continues.iter().any(|start| expected.starts_with(start)) {
        true => format!(" is {expected}"),
        false => format!(": {expected}"),
    }
}
