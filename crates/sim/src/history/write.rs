//! A history as JSON lines.

use std::io::{self, Write};

use crate::history::{Delivery, History, HistoryEvent, Operation, Outcome, Reply};

impl History {
    /// Writes the history as JSON lines, one event a line.
    ///
    /// # Errors
    /// If `out` does not take them.
    pub fn write_json_lines(&self, out: &mut impl Write) -> io::Result<()> {
        let mut deliveries = self.deliveries.iter().peekable();
        for &event in &self.events {
            let time_us = self.time_of(event);
            while let Some(delivery) = deliveries.next_if(|next| next.time_us < time_us) {
                write_delivery(out, delivery)?;
            }
            match event {
                HistoryEvent::Invoked(op) => write_invoked(out, op, &self.operations[op])?,
                HistoryEvent::Completed(op) => write_completed(out, op, &self.operations[op])?,
            }
        }
        deliveries.try_for_each(|delivery| write_delivery(out, delivery))
    }

    fn time_of(&self, event: HistoryEvent) -> u64 {
        match event {
            HistoryEvent::Invoked(op) => self.operations[op].invoked_us,
            HistoryEvent::Completed(op) => {
                let operation = &self.operations[op];
                operation.completed_us.unwrap_or(operation.invoked_us)
            }
        }
    }
}

fn write_delivery(out: &mut impl Write, delivery: &Delivery) -> io::Result<()> {
    write!(
        out,
        "{{\"time\":{},\"type\":\"message\",\"process\":{},\"node\":{},\"session\":{},\"channel\":",
        delivery.time_us, delivery.process, delivery.node, delivery.session
    )?;
    write_bytes(out, &delivery.channel)?;
    write!(out, ",\"message\":")?;
    write_bytes(out, &delivery.message)?;
    writeln!(out, "}}")
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
