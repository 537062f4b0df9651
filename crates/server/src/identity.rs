//! Who this node is: by its configuration, or by the word of a cluster that it joined.
//!
//! The first members of a cluster are told by their configurations, which also make the cluster's id. A
//! node that joined has a CHARTER in its data directory; its configuration need say nothing of this, and
//! what it says must not contradict. So a second start needs no `--join`, and a directory of another
//! cluster is still refused.

use std::collections::BTreeMap;
use std::path::Path;

use raft::NodeId;
use vfs::Vfs;
use wal::{Charter, DataDirError};

use crate::config::{Config, Origin};
use crate::error::ServeError;

/// Who this node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The cluster's id.
    pub(crate) cluster: u64,
    /// The cluster's name.
    pub(crate) cluster_name: String,
    /// The node's id.
    pub(crate) node: u64,
    /// Peer addresses, this node's included: of the first members, or of those that a node which joined
    /// was told of.
    pub(crate) members: BTreeMap<NodeId, String>,
    /// Whether it joined a cluster that was there before.
    pub(crate) is_joined: bool,
}

impl Identity {
    /// Reads the CHARTER, if there is one, and compares the configuration with it.
    pub(crate) fn of(config: &Config, vfs: &dyn Vfs) -> Result<Identity, ServeError> {
        match Charter::read(vfs, &config.data_dir)? {
            None => Ok(Identity::configured(config)),
            Some(charter) if !charter.is_complete() => Err(ServeError::NotJoined {
                path: config.data_dir.clone(),
            }),
            Some(charter) => {
                check(config, &charter)?;
                Ok(Identity::chartered(config, charter))
            }
        }
    }

    fn configured(config: &Config) -> Identity {
        let members = config.members().into_iter();
        Identity {
            cluster: config.cluster_id(),
            cluster_name: config.cluster_name.clone(),
            node: config.node_id,
            members: members
                .map(|(id, address)| (NodeId(id), address.to_string()))
                .collect(),
            is_joined: false,
        }
    }

    fn chartered(config: &Config, charter: Charter) -> Identity {
        let is_joined = charter.is_joined();
        let members = charter.members.into_iter();
        let mut members: BTreeMap<NodeId, String> =
            members.map(|(id, address)| (NodeId(id), address)).collect();
        members.insert(NodeId(charter.node), config.reached_at().to_string());
        Identity {
            cluster: charter.cluster,
            cluster_name: charter.cluster_name,
            node: charter.node,
            members,
            is_joined,
        }
    }

    /// Where other nodes reach this one.
    pub(crate) fn peer_addr(&self) -> String {
        let address = self.members.get(&NodeId(self.node));
        address.cloned().unwrap_or_default()
    }
}

/// Refuses a configuration that says something else than the CHARTER.
fn check(config: &Config, charter: &Charter) -> Result<(), ServeError> {
    let path = || config.data_dir.clone();
    let is_said = |key| !matches!(config.origin(key), Origin::Default);
    if is_said("node-id") && config.node_id != charter.node {
        return Err(DataDirError::OtherNode {
            path: path(),
            found: charter.node,
            expected: config.node_id,
        }
        .into());
    }
    let is_former = charter.former_cluster != 0 && config.cluster_id() == charter.former_cluster;
    let other_name = is_said("cluster-name") && config.cluster_name != charter.cluster_name;
    let other_list = is_said("cluster") && config.cluster_id() != charter.cluster;
    if (other_name || other_list) && !is_former {
        return Err(DataDirError::OtherCluster {
            path: path(),
            found: charter.cluster,
            expected: config.cluster_id(),
        }
        .into());
    }
    Ok(())
}

/// The CHARTER of a data directory, for the tools that make one.
///
/// # Errors
/// If it cannot be read.
pub fn read_charter(data_dir: &Path) -> Result<Option<Charter>, DataDirError> {
    Charter::read(&vfs::StdVfs::new(), data_dir)
}

/// Whether a data directory has been used by a node.
///
/// # Errors
/// If that cannot be seen.
pub fn is_in_use(data_dir: &Path) -> Result<bool, DataDirError> {
    Ok(wal::data_dir::read_identity(&vfs::StdVfs::new(), data_dir)?.is_some())
}

