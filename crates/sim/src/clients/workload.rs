//! What clients ask for: drawn once a run (swarm testing), then act by act.

use std::collections::BTreeSet;
use std::io::Write as _;

use crate::clients::connection::{Expect, Requests};
use crate::clients::dice::Dice;
use crate::profile::Profile;
use crate::report::FaultClass;
use crate::tape::{Site, SiteKind, Tape};

/// The first of the sites of `Swarm` that the workload draws from: the world has those below.
const SWARM_FIRST: usize = 128;
/// Tokens that a key of the kind `a` gets before another takes its place.
const APPENDS_MAX: u16 = 48;
/// How much is in a value of some KB.
const BIG_BYTES_MAX: u64 = 6000;

/// The kinds of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Register,
    Counter,
    Append,
    Transaction,
    AppendTransaction,
    CompareAndSet,
    Expiry,
    Publish,
    Session,
    Spoiled,
    ExecutedError,
}

const FAMILIES: [Family; 11] = [
    Family::Register,
    Family::Counter,
    Family::Append,
    Family::Transaction,
    Family::AppendTransaction,
    Family::CompareAndSet,
    Family::Expiry,
    Family::Publish,
    Family::Session,
    Family::Spoiled,
    Family::ExecutedError,
];

/// A key, and the database that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DatabaseKey {
    db: u8,
    prefix: u8,
    number: u16,
    /// Of a key of the kind `a`: how many were there before it.
    generation: u16,
}

impl DatabaseKey {
    /// The key as the history names it.
    fn name(self) -> Vec<u8> {
        let mut name = Vec::with_capacity(8);
        name.push(self.prefix);
        // Writing into a Vec cannot fail.
        let _ = write!(name, "{}", self.number);
        if self.prefix == b'a' {
            let _ = write!(name, ".{}", self.generation);
        }
        if self.db != 0 {
            let _ = write!(name, "@{}", self.db);
        }
        name
    }
}

/// A key of the kind `a` that is in use.
#[derive(Clone, Copy, Debug, Default)]
struct AppendKey {
    generation: u16,
    appends: u16,
}

/// What clients ask for in a run.
#[derive(Debug)]
pub(crate) struct Workload {
    /// How many clients there are.
    pub(crate) clients: usize,
    /// The mean time between two acts of a client.
    pub(crate) gap_us: u64,
    /// How long a client waits for a reply.
    pub(crate) timeout_us: u64,
    /// The mean time until a client connects again.
    pub(crate) reconnect_us: u64,
    /// Whether clients that give up are a fault of this run.
    pub(crate) allows_timeouts: bool,
    /// In how many of a million acts the client breaks its connection.
    pub(crate) cuts_per_million: u64,
    /// With how many of a million acts a burst begins.
    pub(crate) bursts_per_million: u64,
    /// How many clients of 256 listen to channels.
    pub(crate) listener_share: u64,
    depth_max: u64,
    /// How many acts of 100 are pipelines.
    pipelines_percent: u64,
    /// Keys of each kind.
    keys: u64,
    /// How many operations of 100 take the first key whatever they would have taken.
    hot_percent: u64,
    /// How many operations of 100 only read.
    reads_percent: u64,
    /// How many values of 100 are of some KB.
    big_percent: u64,
    databases: &'static [u8],
    channels: u64,
    /// How often each of [`FAMILIES`] comes.
    weights: [u64; FAMILIES.len()],
    append_keys: Vec<AppendKey>,
    touched: BTreeSet<DatabaseKey>,
}

impl Workload {
    /// Draws the options of a run.
    pub(crate) fn draw(profile: Profile, tape: &mut Tape) -> Workload {
        const RATES: [u64; 10] = [10, 15, 20, 25, 30, 35, 40, 45, 60, 120];
        const TIMEOUTS_MS: [u64; 7] = [8000, 5000, 3000, 2000, 1000, 500, 200];
        const CUTS: [u64; 4] = [0, 2_000, 10_000, 40_000];
        const BURSTS: [u64; 3] = [0, 500, 2_000];
        const DATABASES: [&[u8]; 4] = [&[0], &[0], &[0, 9], &[0, 3, 15]];
        let mut nth = SWARM_FIRST;
        let mut below = |bound: u64| {
            nth += 1;
            tape.below(Site::new(SiteKind::Swarm, nth), bound)
        };
        let mut pick = |values: &[u64]| values[below(values.len() as u64) as usize];
        let rate = pick(&RATES);
        let timeout_ms = pick(&TIMEOUTS_MS);
        let (cuts, bursts) = (pick(&CUTS), pick(&BURSTS));
        let depth_max = pick(&[1, 1, 2, 4, 8]);
        let pipelines_percent = pick(&[20, 50, 90]);
        let hot_percent = pick(&[0, 0, 30, 70]);
        let reads_percent = pick(&[50, 30, 40, 65]);
        let big_percent = pick(&[0, 0, 1, 5]);
        let reconnect_us = pick(&[20_000, 100_000, 500_000]);
        let listener_share = pick(&[0, 32, 64, 96]);
        let clients = 4 + below(9);
        let keys = 2 + below(11);
        let channels = 1 + below(3);
        let databases = DATABASES[below(DATABASES.len() as u64) as usize];
        let weights = FAMILIES.map(|family| match family {
            Family::Register => 2 + below(6),
            Family::Session | Family::Spoiled | Family::ExecutedError => below(2),
            Family::Publish if listener_share == 0 => below(2),
            // Half of the runs are without.
            _ => below(12).saturating_sub(5),
        });
        let allows_timeouts = profile.allows(FaultClass::ClientTimeout);
        let if_allowed = |class, value| if profile.allows(class) { value } else { 0 };
        // Twice the mean number of operations in an act.
        let per_act = 2 * 100 + pipelines_percent * (depth_max - 1);
        Workload {
            clients: clients as usize,
            gap_us: clients * 1_000_000 * per_act / (2 * 100 * rate),
            timeout_us: 1000
                * if allows_timeouts {
                    timeout_ms
                } else {
                    TIMEOUTS_MS[0]
                },
            reconnect_us,
            allows_timeouts,
            cuts_per_million: if_allowed(FaultClass::ClientDisconnect, cuts),
            bursts_per_million: if_allowed(FaultClass::Burst, bursts),
            listener_share,
            depth_max,
            pipelines_percent,
            keys,
            hot_percent,
            reads_percent,
            big_percent,
            databases,
            channels,
            weights,
            append_keys: vec![AppendKey::default(); keys as usize],
            touched: BTreeSet::new(),
        }
    }

