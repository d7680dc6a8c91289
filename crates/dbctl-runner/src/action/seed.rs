//! `seed`: the files of the seeds folder, in byte order of their names.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use dbctl_engine::{SeedWork, Writer};
use dbctl_migration::{Checksum, FormatErrors, Script, TableName, Transaction, ledger::SeedRow, text};
use dbctl_workspace::{Database, Environment, Hook, Seeds};

use super::StepContext;
use crate::{
    Event, StepError,
    files::{history_tables_of, outside},
    hook,
    program::{self, Failure, shell_quote},
};

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

/// A folder's seeds.
struct Folder {
    /// In the order in which they run.
    files: Vec<SeedFile>,
    /// What is no seed and nothing that belongs beside seeds.
    strangers: Vec<PathBuf>,
}

pub(super) async fn run(context: &StepContext<'_>, missing_only: bool) -> Result<bool, StepError> {
    let Some(seeds) = &context.database.seeds else { return Ok(false) };
    let environment = context.shared.run.workspace.environment();
    if let Some(why) = skipped(seeds, environment) {
        context.warn(format!("seeds are skipped: the environment `{}` {why}", environment.name));
        return Ok(false);
    }
    let Folder { mut files, strangers } = list(context.database, seeds)?;
    for stranger in strangers {
        context.warn(format!("{} is not a seed that dbctl knows; it is left alone", stranger.display()));
    }
    if files.is_empty() {
        return Ok(false);
    }
    if hook::is_set(context, Hook::BeforeSeed) && (!missing_only || any_missing(context, &files).await?) {
        hook::run(context, Hook::BeforeSeed).await?;
        // It may have written some.
        files = list(context.database, seeds)?.files;
    }
    let mut writer = context.open_writer(&[]).await?;
    let result = run_files(context, &mut *writer, &files, missing_only).await;
    context.finish(writer, &result).await;
    let changed = result?;
    if changed {
        hook::run(context, Hook::AfterSeed).await?;
    }
    Ok(changed)
}

/// Whether a seed is not recorded yet, told by a session that cannot write. What is wrong with the database, the writer
/// says.
async fn any_missing(context: &StepContext<'_>, files: &[SeedFile]) -> Result<bool, StepError> {
    let mut reader = match context.open_reader().await {
        Ok(reader) => reader,
        Err(error) if error.is_no_database() => return Ok(false),
        Err(error) => return Err(error),
    };
    let recorded = reader.seeds().await;
    reader.close().await;
    Ok(!missing(files, &recorded?).is_empty())
}

fn missing<'f>(files: &'f [SeedFile], recorded: &[SeedRow]) -> Vec<&'f SeedFile> {
    files.iter().filter(|file| !recorded.iter().any(|row| row.file == file.name)).collect()
}

/// Whether an environment leaves a database's seeds out, so that nothing runs around them either.
pub(crate) fn are_skipped(seeds: &Seeds, environment: &Environment) -> bool {
    skipped(seeds, environment).is_some()
}

/// Sees, before anything is touched, that the folder can be read and that something runs each of its seeds.
pub(crate) fn check(context: &StepContext<'_>) -> Result<(), StepError> {
    let Some(seeds) = &context.database.seeds else { return Ok(()) };
    if skipped(seeds, context.shared.run.workspace.environment()).is_some() {
        return Ok(());
    }
    for file in list(context.database, seeds)?.files {
        if matches!(file.kind, Kind::Sql) {
            read_sql(&file)?;
        }
    }
    Ok(())
}

fn skipped(seeds: &Seeds, environment: &Environment) -> Option<&'static str> {
    if environment.protected {
        Some("is protected")
    } else if seeds.skip_in.contains(&environment.name) {
        Some("is in `skip_in`")
    } else {
        None
    }
}

async fn run_files(
    context: &StepContext<'_>,
    writer: &mut dyn Writer,
    files: &[SeedFile],
    missing_only: bool,
) -> Result<bool, StepError> {
    context.prepare(writer, &[]).await?;
    let histories = history_tables_of(writer, context.database).await?;
    writer.guard(&histories);
    let recorded = if missing_only { writer.seeds().await? } else { Vec::new() };
    let work = missing(files, &recorded);
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
fn list(database: &Database, seeds: &Seeds) -> Result<Folder, StepError> {
    let io = |source| StepError::Io { path: seeds.shown.clone(), source };
    let entries = match std::fs::read_dir(&seeds.path) {
        Ok(entries) => entries.collect::<Result<Vec<_>, _>>().map_err(io)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(io(error)),
    };
    let mut folder = Folder { files: Vec::new(), strangers: Vec::new() };
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || name.ends_with('~') || !path.is_file() {
            continue;
        }
        let shown = seeds.shown.join(&name);
        if !database.holds(&path) {
            return Err(FormatErrors(vec![outside(&shown)]).into());
        }
        let extension =
            path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let mut runners = seeds.runners.iter();
        let kind = match runners.find(|(runs, _)| runs.eq_ignore_ascii_case(&extension)) {
            Some((_, command)) => Kind::Runner(command.clone()),
            None => match extension.as_str() {
                "sql" => Kind::Sql,
                "csv" => Kind::Csv,
                "md" | "txt" => continue,
                program if PROGRAMS.contains(&program) => {
                    return Err(StepError::NoRunner { path: shown, extension });
                }
                _ => {
                    folder.strangers.push(shown);
                    continue;
                }
            },
        };
        folder.files.push(SeedFile { name, path, shown, kind });
    }
    folder.files.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    folder.strangers.sort();
    Ok(folder)
}

fn read_sql(file: &SeedFile) -> Result<String, StepError> {
    Ok(text::read(&file.path, &file.shown).map_err(|error| FormatErrors(vec![error]))?)
}

async fn run_file(
    context: &StepContext<'_>,
    writer: &mut dyn Writer,
    file: &SeedFile,
) -> Result<(), StepError> {
    let work = match &file.kind {
        Kind::Sql => {
            let sql = read_sql(file)?;
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
            let line = command.replace("{file}", &shell_quote(&file.path));
            program::run(context, &line).await?.map_err(|Failure { outcome, tail }| StepError::Runner {
                path: file.shown.clone(),
                command: command.clone(),
                outcome,
                tail,
            })?;
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
    let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or(name);
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
            ("2_Users.CSV", "", "Users"),
            ("10-audit.log.csv", "audit", "log"),
            ("2024.csv", "", "2024"),
            ("order items.csv", "", "order items"),
        ] {
            assert_eq!(csv_table(name), TableName::new(schema, table), "{name}");
        }
    }
}
