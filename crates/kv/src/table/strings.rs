//! Strings.

use crate::command::{AclCategories, CommandFlags, CommandSpec, Group};
use crate::key_spec::KeyFlags;
use crate::table::row::{command, keys};

/// The rows of this family, numbers 100 to 199.
pub(super) static STRINGS: &[CommandSpec] = &[
    command(100, "get", 2)
        .in_group(Group::String, "1.0.0")
        .flags(&[CommandFlags::READONLY, CommandFlags::FAST])
        .categories(&[AclCategories::STRING])
        .keys(&[keys(1, 0, 1, &[KeyFlags::RO, KeyFlags::ACCESS])])
        .docs("Replies the string at a key.", "O(1)", "key"),
    command(101, "set", -3)
        .in_group(Group::String, "1.0.0")
        .flags(&[CommandFlags::WRITE, CommandFlags::DENYOOM])
        .categories(&[AclCategories::STRING])
        .keys(&[keys(
            1,
            0,
            1,
            &[
                KeyFlags::RW,
                KeyFlags::ACCESS,
                KeyFlags::UPDATE,
                KeyFlags::VARIABLE_FLAGS,
            ],
        )])
        .docs(
            "Sets a key to a string, whatever it held, under conditions and with an expiry \
                 if asked.",
            "O(1)",
            "key value [NX | XX | IFEQ comparison-value] [GET] [EX seconds | PX \
                 milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
        ),
    command(102, "setnx", 3)
        .in_group(Group::String, "1.0.0")
        .flags(&[
            CommandFlags::WRITE,
            CommandFlags::DENYOOM,
            CommandFlags::FAST,
        ])
        .categories(&[AclCategories::STRING])
        .keys(&[keys(1, 0, 1, &[KeyFlags::OW, KeyFlags::INSERT])])
        .docs(
            "Sets a key to a string unless the key exists.",
            "O(1)",
            "key value",
        ),
    command(103, "setex", 4)
        .in_group(Group::String, "2.0.0")
        .flags(&[CommandFlags::WRITE, CommandFlags::DENYOOM])
        .categories(&[AclCategories::STRING])
        .keys(&[keys(1, 0, 1, &[KeyFlags::OW, KeyFlags::UPDATE])])
        .docs(
            "Sets a key to a string that expires after some seconds.",
            "O(1)",
            "key seconds value",
        ),
    command(104, "psetex", 4)
        .in_group(Group::String, "2.6.0")
        .flags(&[CommandFlags::WRITE, CommandFlags::DENYOOM])
        .categories(&[AclCategories::STRING])
        .keys(&[keys(1, 0, 1, &[KeyFlags::OW, KeyFlags::UPDATE])])
        .docs(
            "Sets a key to a string that expires after some milliseconds.",
            "O(1)",
            "key milliseconds value",
        ),
    command(105, "getset", 3)
        .in_group(Group::String, "1.0.0")
        .flags(&[
            CommandFlags::WRITE,
            CommandFlags::DENYOOM,
            CommandFlags::FAST,
        ])
        .categories(&[AclCategories::STRING])
        .keys(&[keys(
            1,
            0,
            1,
            &[KeyFlags::RW, KeyFlags::ACCESS, KeyFlags::UPDATE],
        )])
        .deprecated("6.2.0", "SET with the GET argument")
        .docs(
            "Sets a key to a string and replies the string it held before.",
            "O(1)",
            "key value",
        ),
    command(106, "getdel", 2)
        .in_group(Group::String, "6.2.0")
        .flags(&[CommandFlags::WRITE, CommandFlags::FAST])
        .categories(&[AclCategories::STRING])
        .keys(&[keys(
            1,
            0,
            1,
            &[KeyFlags::RW, KeyFlags::ACCESS, KeyFlags::DELETE],
        )])
        .docs(
            "Replies the string at a key and deletes the key.",
            "O(1)",
            "key",
        ),
    command(107, "getex", -2)
        .in_group(Group::String, "6.2.0")
        .flags(&[CommandFlags::WRITE, CommandFlags::FAST])
        .categories(&[AclCategories::STRING])
        .keys(&[keys(
            1,
            0,
            1,
            &[KeyFlags::RW, KeyFlags::ACCESS, KeyFlags::UPDATE],
        )])
        .docs(
            "Replies the string at a key and changes its expiry.",
            "O(1)",
            "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT \
                 unix-time-milliseconds | PERSIST]",
        ),
    command(108, "mget", -2)
        .in_group(Group::String, "1.0.0")
        .flags(&[CommandFlags::READONLY, CommandFlags::FAST])
        .categories(&[AclCategories::STRING])
        .keys(&[keys(1, -1, 1, &[KeyFlags::RO, KeyFlags::ACCESS])])
        .tips(&["request_policy:multi_shard"])
        .docs(
            "Replies the strings at several keys.",
            "O(N), N being the number of keys",
            "key [key ...]",
        ),
    command(109, "mset", -3)
        .in_group(Group::String, "1.0.1")
        .flags(&[CommandFlags::WRITE, CommandFlags::DENYOOM])
        .categories(&[AclCategories::STRING])
        .keys(&[keys(1, -1, 2, &[KeyFlags::OW, KeyFlags::UPDATE])])
        .tips(&[
            "request_policy:multi_shard",
            "response_policy:all_succeeded",
        ])
        .docs(
            "Sets several keys to strings, all at once.",
            "O(N), N being the number of keys",
            "key value [key value ...]",
        ),
    command(110, "msetnx", -3)
        .in_group(Group::String, "1.0.1")
        .flags(&[CommandFlags::WRITE, CommandFlags::DENYOOM])
        .categories(&[AclCategories::STRING])
        .keys(&[keys(1, -1, 2, &[KeyFlags::OW, KeyFlags::INSERT])])
        .tips(&["request_policy:multi_shard", "response_policy:agg_min"])
        .docs(
            "Sets several keys to strings, unless any of them exists.",
            "O(N), N being the number of keys",
            "key value [key value ...]",
        ),
    command(111, "append", 3)
        .in_group(Group::String, "2.0.0")
        .flags(&[
            CommandFlags::WRITE,
            CommandFlags::DENYOOM,
            CommandFlags::FAST,
        ])
        .categories(&[AclCategories::STRING])
        .keys(&[keys(1, 0, 1, &[KeyFlags::RW, KeyFlags::INSERT])])
        .docs(
            "Adds bytes to the end of the string at a key, creating it if need be.",
            "O(M), M being the length of what is added",
            "key value",
        ),
    command(112, "strlen", 2)
        .in_group(Group::String, "2.2.0")
        .flags(&[CommandFlags::READONLY, CommandFlags::FAST])
        .categories(&[AclCategories::STRING])
        .keys(&[keys(1, 0, 1, &[KeyFlags::RO])])
        .docs("Replies the length of the string at a key.", "O(1)", "key"),
    command(113, "getrange", 4)
        .in_group(Group::String, "2.4.0")
        .flags(&[CommandFlags::READONLY])
        .categories(&[AclCategories::STRING])
        .keys(&[keys(1, 0, 1, &[KeyFlags::RO, KeyFlags::ACCESS])])
        .docs(
            "Replies a part of the string at a key.",
            "O(M), M being the length of the reply",
            "key start end",
        ),
    command(114, "substr", 4)
        .in_group(Group::String, "1.0.0")
        .flags(&[CommandFlags::READONLY])
        .categories(&[AclCategories::STRING])
        .keys(&[keys(1, 0, 1, &[KeyFlags::RO, KeyFlags::ACCESS])])
        .deprecated("2.0.0", "GETRANGE")
        .docs(
            "Replies a part of the string at a key.",
            "O(M), M being the length of the reply",
            "key start end",
        ),
    command(115, "setrange", 4)
        .in_group(Group::String, "2.2.0")
        .flags(&[CommandFlags::WRITE, CommandFlags::DENYOOM])
        .categories(&[AclCategories::STRING])
        .keys(&[keys(1, 0, 1, &[KeyFlags::RW, KeyFlags::UPDATE])])
        .docs(
            "Overwrites a part of the string at a key, padding with zero bytes up to it.",
            "O(M), M being the length of what is written",
            "key offset value",
        ),
    command(116, "incr", 2)
        .in_group(Group::String, "1.0.0")
        .flags(&[
            CommandFlags::WRITE,
            CommandFlags::DENYOOM,
            CommandFlags::FAST,
        ])
        .categories(&[AclCategories::STRING])
        .keys(&[keys(
            1,
            0,
            1,
            &[KeyFlags::RW, KeyFlags::ACCESS, KeyFlags::UPDATE],
        )])
        .docs("Adds one to the integer at a key.", "O(1)", "key"),
    command(117, "decr", 2)
        .in_group(Group::String, "1.0.0")
        .flags(&[
            CommandFlags::WRITE,
            CommandFlags::DENYOOM,
            CommandFlags::FAST,
        ])
        .categories(&[AclCategories::STRING])
        .keys(&[keys(
            1,
            0,
            1,
            &[KeyFlags::RW, KeyFlags::ACCESS, KeyFlags::UPDATE],
        )])
        .docs("Takes one from the integer at a key.", "O(1)", "key"),
    command(118, "incrby", 3)
        .in_group(Group::String, "1.0.0")
        .flags(&[
            CommandFlags::WRITE,
            CommandFlags::DENYOOM,
            CommandFlags::FAST,
        ])
        .categories(&[AclCategories::STRING])
        .keys(&[keys(
            1,
            0,
            1,
            &[KeyFlags::RW, KeyFlags::ACCESS, KeyFlags::UPDATE],
        )])
        .docs(
            "Adds a number to the integer at a key.",
            "O(1)",
            "key increment",
        ),
    command(119, "decrby", 3)
        .in_group(Group::String, "1.0.0")
        .flags(&[
            CommandFlags::WRITE,
            CommandFlags::DENYOOM,
            CommandFlags::FAST,
        ])
        .categories(&[AclCategories::STRING])
        .keys(&[keys(
            1,
            0,
            1,
            &[KeyFlags::RW, KeyFlags::ACCESS, KeyFlags::UPDATE],
        )])
        .docs(
            "Takes a number from the integer at a key.",
            "O(1)",
            "key decrement",
        ),
    command(120, "incrbyfloat", 3)
        .in_group(Group::String, "2.6.0")
        .flags(&[
            CommandFlags::WRITE,
            CommandFlags::DENYOOM,
            CommandFlags::FAST,
        ])
        .categories(&[AclCategories::STRING])
        .keys(&[keys(
            1,
            0,
            1,
            &[KeyFlags::RW, KeyFlags::ACCESS, KeyFlags::UPDATE],
        )])
        .docs(
            "Adds a decimal fraction to the number at a key.",
            "O(1)",
            "key increment",
        ),
    command(121, "lcs", -3)
        .in_group(Group::String, "7.0.0")
        .flags(&[CommandFlags::READONLY])
        .categories(&[AclCategories::STRING])
        .keys(&[keys(1, 1, 1, &[KeyFlags::RO, KeyFlags::ACCESS])])
        .docs(
            "Finds the longest common subsequence of the strings at two keys.",
            "O(N*M), N and M being the lengths of the strings",
            "key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]",
        ),
    command(122, "delifeq", 3)
        .in_group(Group::String, "9.0.0")
        .flags(&[CommandFlags::WRITE, CommandFlags::FAST])
        .categories(&[AclCategories::STRING])
        .keys(&[keys(1, 0, 1, &[KeyFlags::RM, KeyFlags::DELETE])])
        .docs(
            "Deletes a key if it holds exactly this string: the safe release of a lock \
                 (Valkey 9.0).",
            "O(1)",
            "key value",
        ),
];
