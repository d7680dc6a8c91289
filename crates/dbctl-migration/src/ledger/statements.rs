//! The ledger's DDL, queries and rows.

use super::{Before, Ledger, SeedRow, text};
use crate::{
    Dialect, History, KeyedBy, Migration, Recording, RunStamp, Statement, TableName, Value,
    history::WRITTEN_BY,
};

const MIGRATIONS: &str = "migration_history";
const SEEDS: &str = "seed_history";
const ENVIRONMENT: &str = "environment";

impl Ledger {
    /// The tables of [`Self::create`]: of migrations, of seeds, and of the environment.
    pub fn tables(self) -> [TableName; 3] {
        [MIGRATIONS, SEEDS, ENVIRONMENT].map(|name| self.0.own_table(name))
    }

    /// DDL of the ledger, the seed record and the environment record, in order, each safe to run again.
    ///
    /// To be run only where one of [`Self::tables`] is missing, with notices switched off: `CREATE SCHEMA IF NOT EXISTS`
    /// asks for the right to create schemas even where the schema is there, and every `IF NOT EXISTS` that finds something
    /// says so in a notice.
    ///
    /// `migration_history` is kept in the order of its `id`: clocks go backwards, the identity does not. Both `version`
    /// and `name` are stored for every row, since formats differ in what identifies one; the names of one source are
    /// unique in every format, its versions only in some. Where `reverting` is set, the columns `statement…` speak of the
    /// down part. `tool_row` says which row of the tool's table the row speaks of ([`History::find`]).
    pub fn create(self) -> Vec<String> {
        let [migrations, seeds, environment] = self.tables();
        let Self(dialect) = self;
        let (moment, now) = (dialect.moment(), dialect.now());
        let mut ddl = Vec::new();
        if dialect == Dialect::Postgres {
            ddl.push("CREATE SCHEMA IF NOT EXISTS \"dbctl\"".to_owned());
        }
        ddl.push(format!(
            "CREATE TABLE IF NOT EXISTS {migrations} (
    {numbering},
    source text NOT NULL,
    version text NOT NULL,
    name text NOT NULL,
    checksum text,
    applied_at {moment} NOT NULL DEFAULT {now},
    elapsed_ms bigint,
    applied_by text NOT NULL DEFAULT {session_user},
    run_id text NOT NULL,
    dbctl_version text NOT NULL,
    statements_done bigint,
    statement_started boolean,
    statements_digest text,
    reverting boolean NOT NULL DEFAULT false,
    tool_row text,
    UNIQUE (source, name)
)",
            numbering = dialect.numbering(),
            session_user = dialect.session_user(),
        ));
        ddl.push(format!(
            "CREATE TABLE IF NOT EXISTS {seeds} (
    file text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at {moment} NOT NULL DEFAULT {now},
    run_id text NOT NULL,
    dbctl_version text NOT NULL
)"
        ));
        ddl.push(format!(
            "CREATE TABLE IF NOT EXISTS {environment} (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    environment text NOT NULL,
    recorded_at {moment} NOT NULL DEFAULT {now}
)"
        ));
        ddl
    }

    /// Adds what a ledger of an older dbctl lacks: a column that everything else does without, for whoever may write to the
    /// table need not own it.
    pub fn grow(self) -> String {
        format!("ALTER TABLE {} ADD COLUMN IF NOT EXISTS tool_row text", self.migrations())
    }

    /// Whether the ledger has what [`Self::grow`] adds: one row, `is_grown boolean`. For PostgreSQL.
    pub fn is_grown(self) -> Statement {
        Statement {
            sql: "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = pg_catalog.to_regclass($1::text) AND \
                  attname = 'tool_row' AND NOT attisdropped) AS is_grown"
                .to_owned(),
            params: vec![text(&self.migrations().to_string())],
        }
    }

    /// Selects the ledger: `source text, version text, name text, checksum text, applied_at_us bigint, elapsed_ms bigint,
    /// run_id text, statements_done bigint, statement_started boolean, statements_digest text, reverting boolean,
    /// applied_by text, tool_row text` (`statements_done` NULL = whole), in the order in which the rows were first written.
    pub fn read(self) -> String {
        format!(
            "SELECT source, version, name, checksum, {at} AS applied_at_us, elapsed_ms, run_id, statements_done, \
             statement_started, statements_digest, reverting, applied_by, {tool_row} AS tool_row FROM {table} AS known ORDER \
             BY id",
            at = self.0.microseconds("applied_at"),
            tool_row = self.tool_row(),
            table = self.migrations(),
        )
    }

    /// What a row says of the tool's row. Where that is told by the transaction that wrote it, the ledger's own is known to
    /// be of the same one, or of another that it names: in a copy, whose rows all were written anew, nothing is told.
    fn tool_row(self) -> String {
        match self.0 {
            Dialect::Sqlite => "tool_row".to_owned(),
            Dialect::Postgres => {
                let said = "pg_catalog.to_jsonb(known) ->> 'tool_row'";
                let word = |number: u8| format!("pg_catalog.split_part({said}, ' ', {number})");
                let (its, own) = (word(2), word(3));
                format!(
                    "CASE WHEN NOT pg_catalog.starts_with({said}, '{WRITTEN_BY}') THEN {said} WHEN xmin::text = \
                     COALESCE(NULLIF({own}, ''), {its}) THEN '{WRITTEN_BY}' || {its} END"
                )
            }
        }
    }

    fn migrations(self) -> TableName {
        self.0.own_table(MIGRATIONS)
    }

    /// Removes ledger rows of migrations that their tool has rolled back and that stand in the way of this one. To be run
    /// before the tool's own row is written.
    pub fn forget_stale(self, source: &str, history: &dyn History, migration: &Migration) -> Statement {
        let key = column(history.keyed_by());
        Statement {
            sql: format!(
                "DELETE FROM {table} AS known \
                 WHERE known.source = $1::text AND (known.{key} = $2::text OR known.name = $3::text) \
                 AND (known.{key} <> $2::text OR NOT EXISTS (SELECT 1 FROM ({read}) AS tool WHERE tool.{key} = known.{key}))",
                table = self.migrations(),
                read = history.read()
            ),
            params: vec![text(source), text(history.keyed_by().of(migration)), text(&migration.name)],
        }
    }

    /// Records an applied migration (inserts, or finishes a partial row). `tool` is the history that the tool's own row has
    /// been written to, where there is one and the ledger has the column ([`Self::is_grown`]).
    pub fn record(
        self,
        source: &str,
        recording: &Recording<'_>,
        before: Before,
        tool: Option<&dyn History>,
    ) -> Statement {
        let Recording { migration, elapsed, stamp } = *recording;
        let mut params = vec![
            text(source),
            text(migration.version.as_str()),
            text(&migration.name),
            text(migration.checksum.as_str()),
            Value::Int(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)),
            text(&stamp.run),
            text(&stamp.dbctl_version),
        ];
        let (column, value, update) = match tool {
            Some(history) => {
                let (find, key) = history.find(history.keyed_by().of(migration), params.len() + 1);
                params.push(key);
                (", tool_row", format!(", ({find})"), ", tool_row = excluded.tool_row")
            }
            None => ("", String::new(), ""),
        };
        let update = format!(
            "version = excluded.version, checksum = excluded.checksum, \
             applied_at = excluded.applied_at, elapsed_ms = excluded.elapsed_ms, \
             applied_by = excluded.applied_by, run_id = excluded.run_id, \
             dbctl_version = excluded.dbctl_version, statements_done = NULL, statement_started = NULL, \
             statements_digest = NULL, reverting = false{update}"
        );
        Statement {
            sql: format!(
                "INSERT INTO {table} (source, version, name, checksum, elapsed_ms, run_id, dbctl_version{column}) \
                 VALUES ($1::text, $2::text, $3::text, $4::text, $5::bigint, $6::text, $7::text{value}){on_conflict}",
                table = self.migrations(),
                on_conflict = before.on_conflict(&update)
            ),
            params,
        }
    }

    /// Records how far a migration outside a transaction got. `digest` says what the statements were that ran, so that the
    /// next run sees whether the file still begins with them; it means nothing here.
    #[expect(clippy::too_many_arguments, reason = "each is a column")]
    pub fn record_progress(
        self,
        source: &str,
        migration: &Migration,
        stamp: &RunStamp,
        done: usize,
        started: bool,
        digest: &str,
        before: Before,
    ) -> Statement {
        // A bound parameter is text or bigint; the literal keeps the boolean out of the list.
        Statement {
            sql: format!(
                "INSERT INTO {table} (source, version, name, checksum, run_id, dbctl_version, statements_done, \
                 statement_started, statements_digest) \
                 VALUES ($1::text, $2::text, $3::text, $4::text, $5::text, $6::text, $7::bigint, {started}, $8::text)",
                table = self.migrations()
            ) + &before.on_conflict(
                "version = excluded.version, checksum = excluded.checksum, \
                 applied_at = excluded.applied_at, elapsed_ms = NULL, applied_by = excluded.applied_by, \
                 run_id = excluded.run_id, dbctl_version = excluded.dbctl_version, \
                 statements_done = excluded.statements_done, statement_started = excluded.statement_started, \
                 statements_digest = excluded.statements_digest, reverting = false",
            ),
            params: progress_params(source, migration, stamp, done, digest),
        }
    }

    /// Records how far the down part of a migration outside a transaction got; what is known of its application stays.
    pub fn record_reverting(
        self,
        source: &str,
        migration: &Migration,
        stamp: &RunStamp,
        done: usize,
        started: bool,
        digest: &str,
    ) -> Statement {
        Statement {
            sql: format!(
                "INSERT INTO {table} (source, version, name, checksum, run_id, dbctl_version, statements_done, \
                 statement_started, statements_digest, reverting) \
                 VALUES ($1::text, $2::text, $3::text, $4::text, $5::text, $6::text, $7::bigint, {started}, $8::text, \
                 true) ON CONFLICT (source, name) DO UPDATE SET statements_done = excluded.statements_done, \
                 statement_started = excluded.statement_started, statements_digest = excluded.statements_digest, \
                 reverting = true",
                table = self.migrations()
            ),
            params: progress_params(source, migration, stamp, done, digest),
        }
    }

    /// Removes a migration by its key.
    pub fn forget(self, source: &str, keyed_by: KeyedBy, key: &str) -> Statement {
        Statement {
            sql: format!(
                "DELETE FROM {} WHERE source = $1::text AND {} = $2::text",
                self.migrations(),
                column(keyed_by)
            ),
            params: vec![text(source), text(key)],
        }
    }

    /// Puts the file's present checksum into the row of an applied migration. `tool` as in [`Self::record`]: the row now
    /// speaks of the tool's row that is there.
    pub fn repair(self, source: &str, migration: &Migration, tool: Option<&dyn History>) -> Statement {
        let mut params = vec![text(source), text(&migration.name), text(migration.checksum.as_str())];
        let row = match tool {
            Some(history) => {
                let (find, key) = history.find(history.keyed_by().of(migration), params.len() + 1);
                params.push(key);
                self.repaired_row(&find)
            }
            None => String::new(),
        };
        Statement {
            sql: format!(
                "UPDATE {} SET checksum = $3::text{row} WHERE source = $1::text AND name = $2::text",
                self.migrations()
            ),
            params,
        }
    }

    fn repaired_row(self, find: &str) -> String {
        match self.0 {
            Dialect::Sqlite => format!(", tool_row = ({find})"),
            // The tool's row is of an older transaction, and the ledger's from now on of this one.
            Dialect::Postgres => format!(
                ", tool_row = (SELECT CASE WHEN pg_catalog.starts_with(found, '{WRITTEN_BY}') THEN found || ' ' || \
                 (pg_catalog.txid_current() % 4294967296)::text ELSE found END FROM ({find}) AS tool (found))"
            ),
        }
    }

    /// Says of a migration that stopped outside a transaction, up or down, that so many statements are done and that the
    /// next was not started. `as_it_is` trusts the file's present text instead of the one that ran.
    pub fn reached(self, source: &str, name: &str, done: usize, as_it_is: bool) -> Statement {
        let digest = if as_it_is { ", statements_digest = NULL" } else { "" };
        Statement {
            sql: format!(
                "UPDATE {} SET statements_done = $3::bigint, statement_started = false{digest} \
                 WHERE source = $1::text AND name = $2::text AND statements_done IS NOT NULL",
                self.migrations()
            ),
            params: vec![text(source), text(name), Value::Int(i64::try_from(done).unwrap_or(i64::MAX))],
        }
    }

    /// Selects the seed record: `file text, checksum text`.
    pub fn read_seeds(self) -> String {
        let (table, by_bytes) = (self.0.own_table(SEEDS), self.0.by_bytes());
        format!("SELECT file, checksum FROM {table} ORDER BY file {by_bytes}")
    }

    /// Records a seed file as run.
    pub fn record_seed(self, seed: &SeedRow, stamp: &RunStamp) -> Statement {
        Statement {
            sql: format!(
                "INSERT INTO {} (file, checksum, run_id, dbctl_version) \
                 VALUES ($1::text, $2::text, $3::text, $4::text) \
                 ON CONFLICT (file) DO UPDATE SET checksum = excluded.checksum, applied_at = excluded.applied_at, \
                 run_id = excluded.run_id, dbctl_version = excluded.dbctl_version",
                self.0.own_table(SEEDS)
            ),
            params: vec![
                text(&seed.file),
                text(seed.checksum.as_str()),
                text(&stamp.run),
                text(&stamp.dbctl_version),
            ],
        }
    }

    /// Forgets all seeds, as `clean` does.
    pub fn forget_seeds(self) -> Statement {
        Statement { sql: format!("DELETE FROM {}", self.0.own_table(SEEDS)), params: Vec::new() }
    }

    /// Selects the environment the database belongs to: `environment text`, at most one row.
    pub fn read_environment(self) -> String {
        format!("SELECT environment FROM {}", self.0.own_table(ENVIRONMENT))
    }

    /// Records the environment where none is recorded yet.
    pub fn record_environment(self, environment: &str) -> Statement {
        Statement {
            sql: format!(
                "INSERT INTO {} (environment) VALUES ($1::text) ON CONFLICT DO NOTHING",
                self.0.own_table(ENVIRONMENT)
            ),
            params: vec![text(environment)],
        }
    }
}

fn column(keyed_by: KeyedBy) -> &'static str {
    match keyed_by {
        KeyedBy::Version => "version",
        KeyedBy::Name => "name",
    }
}

fn progress_params(
    source: &str,
    migration: &Migration,
    stamp: &RunStamp,
    done: usize,
    digest: &str,
) -> Vec<Value> {
    vec![
        text(source),
        text(migration.version.as_str()),
        text(&migration.name),
        text(migration.checksum.as_str()),
        text(&stamp.run),
        text(&stamp.dbctl_version),
        Value::Int(i64::try_from(done).unwrap_or(i64::MAX)),
        text(digest),
    ]
}
