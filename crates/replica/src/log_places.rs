//! Where entries stand in the log on disk, in bytes of records.
//!
//! The log holds more than entries: hard states, bases, truncations, and entries that were truncated.
//! A cluster that does little but elect leaders fills its log with them. So what makes a snapshot due
//! and what is kept behind one is measured by all records that were handed to the disk, not by the
//! entries that came of it.

use std::collections::VecDeque;

use raft::LogIndex;
use wal::format::record_bytes;
use wal::{Record, RecordKind};

/// A place in the log is the number of bytes handed to the disk before it. It counts from the first
/// record that the disk held at the start.
#[derive(Debug, Default)]
pub(crate) struct LogPlaces {
    /// The place of the next record.
    end: u64,
    /// The last entry of the log.
    last: LogIndex,
    /// The places behind some entries, in order of both.
    marks: VecDeque<(LogIndex, u64)>,
}

impl LogPlaces {
    /// What the disk held at the start: see [`wal::GroupLog::places`], and its last entry.
    pub(crate) fn recovered(&mut self, places: &[(u64, u64)], last: LogIndex) {
        self.end = places.first().map_or(0, |&(_, behind)| behind);
        self.last = last;
        let mark = |&(index, behind): &(u64, u64)| (LogIndex(index - 1), self.end - behind);
        self.marks = places.iter().map(mark).collect();
    }

    /// The log begins, and ends for now, behind this entry.
    pub(crate) fn begin_behind(&mut self, last: LogIndex) {
        self.last = last;
        self.marks.clear();
        self.marks.push_back((last, self.end));
    }

    /// Records go to the disk. Marks are made where so many bytes lie between them.
    pub(crate) fn written(&mut self, records: &[Record], apart: u64) {
        for record in records {
            self.end += record_bytes(record.body.len() as u64);
            match record.kind {
                RecordKind::Entry => {
                    self.forget_from(record.index);
                    self.last = LogIndex(record.index);
                    let marked = self.marks.back().map_or(0, |&(_, place)| place);
                    if self.end - marked > apart {
                        self.marks.push_back((self.last, self.end));
                    }
                }
                RecordKind::Truncate => {
                    self.forget_from(record.index);
                    self.last = LogIndex(record.index.saturating_sub(1));
                }
                RecordKind::State | RecordKind::Base => {}
            }
        }
    }

    /// Entries up to this one are gone.
    pub(crate) fn cut(&mut self, to: LogIndex) {
        self.marks.retain(|&(index, _)| index > to);
    }

    /// The end of the log.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The place behind an entry, or a little before it.
    pub(crate) fn behind(&self, index: LogIndex) -> u64 {
        if index >= self.last {
            return self.end;
        }
        let after = self.marks.partition_point(|&(marked, _)| marked <= index);
        after.checked_sub(1).map_or(0, |mark| self.marks[mark].1)
    }

    /// The last marked entry, up to this one, whose end is at this place or before.
    pub(crate) fn entry_before(&self, place: u64, index: LogIndex) -> Option<LogIndex> {
        let fits = |&&(marked, at): &&(LogIndex, u64)| at <= place && marked <= index;
        let mark = self.marks.iter().take_while(fits).last();
        mark.map(|&(index, _)| index)
    }

    fn forget_from(&mut self, index: u64) {
        while self
            .marks
            .back()
            .is_some_and(|&(marked, _)| marked.0 >= index)
        {
            self.marks.pop_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// A record of 100 bytes and more.
    fn entry(index: u64) -> Record {
        Record::entry(1, 1, index, 0, 0, Bytes::from(vec![7; 40]))
    }

    #[test]
    fn all_records_count() {
        let mut places = LogPlaces::default();
        places.written(
            &[
                entry(1),
                Record::state(1, Bytes::new()),
                Record::base(1, 1, 1, 0),
            ],
            0,
        );
        assert_eq!(places.end(), record_bytes(40) + 2 * record_bytes(0));
        assert_eq!(places.behind(LogIndex(1)), places.end());
        places.written(&[entry(2)], 0);
        assert_eq!(places.behind(LogIndex(1)), record_bytes(40));
    }

    #[test]
    fn entries_that_were_truncated_count_and_have_no_place() {
        let mut places = LogPlaces::default();
        places.written(&[entry(1), entry(2), Record::truncate(1, 2), entry(2)], 0);
        assert_eq!(places.behind(LogIndex(1)), record_bytes(40));
        assert_eq!(places.end(), 3 * record_bytes(40) + record_bytes(0));
        assert_eq!(
            places.entry_before(u64::MAX, LogIndex(9)),
            Some(LogIndex(2))
        );
        let before_last = places.end() - 1;
        assert_eq!(
            places.entry_before(before_last, LogIndex(9)),
            Some(LogIndex(1))
        );
    }

    #[test]
    fn a_start_goes_on_where_the_disk_stands() {
        let mut places = LogPlaces::default();
        places.recovered(&[(11, 1000), (15, 600), (18, 100)], LogIndex(20));
        assert_eq!(places.end(), 1000);
        let behind = [10, 14, 17, 19, 20].map(|index| places.behind(LogIndex(index)));
        assert_eq!(behind, [0, 400, 900, 900, 1000]);
        assert_eq!(places.entry_before(500, LogIndex(99)), Some(LogIndex(14)));
        places.cut(LogIndex(14));
        assert_eq!(places.entry_before(500, LogIndex(99)), None);
    }
}
