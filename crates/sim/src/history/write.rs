//! A history as JSON lines.

use std::io::{self, Write};

use crate::history::{History, HistoryEvent, Operation, Outcome, Reply};

impl History {
    /// Writes the history as JSON lines, one event a line.
    ///
    /// # Errors
    /// If `out` does not take them.
    pub fn write_json_lines(&self, out: &mut impl Write) -> io::Result<()> {
        for &event in &self.events {
            match event {
                HistoryEvent::Invoked(op) => write_invoked(out, op, &self.operations[op])?,
                HistoryEvent::Completed(op) => write_completed(out, op, &self.operations[op])?,
            }
        }
        Ok(())
    }
}

fn write_invoked(out: &mut impl Write, op: usize, operation: &Operation) -> io::Result<()> {
    write!(
        out,
        "{{\"time\":{},\"type\":\"invoke\",\"op\":{op},\"process\":{},\"node\":{},\"commands\":",
        operation.invoked_us, operation.process, operation.node
    )?;
    write_list(out, &operation.commands, |out, command| {
        write_list(out, command, |out, argument| write_bytes(out, argument))
    })?;
    writeln!(out, "}}")
}

fn write_completed(out: &mut impl Write, op: usize, operation: &Operation) -> io::Result<()> {
    let time = operation.completed_us.unwrap_or(operation.invoked_us);
    let (kind, error) = match &operation.outcome {
        Outcome::Done(_) => ("ok", None),
        Outcome::Failed(error) => ("fail", Some(error)),
        Outcome::Unknown(error) => ("info", Some(error)),
        Outcome::Open => return Ok(()),
    };
    write!(out, "{{\"time\":{time},\"type\":\"{kind}\",\"op\":{op}")?;
    if let Some(error) = error {
        write!(out, ",\"error\":")?;
        write_text(out, error)?;
    }
    if let Outcome::Done(replies) = &operation.outcome {
        write!(out, ",\"replies\":")?;
        match &replies[..] {
            [Reply::Null] if operation.commands.len() > 1 => write!(out, "null")?,
            _ => write_list(out, replies, write_reply)?,
        }
    }
    if let Some(position) = operation.position {
        write!(out, ",\"at\":[{},{}]", position.index, position.order)?;
    }
    writeln!(out, "}}")
}

fn write_reply<W: Write>(out: &mut W, reply: &Reply) -> io::Result<()> {
    match reply {
        Reply::Text(text) => write_bytes(out, text),
        Reply::Integer(number) => write!(out, "{number}"),
        Reply::Null => write!(out, "null"),
        Reply::List(replies) => write_list(out, replies, write_reply),
        Reply::Error(error) => {
            write!(out, "{{\"error\":")?;
            write_text(out, error)?;
            write!(out, "}}")
        }
    }
}

fn write_list<W: Write, T>(
    out: &mut W,
    items: &[T],
    mut write_item: impl FnMut(&mut W, &T) -> io::Result<()>,
) -> io::Result<()> {
    write!(out, "[")?;
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            write!(out, ",")?;
        }
        write_item(out, item)?;
    }
    write!(out, "]")
}

fn write_bytes<W: Write>(out: &mut W, bytes: &[u8]) -> io::Result<()> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return write_text(out, text);
    }
    write!(out, "{{\"hex\":\"")?;
    for byte in bytes {
        write!(out, "{byte:02x}")?;
    }
    write!(out, "\"}}")
}

fn write_text(out: &mut impl Write, text: &str) -> io::Result<()> {
    serde_json::to_writer(out, text).map_err(io::Error::from)
}
