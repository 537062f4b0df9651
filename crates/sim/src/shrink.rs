//! Makes a failing run small, so that a person can read it.
//!
//! A choice that is left out falls back to the benign one and shifts no other (see [`crate::tape`]). So
//! shrinking is a search for a small set of choices that still breaks the same property. In this
//! order: a shorter run; then delta debugging (Zeller and Hildebrandt, "Simplifying and isolating
//! failure-inducing input", 2002) over kinds of choices, over sites, over single choices, from halves
//! down to one; then a shorter run again.
//!
//! Candidates are tried on all cores at once. The first in order that fails is taken, whichever is
//! done first, so the result does not depend on the machine unless time runs out.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::report::{RunOptions, RunReport};
use crate::tape::Choice;

/// How to shrink.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// When to stop, even if more could be left out.
    pub budget: Duration,
    /// How many candidates are tried at once.
    pub jobs: usize,
    /// Whether a run that breaks another property will do as well.
    pub any_property: bool,
}

/// No run is made shorter than this: what can fail by itself needs no time at all, and the number would
/// only puzzle people.
const SHORTEST_US: u64 = 1000;

/// How large a failing run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Choices that are not benign.
    pub choices: usize,
    /// Events until it fails.
    pub events: u64,
    /// The time it may take, in simulated microseconds.
    pub duration_us: u64,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// What is being tried.
    pub stage: &'static str,
    /// The smallest so far.
    pub size: Size,
    /// Runs made.
    pub tried: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Shrunk {
    /// How to repeat the small run.
    pub options: RunOptions,
    /// What comes of it: it fails.
    pub report: RunReport,
    /// The size of the run that was given.
    pub before: Size,
    /// The size of the small one.
    pub after: Size,
    /// Runs made.
    pub tried: u64,
    /// Whether no single choice can be left out any more. False if time ran out.
    pub is_minimal: bool,
}

/// Shrinks the run that `options` describe. `None` if it does not fail at all.
///
/// `run` makes a run; it must come to the same end for the same options, and note the choices it made
/// when `record` is set.
pub fn shrink<F>(
    run: &F,
    options: &RunOptions,
    settings: Settings,
    progress: &mut (dyn FnMut(Progress) + Sync),
) -> Option<Shrunk>
where
    F: Fn(&RunOptions) -> RunReport + Sync,
{
    let started = Instant::now();
    let options = RunOptions {
        record: true,
        trace: false,
        keep_history: false,
        ..options.clone()
    };
    let report = run(&options);
    let property = report.failure.as_ref()?.violation.property;
    let before = size(&options, &report);
    let mut shrinker = Shrinker {
        run,
        settings,
        started,
        property,
        events_max: before.events,
        choices: report.choices.clone(),
        options,
        report,
        tried: AtomicU64::new(1),
        progress,
    };
    let is_minimal = shrinker.work();
    let mut options = shrinker.options;
    options.only = Some(shrinker.choices.iter().copied().collect());
    options.record = false;
    Some(Shrunk {
        after: size(&options, &shrinker.report),
        options,
        before,
        tried: shrinker.tried.into_inner(),
        report: shrinker.report,
        is_minimal,
    })
}

fn size(options: &RunOptions, report: &RunReport) -> Size {
    Size {
        choices: report.choices.len(),
        events: report.events,
        duration_us: options.duration_us,
    }
}

struct Shrinker<'a, F> {
    run: &'a F,
    settings: Settings,
    started: Instant,
    /// The property that must break.
    property: &'static str,
    /// The events of the run that was given: fewer choices can make a run that fails much later.
    events_max: u64,
    /// The smallest failing run so far.
    options: RunOptions,
    report: RunReport,
    /// Its choices, in the order in which the run that was given made them.
    choices: Vec<Choice>,
    tried: AtomicU64,
    progress: &'a mut (dyn FnMut(Progress) + Sync),
}

/// By which key choices are taken together.
type Key = fn(usize, &Choice) -> (u32, u32);

/// What is left out together, stage by stage.
const STAGES: &[(&str, Key)] = &[
    ("kinds of choices", |_, choice| {
        (u32::from(choice.site.kind as u8), 0)
    }),
    ("sites", |_, choice| {
        (u32::from(choice.site.kind as u8), u32::from(choice.site.of))
    }),
    ("single choices", |position, _| (position as u32, 0)),
];

