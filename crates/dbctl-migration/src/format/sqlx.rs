//! Migrations of sqlx: `<version>_<description>.sql`, or `.up.sql` with a `.down.sql`.
//!
//! Read as sqlx 0.8 and 0.9 read them; where dbctl is kinder or stricter than the tool:
//!
//! - The version is a whole number and the key: `0001_a.sql` is version 1. The tool pairs `.up.sql` and `.down.sql` by
//!   it alone, and so does dbctl. A `.sql` file with a `_` whose beginning is no number is an error to both.
//! - Two files of one version and direction are an error; the tool finds out when it records the second.
//! - A down file whose up file is gone has nothing that it could revert, and is passed over.
//! - `-- no-transaction` counts as the very first bytes of the file only: behind a byte order mark or a header it is a
//!   comment, and dbctl's own `-- dbctl:no-transaction` is there for that. The tool sends such a file as one query,
//!   dbctl statement by statement.
//! - `sqlx.toml` beside the folder or above it is read for the name of the table and what its checksums leave out.

mod config;
mod history;
mod surroundings;

use std::{collections::BTreeMap, path::PathBuf};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha384};

use self::{config::Config, history::SqlxMigrations, surroundings::uses_sqlx};
use super::{
    Folder, Format, FormatError, FormatErrors, NewFile, Tool,
    detect::{Likeness, Sample},
    listing::{Listed, wrong_directive},
};
use crate::{Checksum, Dialect, Directives, History, Migration, Script, ToolChecksum, Transaction, Version};

/// What a file starts with that the tool runs outside a transaction.
const NO_TRANSACTION: &[u8] = b"-- no-transaction";

/// Beginnings of lines by which other tools mark up files of the same names.
const FOREIGN_MARKS: [&str; 2] = ["-- migrate:up", "-- +goose "];

/// Its line in the list of formats.
pub(super) const TOOL: Tool = Tool {
    name: "sqlx",
    options: &["schema", "table"],
    on_sqlite: true,
    check: |_| Ok(()),
    open: |folder, options| {
        // What is wrong with it is told when the folder is read.
        let config = Config::around(folder).unwrap_or_default();
        Box::new(Sqlx { history: SqlxMigrations::new(options, &config), dialect: options.dialect })
    },
    recognise,
};

/// Other tools write such names, too; that a Rust project with sqlx lies around them tells. A misnamed file among them
/// is told when they are read.
fn recognise(sample: &Sample) -> Likeness {
    let fits = sample.files().any(|file| Name::parse(file.name()).is_some_and(|name| name.is_ok()));
    let foreign = sample.sql().any(|file| file.has_line_starting(&FOREIGN_MARKS));
    match fits && !foreign && uses_sqlx(sample.path()) {
        true => Likeness::Sure,
        false => Likeness::No,
    }
}

struct Sqlx {
    history: SqlxMigrations,
    dialect: Dialect,
}

/// What a file's name means to the tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name<'n> {
    version: i64,
    kind: Kind,
    /// What stands between the version's `_` and the suffix.
    description: &'n str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Simple,
    Up,
    Down,
}

impl Kind {
    fn suffix(self) -> &'static str {
        match self {
            Self::Simple => ".sql",
            Self::Up => ".up.sql",
            Self::Down => ".down.sql",
        }
    }
}

impl<'n> Name<'n> {
    /// `None` for what the tool ignores, an error for what it refuses.
    fn parse(name: &'n str) -> Option<Result<Self, String>> {
        let (number, rest) = name.split_once('_')?;
        let kind =
            [Kind::Up, Kind::Down, Kind::Simple].into_iter().find(|kind| rest.ends_with(kind.suffix()))?;
        let description = rest.trim_end_matches(kind.suffix());
        Some(match number.parse() {
            Ok(version) => Ok(Self { version, kind, description }),
            Err(_) => Err(format!(
                "sqlx fails here, since `{number}` is no whole number (up to {}): name it like `0001_users.sql`, or \
                 move it out of the folder if it is no migration",
                i64::MAX
            )),
        })
    }
}

/// The files of one version.
#[derive(Default)]
struct Unit {
    up: Option<Part>,
    down: Option<Part>,
}

struct Part {
    listed: Listed,
    kind: Kind,
}

