//! How two nodes meet: who may talk to whom, decided before any of Raft's messages flows.
//!
//! The dialler sends [`MAGIC`] and one `Hello` frame; the acceptor answers with [`MAGIC`] and
//! either a `Welcome` (who it is, in the same fields) or a `Refused`. The dialler judges the
//! `Welcome` by the same rules and may answer with a `Refused` of its own. So both sides learn the
//! reason and both log it; a refusal is never a connection that "just closes".
//!
//! What is refused, and why it must be:
//!
//! - another **cluster id**: two clusters whose address lists were mixed up would otherwise elect
//!   one leader and merge two histories;
//! - a **node id** in use by another live process, or our own: two processes that vote as one node
//!   are two votes of one voter, which breaks the one-vote-per-term rule of the Raft paper (section
//!   5.2);
//! - a node that has **lost its data**: its directory was made anew or is an older copy, so it has
//!   forgotten votes that it gave and entries that it acknowledged, and a majority with it could
//!   elect a leader that lacks an acknowledged write. A new directory has another directory id, an
//!   older copy has a lower incarnation, or the same one in another process, than the run that was
//!   met before (`wal::known_peers` remembers it). One such refusal stops the node that is refused:
//!   it is proof, because members trust each other here as everywhere in Raft;
//! - a node that was **removed**: its id was given away by a committed entry, and is no member's any
//!   more. It is told, so that it stops for good instead of asking for ever (thesis, section 4.2.3);
//! - an **unknown** id, by the leader, which knows all there are. Any other node may be behind, and the
//!   one that it has not heard of may be the leader that is to tell it;
//! - a node whose program does not know the cluster's **feature level** (`replica::FeatureLevels`): it
//!   could not apply what it is sent, and must not vote on it. It stops;
//! - an address that reaches **another node** than the configuration says;
//! - a **protocol version** that this release does not speak, older or newer.
//!
//! The rules are the pure functions [`judge_hello`], [`judge_welcome`] and [`judge_history`]; sockets
//! are elsewhere.

use std::collections::BTreeSet;
use std::fmt;

use raft::{ClusterId, NodeId};
use replica::{FeatureLevelError, FeatureLevels};
use wal::PeerRun;

/// The first bytes on a peer connection, each way. The last byte is the version of the framing and
/// of the handshake itself, which is meant never to change; everything else is negotiated inside.
pub const MAGIC: [u8; 8] = *b"QUORATE\x01";

/// The newest protocol this release speaks. Version 2 brought snapshots, version 3 feature levels.
pub const PROTOCOL_VERSION: u32 = 3;

/// The oldest protocol this release speaks: state hashes, which are of version 2, go to every member
/// without asking. A kind of message that comes later is lost on older nodes, and harms nothing else.
pub const PROTOCOL_VERSION_MIN: u32 = 2;

/// The oldest protocol that knows connections for snapshots. Their `Hello` asks for it at least, so
/// that an older node refuses it instead of taking it for a connection for messages.
pub const PROTOCOL_VERSION_SNAPSHOT: u32 = 2;

/// The largest handshake frame. Whoever has not said who it is gets no more memory than this.
pub const HANDSHAKE_BYTES_MAX: usize = 4096;

/// The longest advertised client address and version text taken from a peer.
pub const TEXT_BYTES_MAX: usize = 256;

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The newest protocol it speaks.
    pub protocol_version: u32,
    /// The oldest protocol it speaks.
    pub protocol_version_min: u32,
    /// Its cluster.
    pub cluster: ClusterId,
    /// The name of its cluster, for the refusal's text only.
    pub cluster_name: String,
    /// Its id.
    pub node: NodeId,
    /// The node it believes it is talking to.
    pub target: NodeId,
    /// What the connection is for. Only a `Hello` says it; a `Welcome` repeats it.
    pub purpose: Purpose,
    /// How often it has been started on its data directory.
    pub incarnation: u64,
    /// Drawn at random at its start: tells two processes with one id and one incarnation apart.
    pub process: u64,
    /// Drawn at random when its data directory was made: tells a new directory from the one before.
    /// 0 if it does not say.
    pub directory: u64,
    /// Where clients reach it.
    pub client_addr: String,
    /// Where other nodes reach it; empty if it does not say.
    pub peer_addr: String,
    /// Its software version.
    pub version: String,
    /// The feature levels that it knows.
    pub levels: FeatureLevels,
}

