//! `sqlx.toml`: the part of it that says how migrations are recorded.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::surroundings::above;
use crate::{Folder, FormatError, text::position};

/// What `[migrate]` of `sqlx.toml` says; all defaults where there is no such file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Config {
    /// The schema that the table's name starts with.
    pub(super) schema: Option<String>,
    /// The table.
    pub(super) table: Option<String>,
    /// Characters that checksums leave out.
    pub(super) ignored: Vec<char>,
}

impl Config {
    /// The nearest `sqlx.toml` above a folder, within its repository.
    pub(super) fn around(folder: &Folder) -> Result<Self, FormatError> {
        for above in above(&folder.files, &folder.path) {
            let path = above.join("sqlx.toml");
            let error = match folder.files.read_to_string(&path) {
                Ok(text) => match Self::parse(&text) {
                    Ok(config) => return Ok(config),
                    Err(message) => FormatError::Name { path: shown(folder, &path), message },
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => FormatError::Io { path: shown(folder, &path), source },
            };
            return Err(error);
        }
        Ok(Self::default())
    }

    /// Reads the two settings that matter here and skips everything else, well-formed or not.
    fn parse(text: &str) -> Result<Self, String> {
        let mut config = Self::default();
        let mut section = String::new();
        let mut rest = text;
        while let Some(line) = rest.lines().next() {
            let here = rest;
            rest = rest.get(line.len()..).unwrap_or_default().trim_start_matches(['\r', '\n']);
            let line = line.trim();
            if let Some(header) = line.strip_prefix('[') {
                section = header.split(']').next().unwrap_or_default().replace([' ', '"', '\''], "");
                continue;
            }
            let Some((key, _)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { continue };
            let key = key.replace([' ', '\t', '"', '\''], "");
            let path = if section.is_empty() { key } else { format!("{section}.{key}") };
            let value = here.split_once('=').map_or("", |(_, value)| value);
            let wrong = || {
                let line = position(text, text.len() - here.len()).line;
                format!("line {line}: dbctl cannot read `{path}`, which says how migrations are recorded")
            };
            match &*path {
                "migrate.table-name" => {
                    let (name, _) = string(value).ok_or_else(wrong)?;
                    let (schema, table) = qualified(&name).ok_or_else(wrong)?;
                    (config.schema, config.table) = (schema, Some(table));
                }
                "migrate.ignored-chars" => {
                    let (ignored, after) = characters(value).ok_or_else(wrong)?;
                    (config.ignored, rest) = (ignored, after);
                }
                "migrate" => return Err(wrong()),
                _ => {}
            }
        }
        Ok(config)
    }

    /// The bytes that the tool hashes.
    pub(super) fn hashed(&self, bytes: &[u8]) -> Vec<u8> {
        if self.ignored.is_empty() {
            return bytes.to_vec();
        }
        let text = String::from_utf8_lossy(bytes);
        text.chars().filter(|c| !self.ignored.contains(c)).collect::<String>().into_bytes()
    }
}

/// A file around a folder, as errors show the folder.
fn shown(folder: &Folder, path: &Path) -> PathBuf {
    let root = folder.path.ancestors().nth(folder.shown.components().count());
    root.and_then(|root| path.strip_prefix(root).ok()).unwrap_or(path).to_owned()
}

/// A TOML string of one line at the start, and what follows it.
fn string(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start();
    if let Some(literal) = text.strip_prefix('\'') {
        let (value, rest) = literal.split_once('\'')?;
        return Some((value.to_owned(), rest));
    }
    let mut rest = text.strip_prefix('"')?;
    let mut value = String::new();
    loop {
        let c = rest.chars().next()?;
        rest = &rest[c.len_utf8()..];
        match c {
            '"' => return Some((value, rest)),
            '\n' => return None,
            '\\' => {
                let escape = rest.chars().next()?;
                rest = &rest[escape.len_utf8()..];
                let digits = match escape {
                    'u' => 4,
                    'U' => 8,
                    _ => 0,
                };
                if digits > 0 {
                    value.push(char::from_u32(u32::from_str_radix(rest.get(..digits)?, 16).ok()?)?);
                    rest = &rest[digits..];
                    continue;
                }
                value.push(match escape {
                    'b' => '\u{8}',
                    't' => '\t',
                    'n' => '\n',
                    'f' => '\u{c}',
                    'r' => '\r',
                    '"' | '\\' => escape,
                    _ => return None,
                });
            }
            other => value.push(other),
        }
    }
}

/// A TOML array of strings of one character each, and what follows it.
fn characters(text: &str) -> Option<(Vec<char>, &str)> {
    let mut rest = text.trim_start().strip_prefix('[')?;
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start().trim_start_matches(',').trim_start();
        if let Some(comment) = rest.strip_prefix('#') {
            rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(after) = rest.strip_prefix(']') {
            return Some((found, after));
        } else {
            let (value, after) = string(rest)?;
            let mut characters = value.chars();
            found.push(characters.next().filter(|_| characters.next().is_none())?);
            rest = after;
        }
    }
}

/// A table's name as SQL spells it, with or without its schema.
fn qualified(text: &str) -> Option<(Option<String>, String)> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (name, after) = quoted.split_once('"')?;
            parts.push(name.to_owned());
            rest = after;
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            parts.push(rest[..end].to_lowercase());
            rest = &rest[end..];
        }
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None if rest.is_empty() => break,
            None => return None,
        }
    }
    if parts.iter().any(|part| crate::ident::check_ident(part).is_err()) {
        return None;
    }
    let table = parts.pop()?;
    let schema = parts.pop();
    parts.is_empty().then_some((schema, table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_settings_are_read_and_the_rest_is_not() {
        let text = "\
# table-name = \"no\"
[common]
database-url-var = 'FOO_URL'
[migrate]
create-schemas = [\"foo\"]
table-name = \"foo._sqlx_migrations\" # yes
ignored-chars = [\" \", '\t', # blanks
  \"\\r\", \"\\n\", \"\\uFEFF\",
]
[migrate.defaults]
migration-type = \"reversible\"
[macros.table-overrides]
migrate = 'x'
";
        let config = Config::parse(text).unwrap();
        assert_eq!(config.schema.as_deref(), Some("foo"));
        assert_eq!(config.table.as_deref(), Some("_sqlx_migrations"));
        assert_eq!(config.ignored, [' ', '\t', '\r', '\n', '\u{feff}']);
        assert_eq!(config.hashed("\u{feff}a b\r\n\tc".as_bytes()), b"abc");
        assert_eq!(Config::parse(&text.replace('\n', "\r\n")).unwrap(), config);
        assert_eq!(Config::parse("migrate.table-name = 'My'").unwrap().table.as_deref(), Some("my"));
        assert_eq!(
            Config::parse("[migrate]\n\"table-name\" = '\"My\".\"T.x\"'").unwrap(),
            Config { schema: Some("My".to_owned()), table: Some("T.x".to_owned()), ..Config::default() }
        );
        assert_eq!(Config::parse("").unwrap(), Config::default());
        assert_eq!(Config::default().hashed(b"a\xFF"), b"a\xFF");
    }

    #[test]
    fn what_cannot_be_read_is_an_error_with_its_line() {
        for (text, line) in [
            ("[migrate]\ntable-name = 5", 2),
            ("\n\n[migrate]\ntable-name = \"\"", 4),
            ("[migrate]\ntable-name = \"a.b.c\"", 2),
            ("[migrate]\ntable-name = \"a", 2),
            ("[migrate]\ntable-name = \"\\q\"", 2),
            ("[migrate]\ntable-name = '\"a\"b'", 2),
            ("[migrate]\nignored-chars = [\"ab\"]", 2),
            ("[migrate]\nignored-chars = [\"a\"", 2),
            ("migrate = { table-name = \"a\" }", 1),
        ] {
            let message = Config::parse(text).unwrap_err();
            assert!(message.starts_with(&format!("line {line}: dbctl cannot read `migrate")), "{message}");
        }
    }
}
