//! Golden scripts: a scenario in, every message and every disk operation out.
//!
//! Each file in `tests/scripts` is headed by why it exists, and made of blocks: commands, a line
//! `---`, and what came of them. With `QUORATE_REWRITE=1` in the environment the outputs are
//! rewritten instead of compared; the difference is to be reviewed like code.
//!
//! | command | what it does |
//! |---|---|
//! | `cluster NODES [SETTING=NUMBER]...` | starts a group: `strangers` (nodes that belong to no group yet), `election_min`, `election_max`, `heartbeat`, `window`, `window_bytes`, `append_bytes`, `cache`, `uncommitted`, `apply`, `lag` |
//! | `log NODE TERM,TERM,... [term=T] [vote=N] [commit=I]` | starts the node anew with this on its disk |
//! | `tick NODE COUNT`, `campaign NODE`, `propose NODE TEXT [COUNT]`, `read NODE TOKEN`, `transfer NODE [TO]` | inputs |
//! | `add NODE ID`, `promote NODE ID`, `demote NODE ID`, `remove NODE ID`, `replace NODE OLD NEW`, `members NODE VOTERS LEARNERS` | the node is asked for a change of the members; lists are `1,2` or `-` |
//! | `gather NODE`, `drain NODE` | lets the node's inputs gather; drains it |
//! | `reset NODE PEER`, `connect NODE PEER` | the node's connection to the peer is reset, or made |
//! | `deliver [LINK] [KIND]` | delivers what is under way now; not what comes of it |
//! | `drop [LINK] [KIND]`, `hold [LINK] [KIND]`, `release`, `repeat [LINK] [KIND]` | loses, keeps back, lets go again, duplicates messages |
//! | `cut LINK`, `heal` | messages on the link are lost from now on; none are |
//! | `disk NODE slow/fast`, `persist NODE [COUNT]` | writes complete when told, or at once; complete some |
//! | `snapshot NODE TAIL` | cuts a snapshot, makes it durable, and cuts the log, but for so many entries |
//! | `cut-snapshot NODE`, `finish-snapshot NODE TAIL` | the same, in two steps |
//! | `bring LINK [unnoticed/lost/crash]` | the snapshot that was asked for arrives; without the sender's knowing; does not; as the receiver dies |
//! | `offer NODE FROM` | the node receives the newest snapshot of another |
//! | `crash NODE`, `restart NODE` | kill -9, losing all that was not durable; start |
//! | `settle` | delivers and writes until nothing is left |
//! | `status NODE`, `conf NODE`, `entries NODE` | shows the replica, who it thinks belongs, or its disk |
//! | `quiet` | does not show what comes of the rest of the block |
//!
//! A link is `1->2`, `1->` or `->2`. A number behind it limits the command to so many messages.

#[allow(dead_code, reason = "each test program uses a part of it")]
mod common;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use raft::{
    ConfState, EntryId, Envelope, HardState, LogIndex, MembershipChange, NodeId, Raft, Term,
};

use common::snapshots::Fate;
use common::{Cluster, Disk, show};

/// A group, and the messages kept back from it.
#[derive(Default)]
struct Stage {
    cluster: Option<Cluster>,
    held: Vec<Envelope>,
}

#[test]
fn scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the scripts are there")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    let rewrite = std::env::var_os("QUORATE_REWRITE").is_some();
    let mut changed = Vec::new();
    for path in paths {
        let script = std::fs::read_to_string(&path).expect("a readable script");
        let played = play(&script, &path);
        if rewrite {
            std::fs::write(&path, &played).expect("a writable script");
        } else if played != script {
            changed.push(first_difference(&path, &script, &played));
        }
    }
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}

/// The README maps the scenarios of etcd to scripts of ours: whatever it names must be there.
#[test]
fn etcd_scenarios_name_scripts_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).expect("a readable README");
    let section = readme
        .split("\n## ")
        .find(|section| section.starts_with("The scenarios of etcd"))
        .expect("a section on etcd's scenarios");
    let rows: Vec<&str> = section
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(1)
        .collect();
    assert_eq!(rows.len(), 28 + 2, "28 interaction tests and two folders");
    for row in rows {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, _, here, _] = columns[..] else {
            panic!("not two columns: {row}");
        };
        let named: Vec<&str> = here.split('`').skip(1).step_by(2).collect();
        let is_explained = here.contains("come")
            || here == "there are no leases"
            || here.starts_with("not here: ");
        assert!(
            !named.is_empty() || is_explained,
            "neither here nor explained: {row}"
        );
        for name in named {
            let is_source = root.join(name).is_file();
            let script = root.join(format!("tests/scripts/{name}.txt"));
            assert!(is_source || script.is_file(), "no script {name}: {row}");
        }
    }
}

