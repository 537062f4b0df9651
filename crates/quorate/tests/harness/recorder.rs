//! Clients that write down what they ask and what they are told: a history for the checkers of `sim`.

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use resp::Value;
use sim::{
    clients::replies::{command_outcome, exec_outcome},
    history::{History, Outcome},
};

use super::{
    connection::{Connection, encode},
    poll,
};

/// A command, in words.
pub type Command = Vec<String>;

/// A history that is being written, on one clock.
pub struct Recorder {
    started: Instant,
    written: Mutex<Written>,
}

#[derive(Default)]
struct Written {
    history: History,
    processes: u32,
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder::new()
    }
}

impl Recorder {
    pub fn new() -> Recorder {
        Recorder {
            started: Instant::now(),
            written: Mutex::default(),
        }
    }

    /// What was written until now.
    pub fn history(&self) -> History {
        self.write().history.clone()
    }

    fn write(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called with the lock held, so that times never fall.
    fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).expect("not so long")
    }

    fn process(&self) -> u32 {
        let mut written = self.write();
        written.processes += 1;
        written.processes
    }

    fn invoke(&self, process: u32, node: usize, commands: &[Command]) -> usize {
        let bytes = |command: &Command| command.iter().map(|word| word.clone().into()).collect();
        let commands = commands.iter().map(bytes).collect();
        let mut written = self.write();
        let now_us = self.now_us();
        written
            .history
            .invoke(now_us, process, node as u64, commands)
    }

    fn complete(&self, op: usize, outcome: Outcome) {
        let mut written = self.write();
        let now_us = self.now_us();
        written.history.complete(now_us, op, outcome, None);
    }
}

/// A client of one node at a time. It goes on to the next one when it gets no answer or a refusal.
pub struct RecordedClient<'a> {
    recorder: &'a Recorder,
    ports: &'a [u16],
    patience: Duration,
    /// Index of its node among the ports: it is the node's id less one.
    place: usize,
    /// The connection, and the process that it is in the history: what was asked on a connection that broke may
    /// take effect after what is asked on the next one, and a process is somebody whose commands come in order.
    connection: Option<(u32, Connection)>,
}

impl<'a> RecordedClient<'a> {
    /// A client that begins with one of the nodes, and waits so long for a reply.
    pub fn new(
        recorder: &'a Recorder,
        ports: &'a [u16],
        place: usize,
        patience: Duration,
    ) -> RecordedClient<'a> {
        RecordedClient {
            recorder,
            ports,
            patience,
            place: place % ports.len(),
            connection: None,
        }
    }

    /// One operation: a command, or several in a transaction.
    pub fn run(&mut self, commands: &[Command]) {
        let (process, mut connection) = self.connected();
        let op = self.recorder.invoke(process, self.place + 1, commands);
        let outcome = ask(&mut connection, commands);
        let (outcome, is_alive) = match outcome {
            Ok(outcome) => (outcome, true),
            Err(error) => (Outcome::Unknown(error.to_string()), false),
        };
        if is_alive && matches!(outcome, Outcome::Done(_)) {
            self.connection = Some((process, connection));
        } else {
            self.place = (self.place + 1) % self.ports.len();
        }
        self.recorder.complete(op, outcome);
    }

    /// Its connection, or one to the first node that takes it.
    fn connected(&mut self) -> (u32, Connection) {
        if let Some(connection) = self.connection.take() {
            return connection;
        }
        let mut connection = poll("a node takes connections", || {
            let opened = Connection::open(self.ports[self.place]).ok();
            if opened.is_none() {
                self.place = (self.place + 1) % self.ports.len();
            }
            opened
        });
        connection.set_patience(self.patience);
        (self.recorder.process(), connection)
    }
}

/// Asks and is answered. An answer that the command cannot have is a bug, and ends the test.
fn ask(connection: &mut Connection, commands: &[Command]) -> io::Result<Outcome> {
    let told = match commands {
        [command] => {
            connection.send(&encode(command))?;
            command_outcome(connection.receive()?)
        }
        _ => {
            let mut bytes = encode(&["MULTI"]);
            commands.iter().for_each(|it| bytes.extend(encode(it)));
            bytes.extend(encode(&["EXEC"]));
            connection.send(&bytes)?;
            for _ in 0..=commands.len() {
                let queued = connection.receive()?;
                assert!(
                    matches!(queued, Value::Simple(_)),
                    "{queued:?} to {commands:?}"
                );
            }
            exec_outcome(connection.receive()?, commands.len(), 0)
        }
    };
    Ok(told.unwrap_or_else(|reply| panic!("{reply:?} is no reply to {commands:?}")))
}
