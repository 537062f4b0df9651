//! What must hold at every step: one file a property.
//!
//! Changes of members have judges of their own ([`members`](crate::judges::members)). There are no
//! leases, so nothing is said of them. That keys expire alike on all replicas is part of `state_hash`: the hash has each key's due time
//! and the time of the log in it.

pub mod bounded;
pub mod commit_on_quorum;
pub mod committed_ledger;
pub mod durable_prefix;
pub mod election_safety;
pub mod exactly_once;
pub mod indexes;
pub mod leader_append_only;
pub mod leader_completeness;
pub mod log_matching;
pub mod log_time;
pub mod no_leaks;
pub mod one_vote_per_term;
pub mod promises_durable;
pub mod read_index;
pub mod restart;
pub mod snapshots;
pub mod state_hash;
pub mod term_monotonic;
pub mod wal_recovery;
