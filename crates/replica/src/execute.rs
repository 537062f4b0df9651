//! Runs plans and batches against the state machine. This is where replies are made.

use buggify::Canary;
use kv::{CommandSpec, Effects, ReadEnv, ReadOutcome};
use raft::LogIndex;
use resp::{Encoder, Protocol};

use crate::batch::{BatchReader, Record};
use crate::commands::Schedule;
use crate::config::ClientId;
use crate::encoding::{Command, MalformedCommand, Reader};
use crate::errors::Failure;
use crate::kinds::{Kind, kind};
use crate::node::Node;
use crate::plan::{Plan, Step};
use crate::pubsub::PubSub;
use crate::session::Sessions;
use crate::witness::{AFTER_ENTRY, Witness};

/// Applies a batch that holds no client of this node: nobody hears the replies.
///
/// # Errors
/// If the bytes are malformed. All replicas have the same bytes and stop at the same record.
pub(crate) fn apply(node: &mut Node, batch: BatchReader<'_>) -> Result<(), MalformedCommand> {
    let mut batch = batch;
    let mut out = Encoder::discard(Protocol::Resp2);
    while let Some(record) = batch.next()? {
        match record {
            Record::Command(command) => write(node, &command, &mut out),
            Record::Transaction { watches, writes } => {
                let holds = watches_hold(node, &watches);
                for _ in 0..writes {
                    let command = batch.next_command()?;
                    if holds {
                        write(node, &command, &mut out);
                    }
                }
            }
        }
    }
    Ok(())
}

/// Applies a batch of this gateway: its plan makes the replies, in order.
pub(crate) fn apply_with_plan(node: &mut Node, batch: BatchReader<'_>, plan: &Plan) {
    Runner::new(node, plan, Point::Log, Some(batch)).run(None);
}

/// Runs reads at a point of the log that was confirmed after they arrived. Runs that meet a key due
/// by this node's clock but not by the log's are moved into `deferred`, to go through the log.
pub(crate) fn run_reads(node: &mut Node, plan: &Plan, deferred: &mut Plan) {
    Runner::new(node, plan, Point::Confirmed, None).run(Some(deferred));
}

/// Answers a plan whose batch or reads failed.
pub(crate) fn fail(node: &mut Node, plan: &Plan, failure: Failure) {
    Runner::new(node, plan, Point::Failed(failure), None).run(None);
}

/// Where in the log a plan runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Point {
    /// At its own entry: time is the entry's.
    Log,
    /// At a confirmed read index: time is this node's clock too.
    Confirmed,
    /// Nowhere: every command that needs the log gets an error.
    Failed(Failure),
}

/// Runs a plan from its first step to its last.
struct Runner<'a> {
    node: &'a mut Node,
    plan: &'a Plan,
    point: Point,
    /// The writes of the plan. Gone if they turn out to be malformed.
    batch: Option<BatchReader<'a>>,
    /// The next step.
    step: usize,
    /// Where its bytes begin in the plan's buffer.
    byte: usize,
    /// The client whose steps are being run, if it is still there.
    client: Option<ClientId>,
    /// The protocol that client speaks.
    protocol: Protocol,
    /// The client's output, taken out of its session while its steps run.
    out: Vec<u8>,
    /// How long the output was before.
    out_start: usize,
    /// When the plan's commands arrived.
    arrived_us: u64,
    /// How many records of the batch were begun.
    records: u32,
    /// Where the command that makes the next reply was executed, if it was: its
    /// [`Witness::order`].
    executed: Option<u32>,
}

impl<'a> Runner<'a> {
    fn new(
        node: &'a mut Node,
        plan: &'a Plan,
        point: Point,
        batch: Option<BatchReader<'a>>,
    ) -> Self {
        let arrived_us = plan.arrived_us.unwrap_or(node.now.mono_us);
        Runner {
            node,
            plan,
            point,
            batch,
            step: 0,
            byte: 0,
            client: None,
            protocol: Protocol::Resp2,
            out: Vec::new(),
            out_start: 0,
            arrived_us,
            records: 0,
            executed: None,
        }
    }

