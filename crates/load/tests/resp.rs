//! The whole program against a server that the test makes up.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use resp::{Limits, RequestParser};
use serde_json::Value;

/// How a server answers a request: the command's name, its number on the connection, and where the
/// reply goes. `false` closes the connection.
type Answer = fn(&[u8], usize, &mut TcpStream) -> bool;

/// A server on a free port. It counts the connections that it took.
struct Server {
    target: String,
    connections: Arc<AtomicUsize>,
}

fn server(answer: Answer) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    thread::spawn(move || {
        for stream in listener.incoming() {
            counter.fetch_add(1, Ordering::Relaxed);
            thread::spawn(move || serve(stream.unwrap(), answer));
        }
    });
    Server {
        target,
        connections,
    }
}

fn serve(mut stream: TcpStream, answer: Answer) {
    stream.set_nodelay(true).unwrap();
    let mut parser = RequestParser::new();
    let (mut input, mut chunk) = (Vec::new(), [0; 4096]);
    let mut number = 0;
    while let Ok(bytes @ 1..) = stream.read(&mut chunk) {
        input.extend_from_slice(&chunk[..bytes]);
        while let Some(consumed) = parser.parse(&input, &Limits::AUTHENTICATED).unwrap() {
            let name = parser.source(&input)[parser.args()[0].clone()].to_vec();
            input.drain(..consumed);
            if !answer(&name, number, &mut stream) {
                return;
            }
            number += 1;
        }
    }
}

/// `+OK` to writes and a value to reads, a byte at a time.
fn bytewise(name: &[u8], _: usize, stream: &mut TcpStream) -> bool {
    let reply: &[u8] = match name {
        b"GET" => b"$3\r\na\rb\r\n",
        _ => b"+OK\r\n",
    };
    reply.iter().all(|byte| stream.write_all(&[*byte]).is_ok())
}

/// An error to every fifth command, nothing found otherwise.
fn failing(_: &[u8], number: usize, stream: &mut TcpStream) -> bool {
    let reply: &[u8] = match number % 5 {
        0 => b"-ERR not now\r\n",
        _ => b"$-1\r\n",
    };
    stream.write_all(reply).is_ok()
}

/// Closes the connection instead of the second reply.
fn closing(_: &[u8], number: usize, stream: &mut TcpStream) -> bool {
    number < 1 && stream.write_all(b"+OK\r\n").is_ok()
}

fn silent(_: &[u8], _: usize, _: &mut TcpStream) -> bool {
    true
}

/// Stands still for 200 ms at the tenth command.
fn pausing(_: &[u8], number: usize, stream: &mut TcpStream) -> bool {
    if number == 10 {
        let (_sender, receiver) = mpsc::channel::<()>();
        let _ = receiver.recv_timeout(Duration::from_millis(200));
    }
    stream.write_all(b"+OK\r\n").is_ok()
}

fn load(flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quorate-load"))
        .args(flags)
        .output()
        .unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// The report of a run that got something done. On a machine that is busy with other things a short run
/// may not: a longer one is tried then.
fn report_of_work(target: &str, more: &[&str]) -> Value {
    for duration in ["--duration=0.2", "--duration=1", "--duration=5"] {
        let mut flags = vec!["--json", "--warm-up=0.02", duration, "--target", target];
        flags.extend_from_slice(more);
        let report = json(&load(&flags));
        if report["completed"].as_u64().unwrap() > 0 {
            return report;
        }
    }
    panic!("nothing is done in 5 s");
}

fn short<'a>(target: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut flags = vec!["--json", "--warm-up=0.02", "--duration=0.2"];
    flags.extend(["--target", target]);
    flags.extend_from_slice(more);
    flags
}

