//! A node that is made up: it does at once what it is told, and knows just enough commands.

use std::collections::BTreeMap;

use resp::{Encoder, Limits, Protocol, RequestParser};

use crate::history::Position;

pub(super) type Command = Vec<Vec<u8>>;

/// What the node does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Does what it is told.
    Answers,
    /// Takes requests and says nothing.
    IsSilent,
    /// Breaks the connection at every request.
    Breaks,
    /// Refuses connections.
    RefusesConnections,
    /// Answers every command on data by an error.
    Errs(&'static str),
}

/// One connection.
#[derive(Default)]
pub(super) struct Session {
    resp3: bool,
    db: Vec<u8>,
    queue: Option<Vec<Command>>,
    is_refused: bool,
    listens: bool,
    /// What is watched, and how often it had been changed.
    watches: Vec<(Vec<u8>, u64)>,
    input: Vec<u8>,
    parser: RequestParser,
    /// Bytes ever replied.
    written: u64,
}

/// The node, its data the same for all connections.
#[derive(Default)]
pub(super) struct Node {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    /// How often each key was changed.
    changes: BTreeMap<Vec<u8>, u64>,
    /// What was executed, in order: one command, or those of a transaction. Keys carry their
    /// database.
    pub(super) executed: Vec<Vec<Command>>,
    pub(super) sessions: BTreeMap<usize, Session>,
    /// How many requests it was sent.
    pub(super) requests: u64,
}

/// Replies, and where they were made.
#[derive(Default)]
pub(super) struct Replies {
    pub(super) bytes: Vec<u8>,
    pub(super) made: Vec<(u64, Position)>,
}

impl Node {
    /// Does what a client asks. Returns what each client gets.
    pub(super) fn take(
        &mut self,
        client: usize,
        bytes: &[u8],
        manner: Manner,
    ) -> BTreeMap<usize, Replies> {
        let mut all = BTreeMap::new();
        let session = self.sessions.get_mut(&client).unwrap();
        session.input.extend_from_slice(bytes);
        loop {
            let session = self.sessions.get_mut(&client).unwrap();
            let parsed = session.parser.parse(&session.input, &Limits::AUTHENTICATED);
            let Some(length) = parsed.unwrap() else {
                return all;
            };
            let source = session.parser.source(&session.input);
            let args = session.parser.args().iter();
            let command = args.map(|range| source[range.clone()].to_vec()).collect();
            session.input.drain(..length);
            self.requests += 1;
            self.request(client, command, manner, &mut all);
        }
    }

    fn request(
        &mut self,
        client: usize,
        command: Command,
        manner: Manner,
        all: &mut BTreeMap<usize, Replies>,
    ) {
        let mut session = self.sessions.remove(&client).unwrap();
        let mut out = Vec::new();
        let made = self.reply(&mut session, &command, manner, &mut out);
        self.sessions.insert(client, session);
        self.write(client, &out, made, all);
        if made.is_some() && command[0] == b"PUBLISH" {
            let listeners: Vec<usize> = self.sessions.keys().copied().collect();
            for listener in listeners {
                let session = &self.sessions[&listener];
                if session.listens {
                    let mut out = Vec::new();
                    let mut encoder = Encoder::new(&mut out, session.protocol());
                    encoder.push(3);
                    for part in [b"message".as_slice(), &command[1], &command[2]] {
                        encoder.bulk(part);
                    }
                    self.write(listener, &out, None, all);
                }
            }
        }
    }

    fn write(
        &mut self,
        client: usize,
        out: &[u8],
        made: Option<u64>,
        all: &mut BTreeMap<usize, Replies>,
    ) {
        let session = self.sessions.get_mut(&client).unwrap();
        let replies = all.entry(client).or_default();
        replies.bytes.extend_from_slice(out);
        if let Some(index) = made {
            let position = Position { index, order: 0 };
            replies.made.push((session.written, position));
        }
        session.written += out.len() as u64;
    }

