//! The simulator: whole clusters of the production code in one thread, broken from one seed, and
//! judged at every step.
//!
//! Without the feature `world` there are no clusters, and the production crates have no switches: what is left are
//! the checkers of histories, for tests of real processes.

#[cfg(feature = "world")]
pub mod canaries;
pub mod check;
pub mod clients;
pub mod history;
pub mod judges;
pub mod model;
pub mod panics;
pub mod profile;
pub mod report;
pub mod runner;
pub mod shrink;
pub mod tape;
pub mod tape_file;
pub mod trace;
#[cfg(feature = "world")]
pub mod world;
