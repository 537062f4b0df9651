//! Snapshots of real processes: killed while they write, receive and install them, cut off in the middle,
//! on disks that are too small for their log.
//!
//! The nodes run on a disk that forgets at a kill what was not synced, so that `kill -9` is a power cut.
//! `QUORATE_SNAPSHOT_KILLS` is the number of rounds, `QUORATE_SNAPSHOT_SEED` draws the moments
//! (`tests/real/snapshot-kills` sets both).

mod harness;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use harness::{
    Cluster, Plan, SmallDisk, alone, encode,
    load::{Load, Seen, Task, check_appended},
    poll, text,
};
use resp::Value;

/// Rounds, if nobody says how many.
const ROUNDS: u64 = 4;

/// Keys that are written again and again, and the size of their values: the state.
const KEYS: usize = 1500;
const VALUE_BYTES: usize = 1000;

/// Writes sent before their replies are read.
const PIPELINE: usize = 250;

/// Some moments never come, because the node is faster or is not asked for it. Then this one is as good.
const MOMENT_PATIENCE: Duration = Duration::from_secs(4);

/// Small logs, and slow snapshots: they take seconds, which is long enough to be hit.
fn small(plan: Plan) -> Plan {
    plan.set("wal-segment-size", "256KiB")
        .set("max-entry-size", "64KiB")
        .set("max-batch-size", "32KiB")
        .set("snapshot-log-size-min", "512KiB")
        .set("snapshot-log-percent", "50")
        .set("log-tail-size", "64KiB")
        .set("snapshot-bytes-per-second", "1MiB")
        .set("snapshot-send-bytes-per-second", "1MiB")
}

/// When a node is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// It writes a snapshot, and clients have got so many replies since. (The size of the file says
    /// nothing: what is not synced is not there yet.)
    Writing(u64),
    /// It receives one, likewise.
    Receiving(u64),
    /// The file has its name, and the state is not yet installed, or has just been.
    Received,
    /// So many replies later.
    Replies(u64),
}

#[test]
fn kills_in_the_midst_of_snapshots_lose_nothing() {
    let _alone = alone();
    let (rounds, seed) = (
        setting("QUORATE_SNAPSHOT_KILLS").unwrap_or(ROUNDS),
        setting("QUORATE_SNAPSHOT_SEED").unwrap_or_else(|| u64::from(std::process::id())),
    );
    println!("{rounds} rounds, QUORATE_SNAPSHOT_SEED={seed}");
    let mut random = Random(seed);
    let mut cluster = Cluster::start(&small(Plan::of(3)).set("test-vfs", "lossy"));
    fill(&cluster, 1, 0);
    let mut increments = 0;
    let mut appended: Vec<Seen> = Vec::new();
    for round in 1..=rounds {
        let victim = 1 + random.below(3) as usize;
        let mut load = Load::new();
        for survivor in cluster.others(victim) {
            let port = cluster.node(survivor).port;
            let key = "counter".to_owned();
            load.spawn(port, Task::Increment { key });
            let (key, client) = ("journal".into(), format!("{round:03}-{survivor}"));
            load.spawn(port, Task::Append { key, client });
        }
        match random.below(3) {
            0 => kill_while_it_writes(&mut cluster, &load, victim, round, &mut random),
            _ => kill_while_it_receives(&mut cluster, &load, victim, round, &mut random),
        }
        cluster.await_ready(&[victim]);
        for (index, seen) in load.stop().into_iter().enumerate() {
            assert!(seen.errors.is_empty(), "round {round}: {:?}", seen.errors);
            match index % 2 {
                0 => increments += seen.acknowledged,
                _ => appended.push(seen),
            }
        }
        check(&cluster, increments, &appended);
    }
}

/// A node is killed while it writes a snapshot, with all others at work, and started again.
fn kill_while_it_writes(
    cluster: &mut Cluster,
    load: &Load,
    victim: usize,
    round: u64,
    random: &mut Random,
) {
    let moment = match random.below(4) {
        0 => Moment::Replies(random.below(500)),
        _ => Moment::Writing(random.below(1_500)),
    };
    let helper = cluster.others(victim)[0];
    let began = Instant::now();
    while !has_come(cluster, load, victim, moment, 0) && began.elapsed() < MOMENT_PATIENCE {
        fill(cluster, helper, round);
    }
    println!("round {round}: node {victim} killed at {moment:?}");
    cluster.node_mut(victim).kill();
    cluster.node_mut(victim).start();
}

