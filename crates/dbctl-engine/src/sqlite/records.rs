//! Whether a file changed the rows that say what is applied: they are dbctl's and the tools' to write, not a file's. But
//! for one: a file may record itself.

use dbctl_migration::{Migration, TableName, Value, quote_ident};

use super::{link::Link, reader};
use crate::{
    EngineError, SourceRef,
    records::{Suspect, changed_rows, records_itself},
};

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

/// Whether a migration is recorded in its tool's table before dbctl has done so.
pub(super) async fn by_itself(
    link: &mut Link,
    own: Option<(&SourceRef<'_>, &Migration)>,
) -> Result<bool, EngineError> {
    let Some((source, migration)) = own else { return Ok(false) };
    Ok(records_itself(&reader::foreign(link, source).await?, source, migration))
}

/// Fails where a file has changed a row of the tables since they were looked at. A table that was not there had none. One
/// new row is no such change where it records the file itself; then the answer is `true`.
pub(super) async fn unchanged(
    link: &mut Link,
    tables: &[TableName],
    before: &Look,
    file: &Suspect<'_>,
    own: Option<(&SourceRef<'_>, &Migration)>,
) -> Result<bool, EngineError> {
    let after = look(link, tables).await?;
    let pairs = before.iter().zip(&after).zip(tables);
    let changed: Vec<_> = pairs.filter(|((before, after), _)| before.is_some() && before != after).collect();
    if changed.is_empty() {
        return Ok(false);
    }
    let history = own.and_then(|(source, _)| source.history).map(|history| history.table());
    if let [((Some(before), Some(after)), table)] = changed[..]
        && history == Some(table)
        && is_one_more(before, after)
        && by_itself(link, own).await?
    {
        return Ok(true);
    }
    let changed: Vec<&TableName> = changed.into_iter().map(|(_, table)| table).collect();
    let shown: Vec<String> = changed.iter().map(|table| table.name.clone()).collect();
    Err(changed_rows(file, &changed, &shown))
}

/// Whether sorted rows differ from those before by one new row alone.
fn is_one_more(before: &[String], after: &[String]) -> bool {
    let at = before.iter().zip(after).take_while(|(before, after)| before == after).count();
    after.len() == before.len() + 1 && after.get(at + 1..) == before.get(at..)
}
