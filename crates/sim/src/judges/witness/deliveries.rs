//! What listeners hear: all subscribers get the messages of the log in its order, and a connection
//! misses none between two that it got.

use std::collections::BTreeMap;

use crate::history::{Delivery, History};
use crate::judges::Violation;
use crate::judges::witness::ledger::Record;
use crate::judges::witness::violation;

/// All messages that were published, in the order of the log.
#[derive(Debug, Default)]
pub(super) struct Published<'a> {
    /// How many there are.
    count: u64,
    /// By channel.
    channels: BTreeMap<&'a [u8], Channel<'a>>,
}

/// The messages of one channel. They carry tokens that are used once.
#[derive(Debug, Default)]
struct Channel<'a> {
    /// By message, its number in the channel and its number of all.
    messages: BTreeMap<&'a [u8], (u64, u64)>,
}

impl<'a> Published<'a> {
    /// Notes the messages of a record that takes place.
    pub(super) fn note(&mut self, record: &Record<'a>) {
        for call in &record.calls {
            if let ("PUBLISH", [channel, message]) = (call.name, &call.args[..]) {
                self.count += 1;
                let messages = &mut self.channels.entry(channel).or_default().messages;
                let number = messages.len() as u64;
                messages.insert(message, (number, self.count));
            }
        }
    }
}

/// What one connection heard last: of all channels, and of each.
#[derive(Debug, Default)]
struct Heard<'a> {
    any: Option<u64>,
    channels: BTreeMap<&'a [u8], u64>,
}

/// Checks what came to each connection. Returns how many messages that were.
pub(super) fn check(history: &History, published: &Published<'_>) -> Result<u64, Violation> {
    let mut connections: BTreeMap<(u32, u32), Heard<'_>> = BTreeMap::new();
    for delivery in &history.deliveries {
        let channel = published.channels.get(&delivery.channel[..]);
        let found = channel.and_then(|channel| channel.messages.get(&delivery.message[..]));
        let Some(&(number, of_all)) = found else {
            return Err(wrong(delivery, "which the log does not have"));
        };
        let connection = (delivery.process, delivery.session);
        let heard = connections.entry(connection).or_default();
        let before = heard.channels.insert(&delivery.channel, number);
        match before {
            Some(before) if number <= before => {
                return Err(wrong(delivery, "for the second time, or too late"));
            }
            Some(before) if number > before + 1 => {
                return Err(wrong(delivery, "and missed the one before it"));
            }
            _ => {}
        }
        if heard.any.replace(of_all) > Some(of_all) {
            return Err(wrong(delivery, "behind a later one of another channel"));
        }
    }
    Ok(history.deliveries.len() as u64)
}

fn wrong(delivery: &Delivery, what: &str) -> Violation {
    let Delivery {
        time_us,
        process,
        node,
        session,
        channel,
        message,
    } = delivery;
    violation(
        "published order",
        format!(
            "connection {session} of client {process}, through node {node}, heard {} on {} at \
             {time_us} us, {what}",
            message.escape_ascii(),
            channel.escape_ascii()
        ),
    )
}
