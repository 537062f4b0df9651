//! Crash points, as far as they fit into a test: the whole of a tiny run, and samples of a larger one.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use buggify::Canary;
use sim::crash_points::{self, CrashAt, Plan, Struck, Summary};
use sim::profile::Profile;
use sim::report::RunOptions;
use sim::world;
use vfs::{Crash, OperationKind};

fn plan(nodes: usize, duration_us: u64, every: usize) -> Plan {
    Plan {
        template: RunOptions {
            duration_us,
            ..RunOptions::new(1, Profile::Calm)
        },
        nodes,
        every,
        jobs: 2,
        keep_going: false,
        tell_every: Duration::from_secs(60),
    }
}

fn try_all(plan: &Plan) -> Summary {
    crash_points::run(plan, &world::run, &AtomicBool::new(false), &mut |_| {})
}

fn must_hold(summary: &Summary) {
    if let Some(failing) = summary.failing.first() {
        panic!("{:?}: {}", failing.point, failing.failure.violation);
    }
    assert_eq!(summary.totals.missed, 0);
}

#[test]
fn one_node_survives_every_point_of_a_fraction_of_a_second() {
    let summary = try_all(&plan(1, 350_000, 1));
    must_hold(&summary);
    let totals = &summary.totals;
    assert_eq!(totals.tried, totals.points);
    assert_eq!(
        totals.points,
        2 * summary.counted.operations[0] + 2 * summary.counted.outputs[0]
    );
    for kind in [
        OperationKind::Create,
        OperationKind::Write,
        OperationKind::Sync,
        OperationKind::Rename,
        OperationKind::SyncDirectory,
    ] {
        let struck = (Struck::Operation(kind), "torn");
        assert!(totals.struck.contains_key(&struck), "{kind:?}");
    }
    assert!(totals.struck.contains_key(&(Struck::BeforeReply, "killed")));
}

#[test]
fn three_nodes_survive_a_sample_of_all_points() {
    let summary = try_all(&plan(3, 1_500_000, 61));
    must_hold(&summary);
    assert!(summary.elections >= 2, "leaders change");
    assert!(summary.totals.tried > 30);
    let is_everywhere = |way: &str| {
        let places = summary.totals.struck.keys();
        places.filter(|&&(_, tried)| tried == way).count() > 0
    };
    for way in crash_points::WAYS {
        assert!(is_everywhere(way), "{way}");
    }
}

#[test]
fn a_node_that_does_not_start_behind_a_torn_write_is_found_by_the_power_failing_in_a_write() {
    let mut plan = plan(1, 350_000, 1);
    plan.template.canary = Some(Canary::TornTailRefused);
    let summary = try_all(&plan);
    let found = &summary.failing[0];
    let point = found.point.expect("without a torn write nothing is wrong");
    assert_eq!(point.how, Crash::Torn);
    assert!(matches!(point.at, CrashAt::Operation(_)));
    let again = world::run(&found.options);
    assert_eq!(again.failure.as_ref(), Some(&found.failure));
}

#[test]
fn promises_that_are_not_durable_are_found() {
    for canary in [
        Canary::VoteBeforeDurable,
        Canary::OwnMatchBeforeDurable,
        Canary::AcceptedBeforeDurable,
        Canary::DirectoryNotSynced,
    ] {
        let mut plan = plan(3, 1_500_000, 61);
        plan.template.canary = Some(canary);
        assert!(!try_all(&plan).failing.is_empty(), "{canary:?}");
    }
}

#[test]
fn a_point_strikes_where_it_is_told_to() {
    let plan = plan(3, 1_500_000, 1);
    for (text, everywhere) in [
        ("n2:operation:40:power", false),
        ("n3:output:20:kill", false),
        ("n1:operation:60:torn:all", true),
    ] {
        let point = text.parse().unwrap();
        let mut options = crash_points::options(&plan.template, plan.nodes, Some(point));
        options.trace = true;
        let report = world::run(&options);
        assert_eq!(report.failure, None, "{text}");
        let struck = report.crash_report.unwrap().struck;
        let is_in_disk = matches!(struck, Some(Struck::Operation(_)));
        assert_eq!(is_in_disk, matches!(point.at, CrashAt::Operation(_)));
        let is_of_all = |event: &sim::report::TraceEvent| {
            matches!(&event.kind, sim::report::TraceKind::Ended { text, .. }
                if text.starts_with("the power failed everywhere"))
        };
        let others = report.trace.iter().filter(|event| is_of_all(event)).count();
        assert_eq!(others, if everywhere { 2 } else { 0 }, "{text}");
    }
}
