//! A crash in every operation of a scripted run, and what is there afterwards.
//!
//! Nothing whose sync returned is missing; nothing that was not written appears; and what a reopened
//! log reports is durable.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use common::{GROUP, SEGMENT_BYTES, entry_of};
use vfs::{Crash, MemVfs, OperationKind};
use wal::{DataDir, Options, Preparation, Record, RecordKind, Recovery, Wal};

const OTHER_GROUP: u64 = 8;
const CLUSTER: u64 = 5;
const NODE: u64 = 2;

/// A group as it should be: entries by index, where they begin, and the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Group {
    base: (u64, u64),
    entries: BTreeMap<u64, Record>,
    state: Option<Bytes>,
}

type Groups = BTreeMap<u64, Group>;

fn apply(groups: &mut Groups, record: &Record) {
    let group = groups.entry(record.group).or_default();
    match record.kind {
        RecordKind::Entry => {
            group.entries.insert(record.index, record.clone());
        }
        RecordKind::Truncate => {
            group.entries.split_off(&record.index);
        }
        RecordKind::State => group.state = Some(record.body.clone()),
        RecordKind::Base => {
            let id = (record.term, record.index);
            let held = group.entries.get(&record.index);
            let is_held = group.base == id || held.is_some_and(|held| held.term == record.term);
            let behind = group.entries.split_off(&(record.index + 1));
            group.entries = if is_held { behind } else { BTreeMap::new() };
            group.base = id;
        }
    }
}

/// What a run has done so far.
#[derive(Default)]
struct Ledger {
    written: Vec<Record>,
    synced: usize,
    incarnations: Vec<u64>,
}

impl Ledger {
    fn after(&self, count: usize) -> Groups {
        let mut groups = Groups::new();
        self.written[..count]
            .iter()
            .for_each(|record| apply(&mut groups, record));
        groups
    }

    fn append(&mut self, log: &mut Wal, records: Vec<Record>) -> Option<()> {
        self.written.extend(records.iter().cloned());
        log.append(&records).ok()
    }

    fn sync(&mut self, log: &mut Wal) -> Option<()> {
        log.sync().ok()?;
        self.synced = self.written.len();
        Some(())
    }
}

fn path() -> &'static Path {
    Path::new("/srv/node")
}

fn options() -> Options {
    Options {
        segment_bytes: SEGMENT_BYTES,
        ..Options::default()
    }
}

fn open(disk: &MemVfs, ledger: &mut Ledger) -> Option<(DataDir, Wal, Recovery)> {
    let mut dir = DataDir::open(Arc::new(disk.clone()), path(), CLUSTER, NODE).ok()?;
    ledger.incarnations.push(dir.incarnation());
    let (log, recovery) = dir.open_wal(options()).ok()?;
    Some((dir, log, recovery))
}

fn state(group: u64, version: u8) -> Record {
    Record::state(
        group,
        Bytes::from(vec![version; 20 + usize::from(version % 3)]),
    )
}

/// The script: two groups, batches, truncations, several segments, a reserve made in steps, and a restart
/// in the middle. Stops at the first error.
fn run(disk: &MemVfs, ledger: &mut Ledger) -> Option<()> {
    let (dir, mut log, _) = open(disk, ledger)?;
    for round in 0..10_u64 {
        let first = round * 3 + 1;
        let records = vec![
            state(common::GROUP, round as u8 + 1),
            entry_of(1, first, 300),
            entry_of(1, first + 1, 900),
        ];
        ledger.append(&mut log, records)?;
        ledger.append(&mut log, vec![entry_of(1, first + 2, 200)])?;
        ledger.sync(&mut log)?;
        if round % 4 == 1 {
            while log.prepare_next().ok()? == Preparation::More {}
        }
    }
    drop((log, dir));
    let (_dir, mut log, _) = open(disk, ledger)?;
    for round in 0..6_u64 {
        let first = 25 - round;
        let mut records = vec![Record::truncate(common::GROUP, first)];
        records.extend((first..first + 4).map(|index| entry_of(2 + round, index, 600)));
        let other = Record {
            group: OTHER_GROUP,
            ..entry_of(1, round + 1, 50)
        };
        records.extend([other, state(OTHER_GROUP, round as u8)]);
        ledger.append(&mut log, records)?;
        if round % 2 == 0 {
            ledger.sync(&mut log)?;
        }
    }
    ledger.sync(&mut log)
}

/// A log whose head is cut again and again, whose one group is reset beyond its end and behind a
/// conflict, with a restart in the middle: segments are removed, some after an early rotation.
fn run_compacting(disk: &MemVfs, ledger: &mut Ledger) -> Option<()> {
    let (dir, mut log, _) = open(disk, ledger)?;
    for round in 0..3_u64 {
        compacting_round(&mut log, ledger, round)?;
    }
    drop((log, dir));
    let (_dir, mut log, _) = open(disk, ledger)?;
    for round in 3..5_u64 {
        compacting_round(&mut log, ledger, round)?;
    }
    ledger.sync(&mut log)
}

