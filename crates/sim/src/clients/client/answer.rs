//! A reply meets its request.

use resp::Value;

use crate::clients::client::Client;
use crate::clients::connection::{Expect, Pending};
use crate::clients::replies::{ErrorKind, command_outcome, error_kind, exec_outcome};
use crate::clients::{Scene, Shared};
use crate::history::{Delivery, Outcome, Reply};

impl Client {
    /// Takes one reply, which begins at byte `start` of the connection.
    ///
    /// # Errors
    /// It cannot be the reply to what was asked; what was asked is still pending then.
    pub(super) fn reply(
        &mut self,
        value: Value,
        start: u64,
        shared: &mut Shared,
        scene: &mut Scene<'_>,
    ) -> Result<(), String> {
        let position = self.connection.position(start).map_err(|offset| {
            format!("a witness speaks of a reply at byte {offset}, and there is none")
        })?;
        let Some(value) = self.deliver(value, scene)? else {
            return Ok(());
        };
        let Some(&pending) = self.connection.pending.front() else {
            return Err(format!("nothing was asked that has the reply {value:?}"));
        };
        if let (Expect::Subscribed, Value::Error(text)) = (pending.expect, &value)
            && says_no(text)
        {
            self.subscribe_again(shared, scene);
            return Ok(());
        }
        let outcome = self.outcome(pending, value)?;
        self.connection.pending.pop_front();
        if let Some(op) = pending.op {
            let position = position.filter(|_| matches!(outcome, Outcome::Done(_)));
            shared.complete(scene, op, outcome, position);
        }
        Ok(())
    }

    /// Takes out what is no reply but a message on a channel.
    fn deliver(&mut self, value: Value, scene: &mut Scene<'_>) -> Result<Option<Value>, String> {
        let parts = match value {
            Value::Push(parts) => parts,
            Value::Array(parts) if self.listens_by_resp2() => parts,
            other => return Ok(Some(other)),
        };
        if let [kind, Value::Bulk(channel), Value::Bulk(message)] = &parts[..]
            && kind.as_bytes() == Some(b"message")
        {
            scene.history.deliveries.push(Delivery {
                time_us: scene.now_us,
                process: self.process(),
                node: self.node.0,
                session: self.session,
                channel: channel.clone(),
                message: message.clone(),
            });
            return Ok(None);
        }
        Ok(Some(Value::Array(parts)))
    }

    /// What a reply says of its request. An outcome that is no operation's is not looked at.
    fn outcome(&mut self, pending: Pending, value: Value) -> Result<Outcome, String> {
        let nothing = Outcome::Open;
        let expect = pending.expect;
        let misfit = |value: Value| format!("{value:?} is no reply to {expect:?}");
        let fits = match (pending.expect, &value) {
            (Expect::Command, _) => return command_outcome(value).map_err(misfit),
            (Expect::WatchedGet, _) => {
                let outcome = command_outcome(value).map_err(misfit)?;
                self.note_watched(&outcome);
                return Ok(outcome);
            }
            (Expect::Exec { commands, watches }, _) => {
                return exec_outcome(value, commands, watches).map_err(misfit);
            }
            (Expect::Watch, Value::Error(text)) => {
                if let Some(optimistic) = &mut self.optimistic {
                    optimistic.failed = true;
                }
                says_no(text)
            }
            (Expect::Queued, Value::Error(text)) => says_no(text),
            (Expect::Queued, Value::Simple(text)) => text == b"QUEUED",
            (Expect::Ok | Expect::Watch, Value::Simple(text)) => text == b"OK",
            (Expect::Discard, Value::Simple(text)) if text == b"OK" => {
                return Ok(Outcome::Failed("DISCARD".to_owned()));
            }
            (Expect::NoSuchCommand, Value::Error(text)) => text.starts_with(b"ERR unknown command"),
            (Expect::ExecRefused, Value::Error(text)) if text.starts_with(b"EXECABORT ") => {
                return Ok(Outcome::Failed("EXECABORT".to_owned()));
            }
            (Expect::Pong, Value::Simple(text)) => text == b"PONG",
            (Expect::Pong, Value::Array(parts)) => {
                matches!(&parts[..], [Value::Bulk(word), Value::Bulk(_)] if word == b"pong")
            }
            (Expect::Echo(number), Value::Bulk(text)) => {
                std::str::from_utf8(text).is_ok_and(|text| text.parse() == Ok(number))
            }
            (Expect::Hello, Value::Map(_)) => true,
            (Expect::Hello, Value::Array(parts)) => !parts.is_empty(),
            (Expect::Subscribed, Value::Array(parts)) => {
                parts.first().and_then(Value::as_bytes) == Some(b"subscribe")
            }
            _ => false,
        };
        match fits {
            true => Ok(nothing),
            false => Err(misfit(value)),
        }
    }

    fn note_watched(&mut self, outcome: &Outcome) {
        let Some(optimistic) = &mut self.optimistic else {
            return;
        };
        match outcome {
            Outcome::Done(replies) => match &replies[..] {
                [Reply::Text(text)] => optimistic.read(Some(text.clone())),
                _ => optimistic.read(None),
            },
            _ => {
                optimistic.failed = true;
                optimistic.read(None);
            }
        }
    }
}

/// Whether an error says that nothing was done, or may have been.
fn says_no(text: &[u8]) -> bool {
    matches!(error_kind(text), ErrorKind::Refused | ErrorKind::Uncertain)
}
