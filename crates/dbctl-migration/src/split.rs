//! Splitting a script into statements, as psql would: dollar quotes, nested comments, `E''`, `BEGIN ATOMIC` bodies,
//! and `COPY … FROM stdin` data.
//!
//! The rules are those of psql's `psqlscan.l`: a statement ends at a `;` outside of quotes, comments, parentheses and
//! SQL-standard function bodies. Nothing here is recursive, and every byte is looked at a fixed number of times.

pub mod sqlite;
mod tokens;
mod transaction;

use std::{collections::BTreeMap, ops::Range};

use squawk_lexer::TokenKind;
use thiserror::Error;

use self::tokens::{Lexeme, Tokens};
pub use self::transaction::refuses_transaction;
use crate::{Dialect, text::one_line};

/// One statement of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Byte range of the statement in the script: from its first token (comments before it left out) to its `;`
    /// exclusive, or to its last token where no `;` follows.
    pub range: Range<usize>,
    /// Byte range of the data lines of a `COPY … FROM stdin`, without the closing `\.` line.
    pub copy_data: Option<Range<usize>>,
}

/// What cannot be split.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SplitError {
    /// A psql meta-command such as `\connect`; the server does not know it. Reported wherever a backslash stands
    /// outside of quotes, since no SQL has one there: `SELECT 1 \gset` as well.
    #[error("`{}` is a psql command, which PostgreSQL itself does not know", one_line(command))]
    MetaCommand {
        /// The command with its backslash.
        command: String,
        /// Byte offset in the script.
        offset: usize,
    },
    /// A command of SQLite's shell, such as `.read`; SQLite itself does not know it.
    #[error("`{}` is a command of the sqlite3 shell, which SQLite itself does not know", one_line(command))]
    DotCommand {
        /// The command with its dot.
        command: String,
        /// Byte offset in the script.
        offset: usize,
    },
    /// A quote, dollar quote or comment that never ends.
    #[error("this {what} never ends")]
    Unterminated {
        /// `string`, `quoted name`, `dollar-quoted string` or `comment`.
        what: &'static str,
        /// Byte offset at which it starts.
        offset: usize,
    },
    /// `COPY … FROM stdin` without a closing `\.`, or with the start of another statement between its `;` and the end
    /// of that line, so that nobody can tell where its data begins.
    #[error("the data of this COPY never ends with a line `\\.`")]
    UnterminatedCopy {
        /// Byte offset of the statement.
        offset: usize,
    },
}

impl SplitError {
    /// Where it is wrong, as a byte offset in the script.
    pub fn offset(&self) -> usize {
        match self {
            Self::MetaCommand { offset, .. }
            | Self::DotCommand { offset, .. }
            | Self::Unterminated { offset, .. }
            | Self::UnterminatedCopy { offset } => *offset,
        }
    }
}

/// Splits a script into its statements; empty ones and comments alone are left out. `\restrict` and `\unrestrict`
/// lines, which pg_dump writes, are passed over.
pub fn split(sql: &str) -> Result<Vec<Piece>, SplitError> {
    scan(sql, &mut |_, _| {})
}

/// The byte offsets at which a script's `--` comments start, each with whether it stands above the first statement.
/// What only looks like a comment (in a string, in the data of a `COPY`) is none, and those inside a function's body
/// belong to the function. Where the script cannot be split, those before that place.
pub(crate) fn line_comments(sql: &str, dialect: Dialect) -> BTreeMap<usize, bool> {
    let mut comments = BTreeMap::new();
    let mut on_comment = |offset, above| {
        comments.insert(offset, above);
    };
    // Whoever runs the script is told why it cannot be split.
    let _ = match dialect {
        Dialect::Postgres => scan(sql, &mut on_comment),
        Dialect::Sqlite => sqlite::scan(sql, &mut on_comment),
    };
    comments
}

