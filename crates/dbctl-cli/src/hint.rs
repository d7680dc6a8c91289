//! What helps, as far as it takes the command to know: its verbs and flags, keys, the manifest. What connections, servers
//! and SQLSTATEs have to say, the engine knows: its errors bring their hints along, and a statement that comes with one,
//! be it PostgreSQL's own, gets no second. The matches are exhaustive, so that a new error has to say what helps, or that
//! nothing does.

use std::path::Path;

use dbctl_engine::{ConnectFailure, Decision, EngineError, SqlError, split_hint};
use dbctl_migration::{Drift, FormatError, RollbackError};
use dbctl_runner::{PlanError, StepError};
use dbctl_workspace::{Hook, SelectError};

use crate::error::CliError;

/// What helps where a plan no longer holds.
const ANEW: &str =
    "put back what has moved, or make the plan anew and look at it: `dbctl plan migrate TARGET -o FILE`";

/// What helps where a step on the database `key` failed.
pub(crate) fn step(error: &StepError, key: &str) -> Option<String> {
    Some(match error {
        StepError::Engine(error) => return engine(error, key),
        StepError::Format(errors) => return errors.0.first().and_then(format),
        StepError::Drift { drift, redo, .. } => drift_hint(drift, *redo, key),
        StepError::Rollback(error) => rollback(error, key),
        StepError::UnknownVersion { near: Some(near), .. } => format!("did you mean `{near}`?"),
        StepError::UnknownVersion { near: None, .. } => format!("`dbctl status {key} -v` lists them"),
        StepError::AmbiguousVersion { .. } => "name it as it stands there".to_owned(),
        StepError::Environment { recorded, .. } => {
            format!("does the URL lead where you think it does? If so, run it with --env {recorded}")
        }
        StepError::SameDatabase { other, .. } => {
            format!("give `{key}` or `{other}` another `name`, or another `url`, in the manifest")
        }
        StepError::Dependency { dependency, state } if state == "does not exist" => {
            format!("make it with `dbctl up {dependency}`")
        }
        StepError::Dependency { dependency, .. } => {
            format!("bring it up to date with `dbctl migrate {dependency}`")
        }
        StepError::Dependent { dependent } => {
            format!("name `{dependent}` too, or use --ignore-dependents")
        }
        StepError::RequirementUnknown { .. } => {
            format!("write `-- dbctl:requires KEY@VERSION`, with a database that `{key}` depends on")
        }
        StepError::RequirementUnmet { database, .. } => {
            format!("bring it up to date with `dbctl migrate {database}`")
        }
        StepError::Moved { was, .. } => format!(
            "give the folder its old path `{was}` in the manifest, or record its files under the new one without \
             running them: `dbctl migrate {key} --fake`"
        ),
        StepError::NothingToKeep { .. } => {
            "spell them as the database does (`table`, in PostgreSQL also `schema.table`), or take them out of the manifest"
                .to_owned()
        }
        StepError::Required { dependent, .. } => {
            format!("roll `{dependent}` back first, or use --ignore-dependents")
        }
        StepError::NoRunner { extension, .. } => format!(
            "say in the manifest what runs it: `seeds: {{ path: …, runners: {{ {extension}: \"COMMAND {{file}}\" }} }}`"
        ),
        StepError::Runner { .. } => format!("to try it alone: `dbctl exec {key} -- COMMAND`"),
        StepError::Hook { hook, .. } => hook_hint(*hook, key),
        StepError::Exists { among, .. } => {
            let source = among.as_ref().map(|name| format!(" --source {}", typed(name))).unwrap_or_default();
            format!(
                "nothing of this folder is recorded: if the database was migrated before, say how far, and nothing is \
                 run: `dbctl baseline {key} --through VERSION{source}`"
            )
        }
        StepError::NotEmpty { source_name, through, .. } => format!(
            "a baseline runs on an empty database alone, and nothing was touched; if this one has what the migrations \
             make, say how far: `dbctl baseline {key} --through {} --source {}`",
            typed(through),
            typed(source_name)
        ),
        StepError::Empty => {
            format!(
                "`dbctl migrate {key}` applies what is pending; to record it all the same: `dbctl migrate {key} --fake`"
            )
        }
        StepError::HasHistory { names, .. } => format!(
            "if they are applied, say so one by one, `dbctl history mark {key} {} --applied`; or all that is pending up to \
             the last: `dbctl migrate {key} --fake --to {}`",
            first(names),
            names.last().map_or_else(String::new, |name| typed(name))
        ),
        StepError::Unfinished { names, .. } => format!(
            "let `dbctl migrate {key}` finish that first, or forget it: `dbctl history mark {key} {} --pending`",
            first(names)
        ),
        StepError::Connections { server, .. } => format!(
            "raise `max_connections` of `{server}` in the manifest, migrate fewer databases at once, or leave --atomic out"
        ),
        StepError::Decides { run, databases } => format!(
            "let a command that writes to {} finish that first, such as `dbctl migrate`, or do so by hand: `dbctl history \
             resolve TARGET --run {run} --commit` or --rollback",
            if databases.len() == 1 { "it" } else { "them" }
        ),
        StepError::PreparedTransactions { needed, taken, .. } => format!(
            "`ALTER SYSTEM SET max_prepared_transactions = {}`, and restart the server; or use --atomic=one-phase",
            (needed + taken).next_power_of_two().max(64)
        ),
        StepError::InDoubt { run, decision, .. } => in_doubt(key, run, *decision),
        StepError::Undecided { run, .. } => in_doubt(key, run, None),
        StepError::NothingPrepared { .. } => format!("`dbctl status {key}` shows what is prepared"),
        StepError::Decided { recorded, .. } => {
            format!("use --{}, as in the run's other databases", recorded.as_str())
        }
        StepError::NotCommitted { error, .. } => return not_committed(error, key),
        StepError::NothingToResolve { .. } | StepError::NotApplied { .. } => {
            format!("`dbctl status {key} -v` shows where each one stands")
        }
        StepError::PlanMoved { .. } => ANEW.to_owned(),
        StepError::Untold { .. } => {
            "say in the manifest which `format` it is, or use --ignore-dependents".to_owned()
        }
        StepError::Io { .. } => return None,
    })
}

