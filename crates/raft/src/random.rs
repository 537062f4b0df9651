//! The only source of chance: a generator seeded at construction, so that a run can be repeated.

use crate::types::NodeId;

/// SplitMix64 (Steele, Lea and Flood, 2014): 64 bits of state, every seed is good.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// The node is mixed in, so that a group given one seed does not draw equal timeouts.
    pub(crate) fn new(seed: u64, node: NodeId) -> Random {
        let mut random = Random { state: seed };
        random.state = random.next() ^ node.0;
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `min` to `max`, both included. The slight bias does not matter here.
    pub(crate) fn between(&mut self, min: u32, max: u32) -> u32 {
        let span = u64::from(max - min) + 1;
        min + u32::try_from(self.next() % span).unwrap_or(0)
    }
}
