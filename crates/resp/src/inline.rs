//! Command lines: words, quotes and escapes.
//!
//! The rules are those of Redis's `sdssplitargs`, which reads inline requests, and what is typed at
//! `redis-cli`'s prompt, alike.

use std::ops::Range;

use crate::error::UnbalancedQuotes;

/// Splits a command line into its arguments, as `redis-cli` does with what is typed at its prompt.
///
/// Words are separated by blanks. `"double quotes"` take the escapes `\n \r \t \b \a \xHH` and a backslash
/// before any other byte for that byte; `'single quotes'` take only `\'`. A quote may open in the middle of a
/// word, but a closing quote must end it. An empty line has no arguments. A NUL byte ends the line, as it does
/// in the C string that Redis splits.
///
/// ```
/// let args = resp::split_args(br#"set "a key" 'it\'s' \x41 "\x41\n""#).unwrap();
/// assert_eq!(args, [&b"set"[..], b"a key", b"it's", br"\x41", b"A\n"]);
/// assert!(resp::split_args(br#"get "abc"#).is_err());
/// ```
pub fn split_args(line: &[u8]) -> Result<Vec<Vec<u8>>, UnbalancedQuotes> {
    let mut bytes = Vec::new();
    let mut ranges = Vec::new();
    split_quoted(line, &mut bytes, &mut ranges)?;
    Ok(ranges
        .into_iter()
        .map(|range| bytes[range].to_vec())
        .collect())
}

/// Writes `text` in double quotes with everything unprintable escaped, as `redis-cli` shows strings (Redis's
/// `sdscatrepr`). [`split_args`] reads it back.
pub fn quote(out: &mut Vec<u8>, text: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for &byte in text {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'x', high, low]);
            }
        }
    }
    out.push(b'"');
}

/// Whether a line can be split without looking for quotes: then its words are its own bytes.
pub(crate) fn is_plain(line: &[u8]) -> bool {
    !line.iter().any(|byte| matches!(byte, b'"' | b'\''))
}

/// Splits a line that [`is_plain`] into ranges of the line itself.
pub(crate) fn split_plain(line: &[u8], ranges: &mut Vec<Range<usize>>) {
    let mut position = 0;
    loop {
        position += skip_blanks(&line[position..]);
        let word = line[position..]
            .iter()
            .take_while(|byte| !ends_word(**byte))
            .count();
        if position == line.len() {
            return;
        }
        ranges.push(position..position + word);
        position += word;
    }
}

/// Splits any line, writing the words one after another to `bytes` and where they are to `ranges`.
pub(crate) fn split_quoted(
    line: &[u8],
    bytes: &mut Vec<u8>,
    ranges: &mut Vec<Range<usize>>,
) -> Result<(), UnbalancedQuotes> {
    let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let mut position = 0;
    loop {
        position += skip_blanks(&line[position..]);
        if position == line.len() {
            return Ok(());
        }
        let start = bytes.len();
        position += read_word(&line[position..], bytes)?;
        ranges.push(start..bytes.len());
    }
}

/// Reads one word that may have quotes in it, and tells how many bytes of `rest` it took.
fn read_word(rest: &[u8], word: &mut Vec<u8>) -> Result<usize, UnbalancedQuotes> {
    let mut position = 0;
    while let Some(&byte) = rest.get(position) {
        match byte {
            _ if ends_word(byte) => break,
            b'"' | b'\'' => {
                position += 1;
                let quoted = &rest[position..];
                let taken = if byte == b'"' {
                    read_double(quoted, word)
                } else {
                    read_single(quoted, word)
                };
                position += taken?;
                return match rest.get(position) {
                    Some(next) if !is_blank(*next) => Err(UnbalancedQuotes),
                    _ => Ok(position),
                };
            }
            _ => word.push(byte),
        }
        position += 1;
    }
    Ok(position)
}

/// Reads what is in double quotes, to after the closing one.
fn read_double(quoted: &[u8], word: &mut Vec<u8>) -> Result<usize, UnbalancedQuotes> {
    let mut position = 0;
    loop {
        position += match &quoted[position..] {
            [b'"', ..] => return Ok(position + 1),
            [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                word.push(hex_digit(*high) * 16 + hex_digit(*low));
                4
            }
            [b'\\', escaped, ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                2
            }
            [byte, ..] => {
                word.push(*byte);
                1
            }
            [] => return Err(UnbalancedQuotes),
        };
    }
}

/// Reads what is in single quotes, to after the closing one.
fn read_single(quoted: &[u8], word: &mut Vec<u8>) -> Result<usize, UnbalancedQuotes> {
    let mut position = 0;
    loop {
        position += match &quoted[position..] {
            [b'\'', ..] => return Ok(position + 1),
            [b'\\', b'\'', ..] => {
                word.push(b'\'');
                2
            }
            [byte, ..] => {
                word.push(*byte);
                1
            }
            [] => return Err(UnbalancedQuotes),
        };
    }
}

fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => (byte | 0x20) - b'a' + 10,
    }
}

fn skip_blanks(rest: &[u8]) -> usize {
    rest.iter().take_while(|byte| is_blank(**byte)).count()
}

/// C's `isspace`, which decides what may stand between words.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// What ends a word: less than [`is_blank`], for `sdssplitargs` keeps a vertical tab or a form feed that is
/// inside a word.
fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
