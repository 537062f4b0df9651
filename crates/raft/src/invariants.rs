//! What must hold between inputs. A violation is a bug in this crate: the process must stop before
//! it spreads, so these are assertions, with the values in the message. Nothing here depends on
//! what a peer has sent but was not accepted.

use crate::quorum;
use crate::raft::{Leader, Raft, State};
use crate::types::{LogIndex, NodeId};

/// Checks all that can be checked without walking the log.
pub(crate) fn check(raft: &Raft) {
    raft.log.check();
    raft.writes.check();
    let (base, snapshot) = (raft.log.base(), raft.snapshot.last);
    assert!(
        base.index <= snapshot.index && snapshot.index <= raft.log.applied(),
        "positions are out of order: the log begins behind {base}, the snapshot ends with \
         {snapshot}, applied {}",
        raft.log.applied()
    );
    let last = raft.log.last();
    assert!(
        last.term <= raft.term,
        "the log ends with {last}, but the term is {}",
        raft.term
    );
    let written = raft.writes.written_promise();
    assert!(
        written.term <= raft.term,
        "{written:?} was written in term {}",
        raft.term
    );
    match &raft.state {
        State::Follower(follower) => {
            assert!(
                follower.leader != Some(raft.config.id),
                "a follower of itself in term {}",
                raft.term
            );
        }
        State::PreCandidate(votes) => {
            assert!(!votes.is_empty(), "a pre-candidate that did not ask itself");
        }
        State::Candidate(_) => {
            assert!(
                raft.vote == Some(raft.config.id),
                "a candidate that voted for {:?}",
                raft.vote
            );
        }
        State::Leader(leader) => check_leader(raft, leader),
    }
}

fn check_leader(raft: &Raft, leader: &Leader) {
    let (id, last) = (raft.config.id, raft.log.last());
    assert!(
        raft.vote == Some(id),
        "a leader that voted for {:?}",
        raft.vote
    );
    assert!(
        raft.writes.durable_promise() == raft.promise(),
        "a leader of term {} whose durable promise is {:?}",
        raft.term,
        raft.writes.durable_promise()
    );
    assert_eq!(
        last.term, raft.term,
        "a leader without an entry of its own term"
    );
    assert!(
        leader.term_start <= last.index,
        "the term starts behind the log"
    );
    assert!(
        !leader.progress.contains_key(&id),
        "a leader that follows itself"
    );
    for progress in leader.progress.values() {
        progress.check(last.index);
        assert!(
            progress.round <= leader.round,
            "a round was answered before it began"
        );
    }
    if let Some(transfer) = &leader.transfer {
        assert!(transfer.to != id, "a transfer to the leader itself");
    }
    let lacks = |node: &NodeId| *node != id && !leader.progress.contains_key(node);
    let unknown = raft.confs.latest().members().into_iter().find(lacks);
    assert!(unknown.is_none(), "a leader that does not know {unknown:?}");
    check_commit(raft, leader);
}

/// Committed in this term means durable on a quorum (QuorumLogInv of the Raft proof): of the
/// configuration in force then, which is the one at the commit index or a later one.
fn check_commit(raft: &Raft, leader: &Leader) {
    let (id, commit) = (raft.config.id, raft.log.commit());
    if commit < leader.term_start {
        return;
    }
    let held = |conf| {
        quorum::reached(conf, |voter| {
            let matched = leader
                .progress
                .get(&voter)
                .map_or(LogIndex(0), |peer| peer.match_index);
            if voter == id {
                raft.log.durable()
            } else {
                matched
            }
        })
    };
    let most = raft.confs.since(commit).map(held).max();
    assert!(
        most >= Some(commit),
        "{commit} is committed, but a quorum holds only {most:?}"
    );
}
