//! The command table: every command there is, in one place.
//!
//! The session layer checks requests against it, the log names commands by its numbers, and COMMAND,
//! the ACL categories, the prompt's hints and the README's table are printed from it. Arity, flags,
//! key positions and categories are those of Redis 7.0, because clients act on them; a test compares
//! them with what redis-server 7.0.15 says.
//!
//! # Numbers
//!
//! A command's number is what the log and the peers know it by. Numbers are never changed and never
//! used again. Each family has a hundred of its own, and a new command takes the next free one of
//! its family; `tests/table.rs` pins all that were given.

mod cluster;
mod connection;
mod keys;
mod pubsub;
mod quorate;
mod row;
mod scripting;
mod server;
mod strings;
mod transactions;

use crate::command::{CommandId, CommandSpec};

/// The rows by family, in the order of their numbers.
static FAMILIES: [&[CommandSpec]; 9] = [
    strings::ROWS,
    keys::ROWS,
    connection::ROWS,
    server::ROWS,
    pubsub::ROWS,
    transactions::ROWS,
    cluster::ROWS,
    quorate::ROWS,
    scripting::ROWS,
];

/// How many commands there are, subcommands not counted.
const COMMAND_COUNT: usize = count_commands();
/// One more than the largest number in use.
const ID_LIMIT: usize = 900;
/// Slots of the hash table: a power of two, and so many that probes are short.
const SLOT_COUNT: usize = 1024;
/// The length of the longest name: nothing longer needs to be hashed.
const NAME_BYTES_MAX: usize = longest_name();
/// A slot without a command.
const VACANT: u16 = u16::MAX;

/// The commands in the order of their names.
static SORTED: [&CommandSpec; COMMAND_COUNT] = sort_commands();
/// Commands and subcommands by number.
static BY_ID: [Option<&CommandSpec>; ID_LIMIT] = index_by_id();
/// An open-addressing hash table over the lower-case names, of places in [`SORTED`].
static BY_NAME: [u16; SLOT_COUNT] = index_by_name();

/// The command of a name in any case.
#[must_use]
pub fn lookup(name: &[u8]) -> Option<&'static CommandSpec> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let mut slot = hash_name(name) % SLOT_COUNT;
    loop {
        let place = BY_NAME[slot];
        if place == VACANT {
            return None;
        }
        let spec = SORTED[usize::from(place)];
        if spec.name.as_bytes().eq_ignore_ascii_case(name) {
            return Some(spec);
        }
        slot = (slot + 1) % SLOT_COUNT;
    }
}

/// The subcommand of a container by its own name, in any case.
#[must_use]
pub fn lookup_subcommand(container: &CommandSpec, name: &[u8]) -> Option<&'static CommandSpec> {
    container
        .subcommands
        .iter()
        .find(|spec| spec.name.as_bytes().eq_ignore_ascii_case(name))
}

/// The command of a request: that of its first argument, or, when that is a container, the
/// subcommand that its second argument names.
#[must_use]
pub fn lookup_request(args: &[&[u8]]) -> Option<&'static CommandSpec> {
    let command = lookup(args.first()?)?;
    match args.get(1) {
        Some(name) if !command.subcommands.is_empty() => lookup_subcommand(command, name),
        _ => Some(command),
    }
}

/// The command or subcommand of a full name such as `get` or `config|set`, in any case.
#[must_use]
pub fn lookup_full_name(full_name: &[u8]) -> Option<&'static CommandSpec> {
    match full_name.iter().position(|&byte| byte == b'|') {
        Some(bar) => lookup_subcommand(lookup(&full_name[..bar])?, &full_name[bar + 1..]),
        None => lookup(full_name),
    }
}

/// The command or subcommand of a number.
#[must_use]
pub fn by_id(id: CommandId) -> Option<&'static CommandSpec> {
    BY_ID.get(usize::from(id.0)).copied().flatten()
}

/// All commands in the order of their names, without the subcommands.
pub fn all() -> impl ExactSizeIterator<Item = &'static CommandSpec> {
    SORTED.iter().copied()
}

/// FNV-1a over the lower-case name.
const fn hash_name(name: &[u8]) -> usize {
    let mut hash: u32 = 0x811c_9dc5;
    let mut at = 0;
    while at < name.len() {
        hash = (hash ^ name[at].to_ascii_lowercase() as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    (hash ^ (hash >> 16)) as usize
}

const fn count_commands() -> usize {
    let mut count = 0;
    let mut family = 0;
    while family < FAMILIES.len() {
        count += FAMILIES[family].len();
        family += 1;
    }
    count
}

const fn longest_name() -> usize {
    let mut longest = 0;
    let mut place = 0;
    while place < COMMAND_COUNT {
        if SORTED[place].name.len() > longest {
            longest = SORTED[place].name.len();
        }
        place += 1;
    }
    longest
}

const fn sort_commands() -> [&'static CommandSpec; COMMAND_COUNT] {
    let mut sorted = [&FAMILIES[0][0]; COMMAND_COUNT];
    let mut count = 0;
    let mut family = 0;
    while family < FAMILIES.len() {
        let mut row = 0;
        while row < FAMILIES[family].len() {
            let spec = &FAMILIES[family][row];
            let mut place = count;
            while place > 0 && is_before(spec.name, sorted[place - 1].name) {
                sorted[place] = sorted[place - 1];
                place -= 1;
            }
            sorted[place] = spec;
            count += 1;
            row += 1;
        }
        family += 1;
    }
    sorted
}

const fn is_before(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut at = 0;
    while at < left.len() && at < right.len() {
        if left[at] != right[at] {
            return left[at] < right[at];
        }
        at += 1;
    }
    left.len() < right.len()
}

const fn index_by_id() -> [Option<&'static CommandSpec>; ID_LIMIT] {
    let mut index = [None; ID_LIMIT];
    let mut place = 0;
    while place < SORTED.len() {
        let spec = SORTED[place];
        enter(&mut index, spec);
        let mut sub = 0;
        while sub < spec.subcommands.len() {
            enter(&mut index, &spec.subcommands[sub]);
            sub += 1;
        }
        place += 1;
    }
    index
}

const fn enter(index: &mut [Option<&'static CommandSpec>; ID_LIMIT], spec: &'static CommandSpec) {
    let id = spec.id.0 as usize;
    assert!(index[id].is_none(), "two commands have one number");
    index[id] = Some(spec);
}

const fn index_by_name() -> [u16; SLOT_COUNT] {
    let mut index = [VACANT; SLOT_COUNT];
    let mut place = 0;
    while place < SORTED.len() {
        let mut slot = hash_name(SORTED[place].name.as_bytes()) % SLOT_COUNT;
        while index[slot] != VACANT {
            slot = (slot + 1) % SLOT_COUNT;
        }
        index[slot] = place as u16;
        place += 1;
    }
    index
}
