//! SQL files of node-pg-migrate.
//!
//! Read as node-pg-migrate 9 reads them; 7 and 8 differ only for names whose number is not followed by `_`. What a
//! file name means, and where dbctl is kinder or stricter than the tool:
//!
//! - The number a name starts with orders the files: 17 digits are a UTC date, others a number.
//! - JavaScript and TypeScript files are migrations to the tool, and so is an `.sql` file without a number to its
//!   older versions: both are errors here, since passing them over would leave a hole in the middle of the schema.
//! - At any other file (a README, an editor's backup) the tool fails; dbctl passes it over.
//! - The default loader takes `x.up.sql` and `x.down.sql` for two migrations and runs both, one undoing the other.
//!   Nobody can want that, so a folder with a `.down.sql` file is read the way of the tool's other loader (`sql`,
//!   from 9 on): the two are one migration, recorded as `x`. A folder with `.up.sql` files alone is read as by the
//!   default loader, which records `x.up`.

mod history;
mod markers;
mod order;

use std::{collections::BTreeMap, ops::Range, path::PathBuf};

use jiff::{SignedDuration, Timestamp};

use self::{
    history::PgMigrations,
    markers::{Sections, has_markers, sections},
    order::SortKey,
};
use super::{
    Folder, Format, FormatError, FormatErrors, NewFile, Tool,
    detect::{Likeness, Sample},
    listing::{Listed, leading_digits, split_extension, wrong_directive},
};
use crate::{Checksum, Directives, History, Migration, Script, Transaction, Version, text};

/// `templates/migration-template.sql` of the tool, versions 7 to 9, with an end to its last line: what is appended to it
/// would be part of the marker.
const TEMPLATE: &str = "-- Up Migration\n\n-- Down Migration\n";

/// The longest number that is an index (`0001`) and not a time.
const MAX_INDEX_DIGITS: usize = 4;

/// Its line in the list of formats.
pub(super) const TOOL: Tool = Tool {
    name: "node-pg-migrate",
    options: &["schema", "table"],
    on_sqlite: false,
    check: |_| Ok(()),
    open: |_, options| Box::new(NodePgMigrate { history: PgMigrations::new(options) }),
    recognise,
};

/// Its markers tell for sure that reading the folder otherwise would run down parts with up parts; a number of 13 or
/// 17 digits is written by no other tool.
fn recognise(sample: &Sample) -> Likeness {
    let names = |stem: &str| matches!(leading_digits(stem).len(), 13 | 17);
    let scripts = sample.files().any(|file| is_script(file.extension()) && names(file.stem()));
    let marked = sample.sql().any(|file| !leading_digits(file.stem()).is_empty() && has_markers(file.text()));
    match marked || scripts || sample.sql().any(|file| names(file.stem())) {
        true => Likeness::Possible,
        false => Likeness::No,
    }
}

struct NodePgMigrate {
    history: PgMigrations,
}

impl Format for NodePgMigrate {
    fn read(&self, folder: &Folder) -> Result<Vec<Migration>, FormatErrors> {
        let names = folder.names().map_err(|error| FormatErrors(vec![error]))?;
        let mut errors = Vec::new();
        let mut files = Vec::new();
        for listed in names {
            match sql_file(folder, listed) {
                Ok(Some(file)) => files.push(file),
                Ok(None) => {}
                Err(error) => errors.push(error),
            }
        }
        files.sort_by(|a, b| a.key.cmp(&b.key));
        let mut migrations = Vec::with_capacity(files.len());
        for result in units(folder, files).into_iter().map(|unit| read_unit(folder, unit?)) {
            match result {
                Ok(migration) => migrations.push(migration),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(migrations) } else { Err(FormatErrors(errors)) }
    }

    fn history(&self) -> Option<&dyn History> {
        Some(&self.history)
    }

    fn new_file(&self, folder: &Folder, name: &str, now: Timestamp) -> Result<NewFile, FormatError> {
        let slug = folder.slug(name, '-')?;
        if slug.is_empty() {
            return Err(folder.wrong_new_name("a migration needs a name, such as `add users`"));
        }
        let prefix = new_prefix(folder, now)?;
        let file = folder.fitting(format!("{prefix}_{slug}.sql"))?;
        Ok(NewFile { files: vec![(file, TEMPLATE.to_owned())], ..Default::default() })
    }
}

/// An `.sql` file with its place in the order.
struct SqlFile {
    listed: Listed,
    key: SortKey,
}

impl SqlFile {
    fn stem(&self) -> &str {
        split_extension(&self.listed.name).0
    }
}

/// Whether the tool runs files of this extension (in lower case) as programs.
fn is_script(extension: &str) -> bool {
    language(extension).is_some()
}

fn language(extension: &str) -> Option<&'static str> {
    match extension {
        "js" | "cjs" | "mjs" => Some("JavaScript"),
        "ts" | "cts" | "mts" => Some("TypeScript"),
        _ => None,
    }
}

