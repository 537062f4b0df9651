//! The same commands to Redis 7.0 and to a Quorate node: replies equal byte for byte.
//!
//! Runs when `redis-server` is in the PATH, and says that it was skipped otherwise. Each test draws its commands from a
//! seed that it prints; `QUORATE_DIFFERENTIAL_SEED` and `QUORATE_DIFFERENTIAL_COMMANDS` repeat and lengthen a run. The
//! few differences that are meant are in `differences.toml`, each with its reason; one that no longer
//! differs fails the test as well.

#![allow(unreachable_pub, reason = "nothing of a test is public")]

mod compare;
mod differences;
mod generator;
#[path = "../harness/mod.rs"]
mod harness;
mod pair;

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use compare::{Mode, are_equal, mode, show, show_command, sorted};
use differences::Differences;
use generator::{Command, Generator, Random, command};
use harness::alone;
use kv::CommandSpec;
use pair::{PairConnection, Servers};
use resp::Value;

/// Commands of the generated test, if the environment does not say otherwise.
const COMMANDS: usize = 60_000;

/// Commands that are sent before replies are read, at most.
const PIPELINE_MAX: usize = 40;

/// How long a server may keep a connection open after the end of its input.
const SILENCE: Duration = Duration::from_secs(10);

/// Differences that are printed before a test gives up.
const REPORTED_MAX: usize = 60;

/// The seed of a test, printed so that it can be repeated.
fn seed(test: &str) -> u64 {
    let given = std::env::var("QUORATE_DIFFERENTIAL_SEED").ok();
    let seed = match given {
        Some(seed) => seed.parse().expect("QUORATE_DIFFERENTIAL_SEED is a number"),
        None => RandomState::new().hash_one(0),
    };
    println!("{test}: QUORATE_DIFFERENTIAL_SEED={seed}");
    seed
}

fn count() -> usize {
    let given = std::env::var("QUORATE_DIFFERENTIAL_COMMANDS").ok();
    given.map_or(COMMANDS, |count| {
        count
            .parse()
            .expect("QUORATE_DIFFERENTIAL_COMMANDS is a number")
    })
}

/// Unintended differences, one for each command name.
struct Report {
    intended: Differences,
    names: BTreeSet<String>,
    lines: Vec<String>,
    /// What led to the first difference, if `QUORATE_DIFFERENTIAL_TRACE` names a file for it.
    history: Vec<String>,
}

impl Report {
    fn new() -> Report {
        Report {
            intended: Differences::read(),
            names: BTreeSet::new(),
            lines: Vec::new(),
            history: Vec::new(),
        }
    }

    fn add(&mut self, context: &str, command: &[Vec<u8>], redis: &[u8], quorate: &[u8]) {
        if self.intended.allow(command, redis, quorate) {
            return;
        }
        if self.lines.is_empty()
            && let Some(path) = std::env::var_os("QUORATE_DIFFERENTIAL_TRACE")
        {
            std::fs::write(path, self.history.join("\n")).expect("the trace can be written");
        }
        let words = command
            .iter()
            .take(2)
            .map(|word| String::from_utf8_lossy(word).to_lowercase());
        let name: Vec<String> = words.collect();
        if self.lines.len() < REPORTED_MAX && self.names.insert(name.join(" ")) {
            self.lines.push(format!(
                "{context}: {}\n    redis   {}\n    quorate {}",
                show_command(command),
                show(redis),
                show(quorate)
            ));
        }
    }

    fn finish(self) {
        assert!(
            self.lines.is_empty(),
            "{} differences\n{}",
            self.lines.len(),
            self.lines.join("\n")
        );
    }
}

/// A connection to each server, and what is known of its state.
struct Tracked {
    pair: PairConnection,
    name: &'static str,
    /// The commands queued since MULTI, as Redis's replies tell.
    queued: Option<Vec<Command>>,
}

impl Tracked {
    fn open(servers: &Servers, name: &'static str) -> Tracked {
        let mut pair = servers.connect();
        if name.contains("RESP3") {
            pair.exchange(&command!["HELLO", "3"]);
        }
        Tracked {
            pair,
            name,
            queued: None,
        }
    }

