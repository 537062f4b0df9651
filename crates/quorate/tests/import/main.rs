//! `quorate import` from files that a real Redis has written, and from one that runs.
//!
//! Needs `redis-server` in the PATH; each test says that it was skipped otherwise.

#[path = "../harness/mod.rs"]
mod harness;
mod redis;
#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use harness::{Cluster, Connection, Plan, encode, text};
use redis::Redis;
use resp::Value;
use support::{FakeServer, Reply};

/// A time that no test lives to see: the year 2100.
const FAR_MS: &str = "4102444800000";
/// Keys that are made in one go.
const MANY: usize = 3000;

struct Output {
    code: i32,
    stdout: String,
    stderr: String,
}

fn import(arguments: &[&str], cluster: &Cluster) -> Output {
    let to = format!("127.0.0.1:{}", cluster.node(1).port);
    let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .arg("import")
        .args(arguments)
        .args(["--to", &to])
        .env_remove("REDISCLI_AUTH")
        .env_remove("QUORATE_FROM_PASSWORD")
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs");
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn import_file(path: &Path, more: &[&str], cluster: &Cluster) -> Output {
    let path = path.to_str().expect("a path of a test");
    import(&[&[path], more].concat(), cluster)
}

#[track_caller]
fn assert_imported(output: &Output, lines: &[&str]) {
    let shown = format!("{}{}", output.stdout, output.stderr);
    assert_eq!(output.code, 0, "{shown}");
    for line in lines {
        assert!(output.stdout.contains(line), "no {line:?} in:\n{shown}");
    }
}

/// All strings of a server: by database and key, with value and time of expiry.
type Strings = BTreeMap<(u32, Vec<u8>), (Vec<u8>, i64)>;

fn strings_of(connection: &mut Connection, databases: u32) -> Strings {
    let mut strings = Strings::new();
    for database in 0..databases {
        connection.call(&["SELECT", &database.to_string()]);
        let keys = connection.call(&["KEYS", "*"]);
        for key in keys.as_slice().expect("keys") {
            let key = key.as_bytes().expect("a key").to_vec();
            let mut ask = |name: &str| {
                let sent = connection.send(&encode(&[name.as_bytes(), &key]));
                sent.expect("sent");
                connection.receive().expect("a reply")
            };
            if let Value::Bulk(value) = ask("GET") {
                let expiry = ask("PEXPIRETIME").as_integer().expect("a time");
                strings.insert((database, key), (value, expiry));
            }
        }
    }
    strings
}

/// Keys of every type in every way that Redis writes them, and strings of all kinds.
fn fill(redis: &mut Connection) {
    let long = "many the same ".repeat(500);
    let big: String = (0_u32..600_000)
        .map(|number| char::from(b'a' + (number.wrapping_mul(2_654_435_761) >> 27) as u8 % 26))
        .collect();
    for (key, value) in [
        ("plain", "value"),
        ("empty", ""),
        ("i8", "-128"),
        ("i16", "32767"),
        ("i32", "-2147483648"),
        ("i64", "9223372036854775807"),
        ("not-an-integer", "007"),
        ("compressed", &long),
        ("big", &big),
        ("", "the empty key"),
    ] {
        redis.call(&["SET", key, value]);
    }
    let binary = encode(&[b"SET".as_slice(), b"\x00\r\n\xff", b"\xff\x00\r\n"]);
    redis.send(&binary).expect("sent");
    assert!(redis.receive().expect("a reply").is_ok());
    redis.call(&["SET", "expires", "later", "PXAT", FAR_MS]);
    redis.call(&["SET", "expires-in-seconds", "later", "EXAT", "4102444800"]);
    let numbers: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    let members: Vec<String> = (0..300).map(|number| format!("member {number}")).collect();
    let few = |words: &[String]| -> Vec<String> { words[..3].to_vec() };
    for (name, words) in [("small", few(&members)), ("large", members.clone())] {
        let pairs: Vec<String> = (words.iter().enumerate())
            .flat_map(|(number, word)| [number.to_string(), word.clone()])
            .collect();
        for (command, words) in [
            ("RPUSH", &words),
            ("SADD", &words),
            ("ZADD", &pairs),
            ("HSET", &pairs),
        ] {
            let key = format!("{command}-{name}");
            let command: Vec<&str> = [command, &key]
                .into_iter()
                .chain(words.iter().map(String::as_str))
                .collect();
            redis.call(&command);
        }
    }
    for (name, words) in [("small", few(&numbers)), ("large", numbers.clone())] {
        let key = format!("intset-{name}");
        let command: Vec<&str> = ["SADD", &key]
            .into_iter()
            .chain(words.iter().map(String::as_str))
            .collect();
        redis.call(&command);
    }
    for number in 0..200 {
        redis.call(&["XADD", "stream", "*", "field", &number.to_string()]);
    }
    redis.call(&["XGROUP", "CREATE", "stream", "group", "0"]);
    redis.call(&[
        "XREADGROUP",
        "GROUP",
        "group",
        "consumer",
        "COUNT",
        "5",
        "STREAMS",
        "stream",
        ">",
    ]);
    redis.call(&[
        "FUNCTION",
        "LOAD",
        "#!lua name=lib\nredis.register_function('f', function() return 1 end)",
    ]);
    redis.call(&["SET", "after everything", "is read, too"]);
}

/// What [`fill`] makes that is no string, as it is counted.
const SKIPPED: [&str; 6] = [
    "skipped   2 of type list: this type is not supported yet",
    "skipped   4 of type set: ",
    "skipped   2 of type zset: ",
    "skipped   2 of type hash: ",
    "skipped   1 of type stream: ",
    "failed    0 keys in all",
];

#[test]
fn a_file_with_every_type_and_sixteen_databases() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let mut source = redis.connect();
    fill(&mut source);
    for database in 0..16 {
        source.call(&["SELECT", &database.to_string()]);
        source.call(&["SET", "database", &database.to_string()]);
        source.call(&[
            "SET",
            "volatile",
            "x",
            "PXAT",
            &format!("41024448{database:05}"),
        ]);
    }
    redis.save();
    let expected = strings_of(&mut source, 16);

    let cluster = Cluster::start(&Plan::of(1));
    let output = import_file(&redis.file(), &[], &cluster);
    assert_imported(&output, &SKIPPED);
    assert_imported(
        &output,
        &[
            "imported  46 keys (",
            "skipped   1 of type function library",
        ],
    );
    assert_eq!(strings_of(&mut cluster.node(1).connect(), 16), expected);
    assert_eq!(expected.len(), 46);
}

