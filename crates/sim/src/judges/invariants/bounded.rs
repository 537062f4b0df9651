//! What waits is bounded by what was configured: entries under way to followers, entries that are not
//! committed, entries in memory, reads that wait, messages that wait for the disk. Looked at every
//! [`INTERVAL`] steps.

use raft::{Entry, PeerStatus, Status};
use replica::{Config, Metrics};

use crate::judges::shadow::NodeShadow;
use crate::judges::{Fact, Judge, Shadow, Violation, violation};

/// Steps between looks. Not a multiple of any number of nodes that take turns.
pub const INTERVAL: u64 = 61;

/// Appends under way to one follower, and their bytes: constants of the production code.
const INFLIGHT_MESSAGES_MAX: usize = 256;
const INFLIGHT_BYTES_MAX: usize = 8 << 20;

/// Reads of followers that a leader keeps waiting (a constant of the production code), and as many
/// groups of its own: they only wait in groups by round.
const READS_WAITING_MAX: usize = 2 * 4096;

/// Messages that wait for the disk: answers to heartbeats, while a new term is not durable. A disk that
/// stalls for a minute keeps fewer back than this.
const HELD_MESSAGES_MAX: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub struct Bounded {}

/// Something that waits, how much of it, and how much may.
type Measure = (&'static str, usize, usize);

fn measures(
    status: &Status,
    metrics: &Metrics,
    held: usize,
    config: &Config,
    node: &NodeShadow,
) -> [Measure; 7] {
    // A forwarded batch may be twice the size of the largest entry: its commands are small ones.
    let entry_max = config.entry_bytes_max.max(config.batch_bytes_max) * 2 + Entry::OVERHEAD_BYTES;
    let unapplied_max = config.unapplied_bytes_max;
    let most = |of: fn(&PeerStatus) -> usize| status.peers.iter().map(of).max().unwrap_or(0);
    // What is not durable is kept in memory beyond the bound.
    let durable = (status.durable.0 as usize).min(node.log.len());
    let unwritten = node.log[durable..].iter();
    let unwritten: usize = unwritten
        .map(|held| held.payload.len() + Entry::OVERHEAD_BYTES)
        .sum();
    [
        (
            "appends under way",
            most(|peer| peer.inflight_messages),
            INFLIGHT_MESSAGES_MAX,
        ),
        (
            "bytes under way",
            most(|peer| peer.inflight_bytes),
            INFLIGHT_BYTES_MAX + entry_max,
        ),
        (
            "uncommitted bytes",
            status.uncommitted_bytes,
            2 * unapplied_max + entry_max,
        ),
        (
            "bytes of entries in memory",
            status.log_cache_bytes,
            unapplied_max + unwritten,
        ),
        (
            "reads waiting in Raft",
            status.reads_waiting,
            READS_WAITING_MAX,
        ),
        (
            "reads waiting at the gateway",
            metrics.reads_waiting as usize,
            READS_WAITING_MAX,
        ),
        ("messages waiting for the disk", held, HELD_MESSAGES_MAX),
    ]
}

impl Bounded {
    fn check(&self, status: &Status, measures: &[Measure]) -> Result<(), Violation> {
        match measures.iter().find(|(_, found, most)| found > most) {
            Some((what, found, most)) => violation(self, || {
                format!("{}: {found} {what}, at most {most} are allowed", status.id)
            }),
            None => Ok(()),
        }
    }
}

impl Judge for Bounded {
    fn property(&self) -> &'static str {
        "bounded"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match *fact {
            Fact::Stepped { node, replica, .. } if shadow.steps().is_multiple_of(INTERVAL) => {
                let (status, metrics) = (replica.raft().status(), replica.metrics());
                let (held, config) = (replica.held_messages(), replica.config());
                let node = shadow.node(node);
                self.check(&status, &measures(&status, &metrics, held, config, node))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, replica, view};
    use raft::{LogIndex, NodeId};

    fn check(status: &Status, metrics: &Metrics, held: usize) -> Result<(), Violation> {
        let replica = replica();
        let node = NodeShadow::default();
        let measures = measures(status, metrics, held, replica.config(), &node);
        Bounded::default().check(status, &measures)
    }

    #[test]
    fn a_replica_that_has_done_nothing_is_well() {
        let mut made_up = MadeUp::new(1, Bounded::default());
        for _ in 0..2 * INTERVAL {
            made_up.step(1, view(0, 0, 0));
        }
        made_up.is_well();
    }

    #[test]
    fn whatever_is_too_much_is_noticed() {
        let peer = PeerStatus {
            id: NodeId(2),
            voter: true,
            match_index: LogIndex(0),
            next_index: LogIndex(1),
            replicating: true,
            needs_snapshot: false,
            inflight_messages: 256,
            inflight_bytes: 8 << 20,
            quiet_ticks: 0,
            leaving: false,
        };
        let well = Status {
            peers: vec![peer],
            ..replica().raft().status()
        };
        let metrics = Metrics::default();
        assert_eq!(check(&well, &metrics, 4096), Ok(()));
        let too_much = |change: fn(&mut Status, &mut Metrics)| {
            let (mut status, mut metrics) = (well.clone(), metrics);
            change(&mut status, &mut metrics);
            check(&status, &metrics, 0)
                .expect_err("it is too much")
                .detail
        };
        let found = [
            too_much(|status, _| status.peers[0].inflight_messages += 1),
            too_much(|status, _| status.peers[0].inflight_bytes += 3 << 20),
            too_much(|status, _| status.uncommitted_bytes = 8 << 20),
            too_much(|status, _| status.log_cache_bytes = 2 << 20),
            too_much(|status, _| status.reads_waiting = 10_000),
            too_much(|_, metrics| metrics.reads_waiting = 10_000),
            check(&well, &metrics, 4097)
                .expect_err("it is too much")
                .detail,
        ];
        for (found, what) in found.iter().zip([
            "257 appends under way",
            "bytes under way",
            "uncommitted bytes",
            "bytes of entries in memory",
            "reads waiting in Raft",
            "reads waiting at the gateway",
            "4097 messages waiting for the disk",
        ]) {
            assert!(found.contains(what), "{found}");
        }
    }
}
