//! Who sits in the group, and what happened to them.

use raft::NodeId;

use crate::disk::Disk;
use crate::member::Member;
use crate::translate::Wire;

/// The time between two ticks of a node, before its clock's drift.
pub(crate) const TICK_US: u64 = 10_000;
/// Who is in the group: so many of ours, with the lowest ids, then so many of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) ours: u64,
    pub(crate) theirs: u64,
}

/// A place in the group: a process that may be dead, and a disk that is not.
pub(crate) struct Seat {
    pub(crate) id: NodeId,
    pub(crate) is_ours: bool,
    pub(crate) member: Option<Box<dyn Member>>,
    pub(crate) disk: Disk,
    /// Entries that this process has applied.
    pub(crate) applied: u64,
    /// Which process this is.
    pub(crate) start: u64,
    /// The disk works on the writes handed out first.
    pub(crate) is_syncing: bool,
    pub(crate) has_slow_disk: bool,
    pub(crate) has_stopped_clock: bool,
    /// The process stands still, and what is said to it gathers.
    pub(crate) is_paused: bool,
    pub(crate) inbox: Inbox,
    /// The time between two ticks.
    pub(crate) tick_us: u64,
}

impl Seat {
    /// The seat of this number, counted from 1, with an empty disk.
    pub(crate) fn new(number: u64, shape: Shape) -> Seat {
        Seat {
            id: NodeId(number),
            is_ours: number <= shape.ours,
            member: None,
            disk: Disk::default(),
            applied: 0,
            start: 0,
            is_syncing: false,
            has_slow_disk: false,
            has_stopped_clock: false,
            is_paused: false,
            inbox: Inbox::default(),
            tick_us: TICK_US,
        }
    }

    /// The process, if it lives and does not stand still.
    pub(crate) fn running(&mut self) -> Option<&mut Box<dyn Member>> {
        self.member.as_mut().filter(|_| !self.is_paused)
    }
}

/// What a process that stands still will find: connections are independent of each other, so that
/// clients may be heard before peers.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) reads: Vec<u64>,
    pub(crate) wires: Vec<Wire>,
}

/// What happened in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    pub(crate) events: u64,
    pub(crate) terms_led_by_ours: u64,
    pub(crate) terms_led_by_theirs: u64,
    pub(crate) committed: u64,
    pub(crate) reads_served: u64,
    /// Those of them that a node of one kind has asked a leader of the other for.
    pub(crate) reads_across: u64,
    pub(crate) crashes: u64,
    pub(crate) partitions: u64,
    pub(crate) transfers: u64,
    pub(crate) messages_lost: u64,
    pub(crate) messages_doubled: u64,
    /// How long it took to agree and work again after the last fault.
    pub(crate) recovery_us: u64,
}

impl Stats {
    /// Sums up two runs; of the recovery, the longer.
    pub(crate) fn add(&mut self, other: &Stats) {
        self.events += other.events;
        self.terms_led_by_ours += other.terms_led_by_ours;
        self.terms_led_by_theirs += other.terms_led_by_theirs;
        self.committed += other.committed;
        self.reads_served += other.reads_served;
        self.reads_across += other.reads_across;
        self.crashes += other.crashes;
        self.partitions += other.partitions;
        self.transfers += other.transfers;
        self.messages_lost += other.messages_lost;
        self.messages_doubled += other.messages_doubled;
        self.recovery_us = self.recovery_us.max(other.recovery_us);
    }
}

/// The position of a node among the seats.
pub(crate) fn position(node: NodeId) -> usize {
    usize::try_from(node.0)
        .ok()
        .and_then(|number| number.checked_sub(1))
        .unwrap_or(usize::MAX)
}