    fn run(mut self, mut deferred: Option<&mut Plan>) {
        while let Some(&step) = self.plan.steps.get(self.step) {
            let (first, byte, length) = (self.step, self.byte, self.out.len());
            self.step += 1;
            match step {
                Step::Client(client) => {
                    self.leave();
                    self.enter(client);
                    continue;
                }
                Step::EndRun => {
                    self.end_run();
                    continue;
                }
                Step::Close => {
                    if let Some(client) = self.client {
                        self.node.close(client);
                    }
                    continue;
                }
                _ => {}
            }
            self.limit_output();
            self.begin_reply();
            let outcome = self.unit(step);
            if outcome == ReadOutcome::DueByClock
                && let Some(deferred) = deferred.as_deref_mut()
            {
                self.out.truncate(length);
                self.defer(first, byte, deferred);
                continue;
            }
            self.end_reply(length);
        }
        self.leave();
    }

    /// Gives a client up to whom more is owed than may wait for it. One reply may be larger: only what
    /// is made behind it counts, so that a long pipeline of large reads has a bound.
    fn limit_output(&mut self) {
        let Some(client) = self.client else { return };
        let unsent_max = self.out_start + self.node.config.reply_bytes_max();
        if self.out.len() > unsent_max {
            tracing::warn!(
                bytes = self.out.len() - self.out_start,
                "a pipeline asks for more than client-output-limit at once, its client is disconnected"
            );
            self.node.close(client);
            self.leave();
        }
    }

    /// Runs what makes one reply.
    fn unit(&mut self, step: Step) -> ReadOutcome {
        match step {
            Step::Write => {
                self.write();
                self.records += 1;
                ReadOutcome::Done
            }
            Step::Read { length } => self.read(length as usize),
            Step::Session { length } => {
                self.session(length as usize);
                ReadOutcome::Done
            }
            Step::Literal { length } => {
                let reply = self.take(length as usize);
                if self.client.is_some() {
                    self.out.extend_from_slice(reply);
                }
                ReadOutcome::Done
            }
            Step::LoggedExec { steps } => {
                let order = self.records;
                let outcome = self.exec(steps, None);
                // Its writes were counted one by one, and are one record.
                self.records = order + 1;
                self.note_exec(order);
                outcome
            }
            Step::ReadExec { steps, length } => {
                let watches = self.take(length as usize);
                let outcome = self.exec(steps, Some(watches));
                self.note_exec(self.order_of_read());
                outcome
            }
            Step::Client(_) | Step::EndRun | Step::Close => ReadOutcome::Done,
        }
    }

    fn enter(&mut self, client: ClientId) {
        self.client = None;
        if let Some(session) = self.node.sessions.find_mut(client) {
            self.client = Some(client);
            self.protocol = session.protocol;
            self.out = std::mem::take(&mut session.output);
            self.out_start = self.out.len();
        }
    }

    /// Gives the output back. Messages that came to this very client meanwhile, from another's
    /// command, stand behind its replies.
    fn leave(&mut self) {
        let Some(client) = self.client.take() else {
            self.out.clear();
            return;
        };
        let mut out = std::mem::take(&mut self.out);
        if let Some(session) = self.node.sessions.find_mut(client) {
            out.append(&mut session.output);
            session.output = out;
            if session.output.len() > self.out_start {
                self.node.flush(client);
            }
        }
    }

    fn end_run(&mut self) {
        let Some(client) = self.client else { return };
        let Some(session) = self.node.sessions.find_mut(client) else {
            return;
        };
        session.runs_in_flight -= 1;
        if session.runs_in_flight == 0 {
            session.solo = false;
        }
        if !session.pending_input().is_empty() {
            self.node.wake(client);
        }
    }

    /// A command begins that makes one reply.
    fn begin_reply(&mut self) {
        self.executed = None;
        let client = self.client;
        if let Some(session) = client.and_then(|client| self.node.sessions.find_mut(client)) {
            session.reply_mode.begin();
        }
    }

    /// A reply, from `start` on, is complete. Drops it if CLIENT REPLY says so. A client that
    /// published to itself (RESP3) gets the message before the reply, as in Redis.
    fn end_reply(&mut self, start: usize) {
        let client = self.client;
        let Some(session) = client.and_then(|client| self.node.sessions.find_mut(client)) else {
            return self.out.clear();
        };
        let is_sent = session.reply_mode.end();
        if !is_sent {
            self.out.truncate(start);
        }
        let mut start = start;
        if !session.output.is_empty() {
            let reply = self.out.split_off(start);
            self.out.append(&mut session.output);
            start = self.out.len();
            self.out.extend(reply);
        }
        if buggify::ENABLED && is_sent {
            self.bear_witness(start);
        }
    }

