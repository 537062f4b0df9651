//! Against an implementation of the protocol that nobody here wrote: what the `redis-protocol` crate encodes we
//! parse, and what we encode it decodes.
//!
//! Its maps and sets have no order and no duplicates, so values are compared after they became its frames.

#[path = "../../../fuzz/src/resp.rs"]
#[allow(dead_code, unreachable_pub)]
mod bodies;

use bodies::{pieces, read_replies, read_requests};
use proptest::prelude::*;
use redis_protocol::resp2::types::{OwnedFrame as Frame2, Resp2Frame};
use redis_protocol::resp3::types::{OwnedFrame as Frame3, Resp3Frame, VerbatimStringFormat};
use redis_protocol::{resp2, resp3};
use resp::{Encoder, Limits, Protocol, Value, encode_request};

fn frame2(value: &Value) -> Frame2 {
    match value {
        Value::Simple(text) => Frame2::SimpleString(text.clone()),
        Value::Error(text) => Frame2::Error(String::from_utf8(text.clone()).unwrap()),
        Value::Integer(number) => Frame2::Integer(*number),
        Value::Bulk(bytes) => Frame2::BulkString(bytes.clone()),
        Value::Null | Value::NullArray => Frame2::Null,
        Value::Array(values) => Frame2::Array(values.iter().map(frame2).collect()),
        other => panic!("not of RESP2: {other:?}"),
    }
}

fn frame3(value: &Value) -> Frame3 {
    let attributes = None;
    match value {
        Value::Simple(text) => Frame3::SimpleString {
            data: text.clone(),
            attributes,
        },
        Value::Error(text) => Frame3::SimpleError {
            data: String::from_utf8(text.clone()).unwrap(),
            attributes,
        },
        Value::Integer(data) => Frame3::Number {
            data: *data,
            attributes,
        },
        Value::Bulk(bytes) => Frame3::BlobString {
            data: bytes.clone(),
            attributes,
        },
        Value::Null => Frame3::Null,
        Value::Double(data) => Frame3::Double {
            data: *data,
            attributes,
        },
        Value::Boolean(data) => Frame3::Boolean {
            data: *data,
            attributes,
        },
        Value::BigNumber(digits) => Frame3::BigNumber {
            data: digits.clone(),
            attributes,
        },
        Value::Verbatim { text, .. } => Frame3::VerbatimString {
            data: text.clone(),
            format: VerbatimStringFormat::Text,
            attributes,
        },
        Value::Array(values) => Frame3::Array {
            data: values.iter().map(frame3).collect(),
            attributes,
        },
        Value::Push(values) => Frame3::Push {
            data: values.iter().map(frame3).collect(),
            attributes,
        },
        Value::Set(values) => Frame3::Set {
            data: values.iter().map(frame3).collect(),
            attributes,
        },
        Value::Map(pairs) => {
            let data = pairs
                .iter()
                .map(|(key, value)| (frame3(key), frame3(value)))
                .collect();
            Frame3::Map { data, attributes }
        }
        other => panic!("not of the test: {other:?}"),
    }
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    "[ -~]{0,16}".prop_map(String::into_bytes)
}

fn resp2_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        text().prop_map(Value::Simple),
        text().prop_map(Value::Error),
        any::<i64>().prop_map(Value::Integer),
        prop::collection::vec(any::<u8>(), 0..64).prop_map(Value::Bulk),
        Just(Value::Null),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop::collection::vec(inner, 0..6).prop_map(Value::Array)
    })
}

/// What may be a key of a map or an element of a set in the other implementation.
fn hashable() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::Simple),
        any::<i64>().prop_map(Value::Integer),
        prop::collection::vec(any::<u8>(), 0..16).prop_map(Value::Bulk),
        any::<bool>().prop_map(Value::Boolean),
    ]
}

/// Without the pairs whose key was there before: of those, the other implementation keeps one of its choice.
fn distinct(pairs: Vec<(Value, Value)>) -> Vec<(Value, Value)> {
    let mut kept: Vec<(Value, Value)> = Vec::new();
    for (key, value) in pairs {
        if !kept.iter().any(|(known, _)| *known == key) {
            kept.push((key, value));
        }
    }
    kept
}

