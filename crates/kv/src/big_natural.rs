//! Natural numbers of any size: just the operations that exact decimal conversion needs.

use std::cmp::Ordering;

/// A natural number in little-endian limbs.
///
/// Invariant: the last limb is not zero, so zero has no limbs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BigNatural {
    limbs: Vec<u64>,
}

/// The largest power of ten that fits a limb, and its exponent.
const TEN_POWER: u64 = 10_000_000_000_000_000_000;
const TEN_POWER_DIGITS: usize = 19;
/// The largest power of five that fits a limb, and its exponent.
const FIVE_POWER: u64 = 7_450_580_596_923_828_125;
const FIVE_POWER_EXPONENT: u32 = 27;

impl BigNatural {
    pub(crate) fn from_u64(value: u64) -> BigNatural {
        BigNatural {
            limbs: if value == 0 { Vec::new() } else { vec![value] },
        }
    }

    /// The number that a string of ASCII digits denotes in base ten.
    pub(crate) fn from_decimal(digits: impl Iterator<Item = u8>) -> BigNatural {
        let mut result = BigNatural::from_u64(0);
        let (mut chunk, mut scale) = (0u64, 1u64);
        for digit in digits {
            chunk = chunk * 10 + u64::from(digit - b'0');
            scale *= 10;
            if scale == TEN_POWER {
                result.multiply_add(scale, chunk);
                (chunk, scale) = (0, 1);
            }
        }
        result.multiply_add(scale, chunk);
        result
    }

    /// `self = self * factor + addend`.
    pub(crate) fn multiply_add(&mut self, factor: u64, addend: u64) {
        let mut carry = u128::from(addend);
        for limb in &mut self.limbs {
            let product = u128::from(*limb) * u128::from(factor) + carry;
            *limb = product as u64;
            carry = product >> 64;
        }
        if carry != 0 {
            self.limbs.push(carry as u64);
        }
        self.trim();
    }

    /// `self = self * 5^exponent`.
    pub(crate) fn multiply_by_power_of_five(&mut self, exponent: u32) {
        for _ in 0..exponent / FIVE_POWER_EXPONENT {
            self.multiply_add(FIVE_POWER, 0);
        }
        self.multiply_add(5u64.pow(exponent % FIVE_POWER_EXPONENT), 0);
    }

    pub(crate) fn shift_left(&mut self, bits: u32) {
        if self.is_zero() {
            return;
        }
        let (limbs, bits) = (bits as usize / 64, bits % 64);
        if bits != 0 {
            let mut carry = 0;
            for limb in &mut self.limbs {
                let shifted = (*limb << bits) | carry;
                carry = *limb >> (64 - bits);
                *limb = shifted;
            }
            if carry != 0 {
                self.limbs.push(carry);
            }
        }
        self.limbs.splice(0..0, std::iter::repeat_n(0, limbs));
    }

    pub(crate) fn add(&mut self, other: &BigNatural) {
        if self.limbs.len() < other.limbs.len() {
            self.limbs.resize(other.limbs.len(), 0);
        }
        let mut carry = false;
        for (at, limb) in self.limbs.iter_mut().enumerate() {
            let addend = other.limbs.get(at).copied().unwrap_or(0);
            let (sum, first) = limb.overflowing_add(addend);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = first || second;
        }
        if carry {
            self.limbs.push(1);
        }
    }

    /// `self = self - other`. The caller knows that `other` is not larger.
    pub(crate) fn subtract(&mut self, other: &BigNatural) {
        assert!(*self >= *other, "a natural number cannot become negative");
        let mut borrow = false;
        for (at, limb) in self.limbs.iter_mut().enumerate() {
            let subtrahend = other.limbs.get(at).copied().unwrap_or(0);
            let (difference, first) = limb.overflowing_sub(subtrahend);
            let (difference, second) = difference.overflowing_sub(u64::from(borrow));
            *limb = difference;
            borrow = first || second;
        }
        self.trim();
    }

