//! `quorate status`: the nodes of a cluster, what each does, and how far it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::{IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use resp::Value;
use serde_json::json;
use server::config::Address;

use crate::{
    admin::Members,
    client::{ClientError, Connection},
    cluster::addresses_of,
    failure::Failure,
    login::{Login, LoginArguments},
};

/// How long a node may take to answer before it counts as unreachable.
const NODE_TIMEOUT: Duration = Duration::from_secs(2);

/// What `quorate status` is told.
#[derive(Debug, Args)]
#[command(
    after_help = "The exit code is 0 if a leader exists and a majority of the voters answers, else 1."
)]
pub(crate) struct StatusArguments {
    /// Nodes to ask; the others are learned from them.
    #[arg(
        long,
        value_name = "HOST:PORT,...",
        value_delimiter = ',',
        default_value = "127.0.0.1:6379"
    )]
    cluster: Vec<Address>,
    #[command(flatten)]
    login: LoginArguments,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a node says of itself, by INFO.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct NodeInfo {
    /// Its id.
    pub(crate) id: u64,
    /// leader, follower, candidate or learner.
    pub(crate) role: String,
    /// The leader it knows of.
    pub(crate) leader: Option<u64>,
    /// Its term.
    pub(crate) term: u64,
    commit: u64,
    applied: u64,
    uptime_seconds: u64,
    version: String,
    voters: BTreeSet<u64>,
    /// The cluster's feature level as it has applied it; 0: not known yet.
    level: u64,
    /// The highest feature level that it knows.
    level_known: u64,
    /// Its `feature-level-max`; 0: none.
    level_max: u64,
    /// Nodes whose data differs from its own, and the entry after which that was seen first.
    differing: BTreeMap<u64, u64>,
}

impl NodeInfo {
    /// Reads the fields of INFO; `None` if they are not those of a Quorate node.
    pub(crate) fn parse(info: &str) -> Option<Self> {
        let fields: BTreeMap<&str, &str> = info
            .lines()
            .filter_map(|line| line.trim_end().split_once(':'))
            .collect();
        let number = |key: &str| fields.get(key).and_then(|value| value.parse::<u64>().ok());
        Some(Self {
            id: number("raft_node_id")?,
            role: (*fields.get("raft_role")?).to_owned(),
            leader: number("raft_leader_id").filter(|id| *id != 0),
            term: number("raft_term")?,
            commit: number("raft_commit_index")?,
            applied: number("raft_applied_index")?,
            uptime_seconds: number("uptime_in_seconds").unwrap_or(0),
            version: fields
                .get("quorate_version")
                .copied()
                .unwrap_or_default()
                .to_owned(),
            voters: voter_ids(fields.get("raft_voters").copied().unwrap_or_default()),
            level: number("feature_level").unwrap_or(0),
            level_known: number("feature_level_known").unwrap_or(0),
            level_max: number("feature_level_max").unwrap_or(0),
            differing: pairs(
                fields
                    .get("state_differing_nodes")
                    .copied()
                    .unwrap_or_default(),
            ),
        })
    }
}

/// The ids in a list such as `1,2,3` or `1=127.0.0.1:8001,2=…`.
fn voter_ids(list: &str) -> BTreeSet<u64> {
    list.split(',')
        .filter_map(|item| item.split(['=', '@']).next()?.trim().parse().ok())
        .collect()
}

/// The numbers in a list such as `2@4096,3@8192`.
fn pairs(list: &str) -> BTreeMap<u64, u64> {
    list.split(',')
        .filter_map(|item| {
            let (id, index) = item.trim().split_once('@')?;
            Some((id.parse().ok()?, index.parse().ok()?))
        })
        .collect()
}

/// What is wrong with nodes, a line each.
fn alarms(rows: &[Row]) -> Vec<String> {
    let nodes = rows.iter().filter_map(|row| row.node.as_ref().ok());
    let alarms = nodes.flat_map(|node| {
        node.differing.iter().map(|(other, index)| {
            format!(
                "ALARM: node {} has found that the data of node {other} differs from its own, first after \
                 entry {index}",
                node.id
            )
        })
    });
    alarms.collect()
}

