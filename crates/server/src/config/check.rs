//! What must hold between settings, checked before anything is touched.

use std::{fmt::Display, time::Duration};

use super::{Address, ByteSize, Config, ConfigError, Problem, TlsClientAuth, value::duration_text};

/// An election needs several heartbeats to go missing (Raft paper, section 5.6: the broadcast time
/// must be well below the election timeout).
const HEARTBEATS_PER_ELECTION_MIN: u32 = 3;

/// What a record of the log needs around its entry, generously.
const RECORD_OVERHEAD: u64 = 64 << 10;

/// Refuses a configuration that contradicts itself.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    check_ranges(config)?;
    check_order(config)?;
    check_cluster(config)?;
    check_addresses(config)?;
    check_tls(config)?;
    check_protection(config)
}

fn check_ranges(config: &Config) -> Result<(), ConfigError> {
    let millis = Duration::from_millis;
    let hour = Duration::from_secs(3600);
    for (key, value, minimum, maximum) in [
        ("tick", config.tick, millis(1), millis(1000)),
        (
            "heartbeat-interval",
            config.heartbeat_interval,
            millis(1),
            millis(60_000),
        ),
        (
            "election-timeout",
            config.election_timeout,
            millis(10),
            millis(600_000),
        ),
        ("request-timeout", config.request_timeout, millis(10), hour),
        ("shutdown-timeout", config.shutdown_timeout, millis(0), hour),
        (
            "client-output-soft-time",
            config.client_output_soft_time,
            millis(0),
            hour,
        ),
    ] {
        within(config, key, value, minimum, maximum, |value| {
            duration_text(*value)
        })?;
    }
    let kib = |count: u64| ByteSize(count << 10);
    let mib = |count: u64| ByteSize(count << 20);
    for (key, value, minimum, maximum) in [
        // The upper end leaves an entry and its envelope well below the limit of a peer's frame.
        ("max-entry-size", config.max_entry_size, kib(16), mib(32)),
        ("max-batch-size", config.max_batch_size, kib(1), mib(32)),
        (
            "wal-segment-size",
            config.wal_segment_size,
            kib(128),
            mib(2048),
        ),
        (
            "scrub-bytes-per-second",
            config.scrub_bytes_per_second,
            kib(0),
            mib(1 << 20),
        ),
        (
            "client-output-limit",
            config.client_output_limit,
            kib(64),
            mib(1 << 20),
        ),
        (
            "snapshot-log-size-min",
            config.snapshot_log_size_min,
            kib(64),
            mib(1 << 20),
        ),
        (
            "snapshot-log-size-max",
            config.snapshot_log_size_max,
            kib(64),
            mib(1 << 24),
        ),
        ("log-tail-size", config.log_tail_size, kib(0), mib(1 << 20)),
        (
            "snapshot-bytes-per-second",
            config.snapshot_bytes_per_second,
            mib(1),
            mib(1 << 20),
        ),
        (
            "snapshot-send-bytes-per-second",
            config.snapshot_send_bytes_per_second,
            mib(1),
            mib(1 << 20),
        ),
        (
            "client-output-soft-limit",
            config.client_output_soft_limit,
            kib(64),
            mib(1 << 20),
        ),
    ] {
        within(config, key, value, minimum, maximum, ByteSize::to_string)?;
    }
    within(
        config,
        "snapshot-log-percent",
        config.snapshot_log_percent,
        1,
        10_000,
        u32::to_string,
    )?;
    within(
        config,
        "max-clients",
        config.max_clients,
        1,
        1_000_000,
        u32::to_string,
    )
}

fn within<T: PartialOrd>(
    config: &Config,
    key: &'static str,
    value: T,
    minimum: T,
    maximum: T,
    text: impl Fn(&T) -> String,
) -> Result<(), ConfigError> {
    if minimum <= value && value <= maximum {
        return Ok(());
    }
    Err(Problem::OutOfRange {
        key,
        value: text(&value),
        origin: config.origin(key).clone(),
        minimum: text(&minimum),
        maximum: text(&maximum),
    }
    .into())
}

fn check_order(config: &Config) -> Result<(), ConfigError> {
    let elections = config.heartbeat_interval * HEARTBEATS_PER_ELECTION_MIN;
    for (key, value, other, other_value, least) in [
        (
            "heartbeat-interval",
            config.heartbeat_interval,
            "tick",
            config.tick,
            config.tick,
        ),
        (
            "election-timeout",
            config.election_timeout,
            "heartbeat-interval",
            config.heartbeat_interval,
            elections,
        ),
        (
            "request-timeout",
            config.request_timeout,
            "election-timeout",
            config.election_timeout,
            config.election_timeout,
        ),
    ] {
        if value < least {
            let [value, other_value, least] = [value, other_value, least].map(duration_text);
            return Err(too_small(config, key, value, other, other_value, least));
        }
    }
    let record = ByteSize(config.max_entry_size.0 + RECORD_OVERHEAD);
    for (key, value, other, other_value, least) in [
        (
            "max-entry-size",
            config.max_entry_size,
            "max-batch-size",
            config.max_batch_size,
            config.max_batch_size,
        ),
        (
            "wal-segment-size",
            config.wal_segment_size,
            "max-entry-size",
            config.max_entry_size,
            record,
        ),
        (
            "snapshot-log-size-max",
            config.snapshot_log_size_max,
            "snapshot-log-size-min",
            config.snapshot_log_size_min,
            config.snapshot_log_size_min,
        ),
        (
            "client-output-limit",
            config.client_output_limit,
            "client-output-soft-limit",
            config.client_output_soft_limit,
            config.client_output_soft_limit,
        ),
    ] {
        if value < least {
            return Err(too_small(config, key, value, other, other_value, least));
        }
    }
    Ok(())
}

