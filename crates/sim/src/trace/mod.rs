//! What happened in a run, shown to people.

pub mod text;