fn resp3_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        3 => hashable(),
        1 => text().prop_map(Value::Error),
        1 => Just(Value::Null),
        1 => any::<f64>().prop_filter("not a number differs from itself", |n| !n.is_nan()).prop_map(Value::Double),
        1 => any::<i128>().prop_map(|number| Value::BigNumber(number.to_string().into_bytes())),
        1 => text().prop_map(|text| Value::Verbatim { format: *b"txt", text }),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec(hashable(), 0..6).prop_map(Value::Set),
            prop::collection::vec((hashable(), inner), 0..6)
                .prop_map(|pairs| Value::Map(distinct(pairs))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn resp2_replies_that_we_write_are_read(value in resp2_value()) {
        let mut wire = Vec::new();
        value.encode(&mut wire, Protocol::Resp2);
        let (frame, amount) = resp2::decode::decode(&wire).unwrap().unwrap();
        prop_assert_eq!((frame, amount), (frame2(&value), wire.len()));
    }

    #[test]
    fn resp2_replies_that_it_writes_we_read(value in resp2_value(), cut in any::<u8>()) {
        let frame = frame2(&value);
        let mut wire = vec![0; frame.encode_len(false)];
        let length = resp2::encode::encode(&mut wire, &frame, false).unwrap();
        prop_assert_eq!(read_replies(pieces(&wire[..length], cut)), (vec![value], None));
    }

    #[test]
    fn resp3_replies_that_we_write_are_read(value in resp3_value()) {
        let mut wire = Vec::new();
        value.encode(&mut wire, Protocol::Resp3);
        let (frame, amount) = resp3::decode::complete::decode(&wire).unwrap().unwrap();
        prop_assert_eq!((frame, amount), (frame3(&value), wire.len()));
    }

    #[test]
    fn resp3_replies_that_it_writes_we_read(value in resp3_value(), cut in any::<u8>()) {
        let frame = frame3(&value);
        let mut wire = vec![0; frame.encode_len(false)];
        let length = resp3::encode::complete::encode(&mut wire, &frame, false).unwrap();
        let (values, error) = read_replies(pieces(&wire[..length], cut));
        prop_assert_eq!(error, None);
        prop_assert_eq!(values.iter().map(frame3).collect::<Vec<_>>(), vec![frame]);
    }

    #[test]
    fn pushes_that_we_write_are_read(elements in prop::collection::vec(hashable(), 1..5)) {
        let mut wire = Vec::new();
        Value::Push(elements.clone()).encode(&mut wire, Protocol::Resp3);
        let (frame, _) = resp3::decode::complete::decode(&wire).unwrap().unwrap();
        prop_assert_eq!(frame, frame3(&Value::Push(elements)));
    }

    #[test]
    fn requests_that_we_write_are_read(args in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 1..8)) {
        let mut wire = Vec::new();
        encode_request(&mut wire, &args);
        let (frame, amount) = resp2::decode::decode(&wire).unwrap().unwrap();
        let expected = Frame2::Array(args.into_iter().map(Frame2::BulkString).collect());
        prop_assert_eq!((frame, amount), (expected, wire.len()));
    }

    #[test]
    fn requests_that_it_writes_we_read(
        args in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 1..8),
        cut in any::<u8>(),
    ) {
        prop_assume!(![4, 5].contains(&args[0].len()));
        let frame = Frame2::Array(args.iter().cloned().map(Frame2::BulkString).collect());
        let mut wire = vec![0; frame.encode_len(false)];
        let length = resp2::encode::encode(&mut wire, &frame, false).unwrap();
        let outcome = read_requests(pieces(&wire[..length], cut), &Limits::AUTHENTICATED);
        prop_assert_eq!(outcome, (vec![args], None));
    }

    #[test]
    fn doubles_keep_every_bit(bits in any::<u64>()) {
        let number = f64::from_bits(bits);
        prop_assume!(!number.is_nan());
        let mut wire = Vec::new();
        Encoder::new(&mut wire, Protocol::Resp3).double(number);
        match resp3::decode::complete::decode(&wire).unwrap().unwrap() {
            (Frame3::Double { data, .. }, _) => prop_assert_eq!(data.to_bits(), bits),
            (other, _) => prop_assert!(false, "{:?}", other),
        }
    }
}
