//! The way of writes into the log: batches, their sequence, and handing them to the leader until
//! they are applied.
//!
//! A batch is numbered when it is first handed over, kept until this node's own replica has applied
//! it, and handed over again whenever it may have been lost: to a new leader, after the connection
//! to the leader was restored, after a refusal, after a gap showed. The state machine applies each
//! number once (see [`crate::machine`]), so handing over too often costs bytes and nothing else.
//!
//! Clients are answered in the order of the batches, whatever becomes of each: a batch that was
//! refused for certain waits until those before it are answered.

use std::collections::VecDeque;

use buggify::{Canary, Point};
use bytes::Bytes;
use raft::{EntryKind, NodeId, Raft, Term};

use crate::batch::{BatchHeader, HEADER_LENGTH};
use crate::config::Now;
use crate::errors::Failure;
use crate::message::{Forward, ForwardRefused, PeerMessage, Refusal};
use crate::plan::Plan;

/// Writes being gathered and batches not yet applied.
#[derive(Debug)]
pub(crate) struct Gateway {
    node: NodeId,
    incarnation: u64,
    /// The number of the next batch that is handed over for the first time.
    next_sequence: u64,
    /// The batch being gathered.
    gathering: Gathering,
    /// Batches that are closed and not applied, oldest first.
    /// Invariant: the numbered ones come first, without a gap.
    unapplied: VecDeque<Unapplied>,
    /// Bytes they hold.
    unapplied_bytes: usize,
    /// Bytes of all batches that were ever closed.
    closed_bytes: u64,
    /// The number of the last batch that was applied here, or that a snapshot contained.
    last_applied: u64,
    /// How many of the first of them have been handed to `target`.
    handed: usize,
    /// The leader, and its term, that batches are handed to.
    target: Option<(NodeId, Term)>,
    /// When a batch of ours was last applied or handed over again.
    progress_us: u64,
    /// Hand over again if nothing is applied for so long. Doubles each time nothing was, up to
    /// [`PATIENCE_GROWTH_MAX`] times the least.
    patience_us: u64,
    patience_least_us: u64,
    /// From the next tick on, hand over again from this sequence on: it was refused or skipped.
    rewind: Option<u64>,
    /// `target` said that it does not lead (any more): nothing is handed to it.
    target_resigned: bool,
    /// `target` said that its disk is full, and nothing of ours has been applied since.
    target_disk_full: bool,
    /// How many unapplied batches were refused for certain and are not answered.
    refused_count: usize,
}

/// See [`Gateway::patience_us`].
const PATIENCE_GROWTH_MAX: u64 = 8;

/// Bytes of batches that are handed over and not applied beyond which no more are. It bounds what is
/// handed over again when the leader changes, all in one turn, and what stands before the heartbeats
/// on the connection to the leader: a backlog must not keep them from it.
const HANDED_BYTES_MAX: u64 = 4 << 20;

/// The batch that commands are being added to.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    /// Room for the header, then the records.
    pub(crate) payload: Vec<u8>,
    /// What to do for the clients at apply.
    pub(crate) plan: Plan,
}

#[derive(Debug)]
struct Unapplied {
    /// Its number, once it has been handed over; 0 before.
    sequence: u64,
    /// Bytes of all batches that were closed before it.
    offset: u64,
    payload: Payload,
    /// `None` once its clients were answered.
    plan: Option<Plan>,
    bytes: usize,
    deadline_us: u64,
    created_us: u64,
    /// How often it was handed over. Only what was handed over once can be refused for certain.
    hands: u32,
    /// Why it certainly never takes effect, if that is known: its payload has been emptied.
    refused: Option<Failure>,
}

#[derive(Debug)]
enum Payload {
    /// Not numbered: the header is not written.
    Open(Vec<u8>),
    /// As it enters the log.
    Sealed(Bytes),
}

/// What applying an own batch came to.
#[derive(Debug)]
pub(crate) enum OwnBatch {
    /// It was the oldest unapplied one; its plan makes the replies, if they are still wanted.
    Next(Option<Plan>),
    /// It is not known here (any more).
    Unknown,
}

impl Gathering {
    fn begin(&mut self) {
        if self.payload.is_empty() {
            self.payload.resize(HEADER_LENGTH, 0);
        }
    }

    /// The batch's bytes, to add a record to.
    pub(crate) fn records(&mut self) -> &mut Vec<u8> {
        self.begin();
        &mut self.payload
    }

