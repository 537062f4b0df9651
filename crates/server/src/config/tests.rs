//! Precedence, every refusal by its one line, and the way back from print to file.

use std::{io::Write, path::PathBuf};

use super::error::judged;
use super::*;

/// Loads a configuration from a file's text, variables and flags.
fn load(
    file: Option<&str>,
    variables: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Result<Config, ConfigError> {
    let written = file.map(|text| {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(text.as_bytes()).expect("written");
        file
    });
    let environment = |name: &str| {
        variables
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| (*value).to_owned())
    };
    let flags: Vec<_> = flags
        .iter()
        .map(|(key, value)| (*key, (*value).to_owned()))
        .collect();
    Config::load(
        written.as_ref().map(|file| file.path()),
        environment,
        &flags,
    )
}

fn with_flags(flags: &[(&str, &str)]) -> Result<Config, ConfigError> {
    load(None, &[], flags)
}

/// The line of a refusal, with the name of the temporary file taken out.
fn refusal(result: Result<Config, ConfigError>) -> String {
    let line = result.expect_err("refused").to_string();
    assert!(!line.contains('\n'), "one line: {line}");
    match line.find("/") {
        Some(start) if line[start..].contains(':') && line.contains("/.tmp") => {
            let end = line[start..].find(':').expect("a colon after the path") + start;
            format!("{}FILE{}", &line[..start], &line[end..])
        }
        _ => line,
    }
}

#[test]
fn names_are_stated_once() {
    for (key, field) in Config::FIELDS {
        assert_eq!(key.replace('-', "_"), *field);
    }
    assert_eq!(
        Setting::by_key("election-timeout")
            .expect("a setting")
            .variable(),
        "QUORATE_ELECTION_TIMEOUT"
    );
}

#[test]
fn the_defaults_are_a_good_configuration() {
    let config = with_flags(&[]).expect("defaults are good");
    assert_eq!(config, Config::default());
    assert_eq!(config.bind, [Address::new("127.0.0.1", 6379)]);
    assert_eq!(config.peer_address(), Address::new("127.0.0.1", 7379));
    assert!(!config.serves_peers());
}

#[test]
fn a_flag_wins_over_environment_over_file_over_default() {
    let file = "tick = \"11ms\"\nlog-level = \"debug\"\nmax-clients = 5\n";
    let variables = [("QUORATE_LOG_LEVEL", "warn"), ("QUORATE_MAX_CLIENTS", "6")];
    let config = load(Some(file), &variables, &[("max-clients", "7")]).expect("good");
    assert_eq!(config.tick, Duration::from_millis(11));
    assert_eq!(config.log_level, LogLevel::Warn);
    assert_eq!(config.max_clients, 7);
    assert!(matches!(
        config.origin("tick"),
        Origin::File { line: 1, .. }
    ));
    assert_eq!(config.origin("log-level").to_string(), "QUORATE_LOG_LEVEL");
    assert_eq!(config.origin("max-clients").to_string(), "--max-clients");
    assert_eq!(*config.origin("bind"), Origin::Default);
}

#[test]
fn an_empty_flag_takes_back_what_a_file_says() {
    let file = "admin-bind = \"127.0.0.1:9001\"\n";
    let config = load(Some(file), &[], &[("admin-bind", "")]).expect("good");
    assert_eq!(config.admin_bind, None);
}

#[test]
fn a_file_may_use_toml_lists_and_tables() {
    let file = "bind = [\"127.0.0.1:7001\", \"[::1]:7001\"]\n[cluster]\n1 = \"127.0.0.1:8001\"\n2 = \"127.0.0.1:8002\"\n";
    let config = load(Some(file), &[], &[]).expect("good");
    assert_eq!(config.bind.len(), 2);
    assert_eq!(
        config.cluster.get(2),
        Some(&Address::new("127.0.0.1", 8002))
    );
    assert_eq!(config.peer_address(), Address::new("127.0.0.1", 8001));
}

