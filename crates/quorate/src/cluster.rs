//! A cluster as a client sees it: some addresses, one of which answers.
//!
//! Any node serves any command, so following the cluster means no more than finding a node that
//! lives: first the one that was used last, then the addresses that were given, then those that a
//! node told (CLUSTER NODES), and again, until the patience is over.

use std::time::{Duration, Instant};

use resp::Value;
use server::config::Address;

use crate::{
    client::{ClientError, Connection},
    login::Login,
};

/// How long a single attempt to connect may take, and the answer to a greeting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait before all addresses are tried again.
const ROUND_PAUSE: Duration = Duration::from_millis(100);

/// The nodes of a cluster and the connection to one of them.
pub(crate) struct Cluster {
    /// Addresses to try, those that were given first. Invariant: not empty, no address twice.
    addresses: Vec<Address>,
    /// Position in `addresses` of the node used last.
    last: usize,
    /// Who we are to every node.
    login: Login,
    connection: Option<Connection>,
}

impl Cluster {
    /// A cluster of which these addresses are known. `addresses` is not empty.
    pub(crate) fn new(addresses: Vec<Address>, login: Login) -> Self {
        assert!(!addresses.is_empty(), "a cluster has at least one address");
        Self {
            addresses,
            last: 0,
            login,
            connection: None,
        }
    }

    /// The connection, made if there is none. Tries all addresses until `patience` is over, once at
    /// least. Nothing that the caller has to say was sent when this fails.
    pub(crate) fn connect(&mut self, patience: Duration) -> Result<&mut Connection, ClientError> {
        if self.connection.as_ref().is_some_and(Connection::is_closed) {
            self.connection = None;
        }
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.find_node(patience)?,
        };
        Ok(self.connection.insert(connection))
    }

    /// The connection, if there is one.
    pub(crate) fn connection(&mut self) -> Option<&mut Connection> {
        self.connection.as_mut()
    }

    /// Gives the connection up. The next one is tried elsewhere first.
    pub(crate) fn abandon(&mut self) {
        self.connection = None;
        self.last = (self.last + 1) % self.addresses.len();
    }

    /// Closes the connection; the next one is tried at the same node first.
    pub(crate) fn close(&mut self) {
        self.connection = None;
    }

    /// The node in use, or used last.
    pub(crate) fn address(&self) -> &Address {
        &self.addresses[self.last]
    }

    /// All addresses that are known.
    pub(crate) fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Whether there is a connection, as far as is known.
    pub(crate) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Who we are, for changes that commands make to it.
    pub(crate) fn login_mut(&mut self) -> &mut Login {
        &mut self.login
    }

    /// Who we are.
    pub(crate) fn login(&self) -> &Login {
        &self.login
    }

    fn find_node(&mut self, patience: Duration) -> Result<Connection, ClientError> {
        let started = Instant::now();
        let mut first_failure = None;
        loop {
            for step in 0..self.addresses.len() {
                let position = (self.last + step) % self.addresses.len();
                match self.greet(&self.addresses[position]) {
                    Ok((connection, named)) => {
                        self.last = position;
                        self.add_addresses(named);
                        return Ok(connection);
                    }
                    // A wrong password is wrong at every node, and will be in a second.
                    Err(error) if error.is_of_the_login() => return Err(error),
                    Err(error) => first_failure = first_failure.or(Some(error)),
                }
            }
            if started.elapsed() + ROUND_PAUSE >= patience {
                return Err(first_failure.expect("at least one address was tried"));
            }
            std::thread::sleep(ROUND_PAUSE);
        }
    }

    /// Connects to a node and asks it for the addresses of the others, which shows that it answers at
    /// all: one that is stopped takes connections too. A server without CLUSTER names nobody.
    fn greet(&self, address: &Address) -> Result<(Connection, Vec<Address>), ClientError> {
        let mut connection = Connection::open(address, &self.login, CONNECT_TIMEOUT)?;
        let nodes = connection.call(&["CLUSTER", "NODES"], CONNECT_TIMEOUT)?;
        Ok((connection, addresses_of(&nodes)))
    }

    fn add_addresses(&mut self, named: Vec<Address>) {
        for address in named {
            if !self.addresses.contains(&address) {
                self.addresses.push(address);
            }
        }
    }
}

/// The addresses in a reply of CLUSTER NODES, whose lines are `id host:port@peer-port[,name] flags …`:
/// those of nodes that are down too, which CLUSTER SLOTS leaves out. What is not of that form is
/// passed over.
pub(crate) fn addresses_of(nodes: &Value) -> Vec<Address> {
    let text = String::from_utf8_lossy(nodes.as_bytes().unwrap_or_default());
    let mut addresses = Vec::new();
    for line in text.lines() {
        let Some(field) = line.split(' ').nth(1) else {
            continue;
        };
        let address = field
            .split('@')
            .next()
            .and_then(|address| address.parse().ok());
        if let Some(address) = address.filter(|address: &Address| address.port != 0)
            && !addresses.contains(&address)
        {
            addresses.push(address);
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_from_cluster_nodes_and_nothing_else() {
        let text = "a1 127.0.0.1:7001@8001 myself,master - 0 0 1 connected 0-16383\n\
                    a2 127.0.0.1:7002@8002,name slave,fail a1 0 0 1 disconnected\n\
                    a3 :0@0 slave,noaddr a1 0 0 1 disconnected\n\
                    a4 127.0.0.1:7001@8001 slave a1 0 0 1 connected\nnonsense\n";
        let expected = [
            Address::new("127.0.0.1", 7001),
            Address::new("127.0.0.1", 7002),
        ];
        assert_eq!(addresses_of(&Value::Bulk(text.into())), expected);
        assert!(addresses_of(&Value::Error(b"ERR no".to_vec())).is_empty());
    }
}
