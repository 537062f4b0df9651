//! A history from JSON lines: what is wrong with a file is said with its line and column.

use std::io::{self, BufRead};

use serde_json::{Map, Value};
use thiserror::Error;

use crate::history::{Delivery, History, Outcome, Position, Reply};

/// Why a file is not a history.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The file cannot be read.
    #[error("line {line}: cannot be read: {source}")]
    Read {
        /// The line, from 1.
        line: usize,
        /// What the system says.
        source: io::Error,
    },
    /// A line is not JSON.
    #[error(
        "line {line}, column {column}: not JSON ({reason}). Each line must be one JSON object; if the recorder was killed while it wrote the last line, delete that line"
    )]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The byte of the line, from 1.
        column: usize,
        /// What the parser says.
        reason: String,
    },
    /// A line is JSON, but not an event that can stand there.
    #[error("line {line}, column {column}: {problem}")]
    Event {
        /// The line, from 1.
        line: usize,
        /// The byte of the line, from 1: where the field begins, if it is one field that is wrong.
        column: usize,
        /// What is wrong with it.
        problem: HistoryProblem,
    },
}

/// What is wrong with an event.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HistoryProblem {
    /// Not an object.
    #[error("an event is an object: {{\"time\": ..., \"type\": ..., \"op\": ...}}")]
    NotAnObject,
    /// A field is missing.
    #[error("the field \"{0}\" is missing")]
    Missing(&'static str),
    /// A field holds something else than it should.
    #[error("\"{field}\" must be {expected}")]
    Unfit {
        /// The field.
        field: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// The kind of event is not known.
    #[error("the type {0:?} is none of \"invoke\", \"ok\", \"fail\", \"info\", \"message\"")]
    UnknownType(String),
    /// Time went backwards.
    #[error(
        "time {time} comes after {previous}: write the events in the order in which they happened, by one clock"
    )]
    OutOfOrder {
        /// The time of this event.
        time: u64,
        /// The time of the event before.
        previous: u64,
    },
    /// An operation's number is not the next.
    #[error(
        "operation {op} is asked where {expected} is the next number: a line is missing, or stands elsewhere"
    )]
    NumberSkipped {
        /// The number found.
        op: u64,
        /// The number expected.
        expected: usize,
    },
    /// An operation is asked twice.
    #[error("operation {0} was asked before: give each operation a number of its own")]
    AskedTwice(u64),
    /// An operation ends that was never asked.
    #[error("operation {0} ends but was never asked: its \"invoke\" is missing, or stands later")]
    NeverAsked(u64),
    /// An operation ends twice.
    #[error(
        "operation {0} ended before: keep the first end, or write \"info\" once if nobody knows"
    )]
    EndedTwice(u64),
    /// There are not as many replies as commands.
    #[error("operation {op} has {commands} commands and {replies} replies: one is needed for each")]
    ReplyCount {
        /// The operation.
        op: u64,
        /// How many commands.
        commands: usize,
        /// How many replies.
        replies: usize,
    },
}

impl History {
    /// Reads a history of JSON lines. Empty lines are passed over.
    ///
    /// # Errors
    /// If a line cannot be read or is not an event that can stand there.
    pub fn read_json_lines(mut input: impl BufRead) -> Result<History, HistoryError> {
        let mut reader = Reader::default();
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            reader.line += 1;
            let line = reader.line;
            let length = input
                .read_until(b'\n', &mut bytes)
                .map_err(|source| HistoryError::Read { line, source })?;
            if length == 0 {
                return Ok(reader.history);
            }
            if !bytes.trim_ascii().is_empty() {
                reader.take_line(&bytes)?;
            }
        }
    }
}

/// A history that grows line by line.
#[derive(Default)]
struct Reader {
    history: History,
    line: usize,
    previous_us: u64,
}

