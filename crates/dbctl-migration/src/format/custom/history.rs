//! The table of a home-grown runner, whose shape only the runner knows.

mod sqlite;

pub(super) use self::sqlite::CustomOnSqlite;
use super::pattern::{Parts, Pattern, is_version, numbers};
use crate::{
    Applied, History, KeyedBy, Migration, Recording, SourceOptions, Statement, TableName, Value, Version,
    history::with_writer, quote_ident,
};

/// What a row says of its migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Records {
    /// The file's name without `.sql`.
    Name,
    /// The file's name.
    File,
    /// The version.
    Version,
}

impl Records {
    /// As the manifest spells them.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "name" => Some(Self::Name),
            "file" => Some(Self::File),
            "version" => Some(Self::Version),
            _ => None,
        }
    }

    /// What a row may say of a migration: its name, its file, its version, and what it says where nothing else is known.
    fn spelled(self, migration: &Migration) -> Vec<Value> {
        let version = migration.version.as_str();
        let file = migration
            .up
            .path
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let default = match self {
            Self::Name => &migration.name,
            Self::File => &file,
            Self::Version => version,
        };
        [&migration.name, &*file, version, default].map(|text| Value::Text(text.to_owned())).into()
    }
}

/// Any table with a column that says which migration a row is.
///
/// Rows may hold a file's name with or without `.sql` and the folders before it, or the version alone: what is there is
/// recognised whatever the manifest says, and new rows are written like the last one. Of a row only the columns that
/// the manifest names are written; the others have to have defaults.
#[derive(Clone)]
pub(super) struct CustomTable {
    table: TableName,
    /// Whether somebody has said in which schema.
    placed: bool,
    pattern: Pattern,
    name_column: String,
    applied_column: Option<String>,
    records: Records,
}

/// What dbctl's own rows hold the time in, and where it is looked for if nothing else is said.
const APPLIED: &str = "applied_at";

impl CustomTable {
    /// The options have been checked.
    pub(super) fn new(options: &SourceOptions, pattern: Pattern) -> Self {
        let or = |set: &Option<String>, default: &str| set.clone().unwrap_or_else(|| default.to_owned());
        Self {
            table: TableName::new(or(&options.schema, "public"), or(&options.table, "migrations")),
            placed: options.schema.is_some(),
            pattern,
            name_column: or(&options.name_column, "name"),
            applied_column: options.applied_column.clone(),
            records: options.records.as_deref().and_then(Records::parse).unwrap_or(Records::Name),
        }
    }

    /// The table's rows: what each says, its time and its `id` where it has them, whether it speaks of a failure, and what
    /// tells it from others that say the same: its `id` and time, else who wrote it.
    ///
    /// The name column is asked for as such, so that a mistyped one is an error and no empty history; everything else
    /// through `to_jsonb`, since it may be missing or of any type.
    fn rows(&self) -> String {
        format!(
            "(SELECT said, COALESCE(NULLIF(pg_catalog.concat_ws(' ', id, CASE WHEN noted ~ '{INSTANT}' THEN \
             (EXTRACT(EPOCH FROM noted::timestamptz) * 1000000)::bigint::text ELSE noted END), ''), written) AS tool_row, CASE WHEN noted ~ '{DATE}' THEN (EXTRACT(EPOCH FROM noted::timestamptz) * 1000000)::bigint END \
             AS at_us, CASE WHEN id ~ '^[0-9]{{1,18}}$' THEN id::bigint END AS id, success = 'false' AS failed FROM \
             (SELECT dbctl_row.{name}::text AS said, pg_catalog.to_jsonb(dbctl_row) ->> {applied} AS noted, \
             pg_catalog.to_jsonb(dbctl_row) ->> 'id' AS id, pg_catalog.to_jsonb(dbctl_row) ->> 'success' AS success, \
             dbctl_writer AS written FROM {table}) AS raw WHERE said IS NOT NULL) AS rows",
            name = quote_ident(&self.name_column),
            applied = quote_literal(self.applied_column.as_deref().unwrap_or(APPLIED)),
            table = with_writer(&self.table, "dbctl_row")
        )
    }
}

/// A date as JSON spells it, with or without a time.
const DATE: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.]+([+-][0-9:]+|Z)?)?$";

