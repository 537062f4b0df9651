//! Walking the keys: KEYS and SCAN.
//!
//! # Cursors
//! A cursor names a *cell*: 2048 neighbouring positions. The reply ends at the border of a cell, and
//! the cursor is the number of the first cell not walked. A cell has 53 bits (14 of the slot, 39 of
//! the hash), so that a cursor is exact also where numbers are doubles, as in JavaScript; and it is
//! so small a part of the keyspace that hardly ever two keys share one. A cursor needs no memory on
//! any node, stays valid for ever, on every replica, and across a change of leader.
//!
//! A key that is there from the first call to the last is in its cell all the time and is returned
//! exactly once. Redis promises at least once.

use resp::Encoder;

use crate::context::ReadContext;
use crate::errors;
use crate::glob;
use crate::keyspace::{Entry, Position};
use crate::number::parse_integer;

/// The bits of a position within a cell.
const CELL_BITS: u32 = 11;

/// The number of keys that a call looks at when COUNT does not say.
const COUNT_DEFAULT: usize = 10;

/// `KEYS pattern`
pub(crate) fn keys(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let filter = Filter {
        pattern: Some(args[1]),
        type_name: None,
    };
    let entries = context.database().keys().entries();
    let found: Vec<_> = entries
        .filter(|entry| filter.matches(entry) && context.shows(entry))
        .collect();
    reply_keys(&found, out);
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
pub(crate) fn scan(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let Some(cursor) = parse_cursor(args[1]) else {
        return out.error("ERR invalid cursor");
    };
    let mut filter = Filter {
        pattern: None,
        type_name: None,
    };
    let mut count_max = COUNT_DEFAULT;
    for option in args[2..].chunks(2) {
        let &[name, value] = option else {
            return out.error(errors::SYNTAX);
        };
        if name.eq_ignore_ascii_case(b"count") {
            let Some(count) = parse_integer(value) else {
                return out.error(errors::NOT_AN_INTEGER);
            };
            match usize::try_from(count) {
                Ok(count) if count > 0 => count_max = count,
                _ => return out.error(errors::SYNTAX),
            }
        } else if name.eq_ignore_ascii_case(b"match") {
            filter.pattern = Some(value);
        } else if name.eq_ignore_ascii_case(b"type") {
            filter.type_name = Some(value);
        } else {
            return out.error(errors::SYNTAX);
        }
    }
    let (found, next) = walk(context, &filter, cursor, count_max);
    out.array(2);
    out.bulk(next.to_string().as_bytes());
    reply_keys(&found, out);
}

/// The entries to show from a cursor on, and the next cursor, 0 at the end. Looks at `count_max`
/// entries and then at the rest of the last one's cell.
fn walk<'a>(
    context: &ReadContext<'a>,
    filter: &Filter<'_>,
    cursor: u64,
    count_max: usize,
) -> (Vec<&'a Entry>, u64) {
    let mut found = Vec::new();
    if cursor > u64::MAX >> CELL_BITS {
        return (found, 0);
    }
    let first = Position(cursor << CELL_BITS);
    let mut last_cell = cursor;
    for (count, (position, entry)) in context.database().keys().entries_from(first).enumerate() {
        let cell = position.0 >> CELL_BITS;
        if count >= count_max && cell != last_cell {
            return (found, last_cell + 1);
        }
        last_cell = cell;
        if filter.matches(entry) && context.shows(entry) {
            found.push(entry);
        }
    }
    (found, 0)
}

fn reply_keys(entries: &[&Entry], out: &mut Encoder<'_>) {
    out.array(entries.len());
    for entry in entries {
        out.bulk(&entry.key);
    }
}

/// What SCAN and KEYS show.
struct Filter<'a> {
    pattern: Option<&'a [u8]>,
    /// A type in any case. One that does not exist matches nothing.
    type_name: Option<&'a [u8]>,
}

impl Filter<'_> {
    fn matches(&self, entry: &Entry) -> bool {
        let type_name = entry.value.type_name().as_bytes();
        self.pattern
            .is_none_or(|pattern| pattern == b"*" || glob::matches(pattern, &entry.key))
            && self
                .type_name
                .is_none_or(|wanted| wanted.eq_ignore_ascii_case(type_name))
    }
}

/// Reads a cursor as `strtoul` does, because Redis does: nothing is 0, a sign is accepted, and a
/// minus wraps around. Space in front, anything behind, and what does not fit are errors.
fn parse_cursor(text: &[u8]) -> Option<u64> {
    let (negative, digits) = match text {
        [] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let magnitude = digits.iter().try_fold(0u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })?;
    Some(if negative {
        magnitude.wrapping_neg()
    } else {
        magnitude
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_strtoul_reads_them() {
        for (text, cursor) in [
            ("", Some(0)),
            ("0", Some(0)),
            ("+7", Some(7)),
            ("-1", Some(u64::MAX)),
            ("007", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("-", None),
            (" 1", None),
            ("1 ", None),
            ("0x10", None),
        ] {
            assert_eq!(parse_cursor(text.as_bytes()), cursor, "{text:?}");
        }
    }
}
