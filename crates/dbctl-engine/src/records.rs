//! What a file is told that changed the rows which say what is applied.

use std::path::Path;

use crate::{EngineError, SqlError};

/// The file has been rolled back.
pub(crate) fn changed_rows(file: &Path, tables: &[String]) -> EngineError {
    EngineError::Sql(Box::new(SqlError {
        code: "55000".to_owned(),
        message: format!(
            "{} changed the rows of {}, which say what is applied; it has been undone",
            file.display(),
            tables.join(" and ")
        ),
        detail: None,
        hint: Some(
            "take that out of the file: `dbctl baseline` and `dbctl history` change what is recorded; a migration that \
             has to do it says so at its top, `-- dbctl:changes-history`"
                .to_owned(),
        ),
        context: None,
        statement: None,
        location: None,
    }))
}