    /// Tells a simulator where the reply was made that begins at `start` of the output.
    fn bear_witness(&mut self, start: usize) {
        let (Some(client), Some(order)) = (self.client, self.executed) else {
            return;
        };
        if let Some(session) = self.node.sessions.find(client) {
            self.node.witnesses.push(Witness {
                client,
                offset: session.written_bytes + (start - session.output_start) as u64,
                index: LogIndex(self.node.machine.store.applied()),
                order,
            });
        }
    }

    /// Notes where an EXEC was executed, whatever its commands noted.
    fn note_exec(&mut self, order: u32) {
        let failed = matches!(self.point, Point::Failed(_));
        self.executed = (!failed).then_some(order);
    }

    /// The [`Witness::order`] of a read that is run now.
    fn order_of_read(&self) -> u32 {
        match self.point {
            Point::Log => self.records,
            Point::Confirmed | Point::Failed(_) => AFTER_ENTRY,
        }
    }

    /// Moves the rest of the client's run into `deferred`.
    fn defer(&mut self, first: usize, byte: usize, deferred: &mut Plan) {
        let steps = &self.plan.steps[first..];
        let count = steps
            .iter()
            .position(|step| *step == Step::EndRun)
            .map_or(steps.len(), |end| end + 1);
        let steps = &steps[..count];
        let bytes: usize = steps.iter().map(|step| step.length()).sum();
        if let Some(client) = self.client {
            deferred.copy_steps(client, steps, &self.plan.buffer[byte..byte + bytes]);
        }
        self.step = first + count;
        self.byte = byte + bytes;
    }

    /// The next bytes of the plan's buffer.
    fn take(&mut self, length: usize) -> &'a [u8] {
        let bytes = &self.plan.buffer[self.byte..self.byte + length];
        self.byte += length;
        bytes
    }

    fn command(&mut self, length: usize) -> Command<'a> {
        let bytes = self.take(length);
        Reader::new(bytes)
            .command()
            .expect("a plan holds what this gateway encoded")
    }

    fn encoder(&mut self) -> Encoder<'_> {
        match self.client {
            Some(_) => Encoder::new(&mut self.out, self.protocol),
            None => Encoder::discard(self.protocol),
        }
    }

    fn write(&mut self) {
        if let Point::Failed(failure) = self.point {
            self.node.stats.count_failure(failure);
            return self.encoder().error(failure.of_write());
        }
        match self.batch.as_mut().map(BatchReader::next_command) {
            Some(Ok(command)) => {
                self.run_write(&command);
                self.executed = Some(self.records);
            }
            _ => {
                // As on the other replicas, nothing behind it is run.
                self.batch = None;
                self.encoder()
                    .error("ERR this batch is malformed, the command had no effect");
            }
        }
    }

    fn run_write(&mut self, command: &Command<'_>) {
        let length = self.out.len();
        let mut out = match self.client {
            Some(_) => Encoder::new(&mut self.out, self.protocol),
            None => Encoder::discard(self.protocol),
        };
        write(self.node, command, &mut out);
        self.count(command, length);
    }

    /// Counts a command of a client that is there; nobody's own figures change for others' clients.
    fn count(&mut self, command: &Command<'_>, length: usize) {
        let Some(client) = self.client else { return };
        let duration_us = self.node.now.mono_us.saturating_sub(self.arrived_us);
        let reply = &self.out[length..];
        self.node
            .note_call(client, command.id, &command.args, reply, duration_us);
    }

    fn read(&mut self, length: usize) -> ReadOutcome {
        let command = self.command(length);
        if self.client.is_none() {
            return ReadOutcome::Done;
        }
        if let Point::Failed(failure) = self.point {
            self.node.stats.count_failure(failure);
            self.encoder().error(failure.of_read());
            return ReadOutcome::Done;
        }
        let Some(spec) = kv::by_id(command.id) else {
            return ReadOutcome::Done;
        };
        let length = self.out.len();
        let wall_ms = match self.point {
            Point::Confirmed => self.node.now.wall_ms,
            _ => self.node.machine.store.time_ms(),
        };
        let env = ReadEnv {
            wall_ms,
            seed: self.node.random.next_u64(),
        };
        let mut out = Encoder::new(&mut self.out, self.protocol);
        let store = &self.node.machine.store;
        let outcome = store.read(spec, command.db, &command.args, &env, &mut out);
        if outcome == ReadOutcome::Done {
            self.executed = Some(self.order_of_read());
            self.count(&command, length);
        }
        outcome
    }

    fn session(&mut self, length: usize) {
        let command = self.command(length);
        let Some(client) = self.client else { return };
        let needs_log = match kind(command.id) {
            Kind::Session(session_command) => session_command.schedule == Schedule::ReadAlone,
            Kind::Watch => true,
            _ => false,
        };
        if let Point::Failed(failure) = self.point
            && needs_log
        {
            return self.encoder().error(failure.of_read());
        }
        let length = self.out.len();
        let mut out = Encoder::new(&mut self.out, self.protocol);
        run_session_command(self.node, client, &command, &mut out);
        self.count(&command, length);
        if let Some(session) = self.node.sessions.find(client) {
            self.protocol = session.protocol;
        }
    }

    /// Runs a transaction. What it watches is given for one without a write; for one with writes it
    /// is in the batch.
    fn exec(&mut self, steps: u32, watches: Option<&'a [u8]>) -> ReadOutcome {
        if let Point::Failed(failure) = self.point {
            self.skip(steps);
            self.node.stats.count_failure(failure);
            let reply = match watches {
                None => failure.of_write(),
                Some(_) => failure.of_read(),
            };
            self.encoder().error(reply);
            return ReadOutcome::Done;
        }
        let record = match watches {
            None => self.batch.as_mut().map(BatchReader::next),
            Some(watches) => Some(BatchReader::at_record(watches).next()),
        };
        let (holds, writes) = match record {
            Some(Ok(Some(Record::Transaction { watches, writes }))) => {
                (watches_hold(self.node, &watches), writes)
            }
            _ => (false, 0),
        };
        if !holds {
            self.skip(steps);
            if let Some(batch) = &mut self.batch {
                for _ in 0..writes {
                    let _ = batch.next_command();
                }
            }
            self.encoder().null_array();
            return ReadOutcome::Done;
        }
        self.encoder().array(steps as usize);
        for _ in 0..steps {
            let step = self.plan.steps[self.step];
            self.step += 1;
            if self.unit(step) == ReadOutcome::DueByClock {
                return ReadOutcome::DueByClock;
            }
        }
        ReadOutcome::Done
    }

    fn skip(&mut self, steps: u32) {
        for _ in 0..steps {
            self.byte += self.plan.steps[self.step].length();
            self.step += 1;
        }
    }
}

