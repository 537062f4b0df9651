//! COMMAND DOCS, LIST and HELP: well-formed in both protocols, and complete.

use std::collections::BTreeSet;

use kv::command_docs::{command_reply, help_reply};
use resp::{Encoder, Protocol, ReplyParser, Value};

fn reply(line: &str, protocol: Protocol) -> Value {
    let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    parse(protocol, |out| command_reply(&args, out))
}

fn parse(protocol: Protocol, render: impl FnOnce(&mut Encoder<'_>)) -> Value {
    let mut bytes = Vec::new();
    render(&mut Encoder::new(&mut bytes, protocol));
    let (value, consumed) = ReplyParser::new()
        .parse(&bytes)
        .expect("well-formed")
        .expect("complete");
    assert_eq!(consumed, bytes.len(), "exactly one reply");
    value
}

fn text(value: &Value) -> String {
    let bytes = value.as_bytes().expect("a string");
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn every_reply_is_one_well_formed_value_in_both_protocols() {
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        for line in [
            "COMMAND",
            "COMMAND COUNT",
            "COMMAND INFO",
            "COMMAND INFO get nope config|get",
            "COMMAND DOCS",
            "COMMAND DOCS get nope config|get cluster",
            "COMMAND LIST",
            "COMMAND LIST FILTERBY ACLCAT string",
            "COMMAND GETKEYS mget a b",
            "COMMAND GETKEYSANDFLAGS set a b",
            "COMMAND HELP",
            "COMMAND NOPE",
        ] {
            reply(line, protocol);
        }
    }
}

#[test]
fn the_bare_command_the_count_and_the_list_agree() {
    let count = kv::all().count();
    let entries = reply("COMMAND", Protocol::Resp2);
    assert_eq!(entries.as_slice().expect("an array").len(), count);
    let info = reply("COMMAND INFO", Protocol::Resp2);
    assert_eq!(info, entries);
    assert_eq!(
        reply("COMMAND COUNT", Protocol::Resp2).as_integer(),
        Some(count as i64)
    );
    let listed: BTreeSet<String> = reply("COMMAND LIST", Protocol::Resp2)
        .as_slice()
        .expect("an array")
        .iter()
        .map(text)
        .collect();
    let all: BTreeSet<String> = kv::all()
        .flat_map(|spec| std::iter::once(spec).chain(spec.subcommands))
        .map(|spec| spec.full_name().into_owned())
        .collect();
    assert_eq!(listed, all);
}

#[test]
fn docs_of_every_command_have_the_fields_that_redis_cli_reads() {
    let Value::Map(commands) = reply("COMMAND DOCS", Protocol::Resp3) else {
        panic!("a map of commands");
    };
    assert_eq!(commands.len(), kv::all().count());
    for (name, fields) in &commands {
        let Value::Map(fields) = fields else {
            panic!("a map of fields for {}", text(name));
        };
        let names: Vec<String> = fields.iter().map(|(name, _)| text(name)).collect();
        for required in ["summary", "since", "group", "complexity"] {
            assert!(
                names.iter().any(|name| name == required),
                "{}: {required}",
                text(name)
            );
        }
    }
}

#[test]
fn the_docs_of_a_command_are_as_in_redis() {
    let mut bytes = Vec::new();
    let mut out = Encoder::new(&mut bytes, Protocol::Resp3);
    command_reply(&[b"COMMAND", b"DOCS", b"expire"], &mut out);
    let shown = String::from_utf8(bytes)
        .expect("UTF-8")
        .replace("\r\n", "|");
    assert_eq!(
        shown,
        "%1|$6|expire|%5|$7|summary|$38|Makes a key expire after some seconds.|$5|since|$5|1.0.0|\
         $5|group|$7|generic|$10|complexity|$4|O(1)|$9|arguments|*3|\
         %3|$4|name|$3|key|$4|type|$3|key|$14|key_spec_index|:0|\
         %2|$4|name|$7|seconds|$4|type|$7|integer|\
         %4|$4|name|$2|nx|$4|type|$5|oneof|$5|flags|~1|+optional|$9|arguments|*4|\
         %3|$4|name|$2|nx|$4|type|$10|pure-token|$5|token|$2|NX|\
         %3|$4|name|$2|xx|$4|type|$10|pure-token|$5|token|$2|XX|\
         %3|$4|name|$2|gt|$4|type|$10|pure-token|$5|token|$2|GT|\
         %3|$4|name|$2|lt|$4|type|$10|pure-token|$5|token|$2|LT|"
    );
}

#[test]
fn help_lists_what_a_container_offers() {
    for spec in kv::all().filter(|spec| !spec.subcommands.is_empty()) {
        let help = parse(Protocol::Resp2, |out| help_reply(spec.name, out));
        let lines: Vec<String> = help
            .as_slice()
            .expect("an array")
            .iter()
            .map(text)
            .collect();
        assert!(lines[0].starts_with(&spec.name.to_ascii_uppercase()));
        assert_eq!(lines[lines.len() - 2], "HELP");
        for subcommand in spec.subcommands {
            let name = subcommand.name.to_ascii_uppercase();
            let listed = lines
                .iter()
                .any(|line| line.split(' ').next() == Some(&name));
            assert_eq!(
                listed,
                subcommand.refusal.is_none(),
                "{}",
                subcommand.full_name()
            );
        }
    }
}

#[test]
fn hostile_arguments_get_an_error_and_no_panic() {
    let lines: [&[&[u8]]; 5] = [
        &[
            b"command", b"getkeys", b"migrate", b"h", b"1", b"k", b"0", b"1", b"keys",
        ],
        &[b"command", b"getkeys", b""],
        &[b"command", b"getkeysandflags", b"object", b""],
        &[b"command", b"docs", b"|", b"get|", b"|get", b"\xff\xfe"],
        &[b"command", b"list", b"filterby", b"pattern", b"[[[["],
    ];
    for args in lines {
        parse(Protocol::Resp3, |out| command_reply(args, out));
    }
}
