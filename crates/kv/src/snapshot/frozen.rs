//! A view of the data set that does not change, and its blocks.

use std::collections::VecDeque;

use super::block::BlockWriter;
use crate::keyspace::{FrozenKeyspace, FrozenSegment};
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
    databases: VecDeque<FrozenKeyspace>,
}

impl Frozen {
    pub(crate) fn new(applied: u64, time_ms: u64, databases: VecDeque<FrozenKeyspace>) -> Self {
        Frozen {
            applied,
            time_ms,
            databases,
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
        let databases = self.databases.iter();
        databases.map(FrozenKeyspace::key_count).sum()
    }

    /// What [`Store::state_hash`](crate::Store::state_hash) was. Walks all keys.
    pub fn state_hash(&self) -> u64 {
        let databases = (0..).zip(&self.databases);
        let entries = databases.flat_map(|(number, database)| {
            let entries = database.entries();
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
            keys_left: self.key_count(),
            segments: VecDeque::new(),
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
    /// The segments of its shelf at hand that are not given back yet.
    segments: VecDeque<FrozenSegment>,
    /// The rank of the next entry in the first of them.
    rank: usize,
    keys_left: usize,
    databases: VecDeque<FrozenKeyspace>,
}

impl Blocks {
    /// The number of keys that are in no block yet.
    pub fn keys_left(&self) -> usize {
        self.keys_left
    }

    /// The segment that is written next, of the database at hand.
    fn segment(&mut self) -> Option<&FrozenSegment> {
        if self.segments.is_empty() {
            self.segments = self.databases.front_mut()?.take_shelf()?;
        }
        self.segments.front()
    }
}

impl Iterator for Blocks {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut block = self.block.take()?;
        while !self.databases.is_empty() {
            let mut rank = self.rank;
            while let Some(segment) = self.segment() {
                let first = rank;
                while rank < segment.len() && !block.is_full() {
                    block.push(segment.entry(rank));
                    rank += 1;
                }
                let is_written = rank == segment.len();
                self.keys_left -= rank - first;
                if !is_written {
                    self.rank = rank;
                    self.block = Some(BlockWriter::new(self.database));
                    return Some(block.finish());
                }
                rank = 0;
                self.segments.pop_front();
            }
            self.rank = 0;
            self.databases.pop_front();
            self.database += 1;
            let next = self.databases.front();
            if next.is_some_and(|database| database.key_count() > 0) {
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
