//! The operations on some keys, in the form that the search takes.

use std::collections::BTreeMap;

use crate::history::Position;
use crate::judges::linearizable::model::{Condition, Expect, Kind, Step};

/// An operation.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Its number in the history.
    pub(crate) op: usize,
    /// Who asked.
    pub(crate) process: u32,
    /// What it does. The keys are numbered within the problem.
    pub(crate) steps: Vec<Step>,
    /// It was answered: it took effect between its call and its return. Otherwise it may take effect
    /// at any time after its call, or never.
    pub(crate) known: bool,
    /// Where a server says that it took effect. Not believed: see `search`.
    pub(crate) hint: Option<Position>,
}

/// What happens to an item, in order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Call(usize),
    Return(usize),
}

/// Operations on some keys. All keys are absent at the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Problem {
    /// How many keys.
    pub(crate) slots: usize,
    /// The operations, in order of their calls.
    pub(crate) items: Vec<Item>,
    /// Their calls, and the returns of those that are known.
    pub(crate) events: Vec<Event>,
}

/// What becomes of an item in a smaller problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays as it is.
    Keep,
    /// Its reply is forgotten, and that it was answered.
    Weaken,
    /// It is left out: only sound for one that is not called yet, or was forgotten and only reads.
    Drop,
}

impl Item {
    /// It changes nothing, by its kind or by its reply.
    pub(crate) fn is_pure(&self) -> bool {
        self.steps.iter().all(Step::is_pure)
    }

    /// The keys that it touches, each once.
    pub(crate) fn slots(&self) -> Vec<u32> {
        let mut slots: Vec<u32> = self.steps.iter().map(|step| step.key).collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// What a key held when the operation began, if its replies tell: by the first that does so before
    /// the operation itself changes the key.
    pub(crate) fn demanded(&self, slot: u32, shape: &Shape) -> Option<Option<Vec<u8>>> {
        for step in self.steps.iter().filter(|step| step.key == slot) {
            let value = shape.demanded(step);
            if value.is_some() || !step.is_pure() {
                return value;
            }
        }
        None
    }

    /// The same, but nobody knows what became of it. `None` if it can have no effect.
    fn weakened(&self) -> Option<Item> {
        if self.is_pure() {
            return None;
        }
        let steps = self.steps.iter().map(|step| Step {
            expect: match step.kind {
                Kind::Holds(_) => step.expect.clone(),
                _ => Expect::Any,
            },
            ..step.clone()
        });
        Some(Item {
            steps: steps.collect(),
            known: false,
            ..self.clone()
        })
    }
}

impl Problem {
    /// A problem with fewer demands. A solution of this problem is one of that too, so if that one
    /// has none, then nor has this.
    pub(crate) fn relaxed(&self, fates: &[Fate]) -> Problem {
        let mut places = vec![None; self.items.len()];
        let mut items = Vec::new();
        for (place, item) in self.items.iter().enumerate() {
            let left = match fates[place] {
                Fate::Keep => Some(item.clone()),
                Fate::Weaken => item.weakened(),
                Fate::Drop => None,
            };
            if let Some(left) = left {
                places[place] = Some(items.len());
                items.push(left);
            }
        }
        let events = self.events.iter().filter_map(|&event| match event {
            Event::Call(item) => places[item].map(Event::Call),
            Event::Return(item) => places[item]
                .filter(|&place| items[place].known)
                .map(Event::Return),
        });
        Problem {
            slots: self.slots,
            events: events.collect(),
            items,
        }
    }

    /// What it says of one key. If the problem has a solution then this has one.
    pub(crate) fn projected(&self, slot: u32) -> Problem {
        let mut places = vec![None; self.items.len()];
        let mut items = Vec::new();
        for (place, item) in self.items.iter().enumerate() {
            let steps: Vec<Step> = item
                .steps
                .iter()
                .filter(|step| step.key == slot)
                .map(|step| Step {
                    key: 0,
                    kind: step.kind.clone(),
                    expect: match &step.expect {
                        Expect::Part | Expect::Total(_) => Expect::Any,
                        expect => expect.clone(),
                    },
                })
                .collect();
            if !steps.is_empty() {
                places[place] = Some(items.len());
                let op = item.op;
                let process = item.process;
                let known = item.known;
                let hint = item.hint;
                items.push(Item {
                    op,
                    process,
                    steps,
                    known,
                    hint,
                });
            }
        }
        let events = self.events.iter().filter_map(|&event| match event {
            Event::Call(item) => places[item].map(Event::Call),
            Event::Return(item) => places[item].map(Event::Return),
        });
        Problem {
            slots: 1,
            events: events.collect(),
            items,
        }
    }
}

/// How the contents of a key come and go, as far as its operations tell before any search. It decides
/// which shortcuts are sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Only appended to and read: everything that it ever held is a prefix of the longest value that
    /// anyone read, or begins with it.
    Appends {
        /// The longest value read.
        longest: Vec<u8>,
    },
    /// Only counted up (or only down) and read: no value comes twice.
    Counter,
    /// Only whole values are written. Those here are written by one operation: they come once.
    Register {
        /// The values.
        once: Vec<Vec<u8>>,
        /// Whether nobody asks for less than the whole value: a write whose value nobody read can be
        /// left out.
        exact: bool,
    },
    /// Anything.
    Other,
}