/// What a peer connection is for. The number is what travels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u32)]
pub enum Purpose {
    /// Raft's messages, and those of gateways. A node has at most one such connection to another.
    #[default]
    Messages = 0,
    /// One snapshot, from the dialler to the acceptor: see [`super::transfer`].
    Snapshot = 1,
}

impl Purpose {
    /// Reads the number that travels.
    pub fn from_code(code: u32) -> Option<Purpose> {
        match code {
            0 => Some(Purpose::Messages),
            1 => Some(Purpose::Snapshot),
            _ => None,
        }
    }
}

/// Why a peer is refused. The number is what travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u32)]
pub enum RefusalReason {
    /// It belongs to another cluster.
    WrongCluster = 1,
    /// Its id is in use by another process, possibly ourselves.
    DuplicateNode = 2,
    /// Its id is not a member of the cluster.
    UnknownNode = 3,
    /// The address leads to another node than the configuration says.
    WrongTarget = 4,
    /// It speaks only protocols older than ours.
    ProtocolTooOld = 5,
    /// It speaks only protocols newer than ours.
    ProtocolTooNew = 6,
    /// It reached itself.
    SelfConnection = 7,
    /// Its handshake is not a handshake.
    Malformed = 8,
    /// Its data directory was lost or is an old copy.
    DataLost = 9,
    /// The other side cannot write down that it has met it. It may be let in later.
    NotRecorded = 10,
    /// It was a member, and was removed.
    Removed = 11,
    /// It does not know the cluster's feature level.
    FeatureLevel = 12,
}

impl RefusalReason {
    /// Reads the number that travels; an unknown one, from a newer release, is `Malformed`: the
    /// text beside it says what it is.
    pub fn from_code(code: u32) -> RefusalReason {
        match code {
            1 => RefusalReason::WrongCluster,
            2 => RefusalReason::DuplicateNode,
            3 => RefusalReason::UnknownNode,
            4 => RefusalReason::WrongTarget,
            5 => RefusalReason::ProtocolTooOld,
            6 => RefusalReason::ProtocolTooNew,
            7 => RefusalReason::SelfConnection,
            9 => RefusalReason::DataLost,
            10 => RefusalReason::NotRecorded,
            11 => RefusalReason::Removed,
            12 => RefusalReason::FeatureLevel,
            _ => RefusalReason::Malformed,
        }
    }
}

/// A refusal: the reason for programs, the text for the people who run both nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which rule was broken.
    pub reason: RefusalReason,
    /// One line that says what does not fit and what to do.
    pub text: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Who belongs to the cluster, as far as this node knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roll {
    /// The members.
    pub members: BTreeSet<NodeId>,
    /// Ids below this one were given away: one of them that is not a member's was removed.
    pub ids_used_below: u64,
    /// Whether this node leads, and so knows everybody.
    pub is_leader: bool,
    /// The cluster's feature level as this node has applied it; 0: it does not know it yet. It may have
    /// risen since.
    pub feature_level: u32,
}

impl Roll {
    /// Why a node of this id is not let in, if it is not.
    fn refusal(&self, node: NodeId) -> Option<RefusalReason> {
        match () {
            () if self.members.contains(&node) => None,
            () if node.0 < self.ids_used_below => Some(RefusalReason::Removed),
            () if self.is_leader => Some(RefusalReason::UnknownNode),
            () => None,
        }
    }
}

/// The connection that already speaks for a node, as far as the rules need to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LivePeer {
    /// The process at its other end.
    pub process: u64,
}

/// Whether the acceptor lets a dialler in. `live` is the connection on which that node id was heard
/// recently, if there is one.
pub fn judge_hello(
    ours: &Hello,
    roll: &Roll,
    live: Option<LivePeer>,
    hello: &Hello,
) -> Result<(), Refused> {
    judge_common(ours, roll, hello)?;
    if let Some(live) = live
        && live.process != hello.process
    {
        return refuse(
            RefusalReason::DuplicateNode,
            format!(
                "node id {} is in use by another running process: two nodes must never share an id; \
                 stop one of them",
                hello.node.0
            ),
        );
    }
    Ok(())
}

