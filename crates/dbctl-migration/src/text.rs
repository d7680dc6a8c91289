//! Files as text: encodings, and positions for people.

use std::{fmt::Write as _, path::Path};

use crate::FormatError;

/// A place in a file for people: line and column in characters, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// The position of a byte offset; an offset past the end is the end, one inside a character is that character.
///
/// A line ends with `\n`, `\r\n` or a lone `\r`, as editors and PostgreSQL's own lexer see it. Linear in `offset`.
pub fn position(text: &str, offset: usize) -> Position {
    let offset = floor_char_boundary(text, offset);
    let bytes = text.as_bytes();
    let mut line = 1;
    let mut line_start = 0;
    for (at, byte) in bytes[..offset].iter().enumerate() {
        let ends_line = match byte {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        };
        if ends_line {
            line += 1;
            line_start = at + 1;
        }
    }
    Position { line, column: text[line_start..offset].chars().count() + 1 }
}

/// The line that a byte offset is on, without its end, by the rules of [`position`].
pub fn line_at(text: &str, offset: usize) -> &str {
    let offset = floor_char_boundary(text, offset);
    let is_end = |c: char| matches!(c, '\n' | '\r');
    // Between the two characters of one end is the line before them.
    let before = text[..offset].strip_suffix('\r').filter(|_| text[offset..].starts_with('\n'));
    let start = before.unwrap_or(&text[..offset]).rfind(is_end).map_or(0, |end| end + 1);
    let rest = &text[start..];
    &rest[..rest.find(is_end).unwrap_or(rest.len())]
}

/// The byte offset of the character with that number, from 0; past the end is the end.
pub fn offset_of_char(text: &str, index: usize) -> usize {
    text.char_indices().nth(index).map_or(text.len(), |(offset, _)| offset)
}

/// A text as one line, for messages that repeat what a file or its name holds: control characters are written as
/// `\n` or `\u{1b}`, so that no name breaks a report into lines or speaks to a terminal.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            let _ = write!(line, "{}", c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// Reads a file as UTF-8 without its byte order mark. UTF-16 and other encodings are an error that names the file,
/// and the line and column of the first bad byte. `shown` is the path as errors show it.
pub fn read(path: &Path, shown: &Path) -> Result<String, FormatError> {
    let bytes = std::fs::read(path).map_err(|source| FormatError::Io { path: shown.to_owned(), source })?;
    decode(bytes, shown)
}

/// Takes bytes as UTF-8 without their byte order mark, as [`read`] does.
///
/// A NUL is refused as well: no statement can hold one, and UTF-16 without a byte order mark is full of them while
/// being valid UTF-8.
pub fn decode(mut bytes: Vec<u8>, shown: &Path) -> Result<String, FormatError> {
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        bytes.drain(..3);
    }
    let (bad, bytes) = match String::from_utf8(bytes) {
        Ok(text) => match text.find('\0') {
            None => return Ok(text),
            Some(nul) => (nul, text.into_bytes()),
        },
        Err(error) => (error.utf8_error().valid_up_to(), error.into_bytes()),
    };
    // A NUL before the first bad byte is the earlier trouble: UTF-16 with accents in it.
    let bad = bytes[..bad].iter().position(|byte| *byte == 0).unwrap_or(bad);
    let before = String::from_utf8_lossy(&bytes[..bad]);
    let Position { line, column } = position(&before, before.len());
    Err(FormatError::Encoding { path: shown.to_owned(), line, column, guess: guess(&bytes) })
}

/// What bytes that are no UTF-8 look like.
fn guess(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"\xFF\xFE") {
        return Some("UTF-16 LE");
    }
    if bytes.starts_with(b"\xFE\xFF") {
        return Some("UTF-16 BE");
    }
    // Mostly ASCII in UTF-16 has a zero in every second byte, and which one tells the byte order.
    let sample = &bytes[..bytes.len().min(1024)];
    let zeros = |parity: usize| sample.iter().skip(parity).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    let many = sample.len().div_ceil(4).max(1);
    match (even, odd) {
        (0, 0) => None,
        (even, odd) if odd >= many && odd > 4 * even => Some("UTF-16 LE"),
        (even, odd) if even >= many && even > 4 * odd => Some("UTF-16 BE"),
        _ => Some("a binary file"),
    }
}

