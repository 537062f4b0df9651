//! The server: its table of commands, settings, state and diagnosis.

use crate::command::{CommandSpec, Group};
use crate::commands::server_data;
use crate::table::row::flag::{
    ADMIN, ALLOW_BUSY, FAST, LOADING, NO_ASYNC_LOADING, NO_MULTI, NOSCRIPT, READONLY, STALE, WRITE,
};
use crate::table::row::{access, category, command, keys, subcommand};

/// The rows of this family, numbers 400 to 499.
pub(super) static ROWS: &[CommandSpec] = &[
    command(400, "command", -1)
        .in_group(Group::Server, "2.8.13")
        .flags(&[LOADING, STALE])
        .categories(&[category::CONNECTION])
        .tips(&["nondeterministic_output_order"])
        .docs(
            "Describes the commands.",
            "O(N), N being the number of commands",
            "",
        )
        .subcommands(&[
            subcommand(401, "command", "count", 2)
                .in_group(Group::Server, "2.8.13")
                .flags(&[LOADING, STALE])
                .categories(&[category::CONNECTION])
                .docs("Counts the commands.", "O(1)", ""),
            subcommand(402, "command", "docs", -2)
                .in_group(Group::Server, "7.0.0")
                .flags(&[LOADING, STALE])
                .categories(&[category::CONNECTION])
                .tips(&["nondeterministic_output_order"])
                .docs(
                    "Documents commands.",
                    "O(N), N being the number of commands asked for",
                    "[command-name [command-name ...]]",
                ),
            subcommand(403, "command", "getkeys", -4)
                .in_group(Group::Server, "2.8.13")
                .flags(&[LOADING, STALE])
                .categories(&[category::CONNECTION])
                .docs(
                    "Lists the keys in a command line.",
                    "O(N), N being the number of arguments",
                    "command [arg ...]",
                ),
            subcommand(404, "command", "getkeysandflags", -4)
                .in_group(Group::Server, "7.0.0")
                .flags(&[LOADING, STALE])
                .categories(&[category::CONNECTION])
                .docs(
                    "Lists the keys in a command line and how each is used.",
                    "O(N), N being the number of arguments",
                    "command [arg ...]",
                ),
            subcommand(405, "command", "help", 2)
                .in_group(Group::Server, "5.0.0")
                .flags(&[LOADING, STALE])
                .categories(&[category::CONNECTION])
                .docs("Describes the subcommands.", "O(1)", ""),
            subcommand(406, "command", "info", -2)
                .in_group(Group::Server, "2.8.13")
                .flags(&[LOADING, STALE])
                .categories(&[category::CONNECTION])
                .tips(&["nondeterministic_output_order"])
                .docs(
                    "Describes commands to clients.",
                    "O(N), N being the number of commands asked for",
                    "[command-name [command-name ...]]",
                ),
            subcommand(407, "command", "list", -2)
                .in_group(Group::Server, "7.0.0")
                .flags(&[LOADING, STALE])
                .categories(&[category::CONNECTION])
                .tips(&["nondeterministic_output_order"])
                .docs(
                    "Lists the names of the commands.",
                    "O(N), N being the number of commands",
                    "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
                ),
        ]),
    command(408, "info", -1)
        .in_group(Group::Server, "1.0.0")
        .flags(&[LOADING, STALE])
        .categories(&[category::DANGEROUS])
        .tips(&[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ])
        .docs(
            "Reports the state of the server.",
            "O(1)",
            "[section [section ...]]",
        ),
    command(409, "config", -2)
        .in_group(Group::Server, "2.0.0")
        .docs(
            "Reads and changes settings.",
            "Depends on the subcommand",
            "",
        )
        .subcommands(&[
            subcommand(410, "config", "get", -3)
                .in_group(Group::Server, "2.0.0")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .docs(
                    "Replies the settings whose names match.",
                    "O(N), N being the number of settings",
                    "parameter [parameter ...]",
                ),
            subcommand(411, "config", "help", 2)
                .in_group(Group::Server, "5.0.0")
                .flags(&[LOADING, STALE])
                .docs("Describes the subcommands.", "O(1)", ""),
            subcommand(412, "config", "resetstat", 2)
                .in_group(Group::Server, "2.0.0")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .docs("Sets the counters of INFO back to zero.", "O(1)", ""),
            subcommand(413, "config", "rewrite", 2)
                .in_group(Group::Server, "2.8.0")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .docs(
                    "Writes the settings in force to the configuration file.",
                    "O(1)",
                    "",
                ),
            subcommand(414, "config", "set", -4)
                .in_group(Group::Server, "2.0.0")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
                .docs(
                    "Changes settings while the node runs.",
                    "O(N), N being the number of settings given",
                    "parameter value [parameter value ...]",
                ),
        ]),
    command(415, "dbsize", 1)
        .in_group(Group::Server, "1.0.0")
        .flags(&[READONLY, FAST])
        .categories(&[category::KEYSPACE])
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"])
        .docs("Counts the keys of the database.", "O(1)", "")
        .reads(server_data::dbsize),
    command(416, "flushdb", -1)
        .in_group(Group::Server, "1.0.0")
        .flags(&[WRITE])
        .categories(&[category::DANGEROUS, category::KEYSPACE])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .docs(
            "Deletes all keys of the database.",
            "O(N), N being the number of keys in the database",
            "[ASYNC | SYNC]",
        )
        .writes(server_data::flushdb),
    command(417, "flushall", -1)
        .in_group(Group::Server, "1.0.0")
        .flags(&[WRITE])
        .categories(&[category::DANGEROUS, category::KEYSPACE])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .docs(
            "Deletes all keys of all databases.",
            "O(N), N being the number of keys",
            "[ASYNC | SYNC]",
        )
        .writes(server_data::flushall),
    command(418, "time", 1)
        .in_group(Group::Server, "2.6.0")
        .flags(&[LOADING, STALE, FAST])
        .tips(&["nondeterministic_output"])
        .docs("Replies the time of the node's clock.", "O(1)", ""),
    command(419, "role", 1)
        .in_group(Group::Server, "2.8.12")
        .flags(&[NOSCRIPT, LOADING, STALE, FAST])
        .categories(&[category::ADMIN, category::DANGEROUS])
        .docs("Replies the role of the node in its cluster.", "O(1)", ""),
    command(420, "lastsave", 1)
        .in_group(Group::Server, "1.0.0")
        .flags(&[LOADING, STALE, FAST])
        .categories(&[category::ADMIN, category::DANGEROUS])
        .tips(&["nondeterministic_output"])
        .docs(
            "Replies when the data set was last written to disk.",
            "O(1)",
            "",
        ),
    command(421, "memory", -2)
        .in_group(Group::Server, "4.0.0")
        .docs(
            "Looks at the use of memory.",
            "Depends on the subcommand",
            "",
        )
        .subcommands(&[
            subcommand(422, "memory", "doctor", 2)
                .in_group(Group::Server, "4.0.0")
                .tips(&[
                    "nondeterministic_output",
                    "request_policy:all_shards",
                    "response_policy:special",
                ])
                .docs("Comments on the use of memory.", "O(1)", ""),
            subcommand(423, "memory", "help", 2)
                .in_group(Group::Server, "4.0.0")
                .flags(&[LOADING, STALE])
                .docs("Describes the subcommands.", "O(1)", ""),
            subcommand(424, "memory", "malloc-stats", 2)
                .in_group(Group::Server, "4.0.0")
                .tips(&[
                    "nondeterministic_output",
                    "request_policy:all_shards",
                    "response_policy:special",
                ])
                .docs("Reports the counters of the allocator.", "O(1)", ""),
            subcommand(425, "memory", "purge", 2)
                .in_group(Group::Server, "4.0.0")
                .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
                .docs("Asks the allocator to give back what it can.", "O(1)", ""),
            subcommand(426, "memory", "stats", 2)
                .in_group(Group::Server, "4.0.0")
                .tips(&[
                    "nondeterministic_output",
                    "request_policy:all_shards",
                    "response_policy:special",
                ])
                .docs("Reports what memory is used for.", "O(1)", ""),
            subcommand(427, "memory", "usage", -3)
                .in_group(Group::Server, "4.0.0")
                .flags(&[READONLY])
                .keys(&[keys(2, 0, 1, access::INSPECT)])
                .docs(
                    "Replies how many bytes a key and its value take.",
                    "O(N), N being the number of elements sampled",
                    "key [SAMPLES count]",
                )
                .reads(server_data::memory_usage),
        ]),
    command(428, "slowlog", -2)
        .in_group(Group::Server, "2.2.12")
        .docs(
            "Looks at the log of slow commands.",
            "Depends on the subcommand",
            "",
        )
        .subcommands(&[
            subcommand(429, "slowlog", "get", -2)
                .in_group(Group::Server, "2.2.12")
                .flags(&[ADMIN, LOADING, STALE])
                .tips(&["request_policy:all_nodes", "nondeterministic_output"])
                .docs(
                    "Replies the latest entries of the slow log.",
                    "O(N), N being the number of entries replied",
                    "[count]",
                ),
            subcommand(430, "slowlog", "help", 2)
                .in_group(Group::Server, "6.2.0")
                .flags(&[LOADING, STALE])
                .docs("Describes the subcommands.", "O(1)", ""),
            subcommand(431, "slowlog", "len", 2)
                .in_group(Group::Server, "2.2.12")
                .flags(&[ADMIN, LOADING, STALE])
                .tips(&[
                    "request_policy:all_nodes",
                    "response_policy:agg_sum",
                    "nondeterministic_output",
                ])
                .docs("Counts the entries of the slow log.", "O(1)", ""),
            subcommand(432, "slowlog", "reset", 2)
                .in_group(Group::Server, "2.2.12")
                .flags(&[ADMIN, LOADING, STALE])
                .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
                .docs(
                    "Empties the slow log.",
                    "O(N), N being the number of entries",
                    "",
                ),
        ]),
    command(433, "latency", -2)
        .in_group(Group::Server, "2.8.13")
        .docs(
            "Looks at what made the node slow.",
            "Depends on the subcommand",
            "",
        )
        .subcommands(&[
            subcommand(434, "latency", "doctor", 2)
                .in_group(Group::Server, "2.8.13")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .tips(&[
                    "nondeterministic_output",
                    "request_policy:all_nodes",
                    "response_policy:special",
                ])
                .docs("Comments on what made the node slow.", "O(1)", ""),
            subcommand(435, "latency", "graph", 3)
                .in_group(Group::Server, "2.8.13")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .tips(&[
                    "nondeterministic_output",
                    "request_policy:all_nodes",
                    "response_policy:special",
                ])
                .docs("Draws the latency of an event over time.", "O(1)", "event"),
            subcommand(436, "latency", "help", 2)
                .in_group(Group::Server, "2.8.13")
                .flags(&[LOADING, STALE])
                .docs("Describes the subcommands.", "O(1)", ""),
            subcommand(437, "latency", "histogram", -2)
                .in_group(Group::Server, "7.0.0")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .tips(&[
                    "nondeterministic_output",
                    "request_policy:all_nodes",
                    "response_policy:special",
                ])
                .docs(
                    "Replies how long commands took, as histograms.",
                    "O(N), N being the number of commands asked for",
                    "[command [command ...]]",
                ),
            subcommand(438, "latency", "history", 3)
                .in_group(Group::Server, "2.8.13")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .tips(&[
                    "nondeterministic_output",
                    "request_policy:all_nodes",
                    "response_policy:special",
                ])
                .docs("Replies the latency samples of an event.", "O(1)", "event"),
            subcommand(439, "latency", "latest", 2)
                .in_group(Group::Server, "2.8.13")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .tips(&[
                    "nondeterministic_output",
                    "request_policy:all_nodes",
                    "response_policy:special",
                ])
                .docs(
                    "Replies the latest latency sample of each event.",
                    "O(1)",
                    "",
                ),
            subcommand(440, "latency", "reset", -2)
                .in_group(Group::Server, "2.8.13")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
                .docs("Forgets latency samples.", "O(1)", "[event [event ...]]"),
        ]),
    command(441, "module", -2)
        .in_group(Group::Server, "4.0.0")
        .docs(
            "Looks at loaded modules, of which there are none.",
            "Depends on the subcommand",
            "",
        )
        .subcommands(&[
            subcommand(442, "module", "help", 2)
                .in_group(Group::Server, "5.0.0")
                .flags(&[LOADING, STALE])
                .docs("Describes the subcommands.", "O(1)", ""),
            subcommand(443, "module", "list", 2)
                .in_group(Group::Server, "4.0.0")
                .flags(&[ADMIN, NOSCRIPT])
                .tips(&["nondeterministic_output_order"])
                .docs("Lists the loaded modules.", "O(1)", ""),
            subcommand(444, "module", "load", -3)
                .in_group(Group::Server, "4.0.0")
                .flags(&[ADMIN, NOSCRIPT, NO_ASYNC_LOADING])
                .docs("Loads a module.", "O(1)", "path [arg [arg ...]]")
                .refused("modules are not supported"),
            subcommand(445, "module", "loadex", -3)
                .in_group(Group::Server, "7.0.0")
                .flags(&[ADMIN, NOSCRIPT, NO_ASYNC_LOADING])
                .docs(
                    "Loads a module with settings.",
                    "O(1)",
                    "path [CONFIG name value [CONFIG name value ...]] [ARGS arg [args ...]]",
                )
                .refused("modules are not supported"),
            subcommand(446, "module", "unload", 3)
                .in_group(Group::Server, "4.0.0")
                .flags(&[ADMIN, NOSCRIPT, NO_ASYNC_LOADING])
                .docs("Unloads a module.", "O(1)", "name")
                .refused("modules are not supported; none is loaded"),
        ]),
    command(447, "debug", -2)
        .in_group(Group::Server, "1.0.0")
        .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
        .docs(
            "Tools for those who test the server.",
            "Depends on the subcommand",
            "subcommand [argument ...]",
        )
        .subcommands(&[
            subcommand(448, "debug", "digest", 2)
                .in_group(Group::Server, "1.0.0")
                .flags(&[ADMIN, NOSCRIPT])
                .docs(
                    "Replies a fingerprint of the whole data set, equal on nodes that hold \
                     the same.",
                    "O(N), N being the size of the data set",
                    "",
                )
                .reads(server_data::debug_digest),
            subcommand(449, "debug", "digest-value", -2)
                .in_group(Group::Server, "5.0.0")
                .flags(&[ADMIN, NOSCRIPT])
                .keys(&[keys(2, -1, 1, access::INSPECT)])
                .docs(
                    "Replies a fingerprint of the value at each key.",
                    "O(N), N being the size of the values",
                    "key [key ...]",
                )
                .reads(server_data::debug_digest_value),
            subcommand(450, "debug", "help", 2)
                .in_group(Group::Server, "5.0.0")
                .flags(&[LOADING, STALE])
                .docs("Describes the subcommands.", "O(1)", ""),
            subcommand(451, "debug", "object", 3)
                .in_group(Group::Server, "1.0.0")
                .flags(&[ADMIN, NOSCRIPT])
                .keys(&[keys(2, 0, 1, access::INSPECT)])
                .docs("Describes how a value is kept.", "O(1)", "key")
                .reads(server_data::debug_object),
            subcommand(452, "debug", "set-active-expire", 3)
                .in_group(Group::Server, "3.0.0")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .docs(
                    "Turns the removal of expired keys in the background off and on.",
                    "O(1)",
                    "<0 | 1>",
                ),
            subcommand(453, "debug", "sleep", 3)
                .in_group(Group::Server, "2.4.0")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .docs("Makes the node stand still for a while.", "O(1)", "seconds"),
        ]),
    command(454, "acl", -2)
        .in_group(Group::Server, "6.0.0")
        .docs(
            "Looks at users and at what they may do.",
            "Depends on the subcommand",
            "",
        )
        .subcommands(&[
            subcommand(455, "acl", "cat", -2)
                .in_group(Group::Server, "6.0.0")
                .flags(&[NOSCRIPT, LOADING, STALE])
                .docs(
                    "Lists the categories of commands, or the commands of one.",
                    "O(N), N being the number of commands",
                    "[categoryname]",
                ),
            subcommand(472, "acl", "deluser", -3)
                .in_group(Group::Server, "6.0.0")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .docs("Deletes users.", "O(1)", "username [username ...]"),
            subcommand(473, "acl", "dryrun", -4)
                .in_group(Group::Server, "7.0.0")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .docs(
                    "Tells whether a user may run a command, without running it.",
                    "O(1)",
                    "username command [arg [arg ...]]",
                ),
            subcommand(474, "acl", "genpass", -2)
                .in_group(Group::Server, "6.0.0")
                .flags(&[NOSCRIPT, LOADING, STALE])
                .docs(
                    "Makes up a password that nobody can guess.",
                    "O(1)",
                    "[bits]",
                ),
            subcommand(456, "acl", "getuser", 3)
                .in_group(Group::Server, "6.0.0")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .docs(
                    "Describes a user.",
                    "O(N), N being the number of the user's rules",
                    "username",
                ),
            subcommand(457, "acl", "help", 2)
                .in_group(Group::Server, "6.0.0")
                .flags(&[LOADING, STALE])
                .docs("Describes the subcommands.", "O(1)", ""),
            subcommand(458, "acl", "list", 2)
                .in_group(Group::Server, "6.0.0")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .docs(
                    "Lists the users as rules.",
                    "O(N), N being the number of users",
                    "",
                ),
            subcommand(475, "acl", "load", 2)
                .in_group(Group::Server, "6.0.0")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .docs(
                    "Reads the users from a file.",
                    "O(N), N being the number of users",
                    "",
                ),
            subcommand(476, "acl", "log", -2)
                .in_group(Group::Server, "6.0.0")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .docs(
                    "Lists what was refused for lack of rights.",
                    "O(N), N being the number of entries shown",
                    "[count | RESET]",
                ),
            subcommand(477, "acl", "save", 2)
                .in_group(Group::Server, "6.0.0")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .docs(
                    "Writes the users into a file.",
                    "O(N), N being the number of users",
                    "",
                ),
            subcommand(459, "acl", "setuser", -3)
                .in_group(Group::Server, "6.0.0")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .docs(
                    "Creates or changes a user.",
                    "O(N), N being the number of rules given",
                    "username [rule [rule ...]]",
                ),
            subcommand(460, "acl", "users", 2)
                .in_group(Group::Server, "6.0.0")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .docs(
                    "Lists the names of the users.",
                    "O(N), N being the number of users",
                    "",
                ),
            subcommand(461, "acl", "whoami", 2)
                .in_group(Group::Server, "6.0.0")
                .flags(&[NOSCRIPT, LOADING, STALE])
                .docs("Replies the user of this connection.", "O(1)", ""),
        ]),
    command(462, "shutdown", -1)
        .in_group(Group::Server, "1.0.0")
        .flags(&[ADMIN, NOSCRIPT, LOADING, STALE, NO_MULTI, ALLOW_BUSY])
        .docs(
            "Stops the node, after handing over leadership and finishing what is in \
             flight.",
            "O(1)",
            "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
        ),
    command(463, "save", 1)
        .in_group(Group::Server, "1.0.0")
        .flags(&[ADMIN, NOSCRIPT, NO_ASYNC_LOADING, NO_MULTI])
        .docs("Writes a snapshot of the data set to this node's disk.", "O(N)", ""),
    command(464, "bgsave", -1)
        .in_group(Group::Server, "1.0.0")
        .flags(&[ADMIN, NOSCRIPT, NO_ASYNC_LOADING])
        .docs(
            "Writes a snapshot of the data set to this node's disk in the background.",
            "O(1)",
            "[SCHEDULE]",
        ),
    command(465, "bgrewriteaof", 1)
        .in_group(Group::Server, "1.0.0")
        .flags(&[ADMIN, NOSCRIPT, NO_ASYNC_LOADING])
        .docs("Compacts the log in the background.", "O(1)", "")
        .refused("there is no append-only file beside the log, and the log is cut behind snapshots by itself"),
    command(466, "replicaof", 3)
        .in_group(Group::Server, "5.0.0")
        .flags(&[ADMIN, NOSCRIPT, STALE, NO_ASYNC_LOADING])
        .docs(
            "Makes a server a copy of another.",
            "O(1)",
            "<host port | NO ONE>",
        )
        .refused(
            "nodes replicate through the log of their cluster; start one with \
             \"quorate serve --cluster\"",
        ),
    command(467, "slaveof", 3)
        .in_group(Group::Server, "1.0.0")
        .flags(&[ADMIN, NOSCRIPT, STALE, NO_ASYNC_LOADING])
        .deprecated("5.0.0", "REPLICAOF")
        .docs(
            "Makes a server a copy of another.",
            "O(1)",
            "<host port | NO ONE>",
        )
        .refused(
            "nodes replicate through the log of their cluster; start one with \
             \"quorate serve --cluster\"",
        ),
    command(468, "sync", 1)
        .in_group(Group::Server, "1.0.0")
        .flags(&[ADMIN, NOSCRIPT, NO_ASYNC_LOADING, NO_MULTI])
        .docs("Copies the data set to a replica, the old way.", "O(1)", "")
        .refused(
            "nodes replicate through the log of their cluster; read the data with \
             SCAN and GET",
        ),
    command(469, "psync", -3)
        .in_group(Group::Server, "2.8.0")
        .flags(&[ADMIN, NOSCRIPT, NO_ASYNC_LOADING, NO_MULTI])
        .docs(
            "Copies the data set to a replica.",
            "O(1)",
            "replicationid offset",
        )
        .refused(
            "nodes replicate through the log of their cluster; read the data with \
             SCAN and GET",
        ),
    command(470, "failover", -1)
        .in_group(Group::Server, "6.2.0")
        .flags(&[ADMIN, NOSCRIPT, STALE])
        .docs(
            "Hands the primary's part to a replica.",
            "O(1)",
            "[TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]",
        )
        .refused(
            "leadership moves by itself when the leader stops, which hands over first if \
             told to stop by SIGTERM",
        ),
    command(471, "swapdb", 3)
        .in_group(Group::Server, "4.0.0")
        .flags(&[WRITE, FAST])
        .categories(&[category::DANGEROUS, category::KEYSPACE])
        .docs(
            "Exchanges the contents of two databases.",
            "O(1)",
            "index1 index2",
        )
        .writes(server_data::swapdb),
    command(478, "lolwut", -1)
        .in_group(Group::Server, "5.0.0")
        .flags(&[READONLY, FAST])
        .docs(
            "Draws the cluster.",
            "O(N), N being the number of nodes",
            "[VERSION version]",
        ),
];
