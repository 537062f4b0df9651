//! Replies to GET and SET, as they lie in the buffer.
//!
//! `resp::ReplyParser` understands every reply and gives it away as a value of its own. A load
//! generator asks a million times a second whether the answer is `+OK`, and wants neither the text
//! nor an allocation. What it does not expect to see, it refuses.

use thiserror::Error;

use crate::measure::Outcome;

/// A line that is longer is no reply of a key-value store.
const LINE_BYTES_MAX: usize = 64 << 10;

/// The bytes are no reply to what was sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the reply to GET or SET makes no sense: '{start}'")]
pub(crate) struct Nonsense {
    /// Its first bytes, escaped.
    start: String,
}

impl Nonsense {
    fn at(input: &[u8]) -> Nonsense {
        let start = &input[..input.len().min(40)];
        Nonsense {
            start: start.escape_ascii().to_string(),
        }
    }
}

/// Looks for one reply at the start of `input`: what it says, and how many bytes it takes. `None` asks
/// for more bytes.
pub(crate) fn scan(input: &[u8]) -> Result<Option<(Outcome<'_>, usize)>, Nonsense> {
    let Some(&kind) = input.first() else {
        return Ok(None);
    };
    // What nearly every reply to a SET is.
    if input.starts_with(b"+OK\r\n") {
        return Ok(Some((Outcome::Done, 5)));
    }
    let Some(line) = line(input)? else {
        return Ok(None);
    };
    let line_bytes = line.len() + 3;
    match kind {
        b'+' => Ok(Some((Outcome::Done, line_bytes))),
        b'_' if line.is_empty() => Ok(Some((Outcome::Miss, line_bytes))),
        b'$' if line == b"-1" => Ok(Some((Outcome::Miss, line_bytes))),
        b'$' => {
            let length = length(line).ok_or_else(|| Nonsense::at(input))?;
            let end = line_bytes + length;
            match input.get(end..end + 2) {
                None => Ok(None),
                Some(b"\r\n") => Ok(Some((Outcome::Done, end + 2))),
                Some(_) => Err(Nonsense::at(input)),
            }
        }
        b'-' => {
            let text = std::str::from_utf8(line).unwrap_or("an error that is not UTF-8");
            Ok(Some((Outcome::Failed(text), line_bytes)))
        }
        _ => Err(Nonsense::at(input)),
    }
}

/// The line after the type byte, without its end, if it is there.
fn line(input: &[u8]) -> Result<Option<&[u8]>, Nonsense> {
    let rest = &input[1..];
    match rest
        .iter()
        .take(LINE_BYTES_MAX)
        .position(|byte| *byte == b'\r')
    {
        None if rest.len() >= LINE_BYTES_MAX => Err(Nonsense::at(input)),
        None => Ok(None),
        Some(end) => match rest.get(end + 1) {
            None => Ok(None),
            Some(b'\n') => Ok(Some(&rest[..end])),
            Some(_) => Err(Nonsense::at(input)),
        },
    }
}

/// A length of at most nine digits, so that no sum of it can overflow.
fn length(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    digits.iter().try_fold(0, |length, digit| {
        digit
            .is_ascii_digit()
            .then(|| length * 10 + usize::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, prop_oneof};

    use super::*;

    #[test]
    fn replies_are_understood_at_any_split() {
        let replies: [(&[u8], Outcome<'_>); 8] = [
            (b"+OK\r\n", Outcome::Done),
            (b"+QUEUED\r\n", Outcome::Done),
            (b"$-1\r\n", Outcome::Miss),
            (b"_\r\n", Outcome::Miss),
            (b"$0\r\n\r\n", Outcome::Done),
            (b"$5\r\na\r\nb\n\r\n", Outcome::Done),
            (b"$12\r\n012345678901\r\n", Outcome::Done),
            (b"-ERR no\r\n", Outcome::Failed("ERR no")),
        ];
        for (bytes, outcome) in replies {
            for split in 0..bytes.len() {
                assert_eq!(scan(&bytes[..split]), Ok(None), "{}", bytes.escape_ascii());
            }
            assert_eq!(scan(bytes), Ok(Some((outcome, bytes.len()))));
            let followed = [bytes, b"+more\r\n"].concat();
            assert_eq!(scan(&followed), Ok(Some((outcome, bytes.len()))));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let wrong: [&[u8]; 9] = [
            b"HTTP/1.1 400 Bad Request\r\n",
            b"$abc\r\n",
            b"$\r\n",
            b"$-2\r\n",
            b"$99999999999999999999\r\n",
            b"$2\r\nabcd",
            b"+OK\rx",
            b"*1\r\n+OK\r\n",
            b"_x\r\n",
        ];
        for bytes in wrong {
            let error = scan(bytes).unwrap_err().to_string();
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        assert!(scan(&[b'+'; LINE_BYTES_MAX + 1]).is_err());
    }

    proptest! {
        /// Whatever a server says, this finds the same replies as the parser of the resp crate.
        #[test]
        fn agrees_with_the_parser(
            replies in vec(prop_oneof![
                Just(b"+OK\r\n".to_vec()),
                Just(b"$-1\r\n".to_vec()),
                "[a-z]{0,9}".prop_map(|text| format!("-ERR {text}\r\n").into_bytes()),
                vec(any::<u8>(), 0..40).prop_map(|value| {
                    let mut bytes = format!("${}\r\n", value.len()).into_bytes();
                    bytes.extend(value);
                    bytes.extend(b"\r\n");
                    bytes
                }),
            ], 0..8),
        ) {
            let stream = replies.concat();
            let mut parser = resp::ReplyParser::new();
            let (mut ours, mut theirs) = (stream.as_slice(), stream.as_slice());
            while let Some((value, bytes)) = parser.parse(theirs).unwrap() {
                let (outcome, length) = scan(ours).unwrap().unwrap();
                prop_assert_eq!(length, bytes);
                match value {
                    resp::Value::Null => prop_assert_eq!(outcome, Outcome::Miss),
                    resp::Value::Error(text) => {
                        let text = String::from_utf8(text).unwrap();
                        prop_assert_eq!(outcome, Outcome::Failed(&text));
                    }
                    _ => prop_assert_eq!(outcome, Outcome::Done),
                }
                (ours, theirs) = (&ours[length..], &theirs[bytes..]);
            }
            prop_assert_eq!(scan(ours), Ok(None));
        }

        /// No bytes make it panic.
        #[test]
        fn survives_anything(bytes in vec(any::<u8>(), 0..64)) {
            if let Ok(Some((_, length))) = scan(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
