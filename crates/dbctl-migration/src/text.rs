//! Files as text: encodings, and positions for people.

use std::path::Path;

use crate::FormatError;

/// A place in a file for people: line and column in characters, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// The position of a byte offset; an offset past the end is the end.
pub fn position(text: &str, offset: usize) -> Position {
    unimplemented!("{text} {offset}")
}

/// The byte offset of the character with that number, from 0; past the end is the end.
pub fn offset_of_char(text: &str, index: usize) -> usize {
    text.char_indices().nth(index).map_or(text.len(), |(offset, _)| offset)
}

/// Reads a file as UTF-8 without its byte order mark. UTF-16 and other encodings are an error that names the file,
/// and the line and column of the first bad byte. `shown` is the path as errors show it.
pub fn read(path: &Path, shown: &Path) -> Result<String, FormatError> {
    unimplemented!("{path:?} {shown:?}")
}
