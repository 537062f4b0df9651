//! What must hold in the group as a whole, whoever has written its members. Each check says what
//! it is called in the paper's figure 3, as far as it has a name there.

use std::collections::BTreeMap;

use raft::{AppendOutcome, Entry, EntryId, Envelope, LogIndex, Message, NodeId, Term};

use crate::disk::{Disk, Durable, entry_at};

/// What broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) property: &'static str,
    pub(crate) detail: String,
}

pub(crate) fn violation(property: &'static str, detail: String) -> Violation {
    Violation { property, detail }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    /// Whether what messages claim is compared with the disks.
    looks_at_claims: bool,
    leaders: BTreeMap<Term, NodeId>,
    /// Who got a node's vote in a term, from the messages that left it.
    votes: BTreeMap<(NodeId, Term), NodeId>,
    /// Every entry there ever was, and the one before it.
    entries: BTreeMap<EntryId, (Entry, EntryId)>,
    /// What was applied anywhere, by its index less one.
    pub(crate) committed: Vec<Entry>,
    /// By the same position, a term by which it was committed: that of who applied it first.
    committed_by: Vec<Term>,
    /// Reads under way, and what was committed when they began.
    reads: BTreeMap<u64, LogIndex>,
}

impl Checker {
    /// Without `looks_at_claims`, messages may claim what they like, and only what comes of it
    /// shows.
    pub(crate) fn new(looks_at_claims: bool) -> Checker {
        Checker {
            looks_at_claims,
            ..Checker::default()
        }
    }

    /// Election Safety: at most one leader in a term. Leader Completeness: it has all that was
    /// committed in earlier terms. (Late votes may elect it when a later term has begun: of what that
    /// one commits it knows nothing.) Returns whether it was not known to lead.
    pub(crate) fn leads(
        &mut self,
        node: NodeId,
        term: Term,
        disk: &Disk,
    ) -> Result<bool, Violation> {
        let mut is_news = false;
        let leader = *self.leaders.entry(term).or_insert_with(|| {
            is_news = true;
            node
        });
        if leader != node {
            let detail = format!("both {leader} and {node} lead {term}");
            return Err(violation("election safety", detail));
        }
        if is_news {
            let held = |entry: &&Entry| entry_at(&disk.log, entry.id.index) == Some(*entry);
            let due = self.committed.iter().zip(&self.committed_by);
            let mut due = due.filter(|&(_, &by)| by < term).map(|(entry, _)| entry);
            if let Some(missing) = due.find(|entry| !held(entry)) {
                let detail = format!("{node} leads {term} without {}", missing.id);
                return Err(violation("leader completeness", detail));
            }
        }
        Ok(is_news)
    }

    /// Log Matching: an entry with an id is the same everywhere, and so is the one before it, hence
    /// all before it.
    pub(crate) fn written(
        &mut self,
        node: NodeId,
        before: EntryId,
        entries: &[Entry],
    ) -> Result<(), Violation> {
        let mut before = before;
        for entry in entries {
            let found = (entry.clone(), before);
            let known = self
                .entries
                .entry(entry.id)
                .or_insert_with(|| found.clone());
            if *known != found {
                let detail = format!("{node} writes {found:?}, elsewhere it is {known:?}");
                return Err(violation("log matching", detail));
            }
            before = entry.id;
        }
        Ok(())
    }

    /// No message claims what is not durable; a node votes once in a term.
    pub(crate) fn sent(&mut self, envelope: &Envelope, durable: &Durable) -> Result<(), Violation> {
        if !self.looks_at_claims {
            return Ok(());
        }
        let (from, term) = (envelope.from, envelope.message.term());
        let state = durable.hard_state;
        let unfounded = || {
            let last = durable.last();
            let detail = format!("{envelope} leaves; durable are {state:?} and a log up to {last}");
            Err(violation("claims are durable", detail))
        };
        let is_about_next_term = match &envelope.message {
            // The latter may be passed on in the name of another node.
            Message::RequestPreVote(_) | Message::ReadIndex(_) => true,
            Message::RequestPreVoteResponse(response) => response.granted,
            _ => false,
        };
        if !is_about_next_term && term > state.term {
            return unfounded();
        }
        let vote = match &envelope.message {
            Message::RequestVote(_) => Some(from),
            Message::RequestVoteResponse(response) if response.granted => Some(envelope.to),
            _ => None,
        };
        if let Some(vote) = vote {
            let voted = *self.votes.entry((from, term)).or_insert(vote);
            if voted != vote {
                let detail = format!("{from} votes for {voted} and {vote} in {term}");
                return Err(violation("one vote a term", detail));
            }
            // A write that was posted earlier may have left the term since; it is not undone.
            if state.term == term && state.vote != Some(vote) {
                return unfounded();
            }
        }
        if let Message::AppendEntriesResponse(response) = &envelope.message
            && let AppendOutcome::Accepted { match_index } = response.outcome
            && match_index > durable.last().index
            && state.term == term
        {
            return unfounded();
        }
        Ok(())
    }

