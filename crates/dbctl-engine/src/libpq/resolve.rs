//! Given values, variables and defaults brought together into settings.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    ChannelBinding, ConnInfoError, DEFAULT_PORT, DEFAULT_TIMEOUT, Host, Keepalives, Passfile, SOCKET_FOLDERS,
    Settings, SslMode, SslNegotiation, TargetSession, TlsVersion,
    parameter::{Given, IDENTITY, SEARCH_PATH, variable},
    user_file, user_folder,
};
use crate::{PgVars, passwd};

/// Where values come from.
struct Source<'a> {
    given: &'a Given,
    vars: &'a PgVars,
}

impl<'a> Source<'a> {
    /// A parameter's value; one that is set to nothing is the default, and so is `None`.
    fn get(&self, name: &str) -> Option<&'a str> {
        let value = self.given.raw(name).or_else(|| match variable(name) {
            "" => None,
            variable => self.vars.get(variable),
        });
        value.filter(|value| !value.is_empty())
    }

    /// One of a few words.
    fn choice<T: Copy>(&self, name: &str, words: &[(&str, T)], default: T) -> Result<T, ConnInfoError> {
        let Some(value) = self.get(name) else { return Ok(default) };
        words.iter().find(|(word, _)| *word == value).map(|(_, choice)| *choice).ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            ConnInfoError::new(format!("invalid value for {}", self.place(name)))
                .hint(format!("it is one of {}", words.join(", ")))
        })
    }

    fn number(&self, name: &str) -> Result<Option<i64>, ConnInfoError> {
        self.get(name)
            .map(|value| {
                value
                    .trim()
                    .parse()
                    .map_err(|_| ConnInfoError::new(format!("{} is not a whole number", self.place(name))))
            })
            .transpose()
    }

    /// A count above zero; anything else leaves it to the system, as in libpq.
    fn count(&self, name: &str) -> Result<Option<u32>, ConnInfoError> {
        Ok(self.number(name)?.filter(|number| *number > 0).and_then(|number| u32::try_from(number).ok()))
    }

    /// How a message names a parameter: by its variable where it comes from there.
    fn place(&self, name: &str) -> String {
        match variable(name) {
            variable if !variable.is_empty() && self.given.raw(name).is_none() => variable.to_owned(),
            _ => format!("`{name}`"),
        }
    }
}

/// Brings everything together.
pub(super) fn resolve(given: &Given, vars: &PgVars) -> Result<Settings, ConnInfoError> {
    let from = Source { given, vars };
    let mut notes = Vec::new();
    refuse_unsupported(&from)?;
    let hosts = hosts(&from)?;
    let tls = tls(&from, &hosts, &mut notes)?;
    let password = from.get("password").map(Into::into);
    let passfile = match password {
        Some(_) => Passfile::default(),
        None => passfile(&from, &mut notes),
    };
    Ok(Settings {
        hosts,
        user: user(&from)?,
        password,
        passfile,
        database: from.get("dbname").map(str::to_owned),
        ssl_mode: tls.mode,
        ssl_root_cert: tls.root_cert,
        ssl_system_roots: tls.system_roots,
        ssl_cert: tls.cert,
        ssl_key: tls.key,
        ssl_negotiation: tls.negotiation,
        ssl_versions: tls.versions,
        ssl_sni: from.get("sslsni") != Some("0"),
        channel_binding: from.choice(
            "channel_binding",
            &[
                ("disable", ChannelBinding::Disable),
                ("prefer", ChannelBinding::Prefer),
                ("require", ChannelBinding::Require),
            ],
            ChannelBinding::Prefer,
        )?,
        target: from.choice("target_session_attrs", &TARGETS, TargetSession::Any)?,
        load_balance: from.choice("load_balance_hosts", &[("disable", false), ("random", true)], false)?,
        keepalives: Keepalives {
            enabled: from.number("keepalives")? != Some(0),
            idle: from.count("keepalives_idle")?.map(seconds),
            interval: from.count("keepalives_interval")?.map(seconds),
            count: from.count("keepalives_count")?,
            user_timeout: from.count("tcp_user_timeout")?.map(|ms| Duration::from_millis(ms.into())),
        },
        connect_timeout: match from.number("connect_timeout")? {
            None => Some(DEFAULT_TIMEOUT),
            Some(_) => from.count("connect_timeout")?.map(seconds),
        },
        options: options(&from),
        pooled: false,
        notes,
    })
}

/// Whether what was given leads to the same place as the settings for whoever has nothing else to go by.
pub(super) fn leads_to(given: &Given, settings: &Settings, database: &str) -> bool {
    let from = Source { given, vars: &PgVars::default() };
    from.get("service").is_none()
        && from.get("user") == Some(&settings.user)
        && from.get("dbname") == Some(database)
        && leads_to_hosts_of(given, settings)
}

