//! Cycles in who comes before whom.

use std::collections::{BTreeMap, VecDeque};

use crate::history::{History, HistoryEvent, Outcome};

/// Why one comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Relation {
    /// It appended right before.
    Ww,
    /// The other saw what it appended.
    Wr,
    /// It did not see what the other appended.
    Rw,
    /// It was answered before the other was asked, or asked before it on one connection.
    Rt,
}

impl Relation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Relation::Ww => "ww",
            Relation::Wr => "wr",
            Relation::Rw => "rw",
            Relation::Rt => "rt",
        }
    }
}

/// One step of a cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    /// The operation in the history.
    pub(crate) from: usize,
    pub(crate) relation: Relation,
    /// What shows it: key and token.
    pub(crate) text: String,
}

/// A cycle of operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cycle {
    /// What it is called.
    pub(crate) name: &'static str,
    pub(crate) edges: Vec<Edge>,
}

/// Transactions, and moments in time between them: a transaction that is answered comes before the
/// moment of its answer, a moment before the next one, and the last moment before a transaction that is
/// asked then. So real time needs as many edges as there are events.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// By transaction: its number in the history.
    ops: Vec<usize>,
    /// By node: to whom, why, and which text. Transactions come first, then moments.
    edges: Vec<Vec<(usize, Relation, usize)>>,
    texts: Vec<String>,
}

impl Graph {
    pub(crate) fn new(ops: impl Iterator<Item = usize>) -> Graph {
        let ops: Vec<usize> = ops.collect();
        Graph {
            edges: vec![Vec::new(); ops.len()],
            ops,
            texts: vec![String::new()],
        }
    }

    pub(crate) fn add(&mut self, from: usize, to: usize, relation: Relation, text: String) {
        if from != to {
            self.texts.push(text);
            self.edges[from].push((to, relation, self.texts.len() - 1));
        }
    }

    /// Adds what the order of the events says. What was not answered has no end.
    pub(crate) fn add_real_time(&mut self, history: &History) {
        let nodes: BTreeMap<usize, usize> = self
            .ops
            .iter()
            .enumerate()
            .map(|(node, &op)| (op, node))
            .collect();
        let mut moment = None;
        let mut last_of: BTreeMap<u32, usize> = BTreeMap::new();
        for event in &history.events {
            match *event {
                HistoryEvent::Invoked(op) => {
                    let Some(&node) = nodes.get(&op) else {
                        continue;
                    };
                    if let Some(moment) = moment {
                        self.add_plain(moment, node);
                    }
                    let operation = &history.operations[op];
                    if matches!(operation.outcome, Outcome::Done(_))
                        && let Some(last) = last_of.insert(operation.process, node)
                    {
                        self.add_plain(last, node);
                    }
                }
                HistoryEvent::Completed(op) => {
                    let is_done = matches!(history.operations[op].outcome, Outcome::Done(_));
                    let Some(&node) = nodes.get(&op).filter(|_| is_done) else {
                        continue;
                    };
                    let next = self.edges.len();
                    self.edges.push(Vec::new());
                    self.add_plain(node, next);
                    if let Some(moment) = moment {
                        self.add_plain(moment, next);
                    }
                    moment = Some(next);
                }
            }
        }
    }

    fn add_plain(&mut self, from: usize, to: usize) {
        self.edges[from].push((to, Relation::Rt, 0));
    }

    /// The shortest way from one node to another by some relations, as nodes with the edge that leaves
    /// them.
    fn path(&self, from: usize, to: usize, relations: &[Relation]) -> Option<Vec<(usize, usize)>> {
        // By node: from where, and by which of its edges.
        let mut came: Vec<Option<(usize, usize)>> = vec![None; self.edges.len()];
        let mut queue = VecDeque::from([from]);
        while let Some(node) = queue.pop_front() {
            for (nth, &(next, relation, _)) in self.edges[node].iter().enumerate() {
                if !relations.contains(&relation) || came[next].is_some() {
                    continue;
                }
                came[next] = Some((node, nth));
                if next == to {
                    let mut path = Vec::new();
                    let mut place = to;
                    while let Some((node, nth)) = came[place] {
                        path.push((node, nth));
                        place = node;
                        if node == from {
                            break;
                        }
                    }
                    path.reverse();
                    return Some(path);
                }
                // Moments cost nothing: they are no transactions.
                if next >= self.ops.len() {
                    queue.push_front(next);
                } else {
                    queue.push_back(next);
                }
            }
        }
        None
    }

