//! `quorate serve --join`: becoming a member of a cluster that is there.
//!
//! The node draws a number, remembers it in its data directory, and asks the cluster for an id under it.
//! What it is told goes into the directory too, before the node starts. So a join that was interrupted
//! anywhere is repeated by the same command, and gets the same id.

use clap::Args;
use resp::Value;
use server::config::{Address, Config, Origin};
use wal::Charter;

use crate::{
    admin::Admin,
    failure::Failure,
    login::{Login, LoginArguments},
};

/// What `quorate serve` is told about joining.
#[derive(Debug, Default, Clone, Args)]
pub(crate) struct JoinArguments {
    /// Join the cluster that has a node at this client address (any of its nodes). The first start
    /// needs it, later ones ignore it.
    #[arg(long, value_name = "HOST:PORT", help_heading = "Joining a cluster")]
    join: Option<Address>,
    /// With --join: take the place of this member, which does not come back.
    #[arg(
        long,
        value_name = "ID",
        requires = "join",
        help_heading = "Joining a cluster"
    )]
    replace: Option<u64>,
    /// With --join: get no vote before QUORATE PROMOTE gives one.
    #[arg(
        long,
        requires = "join",
        conflicts_with = "replace",
        help_heading = "Joining a cluster"
    )]
    learner: bool,
    /// Who this node is to the cluster while it asks.
    #[command(flatten, next_help_heading = "Joining a cluster")]
    login: LoginArguments,
}

impl JoinArguments {
    /// Joins, if that is asked for and was not done yet. Returns the peer address that the configuration
    /// has to be given, if it does not say one and the node was told one before.
    pub(crate) fn prepare(&self, config: &Config) -> Result<Option<String>, Failure> {
        let dir = &config.data_dir;
        let charter = server::read_charter(dir).map_err(Failure::usage)?;
        let is_done = charter.as_ref().is_some_and(Charter::is_complete);
        let is_used = server::is_in_use(dir).map_err(Failure::usage)?;
        match &self.join {
            Some(_) if is_used && charter.is_none() => Err(Failure::usage(format!(
                "{}: belongs to a node that did not join: start it without --join, or choose another \
                 --data-dir",
                dir.display()
            ))),
            Some(_) if !config.cluster.is_empty() => Err(Failure::usage(
                "--join and --cluster exclude each other: a node that joins is told who the members are",
            )),
            Some(_) if !is_done && config.origin("node-id") != &Origin::Default => {
                Err(Failure::usage(format!(
                    "--join and node-id = {} ({}) exclude each other: the cluster chooses the id of a node that \
                     joins; leave node-id out",
                    config.node_id,
                    config.origin("node-id")
                )))
            }
            Some(address) if !is_done => {
                let bind = config.peer_address().to_string();
                let charter = charter.map_or_else(|| server::begin_charter(dir, &bind), Ok);
                let charter = charter.map_err(Failure::running)?;
                self.join(config, address, charter)?;
                Ok(config.peer_bind.is_none().then_some(bind))
            }
            _ => Ok(charter
                .filter(|charter| charter.is_joined() && config.peer_bind.is_none())
                .map(|charter| charter.peer_bind)
                .filter(|bind| !bind.is_empty())),
        }
    }

    fn join(&self, config: &Config, address: &Address, charter: Charter) -> Result<(), Failure> {
        let peer_addr = config.reached_at().to_string();
        let token = format!("{:016x}", charter.token);
        let mut request = vec!["QUORATE", "JOIN", &peer_addr, &token];
        let replaced = self.replace.map(|id| id.to_string());
        if let Some(replaced) = &replaced {
            request.extend(["REPLACE", replaced]);
        }
        if self.learner {
            request.push("LEARNER");
        }
        let levels = config.feature_levels();
        let levels = [levels.least, levels.newest].map(|level| level.to_string());
        request.extend(["LEVELS", &levels[0], &levels[1]]);
        eprintln!("quorate: asking the cluster at {address} for an id, as {peer_addr}");
        let mut admin = Admin::new(vec![address.clone()], self.login(config)?);
        let reply = admin.ask(&request, true)?;
        let charter = answered(&reply, charter, &peer_addr).ok_or_else(|| {
            Failure::running(format!(
                "{} gave an answer that is not understood: is it of another release?",
                admin.seed()
            ))
        })?;
        server::write_charter(&config.data_dir, &charter).map_err(Failure::running)?;
        eprintln!(
            "quorate: this is node {} of cluster {}; it catches up now, and votes when it has",
            charter.node, charter.cluster_name
        );
        Ok(())
    }

    /// Clients' passwords are usually the same on all nodes.
    fn login(&self, config: &Config) -> Result<Login, Failure> {
        let mut login = self.login.login()?;
        if login.password.is_none() {
            let own = config.requirepass.as_ref();
            login.password = own.map(|password| password.expose().as_bytes().to_vec());
        }
        Ok(login)
    }
}

/// The charter with what the cluster has answered: id, cluster id, its name, and the other members with
/// their addresses.
fn answered(reply: &Value, charter: Charter, peer_addr: &str) -> Option<Charter> {
    let [id, cluster, name, members] = reply.as_slice()? else {
        return None;
    };
    let text = |value: &Value| Some(String::from_utf8_lossy(value.as_bytes()?).into_owned());
    let node = u64::try_from(id.as_integer()?).ok()?;
    let mut addresses = vec![(node, peer_addr.to_owned())];
    for pair in members.as_slice()?.chunks_exact(2) {
        let id = u64::try_from(pair[0].as_integer()?).ok()?;
        addresses.push((id, text(&pair[1])?));
    }
    Some(Charter {
        cluster: u64::from_str_radix(&text(cluster)?, 16).ok()?,
        node,
        cluster_name: text(name)?,
        members: addresses,
        ..charter
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_cluster_answers_becomes_the_charter() {
        let word = |text: &str| Value::Bulk(text.into());
        let reply = Value::Array(vec![
            Value::Integer(4),
            word("00000000000000ff"),
            word("orders"),
            Value::Array(vec![Value::Integer(1), word("h:8001")]),
        ]);
        let asked = Charter {
            token: 9,
            ..Charter::default()
        };
        let charter = answered(&reply, asked.clone(), "h:8004").expect("an answer");
        assert_eq!((charter.node, charter.cluster, charter.token), (4, 255, 9));
        let members = [(4, "h:8004".to_owned()), (1, "h:8001".to_owned())];
        assert_eq!(charter.members, members);
        assert_eq!(answered(&Value::Null, asked, "h:8004"), None);
    }
}
