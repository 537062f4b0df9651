//! Messages on channels: heard once, in the order of the log, without a hole.
//!
//! A PUBLISH is an entry of the log, and every node hands it to its listeners when it applies
//! the entry. So what a connection hears on a channel is a piece of the log's sequence of messages on
//! it: it begins late and ends early, but nothing in between is missing, doubled or swapped. Two
//! connections, even of one client, may hear the same: the second may be to a node that lags.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::history::{Delivery, History, Operation, Outcome, Position};
use crate::judges::Violation;

/// The name of this judge.
pub const PROPERTY: &str = "deliveries";

/// A message as it was published.
struct Published {
    invoked_us: u64,
    failed: bool,
    position: Option<Position>,
}

/// Messages by channel and text.
type Messages<'a> = HashMap<(&'a [u8], &'a [u8]), Published>;

/// Checks all that listeners heard. Messages are expected to be unique. Where the server does not
/// say at which place of the log a message stands, order and holes are not looked at.
///
/// # Errors
/// If a message was heard that nobody had sent, or twice on a connection, or in another order than
/// that of the log, or if one was left out.
pub fn check(history: &History) -> Result<(), Violation> {
    if history.deliveries.is_empty() {
        return Ok(());
    }
    let mut messages = Messages::new();
    // Those that were certainly published, by channel, in the order of the log.
    let mut sequences: BTreeMap<&[u8], Vec<(Position, &[u8])>> = BTreeMap::new();
    for operation in &history.operations {
        let Some((channel, message)) = publish(operation) else {
            continue;
        };
        let published = Published {
            invoked_us: operation.invoked_us,
            failed: matches!(operation.outcome, Outcome::Failed(_)),
            position: operation.position,
        };
        messages.insert((channel, message), published);
        if let (Outcome::Done(_), Some(position)) = (&operation.outcome, operation.position) {
            let sequence = sequences.entry(channel).or_default();
            sequence.push((position, message));
        }
    }
    for sequence in sequences.values_mut() {
        sequence.sort_unstable();
    }
    // What each connection heard last on each channel, and all that it heard.
    let mut last: HashMap<(u32, u32, &[u8]), Position> = HashMap::new();
    let mut heard: HashSet<(u32, u32, &[u8], &[u8])> = HashSet::new();
    for delivery in &history.deliveries {
        let position = sent(delivery, &messages)?;
        let (process, session) = (delivery.process, delivery.session);
        let (channel, message) = (&delivery.channel[..], &delivery.message[..]);
        if !heard.insert((process, session, channel, message)) {
            return Err(violation(
                delivery,
                "was heard before on the same connection",
            ));
        }
        let Some(position) = position else { continue };
        let Some(before) = last.insert((process, session, channel), position) else {
            continue;
        };
        follows(delivery, before, position, &sequences)?;
    }
    Ok(())
}

/// The channel and the message, if the operation is a PUBLISH.
fn publish(operation: &Operation) -> Option<(&[u8], &[u8])> {
    let [command] = &operation.commands[..] else {
        return None;
    };
    match &command[..] {
        [name, channel, message] if name.eq_ignore_ascii_case(b"PUBLISH") => {
            Some((channel, message))
        }
        _ => None,
    }
}

/// A message that is heard was sent. Returns its place in the log, if it is known.
fn sent(delivery: &Delivery, messages: &Messages<'_>) -> Result<Option<Position>, Violation> {
    let key = (&delivery.channel[..], &delivery.message[..]);
    match messages.get(&key) {
        None => Err(violation(delivery, "was never sent on this channel")),
        Some(published) if published.failed => Err(violation(
            delivery,
            "was sent, and the sender was told that it was not",
        )),
        Some(published) if published.invoked_us > delivery.time_us => {
            Err(violation(delivery, "was sent later"))
        }
        Some(published) => Ok(published.position),
    }
}