fn too_small<T: Display>(
    config: &Config,
    key: &'static str,
    value: T,
    other: &'static str,
    other_value: T,
    least: T,
) -> ConfigError {
    Problem::TooSmallBeside {
        key,
        value: value.to_string(),
        origin: config.origin(key).clone(),
        other,
        other_value: other_value.to_string(),
        other_origin: config.origin(other).clone(),
        least: least.to_string(),
    }
    .into()
}

fn check_cluster(config: &Config) -> Result<(), ConfigError> {
    if config.cluster.is_empty() {
        return Ok(());
    }
    let cluster_origin = config.origin("cluster").clone();
    let Some(listed) = config.cluster.get(config.node_id) else {
        let ids: Vec<_> = config
            .cluster
            .iter()
            .map(|(id, _)| id.to_string())
            .collect();
        return Err(Problem::NotAMember {
            node: config.node_id,
            node_origin: config.origin("node-id").clone(),
            cluster_origin,
            members: ids.join(", "),
        }
        .into());
    };
    let (key, address) = match (&config.advertise_peer, &config.peer_bind) {
        (Some(address), _) => ("advertise-peer", address),
        (None, Some(address)) => ("peer-bind", address),
        (None, None) => return Ok(()),
    };
    if address == listed || (key == "peer-bind" && leads_to(address, listed)) {
        return Ok(());
    }
    Err(Problem::PeerAddressDiffers {
        key,
        address: address.clone(),
        origin: config.origin(key).clone(),
        cluster_origin,
        node: config.node_id,
        listed: listed.clone(),
    }
    .into())
}

/// Whether a node bound to `bound` can be meant by `listed`: the ports are equal, and the hosts are,
/// or cannot be compared because one is a name or stands for every address.
fn leads_to(bound: &Address, listed: &Address) -> bool {
    let is_ip = |address: &Address| address.host.parse::<std::net::IpAddr>().is_ok();
    bound.port == listed.port && (bound.is_wildcard() || !is_ip(bound) || !is_ip(listed))
}

fn check_addresses(config: &Config) -> Result<(), ConfigError> {
    let peer = config.peer_address();
    let mut used: Vec<(&'static str, &Address)> = Vec::new();
    let clients = config.bind.iter().map(|address| ("bind", address));
    let peers = config.serves_peers().then_some(("peer-bind", &peer));
    let admin = config
        .admin_bind
        .iter()
        .map(|address| ("admin-bind", address));
    for (second, address) in clients.chain(peers).chain(admin) {
        let same = used
            .iter()
            .find(|(_, other)| *other == address && address.port != 0);
        if let Some((first, _)) = same {
            return Err(Problem::SameAddress {
                first,
                first_origin: config.origin(first).clone(),
                second,
                second_origin: config.origin(second).clone(),
                address: address.clone(),
            }
            .into());
        }
        used.push((second, address));
    }
    Ok(())
}

fn check_tls(config: &Config) -> Result<(), ConfigError> {
    let asks = config.tls_client_auth != TlsClientAuth::No;
    let needs = [
        (
            "tls-cert",
            config.tls_cert.is_some(),
            "tls-key",
            config.tls_key.is_some(),
        ),
        (
            "tls-key",
            config.tls_key.is_some(),
            "tls-cert",
            config.tls_cert.is_some(),
        ),
        (
            "tls-ca",
            config.tls_ca.is_some(),
            "tls-cert",
            config.tls_cert.is_some(),
        ),
        (
            "tls-client-auth",
            asks,
            "tls-cert",
            config.tls_cert.is_some(),
        ),
        ("tls-client-auth", asks, "tls-ca", config.tls_ca.is_some()),
        (
            "peer-tls-cert",
            config.peer_tls_cert.is_some(),
            "peer-tls-key",
            config.peer_tls_key.is_some(),
        ),
        (
            "peer-tls-cert",
            config.peer_tls_cert.is_some(),
            "peer-tls-ca",
            config.peer_tls_ca.is_some(),
        ),
        (
            "peer-tls-key",
            config.peer_tls_key.is_some(),
            "peer-tls-cert",
            config.peer_tls_cert.is_some(),
        ),
        (
            "peer-tls-ca",
            config.peer_tls_ca.is_some(),
            "peer-tls-cert",
            config.peer_tls_cert.is_some(),
        ),
    ];
    match needs
        .into_iter()
        .find(|(_, is_set, _, is_there)| *is_set && !*is_there)
    {
        None => Ok(()),
        Some((key, _, missing, _)) => Err(Problem::TlsIncomplete {
            key,
            origin: config.origin(key).clone(),
            missing,
        }
        .into()),
    }
}

fn check_protection(config: &Config) -> Result<(), ConfigError> {
    if !config.protected_mode {
        return Ok(());
    }
    let is_guarded =
        config.requirepass.is_some() || config.tls_client_auth == TlsClientAuth::Required;
    let open = config.bind.iter().find(|address| !address.is_loopback());
    if let (Some(address), false) = (open, is_guarded) {
        return Err(Problem::UnprotectedClients {
            address: address.clone(),
            origin: config.origin("bind").clone(),
        }
        .into());
    }
    let peer = config.peer_address();
    if config.serves_peers() && !peer.is_loopback() && !config.has_peer_tls() {
        let key = if config.peer_bind.is_some() {
            "peer-bind"
        } else {
            "cluster"
        };
        return Err(Problem::UnprotectedPeers {
            address: peer,
            origin: config.origin(key).clone(),
        }
        .into());
    }
    Ok(())
}
