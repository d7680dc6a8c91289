//! CSV seeds: read into the table they are named after.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use dbctl_migration::{TableName, quote_ident};
use rusqlite::{Connection, Error};

use super::{
    failure::sql_error,
    link::Link,
    records::{Guard, exists},
};
use crate::{
    EngineError, Mark, SqlLocation,
    csv::{Field, fields},
    shown::{hide_passwords, shorten},
};

/// Inserts the records of a CSV file with a header line, in the transaction that is open.
pub(super) async fn csv(
    link: &mut Link,
    path: &Path,
    shown: &Path,
    table: &TableName,
    guard: &Guard,
) -> Result<(), EngineError> {
    let csv = Csv { path: path.to_owned(), shown: shown.to_owned(), table: table.name.clone() };
    if !exists(link, &csv.table).await? {
        let message = format!("there is no table {} for it; a CSV seed is named after its table", csv.table);
        return Err(csv.wrong(None, message));
    }
    let guard = guard.clone();
    link.call(move |connection| csv.load(connection, &guard)).await
}

struct Csv {
    path: PathBuf,
    shown: PathBuf,
    table: String,
}

impl Csv {
    fn load(&self, connection: &mut Connection, guard: &Guard) -> Result<(), EngineError> {
        let unreadable = |error: std::io::Error| self.wrong(None, format!("cannot be read: {error}"));
        let mut lines =
            Lines { file: BufReader::new(File::open(&self.path).map_err(unreadable)?), number: 0 };
        let Some((_, header, fields)) = self.record(&mut lines)? else {
            return Err(self.wrong(None, "is empty; its first line names the columns".to_owned()));
        };
        let columns: Vec<String> = fields.into_iter().map(|field| field.text).collect();
        let names: Vec<String> = columns.iter().map(|column| quote_ident(column)).collect();
        let sql = format!(
            "INSERT INTO main.{} ({}) VALUES ({})",
            quote_ident(&self.table),
            names.join(", "),
            vec!["?"; columns.len()].join(", ")
        );
        guard.listen(connection)?;
        let mut insert =
            connection.prepare(&sql).map_err(|error| self.located(&error, 1, &header, Mark::Header))?;
        guard.prepared(connection)?;
        while let Some((line, text, fields)) = self.record(&mut lines)? {
            if fields.len() != columns.len() {
                let message = format!("has {} fields, and its header {}", fields.len(), columns.len());
                return Err(self.wrong(Some(line), message));
            }
            let values = rusqlite::params_from_iter(fields.into_iter().map(Field::value));
            insert.execute(values).map_err(|error| self.located(&error, line, &text, Mark::Error))?;
        }
        Ok(())
    }

    /// The next record, with its first line; empty lines are none.
    fn record(&self, lines: &mut Lines) -> Result<Option<(usize, String, Vec<Field>)>, EngineError> {
        let (mut first, mut text) = (0, String::new());
        loop {
            let Some(line) = lines.next().map_err(|message| self.wrong(Some(lines.number), message))? else {
                return match first {
                    0 => Ok(None),
                    _ => Err(self.wrong(Some(first), "has a quote here that never ends".to_owned())),
                };
            };
            if first == 0 {
                if line.trim_end_matches(['\r', '\n']).is_empty() {
                    continue;
                }
                first = lines.number;
            }
            text.push_str(&line);
            let record = text.trim_end_matches('\n').trim_end_matches('\r');
            if let Some(fields) = fields(record) {
                return Ok(Some((first, record.to_owned(), fields)));
            }
        }
    }

    fn wrong(&self, line: Option<usize>, message: String) -> EngineError {
        EngineError::Seed { path: self.shown.clone(), line, message }
    }

    fn located(&self, error: &Error, line: usize, text: &str, mark: Mark) -> EngineError {
        let mut failed = sql_error(error);
        failed.location = Some(SqlLocation {
            path: self.shown.clone(),
            line,
            column: 1,
            source_line: hide_passwords(&shorten(text.lines().next().unwrap_or_default())),
            mark,
        });
        EngineError::Sql(Box::new(failed))
    }
}

struct Lines {
    file: BufReader<File>,
    /// Of the line that was read last, from 1.
    number: usize,
}

impl Lines {
    /// The next line with its end; the first one without a byte order mark.
    fn next(&mut self) -> Result<Option<String>, String> {
        let mut bytes = Vec::new();
        self.file.read_until(b'\n', &mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let line = String::from_utf8(bytes).map_err(|_| "is not UTF-8 here".to_owned())?;
        Ok(Some(match self.number {
            1 => line.trim_start_matches('\u{feff}').to_owned(),
            _ => line,
        }))
    }
}
