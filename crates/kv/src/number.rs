//! Numbers in the texts of clients: what Redis takes for one.

/// The longest text of a 64-bit integer, `-9223372036854775808`.
const INTEGER_BYTES_MAX: usize = 20;

/// Reads an integer as strictly as Redis' `string2ll`: the text must be the very one that printing
/// the integer gives. No space, no `+`, no leading zero, no `-0`.
///
/// This is also what decides whether a string is stored as an integer: nothing is lost by it.
#[must_use]
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if text.len() > INTEGER_BYTES_MAX {
        return None;
    }
    match digits {
        [] => return None,
        [b'0'] => return (!negative).then_some(0),
        [b'0', ..] => return None,
        _ => {}
    }
    let mut magnitude: u64 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        magnitude = magnitude
            .checked_mul(10)?
            .checked_add(u64::from(digit - b'0'))?;
    }
    if negative {
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// How many bytes [`parse_integer`]'s text of `value` has.
#[must_use]
pub fn integer_text_len(value: i64) -> usize {
    let digits = value.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1;
    digits + usize::from(value < 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_is_only_the_text_it_prints_as() {
        for value in [0, 1, -1, 10, 42, -42, i64::MAX, i64::MIN] {
            assert_eq!(parse_integer(value.to_string().as_bytes()), Some(value));
            assert_eq!(integer_text_len(value), value.to_string().len());
        }
        for text in [
            "",
            "-",
            "+1",
            " 1",
            "1 ",
            "01",
            "-0",
            "-01",
            "00",
            "1.0",
            "1e3",
            "0x1",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999",
            "123456789012345678901",
            "1\0",
        ] {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text:?}");
        }
    }
}
