//! Values: what a key holds.

mod string;

use std::hash::Hasher;

pub use string::StringValue;

/// The value of a key.
///
/// Cloning is cheap for every type: large contents are shared by reference count, and copied only
/// when one of the owners changes them. That is what lets a whole segment of the keyspace be copied
/// aside while a snapshot of it is being written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// A string: bytes or a decimal integer.
    String(StringValue),
}

impl Value {
    /// A value that owns nothing, to stand where there is none.
    pub(crate) const EMPTY: Value = Value::String(StringValue::ZERO);

    /// The name of the type, as TYPE replies it and SCAN's TYPE option takes it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::String(_) => "string",
        }
    }

    /// The name of the representation, as OBJECT ENCODING replies it.
    pub fn encoding(&self) -> &'static str {
        match self {
            Value::String(string) => string.encoding(),
        }
    }

    /// The number of bytes of the contents.
    pub fn length(&self) -> usize {
        match self {
            Value::String(string) => string.length(),
        }
    }

    /// The bytes that this value holds outside of the keyspace's own entry, for MEMORY USAGE.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Value::String(string) => string.heap_bytes(),
        }
    }

    /// Feeds the contents, not the representation, to a hash. Used to compare replicas.
    pub(crate) fn digest(&self, hasher: &mut impl Hasher) {
        match self {
            Value::String(string) => {
                hasher.write_u8(0);
                string.with_bytes(|bytes| {
                    hasher.write_u64(bytes.len() as u64);
                    hasher.write(bytes);
                });
            }
        }
    }
}

impl From<StringValue> for Value {
    fn from(string: StringValue) -> Self {
        Value::String(string)
    }
}
