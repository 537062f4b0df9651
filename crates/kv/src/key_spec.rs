//! Where the keys of a command are, and what the command does with each.
//!
//! These are Redis 7's *key specifications*: a way to find the first key and a way to find the
//! others from there. Clusters route by them, WATCH and the ACLs will check by them, and COMMAND
//! INFO and COMMAND GETKEYS tell clients. The older triple (first key, last key, step) is computed
//! from them, see [`legacy_range`].

use bitflags::bitflags;
use thiserror::Error;

use crate::command::CommandSpec;

bitflags! {
    /// What a command does with a key, in the terms of COMMAND INFO.
    ///
    /// Of the first four exactly one is set, for what happens to the value as a whole; `ACCESS`,
    /// `UPDATE`, `INSERT` and `DELETE` say what happens to the data in it.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct KeyFlags: u16 {
        /// Reads the value, and changes nothing.
        const RO = 1 << 0;
        /// Changes what is there.
        const RW = 1 << 1;
        /// Overwrites, whatever is there.
        const OW = 1 << 2;
        /// Removes.
        const RM = 1 << 3;
        /// Lets the client see data of the value.
        const ACCESS = 1 << 4;
        /// Changes data of the value.
        const UPDATE = 1 << 5;
        /// Adds data, and changes none that is there.
        const INSERT = 1 << 6;
        /// Removes data of the value.
        const DELETE = 1 << 7;
        /// Is no key at all, but is routed like one: a shard channel.
        const NOT_KEY = 1 << 8;
        /// The specification does not find all the keys.
        const INCOMPLETE = 1 << 9;
        /// What happens depends on other arguments; the flags say the most that can.
        const VARIABLE_FLAGS = 1 << 10;
    }
}

impl KeyFlags {
    /// The names that COMMAND INFO replies, in the order in which Redis lists them.
    pub fn redis_names(self) -> impl Iterator<Item = &'static str> {
        const NAMES: [&str; 11] = [
            "RO",
            "RW",
            "OW",
            "RM",
            "access",
            "update",
            "insert",
            "delete",
            "not_key",
            "incomplete",
            "variable_flags",
        ];
        NAMES
            .into_iter()
            .enumerate()
            .filter(move |(bit, _)| self.bits() & (1 << bit) != 0)
            .map(|(_, name)| name)
    }
}

/// How to find the first key of a specification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BeginSearch {
    /// At this place among the arguments, the command's name being at 0.
    Index(i32),
    /// Behind a word, looked for from a place on; a negative place looks backwards from the end.
    Keyword {
        /// The word, in any case.
        keyword: &'static str,
        /// Where to begin.
        start_from: i32,
    },
}

/// How to find the other keys of a specification from the first one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FindKeys {
    /// They follow at a fixed distance.
    Range {
        /// The last one, counted from the first; a negative number counts from the end of the
        /// arguments.
        last_key: i32,
        /// The distance between two.
        key_step: i32,
    },
}

/// Where some keys of a command are, and what the command does with them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeySpec {
    /// What the command does with them.
    pub flags: KeyFlags,
    /// What the flags do not say, for people.
    pub notes: Option<&'static str>,
    /// How to find the first.
    pub begin: BeginSearch,
    /// How to find the others.
    pub find: FindKeys,
}

impl KeySpec {
    /// The places of the keys among `args`; `None` when the arguments end before the keys do.
    fn places(&self, args: &[&[u8]]) -> Option<Vec<usize>> {
        let count = i64::try_from(args.len()).ok()?;
        let first = match self.begin {
            BeginSearch::Index(index) => i64::from(index),
            BeginSearch::Keyword {
                keyword,
                start_from,
            } => {
                let is_keyword = |at: &usize| args[*at].eq_ignore_ascii_case(keyword.as_bytes());
                let found = match usize::try_from(start_from) {
                    Ok(start) => (start..args.len()).find(is_keyword),
                    Err(_) => {
                        let back = usize::try_from(start_from.unsigned_abs()).ok()?;
                        (1..args.len().saturating_sub(back) + 1)
                            .rev()
                            .find(is_keyword)
                    }
                };
                match found {
                    Some(at) => i64::try_from(at).ok()? + 1,
                    None => return Some(Vec::new()),
                }
            }
        };
        let FindKeys::Range { last_key, key_step } = self.find;
        let last = i64::from(last_key) + if last_key >= 0 { first } else { count };
        if first >= count || last >= count || last < first {
            return None;
        }
        let step = usize::try_from(key_step).ok().filter(|&step| step > 0)?;
        let (first, last) = (usize::try_from(first).ok()?, usize::try_from(last).ok()?);
        Some((first..=last).step_by(step).collect())
    }
}

