//! Doubles as text, exactly as Redis 7.0 prints them.
//!
//! Redis 7.0 formats with C's `%.17g`. The text is part of the protocol, and it must be the same on every
//! replica and every platform, so it is made here and not by a C library: seventeen significant digits of the
//! exact binary value, correctly rounded, trailing zeros removed, in scientific notation when the exponent is
//! below -4 or above 16.

use std::fmt::Write;

/// The significant digits of `%.17g`: enough that every double reads back as itself.
const SIGNIFICANT_DIGITS: usize = 17;

/// Integers up to here have at most seventeen digits and print as themselves.
const INTEGER_MAX: f64 = 1e15;

/// A double as Redis 7.0 prints it: `%.17g`, `inf`, `-inf`, `nan`.
///
/// ```
/// assert_eq!(resp::format_double(3.0), "3");
/// assert_eq!(resp::format_double(0.1), "0.10000000000000001");
/// assert_eq!(resp::format_double(1e300), "1.0000000000000001e+300");
/// assert_eq!(resp::format_double(f64::NEG_INFINITY), "-inf");
/// ```
pub fn format_double(value: f64) -> String {
    let mut text = Vec::with_capacity(24);
    write_double(&mut text, value);
    String::from_utf8_lossy(&text).into_owned()
}

/// Appends a double as [`format_double`] gives it, without allocating for it.
pub fn write_double(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"nan");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    } else if value.fract() == 0.0 && value.abs() <= INTEGER_MAX {
        if value.is_sign_negative() && value == 0.0 {
            out.push(b'-');
        }
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    } else {
        let mut scientific = Scientific::default();
        // Writing to memory that is long enough cannot fail; a shorter text would show in the first test.
        let _ = write!(scientific, "{:.*e}", SIGNIFICANT_DIGITS - 1, value);
        lay_out(out, scientific.text());
    }
}

/// Turns `-d.dddddddddddddddde-x` into what `%g` prints for it.
fn lay_out(out: &mut Vec<u8>, scientific: &[u8]) {
    let scientific = match scientific {
        [b'-', rest @ ..] => {
            out.push(b'-');
            rest
        }
        rest => rest,
    };
    let mut digits = [0u8; SIGNIFICANT_DIGITS];
    let mut count = 0;
    let mut position = 0;
    while let Some(&byte) = scientific.get(position).filter(|byte| **byte != b'e') {
        if byte != b'.' && count < SIGNIFICANT_DIGITS {
            digits[count] = byte;
            count += 1;
        }
        position += 1;
    }
    let exponent_text = scientific.get(position + 1..).unwrap_or_default();
    let exponent = crate::number::parse_i64(exponent_text).unwrap_or_default();
    while count > 1 && digits[count - 1] == b'0' {
        count -= 1;
    }
    let digits = &digits[..count];

    if !(-4..SIGNIFICANT_DIGITS as i64).contains(&exponent) {
        write_with_point(out, digits, 1);
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        if exponent.unsigned_abs() < 10 {
            out.push(b'0');
        }
        out.extend_from_slice(
            itoa::Buffer::new()
                .format(exponent.unsigned_abs())
                .as_bytes(),
        );
    } else if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(
            b'0',
            exponent.unsigned_abs() as usize - 1,
        ));
        out.extend_from_slice(digits);
    } else {
        write_with_point(out, digits, exponent as usize + 1);
    }
}

/// Writes digits with a decimal point after the first `integral` of them, filling up with zeros before it.
fn write_with_point(out: &mut Vec<u8>, digits: &[u8], integral: usize) {
    if digits.len() <= integral {
        out.extend_from_slice(digits);
        out.extend(std::iter::repeat_n(b'0', integral - digits.len()));
    } else {
        out.extend_from_slice(&digits[..integral]);
        out.push(b'.');
        out.extend_from_slice(&digits[integral..]);
    }
}

/// Room on the stack for the longest text of `{:.16e}`: sign, 17 digits, point, `e`, sign, 3 digits.
#[derive(Default)]
struct Scientific {
    bytes: [u8; 32],
    length: usize,
}

impl Scientific {
    fn text(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Write for Scientific {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        let room = self
            .bytes
            .get_mut(self.length..end)
            .ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
