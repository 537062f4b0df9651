//! Who belongs to the cluster, beside what Raft knows: where each member is reached, what is to
//! become of it, and which ids were ever given away.
//!
//! Raft's configuration says who votes. A [`Roster`] is what travels with it, as the context of every
//! membership entry. Like the configuration it counts from the moment its entry stands in the log, and
//! is undone if the entry is: a node may have to ask a voter for its vote before the entry that names
//! the voter's address is committed.
//!
//! # Ids
//! An id is given once. `next_id` rises with every addition and is never taken back, so that a node
//! which was removed, or lost its disk, cannot come back as a voter that has forgotten what it promised
//! (raft-rs and others had to learn it: openraft issue 2002, swarmkit issue 1815).
//!
//! # Wishes
//! Some changes take several entries with waiting in between: a new node votes when it has caught up,
//! a voter that is removed is a learner first. What is still to be done stands in the roster, so that
//! whoever leads goes on with it.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft::{LogIndex, NodeId};

use crate::encoding::{MalformedCommand, Reader};

/// The version of the encoding. Readers refuse a later one.
const VERSION: u8 = 1;

/// The longest address of a member, in bytes.
pub(crate) const ADDRESS_BYTES_MAX: usize = 256;

/// Members with their addresses, and the ids that are left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roster {
    /// Those that Raft's configuration names, and perhaps some that it has dropped since: leaving a
    /// joint configuration brings no roster of its own.
    pub(crate) members: BTreeMap<NodeId, Enrolled>,
    /// The least id that was never given to a node. It never falls.
    pub(crate) next_id: u64,
}

/// What the roster says of a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Enrolled {
    /// Where the other nodes reach it: `host:port`.
    pub(crate) peer_addr: String,
    /// The number that its data directory drew before it asked for an id: who asks again with the
    /// same gets the same id. 0: it was added by somebody else, or at the birth of the cluster.
    pub(crate) token: u64,
    /// What is still to be done.
    pub(crate) wish: Wish,
}

/// What is to become of a member, and is the leader's to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nothing.
    #[default]
    Stay,
    /// It is to vote, as soon as it has caught up.
    Vote,
    /// It is to vote in the place of this member, as soon as it has caught up.
    Replace(NodeId),
    /// It is to go.
    Leave,
}

/// A roster that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum RosterError {
    /// It was written by a later version.
    #[error(
        "a change of members is written in version {0}, this program knows {VERSION}: run a newer quorate"
    )]
    Newer(u8),
    /// Its bytes make no sense.
    #[error("a change of members is malformed: {0}")]
    Malformed(#[from] MalformedCommand),
}

impl Roster {
    /// The roster of a cluster's first members.
    pub(crate) fn of_first(members: impl IntoIterator<Item = (NodeId, String)>) -> Roster {
        let members: BTreeMap<NodeId, Enrolled> = members
            .into_iter()
            .map(|(id, peer_addr)| {
                let enrolled = Enrolled {
                    peer_addr,
                    ..Enrolled::default()
                };
                (id, enrolled)
            })
            .collect();
        let next_id = members.keys().next_back().map_or(1, |id| id.0 + 1);
        Roster { members, next_id }
    }

    /// Where a member is reached.
    pub(crate) fn address(&self, id: NodeId) -> Option<&str> {
        let enrolled = self.members.get(&id)?;
        Some(enrolled.peer_addr.as_str())
    }

    /// The member that is reached there; of two, the newer one, which takes the other's place.
    pub(crate) fn at_address(&self, peer_addr: &str) -> Option<NodeId> {
        let mut members = self.members.iter().rev();
        members
            .find(|(_, enrolled)| enrolled.peer_addr == peer_addr)
            .map(|(id, _)| *id)
    }

    /// The member whose data directory drew this number.
    pub(crate) fn with_token(&self, token: u64) -> Option<NodeId> {
        let mut members = self.members.iter();
        members
            .find(|(_, enrolled)| token != 0 && enrolled.token == token)
            .map(|(id, _)| *id)
    }

