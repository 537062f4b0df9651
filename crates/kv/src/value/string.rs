//! The string type.

use std::sync::Arc;

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
    /// The string of these bytes, in the smallest representation.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        if let Some(integer) = canonical_integer(bytes) {
            return StringValue(Repr::Integer(integer));
        }
        if bytes.len() <= INLINE_BYTES_MAX {
            let mut inline = [0; INLINE_BYTES_MAX];
            inline[..bytes.len()].copy_from_slice(bytes);
            return StringValue(Repr::Inline {
                length: bytes.len() as u8,
                bytes: inline,
            });
        }
        StringValue(Repr::Shared(bytes.into()))
    }

    /// The string of an integer.
    pub fn from_integer(integer: i64) -> Self {
        StringValue(Repr::Integer(integer))
    }

    /// The integer, when the string is kept as one.
    pub fn as_integer(&self) -> Option<i64> {
        match self.0 {
            Repr::Integer(integer) => Some(integer),
            _ => None,
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

    /// The bytes, to be changed in place; the string is `raw` from then on.
    pub fn make_mut(&mut self) -> &mut Vec<u8> {
        if !matches!(self.0, Repr::Growing(_)) {
            let bytes = self.with_bytes(<[u8]>::to_vec);
            self.0 = Repr::Growing(Arc::new(bytes));
        }
        match &mut self.0 {
            Repr::Growing(bytes) => Arc::make_mut(bytes),
            _ => unreachable!("made growing above"),
        }
    }

    /// The length of the text in bytes.
    pub fn length(&self) -> usize {
        self.with_bytes(<[u8]>::len)
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

    /// The bytes held outside of the value itself.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Integer(_) | Repr::Inline { .. } => 0,
            Repr::Shared(bytes) => 16 + bytes.len(),
            Repr::Growing(bytes) => 40 + bytes.capacity(),
        }
    }
}

impl PartialEq for StringValue {
    fn eq(&self, other: &Self) -> bool {
        self.with_bytes(|mine| other.with_bytes(|theirs| mine == theirs))
    }
}

impl Eq for StringValue {}

/// The integer whose decimal form is exactly these bytes.
fn canonical_integer(bytes: &[u8]) -> Option<i64> {
    if bytes.is_empty() || bytes.len() > 20 {
        return None;
    }
    let integer: i64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    (itoa::Buffer::new().format(integer).as_bytes() == bytes).then_some(integer)
}
