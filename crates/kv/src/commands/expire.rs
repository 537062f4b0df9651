//! Expiry: EXPIRE and its kin, TTL and its kin, PERSIST.

use resp::Encoder;

use crate::context::{ReadContext, WriteContext};
use crate::errors;
use crate::keyspace::Entry;
use crate::number::parse_integer;

const INCOMPATIBLE_WITH_NX: &str =
    "ERR NX and XX, GT or LT options at the same time are not compatible";
const INCOMPATIBLE_ORDERS: &str = "ERR GT and LT options at the same time are not compatible";

/// The unit of an expiry in an argument or a reply.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Milliseconds,
}

/// `EXPIRE key seconds [NX | XX | GT | LT]`
pub(crate) fn expire(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let base_ms = context.now_ms();
    expire_generic("expire", context, args, base_ms, Unit::Seconds, out);
}

/// `PEXPIRE key milliseconds [NX | XX | GT | LT]`
pub(crate) fn pexpire(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let base_ms = context.now_ms();
    expire_generic("pexpire", context, args, base_ms, Unit::Milliseconds, out);
}

/// `EXPIREAT key unix-time-seconds [NX | XX | GT | LT]`
pub(crate) fn expireat(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    expire_generic("expireat", context, args, 0, Unit::Seconds, out);
}

/// `PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT]`
pub(crate) fn pexpireat(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    expire_generic("pexpireat", context, args, 0, Unit::Milliseconds, out);
}

/// `PERSIST key`
pub(crate) fn persist(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let expires = context
        .entry(args[1])
        .is_some_and(|entry| entry.expire_at().is_some());
    if expires {
        context.set_expire_at(args[1], None);
    }
    out.integer(i64::from(expires));
}

/// `TTL key`
pub(crate) fn ttl(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    time_generic(context, args, context.now_ms(), Unit::Seconds, out);
}

/// `PTTL key`
pub(crate) fn pttl(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    time_generic(context, args, context.now_ms(), Unit::Milliseconds, out);
}

/// `EXPIRETIME key`
pub(crate) fn expiretime(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    time_generic(context, args, 0, Unit::Seconds, out);
}

/// `PEXPIRETIME key`
pub(crate) fn pexpiretime(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    time_generic(context, args, 0, Unit::Milliseconds, out);
}

/// Sets an expiry that is given in a unit and counted from `base_ms`. One that has passed removes
/// the key, which is a success.
fn expire_generic(
    command: &str,
    context: &mut WriteContext<'_>,
    args: &[&[u8]],
    base_ms: u64,
    unit: Unit,
    out: &mut Encoder<'_>,
) {
    let key = args[1];
    let condition = match Condition::parse(&args[3..]) {
        Ok(condition) => condition,
        Err(error) => return out.error(error),
    };
    let Some(time) = parse_integer(args[2]) else {
        return out.error(errors::NOT_AN_INTEGER);
    };
    let Some(expire_at) = absolute_ms(time, unit, base_ms) else {
        return out.error(errors::invalid_expire_time(command));
    };
    let Some(entry) = context.entry(key) else {
        return out.integer(0);
    };
    if !condition.holds(entry, expire_at) {
        return out.integer(0);
    }
    match u64::try_from(expire_at)
        .ok()
        .filter(|expire_at| *expire_at > context.now_ms())
    {
        Some(expire_at) => {
            context.set_expire_at(key, Some(expire_at));
        }
        None => {
            context.remove(key);
        }
    }
    out.integer(1);
}

/// The point in time of an argument, in milliseconds since the epoch; `None` when it does not fit.
fn absolute_ms(time: i64, unit: Unit, base_ms: u64) -> Option<i64> {
    let time_ms = match unit {
        Unit::Seconds => time.checked_mul(1_000)?,
        Unit::Milliseconds => time,
    };
    time_ms.checked_add_unsigned(base_ms)
}

/// Replies when a key expires, counted from `base_ms`; -1 when never, -2 when it is not there.
/// Seconds are rounded to the nearest, as Redis does.
fn time_generic(
    context: &ReadContext<'_>,
    args: &[&[u8]],
    base_ms: u64,
    unit: Unit,
    out: &mut Encoder<'_>,
) {
    let Some(entry) = context.entry(args[1]) else {
        return out.integer(-2);
    };
    let Some(expire_at) = entry.expire_at() else {
        return out.integer(-1);
    };
    let time_ms = expire_at.saturating_sub(base_ms);
    let time = match unit {
        Unit::Seconds => time_ms.saturating_add(500) / 1_000,
        Unit::Milliseconds => time_ms,
    };
    out.integer(i64::try_from(time).unwrap_or(i64::MAX));
}

/// When EXPIRE changes an expiry that is there, or sets one where none is.
#[derive(Clone, Copy, Default)]
struct Condition {
    without_expiry: bool,
    with_expiry: bool,
    greater: bool,
    less: bool,
}

impl Condition {
    fn parse(options: &[&[u8]]) -> Result<Self, Vec<u8>> {
        let mut condition = Condition::default();
        for option in options {
            match option.to_ascii_lowercase().as_slice() {
                b"nx" => condition.without_expiry = true,
                b"xx" => condition.with_expiry = true,
                b"gt" => condition.greater = true,
                b"lt" => condition.less = true,
                _ => return Err([b"ERR Unsupported option ", *option].concat()),
            }
        }
        let Condition {
            without_expiry,
            with_expiry,
            greater,
            less,
        } = condition;
        if without_expiry && (with_expiry || greater || less) {
            return Err(INCOMPATIBLE_WITH_NX.into());
        }
        if greater && less {
            return Err(INCOMPATIBLE_ORDERS.into());
        }
        Ok(condition)
    }

    /// Whether the expiry of this entry may become `expire_at`. A key that never expires counts as
    /// one that expires after all others.
    fn holds(self, entry: &Entry, expire_at: i64) -> bool {
        let current = entry
            .expire_at()
            .map(|current| i64::try_from(current).unwrap_or(i64::MAX));
        let refused = (self.without_expiry && current.is_some())
            || (self.with_expiry && current.is_none())
            || (self.greater && current.is_none_or(|current| expire_at <= current))
            || (self.less && current.is_some_and(|current| expire_at >= current));
        !refused
    }
}