    /// State Machine Safety, in order and without gaps; and what is committed is durable on a
    /// majority when it is first applied. The node is in `term`, and has applied `before` entries.
    pub(crate) fn applied<'a>(
        &mut self,
        node: NodeId,
        term: Term,
        before: u64,
        applied: &[Entry],
        disks: impl Iterator<Item = &'a Disk> + Clone,
    ) -> Result<(), Violation> {
        for (expected, entry) in (before + 1..).zip(applied) {
            if entry.id.index.0 != expected {
                let detail = format!("{node} applies {} where {expected} is next", entry.id);
                return Err(violation("applied in order", detail));
            }
            if let Some(committed) = entry_at(&self.committed, entry.id.index) {
                if committed != entry {
                    let detail = format!("{node} applies {entry:?}, others {committed:?}");
                    return Err(violation("state machine safety", detail));
                }
                continue;
            }
            let holders = disks
                .clone()
                .filter(|disk| disk.durable.contains(entry.id))
                .count();
            if self.looks_at_claims && holders <= disks.clone().count() / 2 {
                let detail = format!("{node} applies {}, which {holders} disks hold", entry.id);
                return Err(violation("committed is durable", detail));
            }
            self.committed.push(entry.clone());
            self.committed_by.push(term);
        }
        Ok(())
    }

    pub(crate) fn read_begins(&mut self, token: u64) {
        self.reads
            .insert(token, LogIndex(self.committed.len() as u64));
    }

    /// Linearizable reads: one sees all that was committed before it began.
    pub(crate) fn read_served(&mut self, token: u64, index: LogIndex) -> Result<(), Violation> {
        match self.reads.remove(&token) {
            Some(least) if index < least => {
                let detail = format!("read {token} is served at {index}, not {least} or later");
                Err(violation("reads are fresh", detail))
            }
            Some(_) => Ok(()),
            // A duplicate of the answer: raft-rs does not remember what it has asked.
            None => Ok(()),
        }
    }

    /// Whether the read was served.
    pub(crate) fn is_served(&self, token: u64) -> bool {
        !self.reads.contains_key(&token)
    }
}

#[cfg(test)]
mod tests {
    use raft::{
        AppendEntriesResponse, ClusterId, EntryKind, GroupId, HardState, RequestVoteResponse,
        Round, Session,
    };

    use super::*;

    const NODE: NodeId = NodeId(1);
    const OTHER: NodeId = NodeId(2);

    fn entry(term: u64, index: u64) -> Entry {
        Entry {
            id: EntryId::new(term, index),
            kind: EntryKind::Batch,
            time_ms: 0,
            payload: bytes::Bytes::new(),
        }
    }

    fn disk(entries: Vec<Entry>) -> Disk {
        let mut disk = Disk::default();
        disk.log.clone_from(&entries);
        disk.durable.entries = entries;
        disk
    }

    fn says(message: impl Into<Message>) -> Envelope {
        Envelope {
            cluster: ClusterId(0),
            group: GroupId(0),
            from: NODE,
            to: OTHER,
            message: message.into(),
        }
    }

