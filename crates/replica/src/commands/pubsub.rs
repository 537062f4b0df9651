//! SUBSCRIBE and its kin, PUBSUB. PUBLISH and SPUBLISH are writes: they are kv's.

use resp::Encoder;

use crate::config::ClientId;
use crate::node::Node;
use crate::pubsub::{Topic, count_of, names_of};

use super::reply::wrong_arguments;
use super::{SessionCommand, command, in_place};

pub(super) fn find(name: &str) -> Option<SessionCommand> {
    Some(match name {
        "channels" => in_place(channels),
        "numsub" => in_place(numsub),
        "numpat" => in_place(numpat),
        "shardchannels" => in_place(shard_channels),
        "shardnumsub" => in_place(shard_numsub),
        "help" => in_place(command::help),
        _ => return None,
    })
}

/// `SUBSCRIBE channel [channel ...]`
pub(super) fn subscribe(node: &mut Node, client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    add(node, client, Topic::Channel, args, out);
}

/// `PSUBSCRIBE pattern [pattern ...]`
pub(super) fn psubscribe(node: &mut Node, client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    add(node, client, Topic::Pattern, args, out);
}

/// `SSUBSCRIBE shardchannel [shardchannel ...]`
pub(super) fn ssubscribe(node: &mut Node, client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    add(node, client, Topic::ShardChannel, args, out);
}

/// `UNSUBSCRIBE [channel [channel ...]]`
pub(super) fn unsubscribe(
    node: &mut Node,
    client: ClientId,
    args: &[&[u8]],
    out: &mut Encoder<'_>,
) {
    remove(node, client, Topic::Channel, args, out);
}

/// `PUNSUBSCRIBE [pattern [pattern ...]]`
pub(super) fn punsubscribe(
    node: &mut Node,
    client: ClientId,
    args: &[&[u8]],
    out: &mut Encoder<'_>,
) {
    remove(node, client, Topic::Pattern, args, out);
}

/// `SUNSUBSCRIBE [shardchannel [shardchannel ...]]`
pub(super) fn sunsubscribe(
    node: &mut Node,
    client: ClientId,
    args: &[&[u8]],
    out: &mut Encoder<'_>,
) {
    remove(node, client, Topic::ShardChannel, args, out);
}

/// The words of the confirmations.
fn confirmations(topic: Topic) -> (&'static [u8], &'static [u8]) {
    match topic {
        Topic::Channel => (b"subscribe", b"unsubscribe"),
        Topic::Pattern => (b"psubscribe", b"punsubscribe"),
        Topic::ShardChannel => (b"ssubscribe", b"sunsubscribe"),
    }
}

fn add(node: &mut Node, client: ClientId, topic: Topic, args: &[&[u8]], out: &mut Encoder<'_>) {
    let Node {
        sessions, pubsub, ..
    } = node;
    let Some(session) = sessions.find_mut(client) else {
        return;
    };
    for name in &args[1..] {
        let count = pubsub.subscribe(topic, client, session, name);
        confirm(out, confirmations(topic).0, Some(name), count);
    }
}

/// Without names all subscriptions of the kind end, each with a confirmation; if there are none, one
/// confirmation names none.
fn remove(node: &mut Node, client: ClientId, topic: Topic, args: &[&[u8]], out: &mut Encoder<'_>) {
    let Node {
        sessions, pubsub, ..
    } = node;
    let Some(session) = sessions.find_mut(client) else {
        return;
    };
    let word = confirmations(topic).1;
    if args.len() > 1 {
        for name in &args[1..] {
            let count = pubsub.unsubscribe(topic, client, session, name);
            confirm(out, word, Some(name), count);
        }
        return;
    }
    let names = names_of(session, topic).clone();
    if names.is_empty() {
        return confirm(out, word, None, count_of(session, topic));
    }
    for name in names {
        let count = pubsub.unsubscribe(topic, client, session, &name);
        confirm(out, word, Some(&name), count);
    }
}

fn confirm(out: &mut Encoder<'_>, word: &[u8], name: Option<&[u8]>, count: usize) {
    out.push(3);
    out.bulk(word);
    match name {
        Some(name) => out.bulk(name),
        None => out.null(),
    }
    out.integer(count as i64);
}

/// `PUBSUB CHANNELS [pattern]`
fn channels(node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    list(node, Topic::Channel, args, out);
}

/// `PUBSUB SHARDCHANNELS [pattern]`
fn shard_channels(node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    list(node, Topic::ShardChannel, args, out);
}

fn list(node: &Node, topic: Topic, args: &[&[u8]], out: &mut Encoder<'_>) {
    if args.len() > 3 {
        return wrong_arguments(out, args);
    }
    let matches = |name: &&[u8]| args.get(2).is_none_or(|glob| kv::glob::matches(glob, name));
    let names: Vec<&[u8]> = node.pubsub.names(topic).filter(matches).collect();
    out.array(names.len());
    for name in names {
        out.bulk(name);
    }
}

/// `PUBSUB NUMSUB [channel [channel ...]]`
fn numsub(node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    count(node, Topic::Channel, args, out);
}

/// `PUBSUB SHARDNUMSUB [shardchannel [shardchannel ...]]`
fn shard_numsub(node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    count(node, Topic::ShardChannel, args, out);
}

fn count(node: &Node, topic: Topic, args: &[&[u8]], out: &mut Encoder<'_>) {
    out.array(2 * (args.len() - 2));
    for name in &args[2..] {
        out.bulk(name);
        out.integer(node.pubsub.listener_count(topic, name) as i64);
    }
}

/// `PUBSUB NUMPAT`
fn numpat(node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    out.integer(node.pubsub.name_count(Topic::Pattern) as i64);
}
