//! One connection as its client sees it: what was asked and not answered yet, and the bytes of
//! replies.

use std::collections::VecDeque;

use resp::{ReplyError, ReplyParser, Value, encode_request};

use crate::history::{History, Position};

/// A request that waits for its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    /// Which reply is fitting.
    pub(crate) expect: Expect,
    /// The operation that ends with the reply, if one does.
    pub(crate) op: Option<usize>,
    /// Where the request ends, in bytes sent on the connection.
    pub(crate) end: u64,
    /// When the client gives up.
    pub(crate) deadline_us: u64,
}

/// Which reply is fitting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// What a command replies.
    Command,
    /// The same, of the GET behind a WATCH.
    WatchedGet,
    /// OK: WATCH, unless it is refused.
    Watch,
    /// OK, in any case.
    Ok,
    /// QUEUED, unless it is refused.
    Queued,
    /// An error: no such command.
    NoSuchCommand,
    /// EXEC: so many replies, or null if keys are watched.
    Exec {
        /// The commands in the transaction.
        commands: usize,
        /// The keys that are watched.
        watches: usize,
    },
    /// EXEC of a transaction with a command that was refused: EXECABORT.
    ExecRefused,
    /// DISCARD: OK, and the operation failed.
    Discard,
    /// PONG, in one of its forms.
    Pong,
    /// The same bytes: ECHO of this number.
    Echo(u64),
    /// HELLO: a map, or a list of its keys and values.
    Hello,
    /// A confirmation of a subscription.
    Subscribed,
}

/// One connection, from its client's side.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    /// What waits for replies, in order. Deadlines never fall.
    pub(crate) pending: VecDeque<Pending>,
    /// The selected database.
    pub(crate) db: u8,
    /// Bytes to be sent, all requests of an act in one piece.
    out: Vec<u8>,
    /// Bytes that were sent before `out`.
    sent: u64,
    parser: ReplyParser,
    /// Bytes received; those before `consumed` belong to replies that were taken.
    received: Vec<u8>,
    consumed: usize,
    /// Bytes of the replies that were taken, since the connection began.
    offset: u64,
    /// Where replies were made that were not taken yet, by the offset of their first byte, in order.
    made: VecDeque<(u64, Position)>,
}

impl Connection {
    /// Adds bytes that arrived, and what the server says of them.
    pub(crate) fn feed(&mut self, bytes: &[u8], made: impl IntoIterator<Item = (u64, Position)>) {
        self.received.extend_from_slice(bytes);
        self.made.extend(made);
    }

    /// Takes the next complete reply, and where it begins.
    pub(crate) fn next_reply(&mut self) -> Result<Option<(Value, u64)>, ReplyError> {
        let Some((value, bytes)) = self.parser.parse(&self.received[self.consumed..])? else {
            self.received.drain(..self.consumed);
            self.consumed = 0;
            return Ok(None);
        };
        let start = self.offset;
        self.offset += bytes as u64;
        self.consumed += bytes;
        Ok(Some((value, start)))
    }

    /// Where the reply at `start` was made, if the server says so.
    ///
    /// # Errors
    /// The offset of a witness at which no reply begins.
    pub(crate) fn position(&mut self, start: u64) -> Result<Option<Position>, u64> {
        match self.made.front() {
            Some(&(offset, position)) if offset == start => {
                self.made.pop_front();
                Ok(Some(position))
            }
            Some(&(offset, _)) if offset < start => Err(offset),
            _ => Ok(None),
        }
    }

    /// Takes the bytes to be sent.
    pub(crate) fn take_out(&mut self) -> Vec<u8> {
        self.sent += self.out.len() as u64;
        std::mem::take(&mut self.out)
    }

    /// Bytes asked for so far, sent or not.
    fn end(&self) -> u64 {
        self.sent + self.out.len() as u64
    }

    /// Forgets the bytes to be sent behind the first `length` of them. Returns up to where bytes are
    /// sent.
    pub(crate) fn truncate_out(&mut self, length: usize) -> u64 {
        self.out.truncate(length);
        self.end()
    }

    /// The bytes to be sent.
    pub(crate) fn out_bytes(&self) -> usize {
        self.out.len()
    }
}

