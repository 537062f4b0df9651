//! Whether the judges notice: each canary is made, seed after seed, until a run fails.
//!
//! A canary counts as caught by a seed if the run fails with it and does not fail without it. How many
//! seeds that takes is measured from several starts, far from each other, because one start may be
//! lucky; what is told is the first and the median. A canary that no seed of the first start catches
//! is not looked for from the others.

pub mod table;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use buggify::Canary;

use crate::judges::Violation;
use crate::report::{RunOptions, RunReport};
use crate::runner;

/// How far the starts are from each other: further than seeds are looked at from one.
const START_DISTANCE: u64 = 1_000_000;

/// Seeds in which a canary must be noticed.
pub const SEEDS_MAX: u64 = 2_000;

/// Starts from which each is looked for.
pub const STARTS: usize = 5;

/// How [`Plan::quick`] looks: few seeds, and only for canaries that are noticed in few.
const QUICK_SEEDS_MAX: u64 = 200;

/// How the canaries are looked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which.
    pub canaries: Vec<Canary>,
    /// From how many starts.
    pub starts: usize,
    /// The first seed of the first start.
    pub first_seed: u64,
    /// At most so many seeds from each start.
    pub seeds_max: u64,
    /// How many runs are made at once.
    pub jobs: usize,
    /// How each run is made; its seed and its canary do not count.
    pub template: RunOptions,
}

impl Plan {
    /// All that can be noticed in the world, as often as it takes to tell a median.
    pub fn full(jobs: usize, template: RunOptions) -> Plan {
        let is_sought = |canary: &&Canary| !table::WITHOUT_WORLD.contains(canary);
        Plan {
            canaries: Canary::ALL.iter().filter(is_sought).copied().collect(),
            starts: STARTS,
            first_seed: 1,
            seeds_max: SEEDS_MAX,
            jobs,
            template,
        }
    }

    /// One start, for the canaries that take few seeds: minutes at most.
    pub fn quick(jobs: usize, template: RunOptions) -> Plan {
        let mut plan = Plan {
            starts: 1,
            seeds_max: QUICK_SEEDS_MAX,
            ..Plan::full(jobs, template)
        };
        plan.canaries.retain(|canary| !table::SLOW.contains(canary));
        plan
    }
}

/// A canary that was looked for.
#[derive(Clone, Debug)]
pub struct Sought {
    /// Which.
    pub canary: Canary,
    /// What came of it from each start that was taken, in their order.
    pub hunts: Vec<Hunt>,
}

/// What came of looking for a canary from one start.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// Seeds that were run with the canary.
    pub seeds: u64,
    /// The catch, if there was one.
    pub catch: Option<Catch>,
    /// Seeds that fail without the canary as well, and hence were not counted as a catch.
    pub failing_anyway: Vec<u64>,
    /// Simulated time of all its runs.
    pub simulated_us: u64,
    /// Time that its runs took.
    pub busy: Duration,
}

/// A run that noticed.
#[derive(Clone, Debug)]
pub struct Catch {
    /// Its seed.
    pub seed: u64,
    /// What it noticed.
    pub violation: Violation,
    /// When, in simulated time.
    pub at_us: u64,
}

impl Sought {
    /// Whether it was caught from every start.
    pub fn is_caught(&self) -> bool {
        !self.hunts.is_empty() && self.hunts.iter().all(|hunt| hunt.catch.is_some())
    }

    /// Seeds needed from the first start.
    pub fn first(&self) -> Option<u64> {
        let hunt = self.hunts.first()?;
        hunt.catch.as_ref().map(|_| hunt.seeds)
    }

    /// The median of the seeds needed; `None` if half of the starts or more did not catch it.
    pub fn median(&self) -> Option<u64> {
        let mut needed: Vec<u64> = self
            .hunts
            .iter()
            .map(|hunt| hunt.catch.as_ref().map_or(u64::MAX, |_| hunt.seeds))
            .collect();
        needed.sort_unstable();
        let median = *needed.get(needed.len().checked_sub(1)? / 2)?;
        (median != u64::MAX).then_some(median)
    }
}