    /// Sends commands to both servers and compares the replies.
    fn batch(&mut self, commands: &[Command], report: &mut Report) {
        self.pair.send(commands);
        report.history.push(format!(
            "{}: {} commands in one write",
            self.name,
            commands.len()
        ));
        for command in commands {
            let (redis, quorate) = self.pair.receive(command);
            report.history.push(format!(
                "{}: {} -> {}",
                self.name,
                show_command(command),
                show(&redis.1)
            ));
            let mode = mode(command);
            let queued = self.queued.as_deref().unwrap_or_default();
            if mode == Mode::Transaction
                && let (Value::Array(left), Value::Array(right)) = (&redis.0, &quorate.0)
                && left.len() == right.len()
                && left.len() == queued.len()
            {
                let context = format!("{}, in a transaction", self.name);
                for ((left, right), command) in left.iter().zip(right).zip(queued) {
                    let (left, right) = (self.pair.encoded(left), self.pair.encoded(right));
                    if !are_equal(compare::mode(command), &left, &right) {
                        report.add(&context, command, &left.1, &right.1);
                    }
                }
            } else if !are_equal(mode, &redis, &quorate) {
                report.add(self.name, command, &redis.1, &quorate.1);
            }
            self.follow(command, &redis.0);
        }
    }

    fn follow(&mut self, command: &Command, redis: &Value) {
        let is = |name: &str| command[0].eq_ignore_ascii_case(name.as_bytes());
        if is("multi") && redis.is_ok() {
            self.queued = Some(Vec::new());
        } else if matches!(redis, Value::Simple(text) if text == b"QUEUED") {
            self.queued
                .as_mut()
                .expect("only a transaction queues")
                .push(command.clone());
        } else if is("exec") || is("discard") || is("reset") {
            // Wrong arity leaves a transaction open, except for EXEC.
            let is_arity = redis
                .as_error()
                .is_some_and(|error| error.starts_with(b"ERR wrong number"));
            if !is_arity {
                self.queued = None;
            }
        }
    }
}

#[test]
fn generated_commands_get_equal_replies() {
    let _alone = alone();
    let Some(servers) = Servers::start() else {
        return;
    };
    let mut generator = Generator::new(seed("generated commands"));
    let mut report = Report::new();
    let names = ["RESP2 a", "RESP3 a", "RESP2 b", "RESP3 b", "RESP2 c"];
    let mut connections: Vec<Tracked> = names
        .iter()
        .map(|name| Tracked::open(&servers, name))
        .collect();
    let mut sent = 0;
    let mut since_scan = 0;
    while sent < count() {
        let index = generator.random.below(connections.len());
        let connection = &mut connections[index];
        let length = 1 + generator.random.below(PIPELINE_MAX);
        let mut is_open = connection.queued.is_some();
        let commands: Vec<Command> = (0..length)
            .map(|_| {
                let command = generator.command(is_open);
                is_open = match command[0].to_ascii_lowercase().as_slice() {
                    b"multi" => true,
                    b"exec" | b"discard" => false,
                    _ => is_open,
                };
                command
            })
            .collect();
        sent += length;
        since_scan += length;
        connection.batch(&commands, &mut report);
        if since_scan > 2000 {
            since_scan = 0;
            compare_contents(&servers, &mut generator, &mut report);
            // No transaction may be open when keys vanish that it watches.
            for connection in &mut connections {
                connection.batch(&[command!["DISCARD"], command!["UNWATCH"]], &mut report);
            }
            let name = generator.random.pick(&["FLUSHDB", "FLUSHALL", "DBSIZE"]);
            let mut command = command![name];
            if generator.random.percent(50) {
                command.push(generator.random.pick(&["ASYNC", "sync", "bogus"]).into());
            }
            connections[0].batch(&[command], &mut report);
        }
        if report.lines.len() >= REPORTED_MAX {
            break;
        }
    }
    println!("{sent} commands");
    report.finish();
}

