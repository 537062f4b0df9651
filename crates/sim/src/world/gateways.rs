//! Connections between clients and the nodes that are their gateways.
//!
//! Bytes arrive in order, after a while. What was under way when the gateway's process died is lost.

use replica::{ClientId, ClientInfo, Output, Witness};

use crate::clients::Action;
use crate::report::TraceKind;
use crate::tape::{Site, SiteKind};
use crate::world::World;
use crate::world::queue::{Event, Replies};

/// A client's connection, or its absence.
#[derive(Debug, Default)]
pub(super) struct Connection {
    /// Rises each time the client connects or disconnects.
    pub(super) epoch: u32,
    pub(super) node: usize,
    /// The run of the node's process that accepted it.
    life: u32,
    session: Option<ClientId>,
    /// When the last bytes arrive, each way: later ones do not overtake them.
    to_gateway_us: u64,
    to_client_us: u64,
    /// What the gateway does not want to read yet.
    backlog: Vec<u8>,
    /// Of replies that wait in the session's output.
    witnesses: Vec<Witness>,
    /// The client does not read before.
    pub(super) reads_from_us: u64,
    /// It is to be disconnected when its output is written.
    is_closing: bool,
}

impl World {
    pub(super) fn carry_out_action(&mut self, action: Action) {
        match action {
            Action::Connect { client, node } => {
                if self.connections.len() <= client {
                    self.connections
                        .resize_with(client + 1, Connection::default);
                }
                self.leave(client);
                let connection = &mut self.connections[client];
                connection.node = node.0 as usize - 1;
                let epoch = connection.epoch;
                let at_us = self.arrives_at_gateway_us(client);
                self.queue
                    .push(at_us, Event::ClientConnect { client, epoch });
            }
            Action::Send { client, bytes } => {
                let epoch = self.connections[client].epoch;
                let at_us = self.arrives_at_gateway_us(client);
                let bytes = bytes.into_boxed_slice();
                self.queue.push(
                    at_us,
                    Event::ClientBytes {
                        client,
                        epoch,
                        bytes,
                    },
                );
            }
            Action::Disconnect { client } => self.leave(client),
            Action::Wake { client, at_us } => {
                self.queue
                    .push(at_us.max(self.now_us), Event::ClientWake { client });
            }
        }
    }

    /// A client drops its connection; the gateway hears of it later.
    fn leave(&mut self, client: usize) {
        let at_us = self.arrives_at_gateway_us(client);
        let connection = &mut self.connections[client];
        if let Some(session) = connection.session {
            let (node, life) = (connection.node, connection.life);
            self.queue.push(
                at_us,
                Event::ClientLeft {
                    node,
                    life,
                    session,
                },
            );
        }
        self.connections[client] = Connection {
            epoch: self.connections[client].epoch + 1,
            ..Connection::default()
        };
    }

    fn client_delay_us(&mut self, client: usize) -> u64 {
        let site = Site::new(SiteKind::ClientDelay, client);
        let mean_us = self.swarm.client_latency_us;
        mean_us + self.tape.below(site, mean_us)
    }

    fn arrives_at_gateway_us(&mut self, client: usize) -> u64 {
        let at_us = self.now_us + self.client_delay_us(client);
        let last_us = &mut self.connections[client].to_gateway_us;
        *last_us = at_us.max(*last_us);
        *last_us
    }

    fn arrives_at_client_us(&mut self, client: usize) -> u64 {
        let at_us = self.now_us + self.client_delay_us(client);
        let last_us = &mut self.connections[client].to_client_us;
        *last_us = at_us.max(*last_us);
        *last_us
    }

    /// When a paused gateway goes on; nothing if it is awake or gone.
    fn paused_until(&self, client: usize) -> Option<u64> {
        let until_us = self.nodes[self.connections[client].node].paused_until_us;
        (until_us > self.now_us).then_some(until_us)
    }

    pub(super) fn client_connects(&mut self, client: usize, epoch: u32) {
        if self.connections[client].epoch != epoch {
            return;
        }
        if let Some(at_us) = self.paused_until(client) {
            self.queue
                .push(at_us, Event::ClientConnect { client, epoch });
            return;
        }
        let node = self.connections[client].node;
        let now = self.nodes[node].clock.at(self.now_us);
        let info = ClientInfo {
            peer_addr: format!("127.0.0.1:{}", 20_000 + client),
            ..ClientInfo::default()
        };
        let life = self.nodes[node].life;
        let session = self.nodes[node]
            .process
            .as_mut()
            .and_then(|process| process.replica.client_connected(now, info));
        let at_us = self.arrives_at_client_us(client);
        let Some(session) = session else {
            self.queue.push(at_us, Event::ClientGone { client, epoch });
            return;
        };
        self.nodes[node].note_session(session, client);
        let connection = &mut self.connections[client];
        connection.session = Some(session);
        connection.life = life;
        self.queue.push(at_us, Event::ClientUp { client, epoch });
    }

    pub(super) fn client_is_up(&mut self, client: usize, epoch: u32) {
        if self.connections[client].epoch == epoch {
            self.with_clients(|clients, scene| clients.connected(client, scene));
        }
    }

    pub(super) fn client_sends(&mut self, client: usize, epoch: u32, bytes: &[u8]) {
        let connection = &mut self.connections[client];
        let Some(session) = connection.session.filter(|_| connection.epoch == epoch) else {
            return;
        };
        connection.backlog.extend_from_slice(bytes);
        self.feed(client, session);
    }

