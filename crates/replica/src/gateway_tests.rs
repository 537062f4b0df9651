//! The gateway against a leader that is only its messages.

use raft::{Recovered, Term};

use super::*;
use crate::config::ClientId;

const GATEWAY: NodeId = NodeId(1);
const INCARNATION: u64 = 4;
const PATIENCE_US: u64 = 1_000_000;
const TIMEOUT_US: u64 = 5_000_000;

struct World {
    gateway: Gateway,
    raft: Raft,
    now: Now,
    messages: Vec<(NodeId, PeerMessage)>,
}

impl World {
    /// A gateway that knows node 2 to lead term 7.
    fn new() -> World {
        let config = raft::Config::new(GATEWAY, [GATEWAY, NodeId(2), NodeId(3)]);
        let mut gateway = Gateway::new(GATEWAY, INCARNATION, PATIENCE_US);
        gateway.set_leader(Some(NodeId(2)), Term(7));
        World {
            gateway,
            raft: Raft::new(config, Recovered::default()).expect("valid"),
            now: Now::default(),
            messages: Vec::new(),
        }
    }

    /// Closes a batch of one write, named so that its plan and its bytes can be told.
    fn write(&mut self, name: &str) {
        let client = ClientId {
            slot: 0,
            generation: 1,
        };
        let gathering = self.gateway.gathering();
        gathering.records().extend_from_slice(name.as_bytes());
        gathering.plan.literal(client, name.as_bytes());
        self.gateway.close_batch(self.now.mono_us, TIMEOUT_US);
    }

    /// Hands over; what was handed over, by number and content.
    fn hand_over(&mut self) -> Vec<String> {
        self.gateway
            .hand_over(&mut self.raft, self.now, &mut self.messages);
        let told = |(to, message): (NodeId, PeerMessage)| {
            let PeerMessage::Forward(forward) = message else {
                panic!("only batches are handed over");
            };
            let (header, _) = crate::batch::BatchReader::open(&forward.batch).expect("a batch");
            assert_eq!((header.gateway, header.incarnation), (GATEWAY, INCARNATION));
            let content = String::from_utf8_lossy(&forward.batch[HEADER_LENGTH..]);
            format!("{to}<-{}{content}", header.sequence)
        };
        self.messages.drain(..).map(told).collect()
    }

    fn refuse(&mut self, sequence: u64, reason: Refusal) {
        let refusal = ForwardRefused {
            term: Term(7),
            incarnation: INCARNATION,
            sequence,
            reason,
            leader: None,
        };
        self.gateway.refused(NodeId(2), &refusal);
    }

    fn tick_after(&mut self, us: u64) -> Vec<(String, Failure)> {
        self.now.mono_us += us;
        let mut failed = Vec::new();
        self.gateway.tick(self.now.mono_us, &mut failed);
        failed.into_iter().map(named).collect()
    }

    fn apply(&mut self, sequence: u64) -> Option<String> {
        match self.gateway.applied(sequence, self.now.mono_us) {
            OwnBatch::Next(plan) => plan.map(|plan| named((plan, Failure::DiskFull)).0),
            OwnBatch::Unknown => Some("unknown".into()),
        }
    }

    fn take_refused(&mut self) -> Option<(String, Failure)> {
        self.gateway.take_refused().map(named)
    }
}

fn named((plan, failure): (Plan, Failure)) -> (String, Failure) {
    (String::from_utf8(plan.buffer).expect("text"), failure)
}

#[test]
fn batches_are_numbered_when_they_are_handed_over_and_kept_until_applied() {
    let mut world = World::new();
    world.gateway.set_leader(None, Term(7));
    world.write("a");
    world.write("b");
    assert!(world.hand_over().is_empty(), "nobody leads");
    world.gateway.set_leader(Some(NodeId(2)), Term(7));
    assert_eq!(world.hand_over(), ["n2<-1a", "n2<-2b"]);
    assert!(world.hand_over().is_empty(), "once is enough");
    assert_eq!(world.apply(1).as_deref(), Some("a"));
    world.gateway.set_leader(Some(NodeId(3)), Term(8));
    world.write("c");
    assert_eq!(world.hand_over(), ["n3<-2b", "n3<-3c"]);
    world.gateway.connection_restored(NodeId(2));
    assert!(world.hand_over().is_empty(), "it does not lead");
    world.gateway.connection_restored(NodeId(3));
    assert_eq!(world.hand_over(), ["n3<-2b", "n3<-3c"]);
    assert_eq!(world.apply(1).as_deref(), Some("unknown"));
    assert_eq!(world.apply(2).as_deref(), Some("b"));
    assert_eq!(world.apply(3).as_deref(), Some("c"));
    assert_eq!(world.gateway.unapplied_bytes(), 0);
    assert!(!world.gateway.has_waiting_clients());
}

#[test]
fn what_was_never_handed_over_goes_at_its_deadline_and_leaves_no_hole() {
    let mut world = World::new();
    world.write("a");
    assert_eq!(world.hand_over(), ["n2<-1a"]);
    world.gateway.set_leader(None, Term(8));
    world.write("b");
    let failed = world.tick_after(TIMEOUT_US);
    let waited_ms = TIMEOUT_US / 1000;
    assert_eq!(
        failed,
        [
            ("a".into(), Failure::Uncertain { waited_ms }),
            ("b".into(), Failure::NeverHanded { waited_ms }),
        ]
    );
    assert_eq!(
        world.gateway.unapplied_count(),
        1,
        "the first may be in a log"
    );
    world.write("c");
    world.gateway.set_leader(Some(NodeId(3)), Term(8));
    assert_eq!(world.hand_over(), ["n3<-1a", "n3<-2c"]);
    assert_eq!(world.apply(1), None, "its client was answered");
    assert_eq!(world.apply(2).as_deref(), Some("c"));
}

