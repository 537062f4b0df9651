//! A reply as a value.

use crate::encode::{Encoder, Protocol};

/// A reply of any type of RESP2 or RESP3, as a client gets it.
///
/// Strings are bytes: Redis promises no encoding for any of them, errors included.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// `+`, a short text.
    Simple(Vec<u8>),
    /// `-` or `!`, an error with its code.
    Error(Vec<u8>),
    /// `:`.
    Integer(i64),
    /// `$`.
    Bulk(Vec<u8>),
    /// `_`, and RESP2's `$-1`.
    Null,
    /// RESP2's `*-1`.
    NullArray,
    /// `*`.
    Array(Vec<Value>),
    /// `%`, in the order that the server sent.
    Map(Vec<(Value, Value)>),
    /// `~`, in the order that the server sent.
    Set(Vec<Value>),
    /// `>`, a message that answers no request.
    Push(Vec<Value>),
    /// `,`.
    Double(f64),
    /// `#`.
    Boolean(bool),
    /// `(`, the decimal digits.
    BigNumber(Vec<u8>),
    /// `=`.
    Verbatim {
        /// `txt` or `mkd`.
        format: [u8; 3],
        /// The text without its format.
        text: Vec<u8>,
    },
    /// `|`, something said about the reply that follows it, and that reply.
    Attributed {
        /// What is said, in the order that the server sent.
        attributes: Vec<(Value, Value)>,
        /// The reply itself.
        value: Box<Value>,
    },
}

impl Value {
    /// The bytes of a string of any kind.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Simple(text) | Value::Bulk(text) | Value::Verbatim { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The number, if it is an integer.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The elements of an array, a set or a push.
    pub fn as_slice(&self) -> Option<&[Value]> {
        match self {
            Value::Array(elements) | Value::Set(elements) | Value::Push(elements) => Some(elements),
            _ => None,
        }
    }

    /// The text of an error.
    pub fn as_error(&self) -> Option<&[u8]> {
        match self {
            Value::Error(text) => Some(text),
            _ => None,
        }
    }

    /// Whether there is no value, in whatever form the protocol says so.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null | Value::NullArray)
    }

    /// Whether this is `+OK`.
    pub fn is_ok(&self) -> bool {
        matches!(self, Value::Simple(text) if text == b"OK")
    }

    /// Appends the reply as a server sends it. RESP2 has no attributes: there they are left out.
    ///
    /// The value decides how deep this recurses; [`ReplyParser`](crate::ReplyParser) makes none deeper than
    /// its limit.
    pub fn encode(&self, out: &mut Vec<u8>, protocol: Protocol) {
        let mut encoder = Encoder::new(out, protocol);
        match self {
            Value::Simple(text) => encoder.simple_bytes(text),
            Value::Error(text) => encoder.error(text),
            Value::Integer(number) => encoder.integer(*number),
            Value::Bulk(bytes) => encoder.bulk(bytes),
            Value::Null => encoder.null(),
            Value::NullArray => encoder.null_array(),
            Value::Double(number) => encoder.double(*number),
            Value::Boolean(truth) => encoder.boolean(*truth),
            Value::BigNumber(digits) => encoder.big_number(digits),
            Value::Verbatim { format, text } => encoder.verbatim_bytes(*format, text),
            Value::Array(elements) => {
                encoder.array(elements.len());
                elements
                    .iter()
                    .for_each(|element| element.encode(out, protocol));
            }
            Value::Set(elements) => {
                encoder.set(elements.len());
                elements
                    .iter()
                    .for_each(|element| element.encode(out, protocol));
            }
            Value::Push(elements) => {
                encoder.push(elements.len());
                elements
                    .iter()
                    .for_each(|element| element.encode(out, protocol));
            }
            Value::Map(pairs) => {
                encoder.map(pairs.len());
                encode_pairs(out, pairs, protocol);
            }
            Value::Attributed { attributes, value } => {
                if protocol == Protocol::Resp3 {
                    encoder.attribute(attributes.len());
                    encode_pairs(out, attributes, protocol);
                }
                value.encode(out, protocol);
            }
        }
    }
}

fn encode_pairs(out: &mut Vec<u8>, pairs: &[(Value, Value)], protocol: Protocol) {
    for (key, value) in pairs {
        key.encode(out, protocol);
        value.encode(out, protocol);
    }
}
