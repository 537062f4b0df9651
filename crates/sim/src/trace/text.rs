//! The last events of a run as lines: a column per node, messages as arrows between them.
//!
//! ```text
//!      step         time  n1   n2   n3
//!     81228   12.003011s  |    *    |     n2 is leader in term 3
//!     81234   12.003411s  |    o....>     n2 ---AppendEntries t3 [5..7] c4--> n3  on its way, 700us
//!     81235   12.003411s  x....o    |     n2 ---AppendEntries t3 [5..7] c4--x n1  lost
//!     81241   12.004012s  |    #    |     n2 durable: entries 5..7
//! ```
//!
//! A column shows what its node is at that time: `|` a follower, `p` a pre-candidate, `c` a
//! candidate, `L` a leader, nothing if its process is not running.

use std::fmt::Write as _;

use raft::{NodeId, Role};

use crate::report::{TraceEvent, TraceKind};

/// How many characters a column has.
const COLUMN: usize = 5;

/// How many characters of an event's words are shown: a client may say a lot at once.
const WORDS: usize = 140;

/// A line that explains the signs.
pub const LEGEND: &str = "columns: | follower, p pre-candidate, c candidate, L leader, blank: not running\n\
                          signs: o....> sent, o....x sent and lost, o---->  arrived, # durable, ! fault, \
                          * change, ^ start, X end, ? client";

