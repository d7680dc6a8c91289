//! What a database holds, read from its catalog for planning a clean.

use std::collections::{BTreeMap, BTreeSet};

use dbctl_migration::TableName;
use tokio_postgres::Row;

use super::session::{Link, get};
use crate::{
    EngineError,
    clean::{Inventory, Reference, Sequence, Table},
};

/// Schemas that are nobody's data: the system's (temporary ones among them) and dbctl's own.
const SCHEMAS: &str = "n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'dbctl')";

/// Whether an extension owns the relation `c`.
const EXTENSION: &str = "exists (select 1 from pg_catalog.pg_depend d \
     where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')";

/// Reads the inventory, in name order.
pub(super) async fn inventory(link: &mut Link<'_>) -> Result<Inventory, EngineError> {
    // One snapshot for all queries: a table that comes or goes meanwhile would tear them apart.
    link.begin_reading("ISOLATION LEVEL REPEATABLE READ").await?;
    let read = read(link).await;
    link.rollback().await;
    read
}

async fn read(link: &mut Link<'_>) -> Result<Inventory, EngineError> {
    Ok(Inventory {
        tables: tables(link).await?,
        references: references(link).await?,
        sequences: sequences(link).await?,
        materialized_views: materialized_views(link).await?,
    })
}

fn name(row: &Row, schema_column: usize) -> Result<TableName, EngineError> {
    Ok(TableName { schema: get(row, schema_column)?, name: get(row, schema_column + 1)? })
}

/// Foreign tables only where a table could reach them as its children.
async fn tables(link: &mut Link<'_>) -> Result<Vec<Table>, EngineError> {
    let mut parents: BTreeMap<TableName, Vec<TableName>> = BTreeMap::new();
    let sql = "select cn.nspname::text, c.relname::text, pn.nspname::text, p.relname::text \
         from pg_catalog.pg_inherits i \
         join pg_catalog.pg_class c on c.oid = i.inhrelid join pg_catalog.pg_namespace cn on cn.oid = c.relnamespace \
         join pg_catalog.pg_class p on p.oid = i.inhparent join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace \
         where p.relkind in ('r', 'p') order by 1, 2, i.inhseqno";
    for row in link.query(sql, &[]).await? {
        parents.entry(name(&row, 0)?).or_default().push(name(&row, 2)?);
    }
    let sql = format!(
        "select n.nspname::text, c.relname::text, {EXTENSION} or c.relkind = 'f', c.relkind = 'p' \
         from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
         where {SCHEMAS} and (c.relkind in ('r', 'p') \
           or c.relkind = 'f' and exists (select 1 from pg_catalog.pg_inherits i where i.inhrelid = c.oid)) \
         order by 1, 2"
    );
    let mut tables = Vec::new();
    for row in link.query(&sql, &[]).await? {
        let name = name(&row, 0)?;
        let parents = parents.remove(&name).unwrap_or_default();
        tables.push(Table { name, extension: get(&row, 2)?, partitioned: get(&row, 3)?, parents });
    }
    Ok(tables)
}

/// A partition's copies of its parent's constraints are left out.
async fn references(link: &mut Link<'_>) -> Result<Vec<Reference>, EngineError> {
    let sql = format!(
        "select k.conname::text, n.nspname::text, c.relname::text, tn.nspname::text, t.relname::text \
         from pg_catalog.pg_constraint k \
         join pg_catalog.pg_class c on c.oid = k.conrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
         join pg_catalog.pg_class t on t.oid = k.confrelid join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace \
         where k.contype = 'f' and k.conparentid = 0 and {SCHEMAS} order by 2, 3, 4, 5, 1"
    );
    link.query(&sql, &[])
        .await?
        .iter()
        .map(|row| Ok(Reference { constraint: get(row, 0)?, from: name(row, 1)?, to: name(row, 3)? }))
        .collect()
}

