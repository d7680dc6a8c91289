//! Finding migration folders.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use dbctl_migration::{Dialect, FormatKind};
use ignore::WalkBuilder;

use super::{
    Certainty, Finding, FoundSource, Tool,
    dialect::{Other, other_database},
    home_grown,
};
use crate::paths::shown;

/// How deep folders are looked at; no monorepo keeps migrations deeper.
const MAX_DEPTH: usize = 10;

/// Folders that hold what others have made.
const NOT_OURS: [&str; 8] =
    ["node_modules", "target", "vendor", "dist", "build", "venv", "__pycache__", "coverage"];

/// Words in a folder's name that say that what it holds is not to be run.
const SET_ASIDE: [(&str, &str); 9] = [
    ("archive", "an archive"),
    ("deprecated", "an archive"),
    ("legacy", "an archive"),
    ("backup", "a backup"),
    ("fixtures", "for tests"),
    ("testdata", "for tests"),
    ("__tests__", "for tests"),
    ("example", "an example"),
    ("template", "a template"),
];

/// What was found, in byte order of the folders.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) sources: Vec<FoundSource>,
    pub(super) notes: Vec<Finding>,
}

/// Walks everything that git would not ignore.
pub(super) fn walk(root: &Path) -> io::Result<Found> {
    fs::read_dir(root)?;
    let mut found = Found::default();
    let ours = |entry: &ignore::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        !(entry.depth() > 0 && NOT_OURS.contains(&name.as_ref()))
    };
    let walk = WalkBuilder::new(root)
        .require_git(false)
        .git_global(false)
        .parents(false)
        .max_depth(Some(MAX_DEPTH))
        .sort_by_file_name(Ord::cmp)
        .filter_entry(ours)
        .build();
    let mut taken: Option<PathBuf> = None;
    // What cannot be read has nothing that could be run, either.
    for entry in walk.filter_map(Result::ok) {
        let path = entry.path();
        if !entry.file_type().is_some_and(|kind| kind.is_dir())
            || taken.as_ref().is_some_and(|taken| path.starts_with(taken))
        {
            continue;
        }
        let Ok(folder) = path.strip_prefix(root) else { continue };
        if let Some((tool, dialect)) = tool(root, path, folder, &mut found.notes) {
            taken = Some(path.to_owned());
            match set_aside(folder) {
                Some(what) => found.notes.push(Finding::new(
                    Certainty::PassedOver,
                    format!("{} looks like {what}", shown(folder)),
                )),
                None => found.sources.push(FoundSource { folder: folder.to_owned(), tool, dialect }),
            }
        }
    }
    Ok(found)
}

/// Whose migrations a folder holds, if it holds any, and for which database. Of a tool that dbctl does not read it says so.
fn tool(root: &Path, path: &Path, folder: &Path, notes: &mut Vec<Finding>) -> Option<(Tool, Dialect)> {
    if is_for_seeds(folder) {
        return None;
    }
    let kinds = FormatKind::detect(path).ok()?;
    let names: Vec<String> = fs::read_dir(path)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    if !kinds.is_empty() {
        let dialect = dialect(root, folder, &kinds, notes)?;
        let kinds: Vec<FormatKind> = kinds.into_iter().filter(|kind| kind.speaks(dialect)).collect();
        let has_sql = names.iter().any(|name| name.ends_with(".sql"));
        let has_folders = names.iter().any(|name| path.join(name).is_dir());
        if has_sql || has_folders {
            return Some((Tool::Known(kinds), dialect));
        }
        notes.push(programs(folder));
        return None;
    }
    if let Some(stranger) = stranger(path, &names) {
        let text = format!("{} looks like {stranger}, whose files dbctl does not read", shown(folder));
        notes.push(Finding::new(Certainty::PassedOver, text));
        return None;
    }
    let is_for_migrations =
        folder.iter().any(|part| part.to_string_lossy().to_lowercase().contains("migrat"));
    let guess = is_for_migrations.then(|| home_grown::guess(root, folder, &names)).flatten();
    if guess.is_none() && is_for_migrations && names.iter().any(|name| is_program(path, name)) {
        notes.push(programs(folder));
    }
    let guess = guess?;
    let dialect = dialect(root, folder, &[], notes)?;
    Some((Tool::HomeGrown(guess), dialect))
}