/// Whether the dialler accepts who answered. `expected` is the member whose address was dialled.
pub fn judge_welcome(
    ours: &Hello,
    roll: &Roll,
    expected: NodeId,
    welcome: &Hello,
) -> Result<(), Refused> {
    judge_common(ours, roll, welcome)?;
    if welcome.node != expected {
        return refuse(
            RefusalReason::WrongTarget,
            format!(
                "the address of node {} was answered by node {}: correct the list of members",
                expected.0, welcome.node.0
            ),
        );
    }
    Ok(())
}

/// Whether a member is the one that was met before, in this run or a later one. `known` is its newest
/// known run. Returns the run if it has to be remembered before the member is let in.
pub fn judge_history(
    ours: &Hello,
    known: Option<PeerRun>,
    theirs: &Hello,
) -> Result<Option<PeerRun>, Refused> {
    let met = PeerRun {
        node: theirs.node.0,
        incarnation: theirs.incarnation,
        process: theirs.process,
        directory: theirs.directory,
    };
    let lost = match wal::known_peers::judge(known, met) {
        Ok(run) => return Ok(run),
        Err(lost) => lost,
    };
    refuse(
        RefusalReason::DataLost,
        format!(
            "node {} has {lost}; votes and log entries that it gave its word for are gone, so node {} \
             does not let it in: restore its newest data directory, or leave it stopped",
            theirs.node.0, ours.node.0
        ),
    )
}

/// The rules that hold in both directions, the version first: nothing else of a message of another
/// protocol can be relied upon.
fn judge_common(ours: &Hello, roll: &Roll, theirs: &Hello) -> Result<(), Refused> {
    if theirs.protocol_version < ours.protocol_version_min {
        return refuse(
            RefusalReason::ProtocolTooOld,
            format!(
                "node {} ({}) speaks peer protocol {}, node {} ({}) needs at least {}: upgrade node {}",
                theirs.node.0,
                theirs.version,
                theirs.protocol_version,
                ours.node.0,
                ours.version,
                ours.protocol_version_min,
                theirs.node.0
            ),
        );
    }
    if theirs.protocol_version_min > ours.protocol_version {
        return refuse(
            RefusalReason::ProtocolTooNew,
            format!(
                "node {} ({}) needs peer protocol {}, node {} ({}) speaks at most {}: upgrade node {}",
                theirs.node.0,
                theirs.version,
                theirs.protocol_version_min,
                ours.node.0,
                ours.version,
                ours.protocol_version,
                ours.node.0
            ),
        );
    }
    if theirs.cluster != ours.cluster {
        return refuse(
            RefusalReason::WrongCluster,
            format!(
                "node {} belongs to cluster {:?} ({:016x}), node {} to cluster {:?} ({:016x}): the \
                 cluster's name and list of members must be the same on all nodes",
                theirs.node.0,
                theirs.cluster_name,
                theirs.cluster.0,
                ours.node.0,
                ours.cluster_name,
                ours.cluster.0
            ),
        );
    }
    if theirs.process == ours.process {
        return refuse(
            RefusalReason::SelfConnection,
            format!(
                "the address of another member leads back to node {} itself: correct the list of members",
                ours.node.0
            ),
        );
    }
    if theirs.node == ours.node {
        return refuse(
            RefusalReason::DuplicateNode,
            format!(
                "two running processes call themselves node {}: give each node its own id",
                ours.node.0
            ),
        );
    }
    if let Some(reason) = roll.refusal(theirs.node) {
        let text = match reason {
            RefusalReason::Removed => format!(
                "node {} was removed from the cluster, says node {}: its id is not used again; to let \
                 this machine come back, start it with --join and an empty --data-dir",
                theirs.node.0, ours.node.0
            ),
            _ => format!(
                "node {} is not a member of this cluster, says node {}, which leads it: add it first \
                 (quorate add-node), or start it with --join and an empty --data-dir",
                theirs.node.0, ours.node.0
            ),
        };
        return refuse(reason, text);
    }
    judge_levels(ours, roll, theirs)?;
    if theirs.target != ours.node {
        return refuse(
            RefusalReason::WrongTarget,
            format!(
                "node {} took node {} for node {}: correct the list of members",
                theirs.node.0, ours.node.0, theirs.target.0
            ),
        );
    }
    Ok(())
}