    /// Divides by a divisor so close in size that the quotient has at most `quotient_bits` bits,
    /// and says whether anything remained.
    pub(crate) fn divide_close(mut self, divisor: &BigNatural, quotient_bits: u32) -> (u128, bool) {
        let mut shifted = divisor.clone();
        shifted.shift_left(quotient_bits - 1);
        let mut quotient = 0;
        for _ in 0..quotient_bits {
            quotient <<= 1;
            if self >= shifted {
                self.subtract(&shifted);
                quotient |= 1;
            }
            self.shift_left(1);
        }
        (quotient, !self.is_zero())
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    /// The position of the highest set bit plus one; zero for zero.
    pub(crate) fn bit_length(&self) -> u32 {
        match self.limbs.last() {
            Some(high) => self.limbs.len() as u32 * 64 - high.leading_zeros(),
            None => 0,
        }
    }

    /// The number formed by the bits from `bit` up, which must fit 64 bits, and what was below:
    /// whether the bit just below is set, and whether any bit below that one is.
    pub(crate) fn bits_from(&self, bit: u32) -> (u64, bool, bool) {
        let limb = |at: usize| self.limbs.get(at).copied().unwrap_or(0);
        let (at, shift) = (bit as usize / 64, bit % 64);
        let low = limb(at) >> shift;
        let high = if shift == 0 {
            0
        } else {
            limb(at + 1) << (64 - shift)
        };
        let Some(below) = bit.checked_sub(1) else {
            return (low | high, false, false);
        };
        let (at, shift) = (below as usize / 64, below % 64);
        let half = limb(at) >> shift & 1 == 1;
        let rest =
            limb(at) & ((1 << shift) - 1) != 0 || self.limbs.iter().take(at).any(|&limb| limb != 0);
        (low | high, half, rest)
    }

    /// The decimal digits, without leading zeros; `0` for zero.
    pub(crate) fn to_decimal(&self) -> String {
        let mut rest = self.clone();
        let mut chunks = Vec::new();
        while !rest.is_zero() {
            chunks.push(rest.divide_by_ten_power());
        }
        let mut digits = chunks.pop().unwrap_or(0).to_string();
        for chunk in chunks.iter().rev() {
            digits.push_str(&format!("{chunk:0TEN_POWER_DIGITS$}"));
        }
        digits
    }

    fn divide_by_ten_power(&mut self) -> u64 {
        let mut remainder = 0;
        for limb in self.limbs.iter_mut().rev() {
            let dividend = remainder << 64 | u128::from(*limb);
            *limb = (dividend / u128::from(TEN_POWER)) as u64;
            remainder = dividend % u128::from(TEN_POWER);
        }
        self.trim();
        remainder as u64
    }

    fn trim(&mut self) {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
    }
}

impl Ord for BigNatural {
    fn cmp(&self, other: &BigNatural) -> Ordering {
        let by_length = self.limbs.len().cmp(&other.limbs.len());
        by_length.then_with(|| self.limbs.iter().rev().cmp(other.limbs.iter().rev()))
    }
}

impl PartialOrd for BigNatural {
    fn partial_cmp(&self, other: &BigNatural) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(digits: &str) -> BigNatural {
        BigNatural::from_decimal(digits.bytes())
    }

    #[test]
    fn decimal_digits_survive_a_round_trip() {
        for digits in [
            "0",
            "1",
            "10000000000000000000",
            "340282366920938463463374607431768211456",
        ] {
            assert_eq!(parse(digits).to_decimal(), digits);
        }
        assert_eq!(parse("0000").to_decimal(), "0");
    }

    #[test]
    fn shifting_is_multiplying_by_powers_of_two() {
        let mut number = parse("3");
        number.shift_left(128);
        assert_eq!(
            number.to_decimal(),
            "1020847100762815390390123822295304634368"
        );
        assert_eq!(number.bit_length(), 130);
        assert_eq!(number.bits_from(128), (3, false, false));
        assert_eq!(number.bits_from(129), (1, true, false));
    }

    #[test]
    fn sums_and_differences_carry() {
        let mut number = parse("18446744073709551615");
        number.add(&parse("1"));
        assert_eq!(number.to_decimal(), "18446744073709551616");
        number.subtract(&parse("18446744073709551616"));
        assert!(number.is_zero());
    }

    #[test]
    fn close_division_gives_quotient_and_remainder() {
        let (quotient, inexact) = parse("1000000000000000000000").divide_close(&parse("7"), 70);
        assert_eq!(quotient, 142_857_142_857_142_857_142);
        assert!(inexact);
        assert_eq!(parse("21").divide_close(&parse("7"), 3), (3, false));
    }

    #[test]
    fn powers_of_five_are_exact() {
        let mut number = parse("1");
        number.multiply_by_power_of_five(30);
        number.shift_left(30);
        assert_eq!(number.to_decimal(), format!("1{}", "0".repeat(30)));
    }
}
