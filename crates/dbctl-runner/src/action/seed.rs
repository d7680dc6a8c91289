//! `seed`: the files of the seeds folder, in byte order of their names.

mod program;

use std::{path::PathBuf, time::Instant};

use dbctl_engine::{SeedWork, Writer};
use dbctl_migration::{Checksum, FormatErrors, Script, TableName, Transaction, ledger::SeedRow, text};
use dbctl_workspace::Seeds;

use super::StepContext;
use crate::{Event, StepError};

/// Programs that a folder of seeds may hold: one without a runner is an error, as its data would silently be missing.
const PROGRAMS: [&str; 14] =
    ["bash", "cjs", "cts", "go", "js", "mjs", "mts", "php", "pl", "py", "rb", "sh", "ts", "tsx"];

/// One seed file.
struct SeedFile {
    name: String,
    path: PathBuf,
    shown: PathBuf,
    kind: Kind,
}

enum Kind {
    Sql,
    Csv,
    Runner(String),
}

pub(super) async fn run(context: &StepContext<'_>, missing_only: bool) -> Result<bool, StepError> {
    let Some(seeds) = &context.database.seeds else { return Ok(false) };
    let environment = context.shared.run.workspace.environment();
    if environment.protected || seeds.skip_in.contains(&environment.name) {
        let why = if environment.protected { "is protected" } else { "is in `skip_in`" };
        context.warn(format!("seeds are skipped: the environment `{}` {why}", environment.name));
        return Ok(false);
    }
    let files = list(context, seeds)?;
    if files.is_empty() {
        return Ok(false);
    }
    let mut writer = context.open_writer(&[]).await?;
    let result = run_files(context, &mut *writer, &files, missing_only).await;
    writer.close().await;
    result
}

async fn run_files(
    context: &StepContext<'_>,
    writer: &mut dyn Writer,
    files: &[SeedFile],
    missing_only: bool,
) -> Result<bool, StepError> {
    context.prepare(writer, &[]).await?;
    let recorded = if missing_only { writer.seeds().await? } else { Vec::new() };
    let work: Vec<&SeedFile> =
        files.iter().filter(|file| !recorded.iter().any(|row| row.file == file.name)).collect();
    for (at, file) in work.iter().enumerate() {
        let (database, name) = (context.database.key.clone(), file.name.clone());
        context.emit(Event::SeedStarted {
            database: database.clone(),
            file: name.clone(),
            index: at + 1,
            total: work.len(),
        });
        let started = Instant::now();
        run_file(context, writer, file).await?;
        context.emit(Event::SeedFinished { database, file: name, elapsed: started.elapsed() });
    }
    Ok(!work.is_empty())
}

/// The folder's seeds; a folder that is not there has none.
fn list(context: &StepContext<'_>, seeds: &Seeds) -> Result<Vec<SeedFile>, StepError> {
    let io = |source| StepError::Io { path: seeds.shown.clone(), source };
    let entries = match std::fs::read_dir(&seeds.path) {
        Ok(entries) => entries.collect::<Result<Vec<_>, _>>().map_err(io)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(io(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || name.ends_with('~') || path.is_dir() {
            continue;
        }
        let shown = seeds.shown.join(&name);
        let extension = path.extension().map(|e| e.to_string_lossy().into_owned()).unwrap_or_default();
        let kind = match extension.as_str() {
            _ if seeds.runners.contains_key(&extension) => Kind::Runner(seeds.runners[&extension].clone()),
            "sql" => Kind::Sql,
            "csv" => Kind::Csv,
            program if PROGRAMS.contains(&program) => {
                return Err(StepError::NoRunner { path: shown, extension });
            }
            _ => {
                if !matches!(extension.as_str(), "md" | "txt") {
                    context.warn(format!(
                        "{} is not a seed that dbctl knows; it is left alone",
                        shown.display()
                    ));
                }
                continue;
            }
        };
        files.push(SeedFile { name, path, shown, kind });
    }
    files.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    Ok(files)
}

async fn run_file(
    context: &StepContext<'_>,
    writer: &mut dyn Writer,
    file: &SeedFile,
) -> Result<(), StepError> {
    let work = match &file.kind {
        Kind::Sql => {
            let sql = text::read(&file.path, &file.shown).map_err(|e| FormatErrors(vec![e]))?;
            let row = SeedRow { file: file.name.clone(), checksum: Checksum::of_text(&sql) };
            let script =
                Script { path: file.shown.clone(), first_line: 1, sql, transaction: Transaction::One };
            writer.seed(&SeedWork::Sql(script), &row).await?;
            return Ok(());
        }
        Kind::Csv => {
            SeedWork::Csv { path: file.path.clone(), shown: file.shown.clone(), table: csv_table(&file.name) }
        }
        Kind::Runner(command) => {
            program::run(context, file, command).await?;
            SeedWork::External
        }
    };
    let bytes =
        std::fs::read(&file.path).map_err(|source| StepError::Io { path: file.shown.clone(), source })?;
    let row =
        SeedRow { file: file.name.clone(), checksum: Checksum::of_text(&String::from_utf8_lossy(&bytes)) };
    writer.seed(&work, &row).await?;
    Ok(())
}

/// The table a CSV file is named after: `010_public.users.csv` and `users.csv` both name `users`. A leading number with
/// an underscore only orders the files.
fn csv_table(name: &str) -> TableName {
    let stem = name.strip_suffix(".csv").unwrap_or(name);
    let digits = stem.len() - stem.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let table = match stem[digits..].strip_prefix(['_', '-']) {
        Some(rest) if digits > 0 && !rest.is_empty() => rest,
        _ => stem,
    };
    match table.split_once('.') {
        Some((schema, table)) => TableName::new(schema, table),
        None => TableName::new("", table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_files_are_named_after_their_table() {
        for (name, schema, table) in [
            ("users.csv", "", "users"),
            ("001_users.csv", "", "users"),
            ("10-audit.log.csv", "audit", "log"),
            ("2024.csv", "", "2024"),
            ("order items.csv", "", "order items"),
        ] {
            assert_eq!(csv_table(name), TableName::new(schema, table), "{name}");
        }
    }
}
