//! What a reply says: a result, a certain no, or a shrug.

use resp::Value;

use crate::history::{Outcome, Reply};

/// What an error reply says of its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// It was executed, and failed.
    Executed,
    /// It certainly took no effect.
    Refused,
    /// Nobody knows.
    Uncertain,
    /// No command of the clients is answered like this.
    Unexpected,
}

/// Reads an error as the documentation of the server tells its users to.
pub(crate) fn error_kind(text: &[u8]) -> ErrorKind {
    const EXECUTED: [&[u8]; 3] = [
        b"WRONGTYPE ",
        b"ERR value is not an integer or out of range",
        b"ERR increment or decrement would overflow",
    ];
    const REFUSED: [&[u8]; 3] = [b"NOQUORUM ", b"DISKFULL ", b"EXECABORT "];
    const REFUSED_ENDS: [&[u8]; 2] = [b", nothing was written", b", nothing was read"];
    if EXECUTED.iter().any(|start| text.starts_with(start)) {
        ErrorKind::Executed
    } else if text.starts_with(b"UNCERTAIN ") {
        ErrorKind::Uncertain
    } else if REFUSED.iter().any(|start| text.starts_with(start))
        || REFUSED_ENDS.iter().any(|end| text.ends_with(end))
    {
        ErrorKind::Refused
    } else {
        ErrorKind::Unexpected
    }
}

/// The outcome of an operation of one command.
///
/// # Errors
/// The reply, if no command of the clients is answered like this.
pub fn command_outcome(value: Value) -> Result<Outcome, Value> {
    match value {
        Value::Error(text) => error_outcome(text),
        value => into_reply(value).map(|reply| Outcome::Done(vec![reply])),
    }
}

/// The outcome of a transaction: of the reply to EXEC behind so many commands and, before them, watched
/// keys. If a watched key has changed, it is a single null.
///
/// # Errors
/// The reply, if no transaction of the clients is answered like this.
pub fn exec_outcome(value: Value, commands: usize, watches: usize) -> Result<Outcome, Value> {
    match value {
        Value::Null | Value::NullArray if watches > 0 => Ok(Outcome::Done(vec![Reply::Null])),
        Value::Array(values) if values.len() == commands => {
            let mut replies = vec![Reply::Text(b"OK".to_vec()); watches];
            for value in values {
                replies.push(into_reply(value)?);
            }
            Ok(Outcome::Done(replies))
        }
        Value::Error(text) if error_kind(&text) != ErrorKind::Executed => error_outcome(text),
        value => Err(value),
    }
}

/// An error reply as the outcome of its operation.
///
/// # Errors
/// The reply, if no command of the clients is answered like this.
fn error_outcome(text: Vec<u8>) -> Result<Outcome, Value> {
    match error_kind(&text) {
        ErrorKind::Executed => Ok(Outcome::Done(vec![Reply::Error(into_text(text))])),
        ErrorKind::Refused => Ok(Outcome::Failed(into_text(text))),
        ErrorKind::Uncertain => Ok(Outcome::Unknown(into_text(text))),
        ErrorKind::Unexpected => Err(Value::Error(text)),
    }
}

/// A reply of a command that was executed.
///
/// # Errors
/// The value, or the part of it, that no command of the clients replies.
fn into_reply(value: Value) -> Result<Reply, Value> {
    Ok(match value {
        Value::Simple(text) | Value::Bulk(text) => Reply::Text(text),
        Value::Integer(number) => Reply::Integer(number),
        Value::Null | Value::NullArray => Reply::Null,
        Value::Array(values) => Reply::List(
            values
                .into_iter()
                .map(into_reply)
                .collect::<Result<Vec<Reply>, Value>>()?,
        ),
        Value::Error(text) if error_kind(&text) == ErrorKind::Executed => {
            Reply::Error(into_text(text))
        }
        other => return Err(other),
    })
}

fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| error.as_bytes().escape_ascii().to_string())
}