/// What kinds of steps a key sees.
#[derive(Default)]
struct Census {
    appends: bool,
    ups: bool,
    downs: bool,
    others: bool,
    expires: bool,
    inexact: bool,
    strlen: bool,
    written: BTreeMap<Vec<u8>, u32>,
    longest: Vec<u8>,
}

impl Shape {
    /// The shape of each key.
    pub(crate) fn of(problem: &Problem) -> Vec<Shape> {
        let mut all: Vec<Census> = Vec::new();
        all.resize_with(problem.slots, Census::default);
        for item in &problem.items {
            for step in &item.steps {
                all[step.key as usize].take(step, item.known);
            }
        }
        all.into_iter().map(Census::shape).collect()
    }

    /// Whether a value that was left never comes back.
    pub(crate) fn is_monotone(&self) -> bool {
        matches!(self, Shape::Appends { .. } | Shape::Counter)
    }

    /// Whether this value never comes back when it was left.
    pub(crate) fn comes_once(&self, value: Option<&[u8]>) -> bool {
        match (self, value) {
            (Shape::Appends { .. } | Shape::Counter, _) => true,
            (Shape::Register { once, .. }, Some(value)) => once
                .binary_search_by(|other| other.as_slice().cmp(value))
                .is_ok(),
            _ => false,
        }
    }

    /// What the key held just before the step, if its reply tells.
    pub(crate) fn demanded(&self, step: &Step) -> Option<Option<Vec<u8>>> {
        let Expect::Reply(crate::history::Reply::Integer(after)) = &step.expect else {
            return step.demands();
        };
        match (self, &step.kind) {
            (Shape::Counter, Kind::Add(amount)) if after == amount => Some(None),
            (Shape::Appends { longest }, Kind::Append(token)) => {
                prefix(longest, after - token.len() as i64)
            }
            (Shape::Appends { longest }, Kind::Strlen) => prefix(longest, *after),
            _ => step.demands(),
        }
    }
}

/// The value of a key that is only appended to when it had this length.
fn prefix(longest: &[u8], length: i64) -> Option<Option<Vec<u8>>> {
    let length = usize::try_from(length).ok()?;
    match length {
        0 => Some(None),
        _ => longest.get(..length).map(|value| Some(value.to_vec())),
    }
}

impl Census {
    fn take(&mut self, step: &Step, known: bool) {
        self.expires |= step.kind.sets_expiry();
        self.strlen |= step.kind == Kind::Strlen;
        match &step.kind {
            Kind::Append(token) if token.is_empty() => self.others = true,
            Kind::Append(_) => self.appends = true,
            Kind::Add(0) => self.others = true,
            Kind::Add(1..) => self.ups = true,
            Kind::Add(_) => self.downs = true,
            Kind::Get | Kind::Holds(_) | Kind::Refused => {}
            Kind::Set {
                condition: Condition::Always,
                ..
            } => {}
            Kind::GetEx(_) => self.others = true,
            _ => self.inexact = true,
        }
        if let Some(value) = step.kind.written() {
            *self.written.entry(value.to_vec()).or_default() += 1;
        }
        if let Some(Some(value)) = step.demands()
            && known
            && value.len() > self.longest.len()
        {
            self.longest = value;
        }
        // What takes keys away, and what is only known in sum.
        let takes_away = matches!(
            step.kind,
            Kind::Del | Kind::GetDel | Kind::Expire | Kind::Persist
        );
        self.others |= takes_away || matches!(step.expect, Expect::Part | Expect::Total(_));
    }

    fn shape(self) -> Shape {
        let counts = self.ups || self.downs;
        let writes = !self.written.is_empty();
        let is_stable = !self.others && !self.expires && !writes;
        if self.appends && !counts && is_stable {
            return Shape::Appends {
                longest: self.longest,
            };
        }
        if self.ups != self.downs && !self.appends && !self.strlen && is_stable {
            return Shape::Counter;
        }
        if self.appends || counts {
            return Shape::Other;
        }
        let once = self.written.into_iter().filter(|(_, times)| *times == 1);
        Shape::Register {
            once: once.map(|(value, _)| value).collect(),
            exact: !self.inexact && !self.others && !self.expires,
        }
    }
}