fn scan(sql: &str, on_comment: &mut dyn FnMut(usize, bool)) -> Result<Vec<Piece>, SplitError> {
    let mut tokens = Tokens::new(sql);
    let mut pieces = Vec::new();
    let mut open: Option<Open> = None;
    // COPY statements whose data starts on the line below. psql reads it as soon as it has sent the statement, even
    // where more statements follow on the same line.
    let mut waiting: Vec<usize> = Vec::new();
    while let Some(token) = tokens.next() {
        if let Some(what) = token.unterminated() {
            return Err(SplitError::Unterminated { what, offset: token.range.start });
        }
        if let Some(first) = waiting.first()
            && let Some(newline) = sql[token.range.clone()].find('\n')
        {
            if open.is_some() || token.kind != TokenKind::Whitespace {
                return Err(SplitError::UnterminatedCopy { offset: pieces_start(&pieces, *first) });
            }
            let mut at = token.range.start + newline + 1;
            for index in waiting.drain(..) {
                let data = copy_data(sql, at)
                    .ok_or(SplitError::UnterminatedCopy { offset: pieces_start(&pieces, index) })?;
                at = end_of_line(sql, data.end);
                pieces[index].copy_data = Some(data);
            }
            tokens.skip_to(at);
            continue;
        }
        if token.is_trivia() {
            if token.kind == TokenKind::LineComment && open.as_ref().is_none_or(|open| open.body == 0) {
                on_comment(token.range.start, open.is_none() && pieces.is_empty());
            }
            continue;
        }
        if token.kind == TokenKind::Unknown && sql[token.range.clone()] == *"\\" {
            let command = meta_command(sql, token.range.start);
            if open.is_some() || !matches!(command, "\\restrict" | "\\unrestrict") {
                return Err(SplitError::MetaCommand {
                    command: command.to_owned(),
                    offset: token.range.start,
                });
            }
            let rest = &sql[token.range.start..];
            tokens.skip_to(token.range.start + rest.find('\n').unwrap_or(rest.len()));
            continue;
        }
        if token.kind == TokenKind::Semi && open.as_ref().is_none_or(Open::may_end) {
            if let Some(open) = open.take() {
                if open.reads_data {
                    waiting.push(pieces.len());
                }
                pieces.push(Piece { range: open.start..token.range.start, copy_data: None });
            }
            continue;
        }
        open.get_or_insert_with(|| Open::new(token.range.start)).take(sql, &token);
    }
    if let Some(open) = open {
        if open.reads_data {
            return Err(SplitError::UnterminatedCopy { offset: open.start });
        }
        pieces.push(Piece { range: open.start..open.end, copy_data: None });
    }
    match waiting.first() {
        Some(first) => Err(SplitError::UnterminatedCopy { offset: pieces_start(&pieces, *first) }),
        None => Ok(pieces),
    }
}

fn pieces_start(pieces: &[Piece], index: usize) -> usize {
    pieces[index].range.start
}

/// A statement whose end has not been seen.
struct Open {
    start: usize,
    /// End of its last token.
    end: usize,
    parens: usize,
    /// How many `END`s the SQL-standard body of a function still needs.
    body: usize,
    /// Its first words, as far as they decide whether it makes a function.
    head: [Keyword; 4],
    words: usize,
    before: Keyword,
    is_copy: bool,
    reads_data: bool,
}

/// The words that matter for where a statement ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keyword {
    Create,
    Or,
    Replace,
    Routine,
    Begin,
    Atomic,
    Case,
    End,
    /// `AS` or a dot: what follows is a name, whatever it is spelled like.
    NameFollows,
    Copy,
    From,
    /// `STDIN`, or `STDOUT`, which PostgreSQL takes for the same in either direction.
    Stdio,
    Other,
}

