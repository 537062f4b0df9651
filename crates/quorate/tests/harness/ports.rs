//! Ports that nobody uses.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, RandomState},
    net::TcpListener,
    sync::{Mutex, PoisonError},
};

/// Where ports are looked for: below those that kernels hand to outgoing connections, because such a connection may
/// otherwise take the port of a node between its death and its restart.
const RANGE: std::ops::Range<u16> = 12_000..32_000;

/// Finds ports of 127.0.0.1 that are free, different from all that this process was given before.
pub fn free_ports(count: usize) -> Vec<u16> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let width = RANGE.end - RANGE.start;
    // Two test processes that run at the same time begin at different places.
    let start = (RandomState::new().hash_one(std::process::id()) % u64::from(width)) as u16;
    let candidates = (0..width).map(|step| RANGE.start + (start + step) % width);
    let free = candidates
        .filter(|port| !given.contains(port))
        .filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    let ports: Vec<u16> = free.take(count).collect();
    assert_eq!(ports.len(), count, "not enough free ports in {RANGE:?}");
    given.extend(&ports);
    ports
}
