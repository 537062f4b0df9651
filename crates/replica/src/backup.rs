//! Backups: a snapshot on its way to a client, and on its way into a new cluster.
//!
//! QUORATE BACKUP hands out the file of the newest snapshot in pieces. This crate has no files: it
//! passes each request on ([`crate::Output::backups`]) and the answer back
//! ([`crate::Replica::answer_backup`]). `BEGIN` chooses the file and tells what it is; each `READ`
//! then is of that file, whatever newer ones there are meanwhile.
//!
//! A restored state belongs to another cluster: it keeps the keys, the position in the log and the
//! time, and has members, addresses and gateways of its own ([`adopt`]).

use std::collections::BTreeMap;

use bytes::Bytes;
use kv::CommandSpec;
use raft::{ConfState, NodeId};
use resp::Encoder;

use crate::config::{ClientId, Now};
use crate::deferred::Deferred;
use crate::features::FeatureLevels;
use crate::head::Head;
use crate::membership::Roster;
use crate::replica::Replica;
use crate::snapshot::SnapshotError;

/// The longest piece of a file that one request gets.
pub const BACKUP_PIECE_BYTES_MAX: usize = 1 << 20;

/// What a client wants of a snapshot file. Answer it by [`crate::Replica::answer_backup`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupRequest {
    /// Who asks. It has one request at a time.
    pub client: ClientId,
    /// For what.
    pub wish: BackupWish,
}

/// What is wanted of a snapshot file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupWish {
    /// Choose the newest file, and say which it is. It stays chosen for this client.
    Begin,
    /// Some bytes of the file that was chosen: fewer, or none, at its end.
    Read {
        /// Where they begin.
        offset: u64,
        /// How many, at most [`BACKUP_PIECE_BYTES_MAX`].
        count: usize,
    },
}

/// The answer to a [`BackupRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupAnswer {
    /// Which file was chosen.
    File {
        /// The index of the last log entry that it contains.
        index: u64,
        /// The term of that entry.
        term: u64,
        /// Its length.
        bytes: u64,
        /// Its checksum, as its format defines it.
        checksum: u32,
    },
    /// Bytes of it.
    Piece(Vec<u8>),
}

/// What the head of a snapshot says of itself, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadSummary {
    /// The index of the last log entry that the state contains.
    pub index: u64,
    /// The term of that entry.
    pub term: u64,
    /// The log time of the state, in milliseconds since the epoch.
    pub time_ms: u64,
    /// The number of keys.
    pub keys: u64,
    /// The members, and where their peers reach them.
    pub members: BTreeMap<NodeId, String>,
}

/// Reads the head of a snapshot.
///
/// # Errors
/// If a later version has written it, or its bytes make no sense.
pub fn summary(head: &[u8]) -> Result<HeadSummary, SnapshotError> {
    let head = decode(head)?;
    let members = head.meta.conf.members().into_iter().map(|id| {
        let address = head.roster.address(id).unwrap_or_default();
        (id, address.to_owned())
    });
    Ok(HeadSummary {
        index: head.meta.last.index.0,
        term: head.meta.last.term.0,
        time_ms: head.meta.time_ms,
        keys: head.keys,
        members: members.collect(),
    })
}

/// The head of the same state in a new cluster of these members, all of which vote.
///
/// The secret stays, because it places the keys. What gateways have sent is forgotten: the new
/// cluster's nodes may have the ids of the old one's, and begin their numbers anew.
///
/// # Errors
/// If a later version has written the head, or its bytes make no sense.
pub fn adopt(head: &[u8], members: &BTreeMap<NodeId, String>) -> Result<Bytes, SnapshotError> {
    let mut head = decode(head)?;
    let known = FeatureLevels::OF_THIS_RELEASE.check(head.feature_level);
    known.map_err(|error| SnapshotError::new(format!("it cannot be restored here: {error}")))?;
    head.bootstrap.feature_level = head.feature_level;
    head.meta.conf = ConfState::of_voters(members.keys().copied());
    head.bootstrap.members = members.clone().into_iter().collect();
    head.roster = Roster::of_first(members.clone());
    head.gateways = BTreeMap::new();
    Ok(Bytes::from(head.encode()))
}

fn decode(head: &[u8]) -> Result<Head, SnapshotError> {
    Head::decode(head).map_err(|error| SnapshotError::new(error.to_string()))
}

/// Requests that were not handed out yet, and clients that wait for an answer.
#[derive(Debug, Default)]
pub(crate) struct Backups {
    requests: Vec<BackupRequest>,
    waiting: BTreeMap<ClientId, Deferred>,
}

impl Backups {
    /// What is to be carried out.
    pub(crate) fn take_requests(&mut self) -> Vec<BackupRequest> {
        std::mem::take(&mut self.requests)
    }

    /// A client is gone.
    pub(crate) fn forget(&mut self, client: ClientId) {
        self.waiting.remove(&client);
    }
}

impl Replica {
    /// Takes a request for which nothing of the connection is in flight.
    pub(crate) fn ask_backup(
        &mut self,
        client: ClientId,
        spec: &'static CommandSpec,
        args: &[&[u8]],
    ) -> Result<(), String> {
        let wish = parse(args)?;
        self.backups.requests.push(BackupRequest { client, wish });
        let waiting = self.defer(client, spec, args);
        self.backups.waiting.insert(client, waiting);
        Ok(())
    }

