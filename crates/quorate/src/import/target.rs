//! Where keys go: pipelined SETs, every reply looked at.
//!
//! Keys are sent in batches, and a batch is done when each of its commands has its reply. What was not
//! confirmed is sent again, from the first such command on and in the same order: `SET` of the same
//! value may be done twice (`-UNCERTAIN`, a connection that broke), and a later value of the same key
//! must not be followed by an earlier one.

use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use resp::{Value, encode_request};

use super::{record::Record, tally::Tally};
use crate::{
    client::{ClientError, Connection},
    cluster::Cluster,
    failure::Failure,
};

/// Keys of one batch.
const BATCH_KEYS_MAX: usize = 1000;
/// Bytes of one batch, not counting the last key.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// How long a reply may take: longer than a node waits for a quorum, so that it can say so.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait before what was refused for the moment is sent again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// What becomes of keys that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// There must be none: a database that holds keys is not imported into.
    Refuse,
    /// They get the imported value.
    Replace,
    /// They stay.
    Keep,
}

/// A key on its way.
struct Pending {
    record: Record,
    /// Whether it was sent before, and may have arrived.
    may_be_done: bool,
}

/// What a reply says.
enum Outcome {
    Done,
    /// The key exists and shall be kept.
    Exists,
    /// For the moment only.
    Again(String),
    Failed(String),
}

/// The cluster that is imported into.
pub(crate) struct Target {
    cluster: Cluster,
    existing: Existing,
    /// How long nothing may be confirmed before the import is given up.
    patience: Duration,
    /// Keys for each second, if they are limited.
    rate: Option<u32>,
    started: Instant,
    /// What the cluster's clock said, and when.
    clock: Option<(i64, Instant)>,
    /// Keys of one database, in the order in which they came.
    pending: VecDeque<Pending>,
    pending_bytes: usize,
    /// Databases that the cluster does not have.
    missing: BTreeSet<u32>,
    /// What has become of all keys so far.
    pub(crate) tally: Tally,
}

impl Target {
    /// A cluster. Nothing is sent yet.
    pub(crate) fn new(
        cluster: Cluster,
        existing: Existing,
        patience: Duration,
        rate: Option<u32>,
    ) -> Self {
        Self {
            cluster,
            existing,
            patience,
            rate,
            started: Instant::now(),
            clock: None,
            pending: VecDeque::new(),
            pending_bytes: 0,
            missing: BTreeSet::new(),
            tally: Tally::default(),
        }
    }

    /// Looks whether these databases exist and, where keys that exist are not provided for, are empty.
    pub(crate) fn prepare(&mut self, databases: &BTreeSet<u32>) -> Result<(), Failure> {
        for database in databases {
            let connection = connect(&mut self.cluster, self.patience)?;
            if self.clock.is_none() {
                let told_ms = time_ms(&ask(connection, &["TIME"])?);
                self.clock = told_ms.map(|told_ms| (told_ms, Instant::now()));
            }
            let number = database.to_string();
            match ask(connection, &["SELECT", &number])? {
                reply if reply.is_ok() => {}
                Value::Error(text) if text.starts_with(b"ERR DB index") => {
                    self.missing.insert(*database);
                    continue;
                }
                Value::Error(text) if text.starts_with(b"NOAUTH") => {
                    let address = connection.address().clone();
                    return Err(Failure::usage(ClientError::NeedsPassword { address }));
                }
                reply => {
                    let (address, text) = (connection.address(), error_text(&reply));
                    return Err(Failure::running(format!(
                        "{address} refused SELECT {number}: {text}"
                    )));
                }
            }
            if self.existing != Existing::Refuse {
                continue;
            }
            let size = ask(connection, &["DBSIZE"])?;
            let Some(keys) = size.as_integer() else {
                return Err(Failure::running(format!(
                    "cannot see whether {} is empty: {}",
                    connection.address(),
                    error_text(&size)
                )));
            };
            if keys > 0 {
                return Err(Failure::usage(format!(
                    "database {database} of {} holds {keys} keys, nothing was imported: add \
                     --replace to overwrite those that are imported too, or --keep to leave them",
                    connection.address()
                )));
            }
        }
        // The connection may have any of them selected.
        self.cluster.close();
        self.started = Instant::now();
        Ok(())
    }

