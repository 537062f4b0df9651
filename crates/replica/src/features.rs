//! Feature levels: by which rules entries are applied, agreed on in the log.
//!
//! All replicas apply the same entries and must come to the same state, whatever release each of them
//! runs. So a release that gives entries a new meaning does not use it as soon as it is installed: the
//! new meaning belongs to a new *level*, and the cluster's level stands in its log. The bootstrap record
//! names the one that the cluster was born at; an entry of its own kind raises it. Every replica changes
//! to the new rules at that entry, and none before.
//!
//! # Who raises it
//! The leader, by itself, when every member of the configuration in effect, learners too, is connected
//! and has said in its handshake that it knows a higher level. (As etcd's `monitorVersions`, which
//! decides nothing while a member's version is unknown, and CockroachDB's cluster version, which is
//! finalized automatically.) A member that is away could come back as the release that it was, so it
//! holds the level back until it is back, or removed.
//!
//! A level never falls: the entries written under it mean what they mean. Until it is raised, nodes can
//! go back to the release before. An operator who wants to keep that way open sets `feature-level-max`,
//! above which a node that leads does not raise.
//!
//! # Who is left out
//! A program that does not know the cluster's level must not apply, acknowledge or elect anything: it
//! is refused when it asks to join, when it starts on a directory whose log or snapshot tells of the
//! level, and by every peer that has applied it. One that is sent an entry of a level above its own
//! stops before the entry is written.

use bytes::Bytes;

use crate::encoding::{MalformedCommand, Reader};

/// The version of an entry that raises the level.
const VERSION: u8 = 1;

/// The feature levels that a program can apply entries by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureLevels {
    /// The lowest.
    pub least: u32,
    /// The highest.
    pub newest: u32,
}

impl FeatureLevels {
    /// Those of this release.
    pub const OF_THIS_RELEASE: FeatureLevels = FeatureLevels {
        least: 1,
        newest: 1,
    };

    /// Those of the first release, and so of a node that does not say.
    pub const OF_FIRST_RELEASE: FeatureLevels = FeatureLevels {
        least: 1,
        newest: 1,
    };

    /// Whether a cluster may be at this level. 0, of a log that does not tell one yet, is fine.
    ///
    /// # Errors
    /// If not: with what to do about it.
    pub fn check(self, level: u32) -> Result<(), FeatureLevelError> {
        let FeatureLevels { least, newest } = self;
        match level {
            0 => Ok(()),
            level if level > newest => Err(FeatureLevelError::Newer { level, newest }),
            level if level < least => Err(FeatureLevelError::Older { level, least }),
            _ => Ok(()),
        }
    }

    /// The level that a new cluster is born at, if its operator wants none above `max`; 0: any.
    pub(crate) fn at_birth(self, max: u32) -> u32 {
        let max = limit(max).max(self.least);
        self.newest.min(max)
    }
}

/// A cluster's feature level cannot be applied here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FeatureLevelError {
    /// It is above what this program knows.
    #[error(
        "this cluster runs at feature level {level}, this program knows {newest}: install a newer Quorate"
    )]
    Newer {
        /// The cluster's.
        level: u32,
        /// The highest that is known.
        newest: u32,
    },
    /// It is below what this program still knows.
    #[error(
        "this cluster runs at feature level {level}, this program needs {least}: install the Quorate before \
         it on all nodes first, until the level has risen"
    )]
    Older {
        /// The cluster's.
        level: u32,
        /// The lowest that is known.
        least: u32,
    },
    /// An entry raises the level in a way that a later release has brought.
    #[error(
        "a change of the feature level is written in version {0}, this program knows {VERSION}: install a \
         newer Quorate"
    )]
    Encoding(u8),
    /// The bytes of such an entry make no sense.
    #[error("a change of the feature level is malformed at byte {at}")]
    Malformed {
        /// Where.
        at: usize,
    },
}

