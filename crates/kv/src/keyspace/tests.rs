//! The keyspace against a model: a map from keys to versions.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::value::StringValue;

fn keyspace() -> Keyspace {
    Keyspace::new(Placement::new(*b"a cluster secret"))
}

fn entry(key: &[u8], version: u64) -> Entry {
    let value = StringValue::from_bytes(key).into();
    Entry {
        key: Key::new(key),
        value,
        version,
        expire_at: None,
    }
}

/// Sets a key as a database does.
fn put(keyspace: &mut Keyspace, key: &[u8], version: u64) {
    match keyspace.find(key) {
        Ok(place) => keyspace.entry_mut(place).version = version,
        Err(place) => keyspace.insert(place, entry(key, version)),
    }
}

fn delete(keyspace: &mut Keyspace, key: &[u8]) -> Option<u64> {
    keyspace
        .find(key)
        .ok()
        .map(|place| keyspace.remove(place).version)
}

impl Keyspace {
    /// Checks every invariant that the fields state.
    fn check(&self) {
        self.directory.check();
        let sum = self.entries().fold(0, |sum: u64, entry| {
            sum.wrapping_add(rolling::of_entry(entry))
        });
        assert_eq!(self.sum(), sum);
        let mut key_count = 0;
        let mut last: Option<(Position, Key)> = None;
        let mut at = Some(self.directory.find(Position::FIRST));
        while let Some(here) = at {
            at = self.directory.behind(here);
            let segment = self.directory.get(here);
            segment.check();
            assert!(
                segment.len() > 0 || self.directory.len() == 1,
                "segment {here:?} is empty"
            );
            let (start, end) = self.directory.range(here);
            for (position, entry) in segment.entries_from(0) {
                assert_eq!(position, self.placement.position(&entry.key));
                assert!(position >= start && (position < end || end.0 == u64::MAX));
                let here = Some((position, entry.key.clone()));
                assert!(last < here, "{last:?} is before {here:?}");
                last = here;
                key_count += 1;
            }
        }
        assert_eq!(key_count, self.key_count);
    }

    fn contents(&self) -> BTreeMap<Vec<u8>, u64> {
        self.entries()
            .map(|entry| (entry.key.to_vec(), entry.version))
            .collect()
    }
}

#[test]
fn growth_to_many_segments_and_back_to_none() {
    let mut keyspace = keyspace();
    let key = |number: u64| format!("key:{number:08}").into_bytes();
    const KEY_COUNT: u64 = 200_000;
    for number in 0..KEY_COUNT {
        put(&mut keyspace, &key(number), number + 1);
    }
    keyspace.check();
    assert_eq!(keyspace.key_count(), KEY_COUNT as usize);
    let segment_count = keyspace.directory.len();
    assert!(
        (195..450).contains(&segment_count),
        "{segment_count} segments"
    );
    // What a frozen view takes at once.
    assert!(keyspace.freeze().shelves.len() <= segment_count / (directory::SHELF_SEGMENTS_MAX / 2));
    for number in 0..KEY_COUNT {
        assert_eq!(
            keyspace.lookup(&key(number)).map(|entry| entry.version),
            Some(number + 1)
        );
    }
    assert!(keyspace.lookup(b"key:absent").is_none());
    for number in (0..KEY_COUNT).filter(|number| number % 100 != 0) {
        assert_eq!(delete(&mut keyspace, &key(number)), Some(number + 1));
    }
    keyspace.check();
    let left = (KEY_COUNT / 100) as usize;
    assert_eq!(keyspace.key_count(), left);
    assert!(
        keyspace.directory.len() <= left / SEGMENT_KEYS_MIN + 1,
        "{}",
        keyspace.directory.len()
    );
    assert!(
        keyspace.allocated_bytes() < left * 400,
        "{}",
        keyspace.allocated_bytes()
    );
    for number in (0..KEY_COUNT).step_by(100) {
        assert_eq!(delete(&mut keyspace, &key(number)), Some(number + 1));
    }
    keyspace.check();
    assert_eq!(keyspace.directory.len(), 1);
    assert_eq!(keyspace.key_count(), 0);
}