fn first_difference(path: &Path, expected: &str, played: &str) -> String {
    let mut pairs = (1..).zip(expected.lines().zip(played.lines()));
    let difference = pairs.find(|(_, (expected, played))| expected != played);
    match difference {
        Some((line, (expected, played))) => {
            format!(
                "{}:{line}\n  expected: {expected}\n  now:      {played}",
                path.display()
            )
        }
        None => format!("{}: one is longer", path.display()),
    }
}

/// Plays the script; returns it with the outputs as they are now.
fn play(script: &str, path: &Path) -> String {
    let mut stage = Stage::default();
    let mut result = String::new();
    for block in script
        .split("\n\n")
        .filter(|block| !block.trim().is_empty())
    {
        if !result.is_empty() {
            result.push('\n');
        }
        let input = block.lines().take_while(|line| *line != "---");
        let mut is_quiet = false;
        let mut has_commands = false;
        let mut output = Vec::new();
        for line in input {
            let _ = writeln!(result, "{line}");
            if line.starts_with('#') {
                continue;
            }
            has_commands = true;
            if line == "quiet" {
                is_quiet = true;
            } else {
                let words: Vec<&str> = line.split_whitespace().collect();
                let done = stage.command(&words);
                let printed = done.unwrap_or_else(|| panic!("{}: {line}", path.display()));
                if printed.is_empty()
                    && !is_quiet
                    && let Some(cluster) = &mut stage.cluster
                {
                    output.append(&mut cluster.trace);
                }
                output.extend(printed);
            }
            if let Some(cluster) = &mut stage.cluster {
                cluster.trace.clear();
            }
        }
        if has_commands {
            let text = if output.is_empty() {
                "ok".into()
            } else {
                output.join("\n")
            };
            let _ = writeln!(result, "---\n{text}");
        }
    }
    result
}

fn number(word: &str) -> Option<u64> {
    word.parse().ok()
}

fn node(word: &str) -> Option<NodeId> {
    number(word).map(NodeId)
}

/// Which messages a command is about.
#[derive(Default)]
struct Filter {
    from: Option<NodeId>,
    to: Option<NodeId>,
    kind: Option<String>,
    count_max: Option<u64>,
}

impl Filter {
    fn parse(words: &[&str]) -> Option<Filter> {
        let mut filter = Filter::default();
        for word in words {
            if let Some((from, to)) = word.split_once("->") {
                filter.from = node(from);
                filter.to = node(to);
            } else if let Some(count) = number(word) {
                filter.count_max = Some(count);
            } else {
                filter.kind = Some((*word).to_owned());
            }
        }
        Some(filter)
    }

    fn matches(&self, envelope: &Envelope) -> bool {
        let text = envelope.message.to_string();
        let kind = text.split(' ').next();
        self.from.is_none_or(|from| from == envelope.from)
            && self.to.is_none_or(|to| to == envelope.to)
            && self
                .kind
                .as_deref()
                .is_none_or(|wanted| Some(wanted) == kind)
    }
}

