//! The tables in which migration tools keep their history, and other tables that are structure rather than data.

use dbctl_migration::TableName;

/// Names that are kept in any schema. Most tools let their table's schema be chosen.
const TABLES: [&str; 30] = [
    "SequelizeMeta",
    "__EFMigrationsHistory",
    "__diesel_schema_migrations",
    "__drizzle_migrations",
    "_migrations",
    "_prisma_migrations",
    "_sqlx_migrations",
    "alembic_version",
    "ar_internal_metadata",
    "atlas_schema_revisions",
    "databasechangelog",
    "databasechangeloglock",
    "django_migrations",
    "flyway_schema_history",
    "goose_db_version",
    "goose_lock",
    "knex_migrations",
    "knex_migrations_lock",
    "kysely_migration",
    "kysely_migration_lock",
    "migration_history",
    "migrations",
    "mikro_orm_migrations",
    "pgmigrations",
    "refinery_schema_history",
    "schema_lock",
    "schema_migrations",
    "schema_version",
    "seaql_migrations",
    "spatial_ref_sys",
];

/// Schemas that belong to a tool as a whole.
const SCHEMAS: [&str; 7] = [
    "atlas_schema_revisions",
    "dbctl",
    "graphile_migrate",
    "pgroll",
    "reshape",
    "sqitch",
    "supabase_migrations",
];

/// Whether a table is one that `clean` leaves alone wherever it finds it.
pub(crate) fn is_known(table: &TableName) -> bool {
    TABLES.contains(&table.name.as_str()) || SCHEMAS.contains(&table.schema.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_tables_are_known_in_any_schema_and_tool_schemas_whole() {
        for (schema, name, known) in [
            ("public", "pgmigrations", true),
            ("app", "pgmigrations", true),
            ("drizzle", "__drizzle_migrations", true),
            ("graphile_migrate", "current", true),
            ("sqitch", "changes", true),
            ("public", "databasechangeloglock", true),
            ("public", "users", false),
            ("public", "migrations_of_birds", false),
        ] {
            assert_eq!(is_known(&TableName::new(schema, name)), known, "{schema}.{name}");
        }
    }
}
