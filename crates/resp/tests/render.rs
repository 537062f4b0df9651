//! Replies as text, as redis-cli 7.0.15 prints them with `--no-raw` and with `--raw`; and what is typed at its
//! prompt, as it reads it.

use proptest::prelude::*;
use resp::{RenderMode, ReplyBuffer, quote, split_args};

fn render(wire: &[u8], mode: RenderMode) -> String {
    let mut buffer = ReplyBuffer::new();
    buffer.feed(wire);
    let mut text = Vec::new();
    buffer
        .next_value()
        .unwrap()
        .unwrap()
        .render(&mut text, mode);
    assert!(buffer.is_empty());
    String::from_utf8(text).unwrap()
}

#[test]
fn single_values() {
    let table: [(&[u8], &str, &str); 15] = [
        (b"+OK\r\n", "OK\n", "OK\n"),
        (b"-ERR no\r\n", "(error) ERR no\n", "ERR no\n\n"),
        (b":-7\r\n", "(integer) -7\n", "-7\n"),
        (
            b"$11\r\nHello World\r\n",
            "\"Hello World\"\n",
            "Hello World\n",
        ),
        (b"$0\r\n\r\n", "\"\"\n", "\n"),
        (
            b"$9\r\n\"\\\n\r\t\x07\x08\xff\0\r\n",
            "\"\\\"\\\\\\n\\r\\t\\a\\b\\xff\\x00\"\n",
            "",
        ),
        (b"$-1\r\n", "(nil)\n", "\n"),
        (b"*-1\r\n", "(nil)\n", "\n"),
        (b"_\r\n", "(nil)\n", "\n"),
        (b",1.5\r\n", "(double) 1.5\n", "1.5\n"),
        (
            b",0.1\r\n",
            "(double) 0.10000000000000001\n",
            "0.10000000000000001\n",
        ),
        (b"#t\r\n", "(true)\n", "(true)\n"),
        (b"#f\r\n", "(false)\n", "(false)\n"),
        (
            b"=29\r\ntxt:This is a verbatim\nstring\r\n",
            "This is a verbatim\nstring\n",
            "This is a verbatim\nstring\n",
        ),
        (b"(123\r\n", "(big number) 123\n", "123\n"),
    ];
    for (wire, terminal, raw) in table {
        assert_eq!(
            render(wire, RenderMode::Terminal),
            terminal,
            "{}",
            wire.escape_ascii()
        );
        if !raw.is_empty() {
            assert_eq!(
                render(wire, RenderMode::Raw),
                raw,
                "{}",
                wire.escape_ascii()
            );
        }
    }
}

#[test]
fn empty_aggregates() {
    let table: [(&[u8], &str); 4] = [
        (b"*0\r\n", "(empty array)\n"),
        (b"~0\r\n", "(empty set)\n"),
        (b"%0\r\n", "(empty hash)\n"),
        (b">0\r\n", "(empty push)\n"),
    ];
    for (wire, terminal) in table {
        assert_eq!(render(wire, RenderMode::Terminal), terminal);
        assert_eq!(render(wire, RenderMode::Raw), "\n");
    }
}

#[test]
fn arrays_are_numbered_and_nested_ones_indented() {
    let mut wire = b"*12\r\n".to_vec();
    let nested = b"*3\r\n:1\r\n$1\r\nx\r\n*1\r\n$1\r\ny\r\n";
    wire.extend_from_slice(nested);
    wire.extend_from_slice(b"*0\r\n$-1\r\n-ERR boo\r\n+fine\r\n");
    (0..7).for_each(|_| wire.extend_from_slice(nested));
    let terminal = render(&wire, RenderMode::Terminal);
    let first_lines: Vec<&str> = terminal.lines().take(10).collect();
    let expected = [
        " 1) 1) (integer) 1",
        "    2) \"x\"",
        "    3) 1) \"y\"",
        " 2) (empty array)",
        " 3) (nil)",
        " 4) (error) ERR boo",
        " 5) fine",
        " 6) 1) (integer) 1",
        "    2) \"x\"",
        "    3) 1) \"y\"",
    ];
    assert_eq!(first_lines, expected);
    assert!(
        terminal.ends_with("12) 1) (integer) 1\n    2) \"x\"\n    3) 1) \"y\"\n"),
        "{terminal}"
    );

    let raw = render(&wire, RenderMode::Raw);
    assert!(
        raw.starts_with("1\nx\ny\n\n\nERR boo\n\nfine\n1\nx\ny\n"),
        "{raw}"
    );
    assert!(raw.ends_with("1\nx\ny\n"), "{raw}");
}

