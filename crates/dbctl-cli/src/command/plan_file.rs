//! Plan files: what `plan migrate -o FILE` writes and `migrate --plan FILE` reads. docs/output.md has the format.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use dbctl_engine::Identity;
use dbctl_migration::{Checksum, OutOfOrder, Progress};
use dbctl_runner::{
    Action, Frozen, FrozenDatabase, FrozenFile, FrozenRow, Migrate, Plan, Request, Run, freeze,
};
use dbctl_workspace::Key;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::{context::Context, error::CliError, paths::relative, signals::unless_stopped};

/// What every plan file says of itself.
const KIND: &str = "dbctl-plan";

/// The version of the format.
const VERSION: u64 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    kind: String,
    version: u64,
    /// The version of dbctl that made it; for people alone.
    dbctl: String,
    /// When it was made; for people alone.
    made_at: String,
    command: String,
    workspace: String,
    environment: String,
    /// Hex SHA-256 of the manifest's text, line endings as `\n`.
    manifest: String,
    options: Options,
    databases: Vec<DatabaseOf>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The databases that were named.
    targets: Vec<String>,
    no_deps: bool,
    no_hooks: bool,
    to: Option<String>,
    out_of_order: Option<Order>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    Allow,
    Warn,
    Deny,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DatabaseOf {
    key: String,
    name: String,
    /// Without a password; for people alone.
    server: String,
    /// The server's system identifier.
    system: String,
    pending: Vec<FileOf>,
    applied: Vec<RowOf>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileOf {
    source: String,
    version: String,
    name: String,
    path: String,
    sha256: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    holds: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowOf {
    source: String,
    version: String,
    name: String,
    checksum: Option<String>,
    state: StateOf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    statements_done: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    statement_started: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    statements_digest: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StateOf {
    Applied,
    Partial,
    Reverting,
    Failed,
}

/// What is read first: whether this version of dbctl can read the rest.
#[derive(Deserialize)]
struct Head {
    kind: String,
    #[expect(dead_code, reason = "reading it is what checks it")]
    version: Supported,
}

struct Supported;

impl<'de> Deserialize<'de> for Supported {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            VERSION => Ok(Self),
            other => Err(D::Error::custom(format!(
                "this is a plan of version {other}, and this dbctl reads version {VERSION}"
            ))),
        }
    }
}

/// Freezes a plan, and writes it. Gives what it holds, in words.
pub(super) async fn write(
    path: &Path,
    force: bool,
    plan: &Plan,
    context: &Context,
) -> Result<String, CliError> {
    let Some(migrate) = frozen_by(&plan.request) else {
        return Err(CliError::usage(
            "only what `migrate` would run can be frozen",
            "`dbctl plan migrate TARGET -o FILE`, without --fake, --dry-run and --plan",
        ));
    };
    let path = context.cwd.join(path);
    let shown = relative(&path, &context.cwd);
    may_write(&path, &shown, force)?;
    let targets = context.targets(&dbctl_runner::needed(&context.workspace, plan))?;
    let run =
        Run { workspace: &context.workspace, plan, targets: &targets, elsewhere: &[], stamp: &context.stamp };
    let frozen = unless_stopped(freeze(run, &context.engine)).await?.map_err(CliError::Databases)?;
    let document = document(&plan.request, migrate, &frozen, context)?;
    let failed = |source| CliError::Write { path: shown.clone(), source };
    let text = serde_json::to_string_pretty(&document).map_err(|error| failed(error.into()))?;
    replace(&path, &format!("{text}\n"), &context.stamp.run).map_err(failed)?;
    let files: usize = frozen.databases.values().map(|database| database.pending.len()).sum();
    let count = crate::report::count;
    Ok(format!(
        "wrote {}: {} in {}",
        shown.display(),
        count(files, "migration"),
        count(frozen.databases.len(), "database")
    ))
}

/// How to migrate, of a request that can be frozen.
fn frozen_by(request: &Request) -> Option<&Migrate> {
    match request.actions.as_slice() {
        [Action::Migrate(migrate)] if !migrate.fake && !migrate.dry_run && migrate.frozen.is_none() => {
            Some(migrate)
        }
        _ => None,
    }
}

/// Sees that nothing is written over but another plan.
fn may_write(path: &Path, shown: &Path, force: bool) -> Result<(), CliError> {
    if is_device(path) {
        return Ok(());
    }
    let is_plan = |text: &[u8]| serde_json::from_slice::<Kind>(text).is_ok_and(|head| head.kind == KIND);
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        _ if force => Ok(()),
        Ok(text) if is_plan(&text) => Ok(()),
        Ok(_) => Err(CliError::usage(
            format!("{} is there already, and is no plan", shown.display()),
            "name another file, or use --force to write over it",
        )),
        Err(source) => Err(CliError::Write { path: shown.to_owned(), source }),
    }
}

