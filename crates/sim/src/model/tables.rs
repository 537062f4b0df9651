//! Numbers for nodes and messages, and what each node does with each input.
//!
//! A search meets the same node state in very many states of the whole group. So the production code
//! runs once for each pair of a node state and an input, and its reaction is looked up from then on.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use raft::{AppendOutcome, Entry, Envelope, Message};
use siphasher::sip::SipHasher13;

use crate::model::node::{Facts, Input, Node};
use crate::model::scope::Scope;

/// A hasher for keys that are looked up very often, and come from no adversary.
#[derive(Debug, Default)]
pub(super) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(u64::from(number));
    }

    fn write_u16(&mut self, number: u16) {
        self.write_u64(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0.rotate_left(26) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number.unsigned_abs() as u64);
    }
}

/// The number of a message under way.
pub(super) type MessageId = u16;

/// What the search looks at in a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessageFacts {
    pub(super) from: u8,
    pub(super) to: u8,
    pub(super) term: u8,
    pub(super) says: Says,
}

/// What a message claims, as far as its sender's disk must know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// "I have voted for the receiver."
    Granted,
    /// "I have voted for myself."
    Candidate,
    /// "I hold the log up to here."
    Holds(u8),
    /// "I would vote for the receiver", in a term that the sender is not in.
    WouldGrant,
    /// "Would you vote for me", in a term that the sender is not in.
    WouldCampaign,
    /// Anything else.
    Other,
}

impl MessageFacts {
    fn of(envelope: &Envelope) -> MessageFacts {
        let small = |number: u64| u8::try_from(number).unwrap_or(u8::MAX);
        let says = match &envelope.message {
            Message::RequestVote(_) => Says::Candidate,
            Message::RequestVoteResponse(response) if response.granted => Says::Granted,
            Message::RequestPreVoteResponse(response) if response.granted => Says::WouldGrant,
            Message::RequestPreVote(_) => Says::WouldCampaign,
            Message::AppendEntriesResponse(response) => match response.outcome {
                AppendOutcome::Accepted { match_index } => Says::Holds(small(match_index.0)),
                AppendOutcome::Rejected { .. } => Says::Other,
            },
            _ => Says::Other,
        };
        MessageFacts {
            from: small(envelope.from.0),
            to: small(envelope.to.0),
            term: small(envelope.message.term().0),
            says,
        }
    }
}

/// What a node does with an input.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// The node as it is then.
    pub(super) node: u32,
    pub(super) sent: Vec<MessageId>,
    pub(super) served: Vec<(u8, u8)>,
    pub(super) failed: Vec<u8>,
    pub(super) broken: Option<String>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Tables {
    scope: Scope,
    nodes: Vec<Node>,
    facts: Vec<Facts>,
    node_ids: HashMap<u64, u32, BuildHasherDefault<Mix>>,
    messages: Vec<Envelope>,
    message_facts: Vec<MessageFacts>,
    message_ids: HashMap<Envelope, MessageId>,
    snapshots: Vec<Vec<Entry>>,
    outcomes: Vec<Outcome>,
    reactions: HashMap<(u32, Input), u32, BuildHasherDefault<Mix>>,
}

impl Tables {
    pub(super) fn new(scope: Scope) -> Tables {
        Tables {
            scope,
            nodes: Vec::new(),
            facts: Vec::new(),
            node_ids: HashMap::default(),
            messages: Vec::new(),
            message_facts: Vec::new(),
            message_ids: HashMap::new(),
            snapshots: Vec::new(),
            outcomes: Vec::new(),
            reactions: HashMap::default(),
        }
    }

    pub(super) fn node(&self, node: u32) -> &Node {
        &self.nodes[node as usize]
    }

    pub(super) fn facts(&self, node: u32) -> &Facts {
        &self.facts[node as usize]
    }

    pub(super) fn message(&self, message: MessageId) -> &Envelope {
        &self.messages[usize::from(message)]
    }

    pub(super) fn message_facts(&self, message: MessageId) -> MessageFacts {
        self.message_facts[usize::from(message)]
    }

    pub(super) fn outcome(&self, outcome: u32) -> &Outcome {
        &self.outcomes[outcome as usize]
    }

    /// How many node states there are so far, and how many reactions were computed.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.nodes.len(), self.outcomes.len())
    }

    /// The number of a node's state.
    pub(super) fn number(&mut self, node: Node) -> u32 {
        let mut hasher = SipHasher13::new();
        node.fingerprint(self.scope.resets > 0, &mut hasher);
        let key = hasher.finish();
        if let Some(&known) = self.node_ids.get(&key) {
            return known;
        }
        let number = u32::try_from(self.nodes.len()).expect("fewer node states than memory");
        self.facts.push(Facts::of(&node));
        self.nodes.push(node);
        self.node_ids.insert(key, number);
        number
    }

    fn number_message(&mut self, envelope: Envelope) -> MessageId {
        if let Some(&known) = self.message_ids.get(&envelope) {
            return known;
        }
        let number = MessageId::try_from(self.messages.len())
            .ok()
            .filter(|&number| number < MessageId::MAX)
            .expect("a scope with fewer kinds of messages");
        self.message_facts.push(MessageFacts::of(&envelope));
        self.messages.push(envelope.clone());
        self.message_ids.insert(envelope, number);
        number
    }

    /// The number of a node's snapshot.
    pub(super) fn snapshot(&mut self, node: u32) -> u16 {
        let snapshot = &self.nodes[node as usize].disk.snapshot;
        let known = self.snapshots.iter().position(|known| known == snapshot);
        let number = known.unwrap_or_else(|| {
            self.snapshots.push(snapshot.clone());
            self.snapshots.len() - 1
        });
        u16::try_from(number).expect("a scope with fewer snapshots")
    }

    /// What the node does with the input.
    pub(super) fn react(&mut self, node: u32, input: Input) -> u32 {
        if let Some(&known) = self.reactions.get(&(node, input)) {
            return known;
        }
        let message = match input {
            Input::Deliver(message) => Some(&self.messages[usize::from(message)]),
            _ => None,
        };
        let snapshot = match input {
            Input::Install(snapshot) => self.snapshots.get(usize::from(snapshot)),
            _ => None,
        };
        let snapshot = snapshot.map(Vec::as_slice);
        let reaction = self.nodes[node as usize].react(input, message, snapshot, &self.scope);
        let sent = reaction
            .sent
            .into_iter()
            .map(|envelope| self.number_message(envelope))
            .collect();
        // A replica that has stopped is in no state worth a number.
        let next = match &reaction.broken {
            Some(_) => node,
            None => self.number(reaction.node),
        };
        let number = u32::try_from(self.outcomes.len()).expect("fewer reactions than memory");
        self.outcomes.push(Outcome {
            node: next,
            sent,
            served: reaction.served,
            failed: reaction.failed,
            broken: reaction.broken,
        });
        self.reactions.insert((node, input), number);
        number
    }
}
