//! What must hold in every state (paper, figure 3; thesis, section 6.4), and what a message may claim.
//!
//! The judges of whole runs check the same properties of facts that go by. Here they are checked of
//! states, with as little memory of the past as possible: whatever is remembered multiplies the states.

use std::collections::HashMap;

use bytes::Bytes;
use raft::{Entry, EntryId, EntryKind, HardState, LogIndex, Term};

use crate::judges::Violation;
use crate::model::node::{Disk, Facts, Item};
use crate::model::scope::Start;
use crate::model::state::{Memory, NODES};
use crate::model::tables::{MessageFacts, Says};
use crate::model::trace::show;

/// The number of a ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Ledger(u16);

impl Ledger {
    pub(super) fn to_bytes(self) -> [u8; 2] {
        self.0.to_le_bytes()
    }
}

/// A committed entry, and the term of the leader that committed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Committed {
    item: Item,
    by: u8,
}

/// The ledgers there are: what has been committed, in order.
#[derive(Debug)]
pub(super) struct Ledgers {
    ledgers: Vec<Vec<Committed>>,
    numbers: HashMap<Vec<Committed>, Ledger>,
}

impl Ledgers {
    pub(super) fn new() -> Ledgers {
        let mut ledgers = Ledgers {
            ledgers: Vec::new(),
            numbers: HashMap::new(),
        };
        ledgers.number(Vec::new());
        ledgers
    }

    /// The ledger that a search begins with.
    pub(super) fn begin(&mut self, items: &[Item]) -> Ledger {
        let committed = |&item: &Item| Committed {
            item,
            by: item.term,
        };
        self.number(items.iter().map(committed).collect())
    }

    fn number(&mut self, ledger: Vec<Committed>) -> Ledger {
        if let Some(&known) = self.numbers.get(&ledger) {
            return known;
        }
        let number = u16::try_from(self.ledgers.len()).expect("a scope with fewer ledgers");
        self.ledgers.push(ledger.clone());
        self.numbers.insert(ledger, Ledger(number));
        Ledger(number)
    }

    fn get(&self, ledger: Ledger) -> &[Committed] {
        &self.ledgers[usize::from(ledger.0)]
    }

    pub(super) fn count(&self, ledger: Ledger) -> u8 {
        u8::try_from(self.get(ledger).len()).unwrap_or(u8::MAX)
    }
}

/// What is on the disk of a node, counted from 0, before the search.
pub(super) fn disk_at_start(start: Start, node: usize) -> Disk {
    let Start::Logs {
        term,
        committed,
        logs,
    } = start
    else {
        return Disk::default();
    };
    let terms = logs.get(node).copied().unwrap_or_default();
    let entry = |(index, &term): (u64, &u8)| Entry {
        id: EntryId::new(u64::from(term), index),
        kind: EntryKind::Noop,
        time_ms: 0,
        payload: Bytes::new(),
    };
    Disk {
        hard_state: HardState {
            term: Term(u64::from(term)),
            vote: None,
            commit: LogIndex(u64::from(committed)),
        },
        entries: (1..).zip(terms).map(entry).collect(),
        ..Disk::default()
    }
}

fn broken(property: &'static str, detail: String) -> Violation {
    Violation { property, detail }
}

