//! The places where something rare and legal can be made common.

/// A place in the production code. Its documentation says what happens there when it fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Point {
    /// `raft`: the election timeout is drawn at its minimum.
    ElectionTimeoutAtMinimum,
}

impl Point {
    /// All of them.
    pub const ALL: &[Point] = &[Point::ElectionTimeoutAtMinimum];
}
