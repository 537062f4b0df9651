//! The bytes of every form of reply, in both protocols. Those that `DEBUG PROTOCOL` can produce were taken from
//! redis-server 7.0.15.

#![expect(
    clippy::approx_constant,
    reason = "3.141 is what Redis answers to DEBUG PROTOCOL DOUBLE"
)]

use resp::{Encoder, Protocol, ProtocolError, encode_request};

type Write = fn(&mut Encoder);

fn encode(protocol: Protocol, write: Write) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut Encoder::new(&mut out, protocol));
    out
}

const TABLE: &[(Write, &[u8], &[u8])] = &[
    (|e| e.ok(), b"+OK\r\n", b"+OK\r\n"),
    (|e| e.simple("PONG"), b"+PONG\r\n", b"+PONG\r\n"),
    (|e| e.simple(""), b"+\r\n", b"+\r\n"),
    (|e| e.simple("a\r\n+b\0"), b"+a  +b \r\n", b"+a  +b \r\n"),
    (
        |e| e.error("ERR syntax error"),
        b"-ERR syntax error\r\n",
        b"-ERR syntax error\r\n",
    ),
    (|e| e.error(b"ERR \xff"), b"-ERR \xff\r\n", b"-ERR \xff\r\n"),
    (|e| e.integer(0), b":0\r\n", b":0\r\n"),
    (|e| e.integer(9), b":9\r\n", b":9\r\n"),
    (|e| e.integer(10), b":10\r\n", b":10\r\n"),
    (|e| e.integer(-1), b":-1\r\n", b":-1\r\n"),
    (|e| e.integer(12345), b":12345\r\n", b":12345\r\n"),
    (
        |e| e.integer(i64::MAX),
        b":9223372036854775807\r\n",
        b":9223372036854775807\r\n",
    ),
    (
        |e| e.integer(i64::MIN),
        b":-9223372036854775808\r\n",
        b":-9223372036854775808\r\n",
    ),
    (
        |e| e.bulk(b"Hello World"),
        b"$11\r\nHello World\r\n",
        b"$11\r\nHello World\r\n",
    ),
    (|e| e.bulk(b""), b"$0\r\n\r\n", b"$0\r\n\r\n"),
    (
        |e| e.bulk(b"\r\n\0"),
        b"$3\r\n\r\n\0\r\n",
        b"$3\r\n\r\n\0\r\n",
    ),
    (|e| e.bulk_i64(-42), b"$3\r\n-42\r\n", b"$3\r\n-42\r\n"),
    (|e| e.null(), b"$-1\r\n", b"_\r\n"),
    (|e| e.null_array(), b"*-1\r\n", b"_\r\n"),
    (|e| e.array(0), b"*0\r\n", b"*0\r\n"),
    (|e| e.array(3), b"*3\r\n", b"*3\r\n"),
    (|e| e.array(1_048_576), b"*1048576\r\n", b"*1048576\r\n"),
    (|e| e.map(0), b"*0\r\n", b"%0\r\n"),
    (|e| e.map(3), b"*6\r\n", b"%3\r\n"),
    (|e| e.map(7), b"*14\r\n", b"%7\r\n"),
    (|e| e.set(3), b"*3\r\n", b"~3\r\n"),
    (|e| e.push(2), b"*2\r\n", b">2\r\n"),
    (|e| e.double(3.141), b"$5\r\n3.141\r\n", b",3.141\r\n"),
    (|e| e.double(3.0), b"$1\r\n3\r\n", b",3\r\n"),
    (
        |e| e.double(0.1),
        b"$19\r\n0.10000000000000001\r\n",
        b",0.10000000000000001\r\n",
    ),
    (|e| e.double(1e100), b"$6\r\n1e+100\r\n", b",1e+100\r\n"),
    (|e| e.double(f64::INFINITY), b"$3\r\ninf\r\n", b",inf\r\n"),
    (
        |e| e.double(f64::NEG_INFINITY),
        b"$4\r\n-inf\r\n",
        b",-inf\r\n",
    ),
    (|e| e.double(f64::NAN), b"$3\r\nnan\r\n", b",nan\r\n"),
    (|e| e.boolean(true), b":1\r\n", b"#t\r\n"),
    (|e| e.boolean(false), b":0\r\n", b"#f\r\n"),
    (
        |e| e.big_number("1234567999999999999999999999999999999"),
        b"$37\r\n1234567999999999999999999999999999999\r\n",
        b"(1234567999999999999999999999999999999\r\n",
    ),
    (
        |e| e.verbatim("txt", b"This is a verbatim\nstring"),
        b"$25\r\nThis is a verbatim\nstring\r\n",
        b"=29\r\ntxt:This is a verbatim\nstring\r\n",
    ),
    (|e| e.verbatim("m", b""), b"$0\r\n\r\n", b"=4\r\nm  :\r\n"),
    (
        |e| e.verbatim("markdown", b"x"),
        b"$1\r\nx\r\n",
        b"=5\r\nmar:x\r\n",
    ),
    (|e| e.raw(b"anything"), b"anything", b"anything"),
];

