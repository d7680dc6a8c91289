//! Settings written down again: for messages, as a URL, as variables.

use std::{collections::BTreeMap, path::Path};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

use super::{
    ChannelBinding, DEFAULT_TIMEOUT, Host, Settings, SslMode, SslNegotiation, TargetSession, TlsVersion, own,
    resolve::{MODES, TARGETS},
};

/// What stays as it is everywhere in a URL.
pub(super) const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What stays as it is in a parameter's value: paths and lists stay readable.
const VALUE: &AsciiSet = &PART.remove(b'/').remove(b',');

impl Host {
    /// The port.
    pub fn port(&self) -> u16 {
        match self {
            Self::Tcp { port, .. } | Self::Unix { port, .. } => *port,
        }
    }

    /// `host:port`, or the path of the socket.
    pub fn server(&self) -> String {
        match self {
            Self::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port, .. } => format!("{host}:{port}"),
            Self::Unix { folder, port } => folder.join(format!(".s.PGSQL.{port}")).display().to_string(),
        }
    }

    /// What libpq takes as `host`.
    fn name(&self) -> String {
        match self {
            Self::Tcp { host, .. } => host.clone(),
            Self::Unix { folder, .. } => folder.display().to_string(),
        }
    }

    fn address(&self) -> String {
        match self {
            Self::Tcp { address: Some(address), .. } => address.to_string(),
            Self::Tcp { address: None, .. } | Self::Unix { .. } => String::new(),
        }
    }
}

impl Settings {
    /// `host:port` or a socket's path, several joined by commas; never a password.
    pub fn server(&self) -> String {
        self.list(Host::server)
    }

    /// A URL to a database on that server that psql and any driver accept: what is libpq's default is left out. Holds
    /// the password, also one from the password file; only where that has different ones for several hosts, it has none.
    pub fn url(&self, database: &str) -> SecretString {
        let password = self.one_password(database);
        let mut url = format!("postgresql://{}", utf8_percent_encode(&self.user, PART));
        if let Some(password) = &password {
            url.push(':');
            url.extend(utf8_percent_encode(password.expose_secret(), PART));
        }
        url.push('@');
        let mut parameters = self.parameters(password.is_some());
        if self.hosts.iter().all(|host| matches!(host, Host::Tcp { .. })) {
            url.push_str(&authorities(&self.hosts));
        } else {
            parameters.splice(0..0, host_parameters(&self.hosts));
        }
        url.push('/');
        url.extend(utf8_percent_encode(database, PART));
        for (at, (name, value)) in parameters.iter().enumerate() {
            url.push(if at == 0 { '?' } else { '&' });
            url.push_str(name);
            url.push('=');
            url.extend(utf8_percent_encode(value, VALUE));
        }
        url.into()
    }

    /// The URL of a database on that server for another program: `text`, which these are the settings of, where it is a
    /// URL, with only what it leaves to variables and files put in; else [`Self::url`].
    pub fn url_from(&self, text: &str, database: &str) -> SecretString {
        own::complete(text, self, database).unwrap_or_else(|| self.url(database))
    }

