//! The reactor: one thread that owns every socket and the replica, and turns one into the other.
//!
//! One turn: sleep until something is ready; read what is; tell the replica of finished disk work
//! and of time; let it produce ([`Replica::drain`]); carry that out. The order of the last step is
//! the order of what takes longest elsewhere: the disk first, then the peers, then the clients.
//!
//! There is no lock on a command's way, because nobody else touches the replica, and few system
//! calls: however many commands a turn brings, it makes one poll, one read and one write a
//! connection that has something, one write a peer, and at most one wake-up of the disk thread.

mod clients;
mod snapshots;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::{Events, Poll, Waker};
use raft::LogIndex;
use replica::{HostStats, Now, Output, Replica};
use tracing::{error, info, warn};

pub(crate) use self::clients::{Clients, OutputLimits};
use self::snapshots::Desk;
use crate::clock::Clock;
use crate::disk::{Completion, Disk, OnFailure};
use crate::error::{EXIT_FAILURE, ServeError};
use crate::host;
use crate::listener::Listener;
use crate::metrics::{Published, Snapshot};
use crate::peer::{PeerEvent, Peers};
use crate::signals::Signals;
use crate::snapshots::Snapshots;
use crate::tokens::Source;

/// Events taken from the system at a time.
pub(crate) const EVENTS_MAX: usize = 1024;

/// The buffer that all sockets are read into: a connection's share of a turn.
const SCRATCH_BYTES: usize = 256 * 1024;

/// Ticks that a late turn makes up for. A process that was stopped for a second must not believe
/// that it heard nothing for a second: what was sent to it waits in its sockets, and is read first.
const TICKS_PER_TURN_MAX: u64 = 2;

const PUBLISH_INTERVAL_US: u64 = 250_000;
/// How long a node may be behind and still count as ready.
const LAG_GRACE_US: u64 = 1_000_000;

const HOST_STATS_INTERVAL_US: u64 = 1_000_000;

/// Asks a running node to stop, from any thread.
#[derive(Debug, Clone)]
pub struct Stopper {
    wanted: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl Stopper {
    pub(crate) fn new(waker: Arc<Waker>) -> Stopper {
        Stopper {
            wanted: Arc::new(AtomicBool::new(false)),
            waker,
        }
    }

    /// Begins the same orderly stop as SIGTERM does.
    ///
    /// # Errors
    /// If the reactor cannot be woken; it then stops at its next turn.
    pub fn stop(&self) -> io::Result<()> {
        self.wanted.store(true, Ordering::SeqCst);
        self.waker.wake()
    }

    fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }
}

/// Everything the reactor is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) poll: Poll,
    pub(crate) clock: Clock,
    pub(crate) replica: Replica,
    pub(crate) clients: Clients,
    pub(crate) client_listeners: Vec<Listener>,
    pub(crate) peers: Peers,
    pub(crate) peer_listeners: Vec<Listener>,
    pub(crate) disk: Disk,
    pub(crate) snapshots: Snapshots,
    pub(crate) signals: Option<Signals>,
    pub(crate) stopper: Stopper,
    pub(crate) published: Arc<Published>,
    pub(crate) on_failure: OnFailure,
    pub(crate) tick: Duration,
    pub(crate) shutdown_timeout: Duration,
}

/// The loop and its state.
#[derive(Debug)]
pub(crate) struct Reactor {
    parts: Parts,
    output: Output,
    scratch: Vec<u8>,
    completions: Vec<Completion>,
    desk: Desk,
    next_tick_us: u64,
    next_publish_us: u64,
    next_host_us: u64,
    host: HostStats,
    turns: u64,
    /// Set once the node is to stop: when it stops waiting for what is in flight.
    stop_by_us: Option<u64>,
    /// What was last published of readiness.
    is_ready: bool,
    /// Since when the replica has not been ready.
    unready_since_us: Option<u64>,
}

/// Whether the loop goes on.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Again,
    Stop,
}

