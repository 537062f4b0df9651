//! A place of a run at which the power fails or a process is killed, and how it is written.

use std::fmt;
use std::str::FromStr;

use raft::NodeId;
use vfs::{Crash, OperationKind};

/// A short run with a fixed script, made to be broken at every place: so many nodes, the leader is asked
/// to stop at two fifths of its time, and the leader's power fails at seven tenths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashScope {
    /// How many nodes.
    pub nodes: usize,
    /// Where it is broken; `None` to count the places.
    pub point: Option<CrashPoint>,
}

/// A place of a run, and what happens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashPoint {
    /// The node that is struck.
    pub node: NodeId,
    /// Where.
    pub at: CrashAt,
    /// What is left of what it has written and not synced.
    pub how: Crash,
    /// The power fails on all other nodes at this moment, too.
    pub everywhere: bool,
}

/// Where a node is struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashAt {
    /// In the disk operation of this number, counted from 1 over all its starts: the operation does
    /// not take place, or in part.
    Operation(u64),
    /// Before the output of this number, counted from 1 over all its starts: what the turn wanted done
    /// before has been done, the rest is lost. Outputs are writes for the disk, messages, and replies to
    /// clients.
    Output(u64),
}

/// What a run with a [`CrashScope`] tells of its places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrashReport {
    /// The disk operations of each node in the safety phase.
    pub operations: Vec<u64>,
    /// The outputs of each node in the safety phase.
    pub outputs: Vec<u64>,
    /// What was struck, once it was.
    pub struck: Option<Struck>,
}

/// What a crash point turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Struck {
    /// A disk operation of this kind.
    Operation(OperationKind),
    /// A place before a write is handed to the disk.
    BeforeWrite,
    /// A place before a message is sent.
    BeforeMessage,
    /// A place before replies are sent to a client.
    BeforeReply,
}

impl fmt::Display for Struck {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Struck::Operation(OperationKind::Create) => "in: file created",
            Struck::Operation(OperationKind::Write) => "in: write",
            Struck::Operation(OperationKind::Sync) => "in: sync",
            Struck::Operation(OperationKind::Allocate) => "in: file allocated",
            Struck::Operation(OperationKind::Rename) => "in: file renamed",
            Struck::Operation(OperationKind::Remove) => "in: file removed",
            Struck::Operation(OperationKind::CreateDirectory) => "in: directory created",
            Struck::Operation(OperationKind::SyncDirectory) => "in: directory synced",
            Struck::Operation(OperationKind::Read) => "in: read",
            Struck::BeforeWrite => "before: write handed over",
            Struck::BeforeMessage => "before: message sent",
            Struck::BeforeReply => "before: client answered",
        })
    }
}

/// Names of what a crash leaves.
const CRASHES: [(Crash, &str); 3] = [
    (Crash::Process, "kill"),
    (Crash::LoseUnsynced, "power"),
    (Crash::Torn, "torn"),
];

/// As it is typed on a command line: `n2:operation:17:torn`, `n1:output:40:kill`, and with `:all` behind
/// it if it strikes everywhere.
impl fmt::Display for CrashPoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, number) = match self.at {
            CrashAt::Operation(number) => ("operation", number),
            CrashAt::Output(number) => ("output", number),
        };
        let how = CRASHES.iter().find(|(how, _)| *how == self.how);
        let how = how.map_or("", |(_, name)| name);
        write!(formatter, "n{}:{place}:{number}:{how}", self.node.0)?;
        formatter.write_str(if self.everywhere { ":all" } else { "" })
    }
}

impl FromStr for CrashPoint {
    type Err = String;

    fn from_str(text: &str) -> Result<CrashPoint, String> {
        parse(text).ok_or_else(|| {
            "a crash point looks like n2:operation:17:torn or n1:output:40:kill:all".to_owned()
        })
    }
}

fn parse(text: &str) -> Option<CrashPoint> {
    let (text, everywhere) = match text.strip_suffix(":all") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let mut words = text.split(':');
    let node = words.next()?.strip_prefix('n')?.parse().ok()?;
    let place = words.next()?;
    let number = words.next()?.parse().ok()?;
    let at = match place {
        "operation" => CrashAt::Operation(number),
        "output" => CrashAt::Output(number),
        _ => return None,
    };
    let name = words.next()?;
    let (how, _) = CRASHES.into_iter().find(|(_, known)| *known == name)?;
    let is_whole = words.next().is_none() && node > 0 && number > 0;
    is_whole.then_some(CrashPoint {
        node: NodeId(node),
        at,
        how,
        everywhere,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_read_as_they_are_written() {
        for text in [
            "n2:operation:17:torn",
            "n1:output:40:kill",
            "n3:operation:1:power:all",
        ] {
            assert_eq!(text.parse::<CrashPoint>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "n2",
            "2:operation:17:torn",
            "n0:operation:1:torn",
            "n2:operation:0:torn",
            "n2:sync:1:torn",
            "n2:output:1:burn",
            "n2:output:1:kill:all:all",
            "n2:output:1:kill:now",
        ] {
            assert!(text.parse::<CrashPoint>().is_err(), "{text}");
        }
    }
}
