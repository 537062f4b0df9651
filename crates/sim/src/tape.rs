//! Every choice of a run, drawn from its seed.
//!
//! A choice is named by its *site* (what kind of decision, about which node, link or client) and by how
//! many choices were made there before. Its value is a hash of the seed and that name. So choices
//! do not depend on each other: leaving one out does not shift those behind it, as it would if all
//! came from one stream. That is what makes a failing run shrink well.
//!
//! At every site the value 0 is the *benign* choice: no fault, the least delay, nothing to do. A
//! tape that is cut down to some choices answers 0 everywhere else.
//!
//! A run needs no recording to be repeated, the seed is enough. [`Tape::record`] notes down the choices
//! that were not benign, for shrinking; [`Tape::only`] replays just some of them.

use std::collections::HashSet;

/// The kinds of decisions. Their numbers are part of tape files: add at the end, never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SiteKind {
    /// Options of the whole run: how many nodes, which faults, what workload.
    Swarm = 0,
    /// When the next fault comes. Of: fault class.
    FaultGap = 1,
    /// What a fault does: whom it strikes, how hard, how long. Of: fault class.
    Fault = 2,
    /// Whether a packet is lost, doubled, corrupted. Of: link.
    PacketFate = 3,
    /// How long a packet travels. Of: link.
    PacketDelay = 4,
    /// How long the disk takes. Of: node.
    DiskDelay = 5,
    /// What the disk does wrong. Of: node.
    DiskFault = 6,
    /// When a process starts again, and how it ended. Of: node.
    Process = 7,
    /// When a client acts next. Of: client.
    ClientGap = 8,
    /// What a client does next. Of: client.
    ClientChoice = 9,
    /// How long bytes travel between a client and its gateway. Of: client.
    ClientDelay = 10,
    /// Whether a point of `buggify` fires. Of: point.
    Buggify = 11,
    /// What the liveness phase heals, and what it freezes.
    Liveness = 12,
    /// Seeds handed to code under test: election timeouts and the like. Of: node.
    Seed = 13,
    /// Clocks. Of: node.
    Clock = 14,
    /// How long the steps of a snapshot take, and whether its transfer breaks. Of: node.
    Snapshot = 15,
}

/// A site: a kind of decision, and the node, link, client or fault class it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site {
    /// The kind of decision.
    pub kind: SiteKind,
    /// What it is about; less than [`Site::OF_MAX`].
    pub of: u16,
}

impl Site {
    /// The bound of [`Site::of`].
    pub const OF_MAX: u16 = 256;

    /// A site.
    pub fn new(kind: SiteKind, of: usize) -> Site {
        debug_assert!(of < usize::from(Site::OF_MAX), "{kind:?} of {of}");
        Site {
            kind,
            of: of as u16 % Site::OF_MAX,
        }
    }

    fn slot(self) -> usize {
        usize::from(self.kind as u8) * usize::from(Site::OF_MAX) + usize::from(self.of)
    }
}

/// A choice that was made: the site, and how many were made there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Choice {
    /// Where.
    pub site: Site,
    /// Which one there.
    pub nth: u32,
}

/// The source of all choices of a run. See the module.
#[derive(Debug)]
pub struct Tape {
    seed: u64,
    /// By site, how many choices were made there.
    counts: Vec<u32>,
    recorded: Option<Vec<Choice>>,
    kept: Option<HashSet<Choice>>,
}

impl Tape {
    /// The choices of a seed.
    pub fn new(seed: u64) -> Tape {
        Tape {
            seed,
            counts: vec![0; 16 * usize::from(Site::OF_MAX)],
            recorded: None,
            kept: None,
        }
    }

    /// The same, and notes which choices were not benign.
    pub fn record(seed: u64) -> Tape {
        Tape {
            recorded: Some(Vec::new()),
            ..Tape::new(seed)
        }
    }