    /// The run id of the server, to see whether it is also the source.
    pub(crate) fn run_id(&mut self) -> Result<Option<String>, Failure> {
        run_id(connect(&mut self.cluster, self.patience)?).map_err(Failure::running)
    }

    /// Milliseconds since 1970 by the cluster's clock, by which keys expire: whatever the clock of this
    /// machine says, no key is lost by it. Only if the cluster does not tell, this machine's clock.
    pub(crate) fn now_ms(&self) -> i64 {
        self.cluster_now_ms().unwrap_or_else(own_now_ms)
    }

    fn cluster_now_ms(&self) -> Option<i64> {
        let (told_ms, at) = self.clock?;
        let since_ms = i64::try_from(at.elapsed().as_millis()).ok()?;
        told_ms.checked_add(since_ms)
    }

    /// Takes a key. It is sent when there are enough, or at the next flush.
    pub(crate) fn put(&mut self, record: Record) -> Result<(), Failure> {
        if self.missing.contains(&record.database) {
            let reason = format!("there is no database {} in the cluster", record.database);
            self.tally.skip_for(&reason);
            return Ok(());
        }
        let now_ms = self.cluster_now_ms();
        if now_ms.is_some_and(|now_ms| record.is_expired(now_ms)) {
            self.tally.expired += 1;
            return Ok(());
        }
        if record.database != self.cluster.login().database {
            self.flush()?;
            self.cluster.close();
            self.cluster.login_mut().database = record.database;
        }
        self.pending_bytes += record.bytes();
        self.pending.push_back(Pending {
            record,
            may_be_done: false,
        });
        let keys_max = match self.rate {
            Some(rate) => (rate as usize / 10).clamp(1, BATCH_KEYS_MAX),
            None => BATCH_KEYS_MAX,
        };
        if self.pending.len() >= keys_max || self.pending_bytes >= BATCH_BYTES_MAX {
            self.flush()?;
        }
        Ok(())
    }

    /// Sends what is there and waits until all of it is settled.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        let mut progress_at = Instant::now();
        while !self.pending.is_empty() {
            let before = self.pending.len();
            let hindrance = match self.send_batch() {
                Ok(None) => continue,
                Ok(Some(answer)) => answer,
                Err(error) if error.is_of_the_login() => return Err(Failure::running(error)),
                Err(error) => {
                    self.cluster.abandon();
                    error.to_string()
                }
            };
            if self.pending.len() < before {
                progress_at = Instant::now();
            }
            if progress_at.elapsed() >= self.patience {
                return Err(Failure::running(format!(
                    "gave up, nothing was confirmed for {} s: {hindrance}; what is imported stays, \
                     begin again with --replace or --keep",
                    self.patience.as_secs()
                )));
            }
            std::thread::sleep(RETRY_PAUSE);
        }
        self.pending_bytes = 0;
        self.keep_to_the_rate();
        Ok(())
    }

    fn keep_to_the_rate(&self) {
        if let Some(rate) = self.rate {
            let due = Duration::from_secs_f64(self.tally.imported as f64 / f64::from(rate));
            std::thread::sleep(due.saturating_sub(self.started.elapsed()));
        }
    }

    /// Sends all that is pending once. What is settled is no longer pending; the answer is that of the
    /// first command that must be sent again.
    fn send_batch(&mut self) -> Result<Option<String>, ClientError> {
        let connection = self.cluster.connect(self.patience)?;
        let mut requests = Vec::new();
        for pending in &self.pending {
            encode_set(&mut requests, pending, self.existing);
        }
        let keeps = self.existing == Existing::Keep;
        let asks_for_old: Vec<bool> = self
            .pending
            .iter()
            .map(|pending| keeps && pending.may_be_done)
            .collect();
        for pending in &mut self.pending {
            pending.may_be_done = true;
        }
        connection.send(&requests)?;
        drop(requests);
        let mut hindrance = None;
        for asks_for_old in asks_for_old {
            let reply = receive(connection)?;
            if hindrance.is_some() {
                // It comes behind one that is sent again, and goes with it.
                continue;
            }
            let record = &self
                .pending
                .front()
                .expect("a reply to each command")
                .record;
            match outcome(&reply, record, asks_for_old) {
                Outcome::Done => self.tally.import(record.bytes()),
                Outcome::Exists => self.tally.skip_for("it exists, and is kept"),
                Outcome::Failed(answer) => self.tally.fail(&record.key, answer),
                Outcome::Again(answer) => {
                    hindrance = Some(answer);
                    continue;
                }
            }
            self.pending.pop_front();
        }
        Ok(hindrance)
    }
}