#[test]
fn a_busy_leader_is_handed_what_it_refused_and_all_behind_it() {
    let mut world = World::new();
    for name in ["a", "b", "c", "d"] {
        world.write(name);
    }
    assert_eq!(world.hand_over().len(), 4);
    world.refuse(3, Refusal::Busy);
    world.refuse(2, Refusal::Busy);
    assert!(world.hand_over().is_empty(), "not before the next tick");
    world.tick_after(10_000);
    assert_eq!(world.hand_over(), ["n2<-2b", "n2<-3c", "n2<-4d"]);
    world.tick_after(10_000);
    assert!(world.hand_over().is_empty());
    world.gateway.gap();
    world.tick_after(10_000);
    assert_eq!(world.hand_over().len(), 4, "who knows what is missing");
}

#[test]
fn nothing_is_handed_to_a_node_that_does_not_lead_until_another_term() {
    let mut world = World::new();
    world.write("a");
    assert_eq!(world.hand_over(), ["n2<-1a"]);
    world.refuse(1, Refusal::NotLeader);
    world.write("b");
    world.tick_after(2 * PATIENCE_US);
    assert!(world.hand_over().is_empty());
    world.gateway.set_leader(Some(NodeId(2)), Term(9));
    assert_eq!(world.hand_over(), ["n2<-1a", "n2<-2b"]);
}

#[test]
fn a_refusal_is_certain_only_of_what_was_handed_over_once() {
    for reason in [Refusal::DiskFull, Refusal::Malformed] {
        let mut world = World::new();
        world.write("a");
        world.hand_over();
        world.gateway.connection_restored(NodeId(2));
        world.hand_over();
        world.refuse(1, reason);
        assert_eq!(
            world.take_refused(),
            None,
            "the other copy may be in the log"
        );
        world.tick_after(10_000);
        assert_eq!(world.hand_over(), ["n2<-1a"]);
    }
}

#[test]
fn a_refused_batch_becomes_empty_and_is_answered_in_its_turn() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.write(name);
    }
    world.hand_over();
    world.refuse(2, Refusal::DiskFull);
    world.refuse(2, Refusal::DiskFull);
    assert!(world.gateway.target_disk_full());
    assert_eq!(world.take_refused(), None, "the first is not answered");
    assert_eq!(world.apply(1).as_deref(), Some("a"));
    assert!(!world.gateway.target_disk_full(), "it has room again");
    assert_eq!(world.take_refused(), Some(("b".into(), Failure::DiskFull)));
    assert_eq!(world.take_refused(), None);
    world.tick_after(10_000);
    assert_eq!(world.hand_over(), ["n2<-2", "n2<-3c"]);
    assert_eq!(world.apply(2), None);
    assert_eq!(world.apply(3).as_deref(), Some("c"));
    assert_eq!(world.gateway.unapplied_bytes(), 0);
}

#[test]
fn a_refused_batch_behind_one_in_doubt_is_answered_by_what_is_known_of_each() {
    let mut world = World::new();
    world.write("a");
    world.write("b");
    world.hand_over();
    world.refuse(2, Refusal::DiskFull);
    let failed = world.tick_after(TIMEOUT_US);
    let waited_ms = TIMEOUT_US / 1000;
    assert_eq!(failed[0], ("a".into(), Failure::Uncertain { waited_ms }));
    assert_eq!(failed[1], ("b".into(), Failure::DiskFull));
    assert_eq!(world.take_refused(), None);
}

#[test]
fn refusals_of_others_terms_and_incarnations_are_ignored() {
    let mut world = World::new();
    world.write("a");
    world.hand_over();
    let refusal = ForwardRefused {
        term: Term(7),
        incarnation: INCARNATION,
        sequence: 1,
        reason: Refusal::DiskFull,
        leader: None,
    };
    world.gateway.refused(NodeId(3), &refusal);
    for wrong in [
        ForwardRefused {
            term: Term(6),
            ..refusal.clone()
        },
        ForwardRefused {
            incarnation: INCARNATION - 1,
            ..refusal.clone()
        },
        ForwardRefused {
            sequence: 0,
            ..refusal.clone()
        },
        ForwardRefused {
            sequence: 2,
            ..refusal
        },
    ] {
        world.gateway.refused(NodeId(2), &wrong);
    }
    assert_eq!(world.take_refused(), None);
    assert!(!world.gateway.target_disk_full());
}

#[test]
fn a_leader_that_is_silent_is_asked_again_ever_more_rarely_up_to_a_bound() {
    let mut world = World::new();
    world.write("a");
    world.hand_over();
    let mut asked_ms = Vec::new();
    for ms in 0..60_000 {
        world.tick_after(1_000);
        if !world.hand_over().is_empty() {
            asked_ms.push(ms);
        }
    }
    let pauses: Vec<u64> = asked_ms.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses[..3], [2_001, 4_001, 8_001]);
    assert!(
        pauses[3..].iter().all(|pause| *pause == 8_001),
        "{pauses:?}"
    );
}

#[test]
fn a_backlog_is_handed_over_a_window_at_a_time() {
    let mut world = World::new();
    let large = "x".repeat(1 << 20);
    for _ in 0..10 {
        world.write(&large);
    }
    let handed = world.hand_over().len() as u64;
    assert_eq!(
        handed,
        HANDED_BYTES_MAX.div_ceil(2 << 20),
        "plan and payload count"
    );
    assert!(world.hand_over().is_empty(), "nothing was applied");
    world.apply(1);
    assert_eq!(world.hand_over().len(), 1);
    world.gateway.set_leader(Some(NodeId(3)), Term(8));
    assert_eq!(world.hand_over().len() as u64, handed);
}
