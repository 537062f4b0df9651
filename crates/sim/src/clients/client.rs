//! One client: its connection comes and goes, it acts, waits and gives up.

mod act;
mod answer;

use raft::NodeId;

use crate::clients::connection::{Connection, Expect, Pending, Requests};
use crate::clients::optimistic::Optimistic;
use crate::clients::workload::{DatabaseKey, Workload};
use crate::clients::{Action, PROPERTY, Scene, Shared};
use crate::history::{Outcome, Position};
use crate::judges::Violation;
use crate::report::FaultClass;
use crate::tape::{Site, SiteKind, Tape};

/// Where a client's choices are on the tape: these are added to the client's number. Each purpose
/// has a site of its own, so that one choice more or less shifts no others.
pub(crate) mod site {
    /// Of `ClientChoice`: what an act does.
    pub(crate) const ACT: usize = 0;
    /// Of `ClientChoice`: how many operations an act has.
    pub(crate) const DEPTH: usize = 32;
    /// Of `ClientChoice`: whether a fault strikes an act.
    pub(crate) const FAULT: usize = 64;
    /// Of `ClientChoice`: where to connect.
    pub(crate) const NODE: usize = 96;
    /// Of `ClientChoice`: how long a burst is.
    pub(crate) const BURST: usize = 128;
    /// Of `ClientChoice`: what kind of client it is.
    pub(crate) const CHARACTER: usize = 160;
    /// Of `ClientGap`: until the next act.
    pub(crate) const GAP: usize = 0;
    /// Of `ClientGap`: until the next try to connect.
    pub(crate) const RECONNECT: usize = 32;
}

/// A time that never comes.
const NEVER: u64 = u64::MAX;
/// The least time between two tries to connect.
const RECONNECT_US_MIN: u64 = 2_000;
/// Acts wait while so many requests are not answered.
const PENDING_MAX: usize = 48;
/// How long a final reader tries.
const READER_TIMEOUT_US: u64 = 10_000_000;

/// What a client is there for.
#[derive(Debug)]
pub(crate) enum Role {
    /// It acts.
    Worker,
    /// It only listens to channels, in RESP2, where a listener can do nothing else.
    Listener,
    /// It reads these keys once, through this node.
    Reader {
        /// The node.
        node: NodeId,
        /// The keys.
        keys: Vec<DatabaseKey>,
    },
}

/// The state of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Down,
    Connecting,
    Up,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    index: usize,
    role: Role,
    /// Whether it speaks RESP3.
    resp3: bool,
    /// Whether it listens to channels.
    subscribes: bool,
    /// Whether it waits for all replies before it acts again.
    closed_loop: bool,
    timeout_us: u64,
    /// The node that it is connected to, or was last.
    node: NodeId,
    link: Link,
    /// How many connections it had.
    session: u32,
    connection: Connection,
    /// The transaction whose watched keys are being read.
    optimistic: Option<Optimistic>,
    /// Tokens made so far.
    tokens: u64,
    /// When it acts next.
    act_at_us: u64,
    /// When it does the transaction whose watched keys are read.
    finish_at_us: u64,
    /// When it connects again.
    reconnect_at_us: u64,
    /// When it gives up connecting.
    connect_deadline_us: u64,
    /// When it breaks its connection: a fault.
    cut_at_us: u64,
    /// The first wake-up that is under way.
    wake_at_us: u64,
}

impl Client {
    /// A client that is not connected yet.
    pub(crate) fn new(
        index: usize,
        role: Role,
        nodes: usize,
        tape: &mut Tape,
        workload: &Workload,
    ) -> Client {
        let mut draw =
            |of: usize, bound| tape.below(Site::new(SiteKind::ClientChoice, of + index), bound);
        let is_reader = matches!(role, Role::Reader { .. });
        let character = draw(site::CHARACTER, 1 << 16);
        let listens = !is_reader && character % 256 < workload.listener_share;
        let resp3 = character >> 8 & 1 == 1;
        let node = match role {
            Role::Reader { node, .. } => node,
            _ => NodeId((index as u64 + draw(site::NODE, nodes as u64)) % nodes as u64 + 1),
        };
        Client {
            index,
            role: match listens && !resp3 {
                true => Role::Listener,
                false => role,
            },
            resp3,
            subscribes: listens,
            closed_loop: character >> 9 & 3 != 3,
            timeout_us: if is_reader {
                READER_TIMEOUT_US
            } else {
                workload.timeout_us
            },
            node,
            link: Link::Down,
            session: 0,
            connection: Connection::default(),
            optimistic: None,
            tokens: 0,
            act_at_us: NEVER,
            finish_at_us: NEVER,
            reconnect_at_us: NEVER,
            connect_deadline_us: NEVER,
            cut_at_us: NEVER,
            wake_at_us: NEVER,
        }
    }

    /// Whether it only makes the last reads.
    pub(crate) fn is_reader(&self) -> bool {
        matches!(self.role, Role::Reader { .. })
    }

