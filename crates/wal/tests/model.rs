//! Random appends, truncations, syncs, reopenings and crashes, against a map in memory.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use common::SEGMENT_BYTES;
use proptest::prelude::*;
use vfs::{Crash, MemVfs};
use wal::{Record, WalError};

/// What is done to the log. Numbers are choices, made valid against the model when they are used.
#[derive(Clone, Debug)]
enum Operation {
    Append {
        group: u64,
        bodies: Vec<u16>,
        new_term: bool,
    },
    Truncate {
        group: u64,
        dropped: u8,
    },
    State {
        group: u64,
        body_bytes: u8,
    },
    /// A base: at one of the entries or beyond them, that follows from the log or contradicts it.
    Base {
        group: u64,
        choice: u8,
        contradicts: bool,
    },
    Sync,
    Prepare,
    Remove,
    Scrub,
    Reopen,
    Crash {
        torn: bool,
    },
    Read {
        group: u64,
        first: u8,
        count: u8,
        bytes_max: u16,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let group = 1..4_u64;
    prop_oneof![
        6 => (group.clone(), prop::collection::vec(0..3000_u16, 1..6), any::<bool>())
            .prop_map(|(group, bodies, new_term)| Operation::Append { group, bodies, new_term }),
        2 => (group.clone(), 0..8_u8)
            .prop_map(|(group, dropped)| Operation::Truncate { group, dropped }),
        2 => (group.clone(), any::<u8>())
            .prop_map(|(group, body_bytes)| Operation::State { group, body_bytes }),
        2 => (group.clone(), any::<u8>(), prop::bool::weighted(0.2))
            .prop_map(|(group, choice, contradicts)| Operation::Base { group, choice, contradicts }),
        3 => Just(Operation::Sync),
        1 => Just(Operation::Prepare),
        3 => Just(Operation::Remove),
        1 => Just(Operation::Scrub),
        1 => Just(Operation::Reopen),
        1 => any::<bool>().prop_map(|torn| Operation::Crash { torn }),
        3 => (group, any::<u8>(), any::<u8>(), any::<u16>()).prop_map(
            |(group, first, count, bytes_max)| Operation::Read { group, first, count, bytes_max }
        ),
    ]
}

#[derive(Clone, Debug, Default)]
struct Group {
    /// Term, index and stamp.
    base: (u64, u64, u64),
    entries: Vec<Record>,
    state: Option<Bytes>,
    term: u64,
}

impl Group {
    fn next_index(&self) -> u64 {
        self.base.1 + self.entries.len() as u64 + 1
    }

    fn place(&self, index: u64) -> Option<usize> {
        (index.checked_sub(self.base.1 + 1)).map(|place| place as usize)
    }

