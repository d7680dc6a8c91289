//! Migrations of a runner that somebody wrote themselves: SQL files with a number in their names, and a table of names.
//!
//! What the runner does is not known, so that only what all of them have in common is taken for granted, and the
//! manifest says the rest:
//!
//! - `pattern` says how files are named; they run in the order of their numbers, group by group, and by name where
//!   those are equal.
//! - A `.sql` file that does not fit is an error where its name looks like a mistyped one, and passed over where it does
//!   not: `data_users.sql` beside `001_users.sql` is a helper, `O02_roles.sql` is not. Where no file fits, the pattern
//!   itself is wrong.
//! - `x.down.sql`, or a file of the same name in the folder `down`, reverts `x.sql`. `x.up.sql` is `x.sql`.
//! - The table is the truth: what it holds of a migration is recognised in several spellings ([`history`]).

mod history;
mod naming;
mod pattern;

use std::{collections::BTreeMap, path::PathBuf};

use jiff::Timestamp;

use self::{
    history::{CustomOnSqlite, CustomTable, Records},
    pattern::{Parts, Pattern, compare},
};
use super::{
    Folder, Format, FormatError, FormatErrors, NewFile, OptionError, SourceOptions, Tool,
    detect::Likeness,
    listing::{Listed, split_extension, wrong_directive},
};
use crate::{
    Checksum, Dialect, Directives, History, Migration, Script, Transaction, Version, ident::check_ident,
};

/// The folder that may hold the files that revert.
const DOWN: &str = "down";

/// How many files an error lists of a folder in which none fits.
const LISTED_FILES: usize = 3;

/// Its line in the list of formats.
pub(super) const TOOL: Tool = Tool {
    name: "custom",
    options: &["schema", "table", "pattern", "name_column", "applied_column", "records"],
    on_sqlite: true,
    check,
    open: |_, options| {
        let pattern = options.pattern.as_deref().unwrap_or(pattern::DEFAULT);
        let pattern = Pattern::parse(pattern).expect("the options have been checked");
        let dialect = options.dialect;
        let history: Box<dyn History> = match dialect {
            Dialect::Postgres => Box::new(CustomTable::new(options, pattern.clone())),
            Dialect::Sqlite => Box::new(CustomOnSqlite::new(options, pattern.clone())),
        };
        Box::new(Custom { history, pattern, dialect })
    },
    // Whose runner it is, only people know.
    recognise: |_| Likeness::No,
};

fn check(options: &SourceOptions) -> Result<(), OptionError> {
    Pattern::parse(options.pattern.as_deref().unwrap_or(pattern::DEFAULT))?;
    let wrong = |option, message: String, hint: String| {
        Err(OptionError { option, part: None, message, hint: Some(hint) })
    };
    let Some(table) = &options.table else {
        let message = "the format `custom` needs `table`: a wrong guess would run every migration again";
        return wrong(
            "table",
            message.to_owned(),
            "name the table in which the runner keeps what it has applied".to_owned(),
        );
    };
    if let Some((schema, table)) = table.split_once('.').filter(|_| options.schema.is_none()) {
        let message = "a table's name holds no schema here".to_owned();
        return wrong("table", message, format!("write `schema: {schema}, table: {table}`"));
    }
    if let Some(records) = options.records.as_deref().filter(|records| Records::parse(records).is_none()) {
        let message = format!("`{records}` is nothing that a row could hold of a migration");
        return wrong("records", message, "write `name`, `file` or `version`".to_owned());
    }
    for (option, column) in
        [("name_column", &options.name_column), ("applied_column", &options.applied_column)]
    {
        if let Some(Err(error)) = column.as_deref().map(check_ident) {
            return wrong(
                option,
                format!("the column cannot be used: {error}"),
                "name a column of the table".to_owned(),
            );
        }
    }
    Ok(())
}

struct Custom {
    history: Box<dyn History>,
    pattern: Pattern,
    dialect: Dialect,
}

/// The files of one migration, by the names they have in the folder.
#[derive(Default)]
struct Unit {
    up: Option<Listed>,
    down: Option<(Folder, Listed)>,
}

impl Format for Custom {
    fn read(&self, folder: &Folder) -> Result<Vec<Migration>, FormatErrors> {
        let names = folder.names().map_err(|error| FormatErrors(vec![error]))?;
        let mut errors = Vec::new();
        let units = self.units(folder, names, &mut errors);
        let mut migrations = Vec::with_capacity(units.len());
        for (stem, unit) in units {
            match self.read_unit(folder, &stem, unit) {
                Ok(migration) => migrations.push(migration),
                Err(error) => errors.push(error),
            }
        }
        migrations.sort_by(|a, b| {
            compare(a.version.as_str(), b.version.as_str()).then_with(|| a.name.cmp(&b.name))
        });
        if errors.is_empty() { Ok(migrations) } else { Err(FormatErrors(errors)) }
    }

    fn history(&self) -> Option<&dyn History> {
        Some(&*self.history)
    }

    fn new_file(&self, folder: &Folder, name: &str, now: Timestamp) -> Result<NewFile, FormatError> {
        naming::new_file(&self.pattern, folder, name, now)
    }
}

