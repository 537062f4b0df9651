//! Keys of any type: DEL, EXISTS, RENAME, COPY and the like.

use resp::Encoder;

use crate::context::{ReadContext, WriteContext};
use crate::database::Expiry;
use crate::errors;
use crate::keyspace::Entry;
use crate::number::parse_integer;
use crate::store::DATABASE_COUNT;

/// `DEL key [key ...]`
pub(crate) fn del(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let removed = args[1..]
        .iter()
        .filter(|key| context.remove(key).is_some())
        .count();
    out.integer(removed as i64);
}

/// `UNLINK key [key ...]`: as DEL. What Redis frees in the background is freed here at once, which
/// for one key is cheap with the types there are.
pub(crate) fn unlink(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    del(context, args, out);
}

/// `EXISTS key [key ...]`: a key that is named twice counts twice.
pub(crate) fn exists(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let present = args[1..]
        .iter()
        .filter(|key| context.get(key).is_some())
        .count();
    out.integer(present as i64);
}

/// `TOUCH key [key ...]`: counts as EXISTS does. There is no time of last access to change.
pub(crate) fn touch(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    exists(context, args, out);
}

/// `TYPE key`
pub(crate) fn type_(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    out.simple(
        context
            .get(args[1])
            .map_or("none", |value| value.type_name()),
    );
}

/// `RENAME key newkey`
pub(crate) fn rename(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let (source, destination) = (args[1], args[2]);
    if !context.exists(source) {
        return out.error(errors::NO_SUCH_KEY);
    }
    if source != destination {
        move_key(context, source, destination);
    }
    out.ok();
}

/// `RENAMENX key newkey`
pub(crate) fn renamenx(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let (source, destination) = (args[1], args[2]);
    if !context.exists(source) {
        return out.error(errors::NO_SUCH_KEY);
    }
    if context.exists(destination) {
        return out.integer(0);
    }
    move_key(context, source, destination);
    out.integer(1);
}

/// `COPY source destination [DB destination-db] [REPLACE]`
pub(crate) fn copy(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let (source, destination) = (args[1], args[2]);
    let mut database = context.database_number();
    let mut replace = false;
    let mut options = args[3..].iter();
    while let Some(option) = options.next() {
        if option.eq_ignore_ascii_case(b"replace") {
            replace = true;
        } else if option.eq_ignore_ascii_case(b"db") && options.len() > 0 {
            let number = options.next().copied().unwrap_or_default();
            database = match database_number(number) {
                Ok(number) => number,
                Err(error) => return out.error(error),
            };
        } else {
            return out.error(errors::SYNTAX);
        }
    }
    if database == context.database_number() && source == destination {
        return out.error(errors::SAME_OBJECT);
    }
    let Some(entry) = context.entry(source) else {
        return out.integer(0);
    };
    let (value, expiry) = (entry.value.clone(), expiry_of(entry));
    let mut target = context.in_database(database);
    if !replace && target.exists(destination) {
        return out.integer(0);
    }
    target.set(destination, value, expiry);
    out.integer(1);
}

/// `MOVE key db`
pub(crate) fn move_(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let key = args[1];
    let database = match database_number(args[2]) {
        Ok(number) => number,
        Err(error) => return out.error(error),
    };
    if database == context.database_number() {
        return out.error(errors::SAME_OBJECT);
    }
    if !context.exists(key) || context.in_database(database).exists(key) {
        return out.integer(0);
    }
    if let Some(entry) = context.remove(key) {
        let expiry = expiry_of(&entry);
        context.in_database(database).set(key, entry.value, expiry);
    }
    out.integer(1);
}

/// `RANDOMKEY`: the only reply here that depends on the seed of the read. A key that is expired is
/// passed over, and after many of them the first key that is not is taken.
pub(crate) fn randomkey(context: &ReadContext<'_>, _args: &[&[u8]], out: &mut Encoder<'_>) {
    const ATTEMPTS_MAX: u32 = 100;
    let keys = context.database().keys();
    let mut state = context.seed();
    let mut random = || split_mix(&mut state);
    let mut chosen = None;
    for _ in 0..ATTEMPTS_MAX {
        let Some(entry) = keys.random_entry(&mut random) else {
            return out.null();
        };
        if context.shows(entry) {
            chosen = Some(entry);
            break;
        }
    }
    match chosen.or_else(|| keys.entries().find(|entry| context.shows(entry))) {
        Some(entry) => out.bulk(&entry.key),
        None => out.null(),
    }
}

/// Reads the number of a database, with the errors that MOVE and COPY give.
fn database_number(text: &[u8]) -> Result<u8, &'static str> {
    let number = parse_integer(text).ok_or(errors::NOT_AN_INTEGER)?;
    let number = i32::try_from(number).map_err(|_| errors::NOT_AN_INT)?;
    let in_range = u8::try_from(number)
        .ok()
        .filter(|number| *number < DATABASE_COUNT);
    in_range.ok_or(errors::DATABASE_OUT_OF_RANGE)
}

/// What a key that is made from this entry expires at.
fn expiry_of(entry: &Entry) -> Expiry {
    entry.expire_at().map_or(Expiry::Clear, Expiry::At)
}

/// Makes the value and the expiry of one key those of another, and removes the first.
fn move_key(context: &mut WriteContext<'_>, source: &[u8], destination: &[u8]) {
    if let Some(entry) = context.remove(source) {
        let expiry = expiry_of(&entry);
        context.set(destination, entry.value, expiry);
    }
}

/// The next number of the SplitMix64 generator (Steele, Lea, Flood: "Fast Splittable Pseudorandom
/// Number Generators", 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