    fn broken<T: std::fmt::Debug>(result: Result<T, Violation>) -> &'static str {
        result.map_or_else(|violation| violation.property, |_| "nothing")
    }

    #[test]
    fn two_leaders_of_a_term_are_found() {
        let mut checker = Checker::new(true);
        let empty = Disk::default();
        assert_eq!(checker.leads(NODE, Term(2), &empty), Ok(true));
        assert_eq!(checker.leads(NODE, Term(2), &empty), Ok(false));
        assert_eq!(checker.leads(OTHER, Term(3), &empty), Ok(true));
        assert_eq!(
            broken(checker.leads(OTHER, Term(2), &empty)),
            "election safety"
        );
    }

    #[test]
    fn a_leader_that_lacks_what_is_committed_is_found() {
        let mut checker = Checker::new(true);
        let full = disk(vec![entry(1, 1)]);
        checker
            .applied(NODE, Term(1), 0, &[entry(1, 1)], [&full, &full].into_iter())
            .expect("both hold it");
        assert_eq!(checker.leads(NODE, Term(2), &full), Ok(true));
        let other = disk(vec![entry(2, 1)]);
        // Elected by late votes, in the term of the commit or before it.
        assert_eq!(checker.leads(OTHER, Term(1), &other), Ok(true));
        assert_eq!(
            broken(checker.leads(NODE, Term(3), &other)),
            "leader completeness"
        );
    }

    #[test]
    fn entries_that_differ_under_one_id_are_found() {
        let mut checker = Checker::new(true);
        let before = EntryId::ZERO;
        let log = [entry(1, 1), entry(2, 2)];
        assert_eq!(checker.written(NODE, before, &log), Ok(()));
        assert_eq!(checker.written(OTHER, before, &log), Ok(()));
        let other = Entry {
            time_ms: 5,
            ..entry(1, 1)
        };
        assert_eq!(
            broken(checker.written(OTHER, before, &[other])),
            "log matching"
        );
        let other_before = EntryId::new(2, 1);
        let result = checker.written(OTHER, other_before, &[entry(2, 2)]);
        assert_eq!(broken(result), "log matching");
    }

    #[test]
    fn claims_ahead_of_the_disk_are_found() {
        let mut checker = Checker::new(true);
        let mut durable = disk(vec![entry(1, 1)]).durable;
        durable.hard_state = HardState {
            term: Term(2),
            vote: Some(OTHER),
            ..HardState::default()
        };
        let accepts = |term, index| {
            let outcome = AppendOutcome::Accepted {
                match_index: LogIndex(index),
            };
            says(AppendEntriesResponse {
                session: Session(0),
                term: Term(term),
                round: Round(0),
                outcome,
            })
        };
        let votes = |term| {
            says(RequestVoteResponse {
                term: Term(term),
                granted: true,
            })
        };
        assert_eq!(checker.sent(&accepts(2, 1), &durable), Ok(()));
        assert_eq!(checker.sent(&votes(2), &durable), Ok(()));
        for claim in [accepts(2, 2), accepts(3, 1), votes(3)] {
            assert_eq!(broken(checker.sent(&claim, &durable)), "claims are durable");
        }
        durable.hard_state.vote = Some(NodeId(3));
        let to_another = Envelope {
            to: NodeId(3),
            ..votes(2)
        };
        assert_eq!(
            broken(checker.sent(&to_another, &durable)),
            "one vote a term"
        );
    }

    #[test]
    fn state_machines_that_part_are_found() {
        let mut checker = Checker::new(true);
        let (full, empty) = (disk(vec![entry(1, 1), entry(1, 2)]), Disk::default());
        let disks = [&full, &full, &empty].into_iter();
        assert_eq!(
            checker.applied(NODE, Term(1), 0, &[entry(1, 1)], disks.clone()),
            Ok(())
        );
        let result = checker.applied(OTHER, Term(1), 0, &[entry(2, 1)], disks.clone());
        assert_eq!(broken(result), "state machine safety");
        let result = checker.applied(OTHER, Term(1), 0, &[entry(1, 2)], disks);
        assert_eq!(broken(result), "applied in order");
        let few = [&full, &empty, &empty].into_iter();
        let result = checker.applied(NODE, Term(1), 1, &[entry(1, 2)], few);
        assert_eq!(broken(result), "committed is durable");
    }

    #[test]
    fn a_stale_read_is_found() {
        let mut checker = Checker::new(true);
        let full = disk(vec![entry(1, 1)]);
        checker.read_begins(7);
        checker
            .applied(NODE, Term(1), 0, &[entry(1, 1)], [&full].into_iter())
            .expect("it is held");
        checker.read_begins(8);
        assert_eq!(checker.read_served(7, LogIndex(0)), Ok(()));
        assert_eq!(
            broken(checker.read_served(8, LogIndex(0))),
            "reads are fresh"
        );
    }
}
