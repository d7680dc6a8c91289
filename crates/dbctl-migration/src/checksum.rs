//! Checksums that compare equal across line endings and byte order marks.

use std::fmt;

use sha2::{Digest, Sha256};

/// A migration's checksum as text, in the notation of whoever computed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum(String);

impl Checksum {
    /// Takes a checksum as it is recorded.
    pub fn recorded(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// dbctl's own: lowercase hex SHA-256 of the text with line endings as `\n` and no byte order mark.
    ///
    /// `\r\n` and a lone `\r` both count as one line ending, so a checkout with other line endings is no change.
    pub fn of_text(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut hash = Sha256::new();
        let mut lines = text.split('\r');
        hash.update(lines.next().unwrap_or_default());
        for line in lines {
            hash.update("\n");
            hash.update(line.strip_prefix('\n').unwrap_or(line));
        }
        Self(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_hex_sha256_of_the_text() {
        // `printf '' | sha256sum` and `printf 'select 1;\n' | sha256sum`.
        let cases = [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("select 1;\n", "4a45092ccf992ea92250053a80b931b787924ba61648f420555511b84f10ab6c"),
        ];
        for (text, expected) in cases {
            assert_eq!(Checksum::of_text(text).as_str(), expected, "{text:?}");
        }
    }

    #[test]
    fn line_endings_and_a_byte_order_mark_do_not_matter() {
        let unix = Checksum::of_text("a\n\nb\n");
        for same in ["a\r\n\r\nb\r\n", "a\r\rb\r", "\u{feff}a\n\nb\n", "\u{feff}a\r\n\nb\r"] {
            assert_eq!(Checksum::of_text(same), unix, "{same:?}");
        }
        for other in ["a\nb\n", "a\n\nb", "a\n\nb\n\n", "a\n\n\u{feff}b\n", "a\n\r\r\nb\n"] {
            assert_ne!(Checksum::of_text(other), unix, "{other:?}");
        }
    }
}
