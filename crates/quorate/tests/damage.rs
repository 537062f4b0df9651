//! What failing disks do to nodes of a cluster: one flipped bit in each kind of file, and a disk that no
//! longer answers.

mod harness;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use harness::{Cluster, Exit, Plan, alone, poll, text};
use resp::Value;

/// Values that are written, and their size: several segments of the log.
const VALUES: usize = 150;
const VALUE_BYTES: usize = 3000;

/// How long clients may see a pause when a leader's disk does not answer.
const HANDOVER_MAX: Duration = Duration::from_secs(20);

fn small_files() -> Plan {
    Plan::of(3)
        .set("wal-segment-size", "128KiB")
        .set("max-entry-size", "16KiB")
        .set("max-batch-size", "16KiB")
        .set("log-tail-size", "1MiB")
}

fn write(cluster: &Cluster, through: usize, round: usize) {
    let mut connection = cluster.node(through).connect();
    for number in 0..VALUES {
        let value = format!("{round}:{number}:{}", "x".repeat(VALUE_BYTES));
        connection.call(&["SET", &format!("key:{number}"), &value]);
    }
}

/// The files below a directory that are not empty, by name.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        match entry.file_type().expect("its type").is_dir() {
            true => files.extend(self::files(&entry.path())),
            false if entry.metadata().expect("its size").len() > 0 => files.push(entry.path()),
            false => {}
        }
    }
    files.sort();
    files
}

fn flip(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).expect("a file of the node");
    bytes[offset] ^= 0x10;
    fs::write(path, bytes).expect("written back");
}

/// Starts a node that must not run, and returns what it says.
fn refused(cluster: &mut Cluster, node: usize) -> String {
    let before = cluster.node(node).log().len();
    cluster.node_mut(node).start();
    let Exit { code, stderr } = poll("the node refuses to start", || {
        cluster.node_mut(node).exit()
    });
    let said = &stderr[before..];
    assert_eq!(code, Some(2), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("quorate: "), "{said}");
    last.to_owned()
}

#[test]
fn one_flipped_bit_in_any_file_is_named_and_never_served() {
    let _alone = alone();
    let mut cluster = Cluster::start(&small_files());
    let leader = cluster.leader();
    let victim = cluster.others(leader)[0];
    write(&cluster, leader, 1);
    cluster.node(victim).ask(&["SAVE"]);
    write(&cluster, leader, 2);
    poll("the node has applied all", || {
        let last =
            cluster
                .node(victim)
                .ask(&["GETRANGE", &format!("key:{}", VALUES - 1), "0", "1"]);
        (text(&last) == "2:").then_some(())
    });
    cluster.node_mut(victim).kill();
    let directory = cluster.node(victim).data_dir().to_owned();

    let logs = files(&directory.join("wal"));
    assert!(logs.len() >= 5, "{logs:?}");
    let snapshots = files(&directory.join("snapshots"));
    let snapshot = snapshots.last().expect("a snapshot was taken");
    // In the middle of the log, never at its end: a torn write looks like that.
    let in_the_log = &logs[logs.len() / 2];
    let segment = in_the_log.file_stem().and_then(|name| name.to_str());
    let segment = segment.and_then(|name| name.parse::<u64>().ok());
    let segment = format!("segment {}", segment.expect("a number"));
    for (path, offset, says) in [
        (
            in_the_log,
            60_000,
            [segment.as_str(), "is damaged at offset "],
        ),
        (in_the_log, 20, [segment.as_str(), "is damaged at offset 0"]),
        (&directory.join("IDENTITY"), 20, ["IDENTITY", "is damaged"]),
        (&directory.join("PEERS"), 20, ["PEERS", "is damaged"]),
    ] {
        flip(path, offset);
        let said = refused(&mut cluster, victim);
        for part in says {
            assert!(said.contains(part), "no {part:?} in {said:?}");
        }
        let way_back = match path.ends_with("PEERS") {
            true => "restore it, or remove it",
            false => "`quorate serve --join HOST:PORT --replace ID` with an empty --data-dir",
        };
        assert!(said.contains(way_back), "no way back in {said:?}");
        // The others do not need it.
        let other = cluster.node(leader).ask(&["INCR", "served"]);
        assert!(other.as_integer().is_some(), "{other:?}");
        flip(path, offset);
    }

    // The log still has what a damaged snapshot held: it is set aside, and the state made from the log.
    flip(snapshot, 100_000);
    cluster.node_mut(victim).start();
    poll("the node serves reads", || {
        let node = cluster.node_mut(victim);
        assert!(node.exit().is_none(), "the log holds everything");
        node.is_ready().then_some(())
    });
    let served = text(&cluster.ask_all(&["GET", "served"]));
    assert_eq!(served, "4");
    for number in 0..VALUES {
        let reply = cluster.ask_all(&["GETRANGE", &format!("key:{number}"), "0", "1"]);
        assert_eq!(text(&reply), "2:", "key:{number}");
    }
    assert!(
        cluster
            .node(victim)
            .log()
            .contains("a block is damaged, at offset"),
        "the damaged snapshot was not named"
    );

    // Damaged for good, and replaced by the command that the line names.
    cluster.node_mut(victim).kill();
    let logs = files(&directory.join("wal"));
    flip(&logs[logs.len() / 2], 20);
    refused(&mut cluster, victim);
    let replaced = victim.to_string();
    let new = cluster.join(leader, &[("replace", &replaced)]);
    poll("it votes in the place of the damaged one", || {
        let info = cluster.node(new).info()?;
        let voters = info.fields.get("raft_voters")?;
        let has = |wanted: &str| voters.split(',').any(|id| id == wanted);
        (has(&new.to_string()) && !has(&replaced)).then_some(())
    });
    for number in 0..VALUES {
        let reply = cluster
            .node(new)
            .ask(&["GETRANGE", &format!("key:{number}"), "0", "1"]);
        assert_eq!(text(&reply), "2:", "key:{number}");
    }
}

