//! Whether a file changed the rows that say what is applied: they are dbctl's and the tools' to write, not a file's.

use std::path::Path;

use dbctl_migration::{TableName, Value, quote_ident};

use super::link::Link;
use crate::{EngineError, records::changed_rows};

/// The tables before a file, `None` where there is none.
pub(super) type Look = Vec<Option<Vec<String>>>;

/// All rows of the tables, in a transaction and before its file.
pub(super) async fn look(link: &mut Link, tables: &[TableName]) -> Result<Look, EngineError> {
    let mut look = Look::new();
    for table in tables {
        look.push(match exists(link, &table.name).await? {
            true => Some(all(link, &table.name).await?),
            false => None,
        });
    }
    Ok(look)
}

/// Whether a table is there; names differ by more than case.
pub(super) async fn exists(link: &mut Link, table: &str) -> Result<bool, EngineError> {
    let sql = "SELECT 1 FROM main.sqlite_schema WHERE type IN ('table', 'view') AND lower(name) = lower(?1)";
    Ok(!link.rows(sql, vec![Value::Text(table.to_owned())], |_| Ok(())).await?.is_empty())
}

async fn all(link: &mut Link, table: &str) -> Result<Vec<String>, EngineError> {
    let sql = format!("SELECT * FROM main.{}", quote_ident(table));
    let mut rows = link
        .rows(sql, Vec::new(), |row| {
            let columns = row.as_ref().column_count();
            let values: Result<Vec<_>, _> = (0..columns).map(|at| row.get_ref(at)).collect();
            Ok(format!("{:?}", values?))
        })
        .await?;
    rows.sort_unstable();
    Ok(rows)
}

/// Fails where a file has changed a row of the tables since they were looked at. A table that was not there had none.
pub(super) async fn unchanged(
    link: &mut Link,
    tables: &[TableName],
    before: &Look,
    file: &Path,
) -> Result<(), EngineError> {
    let after = look(link, tables).await?;
    let pairs = before.iter().zip(&after).zip(tables);
    let names: Vec<String> = pairs
        .filter(|((before, after), _)| before.is_some() && before != after)
        .map(|(_, table)| table.name.clone())
        .collect();
    if names.is_empty() { Ok(()) } else { Err(changed_rows(file, &names)) }
}
