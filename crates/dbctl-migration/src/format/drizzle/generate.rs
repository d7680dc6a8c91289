//! New migrations, as `drizzle-kit generate --custom` writes them: the snapshot says that the schema is what it was.

use std::{collections::BTreeSet, path::PathBuf};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    JOURNAL, META, MIGRATION, SNAPSHOT, folders, hash,
    journal::{Journal, parse, unlisted},
};
use crate::{
    Dialect, Folder, FormatError, NewFile,
    format::listing::{Listed, leading_digits, split_extension},
};

const SQL: &str = "-- Custom SQL migration file, put your code below! --";

/// What the first snapshot follows.
const ORIGIN: &str = "00000000-0000-0000-0000-000000000000";

const MS_PER_SECOND: i64 = 1_000;

/// How the names of files of 0.x start, `migrations.prefix` in the tool's configuration; a program, which dbctl does not
/// run, so that the last file tells.
enum Prefix {
    Index,
    Timestamp,
    Unix,
    None,
}

impl Prefix {
    fn of(tag: &str) -> Self {
        match (leading_digits(tag).len(), tag.starts_with('_')) {
            (_, true) => Self::None,
            (14, false) => Self::Timestamp,
            (10, false) => Self::Unix,
            (_, false) => Self::Index,
        }
    }

    fn tells_time(&self) -> bool {
        match self {
            Self::Timestamp | Self::Unix => true,
            Self::Index | Self::None => false,
        }
    }

    fn at(&self, folder: &Folder, idx: u64, when: i64) -> Result<String, FormatError> {
        Ok(match self {
            Self::Index => format!("{idx:04}"),
            Self::Timestamp => digits(folder, when)?,
            Self::Unix => (when / MS_PER_SECOND).to_string(),
            Self::None => String::new(),
        })
    }
}

/// A file, its snapshot, and a line in the journal.
pub(super) fn journaled(
    folder: &Folder,
    slug: &str,
    now: Timestamp,
    dialect: Dialect,
) -> Result<NewFile, FormatError> {
    let existing = Journal::of(folder)?;
    if existing.is_none() {
        let names = folder.names_so_far()?;
        if let Some(stray) = names.iter().find(|listed| split_extension(&listed.name).1 == "sql") {
            return Err(unlisted(folder, stray));
        }
    }
    let (journal, mut document) = match &existing {
        Some((journal, text)) => {
            (Some(journal), parse::<Value>(folder.shown(&Folder::listed(JOURNAL)), text)?)
        }
        None => (None, json!({ "version": "7", "dialect": named(dialect), "entries": [] })),
    };
    let known = journal.map_or(&[][..], |journal| &journal.entries);
    // The tool passes over what is not newer than all that it has applied.
    let newest = known.iter().map(|entry| entry.when).max();
    let mut when = now.as_millisecond().max(newest.map_or(i64::MIN, |newest| newest.saturating_add(1)));
    let entries = document["entries"].as_array();
    let last = entries.and_then(|entries| entries.last());
    let idx =
        last.map_or(0, |last| last["idx"].as_u64().map_or(known.len() as u64, |idx| idx.saturating_add(1)));
    let style = known.last().map_or(Prefix::Index, |last| Prefix::of(&last.tag));
    let mut prefix = style.at(folder, idx, when)?;
    // The last one is not a second old, and has the snapshot of that name.
    while style.tells_time() && known.iter().any(|entry| entry.tag.starts_with(&prefix)) {
        when = when.checked_add(MS_PER_SECOND).ok_or_else(|| no_later(folder))?;
        prefix = style.at(folder, idx, when)?;
    }
    let tag = format!("{prefix}_{slug}");

    let snapshot = next_snapshot(folder, &format!("{tag} {when}"), dialect)?;
    let version = snapshot.get("version").cloned().unwrap_or(Value::Null);
    let file = PathBuf::from(META).join(format!("{prefix}_snapshot.json"));
    let mut files = vec![(folder.fitting(format!("{tag}.sql"))?, SQL.to_owned())];
    // Without a prefix there is one for all, which the tool does not read either.
    if !(prefix.is_empty() && folder.files.exists(&folder.path.join(&file))) {
        files.push((file, pretty(&Value::Object(snapshot))));
    }
    if let Some(entries) = document["entries"].as_array_mut() {
        let breakpoints = entries.last().and_then(|last| last["breakpoints"].as_bool()).unwrap_or(true);
        entries.push(
            json!({ "idx": idx, "version": version, "when": when, "tag": tag, "breakpoints": breakpoints }),
        );
    }
    let written = vec![(PathBuf::from(JOURNAL), pretty(&document))];
    if existing.is_some() {
        return Ok(NewFile { files, rewritten: written });
    }
    files.extend(written);
    Ok(NewFile { files, ..Default::default() })
}