    /// Hands the replica what a client has sent, if it wants it.
    fn feed(&mut self, client: usize, session: ClientId) {
        let node = self.connections[client].node;
        let is_awake = self.nodes[node].is_awake(self.now_us);
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        if !is_awake {
            // The pause's end feeds it.
            return;
        }
        if self.connections[client].backlog.is_empty()
            || !process.replica.client_wants_input(session)
        {
            return;
        }
        let bytes = std::mem::take(&mut self.connections[client].backlog);
        self.input(node, |replica, now| {
            replica.client_received(now, session, &bytes);
        });
    }

    /// Feeds all clients of a node that wakes up.
    pub(super) fn feed_all(&mut self, node: usize) {
        for client in 0..self.connections.len() {
            let connection = &self.connections[client];
            if connection.node == node
                && let Some(session) = connection.session
            {
                self.feed(client, session);
            }
        }
    }

    pub(super) fn client_left(&mut self, node: usize, life: u32, session: ClientId) {
        if self.process(node, life).is_some() {
            self.nodes[node].forget_session(session);
            self.input(node, |replica, _| replica.client_disconnected(session));
        }
    }

    /// The client whose connection a session of a node is: nobody's, if the client has left and the
    /// node has yet to hear of it.
    fn client_at(&self, node: usize, session: ClientId) -> Option<usize> {
        let client = self.nodes[node].client_of(session)?;
        let connection = &self.connections[client];
        (connection.node == node && connection.session == Some(session)).then_some(client)
    }

    /// What a turn of a node does for its clients.
    pub(super) fn carry_out_for_clients(&mut self, node: usize, output: &mut Output) {
        for witness in output.witnesses.drain(..) {
            if let Some(client) = self.client_at(node, witness.client) {
                self.connections[client].witnesses.push(witness);
            }
        }
        for session in output.flush.drain(..) {
            if let Some(client) = self.client_at(node, session) {
                self.flush(client, session);
            } else if self.operator.has(node, session) {
                self.operator_hears(node, session);
            }
        }
        for session in output.close.drain(..) {
            if let Some(client) = self.client_at(node, session) {
                self.connections[client].is_closing = true;
                self.flush(client, session);
            }
        }
        for session in output.resumed.drain(..) {
            if let Some(client) = self.client_at(node, session) {
                self.feed(client, session);
            }
        }
    }

    /// Sends a client what waits for it.
    fn flush(&mut self, client: usize, session: ClientId) {
        let connection = &self.connections[client];
        let (node, epoch) = (connection.node, connection.epoch);
        let reads_from_us = connection.reads_from_us;
        if connection.session != Some(session) {
            return;
        }
        if reads_from_us > self.now_us {
            self.queue
                .push(reads_from_us, Event::ClientReads { client, epoch });
            return;
        }
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        let bytes = process.replica.client_output(session).to_vec();
        if !bytes.is_empty() {
            process.replica.client_written(session, bytes.len());
            let witnesses = std::mem::take(&mut self.connections[client].witnesses);
            self.note(client as u64, bytes.len() as u64);
            self.note_bytes(&bytes);
            let at_us = self.arrives_at_client_us(client);
            let reply = Box::new(Replies { bytes, witnesses });
            self.queue.push(
                at_us,
                Event::ClientReply {
                    client,
                    epoch,
                    reply,
                },
            );
        }
        if self.connections[client].is_closing {
            self.end_session(client);
        }
    }

    /// The gateway closes a connection.
    fn end_session(&mut self, client: usize) {
        let connection = &mut self.connections[client];
        let (node, epoch) = (connection.node, connection.epoch);
        let Some(session) = connection.session.take() else {
            return;
        };
        self.nodes[node].forget_session(session);
        if let Some(process) = &mut self.nodes[node].process {
            process.replica.client_disconnected(session);
        }
        let at_us = self.arrives_at_client_us(client);
        self.queue.push(at_us, Event::ClientGone { client, epoch });
    }

    pub(super) fn client_hears(&mut self, client: usize, epoch: u32, reply: &Replies) {
        if self.connections[client].epoch != epoch {
            return;
        }
        self.with_clients(|clients, scene| {
            clients.received(client, &reply.bytes, &reply.witnesses, scene);
        });
        if let Some(violation) = self.clients.violation() {
            self.fail(violation);
        }
    }

    pub(super) fn client_reads(&mut self, client: usize, epoch: u32) {
        let connection = &self.connections[client];
        let node = connection.node;
        let Some(session) = connection.session.filter(|_| connection.epoch == epoch) else {
            return;
        };
        self.flush(client, session);
        // What was written makes room for more of its requests.
        self.input(node, |_, _| {});
    }

    pub(super) fn client_is_gone(&mut self, client: usize, epoch: u32) {
        if self.connections[client].epoch != epoch {
            return;
        }
        self.connections[client].epoch += 1;
        self.connections[client].session = None;
        self.connections[client].backlog.clear();
        self.show_client(client, "cut off");
        self.with_clients(|clients, scene| clients.disconnected(client, scene));
    }

    /// The process of a node has ended: its clients find their connections reset.
    pub(super) fn drop_clients_of(&mut self, node: usize) {
        self.nodes[node].sessions.clear();
        for client in 0..self.connections.len() {
            let connection = &mut self.connections[client];
            if connection.node != node || connection.session.take().is_none() {
                continue;
            }
            connection.backlog.clear();
            connection.witnesses.clear();
            let epoch = connection.epoch;
            let at_us = self.arrives_at_client_us(client);
            self.queue.push(at_us, Event::ClientGone { client, epoch });
        }
    }

    fn show_client(&mut self, client: usize, text: &str) {
        let node = raft::NodeId(self.connections[client].node as u64 + 1);
        self.show(|| TraceKind::Client {
            client,
            node,
            text: text.to_owned(),
        });
    }
}