fn in_doubt(key: &str, run: &str, decision: Option<Decision>) -> String {
    let by_hand = match decision {
        Some(decision) => format!("--{}`", decision.as_str()),
        None => "--commit` or --rollback, as in the run's other databases".to_owned(),
    };
    format!(
        "the next command that writes to it finishes that once the servers can be reached; or by hand: \
         `dbctl history resolve {key} --run {run} {by_hand}"
    )
}

fn not_committed(error: &EngineError, key: &str) -> Option<String> {
    match error {
        EngineError::Lost { .. } => Some(format!(
            "whether it took effect shows in `dbctl status {key}`; `dbctl migrate` goes on from there"
        )),
        other => engine(other, key),
    }
}

fn hook_hint(hook: Hook, key: &str) -> String {
    let done = match hook {
        Hook::BeforeCreate | Hook::BeforeMigrate | Hook::BeforeSeed | Hook::BeforeClean => {
            return format!(
                "what comes after it was not begun; to try it alone: `dbctl exec {key} -- COMMAND`; to go on without \
                 it: --no-hooks"
            );
        }
        Hook::AfterCreate => "the database is created",
        Hook::AfterMigrate => "the migrations are applied",
        Hook::AfterSeed => "the seeds have run",
        Hook::AfterClean => "the tables are empty",
    };
    format!("{done}; once the command is mended, run it by hand: `dbctl exec {key} -- COMMAND`")
}

