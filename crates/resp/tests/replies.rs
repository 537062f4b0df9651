//! What the reply parser makes of what a server sends, and of what no server would send.

#![expect(
    clippy::approx_constant,
    reason = "3.141 is what Redis answers to DEBUG PROTOCOL DOUBLE"
)]

#[path = "../../../fuzz/src/resp.rs"]
#[allow(dead_code, unreachable_pub)]
mod bodies;

use bodies::{pieces, read_replies, resp_reply};
use proptest::prelude::*;
use resp::{Protocol, ReplyBuffer, ReplyError, ReplyLimits, ReplyParser, Value};

fn bulk(text: &str) -> Value {
    Value::Bulk(text.as_bytes().to_vec())
}

fn simple(text: &str) -> Value {
    Value::Simple(text.as_bytes().to_vec())
}

#[test]
fn every_type_of_both_protocols() {
    let int = Value::Integer;
    let table: Vec<(&[u8], Value)> = vec![
        (b"+OK\r\n", simple("OK")),
        (b"+\r\n", simple("")),
        (b"-ERR no\r\n", Value::Error(b"ERR no".to_vec())),
        (b":0\r\n", int(0)),
        (b":-9223372036854775808\r\n", int(i64::MIN)),
        (b"$5\r\na\r\nb\0\r\n", bulk("a\r\nb\0")),
        (b"$0\r\n\r\n", bulk("")),
        (b"$-1\r\n", Value::Null),
        (b"*-1\r\n", Value::NullArray),
        (b"_\r\n", Value::Null),
        (b"*0\r\n", Value::Array(vec![])),
        (
            b"*2\r\n:1\r\n*1\r\n+a\r\n",
            Value::Array(vec![int(1), Value::Array(vec![simple("a")])]),
        ),
        (b"%0\r\n", Value::Map(vec![])),
        (
            b"%2\r\n+a\r\n:1\r\n:2\r\n_\r\n",
            Value::Map(vec![(simple("a"), int(1)), (int(2), Value::Null)]),
        ),
        (b"~0\r\n", Value::Set(vec![])),
        (b"~2\r\n:1\r\n:1\r\n", Value::Set(vec![int(1), int(1)])),
        (b">0\r\n", Value::Push(vec![])),
        (
            b">2\r\n$7\r\nmessage\r\n:1\r\n",
            Value::Push(vec![bulk("message"), int(1)]),
        ),
        (b",3.141\r\n", Value::Double(3.141)),
        (b",10\r\n", Value::Double(10.0)),
        (b",1.5e-07\r\n", Value::Double(1.5e-7)),
        (b",inf\r\n", Value::Double(f64::INFINITY)),
        (b",-inf\r\n", Value::Double(f64::NEG_INFINITY)),
        (b"#t\r\n", Value::Boolean(true)),
        (b"#f\r\n", Value::Boolean(false)),
        (
            b"(-12345678901234567890123\r\n",
            Value::BigNumber(b"-12345678901234567890123".to_vec()),
        ),
        (b"!6\r\nERR \r\n\r\n", Value::Error(b"ERR \r\n".to_vec())),
        (
            b"=8\r\ntxt:a\nb \r\n",
            Value::Verbatim {
                format: *b"txt",
                text: b"a\nb ".to_vec(),
            },
        ),
        (
            b"|1\r\n+ttl\r\n:3600\r\n$1\r\nv\r\n",
            Value::Attributed {
                attributes: vec![(simple("ttl"), int(3600))],
                value: Box::new(bulk("v")),
            },
        ),
        (b"|0\r\n:1\r\n", int(1)),
        (
            b"*2\r\n|1\r\n+a\r\n:1\r\n*1\r\n:2\r\n:3\r\n",
            Value::Array(vec![
                Value::Attributed {
                    attributes: vec![(simple("a"), int(1))],
                    value: Box::new(Value::Array(vec![int(2)])),
                },
                int(3),
            ]),
        ),
    ];
    for (wire, value) in &table {
        assert_eq!(
            ReplyParser::new().parse(wire),
            Ok(Some((value.clone(), wire.len()))),
            "{}",
            wire.escape_ascii()
        );
        for end in 0..wire.len() {
            assert_eq!(
                ReplyParser::new().parse(&wire[..end]),
                Ok(None),
                "{}",
                wire[..end].escape_ascii()
            );
        }
    }
    let stream: Vec<u8> = table.iter().flat_map(|(wire, _)| wire.to_vec()).collect();
    let values: Vec<Value> = table.into_iter().map(|(_, value)| value).collect();
    for first in 0..=stream.len() {
        let (head, tail) = stream.split_at(first);
        assert_eq!(
            read_replies([head, tail].into_iter()),
            (values.clone(), None),
            "{first}"
        );
    }
}

#[test]
fn not_a_number_is_a_double() {
    for wire in [b",nan\r\n".as_slice(), b",-nan\r\n"] {
        let (value, _) = ReplyParser::new().parse(wire).unwrap().unwrap();
        assert!(
            matches!(value, Value::Double(number) if number.is_nan()),
            "{value:?}"
        );
    }
}

