//! The record that every log begins with, proposed by the first leader of a new cluster.

use raft::NodeId;

use crate::encoding::{MalformedCommand, Reader};

const VERSION: u8 = 1;

/// What a cluster is born with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bootstrap {
    /// The rules by which entries are applied, until an entry raises the level: see
    /// [`crate::features`].
    pub(crate) feature_level: u32,
    /// Keys the hash by which keys are placed, and seeds choices that must agree on all replicas.
    pub(crate) secret: [u8; 16],
    /// The first members and their peer addresses.
    pub(crate) members: Vec<(NodeId, String)>,
}

/// The log begins with a record that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum BootstrapError {
    /// It was written by a later version.
    #[error(
        "the log begins with a record of version {0}, this is version {VERSION}: run a newer quorate"
    )]
    Newer(u8),
    /// Its bytes make no sense.
    #[error("the log begins with a malformed record: {0}")]
    Malformed(#[from] MalformedCommand),
}

impl Bootstrap {
    /// `u8 version | u32 feature level | 16 bytes secret | u32 count | (u64 node, u32 length, peer
    /// address)*`, little-endian.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.feature_level.to_le_bytes());
        out.extend_from_slice(&self.secret);
        out.extend_from_slice(&(self.members.len() as u32).to_le_bytes());
        for (node, address) in &self.members {
            out.extend_from_slice(&node.0.to_le_bytes());
            out.extend_from_slice(&(address.len() as u32).to_le_bytes());
            out.extend_from_slice(address.as_bytes());
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, BootstrapError> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            VERSION => {}
            newer => return Err(BootstrapError::Newer(newer)),
        }
        let feature_level = reader.u32()?;
        let secret = reader
            .take(16)?
            .try_into()
            .expect("sixteen bytes were taken");
        let count = reader.u32()?;
        let mut members = Vec::new();
        for _ in 0..count {
            let node = NodeId(reader.u64()?);
            members.push((
                node,
                String::from_utf8_lossy(reader.prefixed()?).into_owned(),
            ));
        }
        Ok(Bootstrap {
            feature_level,
            secret,
            members,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Bootstrap {
        Bootstrap {
            feature_level: 1,
            secret: *b"0123456789abcdef",
            members: vec![
                (NodeId(1), "127.0.0.1:8001".into()),
                (NodeId(u64::MAX), String::new()),
            ],
        }
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        assert_eq!(Bootstrap::decode(&record().encode()), Ok(record()));
    }

    #[test]
    fn what_is_newer_is_named_as_such() {
        let mut bytes = record().encode();
        bytes[0] = 2;
        assert_eq!(Bootstrap::decode(&bytes), Err(BootstrapError::Newer(2)));
    }

    #[test]
    fn a_record_that_is_cut_anywhere_is_malformed() {
        let bytes = record().encode();
        for length in 0..bytes.len() {
            let outcome = Bootstrap::decode(&bytes[..length]);
            assert!(
                matches!(outcome, Err(BootstrapError::Malformed(_))),
                "{length}"
            );
        }
    }
}
