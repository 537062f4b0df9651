//! What the leader knows of one follower, and how much it may send to it.
//!
//! ```text
//!              accepted
//!    Probe ----------------> Replicate
//!      ^                         |
//!      +--- rejected, reset -----+
//!      |
//!      | rejected where the log begins
//!      v
//!   Snapshot     and back to Probe when the transfer has ended, or the connection is lost;
//!                to Replicate when an acceptance shows that the log continues what is held
//! ```
//!
//! In `Probe` the leader does not know where the follower's log agrees with its own: it sends one
//! append and waits for the answer. In `Replicate` it does, and streams: `next_index` runs ahead
//! of `match_index` by what is in flight. In `Snapshot` the follower lacks entries that the leader
//! has dropped: nothing but heartbeats is sent to it while a snapshot is brought to it.

use std::collections::VecDeque;

use buggify::{Canary, Point};

use crate::types::{LogIndex, ReadRequestId, Round, Session};

/// See the module.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Progress {
    /// The follower holds the leader's log up to here, durably. Never falls within a term.
    pub(crate) match_index: LogIndex,
    /// The next entry to send. Invariant: above `match_index`, at most one behind the last entry.
    pub(crate) next_index: LogIndex,
    pub(crate) state: ProgressState,
    /// The highest commit index the follower can have taken from what was sent to it.
    pub(crate) commit_sent: LogIndex,
    /// Names what is said to the follower while it is a member, so that answers from before it left
    /// and came again are known as such.
    pub(crate) session: Session,
    /// Set when the follower is no longer a member: it is told that, then dropped.
    pub(crate) leaving: Option<Leaving>,
    /// Ticks since the follower was last heard from in this term and session.
    pub(crate) quiet_ticks: u32,
    /// The latest round the follower has answered.
    pub(crate) round: Round,
    /// Entries for the follower are being read back from the disk.
    pub(crate) reading: Option<ReadRequestId>,
    /// The last attempt to read entries back failed: not again before the next heartbeat.
    pub(crate) read_failed: bool,
    /// What the next answer to a heartbeat is to set in motion. At most one thing per heartbeat
    /// interval, however many heartbeats read rounds cause in between.
    pub(crate) on_heartbeat_response: OnHeartbeatResponse,
    /// An append without entries is due, beyond the window if need be: its answer repairs whatever
    /// was lost.
    pub(crate) check_due: bool,
    /// `match_index` when the last heartbeat was sent.
    match_at_heartbeat: LogIndex,
}

/// What keeps one that was removed among those who are sent to. The removal may not be committed, and
/// the one it concerns should hear that it is: it would wait for a leader for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Leaving {
    /// The entry that removes it.
    pub(crate) index: LogIndex,
    /// Ticks since that was committed.
    pub(crate) ticks: u32,
}

/// How entries are sent to a follower.
#[derive(Clone, Debug, Hash)]
pub(crate) enum ProgressState {
    /// One append at a time, until one is accepted.
    Probe {
        /// The append is under way.
        waiting: bool,
    },
    /// As many as the window allows.
    Replicate(Inflight),
    /// None: the follower needs a snapshot.
    Snapshot(Delivery),
}

/// How it stands with the snapshot that a follower needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Delivery {
    /// It is to be asked for.
    Due,
    /// It was asked for.
    Asked,
    /// It has failed: after so many ticks the follower is probed again, and rejects if it still
    /// needs one.
    Failed(u32),
}

/// What an answer to a heartbeat, which proves the follower alive, says about the silence before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum OnHeartbeatResponse {
    /// Nothing is overdue.
    Nothing,
    /// The probe, or its answer, may be lost: send it again.
    Probe,
    /// Nothing that was in flight has been acknowledged for a whole heartbeat interval: appends or
    /// their answers may be lost, which would keep the window full for ever (etcd raft PR 31,
    /// hashicorp raft issue 612).
    Check,
}

/// Appends that were sent and not acknowledged.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Inflight {
    /// The last index and the size of each, oldest first.
    appends: VecDeque<(LogIndex, usize)>,
    bytes: usize,
}

impl Inflight {
    fn add(&mut self, last: LogIndex, bytes: usize) {
        self.appends.push_back((last, bytes));
        self.bytes += bytes;
    }

    /// Everything up to `index` has arrived.
    fn free_to(&mut self, index: LogIndex) {
        while let Some(&(last, bytes)) = self.appends.front()
            && last <= index
        {
            self.appends.pop_front();
            self.bytes -= bytes;
        }
    }

