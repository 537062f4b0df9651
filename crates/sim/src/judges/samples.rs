//! Histories for the tests of the checkers: a server of a few lines, clients that use it, and mistakes
//! made in what they saw afterwards.

use std::collections::BTreeMap;

use crate::history::{History, Outcome, Reply};

/// Random numbers, the same ones for the same seed (xorshift, Marsaglia 2003).
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Noise {
        Noise(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound.max(1)
    }

    pub(crate) fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }

    pub(crate) fn word(&mut self, all: &[&'static str]) -> &'static [u8] {
        self.pick(all).as_bytes()
    }
}

/// What clients do.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) clients: u64,
    pub(crate) operations: usize,
    pub(crate) keys: u64,
    /// Operations under way on one connection.
    pub(crate) depth: usize,
    pub(crate) unknown_percent: u64,
    pub(crate) failed_percent: u64,
    /// Which kinds: `r` registers, `c` registers by all commands, `n` counters that go up, `m` both ways,
    /// `a` lists, `A` transactions on lists, `x` transactions on registers and counters, `w` watched
    /// keys, `t` expiry.
    pub(crate) kinds: &'static [u8],
    /// The mean time between two things that happen.
    pub(crate) gap_us: u64,
}

impl Plan {
    pub(crate) const SMALL: Plan = Plan {
        clients: 5,
        operations: 60,
        keys: 2,
        depth: 1,
        unknown_percent: 5,
        failed_percent: 5,
        kinds: b"r",
        gap_us: 1000,
    };
}

pub(crate) type Command = Vec<Vec<u8>>;

pub(crate) fn command(words: &[&[u8]]) -> Command {
    words.iter().map(|word| word.to_vec()).collect()
}

/// A server: values and when they expire.
#[derive(Clone, Default)]
pub(crate) struct Server {
    pub(crate) data: BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>,
}

impl Server {
    /// Executes a transaction. `None`: a watched key had changed.
    pub(crate) fn all(&mut self, now: u64, commands: &[Command]) -> Option<Vec<Reply>> {
        let keeps = |command: &&Command| command[0] == b"WATCH";
        for watch in commands.iter().filter(keeps) {
            let value = self.data.get(&watch[1]).map(|(value, _)| value);
            if value != watch.get(2) {
                return None;
            }
        }
        Some(
            commands
                .iter()
                .map(|command| self.one(now, command))
                .collect(),
        )
    }

    fn one(&mut self, now: u64, words: &Command) -> Reply {
        let ok = Reply::Text(b"OK".to_vec());
        let name = std::str::from_utf8(&words[0]).unwrap();
        if name == "WATCH" {
            return ok;
        }
        let key = words[1].clone();
        if self
            .data
            .get(&key)
            .is_some_and(|(_, end)| end.is_some_and(|end| end <= now))
        {
            self.data.remove(&key);
        }
        let old = self.data.get(&key).map(|(value, _)| value.clone());
        let had = i64::from(old.is_some());
        let text = |value: Option<Vec<u8>>| value.map_or(Reply::Null, Reply::Text);
        let number = |word: &Vec<u8>| std::str::from_utf8(word).unwrap().parse::<i64>().ok();
        let until = |ms: &Vec<u8>| Some(now + 1000 * number(ms).unwrap() as u64);
        match name {
            "GET" => text(old),
            "EXISTS" => Reply::Integer(had),
            "STRLEN" => Reply::Integer(old.map_or(0, |old| old.len()) as i64),
            "PTTL" => match self.data.get(&key) {
                None => Reply::Integer(-2),
                Some((_, None)) => Reply::Integer(-1),
                Some((_, Some(end))) => Reply::Integer(((end - now) / 1000) as i64),
            },
            "SET" => {
                let option = words.get(3).map_or(&b""[..], |word| word);
                let goes = match option {
                    b"NX" => had == 0,
                    b"XX" => had == 1,
                    _ => true,
                };
                let end = if option == b"PX" {
                    until(&words[4])
                } else {
                    None
                };
                if goes {
                    self.data.insert(key, (words[2].clone(), end));
                }
                match (option, goes) {
                    (b"GET", _) => text(old),
                    (_, true) => ok,
                    (_, false) => Reply::Null,
                }
            }
            "GETSET" => {
                self.data.insert(key, (words[2].clone(), None));
                text(old)
            }
            "SETNX" => {
                self.data.entry(key).or_insert((words[2].clone(), None));
                Reply::Integer(1 - had)
            }
            "DEL" => {
                self.data.remove(&key);
                Reply::Integer(had)
            }
            "APPEND" => {
                let value = &mut self.data.entry(key).or_default().0;
                value.extend(&words[2]);
                Reply::Integer(value.len() as i64)
            }
            "INCR" | "INCRBY" | "DECRBY" => {
                let amount = match words.get(2) {
                    None => 1,
                    Some(word) => match number(word) {
                        Some(amount) => amount,
                        None => return Reply::Error("ERR value is not an integer".into()),
                    },
                };
                let amount = if name == "DECRBY" { -amount } else { amount };
                match old.map_or(Some(0), |old| number(&old)) {
                    None => Reply::Error("ERR value is not an integer or out of range".into()),
                    Some(before) => {
                        let value = (before + amount).to_string().into_bytes();
                        self.data.entry(key).or_default().0 = value;
                        Reply::Integer(before + amount)
                    }
                }
            }
            "PEXPIRE" => {
                if let Some((_, end)) = self.data.get_mut(&key) {
                    *end = until(&words[2]);
                }
                Reply::Integer(had)
            }
            "PERSIST" => match self.data.get_mut(&key) {
                Some((_, end)) => Reply::Integer(i64::from(end.take().is_some())),
                None => Reply::Integer(0),
            },
            other => panic!("the samples have no {other}"),
        }
    }
}

