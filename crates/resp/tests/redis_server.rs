//! The same bytes to a real Redis 7.0, where one is installed: protocol errors, words of inline requests and the
//! text of doubles must be equal byte for byte. Without `redis-server` in the path these tests say so and pass.

#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use resp::{
    Encoder, Limits, Protocol, ReplyBuffer, RequestParser, Value, encode_request, format_double,
};
use tempfile::TempDir;

/// A Redis of the test's own, on a socket in a folder of its own.
struct Redis {
    process: Child,
    folder: TempDir,
}

impl Redis {
    /// Starts one, unless there is none or it is of another version than the one that is the reference.
    fn start(options: &[&str]) -> Option<Redis> {
        let version = Command::new("redis-server")
            .arg("--version")
            .output()
            .ok()?;
        if !String::from_utf8_lossy(&version.stdout).contains("v=7.0.") {
            eprintln!("skipped: the installed redis-server is not 7.0");
            return None;
        }
        let folder = TempDir::new().unwrap();
        let mut process = Command::new("redis-server")
            .args([
                "--port",
                "0",
                "--save",
                "",
                "--appendonly",
                "no",
                "--unixsocket",
                "redis.sock",
            ])
            .args(options)
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stdout.take().unwrap()).lines();
        assert!(
            log.any(|line| line.unwrap().contains("accept connections at")),
            "redis-server ended"
        );
        std::thread::spawn(move || log.for_each(drop));
        Some(Redis { process, folder })
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.folder.path().join("redis.sock")).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream
    }

    /// Everything that is answered to a connection that says this and no more.
    fn answers(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        // A connection that Redis closes over unread bytes ends in a reset, after the answer.
        let _ = stream.write_all(request);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answers = Vec::new();
        let _ = stream.read_to_end(&mut answers);
        answers
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What we answer to the same bytes, were every request an ECHO.
fn our_answers(stream: &[u8], limits: &Limits) -> Vec<u8> {
    let mut out = Vec::new();
    let mut parser = RequestParser::new();
    let mut start = 0;
    loop {
        let input = &stream[start..];
        let mut encoder = Encoder::new(&mut out, Protocol::Resp2);
        match parser.parse(input, limits) {
            Ok(Some(consumed)) => {
                let source = parser.source(input);
                match parser.args() {
                    [] => {}
                    [_, argument] => encoder.bulk(&source[argument.clone()]),
                    _ => encoder.error("ERR wrong number of arguments for 'echo' command"),
                }
                start += consumed;
            }
            Ok(None) => return out,
            Err(error) => {
                encoder.protocol_error(&error);
                return out;
            }
        }
    }
}

const ECHOES: &[&[u8]] = &[
    b"ECHO a\r\n",
    b"ECHO a\n",
    b"\r\n\n  \r\nECHO a\r\n",
    b"*0\r\nECHO a\r\n",
    b"*-1\r\n*2\r\n$4\r\nECHO\r\n$1\r\na\r\n",
    b"*-9223372036854775808\r\nECHO a\r\n",
    b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n",
    b"*2\r\n$4\r\nECHOxx$1\rya\n\nECHO b\r\n",
    b"ECHO \"a\\x41\\n\\\"b\"\r\n",
    b"ECHO \"\\n\\r\\t\\b\\a\\q\\\\\\x4g\\x\"\r\n",
    b"ECHO 'it\\'s \\n \\\\ '\r\n",
    b"ECHO ab\"cd\"\r\n",
    b"ECHO ''\r\n",
    b"ECHO \"\"\r\n",
    b"ECHO \\x41\r\n",
    b"ECHO \x0bx\x0by\x0b\r\n",
    b"ECHO \"a\"\x0b\r\n",
    b"ECHO \"a\"\x0c\"b\"\r\n",
    b"ECHO a\rb\r\n",
    b"ECHO a\r\r\n",
    b"ECHO \xff\xfe\r\n",
    b"ECHO a b\r\n",
    b"  ECHO\t'a'  \r\n",
];

const ERRORS: &[&[u8]] = &[
    b"*\r\n",
    b"*x\r\n",
    b"*1 \r\n",
    b"*+1\r\n",
    b"*01\r\n",
    b"*-0\r\n",
    b"*2147483648\r\n",
    b"*3000000000\r\n",
    b"*9223372036854775808\r\n",
    b"*-9999999999999999999\r\n",
    b"*1\r\nPING\r\n",
    b"*1\r\n\r\n",
    b"*1\r\n\n\r\n",
    b"*1\r\n\xff\r\n",
    b"*1\r\n'\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$\r\n",
    b"*1\r\n$x\r\n",
    b"*1\r\n$04\r\n",
    b"*1\r\n$536870913\r\n",
    b"*1\r\n$2000000000\r\n",
    b"*1\r\n$9223372036854775807\r\n",
    b"ECHO \"abc\r\n",
    b"ECHO 'abc\r\n",
    b"ECHO \"abc\"d\r\n",
    b"ECHO 'abc'd\r\n",
    b"ECHO \"\\\r\n",
    b"ECHO 'a\\'\r\n",
    b"POST / HTTP/1.1\r\n",
    b"host: x\r\n",
    b"*1\r\n$4\r\nPOST\r\n",
    b"\"post\"\r\n",
];

/// Headers and lines that never end. Redis gives up after 64 KiB; we do so after twenty digits of a header.
fn endless() -> Vec<Vec<u8>> {
    [b"*".as_slice(), b"*1\r\n$", b""]
        .map(|head| [head, &b"1".repeat(66_000)[..]].concat())
        .to_vec()
}

fn compare(redis: &Redis, stream: &[u8], limits: &Limits) {
    let theirs = redis.answers(stream);
    let ours = our_answers(stream, limits);
    let shown = stream[..stream.len().min(80)].escape_ascii();
    assert_eq!(
        ours.escape_ascii().to_string(),
        theirs.escape_ascii().to_string(),
        "{shown}"
    );
}

#[test]
fn requests_are_understood_and_refused_as_by_redis() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    for stream in ECHOES.iter().chain(ERRORS) {
        compare(&redis, stream, &Limits::AUTHENTICATED);
    }
    for stream in endless() {
        compare(&redis, &stream, &Limits::AUTHENTICATED);
    }
}