    /// Connects to its node.
    pub(crate) fn connect(&mut self, scene: &mut Scene<'_>) {
        debug_assert_eq!(self.link, Link::Down);
        self.link = Link::Connecting;
        self.reconnect_at_us = NEVER;
        self.connect_deadline_us = scene.now_us + self.timeout_us;
        scene.actions.push(Action::Connect {
            client: self.index,
            node: self.node,
        });
    }

    /// The connection stands: greets, and begins to act.
    pub(crate) fn connected(&mut self, shared: &mut Shared, scene: &mut Scene<'_>) {
        if self.link != Link::Connecting {
            return;
        }
        self.link = Link::Up;
        self.connect_deadline_us = NEVER;
        self.session += 1;
        self.connection = Connection::default();
        let (resp3, subscribes) = (self.resp3, self.subscribes);
        let keys = match &mut self.role {
            Role::Reader { keys, .. } => std::mem::take(keys),
            _ => Vec::new(),
        };
        // They were counted when they were bound to be asked.
        shared.open -= keys.len();
        if resp3 {
            let mut requests = self.requests(shared, scene);
            requests.session(&[b"HELLO", b"3"], Expect::Hello);
        }
        if subscribes {
            self.subscribe(shared, scene);
        }
        self.requests(shared, scene).read_all(keys);
        self.send(scene);
        if !shared.settled && !matches!(self.role, Role::Reader { .. }) {
            self.plan_act(shared, scene);
        }
    }

    /// Asks to hear all channels.
    fn subscribe(&mut self, shared: &mut Shared, scene: &mut Scene<'_>) {
        let channels = shared.workload.channels();
        let command: Vec<&[u8]> = std::iter::once(b"SUBSCRIBE".as_slice())
            .chain(channels.iter().map(Vec::as_slice))
            .collect();
        self.requests(shared, scene).subscribe(&command);
    }

    /// Hears no channel, because no quorum could be asked, and asks again.
    pub(crate) fn subscribe_again(&mut self, shared: &mut Shared, scene: &mut Scene<'_>) {
        let is_confirmation = |pending: &Pending| matches!(pending.expect, Expect::Subscribed);
        while self.connection.pending.front().is_some_and(is_confirmation) {
            self.connection.pending.pop_front();
        }
        if !shared.settled {
            self.subscribe(shared, scene);
            self.send(scene);
        }
    }

    /// The connection was refused, or broke.
    pub(crate) fn disconnected(&mut self, shared: &mut Shared, scene: &mut Scene<'_>) {
        if self.link == Link::Down {
            return;
        }
        let was_up = self.link == Link::Up;
        self.end_connection(shared, scene, "the connection broke");
        self.plan_reconnect(was_up, shared, scene);
    }

    /// Does what is due. Returns whether a burst begins.
    pub(crate) fn wake(&mut self, shared: &mut Shared, scene: &mut Scene<'_>) -> bool {
        let now_us = scene.now_us;
        if now_us >= self.wake_at_us {
            self.wake_at_us = NEVER;
        }
        if now_us >= self.connect_deadline_us {
            self.drop_connection(shared, scene, "no connection");
        } else if self.deadline_us() <= now_us {
            if shared.workload.allows_timeouts {
                scene.faults.add(FaultClass::ClientTimeout);
            }
            self.drop_connection(shared, scene, "no reply in time");
        } else if now_us >= self.cut_at_us {
            scene.faults.add(FaultClass::ClientDisconnect);
            self.drop_connection(shared, scene, "the client left");
        }
        if now_us >= self.reconnect_at_us {
            self.connect(scene);
        }
        if now_us >= self.finish_at_us {
            self.finish_optimistic(shared, scene);
        }
        if now_us >= self.act_at_us && !self.is_busy() {
            return self.act(shared, scene);
        }
        false
    }

    /// Asks to be woken when something is due next.
    pub(crate) fn schedule(&mut self, scene: &mut Scene<'_>) {
        let act_at_us = match self.is_busy() {
            true => NEVER,
            false => self.act_at_us.max(scene.now_us),
        };
        let due_us = act_at_us
            .min(self.deadline_us())
            .min(self.connect_deadline_us)
            .min(self.reconnect_at_us)
            .min(self.finish_at_us)
            .min(self.cut_at_us);
        if due_us < self.wake_at_us {
            self.wake_at_us = due_us;
            scene.actions.push(Action::Wake {
                client: self.index,
                at_us: due_us,
            });
        }
    }

    /// No more acts.
    pub(crate) fn settle(&mut self) {
        if matches!(self.role, Role::Reader { .. }) {
            return;
        }
        self.act_at_us = NEVER;
        self.reconnect_at_us = NEVER;
    }

    /// A burst began: acts within a short time.
    pub(crate) fn hurry(&mut self, now_us: u64) {
        if self.act_at_us != NEVER {
            self.act_at_us = self.act_at_us.min(now_us + 1000 * self.index as u64);
        }
    }