/// A file system in a file, which can be frozen: then nothing that is written to it returns.
struct FrozenDisk {
    path: PathBuf,
    is_mounted: bool,
}

impl FrozenDisk {
    /// `None` where one may not be made.
    fn mount(directory: &Path) -> Option<FrozenDisk> {
        let image = directory.join("disk.img");
        let path = directory.join("disk");
        fs::create_dir_all(&path).expect("a directory");
        let file = fs::File::create(&image).expect("a file");
        file.set_len(64 << 20).expect("a sparse file");
        let has_run = |command: &mut Command| {
            let output = command.output();
            output.is_ok_and(|output| output.status.success())
        };
        let is_mounted = has_run(Command::new("mkfs.ext4").arg("-q").arg(&image))
            && has_run(Command::new("fsfreeze").arg("--help"))
            && has_run(
                Command::new("mount")
                    .args(["-o", "loop"])
                    .arg(&image)
                    .arg(&path),
            );
        is_mounted.then_some(FrozenDisk { path, is_mounted })
    }

    fn freeze(&self) {
        let frozen = Command::new("fsfreeze").arg("-f").arg(&self.path).output();
        assert!(frozen.is_ok_and(|output| output.status.success()));
    }

    fn thaw(&self) {
        // It may not be frozen.
        let _ = Command::new("fsfreeze").arg("-u").arg(&self.path).output();
    }
}

impl Drop for FrozenDisk {
    fn drop(&mut self) {
        self.thaw();
        if self.is_mounted {
            // Lazily: a node that a failed test has left may still run.
            let _ = Command::new("umount").arg("-l").arg(&self.path).output();
        }
    }
}

#[test]
fn a_leader_whose_disk_does_not_answer_hands_over() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a temporary directory");
    // Dropped after the disk, which is then thawed: a process whose disk is frozen cannot even be killed.
    let mut cluster = Cluster::start(&small_files());
    let Some(disk) = FrozenDisk::mount(directory.path()) else {
        eprintln!("skipped: a file system can be mounted and frozen by root only");
        return;
    };
    // Its data moves to the disk that will be frozen.
    let moved = cluster.leader();
    let node = cluster.node_mut(moved);
    node.kill();
    let to = disk.path.join("data");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(node.data_dir())
        .arg(&to)
        .status();
    assert!(copied.expect("cp runs").success());
    node.set_data_dir(&to);
    node.start();
    let all = cluster.ids();
    cluster.await_ready(&all);
    // Refused while the node catches up.
    poll("it leads again", || {
        let leader = cluster.leader();
        if leader != moved {
            let mut client = cluster.node(leader).connect();
            let _ = client.ask(&["QUORATE", "TRANSFER", &moved.to_string()]);
        }
        (cluster.leader() == moved).then_some(())
    });
    let other = cluster.others(moved)[0];
    let mut client = cluster.node(other).connect();
    client.call(&["SET", "before", "1"]);

    disk.freeze();
    let frozen = Instant::now();
    let reply = client.ask(&["INCR", "during"]);
    let others = cluster.others(moved);
    let leader = poll("another leads", || {
        let infos = others.iter().filter_map(|id| cluster.node(*id).info());
        infos.filter_map(|info| info.leader).find(|id| *id != moved)
    });
    let answered = reply.is_ok_and(|reply| reply == Value::Integer(1));
    let taken = frozen.elapsed();
    disk.thaw();
    assert_ne!(leader, moved);
    assert!(taken < HANDOVER_MAX, "{taken:?}");
    assert!(answered, "the client of a node that lives got an error");
    poll("the node with the slow disk is back", || {
        let info = cluster.node(moved).info()?;
        (info.role == "follower").then_some(())
    });
    assert_eq!(text(&cluster.ask_all(&["GET", "during"])), "1");
    for node in &mut cluster.nodes {
        node.kill();
    }
}
