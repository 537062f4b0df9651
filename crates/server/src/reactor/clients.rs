//! Client connections: sockets in, sockets out. What the bytes mean is the replica's business.
//!
//! A connection is read at most once a turn, into one buffer that all share, and written at most
//! once a turn, from the output that the replica keeps for it. Nothing is allocated per command,
//! and the connections that have more to read wait in line, so that one busy pipeline cannot starve
//! the others.

use std::collections::VecDeque;
use std::io;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use mio::Registry;
use mio::event::Event;
use mio::net::TcpStream;
use replica::{ClientId, ClientInfo, Now, Replica};
use tracing::{debug, info, warn};

use crate::listener::set_client_options;
use crate::tokens::Source;
use crate::transport::Transport;

/// What Redis says to a client beyond `maxclients`.
const TOO_MANY_CLIENTS: &[u8] = b"-ERR max number of clients reached\r\n";

/// How long a client that has ended its half of the connection may take to read the replies it is
/// still owed (`printf 'SET k v\r\n' | nc -N`), and how long one that is to be closed may take to
/// read its last.
const LINGER_US: u64 = 60_000_000;
const CLOSE_TIMEOUT_US: u64 = 2_000_000;

/// Bounds on what may wait for a client that does not read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutputLimits {
    /// Closed at once beyond this.
    pub(crate) hard_bytes: usize,
    /// Closed when it has been beyond this for `soft_us`.
    pub(crate) soft_bytes: usize,
    /// See `soft_bytes`.
    pub(crate) soft_us: u64,
}

/// All client connections, by the slot of their id.
#[derive(Debug)]
pub(crate) struct Clients {
    connections: Vec<Option<Connection>>,
    /// Slots whose sockets may have something to read.
    readable: VecDeque<usize>,
    /// Slots that time may end: lingering, closing, or beyond the soft limit.
    watched: Vec<usize>,
    limits: OutputLimits,
    tls: Option<Arc<rustls::ServerConfig>>,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
}

#[derive(Debug)]
struct Connection {
    id: ClientId,
    transport: Transport,
    is_readable: bool,
    is_writable: bool,
    /// The client has ended its half, or the socket is broken.
    is_read_closed: bool,
    /// Stands in `readable`.
    is_queued: bool,
    /// Stands in `watched`.
    is_watched: bool,
    /// Ends when its output is written, at the latest at this time.
    close_by_us: Option<u64>,
    /// Since when its output has been beyond the soft limit.
    soft_since_us: Option<u64>,
}

/// Whether a connection goes on.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Stays,
    Ends,
}

impl Clients {
    pub(crate) fn new(limits: OutputLimits, tls: Option<Arc<rustls::ServerConfig>>) -> Clients {
        Clients {
            connections: Vec::new(),
            readable: VecDeque::new(),
            watched: Vec::new(),
            limits,
            tls,
            received_bytes: 0,
            sent_bytes: 0,
        }
    }

    /// Takes in a connection, if the replica does.
    pub(crate) fn accept(
        &mut self,
        registry: &Registry,
        replica: &mut Replica,
        now: Now,
        socket: TcpStream,
        address: SocketAddr,
    ) {
        if let Err(error) = self.try_accept(registry, replica, now, socket, address) {
            debug!(client = %address, %error, "a client was gone before it was accepted");
        }
    }

    /// Takes note of an edge.
    pub(crate) fn set_ready(
        &mut self,
        registry: &Registry,
        replica: &mut Replica,
        now: Now,
        slot: usize,
        event: &Event,
    ) {
        let Some(Some(connection)) = self.connections.get_mut(slot) else {
            return;
        };
        // Both directions are gone: nobody is there to read a reply. Seen here because a client
        // that is not being read, for backpressure, would not be noticed otherwise.
        if event.is_error() || (event.is_read_closed() && event.is_write_closed()) {
            self.end(registry, replica, slot);
            return;
        }
        connection.is_read_closed |= event.is_read_closed();
        connection.is_readable |= event.is_readable() || event.is_read_closed();
        if connection.is_readable && !connection.is_queued {
            connection.is_queued = true;
            self.readable.push_back(slot);
        }
        if event.is_writable() && !connection.is_writable {
            connection.is_writable = true;
            let id = connection.id;
            self.write(registry, replica, now, id);
        }
    }

    /// Reads every connection in line once.
    pub(crate) fn read_all(
        &mut self,
        registry: &Registry,
        replica: &mut Replica,
        now: Now,
        scratch: &mut [u8],
    ) {
        for _ in 0..self.readable.len() {
            let Some(slot) = self.readable.pop_front() else {
                return;
            };
            if self.read(replica, now, slot, scratch) == Fate::Ends {
                self.end(registry, replica, slot);
            }
        }
    }

