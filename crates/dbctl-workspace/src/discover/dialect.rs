//! Telling which database a migration folder was written for.
//!
//! What the tool's own files say comes first, then what the SQL says, then what stands around the folder.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use dbctl_migration::FormatKind;
use regex::Regex;

use super::urls;
use crate::paths::shown;

/// How much of a file is looked at, and how many files of a folder.
const LOOKED_AT_BYTES: u64 = 64 * 1024;
const MAX_FILES: usize = 200;

/// A database that is not PostgreSQL.
pub(super) struct Other {
    /// What says so, as the end of a sentence about the folder.
    pub(super) why: String,
    /// Whether it is a SQLite file.
    pub(super) is_sqlite: bool,
}

/// Which database a folder is for; `None` where nothing says that it is not PostgreSQL.
pub(super) fn other_database(root: &Path, folder: &Path, kinds: &[FormatKind]) -> Option<Other> {
    let first = kinds.first().map_or("", |kind| kind.as_str());
    if matches!(first, "supabase" | "node-pg-migrate") {
        return None;
    }
    let path = root.join(folder);
    if let Some((named, by)) = by_tool(root, folder, first) {
        let is_ours =
            ["postgres", "pg", "neon", "vercel", "supabase"].iter().any(|ours| named.contains(ours));
        let by = shown(by.strip_prefix(root).unwrap_or(&by));
        let why = format!("is for {named}, by {by}");
        return (!is_ours).then(|| Other { why, is_sqlite: named.contains("sqlite") });
    }
    let around = || by_crate(root, folder, first).or_else(|| by_url(root, folder));
    match by_sql(&path) {
        Sql::Other { database, mark, file } => Some(Other {
            why: format!("looks like {database}, by `{mark}` in {}", shown(&folder.join(file))),
            // Both take backticks; what stands around the folder tells.
            is_sqlite: database == SQLITE
                || database.contains(SQLITE) && around().is_some_and(|(database, _)| database == SQLITE),
        }),
        Sql::Postgres => None,
        Sql::Unclear => around().map(|(database, by)| Other {
            why: format!("looks like {database}, by {by}; its SQL would do for PostgreSQL, too"),
            is_sqlite: database == SQLITE,
        }),
    }
}

/// What SQLite is called here.
const SQLITE: &str = "SQLite";

/// What the tool says itself, in lower case, and the file in which it does.
fn by_tool(root: &Path, folder: &Path, format: &str) -> Option<(String, PathBuf)> {
    let path = root.join(folder);
    let lock = path.join("migration_lock.toml");
    let provider = beginning(&lock).and_then(|text| value(&text, "provider"));
    if let Some(provider) = provider {
        return Some((provider, lock));
    }
    let journal = path.join("meta/_journal.json");
    let snapshots = folders_in(&path).into_iter().map(|folder| folder.join("snapshot.json"));
    for file in std::iter::once(journal).chain(snapshots) {
        if let Some(dialect) = dialect_in(&file) {
            return Some((dialect, file));
        }
    }
    match format {
        "prisma" => {
            let schema = path.parent()?.join("schema.prisma");
            let text = beginning(&schema)?;
            let (_, block) = text.split_once("datasource")?;
            Some((value(block.split('}').next()?, "provider")?, schema))
        }
        "drizzle" => {
            let above = folder.ancestors().skip(1).map(|above| root.join(above));
            let configs = above.map(|above| drizzle_configs(&above)).find(|configs| !configs.is_empty())?;
            let [config] = configs.as_slice() else { return None };
            let text = beginning(config)?;
            Some((value(&text, "dialect").or_else(|| value(&text, "driver"))?, config.clone()))
        }
        _ => None,
    }
}

/// The `dialect` of one of Drizzle's JSON files.
fn dialect_in(file: &Path) -> Option<String> {
    let json = whole(file).and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok())?;
    Some(json.get("dialect")?.as_str()?.to_lowercase()).filter(|dialect| !dialect.is_empty())
}

/// What a word is set to, in lower case: `provider = "mysql"`, `dialect: 'sqlite',`.
fn value(text: &str, word: &str) -> Option<String> {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.flat_map(|line| line.split(['{', '(', ','])).find_map(|line| {
        let rest = line.trim_start().trim_start_matches(['"', '\'', '{', ' ']).strip_prefix(word)?;
        let rest = rest.trim_start_matches(['"', '\'', ' ', '\t']).strip_prefix(['=', ':'])?;
        let said: String =
            rest.split(['#', ';']).next()?.trim().trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        (!said.is_empty()).then_some(said)
    })
}

fn drizzle_configs(folder: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let is_config = |name: &str| {
        name.starts_with("drizzle")
            && [".config.ts", ".config.js", ".config.mjs", ".config.json"]
                .iter()
                .any(|end| name.ends_with(end))
    };
    names
        .filter(|entry| entry.file_name().to_str().is_some_and(is_config))
        .map(|entry| entry.path())
        .collect()
}

