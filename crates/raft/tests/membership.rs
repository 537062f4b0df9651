//! What a change of members leads to, exhaustively for small groups: the tables of etcd's
//! `confchange` folder, and the property that makes changes safe. And the bytes of configurations.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::prelude::*;
use raft::{ConfChange, ConfDecodeError, ConfState, MembershipChange, MembershipError, NodeId};

fn nodes(ids: &[u64]) -> BTreeSet<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

fn conf(voters: &[u64], learners: &[u64]) -> ConfState {
    ConfState {
        voters: nodes(voters),
        learners: nodes(learners),
        ..ConfState::default()
    }
}

fn joint(voters: &[u64], outgoing: &[u64], learners: &[u64], learners_next: &[u64]) -> ConfState {
    ConfState {
        voters: nodes(voters),
        voters_outgoing: nodes(outgoing),
        learners: nodes(learners),
        learners_next: nodes(learners_next),
        auto_leave: true,
    }
}

fn subset(bits: u32) -> BTreeSet<NodeId> {
    let set = (0..5).filter(|bit| bits >> bit & 1 == 1);
    set.map(|bit| NodeId(bit + 1)).collect()
}

/// Every plain configuration of up to five nodes.
fn plain_configurations() -> Vec<ConfState> {
    let all = (1..32).flat_map(|voters| (0..32).map(move |learners| (voters, learners)));
    all.filter(|(voters, learners)| voters & learners == 0)
        .map(|(voters, learners)| ConfState {
            voters: subset(voters),
            learners: subset(learners),
            ..ConfState::default()
        })
        .collect()
}

/// Whether these nodes decide: a majority of each half.
fn is_quorum(conf: &ConfState, of: &BTreeSet<NodeId>) -> bool {
    let is_majority = |voters: &BTreeSet<NodeId>| {
        voters.is_empty() || 2 * voters.intersection(of).count() > voters.len()
    };
    is_majority(&conf.voters) && is_majority(&conf.voters_outgoing)
}

/// Whether two configurations can decide without each other: the one thing that must not be.
fn can_decide_apart(one: &ConfState, other: &ConfState) -> bool {
    (0..32).any(|bits| {
        let (these, rest) = (subset(bits), subset(31 & !bits));
        is_quorum(one, &these) && is_quorum(other, &rest)
    })
}

fn changes() -> Vec<MembershipChange> {
    let ids = (1..=5).map(NodeId);
    let pairs = ids
        .clone()
        .flat_map(|old| (1..=5).map(move |new| (old, NodeId(new))));
    ids.flat_map(|id| {
        [
            MembershipChange::AddLearner(id),
            MembershipChange::Promote(id),
            MembershipChange::Demote(id),
            MembershipChange::RemoveLearner(id),
        ]
    })
    .chain(pairs.map(|(old, new)| MembershipChange::Replace { old, new }))
    .collect()
}

/// What the change leads to is safe to follow `conf`, and where it ends is safe to follow that.
fn check_step(conf: &ConfState, change: &MembershipChange) -> bool {
    let Ok(next) = change.apply_to(conf) else {
        return false;
    };
    assert!(
        !can_decide_apart(conf, &next),
        "{conf}, then {next}: {change}"
    );
    let end = next.left();
    assert!(
        !can_decide_apart(&next, &end),
        "{next}, then {end}: {change}"
    );
    assert!(!end.voters.is_empty() && !end.is_joint());
    for voter in &conf.voters {
        assert!(end.contains(*voter), "{voter} vanishes: {conf}, {change}");
    }
    let decoded = ConfState::decode(&next.encode());
    assert_eq!(decoded.as_ref(), Ok(&next), "what is proposed can be read");
    true
}

#[test]
fn no_step_of_any_change_lets_two_halves_decide_apart() {
    let mut taken = 0;
    for conf in plain_configurations() {
        for change in changes() {
            taken += u32::from(check_step(&conf, &change));
        }
    }
    assert!(taken > 1000, "{taken}");
}