/// A node is away until the others have cut their logs beyond what it has, comes back, and is killed
/// while it catches up by a snapshot: more than once, perhaps.
fn kill_while_it_receives(
    cluster: &mut Cluster,
    load: &Load,
    victim: usize,
    round: u64,
    random: &mut Random,
) {
    let has = cluster.node(victim).info().map_or(0, |info| info.commit);
    cluster.node_mut(victim).kill();
    let others = cluster.others(victim);
    poll("the others have cut their logs", || {
        fill(cluster, others[0], round);
        let is_cut = |id: &usize| first_index(cluster, *id).is_some_and(|first| first > has + 1);
        others.iter().all(is_cut).then_some(())
    });
    for _ in 0..=random.below(3) {
        let snapshots = finished(cluster.node(victim).data_dir());
        cluster.node_mut(victim).start();
        let moment = match random.below(6) {
            0 => Moment::Received,
            1 => Moment::Replies(random.below(2_000)),
            _ => Moment::Receiving(random.below(1_500)),
        };
        let began = Instant::now();
        poll("a moment to kill", || {
            let is_over = began.elapsed() >= MOMENT_PATIENCE;
            (is_over || has_come(cluster, load, victim, moment, snapshots)).then_some(())
        });
        println!("round {round}: node {victim} killed at {moment:?}");
        cluster.node_mut(victim).kill();
    }
    cluster.node_mut(victim).start();
}

fn has_come(
    cluster: &Cluster,
    load: &Load,
    victim: usize,
    moment: Moment,
    snapshots_before: usize,
) -> bool {
    let dir = cluster.node(victim).data_dir();
    let (has_begun, replies) = match moment {
        Moment::Writing(replies) => (unfinished(dir, "writing").is_some(), replies),
        Moment::Receiving(replies) => (unfinished(dir, "receiving").is_some(), replies),
        Moment::Received => (finished(dir) > snapshots_before, 0),
        Moment::Replies(replies) => (true, replies),
    };
    if has_begun {
        load.await_progress(replies);
    }
    has_begun
}

/// What was acknowledged is there, once, on every node, and all nodes hold the same.
fn check(cluster: &Cluster, increments: u64, appended: &[Seen]) {
    let counter = text(&cluster.ask_all(&["GET", "counter"]));
    assert_eq!(counter, increments.to_string());
    let journal = text(&cluster.ask_all(&["GET", "journal"]));
    check_appended(&journal, &appended.iter().collect::<Vec<_>>());
    let keys: Vec<String> = (0..KEYS).map(|number| format!("fill:{number}")).collect();
    let mut request = vec!["MGET"];
    request.extend(keys.iter().map(String::as_str));
    cluster.ask_all(&request);
    cluster.ask_all(&["DBSIZE"]);
}

#[test]
fn a_transfer_that_is_cut_off_goes_on_where_it_was() {
    let _alone = alone();
    let mut cluster = Cluster::start(&small(Plan::of(3)).proxied());
    fill(&cluster, 1, 0);
    let leader = cluster.leader();
    let away = cluster.others(leader)[0];
    let has = cluster.node(away).info().map_or(0, |info| info.commit);
    cluster.node_mut(away).kill();
    poll("the others have cut their logs", || {
        fill(&cluster, leader, 1);
        first_index(&cluster, leader).filter(|first| *first > has + 1)
    });
    cluster.node_mut(away).start();
    let dir = cluster.node(away).data_dir().to_owned();
    let part = poll("a part has arrived", || {
        unfinished(&dir, "receiving").filter(|size| *size >= 600_000)
    });
    // Every connection to and from the node is reset.
    cluster.network().reset(away);
    cluster.await_ready(&[away]);
    cluster.ask_all(&["GET", "fill:0"]);
    let log = fs::read_to_string(cluster.directory().join(format!("node-{away}.log")));
    let log = log.expect("the log of a node");
    let offsets: Vec<u64> = log
        .lines()
        .filter(|line| line.contains("a snapshot is being received"))
        .filter_map(|line| line.split("offset=").nth(1)?.trim().parse().ok())
        .collect();
    println!("{part} bytes had arrived; begun at {offsets:?}");
    assert!(offsets.len() >= 2, "{offsets:?}");
    assert!(offsets[1..].iter().any(|offset| *offset > 0), "{offsets:?}");
}

