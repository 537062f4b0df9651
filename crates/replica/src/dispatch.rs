//! From bytes to runs: parses a client's requests, checks them, and cuts them into runs.
//!
//! Replies on a connection are in order, and so are effects. What may be started when:
//!
//! - A write may follow writes that are still on their way: batches are applied in order.
//! - Anything else may join a run that has a write in it already, and is then run at apply, in its
//!   place. Otherwise it waits until nothing of the connection is in flight.
//! - What changes the session (HELLO, SELECT, SUBSCRIBE, …) runs alone.
//!
//! A request that has to wait is not taken from the input: the raw bytes are the queue, and a
//! client whose queue is full is not read.

mod deferred;
mod multi;

use buggify::{Canary, Point};
use kv::{CommandSpec, error_text};
use resp::{Encoder, Limits, RequestParser};
use smallvec::SmallVec;

use crate::batch::HEADER_LENGTH;
use crate::commands::{self, Schedule};
use crate::config::ClientId;
use crate::encoding::{Command, encoded_length, push_command};
use crate::errors::{self, Failure};
use crate::execute::run_session_command;
use crate::kinds::{Kind, kind};
use crate::plan::{Mark, Plan};
use crate::replica::Replica;
use crate::session::BUFFER_RETAINED_MAX;

use multi::leaves_queue;

/// Replies that a client which has not authenticated may leave unread before no more of its commands
/// are started. For others see [`crate::Config::output_bytes_max`].
const UNSENT_OUTPUT_UNAUTHENTICATED_MAX: usize = 1 << 10;
/// The most bytes of one request that is still incomplete.
const REQUEST_BYTES_MAX: usize = 1 << 30;

type Request<'a> = SmallVec<[&'a [u8]; 8]>;

/// The run that is being cut.
#[derive(Debug, Default)]
struct Run {
    target: Target,
    /// Where it begins in the plan of reads.
    mark: Mark,
}

/// Where a run goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Target {
    /// Nothing has been put into it.
    #[default]
    Undecided,
    /// It has no write so far.
    Reads,
    /// It has one.
    Log,
}

/// Whether a request was taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Yes,
    /// It has to wait: it stays in the input. The client's own runs wake it when they end; what
    /// waits for anything else is noted for the ticks.
    No,
}

/// What came of a client's input.
struct Started {
    /// How many bytes of it were taken.
    bytes: usize,
    /// Whether the rest may not be started yet, as opposed to not being complete.
    stalled: bool,
}

impl Replica {
    /// Starts as many of a client's requests as may be started: those in its stored input, then
    /// those in `fresh`. What is left is stored.
    pub(crate) fn advance(&mut self, client: ClientId, fresh: &[u8]) {
        let Some(session) = self.node.sessions.find_mut(client) else {
            return;
        };
        session.input_taken_bytes = session.pending_input().len() + fresh.len();
        let mut parser = std::mem::take(&mut session.parser);
        let mut stored = std::mem::take(&mut session.input);
        let start = std::mem::take(&mut session.input_start);
        if start == stored.len() {
            stored.clear();
            let started = self.start_requests(client, &mut parser, fresh);
            stored.extend_from_slice(&fresh[started.bytes..]);
            self.store_input(client, parser, stored, 0, started.stalled);
        } else {
            stored.extend_from_slice(fresh);
            let started = self.start_requests(client, &mut parser, &stored[start..]);
            let start = start + started.bytes;
            self.store_input(client, parser, stored, start, started.stalled);
        }
    }

    /// Keeps what was not taken, from `start` on, and decides whether the socket is read on.
    fn store_input(
        &mut self,
        client: ClientId,
        parser: RequestParser,
        mut input: Vec<u8>,
        mut start: usize,
        stalled: bool,
    ) {
        let Some(session) = self.node.sessions.find_mut(client) else {
            return;
        };
        if start == input.len() {
            input.clear();
            start = 0;
            if input.capacity() > BUFFER_RETAINED_MAX {
                input = Vec::new();
            }
            session.waiting_since_us = None;
        } else if start > input.len() / 2 {
            input.drain(..start);
            start = 0;
        }
        session.input_taken_bytes = 0;
        session.parser = parser;
        session.input = input;
        session.input_start = start;
        session.stalled = stalled;
        if session.input_stopped && !session.has_enough_input() {
            session.input_stopped = false;
            self.resumed.push(client);
        }
        if session.pending_input().len() > REQUEST_BYTES_MAX {
            self.refuse_connection(client, "ERR Protocol error: request too large");
        }
    }