    /// What came of a [`BackupRequest`]: the answer, or why there is none, in words for the client.
    pub fn answer_backup(
        &mut self,
        now: Now,
        client: ClientId,
        answer: Result<BackupAnswer, String>,
    ) {
        self.set_now(now);
        if let Some(waiting) = self.backups.waiting.remove(&client) {
            self.answer_deferred(&waiting, |_, out| write(&answer, out));
        }
    }
}

/// `QUORATE BACKUP BEGIN | READ offset count`
fn parse(args: &[&[u8]]) -> Result<BackupWish, String> {
    let number = |arg: &[u8]| std::str::from_utf8(arg).ok()?.parse::<u64>().ok();
    match &args[2..] {
        [name] if name.eq_ignore_ascii_case(b"begin") => Ok(BackupWish::Begin),
        [name, offset, count] if name.eq_ignore_ascii_case(b"read") => {
            let (Some(offset), Some(count)) = (number(offset), number(count)) else {
                return Err("ERR value is not an integer or out of range".to_owned());
            };
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            Ok(BackupWish::Read {
                offset,
                count: count.min(BACKUP_PIECE_BYTES_MAX),
            })
        }
        _ => Err("ERR syntax error".to_owned()),
    }
}

fn write(answer: &Result<BackupAnswer, String>, out: &mut Encoder<'_>) {
    match answer {
        Ok(BackupAnswer::File {
            index,
            term,
            bytes,
            checksum,
        }) => {
            let numbers = [*index, *term, *bytes, u64::from(*checksum)];
            out.array(numbers.len());
            for number in numbers {
                out.integer(i64::try_from(number).unwrap_or(i64::MAX));
            }
        }
        Ok(BackupAnswer::Piece(bytes)) => out.bulk(bytes),
        Err(reason) => out.error(format!("ERR {reason}")),
    }
}

#[cfg(test)]
mod tests {
    use raft::{EntryId, SnapshotMeta};

    use super::*;
    use crate::bootstrap::Bootstrap;
    use crate::machine::LastBatch;

    fn members(ids: impl IntoIterator<Item = u64>) -> BTreeMap<NodeId, String> {
        let members = ids.into_iter();
        members
            .map(|id| (NodeId(id), format!("new:{id}")))
            .collect()
    }

    #[test]
    fn a_state_that_is_adopted_has_new_members_and_nothing_else() {
        let last = LastBatch {
            incarnation: 9,
            sequence: 4,
        };
        let mut conf = ConfState::of_voters([NodeId(1), NodeId(2)]);
        conf.voters_outgoing.insert(NodeId(3));
        conf.auto_leave = true;
        let old = Head {
            meta: SnapshotMeta {
                last: EntryId::new(3, 77),
                time_ms: 1_000,
                conf,
            },
            bootstrap: Bootstrap {
                feature_level: 1,
                secret: [7; 16],
                members: vec![(NodeId(1), "old:1".into())],
            },
            gateways: BTreeMap::from([(NodeId(1), last)]),
            roster: Roster::of_first([(NodeId(1), "old:1".into())]),
            keys: 5,
            feature_level: 1,
        };
        let adopted = adopt(&old.encode(), &members(4..=6)).expect("a head of ours");
        let summary = summary(&adopted).expect("a head of ours");
        assert_eq!(summary.members, members(4..=6));
        assert_eq!((summary.index, summary.term), (77, 3));
        assert_eq!((summary.time_ms, summary.keys), (1_000, 5));
        let new = Head::decode(&adopted).expect("a head of ours");
        assert_eq!(new.bootstrap.secret, old.bootstrap.secret);
        assert_eq!(new.gateways, BTreeMap::new());
        assert!(!new.meta.conf.is_joint());
        assert!(adopt(&adopted[1..], &members(1..=1)).is_err());
        let newer = Head {
            feature_level: FeatureLevels::OF_THIS_RELEASE.newest + 1,
            ..old
        };
        let refused = adopt(&newer.encode(), &members(1..=1)).expect_err("not known here");
        assert!(
            refused.to_string().ends_with("install a newer Quorate"),
            "{refused}"
        );
    }

    #[test]
    fn requests_are_read_and_what_makes_no_sense_is_refused() {
        let parse = |line: &str| parse(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>());
        assert_eq!(parse("QUORATE BACKUP BEGIN"), Ok(BackupWish::Begin));
        let read = |offset, count| Ok(BackupWish::Read { offset, count });
        assert_eq!(parse("QUORATE BACKUP read 5 10"), read(5, 10));
        let much = format!("QUORATE BACKUP READ {0} {0}", u64::MAX);
        assert_eq!(parse(&much), read(u64::MAX, BACKUP_PIECE_BYTES_MAX));
        for bad in ["BEGIN 1", "READ", "READ 1", "READ -1 5", "READ 1 x", "END"] {
            assert!(parse(&format!("QUORATE BACKUP {bad}")).is_err(), "{bad}");
        }
    }
}
