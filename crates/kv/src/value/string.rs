//! The string type.
//!
//! A string is kept in one of four ways, and no command's reply depends on which, OBJECT ENCODING
//! excepted: it names them as Redis does (`int`, `embstr`, `raw`).
//!
//! Cloning never copies contents. That pays for COPY and, above all, for snapshots: a segment that is
//! copied aside shares its strings. A string that grows by APPEND or SETRANGE owns a buffer with
//! room to spare, so that a thousand small additions cost as much as one large one; only while a
//! snapshot (or a copy) shares the buffer does the next change copy it once.

use std::sync::Arc;

use crate::number::{integer_text_len, parse_integer};
use crate::value::Value;

/// The longest string that is kept in place, without an allocation.
const INLINE_BYTES_MAX: usize = 22;

/// The longest string that Redis reports as `embstr`.
const EMBSTR_BYTES_MAX: usize = 44;

/// A string value: an integer where the text is the canonical form of one, else bytes.
#[derive(Clone, Debug)]
pub struct StringValue(Repr);

#[derive(Clone, Debug)]
enum Repr {
    Integer(i64),
    Inline {
        length: u8,
        bytes: [u8; INLINE_BYTES_MAX],
    },
    Shared(Arc<[u8]>),
    Growing(Arc<Vec<u8>>),
}

impl StringValue {
    /// The string `0`.
    pub(crate) const ZERO: StringValue = StringValue(Repr::Integer(0));

    /// The string of these bytes, in the smallest representation.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        match parse_integer(bytes) {
            Some(integer) => StringValue(Repr::Integer(integer)),
            None => StringValue::from_text(bytes),
        }
    }

    /// The string of these bytes, kept as bytes even if they are an integer's. INCRBYFLOAT stores
    /// so: Redis does not look for an integer in what it has just printed.
    pub fn from_text(bytes: &[u8]) -> Self {
        if bytes.len() > INLINE_BYTES_MAX {
            return StringValue(Repr::Shared(bytes.into()));
        }
        let mut inline = [0; INLINE_BYTES_MAX];
        inline[..bytes.len()].copy_from_slice(bytes);
        StringValue(Repr::Inline {
            length: bytes.len() as u8,
            bytes: inline,
        })
    }

    /// The string of an integer.
    pub fn from_integer(integer: i64) -> Self {
        StringValue(Repr::Integer(integer))
    }

    /// A string that is about to be changed in place.
    pub fn growing(bytes: Vec<u8>) -> Self {
        StringValue(Repr::Growing(Arc::new(bytes)))
    }

    /// The integer, when the string is kept as one.
    pub fn as_integer(&self) -> Option<i64> {
        match self.0 {
            Repr::Integer(integer) => Some(integer),
            _ => None,
        }
    }

    /// The integer whose text the string is, however it is kept.
    pub fn parse_integer(&self) -> Option<i64> {
        match &self.0 {
            Repr::Integer(integer) => Some(*integer),
            _ => self.with_bytes(parse_integer),
        }
    }

    /// Calls `use_bytes` with the text of the string.
    pub fn with_bytes<T>(&self, use_bytes: impl FnOnce(&[u8]) -> T) -> T {
        match &self.0 {
            Repr::Integer(integer) => use_bytes(itoa::Buffer::new().format(*integer).as_bytes()),
            Repr::Inline { length, bytes } => use_bytes(&bytes[..usize::from(*length)]),
            Repr::Shared(bytes) => use_bytes(bytes),
            Repr::Growing(bytes) => use_bytes(bytes),
        }
    }

    /// The bytes, to be changed in place; the string is `raw` from then on. Copies them if they are
    /// shared or not kept in a buffer of their own yet.
    pub fn make_mut(&mut self) -> &mut Vec<u8> {
        if !matches!(self.0, Repr::Growing(_)) {
            let bytes = self.with_bytes(<[u8]>::to_vec);
            self.0 = Repr::Growing(Arc::new(bytes));
        }
        match &mut self.0 {
            Repr::Growing(bytes) => Arc::make_mut(bytes),
            _ => unreachable!("the representation was set to Growing above"),
        }
    }

    /// The length of the text in bytes.
    pub fn length(&self) -> usize {
        match &self.0 {
            Repr::Integer(integer) => integer_text_len(*integer),
            Repr::Inline { length, .. } => usize::from(*length),
            Repr::Shared(bytes) => bytes.len(),
            Repr::Growing(bytes) => bytes.len(),
        }
    }

    /// The name of the representation, as OBJECT ENCODING replies it.
    pub fn encoding(&self) -> &'static str {
        match &self.0 {
            Repr::Integer(_) => "int",
            Repr::Growing(_) => "raw",
            _ if self.length() <= EMBSTR_BYTES_MAX => "embstr",
            _ => "raw",
        }
    }

    /// Whether the string is kept in a buffer of its own, with room to grow.
    pub(crate) fn is_growing(&self) -> bool {
        matches!(self.0, Repr::Growing(_))
    }

    /// The bytes held outside of the value itself.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Integer(_) | Repr::Inline { .. } => 0,
            Repr::Shared(bytes) => size_of::<[usize; 2]>() + bytes.len(),
            Repr::Growing(bytes) => size_of::<([usize; 2], Vec<u8>)>() + bytes.capacity(),
        }
    }
}