    fn refuse_connection(&mut self, client: ClientId, text: &str) {
        if let Some(session) = self.node.sessions.find_mut(client) {
            Encoder::new(&mut session.output, session.protocol).error(text);
            session.input = Vec::new();
            session.input_start = 0;
        }
        self.node.flush(client);
        self.node.close(client);
    }

    fn start_requests(
        &mut self,
        client: ClientId,
        parser: &mut RequestParser,
        input: &[u8],
    ) -> Started {
        let mut run = Run::default();
        let mut at = 0;
        let stalled = loop {
            if !self.may_start(client) {
                break true;
            }
            let limits = match self.node.session(client).authenticated {
                true => Limits::AUTHENTICATED,
                false => Limits::UNAUTHENTICATED,
            };
            let length = match parser.parse(&input[at..], &limits) {
                Ok(Some(length)) => length,
                Ok(None) => break false,
                Err(error) => {
                    if self.protocol_error(client, &mut run, &error) {
                        at = input.len();
                    } else {
                        *parser = RequestParser::new();
                    }
                    break true;
                }
            };
            if self.start_parsed(client, &mut run, parser, &input[at..]) == Taken::No {
                *parser = RequestParser::new();
                break true;
            }
            at += length;
        };
        self.end_run(client, &run);
        Started { bytes: at, stalled }
    }

    /// Starts the request that `parser` has found at the start of `input`.
    fn start_parsed(
        &mut self,
        client: ClientId,
        run: &mut Run,
        parser: &RequestParser,
        input: &[u8],
    ) -> Taken {
        let source = parser.source(input);
        let ranges = parser.args().iter();
        let request: Request<'_> = ranges.map(|range| &source[range.clone()]).collect();
        match request.is_empty() {
            true => Taken::Yes,
            false => self.start(client, run, &request),
        }
    }

    /// Whether any request of this client may be started now.
    fn may_start(&mut self, client: ClientId) -> bool {
        let now_us = self.node.now.mono_us;
        let paused = self
            .node
            .pause
            .is_some_and(|pause| !pause.writes_only && pause.until_us > now_us);
        let reply_bytes_max = self.node.config.reply_bytes_max();
        let Some(session) = self.node.sessions.find_mut(client) else {
            return false;
        };
        if session.closing || session.solo {
            return false;
        }
        let unsent_max = match session.authenticated {
            true => reply_bytes_max,
            false => UNSENT_OUTPUT_UNAUTHENTICATED_MAX,
        };
        if session.pending_output().len() > unsent_max {
            return false;
        }
        if session.asleep_until_us > now_us || paused {
            self.note_waiting(client);
            return false;
        }
        true
    }

    /// A request of this client waits for something other than its own runs: look again at ticks.
    fn note_waiting(&mut self, client: ClientId) {
        self.waiting.insert(client);
    }

    /// Answers a request that cannot be parsed, and disconnects. Returns false if it has to wait
    /// for what is in flight before it.
    fn protocol_error(
        &mut self,
        client: ClientId,
        run: &mut Run,
        error: &resp::ProtocolError,
    ) -> bool {
        let session = self.node.session(client);
        if run.target == Target::Undecided && session.runs_in_flight > 0 {
            return false;
        }
        let mut reply = Vec::new();
        if !error.is_silent() {
            Encoder::new(&mut reply, session.protocol).protocol_error(error);
        }
        match run.target {
            Target::Undecided => {
                session.output.extend_from_slice(&reply);
                self.node.flush(client);
                self.node.close(client);
            }
            Target::Reads | Target::Log => {
                let plan = self.plan(run);
                plan.literal(client, &reply);
                plan.close(client);
                // Nothing behind it means anything.
                self.node.session(client).solo = true;
            }
        }
        true
    }

