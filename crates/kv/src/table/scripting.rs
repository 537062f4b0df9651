//! Functions and scripts, of which none can be loaded yet.

use crate::command::{CommandSpec, Group};
use crate::table::row::flag::{ALLOW_BUSY, LOADING, NOSCRIPT, STALE, WRITE};
use crate::table::row::{category, command, subcommand};

/// The rows of this family, numbers 800 to 899.
pub(super) static ROWS: &[CommandSpec] = &[
    command(800, "function", -2)
        .in_group(Group::Scripting, "7.0.0")
        .docs(
            "Looks at the library of functions.",
            "Depends on the subcommand",
            "",
        )
        .subcommands(&[
            subcommand(801, "function", "flush", -2)
                .in_group(Group::Scripting, "7.0.0")
                .flags(&[WRITE, NOSCRIPT])
                .categories(&[category::SCRIPTING])
                .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
                .docs(
                    "Deletes all functions.",
                    "O(N), N being the number of functions",
                    "[ASYNC | SYNC]",
                ),
            subcommand(802, "function", "help", 2)
                .in_group(Group::Scripting, "7.0.0")
                .flags(&[LOADING, STALE])
                .categories(&[category::SCRIPTING])
                .docs("Describes the subcommands.", "O(1)", ""),
            subcommand(803, "function", "list", -2)
                .in_group(Group::Scripting, "7.0.0")
                .flags(&[NOSCRIPT])
                .categories(&[category::SCRIPTING])
                .tips(&["nondeterministic_output_order"])
                .docs(
                    "Lists the functions.",
                    "O(N), N being the number of functions",
                    "[LIBRARYNAME library-name-pattern] [WITHCODE]",
                ),
            subcommand(804, "function", "stats", 2)
                .in_group(Group::Scripting, "7.0.0")
                .flags(&[NOSCRIPT, ALLOW_BUSY])
                .categories(&[category::SCRIPTING])
                .tips(&[
                    "nondeterministic_output",
                    "request_policy:all_shards",
                    "response_policy:special",
                ])
                .docs(
                    "Describes the function that runs, and the engines.",
                    "O(1)",
                    "",
                ),
        ]),
    command(805, "script", -2)
        .in_group(Group::Scripting, "2.6.0")
        .docs(
            "Looks at the scripts that are kept.",
            "Depends on the subcommand",
            "",
        )
        .subcommands(&[
            subcommand(806, "script", "exists", -3)
                .in_group(Group::Scripting, "2.6.0")
                .flags(&[NOSCRIPT])
                .categories(&[category::SCRIPTING])
                .tips(&[
                    "request_policy:all_shards",
                    "response_policy:agg_logical_and",
                ])
                .docs(
                    "Tells which scripts are kept.",
                    "O(N), N being the number of digests",
                    "sha1 [sha1 ...]",
                ),
            subcommand(807, "script", "flush", -2)
                .in_group(Group::Scripting, "2.6.0")
                .flags(&[NOSCRIPT])
                .categories(&[category::SCRIPTING])
                .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
                .docs(
                    "Forgets all scripts.",
                    "O(N), N being the number of scripts",
                    "[ASYNC | SYNC]",
                ),
            subcommand(808, "script", "help", 2)
                .in_group(Group::Scripting, "5.0.0")
                .flags(&[LOADING, STALE])
                .categories(&[category::SCRIPTING])
                .docs("Describes the subcommands.", "O(1)", ""),
        ]),
];
