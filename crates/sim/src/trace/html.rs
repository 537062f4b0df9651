//! A run as a picture: one file that opens in any browser and asks for nothing else.
//!
//! The page has a lane for each node, whose colour is the node's role, arrows for messages, marks for
//! faults, crashes and durable writes, and a lane for each client with its operations as bars. It draws
//! on a canvas only what is in view, so that it stays quick with some 100,000 events. The parts of the
//! page are in `page/`; here the run is put into it, as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use raft::{NodeId, Role};
use serde_json::{Value, json};

use crate::history::{History, Outcome, Reply};
use crate::report::{RunOptions, RunReport, TraceEvent, TraceKind};
use crate::trace::text;

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPTS: [&str; 4] = [
    include_str!("page/model.js"),
    include_str!("page/draw.js"),
    include_str!("page/list.js"),
    include_str!("page/main.js"),
];

/// How many characters of an operation's commands or replies are shown.
const OPERATION_CHARS: usize = 160;

/// The picture of a run that kept its trace; with its operations if it kept its history.
pub fn render(options: &RunOptions, report: &RunReport, commit: &str) -> String {
    let title = format!("seed {} · {}", options.seed, options.profile.name());
    // In a script element, `<` could end the element or begin a comment.
    let data = data(options, report, commit).replace('<', "\\u003c");
    PAGE.replace("{{title}}", &title)
        .replace("{{style}}", STYLE)
        .replace("{{script}}", &SCRIPTS.join("\n"))
        .replace("{{data}}", &data)
}

/// The run as JSON.
fn data(options: &RunOptions, report: &RunReport, commit: &str) -> String {
    let head = json!({
        "seed": options.seed.to_string(),
        "profile": options.profile.name(),
        "canary": options.canary.map(|canary| format!("{}: {}", canary.name(), canary.summary())),
        "choices": options.only.as_ref().map(|only| only.len()),
        "commit": commit,
        "nodes": report.nodes,
        "events": report.events,
        "simulated_us": report.simulated_us,
        "operations": report.operations,
        "elections": report.elections,
        "faults": report.faults.total(),
        "failure": report.failure.as_ref().map(|failure| json!({
            "property": failure.violation.property,
            "detail": failure.violation.detail,
            "step": failure.step,
            "at": failure.at_us,
            "nodes": failure.nodes,
        })),
    });
    let mut strings = Strings::default();
    let events = events(&report.trace, &mut strings);
    let operations = report.history.as_ref().map_or_else(
        || "[]".to_owned(),
        |history| operations(history, &mut strings),
    );
    let strings = Value::from(strings.list);
    format!(
        "{{\"head\":{head},\n\"events\":{events},\n\"operations\":{operations},\n\"strings\":{strings}}}"
    )
}

/// Texts, each once: a trace says the same things many times.
#[derive(Default)]
struct Strings {
    list: Vec<String>,
    places: BTreeMap<String, usize>,
}

impl Strings {
    fn place(&mut self, text: &str) -> usize {
        if let Some(&place) = self.places.get(text) {
            return place;
        }
        let place = self.list.len();
        self.list.push(text.to_owned());
        self.places.insert(text.to_owned(), place);
        place
    }
}

/// An event a row: step, time, kind, and what `page/model.js` says of each kind.
fn events(trace: &[TraceEvent], strings: &mut Strings) -> String {
    let mut out = String::from("[");
    for (position, event) in trace.iter().enumerate() {
        let (kind, a, b, extra, text): (u8, u64, u64, i64, String) = match &event.kind {
            TraceKind::Sent {
                from,
                to,
                arrives_us,
                text,
            } => {
                let arrives = arrives_us.map_or(-1, |arrives_us| arrives_us as i64);
                (0, from.0, to.0, arrives, text.clone())
            }
            TraceKind::Arrived { from, to, text } => (1, from.0, to.0, 0, text.clone()),
            TraceKind::Role { node, role, term } => (
                2,
                node.0,
                role_number(*role),
                *term as i64,
                text::describe(event),
            ),
            TraceKind::Started { node, incarnation } => {
                (3, node.0, 0, *incarnation as i64, text::describe(event))
            }
            TraceKind::Ended { node, text } => (4, node.0, 0, 0, text.clone()),
            TraceKind::Persisted { node, text } => (5, node.0, 0, 0, text.clone()),
            TraceKind::Fault { class, nodes, text } => {
                let label = format!("{}: {text}", class.label());
                (6, node_bits(nodes), *class as u64, 0, label)
            }
            TraceKind::Client { client, node, text } => {
                (7, node.0, *client as u64, 0, text.clone())
            }
            TraceKind::Phase { text } => (8, 0, 0, 0, text.clone()),
        };
        let separator = if position == 0 { "" } else { ",\n" };
        let text = strings.place(&text);
        let _ = write!(
            out,
            "{separator}[{},{},{kind},{a},{b},{extra},{text}]",
            event.step, event.at_us
        );
    }
    out.push(']');
    out
}

