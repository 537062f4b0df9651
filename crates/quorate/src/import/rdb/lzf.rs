//! LZF, with which Redis packs strings of more than 20 bytes (`lzf_d.c`).
//!
//! A control byte below 32 is followed by that many bytes and one, as they are. Any other one repeats
//! what stands further in front: its upper three bits are the length less 2 (7: the next byte is
//! added), its lower five bits and the next byte the distance less 1.

/// The most bytes that one packed byte can stand for: 264 in three bytes.
const GROWTH_MAX: u64 = 88;

/// Why packed bytes cannot be unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LzfError {
    /// They end in the middle of a step.
    #[error("compressed string ends too early")]
    Ends,
    /// They repeat what stands in front of the beginning.
    #[error("compressed string repeats bytes in front of its beginning")]
    Distance,
    /// They stand for more or fewer bytes than they should.
    #[error("compressed string does not have the length that is given for it")]
    Length,
}

/// Unpacks bytes that stand for `length` bytes.
pub(crate) fn unpack(packed: &[u8], length: u64) -> Result<Vec<u8>, LzfError> {
    // A length that cannot be must not reserve memory.
    if length > packed.len() as u64 * GROWTH_MAX {
        return Err(LzfError::Length);
    }
    let length = usize::try_from(length).map_err(|_| LzfError::Length)?;
    let mut out = Vec::with_capacity(length);
    let mut input = packed;
    while let Some((control, rest)) = input.split_first() {
        input = rest;
        if *control < 32 {
            let literal = input.split_at_checked(usize::from(*control) + 1);
            let (literal, rest) = literal.ok_or(LzfError::Ends)?;
            out.extend_from_slice(literal);
            input = rest;
        } else {
            let mut count = usize::from(control >> 5) + 2;
            if control >> 5 == 7 {
                count += usize::from(next(&mut input)?);
            }
            let distance = usize::from(control & 0x1f) << 8 | usize::from(next(&mut input)?);
            let from = out.len().checked_sub(distance + 1);
            let from = from.ok_or(LzfError::Distance)?;
            // What is repeated may reach into what it makes, so it goes byte by byte.
            for at in from..from + count {
                out.push(out[at]);
            }
        }
        if out.len() > length {
            return Err(LzfError::Length);
        }
    }
    match out.len() == length {
        true => Ok(out),
        false => Err(LzfError::Length),
    }
}

fn next(input: &mut &[u8]) -> Result<u8, LzfError> {
    let (byte, rest) = input.split_first().ok_or(LzfError::Ends)?;
    *input = rest;
    Ok(*byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_repetitions() {
        assert_eq!(unpack(&[2, b'a', b'b', b'c'], 3).unwrap(), b"abc");
        // "a", then five bytes from one byte back.
        assert_eq!(unpack(&[0, b'a', 0x60, 0], 6).unwrap(), b"aaaaaa");
        // A long one: 7 + 2 + 10 bytes from two back.
        let long = unpack(&[1, b'x', b'y', 0xe0, 10, 1], 21).unwrap();
        assert_eq!(long, b"xyxyxyxyxyxyxyxyxyxyx");
        assert_eq!(unpack(&[], 0).unwrap(), b"");
    }

    #[test]
    fn damage_is_an_error() {
        assert_eq!(unpack(&[5, b'a'], 6), Err(LzfError::Ends));
        assert_eq!(unpack(&[0, b'a', 0xe0], 20), Err(LzfError::Ends));
        assert_eq!(unpack(&[0, b'a', 0x60], 6), Err(LzfError::Ends));
        assert_eq!(unpack(&[0, b'a', 0x60, 1], 6), Err(LzfError::Distance));
        assert_eq!(unpack(&[0, b'a', 0x60, 0], 5), Err(LzfError::Length));
        assert_eq!(unpack(&[0, b'a', 0x60, 0], 7), Err(LzfError::Length));
        assert_eq!(unpack(&[0, b'a'], u64::MAX), Err(LzfError::Length));
    }
}
