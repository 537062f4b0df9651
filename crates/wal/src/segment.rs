//! One segment file: reading its records in order, and adding to it.

pub(crate) mod reader;
pub(crate) mod writer;