/// Which database a folder is for, where dbctl runs what its tool does there; of others it says so.
fn dialect(root: &Path, folder: &Path, kinds: &[FormatKind], notes: &mut Vec<Finding>) -> Option<Dialect> {
    let Some(Other { why, is_sqlite }) = other_database(root, folder, kinds) else {
        return Some(Dialect::Postgres);
    };
    let speaks = kinds.is_empty() || kinds.iter().any(|kind| kind.speaks(Dialect::Sqlite));
    let remedy = match (is_sqlite, speaks) {
        (true, true) => return Some(Dialect::Sqlite),
        (true, false) => "dbctl does not run that tool's migrations on SQLite",
        (false, _) => "dbctl runs PostgreSQL and SQLite",
    };
    notes.push(Finding::new(Certainty::PassedOver, format!("{} {why}; {remedy}", shown(folder))));
    None
}

fn programs(folder: &Path) -> Finding {
    let text = format!(
        "{} holds migrations that are programs; dbctl runs SQL, and a hook can call their tool",
        shown(folder)
    );
    Finding::new(Certainty::PassedOver, text)
}

/// Whether a file is a migration as knex, TypeORM, Sequelize and their like write them: a program with a number.
fn is_program(path: &Path, name: &str) -> bool {
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    let is_script = matches!(extension, "js" | "cjs" | "mjs" | "ts" | "cts" | "mts") && !stem.ends_with(".d");
    // MikroORM and TypeORM put a word before theirs: `Migration20240101120000.ts`.
    let digits = stem.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let digits = digits.chars().take_while(char::is_ascii_digit).count();
    let is_numbered = digits >= 8 || stem.starts_with(|c: char| c.is_ascii_digit());
    is_script && is_numbered && path.join(name).is_file()
}

/// Tools that dbctl does not read, by what only they write.
fn stranger(path: &Path, names: &[String]) -> Option<&'static str> {
    let any = |fits: &dyn Fn(&str) -> bool| names.iter().any(|name| fits(name));
    let digits = |name: &str| name.chars().take_while(char::is_ascii_digit).count();
    let versioned = |name: &str| {
        name.strip_prefix('V').is_some_and(|rest| digits(rest) > 0 && rest.contains("__"))
            && name.ends_with(".sql")
    };
    if any(&versioned) {
        return Some("Flyway or refinery");
    }
    let paired = |name: &str| digits(name) > 0 && name.ends_with(".up.sql");
    if any(&paired) {
        return Some("golang-migrate (or sqlx, for which say `format: sqlx`)");
    }
    if any(&|name| digits(name) == 14 && name.ends_with(".rb")) {
        return Some("Rails");
    }
    if any(&|name| path.join(name).join("up.sql").is_file()) {
        return Some("diesel");
    }
    if any(&|name| name == "0001_initial.py") {
        return Some("Django");
    }
    let marked = |mark: &str| {
        names.iter().filter(|name| name.ends_with(".sql")).take(3).any(|name| {
            fs::read_to_string(path.join(name))
                .is_ok_and(|text| text.lines().any(|line| line.to_ascii_lowercase().starts_with(mark)))
        })
    };
    if marked("-- +goose ") {
        return Some("goose");
    }
    if marked("--! previous:") {
        return Some("graphile-migrate");
    }
    marked("---- create above").then_some("tern")
}

fn set_aside(folder: &Path) -> Option<&'static str> {
    let parts = folder.iter().map(|part| part.to_string_lossy().to_lowercase());
    let parts: Vec<String> = parts.collect();
    SET_ASIDE
        .iter()
        .find(|(word, _)| parts.iter().any(|part| part.contains(word)))
        .map(|(_, what)| *what)
        .or_else(|| {
            let is_test = parts.iter().any(|part| matches!(part.as_str(), "test" | "tests" | "spec" | "e2e"));
            is_test.then_some("for tests")
        })
}

/// Seeds and dumps are SQL with numbers, too.
fn is_for_seeds(folder: &Path) -> bool {
    folder.iter().any(|part| {
        let part = part.to_string_lossy().to_lowercase();
        part == "seed" || part.starts_with("seeds") || part.ends_with("seeds") || part == "dumps"
    })
}