/// A problem and the field that has it.
type Found = (Option<&'static str>, HistoryProblem);

impl Reader {
    fn take_line(&mut self, bytes: &[u8]) -> Result<(), HistoryError> {
        let line = self.line;
        let value: Value = serde_json::from_slice(bytes).map_err(|error| HistoryError::Syntax {
            line,
            column: error.column().max(1),
            reason: reason_of(&error),
        })?;
        self.take_event(&value)
            .map_err(|(field, problem)| HistoryError::Event {
                line,
                column: column_of(bytes, field),
                problem,
            })
    }

    fn take_event(&mut self, value: &Value) -> Result<(), Found> {
        let event = value
            .as_object()
            .ok_or((None, HistoryProblem::NotAnObject))?;
        let time = number(event, "time")?;
        let kind = match present(event, "type")? {
            Value::String(kind) => kind.as_str(),
            _ => return Err(unfit("type", "a string")),
        };
        if time < self.previous_us {
            let previous = self.previous_us;
            return Err((Some("time"), HistoryProblem::OutOfOrder { time, previous }));
        }
        match kind {
            "invoke" => self.take_invoked(time, number(event, "op")?, event)?,
            "ok" | "fail" | "info" => {
                self.take_completed(time, number(event, "op")?, kind, event)?;
            }
            "message" => self.take_delivery(time, event)?,
            other => {
                let problem = HistoryProblem::UnknownType(other.to_owned());
                return Err((Some("type"), problem));
            }
        }
        self.previous_us = time;
        Ok(())
    }

    fn take_invoked(
        &mut self,
        time: u64,
        op: u64,
        event: &Map<String, Value>,
    ) -> Result<(), Found> {
        let expected = self.history.operations.len();
        if op < expected as u64 {
            return Err((Some("op"), HistoryProblem::AskedTwice(op)));
        }
        if op > expected as u64 {
            let problem = HistoryProblem::NumberSkipped { op, expected };
            return Err((Some("op"), problem));
        }
        let process = small_number(event, "process")?;
        let node = match event.get("node") {
            None => 0,
            Some(_) => number(event, "node")?,
        };
        let commands = commands(present(event, "commands")?)?;
        self.history.invoke(time, process, node, commands);
        Ok(())
    }

    fn take_delivery(&mut self, time_us: u64, event: &Map<String, Value>) -> Result<(), Found> {
        let text = |field| {
            argument(present(event, field)?).ok_or(unfit(field, "a string, or {\"hex\": ...}"))
        };
        self.history.deliveries.push(Delivery {
            time_us,
            process: small_number(event, "process")?,
            node: number(event, "node")?,
            session: small_number(event, "session")?,
            channel: text("channel")?,
            message: text("message")?,
        });
        Ok(())
    }

    fn take_completed(
        &mut self,
        time: u64,
        op: u64,
        kind: &str,
        event: &Map<String, Value>,
    ) -> Result<(), Found> {
        let operation = usize::try_from(op)
            .ok()
            .and_then(|op| self.history.operations.get(op))
            .ok_or((Some("op"), HistoryProblem::NeverAsked(op)))?;
        if operation.outcome != Outcome::Open {
            return Err((Some("op"), HistoryProblem::EndedTwice(op)));
        }
        let outcome = match kind {
            "ok" => match replies(present(event, "replies")?, operation.commands.len(), op)? {
                Some(replies) => Outcome::Done(replies),
                None if operation.commands.len() > 1 => Outcome::Done(vec![Reply::Null]),
                None => Outcome::Failed("aborted by a watched key".to_owned()),
            },
            "fail" => Outcome::Failed(error_text(event)),
            _ => Outcome::Unknown(error_text(event)),
        };
        let position = event.get("at").map(position).transpose()?;
        self.history.complete(time, op as usize, outcome, position);
        Ok(())
    }
}

/// What the parser says, without the place: that is said otherwise.
fn reason_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// Where a field begins in its line.
fn column_of(line: &[u8], field: Option<&'static str>) -> usize {
    let Some(field) = field else {
        return 1;
    };
    let name = format!("\"{field}\"");
    let place = line
        .windows(name.len())
        .position(|window| window == name.as_bytes());
    place.unwrap_or(0) + 1
}

fn unfit(field: &'static str, expected: &'static str) -> Found {
    (Some(field), HistoryProblem::Unfit { field, expected })
}

fn present<'a>(event: &'a Map<String, Value>, field: &'static str) -> Result<&'a Value, Found> {
    let missing = (None, HistoryProblem::Missing(field));
    event.get(field).ok_or(missing)
}

fn number(event: &Map<String, Value>, field: &'static str) -> Result<u64, Found> {
    present(event, field)?
        .as_u64()
        .ok_or(unfit(field, "a whole number that is not negative"))
}

fn small_number(event: &Map<String, Value>, field: &'static str) -> Result<u32, Found> {
    u32::try_from(number(event, field)?).map_err(|_| unfit(field, "a number below 4294967296"))
}

fn error_text(event: &Map<String, Value>) -> String {
    match event.get("error") {
        Some(Value::String(text)) => text.clone(),
        _ => String::new(),
    }
}

fn position(value: &Value) -> Result<Position, Found> {
    let pair = value.as_array().filter(|pair| pair.len() == 2);
    let index = pair.and_then(|pair| pair[0].as_u64());
    let order = pair.and_then(|pair| pair[1].as_u64());
    match (index, order.map(u32::try_from)) {
        (Some(index), Some(Ok(order))) => Ok(Position { index, order }),
        _ => Err(unfit("at", "two whole numbers: [index, order]")),
    }
}

fn commands(value: &Value) -> Result<Vec<Vec<Vec<u8>>>, Found> {
    let bad = || {
        unfit(
            "commands",
            "a list of commands, each a list of its name and arguments",
        )
    };
    let commands = value.as_array().ok_or_else(bad)?;
    let mut all = Vec::with_capacity(commands.len());
    for command in commands {
        let arguments = command.as_array().ok_or_else(bad)?;
        let read: Option<Vec<Vec<u8>>> = arguments.iter().map(argument).collect();
        all.push(read.filter(|read| !read.is_empty()).ok_or_else(bad)?);
    }
    if all.is_empty() {
        return Err(bad());
    }
    Ok(all)
}

/// An argument: a string, a number meant as its digits, or bytes.
fn argument(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Number(number) => Some(number.to_string().into_bytes()),
        Value::Object(object) => hex(object.get("hex")?.as_str()?),
        _ => None,
    }
}

