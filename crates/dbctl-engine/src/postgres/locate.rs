//! In which schema a tool's history table is, where the tool leaves that to the connection.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use dbctl_migration::{History, Migration, TableName};
use tokio_postgres::types::Type;

use super::{
    reader::{foreign_row, unreadable},
    session::{Link, get},
};
use crate::{EngineError, SourceRef, Target};

/// The parameter that says where names without a schema are looked for.
const SEARCH_PATH: &str = "search_path";

/// What the manifest says of where files work.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The settings with which files begin.
    pub(super) settings: BTreeMap<String, String>,
    /// The `schema` of the URL.
    schema: Option<String>,
}

impl Place {
    pub(super) fn of(target: &Target) -> Self {
        Self { settings: target.settings.clone(), schema: target.schema.clone() }
    }
}

/// Where a session looks for names.
struct Path {
    /// Where it makes what has no schema.
    current: Option<String>,
    /// The schemas that are there and may be looked into, in order.
    schemas: Vec<String>,
    /// The first schema that is named, be it there or not.
    first: Option<String>,
    /// Whether the connection's settings, or the manifest's, name it.
    asked_for: bool,
}

/// The source's history with its table where the tool would find it, else make it, on this connection; `None` where the
/// schema is said. To be called in a transaction that is then rolled back.
///
/// It is looked for in the schema in which the tool would make it, which may be the URL's. A table in another schema of the path counts if it
/// knows the source's files: schemas come, with the files or with the role of their name, when the table is there. One
/// that is beside the path is an error if it knows them, since everything would run a second time.
pub(super) async fn locate(
    link: &mut Link<'_>,
    source: &SourceRef<'_>,
    place: &Place,
) -> Result<Option<Arc<dyn History>>, EngineError> {
    let Some(history) = source.history else { return Ok(None) };
    let urls = place.schema.as_deref().filter(|schema| history.within_urls(schema).is_some());
    let there = |schema: &str| {
        let here = if urls == Some(schema) { history.within_urls(schema) } else { history.within(schema) };
        here.map(Arc::<dyn History>::from)
    };
    if there("public").is_none() {
        return Ok(None);
    }
    let mut path = match urls {
        Some(schema) => Path::just(schema),
        None => path(link).await?,
    };
    let mut settings = place.settings.iter().filter(|_| urls.is_none());
    if let Some((_, text)) = settings.find(|(name, _)| name.eq_ignore_ascii_case(SEARCH_PATH)) {
        let sql = "select pg_catalog.set_config('search_path', $1::text, true)";
        link.query(sql, &[(text, Type::TEXT)]).await?;
        let mut set = self::path(link).await?;
        // What was recorded before that setting was made.
        set.schemas.extend(path.schemas);
        path = set;
    }
    let made = match (&path.first, &path.current) {
        (Some(first), _) if path.asked_for && history.makes_schema() => first,
        (_, Some(current)) => current,
        (Some(first), None) => first,
        (None, None) => "public",
    };
    let tables = tables(link, &history.table().name).await?;
    if tables.iter().any(|(schema, _)| schema == made) {
        return Ok(there(made));
    }
    for schema in path.schemas.iter().filter(|schema| tables.iter().any(|(name, _)| name == *schema)) {
        let Some(history) = there(schema) else { continue };
        // Where the files are not to be seen, whichever table there is.
        if source.migrations.is_empty() || known(link, &*history, source.migrations, true).await? > 0 {
            return Ok(Some(history));
        }
    }
    for (schema, _) in tables.iter().filter(|(schema, readable)| *readable && !path.schemas.contains(schema))
    {
        let Some(history) = there(schema) else { continue };
        let migrations = known(link, &*history, source.migrations, false).await?;
        if migrations > 0 {
            return Err(EngineError::Elsewhere {
                source_name: source.name.to_owned(),
                table: Box::new(TableName::new(made, &history.table().name)),
                found: Box::new(history.table().clone()),
                migrations,
            });
        }
    }
    Ok(there(made))
}

