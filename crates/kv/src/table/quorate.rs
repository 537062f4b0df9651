//! QUORATE: who belongs to the cluster. No other server has it.

use crate::command::{CommandSpec, Group};
use crate::table::row::flag::{ADMIN, LOADING, NO_MULTI, NOSCRIPT, STALE};
use crate::table::row::{command, subcommand};

/// The rows of this family, numbers 750 to 799.
pub(super) static ROWS: &[CommandSpec] = &[command(750, "quorate", -2)
    .in_group(Group::Cluster, "7.0.0")
    .docs(
        "Looks at the members of the cluster, and changes them.",
        "Depends on the subcommand",
        "",
    )
    .subcommands(&[
        subcommand(751, "quorate", "add-node", -3)
            .in_group(Group::Cluster, "7.0.0")
            .flags(&[ADMIN, NOSCRIPT, STALE, NO_MULTI])
            .docs(
                "Adds a node, which votes as soon as it has caught up; replies its id.",
                "O(N), N being the number of nodes",
                "peer-address [ID id] [LEARNER]",
            ),
        subcommand(770, "quorate", "backup", -3)
            .in_group(Group::Cluster, "7.0.0")
            .flags(&[ADMIN, NOSCRIPT, STALE, NO_MULTI])
            .docs(
                "Hands out the node's newest snapshot, piece by piece: see \"quorate backup\".",
                "O(N), N being the number of bytes",
                "BEGIN | READ offset count",
            ),
        subcommand(752, "quorate", "demote", -3)
            .in_group(Group::Cluster, "7.0.0")
            .flags(&[ADMIN, NOSCRIPT, STALE, NO_MULTI])
            .docs(
                "Takes a member's vote; it goes on receiving the log.",
                "O(N), N being the number of nodes",
                "id [FORCE]",
            ),
        subcommand(753, "quorate", "help", 2)
            .in_group(Group::Cluster, "7.0.0")
            .flags(&[LOADING, STALE])
            .docs(
                "Describes the subcommands.",
                "O(N), N being the number of nodes",
                "",
            ),
        subcommand(754, "quorate", "join", -4)
            .in_group(Group::Cluster, "7.0.0")
            .flags(&[ADMIN, NOSCRIPT, STALE, NO_MULTI])
            .docs(
                "Asks for an id as a new node; sent by a node that joins.",
                "O(N), N being the number of nodes",
                "peer-address token [REPLACE id] [LEARNER] [LEVELS least newest]",
            ),
        subcommand(755, "quorate", "members", 2)
            .in_group(Group::Cluster, "7.0.0")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .docs(
                "Lists the members, what each may do, and how far it is.",
                "O(N), N being the number of nodes",
                "",
            ),
        subcommand(756, "quorate", "promote", 3)
            .in_group(Group::Cluster, "7.0.0")
            .flags(&[ADMIN, NOSCRIPT, STALE, NO_MULTI])
            .docs(
                "Gives a learner that has caught up a vote.",
                "O(N), N being the number of nodes",
                "id",
            ),
        subcommand(757, "quorate", "remove-node", -3)
            .in_group(Group::Cluster, "7.0.0")
            .flags(&[ADMIN, NOSCRIPT, STALE, NO_MULTI])
            .docs(
                "Removes a member for good; its id is never used again.",
                "O(N), N being the number of nodes",
                "id [FORCE]",
            ),
        subcommand(758, "quorate", "replace", -4)
            .in_group(Group::Cluster, "7.0.0")
            .flags(&[ADMIN, NOSCRIPT, STALE, NO_MULTI])
            .docs(
                "Adds a node in the place of one that does not come back.",
                "O(N), N being the number of nodes",
                "id peer-address",
            ),
        subcommand(759, "quorate", "transfer", 3)
            .in_group(Group::Cluster, "7.0.0")
            .flags(&[ADMIN, NOSCRIPT, STALE, NO_MULTI])
            .docs(
                "Hands the leadership to a member.",
                "O(N), N being the number of nodes",
                "id",
            ),
    ])];
