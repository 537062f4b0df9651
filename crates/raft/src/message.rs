//! What nodes say to each other: one struct a kind, by the paper's names, own fields only.
//!
//! Every kind has a `term`. Except where its documentation says otherwise, it is the sender's
//! current term, and a receiver with a lower one adopts it (paper, section 5.1).

use std::fmt;

use crate::conf_change::ConfChange;
use crate::error::StepError;
use crate::types::{
    ClusterId, Entry, EntryId, EntryKind, GroupId, LogIndex, NodeId, Round, Session, Term,
};

/// A message with its address. Cluster and group are part of it, so that a message that strays
/// into another cluster is refused and not believed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Envelope {
    /// The cluster of sender and receiver.
    pub cluster: ClusterId,
    /// The group of sender and receiver.
    pub group: GroupId,
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// What is said.
    pub message: Message,
}

/// The kinds of messages.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is documented at its struct")]
pub enum Message {
    RequestPreVote(RequestPreVote),
    RequestPreVoteResponse(RequestPreVoteResponse),
    RequestVote(RequestVote),
    RequestVoteResponse(RequestVoteResponse),
    AppendEntries(AppendEntries),
    AppendEntriesResponse(AppendEntriesResponse),
    Heartbeat(Heartbeat),
    HeartbeatResponse(HeartbeatResponse),
    ReadIndex(ReadIndex),
    ReadIndexResponse(ReadIndexResponse),
    TimeoutNow(TimeoutNow),
}

impl Message {
    /// The term the message names.
    pub fn term(&self) -> Term {
        match self {
            Message::RequestPreVote(message) => message.term,
            Message::RequestPreVoteResponse(message) => message.term,
            Message::RequestVote(message) => message.term,
            Message::RequestVoteResponse(message) => message.term,
            Message::AppendEntries(message) => message.term,
            Message::AppendEntriesResponse(message) => message.term,
            Message::Heartbeat(message) => message.term,
            Message::HeartbeatResponse(message) => message.term,
            Message::ReadIndex(message) => message.term,
            Message::ReadIndexResponse(message) => message.term,
            Message::TimeoutNow(message) => message.term,
        }
    }

    /// The name of the kind.
    fn kind(&self) -> &'static str {
        match self {
            Message::RequestPreVote(_) => "RequestPreVote",
            Message::RequestPreVoteResponse(_) => "RequestPreVoteResponse",
            Message::RequestVote(_) => "RequestVote",
            Message::RequestVoteResponse(_) => "RequestVoteResponse",
            Message::AppendEntries(_) => "AppendEntries",
            Message::AppendEntriesResponse(_) => "AppendEntriesResponse",
            Message::Heartbeat(_) => "Heartbeat",
            Message::HeartbeatResponse(_) => "HeartbeatResponse",
            Message::ReadIndex(_) => "ReadIndex",
            Message::ReadIndexResponse(_) => "ReadIndexResponse",
            Message::TimeoutNow(_) => "TimeoutNow",
        }
    }

    /// The highest term and the highest index anywhere in the message, apart from entries (which
    /// [`AppendEntries::validate`] holds to what is around them).
    pub(crate) fn highest_claim(&self) -> EntryId {
        let term = self.term();
        match self {
            Message::RequestPreVote(RequestPreVote { last, .. })
            | Message::RequestVote(RequestVote { last, .. }) => EntryId {
                term: term.max(last.term),
                index: last.index,
            },
            Message::AppendEntries(AppendEntries { prev, commit, .. }) => EntryId {
                term: term.max(prev.term),
                index: prev.index.max(*commit),
            },
            Message::AppendEntriesResponse(AppendEntriesResponse { outcome, .. }) => {
                match outcome {
                    AppendOutcome::Accepted { match_index } => EntryId {
                        term,
                        index: *match_index,
                    },
                    AppendOutcome::Rejected { prev, hint } => EntryId {
                        term: term.max(hint.term),
                        index: hint.index.max(*prev),
                    },
                }
            }
            Message::Heartbeat(Heartbeat { commit, .. }) => EntryId {
                term,
                index: *commit,
            },
            Message::ReadIndexResponse(ReadIndexResponse { index, .. }) => EntryId {
                term,
                index: *index,
            },
            Message::RequestPreVoteResponse(_)
            | Message::RequestVoteResponse(_)
            | Message::HeartbeatResponse(_)
            | Message::ReadIndex(_)
            | Message::TimeoutNow(_) => EntryId {
                term,
                index: LogIndex(0),
            },
        }
    }

    /// The session that is answered, if this is an answer to a leader.
    pub(crate) fn answered_session(&self) -> Option<Session> {
        match self {
            Message::AppendEntriesResponse(response) => Some(response.session),
            Message::HeartbeatResponse(response) => Some(response.session),
            _ => None,
        }
    }

    /// The session of a leader's message, or of the answer to one.
    fn session(&self) -> Session {
        match self {
            Message::AppendEntries(append) => append.session,
            Message::Heartbeat(heartbeat) => heartbeat.session,
            _ => self.answered_session().unwrap_or_default(),
        }
    }

    /// Whether only the leader of the message's term can have sent it.
    pub fn is_from_leader(&self) -> bool {
        matches!(
            self,
            Message::AppendEntries(_)
                | Message::Heartbeat(_)
                | Message::ReadIndexResponse(_)
                | Message::TimeoutNow(_)
        )
    }
}

