//! What a replica tells a simulator about its replies: where in the log each was made.
//!
//! A checker that knows the positions replays the log once and compares every reply, instead of
//! searching for an order that explains them. Nothing here exists for a server: all of it hangs on
//! [`buggify::ENABLED`].

use raft::LogIndex;

use crate::config::ClientId;

/// The reply of a data command that was executed: which reply it is, and where it was made.
///
/// There is one for each reply to a read or a write that was executed, and one for each EXEC that
/// was (also if what it watched had changed). Errors that say that nothing was executed, session
/// commands and replies that CLIENT REPLY suppresses have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Who is answered.
    pub client: ClientId,
    /// How many bytes of output the session had ever produced before the reply: names the reply on
    /// the connection.
    pub offset: u64,
    /// The entry at which it was executed: for a read outside a batch the last entry applied.
    pub index: LogIndex,
    /// For a write or a transaction with writes: its number among the records of the entry, from
    /// 0. For a read that was run inside a batch: how many records of the entry were run before
    /// it. For any other read: [`AFTER_ENTRY`].
    pub order: u32,
}

/// The [`Witness::order`] of a read that saw all of its entry.
pub const AFTER_ENTRY: u32 = u32::MAX;
