//! The table of a home-grown runner on SQLite.

use super::{APPLIED, Pattern, Records, identify, spellings};
use crate::{
    Applied, Dialect, History, KeyedBy, Migration, Recording, SourceOptions, Statement, TableName, Value,
    format::sqlite::{FIRST_UNIX, microseconds, rows},
    quote_ident,
};

/// As on PostgreSQL. Moments are what their column holds: text as SQLite or JavaScript writes it, or a number.
pub(in crate::format::custom) struct CustomOnSqlite {
    table: TableName,
    pattern: Pattern,
    name_column: String,
    applied_column: Option<String>,
    records: Records,
}

impl CustomOnSqlite {
    /// The options have been checked.
    pub(in crate::format::custom) fn new(options: &SourceOptions, pattern: Pattern) -> Self {
        let or = |set: &Option<String>, default: &str| set.clone().unwrap_or_else(|| default.to_owned());
        let schema = Dialect::Sqlite.default_schema();
        Self {
            table: TableName::new(schema, or(&options.table, "migrations")),
            pattern,
            name_column: or(&options.name_column, "name"),
            applied_column: options.applied_column.clone(),
            records: options.records.as_deref().and_then(Records::parse).unwrap_or(Records::Name),
        }
    }

    fn applied_column(&self) -> &str {
        self.applied_column.as_deref().unwrap_or(APPLIED)
    }

    /// The table's rows: what each says, when it was written, and its place; whether it speaks of a failure.
    fn rows(&self) -> String {
        format!(
            "(SELECT said, {at} AS at_us, {noted} AS noted, CASE WHEN typeof(id) = 'integer' THEN id END AS id, place, success \
             IN (0, '0', 'false') AS failed, NULLIF(trim(concat(id, ' ', {noted})), '') AS tool_row FROM {rows} AS raw WHERE said IS NOT NULL)",
            at = microseconds(&quote_ident(self.applied_column())),
            noted = quote_ident(self.applied_column()),
            rows = rows(&self.table, &self.name_column, &[self.applied_column(), "id", "success"]),
        )
    }

    /// The last row.
    fn last(&self) -> String {
        format!(
            "SELECT said, noted FROM {rows} AS rows ORDER BY at_us DESC NULLS LAST, id DESC NULLS LAST, place DESC NULLS LAST, \
             said DESC LIMIT 1",
            rows = self.rows()
        )
    }

    /// This moment as the last row has its own; without one, as the type of the column asks for it.
    fn now(&self) -> String {
        let unix = "CAST(round(unixepoch('subsec') * 1000) AS integer)";
        let scaled = |number: &str| {
            format!(
                "CASE WHEN abs({number}) < 1e11 THEN unixepoch() WHEN abs({number}) < 1e14 THEN {unix} WHEN abs({number}) < \
                 1e17 THEN {unix} * 1000 ELSE {unix} * 1000000 END"
            )
        };
        format!(
            "(SELECT CASE WHEN typeof(noted) = 'real' AND abs(noted) < {FIRST_UNIX} THEN julianday('now') \
             WHEN typeof(noted) IN ('integer', 'real') THEN {number} \
             WHEN noted GLOB '*T*' THEN strftime('%Y-%m-%dT%H:%M:%fZ', 'now') \
             WHEN noted GLOB '*.*' THEN strftime('%Y-%m-%d %H:%M:%f', 'now') \
             WHEN noted <> '' AND noted NOT GLOB '*[^0-9]*' THEN CAST({text} AS text) \
             WHEN noted IS NULL AND type LIKE '%int%' THEN unixepoch() \
             ELSE datetime('now') END FROM (SELECT (SELECT noted FROM ({last})) AS noted, (SELECT type FROM \
             pragma_table_info({table}) WHERE lower(name) = lower({column})) AS type))",
            number = scaled("noted"),
            text = scaled("CAST(noted AS integer)"),
            last = self.last(),
            table = literal(&self.table.name),
            column = literal(self.applied_column()),
        )
    }
}

/// As `'it''s'`.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The folder in front of what a row says, with its `/`.
fn folder(said: &str) -> String {
    format!("rtrim({said}, replace({said}, '/', ''))")
}

/// What a row says without folders and extensions.
fn bare(said: &str) -> String {
    format!(
        "(SELECT CASE WHEN substr(file, -7) = '.up.sql' THEN substr(file, 1, length(file) - 7) WHEN substr(file, -4) = '.sql' \
         THEN substr(file, 1, length(file) - 4) ELSE file END FROM (SELECT substr({said}, length({folder}) + 1) AS file))",
        folder = folder(said)
    )
}

