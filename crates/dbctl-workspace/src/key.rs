//! What people type for a database.

use std::{fmt, sync::Arc};

use thiserror::Error;

/// The name of a database in the manifest: `[A-Za-z0-9][A-Za-z0-9._-]*`, without `...`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// Why a text cannot be a [`Key`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// A key has at least one character.
    #[error("it is empty")]
    Empty,
    /// The first character is not a letter or digit.
    #[error("`{0}` starts with `{1}`, and only an ASCII letter or digit may come first")]
    Start(String, char),
    /// A character that a key cannot hold.
    #[error("`{0}` holds `{1}`, and only ASCII letters, digits, `.`, `_` and `-` are allowed")]
    Character(String, char),
    /// `...` selects dependencies and dependents.
    #[error("`{0}` holds `...`, which selects dependencies")]
    Dots(String),
}

impl Key {
    /// Parses a key as the manifest spells it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let first = text.chars().next().ok_or(KeyError::Empty)?;
        if !first.is_ascii_alphanumeric() {
            return Err(KeyError::Start(text.to_owned(), first));
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if let Some(bad) = text.chars().find(|c| !fits(*c)) {
            return Err(KeyError::Character(text.to_owned(), bad));
        }
        if text.contains("...") {
            return Err(KeyError::Dots(text.to_owned()));
        }
        Ok(Self(text.into()))
    }

    /// The key as it is spelled.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_plain_words() {
        for good in ["core", "0", "a.b", "my-app_2", "A..b", "tag"] {
            assert_eq!(Key::parse(good).unwrap().as_str(), good);
        }
        for (bad, message) in [
            ("", "it is empty"),
            ("!core", "`!core` starts with `!`, and only an ASCII letter or digit may come first"),
            ("-x", "`-x` starts with `-`, and only an ASCII letter or digit may come first"),
            ("...a", "`...a` starts with `.`, and only an ASCII letter or digit may come first"),
            ("core...", "`core...` holds `...`, which selects dependencies"),
            ("tag:x", "`tag:x` holds `:`, and only ASCII letters, digits, `.`, `_` and `-` are allowed"),
            ("a/b", "`a/b` holds `/`, and only ASCII letters, digits, `.`, `_` and `-` are allowed"),
            ("größe", "`größe` holds `ö`, and only ASCII letters, digits, `.`, `_` and `-` are allowed"),
        ] {
            assert_eq!(Key::parse(bad).unwrap_err().to_string(), message);
        }
    }
}