    /// The member that is to vote in the place of `old`.
    pub(crate) fn replacement_of(&self, old: NodeId) -> Option<NodeId> {
        let mut members = self.members.iter();
        members
            .find(|(_, enrolled)| enrolled.wish == Wish::Replace(old))
            .map(|(id, _)| *id)
    }

    /// What is still to be done with a member.
    pub(crate) fn wish(&self, id: NodeId) -> Wish {
        let enrolled = self.members.get(&id);
        enrolled.map_or(Wish::Stay, |enrolled| enrolled.wish)
    }

    /// `u8 version | u64 next id | u32 count | (u64 id, u64 token, u8 wish, u64 whom it replaces,
    /// u32 length, peer address)*`, little-endian.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.next_id.to_le_bytes());
        out.extend_from_slice(&(self.members.len() as u32).to_le_bytes());
        for (id, enrolled) in &self.members {
            let (wish, whom) = match enrolled.wish {
                Wish::Stay => (0, 0),
                Wish::Vote => (1, 0),
                Wish::Replace(whom) => (2, whom.0),
                Wish::Leave => (3, 0),
            };
            out.extend_from_slice(&id.0.to_le_bytes());
            out.extend_from_slice(&enrolled.token.to_le_bytes());
            out.push(wish);
            out.extend_from_slice(&whom.to_le_bytes());
            out.extend_from_slice(&(enrolled.peer_addr.len() as u32).to_le_bytes());
            out.extend_from_slice(enrolled.peer_addr.as_bytes());
        }
        Bytes::from(out)
    }

    /// Reads back what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// For bytes that are no roster, or one of a later version.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Roster, RosterError> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            VERSION => {}
            newer => return Err(RosterError::Newer(newer)),
        }
        let next_id = reader.u64()?;
        let count = reader.u32()?;
        let mut members = BTreeMap::new();
        for _ in 0..count {
            let id = NodeId(reader.u64()?);
            let token = reader.u64()?;
            let at = reader.position();
            let wish = match (reader.u8()?, reader.u64()?) {
                (0, _) => Wish::Stay,
                (1, _) => Wish::Vote,
                (2, whom) => Wish::Replace(NodeId(whom)),
                (3, _) => Wish::Leave,
                _ => return Err(MalformedCommand { at }.into()),
            };
            let peer_addr = String::from_utf8_lossy(reader.prefixed()?).into_owned();
            let enrolled = Enrolled {
                peer_addr,
                token,
                wish,
            };
            members.insert(id, enrolled);
        }
        if !reader.is_at_end() {
            return Err(MalformedCommand {
                at: reader.position(),
            }
            .into());
        }
        Ok(Roster { members, next_id })
    }
}

/// The rosters in the log that are not applied. The last one applied is a part of the replicated state.
///
/// Invariant: positions rise.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rosters {
    later: Vec<(LogIndex, Roster)>,
}

impl Rosters {
    /// The one in effect: the latest in the log, or else the one applied.
    pub(crate) fn latest<'a>(&'a self, applied: &'a Roster) -> &'a Roster {
        self.later.last().map_or(applied, |(_, roster)| roster)
    }

    /// Whether there is none.
    pub(crate) fn is_settled(&self) -> bool {
        self.later.is_empty()
    }

    /// The entry at `index` stands in the log.
    pub(crate) fn append(&mut self, index: LogIndex, roster: Roster) {
        self.truncate_from(index);
        self.later.push((index, roster));
    }

    /// The entries from `index` on do not, any more.
    pub(crate) fn truncate_from(&mut self, index: LogIndex) {
        self.later.retain(|(at, _)| *at < index);
    }

    /// Everything up to `index` is applied.
    pub(crate) fn applied(&mut self, index: LogIndex) {
        self.later.retain(|(at, _)| *at > index);
    }
}

