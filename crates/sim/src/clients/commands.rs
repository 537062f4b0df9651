//! What one operation says, command by command.

use std::io::Write as _;

use crate::clients::connection::{Expect, Requests};
use crate::clients::dice::Dice;
use crate::clients::optimistic::Optimistic;
use crate::clients::workload::{DatabaseKey, FAMILIES, Family, Workload};

/// How long a client thinks between the two halves of a transaction.
const PAUSE_US_MAX: u64 = 400_000;
/// How much is in a value of some KB.
const BIG_BYTES_MAX: u64 = 6000;

impl Workload {
    /// One operation, or the first half of one.
    pub(crate) fn operate(
        &mut self,
        dice: &mut Dice,
        tokens: &mut u64,
        requests: &mut Requests<'_>,
    ) -> Option<Optimistic> {
        let family = FAMILIES[dice.weighted(&self.weights)];
        let mut author = Author {
            workload: self,
            dice,
            tokens,
            process: requests.process,
            db: requests.connection.db,
            pair: None,
        };
        match family {
            Family::Register => requests.command(author.register()),
            Family::Counter => requests.command(author.counter()),
            Family::Append => requests.command(author.append()),
            Family::Transaction => {
                author.pair = Some(author.dice.below(author.workload.pairs()));
                let commands = author.several(Author::register_or_counter);
                requests.transaction(commands);
            }
            Family::AppendTransaction => {
                let commands = author.several(Author::append);
                requests.transaction(commands);
            }
            Family::CompareAndSet => return author.compare_and_set(requests),
            Family::Expiry => requests.command(author.expiry()),
            Family::Publish => requests.command(author.publish()),
            Family::Session => author.session(requests),
            Family::Spoiled => author.spoiled(requests),
            Family::ExecutedError => requests.command(author.executed_error()),
        }
        None
    }
}

/// Makes up commands.
struct Author<'a> {
    workload: &'a mut Workload,
    dice: &'a mut Dice,
    tokens: &'a mut u64,
    process: u32,
    /// The selected database.
    db: u8,
    /// Only keys of this pair.
    pair: Option<u64>,
}

/// A command: its name and arguments.
type Command = Vec<Vec<u8>>;

