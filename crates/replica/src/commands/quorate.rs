//! QUORATE: who belongs to the cluster. What changes it is in [`crate::replica`]; here are the words.

use raft::NodeId;
use resp::Encoder;

use crate::config::ClientId;
use crate::features::FeatureLevels;
use crate::membership::{ADDRESS_BYTES_MAX, Wish, is_address};
use crate::node::{Member, Node};

use super::reply::{SYNTAX, integer, is, key};
use super::{SessionCommand, command, in_place};

pub(super) fn find(name: &str) -> Option<SessionCommand> {
    Some(match name {
        "help" => in_place(command::help),
        "members" => in_place(members),
        _ => return None,
    })
}

/// A change that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// A new node.
    Add {
        /// Where the others will reach it.
        peer_addr: String,
        /// The id it is to have, if not the next one.
        id: Option<NodeId>,
        /// The number that its data directory drew; 0 if somebody else asks for it.
        token: u64,
        /// The member in whose place it is to vote.
        replaces: Option<NodeId>,
        /// Whether it is to stay without a vote.
        is_learner: bool,
        /// Whether the node itself asks, and is to be told all it needs.
        is_join: bool,
        /// The feature levels that it knows, if it has said so.
        levels: Option<FeatureLevels>,
    },
    /// A member is to go.
    Remove {
        /// Which.
        id: NodeId,
        /// Whether a failure that could be borne before may not be afterwards.
        force: bool,
    },
    /// A learner is to vote.
    Promote(NodeId),
    /// A voter is to vote no more.
    Demote {
        /// Which.
        id: NodeId,
        /// See [`Request::Remove`].
        force: bool,
    },
    /// Another member is to lead.
    Transfer(NodeId),
}

impl Request {
    /// Reads the arguments of a subcommand that changes something. `args[1]` is its name.
    ///
    /// # Errors
    /// The text of the error reply.
    pub(crate) fn parse(args: &[&[u8]]) -> Result<Request, String> {
        let options = &args[3..];
        let name = args[1].to_ascii_lowercase();
        match name.as_slice() {
            b"add-node" => add(address(args[2])?, options),
            b"join" => join(args),
            b"replace" => {
                let [peer_addr] = options else {
                    return Err(SYNTAX.to_owned());
                };
                Ok(Request::Add {
                    peer_addr: address(peer_addr)?,
                    id: None,
                    token: 0,
                    replaces: Some(node_id(args[2])?),
                    is_learner: false,
                    is_join: false,
                    levels: None,
                })
            }
            b"remove-node" => Ok(Request::Remove {
                id: node_id(args[2])?,
                force: force(options)?,
            }),
            b"demote" => Ok(Request::Demote {
                id: node_id(args[2])?,
                force: force(options)?,
            }),
            b"promote" => Ok(Request::Promote(node_id(args[2])?)),
            b"transfer" => Ok(Request::Transfer(node_id(args[2])?)),
            _ => Err(SYNTAX.to_owned()),
        }
    }
}

/// `QUORATE ADD-NODE peer-address [ID id] [LEARNER]`
fn add(peer_addr: String, mut options: &[&[u8]]) -> Result<Request, String> {
    let (mut id, mut is_learner) = (None, false);
    while let [option, rest @ ..] = options {
        options = match rest {
            rest if is(option, "learner") => {
                is_learner = true;
                rest
            }
            [value, rest @ ..] if is(option, "id") => {
                id = Some(node_id(value)?);
                rest
            }
            _ => return Err(SYNTAX.to_owned()),
        };
    }
    Ok(Request::Add {
        peer_addr,
        id,
        token: 0,
        replaces: None,
        is_learner,
        is_join: false,
        levels: None,
    })
}

