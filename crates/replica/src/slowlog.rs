//! The slow log: commands whose time from arrival to reply was long.
//!
//! In Redis the time is that of the execution alone. Here a command may spend its time waiting for a
//! majority's disks, and that is what one wants to find, so all of it counts.

use std::collections::VecDeque;

use bytes::Bytes;
use kv::CommandFlags;

use crate::session::Session;
use crate::settings::Settings;

/// The most arguments kept of a command; Redis's SLOWLOG_ENTRY_MAX_ARGC.
const ARGUMENTS_MAX: usize = 32;

/// The most bytes kept of an argument; Redis's SLOWLOG_ENTRY_MAX_STRING.
const ARGUMENT_BYTES_MAX: usize = 128;

/// The latest slow commands of this node, the latest in front.
#[derive(Debug, Default)]
pub(crate) struct Slowlog {
    entries: VecDeque<SlowEntry>,
    next_id: i64,
}

/// A slow command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlowEntry {
    /// Rising, not reset by SLOWLOG RESET.
    pub(crate) id: i64,
    /// When it was answered, in milliseconds since the Unix epoch.
    pub(crate) wall_ms: u64,
    /// How long it took, in microseconds.
    pub(crate) duration_us: u64,
    /// Its arguments, cut down and without secrets.
    pub(crate) args: Vec<Bytes>,
    /// The address of its client.
    pub(crate) client_addr: String,
    /// The name of its client.
    pub(crate) client_name: Bytes,
}

impl Slowlog {
    /// Adds a command if it was slow. Nothing is copied if it was not.
    pub(crate) fn record(
        &mut self,
        settings: &Settings,
        session: &Session,
        wall_ms: u64,
        duration_us: u64,
        args: &[&[u8]],
    ) {
        let threshold = settings.slowlog_slower_than_us;
        if threshold < 0 || duration_us < threshold as u64 || settings.slowlog_entries_max == 0 {
            return;
        }
        let spec = kv::lookup_request(args);
        if spec.is_some_and(|spec| spec.flags.contains(CommandFlags::SKIP_SLOWLOG)) {
            return;
        }
        self.entries.push_front(SlowEntry {
            id: self.next_id,
            wall_ms,
            duration_us,
            args: shortened(args),
            client_addr: session.info.peer_addr.clone(),
            client_name: session.name.clone(),
        });
        self.next_id += 1;
        self.entries.truncate(settings.slowlog_entries_max);
    }

    /// The entries, the latest first.
    pub(crate) fn entries(&self) -> impl ExactSizeIterator<Item = &SlowEntry> {
        self.entries.iter()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Forgets them all.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Forgets the oldest beyond a new limit.
    pub(crate) fn truncate(&mut self, entries_max: usize) {
        self.entries.truncate(entries_max);
    }
}

/// Arguments as the slow log keeps them: at most 32 of at most 128 bytes, what was cut off told.
fn shortened(args: &[&[u8]]) -> Vec<Bytes> {
    let secrets = secret_arguments(args);
    let kept = if args.len() > ARGUMENTS_MAX {
        ARGUMENTS_MAX - 1
    } else {
        args.len()
    };
    let mut shortened: Vec<Bytes> = args[..kept]
        .iter()
        .enumerate()
        .map(|(place, arg)| match secrets.contains(&place) {
            true => Bytes::from_static(b"(redacted)"),
            false => shortened_argument(arg),
        })
        .collect();
    if kept < args.len() {
        let more = format!("... ({} more arguments)", args.len() - kept);
        shortened.push(Bytes::from(more));
    }
    shortened
}

fn shortened_argument(arg: &[u8]) -> Bytes {
    if arg.len() <= ARGUMENT_BYTES_MAX {
        return Bytes::copy_from_slice(arg);
    }
    let mut text = arg[..ARGUMENT_BYTES_MAX].to_vec();
    let more = format!("... ({} more bytes)", arg.len() - ARGUMENT_BYTES_MAX);
    text.extend_from_slice(more.as_bytes());
    Bytes::from(text)
}

/// The places of names and passwords that nobody may read in a log.
fn secret_arguments(args: &[&[u8]]) -> std::ops::Range<usize> {
    let is = |place: usize, word: &str| {
        args.get(place)
            .is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    };
    if is(0, "auth") {
        return 1..args.len();
    }
    if is(0, "hello") {
        let auth = (2..args.len()).find(|&place| is(place, "auth"));
        return auth.map_or(0..0, |place| place + 1..(place + 3).min(args.len()));
    }
    if is(0, "config") && is(1, "set") {
        let name = (2..args.len())
            .step_by(2)
            .find(|&place| is(place, "requirepass"));
        return name.map_or(0..0, |place| place + 1..(place + 2).min(args.len()));
    }
    if is(0, "acl") && is(1, "setuser") {
        return 2..args.len();
    }
    0..0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(args: &[&str]) -> Vec<String> {
        let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        shortened(&args)
            .iter()
            .map(|arg| String::from_utf8_lossy(arg).into_owned())
            .collect()
    }

    #[test]
    fn long_commands_are_cut_as_redis_does() {
        let long = "a".repeat(159);
        let expected = format!("{}... (31 more bytes)", "a".repeat(128));
        assert_eq!(texts(&["PING", &long]), ["PING", &expected]);
        let many = vec!["x"; 41];
        let kept = texts(&many);
        assert_eq!(kept.len(), 32);
        assert_eq!(kept[31], "... (10 more arguments)");
        assert_eq!(texts(&["x"; 32]).len(), 32);
    }

    #[test]
    fn secrets_are_not_kept() {
        assert_eq!(
            texts(&["AUTH", "a", "b"]),
            ["AUTH", "(redacted)", "(redacted)"]
        );
        assert_eq!(
            texts(&["hello", "3", "AUTH", "a", "b", "SETNAME", "c"]),
            [
                "hello",
                "3",
                "AUTH",
                "(redacted)",
                "(redacted)",
                "SETNAME",
                "c"
            ]
        );
        assert_eq!(
            texts(&["CONFIG", "SET", "timeout", "1", "requirepass", "x"]),
            ["CONFIG", "SET", "timeout", "1", "requirepass", "(redacted)"]
        );
        assert_eq!(texts(&["GET", "auth"]), ["GET", "auth"]);
    }
}
