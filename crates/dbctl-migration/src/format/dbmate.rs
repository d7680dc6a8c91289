//! Migrations of dbmate: one file with a `-- migrate:up` and a `-- migrate:down` part.
//!
//! Read as dbmate 2 reads them; where dbctl is kinder or stricter than the tool:
//!
//! - Files apply in the byte order of their names, and the digits a name starts with are the key: `003x.sql` is version
//!   `003`, and runs before `1_a.sql`. The tool sorts the names of all its folders together; dbctl runs one folder after
//!   the other.
//! - The tool reads a file when it is about to run it; dbctl refuses a folder with a broken file before anything runs.
//! - Two files of one version are an error: the tool runs the second, too, and then fails with a duplicate key.
//! - A second pair of parts is an error: the tool commits the first pair and fails with a duplicate key at the second.
//! - A byte order mark is no text to dbctl; the tool does not find a marker behind it.
//! - A file outside a transaction is one query to the tool, in which `CREATE INDEX CONCURRENTLY` can only be alone;
//!   dbctl sends its statements one by one.
//! - The tool takes the row of an empty down part away; dbctl says that there is no way back.

mod history;
mod sections;

use std::ops::Range;

use jiff::{SignedDuration, Timestamp};

use self::{
    history::SchemaMigrations,
    sections::{Sections, runs_alone, sections},
};
use super::{
    Folder, Format, FormatError, FormatErrors, NewFile, Tool,
    detect::{Likeness, Sample},
    listing::{Listed, leading_digits, wrong_directive},
};
use crate::{Checksum, Dialect, Directives, History, Migration, Script, Transaction, Version, text};

/// What `dbmate new` writes into a file.
const TEMPLATE: &str = "-- migrate:up\n\n\n-- migrate:down\n\n";

/// Its line in the list of formats.
pub(super) const TOOL: Tool = Tool {
    name: "dbmate",
    options: &["schema", "table"],
    on_sqlite: true,
    check: |_| Ok(()),
    open: |_, options| Box::new(Dbmate { history: SchemaMigrations::new(options), dialect: options.dialect }),
    recognise,
};

/// Rails keeps a table of the same name and shape; its files are no SQL.
fn recognise(sample: &Sample) -> Likeness {
    match sample.sql().any(|file| is_migration(file.name()) && file.has_line_starting(&["-- migrate:up"])) {
        true => Likeness::Sure,
        false => Likeness::No,
    }
}

fn is_migration(name: &str) -> bool {
    name.ends_with(".sql") && !leading_digits(name).is_empty()
}

struct Dbmate {
    history: SchemaMigrations,
    dialect: Dialect,
}

impl Format for Dbmate {
    fn read(&self, folder: &Folder) -> Result<Vec<Migration>, FormatErrors> {
        let names = folder.names().map_err(|error| FormatErrors(vec![error]))?;
        let mut errors = Vec::new();
        let mut migrations: Vec<Migration> = Vec::new();
        for listed in names.into_iter().filter(|listed| is_migration(&listed.name)) {
            match folder.is_file(&listed) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            }
            let version = leading_digits(&listed.name);
            if let Some(first) = migrations.iter().find(|other| other.version.as_str() == version) {
                errors.push(FormatError::Duplicate {
                    version: version.to_owned(),
                    first: first.up.path.clone(),
                    second: folder.shown(&listed),
                });
                continue;
            }
            match read_file(folder, &listed, self.dialect) {
                Ok(migration) => migrations.push(migration),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(migrations) } else { Err(FormatErrors(errors)) }
    }

    fn history(&self) -> Option<&dyn History> {
        Some(&self.history)
    }

    /// Named by the time, as `dbmate new` does it.
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
        Ok(NewFile { files: vec![(file, TEMPLATE.to_owned())], ..Default::default() })
    }
}

fn read_file(folder: &Folder, listed: &Listed, dialect: Dialect) -> Result<Migration, FormatError> {
    let path = folder.shown(listed);
    let whole = folder.text(listed)?;
    let Sections { up, down } = sections(&whole).map_err(|wrong| {
        let text::Position { line, column } = text::position(&whole, wrong.offset);
        FormatError::Content { path: path.clone(), line, column, message: wrong.message }
    })?;
    // What stands above the parts belongs to both of them.
    let header = Directives::parse_as(&whole[..up.start], dialect).map_err(wrong_directive(path.clone()))?;
    let part = |range: Range<usize>| {
        let first_line = text::position(&whole, range.start).line;
        let sql = &whole[range];
        let own = Directives::parse_as(sql, dialect).map_err(|mut error| {
            error.line += first_line - 1;
            wrong_directive(path.clone())(error)
        })?;
        let directives = header.clone().and(own.below(first_line - 1));
        let alone = directives.no_transaction || runs_alone(sql);
        let transaction = if alone { Transaction::None } else { Transaction::One };
        Ok((Script { path: path.clone(), first_line, sql: sql.to_owned(), transaction }, directives))
    };
    let (up, directives) = part(up)?;
    let (down, _) = part(down)?;
    Ok(Migration {
        version: Version::new(leading_digits(&listed.name)),
        name: listed.name.trim_end_matches(".sql").to_owned(),
        checksum: Checksum::of_text(&whole),
        tool_checksum: None,
        up,
        down: Some(down),
        directives,
    }
    .reverting())
}

#[cfg(test)]
mod tests;
