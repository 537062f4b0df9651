//! A random workload under random trouble. What the clients saw is checked: nothing acknowledged is
//! missing or counted twice, nothing that was said not to have happened did, no read goes back
//! behind what was known when it began, every request is answered by its deadline, and replicas that
//! have applied the same entries are equal.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Client, Fate, TICK_MS, World, show};
use replica::{Config, PeerMessage, Replica};

const REQUEST_TIMEOUT_MS: u64 = 1_500;
const KEYS: u64 = 3;

/// xorshift64*: the same in every run.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// What is known of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It was acknowledged.
    Done,
    /// It was said not to have taken effect.
    NotDone,
    /// Nobody can tell.
    Unknown,
}

/// One part of a request in flight, and what its reply is checked against.
#[derive(Clone, Debug)]
enum Part {
    /// Whatever the reply.
    Any,
    /// The counter is greater than `floor` afterwards.
    Increment { key: u64, floor: i64 },
    /// The counter is `floor` at least.
    Read { key: u64, floor: i64 },
    /// The token was appended.
    Append { token: u64 },
    /// An increment and an append, both or neither.
    Transaction { key: u64, floor: i64, token: u64 },
}

/// A client, and what it waits for.
struct Actor {
    client: Client,
    waiting: Vec<Part>,
    since_us: u64,
}

struct History {
    /// By counter: the values that increments returned.
    returned: Vec<BTreeSet<i64>>,
    /// By counter: the greatest value known to anybody.
    known: Vec<i64>,
    /// By counter: increments whose fate is not known.
    unknown: Vec<i64>,
    /// By token.
    tokens: BTreeMap<u64, Outcome>,
    next_token: u64,
    /// By applied index, a replica's state then.
    states: BTreeMap<u64, u64>,
    errors: u64,
    answers: u64,
}

