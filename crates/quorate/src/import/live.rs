//! A running Redis, read by `SCAN` and plain reads.
//!
//! A key's type and length are asked for first, many keys at once, so that what is not a string is
//! only counted and large values are read few at a time. Then value and expiry of several strings are
//! read in one transaction, so that they belong together. Nothing stops the source meanwhile: what
//! is written to it during the import may or may not be seen (that is `SCAN`'s promise: keys that are
//! there all the time are seen at least once), and a key that changes in between is counted.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use resp::{Value, encode_request};

use super::{
    record::Record,
    target::{Target, error_text, now_ms},
    url::RedisUrl,
};
use crate::{
    client::{ClientError, Connection},
    failure::Failure,
    login::Login,
};

/// Keys that one step of SCAN looks at.
const SCAN_COUNT: &str = "500";
/// Bytes of values that are read at once, not counting the last one.
const READ_BYTES_MAX: u64 = 1 << 20;
/// How long a reply of the source may take.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait before the source is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// A running Redis.
pub(crate) struct Source {
    url: RedisUrl,
    patience: Duration,
    connection: Connection,
    /// Whether it knows PEXPIRETIME, which came with Redis 7.0.
    knows_expiry_time: bool,
}

/// Why a step with the source failed.
enum StepError {
    /// The connection broke: all of it is reading, and may be done again.
    Broken(ClientError),
    /// An answer that no attempt will change.
    Refused(String),
}

impl From<ClientError> for StepError {
    fn from(error: ClientError) -> Self {
        Self::Broken(error)
    }
}

/// What was read at one place of a scan.
struct Step {
    next_cursor: Vec<u8>,
    records: Vec<Record>,
    skipped: Vec<&'static str>,
    /// Reasons of keys that were there and then not, or not the same.
    changed: Vec<&'static str>,
}

impl Source {
    /// Connects, and logs in.
    pub(crate) fn open(url: RedisUrl, patience: Duration) -> Result<Self, Failure> {
        let mut connection = open(&url, 0).map_err(Failure::usage)?;
        let probe = ["PEXPIRETIME", "quorate:no-such-key"];
        let reply = connection
            .call(&probe, REPLY_TIMEOUT)
            .map_err(Failure::running)?;
        if let Some(text) = reply.as_error()
            && text.starts_with(b"NOAUTH")
        {
            return Err(Failure::usage(format!(
                "{} wants a password: write --from redis://:PASSWORD@HOST:PORT, or give it in \
                 QUORATE_FROM_PASSWORD",
                url.address
            )));
        }
        Ok(Self {
            knows_expiry_time: reply.as_integer().is_some(),
            url,
            patience,
            connection,
        })
    }

    /// The connection, for questions about the server.
    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// The databases to read, with their numbers of keys.
    pub(crate) fn databases(&mut self) -> Result<BTreeMap<u32, u64>, Failure> {
        let info = self
            .connection
            .call(&["INFO", "keyspace"], REPLY_TIMEOUT)
            .map_err(Failure::running)?;
        let Some(text) = info.as_bytes() else {
            let (address, text) = (&self.url.address, error_text(&info));
            return Err(Failure::running(format!("{address} refused INFO: {text}")));
        };
        let mut databases = keyspace(&String::from_utf8_lossy(text));
        if let Some(only) = self.url.database {
            databases.retain(|database, _| *database == only);
            databases.entry(only).or_default();
        }
        Ok(databases)
    }

    /// Reads one database into the target. `show` is called now and then.
    pub(crate) fn copy(
        &mut self,
        database: u32,
        target: &mut Target,
        mut show: impl FnMut(&Target),
    ) -> Result<(), Failure> {
        self.select(database)?;
        let mut cursor = b"0".to_vec();
        loop {
            let step = self.step(database, &cursor)?;
            step.skipped
                .iter()
                .for_each(|kind| target.tally.skip_type(kind));
            for reason in step.changed {
                target.tally.skip_for(reason);
            }
            for record in step.records {
                target.put(record)?;
                show(target);
            }
            cursor = step.next_cursor;
            if cursor == b"0" {
                return Ok(());
            }
        }
    }

