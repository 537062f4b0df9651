//! The checksum at the end of an RDB file: CRC-64 with the polynomial of Jones (`crc64.c` of Redis).
//!
//! Reflected in and out, without initial value or final inversion, so that a sum may be carried on over
//! any pieces of the input.

/// 0xad93d23594c935a9 with its bits in reverse.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;

/// Bytes that are taken at once: table `n` says what a byte does that `n` others follow.
const SLICES: usize = 8;

static TABLES: [[u64; 256]; SLICES] = tables();

const fn tables() -> [[u64; 256]; SLICES] {
    let mut tables = [[0; 256]; SLICES];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 {
                (sum >> 1) ^ POLYNOMIAL
            } else {
                sum >> 1
            };
            bit += 1;
        }
        tables[0][byte] = sum;
        byte += 1;
    }
    let mut slice = 1;
    while slice < SLICES {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[slice - 1][byte];
            tables[slice][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        slice += 1;
    }
    tables
}

/// The sum of all bytes so far and these.
pub(crate) fn crc64(mut sum: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<SLICES>();
    for word in words {
        let mixed = sum ^ u64::from_le_bytes(*word);
        sum = (0..SLICES).fold(0, |sum, at| {
            let byte = (mixed >> (8 * at)) & 0xff;
            sum ^ TABLES[SLICES - 1 - at][byte as usize]
        });
    }
    for byte in rest {
        let at = (sum ^ u64::from(*byte)) & 0xff;
        sum = (sum >> 8) ^ TABLES[0][at as usize];
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sums() {
        // The check value of the catalogue of CRCs, and of the test in `crc64.c`.
        assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(crc64(0, b""), 0);
    }

    #[test]
    fn a_sum_is_carried_on_over_any_pieces() {
        let text: Vec<u8> = (0..100).collect();
        let whole = crc64(0, &text);
        for split in 0..text.len() {
            let (head, tail) = text.split_at(split);
            assert_eq!(crc64(crc64(0, head), tail), whole);
        }
    }
}
