//! What a database holds.

use dbctl_migration::{TableName, Value, quote_ident};
use rusqlite::{Connection, Row, config::DbConfig};

use super::{LEDGER, failure::own, link::Link, records::exists};
use crate::{
    BELONGINGS, EngineError,
    clean::{self, Inventory, Reference, Sequence, Table},
};

/// The schema of the file itself, beside those of files that are attached.
const MAIN: &str = "main";

/// What people have made, but for the tables in which virtual ones keep their data.
async fn made(link: &mut Link, kinds: &str) -> Result<Vec<String>, EngineError> {
    let sql = format!(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ({kinds}) \
         AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
    );
    let mut names = link.rows(sql, Vec::new(), |row| row.get::<_, String>(0)).await?;
    let own = own_tables();
    names.retain(|name| !own.iter().any(|own| own.name == *name));
    Ok(names)
}

fn own_tables() -> Vec<TableName> {
    LEDGER.tables().into_iter().chain([LEDGER.runs_table()]).collect()
}

/// Its tables, and what ties them.
pub(super) async fn inventory(link: &mut Link) -> Result<Inventory, EngineError> {
    let tables = made(link, "'table', 'virtual'").await?;
    let mut references = Vec::new();
    for table in &tables {
        let sql = "SELECT group_concat(\"from\", ', '), \"table\" FROM pragma_foreign_key_list(?1) GROUP BY id, \"table\"";
        let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
        for (columns, to) in link.rows(sql, vec![Value::Text(table.clone())], read).await? {
            // The catalog has it as the reference spells it.
            let to = tables.iter().find(|name| name.eq_ignore_ascii_case(&to)).cloned().unwrap_or(to);
            references.push(Reference {
                constraint: format!("({columns})"),
                from: TableName::new(MAIN, table),
                to: TableName::new(MAIN, to),
            });
        }
    }
    let sequences = match exists(link, "sqlite_sequence").await? {
        true => link.rows("SELECT name FROM main.sqlite_sequence ORDER BY name", Vec::new(), name).await?,
        false => Vec::new(),
    };
    Ok(Inventory {
        tables: tables
            .iter()
            .map(|name| Table {
                name: TableName::new(MAIN, name),
                extension: false,
                parents: Vec::new(),
                partitioned: false,
            })
            .collect(),
        references,
        sequences: sequences
            .into_iter()
            .filter(|name| tables.contains(name))
            .map(|name| {
                let name = TableName::new(MAIN, name);
                Sequence { used_by: vec![name.clone()], name, extension: false }
            })
            .collect(),
        materialized_views: Vec::new(),
    })
}

fn name(row: &Row<'_>) -> rusqlite::Result<String> {
    row.get(0)
}

/// The names of what people have made, in order.
pub(super) async fn belongings(link: &mut Link, histories: &[TableName]) -> Result<Vec<String>, EngineError> {
    let mut names = made(link, "'table', 'virtual', 'view'").await?;
    names.retain(|name| {
        let table = TableName::new(MAIN, name);
        !histories.contains(&table) && !clean::is_known(&table)
    });
    names.truncate(BELONGINGS);
    Ok(names)
}

/// Empties tables, without what would come of it: no trigger runs.
pub(super) async fn empty(link: &mut Link, tables: Vec<String>) -> Result<(), EngineError> {
    link.call(move |connection| {
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)
            .map_err(|error| own(&error, "no triggers"))?;
        tables.iter().try_for_each(|table| empty_table(connection, &quote_ident(table)))
    })
    .await
}

/// A full-text index whose text is elsewhere, or nowhere, is emptied by a command of its own, which others refuse.
fn empty_table(connection: &Connection, table: &str) -> Result<(), EngineError> {
    let delete = format!("DELETE FROM main.{table}");
    let all = format!("SAVEPOINT fts; INSERT INTO main.{table}({table}) VALUES ('delete-all'); RELEASE fts");
    let virtual_table = "SELECT 1 FROM pragma_table_list WHERE schema = 'main' AND type = 'virtual' \
                         AND '\"' || replace(name, '\"', '\"\"') || '\"' = ?1";
    let params = [Value::Text(table.to_owned())];
    if !super::link::rows(connection, virtual_table, &params, |_| Ok(()))?.is_empty() {
        match connection.execute_batch(&all) {
            Ok(()) => return Ok(()),
            Err(_) => connection
                .execute_batch("ROLLBACK TO fts; RELEASE fts")
                .map_err(|error| own(&error, "ROLLBACK TO fts"))?,
        }
    }
    connection.execute_batch(&delete).map_err(|error| own(&error, &delete))
}
