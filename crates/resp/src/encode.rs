//! Replies, as the server writes them, and requests, as a client does.

use crate::double::DoubleText;
use crate::error::ProtocolError;

/// The protocol version of a connection: RESP2 until `HELLO 3` asks for more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// What every connection starts with.
    #[default]
    Resp2,
    /// Adds maps, sets, doubles, booleans, nulls, pushes and more.
    Resp3,
}

/// Writes replies to a connection's output, in the connection's protocol.
///
/// Every method writes one reply, or the head of one: after `array(n)`, `set(n)` or `push(n)` come `n` replies,
/// after `map(n)` come `n` keys, each with its value. The encoder does not count them; the tests of the
/// commands do.
///
/// The methods are named for RESP3's types. In RESP2 each takes the form that Redis gives it there: a map is a
/// flat array, a double a string, a boolean an integer.
///
/// ```
/// use resp::{Encoder, Protocol};
///
/// let mut out = Vec::new();
/// let mut encoder = Encoder::new(&mut out, Protocol::Resp2);
/// encoder.map(1);
/// encoder.bulk(b"score");
/// encoder.double(1.5);
/// assert_eq!(out, b"*2\r\n$5\r\nscore\r\n$3\r\n1.5\r\n");
/// ```
#[derive(Debug)]
pub struct Encoder<'a> {
    /// `None` where nobody will read the reply.
    out: Option<&'a mut Vec<u8>>,
    protocol: Protocol,
}

