//! Three nodes of raft-rs over its own `MemStorage`.

use raft_rs::eraftpb::{Entry, Message};
use raft_rs::storage::MemStorage;
use raft_rs::{Config, RawNode, StateRole};
use slog::{Discard, Logger};

use crate::{Group, NODES, PAYLOAD};

/// Entries that are kept behind what is applied, and how many more there are when the rest goes.
const LOG_KEPT: u64 = 10_000;

pub(crate) struct Theirs {
    /// The first leads.
    nodes: Vec<RawNode<MemStorage>>,
    applied: Vec<u64>,
    mail: Vec<Message>,
}

impl Group for Theirs {
    fn elected() -> Theirs {
        let voters: Vec<u64> = (1..=NODES).collect();
        let start = |id: &u64| {
            let config = Config {
                id: *id,
                max_size_per_msg: 1 << 20,
                max_inflight_msgs: 256,
                pre_vote: true,
                check_quorum: true,
                ..Config::default()
            };
            let storage = MemStorage::new_with_conf_state((voters.clone(), Vec::new()));
            let logger = Logger::root(Discard, slog::o!());
            RawNode::new(&config, storage, &logger).expect("a good configuration")
        };
        let mut group = Theirs {
            nodes: voters.iter().map(start).collect(),
            applied: vec![0; voters.len()],
            mail: Vec::new(),
        };
        group.nodes[0].campaign().expect("it may");
        group.settle();
        assert_eq!(group.nodes[0].raft.state, StateRole::Leader);
        group
    }

    fn replicate(&mut self, entries: usize) {
        for _ in 0..entries {
            let proposed = self.nodes[0].propose(Vec::new(), PAYLOAD.to_vec());
            proposed.expect("a leader with room");
        }
        self.settle();
    }

    fn applied(&self) -> u64 {
        self.applied.iter().copied().min().unwrap_or(0)
    }
}

impl Theirs {
    fn settle(&mut self) {
        loop {
            for node in 0..self.nodes.len() {
                self.drain(node);
            }
            if self.mail.is_empty() {
                return;
            }
            for message in std::mem::take(&mut self.mail) {
                let to = message.to as usize - 1;
                self.nodes[to].step(message).expect("a message of a peer");
            }
        }
    }

    fn drain(&mut self, node: usize) {
        while self.nodes[node].has_ready() {
            let raft = &mut self.nodes[node];
            let mut ready = raft.ready();
            self.mail.append(&mut ready.take_messages());
            let mut committed = ready.take_committed_entries();
            {
                let mut storage = raft.store().wl();
                storage.append(ready.entries()).expect("entries in order");
                if let Some(hard_state) = ready.hs() {
                    storage.set_hardstate(hard_state.clone());
                }
            }
            self.mail.append(&mut ready.take_persisted_messages());
            let mut light = raft.advance(ready);
            if let Some(commit) = light.commit_index() {
                raft.store().wl().mut_hard_state().commit = commit;
            }
            self.mail.append(&mut light.take_messages());
            committed.append(&mut light.take_committed_entries());
            raft.advance_apply();
            self.apply(node, &committed);
        }
    }

    fn apply(&mut self, node: usize, committed: &[Entry]) {
        self.applied[node] += committed.len() as u64;
        let Some(last) = committed.last() else { return };
        if last.index % (2 * LOG_KEPT) < committed.len() as u64 && last.index > 2 * LOG_KEPT {
            let kept = last.index - LOG_KEPT;
            self.nodes[node]
                .store()
                .wl()
                .compact(kept)
                .expect("an index of the log");
        }
    }
}
