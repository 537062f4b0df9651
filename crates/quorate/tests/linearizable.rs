//! Histories of real processes, judged by the checkers of the simulator: what clients were told while nodes are
//! killed, frozen and lose power must have an order that explains it.

mod harness;

use std::{
    fs::{self, File},
    io::{BufReader, BufWriter, Write},
    path::PathBuf,
    thread,
    time::Duration,
};

use harness::{
    Cluster, Plan, alone,
    quota::Quota,
    recorder::{Command, RecordedClient, Recorder},
};
use sim::{
    check::{Checked, check_file},
    history::{History, Outcome},
    judges::{
        linearizable::{Limits, Verdict, check},
        list_append,
    },
};

/// Clients, over all nodes.
const CLIENTS: usize = 8;

/// How often the leader is killed.
const KILLS: usize = 4;

/// Operations that are granted for each thing that is done to the cluster.
const STEP: u64 = 250;

/// After so many operations, lists get new names: to read a list costs its length.
const LIST_AGE: u64 = 500;

/// How long a client waits for a reply. An election is shorter, a freeze is not.
const PATIENCE: Duration = Duration::from_secs(2);

/// Registers and counters. Transactions tie only two keys together: a search over more of them is given up when many
/// operations are of unknown outcome.
const PAIRS: u64 = 4;

const LISTS: u64 = 2;

/// The choices of one client.
struct Dice(u64);

impl Dice {
    /// A number below a bound (Knuth's MMIX generator).
    fn below(&mut self, bound: u64) -> u64 {
        let Dice(state) = self;
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) % bound
    }
}

fn list(which: u64, number: u64) -> String {
    format!("a{}.{}", which % LISTS, number / LIST_AGE)
}

/// What a client does as the operation of this number: every value written is written once.
fn operation(dice: &mut Dice, number: u64) -> Vec<Command> {
    let pair = dice.below(PAIRS);
    let which = dice.below(LISTS);
    let commands = match dice.below(16) {
        0..=2 => vec![format!("SET r{pair} w{number}")],
        3..=5 => vec![format!("GET r{pair}")],
        6..=7 => vec![format!("INCR n{pair}")],
        8 => vec![format!("GET n{pair}")],
        9..=10 => vec![format!("APPEND {} w{number},", list(which, number))],
        11 => vec![format!("GET {}", list(which, number))],
        12..=13 => vec![
            format!("GET r{pair}"),
            format!("SET r{pair} w{number}"),
            format!("INCR n{pair}"),
        ],
        _ => vec![
            format!("APPEND {} w{number},", list(which, number)),
            format!("GET {}", list(which + 1, number)),
            format!("APPEND {} x{number},", list(which + 1, number)),
        ],
    };
    commands.iter().map(|it| words(it)).collect()
}

fn words(command: &str) -> Command {
    command.split(' ').map(str::to_owned).collect()
}

/// Lets clients work while something is done to the cluster, then reads every key through every node.
fn record(cluster: &mut Cluster, harm: impl FnOnce(&mut Cluster, &Quota)) -> History {
    let ports: Vec<u16> = cluster.nodes.iter().map(|node| node.port).collect();
    let recorder = Recorder::new();
    let quota = Quota::default();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (recorder, ports, quota) = (&recorder, &ports, &quota);
            scope.spawn(move || {
                let mut dice = Dice(client as u64);
                let mut client = RecordedClient::new(recorder, ports, client, PATIENCE);
                while let Some(number) = quota.begin() {
                    client.run(&operation(&mut dice, number));
                    quota.end();
                }
            });
        }
        let _over = quota.over_when_dropped();
        harm(cluster, &quota);
    });
    cluster.await_ready(&cluster.ids());
    let history = recorder.history();
    let mut keys: Vec<&Vec<u8>> = history
        .operations
        .iter()
        .flat_map(|operation| operation.commands.iter().map(|command| &command[1]))
        .collect();
    keys.sort();
    keys.dedup();
    for place in 0..ports.len() {
        let mut client = RecordedClient::new(&recorder, &ports, place, harness::PATIENCE);
        for key in &keys {
            client.run(&[words(&format!("GET {}", String::from_utf8_lossy(key)))]);
        }
    }
    recorder.history()
}

