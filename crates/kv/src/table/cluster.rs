//! The cluster, in the words of Redis Cluster.

use crate::command::{CommandSpec, Group};
use crate::commands::slots;
use crate::table::row::flag::{ADMIN, FAST, LOADING, NO_ASYNC_LOADING, NOSCRIPT, STALE};
use crate::table::row::{category, command, subcommand};

/// The rows of this family, numbers 700 to 749.
pub(super) static ROWS: &[CommandSpec] = &[
    command(700, "cluster", -2)
        .in_group(Group::Cluster, "3.0.0")
        .docs("Looks at the cluster.", "Depends on the subcommand", "")
        .subcommands(&[
            subcommand(701, "cluster", "addslots", -3)
                .in_group(Group::Cluster, "3.0.0")
                .flags(&[ADMIN, STALE, NO_ASYNC_LOADING])
                .docs(
                    "Assigns hash slots to a node.",
                    "O(N), N being the number of slots",
                    "slot [slot ...]",
                )
                .refused(
                    "all slots belong to the one shard of this cluster; there is nothing to \
                     assign",
                ),
            subcommand(702, "cluster", "addslotsrange", -4)
                .in_group(Group::Cluster, "7.0.0")
                .flags(&[ADMIN, STALE, NO_ASYNC_LOADING])
                .docs(
                    "Assigns ranges of hash slots to a node.",
                    "O(N), N being the number of slots",
                    "start-slot end-slot [start-slot end-slot ...]",
                )
                .refused(
                    "all slots belong to the one shard of this cluster; there is nothing to \
                     assign",
                ),
            subcommand(703, "cluster", "bumpepoch", 2)
                .in_group(Group::Cluster, "3.0.0")
                .flags(&[ADMIN, STALE, NO_ASYNC_LOADING])
                .tips(&["nondeterministic_output"])
                .docs("Raises the configuration epoch of a node.", "O(1)", "")
                .refused("terms of the consensus take the place of epochs; see CLUSTER INFO"),
            subcommand(704, "cluster", "count-failure-reports", 3)
                .in_group(Group::Cluster, "3.0.0")
                .flags(&[ADMIN, STALE])
                .tips(&["nondeterministic_output"])
                .docs("Counts the reports that a node failed.", "O(1)", "node-id")
                .refused("failures are found by the consensus itself; see \"quorate status\""),
            subcommand(705, "cluster", "countkeysinslot", 3)
                .in_group(Group::Cluster, "3.0.0")
                .flags(&[STALE])
                .docs(
                    "Counts the keys of a hash slot.",
                    "O(log N), N being the number of keys",
                    "slot",
                )
                .reads(slots::countkeysinslot),
            subcommand(706, "cluster", "delslots", -3)
                .in_group(Group::Cluster, "3.0.0")
                .flags(&[ADMIN, STALE, NO_ASYNC_LOADING])
                .docs(
                    "Takes hash slots from a node.",
                    "O(N), N being the number of slots",
                    "slot [slot ...]",
                )
                .refused(
                    "all slots belong to the one shard of this cluster; there is nothing to \
                     assign",
                ),
            subcommand(707, "cluster", "delslotsrange", -4)
                .in_group(Group::Cluster, "7.0.0")
                .flags(&[ADMIN, STALE, NO_ASYNC_LOADING])
                .docs(
                    "Takes ranges of hash slots from a node.",
                    "O(N), N being the number of slots",
                    "start-slot end-slot [start-slot end-slot ...]",
                )
                .refused(
                    "all slots belong to the one shard of this cluster; there is nothing to \
                     assign",
                ),
            subcommand(708, "cluster", "failover", -2)
                .in_group(Group::Cluster, "3.0.0")
                .flags(&[ADMIN, STALE, NO_ASYNC_LOADING])
                .docs(
                    "Makes a replica the primary of its shard.",
                    "O(1)",
                    "[FORCE | TAKEOVER]",
                )
                .refused(
                    "leadership moves by itself when the leader stops, which hands over first if \
                     told to stop by SIGTERM",
                ),
            subcommand(709, "cluster", "flushslots", 2)
                .in_group(Group::Cluster, "3.0.0")
                .flags(&[ADMIN, STALE, NO_ASYNC_LOADING])
                .docs("Takes all hash slots from a node.", "O(1)", "")
                .refused(
                    "all slots belong to the one shard of this cluster; there is nothing to \
                     assign",
                ),
            subcommand(710, "cluster", "forget", 3)
                .in_group(Group::Cluster, "3.0.0")
                .flags(&[ADMIN, STALE, NO_ASYNC_LOADING])
                .docs(
                    "Takes a node out of the cluster's table.",
                    "O(1)",
                    "node-id",
                )
                .refused("members are named by \"quorate serve --cluster\" on every node"),
            subcommand(711, "cluster", "getkeysinslot", 4)
                .in_group(Group::Cluster, "3.0.0")
                .flags(&[STALE])
                .tips(&["nondeterministic_output"])
                .docs(
                    "Lists keys of a hash slot.",
                    "O(log N + M), M being the number of keys replied",
                    "slot count",
                )
                .reads(slots::getkeysinslot),
            subcommand(712, "cluster", "help", 2)
                .in_group(Group::Cluster, "5.0.0")
                .flags(&[LOADING, STALE])
                .docs("Describes the subcommands.", "O(1)", ""),
            subcommand(713, "cluster", "info", 2)
                .in_group(Group::Cluster, "3.0.0")
                .flags(&[STALE])
                .tips(&["nondeterministic_output"])
                .docs("Reports the state of the cluster.", "O(1)", ""),
            subcommand(714, "cluster", "keyslot", 3)
                .in_group(Group::Cluster, "3.0.0")
                .flags(&[STALE])
                .docs(
                    "Replies the hash slot of a key.",
                    "O(N), N being the length of the key",
                    "key",
                ),
            subcommand(715, "cluster", "links", 2)
                .in_group(Group::Cluster, "7.0.0")
                .flags(&[STALE])
                .tips(&["nondeterministic_output"])
                .docs(
                    "Describes the connections between the nodes.",
                    "O(N), N being the number of nodes",
                    "",
                ),
            subcommand(716, "cluster", "meet", -4)
                .in_group(Group::Cluster, "3.0.0")
                .flags(&[ADMIN, STALE, NO_ASYNC_LOADING])
                .docs(
                    "Introduces a node to the cluster.",
                    "O(1)",
                    "ip port [cluster_bus_port]",
                )
                .refused("members are named by \"quorate serve --cluster\" on every node"),
            subcommand(717, "cluster", "myid", 2)
                .in_group(Group::Cluster, "3.0.0")
                .flags(&[STALE])
                .docs("Replies the id of this node.", "O(1)", ""),
            subcommand(718, "cluster", "myshardid", 2)
                .in_group(Group::Cluster, "7.2.0")
                .flags(&[STALE])
                .tips(&["nondeterministic_output"])
                .docs("Replies the id of this node's shard.", "O(1)", ""),
            subcommand(719, "cluster", "nodes", 2)
                .in_group(Group::Cluster, "3.0.0")
                .flags(&[STALE])
                .tips(&["nondeterministic_output"])
                .docs(
                    "Describes the nodes, one a line.",
                    "O(N), N being the number of nodes",
                    "",
                ),
            subcommand(720, "cluster", "replicas", 3)
                .in_group(Group::Cluster, "5.0.0")
                .flags(&[ADMIN, STALE])
                .tips(&["nondeterministic_output"])
                .docs(
                    "Describes the followers of a node.",
                    "O(N), N being the number of nodes",
                    "node-id",
                ),
            subcommand(721, "cluster", "replicate", 3)
                .in_group(Group::Cluster, "3.0.0")
                .flags(&[ADMIN, STALE, NO_ASYNC_LOADING])
                .docs("Makes a node the replica of another.", "O(1)", "node-id")
                .refused(
                    "every node replicates the whole log of its cluster; there is nothing \
                     to assign",
                ),
            subcommand(722, "cluster", "reset", -2)
                .in_group(Group::Cluster, "3.0.0")
                .flags(&[ADMIN, NOSCRIPT, STALE])
                .docs("Makes a node forget its cluster.", "O(1)", "[HARD | SOFT]")
                .refused(
                    "a node belongs to its cluster for good; start another with an empty \
                     data directory",
                ),
            subcommand(723, "cluster", "saveconfig", 2)
                .in_group(Group::Cluster, "3.0.0")
                .flags(&[ADMIN, STALE, NO_ASYNC_LOADING])
                .docs("Writes the cluster's table to disk.", "O(1)", "")
                .refused("the configuration is in the log and in the data directory already"),
            subcommand(724, "cluster", "set-config-epoch", 3)
                .in_group(Group::Cluster, "3.0.0")
                .flags(&[ADMIN, STALE, NO_ASYNC_LOADING])
                .docs(
                    "Sets the configuration epoch of a node.",
                    "O(1)",
                    "config-epoch",
                )
                .refused("terms of the consensus take the place of epochs; see CLUSTER INFO"),
            subcommand(725, "cluster", "setslot", -4)
                .in_group(Group::Cluster, "3.0.0")
                .flags(&[ADMIN, STALE, NO_ASYNC_LOADING])
                .docs(
                    "Moves a hash slot between nodes.",
                    "O(1)",
                    "slot <IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE>",
                )
                .refused(
                    "all slots belong to the one shard of this cluster; there is nothing to \
                     assign",
                ),
            subcommand(726, "cluster", "shards", 2)
                .in_group(Group::Cluster, "7.0.0")
                .flags(&[STALE])
                .tips(&["nondeterministic_output"])
                .docs(
                    "Describes the shards, their slots and their nodes.",
                    "O(N), N being the number of nodes",
                    "",
                ),
            subcommand(727, "cluster", "slaves", 3)
                .in_group(Group::Cluster, "3.0.0")
                .flags(&[ADMIN, STALE])
                .tips(&["nondeterministic_output"])
                .deprecated("5.0.0", "CLUSTER REPLICAS")
                .docs(
                    "Describes the followers of a node.",
                    "O(N), N being the number of nodes",
                    "node-id",
                ),
            subcommand(728, "cluster", "slots", 2)
                .in_group(Group::Cluster, "3.0.0")
                .flags(&[STALE])
                .tips(&["nondeterministic_output"])
                .deprecated("7.0.0", "CLUSTER SHARDS")
                .docs(
                    "Lists which nodes serve which hash slots.",
                    "O(N), N being the number of nodes",
                    "",
                ),
        ]),
    command(729, "readonly", 1)
        .in_group(Group::Cluster, "3.0.0")
        .flags(&[LOADING, STALE, FAST])
        .categories(&[category::CONNECTION])
        .docs(
            "Allows reads on this connection from a follower, which every node \
             serves anyway.",
            "O(1)",
            "",
        ),
    command(730, "readwrite", 1)
        .in_group(Group::Cluster, "3.0.0")
        .flags(&[LOADING, STALE, FAST])
        .categories(&[category::CONNECTION])
        .docs("Ends READONLY.", "O(1)", ""),
    command(731, "asking", 1)
        .in_group(Group::Cluster, "3.0.0")
        .flags(&[FAST])
        .categories(&[category::CONNECTION])
        .docs(
            "Lets the next command use a hash slot that is being imported.",
            "O(1)",
            "",
        ),
];
