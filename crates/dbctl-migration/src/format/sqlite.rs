//! What the history tables of tools on SQLite have in common.

use crate::{TableName, quote_ident};

/// What stands for the rows of a table in a `FROM`: `columns` by their names, and `place`, the order in which the rows were
/// written. Columns that the table does not have are NULL, as a blob is where a text or a number is meant; `needed` has to
/// be there.
///
/// In the innermost query a name that the table does not have is that of the query around it.
pub(super) fn rows(table: &TableName, needed: &str, columns: &[&str]) -> String {
    let place = "rowid";
    let all = || columns.iter().copied().chain([place]);
    let plain = |column: &str| {
        let column = quote_ident(column);
        format!("CASE typeof({column}) WHEN 'blob' THEN NULL ELSE {column} END")
    };
    let values: Vec<String> = all().map(plain).collect();
    let missing: Vec<String> = all().map(|column| format!("NULL AS {}", quote_ident(column))).collect();
    let named = columns.iter().copied().chain(["place"]);
    let read: Vec<String> = named
        .enumerate()
        .map(|(at, column)| format!("json_extract(value, '$[{}]') AS {}", at + 1, quote_ident(column)))
        .collect();
    format!(
        "(SELECT json_extract(value, '$[0]') AS said, {read} FROM json_each((SELECT (SELECT \
         json_group_array(json_array(CAST(dbctl_row.{needed} AS text), {values})) FROM {table} AS dbctl_row) FROM (SELECT \
         {missing}) AS missing)))",
        read = read.join(", "),
        needed = quote_ident(needed),
        values = values.join(", "),
        missing = missing.join(", "),
    )
}

/// The microseconds since 1970 of a moment, however it was written: SQLite's own text or ISO 8601, seconds, milli-, micro-
/// or nanoseconds since 1970, or a Julian day. NULL of what is none.
pub(super) fn microseconds(moment: &str) -> String {
    let of_text = |text: &str| format!("CAST(round(unixepoch({text}, 'subsec') * 1000) AS integer) * 1000");
    format!(
        "(SELECT CASE WHEN typeof(at) = 'text' AND at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' THEN {dated} \
         WHEN number IS NULL THEN NULL \
         WHEN abs(number) < {FIRST_UNIX} THEN {julian} \
         WHEN abs(number) < 1e11 THEN CAST(number * 1000000 AS integer) \
         WHEN abs(number) < 1e14 THEN CAST(number * 1000 AS integer) \
         WHEN abs(number) < 1e17 THEN CAST(number AS integer) \
         ELSE CAST(number / 1000 AS integer) END FROM (SELECT at, CASE WHEN typeof(at) IN ('integer', 'real') THEN at \
         WHEN typeof(at) = 'text' AND at <> '' AND at NOT GLOB '*[^0-9]*' AND length(at) < 19 THEN CAST(at AS integer) \
         END AS number FROM (SELECT {moment} AS at)))",
        dated = of_text("at"),
        julian = of_text("number"),
    )
}

/// The first day that SQLite does not take for a Julian one.
pub(super) const FIRST_UNIX: &str = "5373484.5";

#[cfg(test)]
pub(super) mod tests {
    use rusqlite::{Connection, Row, ToSql, types::Null};

    use super::*;
    use crate::{History, Statement, Value};

    /// Runs statements as the engine does: parameters are bound by the number in their names.
    pub(in crate::format) fn run(connection: &Connection, statements: &[Statement]) {
        for Statement { sql, params } in statements {
            query(connection, sql, params, |_| Ok(()));
        }
    }

