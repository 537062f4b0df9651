//! Many seeds on all cores.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use siphasher::sip::SipHasher13;

use crate::judges::Violation;
use crate::report::{Failure, FaultClass, FaultCounts, RunOptions, RunReport};

/// The property that two runs of a seed agree.
pub const DETERMINISM: &str = "determinism";

/// Which seeds are run, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The first seed. The others follow one by one, so all are distinct.
    pub first_seed: u64,
    /// How many seeds; `None`: until time is up.
    pub seeds: Option<u64>,
    /// After how long no more seeds are begun; `None`: when all seeds are done.
    pub limit: Option<Duration>,
    /// How many run at once.
    pub jobs: usize,
    /// How many seeds of a hundred run twice, to see whether both runs agree.
    pub twice_percent: u64,
    /// Whether to go on after a seed that fails.
    pub keep_going: bool,
    /// How each seed is run; its seed does not count.
    pub template: RunOptions,
    /// How often the totals are told.
    pub tell_every: Duration,
}

/// What came of all seeds so far.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Seeds that are done.
    pub seeds: u64,
    /// Seeds that ran twice.
    pub twice: u64,
    /// Seeds that failed.
    pub failing: u64,
    /// Events handled.
    pub events: u64,
    /// Simulated time that passed, in microseconds.
    pub simulated_us: u64,
    /// Operations of clients that were asked.
    pub operations: u64,
    /// Operations that were answered by a result, and checked.
    pub answered: u64,
    /// Elections won.
    pub elections: u64,
    /// Partitions of histories whose check was given up.
    pub inconclusive: u64,
    /// Faults injected.
    pub faults: FaultCounts,
    /// Time that the cores worked on runs, added up.
    pub busy: Duration,
    /// Time that passed.
    pub wall: Duration,
}

/// A seed that failed.
#[derive(Clone, Debug)]
pub struct FailingSeed {
    /// How it was run.
    pub options: RunOptions,
    /// What went wrong.
    pub failure: Failure,
}

/// What came of a plan.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The totals.
    pub totals: Totals,
    /// The seeds that failed, by number.
    pub failing: Vec<FailingSeed>,
    /// Whether it was told to stop before it was through.
    pub is_interrupted: bool,
}