impl Stage {
    /// Carries out one command. Returns what it prints instead of the trace; `None` if it cannot be
    /// understood.
    fn command(&mut self, words: &[&str]) -> Option<Vec<String>> {
        if let ["cluster", nodes, settings @ ..] = words {
            self.cluster = Some(start(number(nodes)?, settings)?);
            return Some(Vec::new());
        }
        let cluster = self.cluster.as_mut()?;
        match words {
            ["tick", id, count] => {
                for _ in 0..number(count)? {
                    cluster.tick(node(id)?);
                }
            }
            ["campaign", id] => cluster.input(node(id)?, "campaigns", Raft::campaign),
            ["propose", id, text] => {
                cluster.propose(node(id)?, text);
            }
            ["propose", id, text, count] => {
                for copy in 1..=number(count)? {
                    cluster.propose(node(id)?, &format!("{text}{copy}"));
                }
            }
            ["read", id, token] => cluster.read(node(id)?, number(token)?),
            ["transfer", id] => cluster.transfer(node(id)?, None),
            ["transfer", id, to] => cluster.transfer(node(id)?, Some(node(to)?)),
            [
                verb @ ("add" | "promote" | "demote" | "remove" | "replace" | "members"),
                id,
                what @ ..,
            ] => {
                cluster.change_members(node(id)?, membership_change(verb, what)?);
            }
            ["reset", id, peer] => {
                let peer = node(peer)?;
                let what = format!("loses its connection to {peer}");
                cluster.input(node(id)?, &what, |raft| raft.peer_reset(peer));
            }
            ["connect", id, peer] => {
                let peer = node(peer)?;
                let what = format!("is connected to {peer}");
                cluster.input(node(id)?, &what, |raft| raft.peer_connected(peer));
            }
            ["log", id, terms, states @ ..] => set_log(cluster, node(id)?, terms, states)?,
            ["gather", id] => cluster.gathering = Some(node(id)?),
            ["drain", id] => {
                cluster.gathering = None;
                cluster.drain(node(id)?);
            }
            ["crash", id] => cluster.crash(node(id)?),
            ["restart", id] => cluster.restart(node(id)?),
            ["disk", id, speed] => set_disk(cluster, node(id)?, speed)?,
            ["persist", id] => {
                while cluster.node(node(id)?).writes_under_way() > 0 {
                    cluster.finish_write(node(id)?);
                }
            }
            ["persist", id, count] => {
                for _ in 0..number(count)? {
                    cluster.finish_write(node(id)?);
                }
            }
            ["snapshot", id, tail] => {
                cluster.cut_snapshot(node(id)?);
                cluster.finish_snapshot(node(id)?, number(tail)?);
            }
            ["cut-snapshot", id] => cluster.cut_snapshot(node(id)?),
            ["finish-snapshot", id, tail] => cluster.finish_snapshot(node(id)?, number(tail)?),
            ["offer", id, from] => {
                let newest = cluster.node(node(from)?).durable.snapshot.clone()?;
                cluster.offer(node(id)?, &newest);
            }
            ["bring", link, fate @ ..] => bring(cluster, &Filter::parse(&[link])?, fate)?,
            ["settle"] => cluster.settle(),
            ["status", id] => return Some(status(cluster.raft(node(id)?))),
            ["conf", id] => return Some(conf(cluster.raft(node(id)?))),
            ["entries", id] => return Some(entries(cluster, node(id)?)),
            ["heal"] => cluster.cut.clear(),
            ["cut", link] => cut(cluster, &Filter::parse(&[link])?),
            [
                verb @ ("deliver" | "drop" | "hold" | "release" | "repeat"),
                filter @ ..,
            ] => {
                self.messages(verb, &Filter::parse(filter)?);
            }
            _ => return None,
        }
        Some(Vec::new())
    }

    fn messages(&mut self, verb: &str, filter: &Filter) {
        let Some(cluster) = &mut self.cluster else {
            return;
        };
        if verb == "release" {
            cluster.network.extend(self.held.drain(..));
            return;
        }
        let mut left = filter.count_max.unwrap_or(u64::MAX);
        let mut is_chosen = |envelope: &Envelope| {
            let is_chosen = left > 0 && filter.matches(envelope);
            left -= u64::from(is_chosen);
            is_chosen
        };
        let (chosen, rest): (Vec<Envelope>, Vec<Envelope>) = cluster
            .network
            .drain(..)
            .partition(|envelope| is_chosen(envelope));
        cluster.network.extend(rest);
        for envelope in chosen {
            match verb {
                "deliver" => cluster.deliver(envelope),
                "repeat" => {
                    cluster.network.push_back(envelope.clone());
                    cluster.network.push_back(envelope);
                }
                _ => {
                    let done = if verb == "drop" {
                        "is lost"
                    } else {
                        "is held back"
                    };
                    cluster.note(format!("{envelope} {done}"));
                    if verb == "hold" {
                        self.held.push(envelope);
                    }
                }
            }
        }
    }
}

fn start(nodes: u64, settings: &[&str]) -> Option<Cluster> {
    let mut pairs = Vec::new();
    for setting in settings {
        let (name, value) = setting.split_once('=')?;
        pairs.push((name, usize::try_from(number(value)?).ok()?));
    }
    let is_strangers = |(name, _): &&(&str, usize)| *name == "strangers";
    let strangers = pairs.iter().find(is_strangers).map_or(0, |pair| pair.1);
    let strangers = u64::try_from(strangers).ok()?;
    Some(Cluster::with_strangers(nodes, strangers, |config| {
        config.heartbeat_ticks = 3;
        for &(name, value) in &pairs {
            let ticks = u32::try_from(value).expect("a small number");
            match name {
                "election_min" => config.election_timeout_ticks_min = ticks,
                "election_max" => config.election_timeout_ticks_max = ticks,
                "heartbeat" => config.heartbeat_ticks = ticks,
                "window" => config.inflight_messages_max = value,
                "window_bytes" => config.inflight_bytes_max = value,
                "append_bytes" => config.append_bytes_max = value,
                "cache" => config.log_cache_bytes_max = value,
                "uncommitted" => config.uncommitted_bytes_max = value,
                "strangers" => {}
                "lag" => config.promotion_lag_max = u64::from(ticks),
                "apply" => config.apply_bytes_max = value,
                _ => panic!("no setting {name}"),
            }
        }
    }))
}

fn node_list(word: &str) -> Option<BTreeSet<NodeId>> {
    let words = word.split(',').filter(|word| *word != "-");
    words.map(node).collect()
}