/// "Could I win an election?" (thesis, section 9.6). Changes nothing at the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestPreVote {
    /// The term the sender would campaign in: its own plus one. Not adopted by the receiver.
    pub term: Term,
    /// The last entry of the sender's log.
    pub last: EntryId,
}

/// The answer to [`RequestPreVote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestPreVoteResponse {
    /// If granted, the term that was asked for; if not, the voter's own, so that a sender that has
    /// fallen behind learns it (etcd issue 8243).
    pub term: Term,
    /// Whether the sender would vote for the receiver.
    pub granted: bool,
}

/// "Vote for me" (paper, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestVote {
    /// The candidate's term.
    pub term: Term,
    /// The last entry of the candidate's log.
    pub last: EntryId,
    /// The leader itself asked for this election, so its being alive is no reason to refuse
    /// (thesis, section 4.2.3).
    pub transfer: bool,
}

/// The answer to [`RequestVote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestVoteResponse {
    /// The voter's term.
    pub term: Term,
    /// Whether the receiver has the vote.
    pub granted: bool,
}

/// Replicates entries, and says how far the log is committed (paper, section 5.3). Without entries
/// it probes, or brings only news of the commit index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AppendEntries {
    /// The leader's term.
    pub term: Term,
    /// The entry before `entries`.
    pub prev: EntryId,
    /// The leader's commit index. The receiver takes it only as far as this message reaches.
    pub commit: LogIndex,
    /// The round this message belongs to.
    pub round: Round,
    /// The session of the receiver with the leader.
    pub session: Session,
    /// Entries at consecutive positions after `prev`.
    pub entries: Vec<Entry>,
}

impl AppendEntries {
    /// Checks that the entries follow `prev` without a gap, in terms that never fall and are not
    /// above the message's own: what every log looks like, whoever wrote it. And that changes of
    /// members can be read, because they are in force as soon as they are taken.
    pub(crate) fn validate(&self) -> Result<(), StepError> {
        let mut previous = self.prev;
        if previous.term > self.term {
            return Err(StepError::MalformedAppend {
                term: self.term,
                previous,
                found: previous,
            });
        }
        for entry in &self.entries {
            let found = entry.id;
            let follows = found.index == previous.index.next()
                && found.term >= previous.term
                && found.term <= self.term
                && found.term > Term(0);
            if !follows {
                return Err(StepError::MalformedAppend {
                    term: self.term,
                    previous,
                    found,
                });
            }
            if entry.kind == EntryKind::Membership
                && let Err(reason) = ConfChange::decode(&entry.payload)
            {
                return Err(StepError::BadMembership {
                    entry: found,
                    reason,
                });
            }
            previous = found;
        }
        Ok(())
    }
}

/// The answer to [`AppendEntries`]. An acceptance leaves only when what it claims is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AppendEntriesResponse {
    /// The follower's term.
    pub term: Term,
    /// The round of the message that is answered.
    pub round: Round,
    /// The session that message named.
    pub session: Session,
    /// What became of it.
    pub outcome: AppendOutcome,
}

/// What became of an [`AppendEntries`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AppendOutcome {
    /// The follower's log equals the leader's up to here, durably.
    Accepted {
        /// The position up to which the logs are equal.
        match_index: LogIndex,
    },
    /// The follower's log has another entry, or none, at `prev`.
    Rejected {
        /// The index of the `prev` that was refused, which tells the leader what is answered.
        prev: LogIndex,
        /// The follower's best guess where the logs might meet: its last entry at or below `prev`
        /// whose term is not above that of `prev`. One refusal skips a whole term, as in the
        /// closing remark of paper section 5.3.
        hint: EntryId,
    },
}

