//! Migrations of Drizzle: SQL files that a journal lists (drizzle-kit and drizzle-orm 0.x), or a folder for each (1.0).
//!
//! Read as drizzle-orm's own `migrate()` reads them; where dbctl is kinder or stricter than the tool:
//!
//! - 0.x runs nothing that is older than the newest row of its table, and says nothing. dbctl runs what has no row.
//! - 0.x knows a migration by the journal's `when` alone, 1.0 by the folder's name, and neither looks at the SQL of what
//!   is applied. dbctl compares it with the hash that they record.
//! - 0.x sends what stands between two `--> statement-breakpoint` as one query. To PostgreSQL the line is a comment, and
//!   to dbctl, too: a breakpoint inside of a string or a function is nothing special.
//! - A folder that has the layouts of both is an error: 1.0 refuses it, and 0.x passes the new migrations over.

mod folders;
mod generate;
mod history;
mod journal;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use self::history::{DrizzleMigrations, DrizzleOnSqlite};
use super::{
    Folder, Format, FormatError, FormatErrors, NewFile, Tool,
    detect::{Likeness, Sample, SampleFolder},
    listing::{leading_digits, wrong_directive},
};
use crate::{
    Checksum, Dialect, Directives, History, Migration, Script, ToolChecksum, Transaction, Version,
    split::line_comments,
};

/// The folder of 0.x that holds the journal and the snapshots.
const META: &str = "meta";

/// The journal, within the folder of migrations.
const JOURNAL: &str = "meta/_journal.json";

/// The SQL in a folder of 1.0.
const MIGRATION: &str = "migration.sql";

/// The schema as it is after a migration, in a folder of 1.0.
const SNAPSHOT: &str = "snapshot.json";

/// The time that the name of a folder of 1.0 starts with, `YYYYMMDDHHMMSS`.
const TIME_DIGITS: usize = 14;

/// What the files start their statements with, where there are several.
const BREAKPOINT: &str = "--> statement-breakpoint";

/// Its line in the list of formats.
pub(super) const TOOL: Tool = Tool {
    name: "drizzle",
    options: &["schema", "table"],
    on_sqlite: true,
    check: |_| Ok(()),
    open: |folder, options| {
        let layout = Layout::of(folder);
        let history: Box<dyn History> = match options.dialect {
            Dialect::Postgres => Box::new(DrizzleMigrations::new(options, layout)),
            Dialect::Sqlite => Box::new(DrizzleOnSqlite::new(options, layout)),
        };
        Box::new(Drizzle { layout, history, dialect: options.dialect })
    },
    recognise,
};

/// Which versions of the tool a folder is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// 0.x: files, and a journal that lists them.
    Journal,
    /// 1.0: folders.
    Folders,
}

impl Layout {
    /// What the folder has; where it has nothing, that of the version that the package asks for.
    fn of(folder: &Folder) -> Self {
        if folder.files.exists(&folder.path.join(JOURNAL)) {
            return Self::Journal;
        }
        let names = folder.names_so_far().unwrap_or_default();
        let has_folders = names
            .iter()
            .any(|listed| folder.files.exists(&folder.path.join(&listed.file_name).join(MIGRATION)));
        if has_folders || asks_for_folders(folder) { Self::Folders } else { Self::Journal }
    }
}

/// Whether the nearest `package.json` above that names Drizzle asks for 1.0 or later.
fn asks_for_folders(folder: &Folder) -> bool {
    let version = |above: &Path| {
        let text = folder.files.read_to_string(&above.join("package.json")).ok()?;
        let package: serde_json::Value = serde_json::from_str(&text).ok()?;
        let of = |kind: &str, name: &str| package.get(kind)?.get(name)?.as_str().map(str::to_owned);
        ["drizzle-kit", "drizzle-orm"].into_iter().find_map(|name| {
            ["dependencies", "devDependencies", "peerDependencies"]
                .into_iter()
                .find_map(|kind| of(kind, name))
        })
    };
    let Some(version) = folder.path.ancestors().find_map(version) else { return false };
    let number = version.trim_start_matches(|c: char| !c.is_ascii_digit());
    leading_digits(number).parse::<u64>().map_or(matches!(&*version, "beta" | "rc"), |major| major > 0)
}

