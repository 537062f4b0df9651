//! SCAN's promise: a key that stays is returned, whatever happens to the others meanwhile.

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use support::Replica;

/// Adds and removes keys that are not watched.
fn churn(replica: &mut Replica, seed: u64, count: u64) {
    replica.begin_entry();
    for number in 0..count {
        let number = seed.wrapping_mul(31).wrapping_add(number);
        let key = format!("churn:{}", number % 5_000);
        let tagged = format!("{{tag}}churn:{}", number % 3_000);
        if seed.is_multiple_of(2) {
            replica.run_in_entry(&[b"SET", key.as_bytes(), b"v"]);
            replica.run_in_entry(&[b"SET", tagged.as_bytes(), b"v"]);
        } else {
            replica.run_in_entry(&[b"DEL", key.as_bytes(), tagged.as_bytes()]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_key_that_stays_is_returned_exactly_once(
        stayers in 0..3_000usize,
        count in 1..700usize,
        tagged in any::<bool>(),
        churns in prop::collection::vec((any::<u16>(), 0..4_000u64), 1..12),
    ) {
        let mut replica = Replica::new();
        let tag = if tagged { "{tag}" } else { "" };
        replica.begin_entry();
        for number in 0..stayers {
            replica.run_in_entry(&[b"SET", format!("{tag}stays:{number}").as_bytes(), b"v"]);
        }
        let mut returned: BTreeMap<String, u32> = BTreeMap::new();
        let mut churns = churns.into_iter().cycle();
        let mut pages_left = 40;
        let mut cursor = "0".to_owned();
        loop {
            // The walk ends even if the churn never does: later pages are left alone.
            if pages_left > 0 {
                let (seed, changes) = churns.next().expect("a cycle has no end");
                churn(&mut replica, u64::from(seed), changes);
                pages_left -= 1;
            }
            let (next, page) = replica.scan_page(&cursor, count);
            for key in page.into_iter().filter(|key| key.contains("stays:")) {
                *returned.entry(key).or_default() += 1;
            }
            if next == "0" {
                break;
            }
            prop_assert!(next.parse::<u64>().expect("a number") < 1 << 53);
            cursor = next;
        }
        prop_assert_eq!(returned.len(), stayers);
        prop_assert!(returned.values().all(|count| *count == 1));
    }
}

#[test]
fn a_page_looks_at_count_keys_and_no_more() {
    let mut replica = Replica::new();
    replica.begin_entry();
    for number in 0..10_000 {
        replica.run_in_entry(&[b"SET", format!("key:{number}").as_bytes(), b"v"]);
    }
    assert_eq!(replica.scan_page("0", 10).1.len(), 10);
    let (_, page) = replica.scan_page("0", 100);
    assert_eq!(page.len(), 100);
    // With a pattern that nothing matches, the page is empty and the walk goes on.
    let reply = replica.run("SCAN 0 MATCH nosuch COUNT 10");
    assert!(
        reply.starts_with("*2|") && reply.ends_with("|*0|") && !reply.contains("|0|"),
        "{reply}"
    );
}

#[test]
fn a_cursor_is_valid_on_every_replica() {
    let mut replicas = [Replica::new(), Replica::new()];
    for replica in &mut replicas {
        replica.begin_entry();
    }
    for number in 0..5_000 {
        let key = format!("key:{number}");
        replicas[0].run_in_entry(&[b"SET", key.as_bytes(), b"v"]);
    }
    // The other has the same keys by another history, so other segments.
    for number in (0..9_000).rev() {
        replicas[1].run_in_entry(&[b"SET", format!("key:{number}").as_bytes(), b"v"]);
    }
    for number in 5_000..9_000 {
        replicas[1].run_in_entry(&[b"DEL", format!("key:{number}").as_bytes()]);
    }
    let mut cursor = "0".to_owned();
    let mut served_by = 0;
    let mut keys = Vec::new();
    loop {
        assert_eq!(
            replicas[0].scan_page(&cursor, 50),
            replicas[1].scan_page(&cursor, 50)
        );
        let (next, page) = replicas[served_by].scan_page(&cursor, 50);
        keys.extend(page);
        served_by = 1 - served_by;
        if next == "0" {
            break;
        }
        cursor = next;
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 5_000);
}