/// What a folder's SQL was written for.
#[derive(Debug, PartialEq, Eq)]
enum Sql {
    /// More files would fail on PostgreSQL than only PostgreSQL would take.
    Other { database: &'static str, mark: String, file: PathBuf },
    /// At least as many are for PostgreSQL.
    Postgres,
    /// It is what all databases take.
    Unclear,
}

/// What only one database has, outside comments and strings.
static MARKS: LazyLock<Vec<(&'static str, Regex)>> = LazyLock::new(|| {
    let marks = [
        (
            "MySQL",
            r"(?i)\bengine\s*=\s*(?:innodb|myisam|memory)\b|\bauto_increment\b|\bdefault\s+charset\b|\bcharset\s*=|\bon\s+update\s+current_timestamp\b|\b(?:tiny|medium|long)(?:int|text|blob)\b|\bint(?:eger)?\s*(?:\(\s*[0-9]+\s*\))?\s+unsigned\b",
        ),
        ("SQLite", r"(?im)\bautoincrement\b|^\s*pragma\s+\w+|\bwithout\s+rowid\b|\bsqlite_master\b"),
        (
            "SQL Server",
            r"(?im)\[dbo\]|\[\w+\]\s*\.\s*\[\w+\]|^\s*go\s*$|\bidentity\s*\(\s*[0-9]+\s*,\s*[0-9]+\s*\)|\bnvarchar\b|\bdatetime2\b|\buniqueidentifier\b|\bdbo\.\w+",
        ),
        ("MySQL or SQLite", r"`\w[^`\n]*`"),
    ];
    marks.map(|(database, mark)| (database, Regex::new(mark).expect("the pattern is fixed"))).into()
});

/// What PostgreSQL alone has.
static OURS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(?:big|small)?serial\b|\bjsonb\b|\btimestamptz\b|\bbytea\b|\bplpgsql\b|::\s*[a-z]|\bcreate\s+extension\b|\bgen_random_uuid\b|\bcreate\s+policy\b|\brow\s+level\s+security\b|\bgenerated\s+(?:always|by\s+default)\s+as\s+identity\b|\busing\s+(?:gin|gist|brin)\b|\b(?:text|integer|uuid)\s*\[\]|\bcreate\s+type\b|\bconcurrently\b|\bwith(?:out)?\s+time\s+zone\b|\$\w*\$",
    )
    .expect("the pattern is fixed")
});

fn by_sql(folder: &Path) -> Sql {
    let (mut foreign, mut ours) = (0, 0);
    let mut first: Option<(&'static str, String, PathBuf)> = None;
    for file in sql_files(folder) {
        let Some(text) = beginning(&file) else { continue };
        let text = without_comments(&text);
        let said = MARKS.iter().find_map(|(database, mark)| Some((*database, mark.find(&text)?.as_str())));
        ours += usize::from(OURS.is_match(&text));
        if let Some((database, mark)) = said {
            foreign += 1;
            // Backticks say less than what one database alone has.
            let is_better = first
                .as_ref()
                .is_none_or(|(before, ..)| before.contains(" or ") && !database.contains(" or "));
            if is_better {
                let name = file.strip_prefix(folder).unwrap_or(&file).to_path_buf();
                let mark = mark.split_whitespace().collect::<Vec<_>>().join(" ").replace('`', "'");
                first = Some((database, mark.chars().take(40).collect(), name));
            }
        }
    }
    match first {
        Some((database, mark, file)) if foreign > ours => Sql::Other { database, mark, file },
        _ if ours > 0 => Sql::Postgres,
        Some((database, mark, file)) => Sql::Other { database, mark, file },
        None => Sql::Unclear,
    }
}

/// The SQL files of a folder and of the folders in it, as many as are looked at, in byte order of their names.
fn sql_files(folder: &Path) -> Vec<PathBuf> {
    let is_sql = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "sql");
    let mut files: Vec<PathBuf> = paths_in(folder).into_iter().filter(is_sql).collect();
    for inner in folders_in(folder) {
        if files.len() >= MAX_FILES {
            break;
        }
        files.extend(paths_in(&inner).into_iter().filter(is_sql));
    }
    files.truncate(MAX_FILES);
    files
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    paths_in(folder).into_iter().filter(|path| path.is_dir()).collect()
}

fn paths_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// A text with blanks for what stands in comments and in `'strings'`; dollar quotes stay, for they tell.
fn without_comments(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (length, keeps) = if rest.starts_with("--") {
            (rest.find('\n').unwrap_or(rest.len()), false)
        } else if let Some(inner) = rest.strip_prefix("/*") {
            (inner.find("*/").map_or(rest.len(), |at| at + 4), false)
        } else if let Some(inner) = rest.strip_prefix('\'') {
            (inner.find('\'').map_or(rest.len(), |at| at + 2), false)
        } else {
            (c.len_utf8(), true)
        };
        let (piece, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        plain.push_str(if keeps { piece } else { " " });
        rest = after;
    }
    plain
}

