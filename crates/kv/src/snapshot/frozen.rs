//! A view of the data set that does not change, and its blocks.

use std::collections::VecDeque;

use super::block::BlockWriter;
use crate::keyspace::FrozenSegment;
use crate::store::state_hash;

/// All keys as they were at one position of the log. See [`Store::freeze`](crate::Store::freeze).
///
/// It can be sent to another thread. As long as it lives, the first change of each segment in the
/// store copies that segment (its keys; values are shared). So it should be used up soon:
/// [`Frozen::blocks`] gives each segment back as soon as it is written out.
#[derive(Clone, Debug)]
pub struct Frozen {
    applied: u64,
    time_ms: u64,
    key_count: usize,
    /// The segments of each database that are not given back yet.
    databases: VecDeque<VecDeque<FrozenSegment>>,
}

impl Frozen {
    pub(crate) fn new(applied: u64, time_ms: u64, databases: Vec<Vec<FrozenSegment>>) -> Self {
        let segments = databases.iter().flatten();
        Frozen {
            applied,
            time_ms,
            key_count: segments.map(FrozenSegment::len).sum(),
            databases: databases.into_iter().map(VecDeque::from).collect(),
        }
    }

    /// The index of the log entry whose state this is.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// The log time of that state, in milliseconds since the epoch.
    pub fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// The number of keys in all databases.
    pub fn key_count(&self) -> usize {
        self.key_count
    }

    /// What [`Store::state_hash`](crate::Store::state_hash) was. Walks all keys.
    pub fn state_hash(&self) -> u64 {
        let databases = (0..).zip(&self.databases);
        let entries = databases.flat_map(|(number, segments)| {
            let entries = segments.iter().flat_map(FrozenSegment::entries);
            entries.map(move |entry| (number, entry))
        });
        state_hash(self.applied, self.time_ms, entries)
    }

    /// The data as blocks of about [`BLOCK_BYTES_TARGET`](crate::BLOCK_BYTES_TARGET), for
    /// [`SnapshotLoader::block`](crate::SnapshotLoader::block) in the same order. At least one.
    pub fn blocks(self) -> Blocks {
        Blocks {
            block: Some(BlockWriter::new(0)),
            database: 0,
            rank: 0,
            keys_left: self.key_count,
            databases: self.databases,
        }
    }
}

/// The blocks of a [`Frozen`]. Each segment is given back when its last key is in a block.
#[derive(Debug)]
pub struct Blocks {
    /// The block that is being filled; `None` behind the last.
    block: Option<BlockWriter>,
    /// The number of the first of `databases`.
    database: u8,
    /// The rank of the next entry in its first segment.
    rank: usize,
    keys_left: usize,
    databases: VecDeque<VecDeque<FrozenSegment>>,
}

impl Blocks {
    /// The number of keys that are in no block yet.
    pub fn keys_left(&self) -> usize {
        self.keys_left
    }
}

impl Iterator for Blocks {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut block = self.block.take()?;
        while let Some(segments) = self.databases.front_mut() {
            while let Some(segment) = segments.front() {
                while self.rank < segment.len() && !block.is_full() {
                    block.push(segment.entry(self.rank));
                    self.rank += 1;
                    self.keys_left -= 1;
                }
                if self.rank < segment.len() {
                    self.block = Some(BlockWriter::new(self.database));
                    return Some(block.finish());
                }
                self.rank = 0;
                segments.pop_front();
            }
            self.databases.pop_front();
            self.database += 1;
            let has_more = self
                .databases
                .front()
                .is_some_and(|segments| segments.iter().any(|segment| segment.len() > 0));
            if has_more {
                let next = BlockWriter::new(self.database);
                let filled = std::mem::replace(&mut block, next);
                if !filled.is_empty() {
                    self.block = Some(block);
                    return Some(filled.finish());
                }
            }
        }
        Some(block.finish())
    }
}
