//! Names of databases in env files.

use std::{collections::BTreeMap, fs, path::Path};

use crate::{env_file, sqlite_url::sqlite_file};

/// Where URLs are looked for, what is real before what is an example.
const FILES: [&str; 6] =
    [".env", ".env.local", ".env.development", ".env.example", "env.example", ".env.sample"];

/// Variables of a folder's env files that hold a PostgreSQL URL, each with the name of the database in it.
pub(super) fn urls(folder: &Path) -> BTreeMap<String, String> {
    let mut urls = BTreeMap::new();
    for file in FILES {
        let Ok(text) = fs::read_to_string(folder.join(file)) else { continue };
        let Ok(vars) = env_file::parse(&text, &|_| None, &|_| None) else { continue };
        for (name, value) in vars {
            if let Some(database) = database_in(&value.value) {
                urls.entry(name).or_insert(database);
            }
        }
    }
    urls
}

/// What the first env file that sets a package's own URL says of it: the database it is a URL of, `None` for PostgreSQL
/// and for what is no URL.
pub(super) fn scheme(folder: &Path) -> Option<(Option<&'static str>, &'static str)> {
    FILES.iter().find_map(|file| {
        let text = fs::read_to_string(folder.join(file)).ok()?;
        let vars = env_file::parse(&text, &|_| None, &|_| None).ok()?;
        let url = ["DATABASE_URL", "DB_URL"].iter().find_map(|var| vars.get(*var))?;
        let schemes = [
            ("mysql:", "MySQL"),
            ("mariadb:", "MariaDB"),
            ("sqlite:", "SQLite"),
            ("file:", "SQLite"),
            ("sqlite3:", "SQLite"),
            ("libsql:", "libSQL"),
            ("sqlserver:", "SQL Server"),
            ("mssql:", "SQL Server"),
            ("cockroachdb:", "CockroachDB"),
            ("clickhouse", "ClickHouse"),
            ("mongodb", "MongoDB"),
        ];
        let database = schemes.iter().find(|(scheme, _)| url.value.starts_with(scheme));
        Some((database.map(|(_, database)| *database), *file))
    })
}

/// The first variable of a folder's env files that holds the URL of a SQLite file, and the URL; `wanted` are those to look
/// at, in that order.
pub(super) fn sqlite_file_url(folder: &Path, wanted: &dyn Fn(&str) -> bool) -> Option<(String, String)> {
    FILES.iter().find_map(|file| {
        let text = fs::read_to_string(folder.join(file)).ok()?;
        let vars = env_file::parse(&text, &|_| None, &|_| None).ok()?;
        let usual = ["DATABASE_URL", "DB_URL"].into_iter().filter_map(|var| vars.get_key_value(var));
        let mut all = usual.chain(&vars).filter(|(name, _)| wanted(name));
        let is_file = |value: &str| matches!(sqlite_file(value), Some(Ok(_)));
        all.find(|(_, line)| is_file(&line.value)).map(|(name, line)| (name.clone(), line.value.clone()))
    })
}

/// The database that a URL names; `None` for other URLs, and where the name is only a placeholder.
fn database_in(url: &str) -> Option<String> {
    let rest = ["postgres://", "postgresql://"].iter().find_map(|scheme| url.strip_prefix(scheme))?;
    let (_, path) = rest.split_once('/')?;
    let name = path.split(['?', '#']).next().unwrap_or_default();
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_real = !name.is_empty()
        && name.chars().all(plain)
        && !matches!(name, "postgres" | "template1" | "dbname" | "database" | "mydb")
        && !name.starts_with("your");
    is_real.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_real_databases() {
        for (url, expected) in [
            ("postgresql://u:p@localhost:5432/atriz_shared", Some("atriz_shared")),
            ("postgres://localhost/a-b?sslmode=require", Some("a-b")),
            ("postgresql:///x", Some("x")),
            ("postgresql://u:p@h/{app}_db", None),
            ("postgresql://u:p@h/your_database", None),
            ("postgresql://u:p@h/postgres", None),
            ("postgresql://u:p@h", None),
            ("mysql://u:p@h/x", None),
            ("x", None),
        ] {
            assert_eq!(database_in(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn what_is_real_counts_before_examples() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("env.example"), "A=postgres://h/example\nB=postgres://h/b\n").unwrap();
        fs::write(folder.path().join(".env"), "A='postgres://h/real'\nPORT=1\n").unwrap();
        let urls = urls(folder.path());
        let urls: Vec<_> = urls.iter().map(|(name, database)| format!("{name} {database}")).collect();
        assert_eq!(urls, ["A real", "B b"]);
    }
}
