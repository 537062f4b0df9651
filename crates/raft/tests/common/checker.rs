//! What must hold for the group as a whole, checked as things happen. The names are those of the
//! paper's figure 3, and of the invariants of the Raft proof.

use std::collections::{BTreeMap, BTreeSet};

use raft::{
    AppendOutcome, ConfState, Entry, EntryId, Envelope, LogIndex, Message, NodeId, ReadToken, Term,
};

use super::Node;
use super::disk::{Durable, confs_of};

#[derive(Debug)]
pub(crate) struct Checker {
    /// What the group is born with.
    conf: ConfState,
    leaders: BTreeMap<Term, NodeId>,
    /// Who got a node's vote in a term, from the messages that left it.
    votes: BTreeMap<(NodeId, Term), NodeId>,
    /// The highest term a node has named in a message, across its restarts.
    terms: BTreeMap<NodeId, Term>,
    /// Every entry there ever was.
    entries: BTreeMap<EntryId, Entry>,
    /// What was committed, by its index less one.
    pub(crate) committed: Vec<Entry>,
    /// Reads under way, and what was acknowledged to anybody when they began.
    reads: BTreeMap<(NodeId, ReadToken), LogIndex>,
}

impl Checker {
    pub(crate) fn new(voters: impl IntoIterator<Item = NodeId>) -> Checker {
        Checker {
            conf: ConfState::of_voters(voters),
            leaders: BTreeMap::new(),
            votes: BTreeMap::new(),
            terms: BTreeMap::new(),
            entries: BTreeMap::new(),
            committed: Vec::new(),
            reads: BTreeMap::new(),
        }
    }

    /// Election Safety: at most one leader in a term. Leader Completeness: it has all that was
    /// committed.
    pub(crate) fn leader_elected(&mut self, id: NodeId, term: Term, node: &Node) {
        let leader = *self.leaders.entry(term).or_insert(id);
        assert_eq!(leader, id, "two leaders in {term}");
        for committed in &self.committed {
            let index = usize::try_from(committed.id.index.0 - 1).expect("a short log");
            let held = match committed.id.index > node.log.base.index {
                true => node.log.id(committed.id.index),
                false => node.applied.get(index).map(|entry| entry.id),
            };
            assert_eq!(
                held,
                Some(committed.id),
                "leader {id} of {term} lacks what is committed"
            );
        }
    }

    /// Log Matching: an entry with an id is the same everywhere.
    pub(crate) fn written(&mut self, entries: &[Entry]) {
        for entry in entries {
            let known = self
                .entries
                .entry(entry.id)
                .or_insert_with(|| entry.clone());
            assert_eq!(known, entry, "two entries with one id");
        }
    }

    /// The entry with this id, if there ever was one.
    pub(crate) fn entry(&self, id: EntryId) -> Option<Entry> {
        self.entries.get(&id).cloned()
    }

    /// No message claims what is not durable; one vote a term; terms never fall.
    pub(crate) fn sent(&mut self, envelope: &Envelope, durable: &Durable) {
        let (from, term) = (envelope.from, envelope.message.term());
        let is_about_next_term = match &envelope.message {
            Message::RequestPreVote(_) => true,
            Message::RequestPreVoteResponse(response) => response.granted,
            _ => false,
        };
        if !is_about_next_term {
            let state = durable.hard_state;
            assert!(
                term <= state.term,
                "{envelope} leaves, but only {state:?} is durable"
            );
            let highest = self.terms.entry(from).or_insert(term);
            *highest = term.max(*highest);
        }
        let vote = match &envelope.message {
            Message::RequestVote(_) => Some(from),
            Message::RequestVoteResponse(response) if response.granted => Some(envelope.to),
            _ => None,
        };
        if let Some(vote) = vote {
            let voted = *self.votes.entry((from, term)).or_insert(vote);
            assert_eq!(voted, vote, "{from} votes twice in {term}");
            // A write that was posted earlier may have left the term since; it is not undone.
            let state = durable.hard_state;
            let is_durable = state.term > term || state.vote == Some(vote);
            assert!(
                is_durable,
                "{envelope} leaves, but only {state:?} is durable"
            );
        }
        if let Message::AppendEntriesResponse(response) = &envelope.message
            && let AppendOutcome::Accepted { match_index } = response.outcome
        {
            assert!(
                match_index <= durable.last().index || durable.hard_state.term > term,
                "{envelope} leaves, but the disk ends with {}",
                durable.last()
            );
        }
    }

    /// Whether a quorum of some configuration that is in force at the entry or behind it, in
    /// anybody's log, holds the entry: one of them it was committed by.
    fn is_held(&self, id: EntryId, nodes: &BTreeMap<NodeId, Node>) -> bool {
        let is_majority = |voters: &BTreeSet<NodeId>| {
            let holds = |voter: &&NodeId| nodes[voter].durable.contains(id);
            voters.is_empty() || 2 * voters.iter().filter(holds).count() > voters.len()
        };
        let is_quorum =
            |conf: &ConfState| is_majority(&conf.voters) && is_majority(&conf.voters_outgoing);
        nodes.values().any(|node| {
            let base = usize::try_from(node.log.base.index.0).expect("a short log");
            let replaced = self.committed.get(..base).unwrap_or_default();
            let at_base = confs_of(replaced).last().map(|(_, conf)| conf);
            let mut conf = at_base.unwrap_or_else(|| self.conf.clone());
            for (index, next) in confs_of(&node.log.entries) {
                if index > id.index && is_quorum(&conf) {
                    return true;
                }
                conf = next;
            }
            is_quorum(&conf)
        })
    }

    /// State Machine Safety, in order and without gaps; and what is committed is on the disks of a
    /// majority when it is first applied.
    pub(crate) fn applied(
        &mut self,
        id: NodeId,
        applied: &[Entry],
        nodes: &BTreeMap<NodeId, Node>,
    ) {
        let next = nodes[&id].applied.len() as u64 + 1;
        for (expected, entry) in (next..).zip(applied) {
            assert_eq!(entry.id.index.0, expected, "{id} applies out of order");
            let position = usize::try_from(entry.id.index.0 - 1).expect("a short log");
            if let Some(committed) = self.committed.get(position) {
                assert_eq!(committed, entry, "{id} applies something else");
                continue;
            }
            assert!(
                self.is_held(entry.id, nodes),
                "{id} applies {}, which too few disks hold",
                entry.id
            );
            self.committed.push(entry.clone());
        }
    }

    /// State Machine Safety holds for a state that is taken over, too.
    pub(crate) fn installed(&self, id: NodeId, state: &[Entry]) {
        let committed = self.committed.get(..state.len());
        assert_eq!(committed, Some(state), "{id} takes over another state");
    }

    pub(crate) fn read_begins(&mut self, id: NodeId, token: ReadToken) {
        self.reads
            .insert((id, token), LogIndex(self.committed.len() as u64));
    }

    /// Linearizability: a read sees all that was acknowledged before it began.
    pub(crate) fn read_answered(&mut self, id: NodeId, token: ReadToken, index: LogIndex) {
        let least = self
            .reads
            .remove(&(id, token))
            .expect("a read that was asked for, once");
        assert!(
            index >= least,
            "{id} serves {token:?} at {index}, {least} was acknowledged"
        );
    }
}
