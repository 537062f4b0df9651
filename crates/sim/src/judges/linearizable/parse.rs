//! From the commands of a history to steps of the model.

use std::collections::HashMap;

use crate::history::{Operation, Outcome, Reply};
use crate::judges::linearizable::model::{
    Condition, Expect, Expiry, Kind, NOT_AN_INTEGER, OVERFLOW, Step, integer,
};

/// Commands without keys, and those whose effect or reply says nothing of one key's contents.
const PASSED_OVER: &[&str] = &[
    "AUTH",
    "CLIENT",
    "COMMAND",
    "CONFIG",
    "DBSIZE",
    "DEBUG",
    "DISCARD",
    "ECHO",
    "EXEC",
    "HELLO",
    "INFO",
    "KEYS",
    "LASTSAVE",
    "MEMORY",
    "MULTI",
    "OBJECT",
    "PING",
    "PSUBSCRIBE",
    "PUBLISH",
    "PUBSUB",
    "PUNSUBSCRIBE",
    "QUIT",
    "RANDOMKEY",
    "READONLY",
    "READWRITE",
    "RESET",
    "ROLE",
    "SCAN",
    "SLOWLOG",
    "SPUBLISH",
    "SSUBSCRIBE",
    "SUBSCRIBE",
    "SUNSUBSCRIBE",
    "TIME",
    "TOUCH",
    "TYPE",
    "DUMP",
    "GETRANGE",
    "SUBSTR",
    "BITCOUNT",
    "BITPOS",
    "GETBIT",
    "LCS",
    "UNSUBSCRIBE",
    "UNWATCH",
    "WAIT",
    "WATCH",
];

/// A key: its database and its name.
pub(crate) type Key = (u32, Vec<u8>);

/// The keys of a history, numbered.
#[derive(Default)]
pub(crate) struct Keys {
    numbers: HashMap<Key, u32>,
    /// By number.
    pub(crate) names: Vec<Key>,
}

impl Keys {
    fn number(&mut self, database: u32, name: &[u8]) -> u32 {
        let key = (database, name.to_vec());
        if let Some(&number) = self.numbers.get(&key) {
            return number;
        }
        let number = self.names.len() as u32;
        self.names.push(key.clone());
        self.numbers.insert(key, number);
        number
    }

    /// A key's name for people.
    pub(crate) fn shown(&self, number: u32) -> String {
        let (database, name) = &self.names[number as usize];
        let name = String::from_utf8_lossy(name);
        match database {
            0 => format!("{name:?}"),
            _ => format!("{name:?} of database {database}"),
        }
    }
}

/// A command that the model does not know. What it names may be keys.
pub(crate) struct Unmodelled;

/// The steps of an operation. Empty if nothing in it can be judged or have an effect.
pub(crate) fn steps(operation: &Operation, keys: &mut Keys) -> Result<Vec<Step>, Unmodelled> {
    let replies = match &operation.outcome {
        Outcome::Failed(_) => return Ok(Vec::new()),
        Outcome::Open | Outcome::Unknown(_) => None,
        // EXEC after a watched key changed: nothing happened.
        Outcome::Done(replies) if replies.len() != operation.commands.len() => {
            return Ok(Vec::new());
        }
        Outcome::Done(replies) => Some(replies),
    };
    let mut steps = Vec::new();
    let mut database = 0;
    for (place, command) in operation.commands.iter().enumerate() {
        let name = command
            .first()
            .map(|name| String::from_utf8_lossy(name).to_ascii_uppercase())
            .unwrap_or_default();
        if name == "SELECT" {
            database = number(command, 1)
                .and_then(|number| u32::try_from(number).ok())
                .ok_or(Unmodelled)?;
            continue;
        }
        if name == "WATCH" && operation.commands.len() > 1 {
            watched(command, database, keys, &mut steps).ok_or(Unmodelled)?;
            continue;
        }
        let reply = match replies {
            None => None,
            Some(replies) => match known_error(&replies[place]) {
                // An error that has nothing to do with what the key holds: no effect, no news.
                Some(None) => continue,
                Some(Some(error)) => Some(Reply::Error(error)),
                None => Some(replies[place].clone()),
            },
        };
        if !PASSED_OVER.contains(&name.as_str()) {
            step(&name, command, database, reply, keys, &mut steps).ok_or(Unmodelled)?;
        }
    }
    if replies.is_none() && steps.iter().all(|step| step.kind.is_read()) {
        steps.clear();
    }
    Ok(steps)
}

/// A WATCH among the commands of a transaction: the key, and what it held when it was watched.
fn watched(
    command: &[Vec<u8>],
    database: u32,
    keys: &mut Keys,
    steps: &mut Vec<Step>,
) -> Option<()> {
    let (key, value) = match command {
        [_, key] => (key, None),
        [_, key, value] => (key, Some(value.clone())),
        _ => return None,
    };
    steps.push(Step {
        key: keys.number(database, key),
        kind: Kind::Holds(value),
        expect: Expect::Reply(Reply::Integer(1)),
    });
    Some(())
}

/// `None` if it is no error, `Some(None)` if it is one that the model does not tell.
fn known_error(reply: &Reply) -> Option<Option<String>> {
    let Reply::Error(text) = reply else {
        return None;
    };
    let kind = [NOT_AN_INTEGER, OVERFLOW, "WRONGTYPE"]
        .into_iter()
        .find(|kind| text.contains(kind));
    Some(kind.map(str::to_owned))
}

