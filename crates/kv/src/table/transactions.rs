//! Transactions.

use crate::command::{AclCategories, CommandFlags, CommandSpec, Group};
use crate::key_spec::KeyFlags;
use crate::table::row::{command, keys};

/// The rows of this family, numbers 600 to 699.
pub(super) static TRANSACTIONS: &[CommandSpec] = &[
    command(600, "multi", 1)
        .in_group(Group::Transactions, "1.2.0")
        .flags(&[
            CommandFlags::NOSCRIPT,
            CommandFlags::LOADING,
            CommandFlags::STALE,
            CommandFlags::FAST,
            CommandFlags::ALLOW_BUSY,
        ])
        .categories(&[AclCategories::TRANSACTION])
        .docs("Begins to gather commands into a transaction.", "O(1)", ""),
    command(601, "exec", 1)
        .in_group(Group::Transactions, "1.2.0")
        .flags(&[
            CommandFlags::NOSCRIPT,
            CommandFlags::LOADING,
            CommandFlags::STALE,
            CommandFlags::SKIP_SLOWLOG,
        ])
        .categories(&[AclCategories::TRANSACTION])
        .docs(
            "Executes the gathered commands as one entry of the log.",
            "Depends on the commands",
            "",
        ),
    command(602, "discard", 1)
        .in_group(Group::Transactions, "2.0.0")
        .flags(&[
            CommandFlags::NOSCRIPT,
            CommandFlags::LOADING,
            CommandFlags::STALE,
            CommandFlags::FAST,
            CommandFlags::ALLOW_BUSY,
        ])
        .categories(&[AclCategories::TRANSACTION])
        .docs(
            "Throws the gathered commands away.",
            "O(N), N being the number of gathered commands",
            "",
        ),
    command(603, "watch", -2)
        .in_group(Group::Transactions, "2.2.0")
        .flags(&[
            CommandFlags::NOSCRIPT,
            CommandFlags::LOADING,
            CommandFlags::STALE,
            CommandFlags::FAST,
            CommandFlags::ALLOW_BUSY,
        ])
        .categories(&[AclCategories::TRANSACTION])
        .keys(&[keys(1, -1, 1, &[KeyFlags::RO])])
        .docs(
            "Makes the next EXEC depend on keys staying as they are.",
            "O(N), N being the number of keys",
            "key [key ...]",
        ),
    command(604, "unwatch", 1)
        .in_group(Group::Transactions, "2.2.0")
        .flags(&[
            CommandFlags::NOSCRIPT,
            CommandFlags::LOADING,
            CommandFlags::STALE,
            CommandFlags::FAST,
            CommandFlags::ALLOW_BUSY,
        ])
        .categories(&[AclCategories::TRANSACTION])
        .docs("Forgets the watched keys.", "O(1)", ""),
];
