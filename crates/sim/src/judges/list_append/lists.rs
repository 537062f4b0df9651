//! What transactions appended and saw, and what is wrong with it at first sight.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{History, Operation, Outcome, Reply};
use crate::judges::evidence::{Evidence, describe};
use crate::judges::linearizable::model::{Expect, Kind, Step};
use crate::judges::linearizable::parse::{self, Keys};
use crate::judges::list_append::PROPERTY;

/// A token of a list.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// With its comma.
    pub(crate) text: Vec<u8>,
    /// The transaction that appended it.
    pub(crate) writer: usize,
}

/// A key that is only appended to.
#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    /// The key, for people.
    pub(crate) name: String,
    /// All tokens that were seen, in order.
    pub(crate) tokens: Vec<Token>,
    /// Tokens that were acknowledged and never seen.
    pub(crate) unseen: Vec<Token>,
}

/// What a transaction saw of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    /// The list.
    pub(crate) list: usize,
    /// How many tokens there were before its own.
    pub(crate) length: usize,
}

/// An operation that took effect.
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    /// Its number in the history.
    pub(crate) op: usize,
    /// What it saw.
    pub(crate) reads: Vec<Read>,
}

/// The lists of a history and the operations on them.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    pub(crate) lists: Vec<List>,
    pub(crate) transactions: Vec<Transaction>,
}

/// An operation on lists, as it is in the history.
struct Entry {
    op: usize,
    steps: Vec<Step>,
}

/// Where the value of a token came from.
#[derive(Clone, Copy)]
struct Source {
    /// The operation in the history.
    op: usize,
    /// Which of its appends to this list it is, from 0, and how many there are.
    nth: usize,
    count: usize,
}

/// Everything that is known of a list while it is read.
struct Draft {
    key: u32,
    sources: BTreeMap<Vec<u8>, Source>,
    /// The longest value seen, as tokens, and who saw it.
    longest: Vec<Vec<u8>>,
    longest_op: usize,
    /// The same as it was read.
    value: Vec<u8>,
    /// By length in bytes: how many tokens there were.
    lengths: BTreeMap<usize, usize>,
}

impl Lists {
    /// Reads them out of a history.
    pub(crate) fn read(history: &History) -> Result<Lists, Evidence> {
        let mut reader = Reader {
            history,
            keys: Keys::default(),
            drafts: Vec::new(),
        };
        let entries = reader.entries();
        for entry in &entries {
            reader.find_longest(entry)?;
        }
        let mut lists = Lists::default();
        let mut places = BTreeMap::new();
        for draft in &reader.drafts {
            for token in &draft.longest {
                places.entry(draft.sources[token].op).or_insert(0);
            }
        }
        for entry in &entries {
            let is_done = matches!(history.operations[entry.op].outcome, Outcome::Done(_));
            if !is_done && !places.contains_key(&entry.op) {
                continue;
            }
            places.insert(entry.op, lists.transactions.len());
            let mut reads = Vec::new();
            if is_done {
                let touched: BTreeSet<u32> = entry.steps.iter().map(|step| step.key).collect();
                for list in touched.into_iter().map(|key| reader.list_of(key)) {
                    let length = reader.take_entry(entry, list)?;
                    reads.extend(length.map(|length| Read { list, length }));
                }
            }
            let op = entry.op;
            lists.transactions.push(Transaction { op, reads });
        }
        for draft in &reader.drafts {
            lists.lists.push(reader.finish(draft, &places));
        }
        Ok(lists)
    }
}

struct Reader<'a> {
    history: &'a History,
    keys: Keys,
    drafts: Vec<Draft>,
}