/// The command that sets a key. With `--keep` it does not touch one that exists, and when it is sent
/// again it asks for what is there (`NX` with `GET` is Redis 7.0's): that may be its own doing.
fn encode_set(out: &mut Vec<u8>, pending: &Pending, existing: Existing) {
    let record = &pending.record;
    let expiry = record.expires_at_ms.map(|at| at.to_string());
    let mut words: Vec<&[u8]> = vec![b"SET", &record.key, &record.value];
    if let Some(expiry) = &expiry {
        words.extend([b"PXAT".as_slice(), expiry.as_bytes()]);
    }
    if existing == Existing::Keep {
        words.push(b"NX");
        if pending.may_be_done {
            words.push(b"GET");
        }
    }
    encode_request(out, &words);
}

fn outcome(reply: &Value, record: &Record, asks_for_old: bool) -> Outcome {
    match (reply, asks_for_old) {
        (Value::Simple(_), _) => return Outcome::Done,
        // Without GET nil says that the key exists; with it, that there was none.
        (Value::Null, true) => return Outcome::Done,
        (Value::Null, false) => return Outcome::Exists,
        (Value::Bulk(old), true) if *old == record.value => return Outcome::Done,
        (Value::Bulk(_), true) => return Outcome::Exists,
        _ => {}
    }
    let text = error_text(reply);
    let code = text.split(' ').next().unwrap_or_default();
    let is_for_the_moment = [
        "UNCERTAIN",
        "NOQUORUM",
        "DISKFULL",
        "LOADING",
        "CLUSTERDOWN",
        "TRYAGAIN",
        "MASTERDOWN",
    ]
    .contains(&code);
    match is_for_the_moment {
        true => Outcome::Again(text),
        false => Outcome::Failed(text),
    }
}

fn connect(cluster: &mut Cluster, patience: Duration) -> Result<&mut Connection, Failure> {
    cluster.connect(patience).map_err(Failure::running)
}

fn ask(connection: &mut Connection, words: &[&str]) -> Result<Value, Failure> {
    connection
        .call(words, REPLY_TIMEOUT)
        .map_err(Failure::running)
}

/// The next reply; pushes answer nothing.
fn receive(connection: &mut Connection) -> Result<Value, ClientError> {
    loop {
        let value = connection.receive(Some(REPLY_TIMEOUT), None)?;
        if !matches!(value, Value::Push(_)) {
            return Ok(value);
        }
    }
}

/// What a server calls itself; it changes with every start.
pub(crate) fn run_id(connection: &mut Connection) -> Result<Option<String>, ClientError> {
    let info = connection.call(&["INFO", "server"], REPLY_TIMEOUT)?;
    let text = String::from_utf8_lossy(info.as_bytes().unwrap_or_default()).into_owned();
    let mut lines = text.lines();
    let found = lines.find_map(|line| line.strip_prefix("run_id:"));
    Ok(found.map(|id| id.trim_end().to_owned()))
}

/// The text of an error, or what came instead of an expected reply.
pub(crate) fn error_text(reply: &Value) -> String {
    match reply.as_error() {
        Some(text) => String::from_utf8_lossy(text).into_owned(),
        None => format!("not the reply that was expected: {reply:?}"),
    }
}

/// A reply of TIME, in milliseconds since 1970.
fn time_ms(reply: &Value) -> Option<i64> {
    let [seconds, micros] = reply.as_slice()? else {
        return None;
    };
    let number = |value: &Value| -> Option<i64> {
        std::str::from_utf8(value.as_bytes()?).ok()?.parse().ok()
    };
    number(seconds)?
        .checked_mul(1000)?
        .checked_add(number(micros)? / 1000)
}

/// Milliseconds since 1970 by this machine's clock.
fn own_now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
