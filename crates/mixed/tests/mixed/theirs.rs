//! A raft-rs node, driven as its documentation asks for with an asynchronous disk: a leader's
//! messages leave at once, all others when the `Ready` they came with is durable.
//!
//! Its `MemStorage` is what the process sees of its log, writes under way included; what survives
//! a crash is in [`Durable`](crate::disk::Durable).

use bytes::Bytes;
use raft::{Entry, EntryKind, HardState, LogIndex, NodeId, ReadRequestId, Round, Term};
use raft_rs::eraftpb::{self, MessageType};
use raft_rs::storage::MemStorage;
use raft_rs::{RawNode, StateRole};
use slog::{Discard, Logger};

use crate::bytes_of::{decode, decode_read, encode, encode_kind, encode_read, encode_round};
use crate::disk::{Durable, Write};
use crate::member::{Belief, Member, Output, Settings};
use crate::translate::{Translator, Wire};

/// More ticks than any run has: raft-rs draws its election timeouts from the thread's random
/// numbers, which no seed repeats, so its timer is never to run out.
const NEVER_TICKS: usize = 1 << 40;

pub(crate) struct Theirs {
    node: RawNode<MemStorage>,
    id: NodeId,
    /// The timer that stands in for raft-rs's own.
    election_timeout_ticks: u32,
    election_timeout: u64,
    random: u64,
    /// The end of the log, writes under way included.
    last: LogIndex,
}

impl Theirs {
    pub(crate) fn start(settings: &Settings, durable: &Durable) -> Result<Theirs, String> {
        let election_tick = settings.election_timeout_ticks as usize;
        let config = raft_rs::Config {
            id: settings.id.0,
            election_tick,
            heartbeat_tick: settings.heartbeat_ticks as usize,
            min_election_tick: NEVER_TICKS,
            max_election_tick: NEVER_TICKS + 1,
            max_size_per_msg: settings.append_bytes_max as u64,
            max_inflight_msgs: settings.inflight_messages_max,
            check_quorum: true,
            pre_vote: true,
            ..raft_rs::Config::default()
        };
        let voters: Vec<u64> = settings.voters.iter().map(|node| node.0).collect();
        let storage = MemStorage::new_with_conf_state((voters, Vec::new()));
        let entries: Vec<eraftpb::Entry> = durable.entries.iter().map(encode).collect();
        {
            let mut core = storage.wl();
            core.set_hardstate(hard_state_to_theirs(durable.hard_state));
            core.append(&entries).map_err(|error| error.to_string())?;
        }
        let logger = Logger::root(Discard, slog::o!());
        let node = RawNode::new(&config, storage, &logger).map_err(|error| error.to_string())?;
        let mut theirs = Theirs {
            node,
            id: settings.id,
            election_timeout_ticks: settings.election_timeout_ticks,
            election_timeout: 0,
            random: settings.seed | 1,
            last: durable.last().index,
        };
        theirs.draw_election_timeout();
        Ok(theirs)
    }

    fn draw_election_timeout(&mut self) {
        // xorshift64*.
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let bits = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        let least = u64::from(self.election_timeout_ticks);
        self.election_timeout = least + bits % least;
    }

    /// Draws a new timeout when something has set the timer back.
    fn watch_timer(&mut self, before: usize) {
        if self.node.raft.election_elapsed < before {
            self.draw_election_timeout();
        }
    }

    fn term(&self) -> Term {
        Term(self.node.raft.term)
    }

    fn wires(&self, messages: Vec<eraftpb::Message>) -> Vec<Wire> {
        let term = self.term();
        messages
            .into_iter()
            .map(|message| Wire::Theirs(message, term))
            .collect()
    }

    fn propose_entry(&mut self, payload: &Bytes, wall_ms: u64) -> raft_rs::Result<()> {
        let context = encode_kind(EntryKind::Batch, wall_ms, payload);
        self.node.propose(context.to_vec(), payload.to_vec())
    }
}

impl Member for Theirs {
    fn step(&mut self, wire: &Wire, translator: &mut Translator) -> Result<(), String> {
        let message = translator.for_theirs(wire);
        let (from, term) = (message.from, message.term);
        let is_append = message.msg_type == MessageType::MsgAppend;
        let round = if message.context.is_empty() {
            encode_round(Round(0))
        } else {
            message.context.clone()
        };
        let said_before = self.node.raft.msgs.len();
        let elapsed_before = self.node.raft.election_elapsed;
        self.node.step(message).map_err(|error| error.to_string())?;
        self.watch_timer(elapsed_before);
        // Heartbeats are answered with their context; appends are, too, here, so that an answer
        // tells the round of what it answers.
        let said = self.node.raft.msgs.iter_mut().skip(said_before);
        for answer in said {
            let is_answer = is_append
                && answer.msg_type == MessageType::MsgAppendResponse
                && answer.to == from
                && answer.term == term;
            if is_answer {
                answer.context = round.clone();
            }
        }
        Ok(())
    }

