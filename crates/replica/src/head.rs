//! The head of a snapshot: all of the replicated state that is not a key.
//!
//! A snapshot is the state after one entry of the log. Its keys are blocks of the keyspace, which
//! this crate does not look into; the head is what stands before them:
//!
//! ```text
//! u8  version (2; 1 if the feature level is that of the bootstrap record, and does not follow)
//! u64 term, u64 index    the last entry contained
//! u64 time               the log's time after it, ms
//! u32 length, bytes      who belongs to the group, as `raft` encodes it
//! u32 length, bytes      the bootstrap record, as it stands in the log
//! u32 count, (u64 node, u64 incarnation, u64 sequence)*    the last batch of each gateway
//! u32 length, bytes      the members' addresses and the ids that are left, as in a change of members
//! u64 keys               how many keys follow
//! u32 feature level      of version 2: by which rules entries are applied from here on
//! ```
//!
//! Little-endian. Lists are in order of the node, so that equal states have equal heads.
//!
//! A level is raised only when all members know it, and so the later version. Until then the version
//! is 1, which the release before can read: a follower that runs it may need this snapshot.

use std::collections::BTreeMap;

use raft::{ConfDecodeError, ConfState, EntryId, LogIndex, NodeId, SnapshotMeta, Term};

use crate::bootstrap::{Bootstrap, BootstrapError};
use crate::encoding::{MalformedCommand, Reader};
use crate::machine::LastBatch;
use crate::membership::{Roster, RosterError};

const VERSION: u8 = 2;

/// Of a state whose feature level was never raised.
const VERSION_NEVER_RAISED: u8 = 1;

/// What a snapshot holds beside the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The last entry contained, the log's time after it, and who belonged to the group then.
    pub(crate) meta: SnapshotMeta,
    /// The record that the log began with.
    pub(crate) bootstrap: Bootstrap,
    /// The last batch of each gateway that was applied.
    pub(crate) gateways: BTreeMap<NodeId, LastBatch>,
    /// Where each member's peers reach it, and the ids that are left.
    pub(crate) roster: Roster,
    /// How many keys there are, so that a snapshot which lacks blocks is noticed.
    pub(crate) keys: u64,
    /// The rules by which entries are applied from here on.
    pub(crate) feature_level: u32,
}

/// The head of a snapshot cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeadError {
    /// It was written by a later version.
    #[error(
        "the snapshot's head has version {0}, this program knows {VERSION}: run a newer quorate"
    )]
    Newer(u8),
    /// The record in it that the log began with cannot be used.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// Who belongs to the group cannot be read.
    #[error("the members in the snapshot's head cannot be read: {0}")]
    Members(#[from] ConfDecodeError),
    /// Where its members are reached cannot be read.
    #[error("the addresses in the snapshot's head cannot be read: {0}")]
    Roster(#[from] RosterError),
    /// Its bytes make no sense.
    #[error("the snapshot's head is malformed at byte {at}")]
    Malformed {
        /// Where it was read.
        at: usize,
    },
}

impl HeadError {
    /// Whether a later version could read it.
    pub(crate) fn is_newer(&self) -> bool {
        matches!(
            self,
            HeadError::Newer(_)
                | HeadError::Bootstrap(BootstrapError::Newer(_))
                | HeadError::Members(ConfDecodeError::Version { .. })
                | HeadError::Roster(RosterError::Newer(_))
        )
    }
}

impl From<MalformedCommand> for HeadError {
    fn from(error: MalformedCommand) -> Self {
        HeadError::Malformed { at: error.at }
    }
}

impl Head {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let is_raised = self.feature_level != self.bootstrap.feature_level;
        let mut out = vec![match is_raised {
            true => VERSION,
            false => VERSION_NEVER_RAISED,
        }];
        push_u64(&mut out, self.meta.last.term.0);
        push_u64(&mut out, self.meta.last.index.0);
        push_u64(&mut out, self.meta.time_ms);
        push_bytes(&mut out, &self.meta.conf.encode());
        push_bytes(&mut out, &self.bootstrap.encode());
        push_count(&mut out, self.gateways.len());
        for (node, last) in &self.gateways {
            push_u64(&mut out, node.0);
            push_u64(&mut out, last.incarnation);
            push_u64(&mut out, last.sequence);
        }
        push_bytes(&mut out, &self.roster.encode());
        push_u64(&mut out, self.keys);
        if is_raised {
            out.extend_from_slice(&self.feature_level.to_le_bytes());
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeadError> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8()?;
        if !(VERSION_NEVER_RAISED..=VERSION).contains(&version) {
            return Err(HeadError::Newer(version));
        }
        let last = EntryId {
            term: Term(reader.u64()?),
            index: LogIndex(reader.u64()?),
        };
        let time_ms = reader.u64()?;
        let conf = ConfState::decode(reader.prefixed()?)?;
        let bootstrap = Bootstrap::decode(reader.prefixed()?)?;
        let mut gateways = BTreeMap::new();
        for _ in 0..reader.u32()? {
            let node = NodeId(reader.u64()?);
            let batch = LastBatch {
                incarnation: reader.u64()?,
                sequence: reader.u64()?,
            };
            gateways.insert(node, batch);
        }
        let roster = Roster::decode(reader.prefixed()?)?;
        let keys = reader.u64()?;
        let feature_level = match version {
            VERSION_NEVER_RAISED => bootstrap.feature_level,
            _ => reader.u32()?,
        };
        if !reader.is_at_end() {
            return Err(HeadError::Malformed {
                at: reader.position(),
            });
        }
        Ok(Head {
            meta: SnapshotMeta {
                last,
                time_ms,
                conf,
            },
            bootstrap,
            gateways,
            roster,
            keys,
            feature_level,
        })
    }
}

fn push_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn push_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u32).to_le_bytes());
}

fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let mut conf = ConfState::of_voters([NodeId(1), NodeId(2)]);
        conf.learners.insert(NodeId(9));
        conf.voters_outgoing.insert(NodeId(3));
        conf.learners_next.insert(NodeId(3));
        conf.auto_leave = true;
        let batch = |incarnation, sequence| LastBatch {
            incarnation,
            sequence,
        };
        Head {
            meta: SnapshotMeta {
                last: EntryId::new(3, 77),
                time_ms: 1_700_000_000_000,
                conf,
            },
            bootstrap: Bootstrap {
                feature_level: 1,
                secret: *b"0123456789abcdef",
                members: vec![(NodeId(1), "a:1".into())],
            },
            gateways: BTreeMap::from([(NodeId(1), batch(4, 5)), (NodeId(u64::MAX), batch(1, 2))]),
            roster: Roster::of_first([(NodeId(1), "a:1".into()), (NodeId(9), String::new())]),
            keys: 5,
            feature_level: 1,
        }
    }

    fn raised() -> Head {
        Head {
            feature_level: 3,
            ..head()
        }
    }

    #[test]
    fn a_head_reads_back_as_it_was_written() {
        for head in [head(), raised()] {
            assert_eq!(Head::decode(&head.encode()), Ok(head));
        }
    }

    #[test]
    fn a_head_that_is_cut_anywhere_or_goes_on_is_malformed() {
        let mut bytes = raised().encode();
        for length in 0..bytes.len() {
            assert!(Head::decode(&bytes[..length]).is_err(), "{length}");
        }
        bytes.push(0);
        let at = bytes.len() - 1;
        assert_eq!(Head::decode(&bytes), Err(HeadError::Malformed { at }));
    }

    #[test]
    fn any_byte_may_be_anything_and_nothing_panics() {
        let bytes = raised().encode();
        for at in 0..bytes.len() {
            for value in [0, 1, 2, 0x7F, 0xFF] {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                if let Ok(other) = Head::decode(&damaged) {
                    let again = Head::decode(&other.encode());
                    assert_eq!(again.as_ref(), Ok(&other), "byte {at} is {value}");
                }
            }
        }
    }

    #[test]
    fn what_is_newer_is_named_as_such() {
        let mut bytes = head().encode();
        bytes[0] = 3;
        assert_eq!(Head::decode(&bytes), Err(HeadError::Newer(3)));
    }
}