/// `QUORATE JOIN peer-address token [REPLACE id] [LEARNER] [LEVELS least newest]`. Who says no levels
/// knows those of the first release.
fn join(args: &[&[u8]]) -> Result<Request, String> {
    let token = std::str::from_utf8(args[3]).ok();
    let token = token.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let Some(token) = token.filter(|token| *token != 0) else {
        return Err("ERR the token is a hexadecimal number, and not 0".to_owned());
    };
    let (mut replaces, mut is_learner) = (None, false);
    let mut levels = FeatureLevels::OF_FIRST_RELEASE;
    let mut options = &args[4..];
    while let [option, rest @ ..] = options {
        options = match rest {
            rest if is(option, "learner") => {
                is_learner = true;
                rest
            }
            [value, rest @ ..] if is(option, "replace") => {
                replaces = Some(node_id(value)?);
                rest
            }
            [least, newest, rest @ ..] if is(option, "levels") => {
                let (least, newest) = (level(least)?, level(newest)?);
                levels = FeatureLevels { least, newest };
                rest
            }
            _ => return Err(SYNTAX.to_owned()),
        };
    }
    if is_learner && replaces.is_some() {
        return Err("ERR a learner cannot take the place of a voter".to_owned());
    }
    Ok(Request::Add {
        peer_addr: address(args[2])?,
        id: None,
        token,
        replaces,
        is_learner,
        is_join: true,
        levels: Some(levels),
    })
}

fn level(arg: &[u8]) -> Result<u32, String> {
    let level = integer(arg).and_then(|level| u32::try_from(level).ok());
    level.ok_or_else(|| "ERR a feature level is a number from 0 on".to_owned())
}

fn force(options: &[&[u8]]) -> Result<bool, String> {
    match options {
        [] => Ok(false),
        [option] if is(option, "force") => Ok(true),
        _ => Err(SYNTAX.to_owned()),
    }
}

/// A node id, as `3` or `n3`.
fn node_id(arg: &[u8]) -> Result<NodeId, String> {
    let digits = arg.strip_prefix(b"n").unwrap_or(arg);
    match integer(digits) {
        Some(id) if id > 0 => Ok(NodeId(id as u64)),
        _ => Err("ERR a node id is a number from 1 on".to_owned()),
    }
}

fn address(arg: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(arg)
        .ok()
        .filter(|text| is_address(text));
    text.map(str::to_owned).ok_or_else(|| {
        format!(
            "ERR a peer address is HOST:PORT as the other nodes reach it, at most \
             {ADDRESS_BYTES_MAX} bytes, and not 0.0.0.0"
        )
    })
}

/// Why a change is refused by a node that does not lead: nothing was done.
pub(crate) fn not_leader(node: &Node) -> String {
    let Some(leader) = node.consensus.leader else {
        return "NOTLEADER no leader is known at the moment, nothing was changed; try again"
            .to_owned();
    };
    match node.leader_addr() {
        Some(address) => format!("NOTLEADER the leader is {leader} at {address}"),
        None => format!("NOTLEADER the leader is {leader}, whose address is not known here yet"),
    }
}

/// The ids that there are, for whoever names one that there is not.
pub(crate) fn unknown_id(node: &Node, id: NodeId, next_id: u64) -> String {
    let ids: Vec<String> = node.members.keys().map(|id| id.0.to_string()).collect();
    let before = match id.0 < next_id {
        true => "; it was one before, and its id is not used again",
        false => "",
    };
    format!(
        "ERR node {} is not a member{before}: the members are {}",
        id.0,
        ids.join(", ")
    )
}

/// `QUORATE MEMBERS`: what this node knows, which is most at the leader.
fn members(node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    let consensus = &node.consensus;
    out.map(7);
    number(out, "node", node.config.node.0);
    number(out, "leader", consensus.leader.map_or(0, |leader| leader.0));
    number(out, "term", consensus.term.0);
    number(out, "commit", consensus.commit.0);
    word(
        out,
        "change",
        if consensus.is_changing {
            "under way"
        } else {
            ""
        },
    );
    key(out, "members");
    out.array(node.members.len());
    for (id, member) in &node.members {
        write_member(node, *id, member, out);
    }
    number(out, "feature-level", node.machine.feature_level().into());
}

