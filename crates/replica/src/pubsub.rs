//! Who on this node is subscribed to what, and the delivery of messages.
//!
//! A PUBLISH is an entry of the log; every replica hands it to its own subscribers when it applies
//! the entry. So every node knows only its own clients' subscriptions, all subscribers see messages
//! in one order, and a client that is connected when the entry is applied gets each message once.
//! What a client misses while it is away is gone, as with Redis.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kv::glob;
use resp::{Encoder, Protocol};

use crate::config::ClientId;
use crate::session::{Session, Sessions};

/// What a subscription names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    /// A channel: SUBSCRIBE, PUBLISH.
    Channel,
    /// A glob pattern over channels: PSUBSCRIBE.
    Pattern,
    /// A sharded channel: SSUBSCRIBE, SPUBLISH. Here they differ from channels in name only, since
    /// every node delivers every message.
    ShardChannel,
}

/// Subscriptions of this node's clients. The sessions hold the same facts by client
/// ([`PubSub::subscribe`] and its kin keep both), so that neither side is ever searched.
///
/// Invariant: no set of listeners is empty.
#[derive(Debug, Default)]
pub(crate) struct PubSub {
    channels: Listeners,
    patterns: Listeners,
    shard_channels: Listeners,
}

/// Clients by what they listen to, in an order that is the same in every run: the simulator compares
/// outputs byte by byte.
type Listeners = BTreeMap<Bytes, BTreeSet<ClientId>>;

impl PubSub {
    /// Subscribes a client. Returns how many subscriptions it has, as the confirmation counts them.
    pub(crate) fn subscribe(
        &mut self,
        topic: Topic,
        client: ClientId,
        session: &mut Session,
        name: &[u8],
    ) -> usize {
        let names = names_of(session, topic);
        if !names.contains(name) {
            let name = Bytes::copy_from_slice(name);
            names.insert(name.clone());
            self.listeners_mut(topic)
                .entry(name)
                .or_default()
                .insert(client);
        }
        count_of(session, topic)
    }

    /// Ends a subscription, if there is one. Returns how many are left.
    pub(crate) fn unsubscribe(
        &mut self,
        topic: Topic,
        client: ClientId,
        session: &mut Session,
        name: &[u8],
    ) -> usize {
        if names_of(session, topic).remove(name) {
            self.forget(topic, client, name);
        }
        count_of(session, topic)
    }

    /// Ends all subscriptions of a client that leaves or resets its connection.
    pub(crate) fn remove_client(&mut self, client: ClientId, session: &mut Session) {
        for topic in [Topic::Channel, Topic::Pattern, Topic::ShardChannel] {
            for name in std::mem::take(names_of(session, topic)) {
                self.forget(topic, client, &name);
            }
        }
    }

    /// Delivers a message to this node's subscribers, into their output; the clients that got
    /// something are added to `flush`. Returns how many deliveries there were, as PUBLISH counts: a
    /// client that matches by its channel and by two patterns gets the message three times.
    pub(crate) fn publish(
        &self,
        sessions: &mut Sessions,
        flush: &mut Vec<ClientId>,
        sharded: bool,
        channel: &[u8],
        message: &[u8],
    ) -> i64 {
        let (listeners, kind) = match sharded {
            true => (&self.shard_channels, b"smessage".as_slice()),
            false => (&self.channels, b"message".as_slice()),
        };
        let mut delivered = 0;
        if let Some(clients) = listeners.get(channel) {
            delivered += deliver(sessions, flush, clients, &[kind, channel, message]);
        }
        if !sharded {
            for (pattern, clients) in &self.patterns {
                if glob::matches(pattern, channel) {
                    let parts = [b"pmessage".as_slice(), pattern, channel, message];
                    delivered += deliver(sessions, flush, clients, &parts);
                }
            }
        }
        delivered
    }

    /// What is subscribed to at all, in order.
    pub(crate) fn names(&self, topic: Topic) -> impl Iterator<Item = &[u8]> {
        self.listeners(topic).keys().map(|name| &name[..])
    }

    /// How many different things are subscribed to.
    pub(crate) fn name_count(&self, topic: Topic) -> usize {
        self.listeners(topic).len()
    }

    /// How many clients are subscribed to one of them.
    pub(crate) fn listener_count(&self, topic: Topic, name: &[u8]) -> usize {
        self.listeners(topic).get(name).map_or(0, BTreeSet::len)
    }

    fn forget(&mut self, topic: Topic, client: ClientId, name: &[u8]) {
        let listeners = self.listeners_mut(topic);
        if let Some(clients) = listeners.get_mut(name) {
            clients.remove(&client);
            if clients.is_empty() {
                listeners.remove(name);
            }
        }
    }

    fn listeners(&self, topic: Topic) -> &Listeners {
        match topic {
            Topic::Channel => &self.channels,
            Topic::Pattern => &self.patterns,
            Topic::ShardChannel => &self.shard_channels,
        }
    }

    fn listeners_mut(&mut self, topic: Topic) -> &mut Listeners {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
            Topic::ShardChannel => &mut self.shard_channels,
        }
    }
}

/// The names that a session is subscribed to.
pub(crate) fn names_of(session: &mut Session, topic: Topic) -> &mut BTreeSet<Bytes> {
    match topic {
        Topic::Channel => &mut session.channels,
        Topic::Pattern => &mut session.patterns,
        Topic::ShardChannel => &mut session.shard_channels,
    }
}

/// The number in a confirmation: Redis counts channels and patterns together, shard channels alone.
pub(crate) fn count_of(session: &Session, topic: Topic) -> usize {
    match topic {
        Topic::Channel | Topic::Pattern => session.subscription_count(),
        Topic::ShardChannel => session.shard_channels.len(),
    }
}

