//! Exhaustive crash points: a short run, broken at every place at which it can be broken.
//!
//! The run is made once to count, for each node, the disk operations and the outputs. Then it is made again
//! for each of them: the power fails in that disk operation, or the process ends before that output, and
//! comes back after a short while. Every run is judged like any other. Random crashes find a window
//! of one operation when they are lucky; this does not depend on luck (the method of `ALICE`, Pillai et
//! al., OSDI 2014, on a whole cluster).
//!
//! | place | what happens | where |
//! |---|---|---|
//! | in a disk operation | what was not synced is lost | on this node, or on all |
//! | | what was not synced is torn | on this node, or on all |
//! | before an output | the process is killed | on this node |
//! | | what was not synced is lost | on this node, or on all |

mod point;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use raft::NodeId;
use vfs::Crash;

use crate::report::{Failure, RunOptions, RunReport};
use crate::runner;

pub use point::{CrashAt, CrashPoint, CrashReport, CrashScope, Struck};

/// What is broken where.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The run; its crash point does not count.
    pub template: RunOptions,
    /// How many nodes it has.
    pub nodes: usize,
    /// One in so many points is tried; 1 for all.
    pub every: usize,
    /// How many runs are made at once.
    pub jobs: usize,
    /// Whether to go on after a point that breaks a property.
    pub keep_going: bool,
    /// How often the totals are told.
    pub tell_every: Duration,
}

/// What came of the points so far.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Points there are.
    pub points: u64,
    /// Points that were tried.
    pub tried: u64,
    /// By what was struck and how: how often.
    pub struck: BTreeMap<(Struck, &'static str), u64>,
    /// Points that the run did not come by; none, unless other faults change how often a node starts.
    pub missed: u64,
    /// Points at which a property broke.
    pub failing: u64,
    /// Partitions of histories whose check was given up.
    pub inconclusive: u64,
    /// Events handled.
    pub events: u64,
    /// Simulated time that passed, in microseconds.
    pub simulated_us: u64,
    /// Operations of clients that were answered by a result, and checked.
    pub answered: u64,
    /// Time that the cores worked on runs, added up.
    pub busy: Duration,
    /// Time that passed.
    pub wall: Duration,
}

/// A point at which a property broke.
#[derive(Clone, Debug)]
pub struct FailingPoint {
    /// How it was run.
    pub options: RunOptions,
    /// The point; `None` if the run breaks a property without any.
    pub point: Option<CrashPoint>,
    /// What went wrong.
    pub failure: Failure,
}

/// What came of a plan.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The totals.
    pub totals: Totals,
    /// What the run that counts the places told.
    pub counted: CrashReport,
    /// Elections in the run that counts the places.
    pub elections: u64,
    /// The points at which a property broke, in the order of the points.
    pub failing: Vec<FailingPoint>,
    /// Whether it was told to stop before it was through.
    pub is_interrupted: bool,
}