/// Writes the history as a file, which stays.
fn save(history: &History, name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut out = BufWriter::new(File::create(&path).expect("a file"));
    history.write_json_lines(&mut out).expect("it is written");
    out.flush().expect("it is written");
    path
}

/// Judges the history as it is, and as the program does that is told to check its file.
fn judge(history: &History, name: &str) {
    let path = save(history, name);
    let file = BufReader::new(File::open(&path).expect("a file"));
    let read = History::read_json_lines(file).expect("a history");
    assert!(read == *history, "the file does not say the same");
    let mut said = Vec::new();
    let checked = check_file(&path, Limits::default(), &mut said).expect("a Vec takes all");
    let said = String::from_utf8_lossy(&said);
    assert_eq!(
        checked,
        Checked::Passed,
        "{said}\ncargo run -p sim --release -- check {}",
        path.display()
    );
    println!("{said}");
    fs::remove_file(path).expect("it was there");
}

fn count(history: &History, is_meant: impl Fn(&Outcome) -> bool) -> usize {
    let outcomes = history.operations.iter().map(|it| &it.outcome);
    outcomes.filter(|outcome| is_meant(outcome)).count()
}

#[test]
fn what_clients_see_of_killed_and_frozen_nodes_is_linearizable() {
    let _alone = alone();
    let mut cluster = Cluster::of_three();
    let history = record(&mut cluster, |cluster, quota| {
        for _ in 0..KILLS {
            let leader = cluster.leader();
            quota.during(STEP, || cluster.node_mut(leader).kill());
            quota.during(STEP, || cluster.node_mut(leader).start());
        }
        for is_leader in [true, false] {
            let leader = cluster.leader();
            let frozen = match is_leader {
                true => leader,
                false => cluster.others(leader)[0],
            };
            quota.during(STEP, || cluster.node(frozen).freeze());
            quota.during(STEP, || cluster.node(frozen).thaw());
        }
    });
    judge(&history, "killed-and-frozen.jsonl");
    let done = count(&history, |it| matches!(it, Outcome::Done(_)));
    let unknown = count(&history, |it| matches!(it, Outcome::Unknown(_)));
    assert!(10 * done > 9 * history.operations.len(), "{done} answers");
    assert!(unknown > 0, "nobody waited for a node that was killed");
}

/// Cuts the power of all nodes at once, under load.
///
/// The nodes have run before, and who they are is put back as it was then, as in `power.rs`.
fn record_power_cut(disk: &str) -> History {
    let mut cluster = Cluster::start(&Plan::of(3).set("test-vfs", "lossy"));
    let mut files = Vec::new();
    for node in &mut cluster.nodes {
        node.kill();
        for name in ["IDENTITY", "PEERS"] {
            let path = node.data_dir().join(name);
            files.push((path.clone(), fs::read(path).expect("a node has this file")));
        }
        node.set("test-vfs", disk);
        node.start();
    }
    cluster.await_ready(&cluster.ids());
    record(&mut cluster, |cluster, quota| {
        quota.during(2 * STEP, || {
            for node in &mut cluster.nodes {
                node.kill_begin();
            }
            for node in &mut cluster.nodes {
                node.kill();
            }
            if disk == "lossy-nosync" {
                for (path, content) in &files {
                    fs::write(path, content).expect("a file can be written");
                }
            }
            for node in &mut cluster.nodes {
                node.set("test-vfs", "lossy");
                node.start();
            }
        });
    })
}

#[test]
fn what_clients_see_of_a_loss_of_power_is_linearizable() {
    let _alone = alone();
    judge(&record_power_cut("lossy"), "power-cut.jsonl");
}

#[test]
fn without_the_sync_the_same_history_is_not_linearizable() {
    let _alone = alone();
    let history = record_power_cut("lossy-nosync");
    match check(&history, Limits::default()) {
        Verdict::Violation { violation, .. } => println!("{violation}"),
        other => panic!("acknowledged writes are lost, and it says {other:?}"),
    }
    let lists = list_append::check(&history).expect_err("appended tokens are lost");
    println!("{lists}");
}
