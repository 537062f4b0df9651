//! A Redis and a Quorate node, and connections to both at once.

use std::{
    collections::BTreeSet,
    io::Write,
    net::Shutdown,
    process::{Child, Command as Process, Stdio},
};

use resp::Value;
use tempfile::TempDir;

use crate::compare::{Reply, show, show_command};
use crate::generator::{Command, Random};
use crate::harness::{Cluster, Connection, PATIENCE, Plan, encode, free_ports, poll};

/// The two servers, new and empty.
pub struct Servers {
    redis: Child,
    redis_port: u16,
    quorate: Cluster,
    _directory: TempDir,
}

impl Servers {
    /// `None`, and a word why, where there is no Redis 7.0.
    pub fn start() -> Option<Servers> {
        let version = Process::new("redis-server").arg("--version").output();
        let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        match version {
            Ok(version) if version.contains("v=7.0.") => {}
            Ok(version) => {
                eprintln!("skipped: needs redis-server 7.0, not {version}");
                return None;
            }
            Err(_) => {
                eprintln!("skipped: redis-server is not installed");
                return None;
            }
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        let redis_port = free_ports(1)[0];
        let redis = Process::new("redis-server")
            .args(["--port", &redis_port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .arg("--dir")
            .arg(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server starts");
        let quorate = Cluster::start(&Plan::of(1));
        let servers = Servers {
            redis,
            redis_port,
            quorate,
            _directory: directory,
        };
        poll("Redis answers", || {
            let mut connection = Connection::open(servers.redis_port).ok()?;
            connection.ask(&["PING"]).ok().map(drop)
        });
        Some(servers)
    }

    /// A connection to each.
    pub fn connect(&self) -> PairConnection {
        let redis = Connection::open(self.redis_port).expect("Redis takes connections");
        let quorate = self.quorate.node(1).connect();
        PairConnection {
            redis: Side {
                name: "redis",
                connection: redis,
            },
            quorate: Side {
                name: "quorate",
                connection: quorate,
            },
        }
    }

    /// Sends bytes in pieces, then an end of stream, and returns all that was answered until the server closes.
    pub fn raw(&self, input: &[u8], random: &mut Random) -> (Vec<u8>, Vec<u8>) {
        let pair = self.connect();
        let split = random.below(input.len() + 1);
        let ask = |mut side: Side| {
            let mut sender = side.connection.sender();
            for piece in [&input[..split], &input[split..]] {
                // A server that has seen enough may have closed the connection.
                let _ = sender.write_all(piece);
            }
            let _ = sender.shutdown(Shutdown::Write);
            let rest = side
                .connection
                .receive_rest(crate::SILENCE)
                .expect("an end");
            let (mut bytes, is_closed) = rest;
            if !is_closed {
                bytes.extend(b" (and stays open)");
            }
            bytes
        };
        (ask(pair.redis), ask(pair.quorate))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // It may have died by itself.
        let _ = self.redis.kill();
        let _ = self.redis.wait();
    }
}

/// One connection of a pair.
pub struct Side {
    name: &'static str,
    connection: Connection,
}

/// A connection to each server.
pub struct PairConnection {
    pub redis: Side,
    pub quorate: Side,
}

impl PairConnection {
    pub fn send(&mut self, commands: &[Command]) {
        let bytes: Vec<u8> = commands
            .iter()
            .flat_map(|command| encode(command))
            .collect();
        self.redis.send(&bytes);
        self.quorate.send(&bytes);
    }

    /// One reply of each.
    pub fn receive(&mut self, command: &[Vec<u8>]) -> (Reply, Reply) {
        (self.redis.receive(command), self.quorate.receive(command))
    }

    /// A part of a reply, as if it had been sent alone.
    pub fn encoded(&self, value: &Value) -> Reply {
        let mut bytes = Vec::new();
        value.encode(&mut bytes, resp::Protocol::Resp3);
        (value.clone(), bytes)
    }

    pub fn exchange(&mut self, command: &Command) -> (Reply, Reply) {
        self.send(std::slice::from_ref(command));
        self.receive(command)
    }
}

impl Side {
    fn send(&mut self, bytes: &[u8]) {
        let sent = self.connection.send(bytes);
        sent.unwrap_or_else(|error| panic!("{} takes no bytes: {error}", self.name));
    }

    fn receive(&mut self, command: &[Vec<u8>]) -> Reply {
        let reply = self.connection.receive_with_bytes();
        reply.unwrap_or_else(|error| {
            panic!(
                "{} does not answer {}: {error}",
                self.name,
                show_command(command)
            )
        })
    }

    /// All frames until the answer to a PING with this text.
    pub fn receive_until(&mut self, marker: &str) -> Vec<Reply> {
        let mut frames = Vec::new();
        loop {
            let frame = self.receive(&[b"PING".to_vec(), marker.into()]);
            if frame
                .1
                .windows(marker.len())
                .any(|window| window == marker.as_bytes())
            {
                return frames;
            }
            frames.push(frame);
        }
    }

    /// Follows a cursor to its end.
    pub fn scan(&mut self, first: &Command) -> BTreeSet<Vec<u8>> {
        let mut command = first.clone();
        let mut keys = BTreeSet::new();
        poll_bounded(|| {
            self.send(&encode(&command));
            let (reply, bytes) = self.receive(&command);
            let Some([Value::Bulk(cursor), Value::Array(found)]) = reply.as_slice() else {
                panic!("{}: SCAN answers {}", self.name, show(&bytes));
            };
            for key in found {
                keys.insert(key.as_bytes().expect("a key").to_vec());
            }
            command[1] = cursor.clone();
            cursor == b"0"
        });
        keys
    }
}

/// Repeats until done, and not for ever.
fn poll_bounded(mut is_done: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !is_done() {
        assert!(started.elapsed() < PATIENCE, "a scan that does not end");
    }
}
