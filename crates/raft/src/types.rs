//! Names for the things Raft counts: nodes, terms, log positions, entries, and the three values a
//! node must never forget.
//!
//! Each is a newtype, so that a term cannot be passed where an index is meant. Their insides are
//! public because the codecs of peers and disk live in other crates; arithmetic goes through the
//! few methods here.

use std::fmt;

use bytes::Bytes;

/// The cluster a message or a disk record belongs to. Nodes of different clusters never talk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u64);

/// The Raft group within a cluster. One node may be a replica of many groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u64);

/// A member of the cluster. Never 0 (so that 0 can mean "none" on the wire and on disk), and never
/// reused after a removal: a node that lost its disk has lost its promises and needs a new id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "n{}", self.0)
    }
}

/// A term: Raft's logical clock (paper, section 5.1). It has at most one leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

impl Term {
    /// The term after this one.
    ///
    /// # Panics
    /// When the terms run out, which takes longer than the universe is expected to last. How far a
    /// peer can raise the term with one message is bounded (see [`Term::LEAP_MAX`]).
    pub fn next(self) -> Term {
        Term(self.0.checked_add(1).expect("terms are exhausted"))
    }

    /// How far ahead of the receiver's a term in a message may be. A peer that claimed `u64::MAX`,
    /// or any fixed bound, would leave no term to hold an election in; by leaps, it would take it
    /// billions of them. An honest peer is ahead by the elections the receiver has missed.
    pub const LEAP_MAX: u64 = 1 << 32;
}

impl fmt::Display for Term {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "t{}", self.0)
    }
}

/// A position in the log. The first entry is at 1; 0 is the empty prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogIndex(pub u64);

impl LogIndex {
    /// The position after this one.
    ///
    /// # Panics
    /// When the positions run out.
    pub fn next(self) -> LogIndex {
        LogIndex(self.0.checked_add(1).expect("log positions are exhausted"))
    }

    /// The position before this one, or the empty prefix.
    pub fn previous(self) -> LogIndex {
        LogIndex(self.0.saturating_sub(1))
    }

    /// The highest position a peer may claim, far above any that can be reached.
    pub const CLAIM_MAX: LogIndex = LogIndex(u64::MAX / 2);
}

impl fmt::Display for LogIndex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

/// What makes an entry the same entry everywhere: two logs that hold an entry with the same id
/// are equal up to and including it (the Log Matching property, paper section 5.3).
///
/// Ordered by term first, then index: the order of "more up to date" in elections (section 5.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// The term of the leader that created the entry.
    pub term: Term,
    /// The position of the entry.
    pub index: LogIndex,
}

impl EntryId {
    /// The id of the empty prefix.
    pub const ZERO: EntryId = EntryId {
        term: Term(0),
        index: LogIndex(0),
    };

    /// An id from plain numbers.
    pub fn new(term: u64, index: u64) -> EntryId {
        EntryId {
            term: Term(term),
            index: LogIndex(index),
        }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.index, self.term)
    }
}

/// What an entry is for. The numbers are part of the disk and peer formats: never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EntryKind {
    /// Carries nothing but its time. A leader opens its term with one (section 5.4.2 and thesis
    /// section 6.4); proposed in between, it makes log time advance.
    Noop = 0,
    /// The first entry of a log, always at index 1: what the group is born with.
    Bootstrap = 1,
    /// A batch of commands.
    Batch = 2,
    /// A change of members: the payload is a [`ConfChange`](crate::ConfChange).
    Membership = 3,
    /// The group changes to newer rules for applying entries. What that means is the state machine's:
    /// to Raft it is an entry like a batch.
    FeatureLevel = 4,
}

/// A number that names no kind of entry: damage, or an entry from a newer version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no kind of entry")]
pub struct UnknownEntryKind(pub u8);

impl TryFrom<u8> for EntryKind {
    type Error = UnknownEntryKind;

    fn try_from(number: u8) -> Result<EntryKind, UnknownEntryKind> {
        match number {
            0 => Ok(EntryKind::Noop),
            1 => Ok(EntryKind::Bootstrap),
            2 => Ok(EntryKind::Batch),
            3 => Ok(EntryKind::Membership),
            4 => Ok(EntryKind::FeatureLevel),
            other => Err(UnknownEntryKind(other)),
        }
    }
}

impl From<EntryKind> for u8 {
    fn from(kind: EntryKind) -> u8 {
        kind as u8
    }
}

/// One entry of the log.
///
/// A clone shares the payload: memory, disk and every peer hold the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Term and position.
    pub id: EntryId,
    /// What it is for.
    pub kind: EntryKind,
    /// The leader's clock when it appended the entry, never below that of the entry before.
    pub time_ms: u64,
    /// Opaque to Raft.
    pub payload: Bytes,
}

impl Entry {
    /// What an entry is charged for beside its payload, wherever bytes are bounded.
    pub const OVERHEAD_BYTES: usize = 64;

    /// What the entry counts for wherever bytes are bounded: messages, window, cache, apply.
    pub fn size_bytes(&self) -> usize {
        self.payload.len() + Entry::OVERHEAD_BYTES
    }
}

/// What a node must remember across a crash, besides its log (paper, figure 2; the commit index is
/// only a hint that saves time after a restart).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HardState {
    /// The latest term this node has seen. It never falls.
    pub term: Term,
    /// Who got this node's vote in `term`. It changes only together with the term, or from `None`.
    pub vote: Option<NodeId>,
    /// A position known to be committed, and durable here when this was written.
    pub commit: LogIndex,
}