fn number(command: &[Vec<u8>], place: usize) -> Option<i64> {
    integer(command.get(place)?)
}

/// Adds the steps of a command. `None` if the model does not know it.
fn step(
    name: &str,
    command: &[Vec<u8>],
    database: u32,
    reply: Option<Reply>,
    keys: &mut Keys,
    steps: &mut Vec<Step>,
) -> Option<()> {
    match name {
        "MGET" | "MSET" | "DEL" | "UNLINK" | "EXISTS" => {
            return many(name, command, database, reply, keys, steps);
        }
        _ => {}
    }
    let kind = kind(name, command)?;
    let key = keys.number(database, command.get(1)?);
    let expect = match reply {
        None => Expect::Any,
        Some(Reply::Integer(left)) if kind == Kind::TimeLeft => {
            Expect::Reply(Reply::Integer(left.min(0)))
        }
        Some(reply) => Expect::Reply(reply),
    };
    steps.push(Step { key, kind, expect });
    Some(())
}

fn kind(name: &str, command: &[Vec<u8>]) -> Option<Kind> {
    let plain_set = |value: &Vec<u8>, get, expiry| Kind::Set {
        value: value.clone(),
        condition: Condition::Always,
        get,
        expiry,
    };
    let arguments = command.len();
    Some(match (name, arguments) {
        ("GET", 2) => Kind::Get,
        ("STRLEN", 2) => Kind::Strlen,
        ("TTL" | "PTTL" | "EXPIRETIME" | "PEXPIRETIME", 2) => Kind::TimeLeft,
        ("SET", 3..) => set(command)?,
        ("SETEX" | "PSETEX", 4) => plain_set(&command[3], false, Expiry::Set),
        ("GETSET", 3) => plain_set(&command[2], true, Expiry::Clear),
        ("SETNX", 3) => Kind::SetNx(command[2].clone()),
        ("GETDEL", 2) => Kind::GetDel,
        ("GETEX", 2) => Kind::GetEx(Expiry::Keep),
        ("GETEX", 3) => Kind::GetEx(Expiry::Clear),
        ("GETEX", 4) => Kind::GetEx(Expiry::Set),
        ("APPEND", 3) => Kind::Append(command[2].clone()),
        ("INCR", 2) => Kind::Add(1),
        ("DECR", 2) => Kind::Add(-1),
        ("INCRBY", 3) => number(command, 2).map_or(Kind::Refused, Kind::Add),
        ("DECRBY", 3) => match number(command, 2) {
            Some(amount) => Kind::Add(amount.checked_neg()?),
            None => Kind::Refused,
        },
        ("EXPIRE" | "PEXPIRE" | "EXPIREAT" | "PEXPIREAT", 3) => Kind::Expire,
        ("PERSIST", 2) => Kind::Persist,
        _ => return None,
    })
}

fn set(command: &[Vec<u8>]) -> Option<Kind> {
    let mut condition = Condition::Always;
    let mut get = false;
    let mut expiry = Expiry::Clear;
    let mut options = command[3..].iter();
    while let Some(option) = options.next() {
        match option.to_ascii_uppercase().as_slice() {
            b"NX" => condition = Condition::Absent,
            b"XX" => condition = Condition::Present,
            b"GET" => get = true,
            b"KEEPTTL" => expiry = Expiry::Keep,
            b"EX" | b"PX" | b"EXAT" | b"PXAT" => {
                options.next()?;
                expiry = Expiry::Set;
            }
            _ => return None,
        }
    }
    Some(Kind::Set {
        value: command[2].clone(),
        condition,
        get,
        expiry,
    })
}

/// Commands on several keys: a step for each.
fn many(
    name: &str,
    command: &[Vec<u8>],
    database: u32,
    reply: Option<Reply>,
    keys: &mut Keys,
    steps: &mut Vec<Step>,
) -> Option<()> {
    let stride = if name == "MSET" { 2 } else { 1 };
    let arguments = &command[1..];
    if arguments.is_empty() || !arguments.len().is_multiple_of(stride) {
        return None;
    }
    let count = arguments.len() / stride;
    for (place, argument) in arguments.chunks(stride).enumerate() {
        let kind = match name {
            "MGET" => Kind::Get,
            "EXISTS" => Kind::Exists,
            "MSET" => Kind::Set {
                value: argument[1].clone(),
                condition: Condition::Always,
                get: false,
                expiry: Expiry::Clear,
            },
            _ => Kind::Del,
        };
        let expect = match &reply {
            None => Expect::Any,
            Some(Reply::List(replies)) if name == "MGET" && replies.len() == count => {
                Expect::Reply(replies[place].clone())
            }
            Some(Reply::Integer(sum)) if name != "MSET" => match *sum {
                0 => Expect::Reply(Reply::Integer(0)),
                sum if sum == count as i64 => Expect::Reply(Reply::Integer(1)),
                sum if place + 1 == count => Expect::Total(sum),
                _ => Expect::Part,
            },
            Some(reply) => Expect::Reply(reply.clone()),
        };
        let key = keys.number(database, &argument[0]);
        steps.push(Step { key, kind, expect });
    }
    Some(())
}
