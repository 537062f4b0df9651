//! What the request parser keeps in memory: never more than has arrived, never for ever.
//! What it understands is tested from outside, in `tests/requests.rs`.

use super::*;
use crate::encode::encode_request;

#[test]
fn nothing_is_reserved_for_announced_lengths() {
    let announcements: [&[u8]; 4] = [
        b"*1048576\r\n",
        b"*1048576\r\n$",
        b"*1048576\r\n$536870912\r\n",
        b"*2\r\n$536870912\r\n",
    ];
    for announcement in announcements {
        let mut parser = RequestParser::new();
        assert_eq!(parser.parse(announcement, &Limits::AUTHENTICATED), Ok(None));
        assert_eq!(parser.args.capacity(), 0, "{}", announcement.escape_ascii());
        assert_eq!(
            parser.words.capacity(),
            0,
            "{}",
            announcement.escape_ascii()
        );
    }
}

#[test]
fn room_grows_with_arguments_that_arrived() {
    let mut input = b"*1048576\r\n".to_vec();
    input.extend(b"$0\r\n\r\n".repeat(100));
    let mut parser = RequestParser::new();
    assert_eq!(parser.parse(&input, &Limits::AUTHENTICATED), Ok(None));
    assert_eq!(parser.args.len(), 100);
    assert!(parser.args.capacity() <= 256, "{}", parser.args.capacity());
}

#[test]
fn a_warm_parser_does_not_allocate() {
    let mut input = Vec::new();
    encode_request(&mut input, &["SET", "key", "value", "EX", "100"]);
    let mut parser = RequestParser::new();
    parser
        .parse(&input, &Limits::AUTHENTICATED)
        .unwrap()
        .unwrap();
    let (address, capacity) = (parser.args.as_ptr(), parser.args.capacity());
    for _ in 0..1000 {
        assert_eq!(
            parser.parse(&input, &Limits::AUTHENTICATED),
            Ok(Some(input.len()))
        );
        assert_eq!(
            (parser.args.as_ptr(), parser.args.capacity()),
            (address, capacity)
        );
    }
}

#[test]
fn a_huge_request_leaves_no_huge_room_behind() {
    let mut parser = RequestParser::new();
    let mut many = Vec::new();
    encode_request(&mut many, &vec!["x"; 100_000]);
    assert_eq!(
        parser.parse(&many, &Limits::AUTHENTICATED),
        Ok(Some(many.len()))
    );
    assert_eq!(parser.args().len(), 100_000);
    assert_eq!(
        parser.parse(b"PING\r\n", &Limits::AUTHENTICATED),
        Ok(Some(6))
    );
    assert!(
        parser.args.capacity() <= ARGS_RETAINED_MAX,
        "{}",
        parser.args.capacity()
    );

    let long = format!("\"{}\"\r\n", "w".repeat(60_000));
    assert_eq!(
        parser.parse(long.as_bytes(), &Limits::AUTHENTICATED),
        Ok(Some(long.len()))
    );
    assert_eq!(
        parser.parse(b"PING\r\n", &Limits::AUTHENTICATED),
        Ok(Some(6))
    );
    assert!(
        parser.words.capacity() <= WORDS_RETAINED_MAX,
        "{}",
        parser.words.capacity()
    );
}

/// CVE-2026-27623: a server that did not do this could be made to abort by an empty request and another.
#[test]
fn an_empty_request_leaves_the_state_of_a_new_parser() {
    let empty: [&[u8]; 6] = [
        b"\n",
        b"\r\n",
        b"   \r\n",
        b"*0\r\n",
        b"*-1\r\n",
        b"*-9223372036854775808\r\n",
    ];
    for request in empty {
        let mut parser = RequestParser::new();
        parser
            .parse(b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", &Limits::AUTHENTICATED)
            .unwrap()
            .unwrap();
        assert_eq!(
            parser.parse(request, &Limits::AUTHENTICATED),
            Ok(Some(request.len()))
        );
        assert_eq!(parser.args(), []);
        assert_eq!(parser.stage, Stage::Start);
        assert_eq!(parser.parse(b"", &Limits::AUTHENTICATED), Ok(None));
        assert_eq!(
            (parser.position, parser.args_left, parser.quoted),
            (0, 0, false)
        );
        assert_eq!(parser.bytes_needed(), 1);
    }
}

#[test]
fn bytes_needed_is_a_lower_bound() {
    let mut input = Vec::new();
    encode_request(&mut input, &["SET", "k", &"v".repeat(1000), ""]);
    for arrived in 0..input.len() {
        let mut parser = RequestParser::new();
        assert_eq!(
            parser.parse(&input[..arrived], &Limits::AUTHENTICATED),
            Ok(None)
        );
        let missing = input.len() - arrived;
        assert!(
            (1..=missing).contains(&parser.bytes_needed()),
            "{arrived}: {}",
            parser.bytes_needed()
        );
    }
    let mut parser = RequestParser::new();
    assert_eq!(
        parser.parse(b"*1\r\n$1000\r\nabc", &Limits::AUTHENTICATED),
        Ok(None)
    );
    assert_eq!(parser.bytes_needed(), 999);
}

#[test]
fn an_input_that_shrinks_is_an_incomplete_one() {
    let mut parser = RequestParser::new();
    assert_eq!(
        parser.parse(b"*1\r\n$4\r\nPI", &Limits::AUTHENTICATED),
        Ok(None)
    );
    assert_eq!(parser.parse(b"", &Limits::AUTHENTICATED), Ok(None));
    let mut parser = RequestParser::new();
    assert_eq!(parser.parse(b"PING some", &Limits::AUTHENTICATED), Ok(None));
    assert_eq!(parser.parse(b"P", &Limits::AUTHENTICATED), Ok(None));
}
