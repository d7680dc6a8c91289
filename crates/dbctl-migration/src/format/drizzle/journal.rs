//! The layout of 0.x: `meta/_journal.json` lists the files, and its order is theirs.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{JOURNAL, MIGRATION, folders, hash, migration};
use crate::{
    Dialect, Folder, FormatError, FormatErrors, Migration, Version,
    format::listing::{Listed, split_extension},
    text::{Position, position},
};

/// How many digits of a hash tell files apart that have the same time.
const HASH_DIGITS: usize = 8;

/// What the journal has to say to whoever runs it; the tool takes any number for its version.
#[derive(Deserialize)]
pub(super) struct Journal {
    /// Spelled `pg` until drizzle-kit 0.21.
    dialect: Option<String>,
    pub(super) entries: Vec<Entry>,
}

/// One migration.
#[derive(Deserialize)]
pub(super) struct Entry {
    /// When it was generated, in milliseconds since 1970: what the tool records.
    pub(super) when: i64,
    /// The file's name without `.sql`.
    pub(super) tag: String,
}

impl Journal {
    /// The journal of a folder and its text; `None` where there is none.
    pub(super) fn of(folder: &Folder) -> Result<Option<(Self, String)>, FormatError> {
        let listed = Folder::listed(JOURNAL);
        if !folder.files.exists(&folder.path.join(JOURNAL)) {
            return Ok(None);
        }
        let text = folder.text(&listed)?;
        // The parser would take the items of a list for the fields, which nothing that writes the journal does.
        let start = text.len() - text.trim_start().len();
        if text[start..].starts_with('[') {
            let Position { line, column } = position(&text, start);
            let message = "not what drizzle-kit writes: a list in place of an object".to_owned();
            return Err(FormatError::Content { path: folder.shown(&listed), line, column, message });
        }
        let journal = parse(folder.shown(&listed), &text)?;
        Ok(Some((journal, text)))
    }
}

