//! The text of doubles, against what Redis 7.0 (C's `%.17g`) prints.

use proptest::prelude::*;

use super::format_double;

/// What `redis-server` 7.0.15 prints for these, as does every C library with `%.17g`.
#[test]
#[expect(
    clippy::approx_constant,
    reason = "3.141 is what Redis answers to DEBUG PROTOCOL DOUBLE"
)]
fn prints_what_redis_prints() {
    let table = [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (-1.0, "-1"),
        (3.141, "3.141"),
        (0.1, "0.10000000000000001"),
        (0.2, "0.20000000000000001"),
        (0.5, "0.5"),
        (-1.5, "-1.5"),
        (10.0, "10"),
        (100.25, "100.25"),
        (1.0 / 3.0, "0.33333333333333331"),
        (2.0 / 3.0, "0.66666666666666663"),
        (12345.678, "12345.678"),
        (1e14, "100000000000000"),
        (1e15, "1000000000000000"),
        (1e16, "10000000000000000"),
        (12345678901234568.0, "12345678901234568"),
        (1e17, "1e+17"),
        (123456789012345680.0, "1.2345678901234568e+17"),
        (9007199254740992.0, "9007199254740992"),
        (1152921504606846976.0, "1.152921504606847e+18"),
        (1e21, "1e+21"),
        (1e22, "1e+22"),
        (1e23, "9.9999999999999992e+22"),
        (1e100, "1e+100"),
        (1e300, "1.0000000000000001e+300"),
        (f64::MAX, "1.7976931348623157e+308"),
        (f64::MIN, "-1.7976931348623157e+308"),
        (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
        (5e-324, "4.9406564584124654e-324"),
        (f64::EPSILON, "2.2204460492503131e-16"),
        (0.01, "0.01"),
        (0.001, "0.001"),
        (0.0001, "0.0001"),
        (0.00012, "0.00012"),
        (0.00001, "1.0000000000000001e-05"),
        (-1.5e-7, "-1.4999999999999999e-07"),
        (1e-10, "1e-10"),
        (4503599627370497.5, "4503599627370498"),
        (99999999999999990.0, "99999999999999984"),
        (1.0 - f64::EPSILON / 2.0, "0.99999999999999989"),
        // Exactly between two texts of seventeen digits: to the even one.
        (1.0 + 2f64.powi(-17), "1.0000076293945312"),
        (1.0 + 3.0 * 2f64.powi(-17), "1.0000228881835938"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
    ];
    for (value, text) in table {
        assert_eq!(format_double(value), text, "{value:e}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// Seventeen digits name every double.
    #[test]
    fn reads_back_as_the_same_double(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        let text = format_double(value);
        let back: f64 = text.parse().unwrap();
        prop_assert_eq!(back.to_bits(), bits, "{}", text);
    }

    /// The digits are those that the standard library rounds to, whatever the layout.
    #[test]
    fn has_seventeen_digits_at_most(value in -1e20f64..1e20) {
        let text = format_double(value);
        let mantissa = text.split('e').next().unwrap_or_default();
        let digits = mantissa.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
        prop_assert!(digits <= 17, "{}", text);
        prop_assert!(!text.contains('.') || !mantissa.ends_with('0'), "{}", text);
    }
}