/// Makes up commands.
struct Author {
    keys: u64,
    token: u64,
    /// By process: what it read last of which key of the kind `w`.
    read: BTreeMap<u64, (Vec<u8>, Option<Vec<u8>>)>,
}

impl Author {
    fn token(&mut self) -> Vec<u8> {
        self.token += 1;
        format!("v{}", self.token).into_bytes()
    }

    fn operation(&mut self, noise: &mut Noise, process: u64, kind: u8) -> Vec<Command> {
        match kind {
            b'A' => (0..2 + noise.below(2))
                .map(|_| self.command(noise, b'a'))
                .collect(),
            b'x' => {
                let count = 2 + noise.below(2);
                (0..count)
                    .map(|_| {
                        let kind = *noise.pick(b"rn");
                        self.command(noise, kind)
                    })
                    .collect()
            }
            b'w' if noise.percent(40) && self.read.contains_key(&process) => {
                let (key, value) = self.read[&process].clone();
                let mut watch = command(&[b"WATCH", &key]);
                watch.extend(value);
                vec![watch, command(&[b"SET", &key, &self.token()])]
            }
            kind => vec![self.command(noise, kind)],
        }
    }

    fn command(&mut self, noise: &mut Noise, kind: u8) -> Command {
        let number = noise.below(self.keys);
        let key = format!("{}{number}", char::from(kind)).into_bytes();
        let token = self.token();
        let amount = (1 + noise.below(5)).to_string().into_bytes();
        if noise.percent(45) {
            return command(&[b"GET", &key]);
        }
        match (kind, noise.below(8)) {
            (b'a', _) => command(&[b"APPEND", &key, &[&token[..], b","].concat()]),
            (b'n', 0..5) => command(&[b"INCR", &key]),
            (b'n', _) => command(&[b"INCRBY", &key, &amount]),
            (b'm', 0..3) => command(&[b"INCR", &key]),
            (b'm', 3) => command(&[b"INCRBY", &key, b"many"]),
            (b'm', 4..6) => command(&[b"INCRBY", &key, &amount]),
            (b'm', _) => command(&[b"DECRBY", &key, &amount]),
            (b'c', 0) => command(&[b"DEL", &key]),
            (b'c', 1) => command(&[b"SETNX", &key, &token]),
            (b'c', 2) => command(&[b"SET", &key, &token, noise.word(&["NX", "XX"])]),
            (b'c', 3) => command(&[b"SET", &key, &token, b"GET"]),
            (b'c', 4) => command(&[b"GETSET", &key, &token]),
            (b'c', 5) => command(&[noise.word(&["EXISTS", "STRLEN"]), &key]),
            (b't', 0..3) => command(&[b"SET", &key, &token, b"PX", &amount]),
            (b't', 3) => command(&[b"PEXPIRE", &key, &amount]),
            (b't', 4) => command(&[b"PERSIST", &key]),
            (b't', 5) => command(&[b"PTTL", &key]),
            (b't', 6) => command(&[b"INCRBY", &key, &amount]),
            _ => command(&[b"SET", &key, &token]),
        }
    }
}

/// What is under way.
struct Open {
    op: usize,
    process: u64,
    replies: Option<Vec<Reply>>,
    /// The client does not wait any more.
    given_up: bool,
}

