//! Splitting a script into statements, as psql would: dollar quotes, nested comments, `E''`, `BEGIN ATOMIC` bodies,
//! and `COPY … FROM stdin` data.

use std::ops::Range;

use thiserror::Error;

/// One statement of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Byte range of the statement in the script: from its first token (comments before it left out) to its `;`
    /// exclusive.
    pub range: Range<usize>,
    /// Byte range of the data lines of a `COPY … FROM stdin`, without the closing `\.` line.
    pub copy_data: Option<Range<usize>>,
}

/// What cannot be split.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SplitError {
    /// A psql meta-command such as `\connect`; the server does not know it.
    #[error("`{command}` is a psql command, which PostgreSQL itself does not know")]
    MetaCommand {
        /// The command with its backslash.
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
    /// `COPY … FROM stdin` without a closing `\.`.
    #[error("the data of this COPY never ends with a line `\\.`")]
    UnterminatedCopy {
        /// Byte offset of the statement.
        offset: usize,
    },
}

/// Splits a script into its statements; empty ones and comments alone are left out. `\restrict` and `\unrestrict`
/// lines, which pg_dump writes, are passed over.
pub fn split(sql: &str) -> Result<Vec<Piece>, SplitError> {
    unimplemented!("{sql}")
}

/// Why a statement cannot run inside a transaction block: `CREATE INDEX CONCURRENTLY`, `VACUUM`, …; `None` if it can,
/// as far as its words tell.
pub fn refuses_transaction(statement: &str) -> Option<&'static str> {
    unimplemented!("{statement}")
}
