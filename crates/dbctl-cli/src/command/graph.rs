//! `dbctl graph`.

use std::collections::{BTreeMap, BTreeSet};

use dbctl_runner::{Required, required_of};
use dbctl_workspace::{Key, Workspace};
use serde::Serialize;

use super::{
    requires::{Requires, of, tie},
    tree::{Arrow, Drawing, reduce},
};
use crate::{
    cli::{Format, Graph, GraphShape},
    console::Console,
    context::Context,
    error::CliError,
    exit::Done,
};

#[derive(Debug, Serialize)]
struct Document<'g> {
    workspace: &'g str,
    databases: Vec<Node<'g>>,
}

#[derive(Debug, Serialize)]
struct Node<'g> {
    key: &'g str,
    name: &'g str,
    depends_on: Vec<&'g str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    requires: Vec<Requires<'g>>,
}

pub(super) fn run(args: &Graph, context: &Context, console: &mut Console<'_>) -> Result<Done, CliError> {
    let shown = context.select_shown(&args.targets)?;
    let keys = context.in_order(&shown);
    let workspace = &context.workspace;
    // What is wrong with the files of one database is for those to say who run them; the others can be drawn.
    let (required, _) = required_of(workspace, &shown);
    if console.mode.format == Format::Ndjson {
        for key in &keys {
            console.json(&node(workspace, key, &required))?;
        }
        return Ok(Done::Well);
    }
    if console.mode.is_json() {
        let databases = keys.iter().map(|key| node(workspace, key, &required)).collect();
        console.json(&Document { workspace: workspace.name(), databases })?;
        return Ok(Done::Well);
    }
    let drawing = drawing(workspace, &keys, &required);
    let text = match args.shape {
        GraphShape::Tree => drawing.tree(),
        GraphShape::Mermaid => drawing.mermaid(Arrow::ToEarlier),
        GraphShape::Dot => drawing.dot(Arrow::ToEarlier),
    };
    console.out.write_all(text.as_bytes())?;
    console.out.flush()?;
    Ok(Done::Well)
}

fn node<'g>(workspace: &'g Workspace, key: &'g Key, required: &'g [Required]) -> Node<'g> {
    let database = workspace.database(key);
    Node {
        key: key.as_str(),
        name: database.name.as_str(),
        depends_on: database.depends_on.iter().map(Key::as_str).collect(),
        requires: of(required, key),
    }
}

/// The databases and what each depends on, but for what another dependency implies; where the middle of a chain is not
/// drawn, its ends are tied.
fn drawing(workspace: &Workspace, keys: &[Key], required: &[Required]) -> Drawing {
    let index: BTreeMap<&Key, usize> = keys.iter().enumerate().map(|(at, key)| (key, at)).collect();
    let label = |key: &Key| {
        let name = &workspace.database(key).name;
        if name.as_str() == key.as_str() { key.to_string() } else { format!("{key} ({name})") }
    };
    let whole = keys.len() == workspace.databases().len();
    let before = |key: &Key| {
        let on = if whole { &workspace.database(key).depends_on } else { workspace.dependencies(key) };
        on.iter().filter_map(|on| index.get(on).copied()).collect()
    };
    let mut after: Vec<BTreeSet<usize>> = keys.iter().map(before).collect();
    reduce(&mut after);
    let nodes = keys.iter().map(label).collect();
    let mut drawing = Drawing { name: workspace.name().to_owned(), nodes, after, ties: BTreeMap::new() };
    tie(&mut drawing, required, &index, &index);
    drawing
}
