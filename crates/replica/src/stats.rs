//! Counters of this node since it started, for INFO, LATENCY and metrics.

mod acl_log;
mod latency;
mod rate;

pub(crate) use acl_log::{AclLog, AclLogEntry};
pub(crate) use latency::{LatencyEvent, LatencyMonitor};
pub(crate) use rate::Rate;

use std::collections::BTreeMap;

use kv::{CommandFlags, CommandId};
use raft::NodeId;

use crate::config::{HostStats, Now};
use crate::errors::Failure;
use crate::settings::Settings;

/// The most different error codes that are counted apart. A client can make up codes (by DEBUG
/// ERROR), so they are bounded; Redis has a bound of 128 for the same reason.
const ERROR_CODES_MAX: usize = 128;

/// Counters for INFO and metrics.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// Commands run for clients of this node.
    pub(crate) commands_processed: u64,
    /// Connections refused for lack of room.
    pub(crate) rejected_connections: u64,
    /// Batches that entered the log through this gateway.
    pub(crate) batches_applied: u64,
    /// Batches handed to a leader again.
    pub(crate) batches_resent: u64,
    /// Rounds of reads that a leader confirmed.
    pub(crate) read_rounds: u64,
    /// Entries applied.
    pub(crate) entries_applied: u64,
    /// Entries that were not applied, because a snapshot was loaded that contains them.
    pub(crate) entries_by_snapshot: u64,
    /// Batches of this gateway that were not applied, because a snapshot was installed that contains
    /// them.
    pub(crate) batches_by_snapshot: u64,
    /// Snapshots of this node that became durable.
    pub(crate) snapshots_taken: u64,
    /// Snapshots of other nodes that took the place of this one's state.
    pub(crate) snapshots_installed: u64,
    /// Commands answered with NOQUORUM.
    pub(crate) no_quorum: u64,
    /// Commands answered with UNCERTAIN.
    pub(crate) uncertain: u64,
    /// Error replies sent.
    pub(crate) error_replies: u64,
    /// How fast commands, bytes in and bytes out have been coming lately.
    pub(crate) rates: Rates,
    /// Commands that took long, by kind, for LATENCY.
    pub(crate) latency: LatencyMonitor,
    /// Failed authentications, for ACL LOG.
    pub(crate) acl_log: AclLog,
    /// The last leader seen, kept while there is none.
    pub(crate) last_leader: Option<NodeId>,
    /// What CONFIG RESETSTAT found in figures that are counted elsewhere and never fall.
    pub(crate) base: Base,
    /// Error replies by code. At most [`ERROR_CODES_MAX`].
    errors: BTreeMap<String, u64>,
    /// Per command, by id.
    commands: Vec<CommandStats>,
}

/// Recent speeds.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    pub(crate) commands: Rate,
    pub(crate) input_bytes: Rate,
    pub(crate) output_bytes: Rate,
}

/// Figures as they stood at the last CONFIG RESETSTAT: INFO tells the difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) connections: u64,
    pub(crate) input_bytes: u64,
    pub(crate) output_bytes: u64,
}

/// Counters of one command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CommandStats {
    /// How often it ran.
    pub(crate) calls: u64,
    /// How often it answered with an error.
    pub(crate) failed: u64,
    /// How often it was refused before it ran.
    pub(crate) rejected: u64,
    /// Time from arrival to reply, in microseconds, added up.
    pub(crate) total_us: u64,
    /// The same by size.
    pub(crate) durations: Durations,
}

/// How often a duration was at most a power of two, and more than the power before, microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Durations {
    counts: [u64; 32],
}

impl Stats {
    /// A command ran for a client and replied so.
    pub(crate) fn count_call(&mut self, id: CommandId, reply: &[u8], failed: bool) {
        self.commands_processed += 1;
        let command = self.command(id);
        command.calls += 1;
        if failed {
            command.failed += 1;
            self.count_error(reply);
        }
    }

    /// A command was refused before it ran: by its arguments, for lack of authentication, in the
    /// wrong mode. `reply` is the encoded error.
    pub(crate) fn count_rejection(&mut self, id: CommandId, reply: &[u8]) {
        self.command(id).rejected += 1;
        self.count_error(reply);
    }

    /// A command was answered so because there was no quorum or no room.
    pub(crate) fn count_failure(&mut self, failure: Failure) {
        match failure {
            Failure::NeverHanded { .. } => {
                self.no_quorum += 1;
                self.count_error(b"NOQUORUM");
            }
            Failure::Uncertain { .. } | Failure::ContainedInSnapshot => {
                self.uncertain += 1;
                self.count_error(b"UNCERTAIN");
            }
            Failure::DiskFull => self.count_error(b"DISKFULL"),
            Failure::TooLarge => self.count_error(b"ERR"),
        }
    }

    /// An error was sent. Its code is the first word of its text.
    pub(crate) fn count_error(&mut self, reply: &[u8]) {
        self.error_replies += 1;
        let text = reply.strip_prefix(b"-").unwrap_or(reply);
        let end = text
            .iter()
            .position(|byte| !byte.is_ascii_graphic())
            .unwrap_or(text.len());
        let code = String::from_utf8_lossy(&text[..end]);
        if let Some(count) = self.errors.get_mut(&*code) {
            *count += 1;
        } else if self.errors.len() < ERROR_CODES_MAX {
            self.errors.insert(code.into_owned(), 1);
        }
    }