    fn at(&self, index: u64) -> Option<&Record> {
        self.entries.get(self.place(index)?)
    }
}

type Groups = BTreeMap<u64, Group>;

const KEPT_TAG: u8 = 9;

fn open_keeping(disk: &MemVfs) -> Result<(wal::Wal, wal::Recovery), wal::OpenError> {
    let options = wal::Options {
        keep_tags: &[KEPT_TAG],
        ..common::options()
    };
    wal::Wal::open(
        Arc::new(disk.clone()),
        common::dir(),
        common::IDENTITY,
        options,
    )
}

fn next_records(groups: &mut Groups, operation: &Operation, stamp: u64) -> Vec<Record> {
    match operation {
        Operation::Append {
            group,
            bodies,
            new_term,
        } => {
            let log = groups.entry(*group).or_default();
            log.term += u64::from(*new_term || log.term == 0);
            let mut records = Vec::new();
            for (position, bytes) in bodies.iter().enumerate() {
                let index = log.next_index();
                let body = vec![(stamp as u8) ^ position as u8; usize::from(*bytes)];
                let tag = if index.is_multiple_of(3) { KEPT_TAG } else { 3 };
                let record = Record::entry(*group, log.term, index, tag, stamp, Bytes::from(body));
                log.entries.push(record.clone());
                records.push(record);
            }
            records
        }
        Operation::Truncate { group, dropped } => {
            let Some(log) = groups.get_mut(group).filter(|log| log.term > 0) else {
                return Vec::new();
            };
            let kept = log.entries.len().saturating_sub(usize::from(*dropped));
            log.entries.truncate(kept);
            vec![Record::truncate(*group, log.next_index())]
        }
        Operation::Base {
            group,
            choice,
            contradicts,
        } => {
            let log = groups.entry(*group).or_default();
            let index = log.base.1 + u64::from(*choice) % (log.entries.len() as u64 + 3);
            let is_base = index == log.base.1;
            let held = log.at(index).map(|entry| (entry.term, entry.stamp));
            let held = if is_base {
                Some((log.base.0, log.base.2))
            } else {
                held
            };
            let (term, stamp) = match held {
                Some((term, stamp)) if !contradicts => (term, stamp),
                _ => {
                    log.term += 1;
                    (log.term, stamp)
                }
            };
            if held.is_some() && !contradicts {
                let dropped = log.place(index).map_or(0, |place| place + 1);
                log.entries.drain(..dropped);
            } else {
                log.entries.clear();
            }
            log.base = (term, index, stamp);
            vec![Record::base(*group, term, index, stamp)]
        }
        Operation::State { group, body_bytes } => {
            let body = Bytes::from(vec![stamp as u8; usize::from(*body_bytes)]);
            groups.entry(*group).or_default().state = Some(body.clone());
            vec![Record::state(*group, body)]
        }
        _ => Vec::new(),
    }
}

fn check_all(log: &wal::Wal, recovery: &wal::Recovery, groups: &Groups) {
    for (group, expected) in groups {
        let found = recovery.groups.get(group).cloned().unwrap_or_default();
        assert_eq!(found.state, expected.state);
        let (base_term, base_index, base_stamp) = expected.base;
        let first = base_index + 1;
        let records = log.read(*group, first, u64::MAX, usize::MAX).unwrap();
        assert_eq!(records, expected.entries);
        let is_placed = recovery.groups.contains_key(group);
        assert!(!is_placed || (found.base, found.first) == ((base_term, base_index), first));
        match expected.entries.last() {
            Some(last) => assert_eq!(
                (found.last, found.last_stamp),
                ((last.term, last.index), last.stamp)
            ),
            None => assert_eq!((found.last, found.last_stamp), (found.base, base_stamp)),
        }
        let tagged = expected
            .entries
            .iter()
            .filter(|entry| entry.tag == KEPT_TAG);
        assert!(found.tagged.iter().eq(tagged));
        let bytes: usize = expected
            .entries
            .iter()
            .map(|record| record.body.len())
            .sum();
        assert_eq!(found.bytes, bytes as u64);
        for (first, term) in found.term_runs {
            assert_eq!(expected.at(first).unwrap().term, term);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn log_equals_its_model(operations in prop::collection::vec(operation(), 1..60), seed: u64) {
        let disk = MemVfs::new(seed);
        let (mut log, _) = open_keeping(&disk).unwrap();
        let mut groups = Groups::new();
        // The states of the model since the last sync; a crash may lead to any of them.
        let mut history: Vec<Groups> = vec![groups.clone()];
        for (stamp, operation) in operations.iter().enumerate() {
            match operation {
                Operation::Append { .. }
                | Operation::Truncate { .. }
                | Operation::State { .. }
                | Operation::Base { .. } => {
                    let records = next_records(&mut groups, operation, stamp as u64);
                    log.append(&records).unwrap();
                    history.push(groups.clone());
                }
                Operation::Sync => {
                    log.sync().unwrap();
                    history = vec![groups.clone()];
                }
                Operation::Prepare => { log.prepare_next().unwrap(); }
                Operation::Remove => {
                    while log.remove_obsolete().unwrap() {}
                    let mut names = vfs::Vfs::list(&disk, common::dir()).unwrap();
                    names.retain(|name| name != wal::oldest::OLDEST_NAME);
                    prop_assert_eq!(log.disk_bytes(), names.len() as u64 * SEGMENT_BYTES);
                    // What groups need, the segment at hand, and the reserve.
                    let needed: u64 = groups.values().flat_map(|group| &group.entries)
                        .map(|entry| wal::format::record_bytes(entry.body.len() as u64)).sum();
                    if needed == 0 {
                        prop_assert!(names.len() <= 2, "{} segments", names.len());
                    }
                }
                Operation::Scrub => { log.scrub_next(stamp as u64 * 100).unwrap(); }
                Operation::Reopen => {
                    drop(log);
                    let (reopened, recovery) = open_keeping(&disk).unwrap();
                    prop_assert_eq!(recovery.torn_bytes_cut, None);
                    check_all(&reopened, &recovery, &groups);
                    log = reopened;
                    history = vec![groups.clone()];
                }
                Operation::Crash { torn } => {
                    log.sync().unwrap();
                    drop(log);
                    disk.crash(if *torn { Crash::Torn } else { Crash::LoseUnsynced });
                    let (reopened, recovery) = open_keeping(&disk).unwrap();
                    check_all(&reopened, &recovery, &groups);
                    log = reopened;
                    history = vec![groups.clone()];
                }
                Operation::Read { group, first, count, bytes_max } => {
                    let entries = groups.get(group).map_or(&[][..], |log| &log.entries);
                    let base = groups.get(group).map_or(0, |log| log.base.1);
                    let place = u64::from(*first) % (entries.len() as u64 + 2);
                    let first = base + place + 1;
                    let last = first + u64::from(*count);
                    let found = log.read(*group, first, last, usize::from(*bytes_max)).unwrap();
                    let wanted: Vec<&Record> = entries.iter().skip(place as usize)
                        .take(usize::from(*count) + 1).collect();
                    prop_assert!(found.iter().eq(wanted.iter().copied().take(found.len())));
                    prop_assert_eq!(found.is_empty(), wanted.is_empty());
                    let bytes: usize = found.iter().map(|record| record.body.len()).sum();
                    prop_assert!(bytes <= usize::from(*bytes_max) || found.len() == 1);
                    if let Some(next) = wanted.get(found.len()) {
                        prop_assert!(bytes + next.body.len() > usize::from(*bytes_max));
                    }
                }
            }
        }
        prop_assert!(!history.is_empty());
        drop(log);
        let (log, recovery) = open_keeping(&disk).unwrap();
        check_all(&log, &recovery, &groups);
    }

    #[test]
    fn any_bytes_are_refused_or_read_and_never_panic(
        garbage in prop::collection::vec(any::<u8>(), 0..600),
        offset in 0..SEGMENT_BYTES,
        segment in 1..3_u64,
        grow: bool,
    ) {
        let disk = MemVfs::new(1);
        common::written(&disk, 14, 700);
        let path = common::segment_path(segment);
        let room = if grow { garbage.len() } else { garbage.len().min((SEGMENT_BYTES - offset) as usize) };
        disk.overwrite(&path, offset, &garbage[..room]).unwrap();
        let opened = open_keeping(&disk).map(|(log, recovery)| {
            let last = common::last_index(&recovery);
            common::check_entries(&log, last, 700);
        });
        drop(opened);
        wal::verify(&disk, common::dir()).unwrap().to_string();
        wal::dump(&disk, common::dir(), &mut |line| drop(line.to_string())).unwrap();
    }
}

#[test]
fn what_cannot_follow_is_refused_and_changes_nothing() {
    let disk = MemVfs::new(1);
    let (mut log, _) = open_keeping(&disk).unwrap();
    log.append(&[common::entry(1, 10), common::entry(2, 10)])
        .unwrap();
    log.sync().unwrap();
    let position = log.position();
    let group = common::GROUP;
    let refused = [
        vec![common::entry(2, 10)],
        vec![common::entry(4, 10)],
        vec![common::entry(3, 10), common::entry(3, 10)],
        vec![Record::truncate(group, 4)],
        vec![Record::truncate(group, 0)],
        vec![Record::truncate(group + 1, 1)],
        vec![Record {
            group: group + 1,
            ..common::entry(0, 10)
        }],
        vec![Record::truncate(group, 2), common::entry(3, 10)],
        vec![Record::base(group, 1, u64::MAX, 0)],
        vec![Record::base(group, 1, 1, 0), common::entry(2, 10)],
        vec![Record::base(group, 1, 2, 0), Record::base(group, 1, 1, 0)],
        vec![Record::base(group, 1, 1, 0), Record::truncate(group, 1)],
        vec![Record::base(group, 2, 1, 0), common::entry(3, 10)],
        vec![
            common::entry(3, 10),
            Record::base(group, 2, 3, 0),
            Record::truncate(group, 3),
        ],
    ];
    for records in refused {
        let error = log.append(&records).unwrap_err();
        assert!(matches!(error, WalError::OutOfOrder { .. }), "{error}");
        assert_eq!(log.position(), position);
    }
    let error = log
        .append(&[common::entry(3, SEGMENT_BYTES as usize)])
        .unwrap_err();
    assert!(matches!(error, WalError::TooLarge { .. }), "{error}");
    log.append(&[
        Record::truncate(group, 2),
        common::entry(2, 11),
        common::entry(3, 10),
    ])
    .unwrap();
    assert_eq!(log.read(group, 1, 9, usize::MAX).unwrap().len(), 3);
    // Entries of one call are held like those of earlier ones; of what it dropped nothing is.
    log.append(&[
        common::entry(4, 10),
        Record::base(group, 1, 4, 0),
        common::entry(5, 10),
        Record::truncate(group, 5),
        common::entry_of(2, 5, 10),
        Record::base(group, 1, 5, 7),
        common::entry_of(2, 6, 10),
        Record::base(group, 2, 6, 7),
    ])
    .unwrap();
    log.append(&[common::entry_of(2, 7, 10)]).unwrap();
    assert_eq!(log.read(group, 7, 9, usize::MAX).unwrap().len(), 1);
}

#[test]
fn a_log_may_begin_behind_a_snapshot() {
    let disk = MemVfs::new(1);
    let (mut log, _) = open_keeping(&disk).unwrap();
    log.append(&[common::entry(500, 10), common::entry(501, 10)])
        .unwrap();
    log.sync().unwrap();
    let error = log.read(common::GROUP, 499, 501, usize::MAX).unwrap_err();
    assert!(
        matches!(error, WalError::NotHeld { first: 500, .. }),
        "{error}"
    );
    drop(log);
    let (log, recovery) = open_keeping(&disk).unwrap();
    assert_eq!(
        (
            recovery.groups[&common::GROUP].first,
            common::last_index(&recovery)
        ),
        (500, 501)
    );
    assert_eq!(
        log.read(common::GROUP, 500, 501, usize::MAX).unwrap().len(),
        2
    );
}

#[test]
fn a_log_and_its_directory_can_be_given_to_the_disk_thread() {
    fn assert_send<T: Send>() {}
    assert_send::<wal::Wal>();
    assert_send::<wal::DataDir>();
}