/// [`leads_to`], as far as hosts and ports go.
pub(super) fn leads_to_hosts_of(given: &Given, settings: &Settings) -> bool {
    hosts(&Source { given, vars: &PgVars::default() }).is_ok_and(|hosts| hosts == settings.hosts)
}

/// `target_session_attrs` as it is written.
pub(super) const TARGETS: [(&str, TargetSession); 6] = [
    ("any", TargetSession::Any),
    ("read-write", TargetSession::ReadWrite),
    ("read-only", TargetSession::ReadOnly),
    ("primary", TargetSession::Primary),
    ("standby", TargetSession::Standby),
    ("prefer-standby", TargetSession::PreferStandby),
];

/// `sslmode` as it is written.
pub(super) const MODES: [(&str, SslMode); 6] = [
    ("disable", SslMode::Disable),
    ("allow", SslMode::Allow),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

/// What asks for protection or a protocol that this connection cannot give is refused rather than passed over.
fn refuse_unsupported(from: &Source<'_>) -> Result<(), ConnInfoError> {
    for name in [
        "sslcrl",
        "sslcrldir",
        "requirepeer",
        "require_auth",
        "sslpassword",
        "scram_client_key",
        "scram_server_key",
    ] {
        if from.get(name).is_some() {
            return Err(ConnInfoError::new(format!("{} is not supported", from.place(name))));
        }
    }
    from.choice("gssencmode", &[("disable", ()), ("prefer", ())], ())?;
    from.choice("replication", &[("false", ()), ("off", ()), ("no", ()), ("0", ())], ())?;
    let encoding = from.get("client_encoding").map(str::to_ascii_lowercase);
    match encoding.as_deref() {
        None | Some("utf8" | "utf-8" | "unicode" | "auto") => Ok(()),
        Some(_) => Err(ConnInfoError::new("`client_encoding` is not UTF8")
            .hint("leave it out: dbctl always speaks UTF8")),
    }
}

fn hosts(from: &Source<'_>) -> Result<Vec<Host>, ConnInfoError> {
    let list = |name| from.get(name).map(|text| text.split(',').map(str::trim).collect::<Vec<_>>());
    let names = list("host");
    let addresses = list("hostaddr");
    let ports = list("port").unwrap_or_else(|| vec![""]);
    let count = names.as_ref().or(addresses.as_ref()).map_or(1, Vec::len);
    let names = names.unwrap_or_else(|| vec![""; count]);
    let addresses = addresses.unwrap_or_else(|| vec![""; count]);
    if addresses.len() != count {
        return Err(ConnInfoError::new(format!(
            "{count} hosts, but {} values of `hostaddr`",
            addresses.len()
        )));
    }
    if ports.len() != 1 && ports.len() != count {
        return Err(ConnInfoError::new(format!("{count} hosts, but {} ports", ports.len()))
            .hint("give one port for all hosts, or one for each"));
    }
    let each = names.iter().zip(&addresses).enumerate();
    each.map(|(at, (name, address))| host(from, name, address, ports.get(at).unwrap_or(&ports[0]))).collect()
}

fn host(from: &Source<'_>, name: &str, address: &str, port: &str) -> Result<Host, ConnInfoError> {
    let port = match port {
        "" => DEFAULT_PORT,
        port => port.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
            ConnInfoError::new(format!("{} is not a port between 1 and 65535", from.place("port")))
        })?,
    };
    if !address.is_empty() {
        let address: IpAddr = address.parse().map_err(|_| {
            ConnInfoError::new(format!("{} is not a numeric IP address", from.place("hostaddr")))
                .hint("put a name into `host`")
        })?;
        let host = if name.is_empty() { address.to_string() } else { name.to_owned() };
        let address = Some(address).filter(|address| host != address.to_string());
        return Ok(Host::Tcp { host, address, port });
    }
    match name {
        "" => Ok(default_host(port)),
        folder if folder.starts_with('/') => Ok(Host::Unix { folder: PathBuf::from(folder), port }),
        abstracted if abstracted.starts_with('@') => {
            Err(ConnInfoError::new("sockets in the abstract namespace (host=@…) are not supported"))
        }
        host => Ok(Host::Tcp { host: host.to_owned(), address: None, port }),
    }
}

/// The socket that is there, else TCP: libpq has one folder built in, but which differs between distributions.
fn default_host(port: u16) -> Host {
    let socket = |folder: &&&str| cfg!(unix) && Path::new(folder).join(format!(".s.PGSQL.{port}")).exists();
    match SOCKET_FOLDERS.iter().find(socket) {
        Some(folder) => Host::Unix { folder: PathBuf::from(folder), port },
        None => Host::Tcp { host: "localhost".to_owned(), address: None, port },
    }
}