/// What the caller hears while it goes on.
#[derive(Debug)]
pub enum News<'a> {
    /// Some time passed.
    Progress(&'a Totals),
    /// A property broke.
    Failing(&'a FailingPoint),
}

/// The options of a run that is broken at a point.
pub fn options(template: &RunOptions, nodes: usize, point: Option<CrashPoint>) -> RunOptions {
    RunOptions {
        crash_scope: Some(CrashScope { nodes, point }),
        ..template.clone()
    }
}

/// All points of a run, from what it told of its places.
pub fn points(counted: &CrashReport) -> Vec<CrashPoint> {
    let in_operation = [
        (Crash::LoseUnsynced, false),
        (Crash::LoseUnsynced, true),
        (Crash::Torn, false),
        (Crash::Torn, true),
    ];
    let before_output = [
        (Crash::Process, false),
        (Crash::LoseUnsynced, false),
        (Crash::LoseUnsynced, true),
    ];
    let mut points = Vec::new();
    let mut add = |node: usize, at: CrashAt, ways: &[(Crash, bool)]| {
        points.extend(ways.iter().map(|&(how, everywhere)| CrashPoint {
            node: NodeId(node as u64 + 1),
            at,
            how,
            everywhere,
        }));
    };
    for (node, &operations) in counted.operations.iter().enumerate() {
        for number in 1..=operations {
            add(node, CrashAt::Operation(number), &in_operation);
        }
    }
    for (node, &outputs) in counted.outputs.iter().enumerate() {
        for number in 1..=outputs {
            add(node, CrashAt::Output(number), &before_output);
        }
    }
    // With one node all nodes are this node.
    points.retain(|point| !point.everywhere || counted.operations.len() > 1);
    points
}

/// Breaks a run at all its points. `run` makes one run; `stop`, once true, begins no more.
pub fn run<F>(plan: &Plan, run: &F, stop: &AtomicBool, tell: &mut dyn FnMut(News<'_>)) -> Summary
where
    F: Fn(&RunOptions) -> RunReport + Sync,
{
    let started = Instant::now();
    let whole = options(&plan.template, plan.nodes, None);
    let report = runner::guarded(run, &whole);
    let mut summary = Summary {
        counted: report.crash_report.clone().unwrap_or_default(),
        elections: report.elections,
        ..Summary::default()
    };
    if let Some(failure) = report.failure {
        let failing = FailingPoint {
            options: whole,
            point: None,
            failure,
        };
        tell(News::Failing(&failing));
        summary.failing.push(failing);
        summary.totals.failing = 1;
        return summary;
    }
    let all = points(&summary.counted);
    summary.totals.points = all.len() as u64;
    let chosen = sample(&all, plan.every.max(1));
    let mut failing = Vec::new();
    let no_more = AtomicBool::new(false);
    let next = AtomicUsize::new(0);
    let work = |done: Sender<Done>| {
        while !no_more.load(Ordering::Relaxed) && !stop.load(Ordering::Relaxed) {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            let Some(&point) = chosen.get(nth) else {
                return;
            };
            let options = options(&plan.template, plan.nodes, Some(point));
            let started = Instant::now();
            let report = runner::guarded(run, &options);
            let busy = started.elapsed();
            let done_with = Done {
                nth,
                point,
                options,
                report,
                busy,
            };
            if done.send(done_with).is_err() {
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
        let mut next_telling = started + plan.tell_every;
        loop {
            match receiver.recv_timeout(next_telling.saturating_duration_since(Instant::now())) {
                Ok(done) => {
                    let nth = done.nth;
                    if let Some(point) = summary.totals.take(done) {
                        no_more.fetch_or(!plan.keep_going, Ordering::Relaxed);
                        tell(News::Failing(&point));
                        failing.push((nth, point));
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
    failing.sort_by_key(|&(nth, _)| nth);
    summary.failing = failing.into_iter().map(|(_, point)| point).collect();
    summary.totals.wall = started.elapsed();
    summary.is_interrupted = stop.load(Ordering::Relaxed);
    summary
}

/// One of each so many points, each time at another place among them, as a hash has it: the ways to
/// strike a place follow each other in the list, and all of them must have their turn.
fn sample(points: &[CrashPoint], every: usize) -> Vec<CrashPoint> {
    let groups = points.chunks(every).enumerate();
    groups
        .filter_map(|(nth, group)| {
            let hash = (nth as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            group.get(hash as usize % every)
        })
        .copied()
        .collect()
}

/// What came of one point.
struct Done {
    nth: usize,
    point: CrashPoint,
    options: RunOptions,
    report: RunReport,
    busy: Duration,
}

impl Totals {
    fn take(&mut self, done: Done) -> Option<FailingPoint> {
        let Done { point, report, .. } = done;
        self.tried += 1;
        match report.crash_report.and_then(|report| report.struck) {
            Some(struck) => *self.struck.entry((struck, way(&point))).or_default() += 1,
            None => self.missed += 1,
        }
        self.events += report.events;
        self.simulated_us += report.simulated_us;
        self.answered += report.answered;
        self.inconclusive += report.inconclusive;
        self.busy += done.busy;
        let failure = report.failure?;
        self.failing += 1;
        Some(FailingPoint {
            options: done.options,
            point: Some(point),
            failure,
        })
    }
}

/// What happens at a point, in a few words.
fn way(point: &CrashPoint) -> &'static str {
    match (point.how, point.everywhere) {
        (Crash::Process, _) => "killed",
        (Crash::LoseUnsynced, false) => "power",
        (Crash::LoseUnsynced, true) => "power, all",
        (Crash::Torn, false) => "torn",
        (Crash::Torn, true) => "torn, all",
    }
}

/// The ways of [`Totals::struck`], in the order in which they are shown.
pub const WAYS: [&str; 5] = ["killed", "power", "power, all", "torn", "torn, all"];
