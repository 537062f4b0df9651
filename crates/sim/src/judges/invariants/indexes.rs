//! Positions make sense: while a process lives, what it has committed and applied does not grow less;
//! applied <= committed <= last, and durable <= last; the log has no gap, and is the one that was handed
//! to the disk (paper, figure 2).

use raft::{NodeId, Term};

use crate::judges::shadow::NodeShadow;
use crate::judges::{Fact, Judge, Shadow, View, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct Indexes {}

impl Indexes {
    fn view(&self, node: NodeId, view: &View, shadow: &NodeShadow) -> Result<(), Violation> {
        if let Some(before) = shadow.before
            && (view.commit < before.commit || view.applied < before.applied)
        {
            return violation(self, || {
                format!("{node} went from {before:?} back to {view:?}")
            });
        }
        let last = view.last.index;
        if view.applied > view.commit || view.commit > last || view.durable > last {
            return violation(self, || format!("{node} is at {view:?}"));
        }
        let handed = shadow.log.last().map_or(Term(0), |held| held.term);
        if (last.0, view.last.term) != (shadow.log.len() as u64, handed) {
            return violation(self, || {
                let (ends, length) = (view.last, shadow.log.len());
                format!(
                    "the log of {node} ends with {ends}, but {length} entries up to term {handed} went \
                     to its disk"
                )
            });
        }
        Ok(())
    }
}

impl Judge for Indexes {
    fn property(&self) -> &'static str {
        "indexes"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match *fact {
            Fact::Handed { .. } => match shadow.contradiction() {
                Some(what) => violation(self, || what.to_owned()),
                None => Ok(()),
            },
            Fact::Stepped { node, view, .. } | Fact::Started { node, view, .. } => {
                if let Some(what) = shadow.contradiction() {
                    return violation(self, || what.to_owned());
                }
                self.view(node, &view, shadow.node(node))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, entry, state, view};
    use raft::LogIndex;
    use wal::Record;

    fn applied(last: u64, commit: u64, applied: u64) -> View {
        View {
            applied: LogIndex(applied),
            durable: LogIndex(commit),
            ..view(1, last, commit)
        }
    }

    fn made_up() -> MadeUp<Indexes> {
        let mut made_up = MadeUp::new(1, Indexes::default());
        made_up.hand(
            1,
            1,
            &[entry(1, 1, "a"), entry(1, 2, "b"), entry(1, 3, "c")],
        );
        made_up.step(1, applied(3, 2, 1));
        made_up
    }

    #[test]
    fn progress_and_a_restart_from_the_beginning_are_well() {
        let mut made_up = made_up();
        made_up.step(1, applied(3, 3, 3));
        made_up.restart(1, &[state(1, None, 1), entry(1, 1, "a")], applied(1, 1, 0));
        made_up.is_well();
    }

    #[test]
    fn positions_that_contradict_each_other_are_noticed() {
        for wrong in [
            applied(3, 1, 1),
            applied(3, 2, 0),
            applied(3, 2, 3),
            applied(3, 4, 1),
            applied(2, 2, 1),
            applied(4, 2, 1),
            view(2, 3, 2),
        ] {
            let mut made_up = made_up();
            made_up.step(1, wrong);
            made_up.fired("n1");
        }
    }

    #[test]
    fn a_gap_in_the_log_is_noticed() {
        let mut made_up = made_up();
        made_up.hand(1, 2, &[entry(1, 5, "e")]);
        made_up.fired("behind a gap");
    }

    #[test]
    fn a_hard_state_that_cannot_be_read_is_noticed() {
        let mut made_up = made_up();
        made_up.hand(1, 2, &[Record::state(1, bytes::Bytes::new())]);
        made_up.fired("no record of a log");
    }
}
