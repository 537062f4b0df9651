//! The parameters of CONFIG: Redis's names where tools read them, our own beside them.
//!
//! A parameter that can be set takes effect. Every other one is either decided when the node starts
//! or the same on every node; setting it to the value it has is accepted, since it asks for nothing.

use std::borrow::Cow;

use crate::node::Node;
use crate::settings::{Settings, password};

use super::reply::{host_and_port, integer};

/// A parameter.
pub(super) struct Parameter {
    /// Its name, lower case.
    pub(super) name: &'static str,
    /// Its value as CONFIG GET shows it.
    pub(super) read: fn(&Node) -> Vec<u8>,
    /// How it is changed.
    pub(super) change: Change,
}

/// How a parameter is changed.
pub(super) enum Change {
    /// By CONFIG SET, at once. The error is what Redis says behind the name.
    Set(fn(&mut Settings, &[u8]) -> Result<(), Cow<'static, str>>),
    /// Not while the node runs.
    Fixed,
}

const fn settable(
    name: &'static str,
    read: fn(&Node) -> Vec<u8>,
    set: fn(&mut Settings, &[u8]) -> Result<(), Cow<'static, str>>,
) -> Parameter {
    Parameter {
        name,
        read,
        change: Change::Set(set),
    }
}

const fn fixed(name: &'static str, read: fn(&Node) -> Vec<u8>) -> Parameter {
    Parameter {
        name,
        read,
        change: Change::Fixed,
    }
}

/// A number as text.
fn number(value: impl ToString) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// An integer between two bounds, or what Redis says of it.
fn bounded(text: &[u8], least: i64, most: i64) -> Result<i64, Cow<'static, str>> {
    let Some(value) = integer(text) else {
        return Err("argument couldn't be parsed into an integer".into());
    };
    if !(least..=most).contains(&value) {
        return Err(format!("argument must be between {least} and {most} inclusive").into());
    }
    Ok(value)
}

