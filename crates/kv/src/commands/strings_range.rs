//! Parts of strings: APPEND, GETRANGE, SETRANGE.

use resp::Encoder;

use crate::context::{ReadContext, WriteContext};
use crate::database::Expiry;
use crate::errors;
use crate::number::parse_integer;
use crate::value::{StringValue, Value};

/// The longest string there may be: Redis' `proto-max-bulk-len`, 512 MiB.
pub(super) const STRING_BYTES_MAX: u64 = 512 * 1024 * 1024;

const TOO_LONG: &str = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
const OFFSET_OUT_OF_RANGE: &str = "ERR offset is out of range";

/// `APPEND key value`
pub(crate) fn append(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let (key, addition) = (args[1], args[2]);
    let before = match context.get(key).map(Value::as_string) {
        None => {
            context.set(key, StringValue::from_bytes(addition), Expiry::Clear);
            return out.integer(addition.len() as i64);
        }
        Some(None) => return out.error(errors::WRONG_TYPE),
        Some(Some(string)) => string.length(),
    };
    if exceeds_limit(before as u64, addition) {
        return out.error(TOO_LONG);
    }
    if let Some(bytes) = context.get_mut(key).and_then(Value::string_mut) {
        bytes.extend_from_slice(addition);
    }
    out.integer((before + addition.len()) as i64);
}

/// `SETRANGE key offset value`: an empty value changes nothing, not even an absent key.
pub(crate) fn setrange(context: &mut WriteContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let (key, patch) = (args[1], args[3]);
    let Some(offset) = parse_integer(args[2]) else {
        return out.error(errors::NOT_AN_INTEGER);
    };
    let Ok(offset) = u64::try_from(offset) else {
        return out.error(OFFSET_OUT_OF_RANGE);
    };
    let before = match context.get(key).map(Value::as_string) {
        None => None,
        Some(None) => return out.error(errors::WRONG_TYPE),
        Some(Some(string)) => Some(string.length()),
    };
    if patch.is_empty() {
        return out.integer(before.unwrap_or(0) as i64);
    }
    if exceeds_limit(offset, patch) {
        return out.error(TOO_LONG);
    }
    // Within the limit, so it fits any address space.
    let start = offset as usize;
    if before.is_none() {
        context.set(key, StringValue::growing(Vec::new()), Expiry::Clear);
    }
    let length = match context.get_mut(key).and_then(Value::string_mut) {
        Some(bytes) => {
            let end = start + patch.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[start..end].copy_from_slice(patch);
            bytes.len()
        }
        None => 0,
    };
    out.integer(length as i64);
}

/// `GETRANGE key start end`: both ends belong to the range, negative ones count from the end.
pub(crate) fn getrange(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let (Some(start), Some(end)) = (parse_integer(args[2]), parse_integer(args[3])) else {
        return out.error(errors::NOT_AN_INTEGER);
    };
    match context.get(args[1]).map(Value::as_string) {
        None => out.bulk(b""),
        Some(None) => out.error(errors::WRONG_TYPE),
        Some(Some(string)) => string.with_bytes(|bytes| out.bulk(range(bytes, start, end))),
    }
}

/// `SUBSTR key start end`: the old name of GETRANGE.
pub(crate) fn substr(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    getrange(context, args, out);
}

fn range(bytes: &[u8], start: i64, end: i64) -> &[u8] {
    let length = bytes.len() as i64;
    if start < 0 && end < 0 && start > end {
        return b"";
    }
    let from_end = |place: i64| {
        if place < 0 {
            (place + length).max(0)
        } else {
            place
        }
    };
    let start = from_end(start);
    let end = from_end(end).min(length - 1);
    if start > end {
        b""
    } else {
        &bytes[start as usize..=end as usize]
    }
}

fn exceeds_limit(before: u64, addition: &[u8]) -> bool {
    before.saturating_add(addition.len() as u64) > STRING_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_clipped_as_redis_clips_them() {
        let table: &[(i64, i64, &[u8])] = &[
            (0, 3, b"This"),
            (-3, -1, b"ing"),
            (0, -1, b"This is a string"),
            (10, 100, b"string"),
            (100, 200, b""),
            (5, 3, b""),
            (-1, -5, b""),
            (-100, 3, b"This"),
            (-100, -200, b""),
            (-200, -100, b"T"),
            (i64::MIN, i64::MAX, b"This is a string"),
            (0, i64::MIN, b"T"),
        ];
        for &(start, end, expected) in table {
            assert_eq!(
                range(b"This is a string", start, end),
                expected,
                "{start} {end}"
            );
        }
        assert_eq!(range(b"", 0, -1), b"");
        assert_eq!(range(b"", 0, 0), b"");
    }

    #[test]
    fn the_limit_itself_is_allowed() {
        assert!(!exceeds_limit(STRING_BYTES_MAX - 1, b"x"));
        assert!(!exceeds_limit(STRING_BYTES_MAX, b""));
        assert!(exceeds_limit(STRING_BYTES_MAX, b"x"));
        assert!(exceeds_limit(u64::MAX, b"x"));
    }
}
