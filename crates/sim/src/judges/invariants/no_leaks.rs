//! When a run is over and all is quiet, nothing is left waiting: no read, no batch, no message for a disk
//! that has nothing to write, no entry that is not committed although there is none behind the commit
//! index. What is left then would be left for ever (raft pull request 31, hashicorp raft issue 612).

use raft::Status;
use replica::{Metrics, Replica};

use crate::judges::{Fact, Judge, Shadow, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct NoLeaks {}

impl NoLeaks {
    /// The run is over, all clients are answered, and these nodes run.
    ///
    /// # Errors
    /// If something is left on one of them.
    pub fn finish(&mut self, replicas: &[&Replica], shadow: &Shadow) -> Result<(), Violation> {
        let left = replicas
            .iter()
            .find_map(|replica| left_over(replica, shadow));
        left.map_or(Ok(()), |left| violation(self, || left))
    }
}

/// What still waits on a node, if anything does. Once the cluster is whole and idle it must go away by
/// itself: a gateway hands a batch over again when its patience ends, even if the client that it is for
/// is long gone.
pub fn left_over(replica: &Replica, shadow: &Shadow) -> Option<String> {
    let status = replica.raft().status();
    // The log's own time may move on at any moment, with an entry of the leader's.
    let disk_is_idle = shadow.node(status.id).is_idle();
    let held = if disk_is_idle {
        replica.held_messages()
    } else {
        0
    };
    waiting(&status, &replica.metrics(), held)
}

fn waiting(status: &Status, metrics: &Metrics, held: usize) -> Option<String> {
    let end = status.last.index;
    let is_settled = status.commit == end && status.durable == end;
    let uncommitted = if is_settled {
        status.uncommitted_bytes
    } else {
        0
    };
    // A follower may have asked again for what was on its way to it: that is answered in a moment.
    let reads = status.reads_waiting.saturating_sub(2 * status.peers.len());
    let waiting = [
        ("reads in Raft", reads as u64),
        ("reads at the gateway", metrics.reads_waiting),
        ("batches at the gateway", metrics.batches_unapplied),
        ("bytes of batches", metrics.unapplied_bytes),
        ("messages for the disk", held as u64),
        ("bytes of uncommitted entries", uncommitted as u64),
    ];
    let (what, count) = waiting.iter().find(|(_, count)| *count > 0)?;
    Some(format!("{count} {what} are left on {}", status.id))
}

impl Judge for NoLeaks {
    fn property(&self) -> &'static str {
        "no_leaks"
    }

    fn see(&mut self, _: &Fact<'_>, _: &Shadow) -> Result<(), Violation> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, replica_that_has_applied};
    use raft::LogIndex;

    #[test]
    fn a_replica_that_has_done_all_is_well() {
        let mut made_up = MadeUp::new(1, NoLeaks::default());
        let replica = replica_that_has_applied();
        assert_eq!(made_up.judge.finish(&[&replica], &made_up.shadow), Ok(()));
    }

    #[test]
    fn whatever_is_left_is_noticed() {
        let well = replica_that_has_applied().raft().status();
        let busy = Status {
            uncommitted_bytes: 64,
            ..well.clone()
        };
        let under_way = Status {
            commit: LogIndex(0),
            ..busy.clone()
        };
        let reading = Status {
            reads_waiting: 1,
            ..well.clone()
        };
        let none = Metrics::default();
        let metrics = [
            Metrics {
                reads_waiting: 1,
                ..none
            },
            Metrics {
                batches_unapplied: 1,
                ..none
            },
            Metrics {
                unapplied_bytes: 1,
                ..none
            },
        ];
        assert_eq!(waiting(&under_way, &none, 0), None);
        assert!(waiting(&busy, &none, 0).is_some());
        assert!(waiting(&reading, &none, 0).is_some());
        assert!(waiting(&well, &none, 1).is_some());
        for left in metrics {
            assert!(waiting(&well, &left, 0).is_some(), "{left:?}");
        }
    }
}
