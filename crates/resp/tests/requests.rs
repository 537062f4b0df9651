//! What the request parser makes of what a client sends: every form, every limit, every way of cutting the
//! stream. The expectations were taken from redis-server 7.0.15; `tests/redis_server.rs` asks it again.

#[path = "../../../fuzz/src/resp.rs"]
#[allow(dead_code, unreachable_pub)]
mod bodies;

use bodies::{Request, Requests, pieces, read_requests};
use proptest::prelude::*;
use resp::{Limits, ProtocolError, encode_request};

fn read(stream: &[u8], limits: &Limits) -> Requests {
    read_requests(std::iter::once(stream), limits)
}

fn request(args: &[&str]) -> Request {
    args.iter().map(|arg| arg.as_bytes().to_vec()).collect()
}

#[test]
fn multibulk_requests() {
    let table: [(&[u8], &[&[&str]]); 10] = [
        (b"*1\r\n$4\r\nPING\r\n", &[&["PING"]]),
        (b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", &[&["ECHO", ""]]),
        (
            b"*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\r\n\r\n",
            &[&["ECHO", "\r\n\r\n"]],
        ),
        (
            b"*2\r\n$4\r\nECHO\r\n$3\r\n\0*\n\r\n",
            &[&["ECHO", "\0*\n"]],
        ),
        (b"*0\r\n*1\r\n$4\r\nPING\r\n", &[&[], &["PING"]]),
        (b"*-1\r\n*1\r\n$4\r\nPING\r\n", &[&[], &["PING"]]),
        (b"*-9223372036854775808\r\nPING\r\n", &[&[], &["PING"]]),
        (
            b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n",
            &[&["PING"], &["QUIT"]],
        ),
        // Redis skips the bytes where line ends should be without looking at them.
        (
            b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\n\n",
            &[&["PING"], &["PING"]],
        ),
        (b"*1\rx$4\ryPING\r\n", &[&["PING"]]),
    ];
    for (stream, requests) in table {
        let requests = requests.iter().map(|args| request(args)).collect();
        assert_eq!(
            read(stream, &Limits::AUTHENTICATED),
            (requests, None),
            "{}",
            stream.escape_ascii()
        );
    }
}

#[test]
fn inline_requests() {
    let table: [(&[u8], &[&[&str]]); 17] = [
        (b"PING\r\n", &[&["PING"]]),
        (b"PING\n", &[&["PING"]]),
        (b"  PING \t \r\n", &[&["PING"]]),
        (b"\r\n\n\r\nPING\r\n", &[&[], &[], &[], &["PING"]]),
        (
            b"SET k v\r\nGET k\r\n",
            &[&["SET", "k", "v"], &["GET", "k"]],
        ),
        (b"ECHO \"a b\"\r\n", &[&["ECHO", "a b"]]),
        (b"ECHO \"a\\x41\\n\\\"b\"\r\n", &[&["ECHO", "aA\n\"b"]]),
        (b"ECHO 'it\\'s \\n'\r\n", &[&["ECHO", "it's \\n"]]),
        (b"ECHO ab\"cd\"\r\n", &[&["ECHO", "abcd"]]),
        (b"ECHO ''\r\n", &[&["ECHO", ""]]),
        (b"\"\"\r\n", &[&[""]]),
        (b"ECHO \\x41\r\n", &[&["ECHO", "\\x41"]]),
        (b"ECHO \x0bx\x0by\x0b\r\n", &[&["ECHO", "x\x0by\x0b"]]),
        (b"ECHO \"a\"\x0b\r\n", &[&["ECHO", "a"]]),
        (b"ECHO a\rb\r\n", &[&["ECHO", "a", "b"]]),
        (b"ECHO a\r\r\n", &[&["ECHO", "a"]]),
        (b"$4\r\n", &[&["$4"]]),
    ];
    for (stream, requests) in table {
        let requests = requests.iter().map(|args| request(args)).collect();
        assert_eq!(
            read(stream, &Limits::AUTHENTICATED),
            (requests, None),
            "{}",
            stream.escape_ascii()
        );
    }
}

#[test]
fn unauthenticated_inline_requests_are_bounded_by_bytes_alone() {
    let stream = b"a ".repeat(1000);
    let stream = [&stream[..], b"\r\n"].concat();
    let (requests, error) = read(&stream, &Limits::UNAUTHENTICATED);
    assert_eq!((requests[0].len(), error), (1000, None));
}

/// An error ends the stream with nothing before it, in Redis's own words.
fn assert_refused(stream: &[u8], limits: &Limits, message: &str) {
    let (requests, error) = read(stream, limits);
    let shown = stream[..stream.len().min(60)].escape_ascii();
    assert_eq!(requests, Vec::<Request>::new(), "{shown}");
    assert_eq!(
        error.map(|error| error.to_string()).as_deref(),
        Some(message),
        "{shown}"
    );
}

/// The stream is not refused: it waits for more.
fn assert_incomplete(stream: &[u8], limits: &Limits) {
    let shown = stream[..stream.len().min(60)].escape_ascii();
    assert_eq!(read(stream, limits), (vec![], None), "{shown}");
}

const MULTIBULK: &str = "Protocol error: invalid multibulk length";
const MULTIBULK_UNAUTHENTICATED: &str = "Protocol error: unauthenticated multibulk length";
const BULK: &str = "Protocol error: invalid bulk length";
const BULK_UNAUTHENTICATED: &str = "Protocol error: unauthenticated bulk length";
const COUNT_STRING: &str = "Protocol error: too big mbulk count string";
const LENGTH_STRING: &str = "Protocol error: too big bulk count string";
const INLINE: &str = "Protocol error: too big inline request";
const QUOTES: &str = "Protocol error: unbalanced quotes in request";

#[test]
fn malformed_requests_whoever_sends_them() {
    let table: [(&[u8], &str); 30] = [
        (b"*\r\n", MULTIBULK),
        (b"*x\r\n", MULTIBULK),
        (b"*1x\r\n", MULTIBULK),
        (b"*1 \r\n", MULTIBULK),
        (b"* 1\r\n", MULTIBULK),
        (b"*+1\r\n", MULTIBULK),
        (b"*01\r\n", MULTIBULK),
        (b"*-0\r\n", MULTIBULK),
        (b"*-\r\n", MULTIBULK),
        (b"*1\n$4\r\nPING\r\n", MULTIBULK),
        (b"*2147483648\r\n", MULTIBULK),
        (b"*3000000000\r\n", MULTIBULK),
        (b"*9223372036854775808\r\n", MULTIBULK),
        (b"*99999999999999999999\r\n", MULTIBULK),
        (b"*1\r\nPING\r\n", "Protocol error: expected '$', got 'P'"),
        (b"*1\r\n*1\r\n", "Protocol error: expected '$', got '*'"),
        (b"*1\r\n'", "Protocol error: expected '$', got '''"),
        (b"*1\r\n\r\n", "Protocol error: expected '$', got ' '"),
        (b"*1\r\n\n", "Protocol error: expected '$', got ' '"),
        (b"*1\r\n\0", "Protocol error: expected '$', got ' '"),
        (b"*1\r\n$-1\r\n", BULK),
        (b"*1\r\n$\r\n", BULK),
        (b"*1\r\n$x\r\n", BULK),
        (b"*1\r\n$04\r\n", BULK),
        (b"*1\r\n$536870913\r\n", BULK),
        (b"*1\r\n$2000000000\r\n", BULK),
        (b"*1\r\n$9223372036854775807\r\n", BULK),
        (b"ECHO \"abc\r\n", QUOTES),
        (b"ECHO \"abc\"d\r\n", QUOTES),
        (b"PI\0NG\r\n", "Protocol error: NUL byte in inline request"),
    ];
    for (stream, message) in table {
        for limits in [Limits::AUTHENTICATED, Limits::UNAUTHENTICATED] {
            assert_refused(stream, &limits, message);
        }
    }
}

/// CVE-2016-10517: a page in a browser makes it send a form to the port of Redis.
#[test]
fn http_requests_are_cut_off_without_an_answer() {
    let streams: [&[u8]; 6] = [
        b"POST / HTTP/1.1\r\n",
        b"post\n",
        b"Host: localhost:6379\r\n",
        b"\"POST\" /\r\n",
        b"*1\r\n$4\r\nPOST\r\n",
        b"*2\r\n$5\r\nhost:\r\n$1\r\nx\r\n",
    ];
    for stream in streams {
        let outcome = read(stream, &Limits::AUTHENTICATED);
        assert_eq!(
            outcome,
            (vec![], Some(ProtocolError::HttpRequest)),
            "{}",
            stream.escape_ascii()
        );
        assert!(ProtocolError::HttpRequest.is_silent());
    }
    let get = read(b"GET / HTTP/1.1\r\n", &Limits::AUTHENTICATED);
    assert_eq!(get, (vec![request(&["GET", "/", "HTTP/1.1"])], None));
}

/// CVE-2021-32675: before authentication, a request is small.
#[test]
fn the_count_of_arguments_is_limited() {
    assert_incomplete(b"*10\r\n", &Limits::UNAUTHENTICATED);
    assert_refused(
        b"*11\r\n",
        &Limits::UNAUTHENTICATED,
        MULTIBULK_UNAUTHENTICATED,
    );
    assert_refused(
        b"*1048577\r\n",
        &Limits::UNAUTHENTICATED,
        MULTIBULK_UNAUTHENTICATED,
    );
    assert_refused(
        b"*2147483647\r\n",
        &Limits::UNAUTHENTICATED,
        MULTIBULK_UNAUTHENTICATED,
    );
    assert_incomplete(b"*11\r\n", &Limits::AUTHENTICATED);
    assert_incomplete(b"*1048576\r\n", &Limits::AUTHENTICATED);
    assert_refused(b"*1048577\r\n", &Limits::AUTHENTICATED, MULTIBULK);
}

#[test]
fn the_length_of_an_argument_is_limited() {
    assert_incomplete(b"*2\r\n$16384\r\n", &Limits::UNAUTHENTICATED);
    assert_refused(
        b"*2\r\n$16385\r\n",
        &Limits::UNAUTHENTICATED,
        BULK_UNAUTHENTICATED,
    );
    assert_refused(
        b"*2\r\n$536870912\r\n",
        &Limits::UNAUTHENTICATED,
        BULK_UNAUTHENTICATED,
    );
    assert_incomplete(b"*2\r\n$16385\r\n", &Limits::AUTHENTICATED);
    assert_incomplete(b"*2\r\n$536870912\r\n", &Limits::AUTHENTICATED);
    let configured = Limits {
        bulk_bytes_max: 1024 * 1024,
        ..Limits::AUTHENTICATED
    };
    assert_incomplete(b"*2\r\n$1048576\r\n", &configured);
    assert_refused(b"*2\r\n$1048577\r\n", &configured, BULK);
}

#[test]
fn the_digits_of_a_header_are_limited() {
    for limits in [Limits::AUTHENTICATED, Limits::UNAUTHENTICATED] {
        let digits = "1".repeat(20);
        assert_incomplete(format!("*{digits}").as_bytes(), &limits);
        assert_refused(format!("*{digits}1").as_bytes(), &limits, COUNT_STRING);
        assert_refused(format!("*{digits}1\r\n").as_bytes(), &limits, COUNT_STRING);
        assert_incomplete(format!("*1\r\n${digits}").as_bytes(), &limits);
        assert_refused(
            format!("*1\r\n${digits}1").as_bytes(),
            &limits,
            LENGTH_STRING,
        );
        assert_refused(
            format!("*1\r\n${}", "x".repeat(70_000)).as_bytes(),
            &limits,
            LENGTH_STRING,
        );
        assert_refused(
            format!("*\0{}\n", "A".repeat(1024)).as_bytes(),
            &limits,
            COUNT_STRING,
        );
    }
}

#[test]
fn the_length_of_a_line_is_limited() {
    for limits in [Limits::AUTHENTICATED, Limits::UNAUTHENTICATED] {
        let longest = "A".repeat(64 * 1024);
        assert_incomplete(longest.as_bytes(), &limits);
        assert_eq!(
            read(format!("{longest}\n").as_bytes(), &limits),
            (vec![request(&[&longest])], None)
        );
        assert_refused(format!("{longest}A").as_bytes(), &limits, INLINE);
        // Redis takes this one if it happens to arrive in one piece.
        assert_refused(format!("{longest}A\n").as_bytes(), &limits, INLINE);
    }
}

#[test]
fn an_unexpected_byte_is_echoed_as_it_is() {
    let (_, error) = read(b"*1\r\n\xff\r\n", &Limits::AUTHENTICATED);
    let mut out = Vec::new();
    resp::Encoder::new(&mut out, resp::Protocol::Resp3).protocol_error(&error.unwrap());
    assert_eq!(out, b"-ERR Protocol error: expected '$', got '\xff'\r\n");
}

/// Requests of both forms, empty ones between them, and an end that is malformed in one way or another.
fn streams() -> Vec<Vec<u8>> {
    let body: &[u8] =
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$12\r\nv\r\n*1\r\n$4\r\n\r\n*0\r\n\r\nGET k\r\n*-1\r\n\
        ECHO \"a \\x41\" 'b'\n*2\r\n$4\r\nECHO\r\n$0\r\n\r\n";
    let ends: [&[u8]; 10] = [
        b"",
        b"*1\r\n$4\r\nPIN",
        b"*2147483648\r\n",
        b"*111111111111111111111111\r\n",
        b"*1\r\n$111111111111111111111111\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\nx",
        b"ECHO \"\r\n",
        b"A\0\n",
        b"POST\r\n",
    ];
    ends.iter().map(|end| [body, end].concat()).collect()
}

#[test]
fn every_split_point_gives_the_same_requests() {
    for stream in streams() {
        let whole = read(&stream, &Limits::AUTHENTICATED);
        assert_eq!(whole.0.len(), 7);
        for first in 0..=stream.len() {
            let (head, tail) = stream.split_at(first);
            assert_eq!(
                read_requests([head, tail].into_iter(), &Limits::AUTHENTICATED),
                whole,
                "{first}"
            );
        }
        assert_eq!(
            read_requests(stream.chunks(1), &Limits::AUTHENTICATED),
            whole
        );
    }
}

/// Would take hours if any of this were scanned again at each byte.
#[test]
fn a_byte_at_a_time_is_no_more_work_than_all_at_once() {
    let lines = format!("{}\r\n", "a".repeat(60_000)).repeat(8).into_bytes();
    let (requests, error) = read_requests(lines.chunks(1), &Limits::AUTHENTICATED);
    assert_eq!((requests.len(), error), (8, None));

    let mut many = Vec::new();
    encode_request(&mut many, &vec!["argument"; 50_000]);
    let (requests, error) = read_requests(many.chunks(1), &Limits::AUTHENTICATED);
    assert_eq!((requests[0].len(), error), (50_000, None));

    let mut long = Vec::new();
    encode_request(&mut long, &["SET".as_bytes(), b"k", &vec![b'\r'; 1 << 20]]);
    let (requests, error) = read_requests(long.chunks(1), &Limits::AUTHENTICATED);
    assert_eq!((requests[0][2].len(), error), (1 << 20, None));
}

fn any_request() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..8)
}

