//! TLS with certificates made for the test: between nodes, and for clients.

mod common;

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{Client, Cluster, Node, bulk, config, ok, options};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// An authority and a certificate for localhost that it signed, as files.
struct Pki {
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

impl Pki {
    fn new(dir: &Path, name: &str) -> Pki {
        let mut ca_params = CertificateParams::new(vec![]).expect("parameters");
        ca_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().expect("a key");
        let ca_cert = ca_params.self_signed(&ca_key).expect("an authority");
        let issuer = Issuer::new(ca_params, ca_key);
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let params = CertificateParams::new(names).expect("parameters");
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &issuer).expect("a certificate");
        let write = |kind: &str, text: String| {
            let path = dir.join(format!("{name}-{kind}.pem"));
            fs::write(&path, text).expect("a file");
            path
        };
        Pki {
            ca: write("ca", ca_cert.pem()),
            cert: write("cert", cert.pem()),
            key: write("key", key.serialize_pem()),
        }
    }

    fn connector(&self, shows: Option<&Pki>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(&self.ca).expect("the authority");
        roots.add(ca).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        Arc::new(match shows {
            None => builder.with_no_client_auth(),
            Some(pki) => {
                let cert = CertificateDer::from_pem_file(&pki.cert).expect("a certificate");
                let key = PrivateKeyDer::from_pem_file(&pki.key).expect("a key");
                builder
                    .with_client_auth_cert(vec![cert], key)
                    .expect("a pair")
            }
        })
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn connect(
    node: &Node,
    connector: Arc<ClientConfig>,
) -> Client<StreamOwned<ClientConnection, TcpStream>> {
    let stream = TcpStream::connect(node.client_addr).expect("the port is open");
    stream
        .set_read_timeout(Some(common::PATIENCE))
        .expect("a timeout");
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(connector, name).expect("a session");
    Client::over(StreamOwned::new(session, stream))
}

#[test]
fn clients_speak_tls_where_a_certificate_is_configured() {
    let dir = tempfile::tempdir().expect("a directory");
    let pki = Pki::new(dir.path(), "node");
    let settings = [("tls-cert", text(&pki.cert)), ("tls-key", text(&pki.key))];
    let node = Node::start(&config(&dir.path().join("data"), &settings), options());
    let mut client = connect(&node, pki.connector(None));
    assert_eq!(client.call(&["SET", "k", "v"]), ok());
    let value = "x".repeat(700_000);
    assert_eq!(client.call(&["SET", "big", &value]), ok());
    for _ in 0..5 {
        client.send(&["GET", "big"]);
    }
    for _ in 0..5 {
        assert_eq!(client.receive(), bulk(&value));
    }
}

#[test]
fn clients_must_show_a_certificate_where_one_is_required() {
    let dir = tempfile::tempdir().expect("a directory");
    let pki = Pki::new(dir.path(), "node");
    let stranger = Pki::new(dir.path(), "stranger");
    let settings = [
        ("tls-cert", text(&pki.cert)),
        ("tls-key", text(&pki.key)),
        ("tls-ca", text(&pki.ca)),
        ("tls-client-auth", "required"),
    ];
    let node = Node::start(&config(&dir.path().join("data"), &settings), options());
    let mut known = connect(&node, pki.connector(Some(&pki)));
    assert_eq!(known.call(&["SET", "k", "v"]), ok());
    for connector in [pki.connector(None), pki.connector(Some(&stranger))] {
        let mut unknown = connect(&node, connector);
        let mut request = Vec::new();
        resp::encode_request(&mut request, &["GET", "k"]);
        let mut answer = [0; 16];
        let outcome = std::io::Write::write_all(&mut unknown.stream, &request)
            .and_then(|()| std::io::Read::read(&mut unknown.stream, &mut answer));
        assert!(
            outcome.is_err(),
            "an answer without a certificate: {outcome:?}"
        );
    }
}

#[test]
fn nodes_speak_tls_to_each_other_and_check_both_ways() {
    let dir = tempfile::tempdir().expect("a directory");
    let pki = Pki::new(dir.path(), "peer");
    let settings = [
        ("peer-tls-cert", text(&pki.cert)),
        ("peer-tls-key", text(&pki.key)),
        ("peer-tls-ca", text(&pki.ca)),
    ];
    let cluster = Cluster::start(dir.path(), &settings);
    let value = "x".repeat(500_000);
    let mut client = cluster.node(0).client();
    for index in 0..10 {
        client.send(&["SET", &format!("big:{index}"), &value]);
    }
    for _ in 0..10 {
        assert_eq!(client.receive(), ok());
    }
    for index in 0..3 {
        assert_eq!(
            cluster.node(index).client().call(&["GET", "big:9"]),
            bulk(&value)
        );
    }
}

#[test]
fn an_unusable_certificate_is_one_line_that_names_setting_and_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let pki = Pki::new(dir.path(), "node");
    let data = dir.path().join("data");
    let settings = [("tls-cert", text(&pki.key)), ("tls-key", text(&pki.key))];
    let error = server::Server::start(&config(&data, &settings), options()).expect_err("no cert");
    let line = error.to_string();
    assert!(
        line.contains("tls-cert") && line.contains(text(&pki.key)),
        "{line}"
    );
    assert_eq!((error.exit_code(), line.lines().count()), (2, 1));
    assert!(!data.exists(), "nothing was touched");
}

#[test]
fn a_snapshot_is_brought_over_tls_as_well() {
    let dir = tempfile::tempdir().expect("a directory");
    let pki = Pki::new(dir.path(), "peer");
    let settings = [
        ("peer-tls-cert", text(&pki.cert)),
        ("peer-tls-key", text(&pki.key)),
        ("peer-tls-ca", text(&pki.ca)),
        ("wal-segment-size", "1536KiB"),
        ("log-tail-size", "0KiB"),
    ];
    let mut cluster = Cluster::start(dir.path(), &settings);
    let value = "x".repeat(500_000);
    let mut client = cluster.node(0).client();
    assert_eq!(client.call(&["SET", "first", "1"]), ok());
    cluster.stop(2);
    for index in 0..10 {
        client.call_until(&["SET", &format!("big:{index}"), &value], |reply| {
            *reply == ok()
        });
    }
    for index in [0, 1] {
        let mut client = cluster.node(index).client();
        client.call_until(&["SAVE"], |reply| *reply == ok());
    }
    cluster.restart(2);
    let mut late = cluster.node(2).client();
    assert_eq!(late.call(&["GET", "big:9"]), bulk(&value));
    let info = format!("{:?}", late.call(&["INFO", "persistence"]));
    assert!(!info.contains("snapshot_index:0"), "{info}");
}
