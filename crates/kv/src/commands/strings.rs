//! Strings as a whole: GET, SET and their variants.

use resp::Encoder;

use crate::commands::set_options::{
    Condition, ExpiryOption, SetOptions, TimeUnit, parse_getex_options,
};
use crate::context::{ReadContext, WriteContext};
use crate::database::Expiry;
use crate::errors;
use crate::value::{StringValue, Value};

/// `GET key`
pub(crate) fn get(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    reply_string(context.get(args[1]), out);
}

/// `MGET key [key ...]`: a key of another type counts as absent.
pub(crate) fn mget(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    out.array(args.len() - 1);
    for key in &args[1..] {
        match context.get(key).and_then(Value::as_string) {
            Some(string) => string.with_bytes(|bytes| out.bulk(bytes)),
            None => out.null(),
        }
    }
}

/// `STRLEN key`
pub(crate) fn strlen(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    match context.get(args[1]).map(Value::as_string) {
        None => out.integer(0),
        Some(Some(string)) => out.integer(string.length() as i64),
        Some(None) => out.error(errors::WRONG_TYPE),
    }
}

/// `SET key value [NX | XX | IFEQ comparison-value] [GET] [EX seconds | ... | KEEPTTL]`
///
/// `NX` together with `GET` is allowed since Redis 7.0. `IFEQ` is Valkey's compare-and-set: an
/// absent key is equal to nothing.
pub(crate) fn set(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let (key, value) = (args[1], args[2]);
    let Some(options) = SetOptions::parse(&args[3..]) else {
        return out.error(errors::SYNTAX);
    };
    let expiry = match options.expiry {
        ExpiryOption::Keep => Expiry::Keep,
        ExpiryOption::At(unit, text) => match unit.resolve(text, context.now_ms(), "set") {
            Ok(time) => Expiry::At(time),
            Err(error) => return out.error(error),
        },
        ExpiryOption::Unspecified | ExpiryOption::Persist => Expiry::Clear,
    };
    // A plain SET does not care what was there, and looking costs as much as setting.
    let old = match options.replies_old || !matches!(options.condition, Condition::None) {
        true => context.get(key),
        false => None,
    };
    let looks = options.replies_old || matches!(options.condition, Condition::Equal(_));
    if looks && old.is_some_and(|value| value.as_string().is_none()) {
        return out.error(errors::WRONG_TYPE);
    }
    let sets = match options.condition {
        Condition::None => true,
        Condition::Absent => old.is_none(),
        Condition::Present => old.is_some(),
        Condition::Equal(comparison) => old.is_some_and(|value| value.is_string(comparison)),
    };
    if options.replies_old {
        reply_string(old, out);
    }
    if sets {
        context.set(key, StringValue::from_bytes(value), expiry);
    }
    if !options.replies_old {
        if sets { out.ok() } else { out.null() }
    }
}

/// `SETNX key value`
pub(crate) fn setnx(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let sets = !context.exists(args[1]);
    if sets {
        context.set(args[1], StringValue::from_bytes(args[2]), Expiry::Clear);
    }
    out.integer(i64::from(sets));
}

/// `SETEX key seconds value`
pub(crate) fn setex(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    set_expiring(context, args, TimeUnit::Seconds, "setex", out);
}

/// `PSETEX key milliseconds value`
pub(crate) fn psetex(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    set_expiring(context, args, TimeUnit::Milliseconds, "psetex", out);
}

fn set_expiring(
    context: &mut WriteContext<'_>,
    args: &[&[u8]],
    unit: TimeUnit,
    command: &str,
    out: &mut Encoder<'_>,
) {
    match unit.resolve(args[2], context.now_ms(), command) {
        Ok(time) => {
            context.set(args[1], StringValue::from_bytes(args[3]), Expiry::At(time));
            out.ok();
        }
        Err(error) => out.error(error),
    }
}

/// `GETSET key value`: the expiry goes, as with SET.
pub(crate) fn getset(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    if reply_string(context.get(args[1]), out) {
        context.set(args[1], StringValue::from_bytes(args[2]), Expiry::Clear);
    }
}

/// `GETDEL key`
pub(crate) fn getdel(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    if reply_string(context.get(args[1]), out) {
        context.remove(args[1]);
    }
}

/// `GETEX key [EX seconds | PX milliseconds | EXAT ... | PXAT ... | PERSIST]`
///
/// As in Redis, the options are read before the key is looked at and the time after, and a Unix
/// time that has passed deletes the key.
pub(crate) fn getex(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let key = args[1];
    let Some(expiry) = parse_getex_options(&args[2..]) else {
        return out.error(errors::SYNTAX);
    };
    let value = context.get(key);
    if value.is_none_or(|value| value.as_string().is_none()) {
        reply_string(value, out);
        return;
    }
    let now_ms = context.now_ms();
    let time = match expiry {
        ExpiryOption::At(unit, text) => match unit.resolve(text, now_ms, "getex") {
            Ok(time) => Some(time),
            Err(error) => return out.error(error),
        },
        ExpiryOption::Unspecified | ExpiryOption::Keep | ExpiryOption::Persist => None,
    };
    reply_string(value, out);
    match time {
        Some(time) if time <= now_ms => {
            context.remove(key);
        }
        Some(time) => {
            context.set_expire_at(key, Some(time));
        }
        None if expiry == ExpiryOption::Persist => {
            context.set_expire_at(key, None);
        }
        None => {}
    }
}

/// `MSET key value [key value ...]`
pub(crate) fn mset(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    if args.len().is_multiple_of(2) {
        return out.error(errors::wrong_number_of_arguments("mset"));
    }
    set_all(context, &args[1..]);
    out.ok();
}

/// `MSETNX key value [key value ...]`: all of them or none.
pub(crate) fn msetnx(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    if args.len().is_multiple_of(2) {
        return out.error(errors::wrong_number_of_arguments("msetnx"));
    }
    let pairs = &args[1..];
    let sets = !pairs.iter().step_by(2).any(|key| context.exists(key));
    if sets {
        set_all(context, pairs);
    }
    out.integer(i64::from(sets));
}

fn set_all(context: &mut WriteContext<'_>, pairs: &[&[u8]]) {
    for pair in pairs.chunks_exact(2) {
        context.set(pair[0], StringValue::from_bytes(pair[1]), Expiry::Clear);
    }
}

/// `DELIFEQ key value`: deletes the key if it holds exactly this string. Valkey 9.0 has it for the
/// release of locks, which took a script before.
pub(crate) fn delifeq(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let (key, comparison) = (args[1], args[2]);
    let Some(value) = context.get(key) else {
        return out.integer(0);
    };
    if value.as_string().is_none() {
        return out.error(errors::WRONG_TYPE);
    }
    let equal = value.is_string(comparison);
    if equal {
        context.remove(key);
    }
    out.integer(i64::from(equal));
}

/// Replies the string of a key, null when the key is absent, or the error for another type. Returns
/// whether the reply is no error.
fn reply_string(value: Option<&Value>, out: &mut Encoder<'_>) -> bool {
    match value.map(Value::as_string) {
        None => out.null(),
        Some(Some(string)) => string.with_bytes(|bytes| out.bulk(bytes)),
        Some(None) => {
            out.error(errors::WRONG_TYPE);
            return false;
        }
    }
    true
}
