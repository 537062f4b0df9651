//! The 80-bit floating point arithmetic of `INCRBYFLOAT`, in integers.
//!
//! Redis computes `INCRBYFLOAT` in the `long double` of the machine it was built for. On x86-64
//! that is the x87 extended format: a sign, 15 bits of exponent and 64 of significand. Its extra
//! eleven bits are why `10.5 + 0.1` prints as `10.6` with seventeen decimals. Rust has no such
//! type, and whatever the hardware offers may differ between the replicas of one group, so the
//! format is imitated here: every conversion and sum is computed exactly in whole numbers and
//! rounded once, to nearest, ties to even, as the hardware and the C library do.

use crate::big_natural::BigNatural;

/// Bits in the significand.
const SIGNIFICAND_BITS: u32 = 64;
/// The exponent of the lowest bit of the smallest (subnormal) number: 2^-16445.
const EXPONENT_MIN: i64 = -16445;
/// The exponent of the lowest bit of the largest number: (2^64 - 1) * 2^16320.
const EXPONENT_MAX: i64 = 16320;
/// Decimal digits of the fraction that Redis prints (`%.17Lf`).
const FRACTION_DIGITS: usize = 17;
/// Texts of this length or more are not numbers (`MAX_LONG_DOUBLE_CHARS` in Redis' `util.h`).
const TEXT_BYTES_MAX: usize = 5 * 1024;
/// No text with its first digit this far from the decimal point is finite, or other than zero.
const DECIMAL_EXPONENT_BOUND: i64 = 5_000;
/// Longer exponents mean the same as this one, and cannot overflow the arithmetic on them.
const EXPONENT_CLAMP: i64 = 1_000_000;

/// A number of the x87 extended format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extended {
    /// `significand * 2^exponent`.
    Finite {
        /// Whether the number is below zero. Zero itself may carry a sign; nothing shows it.
        negative: bool,
        /// The digits. Invariant: the top bit is set, or the exponent is the least one.
        significand: u64,
        /// The exponent of the lowest bit.
        exponent: i32,
    },
    /// What `inf` denotes, and what a sum too large to represent becomes.
    Infinite {
        /// Whether it is the one below all numbers.
        negative: bool,
    },
}

impl Extended {
    /// Reads what C's `strtold` reads, when that is the whole text: decimal or hexadecimal digits
    /// with an exponent, `inf`, `infinity`.
    ///
    /// As in Redis, leading space, `nan`, and numbers too large or too small to be represented
    /// (other than zero itself) are refused.
    #[must_use]
    pub(crate) fn parse(text: &[u8]) -> Option<Extended> {
        if text.is_empty() || text.len() >= TEXT_BYTES_MAX {
            return None;
        }
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        if digits.eq_ignore_ascii_case(b"inf") || digits.eq_ignore_ascii_case(b"infinity") {
            return Some(Extended::Infinite { negative });
        }
        let (magnitude, exponent, inexact) = match digits {
            [b'0', b'x' | b'X', rest @ ..] => Scanned::scan(rest, Base::Sixteen)?.hexadecimal()?,
            _ => Scanned::scan(digits, Base::Ten)?.decimal()?,
        };
        let is_zero = magnitude.is_zero();
        match Extended::round(negative, &magnitude, exponent, inexact) {
            Extended::Infinite { .. } => None,
            Extended::Finite { significand: 0, .. } if !is_zero => None,
            number => Some(number),
        }
    }