/// A history of a server that makes no mistakes. At the end every key is read once.
pub(crate) fn generate(seed: u64, plan: Plan) -> History {
    let mut noise = Noise::new(seed);
    let mut history = History::default();
    let mut server = Server::default();
    let mut author = Author {
        keys: plan.keys,
        token: 0,
        read: BTreeMap::new(),
    };
    let mut open: Vec<Open> = Vec::new();
    let mut now = 0;
    while history.operations.len() < plan.operations || open.iter().any(|it| !it.given_up) {
        // Many things may happen at one time: only their order in the history counts.
        now += noise.below(2 * plan.gap_us);
        let process = noise.below(plan.clients);
        let busy = open
            .iter()
            .filter(|it| it.process == process && !it.given_up)
            .count();
        let choice = noise.below(3);
        if choice == 0 && busy < plan.depth && history.operations.len() < plan.operations {
            let kind = *noise.pick(plan.kinds);
            let commands = author.operation(&mut noise, process, kind);
            let op = history.invoke(now, process as u32, 1, commands);
            let replies = None;
            let given_up = false;
            open.push(Open {
                op,
                process,
                replies,
                given_up,
            });
            continue;
        }
        if open.is_empty() {
            continue;
        }
        let place = noise.below(open.len() as u64) as usize;
        // On one connection everything happens in order.
        let is_next = |it: &Open| it.process == open[place].process && !it.given_up;
        if !open[place].given_up && open[..place].iter().any(is_next) {
            continue;
        }
        advance(
            &mut noise,
            plan,
            now,
            &mut history,
            &mut server,
            &mut open,
            place,
            &mut author,
        );
    }
    for key in keys(&history) {
        let commands = vec![command(&[b"GET", &key])];
        let replies = server.all(now, &commands).unwrap();
        let op = history.invoke(now, 1000, 1, commands);
        history.complete(now, op, Outcome::Done(replies), None);
    }
    history
}

/// Lets something happen to an open operation.
#[expect(clippy::too_many_arguments, reason = "it is a part of one function")]
fn advance(
    noise: &mut Noise,
    plan: Plan,
    now: u64,
    history: &mut History,
    server: &mut Server,
    open: &mut Vec<Open>,
    place: usize,
    author: &mut Author,
) {
    let it = &mut open[place];
    let commands = &history.operations[it.op].commands;
    if it.given_up {
        // It takes effect long after, or is lost.
        if noise.percent(50) {
            server.all(now, commands);
        }
        open.remove(place);
    } else if it.replies.is_none() && noise.percent(plan.failed_percent) {
        history.complete(now, it.op, Outcome::Failed("NOQUORUM".into()), None);
        open.remove(place);
    } else if noise.percent(plan.unknown_percent) {
        history.complete(now, it.op, Outcome::Unknown("UNCERTAIN".into()), None);
        it.given_up = true;
        if it.replies.is_some() {
            open.remove(place);
        }
    } else if it.replies.is_none() {
        it.replies = Some(server.all(now, commands).unwrap_or(vec![Reply::Null]));
    } else if let Some(replies) = it.replies.take() {
        let (op, process) = (it.op, it.process);
        if let ([get], [reply]) = (&commands[..], &replies[..])
            && get[1][0] == b'w'
            && get[0] == b"GET"
        {
            let value = match reply {
                Reply::Text(text) => Some(text.clone()),
                _ => None,
            };
            author.read.insert(process, (get[1].clone(), value));
        }
        history.complete(now, op, Outcome::Done(replies), None);
        open.remove(place);
    }
}

/// All keys of a history, sorted.
pub(crate) fn keys(history: &History) -> Vec<Vec<u8>> {
    let commands = history.operations.iter().flat_map(|it| &it.commands);
    let mut keys: Vec<Vec<u8>> = commands.map(|command| command[1].clone()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

pub(crate) fn words(text: &str) -> Vec<Vec<Vec<u8>>> {
    let command = |part: &str| {
        let words = part.split_whitespace();
        words.map(|word| word.as_bytes().to_vec()).collect()
    };
    text.split(';').map(command).collect()
}

fn replies(text: &str) -> Vec<Reply> {
    let reply = |word: &str| match word.trim() {
        "null" => Reply::Null,
        word => match word.parse() {
            Ok(number) => Reply::Integer(number),
            Err(_) => match word.strip_prefix('!') {
                Some(error) => Reply::Error(error.to_owned()),
                None => Reply::Text(word.trim_start_matches('$').as_bytes().to_vec()),
            },
        },
    };
    text.split(';').map(reply).collect()
}

/// A history from lines `process start end commands => replies`, with `fail` or `info` for replies. The
/// times are all different.
pub(crate) fn history(lines: &[&str]) -> History {
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (line, text) in lines.iter().enumerate() {
        let mut parts = text.split_whitespace().skip(1);
        let mut time = || parts.next().unwrap().parse::<u64>().unwrap();
        events.push((time(), false, line));
        events.push((time(), true, line));
    }
    events.sort_unstable();
    let mut history = History::default();
    let mut ops = BTreeMap::new();
    for (time, is_end, line) in events {
        let (head, outcome) = lines[line].split_once(" => ").unwrap();
        let process = head.split_whitespace().next().unwrap().parse().unwrap();
        let commands: Vec<&str> = head.splitn(4, ' ').collect();
        if !is_end {
            ops.insert(line, history.invoke(time, process, 1, words(commands[3])));
            continue;
        }
        let outcome = match outcome {
            "fail" => Outcome::Failed("FAIL".into()),
            "info" => Outcome::Unknown("UNCERTAIN".into()),
            text => Outcome::Done(replies(text)),
        };
        history.complete(time, ops[&line], outcome, None);
    }
    history
}
