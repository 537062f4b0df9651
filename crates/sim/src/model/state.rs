//! The state of the whole group, and what may happen next.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::judges::Violation;
use crate::model::checks::{self, Ledger, Ledgers};
use crate::model::node::{Facts, Input, Node};
use crate::model::scope::{Elections, Scope, Start};
use crate::model::tables::{MessageId, Outcome, Tables};

/// How many nodes there are.
pub(super) const NODES: usize = 3;

const TERMS: usize = Scope::TERM_MAX as usize + 1;
const MESSAGES: usize = Scope::MESSAGES_MAX as usize;
const READS: usize = Scope::READS_MAX as usize;
const NO_MESSAGE: MessageId = MessageId::MAX;

/// A read that waits, and what it must see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WaitingRead {
    /// Its number; 0 for none.
    pub(super) number: u8,
    pub(super) node: u8,
    /// How many entries were committed when it began.
    pub(super) floor: u8,
}

/// What happened and left no trace in any node, but must not be contradicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// Who has led each term; 0 for nobody.
    pub(super) leaders: [u8; TERMS],
    /// For each term and node, whom its messages gave its vote; 0 for nobody.
    pub(super) votes: [[u8; NODES]; TERMS],
    /// What is committed.
    pub(super) ledger: Ledger,
    pub(super) reads: [WaitingRead; READS],
}

/// What has happened, of what is limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) timeouts: u8,
    pub(super) proposals: u8,
    pub(super) reads: u8,
    pub(super) beats: u8,
    pub(super) crashes: u8,
    pub(super) duplicates: u8,
    pub(super) transfers: u8,
    pub(super) resets: u8,
    pub(super) changes: u8,
    pub(super) snapshots: u8,
    pub(super) installs: u8,
}

impl Spent {
    fn to_bytes(self) -> [u8; 11] {
        let Spent {
            timeouts,
            proposals,
            reads,
            beats,
            crashes,
            duplicates,
            transfers,
            resets,
            changes,
            snapshots,
            installs,
        } = self;
        [
            timeouts, proposals, reads, beats, crashes, duplicates, transfers, resets, changes,
            snapshots, installs,
        ]
    }
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) nodes: [u32; NODES],
    /// Messages under way, each once, in order.
    pub(super) network: [MessageId; MESSAGES],
    pub(super) memory: Memory,
    pub(super) spent: Spent,
}

/// One step: what happens to which node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) node: u8,
    pub(super) input: Input,
    /// The message stays under way: it will be delivered again.
    pub(super) again: bool,
    /// If more messages are under way then than may be: which of the ways to lose some, from 1 on.
    pub(super) lost: u16,
}

impl Step {
    /// No step at all.
    pub(super) const NONE: Step = Step {
        node: 1,
        input: Input::Persist,
        again: false,
        lost: 0,
    };

    fn of(node: u8, input: Input) -> Step {
        Step {
            node,
            input,
            ..Step::NONE
        }
    }

    pub(super) fn is_crash(&self) -> bool {
        matches!(self.input, Input::Crash { .. })
    }
}

impl State {
    /// A hash of all there is. The bytes are gathered by hand: this is where a search spends its time.
    pub(super) fn fingerprint(&self) -> u64 {
        let State {
            nodes,
            network,
            memory:
                Memory {
                    leaders,
                    votes,
                    ledger,
                    reads,
                },
            spent,
        } = self;
        let mut bytes = [0; 96];
        let mut free = bytes.as_mut_slice();
        let mut put = |part: &[u8]| {
            let (place, rest) = std::mem::take(&mut free).split_at_mut(part.len());
            place.copy_from_slice(part);
            free = rest;
        };
        for node in nodes {
            put(&node.to_le_bytes());
        }
        for message in network {
            put(&message.to_le_bytes());
        }
        put(leaders);
        put(votes.as_flattened());
        put(&ledger.to_bytes());
        for read in reads {
            put(&[read.number, read.node, read.floor]);
        }
        put(&spent.to_bytes());
        let mut hasher = SipHasher13::new();
        hasher.write(&bytes);
        hasher.finish()
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = MessageId> + '_ {
        self.network
            .iter()
            .copied()
            .take_while(|&message| message != NO_MESSAGE)
    }

