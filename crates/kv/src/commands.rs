//! The commands that work on the data set, a file per family.
//!
//! A handler is named after its command. It gets the arguments as they were typed, with the name in
//! front and the arity checked, and encodes exactly one reply.

pub(crate) mod expire;
pub(crate) mod keys;
pub(crate) mod scan;
pub(crate) mod server_data;

pub(crate) mod counters;
pub(crate) mod lcs;
mod set_options;
pub(crate) mod slots;
pub(crate) mod strings;
pub(crate) mod strings_range;