/// Walks the first databases of both servers to the end, and compares every key, value and time to live.
fn compare_contents(servers: &Servers, generator: &mut Generator, report: &mut Report) {
    for database in ["0", "1", "2"] {
        let mut pair = servers.connect();
        pair.exchange(&command!["SELECT", database]);
        let mut scan = command![
            "SCAN",
            "0",
            "COUNT",
            (1 + generator.random.below(50)).to_string()
        ];
        match generator.random.below(3) {
            0 => scan.extend([b"MATCH".to_vec(), generator.pattern()]),
            1 => scan.extend(["TYPE", "string"].map(Vec::from)),
            _ => {}
        }
        let (redis, quorate) = (pair.redis.scan(&scan), pair.quorate.scan(&scan));
        if redis != quorate {
            let encoded = |keys: &BTreeSet<Vec<u8>>| {
                keys.iter()
                    .map(|key| show(key))
                    .collect::<Vec<_>>()
                    .join(" ")
                    .into_bytes()
            };
            let missing = redis.difference(&quorate).cloned().collect();
            let surplus = quorate.difference(&redis).cloned().collect();
            report.add(
                "whole scan, keys of one only",
                &scan,
                &encoded(&missing),
                &encoded(&surplus),
            );
        }
        for key in redis.intersection(&quorate) {
            for name in ["GET", "PTTL"] {
                let command = command![name, key.clone()];
                let (redis, quorate) = pair.exchange(&command);
                if !are_equal(mode(&command), &redis, &quorate) {
                    report.add("contents", &command, &redis.1, &quorate.1);
                }
            }
        }
    }
}

/// Commands that would stop a server, stop its answers, or are for a connection of their own.
const DANGEROUS: &[&str] = &[
    "shutdown",
    "debug",
    "quit",
    "sync",
    "psync",
    "monitor",
    "subscribe",
    "psubscribe",
    "ssubscribe",
    "unsubscribe",
    "punsubscribe",
    "sunsubscribe",
    "save",
    "bgsave",
    "bgrewriteaof",
    "replicaof",
    "slaveof",
    "failover",
    "migrate",
    "swapdb",
    "cluster",
    "flushall",
    "flushdb",
    "hello",
];

#[test]
fn every_command_of_the_table_answers_alike_to_any_number_of_arguments() {
    const ARGUMENTS: [&[u8]; 4] = [b"key", b"abc", b"1000000", b"-1"];
    let _alone = alone();
    let Some(servers) = Servers::start() else {
        return;
    };
    let mut random = Random::new(seed("every command"));
    let mut report = Report::new();
    for name in ["RESP2", "RESP3"] {
        let mut connection = Tracked::open(&servers, name);
        let mut try_all = |words: &[&str], report: &mut Report| {
            for count in 0..7 {
                let mut command: Command = words.iter().map(|word| Vec::from(*word)).collect();
                for index in 0..count {
                    let argument = if index == 0 {
                        "key".as_bytes()
                    } else {
                        random.pick(&ARGUMENTS)
                    };
                    command.push(argument.to_vec());
                }
                // A connection of its own: some commands change what follows.
                connection = Tracked::open(&servers, name);
                connection.batch(&[command, command!["PING"]], report);
            }
        };
        for spec in kv::all() {
            if DANGEROUS.contains(&spec.name) {
                continue;
            }
            if spec.subcommands.is_empty() {
                try_all(&[spec.name], &mut report);
            }
            for subcommand in spec.subcommands {
                let is_safe = !matches!(
                    (spec.name, subcommand.name),
                    ("client", "pause" | "reply" | "kill" | "list" | "info")
                        | ("acl", "setuser" | "deluser" | "load" | "save")
                        | ("config", "rewrite" | "set")
                        | ("module", "load" | "loadex")
                );
                if is_safe {
                    try_all(&[spec.name, subcommand.name], &mut report);
                }
            }
        }
    }
    report.finish();
}