#[test]
fn keys_of_one_hash_tag_are_split_like_all_others() {
    let mut keyspace = keyspace();
    let key = |number: u64| format!("{{tag}}:{number}").into_bytes();
    for number in 0..50_000 {
        put(&mut keyspace, &key(number), number + 1);
        // Neighbours of the crowded slot, so that segments begin with sparse ranges.
        if number % 1_000 == 0 {
            put(&mut keyspace, format!("other:{number}").as_bytes(), 1);
        }
    }
    keyspace.check();
    assert!(
        keyspace.directory.len() < 110,
        "{}",
        keyspace.directory.len()
    );
    let slot = key_slot(b"tag");
    let first = Position::of_slot(slot).expect("a slot in range");
    assert_eq!(
        keyspace.count_between(first, Position::of_slot(slot + 1)),
        50_000
    );
    for number in 0..50_000 {
        assert_eq!(delete(&mut keyspace, &key(number)), Some(number + 1));
    }
    keyspace.check();
    assert_eq!(keyspace.key_count(), 50);
}

#[test]
fn a_segment_of_equal_positions_is_searched_by_key_and_never_split() {
    let placement = Placement::new([0; 16]);
    let range = (Position(0), Position(u64::MAX));
    let mut segment = Segment::default();
    let position = Position(77);
    let keys: Vec<Vec<u8>> = (0..300)
        .map(|number| format!("{number}").into_bytes())
        .collect();
    for key in &keys {
        let rank = segment
            .find(position, key, range)
            .expect_err("not inserted yet");
        segment.insert(rank, position, entry(key, 1));
    }
    assert_eq!(segment.split_rank(), None);
    segment.check();
    for key in &keys {
        let rank = segment.find(position, key, range).expect("inserted");
        assert_eq!(segment.entry(rank).key.as_bytes(), &key[..]);
    }
    let rank = segment
        .find(Position(80), b"next", range)
        .expect_err("not inserted yet");
    segment.insert(rank, Position(80), entry(b"next", 1));
    assert_eq!(segment.split_rank(), Some(300));
    let rank = segment
        .find(Position(80), b"next", range)
        .expect("inserted");
    segment.remove(rank, &placement, range);
    assert_eq!(segment.len(), 300);
}

#[test]
fn a_copy_stays_as_it_was_while_the_original_changes() {
    let mut keyspace = keyspace();
    for number in 0..5_000u64 {
        put(&mut keyspace, &number.to_be_bytes(), 1);
    }
    let before = keyspace.contents();
    let copy = keyspace.clone();
    for number in 0..10_000u64 {
        if number % 3 == 0 {
            delete(&mut keyspace, &number.to_be_bytes());
        } else {
            put(&mut keyspace, &number.to_be_bytes(), 2);
        }
    }
    keyspace.check();
    copy.check();
    assert_eq!(copy.contents(), before);
    assert_ne!(keyspace.contents(), before);
}

#[test]
fn random_entries_are_spread_evenly() {
    let mut keyspace = keyspace();
    for number in 0..20u64 {
        put(&mut keyspace, &number.to_be_bytes(), number + 1);
    }
    let mut state = 1u64;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let mut hits = [0u32; 20];
    for _ in 0..20_000 {
        let entry = keyspace.random_entry(&mut random).expect("there are keys");
        hits[entry.version as usize - 1] += 1;
    }
    assert!(
        hits.iter().all(|hits| (800..1_200).contains(hits)),
        "{hits:?}"
    );
    assert!(self::keyspace().random_entry(random).is_none());
}

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<u8>),
    Delete(Vec<u8>),
    /// Many keys at once, with one hash tag or with none.
    PutMany(u16, bool),
    DeleteMany(u16, bool),
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    let key = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4),
        "[ab]{1,3}".prop_map(String::into_bytes),
        "\\{[ab]\\}[0-9a-f]{0,30}".prop_map(String::into_bytes),
    ];
    prop_oneof![
        40 => key.clone().prop_map(Step::Put),
        20 => key.prop_map(Step::Delete),
        4 => (0..3_000u16, any::<bool>()).prop_map(|(count, tagged)| Step::PutMany(count, tagged)),
        4 => (0..3_000u16, any::<bool>()).prop_map(|(count, tagged)| Step::DeleteMany(count, tagged)),
        1 => Just(Step::Take),
    ]
}