    /// One request. Returns where it was executed, if it was.
    fn reply(
        &mut self,
        session: &mut Session,
        command: &Command,
        manner: Manner,
        out: &mut Vec<u8>,
    ) -> Option<u64> {
        let name = std::str::from_utf8(&command[0]).unwrap();
        let protocol = session.protocol();
        let mut out = Encoder::new(out, protocol);
        match name {
            "PING" if session.listens && !session.resp3 => {
                out.array(2);
                out.bulk(b"pong");
                out.bulk(b"");
            }
            "PING" => out.simple("PONG"),
            "ECHO" => out.bulk(&command[1]),
            "CLIENT" => out.ok(),
            "SELECT" => {
                session.db = command[1].clone();
                out.ok();
            }
            "HELLO" => {
                if command.len() > 1 {
                    session.resp3 = true;
                    out.raw(b"%1\r\n+server\r\n+made up\r\n");
                } else {
                    out.raw(b"*2\r\n+server\r\n+made up\r\n");
                }
            }
            "SUBSCRIBE" => {
                session.listens = true;
                for (count, channel) in command[1..].iter().enumerate() {
                    out.push(3);
                    out.bulk(b"subscribe");
                    out.bulk(channel);
                    out.integer(count as i64 + 1);
                }
            }
            "UNWATCH" => {
                session.watches.clear();
                out.ok();
            }
            "MULTI" => {
                session.queue = Some(Vec::new());
                session.is_refused = false;
                out.ok();
            }
            "DISCARD" => {
                session.queue = None;
                session.watches.clear();
                out.ok();
            }
            "NOSUCH" => {
                session.is_refused = true;
                out.error("ERR unknown command 'NOSUCH', with args beginning with: 'command' ");
            }
            "EXEC" => return self.exec(session, manner, &mut out),
            _ if session.queue.is_some() => {
                session.queue.as_mut().unwrap().push(command.clone());
                out.simple("QUEUED");
            }
            _ => {
                if let Manner::Errs(text) = manner {
                    out.error(text);
                    return None;
                }
                if name == "WATCH" {
                    for key in &command[1..] {
                        let key = named(key, &session.db);
                        let changes = self.changes.get(&key).copied().unwrap_or(0);
                        session.watches.push((key, changes));
                    }
                    out.ok();
                    return None;
                }
                let command = on_database(command, &session.db);
                self.execute(&command, &mut out);
                self.executed.push(vec![command]);
                return Some(self.executed.len() as u64 - 1);
            }
        }
        None
    }

    fn exec(
        &mut self,
        session: &mut Session,
        manner: Manner,
        out: &mut Encoder<'_>,
    ) -> Option<u64> {
        let watches = std::mem::take(&mut session.watches);
        let commands = session.queue.take().unwrap();
        if session.is_refused {
            out.error("EXECABORT Transaction discarded because of previous errors.");
            return None;
        }
        if let Manner::Errs(text) = manner {
            out.error(text);
            return None;
        }
        let index = self.executed.len() as u64;
        let on_database = |command| on_database(command, &session.db);
        let commands: Vec<Command> = commands.iter().map(on_database).collect();
        let holds = |(key, changes): &(Vec<u8>, u64)| {
            self.changes.get(key).copied().unwrap_or(0) == *changes
        };
        if watches.iter().all(holds) {
            out.array(commands.len());
            for command in &commands {
                self.execute(command, out);
            }
        } else {
            out.null_array();
        }
        self.executed.push(commands);
        Some(index)
    }

    fn execute(&mut self, command: &Command, out: &mut Encoder<'_>) {
        let name = std::str::from_utf8(&command[0]).unwrap();
        if name == "PUBLISH" {
            return out.integer(1);
        }
        let key = &command[1];
        let old = self.values.get(key).cloned();
        let reply_old = |out: &mut Encoder<'_>| match &old {
            Some(old) => out.bulk(old),
            None => out.null(),
        };
        let new = match (name, command.get(3).map(Vec::as_slice)) {
            ("GET", _) => return reply_old(out),
            ("PTTL", _) => return out.integer(-1),
            ("PEXPIRE" | "PERSIST", _) => return out.integer(0),
            ("SET", Some(b"XX")) if old.is_none() => return out.null(),
            ("SETNX", _) if old.is_some() => return out.integer(0),
            ("DEL", _) => {
                out.integer(i64::from(old.is_some()));
                None
            }
            ("SET", Some(b"GET")) | ("GETSET", _) => {
                reply_old(out);
                Some(command[2].clone())
            }
            ("SET", _) => {
                out.ok();
                Some(command[2].clone())
            }
            ("SETNX", _) => {
                out.integer(1);
                Some(command[2].clone())
            }
            ("APPEND", _) => {
                let new = [old.clone().unwrap_or_default(), command[2].clone()].concat();
                out.integer(new.len() as i64);
                Some(new)
            }
            ("INCR" | "INCRBY" | "DECRBY", _) => {
                let by = command
                    .get(2)
                    .map_or("1", |by| std::str::from_utf8(by).unwrap());
                let Ok(by) = by.parse::<i64>() else {
                    return out.error("ERR value is not an integer or out of range");
                };
                let old = old.map_or(0, |old| String::from_utf8(old).unwrap().parse().unwrap());
                let new = if name == "DECRBY" { old - by } else { old + by };
                out.integer(new);
                Some(new.to_string().into_bytes())
            }
            _ => panic!("the clients asked for {name}"),
        };
        *self.changes.entry(key.clone()).or_default() += 1;
        match new {
            Some(new) => self.values.insert(key.clone(), new),
            None => self.values.remove(key),
        };
    }
}

impl Session {
    fn protocol(&self) -> Protocol {
        match self.resp3 {
            true => Protocol::Resp3,
            false => Protocol::Resp2,
        }
    }
}

/// A key as the history names it.
fn named(key: &[u8], db: &[u8]) -> Vec<u8> {
    match db {
        b"" | b"0" => key.to_vec(),
        db => [key, b"@", db].concat(),
    }
}

fn on_database(command: &Command, db: &[u8]) -> Command {
    let mut command = command.clone();
    if command[0] != b"PUBLISH" {
        command[1] = named(&command[1], db);
    }
    command
}