#[test]
fn what_is_printed_reads_back() {
    let flags = [
        ("node-id", "2"),
        (
            "cluster",
            "1=127.0.0.1:8001,2=127.0.0.1:8002,3=localhost:8003",
        ),
        ("bind", "127.0.0.1:7002,[::1]:7002"),
        ("data-dir", "a \"b\"\\c"),
        ("request-timeout", "1500ms"),
        ("max-entry-size", "20000KiB"),
        ("test-vfs", "lossy"),
        ("protected-mode", "no"),
    ];
    let config = with_flags(&flags).expect("good");
    let printed = config.to_toml();
    assert!(printed.contains("# --request-timeout"), "{printed}");
    assert!(printed.contains("\"20000KiB\""), "{printed}");
    let mut again = load(Some(&printed), &[], &[]).expect("reads back");
    again.origins.clone_from(&config.origins);
    assert_eq!(again, config);
}

#[test]
fn a_password_is_never_printed() {
    let config = with_flags(&[("requirepass", "hunter2")]).expect("good");
    assert_eq!(
        config.requirepass.as_ref().map(Secret::expose),
        Some("hunter2")
    );
    assert!(!config.to_toml().contains("hunter2"));
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn a_password_can_come_from_a_file() {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    writeln!(file, "hunter2\nignored").expect("written");
    let path = file.path().to_str().expect("a plain path").to_owned();
    let config = with_flags(&[("requirepass-file", &path)]).expect("good");
    assert_eq!(
        config.requirepass.as_ref().map(Secret::expose),
        Some("hunter2")
    );
    let printed = config.to_toml();
    assert!(printed.contains("requirepass-file = "), "{printed}");
    assert!(
        load(Some(&printed), &[], &[])
            .expect("reads back")
            .requirepass
            .is_some()
    );

    let twice = refusal(with_flags(&[
        ("requirepass-file", &path),
        ("requirepass", "x"),
    ]));
    assert_eq!(
        twice,
        "the password is given by both requirepass (--requirepass) and requirepass-file \
         (--requirepass-file): keep one"
    );
    assert!(matches!(
        with_flags(&[("requirepass-file", "/nowhere/at/all")]), Err(error) if matches!(error.problem(), Problem::PasswordFile { .. })
    ));
}

#[test]
fn each_bad_value_is_one_line_with_its_place() {
    let cases = [
        (
            "node-id",
            "0",
            "not a node id: write a whole number from 1 up",
        ),
        (
            "node-id",
            "-3",
            "not a node id: write a whole number from 1 up",
        ),
        (
            "bind",
            "6379",
            "not an address: write HOST:PORT, such as 127.0.0.1:6379",
        ),
        (
            "bind",
            "127.0.0.1:70000",
            "not an address: write HOST:PORT, such as 127.0.0.1:6379",
        ),
        ("bind", "999.0.0.1:6379", "999.0.0.1 is not an IPv4 address"),
        (
            "bind",
            "::1:6379",
            "not an address: write an IPv6 address in brackets, such as [::1]:6379",
        ),
        (
            "election-timeout",
            "150",
            "not a duration: write a number and ms, s, m or h, such as 150ms",
        ),
        (
            "election-timeout",
            "fast",
            "not a duration: write a number and ms, s, m or h, such as 150ms",
        ),
        (
            "max-entry-size",
            "16MB",
            "not a size: write a number and B, KiB, MiB or GiB, such as 16MiB",
        ),
        (
            "max-entry-size",
            "99999999999GiB",
            "not a size: write a number and B, KiB, MiB or GiB, such as 16MiB",
        ),
        ("max-clients", "many", "not a count: write a whole number"),
        (
            "log-level",
            "loud",
            "none of error, warn, info, debug, trace",
        ),
        ("log-format", "xml", "none of text, json"),
        ("protected-mode", "maybe", "neither yes nor no"),
        (
            "cluster",
            "127.0.0.1:1",
            "\"127.0.0.1:1\" is not a member: write ID=HOST:PORT, such as 1=127.0.0.1:8001",
        ),
        (
            "cluster",
            "1=h:1,1=h:2",
            "node 1 is named twice; give every node its own id",
        ),
        (
            "cluster",
            "1=h:1,2=h:1",
            "nodes 1 and 2 have the same address h:1",
        ),
        (
            "cluster",
            "1=0.0.0.0:1",
            "0.0.0.0:1 is not an address that other nodes can reach",
        ),
    ];
    for (key, value, expected) in cases {
        let line = format!("{key} = {value:?}{}", judged(expected));
        assert_eq!(
            refusal(with_flags(&[(key, value)])),
            format!("--{key}: {line}")
        );
        let variable = Setting::by_key(key).expect("a setting").variable();
        assert_eq!(
            refusal(load(None, &[(&variable, value)], &[])),
            format!("{variable}: {line}")
        );
        let file = format!("\n{key} = {value:?}\n");
        assert_eq!(
            refusal(load(Some(&file), &[], &[])),
            format!("FILE:2: {line}")
        );
    }
}

#[test]
fn a_file_is_refused_with_its_line() {
    assert_eq!(
        refusal(load(Some("# x\nelection-timeuot = \"1s\"\n"), &[], &[])),
        "FILE:2: no setting is called \"election-timeuot\": did you mean \"election-timeout\"?"
    );
    assert_eq!(
        refusal(load(Some("colour = 1"), &[], &[])),
        "FILE:1: no setting is called \"colour\": see `quorate serve --help` for all of them"
    );
    let broken = refusal(load(Some("tick = \"10ms\"\nbind = \n"), &[], &[]));
    assert!(broken.starts_with("FILE:2: not TOML: "), "{broken}");
    let twice = refusal(load(Some("tick = \"10ms\"\ntick = \"10ms\"\n"), &[], &[]));
    assert!(twice.starts_with("FILE:2: not TOML: "), "{twice}");
    assert_eq!(
        refusal(load(Some("tick = 1.5"), &[], &[])),
        "FILE:1: tick = \"\" is not a value: write tick = DURATION"
    );
    let nowhere = PathBuf::from("/nowhere/at/all.toml");
    let missing = Config::load(Some(&nowhere), |_| None, &[]);
    assert!(matches!(missing, Err(error) if matches!(error.problem(), Problem::Unreadable { .. })));
}

#[test]
fn each_contradiction_is_one_line_that_says_what_to_do() {
    let three = (
        "cluster",
        "1=127.0.0.1:8001,2=127.0.0.1:8002,3=127.0.0.1:8003",
    );
    let cases: &[(&[(&str, &str)], &str)] = &[
        (
            &[three, ("node-id", "4")],
            "node-id = 4 (--node-id) is not in cluster (--cluster), which has 1, 2, 3: use one of \
             these ids, or list this node",
        ),
        (
            &[three, ("peer-bind", "127.0.0.1:8009")],
            "peer-bind = 127.0.0.1:8009 (--peer-bind) is not where cluster (--cluster) has node 1, \
             127.0.0.1:8001: make them equal, or set advertise-peer = 127.0.0.1:8001 if that address \
             leads here",
        ),
        (
            &[three, ("bind", "127.0.0.1:8001")],
            "bind = 127.0.0.1:8001 (--bind) and peer-bind (default) are the same address: give each \
             its own port",
        ),
        (
            &[("election-timeout", "50ms")],
            "election-timeout = 50ms (--election-timeout) is too small beside heartbeat-interval = \
             50ms (default): make it at least 150ms",
        ),
        (
            &[("heartbeat-interval", "5ms")],
            "heartbeat-interval = 5ms (--heartbeat-interval) is too small beside tick = 10ms \
             (default): make it at least 10ms",
        ),
        (
            &[("max-entry-size", "1GiB")],
            "--max-entry-size: max-entry-size = 1GiB is out of range: choose from 16KiB to 32MiB",
        ),
        (
            &[("max-entry-size", "512KiB")],
            "max-entry-size = 512KiB (--max-entry-size) is too small beside max-batch-size = 1MiB \
             (default): make it at least 1MiB",
        ),
        (
            &[("bind", "0.0.0.0:6379")],
            "bind = 0.0.0.0:6379 (--bind) can be reached by other machines, and nothing protects it: \
             set requirepass or tls-client-auth = \"required\", or bind to 127.0.0.1 \
             (protected-mode = \"no\" allows it as it is)",
        ),
        (
            &[("cluster", "1=10.0.0.1:8001,2=10.0.0.2:8001")],
            "peer-bind = 10.0.0.1:8001 (--cluster) can be reached by other machines, and nothing \
             protects it: set peer-tls-cert, peer-tls-key and peer-tls-ca, or use 127.0.0.1 \
             (protected-mode = \"no\" allows it as it is)",
        ),
        (
            &[("tls-cert", "c.pem")],
            "tls-cert (--tls-cert) needs tls-key, which is not set: set it, or take tls-cert away",
        ),
        (
            &[
                ("tls-cert", "c.pem"),
                ("tls-key", "k.pem"),
                ("tls-client-auth", "required"),
            ],
            "tls-client-auth (--tls-client-auth) needs tls-ca, which is not set: set it, or take \
             tls-client-auth away",
        ),
        (
            &[("peer-tls-key", "k.pem")],
            "peer-tls-key (--peer-tls-key) needs peer-tls-cert, which is not set: set it, or take \
             peer-tls-key away",
        ),
    ];
    for (flags, expected) in cases {
        assert_eq!(refusal(with_flags(flags)), *expected);
    }
}

#[test]
fn what_guards_a_reachable_address_lets_it_pass() {
    let open = ("bind", "0.0.0.0:6379");
    with_flags(&[open, ("requirepass", "x")]).expect("a password guards it");
    with_flags(&[open, ("protected-mode", "no")]).expect("allowed as it is");
    let tls = [
        open,
        ("tls-cert", "c"),
        ("tls-key", "k"),
        ("tls-ca", "a"),
        ("tls-client-auth", "required"),
    ];
    with_flags(&tls).expect("certificates guard it");
}

#[test]
fn a_peer_address_may_lead_to_another() {
    let cluster = ("cluster", "1=node-one:8001,2=node-two:8001");
    let no = ("protected-mode", "no");
    with_flags(&[cluster, no, ("peer-bind", "0.0.0.0:8001")]).expect("every address of node-one");
    let proxied = [
        ("cluster", "1=127.0.0.1:9,2=127.0.0.1:10"),
        ("peer-bind", "127.0.0.1:8001"),
    ];
    with_flags(&proxied).expect_err("nobody would find it");
    with_flags(&[proxied[0], proxied[1], ("advertise-peer", "127.0.0.1:9")]).expect("said so");
}

#[test]
fn the_cluster_id_depends_on_name_and_members_and_never_changes() {
    let id = |flags: &[(&str, &str)]| with_flags(flags).expect("good").cluster_id();
    let two = ("cluster", "1=127.0.0.1:8001,2=127.0.0.1:8002");
    assert_eq!(id(&[two]), id(&[two, ("node-id", "2")]));
    assert_eq!(
        id(&[two]),
        id(&[("cluster", "2=127.0.0.1:8002,1=127.0.0.1:8001")])
    );
    assert_ne!(id(&[two]), id(&[two, ("cluster-name", "other")]));
    assert_ne!(
        id(&[two]),
        id(&[("cluster", "1=127.0.0.1:8001,2=127.0.0.1:8003")])
    );
    assert_eq!(id(&[]), id(&[("bind", "127.0.0.1:7000")]));
    assert_eq!(id(&[]), 6_329_981_114_873_804_350);
    assert_eq!(id(&[two]), 5_356_161_915_992_281_332);
}

#[test]
fn the_address_told_to_clients_is_one_they_can_use() {
    let address = |flags: &[(&str, &str)]| {
        with_flags(flags)
            .expect("good")
            .client_address()
            .to_string()
    };
    let no = ("protected-mode", "no");
    assert_eq!(address(&[("bind", "127.0.0.1:7001")]), "127.0.0.1:7001");
    assert_eq!(address(&[no, ("bind", "0.0.0.0:7001")]), "127.0.0.1:7001");
    let cluster = ("cluster", "1=node-one:8001,2=node-two:8001");
    assert_eq!(
        address(&[no, cluster, ("bind", "0.0.0.0:7001")]),
        "node-one:7001"
    );
    assert_eq!(
        address(&[("advertise-client", "example.org:1")]),
        "example.org:1"
    );
}

#[test]
fn sizes_and_durations_print_in_their_largest_exact_unit() {
    use super::value::{Value, duration_text};
    for text in ["1B", "1023B", "1KiB", "16MiB", "1GiB", "1025KiB"] {
        assert_eq!(ByteSize::parse(text).expect("a size").to_string(), text);
    }
    assert_eq!(ByteSize::parse("4096").expect("a size").to_string(), "4KiB");
    for text in ["1ms", "150ms", "5s", "1m", "90s", "2h"] {
        assert_eq!(
            duration_text(Duration::parse(text).expect("a duration")),
            text
        );
    }
}
