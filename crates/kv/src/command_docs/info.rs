//! COMMAND INFO: what a client must know to send a command to the right place.

use resp::Encoder;

use super::{find, reply_names};
use crate::command::CommandSpec;
use crate::key_spec::{BeginSearch, FindKeys, KeySpec};
use crate::table::all;

/// `COMMAND` and `COMMAND INFO` without names.
pub(super) fn reply_all(out: &mut Encoder<'_>) {
    out.array(all().len());
    for spec in all() {
        reply_one(spec, out);
    }
}

/// `COMMAND INFO [command-name ...]`: null for a name that does not exist.
pub(super) fn reply(names: &[&[u8]], out: &mut Encoder<'_>) {
    if names.is_empty() {
        return reply_all(out);
    }
    out.array(names.len());
    for spec in find(names) {
        match spec {
            Some(spec) => reply_one(spec, out),
            None => out.null(),
        }
    }
}

/// The ten elements of a command. Clients of before 7.0 read the first six or seven.
fn reply_one(spec: &CommandSpec, out: &mut Encoder<'_>) {
    out.array(10);
    out.bulk(spec.full_name().as_bytes());
    out.integer(i64::from(spec.arity));
    reply_names(spec.flags.redis_names(), out);
    out.integer(i64::from(spec.first_key));
    out.integer(i64::from(spec.last_key));
    out.integer(i64::from(spec.key_step));
    reply_names(spec.acl.redis_names().map(|name| format!("@{name}")), out);
    out.set(spec.tips.len());
    for tip in spec.tips {
        out.bulk(tip.as_bytes());
    }
    out.set(spec.key_specs.len());
    for key_spec in spec.key_specs {
        reply_key_spec(key_spec, out);
    }
    // Redis replies an empty set, but subcommands as an array.
    if spec.subcommands.is_empty() {
        return out.set(0);
    }
    out.array(spec.subcommands.len());
    for subcommand in spec.subcommands {
        reply_one(subcommand, out);
    }
}

fn reply_key_spec(key_spec: &KeySpec, out: &mut Encoder<'_>) {
    out.map(3 + usize::from(key_spec.notes.is_some()));
    if let Some(notes) = key_spec.notes {
        out.bulk(b"notes");
        out.bulk(notes.as_bytes());
    }
    out.bulk(b"flags");
    reply_names(key_spec.flags.redis_names(), out);
    out.bulk(b"begin_search");
    match key_spec.begin {
        BeginSearch::Index(index) => {
            reply_search("index", 1, out);
            reply_number("index", index, out);
        }
        BeginSearch::Keyword {
            keyword,
            start_from,
        } => {
            reply_search("keyword", 2, out);
            out.bulk(b"keyword");
            out.bulk(keyword.as_bytes());
            reply_number("startfrom", start_from, out);
        }
    }
    out.bulk(b"find_keys");
    let FindKeys::Range { last_key, key_step } = key_spec.find;
    reply_search("range", 3, out);
    reply_number("lastkey", last_key, out);
    reply_number("keystep", key_step, out);
    reply_number("limit", 0, out);
}

/// Begins the description of a search; `field_count` fields follow.
fn reply_search(kind: &str, field_count: usize, out: &mut Encoder<'_>) {
    out.map(2);
    out.bulk(b"type");
    out.bulk(kind.as_bytes());
    out.bulk(b"spec");
    out.map(field_count);
}

fn reply_number(name: &str, number: i32, out: &mut Encoder<'_>) {
    out.bulk(name.as_bytes());
    out.integer(i64::from(number));
}
