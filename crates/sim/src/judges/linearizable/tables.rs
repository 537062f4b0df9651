//! Numbers for what the search meets again and again: values, states, sets of unknown operations.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::judges::linearizable::model::Contents;

/// A map with a hash that is fast and always the same. Nobody walks through it.
pub(crate) type Fast<K, V> = HashMap<K, V, BuildHasherDefault<FastHasher>>;

/// Multiply and rotate, as the compiler's own tables do it (FxHash). The keys come from a history that
/// its owner wants to have judged: no defence against chosen keys is needed.
#[derive(Default)]
pub(crate) struct FastHasher(u64);

impl FastHasher {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for FastHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.add(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.add(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.add(number);
    }

    fn write_u128(&mut self, number: u128) {
        self.add(number as u64);
        self.add((number >> 64) as u64);
    }

    fn write_usize(&mut self, number: usize) {
        self.add(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

/// The number of "no value".
const ABSENT: u32 = 0;

/// What the keys hold, numbered. State 0: nothing.
pub(crate) struct States {
    slots: usize,
    /// By number. The first is "no value".
    values: Vec<Option<Vec<u8>>>,
    value_numbers: Fast<Vec<u8>, u32>,
    /// By state and slot: twice the value's number, and one more if it may expire.
    words: Vec<u32>,
    state_numbers: Fast<Box<[u32]>, u32>,
}

impl States {
    pub(crate) fn new(slots: usize) -> States {
        let first = vec![ABSENT; slots];
        let mut state_numbers = Fast::default();
        state_numbers.insert(first.clone().into_boxed_slice(), 0);
        States {
            slots,
            values: vec![None],
            value_numbers: Fast::default(),
            words: first,
            state_numbers,
        }
    }

    /// The number of a value, which is new if need be.
    pub(crate) fn value_number(&mut self, value: Option<&[u8]>) -> u32 {
        let Some(value) = value else {
            return ABSENT;
        };
        if let Some(&number) = self.value_numbers.get(value) {
            return number;
        }
        let number = self.values.len() as u32;
        self.values.push(Some(value.to_vec()));
        self.value_numbers.insert(value.to_vec(), number);
        number
    }

    /// The number of a value that has one.
    pub(crate) fn known_value(&self, value: &[u8]) -> Option<u32> {
        self.value_numbers.get(value).copied()
    }

    /// Value and expiry of a slot as one number.
    pub(crate) fn word(&self, state: u32, slot: usize) -> u32 {
        self.words[state as usize * self.slots + slot]
    }

    /// The number of the value that a slot holds.
    pub(crate) fn value(&self, state: u32, slot: usize) -> u32 {
        self.word(state, slot) / 2
    }

    /// What a slot holds.
    pub(crate) fn contents(&self, state: u32, slot: usize) -> Contents {
        let word = self.word(state, slot);
        Contents {
            value: self.values[word as usize / 2].clone(),
            may_expire: word % 2 == 1,
        }
    }

    /// Whether the values of a slot differ.
    pub(crate) fn differ(&self, one: u32, other: u32, slot: usize) -> bool {
        self.value(one, slot) != self.value(other, slot)
    }

    /// The word of contents.
    pub(crate) fn word_of(&mut self, contents: &Contents) -> u32 {
        let value = self.value_number(contents.value.as_deref());
        value * 2 + u32::from(contents.may_expire)
    }

    /// The state with other words in some slots.
    pub(crate) fn with(&mut self, state: u32, changed: &[(u32, u32)]) -> u32 {
        let start = state as usize * self.slots;
        let words = &self.words[start..start + self.slots];
        if changed
            .iter()
            .all(|&(slot, word)| words[slot as usize] == word)
        {
            return state;
        }
        let mut words: Box<[u32]> = words.into();
        for &(slot, word) in changed {
            words[slot as usize] = word;
        }
        self.number(words)
    }

    /// The state after the key of a slot expired, if it may.
    pub(crate) fn expired(&mut self, state: u32, slot: usize) -> Option<u32> {
        if self.word(state, slot).is_multiple_of(2) {
            return None;
        }
        let start = state as usize * self.slots;
        let mut words: Box<[u32]> = self.words[start..start + self.slots].into();
        words[slot] = ABSENT;
        Some(self.number(words))
    }

    fn number(&mut self, words: Box<[u32]>) -> u32 {
        let fresh = self.state_numbers.len() as u32;
        if let Some(&number) = self.state_numbers.get(&words) {
            return number;
        }
        self.words.extend_from_slice(&words);
        self.state_numbers.insert(words, fresh);
        fresh
    }
}

/// Classes in order, with how many of each.
type UsedCounts = Box<[(u32, u32)]>;

/// How many of each class of unknown operations were used, numbered. Set 0: none.
pub(crate) struct Sets {
    /// By number: how many of each class, and of all.
    sets: Vec<(UsedCounts, u32)>,
    numbers: Fast<UsedCounts, u32>,
    /// By set and class: the set with one more.
    grown: Fast<(u32, u32), u32>,
}

impl Sets {
    pub(crate) fn new() -> Sets {
        let mut numbers = Fast::default();
        numbers.insert(Box::default(), 0);
        Sets {
            sets: vec![(Box::default(), 0)],
            numbers,
            grown: Fast::default(),
        }
    }

    /// How many operations a set has.
    pub(crate) fn used(&self, set: u32) -> u32 {
        self.sets[set as usize].1
    }

    /// How many of a class it has.
    pub(crate) fn count(&self, set: u32, class: u32) -> u32 {
        let set = &self.sets[set as usize].0;
        match set.binary_search_by_key(&class, |&(class, _)| class) {
            Ok(place) => set[place].1,
            Err(_) => 0,
        }
    }

    /// The set with one more of a class.
    pub(crate) fn with(&mut self, set: u32, class: u32) -> u32 {
        if let Some(&grown) = self.grown.get(&(set, class)) {
            return grown;
        }
        let (from, used) = &self.sets[set as usize];
        let mut counts = from.to_vec();
        let used = used + 1;
        match counts.binary_search_by_key(&class, |&(class, _)| class) {
            Ok(place) => counts[place].1 += 1,
            Err(place) => counts.insert(place, (class, 1)),
        }
        let counts = counts.into_boxed_slice();
        let fresh = self.sets.len() as u32;
        let number = *self.numbers.entry(counts.clone()).or_insert(fresh);
        if number == fresh {
            self.sets.push((counts, used));
        }
        self.grown.insert((set, class), number);
        number
    }

    /// Whether one set has no more of any class than another.
    pub(crate) fn is_within(&self, one: u32, other: u32) -> bool {
        if one == other || one == 0 {
            return true;
        }
        let (small, large) = (&self.sets[one as usize], &self.sets[other as usize]);
        if small.1 >= large.1 {
            return false;
        }
        let mut rest = large.0.iter();
        small
            .0
            .iter()
            .all(|&(class, count)| rest.any(|&(other, have)| other == class && have >= count))
    }
}
