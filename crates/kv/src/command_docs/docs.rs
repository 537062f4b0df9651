//! COMMAND DOCS: what a person wants to know about a command, and a prompt to hint at.

use resp::Encoder;

use super::syntax::{Argument, ArgumentKind, parse_syntax};
use super::{find, reply_names};
use crate::command::CommandSpec;
use crate::key_spec::BeginSearch;
use crate::table::all;

/// `COMMAND DOCS [command-name ...]`: names that do not exist are left out.
pub(super) fn reply(names: &[&[u8]], out: &mut Encoder<'_>) {
    let specs: Vec<_> = if names.is_empty() {
        all().collect()
    } else {
        find(names).flatten().collect()
    };
    reply_map(&specs, out);
}

fn reply_map(specs: &[&CommandSpec], out: &mut Encoder<'_>) {
    out.map(specs.len());
    for spec in specs {
        out.bulk(spec.full_name().as_bytes());
        reply_one(spec, out);
    }
}

fn reply_one(spec: &CommandSpec, out: &mut Encoder<'_>) {
    let arguments = parse_syntax(spec.arguments);
    let fields = 4
        + if spec.deprecation.is_some() { 3 } else { 0 }
        + usize::from(!arguments.is_empty())
        + usize::from(!spec.subcommands.is_empty());
    out.map(fields);
    reply_text("summary", spec.summary, out);
    reply_text("since", spec.since, out);
    reply_text("group", spec.group.redis_name(), out);
    reply_text("complexity", spec.complexity, out);
    if let Some(deprecation) = spec.deprecation {
        out.bulk(b"doc_flags");
        reply_names(std::iter::once("deprecated"), out);
        reply_text("deprecated_since", deprecation.since, out);
        reply_text("replaced_by", deprecation.instead, out);
    }
    if !arguments.is_empty() {
        out.bulk(b"arguments");
        reply_arguments(&arguments, &mut KeyCounter::new(spec), out);
    }
    if !spec.subcommands.is_empty() {
        out.bulk(b"subcommands");
        let subcommands: Vec<&CommandSpec> = spec.subcommands.iter().collect();
        reply_map(&subcommands, out);
    }
}

/// Tells which key specification an argument that is a key belongs to: they come in one order.
struct KeyCounter {
    spec_count: usize,
    next: usize,
}

impl KeyCounter {
    fn new(spec: &CommandSpec) -> KeyCounter {
        let is_fixed = |begin| matches!(begin, BeginSearch::Index(_));
        let spec_count = spec
            .key_specs
            .iter()
            .filter(|key| is_fixed(key.begin))
            .count();
        KeyCounter {
            spec_count,
            next: 0,
        }
    }

    fn next_index(&mut self) -> Option<usize> {
        let index = self.next.min(self.spec_count.checked_sub(1)?);
        self.next += 1;
        Some(index)
    }
}

fn reply_arguments(arguments: &[Argument<'_>], keys: &mut KeyCounter, out: &mut Encoder<'_>) {
    out.array(arguments.len());
    for argument in arguments {
        reply_argument(argument, keys, out);
    }
}

fn reply_argument(argument: &Argument<'_>, keys: &mut KeyCounter, out: &mut Encoder<'_>) {
    let flags: Vec<&str> = [
        (argument.is_optional, "optional"),
        (argument.is_multiple, "multiple"),
    ]
    .into_iter()
    .filter_map(|(is_set, name)| is_set.then_some(name))
    .collect();
    let (kind, parts) = match &argument.kind {
        ArgumentKind::Value(kind) => (*kind, None),
        ArgumentKind::Token => ("pure-token", None),
        ArgumentKind::Block(parts) => ("block", Some(parts)),
        ArgumentKind::OneOf(parts) => ("oneof", Some(parts)),
    };
    let key_spec_index = if kind == "key" {
        keys.next_index()
    } else {
        None
    };
    out.map(
        2 + usize::from(key_spec_index.is_some())
            + usize::from(argument.token.is_some())
            + usize::from(!flags.is_empty())
            + usize::from(parts.is_some()),
    );
    reply_text("name", &argument.name, out);
    reply_text("type", kind, out);
    if let Some(index) = key_spec_index {
        out.bulk(b"key_spec_index");
        out.integer(index as i64);
    }
    if let Some(token) = argument.token {
        reply_text("token", token, out);
    }
    if !flags.is_empty() {
        out.bulk(b"flags");
        reply_names(flags.into_iter(), out);
    }
    if let Some(parts) = parts {
        out.bulk(b"arguments");
        reply_arguments(parts, keys, out);
    }
}

fn reply_text(name: &str, text: &str, out: &mut Encoder<'_>) {
    out.bulk(name.as_bytes());
    out.bulk(text.as_bytes());
}