fn write_member(node: &Node, id: NodeId, member: &Member, out: &mut Encoder<'_>) {
    let is_self = id == node.config.node;
    let client_addr = match is_self {
        true => &node.config.client_addr,
        false => &member.client_addr,
    };
    let matched = match is_self {
        true => node.consensus.last.0,
        false => member.matched,
    };
    let intent = match member.wish {
        Wish::Stay => String::new(),
        Wish::Vote => "votes when it has caught up".to_owned(),
        Wish::Replace(old) => format!("replaces node {} when it has caught up", old.0),
        Wish::Leave => "is being removed".to_owned(),
    };
    out.map(8);
    number(out, "id", id.0);
    word(out, "peer-address", &member.peer_addr);
    word(out, "client-address", client_addr);
    word(out, "role", if member.votes { "voter" } else { "learner" });
    word(
        out,
        "alive",
        if is_self || (member.connected && member.is_alive) {
            "yes"
        } else {
            "no"
        },
    );
    number(out, "matched", matched);
    number(out, "feature-level", member.feature_level.into());
    word(out, "intent", &intent);
}

fn number(out: &mut Encoder<'_>, name: &str, value: u64) {
    key(out, name);
    out.integer(i64::try_from(value).unwrap_or(i64::MAX));
}

fn word(out: &mut Encoder<'_>, name: &str, value: &str) {
    key(out, name);
    out.bulk(value.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Request, String> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        Request::parse(&words)
    }

    #[test]
    fn changes_are_read_and_what_makes_no_sense_is_refused() {
        let add = |id, is_learner| Request::Add {
            peer_addr: "h:1".into(),
            id,
            token: 0,
            replaces: None,
            is_learner,
            is_join: false,
            levels: None,
        };
        assert_eq!(parse("QUORATE ADD-NODE h:1"), Ok(add(None, false)));
        assert_eq!(
            parse("QUORATE add-node h:1 LEARNER ID 7"),
            Ok(add(Some(NodeId(7)), true))
        );
        assert_eq!(
            parse("QUORATE REMOVE-NODE n3 force"),
            Ok(Request::Remove {
                id: NodeId(3),
                force: true
            })
        );
        assert_eq!(
            parse("QUORATE JOIN h:1 ff REPLACE 2"),
            Ok(Request::Add {
                peer_addr: "h:1".into(),
                id: None,
                token: 255,
                replaces: Some(NodeId(2)),
                is_learner: false,
                is_join: true,
                levels: Some(FeatureLevels::OF_FIRST_RELEASE),
            })
        );
        let levels = |line| match parse(line) {
            Ok(Request::Add { levels, .. }) => levels,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            levels("QUORATE JOIN h:1 ff LEVELS 2 5 LEARNER"),
            Some(FeatureLevels {
                least: 2,
                newest: 5
            })
        );
        for bad in [
            "QUORATE ADD-NODE h",
            "QUORATE ADD-NODE h:1 ID",
            "QUORATE ADD-NODE h:1 ID 0",
            "QUORATE ADD-NODE h:1 NOW",
            "QUORATE JOIN h:1 0",
            "QUORATE JOIN h:1 xyz",
            "QUORATE JOIN h:1 1 LEVELS 2",
            "QUORATE JOIN h:1 1 LEVELS 1 -2",
            "QUORATE JOIN h:1 1 LEARNER REPLACE 3",
            "QUORATE REMOVE-NODE x",
            "QUORATE REMOVE-NODE -1",
            "QUORATE REMOVE-NODE 3 PLEASE",
            "QUORATE REPLACE 3 h:1 FORCE",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn members_tells_what_is_known_of_each() {
        let mut node = Node::for_test_of(2);
        let client = node.connect();
        let second = node.members.get_mut(&NodeId(2)).expect("a member");
        (second.votes, second.wish) = (false, Wish::Replace(NodeId(9)));
        let reply = node.reply(client, "QUORATE MEMBERS");
        for part in [
            "10.0.0.2:8000",
            "learner",
            "replaces node 9 when it has caught up",
        ] {
            assert!(reply.contains(part), "{reply}");
        }
    }

    #[test]
    fn who_leads_is_told_as_far_as_it_is_known() {
        let mut node = Node::for_test_of(3);
        node.follow(Some(2));
        assert_eq!(
            not_leader(&node),
            "NOTLEADER the leader is n2 at 10.0.0.2:7000"
        );
        node.follow(None);
        assert!(not_leader(&node).contains("no leader is known"));
    }
}