    /// The sum, rounded once. `None` when it is not a number, as for infinities of two signs.
    #[must_use]
    pub(crate) fn add(self, other: Extended) -> Option<Extended> {
        match (self, other) {
            (Extended::Infinite { negative: left }, Extended::Infinite { negative: right }) => {
                (left == right).then_some(self)
            }
            (Extended::Infinite { .. }, _) => Some(self),
            (_, Extended::Infinite { .. }) => Some(other),
            (
                Extended::Finite {
                    negative: left_negative,
                    significand: left,
                    exponent: left_exponent,
                },
                Extended::Finite {
                    negative: right_negative,
                    significand: right,
                    exponent: right_exponent,
                },
            ) => {
                let exponent = left_exponent.min(right_exponent);
                let aligned = |significand, from: i32| {
                    let mut magnitude = BigNatural::from_u64(significand);
                    magnitude.shift_left((from - exponent).unsigned_abs());
                    magnitude
                };
                let mut left = aligned(left, left_exponent);
                let mut right = aligned(right, right_exponent);
                let (negative, magnitude) = if left_negative == right_negative {
                    left.add(&right);
                    (left_negative, left)
                } else if left >= right {
                    left.subtract(&right);
                    (left_negative, left)
                } else {
                    right.subtract(&left);
                    (right_negative, right)
                };
                Some(Extended::round(
                    negative,
                    &magnitude,
                    i64::from(exponent),
                    false,
                ))
            }
        }
    }

    /// Whether this is an infinity.
    #[must_use]
    pub(crate) fn is_infinite(self) -> bool {
        matches!(self, Extended::Infinite { .. })
    }

    /// The number nearest to `magnitude * 2^exponent`; `inexact` says that the true magnitude is a
    /// little larger, by less than its lowest bit.
    fn round(negative: bool, magnitude: &BigNatural, exponent: i64, inexact: bool) -> Extended {
        if magnitude.is_zero() {
            return Extended::zero(negative);
        }
        let bits = i64::from(magnitude.bit_length());
        let lowest = (exponent + bits - i64::from(SIGNIFICAND_BITS)).max(EXPONENT_MIN);
        let dropped = lowest - exponent;
        let (mut significand, half, rest) = match u32::try_from(dropped) {
            Ok(dropped) => magnitude.bits_from(dropped),
            Err(_) => {
                let (digits, _, _) = magnitude.bits_from(0);
                (digits << dropped.unsigned_abs(), false, false)
            }
        };
        let mut exponent = lowest;
        if half && (rest || inexact || significand & 1 == 1) {
            let (rounded, carried) = significand.overflowing_add(1);
            significand = if carried {
                1 << (SIGNIFICAND_BITS - 1)
            } else {
                rounded
            };
            exponent += i64::from(carried);
        }
        if significand == 0 {
            return Extended::zero(negative);
        }
        match i32::try_from(exponent) {
            Ok(exponent) if i64::from(exponent) <= EXPONENT_MAX => Extended::Finite {
                negative,
                significand,
                exponent,
            },
            _ => Extended::Infinite { negative },
        }
    }

    fn zero(negative: bool) -> Extended {
        Extended::Finite {
            negative,
            significand: 0,
            exponent: EXPONENT_MIN as i32,
        }
    }
}

/// The form in which `INCRBYFLOAT` stores and answers: `%.17Lf` without the zeros at its end, and
/// never `-0` (`ld2string` with `LD_STR_HUMAN` in Redis' `util.c`).
impl std::fmt::Display for Extended {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (negative, significand, exponent) = match *self {
            Extended::Infinite { negative } => {
                return formatter.write_str(if negative { "-inf" } else { "inf" });
            }
            Extended::Finite {
                negative,
                significand,
                exponent,
            } => (negative, significand, exponent),
        };
        let sign = if negative { "-" } else { "" };
        if exponent >= 0 {
            let mut whole = BigNatural::from_u64(significand);
            whole.shift_left(exponent.unsigned_abs());
            return write!(formatter, "{sign}{}", whole.to_decimal());
        }
        let unit = 10u128.pow(FRACTION_DIGITS as u32);
        let scaled = shift_right_rounding(u128::from(significand) * unit, exponent.unsigned_abs());
        if scaled == 0 {
            return formatter.write_str("0");
        }
        let (whole, fraction) = (scaled / unit, scaled % unit);
        let fraction = format!("{fraction:0FRACTION_DIGITS$}");
        match fraction.trim_end_matches('0') {
            "" => write!(formatter, "{sign}{whole}"),
            fraction => write!(formatter, "{sign}{whole}.{fraction}"),
        }
    }
}