#[test]
fn closed_loop_counts_what_is_answered() {
    let server = server(bytewise);
    let flags = ["--connections=4", "--pipeline=3", "--read-share=0.5"];
    let report = report_of_work(&server.target, &flags);
    assert_eq!(
        (&report["errors"], &report["loop"]),
        (&0.into(), &"closed".into())
    );
    assert!(server.connections.load(Ordering::Relaxed) >= 4);
    let completed = report["completed"].as_u64().unwrap();
    assert!(completed > 0 && report["replies"].as_u64().unwrap() >= completed);
    assert_eq!(
        report["throughput"].as_f64().unwrap(),
        completed as f64 / report["measured_seconds"].as_f64().unwrap()
    );
    assert!(report["latency_us"]["p50"].as_f64().unwrap() > 0.0);
    assert!(report["read_latency_us"].is_object() && report["write_latency_us"].is_object());
    assert!(report["cpu_seconds"].as_f64().unwrap() > 0.0);
}

#[test]
fn errors_and_misses_are_counted_and_shown() {
    let server = server(failing);
    // Both replies come to what is sent first, however slow the machine is.
    let flags = ["--read-share=1", "--pipeline=2"];
    let report = json(&load(&short(&server.target, &flags)));
    assert_eq!(report["first_error"], "ERR not now");
    let (errors, misses) = (&report["errors"], &report["misses"]);
    assert!(errors.as_u64().unwrap() > 0 && misses.as_u64().unwrap() > 0);

    let output = load(&["--target", &server.target, "--warm-up=0", "--duration=0.1"]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("the first: ERR not now"), "{table}");
}

#[test]
fn broken_connections_are_made_anew() {
    let server = server(closing);
    // The first connections get their reply during the warm-up: what is done after it is done by others.
    let report = report_of_work(&server.target, &["--connections=2", "--pipeline=2"]);
    let error = report["first_error"].as_str().unwrap();
    assert!(error.starts_with(&server.target), "{error}");
    assert!(server.connections.load(Ordering::Relaxed) > 2);
}

/// Of 1,000 commands a second, those that are due while the server stands still wait, although only
/// one of them is on its way.
#[test]
fn open_loop_counts_from_when_a_command_was_due() {
    let server = server(pausing);
    let flags = ["--rate=1000", "--connections=1"];
    let report = json(&load(&short(&server.target, &flags)));
    assert_eq!(
        (&report["loop"], &report["unanswered"]),
        (&"open".into(), &0.into())
    );
    assert_eq!(report["errors"], 0);
    let p50 = report["latency_us"]["p50"].as_f64().unwrap();
    let p90 = report["latency_us"]["p90"].as_f64().unwrap();
    assert!(p90 > 100_000.0, "p50 {p50}, p90 {p90}");
}

#[test]
fn who_never_answers_is_no_success_and_no_good_latency() {
    let server = server(silent);
    for (flags, unanswered) in [(["--rate=100"], 22), (["--connections=3"], 3)] {
        let mut flags = short(&server.target, &flags);
        flags.push("--patience=0.1");
        let output = load(&flags);
        assert_eq!(output.status.code(), Some(1));
        let report = json(&output);
        assert_eq!(report["unanswered"], unanswered, "{flags:?}");
        assert_eq!(report["throughput"], 0.0);
    }
}

#[test]
fn fill_writes_every_key() {
    let server = server(bytewise);
    let flags = [
        "--fill",
        "--keys=101",
        "--pipeline=7",
        "--json",
        "--target",
        &server.target,
    ];
    let output = load(&flags);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(json(&output)["replies"], 101);
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let wrong: [(&[&str], i32, &str); 4] = [
        (&["--duration", "-3"], 2, "--duration must be"),
        (&["--speed", "9"], 2, "--speed"),
        (&["--protocol", "http"], 2, "possible values: resp, etcd"),
        (&["--target", &address], 1, &address),
    ];
    for (flags, code, part) in wrong {
        let output = load(flags);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(
            text.starts_with("quorate-load: ") && text.contains(part),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(output.stdout.is_empty());
    }
}