#[test]
fn the_table_describes_commands_as_redis_does() {
    let _alone = alone();
    let Some(servers) = Servers::start() else {
        return;
    };
    let mut report = Report::new();
    for name in ["RESP2", "RESP3"] {
        let mut connection = Tracked::open(&servers, name);
        let mut specs: Vec<&CommandSpec> = Vec::new();
        for spec in kv::all() {
            specs.push(spec);
            specs.extend(spec.subcommands);
        }
        for spec in specs {
            let full_name = match spec.container {
                "" => spec.name.to_owned(),
                container => format!("{container}|{}", spec.name),
            };
            // The reply of a container holds those of its subcommands, which are compared one by one.
            if spec.subcommands.is_empty() {
                connection.batch(&[command!["COMMAND", "INFO", full_name]], &mut report);
            }
        }
    }
    report.finish();
}

#[test]
fn subscribers_get_equal_messages() {
    const STEPS: usize = 1500;
    let _alone = alone();
    let Some(servers) = Servers::start() else {
        return;
    };
    let mut random = Random::new(seed("subscribers"));
    let mut report = Report::new();
    let names = ["RESP2 a", "RESP3 a", "RESP2 b", "RESP3 b"];
    let mut subscribers: Vec<Tracked> = names
        .iter()
        .map(|name| Tracked::open(&servers, name))
        .collect();
    let mut publisher = Tracked::open(&servers, "RESP3 publisher");
    for step in 0..STEPS {
        let index = random.below(subscribers.len());
        let command = pubsub_command(&mut random);
        if command[0].ends_with(b"PUBLISH") || command[0] == b"PUBSUB" {
            publisher.batch(std::slice::from_ref(&command), &mut report);
        } else {
            subscribers[index].pair.send(std::slice::from_ref(&command));
        }
        for subscriber in &mut subscribers {
            let marker = format!("marker-{step}");
            subscriber.pair.send(&[command!["PING", marker.clone()]]);
            let redis = subscriber.pair.redis.receive_until(&marker);
            let quorate = subscriber.pair.quorate.receive_until(&marker);
            let (left, right) = (normalised(&command, &redis), normalised(&command, &quorate));
            if left != right {
                let bytes = |frames: &[compare::Reply]| -> Vec<u8> {
                    frames.iter().flat_map(|(_, bytes)| bytes.clone()).collect()
                };
                report.add(subscriber.name, &command, &bytes(&redis), &bytes(&quorate));
            }
            if command == command!["RESET"] && subscriber.name.contains("RESP3") {
                subscriber.pair.exchange(&command!["HELLO", "3"]);
            }
        }
    }
    report.finish();
}

fn pubsub_command(random: &mut Random) -> Command {
    let channels = ["a", "b", "news.sport", "news.art", "{tag}x", ""];
    let patterns = ["*", "news.*", "?", "[ab]", "nothing"];
    let some = |random: &mut Random, names: &[&str], minimum: usize| -> Vec<Vec<u8>> {
        (0..minimum + random.below(3))
            .map(|_| random.pick(names).into())
            .collect()
    };
    match random.below(20) {
        0 | 1 => [command!["SUBSCRIBE"], some(random, &channels, 1)].concat(),
        2 | 3 => [command!["PSUBSCRIBE"], some(random, &patterns, 1)].concat(),
        4 => [command!["SSUBSCRIBE"], some(random, &channels[4..], 1)].concat(),
        5 => [command!["UNSUBSCRIBE"], some(random, &channels, 0)].concat(),
        6 => [command!["PUNSUBSCRIBE"], some(random, &patterns, 0)].concat(),
        7 => [command!["SUNSUBSCRIBE"], some(random, &channels[4..], 0)].concat(),
        8..14 => command!["PUBLISH", random.pick(&channels), random.next().to_string()],
        14 => command!["SPUBLISH", random.pick(&channels), "sharded"],
        15 => command![
            "PUBSUB",
            random.pick(&["CHANNELS", "NUMPAT", "SHARDCHANNELS"])
        ],
        16 => [
            command!["PUBSUB", random.pick(&["NUMSUB", "SHARDNUMSUB"])],
            channels.map(Vec::from).to_vec(),
        ]
        .concat(),
        17 => command![random.pick(&["GET", "SUBSCRIBE", "PSUBSCRIBE", "EXEC", "NOSUCH"])],
        18 => command!["GET", "key"],
        _ => command!["RESET"],
    }
}

