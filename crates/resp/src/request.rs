//! Requests: what a client sends.
//!
//! Two forms, told apart by the first byte: a *multibulk* request, `*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`, and an
//! *inline* request, `GET k\r\n`, for people with a terminal. The rules, down to the unchecked ones, are those of
//! Redis 7.0's `processMultibulkBuffer` and `processInlineBuffer`: the byte after a header's carriage return
//! and the two bytes after an argument are skipped, whatever they are.

use std::ops::Range;

use crate::error::ProtocolError;
use crate::inline;
use crate::limits::{HEADER_DIGITS_MAX, Limits};
use crate::number::parse_i64;

/// The fewest bytes that an argument can take: `$0\r\n\r\n`.
const ARGUMENT_BYTES_MIN: usize = 6;

/// Beyond this Redis calls a count invalid before it asks who sent it (C's `INT_MAX`).
const MULTIBULK_COUNT_MAX: usize = i32::MAX as usize;

/// How many argument ranges a parser keeps room for between requests. A connection that once sent a huge
/// request shall not hold its memory for ever.
const ARGS_RETAINED_MAX: usize = 1024;

/// How many bytes of unquoted words a parser keeps room for between requests.
const WORDS_RETAINED_MAX: usize = 1024;

/// An incremental parser of one client's requests.
///
/// See the [crate's contract](crate#the-contract-of-the-request-parser). The work over the life of a request
/// is proportional to its bytes, however it was cut: an argument's bytes are never looked at, a line is
/// searched from where the last search ended, and only a header, at most 23 bytes long, is read again when it
/// was incomplete.
#[derive(Debug, Default)]
pub struct RequestParser {
    /// Where the arguments read so far are, in [`source`](Self::source).
    args: Vec<Range<usize>>,
    /// What is to be read next.
    stage: Stage,
    /// The first byte of the input that has not been dealt with.
    position: usize,
    /// Arguments still to come, the one being read included. Invariant: not 0 in the argument stages.
    args_left: usize,
    /// What [`bytes_needed`](Self::bytes_needed) tells.
    bytes_needed: usize,
    /// The words of an inline request that had quotes.
    words: Vec<u8>,
    /// Whether `args` are ranges of `words` instead of the input.
    quoted: bool,
}

/// Where in a request the parser is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Before the first byte.
    #[default]
    Start,
    /// In an inline request.
    Inline,
    /// At the count of a multibulk request.
    Count,
    /// At the length of an argument.
    ArgumentLength,
    /// In an argument of this many bytes.
    Argument(usize),
    /// The stream has lost its meaning. Every further call gives the same error.
    Failed(ProtocolError),
}

impl RequestParser {
    /// A parser at the start of a connection.
    pub fn new() -> RequestParser {
        RequestParser {
            bytes_needed: 1,
            ..RequestParser::default()
        }
    }

    /// Looks for a complete request at the start of `input`, and tells how many bytes it takes.
    ///
    /// `input` begins at the first byte of the current request at every call, and has grown or stayed the same
    /// since the last call unless that call returned a request; the bytes of the last request are then taken
    /// away by the caller. `Ok(None)` asks for more bytes. After an error, the connection is to be closed.
    ///
    /// A request without any argument (an empty line, `*0`, `*-1`) is returned like any other; it is to be
    /// ignored without an answer.
    pub fn parse(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        let outcome = self.advance(input, limits);
        match outcome {
            Ok(None) => {}
            Ok(Some(_)) => {
                self.stage = Stage::Start;
                self.bytes_needed = 1;
            }
            Err(error) => {
                self.args.clear();
                self.stage = Stage::Failed(error);
            }
        }
        outcome
    }

    /// Where the arguments of the request are that [`parse`](Self::parse) returned last, as ranges of
    /// [`source`](Self::source). Valid until the next call of `parse`.
    pub fn args(&self) -> &[Range<usize>] {
        &self.args
    }

    /// What the ranges of [`args`](Self::args) are ranges of: the input, except after an inline request with
    /// quotes in it, whose words the parser had to write down itself.
    pub fn source<'a>(&'a self, input: &'a [u8]) -> &'a [u8] {
        if self.quoted { &self.words } else { input }
    }