/// "I am still the leader" (paper, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Heartbeat {
    /// The leader's term.
    pub term: Term,
    /// The commit index, at most what the receiver is known to hold: a heartbeat checks no entry,
    /// so it may not commit one that was not checked before.
    pub commit: LogIndex,
    /// The round this message belongs to.
    pub round: Round,
    /// The session of the receiver with the leader.
    pub session: Session,
}

/// The answer to [`Heartbeat`]; also sent ahead of an [`AppendEntriesResponse`] that waits for the
/// disk while the leader waits for the round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HeartbeatResponse {
    /// The follower's term.
    pub term: Term,
    /// The round of the message that is answered.
    pub round: Round,
    /// The session that message named.
    pub session: Session,
}

/// A follower asks for a read index (thesis, section 6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadIndex {
    /// The follower's term.
    pub term: Term,
    /// Names the request to the one who asks.
    pub request: u64,
}

/// The leader's answer to [`ReadIndex`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadIndexResponse {
    /// The leader's term.
    pub term: Term,
    /// The request that is answered.
    pub request: u64,
    /// State that has applied this position is recent enough for every read that began before the
    /// request was sent.
    pub index: LogIndex,
}

/// The leader hands over: start an election now (thesis, section 3.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeoutNow {
    /// The leader's term.
    pub term: Term,
}

macro_rules! into_message {
    ($($kind:ident),*) => {
        $(impl From<$kind> for Message {
            fn from(message: $kind) -> Message {
                Message::$kind(message)
            }
        })*
    };
}

into_message!(
    RequestPreVote,
    RequestPreVoteResponse,
    RequestVote,
    RequestVoteResponse,
    AppendEntries,
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    ReadIndex,
    ReadIndexResponse,
    TimeoutNow
);

impl fmt::Display for Envelope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}->{} {}", self.from, self.to, self.message)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind(), self.term())?;
        if self.session() != Session(0) {
            write!(formatter, " session={}", self.session().0)?;
        }
        match self {
            Message::RequestPreVote(RequestPreVote { last, .. }) => {
                write!(formatter, " last={last}")
            }
            Message::RequestVote(RequestVote { last, transfer, .. }) => {
                let transfer = if *transfer { " transfer" } else { "" };
                write!(formatter, " last={last}{transfer}")
            }
            Message::RequestPreVoteResponse(RequestPreVoteResponse { granted, .. })
            | Message::RequestVoteResponse(RequestVoteResponse { granted, .. }) => {
                formatter.write_str(if *granted { " granted" } else { " refused" })
            }
            Message::AppendEntries(append) => {
                let AppendEntries { prev, commit, .. } = append;
                let round = append.round.0;
                write!(formatter, " prev={prev} commit={commit} round={round}")?;
                write_entries(formatter, &append.entries)
            }
            Message::AppendEntriesResponse(AppendEntriesResponse { round, outcome, .. }) => {
                write!(formatter, " round={}", round.0)?;
                match outcome {
                    AppendOutcome::Accepted { match_index } => {
                        write!(formatter, " match={match_index}")
                    }
                    AppendOutcome::Rejected { prev, hint } => {
                        write!(formatter, " rejected prev={prev} hint={hint}")
                    }
                }
            }
            Message::Heartbeat(Heartbeat { commit, round, .. }) => {
                write!(formatter, " commit={commit} round={}", round.0)
            }
            Message::HeartbeatResponse(HeartbeatResponse { round, .. }) => {
                write!(formatter, " round={}", round.0)
            }
            Message::ReadIndex(ReadIndex { request, .. }) => {
                write!(formatter, " request={request}")
            }
            Message::ReadIndexResponse(ReadIndexResponse { request, index, .. }) => {
                write!(formatter, " request={request} index={index}")
            }
            Message::TimeoutNow(_) => Ok(()),
        }
    }
}

/// One entry by its id, several by the ids of the first and the last.
fn write_entries(formatter: &mut fmt::Formatter<'_>, entries: &[Entry]) -> fmt::Result {
    match entries {
        [] => Ok(()),
        [only] => write!(formatter, " entries=[{}]", only.id),
        [first, .., last] => write!(formatter, " entries=[{}..{}]", first.id, last.id),
    }
}
