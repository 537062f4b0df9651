//! What can be asked for on the command line, and what of it makes sense.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};

use clap::{Parser, ValueEnum};

use crate::keys::Distribution;

/// More connections than a machine has ports for one address are a typing error.
const CONNECTIONS_MAX: usize = 30_000;
/// The longest value a Redis takes.
const VALUE_BYTES_MAX: usize = 512 << 20;
/// The keys that twelve digits can name.
const KEYS_MAX: u64 = 1_000_000_000_000;
/// The commands that may be in flight at once, over all connections.
const IN_FLIGHT_MAX: usize = 1 << 22;
/// A day. Longer runs are made of several.
const SECONDS_MAX: f64 = 86_400.0;
/// Ten commands in a microsecond are more than a thread can send.
const RATE_MAX: f64 = 1e7;

/// Loads a key-value store and tells how it did.
///
/// Without --rate the loop is closed: each connection sends as many commands as the pipeline is
/// deep, waits for all of their replies, and goes on. With --rate it is open: commands are due at
/// even steps of time, whatever the server does, and a latency counts from when the command was due
/// and not from when it could be sent.
#[derive(Debug, Parser)]
#[command(name = "quorate-load", version, allow_negative_numbers = true)]
pub(crate) struct Flags {
    /// The nodes: HOST:PORT, several by commas or by repeating the flag. Connections go round them.
    #[arg(
        long,
        value_name = "HOST:PORT",
        value_delimiter = ',',
        default_value = "127.0.0.1:7001"
    )]
    target: Vec<String>,
    /// What the nodes speak.
    #[arg(long, value_enum, default_value = "resp")]
    protocol: Protocol,
    /// Connections that are open at the same time.
    #[arg(long, value_name = "N", default_value_t = 50)]
    connections: usize,
    /// Commands that are in flight at the same time on each connection.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pipeline: usize,
    /// The size of a value, in bytes.
    #[arg(long, value_name = "N", default_value_t = 128)]
    value_bytes: usize,
    /// How many different keys there are.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    keys: u64,
    /// The share of commands that read (GET), from 0 to 1; the others write (SET).
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    read_share: f64,
    /// How often each key is used.
    #[arg(long, value_enum, default_value = "uniform")]
    distribution: Shape,
    /// The exponent of Zipf's law: the n-th key is used n^-S times as often as the first.
    #[arg(long, value_name = "S", default_value_t = 0.99)]
    zipf_exponent: f64,
    /// Open loop: commands per second in all.
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Seconds of load before anything is measured.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    warm_up: f64,
    /// Seconds that are measured.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    duration: f64,
    /// Seconds to wait at the end for replies that are missing.
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    patience: f64,
    /// The same seed chooses the same keys and values in the same order on each connection.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Instead of a timed run: write every key once.
    #[arg(long, conflicts_with_all = ["rate", "read_share", "duration", "warm_up"])]
    fill: bool,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// What is spoken with the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// The protocol of Redis.
    Resp,
    /// gRPC as etcd v3 speaks it.
    Etcd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shape {
    /// All alike.
    Uniform,
    /// A few very often, most of them seldom.
    Zipf,
}

/// A run that can be carried out.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Where connections go, in turn. Invariant: not empty.
    pub(crate) targets: Vec<Target>,
    /// What is spoken there.
    pub(crate) protocol: Protocol,
    /// How many connections.
    pub(crate) connections: usize,
    /// The commands in flight on each of them.
    pub(crate) pipeline: usize,
    /// The size of each value.
    pub(crate) value_bytes: usize,
    /// The number of different keys.
    pub(crate) keys: u64,
    /// Which key how often.
    pub(crate) distribution: Distribution,
    /// The chance of a command to be a read.
    pub(crate) read_share: f64,
    /// Commands per second in an open loop; `None` is a closed loop.
    pub(crate) rate: Option<f64>,
    /// The time before the measured window.
    pub(crate) warm_up: Duration,
    /// The measured window.
    pub(crate) duration: Duration,
    /// How long replies are waited for after the window.
    pub(crate) patience: Duration,
    /// Where all random choices begin.
    pub(crate) seed: u64,
    /// Write every key once instead of a timed run.
    pub(crate) is_fill: bool,
    /// Print JSON.
    pub(crate) is_json: bool,
}

/// A node: what it was called, and its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// As it was written on the command line.
    pub(crate) name: String,
    /// Its first address.
    pub(crate) address: SocketAddr,
}