    pub(crate) fn messages(&self) -> usize {
        self.appends.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing more may be sent.
    pub(crate) fn is_full(&self, messages_max: usize, bytes_max: usize) -> bool {
        self.appends.len() >= messages_max || (self.bytes >= bytes_max && !self.appends.is_empty())
    }
}

impl Progress {
    /// A new leader knows nothing: it probes, optimistically, from the end of its log.
    pub(crate) fn new(next_index: LogIndex, session: Session) -> Progress {
        Progress {
            match_index: LogIndex(0),
            next_index,
            state: ProgressState::Probe { waiting: false },
            commit_sent: LogIndex(0),
            session,
            leaving: None,
            quiet_ticks: 0,
            round: Round(0),
            reading: None,
            read_failed: false,
            on_heartbeat_response: OnHeartbeatResponse::Nothing,
            check_due: false,
            match_at_heartbeat: LogIndex(0),
        }
    }

    /// Appends up to `last` (which is the index before them if they are empty) are being sent.
    pub(crate) fn sent(&mut self, last: LogIndex, bytes: usize, commit: LogIndex) {
        self.check_due = false;
        self.commit_sent = self.commit_sent.max(commit.min(last));
        match &mut self.state {
            ProgressState::Probe { waiting } => *waiting = true,
            ProgressState::Replicate(inflight) if last >= self.next_index => {
                inflight.add(last, bytes);
                self.next_index = last.next();
            }
            ProgressState::Replicate(_) | ProgressState::Snapshot(_) => {}
        }
    }

    /// The follower holds everything up to `index`, and the leader's log begins behind `base`.
    /// Returns whether that is news.
    pub(crate) fn accepted(&mut self, index: LogIndex, base: LogIndex) -> bool {
        if index < self.match_index {
            return false;
        }
        let is_news = index > self.match_index;
        self.match_index = index;
        self.next_index = self.next_index.max(index.next());
        match &mut self.state {
            ProgressState::Probe { .. } => {
                self.next_index = index.next();
                self.state = ProgressState::Replicate(Inflight::default());
            }
            ProgressState::Replicate(inflight) => inflight.free_to(index),
            // Whether it is the snapshot that was asked for, or an older one, or none: the log
            // continues it.
            ProgressState::Snapshot(_) if index >= base => {
                self.next_index = index.next();
                self.state = ProgressState::Replicate(Inflight::default());
            }
            ProgressState::Snapshot(_) => {}
        }
        is_news
    }

    /// Whether a rejection of an append after `prev` concerns what was sent last, rather than
    /// something long since overtaken. One who rejects what it has acknowledged has lost its disk:
    /// no probe will make that good, so it is not heeded.
    pub(crate) fn is_current_rejection(&self, prev: LogIndex) -> bool {
        prev > self.match_index
            && match self.state {
                ProgressState::Probe { .. } => prev == self.next_index.previous(),
                ProgressState::Replicate(_) => prev < self.next_index,
                ProgressState::Snapshot(_) => false,
            }
    }

    /// The follower lacks what the leader has dropped.
    pub(crate) fn needs_snapshot(&mut self) {
        self.state = ProgressState::Snapshot(Delivery::Due);
        self.check_due = false;
        self.reading = None;
    }

    /// Whether a snapshot is to be asked for now; from then on it is.
    pub(crate) fn take_snapshot_due(&mut self) -> bool {
        let is_due = matches!(self.state, ProgressState::Snapshot(Delivery::Due));
        if is_due {
            self.state = ProgressState::Snapshot(Delivery::Asked);
        }
        is_due
    }

    /// The transfer of a snapshot that ends with `last` has ended. A failed one is not tried again
    /// for `patience_ticks`.
    pub(crate) fn snapshot_sent(
        &mut self,
        last: LogIndex,
        is_installed: bool,
        patience_ticks: u32,
    ) {
        if !self.is_snapshot() {
            return;
        }
        if is_installed {
            self.probe_from(last);
        } else if !buggify::canary(Canary::SnapshotProgressStuck) {
            self.state = ProgressState::Snapshot(Delivery::Failed(patience_ticks));
        }
    }

    /// Time goes on by one tick.
    pub(crate) fn tick(&mut self) {
        self.quiet_ticks = self.quiet_ticks.saturating_add(1);
        if let ProgressState::Snapshot(Delivery::Failed(ticks)) = &mut self.state {
            *ticks = ticks.saturating_sub(1);
            if *ticks == 0 {
                self.probe_from(self.match_index);
            }
        }
    }