#[test]
fn limits_before_authentication_are_those_of_redis() {
    let Some(redis) = Redis::start(&["--requirepass", "secret"]) else {
        return;
    };
    for stream in ERRORS {
        compare(&redis, stream, &Limits::UNAUTHENTICATED);
    }
    for stream in endless() {
        compare(&redis, &stream, &Limits::UNAUTHENTICATED);
    }
    let limits: [&[u8]; 9] = [
        b"*10\r\n",
        b"*11\r\n",
        b"*1048577\r\n",
        b"*2147483647\r\n",
        b"*2147483648\r\n",
        b"*2\r\n$16384\r\n",
        b"*2\r\n$16385\r\n",
        b"*2\r\n$536870912\r\n",
        b"*2\r\n$536870913\r\n",
    ];
    for stream in limits {
        compare(&redis, stream, &Limits::UNAUTHENTICATED);
    }
}

/// Scores of a sorted set too large to be packed, since a packed one forgets the sign of zero.
#[test]
fn doubles_are_printed_as_by_redis() {
    let Some(redis) = Redis::start(&["--zset-max-listpack-entries", "0"]) else {
        return;
    };
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut scores = vec![
        0.0,
        -0.0,
        0.1,
        1e15,
        1e16,
        1e17,
        1e21,
        1e22,
        1e23,
        0.0001,
        0.00001,
        5e-324,
        f64::MAX,
    ];
    scores.extend([
        1.0 + 2f64.powi(-17),
        9007199254740994.0,
        1.0 / 3.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ]);
    for shift in 0..600 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        scores.push(f64::from_bits(state));
        // Few bits before and after the point: exact ties among seventeen digits.
        scores.push((state >> (shift % 60)) as f64 / (1u64 << (shift % 48)) as f64);
    }
    scores.retain(|score| !score.is_nan());
    for protocol in ["2", "3"] {
        let mut stream = redis.connect();
        let mut request = Vec::new();
        encode_request(&mut request, &["HELLO", protocol]);
        for (index, score) in scores.iter().enumerate() {
            let member = index.to_string();
            encode_request(&mut request, &["ZADD", "z", &format!("{score:e}"), &member]);
            encode_request(&mut request, &["ZSCORE", "z", &member]);
        }
        stream.write_all(&request).unwrap();
        let mut replies = ReplyBuffer::new();
        let mut next = || loop {
            if let Some(value) = replies.next_value().unwrap() {
                return value;
            }
            let mut bytes = [0; 4096];
            let length = stream.read(&mut bytes).unwrap();
            assert!(length > 0, "redis-server closed the connection");
            replies.feed(&bytes[..length]);
        };
        next();
        for score in &scores {
            assert!(next().as_integer().is_some());
            let expected = match protocol {
                "2" => Value::Bulk(format_double(*score).into_bytes()),
                _ => Value::Double(*score),
            };
            assert_eq!(next(), expected, "{score:e}");
        }
    }
}