/// What must be equal of the frames that a command caused. Redis keeps subscriptions in a hash table with a random
/// seed, so the order of frames for one message, or for "all my channels", is not part of the answer.
fn normalised(command: &Command, frames: &[compare::Reply]) -> Vec<Vec<u8>> {
    let unsubscribes_all = command.len() == 1 && command[0].ends_with(b"UNSUBSCRIBE");
    if unsubscribes_all {
        // The names in any order, the counts in theirs.
        let of = |index: usize| -> Vec<Value> {
            let pick =
                |(frame, _): &compare::Reply| frame.as_slice().map(|parts| parts[index].clone());
            frames
                .iter()
                .map(|frame| pick(frame).unwrap_or_else(|| frame.0.clone()))
                .collect()
        };
        let counts = frames
            .iter()
            .map(|(_, bytes)| bytes.last_chunk::<4>().map_or(vec![], |end| end.to_vec()));
        return sorted(&of(1)).into_iter().chain(counts).collect();
    }
    let mut bytes: Vec<Vec<u8>> = frames.iter().map(|(_, bytes)| bytes.clone()).collect();
    if command[0].ends_with(b"PUBLISH") {
        bytes.sort();
    }
    bytes
}

/// Bytes that are no request, or barely one.
const RAW: &[&[u8]] = &[
    b"PING\r\n",
    b"PING\n",
    b"ping hello\r\n",
    b"\r\n\r\nPING\r\n",
    b"  PING  \r\n",
    b"PING \"a b\"\r\n",
    b"PING 'a\\'b'\r\n",
    b"PING \"\\x41\\n\\q\"\r\n",
    b"PING \"unbalanced\r\n",
    b"PING \"a\"b\r\n",
    b"PING 'a\r\n",
    b"*1\r\n$4\r\nPING\r\n",
    b"*0\r\nPING\r\n",
    b"*-1\r\nPING\r\n",
    b"*-5\r\nPING\r\n",
    b"*abc\r\n",
    b"*\r\n",
    b"*2147483648\r\n",
    b"*99999999999999999999\r\n",
    b"*1\r\nPING\r\n",
    b"*1\r\n:4\r\n",
    b"*1\r\n$abc\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$-5\r\n",
    b"*1\r\n$536870913\r\n",
    b"*1\r\n$99999999999999999999\r\n",
    b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n",
    b"*1\r\n$0\r\n\r\n",
    b"*1\r\n$4 \r\nPING\r\n",
    b"* 1\r\n$4\r\nPING\r\n",
    b"*+1\r\n$4\r\nPING\r\n",
    b"*01\r\n$4\r\nPING\r\n",
    b"*1\n$4\nPING\n",
    b"*2\r\n$4\r\nECHO\r\n$5\r\na\r\nb\n\r\n",
    b"*1\r\n$1\r\n\x07\r\n",
    b"$4\r\nPING\r\n",
    b"+PING\r\n",
    b"~1\r\n$4\r\nPING\r\n",
    b"*1\r\n+PING\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n",
    b"HELLO 3\r\nPING\r\n",
    b"HELLO 2\r\nHELLO 3\r\nNOSUCH\r\n",
    b"HELLO\r\n",
    b"HELLO 3 SETNAME\r\n",
    b"HELLO 3 AUTH a\r\n",
    b"HELLO 3 BOGUS\r\n",
    b"HELLO 5\r\n",
    b"HELLO abc\r\n",
    b"HELLO 3 SETNAME a\\ b\r\n",
    b"AUTH a\r\nAUTH a b\r\nAUTH a b c\r\n",
    b"QUIT\r\nPING\r\n",
    b"QUIT now\r\n",
    b"POST / HTTP/1.1\r\n\r\n",
    b"Host: x\r\n",
    b"host: x\r\nPING\r\n",
    b"CLIENT REPLY OFF\r\nPING\r\nCLIENT REPLY ON\r\nPING\r\n",
    b"CLIENT REPLY SKIP\r\nPING\r\nPING\r\n",
    b"MULTI\r\nPING\r\nPING\r\nEXEC\r\n",
    b"MULTI\r\nNOSUCH\r\nPING\r\nEXEC\r\n",
    b"MULTI\r\nDISCARD\r\n",
    b"EXEC\r\n",
    b"DISCARD\r\n",
    b"MULTI\r\nMULTI\r\nEXEC\r\n",
    b"MULTI\r\nWATCH a\r\nEXEC\r\n",
    b"MULTI\r\nRESET\r\nPING\r\n",
    b"RESET\r\n",
    b"MULTI\r\nQUIT\r\n",
    b"SUBSCRIBE a\r\nPING\r\nPING x\r\nGET a\r\nUNSUBSCRIBE a\r\nPING\r\n",
    b"SUBSCRIBE a\r\nQUIT\r\n",
    b"SUBSCRIBE a b a\r\nRESET\r\nPING\r\n",
    b"HELLO 3\r\nSUBSCRIBE a\r\nPING\r\nUNSUBSCRIBE a\r\n",
    b"MULTI\r\nSUBSCRIBE a\r\nPING\r\nEXEC\r\nPING\r\n",
    b"MULTI\r\nSUBSCRIBE a\r\nEXEC\r\n",
    b"SELECT 1\r\nSELECT 16\r\nSELECT abc\r\nSELECT -1\r\nSELECT 99999999999\r\n",
    b"SELECT\r\nselect 1 2\r\n",
];

