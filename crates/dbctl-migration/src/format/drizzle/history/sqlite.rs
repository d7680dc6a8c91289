//! The table `__drizzle_migrations`, as both generations of drizzle-orm make and read it on SQLite.

use super::{Layout, compared, journal, millis_of, text};
use crate::{
    Applied, Dialect, History, KeyedBy, Migration, Recording, SourceOptions, Statement, TableName, Upgrade,
    Value,
    format::sqlite::{microseconds, rows},
};

/// As on PostgreSQL, but that 0.x numbers no row: what it calls `SERIAL` is nothing to SQLite.
pub(in crate::format::drizzle) struct DrizzleOnSqlite {
    table: TableName,
    layout: Layout,
}

impl DrizzleOnSqlite {
    pub(in crate::format::drizzle) fn new(options: &SourceOptions, layout: Layout) -> Self {
        let table = options.table.clone().unwrap_or_else(|| "__drizzle_migrations".to_owned());
        Self { table: TableName::new(Dialect::Sqlite.default_schema(), table), layout }
    }

    /// `fits`: the rows, each with the migration on disk that the tool takes it for: that of the same second, of several
    /// that with the row's hash, and where the second has none, the last one with the hash.
    fn fits(&self) -> String {
        format!(
            "WITH local AS (SELECT names.value AS name, times.value AS millis, hashes.value AS hash, names.key AS place FROM \
             json_each(?1) AS names JOIN json_each(?2) AS times ON times.key = names.key JOIN json_each(?3) AS hashes ON \
             hashes.key = names.key), nameless AS (SELECT rowid AS place, hash, CAST(CAST(created_at AS integer) / 1000 * \
             1000 AS text) AS millis FROM {}), fits AS (SELECT place, CASE (SELECT count(*) FROM local WHERE local.millis = \
             nameless.millis) WHEN 0 THEN (SELECT name FROM local WHERE local.hash = nameless.hash ORDER BY place DESC \
             LIMIT 1) WHEN 1 THEN (SELECT name FROM local WHERE local.millis = nameless.millis) ELSE (SELECT name FROM \
             local WHERE local.millis = nameless.millis AND local.hash = nameless.hash ORDER BY place LIMIT 1) END AS name \
             FROM nameless) ",
            self.table
        )
    }
}

impl History for DrizzleOnSqlite {
    fn table(&self) -> &TableName {
        &self.table
    }

    fn create(&self) -> Vec<String> {
        let columns = match self.layout {
            Layout::Journal => "id SERIAL PRIMARY KEY, hash text NOT NULL, created_at numeric",
            Layout::Folders => {
                "id INTEGER PRIMARY KEY, hash text NOT NULL, created_at numeric, name text, applied_at TEXT"
            }
        };
        vec![format!("CREATE TABLE IF NOT EXISTS {} ({columns})", self.table)]
    }

    /// In the order in which they were written.
    fn read(&self) -> String {
        format!(
            "SELECT CAST(CAST(created_at AS integer) AS text) AS version, name, said AS checksum, {at} AS applied_at_us, NULL \
             AS elapsed_ms, 0 AS failed, applied_at AS tool_row FROM {rows} AS rows ORDER BY place",
            at = microseconds("applied_at"),
            rows = rows(&self.table, "hash", &["created_at", "name", "applied_at"]),
        )
    }

    /// 0.x says nothing that tells a row from one in its place.
    fn find(&self, key: &str, number: usize) -> (String, Value) {
        let sql = match self.layout {
            Layout::Journal => format!("SELECT NULL WHERE ${number}::text IS NULL"),
            Layout::Folders => format!(
                "SELECT applied_at FROM {} AS rows WHERE name = ${number}::text ORDER BY place DESC LIMIT 1",
                rows(&self.table, "hash", &["name", "applied_at"])
            ),
        };
        (sql, text(key))
    }

    fn record(&self, recording: &Recording<'_>) -> Vec<Statement> {
        let migration = recording.migration;
        let hash = text(journal::hash_of(migration));
        let (columns, values, params) = match self.layout {
            Layout::Journal => (
                "hash, created_at",
                "?1, CAST(?2 AS integer)",
                vec![hash, text(journal::parts(migration.version.as_str()).0)],
            ),
            Layout::Folders => (
                "hash, created_at, name, applied_at",
                "?1, CAST(?2 AS integer), ?3, strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
                vec![hash, text(millis_of(migration)), text(&*migration.name)],
            ),
        };
        vec![Statement { sql: format!("INSERT INTO {} ({columns}) VALUES ({values})", self.table), params }]
    }

