//! Deliberate mistakes of the translation, each of which must be found out: a test that cannot
//! fail proves nothing.

use raft::{
    AppendEntriesResponse, AppendOutcome, Envelope, HeartbeatResponse, Message,
    RequestVoteResponse, Round,
};

/// A mistake that is made on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// None: the translation is right.
    #[default]
    None,
    /// Messages leave before what they claim is durable.
    AcknowledgesBeforeDurable,
    /// A follower that refuses entries is understood to hold them.
    RefusalTakenForAcceptance,
    /// A vote that is refused is understood to be granted.
    RefusalTakenForVote,
    /// The time of an entry is lost on the way to us.
    LosesTime,
    /// An answer is taken for one to the latest round, though it answers an earlier one.
    AnswersTakenForLatestRound,
}

impl Mistake {
    /// What a raft-rs node said, as one of ours hears it.
    pub(crate) fn distort_ours(self, envelope: &mut Envelope) {
        match (self, &mut envelope.message) {
            (Mistake::RefusalTakenForAcceptance, Message::AppendEntriesResponse(response)) => {
                accept(response);
            }
            (Mistake::RefusalTakenForVote, Message::RequestVoteResponse(response)) => {
                grant(response);
            }
            (Mistake::LosesTime, Message::AppendEntries(append)) => {
                for entry in &mut append.entries {
                    entry.time_ms = 0;
                }
            }
            (
                Mistake::AnswersTakenForLatestRound,
                Message::AppendEntriesResponse(AppendEntriesResponse { round, .. })
                | Message::HeartbeatResponse(HeartbeatResponse { round, .. }),
            ) => *round = Round(u64::MAX),
            _ => {}
        }
    }

    /// What one of our nodes said, as a raft-rs node hears it.
    pub(crate) fn distort_theirs(self, envelope: &mut Envelope) {
        match (self, &mut envelope.message) {
            (Mistake::RefusalTakenForAcceptance, Message::AppendEntriesResponse(response)) => {
                accept(response);
            }
            (Mistake::RefusalTakenForVote, Message::RequestVoteResponse(response)) => {
                grant(response);
            }
            _ => {}
        }
    }
}

fn accept(response: &mut AppendEntriesResponse) {
    if let AppendOutcome::Rejected { prev, .. } = response.outcome {
        response.outcome = AppendOutcome::Accepted { match_index: prev };
    }
}

fn grant(response: &mut RequestVoteResponse) {
    response.granted = true;
}
