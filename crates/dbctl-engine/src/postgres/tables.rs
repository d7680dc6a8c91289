//! Making the tables that say what is applied, where they are missing.

use tokio_postgres::types::Type;

use super::{
    LEDGER,
    failure::Failure,
    reader,
    script::LOCK_TIMEOUT,
    session::{Link, get, set_local},
};
use crate::{EngineError, SourceRef};

/// Makes the ledger and the histories of the sources, each where its tool has or would have it, and records the environment
/// where none is recorded.
pub(super) async fn make(
    link: &mut Link<'_>,
    sources: &[SourceRef<'_>],
    environment: &str,
) -> Result<(), EngineError> {
    let mut ddl = Vec::new();
    for table in LEDGER.tables() {
        if !reader::table_exists(link, &table).await? {
            ddl = LEDGER.create();
            break;
        }
    }
    if ddl.is_empty() && !is_grown(link).await? {
        grow(link).await?;
    }
    let mut upgrades = Vec::new();
    for source in sources {
        let Some(history) = source.history else { continue };
        if !reader::table_exists(link, history.table()).await? {
            let is_there = schema_exists(link, &history.table().schema).await?;
            // Where it is there, making it takes a right all the same.
            ddl.extend(
                history.create().into_iter().filter(|sql| !(is_there && sql.starts_with(MAKE_SCHEMA))),
            );
        } else if let Some(upgrade) = history.upgrade(source.migrations) {
            let row = link.one_of(&upgrade.needed).await?;
            if let Some(refused) = get::<Option<String>>(&row, 1)? {
                return Err(EngineError::Unsupported(refused));
            }
            if get(&row, 0)? {
                upgrades.extend(upgrade.statements);
            }
        }
    }
    if ddl.is_empty() && upgrades.is_empty() && reader::environment(link).await?.is_some() {
        return Ok(());
    }
    let made = async {
        link.begin(&set_local("client_min_messages", "warning")).await?;
        for sql in &ddl {
            link.batch(sql).await?;
        }
        for statement in &upgrades {
            link.execute(statement).await?;
        }
        link.execute(&LEDGER.record_environment(environment)).await?;
        link.commit().await
    }
    .await;
    if made.is_err() {
        link.rollback().await;
    }
    let (user, database) = (link.user.clone(), link.database().to_owned());
    made.map_err(|failure| not_made(failure, &user, &database))
}

/// Whether the ledger says which rows of their tools its own speak of.
pub(super) async fn is_grown(link: &mut Link<'_>) -> Result<bool, EngineError> {
    get(&link.one_of(&LEDGER.is_grown()).await?, 0)
}

/// Adds what the ledger of an older dbctl lacks, if its owner is at work and nobody reads it for long: without it all is as it
/// was.
async fn grow(link: &mut Link<'_>) -> Result<(), EngineError> {
    let timeout = set_local("lock_timeout", &format!("{}ms", LOCK_TIMEOUT.as_millis()));
    let grown = async {
        link.begin(&timeout).await?;
        link.batch(&LEDGER.grow()).await?;
        link.commit().await
    }
    .await;
    match grown {
        Ok(()) => Ok(()),
        Err(failure) => {
            link.rollback().await;
            match failure.code() {
                NOT_ALLOWED | LOCKED => Ok(()),
                _ => Err(failure.into()),
            }
        }
    }
}

const NOT_ALLOWED: &str = "42501";
const LOCKED: &str = "55P03";

/// How histories begin that make a schema for their table.
const MAKE_SCHEMA: &str = "CREATE SCHEMA IF NOT EXISTS ";

async fn schema_exists(link: &mut Link<'_>, schema: &str) -> Result<bool, EngineError> {
    let sql = "select exists (select from pg_catalog.pg_namespace where nspname = $1::text)";
    get(&link.one(sql, &[(&schema, Type::TEXT)]).await?, 0)
}

fn not_made(failure: Failure, user: &str, database: &str) -> EngineError {
    if failure.code() != "42501" {
        return failure.into();
    }
    let (user, database) = (dbctl_migration::quote_ident(user), dbctl_migration::quote_ident(database));
    failure.with_hint(|| {
        format!(
            "dbctl keeps its records in the schema dbctl, and a history table where its tool does: \
             GRANT CREATE ON DATABASE {database} TO {user}; GRANT USAGE, CREATE ON SCHEMA public TO {user};"
        )
    })
}

/// Codes by which another session that made the same thing in the same moment shows.
pub(super) fn lost_race(error: &EngineError) -> bool {
    matches!(error, EngineError::Sql(sql) if ["23505", "42P06", "42P07", "42710"].contains(&sql.code.as_str()))
}
