//! `quorate serve` and its configuration: what wins, what is refused, and that a refusal touches nothing.

mod support;

use std::path::Path;

use support::{Output, quorate};

/// Runs `quorate serve` in a directory, with variables and flags.
fn serve(directory: &Path, variables: &[(&str, &str)], flags: &[&str]) -> Output {
    let mut command = quorate();
    command.current_dir(directory).arg("serve").args(flags);
    for (name, value) in variables {
        command.env(name, value);
    }
    support::output(&mut command)
}

/// Asserts that a run was refused by one line, with exit code 2, and left nothing behind.
fn assert_refused(directory: &Path, output: &Output, expected: &str) {
    assert_eq!(output.code, 2, "{output:?}");
    assert_eq!(output.stdout, "");
    assert_eq!(output.stderr, format!("quorate: {expected}\n"));
    let left: Vec<_> = std::fs::read_dir(directory)
        .expect("the directory")
        .flatten()
        .collect();
    assert!(
        left.iter().all(|entry| entry.file_name() == "node.toml"),
        "nothing was touched: {left:?}"
    );
}

#[test]
fn a_flag_wins_over_the_environment_over_a_file_over_the_default() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = "tick = \"11ms\"\nlog-level = \"debug\"\nmax-clients = 5\n";
    std::fs::write(directory.path().join("node.toml"), file).expect("written");
    let variables = [
        ("QUORATE_CONFIG", "node.toml"),
        ("QUORATE_LOG_LEVEL", "warn"),
        ("QUORATE_MAX_CLIENTS", "6"),
    ];
    let output = serve(
        directory.path(),
        &variables,
        &["--max-clients", "7", "--print-config"],
    );
    assert_eq!(output.code, 0, "{output:?}");
    let has = |key: &str, value: &str, origin: &str| {
        output.stdout.lines().any(|line| {
            line.starts_with(&format!("{key} = {value} ")) && line.ends_with(&format!("# {origin}"))
        })
    };
    assert!(has("tick", "\"11ms\"", "node.toml:1"), "{}", output.stdout);
    assert!(
        has("log-level", "\"warn\"", "QUORATE_LOG_LEVEL"),
        "{}",
        output.stdout
    );
    assert!(
        has("max-clients", "7", "--max-clients"),
        "{}",
        output.stdout
    );
    assert!(
        has("bind", "\"127.0.0.1:6379\"", "default"),
        "{}",
        output.stdout
    );
}

#[test]
fn what_is_printed_is_a_configuration_file() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let cluster = "1=127.0.0.1:8001,2=127.0.0.1:8002";
    let flags = [
        "--cluster",
        cluster,
        "--election-timeout",
        "2s",
        "--print-config",
    ];
    let printed = serve(directory.path(), &[], &flags).stdout;
    std::fs::write(directory.path().join("node.toml"), &printed).expect("written");
    let again = serve(
        directory.path(),
        &[],
        &["--config", "node.toml", "--print-config"],
    )
    .stdout;
    let values = |text: &str| -> Vec<String> {
        let value = |line: &str| {
            line.split("  #")
                .next()
                .unwrap_or_default()
                .trim_end()
                .to_owned()
        };
        text.lines().map(value).collect()
    };
    assert_eq!(values(&printed), values(&again));
    assert!(again.contains("# node.toml:"), "{again}");
}

#[test]
fn each_refusal_is_one_line_with_exit_code_2_and_touches_nothing() {
    let cases: &[(&[&str], &str)] = &[
        (
            &["--config", "absent.toml"],
            "absent.toml: cannot read the configuration file: No such file or directory (os error 2)",
        ),
        (
            &["--election-timeout", "fast"],
            "--election-timeout: election-timeout = \"fast\" is not a duration: write a number and \
             ms, s, m or h, such as 150ms",
        ),
        (
            &[
                "--node-id",
                "4",
                "--cluster",
                "1=127.0.0.1:8001,2=127.0.0.1:8002",
            ],
            "node-id = 4 (--node-id) is not in cluster (--cluster), which has 1, 2: use one of these \
             ids, or list this node",
        ),
        (
            &["--bind", "0.0.0.0:6379"],
            "bind = 0.0.0.0:6379 (--bind) can be reached by other machines, and nothing protects it: \
             set requirepass or tls-client-auth = \"required\", or bind to 127.0.0.1 (protected-mode \
             = \"no\" allows it as it is)",
        ),
        (
            &["--join", "127.0.0.1:1", "--node-id", "4"],
            "--join and node-id = 4 (--node-id) exclude each other: the cluster chooses the id of a node \
             that joins; leave node-id out",
        ),
        (
            &["--tls-cert", "cert.pem"],
            "tls-cert (--tls-cert) needs tls-key, which is not set: set it, or take tls-cert away",
        ),
    ];
    for (flags, expected) in cases {
        let directory = tempfile::tempdir().expect("a temporary directory");
        assert_refused(
            directory.path(),
            &serve(directory.path(), &[], flags),
            expected,
        );
    }
}

#[test]
fn a_file_is_refused_with_its_line() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("node.toml");
    std::fs::write(&path, "# a node\nelection-timeuot = \"1s\"\n").expect("written");
    let output = serve(directory.path(), &[], &["--config", "node.toml"]);
    let expected = "node.toml:2: no setting is called \"election-timeuot\": did you mean \"election-timeout\"?";
    assert_refused(directory.path(), &output, expected);

    std::fs::write(&path, "node-id = \n").expect("written");
    let output = serve(directory.path(), &[], &["--config", "node.toml"]);
    assert_eq!(output.code, 2);
    assert!(
        output
            .stderr
            .starts_with("quorate: node.toml:1: not TOML: "),
        "{output:?}"
    );
    assert_eq!(output.stderr.lines().count(), 1);
}

#[test]
fn a_bad_variable_is_refused_by_its_name() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let output = serve(directory.path(), &[("QUORATE_MAX_ENTRY_SIZE", "16MB")], &[]);
    let expected = "QUORATE_MAX_ENTRY_SIZE: max-entry-size = \"16MB\" is not a size: write a number and \
                    B, KiB, MiB or GiB, such as 16MiB";
    assert_refused(directory.path(), &output, expected);
}

#[test]
fn a_password_is_never_printed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let variables = [("QUORATE_REQUIREPASS", "hunter2")];
    let output = serve(directory.path(), &variables, &["--print-config"]);
    assert_eq!(output.code, 0);
    assert!(
        output
            .stdout
            .contains("# requirepass is set, and not shown  # QUORATE_REQUIREPASS")
    );
    assert!(!output.stdout.contains("hunter2"));
}

#[test]
fn help_names_every_setting_but_those_of_tests() {
    let output = support::output(quorate().args(["serve", "--help"]));
    for name in [
        "--node-id",
        "--cluster",
        "--election-timeout",
        "--wal-segment-size",
        "QUORATE_",
    ] {
        assert!(output.stdout.contains(name), "{name}");
    }
    assert!(!output.stdout.contains("test-vfs"));
    assert!(!output.stdout.contains("exit-with-parent"));
}
