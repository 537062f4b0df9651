//! Three nodes of our Raft. Their disks are done at once.

use bytes::Bytes;
use raft::{Config, EntryKind, Envelope, NodeId, Raft, Recovered};

use crate::{Group, NODES, PAYLOAD};

pub(crate) struct Ours {
    /// The first leads.
    nodes: Vec<Raft>,
    applied: Vec<u64>,
    mail: Vec<Envelope>,
}

impl Group for Ours {
    fn elected() -> Ours {
        let voters: Vec<NodeId> = (1..=NODES).map(NodeId).collect();
        let start = |id: &NodeId| {
            let config = Config::new(*id, voters.iter().copied());
            Raft::new(config, Recovered::default()).expect("a good configuration")
        };
        let mut group = Ours {
            nodes: voters.iter().map(start).collect(),
            applied: vec![0; voters.len()],
            mail: Vec::new(),
        };
        group.nodes[0].campaign();
        group.settle();
        assert!(group.nodes[0].is_leader());
        group
    }

    fn replicate(&mut self, entries: usize) {
        for _ in 0..entries {
            let payload = Bytes::copy_from_slice(&PAYLOAD);
            let proposed = self.nodes[0].propose(EntryKind::Batch, payload, 1);
            proposed.expect("a leader with room");
        }
        self.settle();
    }

    fn applied(&self) -> u64 {
        self.applied.iter().copied().min().unwrap_or(0)
    }
}

impl Ours {
    fn settle(&mut self) {
        loop {
            for node in 0..self.nodes.len() {
                self.drain(node);
            }
            if self.mail.is_empty() {
                return;
            }
            for envelope in std::mem::take(&mut self.mail) {
                let to = envelope.to.0 as usize - 1;
                self.nodes[to].step(envelope).expect("a message of a peer");
            }
        }
    }

    fn drain(&mut self, node: usize) {
        let raft = &mut self.nodes[node];
        while let Some(ready) = raft.ready() {
            self.mail.extend(ready.messages);
            if let Some(persist) = ready.persist {
                raft.persisted(persist.write);
                self.mail.extend(persist.messages);
            }
            if let Some(last) = ready.apply.last() {
                raft.applied(last.id.index);
                self.applied[node] += ready.apply.len() as u64;
            }
        }
    }
}
