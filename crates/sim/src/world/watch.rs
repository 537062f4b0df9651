//! What judges and people are shown, and the fingerprint of a run.

use raft::{NodeId, Role};
use replica::PeerMessage;

use crate::history::Operation;
use crate::judges::{Fact, View};
use crate::report::{TraceEvent, TraceKind};
use crate::world::World;
use crate::world::node::Down;

impl World {
    /// Shows the judges a fact. The first violation ends the run.
    pub(super) fn see(&mut self, fact: &Fact<'_>) {
        self.shadow.take(fact);
        if let Err(violation) = self.judges.see(fact, &self.shadow) {
            self.fail(violation);
        }
    }

    pub(super) fn show_begin(&mut self) {
        self.see(&Fact::Begin {
            nodes: self.nodes.len(),
            first: self.swarm.nodes,
        });
    }

    /// A node has been given an input and drained.
    pub(super) fn stepped(&mut self, node: usize) {
        let id = self.nodes[node].id;
        let Some(process) = self.nodes[node].process.take() else {
            return;
        };
        let view = View::of(&process.replica);
        self.see(&Fact::Stepped {
            node: id,
            view,
            replica: &process.replica,
        });
        self.nodes[node].process = Some(process);
        let shown = self.nodes[node].shown_role.replace((view.role, view.term));
        if shown != Some((view.role, view.term)) {
            self.report.elections += u64::from(view.role == Role::Leader);
            self.note(id.0 << 8 | view.role as u64, view.term.0);
            self.show(|| TraceKind::Role {
                node: id,
                role: view.role,
                term: view.term.0,
            });
        }
    }

    /// An operation of a client was answered.
    pub(super) fn show_answer(&mut self, op: usize) {
        let operation = &self.history.operations[op];
        if matches!(operation.outcome, crate::history::Outcome::Done(_)) {
            self.report.answered += 1;
        }
        let fact = Fact::Answered {
            op,
            history: &self.history,
        };
        self.shadow.take(&fact);
        if let Err(violation) = self.judges.see(&fact, &self.shadow) {
            self.fail(violation);
        }
        if self.options.trace {
            let operation = &self.history.operations[op];
            let kind = TraceKind::Client {
                client: operation.process as usize,
                node: NodeId(operation.node),
                text: operation_text(operation),
            };
            self.show(|| kind);
        }
    }

    /// Keeps something for people to read, if anybody wants to.
    pub(super) fn show(&mut self, kind: impl FnOnce() -> TraceKind) {
        if self.options.trace {
            self.trace.push(TraceEvent {
                step: self.step,
                at_us: self.now_us,
                kind: kind(),
            });
        }
    }

    pub(super) fn show_sent(
        &mut self,
        from: usize,
        to: usize,
        arrives_us: Option<u64>,
        message: &PeerMessage,
    ) {
        self.show(|| TraceKind::Sent {
            from: NodeId(from as u64 + 1),
            to: NodeId(to as u64 + 1),
            arrives_us,
            text: message_text(message),
        });
    }

    /// Mixes something that happened into the fingerprint of the run.
    pub(super) fn note(&mut self, what: u64, value: u64) {
        let mixed = (self.report.fingerprint ^ what.rotate_left(32) ^ value ^ self.now_us)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.report.fingerprint = mixed ^ (mixed >> 29);
    }

    pub(super) fn note_bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.note(1, u64::from_le_bytes(word));
        }
    }

    /// Each node's state, a line each.
    pub(super) fn describe_nodes(&self) -> Vec<String> {
        self.nodes
            .iter()
            .map(|node| {
                let id = node.id;
                let Some(process) = &node.process else {
                    let why = match node.down {
                        Down::Refused => "refused for good",
                        Down::Frozen => "frozen",
                        Down::Unborn => "not there yet",
                        Down::Removed => "removed",
                        _ => "down",
                    };
                    return format!("{id} {why}");
                };
                let view = View::of(&process.replica);
                let paused = match node.paused_until_us > self.now_us {
                    true => ", paused",
                    false => "",
                };
                format!(
                    "{id} {} of term {}, follows {}, voted for {}, log to {}, durable to {}, commit {}, \
                     applied {}, start {}, {} writes at the disk{paused}, {}",
                    view.role,
                    view.term.0,
                    name(view.leader),
                    name(view.vote),
                    view.last,
                    view.durable,
                    view.commit,
                    view.applied,
                    process.run.incarnation,
                    process.writes.len() + usize::from(process.under_way.is_some()),
                    process.replica.raft().conf(),
                )
            })
            .collect()
    }
}

fn name(node: Option<NodeId>) -> String {
    node.map_or_else(|| "nobody".to_owned(), |node| node.to_string())
}

/// An operation and what became of it, in a line.
pub(super) fn operation_text(operation: &Operation) -> String {
    let commands: Vec<String> = operation
        .commands
        .iter()
        .map(|command| {
            let words: Vec<_> = command
                .iter()
                .map(|word| String::from_utf8_lossy(word))
                .collect();
            words.join(" ")
        })
        .collect();
    format!("{} = {:?}", commands.join("; "), operation.outcome)
}

/// A message in a few words.
pub(super) fn message_text(message: &PeerMessage) -> String {
    match message {
        PeerMessage::Raft(message) => message.to_string(),
        PeerMessage::Forward(forward) => {
            format!("Forward t{} {} bytes", forward.term.0, forward.batch.len())
        }
        PeerMessage::ForwardRefused(refused) => format!(
            "ForwardRefused t{} #{} {:?}",
            refused.term.0, refused.sequence, refused.reason
        ),
        PeerMessage::StateHash(told) => format!("StateHash {} {:016x}", told.index, told.hash),
    }
}