    /// The logs may meet at `meeting`, or below: probe there, at once.
    pub(crate) fn probe_from(&mut self, meeting: LogIndex) {
        self.next_index = meeting.max(self.match_index).next();
        self.state = ProgressState::Probe { waiting: false };
        self.check_due = false;
        self.reading = None;
    }

    /// The connection is gone, and with it what was in flight: probe, but not before something is
    /// heard.
    pub(crate) fn disconnected(&mut self) {
        self.probe_from(self.match_index);
        self.state = ProgressState::Probe { waiting: true };
    }

    /// A heartbeat is being sent, as one is at regular intervals.
    pub(crate) fn heartbeat(&mut self) {
        self.read_failed = false;
        if self.is_replicating() && buggify::point(Point::ProbeUnasked) {
            self.probe_from(self.match_index);
        }
        self.on_heartbeat_response = match self.state {
            ProgressState::Probe { .. } => OnHeartbeatResponse::Probe,
            ProgressState::Replicate(_) => {
                let in_flight = self.match_index.next() < self.next_index;
                if in_flight && self.match_index == self.match_at_heartbeat {
                    OnHeartbeatResponse::Check
                } else {
                    OnHeartbeatResponse::Nothing
                }
            }
            ProgressState::Snapshot(_) => OnHeartbeatResponse::Nothing,
        };
        self.match_at_heartbeat = self.match_index;
    }

    /// A message of the leader's round `round` was answered; `latest` is the round it is in now.
    pub(crate) fn answered(&mut self, round: Round, latest: Round) {
        let round = match buggify::canary(Canary::LateAnswerConfirmsRound) {
            false => round.min(latest),
            true => latest,
        };
        self.round = self.round.max(round);
    }

    /// Whether an answer to this session is one to what is said now.
    pub(crate) fn is_of_session(&self, session: Session) -> bool {
        session == self.session || buggify::canary(Canary::LateAnswerOfOldSession)
    }

    /// A heartbeat was answered.
    pub(crate) fn heartbeat_answered(&mut self) {
        if buggify::canary(Canary::LostAppendNotRepaired) {
            return;
        }
        let due = std::mem::replace(
            &mut self.on_heartbeat_response,
            OnHeartbeatResponse::Nothing,
        );
        match (due, &mut self.state) {
            (OnHeartbeatResponse::Probe, ProgressState::Probe { waiting }) => *waiting = false,
            (OnHeartbeatResponse::Check, ProgressState::Replicate(_)) => self.check_due = true,
            _ => {}
        }
    }

    pub(crate) fn is_replicating(&self) -> bool {
        matches!(self.state, ProgressState::Replicate(_))
    }

    pub(crate) fn is_snapshot(&self) -> bool {
        matches!(self.state, ProgressState::Snapshot(_))
    }

    /// Whether nothing may be sent before something is heard.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self.state, ProgressState::Probe { waiting: true })
    }

    /// Makes equal what only counts time.
    pub(crate) fn forget_time(&mut self) {
        self.quiet_ticks = 0;
        if let Some(leaving) = &mut self.leaving {
            leaving.ticks = 0;
        }
        if let ProgressState::Snapshot(Delivery::Failed(ticks)) = &mut self.state {
            *ticks = 1;
        }
    }