    /// How large the batch is.
    pub(crate) fn bytes(&self) -> usize {
        self.payload.len()
    }

    fn is_empty(&self) -> bool {
        self.payload.is_empty() && self.plan.is_empty()
    }
}

impl Gateway {
    pub(crate) fn new(node: NodeId, incarnation: u64, patience_us: u64) -> Self {
        Gateway {
            node,
            incarnation,
            next_sequence: 1,
            gathering: Gathering::default(),
            unapplied: VecDeque::new(),
            unapplied_bytes: 0,
            closed_bytes: 0,
            last_applied: 0,
            handed: 0,
            target: None,
            progress_us: 0,
            patience_us,
            patience_least_us: patience_us,
            rewind: None,
            target_resigned: false,
            target_disk_full: false,
            refused_count: 0,
        }
    }

    /// The batch being gathered.
    pub(crate) fn gathering(&mut self) -> &mut Gathering {
        &mut self.gathering
    }

    /// Bytes of batches that are not applied.
    pub(crate) fn unapplied_bytes(&self) -> usize {
        self.unapplied_bytes + self.gathering.bytes()
    }

    /// How many batches are not applied.
    pub(crate) fn unapplied_count(&self) -> usize {
        self.unapplied.len()
    }

    /// Whether the leader has no room on its disk, as far as is known here. Then some batch of ours
    /// is unapplied and is being handed over again, so that this ends when there is room.
    pub(crate) fn target_disk_full(&self) -> bool {
        self.target_disk_full
    }

    /// Whether some client still waits for a batch.
    pub(crate) fn has_waiting_clients(&self) -> bool {
        !self.gathering.is_empty() || self.unapplied.iter().any(|batch| batch.plan.is_some())
    }

    /// Closes the batch being gathered, if there is anything in it.
    pub(crate) fn close_batch(&mut self, now_us: u64, timeout_us: u64) {
        if self.gathering.is_empty() {
            return;
        }
        self.gathering.begin();
        let gathered = std::mem::take(&mut self.gathering);
        let bytes = gathered.payload.len() + gathered.plan.memory();
        self.unapplied_bytes += bytes;
        if self.unapplied.is_empty() {
            self.progress_us = now_us;
            self.patience_us = self.patience_least_us;
        }
        self.unapplied.push_back(Unapplied {
            sequence: 0,
            offset: self.closed_bytes,
            payload: Payload::Open(gathered.payload),
            plan: Some(gathered.plan),
            bytes,
            deadline_us: now_us + timeout_us,
            created_us: now_us,
            hands: 0,
            refused: None,
        });
        self.closed_bytes += bytes as u64;
    }

    /// Takes note of who leads. A change means that everything unapplied is handed over again.
    pub(crate) fn set_leader(&mut self, leader: Option<NodeId>, term: Term) {
        let target = leader.map(|leader| (leader, term));
        if target != self.target {
            self.target = target;
            self.target_resigned = false;
            self.target_disk_full = false;
            self.handed = 0;
        }
    }

    /// What was sent to this peer may be lost.
    pub(crate) fn connection_restored(&mut self, peer: NodeId) {
        if self.target.is_some_and(|(leader, _)| leader == peer) {
            self.handed = 0;
        }
    }

    /// Hands what has not been handed over to the leader: into this replica's own log if it leads,
    /// as messages otherwise. Returns how many batches were handed over again.
    pub(crate) fn hand_over(
        &mut self,
        raft: &mut Raft,
        now: Now,
        messages: &mut Vec<(NodeId, PeerMessage)>,
    ) -> u64 {
        let Some((leader, term)) = self.target.filter(|_| !self.target_resigned) else {
            return 0;
        };
        if self.handed == 0 {
            self.progress_us = now.mono_us;
        }
        let mut again = 0;
        let first_offset = self.unapplied.front().map_or(0, |batch| batch.offset);
        while let Some(batch) = self.unapplied.get_mut(self.handed) {
            let is_late = self.handed > 0 && buggify::point(Point::OneBatchPerTurn);
            if is_late || batch.offset - first_offset >= HANDED_BYTES_MAX {
                break;
            }
            if batch.sequence == 0 {
                batch.sequence = self.next_sequence;
            }
            let header = BatchHeader {
                gateway: self.node,
                incarnation: self.incarnation,
                sequence: batch.sequence,
            };
            let payload = batch.payload.seal(&header);
            if leader == self.node {
                if raft
                    .propose(EntryKind::Batch, payload, now.wall_ms)
                    .is_err()
                {
                    batch.unnumber_if_never_handed();
                    break;
                }
            } else {
                let forward = Forward {
                    term,
                    batch: payload,
                };
                messages.push((leader, PeerMessage::Forward(forward)));
            }
            again += u64::from(batch.hands > 0);
            batch.hands += 1;
            self.next_sequence = self.next_sequence.max(batch.sequence + 1);
            self.handed += 1;
        }
        again
    }

