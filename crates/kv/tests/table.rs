//! The command table checks itself, and is compared with what redis-server 7.0.15 says of the
//! commands that both have.

use std::collections::BTreeMap;

use kv::{BeginSearch, CommandSpec, FindKeys, KeysError};

/// Commands and subcommands.
fn everything() -> impl Iterator<Item = &'static CommandSpec> {
    kv::all().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands))
}

#[test]
fn arity_flags_keys_and_categories_are_those_of_redis() {
    let fixture = include_str!("fixtures/redis-7.0.15-commands.txt");
    let theirs: BTreeMap<&str, &str> = fixture
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| (line.split(" | ").next().unwrap_or_default(), line))
        .collect();
    let mut compared = 0;
    for spec in everything() {
        let name = spec.full_name();
        match theirs.get(name.as_ref()) {
            Some(theirs) => {
                assert_eq!(describe(spec), *theirs);
                compared += 1;
            }
            None => assert!(
                NOT_IN_REDIS_7_0.contains(&name.as_ref()),
                "{name} is neither in the fixture nor listed as unknown to Redis 7.0"
            ),
        }
    }
    assert_eq!(
        compared,
        theirs.len(),
        "every line of the fixture has a command"
    );
}

/// What Valkey, later Redis or nobody else has as a command of its own.
const NOT_IN_REDIS_7_0: [&str; 23] = [
    "client|capa",
    "client|no-touch",
    "client|setinfo",
    "cluster|myshardid",
    "debug|digest",
    "debug|digest-value",
    "debug|help",
    "debug|object",
    "debug|set-active-expire",
    "debug|sleep",
    "delifeq",
    "quorate",
    "quorate|backup",
    "quorate|add-node",
    "quorate|demote",
    "quorate|help",
    "quorate|join",
    "quorate|members",
    "quorate|promote",
    "quorate|remove-node",
    "quorate|replace",
    "quorate|transfer",
    "waitaof",
];

/// A line of the fixture, from our table.
fn describe(spec: &CommandSpec) -> String {
    let categories: Vec<String> = spec
        .acl
        .redis_names()
        .map(|name| format!("@{name}"))
        .collect();
    let flags: Vec<&str> = spec.flags.redis_names().collect();
    let key_specs: Vec<String> = spec
        .key_specs
        .iter()
        .map(|key_spec| {
            let flags: Vec<&str> = key_spec.flags.redis_names().collect();
            let begin = match key_spec.begin {
                BeginSearch::Index(index) => format!("index {index}"),
                BeginSearch::Keyword {
                    keyword,
                    start_from,
                } => {
                    format!("keyword {keyword} {start_from}")
                }
            };
            let FindKeys::Range { last_key, key_step } = key_spec.find;
            format!("{} {begin} range {last_key} {key_step} 0", flags.join(","))
        })
        .collect();
    let line = format!(
        "{} | {} | {} | {} {} {} | {} | {} | {}",
        spec.full_name(),
        spec.arity,
        flags.join(","),
        spec.first_key,
        spec.last_key,
        spec.key_step,
        categories.join(","),
        spec.tips.join(","),
        key_specs.join("; "),
    );
    line.trim_end().to_owned()
}

/// The numbers are part of the log's format. A line here is never changed and never removed; a new
/// command adds one.
#[test]
fn the_numbers_on_disk_are_the_ones_that_were_given() {
    let pinned: BTreeMap<String, u16> = include_str!("fixtures/command-ids.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (id, name) = line.split_once(' ').expect("a number and a name");
            (name.to_owned(), id.parse().expect("a number"))
        })
        .collect();
    let actual: BTreeMap<String, u16> = everything()
        .map(|spec| (spec.full_name().into_owned(), spec.id.0))
        .collect();
    assert_eq!(actual, pinned);
}

