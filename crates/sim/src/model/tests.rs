use buggify::Canary;

use super::*;

/// A scope narrow enough for a test that is not optimized.
fn narrow(name: &str, change: impl FnOnce(&mut Scope)) -> Scope {
    let mut scope = Scope::named(name).expect("a scope of that name");
    scope.messages_max = 2;
    scope.crashes = 0;
    change(&mut scope);
    scope
}

/// Searches all of the scope: nothing breaks, and as much is reached as is promised.
fn holds(scope: Scope, led_term: u8, committed: u8) -> Explored {
    let explored = explore(scope, Limits::NONE);
    let violation = explored.violation.as_ref();
    assert!(violation.is_none(), "{violation:#?}");
    assert!(explored.complete);
    let Reached {
        led_term: led,
        committed: most,
        ..
    } = explored.reached;
    assert_eq!((led, most), (led_term, committed), "{explored:?}");
    explored
}

#[test]
fn elections_from_nothing_are_safe() {
    holds(narrow("election", |scope| scope.writes_max = 0), 2, 2);
}

#[test]
fn commits_of_one_leader_and_the_next_are_safe() {
    let explored = holds(narrow("commit", |scope| scope.writes_max = 0), 2, 3);
    assert!(explored.reached.truncations > 0 && explored.reached.leaders_at_once == 2);
}

#[test]
fn crashes_under_a_leader_lose_nothing() {
    let scope = narrow("commit", |scope| {
        (scope.timeouts, scope.crashes, scope.beats) = (0, 1, 1);
        scope.messages_max = 3;
    });
    holds(scope, 1, 2);
}

#[test]
fn figure_8_is_safe() {
    holds(narrow("figure-8", |scope| scope.timeouts = 1), 3, 3);
}

#[test]
fn reads_are_safe() {
    let scope = narrow("reads", |scope| (scope.reads, scope.proposals) = (1, 0));
    let explored = holds(scope, 2, 2);
    assert!(explored.reached.reads_served > 0);
}

#[test]
fn a_search_stops_at_its_limits() {
    let scope = narrow("election", |_| ());
    let limits = Limits {
        states_max: 100,
        ..Limits::NONE
    };
    let explored = explore(scope, limits);
    assert!(!explored.complete && explored.states < 200);
    let limits = Limits {
        depth_max: 3,
        ..Limits::NONE
    };
    let explored = explore(scope, limits);
    assert!(!explored.complete && explored.depth <= 3);
}

#[test]
fn a_search_is_the_same_each_time() {
    let scope = narrow("figure-8", |scope| scope.timeouts = 1);
    assert_eq!(explore(scope, Limits::NONE), explore(scope, Limits::NONE));
}

/// Searches with a mistake in the production code. What a message claims is not looked at, so that
/// it is the consequence that is found.
fn caught(canary: Canary, mut scope: Scope) -> Found {
    scope.check_claims = false;
    let _armed = buggify::arm(Some(canary), &[], Box::new(|_| false));
    let explored = explore(scope, Limits::NONE);
    let found = explored.violation;
    found.unwrap_or_else(|| panic!("{} was not noticed", canary.name()))
}

#[test]
fn a_vote_that_is_not_durable_is_given_twice() {
    let scope = narrow("votes", |scope| scope.crashes = 1);
    let found = caught(Canary::VoteBeforeDurable, scope);
    assert_eq!(found.violation.property, "one-vote");
    assert!(found.steps <= 6, "{:#?}", found.trace);
    let crash = found.trace.iter().any(|line| line.contains("crashes"));
    assert!(crash, "{:#?}", found.trace);
}

#[test]
fn a_claim_is_noticed_before_its_consequence() {
    let scope = narrow("votes", |_| ());
    let _armed = buggify::arm(
        Some(Canary::AcceptedBeforeDurable),
        &[],
        Box::new(|_| false),
    );
    let found = explore(scope, Limits::NONE).violation.expect("a claim");
    assert_eq!(found.violation.property, "durable-claims");
}

#[test]
fn an_acceptance_that_is_not_durable_commits_what_is_on_one_disk() {
    let found = caught(Canary::AcceptedBeforeDurable, narrow("commit", |_| ()));
    assert_eq!(found.violation.property, "durable-quorum");
}