    /// A batch of this gateway and incarnation is being applied. It is the oldest unapplied one,
    /// unless an earlier incarnation's table survived it.
    pub(crate) fn applied(&mut self, sequence: u64, now_us: u64) -> OwnBatch {
        self.last_applied = self.last_applied.max(sequence);
        let is_next = self
            .unapplied
            .front()
            .is_some_and(|batch| batch.sequence == sequence);
        if !is_next {
            return OwnBatch::Unknown;
        }
        let Some(batch) = self.unapplied.pop_front() else {
            return OwnBatch::Unknown;
        };
        self.unapplied_bytes -= batch.bytes;
        self.handed = self.handed.saturating_sub(1);
        self.progress_us = now_us;
        self.patience_us = self.patience_least_us;
        self.target_disk_full = false;
        OwnBatch::Next(batch.plan)
    }

    /// A snapshot has replaced the state: it contains this gateway's batches up to `sequence`. What
    /// they came to is not known here, so their clients get no replies but an error that says so.
    /// What the snapshot does not contain is handed over again: it may have been in the log that the
    /// snapshot replaced.
    pub(crate) fn contained(
        &mut self,
        sequence: u64,
        now_us: u64,
        failed: &mut Vec<(Plan, Failure)>,
    ) {
        let is_contained = |batch: &Unapplied| (1..=sequence).contains(&batch.sequence);
        while self.unapplied.front().is_some_and(is_contained) {
            let Some(batch) = self.unapplied.pop_front() else {
                break;
            };
            self.unapplied_bytes -= batch.bytes;
            self.patience_us = self.patience_least_us;
            self.target_disk_full = false;
            let Some(plan) = batch.plan else { continue };
            self.refused_count -= usize::from(batch.refused.is_some());
            failed.push((plan, batch.refused.unwrap_or(Failure::ContainedInSnapshot)));
        }
        self.last_applied = self.last_applied.max(sequence);
        self.progress_us = now_us;
        self.handed = 0;
    }

    /// The number of the last batch that was applied here, or that a snapshot contained.
    pub(crate) fn last_applied(&self) -> u64 {
        self.last_applied
    }

    /// The number of the next batch that is handed over for the first time.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Whether a batch of this number waits to be applied.
    pub(crate) fn is_unapplied(&self, sequence: u64) -> bool {
        self.unapplied
            .iter()
            .any(|batch| batch.sequence == sequence)
    }

    /// A batch of this gateway was skipped, because one before it is not in the log.
    pub(crate) fn gap(&mut self) {
        self.rewind = Some(0);
    }

    /// The leader did not append a batch.
    pub(crate) fn refused(&mut self, from: NodeId, refusal: &ForwardRefused) {
        let in_force = self.target == Some((from, refusal.term));
        if refusal.incarnation != self.incarnation || !in_force {
            return;
        }
        let sequence = refusal.sequence;
        let Some(batch) = self
            .unapplied
            .iter_mut()
            .find(|batch| batch.sequence == sequence && batch.hands > 0)
        else {
            return;
        };
        let failure = match refusal.reason {
            Refusal::NotLeader => {
                // A node leads a term once or never: only another term brings it back.
                self.target_resigned = true;
                return;
            }
            Refusal::Busy => None,
            Refusal::DiskFull => {
                self.target_disk_full = true;
                Some(Failure::DiskFull)
            }
            Refusal::Malformed => Some(Failure::TooLarge),
        };
        self.rewind = Some(self.rewind.map_or(sequence, |first| first.min(sequence)));
        if batch.hands == 1 && batch.refused.is_none() {
            batch.refused = failure;
        }
        if batch.hands > 1 || batch.refused.is_none() {
            return;
        }
        // Its number is spent: an empty batch takes it, so that those behind it have no gap.
        let header = BatchHeader {
            gateway: self.node,
            incarnation: self.incarnation,
            sequence,
        };
        let mut empty = vec![0; HEADER_LENGTH];
        header.write(&mut empty);
        self.unapplied_bytes -= batch.bytes;
        batch.bytes = empty.len();
        self.unapplied_bytes += batch.bytes;
        batch.payload = Payload::Sealed(Bytes::from(empty));
        self.refused_count += usize::from(batch.plan.is_some());
    }