    fn lose(&mut self, lost: MessageId) {
        let left: Vec<MessageId> = self.messages().filter(|&message| message != lost).collect();
        self.network = [NO_MESSAGE; MESSAGES];
        self.network[..left.len()].copy_from_slice(&left);
    }

    fn node(&self, id: u8) -> u32 {
        self.nodes[usize::from(id) - 1]
    }
}

/// The group: the tables it is described in, and what may happen to it.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) tables: Tables,
    pub(super) ledgers: Ledgers,
    scope: Scope,
    /// Messages under way after a step, gathered here again and again.
    network: Vec<MessageId>,
}

/// A step that broke a property.
#[derive(Clone, Debug)]
pub(super) struct Broken {
    pub(super) step: Step,
    pub(super) violation: Violation,
}

impl Group {
    pub(super) fn new(scope: Scope) -> Group {
        assert!(
            scope.terms_max <= Scope::TERM_MAX
                && scope.messages_max <= Scope::MESSAGES_MAX
                && scope.reads <= Scope::READS_MAX,
            "the scope {} is wider than a search can keep",
            scope.name
        );
        Group {
            tables: Tables::new(scope),
            ledgers: Ledgers::new(),
            scope,
            network: Vec::new(),
        }
    }

    /// The state that the scope starts from.
    pub(super) fn start(&mut self) -> Result<State, Broken> {
        let mut state = State {
            nodes: [0; NODES],
            network: [NO_MESSAGE; MESSAGES],
            memory: Memory::default(),
            spent: Spent::default(),
        };
        for id in 1..=NODES {
            let disk = checks::disk_at_start(self.scope.start, id - 1);
            let id = u8::try_from(id).unwrap_or(0);
            let node = Node::start(id, disk, 1, &self.scope).expect("a sound disk");
            state.nodes[usize::from(id) - 1] = self.tables.number(node);
        }
        let facts = self.tables.facts(state.nodes[0]);
        let committed = facts.log.get(..usize::from(facts.commit));
        let committed = committed.unwrap_or_default().to_vec();
        state.memory.ledger = self.ledgers.begin(&committed);
        if self.scope.start == Start::Led {
            let scope = self.scope;
            self.scope.messages_max = Scope::MESSAGES_MAX;
            self.scope.writes_max = u8::MAX;
            state = self.lead(state)?;
            self.scope = scope;
        }
        Ok(state)
    }

    /// Checks what can be seen of a state alone, after a step has led to it.
    pub(super) fn check(&self, state: &State, step: Step) -> Result<(), Broken> {
        let facts = self.facts(state);
        checks::state(&state.memory, &self.ledgers, facts, step.node)
            .map_err(|violation| Broken { step, violation })
    }

    /// Lets node 1 be elected, and everything come to rest.
    fn lead(&mut self, mut state: State) -> Result<State, Broken> {
        let mut step = Step::of(1, Input::Timeout);
        loop {
            let mut next = Vec::new();
            self.take(&state, step, &mut next)?;
            match (next.first(), step.input) {
                (Some(&reached), _) => state = reached,
                (None, Input::Deliver(message)) => state.lose(message),
                (None, _) => unreachable!("{step:?} is within no scope"),
            }
            let mut ids = 1..=3_u8;
            let writing = ids.find(|&id| self.tables.facts(state.node(id)).writes > 0);
            let message = state.messages().next();
            step = match (writing, message) {
                (Some(id), _) => Step::of(id, Input::Persist),
                (None, Some(message)) => {
                    let to = self.tables.message_facts(message).to;
                    Step::of(to, Input::Deliver(message))
                }
                (None, None) => break,
            };
        }
        state.spent = Spent::default();
        Ok(state)
    }

