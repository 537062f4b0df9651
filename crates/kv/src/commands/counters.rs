//! Strings that are numbers: INCR, DECR and their variants.

use resp::Encoder;

use crate::context::WriteContext;
use crate::database::Expiry;
use crate::errors;
use crate::extended::Extended;
use crate::number::parse_integer;
use crate::value::{StringValue, Value};

const OVERFLOW: &str = "ERR increment or decrement would overflow";
const DECREMENT_OVERFLOW: &str = "ERR decrement would overflow";
const NOT_A_FLOAT: &str = "ERR value is not a valid float";
const NOT_FINITE: &str = "ERR increment would produce NaN or Infinity";

/// `INCR key`
pub(crate) fn incr(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    add(context, args[1], 1, out);
}

/// `DECR key`
pub(crate) fn decr(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    add(context, args[1], -1, out);
}

/// `INCRBY key increment`
pub(crate) fn incrby(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    match parse_integer(args[2]) {
        Some(increment) => add(context, args[1], increment, out),
        None => out.error(errors::NOT_AN_INTEGER),
    }
}

/// `DECRBY key decrement`
pub(crate) fn decrby(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    match parse_integer(args[2]).map(i64::checked_neg) {
        Some(Some(increment)) => add(context, args[1], increment, out),
        Some(None) => out.error(DECREMENT_OVERFLOW),
        None => out.error(errors::NOT_AN_INTEGER),
    }
}

/// Adds to the integer at a key, an absent one counting as zero. The expiry stays.
fn add(context: &mut WriteContext<'_>, key: &[u8], increment: i64, out: &mut Encoder<'_>) {
    let before = match context.get(key).map(Value::as_string) {
        None => 0,
        Some(None) => return out.error(errors::WRONG_TYPE),
        Some(Some(string)) => match string.parse_integer() {
            Some(integer) => integer,
            None => return out.error(errors::NOT_AN_INTEGER),
        },
    };
    let Some(after) = before.checked_add(increment) else {
        return out.error(OVERFLOW);
    };
    context.set(key, StringValue::from_integer(after), Expiry::Keep);
    out.integer(after);
}

/// `INCRBYFLOAT key increment`: in the arithmetic of [`Extended`], so that the digits are those of
/// Redis on x86-64 on every machine. The sum is kept as text, even where it is an integer.
pub(crate) fn incrbyfloat(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let before = match context.get(args[1]).map(Value::as_string) {
        None => Extended::parse(b"0"),
        Some(None) => return out.error(errors::WRONG_TYPE),
        Some(Some(string)) => string.with_bytes(Extended::parse),
    };
    let (Some(before), Some(increment)) = (before, Extended::parse(args[2])) else {
        return out.error(NOT_A_FLOAT);
    };
    let Some(after) = before.add(increment).filter(|sum| !sum.is_infinite()) else {
        return out.error(NOT_FINITE);
    };
    let text = after.to_string();
    context.set(
        args[1],
        StringValue::from_text(text.as_bytes()),
        Expiry::Keep,
    );
    out.bulk(text.as_bytes());
}
