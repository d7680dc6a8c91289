//! Migrations of the Supabase CLI: `supabase/migrations/<version>_<name>.sql`, forwards only.
//!
//! Read as its versions 2 and 3 read them; where they differ, or dbctl is kinder or stricter than the tool:
//!
//! - Files apply in the order of their versions, compared as text; up to 2.109 it was that of the file names.
//!   The two differ only where one version is the beginning of another (`1_z.sql` and `10_a.sql`).
//! - Two files of one version are an error: the tool runs the second, too, and then fails with a duplicate key.
//! - Whatever is not named like that the tool passes over with a message, and dbctl without one.
//! - `<14 digits>_init.sql` from before December 2021 is passed over where it is the first entry of the folder. A dotfile
//!   or a folder that sorts before it counts as an entry.
//! - `-- pg-delta: transaction=false` as the first line, which versions 3 know, runs the file outside a transaction.
//! - There is no way back: `supabase migration down` makes an empty database and runs the migrations up to a version, so
//!   that all data is lost. dbctl never does that.
//! - The tool refuses to run files that come late, and to run anything where a recorded version has no file; dbctl warns.

mod history;
mod statements;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use self::history::SchemaMigrations;
use super::{
    Folder, Format, FormatError, FormatErrors, NewFile, Tool,
    detect::{Likeness, Sample},
    listing::{Listed, leading_digits, wrong_directive},
};
use crate::{Checksum, Directives, History, Migration, Script, Transaction, Version};

/// The first line of a file that runs outside a transaction.
const NO_TRANSACTION: &str = "-- pg-delta: transaction=false";

/// How many digits a version made of a time has.
const TIME_DIGITS: usize = 14;

/// `<version>_init.sql` of a version before this one was written by the tool itself.
const FIRST_OWN_VERSION: &str = "20211209000000";

/// Its line in the list of formats.
pub(super) const TOOL: Tool = Tool {
    name: "supabase",
    options: &[],
    on_sqlite: false,
    check: |_| Ok(()),
    open: |_, _| Box::new(Supabase { history: SchemaMigrations::new() }),
    recognise,
};

/// The tool knows one place for its files; many others name theirs alike.
fn recognise(sample: &Sample) -> Likeness {
    let path = std::path::absolute(sample.path()).unwrap_or_else(|_| sample.path().to_owned());
    let parent = path.parent();
    let is_named = |name: &str| path.ends_with(name);
    let has_config = || {
        let config = parent.and_then(|parent| std::fs::read_to_string(parent.join("config.toml")).ok());
        let is_id = |line: &str| line.split_once('=').is_some_and(|(key, _)| key.trim() == "project_id");
        config.is_some_and(|config| config.lines().any(is_id))
    };
    let fits = sample.files().any(|file| split(file.name()).is_some());
    match fits && (is_named("supabase/migrations") || has_config()) {
        true => Likeness::Sure,
        false => Likeness::No,
    }
}

/// The version and the name of a migration's file.
fn split(file_name: &str) -> Option<(&str, &str)> {
    let version = leading_digits(file_name);
    let name = file_name[version.len()..].strip_prefix('_')?.strip_suffix(".sql")?;
    (!version.is_empty()).then_some((version, name))
}

/// Whether the tool passes a file over that is the first entry of its folder.
fn is_init(file_name: &str) -> bool {
    let digits_before = |at: usize| {
        let before = &file_name.as_bytes()[..at];
        let digits = before.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        (digits >= TIME_DIGITS).then(|| &file_name[at - TIME_DIGITS..at])
    };
    let found = file_name.match_indices("_init.sql").find_map(|(at, _)| digits_before(at));
    found.is_some_and(|version| version < FIRST_OWN_VERSION)
}

struct Supabase {
    history: SchemaMigrations,
}

impl Format for Supabase {
    fn read(&self, folder: &Folder) -> Result<Vec<Migration>, FormatErrors> {
        let names = folder.names().map_err(|error| FormatErrors(vec![error]))?;
        let skipped =
            first_entry(folder).map_err(|error| FormatErrors(vec![error]))?.filter(|name| is_init(name));
        let mut errors = Vec::new();
        let mut migrations: BTreeMap<String, Migration> = BTreeMap::new();
        for listed in names.into_iter().filter(|listed| Some(&listed.name) != skipped.as_ref()) {
            let Some((version, _)) = split(&listed.name) else { continue };
            let read = match folder.is_file(&listed) {
                Ok(true) => match migrations.get(version) {
                    None => read_file(folder, &listed, version),
                    Some(first) => Err(FormatError::Duplicate {
                        version: version.to_owned(),
                        first: first.up.path.clone(),
                        second: folder.shown(&listed),
                    }),
                },
                Ok(false) => continue,
                Err(error) => Err(error),
            };
            match read {
                Ok(migration) => {
                    migrations.insert(version.to_owned(), migration);
                }
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(migrations.into_values().collect()) } else { Err(FormatErrors(errors)) }
    }

    fn history(&self) -> Option<&dyn History> {
        Some(&self.history)
    }

    /// Empty, as `supabase migration new` makes it.
    fn new_file(&self, folder: &Folder, name: &str, now: Timestamp) -> Result<NewFile, FormatError> {
        let slug = folder.slug(name, '_')?;
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
        let file = folder.fitting(format!("{version}_{slug}.sql"))?;
        Ok(NewFile { files: vec![(file, String::new())], ..Default::default() })
    }
}

/// The name that sorts first of all there is, dotfiles and folders as well.
fn first_entry(folder: &Folder) -> Result<Option<String>, FormatError> {
    let wrong = |source| FormatError::Io { path: folder.shown.clone(), source };
    let first = folder.files.names(&folder.path).map_err(wrong)?.into_iter().min();
    Ok(first.map(|name| name.to_string_lossy().into_owned()))
}

fn read_file(folder: &Folder, listed: &Listed, version: &str) -> Result<Migration, FormatError> {
    if listed.name.contains(char::REPLACEMENT_CHARACTER) {
        return Err(folder.wrong_name(listed, "the name is not UTF-8, so it cannot be recorded"));
    }
    let path = folder.shown(listed);
    let sql = folder.text(listed)?;
    let directives = Directives::parse(&sql).map_err(wrong_directive(path.clone()))?;
    let first_line = sql.split('\n').next().unwrap_or_default();
    let alone =
        directives.no_transaction || first_line.strip_suffix('\r').unwrap_or(first_line) == NO_TRANSACTION;
    let transaction = if alone { Transaction::None } else { Transaction::One };
    Ok(Migration {
        version: Version::new(version),
        name: listed.name.strip_suffix(".sql").unwrap_or(&listed.name).to_owned(),
        checksum: Checksum::of_text(&sql),
        tool_checksum: None,
        up: Script { path, first_line: 1, sql, transaction },
        down: None,
        directives,
    })
}

#[cfg(test)]
mod tests;
