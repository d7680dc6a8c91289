//! Guessing what a runner of a project's own does: from its files' names, and from the table it makes.

use std::{fs, path::Path, sync::LazyLock};

use ignore::WalkBuilder;
use regex::Regex;

/// The most source files of a package that are searched, and how much of each.
const MAX_FILES: usize = 2_000;
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// How deep below its package a runner is looked for.
const MAX_DEPTH: usize = 6;

/// `CREATE TABLE … migrations (`, in whatever language it is written.
static TABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?is)create\s+table\s+(?:if\s+not\s+exists\s+)?[`"']?((?:\w+[`"']?\.[`"']?)?\w*migrations?\w*)[`"']?\s*\(([^;]{0,600})"#,
    )
    .expect("the pattern is fixed")
});

/// `20260123_1800_name.sql`, `001-name.sql`, `2025-11-05_name.sql`, and what stands before the name.
static NAME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[0-9]+(?:[_-][0-9]+)*([_-]).+\.sql$").expect("the pattern is fixed"));

/// What a project's own runner seems to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HomeGrown {
    /// What most files have between their version and their name.
    pub(super) separator: char,
    /// The table, and its schema, where some source file makes one.
    pub(super) table: Option<String>,
    /// Its schema.
    pub(super) schema: Option<String>,
    /// The column that holds names.
    pub(super) name_column: Option<String>,
    /// The column that holds times.
    pub(super) applied_column: Option<String>,
    /// The file that makes the table.
    pub(super) told_by: Option<String>,
}

/// `None` where the names do not look like migrations.
pub(super) fn guess(root: &Path, folder: &Path, names: &[String]) -> Option<HomeGrown> {
    let separators: Vec<String> =
        names.iter().filter_map(|name| Some(NAME.captures(name)?[1].to_owned())).collect();
    if separators.is_empty() {
        return None;
    }
    let dashes = separators.iter().filter(|separator| *separator == "-").count();
    let separator = if dashes * 2 > separators.len() { '-' } else { '_' };
    let package = folder
        .ancestors()
        .skip(1)
        .find(|above| root.join(above).join("package.json").is_file() || above.as_os_str().is_empty())
        .unwrap_or(Path::new(""));
    let told = table(root, package).unwrap_or(HomeGrown {
        separator,
        table: None,
        schema: None,
        name_column: None,
        applied_column: None,
        told_by: None,
    });
    Some(HomeGrown { separator, ..told })
}

/// The first table that a program of the package makes for migrations, and that no known tool makes.
fn table(root: &Path, package: &Path) -> Option<HomeGrown> {
    let is_source = |path: &Path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(
            extension,
            Some("ts" | "js" | "mjs" | "cjs" | "mts" | "py" | "rb" | "go" | "rs" | "sh" | "php" | "sql")
        )
    };
    WalkBuilder::new(root.join(package))
        .require_git(false)
        .git_global(false)
        .parents(false)
        .max_depth(Some(MAX_DEPTH))
        .max_filesize(Some(MAX_FILE_BYTES))
        .sort_by_file_name(Ord::cmp)
        .filter_entry(|entry| entry.file_name() != "node_modules" && entry.file_name() != "target")
        .build()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()) && is_source(entry.path()))
        .take(MAX_FILES)
        .find_map(|entry| {
            let text = fs::read_to_string(entry.path()).ok()?;
            let mut told = told(&text)?;
            told.told_by = Some(entry.path().strip_prefix(root).ok()?.display().to_string());
            Some(told)
        })
}

fn told(text: &str) -> Option<HomeGrown> {
    let found = TABLE.captures(text)?;
    let quotes: &[char] = &['`', '"', '\''];
    let whole = found[1].replace(quotes, "");
    let (schema, table) = match whole.split_once('.') {
        Some((schema, table)) => (Some(schema.to_owned()), table.to_owned()),
        None => (None, whole),
    };
    let columns: Vec<String> = found[2]
        .split(',')
        .filter_map(|column| Some(column.split_whitespace().next()?.replace(quotes, "")))
        .filter(|column| column.chars().all(|c| c.is_alphanumeric() || c == '_') && !column.is_empty())
        .collect();
    let named = |names: &[&str]| {
        names.iter().find_map(|name| columns.iter().find(|column| column.eq_ignore_ascii_case(name)).cloned())
    };
    let names = ["migration_name", "name", "filename", "file_name", "file", "migration", "version"];
    let times = ["applied_at", "executed_at", "run_at", "run_on", "applied_on", "created_at", "timestamp"];
    Some(HomeGrown {
        separator: '_',
        table: Some(table),
        schema,
        name_column: named(&names),
        applied_column: named(&times),
        told_by: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_found_in_whatever_language() {
        let check = |text: &str| {
            told(text).map(|told| {
                let part = |part: Option<String>| part.unwrap_or_else(|| "-".to_owned());
                format!(
                    "{} {} {} {}",
                    part(told.schema),
                    part(told.table),
                    part(told.name_column),
                    part(told.applied_column)
                )
            })
        };
        for (text, expected) in [
            (
                "await client.query(`CREATE TABLE IF NOT EXISTS migration_history (id SERIAL PRIMARY KEY, \
                 migration_name VARCHAR(255) UNIQUE NOT NULL, applied_at TIMESTAMPTZ DEFAULT NOW())`);",
                "- migration_history migration_name applied_at",
            ),
            (
                "create table _migrations (\n  id integer primary key,\n  name text,\n  applied_at text\n)",
                "- _migrations name applied_at",
            ),
            (
                "CREATE TABLE \"app\".\"schema_migrations\" (\"version\" text)",
                "app schema_migrations version -",
            ),
        ] {
            assert_eq!(check(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["create table users (id int)", "drop table migrations", ""] {
            assert_eq!(check(text), None, "{text}");
        }
    }
}