#[test]
fn malformed_replies() {
    let limit = ReplyLimits::DEFAULT.bulk_bytes_max;
    let table: Vec<(&[u8], ReplyError)> = vec![
        (
            b"HTTP/1.1 400 Bad Request\r\n",
            ReplyError::UnknownType(b'H'),
        ),
        (b"\r\n", ReplyError::UnknownType(b'\r')),
        (b"*1\r\n\0", ReplyError::UnknownType(0)),
        (b":\r\n", ReplyError::InvalidNumber(b':')),
        (b":1.5\r\n", ReplyError::InvalidNumber(b':')),
        (b":9223372036854775808\r\n", ReplyError::InvalidNumber(b':')),
        (b"$x\r\n", ReplyError::InvalidNumber(b'$')),
        (b"$-2\r\n", ReplyError::InvalidNumber(b'$')),
        (b"*-2\r\n", ReplyError::InvalidNumber(b'*')),
        (b"%-1\r\n", ReplyError::InvalidNumber(b'%')),
        (b"!-1\r\n", ReplyError::InvalidNumber(b'!')),
        (b"$111111111111111111111", ReplyError::InvalidNumber(b'$')),
        (
            b"$536870913\r\n",
            ReplyError::StringTooLong {
                bytes: 536_870_913,
                limit,
            },
        ),
        (
            b"$9223372036854775807\r\n",
            ReplyError::StringTooLong {
                bytes: i64::MAX as u64,
                limit,
            },
        ),
        (b"$1\r\nabc", ReplyError::ExpectedCrLf(b'$')),
        (b"+a\nb\r\n", ReplyError::ExpectedCrLf(b'+')),
        (b"+a\rb\r\n", ReplyError::ExpectedCrLf(b'+')),
        (b"#x\r\n", ReplyError::Malformed(b'#')),
        (b"_x\r\n", ReplyError::Malformed(b'_')),
        (b",\r\n", ReplyError::Malformed(b',')),
        (b",infinity\r\n", ReplyError::Malformed(b',')),
        (b",1,5\r\n", ReplyError::Malformed(b',')),
        (b"(1a\r\n", ReplyError::Malformed(b'(')),
        (b"(-\r\n", ReplyError::Malformed(b'(')),
        (b"=3\r\ntxt\r\n", ReplyError::Malformed(b'=')),
        (b"=5\r\ntext:\r\n", ReplyError::Malformed(b'=')),
        (b"$?\r\n", ReplyError::Streamed(b'$')),
        (b"*?\r\n", ReplyError::Streamed(b'*')),
    ];
    for (wire, error) in table {
        let outcome = read_replies(std::iter::once(wire));
        assert_eq!(outcome, (vec![], Some(error)), "{}", wire.escape_ascii());
        assert_eq!(
            read_replies(wire.chunks(1)),
            (vec![], Some(error)),
            "{}",
            wire.escape_ascii()
        );
    }
}

/// A parser that recurses dies of 40 KB of these.
#[test]
fn nesting_is_limited_and_not_recursive() {
    for head in [
        b"*1\r\n".as_slice(),
        b"~1\r\n",
        b">1\r\n",
        b"%1\r\n+k\r\n",
        b"|1\r\n+k\r\n",
    ] {
        let deepest = [&head.repeat(32)[..], b":1\r\n"].concat();
        let outcome = read_replies(std::iter::once(deepest.as_slice()));
        assert_eq!(outcome.1, None, "{}", head.escape_ascii());
        let bomb = head.repeat(100_000);
        let outcome = read_replies(std::iter::once(bomb.as_slice()));
        assert_eq!(
            outcome,
            (vec![], Some(ReplyError::TooDeep { limit: 32 })),
            "{}",
            head.escape_ascii()
        );
    }
    let limits = ReplyLimits {
        depth_max: 1,
        ..ReplyLimits::DEFAULT
    };
    let mut parser = ReplyParser::with_limits(limits);
    assert_eq!(
        parser.parse(b"*1\r\n*1\r\n"),
        Err(ReplyError::TooDeep { limit: 1 })
    );
}

#[test]
fn limits_are_what_the_caller_says() {
    let limits = ReplyLimits {
        bulk_bytes_max: 3,
        line_bytes_max: 4,
        depth_max: 32,
    };
    let parse = |wire: &[u8]| ReplyParser::with_limits(limits).parse(wire);
    assert_eq!(parse(b"$3\r\nabc\r\n"), Ok(Some((bulk("abc"), 9))));
    assert_eq!(
        parse(b"$4\r\n"),
        Err(ReplyError::StringTooLong { bytes: 4, limit: 3 })
    );
    assert_eq!(parse(b"+abcd\r\n"), Ok(Some((simple("abcd"), 7))));
    assert_eq!(parse(b"+abcde"), Err(ReplyError::LineTooLong { limit: 4 }));
    let mut buffer = ReplyBuffer::with_limits(limits);
    buffer.feed(b"-abcde\r\n");
    assert_eq!(
        buffer.next_value(),
        Err(ReplyError::LineTooLong { limit: 4 })
    );
    assert_eq!(
        buffer.next_value(),
        Err(ReplyError::LineTooLong { limit: 4 })
    );
}

