//! Made-up runs: a good one passes, and with each thing that may be wrong with it, it does not.

mod random;

use bytes::Bytes;
use kv::CommandId;
use raft::NodeId;
use replica::inspect::{Batch, BatchRecord, LoggedCommand, WatchedKey};

use crate::history::{Delivery, History, Outcome, Position, Reply};
use crate::judges::Violation;
use crate::judges::witness::ledger::Raw;
use crate::judges::witness::operations::Moment;
use crate::judges::witness::{WitnessStats, check_log};

type Command = Vec<Vec<u8>>;

/// A history and a log in the making.
#[derive(Clone, Default)]
struct Story {
    history: History,
    /// Time and payload of each entry.
    log: Vec<(u64, Bytes)>,
    /// Batches so far, by node.
    sequences: [u64; 4],
    now: u64,
}

/// Commands separated by `;`.
fn commands(line: &str) -> Vec<Command> {
    let command = |line: &str| {
        line.split_whitespace()
            .map(|word| word.as_bytes().to_vec())
            .collect()
    };
    line.split(';').map(command).collect()
}

/// Replies separated by `;`: a number, `nil`, an error that begins with `-`, or text.
fn replies(line: &str) -> Vec<Reply> {
    let reply = |word: &str| match (word, word.parse()) {
        (_, Ok(number)) => Reply::Integer(number),
        ("nil", _) => Reply::Null,
        (text, _) if text.starts_with('-') => Reply::Error(text[1..].to_owned()),
        (text, _) => Reply::Text(text.trim_matches('"').as_bytes().to_vec()),
    };
    line.split(';').map(|word| reply(word.trim())).collect()
}

impl Story {
    /// A client asks through the node of its number.
    fn ask(&mut self, client: u32, line: &str) -> usize {
        self.now += 10;
        self.history
            .invoke(self.now, client, u64::from(client), commands(line))
    }

    fn answer(&mut self, op: usize, line: &str, position: (u64, u32)) {
        self.end(op, Outcome::Done(replies(line)), Some(position));
    }

    fn end(&mut self, op: usize, outcome: Outcome, position: Option<(u64, u32)>) {
        self.now += 10;
        let position = position.map(|(index, order)| Position { index, order });
        self.history.complete(self.now, op, outcome, position);
    }

    /// An entry with one transaction or command for each line. Returns its index.
    fn log(&mut self, node: u64, lines: &[&str]) -> u64 {
        self.sequences[node as usize] += 1;
        self.log_as(node, self.sequences[node as usize], lines)
    }

    fn log_as(&mut self, node: u64, sequence: u64, lines: &[&str]) -> u64 {
        let lines: Vec<Vec<Command>> = lines.iter().map(|line| commands(line)).collect();
        let records = lines.iter().map(|line| record(line)).collect();
        let batch = Batch {
            gateway: NodeId(node),
            incarnation: 1,
            sequence,
            records,
        };
        self.log.push((1_000 + self.now, batch.encode().into()));
        self.log.len() as u64
    }

    fn put(&mut self, client: u32, line: &str, reply: &str) -> u64 {
        let op = self.ask(client, line);
        let index = self.log(u64::from(client), &[line]);
        self.answer(op, reply, (index, 0));
        index
    }

    /// A read after all there is.
    fn read(&mut self, client: u32, line: &str, reply: &str) {
        let op = self.ask(client, line);
        self.answer(op, reply, (self.log.len() as u64, Moment::AFTER_ENTRY));
    }

    fn hear(&mut self, client: u32, message: &str) {
        let (channel, message) = message.split_once(' ').expect("a channel and a message");
        self.history.deliveries.push(Delivery {
            time_us: self.now,
            process: client,
            node: u64::from(client),
            session: 1,
            channel: channel.into(),
            message: message.into(),
        });
    }

    fn check(&self) -> Result<WitnessStats, Violation> {
        let log = self.log.iter().map(|(time_ms, payload)| Raw {
            is_batch: !payload.is_empty(),
            time_ms: *time_ms,
            payload,
        });
        check_log(&self.history, log)
    }

    fn passes(&self) {
        if let Err(violation) = self.check() {
            panic!("{violation}");
        }
    }