/// A message comes behind the one before, and none of those between them is left out.
fn follows(
    delivery: &Delivery,
    before: Position,
    position: Position,
    sequences: &BTreeMap<&[u8], Vec<(Position, &[u8])>>,
) -> Result<(), Violation> {
    if position <= before {
        let detail = format!("stands at {position:?} and was heard behind that at {before:?}");
        return Err(violation(delivery, &detail));
    }
    let Some(sequence) = sequences.get(&delivery.channel[..]) else {
        return Ok(());
    };
    let next = sequence.partition_point(|&(other, _)| other <= before);
    match sequence.get(next) {
        Some(&(other, left_out)) if other < position => {
            let left_out = left_out.escape_ascii();
            let detail = format!("was heard, and '{left_out}' at {other:?} before it was not");
            Err(violation(delivery, &detail))
        }
        _ => Ok(()),
    }
}

fn violation(delivery: &Delivery, detail: &str) -> Violation {
    let Delivery {
        time_us,
        process,
        node,
        session,
        ..
    } = delivery;
    let message = delivery.message.escape_ascii();
    let channel = delivery.channel.escape_ascii();
    Violation {
        property: PROPERTY,
        detail: format!(
            "at {time_us} us client {process}, on connection {session} to node {node}, heard \
             '{message}' on '{channel}', which {detail}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Reply;

    /// Three messages on `p0`, at places 1, 2 and 3 of the log, and one that certainly was not sent.
    fn published() -> History {
        let mut history = History::default();
        for index in 1..=3 {
            let message = format!("m{index}").into_bytes();
            let op = publishes(&mut history, message);
            let position = Position { index, order: 0 };
            let done = Outcome::Done(vec![Reply::Integer(1)]);
            history.complete(20, op, done, Some(position));
        }
        let op = publishes(&mut history, b"m4".to_vec());
        history.complete(20, op, Outcome::Failed("NOQUORUM".to_owned()), None);
        publishes(&mut history, b"m5".to_vec());
        history
    }

    fn publishes(history: &mut History, message: Vec<u8>) -> usize {
        let command = vec![b"PUBLISH".to_vec(), b"p0".to_vec(), message];
        history.invoke(10, 1, 1, vec![command])
    }

    fn heard(messages: &[(u32, &str)]) -> Result<(), Violation> {
        heard_at(15, messages)
    }

    fn heard_at(time_us: u64, messages: &[(u32, &str)]) -> Result<(), Violation> {
        let mut history = published();
        for &(session, message) in messages {
            history.deliveries.push(Delivery {
                time_us,
                process: 2,
                node: 3,
                session,
                channel: b"p0".to_vec(),
                message: message.into(),
            });
        }
        check(&history)
    }

    fn detail(result: Result<(), Violation>) -> String {
        result.unwrap_err().detail
    }

    #[test]
    fn a_piece_of_the_sequence_is_fine_on_each_connection() {
        heard(&[(1, "m1"), (1, "m2"), (1, "m3")]).unwrap();
        heard(&[(1, "m2"), (1, "m3"), (2, "m1"), (2, "m2")]).unwrap();
        heard(&[(1, "m1"), (1, "m5"), (1, "m2")]).unwrap();
        heard(&[]).unwrap();
    }

    #[test]
    fn what_nobody_sent_is_not_heard() {
        assert!(detail(heard(&[(1, "m9")])).contains("never sent"));
        assert!(detail(heard(&[(1, "m4")])).contains("told that it was not"));
        assert!(detail(heard_at(5, &[(1, "m1")])).contains("sent later"));
    }

    #[test]
    fn a_message_is_not_heard_twice() {
        assert!(detail(heard(&[(1, "m1"), (1, "m1")])).contains("heard before"));
        assert!(detail(heard(&[(1, "m5"), (1, "m1"), (1, "m5")])).contains("heard before"));
    }

    #[test]
    fn messages_are_not_swapped() {
        assert!(detail(heard(&[(1, "m2"), (1, "m1")])).contains("was heard behind"));
    }

    #[test]
    fn no_message_is_left_out() {
        assert!(detail(heard(&[(1, "m1"), (1, "m3")])).contains("'m2'"));
    }
}