/// A journal, or folders that have a snapshot each, are no other tool's. Prisma's folders have no snapshot.
fn recognise(sample: &Sample) -> Likeness {
    let has_migration =
        |folder: &SampleFolder| folders::time(folder.name()).is_some() && folder.has(MIGRATION);
    let has_snapshot = |folder: &SampleFolder| has_migration(folder) && folder.has(SNAPSHOT);
    let has_journal = |folder: &SampleFolder| folder.name() == META && folder.has("_journal.json");
    if sample.folders().any(|folder| has_journal(folder) || has_snapshot(folder)) {
        return Likeness::Sure;
    }
    let is_prismas = sample.files().any(|file| file.name() == "migration_lock.toml");
    let marked = sample.sql().any(|file| file.text().contains(BREAKPOINT));
    match marked || !is_prismas && sample.folders().any(has_migration) {
        true => Likeness::Possible,
        false => Likeness::No,
    }
}

struct Drizzle {
    layout: Layout,
    history: Box<dyn History>,
    dialect: Dialect,
}

impl Format for Drizzle {
    fn read(&self, folder: &Folder) -> Result<Vec<Migration>, FormatErrors> {
        match self.layout {
            Layout::Journal => journal::read(folder, self.dialect),
            Layout::Folders => folders::read(folder, self.dialect),
        }
    }

    fn history(&self) -> Option<&dyn History> {
        Some(&*self.history)
    }

    /// As `drizzle-kit generate --custom` writes it.
    fn new_file(&self, folder: &Folder, name: &str, now: Timestamp) -> Result<NewFile, FormatError> {
        let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let slug = words.collect::<Vec<_>>().join("_");
        if slug.is_empty() {
            return Err(folder.wrong_new_name("a migration needs a name, such as `add users`"));
        }
        match self.layout {
            Layout::Journal => generate::journaled(folder, &slug, now, self.dialect),
            Layout::Folders => generate::foldered(folder, &slug, now, self.dialect),
        }
    }
}

/// A migration from the file of that path within the folder.
fn migration(
    folder: &Folder,
    path: &Path,
    version: Version,
    name: String,
    dialect: Dialect,
) -> Result<Migration, FormatError> {
    let listed = Folder::listed(&path.to_string_lossy());
    let shown: PathBuf = folder.shown(&listed);
    let (bytes, sql) = folder.bytes_and_text(&listed)?;
    let directives = Directives::parse_as(&sql, dialect).map_err(wrong_directive(shown.clone()))?;
    let transaction = if directives.no_transaction { Transaction::None } else { Transaction::One };
    Ok(Migration {
        version,
        name,
        checksum: Checksum::of_text(&sql),
        tool_checksum: Some(ToolChecksum::of(&bytes, hash)),
        up: Script { path: shown, first_line: 1, sql: ended(sql, dialect), transaction },
        down: None,
        directives,
    })
}

/// The SQL with a `;` in the place of each breakpoint, where the tool ends a statement whether it has one or not.
/// Everything else stays where it is. In a function's body, where the tool would end it, too, a breakpoint is a comment.
fn ended(mut sql: String, dialect: Dialect) -> String {
    for (start, _) in line_comments(&sql, dialect) {
        let end = sql[start..].find('\n').map_or(sql.len(), |length| start + length);
        if sql[start..end].contains(BREAKPOINT) {
            let rest = " ".repeat(end - start - 1);
            sql.replace_range(start..end, &format!(";{rest}"));
        }
    }
    sql
}

/// What the tool records of a file.
fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