#[test]
fn a_load_of_many_times_the_disk_is_taken_and_a_full_disk_is_left_again() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let Some(disk) = SmallDisk::mount(&directory.path().join("disk"), "32m") else {
        eprintln!("skipped: a small file system can be mounted by root only");
        return;
    };
    let plan = small(Plan::of(1)).set("snapshot-bytes-per-second", "64MiB");
    let mut cluster = Cluster::start(&plan);
    let node = cluster.node_mut(1);
    node.kill();
    node.set_data_dir(&disk.path.join("data"));
    node.start();
    poll("the node serves reads", || node.is_ready().then_some(()));
    // 150 MB through a disk of 32 MiB.
    for round in 0..100 {
        fill(&cluster, 1, round);
    }
    // Somebody else takes what is left, and what the node frees by removing old segments and snapshots:
    // no snapshot can be written, writes are refused, reads go on.
    let node = cluster.node(1);
    let mut connection = node.connect();
    poll("writes are refused", || {
        disk.fill_on();
        let reply = connection.ask(&["SET", "fill:0", &value(0, 99)]);
        text(&reply.expect("an answer"))
            .starts_with("DISKFULL ")
            .then_some(())
    });
    assert_eq!(connection.call(&["EXISTS", "fill:1"]), Value::Integer(1));
    disk.free();
    poll("writes are taken again", || {
        let reply = connection.ask(&["SET", "after", "recovery"]);
        reply.expect("an answer").is_ok().then_some(())
    });
    for round in 0..10 {
        fill(&cluster, 1, round);
    }
    let node = cluster.node_mut(1);
    node.kill();
    node.start();
    poll("the node serves reads", || node.is_ready().then_some(()));
    assert_eq!(text(&node.ask(&["GET", "after"])), "recovery");
    assert_eq!(text(&node.ask(&["GET", "fill:7"])), value(7, 9));
    node.kill();
}

/// Writes all keys anew, through one node.
fn fill(cluster: &Cluster, node: usize, round: u64) {
    let mut connection = cluster.node(node).connect();
    for first in (0..KEYS).step_by(PIPELINE) {
        let mut bytes = Vec::new();
        for number in first..first + PIPELINE {
            bytes.extend(encode(&[
                "SET",
                &format!("fill:{number}"),
                &value(number, round),
            ]));
        }
        connection.send(&bytes).expect("the node reads");
        for _ in 0..PIPELINE {
            let reply = connection.receive().expect("a reply");
            assert!(reply.is_ok(), "{}", text(&reply));
        }
    }
}

fn value(number: usize, round: u64) -> String {
    let mut value = format!("{round}:{number}:");
    value.extend(std::iter::repeat_n('x', VALUE_BYTES - value.len()));
    value
}

/// The first entry in a node's log.
fn first_index(cluster: &Cluster, node: usize) -> Option<u64> {
    let info = cluster.node(node).info()?;
    info.fields.get("log_first_index")?.parse().ok()
}

/// The size of the unfinished file of this kind.
fn unfinished(data_dir: &Path, suffix: &str) -> Option<u64> {
    let entries = fs::read_dir(data_dir.join("snapshots")).ok()?;
    let sizes = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        (path.extension()? == suffix).then_some(fs::metadata(path).ok()?.len())
    });
    sizes.max()
}

/// How many finished snapshots there are.
fn finished(data_dir: &Path) -> usize {
    let entries = fs::read_dir(data_dir.join("snapshots"))
        .into_iter()
        .flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.ends_with(".snapshot")).count()
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
