//! What is sent: the commands of one connection, one after the other.

use crate::{keys::KeyChooser, options::Plan, random::Random};

/// The bytes of a key: `key:` and twelve digits.
pub(crate) const KEY_BYTES: usize = 16;
const KEY_ZERO: &[u8; KEY_BYTES] = b"key:000000000000";
/// How much more random text there is than one value takes: so many different values.
const POOL_SPARE_BYTES: usize = 64 << 10;
/// Values are printable, 6 bits a byte, so that no server or disk can compress them by much.
const ALPHABET: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
/// The stream of random numbers that values are made of; connections have theirs by their number.
const POOL_STREAM: u64 = u64::MAX;

/// Random text that values are cut from.
#[derive(Debug)]
pub(crate) struct ValuePool {
    text: Vec<u8>,
    value_bytes: usize,
}

impl ValuePool {
    /// A pool for values of this size.
    pub(crate) fn new(seed: u64, value_bytes: usize) -> ValuePool {
        let mut random = Random::new(seed, POOL_STREAM);
        let mut text = Vec::with_capacity(value_bytes + POOL_SPARE_BYTES + 8);
        while text.len() < value_bytes + POOL_SPARE_BYTES {
            let letters = random.next_u64().to_le_bytes();
            text.extend(letters.map(|letter| ALPHABET[usize::from(letter & 63)]));
        }
        ValuePool { text, value_bytes }
    }

    fn value(&self, random: &mut Random) -> &[u8] {
        let start = random.below(POOL_SPARE_BYTES as u64) as usize;
        &self.text[start..start + self.value_bytes]
    }
}

/// One command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Command<'a> {
    /// The key.
    pub(crate) key: [u8; KEY_BYTES],
    /// What is written, or `None` for a read.
    pub(crate) value: Option<&'a [u8]>,
}

/// The commands of one connection. The seed, the plan and the number of the connection decide them,
/// and nothing that happens meanwhile.
#[derive(Debug)]
pub(crate) struct Commands {
    random: Random,
    keys: Keys,
    read_share: f64,
}

#[derive(Debug)]
enum Keys {
    Chosen(KeyChooser),
    /// Each `step`-th key from `next` on, up to `end`.
    InOrder {
        next: u64,
        step: u64,
        end: u64,
    },
}

impl Commands {
    /// The commands of the connection of this number.
    pub(crate) fn new(plan: &Plan, connection: usize) -> Commands {
        Commands {
            random: Random::new(plan.seed, connection as u64),
            keys: if plan.is_fill {
                Keys::InOrder {
                    next: connection as u64,
                    step: plan.connections as u64,
                    end: plan.keys,
                }
            } else {
                Keys::Chosen(KeyChooser::new(plan.keys, plan.distribution))
            },
            read_share: plan.read_share,
        }
    }

    /// Whether there are no more: never, but for a fill.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.keys, Keys::InOrder { next, end, .. } if next >= end)
    }

    /// The next command, or `None` once every key of a fill was written.
    pub(crate) fn next<'a>(&mut self, pool: &'a ValuePool) -> Option<Command<'a>> {
        let number = match &mut self.keys {
            Keys::Chosen(chooser) => chooser.choose(&mut self.random),
            Keys::InOrder { next, step, end } => {
                if *next >= *end {
                    return None;
                }
                let number = *next;
                *next += *step;
                number
            }
        };
        let is_read = self.read_share > 0.0 && self.random.unit() < self.read_share;
        Some(Command {
            key: key(number),
            value: (!is_read).then(|| pool.value(&mut self.random)),
        })
    }
}

fn key(number: u64) -> [u8; KEY_BYTES] {
    let mut key = *KEY_ZERO;
    let mut rest = number;
    for digit in key[4..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// Writes commands as RESP. What is the same in all of them is encoded once.
#[derive(Debug)]
pub(crate) struct RespEncoder {
    /// `GET` of a key, whose bytes are the last but a CR LF.
    get: Vec<u8>,
    /// `SET` of a key, up to the first byte of the value.
    set: Vec<u8>,
    /// Where the key stands in `set`.
    set_key_at: usize,
}

impl RespEncoder {
    /// An encoder for values of this size.
    pub(crate) fn new(value_bytes: usize) -> RespEncoder {
        let mut get = Vec::new();
        resp::encode_request(&mut get, &[b"GET".as_slice(), KEY_ZERO]);
        let mut set = Vec::new();
        resp::encode_request(
            &mut set,
            &[b"SET", KEY_ZERO.as_slice(), &vec![0; value_bytes]],
        );
        set.truncate(set.len() - value_bytes - 2);
        let set_key_at = set
            .windows(KEY_BYTES)
            .position(|bytes| bytes == KEY_ZERO)
            .unwrap_or_default();
        RespEncoder {
            get,
            set,
            set_key_at,
        }
    }

    /// Appends a command.
    pub(crate) fn write(&self, out: &mut Vec<u8>, command: &Command<'_>) {
        let start = out.len();
        match command.value {
            None => {
                out.extend_from_slice(&self.get);
                let end = out.len() - 2;
                out[end - KEY_BYTES..end].copy_from_slice(&command.key);
            }
            Some(value) => {
                out.extend_from_slice(&self.set);
                let key_at = start + self.set_key_at;
                out[key_at..key_at + KEY_BYTES].copy_from_slice(&command.key);
                out.extend_from_slice(value);
                out.extend_from_slice(b"\r\n");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::plan;

    #[test]
    fn commands_are_written_as_the_resp_crate_writes_them() {
        for value_bytes in [0, 1, 16, 128, 5000] {
            let encoder = RespEncoder::new(value_bytes);
            let pool = ValuePool::new(1, value_bytes);
            let value = pool.value(&mut Random::new(1, 1));
            let (mut written, mut expected) = (Vec::new(), Vec::new());
            for value in [Some(value), None] {
                let key = key(123_456_789_012);
                encoder.write(&mut written, &Command { key, value });
                match value {
                    Some(value) => resp::encode_request(&mut expected, &[b"SET", &key[..], value]),
                    None => resp::encode_request(&mut expected, &[b"GET", &key[..]]),
                }
            }
            assert_eq!(written, expected);
        }
    }

    #[test]
    fn a_seed_decides_the_commands_of_a_connection() {
        let pool = ValuePool::new(5, 8);
        let stream = |seed: &str, connection| {
            let plan = plan(&["--seed", seed, "--read-share=0.5", "--distribution=zipf"]);
            let mut commands = Commands::new(&plan, connection);
            (0..50)
                .map(|_| commands.next(&pool).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(stream("1", 0), stream("1", 0));
        assert_ne!(stream("1", 0), stream("1", 1));
        assert_ne!(stream("1", 0), stream("2", 0));
    }

    #[test]
    fn the_share_of_reads_is_as_asked() {
        let pool = ValuePool::new(5, 8);
        let mut commands = Commands::new(&plan(&["--read-share", "0.25"]), 0);
        let reads = (0..10_000).filter(|_| commands.next(&pool).unwrap().value.is_none());
        assert!((2_300..2_700).contains(&reads.count()));
    }

    #[test]
    fn a_fill_writes_every_key_once() {
        let pool = ValuePool::new(5, 8);
        let plan = plan(&["--fill", "--keys", "10", "--connections", "3"]);
        let mut keys = Vec::new();
        for connection in 0..3 {
            let mut commands = Commands::new(&plan, connection);
            while let Some(command) = commands.next(&pool) {
                keys.push(command.key);
            }
        }
        keys.sort();
        assert_eq!(keys, (0..10).map(key).collect::<Vec<_>>());
    }
}
