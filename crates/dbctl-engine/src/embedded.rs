//! The embedded server: a private PostgreSQL that dbctl starts on demand, one per repository.

use std::path::PathBuf;

use secrecy::SecretString;
use thiserror::Error;

/// Which embedded server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedSpec {
    /// The workspace's root folder; its repository (`git rev-parse --git-common-dir`) decides which server it is.
    pub workspace: PathBuf,
    /// The major version asked for; `None` takes the newest there is.
    pub major: Option<u32>,
}

/// A running embedded server.
#[derive(Debug, Clone)]
pub struct Running {
    /// Loopback host.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Superuser.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// Full version, such as `15.18`.
    pub version: String,
    /// Folder of its data.
    pub data: PathBuf,
}

/// Makes sure the server runs, starting it where it does not, and says how to reach it.
pub async fn ensure(spec: &EmbeddedSpec) -> Result<Running, EmbeddedError> {
    unimplemented!("{spec:?}")
}

/// Why there is no embedded server.
#[derive(Debug, Error)]
pub enum EmbeddedError {
    /// placeholder
    #[error("{0}")]
    Other(String),
}
