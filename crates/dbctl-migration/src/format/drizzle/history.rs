//! The table `drizzle.__drizzle_migrations`, as both generations of drizzle-orm make and read it.

mod sqlite;

pub(super) use self::sqlite::DrizzleOnSqlite;
use super::{Layout, folders, journal};
use crate::{
    Applied, Checksum, History, KeyedBy, Migration, Recording, SourceOptions, Statement, TableName, Upgrade,
    Value, Version, quote_ident,
};

/// The schema on PostgreSQL.
const DEFAULT: &str = "drizzle";

/// A date as JSON spells it.
const DATE: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+[+-][0-9:]+$";

/// One row per migration with the SHA-256 of its file; `created_at` is when it was generated, not when it was applied.
///
/// 0.x knows a row by `created_at`, 1.0 by `name`, a column that it adds.
pub(super) struct DrizzleMigrations {
    table: TableName,
    layout: Layout,
}

impl DrizzleMigrations {
    pub(super) fn new(options: &SourceOptions, layout: Layout) -> Self {
        let or = |set: &Option<String>, default: &str| set.clone().unwrap_or_else(|| default.to_owned());
        let table = TableName::new(or(&options.schema, DEFAULT), or(&options.table, "__drizzle_migrations"));
        Self { table, layout }
    }

    /// `fits`: the rows that have no name, each with the migration on disk that the tool takes it for: that of the same
    /// second, of several that with the row's hash, and where the second has none, the last one with the hash.
    fn fits(&self) -> String {
        format!(
            "WITH local AS (SELECT name, millis, hash, place FROM unnest($1::text[], $2::text[], $3::text[]) WITH \
             ORDINALITY AS local (name, millis, hash, place)), nameless AS (SELECT id, hash, (created_at / 1000 * \
             1000)::text AS millis FROM {} AS done WHERE pg_catalog.to_jsonb(done) ->> 'name' IS NULL), fits AS (SELECT \
             id, CASE (SELECT pg_catalog.count(*) FROM local WHERE local.millis = nameless.millis) \
             WHEN 0 THEN (SELECT name FROM local WHERE local.hash = nameless.hash ORDER BY place DESC LIMIT 1) \
             WHEN 1 THEN (SELECT name FROM local WHERE local.millis = nameless.millis) \
             ELSE (SELECT name FROM local WHERE local.millis = nameless.millis AND local.hash = nameless.hash ORDER BY \
             place LIMIT 1) END AS name FROM nameless) ",
            self.table
        )
    }
}

/// What `fits` compares rows with.
fn compared(local: &[Migration]) -> Vec<Value> {
    let texts = |of: &dyn Fn(&Migration) -> String| Value::Texts(local.iter().map(of).collect());
    vec![texts(&|migration| migration.name.clone()), texts(&millis_of), texts(&journal::hash_of)]
}

/// `created_at` of a folder of 1.0.
fn millis_of(migration: &Migration) -> String {
    folders::milliseconds(migration.version.as_str()).map_or_else(String::new, |millis| millis.to_string())
}

fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

impl History for DrizzleMigrations {
    fn table(&self) -> &TableName {
        &self.table
    }

    fn create(&self) -> Vec<String> {
        let since_1 = match self.layout {
            Layout::Journal => "",
            Layout::Folders => ", name text, applied_at timestamp with time zone DEFAULT now()",
        };
        let table = format!(
            "CREATE TABLE IF NOT EXISTS {} (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at bigint{since_1})",
            self.table
        );
        // `public` is there, and asking for it needs the right to create schemas all the same.
        if self.table.schema == "public" {
            return vec![table];
        }
        vec![format!("CREATE SCHEMA IF NOT EXISTS {}", quote_ident(&self.table.schema)), table]
    }

    /// In the order in which they were written.
    fn read(&self) -> String {
        format!(
            "SELECT created_at::text AS version, noted ->> 'name' AS name, hash AS checksum, CASE WHEN noted ->> \
             'applied_at' ~ '{DATE}' THEN (EXTRACT(EPOCH FROM (noted ->> 'applied_at')::timestamptz) * 1000000)::bigint \
             END AS applied_at_us, NULL::bigint AS elapsed_ms, false AS failed, id::text AS tool_row FROM (SELECT id, hash, created_at, \
             pg_catalog.to_jsonb(dbctl_row) AS noted FROM {} AS dbctl_row) AS rows ORDER BY id",
            self.table
        )
    }