/// The cluster's feature level, as the node that is furthest knows it.
fn level(rows: &[Row]) -> u64 {
    let nodes = rows.iter().filter_map(|row| row.node.as_ref().ok());
    nodes.map(|node| node.level).max().unwrap_or(0)
}

/// What keeps the feature level where it is while nodes know a higher one; nothing if none does.
fn level_line(rows: &[Row]) -> Option<String> {
    let level = level(rows);
    let nodes = || rows.iter().filter_map(|row| row.node.as_ref().ok());
    let known = nodes()
        .map(|node| node.level_known)
        .filter(|it| *it > level);
    let next = known.min()?;
    let list = |ids: Vec<u64>| {
        let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
        match ids.len() {
            0 => None,
            1 => Some(format!("node {}", ids[0])),
            _ => Some(format!("nodes {}", ids.join(", "))),
        }
    };
    let behind = nodes().filter(|node| node.level_known <= level);
    let behind = list(behind.map(|node| node.id).collect());
    let away = rows.iter().filter(|row| row.node.is_err());
    let away = list(away.filter_map(|row| row.id).collect());
    let holder = nodes().find(|node| {
        let is_held = node.level_max != 0 && node.level_max <= level;
        is_held && Some(node.id) == node.leader
    });
    let why = match (behind, away, holder) {
        (Some(behind), ..) => {
            format!("it rises to {next} when a newer Quorate runs on {behind}, too")
        }
        (None, Some(away), _) => format!("it rises to {next} when {away} answers or is removed"),
        (None, None, Some(leader)) => format!(
            "feature-level-max holds it back on node {}, which leads; CONFIG SET feature-level-max 0 on every \
             node lets it rise to {next}",
            leader.id
        ),
        (None, None, None) => format!("it rises to {next} now"),
    };
    Some(format!("feature level {level}: {why}"))
}

/// A node as it was found.
struct Row {
    address: Option<Address>,
    node: Result<NodeInfo, Absence>,
    id: Option<u64>,
}

/// Why there is nothing to say of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Absence {
    /// It cannot be reached, or says something that nobody understands.
    Unreachable(String),
    /// It answers, but not to one who asks like this.
    Unwilling {
        /// What it wants.
        wish: &'static str,
        /// What to do about it.
        advice: &'static str,
    },
}

impl Absence {
    fn of(error: ClientError) -> Self {
        let (wish, advice) = match error {
            ClientError::Refused { what: "AUTH", .. } => (
                "refuses the password",
                "give the right one with -a or REDISCLI_AUTH",
            ),
            ClientError::Unreachable { reason, .. }
            | ClientError::Lost { reason, .. }
            | ClientError::Refused { reason, .. } => return Self::Unreachable(reason),
            ClientError::TimedOut { within, .. } => {
                let seconds = within.as_secs_f64();
                return Self::Unreachable(format!("no answer within {seconds} s"));
            }
            ClientError::Interrupted => return Self::Unreachable("interrupted".into()),
            ClientError::NeedsPassword { .. } => {
                ("wants a password", "give it with -a or REDISCLI_AUTH")
            }
            ClientError::NeedsTls { .. } => ("speaks TLS", "add --tls --cacert FILE"),
            ClientError::NotTls { .. } => (
                "does not seem to speak TLS",
                "try without --tls and --cacert",
            ),
        };
        Self::Unwilling { wish, advice }
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(reason) => write!(formatter, "unreachable ({reason})"),
            Self::Unwilling { wish, .. } => formatter.write_str(wish),
        }
    }
}