/// Writes requests onto a connection, and operations into the history.
pub(crate) struct Requests<'a> {
    /// The connection.
    pub(crate) connection: &'a mut Connection,
    /// The history.
    pub(crate) history: &'a mut History,
    /// Operations that have not ended.
    pub(crate) open: &'a mut usize,
    /// The time.
    pub(crate) now_us: u64,
    /// When the client gives up.
    pub(crate) deadline_us: u64,
    /// The client.
    pub(crate) process: u32,
    /// The node that it is connected to.
    pub(crate) node: u64,
}

impl Requests<'_> {
    /// A command whose reply is no operation's.
    pub(crate) fn session(&mut self, command: &[&[u8]], expect: Expect) {
        encode_request(&mut self.connection.out, command);
        self.push(expect, None);
    }

    /// A command as an operation of its own.
    pub(crate) fn command(&mut self, command: Vec<Vec<u8>>) {
        self.operation(command, Expect::Command);
    }

    /// The same, for which another reply than usual is fitting.
    pub(crate) fn operation(&mut self, command: Vec<Vec<u8>>, expect: Expect) {
        self.encode(&command);
        let op = self.invoke(vec![command]);
        self.push(expect, Some(op));
    }

    /// A command of a transaction.
    pub(crate) fn queue(&mut self, command: &[Vec<u8>]) {
        self.encode(command);
        self.push(Expect::Queued, None);
    }

    /// The end of a transaction, which is one operation.
    pub(crate) fn end(&mut self, name: &[u8], expect: Expect, commands: Vec<Vec<Vec<u8>>>) {
        encode_request(&mut self.connection.out, &[name]);
        let op = self.invoke(commands);
        self.push(expect, Some(op));
    }

    /// WATCH.
    pub(crate) fn watch(&mut self, command: &[Vec<u8>]) {
        self.encode(command);
        self.push(Expect::Watch, None);
    }

    /// SUBSCRIBE: each channel is confirmed by a reply of its own.
    pub(crate) fn subscribe(&mut self, command: &[&[u8]]) {
        encode_request(&mut self.connection.out, command);
        for _ in &command[1..] {
            self.push(Expect::Subscribed, None);
        }
    }

    fn invoke(&mut self, commands: Vec<Vec<Vec<u8>>>) -> usize {
        *self.open += 1;
        self.history
            .invoke(self.now_us, self.process, self.node, commands)
    }

    fn push(&mut self, expect: Expect, op: Option<usize>) {
        let end = self.connection.end();
        self.connection.pending.push_back(Pending {
            expect,
            op,
            end,
            deadline_us: self.deadline_us,
        });
    }

    /// The history names keys of another database with the database behind them: the server does
    /// not get to see that.
    fn encode(&mut self, command: &[Vec<u8>]) {
        let connection = &mut *self.connection;
        if connection.db == 0 {
            return encode_request(&mut connection.out, command);
        }
        let plain = |arg: &'_ Vec<u8>| match arg.iter().position(|&byte| byte == b'@') {
            Some(at) => arg[..at].to_vec(),
            None => arg.clone(),
        };
        let command: Vec<Vec<u8>> = command.iter().map(plain).collect();
        encode_request(&mut connection.out, &command);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_replies_at_their_offsets() {
        let place = |index| Position { index, order: 0 };
        let mut connection = Connection::default();
        connection.feed(b"+OK\r\n:1\r", [(5, place(7)), (13, place(8))]);
        let (_, start) = connection.next_reply().unwrap().unwrap();
        assert_eq!((start, connection.position(start)), (0, Ok(None)));
        assert_eq!(connection.next_reply(), Ok(None));
        connection.feed(b"\n$2\r\nab\r\n:2\r\n", []);
        let (value, start) = connection.next_reply().unwrap().unwrap();
        assert_eq!((value, start), (Value::Integer(1), 5));
        assert_eq!(connection.position(start), Ok(Some(place(7))));
        let (_, start) = connection.next_reply().unwrap().unwrap();
        assert_eq!((start, connection.position(start)), (9, Ok(None)));
        // The place at byte 13 is inside the string.
        let (_, start) = connection.next_reply().unwrap().unwrap();
        assert_eq!((start, connection.position(start)), (17, Err(13)));
    }
}