#[test]
fn every_name_and_every_number_leads_back_to_its_row() {
    for spec in kv::all() {
        for name in [spec.name.to_owned(), spec.name.to_uppercase()] {
            let found = kv::lookup(name.as_bytes()).expect("a name of the table");
            assert_eq!(found.id, spec.id);
        }
        assert_eq!(spec.container, "");
        for subcommand in spec.subcommands {
            assert_eq!(subcommand.container, spec.name);
            let upper = subcommand.name.to_uppercase();
            let found = kv::lookup_subcommand(spec, upper.as_bytes()).expect("a subcommand");
            assert_eq!(found.id, subcommand.id);
            let full_name = subcommand.full_name();
            let found = kv::lookup_full_name(full_name.as_bytes()).expect("a full name");
            assert_eq!(found.id, subcommand.id);
        }
    }
    for spec in everything() {
        let found = kv::by_id(spec.id).expect("a number of the table");
        assert_eq!(found.full_name(), spec.full_name());
    }
    for unknown in [
        "",
        "g",
        "gett",
        "nope",
        "config|get",
        "get\0",
        "a-name-of-great-length-that-nobody-has",
    ] {
        assert!(kv::lookup(unknown.as_bytes()).is_none(), "{unknown:?}");
    }
    assert!(kv::by_id(kv::CommandId(0)).is_none());
    assert!(kv::by_id(kv::CommandId(u16::MAX)).is_none());
}

#[test]
fn all_comes_in_the_order_of_names_and_each_once() {
    let names: Vec<&str> = kv::all().map(|spec| spec.name).collect();
    assert!(names.is_sorted_by(|left, right| left < right));
}

#[test]
fn every_row_is_complete() {
    for spec in everything() {
        let name = spec.full_name();
        assert_ne!(spec.arity, 0, "{name}");
        assert!(spec.summary.ends_with('.'), "{name}");
        assert!(!spec.complexity.is_empty(), "{name}");
        assert_eq!(spec.since.split('.').count(), 3, "{name}");
        assert_eq!(spec.name, spec.name.to_ascii_lowercase());
        let writes = spec.flags.contains(kv::CommandFlags::WRITE);
        let publishes = spec.name == "publish" || spec.name == "spublish";
        // No function can be loaded, so there is nothing to write when all are deleted.
        let is_empty_write = name == "function|flush";
        if spec.refusal.is_none() && !is_empty_write {
            assert_eq!(spec.is_write(), writes || publishes, "{name}");
        }
    }
}

/// A refusal says what to use instead: that must exist, as a way to run this program.
#[test]
fn refusals_name_only_commands_of_the_program_that_exist() {
    const PROGRAM: [&str; 5] = ["serve", "dev", "cli", "status", "wal"];
    for spec in everything() {
        for named in spec.refusal.unwrap_or_default().split("\"quorate ").skip(1) {
            let subcommand = named.split([' ', '"']).next().unwrap_or_default();
            assert!(
                PROGRAM.contains(&subcommand),
                "{}: {named}",
                spec.full_name()
            );
        }
    }
}

#[test]
fn keys_are_found_where_redis_finds_them() {
    let keys = |line: &str| {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let spec = kv::lookup_request(&args).expect("a command");
        kv::command_keys(spec, &args)
    };
    assert_eq!(keys("get k"), Ok(vec![1]));
    assert_eq!(keys("mset a 1 b 2 c 3"), Ok(vec![1, 3, 5]));
    assert_eq!(keys("del a b c"), Ok(vec![1, 2, 3]));
    assert_eq!(keys("rename a b"), Ok(vec![1, 2]));
    assert_eq!(keys("lcs a b len"), Ok(vec![1, 2]));
    assert_eq!(keys("object encoding k"), Ok(vec![2]));
    assert_eq!(keys("memory usage k samples 5"), Ok(vec![2]));
    assert_eq!(keys("migrate h 1 k 0 10"), Ok(vec![3]));
    assert_eq!(keys("migrate h 1 k 0 10 copy keys a b"), Ok(vec![3, 8, 9]));
    assert_eq!(keys("ping"), Err(KeysError::NoKeys));
    assert_eq!(keys("spublish c m"), Err(KeysError::NoKeys));
    assert_eq!(keys("get"), Err(KeysError::WrongArgumentCount));
    assert_eq!(keys("get a b"), Err(KeysError::WrongArgumentCount));
}

#[test]
fn set_says_what_it_does_to_its_key_only_after_its_options() {
    let flags = |line: &str| {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let spec = kv::lookup_request(&args).expect("a command");
        let keys = kv::command_keys_and_flags(spec, &args).expect("keys");
        keys[0].1.redis_names().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(flags("set k v"), "OW update");
    assert_eq!(flags("set get v"), "OW update");
    assert_eq!(flags("set k v nx get"), "RW access update");
}
