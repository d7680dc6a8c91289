//! Checksums that compare equal across line endings and byte order marks.

use std::fmt;

/// A migration's checksum as text, in the notation of whoever computed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum(String);

impl Checksum {
    /// Takes a checksum as it is recorded.
    pub fn recorded(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// dbctl's own: lowercase hex SHA-256 of the text with line endings as `\n` and no byte order mark.
    pub fn of_text(text: &str) -> Self {
        unimplemented!("{text}")
    }

    /// As it is recorded.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