impl Path {
    fn just(schema: &str) -> Self {
        let name = || schema.to_owned();
        Self { current: Some(name()), schemas: vec![name()], first: Some(name()), asked_for: true }
    }
}

async fn path(link: &mut Link<'_>) -> Result<Path, EngineError> {
    let sql = "select current_schema()::text, current_schemas(false)::text[], current_setting('search_path'), \
               (select source from pg_catalog.pg_settings where name = 'search_path') in ('client', 'session')";
    let row = link.one(sql, &[]).await?;
    Ok(Path {
        current: get(&row, 0)?,
        schemas: get(&row, 1)?,
        first: first(&get::<String>(&row, 2)?),
        asked_for: get::<Option<bool>>(&row, 3)?.unwrap_or_default(),
    })
}

/// The first schema of a search path, where it is a name.
fn first(path: &str) -> Option<String> {
    let path = path.trim_start();
    let name = match path.strip_prefix('"') {
        None => path.split(',').next().unwrap_or_default().trim().to_lowercase(),
        Some(quoted) => {
            let mut name = String::new();
            let mut rest = quoted.chars().peekable();
            while let Some(c) = rest.next() {
                // A quote inside is doubled.
                if c == '"' && rest.next_if_eq(&'"').is_none() {
                    break;
                }
                name.push(c);
            }
            name
        }
    };
    (!name.is_empty() && name != "$user" && !name.starts_with("pg_")).then_some(name)
}

/// The schemas that have a table of that name, and whether it may be read.
async fn tables(link: &mut Link<'_>, name: &str) -> Result<Vec<(String, bool)>, EngineError> {
    let sql = "select n.nspname::text, pg_catalog.has_schema_privilege(n.oid, 'USAGE') and \
               pg_catalog.has_table_privilege(c.oid, 'SELECT') from pg_catalog.pg_class c join \
               pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.relname = $1::text and c.relkind in \
               ('r', 'p', 'v', 'f') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' order by 1";
    link.query(sql, &[(&name, Type::TEXT)])
        .await?
        .iter()
        .map(|row| Ok((get(row, 0)?, get(row, 1)?)))
        .collect()
}

/// How many of the migrations a table knows; none where it is another tool's. One that `has_to_be_readable` is an error
/// where the role may not read it.
async fn known(
    link: &mut Link<'_>,
    history: &dyn History,
    migrations: &[Migration],
    has_to_be_readable: bool,
) -> Result<usize, EngineError> {
    link.batch("SAVEPOINT \"dbctl look\"").await?;
    let rows = link.query(&history.read(), &[]).await;
    link.batch("ROLLBACK TO SAVEPOINT \"dbctl look\"; RELEASE SAVEPOINT \"dbctl look\"").await?;
    let rows = match rows {
        Ok(rows) => rows,
        Err(failure) if failure.code().is_empty() || has_to_be_readable && failure.code() == "42501" => {
            return Err(unreadable(failure, &link.user, history.table()));
        }
        // It has other columns.
        Err(_) => return Ok(0),
    };
    let rows = rows.iter().map(foreign_row).collect::<Result<Vec<_>, _>>()?;
    let rows = history.identify(rows, migrations);
    let keyed_by = history.keyed_by();
    let recorded: HashSet<&str> = rows.iter().map(|row| keyed_by.of_applied(row)).collect();
    Ok(migrations.iter().filter(|migration| recorded.contains(keyed_by.of(migration))).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_schema_is_read_as_the_server_writes_it() {
        for (path, schema) in [
            ("app, public", Some("app")),
            ("App", Some("app")),
            ("\"my \"\"app\"\", too\", public", Some("my \"app\", too")),
            ("\"$user\", public", None),
            ("pg_temp, app", None),
            ("\"\"", None),
            ("", None),
        ] {
            assert_eq!(first(path).as_deref(), schema, "{path}");
        }
    }
}