fn compacting_round(log: &mut Wal, ledger: &mut Ledger, round: u64) -> Option<()> {
    let first = round * 9 + 1;
    for index in first..first + 9 {
        ledger.append(log, vec![entry_of(1 + round / 3, index, 1200)])?;
    }
    // The other group's log: two entries, then a base beyond them, or one that contradicts them.
    let other_first = round * 10 + 1;
    let other = |term, index| Record {
        group: OTHER_GROUP,
        ..entry_of(term, index, 40)
    };
    let contradicts = round % 2;
    ledger.append(
        log,
        vec![
            other(round + 1, other_first),
            other(round + 1, other_first + 1),
            state(OTHER_GROUP, round as u8),
            Record::base(OTHER_GROUP, round + 1 + contradicts, other_first + 1, round),
            Record::base(OTHER_GROUP, round + 2, other_first + 9, 77),
        ],
    )?;
    let kept = round % 3;
    let index = first + 8 - kept;
    ledger.append(
        log,
        vec![
            state(common::GROUP, round as u8 + 1),
            Record::base(common::GROUP, 1 + round / 3, index, 1000 + index),
        ],
    )?;
    if kept > 0 {
        ledger.append(
            log,
            vec![
                Record::truncate(common::GROUP, first + 8),
                entry_of(1 + round / 3, first + 8, 700),
            ],
        )?;
    }
    if round.is_multiple_of(2) {
        ledger.sync(log)?;
    }
    while log.remove_obsolete().ok()? {}
    log.prepare_next().ok()?;
    Some(())
}

fn contents(log: &Wal, recovery: &Recovery) -> Groups {
    let groups = recovery.groups.iter().map(|(group, found)| {
        let records = log.read(*group, found.first, u64::MAX, usize::MAX).unwrap();
        let entries: BTreeMap<u64, Record> = records
            .into_iter()
            .map(|record| (record.index, record))
            .collect();
        if let Some((index, last)) = entries.last_key_value() {
            assert_eq!(
                (found.last, found.last_stamp),
                ((last.term, *index), last.stamp)
            );
        } else {
            assert_eq!(found.last, found.base);
        }
        assert_eq!(found.first, found.base.1 + 1);
        (
            *group,
            Group {
                base: found.base,
                entries,
                state: found.state.clone(),
            },
        )
    });
    groups.collect()
}

/// Reopens after a crash and checks what is there. Returns whether a torn write was cut.
fn check(disk: &MemVfs, ledger: &mut Ledger, context: &str) -> bool {
    let (dir, log, recovery) = open(disk, ledger).unwrap_or_else(|| panic!("refused: {context}"));
    let found = contents(&log, &recovery);
    let possible = (ledger.synced..=ledger.written.len()).rev().find(|count| {
        let mut expected = ledger.after(*count);
        expected.retain(|group, _| found.contains_key(group) || *count > 0);
        expected == found
    });
    assert!(
        possible.is_some(),
        "{context}: synced {} of {}, found {found:?}",
        ledger.synced,
        ledger.written.len()
    );
    drop((log, dir));
    disk.crash(Crash::LoseUnsynced);
    let (dir, mut log, again) = open(disk, ledger).unwrap();
    assert_eq!(
        contents(&log, &again),
        found,
        "{context}: what was reported was not durable"
    );
    let was_removed = log.remove_obsolete().unwrap();
    while log.remove_obsolete().unwrap() {}
    let mut names = vfs::Vfs::list(disk, &path().join("wal")).unwrap();
    names.retain(|name| name != wal::oldest::OLDEST_NAME);
    assert_eq!(
        log.disk_bytes(),
        names.len() as u64 * SEGMENT_BYTES,
        "{context}: {names:?}"
    );
    drop((log, dir));
    if was_removed {
        disk.crash(Crash::LoseUnsynced);
        let (_dir, log, recovery) = open(disk, ledger).unwrap();
        let now = contents(&log, &recovery);
        assert_eq!(now, found, "{context}: removal lost something");
    }
    assert_eq!(
        again.torn_bytes_cut, None,
        "{context}: the torn write was not cut"
    );
    let risen = ledger.incarnations.windows(2).all(|pair| pair[0] < pair[1]);
    assert!(risen, "{context}: incarnations {:?}", ledger.incarnations);
    recovery.torn_bytes_cut.is_some()
}

/// A script.
type Run = fn(&MemVfs, &mut Ledger) -> Option<()>;

/// What a crash in each operation of a run struck, and how many left a torn write.
fn crash_everywhere(run: Run, crashes: &[(u64, Crash)]) -> (BTreeMap<OperationKind, u64>, u64) {
    let disk = MemVfs::new(0);
    run(&disk, &mut Ledger::default()).unwrap();
    let operations = disk.operations();
    let mut struck: BTreeMap<OperationKind, u64> = BTreeMap::new();
    let mut torn = 0;
    for number in 1..=operations {
        for &(seed, crash) in crashes {
            let disk = MemVfs::new(number * 16 + seed);
            let mut ledger = Ledger::default();
            disk.halt_at_operation(number);
            assert!(run(&disk, &mut ledger).is_none());
            let (kind, at) = disk.halted_in().unwrap();
            *struck.entry(kind).or_default() += 1;
            disk.crash(crash);
            let context = format!(
                "operation {number}, {kind:?} of {}, {crash:?}, seed {seed}",
                at.display()
            );
            torn += u64::from(check(&disk, &mut ledger, &context));
        }
    }
    (struck, torn)
}

