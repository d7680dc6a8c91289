//! libpq's conventions turned into connection settings: URL and keyword strings, `PG*` variables, `.pgpass`,
//! `pg_service.conf`, multi-host, Unix sockets, `sslmode`.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use secrecy::SecretString;
use thiserror::Error;

use crate::PgVars;

/// Everything a connection needs, whatever convention it came from.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to try, in order.
    pub hosts: Vec<Host>,
    /// The user.
    pub user: String,
    /// The password for all hosts, where the string or `PGPASSWORD` gives one; `.pgpass` is asked per host.
    pub password: Option<SecretString>,
    /// The database the settings themselves name, if any.
    pub database: Option<String>,
    /// How TLS is used.
    pub ssl_mode: SslMode,
    /// Authorities to trust; `None` = the system's, as libpq's `sslrootcert=system`.
    pub ssl_root_cert: Option<PathBuf>,
    /// How long to try one host.
    pub connect_timeout: Option<Duration>,
    /// `options`: what is set on the session, such as `-c search_path=x`.
    pub options: Option<String>,
}

/// One place to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name or address.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// The folder of a Unix socket.
    Unix {
        /// The folder.
        folder: PathBuf,
        /// Port, which names the socket.
        port: u16,
    },
}

/// libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Never.
    Disable,
    /// Only where the server insists.
    Allow,
    /// Where the server offers it.
    Prefer,
    /// Always, without looking at the certificate (with a root certificate given: as `VerifyCa`).
    Require,
    /// Always, signed by a trusted authority.
    VerifyCa,
    /// Always, signed by a trusted authority for that very host.
    VerifyFull,
}

/// Reads a URL or keyword string; `text` empty means the variables alone.
pub fn settings(text: &str, vars: &PgVars) -> Result<Settings, ConnInfoError> {
    unimplemented!("{} {vars:?}", text.len())
}

impl Settings {
    /// `host:port`, several joined by commas; never a password.
    pub fn server(&self) -> String {
        unimplemented!()
    }

    /// A URL to a database on that server that psql and any driver accept.
    pub fn url(&self, database: &str) -> SecretString {
        unimplemented!("{database}")
    }

    /// The `PG*` variables that lead a libpq program to a database on that server.
    pub fn vars(&self, database: &str) -> BTreeMap<String, SecretString> {
        unimplemented!("{database}")
    }
}

/// Why connection settings cannot be understood. Never shows a password.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ConnInfoError {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}