#[test]
fn many_keys_through_a_cluster_whose_leader_dies() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let mut source = redis.connect();
    source.call(&["DEBUG", "POPULATE", "50000", "key", "100"]);
    redis.save();
    let mut cluster = Cluster::of_three();
    let leader = cluster.leader();
    let through = cluster.others(leader)[0];
    let to = format!("127.0.0.1:{}", cluster.node(through).port);
    let file = redis.file();
    let mut child = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args([
            "import",
            file.to_str().expect("a path"),
            "--rate",
            "50000",
            "--to",
            &to,
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut look = cluster.node(through).connect();
    harness::poll("a part is imported", || {
        let size = look.call(&["DBSIZE"]).as_integer().expect("a number");
        (size > 5000).then_some(())
    });
    assert!(
        child.try_wait().expect("a child").is_none(),
        "it was too fast"
    );
    cluster.node_mut(leader).kill();
    let output = child.wait_with_output().expect("it ends");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(
        stdout.starts_with("imported  50,000 keys "),
        "{stdout}{stderr}"
    );
    assert_eq!(look.call(&["DBSIZE"]), Value::Integer(50_000));
    let sample = ["GETRANGE", "key:49999", "0", "10"];
    assert_eq!(look.call(&sample), source.call(&sample));
}

#[test]
fn keys_that_exist_are_not_touched_unless_it_is_asked_for() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let mut source = redis.connect();
    for key in ["a", "b", "c"] {
        source.call(&["SET", key, "new"]);
    }
    redis.save();
    let cluster = Cluster::start(&Plan::of(1));
    let mut target = cluster.node(1).connect();
    target.call(&["SET", "b", "old"]);

    let output = import_file(&redis.file(), &[], &cluster);
    assert_eq!(output.code, 2, "{}", output.stderr);
    assert!(
        output
            .stderr
            .contains("holds 1 keys, nothing was imported: add --replace"),
        "{}",
        output.stderr
    );
    assert_eq!(target.call(&["DBSIZE"]), Value::Integer(1));

    let output = import_file(&redis.file(), &["--keep"], &cluster);
    assert_imported(
        &output,
        &[
            "imported  2 keys",
            "skipped   1 key: it exists, and is kept",
        ],
    );
    assert_eq!(text(&target.call(&["GET", "b"])), "old");

    let output = import_file(&redis.file(), &["--replace"], &cluster);
    assert_imported(&output, &["imported  3 keys"]);
    assert_eq!(text(&target.call(&["GET", "b"])), "new");
}