    fn select(&mut self, database: u32) -> Result<(), Failure> {
        self.connection = open(&self.url, database).map_err(Failure::running)?;
        Ok(())
    }

    /// One step, repeated on a new connection while the source cannot be reached. A cursor of SCAN says
    /// where to go on by itself: it outlives a connection.
    fn step(&mut self, database: u32, cursor: &[u8]) -> Result<Step, Failure> {
        let started = Instant::now();
        loop {
            let error = match self.try_step(database, cursor) {
                Ok(step) => return Ok(step),
                Err(StepError::Refused(text)) => return Err(Failure::running(text)),
                Err(StepError::Broken(error)) => error,
            };
            if error.is_of_the_login() || started.elapsed() >= self.patience {
                return Err(Failure::running(format!(
                    "cannot read on: {error}; what is imported stays, begin again with --replace or --keep"
                )));
            }
            std::thread::sleep(RETRY_PAUSE);
            if let Ok(connection) = open(&self.url, database) {
                self.connection = connection;
            }
        }
    }

    fn try_step(&mut self, database: u32, cursor: &[u8]) -> Result<Step, StepError> {
        let scan: [&[u8]; 4] = [b"SCAN", cursor, b"COUNT", SCAN_COUNT.as_bytes()];
        let reply = self.connection.call(&scan, REPLY_TIMEOUT)?;
        let (next_cursor, keys) = scanned(reply)
            .ok_or_else(|| StepError::Refused(format!("{} refused SCAN", self.url.address)))?;
        let mut step = Step {
            next_cursor,
            records: Vec::new(),
            skipped: Vec::new(),
            changed: Vec::new(),
        };
        let mut together = Vec::new();
        let mut bytes = 0;
        for (key, length) in self.strings_among(keys, &mut step)? {
            together.push(key);
            bytes += length;
            if bytes >= READ_BYTES_MAX {
                self.read(database, &std::mem::take(&mut together), &mut step)?;
                bytes = 0;
            }
        }
        self.read(database, &together, &mut step)?;
        Ok(step)
    }

    /// The keys that hold strings, with their lengths; the others are counted.
    fn strings_among(
        &mut self,
        keys: Vec<Vec<u8>>,
        step: &mut Step,
    ) -> Result<Vec<(Vec<u8>, u64)>, StepError> {
        let mut requests = Vec::new();
        for key in &keys {
            encode_request(&mut requests, &[b"TYPE".as_slice(), key]);
            encode_request(&mut requests, &[b"STRLEN".as_slice(), key]);
        }
        self.connection.send(&requests)?;
        let mut strings = Vec::new();
        for key in keys {
            let kind = self.receive()?;
            let length = self.receive()?;
            match (type_name(&kind), length.as_integer()) {
                (Some("string"), Some(length)) => {
                    strings.push((key, u64::try_from(length).unwrap_or(0)));
                }
                (Some("string"), None) => step.changed.push(CHANGED_TYPE),
                (Some("none"), _) => step.changed.push(GONE),
                (Some(kind), _) => step.skipped.push(kind),
                (None, _) => {
                    let text = error_text(&kind);
                    let address = &self.url.address;
                    return Err(StepError::Refused(format!(
                        "{address} refused TYPE: {text}"
                    )));
                }
            }
        }
        Ok(strings)
    }