    #[track_caller]
    fn breaks(&self, property: &str, detail: &str) {
        let violation = self.check().expect_err("it is wrong");
        assert_eq!(violation.property, property, "{violation}");
        assert!(violation.detail.contains(detail), "{violation}");
    }
}

/// A line of the log: a command, or a transaction whose watches are `WATCH key version`.
fn record(line: &[Command]) -> BatchRecord<'_> {
    let mut watches = Vec::new();
    let mut writes = Vec::new();
    for command in line {
        let args: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
        match (args[0], &args[1..]) {
            (b"WATCH", [key, version]) => watches.push(WatchedKey {
                db: 0,
                key,
                version: version
                    .iter()
                    .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')),
            }),
            (b"GET", _) => {}
            _ => writes.push(LoggedCommand {
                id: CommandId(1),
                db: 0,
                args,
            }),
        }
    }
    BatchRecord {
        watches: (line.len() > 1).then_some(watches),
        commands: writes,
    }
}

/// A run in which nothing is wrong.
fn good() -> Story {
    let mut story = Story::default();
    // The entry that a log begins with.
    story.log.push((1_000, Bytes::new()));
    story.put(1, "SET r1 a", "OK");
    story.read(2, "GET r1", "a");
    story.put(2, "INCR n1", "1");
    // Two gateways at once, a batch of two, a read between them.
    let (one, other) = (story.ask(1, "SET r1 b"), story.ask(2, "GETSET r1 c"));
    let (second, between) = (story.ask(1, "INCR n1"), story.ask(1, "GET n1"));
    let index = story.log(1, &["SET r1 b", "INCR n1"]);
    let after = story.log(2, &["GETSET r1 c"]);
    story.answer(other, "b", (after, 0));
    story.answer(one, "OK", (index, 0));
    story.answer(second, "2", (index, 1));
    story.answer(between, "\"2\"", (index, 2));
    // What nobody knows of: one is in the log, one is not; one fails.
    let lost = story.ask(3, "SET r2 x");
    let found = story.ask(3, "INCR n1");
    let failed = story.ask(3, "SET r2 y");
    story.log(3, &["INCR n1"]);
    story.end(lost, Outcome::Unknown("gone".into()), None);
    story.end(found, Outcome::Unknown("gone".into()), None);
    story.end(failed, Outcome::Failed("NOQUORUM".into()), None);
    story.read(1, "GET n1", "\"3\"");
    story.read(1, "GET r2", "nil");
    // A batch that stands in the log twice.
    story.log_as(3, 1, &["INCR n1"]);
    story.read(2, "GET n1", "\"3\"");
    story
}

#[test]
fn a_good_run_passes() {
    let story = good();
    story.passes();
    let stats = story.check().expect("it passes");
    assert_eq!(stats.operations, 13);
    assert_eq!((stats.replayed_entries, stats.replayed_records), (7, 6));
    assert_eq!(stats.compared_replies, 10);
}

#[test]
fn a_stale_read_is_caught_by_its_place_and_by_its_value() {
    let mut story = good();
    let op = story.ask(1, "GET r1");
    story.answer(op, "a", (2, Moment::AFTER_ENTRY));
    story.breaks("real-time order", "GET r1");
    let mut story = good();
    // A server that lies about the place as well.
    story.read(1, "GET r1", "a");
    story.breaks("wrong read", "GET r1 was told \"a\"");
}

#[test]
fn a_read_before_all_entries_finds_nothing() {
    let mut story = Story::default();
    for (reply, is_right) in [("nil", true), ("a", false)] {
        let op = story.ask(1, "GET r1");
        story.answer(op, reply, (0, Moment::AFTER_ENTRY));
        assert_eq!(story.check().is_ok(), is_right, "{reply}");
    }
}

#[test]
fn a_lost_update_is_caught() {
    let mut story = good();
    let op = story.ask(1, "SET r1 z");
    story.answer(op, "OK", (8, 0));
    story.breaks("acknowledged is present", "the log ends with entry 7");
    // Another stands in its place.
    let mut story = good();
    let op = story.ask(1, "SET r1 z");
    let index = story.log(1, &["SET r1 y"]);
    story.answer(op, "OK", (index, 0));
    story.breaks("acknowledged is present", "there the log has: SET r1 y");
    // It is in a batch that was skipped.
    let mut story = good();
    let op = story.ask(1, "SET r1 z");
    let index = story.log_as(1, 1, &["SET r1 z"]);
    story.answer(op, "OK", (index, 0));
    story.breaks("acknowledged is present", "has 0 records");
}

