//! One client's connection: what is known of it, its input not yet run, its output not yet sent.

use std::collections::BTreeSet;

use bytes::Bytes;
use kv::CommandSpec;
use resp::{Protocol, RequestParser};

use crate::config::{ClientId, ClientInfo};

/// Input that waits to be started up to which a client is read.
const WAITING_INPUT_MAX: usize = 256 << 10;
/// The largest buffer that a session keeps when there is nothing in it.
pub(crate) const BUFFER_RETAINED_MAX: usize = 64 << 10;

/// The state of one client's connection on its gateway. None of it is replicated.
#[derive(Debug)]
pub(crate) struct Session {
    /// The id that CLIENT ID tells: rising, never reused while the process lives.
    pub(crate) id: u64,
    /// Its addresses.
    pub(crate) info: ClientInfo,
    /// When it connected.
    pub(crate) connected_us: u64,
    /// When it last sent a command.
    pub(crate) active_us: u64,
    /// The last command, for CLIENT LIST.
    pub(crate) last_command: Option<&'static CommandSpec>,
    /// RESP version, by HELLO.
    pub(crate) protocol: Protocol,
    /// The selected database.
    pub(crate) db: u8,
    /// Set by CLIENT SETNAME or HELLO SETNAME.
    pub(crate) name: Bytes,
    /// Set by CLIENT SETINFO.
    pub(crate) client_library_name: Bytes,
    /// Set by CLIENT SETINFO.
    pub(crate) client_library_version: Bytes,
    /// Whether it may run commands: true from the start where no password is required.
    pub(crate) authenticated: bool,
    /// CLIENT NO-EVICT.
    pub(crate) no_evict: bool,
    /// CLIENT NO-TOUCH.
    pub(crate) no_touch: bool,
    /// CLIENT REPLY.
    pub(crate) reply_mode: ReplyMode,
    /// Open between MULTI and EXEC or DISCARD.
    pub(crate) multi: Option<Multi>,
    /// What WATCH saw: cleared by EXEC, DISCARD, UNWATCH.
    pub(crate) watches: Vec<Watch>,
    /// Channels of SUBSCRIBE.
    pub(crate) channels: BTreeSet<Bytes>,
    /// Patterns of PSUBSCRIBE.
    pub(crate) patterns: BTreeSet<Bytes>,
    /// Channels of SSUBSCRIBE.
    pub(crate) shard_channels: BTreeSet<Bytes>,
    /// Nothing more is read from it; it is disconnected once its output is written.
    pub(crate) closing: bool,
    /// No command of it is started before this time (DEBUG SLEEP), in microseconds.
    pub(crate) asleep_until_us: u64,
    /// Since when the DEBUG SLEEP that comes first in the input sleeps; `None` if none does.
    pub(crate) asleep_since_us: Option<u64>,
    /// The snapshot that the SAVE waits for that comes first in the input.
    pub(crate) save: Option<u64>,

    /// Remembers how far the first request in `input` was scanned.
    pub(crate) parser: RequestParser,
    /// Bytes received whose commands have not been started: from `input_start` on.
    pub(crate) input: Vec<u8>,
    /// See `input`.
    pub(crate) input_start: usize,
    /// Bytes of input that are being gone through, and are not in `input` meanwhile: those of the
    /// command that asks, for CLIENT LIST. 0 while none are.
    pub(crate) input_taken_bytes: usize,
    /// Replies not yet written: from `output_start` on.
    pub(crate) output: Vec<u8>,
    /// See `output`.
    pub(crate) output_start: usize,
    /// Bytes of output ever written. Only counted for a simulator.
    pub(crate) written_bytes: u64,
    /// Runs started and not yet answered.
    pub(crate) runs_in_flight: u32,
    /// Whether the runs in flight are in the log, so that writes may follow them.
    pub(crate) writes_in_flight: bool,
    /// The run in flight must be answered before another may start. Invariant: a run is in flight
    /// or being cut.
    pub(crate) solo: bool,
    /// Since when a command has waited for room, for its deadline. Those behind it in the input
    /// have waited as long.
    pub(crate) waiting_since_us: Option<u64>,
    /// Whether the first request in `input` may not be started yet: it is not more bytes that are
    /// missing. Invariant: whatever it waits for wakes the session.
    pub(crate) stalled: bool,
    /// Whether it stands in the list of sessions to go on with.
    pub(crate) queued: bool,
    /// Whether it stands in the list of sessions with output.
    pub(crate) flushing: bool,
    /// Whether the shell was told not to read from it.
    pub(crate) input_stopped: bool,
}