impl<F> Shrinker<'_, F>
where
    F: Fn(&RunOptions) -> RunReport + Sync,
{
    /// Returns whether the result is minimal.
    fn work(&mut self) -> bool {
        self.shorten();
        // Without any fault at all it may fail as well.
        if let Some((_, options, report)) = self.search(1, |_| self.with_only(HashSet::new())) {
            self.accept(options, report);
        }
        for (stage, key) in STAGES {
            self.leave_out(stage, *key);
            self.shorten();
        }
        let (stage, key) = STAGES[STAGES.len() - 1];
        while !self.is_over() {
            if !self.sweep(stage, key, 1) {
                return true;
            }
        }
        false
    }

    /// Tries to leave out groups of choices: first half of the groups at once, at last one by one.
    fn leave_out(&mut self, stage: &'static str, key: Key) {
        let mut chunk = self.groups(key).len().div_ceil(2);
        while chunk > 0 && !self.is_over() {
            self.sweep(stage, key, chunk);
            if chunk == 1 {
                return;
            }
            chunk = chunk.min(self.groups(key).len()).div_ceil(2);
        }
    }

    /// Tries to leave out each run of `chunk` groups. Returns whether one could be left out.
    fn sweep(&mut self, stage: &'static str, key: Key, chunk: usize) -> bool {
        let mut passed = 0;
        let mut has_changed = false;
        while !self.is_over() {
            self.tell(stage);
            let groups = self.groups(key);
            let count = (groups.len() - passed.min(groups.len())).div_ceil(chunk);
            let range = |nth: usize| -> Range<usize> {
                let start = passed + nth * chunk;
                start..(start + chunk).min(groups.len())
            };
            let found = self.search(count, |nth| {
                let left_out: HashSet<usize> =
                    groups[range(nth)].iter().flatten().copied().collect();
                let kept = self.choices.iter().enumerate();
                self.with_only(
                    kept.filter(|(position, _)| !left_out.contains(position))
                        .map(|(_, choice)| *choice)
                        .collect(),
                )
            });
            let Some((nth, options, report)) = found else {
                break;
            };
            let behind: HashSet<Choice> = groups[..range(nth).start]
                .iter()
                .flatten()
                .map(|&position| self.choices[position])
                .collect();
            self.accept(options, report);
            has_changed = true;
            // Go on behind what was tried: the groups before it that are still there.
            let groups = self.groups(key);
            passed = groups
                .iter()
                .filter(|group| group.iter().any(|&at| behind.contains(&self.choices[at])))
                .count();
        }
        has_changed
    }

    /// Tries shorter durations.
    fn shorten(&mut self) {
        while !self.is_over() {
            self.tell("shorter runs");
            let whole = self.options.duration_us;
            let failed_at = self.report.failure.as_ref().map_or(whole, |it| it.at_us);
            let mut durations: Vec<u64> = [1, 2, 4, 8, 12]
                .iter()
                .map(|sixteenths| whole / 16 * sixteenths)
                .chain([failed_at + 1, failed_at / 4 * 5, failed_at / 2 * 3])
                .filter(|&duration_us| (SHORTEST_US..whole).contains(&duration_us))
                .collect();
            durations.sort_unstable();
            durations.dedup();
            let found = self.search(durations.len(), |nth| RunOptions {
                duration_us: durations[nth],
                ..self.with_only(self.choices.iter().copied().collect())
            });
            let Some((_, options, report)) = found else {
                return;
            };
            let is_much_shorter = options.duration_us < whole / 16 * 15;
            self.accept(options, report);
            if !is_much_shorter {
                return;
            }
        }
    }

    /// The first of the candidates that fails as it should.
    fn search(
        &self,
        count: usize,
        candidate: impl Fn(usize) -> RunOptions + Sync,
    ) -> Option<(usize, RunOptions, RunReport)> {
        let next = AtomicUsize::new(0);
        let best: Mutex<Option<(usize, RunOptions, RunReport)>> = Mutex::new(None);
        let lowest = AtomicUsize::new(count);
        let try_some = || {
            loop {
                let nth = next.fetch_add(1, Ordering::Relaxed);
                if nth >= lowest.load(Ordering::Relaxed) || self.is_over() {
                    return;
                }
                let options = candidate(nth);
                let report = (self.run)(&options);
                self.tried.fetch_add(1, Ordering::Relaxed);
                if self.is_wanted(&report) {
                    lowest.fetch_min(nth, Ordering::Relaxed);
                    if let Ok(mut best) = best.lock()
                        && best.as_ref().is_none_or(|(so_far, ..)| nth < *so_far)
                    {
                        *best = Some((nth, options, report));
                    }
                }
            }
        };
        let threads = self.settings.jobs.clamp(1, count.max(1));
        thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(try_some);
            }
            try_some();
        });
        best.into_inner().ok().flatten()
    }

    /// Whether a candidate breaks the property, and is not larger than the run that we have.
    fn is_wanted(&self, report: &RunReport) -> bool {
        report.failure.as_ref().is_some_and(|failure| {
            self.settings.any_property || failure.violation.property == self.property
        }) && report.choices.len() <= self.choices.len()
            && report.events <= self.events_max
    }

    fn accept(&mut self, options: RunOptions, report: RunReport) {
        // What is no longer reached, or is benign by now, goes as well. The order stays.
        let made: HashSet<Choice> = report.choices.iter().copied().collect();
        self.choices.retain(|choice| made.contains(choice));
        self.options = options;
        self.report = report;
    }

    /// The positions of the choices, by key.
    fn groups(&self, key: Key) -> Vec<Vec<usize>> {
        let mut groups: BTreeMap<(u32, u32), Vec<usize>> = BTreeMap::new();
        for (position, choice) in self.choices.iter().enumerate() {
            groups
                .entry(key(position, choice))
                .or_default()
                .push(position);
        }
        groups.into_values().collect()
    }

    fn with_only(&self, kept: HashSet<Choice>) -> RunOptions {
        RunOptions {
            only: Some(kept),
            ..self.options.clone()
        }
    }

    fn is_over(&self) -> bool {
        self.started.elapsed() >= self.settings.budget
    }

    fn tell(&mut self, stage: &'static str) {
        (self.progress)(Progress {
            stage,
            size: size(&self.options, &self.report),
            tried: self.tried.load(Ordering::Relaxed),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::Violation;
    use crate::profile::Profile;
    use crate::report::Failure;
    use crate::tape::{Site, SiteKind};

    const KINDS: [SiteKind; 4] = [
        SiteKind::Fault,
        SiteKind::PacketDelay,
        SiteKind::ClientChoice,
        SiteKind::DiskDelay,
    ];

    fn choice(number: usize) -> Choice {
        Choice {
            site: Site::new(KINDS[number % 4], number / 4 % 10),
            nth: (number / 40) as u32,
        }
    }

    /// A world of up to 10,000 choices, one each millisecond, that fails when `guilty` ones are made.
    fn world(guilty: &'static [usize]) -> impl Fn(&RunOptions) -> RunReport + Sync {
        move |options| {
            let is_made = |number| {
                options
                    .only
                    .as_ref()
                    .is_none_or(|only| only.contains(&choice(number)))
            };
            let end = (options.duration_us / 1000).min(10_000) as usize;
            let last = guilty.iter().copied().max().unwrap_or(0);
            let fails = last < end && guilty.iter().all(|&number| is_made(number));
            let end = if fails { last + 1 } else { end };
            RunReport {
                events: end as u64,
                choices: (0..end)
                    .filter(|&number| is_made(number))
                    .map(choice)
                    .collect(),
                failure: fails.then(|| Failure {
                    violation: Violation {
                        property: "made up",
                        detail: String::new(),
                    },
                    step: last as u64,
                    at_us: last as u64 * 1000,
                    nodes: Vec::new(),
                }),
                ..RunReport::default()
            }
        }
    }

    fn shrunk(size: u64, guilty: &'static [usize], jobs: usize) -> Option<Shrunk> {
        let options = RunOptions {
            duration_us: size * 1000,
            ..RunOptions::new(1, Profile::Default)
        };
        let settings = Settings {
            budget: Duration::from_secs(20),
            jobs,
            any_property: false,
        };
        shrink(&world(guilty), &options, settings, &mut |_| {})
    }

    #[test]
    fn three_guilty_choices_of_ten_thousand_are_found() {
        let small = shrunk(10_000, &[17, 4_444, 9_871], 2).unwrap();
        let mut left: Vec<Choice> = small.options.only.unwrap().into_iter().collect();
        left.sort_unstable();
        let mut expected = [17, 4_444, 9_871].map(choice);
        expected.sort_unstable();
        assert_eq!(left, expected);
        assert!(small.is_minimal);
        assert!(small.tried < 400, "{} runs", small.tried);
        assert_eq!((small.before.choices, small.after.choices), (9_872, 3));
    }

    #[test]
    fn the_result_does_not_depend_on_the_cores() {
        let [one, three] = [1, 3].map(|jobs| shrunk(1000, &[40, 900], jobs).unwrap());
        assert_eq!(one.options.only, three.options.only);
        assert_eq!(one.after, three.after);
    }

    #[test]
    fn the_run_gets_as_short_as_its_failure() {
        let small = shrunk(1000, &[100], 2).unwrap();
        assert!(small.after.duration_us <= 125_000, "{:?}", small.after);
        assert_eq!(small.after.choices, 1);
    }

    #[test]
    fn a_failure_that_needs_no_choice_shrinks_to_none() {
        let small = shrunk(1000, &[], 2).unwrap();
        assert_eq!(small.options.only, Some(HashSet::new()));
    }

    #[test]
    fn a_run_that_does_not_fail_cannot_be_shrunk() {
        assert!(shrunk(1000, &[20_000], 2).is_none());
    }

    #[test]
    fn another_property_does_not_count() {
        let options = RunOptions {
            duration_us: 1_000_000,
            ..RunOptions::new(1, Profile::Default)
        };
        let settings = Settings {
            budget: Duration::from_secs(20),
            jobs: 2,
            any_property: false,
        };
        let late = world(&[505, 506]);
        let run = |options: &RunOptions| {
            let mut report = late(options);
            if report.choices.len() < 100
                && let Some(failure) = &mut report.failure
            {
                failure.violation.property = "another";
            }
            report
        };
        let small = shrink(&run, &options, settings, &mut |_| {}).unwrap();
        assert_eq!(small.report.failure.unwrap().violation.property, "made up");
        assert_eq!(small.after.choices, 100);
    }
}
