//! Functions, of which none can be loaded yet.

use crate::command::{AclCategories, CommandFlags, CommandSpec, Group};
use crate::table::row::{command, subcommand};

/// The rows of this family, numbers 800 to 899.
pub(super) static SCRIPTING: &[CommandSpec] = &[command(800, "function", -2)
    .in_group(Group::Scripting, "7.0.0")
    .docs(
        "Looks at the library of functions.",
        "Depends on the subcommand",
        "",
    )
    .subcommands(&[
        subcommand(801, "function", "flush", -2)
            .in_group(Group::Scripting, "7.0.0")
            .flags(&[CommandFlags::WRITE, CommandFlags::NOSCRIPT])
            .categories(&[AclCategories::SCRIPTING])
            .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
            .docs(
                "Deletes all functions.",
                "O(N), N being the number of functions",
                "[ASYNC | SYNC]",
            ),
        subcommand(802, "function", "help", 2)
            .in_group(Group::Scripting, "7.0.0")
            .flags(&[CommandFlags::LOADING, CommandFlags::STALE])
            .categories(&[AclCategories::SCRIPTING])
            .docs("Describes the subcommands.", "O(1)", ""),
        subcommand(803, "function", "list", -2)
            .in_group(Group::Scripting, "7.0.0")
            .flags(&[CommandFlags::NOSCRIPT])
            .categories(&[AclCategories::SCRIPTING])
            .tips(&["nondeterministic_output_order"])
            .docs(
                "Lists the functions.",
                "O(N), N being the number of functions",
                "[LIBRARYNAME library-name-pattern] [WITHCODE]",
            ),
    ])];
