//! Operations in words, for those who read what a judge found.

use crate::history::{History, Outcome, Reply};
use crate::judges::Violation;

/// How many bytes of a value are shown.
const SHOWN_BYTES_MAX: usize = 60;

/// A violation, and the operations that show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// In words.
    pub violation: Violation,
    /// Their numbers in the history, sorted.
    pub operations: Vec<usize>,
}

impl Evidence {
    /// Evidence for the breach of a property.
    pub(crate) fn new(
        property: &'static str,
        detail: String,
        mut operations: Vec<usize>,
    ) -> Evidence {
        operations.sort_unstable();
        operations.dedup();
        Evidence {
            violation: Violation { property, detail },
            operations,
        }
    }
}

/// An operation on one line: its number, process, node and times in milliseconds, what it asked and was
/// told.
pub fn describe(history: &History, op: usize) -> String {
    let Some(operation) = history.operations.get(op) else {
        return format!("#{op}");
    };
    let end = match operation.completed_us {
        Some(end) => milliseconds(end),
        None => "...".to_owned(),
    };
    format!(
        "#{op} p{} n{} [{} .. {end}] {} -> {}",
        operation.process,
        operation.node,
        milliseconds(operation.invoked_us),
        asked(&operation.commands),
        told(&operation.outcome)
    )
}

/// Commands as one would type them.
pub fn asked(commands: &[Vec<Vec<u8>>]) -> String {
    let commands: Vec<String> = commands
        .iter()
        .map(|command| {
            let words: Vec<String> = command.iter().map(|word| word_of(word)).collect();
            words.join(" ")
        })
        .collect();
    match commands.len() {
        1 => commands.join(""),
        _ => format!("MULTI {{{}}}", commands.join("; ")),
    }
}

/// What came of an operation.
pub fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Open => "no reply".to_owned(),
        Outcome::Done(replies) => {
            let replies: Vec<String> = replies.iter().map(reply).collect();
            replies.join("; ")
        }
        Outcome::Failed(error) => format!("failed ({})", cut(error)),
        Outcome::Unknown(error) => format!("unknown ({})", cut(error)),
    }
}

/// A time in milliseconds.
pub fn milliseconds(us: u64) -> String {
    format!("{}.{:03}", us / 1000, us % 1000)
}

fn reply(reply_: &Reply) -> String {
    match reply_ {
        Reply::Text(text) => word_of(text),
        Reply::Integer(number) => number.to_string(),
        Reply::Null => "null".to_owned(),
        Reply::List(replies) => {
            let replies: Vec<String> = replies.iter().map(reply).collect();
            format!("[{}]", replies.join(", "))
        }
        Reply::Error(error) => format!("error ({})", cut(error)),
    }
}

/// A word, in quotes if it is no plain one.
fn word_of(word: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'"';
    let text = String::from_utf8_lossy(word);
    let text = match !word.is_empty() && word.iter().all(is_plain) {
        true => text.into_owned(),
        false => format!("{text:?}"),
    };
    cut(&text)
}

/// The beginning and the end of a long text: both tell something of a list.
fn cut(text: &str) -> String {
    let length = text.chars().count();
    if length <= SHOWN_BYTES_MAX {
        return text.to_owned();
    }
    let half = SHOWN_BYTES_MAX / 2;
    let start: String = text.chars().take(half).collect();
    let end: String = text.chars().skip(length - half).collect();
    format!("{start}...{end}")
}