#[test]
fn a_buffer_gives_replies_as_they_complete() {
    let mut buffer = ReplyBuffer::new();
    assert_eq!(buffer.next_value(), Ok(None));
    assert!(buffer.is_empty());
    for round in 0..1000 {
        buffer.feed(b"*2\r\n:1\r\n$3\r\na");
        assert_eq!(buffer.next_value(), Ok(None), "round {round}");
        assert!(!buffer.is_empty());
        buffer.feed(b"bc\r\n+O");
        let array = Value::Array(vec![Value::Integer(1), bulk("abc")]);
        assert_eq!(buffer.next_value(), Ok(Some(array)), "round {round}");
        buffer.feed(b"K\r\n:7\r\n");
        assert_eq!(buffer.next_value(), Ok(Some(simple("OK"))), "round {round}");
        assert_eq!(
            buffer.next_value(),
            Ok(Some(Value::Integer(7))),
            "round {round}"
        );
        assert!(buffer.is_empty());
    }
}

#[test]
fn accessors_tell_what_is_there() {
    assert_eq!(bulk("a").as_bytes(), Some(b"a".as_slice()));
    assert_eq!(Value::Integer(1).as_bytes(), None);
    assert_eq!(Value::Integer(1).as_integer(), Some(1));
    assert_eq!(bulk("1").as_integer(), None);
    assert_eq!(
        Value::Set(vec![Value::Null]).as_slice(),
        Some([Value::Null].as_slice())
    );
    assert_eq!(Value::Null.as_slice(), None);
    assert_eq!(
        Value::Error(b"ERR".to_vec()).as_error(),
        Some(b"ERR".as_slice())
    );
    assert_eq!(simple("OK").as_error(), None);
    assert!(simple("OK").is_ok() && !bulk("OK").is_ok());
    assert!(Value::Null.is_null() && Value::NullArray.is_null() && !bulk("").is_null());
}

/// Any value that a Redis server may send, no deeper than a few levels.
fn any_value() -> impl Strategy<Value = Value> {
    let text = "[ -~]{0,12}";
    let leaf = prop_oneof![
        text.prop_map(|text| Value::Simple(text.into_bytes())),
        text.prop_map(|text| Value::Error(text.into_bytes())),
        any::<i64>().prop_map(Value::Integer),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Bulk),
        Just(Value::Null),
        any::<f64>()
            .prop_filter("not a number differs from itself", |n| !n.is_nan())
            .prop_map(Value::Double),
        any::<bool>().prop_map(Value::Boolean),
        any::<i128>().prop_map(|number| Value::BigNumber(number.to_string().into_bytes())),
        text.prop_map(|text| Value::Verbatim {
            format: *b"txt",
            text: text.into_bytes()
        }),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let values = prop::collection::vec(inner.clone(), 0..5);
        let pairs = prop::collection::vec((inner.clone(), inner.clone()), 0..4);
        let some_pairs = prop::collection::vec((inner.clone(), inner.clone()), 1..3);
        prop_oneof![
            values.clone().prop_map(Value::Array),
            values.clone().prop_map(Value::Set),
            values.prop_map(Value::Push),
            pairs.prop_map(Value::Map),
            (some_pairs, inner).prop_map(|(attributes, value)| Value::Attributed {
                attributes,
                value: Box::new(value)
            }),
        ]
    })
}

/// Bytes that look like replies often enough to get somewhere.
fn reply_soup() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        4 => any_value().prop_map(|value| {
            let mut bytes = Vec::new();
            value.encode(&mut bytes, Protocol::Resp3);
            bytes
        }),
        2 => prop::sample::select(b"*%~>|$!=+-:,#(_".to_vec()).prop_map(|kind| vec![kind]),
        2 => (-2i64..6).prop_map(|number| format!("{number}\r\n").into_bytes()),
        1 => Just(b"\r\n".to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(token, 0..8).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_encoded_is_parsed(values in prop::collection::vec(any_value(), 0..6), cut in any::<u8>()) {
        let mut stream = Vec::new();
        values.iter().for_each(|value| value.encode(&mut stream, Protocol::Resp3));
        prop_assert_eq!(read_replies(pieces(&stream, cut)), (values, None));
    }

    #[test]
    fn anything_is_an_error_at_worst(stream in reply_soup(), choice in any::<u8>()) {
        resp_reply(&[&[choice], &stream[..]].concat());
    }

    #[test]
    fn random_bytes_are_an_error_at_worst(data in prop::collection::vec(any::<u8>(), 0..300)) {
        resp_reply(&data);
    }
}