/// The last `count` events of a trace, a line each, with a head line.
pub fn render_tail(trace: &[TraceEvent], nodes: usize, count: usize) -> String {
    let mut lanes = vec![' '; nodes];
    let first_shown = trace.len().saturating_sub(count);
    for event in &trace[..first_shown] {
        update(&mut lanes, &event.kind);
    }
    let mut text = format!("{:>9}  {:>11}  ", "step", "time");
    for node in 1..=nodes {
        let _ = write!(text, "{:<COLUMN$}", format!("n{node}"));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    for event in &trace[first_shown..] {
        update(&mut lanes, &event.kind);
        let line = format!(
            "{:>9}  {:>11}  {}{}",
            event.step,
            seconds(event.at_us),
            picture(&lanes, &event.kind),
            shortened(describe(event))
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn shortened(mut words: String) -> String {
    if let Some((end, _)) = words.char_indices().nth(WORDS) {
        words.truncate(end);
        words.push('…');
    }
    words.replace('\n', " ")
}

/// A time as seconds with all its digits.
pub fn seconds(at_us: u64) -> String {
    format!("{}.{:06}s", at_us / 1_000_000, at_us % 1_000_000)
}

/// What an event says, in words.
pub fn describe(event: &TraceEvent) -> String {
    match &event.kind {
        TraceKind::Sent {
            from,
            to,
            arrives_us: Some(arrives_us),
            text,
        } => {
            let delay_us = arrives_us.saturating_sub(event.at_us);
            format!("{from} ---{text}--> {to}  on its way, {}", delay(delay_us))
        }
        TraceKind::Sent { from, to, text, .. } => format!("{from} ---{text}--x {to}  lost"),
        TraceKind::Arrived { from, to, text } => format!("{from} ---{text}--> {to}"),
        TraceKind::Role { node, role, term } => format!("{node} is {role} in term {term}"),
        TraceKind::Started { node, incarnation } => {
            format!("{node} starts, process {incarnation}")
        }
        TraceKind::Ended { node, text } => format!("{node} ends: {text}"),
        TraceKind::Persisted { node, text } => format!("{node} durable: {text}"),
        TraceKind::Fault { class, nodes, text } => {
            let nodes: Vec<String> = nodes.iter().map(NodeId::to_string).collect();
            let whom = match nodes.is_empty() {
                true => String::new(),
                false => format!(" ({})", nodes.join(" ")),
            };
            format!("fault: {}{whom} {text}", class.label())
        }
        TraceKind::Client { client, node, text } => format!("client {client} at {node}: {text}"),
        TraceKind::Phase { text } => format!("phase: {text}"),
    }
}

fn delay(delay_us: u64) -> String {
    match delay_us {
        0..1000 => format!("{delay_us}us"),
        1000..1_000_000 => format!("{}.{}ms", delay_us / 1000, delay_us % 1000 / 100),
        _ => format!(
            "{}.{}s",
            delay_us / 1_000_000,
            delay_us % 1_000_000 / 100_000
        ),
    }
}

/// What the columns show from now on.
fn update(lanes: &mut [char], kind: &TraceKind) {
    let (node, sign) = match kind {
        TraceKind::Started { node, .. } => (node, '|'),
        TraceKind::Ended { node, .. } => (node, ' '),
        TraceKind::Role { node, role, .. } => (
            node,
            match role {
                Role::Follower => '|',
                Role::PreCandidate => 'p',
                Role::Candidate => 'c',
                Role::Leader => 'L',
            },
        ),
        _ => return,
    };
    if let Some(lane) = lane_of(*node, lanes.len()) {
        lanes[lane] = sign;
    }
}

fn lane_of(node: NodeId, nodes: usize) -> Option<usize> {
    let lane = usize::try_from(node.0).ok()?.checked_sub(1)?;
    (lane < nodes).then_some(lane)
}

/// The columns, with what the event does to them.
fn picture(lanes: &[char], kind: &TraceKind) -> String {
    let mut row: Vec<char> = vec![' '; lanes.len() * COLUMN];
    for (lane, sign) in lanes.iter().enumerate() {
        row[lane * COLUMN] = *sign;
    }
    let mut mark = |node: &NodeId, sign: char| {
        if let Some(lane) = lane_of(*node, lanes.len()) {
            row[lane * COLUMN] = sign;
        }
    };
    match kind {
        TraceKind::Sent {
            from,
            to,
            arrives_us,
            ..
        } => arrow(&mut row, lanes.len(), *from, *to, '.', arrives_us.is_none()),
        TraceKind::Arrived { from, to, .. } => arrow(&mut row, lanes.len(), *from, *to, '-', false),
        TraceKind::Role { node, .. } => mark(node, '*'),
        TraceKind::Started { node, .. } => mark(node, '^'),
        TraceKind::Ended { node, .. } => mark(node, 'X'),
        TraceKind::Persisted { node, .. } => mark(node, '#'),
        TraceKind::Client { node, .. } => mark(node, '?'),
        TraceKind::Fault { nodes, .. } => nodes.iter().for_each(|node| mark(node, '!')),
        TraceKind::Phase { .. } => row.fill('='),
    }
    row.into_iter().chain([' ']).collect()
}

fn arrow(row: &mut [char], nodes: usize, from: NodeId, to: NodeId, line: char, is_lost: bool) {
    let (Some(start), Some(end)) = (lane_of(from, nodes), lane_of(to, nodes)) else {
        return;
    };
    let (start, end) = (start * COLUMN, end * COLUMN);
    row[start.min(end)..=start.max(end)].fill(line);
    row[start] = 'o';
    row[end] = match (is_lost, start < end) {
        (true, _) => 'x',
        (false, true) => '>',
        (false, false) => '<',
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::FaultClass;

    fn event(step: u64, kind: TraceKind) -> TraceEvent {
        TraceEvent {
            step,
            at_us: step * 1_000_100,
            kind,
        }
    }

    fn message(from: u64, to: u64, arrives_us: Option<u64>) -> TraceKind {
        TraceKind::Sent {
            from: NodeId(from),
            to: NodeId(to),
            arrives_us,
            text: "AppendEntries t3 [5..7] c4".to_owned(),
        }
    }

    fn sample() -> Vec<TraceEvent> {
        let start = |node| TraceKind::Started {
            node: NodeId(node),
            incarnation: 1,
        };
        vec![
            event(0, start(1)),
            event(0, start(2)),
            event(0, start(3)),
            event(
                1,
                TraceKind::Role {
                    node: NodeId(2),
                    role: Role::Leader,
                    term: 3,
                },
            ),
            event(2, message(2, 3, Some(2_000_900))),
            event(3, message(2, 1, None)),
            event(
                4,
                TraceKind::Arrived {
                    from: NodeId(1),
                    to: NodeId(3),
                    text: "Vote t4".to_owned(),
                },
            ),
            event(
                5,
                TraceKind::Ended {
                    node: NodeId(2),
                    text: "killed".to_owned(),
                },
            ),
            event(
                6,
                TraceKind::Fault {
                    class: FaultClass::Halves,
                    nodes: vec![NodeId(1), NodeId(3)],
                    text: "for 2 s".to_owned(),
                },
            ),
            event(
                7,
                TraceKind::Phase {
                    text: "liveness".to_owned(),
                },
            ),
        ]
    }

    #[test]
    fn columns_show_roles_and_arrows_show_messages() {
        let expected = "     step         time  n1   n2   n3
        1    1.000100s  |    *    |     n2 is leader in term 3
        2    2.000200s  |    o....>     n2 ---AppendEntries t3 [5..7] c4--> n3  on its way, 700us
        3    3.000300s  x....o    |     n2 ---AppendEntries t3 [5..7] c4--x n1  lost
        4    4.000400s  o--------->     n1 ---Vote t4--> n3
        5    5.000500s  |    X    |     n2 ends: killed
        6    6.000600s  !         !     fault: split in two (n1 n3) for 2 s
        7    7.000700s  =============== phase: liveness
";
        assert_eq!(render_tail(&sample(), 3, 7), expected);
    }

    #[test]
    fn nodes_that_are_not_there_do_no_harm() {
        let text = render_tail(&sample(), 1, 200);
        assert_eq!(text.lines().count(), 11);
        assert_eq!(render_tail(&[], 0, 200), "     step         time\n");
    }

    #[test]
    fn long_words_are_cut() {
        let chatty = event(
            1,
            TraceKind::Phase {
                text: "ä\n".repeat(1000),
            },
        );
        let text = render_tail(&[chatty], 1, 1);
        assert_eq!(text.lines().count(), 2);
        assert!(text.ends_with("…\n") && text.chars().count() < 250);
    }
}
