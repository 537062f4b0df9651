//! The options of a run: what is drawn once, from its seed, and holds for the whole of it.

use raft::NodeId;
use sim::tape::{Site, SiteKind, Tape};

use crate::member::Settings;

/// See the module. Chances are per million.
#[derive(Clone, Debug)]
pub(crate) struct Swarm {
    pub(crate) loss: u64,
    pub(crate) doubling: u64,
    pub(crate) delay_us: u64,
    pub(crate) disk_us: u64,
    pub(crate) fault_gap_us: u64,
    pub(crate) client_gap_us: u64,
    pub(crate) election_timeout_ticks: u32,
    pub(crate) heartbeat_ticks: u32,
    /// Small messages, windows and caches, so that their bounds are felt.
    pub(crate) is_tiny: bool,
}

impl Swarm {
    pub(crate) fn draw(tape: &mut Tape) -> Swarm {
        let mut of = 0;
        let mut pick = |from: &[u64]| {
            of += 1;
            let position = tape.below(Site::new(SiteKind::Swarm, of), from.len() as u64);
            usize::try_from(position)
                .ok()
                .and_then(|at| from.get(at))
                .copied()
                .unwrap_or_default()
        };
        let heartbeat_ticks = pick(&[1, 2]);
        Swarm {
            loss: pick(&[0, 5_000, 30_000, 150_000]),
            doubling: pick(&[0, 10_000, 100_000]),
            delay_us: pick(&[500, 2_000, 8_000, 20_000]),
            disk_us: pick(&[300, 2_000, 10_000, 30_000]),
            fault_gap_us: pick(&[600_000, 250_000, 120_000]),
            client_gap_us: pick(&[20_000, 10_000, 5_000]),
            election_timeout_ticks: u32::try_from(5 * heartbeat_ticks + pick(&[0, 5]))
                .unwrap_or(10),
            heartbeat_ticks: u32::try_from(heartbeat_ticks).unwrap_or(1),
            is_tiny: pick(&[0, 1]) == 1,
        }
    }

    pub(crate) fn settings(&self, id: NodeId, nodes: u64, seed: u64) -> Settings {
        Settings {
            id,
            voters: (1..=nodes).map(NodeId).collect(),
            seed,
            election_timeout_ticks: self.election_timeout_ticks,
            heartbeat_ticks: self.heartbeat_ticks,
            append_bytes_max: if self.is_tiny { 200 } else { 1 << 16 },
            inflight_messages_max: if self.is_tiny { 3 } else { 64 },
            cache_bytes_max: if self.is_tiny { 300 } else { 1 << 20 },
        }
    }
}
