//! Keys of every type: existence, names, iteration, expiry.

use crate::command::{AclCategories, CommandFlags, CommandSpec, Group};
use crate::key_spec::KeyFlags;
use crate::table::row::{command, keys, keys_after, subcommand};

/// The rows of this family, numbers 200 to 299.
pub(super) static KEYS: &[CommandSpec] = &[
    command(200, "del", -2)
        .in_group(Group::Generic, "1.0.0")
        .flags(&[CommandFlags::WRITE])
        .categories(&[AclCategories::KEYSPACE])
        .keys(&[keys(1, -1, 1, &[KeyFlags::RM, KeyFlags::DELETE])])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .docs(
            "Deletes keys.",
            "O(N), N being the number of keys and of the elements they hold",
            "key [key ...]",
        ),
    command(201, "unlink", -2)
        .in_group(Group::Generic, "4.0.0")
        .flags(&[CommandFlags::WRITE, CommandFlags::FAST])
        .categories(&[AclCategories::KEYSPACE])
        .keys(&[keys(1, -1, 1, &[KeyFlags::RM, KeyFlags::DELETE])])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .docs(
            "Deletes keys; their memory may be given back later.",
            "O(N), N being the number of keys",
            "key [key ...]",
        ),
    command(202, "exists", -2)
        .in_group(Group::Generic, "1.0.0")
        .flags(&[CommandFlags::READONLY, CommandFlags::FAST])
        .categories(&[AclCategories::KEYSPACE])
        .keys(&[keys(1, -1, 1, &[KeyFlags::RO])])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .docs(
            "Counts how many of the keys exist.",
            "O(N), N being the number of keys",
            "key [key ...]",
        ),
    command(203, "type", 2)
        .in_group(Group::Generic, "1.0.0")
        .flags(&[CommandFlags::READONLY, CommandFlags::FAST])
        .categories(&[AclCategories::KEYSPACE])
        .keys(&[keys(1, 0, 1, &[KeyFlags::RO])])
        .docs("Replies the type of the value at a key.", "O(1)", "key"),
    command(204, "rename", 3)
        .in_group(Group::Generic, "1.0.0")
        .flags(&[CommandFlags::WRITE])
        .categories(&[AclCategories::KEYSPACE])
        .keys(&[
            keys(1, 0, 1, &[KeyFlags::RW, KeyFlags::ACCESS, KeyFlags::DELETE]),
            keys(2, 0, 1, &[KeyFlags::OW, KeyFlags::UPDATE]),
        ])
        .docs(
            "Gives a key another name, replacing what had that name.",
            "O(1)",
            "key newkey",
        ),
    command(205, "renamenx", 3)
        .in_group(Group::Generic, "1.0.0")
        .flags(&[CommandFlags::WRITE, CommandFlags::FAST])
        .categories(&[AclCategories::KEYSPACE])
        .keys(&[
            keys(1, 0, 1, &[KeyFlags::RW, KeyFlags::ACCESS, KeyFlags::DELETE]),
            keys(2, 0, 1, &[KeyFlags::OW, KeyFlags::INSERT]),
        ])
        .docs(
            "Gives a key another name unless that name is taken.",
            "O(1)",
            "key newkey",
        ),
    command(206, "copy", -3)
        .in_group(Group::Generic, "6.2.0")
        .flags(&[CommandFlags::WRITE, CommandFlags::DENYOOM])
        .categories(&[AclCategories::KEYSPACE])
        .keys(&[
            keys(1, 0, 1, &[KeyFlags::RO, KeyFlags::ACCESS]),
            keys(2, 0, 1, &[KeyFlags::OW, KeyFlags::UPDATE]),
        ])
        .docs(
            "Copies the value and the expiry of a key to another key.",
            "O(1), values being shared until one is changed",
            "source destination [DB destination-db] [REPLACE]",
        ),
    command(207, "move", 3)
        .in_group(Group::Generic, "1.0.0")
        .flags(&[CommandFlags::WRITE, CommandFlags::FAST])
        .categories(&[AclCategories::KEYSPACE])
        .keys(&[keys(
            1,
            0,
            1,
            &[KeyFlags::RW, KeyFlags::ACCESS, KeyFlags::UPDATE],
        )])
        .docs(
            "Moves a key to another database unless it exists there.",
            "O(1)",
            "key db",
        ),
    command(208, "touch", -2)
        .in_group(Group::Generic, "3.2.1")
        .flags(&[CommandFlags::READONLY, CommandFlags::FAST])
        .categories(&[AclCategories::KEYSPACE])
        .keys(&[keys(1, -1, 1, &[KeyFlags::RO])])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .docs(
            "Marks keys as used now and counts those that exist.",
            "O(N), N being the number of keys",
            "key [key ...]",
        ),
    command(209, "keys", 2)
        .in_group(Group::Generic, "1.0.0")
        .flags(&[CommandFlags::READONLY])
        .categories(&[AclCategories::DANGEROUS, AclCategories::KEYSPACE])
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"])
        .docs(
            "Lists the keys that match a pattern.",
            "O(N), N being the number of keys in the database",
            "pattern",
        ),
    command(210, "scan", -2)
        .in_group(Group::Generic, "2.8.0")
        .flags(&[CommandFlags::READONLY])
        .categories(&[AclCategories::KEYSPACE])
        .tips(&["nondeterministic_output", "request_policy:special"])
        .docs(
            "Iterates over the keys, a few at a call; the cursor is valid on every node.",
            "O(1) a call, O(N) for all N keys",
            "cursor [MATCH pattern] [COUNT count] [TYPE type]",
        ),
    command(211, "randomkey", 1)
        .in_group(Group::Generic, "1.0.0")
        .flags(&[CommandFlags::READONLY])
        .categories(&[AclCategories::KEYSPACE])
        .tips(&["request_policy:all_shards", "nondeterministic_output"])
        .docs("Replies a key picked at random.", "O(1)", ""),
    command(212, "expire", -3)
        .in_group(Group::Generic, "1.0.0")
        .flags(&[CommandFlags::WRITE, CommandFlags::FAST])
        .categories(&[AclCategories::KEYSPACE])
        .keys(&[keys(1, 0, 1, &[KeyFlags::RW, KeyFlags::UPDATE])])
        .docs(
            "Makes a key expire after some seconds.",
            "O(1)",
            "key seconds [NX | XX | GT | LT]",
        ),
    command(213, "pexpire", -3)
        .in_group(Group::Generic, "2.6.0")
        .flags(&[CommandFlags::WRITE, CommandFlags::FAST])
        .categories(&[AclCategories::KEYSPACE])
        .keys(&[keys(1, 0, 1, &[KeyFlags::RW, KeyFlags::UPDATE])])
        .docs(
            "Makes a key expire after some milliseconds.",
            "O(1)",
            "key milliseconds [NX | XX | GT | LT]",
        ),
    command(214, "expireat", -3)
        .in_group(Group::Generic, "1.2.0")
        .flags(&[CommandFlags::WRITE, CommandFlags::FAST])
        .categories(&[AclCategories::KEYSPACE])
        .keys(&[keys(1, 0, 1, &[KeyFlags::RW, KeyFlags::UPDATE])])
        .docs(
            "Makes a key expire at a Unix time in seconds.",
            "O(1)",
            "key unix-time-seconds [NX | XX | GT | LT]",
        ),
    command(215, "pexpireat", -3)
        .in_group(Group::Generic, "2.6.0")
        .flags(&[CommandFlags::WRITE, CommandFlags::FAST])
        .categories(&[AclCategories::KEYSPACE])
        .keys(&[keys(1, 0, 1, &[KeyFlags::RW, KeyFlags::UPDATE])])
        .docs(
            "Makes a key expire at a Unix time in milliseconds.",
            "O(1)",
            "key unix-time-milliseconds [NX | XX | GT | LT]",
        ),
    command(216, "ttl", 2)
        .in_group(Group::Generic, "1.0.0")
        .flags(&[CommandFlags::READONLY, CommandFlags::FAST])
        .categories(&[AclCategories::KEYSPACE])
        .keys(&[keys(1, 0, 1, &[KeyFlags::RO, KeyFlags::ACCESS])])
        .tips(&["nondeterministic_output"])
        .docs("Replies how many seconds a key has left.", "O(1)", "key"),
    command(217, "pttl", 2)
        .in_group(Group::Generic, "2.6.0")
        .flags(&[CommandFlags::READONLY, CommandFlags::FAST])
        .categories(&[AclCategories::KEYSPACE])
        .keys(&[keys(1, 0, 1, &[KeyFlags::RO, KeyFlags::ACCESS])])
        .tips(&["nondeterministic_output"])
        .docs(
            "Replies how many milliseconds a key has left.",
            "O(1)",
            "key",
        ),
    command(218, "expiretime", 2)
        .in_group(Group::Generic, "7.0.0")
        .flags(&[CommandFlags::READONLY, CommandFlags::FAST])
        .categories(&[AclCategories::KEYSPACE])
        .keys(&[keys(1, 0, 1, &[KeyFlags::RO, KeyFlags::ACCESS])])
        .docs(
            "Replies the Unix time in seconds at which a key expires.",
            "O(1)",
            "key",
        ),
    command(219, "pexpiretime", 2)
        .in_group(Group::Generic, "7.0.0")
        .flags(&[CommandFlags::READONLY, CommandFlags::FAST])
        .categories(&[AclCategories::KEYSPACE])
        .keys(&[keys(1, 0, 1, &[KeyFlags::RO, KeyFlags::ACCESS])])
        .docs(
            "Replies the Unix time in milliseconds at which a key expires.",
            "O(1)",
            "key",
        ),
    command(220, "persist", 2)
        .in_group(Group::Generic, "2.2.0")
        .flags(&[CommandFlags::WRITE, CommandFlags::FAST])
        .categories(&[AclCategories::KEYSPACE])
        .keys(&[keys(1, 0, 1, &[KeyFlags::RW, KeyFlags::UPDATE])])
        .docs("Takes the expiry off a key.", "O(1)", "key"),
    command(221, "object", -2)
        .in_group(Group::Generic, "2.2.3")
        .docs(
            "Looks at how a value is kept.",
            "Depends on the subcommand",
            "",
        )
        .subcommands(&[
            subcommand(222, "object", "encoding", 3)
                .in_group(Group::Generic, "2.2.3")
                .flags(&[CommandFlags::READONLY])
                .categories(&[AclCategories::KEYSPACE])
                .keys(&[keys(2, 0, 1, &[KeyFlags::RO])])
                .tips(&["nondeterministic_output"])
                .docs(
                    "Replies the name of the internal representation of a value.",
                    "O(1)",
                    "key",
                ),
            subcommand(223, "object", "freq", 3)
                .in_group(Group::Generic, "4.0.0")
                .flags(&[CommandFlags::READONLY])
                .categories(&[AclCategories::KEYSPACE])
                .keys(&[keys(2, 0, 1, &[KeyFlags::RO])])
                .tips(&["nondeterministic_output"])
                .docs(
                    "Replies how often a key is used, under an LFU eviction policy.",
                    "O(1)",
                    "key",
                ),
            subcommand(224, "object", "help", 2)
                .in_group(Group::Generic, "6.2.0")
                .flags(&[CommandFlags::LOADING, CommandFlags::STALE])
                .categories(&[AclCategories::KEYSPACE])
                .docs("Describes the subcommands.", "O(1)", ""),
            subcommand(225, "object", "idletime", 3)
                .in_group(Group::Generic, "2.2.3")
                .flags(&[CommandFlags::READONLY])
                .categories(&[AclCategories::KEYSPACE])
                .keys(&[keys(2, 0, 1, &[KeyFlags::RO])])
                .tips(&["nondeterministic_output"])
                .docs(
                    "Replies the seconds since a key was last used.",
                    "O(1)",
                    "key",
                ),
            subcommand(226, "object", "refcount", 3)
                .in_group(Group::Generic, "2.2.3")
                .flags(&[CommandFlags::READONLY])
                .categories(&[AclCategories::KEYSPACE])
                .keys(&[keys(2, 0, 1, &[KeyFlags::RO])])
                .tips(&["nondeterministic_output"])
                .docs(
                    "Replies the number of references to a value.",
                    "O(1)",
                    "key",
                ),
        ]),
    command(227, "wait", 3)
        .in_group(Group::Generic, "3.0.0")
        .flags(&[CommandFlags::NOSCRIPT])
        .categories(&[AclCategories::CONNECTION])
        .tips(&["request_policy:all_shards", "response_policy:agg_min"])
        .docs(
            "Waits until earlier writes are on other nodes, which they always are when they \
                 are acknowledged.",
            "O(1)",
            "numreplicas timeout",
        ),
    command(228, "waitaof", 4)
        .in_group(Group::Generic, "7.2.0")
        .flags(&[CommandFlags::NOSCRIPT])
        .categories(&[AclCategories::CONNECTION])
        .tips(&["request_policy:all_shards", "response_policy:agg_min"])
        .docs(
            "Waits until earlier writes are on disks, which they always are when they are \
                 acknowledged.",
            "O(1)",
            "numlocal numreplicas timeout",
        ),
    command(229, "migrate", -6)
        .in_group(Group::Generic, "2.6.0")
        .flags(&[CommandFlags::WRITE, CommandFlags::MOVABLEKEYS])
        .categories(&[AclCategories::DANGEROUS, AclCategories::KEYSPACE])
        .keys(&[
            keys(3, 0, 1, &[KeyFlags::RW, KeyFlags::ACCESS, KeyFlags::DELETE]),
            keys_after(
                "KEYS",
                -2,
                -1,
                1,
                &[
                    KeyFlags::RW,
                    KeyFlags::ACCESS,
                    KeyFlags::DELETE,
                    KeyFlags::INCOMPLETE,
                ],
            ),
        ])
        .tips(&["nondeterministic_output"])
        .docs(
            "Moves keys to another Redis.",
            "O(N), N being the size of the values",
            "host port key destination-db timeout [COPY] [REPLACE] [KEYS key [key ...]]",
        )
        .refused("keys cannot be sent to another server from here; read them with SCAN and GET"),
];