/// The file if it is a migration, nothing if the tool has no way to run it, an error if only the tool can.
fn sql_file(folder: &Folder, listed: Listed) -> Result<Option<SqlFile>, FormatError> {
    let (_, extension) = split_extension(&listed.name);
    let language = language(&extension);
    if extension != "sql" && language.is_none() {
        return Ok(None);
    }
    if !folder.is_file(&listed)? {
        return Ok(None);
    }
    if let Some(language) = language {
        let message = format!(
            "node-pg-migrate runs this {language} file as a migration, dbctl runs SQL only: write it as SQL, or \
             move it out of the folder if it is none"
        );
        return Err(folder.wrong_name(&listed, message));
    }
    if listed.name.contains(char::REPLACEMENT_CHARACTER) {
        return Err(folder.wrong_name(&listed, "the name is not UTF-8, so it cannot be recorded"));
    }
    match SortKey::of(&listed.name) {
        Ok(key) => Ok(Some(SqlFile { listed, key })),
        Err(message) => Err(folder.wrong_name(&listed, message)),
    }
}

/// The files of one migration.
struct Unit {
    name: String,
    up: Listed,
    down: Option<Listed>,
    /// Whether the markers inside the file count.
    has_sections: bool,
}

/// Puts files together that are one migration; `files` are in order, and so are the units.
fn units(folder: &Folder, files: Vec<SqlFile>) -> Vec<Result<Unit, FormatError>> {
    let paired = files.iter().any(|file| file.stem().ends_with(".down"));
    let mut downs: BTreeMap<String, Listed> = BTreeMap::new();
    let mut ups = Vec::new();
    for file in files {
        match file.stem().strip_suffix(".down").map(str::to_owned) {
            Some(name) => {
                downs.insert(name, file.listed);
            }
            None => ups.push(file),
        }
    }
    let mut units: Vec<Result<Unit, FormatError>> = Vec::new();
    let mut taken: BTreeMap<String, PathBuf> = BTreeMap::new();
    for file in ups {
        let up_of = file.stem().strip_suffix(".up").filter(|_| paired).map(str::to_owned);
        let has_sections = up_of.is_none();
        let name = up_of.unwrap_or_else(|| file.stem().to_owned());
        let path = folder.shown(&file.listed);
        if let Some(first) = taken.insert(name.clone(), path.clone()) {
            units.push(Err(FormatError::Duplicate { version: name, first, second: path }));
            continue;
        }
        // A `.down.sql` beside a file without `.up` stays behind, and is told below.
        let down = if has_sections { None } else { downs.remove(&name) };
        units.push(Ok(Unit { name, up: file.listed, down, has_sections }));
    }
    units.extend(downs.into_iter().map(|(name, down)| {
        Err(folder.wrong_name(
            &down,
            format!(
                "there is no `{name}.up.sql` that it would revert, and node-pg-migrate would run it as a migration"
            ),
        ))
    }));
    units
}

