//! What may go wrong in a run.

use crate::report::FaultClass;

/// A selection of faults. Which of them are on in a run, and how often they strike, is drawn from the
/// seed (swarm testing: a run with few faults goes deeper than one with all).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// All that the promise covers: storage faults only where a quorum keeps each committed entry.
    Default,
    /// No faults: only load.
    Calm,
    /// The network.
    Network,
    /// Processes that end and start, and power that fails.
    Crash,
    /// Disks, within what the promise covers.
    Disk,
    /// Disks, beyond what the promise covers: the demand is "stop, never lie". There is no liveness
    /// phase.
    Ruin,
    /// Clocks.
    Clock,
    /// Clients.
    Client,
}

impl Profile {
    /// All profiles.
    pub const ALL: &[Profile] = &[
        Profile::Default,
        Profile::Calm,
        Profile::Network,
        Profile::Crash,
        Profile::Disk,
        Profile::Ruin,
        Profile::Clock,
        Profile::Client,
    ];

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Default => "default",
            Profile::Calm => "calm",
            Profile::Network => "network",
            Profile::Crash => "crash",
            Profile::Disk => "disk",
            Profile::Ruin => "ruin",
            Profile::Clock => "clock",
            Profile::Client => "client",
        }
    }

    /// Whether faults of a class may be on.
    pub fn allows(self, class: FaultClass) -> bool {
        use FaultClass as F;
        let is_network = class <= F::SlowLink || class == F::FailedTransfer;
        let is_process =
            (F::Crash..=F::GracefulStop).contains(&class) || class == F::CrashInSnapshot;
        let is_disk = (F::WipedDisk..=F::LostWrite).contains(&class) || class == F::DamagedSnapshot;
        let is_clock = (F::ClockDrift..=F::ClockFrozen).contains(&class);
        let is_client = (F::ClientDisconnect..=F::Burst).contains(&class);
        let is_members = class.is_of_members();
        match self {
            Profile::Default => true,
            // Nobody can say how many may go where any number of disks is lost.
            Profile::Ruin => !is_members,
            Profile::Calm => false,
            Profile::Network => is_network || is_members || class == F::Buggify,
            Profile::Crash => is_process || is_members || class == F::Buggify,
            Profile::Disk => is_disk || is_process || class == F::Buggify,
            Profile::Clock => is_clock || class == F::Crash || class == F::Buggify,
            Profile::Client => is_client || class == F::Crash || class == F::Buggify,
        }
    }
}