impl<'a> Encoder<'a> {
    /// An encoder that appends to `out`.
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Encoder<'a> {
        Encoder {
            out: Some(out),
            protocol,
        }
    }

    /// An encoder that throws everything away: every replica applies a command, and only the one that holds
    /// the client answers it.
    pub fn discard(protocol: Protocol) -> Encoder<'static> {
        Encoder {
            out: None,
            protocol,
        }
    }

    /// A short text without line breaks: `+text`. A line break in it would end the reply; it becomes a space.
    #[inline]
    pub fn simple(&mut self, text: &str) {
        self.simple_bytes(text.as_bytes());
    }

    #[inline]
    pub(crate) fn simple_bytes(&mut self, text: &[u8]) {
        if let Some(out) = &mut self.out {
            out.reserve(text.len() + 3);
            out.push(b'+');
            push_line(out, text);
        }
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// An error, its code included: `ERR syntax error`.
    ///
    /// Errors often repeat what a client sent, so what would end the line is taken out of it, as Redis does:
    /// line breaks at either end are dropped, others become spaces, and NUL bytes too, which cut the text
    /// short in clients written in C (CVE-2025-67733).
    #[cold]
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        if let Some(out) = &mut self.out {
            out.push(b'-');
            push_line(out, trim_line_breaks(text.as_ref()));
        }
    }

    /// The last words to a client whose bytes make no sense: `-ERR Protocol error: ...`, or nothing where
    /// [`ProtocolError::is_silent`].
    #[cold]
    pub fn protocol_error(&mut self, error: &ProtocolError) {
        if !error.is_silent() {
            self.error([b"ERR ".as_slice(), &error.message()].concat());
        }
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        self.head(b':', value);
    }

    /// A string of any bytes.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        if let Some(out) = &mut self.out {
            push_bulk(out, bytes);
        }
    }

    /// An integer as a string, as Redis gives numbers that are values of keys.
    #[inline]
    pub fn bulk_i64(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// No value.
    #[inline]
    pub fn null(&mut self) {
        self.raw(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// No value where an array would be: differs from [`null`](Self::null) in RESP2 only.
    #[inline]
    pub fn null_array(&mut self) {
        self.raw(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The head of an array of so many replies.
    #[inline]
    pub fn array(&mut self, count: usize) {
        self.count(b'*', count);
    }

    /// The head of a map of so many pairs.
    #[inline]
    pub fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => self.count(b'*', pairs * 2),
            Protocol::Resp3 => self.count(b'%', pairs),
        }
    }

    /// The head of a set of so many replies.
    #[inline]
    pub fn set(&mut self, count: usize) {
        match self.protocol {
            Protocol::Resp2 => self.count(b'*', count),
            Protocol::Resp3 => self.count(b'~', count),
        }
    }

    /// The head of a message that answers no request.
    #[inline]
    pub fn push(&mut self, count: usize) {
        match self.protocol {
            Protocol::Resp2 => self.count(b'*', count),
            Protocol::Resp3 => self.count(b'>', count),
        }
    }

    /// The head of so many pairs that say something about the reply after them. RESP2 cannot express them: it
    /// is for the caller to leave them out there.
    pub(crate) fn attribute(&mut self, pairs: usize) {
        self.count(b'|', pairs);
    }

    /// A floating point number, in the text of [`format_double`](crate::format_double).
    pub fn double(&mut self, value: f64) {
        let Some(out) = &mut self.out else { return };
        let text = DoubleText::new(value);
        match self.protocol {
            Protocol::Resp2 => push_bulk(out, text.as_bytes()),
            Protocol::Resp3 => {
                out.push(b',');
                out.extend_from_slice(text.as_bytes());
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// A truth value.
    #[inline]
    pub fn boolean(&mut self, value: bool) {
        self.raw(match (self.protocol, value) {
            (Protocol::Resp2, true) => b":1\r\n",
            (Protocol::Resp2, false) => b":0\r\n",
            (Protocol::Resp3, true) => b"#t\r\n",
            (Protocol::Resp3, false) => b"#f\r\n",
        });
    }

    /// An integer of any size, given as its decimal digits.
    pub fn big_number(&mut self, digits: impl AsRef<[u8]>) {
        let digits = digits.as_ref();
        let Some(out) = &mut self.out else { return };
        match self.protocol {
            Protocol::Resp2 => push_bulk(out, digits),
            Protocol::Resp3 => {
                out.push(b'(');
                push_line(out, digits);
            }
        }
    }

    /// A text for people, with its format, `txt` or `mkd`. A format is three bytes: a longer one is cut, a
    /// shorter one padded with spaces, as Redis does.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        let mut padded = *b"   ";
        for (place, byte) in padded.iter_mut().zip(format.bytes()) {
            *place = byte;
        }
        self.verbatim_bytes(padded, text);
    }

    pub(crate) fn verbatim_bytes(&mut self, format: [u8; 3], text: &[u8]) {
        let Some(out) = &mut self.out else { return };
        match self.protocol {
            Protocol::Resp2 => push_bulk(out, text),
            Protocol::Resp3 => {
                push_head(out, b'=', text.len() as i64 + 4);
                out.extend_from_slice(&format);
                out.push(b':');
                out.extend_from_slice(text);
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Bytes that are encoded already.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        if let Some(out) = &mut self.out {
            out.extend_from_slice(bytes);
        }
    }

    /// The protocol that replies are written in.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether nobody will read the reply, so that what is only for the reply need not be computed.
    #[inline]
    pub fn is_discarding(&self) -> bool {
        self.out.is_none()
    }

    #[inline]
    fn count(&mut self, kind: u8, count: usize) {
        self.head(kind, count as i64);
    }

    #[inline]
    fn head(&mut self, kind: u8, number: i64) {
        if let Some(out) = &mut self.out {
            push_head(out, kind, number);
        }
    }
}

/// Appends a request as every client library sends it: an array of bulk strings.
///
/// ```
/// let mut out = Vec::new();
/// resp::encode_request(&mut out, &["GET", "k"]);
/// assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
/// ```
pub fn encode_request(out: &mut Vec<u8>, args: &[impl AsRef<[u8]>]) {
    push_head(out, b'*', args.len() as i64);
    for arg in args {
        push_bulk(out, arg.as_ref());
    }
}

/// The longest head: a kind, twenty characters of a number, CR LF.
const HEAD_BYTES_MAX: usize = 1 + 20 + 2;

#[inline]
fn push_head(out: &mut Vec<u8>, kind: u8, number: i64) {
    if (0..10).contains(&number) {
        out.extend_from_slice(&[kind, b'0' + number as u8, b'\r', b'\n']);
        return;
    }
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number);
    out.reserve(HEAD_BYTES_MAX);
    out.push(kind);
    out.extend_from_slice(digits.as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[inline]
fn push_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + HEAD_BYTES_MAX + 2);
    push_head(out, b'$', bytes.len() as i64);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Writes the rest of a line, which ends where this says and nowhere else.
#[inline]
fn push_line(out: &mut Vec<u8>, text: &[u8]) {
    let start = out.len();
    out.extend_from_slice(text);
    for byte in &mut out[start..] {
        if matches!(*byte, b'\r' | b'\n' | 0) {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn trim_line_breaks(text: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !matches!(byte, b'\r' | b'\n');
    let start = text.iter().position(is_text).unwrap_or(text.len());
    let end = text
        .iter()
        .rposition(is_text)
        .map_or(start, |last| last + 1);
    &text[start..end]
}
