//! `quorate cli` and `quorate status` through TLS, with certificates made for the test.

mod support;

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use support::{Running, output, quorate, wait_until};

/// An authority and a certificate for this machine that it signed, as files.
struct Pki {
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

impl Pki {
    fn new(directory: &Path, name: &str) -> Self {
        let mut ca_params = CertificateParams::new(vec![]).expect("parameters");
        ca_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().expect("a key");
        let ca_cert = ca_params.self_signed(&ca_key).expect("an authority");
        let issuer = Issuer::new(ca_params, ca_key);
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &issuer).expect("a certificate");
        let write = |kind: &str, text: String| {
            let path = directory.join(format!("{name}-{kind}.pem"));
            fs::write(&path, text).expect("written");
            path
        };
        Self {
            ca: write("ca", ca_cert.pem()),
            cert: write("cert", cert.pem()),
            key: write("key", key.serialize_pem()),
        }
    }
}

#[test]
fn the_tools_speak_tls_and_trust_only_the_authority_they_are_given() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let pki = Pki::new(directory.path(), "node");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    drop(listener);
    let mut serve = quorate();
    serve
        .current_dir(directory.path())
        .args(["serve", "--bind", &address]);
    serve.args(["--tls-client-auth", "required"]);
    for (flag, path) in [
        ("--tls-cert", &pki.cert),
        ("--tls-key", &pki.key),
        ("--tls-ca", &pki.ca),
    ] {
        serve.arg(flag).arg(path);
    }
    let node = Running::start(&mut serve);

    let tool = |name: &str, pki: &Pki, ca: &Path, rest: &[&str]| {
        let mut command = quorate();
        command
            .args([name, "--cluster", &address, "--tls", "--cacert"])
            .arg(ca);
        command
            .arg("--cert")
            .arg(&pki.cert)
            .arg("--key")
            .arg(&pki.key)
            .args(rest);
        output(&mut command)
    };
    wait_until("the node serves", || {
        tool("cli", &pki, &pki.ca, &["ping"]).stdout == "PONG\n"
    });
    let big = "x".repeat(100_000);
    assert_eq!(
        tool("cli", &pki, &pki.ca, &["set", "key", &big]).stdout,
        "OK\n"
    );
    assert_eq!(
        tool("cli", &pki, &pki.ca, &["get", "key"]).stdout.len(),
        big.len() + 1
    );
    let status = tool("status", &pki, &pki.ca, &[]);
    assert_eq!(status.code, 0, "{status:?}");

    let other = Pki::new(directory.path(), "other");
    let untrusted = tool("cli", &pki, &other.ca, &["ping"]);
    assert_eq!(
        (untrusted.code, untrusted.stdout.as_str()),
        (1, ""),
        "{untrusted:?}"
    );
    let unknown = tool("cli", &other, &pki.ca, &["ping"]);
    assert_eq!(
        (unknown.code, unknown.stdout.as_str()),
        (1, ""),
        "{unknown:?}"
    );
    let clear = output(quorate().args(["cli", "--cluster", &address, "ping"]));
    assert_eq!((clear.code, clear.stdout.as_str()), (1, ""), "{clear:?}");
    let advice = format!("{address} speaks TLS: add --tls --cacert FILE");
    assert_eq!(clear.stderr, format!("quorate: {advice}\n"), "{clear:?}");
    let status = output(quorate().args(["status", "--cluster", &address]));
    assert_eq!(status.code, 1, "{status:?}");
    assert!(
        status.stdout.contains(&format!("{address}  speaks TLS\n")),
        "{status:?}"
    );
    assert!(
        status
            .stdout
            .contains("one speaks TLS: add --tls --cacert FILE"),
        "{status:?}"
    );
    drop(node);
}

#[test]
fn a_node_that_wants_a_password_or_no_tls_is_said_to() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let pki = Pki::new(directory.path(), "node");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    drop(listener);
    let mut serve = quorate();
    serve.current_dir(directory.path()).args([
        "serve",
        "--bind",
        &address,
        "--requirepass",
        "secret",
    ]);
    let _node = Running::start(&mut serve);
    let tool = |name: &str, rest: &[&str]| {
        let mut command = quorate();
        output(command.args([name, "--cluster", &address]).args(rest))
    };
    wait_until("the node serves", || {
        tool("cli", &["-a", "secret", "ping"]).stdout == "PONG\n"
    });
    let protected = tool("status", &[]);
    assert_eq!(protected.code, 1, "{protected:?}");
    for text in [
        format!("{address}  wants a password\n"),
        "one wants a password: give it with -a or REDISCLI_AUTH\n".to_owned(),
    ] {
        assert!(protected.stdout.contains(&text), "{protected:?}");
    }
    assert_eq!(tool("status", &["-a", "secret"]).code, 0);
    let wrong = tool("status", &["-a", "guess"]);
    assert!(wrong.stdout.contains("refuses the password\n"), "{wrong:?}");

    let ca = pki.ca.display().to_string();
    let flags = ["-a", "secret", "--tls", "--cacert", ca.as_str()];
    let advice = "try without --tls and --cacert\n";
    let status = tool("status", &flags);
    assert!(status.stdout.contains(advice), "{status:?}");
    for flags in [&flags[..], &flags[2..]] {
        let plain = tool("cli", &[flags, &["ping"]].concat());
        assert_eq!((plain.code, plain.stdout.as_str()), (1, ""), "{plain:?}");
        assert!(plain.stderr.ends_with(advice), "{plain:?}");
        assert!(
            plain.stderr.contains("does not seem to speak TLS"),
            "{plain:?}"
        );
    }
}

#[test]
fn a_missing_authority_is_one_line_and_exit_code_2() {
    let run = output(quorate().args(["cli", "--tls", "--cacert", "absent.pem", "ping"]));
    assert_eq!(run.code, 2, "{run:?}");
    assert!(
        run.stderr.starts_with("quorate: --cacert: absent.pem: "),
        "{run:?}"
    );
    assert_eq!(run.stderr.lines().count(), 1);
}
