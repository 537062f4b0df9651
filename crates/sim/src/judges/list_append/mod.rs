//! Whether transactions on lists are strictly serializable, by the cycles in what they saw.
//!
//! A list is a key that is only appended to, by tokens that end in a comma and are all different, and
//! read as a whole. So every read shows in which order all tokens came that it contains, and from all reads
//! follows who must come before whom (Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from
//! Experimental Observations", 2020):
//!
//! - `ww`: both appended to a key, one right after the other.
//! - `wr`: one saw what the other appended last.
//! - `rw`: one did not see yet what the other appended next.
//! - `rt`: one was answered before the other was asked, or asked earlier on the same connection.
//!
//! A cycle means that no order of the transactions explains what they saw. Its name is that of Adya's
//! theses (1999): G0 of `ww` only; G1c with `wr`; G-single with one `rw`; G2 with several. What can be
//! said without a graph is said first: tokens that nobody appended, that failed (G1a), from the middle of
//! a transaction (G1b), that come twice, in two orders, or not at all though they were acknowledged.
//!
//! Other than `linearizable` this has no search: its time is linear in the history, transactions of
//! any number of keys included.

mod cycles;
mod lists;
#[cfg(test)]
mod tests;

use crate::history::History;
use crate::judges::Violation;
use crate::judges::evidence::{Evidence, describe};
use crate::judges::list_append::cycles::{Cycle, Edge, Graph, Relation};
use crate::judges::list_append::lists::Lists;

/// The name of the property.
pub const PROPERTY: &str = "list-append";

/// What was judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListStats {
    /// Lists.
    pub lists: u64,
    /// Operations on them that took effect.
    pub operations: u64,
    /// Tokens that were seen.
    pub tokens: u64,
}

/// Judges the lists of a history.
///
/// # Errors
/// If no order of the operations on lists explains what they saw.
pub fn check(history: &History) -> Result<(), Violation> {
    match judge(history) {
        Ok(_) => Ok(()),
        Err(evidence) => Err(evidence.violation),
    }
}

/// Judges the lists of a history, and says what was judged.
///
/// # Errors
/// If no order of the operations on lists explains what they saw.
pub fn judge(history: &History) -> Result<ListStats, Evidence> {
    let lists = Lists::read(history)?;
    let graph = graph(history, &lists)?;
    match cycles::find(&graph) {
        Some(cycle) => Err(cycle_found(history, &cycle)),
        None => Ok(ListStats {
            lists: lists.lists.len() as u64,
            operations: lists.transactions.len() as u64,
            tokens: lists
                .lists
                .iter()
                .map(|list| list.tokens.len() as u64)
                .sum(),
        }),
    }
}

/// Who comes before whom.
fn graph(history: &History, lists: &Lists) -> Result<Graph, Evidence> {
    let mut graph = Graph::new(lists.transactions.iter().map(|it| it.op));
    // By list and number of tokens: who saw so many.
    let lengths = lists.lists.iter().map(|list| list.tokens.len() + 1);
    let mut readers: Vec<Vec<Vec<usize>>> = lengths.map(|count| vec![Vec::new(); count]).collect();
    for (place, transaction) in lists.transactions.iter().enumerate() {
        for read in &transaction.reads {
            readers[read.list][read.length].push(place);
        }
    }
    for (list, readers) in lists.lists.iter().zip(&readers) {
        let mut add = |from, to, relation, token: &[u8]| {
            let token = String::from_utf8_lossy(token);
            graph.add(from, to, relation, format!("{} {token:?}", list.name));
        };
        for (nth, token) in list.tokens.iter().enumerate() {
            if let Some(next) = list.tokens.get(nth + 1) {
                add(token.writer, next.writer, Relation::Ww, &next.text);
            }
            for &reader in &readers[nth + 1] {
                add(token.writer, reader, Relation::Wr, &token.text);
            }
            for &reader in &readers[nth] {
                add(reader, token.writer, Relation::Rw, &token.text);
            }
        }
        // Acknowledged and never seen: they came after all that was.
        for token in &list.unseen {
            if let Some(last) = list.tokens.last() {
                add(last.writer, token.writer, Relation::Ww, &token.text);
            }
            for &reader in &readers[list.tokens.len()] {
                add(reader, token.writer, Relation::Rw, &token.text);
            }
        }
    }
    graph.add_real_time(history);
    Ok(graph)
}

fn cycle_found(history: &History, cycle: &Cycle) -> Evidence {
    let mut detail = format!("{}: ", cycle.name);
    for Edge {
        from,
        relation,
        text,
        ..
    } in &cycle.edges
    {
        detail.push_str(&describe(history, *from));
        let text = match text.is_empty() {
            true => String::new(),
            false => format!(" {text}"),
        };
        detail.push_str(&format!(" --{}{text}--> ", relation.name()));
    }
    let operations: Vec<usize> = cycle.edges.iter().map(|edge| edge.from).collect();
    detail.push_str(&format!("#{}", operations[0]));
    Evidence::new(PROPERTY, detail, operations)
}
