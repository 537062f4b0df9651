//! Which key comes next.

use crate::random::Random;

/// How often each key is used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Distribution {
    /// All keys alike.
    Uniform,
    /// Key number `n` (from 0) with a chance in proportion to `(n + 1)^-exponent`.
    Zipf(f64),
}

/// Chooses numbers of keys.
#[derive(Clone, Debug)]
pub(crate) struct KeyChooser {
    keys: u64,
    zipf: Option<Zipf>,
}

impl KeyChooser {
    /// Chooses among the keys from 0 up to `keys`, that left out.
    pub(crate) fn new(keys: u64, distribution: Distribution) -> KeyChooser {
        KeyChooser {
            keys,
            zipf: match distribution {
                Distribution::Uniform => None,
                Distribution::Zipf(exponent) => Some(Zipf::new(keys, exponent)),
            },
        }
    }

    /// The next key.
    pub(crate) fn choose(&self, random: &mut Random) -> u64 {
        match &self.zipf {
            None => random.below(self.keys),
            Some(zipf) => zipf.rank(random) - 1,
        }
    }
}

/// Zipf's law by rejection-inversion (Hörmann and Derflinger 1996, "Rejection-inversion to generate
/// variates from monotone discrete distributions"): exact, for any exponent, without a table.
///
/// The chance of rank `k` is in proportion to `h(k) = k^-exponent`. A point is drawn evenly from the
/// area under `h` as a curve, by the inverse of its integral, and rounded to a rank; it is thrown
/// away where the curve stands above the step of that rank.
#[derive(Clone, Debug)]
struct Zipf {
    ranks: f64,
    exponent: f64,
    /// The integral at the upper end of the first rank, less the chance of the first rank.
    first: f64,
    /// The integral at the upper end of the last rank.
    last: f64,
    /// How far below its rank a point may lie to be taken without a further look.
    squeeze: f64,
}

impl Zipf {
    fn new(ranks: u64, exponent: f64) -> Zipf {
        let mut zipf = Zipf {
            ranks: ranks as f64,
            exponent,
            first: 0.0,
            last: 0.0,
            squeeze: 0.0,
        };
        zipf.first = zipf.integral(1.5) - 1.0;
        zipf.last = zipf.integral(zipf.ranks + 0.5);
        zipf.squeeze = 2.0 - zipf.integral_inverse(zipf.integral(2.5) - zipf.chance(2.0));
        zipf
    }

    /// A rank from 1 to `ranks`.
    fn rank(&self, random: &mut Random) -> u64 {
        loop {
            let area = self.last + random.unit() * (self.first - self.last);
            let point = self.integral_inverse(area);
            let rank = (point + 0.5).floor().clamp(1.0, self.ranks);
            let is_under_the_step = rank - point <= self.squeeze
                || area >= self.integral(rank + 0.5) - self.chance(rank);
            if is_under_the_step {
                return rank as u64;
            }
        }
    }

    fn chance(&self, rank: f64) -> f64 {
        (-self.exponent * rank.ln()).exp()
    }

    /// The integral of `h` from 1: `(x^(1-s) - 1) / (1 - s)`, which is `ln x` for `s = 1`.
    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        expm1_over(log * (1.0 - self.exponent)) * log
    }

    fn integral_inverse(&self, area: f64) -> f64 {
        // Rounding may carry a point over the end of what has a logarithm.
        let scaled = (area * (1.0 - self.exponent)).max(-1.0);
        (ln1p_over(scaled) * area).exp()
    }
}

/// `(e^x - 1) / x`, and its limit at 0.
fn expm1_over(x: f64) -> f64 {
    if x.abs() > 1e-8 {
        x.exp_m1() / x
    } else {
        1.0 + x / 2.0
    }
}

/// `ln(1 + x) / x`, and its limit at 0.
fn ln1p_over(x: f64) -> f64 {
    if x.abs() > 1e-8 {
        x.ln_1p() / x
    } else {
        1.0 - x / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: u32 = 200_000;

    fn counts(keys: u64, distribution: Distribution) -> Vec<u32> {
        let chooser = KeyChooser::new(keys, distribution);
        let mut random = Random::new(7, 0);
        let mut counts = vec![0; keys as usize];
        for _ in 0..DRAWS {
            counts[chooser.choose(&mut random) as usize] += 1;
        }
        counts
    }

    /// Five standard deviations of a count that is expected to be so large, and the rounding.
    fn is_near(count: u32, expected: f64) -> bool {
        (f64::from(count) - expected).abs() <= 5.0 * expected.sqrt() + 1.0
    }

    #[test]
    fn zipf_follows_its_law_at_every_rank() {
        for exponent in [0.5, 0.99, 1.0, 2.5] {
            let total: f64 = (1..=50).map(|rank| f64::from(rank).powf(-exponent)).sum();
            let counts = counts(50, Distribution::Zipf(exponent));
            for (key, count) in counts.iter().enumerate() {
                let share = ((key + 1) as f64).powf(-exponent) / total;
                let expected = share * f64::from(DRAWS);
                assert!(
                    is_near(*count, expected),
                    "exponent {exponent}, key {key}: {count} instead of {expected}"
                );
            }
        }
    }

    #[test]
    fn uniform_is_flat() {
        let counts = counts(50, Distribution::Uniform);
        let expected = f64::from(DRAWS) / 50.0;
        assert!(
            counts.iter().all(|count| is_near(*count, expected)),
            "{counts:?}"
        );
    }

    #[test]
    fn every_choice_is_a_key() {
        let mut random = Random::new(3, 0);
        for keys in [1, 2, 1_000_000_000_000] {
            for distribution in [
                Distribution::Uniform,
                Distribution::Zipf(0.01),
                Distribution::Zipf(1.0),
                Distribution::Zipf(100.0),
            ] {
                let chooser = KeyChooser::new(keys, distribution);
                for _ in 0..1000 {
                    assert!(chooser.choose(&mut random) < keys);
                }
            }
        }
    }
}
