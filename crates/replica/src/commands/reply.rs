//! Pieces that handlers share: arguments read the way Redis reads them, errors that quote bytes.

use kv::number::parse_integer;
use resp::Encoder;

/// Options that do not parse or that contradict each other.
pub(super) const SYNTAX: &str = "ERR syntax error";

/// A number that is not a signed 64-bit integer.
pub(super) const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";

/// Whether an argument is this word, in any case.
pub(super) fn is(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

/// An integer, as strictly as Redis reads one.
pub(super) fn integer(arg: &[u8]) -> Option<i64> {
    parse_integer(arg)
}

/// `yes` or `no`, or by `on` and `off`, in any case.
pub(super) fn switch(arg: &[u8], on: &str, off: &str) -> Option<bool> {
    match () {
        () if is(arg, on) => Some(true),
        () if is(arg, off) => Some(false),
        () => None,
    }
}

/// An error that quotes what a client sent: `before`, the bytes, `after`.
pub(super) fn error_about(out: &mut Encoder<'_>, before: &str, quoted: &[u8], after: &str) {
    out.error([before.as_bytes(), quoted, after.as_bytes()].concat());
}

/// What Redis says of a subcommand whose arguments fit its arity and are still too many.
pub(super) fn wrong_arguments(out: &mut Encoder<'_>, args: &[&[u8]]) {
    let before = "ERR unknown subcommand or wrong number of arguments for '";
    let container = String::from_utf8_lossy(args[0]).to_ascii_uppercase();
    error_about(out, before, args[1], &format!("'. Try {container} HELP."));
}

/// A text for people, as RESP3 marks it.
pub(super) fn text(out: &mut Encoder<'_>, text: &[u8]) {
    out.verbatim("txt", text);
}

/// A key of a map.
pub(super) fn key(out: &mut Encoder<'_>, name: &str) {
    out.bulk(name.as_bytes());
}

/// Splits `host:port` at the last colon; brackets around an IPv6 address go.
pub(super) fn host_and_port(addr: &str) -> (&str, u16) {
    let (host, port) = addr.rsplit_once(':').unwrap_or((addr, ""));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (host, port.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split_at_the_last_colon() {
        assert_eq!(host_and_port("10.0.0.1:7001"), ("10.0.0.1", 7001));
        assert_eq!(host_and_port("[::1]:7001"), ("::1", 7001));
        assert_eq!(host_and_port("node-1.example:80"), ("node-1.example", 80));
        assert_eq!(host_and_port(""), ("", 0));
        assert_eq!(host_and_port("nonsense"), ("nonsense", 0));
    }
}