    /// How long a command took from arrival to reply.
    pub(crate) fn count_time(
        &mut self,
        settings: &Settings,
        id: CommandId,
        wall_ms: u64,
        duration_us: u64,
    ) {
        let command = self.command(id);
        command.total_us += duration_us;
        command.durations.add(duration_us);
        let duration_ms = duration_us / 1_000;
        if settings.latency_threshold_ms > 0 && duration_ms >= settings.latency_threshold_ms {
            let is_fast = kv::by_id(id).is_some_and(|spec| spec.flags.contains(CommandFlags::FAST));
            let event = if is_fast { "fast-command" } else { "command" };
            self.latency.add(event, wall_ms / 1_000, duration_ms);
        }
    }

    /// Takes a sample of the recent speeds. Called every tick.
    pub(crate) fn sample(&mut self, now: Now, host: &HostStats) {
        self.rates
            .commands
            .sample(self.commands_processed, now.mono_us);
        self.rates
            .input_bytes
            .sample(host.net_input_bytes, now.mono_us);
        self.rates
            .output_bytes
            .sample(host.net_output_bytes, now.mono_us);
    }

    /// CONFIG RESETSTAT: what Redis resets. What tells the state of the cluster goes on counting.
    pub(crate) fn reset(&mut self, base: Base) {
        self.commands_processed = 0;
        self.rejected_connections = 0;
        self.error_replies = 0;
        self.rates = Rates::default();
        self.base = base;
        self.errors.clear();
        self.commands.clear();
    }

    /// The counters of a command.
    pub(crate) fn command(&mut self, id: CommandId) -> &mut CommandStats {
        let index = usize::from(id.0);
        if index >= self.commands.len() {
            self.commands.resize(index + 1, CommandStats::default());
        }
        &mut self.commands[index]
    }

    /// All counters by command id.
    pub(crate) fn commands(&self) -> impl Iterator<Item = (CommandId, &CommandStats)> {
        self.commands
            .iter()
            .enumerate()
            .map(|(id, stats)| (CommandId(id as u16), stats))
    }

    /// Error replies by code, in order.
    pub(crate) fn errors(&self) -> impl Iterator<Item = (&str, u64)> {
        self.errors
            .iter()
            .map(|(code, count)| (code.as_str(), *count))
    }
}

impl Durations {
    fn add(&mut self, duration_us: u64) {
        let bucket = match duration_us {
            0 | 1 => 0,
            more => (64 - (more - 1).leading_zeros()) as usize,
        };
        self.counts[bucket.min(self.counts.len() - 1)] += 1;
    }

    /// Upper bounds in microseconds, with how many durations were at most so long; only bounds that
    /// say something new.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut total = 0;
        self.counts
            .iter()
            .enumerate()
            .filter_map(move |(bucket, &count)| {
                total += count;
                (count > 0).then_some((1 << bucket, total))
            })
    }

    /// The bound that at least this many thousandths of all durations keep; 0 if there are none.
    pub(crate) fn quantile(&self, thousandths: u64) -> u64 {
        let all: u64 = self.counts.iter().sum();
        let wanted = (all * thousandths).div_ceil(1_000);
        self.cumulative()
            .find(|&(_, total)| total >= wanted)
            .map_or(0, |(bound, _)| bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_their_first_word() {
        let mut stats = Stats::default();
        stats.count_call(CommandId(1), b"-ERR syntax error\r\n", true);
        stats.count_rejection(CommandId(1), b"-ERR nope\r\n");
        stats.count_failure(Failure::NeverHanded { waited_ms: 5 });
        let errors: Vec<_> = stats.errors().collect();
        assert_eq!(errors, [("ERR", 2), ("NOQUORUM", 1)]);
        assert_eq!(stats.error_replies, 3);
        let command = stats.command(CommandId(1)).clone();
        assert_eq!((command.calls, command.failed, command.rejected), (1, 1, 1));
    }

    #[test]
    fn error_codes_are_bounded() {
        let mut stats = Stats::default();
        for number in 0..1_000 {
            stats.count_error(format!("-E{number} x\r\n").as_bytes());
        }
        assert_eq!(stats.errors().count(), ERROR_CODES_MAX);
        assert_eq!(stats.error_replies, 1_000);
    }

    #[test]
    fn durations_fall_between_powers_of_two() {
        let mut durations = Durations::default();
        for duration in [0, 1, 2, 3, 4, 5, 1_000, u64::MAX] {
            durations.add(duration);
        }
        let expected = [(1, 2), (2, 3), (4, 5), (8, 6), (1 << 10, 7), (1 << 31, 8)];
        assert_eq!(durations.cumulative().collect::<Vec<_>>(), expected);
        assert_eq!(durations.quantile(500), 4);
        assert_eq!(durations.quantile(999), 1 << 31);
        assert_eq!(Durations::default().quantile(500), 0);
    }
}
