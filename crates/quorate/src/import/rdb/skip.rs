//! Values that are passed over: a type says where its value ends only to those who know how it is built.
//!
//! Where a value is one string that holds a structure of its own (ziplist, listpack, intset, …), its
//! inside is not looked at.

use std::io::Read;

use super::{
    error::{Damage, RdbError},
    input::Input,
};

/// Bytes of a time in milliseconds, or of a binary double.
const WORD_BYTES: u64 = 8;
/// Bytes of the id of a stream's entry.
const STREAM_ID_BYTES: u64 = 16;

/// Passes the value of a type over, and names the type as `TYPE` would (`rdbLoadObject` of Redis).
pub(crate) fn skip_value<R: Read>(
    input: &mut Input<R>,
    kind: u8,
) -> Result<&'static str, RdbError> {
    match kind {
        // Linked list; quicklist of ziplists.
        1 | 14 => skip_many(input, |input| input.skip_text())?,
        // Hash table of a set.
        2 => skip_many(input, |input| input.skip_text())?,
        3 => skip_many(input, |input| {
            input.skip_text()?;
            skip_double_text(input)
        })?,
        4 => skip_many(input, |input| input.skip_texts(2))?,
        5 => skip_many(input, |input| {
            input.skip_text()?;
            input.skip(WORD_BYTES)
        })?,
        6 => return Err(input.error(Damage::PreRelease("a module's value"))),
        7 => {
            input.number()?;
            skip_module_parts(input)?;
        }
        // Zipmap, ziplists, intset, listpacks; a hash with times in a listpack of 7.4's candidates.
        9..=13 | 16 | 17 | 20 | 23 => input.skip_text()?,
        15 | 19 | 21 | 26 => skip_stream(input, kind)?,
        // Quicklist of listpacks: each with its kind of container.
        18 => skip_many(input, |input| {
            input.number()?;
            input.skip_text()
        })?,
        // Hash whose fields have times; since 7.4.0 the earliest time stands in front.
        22 => skip_many(input, skip_field_with_time)?,
        24 => {
            input.skip(WORD_BYTES)?;
            skip_many(input, skip_field_with_time)?;
        }
        25 => {
            input.skip(WORD_BYTES)?;
            input.skip_text()?;
        }
        _ => return Err(input.error(Damage::UnknownType(kind))),
    }
    Ok(match kind {
        1 | 10 | 14 | 18 => "list",
        2 | 11 | 20 => "set",
        3 | 5 | 12 | 17 => "zset",
        15 | 19 | 21 | 26 => "stream",
        7 => "module",
        _ => "hash",
    })
}

fn skip_many<R: Read>(
    input: &mut Input<R>,
    mut skip_one: impl FnMut(&mut Input<R>) -> Result<(), RdbError>,
) -> Result<(), RdbError> {
    let count = input.count()?;
    (0..count).try_for_each(|_| skip_one(input))
}

fn skip_field_with_time<R: Read>(input: &mut Input<R>) -> Result<(), RdbError> {
    input.number()?;
    input.skip_texts(2)
}

/// A number in decimal digits behind a byte with their count. Three counts stand for numbers that have
/// no digits: not a number, and the two infinities.
fn skip_double_text<R: Read>(input: &mut Input<R>) -> Result<(), RdbError> {
    match input.byte()? {
        253..=255 => Ok(()),
        digits => input.skip(u64::from(digits)),
    }
}

/// A stream: its entries, its counters, and its groups with what is pending.
fn skip_stream<R: Read>(input: &mut Input<R>, kind: u8) -> Result<(), RdbError> {
    let has_first_id = kind >= 19;
    let has_active_time = kind >= 21;
    let has_producers = kind >= 26;
    skip_many(input, |input| input.skip_texts(2))?;
    // Length and last id; first id, greatest deleted id, entries ever added.
    input.skip_numbers(if has_first_id { 3 + 5 } else { 3 })?;
    skip_many(input, |input| {
        input.skip_text()?;
        // Last id that was delivered; entries that were read.
        input.skip_numbers(if has_first_id { 3 } else { 2 })?;
        skip_many(input, |input| {
            input.skip(STREAM_ID_BYTES + WORD_BYTES)?;
            input.number().map(drop)
        })?;
        skip_many(input, |input| {
            input.skip_text()?;
            input.skip(if has_active_time { 2 } else { 1 } * WORD_BYTES)?;
            skip_many(input, |input| input.skip(STREAM_ID_BYTES))
        })
    })?;
    if has_producers {
        input.skip_numbers(2)?;
        skip_many(input, |input| {
            input.skip_text()?;
            skip_many(input, |input| {
                input.skip_text()?;
                input.skip_numbers(2)
            })
        })?;
        input.skip_numbers(2)?;
    }
    Ok(())
}

/// What a module has written: parts that each say what they are, up to one that says that it is the end.
pub(crate) fn skip_module_parts<R: Read>(input: &mut Input<R>) -> Result<(), RdbError> {
    loop {
        let at = input.position();
        match input.number()? {
            0 => return Ok(()),
            1 | 2 => input.number().map(drop)?,
            3 => input.skip(4)?,
            4 => input.skip(WORD_BYTES)?,
            5 => input.skip_text()?,
            part => return Err(RdbError::new(at, Damage::UnknownModulePart(part))),
        }
    }
}