    fn find(&self, key: &str, number: usize) -> (String, Value) {
        let (is_it, key) = match self.layout {
            Layout::Journal => ("created_at::text", journal::parts(key).0),
            Layout::Folders => ("pg_catalog.to_jsonb(dbctl_row) ->> 'name'", key),
        };
        let sql = format!(
            "SELECT id::text FROM {} AS dbctl_row WHERE {is_it} = ${number}::text ORDER BY id DESC LIMIT 1",
            self.table
        );
        (sql, text(key))
    }

    fn record(&self, recording: &Recording<'_>) -> Vec<Statement> {
        let migration = recording.migration;
        let hash = text(journal::hash_of(migration));
        let statement = match self.layout {
            Layout::Journal => Statement {
                sql: format!(
                    "INSERT INTO {} (hash, created_at) VALUES ($1::text, $2::text::bigint)",
                    self.table
                ),
                params: vec![hash, text(journal::parts(migration.version.as_str()).0)],
            },
            Layout::Folders => Statement {
                sql: format!(
                    "INSERT INTO {} (hash, created_at, name) VALUES ($1::text, $2::text::bigint, $3::text)",
                    self.table
                ),
                params: vec![hash, text(millis_of(migration)), text(&*migration.name)],
            },
        };
        vec![statement]
    }

    fn forget(&self, key: &str) -> Vec<Statement> {
        let (condition, params) = match self.layout {
            Layout::Journal => match journal::parts(key) {
                (time, None) => ("created_at::text = $1::text", vec![text(time)]),
                (time, Some(hash)) => (
                    "created_at::text = $1::text AND pg_catalog.starts_with(hash, $2::text)",
                    vec![text(time), text(hash)],
                ),
            },
            Layout::Folders => {
                ("name = $1::text OR name IS NULL AND created_at::text = $1::text", vec![text(key)])
            }
        };
        vec![Statement { sql: format!("DELETE FROM {} WHERE {condition}", self.table), params }]
    }

    /// The tool takes none.
    fn lock_key(&self, _database: &str) -> Option<i64> {
        None
    }

    fn keyed_by(&self) -> KeyedBy {
        self.layout.keyed_by()
    }

    /// Where several migrations share a time, their rows say nothing that is compared ([`claim`]).
    fn repair(&self, migration: &Migration) -> Vec<Statement> {
        let (condition, key) = match (self.layout, journal::parts(migration.version.as_str())) {
            (Layout::Journal, (time, None)) => ("created_at::text = $1::text", time),
            (Layout::Journal, (_, Some(_))) => return Vec::new(),
            (Layout::Folders, _) => ("name = $1::text", &*migration.name),
        };
        vec![Statement {
            sql: format!("UPDATE {} SET hash = $2::text WHERE {condition}", self.table),
            params: vec![text(key), text(journal::hash_of(migration))],
        }]
    }

    fn identify(&self, rows: Vec<Applied>, local: &[Migration]) -> Vec<Applied> {
        self.layout.identify(rows, local)
    }

    /// What 1.0 does itself to a table of 0.x. Rows that 0.x has added since have no name and get theirs, too: 1.0 would
    /// run their migrations again.
    fn upgrade(&self, local: &[Migration]) -> Option<Upgrade> {
        match self.layout {
            Layout::Journal => return None,
            Layout::Folders => {}
        }
        let mut params = compared(local);
        params.extend([
            text(&*self.table.schema),
            text(&*self.table.name),
            text("no migration on disk fits the rows with id "),
            text(format!(
                " of {}, which drizzle 0.x wrote, so that they cannot have the names that 1.0 gives them; 1.0 refuses \
                 such a table, too: put their folders back, or delete the rows if what they did is undone",
                self.table
            )),
        ]);
        let needed = Statement {
            sql: format!(
                "{} SELECT is_old OR EXISTS (SELECT FROM fits WHERE name IS NOT NULL) AS needed, CASE WHEN is_old THEN \
                 (SELECT $6::text || pg_catalog.string_agg(id::text, ', ' ORDER BY id) || $7::text FROM fits WHERE name IS \
                 NULL) END AS refused FROM (SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a JOIN \
                 pg_catalog.pg_class AS c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
                 WHERE n.nspname = $4::text AND c.relname = $5::text AND a.attname = 'name' AND a.attnum > 0 AND NOT \
                 a.attisdropped) AS is_old) AS version",
                self.fits()
            ),
            params,
        };
        let add = |column: &str| Statement {
            sql: format!("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {column}", self.table),
            params: Vec::new(),
        };
        let statements = vec![
            add("name text"),
            add("applied_at timestamp with time zone DEFAULT now()"),
            // Of what was there before the column, nobody knows when it was applied; the default says now.
            Statement {
                sql: format!(
                    "{} UPDATE {} AS done SET name = fits.name, applied_at = CASE WHEN done.applied_at = pg_catalog.now() \
                     THEN NULL ELSE done.applied_at END FROM fits WHERE fits.id = done.id AND fits.name IS NOT NULL",
                    self.fits(),
                    self.table
                ),
                params: compared(local),
            },
        ];
        Some(Upgrade { needed, statements })
    }
}