#[test]
fn no_step_towards_any_target_lets_two_halves_decide_apart() {
    let all = plain_configurations();
    let targets: Vec<MembershipChange> = all.iter().cloned().map(MembershipChange::To).collect();
    let (mut taken, mut through_joint) = (0, 0);
    for conf in all.iter().step_by(11) {
        for change in &targets {
            if check_step(conf, change) {
                taken += 1;
                let next = change.apply_to(conf).expect("as before");
                let MembershipChange::To(target) = change else {
                    unreachable!("only targets");
                };
                assert_eq!(&next.left(), target);
                through_joint += u32::from(next.is_joint());
            }
        }
    }
    assert!(
        taken > 500 && through_joint > 100,
        "{taken}, {through_joint}"
    );
}

#[test]
fn two_steps_of_one_voter_at_once_could_decide_apart() {
    // Why there is one change at a time: the rule above does not hold for two.
    let (one, other) = (conf(&[1, 2, 3], &[]), conf(&[1, 2, 4], &[]));
    assert!(can_decide_apart(&one, &other) || can_decide_apart(&other, &one));
}

#[test]
fn changes_lead_where_the_tables_of_etcd_say() {
    use MembershipChange::{AddLearner, Demote, Promote, RemoveLearner, Replace, To};
    let node = NodeId;
    // (name in etcd's testdata, before, change, after)
    let table = [
        (
            "simple_promote_demote",
            conf(&[1, 2], &[3]),
            Promote(node(3)),
            conf(&[1, 2, 3], &[]),
        ),
        (
            "simple_promote_demote",
            conf(&[1, 2, 3], &[]),
            Demote(node(3)),
            conf(&[1, 2], &[3]),
        ),
        (
            "simple",
            conf(&[1], &[]),
            AddLearner(node(2)),
            conf(&[1], &[2]),
        ),
        (
            "simple",
            conf(&[1], &[2]),
            RemoveLearner(node(2)),
            conf(&[1], &[]),
        ),
        (
            "simple_safety",
            conf(&[1, 2], &[3]),
            To(conf(&[1, 2, 3], &[5])),
            conf(&[1, 2, 3], &[5]),
        ),
        (
            "joint_autoleave",
            conf(&[1], &[2, 3]),
            To(conf(&[1, 2, 3], &[])),
            joint(&[1, 2, 3], &[1], &[], &[]),
        ),
        (
            "joint_learners_next",
            conf(&[1], &[2]),
            Replace {
                old: node(1),
                new: node(2),
            },
            joint(&[2], &[1], &[], &[1]),
        ),
        (
            "joint_safety",
            conf(&[1, 2, 3], &[]),
            To(conf(&[1], &[2, 3])),
            joint(&[1], &[1, 2, 3], &[], &[2, 3]),
        ),
        (
            "joint_idempotency",
            conf(&[1, 2], &[3, 4]),
            To(conf(&[1, 3], &[2, 4, 5])),
            joint(&[1, 3], &[1, 2], &[4, 5], &[2]),
        ),
    ];
    for (name, before, change, after) in table {
        assert_eq!(
            change.apply_to(&before),
            Ok(after),
            "{name}: {before}, {change}"
        );
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    use MembershipChange::{AddLearner, Demote, Keep, Promote, RemoveLearner, Replace, To};
    let node = NodeId;
    let group = conf(&[1, 2], &[3]);
    let table = [
        (
            AddLearner(node(2)),
            MembershipError::AlreadyAMember { id: node(2) },
        ),
        (
            AddLearner(node(3)),
            MembershipError::AlreadyAMember { id: node(3) },
        ),
        (
            AddLearner(node(0)),
            MembershipError::Contradiction {
                what: "node 0 is nobody",
            },
        ),
        (
            Promote(node(1)),
            MembershipError::NotALearner { id: node(1) },
        ),
        (
            Promote(node(9)),
            MembershipError::NotALearner { id: node(9) },
        ),
        (Demote(node(3)), MembershipError::NotAVoter { id: node(3) }),
        (
            RemoveLearner(node(1)),
            MembershipError::NotALearner { id: node(1) },
        ),
        (
            Replace {
                old: node(3),
                new: node(3),
            },
            MembershipError::NoChange,
        ),
        (
            Replace {
                old: node(1),
                new: node(4),
            },
            MembershipError::NotALearner { id: node(4) },
        ),
        (To(conf(&[], &[1, 2, 3])), MembershipError::NoVoters),
        (
            To(conf(&[1], &[3])),
            MembershipError::VoterWouldVanish { id: node(2) },
        ),
        (
            To(conf(&[1, 2, 4], &[3])),
            MembershipError::NotALearner { id: node(4) },
        ),
        (To(group.clone()), MembershipError::NoChange),
    ];
    for (change, error) in table {
        assert_eq!(change.apply_to(&group), Err(error), "{change}");
    }
    assert_eq!(Keep.apply_to(&group), Ok(group.clone()), "it may be empty");
    let alone = conf(&[1], &[]);
    assert_eq!(
        Demote(node(1)).apply_to(&alone),
        Err(MembershipError::NoVoters)
    );
}

#[test]
fn a_joint_configuration_is_no_place_to_begin_a_change() {
    let midway = joint(&[1, 2, 4], &[1, 2, 3], &[], &[3]);
    let change = MembershipChange::AddLearner(NodeId(5));
    assert_eq!(change.apply_to(&midway), Err(MembershipError::Joint));
    let keep = MembershipChange::Keep;
    assert_eq!(keep.apply_to(&midway), Err(MembershipError::Joint));
}

#[test]
fn configurations_have_these_bytes() {
    let bytes = joint(&[1, 4], &[1, 2], &[], &[2]).encode();
    let mut expected = vec![1, 1];
    for set in [&[1_u64, 4][..], &[], &[1, 2], &[2]] {
        expected.extend((set.len() as u16).to_le_bytes());
        expected.extend(set.iter().flat_map(|id| id.to_le_bytes()));
    }
    assert_eq!(bytes, expected);
    let change = ConfChange {
        conf: conf(&[7], &[]),
        context: Bytes::from_static(b"ab"),
    };
    let expected = [
        &[
            18, 0, 0, 0, 1, 0, 1, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ][..],
        b"ab",
    ]
    .concat();
    assert_eq!(&*change.encode(), expected);
    assert_eq!(ConfChange::decode(&change.encode()), Ok(change));
}

#[test]
fn other_bytes_are_refused_with_a_reason() {
    let good = conf(&[1, 2], &[3]).encode();
    for length in 0..good.len() {
        assert!(
            ConfState::decode(&good[..length]).is_err(),
            "{length} bytes"
        );
    }
    let long = [&good[..], &[0]].concat();
    let found = long.len();
    assert_eq!(
        ConfState::decode(&long),
        Err(ConfDecodeError::Length { found })
    );
    let newer = [&[2], &good[1..]].concat();
    let version = ConfDecodeError::Version { found: 2, known: 1 };
    assert_eq!(ConfState::decode(&newer), Err(version));
    let contradictions = [
        conf(&[0, 1], &[]),
        conf(&[], &[1]),
        conf(&[1, 2], &[2]),
        joint(&[1], &[2], &[2], &[]),
        joint(&[1], &[2], &[], &[3]),
        joint(&[1, 2], &[2], &[], &[2]),
        ConfState {
            auto_leave: false,
            ..joint(&[1], &[2], &[], &[2])
        },
        ConfState {
            auto_leave: true,
            ..conf(&[1], &[])
        },
    ];
    for conf in contradictions {
        let decoded = ConfState::decode(&conf.encode());
        let is_refused = matches!(decoded, Err(ConfDecodeError::Contradiction { .. }));
        assert!(is_refused, "{conf:?}: {decoded:?}");
    }
    let nobody = ConfChange {
        conf: ConfState::default(),
        context: Bytes::new(),
    };
    assert!(ConfChange::decode(&nobody.encode()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), place in 0..80_usize, flip: u8) {
        let _ = ConfState::decode(&bytes);
        let _ = ConfChange::decode(&Bytes::from(bytes));
        let change = ConfChange { conf: joint(&[1, 4], &[1, 2], &[9], &[2]), context: Bytes::from_static(b"x") };
        let mut damaged = change.encode().to_vec();
        if let Some(byte) = damaged.get_mut(place) {
            *byte ^= flip;
        }
        if let Ok(read) = ConfChange::decode(&Bytes::from(damaged)) {
            prop_assert!(!read.conf.voters.is_empty());
        }
    }
}
