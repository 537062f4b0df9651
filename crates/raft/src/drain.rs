//! What comes out: everything an input has set in motion, gathered into one [`Ready`].

use buggify::Canary;

use crate::message::{AppendOutcome, Envelope, Message};
use crate::raft::Raft;
use crate::ready::{Persist, Ready, SoftState};

impl Raft {
    /// What is to be done now. To be called after an input, or several, until it returns `None`.
    pub fn ready(&mut self) -> Option<Ready> {
        self.drive_membership();
        self.replicate();
        self.forward_reads();
        let apply = self.take_apply();
        let persist = self.take_persist();
        let ready = Ready {
            messages: std::mem::take(&mut self.outbox.envelopes),
            persist,
            apply,
            reads: std::mem::take(&mut self.reads_ready),
            reads_failed: std::mem::take(&mut self.reads_failed),
            read_entries: std::mem::take(&mut self.read_back.unsent),
            send_snapshots: std::mem::take(&mut self.snapshots_to_send),
            soft_state: self.take_soft_state(),
        };
        self.check();
        let is_empty = ready.messages.is_empty()
            && ready.persist.is_none()
            && ready.apply.is_empty()
            && ready.reads.is_empty()
            && ready.reads_failed.is_empty()
            && ready.read_entries.is_empty()
            && ready.send_snapshots.is_empty()
            && ready.soft_state.is_none();
        if is_empty { None } else { Some(ready) }
    }

    /// The next write, if there is anything to write, or anything that waits for a write.
    fn take_persist(&mut self) -> Option<Persist> {
        let messages = self.take_waiting_messages();
        let promise = self.promise();
        let promise_changed = promise != self.writes.written_promise();
        let sync = promise_changed || self.log.has_unwritten();
        if !sync && messages.is_empty() {
            return None;
        }
        // A commit index is worth writing when a write takes place anyway. Not one beyond what is
        // durable: whatever a torn write leaves behind, the log then reaches as far as it says.
        let durable = match buggify::canary(Canary::CommitBeyondDurable) {
            false => self.log.durable(),
            true => self.log.last().index,
        };
        let commit = self
            .log
            .commit()
            .min(durable)
            .max(self.writes.written_commit());
        let hard_state_changed = promise_changed || commit > self.writes.written_commit();
        let hard_state = hard_state_changed.then(|| {
            self.writes.write_hard_state(promise, commit);
            promise.with_commit(commit)
        });
        let base = self.log.take_unwritten_base();
        let (truncate_from, entries) = self.log.take_unwritten();
        let write = self.writes.start(self.log.last().index);
        Some(Persist {
            write,
            hard_state,
            base,
            truncate_from,
            entries,
            sync,
            messages,
        })
    }

    /// Takes the messages that must not leave before what they claim is durable. This is the one
    /// place that decides it:
    ///
    /// - While this node's term or vote is not durable, every message waits: all of them speak for
    ///   a member of that term.
    /// - An acceptance of entries waits until the entries are durable.
    /// - Everything else leaves at once; above all a leader's appends, which its own disk writes
    ///   meanwhile (thesis, section 10.2.1).
    ///
    /// Messages of a term that was left since they were said are dropped: they could only claim
    /// what is no longer so.
    fn take_waiting_messages(&mut self) -> Vec<Envelope> {
        let promise_is_durable = self.writes.durable_promise() == self.promise();
        let (term, durable) = (self.term, self.log.durable());
        let must_wait = |envelope: &Envelope| match &envelope.message {
            Message::AppendEntriesResponse(response) => match response.outcome {
                AppendOutcome::Accepted { match_index } => {
                    match_index > durable && !buggify::canary(Canary::AcceptedBeforeDurable)
                }
                AppendOutcome::Rejected { .. } => false,
            },
            _ => false,
        };
        let envelopes = &mut self.outbox.envelopes;
        envelopes.retain(|envelope| envelope.message.term() >= term);
        if !promise_is_durable && !buggify::canary(Canary::VoteBeforeDurable) {
            return std::mem::take(envelopes);
        }
        if !envelopes.iter().any(must_wait) {
            return Vec::new();
        }
        let (waiting, leaving) = std::mem::take(envelopes).into_iter().partition(must_wait);
        *envelopes = leaving;
        waiting
    }

    fn take_soft_state(&mut self) -> Option<SoftState> {
        let now = SoftState {
            role: self.role(),
            leader: self.leader(),
            term: self.term,
        };
        if now == self.soft_state_told {
            return None;
        }
        self.soft_state_told = now;
        Some(now)
    }
}
