//! The time between start and Ctrl-C: deaths, restarts, leaders, and warnings of the nodes.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use super::{ASK_TIMEOUT, POLL, node::Node};
use crate::{login::Login, status};

/// A node that lived shorter than this and died again is started later each time.
const HEALTHY_AGE: Duration = Duration::from_secs(5);
const RESTART_DELAY_MIN: Duration = Duration::from_millis(250);
const RESTART_DELAY_MAX: Duration = Duration::from_secs(5);

/// No node is left to watch.
pub(super) struct AllDied;

/// The nodes while they run.
pub(super) struct Watch {
    nodes: Vec<Watched>,
    login: Login,
    /// The leader that was said last; `None` while a new one is looked for.
    leader: Option<u64>,
    restarts: bool,
}

struct Watched {
    node: Node,
    is_reported_dead: bool,
    /// When to start it again.
    restart_at: Option<Instant>,
    restart_delay: Duration,
}

impl Watch {
    /// Begins to watch nodes that have a leader.
    pub(super) fn new(nodes: Vec<Node>, login: Login, leader: u64, restarts: bool) -> Self {
        let nodes = nodes
            .into_iter()
            .map(|node| Watched {
                node,
                is_reported_dead: false,
                restart_at: None,
                restart_delay: RESTART_DELAY_MIN,
            })
            .collect();
        Self {
            nodes,
            login,
            leader: Some(leader),
            restarts,
        }
    }

    /// Watches until it is told to stop, and gives the nodes back.
    pub(super) fn run(mut self, stop: &AtomicBool) -> Result<Vec<Node>, AllDied> {
        while !stop.swap(false, Ordering::Relaxed) {
            for watched in &mut self.nodes {
                for line in watched.node.new_lines() {
                    if is_warning(&line) {
                        eprintln!("node {} | {line}", watched.node.id());
                    }
                }
            }
            self.look_for_deaths();
            self.start_again();
            self.look_for_leader();
            let is_alive =
                |watched: &Watched| !watched.is_reported_dead || watched.restart_at.is_some();
            if !self.nodes.iter().any(is_alive) {
                return Err(AllDied);
            }
            std::thread::sleep(POLL);
        }
        Ok(self.nodes.into_iter().map(|watched| watched.node).collect())
    }

    fn look_for_deaths(&mut self) {
        for watched in self
            .nodes
            .iter_mut()
            .filter(|watched| !watched.is_reported_dead)
        {
            let Some(death) = watched.node.death() else {
                continue;
            };
            watched.is_reported_dead = true;
            let (id, process) = (watched.node.id(), watched.node.process_id());
            eprintln!("node {id} (process {process}) {}", death.text);
            if !death.is_killed {
                for line in watched.node.last_words() {
                    eprintln!("node {id} | {line}");
                }
            }
            if self.leader == Some(id) {
                self.leader = None;
            }
            if death.is_removed {
                // Its last words say what to do.
                continue;
            }
            if self.restarts {
                if watched.node.age() > HEALTHY_AGE {
                    watched.restart_delay = RESTART_DELAY_MIN;
                }
                watched.restart_at = Some(Instant::now() + watched.restart_delay);
                watched.restart_delay = (watched.restart_delay * 2).min(RESTART_DELAY_MAX);
            } else {
                let line: Vec<String> = watched
                    .node
                    .plan()
                    .arguments
                    .to_command_line()
                    .into_iter()
                    .map(|word| word.to_string_lossy().into_owned())
                    .collect();
                eprintln!("start it again with: quorate {}", line.join(" "));
            }
        }
    }

    fn start_again(&mut self) {
        for watched in &mut self.nodes {
            if watched.restart_at.is_none_or(|at| at > Instant::now()) {
                continue;
            }
            watched.restart_at = None;
            let plan = watched.node.plan().clone();
            match Node::start(&plan) {
                Ok(node) => {
                    eprintln!(
                        "node {} started again as process {}",
                        node.id(),
                        node.process_id()
                    );
                    watched.node = node;
                    watched.is_reported_dead = false;
                }
                Err(failure) => {
                    failure.report();
                    watched.restart_at = Some(Instant::now() + watched.restart_delay);
                }
            }
        }
    }

    /// Says who leads once the leader has died. Asks nobody otherwise: the nodes are here to be used.
    fn look_for_leader(&mut self) {
        if self.leader.is_some() {
            return;
        }
        let alive = self
            .nodes
            .iter()
            .filter(|watched| !watched.is_reported_dead);
        for watched in alive {
            let address = watched.node.client_address();
            let Ok(node) = status::ask(address, &self.login, ASK_TIMEOUT) else {
                continue;
            };
            if node.role == "leader" {
                eprintln!("node {} leads now, in term {}", node.id, node.term);
                self.leader = Some(node.id);
                return;
            }
        }
    }
}

/// Whether a line of a log is for the terminal too: warnings, errors and panics, as text or JSON.
fn is_warning(line: &str) -> bool {
    let level = line.split_whitespace().nth(1);
    matches!(level, Some("WARN" | "ERROR"))
        || line.contains("\"level\":\"WARN\"")
        || line.contains("\"level\":\"ERROR\"")
        || line.contains("panicked at")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_told_from_the_rest() {
        assert!(is_warning("2026-01-01T00:00:00Z  WARN server: slow disk"));
        assert!(is_warning("{\"level\":\"ERROR\",\"message\":\"x\"}"));
        assert!(is_warning("thread 'main' panicked at src/x.rs"));
        assert!(!is_warning(
            "2026-01-01T00:00:00Z  INFO server: a WARN in the text"
        ));
    }
}
