//! `dbctl list`.

use dbctl_workspace::{Database, Key};
use serde::Serialize;

use crate::{
    cli::{Format, List},
    console::Console,
    context::Context,
    error::CliError,
    exit::Done,
    table,
};

#[derive(Debug, Serialize)]
struct Listed {
    key: String,
    name: String,
    package: Option<String>,
    folder: String,
    server: String,
    depends_on: Vec<String>,
    tags: Vec<String>,
    migrations: Vec<ListedSource>,
}

#[derive(Debug, Serialize)]
struct ListedSource {
    source: String,
    format: &'static str,
}

#[derive(Debug, Serialize)]
struct Document<'l> {
    workspace: &'l str,
    environment: &'l str,
    databases: Vec<Listed>,
}

pub(super) fn run(args: &List, context: &Context, console: &mut Console<'_>) -> Result<Done, CliError> {
    let keys = context.select_shown(&args.targets)?;
    let databases: Vec<Listed> = context
        .in_order(&keys)
        .iter()
        .map(|key| listed(context.workspace.database(key), context, key))
        .collect();
    if console.mode.format == Format::Ndjson {
        for database in &databases {
            console.json(database)?;
        }
    } else if console.mode.is_json() {
        let workspace = &context.workspace;
        let environment = &workspace.environment().name;
        console.json(&Document { workspace: workspace.name(), environment, databases })?;
    } else {
        let rows: Vec<_> = databases.iter().map(row).collect();
        let header = ["DATABASE", "NAME", "PACKAGE", "SERVER", "DEPENDS ON", "TAGS", "FORMATS"];
        for (at, line) in table::lines(header, &rows).iter().enumerate() {
            let line = if at == 0 { console.mode.out.bold(line) } else { line.clone() };
            writeln!(console.out, "{line}")?;
        }
        console.out.flush()?;
    }
    Ok(Done::Well)
}

fn listed(database: &Database, context: &Context, key: &Key) -> Listed {
    let texts = |set: &mut dyn Iterator<Item = String>| set.collect::<Vec<_>>();
    let folder = database.shown_folder().display().to_string();
    let known = database
        .sources
        .iter()
        .map(|source| ListedSource { source: source.name.clone(), format: source.format.kind().as_str() });
    let untold = database.untold.iter().map(|name| ListedSource { source: name.clone(), format: "?" });
    Listed {
        key: key.to_string(),
        name: database.name.to_string(),
        package: database.package.as_ref().and_then(|package| package.name.clone()),
        folder: if folder.is_empty() { ".".to_owned() } else { folder },
        server: context.server(key),
        depends_on: texts(&mut database.depends_on.iter().map(ToString::to_string)),
        tags: texts(&mut database.tags.iter().cloned()),
        migrations: known.chain(untold).collect(),
    }
}

fn row(database: &Listed) -> [String; 7] {
    let mut formats: Vec<&str> = database.migrations.iter().map(|source| source.format).collect();
    formats.dedup();
    [
        database.key.clone(),
        database.name.clone(),
        database.package.clone().unwrap_or_else(|| database.folder.clone()),
        database.server.clone(),
        database.depends_on.join(", "),
        database.tags.join(", "),
        formats.join(", "),
    ]
}
