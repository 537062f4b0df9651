//! The search for an order: just-in-time linearization (Wing and Gong 1993; Lowe, "Testing for
//! linearizability", 2017) over the set of all situations that are still possible.
//!
//! The search goes through the events in order of time and keeps every [`Situation`] that explains the
//! returns so far: which of the open operations have taken effect, and what the keys hold. Nothing is
//! decided before it must be: only when an operation returns that has not taken effect, all ways are
//! tried to let others take effect first and then it. No situation left: no order explains the history,
//! and the operation that returned is where it became clear.
//!
//! An operation with unknown outcome never has to take effect. So a situation is dropped if another one
//! differs only in having used fewer of them. Equal unknown operations are used in order of their calls.
//!
//! Four rules cut the search without changing its result.
//! - Before an operation takes effect only those are tried that have to do with it: that touch its keys, or
//!   keys of such, or come before such in their process. Others can as well come after it.
//! - A pure read takes effect as soon as its reply fits: it changes nothing for the others.
//! - A value that can come only once ([`Shape`]) is not left before everyone who saw it has taken effect,
//!   those who ask only later included.
//! - On a key whose values come only once, the write that saw the present value takes effect as soon as
//!   it is the last who saw it: no other write can come first.
//!
//! In practice an unknown operation took effect where nothing else explains what was seen, and two at a
//! time are rare; and servers may have said in which order they executed the others. So the search first
//! tries only that, then without the servers' word, then one unknown operation at a time anywhere, then any
//! number: an order found is an order, only "there is none" needs the last.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::history::Reply;
use crate::judges::linearizable::model::{Contents, Expect};
use crate::judges::linearizable::problem::{Event, Item, Problem, Shape};
use crate::judges::linearizable::tables::{Fast, Sets, States};

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// There is an order.
    Found,
    /// There is none: this item cannot have returned as it did.
    None(usize),
    /// The limit was reached before that was known.
    GivenUp,
}

/// No item, lock, bit, word or state.
const NONE: u32 = u32::MAX;

/// How many known operations may be open at once.
const OPEN_MAX: u32 = u128::BITS;

/// How many situations that differ only in the unknown operations that they used are kept by a search
/// that does not try everything.
const LAZY_KEPT_MAX: usize = 4;

/// A situation that is possible at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Situation {
    /// Which of the open known operations have taken effect.
    known: u128,
    /// How many of each class of unknown operations have: a number in `Sets`.
    unknown: u32,
    /// What the keys hold: a number in `States`.
    state: u32,
}

/// Who saw a value that comes only once.
#[derive(Clone, Copy, Default)]
struct Lock {
    /// How many of them have not returned.
    left: u32,
    /// The bits of those who are open.
    open: u128,
}

/// What can matter when an item is to take effect.
struct Involved {
    mask: u128,
    open: Vec<usize>,
    classes: Vec<u32>,
}

/// Equal operations of unknown outcome.
struct Class {
    /// One of them.
    item: usize,
    /// How many of them were called.
    called: u32,
}

/// Which of the possible orders are tried.
#[derive(Clone, Copy)]
struct Effort {
    /// Known operations take effect in the order that the servers say.
    is_hinted: bool,
    /// Unknown operations are not used as long as something is possible without.
    is_lazy: bool,
    /// How many of them may take effect between two returns.
    gap_max: u32,
}

struct Search<'a> {
    problem: &'a Problem,
    shapes: Vec<Shape>,
    states: States,
    sets: Sets,
    /// Of items on one key, by item and word: the word after, or `NONE` if the replies do not fit.
    moves: Fast<(u32, u32), u32>,
    /// By slot and value.
    lock_of: Fast<(u32, u32), u32>,
    locks: Vec<Lock>,
    /// Slots and values that unknown operations have as their condition.
    conditions: BTreeSet<(u32, u32)>,
    /// By item: the locks of the values that it saw.
    seen: Vec<Vec<u32>>,
    /// By item: the slots that it touches, each once.
    slots: Vec<Vec<u32>>,
    /// By item: the same as bits. A bit may stand for several slots.
    masks: Vec<u128>,
    pure: Vec<bool>,
    classes: Vec<Class>,
    class_of: Vec<u32>,
    /// By item: the operation that the process asked before on its connection.
    previous: Vec<u32>,
    /// By item: its bit, while it is open.
    bits: Vec<u32>,
    free: u128,
    /// The known operations that were called and have not returned, in order of their calls.
    open: Vec<usize>,
    has_expiry: bool,
    effort: Effort,
    /// Whether this kept the search from something.
    was_narrow: bool,
    steps: u64,
    steps_max: u64,
}

