//! The options of a run. All of them are drawn from its seed: no two runs are alike, and a run with
//! few kinds of faults reaches states that one with all of them never would (Groce et al., "Swarm
//! testing", ISSTA 2012).

use buggify::Point;

use crate::profile::Profile;
use crate::report::FaultClass;
use crate::tape::{Site, SiteKind, Tape};
use crate::world::peers::Fate;

/// The options of a run.
#[derive(Clone, Debug)]
pub(super) struct Swarm {
    /// The first members.
    pub(super) nodes: usize,
    /// Whether members come and go.
    pub(super) churns: bool,
    /// How many nodes there may be in the end, one after the other.
    pub(super) places: usize,
    /// The chance, in a million for each round of the nemesis, that a new member's machine is started.
    pub(super) birth_ppm: u64,
    /// How long a packet travels at least.
    pub(super) latency_us: u64,
    /// The mean of what is added to it.
    pub(super) jitter_us: u64,
    /// Whether Raft's messages may overtake each other.
    pub(super) reorders: bool,
    /// What may become of a packet, and how often in a million.
    pub(super) fates: Vec<(Fate, FaultClass, u64)>,
    /// How long a client's bytes travel.
    pub(super) client_latency_us: u64,
    /// How long a sync takes at least.
    pub(super) disk_us: u64,
    /// The mean of what is added to it.
    pub(super) disk_jitter_us: u64,
    /// How long a node gathers inputs before it ends a turn.
    pub(super) turn_us: u64,
    pub(super) tick_ms: u64,
    pub(super) election_timeout_ms: u64,
    pub(super) heartbeat_ms: u64,
    pub(super) request_timeout_ms: u64,
    pub(super) batch_bytes_max: usize,
    pub(super) unapplied_bytes_max: usize,
    pub(super) segment_bytes: u64,
    /// Bytes of the log since the last snapshot at which the next is taken, at least and at most.
    pub(super) snapshot_log_bytes: (u64, u64),
    pub(super) snapshot_state_percent: u64,
    pub(super) log_tail_bytes: u64,
    /// How long a step of writing or reading a snapshot takes, in the mean, beside the disk's time.
    pub(super) snapshot_step_us: u64,
    /// A piece of a snapshot on its way.
    pub(super) chunk_bytes: usize,
    /// How long a process stays down, in the mean.
    pub(super) restart_us: u64,
    /// By fault class, how often it strikes, in a million per nemesis round; 0 is never.
    pub(super) rates: [u64; FaultClass::ALL.len()],
    /// The points of `buggify` that may fire.
    pub(super) points: Vec<Point>,
}

/// The most nodes there are.
const PLACES_MAX: usize = 12;

/// How often the nemesis looks for something to break.
pub(super) const NEMESIS_PERIOD_US: u64 = 250_000;