    /// The `PG*` variables that lead a libpq program to a database on that server. They take the place of all other
    /// `PG*` variables: a `PGSERVICE` or `PGHOSTADDR` beside them would lead elsewhere. `sslmode=prefer`, which is
    /// libpq's own choice, is left out: to node-postgres it means TLS or nothing.
    pub fn vars(&self, database: &str) -> BTreeMap<String, SecretString> {
        let password = self.one_password(database);
        let mut vars: BTreeMap<String, SecretString> = [
            ("PGHOST", self.list(Host::name)),
            ("PGPORT", self.list(|host| host.port().to_string())),
            ("PGUSER", self.user.clone()),
            ("PGDATABASE", database.to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
        for (name, value) in self.parameters(password.is_some()) {
            // Keepalives and the socket's name have no variable; programs live without the former.
            let variable = super::parameter::variable(name);
            if !variable.is_empty() {
                vars.insert(variable.to_owned(), value.into());
            }
        }
        vars.extend(password.map(|password| ("PGPASSWORD".to_owned(), password)));
        vars
    }

    /// The password, where it is the same for all hosts.
    pub(super) fn one_password(&self, database: &str) -> Option<SecretString> {
        let mut passwords = self.hosts.iter().map(|host| self.password_for(host, database));
        let first = passwords.next().flatten()?;
        let same = |other: Option<SecretString>| {
            other.is_some_and(|other| other.expose_secret() == first.expose_secret())
        };
        passwords.all(same).then_some(first)
    }

    /// Everything but hosts, user, password and database that is not libpq's default.
    fn parameters(&self, has_password: bool) -> Vec<(&'static str, String)> {
        let path = |path: &Path| path.display().to_string();
        let flag = |set: bool, value: &str| set.then(|| value.to_owned());
        let has_address = self.hosts.iter().any(|host| !host.address().is_empty());
        let version = |version| match version {
            TlsVersion::V12 => "TLSv1.2".to_owned(),
            TlsVersion::V13 => "TLSv1.3".to_owned(),
        };
        let (oldest, newest) = self.ssl_versions;
        let keep = &self.keepalives;
        let all = [
            ("hostaddr", has_address.then(|| self.list(Host::address))),
            ("sslmode", flag(self.ssl_mode != SslMode::Prefer, word(&MODES, self.ssl_mode))),
            (
                "sslrootcert",
                self.ssl_root_cert.as_deref().map(path).or(flag(self.ssl_system_roots, "system")),
            ),
            ("sslcert", self.ssl_cert.as_deref().map(path)),
            ("sslkey", self.ssl_key.as_deref().map(path)),
            ("sslnegotiation", flag(self.ssl_negotiation == SslNegotiation::Direct, "direct")),
            ("ssl_min_protocol_version", (oldest != TlsVersion::V12).then(|| version(oldest))),
            ("ssl_max_protocol_version", (newest != TlsVersion::V13).then(|| version(newest))),
            ("sslsni", flag(!self.ssl_sni, "0")),
            (
                "channel_binding",
                match self.channel_binding {
                    ChannelBinding::Prefer => None,
                    ChannelBinding::Disable => Some("disable".to_owned()),
                    ChannelBinding::Require => Some("require".to_owned()),
                },
            ),
            ("target_session_attrs", flag(self.target != TargetSession::Any, word(&TARGETS, self.target))),
            ("load_balance_hosts", flag(self.load_balance, "random")),
            ("keepalives", flag(!keep.enabled, "0")),
            ("keepalives_idle", keep.idle.map(|idle| idle.as_secs().to_string())),
            ("keepalives_interval", keep.interval.map(|interval| interval.as_secs().to_string())),
            ("keepalives_count", keep.count.map(|count| count.to_string())),
            ("tcp_user_timeout", keep.user_timeout.map(|timeout| timeout.as_millis().to_string())),
            (
                "connect_timeout",
                (self.connect_timeout != Some(DEFAULT_TIMEOUT))
                    .then(|| self.connect_timeout.map_or(0, |timeout| timeout.as_secs()).to_string()),
            ),
            ("options", self.options.clone()),
            ("passfile", self.passfile.named().filter(|_| !has_password).map(|named| path(named))),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    fn list(&self, text: impl Fn(&Host) -> String) -> String {
        list(&self.hosts, text)
    }
}

fn list(hosts: &[Host], text: impl Fn(&Host) -> String) -> String {
    hosts.iter().map(text).collect::<Vec<_>>().join(",")
}

/// Hosts as they stand in a URL; none of them is a socket.
pub(super) fn authorities(hosts: &[Host]) -> String {
    list(hosts, authority)
}

/// Hosts as parameters, which sockets need.
pub(super) fn host_parameters(hosts: &[Host]) -> [(&'static str, String); 2] {
    [("host", list(hosts, Host::name)), ("port", list(hosts, |host| host.port().to_string()))]
}

fn authority(host: &Host) -> String {
    let name = host.name();
    if name.contains(':') {
        return format!("[{}]:{}", name.replace('%', "%25"), host.port());
    }
    format!("{}:{}", utf8_percent_encode(&name, PART), host.port())
}

/// How a choice is written.
pub(super) fn word<T: PartialEq>(words: &[(&'static str, T)], choice: T) -> &'static str {
    words.iter().find(|(_, known)| *known == choice).map_or("", |(word, _)| word)
}
