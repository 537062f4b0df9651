//! The log replayed through the model, and every reply compared.

use crate::history::Reply;
use crate::judges::Violation;
use crate::judges::witness::deliveries::Published;
use crate::judges::witness::ledger::{Entry, Record};
use crate::judges::witness::model::{Call, Clock, Kind, Model, show};
use crate::judges::witness::operations::{Asked, Moment, Told};
use crate::judges::witness::{WitnessStats, violation};

/// What the replay found.
#[derive(Debug, Default)]
pub(super) struct Replayed<'a> {
    /// All messages.
    pub(super) published: Published<'a>,
    /// Records that no answered operation tells of.
    pub(super) unwitnessed: Vec<Moment>,
}

/// Replays all of the log. `asked` is in the order of the history.
pub(super) fn replay<'a>(
    asked: &[Asked<'a>],
    entries: &[Entry<'a>],
    stats: &mut WitnessStats,
) -> Result<Replayed<'a>, Violation> {
    let mut placed: Vec<(Moment, &Asked<'_>)> = Vec::new();
    for this in asked {
        match this.moment {
            Some(moment) => placed.push((moment, this)),
            None if this.told() != Told::Nothing && !this.calls.is_empty() => {
                return Err(violation(
                    "witness",
                    format!("{this} was answered and nobody says where it was executed"),
                ));
            }
            None => {}
        }
    }
    placed.sort_unstable_by_key(|(moment, this)| (*moment, this.op));
    let mut replay = Replay {
        model: Model::default(),
        placed: &placed,
        found: Replayed::default(),
        stats,
    };
    replay.reads_of_nothing()?;
    for (index, entry) in (1..).zip(entries) {
        replay.entry(index, entry)?;
    }
    match replay.placed.first() {
        Some((_, this)) => Err(violation(
            "acknowledged is present",
            format!("{this}, and the log ends with entry {}", entries.len()),
        )),
        None => Ok(replay.found),
    }
}

struct Replay<'a, 'b> {
    model: Model,
    /// Operations whose moment is still to come, in order.
    placed: &'b [(Moment, &'b Asked<'a>)],
    found: Replayed<'a>,
    stats: &'b mut WitnessStats,
}

impl<'a, 'b> Replay<'a, 'b> {
    fn entry(&mut self, index: u64, entry: &Entry<'a>) -> Result<(), Violation> {
        self.model.begin_entry(index, entry.time_ms);
        self.stats.replayed_entries += 1;
        let moment = |order, is_write| Moment {
            index,
            order,
            is_write,
        };
        for (order, record) in (0..).zip(&entry.records) {
            self.stats.replayed_records += 1;
            self.reads(moment(order, false), entry)?;
            let holds = self.holds(record);
            if holds {
                self.found.published.note(record);
            }
            match self.next(moment(order, true)) {
                Some(this) => {
                    is_gateway(this, entry)?;
                    self.record(record, this, holds)?;
                }
                None => {
                    self.found.unwitnessed.push(moment(order, true));
                    self.unwitnessed(record, holds, index)?;
                }
            }
            if let Some(other) = self.next(moment(order, true)) {
                return Err(violation(
                    "exactly once",
                    format!("another operation has the same place: {other}"),
                ));
            }
        }
        self.reads(moment(entry.records.len() as u32, false), entry)?;
        self.reads(moment(Moment::AFTER_ENTRY, false), entry)?;
        match self.placed.first() {
            Some((moment, this)) if moment.index <= index => Err(violation(
                "acknowledged is present",
                format!("{this}, and the entry has {} records", entry.records.len()),
            )),
            _ => Ok(()),
        }
    }

    /// The next operation, if it stands at this moment.
    fn next(&mut self, moment: Moment) -> Option<&'b Asked<'a>> {
        let placed = self.placed;
        let ((first, this), rest) = placed.split_first()?;
        (*first == moment).then(|| {
            self.placed = rest;
            *this
        })
    }

    /// Reads by nodes that had applied nothing yet.
    fn reads_of_nothing(&mut self) -> Result<(), Violation> {
        let start = Moment {
            index: 0,
            order: Moment::AFTER_ENTRY,
            is_write: false,
        };
        while let Some(this) = self.next(start) {
            if let Told::Replies(replies) = this.told() {
                self.compare(this, replies, Clock::Node)?;
            }
        }
        Ok(())
    }

    /// The reads at a moment.
    fn reads(&mut self, moment: Moment, entry: &Entry<'_>) -> Result<(), Violation> {
        let clock = match moment.order {
            Moment::AFTER_ENTRY => Clock::Node,
            _ => Clock::Log,
        };
        while let Some(this) = self.next(moment) {
            if clock == Clock::Log {
                is_gateway(this, entry)?;
            }
            // What a transaction of reads watches is not in the log: an abort cannot be judged.
            if let Told::Replies(replies) = this.told() {
                self.compare(this, replies, clock)?;
            }
        }
        Ok(())
    }

    /// A record that no answered operation tells of.
    fn unwitnessed(
        &mut self,
        record: &Record<'_>,
        holds: bool,
        index: u64,
    ) -> Result<(), Violation> {
        for call in &record.calls {
            if holds && self.model.run(call, Clock::Log).is_none() {
                return Err(unknown_command(call, &format!("in entry {index}")));
            }
        }
        Ok(())
    }

    /// A record and the operation whose it is.
    fn record(
        &mut self,
        record: &Record<'_>,
        this: &Asked<'_>,
        holds: bool,
    ) -> Result<(), Violation> {
        let mut logged = record.calls.iter();
        let is_same = this.writes().all(|call| logged.next() == Some(call));
        if !is_same || logged.next().is_some() {
            let calls: Vec<String> = record.calls.iter().map(Call::to_string).collect();
            return Err(violation(
                "acknowledged is present",
                format!("{this}, and there the log has: {}", calls.join("; ")),
            ));
        }
        self.watched(record, this, holds)?;
        match this.told() {
            Told::Replies(replies) => self.compare(this, replies, Clock::Log),
            Told::Aborted | Told::Nothing => Ok(()),
        }
    }

    /// Whether a transaction was right to take place, or to be given up.
    fn watched(&self, record: &Record<'_>, this: &Asked<'_>, holds: bool) -> Result<(), Violation> {
        let wrong = |what: &str| Err(violation("wrong watch", format!("{this} {what}")));
        let logged = record.watches.as_deref().unwrap_or_default();
        for watch in &this.watches {
            if !logged
                .iter()
                .any(|(db, key, _)| (*db, *key) == (watch.db, watch.key))
            {
                return wrong("watched a key, and the log does not know of it");
            }
            let found = self.model.value_of(watch.db, watch.key);
            if holds && found != watch.value {
                let show = |value: Option<&[u8]>| {
                    value.map_or("nothing".to_owned(), |value| {
                        value.escape_ascii().to_string()
                    })
                };
                return wrong(&format!(
                    "took place although {} held {} when it was read and holds {} now",
                    watch.key.escape_ascii(),
                    show(watch.value),
                    show(found)
                ));
            }
        }
        match (this.told(), holds) {
            (Told::Replies(_), false) => wrong("was answered although a watched key had changed"),
            (Told::Aborted, true) => wrong("was given up although no watched key had changed"),
            _ => Ok(()),
        }
    }

    /// Whether the watched keys of a record have the versions that WATCH saw.
    fn holds(&self, record: &Record<'_>) -> bool {
        let mut watches = record.watches.iter().flatten();
        watches.all(|(db, key, version)| self.model.version(*db, key) == *version)
    }

    fn compare(
        &mut self,
        this: &Asked<'_>,
        replies: &[Reply],
        clock: Clock,
    ) -> Result<(), Violation> {
        if this.calls.len() != replies.len() {
            return Err(violation(
                "wrong reply",
                format!(
                    "{this} was answered with {} replies: {replies:?}",
                    replies.len()
                ),
            ));
        }
        for (call, reply) in this.calls.iter().zip(replies) {
            let Some(expected) = self.model.run(call, clock) else {
                return Err(unknown_command(call, &format!("of {this}")));
            };
            if !expected.admits(reply) {
                let property = match call.kind {
                    Kind::Read => "wrong read",
                    _ => "wrong reply",
                };
                return Err(violation(
                    property,
                    format!(
                        "{this}: {call} was told {}, by the log it is {expected}",
                        show(reply)
                    ),
                ));
            }
            self.stats.compared_replies += 1;
        }
        Ok(())
    }
}

/// A batch is executed with replies by the gateway that made it and by nobody else.
fn is_gateway(this: &Asked<'_>, entry: &Entry<'_>) -> Result<(), Violation> {
    match entry.gateway {
        Some(gateway) if gateway.0 == this.operation.node => Ok(()),
        Some(gateway) => Err(violation(
            "gateway",
            format!("{this}, but that entry is a batch of {gateway}"),
        )),
        None => Err(violation(
            "acknowledged is present",
            format!("{this}, but that entry is no batch that takes effect"),
        )),
    }
}

fn unknown_command(call: &Call<'_>, place: &str) -> Violation {
    violation(
        "model",
        format!("the model does not know the command {call} {place}"),
    )
}