/// A plan of whatever version.
#[derive(Deserialize)]
struct Kind {
    kind: String,
}

/// Whether it is there and keeps nothing: `/dev/stdout`, a pipe.
fn is_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Writes a file whole or not at all. A link stays one, and a device is written to, not replaced.
fn replace(path: &Path, text: &str, unique: &str) -> io::Result<()> {
    if is_device(path) {
        return fs::write(path, text);
    }
    let real = fs::canonicalize(path);
    let path = real.as_deref().unwrap_or(path);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{unique}"));
    let aside = path.with_file_name(name);
    let written = fs::write(&aside, text).and_then(|()| fs::rename(&aside, path));
    if written.is_err() {
        // It says why; what is left of it is of no use.
        let _ = fs::remove_file(&aside);
    }
    written
}

fn document(
    request: &Request,
    migrate: &Migrate,
    frozen: &Frozen,
    context: &Context,
) -> Result<Document, CliError> {
    let workspace = &context.workspace;
    Ok(Document {
        kind: KIND.to_owned(),
        version: VERSION,
        dbctl: context.stamp.dbctl_version.clone(),
        made_at: format!("{:.0}", jiff::Timestamp::now()),
        command: "migrate".to_owned(),
        workspace: workspace.name().to_owned(),
        environment: workspace.environment().name.clone(),
        manifest: manifest(context)?,
        options: Options {
            targets: request.targets.iter().map(ToString::to_string).collect(),
            no_deps: request.no_deps,
            no_hooks: request.no_hooks,
            to: migrate.to.clone(),
            out_of_order: migrate.out_of_order.map(|order| match order {
                OutOfOrder::Allow => Order::Allow,
                OutOfOrder::Warn => Order::Warn,
                OutOfOrder::Deny => Order::Deny,
            }),
        },
        databases: context
            .workspace
            .order()
            .iter()
            .filter_map(|key| Some(database_of(key, frozen.databases.get(key)?)))
            .collect(),
    })
}

/// The checksum of the manifest.
fn manifest(context: &Context) -> Result<String, CliError> {
    let path = context.workspace.manifest();
    let text = fs::read_to_string(path).map_err(|source| {
        CliError::PlanFile(Unread::of(path, context, format!("cannot be read: {source}")))
    })?;
    Ok(Checksum::of_text(&text).to_string())
}

fn database_of(key: &Key, database: &FrozenDatabase) -> DatabaseOf {
    let file = |file: &FrozenFile| FileOf {
        source: file.source.clone(),
        version: file.version.clone(),
        name: file.name.clone(),
        path: file.path.clone(),
        sha256: file.checksum.clone(),
        holds: file.held.clone(),
    };
    DatabaseOf {
        key: key.to_string(),
        name: database.identity.database.clone(),
        server: database.server.clone(),
        system: database.identity.system.clone(),
        pending: database.pending.iter().map(file).collect(),
        applied: database.applied.iter().map(row_of).collect(),
    }
}

fn row_of(row: &FrozenRow) -> RowOf {
    let (state, at) = match &row.progress {
        Progress::Whole => (StateOf::Applied, None),
        Progress::Failed => (StateOf::Failed, None),
        Progress::Partial { done, started, digest } => (StateOf::Partial, Some((*done, *started, digest))),
        Progress::Reverting { done, started, digest } => {
            (StateOf::Reverting, Some((*done, *started, digest)))
        }
    };
    RowOf {
        source: row.source.clone(),
        version: row.version.clone(),
        name: row.name.clone(),
        checksum: row.checksum.clone(),
        state,
        statements_done: at.map(|at| at.0),
        statement_started: at.map(|at| at.1),
        statements_digest: at.and_then(|at| at.2.clone()),
    }
}

/// What a plan file asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// The databases that were named.
    pub(crate) targets: BTreeSet<Key>,
    /// Without their dependencies.
    pub(crate) no_deps: bool,
    /// Without hooks.
    pub(crate) no_hooks: bool,
    /// How to migrate.
    pub(crate) migrate: Migrate,
}

/// Why a plan file is none that can be read.
#[derive(Debug)]
pub(crate) struct Unread {
    /// As people see it.
    pub(crate) path: PathBuf,
    /// Line and column, from 1.
    pub(crate) place: Option<(usize, usize)>,
    /// What is wrong.
    pub(crate) message: String,
}

impl Unread {
    fn of(path: &Path, context: &Context, message: String) -> Self {
        Self { path: relative(path, &context.cwd), place: None, message }
    }
}