#[test]
fn an_effect_that_happens_twice_is_caught() {
    let mut story = good();
    let op = story.ask(3, "SET r3 once");
    story.log(3, &["SET r3 once"]);
    story.log(3, &["SET r3 once"]);
    story.end(op, Outcome::Unknown("gone".into()), None);
    story.breaks("exactly once", "has an unknown outcome 1 times");
    // Two operations say that they are one record.
    let mut story = good();
    let (one, other) = (story.ask(1, "INCR n1"), story.ask(1, "INCR n1"));
    let index = story.log(1, &["INCR n1"]);
    story.answer(one, "4", (index, 0));
    story.answer(other, "4", (index, 0));
    story.breaks("exactly once", "another operation");
}

#[test]
fn a_failure_that_took_effect_is_caught() {
    let mut story = good();
    story.log(1, &["SET r2 y"]);
    story.breaks("failure is absent", "SET r2 y");
    // One that failed and one that is unknown: one in the log is right, two are not.
    let mut story = good();
    let (one, other) = (story.ask(1, "INCR n7"), story.ask(2, "INCR n7"));
    story.end(one, Outcome::Failed("NOQUORUM".into()), None);
    story.end(other, Outcome::Unknown("gone".into()), None);
    story.log(1, &["INCR n7"]);
    story.passes();
    story.log(1, &["INCR n7"]);
    story.breaks("failure is absent", "INCR n7");
}

#[test]
fn increments_are_counted() {
    let mut story = good();
    story.log(2, &["INCR n1"]);
    story.breaks("exactly once", "INCR n1");
    let mut story = good();
    story.put(2, "INCR n1", "5");
    story.breaks("wrong reply", "INCR n1 was told 5");
}

#[test]
fn what_nobody_asked_is_caught() {
    let mut story = good();
    story.log(2, &["SET r9 ghost"]);
    story.breaks("nothing from nowhere", "ghost");
}

#[test]
fn reordering_is_caught() {
    // A write that was answered before another was asked stands behind it.
    let mut story = good();
    let one = story.ask(1, "SET r5 a");
    let other = story.log(2, &["SET r5 b"]);
    let index = story.log(1, &["SET r5 a"]);
    story.answer(one, "OK", (index, 0));
    let late = story.ask(2, "SET r5 b");
    story.answer(late, "OK", (other, 0));
    story.breaks("real-time order", "SET r5 a");
    // A pipeline whose replies come from places in another order.
    let mut story = good();
    let (one, other) = (story.ask(1, "SET r5 a"), story.ask(1, "SET r5 b"));
    let index = story.log(1, &["SET r5 b", "SET r5 a"]);
    story.answer(other, "OK", (index, 0));
    story.answer(one, "OK", (index, 1));
    story.breaks("connection order", "SET r5 b");
}

#[test]
fn a_batch_is_answered_by_its_gateway_alone() {
    let mut story = good();
    let op = story.ask(1, "SET r5 a");
    let index = story.log(2, &["SET r5 a"]);
    story.answer(op, "OK", (index, 0));
    story.breaks("gateway", "a batch of n2");
}

#[test]
fn an_answer_without_a_place_is_caught() {
    let mut story = good();
    let op = story.ask(1, "GET r1");
    story.end(op, Outcome::Done(replies("c")), None);
    story.breaks("witness", "nobody says where");
}

#[test]
fn a_read_in_a_batch_sees_what_stands_before_it() {
    let mut story = good();
    let (set, get) = (story.ask(1, "SET r6 a"), story.ask(1, "GET r6"));
    let index = story.log(1, &["SET r6 a"]);
    story.answer(set, "OK", (index, 0));
    story.answer(get, "a", (index, 1));
    story.passes();
    let mut wrong = story.clone();
    wrong.history.operations[get].outcome = Outcome::Done(replies("nil"));
    wrong.breaks("wrong read", "GET r6");
    let mut wrong = story.clone();
    wrong.history.operations[get].position = Some(Position { index, order: 2 });
    wrong.breaks("acknowledged is present", "1 records");
}

