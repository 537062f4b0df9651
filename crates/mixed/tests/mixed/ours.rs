//! One of our nodes.

use bytes::Bytes;
use raft::{Config, Entry, EntryKind, NodeId, Persist, Raft, ReadRequestId, ReadToken, WriteId};

use crate::disk::{Durable, Write};
use crate::member::{Belief, Member, Output, Settings};
use crate::translate::{Translator, Wire};

#[derive(Debug)]
pub(crate) struct Ours {
    raft: Raft,
}

impl Ours {
    pub(crate) fn start(settings: &Settings, durable: &Durable) -> Result<Ours, String> {
        let mut config = Config::new(settings.id, settings.voters.iter().copied());
        config.seed = settings.seed;
        config.election_timeout_ticks_min = settings.election_timeout_ticks;
        config.election_timeout_ticks_max = 2 * settings.election_timeout_ticks;
        config.heartbeat_ticks = settings.heartbeat_ticks;
        config.append_bytes_max = settings.append_bytes_max;
        config.inflight_messages_max = settings.inflight_messages_max;
        config.log_cache_bytes_max = settings.cache_bytes_max;
        config.apply_bytes_max = settings.cache_bytes_max;
        config.bootstrap = Bytes::from_static(b"birth");
        let raft = Raft::new(config, durable.recovered()).map_err(|error| error.to_string())?;
        Ok(Ours { raft })
    }
}

impl Member for Ours {
    fn step(&mut self, wire: &Wire, translator: &mut Translator) -> Result<(), String> {
        match translator.for_ours(wire)? {
            Some(envelope) => self.raft.step(envelope).map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    fn tick(&mut self) {
        self.raft.tick();
    }

    fn propose(&mut self, payload: Bytes, wall_ms: u64) -> bool {
        self.raft
            .propose(EntryKind::Batch, payload, wall_ms)
            .is_ok()
    }

    fn read(&mut self, token: u64) {
        // Without a leader, the read is lost, as any read may be.
        let _ = self.raft.read_index(ReadToken(token));
    }

    fn transfer(&mut self, to: NodeId) {
        // Refused if one is under way.
        let _ = self.raft.transfer_leadership(Some(to));
    }

    fn peer_reset(&mut self, peer: NodeId) {
        self.raft.peer_reset(peer);
    }

    fn peer_connected(&mut self, peer: NodeId) {
        self.raft.peer_connected(peer);
    }

    fn persisted(&mut self, number: u64) {
        self.raft.persisted(WriteId(number));
    }

    fn entries_read(&mut self, request: ReadRequestId, entries: Vec<Entry>) {
        self.raft.entries_read(request, entries);
    }

    fn drain(&mut self) -> Result<Option<Output>, String> {
        let Some(ready) = self.raft.ready() else {
            self.raft.check_invariants();
            return Ok(None);
        };
        if let Some(last) = ready.apply.last() {
            self.raft.applied(last.id.index);
        }
        Ok(Some(Output {
            messages: ready.messages.into_iter().map(Wire::Ours).collect(),
            write: ready.persist.map(write),
            applied: ready.apply,
            reads: ready
                .reads
                .into_iter()
                .map(|(token, index)| (token.0, index))
                .collect(),
            read_entries: ready.read_entries,
        }))
    }

    fn belief(&self) -> Belief {
        Belief {
            term: self.raft.term(),
            leader: self.raft.leader(),
            leads: self.raft.is_leader(),
        }
    }
}

fn write(persist: Persist) -> Write {
    Write {
        number: persist.write.0,
        hard_state: persist.hard_state,
        truncate_from: persist.truncate_from,
        entries: persist.entries,
        sync: persist.sync,
        atomic: false,
        messages: persist.messages.into_iter().map(Wire::Ours).collect(),
    }
}