fn numbered(number: u16, tagged: bool) -> Vec<u8> {
    let tag = if tagged { "{tag}" } else { "" };
    format!("{tag}{}", u32::from(number) * 7 % 3_001).into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn behaves_as_a_map(steps in prop::collection::vec(step(), 1..80), from in any::<u64>()) {
        let mut keyspace = keyspace();
        let mut model = BTreeMap::new();
        for (version, step) in (1u64..).zip(steps) {
            match step {
                Step::Put(key) => {
                    put(&mut keyspace, &key, version);
                    model.insert(key, version);
                }
                Step::Delete(key) => {
                    prop_assert_eq!(delete(&mut keyspace, &key), model.remove(&key));
                }
                Step::PutMany(count, tagged) => {
                    for number in 0..count {
                        put(&mut keyspace, &numbered(number, tagged), version);
                        model.insert(numbered(number, tagged), version);
                    }
                }
                Step::DeleteMany(count, tagged) => {
                    for number in 0..count {
                        let removed = delete(&mut keyspace, &numbered(number, tagged));
                        prop_assert_eq!(removed, model.remove(&numbered(number, tagged)));
                    }
                }
                Step::Take => {
                    keyspace.take_all();
                    model.clear();
                }
            }
        }
        keyspace.check();
        prop_assert_eq!(keyspace.contents(), model.clone());
        let placement = Placement::new(*b"a cluster secret");
        let from = Position(from);
        let walked = keyspace.entries_from(from).count();
        let expected = model.keys().filter(|key| placement.position(key) >= from).count();
        prop_assert_eq!(walked, expected);
        prop_assert_eq!(keyspace.count_between(from, None), expected);
    }
}

/// The numbers of segments and of pages that are not shared with a frozen view.
fn copied(keyspace: &Keyspace, frozen: &FrozenKeyspace) -> (usize, usize) {
    let (mut segments, mut pages) = (0, 0);
    let theirs = frozen.shelves.iter().flat_map(|shelf| shelf.segments());
    for (mine, theirs) in keyspace.directory.segments().zip(theirs) {
        let (all, shared) = mine.pages_shared_with(theirs);
        segments += usize::from(!std::ptr::eq(mine, Arc::as_ref(theirs)));
        pages += all - shared;
    }
    (segments, pages)
}

#[test]
fn while_a_frozen_view_lives_a_change_copies_one_page_of_one_segment() {
    let mut keyspace = keyspace();
    for number in 0..20_000 {
        put(&mut keyspace, format!("key:{number}").as_bytes(), 1);
    }
    let frozen = keyspace.freeze();
    assert!(keyspace.directory.len() > 20);
    assert_eq!(copied(&keyspace, &frozen), (0, 0));
    put(&mut keyspace, b"key:7", 2);
    assert_eq!(copied(&keyspace, &frozen), (1, 1));
    // What is copied already is not copied again.
    put(&mut keyspace, b"key:7", 3);
    assert_eq!(copied(&keyspace, &frozen), (1, 1));
    let is_old = |entry: &Entry| entry.version == 1;
    assert!(frozen.entries().all(is_old), "the frozen view changed");
    assert_eq!(frozen.entries().count(), frozen.key_count());
    // What is given back is not copied at all.
    drop(frozen);
    let place = keyspace.find(b"key:8").expect("it was put");
    let segment: *const Segment = keyspace.directory.get(place.segment);
    put(&mut keyspace, b"key:8", 2);
    assert!(std::ptr::eq(keyspace.directory.get(place.segment), segment));
    keyspace.check();
}

#[test]
fn a_built_keyspace_is_as_one_that_was_filled() {
    for key_count in [0, 1, 767, 768, 769, 5_000] {
        let mut filled = keyspace();
        for number in 0..key_count {
            put(&mut filled, format!("key:{number}").as_bytes(), number + 1);
        }
        let mut builder = Builder::new(filled.placement.clone());
        for entry in filled.entries() {
            builder.push(entry.clone()).expect("they are in order");
        }
        if let Some(first) = filled.entries().next() {
            let again = builder.push(first.clone());
            assert_eq!(again, Err(PushError::Order));
        }
        let mut built = builder.finish();
        built.check();
        assert_eq!(built.key_count(), filled.key_count());
        let versions = |keyspace: &Keyspace| -> Vec<u64> {
            keyspace.entries().map(|entry| entry.version).collect()
        };
        assert_eq!(versions(&built), versions(&filled));
        // It goes on like any other.
        for number in 0..2_000 {
            put(&mut built, format!("more:{number}").as_bytes(), 1);
        }
        for number in 0..key_count {
            let key = format!("key:{number}");
            assert_eq!(delete(&mut built, key.as_bytes()), Some(number + 1));
        }
        built.check();
    }
}