    /// Takes out the plan of a batch that was refused for certain, once all before it are answered.
    pub(crate) fn take_refused(&mut self) -> Option<(Plan, Failure)> {
        if self.refused_count == 0 {
            return None;
        }
        let overtakes = buggify::canary(Canary::RefusalOvertakesReplies);
        let unanswered = |batch: &&mut Unapplied| {
            batch.plan.is_some() && (batch.refused.is_some() || !overtakes)
        };
        let batch = self.unapplied.iter_mut().find(unanswered)?;
        let failure = batch.refused?;
        self.refused_count -= 1;
        batch.plan.take().map(|plan| (plan, failure))
    }

    /// Looks at deadlines and lost batches. Appends the plans to be failed, and why.
    pub(crate) fn tick(&mut self, now_us: u64, failed: &mut Vec<(Plan, Failure)>) {
        self.expire(now_us, failed);
        if self.target.is_none_or(|(leader, _)| leader == self.node) {
            // What stands in this node's own log cannot be lost while it leads.
            self.rewind = None;
            return;
        }
        let is_stuck =
            self.handed > 0 && now_us.saturating_sub(self.progress_us) > self.patience_us;
        if is_stuck || (self.handed > 0 && buggify::point(Point::ResendEarly)) {
            let most_us = self.patience_least_us.saturating_mul(PATIENCE_GROWTH_MAX);
            self.patience_us = self.patience_us.saturating_mul(2).min(most_us);
            self.rewind = Some(0);
            self.progress_us = now_us;
        }
        if let Some(sequence) = self.rewind.take() {
            let oldest = self.unapplied.front().map_or(0, |batch| batch.sequence);
            let first = sequence.saturating_sub(oldest) as usize;
            self.handed = self.handed.min(first);
        }
    }

    /// Answers batches whose deadline has passed: those handed over stay, their number must not be
    /// missing; those never handed over go.
    fn expire(&mut self, now_us: u64, failed: &mut Vec<(Plan, Failure)>) {
        let mut dropped = 0;
        for batch in &mut self.unapplied {
            if batch.deadline_us > now_us {
                break;
            }
            let waited_ms = (now_us - batch.created_us) / 1000;
            let failure = match (batch.refused, batch.hands) {
                (Some(failure), _) => failure,
                (None, 0) => Failure::NeverHanded { waited_ms },
                (None, _) if buggify::canary(Canary::UncertainCalledNever) => {
                    Failure::NeverHanded { waited_ms }
                }
                (None, _) => Failure::Uncertain { waited_ms },
            };
            if let Some(plan) = batch.plan.take() {
                self.refused_count -= usize::from(batch.refused.is_some());
                failed.push((plan, failure));
            }
            dropped += usize::from(batch.hands == 0);
        }
        if dropped == 0 {
            return;
        }
        let unapplied_bytes = &mut self.unapplied_bytes;
        self.unapplied.retain(|batch| {
            let stays = batch.hands > 0 || batch.deadline_us > now_us;
            if !stays {
                *unapplied_bytes -= batch.bytes;
            }
            stays
        });
    }
}

impl Unapplied {
    /// A proposal was refused before it was ever handed over: its number stays free.
    fn unnumber_if_never_handed(&mut self) {
        if self.hands == 0 {
            self.sequence = 0;
        }
    }
}

impl Payload {
    /// The bytes with the header written, shared from now on.
    fn seal(&mut self, header: &BatchHeader) -> Bytes {
        match self {
            Payload::Sealed(bytes) => bytes.clone(),
            Payload::Open(open) => {
                header.write(open);
                let bytes = Bytes::from(std::mem::take(open));
                *self = Payload::Sealed(bytes.clone());
                bytes
            }
        }
    }
}

#[cfg(test)]
#[path = "gateway_tests.rs"]
mod tests;