#[test]
fn every_reply_form_in_both_protocols() {
    for (row, (write, resp2, resp3)) in TABLE.iter().enumerate() {
        let written = encode(Protocol::Resp2, *write);
        assert_eq!(
            written,
            *resp2,
            "row {row}, RESP2: {}",
            written.escape_ascii()
        );
        let written = encode(Protocol::Resp3, *write);
        assert_eq!(
            written,
            *resp3,
            "row {row}, RESP3: {}",
            written.escape_ascii()
        );
    }
}

#[test]
fn a_discarding_encoder_takes_everything_and_keeps_nothing() {
    let mut encoder = Encoder::discard(Protocol::Resp3);
    assert!(encoder.is_discarding());
    assert_eq!(encoder.protocol(), Protocol::Resp3);
    for (write, ..) in TABLE {
        write(&mut encoder);
    }
    assert!(!Encoder::new(&mut Vec::new(), Protocol::Resp2).is_discarding());
}

#[test]
fn replies_are_appended() {
    let mut out = b"+before\r\n".to_vec();
    let mut encoder = Encoder::new(&mut out, Protocol::Resp2);
    encoder.array(2);
    encoder.integer(1);
    encoder.null();
    assert_eq!(out, b"+before\r\n*2\r\n:1\r\n$-1\r\n");
}

/// CVE-2025-67733: an error that repeats what a client sent must not end early and begin another reply.
#[test]
fn an_error_is_one_line_whatever_is_in_it() {
    let table: [(&[u8], &[u8]); 6] = [
        (b"ERR a\r\n+OK", b"-ERR a  +OK\r\n"),
        (b"ERR a\0b", b"-ERR a b\r\n"),
        (b"ERR a\r\n", b"-ERR a\r\n"),
        (b"\r\n\nERR a\n\r", b"-ERR a\r\n"),
        (b"\r\n", b"-\r\n"),
        (b"", b"-\r\n"),
    ];
    for (text, wire) in table {
        let mut out = Vec::new();
        Encoder::new(&mut out, Protocol::Resp2).error(text);
        assert_eq!(out, wire, "{}", text.escape_ascii());
    }
}

#[test]
fn a_protocol_error_is_answered_once_or_not_at_all() {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, Protocol::Resp2);
    encoder.protocol_error(&ProtocolError::HttpRequest);
    encoder.protocol_error(&ProtocolError::InvalidBulkLength);
    assert_eq!(out, b"-ERR Protocol error: invalid bulk length\r\n");
}

#[test]
fn requests_are_arrays_of_bulk_strings() {
    let mut out = Vec::new();
    encode_request(&mut out, &["SET", "k", ""]);
    encode_request(&mut out, &[vec![b'x'; 12]]);
    assert_eq!(
        out,
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n*1\r\n$12\r\nxxxxxxxxxxxx\r\n"
    );
}
