//! What errors show of a script: where a statement stands, and its text without passwords.

mod hide;

use dbctl_migration::{
    Script,
    text::{line_at, position},
};

pub(crate) use hide::hide_passwords;

use crate::{Mark, SqlLocation};

/// Texts are cut to this many characters in errors.
const SHOWN_CHARS: usize = 300;

/// Statements of files are cut to this many characters in errors.
const STATEMENT_CHARS: usize = 2_000;

/// Where a byte of a script is in its file.
pub(crate) fn locate(script: &Script, offset: usize, mark: Mark) -> SqlLocation {
    let position = position(&script.sql, offset);
    SqlLocation {
        path: script.path.clone(),
        line: position.line + script.first_line - 1,
        column: position.column,
        source_line: hide_passwords(line_at(&script.sql, offset)),
        mark,
    }
}

/// The text cut to a length that can be shown.
pub(crate) fn shorten(text: &str) -> String {
    cut(text, SHOWN_CHARS)
}

/// A statement of a file as it is shown.
pub(crate) fn shown_statement(statement: &str) -> String {
    hide_passwords(&cut(statement, STATEMENT_CHARS))
}

fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