    /// Checks one request and puts it where it belongs.
    fn start(&mut self, client: ClientId, run: &mut Run, args: &[&[u8]]) -> Taken {
        let now_us = self.node.now.mono_us;
        let session = self.node.session(client);
        session.active_us = now_us;
        let spec = match find_command(args) {
            Ok(spec) => spec,
            Err(reply) => {
                let reply = self.spoil_transaction(client, args[0], reply);
                let taken = self.reply_error(client, run, &reply);
                if taken == Taken::Yes {
                    self.node.stats.count_error(&reply);
                }
                return taken;
            }
        };
        if let Some(refusal) = self.refusal(client, spec) {
            let refusal = self.spoil_transaction(client, args[0], refusal.into_bytes());
            let taken = self.reply_error(client, run, &refusal);
            if taken == Taken::Yes {
                self.node.stats.count_rejection(spec.id, &refusal);
            }
            return taken;
        }
        let session = self.node.session(client);
        session.last_command = Some(spec);
        let kind = kind(spec.id);
        if session.multi.is_some() && !leaves_queue(spec, kind) {
            return self.queue(client, run, spec, kind, args);
        }
        match kind {
            Kind::Write => self.start_write(client, run, spec, args),
            Kind::Read => self.start_read(client, run, spec, args),
            Kind::Session(command) => self.start_session(client, run, spec, command.schedule, args),
            Kind::Membership => self.start_membership(client, run, spec, args),
            Kind::Backup => self.start_backup(client, run, spec, args),
            Kind::Unwatch => self.start_session(client, run, spec, Schedule::Alone, args),
            // EXEC carries what WATCH saw: it may not be cut before WATCH has run.
            Kind::Watch => self.start_session(client, run, spec, Schedule::ReadAlone, args),
            Kind::Multi => self.start_multi(client, run),
            Kind::Exec => self.start_exec(client, run),
            Kind::Discard => self.start_discard(client, run),
            Kind::Unsupported => {
                let text = error_text::refused(spec)
                    .unwrap_or_else(|| format!("ERR '{}' is not supported", spec.name));
                self.reply_error(client, run, text.as_bytes())
            }
        }
    }

    /// Why the client may not run this command now, if it may not.
    fn refusal(&mut self, client: ClientId, spec: &CommandSpec) -> Option<String> {
        let session = self.node.session(client);
        if !session.authenticated && !commands::allowed_without_authentication(spec) {
            return Some(commands::NOAUTH.to_owned());
        }
        if session.in_subscriber_mode() && !commands::allowed_in_subscriber_mode(spec) {
            return Some(commands::subscriber_mode_error(spec));
        }
        None
    }

    /// The plan of the run being cut.
    fn plan(&mut self, run: &Run) -> &mut Plan {
        match run.target {
            Target::Log => &mut self.gateway.gathering().plan,
            Target::Reads | Target::Undecided => self.reads.gathering(),
        }
    }

    /// Makes the run one that goes into the log, moving what it has so far.
    fn target_log(&mut self, run: &mut Run) {
        if run.target == Target::Reads {
            let plan = &mut self.gateway.gathering().plan;
            self.reads.gathering().move_tail(run.mark, plan);
        }
        run.target = Target::Log;
    }

    /// Makes the run one of reads, unless it has a write already.
    fn target_reads(&mut self, run: &mut Run) {
        if run.target == Target::Undecided {
            run.target = Target::Reads;
            run.mark = self.reads.gathering().mark();
        }
    }

    /// Whether something that is not a write may be put into the run.
    fn may_join(&mut self, client: ClientId, run: &Run) -> bool {
        run.target != Target::Undecided
            || self.node.session(client).runs_in_flight == 0
            || buggify::canary(Canary::ReadOvertakesWrites)
    }

    /// Whether a write may be put into the run: behind writes in flight, not behind reads.
    fn may_write(&mut self, client: ClientId, run: &Run) -> bool {
        let session = self.node.session(client);
        session.runs_in_flight == 0 || session.writes_in_flight || run.target == Target::Log
    }

