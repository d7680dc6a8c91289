//! What a connection can say of a database without writing to it.

use std::time::Duration;

use dbctl_migration::{
    Applied, Checksum, Progress, TableName, Version,
    ledger::{self, LedgerRow, RunRow, SeedRow},
};
use jiff::Timestamp;
use rusqlite::Row;

use super::{LEDGER, link::Link, records::exists};
use crate::{EngineError, SourceRef};

pub(super) async fn applied(link: &mut Link, source: &SourceRef<'_>) -> Result<Vec<Applied>, EngineError> {
    let known = ledger_rows(link).await?;
    if source.history.is_none() {
        return Ok(ledger::own(&known, source.name));
    }
    let foreign = foreign(link, source).await?;
    Ok(ledger::annotate(foreign, &known, source.name, source.keyed_by()))
}

/// What a tool's own table says; nothing where there is no tool.
pub(super) async fn foreign(link: &mut Link, source: &SourceRef<'_>) -> Result<Vec<Applied>, EngineError> {
    let Some(history) = source.history else { return Ok(Vec::new()) };
    let rows = rows(link, history.table(), history.read(), foreign_row).await?;
    Ok(history.identify(rows, source.migrations))
}

pub(super) async fn ledger_rows(link: &mut Link) -> Result<Vec<LedgerRow>, EngineError> {
    let [migrations, _, _] = LEDGER.tables();
    rows(link, &migrations, LEDGER.read(), ledger_row).await
}

pub(super) async fn runs(link: &mut Link) -> Result<Vec<RunRow>, EngineError> {
    let run = |row: &Row<'_>| {
        Ok(RunRow {
            run: row.get(0)?,
            command: row.get(1)?,
            started_at: moment(row, 2)?,
            ended_at: moment(row, 3)?,
            outcome: row.get(4)?,
            migrations: usize::try_from(row.get::<_, i64>(5)?).unwrap_or_default(),
            by: row.get(6)?,
            client: row.get(7)?,
            dbctl_version: row.get(8)?,
        })
    };
    rows(link, &LEDGER.runs_table(), LEDGER.read_runs(), run).await
}

pub(super) async fn seeds(link: &mut Link) -> Result<Vec<SeedRow>, EngineError> {
    let [_, seeds, _] = LEDGER.tables();
    let seed = |row: &Row<'_>| Ok(SeedRow { file: row.get(0)?, checksum: Checksum::recorded(text(row, 1)?) });
    rows(link, &seeds, LEDGER.read_seeds(), seed).await
}

pub(super) async fn environment(link: &mut Link) -> Result<Option<String>, EngineError> {
    let [_, _, environment] = LEDGER.tables();
    Ok(rows(link, &environment, LEDGER.read_environment(), |row| row.get(0)).await?.into_iter().next())
}

/// All rows of a table that may not be there.
async fn rows<T: Send + 'static>(
    link: &mut Link,
    table: &TableName,
    sql: String,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, EngineError> {
    if !exists(link, &table.name).await? {
        return Ok(Vec::new());
    }
    link.rows(sql, Vec::new(), read).await.map_err(|error| match error {
        EngineError::Sql(mut error) if error.message.contains("no such column") => {
            error.hint = Some(format!(
                "{} has other columns than it should have; `table`, and where the format has it `name_column`, say in \
                 the manifest where migrations are recorded",
                table.name
            ));
            EngineError::Sql(error)
        }
        other => other,
    })
}

fn ledger_row(row: &Row<'_>) -> rusqlite::Result<LedgerRow> {
    let progress = match row.get::<_, Option<i64>>(7)? {
        None => Progress::Whole,
        Some(done) => {
            let done = usize::try_from(done).unwrap_or_default();
            let (started, digest) = (row.get::<_, Option<bool>>(8)?.unwrap_or_default(), row.get(9)?);
            match row.get(10)? {
                false => Progress::Partial { done, started, digest },
                true => Progress::Reverting { done, started, digest },
            }
        }
    };
    Ok(LedgerRow {
        source: row.get(0)?,
        applied: Applied {
            version: Version::new(text(row, 1)?),
            name: text(row, 2)?,
            checksum: row.get::<_, Option<String>>(3)?.map(Checksum::recorded),
            at: moment(row, 4)?,
            elapsed: elapsed(row, 5)?,
            progress,
            tool_row: row.get(12)?,
        },
        run: row.get(6)?,
        by: row.get(11)?,
    })
}

fn foreign_row(row: &Row<'_>) -> rusqlite::Result<Applied> {
    let failed = row.get::<_, Option<bool>>(5)?.unwrap_or_default();
    Ok(Applied {
        version: Version::new(text(row, 0)?),
        name: text(row, 1)?,
        checksum: row.get::<_, Option<String>>(2)?.map(Checksum::recorded),
        at: moment(row, 3)?,
        elapsed: elapsed(row, 4)?,
        progress: if failed { Progress::Failed } else { Progress::Whole },
        tool_row: row.get(6)?,
    })
}

/// A tool's column may hold any type.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    use rusqlite::types::ValueRef;
    Ok(match row.get_ref(column)? {
        ValueRef::Null => String::new(),
        ValueRef::Integer(int) => int.to_string(),
        ValueRef::Real(real) => real.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    })
}

/// Microseconds since 1970; what lies outside of the calendar is as good as unknown.
fn moment(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.and_then(|us| Timestamp::from_microsecond(us).ok()))
}

/// Milliseconds; some tools write -1 while they run.
fn elapsed(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Duration>> {
    Ok(row.get::<_, Option<i64>>(column)?.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis))
}