/// `value / 2^bits`, to nearest, ties to even.
fn shift_right_rounding(value: u128, bits: u32) -> u128 {
    if bits > 127 {
        // The products shifted here stay below 2^121, so what would be left is below a half.
        return 0;
    }
    let quotient = value >> bits;
    let remainder = value & ((1 << bits) - 1);
    let half = 1u128 << (bits - 1);
    let up = remainder > half || (remainder == half && quotient & 1 == 1);
    quotient + u128::from(up)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    Ten,
    Sixteen,
}

/// A number's text taken apart: digits around a point, and an exponent.
struct Scanned<'a> {
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Scanned<'a> {
    /// Takes the whole text apart, or nothing: what `strtold` would leave unread is an error.
    fn scan(text: &'a [u8], base: Base) -> Option<Scanned<'a>> {
        let is_digit = |byte: &u8| match base {
            Base::Ten => byte.is_ascii_digit(),
            Base::Sixteen => byte.is_ascii_hexdigit(),
        };
        let split = |text: &'a [u8]| {
            let end = text
                .iter()
                .position(|byte| !is_digit(byte))
                .unwrap_or(text.len());
            text.split_at(end)
        };
        let (whole, rest) = split(text);
        let (fraction, rest) = match rest {
            [b'.', rest @ ..] => split(rest),
            _ => (&[][..], rest),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let exponent = match (rest, base) {
            ([], _) => 0,
            ([b'e' | b'E', digits @ ..], Base::Ten) => scan_exponent(digits)?,
            ([b'p' | b'P', digits @ ..], Base::Sixteen) => scan_exponent(digits)?,
            _ => return None,
        };
        Some(Scanned {
            whole,
            fraction,
            exponent,
        })
    }

    /// Magnitude, binary exponent, and whether the true value is a little larger. `None` when the
    /// number is surely too large, or too small to be told from zero.
    fn decimal(&self) -> Option<(BigNatural, i64, bool)> {
        let digits = self.whole.iter().chain(self.fraction).copied();
        let leading_zeros = digits.clone().take_while(|&digit| digit == b'0').count();
        let significant = self.whole.len() + self.fraction.len() - leading_zeros;
        if significant == 0 {
            return Some((BigNatural::from_u64(0), 0, false));
        }
        let exponent = self.exponent - self.fraction.len() as i64;
        if (exponent + significant as i64).abs() > DECIMAL_EXPONENT_BOUND {
            return None;
        }
        let mut magnitude = BigNatural::from_decimal(digits.skip(leading_zeros));
        let power = u32::try_from(exponent.unsigned_abs()).ok()?;
        if exponent >= 0 {
            magnitude.multiply_by_power_of_five(power);
            return Some((magnitude, exponent, false));
        }
        let mut divisor = BigNatural::from_u64(1);
        divisor.multiply_by_power_of_five(power);
        // Bring both to such lengths that the quotient has two bits more than the significand: one
        // to round by, one because lengths only bound the quotient to within a bit.
        let wanted = i64::from(SIGNIFICAND_BITS) + 2;
        let shift = wanted + i64::from(divisor.bit_length()) - i64::from(magnitude.bit_length());
        let distance = u32::try_from(shift.unsigned_abs()).ok()?;
        if shift >= 0 {
            magnitude.shift_left(distance)
        } else {
            divisor.shift_left(distance)
        }
        let (quotient, inexact) = magnitude.divide_close(&divisor, SIGNIFICAND_BITS + 3);
        let mut magnitude = BigNatural::from_u64((quotient >> 64) as u64);
        magnitude.shift_left(64);
        magnitude.add(&BigNatural::from_u64(quotient as u64));
        Some((magnitude, exponent - shift, inexact))
    }

    fn hexadecimal(&self) -> Option<(BigNatural, i64, bool)> {
        let mut magnitude = BigNatural::from_u64(0);
        for &digit in self.whole.iter().chain(self.fraction) {
            magnitude.multiply_add(16, u64::from(char::from(digit).to_digit(16)?));
        }
        Some((
            magnitude,
            self.exponent - 4 * self.fraction.len() as i64,
            false,
        ))
    }
}

