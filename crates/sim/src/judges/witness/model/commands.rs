//! What each command does, by its documentation.

use crate::history::Reply;
use crate::judges::witness::model::{Call, Clock, Expected, Model};

const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
const OVERFLOW: &str = "ERR increment or decrement would overflow";
const SYNTAX: &str = "ERR syntax error";

impl Model {
    pub(super) fn execute(&mut self, call: &Call<'_>, clock: Clock) -> Option<Expected> {
        let (db, args) = (call.db, call.args.as_slice());
        Some(match (call.name, args) {
            ("GET", [key]) => Expected::Exactly(self.value(db, key)),
            ("SET", [key, value, options @ ..]) => self.set(db, key, value, options),
            ("INCR", [key]) => self.add(db, key, Some(1)),
            ("DECR", [key]) => self.add(db, key, Some(-1)),
            ("INCRBY", [key, by]) => self.add(db, key, integer(by)),
            ("DECRBY", [key, by]) => self.add(db, key, integer(by).and_then(i64::checked_neg)),
            ("APPEND", [key, tail]) => self.append(db, key, tail),
            ("GETSET", [key, value]) => {
                let old = self.value(db, key);
                self.put(db, key, value.to_vec(), None);
                Expected::Exactly(old)
            }
            ("SETNX", [key, value]) => self.set_if_absent(db, &[*key, *value]),
            ("MSETNX", pairs) => self.set_if_absent(db, pairs),
            ("MSET", pairs) => {
                self.set_all(db, pairs);
                Expected::ok()
            }
            ("GETDEL", [key]) => {
                let old = self.value(db, key);
                self.remove(db, key);
                Expected::Exactly(old)
            }
            ("DEL" | "UNLINK", keys) => {
                let removed = keys.iter().filter(|key| self.remove(db, key)).count();
                Expected::integer(removed as i64)
            }
            ("EXISTS", keys) => {
                let found = keys.iter().filter(|key| self.get(db, key).is_some());
                Expected::integer(found.count() as i64)
            }
            ("STRLEN", [key]) => {
                let length = self.get(db, key).map_or(0, |item| item.value.len());
                Expected::integer(length as i64)
            }
            ("MGET", keys) => {
                let values = keys.iter().map(|key| self.value(db, key));
                Expected::Exactly(Reply::List(values.collect()))
            }
            ("SETEX", [key, time, value]) => self.set(db, key, value, &[b"EX", *time]),
            ("PSETEX", [key, time, value]) => self.set(db, key, value, &[b"PX", *time]),
            ("EXPIRE", [key, time]) => self.expire(db, key, integer(time), 1000),
            ("PEXPIRE", [key, time]) => self.expire(db, key, integer(time), 1),
            ("PERSIST", [key]) => self.persist(db, key),
            ("TTL", [key]) => self.time_to_live(db, key, clock, |ms| (ms + 500) / 1000),
            ("PTTL", [key]) => self.time_to_live(db, key, clock, |ms| ms),
            // How many there are to hear it only the node knows.
            ("PUBLISH" | "SPUBLISH", [_, _]) => Expected::Between(0, i64::MAX),
            _ => return None,
        })
    }

    /// SET with its options, of which a well-behaved client names each at most once.
    fn set(&mut self, db: u8, key: &[u8], value: &[u8], options: &[&[u8]]) -> Expected {
        let old = self.get(db, key).cloned();
        let (mut sets, mut replies_old, mut expires_ms) = (true, false, None);
        let mut options = options.iter();
        while let Some(option) = options.next() {
            match option.to_ascii_uppercase().as_slice() {
                b"NX" => sets = old.is_none(),
                b"XX" => sets = old.is_some(),
                b"GET" => replies_old = true,
                b"KEEPTTL" => expires_ms = old.as_ref().and_then(|old| old.expires_ms),
                unit @ (b"PX" | b"EX") => {
                    let scale = if unit == b"EX" { 1000 } else { 1 };
                    let Some(time) = options.next().and_then(|time| integer(time)) else {
                        return Expected::error(NOT_AN_INTEGER);
                    };
                    let time_ms = u64::try_from(time).ok().filter(|time| *time > 0);
                    let Some(time_ms) = time_ms.and_then(|time| time.checked_mul(scale)) else {
                        return Expected::error("ERR invalid expire time in 'set' command");
                    };
                    expires_ms = Some(self.time_ms + time_ms);
                }
                _ => return Expected::error(SYNTAX),
            }
        }
        if sets {
            self.put(db, key, value.to_vec(), expires_ms);
        }
        match (replies_old, sets) {
            (true, _) => Expected::Exactly(old.map_or(Reply::Null, |old| Reply::Text(old.value))),
            (false, true) => Expected::ok(),
            (false, false) => Expected::Exactly(Reply::Null),
        }
    }