    /// The nodes that lie on cycles of some relations, grouped (Tarjan 1972, without recursion).
    fn components(&self, relations: &[Relation]) -> Vec<Vec<usize>> {
        let count = self.edges.len();
        let mut number = vec![usize::MAX; count];
        let mut low = vec![0; count];
        let mut on_stack = vec![false; count];
        let mut stack = Vec::new();
        let mut found = Vec::new();
        let mut next_number = 0;
        for root in 0..count {
            if number[root] != usize::MAX {
                continue;
            }
            let mut calls = vec![(root, 0)];
            while let Some(&mut (node, ref mut edge)) = calls.last_mut() {
                if *edge == 0 {
                    number[node] = next_number;
                    low[node] = next_number;
                    next_number += 1;
                    stack.push(node);
                    on_stack[node] = true;
                }
                if let Some(&(next, relation, _)) = self.edges[node].get(*edge) {
                    *edge += 1;
                    if !relations.contains(&relation) {
                        // As if it were not there. The node must not be begun again.
                    } else if number[next] == usize::MAX {
                        calls.push((next, 0));
                    } else if on_stack[next] {
                        low[node] = low[node].min(number[next]);
                    }
                    continue;
                }
                calls.pop();
                if let Some(&(parent, _)) = calls.last() {
                    low[parent] = low[parent].min(low[node]);
                }
                if low[node] == number[node] {
                    let start = stack.iter().rposition(|&it| it == node).unwrap_or(0);
                    let component = stack.split_off(start);
                    for &it in &component {
                        on_stack[it] = false;
                    }
                    if component.len() > 1 {
                        found.push(component);
                    }
                }
            }
        }
        found
    }

    /// A cycle as people read it: moments are left out.
    fn cycle(&self, name: &'static str, path: &[(usize, usize)]) -> Cycle {
        let transactions = path.iter().filter(|(node, _)| *node < self.ops.len());
        let edges = transactions.map(|&(node, nth)| {
            let (_, relation, text) = self.edges[node][nth];
            Edge {
                from: self.ops[node],
                relation,
                text: self.texts[text].clone(),
            }
        });
        Cycle {
            name,
            edges: edges.collect(),
        }
    }

    /// The shortest cycle of some relations.
    fn shortest(&self, name: &'static str, relations: &[Relation]) -> Option<Cycle> {
        /// From how many nodes of a component a shortest cycle is looked for.
        const STARTS_MAX: usize = 200;
        let mut best: Option<Cycle> = None;
        for component in self.components(relations) {
            let nodes = component.iter().filter(|&&node| node < self.ops.len());
            for &node in nodes.take(STARTS_MAX) {
                let Some(path) = self.path(node, node, relations) else {
                    continue;
                };
                let cycle = self.cycle(name, &path);
                if best
                    .as_ref()
                    .is_none_or(|best| cycle.edges.len() < best.edges.len())
                {
                    best = Some(cycle);
                }
            }
        }
        best
    }

    /// A cycle with exactly one `rw`: that edge, and a way back without any.
    fn single(&self, name: &'static str, others: &[Relation]) -> Option<Cycle> {
        let mut all = others.to_vec();
        all.push(Relation::Rw);
        let mut best: Option<Cycle> = None;
        for node in self.components(&all).into_iter().flatten() {
            for (nth, &(next, relation, _)) in self.edges[node].iter().enumerate() {
                if relation != Relation::Rw {
                    continue;
                }
                let Some(back) = self.path(next, node, others) else {
                    continue;
                };
                let mut path = vec![(node, nth)];
                path.extend(back);
                let cycle = self.cycle(name, &path);
                if best
                    .as_ref()
                    .is_none_or(|best| cycle.edges.len() < best.edges.len())
                {
                    best = Some(cycle);
                }
            }
        }
        best
    }
}

/// The worst cycle that there is: those that need the fewest kinds of relations first.
pub(crate) fn find(graph: &Graph) -> Option<Cycle> {
    use Relation::{Rt, Rw, Wr, Ww};
    if graph.components(&[Ww, Wr, Rw, Rt]).is_empty() {
        return None;
    }
    graph
        .shortest("G0, a cycle of writes", &[Ww])
        .or_else(|| graph.shortest("G1c, a circle of information", &[Ww, Wr]))
        .or_else(|| graph.single("G-single, a skewed read", &[Ww, Wr]))
        .or_else(|| graph.shortest("G2, a cycle of reads that missed writes", &[Ww, Wr, Rw]))
        .or_else(|| graph.shortest("G0 in real time", &[Ww, Rt]))
        .or_else(|| graph.shortest("G1c in real time", &[Ww, Wr, Rt]))
        .or_else(|| {
            graph.single(
                "G-single in real time, a stale read or a lost append",
                &[Ww, Wr, Rt],
            )
        })
        .or_else(|| graph.shortest("G2 in real time", &[Ww, Wr, Rw, Rt]))
}