/// Whether the other knows the cluster's feature level. That it knows too little is certain, since a
/// level never falls; that it knows only higher ones is the leader's to say, which is not behind.
fn judge_levels(ours: &Hello, roll: &Roll, theirs: &Hello) -> Result<(), Refused> {
    let (level, id) = (roll.feature_level, theirs.node.0);
    let (who, release) = (ours.node.0, &theirs.version);
    let levels = theirs.levels;
    let text = match theirs.levels.check(level) {
        Err(FeatureLevelError::Newer { newest, .. }) => format!(
            "this cluster runs at feature level {level}, says node {who}; node {id} ({release}) knows \
             {newest}: install a newer Quorate on node {id}"
        ),
        Err(_) if roll.is_leader => format!(
            "this cluster runs at feature level {level}, says node {who}; node {id} ({release}) needs {}: \
             install the Quorate before it on all nodes first, until the level has risen",
            levels.least
        ),
        _ => return Ok(()),
    };
    refuse(RefusalReason::FeatureLevel, text)
}

fn refuse<T>(reason: RefusalReason, text: String) -> Result<T, Refused> {
    Err(Refused { reason, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u64, target: u64) -> Hello {
        Hello {
            protocol_version: PROTOCOL_VERSION,
            protocol_version_min: PROTOCOL_VERSION_MIN,
            cluster: ClusterId(77),
            cluster_name: "quorate".into(),
            node: NodeId(id),
            target: NodeId(target),
            purpose: Purpose::Messages,
            incarnation: 1,
            process: 1000 + id,
            directory: 500 + id,
            client_addr: "127.0.0.1:6379".into(),
            peer_addr: "127.0.0.1:7379".into(),
            version: "0.1.0".into(),
            levels: FeatureLevels::OF_FIRST_RELEASE,
        }
    }

    fn members() -> Roll {
        Roll {
            members: BTreeSet::from([NodeId(1), NodeId(2), NodeId(3)]),
            ids_used_below: 6,
            is_leader: true,
            feature_level: 1,
        }
    }

    #[test]
    fn who_knows_too_little_is_told_by_all_and_who_knows_too_much_by_the_leader() {
        let judge = |level, is_leader, (least, newest)| {
            let roll = Roll {
                feature_level: level,
                is_leader,
                ..members()
            };
            let mut other = node(2, 1);
            other.levels = FeatureLevels { least, newest };
            let judged = judge_hello(&node(1, 2), &roll, None, &other);
            judged.err().map(|refused| {
                assert_eq!(refused.reason, RefusalReason::FeatureLevel);
                refused.text
            })
        };
        let text = judge(3, false, (1, 2)).expect("refused");
        assert_eq!(
            text,
            "this cluster runs at feature level 3, says node 1; node 2 (0.1.0) knows 2: install a newer \
             Quorate on node 2"
        );
        assert_eq!(judge(3, false, (1, 3)), None);
        assert_eq!(judge(0, false, (1, 1)), None, "nothing is known here yet");
        assert_eq!(judge(1, false, (2, 3)), None, "this node may be behind");
        let text = judge(1, true, (2, 3)).expect("refused");
        assert!(text.contains("needs 2"), "{text}");
    }

    #[test]
    fn who_was_removed_is_told_and_who_is_new_is_let_in_by_those_who_may_be_behind() {
        let mut roll = members();
        let judge = |roll: &Roll, id| {
            let judged = judge_hello(&node(1, 2), roll, None, &node(id, 1));
            judged.err().map(|refused| refused.reason)
        };
        assert_eq!(judge(&roll, 5), Some(RefusalReason::Removed));
        assert_eq!(judge(&roll, 6), Some(RefusalReason::UnknownNode));
        roll.is_leader = false;
        assert_eq!(judge(&roll, 5), Some(RefusalReason::Removed));
        assert_eq!(judge(&roll, 6), None);
        assert_eq!(judge(&roll, 3), None);
    }

    fn reason(result: Result<(), Refused>) -> Option<RefusalReason> {
        result.err().map(|refused| refused.reason)
    }

    #[test]
    fn a_member_of_the_cluster_is_let_in() {
        assert_eq!(
            judge_hello(&node(1, 2), &members(), None, &node(2, 1)),
            Ok(())
        );
        assert_eq!(
            judge_welcome(&node(1, 2), &members(), NodeId(2), &node(2, 1)),
            Ok(())
        );
    }

    #[test]
    fn each_broken_rule_has_its_own_refusal() {
        let ours = node(1, 2);
        let judge = |change: fn(&mut Hello)| {
            let mut theirs = node(2, 1);
            change(&mut theirs);
            reason(judge_hello(&ours, &members(), None, &theirs))
        };
        use RefusalReason as Reason;
        assert_eq!(
            judge(|hello| hello.cluster.0 += 1),
            Some(Reason::WrongCluster)
        );
        assert_eq!(
            judge(|hello| hello.node = NodeId(9)),
            Some(Reason::UnknownNode)
        );
        assert_eq!(
            judge(|hello| hello.node = NodeId(1)),
            Some(Reason::DuplicateNode)
        );
        assert_eq!(
            judge(|hello| hello.process = 1001),
            Some(Reason::SelfConnection)
        );
        assert_eq!(
            judge(|hello| hello.target = NodeId(3)),
            Some(Reason::WrongTarget)
        );
        assert_eq!(
            judge(|hello| hello.protocol_version = 0),
            Some(Reason::ProtocolTooOld)
        );
        let newer = |hello: &mut Hello| {
            hello.protocol_version = 9;
            hello.protocol_version_min = 9;
        };
        assert_eq!(judge(newer), Some(Reason::ProtocolTooNew));
    }

    #[test]
    fn a_newer_node_that_still_speaks_our_protocol_is_let_in() {
        let mut theirs = node(2, 1);
        theirs.protocol_version = 9;
        assert_eq!(judge_hello(&node(1, 2), &members(), None, &theirs), Ok(()));
    }

    #[test]
    fn an_id_in_use_by_another_live_process_is_refused_and_a_reconnect_is_not() {
        let live = |process| Some(LivePeer { process });
        let judge = |live| reason(judge_hello(&node(1, 2), &members(), live, &node(2, 1)));
        assert_eq!(judge(live(5)), Some(RefusalReason::DuplicateNode));
        assert_eq!(judge(live(1002)), None);
    }

    #[test]
    fn the_wrong_node_behind_an_address_is_refused_by_the_dialler() {
        let refused = judge_welcome(&node(1, 2), &members(), NodeId(2), &node(3, 1));
        assert_eq!(reason(refused), Some(RefusalReason::WrongTarget));
    }

    #[test]
    fn a_member_comes_back_in_the_same_run_or_a_later_one_of_the_same_directory() {
        let run = |incarnation, process, directory| PeerRun {
            node: 2,
            incarnation,
            process,
            directory,
        };
        let judge = |known, met: PeerRun| {
            let mut theirs = node(2, 1);
            theirs.incarnation = met.incarnation;
            theirs.process = met.process;
            theirs.directory = met.directory;
            judge_history(&node(1, 2), known, &theirs).map_err(|refused| {
                assert_eq!(refused.reason, RefusalReason::DataLost);
                assert_eq!(refused.text.lines().count(), 1);
                assert!(refused.text.starts_with("node 2 has a"), "{refused}");
            })
        };
        let known = Some(run(7, 70, 1));
        for (known, met, verdict) in [
            (None, run(1, 10, 1), Ok(Some(run(1, 10, 1)))),
            (known, run(7, 70, 1), Ok(None)),
            (known, run(8, 80, 1), Ok(Some(run(8, 80, 1)))),
            // The first release that tells its directory.
            (Some(run(7, 70, 0)), run(8, 80, 1), Ok(Some(run(8, 80, 1)))),
            // Old copies, and a copy of the directory that ran at the same time.
            (known, run(6, 60, 1), Err(())),
            (known, run(7, 71, 1), Err(())),
            // Made anew, however often it was started since.
            (known, run(1, 10, 2), Err(())),
            (known, run(7, 71, 2), Err(())),
            (known, run(99, 990, 2), Err(())),
            (known, run(99, 990, 0), Err(())),
        ] {
            assert_eq!(judge(known, met), verdict, "{known:?} {met:?}");
        }
    }

    #[test]
    fn reasons_survive_the_wire_and_unknown_ones_are_tolerated() {
        for code in 1..=12 {
            assert_eq!(RefusalReason::from_code(code) as u32, code);
        }
        assert_eq!(RefusalReason::from_code(77), RefusalReason::Malformed);
    }
}