    fn forget(&self, key: &str) -> Vec<Statement> {
        let (condition, params) = match self.layout {
            Layout::Journal => match journal::parts(key) {
                (time, None) => ("created_at = CAST(?1 AS integer)", vec![text(time)]),
                (time, Some(hash)) => (
                    "created_at = CAST(?1 AS integer) AND substr(hash, 1, length(?2)) = ?2",
                    vec![text(time), text(hash)],
                ),
            },
            // What 0.x wrote is called by its time where nothing on disk fits it.
            Layout::Folders => (
                "name = ?1 OR name IS NULL AND CAST(CAST(created_at AS integer) AS text) = ?1",
                vec![text(key)],
            ),
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

    /// Where several migrations share a time, their rows say nothing that is compared.
    fn repair(&self, migration: &Migration) -> Vec<Statement> {
        let (condition, key) = match (self.layout, journal::parts(migration.version.as_str())) {
            (Layout::Journal, (time, None)) => ("created_at = CAST(?1 AS integer)", time),
            (Layout::Journal, (_, Some(_))) => return Vec::new(),
            (Layout::Folders, _) => ("name = ?1", &*migration.name),
        };
        vec![Statement {
            sql: format!("UPDATE {} SET hash = ?2 WHERE {condition}", self.table),
            params: vec![text(key), text(journal::hash_of(migration))],
        }]
    }

    fn identify(&self, rows: Vec<Applied>, local: &[Migration]) -> Vec<Applied> {
        self.layout.identify(rows, local)
    }

    /// What 1.0 does itself to a table of 0.x. Rows that 0.x adds later are known by their time, and have no name.
    fn upgrade(&self, local: &[Migration]) -> Option<Upgrade> {
        match self.layout {
            Layout::Journal => return None,
            Layout::Folders => {}
        }
        let mut params = compared(local);
        params.extend([
            text(&*self.table.name),
            text("no migration on disk fits the rows with rowid "),
            text(format!(
                " of {}, which drizzle 0.x wrote, so that they cannot have the names that 1.0 gives them; 1.0 refuses \
                 such a table, too: put their folders back, or delete the rows if what they did is undone",
                self.table
            )),
        ]);
        let needed = Statement {
            sql: format!(
                "{} SELECT is_old AS needed, CASE WHEN is_old THEN (SELECT ?5 || group_concat(place, ', ') || ?6 FROM (SELECT \
                 place FROM fits WHERE name IS NULL ORDER BY place)) END AS refused FROM (SELECT NOT EXISTS (SELECT 1 FROM \
                 pragma_table_info(?4) WHERE name = 'name') AS is_old) AS version",
                self.fits()
            ),
            params,
        };
        let add = |column: &str| Statement {
            sql: format!("ALTER TABLE {} ADD COLUMN {column}", self.table),
            params: Vec::new(),
        };
        let name = Statement {
            sql: format!(
                "{} UPDATE {} SET name = (SELECT fits.name FROM fits WHERE fits.place = rowid)",
                self.fits(),
                self.table
            ),
            params: compared(local),
        };
        Some(Upgrade { needed, statements: vec![add("name text"), add("applied_at TEXT"), name] })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rusqlite::Connection;

    use super::*;
    use crate::{
        Files, Folder, RunStamp,
        format::{FormatKind, sqlite::tests as sqlite},
    };

    fn options() -> SourceOptions {
        SourceOptions { dialect: Dialect::Sqlite, ..SourceOptions::default() }
    }

    fn read(folder: &Folder) -> (Box<dyn crate::Format>, Vec<Migration>) {
        let format = FormatKind::parse("drizzle").unwrap().open(folder, &options());
        let migrations = format.read(folder).unwrap();
        (format, migrations)
    }

    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let folder = Folder { path: dir.path().to_owned(), shown: "m".into(), files: Files::Disk };
        (dir, folder)
    }

    fn record(connection: &Connection, history: &dyn History, migrations: &[Migration]) {
        let stamp = RunStamp { run: "r".to_owned(), dbctl_version: "0".to_owned() };
        for migration in migrations {
            let recording = Recording { migration, elapsed: Duration::ZERO, stamp: &stamp };
            sqlite::run(connection, &history.record(&recording));
        }
    }

    const JOURNAL: &str = r#"{"version":"7","dialect":"sqlite","entries":[
        {"idx":0,"version":"6","when":1769851800123,"tag":"0000_a","breakpoints":true},
        {"idx":1,"version":"6","when":1769851801456,"tag":"0001_b","breakpoints":true}]}"#;

