//! The options that SET and GETEX share: conditions and expiry.

use crate::errors;
use crate::number::parse_integer;

/// What SET and GETEX were asked to do about the expiry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ExpiryOption<'a> {
    /// Nothing: SET takes the expiry off, GETEX leaves it.
    Unspecified,
    /// `KEEPTTL`: SET leaves it.
    Keep,
    /// `PERSIST`: GETEX takes it off.
    Persist,
    /// `EX`, `PX`, `EXAT` or `PXAT` with its argument.
    At(TimeUnit, &'a [u8]),
}

/// How a time is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TimeUnit {
    /// Seconds from now.
    Seconds,
    /// Milliseconds from now.
    Milliseconds,
    /// A Unix time in seconds.
    UnixSeconds,
    /// A Unix time in milliseconds.
    UnixMilliseconds,
}

impl TimeUnit {
    fn of_option(option: &[u8]) -> Option<TimeUnit> {
        const OPTIONS: [(&[u8], TimeUnit); 4] = [
            (b"EX", TimeUnit::Seconds),
            (b"PX", TimeUnit::Milliseconds),
            (b"EXAT", TimeUnit::UnixSeconds),
            (b"PXAT", TimeUnit::UnixMilliseconds),
        ];
        let found = OPTIONS
            .iter()
            .find(|(name, _)| option.eq_ignore_ascii_case(name))?;
        Some(found.1)
    }

    /// Whether times of this unit are absolute.
    pub(super) fn is_absolute(self) -> bool {
        matches!(self, TimeUnit::UnixSeconds | TimeUnit::UnixMilliseconds)
    }

    /// The Unix time in milliseconds that `text` means at `now_ms`; an error reply when it is no
    /// number, not positive, or too far away. `command` is the name that the error is to show.
    pub(super) fn resolve(self, text: &[u8], now_ms: u64, command: &str) -> Result<u64, String> {
        let number = parse_integer(text).ok_or_else(|| errors::NOT_AN_INTEGER.to_owned())?;
        let scale = match self {
            TimeUnit::Seconds | TimeUnit::UnixSeconds => 1000,
            TimeUnit::Milliseconds | TimeUnit::UnixMilliseconds => 1,
        };
        let base = if self.is_absolute() { 0 } else { now_ms };
        u64::try_from(number)
            .ok()
            .filter(|&number| number > 0)
            .and_then(|number| number.checked_mul(scale))
            .and_then(|duration| duration.checked_add(base))
            .filter(|&time| i64::try_from(time).is_ok())
            .ok_or_else(|| errors::invalid_expire_time(command))
    }
}

/// When SET sets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Condition<'a> {
    /// Always.
    None,
    /// `NX`: if the key is not there.
    Absent,
    /// `XX`: if it is.
    Present,
    /// `IFEQ`: if it holds exactly this string.
    Equal(&'a [u8]),
}

/// The options of SET.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SetOptions<'a> {
    pub(super) condition: Condition<'a>,
    /// Whether the reply is the old value.
    pub(super) replies_old: bool,
    pub(super) expiry: ExpiryOption<'a>,
}