#[test]
fn expired_keys_and_missing_databases_are_counted() {
    let Some(redis) = Redis::start(&["--databases", "20"]) else {
        return;
    };
    let mut source = redis.connect();
    // Otherwise keys that have expired are not saved.
    source.call(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
    source.call(&["SET", "short", "x", "PX", "1"]);
    source.call(&["SET", "stays", "x"]);
    source.call(&["SELECT", "17"]);
    source.call(&["SET", "far", "x"]);
    redis.save();
    let cluster = Cluster::start(&Plan::of(1));
    let output = import_file(&redis.file(), &[], &cluster);
    assert_imported(
        &output,
        &[
            "imported  1 key ",
            "expired   1 key",
            "skipped   1 key: there is no database 17 in the cluster",
        ],
    );
}

#[test]
fn a_value_that_the_cluster_refuses_is_a_failure() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let mut source = redis.connect();
    source.call(&["SET", "small", "x"]);
    source.call(&["SETRANGE", "huge", "20000000", "x"]);
    redis.save();
    let cluster = Cluster::start(&Plan::of(1));
    let output = import_file(&redis.file(), &[], &cluster);
    assert_eq!(output.code, 1, "{}{}", output.stdout, output.stderr);
    assert!(
        output.stdout.contains("imported  1 key"),
        "{}",
        output.stdout
    );
    assert!(
        output
            .stdout
            .contains("failed    1 key, such as \"huge\": ERR"),
        "{}",
        output.stdout
    );
}

#[test]
fn damaged_files_change_nothing_and_say_where() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let mut source = redis.connect();
    fill(&mut source);
    source.call(&["DEL", "big"]);
    let whole = redis.save();
    let cluster = Cluster::start(&Plan::of(1));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("damaged.rdb");
    let refuse = |bytes: &[u8], what: &str| {
        fs::write(&path, bytes).expect("written");
        let output = import_file(&path, &[], &cluster);
        let text = format!("{}{}", output.stdout, output.stderr);
        assert_eq!(output.code, 2, "{what}: {text}");
        assert_eq!(text.lines().count(), 1, "{what}: {text}");
        assert!(text.contains("damaged.rdb, at byte "), "{what}: {text}");
        assert!(text.contains("nothing was imported"), "{what}: {text}");
    };
    for length in (0..whole.len()).step_by(64) {
        refuse(&whole[..length], &format!("cut to {length} bytes"));
    }
    for at in (0..whole.len()).step_by(whole.len() / 100) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        refuse(&damaged, &format!("flipped at {at}"));
    }
    assert_eq!(cluster.node(1).ask(&["DBSIZE"]), Value::Integer(0));
}