    /// The choices of a seed as far as they are in `kept`; benign otherwise. Records too.
    pub fn only(seed: u64, kept: HashSet<Choice>) -> Tape {
        Tape {
            kept: Some(kept),
            ..Tape::record(seed)
        }
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The choices that were not benign, in the order they were made, if they were recorded.
    pub fn into_recorded(self) -> Vec<Choice> {
        self.recorded.unwrap_or_default()
    }

    /// A number below `bound`. 0 is benign.
    pub fn below(&mut self, site: Site, bound: u64) -> u64 {
        let count = &mut self.counts[site.slot()];
        let choice = Choice { site, nth: *count };
        *count += 1;
        if bound <= 1 {
            return 0;
        }
        let value = scale(hash(self.seed, site.slot() as u64, choice.nth), bound);
        if value == 0
            || self
                .kept
                .as_ref()
                .is_some_and(|kept| !kept.contains(&choice))
        {
            return 0;
        }
        if let Some(recorded) = &mut self.recorded {
            recorded.push(choice);
        }
        value
    }

    /// A number from `least` to `most`, both included. `least` is benign.
    pub fn between(&mut self, site: Site, least: u64, most: u64) -> u64 {
        least + self.below(site, most.saturating_sub(least) + 1)
    }

    /// True so many times in a million. False is benign.
    pub fn chance(&mut self, site: Site, per_million: u64) -> bool {
        // The highest values are the hits, so that 0 never is one.
        self.below(site, 1_000_000) >= 1_000_000 - per_million.min(999_999)
    }

    /// A delay with an exponential tail: mostly near `mean_us`, at most 16 times that. 0 is benign.
    pub fn exponential_us(&mut self, site: Site, mean_us: u64) -> u64 {
        let uniform = self.below(site, 1 << 16);
        // -ln(1 - x), in whole numbers, so that it is the same on every machine: the number of
        // leading ones is geometric, the rest is spread evenly.
        let ones = u64::from((!(uniform << 48)).leading_zeros().min(16));
        let rest = (uniform << (ones + 1)) & 0xffff;
        (ones * 0x10000 + rest) * mean_us / 0x10000 * 693 / 1000
    }
}

/// A hash of the seed and the choice's name (SplitMix64's finalizer, twice).
fn hash(seed: u64, slot: u64, nth: u32) -> u64 {
    let name = (slot << 32) | u64::from(nth);
    mix(mix(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d).wrapping_add(name))
}

fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Maps all of `u64` evenly onto the numbers below `bound`.
fn scale(bits: u64, bound: u64) -> u64 {
    ((u128::from(bits) * u128::from(bound)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: Site = Site {
        kind: SiteKind::PacketDelay,
        of: 3,
    };

    #[test]
    fn the_same_seed_makes_the_same_choices() {
        let draw = |mut tape: Tape| (0..100).map(|_| tape.below(SITE, 1000)).collect::<Vec<_>>();
        assert_eq!(draw(Tape::new(7)), draw(Tape::record(7)));
        assert_ne!(draw(Tape::new(7)), draw(Tape::new(8)));
    }

    #[test]
    fn a_choice_left_out_shifts_no_other() {
        let mut tape = Tape::record(7);
        let all: Vec<u64> = (0..100).map(|_| tape.below(SITE, 1000)).collect();
        let mut kept: HashSet<Choice> = tape.into_recorded().into_iter().collect();
        kept.remove(&Choice {
            site: SITE,
            nth: 40,
        });
        let mut tape = Tape::only(7, kept);
        for (nth, &value) in all.iter().enumerate() {
            let expected = if nth == 40 { 0 } else { value };
            assert_eq!(tape.below(SITE, 1000), expected, "choice {nth}");
        }
    }

    #[test]
    fn chances_are_as_often_as_asked() {
        let mut tape = Tape::new(1);
        let hits = (0..100_000).filter(|_| tape.chance(SITE, 250_000)).count();
        assert!((24_000..26_000).contains(&hits), "{hits}");
        assert!(!(0..1000).any(|_| tape.chance(SITE, 0)));
    }

    #[test]
    fn exponential_delays_have_their_mean() {
        let mut tape = Tape::new(1);
        let sum: u64 = (0..100_000).map(|_| tape.exponential_us(SITE, 1000)).sum();
        assert!((90_000_000..115_000_000).contains(&sum), "{sum}");
    }
}
