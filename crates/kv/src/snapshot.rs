//! The data set as bytes: what a snapshot of it holds, and how it is read back.
//!
//! [`Store::freeze`](crate::Store::freeze) takes a [`Frozen`] view in the time of a reference per
//! segment. Another thread turns it into [`Blocks`] while the store goes on changing: a segment that
//! changes before it was written out is copied first. [`SnapshotLoader`] builds a store from the blocks.
//!
//! # The encoding of a block
//! Numbers are little-endian. A block holds entries of one database, in the order of positions (slot,
//! then keyed hash, then key), and blocks come in the order of databases, then of positions. The bytes
//! are a function of the data set alone: replicas with equal data make equal blocks.
//!
//! | bytes | field |
//! | ---: | --- |
//! | 1 | version of the encoding, 1 |
//! | 1 | number of the database |
//! | 2 | zeros |
//! | 4 | number of entries |
//! | | the entries |
//!
//! | bytes | field of an entry |
//! | ---: | --- |
//! | 1 | type of the value: 1 a string that is an integer, 2 a string, 3 a string with room to grow |
//! | 1 | flags: 1 when the key expires |
//! | 8 | version: the log position of the last change |
//! | 8 | when it expires, in milliseconds since the epoch; absent without the flag |
//! | 4 | length of the key |
//! | | the key |
//! | | the value: 8 bytes of an integer; or 4 bytes of a length, and as many bytes |
//!
//! A block may be without entries: the first one always is there, so that even a snapshot of nothing
//! says by which encoding it was made.

mod block;
mod frozen;
mod loader;

pub use block::BLOCK_BYTES_TARGET;
pub use frozen::{Blocks, Frozen};
pub use loader::{LoadError, SnapshotLoader};

#[cfg(test)]
mod tests;
