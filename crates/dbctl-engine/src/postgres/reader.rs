//! What a session can say of a database without writing to it.

use std::time::Duration;

use async_trait::async_trait;
use dbctl_migration::{
    Applied, Checksum, Progress, TableName, Version,
    ledger::{self, LedgerRow, RunRow, SeedRow},
};
use jiff::Timestamp;
use tokio_postgres::{Row, types::Type};

use super::{
    LEDGER,
    belongings::belongings,
    failure::Failure,
    inventory::inventory,
    locate::{Place, locate},
    session::{Link, get},
    two_phase,
};
use crate::{EngineError, Identity, Reader, SourceRef, Target, TwoPhase, clean::Inventory};

/// A session that cannot write: whatever it asks it asks in a read-only transaction, so that nothing stays set on a
/// connection that a pooler hands to somebody else. Nothing is asked of the role but to connect, and a replica will do.
pub(super) struct ReadSession<'s> {
    link: Link<'s>,
    place: Place,
}

impl<'s> ReadSession<'s> {
    pub(super) fn new(link: Link<'s>, target: &Target) -> Self {
        Self { link, place: Place::of(target) }
    }

    async fn begin(&mut self) -> Result<&mut Link<'s>, EngineError> {
        self.link.begin_reading("").await?;
        Ok(&mut self.link)
    }

    async fn end<T>(&mut self, result: Result<T, EngineError>) -> Result<T, EngineError> {
        self.link.rollback().await;
        result
    }
}

#[async_trait]
impl Reader for ReadSession<'_> {
    async fn identity(&mut self) -> Result<Identity, EngineError> {
        let result = identity(self.begin().await?).await;
        self.end(result).await
    }

    async fn applied(&mut self, source: &SourceRef<'_>) -> Result<Vec<Applied>, EngineError> {
        self.begin().await?;
        let result = async {
            let history = locate(&mut self.link, source, &self.place).await?;
            applied(&mut self.link, &source.with(history.as_deref())).await
        }
        .await;
        self.end(result).await
    }

    async fn history_table(&mut self, source: &SourceRef<'_>) -> Result<Option<TableName>, EngineError> {
        self.begin().await?;
        let result = locate(&mut self.link, source, &self.place).await;
        let history = self.end(result).await?;
        Ok(source.with(history.as_deref()).history.map(|history| history.table().clone()))
    }

    async fn ledger(&mut self) -> Result<Vec<LedgerRow>, EngineError> {
        let result = ledger_rows(self.begin().await?).await;
        self.end(result).await
    }

    async fn runs(&mut self) -> Result<Vec<RunRow>, EngineError> {
        let result = runs(self.begin().await?).await;
        self.end(result).await
    }

    async fn seeds(&mut self) -> Result<Vec<SeedRow>, EngineError> {
        let result = seeds(self.begin().await?).await;
        self.end(result).await
    }

    async fn two_phase(&mut self) -> Result<TwoPhase, EngineError> {
        let result = two_phase::look(self.begin().await?).await;
        self.end(result).await
    }

    async fn environment(&mut self) -> Result<Option<String>, EngineError> {
        let result = environment(self.begin().await?).await;
        self.end(result).await
    }

    async fn inventory(&mut self) -> Result<Inventory, EngineError> {
        // Several queries of one moment: it has its own transaction, read-only too.
        inventory(&mut self.link).await
    }

    async fn belongings(&mut self, histories: &[TableName]) -> Result<Vec<String>, EngineError> {
        let result = belongings(self.begin().await?, histories).await;
        self.end(result).await
    }

    async fn close(self: Box<Self>) {
        self.link.close().await;
    }
}

pub(super) async fn identity(link: &mut Link<'_>) -> Result<Identity, EngineError> {
    // Some hosts take the right away. Address and start time stand in: they name the server while it runs. Asked for
    // first, since a refusal would end the transaction of a session that only reads.
    let may = link
        .one("select pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')", &[])
        .await?;
    let sql = match get::<bool>(&may, 0)? {
        true => {
            "select system_identifier::text, current_database()::text from pg_catalog.pg_control_system()"
        }
        false => {
            "select coalesce(host(inet_server_addr()), 'local') || ':' || current_setting('port') || '@' || \
             extract(epoch from pg_catalog.pg_postmaster_start_time())::text, current_database()::text"
        }
    };
    let row = link.one(sql, &[]).await?;
    Ok(Identity { system: get(&row, 0)?, database: get(&row, 1)? })
}

/// Whether a table is there. A schema that the role may not look into is an error, never "no table".
pub(super) async fn table_exists(link: &mut Link<'_>, table: &TableName) -> Result<bool, EngineError> {
    let quoted = table.to_string();
    let sql = "select pg_catalog.to_regclass($1::text) is not null";
    let row = link
        .one(sql, &[(&quoted, Type::TEXT)])
        .await
        .map_err(|failure| unreadable(failure, &link.user, table))?;
    get(&row, 0)
}

/// All rows of a table that may not be there.
async fn rows(link: &mut Link<'_>, table: &TableName, sql: &str) -> Result<Vec<Row>, EngineError> {
    if !table_exists(link, table).await? {
        return Ok(Vec::new());
    }
    link.query(sql, &[]).await.map_err(|failure| unreadable(failure, &link.user, table))
}