struct Run {
    seed: u64,
    world: World,
    dice: Dice,
    actors: Vec<Actor>,
    history: History,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut dice = Dice::new(seed);
        let nodes = if dice.one_in(4) { 5 } else { 3 };
        let small: fn(&mut Config) = |config| {
            config.request_timeout_ms = REQUEST_TIMEOUT_MS;
            config.batch_bytes_max = 400;
            config.unapplied_bytes_max = 4_000;
        };
        let with_snapshots: fn(&mut Config) = |config| {
            config.request_timeout_ms = REQUEST_TIMEOUT_MS;
            config.batch_bytes_max = 400;
            config.unapplied_bytes_max = 4_000;
            config.snapshot_log_bytes_min = 800;
            config.snapshot_log_bytes_max = 2_000;
            config.log_tail_bytes = 300;
        };
        let world = World::with(nodes, [small, with_snapshots][seed as usize % 2]);
        let mut run = Run {
            seed,
            world,
            dice,
            actors: Vec::new(),
            history: History {
                returned: vec![BTreeSet::new(); KEYS as usize],
                known: vec![0; KEYS as usize],
                unknown: vec![0; KEYS as usize],
                tokens: BTreeMap::new(),
                next_token: 0,
                states: BTreeMap::new(),
                errors: 0,
                answers: 0,
            },
        };
        run.world.leader();
        for node in 1..=nodes {
            run.join(node);
        }
        run
    }

    /// Two clients of a node.
    fn join(&mut self, node: u64) {
        for _ in 0..2 {
            let client = self.world.client(node);
            self.actors.push(Actor {
                client,
                waiting: Vec::new(),
                since_us: 0,
            });
        }
    }

    fn part(&mut self, requests: &mut Vec<Vec<String>>, parts: &mut Vec<Part>) {
        let key = self.dice.below(KEYS);
        let name = format!("n{key}");
        let floor = self.history.known[key as usize];
        let kind = self.dice.below(8);
        let mut push = |request: &[&str], part: Part| {
            requests.push(request.iter().map(|arg| (*arg).to_owned()).collect());
            parts.push(part);
        };
        self.history.next_token += 1;
        let token = self.history.next_token;
        let text = format!("{token},");
        match kind {
            0..3 => push(&["GET", &name], Part::Read { key, floor }),
            3..5 => push(&["INCR", &name], Part::Increment { key, floor }),
            5 => push(&["APPEND", "log", &text], Part::Append { token }),
            6 => push(&["PING"], Part::Any),
            _ => {
                push(&["MULTI"], Part::Any);
                push(&["APPEND", "log", &text], Part::Any);
                push(&["GET", &name], Part::Any);
                push(&["INCR", &name], Part::Any);
                push(&["EXEC"], Part::Transaction { key, floor, token });
            }
        }
    }

    /// Lets an idle client ask something.
    fn ask(&mut self) {
        if self.actors.is_empty() {
            return;
        }
        let index = self.dice.below(self.actors.len() as u64) as usize;
        if !self.actors[index].waiting.is_empty() {
            return;
        }
        let (mut requests, mut parts) = (Vec::new(), Vec::new());
        for _ in 0..=self.dice.below(4) {
            self.part(&mut requests, &mut parts);
        }
        let requests: Vec<Vec<&str>> = requests
            .iter()
            .map(|request| request.iter().map(String::as_str).collect())
            .collect();
        let requests: Vec<&[&str]> = requests.iter().map(Vec::as_slice).collect();
        let actor = &mut self.actors[index];
        actor.waiting = parts;
        actor.since_us = self.world.now.mono_us;
        self.world.send(actor.client, &requests);
    }

    /// Takes what has been answered, and checks it.
    fn hear(&mut self) {
        let mut actors = std::mem::take(&mut self.actors);
        for actor in &mut actors {
            while let Some(reply) = self.world.reply(actor.client) {
                assert!(!actor.waiting.is_empty(), "seed {}: {reply:?}", self.seed);
                let part = actor.waiting.remove(0);
                let reply = show(&reply);
                self.judge(&part, &reply);
            }
            let waited_ms = (self.world.now.mono_us - actor.since_us) / 1000;
            assert!(
                actor.waiting.is_empty() || waited_ms <= REQUEST_TIMEOUT_MS + 10 * TICK_MS,
                "seed {}: {:?} not answered after {waited_ms} ms on node {}",
                self.seed,
                actor.waiting,
                actor.client.node
            );
        }
        self.actors = actors;
    }

    fn judge(&mut self, part: &Part, reply: &str) {
        let seed = self.seed;
        let outcome = match reply {
            reply if reply.starts_with("-NOQUORUM") => Outcome::NotDone,
            reply if reply.starts_with("-DISKFULL") => Outcome::NotDone,
            reply if reply.starts_with("-UNCERTAIN") => Outcome::Unknown,
            reply => {
                assert!(!reply.starts_with('-'), "seed {seed}: {part:?}: {reply}");
                Outcome::Done
            }
        };
        self.history.errors += u64::from(outcome != Outcome::Done);
        self.history.answers += 1;
        match (part, outcome) {
            (Part::Any, _) | (Part::Read { .. }, Outcome::NotDone) => {}
            (Part::Read { key, floor }, _) => {
                let value = if reply == "nil" { 0 } else { number(reply) };
                assert!(value >= *floor, "seed {seed}: {part:?} read {value}");
                self.know(*key, value);
            }
            (Part::Increment { key, floor }, _) => self.incremented(*key, *floor, outcome, reply),
            (Part::Append { token }, outcome) => {
                self.history.tokens.insert(*token, outcome);
            }
            (Part::Transaction { key, floor, token }, outcome) => {
                self.history.tokens.insert(*token, outcome);
                let last = reply.trim_matches(['[', ']']).rsplit(' ').next();
                self.incremented(*key, *floor, outcome, last.unwrap_or_default());
            }
        }
    }

    fn incremented(&mut self, key: u64, floor: i64, outcome: Outcome, reply: &str) {
        let seed = self.seed;
        match outcome {
            Outcome::Done => {
                let value = number(reply);
                assert!(
                    value > floor,
                    "seed {seed}: {value} after {floor} was known"
                );
                let is_new = self.history.returned[key as usize].insert(value);
                assert!(is_new, "seed {seed}: n{key} became {value} twice");
                self.know(key, value);
            }
            Outcome::Unknown => self.history.unknown[key as usize] += 1,
            Outcome::NotDone => {}
        }
    }

    fn know(&mut self, key: u64, value: i64) {
        let known = &mut self.history.known[key as usize];
        *known = (*known).max(value);
    }

    /// What a client waits for whose node died is unknown for ever.
    fn forget(&mut self, node: u64) {
        let (gone, stay) = std::mem::take(&mut self.actors)
            .into_iter()
            .partition::<Vec<_>, _>(|actor| actor.client.node == node);
        self.actors = stay;
        for part in gone.into_iter().flat_map(|actor| actor.waiting) {
            match part {
                Part::Any | Part::Read { .. } => {}
                Part::Increment { key, .. } => self.history.unknown[key as usize] += 1,
                Part::Append { token } => {
                    self.history.tokens.insert(token, Outcome::Unknown);
                }
                Part::Transaction { key, token, .. } => {
                    self.history.unknown[key as usize] += 1;
                    self.history.tokens.insert(token, Outcome::Unknown);
                }
            }
        }
    }

    fn trouble(&mut self) {
        let count = self.world.nodes.len() as u64;
        let node = 1 + self.dice.below(count);
        let other = 1 + self.dice.below(count);
        match self.dice.below(14) {
            0 | 1 => {
                if self.world.node(node).replica.is_some() {
                    self.world.crash(node);
                    self.forget(node);
                }
            }
            2..5 => self.revive(),
            5 if node != other => {
                self.world.cut.insert((node, other));
            }
            6 => self.world.isolate(node),
            7 | 8 => self.world.heal(),
            9 => self.world.node(node).disk_stalled = true,
            10 => {
                for node in &mut self.world.nodes {
                    node.disk_stalled = false;
                }
            }
            11 | 12 => {
                let is_full = self.dice.one_in(3);
                let now = self.world.local_now(node);
                if let Some(replica) = &mut self.world.node(node).replica {
                    replica.disk_space(now, is_full);
                }
            }
            _ => {
                let offset_ms = self.dice.below(60_000) as i64 - 30_000;
                self.world.node(node).clock_offset_ms = offset_ms;
            }
        }
    }

    fn revive(&mut self) {
        for node in 1..=self.world.nodes.len() as u64 {
            if self.world.node(node).replica.is_none() {
                self.world.start(node);
                self.join(node);
            }
        }
    }

    fn compare_states(&mut self) {
        for node in &self.world.nodes {
            let Some(replica) = &node.replica else {
                continue;
            };
            let applied = replica.metrics().applied_index;
            let hash = replica.state_hash();
            let first = *self.history.states.entry(applied).or_insert(hash);
            assert_eq!(
                hash, first,
                "seed {}: node {} at {applied}",
                self.seed, node.id
            );
        }
    }

    fn finish(&mut self) {
        self.world.fate = Box::new(|_, _, _| Fate::Arrives);
        self.world.latency_ms = 0;
        for id in 1..=self.world.nodes.len() as u64 {
            let now = self.world.local_now(id);
            let node = self.world.node(id);
            node.disk_stalled = false;
            if let Some(replica) = &mut node.replica {
                replica.disk_space(now, false);
            }
        }
        self.revive();
        self.world.heal();
        self.world.run_ms(3 * REQUEST_TIMEOUT_MS);
        self.hear();
        self.world.run_until("every node is ready", |world| {
            let mut replicas = world.nodes.iter().filter_map(|node| node.replica.as_ref());
            replicas.all(Replica::is_ready)
        });
        for node in &self.world.nodes {
            let metrics = node.replica.as_ref().expect("it runs").metrics();
            assert_eq!(metrics.batches_unapplied, 0, "seed {}", self.seed);
            assert_eq!(metrics.reads_waiting, 0, "seed {}", self.seed);
        }
        self.compare_states();
        let seed = self.seed;
        for node in 1..=self.world.nodes.len() as u64 {
            let client = self.world.client(node);
            for key in 0..KEYS as usize {
                let reply = self.world.show(client, &["GET", &format!("n{key}")]);
                let value = if reply == "nil" { 0 } else { number(&reply) };
                let acknowledged = self.history.returned[key].len() as i64;
                let most = acknowledged + self.history.unknown[key];
                assert!(
                    (acknowledged..=most).contains(&value),
                    "seed {seed}: n{key} is {value}, {acknowledged} acknowledged, at most {most}"
                );
            }
            let log = self.world.show(client, &["GET", "log"]);
            self.check_log(&log);
        }
    }

    fn check_log(&self, log: &str) {
        let mut found = BTreeMap::new();
        for token in log.split(',').filter(|token| !["", "nil"].contains(token)) {
            *found.entry(number(token) as u64).or_insert(0) += 1;
        }
        for (token, outcome) in &self.history.tokens {
            let count = found.get(token).copied().unwrap_or(0);
            let is_right = match outcome {
                Outcome::Done => count == 1,
                Outcome::NotDone => count == 0,
                Outcome::Unknown => count <= 1,
            };
            let seed = self.seed;
            assert!(
                is_right,
                "seed {seed}: token {token}, {outcome:?}, stands {count} times"
            );
        }
    }
}