fn drift_hint(drift: &Drift, redo: bool, key: &str) -> String {
    match drift {
        Drift::Changed(names) => {
            let redo = match redo {
                true => format!("; or take the last one back and run it anew: `dbctl redo {key}`"),
                false => String::new(),
            };
            format!(
                "put the files back as they were applied, and write the change as a new one: `dbctl new {key} NAME`{redo}; \
                 or, where they are as they should be, record them as they are: `dbctl history repair {key} {}`",
                names.iter().map(|name| typed(name)).collect::<Vec<_>>().join(" ")
            )
        }
        Drift::OutOfOrder(_) => format!(
            "rename them so that they sort last, or apply them all the same: `dbctl migrate {key} --out-of-order allow`"
        ),
        Drift::Failed(names) => format!(
            "mend what they left behind (`dbctl psql {key}`), then say what became of each: {}",
            resolve(key, &first(names))
        ),
        Drift::Partial(names) => {
            let name = first(names);
            format!(
                "bring the file back, or mend by hand what it left behind (`dbctl psql {key}`) and forget it: `dbctl \
                 history mark {key} {name} --pending`"
            )
        }
        Drift::Reverting(_) => format!("let `dbctl rollback {key}` finish it first"),
        Drift::Missing(names) => format!(
            "bring the files back (`git log --diff-filter=D --name-only` finds them), or go on without them: `dbctl \
             migrate {key} --out-of-order allow`; what is gone for good can be forgotten: {}",
            forget(key, &first(names))
        ),
    }
}

fn unresolved(key: &str, path: &Path) -> String {
    format!(
        "see whether the statement took effect (`dbctl psql {key}`), then say so: {}",
        resolve(key, &typed(&named(path)))
    )
}

fn first(names: &[String]) -> String {
    names.first().map_or_else(|| "NAME".to_owned(), |name| typed(name))
}

/// A name as a shell takes it.
fn typed(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_alphanumeric() || "._-/+".contains(c));
    if plain { name.to_owned() } else { format!("'{}'", name.replace('\'', r"'\''")) }
}

/// How to take a migration for one that is not applied.
fn forget(key: &str, name: &str) -> String {
    format!("`dbctl history mark {key} {name} --pending`")
}

/// How to say whether something took effect of which nobody knows.
fn resolve(key: &str, name: &str) -> String {
    format!("`dbctl history resolve {key} {name} --applied` if it took effect, `--rolled-back` if it did not")
}

/// What to type for the migration of a file: some tools give each a folder, whose name is the migration's.
fn named(path: &Path) -> String {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let of_file = name(path).unwrap_or_default();
    match of_file.as_str() {
        "migration.sql" | "up.sql" | "down.sql" => path.parent().and_then(name).unwrap_or(of_file),
        _ => match of_file.strip_suffix(".down.sql") {
            Some(stem) => stem.to_owned(),
            None => of_file,
        },
    }
}

/// What helps where a rollback is refused.
fn rollback(error: &RollbackError, key: &str) -> String {
    match error {
        RollbackError::Unknown { .. } | RollbackError::NotApplied { .. } => {
            format!("`dbctl status {key} -v` lists what is applied")
        }
        RollbackError::Ambiguous { .. } => "name it as it stands there".to_owned(),
        RollbackError::LaterApplied { .. } => {
            format!("roll back to the one before it: `dbctl rollback {key} --to VERSION`")
        }
        RollbackError::LaterStay { .. } => {
            "roll the runs back that applied those first: `dbctl rollback --run ID`".to_owned()
        }
        RollbackError::Missing(names) => format!(
            "bring the files back (`git log --diff-filter=D --name-only` finds them); or undo by hand what is gone for \
             good (`dbctl psql {key}`), and forget it: {}",
            forget(key, &first(names))
        ),
        RollbackError::Partial(names) => format!(
            "let `dbctl migrate {key}` finish it first; of what is recorded as failed, say what became of it: {}",
            resolve(key, &first(names))
        ),
        RollbackError::NoDown(paths) => format!(
            "write the down part where the format has one, or undo it forwards: `dbctl new {key} NAME`; or, where nothing \
             of it has run, since the file had no statement then, forget it: {}",
            forget(key, &paths.first().map_or_else(|| "NAME".to_owned(), |path| typed(&named(path))))
        ),
    }
}

