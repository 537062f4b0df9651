//! A way through the states, in words.

use raft::{EntryId, NodeId};

use crate::model::node::{Facts, Input, Item, Torn};
use crate::model::state::{Group, Step};

/// Takes the steps again, and tells each with what came of it. The last one breaks a property.
pub(super) fn of(group: &mut Group, steps: &[Step]) -> Vec<String> {
    let mut lines = Vec::new();
    let Ok(mut state) = group.start() else {
        return lines;
    };
    for id in 1..=3_u8 {
        let facts = group.facts(&state)[usize::from(id) - 1];
        lines.push(format!("n{id} starts: {}", describe(facts)));
    }
    for (number, step) in (1_u64..).zip(steps) {
        lines.push(format!("{number:>3}. {}", tell(group, *step)));
        let from = state.nodes[usize::from(step.node) - 1];
        let outcome = group.tables.react(from, step.input);
        let outcome = group.tables.outcome(outcome).clone();
        for &message in &outcome.sent {
            let envelope = group.tables.message(message);
            lines.push(format!("       to {}: {}", envelope.to, envelope.message));
        }
        for (read, index) in &outcome.served {
            lines.push(format!("       read {read} may be served at {index}"));
        }
        let (before, after) = (group.tables.facts(from), group.tables.facts(outcome.node));
        if before != after {
            lines.push(format!("       n{}: {}", step.node, describe(after)));
        }
        let mut next = Vec::new();
        if group.take(&state, *step, &mut next).is_err() {
            break;
        }
        let choice = usize::from(step.lost.saturating_sub(1));
        if let Some(&chosen) = next.get(choice) {
            state = chosen;
        }
    }
    lines
}

fn tell(group: &Group, step: Step) -> String {
    let node = NodeId(u64::from(step.node));
    match step.input {
        Input::Deliver(message) => {
            let envelope = group.tables.message(message);
            let again = if step.again { " (and again later)" } else { "" };
            format!("{node} <- {}: {}{again}", envelope.from, envelope.message)
        }
        Input::Persist => format!("{node}'s oldest write is durable"),
        Input::Campaign => format!("{node} times out"),
        Input::Timeout => format!("{node} campaigns"),
        Input::Beat => format!("{node} sends heartbeats"),
        Input::Propose(number) => format!("{node} is given proposal p{number}"),
        Input::Read(number) => format!("{node} is asked for read {number}"),
        Input::Transfer(to) => format!("{node} is to hand over to n{to}"),
        Input::Change(about) => format!("{node} is asked for a change of n{about}"),
        Input::Reset(peer) => format!("{node}'s connection to n{peer} is reset"),
        Input::Snapshot => format!("{node} takes a snapshot, and cuts its log behind it"),
        Input::Install(_) => format!("{node} has received a snapshot"),
        Input::Crash { written, torn } => {
            let torn = match torn {
                Torn::Nothing => "",
                Torn::HardState => " and the hard state of one more",
                Torn::Log => " and the entries of one more",
            };
            format!("{node} crashes and restarts; {written} writes under way were done{torn}")
        }
    }
}

fn describe(facts: &Facts) -> String {
    let vote = match facts.vote {
        0 => String::new(),
        vote => format!(" vote=n{vote}"),
    };
    let writes = match facts.writes {
        0 => String::new(),
        writes => format!(", {writes} writes under way"),
    };
    let disk = if facts.disk == facts.log && facts.promise_is_durable() {
        String::new()
    } else {
        let vote = match facts.disk_vote {
            0 => String::new(),
            vote => format!(" vote=n{vote}"),
        };
        format!(", disk t{}{vote} {}", facts.disk_term, show(&facts.disk))
    };
    format!(
        "{} in t{}{vote} {} commit={}{disk}{writes}",
        facts.role,
        facts.term,
        show(&facts.log),
        facts.commit
    )
}

/// The voters that an item puts in force, such as `{1 2}+{1 3}`.
fn voters(change: u8) -> String {
    let half = |bits: u8| {
        let ids = (0..3).filter(|bit| bits >> bit & 1 == 1);
        let ids: Vec<String> = ids.map(|bit| (bit + 1).to_string()).collect();
        format!("{{{}}}", ids.join(" "))
    };
    match change >> 3 & 7 {
        0 => half(change & 7),
        outgoing => format!("{}+{}", half(change & 7), half(outgoing)),
    }
}

/// A log in short.
pub(super) fn show(items: &[Item]) -> String {
    let shown: Vec<String> = (1..)
        .zip(items)
        .map(|(index, item)| {
            let id = EntryId::new(u64::from(item.term), index);
            match item.carries {
                0 => id.to_string(),
                change if change & Item::CHANGE != 0 => format!("{id}={}", voters(change)),
                proposal => format!("{id}=p{proposal}"),
            }
        })
        .collect();
    format!("[{}]", shown.join(" "))
}