/// CLIENT REPLY ON | OFF | SKIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyMode {
    /// Every command is answered.
    On,
    /// None is.
    Off,
    /// The command after CLIENT REPLY SKIP is not; this is the state that command sets.
    SkipNext,
    /// The command being run is the one to skip.
    Skipping,
}

impl ReplyMode {
    /// The mode in which the next command runs.
    pub(crate) fn begin(&mut self) {
        if *self == ReplyMode::SkipNext {
            *self = ReplyMode::Skipping;
        }
    }

    /// The command has run: whether its reply is to be sent. CLIENT REPLY changes the mode while it
    /// runs, and is answered, or not, by the new one: only ON is.
    pub(crate) fn end(&mut self) -> bool {
        let is_on = *self == ReplyMode::On;
        if *self == ReplyMode::Skipping {
            *self = ReplyMode::On;
        }
        is_on
    }
}

/// Commands queued since MULTI.
#[derive(Debug, Default)]
pub(crate) struct Multi {
    /// The queued commands, encoded one after the other (see [`crate::encoding`]).
    pub(crate) commands: Vec<u8>,
    /// How many there are.
    pub(crate) count: u32,
    /// A command was refused while queueing: EXEC answers EXECABORT.
    pub(crate) aborted: bool,
    /// At least one is a write.
    pub(crate) has_write: bool,
    /// At least one reads the keyspace.
    pub(crate) has_read: bool,
    /// At least one concerns the connection, the node or the cluster.
    pub(crate) has_session: bool,
    /// At least one changes the session, so that nothing may be started behind EXEC until it ran.
    pub(crate) solo: bool,
    /// The database SELECT inside the transaction has chosen, `None` before one.
    pub(crate) db: Option<u8>,
}

/// A key being watched, and its version when WATCH saw it (0: it did not exist).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Watch {
    pub(crate) db: u8,
    pub(crate) key: Bytes,
    pub(crate) version: u64,
}

impl Session {
    pub(crate) fn new(id: u64, info: ClientInfo, now_us: u64, authenticated: bool) -> Self {
        Session {
            id,
            info,
            connected_us: now_us,
            active_us: now_us,
            last_command: None,
            protocol: Protocol::Resp2,
            db: 0,
            name: Bytes::new(),
            client_library_name: Bytes::new(),
            client_library_version: Bytes::new(),
            authenticated,
            no_evict: false,
            no_touch: false,
            reply_mode: ReplyMode::On,
            multi: None,
            watches: Vec::new(),
            channels: BTreeSet::new(),
            patterns: BTreeSet::new(),
            shard_channels: BTreeSet::new(),
            closing: false,
            asleep_until_us: 0,
            asleep_since_us: None,
            save: None,
            parser: RequestParser::new(),
            input: Vec::new(),
            input_start: 0,
            input_taken_bytes: 0,
            output: Vec::new(),
            output_start: 0,
            written_bytes: 0,
            runs_in_flight: 0,
            writes_in_flight: false,
            solo: false,
            waiting_since_us: None,
            stalled: false,
            queued: false,
            flushing: false,
            input_stopped: false,
        }
    }

