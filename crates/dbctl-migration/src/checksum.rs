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

/// A checksum in the notation of the tool that keeps it.
///
/// Most tools hash bytes, so that a checkout with other line endings changes it. What the same text would have had is
/// kept beside it, so that only a changed text counts as changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolChecksum {
    recorded: Checksum,
    alike: Vec<Checksum>,
}

impl ToolChecksum {
    /// Of a file's bytes as they are on disk, by the tool's own hash.
    pub fn of(bytes: &[u8], hash: impl Fn(&[u8]) -> String) -> Self {
        const MARK: &[u8] = b"\xEF\xBB\xBF";
        let bare = bytes.strip_prefix(MARK).unwrap_or(bytes);
        let mut unix = Vec::with_capacity(bare.len());
        for (at, byte) in bare.iter().enumerate() {
            match byte {
                b'\r' if bare.get(at + 1) == Some(&b'\n') => {}
                b'\r' => unix.push(b'\n'),
                other => unix.push(*other),
            }
        }
        let mut windows = Vec::with_capacity(unix.len());
        for byte in &unix {
            if *byte == b'\n' {
                windows.push(b'\r');
            }
            windows.push(*byte);
        }
        let recorded = Checksum(hash(bytes));
        let alike = [unix, windows]
            .iter()
            .flat_map(|text| [hash(text), hash(&[MARK, text].concat())])
            .map(Checksum)
            .filter(|checksum| *checksum != recorded)
            .collect();
        Self { recorded, alike }
    }

    /// Adds another notation of the same checksum, such as an older version of the tool wrote.
    #[must_use]
    pub fn or_as(mut self, spelled: impl Fn(&str) -> String) -> Self {
        let others: Vec<_> = self.all().map(|checksum| Checksum(spelled(checksum.as_str()))).collect();
        self.alike.extend(others);
        self
    }

    /// What the tool would record now.
    pub fn recorded(&self) -> &Checksum {
        &self.recorded
    }

    /// Whether a recorded checksum is that of the same text.
    pub fn covers(&self, recorded: &Checksum) -> bool {
        self.all().any(|checksum| checksum == recorded)
    }

    fn all(&self) -> impl Iterator<Item = &Checksum> {
        std::iter::once(&self.recorded).chain(&self.alike)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tools_checksum_covers_the_same_text() {
        let hash = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let texts = ["a\nb\n", "a\r\nb\r\n", "\u{feff}a\nb\n", "\u{feff}a\r\nb\r\n", "a\r\nb\n"];
        for text in texts {
            let checksum = ToolChecksum::of(text.as_bytes(), hash);
            assert_eq!(checksum.recorded().as_str(), text);
            for same in &texts[..4] {
                assert!(checksum.covers(&Checksum::recorded(*same)), "{text:?} {same:?}");
            }
            for other in ["a\nb", "a\n\nb\n", "ab", "A\nB\n"] {
                assert!(!checksum.covers(&Checksum::recorded(other)), "{text:?} {other:?}");
            }
        }
        let shouted = ToolChecksum::of(b"a\n", hash).or_as(str::to_uppercase);
        assert!(shouted.covers(&Checksum::recorded("A\r\n")) && shouted.covers(&Checksum::recorded("a\n")));
    }

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
