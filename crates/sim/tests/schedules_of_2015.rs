//! The three schedules by which Raft's changes of one member lost what was committed, until Ongaro
//! corrected the thesis in 2015: played with the mistake switched on, and without it.
//!
//! In each, node 1 leads term 1 and appends a change that few hear of. Node 2 is elected without it, and
//! changes the members as well. Then node 1 wins again, by a majority that has no node in common with the
//! one that committed node 2's change. The rule that prevents it: no change before an entry of the
//! leader's own term is committed.

use std::collections::{BTreeMap, VecDeque};

use buggify::Canary;
use bytes::Bytes;
use raft::{
    Config, EntryId, Envelope, Heartbeat, LogIndex, MembershipChange, MembershipError, Message,
    NodeId, Raft, Recovered, Round, Session, Term, TimeoutNow,
};

/// Nodes with disks that write at once, and what is committed.
struct Group {
    nodes: BTreeMap<NodeId, Raft>,
    network: VecDeque<Envelope>,
    committed: BTreeMap<LogIndex, EntryId>,
    /// Two entries were committed at one index.
    is_split: bool,
}

impl Group {
    /// Voters 1 to 4, led by node 1, and the learners, who have everything.
    fn led(learners: &[u64]) -> Group {
        let voters = (1..=4).map(NodeId);
        let all = voters.clone().chain(learners.iter().copied().map(NodeId));
        let start = |id| {
            let mut config = Config::new(id, voters.clone());
            if !config.conf.contains(id) {
                config.conf = raft::ConfState::default();
            }
            Raft::new(config, Recovered::default()).expect("an empty disk")
        };
        let mut group = Group {
            nodes: all.map(|id| (id, start(id))).collect(),
            network: VecDeque::new(),
            committed: BTreeMap::new(),
            is_split: false,
        };
        let everybody = [1, 2, 3, 4, 5, 6];
        group.with(1, Raft::campaign);
        group.exchange(&everybody);
        for &learner in learners {
            group
                .change(1, MembershipChange::AddLearner(NodeId(learner)))
                .expect("nothing is under way");
            group.exchange(&everybody);
        }
        group
    }

    fn with<T>(&mut self, id: u64, act: impl FnOnce(&mut Raft) -> T) -> T {
        let raft = self.nodes.get_mut(&NodeId(id)).expect("a node");
        let result = act(raft);
        while let Some(ready) = raft.ready() {
            self.network.extend(ready.messages);
            if let Some(persist) = ready.persist {
                raft.persisted(persist.write);
                self.network.extend(persist.messages);
            }
            for entry in &ready.apply {
                let known = self.committed.entry(entry.id.index).or_insert(entry.id);
                self.is_split |= *known != entry.id;
                raft.applied(entry.id.index);
            }
        }
        result
    }

    /// Everything that these nodes say to each other arrives; all else is lost.
    fn exchange(&mut self, among: &[u64]) {
        while let Some(envelope) = self.network.pop_front() {
            let is_heard = among.contains(&envelope.from.0) && among.contains(&envelope.to.0);
            if is_heard && self.nodes.contains_key(&envelope.to) {
                let to = envelope.to.0;
                // An honest message may be refused when the mistake has done its work.
                let _ = self.with(to, |raft| raft.step(envelope));
            }
        }
    }

    fn say(&mut self, from: u64, to: u64, message: impl Into<Message>) {
        let raft = &self.nodes[&NodeId(to)];
        let envelope = Envelope {
            cluster: raft.config().cluster,
            group: raft.config().group,
            from: NodeId(from),
            to: NodeId(to),
            message: message.into(),
        };
        let _ = self.with(to, |raft| raft.step(envelope));
    }

    /// The node campaigns, however lively its leader is, and asks these for their votes.
    fn elect(&mut self, id: u64, leader: u64, by: &[u64]) {
        let term = self.nodes[&NodeId(id)].term();
        self.say(leader, id, TimeoutNow { term });
        while let Some(envelope) = self.network.pop_front() {
            let is_vote = matches!(
                envelope.message,
                Message::RequestVote(_) | Message::RequestVoteResponse(_)
            );
            let is_heard = by.contains(&envelope.from.0) && by.contains(&envelope.to.0);
            if is_vote && is_heard {
                let to = envelope.to.0;
                let _ = self.with(to, |raft| raft.step(envelope));
            }
        }
    }

