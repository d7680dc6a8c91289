//! What a file is told that changed the rows which say what is applied.

use std::{ops::Range, path::Path};

use dbctl_migration::{Applied, Migration, Progress, TableName};

use crate::{EngineError, SourceRef, SqlError, layout::Layout};

/// Whether the rows of a tool's table say of a migration what dbctl would have them say: that it is applied, with its
/// text.
pub(crate) fn records_itself(rows: &[Applied], source: &SourceRef<'_>, migration: &Migration) -> bool {
    let keyed_by = source.keyed_by();
    let mut rows = rows.iter().filter(|row| keyed_by.of_applied(row) == keyed_by.of(migration));
    rows.next_back().is_some_and(|row| {
        row.progress == Progress::Whole
            && row.checksum.as_ref().is_none_or(|checksum| migration.has_checksum(checksum))
    })
}

/// A file that is looked at for what it does to these rows.
pub(crate) struct Suspect<'a> {
    /// Its path, as it is shown.
    pub(crate) path: &'a Path,
    /// Which statements of which script, where it is SQL.
    pub(crate) statements: Option<(&'a Layout<'a>, Range<usize>)>,
}

/// The file has been rolled back.
pub(crate) fn changed_rows(
    code: &str,
    file: &Suspect<'_>,
    tables: &[&TableName],
    shown: &[String],
) -> EngineError {
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    let writer =
        file.statements.as_ref().and_then(|(layout, pieces)| layout.writer_of(pieces.clone(), &names));
    EngineError::Sql(Box::new(SqlError {
        code: code.to_owned(),
        message: format!(
            "{} changed the rows of {}, which say what is applied; it has been undone",
            file.path.display(),
            shown.join(" and ")
        ),
        detail: None,
        hint: Some(
            "take that out of the file: `dbctl baseline` and `dbctl history` change what is recorded; a migration that \
             has to do it says so at its top, `-- dbctl:changes-history`"
                .to_owned(),
        ),
        context: None,
        statement: writer.as_ref().map(|(statement, _)| statement.clone()),
        location: writer.map(|(_, location)| location),
    }))
}
