//! Linearizability's order of real time, on positions: what was answered before something else was
//! asked stands before it in the log (Herlihy and Wing 1990); and the order of a connection.

use std::collections::BTreeMap;

use crate::history::{History, HistoryEvent};
use crate::judges::Violation;
use crate::judges::witness::operations::{Asked, Moment};
use crate::judges::witness::violation;

/// An operation's moment is not before that of any operation that was answered before it was asked.
pub(super) fn real_time(history: &History, asked: &[Asked<'_>]) -> Result<(), Violation> {
    let mut latest: Option<(Moment, usize)> = None;
    let mut floors = vec![None; asked.len()];
    for event in &history.events {
        match *event {
            HistoryEvent::Invoked(op) => floors[op] = latest,
            HistoryEvent::Completed(op) => {
                let Some(moment) = asked[op].moment else {
                    continue;
                };
                if let Some((floor, before)) = floors[op]
                    && moment < floor
                {
                    return Err(violation(
                        "real-time order",
                        format!(
                            "{} was asked after {} was answered",
                            asked[op], asked[before]
                        ),
                    ));
                }
                if latest.is_none_or(|(latest, _)| latest < moment) {
                    latest = Some((moment, op));
                }
            }
        }
    }
    Ok(())
}

/// Operations of one client are executed in the order in which it asked them.
pub(super) fn connection(asked: &[Asked<'_>]) -> Result<(), Violation> {
    let mut latest: BTreeMap<u32, &Asked<'_>> = BTreeMap::new();
    for this in asked.iter().filter(|asked| asked.moment.is_some()) {
        let before = latest.insert(this.operation.process, this);
        if let Some(before) = before.filter(|before| before.moment > this.moment) {
            return Err(violation(
                "connection order",
                format!("{this} was asked behind {before}"),
            ));
        }
    }
    Ok(())
}
