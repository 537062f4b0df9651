//! What the reply parser keeps in memory. What it understands is tested from outside, in `tests/replies.rs`.

use super::*;

#[test]
fn nothing_is_reserved_for_announced_lengths() {
    let announcements: [&[u8]; 5] = [
        b"*9223372036854775807\r\n",
        b"%9223372036854775807\r\n",
        b"~9223372036854775807\r\n",
        b"|9223372036854775807\r\n",
        b">9223372036854775807\r\n",
    ];
    for announcement in announcements {
        let mut parser = ReplyParser::new();
        assert_eq!(parser.parse(announcement), Ok(None));
        assert_eq!(
            parser.open[0].values.capacity(),
            0,
            "{}",
            announcement.escape_ascii()
        );
    }
    let mut parser = ReplyParser::new();
    assert_eq!(parser.parse(b"$536870912\r\nabc"), Ok(None));
    assert_eq!(parser.open.capacity(), 0);
}

#[test]
fn nesting_costs_no_more_than_its_limit() {
    let mut parser = ReplyParser::new();
    assert_eq!(parser.parse(&b"*1\r\n".repeat(32)), Ok(None));
    assert_eq!(parser.open.len(), 32);
    let bomb = b"*1\r\n".repeat(1_000_000);
    let mut parser = ReplyParser::new();
    assert_eq!(parser.parse(&bomb), Err(ReplyError::TooDeep { limit: 32 }));
    assert_eq!(parser.open.capacity(), 0);
}

#[test]
fn empty_attributes_are_not_nesting() {
    let mut input = b"|0\r\n".repeat(1_000_000);
    input.extend_from_slice(b":7\r\n");
    assert_eq!(
        ReplyParser::new().parse(&input),
        Ok(Some((Value::Integer(7), input.len())))
    );
}

#[test]
fn a_line_is_not_searched_twice() {
    let mut parser = ReplyParser::new();
    assert_eq!(parser.parse(b"+abc"), Ok(None));
    assert_eq!(parser.searched, 3);
    assert_eq!(parser.parse(b"+abcd\r"), Ok(None));
    assert_eq!(parser.searched, 4);
    assert_eq!(
        parser.parse(b"+abcd\r\n"),
        Ok(Some((Value::Simple(b"abcd".to_vec()), 7)))
    );
    assert_eq!((parser.position, parser.searched), (0, 0));
}
