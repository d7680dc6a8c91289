//! The URL that other programs get where the user wrote one: that very text, so that what it says to a driver or an ORM
//! still says it, with only those gaps filled that they could not fill themselves.

use percent_encoding::{percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Host, Settings, resolve, url,
    write::{PART, authorities, host_parameters},
};

/// A URL cut where [`url::parse`] cuts it; put together again, it is the same text.
struct Parts<'t> {
    scheme: &'t str,
    user_info: Option<&'t str>,
    hosts: &'t str,
    path: &'t str,
    query: &'t str,
}

impl<'t> Parts<'t> {
    fn of(text: &'t str) -> Option<Self> {
        let rest = url::without_scheme(text)?;
        let scheme = &text[..text.len() - rest.len()];
        let (user_info, rest) = match rest.find(['@', '/']) {
            Some(at) if rest[at..].starts_with('@') => (Some(&rest[..at]), &rest[at + 1..]),
            _ => (None, rest),
        };
        let (hosts, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
        let path = path.strip_prefix('/').unwrap_or_default();
        Some(Self { scheme, user_info, hosts, path, query: query.strip_prefix('?').unwrap_or_default() })
    }

    /// A parameter of the query, decoded; one that is set to nothing counts as unset.
    fn parameter(&self, wanted: &str) -> Option<String> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        let mut values = pairs.filter(|(name, _)| decode(name) == wanted).map(|(_, value)| decode(value));
        values.next_back().filter(|value| !value.is_empty())
    }

    fn has(&self, name: &str) -> bool {
        self.parameter(name).is_some()
    }

    fn leads_to_hosts_of(&self, settings: &Settings) -> bool {
        let text = format!("{}?{}", self.hosts, self.query);
        url::parse(&text).is_ok_and(|read| resolve::leads_to_hosts_of(&read, settings))
    }
}

/// The text with user, password, host and database where it names none; `None` where it is no URL, or where the settings
/// come from what other programs do not read, such as a service.
pub(super) fn complete(text: &str, settings: &Settings, database: &str) -> Option<SecretString> {
    let parts = Parts::of(text.trim())?;
    let mut added: Vec<(&str, String)> = Vec::new();
    let user_info = user_info(&parts, settings, database, &mut added);
    let hosts = hosts(&parts, settings, &mut added);
    let path = match parts.parameter("dbname") {
        Some(named) if named == database => parts.path.to_owned(),
        // It would win over the path.
        Some(_) => return None,
        None if decode(parts.path) == database => parts.path.to_owned(),
        None => encode(database),
    };
    let mut whole = format!("{}{user_info}{hosts}/{path}", parts.scheme);
    let added = added.iter().map(|(name, value)| format!("{name}={}", encode(value)));
    let query: Vec<String> =
        Some(parts.query.to_owned()).filter(|query| !query.is_empty()).into_iter().chain(added).collect();
    if !query.is_empty() {
        whole = format!("{whole}?{}", query.join("&"));
    }
    let read = url::parse(url::without_scheme(&whole)?).ok()?;
    resolve::leads_to(&read, settings, database).then(|| whole.into())
}

fn user_info(
    parts: &Parts<'_>,
    settings: &Settings,
    database: &str,
    added: &mut Vec<(&str, String)>,
) -> String {
    let (user, password) =
        parts.user_info.map_or(("", ""), |info| info.split_once(':').unwrap_or((info, "")));
    let missing = match password.is_empty() && !parts.has("password") {
        true => settings.one_password(database),
        false => None,
    };
    let in_query = user.is_empty() && parts.has("user");
    let user = if user.is_empty() && !in_query { encode(&settings.user) } else { user.to_owned() };
    match (missing, parts.user_info) {
        (Some(missing), _) if in_query => {
            added.push(("password", missing.expose_secret().to_owned()));
            parts.user_info.map(|info| format!("{info}@")).unwrap_or_default()
        }
        (Some(missing), _) => format!("{user}:{}@", encode(missing.expose_secret())),
        (None, Some(info)) => match info.find(':') {
            Some(colon) => format!("{user}{}@", &info[colon..]),
            None => format!("{user}@"),
        },
        (None, None) if in_query => String::new(),
        (None, None) => format!("{user}@"),
    }
}

fn hosts(parts: &Parts<'_>, settings: &Settings, added: &mut Vec<(&str, String)>) -> String {
    let in_place = parts.hosts.split(',').any(|entry| !entry.is_empty() && !entry.starts_with(':'));
    let in_query = parts.has("host") || parts.has("hostaddr");
    let over_tcp = settings.hosts.iter().all(|host| matches!(host, Host::Tcp { .. }));
    if (in_place || in_query) && parts.leads_to_hosts_of(settings) {
        return parts.hosts.to_owned();
    }
    match (in_query, over_tcp) {
        (false, true) => authorities(&settings.hosts),
        (false, false) => {
            added.extend(host_parameters(&settings.hosts));
            String::new()
        }
        // Only the port comes from elsewhere.
        (true, _) => {
            let [_, port] = host_parameters(&settings.hosts);
            added.push(port);
            parts.hosts.to_owned()
        }
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, PART).to_string()
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