/// Looks for the canaries of a plan. `run` makes one run; `stop`, once true, begins no more. `tell`
/// hears of each hunt as it ends.
pub fn run<F>(
    plan: &Plan,
    run: &F,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Canary, usize, &Hunt),
) -> Vec<Sought>
where
    F: Fn(&RunOptions) -> RunReport + Sync,
{
    let mut sought: Vec<Sought> = plan
        .canaries
        .iter()
        .map(|&canary| Sought {
            canary,
            hunts: Vec::new(),
        })
        .collect();
    // The first start of all of them comes first: that is the news.
    let firsts = (0..sought.len()).map(|place| (place, 0));
    let queue = Mutex::new(firsts.collect::<VecDeque<_>>());
    let work = |done: Sender<(usize, usize, Hunt)>| {
        while !stop.load(Ordering::Relaxed) {
            let Some((place, start)) = lock(&queue).pop_front() else {
                return;
            };
            let hunt = hunt(plan, run, stop, plan.canaries[place], start);
            if hunt.catch.is_some() && start + 1 < plan.starts {
                lock(&queue).push_back((place, start + 1));
            }
            if done.send((place, start, hunt)).is_err() {
                return;
            }
        }
    };
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..plan.jobs.max(1) {
            let sender = sender.clone();
            scope.spawn(|| work(sender));
        }
        drop(sender);
        for (place, start, hunt) in receiver {
            tell(sought[place].canary, start, &hunt);
            sought[place].hunts.push(hunt);
        }
    });
    sought
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks for a canary from one start.
fn hunt<F>(plan: &Plan, run: &F, stop: &AtomicBool, canary: Canary, start: usize) -> Hunt
where
    F: Fn(&RunOptions) -> RunReport + Sync,
{
    let began = Instant::now();
    let first_seed = plan.first_seed + start as u64 * START_DISTANCE;
    let mut hunt = Hunt {
        seeds: 0,
        catch: None,
        failing_anyway: Vec::new(),
        simulated_us: 0,
        busy: Duration::ZERO,
    };
    while hunt.seeds < plan.seeds_max && !stop.load(Ordering::Relaxed) {
        let seed = first_seed + hunt.seeds;
        hunt.seeds += 1;
        let mut options = RunOptions {
            seed,
            canary: Some(canary),
            ..plan.template.clone()
        };
        let report = runner::guarded(run, &options);
        hunt.simulated_us += report.simulated_us;
        let Some(failure) = report.failure else {
            continue;
        };
        options.canary = None;
        if runner::guarded(run, &options).failure.is_some() {
            hunt.failing_anyway.push(seed);
            continue;
        }
        hunt.catch = Some(Catch {
            seed,
            violation: failure.violation,
            at_us: failure.at_us,
        });
        break;
    }
    hunt.busy = began.elapsed();
    hunt
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;
    use crate::report::Failure;

    fn plan() -> Plan {
        Plan {
            canaries: Canary::ALL[..3].to_vec(),
            seeds_max: 50,
            ..Plan::full(2, RunOptions::new(0, Profile::Default))
        }
    }

    fn report(options: &RunOptions, fails: bool) -> RunReport {
        let failure = Failure {
            violation: Violation {
                property: "made_up",
                detail: String::new(),
            },
            step: 1,
            at_us: 2,
            nodes: Vec::new(),
        };
        RunReport {
            seed: options.seed,
            simulated_us: 10,
            failure: fails.then_some(failure),
            ..RunReport::default()
        }
    }

    fn seek(run: impl Fn(&RunOptions) -> RunReport + Sync) -> Vec<Sought> {
        super::run(&plan(), &run, &AtomicBool::new(false), &mut |_, _, _| {})
    }

    #[test]
    fn seeds_are_counted_from_every_start() {
        let sought = seek(|options| {
            let nth = options.seed % START_DISTANCE;
            let start = options.seed / START_DISTANCE;
            report(options, options.canary.is_some() && nth == 10 - start)
        });
        assert_eq!(sought.len(), 3);
        for canary in &sought {
            assert!(canary.is_caught());
            assert_eq!((canary.first(), canary.median()), (Some(10), Some(8)));
            assert_eq!(canary.hunts[1].simulated_us, 90);
        }
    }

    #[test]
    fn what_is_never_noticed_is_looked_for_from_one_start_only() {
        let missed = Canary::ALL[1];
        let sought = seek(|options| {
            let is_noticed = options.canary.is_some_and(|canary| canary != missed);
            report(options, is_noticed)
        });
        let caught: Vec<bool> = sought.iter().map(Sought::is_caught).collect();
        assert_eq!(caught, [true, false, true]);
        assert_eq!((sought[1].hunts.len(), sought[1].hunts[0].seeds), (1, 50));
        assert_eq!((sought[1].first(), sought[1].median()), (None, None));
    }

    #[test]
    fn a_seed_that_fails_without_the_canary_is_no_catch() {
        let sought = seek(|options| report(options, options.seed % 10 == 3));
        assert!(sought.iter().all(|canary| !canary.is_caught()));
        assert_eq!(sought[0].hunts[0].failing_anyway, [3, 13, 23, 33, 43]);
    }
}