    fn tick(&mut self) {
        let elapsed_before = self.node.raft.election_elapsed;
        self.node.tick();
        self.watch_timer(elapsed_before);
        let raft = &mut self.node.raft;
        let leads = raft.state == StateRole::Leader;
        if !leads && raft.election_elapsed as u64 >= self.election_timeout {
            raft.election_elapsed = 0;
            self.draw_election_timeout();
            // Its own timer ignores the result, too.
            let _ = self.node.campaign();
        }
    }

    fn propose(&mut self, payload: Bytes, wall_ms: u64) -> bool {
        // A follower would pass it on, which ours do not understand.
        let leads = self.node.raft.state == StateRole::Leader;
        leads && self.propose_entry(&payload, wall_ms).is_ok()
    }

    fn read(&mut self, token: u64) {
        self.node.read_index(encode_read(self.id, token).to_vec());
    }

    fn transfer(&mut self, to: NodeId) {
        if self.node.raft.state == StateRole::Leader {
            self.node.transfer_leader(to.0);
        }
    }

    fn peer_reset(&mut self, peer: NodeId) {
        self.node.report_unreachable(peer.0);
    }

    fn peer_connected(&mut self, _: NodeId) {}

    fn persisted(&mut self, number: u64) {
        self.node.on_persist_ready(number);
    }

    fn entries_read(&mut self, _: ReadRequestId, _: Vec<Entry>) {}

    fn drain(&mut self) -> Result<Option<Output>, String> {
        if !self.node.has_ready() {
            return Ok(None);
        }
        let mut ready = self.node.ready();
        let mut messages = ready.take_messages();
        let waiting = ready.take_persisted_messages();
        // What a raft-rs node says to itself is not for the network.
        messages.retain(|message| message.to != self.id.0);
        let applied: Vec<eraftpb::Entry> = ready.take_committed_entries();
        let entries = ready.entries().clone();
        let storage = self.node.store().clone();
        let hard_state = ready.hs().cloned();
        {
            let mut core = storage.wl();
            core.append(&entries).map_err(|error| error.to_string())?;
            if let Some(hard_state) = &hard_state {
                core.set_hardstate(hard_state.clone());
            }
        }
        let first = entries.first().map(|entry| LogIndex(entry.index));
        let truncate_from = first.filter(|&first| first <= self.last);
        if let Some(entry) = entries.last() {
            self.last = LogIndex(entry.index);
        }
        let write = Write {
            number: ready.number(),
            hard_state: hard_state.as_ref().map(hard_state_to_ours),
            truncate_from,
            entries: entries.iter().map(decode).collect::<Result<_, _>>()?,
            sync: ready.must_sync(),
            atomic: true,
            messages: self.wires(waiting),
        };
        let served = ready.take_read_states().into_iter().filter_map(|read| {
            let (_, token) = decode_read(&read.request_ctx)?;
            Some((token, LogIndex(read.index)))
        });
        let output = Output {
            messages: self.wires(messages),
            write: Some(write),
            reads: served.collect(),
            read_entries: Vec::new(),
            applied: applied.iter().map(decode).collect::<Result<_, _>>()?,
        };
        self.node.advance_append_async(ready);
        if let Some(last) = applied.last() {
            self.node.advance_apply_to(last.index);
        }
        Ok(Some(output))
    }

    fn belief(&self) -> Belief {
        let raft = &self.node.raft;
        Belief {
            term: self.term(),
            leader: Some(NodeId(raft.leader_id)).filter(|leader| leader.0 != 0),
            leads: raft.state == StateRole::Leader,
        }
    }
}

fn hard_state_to_theirs(state: HardState) -> eraftpb::HardState {
    eraftpb::HardState {
        term: state.term.0,
        vote: state.vote.map_or(0, |node| node.0),
        commit: state.commit.0,
        ..eraftpb::HardState::default()
    }
}

fn hard_state_to_ours(state: &eraftpb::HardState) -> HardState {
    HardState {
        term: Term(state.term),
        vote: Some(NodeId(state.vote)).filter(|node| node.0 != 0),
        commit: LogIndex(state.commit),
    }
}