/// Bytes on disk that are not a [`HardState`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HardStateError {
    /// The record has the wrong length.
    #[error("a hard state has {expected} bytes, not {found}")]
    Length {
        /// Bytes found.
        found: usize,
        /// Bytes of the version we write.
        expected: usize,
    },
    /// The record was written by a version we do not know.
    #[error("hard state of version {found}, newer than the {known} that is known here")]
    Version {
        /// Version found.
        found: u8,
        /// Version known.
        known: u8,
    },
}

impl HardState {
    /// The version that [`HardState::encode`] writes.
    pub const VERSION: u8 = 1;
    /// The length of what [`HardState::encode`] returns: version, term, vote (0 for none), commit.
    pub const ENCODED_BYTES: usize = 25;

    /// The bytes for the disk, little-endian.
    pub fn encode(&self) -> [u8; HardState::ENCODED_BYTES] {
        let mut bytes = [0; HardState::ENCODED_BYTES];
        bytes[0] = HardState::VERSION;
        bytes[1..9].copy_from_slice(&self.term.0.to_le_bytes());
        bytes[9..17].copy_from_slice(&self.vote.map_or(0, |node| node.0).to_le_bytes());
        bytes[17..25].copy_from_slice(&self.commit.0.to_le_bytes());
        bytes
    }

    /// Reads back what [`HardState::encode`] wrote.
    ///
    /// # Errors
    /// For bytes that are no hard state, or one of a newer version.
    pub fn decode(bytes: &[u8]) -> Result<HardState, HardStateError> {
        let length = HardStateError::Length {
            found: bytes.len(),
            expected: HardState::ENCODED_BYTES,
        };
        let (&version, fields) = bytes.split_first().ok_or(length)?;
        if version != HardState::VERSION {
            return Err(HardStateError::Version {
                found: version,
                known: HardState::VERSION,
            });
        }
        let (numbers, rest) = fields.as_chunks::<8>();
        let &[term, vote, commit] = numbers else {
            return Err(length);
        };
        if !rest.is_empty() {
            return Err(length);
        }
        Ok(HardState {
            term: Term(u64::from_le_bytes(term)),
            vote: Some(NodeId(u64::from_le_bytes(vote))).filter(|node| node.0 != 0),
            commit: LogIndex(u64::from_le_bytes(commit)),
        })
    }
}

/// Names one write of this process to its disk, counted from 1. Because every write has its own,
/// a completion can never be mistaken for that of a later write to the same positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// Names a read that waits for its read index. Chosen by the caller, unique while in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadToken(pub u64);

/// Names a request to read entries back from the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadRequestId(pub u64);

/// Counts the rounds of messages a leader sends in its term. A response echoes the round of the
/// message it answers, so that the leader knows *when* it was still followed (see `read_index`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Round(pub u64);

/// Names the stretch of a leader's term during which a peer is a member: 0 if it is one when the term
/// begins, otherwise the position of the entry that added it. A response echoes the session of the
/// message it answers, so that one from before the peer left and joined again is known as such
/// (raft-rs issue 571).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Session(pub u64);

/// What a node is doing in its term (paper, figure 4, with the pre-candidate of thesis section
/// 9.6 in between).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// Answers others, starts an election when it hears no leader.
    #[default]
    Follower,
    /// Asks whether it could win an election, before it disturbs anybody with a new term.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Appends, replicates, commits.
    Leader,
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Role::Follower => "follower",
            Role::PreCandidate => "pre-candidate",
            Role::Candidate => "candidate",
            Role::Leader => "leader",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hard_state_comes_back_as_it_was_written() {
        for vote in [None, Some(NodeId(7))] {
            let state = HardState {
                term: Term(9),
                vote,
                commit: LogIndex(1 << 40),
            };
            assert_eq!(HardState::decode(&state.encode()), Ok(state));
        }
    }

    #[test]
    fn hard_state_bytes_are_fixed() {
        let state = HardState {
            term: Term(2),
            vote: Some(NodeId(3)),
            commit: LogIndex(0x0104),
        };
        let mut expected = vec![1, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0];
        expected.extend([4, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(state.encode().as_slice(), expected);
    }

    #[test]
    fn hard_state_refuses_other_bytes() {
        let bytes = HardState::default().encode();
        for length in [0, 1, 24] {
            assert!(
                HardState::decode(&bytes[..length]).is_err(),
                "{length} bytes"
            );
        }
        assert!(HardState::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
        assert_eq!(
            HardState::decode(&[9; 25]),
            Err(HardStateError::Version { found: 9, known: 1 })
        );
    }

    #[test]
    fn entry_ids_order_as_elections_compare_them() {
        assert!(EntryId::new(2, 1) > EntryId::new(1, 9));
        assert!(EntryId::new(2, 2) > EntryId::new(2, 1));
    }

    #[test]
    fn entry_kinds_keep_their_numbers() {
        let kinds = [
            EntryKind::Noop,
            EntryKind::Bootstrap,
            EntryKind::Batch,
            EntryKind::Membership,
            EntryKind::FeatureLevel,
        ];
        for (number, kind) in (0u8..).zip(kinds) {
            assert_eq!(
                (EntryKind::try_from(number), u8::from(kind)),
                (Ok(kind), number)
            );
        }
        assert_eq!(EntryKind::try_from(5), Err(UnknownEntryKind(5)));
    }
}