impl From<MalformedCommand> for FeatureLevelError {
    fn from(error: MalformedCommand) -> Self {
        FeatureLevelError::Malformed { at: error.at }
    }
}

/// The payload of an entry that raises the level: `u8 version | u32 level`, little-endian.
pub(crate) fn encode(level: u32) -> Bytes {
    let mut out = vec![VERSION];
    out.extend_from_slice(&level.to_le_bytes());
    Bytes::from(out)
}

/// Reads back what [`encode`] wrote.
///
/// # Errors
/// For other bytes.
pub(crate) fn decode(payload: &[u8]) -> Result<u32, FeatureLevelError> {
    let mut reader = Reader::new(payload);
    match reader.u8()? {
        VERSION => {}
        newer => return Err(FeatureLevelError::Encoding(newer)),
    }
    let level = reader.u32()?;
    match reader.is_at_end() {
        true => Ok(level),
        false => Err(FeatureLevelError::Malformed {
            at: reader.position(),
        }),
    }
}

/// The level to raise a cluster at `level` to, if there is one: the highest that all members know, of
/// which `None` is one of whom that is not known now. `max` is the operator's limit; 0: none.
pub(crate) fn next_level(
    level: u32,
    max: u32,
    members: impl IntoIterator<Item = Option<u32>>,
) -> Option<u32> {
    let known = members.into_iter().map(Option::unwrap_or_default);
    let next = known.min()?.min(limit(max));
    (next > level).then_some(next)
}

fn limit(max: u32) -> u32 {
    match max {
        0 => u32::MAX,
        max => max,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_rises_to_what_all_members_know_and_the_operator_allows() {
        let next = |level, max, members: &[Option<u32>]| next_level(level, max, members.to_vec());
        assert_eq!(next(1, 0, &[Some(2), Some(2), Some(2)]), Some(2));
        assert_eq!(next(1, 0, &[Some(4), Some(3), Some(5)]), Some(3));
        assert_eq!(next(1, 0, &[Some(2), Some(1), Some(2)]), None);
        assert_eq!(next(1, 0, &[Some(2), None, Some(2)]), None, "one is away");
        assert_eq!(next(1, 1, &[Some(2), Some(2)]), None, "held back");
        assert_eq!(next(1, 2, &[Some(3), Some(3)]), Some(2));
        assert_eq!(next(3, 2, &[Some(3), Some(3)]), None, "it never falls");
        assert_eq!(next(3, 0, &[Some(2)]), None);
        assert_eq!(next(1, 0, &[]), None);
    }

    #[test]
    fn a_level_is_known_between_two_bounds_and_otherwise_named_with_what_to_do() {
        let levels = FeatureLevels {
            least: 2,
            newest: 3,
        };
        assert_eq!(levels.check(0), Ok(()));
        assert_eq!(levels.check(2), Ok(()));
        assert_eq!(levels.check(3), Ok(()));
        let newer = levels.check(4).expect_err("too new").to_string();
        assert_eq!(
            newer,
            "this cluster runs at feature level 4, this program knows 3: install a newer Quorate"
        );
        let older = levels.check(1).expect_err("too old").to_string();
        assert!(older.contains("needs 2"), "{older}");
        assert_eq!([0, 1, 2, 9].map(|max| levels.at_birth(max)), [3, 2, 2, 3]);
    }

    #[test]
    fn an_entry_reads_back_as_it_was_written_and_nothing_else_is_one() {
        let bytes = encode(7);
        assert_eq!(decode(&bytes), Ok(7));
        for length in 0..bytes.len() {
            let outcome = decode(&bytes[..length]);
            assert!(matches!(outcome, Err(FeatureLevelError::Malformed { .. })));
        }
        assert!(decode(&[&bytes[..], &[0]].concat()).is_err());
        assert_eq!(decode(&[2]), Err(FeatureLevelError::Encoding(2)));
    }
}
