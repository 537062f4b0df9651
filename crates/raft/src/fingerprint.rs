//! What of a replica's state decides its future, as a number: so that a search through all states
//! knows where it has been.

use std::hash::{Hash, Hasher};

use crate::raft::{Raft, State};
use crate::random::Random;

impl Raft {
    /// Feeds the state to the hasher, in a canonical form: what only counts time or names things is
    /// made equal first. Two replicas of equal fingerprints react alike to all inputs, as long as
    /// neither is given so many ticks that a timeout expires; timeouts themselves are inputs then
    /// ([`Raft::campaign`]).
    ///
    /// Left out are timers and the dice they are drawn with, names of writes and of requests to read
    /// back, and, unless `resets` says that connections are reset ([`Raft::peer_reset`]), what a
    /// follower remembers for that case only. A field that nobody thought of here is in: that makes
    /// a search longer, never wrong.
    pub fn fingerprint(&self, resets: bool, hasher: &mut impl Hasher) {
        self.canonical(resets).hash(hasher);
    }

    fn canonical(&self, resets: bool) -> Raft {
        let mut raft = self.clone();
        raft.election_elapsed = 0;
        raft.election_timeout = 0;
        raft.random = Random::new(0, raft.config.id);
        raft.config.seed = 0;
        raft.writes.rename();
        raft.read_back.rename();
        match &mut raft.state {
            State::Follower(follower) => {
                follower.reads.forget_time();
                if !resets {
                    follower.ignored_pre_vote = None;
                }
            }
            State::PreCandidate(_) | State::Candidate(_) => {}
            State::Leader(leader) => {
                for progress in leader.progress.values_mut() {
                    progress.forget_time();
                }
                if let Some(transfer) = &mut leader.transfer {
                    transfer.ticks = 0;
                }
            }
        }
        raft
    }
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;

    use super::*;
    use crate::config::{Config, Recovered};
    use crate::types::NodeId;

    fn fingerprint(raft: &Raft) -> u64 {
        let mut hasher = DefaultHasher::new();
        raft.fingerprint(false, &mut hasher);
        hasher.finish()
    }

    fn raft(id: u64, seed: u64) -> Raft {
        let mut config = Config::new(NodeId(id), (1..=3).map(NodeId));
        config.seed = seed;
        Raft::new(config, Recovered::default()).expect("an empty disk")
    }

    /// The name of the next request for a read index is drawn from the seed, and is told to others.
    fn with_equal_request_names(mut raft: Raft) -> Raft {
        raft.next_read_request = 1;
        raft
    }

    #[test]
    fn time_and_dice_are_left_out() {
        let first = with_equal_request_names(raft(1, 7));
        let mut second = with_equal_request_names(raft(1, 8));
        second.tick();
        assert_eq!(fingerprint(&first), fingerprint(&second));
    }

    #[test]
    fn what_decides_is_in() {
        let first = with_equal_request_names(raft(1, 7));
        let other_node = with_equal_request_names(raft(2, 7));
        assert_ne!(fingerprint(&first), fingerprint(&other_node));
        let mut campaigning = first.clone();
        campaigning.campaign();
        assert_ne!(fingerprint(&first), fingerprint(&campaigning));
        let asking = fingerprint(&campaigning);
        campaigning.ready();
        assert_ne!(asking, fingerprint(&campaigning), "the messages have left");
    }

    #[test]
    fn writes_are_renamed_but_not_forgotten() {
        let mut once = with_equal_request_names(raft(1, 7));
        let mut twice = once.clone();
        for raft in [&mut once, &mut twice] {
            raft.writes.start(raft.log.last().index);
        }
        let under_way = fingerprint(&once);
        let write = twice.writes.start(twice.log.last().index);
        assert_ne!(under_way, fingerprint(&twice));
        twice.writes.complete(crate::types::WriteId(write.0 - 1));
        assert_eq!(
            under_way,
            fingerprint(&twice),
            "one is under way, by another name"
        );
    }
}
