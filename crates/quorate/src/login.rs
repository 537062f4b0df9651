//! Who one is to a node: flags that the tools which connect to a cluster have in common.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use rustls::ClientConfig;

use crate::{failure::Failure, transport};

/// Who one is to a node, and in which state a connection was: what a new connection must repeat.
#[derive(Debug, Clone, Default)]
pub(crate) struct Login {
    /// TLS, if the node speaks it.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// User, if not the default one.
    pub(crate) user: Option<Vec<u8>>,
    /// Password, if one is needed.
    pub(crate) password: Option<Vec<u8>>,
    /// Whether to speak RESP3.
    pub(crate) is_resp3: bool,
    /// Numbered database.
    pub(crate) database: u32,
}

/// The flags of a login, named as redis-cli names them.
#[derive(Debug, Default, Clone, Args)]
pub(crate) struct LoginArguments {
    /// Password; also taken from REDISCLI_AUTH, where others on this machine cannot see it.
    #[arg(short = 'a', long, value_name = "PASSWORD")]
    pass: Option<String>,
    /// User name.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Speak TLS.
    #[arg(long, requires = "cacert")]
    tls: bool,
    /// Authorities (PEM) one of which must have signed the node's certificate.
    #[arg(long, value_name = "FILE", requires = "tls")]
    cacert: Option<PathBuf>,
    /// Certificate (PEM) to show to the node.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Private key (PEM) of the certificate.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

impl LoginArguments {
    /// What the flags and the environment say.
    pub(crate) fn login(&self) -> Result<Login, Failure> {
        let from_environment = || std::env::var("REDISCLI_AUTH").ok();
        let identity = self.cert.as_deref().zip(self.key.as_deref());
        let tls = match &self.cacert {
            Some(cacert) => Some(transport::client_tls(cacert, identity)?),
            None => None,
        };
        Ok(Login {
            tls,
            user: self.user.clone().map(String::into_bytes),
            password: self
                .pass
                .clone()
                .or_else(from_environment)
                .map(String::into_bytes),
            ..Login::default()
        })
    }
}
