//! Clients that write and read while something goes wrong, and know afterwards what must be true.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use resp::Value;

use super::connection::{Connection, encode, text};

/// Shared by the clients of one test.
#[derive(Default)]
pub struct Shared {
    /// The clients shall stop after the reply they wait for.
    is_over: AtomicBool,
    /// Replies of all clients, for "it goes on".
    progress: AtomicU64,
    /// The highest value of the counter that was acknowledged: what a read that starts now must see.
    floor: AtomicI64,
}

/// What a client has seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Commands that were acknowledged.
    pub acknowledged: u64,
    /// Commands that may or may not have taken effect: answered UNCERTAIN, or not answered.
    pub unknown: u64,
    /// Commands that did not take effect, by their error.
    pub refused: u64,
    /// Every error and every lost connection.
    pub errors: Vec<String>,
    /// What the client was told of each acknowledged command.
    pub records: Vec<Record>,
    /// The longest time between two replies.
    pub longest_pause: Duration,
}

/// A token that was appended, and how long the value was with it.
#[derive(Debug, Clone)]
pub struct Record {
    pub token: String,
    pub length: i64,
}

/// Clients that run until they are told to stop.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Seen>>,
}

/// What a client does again and again.
#[derive(Debug, Clone)]
pub enum Task {
    /// INCR of a counter, several in flight.
    Increment { key: String },
    /// APPEND of a token, different each time, to one value.
    Append { key: String, client: String },
    /// MULTI, INCR, INCR, EXEC: two counters that must always be equal.
    Transaction { first: String, second: String },
    /// SET of a new key with its name as value.
    Create { client: String },
    /// GET of the counter, which must never be less than what was acknowledged before the GET.
    ReadCounter { key: String },
}

/// Commands that a client sends before it reads their replies.
const IN_FLIGHT: usize = 8;

/// Digits of a token's number, so that all tokens of a client are equally long.
const TOKEN_DIGITS: usize = 6;

impl Default for Load {
    fn default() -> Load {
        Load::new()
    }
}

impl Load {
    pub fn new() -> Load {
        Load {
            shared: Arc::default(),
            clients: Vec::new(),
        }
    }

    /// Adds a client with a connection of its own.
    pub fn spawn(&mut self, port: u16, task: Task) {
        let shared = Arc::clone(&self.shared);
        self.clients
            .push(thread::spawn(move || run(port, &task, &shared)));
    }

    /// Replies that all clients have got.
    pub fn progress(&self) -> u64 {
        self.shared.progress.load(Ordering::Relaxed)
    }

    /// Waits until the clients have got this many more replies.
    pub fn await_progress(&self, replies: u64) {
        let goal = self.progress() + replies;
        super::poll("the clients get on", || {
            (self.progress() >= goal).then_some(())
        });
    }

    /// Lets every client finish its command.
    pub fn stop(self) -> Vec<Seen> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let clients = self.clients.into_iter();
        clients
            .map(|client| client.join().expect("a client does not panic"))
            .collect()
    }
}

fn run(port: u16, task: &Task, shared: &Shared) -> Seen {
    let mut seen = Seen::default();
    let mut last_reply = Instant::now();
    if let Err(error) = drive(port, task, shared, &mut seen, &mut last_reply) {
        seen.errors.push(format!("connection: {error}"));
    }
    seen
}

/// Until it is over or the connection is lost.
fn drive(
    port: u16,
    task: &Task,
    shared: &Shared,
    seen: &mut Seen,
    last_reply: &mut Instant,
) -> io::Result<()> {
    let mut connection = Connection::open(port)?;
    let mut number = 0;
    while !shared.is_over.load(Ordering::Relaxed) {
        let floor = shared.floor.load(Ordering::SeqCst);
        let mut bytes = Vec::new();
        let tokens: Vec<String> = (number..number + IN_FLIGHT)
            .map(|each| task.token(each))
            .collect();
        for token in &tokens {
            bytes.extend(task.request(token));
        }
        number += IN_FLIGHT;
        connection
            .send(&bytes)
            .inspect_err(|_| seen.unknown += IN_FLIGHT as u64)?;
        for (index, token) in tokens.iter().enumerate() {
            let mut reply = Ok(Value::Null);
            for _ in 0..task.replies() {
                reply = connection.receive();
            }
            let reply = match reply {
                Ok(reply) => reply,
                Err(error) => {
                    seen.unknown += (tokens.len() - index) as u64;
                    return Err(error);
                }
            };
            seen.longest_pause = seen.longest_pause.max(last_reply.elapsed());
            *last_reply = Instant::now();
            shared.progress.fetch_add(1, Ordering::Relaxed);
            task.note(token, floor, &reply, shared, seen);
        }
    }
    Ok(())
}

