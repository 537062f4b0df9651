//! LATENCY: commands that took longer than CONFIG's `latency-monitor-threshold`, and how long
//! commands take in general. Time is from arrival to reply.

use std::fmt::Write as _;

use resp::Encoder;

use crate::config::ClientId;
use crate::node::Node;
use crate::stats::{CommandStats, LatencyEvent};

use super::reply::{error_about, key, text};
use super::{SessionCommand, command, in_place};

/// How wide the longest bar of LATENCY GRAPH is.
const BAR_WIDTH: u64 = 60;

pub(super) fn find(name: &str) -> Option<SessionCommand> {
    Some(match name {
        "doctor" => in_place(doctor),
        "graph" => in_place(graph),
        "help" => in_place(command::help),
        "histogram" => in_place(histogram),
        "history" => in_place(history),
        "latest" => in_place(latest),
        "reset" => in_place(reset),
        _ => return None,
    })
}

/// `LATENCY LATEST`
fn latest(node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    let events = node.stats.latency.events();
    out.array(events.len());
    for (name, event) in events {
        let (seconds, duration_ms) = event.samples.back().copied().unwrap_or_default();
        out.array(4);
        out.bulk(name.as_bytes());
        out.integer(seconds as i64);
        out.integer(duration_ms as i64);
        out.integer(event.longest_ms as i64);
    }
}

/// `LATENCY HISTORY event`
fn history(node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    let Some((_, event)) = node.stats.latency.event(args[2]) else {
        return out.array(0);
    };
    out.array(event.samples.len());
    for &(seconds, duration_ms) in &event.samples {
        out.array(2);
        out.integer(seconds as i64);
        out.integer(duration_ms as i64);
    }
}

/// `LATENCY RESET [event …]`
fn reset(node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    let latency = &mut node.stats.latency;
    let count = match &args[2..] {
        [] => latency.clear(),
        names => names.iter().filter(|name| latency.forget(name)).count(),
    };
    out.integer(count as i64);
}

/// `LATENCY GRAPH event`: a bar per sample, the oldest first.
fn graph(node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    let Some((name, event)) = node.stats.latency.event(args[2]) else {
        return error_about(out, "ERR No samples available for event '", args[2], "'");
    };
    let longest_ms = event
        .samples
        .iter()
        .map(|sample| sample.1)
        .max()
        .unwrap_or(0);
    let mut lines = format!(
        "{name} - high {longest_ms} ms, low {} ms (all time high {} ms)\n",
        event
            .samples
            .iter()
            .map(|sample| sample.1)
            .min()
            .unwrap_or(0),
        event.longest_ms,
    );
    let now_seconds = node.now.wall_ms / 1_000;
    for &(seconds, duration_ms) in &event.samples {
        let width = (duration_ms * BAR_WIDTH).div_ceil(longest_ms.max(1)) as usize;
        let ago = now_seconds.saturating_sub(seconds);
        let _ = writeln!(lines, "{ago:>7}s {} {duration_ms} ms", "#".repeat(width));
    }
    text(out, lines.as_bytes());
}

/// `LATENCY DOCTOR`
fn doctor(node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    let threshold_ms = node.settings.latency_threshold_ms;
    if threshold_ms == 0 {
        return text(
            out,
            b"Latency monitoring is off. Switch it on by \"CONFIG SET latency-monitor-threshold \
              <milliseconds>\", and ask again when something was slow.\n",
        );
    }
    let events = node.stats.latency.events();
    if events.len() == 0 {
        let report = format!("No command has taken {threshold_ms} ms or more.\n");
        return text(out, report.as_bytes());
    }
    let mut report = format!("Commands have taken {threshold_ms} ms or more:\n\n");
    for (name, event) in events {
        let count = event.samples.len() as u64;
        let _ = writeln!(
            report,
            "{name}: {count} seconds with such a command, {} ms on average, {} ms at most.",
            average_ms(event),
            event.longest_ms,
        );
    }
    report.push_str(
        "\nSLOWLOG GET tells which commands. A command waits for a majority's disks: look at the \
         disks' sync times and at the network between the nodes first, then at commands that \
         touch many or large values.\n",
    );
    text(out, report.as_bytes());
}

fn average_ms(event: &LatencyEvent) -> u64 {
    let sum: u64 = event.samples.iter().map(|sample| sample.1).sum();
    sum / (event.samples.len() as u64).max(1)
}

/// `LATENCY HISTOGRAM [command …]`: per command, how many calls took at most so many microseconds. A
/// container stands for all its subcommands.
fn histogram(node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    let wanted = &args[2..];
    let is_wanted = |name: &str, container: &str| {
        wanted.is_empty()
            || wanted.iter().any(|arg| {
                arg.eq_ignore_ascii_case(name.as_bytes())
                    || (!container.is_empty() && arg.eq_ignore_ascii_case(container.as_bytes()))
            })
    };
    let shown: Vec<(String, &CommandStats)> = node
        .stats
        .commands()
        .filter(|(_, stats)| stats.calls > 0)
        .filter_map(|(id, stats)| kv::by_id(id).map(|spec| (spec, stats)))
        .map(|(spec, stats)| (spec.full_name().into_owned(), spec.container, stats))
        .filter(|(name, container, _)| is_wanted(name, container))
        .map(|(name, _, stats)| (name, stats))
        .collect();
    out.map(shown.len());
    for (name, stats) in shown {
        out.bulk(name.as_bytes());
        out.map(2);
        key(out, "calls");
        out.integer(stats.calls as i64);
        key(out, "histogram_usec");
        out.map(stats.durations.cumulative().count());
        for (bound_us, calls) in stats.durations.cumulative() {
            out.integer(bound_us as i64);
            out.integer(calls as i64);
        }
    }
}