#[test]
fn keys_that_expire_are_judged_by_the_time_of_the_log() {
    let mut story = good();
    story.put(1, "SET t1 a PX 100", "OK");
    story.read(1, "PTTL t1", "77");
    story.passes();
    let mut late = story.clone();
    late.read(1, "PTTL t1", "101");
    late.breaks("wrong read", "from 1 to 100");
    story.now += 500;
    story.put(2, "INCR n1", "4");
    story.read(1, "GET t1", "nil");
    story.passes();
    story.read(1, "GET t1", "a");
    story.breaks("wrong read", "GET t1");
}

/// A transaction that watches a key, which has the version of its second entry.
fn watched(story: &mut Story, version: u64, outcome: &str) {
    let op = story.ask(2, "WATCH r1 c;SET r1 d;GET r1");
    let line = format!("WATCH r1 {version};SET r1 d;GET r1");
    let index = story.log(2, &[&line]);
    story.answer(op, outcome, (index, 0));
}

#[test]
fn a_watch_decides_as_the_versions_in_the_log_say() {
    let now = 5 << 20 | 1;
    let mut story = good();
    watched(&mut story, now, "OK;OK;d");
    story.read(1, "GET r1", "d");
    story.passes();
    let mut story = good();
    watched(&mut story, now - 1, "nil");
    story.read(1, "GET r1", "c");
    story.passes();
    // And is not believed if it decided otherwise.
    let mut story = good();
    watched(&mut story, now, "nil");
    story.breaks("wrong watch", "given up although");
    let mut story = good();
    watched(&mut story, now - 1, "OK;OK;d");
    story.breaks("wrong watch", "answered although");
    // The version is right, and the value is not what was read: the key was read before.
    let mut story = good();
    let op = story.ask(2, "WATCH r1 b;SET r1 d");
    let index = story.log(2, &[&format!("WATCH r1 {now};SET r1 d")]);
    story.answer(op, "OK;OK", (index, 0));
    story.breaks("wrong watch", "r1 held b when it was read and holds c now");
    // The watch was forgotten.
    let mut story = good();
    let op = story.ask(2, "WATCH r1 c;SET r1 d");
    let index = story.log(2, &["SET r1 d"]);
    story.answer(op, "OK;OK", (index, 0));
    story.breaks("wrong watch", "the log does not know of it");
}

#[test]
fn a_transaction_is_whole() {
    let mut story = good();
    let op = story.ask(1, "SET r1 d;INCR n1");
    let index = story.log(1, &["SET r1 d;INCR n1"]);
    story.answer(op, "OK;4", (index, 0));
    story.passes();
    let mut story = good();
    let op = story.ask(1, "SET r1 d;INCR n1");
    let index = story.log(1, &["SET r1 d", "INCR n1"]);
    story.answer(op, "OK;4", (index, 0));
    story.breaks("acknowledged is present", "there the log has: SET r1 d");
}

#[test]
fn listeners_hear_the_log() {
    let mut story = good();
    for (channel, message) in [("p", "a"), ("p", "b"), ("q", "c"), ("p", "d")] {
        story.put(1, &format!("PUBLISH {channel} {message}"), "1");
    }
    for message in ["p b", "q c", "p d"] {
        story.hear(2, message);
    }
    story.passes();
    assert_eq!(story.check().map(|stats| stats.deliveries), Ok(3));
    let mut wrong = story.clone();
    wrong.hear(2, "p d");
    wrong.breaks("published order", "for the second time");
    let mut wrong = story.clone();
    wrong.hear(2, "p e");
    wrong.breaks("published order", "which the log does not have");
    let mut wrong = story.clone();
    wrong.history.deliveries.swap(0, 1);
    wrong.breaks("published order", "behind a later one");
    let mut wrong = story.clone();
    wrong.history.deliveries.truncate(0);
    wrong.hear(2, "p a");
    wrong.hear(2, "p d");
    wrong.breaks("published order", "missed");
}