impl Keyword {
    fn of(word: &str) -> Self {
        const KEYWORDS: [(&str, Keyword); 14] = [
            ("create", Keyword::Create),
            ("or", Keyword::Or),
            ("replace", Keyword::Replace),
            ("function", Keyword::Routine),
            ("procedure", Keyword::Routine),
            ("begin", Keyword::Begin),
            ("atomic", Keyword::Atomic),
            ("case", Keyword::Case),
            ("end", Keyword::End),
            ("as", Keyword::NameFollows),
            ("copy", Keyword::Copy),
            ("from", Keyword::From),
            ("stdin", Keyword::Stdio),
            ("stdout", Keyword::Stdio),
        ];
        let found = KEYWORDS.into_iter().find(|(keyword, _)| word.eq_ignore_ascii_case(keyword));
        found.map_or(Self::Other, |(_, keyword)| keyword)
    }
}

impl Open {
    fn new(start: usize) -> Self {
        Self {
            start,
            end: start,
            parens: 0,
            body: 0,
            head: [Keyword::Other; 4],
            words: 0,
            before: Keyword::Other,
            is_copy: false,
            reads_data: false,
        }
    }

    /// Whether a `;` here ends the statement: not inside parentheses (`CREATE RULE … DO (a; b)`) or a body.
    fn may_end(&self) -> bool {
        self.parens == 0 && self.body == 0
    }

    fn take(&mut self, sql: &str, token: &Lexeme) {
        let first = self.end == self.start;
        self.end = token.range.end;
        let mut this = Keyword::Other;
        match token.kind {
            TokenKind::OpenParen => self.parens += 1,
            TokenKind::CloseParen => self.parens = self.parens.saturating_sub(1),
            TokenKind::Dot => this = Keyword::NameFollows,
            TokenKind::Ident => {
                this = Keyword::of(&sql[token.range.clone()]);
                self.is_copy |= first && this == Keyword::Copy;
                self.word(this);
            }
            _ => {}
        }
        self.before = this;
    }

    fn word(&mut self, word: Keyword) {
        if let Some(slot) = self.head.get_mut(self.words) {
            *slot = word;
        }
        self.words += 1;
        if self.parens > 0 {
            return;
        }
        self.reads_data |= self.is_copy && self.before == Keyword::From && word == Keyword::Stdio;
        let creates_routine = matches!(
            self.head,
            [Keyword::Create, Keyword::Routine, ..]
                | [Keyword::Create, Keyword::Or, Keyword::Replace, Keyword::Routine]
        );
        if !creates_routine || self.before == Keyword::NameFollows {
            return;
        }
        // psql counts every BEGIN here, so that a column or function named "begin" swallows the rest of the script.
        // In PostgreSQL's grammar only BEGIN ATOMIC opens a body, and none stands within another but through it.
        match word {
            Keyword::Atomic if self.before == Keyword::Begin => self.body += 1,
            Keyword::Case if self.body > 0 => self.body += 1,
            Keyword::End => self.body = self.body.saturating_sub(1),
            _ => {}
        }
    }
}

/// The data lines from `at` to the line `\.`, exclusive; `None` where there is no such line.
fn copy_data(sql: &str, at: usize) -> Option<Range<usize>> {
    let mut end = at;
    for line in sql[at..].split_inclusive('\n') {
        if matches!(line, "\\." | "\\.\n" | "\\.\r\n" | "\\.\r") {
            return Some(at..end);
        }
        end += line.len();
    }
    None
}

/// The offset behind the line that starts at `at`.
fn end_of_line(sql: &str, at: usize) -> usize {
    sql[at..].find('\n').map_or(sql.len(), |newline| at + newline + 1)
}

/// The command that starts with the backslash at `at`.
fn meta_command(sql: &str, at: usize) -> &str {
    let rest = &sql[at..];
    let length = rest[1..].find(|c: char| c.is_whitespace() || c == '\\').map_or(rest.len(), |end| end + 1);
    // `\;` and `\\` are commands of one character, which nothing has to separate from what follows.
    let one = rest[1..]
        .chars()
        .next()
        .filter(|c| matches!(c, ';' | ':' | '\\' | '!' | '?'))
        .map(|c| 1 + c.len_utf8());
    &rest[..one.unwrap_or(length)]
}

#[cfg(test)]
mod tests;