    /// Reads value and expiry of keys, which belong together.
    fn read(&mut self, database: u32, keys: &[Vec<u8>], step: &mut Step) -> Result<(), StepError> {
        if keys.is_empty() {
            return Ok(());
        }
        let expiry: &[u8] = match self.knows_expiry_time {
            true => b"PEXPIRETIME",
            false => b"PTTL",
        };
        let mut requests = Vec::new();
        encode_request(&mut requests, &["MULTI"]);
        for key in keys {
            encode_request(&mut requests, &[b"GET".as_slice(), key]);
            encode_request(&mut requests, &[expiry, key]);
        }
        encode_request(&mut requests, &["EXEC"]);
        self.connection.send(&requests)?;
        for _ in 0..1 + 2 * keys.len() {
            self.receive()?;
        }
        let replies = self.receive()?;
        let Value::Array(replies) = replies else {
            let (address, text) = (&self.url.address, error_text(&replies));
            return Err(StepError::Refused(format!(
                "{address} refused EXEC: {text}"
            )));
        };
        let now_ms = now_ms();
        let mut replies = replies.into_iter();
        for key in keys {
            let (Some(value), Some(expiry)) = (replies.next(), replies.next()) else {
                let address = &self.url.address;
                return Err(StepError::Refused(format!(
                    "{address} answered less than was asked"
                )));
            };
            let value = match value {
                Value::Bulk(value) => value,
                Value::Null => {
                    step.changed.push(GONE);
                    continue;
                }
                _ => {
                    step.changed.push(CHANGED_TYPE);
                    continue;
                }
            };
            // Negative: it does not expire.
            let expiry = expiry.as_integer().filter(|number| *number >= 0);
            step.records.push(Record {
                database,
                key: key.clone(),
                value,
                expires_at_ms: match self.knows_expiry_time {
                    true => expiry,
                    false => expiry.map(|left_ms| now_ms.saturating_add(left_ms)),
                },
            });
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<Value, ClientError> {
        self.connection.receive(Some(REPLY_TIMEOUT), None)
    }
}

const GONE: &str = "it was gone when it was to be read";
const CHANGED_TYPE: &str = "its type changed while it was read";

fn open(url: &RedisUrl, database: u32) -> Result<Connection, ClientError> {
    let password = url.password.clone().or_else(|| {
        let password = std::env::var("QUORATE_FROM_PASSWORD").ok();
        password.map(String::into_bytes)
    });
    let login = Login {
        user: url.user.clone(),
        password,
        database,
        ..Login::default()
    };
    Connection::open(&url.address, &login, CONNECT_TIMEOUT)
}

/// A reply of SCAN: the next cursor and the keys.
fn scanned(reply: Value) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let Value::Array(parts) = reply else {
        return None;
    };
    let Ok([Value::Bulk(cursor), Value::Array(keys)]) = <[Value; 2]>::try_from(parts) else {
        return None;
    };
    let keys = keys.into_iter().map(|key| match key {
        Value::Bulk(key) => Some(key),
        _ => None,
    });
    Some((cursor, keys.collect::<Option<_>>()?))
}

/// The name of a type; types of modules have names of their own.
fn type_name(reply: &Value) -> Option<&'static str> {
    let Value::Simple(name) = reply else {
        return None;
    };
    let known = ["none", "string", "list", "set", "zset", "hash", "stream"];
    let found = known.into_iter().find(|known| known.as_bytes() == name);
    Some(found.unwrap_or("module"))
}

/// The databases in `db0:keys=12,expires=0,avg_ttl=0` and the like.
fn keyspace(info: &str) -> BTreeMap<u32, u64> {
    let lines = info.lines().filter_map(|line| {
        let (name, fields) = line.strip_prefix("db")?.split_once(':')?;
        let keys = fields.strip_prefix("keys=")?.split(',').next()?;
        Some((name.parse().ok()?, keys.parse().ok()?))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keyspace_names_the_databases() {
        let info = "# Keyspace\r\ndb0:keys=12,expires=0,avg_ttl=0\r\ndb9:keys=1,expires=1,avg_ttl=5,subexpiry=0\r\n";
        assert_eq!(keyspace(info), BTreeMap::from([(0, 12), (9, 1)]));
        assert!(keyspace("# Keyspace\r\n").is_empty());
    }

    #[test]
    fn a_reply_of_scan() {
        let reply = Value::Array(vec![
            Value::Bulk(b"17".to_vec()),
            Value::Array(vec![Value::Bulk(b"a".to_vec())]),
        ]);
        assert_eq!(scanned(reply), Some((b"17".to_vec(), vec![b"a".to_vec()])));
        assert_eq!(scanned(Value::Error(b"NOPERM".to_vec())), None);
    }
}