fn replies(value: &Value, commands: usize, op: u64) -> Result<Option<Vec<Reply>>, Found> {
    let bad = || unfit("replies", "a list with a reply for each command, or null");
    if value.is_null() {
        return Ok(None);
    }
    let list = value.as_array().ok_or_else(bad)?;
    if list.len() != commands {
        let replies = list.len();
        let problem = HistoryProblem::ReplyCount {
            op,
            commands,
            replies,
        };
        return Err((Some("replies"), problem));
    }
    let read: Option<Vec<Reply>> = list.iter().map(reply).collect();
    read.map(Some).ok_or_else(|| {
        unfit(
            "replies",
            "made of strings, whole numbers, null, lists, {\"error\": ...} and {\"hex\": ...}",
        )
    })
}

fn reply(value: &Value) -> Option<Reply> {
    match value {
        Value::Null => Some(Reply::Null),
        Value::String(text) => Some(Reply::Text(text.clone().into_bytes())),
        Value::Number(number) => number.as_i64().map(Reply::Integer),
        Value::Array(list) => {
            let read: Option<Vec<Reply>> = list.iter().map(reply).collect();
            read.map(Reply::List)
        }
        Value::Object(object) => match (object.get("error"), object.get("hex")) {
            (Some(Value::String(error)), _) => Some(Reply::Error(error.clone())),
            (None, Some(Value::String(digits))) => hex(digits).map(Reply::Text),
            _ => None,
        },
        Value::Bool(_) => None,
    }
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16);
    digits
        .chunks(2)
        .map(|pair| Some((value(pair[0])? * 16 + value(pair[1])?) as u8))
        .collect()
}