/// A table uses a sequence that one of its columns owns (`serial`, identity) or that a default calls; the server records
/// no dependency where the default names it by text (`nextval('s'::text)`), so such defaults are read.
async fn sequences(link: &mut Link<'_>) -> Result<Vec<Sequence>, EngineError> {
    let mut used_by: BTreeMap<TableName, Vec<TableName>> = BTreeMap::new();
    let sql = "select sn.nspname::text, s.relname::text, tn.nspname::text, t.relname::text from ( \
           select d.objid as sequence, d.refobjid as \"table\" from pg_catalog.pg_depend d \
           where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass \
             and d.refobjsubid > 0 and d.deptype in ('a', 'i') \
           union \
           select d.refobjid, a.adrelid from pg_catalog.pg_depend d \
           join pg_catalog.pg_attrdef a on a.oid = d.objid \
           where d.classid = 'pg_catalog.pg_attrdef'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass \
           union \
           select q.oid, a.adrelid from pg_catalog.pg_attrdef a \
           join pg_catalog.pg_class q on q.relkind = 'S' \
             and strpos(pg_catalog.pg_get_expr(a.adbin, a.adrelid), q.relname) > 0 \
           where pg_catalog.pg_get_expr(a.adbin, a.adrelid) like '%nextval(%::text%' \
         ) used \
         join pg_catalog.pg_class s on s.oid = used.sequence and s.relkind = 'S' \
         join pg_catalog.pg_namespace sn on sn.oid = s.relnamespace \
         join pg_catalog.pg_class t on t.oid = used.\"table\" \
         join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace order by 1, 2, 3, 4";
    for row in link.query(sql, &[]).await? {
        used_by.entry(name(&row, 0)?).or_default().push(name(&row, 2)?);
    }
    let sql = format!(
        "select n.nspname::text, c.relname::text, {EXTENSION} from pg_catalog.pg_class c \
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace where {SCHEMAS} and c.relkind = 'S' order by 1, 2"
    );
    let mut sequences = Vec::new();
    for row in link.query(&sql, &[]).await? {
        let name = name(&row, 0)?;
        let used_by = used_by.remove(&name).unwrap_or_default();
        sequences.push(Sequence { name, used_by, extension: get(&row, 2)? });
    }
    Ok(sequences)
}

async fn materialized_views(link: &mut Link<'_>) -> Result<Vec<TableName>, EngineError> {
    let mut reads: BTreeMap<TableName, BTreeSet<TableName>> = BTreeMap::new();
    let sql = "select distinct vn.nspname::text, v.relname::text, sn.nspname::text, s.relname::text \
         from pg_catalog.pg_depend d join pg_catalog.pg_rewrite r on r.oid = d.objid \
         join pg_catalog.pg_class v on v.oid = r.ev_class join pg_catalog.pg_namespace vn on vn.oid = v.relnamespace \
         join pg_catalog.pg_class s on s.oid = d.refobjid join pg_catalog.pg_namespace sn on sn.oid = s.relnamespace \
         where d.classid = 'pg_catalog.pg_rewrite'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass \
           and v.relkind in ('v', 'm') and s.relkind in ('v', 'm') and v.oid <> s.oid";
    for row in link.query(sql, &[]).await? {
        reads.entry(name(&row, 0)?).or_default().insert(name(&row, 2)?);
    }
    let sql = format!(
        "select n.nspname::text, c.relname::text from pg_catalog.pg_class c \
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
         where {SCHEMAS} and c.relkind = 'm' and c.relispopulated and not {EXTENSION}"
    );
    let views: BTreeSet<_> =
        link.query(&sql, &[]).await?.iter().map(|row| name(row, 0)).collect::<Result<_, _>>()?;
    Ok(refresh_order(&views, &reads))
}

/// What a view reads comes before it, through ordinary views too; ties in name order.
fn refresh_order(
    views: &BTreeSet<TableName>,
    reads: &BTreeMap<TableName, BTreeSet<TableName>>,
) -> Vec<TableName> {
    let (mut order, mut seen) = (Vec::new(), BTreeSet::new());
    for view in views {
        // A stack of its own: views may be nested deeper than the thread's.
        let mut stack = vec![(view, false)];
        while let Some((view, visited)) = stack.pop() {
            if visited {
                order.extend(views.get(view).cloned());
            } else if seen.insert(view) {
                stack.push((view, true));
                stack.extend(reads.get(view).into_iter().flatten().rev().map(|read| (read, false)));
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_view_reads_is_refreshed_before_it() {
        let name = |text: &str| TableName::new("public", text);
        let views = ["a", "b", "c", "d"].map(name).into();
        let reads = [("a", vec!["v", "d"]), ("v", vec!["c"]), ("c", vec!["d"])]
            .map(|(view, read)| (name(view), read.into_iter().map(name).collect()))
            .into();
        let order: Vec<_> = refresh_order(&views, &reads).into_iter().map(|name| name.name).collect();
        assert_eq!(order, ["d", "c", "a", "b"]);
    }
}