    /// Puts a reply that is known already in its place.
    fn reply_literal(&mut self, client: ClientId, run: &mut Run, reply: &[u8]) -> Taken {
        if !self.may_join(client, run) {
            return Taken::No;
        }
        if run.target == Target::Undecided {
            self.reply_now(client, None, |_, out| out.raw(reply));
        } else {
            self.plan(run).literal(client, reply);
        }
        Taken::Yes
    }

    fn reply_error(&mut self, client: ClientId, run: &mut Run, text: &[u8]) -> Taken {
        let mut reply = Vec::with_capacity(text.len() + 3);
        Encoder::new(&mut reply, resp::Protocol::Resp2).error(text);
        self.reply_literal(client, run, &reply)
    }

    /// Runs something for a client that has nothing in flight, and sends what it replies. If it is a
    /// command, it is counted.
    fn reply_now(
        &mut self,
        client: ClientId,
        command: Option<(&CommandSpec, &[&[u8]])>,
        run: impl FnOnce(&mut crate::node::Node, &mut Encoder<'_>),
    ) {
        let session = self.node.session(client);
        session.reply_mode.begin();
        let mut output = std::mem::take(&mut session.output);
        let length = output.len();
        let protocol = session.protocol;
        run(&mut self.node, &mut Encoder::new(&mut output, protocol));
        if let Some((spec, args)) = command {
            let duration_us = self.node.slept_us(client);
            self.node
                .note_call(client, spec.id, args, &output[length..], duration_us);
        }
        let Some(session) = self.node.sessions.find_mut(client) else {
            return;
        };
        if !session.reply_mode.end() {
            output.truncate(length);
        }
        output.append(&mut session.output);
        session.output = output;
        self.node.flush(client);
    }

    fn start_read(
        &mut self,
        client: ClientId,
        run: &mut Run,
        spec: &CommandSpec,
        args: &[&[u8]],
    ) -> Taken {
        if !self.may_join(client, run) {
            return Taken::No;
        }
        let db = self.node.session(client).db;
        self.target_reads(run);
        self.plan(run).read(client, spec.id, db, args);
        Taken::Yes
    }

    fn start_session(
        &mut self,
        client: ClientId,
        run: &mut Run,
        spec: &CommandSpec,
        schedule: Schedule,
        args: &[&[u8]],
    ) -> Taken {
        if !self.may_join(client, run) {
            return Taken::No;
        }
        let db = self.node.session(client).db;
        match (schedule, run.target) {
            (Schedule::AfterSleep, Target::Undecided) if self.falls_asleep(client, args) => {
                Taken::No
            }
            (Schedule::AfterSave, Target::Undecided)
                if commands::waits_for_save(&mut self.node, client) =>
            {
                self.note_waiting(client);
                Taken::No
            }
            (
                Schedule::Alone | Schedule::AfterSleep | Schedule::AfterSave | Schedule::InPlace,
                Target::Undecided,
            ) => {
                self.reply_now(client, Some((spec, args)), |node, out| {
                    let command = Command {
                        id: spec.id,
                        db,
                        args: args.iter().copied().collect(),
                    };
                    run_session_command(node, client, &command, out);
                });
                Taken::Yes
            }
            (Schedule::Alone | Schedule::AfterSleep | Schedule::AfterSave, _) => Taken::No,
            (Schedule::InPlace | Schedule::ReadAlone, _) => {
                self.target_reads(run);
                self.plan(run).session(client, spec.id, db, args);
                self.node.session(client).solo |= schedule == Schedule::ReadAlone;
                Taken::Yes
            }
        }
    }

    /// Whether a command that is answered after a sleep has yet to sleep. It stays in the input
    /// meanwhile, and is found there again when the connection may go on.
    fn falls_asleep(&mut self, client: ClientId, args: &[&[u8]]) -> bool {
        let now_us = self.node.now.mono_us;
        let sleep_us = commands::sleep_us(args).unwrap_or(0);
        let session = self.node.session(client);
        if sleep_us == 0 || session.asleep_since_us.is_some() {
            return false;
        }
        session.asleep_since_us = Some(now_us);
        session.asleep_until_us = now_us + sleep_us;
        self.note_waiting(client);
        true
    }

    fn start_write(
        &mut self,
        client: ClientId,
        run: &mut Run,
        spec: &CommandSpec,
        args: &[&[u8]],
    ) -> Taken {
        let bytes = encoded_length(args.iter().copied());
        if let Some(taken) = self.refuse_write(client, run, bytes) {
            return taken;
        }
        let db = self.node.session(client).db;
        self.target_log(run);
        let gathering = self.gateway.gathering();
        gathering.plan.write(client);
        push_command(gathering.records(), spec.id, db, args.iter().copied());
        Taken::Yes
    }

    /// Refuses a write that cannot be put into the log now; closes the batch if it is full.
    fn refuse_write(&mut self, client: ClientId, run: &mut Run, bytes: usize) -> Option<Taken> {
        if !self.may_write(client, run) {
            return Some(Taken::No);
        }
        let limit = self.node.config.entry_bytes_max;
        if bytes + HEADER_LENGTH > limit {
            let text = errors::too_large(bytes + HEADER_LENGTH, limit);
            return Some(self.reply_error(client, run, text.as_bytes()));
        }
        if self.node.consensus.disk_full || self.gateway.target_disk_full() {
            return Some(self.reply_error(client, run, errors::disk_full().as_bytes()));
        }
        let now_us = self.node.now.mono_us;
        let timeout_us = self.node.config.request_timeout_ms * 1000;
        if self.node.pause.is_some_and(|pause| pause.until_us > now_us) {
            self.note_waiting(client);
            return Some(Taken::No);
        }
        let full = self.gateway.unapplied_bytes() + bytes > self.node.config.unapplied_bytes_max
            && self.gateway.unapplied_count() > 0;
        if full {
            return Some(self.wait_for_room(client, run));
        }
        let gathered = self.gateway.gathering().bytes();
        let is_full = gathered + bytes > self.node.config.batch_bytes_max
            || buggify::point(Point::BatchClosedEarly);
        if gathered > 0 && is_full {
            self.gateway.close_batch(now_us, timeout_us);
        }
        self.node.session(client).waiting_since_us = None;
        None
    }

    /// A write finds the gateway's queue full: it waits until its deadline.
    fn wait_for_room(&mut self, client: ClientId, run: &mut Run) -> Taken {
        let now_us = self.node.now.mono_us;
        let session = self.node.session(client);
        let waited_us = now_us - *session.waiting_since_us.get_or_insert(now_us);
        if waited_us < self.node.config.request_timeout_ms * 1000 {
            self.note_waiting(client);
            return Taken::No;
        }
        let failure = Failure::NeverHanded {
            waited_ms: waited_us / 1000,
        };
        let taken = self.reply_error(client, run, failure.of_write().as_bytes());
        if taken == Taken::Yes {
            self.node.stats.count_failure(failure);
        }
        taken
    }

    /// Ends the run being cut: from here on it is in flight.
    fn end_run(&mut self, client: ClientId, run: &Run) {
        if run.target == Target::Undecided {
            return;
        }
        self.plan(run).end_run(client);
        let now_us = self.node.now.mono_us;
        self.plan(run).arrived_us.get_or_insert(now_us);
        let session = self.node.session(client);
        session.runs_in_flight += 1;
        session.writes_in_flight = run.target == Target::Log;
    }
}

/// Looks a request's command up and checks the number of its arguments; the error's text if it
/// fails.
fn find_command(args: &[&[u8]]) -> Result<&'static CommandSpec, Vec<u8>> {
    let Some(spec) = kv::lookup(args[0]) else {
        return Err(error_text::unknown_command(args));
    };
    let spec = match (spec.subcommands.is_empty(), args.get(1)) {
        (false, Some(name)) => match kv::lookup_subcommand(spec, name) {
            Some(subcommand) => subcommand,
            None => return Err(error_text::unknown_subcommand(args)),
        },
        _ => spec,
    };
    if !spec.accepts_argument_count(args.len()) {
        return Err(error_text::wrong_number_of_arguments(spec).into_bytes());
    }
    Ok(spec)
}