impl PartialEq for StringValue {
    fn eq(&self, other: &Self) -> bool {
        self.with_bytes(|mine| other.with_bytes(|theirs| mine == theirs))
    }
}

impl Eq for StringValue {}

impl Value {
    /// The string, when the value is one.
    pub(crate) fn as_string(&self) -> Option<&StringValue> {
        match self {
            Value::String(string) => Some(string),
        }
    }

    /// The bytes of the string, to be changed in place, when the value is one.
    pub(crate) fn string_mut(&mut self) -> Option<&mut Vec<u8>> {
        match self {
            Value::String(string) => Some(string.make_mut()),
        }
    }

    /// Whether the value is exactly this string.
    pub(crate) fn is_string(&self, text: &[u8]) -> bool {
        self.as_string()
            .is_some_and(|string| string.with_bytes(|bytes| bytes == text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn representations_have_the_names_that_redis_gives_them() {
        let encoding = |bytes: &[u8]| StringValue::from_bytes(bytes).encoding();
        assert_eq!(encoding(b"12"), "int");
        assert_eq!(encoding(b"-9223372036854775808"), "int");
        assert_eq!(encoding(b"9223372036854775808"), "embstr");
        assert_eq!(encoding(b"012"), "embstr");
        assert_eq!(encoding(b""), "embstr");
        assert_eq!(encoding(&[b'a'; 44]), "embstr");
        assert_eq!(encoding(&[b'a'; 45]), "raw");
        assert_eq!(StringValue::from_text(b"12").encoding(), "embstr");
        assert_eq!(StringValue::from_integer(12).encoding(), "int");
        let mut changed = StringValue::from_bytes(b"12");
        changed.make_mut().push(b'3');
        assert_eq!(changed.encoding(), "raw");
        assert_eq!(changed.parse_integer(), Some(123));
    }

    #[test]
    fn every_representation_keeps_the_bytes() {
        for length in [0, 1, 21, 22, 23, 44, 45, 1000] {
            let bytes = vec![b'x'; length];
            let mut string = StringValue::from_bytes(&bytes);
            assert_eq!(string.length(), length);
            string.with_bytes(|kept| assert_eq!(kept, bytes));
            assert_eq!(*string.make_mut(), bytes);
            assert_eq!(string, StringValue::from_text(&bytes));
        }
        assert_eq!(StringValue::from_integer(-7), StringValue::from_text(b"-7"));
        assert_eq!(StringValue::from_integer(-7).length(), 2);
    }

    #[test]
    fn a_clone_shares_until_one_changes() {
        let mut string = StringValue::growing(vec![b'a'; 100]);
        let shared = string.clone();
        string.make_mut().push(b'b');
        assert_eq!(shared.length(), 100);
        assert_eq!(string.length(), 101);
    }

    #[test]
    fn appending_to_a_string_nobody_shares_does_not_copy_it() {
        let mut string = StringValue::from_bytes(b"start");
        string.make_mut().reserve(1 << 20);
        let place = string.make_mut().as_ptr();
        for _ in 0..1 << 16 {
            string.make_mut().extend_from_slice(b"0123456789");
        }
        assert_eq!(string.make_mut().as_ptr(), place);
        assert_eq!(string.length(), 5 + 10 * (1 << 16));
    }

    #[test]
    fn a_value_is_no_larger_than_three_words() {
        assert_eq!(size_of::<StringValue>(), 24);
    }
}
