//! Groups in which some members are our [`raft::Raft`] and the others are raft-rs, the Raft of
//! TiKV (crate `raft`, a port of etcd's): two programs that were written apart must elect, replicate
//! and agree together, while messages are lost, doubled and reordered, processes die with what
//! their disks had not written, links are cut, disks are slow and clocks stand still.
//!
//! The messages are translated where they mean the same (`translate`). What one program believes
//! of the protocol and the other does not shows here as a violation: an entry that differs, two
//! leaders, a refused message, a group that never works again. A seed makes a run; a run that fails
//! names it. `MIXED_SEEDS=N` runs more of them, `MIXED_SEED=N` repeats one, and `MIXED_TRACE=1`
//! prints its messages.
//!
//! # Intended differences
//!
//! What the two mean differently by design, and what the translation makes of it:
//!
//! 1. *Rounds.* Our leader numbers its rounds of messages, and each answer echoes the round of what
//!    it answers, so that reads are confirmed by any message. raft-rs knows no rounds: it echoes the
//!    `context` of heartbeats. Our rounds travel as contexts; the same is done for appends by marking
//!    the answer that raft-rs gives to one with that append's round. The other way, the context
//!    of a raft-rs read becomes a round number, and our echo of the number becomes the context again.
//!    Appends of raft-rs are of round 0, which confirms nothing.
//! 2. *Names of reads.* Our leader mints the order of reads; raft-rs keys them by the caller's
//!    context. A read of ours is (node, number) there, and one of theirs is a number here. raft-rs
//!    drops a read if its leader has not committed in its term yet; ours lets it wait. A raft-rs
//!    follower passes requests on in the name of the one who asks, without a term; what comes back to
//!    the asker itself is dropped.
//! 3. *The first entry.* Our first leader opens the log with a `Bootstrap` entry; a raft-rs one
//!    with an empty entry, since its members come from the `ConfState` in its storage. Raft does not
//!    care which is at index 1.
//! 4. *Kind and time of entries.* raft-rs has neither. They are the entry's `context`, and the payload
//!    is its `data`, so both kinds of nodes keep the same bytes. What a raft-rs leader opens
//!    its term with has time 0, so log time may fall there.
//! 5. *Answers to a leader of the past.* raft-rs answers an append or a heartbeat of a lower term by
//!    an append response that accepts index 0; ours by a rejection, or a heartbeat response. Theirs
//!    becomes a heartbeat response of round 0: only its term means anything.
//! 6. *Requests for votes of a lower term.* Ours refuses them, with its term; raft-rs ignores
//!    them. Pre-votes of a lower term both refuse. One of the very term of the receiver raft-rs may
//!    grant; ours refuses it. No vote hangs on it.
//! 7. *Commit indexes in votes and answers.* raft-rs tells its commit index in requests for votes,
//!    and moves on to that of others; ours says and hears none there. They are left out between the
//!    kinds, and stay between raft-rs nodes.
//! 8. *When votes and answers leave.* All messages of a raft-rs follower wait for the write that
//!    they came with; ours wait only if they claim what is not durable. And raft-rs counts its vote
//!    for itself at once, ours when it is durable; the requests for the others' votes wait in both.
//! 9. *Torn writes.* raft-rs asks for hard state and entries of one `Ready` to be written atomically, so a
//!    crash leaves all or nothing of one. Writes of ours are cut anywhere.
//! 10. *Application.* A raft-rs node applies what is committed and durable there; one of ours does
//!     not wait for its own disk.
//! 11. *Early elections.* Our followers hold one when the leader's connection is reset; raft-rs
//!     followers refuse their pre-votes until its lease is over. They then take the usual time.
//! 12. *Chance.* raft-rs draws its election timeouts from the thread's random numbers. So its timer
//!     is set out of reach, and an equal one, drawn from the seed, calls for elections.
//! 13. *Left out*: proposals and leadership transfers that raft-rs followers pass on to the leader
//!     (clients here ask the leader itself), snapshots, changes of members, priorities, group commit,
//!     leases.

#![cfg(target_arch = "x86_64")]

mod bytes_of;
mod checker;
mod clients;
mod cluster;
mod disk;
mod faults;
mod member;
mod mistake;
mod ours;
mod seat;
mod swarm;
mod theirs;
mod translate;

use std::panic::{AssertUnwindSafe, catch_unwind};

use checker::{Violation, violation};
use cluster::Cluster;
use mistake::Mistake;
use seat::{Shape, Stats};