/// Slots as bits.
fn mask(slots: &[u32]) -> u128 {
    let bits = slots.iter().map(|slot| 1 << (slot % u128::BITS));
    bits.fold(0, |mask: u128, bit: u128| mask | bit)
}

/// Searches for an order. Returns how it ended, and how many steps it took.
pub(crate) fn search(problem: &Problem, program_order: bool, steps_max: u64) -> (End, u64) {
    let has_hints = problem.items.iter().any(|item| item.hint.is_some());
    let efforts = [
        (true, true, 16, 2),
        (true, false, 1, 8),
        (false, true, 16, 4),
        (false, false, 1, 2),
        (false, false, u32::MAX, 1),
    ];
    let mut steps = 0;
    let mut end = End::GivenUp;
    for (is_hinted, is_lazy, gap_max, share) in efforts {
        if is_hinted && !has_hints {
            continue;
        }
        let effort = Effort {
            is_hinted,
            is_lazy,
            gap_max,
        };
        let mut search = Search::new(problem, program_order, effort);
        search.steps_max = steps_max.saturating_sub(steps) / share;
        end = search.run();
        steps += search.steps;
        let is_sure = match end {
            End::Found => true,
            End::None(_) => !is_hinted && !is_lazy && !search.was_narrow,
            End::GivenUp => false,
        };
        if is_sure {
            break;
        }
    }
    (end, steps)
}