    /// Replies arrived.
    pub(crate) fn received(
        &mut self,
        bytes: &[u8],
        made: impl IntoIterator<Item = (u64, Position)>,
        shared: &mut Shared,
        scene: &mut Scene<'_>,
    ) {
        if self.link != Link::Up {
            return;
        }
        self.connection.feed(bytes, made);
        loop {
            let (value, start) = match self.connection.next_reply() {
                Ok(Some(reply)) => reply,
                Ok(None) => break,
                Err(error) => return self.violate(shared, scene, error.to_string()),
            };
            if let Err(detail) = self.reply(value, start, shared, scene) {
                return self.violate(shared, scene, detail);
            }
        }
        let Some(optimistic) = &self.optimistic else {
            return;
        };
        if self.finish_at_us == NEVER && optimistic.is_read() {
            match optimistic.pause_us {
                0 => self.finish_optimistic(shared, scene),
                pause_us => self.finish_at_us = scene.now_us + pause_us,
            }
        }
    }

    /// Its number in the history.
    pub(crate) fn process(&self) -> u32 {
        self.index as u32
    }

    /// Whether messages come as lists, which is what RESP2 has for them.
    pub(crate) fn listens_by_resp2(&self) -> bool {
        self.subscribes && !self.resp3
    }

    /// What waits for a reply ends by then.
    fn deadline_us(&self) -> u64 {
        self.connection
            .pending
            .front()
            .map_or(NEVER, |pending| pending.deadline_us)
    }

    /// Whether the next act has to wait for replies.
    fn is_busy(&self) -> bool {
        let pending = self.connection.pending.len();
        self.optimistic.is_some() || pending >= PENDING_MAX || self.closed_loop && pending > 0
    }

    fn requests<'a>(&'a mut self, shared: &'a mut Shared, scene: &'a mut Scene) -> Requests<'a> {
        let process = self.process();
        Requests {
            connection: &mut self.connection,
            history: scene.history,
            open: &mut shared.open,
            now_us: scene.now_us,
            deadline_us: scene.now_us + self.timeout_us,
            process,
            node: self.node.0,
        }
    }

    /// Sends what was asked.
    fn send(&mut self, scene: &mut Scene<'_>) {
        let bytes = self.connection.take_out();
        if !bytes.is_empty() {
            scene.actions.push(Action::Send {
                client: self.index,
                bytes,
            });
        }
    }

    /// Breaks the connection, and plans another.
    fn drop_connection(&mut self, shared: &mut Shared, scene: &mut Scene<'_>, why: &str) {
        let was_up = self.link == Link::Up;
        scene
            .actions
            .push(Action::Disconnect { client: self.index });
        self.end_connection(shared, scene, why);
        self.plan_reconnect(was_up, shared, scene);
    }

    /// Nothing more comes of the connection: what is open on it is of unknown outcome.
    fn end_connection(&mut self, shared: &mut Shared, scene: &mut Scene<'_>, why: &str) {
        self.link = Link::Down;
        self.optimistic = None;
        self.finish_at_us = NEVER;
        self.act_at_us = NEVER;
        self.connect_deadline_us = NEVER;
        self.cut_at_us = NEVER;
        let pending = std::mem::take(&mut self.connection.pending);
        for op in pending.iter().filter_map(|pending| pending.op) {
            shared.complete(scene, op, Outcome::Unknown(why.to_owned()), None);
        }
    }

    fn plan_reconnect(&mut self, was_up: bool, shared: &mut Shared, scene: &mut Scene<'_>) {
        if let Role::Reader { keys, .. } = &mut self.role {
            // It does not read twice, and does not try for ever.
            self.timeout_us = self.timeout_us.saturating_sub(RECONNECT_RETRY_US);
            if was_up || self.timeout_us == 0 {
                shared.open -= std::mem::take(keys).len();
            } else {
                self.reconnect_at_us = scene.now_us + RECONNECT_RETRY_US;
            }
            return;
        }
        if shared.settled {
            return;
        }
        let choice = Site::new(SiteKind::ClientChoice, site::NODE + self.index);
        let nodes = shared.nodes as u64;
        let others = nodes.saturating_sub(1).max(1);
        let step = 1 + scene.tape.below(choice, others);
        self.node = NodeId((self.node.0 - 1 + step) % nodes + 1);
        let gap = Site::new(SiteKind::ClientGap, site::RECONNECT + self.index);
        let gap_us = scene.tape.exponential_us(gap, shared.workload.reconnect_us);
        self.reconnect_at_us = scene.now_us + RECONNECT_US_MIN + gap_us;
    }

    fn violate(&mut self, shared: &mut Shared, scene: &mut Scene<'_>, detail: String) {
        let (client, node, session) = (self.index, self.node, self.session);
        shared.violation.get_or_insert_with(|| Violation {
            property: PROPERTY,
            detail: format!("client {client}, connection {session} to {node}: {detail}"),
        });
        self.drop_connection(shared, scene, "the replies made no sense");
    }
}

/// How long a final reader waits before it tries to connect again.
const RECONNECT_RETRY_US: u64 = 100_000;