/// A message has left: remembers the vote in it. `sender` is the node as it is now.
///
/// # Errors
/// If it gives a vote away twice, or, when claims are checked, claims what is not on the disk.
pub(super) fn sent(
    memory: &mut Memory,
    message: MessageFacts,
    sender: &Facts,
    check_claims: bool,
) -> Result<(), Violation> {
    let MessageFacts {
        from,
        to,
        term,
        says,
    } = message;
    let vote = match says {
        Says::Granted => to,
        Says::Candidate => from,
        _ => 0,
    };
    if vote != 0 {
        let given = &mut memory.votes[usize::from(term)][usize::from(from) - 1];
        if *given != 0 && *given != vote {
            let detail = format!("in t{term} n{from} votes for n{vote}, after it did for n{given}");
            return Err(broken("one-vote", detail));
        }
        *given = vote;
    }
    if !check_claims {
        return Ok(());
    }
    let speaks_as_member = !matches!(says, Says::WouldGrant | Says::WouldCampaign);
    let is_durable = match says {
        Says::Granted | Says::Candidate => sender.disk_vote == vote && sender.disk_term == term,
        Says::Holds(index) => {
            let index = usize::from(index);
            let held = sender.disk.get(..index);
            // In a later term another leader may have replaced what this one was sent.
            held.is_some() && (term < sender.term || held == sender.log.get(..index))
        }
        _ => true,
    };
    if (speaks_as_member && term > sender.disk_term) || !is_durable {
        let detail = format!(
            "n{from} says {says:?} in t{term} to n{to}, but its disk has t{} vote=n{} {}",
            sender.disk_term,
            sender.disk_vote,
            show(&sender.disk)
        );
        return Err(broken("durable-claims", detail));
    }
    Ok(())
}

/// A node has changed: remembers whether it leads, and what it has committed.
///
/// # Errors
/// If that contradicts what is remembered.
pub(super) fn remember(
    memory: &mut Memory,
    ledgers: &mut Ledgers,
    node: &Facts,
    id: u8,
) -> Result<(), Violation> {
    election_safety(memory, node, id)?;
    state_machine_safety(memory, ledgers, node, id)
}

/// Checks what can be seen of a state alone.
///
/// # Errors
/// If it does not hold.
pub(super) fn state(
    memory: &Memory,
    ledgers: &Ledgers,
    nodes: [&Facts; NODES],
    changed: u8,
) -> Result<(), Violation> {
    log_matching(nodes, changed)?;
    let ledger = ledgers.get(memory.ledger);
    durable_quorum(ledger, nodes)?;
    leader_completeness(ledger, nodes)
}

/// At most one leader can be elected in a given term (section 5.2).
fn election_safety(memory: &mut Memory, node: &Facts, id: u8) -> Result<(), Violation> {
    if !node.leads() {
        return Ok(());
    }
    let leader = &mut memory.leaders[usize::from(node.term)];
    if *leader != 0 && *leader != id {
        let detail = format!("in t{} both n{leader} and n{id} have led", node.term);
        return Err(broken("election-safety", detail));
    }
    *leader = id;
    Ok(())
}

/// If two logs contain an entry with the same index and term, they are identical up to it
/// (section 5.3).
fn log_matching(nodes: [&Facts; NODES], changed: u8) -> Result<(), Violation> {
    let log = &nodes[usize::from(changed) - 1].log;
    for (id, other) in (1_u8..).zip(nodes) {
        let same = log
            .iter()
            .zip(&other.log)
            .rposition(|(one, another)| one.term == another.term);
        let end = same.map_or(0, |last| last + 1);
        if log[..end] != other.log[..end] {
            let (ours, theirs) = (show(log), show(&other.log));
            let detail = format!("n{changed} holds {ours}, n{id} holds {theirs}");
            return Err(broken("log-matching", detail));
        }
    }
    Ok(())
}

/// Nobody commits another entry where one is committed (section 5.4.3); and only a leader is the
/// first to.
fn state_machine_safety(
    memory: &mut Memory,
    ledgers: &mut Ledgers,
    node: &Facts,
    id: u8,
) -> Result<(), Violation> {
    let ledger = ledgers.get(memory.ledger);
    let committed = node.log.get(..usize::from(node.commit)).unwrap_or_default();
    let contradicts = |(one, known): (&Item, &Committed)| *one != known.item;
    if committed.iter().zip(ledger).any(contradicts) {
        let known: Vec<Item> = ledger.iter().map(|known| known.item).collect();
        let detail = format!(
            "n{id} has committed {}, but {} was committed",
            show(committed),
            show(&known)
        );
        return Err(broken("state-machine-safety", detail));
    }
    let news = committed.get(ledger.len()..).unwrap_or_default();
    if news.is_empty() {
        return Ok(());
    }
    if !node.leads() {
        let detail = format!(
            "n{id} follows, and is the first to commit {}",
            show(committed)
        );
        return Err(broken("state-machine-safety", detail));
    }
    let mut longer = ledger.to_vec();
    longer.extend(news.iter().map(|&item| Committed {
        item,
        by: node.term,
    }));
    memory.ledger = ledgers.number(longer);
    Ok(())
}