impl<'a> Search<'a> {
    fn new(problem: &'a Problem, program_order: bool, effort: Effort) -> Search<'a> {
        let items = problem.items.len();
        let steps = || problem.items.iter().flat_map(|item| &item.steps);
        let mut search = Search {
            problem,
            shapes: Shape::of(problem),
            states: States::new(problem.slots),
            sets: Sets::new(),
            moves: Fast::default(),
            lock_of: Fast::default(),
            locks: Vec::new(),
            conditions: BTreeSet::new(),
            seen: vec![Vec::new(); items],
            slots: problem.items.iter().map(Item::slots).collect(),
            masks: Vec::new(),
            pure: problem.items.iter().map(Item::is_pure).collect(),
            classes: Vec::new(),
            class_of: vec![NONE; items],
            previous: vec![NONE; items],
            bits: vec![NONE; items],
            free: u128::MAX,
            open: Vec::new(),
            has_expiry: steps().any(|step| step.kind.sets_expiry()),
            effort,
            was_narrow: false,
            steps: 0,
            steps_max: 0,
        };
        let masks = search.slots.iter().map(|slots| mask(slots));
        search.masks = masks.collect();
        search.find_locks();
        search.find_classes();
        if program_order {
            search.find_previous();
        }
        search
    }

    fn find_locks(&mut self) {
        for (place, item) in self.problem.items.iter().enumerate() {
            for &slot in &self.slots[place] {
                let shape = &self.shapes[slot as usize];
                let value = item.demanded(slot, shape);
                let Some(value) = value.filter(|value| shape.comes_once(value.as_deref())) else {
                    continue;
                };
                let value = self.states.value_number(value.as_deref());
                if !item.known {
                    self.conditions.insert((slot, value));
                    continue;
                }
                let fresh = self.locks.len() as u32;
                let lock = *self.lock_of.entry((slot, value)).or_insert(fresh);
                if lock == fresh {
                    self.locks.push(Lock::default());
                }
                self.locks[lock as usize].left += 1;
                self.seen[place].push(lock);
            }
        }
    }

    /// Puts equal unknown operations into classes. Those that nobody can ever have noticed have none.
    fn find_classes(&mut self) {
        let mut numbers = HashMap::new();
        for (place, item) in self.problem.items.iter().enumerate() {
            if item.known || self.is_unnoticed(place) {
                continue;
            }
            let fresh = self.classes.len() as u32;
            let class = *numbers.entry(&item.steps).or_insert(fresh);
            if class == fresh {
                self.classes.push(Class {
                    item: place,
                    called: 0,
                });
            }
            self.class_of[place] = class;
        }
    }

    /// Whether an unknown operation wrote a value that nobody saw, to a key of which nobody asks for
    /// less than the whole value: an order with it is one without it too.
    fn is_unnoticed(&self, place: usize) -> bool {
        let [step] = self.problem.items[place].steps.as_slice() else {
            return false;
        };
        let Shape::Register { exact: true, .. } = &self.shapes[step.key as usize] else {
            return false;
        };
        let is_seen = |value| {
            let number = self.states.known_value(value);
            number.is_some_and(|number| {
                let place = (step.key, number);
                self.lock_of.contains_key(&place) || self.conditions.contains(&place)
            })
        };
        let shape = &self.shapes[step.key as usize];
        let value = step.kind.written();
        value.is_some_and(|value| shape.comes_once(Some(value)) && !is_seen(value))
    }

    fn find_previous(&mut self) {
        let mut last: HashMap<u32, usize> = HashMap::new();
        for (place, item) in self.problem.items.iter().enumerate() {
            if item.known
                && let Some(previous) = last.insert(item.process, place)
            {
                self.previous[place] = previous as u32;
            }
        }
    }

    fn run(&mut self) -> End {
        let mut frontier = vec![Situation {
            known: 0,
            unknown: 0,
            state: 0,
        }];
        let problem = self.problem;
        for &event in &problem.events {
            match event {
                Event::Call(item) if problem.items[item].known => {
                    if self.free == 0 {
                        return End::GivenUp;
                    }
                    self.call(item);
                    for situation in &mut frontier {
                        self.settle(situation);
                    }
                    self.retire(&mut frontier);
                }
                Event::Call(item) => {
                    if self.class_of[item] != NONE {
                        self.classes[self.class_of[item] as usize].called += 1;
                    }
                }
                // It took effect in all situations already.
                Event::Return(item) if self.bits[item] == NONE => {}
                Event::Return(item) => {
                    self.require(item, &mut frontier);
                    if self.steps > self.steps_max {
                        return End::GivenUp;
                    }
                    if frontier.is_empty() {
                        return End::None(item);
                    }
                }
            }
        }
        End::Found
    }

    fn call(&mut self, item: usize) {
        let bit = self.free.trailing_zeros();
        debug_assert!(bit < OPEN_MAX);
        self.free &= !(1 << bit);
        self.bits[item] = bit;
        self.open.push(item);
        for &lock in &self.seen[item] {
            self.locks[lock as usize].open |= 1 << bit;
        }
    }

    /// Keeps the situations in which the item has taken effect, or can by now.
    fn require(&mut self, item: usize, frontier: &mut Vec<Situation>) {
        let bit = 1_u128 << self.bits[item];
        let (mut done, waiting): (Vec<Situation>, Vec<Situation>) =
            frontier.iter().partition(|it| it.known & bit != 0);
        if !waiting.is_empty() {
            self.extend(item, bit, waiting, &mut done);
        }
        *frontier = done;
        self.retire(frontier);
        self.drop_weaker(frontier);
    }

    /// Forgets the open operations that have taken effect in all situations. The returns that are still to
    /// come say nothing new.
    fn retire(&mut self, frontier: &mut [Situation]) {
        let everywhere = frontier
            .iter()
            .fold(u128::MAX, |known, it| known & it.known);
        let bits = &mut self.bits;
        let (seen, locks) = (&self.seen, &mut self.locks);
        let mut retired = 0;
        self.open.retain(|&item| {
            let bit = 1 << bits[item];
            if everywhere & bit == 0 {
                return true;
            }
            for &lock in &seen[item] {
                let lock = &mut locks[lock as usize];
                lock.left -= 1;
                lock.open &= !bit;
            }
            bits[item] = NONE;
            retired |= bit;
            false
        });
        for situation in frontier {
            situation.known &= !retired;
        }
        self.free |= retired;
    }

    /// Tries all ways in which others take effect and then the item.
    fn extend(
        &mut self,
        item: usize,
        bit: u128,
        mut waiting: Vec<Situation>,
        done: &mut Vec<Situation>,
    ) {
        let involved = self.involved(item);
        // Those that used fewer unknown operations first: they make others needless.
        waiting.sort_by_key(|it| self.sets.used(it.unknown));
        let base = waiting.first().map_or(0, |it| self.sets.used(it.unknown));
        // By how many they used beyond the base. With each, how many it may have used at last.
        let mut levels: VecDeque<Vec<(Situation, u32)>> = VecDeque::new();
        for situation in waiting {
            let used = self.sets.used(situation.unknown);
            let place = (used - base) as usize;
            if levels.len() <= place {
                levels.resize_with(place + 1, Vec::new);
            }
            levels[place].push((situation, used.saturating_add(self.effort.gap_max)));
        }
        let mut seen: Fast<(u128, u32), Vec<u32>> = Fast::default();
        let mut next = Vec::new();
        let mut level = base;
        while let Some(mut stack) = levels.pop_front() {
            let mut finished = Vec::new();
            while let Some((situation, used_max)) = stack.pop() {
                if self.steps > self.steps_max {
                    return;
                }
                if self.is_needless(situation, &mut seen) {
                    continue;
                }
                self.known_successors(situation, &involved, &mut next);
                for successor in next.drain(..) {
                    match successor.known & bit != 0 {
                        true => done.push(successor),
                        false => stack.push((successor, used_max)),
                    }
                }
                finished.push((situation, used_max));
            }
            if self.effort.is_lazy && !done.is_empty() && !involved.classes.is_empty() {
                self.was_narrow = true;
                return;
            }
            for (situation, used_max) in finished {
                if self.steps > self.steps_max {
                    return;
                }
                self.unknown_successors(situation, &involved, level < used_max, &mut next);
                for successor in next.drain(..) {
                    if successor.known & bit != 0 {
                        done.push(successor);
                        continue;
                    }
                    if levels.is_empty() {
                        levels.push_back(Vec::new());
                    }
                    levels[0].push((successor, used_max));
                }
            }
            level += 1;
        }
    }

    /// Whether a situation was met already that differs only in having used fewer unknown operations.
    fn is_needless(
        &mut self,
        situation: Situation,
        seen: &mut Fast<(u128, u32), Vec<u32>>,
    ) -> bool {
        let others = seen.entry((situation.known, situation.state)).or_default();
        self.steps += others.len() as u64 / 4;
        let sets = &self.sets;
        let is_needless = others
            .iter()
            .any(|&it| sets.is_within(it, situation.unknown));
        if !is_needless {
            others.push(situation.unknown);
        }
        is_needless
    }

    /// What can matter for an item: operations that touch its keys, those that come before such in their
    /// processes, those that touch the keys of these, and so on.
    fn involved(&mut self, item: usize) -> Involved {
        let mut involved = Involved {
            mask: self.masks[item],
            open: vec![item],
            classes: Vec::new(),
        };
        if self.effort.is_lazy {
            // First everything else.
            self.involve_open(&mut involved);
            self.involve_classes(&mut involved);
            return involved;
        }
        while self.involve_open(&mut involved) || self.involve_classes(&mut involved) {}
        involved
    }

    /// Adds open operations until there are no more to add. Returns whether there were some.
    fn involve_open(&self, involved: &mut Involved) -> bool {
        let before = involved.open.len();
        loop {
            let was = involved.open.len();
            for &other in &self.open {
                let precedes = |it: &usize| self.previous[*it] == other as u32;
                if !involved.open.contains(&other)
                    && (self.masks[other] & involved.mask != 0
                        || involved.open.iter().any(precedes))
                {
                    involved.open.push(other);
                    involved.mask |= self.masks[other];
                }
            }
            if involved.open.len() == was {
                return was > before;
            }
        }
    }

    /// Adds the classes that touch what is involved. Returns whether there were some.
    fn involve_classes(&mut self, involved: &mut Involved) -> bool {
        self.steps += self.classes.len() as u64 / 8;
        let (before, mask) = (involved.classes.len(), involved.mask);
        // They are sorted, so one walk finds who is there already.
        let mut there = std::mem::take(&mut involved.classes).into_iter().peekable();
        for (class, Class { item, called }) in (0..).zip(&self.classes) {
            let is_there = there.next_if_eq(&class).is_some();
            if is_there || (*called > 0 && self.masks[*item] & mask != 0) {
                involved.classes.push(class);
                involved.mask |= self.masks[*item];
            }
        }
        involved.classes.len() > before
    }

    /// The situations after one more known operation took effect, or a key expired.
    fn known_successors(
        &mut self,
        from: Situation,
        involved: &Involved,
        next: &mut Vec<Situation>,
    ) {
        let mut first = None;
        for &item in &involved.open {
            // A pure read that fits has taken effect already.
            if !self.is_enabled(from, item) || self.pure[item] {
                continue;
            }
            let hint = self.problem.items[item].hint;
            if !self.effort.is_hinted || hint.is_none() {
                self.known_successor(from, item, next);
            } else if first.is_none_or(|(least, _)| hint < least) {
                first = Some((hint, item));
            }
        }
        if let Some((_, item)) = first {
            self.known_successor(from, item, next);
        }
        if self.has_expiry {
            self.expire(from, involved, next);
        }
    }

    /// The situations after one more unknown operation took effect.
    fn unknown_successors(
        &mut self,
        from: Situation,
        involved: &Involved,
        may_use: bool,
        next: &mut Vec<Situation>,
    ) {
        for &class in &involved.classes {
            let Class { item, called } = self.classes[class as usize];
            if self.sets.count(from.unknown, class) == called {
                continue;
            }
            let state = self.step(item, from.state);
            if state == NONE || state == from.state || !self.may_leave(from, state, item) {
                continue;
            }
            if !may_use {
                self.was_narrow = true;
                return;
            }
            let unknown = self.sets.with(from.unknown, class);
            let mut to = Situation {
                unknown,
                state,
                ..from
            };
            self.settle(&mut to);
            next.push(to);
        }
    }

    fn expire(&mut self, from: Situation, involved: &Involved, next: &mut Vec<Situation>) {
        for slot in 0..self.problem.slots {
            if mask(&[slot as u32]) & involved.mask == 0 {
                continue;
            }
            let Some(state) = self.states.expired(from.state, slot) else {
                continue;
            };
            let lock = self.lock(from.state, slot as u32);
            if lock == NONE || self.is_last(from, lock, None) {
                let mut to = Situation { state, ..from };
                self.settle(&mut to);
                next.push(to);
            }
        }
    }

    fn known_successor(&mut self, from: Situation, item: usize, next: &mut Vec<Situation>) {
        let state = self.step(item, from.state);
        if state == NONE || !self.may_leave(from, state, item) {
            return;
        }
        let mut to = Situation {
            known: from.known | 1 << self.bits[item],
            state,
            ..from
        };
        self.settle(&mut to);
        next.push(to);
    }

    /// Lets those take effect that lose nothing by it: pure reads that fit, and writes that must be
    /// the next.
    fn settle(&mut self, situation: &mut Situation) {
        let mut place = 0;
        while place < self.open.len() {
            let item = self.open[place];
            place += 1;
            if !self.is_enabled(*situation, item)
                || (!self.pure[item] && self.seen[item].is_empty())
            {
                continue;
            }
            let state = self.step(item, situation.state);
            if state == NONE {
                continue;
            }
            if self.pure[item] {
                situation.known |= 1 << self.bits[item];
                place = if self.seen[item].is_empty() { place } else { 0 };
            } else if self.is_forced(*situation, state, item) {
                situation.known |= 1 << self.bits[item];
                situation.state = state;
                place = 0;
            }
        }
    }

    /// Whether a known item is open, has not taken effect, and the one before it in its process has.
    fn is_enabled(&self, situation: Situation, item: usize) -> bool {
        if situation.known >> self.bits[item] & 1 == 1 {
            return false;
        }
        let previous = self.previous[item];
        if previous == NONE {
            return true;
        }
        let bit = self.bits[previous as usize];
        bit == NONE || situation.known >> bit & 1 == 1
    }

    /// Whether everyone has taken effect who saw the values that the item takes away.
    fn may_leave(&self, from: Situation, state: u32, mover: usize) -> bool {
        self.slots[mover].iter().all(|&slot| {
            let lock = self.lock(from.state, slot);
            lock == NONE
                || !self.states.differ(from.state, state, slot as usize)
                || self.is_last(from, lock, Some(mover))
        })
    }

    /// The lock of the value that a slot holds.
    fn lock(&self, state: u32, slot: u32) -> u32 {
        let value = self.states.value(state, slot as usize);
        self.lock_of.get(&(slot, value)).copied().unwrap_or(NONE)
    }

    /// Whether nobody but the mover still has to see the value of a lock.
    fn is_last(&self, from: Situation, lock: u32, mover: Option<usize>) -> bool {
        let Lock { left, open } = self.locks[lock as usize];
        let waiting = left - (from.known & open).count_ones();
        let is_one = mover.is_some_and(|mover| self.seen[mover].contains(&lock));
        waiting == u32::from(is_one)
    }

    /// Whether no other write can come before this one on any key that it writes.
    fn is_forced(&self, from: Situation, state: u32, item: usize) -> bool {
        self.slots[item].iter().all(|&slot| {
            if !self.states.differ(from.state, state, slot as usize) {
                let steps = &self.problem.items[item].steps;
                return steps.iter().all(|step| step.key != slot || step.is_pure());
            }
            let lock = self.lock(from.state, slot);
            self.shapes[slot as usize].is_monotone()
                && lock != NONE
                && self.seen[item].contains(&lock)
                && self.is_last(from, lock, Some(item))
        })
    }

    /// The state after an item, or `NONE` if its replies do not fit.
    fn step(&mut self, item: usize, state: u32) -> u32 {
        // A state of many keys is copied and hashed as a whole.
        self.steps += 1 + self.problem.slots as u64 / 4;
        let [slot] = self.slots[item][..] else {
            return match self.execute(item, state) {
                Some(changed) => self.states.with(state, &changed),
                None => NONE,
            };
        };
        let key = (item as u32, self.states.word(state, slot as usize));
        let word = match self.moves.get(&key) {
            Some(&word) => word,
            None => {
                let word = match self.execute(item, state) {
                    Some(changed) => changed[0].1,
                    None => NONE,
                };
                self.moves.insert(key, word);
                word
            }
        };
        match word {
            NONE => NONE,
            word => self.states.with(state, &[(slot, word)]),
        }
    }

    /// The words of the slots that an item touches, after it. `None` if its replies do not fit.
    fn execute(&mut self, item: usize, state: u32) -> Option<Vec<(u32, u32)>> {
        let mut changed: Vec<(u32, Contents)> = Vec::new();
        for &slot in &self.slots[item] {
            changed.push((slot, self.states.contents(state, slot as usize)));
        }
        let mut sum = 0;
        for step in &self.problem.items[item].steps {
            let (_, contents) = changed.iter_mut().find(|(slot, _)| *slot == step.key)?;
            let reply = step.kind.apply(contents);
            let number = match reply {
                Reply::Integer(number) => number,
                _ => 0,
            };
            let fits = match &step.expect {
                Expect::Any => true,
                Expect::Reply(expected) => *expected == reply,
                Expect::Part => {
                    sum += number;
                    true
                }
                Expect::Total(total) => std::mem::take(&mut sum) + number == *total,
            };
            if !fits {
                return None;
            }
        }
        let mut words = Vec::with_capacity(changed.len());
        for (slot, contents) in changed {
            if let (Shape::Appends { longest }, Some(value)) =
                (&self.shapes[slot as usize], &contents.value)
            {
                let common = longest.len().min(value.len());
                if longest[..common] != value[..common] {
                    return None;
                }
            }
            words.push((slot, self.states.word_of(&contents)));
        }
        Some(words)
    }

    /// Drops situations that differ from another one only in having used more unknown operations.
    fn drop_weaker(&mut self, all: &mut Vec<Situation>) {
        if all.len() < 2 {
            return;
        }
        self.steps += all.len() as u64;
        all.sort_by_key(|it| (it.state, it.known, self.sets.used(it.unknown), it.unknown));
        let mut kept: Vec<Situation> = Vec::with_capacity(all.len());
        let mut group = 0;
        for &situation in all.iter() {
            let is_same =
                |it: &Situation| it.state == situation.state && it.known == situation.known;
            if kept.get(group).is_none_or(|it| !is_same(it)) {
                group = kept.len();
            }
            self.steps += (kept.len() - group) as u64 / 4;
            let mut others = kept[group..].iter();
            if !others.any(|it| self.sets.is_within(it.unknown, situation.unknown)) {
                if self.effort.is_lazy && kept.len() - group >= LAZY_KEPT_MAX {
                    self.was_narrow = true;
                } else {
                    kept.push(situation);
                }
            }
        }
        *all = kept;
    }
}
