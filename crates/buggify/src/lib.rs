//! Switches by which the simulator bends production code. A release build has none of them.
//!
//! Two kinds of places in the production crates ask this crate a question:
//!
//! - [`point`]: "may I do something rare but legal here?" A batch of one command, an election at the
//!   shortest timeout, a segment that is full early. What follows must be correct; it only makes rare
//!   states common. (FoundationDB calls these places BUGGIFY.)
//! - [`canary`]: "am I to make this mistake?" Each [`Canary`] is a bug that a serious system shipped.
//!   The simulator turns one on and must notice: a checker that has never fired proves nothing.
//!
//! Without the feature `on` both answers are the constant `false`, and the compiler removes the
//! question and what hangs on it. With it, the answers come from the thread's own switches, because
//! the simulator runs one world a thread. Only the crate `sim` asks for the feature, and `quorate`
//! does not compile in release mode with it ([`ENABLED`]).

mod canary;
mod point;
#[cfg(feature = "on")]
mod switches;

pub use crate::canary::Canary;
pub use crate::point::Point;
#[cfg(feature = "on")]
pub use crate::switches::{Armed, arm, is_active};

/// Whether the switches are compiled in.
pub const ENABLED: bool = cfg!(feature = "on");

/// Whether the code that asks is to make this mistake.
#[inline(always)]
pub fn canary(canary: Canary) -> bool {
    #[cfg(feature = "on")]
    return switches::is_canary(canary);
    #[cfg(not(feature = "on"))]
    {
        let _ = canary;
        false
    }
}

/// Whether the code that asks is to do the rare thing that is legal here.
#[inline(always)]
pub fn point(point: Point) -> bool {
    #[cfg(feature = "on")]
    return switches::fires(point);
    #[cfg(not(feature = "on"))]
    {
        let _ = point;
        false
    }
}

/// Whether a rare thing may happen at all in this run: judges that know the rare thing allow for it.
#[cfg(not(feature = "on"))]
#[inline(always)]
pub fn is_active(point: Point) -> bool {
    let _ = point;
    false
}