    /// Everything that may happen next.
    pub(super) fn successors(
        &mut self,
        state: &State,
        next: &mut Vec<(Step, State)>,
    ) -> Result<(), Broken> {
        let mut steps = Vec::with_capacity(32);
        for message in state.messages() {
            let to = self.tables.message_facts(message).to;
            steps.push(Step::of(to, Input::Deliver(message)));
            if state.spent.duplicates < self.scope.duplicates {
                let again = true;
                let once = Step::of(to, Input::Deliver(message));
                steps.push(Step { again, ..once });
            }
        }
        for id in 1..=3 {
            self.inputs(state, id, &mut steps);
            self.installs(state, id, &mut steps);
        }
        let mut states = Vec::new();
        for step in steps {
            states.clear();
            self.take(state, step, &mut states)?;
            let count = states.len();
            for (number, &state) in states.iter().enumerate() {
                let lost = if count == 1 {
                    0
                } else {
                    u16::try_from(number + 1).unwrap_or(0)
                };
                next.push((Step { lost, ..step }, state));
            }
        }
        Ok(())
    }

    /// What may happen to a node, besides messages.
    fn inputs(&self, state: &State, id: u8, steps: &mut Vec<Step>) {
        let Scope {
            timeouts,
            proposals,
            reads,
            beats,
            crashes,
            transfers,
            changes,
            resets,
            snapshots,
            terms_max,
            elections,
            start,
            ..
        } = self.scope;
        let spent = &state.spent;
        let facts = self.tables.facts(state.node(id));
        let mut may = |input| steps.push(Step::of(id, input));
        if facts.writes > 0 {
            may(Input::Persist);
        }
        let is_first = start == Start::Fresh && spent.timeouts == 0;
        let may_campaign = spent.timeouts < timeouts
            && !facts.leads()
            && facts.term < terms_max
            && facts.promise_is_durable()
            && (!is_first || id == 1);
        if may_campaign {
            may(match elections {
                Elections::Classic => Input::Timeout,
                Elections::PreVote => Input::Campaign,
            });
        }
        if facts.leads() {
            if spent.beats < beats {
                may(Input::Beat);
            }
            if spent.proposals < proposals {
                may(Input::Propose(spent.proposals + 1));
            }
            if spent.transfers < transfers {
                (1..=3)
                    .filter(|&to| to != id)
                    .for_each(|to| may(Input::Transfer(to)));
            }
        }
        if facts.leads() && spent.changes < changes {
            (1..=3).for_each(|about| may(Input::Change(about)));
        }
        if spent.reads < reads && facts.leader != 0 {
            may(Input::Read(spent.reads + 1));
        }
        if spent.resets < resets && facts.leader != 0 && facts.leader != id {
            may(Input::Reset(facts.leader));
        }
        if spent.snapshots < snapshots && facts.applied > facts.snapshot {
            may(Input::Snapshot);
        }
        if spent.crashes < crashes {
            self.tables
                .node(state.node(id))
                .crashes()
                .into_iter()
                .for_each(may);
        }
    }

    /// The snapshots that may arrive at a node. Whether their owner leads and was asked is not looked at:
    /// a snapshot may be late, and come from one that leads no more.
    fn installs(&mut self, state: &State, id: u8, steps: &mut Vec<Step>) {
        if state.spent.installs >= self.scope.installs {
            return;
        }
        for from in (1..=3).filter(|&from| from != id) {
            let facts = self.tables.facts(state.node(from));
            if facts.snapshot > self.tables.facts(state.node(id)).commit {
                let snapshot = self.tables.snapshot(state.node(from));
                steps.push(Step::of(id, Input::Install(snapshot)));
            }
        }
    }

