//! The words of raft-rs in ours, and back. What the two mean differently, and what becomes of it
//! here, is listed at the top of the test program.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, ClusterId, EntryId, Envelope, GroupId,
    Heartbeat, HeartbeatResponse, LogIndex, Message, NodeId, ReadIndex, ReadIndexResponse,
    RequestPreVote, RequestPreVoteResponse, RequestVote, RequestVoteResponse, Round, Session, Term,
    TimeoutNow,
};
use raft_rs::CAMPAIGN_TRANSFER;
use raft_rs::eraftpb::{self, MessageType};

use crate::bytes_of::{decode, decode_read, decode_round, encode, encode_read, encode_round};
use crate::mistake::Mistake;

/// A message as its sender wrote it.
#[derive(Clone, Debug)]
pub(crate) enum Wire {
    /// One of our nodes wrote it.
    Ours(Envelope),
    /// A raft-rs node wrote it. Its term comes along, because a request for a read index has none.
    Theirs(eraftpb::Message, Term),
}

impl Wire {
    pub(crate) fn from(&self) -> NodeId {
        match self {
            Wire::Ours(envelope) => envelope.from,
            Wire::Theirs(message, _) => NodeId(message.from),
        }
    }

    pub(crate) fn to(&self) -> NodeId {
        match self {
            Wire::Ours(envelope) => envelope.to,
            Wire::Theirs(message, _) => NodeId(message.to),
        }
    }
}

/// The interpreter between the two.
#[derive(Debug)]
pub(crate) struct Translator {
    /// Which of the nodes are raft-rs. Ids up to here are ours, those above are theirs.
    last_of_ours: NodeId,
    /// Names of reads in raft-rs (bytes), by the number they have with us, less one.
    contexts: Vec<Bytes>,
    /// The way back.
    numbers: BTreeMap<Bytes, u64>,
    mistake: Mistake,
}

impl Translator {
    pub(crate) fn new(last_of_ours: NodeId, mistake: Mistake) -> Translator {
        Translator {
            last_of_ours,
            contexts: Vec::new(),
            numbers: BTreeMap::new(),
            mistake,
        }
    }

    fn is_ours(&self, node: NodeId) -> bool {
        node <= self.last_of_ours
    }

    /// What one of our nodes is told. `None` if there is nobody to tell.
    pub(crate) fn for_ours(&mut self, wire: &Wire) -> Result<Option<Envelope>, String> {
        let mut envelope = match wire {
            Wire::Ours(envelope) => return Ok(Some(envelope.clone())),
            Wire::Theirs(message, sender_term) => self.in_our_words(message, *sender_term)?,
        };
        self.mistake.distort_ours(&mut envelope);
        // A raft-rs follower passes a request for a read index on to its leader in the name of the
        // one who asked, which by then may be the leader itself.
        let comes_back = envelope.from == envelope.to;
        Ok(Some(envelope).filter(|_| !comes_back))
    }

    /// What a raft-rs node is told.
    pub(crate) fn for_theirs(&mut self, wire: &Wire) -> eraftpb::Message {
        match wire {
            Wire::Ours(envelope) => {
                let mut envelope = envelope.clone();
                self.mistake.distort_theirs(&mut envelope);
                self.in_their_words(&envelope)
            }
            Wire::Theirs(message, _) => message.clone(),
        }
    }

    /// The number we know a raft-rs read by. Never 0, which stands for none.
    fn number(&mut self, context: &Bytes) -> u64 {
        if context.is_empty() {
            return 0;
        }
        if let Some(&number) = self.numbers.get(context) {
            return number;
        }
        self.contexts.push(context.clone());
        let number = self.contexts.len() as u64;
        self.numbers.insert(context.clone(), number);
        number
    }

    fn context(&self, number: u64) -> Bytes {
        let position = usize::try_from(number).ok().and_then(|n| n.checked_sub(1));
        position
            .and_then(|position| self.contexts.get(position))
            .cloned()
            .unwrap_or_default()
    }

    /// The round in the context of an answer: ours came with a message of ours and are 8 bytes.
    fn round_of(&mut self, context: &Bytes) -> Round {
        Round(decode_round(context).unwrap_or_else(|| self.number(context)))
    }