fn floor_char_boundary(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_lines_and_characters() {
        let cases = [
            ("", 0, (1, 1)),
            ("abc", 0, (1, 1)),
            ("abc", 2, (1, 3)),
            ("abc", 99, (1, 4)),
            ("a\nb", 1, (1, 2)),
            ("a\nb", 2, (2, 1)),
            ("a\n\nb", 3, (3, 1)),
            ("a\r\nb", 3, (2, 1)),
            ("a\r\nb", 2, (1, 3)),
            ("a\rb", 2, (2, 1)),
            ("äö\nüx", 7, (2, 2)),
            ("äö", 1, (1, 1)),
            ("a\n", 2, (2, 1)),
        ];
        for (text, offset, (line, column)) in cases {
            assert_eq!(position(text, offset), Position { line, column }, "{text:?} at {offset}");
        }
    }

    #[test]
    fn lines_are_those_of_positions() {
        for (text, lines) in [
            ("", vec![""]),
            ("abc", vec!["abc"]),
            ("a\nb\r\nc\rd\n", vec!["a", "b", "c", "d", ""]),
            ("\r\r\nä\n", vec!["", "", "ä", ""]),
        ] {
            for offset in 0..=text.len() {
                let line = position(text, offset).line;
                assert_eq!(line_at(text, offset), lines[line - 1], "{text:?} at {offset}");
            }
        }
    }

    #[test]
    fn control_characters_are_written_out() {
        for (text, line) in [
            ("", ""),
            ("m/ä b.sql", "m/ä b.sql"),
            ("a\nb\r\tc\0", "a\\nb\\r\\tc\\u{0}"),
            ("\u{1b}[2J\u{85}", "\\u{1b}[2J\\u{85}"),
        ] {
            assert_eq!(one_line(text), line);
        }
    }

    #[test]
    fn characters_are_counted_from_zero() {
        for (text, index, offset) in [("aä b", 0, 0), ("aä b", 2, 3), ("aä b", 9, 5), ("", 0, 0)] {
            assert_eq!(offset_of_char(text, index), offset, "{text:?} {index}");
        }
    }

    fn utf16(text: &str, mark: bool, bytes_of: fn(u16) -> [u8; 2]) -> Vec<u8> {
        let mark = mark.then_some(0xFEFF);
        mark.into_iter().chain(text.encode_utf16()).flat_map(bytes_of).collect()
    }

    #[test]
    fn encodings_are_told_apart() {
        let ok =
            [(&b""[..], ""), (b"\xEF\xBB\xBF", ""), (b"\xEF\xBB\xBFa\xC3\xA4", "aä"), (b"a\r\n", "a\r\n")];
        for (bytes, text) in ok {
            assert_eq!(decode(bytes.to_vec(), Path::new("x")).unwrap(), text);
        }
        let sql = "create table t (name text default 'ä');\n";
        let bad = [
            (utf16(sql, true, u16::to_le_bytes), (1, 1), Some("UTF-16 LE")),
            (utf16(sql, true, u16::to_be_bytes), (1, 1), Some("UTF-16 BE")),
            (utf16(sql, false, u16::to_le_bytes), (1, 2), Some("UTF-16 LE")),
            (utf16(sql, false, u16::to_be_bytes), (1, 1), Some("UTF-16 BE")),
            (b"select 1;\n-- caf\xE9\n".to_vec(), (2, 7), None),
            (b"\xEF\xBB\xBFab\xFF".to_vec(), (1, 3), None),
            (b"a lot of text and one \0 in it".to_vec(), (1, 23), Some("a binary file")),
        ];
        for (bytes, place, looks_like) in bad {
            let Err(FormatError::Encoding { path, line, column, guess }) =
                decode(bytes, Path::new("m/x.sql"))
            else {
                panic!("{looks_like:?} was read");
            };
            assert_eq!((path.as_path(), (line, column), guess), (Path::new("m/x.sql"), place, looks_like));
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_as_it_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let error = read(&folder.path().join("gone.sql"), Path::new("m/gone.sql")).unwrap_err();
        assert!(error.to_string().starts_with("cannot read m/gone.sql: "), "{error}");
        std::fs::write(folder.path().join("here.sql"), "\u{feff}select 1").unwrap();
        assert_eq!(read(&folder.path().join("here.sql"), Path::new("m/here.sql")).unwrap(), "select 1");
    }
}