/// What the caller hears while it goes on.
#[derive(Debug)]
pub enum News<'a> {
    /// Some time passed.
    Progress(&'a Totals),
    /// A seed failed.
    Failing(&'a FailingSeed),
}

/// Runs the seeds of a plan. `run` makes one run; `stop`, once true, begins no more.
pub fn run_all<F>(
    plan: &Plan,
    run: &F,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(News<'_>),
) -> Summary
where
    F: Fn(&RunOptions) -> RunReport + Sync,
{
    let started = Instant::now();
    let next = AtomicU64::new(0);
    let no_more = AtomicBool::new(false);
    let work = |done: Sender<Done>| {
        while !no_more.load(Ordering::Relaxed) && !stop.load(Ordering::Relaxed) {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            let is_late = plan.limit.is_some_and(|limit| started.elapsed() >= limit);
            if is_late || plan.seeds.is_some_and(|seeds| nth >= seeds) {
                return;
            }
            let options = RunOptions {
                seed: plan.first_seed.wrapping_add(nth),
                ..plan.template.clone()
            };
            if done.send(run_one(plan, run, options)).is_err() {
                return;
            }
        }
    };
    let mut summary = Summary::default();
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..plan.jobs.max(1) {
            let sender = sender.clone();
            scope.spawn(|| work(sender));
        }
        drop(sender);
        let mut next_telling = started + plan.tell_every;
        loop {
            match receiver.recv_timeout(next_telling.saturating_duration_since(Instant::now())) {
                Ok(done) => {
                    if let Some(failing) = summary.take(done) {
                        no_more.fetch_or(!plan.keep_going, Ordering::Relaxed);
                        tell(News::Failing(&failing));
                        summary.failing.push(failing);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    next_telling = Instant::now() + plan.tell_every;
                    summary.totals.wall = started.elapsed();
                    tell(News::Progress(&summary.totals));
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    });
    summary.totals.wall = started.elapsed();
    summary.is_interrupted = stop.load(Ordering::Relaxed);
    summary
        .failing
        .sort_by_key(|failing| failing.options.seed.wrapping_sub(plan.first_seed));
    summary
}

/// A base for seeds that nobody has run before.
pub fn fresh_base() -> u64 {
    short(RandomState::new().build_hasher().finish())
}

/// A base for seeds that belongs to a text: each commit has its own.
pub fn base_of(text: &str) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(text.trim().as_bytes());
    short(hasher.finish())
}

/// Seeds are typed by people: 13 digits are enough to be distinct.
fn short(bits: u64) -> u64 {
    bits % 10_000_000_000_000
}

/// A run that cannot take the program down: a panic of the simulator itself is a failure, too.
pub fn guarded<F>(run: &F, options: &RunOptions) -> RunReport
where
    F: Fn(&RunOptions) -> RunReport + Sync,
{
    catch_unwind(AssertUnwindSafe(|| run(options))).unwrap_or_else(|payload| {
        let text = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied());
        RunReport {
            seed: options.seed,
            failure: Some(Failure {
                violation: Violation {
                    property: "simulator-panic",
                    detail: text.unwrap_or("a panic without a text").to_owned(),
                },
                step: 0,
                at_us: 0,
                nodes: Vec::new(),
            }),
            ..RunReport::default()
        }
    })
}

/// What came of one seed.
struct Done {
    options: RunOptions,
    report: RunReport,
    is_twice: bool,
    busy: Duration,
}

fn run_one<F>(plan: &Plan, run: &F, options: RunOptions) -> Done
where
    F: Fn(&RunOptions) -> RunReport + Sync,
{
    let started = Instant::now();
    let mut report = guarded(run, &options);
    let is_twice = lot(options.seed) < plan.twice_percent;
    let mut busy = started.elapsed();
    if is_twice {
        let again = guarded(run, &options);
        if report.failure.is_none() {
            report.failure = difference(&report, &again);
        }
        // The second run is no new ground, so its time counts for nothing as well.
        busy = started.elapsed().min(busy);
    }
    Done {
        options,
        report,
        is_twice,
        busy,
    }
}

/// A number below 100 that a seed has for ever.
fn lot(seed: u64) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write_u64(seed);
    hasher.finish() % 100
}

/// What is not the same in two runs of a seed, as a failure.
pub fn difference(first: &RunReport, second: &RunReport) -> Option<Failure> {
    let figures = |report: &RunReport| {
        [
            report.fingerprint,
            report.events,
            report.simulated_us,
            report.operations,
            report.answered,
            report.elections,
            report.inconclusive,
            report.faults.total(),
        ]
    };
    let names = "fingerprint, events, simulated time, operations, answered, elections, inconclusive, \
                 faults";
    let (one, two) = (figures(first), figures(second));
    let is_same = one == two && first.faults == second.faults && first.failure == second.failure;
    (!is_same).then(|| Failure {
        violation: Violation {
            property: DETERMINISM,
            detail: format!("two runs of one seed differ in ({names}): {one:?} and {two:?}"),
        },
        step: first.events,
        at_us: first.simulated_us,
        nodes: Vec::new(),
    })
}

impl Summary {
    fn take(&mut self, done: Done) -> Option<FailingSeed> {
        let Done {
            options,
            report,
            is_twice,
            busy,
        } = done;
        let totals = &mut self.totals;
        totals.seeds += 1;
        totals.twice += u64::from(is_twice);
        totals.events += report.events;
        totals.simulated_us += report.simulated_us;
        totals.operations += report.operations;
        totals.answered += report.answered;
        totals.elections += report.elections;
        totals.inconclusive += report.inconclusive;
        totals.faults.merge(&report.faults);
        totals.busy += busy;
        let failure = report.failure?;
        totals.failing += 1;
        Some(FailingSeed { options, failure })
    }
}

impl Totals {
    /// How many classes of faults were injected at least once.
    pub fn fault_classes(&self) -> usize {
        FaultClass::ALL
            .iter()
            .filter(|class| self.faults.of(**class) > 0)
            .count()
    }

    /// Events in a second of one core.
    pub fn events_per_core_second(&self) -> f64 {
        self.events as f64 / self.busy.as_secs_f64().max(1e-9)
    }

    /// How many times faster than real time, on all cores together.
    pub fn speed_up(&self) -> f64 {
        self.simulated_us as f64 / 1e6 / self.wall.as_secs_f64().max(1e-9)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use super::*;
    use crate::profile::Profile;

    fn plan() -> Plan {
        Plan {
            first_seed: 1000,
            seeds: Some(200),
            limit: None,
            jobs: 3,
            twice_percent: 0,
            keep_going: false,
            template: RunOptions::new(0, Profile::Default),
            tell_every: Duration::from_secs(10),
        }
    }

    fn fine(options: &RunOptions) -> RunReport {
        RunReport {
            seed: options.seed,
            events: 10,
            fingerprint: options.seed,
            ..RunReport::default()
        }
    }

    fn failing(options: &RunOptions) -> RunReport {
        RunReport {
            failure: Some(Failure {
                violation: Violation {
                    property: "made up",
                    detail: String::new(),
                },
                step: 1,
                at_us: 2,
                nodes: Vec::new(),
            }),
            ..fine(options)
        }
    }

    #[test]
    fn every_seed_runs_once() {
        let seen = Mutex::new(Vec::new());
        let run = |options: &RunOptions| {
            seen.lock().unwrap().push(options.seed);
            fine(options)
        };
        let summary = run_all(&plan(), &run, &AtomicBool::new(false), &mut |_| {});
        let seen = seen.into_inner().unwrap();
        assert_eq!((seen.len(), summary.totals.seeds), (200, 200));
        assert_eq!(
            seen.into_iter().collect::<BTreeSet<_>>(),
            (1000..1200).collect()
        );
        assert_eq!(summary.totals.events, 2000);
    }

    #[test]
    fn a_failing_seed_ends_it_unless_told_otherwise() {
        let run = |options: &RunOptions| match options.seed % 50 {
            7 => failing(options),
            _ => fine(options),
        };
        let mut told = Vec::new();
        let summary = run_all(
            &plan(),
            &run,
            &AtomicBool::new(false),
            &mut |news| match news {
                News::Failing(failing) => told.push(failing.options.seed),
                News::Progress(_) => {}
            },
        );
        assert_eq!(summary.failing[0].options.seed, 1007);
        assert!(told.contains(&1007));
        let plan = Plan {
            keep_going: true,
            ..plan()
        };
        let summary = run_all(&plan, &run, &AtomicBool::new(false), &mut |_| {});
        let seeds: Vec<u64> = summary
            .failing
            .iter()
            .map(|failing| failing.options.seed)
            .collect();
        assert_eq!(seeds, [1007, 1057, 1107, 1157]);
        assert_eq!(summary.totals.seeds, 200);
    }

    #[test]
    fn two_runs_that_differ_are_a_failure() {
        let runs = AtomicU64::new(0);
        let run = |options: &RunOptions| RunReport {
            fingerprint: runs.fetch_add(1, Ordering::Relaxed),
            ..fine(options)
        };
        let plan = Plan {
            twice_percent: 100,
            seeds: Some(1),
            ..plan()
        };
        let summary = run_all(&plan, &run, &AtomicBool::new(false), &mut |_| {});
        assert_eq!(summary.failing[0].failure.violation.property, DETERMINISM);
        let summary = run_all(&plan, &fine, &AtomicBool::new(false), &mut |_| {});
        assert!(summary.failing.is_empty() && summary.totals.twice == 1);
    }

    #[test]
    fn about_as_many_seeds_run_twice_as_asked() {
        let twice = (0..10_000).filter(|&seed| lot(seed) < 1).count();
        assert!((60..140).contains(&twice), "{twice}");
    }

    #[test]
    fn it_stops_when_told_and_when_time_is_up() {
        let summary = run_all(&plan(), &fine, &AtomicBool::new(true), &mut |_| {});
        assert!(summary.is_interrupted && summary.totals.seeds == 0);
        let plan = Plan {
            seeds: None,
            limit: Some(Duration::from_millis(5)),
            ..plan()
        };
        let summary = run_all(&plan, &fine, &AtomicBool::new(false), &mut |_| {});
        assert!(!summary.is_interrupted && summary.totals.seeds > 0);
    }

    #[test]
    fn a_panic_is_a_failure() {
        let run = |options: &RunOptions| match options.seed {
            1003 => panic!("on purpose"),
            _ => fine(options),
        };
        let summary = run_all(&plan(), &run, &AtomicBool::new(false), &mut |_| {});
        let failure = &summary.failing[0].failure;
        assert_eq!(failure.violation.property, "simulator-panic");
        assert_eq!(failure.violation.detail, "on purpose");
    }

    #[test]
    fn bases_differ_by_text_and_stay_the_same() {
        assert_eq!(base_of("2eb7016\n"), base_of("2eb7016"));
        assert_ne!(base_of("2eb7016"), base_of("c470388"));
    }
}