    /// A lower bound of the bytes that are missing from the current request, for choosing how much to read at
    /// once. It follows from what the client announced: never allocate by it alone.
    pub fn bytes_needed(&self) -> usize {
        self.bytes_needed
    }

    fn advance(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        if self.stage == Stage::Start {
            self.reset();
            match input.first() {
                None => return Ok(None),
                Some(b'*') => self.stage = Stage::Count,
                Some(_) => self.stage = Stage::Inline,
            }
        }
        match self.stage {
            Stage::Inline => return self.read_inline(input, limits),
            Stage::Failed(error) => return Err(error),
            Stage::Count => {
                let Some(count) = self.read_count(input, limits)? else {
                    return Ok(None);
                };
                if count == 0 {
                    return Ok(Some(self.position));
                }
                self.args_left = count;
                self.stage = Stage::ArgumentLength;
            }
            Stage::Start | Stage::ArgumentLength | Stage::Argument(_) => {}
        }
        self.read_arguments(input, limits)
    }

    /// Forgets the last request, an empty one too (CVE-2026-27623), except for a bounded amount of room.
    fn reset(&mut self) {
        self.args.clear();
        if self.args.capacity() > ARGS_RETAINED_MAX {
            self.args.shrink_to(ARGS_RETAINED_MAX);
        }
        if self.quoted {
            self.quoted = false;
            self.words.clear();
            self.words.shrink_to(WORDS_RETAINED_MAX);
        }
        self.position = 0;
        self.args_left = 0;
        self.bytes_needed = 1;
    }

    fn read_inline(
        &mut self,
        input: &[u8],
        limits: &Limits,
    ) -> Result<Option<usize>, ProtocolError> {
        // One byte more than the limit may hold the line feed.
        let searched_max = input.len().min(limits.inline_bytes_max.saturating_add(1));
        let unsearched = input.get(self.position..searched_max).unwrap_or_default();
        let Some(found) = unsearched.iter().position(|byte| matches!(byte, b'\n' | 0)) else {
            self.position = searched_max;
            if input.len() > limits.inline_bytes_max {
                return Err(ProtocolError::TooBigInlineRequest);
            }
            return Ok(None);
        };
        let end = self.position + found;
        if input[end] == 0 {
            return Err(ProtocolError::NulInInlineRequest);
        }
        let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
        if inline::is_plain(line) {
            inline::split_plain(line, &mut self.args);
        } else {
            self.quoted = true;
            inline::split_quoted(line, &mut self.words, &mut self.args)
                .map_err(|_| ProtocolError::UnbalancedQuotes)?;
        }
        self.refuse_http(input)?;
        Ok(Some(end + 1))
    }

    /// Reads `*<count>\r\n`, and leaves the position after it. A negative count is an empty request.
    fn read_count(
        &mut self,
        input: &[u8],
        limits: &Limits,
    ) -> Result<Option<usize>, ProtocolError> {
        let (value, bytes) = match read_header(input.get(1..).unwrap_or_default()) {
            Header::Incomplete => return Ok(None),
            Header::TooLong => return Err(ProtocolError::TooBigMultibulkCount),
            Header::Invalid => return Err(ProtocolError::InvalidMultibulkLength),
            Header::Number { value, bytes } => (value, bytes),
        };
        self.position = 1 + bytes;
        let Ok(count) = usize::try_from(value) else {
            return if value < 0 {
                Ok(Some(0))
            } else {
                Err(ProtocolError::InvalidMultibulkLength)
            };
        };
        if count > limits.args_max {
            return Err(if limits.authenticated || count > MULTIBULK_COUNT_MAX {
                ProtocolError::InvalidMultibulkLength
            } else {
                ProtocolError::UnauthenticatedMultibulkLength
            });
        }
        Ok(Some(count))
    }

