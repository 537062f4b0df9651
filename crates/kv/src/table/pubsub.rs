//! Publish and subscribe.

use crate::command::{CommandSpec, Group};
use crate::commands::server_data;
use crate::table::row::flag::{FAST, LOADING, NOSCRIPT, PUBSUB, STALE};
use crate::table::row::{access, command, keys, subcommand};

/// The rows of this family, numbers 500 to 599.
pub(super) static ROWS: &[CommandSpec] = &[
    command(500, "subscribe", -2)
        .in_group(Group::PubSub, "2.0.0")
        .flags(&[PUBSUB, NOSCRIPT, LOADING, STALE])
        .docs(
            "Listens to channels.",
            "O(N), N being the number of channels",
            "channel [channel ...]",
        ),
    command(501, "unsubscribe", -1)
        .in_group(Group::PubSub, "2.0.0")
        .flags(&[PUBSUB, NOSCRIPT, LOADING, STALE])
        .docs(
            "Stops listening to channels.",
            "O(N), N being the number of channels",
            "[channel [channel ...]]",
        ),
    command(502, "psubscribe", -2)
        .in_group(Group::PubSub, "2.0.0")
        .flags(&[PUBSUB, NOSCRIPT, LOADING, STALE])
        .docs(
            "Listens to the channels that match patterns.",
            "O(N), N being the number of patterns",
            "pattern [pattern ...]",
        ),
    command(503, "punsubscribe", -1)
        .in_group(Group::PubSub, "2.0.0")
        .flags(&[PUBSUB, NOSCRIPT, LOADING, STALE])
        .docs(
            "Stops listening to the channels that match patterns.",
            "O(N), N being the number of patterns",
            "[pattern [pattern ...]]",
        ),
    command(504, "ssubscribe", -2)
        .in_group(Group::PubSub, "7.0.0")
        .flags(&[PUBSUB, NOSCRIPT, LOADING, STALE])
        .keys(&[keys(1, -1, 1, access::CHANNEL)])
        .docs(
            "Listens to shard channels.",
            "O(N), N being the number of channels",
            "shardchannel [shardchannel ...]",
        ),
    command(505, "sunsubscribe", -1)
        .in_group(Group::PubSub, "7.0.0")
        .flags(&[PUBSUB, NOSCRIPT, LOADING, STALE])
        .keys(&[keys(1, -1, 1, access::CHANNEL)])
        .docs(
            "Stops listening to shard channels.",
            "O(N), N being the number of channels",
            "[shardchannel [shardchannel ...]]",
        ),
    command(506, "publish", 3)
        .in_group(Group::PubSub, "2.0.0")
        .flags(&[PUBSUB, LOADING, STALE, FAST])
        .docs(
            "Sends a message to those who listen to a channel, on every node.",
            "O(N+M), N being the number of listeners and M of patterns",
            "channel message",
        )
        .writes(server_data::publish),
    command(507, "spublish", 3)
        .in_group(Group::PubSub, "7.0.0")
        .flags(&[PUBSUB, LOADING, STALE, FAST])
        .keys(&[keys(1, 0, 1, access::CHANNEL)])
        .docs(
            "Sends a message to those who listen to a shard channel, on every node.",
            "O(N), N being the number of listeners",
            "shardchannel message",
        )
        .writes(server_data::spublish),
    command(508, "pubsub", -2)
        .in_group(Group::PubSub, "2.8.0")
        .docs(
            "Looks at what is listened to on this node.",
            "Depends on the subcommand",
            "",
        )
        .subcommands(&[
            subcommand(509, "pubsub", "channels", -2)
                .in_group(Group::PubSub, "2.8.0")
                .flags(&[PUBSUB, LOADING, STALE])
                .docs(
                    "Lists the channels that are listened to.",
                    "O(N), N being the number of channels",
                    "[pattern]",
                ),
            subcommand(510, "pubsub", "help", 2)
                .in_group(Group::PubSub, "6.2.0")
                .flags(&[LOADING, STALE])
                .docs("Describes the subcommands.", "O(1)", ""),
            subcommand(511, "pubsub", "numpat", 2)
                .in_group(Group::PubSub, "2.8.0")
                .flags(&[PUBSUB, LOADING, STALE])
                .docs("Counts the patterns that are listened to.", "O(1)", ""),
            subcommand(512, "pubsub", "numsub", -2)
                .in_group(Group::PubSub, "2.8.0")
                .flags(&[PUBSUB, LOADING, STALE])
                .docs(
                    "Counts the listeners of channels.",
                    "O(N), N being the number of channels asked for",
                    "[channel [channel ...]]",
                ),
            subcommand(513, "pubsub", "shardchannels", -2)
                .in_group(Group::PubSub, "7.0.0")
                .flags(&[PUBSUB, LOADING, STALE])
                .docs(
                    "Lists the shard channels that are listened to.",
                    "O(N), N being the number of channels",
                    "[pattern]",
                ),
            subcommand(514, "pubsub", "shardnumsub", -2)
                .in_group(Group::PubSub, "7.0.0")
                .flags(&[PUBSUB, LOADING, STALE])
                .docs(
                    "Counts the listeners of shard channels.",
                    "O(N), N being the number of channels asked for",
                    "[shardchannel [shardchannel ...]]",
                ),
        ]),
];