#[test]
fn raw_bytes_get_equal_answers_and_ends() {
    const MUTATIONS: usize = 600;
    const LONG: usize = 70_000;
    let _alone = alone();
    let Some(servers) = Servers::start() else {
        return;
    };
    let mut random = Random::new(seed("raw bytes"));
    let mut report = Report::new();
    let mut inputs: Vec<Vec<u8>> = RAW.iter().map(|raw| raw.to_vec()).collect();
    inputs.push(vec![b'a'; LONG]);
    inputs.push([b"*", &vec![b'1'; LONG][..]].concat());
    inputs.push([b"*1\r\n$", &vec![b'1'; LONG][..]].concat());
    for _ in 0..MUTATIONS {
        let mut input = random.pick(RAW).to_vec();
        for _ in 0..1 + random.below(3) {
            let at = random.below(input.len());
            match random.below(4) {
                0 => input[at] = b"\r\n*$0-\"'9"[random.below(9)],
                1 => drop(input.remove(at)),
                2 => input.insert(at, b"\r\n*$\"' 19"[random.below(9)]),
                _ => input.truncate(at + 1),
            }
            if input.is_empty() {
                input.push(b'\n');
            }
        }
        inputs.push(input);
    }
    for input in inputs {
        let (redis, quorate) = servers.raw(&input, &mut random);
        let (redis, quorate) = (without_version(&redis), without_version(&quorate));
        if redis != quorate
            && !refuses_sooner(&redis, &quorate)
            && !has_long_header(&input)
            && !counts_too_many(&input, &quorate)
            && !spells_another_command(&redis, &quorate)
        {
            report.add("raw", &[input], &redis, &quorate);
        }
    }
    report.finish();
}

/// Replies of HELLO without what names the server, its version, the connection and the mode.
fn without_version(bytes: &[u8]) -> Vec<u8> {
    let mut rest = bytes;
    let mut kept = Vec::new();
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|part| part == what);
    while let Some(start) = find(rest, b"$7\r\nversion\r\n") {
        kept.extend_from_slice(&rest[..start]);
        rest = &rest[start..];
        let end = find(rest, b"$4\r\nrole\r\n").expect("the reply to HELLO goes on");
        rest = &rest[end..];
    }
    kept.extend_from_slice(rest);
    kept
}

/// Whether bytes that can become no request any more are refused here, while Redis waits for more and
/// so says nothing when the stream ends. `differences.toml` lists the cases.
fn refuses_sooner(redis: &[u8], quorate: &[u8]) -> bool {
    let more = quorate.strip_prefix(redis).unwrap_or_default();
    let refusal = more
        .strip_suffix(
            b"
",
        )
        .unwrap_or_default();
    refusal.starts_with(b"-ERR Protocol error: ") && !refusal.contains(&b'\n')
}