/// What is committed is on the disks of a majority, and stays there.
fn durable_quorum(ledger: &[Committed], nodes: [&Facts; NODES]) -> Result<(), Violation> {
    for (place, known) in ledger.iter().enumerate() {
        let has_it = |node: &&&Facts| node.disk.get(place) == Some(&known.item);
        let disks = nodes.iter().filter(has_it).count();
        if 2 * disks <= NODES {
            let detail = format!(
                "entry {} of t{} is committed, but on {disks} of {NODES} disks",
                place + 1,
                known.item.term
            );
            return Err(broken("durable-quorum", detail));
        }
    }
    Ok(())
}

/// An entry committed in a term is in the logs of the leaders of all later terms (section 5.4.3).
fn leader_completeness(ledger: &[Committed], nodes: [&Facts; NODES]) -> Result<(), Violation> {
    for (id, leader) in (1_u8..).zip(nodes).filter(|(_, node)| node.leads()) {
        for (place, known) in ledger.iter().enumerate() {
            if known.by <= leader.term && leader.log.get(place) != Some(&known.item) {
                let detail = format!(
                    "n{id} leads t{} with {}, without entry {} of t{}, committed in t{}",
                    leader.term,
                    show(&leader.log),
                    place + 1,
                    known.item.term,
                    known.by
                );
                return Err(broken("leader-completeness", detail));
            }
        }
    }
    Ok(())
}

/// A read may be served at `index`.
///
/// # Errors
/// If something that was committed before the read began is behind the index (thesis, section 6.4).
pub(super) fn served(memory: &Memory, number: u8, index: u8) -> Result<(), Violation> {
    let asked = memory.reads.iter().find(|read| read.number == number);
    let Some(read) = asked.filter(|read| index < read.floor) else {
        return Ok(());
    };
    let detail = format!(
        "read {number} of n{} is served at {index}, but when it began {} were committed",
        read.node, read.floor
    );
    Err(broken("read-safety", detail))
}

#[cfg(test)]
mod tests {
    use raft::Role;

    use super::*;
    use crate::model::state::WaitingRead;

    fn items(terms: &[u8]) -> Vec<Item> {
        terms
            .iter()
            .map(|&term| Item { term, carries: 0 })
            .collect()
    }

    fn follower(term: u8, log: &[u8]) -> Facts {
        Facts {
            role: Role::Follower,
            term,
            vote: 0,
            leader: 0,
            commit: 0,
            log: items(log),
            disk: items(log),
            disk_term: term,
            disk_vote: 0,
            writes: 0,
            applied: 0,
            snapshot: 0,
        }
    }

    fn leader(term: u8, log: &[u8], commit: u8) -> Facts {
        Facts {
            role: Role::Leader,
            commit,
            ..follower(term, log)
        }
    }

