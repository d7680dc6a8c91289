//! dbctl's own format.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    Folder, Format, FormatError, FormatErrors, NewFile, Tool,
    detect::{Likeness, Sample},
    listing::{Listed, leading_digits, split_extension, wrong_directive},
};
use crate::{Checksum, Dialect, Directives, History, Migration, Script, Transaction, Version};

/// How many digits a version has: `20260101120000`.
const VERSION_DIGITS: usize = 14;

/// `<UTC 14 digits>_<snake_name>.sql`, and `<same>.down.sql` beside it where the migration can be reverted.
///
/// Every `.sql` file has to fit: a typo in a name must not make a migration vanish. What is no `.sql` file (a README,
/// an editor's backup), directories and dotfiles are passed over. The order is that of the versions, and two files of
/// one version are an error. The 14 digits need not be a date that exists.
struct Native {
    dialect: Dialect,
}

/// Its line in the list of formats.
pub(super) const TOOL: Tool = Tool {
    name: "native",
    options: &[],
    on_sqlite: true,
    check: |_| Ok(()),
    open: |_, options| Box::new(Native { dialect: options.dialect }),
    recognise,
};

/// The names alone; other tools write such names, too.
fn recognise(sample: &Sample) -> Likeness {
    match sample.sql().any(|file| is_stem(file.stem())) {
        true => Likeness::Possible,
        false => Likeness::No,
    }
}

impl Format for Native {
    fn read(&self, folder: &Folder) -> Result<Vec<Migration>, FormatErrors> {
        let names = folder.names().map_err(|error| FormatErrors(vec![error]))?;
        let mut errors = Vec::new();
        let mut units: BTreeMap<String, Unit> = BTreeMap::new();
        for listed in names {
            match place(folder, listed, &mut units) {
                Ok(()) => {}
                Err(error) => errors.push(error),
            }
        }
        let mut migrations: Vec<Migration> = Vec::new();
        for (stem, unit) in units {
            match read_unit(folder, &stem, unit, self.dialect) {
                Ok(migration) => migrations.push(migration),
                Err(error) => errors.push(error),
            }
        }
        // The stems are in byte order, and all versions have one length, so that equal versions are neighbours.
        for pair in migrations.windows(2) {
            if let [first, second] = pair
                && first.version == second.version
            {
                errors.push(FormatError::Duplicate {
                    version: first.version.to_string(),
                    first: first.up.path.clone(),
                    second: second.up.path.clone(),
                });
            }
        }
        if errors.is_empty() { Ok(migrations) } else { Err(FormatErrors(errors)) }
    }

    fn history(&self) -> Option<&dyn History> {
        None
    }

    fn new_file(&self, folder: &Folder, name: &str, now: Timestamp) -> Result<NewFile, FormatError> {
        let slug = snake_case(name);
        if slug.is_empty() {
            return Err(folder.wrong_new_name("a migration needs a name, such as `add users`"));
        }
        let names = folder.names_so_far()?;
        let mut at = now;
        let version = loop {
            let version = at.strftime("%Y%m%d%H%M%S").to_string();
            if !names.iter().any(|listed| leading_digits(&listed.name) == version) {
                break version;
            }
            at = at
                .checked_add(SignedDuration::from_secs(1))
                .map_err(|_| folder.wrong_new_name("there is no free version left"))?;
        };
        // Checked with the longer name, so that the down file fits as well.
        folder.fitting(format!("{version}_{slug}.down.sql"))?;
        let file = folder.fitting(format!("{version}_{slug}.sql"))?;
        let text = format!(
            "-- {slug}\n-- Runs in one transaction. What reverts it goes into {version}_{slug}.down.sql.\n\n"
        );
        Ok(NewFile { files: vec![(file, text)], ..Default::default() })
    }
}

/// The files of one migration.
#[derive(Default)]
struct Unit {
    up: Option<Listed>,
    down: Option<Listed>,
}