/// Prints the nodes of a cluster.
pub(crate) fn run(arguments: &StatusArguments) -> Result<ExitCode, Failure> {
    let login = arguments.login.login()?;
    let rows = survey(&arguments.cluster, &login);
    let health = Health::of(&rows);
    let changes = changes(&rows, &login);
    let text = if arguments.json {
        as_json(&rows, &health, &changes)
    } else {
        as_table(&rows, &health, &changes)
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(if health.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What is being done with the members, one line each, by the word of the leader.
fn changes(rows: &[Row], login: &Login) -> Vec<String> {
    let leads = |row: &&Row| matches!(&row.node, Ok(node) if node.role == "leader");
    let leaders = rows.iter().filter(leads);
    let addresses = leaders.filter_map(|row| row.address.as_ref());
    let mut answers = addresses.filter_map(|address| {
        let mut connection = Connection::open(address, login, NODE_TIMEOUT).ok()?;
        let reply = connection
            .call(&["QUORATE", "MEMBERS"], NODE_TIMEOUT)
            .ok()?;
        Members::parse(&reply)
    });
    answers.next().map_or_else(Vec::new, |members| {
        let mut lines = Vec::new();
        if members.is_changing {
            lines.push("a change of the members is under way".to_owned());
        }
        for member in members.members.iter().filter(|it| !it.intent.is_empty()) {
            let (id, intent) = (member.id, &member.intent);
            let progress = match (member.is_voter, member.matched) {
                (true, _) => String::new(),
                (false, 0) => format!(
                    ": it was not started yet, it is expected at {}",
                    member.peer_addr
                ),
                (false, matched) => format!(": it has {matched} of {} entries", members.commit),
            };
            lines.push(format!("node {id} {intent}{progress}"));
        }
        lines
    })
}

/// Asks one node for its INFO.
pub(crate) fn ask(
    address: &Address,
    login: &Login,
    timeout: Duration,
) -> Result<NodeInfo, ClientError> {
    info_of(&mut Connection::open(address, login, timeout)?, timeout)
}

fn info_of(connection: &mut Connection, timeout: Duration) -> Result<NodeInfo, ClientError> {
    let info = connection.call(&["INFO"], timeout)?;
    let refused = |reason: String| ClientError::Refused {
        address: connection.address().clone(),
        what: "INFO",
        reason,
    };
    if let Some(error) = info.as_error() {
        if error.starts_with(b"NOAUTH") {
            return Err(ClientError::NeedsPassword {
                address: connection.address().clone(),
            });
        }
        return Err(refused(String::from_utf8_lossy(error).into_owned()));
    }
    let text = String::from_utf8_lossy(info.as_bytes().unwrap_or_default()).into_owned();
    NodeInfo::parse(&text).ok_or_else(|| refused("not a Quorate node".into()))
}

fn ask_with_neighbours(
    address: &Address,
    login: &Login,
) -> Result<(NodeInfo, Vec<Address>), ClientError> {
    let mut connection = Connection::open(address, login, NODE_TIMEOUT)?;
    let node = info_of(&mut connection, NODE_TIMEOUT)?;
    let nodes = connection
        .call(&["CLUSTER", "NODES"], NODE_TIMEOUT)
        .unwrap_or(Value::Null);
    Ok((node, addresses_of(&nodes)))
}

/// Asks the nodes of these addresses, all at once, and then those that they name.
fn survey(seeds: &[Address], login: &Login) -> Vec<Row> {
    let mut asked: BTreeSet<Address> = BTreeSet::new();
    let mut to_ask: BTreeSet<Address> = seeds.iter().cloned().collect();
    let mut rows: Vec<Row> = Vec::new();
    while !to_ask.is_empty() {
        let round: Vec<Address> = std::mem::take(&mut to_ask).into_iter().collect();
        let answers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = round
                .iter()
                .map(|address| scope.spawn(|| ask_with_neighbours(address, login)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("asking does not panic"))
                .collect()
        });
        for (address, answer) in round.into_iter().zip(answers) {
            asked.insert(address.clone());
            let (node, neighbours) = match answer {
                Ok((node, neighbours)) => (Ok(node), neighbours),
                Err(error) => (Err(Absence::of(error)), Vec::new()),
            };
            to_ask.extend(neighbours.into_iter().filter(|one| !asked.contains(one)));
            let id = node.as_ref().ok().map(|node| node.id);
            // One node may have been named by two of its addresses.
            if id.is_none() || rows.iter().all(|row| row.id != id) {
                rows.push(Row {
                    address: Some(address),
                    node,
                    id,
                });
            }
        }
        to_ask.retain(|address| !asked.contains(address));
    }
    add_silent_voters(&mut rows);
    rows.sort_by_key(|row| (row.id.is_none(), row.id, row.address.clone()));
    rows
}

/// Adds rows for voters that nobody gave an address of, and names the one that is left over.
fn add_silent_voters(rows: &mut Vec<Row>) {
    let voters: BTreeSet<u64> = rows
        .iter()
        .filter_map(|row| row.node.as_ref().ok())
        .flat_map(|node| node.voters.clone())
        .collect();
    let seen: BTreeSet<u64> = rows.iter().filter_map(|row| row.id).collect();
    let missing: Vec<u64> = voters.difference(&seen).copied().collect();
    let nameless: Vec<usize> = (0..rows.len())
        .filter(|at| rows[*at].id.is_none())
        .collect();
    if let ([id], [at]) = (missing.as_slice(), nameless.as_slice()) {
        rows[*at].id = Some(*id);
        return;
    }
    let without_address = missing.len().saturating_sub(nameless.len());
    if nameless.is_empty() {
        for id in missing.into_iter().take(without_address) {
            rows.push(Row {
                address: None,
                node: Err(Absence::Unreachable("address not known".into())),
                id: Some(id),
            });
        }
    }
}

/// Whether the cluster can work.
struct Health {
    leader: Option<u64>,
    voters: usize,
    voters_up: usize,
    commit: u64,
    /// What the first node that does not answer to one who asks like this wants, and what to do.
    unwilling: Option<(&'static str, &'static str)>,
}

impl Health {
    fn of(rows: &[Row]) -> Self {
        let nodes: Vec<&NodeInfo> = rows
            .iter()
            .filter_map(|row| row.node.as_ref().ok())
            .collect();
        // A deposed leader that does not know it yet has a lower term.
        let leader = nodes
            .iter()
            .filter(|node| node.role == "leader")
            .max_by_key(|node| node.term);
        let newest = nodes.iter().max_by_key(|node| node.term);
        let voters = leader
            .or(newest)
            .map(|node| node.voters.clone())
            .unwrap_or_default();
        Self {
            leader: leader.map(|node| node.id),
            voters: voters.len(),
            voters_up: nodes
                .iter()
                .filter(|node| voters.contains(&node.id))
                .count(),
            commit: nodes.iter().map(|node| node.commit).max().unwrap_or(0),
            unwilling: rows.iter().find_map(|row| match row.node {
                Err(Absence::Unwilling { wish, advice }) => Some((wish, advice)),
                _ => None,
            }),
        }
    }

    fn is_good(&self) -> bool {
        self.leader.is_some() && self.voters_up > self.voters / 2
    }

    fn sentence(&self) -> String {
        match self.unwilling {
            Some((wish, advice)) if self.voters == 0 => {
                format!("no node tells its state, one {wish}: {advice}")
            }
            Some((wish, advice)) => format!("{}; one {wish}: {advice}", self.counted()),
            None => self.counted(),
        }
    }

    fn counted(&self) -> String {
        match (self.leader, self.is_good()) {
            (Some(leader), true) => {
                format!(
                    "node {leader} leads; {} of {} voters answer",
                    self.voters_up, self.voters
                )
            }
            (_, _) if self.voters == 0 => "no node answers; name one with --cluster HOST:PORT (`quorate dev` listens on 127.0.0.1:7001)"
                .to_owned(),
            (_, _) if self.voters_up <= self.voters / 2 => format!(
                "no quorum: {} of {} voters answer, {} are needed",
                self.voters_up,
                self.voters,
                self.voters / 2 + 1
            ),
            (_, _) => "no leader at the moment".to_owned(),
        }
    }
}

fn as_json(rows: &[Row], health: &Health, changes: &[String]) -> String {
    let nodes: Vec<_> = rows
        .iter()
        .map(|row| {
            let address = row.address.as_ref().map(ToString::to_string);
            match &row.node {
                Ok(node) => json!({
                    "node": node.id,
                    "address": address,
                    "reachable": true,
                    "role": node.role,
                    "term": node.term,
                    "commit": node.commit,
                    "applied": node.applied,
                    "lag": health.commit.saturating_sub(node.applied),
                    "uptime_seconds": node.uptime_seconds,
                    "version": node.version,
                    "feature_level": node.level,
                    "feature_level_known": node.level_known,
                }),
                Err(absence) => json!({
                    "node": row.id,
                    "address": address,
                    "reachable": matches!(absence, Absence::Unwilling { .. }),
                    "reason": match absence {
                        Absence::Unreachable(reason) => reason,
                        Absence::Unwilling { wish, .. } => *wish,
                    },
                }),
            }
        })
        .collect();
    let status = json!({
        "healthy": health.is_good(),
        "leader": health.leader,
        "voters": health.voters,
        "voters_up": health.voters_up,
        "feature_level": level(rows),
        "changes": changes,
        "alarms": alarms(rows),
        "nodes": nodes,
    });
    format!("{status:#}\n")
}

fn as_table(rows: &[Row], health: &Health, changes: &[String]) -> String {
    let header = [
        "NODE", "ADDRESS", "ROLE", "TERM", "COMMIT", "APPLIED", "LAG", "UPTIME", "LEVEL",
    ];
    let mut lines = vec![header.map(str::to_owned).to_vec()];
    for row in rows {
        let id = row.id.map_or("?".to_owned(), |id| id.to_string());
        let address = row
            .address
            .as_ref()
            .map_or("?".to_owned(), ToString::to_string);
        lines.push(match &row.node {
            Ok(node) => vec![
                id,
                address,
                node.role.clone(),
                node.term.to_string(),
                node.commit.to_string(),
                node.applied.to_string(),
                health.commit.saturating_sub(node.applied).to_string(),
                uptime_text(node.uptime_seconds),
                level_text(node),
            ],
            Err(absence) => vec![id, address, absence.to_string()],
        });
    }
    let mut text = aligned(&lines);
    if std::io::stdout().is_terminal() {
        text.push('\n');
    }
    text.push_str(&format!("{}\n", health.sentence()));
    if let Some(line) = level_line(rows) {
        text.push_str(&format!("{line}\n"));
    }
    for change in changes {
        text.push_str(&format!("{change}\n"));
    }
    for alarm in alarms(rows) {
        text.push_str(&format!("{alarm}\n"));
    }
    text
}

/// Columns two spaces apart, without spaces at the ends of lines. The last cell of a line that has
/// fewer than others may be as long as it likes.
pub(crate) fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let is_full = |line: &&Vec<String>| line.len() == columns;
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            lines
                .iter()
                .filter(is_full)
                .map(|line| line[column].len())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for line in lines {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// The feature level that a node runs at, and the one it could. A node of before there were levels
/// tells none.
fn level_text(node: &NodeInfo) -> String {
    match node.level_known > node.level {
        _ if node.level_known == 0 => "-".to_owned(),
        true => format!("{} (knows {})", node.level, node.level_known),
        false => node.level.to_string(),
    }
}

fn uptime_text(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u64, role: &str, term: u64, applied: u64) -> Row {
        let info = format!(
            "# Server\r\nuptime_in_seconds:3700\r\n# Raft\r\nraft_node_id:{id}\r\nraft_role:{role}\r\n\
             raft_leader_id:1\r\nraft_term:{term}\r\nraft_commit_index:10\r\nraft_applied_index:{applied}\r\n\
             raft_voters:1,2,3\r\n"
        );
        let node = NodeInfo::parse(&info).expect("fields of a node");
        Row {
            address: Some(Address::new("127.0.0.1", 7000)),
            node: Ok(node),
            id: Some(id),
        }
    }

    fn down() -> Row {
        Row {
            address: Some(Address::new("127.0.0.1", 7003)),
            node: Err(Absence::Unreachable("refused".into())),
            id: None,
        }
    }

    #[test]
    fn two_of_three_with_a_leader_are_healthy() {
        let mut rows = vec![node(1, "leader", 2, 10), node(2, "follower", 2, 7), down()];
        add_silent_voters(&mut rows);
        assert_eq!(rows[2].id, Some(3));
        let health = Health::of(&rows);
        assert!(health.is_good());
        let table = as_table(&rows, &health, &[]);
        assert!(
            table.contains("2     127.0.0.1:7000  follower  2     10      7        3    1h01m"),
            "{table}"
        );
        assert!(table.contains("unreachable (refused)"), "{table}");
        assert!(as_json(&rows, &health, &[]).contains("\"lag\": 3"));
    }

    #[test]
    fn nodes_whose_data_differs_are_an_alarm() {
        let mut rows = vec![node(1, "leader", 2, 10), node(2, "follower", 2, 10)];
        if let Ok(node) = &mut rows[0].node {
            node.differing = pairs("2@4096,3@8192");
        }
        let table = as_table(&rows, &Health::of(&rows), &[]);
        let alarm = "ALARM: node 1 has found that the data of node 3 differs from its own, first after entry 8192\n";
        assert!(table.ends_with(alarm), "{table}");
        assert!(as_json(&rows, &Health::of(&rows), &[]).contains("ALARM: node 1"));
        assert_eq!(pairs(""), BTreeMap::new());
    }

    #[test]
    fn what_holds_the_feature_level_back_is_told() {
        let of = |known: [u64; 2], max, has_third: bool| {
            let mut rows = vec![node(1, "leader", 2, 10), node(2, "follower", 2, 10)];
            for (row, known) in rows.iter_mut().zip(known) {
                if let Ok(node) = &mut row.node {
                    (node.level, node.level_known, node.level_max) = (1, known, max);
                }
            }
            if !has_third {
                rows.push(down());
                add_silent_voters(&mut rows);
            }
            level_line(&rows)
        };
        assert_eq!(of([1, 1], 0, false), None);
        let line = of([2, 1], 0, false).expect("a line");
        assert_eq!(
            line,
            "feature level 1: it rises to 2 when a newer Quorate runs on node 2, too"
        );
        let line = of([2, 2], 0, false).expect("a line");
        assert!(
            line.ends_with("when node 3 answers or is removed"),
            "{line}"
        );
        let line = of([2, 2], 1, true).expect("a line");
        assert!(line.contains("feature-level-max holds it back on node 1"));
        let line = of([2, 2], 0, true).expect("a line");
        assert!(line.ends_with("it rises to 2 now"), "{line}");
        let rows = [node(1, "leader", 2, 10)];
        let text = as_json(&rows, &Health::of(&rows), &[]);
        assert!(text.contains("\"feature_level\": 0"), "{text}");
    }

    #[test]
    fn one_of_three_is_not() {
        let rows = vec![node(1, "leader", 2, 10), down()];
        let health = Health::of(&rows);
        assert!(!health.is_good());
        assert_eq!(
            health.sentence(),
            "no quorum: 1 of 3 voters answer, 2 are needed"
        );
    }

    #[test]
    fn the_leader_of_the_newest_term_counts() {
        let rows = vec![node(1, "leader", 2, 10), node(2, "leader", 3, 10)];
        assert_eq!(Health::of(&rows).leader, Some(2));
    }

    #[test]
    fn a_voter_without_address_is_listed() {
        let mut rows = vec![node(1, "leader", 2, 10), node(2, "follower", 2, 10)];
        add_silent_voters(&mut rows);
        assert_eq!(rows.last().and_then(|row| row.id), Some(3));
    }

    #[test]
    fn another_server_is_no_node() {
        assert_eq!(
            NodeInfo::parse("redis_version:7.0.15\r\nuptime_in_seconds:1\r\n"),
            None
        );
    }

    #[test]
    fn uptimes_are_short() {
        assert_eq!(
            [5, 65, 3700, 90_000].map(uptime_text),
            ["5s", "1m05s", "1h01m", "1d01h"]
        );
    }
}