/// A folder of its own, later than all that are there.
pub(super) fn foldered(
    folder: &Folder,
    slug: &str,
    now: Timestamp,
    dialect: Dialect,
) -> Result<NewFile, FormatError> {
    let names = folder.names_so_far()?;
    let newest = names.iter().filter_map(|listed| folders::milliseconds(folders::time(&listed.name)?)).max();
    let when =
        now.as_millisecond().max(newest.map_or(i64::MIN, |newest| newest.saturating_add(MS_PER_SECOND)));
    let name = folder.fitting(format!("{}_{slug}", digits(folder, when)?))?;
    let mut snapshots = Vec::new();
    for listed in &names {
        let file = Folder::listed(&format!("{}/{SNAPSHOT}", listed.name));
        if folder.files.exists(&folder.path.join(&file.file_name)) {
            snapshots.push(object(folder, &file)?);
        }
    }
    let snapshot = following(&snapshots, new_id(&format!("{} {when}", name.display())), dialect);
    Ok(NewFile {
        files: vec![
            (name.join(MIGRATION), SQL.to_owned()),
            (name.join(SNAPSHOT), pretty(&Value::Object(snapshot))),
        ],
        ..Default::default()
    })
}

/// `YYYYMMDDHHMMSS`.
fn digits(folder: &Folder, millis: i64) -> Result<String, FormatError> {
    Timestamp::from_millisecond(millis)
        .map(|at| at.strftime("%Y%m%d%H%M%S").to_string())
        .map_err(|_| no_later(folder))
}

fn no_later(folder: &Folder) -> FormatError {
    folder.wrong_new_name("there is no later time for it than the last migration's")
}

/// The last snapshot of 0.x with its own id, as that of the next migration; an empty one where there is none.
fn next_snapshot(folder: &Folder, seed: &str, dialect: Dialect) -> Result<Map<String, Value>, FormatError> {
    let meta = folder.within(&Folder::listed(META));
    let names = meta.names_so_far()?;
    let (previous, mut rest) = match names.iter().rfind(|listed| !listed.name.starts_with('_')) {
        Some(last) => {
            let mut rest = object(&meta, last)?;
            let previous = rest.get("id").cloned().unwrap_or(Value::Null);
            rest.retain(|key, _| !matches!(key.as_str(), "id" | "prevId"));
            (previous, rest)
        }
        None => (ORIGIN.into(), empty(dialect)),
    };
    rest.insert("_meta".to_owned(), json!({ "columns": {}, "schemas": {}, "tables": {} }));
    let id = new_id(&format!("{previous} {seed}"));
    let mut snapshot = Map::from_iter([("id".to_owned(), id.into()), ("prevId".to_owned(), previous)]);
    snapshot.extend(rest);
    Ok(snapshot)
}

/// What 0.x makes of a schema without anything.
fn empty(dialect: Dialect) -> Map<String, Value> {
    let (version, kinds): (&str, &[&str]) = match dialect {
        Dialect::Postgres => {
            ("7", &["tables", "enums", "schemas", "views", "sequences", "roles", "policies"])
        }
        Dialect::Sqlite => ("6", &["tables", "enums", "views"]),
    };
    [("version".to_owned(), version.into()), ("dialect".to_owned(), named(dialect).into())]
        .into_iter()
        .chain(kinds.iter().map(|kind| ((*kind).to_owned(), json!({}))))
        .collect()
}

/// As 0.x spells it.
fn named(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => "postgresql",
        Dialect::Sqlite => "sqlite",
    }
}

/// The next snapshot of 1.0: from version 9 on what has changed, which is nothing, before that the whole schema again.
fn following(snapshots: &[Map<String, Value>], id: String, dialect: Dialect) -> Map<String, Value> {
    let ids: Vec<&Value> = snapshots.iter().filter_map(|snapshot| snapshot.get("id")).collect();
    let referred: BTreeSet<&str> = snapshots
        .iter()
        .filter_map(|snapshot| snapshot.get("prevIds")?.as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut leaves: Vec<&Value> =
        ids.iter().copied().filter(|id| id.as_str().is_some_and(|id| !referred.contains(id))).collect();
    if leaves.is_empty() {
        leaves.extend(ids.last());
    }
    let Some(last) = snapshots.last() else {
        let first = match dialect {
            Dialect::Postgres => json!({
                "type": "base", "version": "9", "dialect": "postgres", "id": id, "prevIds": [ORIGIN],
                "footprints": [], "ddl": []
            }),
            Dialect::Sqlite => json!({
                "version": "7", "dialect": "sqlite", "id": id, "prevIds": [ORIGIN], "ddl": [], "renames": []
            }),
        };
        return first.as_object().cloned().unwrap_or_default();
    };
    if last.contains_key("type") {
        let diff = json!({
            "type": "diff", "version": last.get("version"), "dialect": last.get("dialect"), "id": id, "prevIds": leaves,
            "footprints": [], "deltas": []
        });
        return diff.as_object().cloned().unwrap_or_default();
    }
    let mut next = last.clone();
    next.insert("id".to_owned(), id.into());
    next.insert("prevIds".to_owned(), json!(leaves));
    next.insert("renames".to_owned(), json!([]));
    next
}

fn object(folder: &Folder, listed: &Listed) -> Result<Map<String, Value>, FormatError> {
    parse(folder.shown(listed), &folder.text(listed)?)
}

/// A UUID that looks like the tool's random ones, and is the same for the same migration.
fn new_id(seed: &str) -> String {
    let hash = hash(seed.as_bytes());
    format!("{}-{}-4{}-8{}-{}", &hash[..8], &hash[8..12], &hash[13..16], &hash[17..20], &hash[20..32])
}

/// As JavaScript's `JSON.stringify(value, null, 2)`.
fn pretty(value: &Value) -> String {
    format!("{value:#}")
}