/// Bytes that look like the protocol often enough to get somewhere.
fn protocol_soup() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"*".to_vec()),
        Just(b"$".to_vec()),
        Just(b"\"".to_vec()),
        Just(b"'".to_vec()),
        Just(b"\\x4".to_vec()),
        Just(b" ".to_vec()),
        Just(b"\n".to_vec()),
        (-2i64..30).prop_map(|number| number.to_string().into_bytes()),
        (0usize..4).prop_map(|count| format!("*{count}\r\n").into_bytes()),
        prop::collection::vec(any::<u8>(), 0..5).prop_map(|bytes| {
            let mut bulk = format!("${}\r\n", bytes.len()).into_bytes();
            bulk.extend_from_slice(&bytes);
            bulk.extend_from_slice(b"\r\n");
            bulk
        }),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(token, 0..30).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn what_is_encoded_is_parsed(requests in prop::collection::vec(any_request(), 0..6), cut in any::<u8>()) {
        let http = |request: &Request| {
            request[0].eq_ignore_ascii_case(b"post") || request[0].eq_ignore_ascii_case(b"host:")
        };
        prop_assume!(!requests.iter().any(http));
        let mut stream = Vec::new();
        requests.iter().for_each(|request| encode_request(&mut stream, request));
        let outcome = read_requests(pieces(&stream, cut), &Limits::AUTHENTICATED);
        prop_assert_eq!(outcome, (requests, None));
    }

    #[test]
    fn any_cut_of_anything_gives_the_same(stream in protocol_soup(), cut in any::<u8>(), authenticated in any::<bool>()) {
        let limits = if authenticated { Limits::AUTHENTICATED } else { Limits::UNAUTHENTICATED };
        let whole = read(&stream, &limits);
        prop_assert_eq!(read_requests(pieces(&stream, cut), &limits), whole.clone());
        prop_assert_eq!(read_requests(stream.chunks(1), &limits), whole);
    }

    #[test]
    fn random_bytes_are_an_error_at_worst(stream in prop::collection::vec(any::<u8>(), 0..400), cut in any::<u8>()) {
        let whole = read(&stream, &Limits::UNAUTHENTICATED);
        prop_assert_eq!(read_requests(pieces(&stream, cut), &Limits::UNAUTHENTICATED), whole);
    }
}