#[test]
fn a_leader_that_counts_its_unwritten_entry_is_stopped() {
    let found = caught(Canary::OwnMatchBeforeDurable, narrow("commit", |_| ()));
    assert_eq!(found.violation.property, "sound-inputs");
}

#[test]
fn an_entry_of_an_earlier_term_committed_by_count_is_lost() {
    let found = caught(Canary::OldTermCommittedByCount, narrow("figure-8", |_| ()));
    assert_eq!(found.violation.property, "leader-completeness");
    assert!(found.steps <= 15, "{:#?}", found.trace);
    let last = found.trace.iter().rev().find(|line| line.contains(". "));
    assert!(last.is_some_and(|line| line.contains("RequestVoteResponse t4 granted")));
}

#[test]
fn a_read_without_a_round_is_stale() {
    let found = caught(Canary::ReadWithoutRound, narrow("reads", |_| ()));
    assert_eq!(found.violation.property, "read-safety");
    assert!(found.steps <= 8, "{:#?}", found.trace);
}

#[test]
fn a_read_before_the_leaders_own_term_is_committed_is_stale() {
    let found = caught(Canary::ReadBeforeOwnTermCommit, narrow("reads", |_| ()));
    assert_eq!(found.violation.property, "read-safety");
}

#[test]
fn a_write_of_dropped_entries_that_counts_commits_what_is_on_one_disk() {
    let found = caught(
        Canary::WriteOfDroppedEntriesCounts,
        narrow("slow-disks", |_| ()),
    );
    assert_eq!(found.violation.property, "durable-quorum");
}

#[test]
fn a_transfer_is_safe() {
    let scope = narrow("transfer", |scope| {
        (scope.timeouts, scope.writes_max) = (0, 0)
    });
    holds(scope, 2, 3);
}

#[test]
fn a_demotion_is_safe() {
    holds(narrow("demotion", |scope| scope.writes_max = 0), 3, 4);
}

#[test]
fn a_leader_that_counts_itself_out_of_office_is_stopped() {
    let found = caught(
        Canary::RemovedLeaderCountsItself,
        narrow("demotion", |_| ()),
    );
    assert_eq!(found.violation.property, "sound-inputs");
}

#[test]
fn a_reset_of_one_connection_is_safe() {
    holds(
        narrow("takeover", |scope| (scope.timeouts, scope.beats) = (1, 0)),
        2,
        2,
    );
}

#[test]
fn an_installation_over_a_log_that_contradicts_it_is_safe() {
    holds(narrow("installation", |_| ()), 3, 3);
}

#[test]
fn a_log_that_contradicts_what_was_installed_is_not_kept() {
    for canary in [
        Canary::InstallKeepsConflictingLog,
        Canary::BaseKeepsOtherTail,
    ] {
        let found = caught(canary, narrow("installation", |_| ()));
        assert_eq!(found.violation.property, "sound-inputs", "{canary:?}");
        let installs = |line: &String| line.contains("has received a snapshot");
        assert!(found.trace.iter().any(installs), "{:#?}", found.trace);
    }
}

#[test]
fn a_run_prints_a_row_for_each_scope() {
    let scopes = [
        narrow("takeover", |scope| scope.timeouts = 0),
        narrow("figure-8", |scope| scope.timeouts = 1),
    ];
    let mut printed = Vec::new();
    let outcome = run(&scopes, Limits::NONE, &mut printed).expect("memory can be written to");
    let printed = String::from_utf8_lossy(&printed);
    assert_eq!(outcome, Outcome::Sound, "{printed}");
    for name in ["takeover", "figure-8"] {
        let row = printed
            .lines()
            .find(|line| line.starts_with(&format!("| {name} |")));
        assert!(
            row.is_some_and(|row| row.ends_with("| complete |")),
            "{printed}"
        );
    }
}

#[test]
fn scopes_have_names_of_their_own() {
    for (place, scope) in Scope::ALL.iter().enumerate() {
        let first = Scope::ALL.iter().position(|other| other.name == scope.name);
        assert_eq!(first, Some(place));
        assert_eq!(Scope::named(scope.name), Some(*scope));
    }
    assert_eq!(Scope::named("no such scope"), None);
}
