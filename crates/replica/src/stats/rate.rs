//! How fast a counter has been rising lately.

/// The time between samples; Redis's, so that `instantaneous_ops_per_sec` means the same.
const SAMPLE_US: u64 = 100_000;

/// How many samples are averaged.
const SAMPLES: usize = 16;

/// The average speed of a counter over the last 1.6 seconds.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    count: u64,
    sampled_us: Option<u64>,
    per_second: [u64; SAMPLES],
    next: usize,
}

impl Rate {
    /// Takes note of the counter, if it is time for a sample.
    pub(crate) fn sample(&mut self, count: u64, now_us: u64) {
        let Some(sampled_us) = self.sampled_us else {
            self.sampled_us = Some(now_us);
            self.count = count;
            return;
        };
        let elapsed_us = now_us.saturating_sub(sampled_us);
        if elapsed_us < SAMPLE_US {
            return;
        }
        let risen = u128::from(count.saturating_sub(self.count));
        let per_second = risen * 1_000_000 / u128::from(elapsed_us);
        self.per_second[self.next] = u64::try_from(per_second).unwrap_or(u64::MAX);
        self.next = (self.next + 1) % SAMPLES;
        self.count = count;
        self.sampled_us = Some(now_us);
    }

    /// The average of the samples.
    pub(crate) fn per_second(&self) -> u64 {
        let sum: u128 = self
            .per_second
            .iter()
            .map(|&sample| u128::from(sample))
            .sum();
        (sum / SAMPLES as u128) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_counter_has_its_speed() {
        let mut rate = Rate::default();
        for tick in 0..=200 {
            rate.sample(tick * 10, tick * 10_000);
        }
        assert_eq!(rate.per_second(), 1_000);
        rate.sample(0, 4_000_000);
        assert!(
            rate.per_second() < 1_000,
            "a counter set back counts as standing still"
        );
    }
}