    #[test]
    fn the_table_is_that_of_0_x() {
        let (_dir, folder) =
            folder(&[("meta/_journal.json", JOURNAL), ("0000_a.sql", "a"), ("0001_b.sql", "b")]);
        let (format, migrations) = read(&folder);
        let history = format.history().unwrap();
        let connection = Connection::open_in_memory().unwrap();
        sqlite::create(&connection, history);
        record(&connection, history, &migrations);
        let hash = |migration: &Migration| journal::hash_of(migration);
        let rows: Vec<(Option<i64>, String, i64)> = sqlite::query(
            &connection,
            "SELECT id, hash, created_at FROM __drizzle_migrations ORDER BY created_at",
            &[],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        );
        assert_eq!(
            rows,
            [
                (None, hash(&migrations[0]), 1_769_851_800_123),
                (None, hash(&migrations[1]), 1_769_851_801_456)
            ]
        );
        let shown = |at: usize| format!("{}||{}|||0", migrations[at].version, hash(&migrations[at]));
        assert_eq!(sqlite::read(&connection, history), [shown(0), shown(1)]);
        connection.execute_batch("UPDATE __drizzle_migrations SET hash = 'x'").unwrap();
        sqlite::run(&connection, &history.repair(&migrations[0]));
        sqlite::run(&connection, &history.forget(migrations[1].version.as_str()));
        assert_eq!(sqlite::read(&connection, history), [shown(0)]);
        assert!(history.upgrade(&migrations).is_none());
    }

    #[test]
    fn the_table_of_0_x_becomes_that_of_1_0() {
        let files = [
            ("20260131093000_a/migration.sql", "a"),
            ("20260131093000_c/migration.sql", "c"),
            ("20260131093001_b/migration.sql", "b"),
            ("20260131093002_d/migration.sql", "d"),
        ];
        let (_dir, folder) = folder(&files);
        let (format, migrations) = read(&folder);
        let history = format.history().unwrap();
        let hash = |at: usize| journal::hash_of(&migrations[at]);
        let connection = Connection::open_in_memory().unwrap();
        let old = DrizzleOnSqlite::new(&options(), Layout::Journal);
        sqlite::create(&connection, &old);
        let insert = |hash: &str, at: i64| {
            connection
                .execute("INSERT INTO __drizzle_migrations (hash, created_at) VALUES (?1, ?2)", (hash, at))
                .unwrap();
        };
        insert(&hash(1), 1_769_851_800_123);
        insert("changed", 1_769_851_801_999);
        insert("unknown", 5);
        let needed = || {
            let Statement { sql, params } = history.upgrade(&migrations).unwrap().needed;
            let rows: Vec<(bool, Option<String>)> = sqlite::query(&connection, &sql, &params, |row| {
                Ok((row.get("needed")?, row.get("refused")?))
            });
            rows.into_iter().next().unwrap()
        };
        let (is_needed, refused) = needed();
        let refused = refused.unwrap();
        assert!(
            is_needed && refused.starts_with("no migration on disk fits the rows with rowid 3 of"),
            "{refused}"
        );
        // Before it is upgraded it can be read all the same.
        assert_eq!(sqlite::read(&connection, history)[1], "1769851801999||changed|||0");
        connection.execute_batch("DELETE FROM __drizzle_migrations WHERE hash = 'unknown'").unwrap();
        assert_eq!(needed(), (true, None));
        sqlite::run(&connection, &history.upgrade(&migrations).unwrap().statements);
        assert_eq!(needed(), (false, None));
        assert_eq!(
            sqlite::read(&connection, history),
            [
                format!("1769851800123|20260131093000_c|{}|||0", hash(1)),
                "1769851801999|20260131093001_b|changed|||0".to_owned()
            ]
        );
        record(&connection, history, &migrations[3..]);
        let new = sqlite::read(&connection, history).pop().unwrap();
        assert!(new.starts_with(&format!("1769851802000|20260131093002_d|{}|17", hash(3))), "{new}");
        let (found, read) = sqlite::tool_row(&connection, history, "20260131093002_d");
        assert!(found.is_some() && found == read[2], "{found:?} {read:?}");
        assert_eq!(sqlite::tool_row(&connection, history, "20260131093001_b").0, None);
        sqlite::run(&connection, &history.forget("20260131093001_b"));
        assert_eq!(sqlite::read(&connection, history).len(), 2);
    }

    #[test]
    fn the_table_is_that_of_1_0() {
        let (_dir, folder) = folder(&[("20260131093000_a/migration.sql", "a")]);
        let (format, migrations) = read(&folder);
        let history = format.history().unwrap();
        let connection = Connection::open_in_memory().unwrap();
        sqlite::create(&connection, history);
        record(&connection, history, &migrations);
        let names: String = connection
            .query_row(
                "SELECT group_concat(name) FROM pragma_table_info('__drizzle_migrations')",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(names, "id,hash,created_at,name,applied_at");
    }

    #[test]
    fn files_are_those_of_sqlite() {
        let mysql = JOURNAL.replace("\"sqlite\"", "\"postgresql\"");
        let (_dir, folder) =
            folder(&[("meta/_journal.json", &mysql), ("0000_a.sql", ""), ("0001_b.sql", "")]);
        let format = FormatKind::parse("drizzle").unwrap().open(&folder, &options());
        let refused = format.read(&folder).unwrap_err().to_string();
        assert_eq!(
            refused,
            "m/meta/_journal.json:1:16: these migrations are for postgresql, and this database is one for sqlite"
        );
    }
}
