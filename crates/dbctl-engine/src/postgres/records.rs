//! Whether a file changed the rows that say what is applied: they are dbctl's and the tools' to write, not a file's. But
//! for one: a file may record itself, as files of home-grown runners do.

use dbctl_migration::{Dialect, Migration, TableName};
use tokio_postgres::types::Type;

use super::{
    reader,
    session::{Link, get},
};
use crate::{
    EngineError, SourceRef,
    records::{Suspect, changed, changed_rows, is_own_row, records_itself},
};

/// How each table looks, `None` where there is none: otherwise once a row of it was written in this transaction.
///
/// The server counts the rows that a transaction writes, so that none has to be read. A table that was emptied or
/// replaced has another file, and nothing is counted while `track_counts` is off.
const LOOKS: &str = "select array(select case when c.oid is not null then pg_catalog.concat_ws(' ', c.oid, \
     pg_catalog.pg_relation_filenode(c.oid), pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid), \
     pg_catalog.pg_stat_get_xact_tuples_updated(c.oid), pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid), \
     pg_catalog.current_setting('track_counts')) end \
     from rows from (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) with ordinality t(schema, name, at) \
     left join pg_catalog.pg_namespace n on n.nspname = t.schema \
     left join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = t.name order by t.at)";

/// The tables before a file.
pub(super) type Look = Vec<Option<String>>;

/// How the tables look, in a transaction and before its file.
pub(super) async fn look(link: &mut Link<'_>, tables: &[TableName]) -> Result<Look, EngineError> {
    if tables.is_empty() {
        return Ok(Look::new());
    }
    let (schemas, names): (Vec<&str>, Vec<&str>) =
        tables.iter().map(|table| (table.schema.as_str(), table.name.as_str())).unzip();
    get(&link.one(LOOKS, &[(&schemas, Type::TEXT_ARRAY), (&names, Type::TEXT_ARRAY)]).await?, 0)
}

/// Whether a look differs from the one before it by one new row alone.
fn is_one_more(before: &str, after: &str) -> bool {
    let (before, after): (Vec<_>, Vec<_>) = (before.split(' ').collect(), after.split(' ').collect());
    // The table, its file, and the rows that were inserted, updated and deleted.
    let (&[.., inserted, _, _, _], &[.., now, _, _, _]) = (&before[..], &after[..]) else { return false };
    let at = before.len() - 4;
    let others = |look: &[&str]| {
        look.iter()
            .enumerate()
            .filter(|(n, _)| *n != at)
            .map(|(_, part)| (*part).to_owned())
            .collect::<Vec<_>>()
    };
    let number = |text: &str| text.parse::<u64>().ok();
    number(inserted).and_then(|rows| rows.checked_add(1)) == number(now) && others(&before) == others(&after)
}

/// Whether a migration is recorded in its tool's table before dbctl has done so.
pub(super) async fn by_itself(
    link: &mut Link<'_>,
    own: Option<(&SourceRef<'_>, &Migration)>,
) -> Result<bool, EngineError> {
    let Some((source, migration)) = own else { return Ok(false) };
    Ok(records_itself(&reader::foreign(link, source).await?, source, migration))
}

/// Fails where a file has changed a row of the tables since they were looked at, in the same transaction. A table that
/// was not there had none. One new row is no such change where it records the file itself; then the answer is `true`.
pub(super) async fn unchanged(
    link: &mut Link<'_>,
    tables: &[TableName],
    before: &Look,
    file: &Suspect<'_>,
    own: Option<(&SourceRef<'_>, &Migration)>,
) -> Result<bool, EngineError> {
    let after = look(link, tables).await?;
    let changed = changed(before, &after, tables);
    if changed.is_empty() {
        return Ok(false);
    }
    if is_own_row(&changed, own, |before, after| is_one_more(before, after)) && by_itself(link, own).await? {
        return Ok(true);
    }
    Err(changed_rows(Dialect::Postgres, file, &changed))
}