/// Whether an address can be the one at which other nodes reach a member: a host and a port.
pub(crate) fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let is_wildcard = matches!(host, "" | "0.0.0.0" | "*" | "[::]");
    let has_space = text.bytes().any(|byte| byte <= b' ' || byte == 0x7f);
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    text.len() <= ADDRESS_BYTES_MAX
        && !is_wildcard
        && !has_space
        && (is_bracketed || !host.contains(':'))
        && port.parse::<u16>().is_ok_and(|port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster() -> Roster {
        let member = |peer_addr: &str, token, wish| Enrolled {
            peer_addr: peer_addr.into(),
            token,
            wish,
        };
        Roster {
            members: BTreeMap::from([
                (NodeId(1), member("127.0.0.1:8001", 0, Wish::Stay)),
                (
                    NodeId(4),
                    member("node-4:8004", 9, Wish::Replace(NodeId(2))),
                ),
                (NodeId(5), member("[::1]:8005", u64::MAX, Wish::Vote)),
                (NodeId(7), member("", 1, Wish::Leave)),
            ]),
            next_id: 12,
        }
    }

    #[test]
    fn a_roster_reads_back_as_it_was_written() {
        assert_eq!(Roster::decode(&roster().encode()), Ok(roster()));
        let none = Roster::default();
        assert_eq!(Roster::decode(&none.encode()), Ok(none));
    }

    #[test]
    fn a_roster_that_is_cut_or_goes_on_is_malformed_and_a_newer_one_is_named() {
        let bytes = roster().encode();
        for length in 0..bytes.len() {
            let outcome = Roster::decode(&bytes[..length]);
            assert!(
                matches!(outcome, Err(RosterError::Malformed(_))),
                "{length}"
            );
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(Roster::decode(&longer).is_err());
        let newer = [&[2], &bytes[1..]].concat();
        assert_eq!(Roster::decode(&newer), Err(RosterError::Newer(2)));
    }

    #[test]
    fn the_first_members_use_up_the_ids_below_their_largest() {
        let first =
            Roster::of_first([(NodeId(3), "b:1".to_owned()), (NodeId(1), "a:1".to_owned())]);
        assert_eq!(first.next_id, 4);
        assert_eq!(first.at_address("b:1"), Some(NodeId(3)));
        assert_eq!(first.with_token(0), None);
        assert_eq!(roster().with_token(9), Some(NodeId(4)));
    }

    #[test]
    fn a_roster_counts_from_the_log_and_is_undone_with_it() {
        let numbered = |next_id| Roster {
            next_id,
            ..Roster::default()
        };
        let (mut rosters, applied) = (Rosters::default(), numbered(1));
        rosters.append(LogIndex(5), numbered(2));
        rosters.append(LogIndex(8), numbered(3));
        assert_eq!(rosters.latest(&applied), &numbered(3));
        rosters.truncate_from(LogIndex(8));
        assert_eq!(rosters.latest(&applied), &numbered(2));
        rosters.append(LogIndex(5), numbered(4));
        assert_eq!(
            rosters.latest(&applied),
            &numbered(4),
            "it replaces what stood there"
        );
        rosters.append(LogIndex(9), numbered(5));
        rosters.applied(LogIndex(5));
        assert!(!rosters.is_settled());
        assert_eq!(rosters.latest(&applied), &numbered(5));
        rosters.applied(LogIndex(9));
        assert!(rosters.is_settled());
        assert_eq!(rosters.latest(&applied), &applied);
    }

    #[test]
    fn addresses_name_a_host_and_a_port() {
        for good in ["10.0.0.4:8004", "node-4.example:1", "[::1]:8004"] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            "host",
            "host:",
            ":8004",
            "host:0",
            "host:70000",
            "0.0.0.0:1",
            "[::]:1",
            "::1:80",
            "a b:1",
            "a\n:1",
        ] {
            assert!(!is_address(bad), "{bad:?}");
        }
    }
}
