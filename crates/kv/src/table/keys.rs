//! Keys of every type: existence, names, iteration, expiry.

use crate::command::{CommandSpec, Group};
use crate::commands::{expire, keys, scan, server_data};
use crate::table::row::flag::{
    DENYOOM, FAST, LOADING, MOVABLEKEYS, NOSCRIPT, READONLY, STALE, WRITE,
};
use crate::table::row::{access, category, command, keys, keys_after, subcommand};

/// The rows of this family, numbers 200 to 299.
pub(super) static ROWS: &[CommandSpec] = &[
    command(200, "del", -2)
        .in_group(Group::Generic, "1.0.0")
        .flags(&[WRITE])
        .categories(&[category::KEYSPACE])
        .keys(&[keys(1, -1, 1, access::REMOVE)])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .docs(
            "Deletes keys.",
            "O(N), N being the number of keys and of the elements they hold",
            "key [key ...]",
        )
        .writes(keys::del),
    command(201, "unlink", -2)
        .in_group(Group::Generic, "4.0.0")
        .flags(&[WRITE, FAST])
        .categories(&[category::KEYSPACE])
        .keys(&[keys(1, -1, 1, access::REMOVE)])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .docs(
            "Deletes keys; their memory may be given back later.",
            "O(N), N being the number of keys",
            "key [key ...]",
        )
        .writes(keys::unlink),
    command(202, "exists", -2)
        .in_group(Group::Generic, "1.0.0")
        .flags(&[READONLY, FAST])
        .categories(&[category::KEYSPACE])
        .keys(&[keys(1, -1, 1, access::INSPECT)])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .docs(
            "Counts how many of the keys exist.",
            "O(N), N being the number of keys",
            "key [key ...]",
        )
        .reads(keys::exists),
    command(203, "type", 2)
        .in_group(Group::Generic, "1.0.0")
        .flags(&[READONLY, FAST])
        .categories(&[category::KEYSPACE])
        .keys(&[keys(1, 0, 1, access::INSPECT)])
        .docs("Replies the type of the value at a key.", "O(1)", "key")
        .reads(keys::type_),
    command(204, "rename", 3)
        .in_group(Group::Generic, "1.0.0")
        .flags(&[WRITE])
        .categories(&[category::KEYSPACE])
        .keys(&[
            keys(1, 0, 1, access::TAKE),
            keys(2, 0, 1, access::OVERWRITE),
        ])
        .docs(
            "Gives a key another name, replacing what had that name.",
            "O(1)",
            "key newkey",
        )
        .writes(keys::rename),
    command(205, "renamenx", 3)
        .in_group(Group::Generic, "1.0.0")
        .flags(&[WRITE, FAST])
        .categories(&[category::KEYSPACE])
        .keys(&[keys(1, 0, 1, access::TAKE), keys(2, 0, 1, access::CREATE)])
        .docs(
            "Gives a key another name unless that name is taken.",
            "O(1)",
            "key newkey",
        )
        .writes(keys::renamenx),
    command(206, "copy", -3)
        .in_group(Group::Generic, "6.2.0")
        .flags(&[WRITE, DENYOOM])
        .categories(&[category::KEYSPACE])
        .keys(&[
            keys(1, 0, 1, access::READ),
            keys(2, 0, 1, access::OVERWRITE),
        ])
        .docs(
            "Copies the value and the expiry of a key to another key.",
            "O(1), values being shared until one is changed",
            "source destination [DB destination-db] [REPLACE]",
        )
        .writes(keys::copy),
    command(207, "move", 3)
        .in_group(Group::Generic, "1.0.0")
        .flags(&[WRITE, FAST])
        .categories(&[category::KEYSPACE])
        .keys(&[keys(1, 0, 1, access::MODIFY)])
        .docs(
            "Moves a key to another database unless it exists there.",
            "O(1)",
            "key db",
        )
        .writes(keys::move_),
    command(208, "touch", -2)
        .in_group(Group::Generic, "3.2.1")
        .flags(&[READONLY, FAST])
        .categories(&[category::KEYSPACE])
        .keys(&[keys(1, -1, 1, access::INSPECT)])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .docs(
            "Marks keys as used now and counts those that exist.",
            "O(N), N being the number of keys",
            "key [key ...]",
        )
        .reads(keys::touch),
    command(209, "keys", 2)
        .in_group(Group::Generic, "1.0.0")
        .flags(&[READONLY])
        .categories(&[category::DANGEROUS, category::KEYSPACE])
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"])
        .docs(
            "Lists the keys that match a pattern.",
            "O(N), N being the number of keys in the database",
            "pattern",
        )
        .reads(scan::keys),
    command(210, "scan", -2)
        .in_group(Group::Generic, "2.8.0")
        .flags(&[READONLY])
        .categories(&[category::KEYSPACE])
        .tips(&["nondeterministic_output", "request_policy:special"])
        .docs(
            "Iterates over the keys, a few at a call; the cursor is valid on every \
             node.",
            "O(1) a call, O(N) for all N keys",
            "cursor [MATCH pattern] [COUNT count] [TYPE type]",
        )
        .reads(scan::scan),
    command(211, "randomkey", 1)
        .in_group(Group::Generic, "1.0.0")
        .flags(&[READONLY])
        .categories(&[category::KEYSPACE])
        .tips(&["request_policy:all_shards", "nondeterministic_output"])
        .docs("Replies a key picked at random.", "O(1)", "")
        .reads(keys::randomkey),
    command(212, "expire", -3)
        .in_group(Group::Generic, "1.0.0")
        .flags(&[WRITE, FAST])
        .categories(&[category::KEYSPACE])
        .keys(&[keys(1, 0, 1, access::ALTER)])
        .docs(
            "Makes a key expire after some seconds.",
            "O(1)",
            "key seconds [NX | XX | GT | LT]",
        )
        .writes(expire::expire),
    command(213, "pexpire", -3)
        .in_group(Group::Generic, "2.6.0")
        .flags(&[WRITE, FAST])
        .categories(&[category::KEYSPACE])
        .keys(&[keys(1, 0, 1, access::ALTER)])
        .docs(
            "Makes a key expire after some milliseconds.",
            "O(1)",
            "key milliseconds [NX | XX | GT | LT]",
        )
        .writes(expire::pexpire),
    command(214, "expireat", -3)
        .in_group(Group::Generic, "1.2.0")
        .flags(&[WRITE, FAST])
        .categories(&[category::KEYSPACE])
        .keys(&[keys(1, 0, 1, access::ALTER)])
        .docs(
            "Makes a key expire at a Unix time in seconds.",
            "O(1)",
            "key unix-time-seconds [NX | XX | GT | LT]",
        )
        .writes(expire::expireat),
    command(215, "pexpireat", -3)
        .in_group(Group::Generic, "2.6.0")
        .flags(&[WRITE, FAST])
        .categories(&[category::KEYSPACE])
        .keys(&[keys(1, 0, 1, access::ALTER)])
        .docs(
            "Makes a key expire at a Unix time in milliseconds.",
            "O(1)",
            "key unix-time-milliseconds [NX | XX | GT | LT]",
        )
        .writes(expire::pexpireat),
    command(216, "ttl", 2)
        .in_group(Group::Generic, "1.0.0")
        .flags(&[READONLY, FAST])
        .categories(&[category::KEYSPACE])
        .keys(&[keys(1, 0, 1, access::READ)])
        .tips(&["nondeterministic_output"])
        .docs("Replies how many seconds a key has left.", "O(1)", "key")
        .reads(expire::ttl),
    command(217, "pttl", 2)
        .in_group(Group::Generic, "2.6.0")
        .flags(&[READONLY, FAST])
        .categories(&[category::KEYSPACE])
        .keys(&[keys(1, 0, 1, access::READ)])
        .tips(&["nondeterministic_output"])
        .docs(
            "Replies how many milliseconds a key has left.",
            "O(1)",
            "key",
        )
        .reads(expire::pttl),
    command(218, "expiretime", 2)
        .in_group(Group::Generic, "7.0.0")
        .flags(&[READONLY, FAST])
        .categories(&[category::KEYSPACE])
        .keys(&[keys(1, 0, 1, access::READ)])
        .docs(
            "Replies the Unix time in seconds at which a key expires.",
            "O(1)",
            "key",
        )
        .reads(expire::expiretime),
    command(219, "pexpiretime", 2)
        .in_group(Group::Generic, "7.0.0")
        .flags(&[READONLY, FAST])
        .categories(&[category::KEYSPACE])
        .keys(&[keys(1, 0, 1, access::READ)])
        .docs(
            "Replies the Unix time in milliseconds at which a key expires.",
            "O(1)",
            "key",
        )
        .reads(expire::pexpiretime),
    command(220, "persist", 2)
        .in_group(Group::Generic, "2.2.0")
        .flags(&[WRITE, FAST])
        .categories(&[category::KEYSPACE])
        .keys(&[keys(1, 0, 1, access::ALTER)])
        .docs("Takes the expiry off a key.", "O(1)", "key")
        .writes(expire::persist),
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
                .flags(&[READONLY])
                .categories(&[category::KEYSPACE])
                .keys(&[keys(2, 0, 1, access::INSPECT)])
                .tips(&["nondeterministic_output"])
                .docs(
                    "Replies the name of the internal representation of a value.",
                    "O(1)",
                    "key",
                )
                .reads(server_data::object_encoding),
            subcommand(223, "object", "freq", 3)
                .in_group(Group::Generic, "4.0.0")
                .flags(&[READONLY])
                .categories(&[category::KEYSPACE])
                .keys(&[keys(2, 0, 1, access::INSPECT)])
                .tips(&["nondeterministic_output"])
                .docs(
                    "Replies how often a key is used, under an LFU eviction policy.",
                    "O(1)",
                    "key",
                )
                .reads(server_data::object_freq),
            subcommand(224, "object", "help", 2)
                .in_group(Group::Generic, "6.2.0")
                .flags(&[LOADING, STALE])
                .categories(&[category::KEYSPACE])
                .docs("Describes the subcommands.", "O(1)", ""),
            subcommand(225, "object", "idletime", 3)
                .in_group(Group::Generic, "2.2.3")
                .flags(&[READONLY])
                .categories(&[category::KEYSPACE])
                .keys(&[keys(2, 0, 1, access::INSPECT)])
                .tips(&["nondeterministic_output"])
                .docs(
                    "Replies the seconds since a key was last used.",
                    "O(1)",
                    "key",
                )
                .reads(server_data::object_idletime),
            subcommand(226, "object", "refcount", 3)
                .in_group(Group::Generic, "2.2.3")
                .flags(&[READONLY])
                .categories(&[category::KEYSPACE])
                .keys(&[keys(2, 0, 1, access::INSPECT)])
                .tips(&["nondeterministic_output"])
                .docs(
                    "Replies the number of references to a value.",
                    "O(1)",
                    "key",
                )
                .reads(server_data::object_refcount),
        ]),
    command(227, "wait", 3)
        .in_group(Group::Generic, "3.0.0")
        .flags(&[NOSCRIPT])
        .categories(&[category::CONNECTION])
        .tips(&["request_policy:all_shards", "response_policy:agg_min"])
        .docs(
            "Waits until earlier writes are on other nodes, which they always are \
             when they are acknowledged.",
            "O(1)",
            "numreplicas timeout",
        ),
    command(228, "waitaof", 4)
        .in_group(Group::Generic, "7.2.0")
        .flags(&[NOSCRIPT])
        .categories(&[category::CONNECTION])
        .tips(&["request_policy:all_shards", "response_policy:agg_min"])
        .docs(
            "Waits until earlier writes are on disks, which they always are when \
             they are acknowledged.",
            "O(1)",
            "numlocal numreplicas timeout",
        ),
    command(229, "migrate", -6)
        .in_group(Group::Generic, "2.6.0")
        .flags(&[WRITE, MOVABLEKEYS])
        .categories(&[category::DANGEROUS, category::KEYSPACE])
        .keys(&[
            keys(3, 0, 1, access::TAKE),
            keys_after("KEYS", -2, -1, 1, access::TAKE_SOME),
        ])
        .tips(&["nondeterministic_output"])
        .docs(
            "Moves keys to another Redis.",
            "O(N), N being the size of the values",
            "host port key destination-db timeout [COPY] [REPLACE] [KEYS key [key \
             ...]]",
        )
        .refused(
            "keys cannot be sent to another server from here; read them with SCAN \
             and GET",
        ),
];
