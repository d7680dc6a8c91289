//! CSV seeds: streamed into the table they are named after.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    time::{Duration, Instant},
};

use dbctl_migration::{Statement, TableName, quote_ident};
use tokio_postgres::types::Type;
use tokio_util::bytes::Bytes;

use super::{
    failure::{Failure, sql_error},
    layout::{copy_line, insert_check},
    records,
    script::{LOCK_TIMEOUT, wait_for_lock},
    session::{Link, get, set_local},
};
use crate::{EngineError, Mark, SqlLocation, csv::fields, records::Suspect, shown::hide_passwords};

/// How much of a file is sent at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// The longest header that is read, in bytes.
const HEADER_BYTES: u64 = 1024 * 1024;

/// The longest line that an error shows, in bytes.
const LINE_BYTES: u64 = 4096;

/// A CSV file to load.
struct Csv<'a> {
    path: &'a Path,
    shown: &'a Path,
    table: &'a TableName,
    /// The tables whose rows it must leave alone.
    records: &'a [TableName],
}

/// Copies a CSV file with a header line into a table and records it, in one transaction.
pub(super) async fn csv(
    link: &mut Link<'_>,
    path: &Path,
    shown: &Path,
    table: &TableName,
    record: &Statement,
    records: &[TableName],
) -> Result<Duration, EngineError> {
    let csv = Csv { path, shown, table, records };
    let columns = csv.header()?;
    csv.refuse_end_mark()?;
    let mut attempt = 0;
    loop {
        match csv.load(link, &columns, record).await {
            Ok(elapsed) => return Ok(elapsed),
            Err(error) => {
                link.rollback().await;
                wait_for_lock(link, error, &mut attempt, None).await?;
            }
        }
    }
}