impl<'a> SetOptions<'a> {
    /// Reads what follows the value. As in Redis, an option may be repeated (the last one counts),
    /// and two that contradict each other are a syntax error.
    pub(super) fn parse(mut args: &[&'a [u8]]) -> Option<SetOptions<'a>> {
        let mut options = SetOptions {
            condition: Condition::None,
            replies_old: false,
            expiry: ExpiryOption::Unspecified,
        };
        while let Some((&option, rest)) = args.split_first() {
            args = rest;
            if option.eq_ignore_ascii_case(b"GET") {
                options.replies_old = true;
            } else if option.eq_ignore_ascii_case(b"KEEPTTL") {
                options.expiry = merge_expiry(options.expiry, ExpiryOption::Keep)?;
            } else if let Some(unit) = TimeUnit::of_option(option) {
                let (&time, rest) = args.split_first()?;
                args = rest;
                options.expiry = merge_expiry(options.expiry, ExpiryOption::At(unit, time))?;
            } else {
                let condition = if option.eq_ignore_ascii_case(b"NX") {
                    Condition::Absent
                } else if option.eq_ignore_ascii_case(b"XX") {
                    Condition::Present
                } else if option.eq_ignore_ascii_case(b"IFEQ") {
                    let (&comparison, rest) = args.split_first()?;
                    args = rest;
                    Condition::Equal(comparison)
                } else {
                    return None;
                };
                if !matches!(options.condition, Condition::None) && options.condition != condition {
                    return None;
                }
                options.condition = condition;
            }
        }
        Some(options)
    }
}

/// Reads the options of GETEX: at most one, though it may be repeated.
pub(super) fn parse_getex_options<'a>(mut args: &[&'a [u8]]) -> Option<ExpiryOption<'a>> {
    let mut expiry = ExpiryOption::Unspecified;
    while let Some((&option, rest)) = args.split_first() {
        args = rest;
        if option.eq_ignore_ascii_case(b"PERSIST") {
            expiry = merge_expiry(expiry, ExpiryOption::Persist)?;
        } else {
            let unit = TimeUnit::of_option(option)?;
            let (&time, rest) = args.split_first()?;
            args = rest;
            expiry = merge_expiry(expiry, ExpiryOption::At(unit, time))?;
        }
    }
    Some(expiry)
}

/// The later of two options when they are the same option, nothing when they contradict.
fn merge_expiry<'a>(before: ExpiryOption<'a>, after: ExpiryOption<'a>) -> Option<ExpiryOption<'a>> {
    let agree = match (before, after) {
        (ExpiryOption::Unspecified, _) => true,
        (ExpiryOption::At(before, _), ExpiryOption::At(after, _)) => before == after,
        _ => before == after,
    };
    agree.then_some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<String> {
        let args: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
        SetOptions::parse(&args).map(|options| format!("{options:?}"))
    }

    #[test]
    fn contradictions_are_refused_and_repetitions_are_not() {
        for line in [
            "",
            "nx",
            "NX nx",
            "xx get",
            "ex 1 EX 2",
            "keepttl keepttl",
            "ifeq a get px 5",
            "nx get",
        ] {
            assert!(parse(line).is_some(), "{line}");
        }
        for line in [
            "nx xx",
            "xx nx",
            "ex",
            "ex 1 px 1",
            "keepttl ex 1",
            "ex 1 keepttl",
            "persist",
            "ifeq",
            "ifeq a nx",
            "xx ifeq a",
            "ifeq a ifeq b",
            "exat 1 ex 1",
            "what",
        ] {
            assert!(parse(line).is_none(), "{line}");
        }
    }

    #[test]
    fn times_that_are_not_positive_or_overflow_are_refused() {
        let invalid = Err("ERR invalid expire time in 'set' command".to_owned());
        let now = 1_000_000;
        assert_eq!(TimeUnit::Seconds.resolve(b"10", now, "set"), Ok(1_010_000));
        assert_eq!(
            TimeUnit::Milliseconds.resolve(b"10", now, "set"),
            Ok(1_000_010)
        );
        assert_eq!(TimeUnit::UnixSeconds.resolve(b"10", now, "set"), Ok(10_000));
        assert_eq!(
            TimeUnit::UnixMilliseconds.resolve(b"10", now, "set"),
            Ok(10)
        );
        assert_eq!(TimeUnit::Seconds.resolve(b"0", now, "set"), invalid);
        assert_eq!(TimeUnit::Seconds.resolve(b"-1", now, "set"), invalid);
        assert_eq!(
            TimeUnit::Seconds.resolve(b"9223372036854775807", now, "set"),
            invalid
        );
        assert_eq!(
            TimeUnit::Milliseconds.resolve(b"9223372036854775807", now, "set"),
            invalid
        );
        assert_eq!(
            TimeUnit::UnixMilliseconds.resolve(b"9223372036854775807", now, "set"),
            Ok(i64::MAX as u64)
        );
        assert_eq!(
            TimeUnit::Seconds.resolve(b"1.5", now, "set"),
            Err("ERR value is not an integer or out of range".to_owned())
        );
    }
}