impl Custom {
    /// Puts files together that are one migration, and says what is wrong with the others.
    fn units(
        &self,
        folder: &Folder,
        names: Vec<Listed>,
        errors: &mut Vec<FormatError>,
    ) -> BTreeMap<String, Unit> {
        let mut units: BTreeMap<String, Unit> = BTreeMap::new();
        let mut downs = Vec::new();
        let mut helpers = Vec::new();
        for listed in names {
            if listed.name == DOWN && folder.files.is_dir(&folder.path.join(DOWN)) {
                match self.down_folder(&folder.within(&listed)) {
                    Ok(found) => downs.extend(found),
                    Err(error) => errors.push(error),
                }
                continue;
            }
            let (stem, extension) = split_extension(&listed.name);
            if extension != "sql" {
                continue;
            }
            match folder.is_file(&listed) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            }
            let (stem, is_down) = match stem.strip_suffix(".down") {
                Some(stem) => (self.up_stem(stem), true),
                None => (self.up_stem(stem), false),
            };
            if !listed.name.ends_with(".sql") || self.pattern.parts(&stem).is_none() {
                if self.pattern.is_near(&stem) {
                    errors.push(self.misnamed(folder, &listed))
                } else {
                    helpers.push(listed)
                }
            } else if is_down {
                downs.push((stem, folder.clone(), listed));
            } else if let Some(first) = &units.entry(stem.clone()).or_default().up {
                let (first, second) = (folder.shown(first), folder.shown(&listed));
                errors.push(FormatError::Duplicate { version: stem, first, second });
            } else {
                units.entry(stem).or_default().up = Some(listed);
            }
        }
        if units.is_empty() && errors.is_empty() && !helpers.is_empty() {
            errors.push(self.none_fits(folder, &helpers));
        }
        for (stem, at, listed) in downs {
            match units.get_mut(&stem) {
                Some(Unit { down: down @ None, .. }) => *down = Some((at, listed)),
                Some(Unit { down: Some((first_at, first)), .. }) => {
                    let (first, second) = (first_at.shown(first), at.shown(&listed));
                    errors.push(FormatError::Duplicate { version: stem, first, second });
                }
                None => errors
                    .push(at.wrong_name(&listed, format!("there is no `{stem}.sql` that it would revert"))),
            }
        }
        units
    }

    /// The SQL files in the folder `down` that fit the pattern; whatever else is there reverts nothing.
    fn down_folder(&self, down: &Folder) -> Result<Vec<(String, Folder, Listed)>, FormatError> {
        let mut found = Vec::new();
        for listed in down.names()? {
            let Some(stem) = listed.name.strip_suffix(".sql") else { continue };
            let stem = self.up_stem(stem.strip_suffix(".down").unwrap_or(stem));
            if self.pattern.parts(&stem).is_some() && down.is_file(&listed)? {
                found.push((stem, down.clone(), listed));
            }
        }
        Ok(found)
    }

    /// A stem as the pattern has it: `001_a.up` is `001_a`, unless the pattern itself has an `.up`, which a file that
    /// reverts then does without.
    fn up_stem(&self, stem: &str) -> String {
        let bare = stem.strip_suffix(".up").unwrap_or(stem);
        if self.pattern.as_str().ends_with(".up.sql") { format!("{bare}.up") } else { bare.to_owned() }
    }

    fn misnamed(&self, folder: &Folder, listed: &Listed) -> FormatError {
        let pattern = self.pattern.as_str();
        let message = format!(
            "not `{pattern}`, though it looks like one: rename it, or move it out of the folder if it is no migration"
        );
        folder.wrong_name(listed, message)
    }

    fn none_fits(&self, folder: &Folder, helpers: &[Listed]) -> FormatError {
        let names: Vec<_> =
            helpers.iter().take(LISTED_FILES).map(|listed| format!("`{}`", listed.name)).collect();
        let more = if helpers.len() > LISTED_FILES { ", …" } else { "" };
        let pattern = self.pattern.as_str();
        folder.wrong_new_name(format!(
            "none of its .sql files fits the pattern `{pattern}`: {}{more}",
            names.join(", ")
        ))
    }

    fn read_unit(&self, folder: &Folder, stem: &str, unit: Unit) -> Result<Migration, FormatError> {
        let up = unit.up.expect("a unit is made for a file that applies");
        let Parts { version, .. } = self.pattern.parts(stem).expect("only what fits is a unit");
        let (sql, directives) = read_file(folder, &up, self.dialect)?;
        let down = match unit.down {
            None => None,
            Some((folder, listed)) => {
                let (sql, directives) = read_file(&folder, &listed, self.dialect)?;
                Some(script(folder.shown(&listed), sql, &directives))
            }
        };
        Ok(Migration {
            version: Version::new(version),
            name: stem.to_owned(),
            checksum: Checksum::of_text(&sql),
            tool_checksum: None,
            up: script(folder.shown(&up), sql, &directives),
            down,
            directives,
        }
        .reverting())
    }
}

fn read_file(
    folder: &Folder,
    listed: &Listed,
    dialect: Dialect,
) -> Result<(String, Directives), FormatError> {
    let sql = folder.text(listed)?;
    let directives = Directives::parse_as(&sql, dialect).map_err(wrong_directive(folder.shown(listed)))?;
    Ok((sql, directives))
}

fn script(path: PathBuf, sql: String, directives: &Directives) -> Script {
    let transaction = if directives.no_transaction { Transaction::None } else { Transaction::One };
    Script { path, first_line: 1, sql, transaction }
}

#[cfg(test)]
mod tests;
