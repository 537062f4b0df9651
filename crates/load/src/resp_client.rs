//! Load by RESP: one thread, one poll, no allocation for a command.
//!
//! One turn: sleep until a socket or the timer has something; read what came, in one call a
//! connection; count the replies where they lie; write the next commands, in one call a connection.
//! A connection in a closed loop sends a whole pipeline and waits for all of its replies, as
//! redis-benchmark and most pipelining clients do.

mod connection;

use std::{collections::VecDeque, os::fd::AsRawFd, time::Duration};

use mio::{Events, Interest, Poll, Token, event::Event, unix::SourceFd};

use self::connection::Connection;
use crate::{
    commands::{Command, RespEncoder, ValuePool},
    measure::{Recorder, Started},
    options::Plan,
    report::{Run, Traffic},
    schedule::{Clock, OpenLoop, Window},
    timer::Timer,
};

/// Events taken from the system at a time.
const EVENTS_MAX: usize = 1024;
/// What is read by one call. More than a pipeline of usual replies, so that one call takes them all.
const READ_BYTES: usize = 256 << 10;
/// How long after a connection broke the next is tried.
const RETRY_NANOSECONDS: u64 = 20_000_000;
/// Connections have their own number as token.
const TIMER: Token = Token(usize::MAX);

/// Runs the plan. An error is one line, and means that nothing was measured.
pub(crate) fn run(plan: &Plan) -> Result<Run, String> {
    let mut driver = Driver::new(plan)?;
    driver.run()?;
    let traffic = Traffic {
        sent_bytes: driver.connections.iter().map(|it| it.sent_bytes).sum(),
        received_bytes: driver.connections.iter().map(|it| it.received_bytes).sum(),
    };
    Ok(Run {
        recorder: driver.recorder,
        elapsed: driver.clock.now(),
        traffic: Some(traffic),
    })
}

struct Driver<'a> {
    plan: &'a Plan,
    poll: Poll,
    timer: Timer,
    clock: Clock,
    window: Window,
    /// `None` in a closed loop.
    schedule: Option<OpenLoop>,
    connections: Vec<Connection>,
    /// In an open loop, connections that may have room for a command, who waits longest first.
    /// Invariant: a connection with room is in it, and none is twice.
    ready: VecDeque<usize>,
    /// In an open loop, connections with something to send that was not there at the last flush.
    unflushed: Vec<usize>,
    /// When to try broken connections again, in this order.
    retries: VecDeque<(u64, usize)>,
    in_flight: usize,
    pool: ValuePool,
    encoder: RespEncoder,
    recorder: Recorder,
    buffer: Vec<u8>,
}

impl<'a> Driver<'a> {
    /// Connects to every target.
    fn new(plan: &'a Plan) -> Result<Driver<'a>, String> {
        let poll = Poll::new().map_err(|error| format!("cannot poll: {error}"))?;
        let timer = Timer::new().map_err(|error| format!("cannot make a timer: {error}"))?;
        poll.registry()
            .register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)
            .map_err(|error| format!("cannot poll the timer: {error}"))?;
        let mut connections = Vec::with_capacity(plan.connections);
        for number in 0..plan.connections {
            connections.push(Connection::open(plan, number, poll.registry())?);
        }
        let window = Window::new(plan);
        Ok(Driver {
            plan,
            poll,
            timer,
            clock: Clock::start(),
            window,
            schedule: plan.rate.map(|rate| OpenLoop::new(rate, &window)),
            ready: (0..plan.connections).collect(),
            connections,
            unflushed: Vec::new(),
            retries: VecDeque::new(),
            in_flight: 0,
            pool: ValuePool::new(plan.seed, plan.value_bytes),
            encoder: RespEncoder::new(plan.value_bytes),
            recorder: Recorder::new(window),
            buffer: vec![0; READ_BYTES],
        })
    }

