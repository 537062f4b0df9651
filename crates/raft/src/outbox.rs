//! Messages on their way out.

use crate::message::{AppendEntriesResponse, AppendOutcome, Envelope, Message};
use crate::types::{ClusterId, GroupId, NodeId};

/// Messages said since the last drain. Which of them may leave at once, and which wait for the
/// disk, is decided there and nowhere else (`drain`).
#[derive(Clone, Debug, Hash)]
pub(crate) struct Outbox {
    cluster: ClusterId,
    group: GroupId,
    from: NodeId,
    pub(crate) envelopes: Vec<Envelope>,
}

impl Outbox {
    pub(crate) fn new(cluster: ClusterId, group: GroupId, from: NodeId) -> Outbox {
        Outbox {
            cluster,
            group,
            from,
            envelopes: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, to: NodeId, message: impl Into<Message>) {
        let Outbox {
            cluster,
            group,
            from,
            ..
        } = *self;
        let message = message.into();
        self.envelopes.push(Envelope {
            cluster,
            group,
            from,
            to,
            message,
        });
    }

    /// Sends an acceptance. One that follows another directly takes its place: it says more.
    pub(crate) fn send_acceptance(&mut self, to: NodeId, response: AppendEntriesResponse) {
        if let Some(Envelope {
            to: last_to,
            message:
                Message::AppendEntriesResponse(AppendEntriesResponse {
                    term,
                    round,
                    session,
                    outcome: AppendOutcome::Accepted { match_index },
                }),
            ..
        }) = self.envelopes.last_mut()
            && let AppendOutcome::Accepted {
                match_index: later_match,
            } = response.outcome
            && *last_to == to
            && *term == response.term
            && *session == response.session
        {
            *round = response.round.max(*round);
            *match_index = later_match.max(*match_index);
            return;
        }
        self.send(to, response);
    }
}