fn scan_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let magnitude = digits.iter().fold(0i64, |value, digit| {
        (value * 10 + i64::from(digit - b'0')).min(EXPONENT_CLAMP)
    });
    Some(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(left: &str, right: &str) -> String {
        let left = Extended::parse(left.as_bytes()).expect("a number");
        let right = Extended::parse(right.as_bytes()).expect("a number");
        left.add(right).expect("a number").to_string()
    }

    #[test]
    fn sums_print_as_redis_prints_them() {
        // SET f LEFT, INCRBYFLOAT f RIGHT, and what redis-server 7.0.15 on x86-64 answers.
        let table = [
            ("10.5", "0.1", "10.6"),
            ("0.1", "0.2", "0.3"),
            ("5.0e3", "2.0e2", "5200"),
            ("0", "1e-5", "0.00001"),
            ("0", "3.14159265358979323846", "3.14159265358979324"),
            ("1", "1e-20", "1"),
            ("0", "1e17", "100000000000000000"),
            ("0", "123456789012345678901", "123456789012345678904"),
            ("0", "1e-17", "0.00000000000000001"),
            ("0", "0x10", "16"),
            ("0", "1.5e-10", "0.00000000015"),
            (
                "0",
                "100000000000000000000000000.5",
                "100000000000000000000000000",
            ),
            ("-0", "0", "0"),
            ("0", "-1e-30", "0"),
            (
                "0",
                "12345678.123456789012345",
                "12345678.12345678901237989",
            ),
            ("3", "-1.5", "1.5"),
            ("-1.5", "-1.5", "-3"),
        ];
        for (left, right, expected) in table {
            assert_eq!(sum(left, right), expected, "{left} + {right}");
        }
    }

    #[test]
    fn large_numbers_print_every_digit() {
        let printed = sum("0", "1e300");
        assert!(
            printed.starts_with("1000000000000000000008997324079559193870523944273290747938260082")
        );
        assert_eq!(printed.len(), 301);
        assert_eq!(sum("0", "1e4930").len(), 4931);
    }

    #[test]
    fn only_what_strtold_reads_whole_is_a_number() {
        for text in [
            "1",
            "+1",
            "-1.",
            ".5",
            "1e5",
            "1E+5",
            "0x.8p1",
            "inf",
            "-Infinity",
            "0e99999",
            "1e-4940",
        ] {
            assert!(Extended::parse(text.as_bytes()).is_some(), "{text}");
        }
        for text in [
            "",
            " 1",
            "1 ",
            "1e",
            "e5",
            ".",
            "-",
            "0x",
            "0x.p1",
            "nan",
            "1e5000",
            "-1e4933",
            "1e-4960",
            "1_0",
            "1\0",
            "infinit",
            "1e99999999999999999999",
            "1e-99999999999999999999",
            "--1",
        ] {
            assert!(Extended::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(Extended::parse(&[b'1'; TEXT_BYTES_MAX]).is_none());
    }

    #[test]
    fn the_ends_of_the_range_round_as_the_hardware_does() {
        let largest = Extended::parse(b"0xffffffffffffffffp16320").expect("a number");
        assert_eq!(
            largest,
            Extended::Finite {
                negative: false,
                significand: u64::MAX,
                exponent: 16320
            }
        );
        assert!(
            largest
                .add(largest)
                .expect("infinity is a number")
                .is_infinite()
        );
        assert!(Extended::parse(b"0xffffffffffffffff8p16316").is_none());
        let smallest = Extended::parse(b"0x1p-16445").expect("a number");
        assert_eq!(
            smallest,
            Extended::Finite {
                negative: false,
                significand: 1,
                exponent: -16445
            }
        );
        assert!(
            Extended::parse(b"0x1p-16446").is_none(),
            "a tie goes to the even zero"
        );
    }

    #[test]
    fn infinities_of_two_signs_have_no_sum() {
        let up = Extended::parse(b"inf").expect("a number");
        let down = Extended::parse(b"-inf").expect("a number");
        assert_eq!(up.add(down), None);
        assert_eq!(up.add(up), Some(up));
    }
}