/// The database that a crate around the folder has sqlx's driver of, where PostgreSQL's is not among them.
fn by_crate(root: &Path, folder: &Path, format: &str) -> Option<(&'static str, String)> {
    if format != "sqlx" {
        return None;
    }
    let (text, file) = folder.ancestors().skip(1).find_map(|above| {
        let file = above.join("Cargo.toml");
        beginning(&root.join(&file)).filter(|text| text.contains("sqlx")).map(|text| (text, file))
    })?;
    let (_, asked) = text.split_once("sqlx")?;
    let (_, features) = asked.split_once("features")?;
    let features = features.split(']').next()?;
    let has = |name: &str| features.contains(&format!("\"{name}"));
    if has("postgres") {
        return None;
    }
    let database = if has("mysql") {
        "MySQL"
    } else if has("sqlite") {
        "SQLite"
    } else {
        return None;
    };
    Some((database, format!("sqlx's features in {}", shown(&file))))
}

/// The database whose URL the nearest env file around the folder has as the package's own.
fn by_url(root: &Path, folder: &Path) -> Option<(&'static str, String)> {
    folder
        .ancestors()
        .skip(1)
        .find_map(|above| {
            let scheme = urls::scheme(&root.join(above))?;
            Some((scheme, above))
        })
        .and_then(|((database, file), above)| {
            Some((database?, format!("DATABASE_URL in {}", shown(&above.join(file)))))
        })
}

/// The beginning of a file, whatever bytes it has.
fn beginning(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    File::open(path).ok()?.take(LOOKED_AT_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn whole(path: &Path) -> Option<Vec<u8>> {
    fs::metadata(path).ok()?.is_file().then(|| fs::read(path).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[&str]) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (at, text) in files.iter().enumerate() {
            fs::write(folder.path().join(format!("{at}.sql")), text).unwrap();
        }
        match by_sql(folder.path()) {
            Sql::Other { database, mark, file } => format!("{database}: {mark} in {}", file.display()),
            Sql::Postgres => "PostgreSQL".to_owned(),
            Sql::Unclear => "unclear".to_owned(),
        }
    }

    #[test]
    fn sql_tells_what_it_was_written_for() {
        for (files, expected) in [
            (
                &["create table a (id int auto_increment) ENGINE = InnoDB"][..],
                "MySQL: auto_increment in 0.sql",
            ),
            (
                &["create table `a` (`id` int)", "alter table a add b int unsigned"],
                "MySQL: int unsigned in 1.sql",
            ),
            (&["CREATE TABLE `a` (`id` text)"], "MySQL or SQLite: 'a' in 0.sql"),
            (&["PRAGMA foreign_keys=OFF;"], "SQLite: PRAGMA foreign_keys in 0.sql"),
            (&["create table a (id integer primary key autoincrement)"], "SQLite: autoincrement in 0.sql"),
            (&["CREATE TABLE [dbo].[a] ([id] INT)"], "SQL Server: [dbo] in 0.sql"),
            (&["select 1\nGO\nselect 2"], "SQL Server: GO in 0.sql"),
            // Said, and not meant.
            (&["-- was ENGINE=InnoDB, `a`\ninsert into a values ('`b` AUTO_INCREMENT')"], "unclear"),
            (&["comment on table a is 'it''s `b`'; /* [dbo].[a] */ select a[1]"], "unclear"),
            (&["create table a (id int)"], "unclear"),
            // Comparing with another database in a folder for PostgreSQL.
            (
                &["create table a (id serial)", "select * from dbo.a", "alter table a add b jsonb"],
                "PostgreSQL",
            ),
            (&["do $$ begin execute format('alter table `a`'); end $$"], "PostgreSQL"),
            // Nothing that can be read.
            (&["\u{feff}", "'", "/*", "--", "é'é"], "unclear"),
            (&[], "unclear"),
        ] {
            assert_eq!(check(files), expected, "{files:?}");
        }
    }

    #[test]
    fn words_of_configurations_are_read_however_they_are_written() {
        for (text, expected) in [
            ("provider = \"mysql\"", Some("mysql")),
            ("# provider = \"x\"\r\n  provider=\"PostgreSQL\" # ours\r\n", Some("postgresql")),
            ("export default { out: 'x', provider: 'sqlite' };", Some("sqlite")),
            ("// provider: 'sqlite',\nprovider: 'pg'", Some("pg")),
            ("  provider: 'sqlite',\n", Some("sqlite")),
            ("{ \"provider\": \"mysql\" }", Some("mysql")),
            ("providers = \"x\"", None),
            ("provider = ", None),
            ("provider", None),
            ("", None),
        ] {
            assert_eq!(value(text, "provider").as_deref(), expected, "{text}");
        }
    }
}