impl Layout {
    fn keyed_by(self) -> KeyedBy {
        match self {
            Self::Journal => KeyedBy::Version,
            Self::Folders => KeyedBy::Name,
        }
    }

    fn identify(self, mut rows: Vec<Applied>, local: &[Migration]) -> Vec<Applied> {
        match self {
            Self::Journal => claim(&mut rows, local),
            Self::Folders => name(&mut rows, local),
        }
        rows
    }
}

/// Gives rows of 0.x to the migrations of their time. Of several, the hash tells; rows whose hash is nobody's go to those
/// that are left in their order, and their hash is not held against them.
fn claim(rows: &mut [Applied], local: &[Migration]) {
    let mut is_claimed = vec![false; rows.len()];
    let mut open = Vec::new();
    for migration in local {
        let (time, hash) = journal::parts(migration.version.as_str());
        let mut own = (0..rows.len()).filter(|at| !is_claimed[*at] && rows[*at].version.as_str() == time);
        let found: Vec<usize> = match hash {
            None => own.collect(),
            Some(_) => own.find(|at| has_hash(&rows[*at], migration)).into_iter().collect(),
        };
        if found.is_empty() {
            open.push(migration);
        }
        for at in found {
            is_claimed[at] = true;
            rows[at].name.clone_from(&migration.name);
            rows[at].version = migration.version.clone();
        }
    }
    for migration in open {
        let (time, _) = journal::parts(migration.version.as_str());
        let left = (0..rows.len()).find(|at| !is_claimed[*at] && rows[*at].version.as_str() == time);
        if let Some(at) = left {
            is_claimed[at] = true;
            rows[at].name.clone_from(&migration.name);
            rows[at].version = migration.version.clone();
            rows[at].checksum = None;
        }
    }
}

fn has_hash(row: &Applied, migration: &Migration) -> bool {
    row.checksum.as_ref().is_some_and(|recorded| migration.has_checksum(recorded))
}

/// Names rows of 0.x for 1.0, by the rule of `fits`; those that fit nothing are called by their time.
fn name(rows: &mut [Applied], local: &[Migration]) {
    for row in rows {
        if row.name.is_empty() {
            let fitting = fitting(row, local);
            row.name = fitting.map_or_else(|| row.version.to_string(), |migration| migration.name.clone());
        }
        if let Some(time) = folders::time(&row.name).filter(|_| row.name != row.version.as_str()) {
            row.version = Version::new(time);
        }
    }
}

fn fitting<'m>(row: &Applied, local: &'m [Migration]) -> Option<&'m Migration> {
    let millis = row.version.as_str().parse::<i64>().ok().map(|millis| (millis / 1_000 * 1_000).to_string());
    let hash = row.checksum.as_ref().map(Checksum::as_str);
    let has_hash = |migration: &&Migration| hash == Some(&*journal::hash_of(migration));
    let mut same_second = local.iter().filter(|migration| Some(millis_of(migration)) == millis);
    match (same_second.clone().count(), same_second.next()) {
        (0, _) | (_, None) => local.iter().rfind(has_hash),
        (1, only) => only,
        (_, Some(first)) => std::iter::once(first).chain(same_second).find(has_hash),
    }
}
