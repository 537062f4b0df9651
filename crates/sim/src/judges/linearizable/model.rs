//! What commands do, as far as this checker knows: a model of its own, which shares nothing with the
//! code that it judges.

use crate::history::Reply;

/// When a SET takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Condition {
    /// Always.
    Always,
    /// If there is no such key (NX).
    Absent,
    /// If there is (XX).
    Present,
}

/// What a command does to a key's expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Expiry {
    /// Takes it away.
    Clear,
    /// Leaves it (KEEPTTL).
    Keep,
    /// Sets one.
    Set,
}

/// A command on one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Get,
    /// A watched key: the rest of the transaction is done only if the key holds this.
    Holds(Option<Vec<u8>>),
    /// A command whose argument is not the number that it should be.
    Refused,
    Strlen,
    Exists,
    /// TTL and its like. Of the reply only -2, -1 and "some time" are told apart.
    TimeLeft,
    Set {
        value: Vec<u8>,
        condition: Condition,
        /// Replies what was there before.
        get: bool,
        expiry: Expiry,
    },
    /// SETNX: SET with a condition, and a number for a reply.
    SetNx(Vec<u8>),
    /// GETEX.
    GetEx(Expiry),
    GetDel,
    Del,
    Append(Vec<u8>),
    Add(i64),
    /// EXPIRE and its like.
    Expire,
    Persist,
}

/// A command on one key, and what was replied to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Step {
    /// The number of the key.
    pub(crate) key: u32,
    pub(crate) kind: Kind,
    pub(crate) expect: Expect,
}

/// What was replied to a step.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Expect {
    /// Nobody knows.
    Any,
    /// This.
    Reply(Reply),
    /// A part of a sum that a later step replies (DEL of several keys).
    Part,
    /// The sum of the parts and of this.
    Total(i64),
}

/// The error of a number that is none.
pub(crate) const NOT_AN_INTEGER: &str = "not an integer";
/// The error of a number that grows too large.
pub(crate) const OVERFLOW: &str = "overflow";

/// What a key holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) value: Option<Vec<u8>>,
    /// An expiry is set: the key may be gone at any moment.
    pub(crate) may_expire: bool,
}

impl Kind {
    /// Whether it never changes anything.
    pub(crate) fn is_read(&self) -> bool {
        matches!(
            self,
            Kind::Get
                | Kind::Holds(_)
                | Kind::Refused
                | Kind::Strlen
                | Kind::Exists
                | Kind::TimeLeft
        )
    }

    /// Whether it may set an expiry.
    pub(crate) fn sets_expiry(&self) -> bool {
        match self {
            Kind::Set { expiry, .. } | Kind::GetEx(expiry) => *expiry == Expiry::Set,
            Kind::Expire => true,
            _ => false,
        }
    }

    /// The value that it writes whatever was there before, if it writes at all.
    pub(crate) fn written(&self) -> Option<&[u8]> {
        match self {
            Kind::Set { value, .. } | Kind::SetNx(value) => Some(value),
            _ => None,
        }
    }

    /// Executes it.
    pub(crate) fn apply(&self, contents: &mut Contents) -> Reply {
        let is_present = contents.value.is_some();
        match self {
            Kind::Get => text(contents.value.as_deref()),
            Kind::Holds(value) => Reply::Integer(i64::from(*value == contents.value)),
            Kind::Refused => Reply::Error(NOT_AN_INTEGER.to_owned()),
            Kind::Strlen => Reply::Integer(contents.value.as_deref().map_or(0, <[u8]>::len) as i64),
            Kind::Exists => Reply::Integer(i64::from(is_present)),
            Kind::TimeLeft => Reply::Integer(match (is_present, contents.may_expire) {
                (false, _) => -2,
                (true, false) => -1,
                (true, true) => 0,
            }),
            Kind::Set {
                value,
                condition,
                get,
                expiry,
            } => set(contents, value, *condition, *get, *expiry),
            Kind::SetNx(value) => {
                if !is_present {
                    set(contents, value, Condition::Always, false, Expiry::Clear);
                }
                Reply::Integer(i64::from(!is_present))
            }
            Kind::GetEx(expiry) => {
                if is_present {
                    change_expiry(contents, *expiry);
                }
                text(contents.value.as_deref())
            }
            Kind::GetDel => {
                let before = std::mem::take(contents);
                text(before.value.as_deref())
            }
            Kind::Del => {
                *contents = Contents::default();
                Reply::Integer(i64::from(is_present))
            }
            Kind::Append(token) => {
                let value = contents.value.get_or_insert_default();
                value.extend_from_slice(token);
                Reply::Integer(value.len() as i64)
            }
            Kind::Add(amount) => add(contents, *amount),
            Kind::Expire => {
                contents.may_expire |= is_present;
                Reply::Integer(i64::from(is_present))
            }
            Kind::Persist => {
                let had = std::mem::take(&mut contents.may_expire);
                Reply::Integer(i64::from(had))
            }
        }
    }
}

