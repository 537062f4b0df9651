//! What a run is asked to do, and what comes of it.

use std::collections::HashSet;

use buggify::Canary;
use raft::{NodeId, Role};

use crate::judges::Violation;
use crate::profile::Profile;
use crate::tape::Choice;

/// What a run is asked to do.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The seed: with the options below it decides everything.
    pub seed: u64,
    /// What may go wrong.
    pub profile: Profile,
    /// A mistake to make, to see whether it is noticed.
    pub canary: Option<Canary>,
    /// How long the run takes, in simulated time.
    pub duration_us: u64,
    /// Make only these choices, and benign ones elsewhere.
    pub only: Option<HashSet<Choice>>,
    /// Note the choices that are not benign.
    pub record: bool,
    /// Keep what happened, for people to read.
    pub trace: bool,
    /// Keep the history of all clients.
    pub keep_history: bool,
}

impl RunOptions {
    /// How long a run takes if nothing else is said.
    pub const DURATION_US: u64 = 120_000_000;

    /// A plain run of a seed.
    pub fn new(seed: u64, profile: Profile) -> RunOptions {
        RunOptions {
            seed,
            profile,
            canary: None,
            duration_us: RunOptions::DURATION_US,
            only: None,
            record: false,
            trace: false,
            keep_history: false,
        }
    }
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct RunReport {
    /// The seed.
    pub seed: u64,
    /// How many nodes there were.
    pub nodes: usize,
    /// Events handled.
    pub events: u64,
    /// Simulated time that passed.
    pub simulated_us: u64,
    /// Operations of clients that were asked.
    pub operations: u64,
    /// Operations that were answered by a result, and checked.
    pub answered: u64,
    /// Partitions of the history whose check was given up.
    pub inconclusive: u64,
    /// Faults injected, by class.
    pub faults: FaultCounts,
    /// Elections won.
    pub elections: u64,
    /// Transfers of snapshots that were begun.
    pub transfers: u64,
    /// Snapshots of others that took the place of a node's state.
    pub installs: u64,
    /// Changes of members that were committed, those that leave a joint configuration included.
    pub changes: u64,
    /// What went wrong, if anything.
    pub failure: Option<Failure>,
    /// The choices that were not benign, if they were recorded.
    pub choices: Vec<Choice>,
    /// What happened, if it was kept.
    pub trace: Vec<TraceEvent>,
    /// The history of all clients, if it was kept.
    pub history: Option<crate::history::History>,
    /// A hash of everything that happened: equal seeds must have equal ones.
    pub fingerprint: u64,
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The property that broke.
    pub violation: Violation,
    /// The number of the event in which it broke.
    pub step: u64,
    /// When, in simulated time.
    pub at_us: u64,
    /// The state of each node then, a line each.
    pub nodes: Vec<String>,
}

/// Declares the classes of faults.
macro_rules! fault_classes {
    ($($(#[doc = $doc:literal])+ $name:ident = $label:literal;)+) => {
        /// The classes of faults that the world injects.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum FaultClass {
            $($(#[doc = $doc])+ $name,)+
        }

        impl FaultClass {
            /// All classes.
            pub const ALL: &[FaultClass] = &[$(FaultClass::$name),+];

            /// A short name.
            pub fn label(self) -> &'static str {
                match self {
                    $(FaultClass::$name => $label,)+
                }
            }
        }
    };
}

fault_classes! {
    /// A packet is lost.
    Loss = "packet lost";
    /// A packet arrives twice (the connection was replaced in between).
    Duplicate = "packet doubled";
    /// A packet takes much longer than others.
    LongDelay = "packet very late";
    /// A packet from an earlier run of its sender arrives.
    Replay = "old packet replayed";
    /// A frame is damaged on its way: it must be dropped, and the connection with it.
    CorruptFrame = "frame damaged";
    /// A connection between two nodes is reset.
    Reset = "connection reset";
    /// A link holds everything back for a while, then delivers it at once.
    Clog = "link clogged";
    /// All links of some nodes clog one after the other, and clear in another order.
    Swizzle = "swizzle clog";
    /// A link loses everything one way.
    CutOneWay = "one-way cut";
    /// A link loses everything both ways.
    CutBothWays = "two-way cut";
    /// One node is cut off.
    Isolate = "node isolated";
    /// The cluster falls into two parts.
    Halves = "split in two";
    /// Each node sees a majority, no two the same one.
    MajorityRing = "ring of majorities";
    /// One node alone sees both halves.
    Bridge = "bridge";
    /// Each node sees only its neighbours.
    Chain = "chain";
    /// A link is slow.
    SlowLink = "slow link";
    /// A process is killed.
    Crash = "process killed";
    /// A process is killed in the middle of a disk operation, and the power fails.
    CrashInDisk = "crash in a disk operation";
    /// Processes are killed again and again.
    CrashStorm = "crash storm";
    /// All processes end at once.
    CrashAll = "all killed";
    /// The power fails: what was not synced is lost.
    PowerLoss = "power lost";
    /// The power fails, and a part of what was not synced is there.
    TornWrite = "torn writes";
    /// A process stands still, and goes on with a clock that jumped.
    Pause = "process paused";
    /// A node is asked to stop, hands over, and ends.
    GracefulStop = "graceful stop";
    /// A node comes back with an empty disk under its old id.
    WipedDisk = "disk wiped";
    /// A node comes back with an older copy of its disk.
    OldDisk = "disk rolled back";
    /// A disk is slow.
    SlowDisk = "slow disk";
    /// A disk hangs.
    HungDisk = "hung disk";
    /// A write fails.
    WriteError = "write error";
    /// A sync fails, and what was to be synced is lost.
    SyncError = "sync error";
    /// A read fails.
    ReadError = "read error";
    /// A write takes only a part of its bytes.
    ShortWrite = "short write";
    /// A disk is full for a while.
    DiskFull = "disk full";
    /// A bit of a file flips.
    BitFlip = "bit flipped";
    /// A sector of a file turns to zeros.
    ZeroedSector = "sector zeroed";
    /// A write lands in another place.
    MisdirectedWrite = "write misdirected";
    /// A write is acknowledged and never done: later reads see what was there before.
    LostWrite = "write lost by the disk";
    /// A clock runs fast or slow.
    ClockDrift = "clock drift";
    /// A wall clock jumps.
    ClockJump = "clock jump";
    /// A wall clock stands still.
    ClockFrozen = "clock frozen";
    /// A client's connection breaks.
    ClientDisconnect = "client cut off";
    /// A client gives up waiting and asks elsewhere.
    ClientTimeout = "client gave up";
    /// A client does not read its replies for a while.
    SlowReader = "slow reader";
    /// Clients send much at once.
    Burst = "burst";
    /// A point of `buggify` fired.
    Buggify = "rare path taken";
    /// The power fails while a snapshot gets its name.
    CrashInSnapshot = "crash in a snapshot";
    /// A bit of a snapshot flips, or a sector turns to zeros.
    DamagedSnapshot = "snapshot damaged";
    /// The transfer of a snapshot breaks.
    FailedTransfer = "snapshot transfer broken";
    /// An operator adds a node that is to vote.
    NodeAdded = "node added";
    /// An operator adds a node that is to be a learner.
    LearnerAdded = "learner added";
    /// An operator has a learner vote.
    LearnerPromoted = "learner promoted";
    /// An operator makes a voter a learner.
    VoterDemoted = "voter demoted";
    /// An operator removes a member.
    MemberRemoved = "member removed";
    /// An operator removes the leader.
    LeaderRemoved = "leader removed";
    /// A voter is gone, perhaps with its disk, and another machine takes its place.
    MemberReplaced = "member replaced";
    /// An operator moves the leadership.
    LeadershipMoved = "leadership moved";
    /// Two operators change members at once.
    TwoAdmins = "two operators at once";
    /// A leader that is cut off is asked to remove the others.
    IslandAsked = "island asked to go on alone";
    /// A leader is killed when it has begun a joint configuration.
    KilledInJoint = "killed in a joint conf";
    /// A node that was removed is started again.
    RemovedReturns = "removed node started";
    /// A learner that is dead is to vote.
    DeadPromoted = "dead learner promoted";
}

/// How often each class of faults was injected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultCounts([u64; FaultClass::ALL.len()]);

impl Default for FaultCounts {
    fn default() -> FaultCounts {
        FaultCounts([0; FaultClass::ALL.len()])
    }
}

impl FaultClass {
    /// Whether it changes the members, or happens only while they change.
    pub fn is_of_members(self) -> bool {
        self >= FaultClass::NodeAdded
    }
}

impl FaultCounts {
    /// Counts one.
    pub fn add(&mut self, class: FaultClass) {
        self.0[class as usize] += 1;
    }

    /// How many of a class.
    pub fn of(&self, class: FaultClass) -> u64 {
        self.0[class as usize]
    }

    /// How many of all classes.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Adds those of another run.
    pub fn merge(&mut self, other: &FaultCounts) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}

/// Something worth showing to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceEvent {
    /// The number of the event of the run in which it happened.
    pub step: u64,
    /// When.
    pub at_us: u64,
    /// What.
    pub kind: TraceKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceKind {
    /// A message left, and what the network will do with it.
    Sent {
        /// The sender.
        from: NodeId,
        /// The receiver.
        to: NodeId,
        /// When it will arrive; `None` if it is lost.
        arrives_us: Option<u64>,
        /// What it says.
        text: String,
    },
    /// A message arrived.
    Arrived {
        /// The sender.
        from: NodeId,
        /// The receiver.
        to: NodeId,
        /// What it says.
        text: String,
    },
    /// A node's role or term changed.
    Role {
        /// The node.
        node: NodeId,
        /// What it is now.
        role: Role,
        /// In which term.
        term: u64,
    },
    /// A process started.
    Started {
        /// The node.
        node: NodeId,
        /// How often it has been started.
        incarnation: u64,
    },
    /// A process ended.
    Ended {
        /// The node.
        node: NodeId,
        /// Why.
        text: String,
    },
    /// A write became durable.
    Persisted {
        /// The node.
        node: NodeId,
        /// What it was.
        text: String,
    },
    /// A fault was injected.
    Fault {
        /// Its class.
        class: FaultClass,
        /// The nodes it strikes.
        nodes: Vec<NodeId>,
        /// What it does.
        text: String,
    },
    /// A client asked or was answered.
    Client {
        /// The client.
        client: usize,
        /// The node it talks to.
        node: NodeId,
        /// What.
        text: String,
    },
    /// The run entered another phase.
    Phase {
        /// Which.
        text: String,
    },
}
