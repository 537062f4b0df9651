//! Strings.

use crate::command::{CommandSpec, Group};
use crate::commands::{counters, lcs, strings, strings_range};
use crate::table::row::flag::{DENYOOM, FAST, READONLY, WRITE};
use crate::table::row::{access, category, command, keys, noted};

/// The rows of this family, numbers 100 to 199.
pub(super) static ROWS: &[CommandSpec] = &[
    command(100, "get", 2)
        .in_group(Group::String, "1.0.0")
        .flags(&[READONLY, FAST])
        .categories(&[category::STRING])
        .keys(&[keys(1, 0, 1, access::READ)])
        .docs("Replies the string at a key.", "O(1)", "key")
        .reads(strings::get),
    command(101, "set", -3)
        .in_group(Group::String, "1.0.0")
        .flags(&[WRITE, DENYOOM])
        .categories(&[category::STRING])
        .keys(&[noted(
            keys(1, 0, 1, access::SET),
            "RW and ACCESS due to the optional `GET` argument",
        )])
        .docs(
            "Sets a key to a string, whatever it held, under conditions and with an \
             expiry if asked.",
            "O(1)",
            "key value [NX | XX | IFEQ comparison-value] [GET] [EX seconds | PX \
             milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | \
             KEEPTTL]",
        )
        .writes(strings::set),
    command(102, "setnx", 3)
        .in_group(Group::String, "1.0.0")
        .flags(&[WRITE, DENYOOM, FAST])
        .categories(&[category::STRING])
        .keys(&[keys(1, 0, 1, access::CREATE)])
        .docs(
            "Sets a key to a string unless the key exists.",
            "O(1)",
            "key value",
        )
        .writes(strings::setnx),
    command(103, "setex", 4)
        .in_group(Group::String, "2.0.0")
        .flags(&[WRITE, DENYOOM])
        .categories(&[category::STRING])
        .keys(&[keys(1, 0, 1, access::OVERWRITE)])
        .docs(
            "Sets a key to a string that expires after some seconds.",
            "O(1)",
            "key seconds value",
        )
        .writes(strings::setex),
    command(104, "psetex", 4)
        .in_group(Group::String, "2.6.0")
        .flags(&[WRITE, DENYOOM])
        .categories(&[category::STRING])
        .keys(&[keys(1, 0, 1, access::OVERWRITE)])
        .docs(
            "Sets a key to a string that expires after some milliseconds.",
            "O(1)",
            "key milliseconds value",
        )
        .writes(strings::psetex),
    command(105, "getset", 3)
        .in_group(Group::String, "1.0.0")
        .flags(&[WRITE, DENYOOM, FAST])
        .categories(&[category::STRING])
        .keys(&[keys(1, 0, 1, access::MODIFY)])
        .deprecated("6.2.0", "SET with the GET argument")
        .docs(
            "Sets a key to a string and replies the string it held before.",
            "O(1)",
            "key value",
        )
        .writes(strings::getset),
    command(106, "getdel", 2)
        .in_group(Group::String, "6.2.0")
        .flags(&[WRITE, FAST])
        .categories(&[category::STRING])
        .keys(&[keys(1, 0, 1, access::TAKE)])
        .docs(
            "Replies the string at a key and deletes the key.",
            "O(1)",
            "key",
        )
        .writes(strings::getdel),
    command(107, "getex", -2)
        .in_group(Group::String, "6.2.0")
        .flags(&[WRITE, FAST])
        .categories(&[category::STRING])
        .keys(&[noted(
            keys(1, 0, 1, access::MODIFY),
            "RW and UPDATE because it changes the TTL",
        )])
        .docs(
            "Replies the string at a key and changes its expiry.",
            "O(1)",
            "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT \
             unix-time-milliseconds | PERSIST]",
        )
        .writes(strings::getex),
    command(108, "mget", -2)
        .in_group(Group::String, "1.0.0")
        .flags(&[READONLY, FAST])
        .categories(&[category::STRING])
        .keys(&[keys(1, -1, 1, access::READ)])
        .tips(&["request_policy:multi_shard"])
        .docs(
            "Replies the strings at several keys.",
            "O(N), N being the number of keys",
            "key [key ...]",
        )
        .reads(strings::mget),
    command(109, "mset", -3)
        .in_group(Group::String, "1.0.1")
        .flags(&[WRITE, DENYOOM])
        .categories(&[category::STRING])
        .keys(&[keys(1, -1, 2, access::OVERWRITE)])
        .tips(&[
            "request_policy:multi_shard",
            "response_policy:all_succeeded",
        ])
        .docs(
            "Sets several keys to strings, all at once.",
            "O(N), N being the number of keys",
            "key value [key value ...]",
        )
        .writes(strings::mset),
    command(110, "msetnx", -3)
        .in_group(Group::String, "1.0.1")
        .flags(&[WRITE, DENYOOM])
        .categories(&[category::STRING])
        .keys(&[keys(1, -1, 2, access::CREATE)])
        .tips(&["request_policy:multi_shard", "response_policy:agg_min"])
        .docs(
            "Sets several keys to strings, unless any of them exists.",
            "O(N), N being the number of keys",
            "key value [key value ...]",
        )
        .writes(strings::msetnx),
    command(111, "append", 3)
        .in_group(Group::String, "2.0.0")
        .flags(&[WRITE, DENYOOM, FAST])
        .categories(&[category::STRING])
        .keys(&[keys(1, 0, 1, access::EXTEND)])
        .docs(
            "Adds bytes to the end of the string at a key, creating it if need be.",
            "O(M), M being the length of what is added",
            "key value",
        )
        .writes(strings_range::append),
    command(112, "strlen", 2)
        .in_group(Group::String, "2.2.0")
        .flags(&[READONLY, FAST])
        .categories(&[category::STRING])
        .keys(&[keys(1, 0, 1, access::INSPECT)])
        .docs("Replies the length of the string at a key.", "O(1)", "key")
        .reads(strings::strlen),
    command(113, "getrange", 4)
        .in_group(Group::String, "2.4.0")
        .flags(&[READONLY])
        .categories(&[category::STRING])
        .keys(&[keys(1, 0, 1, access::READ)])
        .docs(
            "Replies a part of the string at a key.",
            "O(M), M being the length of the reply",
            "key start end",
        )
        .reads(strings_range::getrange),
    command(114, "substr", 4)
        .in_group(Group::String, "1.0.0")
        .flags(&[READONLY])
        .categories(&[category::STRING])
        .keys(&[keys(1, 0, 1, access::READ)])
        .deprecated("2.0.0", "GETRANGE")
        .docs(
            "Replies a part of the string at a key.",
            "O(M), M being the length of the reply",
            "key start end",
        )
        .reads(strings_range::substr),
    command(115, "setrange", 4)
        .in_group(Group::String, "2.2.0")
        .flags(&[WRITE, DENYOOM])
        .categories(&[category::STRING])
        .keys(&[keys(1, 0, 1, access::ALTER)])
        .docs(
            "Overwrites a part of the string at a key, padding with zero bytes up \
             to it.",
            "O(M), M being the length of what is written",
            "key offset value",
        )
        .writes(strings_range::setrange),
    command(116, "incr", 2)
        .in_group(Group::String, "1.0.0")
        .flags(&[WRITE, DENYOOM, FAST])
        .categories(&[category::STRING])
        .keys(&[keys(1, 0, 1, access::MODIFY)])
        .docs("Adds one to the integer at a key.", "O(1)", "key")
        .writes(counters::incr),
    command(117, "decr", 2)
        .in_group(Group::String, "1.0.0")
        .flags(&[WRITE, DENYOOM, FAST])
        .categories(&[category::STRING])
        .keys(&[keys(1, 0, 1, access::MODIFY)])
        .docs("Takes one from the integer at a key.", "O(1)", "key")
        .writes(counters::decr),
    command(118, "incrby", 3)
        .in_group(Group::String, "1.0.0")
        .flags(&[WRITE, DENYOOM, FAST])
        .categories(&[category::STRING])
        .keys(&[keys(1, 0, 1, access::MODIFY)])
        .docs(
            "Adds a number to the integer at a key.",
            "O(1)",
            "key increment",
        )
        .writes(counters::incrby),
    command(119, "decrby", 3)
        .in_group(Group::String, "1.0.0")
        .flags(&[WRITE, DENYOOM, FAST])
        .categories(&[category::STRING])
        .keys(&[keys(1, 0, 1, access::MODIFY)])
        .docs(
            "Takes a number from the integer at a key.",
            "O(1)",
            "key decrement",
        )
        .writes(counters::decrby),
    command(120, "incrbyfloat", 3)
        .in_group(Group::String, "2.6.0")
        .flags(&[WRITE, DENYOOM, FAST])
        .categories(&[category::STRING])
        .keys(&[keys(1, 0, 1, access::MODIFY)])
        .docs(
            "Adds a decimal fraction to the number at a key.",
            "O(1)",
            "key increment",
        )
        .writes(counters::incrbyfloat),
    command(121, "lcs", -3)
        .in_group(Group::String, "7.0.0")
        .flags(&[READONLY])
        .categories(&[category::STRING])
        .keys(&[keys(1, 1, 1, access::READ)])
        .docs(
            "Finds the longest common subsequence of the strings at two keys.",
            "O(N*M), N and M being the lengths of the strings",
            "key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]",
        )
        .reads(lcs::lcs),
    command(122, "delifeq", 3)
        .in_group(Group::String, "9.0.0")
        .flags(&[WRITE, FAST])
        .categories(&[category::STRING])
        .keys(&[keys(1, 0, 1, access::REMOVE)])
        .docs(
            "Deletes a key if it holds exactly this string: the safe release of a \
             lock (Valkey 9.0).",
            "O(1)",
            "key value",
        )
        .writes(strings::delifeq),
];
