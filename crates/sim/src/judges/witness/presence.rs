//! What failed is not in the log, and nothing is in it twice.
//!
//! The replay has found every acknowledged operation at its own place. What is left in the log is of
//! those that nobody knows the outcome of: each may be in it once.

use std::collections::BTreeMap;

use crate::history::Outcome;
use crate::judges::Violation;
use crate::judges::witness::ledger::{Entry, Record};
use crate::judges::witness::operations::{Asked, Moment};
use crate::judges::witness::violation;

/// Judges the records that no answered operation tells of. As writes carry values that are used
/// once, an operation is in the log once or not; of increments there are at most as many as were
/// answered, and unknown ones beside.
pub(super) fn unwitnessed(
    asked: &[Asked<'_>],
    entries: &[Entry<'_>],
    unwitnessed: &[Moment],
) -> Result<(), Violation> {
    // By signature, how many operations may or may not have been executed.
    let mut unknown: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for this in asked.iter().filter(|asked| asked.is_write) {
        let is_unknown = matches!(this.operation.outcome, Outcome::Open | Outcome::Unknown(_));
        if is_unknown && this.moment.is_none() {
            *unknown.entry(signature(this)).or_default() += 1;
        }
    }
    for moment in unwitnessed {
        let record = &entries[moment.index as usize - 1].records[moment.order as usize];
        if record.calls.is_empty() {
            continue;
        }
        let mut signature = Vec::new();
        record
            .calls
            .iter()
            .for_each(|call| call.sign(&mut signature));
        match unknown.get_mut(&signature) {
            Some(left) if *left > 0 => *left -= 1,
            _ => return Err(wrong(asked, record, *moment, &signature)),
        }
    }
    Ok(())
}

fn signature(asked: &Asked<'_>) -> Vec<u8> {
    let mut signature = Vec::new();
    asked.writes().for_each(|call| call.sign(&mut signature));
    signature
}

/// A record is one more than there may be: finds out of what.
fn wrong(asked: &[Asked<'_>], record: &Record<'_>, moment: Moment, sought: &[u8]) -> Violation {
    let calls: Vec<String> = record.calls.iter().map(ToString::to_string).collect();
    let calls = calls.join("; ");
    let (mut executed, mut unknown, mut failed) = (0, 0, 0);
    let (mut example, mut failed_example) = (None, None);
    for this in asked.iter().filter(|asked| asked.is_write) {
        if signature(this) != sought {
            continue;
        }
        example = Some(this);
        match (&this.operation.outcome, this.moment) {
            (Outcome::Done(_), _) | (_, Some(_)) => executed += 1,
            (Outcome::Open | Outcome::Unknown(_), None) => unknown += 1,
            (Outcome::Failed(_), None) => {
                failed += 1;
                failed_example = Some(this);
            }
        }
    }
    let (property, example) = match (failed_example, example) {
        (Some(failed), _) => ("failure is absent", failed),
        (None, Some(example)) => ("exactly once", example),
        (None, None) => {
            return violation(
                "nothing from nowhere",
                format!("nobody asked {calls}, which is {moment}"),
            );
        }
    };
    violation(
        property,
        format!(
            "{moment} is {calls}: one more than there may be. It was answered {executed} times, has \
             an unknown outcome {unknown} times and failed {failed} times, as {example}"
        ),
    )
}