/// Appends a message to the output of each client. It is encoded at most once per protocol, however
/// many clients get it.
fn deliver(
    sessions: &mut Sessions,
    flush: &mut Vec<ClientId>,
    clients: &BTreeSet<ClientId>,
    parts: &[&[u8]],
) -> i64 {
    let (mut resp2, mut resp3) = (None, None);
    let mut delivered = 0;
    for &client in clients {
        let Some(session) = sessions.find_mut(client) else {
            continue;
        };
        if session.closing {
            continue;
        }
        let encoded = match session.protocol {
            Protocol::Resp2 => &mut resp2,
            Protocol::Resp3 => &mut resp3,
        };
        let bytes = encoded.get_or_insert_with(|| encode(parts, session.protocol));
        session.output.extend_from_slice(bytes);
        if !session.flushing {
            session.flushing = true;
            flush.push(client);
        }
        delivered += 1;
    }
    delivered
}

fn encode(parts: &[&[u8]], protocol: Protocol) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = Encoder::new(&mut bytes, protocol);
    out.push(parts.len());
    for part in parts {
        out.bulk(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ClientInfo;

    struct World {
        pubsub: PubSub,
        sessions: Sessions,
        flush: Vec<ClientId>,
    }

    impl World {
        fn new() -> Self {
            World {
                pubsub: PubSub::default(),
                sessions: Sessions::default(),
                flush: Vec::new(),
            }
        }

        fn client(&mut self, protocol: Protocol) -> ClientId {
            let client = self.sessions.insert(ClientInfo::default(), 0, true);
            self.sessions
                .find_mut(client)
                .expect("just inserted")
                .protocol = protocol;
            client
        }

        fn subscribe(&mut self, client: ClientId, topic: Topic, name: &str) -> usize {
            let session = self.sessions.find_mut(client).expect("there");
            self.pubsub
                .subscribe(topic, client, session, name.as_bytes())
        }

        fn publish(&mut self, sharded: bool, channel: &str, message: &str) -> i64 {
            let World {
                pubsub,
                sessions,
                flush,
            } = self;
            pubsub.publish(
                sessions,
                flush,
                sharded,
                channel.as_bytes(),
                message.as_bytes(),
            )
        }

        fn output(&mut self, client: ClientId) -> String {
            let session = self.sessions.find_mut(client).expect("there");
            session.flushing = false;
            String::from_utf8(std::mem::take(&mut session.output)).expect("text")
        }
    }

    #[test]
    fn a_message_is_an_array_in_resp2_and_a_push_in_resp3() {
        let mut world = World::new();
        let (old, new) = (world.client(Protocol::Resp2), world.client(Protocol::Resp3));
        world.subscribe(old, Topic::Channel, "news");
        world.subscribe(new, Topic::Pattern, "n*");
        assert_eq!(world.publish(false, "news", "hi"), 2);
        assert_eq!(world.flush, [old, new]);
        assert_eq!(
            world.output(old),
            "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n"
        );
        let expected = ">4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$2\r\nhi\r\n";
        assert_eq!(world.output(new), expected);
    }

    #[test]
    fn a_client_gets_a_message_once_per_matching_subscription_channel_first() {
        let mut world = World::new();
        let client = world.client(Protocol::Resp2);
        world.subscribe(client, Topic::Pattern, "*");
        world.subscribe(client, Topic::Channel, "a");
        assert_eq!(world.subscribe(client, Topic::Channel, "a"), 2);
        assert_eq!(world.publish(false, "a", "x"), 2);
        assert_eq!(world.flush, [client]);
        let output = world.output(client);
        assert!(output.starts_with("*3\r\n$7\r\nmessage"), "{output}");
        assert!(output.contains("*4\r\n$8\r\npmessage"), "{output}");
    }

    #[test]
    fn sharded_channels_are_apart_and_have_no_patterns() {
        let mut world = World::new();
        let client = world.client(Protocol::Resp2);
        world.subscribe(client, Topic::Pattern, "*");
        assert_eq!(world.subscribe(client, Topic::ShardChannel, "s"), 1);
        assert_eq!(world.publish(false, "s", "x"), 1);
        world.output(client);
        assert_eq!(world.publish(true, "s", "x"), 1);
        assert_eq!(
            world.output(client),
            "*3\r\n$8\r\nsmessage\r\n$1\r\ns\r\n$1\r\nx\r\n"
        );
    }

    #[test]
    fn nothing_is_left_of_a_client_that_leaves() {
        let mut world = World::new();
        let client = world.client(Protocol::Resp2);
        world.subscribe(client, Topic::Pattern, "*");
        world.subscribe(client, Topic::Channel, "a");
        world.subscribe(client, Topic::ShardChannel, "s");
        let mut session = world.sessions.remove(client).expect("there");
        world.pubsub.remove_client(client, &mut session);
        for topic in [Topic::Channel, Topic::Pattern, Topic::ShardChannel] {
            assert_eq!(world.pubsub.name_count(topic), 0);
        }
        assert_eq!(world.publish(false, "a", "x"), 0);
    }

    #[test]
    fn a_client_that_is_being_closed_gets_nothing_more() {
        let mut world = World::new();
        let client = world.client(Protocol::Resp2);
        world.subscribe(client, Topic::Channel, "a");
        world.sessions.find_mut(client).expect("there").closing = true;
        assert_eq!(world.publish(false, "a", "x"), 0);
        assert!(world.flush.is_empty());
    }
}
