//! The data: a keyspace, the table of commands, and how a command changes the one.
//!
//! # What this is
//! A [`Store`] is the state machine that the log drives. It holds sixteen numbered databases, as
//! Redis does, and changes only when an entry of the log is applied: [`Store::begin_entry`], then
//! [`Store::write`] for each command in it. Between entries it answers reads, [`Store::read`].
//! A [`CommandSpec`] is a row of the command table: the name, the number on disk, arity, keys, flags,
//! texts, and the [`Handler`] that executes it. Everything that knows a command knows it from there.
//!
//! # Determinism
//! Replicas apply the same entries and must end up equal, down to the byte of each reply. So a write
//! is a function of the state, its arguments and the *log time*, which the leader stamps on every
//! entry. There is no clock here, no randomness, and no map whose order can show. The hash that
//! places keys is keyed by a secret of the cluster, from its first entry; it is the same on all
//! replicas, and no reply of a write depends on it.
//!
//! # Expiry
//! A key is expired when its expiry is at or before the log time. Expired keys are absent to every
//! command; they are removed when an entry begins, in the order of (expiry, database, key) and at
//! most [`EXPIRE_PER_ENTRY_MAX`] at a time, or when a write meets them. A read on a node whose clock
//! is ahead of the log may meet a key that is due and not expired; it neither shows nor hides it but
//! reports [`ReadOutcome::DueByClock`], and its caller has the log carry the time first. That is how
//! a key that one client saw expired is never seen again by another.
//!
//! # The keyspace
//! Keys are ordered by slot and keyed hash, in segments of about a thousand (module `keyspace`
//! tells why). SCAN, the slot commands and snapshots ([`Store::freeze`], [`SnapshotLoader`]) walk that order.
//!
//! # What is left out
//! Whatever concerns a connection, a node or the cluster is executed by the session layer of crate
//! `replica`: the table lists those commands as [`Handler::Session`]. Nothing here does I/O.

mod command;
mod commands;
mod context;
mod database;
mod digest;
mod errors;
mod keyspace;
mod rolling;
mod snapshot;
mod store;
mod value;

pub mod command_docs;
pub mod error_text;
mod key_spec;
mod table;

mod big_natural;
mod extended;
pub mod glob;
pub mod number;

pub use command::{
    AclCategories, CommandFlags, CommandId, CommandSpec, Deprecation, Group, Handler, ReadHandler,
    WriteHandler,
};
pub use context::{Effects, ReadContext, ReadEnv, ReadOutcome, WriteContext};
pub use key_spec::{
    BeginSearch, FindKeys, KeyFlags, KeySpec, KeysError, command_keys, command_keys_and_flags,
};
pub use keyspace::{Key, SLOT_COUNT, key_slot};
pub use snapshot::{BLOCK_BYTES_TARGET, Blocks, Frozen, LoadError, SnapshotLoader};
pub use store::{DATABASE_COUNT, EXPIRE_PER_ENTRY_MAX, Stats, Store};
pub use table::{all, by_id, lookup, lookup_full_name, lookup_request, lookup_subcommand};
pub use value::{StringValue, Value};