    /// The number of channels and patterns it is subscribed to, shard channels left out, as the
    /// confirmations of SUBSCRIBE and PSUBSCRIBE count.
    pub(crate) fn subscription_count(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    /// Whether only subscription commands may be run: RESP2 cannot tell a message from a reply.
    pub(crate) fn in_subscriber_mode(&self) -> bool {
        self.protocol == Protocol::Resp2
            && self.subscription_count() + self.shard_channels.len() > 0
    }

    /// Whether nothing is in flight, waiting or unsent. Input that is left and not stalled is half
    /// a request.
    pub(crate) fn is_idle(&self) -> bool {
        self.runs_in_flight == 0
            && (!self.stalled || self.pending_input().is_empty())
            && !self.queued
            && self.pending_output().is_empty()
    }

    /// Bytes of replies that wait to be written. While a command of this session is run, its output
    /// is not here, and none seem to wait: only figures (CLIENT LIST, INFO) look at it then.
    pub(crate) fn pending_output(&self) -> &[u8] {
        self.output.get(self.output_start..).unwrap_or_default()
    }

    /// The first `count` bytes of the pending output were written: forgets them. Bytes that a slow
    /// reader has taken do not add up in front of those it has not.
    pub(crate) fn output_written(&mut self, count: usize) {
        let written = (self.output_start + count).min(self.output.len());
        if buggify::ENABLED {
            self.written_bytes += (written - self.output_start) as u64;
        }
        self.output_start = written;
        if self.output_start == self.output.len() {
            self.output_start = 0;
            self.output.clear();
            if self.output.capacity() > BUFFER_RETAINED_MAX {
                self.output = Vec::new();
            }
        } else if self.output_start > BUFFER_RETAINED_MAX
            && self.output_start > self.output.len() / 2
        {
            self.output.drain(..self.output_start);
            self.output_start = 0;
        }
    }

    /// Whether so much input waits to be started that no more is to be read. A request that is only
    /// incomplete needs its rest, however large it is.
    pub(crate) fn has_enough_input(&self) -> bool {
        self.stalled && self.pending_input().len() >= WAITING_INPUT_MAX
    }

    /// Bytes received that have not been started.
    pub(crate) fn pending_input(&self) -> &[u8] {
        &self.input[self.input_start..]
    }
}

/// The sessions of this node, found by slot.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    slots: Vec<Slot>,
    free: Vec<u32>,
    count: usize,
    next_id: u64,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    session: Option<Box<Session>>,
}

impl Sessions {
    /// Adds a session and names it.
    pub(crate) fn insert(
        &mut self,
        info: ClientInfo,
        now_us: u64,
        authenticated: bool,
    ) -> ClientId {
        self.next_id += 1;
        let session = Box::new(Session::new(self.next_id, info, now_us, authenticated));
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let entry = &mut self.slots[slot as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.session = Some(session);
        self.count += 1;
        ClientId {
            slot,
            generation: entry.generation,
        }
    }

    /// Removes a session; `None` if it is gone already.
    pub(crate) fn remove(&mut self, client: ClientId) -> Option<Box<Session>> {
        let entry = self.slots.get_mut(client.slot())?;
        if entry.generation != client.generation {
            return None;
        }
        let session = entry.session.take()?;
        self.free.push(client.slot);
        self.count -= 1;
        Some(session)
    }

    /// The session, or `None` if its client is gone.
    pub(crate) fn find(&self, client: ClientId) -> Option<&Session> {
        let entry = self.slots.get(client.slot())?;
        if entry.generation != client.generation {
            return None;
        }
        entry.session.as_deref()
    }

    /// The session, or `None` if its client is gone.
    pub(crate) fn find_mut(&mut self, client: ClientId) -> Option<&mut Session> {
        let entry = self.slots.get_mut(client.slot())?;
        if entry.generation != client.generation {
            return None;
        }
        entry.session.as_deref_mut()
    }

    /// All sessions, by slot.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ClientId, &Session)> {
        self.slots.iter().enumerate().filter_map(|(slot, entry)| {
            let session = entry.session.as_deref()?;
            Some((
                ClientId {
                    slot: slot as u32,
                    generation: entry.generation,
                },
                session,
            ))
        })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// How many there have ever been.
    pub(crate) fn total(&self) -> u64 {
        self.next_id
    }
}