    /// How many operations an act has, by a choice below 65,536.
    pub(crate) fn depth(&self, choice: u64) -> u64 {
        let is_pipeline = (choice * 100) >> 16 >= 100 - self.pipelines_percent;
        match is_pipeline {
            true => 1 + choice % self.depth_max,
            false => 1,
        }
    }

    /// The channels that listeners listen to.
    pub(crate) fn channels(&self) -> Vec<Vec<u8>> {
        (0..self.channels).map(channel).collect()
    }

    /// Every key that was ever asked for, sorted by database.
    pub(crate) fn touched(&self) -> Vec<DatabaseKey> {
        self.touched.iter().copied().collect()
    }

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
        };
        match family {
            Family::Register => requests.command(author.register()),
            Family::Counter => requests.command(author.counter()),
            Family::Append => requests.command(author.append()),
            Family::Transaction => {
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
}

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
        let workload = &mut *self.workload;
        let number = match self.dice.percent(workload.hot_percent) {
            true => 0,
            false => self.dice.below(workload.keys) as usize,
        };
        let mut generation = 0;
        if prefix == b'a' {
            let append_key = &mut workload.append_keys[number];
            append_key.appends += 1;
            if append_key.appends > 2 * APPENDS_MAX {
                append_key.generation += 1;
                append_key.appends = 1;
            }
            generation = append_key.generation;
        }
        let key = DatabaseKey {
            db: self.db,
            prefix,
            number: number as u16,
            generation,
        };
        workload.touched.insert(key);
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

/// A transaction that is done only if what it read is still true.
#[derive(Debug)]
pub(crate) struct Optimistic {
    /// Whether it reads what it wrote.
    reads: bool,
    keys: Vec<Vec<u8>>,
    /// What the keys held, as far as it is known.
    values: Vec<Option<Vec<u8>>>,
    /// WATCH or a read was refused: the transaction must not be done.
    pub(crate) failed: bool,
}

impl Optimistic {
    /// A key was read, or the read was refused.
    pub(crate) fn read(&mut self, value: Option<Vec<u8>>) {
        self.values.push(value);
    }

    /// Whether all keys are read.
    pub(crate) fn is_read(&self) -> bool {
        self.values.len() == self.keys.len()
    }

    /// The transaction itself.
    pub(crate) fn finish(self, tokens: &mut u64, requests: &mut Requests<'_>) {
        let mut commands = Vec::with_capacity(3 * self.keys.len());
        let watches = self.keys.len();
        for (key, value) in self.keys.iter().zip(self.values) {
            let mut watch = command(&[b"WATCH", key]);
            watch.extend(value);
            commands.push(watch);
        }
        for key in &self.keys {
            let value = token(requests.process, tokens);
            commands.push(command(&[b"SET", key, &value]));
        }
        if self.reads {
            commands.push(command(&[b"GET", &self.keys[0]]));
        }
        requests.session(&[b"MULTI"], Expect::Ok);
        for command in &commands[watches..] {
            requests.queue(command);
        }
        let expect = Expect::Exec {
            commands: commands.len() - watches,
            watches,
        };
        requests.end(b"EXEC", expect, commands);
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

    /// Reads keys once, each by an operation. They are sorted by database.
    pub(crate) fn read_all(&mut self, keys: Vec<DatabaseKey>) {
        for key in keys {
            if key.db != self.connection.db {
                self.session(&[b"SELECT", key.db.to_string().as_bytes()], Expect::Ok);
                self.connection.db = key.db;
            }
            self.command(command(&[b"GET", &key.name()]));
        }
    }
}

fn token(process: u32, tokens: &mut u64) -> Vec<u8> {
    *tokens += 1;
    let mut token = Vec::with_capacity(12);
    // Writing into a Vec cannot fail.
    let _ = write!(token, "{process}.{tokens}");
    token
}

fn channel(number: u64) -> Vec<u8> {
    format!("p{number}").into_bytes()
}

fn command(args: &[&[u8]]) -> Command {
    args.iter().map(|arg| arg.to_vec()).collect()
}