/// Whether a change of letters has made the name of a command that only Redis has, as SCARD of
/// DISCARD.
fn spells_another_command(redis: &[u8], quorate: &[u8]) -> bool {
    let lines = |bytes| <[u8]>::split(bytes, |byte| *byte == b'\n');
    let differing = lines(redis)
        .zip(lines(quorate))
        .find(|(left, right)| left != right);
    differing.is_some_and(|(_, line)| line.starts_with(b"-ERR unknown command"))
}

/// Whether a header is longer than any number, which is refused in other words. Listed, too.
fn has_long_header(input: &[u8]) -> bool {
    const NUMBER_MAX: usize = 20;
    input.split(|byte| *byte == b'\r').any(|line| {
        let line = line.trim_ascii_start();
        (line.starts_with(b"*") || line.starts_with(b"$")) && line.len() > NUMBER_MAX
    })
}

/// Whether a request was refused for announcing more arguments than are taken here, of which Redis waits
/// for the first, or finds fault with it. Listed, too.
fn counts_too_many(input: &[u8], quorate: &[u8]) -> bool {
    let announces = |line: &[u8]| {
        let count = line.trim_ascii_start().strip_prefix(b"*")?;
        std::str::from_utf8(count).ok()?.parse::<u32>().ok()
    };
    let mut counts = input.split(|byte| *byte == b'\r').filter_map(announces);
    quorate.ends_with(b"-ERR Protocol error: invalid multibulk length\r\n")
        && counts.any(|count| (1_048_577..=2_147_483_647).contains(&count))
}

#[test]
fn keys_expire_on_both() {
    let _alone = alone();
    let Some(servers) = Servers::start() else {
        return;
    };
    let mut report = Report::new();
    let soon = [
        command!["SET", "key", "value", "PX", "30"],
        command!["PSETEX", "key", "30", "value"],
        command!["GETEX", "key", "PX", "30"],
        command!["PEXPIRE", "key", "30"],
        command!["SET", "key", "value", "PX", "30", "GET"],
    ];
    for name in ["RESP2", "RESP3"] {
        for command in &soon {
            let mut connection = Tracked::open(&servers, name);
            connection.batch(
                &[command!["SET", "key", "old"], command.clone()],
                &mut report,
            );
            harness::poll("the key is gone on both", || {
                let (redis, quorate) = connection.pair.exchange(&command!["EXISTS", "key"]);
                (redis.0 == Value::Integer(0) && quorate.0 == Value::Integer(0)).then_some(())
            });
            let after = [
                "GET",
                "TTL",
                "PTTL",
                "TYPE",
                "PERSIST",
                "GETDEL",
                "EXPIRETIME",
                "STRLEN",
                "INCR",
            ];
            let after = after.map(|name| command![name, "key"]);
            connection.batch(&after, &mut report);
            connection.batch(&[command!["DBSIZE"], command!["KEYS", "*"]], &mut report);
            connection.batch(&[command!["DEL", "key"]], &mut report);
        }
    }
    report.finish();
}

#[test]
fn every_listed_difference_is_still_one() {
    let _alone = alone();
    let Some(servers) = Servers::start() else {
        return;
    };
    let differences = Differences::read();
    let mut random = Random::new(seed("listed differences"));
    for difference in differences.iter() {
        if let Some(raw) = &difference.raw {
            let (redis, quorate) = servers.raw(raw, &mut random);
            difference.check(redis != quorate, &redis, &quorate);
            continue;
        }
        let mut pair = servers.connect();
        pair.send(&difference.example);
        let mut last = None;
        for command in &difference.example {
            last = Some((command, pair.receive(command)));
        }
        let (command, (redis, quorate)) = last.expect("an example has a command");
        difference.check(
            !are_equal(mode(command), &redis, &quorate),
            &redis.1,
            &quorate.1,
        );
    }
}