/// Reads JSON of the tool's.
pub(super) fn parse<'t, T: Deserialize<'t>>(path: PathBuf, text: &'t str) -> Result<T, FormatError> {
    serde_json::from_str(text).map_err(|error| {
        let whole = error.to_string();
        let what = whole.rsplit_once(" at line ").map_or(&*whole, |(what, _)| what);
        let is_merge = text.lines().any(|line| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> "));
        let hint = if is_merge { "; there are marks of a merge conflict in the file" } else { "" };
        // It counts bytes, and from 0 at the end of a line.
        let read =
            text.lines().nth(error.line().saturating_sub(1)).and_then(|line| line.get(..error.column()));
        let column = read.map_or(error.column(), |read| read.chars().count()).max(1);
        FormatError::Content {
            path,
            line: error.line(),
            column,
            message: format!("not what drizzle-kit writes: {what}{hint}"),
        }
    })
}

/// Only what the journal lists, in its order.
pub(super) fn read(folder: &Folder, dialect: Dialect) -> Result<Vec<Migration>, FormatErrors> {
    let alone = |error| FormatErrors(vec![error]);
    let names = folder.names().map_err(alone)?;
    let Some((journal, text)) = Journal::of(folder).map_err(alone)? else {
        let stray = names.iter().find(|listed| split_extension(&listed.name).1 == "sql");
        return match stray {
            None => Ok(Vec::new()),
            Some(stray) => Err(alone(unlisted(folder, stray))),
        };
    };
    let at = |word: &str, message: String| wrong(folder, &text, word, message);
    let (ours, spelled): (&str, &[&str]) = match dialect {
        Dialect::Postgres => ("postgresql", &["postgresql", "pg"]),
        Dialect::Sqlite => ("sqlite", &["sqlite", "turso"]),
    };
    if let Some(theirs) = journal.dialect.as_deref().filter(|theirs| !spelled.contains(theirs)) {
        let message = format!("these migrations are for {theirs}, and this database is one for {ours}");
        return Err(alone(at("dialect", message)));
    }
    let mut errors = Vec::new();
    for listed in &names {
        let is_new = folders::time(&listed.name).is_some()
            && folder.files.exists(&folder.path.join(&listed.file_name).join(MIGRATION));
        if is_new {
            let message = format!(
                "this is a folder of drizzle-kit 1.0 beside the journal {JOURNAL} of 0.x: 1.0 refuses to run, and 0.x \
                 passes the folder over; run `drizzle-kit up` of 1.0, which makes folders of all migrations"
            );
            errors.push(folder.wrong_name(listed, message));
        }
    }
    let mut migrations: Vec<Migration> = Vec::with_capacity(journal.entries.len());
    let mut tags = BTreeSet::new();
    for entry in &journal.entries {
        if !tags.insert(&*entry.tag) {
            let message = format!("the journal lists `{}` twice: take one of them out", entry.tag);
            errors.push(at(&entry.tag, message));
            continue;
        }
        match read_entry(folder, &text, entry, dialect) {
            Ok(migration) => migrations.push(migration),
            Err(error) => errors.push(error),
        }
    }
    errors.extend(tell_apart(&mut migrations).into_iter().map(|(first, second)| {
        let message = format!(
            "`{first}` and `{second}` have the same `when` and the same SQL, so that nothing tells their rows apart: give \
             the later one another `when`"
        );
        at(&second, message)
    }));
    if errors.is_empty() { Ok(migrations) } else { Err(FormatErrors(errors)) }
}

fn read_entry(
    folder: &Folder,
    text: &str,
    entry: &Entry,
    dialect: Dialect,
) -> Result<Migration, FormatError> {
    let file = format!("{}.sql", entry.tag);
    if !folder.files.exists(&folder.path.join(&file)) {
        let message = format!(
            "the journal lists `{}`, and there is no {file}: put the file back, or take the entry out",
            entry.tag
        );
        return Err(wrong(folder, text, &entry.tag, message));
    }
    migration(folder, Path::new(&file), Version::new(entry.when.to_string()), entry.tag.clone(), dialect)
}

/// What is wrong in the journal, at the place of a word in quotes.
fn wrong(folder: &Folder, text: &str, word: &str, message: String) -> FormatError {
    let quoted = serde_json::Value::from(word).to_string();
    let place = position(text, text.rfind(&quoted).unwrap_or(0));
    FormatError::Content {
        path: folder.shown(&Folder::listed(JOURNAL)),
        line: place.line,
        column: place.column,
        message,
    }
}

pub(super) fn unlisted(folder: &Folder, stray: &Listed) -> FormatError {
    let message = format!(
        "there is no {JOURNAL} that lists this file: drizzle runs only what its journal lists, and fails without one. Put \
         it back, or say another `format` if this is no folder of drizzle"
    );
    folder.wrong_name(stray, message)
}

/// The tool takes migrations of one time for one migration once it is over. Here each has its hash behind the time;
/// returned are those that have that in common as well.
fn tell_apart(migrations: &mut [Migration]) -> Vec<(String, String)> {
    let mut by_time: BTreeMap<Version, usize> = BTreeMap::new();
    for migration in migrations.iter() {
        *by_time.entry(migration.version.clone()).or_default() += 1;
    }
    let mut taken: BTreeMap<Version, String> = BTreeMap::new();
    let mut alike = Vec::new();
    for migration in migrations.iter_mut() {
        if by_time.get(&migration.version).is_some_and(|count| *count > 1) {
            let hash = hash_of(migration);
            let digits = &hash[..hash.len().min(HASH_DIGITS)];
            migration.version = Version::new(format!("{}-{digits}", migration.version));
        }
        if let Some(first) = taken.insert(migration.version.clone(), migration.name.clone()) {
            alike.push((first, migration.name.clone()));
        }
    }
    alike
}

/// What the tool records of its file.
pub(super) fn hash_of(migration: &Migration) -> String {
    migration
        .tool_checksum
        .as_ref()
        .map_or_else(|| hash(migration.up.sql.as_bytes()), |tool| tool.recorded().to_string())
}

/// The parts of a version: the time, and the beginning of a hash where several share it.
pub(super) fn parts(version: &str) -> (&str, Option<&str>) {
    match version.rsplit_once('-') {
        // A time may be negative.
        Some((time, hash)) if !time.is_empty() => (time, Some(hash)),
        Some(_) | None => (version, None),
    }
}
