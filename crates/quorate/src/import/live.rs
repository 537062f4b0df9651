//! A running Redis, read by `SCAN` and plain reads.
//!
//! A key's type and length are asked for first, many keys at once, so that what is not a string is
//! only counted and large values are read few at a time. Then value and expiry of several strings are
//! read in one transaction, so that they belong together, and handed on before the next are read: what
//! is in memory is bounded, whatever the size of values. Nothing stops the source meanwhile: what
//! is written to it during the import may or may not be seen (that is `SCAN`'s promise: keys that are
//! there all the time are seen at least once), and a key that changes in between is counted.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use resp::{Value, encode_request};

use super::{
    record::Record,
    target::{Target, error_text},
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

/// What was found at one place of a scan.
struct Step {
    next_cursor: Vec<u8>,
    /// Keys that hold strings, with the lengths of these.
    strings: Vec<(Vec<u8>, u64)>,
    skipped: Vec<&'static str>,
    /// Reasons of keys that were there and then not, or not the same.
    changed: Vec<&'static str>,
}

/// What was read of some keys.
#[derive(Default)]
struct Read {
    records: Vec<Record>,
    /// See [`Step::changed`].
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
            let step = self.insist(database, |source| source.scan(&cursor))?;
            for kind in step.skipped {
                target.tally.skip_type(kind);
            }
            for reason in step.changed {
                target.tally.skip_for(reason);
            }
            for keys in portions(step.strings) {
                let now_ms = target.now_ms();
                let read = self.insist(database, |source| source.read(database, &keys, now_ms))?;
                for reason in read.changed {
                    target.tally.skip_for(reason);
                }
                for record in read.records {
                    target.put(record)?;
                    show(target);
                }
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

    /// Reads something, again on a new connection while the source cannot be reached. A cursor of SCAN
    /// says where to go on by itself: it outlives a connection.
    fn insist<T>(
        &mut self,
        database: u32,
        attempt: impl Fn(&mut Self) -> Result<T, StepError>,
    ) -> Result<T, Failure> {
        let started = Instant::now();
        loop {
            let error = match attempt(self) {
                Ok(read) => return Ok(read),
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

    /// One step of the scan: no value is read.
    fn scan(&mut self, cursor: &[u8]) -> Result<Step, StepError> {
        let scan: [&[u8]; 4] = [b"SCAN", cursor, b"COUNT", SCAN_COUNT.as_bytes()];
        let reply = self.connection.call(&scan, REPLY_TIMEOUT)?;
        let (next_cursor, keys) = scanned(reply)
            .ok_or_else(|| StepError::Refused(format!("{} refused SCAN", self.url.address)))?;
        let mut step = Step {
            next_cursor,
            strings: Vec::new(),
            skipped: Vec::new(),
            changed: Vec::new(),
        };
        self.sort_out(keys, &mut step)?;
        Ok(step)
    }

    /// Finds the keys that hold strings, with their lengths; the others are counted.
    fn sort_out(&mut self, keys: Vec<Vec<u8>>, step: &mut Step) -> Result<(), StepError> {
        let mut requests = Vec::new();
        for key in &keys {
            encode_request(&mut requests, &[b"TYPE".as_slice(), key]);
            encode_request(&mut requests, &[b"STRLEN".as_slice(), key]);
        }
        self.connection.send(&requests)?;
        for key in keys {
            let kind = self.receive()?;
            let length = self.receive()?;
            match (type_name(&kind), length.as_integer()) {
                (Some("string"), Some(length)) => {
                    let length = u64::try_from(length).unwrap_or(0);
                    step.strings.push((key, length));
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
        Ok(())
    }

    /// Reads value and expiry of keys, which belong together. `now_ms` is the clock by which they will
    /// expire.
    fn read(&mut self, database: u32, keys: &[Vec<u8>], now_ms: i64) -> Result<Read, StepError> {
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
        let mut read = Read::default();
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
                    read.changed.push(GONE);
                    continue;
                }
                _ => {
                    read.changed.push(CHANGED_TYPE);
                    continue;
                }
            };
            // Negative: it does not expire.
            let expiry = expiry.as_integer().filter(|number| *number >= 0);
            read.records.push(Record {
                database,
                key: key.clone(),
                value,
                expires_at_ms: match self.knows_expiry_time {
                    true => expiry,
                    false => expiry.map(|left_ms| now_ms.saturating_add(left_ms)),
                },
            });
        }
        Ok(read)
    }

    fn receive(&mut self) -> Result<Value, ClientError> {
        self.connection.receive(Some(REPLY_TIMEOUT), None)
    }
}

/// Keys that are read at once: no more than hold [`READ_BYTES_MAX`] bytes, not counting the last one.
fn portions(strings: Vec<(Vec<u8>, u64)>) -> impl Iterator<Item = Vec<Vec<u8>>> {
    let mut strings = strings.into_iter();
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let mut keys = Vec::new();
        while bytes < READ_BYTES_MAX
            && let Some((key, length)) = strings.next()
        {
            keys.push(key);
            bytes += length;
        }
        (!keys.is_empty()).then_some(keys)
    })
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
    fn large_values_are_read_few_at_a_time_and_small_ones_together() {
        let strings = [10, 20, READ_BYTES_MAX, 1, READ_BYTES_MAX * 16, 0, 5];
        let strings = (0..).zip(strings).map(|(key, length)| (vec![key], length));
        let keys: Vec<Vec<u8>> = portions(strings.collect())
            .map(|keys| keys.concat())
            .collect();
        assert_eq!(keys, [vec![0, 1, 2], vec![3, 4], vec![5, 6]]);
        assert_eq!(portions(Vec::new()).count(), 0);
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
