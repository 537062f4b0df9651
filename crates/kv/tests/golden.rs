//! Replies recorded from redis-server 7.0.15, compared byte for byte in both protocols.
//!
//! A file in `tests/golden` is a script for an empty data set. A line that begins with `>` is a
//! command, in the quoting of `redis-cli`; `=` is followed by its reply in both protocols, `2` and
//! `3` by that in RESP2 and RESP3. A line break on the wire is written `|`, other bytes that do not
//! print as in C.

mod support;

use std::path::Path;

use kv::{Handler, ReadEnv, ReadOutcome, command_docs, error_text};
use resp::{Encoder, Protocol};
use support::Replica;

/// 2023, a time at which the recorded expiries are as far away as they were for Redis.
const NOW_MS: u64 = 1_700_000_000_000;

#[test]
fn strings() {
    compare("strings.txt");
}

#[test]
fn ranges() {
    compare("ranges.txt");
}

#[test]
fn counters() {
    compare("counters.txt");
}

#[test]
fn lcs() {
    compare("lcs.txt");
}

#[test]
fn requests() {
    compare("requests.txt");
}

#[test]
fn command() {
    compare("command.txt");
}

fn compare(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file);
    let script = std::fs::read_to_string(&path).expect("a golden file");
    for (protocol, mark) in [(Protocol::Resp2, "2 "), (Protocol::Resp3, "3 ")] {
        let mut replica = Replica::new();
        replica.protocol = protocol;
        replica.time_ms = NOW_MS;
        let mut compared = 0;
        let mut reply = String::new();
        for (number, line) in script.lines().enumerate() {
            if let Some(command) = line.strip_prefix('>') {
                reply = execute(&mut replica, command);
            } else if let Some(expected) =
                line.strip_prefix("= ").or_else(|| line.strip_prefix(mark))
            {
                assert_eq!(reply, expected, "{file}:{} in {protocol:?}", number + 1);
                compared += 1;
            }
        }
        let commands = script.lines().filter(|line| line.starts_with('>')).count();
        assert_eq!(compared, commands, "{file}: a command without a reply");
    }
}

/// Executes a command as the session layer does: looks it up, checks it, and runs it.
fn execute(replica: &mut Replica, command: &str) -> String {
    let words = resp::split_args(command.as_bytes()).expect("balanced quotes");
    let args: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let mut reply = Vec::new();
    let mut out = Encoder::new(&mut reply, replica.protocol);
    match kv::lookup_request(&args) {
        None if kv::lookup(args[0]).is_none() => out.error(error_text::unknown_command(&args)),
        None => out.error(error_text::unknown_subcommand(&args)),
        Some(spec) if !spec.accepts_argument_count(args.len()) => {
            out.error(error_text::wrong_number_of_arguments(spec));
        }
        Some(spec) => match spec.handler {
            Handler::Session => command_docs::command_reply(&args, &mut out),
            Handler::Read(_) => {
                let env = ReadEnv {
                    wall_ms: NOW_MS,
                    seed: 1,
                };
                let outcome = replica.store.read(spec, 0, &args, &env, &mut out);
                assert_eq!(outcome, ReadOutcome::Done, "{command}");
            }
            Handler::Write(_) => {
                replica.begin_entry();
                replica
                    .store
                    .write(spec, 0, &args, &mut replica.effects, &mut out);
            }
        },
    }
    let escaped = reply.escape_ascii().to_string();
    escaped
        .replace("\\r\\n", "|")
        .replace("\\'", "'")
        .replace("\\\"", "\"")
}