/// Reads a plan file, and sees that it is for this workspace as it is.
pub(crate) fn read(path: &Path, context: &Context) -> Result<Read, CliError> {
    let path = context.cwd.join(path);
    let unread = |message: String| CliError::PlanFile(Unread::of(&path, context, message));
    let text = fs::read_to_string(&path).map_err(|source| unread(format!("cannot be read: {source}")))?;
    let document = parse(&text).map_err(|(place, message)| {
        CliError::PlanFile(Unread { place, ..Unread::of(&path, context, message) })
    })?;
    let moved = elsewhere(&document, context)?;
    if !moved.is_empty() {
        return Err(CliError::PlanElsewhere { path: relative(&path, &context.cwd), moved });
    }
    let read = understood(document).map_err(unread)?;
    let known = |key: &&Key| context.workspace.order().contains(key);
    match read.targets.iter().find(|key| !known(key)) {
        Some(key) => Err(unread(format!("this workspace has no database `{key}`"))),
        None => Ok(read),
    }
}

type Misread = (Option<(usize, usize)>, String);

fn parse(text: &str) -> Result<Document, Misread> {
    let head: Head = serde_json::from_str(text).map_err(misread)?;
    if head.kind != KIND {
        return Err((None, format!("this is no plan of dbctl, but `{}`", head.kind)));
    }
    serde_json::from_str(text).map_err(misread)
}

fn misread(error: serde_json::Error) -> Misread {
    let place = (error.line() > 0).then(|| (error.line(), error.column().max(1)));
    let message = error.to_string();
    let at = format!(" at line {} column {}", error.line(), error.column());
    let message = message.strip_suffix(&at).unwrap_or(&message);
    match error.is_eof() {
        true => (place, format!("the plan is cut short: {message}")),
        false => (place, message.to_owned()),
    }
}

/// What is not as it was, of the workspace as a whole.
fn elsewhere(document: &Document, context: &Context) -> Result<Vec<String>, CliError> {
    let workspace = &context.workspace;
    let mut moved = Vec::new();
    if document.workspace != workspace.name() {
        moved.push(format!(
            "it is for the workspace `{}`, and this is `{}`",
            document.workspace,
            workspace.name()
        ));
    }
    let environment = &workspace.environment().name;
    if document.environment != *environment {
        moved.push(format!(
            "it is for the environment `{}`, and this is `{environment}`",
            document.environment
        ));
    }
    if document.manifest != manifest(context)? {
        let path = relative(workspace.manifest(), &context.cwd);
        moved.push(format!("{} has changed", path.display()));
    }
    Ok(moved)
}

fn understood(document: Document) -> Result<Read, String> {
    let key = |text: &str| Key::parse(text).map_err(|error| format!("`{text}` is no key: {error}"));
    if document.command != "migrate" {
        return Err(format!("it is a plan of `{}`, and this is `migrate`", document.command));
    }
    let mut databases = BTreeMap::new();
    for database in document.databases {
        let key = key(&database.key)?;
        if databases.insert(key, frozen_of(database)?).is_some() {
            return Err("a database is in it twice".to_owned());
        }
    }
    let Options { targets, no_deps, no_hooks, to, out_of_order } = document.options;
    let migrate = Migrate {
        to,
        out_of_order: out_of_order.map(|order| match order {
            Order::Allow => OutOfOrder::Allow,
            Order::Warn => OutOfOrder::Warn,
            Order::Deny => OutOfOrder::Deny,
        }),
        frozen: Some(Arc::new(Frozen { databases })),
        ..Migrate::default()
    };
    let targets = targets.iter().map(|text| key(text)).collect::<Result<_, _>>()?;
    Ok(Read { targets, no_deps, no_hooks, migrate })
}

fn frozen_of(database: DatabaseOf) -> Result<FrozenDatabase, String> {
    let file = |file: FileOf| FrozenFile {
        source: file.source,
        version: file.version,
        name: file.name,
        path: file.path,
        checksum: file.sha256,
        held: file.holds,
    };
    Ok(FrozenDatabase {
        server: database.server,
        identity: Identity { system: database.system, database: database.name },
        pending: database.pending.into_iter().map(file).collect(),
        applied: database.applied.into_iter().map(frozen_row).collect::<Result<_, _>>()?,
    })
}

fn frozen_row(row: RowOf) -> Result<FrozenRow, String> {
    let at = row.statements_done.zip(row.statement_started);
    let progress = match (row.state, at) {
        (StateOf::Applied, _) => Progress::Whole,
        (StateOf::Failed, _) => Progress::Failed,
        (StateOf::Partial, Some((done, started))) => {
            Progress::Partial { done, started, digest: row.statements_digest }
        }
        (StateOf::Reverting, Some((done, started))) => {
            Progress::Reverting { done, started, digest: row.statements_digest }
        }
        (StateOf::Partial | StateOf::Reverting, None) => {
            return Err(format!(
                "`{}` is not whole, and `statements_done` and `statement_started` do not say how far it is",
                row.name
            ));
        }
    };
    Ok(FrozenRow {
        source: row.source,
        version: row.version,
        name: row.name,
        checksum: row.checksum,
        progress,
    })
}

#[cfg(test)]
mod tests;
