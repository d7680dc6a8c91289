//! Names of things in a database, and the one function that quotes them.

use std::fmt;

use thiserror::Error;

/// The longest identifier PostgreSQL keeps, in bytes (`NAMEDATALEN - 1`); longer ones are silently cut by the server.
pub const MAX_IDENT_BYTES: usize = 63;

/// Databases that belong to the server itself and that dbctl never creates, migrates or drops.
pub const RESERVED_DATABASES: [&str; 3] = ["postgres", "template0", "template1"];

/// Why a text cannot be an identifier.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdentError {
    /// The name has no characters.
    #[error("the name is empty")]
    Empty,
    /// The server would silently cut the name.
    #[error("the name is {bytes} bytes long; PostgreSQL keeps {MAX_IDENT_BYTES}")]
    TooLong {
        /// Length of the rejected name in bytes.
        bytes: usize,
    },
    /// No identifier can hold a NUL character.
    #[error("the name holds a NUL character")]
    Nul,
    /// The name is one of [`RESERVED_DATABASES`].
    #[error("`{0}` belongs to the server itself")]
    Reserved(String),
}

/// A database's name: 1 to 63 bytes, no NUL, not one of the server's own databases. Any other character is fine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatabaseName(String);

impl DatabaseName {
    /// Parses a name as it is spelled in the manifest or a URL; case and spaces are kept.
    pub fn parse(text: &str) -> Result<Self, IdentError> {
        check_ident(text)?;
        if RESERVED_DATABASES.contains(&text) {
            return Err(IdentError::Reserved(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as the server spells it, unquoted.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DatabaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A table with the schema it lives in; displayed quoted, ready for SQL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// Schema, unquoted.
    pub schema: String,
    /// Table, unquoted.
    pub name: String,
}

impl TableName {
    /// Both parts as they are spelled in the catalog, unquoted.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", quote_ident(&self.schema), quote_ident(&self.name))
    }
}

/// Rejects what PostgreSQL cannot keep as an identifier of any kind.
pub fn check_ident(text: &str) -> Result<(), IdentError> {
    if text.is_empty() {
        return Err(IdentError::Empty);
    }
    if text.contains('\0') {
        return Err(IdentError::Nul);
    }
    if text.len() > MAX_IDENT_BYTES {
        return Err(IdentError::TooLong { bytes: text.len() });
    }
    Ok(())
}

/// Quotes an identifier for SQL, whatever it holds: `my "db"` becomes `"my ""db"""`.
pub fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_as_they_are_or_refused() {
        for good in ["atriz_shared", "my db", "a\"b", "datenbank-ü", "Postgres", &"x".repeat(63)] {
            assert_eq!(DatabaseName::parse(good).unwrap().as_str(), good);
        }
        assert_eq!(DatabaseName::parse(""), Err(IdentError::Empty));
        assert_eq!(DatabaseName::parse("a\0b"), Err(IdentError::Nul));
        assert_eq!(DatabaseName::parse(&"x".repeat(64)), Err(IdentError::TooLong { bytes: 64 }));
        assert_eq!(DatabaseName::parse(&"ü".repeat(32)), Err(IdentError::TooLong { bytes: 64 }));
        for reserved in RESERVED_DATABASES {
            assert_eq!(DatabaseName::parse(reserved), Err(IdentError::Reserved(reserved.to_owned())));
        }
    }

    #[test]
    fn quoting_doubles_quotes() {
        assert_eq!(quote_ident(r#"x"; drop database y; --"#), r#""x""; drop database y; --""#);
        assert_eq!(TableName::new("public", "a b").to_string(), r#""public"."a b""#);
    }
}