/// Who is with whom; the seed decides, by its rest.
const SHAPES: [Shape; 4] = [
    Shape { ours: 2, theirs: 1 },
    Shape { ours: 1, theirs: 2 },
    Shape { ours: 3, theirs: 2 },
    Shape { ours: 2, theirs: 3 },
];

fn shape_of(seed: u64) -> Shape {
    SHAPES[usize::try_from(seed % 4).expect("a small number")]
}

/// One run. A panic in one of the two programs is a violation, too.
fn run(seed: u64, mistake: Mistake) -> Result<Stats, Violation> {
    let run = || {
        let mut cluster = Cluster::new(seed, shape_of(seed), mistake);
        cluster.run_until(faults::TROUBLE_US)?;
        cluster.recover()?;
        cluster.stats.committed = cluster.checker.committed.len() as u64;
        Ok(cluster.stats)
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let detail = text.unwrap_or("without a word").to_owned();
        Err(violation("nobody panics", detail))
    })
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs the seeds of a shape, and checks that they were worth it.
fn run_shape(shape: Shape) {
    let seeds = match from_environment("MIXED_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..from_environment("MIXED_SEEDS").unwrap_or(200),
    };
    let seeds: Vec<u64> = seeds.filter(|&seed| shape_of(seed) == shape).collect();
    let mut total = Stats::default();
    for &seed in &seeds {
        match run(seed, Mistake::None) {
            Ok(stats) => total.add(&stats),
            Err(Violation { property, detail }) => panic!(
                "seed {seed} breaks \"{property}\": {detail}\nrepeat it: MIXED_SEED={seed} \
                 MIXED_TRACE=1 cargo test -p mixed -- --nocapture"
            ),
        }
    }
    eprintln!("{shape:?}, {} seeds: {total:?}", seeds.len());
    if seeds.len() >= 20 {
        let happened = [
            ("ours have led", total.terms_led_by_ours),
            ("theirs have led", total.terms_led_by_theirs),
            ("entries were committed", total.committed / 20),
            ("reads crossed over", total.reads_across),
            ("processes died", total.crashes),
            ("links were cut", total.partitions),
            ("leadership was handed over", total.transfers),
            ("messages were lost", total.messages_lost),
            ("messages were doubled", total.messages_doubled),
        ];
        for (what, count) in happened {
            assert!(
                count >= seeds.len() as u64 / 4,
                "too seldom: {what}, {count}"
            );
        }
    }
}

#[test]
fn two_of_ours_and_one_of_theirs() {
    run_shape(SHAPES[0]);
}

#[test]
fn one_of_ours_and_two_of_theirs() {
    run_shape(SHAPES[1]);
}

#[test]
fn three_of_ours_and_two_of_theirs() {
    run_shape(SHAPES[2]);
}

#[test]
fn two_of_ours_and_three_of_theirs() {
    run_shape(SHAPES[3]);
}

#[test]
fn one_seed_makes_one_run() {
    for seed in 0..8 {
        assert_eq!(
            run(seed, Mistake::None),
            run(seed, Mistake::None),
            "seed {seed}"
        );
    }
}

/// Seeds within which a deliberate mistake must be found out.
const MISTAKE_SEEDS: u64 = 200;

#[test]
fn mistakes_are_found_out() {
    let mistakes: [(Mistake, &[&str]); 5] = [
        (
            Mistake::AcknowledgesBeforeDurable,
            &["leader completeness", "honest messages are understood"],
        ),
        (
            Mistake::RefusalTakenForAcceptance,
            &["leader completeness", "honest messages are understood"],
        ),
        (
            Mistake::RefusalTakenForVote,
            &["election safety", "leader completeness"],
        ),
        (Mistake::LosesTime, &["log matching"]),
        (Mistake::AnswersTakenForLatestRound, &["reads are fresh"]),
    ];
    for (mistake, properties) in mistakes {
        let mut found: Vec<(u64, &str)> = Vec::new();
        let is_found = (0..from_environment("MIXED_SEEDS").unwrap_or(MISTAKE_SEEDS)).any(|seed| {
            let Err(violation) = run(seed, mistake) else {
                return false;
            };
            found.push((seed, violation.property));
            properties.contains(&violation.property)
        });
        eprintln!("{mistake:?}: {found:?}");
        assert!(is_found, "{mistake:?} passes for right: {found:?}");
    }
}