    /// The properties that break when each of the nodes has changed in turn.
    fn check(nodes: [&Facts; NODES]) -> Result<Memory, &'static str> {
        let mut memory = Memory::default();
        let mut ledgers = Ledgers::new();
        for changed in 1..=3 {
            let node = nodes[usize::from(changed) - 1];
            remember(&mut memory, &mut ledgers, node, changed)
                .and_then(|()| state(&memory, &ledgers, nodes, changed))
                .map_err(|violation| violation.property)?;
        }
        Ok(memory)
    }

    #[test]
    fn a_sound_group_breaks_nothing() {
        let nodes = [
            &leader(2, &[1, 2], 2),
            &follower(2, &[1, 2]),
            &follower(1, &[1, 1, 1]),
        ];
        let memory = check(nodes).expect("nothing is broken");
        assert_eq!(memory.leaders[2], 1);
    }

    #[test]
    fn two_leaders_of_a_term_are_noticed() {
        let nodes = [&leader(2, &[2], 0), &leader(2, &[2], 0), &follower(2, &[])];
        assert_eq!(check(nodes), Err("election-safety"));
        let nodes = [&leader(2, &[2], 0), &leader(3, &[3], 0), &follower(2, &[])];
        assert!(check(nodes).is_ok());
    }

    #[test]
    fn logs_that_differ_below_an_equal_entry_are_noticed() {
        let nodes = [
            &follower(3, &[1, 3]),
            &follower(3, &[2, 3]),
            &follower(3, &[]),
        ];
        assert_eq!(check(nodes), Err("log-matching"));
        let mut other = follower(3, &[1, 3]);
        other.log[1].carries = 7;
        let nodes = [&follower(3, &[1, 3]), &other, &follower(3, &[])];
        assert_eq!(check(nodes), Err("log-matching"));
    }

    #[test]
    fn a_second_commit_at_an_index_is_noticed() {
        let nodes = [
            &leader(2, &[1, 2], 2),
            &follower(2, &[1, 2]),
            &leader(3, &[1, 3], 2),
        ];
        assert_eq!(check(nodes), Err("leader-completeness"));
        let mut late = follower(3, &[1, 3]);
        late.commit = 2;
        let nodes = [&leader(2, &[1, 2], 2), &follower(2, &[1, 2]), &late];
        assert_eq!(check(nodes), Err("state-machine-safety"));
    }

    #[test]
    fn a_follower_that_commits_first_is_noticed() {
        let mut eager = follower(1, &[1]);
        eager.commit = 1;
        let nodes = [&follower(1, &[1]), &eager, &follower(1, &[])];
        assert_eq!(check(nodes), Err("state-machine-safety"));
    }

    #[test]
    fn a_commit_on_one_disk_is_noticed() {
        let mut unwritten = follower(1, &[1]);
        unwritten.disk.clear();
        let nodes = [&leader(1, &[1], 1), &unwritten, &follower(1, &[])];
        assert_eq!(check(nodes), Err("durable-quorum"));
    }

    #[test]
    fn a_second_vote_is_noticed() {
        let mut memory = Memory::default();
        let vote = |to| MessageFacts {
            from: 1,
            to,
            term: 2,
            says: Says::Granted,
        };
        let sender = follower(2, &[]);
        assert!(sent(&mut memory, vote(2), &sender, false).is_ok());
        assert!(sent(&mut memory, vote(2), &sender, false).is_ok());
        let second = sent(&mut memory, vote(3), &sender, false);
        assert_eq!(
            second.map_err(|violation| violation.property),
            Err("one-vote")
        );
    }

    #[test]
    fn claims_are_held_against_the_disk() {
        let says = |says| MessageFacts {
            from: 1,
            to: 2,
            term: 2,
            says,
        };
        let mut sender = follower(2, &[1, 1]);
        sender.disk_vote = 2;
        let check = |message, sender: &Facts| sent(&mut Memory::default(), message, sender, true);
        assert!(check(says(Says::Granted), &sender).is_ok());
        assert!(check(says(Says::Holds(2)), &sender).is_ok());
        sender.disk.pop();
        assert!(check(says(Says::Holds(2)), &sender).is_err());
        assert!(check(says(Says::Holds(1)), &sender).is_ok());
        sender.disk_vote = 0;
        assert!(check(says(Says::Granted), &sender).is_err());
        sender.disk_term = 1;
        assert!(check(says(Says::Other), &sender).is_err());
        assert!(check(says(Says::WouldGrant), &sender).is_ok());
    }

    #[test]
    fn a_stale_read_is_noticed() {
        let mut memory = Memory::default();
        memory.reads[0] = WaitingRead {
            number: 1,
            node: 2,
            floor: 3,
        };
        assert!(served(&memory, 1, 3).is_ok());
        assert!(served(&memory, 1, 2).is_err());
    }
}
