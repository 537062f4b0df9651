//! The connection itself.

use crate::command::{CommandSpec, Group};
use crate::table::row::flag::{ADMIN, ALLOW_BUSY, FAST, LOADING, NO_AUTH, NOSCRIPT, STALE};
use crate::table::row::{category, command, subcommand};

/// The rows of this family, numbers 300 to 399.
pub(super) static ROWS: &[CommandSpec] = &[
    command(300, "ping", -1)
        .in_group(Group::Connection, "1.0.0")
        .flags(&[FAST])
        .categories(&[category::CONNECTION])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .docs("Replies PONG, or what it was given.", "O(1)", "[message]"),
    command(301, "echo", 2)
        .in_group(Group::Connection, "1.0.0")
        .flags(&[LOADING, STALE, FAST])
        .categories(&[category::CONNECTION])
        .docs("Replies what it was given.", "O(1)", "message"),
    command(302, "quit", -1)
        .in_group(Group::Connection, "1.0.0")
        .flags(&[NOSCRIPT, LOADING, STALE, FAST, NO_AUTH, ALLOW_BUSY])
        .categories(&[category::CONNECTION])
        .docs(
            "Closes the connection after the replies that are due.",
            "O(1)",
            "",
        ),
    command(303, "reset", 1)
        .in_group(Group::Connection, "6.2.0")
        .flags(&[NOSCRIPT, LOADING, STALE, FAST, NO_AUTH, ALLOW_BUSY])
        .categories(&[category::CONNECTION])
        .docs(
            "Brings the connection back to the state it began in.",
            "O(1)",
            "",
        ),
    command(304, "hello", -1)
        .in_group(Group::Connection, "6.0.0")
        .flags(&[NOSCRIPT, LOADING, STALE, FAST, NO_AUTH, ALLOW_BUSY])
        .categories(&[category::CONNECTION])
        .docs(
            "Picks the protocol version, and may authenticate and name the \
             connection.",
            "O(1)",
            "[protover [AUTH username password] [SETNAME clientname]]",
        ),
    command(305, "auth", -2)
        .in_group(Group::Connection, "1.0.0")
        .flags(&[NOSCRIPT, LOADING, STALE, FAST, NO_AUTH, ALLOW_BUSY])
        .categories(&[category::CONNECTION])
        .docs(
            "Authenticates the connection.",
            "O(1)",
            "[username] password",
        ),
    command(306, "select", 2)
        .in_group(Group::Connection, "1.0.0")
        .flags(&[LOADING, STALE, FAST])
        .categories(&[category::CONNECTION])
        .docs("Picks the database that commands work on.", "O(1)", "index"),
    command(307, "client", -2)
        .in_group(Group::Connection, "2.4.0")
        .docs(
            "Looks at connections and manages them.",
            "Depends on the subcommand",
            "",
        )
        .subcommands(&[
            subcommand(323, "client", "caching", 3)
                .in_group(Group::Connection, "6.0.0")
                .flags(&[NOSCRIPT, LOADING, STALE])
                .categories(&[category::CONNECTION])
                .docs("Tells whether to track the keys of the next command.", "O(1)", "<YES | NO>"),
            subcommand(308, "client", "capa", -3)
                .in_group(Group::Connection, "8.0.0")
                .flags(&[NOSCRIPT, LOADING, STALE])
                .categories(&[category::CONNECTION])
                .docs(
                    "Tells the server what the client can do beyond the protocol (Valkey \
                     8.0).",
                    "O(1)",
                    "capability [capability ...]",
                ),
            subcommand(309, "client", "getname", 2)
                .in_group(Group::Connection, "2.6.9")
                .flags(&[NOSCRIPT, LOADING, STALE])
                .categories(&[category::CONNECTION])
                .docs("Replies the name of this connection.", "O(1)", ""),
            subcommand(324, "client", "getredir", 2)
                .in_group(Group::Connection, "6.0.0")
                .flags(&[NOSCRIPT, LOADING, STALE])
                .categories(&[category::CONNECTION])
                .docs("Replies where invalidation messages go.", "O(1)", ""),
            subcommand(310, "client", "help", 2)
                .in_group(Group::Connection, "5.0.0")
                .flags(&[LOADING, STALE])
                .categories(&[category::CONNECTION])
                .docs("Describes the subcommands.", "O(1)", ""),
            subcommand(311, "client", "id", 2)
                .in_group(Group::Connection, "5.0.0")
                .flags(&[NOSCRIPT, LOADING, STALE])
                .categories(&[category::CONNECTION])
                .docs("Replies the number of this connection.", "O(1)", ""),
            subcommand(312, "client", "info", 2)
                .in_group(Group::Connection, "6.2.0")
                .flags(&[NOSCRIPT, LOADING, STALE])
                .categories(&[category::CONNECTION])
                .tips(&["nondeterministic_output"])
                .docs("Describes this connection.", "O(1)", ""),
            subcommand(313, "client", "kill", -3)
                .in_group(Group::Connection, "2.4.0")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .categories(&[category::CONNECTION])
                .docs(
                    "Closes connections.",
                    "O(N), N being the number of connections",
                    "ip:port | [ID client-id] [TYPE type] [USER username] [ADDR ip:port] \
                     [LADDR ip:port] [SKIPME yes | no]",
                ),
            subcommand(314, "client", "list", -2)
                .in_group(Group::Connection, "2.4.0")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .categories(&[category::CONNECTION])
                .tips(&["nondeterministic_output"])
                .docs(
                    "Describes the connections of this node.",
                    "O(N), N being the number of connections",
                    "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id \
                     ...]]",
                ),
            subcommand(315, "client", "no-evict", 3)
                .in_group(Group::Connection, "7.0.0")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .categories(&[category::CONNECTION])
                .docs(
                    "Exempts this connection from being closed when memory is short.",
                    "O(1)",
                    "<ON | OFF>",
                ),
            subcommand(316, "client", "no-touch", 3)
                .in_group(Group::Connection, "7.2.0")
                .flags(&[NOSCRIPT, LOADING, STALE])
                .categories(&[category::CONNECTION])
                .docs(
                    "Keeps this connection's reads from counting as use of the keys.",
                    "O(1)",
                    "<ON | OFF>",
                ),
            subcommand(317, "client", "pause", -3)
                .in_group(Group::Connection, "2.9.50")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .categories(&[category::CONNECTION])
                .docs(
                    "Holds back the commands of all connections of this node for a while.",
                    "O(1)",
                    "timeout [WRITE | ALL]",
                ),
            subcommand(318, "client", "reply", 3)
                .in_group(Group::Connection, "3.2.0")
                .flags(&[NOSCRIPT, LOADING, STALE])
                .categories(&[category::CONNECTION])
                .docs("Turns replies off and on.", "O(1)", "<ON | OFF | SKIP>"),
            subcommand(319, "client", "setinfo", 4)
                .in_group(Group::Connection, "7.2.0")
                .flags(&[NOSCRIPT, LOADING, STALE])
                .categories(&[category::CONNECTION])
                .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
                .docs(
                    "Tells the server the name or version of the client library.",
                    "O(1)",
                    "<LIB-NAME libname | LIB-VER libver>",
                ),
            subcommand(320, "client", "setname", 3)
                .in_group(Group::Connection, "2.6.9")
                .flags(&[NOSCRIPT, LOADING, STALE])
                .categories(&[category::CONNECTION])
                .docs("Names this connection.", "O(1)", "connection-name"),
            subcommand(325, "client", "tracking", -3)
                .in_group(Group::Connection, "6.0.0")
                .flags(&[NOSCRIPT, LOADING, STALE])
                .categories(&[category::CONNECTION])
                .docs("Tells whether this connection wants to hear of changed keys.", "O(1)", "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]"),
            subcommand(326, "client", "trackinginfo", 2)
                .in_group(Group::Connection, "6.2.0")
                .flags(&[NOSCRIPT, LOADING, STALE])
                .categories(&[category::CONNECTION])
                .docs("Describes what this connection tracks.", "O(1)", ""),
            subcommand(321, "client", "unblock", -3)
                .in_group(Group::Connection, "5.0.0")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .categories(&[category::CONNECTION])
                .docs(
                    "Ends the wait of a blocked connection.",
                    "O(1)",
                    "client-id [TIMEOUT | ERROR]",
                ),
            subcommand(322, "client", "unpause", 2)
                .in_group(Group::Connection, "6.2.0")
                .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
                .categories(&[category::CONNECTION])
                .docs(
                    "Ends CLIENT PAUSE.",
                    "O(N), N being the number of held connections",
                    "",
                ),
        ]),
];