impl Reader<'_> {
    /// The operations that touch lists, without what else they do. Makes the drafts.
    fn entries(&mut self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut spoiled = BTreeSet::new();
        let mut appended: BTreeMap<u32, BTreeMap<Vec<u8>, Source>> = BTreeMap::new();
        for (op, operation) in self.history.operations.iter().enumerate() {
            // What a failed operation would have appended is of interest too.
            let is_failed = matches!(operation.outcome, Outcome::Failed(_));
            let unknown = Operation {
                outcome: Outcome::Open,
                ..operation.clone()
            };
            let operation = if is_failed { &unknown } else { operation };
            let Ok(steps) = parse::steps(operation, &mut self.keys) else {
                let words = operation.commands.iter().flatten();
                let words: BTreeSet<&Vec<u8>> = words.collect();
                let keys = self.keys.names.iter().enumerate();
                spoiled.extend(
                    keys.filter(|(_, (_, name))| words.contains(name))
                        .map(|(key, _)| key as u32),
                );
                continue;
            };
            for step in &steps {
                match &step.kind {
                    Kind::Append(token) if is_token(token) => {
                        let sources = appended.entry(step.key).or_default();
                        let nth = appends(&steps, step.key)
                            .position(|it| it == token)
                            .unwrap_or(0);
                        let count = appends(&steps, step.key).count();
                        if sources
                            .insert(token.clone(), Source { op, nth, count })
                            .is_some()
                        {
                            spoiled.insert(step.key);
                        }
                    }
                    kind if kind.is_read() => {}
                    _ if is_failed => {}
                    _ => {
                        spoiled.insert(step.key);
                    }
                }
            }
            if !is_failed && !steps.is_empty() {
                entries.push(Entry { op, steps });
            }
        }
        for (key, sources) in appended {
            if !spoiled.contains(&key) {
                self.drafts.push(Draft {
                    key,
                    sources,
                    longest: Vec::new(),
                    longest_op: 0,
                    value: Vec::new(),
                    lengths: BTreeMap::from([(0, 0)]),
                });
            }
        }
        entries.retain_mut(|entry| {
            let drafts = &self.drafts;
            let is_list = |step: &Step| drafts.binary_search_by_key(&step.key, |it| it.key).is_ok();
            entry.steps.retain(is_list);
            !entry.steps.is_empty()
        });
        entries
    }

    /// Takes in the values that an operation saw, each by itself and against the longest.
    fn find_longest(&mut self, entry: &Entry) -> Result<(), Evidence> {
        for step in &entry.steps {
            let (Kind::Get, Expect::Reply(Reply::Text(value))) = (&step.kind, &step.expect) else {
                continue;
            };
            let list = self.list_of(step.key);
            let draft = &self.drafts[list];
            if draft.value.starts_with(value) && draft.lengths.contains_key(&value.len()) {
                continue;
            }
            let tokens = self.tokens(entry.op, list, value)?;
            let Draft {
                longest,
                longest_op,
                ..
            } = &self.drafts[list];
            let common = longest.len().min(tokens.len());
            if longest[..common] != tokens[..common] {
                let nth = (0..common)
                    .find(|&nth| longest[nth] != tokens[nth])
                    .unwrap_or(0);
                let what = format!(
                    "incompatible orders: element {} is {} in one read and {} in another",
                    nth + 1,
                    shown(&longest[nth]),
                    shown(&tokens[nth])
                );
                let ops = vec![*longest_op, entry.op];
                return Err(self.evidence(list, &what, ops));
            }
            if tokens.len() > longest.len() {
                let draft = &mut self.drafts[list];
                let mut bytes = draft.value.len();
                for (nth, token) in tokens.iter().enumerate().skip(draft.longest.len()) {
                    bytes += token.len();
                    draft.lengths.insert(bytes, nth + 1);
                }
                draft.longest = tokens;
                draft.longest_op = entry.op;
                draft.value.clone_from(value);
            }
        }
        Ok(())
    }

    fn list_of(&self, key: u32) -> usize {
        let place = self.drafts.binary_search_by_key(&key, |it| it.key);
        place.unwrap_or_else(|_| unreachable!("steps on other keys were dropped"))
    }

    /// The tokens of a value, each of which somebody must have appended.
    fn tokens(&self, op: usize, list: usize, value: &[u8]) -> Result<Vec<Vec<u8>>, Evidence> {
        let mut tokens: Vec<Vec<u8>> = Vec::new();
        let mut seen = BTreeSet::new();
        for token in value.split_inclusive(|&byte| byte == b',') {
            let Some(source) = self.drafts[list].sources.get(token) else {
                let what = format!("it holds {}, which nobody appended", shown(token));
                return Err(self.evidence(list, &what, vec![op]));
            };
            if !seen.insert(token) {
                let what = format!("{} is there twice", shown(token));
                return Err(self.evidence(list, &what, vec![source.op, op]));
            }
            if matches!(
                self.history.operations[source.op].outcome,
                Outcome::Failed(_)
            ) {
                let what = format!(
                    "aborted read (G1a): {} is there, but its operation failed",
                    shown(token)
                );
                return Err(self.evidence(list, &what, vec![source.op, op]));
            }
            tokens.push(token.to_vec());
        }
        Ok(tokens)
    }

    /// Compares what an answered operation did and saw with the order of the tokens. Returns how many
    /// tokens it saw besides its own, if it saw any state.
    fn take_entry(&self, entry: &Entry, list: usize) -> Result<Option<usize>, Evidence> {
        let Draft { key, longest, .. } = &self.drafts[list];
        let mut before = None;
        let mut own = 0;
        for step in entry.steps.iter().filter(|step| step.key == *key) {
            let (length, what) = match (&step.kind, &step.expect) {
                (Kind::Get, Expect::Reply(reply)) => {
                    let length = match reply {
                        Reply::Text(value) => {
                            let lengths = &self.drafts[list].lengths;
                            lengths.get(&value.len()).copied().unwrap_or(0)
                        }
                        _ => 0,
                    };
                    (Some(length), "read")
                }
                (Kind::Append(token), Expect::Reply(Reply::Integer(bytes))) => {
                    own += 1;
                    (self.place(entry.op, list, token, *bytes)?, "append")
                }
                _ => continue,
            };
            let Some(length) = length else {
                continue;
            };
            if what == "read" {
                self.take_read(entry, list, length, own)?;
            }
            let others = length.checked_sub(own);
            if others.is_none() || before.is_some_and(|before| Some(before) != others) {
                let what = "the commands of one transaction saw different states";
                return Err(self.evidence(list, what, vec![entry.op]));
            }
            before = others;
        }
        debug_assert!(before.is_none_or(|before| before <= longest.len()));
        Ok(before)
    }

    /// A read must end with the reader's own tokens, and not in the middle of another transaction.
    fn take_read(
        &self,
        entry: &Entry,
        list: usize,
        length: usize,
        own: usize,
    ) -> Result<(), Evidence> {
        let Draft {
            key,
            longest,
            sources,
            ..
        } = &self.drafts[list];
        let mine: Vec<&Vec<u8>> = appends(&entry.steps, *key).take(own).collect();
        let others = length.saturating_sub(own);
        if !longest[others..length].iter().eq(mine) {
            let what = "a transaction does not see what it appended itself";
            return Err(self.evidence(list, what, vec![entry.op]));
        }
        let Some(last) = others.checked_sub(1).map(|last| &longest[last]) else {
            return Ok(());
        };
        let source = sources[last];
        if source.op != entry.op && source.nth + 1 < source.count {
            let what = format!(
                "intermediate read (G1b): {} is the last, but its transaction appended more",
                shown(last)
            );
            return Err(self.evidence(list, &what, vec![source.op, entry.op]));
        }
        Ok(())
    }

    /// How many tokens there were after an append, by the length that it replied. `None` if nobody saw
    /// the list that long.
    fn place(
        &self,
        op: usize,
        list: usize,
        token: &[u8],
        bytes: i64,
    ) -> Result<Option<usize>, Evidence> {
        let Draft {
            longest,
            longest_op,
            value,
            lengths,
            ..
        } = &self.drafts[list];
        let end = usize::try_from(bytes).ok();
        let nth = end
            .and_then(|end| lengths.get(&end))
            .and_then(|nth| nth.checked_sub(1));
        if nth.is_some_and(|nth| longest[nth] == token) {
            return Ok(nth.map(|nth| nth + 1));
        }
        let what = if longest.iter().any(|it| it == token) {
            format!("{} was appended at another place than it is", shown(token))
        } else if end.is_none_or(|end| end < value.len() + token.len()) {
            format!(
                "lost append: {} was acknowledged, and others are in its place",
                shown(token)
            )
        } else {
            return Ok(None);
        };
        Err(self.evidence(list, &what, vec![op, *longest_op]))
    }

    fn finish(&self, draft: &Draft, places: &BTreeMap<usize, usize>) -> List {
        let token = |text: &Vec<u8>| Token {
            text: text.clone(),
            writer: places[&draft.sources[text].op],
        };
        let seen: BTreeSet<&Vec<u8>> = draft.longest.iter().collect();
        let is_acknowledged =
            |op: usize| matches!(self.history.operations[op].outcome, Outcome::Done(_));
        let unseen = draft.sources.iter().filter(|(text, source)| {
            !seen.contains(text) && is_acknowledged(source.op) && places.contains_key(&source.op)
        });
        List {
            name: self.keys.shown(draft.key),
            tokens: draft.longest.iter().map(token).collect(),
            unseen: unseen.map(|(text, _)| token(text)).collect(),
        }
    }

    fn evidence(&self, list: usize, what: &str, ops: Vec<usize>) -> Evidence {
        let key = self.keys.shown(self.drafts[list].key);
        let ops: BTreeSet<usize> = ops.into_iter().collect();
        let shown: Vec<String> = ops.iter().map(|&op| describe(self.history, op)).collect();
        let detail = format!("list {key}: {what}: {}", shown.join("; "));
        Evidence::new(PROPERTY, detail, ops.into_iter().collect())
    }
}

/// The tokens that steps append to a key.
fn appends(steps: &[Step], key: u32) -> impl Iterator<Item = &Vec<u8>> {
    steps.iter().filter_map(move |step| match &step.kind {
        Kind::Append(token) if step.key == key => Some(token),
        _ => None,
    })
}

/// Something and a comma.
fn is_token(token: &[u8]) -> bool {
    token.len() > 1 && token.iter().position(|&byte| byte == b',') == Some(token.len() - 1)
}

fn shown(token: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(token))
}