#[test]
fn without_checksum_it_is_said() {
    let Some(redis) = Redis::start(&["--rdbchecksum", "no", "--rdbcompression", "no"]) else {
        return;
    };
    redis.connect().call(&["SET", "k", &"v".repeat(100)]);
    redis.save();
    let cluster = Cluster::start(&Plan::of(1));
    let output = import_file(&redis.file(), &[], &cluster);
    assert_imported(&output, &["imported  1 key"]);
    assert!(
        output.stderr.contains("has no checksum"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_running_redis() {
    let Some(redis) = Redis::start(&["--requirepass", "p@ss"]) else {
        return;
    };
    let mut source = redis.connect();
    source.call(&["AUTH", "p@ss"]);
    fill(&mut source);
    source.call(&["SELECT", "3"]);
    source.call(&["DEBUG", "POPULATE", &MANY.to_string(), "key", "50"]);
    source.call(&["PEXPIREAT", "key:7", FAR_MS]);
    source.call(&["SELECT", "15"]);
    source.call(&["SETRANGE", "large", "3000000", "end"]);
    let expected = strings_of(&mut source, 16);

    let cluster = Cluster::start(&Plan::of(1));
    let url = |login: &str, rest: &str| format!("redis://{login}127.0.0.1:{}{rest}", redis.port);
    let output = import(&["--from", &url("", "")], &cluster);
    assert_eq!(output.code, 2, "{}", output.stderr);
    assert!(
        output.stderr.contains("wants a password"),
        "{}",
        output.stderr
    );

    let output = import(&["--from", &url(":p%40ss@", "")], &cluster);
    assert_imported(&output, &SKIPPED);
    assert_eq!(strings_of(&mut cluster.node(1).connect(), 16), expected);

    // One database only, into a cluster of its own.
    let cluster = Cluster::start(&Plan::of(1));
    let output = import(&["--from", &url(":p%40ss@", "/3")], &cluster);
    assert_imported(&output, &["imported  3,000 keys "]);
    let found = strings_of(&mut cluster.node(1).connect(), 16);
    let of_three = expected
        .into_iter()
        .filter(|((database, _), _)| *database == 3);
    assert_eq!(found, of_three.collect());
}

#[test]
fn a_running_redis_under_load() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let mut source = redis.connect();
    source.call(&["DEBUG", "POPULATE", "20000", "stays", "50"]);
    let port = redis.port;
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let cluster = Cluster::start(&Plan::of(1));
    let output = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut connection = Connection::open(port).expect("a connection");
            let mut number = 0_u32;
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                let key = format!("comes:{}", number % 500);
                connection.call(&["SET", &key, "x"]);
                connection.call(&["DEL", &key]);
                connection.call(&["RPUSH", &key, "x"]);
                connection.call(&["DEL", &key]);
                number += 1;
            }
        });
        let output = import(&["--from", &format!("redis://127.0.0.1:{port}")], &cluster);
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        writer.join().expect("the writer does not panic");
        output
    });
    assert_imported(&output, &["failed    0 keys in all"]);
    let mut target = cluster.node(1).connect();
    let kept = target.call(&["KEYS", "stays:*"]);
    assert_eq!(kept.as_slice().map(<[Value]>::len), Some(20_000));
}

#[test]
fn the_cluster_itself_is_no_source() {
    let Some(_redis) = Redis::start(&[]) else {
        return;
    };
    let cluster = Cluster::start(&Plan::of(1));
    let url = format!("redis://127.0.0.1:{}", cluster.node(1).port);
    let output = import(&["--from", &url], &cluster);
    assert_eq!(output.code, 2, "{}", output.stderr);
    assert!(
        output.stderr.contains("the source is the cluster itself"),
        "{}",
        output.stderr
    );
}

/// A file with strings, without a checksum.
fn small_file(directory: &Path, pairs: &[(&str, &str)]) -> std::path::PathBuf {
    let mut bytes = b"REDIS0004".to_vec();
    for (key, value) in pairs {
        bytes.push(0);
        for text in [key, value] {
            bytes.push(u8::try_from(text.len()).expect("short"));
            bytes.extend(text.bytes());
        }
    }
    bytes.push(255);
    let path = directory.join("small.rdb");
    fs::write(&path, bytes).expect("written");
    path
}

/// Imports a file into a server at a port.
fn import_from(path: &Path, flag: &str, port: u16) -> Output {
    quorate_import(&[path.to_str().expect("a path"), flag], port)
}

fn quorate_import(arguments: &[&str], port: u16) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .arg("import")
        .args(arguments)
        .arg("--to")
        .arg(format!("127.0.0.1:{port}"))
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs");
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Imports three keys into a server whose answers to SET are given by the count of SETs before.
fn import_into(
    flag: &str,
    answer: impl Fn(usize, &[String]) -> Reply + Send + Sync + 'static,
) -> (Output, Vec<String>) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = small_file(directory.path(), &[("a", "1"), ("b", "2"), ("c", "3")]);
    let count = AtomicUsize::new(0);
    let server = FakeServer::start(move |words| match words[0].as_str() {
        "SET" => answer(count.fetch_add(1, Ordering::Relaxed), words),
        "CLUSTER" => Reply::text("-ERR no\r\n"),
        _ => Reply::text("+OK\r\n"),
    });
    let output = import_from(&path, flag, server.port);
    let sent = server.requests_named("SET");
    (
        output,
        sent.iter().map(|words| words[1..].join(" ")).collect(),
    )
}