/// Begins the CHARTER of a node that is to join, and is to listen for its peers at `peer_bind`: draws the
/// number under which it asks, durably.
///
/// # Errors
/// If no number can be drawn, or the disk does not take it.
pub fn begin_charter(data_dir: &Path, peer_bind: &str) -> Result<Charter, ServeError> {
    let mut drawn = [0; 8];
    getrandom::fill(&mut drawn).map_err(|error| ServeError::System {
        what: "draw random numbers",
        source: std::io::Error::other(error.to_string()),
    })?;
    let charter = Charter {
        token: u64::from_le_bytes(drawn).max(1),
        peer_bind: peer_bind.to_owned(),
        ..Charter::default()
    };
    write_charter(data_dir, &charter)?;
    Ok(charter)
}

/// Writes the CHARTER of a data directory, durably.
///
/// # Errors
/// If the disk does not take it.
pub fn write_charter(data_dir: &Path, charter: &Charter) -> Result<(), DataDirError> {
    charter.write(&vfs::StdVfs::new(), data_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(flags: &[(&str, &str)]) -> Config {
        let flags: Vec<(&str, String)> = flags
            .iter()
            .map(|(key, value)| (*key, (*value).to_owned()))
            .collect();
        Config::load(None, |_| None, &flags).expect("a configuration")
    }

    fn charter() -> Charter {
        Charter {
            token: 9,
            cluster: 77,
            node: 4,
            cluster_name: "orders".into(),
            members: vec![(1, "a:8001".into()), (4, "old:1".into())],
            ..Charter::default()
        }
    }

    fn identity(config: &Config, charter: Option<&Charter>) -> Result<Identity, ServeError> {
        let vfs = vfs::MemVfs::new(1);
        if let Some(charter) = charter {
            charter.write(&vfs, &config.data_dir).expect("room");
        }
        Identity::of(config, &vfs)
    }

    #[test]
    fn a_first_member_is_who_its_configuration_says() {
        let config = config(&[("cluster-name", "orders")]);
        let identity = identity(&config, None).expect("it says all");
        assert_eq!(identity.cluster, config.cluster_id());
        assert_eq!((identity.node, identity.is_joined), (1, false));
    }

    #[test]
    fn a_node_that_joined_is_who_it_was_told_and_listens_where_it_is_told_now() {
        let config = config(&[("peer-bind", "127.0.0.1:8004")]);
        let identity = identity(&config, Some(&charter())).expect("no contradiction");
        assert_eq!((identity.cluster, identity.node), (77, 4));
        assert_eq!(identity.cluster_name, "orders");
        assert_eq!(identity.peer_addr(), "127.0.0.1:8004");
        assert_eq!(identity.members[&NodeId(1)], "a:8001");
        assert!(identity.is_joined);
    }

    #[test]
    fn a_configuration_of_another_node_or_cluster_is_refused() {
        for flags in [
            &[("node-id", "5")][..],
            &[("cluster-name", "other")],
            &[("node-id", "4"), ("cluster", "4=127.0.0.1:1,5=127.0.0.1:2")],
        ] {
            let refused = identity(&config(flags), Some(&charter()));
            assert!(matches!(refused, Err(ServeError::DataDir(_))), "{flags:?}");
        }
        let same = [("node-id", "4"), ("cluster-name", "orders")];
        assert!(identity(&config(&same), Some(&charter())).is_ok());
    }

    #[test]
    fn a_new_cluster_made_out_of_an_old_one_goes_by_the_old_configuration() {
        let config = config(&[("node-id", "4"), ("cluster", "4=127.0.0.1:1,5=127.0.0.1:2")]);
        let charter = Charter {
            token: 0,
            former_cluster: config.cluster_id(),
            ..charter()
        };
        let identity = identity(&config, Some(&charter)).expect("it is the former one's");
        assert_eq!(identity.cluster, 77);
    }

    #[test]
    fn a_node_that_was_not_answered_does_not_start() {
        let asked = Charter {
            token: 9,
            ..Charter::default()
        };
        let refused = identity(&config(&[]), Some(&asked));
        assert!(matches!(refused, Err(ServeError::NotJoined { .. })));
    }
}