    fn in_our_words(
        &mut self,
        message: &eraftpb::Message,
        sender_term: Term,
    ) -> Result<Envelope, String> {
        let term = Term(message.term);
        let id = EntryId::new(message.log_term, message.index);
        let granted = !message.reject;
        let said: Message = match message.msg_type {
            MessageType::MsgRequestPreVote => RequestPreVote { term, last: id }.into(),
            MessageType::MsgRequestPreVoteResponse => {
                RequestPreVoteResponse { term, granted }.into()
            }
            MessageType::MsgRequestVote => {
                let transfer = message.context == CAMPAIGN_TRANSFER;
                let last = id;
                RequestVote {
                    term,
                    last,
                    transfer,
                }
                .into()
            }
            MessageType::MsgRequestVoteResponse => RequestVoteResponse { term, granted }.into(),
            MessageType::MsgAppend => AppendEntries {
                session: Session(0),
                term,
                prev: id,
                commit: LogIndex(message.commit),
                round: Round(0),
                entries: message
                    .entries
                    .iter()
                    .map(decode)
                    .collect::<Result<_, _>>()?,
            }
            .into(),
            MessageType::MsgAppendResponse => self.append_response(message),
            MessageType::MsgHeartbeat => Heartbeat {
                session: Session(0),
                term,
                commit: LogIndex(message.commit),
                round: self.round_of(&message.context),
            }
            .into(),
            MessageType::MsgHeartbeatResponse => {
                let round = self.round_of(&message.context);
                HeartbeatResponse {
                    session: Session(0),
                    term,
                    round,
                }
                .into()
            }
            MessageType::MsgReadIndex => {
                let context = read_context(message)?;
                let request = match decode_read(&context) {
                    Some((node, request)) if self.is_ours(node) => request,
                    _ => self.number(&context),
                };
                let term = sender_term;
                ReadIndex { term, request }.into()
            }
            MessageType::MsgReadIndexResp => {
                let context = read_context(message)?;
                let request = decode_read(&context).map_or(0, |(_, request)| request);
                let index = LogIndex(message.index);
                ReadIndexResponse {
                    term,
                    request,
                    index,
                }
                .into()
            }
            MessageType::MsgTimeoutNow => TimeoutNow { term }.into(),
            other => return Err(format!("{other:?} means nothing to us")),
        };
        Ok(Envelope {
            cluster: ClusterId(0),
            group: GroupId(0),
            from: NodeId(message.from),
            to: NodeId(message.to),
            message: said,
        })
    }

    fn append_response(&mut self, message: &eraftpb::Message) -> Message {
        let term = Term(message.term);
        // Not marked as an answer to an append of its term: it was said to a leader of the past,
        // and says only that its term is over.
        let Some(round) = decode_round(&message.context).map(Round) else {
            let round = Round(0);
            return HeartbeatResponse {
                session: Session(0),
                term,
                round,
            }
            .into();
        };
        let outcome = if message.reject {
            AppendOutcome::Rejected {
                prev: LogIndex(message.index),
                hint: EntryId::new(message.log_term, message.reject_hint),
            }
        } else {
            AppendOutcome::Accepted {
                match_index: LogIndex(message.index),
            }
        };
        AppendEntriesResponse {
            session: Session(0),
            term,
            round,
            outcome,
        }
        .into()
    }

    fn in_their_words(&self, envelope: &Envelope) -> eraftpb::Message {
        let mut message = eraftpb::Message {
            from: envelope.from.0,
            to: envelope.to.0,
            term: envelope.message.term().0,
            ..eraftpb::Message::default()
        };
        message.msg_type = match &envelope.message {
            Message::RequestPreVote(RequestPreVote { last, .. }) => {
                set_id(&mut message, *last);
                MessageType::MsgRequestPreVote
            }
            Message::RequestPreVoteResponse(response) => {
                message.reject = !response.granted;
                MessageType::MsgRequestPreVoteResponse
            }
            Message::RequestVote(RequestVote { last, transfer, .. }) => {
                set_id(&mut message, *last);
                if *transfer {
                    message.context = Bytes::from_static(CAMPAIGN_TRANSFER);
                }
                MessageType::MsgRequestVote
            }
            Message::RequestVoteResponse(response) => {
                message.reject = !response.granted;
                MessageType::MsgRequestVoteResponse
            }
            Message::AppendEntries(append) => {
                set_id(&mut message, append.prev);
                message.commit = append.commit.0;
                message.context = encode_round(append.round);
                message.entries = append.entries.iter().map(encode).collect::<Vec<_>>().into();
                MessageType::MsgAppend
            }
            Message::AppendEntriesResponse(response) => {
                match response.outcome {
                    AppendOutcome::Accepted { match_index } => message.index = match_index.0,
                    AppendOutcome::Rejected { prev, hint } => {
                        message.reject = true;
                        message.index = prev.0;
                        message.reject_hint = hint.index.0;
                        message.log_term = hint.term.0;
                    }
                }
                MessageType::MsgAppendResponse
            }
            Message::Heartbeat(heartbeat) => {
                message.commit = heartbeat.commit.0;
                message.context = encode_round(heartbeat.round);
                MessageType::MsgHeartbeat
            }
            Message::HeartbeatResponse(response) => {
                message.context = self.context(response.round.0);
                MessageType::MsgHeartbeatResponse
            }
            Message::ReadIndex(read) => {
                message.term = 0;
                let context = encode_read(envelope.from, read.request);
                set_read_context(&mut message, context);
                MessageType::MsgReadIndex
            }
            Message::ReadIndexResponse(response) => {
                message.index = response.index.0;
                let context = self.context(response.request);
                set_read_context(&mut message, context);
                MessageType::MsgReadIndexResp
            }
            Message::TimeoutNow(_) => MessageType::MsgTimeoutNow,
        };
        message
    }
}

