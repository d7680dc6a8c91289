//! URLs: `postgresql://user:password@host:port,host:port/database?name=value`.

use percent_encoding::percent_decode_str;

use super::{
    ConnInfoError,
    parameter::{Given, unknown},
};

/// The rest of a PostgreSQL URL; `None` where the text is none.
pub(super) fn without_scheme(text: &str) -> Option<&str> {
    text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://"))
}

/// Reads a URL without its scheme, cutting it where libpq's `conninfo_uri_parse` does.
pub(super) fn parse(text: &str) -> Result<Given, ConnInfoError> {
    let mut given = Given::default();
    let (user_info, rest) = match text.find(['@', '/']) {
        Some(at) if text[at..].starts_with('@') => (Some(&text[..at]), &text[at + 1..]),
        _ => (None, text),
    };
    // An `@` further on comes from a password that is not encoded: then no piece of the URL is safe to show.
    let parsed = parse_parts(&mut given, user_info, rest);
    match parsed {
        Err(_) if rest.contains('@') => Err(mistaken()),
        other => other.map(|()| given),
    }
}

fn parse_parts(given: &mut Given, user_info: Option<&str>, rest: &str) -> Result<(), ConnInfoError> {
    if let Some(user_info) = user_info {
        let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
        store(given, "user", decode(user)?)?;
        store(given, "password", decode(password)?)?;
    }
    let (hosts, rest) = cut(rest, &['/', '?']);
    store_hosts(given, hosts)?;
    let (path, query) = match rest.strip_prefix('/') {
        Some(rest) => cut(rest, &['?']),
        None => ("", rest),
    };
    if path.contains('@') {
        return Err(mistaken());
    }
    store(given, "dbname", decode(path)?)?;
    for pair in query.strip_prefix('?').unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        store_pair(given, pair)?;
    }
    Ok(())
}

/// The text before the first of `ends`, and the rest from there on.
fn cut<'t>(text: &'t str, ends: &[char]) -> (&'t str, &'t str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

fn store_hosts(given: &mut Given, text: &str) -> Result<(), ConnInfoError> {
    let mut hosts = Vec::new();
    let mut ports = Vec::new();
    for entry in text.split(',') {
        let (host, port) = match entry.strip_prefix('[') {
            Some(bracketed) => {
                let (address, rest) = bracketed.split_once(']').ok_or_else(|| {
                    ConnInfoError::new("the IPv6 address in the URL has no closing bracket")
                        .hint("write [::1]:5432")
                })?;
                let port = match rest.strip_prefix(':') {
                    None if !rest.is_empty() => return Err(mistaken()),
                    port => port.unwrap_or_default(),
                };
                (address, port)
            }
            None => entry.split_once(':').unwrap_or((entry, "")),
        };
        // A second colon is what an IPv6 address without brackets looks like.
        if !entry.starts_with('[')
            && port.contains(':')
            && port.chars().all(|c| c.is_ascii_hexdigit() || c == ':')
        {
            return Err(
                ConnInfoError::new("an IPv6 address in a URL needs brackets").hint("write [::1]:5432")
            );
        }
        let (host, port) = (decode(host)?, decode(port)?);
        if host.contains('@') || !port.chars().all(|c| c.is_ascii_digit()) {
            return Err(mistaken());
        }
        hosts.push(host);
        ports.push(port);
    }
    store(given, "host", hosts.join(","))?;
    store(given, "port", ports.join(","))
}

fn store_pair(given: &mut Given, pair: &str) -> Result<(), ConnInfoError> {
    let (name, value) = pair.split_once('=').ok_or_else(|| {
        ConnInfoError::new("a parameter after the `?` of the URL has no value")
            .hint("write ?name=value&name=value, and percent-encode a `?` or `&` that belongs to a value")
    })?;
    let name = decode(name)?;
    given.set(&name, decode(value)?).map_err(|_| unknown(&name))
}

/// Keeps a part of the URL; one that is not there is left to lower places.
fn store(given: &mut Given, name: &str, value: String) -> Result<(), ConnInfoError> {
    if value.is_empty() {
        return Ok(());
    }
    given.set(name, value).map_err(|_| unknown(name))
}

fn decode(text: &str) -> Result<String, ConnInfoError> {
    let bytes = text.as_bytes();
    let whole = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%').all(|(at, _)| {
        bytes.get(at + 1..at + 3).is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit) && pair != b"00")
    });
    let decoded = percent_decode_str(text).decode_utf8().ok().filter(|_| whole);
    decoded.map(std::borrow::Cow::into_owned).ok_or_else(|| {
        ConnInfoError::new("the URL has a `%` that is not followed by two hexadecimal digits of UTF-8 text")
            .hint("a `%` that belongs to the password is written %25")
    })
}

fn mistaken() -> ConnInfoError {
    ConnInfoError::new("the URL cannot be taken apart into user, password, host, port and database").hint(
        "percent-encode special characters of the user and the password: `@` as %40, `/` as %2F, `#` as %23, `:` as \
         %3A, `?` as %3F, `%` as %25",
    )
}