    fn change(&mut self, at: u64, change: MembershipChange) -> Result<EntryId, MembershipError> {
        self.with(at, |raft| raft.propose_membership(change, Bytes::new()))
    }
}

struct Schedule {
    learners: &'static [u64],
    /// What node 1 appends, and who hears of it.
    first: MembershipChange,
    heard_by: &'static [u64],
    /// What node 2 appends, elected by nodes 2 to 4, and who commits it.
    second: MembershipChange,
    committed_by: &'static [u64],
    /// Who elects node 1 again.
    again: &'static [u64],
}

fn schedules() -> [Schedule; 3] {
    let promote = |id| MembershipChange::Promote(NodeId(id));
    let demote = |id| MembershipChange::Demote(NodeId(id));
    [
        Schedule {
            learners: &[5],
            first: promote(5),
            heard_by: &[1, 5],
            second: demote(1),
            committed_by: &[2, 3],
            again: &[1, 4, 5],
        },
        Schedule {
            learners: &[5, 6],
            first: promote(5),
            heard_by: &[1, 5],
            second: promote(6),
            committed_by: &[2, 3, 6],
            again: &[1, 4, 5],
        },
        Schedule {
            learners: &[],
            first: demote(4),
            heard_by: &[1],
            second: demote(1),
            committed_by: &[2, 4],
            again: &[1, 3],
        },
    ]
}

impl Schedule {
    /// Plays it up to the change of node 2, and returns what became of that.
    fn play(&self, group: &mut Group) -> Result<EntryId, MembershipError> {
        group
            .change(1, self.first.clone())
            .expect("nothing is under way");
        group.exchange(self.heard_by);
        group.elect(2, 1, &[2, 3, 4]);
        assert!(group.nodes[&NodeId(2)].is_leader());
        // Who is to vote must have been heard of.
        if let MembershipChange::Promote(NodeId(learner)) = self.second {
            group.with(2, |raft| (0..2).for_each(|_| raft.tick()));
            group.exchange(&[2, learner]);
        }
        group.change(2, self.second.clone())
    }

    /// Plays the rest.
    fn finish(&self, group: &mut Group) {
        group.with(2, |raft| (0..2).for_each(|_| raft.tick()));
        group.exchange(self.committed_by);
        let heartbeat = Heartbeat {
            term: Term(2),
            commit: LogIndex(0),
            round: Round(0),
            session: Session(0),
        };
        group.say(2, 1, heartbeat);
        group.elect(1, 2, self.again);
        if group.nodes[&NodeId(1)].is_leader() {
            group.with(1, |raft| (0..2).for_each(|_| raft.tick()));
            group.exchange(self.again);
        }
    }
}

#[test]
fn without_the_rule_what_was_committed_is_lost() {
    let _armed = buggify::arm(
        Some(Canary::ChangeBeforeOwnTermCommit),
        &[],
        Box::new(|_| false),
    );
    for (number, schedule) in schedules().iter().enumerate() {
        let mut group = Group::led(schedule.learners);
        schedule
            .play(&mut group)
            .unwrap_or_else(|error| panic!("schedule {number}: {error}"));
        schedule.finish(&mut group);
        assert!(group.is_split, "schedule {number}: {:?}", group.committed);
    }
}

#[test]
fn with_the_rule_the_change_waits_and_nothing_is_lost() {
    for (number, schedule) in schedules().iter().enumerate() {
        let mut group = Group::led(schedule.learners);
        let refused = schedule.play(&mut group);
        let expected = MembershipError::NewLeader { term: Term(2) };
        assert_eq!(refused, Err(expected), "schedule {number}");
        // The entry of the own term is committed by a majority of the old members, among them one of
        // those whom node 1 needs.
        group.with(2, |raft| (0..2).for_each(|_| raft.tick()));
        group.exchange(&[2, 3, 4]);
        group
            .change(2, schedule.second.clone())
            .expect("now it is allowed");
        schedule.finish(&mut group);
        assert!(!group.is_split, "schedule {number}: {:?}", group.committed);
        assert!(!group.nodes[&NodeId(1)].is_leader(), "schedule {number}");
    }
}