/// Sorts a file in, passes it over, or says why it is neither a migration nor something else.
fn place(folder: &Folder, listed: Listed, units: &mut BTreeMap<String, Unit>) -> Result<(), FormatError> {
    let (stem, extension) = split_extension(&listed.name);
    if extension != "sql" || !folder.is_file(&listed)? {
        return Ok(());
    }
    let (stem, is_down) = match stem.strip_suffix(".down") {
        Some(stem) => (stem, true),
        None => (stem, false),
    };
    if !is_stem(stem) || !listed.name.ends_with(".sql") {
        let message = format!(
            "not `<14 digits>_<snake_name>.sql` (or `.down.sql`); {} would fit",
            fitting_name(stem, is_down)
        );
        return Err(folder.wrong_name(&listed, message));
    }
    let unit = units.entry(stem.to_owned()).or_default();
    if is_down {
        unit.down = Some(listed);
    } else {
        unit.up = Some(listed);
    }
    Ok(())
}

/// Whether a file name without its extension is a version, `_` and a name in snake case.
fn is_stem(stem: &str) -> bool {
    let version = leading_digits(stem);
    let name = stem[version.len()..].strip_prefix('_');
    let in_name = |c: char| c == '_' || c.is_alphanumeric() && !c.is_uppercase();
    version.len() == VERSION_DIGITS && name.is_some_and(|name| !name.is_empty() && name.chars().all(in_name))
}

/// The name that a misnamed file was probably meant to have.
fn fitting_name(stem: &str, is_down: bool) -> String {
    let digits = leading_digits(stem);
    let slug = snake_case(&stem[digits.len()..]);
    let version = if digits.len() == VERSION_DIGITS { digits } else { "20260131093000" };
    let slug = if slug.is_empty() { "add_users" } else { &slug };
    format!("`{version}_{slug}{}.sql`", if is_down { ".down" } else { "" })
}

fn read_unit(folder: &Folder, stem: &str, unit: Unit, dialect: Dialect) -> Result<Migration, FormatError> {
    let Some(up) = unit.up else {
        let down = unit.down.unwrap_or_else(|| Listed { name: stem.to_owned(), file_name: stem.into() });
        return Err(folder.wrong_name(&down, format!("there is no `{stem}.sql` that it would revert")));
    };
    let (sql, directives) = read_file(folder, &up, dialect)?;
    let down = match unit.down {
        None => None,
        Some(listed) => {
            let (sql, directives) = read_file(folder, &listed, dialect)?;
            Some(script(folder, &listed, sql, &directives))
        }
    };
    Ok(Migration {
        version: Version::new(leading_digits(stem)),
        name: stem.to_owned(),
        checksum: Checksum::of_text(&sql),
        tool_checksum: None,
        up: script(folder, &up, sql, &directives),
        down,
        directives,
    }
    .reverting())
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

fn script(folder: &Folder, listed: &Listed, sql: String, directives: &Directives) -> Script {
    Script {
        path: folder.shown(listed),
        first_line: 1,
        sql,
        transaction: if directives.no_transaction { Transaction::None } else { Transaction::One },
    }
}

/// `Add Users`, `addUsers` and `add-users!` become `add_users`.
pub(super) fn snake_case(text: &str) -> String {
    let mut slug = String::new();
    let mut after_lower = false;
    for c in text.chars() {
        if !c.is_alphanumeric() {
            after_lower = false;
            if !slug.is_empty() && !slug.ends_with('_') {
                slug.push('_');
            }
            continue;
        }
        if c.is_uppercase() && after_lower {
            slug.push('_');
        }
        after_lower = !c.is_uppercase();
        // Lower case of some letters has combining marks, which no name may hold.
        slug.extend(c.to_lowercase().filter(|lower| lower.is_alphanumeric() && !lower.is_uppercase()));
    }
    slug.truncate(slug.trim_end_matches('_').len());
    slug
}

#[cfg(test)]
mod tests;
