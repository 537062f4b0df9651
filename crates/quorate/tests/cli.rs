//! `quorate cli` in a pipe and with one command, and `quorate status`, against servers that answer as
//! they are told.

mod support;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use support::{FakeServer, Output, Reply, output, output_with_input, quorate};

/// A server with keys: SET, GET, DEL, INCR and SCAN, as far as these tests need them.
fn store() -> FakeServer {
    let keys = Mutex::new(BTreeMap::<String, String>::new());
    FakeServer::start(move |words| {
        let mut keys = keys.lock().expect("no panic holds it");
        let argument = |at: usize| words.get(at).cloned().unwrap_or_default();
        Reply::Bytes(match words[0].to_ascii_lowercase().as_str() {
            "set" => {
                keys.insert(argument(1), argument(2));
                b"+OK\r\n".to_vec()
            }
            "get" => match keys.get(&argument(1)) {
                Some(value) => format!("${}\r\n{value}\r\n", value.len()).into_bytes(),
                None => b"$-1\r\n".to_vec(),
            },
            "del" => {
                format!(":{}\r\n", i32::from(keys.remove(&argument(1)).is_some())).into_bytes()
            }
            "auth" => b"+OK\r\n".to_vec(),
            "select" => b"+OK\r\n".to_vec(),
            "scan" if argument(1) == "0" => scan_reply("7", &["user:1", "user:2"]),
            "scan" => scan_reply("0", &["user:3"]),
            "cluster" => b"-ERR This instance has cluster support disabled\r\n".to_vec(),
            _ => b"-ERR unknown command\r\n".to_vec(),
        })
    })
}

fn scan_reply(cursor: &str, keys: &[&str]) -> Vec<u8> {
    let mut reply = format!("*2\r\n${}\r\n{cursor}\r\n*{}\r\n", cursor.len(), keys.len());
    for key in keys {
        reply.push_str(&format!("${}\r\n{key}\r\n", key.len()));
    }
    reply.into_bytes()
}

fn cli(servers: &[&FakeServer], args: &[&str]) -> std::process::Command {
    let addresses: Vec<String> = servers
        .iter()
        .map(|server| format!("127.0.0.1:{}", server.port))
        .collect();
    let mut command = quorate();
    command
        .args(["cli", "--cluster", &addresses.join(",")])
        .args(args);
    command
}

fn one_shot(server: &FakeServer, args: &[&str]) -> Output {
    output(&mut cli(&[server], args))
}

#[test]
fn one_command_is_answered_by_plain_bytes_in_a_pipe() {
    let server = store();
    let set = one_shot(&server, &["SET", "key", "a b"]);
    assert_eq!((set.code, set.stdout.as_str()), (0, "OK\n"));
    assert_eq!(one_shot(&server, &["get", "key"]).stdout, "a b\n");
    assert_eq!(
        one_shot(&server, &["--no-raw", "get", "key"]).stdout,
        "\"a b\"\n"
    );
    assert_eq!(
        one_shot(&server, &["--no-raw", "get", "none"]).stdout,
        "(nil)\n"
    );
}

#[test]
fn an_error_makes_the_exit_code_1() {
    let server = store();
    let output = one_shot(&server, &["nonsense"]);
    assert_eq!(output.code, 1);
    assert!(
        output.stdout.starts_with("ERR unknown command"),
        "{output:?}"
    );
    let piped = output_with_input(&mut cli(&[&server], &[]), "set a 1\nnonsense\nget a\n");
    assert_eq!(piped.code, 1);
    let lines: Vec<&str> = piped
        .stdout
        .lines()
        .filter(|line| !line.is_empty())
        .collect();
    assert_eq!(lines, ["OK", "ERR unknown command", "1"]);
}

#[test]
fn arguments_that_look_like_flags_belong_to_the_command() {
    let server = store();
    assert_eq!(one_shot(&server, &["set", "key", "-1"]).stdout, "OK\n");
    assert_eq!(one_shot(&server, &["get", "key"]).stdout, "-1\n");
}

#[test]
fn redis_cli_flags_for_host_and_port_are_taken() {
    let server = store();
    let port = server.port.to_string();
    let run =
        output(quorate().args(["cli", "-h", "127.0.0.1", "-p", &port, "-n", "0", "get", "k"]));
    assert_eq!((run.code, run.stdout.as_str()), (0, "\n"));
}

#[test]
fn plain_words_are_understood() {
    let server = store();
    let input =
        "put greeting \"hello world\"\nget greeting\ndelete greeting\nget greeting\nput x\n";
    let run = output_with_input(&mut cli(&[&server], &["--no-raw"]), input);
    let expected = "OK\n\"hello world\"\n(integer) 1\n(nil)\n\
                    (error) put takes a key and a value: put KEY VALUE\n";
    assert_eq!(run.stdout, expected);
    assert_eq!(run.code, 1);
}

