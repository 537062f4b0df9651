//! A replica without a log: applies commands as entries of their own.

#![allow(dead_code, reason = "each test file uses a part")]

use kv::{CommandSpec, Effects, Handler, ReadEnv, ReadOutcome, Store};
use resp::{Encoder, Protocol};

/// A message that was published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Published {
    pub(crate) sharded: bool,
    pub(crate) channel: Vec<u8>,
    pub(crate) message: Vec<u8>,
}

/// Records what is published and says that so many clients received it.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) published: Vec<Published>,
}

impl Effects for Recorder {
    fn publish(&mut self, sharded: bool, channel: &[u8], message: &[u8]) -> i64 {
        let (channel, message) = (channel.to_vec(), message.to_vec());
        self.published.push(Published {
            sharded,
            channel,
            message,
        });
        3
    }
}

/// A data set, the index and time of the entries it applies, and a client's connection.
pub(crate) struct Replica {
    pub(crate) store: Store,
    pub(crate) index: u64,
    pub(crate) time_ms: u64,
    pub(crate) wall_ms: u64,
    pub(crate) database: u8,
    pub(crate) protocol: Protocol,
    pub(crate) effects: Recorder,
    pub(crate) seed: u64,
}

impl Replica {
    pub(crate) fn new() -> Self {
        Self::with_secret(*b"0123456789abcdef")
    }

    pub(crate) fn with_secret(secret: [u8; 16]) -> Self {
        let mut store = Store::new();
        store.bootstrap(secret);
        Replica {
            store,
            index: 0,
            time_ms: 1_000_000,
            wall_ms: 0,
            database: 0,
            protocol: Protocol::Resp2,
            effects: Recorder::default(),
            seed: 1,
        }
    }

    /// Begins an entry at the current time.
    pub(crate) fn begin_entry(&mut self) {
        self.index += 1;
        self.store.begin_entry(self.index, self.time_ms);
    }

    /// Lets log time pass, with an entry that carries nothing else.
    pub(crate) fn advance(&mut self, time_ms: u64) {
        self.time_ms += time_ms;
        self.begin_entry();
    }

    /// Executes a command, words separated by spaces, `""` for an empty one; a write as an entry of
    /// its own. Returns the reply as it would be sent, with `|` for each line break.
    pub(crate) fn run(&mut self, line: &str) -> String {
        let words: Vec<&[u8]> = line
            .split(' ')
            .map(|word| {
                if word == "\"\"" {
                    &b""[..]
                } else {
                    word.as_bytes()
                }
            })
            .collect();
        self.run_args(&words)
    }

    pub(crate) fn run_args(&mut self, args: &[&[u8]]) -> String {
        let spec = spec_of(args);
        if spec.is_write() {
            self.begin_entry();
        }
        self.run_in_entry(args)
    }

    /// Executes a command, a write in the entry that was begun last.
    pub(crate) fn run_in_entry(&mut self, args: &[&[u8]]) -> String {
        let (reply, outcome) = self.execute(args);
        assert_eq!(outcome, ReadOutcome::Done, "{args:?}");
        reply
    }

    /// Executes a command that reads, and says what became of it.
    pub(crate) fn outcome(&mut self, line: &str) -> ReadOutcome {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.execute(&words).1
    }

    fn execute(&mut self, args: &[&[u8]]) -> (String, ReadOutcome) {
        let spec = spec_of(args);
        let full_name = spec.full_name();
        assert!(
            spec.accepts_argument_count(args.len()),
            "arity of {full_name}: {args:?}"
        );
        let mut reply = Vec::new();
        let mut out = Encoder::new(&mut reply, self.protocol);
        let outcome = match spec.handler {
            Handler::Read(_) => {
                let env = ReadEnv {
                    wall_ms: self.wall_ms,
                    seed: self.seed,
                };
                self.store.read(spec, self.database, args, &env, &mut out)
            }
            Handler::Write(_) => {
                self.store
                    .write(spec, self.database, args, &mut self.effects, &mut out);
                ReadOutcome::Done
            }
            Handler::Session => panic!("{full_name} is executed by the session"),
        };
        (
            String::from_utf8_lossy(&reply).replace("\r\n", "|"),
            outcome,
        )
    }

    /// Runs commands and compares each reply.
    pub(crate) fn expect(&mut self, script: &[(&str, &str)]) {
        for (line, reply) in script {
            assert_eq!(self.run(line), *reply, "reply of {line:?}");
        }
    }

    /// All keys of the database, by a SCAN from start to end.
    pub(crate) fn scan_all(&mut self, count: usize) -> Vec<String> {
        let mut keys = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            let (next, page) = self.scan_page(&cursor, count);
            keys.extend(page);
            if next == "0" {
                return keys;
            }
            cursor = next;
        }
    }

    /// One page of a SCAN: the next cursor and the keys.
    pub(crate) fn scan_page(&mut self, cursor: &str, count: usize) -> (String, Vec<String>) {
        let reply = self.run(&format!("SCAN {cursor} COUNT {count}"));
        let mut lines = reply.split('|').skip(1).map(str::to_owned);
        let next = lines.nth(1).expect("a cursor");
        let keys = lines
            .skip(1)
            .filter(|line| !line.starts_with('$') && !line.is_empty());
        (next, keys.collect())
    }
}

/// The row of a request.
pub(crate) fn spec_of(args: &[&[u8]]) -> &'static CommandSpec {
    kv::lookup_request(args).unwrap_or_else(|| panic!("{args:?} is no command"))
}
