//! The embedded server: a private PostgreSQL that dbctl starts on demand, one per repository.

mod error;
mod home;

use std::path::{Path, PathBuf};

use secrecy::SecretString;

pub use error::EmbeddedError;
pub use home::EmbeddedHome;

/// Which embedded server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedSpec {
    /// The workspace's root folder; its repository (`git rev-parse --git-common-dir`) decides which server it is.
    pub workspace: PathBuf,
    /// The major version asked for; `None` takes the newest there is.
    pub major: Option<u32>,
    /// Where the user's folders are and where programs are looked for.
    pub home: EmbeddedHome,
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
    /// The postmaster's process id.
    pub pid: u32,
}

/// PostgreSQL's server programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The folder with `initdb` and `postgres`.
    pub bin: PathBuf,
    /// Full version, such as `15.18`.
    pub version: String,
}

/// Makes sure the server runs, starting it where it does not, and says how to reach it.
pub async fn ensure(spec: &EmbeddedSpec) -> Result<Running, EmbeddedError> {
    Err(EmbeddedError::Placeholder(spec.workspace.clone()))
}

/// Says how to reach the server where it runs; never starts it.
pub async fn status(spec: &EmbeddedSpec) -> Result<Option<Running>, EmbeddedError> {
    Err(EmbeddedError::Placeholder(spec.workspace.clone()))
}

/// Stops the server and cleans up after one that crashed; `false` where it did not run.
pub async fn stop(spec: &EmbeddedSpec) -> Result<bool, EmbeddedError> {
    Err(EmbeddedError::Placeholder(spec.workspace.clone()))
}

/// Finds PostgreSQL's server programs, of a major version where one is asked for.
pub fn find(major: Option<u32>, home: &EmbeddedHome) -> Result<Binaries, EmbeddedError> {
    let _ = (major, home);
    Err(EmbeddedError::Placeholder(PathBuf::new()))
}

/// Finds a client program such as `psql` or `pg_dump`: PATH first, then the well-known folders.
pub fn client_tool(name: &str, home: &EmbeddedHome) -> Option<PathBuf> {
    home.path.iter().map(|folder| folder.join(name)).find(|path: &PathBuf| Path::is_file(path))
}