/// What helps where an engine answers with an error.
pub(crate) fn engine(error: &EngineError, key: &str) -> Option<String> {
    Some(match error {
        EngineError::ConnInfo(error) => return error.hint.clone(),
        EngineError::Connect(error) => match &error.failure {
            ConnectFailure::NoDatabase { .. } | ConnectFailure::NoFile { .. } => {
                format!("make it with `dbctl create {key}`")
            }
            failure => return failure.hint(),
        },
        EngineError::Embedded(error) => return error.hint(),
        EngineError::Locked { holder: None, .. } => "run the command again".to_owned(),
        EngineError::Locked { holder: Some(holder), .. } if holder.is_process => {
            format!("wait longer with --wait 5m, or end that process: `kill {}`", holder.pid)
        }
        EngineError::Locked { holder: Some(holder), .. } => format!(
            "wait longer with --wait 5m, or end it: `dbctl psql {key} -- -c 'select pg_terminate_backend({})'`",
            holder.pid
        ),
        EngineError::NoDecisions { .. } => {
            format!(
                "`dbctl status {key}` shows what is prepared; `dbctl history resolve` finishes it by hand"
            )
        }
        EngineError::Prepared { .. } => "run the command again: it finishes that first".to_owned(),
        EngineError::Pooled { .. } => format!(
            "give the way past it in the manifest: `direct_url` of `{key}` or of its server; where there is none, say so \
             with `pooler: transaction`"
        ),
        EngineError::Sql(error) => return sql(error, key),
        EngineError::Split { error, .. } => return split_hint(error),
        EngineError::NotWhole { .. } => format!(
            "with --atomic everything pending is one transaction: bring this file in first (`dbctl migrate {key} --to` up to \
             and including it), or leave --atomic out"
        ),
        EngineError::Unresolved { path, .. } => unresolved(key, path),
        EngineError::Rewritten { path, started: true, .. } => format!(
            "put that statement back as it was and run the command again, which finds out what became of it; or see for \
             yourself (`dbctl psql {key}`), and say how many statements of the file as it is now need not run: `dbctl \
             history resolve {key} {} --done N`",
            typed(&named(path))
        ),
        EngineError::Rewritten { path, started: false, .. } => format!(
            "put the statements that ran back as they were, and write changes below them; or say how many statements of \
             the file as it is now need not run: `dbctl history resolve {key} {} --done N`",
            typed(&named(path))
        ),
        EngineError::Elsewhere { source_name, table, found, .. } => format!(
            "say of {source_name} in the manifest where its history is: `schema: {}`, or connect with that schema on the \
             search_path. If it is somebody else's, and these files are to run all the same: `schema: {}`",
            found.schema, table.schema
        ),
        EngineError::File { .. } => {
            "see that the folder is there and that it and the file may be read and written".to_owned()
        }
        EngineError::Seed { .. } => return None,
        EngineError::InUse { .. } => "end those sessions, or add --disconnect, which ends them".to_owned(),
        EngineError::Clean(refusal) => {
            let mut tables: Vec<String> = refusal
                .0
                .iter()
                .map(|reference| format!("{}.{}", reference.to.schema, reference.to.name))
                .collect();
            tables.sort_unstable();
            tables.dedup();
            format!("keep those as well: add {} to `clean: {{ keep: … }}` of `{key}`", tables.join(", "))
        }
        EngineError::Lost { .. } => {
            "run the command again: what is recorded is done, what was open was rolled back".to_owned()
        }
        EngineError::Unsupported(_) | EngineError::Cancelled => return None,
    })
}

/// What helps where a statement failed that comes without a hint.
fn sql(error: &SqlError, key: &str) -> Option<String> {
    if error.hint.is_some() {
        return None;
    }
    let on_disk = error.location.is_some();
    Some(match error.code.as_str() {
        "42501" if !on_disk => {
            "the user lacks that right: set `admin_url` of the server to one who has it".to_owned()
        }
        "42704" if !on_disk => "the role that `owner` names has to exist on the server".to_owned(),
        "58P01" | "0A000" if error.message.contains("extension") => {
            "install the extension's package on the server, or take it out of `extensions`".to_owned()
        }
        "53100" => "the server's disk is full".to_owned(),
        "53300" => "lower `max_connections` of the server in the manifest, or use --jobs 1".to_owned(),
        "57014" => format!("statement_timeout is set for that user: `settings:` of `{key}` can raise it"),
        _ => return supabase(error, key),
    })
}

