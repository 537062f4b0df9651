//! When two replies are equal.

use resp::Value;

/// How the replies to a command are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Byte for byte.
    Exact,
    /// Numbers that may differ by what the clock did meanwhile; negative ones may not.
    Clock(i64),
    /// The same elements in any order.
    Unordered,
    /// Replies of one type: their contents cannot be equal.
    Kind,
    /// As exact; where both are arrays, the caller compares element by element, each in the mode of its command.
    Transaction,
}

/// The mode of a command.
pub fn mode(command: &[Vec<u8>]) -> Mode {
    let word = |index: usize| {
        let word = command.get(index).map(|word| word.to_ascii_lowercase());
        String::from_utf8(word.unwrap_or_default()).unwrap_or_default()
    };
    match (word(0).as_str(), word(1).as_str()) {
        ("ttl" | "expiretime", _) => Mode::Clock(3),
        ("pttl" | "pexpiretime", _) => Mode::Clock(3000),
        // Redis counts a key that was stored with a time to live in the past until it comes across it.
        ("dbsize", _) => Mode::Clock(5),
        ("object", "idletime") => Mode::Clock(100),
        // Redis shares small numbers that it parsed, not those that it copied, and a command that
        // waits for EXEC shares its arguments.
        ("object", "refcount") => Mode::Kind,
        ("keys", _) | ("pubsub", "channels" | "shardchannels") => Mode::Unordered,
        ("randomkey" | "time" | "lastsave", _) => Mode::Kind,
        ("client", "id") | ("memory", "usage") | ("acl", "genpass" | "log") => Mode::Kind,
        // Cursors and the order of keys are each server's own; whole scans are compared elsewhere.
        ("scan", _) => Mode::Kind,
        // How long commands took.
        ("slowlog", "get" | "len") | ("latency", "histogram") => Mode::Kind,
        ("exec", _) => Mode::Transaction,
        _ => Mode::Exact,
    }
}

/// A reply as a value and as it was sent.
pub type Reply = (Value, Vec<u8>);

/// Whether two replies are equal in a mode.
pub fn are_equal(mode: Mode, left: &Reply, right: &Reply) -> bool {
    match (mode, &left.0, &right.0) {
        (Mode::Clock(tolerance), Value::Integer(left), Value::Integer(right)) => {
            left == right || (*left >= 0 && *right >= 0 && (left - right).abs() <= tolerance)
        }
        (Mode::Unordered, Value::Array(left), Value::Array(right)) => sorted(left) == sorted(right),
        (Mode::Kind, Value::Error(left), Value::Error(right)) => left == right,
        (Mode::Kind, left, right) => std::mem::discriminant(left) == std::mem::discriminant(right),
        _ => left.1 == right.1,
    }
}

pub fn sorted(values: &[Value]) -> Vec<Vec<u8>> {
    let encode = |value: &Value| {
        let mut bytes = Vec::new();
        value.encode(&mut bytes, resp::Protocol::Resp3);
        bytes
    };
    let mut sorted: Vec<Vec<u8>> = values.iter().map(encode).collect();
    sorted.sort();
    sorted
}

/// Bytes as they can be read and typed.
pub fn show(bytes: &[u8]) -> String {
    const SHOWN_MAX: usize = 400;
    let shown = &bytes[..bytes.len().min(SHOWN_MAX)];
    let more = if bytes.len() > SHOWN_MAX { "…" } else { "" };
    format!("\"{}\"{more}", shown.escape_ascii())
}

/// A command as it can be typed into redis-cli.
pub fn show_command(command: &[Vec<u8>]) -> String {
    let is_plain = |word: &Vec<u8>| {
        !word.is_empty()
            && word
                .iter()
                .all(|byte| byte.is_ascii_graphic() && !b"\"'\\".contains(byte))
    };
    let words = command.iter().map(|word| {
        if is_plain(word) {
            String::from_utf8_lossy(word).into_owned()
        } else {
            show(word)
        }
    });
    words.collect::<Vec<_>>().join(" ")
}
