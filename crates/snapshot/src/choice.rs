//! Which snapshot a node starts from, and which of its files are set aside or removed, and when. This is
//! the only place where that is decided: a server, a recovery and a simulator ask here.
//!
//! # At a start
//! The newest file that loads is taken. One that is damaged, or whole and without a state in it, is
//! passed over, so that an older one, or none, takes its place below. One that a newer release
//! wrote, that is another cluster's, or that the system does not read now ends the start: it may
//! be good, and what the log holds behind it is newer, too.
//!
//! | the file that is taken ends | the log | the node starts from |
//! |---|---|---|
//! | inside the log, at the entry it names | | the snapshot and the log behind it |
//! | behind the end of the log, or where the log has an entry of another term | of an interrupted installation | the snapshot alone: the log is begun anew behind it |
//! | before the log begins | | nothing: entries are missing, it refuses |
//! | there is none | begins with entry 1 | the log |
//! | there is none | begins later | nothing: it refuses |
//!
//! The second row is the consensus' to carry out. Files that were passed over are set aside when the
//! rest is known to be enough, not before: a start that refuses changes nothing.
//!
//! # While the node runs
//! One file is kept: the one that the node's own state was last written to or taken from. When a file
//! has become that, all older ones go, and none before it has; so for as long as one is written
//! or received there are two. A second one beside would be of use only if the log reached back to
//! it, which takes as much log again as makes a snapshot due. The file that is kept is read again and
//! again instead, as long as the state it holds is in memory to be written anew.

use std::path::PathBuf;

use crate::{DamageKind, Directory, Found, Load, SnapshotError, Watch, load};

/// An entry of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Its term. Of the entry before a log's first: 0 if the log does not know.
    pub term: u64,
    /// Its index.
    pub index: u64,
}

/// What the files of a directory have to give to a start. Nothing was changed yet.
#[derive(Debug)]
pub struct Choice<S> {
    /// The newest file that could be loaded.
    pub found: Option<Found>,
    /// Its state.
    pub state: Option<S>,
    /// Newer files, which are of no use; the newest first.
    pub passed_over: Vec<PassedOver>,
}

/// A file of which nothing can be made.
#[derive(Debug)]
pub struct PassedOver {
    /// Where it is.
    pub path: PathBuf,
    /// What is wrong with it; it names the file.
    pub error: SnapshotError,
}

/// What a start has changed.
#[derive(Debug)]
pub struct Settled {
    /// The new names of the files that were passed over, in the same order.
    pub set_aside: Vec<PathBuf>,
    /// Files of which a part had been received, and that were removed.
    pub removed: Vec<PathBuf>,
}

/// Snapshot and log do not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// The entries between them are missing.
    Gap,
    /// They know the same entry by two terms.
    OtherHistory {
        /// The snapshot's.
        snapshot_term: u64,
    },
}

impl Directory {
    /// Loads the newest file of this cluster and group of which a state can be made. Changes
    /// nothing.
    ///
    /// # Errors
    /// If a file on the way to it is not to be passed over, or the watch stops the reading.
    pub fn choose<L: Load>(
        &self,
        scope: (u64, u64),
        watch: &mut Watch<'_>,
    ) -> Result<Choice<L::State>, SnapshotError> {
        let mut choice = Choice::default();
        for (index, term, path) in self.list()? {
            let loaded = load::<L>(self.vfs().as_ref(), &path, scope, watch);
            let loaded = loaded.and_then(|(state, report)| {
                match (report.meta.index, report.meta.term) == (index, term) {
                    true => Ok((state, report)),
                    false => Err(SnapshotError::damaged(&path, 0, DamageKind::Name)),
                }
            });
            match loaded {
                Ok((state, report)) => {
                    choice.found = Some(report.at(path));
                    choice.state = Some(state);
                    break;
                }
                Err(error) if error.is_damage() => {
                    choice.passed_over.push(PassedOver { path, error });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(choice)
    }

    /// Removes what a file replaces that now is the node's: its state was written to it, or taken from
    /// it, and it is durable. Returns what was removed. Files of positions behind it stay: what came
    /// of them is not known here.
    pub fn remove_replaced(&self, by: Position) -> Result<Vec<PathBuf>, SnapshotError> {
        self.remove_older_than(by.index)
    }
}

/// Nothing, as of a directory without files.
impl<S> Default for Choice<S> {
    fn default() -> Self {
        Choice {
            found: None,
            state: None,
            passed_over: Vec::new(),
        }
    }
}

impl<S> Choice<S> {
    /// The last entry of the snapshot that is taken.
    pub fn last(&self) -> Option<Position> {
        self.found.as_ref().map(|found| Position {
            term: found.meta.term,
            index: found.meta.index,
        })
    }

    /// Whether the log, which begins behind `base`, goes on where the snapshot ends, or before.
    ///
    /// # Errors
    /// How it does not.
    pub fn judge(&self, base: Position) -> Result<(), Misfit> {
        judge(self.last(), base)
    }

    /// To be called when [`Choice::judge`] has said that the rest is enough: sets aside what was passed
    /// over, and removes what was received of files that end where the snapshot or the log, whose last
    /// entry is `log_last`, ends, or before: nobody needs them.
    ///
    /// # Errors
    /// If the disk fails. What was not done then is done by the next start.
    pub fn settle(&self, directory: &Directory, log_last: u64) -> Result<Settled, SnapshotError> {
        let files = self.passed_over.iter();
        let set_aside = files.map(|file| directory.set_aside(&file.path));
        let set_aside = set_aside.collect::<Result<_, _>>()?;
        let held = self.last().map_or(0, |last| last.index).max(log_last);
        Ok(Settled {
            set_aside,
            removed: directory.remove_partial_to(held)?,
        })
    }
}

fn judge(snapshot: Option<Position>, base: Position) -> Result<(), Misfit> {
    let last = snapshot.unwrap_or_default();
    if last.index < base.index {
        return Err(Misfit::Gap);
    }
    if last.index == base.index && base.term != 0 && last.term != base.term {
        return Err(Misfit::OtherHistory {
            snapshot_term: last.term,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Position = Position { term: 0, index: 0 };

    fn at(term: u64, index: u64) -> Position {
        Position { term, index }
    }

    #[test]
    fn every_row_of_the_table_is_judged_as_it_says() {
        // Nothing at all, and a log from its beginning.
        assert_eq!(judge(None, NONE), Ok(()));
        // A snapshot inside the log, at its base, and behind its end.
        assert_eq!(judge(Some(at(2, 50)), at(1, 10)), Ok(()));
        assert_eq!(judge(Some(at(2, 50)), at(2, 50)), Ok(()));
        assert_eq!(judge(Some(at(2, 50)), NONE), Ok(()));
        // A log that begins behind it, or without any.
        assert_eq!(judge(Some(at(2, 50)), at(2, 51)), Err(Misfit::Gap));
        assert_eq!(judge(None, at(1, 1)), Err(Misfit::Gap));
    }

    #[test]
    fn a_snapshot_of_another_history_is_not_taken_for_the_base_of_the_log() {
        let misfit = Misfit::OtherHistory { snapshot_term: 3 };
        assert_eq!(judge(Some(at(3, 50)), at(2, 50)), Err(misfit));
        assert_eq!(judge(Some(at(3, 50)), at(0, 50)), Ok(()));
    }
}
