//! Replies, as a client reads them.

use crate::error::ReplyError;
use crate::limits::{HEADER_DIGITS_MAX, ReplyLimits};
use crate::number::parse_i64;
use crate::value::Value;

/// An incremental parser of a server's replies, RESP2 and RESP3, pushes and attributes included.
///
/// Its contract is that of [`RequestParser`](crate::RequestParser): the input begins at the current reply and
/// grows until that is complete; what was understood before is not read again. Nesting is kept on a stack of
/// its own and not on the thread's, so depth is a limit and not a crash, and room is made for elements as they
/// arrive and not as they are announced.
///
/// [`ReplyBuffer`] keeps the input as well, for those who have no buffer of their own.
#[derive(Debug, Default)]
pub struct ReplyParser {
    limits: ReplyLimits,
    /// The aggregates that are not complete yet, outermost first. Invariant: never longer than `depth_max`.
    open: Vec<Aggregate>,
    /// The first byte of the input that has not been understood.
    position: usize,
    /// How far after `position` the end of the current line has been looked for.
    searched: usize,
    /// What made the stream lose its meaning, if anything did.
    failed: Option<ReplyError>,
}

/// An aggregate that still lacks elements.
#[derive(Debug)]
struct Aggregate {
    kind: u8,
    /// How many values are still to come; a pair is two. Invariant: not 0 between calls.
    values_left: u64,
    values: Vec<Value>,
    /// What has been said about this aggregate itself.
    /// Invariant: only of an [`ATTRIBUTE`] aggregate whose pairs are complete and whose value is to come.
    attributes: Option<Vec<(Value, Value)>>,
}

const ATTRIBUTE: u8 = b'|';

/// One step of parsing.
enum Token {
    /// A whole value.
    Value(Value),
    /// Nothing said about the value that follows, which is the value alone.
    Nothing,
    /// The head of an aggregate that is not empty.
    Open { kind: u8, values: u64 },
}

impl ReplyParser {
    /// A parser at the start of a connection, with the usual limits.
    pub fn new() -> ReplyParser {
        ReplyParser::default()
    }

    /// A parser with other limits.
    pub fn with_limits(limits: ReplyLimits) -> ReplyParser {
        ReplyParser {
            limits,
            ..ReplyParser::default()
        }
    }