/// Runs a session command in its place.
pub(crate) fn run_session_command(
    node: &mut Node,
    client: ClientId,
    command: &Command<'_>,
    out: &mut Encoder<'_>,
) {
    match kind(command.id) {
        Kind::Session(session_command) => {
            (session_command.handler)(node, client, &command.args, out);
        }
        Kind::Watch => crate::transaction::watch(node, client, command, out),
        Kind::Unwatch => {
            node.session(client).watches.clear();
            out.ok();
        }
        _ => out.error("ERR this command is not supported here"),
    }
}

/// Executes one write. The table decides what it may be: bytes of the log may come from a node
/// whose table is newer.
fn write(node: &mut Node, command: &Command<'_>, out: &mut Encoder<'_>) {
    let Some(spec) = checked(command) else {
        return out.error("ERR the log holds a command that this version does not know");
    };
    let Node {
        machine,
        pubsub,
        sessions,
        flush,
        compaction,
        ..
    } = node;
    compaction.changes += 1;
    let mut delivery = Delivery {
        pubsub,
        sessions,
        flush,
    };
    machine
        .store
        .write(spec, command.db, &command.args, &mut delivery, out);
}

fn checked(command: &Command<'_>) -> Option<&'static CommandSpec> {
    kv::by_id(command.id).filter(|spec| spec.accepts_argument_count(command.args.len()))
}

fn watches_hold(node: &Node, watches: &[(u8, &[u8], u64)]) -> bool {
    if buggify::canary(Canary::WatchIgnored) {
        return true;
    }
    let store = &node.machine.store;
    watches
        .iter()
        .all(|(db, key, version)| store.version(*db, key) == *version)
}

/// Carries published messages to this node's subscribers.
struct Delivery<'a> {
    pubsub: &'a PubSub,
    sessions: &'a mut Sessions,
    flush: &'a mut Vec<ClientId>,
}

impl Effects for Delivery<'_> {
    fn publish(&mut self, sharded: bool, channel: &[u8], message: &[u8]) -> i64 {
        self.pubsub
            .publish(self.sessions, self.flush, sharded, channel, message)
    }
}
