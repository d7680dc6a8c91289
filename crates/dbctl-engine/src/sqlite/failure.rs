//! What SQLite and the system report, turned into errors that say what helps.

use std::path::{Path, PathBuf};

use dbctl_migration::Script;
use rusqlite::{Error, ErrorCode, ffi};

use crate::{
    EngineError, Mark, SqlError,
    shown::{locate, shorten, shown_statement},
};

/// An error of the file system: `doing` says what was tried.
pub(super) fn io<'p>(
    doing: &'static str,
    path: impl AsRef<Path> + 'p,
) -> impl FnOnce(std::io::Error) -> EngineError + 'p {
    move |error| EngineError::File { doing, path: PathBuf::from(path.as_ref()), reason: error.to_string() }
}

/// Whether the run was stopped.
fn is_interrupt(error: &Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
}

/// An error of one of dbctl's own statements.
pub(super) fn own(error: &Error, sql: &str) -> EngineError {
    if is_interrupt(error) {
        return EngineError::Cancelled;
    }
    let mut failed = sql_error(error);
    if failed.code == "SQLITE_CONSTRAINT_NOTNULL" {
        failed.hint = Some(
            "dbctl writes no value there: give the column a default, or, where it holds the time, name it as \
             `applied_column` of the migrations in the manifest"
                .to_owned(),
        );
    }
    EngineError::Sql(Box::new(SqlError { statement: Some(shorten(sql)), ..failed }))
}

/// An error of a file's statement, which stands at a byte offset of the script: at the place SQLite names, else at its
/// start.
pub(super) fn in_file(error: &Error, script: &Script, start: usize, statement: &str) -> EngineError {
    if is_interrupt(error) {
        return EngineError::Cancelled;
    }
    let location = match error {
        Error::SqlInputError { offset, .. } if usize::try_from(*offset).is_ok() => {
            let offset = usize::try_from(*offset).unwrap_or_default().min(statement.len());
            locate(script, start + floor_char(statement, offset), Mark::Error)
        }
        _ => locate(script, start, Mark::Statement),
    };
    EngineError::Sql(Box::new(SqlError {
        statement: Some(shown_statement(statement)),
        location: Some(location),
        ..sql_error(error)
    }))
}

fn floor_char(text: &str, mut offset: usize) -> usize {
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// What SQLite said, without a place.
pub(super) fn sql_error(error: &Error) -> SqlError {
    let code = match error {
        Error::SqliteFailure(code, _) | Error::SqlInputError { error: code, .. } => Some(code.extended_code),
        _ => None,
    };
    let message = match error {
        Error::SqliteFailure(_, Some(message)) | Error::SqlInputError { msg: message, .. } => message.clone(),
        other => other.to_string(),
    };
    SqlError {
        code: code.map_or("SQLITE_ERROR", name).to_owned(),
        message,
        detail: None,
        hint: code.and_then(hint).map(str::to_owned),
        context: None,
        statement: None,
        location: None,
    }
}

fn hint(code: i32) -> Option<&'static str> {
    match code & 0xff {
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => Some(
            "another connection is at work on the database: end it, or wait longer with `-- dbctl:lock-timeout 30s`",
        ),
        ffi::SQLITE_READONLY => {
            Some("the file, or the folder it is in, may not be written; in WAL mode readers write there, too")
        }
        ffi::SQLITE_NOTADB => Some("the file is no SQLite database, or is encrypted"),
        ffi::SQLITE_FULL => Some("make room on the disk and run the command again: nothing is half done"),
        ffi::SQLITE_IOERR => {
            Some("the disk may be full or failing, or the file may not be written; nothing is half done")
        }
        ffi::SQLITE_CORRUPT => {
            Some("`PRAGMA integrity_check` says what is damaged; restore the file from a backup")
        }
        _ => None,
    }
}

/// The name of a result code, the extended one where it tells more (<https://sqlite.org/rescode.html>).
fn name(code: i32) -> &'static str {
    match code {
        ffi::SQLITE_CONSTRAINT_CHECK => "SQLITE_CONSTRAINT_CHECK",
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => "SQLITE_CONSTRAINT_FOREIGNKEY",
        ffi::SQLITE_CONSTRAINT_NOTNULL => "SQLITE_CONSTRAINT_NOTNULL",
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY => "SQLITE_CONSTRAINT_PRIMARYKEY",
        ffi::SQLITE_CONSTRAINT_TRIGGER => "SQLITE_CONSTRAINT_TRIGGER",
        ffi::SQLITE_CONSTRAINT_UNIQUE => "SQLITE_CONSTRAINT_UNIQUE",
        ffi::SQLITE_CONSTRAINT_DATATYPE => "SQLITE_CONSTRAINT_DATATYPE",
        _ => match code & 0xff {
            ffi::SQLITE_AUTH => "SQLITE_AUTH",
            ffi::SQLITE_BUSY => "SQLITE_BUSY",
            ffi::SQLITE_CANTOPEN => "SQLITE_CANTOPEN",
            ffi::SQLITE_CONSTRAINT => "SQLITE_CONSTRAINT",
            ffi::SQLITE_CORRUPT => "SQLITE_CORRUPT",
            ffi::SQLITE_FULL => "SQLITE_FULL",
            ffi::SQLITE_IOERR => "SQLITE_IOERR",
            ffi::SQLITE_LOCKED => "SQLITE_LOCKED",
            ffi::SQLITE_MISMATCH => "SQLITE_MISMATCH",
            ffi::SQLITE_NOMEM => "SQLITE_NOMEM",
            ffi::SQLITE_NOTADB => "SQLITE_NOTADB",
            ffi::SQLITE_PERM => "SQLITE_PERM",
            ffi::SQLITE_READONLY => "SQLITE_READONLY",
            ffi::SQLITE_TOOBIG => "SQLITE_TOOBIG",
            _ => "SQLITE_ERROR",
        },
    }
}
