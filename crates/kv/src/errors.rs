//! The error replies that several commands share, in the words of Redis 7.0.
//!
//! Clients and their tests match these texts, so they are part of the interface.

/// A command for another type met this key.
pub(crate) const WRONG_TYPE: &str =
    "WRONGTYPE Operation against a key holding the wrong kind of value";
/// Options that do not parse or that contradict each other.
pub(crate) const SYNTAX: &str = "ERR syntax error";
/// A number that is not a signed 64-bit integer.
pub(crate) const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
/// A number that is not a signed 32-bit integer.
pub(crate) const NOT_AN_INT: &str =
    "ERR value is out of range, value must between -2147483648 and 2147483647";
/// A key that has to exist.
pub(crate) const NO_SUCH_KEY: &str = "ERR no such key";
/// A key that would be moved or copied to itself.
pub(crate) const SAME_OBJECT: &str = "ERR source and destination objects are the same";
/// A database number that does not exist.
pub(crate) const DATABASE_OUT_OF_RANGE: &str = "ERR DB index is out of range";

/// The reply to a request that fails the arity check. `full_name` is the name in lower case, with
/// `container|` in front for a subcommand.
pub(crate) fn wrong_number_of_arguments(full_name: &str) -> String {
    format!("ERR wrong number of arguments for '{full_name}' command")
}

/// The reply to an expiry that is not positive where it has to be, or that does not fit.
pub(crate) fn invalid_expire_time(command: &str) -> String {
    format!("ERR invalid expire time in '{command}' command")
}