fn user(from: &Source<'_>) -> Result<String, ConnInfoError> {
    let given = from.get("user").or_else(|| from.vars.get("USER")).map(str::to_owned);
    // Containers often have no `USER`.
    given.or_else(|| passwd::current().map(|user| user.name)).ok_or_else(|| {
        ConnInfoError::new("nothing says which user to connect as").hint("put it in the URL, or set PGUSER")
    })
}

fn passfile(from: &Source<'_>, notes: &mut Vec<String>) -> Passfile {
    let named = from.get("passfile").map(PathBuf::from);
    let usual = || user_file(from.vars, ".pgpass", "pgpass.conf");
    let is_named = named.is_some();
    let Some(path) = named.or_else(usual) else { return Passfile::default() };
    let (passfile, note) = Passfile::read(path, is_named);
    notes.extend(note);
    passfile
}

fn options(from: &Source<'_>) -> Option<String> {
    let search_path = from.get(SEARCH_PATH).map(|path| {
        let escaped = path.replace('\\', r"\\").replace(' ', r"\ ");
        format!("-c search_path={escaped}")
    });
    let both: Vec<String> = from.get("options").map(str::to_owned).into_iter().chain(search_path).collect();
    Some(both.join(" ")).filter(|options| !options.is_empty())
}

struct Tls {
    mode: SslMode,
    root_cert: Option<PathBuf>,
    system_roots: bool,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    negotiation: SslNegotiation,
    versions: (TlsVersion, TlsVersion),
}

fn tls(from: &Source<'_>, hosts: &[Host], notes: &mut Vec<String>) -> Result<Tls, ConnInfoError> {
    let usual =
        |name: &str| user_folder(from.vars).map(|folder| folder.join(name)).filter(|path| path.is_file());
    let root = from.get("sslrootcert");
    let system = root == Some("system");
    let default = if system { SslMode::VerifyFull } else { SslMode::Prefer };
    let mode = from.choice("sslmode", &MODES, default)?;
    let root_cert = match root {
        Some(_) if system => None,
        Some(path) => Some(PathBuf::from(path)),
        None => usual("root.crt"),
    };
    let over_tcp = hosts.iter().any(|host| matches!(host, Host::Tcp { .. }));
    if system && mode < SslMode::VerifyFull {
        return Err(ConnInfoError::new("`sslmode` is too weak for sslrootcert=system")
            .hint("use sslmode=verify-full"));
    }
    if mode == SslMode::VerifyCa && root_cert.is_none() && over_tcp {
        return Err(ConnInfoError::new("sslmode=verify-ca needs to know whom to trust")
            .hint("name the authority's file with sslrootcert=, or use sslmode=verify-full"));
    }
    let negotiation = from.choice(
        "sslnegotiation",
        &[("postgres", SslNegotiation::Postgres), ("direct", SslNegotiation::Direct)],
        SslNegotiation::Postgres,
    )?;
    if negotiation == SslNegotiation::Direct && mode < SslMode::Require {
        return Err(ConnInfoError::new("`sslmode` is too weak for sslnegotiation=direct")
            .hint("use sslmode=require, verify-ca or verify-full"));
    }
    if from.get(IDENTITY).is_some() {
        notes.push(
            "`sslidentity` is ignored: give the client's certificate as PEM with sslcert and sslkey"
                .to_owned(),
        );
    }
    let (cert, key) = client_certificate(from, usual)?;
    Ok(Tls { mode, root_cert, system_roots: system, cert, key, negotiation, versions: versions(from)? })
}

fn client_certificate(
    from: &Source<'_>,
    usual: impl Fn(&str) -> Option<PathBuf>,
) -> Result<(Option<PathBuf>, Option<PathBuf>), ConnInfoError> {
    if !from.choice("sslcertmode", &[("disable", false), ("allow", true)], true)? {
        return Ok((None, None));
    }
    let Some(cert) = from.get("sslcert").map(PathBuf::from).or_else(|| usual("postgresql.crt")) else {
        return Ok((None, None));
    };
    match from.get("sslkey").map(PathBuf::from).or_else(|| usual("postgresql.key")) {
        Some(key) => Ok((Some(cert), Some(key))),
        None => Err(ConnInfoError::new(format!("the client certificate {} has no key", cert.display()))
            .hint("name its key with sslkey= or PGSSLKEY")),
    }
}

fn versions(from: &Source<'_>) -> Result<(TlsVersion, TlsVersion), ConnInfoError> {
    use TlsVersion::{V12, V13};
    let oldest = from.choice(
        "ssl_min_protocol_version",
        &[("TLSv1", V12), ("TLSv1.1", V12), ("TLSv1.2", V12), ("TLSv1.3", V13)],
        V12,
    )?;
    let newest = from.choice("ssl_max_protocol_version", &[("TLSv1.2", V12), ("TLSv1.3", V13)], V13)?;
    if oldest > newest {
        return Err(ConnInfoError::new("`ssl_min_protocol_version` is above `ssl_max_protocol_version`"));
    }
    Ok((oldest, newest))
}