fn set_id(message: &mut eraftpb::Message, id: EntryId) {
    message.log_term = id.term.0;
    message.index = id.index.0;
}

fn set_read_context(message: &mut eraftpb::Message, context: Bytes) {
    let entry = eraftpb::Entry {
        data: context,
        ..eraftpb::Entry::default()
    };
    message.entries = vec![entry].into();
}

fn read_context(message: &eraftpb::Message) -> Result<Bytes, String> {
    match &*message.entries {
        [entry] => Ok(entry.data.clone()),
        entries => Err(format!("a read with {} contexts", entries.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: NodeId = NodeId(1);
    const THEIRS: NodeId = NodeId(2);

    fn translator() -> Translator {
        Translator::new(OURS, Mistake::None)
    }

    fn round_trip(message: Message) -> Message {
        let envelope = Envelope {
            cluster: ClusterId(0),
            group: GroupId(0),
            from: OURS,
            to: THEIRS,
            message,
        };
        let mut translator = translator();
        let theirs = translator.for_theirs(&Wire::Ours(envelope));
        let back = translator.in_our_words(&theirs, Term(3));
        back.expect("our own words").message
    }

    #[test]
    fn what_both_can_say_comes_back_as_it_was() {
        let term = Term(3);
        let last = EntryId::new(2, 9);
        let messages: Vec<Message> = vec![
            RequestPreVote { term, last }.into(),
            RequestPreVoteResponse {
                term,
                granted: true,
            }
            .into(),
            RequestVote {
                term,
                last,
                transfer: true,
            }
            .into(),
            RequestVote {
                term,
                last,
                transfer: false,
            }
            .into(),
            RequestVoteResponse {
                term,
                granted: false,
            }
            .into(),
            Heartbeat {
                session: Session(0),
                term,
                commit: LogIndex(4),
                round: Round(7),
            }
            .into(),
            ReadIndex { term, request: 11 }.into(),
            TimeoutNow { term }.into(),
        ];
        for message in messages {
            assert_eq!(round_trip(message.clone()), message);
        }
    }

    #[test]
    fn an_answer_to_a_leader_of_the_past_acknowledges_nothing() {
        let answer = eraftpb::Message {
            msg_type: MessageType::MsgAppendResponse,
            term: 9,
            ..eraftpb::Message::default()
        };
        let said = translator()
            .in_our_words(&answer, Term(9))
            .expect("known words");
        let round = Round(0);
        assert_eq!(
            said.message,
            HeartbeatResponse {
                session: Session(0),
                term: Term(9),
                round
            }
            .into()
        );
    }

    #[test]
    fn reads_keep_their_names_on_the_way_there_and_back() {
        let mut translator = translator();
        let context = encode_read(THEIRS, 5);
        let mut heartbeat = eraftpb::Message {
            msg_type: MessageType::MsgHeartbeat,
            context: context.clone(),
            ..eraftpb::Message::default()
        };
        let said = translator
            .in_our_words(&heartbeat, Term(1))
            .expect("known words");
        let Message::Heartbeat(Heartbeat { term, round, .. }) = said.message else {
            panic!("{said:?}");
        };
        let echo = HeartbeatResponse {
            session: Session(0),
            term,
            round,
        }
        .into();
        let echo = translator.in_their_words(&Envelope {
            message: echo,
            ..said
        });
        assert_eq!(echo.context, context);

        heartbeat.msg_type = MessageType::MsgReadIndex;
        set_read_context(&mut heartbeat, context.clone());
        let said = translator
            .in_our_words(&heartbeat, Term(1))
            .expect("known words");
        let Message::ReadIndex(ReadIndex { request, .. }) = said.message else {
            panic!("{said:?}");
        };
        let index = LogIndex(8);
        let answer = ReadIndexResponse {
            term,
            request,
            index,
        }
        .into();
        let answer = translator.in_their_words(&Envelope {
            message: answer,
            ..said
        });
        assert_eq!(read_context(&answer), Ok(context));
    }
}
