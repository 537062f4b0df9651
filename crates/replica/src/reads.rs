//! Reads: gathered, confirmed by a read index, run when this replica has applied so far.
//!
//! All runs of reads that arrive in one turn share one read index (thesis 6.4): a leader confirms
//! that it still leads after they arrived, and tells how far its log was committed then.

use std::collections::VecDeque;

use buggify::{Canary, Point};
use raft::{LogIndex, Raft, ReadToken};

use crate::errors::Failure;
use crate::plan::Plan;

/// Runs of reads on their way.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    /// What arrived in this turn.
    gathering: Plan,
    /// What waits, oldest first.
    waiting: VecDeque<Waiting>,
    /// The last token used.
    last_token: u64,
}

#[derive(Debug)]
struct Waiting {
    plan: Plan,
    stage: Stage,
    created_us: u64,
    deadline_us: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No leader has been asked.
    Unasked,
    /// A leader was asked, by this token; what piled up without a leader shares one. Raft asks
    /// again by itself if the question may be lost, and says so if it never will be answered.
    Asked(ReadToken),
    /// The reads may run when this index has been applied.
    Confirmed(LogIndex),
}

impl Reads {
    /// The plan that reads of this turn are added to.
    pub(crate) fn gathering(&mut self) -> &mut Plan {
        &mut self.gathering
    }

    /// Whether any client waits for a read.
    pub(crate) fn is_empty(&self) -> bool {
        self.gathering.is_empty() && self.waiting.is_empty()
    }

    /// How many groups of reads wait.
    pub(crate) fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// Closes the gathering of this turn, and asks for what has not been asked.
    pub(crate) fn ask(&mut self, raft: &mut Raft, now_us: u64, timeout_us: u64) {
        if !self.gathering.is_empty() {
            let plan = std::mem::take(&mut self.gathering);
            match self.waiting.back_mut() {
                Some(last)
                    if last.stage == Stage::Unasked
                        && last.created_us == now_us
                        && !buggify::point(Point::ReadsApart) =>
                {
                    last.plan.append(plan);
                }
                _ => self.waiting.push_back(Waiting {
                    plan,
                    stage: Stage::Unasked,
                    created_us: now_us,
                    deadline_us: now_us + timeout_us,
                }),
            }
        }
        if self
            .waiting
            .back()
            .is_some_and(|waiting| waiting.stage == Stage::Unasked)
            && !buggify::point(Point::ReadsAskedLate)
        {
            self.ask_for_all(raft);
        }
    }

    /// Asks for a read index on behalf of all that has not been asked for, if there is a leader.
    fn ask_for_all(&mut self, raft: &mut Raft) {
        let token = ReadToken(self.last_token + 1);
        if raft.read_index(token).is_err() {
            return;
        }
        self.last_token = token.0;
        for waiting in &mut self.waiting {
            if waiting.stage == Stage::Unasked {
                waiting.stage = Stage::Asked(token);
            }
        }
    }

    /// A read index was confirmed.
    pub(crate) fn confirmed(&mut self, token: ReadToken, index: LogIndex) {
        if buggify::point(Point::ReadIndexDropped) {
            return self.refused(token);
        }
        self.answered(token, Stage::Confirmed(index));
    }

    /// A question will not be answered: the leader stepped down.
    pub(crate) fn refused(&mut self, token: ReadToken) {
        self.answered(token, Stage::Unasked);
    }

    fn answered(&mut self, token: ReadToken, stage: Stage) {
        for waiting in &mut self.waiting {
            if waiting.stage == Stage::Asked(token) {
                waiting.stage = stage;
            }
        }
    }

    /// Takes out a plan that may run now that `applied` has been applied.
    pub(crate) fn take_ready(&mut self, applied: LogIndex) -> Option<Plan> {
        let applied = match buggify::canary(Canary::ReadBeforeApplied) {
            false => applied,
            true => LogIndex(u64::MAX),
        };
        let ready = self.waiting.iter().position(
            |waiting| matches!(waiting.stage, Stage::Confirmed(index) if index <= applied),
        )?;
        self.waiting.remove(ready).map(|waiting| waiting.plan)
    }

