//! Transactions.

use crate::command::{CommandSpec, Group};
use crate::table::row::flag::{ALLOW_BUSY, FAST, LOADING, NOSCRIPT, SKIP_SLOWLOG, STALE};
use crate::table::row::{access, category, command, keys};

/// The rows of this family, numbers 600 to 699.
pub(super) static ROWS: &[CommandSpec] = &[
    command(600, "multi", 1)
        .in_group(Group::Transactions, "1.2.0")
        .flags(&[NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY])
        .categories(&[category::TRANSACTION])
        .docs("Begins to gather commands into a transaction.", "O(1)", ""),
    command(601, "exec", 1)
        .in_group(Group::Transactions, "1.2.0")
        .flags(&[NOSCRIPT, LOADING, STALE, SKIP_SLOWLOG])
        .categories(&[category::TRANSACTION])
        .docs(
            "Executes the gathered commands as one entry of the log.",
            "Depends on the commands",
            "",
        ),
    command(602, "discard", 1)
        .in_group(Group::Transactions, "2.0.0")
        .flags(&[NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY])
        .categories(&[category::TRANSACTION])
        .docs(
            "Throws the gathered commands away.",
            "O(N), N being the number of gathered commands",
            "",
        ),
    command(603, "watch", -2)
        .in_group(Group::Transactions, "2.2.0")
        .flags(&[NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY])
        .categories(&[category::TRANSACTION])
        .keys(&[keys(1, -1, 1, access::INSPECT)])
        .docs(
            "Makes the next EXEC depend on keys staying as they are.",
            "O(N), N being the number of keys",
            "key [key ...]",
        ),
    command(604, "unwatch", 1)
        .in_group(Group::Transactions, "2.2.0")
        .flags(&[NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY])
        .categories(&[category::TRANSACTION])
        .docs("Forgets the watched keys.", "O(1)", ""),
];
