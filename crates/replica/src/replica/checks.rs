//! Comparing the state with other members': see [`crate::consistency`].

use buggify::Canary;
use raft::{LogIndex, NodeId};

use crate::consistency::{SCHEME, StateHash, Verdict};
use crate::message::PeerMessage;

use super::Replica;

impl Replica {
    /// After an entry: hashes the state if it is one that all replicas hash it after, and tells the
    /// others.
    pub(super) fn check_state(&mut self, index: LogIndex) {
        let interval = self.node.config.state_check_entries;
        if interval == 0 || !index.0.is_multiple_of(interval) || self.fatal.is_some() {
            return;
        }
        let own = self.node.config.node;
        let hash = self.node.machine.rolling_hash();
        self.node.consistency.note(own, index, hash);
        let told = StateHash {
            index,
            scheme: SCHEME,
            hash,
            is_answer: false,
        };
        let members = self.raft.conf().members();
        for node in members.into_iter().filter(|node| *node != own) {
            self.messages.push((node, PeerMessage::StateHash(told)));
        }
        self.compare_states(index);
    }

    /// Another member tells its state.
    pub(super) fn state_told(&mut self, from: NodeId, told: StateHash) {
        let own = self.node.config.node;
        let is_comparable = told.scheme == SCHEME && self.raft.conf().contains(from);
        if !is_comparable || from == own {
            return;
        }
        self.node.consistency.note(from, told.index, told.hash);
        let ours = self.node.consistency.own(own, told.index);
        self.compare_states(told.index);
        if let Some(hash) = ours.filter(|hash| *hash != told.hash)
            && !told.is_answer
        {
            let answer = StateHash {
                hash,
                is_answer: true,
                ..told
            };
            self.messages.push((from, PeerMessage::StateHash(answer)));
        }
    }

    fn compare_states(&mut self, index: LogIndex) {
        if buggify::canary(Canary::DifferenceUnseen) {
            return;
        }
        let own = self.node.config.node;
        let conf = self.raft.conf();
        let verdict = self.node.consistency.compare(own, conf, index);
        self.node.consistency.trim(conf, own);
        match verdict {
            None => {}
            Some(Verdict::WeDiffer(others)) => {
                let ours = self.node.consistency.own(own, index).unwrap_or_default();
                self.fatal = Some(format!(
                    "after entry {index} this node's data differs from that of a majority (nodes {}; hash here \
                     {ours:016x}): its memory, its disk or this program has failed. Start it once more: it makes its \
                     data anew from its snapshot and its log. If it stops with this line again, replace it by \
                     `quorate serve --join HOST:PORT --replace {}` with an empty --data-dir, and keep the old one for \
                     a report",
                    list(&others),
                    own.0
                ));
            }
            Some(Verdict::TheyDiffer(others)) => {
                tracing::error!(
                    index = index.0,
                    nodes = list(&others),
                    "the data of other nodes differs from that of the majority, which has what this node has: \
                     they stop by themselves"
                );
            }
            Some(Verdict::Undecided(others)) => {
                tracing::error!(
                    index = index.0,
                    nodes = list(&others),
                    "the data of other nodes differs from this node's, and no majority agrees: nobody can tell \
                     which is right. Back up every node's data directory before anything else"
                );
            }
        }
    }
}

fn list<'a>(nodes: impl IntoIterator<Item = &'a NodeId>) -> String {
    let ids: Vec<String> = nodes.into_iter().map(|node| node.0.to_string()).collect();
    ids.join(", ")
}