/// Why the keys of a command line cannot be told. The texts are those of COMMAND GETKEYS.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The command takes no keys.
    #[error("The command has no key arguments")]
    NoKeys,
    /// The number of arguments is not one that the command takes.
    #[error("Invalid number of arguments specified for command")]
    WrongArgumentCount,
    /// The arguments end before the keys do.
    #[error("Invalid arguments specified for command")]
    BadArguments,
}

/// The places of the keys in a command line, whose command (for a container: whose subcommand)
/// is `spec`.
pub fn command_keys(spec: &CommandSpec, args: &[&[u8]]) -> Result<Vec<usize>, KeysError> {
    let keys = command_keys_and_flags(spec, args)?;
    Ok(keys.into_iter().map(|(place, _)| place).collect())
}

/// The places of the keys in a command line, and what the command does with each.
pub fn command_keys_and_flags(
    spec: &CommandSpec,
    args: &[&[u8]],
) -> Result<Vec<(usize, KeyFlags)>, KeysError> {
    if !takes_keys(spec) {
        return Err(KeysError::NoKeys);
    }
    if !spec.accepts_argument_count(args.len()) {
        return Err(KeysError::WrongArgumentCount);
    }
    let mut keys = Vec::new();
    for key_spec in spec.key_specs {
        if key_spec.flags.contains(KeyFlags::NOT_KEY) {
            continue;
        }
        let flags = actual_flags(spec, key_spec.flags, args);
        let places = key_spec.places(args).ok_or(KeysError::BadArguments)?;
        keys.extend(places.into_iter().map(|place| (place, flags)));
    }
    if keys.is_empty() {
        Err(KeysError::NoKeys)
    } else {
        Ok(keys)
    }
}

/// Whether the command has keys; the channels that are routed like keys do not count.
fn takes_keys(spec: &CommandSpec) -> bool {
    spec.key_specs
        .iter()
        .any(|key_spec| !key_spec.flags.contains(KeyFlags::NOT_KEY))
}

/// Resolves [`KeyFlags::VARIABLE_FLAGS`]: SET overwrites blindly unless it is to reply the old
/// value or to compare it.
fn actual_flags(spec: &CommandSpec, flags: KeyFlags, args: &[&[u8]]) -> KeyFlags {
    if !flags.contains(KeyFlags::VARIABLE_FLAGS) {
        return flags;
    }
    let looks = args
        .iter()
        .skip(3)
        .any(|option| option.eq_ignore_ascii_case(b"get") || option.eq_ignore_ascii_case(b"ifeq"));
    if spec.name == "set" && !looks {
        return KeyFlags::OW.union(KeyFlags::UPDATE);
    }
    flags.difference(KeyFlags::VARIABLE_FLAGS)
}

/// First key, last key and step, as clients older than the specifications want them: the smallest
/// range that covers all specifications that begin at a fixed place.
pub(crate) const fn legacy_range(key_specs: &[KeySpec]) -> (i32, i32, i32) {
    let mut range = (0, 0, 0);
    let mut at = 0;
    while at < key_specs.len() {
        if let BeginSearch::Index(first) = key_specs[at].begin {
            let FindKeys::Range { last_key, key_step } = key_specs[at].find;
            let last = if last_key >= 0 {
                first + last_key
            } else {
                last_key
            };
            if range.0 == 0 {
                range = (first, last, key_step);
            } else if range.1 >= 0 && (last < 0 || last > range.1) {
                range.1 = last;
            }
        }
        at += 1;
    }
    range
}