impl Task {
    fn token(&self, number: usize) -> String {
        match self {
            Task::Append { client, .. } | Task::Create { client } => {
                format!("{client}-{number:0TOKEN_DIGITS$};")
            }
            _ => String::new(),
        }
    }

    fn request(&self, token: &str) -> Vec<u8> {
        match self {
            Task::Increment { key } => encode(&["INCR", key]),
            Task::Append { key, .. } => encode(&["APPEND", key, token]),
            Task::Create { .. } => encode(&["SET", token, token]),
            Task::ReadCounter { key } => encode(&["GET", key]),
            Task::Transaction { first, second } => {
                let commands: [&[&str]; 4] =
                    [&["MULTI"], &["INCR", first], &["INCR", second], &["EXEC"]];
                commands
                    .iter()
                    .flat_map(|command| encode(command))
                    .collect()
            }
        }
    }

    fn replies(&self) -> usize {
        if matches!(self, Task::Transaction { .. }) {
            4
        } else {
            1
        }
    }

    fn note(&self, token: &str, floor: i64, reply: &Value, shared: &Shared, seen: &mut Seen) {
        if let Some(error) = reply.as_error() {
            let error = String::from_utf8_lossy(error).into_owned();
            match error.split(' ').next() {
                Some("UNCERTAIN") => seen.unknown += 1,
                _ => seen.refused += 1,
            }
            seen.errors.push(error);
            return;
        }
        seen.acknowledged += 1;
        match (self, reply) {
            (Task::Increment { .. }, Value::Integer(count)) => {
                shared.floor.fetch_max(*count, Ordering::SeqCst);
            }
            (Task::Append { .. }, Value::Integer(length)) => {
                seen.records.push(Record {
                    token: token.to_owned(),
                    length: *length,
                });
            }
            (Task::Create { .. }, reply) if reply.is_ok() => {
                seen.records.push(Record {
                    token: token.to_owned(),
                    length: 0,
                });
            }
            (Task::Transaction { .. }, Value::Array(counts)) => {
                assert_eq!(counts[0], counts[1], "a transaction was torn apart");
            }
            (Task::ReadCounter { .. }, Value::Bulk(digits)) => {
                let read: i64 = String::from_utf8_lossy(digits).parse().expect("a number");
                assert!(
                    read >= floor,
                    "stale read: {read}, but {floor} was acknowledged before"
                );
            }
            (Task::ReadCounter { .. }, Value::Null) => {
                assert_eq!(
                    floor, 0,
                    "stale read: nothing, but {floor} was acknowledged before"
                );
            }
            (task, reply) => panic!("{task:?} got {}", text(reply)),
        }
    }
}

/// Checks that a value holds every acknowledged token once, where its client was told it is, and each
/// client's tokens in the order in which it sent them.
pub fn check_appended(value: &str, seen: &[&Seen]) {
    for seen in seen {
        let mut end_before = 0;
        for Record { token, length } in &seen.records {
            let end = usize::try_from(*length).expect("a length");
            let start = end - token.len();
            assert_eq!(
                value.get(start..end),
                Some(token.as_str()),
                "a token where it was put"
            );
            assert!(start >= end_before, "{token} stands before its predecessor");
            end_before = end;
        }
    }
    let mut tokens: Vec<&str> = value.split_inclusive(';').collect();
    let count = tokens.len();
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), count, "a token was appended twice");
}
