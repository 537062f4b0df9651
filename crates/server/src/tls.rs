//! Certificates, keys and authorities from PEM files to rustls configurations.
//!
//! Clients may be asked for a certificate; peers always are, both ways: the peer port can change
//! the data, so only holders of a certificate of the cluster's own authority get to say a word
//! there.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use crate::config::{Config, TlsClientAuth};
use crate::error::ServeError;
use crate::peer::PeerTls;

/// TLS of the client port, if it is configured.
pub(crate) fn client_port(
    config: &Config,
) -> Result<Option<Arc<rustls::ServerConfig>>, ServeError> {
    let (Some(cert), Some(key)) = (&config.tls_cert, &config.tls_key) else {
        return Ok(None);
    };
    let chain = certificates("tls-cert", cert)?;
    let key = private_key("tls-key", key)?;
    let verifier = match (&config.tls_ca, config.tls_client_auth) {
        (_, TlsClientAuth::No) | (None, _) => None,
        (Some(ca), auth) => Some(verifier("tls-ca", ca, auth == TlsClientAuth::Optional)?),
    };
    let server = server_config("tls-key", cert, chain, key, verifier)?;
    Ok(Some(Arc::new(server)))
}

/// TLS between nodes, if it is configured.
pub(crate) fn peer_port(config: &Config) -> Result<Option<PeerTls>, ServeError> {
    let (Some(cert), Some(key), Some(ca)) = (
        &config.peer_tls_cert,
        &config.peer_tls_key,
        &config.peer_tls_ca,
    ) else {
        return Ok(None);
    };
    let chain = certificates("peer-tls-cert", cert)?;
    let private = private_key("peer-tls-key", key)?;
    let verifier = verifier("peer-tls-ca", ca, false)?;
    let server = server_config(
        "peer-tls-key",
        cert,
        chain.clone(),
        private.clone_key(),
        Some(verifier),
    )?;
    let client = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse("peer-tls-cert", cert, &error))?
        .with_root_certificates(roots("peer-tls-ca", ca)?)
        .with_client_auth_cert(chain, private)
        .map_err(|error| refuse("peer-tls-key", key, &error))?;
    Ok(Some(PeerTls {
        server: Arc::new(server),
        client: Arc::new(client),
    }))
}

fn server_config(
    setting: &'static str,
    path: &Path,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<rustls::ServerConfig, ServeError> {
    let builder = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(setting, path, &error))?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    builder
        .with_single_cert(chain, key)
        .map_err(|error| refuse(setting, path, &error))
}

fn verifier(
    setting: &'static str,
    path: &Path,
    is_optional: bool,
) -> Result<Arc<dyn ClientCertVerifier>, ServeError> {
    let roots = Arc::new(roots(setting, path)?);
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
    if is_optional {
        builder = builder.allow_unauthenticated();
    }
    builder
        .build()
        .map_err(|error| refuse(setting, path, &error))
}

fn roots(setting: &'static str, path: &Path) -> Result<RootCertStore, ServeError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(setting, path)? {
        roots
            .add(certificate)
            .map_err(|error| refuse(setting, path, &error))?;
    }
    Ok(roots)
}

fn certificates(
    setting: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, ServeError> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refuse(setting, path, &error))?;
    if certificates.is_empty() {
        return Err(refuse(setting, path, &"holds no certificate in PEM form"));
    }
    Ok(certificates)
}

fn private_key(setting: &'static str, path: &Path) -> Result<PrivateKeyDer<'static>, ServeError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| refuse(setting, path, &error))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn refuse(setting: &'static str, path: &Path, reason: &dyn std::fmt::Display) -> ServeError {
    ServeError::Tls {
        setting,
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
