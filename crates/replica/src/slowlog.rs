//! The slow log: commands whose time from arrival to reply was long.

/// The latest slow commands of this node.
#[derive(Debug, Default)]
pub(crate) struct Slowlog {}