fn membership_change(verb: &str, what: &[&str]) -> Option<MembershipChange> {
    Some(match (verb, what) {
        ("add", [id]) => MembershipChange::AddLearner(node(id)?),
        ("promote", [id]) => MembershipChange::Promote(node(id)?),
        ("demote", [id]) => MembershipChange::Demote(node(id)?),
        ("remove", [id]) => MembershipChange::RemoveLearner(node(id)?),
        ("replace", [old, new]) => MembershipChange::Replace {
            old: node(old)?,
            new: node(new)?,
        },
        ("members", [voters, learners]) => MembershipChange::To(ConfState {
            voters: node_list(voters)?,
            learners: node_list(learners)?,
            ..ConfState::default()
        }),
        _ => return None,
    })
}

/// The configuration in force, and whether it is committed.
fn conf(raft: &Raft) -> Vec<String> {
    let status = raft.status();
    let (committed_at, committed) = raft.conf_committed();
    let mut line = format!("{}: {} at {}", status.id, status.conf, status.conf_index);
    if committed_at == status.conf_index {
        line += ", committed";
    } else {
        line += &format!("; committed: {committed} at {committed_at}");
    }
    vec![line]
}

fn set_disk(cluster: &mut Cluster, id: NodeId, speed: &str) -> Option<()> {
    let speed = match speed {
        "slow" => Disk::Slow,
        "fast" => Disk::Fast,
        _ => return None,
    };
    cluster.nodes.get_mut(&id)?.disk = speed;
    cluster.let_disk_work(id);
    Some(())
}

fn cut(cluster: &mut Cluster, link: &Filter) {
    for &from in cluster.nodes.keys() {
        for &to in cluster.nodes.keys() {
            let is_cut = link.from.is_none_or(|id| id == from) && link.to.is_none_or(|id| id == to);
            if is_cut {
                cluster.cut.push((from, to));
            }
        }
    }
}

fn bring(cluster: &mut Cluster, link: &Filter, fate: &[&str]) -> Option<()> {
    let fate = match fate {
        [] => Fate::Arrives,
        ["unnoticed"] => Fate::ArrivesUnnoticed,
        ["lost"] => Fate::Lost,
        ["crash"] => Fate::ArrivesAtCrash,
        _ => return None,
    };
    let delivery = cluster.take_delivery(link.from?, link.to?)?;
    cluster.end_delivery(delivery, fate);
    Some(())
}

fn set_log(cluster: &mut Cluster, id: NodeId, terms: &str, states: &[&str]) -> Option<()> {
    let terms: Vec<u64> = terms
        .split(',')
        .filter(|term| *term != "-")
        .map(number)
        .collect::<Option<_>>()?;
    let mut state = HardState {
        term: Term(*terms.last().unwrap_or(&0)),
        ..HardState::default()
    };
    for word in states {
        match word.split_once('=')? {
            ("term", term) => state.term = Term(number(term)?),
            ("vote", vote) => state.vote = node(vote),
            ("commit", index) => state.commit = LogIndex(number(index)?),
            _ => return None,
        }
    }
    cluster.set_log(id, &terms, state);
    Some(())
}

fn status(raft: &Raft) -> Vec<String> {
    let status = raft.status();
    let leader = status
        .leader
        .map_or("nobody".into(), |leader| leader.to_string());
    let mut first = format!(
        "{}: {} in {}, led by {leader}, last={} durable={} commit={} applied={}",
        status.id,
        status.role,
        status.term,
        status.last,
        status.durable,
        status.commit,
        status.applied
    );
    if let Some(to) = status.transferring {
        let _ = write!(first, ", handing over to {to}");
    }
    let mut lines = vec![first];
    for peer in status.peers {
        let state = match (peer.replicating, peer.needs_snapshot) {
            (true, _) => "replicate",
            (false, true) => "snapshot",
            (false, false) => "probe",
        };
        let standing = match (peer.voter, peer.leaving) {
            (true, _) => "",
            (false, false) => " learner",
            (false, true) => " leaving",
        };
        lines.push(format!(
            "  {}:{standing} {state} match={} next={} in flight={} quiet for {}",
            peer.id, peer.match_index, peer.next_index, peer.inflight_messages, peer.quiet_ticks
        ));
    }
    lines
}

fn entries(cluster: &Cluster, id: NodeId) -> Vec<String> {
    let durable = &cluster.node(id).durable;
    let ids: Vec<EntryId> = durable.log.entries.iter().map(|entry| entry.id).collect();
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let begin = match &durable.snapshot {
        Some(snapshot) => format!(" snapshot={} base={}", snapshot.meta.last, durable.log.base),
        None => String::new(),
    };
    vec![format!(
        "{id} disk: {}{begin} [{}]",
        show(&durable.hard_state),
        ids.join(" ")
    )]
}