/// What helps where a file expects what Supabase's image of PostgreSQL has. The roles have no other meaning; the schemas
/// may be anybody's, but for files that lie in a folder of that name.
fn supabase(error: &SqlError, key: &str) -> Option<String> {
    let path = &error.location.as_ref()?.path;
    let (kind, rest) = error.message.strip_suffix(" does not exist")?.split_once(' ')?;
    let name = rest.trim_matches('"');
    let schema = name.split_once('.').map_or(name, |(schema, _)| schema);
    let is_there = match kind {
        "role" => ["anon", "authenticated", "service_role"].contains(&name),
        "schema" | "relation" | "function" | "type" => {
            ["auth", "storage", "extensions"].contains(&schema)
                && path.components().any(|component| component.as_os_str() == "supabase")
        }
        _ => false,
    };
    is_there.then(|| {
        format!(
            "Supabase's image has it, plain PostgreSQL has not: create it in a source before this one, in `migrations` of \
             `{key}`"
        )
    })
}

/// What helps where a migration folder is invalid.
pub(crate) fn format(error: &FormatError) -> Option<String> {
    Some(match error {
        FormatError::NoFolder { path } => {
            format!("make it (mkdir -p {}), or correct its path in the manifest", path.display())
        }
        FormatError::Encoding { .. } => "save the file as UTF-8".to_owned(),
        FormatError::Duplicate { second, .. } => format!("rename {}", second.display()),
        FormatError::Directive { error, .. } => return error.hint.clone(),
        FormatError::Io { .. } | FormatError::Name { .. } | FormatError::Content { .. } => return None,
    })
}

/// What helps where a command ends without a summary.
pub(crate) fn command(error: &CliError) -> Option<String> {
    Some(match error {
        CliError::Usage { hint, .. } => return hint.clone(),
        CliError::Select(error) => return select(error),
        CliError::Plan(PlanError::Protected { environment, given, .. }) => match given {
            None => format!("if you mean it, add --allow-protected {environment}"),
            Some(given) => format!(
                "--allow-protected names `{given}`; if you mean it, add --allow-protected {environment}"
            ),
        },
        CliError::CannotAsk { .. } => "if you mean it, add --yes".to_owned(),
        CliError::NoManifest { .. } => {
            "use -C DIR or --manifest FILE, or have one written: `dbctl init`, at the root of the repository"
                .to_owned()
        }
        CliError::Format(errors) => return errors.0.first().and_then(format),
        CliError::NewFile(error) => return format(error),
        CliError::Engine(error) => return engine(error, "TARGET"),
        CliError::Embedded(error) => return error.hint(),
        CliError::NoDatabase { key, .. } => {
            format!("`dbctl create {key}` makes it; `dbctl up {key}` migrates and seeds it, too")
        }
        CliError::NoClient { file: None, .. } => {
            "install PostgreSQL's client programs, or use `dbctl exec TARGET -- YOUR_CLIENT`".to_owned()
        }
        CliError::NoClient { file: Some(file), .. } => format!(
            "install SQLite's shell (the package sqlite3 of most systems), or open {} with another client",
            file.display()
        ),
        CliError::PlanElsewhere { .. } => ANEW.to_owned(),
        CliError::PlanFile(_) => "`dbctl plan migrate TARGET -o FILE` writes one".to_owned(),
        CliError::Manifest(_)
        | CliError::Databases(_)
        | CliError::Unreadable(_)
        | CliError::Directory { .. }
        | CliError::Spawn { .. }
        | CliError::Write { .. }
        | CliError::Ask(_)
        | CliError::Declined
        | CliError::Interrupted
        | CliError::Output(_) => return None,
    })
}

fn select(error: &SelectError) -> Option<String> {
    Some(match error {
        SelectError::NoTarget { .. } => {
            "inside a package's folder no target means that package's databases".to_owned()
        }
        SelectError::Unknown { .. } | SelectError::Nothing { .. } => {
            "`dbctl list` shows what there is".to_owned()
        }
        SelectError::Empty { .. } => {
            "`core...` adds what core depends on, `...core` what depends on it, `!core` removes it".to_owned()
        }
        SelectError::AllAndTargets | SelectError::Ambiguous { .. } => return None,
    })
}

#[cfg(test)]
mod tests;
