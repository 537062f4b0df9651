//! What a replica starts from, out of its configuration.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft::{ConfState, NodeId};

use crate::bootstrap::Bootstrap;
use crate::config::Config;
use crate::membership::Wish;
use crate::node::Member;

/// Bytes of entries under way to one follower.
const INFLIGHT_BYTES_MAX: usize = 8 << 20;

/// How Raft is to behave.
pub(super) fn raft_config(config: &Config) -> raft::Config {
    let ticks = |ms: u64| {
        u32::try_from(ms / config.tick_ms)
            .unwrap_or(u32::MAX / 4)
            .max(1)
    };
    let bootstrap = Bootstrap {
        feature_level: config.feature_levels.at_birth(config.feature_level_max),
        secret: config.cluster_secret,
        members: config
            .members
            .iter()
            .map(|(&node, peer)| (node, peer.clone()))
            .collect(),
    };
    let election_ticks = ticks(config.election_timeout_ms);
    raft::Config {
        cluster: config.cluster,
        group: config.group,
        conf: first_conf(config),
        election_timeout_ticks_min: election_ticks,
        election_timeout_ticks_max: election_ticks * 2,
        heartbeat_ticks: ticks(config.heartbeat_ms),
        append_bytes_max: config.batch_bytes_max,
        // What is under way to a follower stands before its heartbeats.
        inflight_bytes_max: INFLIGHT_BYTES_MAX,
        uncommitted_bytes_max: config.unapplied_bytes_max * 2,
        log_cache_bytes_max: config.unapplied_bytes_max,
        seed: config.seed,
        bootstrap: Bytes::from(bootstrap.encode()),
        ..raft::Config::new(config.node, config.members.keys().copied())
    }
}

/// The configuration before the log says anything. A node that joins belongs to none: it never stands
/// for election, and follows whoever leads, until its log says who belongs.
fn first_conf(config: &Config) -> ConfState {
    match config.is_joined {
        true => ConfState::default(),
        false => ConfState::of_voters(config.members.keys().copied()),
    }
}

/// What is known of the members before any has been heard from.
pub(super) fn members(config: &Config) -> BTreeMap<NodeId, Member> {
    let member = |(&node, peer_addr): (&NodeId, &String)| {
        let is_self = node == config.node;
        let member = Member {
            peer_addr: peer_addr.clone(),
            client_addr: if is_self {
                config.client_addr.clone()
            } else {
                String::new()
            },
            version: if is_self {
                config.info.version.clone()
            } else {
                String::new()
            },
            feature_level: match is_self {
                true => config.feature_levels.newest,
                false => 0,
            },
            connected: is_self,
            votes: !config.is_joined,
            wish: Wish::Stay,
            is_alive: true,
            matched: 0,
        };
        (node, member)
    };
    config.members.iter().map(member).collect()
}
