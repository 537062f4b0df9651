//! What was answered is in the log, what failed is not, and nothing is in it twice.

use std::collections::BTreeMap;

use crate::history::Outcome;
use crate::judges::Violation;
use crate::judges::witness::ledger::Entry;
use crate::judges::witness::operations::{Asked, Moment};
use crate::judges::witness::violation;

/// How often the same writes were asked, with what outcome, and how often they are in the log.
#[derive(Debug, Default)]
struct Count {
    executed: u64,
    unknown: u64,
    failed: u64,
    logged: u64,
    /// The last place in the log.
    place: (u64, u32),
    /// One of the operations.
    op: Option<usize>,
    /// One that failed.
    failed_op: Option<usize>,
}

/// The same writes are in the log at least as often as they were executed, and at most as often as
/// they may have been. As writes carry values that are used once, this is mostly 0 and 1; for
/// counters it says that as many increments took effect as were answered, and unknown ones beside.
pub(super) fn counts(asked: &[Asked<'_>], entries: &[Entry<'_>]) -> Result<(), Violation> {
    let mut counts: BTreeMap<Vec<u8>, Count> = BTreeMap::new();
    for this in asked.iter().filter(|asked| asked.is_write) {
        let mut signature = Vec::new();
        this.writes().for_each(|call| call.sign(&mut signature));
        let count = counts.entry(signature).or_default();
        count.op = Some(this.op);
        match (&this.operation.outcome, this.moment) {
            (Outcome::Done(_), _) | (_, Some(_)) => count.executed += 1,
            (Outcome::Open | Outcome::Unknown(_), None) => count.unknown += 1,
            (Outcome::Failed(_), None) => {
                count.failed += 1;
                count.failed_op = Some(this.op);
            }
        }
    }
    let mut signature = Vec::new();
    for (index, entry) in (1..).zip(entries) {
        for (order, record) in (0..).zip(&entry.records) {
            if record.calls.is_empty() {
                continue;
            }
            signature.clear();
            record
                .calls
                .iter()
                .for_each(|call| call.sign(&mut signature));
            let Some(count) = counts.get_mut(&signature) else {
                let call = &record.calls[0];
                let moment = Moment {
                    index,
                    order,
                    is_write: true,
                };
                return Err(violation(
                    "nothing from nowhere",
                    format!("nobody asked {call}, which is {moment}"),
                ));
            };
            count.logged += 1;
            count.place = (index, order);
        }
    }
    let mut wrong: Vec<&Count> = counts.values().filter(|count| !count.is_right()).collect();
    wrong.sort_by_key(|count| count.place);
    wrong
        .first()
        .map_or(Ok(()), |count| Err(count.wrong(asked)))
}

impl Count {
    fn is_right(&self) -> bool {
        (self.executed..=self.executed + self.unknown).contains(&self.logged)
    }

    fn wrong(&self, asked: &[Asked<'_>]) -> Violation {
        let property = if self.logged < self.executed {
            "acknowledged is present"
        } else if self.failed > 0 {
            "failure is absent"
        } else {
            "exactly once"
        };
        let op = match property {
            "failure is absent" => self.failed_op,
            _ => self.op,
        };
        let what = op.map_or_else(String::new, |op| asked[op].to_string());
        let Count {
            executed,
            unknown,
            failed,
            logged,
            place,
            ..
        } = self;
        violation(
            property,
            format!(
                "{what}: asked and executed {executed} times, perhaps {unknown} more, failed \
                 {failed} times; in the log {logged} times, last as record {} of entry {}",
                place.1, place.0
            ),
        )
    }
}
