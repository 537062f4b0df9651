//! The world in which members come and go: it does what its name says, and one seed makes one run.
#![cfg(feature = "world")]

use sim::profile::Profile;
use sim::report::{FaultClass, FaultCounts, RunOptions};
use sim::world;

/// Short runs: members change within seconds.
const DURATION_US: u64 = 25_000_000;

fn run(seed: u64) -> sim::report::RunReport {
    let mut options = RunOptions::new(seed, Profile::Default);
    options.duration_us = DURATION_US;
    world::run(&options)
}

#[test]
fn members_come_and_go_in_many_runs_and_nothing_breaks() {
    let (mut faults, mut changes, mut runs_with_changes) = (FaultCounts::default(), 0, 0);
    for seed in 1..=24 {
        let report = run(seed);
        assert!(
            report.failure.is_none(),
            "seed {seed}: {:?}",
            report.failure
        );
        faults.merge(&report.faults);
        changes += report.changes;
        runs_with_changes += u64::from(report.changes > 0);
    }
    let of_members = FaultClass::ALL.iter().filter(|class| class.is_of_members());
    let seen = of_members.filter(|class| faults.of(**class) > 0).count();
    assert!(
        changes > 10 && runs_with_changes > 2,
        "{changes} in {runs_with_changes}"
    );
    assert!(seen > 6, "{seen} classes");
}

#[test]
fn a_seed_with_changes_makes_the_same_run_again() {
    let changing = (1..=10).find(|&seed| run(seed).changes > 0);
    let seed = changing.expect("members change in half of the seeds");
    let (one, other) = (run(seed), run(seed));
    assert_eq!(one.fingerprint, other.fingerprint);
    assert_eq!((one.events, one.changes), (other.events, other.changes));
}
