//! COMMAND: the command table as clients ask for it.
//!
//! Cluster clients route by COMMAND, prompts complete and hint by COMMAND DOCS, proxies find keys by
//! COMMAND GETKEYS. The shapes are those of Redis 7.0 in both protocols; the texts are our own.

mod docs;
mod help;
mod info;
mod syntax;

use resp::Encoder;

use crate::command::{AclCategories, CommandSpec};
use crate::errors;
use crate::glob;
use crate::key_spec::{KeysError, command_keys_and_flags};
use crate::table::{all, lookup_full_name, lookup_request};

pub use help::help_reply;

/// Replies to `COMMAND` and all its subcommands. `args` begin with `COMMAND`; a wrong subcommand or
/// a wrong number of arguments is answered as Redis does.
pub fn command_reply(args: &[&[u8]], out: &mut Encoder<'_>) {
    let Some(spec) = lookup_request(args) else {
        return out.error(crate::error_text::unknown_subcommand(args));
    };
    if !spec.accepts_argument_count(args.len()) {
        return out.error(crate::error_text::wrong_number_of_arguments(spec));
    }
    let rest = args.get(2..).unwrap_or_default();
    match (spec.container, spec.name) {
        ("", _) => info::reply_all(out),
        (_, "count") => out.integer(all().len() as i64),
        (_, "info") => info::reply(rest, out),
        (_, "docs") => docs::reply(rest, out),
        (_, "list") => reply_list(rest, out),
        (_, "getkeys") => reply_keys(rest, false, out),
        (_, "getkeysandflags") => reply_keys(rest, true, out),
        _ => help_reply("command", out),
    }
}

/// Commands and subcommands, each container before its subcommands.
fn everything() -> impl Iterator<Item = &'static CommandSpec> {
    all().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands))
}

/// `COMMAND LIST [FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]`
fn reply_list(args: &[&[u8]], out: &mut Encoder<'_>) {
    let reply = |out: &mut Encoder<'_>, is_listed: &dyn Fn(&CommandSpec) -> bool| {
        let names: Vec<_> = everything()
            .filter(|spec| is_listed(spec))
            .map(CommandSpec::full_name)
            .collect();
        out.array(names.len());
        for name in names {
            out.bulk(name.as_bytes());
        }
    };
    match args {
        [] => reply(out, &|_| true),
        [filter_by, kind, argument] if filter_by.eq_ignore_ascii_case(b"FILTERBY") => {
            if kind.eq_ignore_ascii_case(b"MODULE") {
                reply(out, &|_| false);
            } else if kind.eq_ignore_ascii_case(b"ACLCAT") {
                let category = AclCategories::by_redis_name(argument);
                reply(out, &|spec| {
                    category.is_some_and(|category| spec.acl.contains(category))
                });
            } else if kind.eq_ignore_ascii_case(b"PATTERN") {
                reply(out, &|spec| {
                    glob::matches_ignoring_case(argument, spec.full_name().as_bytes())
                });
            } else {
                out.error(errors::SYNTAX);
            }
        }
        _ => out.error(errors::SYNTAX),
    }
}

/// `COMMAND GETKEYS` and `COMMAND GETKEYSANDFLAGS`: the keys of the command line that follows.
fn reply_keys(args: &[&[u8]], with_flags: bool, out: &mut Encoder<'_>) {
    let Some(spec) = lookup_request(args) else {
        return out.error("ERR Invalid command specified");
    };
    match command_keys_and_flags(spec, args) {
        Ok(keys) => {
            out.array(keys.len());
            for (place, flags) in keys {
                if with_flags {
                    out.array(2);
                    out.bulk(args[place]);
                    reply_names(flags.redis_names(), out);
                } else {
                    out.bulk(args[place]);
                }
            }
        }
        Err(
            error @ (KeysError::NoKeys | KeysError::WrongArgumentCount | KeysError::BadArguments),
        ) => {
            out.error(format!("ERR {error}"));
        }
    }
}

/// A set of simple strings, as all kinds of flags are replied.
fn reply_names(names: impl Iterator<Item = impl AsRef<str>>, out: &mut Encoder<'_>) {
    let names: Vec<_> = names.collect();
    out.set(names.len());
    for name in &names {
        out.simple(name.as_ref());
    }
}

/// The commands and subcommands of these full names, `None` for those that do not exist.
fn find<'a>(names: &'a [&'a [u8]]) -> impl Iterator<Item = Option<&'static CommandSpec>> + 'a {
    names.iter().map(|name| lookup_full_name(name))
}