pub(super) fn unreadable(failure: Failure, user: &str, table: &TableName) -> EngineError {
    if failure.code() == "42703" {
        return failure.with_hint(|| {
            format!(
                "{table} has other columns than it should have; `table`, and where the format has it `name_column`, say \
                 in the manifest where migrations are recorded"
            )
        });
    }
    if failure.code() != "42501" {
        return failure.into();
    }
    failure.with_hint(|| {
        let (schema, user) = (dbctl_migration::quote_ident(&table.schema), dbctl_migration::quote_ident(user));
        format!("GRANT USAGE ON SCHEMA {schema} TO {user}; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {user};")
    })
}

pub(super) async fn applied(
    link: &mut Link<'_>,
    source: &SourceRef<'_>,
) -> Result<Vec<Applied>, EngineError> {
    let known = ledger_rows(link).await?;
    if source.history.is_none() {
        return Ok(ledger::own(&known, source.name));
    }
    let foreign = foreign(link, source).await?;
    Ok(ledger::annotate(foreign, &known, source.name, source.keyed_by()))
}

/// What a tool's own table says; nothing where there is no tool.
pub(super) async fn foreign(
    link: &mut Link<'_>,
    source: &SourceRef<'_>,
) -> Result<Vec<Applied>, EngineError> {
    let Some(history) = source.history else { return Ok(Vec::new()) };
    let rows = rows(link, history.table(), &history.read()).await?;
    let rows = rows.iter().map(foreign_row).collect::<Result<_, _>>()?;
    Ok(history.identify(rows, source.migrations))
}

pub(super) async fn ledger_rows(link: &mut Link<'_>) -> Result<Vec<LedgerRow>, EngineError> {
    let [migrations, _, _] = LEDGER.tables();
    rows(link, &migrations, &LEDGER.read()).await?.iter().map(ledger_row).collect()
}

fn ledger_row(row: &Row) -> Result<LedgerRow, EngineError> {
    let progress = match get::<Option<i64>>(row, 7)? {
        None => Progress::Whole,
        Some(done) => {
            let done = usize::try_from(done).unwrap_or_default();
            let (started, digest) = (get::<Option<bool>>(row, 8)?.unwrap_or_default(), get(row, 9)?);
            match get(row, 10)? {
                false => Progress::Partial { done, started, digest },
                true => Progress::Reverting { done, started, digest },
            }
        }
    };
    Ok(LedgerRow {
        source: get(row, 0)?,
        applied: Applied {
            version: Version::new(text(row, 1)?),
            name: text(row, 2)?,
            checksum: get::<Option<String>>(row, 3)?.map(Checksum::recorded),
            at: moment(row, 4)?,
            elapsed: elapsed(row, 5)?,
            progress,
            tool_row: get(row, 12)?,
        },
        run: get(row, 6)?,
        by: get(row, 11)?,
    })
}

pub(super) fn foreign_row(row: &Row) -> Result<Applied, EngineError> {
    let failed = get::<Option<bool>>(row, 5)?.unwrap_or_default();
    Ok(Applied {
        version: Version::new(text(row, 0)?),
        name: text(row, 1)?,
        checksum: get::<Option<String>>(row, 2)?.map(Checksum::recorded),
        at: moment(row, 3)?,
        elapsed: elapsed(row, 4)?,
        progress: if failed { Progress::Failed } else { Progress::Whole },
        tool_row: get(row, 6)?,
    })
}

fn text(row: &Row, column: usize) -> Result<String, EngineError> {
    Ok(get::<Option<String>>(row, column)?.unwrap_or_default())
}

/// Microseconds since 1970; what lies outside of the calendar is as good as unknown.
fn moment(row: &Row, column: usize) -> Result<Option<Timestamp>, EngineError> {
    Ok(get::<Option<i64>>(row, column)?.and_then(|us| Timestamp::from_microsecond(us).ok()))
}

/// Milliseconds; some tools write -1 while they run.
fn elapsed(row: &Row, column: usize) -> Result<Option<Duration>, EngineError> {
    Ok(get::<Option<i64>>(row, column)?.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis))
}

pub(super) async fn runs(link: &mut Link<'_>) -> Result<Vec<RunRow>, EngineError> {
    let run = |row: &Row| {
        Ok(RunRow {
            run: get(row, 0)?,
            command: get(row, 1)?,
            started_at: moment(row, 2)?,
            ended_at: moment(row, 3)?,
            outcome: get(row, 4)?,
            migrations: usize::try_from(get::<i64>(row, 5)?).unwrap_or_default(),
            by: get(row, 6)?,
            client: get(row, 7)?,
            dbctl_version: get(row, 8)?,
        })
    };
    rows(link, &LEDGER.runs_table(), &LEDGER.read_runs()).await?.iter().map(run).collect()
}

pub(super) async fn seeds(link: &mut Link<'_>) -> Result<Vec<SeedRow>, EngineError> {
    let [_, seeds, _] = LEDGER.tables();
    rows(link, &seeds, &LEDGER.read_seeds())
        .await?
        .iter()
        .map(|row| Ok(SeedRow { file: get(row, 0)?, checksum: Checksum::recorded(text(row, 1)?) }))
        .collect()
}

pub(super) async fn environment(link: &mut Link<'_>) -> Result<Option<String>, EngineError> {
    let [_, _, environment] = LEDGER.tables();
    match rows(link, &environment, &LEDGER.read_environment()).await?.first() {
        Some(row) => get(row, 0),
        None => Ok(None),
    }
}
