//! Redis' glob patterns: `KEYS`, `SCAN MATCH`, `PSUBSCRIBE`, `CONFIG GET`, `COMMAND LIST`.
//!
//! The dialect is that of `stringmatchlen` in Redis' `util.c`: `*`, `?`, `[abc]`, `[a-z]`, `[^a]`
//! and `\x`. It is matched here by the classic two-pointer walk that remembers only the last `*`.
//! A text that does not match after the last `*` cannot match by letting an earlier one swallow
//! more, so nothing is lost, and the work is bounded by pattern length times text length. A
//! recursive matcher is exponential in the number of stars (CVE-2022-36021) and can exhaust the
//! stack (CVE-2024-31228); this one uses neither recursion nor memory.

/// Whether `text` matches `pattern`, byte for byte.
#[must_use]
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    matches_with(pattern, text, Case::Sensitive)
}

/// Whether `text` matches `pattern` when ASCII letters of either case are taken as equal, as the
/// names of settings and commands are compared.
#[must_use]
pub fn matches_ignoring_case(pattern: &[u8], text: &[u8]) -> bool {
    matches_with(pattern, text, Case::Ignored)
}

/// Whether `pattern` contains nothing special, so that it can match only the one text equal to it.
#[must_use]
pub fn is_literal(pattern: &[u8]) -> bool {
    !pattern
        .iter()
        .any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Sensitive,
    Ignored,
}

impl Case {
    fn fold(self, byte: u8) -> u8 {
        match self {
            Case::Sensitive => byte,
            Case::Ignored => byte.to_ascii_lowercase(),
        }
    }
}

fn matches_with(pattern: &[u8], text: &[u8], case: Case) -> bool {
    // Redis compares an empty text with an empty pattern only: not even `**` matches it. (`KEYS *`
    // never asks: a single star is recognised before any matching.)
    if text.is_empty() {
        return pattern.is_empty();
    }
    let mut pattern_at = 0;
    let mut text_at = 0;
    // Where to resume when a mismatch follows a star: just behind the star, one byte further in
    // the text than last time.
    let mut resume: Option<(usize, usize)> = None;
    while text_at < text.len() {
        let step = match pattern.get(pattern_at) {
            Some(b'*') => {
                pattern_at += 1;
                if pattern_at == pattern.len() {
                    return true;
                }
                resume = Some((pattern_at, text_at));
                continue;
            }
            Some(_) => match_one(&pattern[pattern_at..], text[text_at], case),
            None => None,
        };
        match (step, &mut resume) {
            (Some(pattern_bytes), _) => {
                pattern_at += pattern_bytes;
                text_at += 1;
            }
            (None, Some((after_star, star_text))) => {
                *star_text += 1;
                pattern_at = *after_star;
                text_at = *star_text;
            }
            (None, None) => return false,
        }
    }
    pattern[pattern_at..].iter().all(|&byte| byte == b'*')
}

/// Matches one byte of text against the element that `pattern` begins with, which is not a star.
/// Returns the length of that element when it matches.
fn match_one(pattern: &[u8], byte: u8, case: Case) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', class @ ..] => match_class(class, byte, case).map(|class_bytes| class_bytes + 1),
        [b'\\', escaped, ..] => (case.fold(*escaped) == case.fold(byte)).then_some(2),
        [literal, ..] => (case.fold(*literal) == case.fold(byte)).then_some(1),
        [] => None,
    }
}

/// Matches one byte against a class; `class` begins behind the `[`. Returns the length of the
/// class including its `]` when it matches.
///
/// The oddities are Redis': a class that is never closed ends with the pattern, a range takes
/// whatever byte follows its `-` (even a `]`), ranges compare signed bytes, and an escaped byte in
/// a class is compared exactly even when case is ignored.
fn match_class(class: &[u8], byte: u8, case: Case) -> Option<usize> {
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        match &class[at..] {
            [] => break,
            [b'\\', escaped, ..] => {
                found |= *escaped == byte;
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [from, b'-', to, ..] => {
                let (from, to) = (from.cast_signed(), to.cast_signed());
                let (low, high) = (from.min(to).cast_unsigned(), from.max(to).cast_unsigned());
                let low = case.fold(low).cast_signed();
                let high = case.fold(high).cast_signed();
                found |= (low..=high).contains(&case.fold(byte).cast_signed());
                at += 3;
            }
            [literal, ..] => {
                found |= case.fold(*literal) == case.fold(byte);
                at += 1;
            }
        }
    }
    (found != negated).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dialect_is_that_of_redis() {
        // Pattern, text, whether redis-server 7.0.15 matches them (`KEYS`).
        let table: &[(&[u8], &[u8], bool)] = &[
            (b"*", b"anything", true),
            (b"**", b"a", true),
            (b"**", b"", false),
            (b"", b"", true),
            (b"", b"a", false),
            (b"a*", b"a", true),
            (b"a**", b"a", true),
            (b"*a", b"bba", true),
            (b"*a*", b"bab", true),
            (b"a*b*c", b"a-b-b-c", true),
            (b"a*b*c", b"a-b-b-d", false),
            (b"h?llo", b"hello", true),
            (b"h?llo", b"hllo", false),
            (b"h[ae]llo", b"hallo", true),
            (b"h[ae]llo", b"hillo", false),
            (b"h[^e]llo", b"hallo", true),
            (b"h[^e]llo", b"hello", false),
            (b"h[a-b]llo", b"hbllo", true),
            (b"h[b-a]llo", b"hallo", true),
            (b"h[a-b]llo", b"hcllo", false),
            (b"\\*", b"*", true),
            (b"\\*", b"a", false),
            (b"a\\", b"a\\", true),
            (b"[\\]]", b"]", true),
            (b"[a", b"a", true),
            (b"[", b"[", false),
            (b"[^", b"a", true),
            (b"[a-]", b"a", true),
            (b"[a-]", b"^", true),
            (b"[a-]", b"-", false),
            (b"[]", b"a", false),
            (b"[^]", b"a", true),
            (b"[]a]", b"a]", false),
        ];
        for &(pattern, text, expected) in table {
            assert_eq!(
                matches(pattern, text),
                expected,
                "pattern {:?} text {:?}",
                pattern.escape_ascii().to_string(),
                text.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn case_is_ignored_only_when_asked() {
        assert!(!matches(b"HELLO*", b"hello"));
        assert!(matches_ignoring_case(b"HELLO*", b"hello"));
        assert!(matches_ignoring_case(b"[A-C]x", b"bX"));
        assert!(!matches_ignoring_case(b"[\\A]x", b"ax"));
    }

    #[test]
    fn ranges_compare_signed_bytes() {
        assert!(matches(b"[\x80-a]", b"\x00"));
        assert!(!matches(b"[\x80-a]", b"\x7f"));
    }

    #[test]
    fn many_stars_cost_no_more_than_the_product_of_lengths() {
        let mut pattern = b"a*".repeat(64);
        pattern.push(b'b');
        let text = vec![b'a'; 20_000];
        assert!(!matches(&pattern, &text));
        assert!(!matches(&b"*".repeat(50_000), b""));
        assert!(matches(&b"*".repeat(50_000), b"a"));
    }

    #[test]
    fn a_literal_has_nothing_special() {
        assert!(is_literal(b"config-name"));
        assert!(!is_literal(b"config-*"));
        assert!(!is_literal(b"a\\b"));
    }
}