impl Format for Sqlx {
    fn read(&self, folder: &Folder) -> Result<Vec<Migration>, FormatErrors> {
        let config = Config::around(folder).map_err(|error| FormatErrors(vec![error]))?;
        let names = folder.names().map_err(|error| FormatErrors(vec![error]))?;
        let mut errors = Vec::new();
        let mut units: BTreeMap<i64, Unit> = BTreeMap::new();
        for listed in names {
            if let Err(error) = place(folder, listed, &mut units) {
                errors.push(error);
            }
        }
        let mut migrations = Vec::with_capacity(units.len());
        for (version, unit) in units {
            let Some(up) = unit.up else { continue };
            match self.read_unit(folder, version, &up, unit.down.as_ref(), &config) {
                Ok(migration) => migrations.push(migration),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(migrations) } else { Err(FormatErrors(errors)) }
    }

    fn history(&self) -> Option<&dyn History> {
        Some(&self.history)
    }

    /// As `sqlx migrate add` names and fills them: reversible where the first migration is, in sequence where the last
    /// two are.
    fn new_file(&self, folder: &Folder, name: &str, now: Timestamp) -> Result<NewFile, FormatError> {
        let slug = folder.slug(name, '_')?;
        if slug.is_empty() {
            return Err(folder.wrong_new_name("a migration needs a name, such as `add users`"));
        }
        let listed = folder.names_so_far()?;
        let mut known: Vec<(i64, Kind)> = listed
            .iter()
            .filter_map(|listed| Name::parse(&listed.name)?.ok())
            .map(|name| (name.version, name.kind))
            .collect();
        known.sort_unstable();
        let prefix = new_prefix(folder, &known, now)?;
        let reversible = known.first().is_some_and(|(_, kind)| *kind != Kind::Simple);
        let file = |kind: Kind, text: &str| {
            Ok((folder.fitting(format!("{prefix}_{slug}{}", kind.suffix()))?, text.to_owned()))
        };
        let files = if reversible {
            vec![
                file(Kind::Up, "-- Add up migration script here\n")?,
                file(Kind::Down, "-- Add down migration script here\n")?,
            ]
        } else {
            vec![file(Kind::Simple, "-- Add migration script here\n")?]
        };
        Ok(NewFile { files, ..Default::default() })
    }
}

/// The next number after those in use, which are in order.
fn new_prefix(folder: &Folder, known: &[(i64, Kind)], now: Timestamp) -> Result<String, FormatError> {
    let ups: Vec<i64> =
        known.iter().filter(|(_, kind)| *kind != Kind::Down).map(|(version, _)| *version).collect();
    let next = match ups.as_slice() {
        [.., before, last] if last.checked_sub(*before) == Some(1) => last.checked_add(1),
        [last] if matches!(last, 0 | 1) => Some(last + 1),
        _ => None,
    };
    if let Some(next) = next {
        return Ok(format!("{next:04}"));
    }
    let mut at = now;
    loop {
        let prefix = at.strftime("%Y%m%d%H%M%S").to_string();
        if !known.iter().any(|(version, _)| version.to_string() == prefix) {
            return Ok(prefix);
        }
        at = at
            .checked_add(SignedDuration::from_secs(1))
            .map_err(|_| folder.wrong_new_name("there is no free version left"))?;
    }
}

/// Sorts a file in, passes it over as the tool does, or says why it stops the tool as well.
fn place(folder: &Folder, listed: Listed, units: &mut BTreeMap<i64, Unit>) -> Result<(), FormatError> {
    let Some(name) = Name::parse(&listed.name) else { return Ok(()) };
    if !folder.is_file(&listed)? {
        return Ok(());
    }
    let Name { version, kind, .. } = name.map_err(|message| folder.wrong_name(&listed, message))?;
    let unit = units.entry(version).or_default();
    let part = match kind {
        Kind::Simple | Kind::Up => &mut unit.up,
        Kind::Down => &mut unit.down,
    };
    if let Some(first) = part {
        return Err(FormatError::Duplicate {
            version: version.to_string(),
            first: folder.shown(&first.listed),
            second: folder.shown(&listed),
        });
    }
    *part = Some(Part { listed, kind });
    Ok(())
}

impl Sqlx {
    fn read_unit(
        &self,
        folder: &Folder,
        version: i64,
        up: &Part,
        down: Option<&Part>,
        config: &Config,
    ) -> Result<Migration, FormatError> {
        let stem = up.listed.name.trim_end_matches(up.kind.suffix());
        let (bytes, sql) = folder.bytes_and_text(&up.listed)?;
        let (script, directives) = self.script(folder, &up.listed, &bytes, sql)?;
        let down = match down {
            None => None,
            Some(part) => {
                let (bytes, sql) = folder.bytes_and_text(&part.listed)?;
                Some(self.script(folder, &part.listed, &bytes, sql)?.0)
            }
        };
        Ok(Migration {
            version: Version::new(version.to_string()),
            name: stem.to_owned(),
            checksum: Checksum::of_text(&script.sql),
            tool_checksum: Some(ToolChecksum::of(&bytes, |bytes| sha384(&config.hashed(bytes)))),
            up: script,
            down,
            directives,
        }
        .reverting())
    }

    fn script(
        &self,
        folder: &Folder,
        listed: &Listed,
        bytes: &[u8],
        sql: String,
    ) -> Result<(Script, Directives), FormatError> {
        let path: PathBuf = folder.shown(listed);
        let directives = Directives::parse_as(&sql, self.dialect).map_err(wrong_directive(path.clone()))?;
        let alone = bytes.starts_with(NO_TRANSACTION) || directives.no_transaction;
        let transaction = if alone { Transaction::None } else { Transaction::One };
        Ok((Script { path, first_line: 1, sql, transaction }, directives))
    }
}

fn sha384(bytes: &[u8]) -> String {
    Sha384::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the tool records as the description of a migration of that name.
fn description(name: &str) -> String {
    name.split_once('_').map_or("", |(_, rest)| rest).replace('_', " ")
}

#[cfg(test)]
mod tests;