fn number(text: &str) -> i64 {
    text.parse()
        .unwrap_or_else(|_| panic!("a number, not {text}"))
}

/// One run. Returns how many requests were answered, and how many of them by an error.
fn run(seed: u64, steps: u64) -> (u64, u64) {
    let mut run = Run::new(seed);
    let mut dice = Dice::new(seed ^ 0xFA7E);
    let (loss, twice, late) = (dice.below(20), dice.below(20), dice.below(20));
    run.world.latency_ms = [0, 0, 1, 25][dice.below(4) as usize];
    run.world.fate = Box::new(move |_, _, message| match dice.below(200) {
        roll if roll < loss => Fate::IsLost,
        // What is refused must have been the only copy: the shell owes that (see `Replica`).
        roll if roll < loss + twice => match message {
            PeerMessage::Raft(_) => Fate::ArrivesTwice,
            _ => Fate::Arrives,
        },
        roll if roll < loss + twice + late => Fate::IsLate { ms: 10 + roll },
        _ => Fate::Arrives,
    });
    for step in 0..steps {
        if run.dice.one_in(40) {
            run.trouble();
        }
        match run.dice.below(4) {
            0 => run.world.run_ms(TICK_MS),
            1 => run.world.settle_once(),
            _ => run.ask(),
        }
        run.hear();
        if step % 50 == 0 {
            run.compare_states();
        }
    }
    run.finish();
    (run.history.answers, run.history.errors)
}

#[test]
fn clients_see_one_history_whatever_happens() {
    let chosen = std::env::var("REPLICA_SEED").ok();
    let seeds = match chosen.and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..12,
    };
    let (mut answers, mut errors) = (0, 0);
    for seed in seeds {
        let of_run = run(seed, 2_000);
        answers += of_run.0;
        errors += of_run.1;
    }
    assert!(
        answers > 1_000 && errors < answers / 2,
        "{answers} answers, {errors} errors"
    );
}
