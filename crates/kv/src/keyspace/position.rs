//! Where keys are placed: slots and positions.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// The number of hash slots, as in Redis Cluster.
pub const SLOT_COUNT: u16 = 16_384;

/// The bits of a position below its slot.
const HASH_BITS: u32 = 50;

/// The slot of a key: CRC16 of the key, or of the part between the first `{` and the next `}` when
/// that part is not empty (the *hash tag*), modulo 16384. Redis Cluster specification, "Hash tags".
pub fn key_slot(key: &[u8]) -> u16 {
    crc16_xmodem(hash_tag(key).unwrap_or(key)) % SLOT_COUNT
}

/// The part of a key that decides its slot, when that is not the whole key.
fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|byte| *byte == b'{')?;
    let tail = &key[open + 1..];
    let close = tail.iter().position(|byte| *byte == b'}')?;
    (close > 0).then(|| &tail[..close])
}

/// CRC16-CCITT as XMODEM uses it: polynomial 0x1021, start 0, no reflection, no final xor.
fn crc16_xmodem(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        let index = usize::from((crc >> 8) as u8 ^ byte);
        (crc << 8) ^ CRC16_TABLE[index]
    })
}

/// The CRC of every single byte.
const CRC16_TABLE: [u16; 256] = {
    let mut table = [0u16; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = (index as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 {
                (crc << 1) ^ 0x1021
            } else {
                crc << 1
            };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

/// The place of a key in the order of the keyspace: the slot in the upper 14 bits, a keyed hash of
/// the key in the lower 50.
///
/// The slot in front makes the keys of a slot neighbours. The hash is keyed by a secret of the
/// cluster so that nobody can choose keys that fall on one place. Two keys may share a position;
/// they are then ordered by their bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Position(pub(crate) u64);

impl Position {
    /// Before or at every position.
    pub(crate) const FIRST: Position = Position(0);

    /// The first position of a slot; of the slot after the last, the end is `None`.
    pub(crate) fn of_slot(slot: u16) -> Option<Position> {
        (slot < SLOT_COUNT).then(|| Position(u64::from(slot) << HASH_BITS))
    }
}

/// Computes positions with the secret of the cluster.
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    keyed: SipHasher13,
}

impl Placement {
    pub(crate) fn new(secret: [u8; 16]) -> Self {
        Placement {
            keyed: SipHasher13::new_with_key(&secret),
        }
    }

    /// The position of a key.
    pub(crate) fn position(&self, key: &[u8]) -> Position {
        let slot = u64::from(key_slot(key));
        let mut hasher = self.keyed;
        hasher.write(key);
        Position(slot << HASH_BITS | hasher.finish() >> (64 - HASH_BITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis_cluster() {
        assert_eq!(crc16_xmodem(b"123456789"), 0x31c3);
        assert_eq!(key_slot(b"foo"), 12_182);
        assert_eq!(key_slot(b"bar"), 5_061);
        assert_eq!(key_slot(b""), 0);
    }

    #[test]
    fn only_a_closed_tag_that_is_not_empty_decides_the_slot() {
        assert_eq!(key_slot(b"{user1000}.following"), key_slot(b"user1000"));
        assert_eq!(
            key_slot(b"foo{}{bar}"),
            crc16_xmodem(b"foo{}{bar}") % SLOT_COUNT
        );
        assert_eq!(key_slot(b"foo{{bar}}zap"), key_slot(b"{bar"));
        assert_eq!(key_slot(b"foo{bar}{zap}"), key_slot(b"bar"));
        assert_eq!(key_slot(b"foo{bar"), crc16_xmodem(b"foo{bar") % SLOT_COUNT);
    }

    #[test]
    fn a_position_starts_with_the_slot() {
        let placement = Placement::new([7; 16]);
        for key in [&b"foo"[..], b"bar", b"", b"{user1000}.following"] {
            let position = placement.position(key);
            assert_eq!(position.0 >> HASH_BITS, u64::from(key_slot(key)));
            assert!(position >= Position::of_slot(key_slot(key)).expect("a slot in range"));
        }
        assert_eq!(Position::of_slot(SLOT_COUNT), None);
    }
}
