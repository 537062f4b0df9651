//! What can be wrong with bytes from the other side.

use thiserror::Error;

/// A request that cannot be understood. The client's fault, always; the connection is closed after it.
///
/// `Display` gives Redis's own text without its `ERR ` code, since clients and test suites match on it.
/// [`ProtocolError::message`] gives the same as the exact bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The count after `*` is no number, or more than anybody may send.
    #[error("Protocol error: invalid multibulk length")]
    InvalidMultibulkLength,
    /// More arguments than a client that has not authenticated may send.
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedMultibulkLength,
    /// The count after `*` goes on for longer than any number: more than twenty digits.
    ///
    /// Redis waits for 64 KiB of them, and calls a longer count that does end an invalid one instead. That
    /// would make the answer depend on bytes that nobody needs to wait for.
    #[error("Protocol error: too big mbulk count string")]
    TooBigMultibulkCount,
    /// An argument begins with this byte instead of `$`.
    #[error("Protocol error: expected '$', got '{}'", char::from(printable(*.0)))]
    ExpectedBulk(u8),
    /// The length after `$` is no number, negative, or more than anybody may send.
    #[error("Protocol error: invalid bulk length")]
    InvalidBulkLength,
    /// A longer argument than a client that has not authenticated may send.
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulkLength,
    /// The length after `$` goes on for longer than any number, as in
    /// [`TooBigMultibulkCount`](Self::TooBigMultibulkCount).
    #[error("Protocol error: too big bulk count string")]
    TooBigBulkCount,
    /// An inline request without a line feed within the limit. Redis takes a longer one if its end happens to
    /// arrive together with what exceeds the limit; here the pieces do not matter.
    #[error("Protocol error: too big inline request")]
    TooBigInlineRequest,
    /// An inline request whose quotes do not close, or close in the middle of a word.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// An inline request with a NUL byte. Redis never finds the end of such a line and refuses it as too big
    /// after 64 KiB; there is nothing to wait for.
    #[error("Protocol error: NUL byte in inline request")]
    NulInInlineRequest,
    /// `POST` or `Host:` where a command should be: a browser was made to speak to this port (CVE-2016-10517).
    /// The connection is closed without an answer, and the text is for the log.
    #[error("Possible SECURITY ATTACK detected: an HTTP request was sent to the client port")]
    HttpRequest,
}

impl ProtocolError {
    /// The text as the bytes that go on the wire, without the `ERR ` code: a byte that was not expected is
    /// echoed as it is, be it UTF-8 or not.
    pub fn message(&self) -> Vec<u8> {
        match self {
            ProtocolError::ExpectedBulk(byte) => {
                let mut message = b"Protocol error: expected '$', got '".to_vec();
                message.push(printable(*byte));
                message.push(b'\'');
                message
            }
            other => other.to_string().into_bytes(),
        }
    }

    /// Whether the client is to be told, or only cut off.
    pub fn is_silent(&self) -> bool {
        matches!(self, ProtocolError::HttpRequest)
    }
}

/// An error text is one line: whatever would end or cut it becomes a space (CVE-2025-67733).
fn printable(byte: u8) -> u8 {
    if matches!(byte, b'\r' | b'\n' | 0) {
        b' '
    } else {
        byte
    }
}

/// A line whose quotes do not close, or close in the middle of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("unbalanced quotes")]
pub struct UnbalancedQuotes;

/// A reply that cannot be understood: whatever is at the other end does not speak RESP, or the connection has
/// lost its place in the stream. The connection cannot be used any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// A reply begins with a byte that is none of the types of RESP2 and RESP3.
    #[error("unknown reply type byte 0x{0:02x}")]
    UnknownType(u8),
    /// A length, count or integer is no number of 64 bits.
    #[error("invalid number in the header of a '{}' reply", char::from(*.0))]
    InvalidNumber(u8),
    /// A string is longer than the limit.
    #[error("a string of {bytes} bytes is announced, the limit is {limit}")]
    StringTooLong {
        /// What was announced.
        bytes: u64,
        /// [`ReplyLimits::bulk_bytes_max`](crate::ReplyLimits::bulk_bytes_max).
        limit: usize,
    },
    /// A line has no end within the limit.
    #[error("a line of more than {limit} bytes")]
    LineTooLong {
        /// [`ReplyLimits::line_bytes_max`](crate::ReplyLimits::line_bytes_max).
        limit: usize,
    },
    /// Aggregates are inside one another deeper than the limit.
    #[error("replies nested more than {limit} deep")]
    TooDeep {
        /// [`ReplyLimits::depth_max`](crate::ReplyLimits::depth_max).
        limit: usize,
    },
    /// A line or a string does not end with CR LF where it must.
    #[error("expected CR LF at the end of a '{}' reply", char::from(*.0))]
    ExpectedCrLf(u8),
    /// A boolean that is neither `t` nor `f`, a double or big number that is none, a null with something in it,
    /// a verbatim string without its format.
    #[error("malformed '{}' reply", char::from(*.0))]
    Malformed(u8),
    /// A string or aggregate in RESP3's streamed form, which Redis servers do not send.
    #[error("streamed '{}' replies are not supported", char::from(*.0))]
    Streamed(u8),
}
