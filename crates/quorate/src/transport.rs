//! The bytes of a connection: in the clear, or through TLS.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};

use crate::failure::Failure;

/// A stream to a node.
pub(crate) enum Transport {
    /// In the clear.
    Plain(TcpStream),
    /// Through TLS.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Transport {
    /// Wraps a stream, for TLS as the client of a host of this name. The handshake comes with the
    /// first bytes.
    pub(crate) fn new(
        stream: TcpStream,
        tls: Option<&Arc<ClientConfig>>,
        host: &str,
    ) -> io::Result<Self> {
        let Some(tls) = tls else {
            return Ok(Self::Plain(stream));
        };
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
        Ok(Self::Tls(Box::new(StreamOwned::new(connection, stream))))
    }

    /// Whether the bytes go through TLS.
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether it has not been agreed yet how to speak TLS.
    pub(crate) fn is_handshaking(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.conn.is_handshaking(),
        }
    }

    /// The stream below, for its time-outs.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// TLS for a client that trusts the authorities in `cacert`, and shows a certificate if it has one.
pub(crate) fn client_tls(
    cacert: &Path,
    identity: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>, Failure> {
    let refuse = |flag: &str, path: &Path, reason: &dyn std::fmt::Display| {
        Failure::usage(format!("--{flag}: {}: {reason}", path.display()))
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(cacert).map_err(|error| refuse("cacert", cacert, &error))? {
        roots
            .add(certificate)
            .map_err(|error| refuse("cacert", cacert, &error))?;
    }
    if roots.is_empty() {
        return Err(refuse(
            "cacert",
            cacert,
            &"holds no certificate in PEM form",
        ));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse("cacert", cacert, &error))?
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = certificates(cert).map_err(|error| refuse("cert", cert, &error))?;
            let private =
                PrivateKeyDer::from_pem_file(key).map_err(|error| refuse("key", key, &error))?;
            builder
                .with_client_auth_cert(chain, private)
                .map_err(|error| refuse("key", key, &error))?
        }
    };
    Ok(Arc::new(config))
}

fn certificates(
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, rustls::pki_types::pem::Error> {
    CertificateDer::pem_file_iter(path)?.collect()
}