impl Flags {
    /// Checks what the types could not. The error is one line that names the flag.
    pub(crate) fn plan(self) -> Result<Plan, String> {
        in_range("--connections", self.connections, 1, CONNECTIONS_MAX)?;
        in_range("--pipeline", self.pipeline, 1, IN_FLIGHT_MAX)?;
        if self.connections.saturating_mul(self.pipeline) > IN_FLIGHT_MAX {
            return Err(format!(
                "--connections times --pipeline must not be more than {IN_FLIGHT_MAX}"
            ));
        }
        in_range("--value-bytes", self.value_bytes, 0, VALUE_BYTES_MAX)?;
        in_range("--keys", self.keys, 1, KEYS_MAX)?;
        in_range("--read-share", self.read_share, 0.0, 1.0)?;
        in_range("--zipf-exponent", self.zipf_exponent, 0.01, 100.0)?;
        in_range("--warm-up", self.warm_up, 0.0, SECONDS_MAX)?;
        in_range("--duration", self.duration, 0.01, SECONDS_MAX)?;
        in_range("--patience", self.patience, 0.0, SECONDS_MAX)?;
        if let Some(rate) = self.rate {
            in_range("--rate", rate, 0.01, RATE_MAX)?;
        }
        let targets = self.target.iter().map(|name| resolve(name));
        let targets = targets.collect::<Result<Vec<_>, _>>()?;
        Ok(Plan {
            targets,
            protocol: self.protocol,
            connections: self.connections,
            pipeline: self.pipeline,
            value_bytes: self.value_bytes,
            keys: self.keys,
            distribution: match self.distribution {
                Shape::Uniform => Distribution::Uniform,
                Shape::Zipf => Distribution::Zipf(self.zipf_exponent),
            },
            read_share: self.read_share,
            rate: self.rate,
            warm_up: Duration::from_secs_f64(self.warm_up),
            duration: Duration::from_secs_f64(self.duration),
            patience: Duration::from_secs_f64(self.patience),
            seed: self.seed,
            is_fill: self.fill,
            is_json: self.json,
        })
    }
}

impl Plan {
    /// Where the connection of this number goes when it has been made so many times before.
    pub(crate) fn target(&self, connection: usize, attempts: usize) -> &Target {
        &self.targets[connection.wrapping_add(attempts) % self.targets.len()]
    }
}

fn in_range<T: Copy + PartialOrd + std::fmt::Display>(
    flag: &str,
    value: T,
    min: T,
    max: T,
) -> Result<(), String> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(format!("{flag} must be {min} to {max}, not {value}"))
}

fn resolve(name: &str) -> Result<Target, String> {
    let addresses = name.to_socket_addrs();
    let mut addresses = addresses
        .map_err(|error| format!("--target '{name}' is no HOST:PORT that can be found: {error}"))?;
    let address = addresses
        .next()
        .ok_or_else(|| format!("--target '{name}' has no address"))?;
    Ok(Target {
        name: name.to_owned(),
        address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(flags: &[&str]) -> Result<Plan, String> {
        let words = std::iter::once(&"quorate-load").chain(flags);
        Flags::try_parse_from(words)
            .map_err(|error| error.to_string())?
            .plan()
    }

    #[test]
    fn connections_go_round_the_targets() {
        let plan = plan(&["--target", "127.0.0.1:1,127.0.0.1:2", "--target=[::1]:3"]).unwrap();
        let ports = (0..4).map(|connection| plan.target(connection, 0).address.port());
        assert_eq!(ports.collect::<Vec<_>>(), [1, 2, 3, 1]);
        assert_eq!(plan.target(0, 1).address.port(), 2);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_the_name_of_its_flag() {
        let wrong: [&[&str]; 11] = [
            &["--connections", "0"],
            &["--pipeline", "0"],
            &["--keys", "0"],
            &["--read-share", "1.5"],
            &["--read-share", "NaN"],
            &["--duration", "-1"],
            &["--duration", "inf"],
            &["--rate", "0"],
            &["--zipf-exponent", "0"],
            &["--value-bytes", "1000000000"],
            &["--target", "nowhere"],
        ];
        for flags in wrong {
            let error = plan(flags).unwrap_err();
            assert!(error.contains(flags[0]), "{flags:?}: {error}");
            assert_eq!(error.trim_end().lines().next(), error.lines().next());
        }
        let error = plan(&["--connections=30000", "--pipeline=1000"]).unwrap_err();
        assert!(error.contains("--connections times --pipeline"), "{error}");
        assert!(plan(&["--fill", "--rate", "5"]).is_err());
    }
}