impl Reactor {
    pub(crate) fn new(parts: Parts) -> Reactor {
        Reactor {
            parts,
            output: Output::default(),
            scratch: vec![0; SCRATCH_BYTES],
            completions: Vec::new(),
            desk: Desk::default(),
            next_tick_us: 0,
            next_publish_us: 0,
            next_host_us: 0,
            host: HostStats {
                system_memory_bytes: host::system_memory_bytes(),
                ..HostStats::default()
            },
            turns: 0,
            stop_by_us: None,
            is_ready: false,
            unready_since_us: None,
        }
    }

    /// Turns until the node is asked to stop or cannot go on.
    pub(crate) fn run(mut self) -> Result<(), ServeError> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            self.sleep(&mut events)?;
            if self.turn(&events)? == Turn::Stop {
                return self.finish();
            }
        }
    }

    /// Waits for the next event, or the next tick, unless there is work left over.
    fn sleep(&mut self, events: &mut Events) -> Result<(), ServeError> {
        let parts = &mut self.parts;
        let now_us = parts.clock.now().mono_us;
        let listeners = || parts.client_listeners.iter().chain(&parts.peer_listeners);
        let is_busy = parts.replica.has_work()
            || parts.clients.has_work()
            || parts.peers.has_work()
            || listeners().any(|listener| listener.is_due(now_us));
        let until = listeners()
            .filter_map(Listener::resume_at_us)
            .fold(self.next_tick_us, u64::min);
        let timeout = match is_busy || !parts.disk.before_sleep() {
            true => Duration::ZERO,
            false => Duration::from_micros(until.saturating_sub(now_us)),
        };
        let polled = parts.poll.poll(events, Some(timeout));
        parts.disk.after_sleep();
        match polled {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            other => other.map_err(ServeError::system("wait for events")),
        }
    }

    fn turn(&mut self, events: &Events) -> Result<Turn, ServeError> {
        let now = self.parts.clock.now();
        self.turns += 1;
        self.take_events(events, now);
        self.accept(now);
        self.receive(now)?;
        self.complete(now)?;
        self.tick(now);
        self.carry_out(now)?;
        self.publish(now);
        Ok(self.stop_or_go_on(now))
    }

    fn take_events(&mut self, events: &Events, now: Now) {
        let parts = &mut self.parts;
        for event in events {
            match Source::from_token(event.token()) {
                Source::Waker => {}
                Source::Signals => {
                    if parts.signals.as_mut().is_some_and(Signals::take) {
                        info!("asked to stop by a signal; a second one ends the process at once");
                        parts.stopper.wanted.store(true, Ordering::Relaxed);
                    }
                }
                Source::PeerListener => {
                    parts
                        .peer_listeners
                        .iter_mut()
                        .for_each(Listener::set_readable);
                }
                Source::ClientListener(index) => {
                    if let Some(listener) = parts.client_listeners.get_mut(index) {
                        listener.set_readable();
                    }
                }
                source @ (Source::Outbound(_) | Source::Inbound(_)) => {
                    parts.peers.set_ready(source, event);
                }
                Source::Client(slot) => {
                    let registry = parts.poll.registry();
                    parts
                        .clients
                        .set_ready(registry, &mut parts.replica, now, slot, event);
                }
            }
        }
    }

    fn accept(&mut self, now: Now) {
        let parts = &mut self.parts;
        let registry = parts.poll.registry();
        for listener in &mut parts.client_listeners {
            let (clients, replica) = (&mut parts.clients, &mut parts.replica);
            let failure = listener.accept_all(now.mono_us, |socket, address| {
                clients.accept(registry, replica, now, socket, address);
            });
            if let Some(error) = failure {
                warn!(%error, "no client can be accepted for now: raise the limit of open files");
            }
        }
        for listener in &mut parts.peer_listeners {
            let peers = &mut parts.peers;
            let failure = listener.accept_all(now.mono_us, |socket, address| {
                peers.accept(socket, address, now.mono_us);
            });
            if let Some(error) = failure {
                warn!(%error, "no peer can be accepted for now: raise the limit of open files");
            }
        }
    }

    fn receive(&mut self, now: Now) -> Result<(), ServeError> {
        let parts = &mut self.parts;
        let replica = &mut parts.replica;
        for event in parts.peers.receive(now.mono_us, &mut self.scratch) {
            match event {
                PeerEvent::Connected(node, info) => replica.peer_connected(now, node, info),
                PeerEvent::Disconnected(node, reason) => {
                    replica.peer_disconnected(now, node, reason);
                }
                PeerEvent::Message(node, message) => replica.peer_message(now, node, message),
                PeerEvent::Snapshot(node, connection) => {
                    let applied = LogIndex(replica.metrics().applied_index);
                    parts.snapshots.receive(node, connection, applied);
                }
                // Nothing that this turn would still do may leave this node.
                PeerEvent::Outdated(refused) => return Err(ServeError::Outdated(refused)),
                PeerEvent::Removed(refused) => return Err(ServeError::Removed(refused.text)),
                PeerEvent::Unfit(refused) => return Err(ServeError::FeatureLevel(refused.text)),
            }
        }
        let registry = parts.poll.registry();
        parts
            .clients
            .read_all(registry, replica, now, &mut self.scratch);
        Ok(())
    }

    fn complete(&mut self, now: Now) -> Result<(), ServeError> {
        let mut completions = std::mem::take(&mut self.completions);
        self.parts.disk.completions(&mut completions);
        for completion in completions.drain(..) {
            let replica = &mut self.parts.replica;
            match completion {
                Completion::Persisted(write) => replica.persisted(now, write),
                Completion::EntriesRead(request, entries) => {
                    replica.entries_read(now, request, entries);
                }
                Completion::Space { is_low } => self.disk_space(now, is_low),
                Completion::Failed(failure) => return Err(ServeError::Disk(failure)),
            }
        }
        self.completions = completions;
        self.complete_snapshots(now);
        Ok(())
    }

    fn tick(&mut self, now: Now) {
        if now.mono_us < self.next_tick_us {
            return;
        }
        let tick_us = self.parts.tick.as_micros() as u64;
        let late = (now.mono_us - self.next_tick_us) / tick_us;
        for _ in 0..(late + 1).min(TICKS_PER_TURN_MAX) {
            self.parts.replica.tick(now);
        }
        self.next_tick_us = match late < TICKS_PER_TURN_MAX {
            true => self.next_tick_us + (late + 1) * tick_us,
            false => now.mono_us + tick_us,
        };
        let parts = &mut self.parts;
        parts.peers.tick(now.mono_us);
        parts
            .clients
            .tick(parts.poll.registry(), &mut parts.replica, now);
    }

    /// Ends the turn: everything the replica wants done is done or handed on.
    fn carry_out(&mut self, now: Now) -> Result<(), ServeError> {
        let Parts {
            poll,
            replica,
            clients,
            peers,
            disk,
            on_failure,
            ..
        } = &mut self.parts;
        let output = &mut self.output;
        replica.drain(now, output);
        if let Some(reason) = output.fatal.take() {
            error!("{reason}; this node stops");
            match on_failure {
                OnFailure::Exit => std::process::exit(EXIT_FAILURE),
                OnFailure::Report => return Err(ServeError::Replicated(reason)),
            }
        }
        let membership = output.membership.take();
        if let Some(membership) = &membership {
            peers.set_membership(membership);
        }
        disk.submit(&mut output.writes, &mut output.entry_reads);
        for (to, message) in output.messages.drain(..) {
            peers.send(to, &message, now.mono_us);
        }
        peers.flush(now.mono_us);
        if membership.is_some_and(|membership| membership.is_removed) {
            let node = replica.config().node.0;
            return Err(ServeError::Removed(format!(
                "node {node} was removed from the cluster and stops; its data directory is not used again"
            )));
        }
        let registry = poll.registry();
        for id in output.flush.drain(..) {
            clients.write(registry, replica, now, id);
        }
        for id in output.close.drain(..) {
            clients.close(registry, replica, now, id);
        }
        for id in output.resumed.drain(..) {
            clients.resume(id);
        }
        let shutdown = output.shutdown.take();
        self.carry_out_snapshots(now);
        if let Some(shutdown) = shutdown {
            info!("asked to stop by a SHUTDOWN command");
            let patience = match shutdown.now {
                true => Duration::ZERO,
                false => self.parts.shutdown_timeout,
            };
            self.begin_stop(now, patience);
        }
        Ok(())
    }

    /// Refreshes what the admin port and INFO show; at once when the node becomes ready.
    fn publish(&mut self, now: Now) {
        let is_news = !self.is_ready && self.parts.replica.is_ready();
        if now.mono_us < self.next_publish_us && !is_news {
            return;
        }
        self.next_publish_us = now.mono_us + PUBLISH_INTERVAL_US;
        self.judge_urgency();
        let mut metrics = self.parts.replica.metrics();
        self.judge_readiness(now, &mut metrics);
        if now.mono_us >= self.next_host_us {
            self.next_host_us = now.mono_us + HOST_STATS_INTERVAL_US;
            self.host = HostStats {
                system_memory_bytes: self.host.system_memory_bytes,
                log_bytes: self.parts.disk.log_bytes(),
                snapshot_bytes: self.parts.snapshots.statistics().disk_bytes,
                net_input_bytes: self.parts.clients.received_bytes,
                net_output_bytes: self.parts.clients.sent_bytes,
                ..host::stats()
            };
            self.parts.replica.set_host_stats(self.host);
        }
        self.parts.published.publish(Snapshot {
            replica: metrics,
            peers: self.parts.peers.statistics(),
            snapshots: self.parts.snapshots.statistics(),
            host: self.host,
            turns: self.turns,
            is_stopping: self.stop_by_us.is_some(),
        });
    }

    /// A node that follows is a few entries behind at almost any moment, which is not worth a word:
    /// reads wait for them. One that stays behind, or knows no leader, is not ready.
    fn judge_readiness(&mut self, now: Now, metrics: &mut replica::Metrics) {
        let since_us = *self.unready_since_us.get_or_insert(now.mono_us);
        if metrics.ready {
            self.unready_since_us = None;
        } else {
            let is_lagging = metrics.leader != 0 && now.mono_us - since_us < LAG_GRACE_US;
            metrics.ready = self.is_ready && is_lagging;
        }
        if metrics.ready && !self.is_ready {
            info!(
                applied = metrics.applied_index,
                keys = metrics.keys,
                "ready"
            );
        } else if !metrics.ready && self.is_ready {
            warn!(leader = metrics.leader, "not ready: reads and writes wait");
        }
        self.is_ready = metrics.ready;
    }

    fn stop_or_go_on(&mut self, now: Now) -> Turn {
        if self.parts.stopper.is_wanted() && self.stop_by_us.is_none() {
            self.begin_stop(now, self.parts.shutdown_timeout);
        }
        let Some(stop_by_us) = self.stop_by_us else {
            return Turn::Again;
        };
        if self.parts.replica.shutdown_finished() {
            return Turn::Stop;
        }
        if now.mono_us >= stop_by_us {
            warn!("stopping although not everything in flight is finished");
            return Turn::Stop;
        }
        Turn::Again
    }

    /// Closes the doors and hands leadership over. Connections stay, for what is in flight.
    fn begin_stop(&mut self, now: Now, patience: Duration) {
        if self.stop_by_us.is_some() {
            return;
        }
        info!("stopping: no new connections, leadership is handed over");
        self.stop_by_us = Some(now.mono_us + patience.as_micros() as u64);
        self.parts.client_listeners.clear();
        self.parts.replica.begin_shutdown(now);
        self.next_publish_us = 0;
    }

    fn finish(mut self) -> Result<(), ServeError> {
        let now = self.parts.clock.now();
        // What the last turn's shutdown produced, such as the word to the next leader.
        self.carry_out(now)?;
        let parts = &mut self.parts;
        parts
            .clients
            .close_all(parts.poll.registry(), &mut parts.replica, now);
        parts.peers.close(now.mono_us);
        self.parts.snapshots.close();
        self.parts.disk.close();
        info!("stopped");
        Ok(())
    }
}