impl Author<'_> {
    fn register(&mut self) -> Command {
        let key = self.key(b'r');
        if self.reads() {
            return command(&[b"GET", &key]);
        }
        match self.dice.below(16) {
            0..8 => command(&[b"SET", &key, &self.value()]),
            8..10 => command(&[b"DEL", &key]),
            10..12 => command(&[b"SETNX", &key, &self.value()]),
            12 => command(&[b"GETSET", &key, &self.value()]),
            13 => command(&[b"SET", &key, &self.value(), b"GET"]),
            _ => command(&[b"SET", &key, &self.value(), b"XX"]),
        }
    }

    fn counter(&mut self) -> Command {
        let key = self.key(b'n');
        if self.reads() {
            return command(&[b"GET", &key]);
        }
        let number = self.dice.between(1, 9).to_string();
        match self.dice.below(4) {
            0..2 => command(&[b"INCR", &key]),
            2 => command(&[b"INCRBY", &key, number.as_bytes()]),
            _ => command(&[b"DECRBY", &key, number.as_bytes()]),
        }
    }

    fn register_or_counter(&mut self) -> Command {
        match self.dice.below(32) {
            0..16 => self.register(),
            16..31 => self.counter(),
            _ => self.executed_error(),
        }
    }

    fn append(&mut self) -> Command {
        let key = self.key(b'a');
        if self.reads() {
            return command(&[b"GET", &key]);
        }
        let mut token = self.token();
        token.push(b',');
        command(&[b"APPEND", &key, &token])
    }

    fn expiry(&mut self) -> Command {
        let key = self.key(b't');
        if self.reads() {
            let name: &[u8] = if self.dice.percent(50) {
                b"GET"
            } else {
                b"PTTL"
            };
            return command(&[name, &key]);
        }
        let ms_max = if self.dice.percent(70) { 2_000 } else { 30_000 };
        let ms = self.dice.between(1, ms_max).to_string();
        match self.dice.below(8) {
            0..4 => command(&[b"SET", &key, &self.token(), b"PX", ms.as_bytes()]),
            4 => command(&[b"SET", &key, &self.token()]),
            5..7 => command(&[b"PEXPIRE", &key, ms.as_bytes()]),
            _ => command(&[b"PERSIST", &key]),
        }
    }

    fn publish(&mut self) -> Command {
        let channel = channel(self.dice.below(self.workload.channels));
        command(&[b"PUBLISH", &channel, &self.token()])
    }

    /// A command that is executed and fails, whatever the key holds.
    fn executed_error(&mut self) -> Command {
        command(&[b"INCRBY", &self.key(b'n'), b"many"])
    }

    /// A transaction over several keys.
    fn several(&mut self, mut one: impl FnMut(&mut Self) -> Command) -> Vec<Command> {
        let count = self.dice.between(2, 4);
        (0..count).map(|_| one(self)).collect()
    }

    /// Watches keys and reads them, or does something simple with one.
    fn compare_and_set(&mut self, requests: &mut Requests<'_>) -> Option<Optimistic> {
        let key = self.key(b'w');
        match self.dice.below(16) {
            0..4 => {
                requests.command(command(&[b"GET", &key]));
                return None;
            }
            4..7 => {
                requests.command(command(&[b"SET", &key, &self.token()]));
                return None;
            }
            _ => {}
        }
        let mut keys = vec![key];
        if self.dice.percent(30) {
            let other = self.key(b'w');
            if !keys.contains(&other) {
                keys.push(other);
            }
        }
        let mut watch = command(&[b"WATCH"]);
        watch.extend(keys.iter().cloned());
        requests.watch(&watch);
        for key in &keys {
            requests.operation(command(&[b"GET", key]), Expect::WatchedGet);
        }
        Some(Optimistic {
            reads: self.dice.percent(30),
            // Time for others to come in between.
            pause_us: match self.dice.percent(50) {
                true => self.dice.below(PAUSE_US_MAX),
                false => 0,
            },
            keys,
            values: Vec::new(),
            failed: false,
        })
    }

    /// A transaction that comes to nothing.
    fn spoiled(&mut self, requests: &mut Requests<'_>) {
        let commands = self.several(Author::register_or_counter);
        requests.session(&[b"MULTI"], Expect::Ok);
        for command in &commands {
            requests.queue(command);
        }
        if self.dice.percent(50) {
            requests.end(b"DISCARD", Expect::Discard, commands);
        } else {
            requests.session(&[b"NOSUCH", b"command"], Expect::NoSuchCommand);
            requests.end(b"EXEC", Expect::ExecRefused, commands);
        }
    }

    fn session(&mut self, requests: &mut Requests<'_>) {
        *self.tokens += 1;
        let number = *self.tokens;
        match self.dice.below(8) {
            0..2 => requests.session(&[b"PING"], Expect::Pong),
            2..4 => {
                let name = number.to_string();
                requests.session(&[b"CLIENT", b"SETNAME", name.as_bytes()], Expect::Ok);
            }
            4 => requests.session(&[b"HELLO"], Expect::Hello),
            5 if self.workload.databases.len() > 1 => {
                let databases = self.workload.databases;
                let db = databases[self.dice.below(databases.len() as u64) as usize];
                requests.session(&[b"SELECT", db.to_string().as_bytes()], Expect::Ok);
                requests.connection.db = db;
            }
            _ => {
                let text = number.to_string();
                requests.session(&[b"ECHO", text.as_bytes()], Expect::Echo(number));
            }
        }
    }

    fn reads(&mut self) -> bool {
        self.dice.percent(self.workload.reads_percent)
    }

    fn key(&mut self, prefix: u8) -> Vec<u8> {
        let key = match self.pair {
            Some(pair) => self.workload.key_of_pair(prefix, self.db, pair, self.dice),
            None => self.workload.key(prefix, self.db, self.dice),
        };
        key.name()
    }

    fn value(&mut self) -> Vec<u8> {
        let mut value = self.token();
        if self.dice.percent(self.workload.big_percent) {
            let length = self.dice.below(BIG_BYTES_MAX) as usize;
            value.push(b'.');
            value.resize(value.len() + length, b'x');
        }
        value
    }

    fn token(&mut self) -> Vec<u8> {
        token(self.process, self.tokens)
    }
}

impl Requests<'_> {
    /// Commands at one moment: one operation.
    fn transaction(&mut self, commands: Vec<Command>) {
        self.session(&[b"MULTI"], Expect::Ok);
        for command in &commands {
            self.queue(command);
        }
        let expect = Expect::Exec {
            commands: commands.len(),
            watches: 0,
        };
        self.end(b"EXEC", expect, commands);
    }

    /// Writes a key, then reads keys once, each by an operation. They are sorted by database.
    pub(crate) fn read_all(&mut self, keys: Vec<DatabaseKey>) {
        if keys.is_empty() {
            return;
        }
        self.command(command(&[b"SET", b"r0", &token(self.process, &mut 0)]));
        for key in keys {
            if key.db() != self.connection.db {
                self.session(&[b"SELECT", key.db().to_string().as_bytes()], Expect::Ok);
                self.connection.db = key.db();
            }
            self.command(command(&[b"GET", &key.name()]));
        }
    }
}

/// A value that no other write carries.
pub(super) fn token(process: u32, tokens: &mut u64) -> Vec<u8> {
    *tokens += 1;
    let mut token = Vec::with_capacity(12);
    // Writing into a Vec cannot fail.
    let _ = write!(token, "{process}.{tokens}");
    token
}

/// The name of a channel.
pub(super) fn channel(number: u64) -> Vec<u8> {
    format!("p{number}").into_bytes()
}

/// A command of these words.
pub(super) fn command(args: &[&[u8]]) -> Command {
    args.iter().map(|arg| arg.to_vec()).collect()
}
