//! The time of entries never falls along a log, whatever the clocks of leaders do: keys expire by it, and
//! what has expired must not come back.

use raft::LogIndex;
use wal::RecordKind;

use crate::judges::{Fact, Judge, Shadow, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct LogTime {}

impl Judge for LogTime {
    fn property(&self) -> &'static str {
        "log_time"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        let Fact::Handed { node, write } = *fact else {
            return Ok(());
        };
        let entries = write
            .records
            .iter()
            .filter(|record| record.kind == RecordKind::Entry);
        for record in entries {
            let previous = shadow.node(node).held(LogIndex(record.index).previous());
            if let Some(previous) = previous.filter(|previous| previous.time_ms > record.stamp) {
                return violation(self, || {
                    let (index, time, before) = (record.index, record.stamp, previous.time_ms);
                    format!("{node} has time {time} ms at {index}, behind {before} ms")
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, entry};

    #[test]
    fn time_that_stands_still_is_well_and_time_that_falls_is_noticed() {
        let mut made_up = MadeUp::new(1, LogTime::default());
        let at = |index, time_ms| {
            let mut record = entry(1, index, "a");
            record.stamp = time_ms;
            record
        };
        made_up.hand(1, 1, &[at(1, 1000), at(2, 1000)]);
        made_up.hand(1, 2, &[at(3, 1001)]);
        made_up.is_well();
        made_up.hand(1, 3, &[at(4, 1000)]);
        made_up.fired("n1 has time 1000 ms at 4, behind 1001 ms");
    }
}
