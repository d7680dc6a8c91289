//! What a file is told that changed the rows which say what is applied.

use std::{ops::Range, path::Path};

use dbctl_migration::{Applied, Dialect, Migration, Progress, TableName};

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

/// A table whose rows have changed: as it was, as it is where it is still there, and its name.
type Change<'a, L> = (&'a L, Option<&'a L>, &'a TableName);

/// The tables at which two looks differ. One that was not there before had no rows.
pub(crate) fn changed<'a, L: PartialEq>(
    before: &'a [Option<L>],
    after: &'a [Option<L>],
    tables: &'a [TableName],
) -> Vec<Change<'a, L>> {
    let looks = before.iter().zip(after).zip(tables);
    let change = looks.filter_map(|((before, after), table)| Some((before.as_ref()?, after.as_ref(), table)));
    change.filter(|(before, after, _)| *after != Some(before)).collect()
}

/// Whether all that has changed is one more row of the migration's own history.
pub(crate) fn is_own_row<L>(
    changed: &[Change<'_, L>],
    own: Option<(&SourceRef<'_>, &Migration)>,
    is_one_more: impl Fn(&L, &L) -> bool,
) -> bool {
    let history = own.and_then(|(source, _)| source.history).map(|history| history.table());
    matches!(changed, [(before, Some(after), table)] if history == Some(*table) && is_one_more(before, after))
}

/// The file has been rolled back.
pub(crate) fn changed_rows<L>(
    dialect: Dialect,
    file: &Suspect<'_>,
    changed: &[Change<'_, L>],
) -> EngineError {
    let tables = || changed.iter().map(|(_, _, table)| *table);
    let (code, shown): (_, Vec<String>) = match dialect {
        Dialect::Postgres => ("55000", tables().map(ToString::to_string).collect()),
        Dialect::Sqlite => ("SQLITE_AUTH", tables().map(|table| table.name.clone()).collect()),
    };
    let names: Vec<&str> = tables().map(|table| table.name.as_str()).collect();
    let writer =
        file.statements.as_ref().and_then(|(layout, pieces)| layout.writer_of(pieces.clone(), &names));
    let (statement, location) = writer.unzip();
    let message = format!(
        "{} changed the rows of {}, which say what is applied; it has been undone",
        file.path.display(),
        shown.join(" and ")
    );
    let hint = "take that out of the file: `dbctl baseline` and `dbctl history` change what is recorded; a migration that \
                has to do it says so at its top, `-- dbctl:changes-history`";
    SqlError { statement, location, ..SqlError::ours(code, message, hint) }.into()
}