fn role_number(role: Role) -> u64 {
    match role {
        Role::Follower => 0,
        Role::PreCandidate => 1,
        Role::Candidate => 2,
        Role::Leader => 3,
    }
}

/// A bit for each node, from bit 0 for node 1.
fn node_bits(nodes: &[NodeId]) -> u64 {
    nodes
        .iter()
        .filter(|node| (1..=50).contains(&node.0))
        .fold(0, |bits, node| bits | 1 << (node.0 - 1))
}

/// An operation a row: process, node, from, to (-1: never), outcome, what was asked, what was told.
fn operations(history: &History, strings: &mut Strings) -> String {
    let mut out = String::from("[");
    for (position, operation) in history.operations.iter().enumerate() {
        let (outcome, answer) = match &operation.outcome {
            Outcome::Open => (0, "open".to_owned()),
            Outcome::Done(replies) => (1, short(&replies_text(replies))),
            Outcome::Failed(text) => (2, short(text)),
            Outcome::Unknown(text) => (3, short(text)),
        };
        let asked: Vec<String> = operation
            .commands
            .iter()
            .map(|words| {
                let words = words.iter().map(|word| String::from_utf8_lossy(word));
                words.collect::<Vec<_>>().join(" ")
            })
            .collect();
        let asked = strings.place(&short(&asked.join("; ")));
        let answer = strings.place(&answer);
        let separator = if position == 0 { "" } else { ",\n" };
        let completed = operation.completed_us.map_or(-1, |at_us| at_us as i64);
        let _ = write!(
            out,
            "{separator}[{},{},{},{completed},{outcome},{asked},{answer}]",
            operation.process, operation.node, operation.invoked_us
        );
    }
    out.push(']');
    out
}

fn replies_text(replies: &[Reply]) -> String {
    let texts: Vec<String> = replies
        .iter()
        .map(|reply| match reply {
            Reply::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Reply::Integer(number) => number.to_string(),
            Reply::Null => "null".to_owned(),
            Reply::List(replies) => format!("[{}]", replies_text(replies)),
            Reply::Error(text) => text.clone(),
        })
        .collect();
    texts.join(", ")
}

fn short(text: &str) -> String {
    match text.char_indices().nth(OPERATION_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::Violation;
    use crate::profile::Profile;
    use crate::report::{Failure, FaultClass};

    fn sample() -> (RunOptions, RunReport) {
        let event = |at_us, kind| TraceEvent {
            step: at_us,
            at_us,
            kind,
        };
        let mut history = History::default();
        let op = history.invoke(5, 2, 1, vec![vec![b"SET".to_vec(), b"k</script>".to_vec()]]);
        history.complete(9, op, Outcome::Done(vec![Reply::Null]), None);
        let trace = vec![
            event(
                1,
                TraceKind::Sent {
                    from: NodeId(1),
                    to: NodeId(2),
                    arrives_us: None,
                    text: "Vote \"t1\"\\".to_owned(),
                },
            ),
            event(
                2,
                TraceKind::Fault {
                    class: FaultClass::Halves,
                    nodes: vec![NodeId(1), NodeId(3)],
                    text: "for 1 s".to_owned(),
                },
            ),
        ];
        let report = RunReport {
            nodes: 3,
            trace,
            history: Some(history),
            failure: Some(Failure {
                violation: Violation {
                    property: "made-up",
                    detail: "<b>detail</b>".to_owned(),
                },
                step: 2,
                at_us: 2,
                nodes: vec!["n1 leader".to_owned()],
            }),
            ..RunReport::default()
        };
        (RunOptions::new(u64::MAX, Profile::Default), report)
    }

    #[test]
    fn the_data_is_json_and_has_all_that_happened() {
        let (options, report) = sample();
        let value: Value = serde_json::from_str(&data(&options, &report, "abc")).unwrap();
        assert_eq!(value["head"]["seed"], u64::MAX.to_string());
        assert_eq!(value["head"]["failure"]["property"], "made-up");
        assert_eq!(value["events"][0], json!([1, 1, 0, 1, 2, -1, 0]));
        assert_eq!(value["events"][1][3], 0b101);
        assert_eq!(value["strings"][0], "Vote \"t1\"\\");
        assert_eq!(value["operations"][0][3], 9);
        assert_eq!(value["strings"][3], "null");
    }

    #[test]
    fn the_page_is_whole_and_asks_for_nothing_else() {
        let (options, report) = sample();
        let page = render(&options, &report, "abc");
        assert!(!page.contains("{{"), "a part of the page was not filled in");
        assert_eq!(
            page.matches("</script>").count(),
            2,
            "data cannot end its element"
        );
        for outside in ["http://", "https://", "src=", "<link", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
