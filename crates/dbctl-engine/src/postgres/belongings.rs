//! Whether anybody has made anything in a database.

use dbctl_migration::TableName;
use tokio_postgres::types::Type;

use super::session::{Link, get};
use crate::{BELONGINGS, EngineError, clean};

/// Relations (tables, views, sequences …), functions and types of people, by their classes in the catalog.
///
/// Types of relations are the relations' own, and array types their elements'. Temporary schemas begin with `pg_`, too.
const KINDS: [(&str, &str, &str, &str); 3] = [
    ("pg_class", "relnamespace", "relname", "o.relkind in ('r', 'p', 'v', 'm', 'f', 'S')"),
    ("pg_proc", "pronamespace", "proname", "true"),
    ("pg_type", "typnamespace", "typname", "o.typtype in ('e', 'd', 'r')"),
];

/// What a host puts into every database belongs to a role of its own, and does not lie in `public`.
const HOSTED: &str = "n.nspname <> 'public' and pg_catalog.pg_get_userbyid(n.nspowner) ~ '^(supabase_|rdsadmin$|cloudsqladmin$|azuresu$|neon_superuser$)'";

/// The names of what people have made, in order.
pub(super) async fn belongings(
    link: &mut Link<'_>,
    histories: &[TableName],
) -> Result<Vec<String>, EngineError> {
    let kinds = KINDS.map(|(class, schema, name, which)| {
        format!(
            "select n.nspname::text as schema, o.{name}::text as name, '{class}'::text as class, o.oid \
             from pg_catalog.{class} o join pg_catalog.pg_namespace n on n.oid = o.{schema} \
             where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'dbctl') and {which} \
               and not ({HOSTED}) and not exists (select 1 from pg_catalog.pg_depend d \
                 where d.classid = 'pg_catalog.{class}'::regclass and d.objid = o.oid and d.deptype in ('e', 'i'))"
        )
    });
    // A sequence that a column owns is the table's.
    let sql = format!(
        "select made.schema, made.name, owner.schema, owner.name from ({}) made \
         left join lateral (select tn.nspname::text as schema, t.relname::text as name from pg_catalog.pg_depend d \
           join pg_catalog.pg_class t on t.oid = d.refobjid join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace \
           where made.class = 'pg_class' and d.classid = 'pg_catalog.pg_class'::regclass and d.objid = made.oid \
             and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjsubid > 0 and d.deptype in ('a', 'i') \
           limit 1) owner on true order by 1, 2",
        kinds.join(" union all ")
    );
    let params: &[(&(dyn tokio_postgres::types::ToSql + Sync), Type)] = &[];
    let mut found: Vec<String> = Vec::new();
    for row in link.query(&sql, params).await? {
        let name = |at: usize| -> Result<Option<TableName>, EngineError> {
            let (schema, name) = (get::<Option<String>>(&row, at)?, get::<Option<String>>(&row, at + 1)?);
            Ok(schema.zip(name).map(|(schema, name)| TableName { schema, name }))
        };
        let Some(made) = name(0)? else { continue };
        let owner = name(2)?.unwrap_or_else(|| made.clone());
        let shown = format!("{}.{}", made.schema, made.name);
        if !histories.contains(&owner) && !clean::is_known(&owner) && found.last() != Some(&shown) {
            found.push(shown);
        }
        if found.len() == BELONGINGS {
            break;
        }
    }
    Ok(found)
}