/// Whether a text is groups of digits with a `.` between each two.
const DOTTED: &str = "dotted <> '' AND dotted NOT GLOB '*[^0-9.]*' AND dotted NOT GLOB '.*' AND dotted NOT GLOB '*.' AND dotted \
                      NOT GLOB '*..*'";

fn dotted(text: &str) -> String {
    format!("replace(replace({text}, '_', '.'), '-', '.')")
}

/// What a row says in the form in which it is compared: versions without the zeros before their numbers.
fn plain(said: &str) -> String {
    format!(
        "(SELECT CASE WHEN {DOTTED} THEN (SELECT group_concat(CASE ltrim(value, '0') WHEN '' THEN '0' ELSE ltrim(value, '0') \
         END, '.') FROM (SELECT value FROM json_each('[\"' || replace(dotted, '.', '\",\"') || '\"]') ORDER BY key)) ELSE bare \
         END FROM (SELECT bare, {dotted} AS dotted FROM (SELECT {bare} AS bare)))",
        dotted = dotted("bare"),
        bare = bare(said),
    )
}

/// How plainly a row says it, from 0: where it stands in the list that is the parameter of that number.
fn place(said: &str, number: usize) -> String {
    format!("(SELECT min(key) FROM json_each(${number}::text) WHERE value = {})", plain(said))
}

impl History for CustomOnSqlite {
    fn table(&self) -> &TableName {
        &self.table
    }

    /// A plain table, for a database that the runner has never seen.
    fn create(&self) -> Vec<String> {
        vec![format!(
            "CREATE TABLE IF NOT EXISTS {} (id INTEGER PRIMARY KEY AUTOINCREMENT, {} TEXT NOT NULL UNIQUE, {} TEXT NOT NULL \
             DEFAULT CURRENT_TIMESTAMP)",
            self.table,
            quote_ident(&self.name_column),
            quote_ident(self.applied_column()),
        )]
    }

    /// In the order in which they were applied, as far as that is known.
    fn read(&self) -> String {
        format!(
            "SELECT '' AS version, {bare} AS name, NULL AS checksum, at_us AS applied_at_us, NULL AS elapsed_ms, failed, tool_row \
             FROM {rows} AS rows ORDER BY at_us NULLS FIRST, id NULLS FIRST, place NULLS FIRST, said",
            bare = bare("said"),
            rows = self.rows()
        )
    }

    fn find(&self, key: &str, number: usize) -> (String, Value) {
        let sql = format!(
            "SELECT tool_row FROM (SELECT tool_row, at_us, id, {place} AS said_at FROM {rows} AS rows) AS known WHERE said_at IS \
             NOT NULL ORDER BY said_at, at_us DESC NULLS LAST, id DESC NULLS LAST LIMIT 1",
            place = place("said", number),
            rows = self.rows()
        );
        (sql, Value::Texts(spellings(&self.pattern, key)))
    }

    /// Like the last row: with its folder, with or without `.sql`, or the version alone, with or without zeros before
    /// it.
    fn record(&self, recording: &Recording<'_>) -> Vec<Statement> {
        let name = quote_ident(&self.name_column);
        let (columns, values) = match &self.applied_column {
            Some(column) => (format!("{name}, {}", quote_ident(column)), format!(", {}", self.now())),
            None => (name, String::new()),
        };
        let digits = "replace(replace(replace(?3, '.', ''), '_', ''), '-', '')";
        let like_last = format!(
            "SELECT CASE WHEN substr(said, -4) = '.sql' THEN {folder} || ?2 WHEN NOT ({DOTTED}) THEN {folder} || ?1 WHEN said \
             NOT GLOB '*[^0-9]*' AND length(said) = length({digits}) THEN {digits} WHEN length(said) < length(?3) THEN \
             ltrim(?3, '0') ELSE ?3 END FROM (SELECT said, {dotted} AS dotted FROM ({last}))",
            folder = folder("said"),
            dotted = dotted("said"),
            last = self.last(),
        );
        vec![Statement {
            sql: format!("INSERT INTO {} ({columns}) SELECT COALESCE(({like_last}), ?4){values}", self.table),
            params: self.records.spelled(recording.migration),
        }]
    }

    /// The row that says so most plainly, and those that say the same.
    fn forget(&self, key: &str) -> Vec<Statement> {
        let said = format!("CAST(dbctl_row.{} AS text)", quote_ident(&self.name_column));
        vec![Statement {
            sql: format!(
                "DELETE FROM {table} AS dbctl_row WHERE {own} = (SELECT min({any}) FROM {rows} AS rows)",
                table = self.table,
                own = place(&said, 1),
                any = place("rows.said", 1),
                rows = self.rows(),
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

    fn identify(&self, rows: Vec<Applied>, local: &[Migration]) -> Vec<Applied> {
        identify(&self.pattern, rows, local)
    }
}

#[cfg(test)]
mod tests;