    /// Asserts what must always hold.
    pub(crate) fn check(&self, last: LogIndex) {
        let Progress {
            match_index,
            next_index,
            ..
        } = self;
        assert!(
            match_index < next_index && *next_index <= last.next(),
            "progress is out of order: match {match_index}, next {next_index}, last {last}"
        );
        if let ProgressState::Replicate(inflight) = &self.state {
            let outside = inflight
                .appends
                .iter()
                .find(|(last, _)| last <= match_index || last >= next_index);
            assert!(
                outside.is_none(),
                "{outside:?} is in flight, but match is {match_index} and next {next_index}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicating() -> Progress {
        let mut progress = Progress::new(LogIndex(1), Session(0));
        progress.accepted(LogIndex(0), LogIndex(0));
        assert!(progress.is_replicating());
        progress
    }

    fn inflight(progress: &Progress) -> (usize, usize) {
        match &progress.state {
            ProgressState::Probe { .. } | ProgressState::Snapshot(_) => (0, 0),
            ProgressState::Replicate(inflight) => (inflight.messages(), inflight.bytes()),
        }
    }

    #[test]
    fn acknowledgement_frees_all_before_it() {
        let mut progress = replicating();
        for last in 1..=4 {
            progress.sent(LogIndex(last), 10, LogIndex(0));
        }
        assert_eq!(inflight(&progress), (4, 40));
        assert!(progress.accepted(LogIndex(3), LogIndex(0)));
        assert_eq!(inflight(&progress), (1, 10));
        assert!(
            !progress.accepted(LogIndex(2), LogIndex(0)),
            "an older one says nothing new"
        );
        assert_eq!(
            (progress.match_index, progress.next_index),
            (LogIndex(3), LogIndex(5))
        );
    }

    #[test]
    fn window_is_full_by_messages_or_bytes_but_lets_one_pass() {
        let mut window = Inflight::default();
        assert!(!window.is_full(2, 0), "one append is always allowed");
        window.add(LogIndex(1), 10);
        assert!(!window.is_full(2, 11));
        assert!(window.is_full(2, 10));
        window.add(LogIndex(2), 10);
        assert!(window.is_full(2, 100));
    }

    #[test]
    fn empty_appends_do_not_fill_the_window() {
        let mut progress = replicating();
        progress.sent(LogIndex(0), 0, LogIndex(0));
        assert_eq!(inflight(&progress), (0, 0));
    }

    #[test]
    fn rejections_of_what_is_overtaken_are_known_as_such() {
        let mut progress = Progress::new(LogIndex(10), Session(0));
        assert!(progress.is_current_rejection(LogIndex(9)));
        assert!(!progress.is_current_rejection(LogIndex(8)));
        progress.probe_from(LogIndex(5));
        assert!(progress.is_current_rejection(LogIndex(5)));
        progress.accepted(LogIndex(5), LogIndex(0));
        assert!(!progress.is_current_rejection(LogIndex(5)));
    }

    #[test]
    fn silence_is_checked_only_if_something_is_in_flight_for_a_whole_interval() {
        let mut progress = replicating();
        progress.heartbeat();
        progress.heartbeat_answered();
        assert!(!progress.check_due, "nothing is in flight");
        progress.sent(LogIndex(1), 10, LogIndex(0));
        progress.heartbeat();
        progress.heartbeat_answered();
        assert!(progress.check_due);
        progress.sent(LogIndex(0), 0, LogIndex(0));
        progress.heartbeat_answered();
        assert!(!progress.check_due, "once per interval");
        progress.accepted(LogIndex(1), LogIndex(0));
        progress.sent(LogIndex(2), 10, LogIndex(0));
        progress.heartbeat();
        progress.heartbeat_answered();
        assert!(
            !progress.check_due,
            "there was an acknowledgement since the last heartbeat"
        );
    }

    fn in_need() -> Progress {
        let mut progress = replicating();
        progress.needs_snapshot();
        assert!(progress.take_snapshot_due() && !progress.take_snapshot_due());
        progress
    }

    #[test]
    fn snapshot_is_asked_for_again_only_after_a_failure_and_some_patience() {
        let mut progress = in_need();
        for _ in 0..1_000 {
            progress.tick();
            progress.heartbeat();
            progress.heartbeat_answered();
        }
        assert!(progress.is_snapshot(), "a transfer may take its time");
        progress.snapshot_sent(LogIndex(9), false, 3);
        for _ in 0..2 {
            progress.tick();
            assert!(progress.is_snapshot() && !progress.take_snapshot_due());
        }
        progress.tick();
        assert!(!progress.is_snapshot() && !progress.is_silent());
    }

    #[test]
    fn snapshot_that_arrived_is_continued_behind_its_end() {
        let mut progress = in_need();
        progress.snapshot_sent(LogIndex(9), true, 3);
        assert_eq!(progress.next_index, LogIndex(10));
        assert!(matches!(
            progress.state,
            ProgressState::Probe { waiting: false }
        ));
        progress.accepted(LogIndex(9), LogIndex(7));
        progress.snapshot_sent(LogIndex(4), false, 3);
        assert!(progress.is_replicating(), "that was another transfer");
    }

    #[test]
    fn acceptance_ends_the_need_of_a_snapshot_if_the_log_continues_it() {
        let mut progress = in_need();
        progress.accepted(LogIndex(6), LogIndex(7));
        assert!(progress.is_snapshot());
        progress.accepted(LogIndex(7), LogIndex(7));
        assert!(progress.is_replicating());
        assert_eq!(progress.next_index, LogIndex(8));
    }

    #[test]
    fn lost_connection_ends_the_need_of_a_snapshot() {
        let mut progress = in_need();
        progress.disconnected();
        assert!(!progress.is_snapshot() && progress.is_silent());
    }
}