fn read_unit(folder: &Folder, unit: Unit) -> Result<Migration, FormatError> {
    let path = folder.shown(&unit.up);
    let whole = folder.text(&unit.up)?;
    let wrong = || wrong_directive(path.clone());
    let version = Version::new(leading_digits(&unit.name));
    let checksum = Checksum::of_text(&whole);
    if !unit.has_sections {
        let directives = Directives::parse(&whole).map_err(wrong())?;
        let down = unit.down.map(|listed| down_file(folder, &listed)).transpose()?.flatten();
        let up = script(path, 1, whole, directives.no_transaction);
        return Ok(Migration {
            version,
            name: unit.name,
            up,
            down,
            checksum,
            tool_checksum: None,
            directives,
        }
        .reverting());
    }
    let Sections { up, down } = sections(&whole);
    // What stands above the sections belongs to both of them.
    let above = up.start.min(down.as_ref().map_or(up.start, |down| down.start));
    let header = Directives::parse(&whole[..above]).map_err(wrong())?;
    // Where the up marker is missing, the up part is the whole file, with the top of the down part in its middle.
    let up_speaks_until = down.as_ref().map(|down| down.start).filter(|down| up.contains(down));
    let part = |range: &Range<usize>, speaks_until: usize| {
        let first_line = text::position(&whole, range.start).line;
        let own = Directives::parse(&whole[range.start..speaks_until]).map_err(|mut error| {
            error.line += first_line - 1;
            wrong()(error)
        })?;
        let directives = header.clone().and(own.below(first_line - 1));
        let sql = whole[range.clone()].to_owned();
        let script = script(path.clone(), first_line, sql, directives.no_transaction);
        Ok((script, directives))
    };
    let (up, directives) = part(&up, up_speaks_until.unwrap_or(up.end))?;
    let down = down.as_ref().map(|down| part(down, down.end)).transpose()?.map(|(script, _)| script);
    Ok(Migration { version, name: unit.name, up, down, checksum, tool_checksum: None, directives }
        .reverting())
}

/// The down part of a pair; the tool takes an empty file for none.
fn down_file(folder: &Folder, listed: &Listed) -> Result<Option<Script>, FormatError> {
    let path = folder.shown(listed);
    let sql = folder.text(listed)?;
    let directives = Directives::parse(&sql).map_err(wrong_directive(path.clone()))?;
    Ok((!sql.is_empty()).then(|| script(path, 1, sql, directives.no_transaction)))
}

fn script(path: PathBuf, first_line: usize, sql: String, no_transaction: bool) -> Script {
    let transaction = if no_transaction { Transaction::None } else { Transaction::One };
    Script { path, first_line, sql, transaction }
}

/// The next number in the style of the folder's last file: an index, a UTC date of 14 or 17 digits, else what the
/// tool writes by default, milliseconds since 1970. A new file sorts last only in the style of those before it.
fn new_prefix(folder: &Folder, now: Timestamp) -> Result<String, FormatError> {
    let mut files: Vec<(SortKey, String)> = folder
        .names_so_far()?
        .into_iter()
        .filter(|listed| split_extension(&listed.name).1 == "sql")
        .filter_map(|listed| Some((SortKey::of(&listed.name).ok()?, leading_digits(&listed.name).to_owned())))
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    let digits = files.last().map_or(0, |(_, prefix)| prefix.len());
    if (1..=MAX_INDEX_DIGITS).contains(&digits) {
        let next = files.last().and_then(|(_, prefix)| prefix.parse::<u32>().ok()).map_or(1, |last| last + 1);
        return Ok(format!("{next:0digits$}"));
    }
    let (style, step) = match digits {
        14 => ("%Y%m%d%H%M%S", SignedDuration::from_secs(1)),
        17 => ("%Y%m%d%H%M%S%3f", SignedDuration::from_millis(1)),
        _ => ("", SignedDuration::from_millis(1)),
    };
    let mut at = now;
    loop {
        let prefix =
            if style.is_empty() { at.as_millisecond().to_string() } else { at.strftime(style).to_string() };
        if !files.iter().any(|(_, taken)| *taken == prefix) {
            return Ok(prefix);
        }
        at = at.checked_add(step).map_err(|_| folder.wrong_new_name("there is no free version left"))?;
    }
}

#[cfg(test)]
mod tests;
