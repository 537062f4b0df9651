//! Clients that have asked for a change and wait for it, and what they are told.

use raft::{EntryId, NodeId};
use resp::Encoder;

use crate::deferred::Deferred;
use crate::node::Node;
use crate::replica::Replica;

/// A client that waits for a change.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) deferred: Deferred,
    pub(super) goal: Goal,
    pub(super) answer: Answer,
    pub(super) deadline_us: u64,
}

/// When a change is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// When this entry is applied.
    Applied(EntryId),
    /// When the entry is applied, and then one that takes the node away.
    Removed { first: EntryId, node: NodeId },
    /// The same, with the first entry applied.
    Gone(NodeId),
    /// When the node leads.
    Leads(NodeId),
}

/// What comes of a request.
#[derive(Debug)]
pub(crate) enum Asked {
    /// It is done.
    Done(Answer),
    /// The client is answered later.
    Waits,
}

/// What a client is told of a change that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// That it was.
    Done,
    /// The id of the new node.
    Id(NodeId),
    /// The id, and what a node that joins needs to know.
    Joined(NodeId),
}

impl Answer {
    pub(crate) fn write(self, node: &Node, out: &mut Encoder<'_>) {
        match self {
            Answer::Done => out.ok(),
            Answer::Id(id) => out.integer(id.0 as i64),
            Answer::Joined(id) => {
                let config = &node.config;
                out.array(4);
                out.integer(id.0 as i64);
                out.bulk(format!("{:016x}", config.cluster.0).as_bytes());
                out.bulk(config.info.cluster_name.as_bytes());
                let others: Vec<_> = node.members.iter().filter(|(of, _)| **of != id).collect();
                out.array(2 * others.len());
                for (id, member) in others {
                    out.integer(id.0 as i64);
                    out.bulk(member.peer_addr.as_bytes());
                }
            }
        }
    }
}

impl Replica {
    /// Answers those who wait for what time decides: deadlines, lost entries, transfers.
    pub(in crate::replica) fn tick_changes(&mut self) {
        let now_us = self.node.now.mono_us;
        let applied = self.node.consensus.applied;
        let leader = self.raft.leader();
        let is_transferring = self.raft.status().transferring.is_some();
        let own = self.node.config.node;
        let mut decided = Vec::new();
        let waiting = std::mem::take(&mut self.changes.waiting);
        for one in waiting {
            let outcome = match one.goal {
                Goal::Applied(entry) | Goal::Removed { first: entry, .. }
                    if entry.index <= applied =>
                {
                    Some(Err(LOST.to_owned()))
                }
                Goal::Leads(to) if leader == Some(to) => Some(Ok(())),
                Goal::Leads(to) if leader == Some(own) && !is_transferring => Some(Err(format!(
                    "ERR node {} did not take over within the election timeout, node {} goes on leading",
                    to.0, own.0
                ))),
                _ if one.deadline_us <= now_us => Some(Err(uncertain(&one, now_us))),
                _ => None,
            };
            match outcome {
                Some(outcome) => decided.push((one, outcome)),
                None => self.changes.waiting.push(one),
            }
        }
        for (one, outcome) in decided {
            self.answer(one, outcome);
        }
    }

    /// Answers those who wait for a node to be gone, if it is, by a committed entry.
    pub(super) fn answer_gone(&mut self) {
        let conf = self.raft.conf_committed().1.clone();
        let is_gone = |waiting: &mut Waiting| matches!(waiting.goal, Goal::Gone(node) if !conf.contains(node));
        let done: Vec<Waiting> = self.changes.waiting.extract_if(.., is_gone).collect();
        for waiting in done {
            self.answer(waiting, Ok(()));
        }
    }

    pub(super) fn answer(&mut self, waiting: Waiting, outcome: Result<(), String>) {
        let Waiting {
            deferred, answer, ..
        } = waiting;
        self.answer_deferred(&deferred, |node, out| match outcome {
            Ok(()) => answer.write(node, out),
            Err(text) => out.error(&text),
        });
    }
}

/// The entry of a change is not in the log, and never will be.
const LOST: &str =
    "ERR another leader took over before the change was committed, nothing was changed: ask again";

pub(super) fn uncertain(waiting: &Waiting, now_us: u64) -> String {
    let waited_ms = waiting.deferred.waited_ms(now_us);
    match waiting.goal {
        Goal::Gone(node) => format!(
            "UNCERTAIN node {} has no vote any more, and was not removed within {waited_ms} ms: the \
             leader goes on with it; QUORATE MEMBERS tells how far it is",
            node.0
        ),
        Goal::Leads(node) => format!(
            "UNCERTAIN node {} is not known to lead after {waited_ms} ms; QUORATE MEMBERS tells who does",
            node.0
        ),
        Goal::Applied(_) | Goal::Removed { .. } => format!(
            "UNCERTAIN the change was not confirmed within {waited_ms} ms, it may or may not take \
             effect; QUORATE MEMBERS tells"
        ),
    }
}