#[test]
fn list_walks_the_whole_scan() {
    let server = store();
    assert_eq!(
        one_shot(&server, &["list", "us*er:"]).stdout,
        "user:1\nuser:2\nuser:3\n"
    );
    let scans = server.requests_named("scan");
    assert_eq!(scans[0][1..4], ["0", "MATCH", "us\\*er:*"]);
    assert_eq!(scans[1][1], "7");
}

#[test]
fn help_comes_from_the_command_table() {
    let run = output(quorate().args(["cli", "help", "set"]));
    assert_eq!(run.code, 0);
    assert!(run.stdout.starts_with("SET key value "), "{}", run.stdout);
}

#[test]
fn a_long_pipe_is_answered_in_order() {
    let server = store();
    let mut input = String::new();
    let mut expected = String::new();
    for number in 0..5000 {
        input.push_str(&format!("set key {number}\nget key\n"));
        expected.push_str(&format!("OK\n{number}\n"));
    }
    let run = output_with_input(&mut cli(&[&server], &[]), &input);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout == expected, "replies are in order");
}

#[test]
fn who_waits_for_an_answer_before_the_next_line_gets_it() {
    use std::io::{BufRead, BufReader, Write};
    let server = store();
    let mut command = cli(&[&server], &[]);
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut input = child.stdin.take().expect("a pipe");
    let mut answers = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    for number in 0..3 {
        writeln!(input, "set key {number}").expect("written");
        assert_eq!(answers.next().expect("an answer").expect("text"), "OK");
    }
    drop(input);
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn the_password_is_given_first() {
    let server = store();
    assert_eq!(one_shot(&server, &["-a", "secret", "get", "key"]).code, 0);
    assert_eq!(server.requests_named("auth"), [["AUTH", "secret"]]);
    let mut command = cli(&[&server], &["get", "key"]);
    output(command.env("REDISCLI_AUTH", "other"));
    assert_eq!(server.requests_named("auth")[1], ["AUTH", "other"]);
}

#[test]
fn a_node_that_cannot_be_reached_is_one_line_and_exit_code_1() {
    // A port that was free a moment ago, and that nothing listens on.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let run = output(quorate().args(["cli", "-p", &port.to_string(), "ping"]));
    assert_eq!(run.code, 1);
    let expected = format!(
        "quorate: cannot reach 127.0.0.1:{port}: connection refused; name a node with --cluster \
         HOST:PORT (`quorate dev` listens on 127.0.0.1:7001)\n"
    );
    assert_eq!(run.stderr, expected);
    assert_eq!(run.stdout, "");
}

#[test]
fn a_node_that_takes_connections_and_answers_nothing_is_passed_over() {
    // Nobody accepts: the system takes the connections and what is sent on them.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent = listener.local_addr().expect("bound").port();
    let store = store();
    let addresses = format!("127.0.0.1:{silent},127.0.0.1:{}", store.port);
    let run = output(quorate().args(["cli", "--cluster", &addresses, "set", "key", "1"]));
    assert_eq!((run.code, run.stdout.as_str()), (0, "OK\n"), "{run:?}");

    let run = output(quorate().args(["cli", "-p", &silent.to_string(), "get", "key"]));
    let expected = format!("quorate: no answer from 127.0.0.1:{silent} within 2 s\n");
    assert_eq!((run.code, run.stderr), (1, expected));
    let address = format!("127.0.0.1:{silent}");
    let run = output(quorate().args(["status", "--cluster", &address]));
    assert!(
        run.stdout.contains("unreachable (no answer within 2 s)"),
        "{run:?}"
    );
}

/// A server that dies at one command: it closes this connection and every later one.
fn mortal(deadly: &'static str) -> FakeServer {
    let is_dead = AtomicBool::new(false);
    FakeServer::start(move |words| {
        if words[0].eq_ignore_ascii_case(deadly) {
            is_dead.store(true, Ordering::Relaxed);
        }
        if is_dead.load(Ordering::Relaxed) {
            return Reply::Close;
        }
        Reply::text(if words[0] == "CLUSTER" {
            "*0\r\n"
        } else {
            "+OK\r\n"
        })
    })
}

#[test]
fn a_read_is_sent_again_through_another_node() {
    let (first, second) = (mortal("get"), store());
    let input = "set key 1\nget key\n";
    let run = output_with_input(&mut cli(&[&first, &second], &["--no-raw"]), input);
    assert_eq!(run.stdout, "OK\n(nil)\n");
    assert!(
        run.stderr
            .contains(&format!("connection to 127.0.0.1:{} lost", first.port)),
        "{run:?}"
    );
    assert!(
        run.stderr
            .contains(&format!("connected to 127.0.0.1:{}", second.port)),
        "{run:?}"
    );
    assert_eq!(second.requests_named("get").len(), 1);
    assert_eq!(second.requests_named("set").len(), 0);
}

#[test]
fn a_write_is_not_sent_again_and_its_fate_is_said_to_be_unknown() {
    let (first, second) = (mortal("set"), store());
    let run = output_with_input(&mut cli(&[&first, &second], &[]), "set key 1\nget key\n");
    assert_eq!(run.code, 1);
    assert!(
        run.stdout
            .starts_with("UNCERTAIN SET may or may not have taken effect: connection to"),
        "{run:?}"
    );
    assert_eq!(second.requests_named("set").len(), 0);
    assert_eq!(second.requests_named("get").len(), 1);
}

/// The reply of CLUSTER NODES with nodes on these ports.
fn nodes_reply(ports: &[u16]) -> String {
    let lines: Vec<String> = ports
        .iter()
        .map(|port| format!("x 127.0.0.1:{port}@1 master - 0 0 1 connected\n"))
        .collect();
    let text = lines.concat();
    format!("${}\r\n{text}\r\n", text.len())
}

#[test]
fn another_node_is_learned_from_the_first() {
    let second = store();
    let nodes = nodes_reply(&[second.port]);
    let is_dead = AtomicBool::new(false);
    let first = FakeServer::start(move |words| match words[0].to_ascii_lowercase().as_str() {
        "cluster" if !is_dead.load(Ordering::Relaxed) => Reply::text(&nodes),
        _ => {
            is_dead.store(true, Ordering::Relaxed);
            Reply::Close
        }
    });
    let run = output_with_input(&mut cli(&[&first], &[]), "get key\n");
    assert_eq!(run.stdout, "\n", "{run:?}");
    assert_eq!(second.requests_named("get").len(), 1);
}

#[test]
fn a_transaction_is_not_carried_to_another_node() {
    let (first, second) = (mortal("exec"), store());
    let run = output_with_input(&mut cli(&[&first, &second], &[]), "multi\nset a 1\nexec\n");
    assert_eq!(run.code, 1);
    assert!(run.stdout.contains("UNCERTAIN EXEC"), "{run:?}");
    assert_eq!(second.requests_named("set").len(), 0);
}

/// A node that says of itself what INFO says, and names all nodes.
fn node(id: u64, role: &'static str, leader: u64, ports: &'static Mutex<Vec<u16>>) -> FakeServer {
    FakeServer::start(move |words| {
        if words[0] == "CLUSTER" {
            return Reply::text(&nodes_reply(&ports.lock().expect("no panic holds it")));
        }
        let info = format!(
            "# Server\r\nuptime_in_seconds:65\r\nquorate_version:0.1.0\r\n# Raft\r\nraft_node_id:{id}\r\n\
             raft_role:{role}\r\nraft_leader_id:{leader}\r\nraft_term:3\r\nraft_commit_index:20\r\n\
             raft_applied_index:{}\r\nraft_voters:1,2,3\r\n",
            20 - id
        );
        Reply::text(&format!("${}\r\n{info}\r\n", info.len()))
    })
}

#[test]
fn status_shows_all_nodes_and_tells_by_its_exit_code_whether_they_can_work() {
    static PORTS: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let (first, second) = (node(1, "leader", 1, &PORTS), node(2, "follower", 1, &PORTS));
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let third = closed.local_addr().expect("bound").port();
    drop(closed);
    PORTS
        .lock()
        .expect("no panic holds it")
        .extend([first.port, second.port, third]);

    let seed = format!("127.0.0.1:{}", second.port);
    let run = output(quorate().args(["status", "--cluster", &seed]));
    assert_eq!(run.code, 0, "{run:?}");
    let cells: Vec<Vec<&str>> = run
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let addresses = [first.port, second.port, third].map(|port| format!("127.0.0.1:{port}"));
    assert_eq!(
        cells[1],
        [
            "1",
            &addresses[0],
            "leader",
            "3",
            "20",
            "19",
            "1",
            "1m05s",
            "-"
        ]
    );
    assert_eq!(
        cells[2],
        [
            "2",
            &addresses[1],
            "follower",
            "3",
            "20",
            "18",
            "2",
            "1m05s",
            "-"
        ]
    );
    assert_eq!(cells[3][..3], ["3", &addresses[2], "unreachable"]);
    assert!(run.stdout.contains("node 1 leads; 2 of 3 voters answer"));

    let json = output(quorate().args(["status", "--json", "--cluster", &seed]));
    let status: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(status["healthy"], true);
    assert_eq!(status["nodes"][0]["role"], "leader");
    assert_eq!(status["nodes"][2]["reachable"], false);
}

#[test]
fn status_of_a_minority_is_exit_code_1() {
    static PORTS: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let only = node(1, "candidate", 0, &PORTS);
    let run = output(quorate().args(["status", "--cluster", &format!("127.0.0.1:{}", only.port)]));
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.stdout
            .contains("no quorum: 1 of 3 voters answer, 2 are needed"),
        "{run:?}"
    );
}

#[test]
fn status_of_nobody_says_how_to_name_a_node() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = closed.local_addr().expect("bound").port();
    drop(closed);
    let run = output(quorate().args(["status", "--cluster", &format!("127.0.0.1:{port}")]));
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.stdout.contains("unreachable (connection refused)"),
        "{run:?}"
    );
    assert!(
        run.stdout
            .contains("no node answers; name one with --cluster"),
        "{run:?}"
    );
}