impl Csv<'_> {
    async fn load(
        &self,
        link: &mut Link<'_>,
        columns: &[String],
        record: &Statement,
    ) -> Result<Duration, EngineError> {
        let started = Instant::now();
        let timeout = set_local("lock_timeout", &format!("{}ms", LOCK_TIMEOUT.as_millis()));
        link.begin(&timeout).await?;
        let before = records::look(link, self.records).await?;
        let table = self.find_table(link).await?;
        let columns: Vec<_> = columns.iter().map(|column| quote_ident(column)).collect();
        let sql = format!("COPY {table} ({}) FROM STDIN WITH (FORMAT csv, HEADER true)", columns.join(", "));
        link.batch(&insert_check(&table, &columns)).await.map_err(|failure| self.located(failure))?;
        let mut file = self.open()?;
        let chunks = std::iter::from_fn(move || next_chunk(&mut file));
        match link.copy(&sql, chunks).await {
            Ok(outcome) => outcome.map_err(|failure| self.located(failure))?,
            Err(error) => return Err(self.unreadable(&error)),
        }
        link.batch("SET CONSTRAINTS ALL IMMEDIATE").await.map_err(|failure| self.located(failure))?;
        let elapsed = started.elapsed();
        let file = Suspect { path: self.shown, statements: None };
        records::unchanged(link, self.records, &before, &file, None).await?;
        link.execute(record).await?;
        link.commit().await.map_err(|failure| self.located(failure))?;
        Ok(elapsed)
    }

    /// The table's full name, looked up as it is spelled: `Users` is not `users`.
    async fn find_table(&self, link: &mut Link<'_>) -> Result<String, EngineError> {
        let spelled = match self.table.schema.as_str() {
            "" => quote_ident(&self.table.name),
            _ => self.table.to_string(),
        };
        let row = link
            .query(
                "select pg_catalog.format('%I.%I', n.nspname, c.relname) from pg_catalog.pg_class c \
                 join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                 where c.oid = pg_catalog.to_regclass($1::text)",
                &[(&spelled, Type::TEXT)],
            )
            .await?;
        match row.first() {
            Some(row) => get(row, 0),
            None => Err(self.wrong(
                None,
                format!("there is no table {spelled} for it; a CSV seed is named after its table"),
            )),
        }
    }

    /// The file after its byte order mark.
    fn open(&self) -> Result<BufReader<File>, EngineError> {
        let open = || -> io::Result<BufReader<File>> {
            let mut file = BufReader::new(File::open(self.path)?);
            if file.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
                file.consume(3);
            }
            Ok(file)
        };
        open().map_err(|error| self.unreadable(&error))
    }

    /// The columns that the first record names.
    fn header(&self) -> Result<Vec<String>, EngineError> {
        let mut file = self.open()?.take(HEADER_BYTES);
        let mut bytes = Vec::new();
        // A quoted name may hold a line break.
        while bytes.iter().filter(|byte| **byte == b'"').count() % 2 == 1 || bytes.is_empty() {
            if file.read_until(b'\n', &mut bytes).map_err(|error| self.unreadable(&error))? == 0 {
                break;
            }
        }
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| self.wrong(Some(1), "the file is not UTF-8".to_owned()))?
            .trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            let what = "the file is empty: its first line has to name the columns";
            return Err(self.wrong(Some(1), what.to_owned()));
        }
        let fields = fields(text)
            .ok_or_else(|| self.wrong(Some(1), "a quote of the header line never ends".to_owned()))?;
        Ok(fields.into_iter().map(|field| field.text).collect())
    }

    /// Servers before 18 end the data at a line that is only `\\.`, and say nothing of the lines below it.
    fn refuse_end_mark(&self) -> Result<(), EngineError> {
        let mut file = self.open()?;
        // How much of the mark the line is so far; `None` once it is something else.
        let (mut line, mut seen, mut after_cr) = (1, Some(0), false);
        loop {
            let bytes = file.fill_buf().map_err(|error| self.unreadable(&error))?;
            let length = bytes.len();
            for byte in bytes {
                let ends = matches!(byte, b'\r' | b'\n');
                if ends && seen == Some(2) {
                    return Err(self.end_mark(line));
                }
                if ends {
                    line += usize::from(!(*byte == b'\n' && after_cr));
                    seen = Some(0);
                } else {
                    seen = match (seen, byte) {
                        (Some(0), b'\\') => Some(1),
                        (Some(1), b'.') => Some(2),
                        _ => None,
                    };
                }
                after_cr = *byte == b'\r';
            }
            if length == 0 {
                return if seen == Some(2) { Err(self.end_mark(line)) } else { Ok(()) };
            }
            file.consume(length);
        }
    }

    fn end_mark(&self, line: usize) -> EngineError {
        let what = "a line that is only `\\.` ends the data for PostgreSQL before 18: put it in quotes, or take it out";
        self.wrong(Some(line), what.to_owned())
    }

    fn wrong(&self, line: Option<usize>, message: String) -> EngineError {
        EngineError::Seed { path: self.shown.to_owned(), line, message }
    }

    fn unreadable(&self, error: &io::Error) -> EngineError {
        self.wrong(None, format!("cannot be read: {error}"))
    }

    /// A refusal at the line that PostgreSQL's context names; one of the columns is at the header.
    fn located(&self, failure: Failure) -> EngineError {
        let Failure::Db { error, sql } = failure else { return failure.into() };
        let line = error.where_().and_then(copy_line);
        let at = line.unwrap_or(1);
        let mut failed = sql_error(&error, &sql);
        failed.location = Some(SqlLocation {
            path: self.shown.to_owned(),
            line: at,
            column: 1,
            source_line: hide_passwords(&self.line(at).unwrap_or_default()),
            mark: if line.is_some() { Mark::Error } else { Mark::Header },
        });
        EngineError::Sql(Box::new(failed))
    }

    fn line(&self, number: usize) -> Option<String> {
        let mut file = self.open().ok()?;
        for _ in 1..number {
            file.skip_until(b'\n').ok()?;
        }
        let mut bytes = Vec::new();
        file.take(LINE_BYTES).read_until(b'\n', &mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned())
    }
}

fn next_chunk(file: &mut impl Read) -> Option<io::Result<Bytes>> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return None,
            Ok(length) => {
                chunk.truncate(length);
                return Some(Ok(Bytes::from(chunk)));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Some(Err(error)),
        }
    }
}