#[test]
fn sets_and_maps_have_signs_of_their_own() {
    let wire = b"%3\r\n$1\r\na\r\n%2\r\n$1\r\nk\r\n$1\r\nv\r\n$1\r\nl\r\n*2\r\n:1\r\n:2\r\n$1\r\nc\r\n,1.5\r\n$1\r\nb\r\n~1\r\n$1\r\nx\r\n";
    let terminal = "1# \"a\" => \n   1# \"k\" => \"v\"\n   2# \"l\" => \n      1) (integer) 1\n      2) (integer) 2\n\
        2# \"c\" => (double) 1.5\n3# \"b\" => 1~ \"x\"\n";
    assert_eq!(render(wire, RenderMode::Terminal), terminal);
    assert_eq!(render(wire, RenderMode::Raw), "a k v\nl 1\n2\nc 1.5\nb x\n");

    let sets = b"%1\r\n$1\r\na\r\n~2\r\n$1\r\ny\r\n$1\r\nx\r\n";
    assert_eq!(
        render(sets, RenderMode::Terminal),
        "1# \"a\" => \n   1~ \"y\"\n   2~ \"x\"\n"
    );

    let table: [(&[u8], &str); 4] = [
        (b"%1\r\n$1\r\na\r\n%0\r\n", "1# \"a\" => (empty hash)\n"),
        (
            b"%1\r\n$1\r\na\r\n*2\r\n*2\r\n:1\r\n:2\r\n*2\r\n:3\r\n:4\r\n",
            "1# \"a\" => \n   1) 1) (integer) 1\n      2) (integer) 2\n   2) 1) (integer) 3\n      2) (integer) 4\n",
        ),
        (
            b"*2\r\n%1\r\n$1\r\na\r\n%1\r\n$1\r\nb\r\n%1\r\n$1\r\nc\r\n:1\r\n:5\r\n",
            "1) 1# \"a\" => 1# \"b\" => 1# \"c\" => (integer) 1\n2) (integer) 5\n",
        ),
        (
            b"%1\r\n$1\r\na\r\n*1\r\n%1\r\n$1\r\nb\r\n*2\r\n:1\r\n:2\r\n",
            "1# \"a\" => \n   1) 1# \"b\" => \n         1) (integer) 1\n         2) (integer) 2\n",
        ),
    ];
    for (wire, terminal) in table {
        assert_eq!(
            render(wire, RenderMode::Terminal),
            terminal,
            "{}",
            wire.escape_ascii()
        );
    }
}

/// Redis-cli 7.0 loses its connection at an attribute; this is ours alone.
#[test]
fn attributes_are_shown_before_what_they_are_about() {
    let wire = b"*1\r\n|1\r\n+ttl\r\n:60\r\n$1\r\nv\r\n";
    assert_eq!(
        render(wire, RenderMode::Terminal),
        "1) 1| ttl => (integer) 60\n   \"v\"\n"
    );
    assert_eq!(render(wire, RenderMode::Raw), "v\n");
}

#[test]
fn typed_lines_are_split_as_redis_cli_splits_them() {
    let table: [(&str, &[&str]); 17] = [
        ("", &[]),
        (" \t ", &[]),
        ("get k", &["get", "k"]),
        ("  set  k   v ", &["set", "k", "v"]),
        ("set k \"hello world\"", &["set", "k", "hello world"]),
        ("\"\" ''", &["", ""]),
        ("'a\"b' \"a'b\"", &["a\"b", "a'b"]),
        (r"'it\'s' '\n' '\\ '", &["it's", r"\n", r"\\ "]),
        (r#""\n\r\t\b\a\q\"\\""#, &["\n\r\t\x08\x07q\"\\"]),
        (r#""\x41\x4a\x4A\x4g\x4""#, &["AJJx4gx4"]),
        (r"\x41 \n", &[r"\x41", r"\n"]),
        ("foo\"bar\"", &["foobar"]),
        ("foo'bar' x", &["foobar", "x"]),
        ("\"a\"\x0b\"b\"", &["a", "b"]),
        ("a\x0bb\x0c", &["a\x0bb\x0c"]),
        ("a\nb\rc", &["a", "b", "c"]),
        ("a b\0c d", &["a", "b"]),
    ];
    for (line, args) in table {
        let expected: Vec<Vec<u8>> = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
        assert_eq!(split_args(line.as_bytes()), Ok(expected), "{line:?}");
    }
}

#[test]
fn quotes_must_close_and_end_a_word() {
    let lines = [
        "\"",
        "'",
        "get \"a",
        "get 'a",
        "\"a\"b",
        "'a'b",
        "\"a\"\"b\"",
        "'a''b'",
        "a\"b\"c",
        "\"\\\"",
        "'\\'",
        "\"\\",
        "\"a\0\"",
    ];
    for line in lines {
        assert!(split_args(line.as_bytes()).is_err(), "{line:?}");
    }
}

proptest! {
    #[test]
    fn what_is_quoted_is_split_back(words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..6)) {
        let mut line = Vec::new();
        for word in &words {
            quote(&mut line, word);
            line.push(b' ');
        }
        prop_assert!(line.iter().all(|byte| (b' '..=b'~').contains(byte)));
        prop_assert_eq!(split_args(&line), Ok(words));
    }

    #[test]
    fn any_line_is_split_or_refused(line in "[ \\\\\"'xa1\t\x0b\n]{0,30}") {
        let _ = split_args(line.as_bytes());
    }
}