    /// Takes one step. There are several states behind it if messages must be lost.
    pub(super) fn take(
        &mut self,
        state: &State,
        step: Step,
        next: &mut Vec<State>,
    ) -> Result<(), Broken> {
        let from = state.node(step.node);
        let number = self.tables.react(from, step.input);
        let outcome = self.tables.outcome(number);
        let broken = |violation| Broken { step, violation };
        if let Some(broken_by) = &outcome.broken {
            let property = "sound-inputs";
            let detail = format!("n{}: {broken_by}", step.node);
            return Err(broken(Violation { property, detail }));
        }
        let after = self.tables.facts(outcome.node);
        if after.term > self.scope.terms_max || after.writes > self.scope.writes_max {
            return Ok(());
        }
        let is_delivery = matches!(step.input, Input::Deliver(_));
        if is_delivery && outcome.node == from && outcome.sent.is_empty() {
            // To lose the message is the same.
            return Ok(());
        }
        let mut state_next = *state;
        state_next.nodes[usize::from(step.node) - 1] = outcome.node;
        spend(&mut state_next.spent, step);
        let memory = &mut state_next.memory;
        if let Input::Read(number) = step.input {
            let floor = self.ledgers.count(memory.ledger);
            begin_read(memory, number, step.node, floor);
        }
        for &message in &outcome.sent {
            let message = self.tables.message_facts(message);
            checks::sent(memory, message, after, self.scope.check_claims).map_err(broken)?;
        }
        checks::remember(memory, &mut self.ledgers, after, step.node).map_err(broken)?;
        for &(number, index) in &outcome.served {
            checks::served(memory, number, index).map_err(broken)?;
        }
        end_reads(memory, outcome, step);
        let network = &mut self.network;
        network.clear();
        let left = |&message: &MessageId| step.again || Input::Deliver(message) != step.input;
        network.extend(
            state
                .messages()
                .filter(left)
                .chain(outcome.sent.iter().copied()),
        );
        network.sort_unstable();
        network.dedup();
        let kept = usize::from(self.scope.messages_max);
        keep_some(network, kept, &mut |network| {
            let mut chosen = state_next;
            chosen.network = [NO_MESSAGE; MESSAGES];
            chosen.network[..network.len()].copy_from_slice(network);
            next.push(chosen);
        });
        Ok(())
    }

    pub(super) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Whether a read was served by a step that was taken.
    pub(super) fn serves(&mut self, before: &State, step: Step) -> bool {
        let outcome = self.tables.react(before.node(step.node), step.input);
        !self.tables.outcome(outcome).served.is_empty()
    }

    /// The facts of the three nodes.
    pub(super) fn facts(&self, state: &State) -> [&Facts; NODES] {
        state.nodes.map(|node| self.tables.facts(node))
    }
}

fn spend(spent: &mut Spent, step: Step) {
    match step.input {
        Input::Deliver(_) => spent.duplicates += u8::from(step.again),
        Input::Persist => {}
        Input::Campaign | Input::Timeout => spent.timeouts += 1,
        Input::Beat => spent.beats += 1,
        Input::Propose(_) => spent.proposals += 1,
        Input::Read(_) => spent.reads += 1,
        Input::Transfer(_) => spent.transfers += 1,
        Input::Change(_) => spent.changes += 1,
        Input::Reset(_) => spent.resets += 1,
        Input::Snapshot => spent.snapshots += 1,
        Input::Install(_) => spent.installs += 1,
        Input::Crash { .. } => spent.crashes += 1,
    }
}

fn begin_read(memory: &mut Memory, number: u8, node: u8, floor: u8) {
    if let Some(free) = memory.reads.iter_mut().find(|read| read.number == 0) {
        *free = WaitingRead {
            number,
            node,
            floor,
        };
    }
}

/// Forgets reads that were answered, or that died with their node.
fn end_reads(memory: &mut Memory, outcome: &Outcome, step: Step) {
    let crashed = matches!(step.input, Input::Crash { .. });
    for read in &mut memory.reads {
        let number = read.number;
        let is_served = outcome.served.iter().any(|&(served, _)| served == number);
        let is_over = outcome.failed.contains(&number) || (crashed && read.node == step.node);
        if is_served || is_over {
            *read = WaitingRead::default();
        }
    }
    memory
        .reads
        .sort_unstable_by_key(|read| (read.number == 0, read.number));
}

/// All ways to keep `count` of the messages, or all of them if there are no more.
fn keep_some(messages: &[MessageId], count: usize, keep: &mut impl FnMut(&[MessageId])) {
    if messages.len() <= count {
        keep(messages);
        return;
    }
    let mut chosen = Vec::with_capacity(count);
    choose(messages, count, &mut chosen, keep);
}

fn choose(
    messages: &[MessageId],
    count: usize,
    chosen: &mut Vec<MessageId>,
    keep: &mut impl FnMut(&[MessageId]),
) {
    if chosen.len() == count {
        keep(chosen);
        return;
    }
    let missing = count - chosen.len();
    for (place, &message) in messages.iter().enumerate() {
        let rest = &messages[place + 1..];
        if rest.len() + 1 < missing {
            break;
        }
        chosen.push(message);
        choose(rest, count, chosen, keep);
        chosen.pop();
    }
}