/// One that is the same moment in every session, though not the same text.
const INSTANT: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+([+-][0-9:]+|Z)$";

/// What a row says, without folders and extensions.
fn bare(said: &str) -> &str {
    let file = said.rsplit('/').next().unwrap_or_default();
    file.strip_suffix(".sql").map_or(file, |stem| stem.strip_suffix(".up").unwrap_or(stem))
}

/// The same in SQL, of an expression.
fn bare_sql(said: &str) -> String {
    format!("pg_catalog.regexp_replace(pg_catalog.regexp_replace({said}, '^.*/', ''), '([.]up)?[.]sql$', '')")
}

/// What a row says in the form in which it is compared: versions without the zeros before their numbers.
fn plain(said: &str) -> String {
    let bare = bare(said);
    if is_version(bare) { numbers(bare).collect::<Vec<_>>().join(".") } else { bare.to_owned() }
}

/// The same in SQL, of an expression.
fn plain_sql(said: &str) -> String {
    let bare = bare_sql(said);
    format!(
        "CASE WHEN {bare} ~ '^[0-9]+([._-][0-9]+)*$' THEN pg_catalog.regexp_replace(pg_catalog.translate({bare}, '_-', \
         '..'), '(?<![0-9])0+(?=[0-9])', '', 'g') ELSE {bare} END"
    )
}

/// How rows may say that they are of a migration, plainest first: its name, its version, the version's digits in one
/// number, or the beginning of it where the name starts with a number of its own.
fn spellings(pattern: &Pattern, name: &str) -> Vec<String> {
    let mut spellings = vec![name.to_owned()];
    if let Some(Parts { version, .. }) = pattern.parts(name) {
        let groups: Vec<&str> = version.split(['.', '-', '_']).collect();
        spellings.push(plain(version));
        spellings.push(plain(&groups.concat()));
        spellings.extend((1..groups.len()).rev().map(|end| plain(&groups[..end].join("."))));
    }
    spellings
}

