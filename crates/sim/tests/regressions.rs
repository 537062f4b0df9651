//! Seeds in which a property once broke, run again.
//!
//! A seed makes other runs whenever the world changes, so each finding in the product also has a
//! test of its own, named in docs/proof.md. These are run because they cost little.
#![cfg(feature = "world")]

use buggify::Canary;
use sim::profile::Profile;
use sim::report::RunOptions;
use sim::world;

/// The profile, the seed, and what went wrong in it.
const SEEDS: [(Profile, u64, &str); 9] = [
    (
        Profile::Default,
        4_075_823_514_705,
        "a large batch was refused for ever, while the small one behind it kept the leader busy",
    ),
    (
        Profile::Default,
        5_311_195_372_221,
        "service was demanded while packets from before the healing were under way",
    ),
    (
        Profile::Default,
        829_798_763_016,
        "a follower was given up while the leader learnt what it holds",
    ),
    (
        Profile::Default,
        829_798_763_062,
        "the same, with a follower that had applied all",
    ),
    (
        Profile::Default,
        100_191,
        "a node that has joined cut its log before it had come to an entry that names the members",
    ),
    (
        Profile::Default,
        101_285,
        "an old copy of a disk was started so often, unseen, that it passed for a later run",
    ),
    (
        Profile::Default,
        101_416,
        "the power failed while a removed node marked its data directory, and the mark was there",
    ),
    (
        Profile::Default,
        101_539,
        "the founder of a cluster of one that had grown came back with an empty disk",
    ),
    (
        Profile::Default,
        8_641_137_302_963,
        "a node that went through a long log left nearly empty segments of its own behind",
    ),
];

#[test]
fn what_broke_once_holds() {
    for (profile, seed, what) in SEEDS {
        let options = RunOptions::new(seed, profile);
        let failure = world::run(&options).failure;
        assert!(failure.is_none(), "{what}: seed {seed}: {failure:?}");
    }
}

/// A replica whose state differs from that of the others is stopped by their comparison, unless the
/// judge of states comes to the same entry before; without the comparison, only the judge notices.
#[test]
fn a_replica_that_differs_is_found_by_the_others() {
    let by_comparison = "differs from that of a majority";
    for (canary, is_compared) in [
        (Canary::EffectsSkipped, true),
        (Canary::DifferenceUnseen, false),
    ] {
        let run = |seed| {
            let options = RunOptions {
                canary: Some(canary),
                duration_us: 10_000_000,
                ..RunOptions::new(seed, Profile::Calm)
            };
            let failure = world::run(&options).failure?;
            Some(failure.violation.detail)
        };
        let details: Vec<String> = (1..=8).filter_map(run).collect();
        let is_found = details.iter().any(|detail| detail.contains(by_comparison));
        assert!(!details.is_empty(), "{canary:?} is not noticed");
        assert_eq!(is_found, is_compared, "{canary:?}: {details:?}");
    }
}