#[test]
fn keys_expire_by_the_clock_of_the_cluster_and_not_by_this_one() {
    // It expires a minute after 1970: long ago by this clock, and by that of the cluster not yet or just so.
    for (cluster_s, expected) in [("00", "imported  1 key "), ("60", "expired   1 key")] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("expiring.rdb");
        let mut bytes = b"REDIS0004\xfc".to_vec();
        bytes.extend(60_000_u64.to_le_bytes());
        bytes.extend(b"\x00\x01a\x011\xff");
        fs::write(&path, bytes).expect("written");
        let server = FakeServer::start(move |words| match words[0].as_str() {
            "TIME" => Reply::text(&format!("*2\r\n$2\r\n{cluster_s}\r\n$1\r\n0\r\n")),
            "CLUSTER" => Reply::text("-ERR no\r\n"),
            _ => Reply::text("+OK\r\n"),
        });
        let output = import_from(&path, "--replace", server.port);
        assert_imported(&output, &[expected, "failed    0 keys"]);
    }
}

#[test]
fn large_values_of_a_running_redis_are_handed_on_before_more_are_read() {
    // Four values that are read one at a time, in one step of SCAN.
    let value = "v".repeat(1 << 20);
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reads);
    let source = FakeServer::start(move |words| match words[0].as_str() {
        "INFO" => Reply::text("$30\r\n# Keyspace\r\ndb0:keys=4,expires\r\n"),
        "SCAN" => {
            Reply::text("*2\r\n$1\r\n0\r\n*4\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n")
        }
        "TYPE" => Reply::text("+string\r\n"),
        "STRLEN" => Reply::text(":1048576\r\n"),
        "PEXPIRETIME" if words[1].starts_with("quorate") => Reply::text(":-2\r\n"),
        "MULTI" => Reply::text("+OK\r\n"),
        "GET" | "PEXPIRETIME" => Reply::text("+QUEUED\r\n"),
        "EXEC" => {
            counted.fetch_add(1, Ordering::Relaxed);
            Reply::text(&format!("*2\r\n${}\r\n{value}\r\n:-1\r\n", value.len()))
        }
        _ => Reply::text("+OK\r\n"),
    });
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let target = FakeServer::start(move |words| match words[0].as_str() {
        "SET" => {
            let reads = reads.load(Ordering::Relaxed);
            noted.lock().expect("no panic holds it").push(reads);
            Reply::text("+OK\r\n")
        }
        "CLUSTER" => Reply::text("-ERR no\r\n"),
        _ => Reply::text("+OK\r\n"),
    });
    let from = format!("redis://127.0.0.1:{}/0", source.port);
    let output = quorate_import(&["--from", &from, "--replace"], target.port);
    assert_imported(&output, &["imported  4 keys", "failed    0 keys"]);
    let seen = seen.lock().expect("no panic holds it");
    assert_eq!(*seen, [1, 2, 3, 4], "reads of the source when each was set");
}

#[test]
fn what_is_uncertain_is_sent_again_with_all_behind_it() {
    let uncertain = "-UNCERTAIN the leader did not confirm\r\n";
    let (output, sent) = import_into("--replace", move |count, _| {
        Reply::text(if count == 1 { uncertain } else { "+OK\r\n" })
    });
    assert_imported(&output, &["imported  3 keys", "failed    0 keys"]);
    assert_eq!(sent, ["a 1", "b 2", "c 3", "b 2", "c 3"]);
}

#[test]
fn a_connection_that_breaks_is_made_again() {
    let (output, sent) = import_into("--replace", |count, _| match count {
        1 => Reply::Close,
        _ => Reply::text("+OK\r\n"),
    });
    assert_imported(&output, &["imported  3 keys", "failed    0 keys"]);
    assert_eq!(sent.iter().filter(|words| *words == "a 1").count(), 1);
    assert_eq!(sent[sent.len() - 2..], ["b 2", "c 3"]);
}

#[test]
fn a_key_that_an_uncertain_set_has_made_is_not_taken_for_one_that_existed() {
    // The first SET of "b" has taken effect; "c" was there before, with another value.
    let (output, sent) = import_into("--keep", |count, words| match (count, words[1].as_str()) {
        (0, _) => Reply::text("+OK\r\n"),
        (1 | 2, _) => Reply::text("-UNCERTAIN the leader did not confirm\r\n"),
        (_, "b") => Reply::text("$1\r\n2\r\n"),
        _ => Reply::text("$3\r\nold\r\n"),
    });
    assert_imported(
        &output,
        &[
            "imported  2 keys",
            "skipped   1 key: it exists, and is kept",
        ],
    );
    assert_eq!(
        sent,
        ["a 1 NX", "b 2 NX", "c 3 NX", "b 2 NX GET", "c 3 NX GET"]
    );
}
