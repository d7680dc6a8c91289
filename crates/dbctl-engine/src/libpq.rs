//! libpq's conventions turned into connection settings: URL and keyword strings, `PG*` variables, `.pgpass`,
//! `pg_service.conf`, multi-host, Unix sockets, `sslmode`.
//!
//! What is given in the string wins over the service file, which wins over variables, which win over defaults; a
//! password that none of them gives is looked for in the password file (PostgreSQL 18 manual, 34.1.2 and 34.15–34.17).

mod keyword;
mod own;
mod parameter;
mod passfile;
mod resolve;
mod service;
#[cfg(test)]
mod tests;
mod url;
mod write;

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::SecretString;
use thiserror::Error;

use self::parameter::Given;
pub use self::passfile::Passfile;
use crate::PgVars;

/// How long one host is tried where `connect_timeout` says nothing.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_PORT: u16 = 5432;
/// Where servers put their socket: Debian and its kin, then PostgreSQL's own default.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// Everything a connection needs, whatever convention it came from.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to try, in order.
    pub hosts: Vec<Host>,
    /// The user.
    pub user: String,
    /// The password for all hosts, where the string, the service or `PGPASSWORD` gives one; `.pgpass` is asked per host.
    pub password: Option<SecretString>,
    /// The password file as it was read; asked where `password` is `None`.
    pub passfile: Passfile,
    /// The database the settings themselves name, if any.
    pub database: Option<String>,
    /// How TLS is used.
    pub ssl_mode: SslMode,
    /// Authorities to trust; `None` = the system's.
    pub ssl_root_cert: Option<PathBuf>,
    /// Whether the system's authorities were asked for: `sslrootcert=system`, which few but libpq understand.
    pub ssl_system_roots: bool,
    /// The client's own certificate, PEM.
    pub ssl_cert: Option<PathBuf>,
    /// The key of `ssl_cert`, PEM.
    pub ssl_key: Option<PathBuf>,
    /// How TLS starts.
    pub ssl_negotiation: SslNegotiation,
    /// The oldest and the newest TLS to speak.
    pub ssl_versions: (TlsVersion, TlsVersion),
    /// Whether the server's name is sent in the clear (`sslsni`).
    pub ssl_sni: bool,
    /// Whether log-in is bound to the TLS connection.
    pub channel_binding: ChannelBinding,
    /// Which of the hosts will do.
    pub target: TargetSession,
    /// Whether hosts are tried in random order.
    pub load_balance: bool,
    /// How a dead connection is noticed.
    pub keepalives: Keepalives,
    /// How long to try one host, log-in included; `None` = without end (`connect_timeout=0`).
    pub connect_timeout: Option<Duration>,
    /// `options`: what is set on the session, such as `-c search_path=x`.
    pub options: Option<String>,
    /// Whether this leads to a pooler that gives a session for one transaction only. No convention of libpq's says so: the
    /// manifest does.
    pub pooled: bool,
    /// What was passed over and may surprise, such as a password file that others can read.
    pub notes: Vec<String>,
}

/// One place to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name or address.
    Tcp {
        /// Name or address.
        host: String,
        /// Where the name leads (`hostaddr`); `None` = it is looked up.
        address: Option<IpAddr>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

/// libpq's `sslnegotiation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslNegotiation {
    /// The server is asked first.
    Postgres,
    /// TLS from the first byte, which PostgreSQL 17 and newer understand.
    Direct,
}

/// A version of TLS that we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
}

/// libpq's `channel_binding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// Where both sides can.
    Prefer,
    /// Always.
    Require,
}

/// libpq's `target_session_attrs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetSession {
    /// Any server.
    Any,
    /// One whose sessions may write.
    ReadWrite,
    /// One whose sessions may not write.
    ReadOnly,
    /// One that is not a standby.
    Primary,
    /// A standby.
    Standby,
    /// A standby, else any.
    PreferStandby,
}

/// TCP's own watch over a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalives {
    /// Whether there is any.
    pub enabled: bool,
    /// Silence before the first probe; `None` = the system's.
    pub idle: Option<Duration>,
    /// Time between probes; `None` = the system's.
    pub interval: Option<Duration>,
    /// Unanswered probes after which the connection is dead; `None` = the system's.
    pub count: Option<u32>,
    /// How long data may stay unacknowledged (`tcp_user_timeout`); `None` = the system's.
    pub user_timeout: Option<Duration>,
}

/// Reads a URL or keyword string; `text` empty means the variables alone.
///
/// Reads `pg_service.conf` where a service is named, and the password file where no password is given.
///
/// # Errors
///
/// Anything libpq would refuse, and what libpq offers but this connection cannot do, such as `sslcrl` or GSSAPI.
pub fn settings(text: &str, vars: &PgVars) -> Result<Settings, ConnInfoError> {
    let mut given = parse(text)?;
    service::fill(&mut given, vars)?;
    resolve::resolve(&given, vars)
}

/// The `schema` of a URL, in which Prisma works: it is no setting of a connection. `None` where the text cannot be read.
pub fn schema(text: &str) -> Option<String> {
    parse(text).ok()?.raw(parameter::SCHEMA).filter(|schema| !schema.is_empty()).map(str::to_owned)
}

fn parse(text: &str) -> Result<Given, ConnInfoError> {
    let text = text.trim();
    if let Some(rest) = url::without_scheme(text) {
        return url::parse(rest);
    }
    // A password may hold "://", so only what stands before the first "=" can be a scheme.
    let scheme = text.split_once("://").map(|(scheme, _)| scheme).filter(|scheme| !scheme.contains('='));
    if let Some(scheme) = scheme {
        let shown = if scheme.len() <= 40
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.:-_".contains(c))
        {
            format!("`{scheme}://` is no PostgreSQL URL")
        } else {
            "this is no PostgreSQL URL".to_owned()
        };
        return Err(ConnInfoError::new(shown).hint("write postgresql://user@host:port/database"));
    }
    keyword::parse(text)
}

/// The variables that libpq reads, all of which a child process must not inherit where it is given settings.
pub fn variables() -> impl Iterator<Item = &'static str> {
    let of_parameters =
        parameter::KNOWN.iter().map(|(_, variable)| *variable).filter(|name| !name.is_empty());
    of_parameters.chain(["PGSERVICE", "PGSERVICEFILE"])
}

impl Settings {
    /// The password to log in to a database on one of the hosts with: the given one, else the password file's.
    pub fn password_for(&self, host: &Host, database: &str) -> Option<SecretString> {
        self.password.clone().or_else(|| self.passfile.password(host, database, &self.user))
    }
}

/// `target_session_attrs` as it is written.
pub(crate) fn target_word(target: TargetSession) -> &'static str {
    write::word(&resolve::TARGETS, target)
}

/// The current user's folder that default files are in: `~/.postgresql`, or `%APPDATA%\postgresql`.
fn user_folder(vars: &PgVars) -> Option<PathBuf> {
    if cfg!(windows) {
        vars.get("APPDATA").map(|folder| Path::new(folder).join("postgresql"))
    } else {
        vars.get("HOME").map(|folder| Path::new(folder).join(".postgresql"))
    }
}

/// A default file: `~/.name` or, on Windows, `%APPDATA%\postgresql\windows_name`.
fn user_file(vars: &PgVars, name: &str, windows_name: &str) -> Option<PathBuf> {
    if cfg!(windows) {
        user_folder(vars).map(|folder| folder.join(windows_name))
    } else {
        vars.get("HOME").map(|folder| Path::new(folder).join(name))
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

impl ConnInfoError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}