impl Step {
    /// Whether its reply says that it changed nothing.
    pub(crate) fn is_pure(&self) -> bool {
        if self.kind.is_read() {
            return true;
        }
        let Expect::Reply(reply) = &self.expect else {
            return false;
        };
        match (&self.kind, reply) {
            (_, Reply::Error(_)) => true,
            (Kind::Set { condition, get, .. }, reply) => match (condition, get) {
                (Condition::Always, _) => false,
                (Condition::Absent, true) => *reply != Reply::Null,
                (Condition::Absent, false) | (Condition::Present, _) => *reply == Reply::Null,
            },
            (Kind::GetDel | Kind::GetEx(_), reply) => *reply == Reply::Null,
            (Kind::SetNx(_) | Kind::Del | Kind::Expire | Kind::Persist, Reply::Integer(0)) => true,
            _ => false,
        }
    }

    /// What the key held just before, if the reply tells: `Some(None)` is "nothing".
    pub(crate) fn demands(&self) -> Option<Option<Vec<u8>>> {
        let Expect::Reply(reply) = &self.expect else {
            return None;
        };
        match (&self.kind, reply) {
            (Kind::Holds(value), _) => Some(value.clone()),
            (_, Reply::Error(_)) => None,
            (
                Kind::Get | Kind::GetEx(_) | Kind::GetDel | Kind::Set { get: true, .. },
                Reply::Text(value),
            ) => Some(Some(value.clone())),
            (
                Kind::Get | Kind::GetEx(_) | Kind::GetDel | Kind::Set { get: true, .. },
                Reply::Null,
            ) => Some(None),
            (
                Kind::Set {
                    condition: Condition::Absent,
                    ..
                },
                Reply::Text(_),
            )
            | (
                Kind::Set {
                    condition: Condition::Present,
                    ..
                },
                Reply::Null,
            )
            | (Kind::Exists | Kind::Del, Reply::Integer(0))
            | (Kind::TimeLeft, Reply::Integer(-2))
            | (Kind::SetNx(_), Reply::Integer(1)) => Some(None),
            (Kind::Add(amount), Reply::Integer(after)) => match after.checked_sub(*amount)? {
                0 => None,
                before => Some(Some(before.to_string().into_bytes())),
            },
            _ => None,
        }
    }
}

fn set(
    contents: &mut Contents,
    value: &[u8],
    condition: Condition,
    get: bool,
    expiry: Expiry,
) -> Reply {
    let before = get.then(|| text(contents.value.as_deref()));
    let goes = match condition {
        Condition::Always => true,
        Condition::Absent => contents.value.is_none(),
        Condition::Present => contents.value.is_some(),
    };
    if goes {
        contents.value = Some(value.to_vec());
        change_expiry(contents, expiry);
    }
    match before {
        Some(before) => before,
        None if goes => Reply::Text(b"OK".to_vec()),
        None => Reply::Null,
    }
}

fn change_expiry(contents: &mut Contents, expiry: Expiry) {
    match expiry {
        Expiry::Clear => contents.may_expire = false,
        Expiry::Keep => {}
        Expiry::Set => contents.may_expire = true,
    }
}

fn add(contents: &mut Contents, amount: i64) -> Reply {
    let before = match contents.value.as_deref() {
        None => 0,
        Some(value) => match integer(value) {
            Some(before) => before,
            None => return Reply::Error(NOT_AN_INTEGER.to_owned()),
        },
    };
    match before.checked_add(amount) {
        None => Reply::Error(OVERFLOW.to_owned()),
        Some(after) => {
            contents.value = Some(after.to_string().into_bytes());
            Reply::Integer(after)
        }
    }
}

/// A number in the only form that counts as one: no sign but a minus, no zeros before it.
pub(crate) fn integer(value: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == value).then_some(number)
}

fn text(value: Option<&[u8]>) -> Reply {
    match value {
        Some(value) => Reply::Text(value.to_vec()),
        None => Reply::Null,
    }
}
