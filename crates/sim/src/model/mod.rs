//! A model check of Raft by exhaustive search: every state that three nodes can get into, in scopes
//! small enough to see all of it.
//!
//! The nodes are the production code, [`raft::Raft`], not a model of it. The model is what surrounds
//! them: a network that may deliver, lose, double and delay any message in any order; disks that
//! complete writes when they like; processes that crash and start again with what their disks hold;
//! and timers that may expire at any moment. A [`Scope`] says how much of each there is, and
//! [`explore`] tries every order of it, breadth first.
//!
//! What keeps this small:
//!
//! - A state of the group is three numbers for its nodes, the messages under way, and what must not
//!   be forgotten. The production code runs once for each pair of a node's state and an input.
//! - A replica's state is compared in a canonical form ([`raft::Raft::fingerprint`]): clocks and names
//!   are left out.
//! - A message that is lost is one that is never delivered. Only when more are under way than the
//!   scope allows, some are dropped, in every possible way.
//! - A delivery that changes nothing is the same as a loss.
//!
//! What it cannot see: what takes longer than a scope lasts, and time itself, as timeouts are inputs
//! here. The simulator is there for both.

mod checks;
mod node;
mod run;
mod scope;
mod search;
mod state;
mod tables;
mod trace;

pub use crate::model::run::{Outcome, run};
pub use crate::model::scope::{Elections, Scope, Start};
pub use crate::model::search::{
    Explored, Found, Limits, Progress, Reached, explore, explore_telling,
};

#[cfg(all(test, feature = "world"))]
mod tests;
