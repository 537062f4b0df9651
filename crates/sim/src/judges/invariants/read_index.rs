//! Nobody is shown a state from before something that anybody had been told when he asked (thesis,
//! section 6.4). By the positions that servers give: an operation is executed no earlier in the log than
//! any operation that was acknowledged before it was invoked; a write, strictly later.
//!
//! It takes the servers' word for the positions. Whether the replies fit them is checked at the end.

use crate::history::{History, HistoryEvent, Outcome, Position};
use crate::judges::{Fact, Judge, Shadow, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct ReadIndex {
    /// Events of the history that were looked at.
    seen: usize,
    /// The furthest position that was told to anybody so far, and by which operation.
    told: Option<(u64, usize)>,
    /// By operation, `told` when it was invoked.
    at_invocation: Vec<Option<(u64, usize)>>,
}

impl ReadIndex {
    fn completed(&mut self, op: usize, history: &History) -> Result<(), Violation> {
        let operation = &history.operations[op];
        let (Outcome::Done(_), Some(position)) = (&operation.outcome, operation.position) else {
            return Ok(());
        };
        let Position { index, order } = position;
        let is_read = order == u32::MAX;
        if let Some((told, by)) = self.at_invocation.get(op).copied().flatten()
            && (index < told || (index == told && !is_read))
        {
            return violation(self, || {
                let what = if is_read { "read" } else { "entry" };
                format!(
                    "operation {op} was executed as {what} at {index}, but {told} had been told by \
                     operation {by} before it was invoked"
                )
            });
        }
        if self.told.is_none_or(|(told, _)| index > told) {
            self.told = Some((index, op));
        }
        Ok(())
    }
}

impl Judge for ReadIndex {
    fn property(&self) -> &'static str {
        "read_index"
    }

    fn see(&mut self, fact: &Fact<'_>, _: &Shadow) -> Result<(), Violation> {
        let Fact::Answered { history, .. } = *fact else {
            return Ok(());
        };
        while let Some(event) = history.events.get(self.seen) {
            self.seen += 1;
            match *event {
                HistoryEvent::Invoked(op) => {
                    if self.at_invocation.len() <= op {
                        self.at_invocation.resize(op + 1, None);
                    }
                    self.at_invocation[op] = self.told;
                }
                HistoryEvent::Completed(op) => self.completed(op, history)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::MadeUp;

    const READ: u32 = u32::MAX;

    /// Invokes and completes operations: `(number, None)` or `(number, position)`.
    fn run(events: &[(usize, Option<(u64, u32)>)]) -> MadeUp<ReadIndex> {
        let mut made_up = MadeUp::new(1, ReadIndex::default());
        let mut history = History::default();
        for &(op, position) in events {
            match position {
                None => assert_eq!(history.invoke(0, 0, 1, Vec::new()), op),
                Some((index, order)) => {
                    let position = Some(Position { index, order });
                    history.complete(0, op, Outcome::Done(Vec::new()), position);
                    made_up.show(&Fact::Answered {
                        op,
                        history: &history,
                    });
                }
            }
        }
        made_up
    }

    #[test]
    fn operations_that_overlap_may_see_each_other_or_not() {
        let made_up = run(&[
            (0, None),
            (1, None),
            (0, Some((5, 0))),
            (1, Some((4, READ))),
            (2, None),
            (2, Some((5, READ))),
            (3, None),
            (3, Some((6, 0))),
        ]);
        made_up.is_well();
    }

    #[test]
    fn a_read_from_before_what_was_told_is_noticed() {
        let made_up = run(&[
            (0, None),
            (0, Some((5, 0))),
            (1, None),
            (1, Some((4, READ))),
        ]);
        made_up.fired("operation 1 was executed as read at 4, but 5 had been told by operation 0");
    }

    #[test]
    fn a_write_in_an_entry_that_had_been_told_is_noticed() {
        let made_up = run(&[
            (0, None),
            (0, Some((5, READ))),
            (1, None),
            (1, Some((5, 1))),
        ]);
        made_up.fired("operation 1 was executed as entry at 5");
    }
}