#[test]
fn crash_in_every_operation_of_a_run() {
    let crashes = [
        (0, Crash::Process),
        (0, Crash::LoseUnsynced),
        (1, Crash::Torn),
        (2, Crash::Torn),
        (3, Crash::Torn),
    ];
    let (struck, torn) = crash_everywhere(run, &crashes);
    for kind in [
        OperationKind::Create,
        OperationKind::Write,
        OperationKind::Sync,
        OperationKind::Allocate,
        OperationKind::Rename,
        OperationKind::CreateDirectory,
        OperationKind::SyncDirectory,
    ] {
        assert!(struck.contains_key(&kind), "the run has no {kind:?}");
    }
    assert!(
        torn > 20,
        "only {torn} crashes left a torn write: the disk is too kind"
    );
}

#[test]
fn crash_in_every_operation_of_a_run_that_removes_segments() {
    let crashes = [(0, Crash::LoseUnsynced), (1, Crash::Torn)];
    let (struck, torn) = crash_everywhere(run_compacting, &crashes);
    assert!(struck[&OperationKind::Remove] >= 10, "{struck:?}");
    assert!(torn > 10, "only {torn} torn writes");
}

#[test]
fn crash_in_every_operation_of_a_recovery() {
    // The first crash leaves a torn tail, a half-prepared segment and a new IDENTITY; then recovery
    // itself is cut short at each of its operations.
    let torn = |seed| {
        let disk = MemVfs::new(seed);
        let mut ledger = Ledger::default();
        let (dir, mut log, _) = open(&disk, &mut ledger).unwrap();
        ledger.append(&mut log, vec![entry_of(1, 1, 600)]).unwrap();
        ledger.sync(&mut log).unwrap();
        log.prepare_next().unwrap();
        log.prepare_next().unwrap();
        ledger
            .append(
                &mut log,
                (2..6).map(|index| entry_of(1, index, 600)).collect(),
            )
            .unwrap();
        drop((log, dir));
        disk.crash(Crash::Torn);
        (disk, ledger)
    };
    let mut cut = 0;
    for seed in 0..12 {
        let (disk, mut ledger) = torn(seed);
        let before = disk.operations();
        cut += u64::from(check(&disk, &mut ledger, "uninterrupted"));
        for number in before + 1..=disk.operations() {
            let (disk, mut ledger) = torn(seed);
            disk.halt_at_operation(number);
            if open(&disk, &mut ledger).is_none() {
                disk.crash(Crash::Torn);
                check(
                    &disk,
                    &mut ledger,
                    &format!("seed {seed}, operation {number}"),
                );
            }
        }
    }
    assert!(cut > 2, "only {cut} torn tails");
}

#[test]
fn a_tail_that_is_found_after_a_kill_stays_when_the_power_fails() {
    // The process is killed before the sync. The next one finds the entry, and tells the leader that
    // it has it; then the power fails.
    for is_rotated in [false, true] {
        let disk = MemVfs::new(0);
        let mut ledger = Ledger::default();
        let (dir, mut log, _) = open(&disk, &mut ledger).unwrap();
        let entries = match is_rotated {
            false => vec![entry_of(1, 1, 300)],
            true => (1..40).map(|index| entry_of(1, index, 600)).collect(),
        };
        let last = entries.len() as u64;
        log.append(&entries).unwrap();
        drop((log, dir));
        for crash in [Crash::Process, Crash::LoseUnsynced] {
            disk.crash(crash);
            let (_dir, _log, recovery) = open(&disk, &mut ledger).unwrap();
            assert_eq!(recovery.groups[&GROUP].last, (1, last), "after {crash:?}");
        }
    }
}

#[test]
fn a_log_that_does_not_sync_is_caught() {
    // The checks above must be able to fail: here is a log that forgets to sync.
    let disk = MemVfs::new(0);
    let mut ledger = Ledger::default();
    let mut dir = DataDir::open(Arc::new(disk.clone()), path(), CLUSTER, NODE).unwrap();
    let (mut log, _) = dir
        .open_wal(Options {
            sync: false,
            ..options()
        })
        .unwrap();
    ledger.append(&mut log, vec![entry_of(1, 1, 300)]).unwrap();
    ledger.sync(&mut log).unwrap();
    drop((log, dir));
    disk.crash(Crash::LoseUnsynced);
    let (_dir, _, recovery) = open(&disk, &mut ledger).unwrap();
    assert!(
        recovery.groups.is_empty(),
        "an un-synced entry survived the loss of all un-synced"
    );
}
