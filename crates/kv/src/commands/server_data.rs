//! Commands of the server that work on the data set: whole databases, how values are kept, and
//! publishing, which goes through the log so that all nodes see one order of messages.

use resp::Encoder;

use crate::context::{ReadContext, WriteContext};
use crate::digest::Digest;
use crate::errors;
use crate::keyspace::Entry;
use crate::number::parse_integer;
use crate::store::DATABASE_COUNT;
use crate::value::Value;

/// The reference count that Redis reports for its preallocated integers.
const SHARED_REFERENCE_COUNT: i64 = i32::MAX as i64;

/// The number of integers, from 0, that Redis preallocates.
const SHARED_INTEGER_COUNT: i64 = 10_000;

/// `DBSIZE`
pub(crate) fn dbsize(context: &ReadContext<'_>, _args: &[&[u8]], out: &mut Encoder<'_>) {
    out.integer(context.database().keys().key_count() as i64);
}

/// `FLUSHDB [ASYNC | SYNC]`. Both take the keys out at once, and free them a part per entry.
pub(crate) fn flushdb(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    if !is_flush_mode(&args[1..]) {
        return out.error(errors::SYNTAX);
    }
    let database = context.database_number();
    context.store_mut().flush([database]);
    out.ok();
}

/// `FLUSHALL [ASYNC | SYNC]`
pub(crate) fn flushall(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    if !is_flush_mode(&args[1..]) {
        return out.error(errors::SYNTAX);
    }
    context.store_mut().flush(0..DATABASE_COUNT);
    out.ok();
}

/// `SWAPDB index1 index2`
pub(crate) fn swapdb(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let number = |text| parse_integer(text).and_then(|number| i32::try_from(number).ok());
    let Some(first) = number(args[1]) else {
        return out.error("ERR invalid first DB index");
    };
    let Some(second) = number(args[2]) else {
        return out.error("ERR invalid second DB index");
    };
    let index = |number| {
        u8::try_from(number)
            .ok()
            .filter(|number| *number < DATABASE_COUNT)
    };
    let (Some(first), Some(second)) = (index(first), index(second)) else {
        return out.error(errors::DATABASE_OUT_OF_RANGE);
    };
    context.store_mut().swap_databases(first, second);
    out.ok();
}

/// `PUBLISH channel message`
pub(crate) fn publish(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let receivers = context.publish(false, args[1], args[2]);
    out.integer(receivers);
}

/// `SPUBLISH shardchannel message`
pub(crate) fn spublish(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let receivers = context.publish(true, args[1], args[2]);
    out.integer(receivers);
}

/// `OBJECT ENCODING key`
pub(crate) fn object_encoding(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    match context.get(args[2]) {
        Some(value) => out.bulk(value.encoding().as_bytes()),
        None => out.null(),
    }
}

/// `OBJECT FREQ key`: there is no eviction, so nothing counts accesses, and Redis's words for that
/// case are right.
pub(crate) fn object_freq(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    match context.get(args[2]) {
        Some(_) => out.error(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please \
             note that when switching between policies at runtime LRU and LFU data will take some \
             time to adjust.",
        ),
        None => out.null(),
    }
}

/// `OBJECT IDLETIME key`: always 0. Reads leave no trace in the state, or replicas would differ.
pub(crate) fn object_idletime(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    match context.get(args[2]) {
        Some(_) => out.integer(0),
        None => out.null(),
    }
}

/// `OBJECT REFCOUNT key`
pub(crate) fn object_refcount(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    match context.get(args[2]) {
        Some(value) => out.integer(reference_count(value)),
        None => out.null(),
    }
}

/// `MEMORY USAGE key [SAMPLES count]`: the entry and what its key and value allocate.
pub(crate) fn memory_usage(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    for option in args[3..].chunks(2) {
        match option {
            [name, count] if name.eq_ignore_ascii_case(b"samples") => match parse_integer(count) {
                Some(0..) => {}
                Some(_) => return out.error(errors::SYNTAX),
                None => return out.error(errors::NOT_AN_INTEGER),
            },
            _ => return out.error(errors::SYNTAX),
        }
    }
    match context.entry(args[2]) {
        Some(entry) => out.integer(entry.used_bytes() as i64),
        None => out.null(),
    }
}

/// `DEBUG OBJECT key`: the fields that Redis shows, and the version.
pub(crate) fn debug_object(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let Some(Entry { value, version, .. }) = context.entry(args[2]) else {
        return out.error(errors::NO_SUCH_KEY);
    };
    out.simple(&format!(
        "Value at:0x0 refcount:{} encoding:{} serializedlength:{} lru:0 lru_seconds_idle:0 \
         version:{version}",
        reference_count(value),
        value.encoding(),
        value.length(),
    ));
}

/// `DEBUG DIGEST`: a digest of all keys, values and expiries in all databases.
pub(crate) fn debug_digest(context: &ReadContext<'_>, _args: &[&[u8]], out: &mut Encoder<'_>) {
    let mut all = Digest::default();
    for number in 0..DATABASE_COUNT {
        for entry in context.database_at(number).keys().entries() {
            if context.shows(entry) {
                all.add(&Digest::of_entry(number, entry));
            }
        }
    }
    out.simple(&all.to_string());
}

/// `DEBUG DIGEST-VALUE key [key ...]`: a digest of each value, zeros for a key that is not there.
pub(crate) fn debug_digest_value(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    out.array(args.len() - 2);
    for key in &args[2..] {
        let digest = context.get(key).map(Digest::of_value).unwrap_or_default();
        out.bulk(digest.to_string().as_bytes());
    }
}

/// Whether the arguments of FLUSHDB and FLUSHALL are valid.
fn is_flush_mode(options: &[&[u8]]) -> bool {
    match options {
        [] => true,
        [mode] => mode.eq_ignore_ascii_case(b"async") || mode.eq_ignore_ascii_case(b"sync"),
        _ => false,
    }
}

/// The reference count of Redis: small integers are shared, everything else has one owner.
fn reference_count(value: &Value) -> i64 {
    let Value::String(string) = value;
    match string.as_integer() {
        Some(0..SHARED_INTEGER_COUNT) => SHARED_REFERENCE_COUNT,
        _ => 1,
    }
}
