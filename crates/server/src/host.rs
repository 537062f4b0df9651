//! What the operating system says about this process and machine, for INFO and /metrics.
//!
//! Read from /proc about once a second. A figure that cannot be read is zero: none of them decides
//! anything.

use std::fs;

use replica::HostStats;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The unit of CPU times in /proc/self/stat: `USER_HZ`, which Linux fixes at 100 for user space on
/// every architecture, in microseconds.
const CPU_TICK_US: u64 = 10_000;

/// Descriptors beside the clients': files, peers, listeners, admin requests.
const DESCRIPTORS_RESERVED: u64 = 128;

/// The figures of this moment, without those the reactor knows itself.
pub(crate) fn stats() -> HostStats {
    let mut stats = HostStats::default();
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        stats.rss_bytes = kib_field(&status, "VmRSS:");
        stats.rss_peak_bytes = kib_field(&status, "VmHWM:");
    }
    if let Ok(stat) = fs::read_to_string("/proc/self/stat") {
        (stats.cpu_user_us, stats.cpu_sys_us) = cpu_times(&stat);
    }
    stats
}

/// Memory of the machine in bytes. It does not change: read once.
pub(crate) fn system_memory_bytes() -> u64 {
    fs::read_to_string("/proc/meminfo").map_or(0, |text| kib_field(&text, "MemTotal:"))
}

/// Operating system, release and machine, as INFO's `os` shows them.
pub(crate) fn os_name() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {} {}", release.trim(), std::env::consts::ARCH)
}

/// Raises the limit of open files so that `clients_max` connections fit, as Redis does, and returns
/// how many do.
pub(crate) fn raise_descriptor_limit(clients_max: usize) -> usize {
    let wanted = clients_max as u64 + DESCRIPTORS_RESERVED;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return clients_max;
    }
    let reachable = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = Rlimit {
        current: Some(reachable),
        maximum: limit.maximum,
    };
    let in_force = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => reachable,
        Err(_) => limit.current.unwrap_or(wanted),
    };
    let clients = in_force.saturating_sub(DESCRIPTORS_RESERVED).max(1);
    usize::try_from(clients)
        .unwrap_or(usize::MAX)
        .min(clients_max)
}

/// A line `Name:   1234 kB`, in bytes.
fn kib_field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<u64>().ok())
        .map_or(0, |kib| kib.saturating_mul(1024))
}

/// User and system CPU time of /proc/self/stat: fields 14 and 15. The second field is the program's
/// name in parentheses, which may hold spaces, so fields are counted behind the last parenthesis.
fn cpu_times(stat: &str) -> (u64, u64) {
    let Some((_, rest)) = stat.rsplit_once(')') else {
        return (0, 0);
    };
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || {
        let ticks = fields.next().and_then(|field| field.parse::<u64>().ok());
        ticks.unwrap_or(0).saturating_mul(CPU_TICK_US)
    };
    (next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tquorate\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n";
        assert_eq!(kib_field(status, "VmRSS:"), 1024 * 1024);
        assert_eq!(kib_field(status, "VmHWM:"), 2048 * 1024);
        assert_eq!(kib_field(status, "VmSwap:"), 0);
    }

    #[test]
    fn cpu_times_are_found_behind_a_name_with_spaces() {
        let stat = "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0";
        assert_eq!(cpu_times(stat), (1_500_000, 250_000));
        assert_eq!(cpu_times("nonsense"), (0, 0));
    }

    #[test]
    fn this_process_has_memory() {
        assert!(stats().rss_bytes > 0);
        assert!(system_memory_bytes() > stats().rss_bytes);
    }
}