    /// Looks for a complete reply at the start of `input`, and tells how many bytes it takes.
    ///
    /// `input` begins at the first byte of the current reply at every call, and only grows until that is
    /// complete. `Ok(None)` asks for more bytes. After an error every call gives the same error.
    pub fn parse(&mut self, input: &[u8]) -> Result<Option<(Value, usize)>, ReplyError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let outcome = self.advance(input);
        if let Err(error) = outcome {
            self.open = Vec::new();
            self.failed = Some(error);
        }
        outcome
    }

    fn advance(&mut self, input: &[u8]) -> Result<Option<(Value, usize)>, ReplyError> {
        while let Some(token) = self.read_token(input)? {
            match token {
                Token::Nothing => {}
                Token::Open { kind, values } => {
                    if self.open.len() >= self.limits.depth_max {
                        return Err(ReplyError::TooDeep {
                            limit: self.limits.depth_max,
                        });
                    }
                    self.open.push(Aggregate {
                        kind,
                        values_left: values,
                        values: Vec::new(),
                        attributes: None,
                    });
                }
                Token::Value(value) => {
                    if let Some(value) = self.place(value) {
                        let consumed = self.position;
                        self.position = 0;
                        return Ok(Some((value, consumed)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Puts a complete value where it belongs, and returns it when that is nowhere: the reply is complete.
    fn place(&mut self, mut value: Value) -> Option<Value> {
        loop {
            let Some(aggregate) = self.open.last_mut() else {
                return Some(value);
            };
            if let Some(attributes) = aggregate.attributes.take() {
                self.open.pop();
                value = Value::Attributed {
                    attributes,
                    value: Box::new(value),
                };
                continue;
            }
            aggregate.values.push(value);
            aggregate.values_left -= 1;
            if aggregate.values_left > 0 {
                return None;
            }
            let values = std::mem::take(&mut aggregate.values);
            if aggregate.kind == ATTRIBUTE {
                aggregate.attributes = Some(pairs(values));
                return None;
            }
            value = match aggregate.kind {
                b'%' => Value::Map(pairs(values)),
                b'~' => Value::Set(values),
                b'>' => Value::Push(values),
                _ => Value::Array(values),
            };
            self.open.pop();
        }
    }

    fn read_token(&mut self, input: &[u8]) -> Result<Option<Token>, ReplyError> {
        let Some(&kind) = input.get(self.position) else {
            return Ok(None);
        };
        match kind {
            b'+' | b'-' | b'(' | b',' | b'#' | b':' | b'_' => self.read_line_value(kind, input),
            b'$' | b'!' | b'=' => self.read_string(kind, input),
            b'*' | b'~' | b'>' | b'%' | ATTRIBUTE => self.read_aggregate(kind, input),
            other => Err(ReplyError::UnknownType(other)),
        }
    }

    /// Reads a value that is one line, and moves behind it.
    fn read_line_value(&mut self, kind: u8, input: &[u8]) -> Result<Option<Token>, ReplyError> {
        let Some(line) = self.find_line(kind, input, self.limits.line_bytes_max)? else {
            return Ok(None);
        };
        let malformed = ReplyError::Malformed(kind);
        let value = match kind {
            b'+' => Value::Simple(line.to_vec()),
            b'-' => Value::Error(line.to_vec()),
            b':' => Value::Integer(parse_i64(line).ok_or(ReplyError::InvalidNumber(kind))?),
            b',' => Value::Double(parse_double(line).ok_or(malformed)?),
            b'(' if is_decimal(line) => Value::BigNumber(line.to_vec()),
            b'#' if line == b"t" => Value::Boolean(true),
            b'#' if line == b"f" => Value::Boolean(false),
            b'_' if line.is_empty() => Value::Null,
            _ => return Err(malformed),
        };
        self.position += 1 + line.len() + 2;
        Ok(Some(Token::Value(value)))
    }

    /// Reads a string with its length before it, and moves behind it once all of it is there.
    fn read_string(&mut self, kind: u8, input: &[u8]) -> Result<Option<Token>, ReplyError> {
        let Some((number, header_bytes)) = self.read_number(kind, input)? else {
            return Ok(None);
        };
        if number == -1 && kind == b'$' {
            self.position += header_bytes;
            return Ok(Some(Token::Value(Value::Null)));
        }
        let bytes = u64::try_from(number).map_err(|_| ReplyError::InvalidNumber(kind))?;
        let limit = self.limits.bulk_bytes_max;
        let length = match usize::try_from(bytes) {
            Ok(length) if length <= limit => length,
            _ => return Err(ReplyError::StringTooLong { bytes, limit }),
        };
        let start = self.position + header_bytes;
        let Some(ending) = input.get(start + length..start + length + 2) else {
            return Ok(None);
        };
        if ending != b"\r\n" {
            return Err(ReplyError::ExpectedCrLf(kind));
        }
        let string = &input[start..start + length];
        let value = match (kind, string) {
            (b'$', _) => Value::Bulk(string.to_vec()),
            (b'!', _) => Value::Error(string.to_vec()),
            (_, [a, b, c, b':', text @ ..]) => Value::Verbatim {
                format: [*a, *b, *c],
                text: text.to_vec(),
            },
            _ => return Err(ReplyError::Malformed(kind)),
        };
        self.position = start + length + 2;
        Ok(Some(Token::Value(value)))
    }

    /// Reads the head of an aggregate, and moves behind it.
    fn read_aggregate(&mut self, kind: u8, input: &[u8]) -> Result<Option<Token>, ReplyError> {
        let Some((number, header_bytes)) = self.read_number(kind, input)? else {
            return Ok(None);
        };
        self.position += header_bytes;
        if number == -1 && kind == b'*' {
            return Ok(Some(Token::Value(Value::NullArray)));
        }
        let count = u64::try_from(number).map_err(|_| ReplyError::InvalidNumber(kind))?;
        Ok(Some(match (kind, count) {
            (ATTRIBUTE, 0) => Token::Nothing,
            (b'%', 0) => Token::Value(Value::Map(Vec::new())),
            (b'~', 0) => Token::Value(Value::Set(Vec::new())),
            (b'>', 0) => Token::Value(Value::Push(Vec::new())),
            (_, 0) => Token::Value(Value::Array(Vec::new())),
            // At most i64::MAX, so that twice as many fit.
            (b'%' | ATTRIBUTE, _) => Token::Open {
                kind,
                values: count * 2,
            },
            _ => Token::Open {
                kind,
                values: count,
            },
        }))
    }

    /// Reads the number in a header without moving, and tells the header's bytes, its line end included.
    fn read_number(&mut self, kind: u8, input: &[u8]) -> Result<Option<(i64, usize)>, ReplyError> {
        if input.get(self.position + 1) == Some(&b'?') {
            return Err(ReplyError::Streamed(kind));
        }
        let line = match self.find_line(kind, input, HEADER_DIGITS_MAX) {
            Err(ReplyError::LineTooLong { .. }) => return Err(ReplyError::InvalidNumber(kind)),
            other => other?,
        };
        let Some(line) = line else { return Ok(None) };
        let number = parse_i64(line).ok_or(ReplyError::InvalidNumber(kind))?;
        Ok(Some((number, 1 + line.len() + 2)))
    }

    /// Finds the line that begins after the type byte, without the line's end.
    fn find_line<'a>(
        &mut self,
        kind: u8,
        input: &'a [u8],
        limit: usize,
    ) -> Result<Option<&'a [u8]>, ReplyError> {
        let rest = input.get(self.position + 1..).unwrap_or_default();
        let searched_max = rest.len().min(limit.saturating_add(1));
        let unsearched = rest.get(self.searched..searched_max).unwrap_or_default();
        let Some(found) = unsearched
            .iter()
            .position(|byte| matches!(byte, b'\r' | b'\n'))
        else {
            self.searched = searched_max;
            if rest.len() > limit {
                return Err(ReplyError::LineTooLong { limit });
            }
            return Ok(None);
        };
        let end = self.searched + found;
        match rest[end..] {
            [b'\r', b'\n', ..] => {
                self.searched = 0;
                Ok(Some(&rest[..end]))
            }
            [b'\r'] => {
                self.searched = end;
                Ok(None)
            }
            _ => Err(ReplyError::ExpectedCrLf(kind)),
        }
    }
}

/// A [`ReplyParser`] with the bytes that it has not understood yet.
///
/// ```
/// use resp::{ReplyBuffer, Value};
///
/// let mut replies = ReplyBuffer::new();
/// replies.feed(b"+OK\r\n:1");
/// assert_eq!(replies.next_value(), Ok(Some(Value::Simple(b"OK".to_vec()))));
/// assert_eq!(replies.next_value(), Ok(None));
/// replies.feed(b"2\r\n");
/// assert_eq!(replies.next_value(), Ok(Some(Value::Integer(12))));
/// ```
#[derive(Debug, Default)]
pub struct ReplyBuffer {
    parser: ReplyParser,
    bytes: Vec<u8>,
    /// How many of `bytes` belong to replies that were returned already.
    consumed: usize,
}

impl ReplyBuffer {
    /// An empty buffer at the start of a connection, with the usual limits.
    pub fn new() -> ReplyBuffer {
        ReplyBuffer::default()
    }

    /// An empty buffer with other limits.
    pub fn with_limits(limits: ReplyLimits) -> ReplyBuffer {
        ReplyBuffer {
            parser: ReplyParser::with_limits(limits),
            ..ReplyBuffer::default()
        }
    }

    /// Adds what has arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        // Moving the remainder to the front costs at most as much as was consumed before it.
        if self.consumed > self.bytes.len() / 2 {
            self.bytes.drain(..self.consumed);
            self.consumed = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next complete reply, if there is one.
    pub fn next_value(&mut self) -> Result<Option<Value>, ReplyError> {
        let Some((value, bytes)) = self.parser.parse(&self.bytes[self.consumed..])? else {
            return Ok(None);
        };
        self.consumed += bytes;
        Ok(Some(value))
    }

    /// Whether every byte fed belongs to a reply that was taken.
    pub fn is_empty(&self) -> bool {
        self.consumed == self.bytes.len()
    }
}

fn pairs(values: Vec<Value>) -> Vec<(Value, Value)> {
    let mut values = values.into_iter();
    let mut pairs = Vec::with_capacity(values.len() / 2);
    while let (Some(key), Some(value)) = (values.next(), values.next()) {
        pairs.push((key, value));
    }
    pairs
}

fn parse_double(line: &[u8]) -> Option<f64> {
    match line {
        b"inf" | b"+inf" => return Some(f64::INFINITY),
        b"-inf" => return Some(f64::NEG_INFINITY),
        b"nan" | b"-nan" => return Some(f64::NAN),
        _ => {}
    }
    // Rust's own names of the special values are not the protocol's.
    let is_number =
        |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
    if !line.iter().all(is_number) {
        return None;
    }
    std::str::from_utf8(line).ok()?.parse().ok()
}

fn is_decimal(line: &[u8]) -> bool {
    let digits = line
        .strip_prefix(b"-")
        .or_else(|| line.strip_prefix(b"+"))
        .unwrap_or(line);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
