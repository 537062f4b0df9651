//! The bytes of a key, without an allocation when they are few.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

/// The longest key that needs no allocation. Chosen so that a [`Key`] is 24 bytes and an entry of
/// the keyspace is 64: one line of the processor's cache.
const INLINE_BYTES_MAX: usize = 22;

/// The bytes of a key.
#[derive(Clone)]
pub struct Key(Repr);

#[derive(Clone)]
enum Repr {
    Inline {
        length: u8,
        bytes: [u8; INLINE_BYTES_MAX],
    },
    Heap(Box<[u8]>),
}

impl Key {
    /// No bytes.
    pub(super) const EMPTY: Key = Key(Repr::Inline {
        length: 0,
        bytes: [0; INLINE_BYTES_MAX],
    });

    /// A copy of these bytes.
    pub fn new(bytes: &[u8]) -> Self {
        if bytes.len() > INLINE_BYTES_MAX {
            return Key(Repr::Heap(bytes.into()));
        }
        let mut inline = [0; INLINE_BYTES_MAX];
        inline[..bytes.len()].copy_from_slice(bytes);
        Key(Repr::Inline {
            length: bytes.len() as u8,
            bytes: inline,
        })
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { length, bytes } => &bytes[..usize::from(*length)],
            Repr::Heap(bytes) => bytes,
        }
    }

    /// The bytes that are allocated outside of the key itself.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Inline { .. } => 0,
            Repr::Heap(bytes) => bytes.len(),
        }
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_length_keep_their_bytes_and_order() {
        let mut keys: Vec<Vec<u8>> = (0..100).map(|length| vec![b'a'; length]).collect();
        keys.push(vec![0; 22]);
        keys.push(vec![255; 23]);
        for bytes in &keys {
            let key = Key::new(bytes);
            assert_eq!(key.as_bytes(), &bytes[..]);
            assert_eq!(key.heap_bytes() > 0, bytes.len() > INLINE_BYTES_MAX);
            for other in &keys {
                assert_eq!(key.cmp(&Key::new(other)), bytes.cmp(other));
            }
        }
        assert_eq!(size_of::<Key>(), 24);
    }
}