    /// Whether a turn is wanted without waiting for an event.
    pub(crate) fn has_work(&self) -> bool {
        !self.readable.is_empty()
    }

    /// The replica takes input from this client again.
    pub(crate) fn resume(&mut self, id: ClientId) {
        if let Some(connection) = self.find(id)
            && connection.is_readable
            && !connection.is_queued
        {
            connection.is_queued = true;
            self.readable.push_back(id.slot());
        }
    }

    /// Writes what the replica has for this client, as far as the socket takes it.
    pub(crate) fn write(
        &mut self,
        registry: &Registry,
        replica: &mut Replica,
        now: Now,
        id: ClientId,
    ) {
        let limits = self.limits;
        let Some(connection) = self.find(id) else {
            return;
        };
        let mut sent = 0;
        let result = connection.write(replica, &mut sent);
        let waiting = replica.client_output(id).len();
        let is_done = waiting == 0 && !connection.transport.wants_write();
        let fate = match result {
            Err(_) => Fate::Ends,
            Ok(()) if is_done && connection.close_by_us.is_some() => {
                // A half-closed client may be owed more replies. One that the replica closes is owed
                // nothing.
                match connection.is_read_closed && !replica.client_is_idle(id) {
                    true => Fate::Stays,
                    false => Fate::Ends,
                }
            }
            Ok(()) => {
                let is_subscriber = replica.client_is_subscriber(id);
                connection.judge_output(waiting, sent, is_subscriber, limits, now)
            }
        };
        let is_to_watch = connection.soft_since_us.is_some() && !connection.is_watched;
        connection.is_watched |= is_to_watch;
        self.sent_bytes += sent;
        if fate == Fate::Ends {
            self.end(registry, replica, id.slot());
        } else if is_to_watch {
            self.watched.push(id.slot());
        }
    }

    /// Ends a connection once its output is written.
    pub(crate) fn close(
        &mut self,
        registry: &Registry,
        replica: &mut Replica,
        now: Now,
        id: ClientId,
    ) {
        let Some(connection) = self.find(id) else {
            return;
        };
        connection.is_read_closed = false;
        connection.close_by_us = Some(now.mono_us + CLOSE_TIMEOUT_US);
        let is_to_watch = !connection.is_watched;
        connection.is_watched = true;
        if is_to_watch {
            self.watched.push(id.slot());
        }
        self.write(registry, replica, now, id);
    }

    /// Ends what time has run out for. Called every tick; looks only at connections under watch.
    pub(crate) fn tick(&mut self, registry: &Registry, replica: &mut Replica, now: Now) {
        let mut watched = std::mem::take(&mut self.watched);
        watched.retain(|&slot| {
            let Some(Some(connection)) = self.connections.get_mut(slot) else {
                return false;
            };
            let is_owed_nothing =
                connection.is_read_closed && replica.client_is_idle(connection.id);
            if is_owed_nothing || connection.is_overdue(self.limits, now) {
                debug!(client = ?connection.id, "a connection is over, or has run out of time");
                self.end(registry, replica, slot);
                return false;
            }
            let is_to_keep = connection.close_by_us.is_some() || connection.soft_since_us.is_some();
            connection.is_watched = is_to_keep;
            is_to_keep
        });
        self.watched.append(&mut watched);
    }

    /// Ends all connections, giving each the chance to take what is written for it.
    pub(crate) fn close_all(&mut self, registry: &Registry, replica: &mut Replica, now: Now) {
        for slot in 0..self.connections.len() {
            let Some(connection) = &self.connections[slot] else {
                continue;
            };
            let id = connection.id;
            self.write(registry, replica, now, id);
            self.end(registry, replica, slot);
        }
    }

    fn try_accept(
        &mut self,
        registry: &Registry,
        replica: &mut Replica,
        now: Now,
        mut socket: TcpStream,
        address: SocketAddr,
    ) -> io::Result<()> {
        set_client_options(&socket)?;
        let info = ClientInfo {
            peer_addr: address.to_string(),
            local_addr: socket.local_addr()?.to_string(),
            tls: self.tls.is_some(),
        };
        let Some(id) = replica.client_connected(now, info) else {
            if self.tls.is_none() {
                // What the socket does not take at once is not worth keeping it for.
                let _ = socket.write(TOO_MANY_CLIENTS);
            }
            return Ok(());
        };
        let registered = Transport::accept(socket, self.tls.as_ref()).and_then(|mut transport| {
            transport.register(registry, Source::Client(id.slot()).token())?;
            Ok(transport)
        });
        let transport = registered.inspect_err(|_| replica.client_disconnected(id))?;
        let slot = id.slot();
        if self.connections.len() <= slot {
            self.connections.resize_with(slot + 1, || None);
        }
        self.connections[slot] = Some(Connection {
            id,
            transport,
            is_readable: false,
            // A socket that has just been accepted takes what a greeting needs; saves an edge.
            is_writable: true,
            is_read_closed: false,
            is_queued: false,
            is_watched: false,
            close_by_us: None,
            soft_since_us: None,
        });
        Ok(())
    }