    fn set_all(&mut self, db: u8, pairs: &[&[u8]]) {
        for pair in pairs.chunks_exact(2) {
            self.put(db, pair[0], pair[1].to_vec(), None);
        }
    }

    fn set_if_absent(&mut self, db: u8, pairs: &[&[u8]]) -> Expected {
        let mut keys = pairs.iter().step_by(2);
        let sets = keys.all(|key| self.get(db, key).is_none());
        if sets {
            self.set_all(db, pairs);
        }
        Expected::integer(i64::from(sets))
    }

    fn add(&mut self, db: u8, key: &[u8], by: Option<i64>) -> Expected {
        let Some(by) = by else {
            return Expected::error(NOT_AN_INTEGER);
        };
        let item = self.get(db, key);
        let expires_ms = item.and_then(|item| item.expires_ms);
        let Some(before) = item.map_or(Some(0), |item| integer(&item.value)) else {
            return Expected::error(NOT_AN_INTEGER);
        };
        let Some(after) = before.checked_add(by) else {
            return Expected::error(OVERFLOW);
        };
        self.put(db, key, after.to_string().into_bytes(), expires_ms);
        Expected::integer(after)
    }

    fn append(&mut self, db: u8, key: &[u8], tail: &[u8]) -> Expected {
        let item = self.get(db, key);
        let expires_ms = item.and_then(|item| item.expires_ms);
        let is_there = item.is_some();
        let there = self.databases[usize::from(db)].get_mut(key);
        let mut value = match there.filter(|_| is_there) {
            Some(item) => std::mem::take(&mut item.value),
            None => Vec::new(),
        };
        value.extend_from_slice(tail);
        let length = value.len();
        self.put(db, key, value, expires_ms);
        Expected::integer(length as i64)
    }

    fn expire(&mut self, db: u8, key: &[u8], time: Option<i64>, scale: i64) -> Expected {
        let Some(time) = time else {
            return Expected::error(NOT_AN_INTEGER);
        };
        let Some(item) = self.get(db, key).cloned() else {
            return Expected::integer(0);
        };
        match u64::try_from(time).ok().filter(|time| *time > 0) {
            Some(time) => {
                let expires_ms = self.time_ms + time * scale as u64;
                self.put(db, key, item.value, Some(expires_ms));
            }
            None => {
                self.remove(db, key);
            }
        }
        Expected::integer(1)
    }

    fn persist(&mut self, db: u8, key: &[u8]) -> Expected {
        match self.get(db, key).cloned() {
            Some(item) if item.expires_ms.is_some() => {
                self.put(db, key, item.value, None);
                Expected::integer(1)
            }
            _ => Expected::integer(0),
        }
    }

    fn time_to_live(&self, db: u8, key: &[u8], clock: Clock, unit: fn(i64) -> i64) -> Expected {
        let Some(item) = self.get(db, key) else {
            return Expected::integer(-2);
        };
        let Some(expires_ms) = item.expires_ms else {
            return Expected::integer(-1);
        };
        let left_ms = (expires_ms - self.time_ms) as i64;
        match clock {
            Clock::Log => Expected::integer(unit(left_ms)),
            // A key that is due by the node's clock is not shown.
            Clock::Node => Expected::Between(unit(1), unit(left_ms)),
        }
    }
}

/// An integer is only the very text that printing it gives.
fn integer(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let value: i64 = text.parse().ok()?;
    (value.to_string() == text).then_some(value)
}