    /// Asks what has not been asked, and appends the plans whose deadline has passed.
    pub(crate) fn tick(&mut self, raft: &mut Raft, now_us: u64, failed: &mut Vec<(Plan, Failure)>) {
        while self
            .waiting
            .front()
            .is_some_and(|waiting| waiting.deadline_us <= now_us)
        {
            if let Some(waiting) = self.waiting.pop_front() {
                let waited_ms = (now_us - waiting.created_us) / 1000;
                failed.push((waiting.plan, Failure::NeverHanded { waited_ms }));
            }
        }
        let mut stages = self.waiting.iter().map(|waiting| waiting.stage);
        if stages.any(|stage| stage == Stage::Unasked) {
            self.ask_for_all(raft);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ClientId;

    const TIMEOUT_US: u64 = 1_000;

    /// A replica's Raft that knows no leader (of three), or leads (alone).
    fn raft(members: u64) -> Raft {
        let config = raft::Config::new(raft::NodeId(1), (1..=members).map(raft::NodeId));
        let mut raft = Raft::new(config, raft::Recovered::default()).expect("valid");
        if members == 1 {
            raft.campaign();
            settle(&mut raft);
            assert!(raft.is_leader());
        }
        raft
    }

    /// Carries out what Raft wants done on its disk; what it says of reads is dropped.
    fn settle(raft: &mut Raft) -> Vec<(ReadToken, LogIndex)> {
        let mut reads = Vec::new();
        while let Some(ready) = raft.ready() {
            if let Some(persist) = ready.persist {
                raft.persisted(persist.write);
            }
            if let Some(entry) = ready.apply.last() {
                raft.applied(entry.id.index);
            }
            reads.extend(ready.reads);
        }
        reads
    }

    fn gather(reads: &mut Reads, reply: &str) {
        let client = ClientId {
            slot: 0,
            generation: 1,
        };
        reads.gathering().literal(client, reply.as_bytes());
    }

    fn taken(reads: &mut Reads, applied: u64) -> Option<String> {
        let plan = reads.take_ready(LogIndex(applied))?;
        Some(String::from_utf8(plan.buffer).expect("text"))
    }

    #[test]
    fn reads_of_a_turn_share_a_question_and_wait_for_their_index() {
        let mut raft = raft(1);
        let mut reads = Reads::default();
        gather(&mut reads, "a");
        gather(&mut reads, "b");
        assert!(!reads.is_empty());
        reads.ask(&mut raft, 0, TIMEOUT_US);
        gather(&mut reads, "c");
        reads.ask(&mut raft, 1, TIMEOUT_US);
        let confirmed = settle(&mut raft);
        assert_eq!(confirmed.len(), 2);
        for (token, index) in &confirmed {
            reads.confirmed(*token, *index);
        }
        let index = confirmed[0].1.0;
        assert_eq!(taken(&mut reads, index - 1), None);
        assert_eq!(taken(&mut reads, index).as_deref(), Some("ab"));
        assert_eq!(taken(&mut reads, index).as_deref(), Some("c"));
        assert!(reads.is_empty());
    }

    #[test]
    fn what_piled_up_without_a_leader_shares_a_question_when_there_is_one() {
        let mut nobody = raft(3);
        let mut reads = Reads::default();
        for (turn, name) in (0..).zip(["a", "b", "c"]) {
            gather(&mut reads, name);
            reads.ask(&mut nobody, turn, TIMEOUT_US);
        }
        assert_eq!(reads.waiting_count(), 3);
        let mut leader = raft(1);
        reads.tick(&mut leader, 3, &mut Vec::new());
        let confirmed = settle(&mut leader);
        assert_eq!(confirmed.len(), 1);
        reads.confirmed(confirmed[0].0, confirmed[0].1);
        for name in ["a", "b", "c"] {
            assert_eq!(taken(&mut reads, u64::MAX).as_deref(), Some(name));
        }
    }

    #[test]
    fn answers_to_nobody_are_ignored() {
        let mut raft = raft(1);
        let mut reads = Reads::default();
        gather(&mut reads, "a");
        reads.ask(&mut raft, 0, TIMEOUT_US);
        reads.confirmed(ReadToken(77), LogIndex(0));
        reads.refused(ReadToken(77));
        assert_eq!(taken(&mut reads, u64::MAX), None);
        let (token, index) = settle(&mut raft)[0];
        reads.confirmed(token, index);
        // Late or repeated answers change nothing.
        reads.refused(token);
        reads.confirmed(token, LogIndex(u64::MAX));
        assert_eq!(taken(&mut reads, index.0).as_deref(), Some("a"));
    }

    #[test]
    fn without_a_leader_reads_fail_at_their_deadline_and_not_before() {
        let mut raft = raft(3);
        let mut reads = Reads::default();
        let mut failed = Vec::new();
        for turn in 0..3 {
            gather(&mut reads, "x");
            reads.ask(&mut raft, turn * 10, TIMEOUT_US);
        }
        assert_eq!(reads.waiting_count(), 3);
        reads.tick(&mut raft, TIMEOUT_US - 1, &mut failed);
        assert!(failed.is_empty());
        reads.tick(&mut raft, TIMEOUT_US + 10, &mut failed);
        assert_eq!(failed.len(), 2);
        assert_eq!(failed[1].1, Failure::NeverHanded { waited_ms: 1 });
        reads.tick(&mut raft, TIMEOUT_US + 20, &mut failed);
        assert!(reads.is_empty());
    }

    #[test]
    fn a_refused_question_is_asked_again_under_another_name() {
        let mut leader = raft(1);
        let mut reads = Reads::default();
        gather(&mut reads, "a");
        reads.ask(&mut leader, 0, TIMEOUT_US);
        let (first, _) = settle(&mut leader)[0];
        reads.refused(first);
        reads.tick(&mut leader, 1, &mut Vec::new());
        let (second, index) = settle(&mut leader)[0];
        assert_ne!(first, second);
        reads.confirmed(first, LogIndex(0));
        assert_eq!(taken(&mut reads, 0), None);
        reads.confirmed(second, index);
        assert_eq!(taken(&mut reads, index.0).as_deref(), Some("a"));
    }
}