impl Swarm {
    /// Draws the options of a run.
    pub(super) fn draw(profile: Profile, tape: &mut Tape) -> Swarm {
        let mut pick = |index: usize, choices: &[u64]| {
            let site = Site::new(SiteKind::Swarm, index);
            choices[tape.below(site, choices.len() as u64) as usize]
        };
        let nodes = pick(0, &[3, 3, 3, 3, 3, 3, 3, 3, 5, 5, 5, 5, 1, 2, 4, 7]) as usize;
        let churns = profile.allows(FaultClass::NodeAdded) && pick(30, &[0, 1]) == 1;
        let spare = pick(31, &[6, 2, 4, 9]) as usize;
        let latency_us = pick(1, &[200, 50, 500, 1_000, 5_000, 20_000]);
        let election_timeout_ms = pick(2, &[300, 150, 200, 500, 1_000]).max(latency_us / 100);
        let tick_ms = pick(3, &[20, 10, 25, 50]).min(election_timeout_ms / 6);
        let heartbeat_ms = pick(4, &[50, 20, 100])
            .min(election_timeout_ms / 3)
            .max(tick_ms);
        let mut swarm = Swarm {
            nodes,
            churns,
            places: if churns {
                (nodes + spare).min(PLACES_MAX)
            } else {
                nodes
            },
            birth_ppm: pick(32, &[500_000, 1_000_000, 100_000]),
            latency_us,
            jitter_us: pick(5, &[0, 100, 500, 2_000, 10_000]).min(latency_us * 4),
            reorders: pick(6, &[0, 1]) == 1,
            fates: Vec::new(),
            client_latency_us: pick(12, &[100, 20, 1_000, 10_000]),
            disk_us: pick(13, &[300, 50, 1_000, 5_000, 20_000]),
            disk_jitter_us: pick(14, &[0, 100, 1_000, 10_000]),
            turn_us: pick(15, &[0, 0, 20, 200, 2_000]),
            tick_ms,
            election_timeout_ms,
            heartbeat_ms,
            request_timeout_ms: pick(16, &[1_500, 700, 3_000, 5_000]),
            batch_bytes_max: pick(17, &[8 << 10, 300, 2 << 10]) as usize,
            unapplied_bytes_max: pick(18, &[256 << 10, 2 << 10, 16 << 10]) as usize,
            segment_bytes: pick(19, &[64 << 10, 32 << 10, 128 << 10]),
            snapshot_log_bytes: {
                let least = pick(22, &[64 << 20, 700, 1_500, 4_000, 15_000, 60_000]);
                (least, least * pick(23, &[1, 8]))
            },
            snapshot_state_percent: pick(24, &[100, 0, 400]),
            log_tail_bytes: pick(25, &[64 << 10, 0, 300, 3_000, 20_000]),
            snapshot_step_us: pick(26, &[100, 2_000, 50_000, 500_000]),
            chunk_bytes: pick(27, &[64 << 10, 4_000, 500]) as usize,
            restart_us: pick(20, &[300_000, 20_000, 1_000_000, 4_000_000]),
            rates: [0; FaultClass::ALL.len()],
            points: Vec::new(),
        };
        // Many kinds of faults at once leave clients little to see, few leave rare states unreached.
        let gap = pick(21, &[10, 3, 1, 30]);
        let members_gap = pick(33, &[4, 2, 1, 10]);
        for (index, &class) in FaultClass::ALL.iter().enumerate() {
            if class.is_of_members() {
                let rounds = members_gap * pick(64 + index, &[0, 0, 4, 10, 30]);
                swarm.rates[index] = 1_000_000_u64.checked_div(rounds).unwrap_or(0);
                swarm.rates[index] *= u64::from(churns);
            } else if profile.allows(class) {
                // One in so many rounds of the nemesis; 0 is never.
                let rounds = gap * pick(64 + index, &[0, 0, 0, 10, 30, 100, 300]);
                swarm.rates[index] = 1_000_000_u64.checked_div(rounds).unwrap_or(0);
            }
        }
        let fates = [
            (
                Fate::IsLost,
                FaultClass::Loss,
                pick(7, &[1_000, 10_000, 50_000, 150_000, 300_000]),
            ),
            (
                Fate::ArrivesTwice,
                FaultClass::Duplicate,
                pick(8, &[1_000, 20_000, 100_000, 400_000]),
            ),
            (
                Fate::IsLate,
                FaultClass::LongDelay,
                pick(9, &[1_000, 10_000]),
            ),
            (
                Fate::IsDamaged,
                FaultClass::CorruptFrame,
                pick(10, &[20, 200, 2_000]),
            ),
            (
                Fate::IsReplayedLater,
                FaultClass::Replay,
                pick(11, &[1_000, 10_000, 50_000]),
            ),
        ];
        swarm.fates.extend(
            fates
                .into_iter()
                .filter(|&(_, class, _)| swarm.rates[class as usize] > 0),
        );
        if swarm.is_on(FaultClass::Buggify) {
            for (index, &point) in Point::ALL.iter().enumerate() {
                if pick(128 + index, &[0, 0, 0, 1]) == 1 {
                    swarm.points.push(point);
                }
            }
        }
        swarm
    }

    /// Whether faults of a class are on in this run.
    pub(super) fn is_on(&self, class: FaultClass) -> bool {
        self.rates[class as usize] > 0
    }

    /// The longest time without a leader before a node starts an election.
    pub(super) fn election_timeout_max_us(&self) -> u64 {
        self.election_timeout_ms * 2_000
    }

    /// How many nodes may lose their disks: as many as leave a quorum.
    pub(super) fn losable(&self) -> usize {
        (self.nodes - 1) / 2
    }
}