/// As `'it''s'`, whatever the server makes of backslashes.
fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!(" E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

impl History for CustomTable {
    fn table(&self) -> &TableName {
        &self.table
    }

    /// A plain table, for a database that the runner has never seen.
    fn create(&self) -> Vec<String> {
        let table = format!(
            "CREATE TABLE IF NOT EXISTS {} (id serial PRIMARY KEY, {} text NOT NULL UNIQUE, {} timestamptz NOT NULL \
             DEFAULT now())",
            self.table,
            quote_ident(&self.name_column),
            quote_ident(self.applied_column.as_deref().unwrap_or(APPLIED)),
        );
        // `public` is there, and asking for it needs the right to create schemas all the same.
        if self.table.schema == "public" {
            return vec![table];
        }
        vec![format!("CREATE SCHEMA IF NOT EXISTS {}", quote_ident(&self.table.schema)), table]
    }

    /// In the order in which they were applied, as far as that is known.
    fn read(&self) -> String {
        format!(
            "SELECT ''::text AS version, {bare} AS name, NULL::text AS checksum, at_us AS applied_at_us, NULL::bigint AS \
             elapsed_ms, failed, tool_row FROM {rows} ORDER BY at_us NULLS FIRST, id NULLS FIRST, said COLLATE \"C\"",
            bare = bare_sql("said"),
            rows = self.rows()
        )
    }

    /// The last spelling is part of all of them, and looked for first, for what compares them takes long.
    fn find(&self, key: &str, number: usize) -> (String, Value) {
        let all = format!("${number}::text[]");
        let place = format!("pg_catalog.array_position(${number}::text[], {})", plain_sql("said"));
        let sql = format!(
            "SELECT tool_row FROM (SELECT tool_row, at_us, id, {place} AS place FROM {rows} WHERE \
             pg_catalog.strpos(said, ({all})[pg_catalog.cardinality({all})]) > 0) AS known WHERE place IS NOT NULL ORDER BY place, at_us DESC NULLS LAST, id DESC NULLS LAST LIMIT 1",
            rows = self.rows()
        );
        (sql, Value::Texts(spellings(&self.pattern, key)))
    }

    /// Like the last row: with its folder, with or without `.sql`, or the version alone, with or without zeros before
    /// it. The value takes the column's type on its way through a record of the table.
    fn record(&self, recording: &Recording<'_>) -> Vec<Statement> {
        let name = quote_ident(&self.name_column);
        let key = quote_literal(&self.name_column);
        let (columns, values) = match &self.applied_column {
            Some(column) => (format!("{name}, {}", quote_ident(column)), ", pg_catalog.now()"),
            None => (name.clone(), ""),
        };
        let last = format!(
            "SELECT said, COALESCE(pg_catalog.substring(said, '^.*/'), '') AS folder, pg_catalog.regexp_replace($3::text, \
             '[^0-9]', '', 'g') AS digits FROM {rows} ORDER BY at_us DESC NULLS LAST, id DESC NULLS LAST, said COLLATE \
             \"C\" DESC LIMIT 1",
            rows = self.rows()
        );
        let like_last = "CASE WHEN said ~ '[.]sql$' THEN folder || $2::text \
                         WHEN said !~ '^[0-9]+([._-][0-9]+)*$' THEN folder || $1::text \
                         WHEN said ~ '^[0-9]+$' AND pg_catalog.length(said) = pg_catalog.length(digits) THEN digits \
                         WHEN pg_catalog.length(said) < pg_catalog.length($3::text) THEN pg_catalog.ltrim($3::text, '0') \
                         ELSE $3::text END";
        let sql = format!(
            "INSERT INTO {table} ({columns}) SELECT (pg_catalog.jsonb_populate_record(NULL::{table}, \
             pg_catalog.jsonb_build_object({key}, COALESCE((SELECT {like_last} FROM ({last}) AS last), $4::text)))).{name}\
             {values}",
            table = self.table,
        );
        vec![Statement { sql, params: self.records.spelled(recording.migration) }]
    }

    /// The row that says so most plainly, and those that say the same.
    fn forget(&self, key: &str) -> Vec<Statement> {
        let said = format!("dbctl_row.{}::text", quote_ident(&self.name_column));
        vec![Statement {
            sql: format!(
                "DELETE FROM {table} AS dbctl_row WHERE pg_catalog.array_position($1::text[], {own}) = (SELECT \
                 pg_catalog.min(pg_catalog.array_position($1::text[], {any})) FROM {rows})",
                own = plain_sql(&said),
                any = plain_sql("said"),
                rows = self.rows(),
                table = self.table,
            ),
            params: vec![Value::Texts(spellings(&self.pattern, key))],
        }]
    }

    fn lock_key(&self, _database: &str) -> Option<i64> {
        None
    }

    fn keyed_by(&self) -> KeyedBy {
        KeyedBy::Name
    }

    fn within(&self, schema: &str) -> Option<Box<dyn History>> {
        let table = TableName::new(schema, &self.table.name);
        (!self.placed).then(|| Box::new(Self { table, ..self.clone() }) as Box<dyn History>)
    }

    fn identify(&self, rows: Vec<Applied>, local: &[Migration]) -> Vec<Applied> {
        identify(&self.pattern, rows, local)
    }
}

/// Rows that spell out a name come first; of the others, one belongs to a migration if no other migration is spelled
/// like that.
fn identify(pattern: &Pattern, mut rows: Vec<Applied>, local: &[Migration]) -> Vec<Applied> {
    let mut open = Vec::new();
    for migration in local {
        let mut is_named = false;
        for row in rows.iter_mut().filter(|row| row.name == migration.name) {
            row.version = migration.version.clone();
            is_named = true;
        }
        if !is_named {
            open.push((migration, spellings(pattern, &migration.name)));
        }
    }
    for row in rows.iter_mut().filter(|row| row.version.as_str().is_empty()) {
        let said = plain(&row.name);
        let mut fitting = open.iter().filter(|(_, spellings)| spellings.contains(&said));
        if let (Some((migration, _)), None) = (fitting.next(), fitting.next()) {
            row.name.clone_from(&migration.name);
            row.version = migration.version.clone();
        } else if let Some(Parts { version, .. }) = pattern.parts(&row.name) {
            row.version = Version::new(version);
        } else if is_version(&row.name) {
            row.version = Version::new(row.name.as_str());
        }
    }
    rows
}