    fn read(&mut self, replica: &mut Replica, now: Now, slot: usize, scratch: &mut [u8]) -> Fate {
        let Some(Some(connection)) = self.connections.get_mut(slot) else {
            return Fate::Stays;
        };
        connection.is_queued = false;
        if connection.close_by_us.is_some() || !replica.client_wants_input(connection.id) {
            return Fate::Stays;
        }
        match connection.transport.read(scratch) {
            Ok(0) => {
                connection.is_readable = false;
                connection.is_read_closed = true;
                if replica.client_is_idle(connection.id) {
                    return Fate::Ends;
                }
                connection.close_by_us = Some(now.mono_us + LINGER_US);
                if !connection.is_watched {
                    connection.is_watched = true;
                    self.watched.push(slot);
                }
                Fate::Stays
            }
            Ok(count) => {
                self.received_bytes += count as u64;
                let is_short = count < scratch.len() && !connection.is_read_closed;
                if is_short && connection.transport.short_read_is_empty() {
                    connection.is_readable = false;
                } else {
                    connection.is_queued = true;
                    self.readable.push_back(slot);
                }
                replica.client_received(now, connection.id, &scratch[..count]);
                Fate::Stays
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                connection.is_readable = false;
                Fate::Stays
            }
            Err(error) => {
                debug!(client = ?connection.id, %error, "a client's connection broke");
                Fate::Ends
            }
        }
    }

    fn end(&mut self, registry: &Registry, replica: &mut Replica, slot: usize) {
        let connection = self.connections.get_mut(slot).and_then(Option::take);
        let Some(mut connection) = connection else {
            return;
        };
        replica.client_disconnected(connection.id);
        connection.transport.close();
        let _ = connection.transport.deregister(registry);
    }

    fn find(&mut self, id: ClientId) -> Option<&mut Connection> {
        let connection = self.connections.get_mut(id.slot())?.as_mut()?;
        (connection.id == id).then_some(connection)
    }
}

impl Connection {
    /// Writes until the output is gone or the socket is full. On a bare socket that is one system
    /// call: a short write means that it is full.
    fn write(&mut self, replica: &mut Replica, sent: &mut u64) -> io::Result<()> {
        while self.is_writable {
            let output = replica.client_output(self.id);
            let result = match output {
                [] => self.transport.flush().map(|()| 0),
                bytes => self.transport.write(bytes),
            };
            let offered = output.len();
            match result {
                Ok(count) => {
                    *sent += count as u64;
                    if count > 0 {
                        replica.client_written(self.id, count);
                    }
                    if offered == 0 {
                        return Ok(());
                    }
                    if self.transport.short_read_is_empty() {
                        self.is_writable = count == offered;
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_writable = false;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Messages come whether a subscriber reads or not, so what waits for it is bounded. Replies come
    /// only while earlier ones are taken, so a client may read a reply larger than any bound, as
    /// long as it does read.
    fn judge_output(
        &mut self,
        waiting: usize,
        sent: u64,
        is_subscriber: bool,
        limits: OutputLimits,
        now: Now,
    ) -> Fate {
        if waiting > limits.hard_bytes && is_subscriber {
            warn!(
                client = ?self.id, bytes = waiting,
                "a client does not read its replies and is disconnected"
            );
            return Fate::Ends;
        }
        if waiting <= limits.soft_bytes {
            self.soft_since_us = None;
        } else if self.soft_since_us.is_none() || (sent > 0 && !is_subscriber) {
            self.soft_since_us = Some(now.mono_us);
        }
        Fate::Stays
    }

    fn is_overdue(&self, limits: OutputLimits, now: Now) -> bool {
        if self.close_by_us.is_some_and(|at| at <= now.mono_us) {
            return true;
        }
        let since = self.soft_since_us;
        let is_slow = since.is_some_and(|since| now.mono_us - since >= limits.soft_us);
        if is_slow {
            info!(client = ?self.id, "a client reads its replies too slowly and is disconnected");
        }
        is_slow
    }
}
