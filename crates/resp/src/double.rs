//! Doubles as text, exactly as Redis 7.0 prints them.
//!
//! Redis 7.0 formats with C's `%.17g`. The text is part of the protocol, and it must be the same on every
//! replica and every platform, so it is made here and not by a C library: seventeen significant digits of the
//! exact binary value, correctly rounded, trailing zeros removed, in scientific notation when the exponent is
//! below -4 or above 16.

use std::fmt::Write;

use crate::number::parse_i64;

/// The significant digits of `%.17g`: enough that every double reads back as itself.
const SIGNIFICANT_DIGITS: usize = 17;

/// Integers up to here print as themselves, without the detour over their digits.
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
    String::from_utf8_lossy(DoubleText::new(value).as_bytes()).into_owned()
}

/// Appends a double as [`format_double`] gives it, without allocating for it.
pub fn write_double(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(DoubleText::new(value).as_bytes());
}

/// A double as text, on the stack. The longest is `-1.7976931348623157e+308`, 24 bytes.
#[derive(Debug, Default)]
pub(crate) struct DoubleText {
    bytes: [u8; 32],
    length: usize,
}

impl DoubleText {
    pub(crate) fn new(value: f64) -> DoubleText {
        let mut text = DoubleText::default();
        if value.is_nan() {
            text.push(b"nan");
        } else if value.is_infinite() {
            text.push(if value > 0.0 { b"inf" } else { b"-inf" });
        } else if value.fract() == 0.0 && value.abs() <= INTEGER_MAX {
            if value.is_sign_negative() && value == 0.0 {
                text.push(b"-");
            }
            text.push(itoa::Buffer::new().format(value as i64).as_bytes());
        } else {
            let mut scientific = DoubleText::default();
            // There is room for it, so it cannot fail; a text cut short would show in the first test.
            let _ = write!(scientific, "{:.*e}", SIGNIFICANT_DIGITS - 1, value);
            text.lay_out(scientific.as_bytes());
        }
        text
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Turns `-d.dddddddddddddddde-x` into what `%g` prints for it.
    fn lay_out(&mut self, scientific: &[u8]) {
        let unsigned = scientific.strip_prefix(b"-").unwrap_or(scientific);
        if unsigned.len() < scientific.len() {
            self.push(b"-");
        }
        let mut halves = unsigned.split(|byte| *byte == b'e');
        let mantissa = halves.next().unwrap_or_default();
        let exponent = halves.next().and_then(parse_i64).unwrap_or_default();

        let mut digits = [0u8; SIGNIFICANT_DIGITS];
        let written = mantissa.iter().filter(|byte| byte.is_ascii_digit());
        digits
            .iter_mut()
            .zip(written)
            .for_each(|(place, digit)| *place = *digit);
        // The first digit is not zero: zero itself is printed as an integer.
        let count = digits
            .iter()
            .rposition(|digit| *digit != b'0')
            .map_or(1, |last| last + 1);
        let digits = &digits[..count];

        if !(-4..SIGNIFICANT_DIGITS as i64).contains(&exponent) {
            self.push_with_point(digits, 1);
            self.push(if exponent < 0 { b"e-" } else { b"e+" });
            if exponent.unsigned_abs() < 10 {
                self.push(b"0");
            }
            self.push(
                itoa::Buffer::new()
                    .format(exponent.unsigned_abs())
                    .as_bytes(),
            );
        } else if exponent < 0 {
            self.push(b"0.");
            (1..exponent.unsigned_abs()).for_each(|_| self.push(b"0"));
            self.push(digits);
        } else {
            self.push_with_point(digits, exponent as usize + 1);
        }
    }

    /// Adds digits with a decimal point after the first `integral` of them, filling up with zeros before it.
    fn push_with_point(&mut self, digits: &[u8], integral: usize) {
        if digits.len() <= integral {
            self.push(digits);
            (digits.len()..integral).for_each(|_| self.push(b"0"));
        } else {
            self.push(&digits[..integral]);
            self.push(b".");
            self.push(&digits[integral..]);
        }
    }

    fn push(&mut self, text: &[u8]) {
        let end = self.length + text.len();
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(text);
            self.length = end;
        }
    }
}

impl Write for DoubleText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
#[path = "double_tests.rs"]
mod tests;