    fn run(&mut self) -> Result<(), String> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        self.clock = Clock::start();
        if self.schedule.is_none() {
            for number in 0..self.connections.len() {
                self.send_pipeline(number);
            }
        }
        loop {
            let now = self.clock.now();
            self.retry(now);
            let wake_at = self.dispatch(now)?;
            if self.is_over(now) {
                break;
            }
            let timeout = Duration::from_nanos(wake_at.saturating_sub(now));
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                    return Err(format!("cannot poll: {error}"));
                }
                _ => {}
            }
            for event in &events {
                if event.token() != TIMER {
                    self.serve(event);
                }
            }
        }
        self.abandon_the_rest();
        Ok(())
    }

    /// In an open loop, sends what is due. Tells when to wake up at the latest.
    fn dispatch(&mut self, now: u64) -> Result<u64, String> {
        if let Some(mut schedule) = self.schedule.take() {
            while schedule.next_due().is_some_and(|due| due <= now) {
                let Some(number) = self.connection_with_room() else {
                    break;
                };
                if let Some(due) = schedule.take() {
                    if self.connections[number].output.is_empty() {
                        self.unflushed.push(number);
                    }
                    self.append(number, due);
                }
            }
            while let Some(number) = self.unflushed.pop() {
                self.flush(number);
            }
            if let Some(due) = schedule.next_due()
                && !self.ready.is_empty()
            {
                let wait = due.saturating_sub(self.clock.now());
                let set = self.timer.set(wait);
                set.map_err(|error| format!("cannot set the timer: {error}"))?;
            }
            self.schedule = Some(schedule);
        }
        let retry_at = self.retries.front().map_or(u64::MAX, |(at, _)| *at);
        Ok(self.give_up_at().min(retry_at))
    }

    /// Takes a connection that has room, and puts it behind the others if it has still more.
    fn connection_with_room(&mut self) -> Option<usize> {
        while let Some(number) = self.ready.pop_front() {
            let connection = &mut self.connections[number];
            let room = self
                .plan
                .pipeline
                .saturating_sub(connection.in_flight.len());
            if !connection.is_open() || room == 0 {
                connection.is_queued = false;
                continue;
            }
            connection.is_queued = room > 1;
            if room > 1 {
                self.ready.push_back(number);
            }
            return Some(number);
        }
        None
    }

    /// Appends the next command to what the connection has to send.
    fn append(&mut self, number: usize, at: u64) -> bool {
        let connection = &mut self.connections[number];
        let Some(command) = connection.commands.next(&self.pool) else {
            return false;
        };
        self.encoder.write(&mut connection.output, &command);
        connection.in_flight.push_back(started(&command, at));
        self.in_flight += 1;
        true
    }

    /// In a closed loop: sends a whole pipeline on a connection that waits for nothing.
    fn send_pipeline(&mut self, number: usize) {
        let now = self.clock.now();
        let connection = &self.connections[number];
        if !connection.is_open() || !connection.in_flight.is_empty() || now >= self.window.until {
            return;
        }
        for _ in 0..self.plan.pipeline {
            if !self.append(number, now) {
                break;
            }
        }
        self.flush(number);
    }

    fn flush(&mut self, number: usize) {
        if let Err(reason) = self.connections[number].flush() {
            self.lose(number, &reason);
        }
    }

    /// A socket has something.
    fn serve(&mut self, event: &Event) {
        let number = event.token().0;
        let connection = &mut self.connections[number];
        if event.is_writable()
            && let Err(reason) = connection.became_writable()
        {
            self.lose(number, &reason);
            return;
        }
        let before = connection.in_flight.len();
        let is_ending = event.is_read_closed() || event.is_error();
        let received =
            connection.receive(&mut self.buffer, is_ending, self.clock, &mut self.recorder);
        self.in_flight -= before - connection.in_flight.len();
        if let Err(reason) = received {
            self.lose(number, &reason);
            return;
        }
        if self.schedule.is_none() {
            self.send_pipeline(number);
        } else if connection.is_open() && !connection.is_queued {
            connection.is_queued = true;
            self.ready.push_back(number);
        }
    }

    /// A connection broke: what was on its way failed, and it is made anew a little later.
    fn lose(&mut self, number: usize, reason: &str) {
        let now = self.clock.now();
        let connection = &mut self.connections[number];
        self.in_flight -= connection.in_flight.len();
        connection.lose(self.plan, number, reason, now, &mut self.recorder);
        self.retries.push_back((now + RETRY_NANOSECONDS, number));
    }

    fn retry(&mut self, now: u64) {
        while let Some((at, number)) = self.retries.front().copied()
            && at <= now
        {
            self.retries.pop_front();
            let registry = self.poll.registry();
            let connection = &mut self.connections[number];
            if let Err(reason) = connection.begin_connect(self.plan, number, registry) {
                self.lose(number, &reason);
            }
        }
    }

    /// When missing replies are no longer waited for.
    fn give_up_at(&self) -> u64 {
        if !self.plan.is_fill {
            return self.window.give_up;
        }
        let patience = u64::try_from(self.plan.patience.as_nanos()).unwrap_or(u64::MAX);
        self.recorder.last_reply.saturating_add(patience)
    }

    fn is_over(&self, now: u64) -> bool {
        if now >= self.give_up_at() {
            return true;
        }
        let is_all_sent = match &self.schedule {
            Some(schedule) => schedule.next_due().is_none(),
            None if self.plan.is_fill => self.connections.iter().all(|it| it.commands.is_over()),
            None => now >= self.window.until,
        };
        is_all_sent && self.in_flight == 0
    }

    /// Patience is over: what has no reply has none, and what waits to be sent is not sent.
    fn abandon_the_rest(&mut self) {
        let now = self.clock.now();
        for connection in &mut self.connections {
            for started in connection.in_flight.drain(..) {
                self.recorder.abandoned(started, now);
            }
        }
        let Some(schedule) = &mut self.schedule else {
            return;
        };
        while let Some(at) = schedule.take() {
            // What it would have been was not chosen; most are what most are.
            let is_read = self.plan.read_share > 0.5;
            self.recorder.abandoned(Started { at, is_read }, now);
        }
    }
}

fn started(command: &Command<'_>, at: u64) -> Started {
    Started {
        at,
        is_read: command.value.is_none(),
    }
}