    /// Reads arguments until there are none left, or no bytes.
    fn read_arguments(
        &mut self,
        input: &[u8],
        limits: &Limits,
    ) -> Result<Option<usize>, ProtocolError> {
        loop {
            let length = match self.stage {
                Stage::Argument(length) => length,
                _ => match self.read_length(input, limits)? {
                    Some(length) => length,
                    None => {
                        self.bytes_needed =
                            (self.args_left - 1).saturating_mul(ARGUMENT_BYTES_MIN) + 1;
                        return Ok(None);
                    }
                },
            };
            let end = self.position + length;
            if input.len() < end + 2 {
                self.stage = Stage::Argument(length);
                self.bytes_needed = (end + 2 - input.len())
                    + (self.args_left - 1).saturating_mul(ARGUMENT_BYTES_MIN);
                return Ok(None);
            }
            self.args.push(self.position..end);
            self.position = end + 2;
            self.stage = Stage::ArgumentLength;
            self.args_left -= 1;
            if self.args_left == 0 {
                self.refuse_http(input)?;
                return Ok(Some(self.position));
            }
        }
    }

    /// Reads `$<length>\r\n`, and leaves the position after it.
    fn read_length(
        &mut self,
        input: &[u8],
        limits: &Limits,
    ) -> Result<Option<usize>, ProtocolError> {
        let digits = match input.get(self.position..) {
            None | Some([]) => return Ok(None),
            Some([b'$', digits @ ..]) => digits,
            Some([other, ..]) => return Err(ProtocolError::ExpectedBulk(*other)),
        };
        let (value, bytes) = match read_header(digits) {
            Header::Incomplete => return Ok(None),
            Header::TooLong => return Err(ProtocolError::TooBigBulkCount),
            Header::Invalid => return Err(ProtocolError::InvalidBulkLength),
            Header::Number { value, bytes } => (value, bytes),
        };
        let length = usize::try_from(value).map_err(|_| ProtocolError::InvalidBulkLength)?;
        if length > limits.bulk_bytes_max {
            return Err(
                if limits.authenticated || length > Limits::AUTHENTICATED.bulk_bytes_max {
                    ProtocolError::InvalidBulkLength
                } else {
                    ProtocolError::UnauthenticatedBulkLength
                },
            );
        }
        self.position += 1 + bytes;
        Ok(Some(length))
    }

    /// Cuts off a browser that was tricked into sending a request to this port. Redis does so by having `POST`
    /// and `Host:` as commands, in either form of request.
    fn refuse_http(&self, input: &[u8]) -> Result<(), ProtocolError> {
        let Some(name) = self
            .args
            .first()
            .and_then(|range| self.source(input).get(range.clone()))
        else {
            return Ok(());
        };
        let is_http = match name.len() {
            4 => name.eq_ignore_ascii_case(b"post"),
            5 => name.eq_ignore_ascii_case(b"host:"),
            _ => false,
        };
        if is_http {
            Err(ProtocolError::HttpRequest)
        } else {
            Ok(())
        }
    }
}

/// What follows the type byte of a header.
enum Header {
    /// No carriage return and byte after it yet.
    Incomplete,
    /// No carriage return after as many digits as a number can have.
    TooLong,
    /// Not a number.
    Invalid,
    /// A number, and how many bytes it took, the two bytes of its line's end included.
    Number { value: i64, bytes: usize },
}

#[inline]
fn read_header(input: &[u8]) -> Header {
    let mut value: u64 = 0;
    let mut length = 0;
    // Eighteen digits cannot overflow, and nearly every header has three at most.
    while let Some(digit) = input.get(length).map(|byte| byte.wrapping_sub(b'0')) {
        if digit > 9 || length == 18 {
            break;
        }
        value = value * 10 + u64::from(digit);
        length += 1;
    }
    match input.get(length..) {
        Some([b'\r', _, ..]) if length > 0 && (input[0] != b'0' || length == 1) => Header::Number {
            value: value as i64,
            bytes: length + 2,
        },
        _ => read_header_slowly(input),
    }
}

/// Every header that is not a plain and complete number: incomplete, negative, nearly overflowing, wrong.
#[cold]
fn read_header_slowly(input: &[u8]) -> Header {
    let Some(length) = input
        .iter()
        .take(HEADER_DIGITS_MAX + 1)
        .position(|byte| *byte == b'\r')
    else {
        return if input.len() > HEADER_DIGITS_MAX {
            Header::TooLong
        } else {
            Header::Incomplete
        };
    };
    if input.len() < length + 2 {
        return Header::Incomplete;
    }
    match parse_i64(&input[..length]) {
        Some(value) => Header::Number {
            value,
            bytes: length + 2,
        },
        None => Header::Invalid,
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