/// All parameters by name.
pub(super) static PARAMETERS: &[Parameter] = &[
    fixed("aclfile", |_| Vec::new()),
    settable(
        "acllog-max-len",
        |node| number(node.settings.acl_log_entries_max),
        |settings, text| {
            settings.acl_log_entries_max = bounded(text, 0, i64::MAX)? as usize;
            Ok(())
        },
    ),
    fixed("activedefrag", |_| b"no".to_vec()),
    fixed("appendfsync", |_| b"always".to_vec()),
    fixed("appendonly", |_| b"yes".to_vec()),
    fixed("bind", |node| {
        let addresses = node.config.info.bind.split([',', ' ']);
        let hosts: Vec<&str> = addresses.map(|addr| host_and_port(addr).0).collect();
        hosts.join(" ").into_bytes()
    }),
    fixed("client-output-buffer-limit", |node| {
        let bytes = node.config.output_bytes_max;
        format!("normal {bytes} 0 0 slave {bytes} 0 0 pubsub {bytes} 0 0").into_bytes()
    }),
    fixed("cluster-announce-ip", |node| {
        host_and_port(&node.config.client_addr)
            .0
            .as_bytes()
            .to_vec()
    }),
    fixed("cluster-announce-port", |node| {
        number(host_and_port(&node.config.client_addr).1)
    }),
    fixed("cluster-enabled", |_| b"yes".to_vec()),
    fixed("cluster-name", |node| {
        node.config.info.cluster_name.clone().into_bytes()
    }),
    fixed("cluster-node-timeout", |node| {
        number(node.config.election_timeout_ms)
    }),
    fixed("cluster-require-full-coverage", |_| b"yes".to_vec()),
    fixed("daemonize", |_| b"no".to_vec()),
    fixed("databases", |_| number(kv::DATABASE_COUNT)),
    fixed("dbfilename", |_| Vec::new()),
    fixed("dir", |node| node.config.info.data_dir.clone().into_bytes()),
    fixed("election-timeout", |node| {
        number(node.config.election_timeout_ms)
    }),
    fixed("enable-debug-command", |_| b"yes".to_vec()),
    fixed("enable-module-command", |_| b"no".to_vec()),
    settable(
        "feature-level-max",
        |node| number(node.settings.feature_level_max),
        |settings, text| {
            settings.feature_level_max = bounded(text, 0, i64::from(u32::MAX))? as u32;
            Ok(())
        },
    ),
    fixed("heartbeat", |node| number(node.config.heartbeat_ms)),
    fixed("io-threads", |_| number(1)),
    settable(
        "latency-monitor-threshold",
        |node| number(node.settings.latency_threshold_ms),
        |settings, text| {
            settings.latency_threshold_ms = bounded(text, 0, i64::MAX)?.unsigned_abs();
            Ok(())
        },
    ),
    fixed("latency-tracking", |_| b"yes".to_vec()),
    fixed("logfile", |_| Vec::new()),
    fixed("masterauth", |_| Vec::new()),
    settable(
        "maxclients",
        |node| number(node.settings.clients_max),
        |settings, text| {
            settings.clients_max = bounded(text, 1, i64::from(u32::MAX))? as usize;
            Ok(())
        },
    ),
    fixed("max-entry-size", |node| number(node.config.entry_bytes_max)),
    fixed("maxmemory", |_| number(0)),
    fixed("maxmemory-clients", |_| number(0)),
    fixed("maxmemory-policy", |_| b"noeviction".to_vec()),
    fixed("min-replicas-to-write", |node| {
        number(node.ids(true).count() / 2)
    }),
    fixed("node-id", |node| number(node.config.node.0)),
    fixed("notify-keyspace-events", |_| Vec::new()),
    fixed("port", |node| number(node.config.info.tcp_port)),
    fixed("proto-max-bulk-len", |_| {
        number(resp::Limits::AUTHENTICATED.bulk_bytes_max)
    }),
    fixed("protected-mode", |_| b"yes".to_vec()),
    fixed("replica-read-only", |_| b"no".to_vec()),
    fixed("replicaof", |_| Vec::new()),
    fixed("request-timeout", |node| {
        number(node.config.request_timeout_ms)
    }),
    settable(
        "requirepass",
        |node| {
            node.settings
                .requirepass
                .as_deref()
                .unwrap_or_default()
                .to_vec()
        },
        |settings, text| {
            settings.requirepass = password(text);
            Ok(())
        },
    ),
    fixed("save", |_| Vec::new()),
    settable(
        "slowlog-log-slower-than",
        |node| number(node.settings.slowlog_slower_than_us),
        |settings, text| {
            settings.slowlog_slower_than_us = bounded(text, -1, i64::MAX)?;
            Ok(())
        },
    ),
    settable(
        "slowlog-max-len",
        |node| number(node.settings.slowlog_entries_max),
        |settings, text| {
            settings.slowlog_entries_max = bounded(text, 0, i64::MAX)? as usize;
            Ok(())
        },
    ),
    fixed("supervised", |_| b"no".to_vec()),
    settable(
        "timeout",
        |node| number(node.settings.idle_seconds_max),
        |settings, text| {
            settings.idle_seconds_max = bounded(text, 0, i64::from(i32::MAX))?.unsigned_abs();
            Ok(())
        },
    ),
    fixed("unixsocket", |_| Vec::new()),
];

/// The parameter of a name in any case.
pub(super) fn find(name: &[u8]) -> Option<&'static Parameter> {
    PARAMETERS
        .iter()
        .find(|parameter| parameter.name.as_bytes().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_lower_case_and_unique() {
        for (place, parameter) in PARAMETERS.iter().enumerate() {
            assert_eq!(parameter.name, parameter.name.to_ascii_lowercase());
            let again = PARAMETERS[..place]
                .iter()
                .any(|other| other.name == parameter.name);
            assert!(!again, "{} stands twice", parameter.name);
        }
    }

    #[test]
    fn numbers_out_of_bounds_are_refused_in_the_words_of_redis() {
        assert_eq!(bounded(b"7", 0, 7), Ok(7));
        assert_eq!(
            bounded(b"8", 0, 7).unwrap_err(),
            "argument must be between 0 and 7 inclusive"
        );
        assert_eq!(
            bounded(b"x", 0, 7).unwrap_err(),
            "argument couldn't be parsed into an integer"
        );
    }
}