    pub(in crate::format) fn query<T>(
        connection: &Connection,
        sql: &str,
        params: &[Value],
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Vec<T> {
        let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        for at in 1..=statement.parameter_count() {
            let name = statement.parameter_name(at).unwrap().to_owned();
            let number: usize = name[1..].split(':').next().unwrap().parse().unwrap();
            let value: Box<dyn ToSql> = match &params[number - 1] {
                Value::Text(text) => Box::new(text.clone()),
                Value::Int(int) => Box::new(*int),
                Value::Bytes(bytes) => Box::new(bytes.clone()),
                Value::Texts(texts) => Box::new(serde_json::to_string(texts).unwrap()),
                Value::Null => Box::new(Null),
            };
            statement.raw_bind_parameter(at, value).unwrap();
        }
        let mut rows = statement.raw_query();
        let mut found = Vec::new();
        while let Some(row) = rows.next().unwrap_or_else(|error| panic!("{error}: {sql}")) {
            found.push(read(row).unwrap());
        }
        found
    }

    pub(in crate::format) fn create(connection: &Connection, history: &dyn History) {
        // Each is safe to run again.
        for sql in history.create().iter().chain(&history.create()) {
            connection.execute_batch(sql).unwrap();
        }
    }

    /// What tells the row of a migration from a later one, as it is found and as it is read.
    pub(in crate::format) fn tool_row(
        connection: &Connection,
        history: &dyn History,
        key: &str,
    ) -> (Option<String>, Vec<Option<String>>) {
        let (sql, value) = history.find(key, 9);
        let mut params = vec![Value::Null; 8];
        params.push(value);
        let sql = format!("SELECT ({sql})");
        let mut found = query(connection, &sql, &params, |row| row.get(0));
        (found.remove(0), query(connection, &history.read(), &[], |row| row.get("tool_row")))
    }

    /// What the engine reads: `version|name|checksum|at_us|elapsed_ms|failed`.
    pub(in crate::format) fn read(connection: &Connection, history: &dyn History) -> Vec<String> {
        let text = |row: &Row<'_>| {
            let texts: [Option<String>; 3] = [row.get("version")?, row.get("name")?, row.get("checksum")?];
            let numbers: [Option<i64>; 3] =
                [row.get("applied_at_us")?, row.get("elapsed_ms")?, row.get("failed")?];
            let texts = texts.into_iter().map(Option::unwrap_or_default);
            let numbers = numbers.map(|number| number.map_or_else(String::new, |number| number.to_string()));
            Ok(texts.chain(numbers).collect::<Vec<_>>().join("|"))
        };
        query(connection, &history.read(), &[], text)
    }

    #[test]
    fn moments_are_read_however_they_are_written() {
        let connection = Connection::open_in_memory().unwrap();
        for (moment, expected) in [
            ("'2024-01-15 10:30:22'", Some(1_705_314_622_000_000)),
            ("'2024-01-15T10:30:22.123Z'", Some(1_705_314_622_123_000)),
            ("'2024-01-15 12:30:22.5+02:00'", Some(1_705_314_622_500_000)),
            ("'2024-01-15'", Some(1_705_276_800_000_000)),
            ("1705314622", Some(1_705_314_622_000_000)),
            ("'1705314622'", Some(1_705_314_622_000_000)),
            ("1705314622.25", Some(1_705_314_622_250_000)),
            ("1705314622123", Some(1_705_314_622_123_000)),
            ("1705314622123456", Some(1_705_314_622_123_456)),
            ("1705314622123456789", Some(1_705_314_622_123_456)),
            ("2460325.5", Some(1_705_363_200_000_000)),
            ("'now'", None),
            ("'yesterday'", None),
            ("'2024-13-45'", None),
            ("''", None),
            ("x'00'", None),
            ("NULL", None),
        ] {
            let sql = format!("SELECT {}", microseconds(moment));
            let at: Option<i64> = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
            assert_eq!(at, expected, "{moment}");
        }
    }

    #[test]
    fn columns_that_are_missing_are_null() {
        let connection = Connection::open_in_memory().unwrap();
        let table = TableName::new("main", "my \"t\"");
        let seen = || {
            let sql = format!(
                "SELECT said, at, ok, place FROM {} ORDER BY place",
                rows(&table, "a b", &["at", "ok"])
            );
            let mut statement = connection.prepare(&sql)?;
            let rows = statement.query_map([], |row| {
                let (said, at): (Option<String>, rusqlite::types::Value) = (row.get(0)?, row.get(1)?);
                let (ok, place): (Option<i64>, Option<i64>) = (row.get(2)?, row.get(3)?);
                Ok(format!("{said:?} {at:?} {ok:?} {place:?}"))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        let make = |sql: &str| {
            connection.execute_batch(&format!("DROP TABLE IF EXISTS \"my \"\"t\"\"\"; {sql}")).unwrap()
        };
        make(
            r#"CREATE TABLE "my ""t""" ("a b" text, at); INSERT INTO "my ""t""" VALUES ('x', 1.5), (7, x'00'), (NULL, 'y')"#,
        );
        assert_eq!(
            seen().unwrap(),
            [
                r#"Some("x") Real(1.5) None Some(1)"#,
                r#"Some("7") Null None Some(2)"#,
                r#"None Text("y") None Some(3)"#,
            ]
        );
        make(
            r#"CREATE TABLE "my ""t""" ("a b" integer PRIMARY KEY, ok) WITHOUT ROWID; INSERT INTO "my ""t""" VALUES (3, 1)"#,
        );
        assert_eq!(seen().unwrap(), [r#"Some("3") Null Some(1) None"#]);
        // A mistyped column of names is an error, and no empty history.
        make(r#"CREATE TABLE "my ""t""" (a)"#);
        let error = seen().unwrap_err().to_string();
        assert!(error.contains("no such column: dbctl_row.a b"), "{error}");
    }
}
