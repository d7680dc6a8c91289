//! Whether a file changed the rows that say what is applied: they are dbctl's and the tools' to write, not a file's. But
//! for one: a file may record itself.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use dbctl_migration::{Dialect, Migration, TableName, Value, quote_ident};
use rusqlite::{
    Connection,
    hooks::{AuthAction, AuthContext, Authorization},
};

use super::{
    failure::own,
    link::{Link, rows},
    reader,
};
use crate::{
    EngineError, SourceRef,
    records::{Suspect, changed, changed_rows, is_own_row, records_itself},
};

/// The tables at one moment, `None` where there is none.
type Look = Vec<Option<Vec<String>>>;

/// Sees that the statements of a file leave tables alone. Their rows are looked at once a statement would write to one, so
/// that files which do not cost nothing.
#[derive(Clone)]
pub(super) struct Guard {
    tables: Arc<[TableName]>,
    touched: Arc<AtomicBool>,
    before: Arc<Mutex<Option<Look>>>,
}

impl Guard {
    pub(super) fn new(tables: &[TableName]) -> Self {
        Self { tables: tables.into(), touched: Arc::default(), before: Arc::default() }
    }

    /// Hears of every statement that is prepared from now on.
    pub(super) fn listen(&self, connection: &mut Connection) -> Result<(), EngineError> {
        let (tables, touched) = (Arc::clone(&self.tables), Arc::clone(&self.touched));
        let hear = move |context: AuthContext<'_>| {
            let table = match context.action {
                AuthAction::Insert { table_name }
                | AuthAction::Update { table_name, .. }
                | AuthAction::Delete { table_name }
                | AuthAction::DropTable { table_name }
                | AuthAction::AlterTable { table_name, .. } => Some(table_name),
                _ => None,
            };
            if table.is_some_and(|table| tables.iter().any(|one| one.name.eq_ignore_ascii_case(table))) {
                touched.store(true, Ordering::Relaxed);
            }
            Authorization::Allow
        };
        connection.authorizer(Some(hear)).map_err(|error| own(&error, "listen"))
    }

    /// To be called once a statement is prepared, and before it runs.
    pub(super) fn prepared(&self, connection: &Connection) -> Result<(), EngineError> {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        if before.is_none() && self.touched.load(Ordering::Relaxed) {
            *before = Some(look(connection, &self.tables)?);
        }
        Ok(())
    }

    /// Fails where a file has changed a row of the tables. A table that was not there had none. One new row is no such
    /// change where it records the file itself; then the answer is `true`.
    pub(super) async fn unchanged(
        &self,
        link: &mut Link,
        file: &Suspect<'_>,
        own: Option<(&SourceRef<'_>, &Migration)>,
    ) -> Result<bool, EngineError> {
        let Some(before) = self.before.lock().unwrap_or_else(PoisonError::into_inner).clone() else {
            return Ok(false);
        };
        let tables = Arc::clone(&self.tables);
        let after = link.call(move |connection| look(connection, &tables)).await?;
        let changed = changed(&before, &after, &self.tables);
        if changed.is_empty() {
            return Ok(false);
        }
        if is_own_row(&changed, own, |before, after| is_one_more(before, after))
            && by_itself(link, own).await?
        {
            return Ok(true);
        }
        Err(changed_rows(Dialect::Sqlite, file, &changed))
    }
}

/// All rows of the tables.
fn look(connection: &Connection, tables: &[TableName]) -> Result<Look, EngineError> {
    let mut look = Look::new();
    for table in tables {
        let is_there = !rows(connection, EXISTS, &[Value::Text(table.name.clone())], |_| Ok(()))?.is_empty();
        look.push(if is_there { Some(all(connection, &table.name)?) } else { None });
    }
    Ok(look)
}

/// Names differ by more than case.
const EXISTS: &str =
    "SELECT 1 FROM main.sqlite_schema WHERE type IN ('table', 'view') AND lower(name) = lower(?1)";

/// Whether a table is there.
pub(super) async fn exists(link: &mut Link, table: &str) -> Result<bool, EngineError> {
    Ok(!link.rows(EXISTS, vec![Value::Text(table.to_owned())], |_| Ok(())).await?.is_empty())
}

fn all(connection: &Connection, table: &str) -> Result<Vec<String>, EngineError> {
    let sql = format!("SELECT * FROM main.{}", quote_ident(table));
    let mut all = rows(connection, &sql, &[], |row| {
        let columns = row.as_ref().column_count();
        let values: Result<Vec<_>, _> = (0..columns).map(|at| row.get_ref(at)).collect();
        Ok(format!("{:?}", values?))
    })?;
    all.sort_unstable();
    Ok(all)
}

/// Whether a migration is recorded in its tool's table before dbctl has done so.
pub(super) async fn by_itself(
    link: &mut Link,
    own: Option<(&SourceRef<'_>, &Migration)>,
) -> Result<bool, EngineError> {
    let Some((source, migration)) = own else { return Ok(false) };
    Ok(records_itself(&reader::foreign(link, source).await?, source, migration))
}

/// Whether sorted rows differ from those before by one new row alone.
fn is_one_more(before: &[String], after: &[String]) -> bool {
    let at = before.iter().zip(after).take_while(|(before, after)| before == after).count();
    after.len() == before.len() + 1 && after.get(at + 1..) == before.get(at..)
}
