//! `dbctl plan`: the steps of a verb and the edges between them, drawn instead of run.

use std::collections::{BTreeMap, BTreeSet};

use dbctl_migration::State;
use dbctl_runner::{
    Action, DatabaseStatus, Plan, Required, Run, StatusEntry, StatusReport, Step, foresee, hooks, needed,
    plan, required_of,
};
use dbctl_workspace::{Key, Workspace};
use serde::Serialize;

use super::{
    plan_file,
    requires::{Requires, of, tie},
    status,
    tree::{Arrow, Drawing, reduce},
};
use crate::{
    cli::{self, Global, PlanShape},
    console::Console,
    context::Context,
    error::CliError,
    exit::Done,
    report::{count, wire},
    run,
    signals::unless_stopped,
};

pub(super) async fn run(
    args: &cli::Plan,
    global: &Global,
    context: &Context,
    console: &mut Console<'_>,
) -> Result<Done, CliError> {
    let mut request = run::requested(&args.verb, global, context, console).await?;
    // Nothing is going to be destroyed.
    request.allow_protected = Some(context.workspace.environment().name.clone());
    let plan = plan(&context.workspace, &request)?;
    let migrated: BTreeSet<Key> =
        plan.steps.iter().filter(|step| runs_files(&step.action)).map(|step| step.database.clone()).collect();
    let (mut required, wrong) = required_of(&context.workspace, &migrated);
    if !wrong.is_empty() {
        return Err(CliError::Databases(wrong));
    }
    let written = match &args.output {
        Some(path) => Some(plan_file::write(path, args.force, &plan, context).await?),
        None => None,
    };
    let report = if args.state { Some(status::look(context, &plan.databases, console).await?) } else { None };
    if let Some(report) = &report
        && !plan.request.actions.contains(&Action::Redo)
    {
        required.retain(|one| is_open(report, one));
    }
    let reverts = if args.state { reverts(context, &plan).await? } else { BTreeMap::new() };
    let state = report.as_ref().map(|report| Observed { report, reverts: &reverts });
    let text = if console.mode.is_json() || args.shape == PlanShape::Json {
        let document = document(&context.workspace, &plan, &required, state);
        crate::console::write_json(console.out, &document, console.mode.format != cli::Format::Ndjson)?;
        String::new()
    } else {
        let drawing = drawing(&context.workspace, &plan, &required, state);
        match args.shape {
            PlanShape::Tree => format!("{}\n{}", headline(&plan), drawing.tree()),
            PlanShape::Mermaid => drawing.mermaid(Arrow::ToLater),
            PlanShape::Dot => drawing.dot(Arrow::ToLater),
            PlanShape::Json => String::new(),
        }
    };
    console.out.write_all(text.as_bytes())?;
    console.out.flush()?;
    if let Some(written) = written.filter(|_| !console.mode.quiet) {
        writeln!(console.err, "{written}")?;
    }
    Ok(report.map_or(Done::Well, |report| Done::Status { report, check: false }))
}

/// The databases as they are now.
#[derive(Clone, Copy)]
struct Observed<'p> {
    report: &'p StatusReport,
    /// The migrations that would be reverted, in that order, where it is about those.
    reverts: &'p BTreeMap<Key, Vec<String>>,
}

/// What the plan would revert; what is known to be refused is an error.
async fn reverts(context: &Context, plan: &Plan) -> Result<BTreeMap<Key, Vec<String>>, CliError> {
    let is_back = |action: &Action| matches!(action, Action::Rollback(_) | Action::Redo);
    if !plan.request.actions.iter().any(is_back) {
        return Ok(BTreeMap::new());
    }
    let targets = context.targets(&needed(&context.workspace, plan))?;
    let run =
        Run { workspace: &context.workspace, plan, targets: &targets, elsewhere: &[], stamp: &context.stamp };
    let foreseen = unless_stopped(foresee(run, &context.engine)).await?;
    if foreseen.failed.is_empty() { Ok(foreseen.reverts) } else { Err(CliError::Databases(foreseen.failed)) }
}

fn headline(plan: &Plan) -> String {
    format!(
        "{}: {} in {}",
        plan.request.command,
        count(plan.steps.len(), "step"),
        count(plan.databases.len(), "database")
    )
}

/// Whether a step runs up parts of migration files, which may require others.
fn runs_files(action: &Action) -> bool {
    match action {
        Action::Migrate(migrate) => !migrate.fake,
        Action::Redo => true,
        Action::Create
        | Action::Drop { .. }
        | Action::Rollback(_)
        | Action::Undo { .. }
        | Action::Seed { .. }
        | Action::Clean
        | Action::Baseline(_)
        | Action::Edit(_) => false,
    }
}

/// Whether the file that requires something is still to be applied, as far as that is known.
fn is_open(report: &StatusReport, required: &Required) -> bool {
    let status = report.databases.iter().find(|status| status.key == required.database);
    let is_it = |entry: &StatusEntry| entry.name == required.migration && entry.state == State::Applied;
    !status.is_some_and(|status| status.migrations.iter().any(is_it))
}

/// Steps that follow each other on one database are one node.
fn drawing(
    workspace: &Workspace,
    plan: &Plan,
    required: &[Required],
    observed: Option<Observed<'_>>,
) -> Drawing {
    let mut node_of: Vec<usize> = Vec::with_capacity(plan.steps.len());
    let mut nodes: Vec<(&Key, Vec<&Step>)> = Vec::new();
    let mut after: Vec<BTreeSet<usize>> = Vec::new();
    for step in &plan.steps {
        let joins = matches!(nodes.last(), Some((key, steps)) if **key == step.database
            && steps.last().is_some_and(|last| last.action.flow() == step.action.flow()));
        if joins {
            if let Some((_, steps)) = nodes.last_mut() {
                steps.push(step);
            }
        } else {
            nodes.push((&step.database, vec![step]));
            after.push(step.needs.iter().map(|need| node_of[need.0]).collect());
        }
        node_of.push(nodes.len() - 1);
    }
    let state: BTreeMap<&Key, &DatabaseStatus> =
        observed.iter().flat_map(|now| &now.report.databases).map(|status| (&status.key, status)).collect();
    let label = |(key, steps): &(&Key, Vec<&Step>)| {
        let names: Vec<&str> = steps.iter().map(|step| step.action.name()).collect();
        let mut label = format!("{key} ({}): {}", workspace.database(key).name, names.join(" → "));
        for (hook, command) in steps.iter().flat_map(|step| hooks(workspace, &plan.request, step)) {
            label.push_str(&format!("\n{hook}: {command}"));
        }
        let migrates = steps.iter().any(|step| matches!(step.action, Action::Migrate(_)));
        if let Some(status) = state.get(key).filter(|_| migrates) {
            label.push_str(&pending_lines(status));
        }
        for name in observed.iter().filter_map(|now| now.reverts.get(key)).flatten() {
            label.push_str(&format!("\n- {name}"));
        }
        label
    };
    reduce(&mut after);
    let mut drawing = Drawing {
        name: workspace.name().to_owned(),
        nodes: nodes.iter().map(label).collect(),
        after,
        ties: BTreeMap::new(),
    };
    let all = nodes.iter().enumerate();
    let with_files = all.filter(|(_, (_, steps))| steps.iter().any(|step| runs_files(&step.action)));
    let with_files: BTreeMap<&Key, usize> = with_files.map(|(at, (key, _))| (*key, at)).collect();
    tie(&mut drawing, required, &with_files, &with_files);
    drawing
}

/// What of a database's state matters to a migrate step, each in a line that begins with a line break.
fn pending_lines(status: &DatabaseStatus) -> String {
    if let Some(error) = &status.error {
        return format!("\n? {error}");
    }
    let mut lines = status.blocked.as_ref().map(|reason| format!("\n? {reason}")).unwrap_or_default();
    for entry in not_applied(status) {
        let (name, state) = (&entry.name, entry.state.as_str().replace('_', " "));
        match entry.state {
            State::Pending => match &entry.held_by {
                Some(file) => lines.push_str(&format!("\n= {name} (held by {file})")),
                None => lines.push_str(&format!("\n+ {name}")),
            },
            State::OutOfOrder | State::Partial => lines.push_str(&format!("\n+ {name} ({state})")),
            State::Changed | State::Missing | State::Failed => {
                lines.push_str(&format!("\n! {name} ({state})"));
            }
            State::Applied => {}
        }
    }
    if lines.is_empty() { "\nnothing pending".to_owned() } else { lines }
}

fn not_applied(status: &DatabaseStatus) -> impl Iterator<Item = &StatusEntry> {
    status.migrations.iter().filter(|entry| entry.state != State::Applied)
}

#[derive(Debug, Serialize)]
struct Document<'p> {
    command: &'p str,
    workspace: &'p str,
    environment: &'p str,
    steps: Vec<StepOf<'p>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    databases: Option<Vec<StateOf<'p>>>,
}

#[derive(Debug, Serialize)]
struct StepOf<'p> {
    id: usize,
    database: &'p str,
    name: &'p str,
    action: &'p str,
    /// But for those that another need implies.
    needs: BTreeSet<usize>,
    /// What it runs besides if it changes something.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hooks: Vec<HookOf<'p>>,
    /// What its files require of other databases.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    requires: Vec<Requires<'p>>,
}

#[derive(Debug, Serialize)]
struct HookOf<'p> {
    hook: &'static str,
    command: &'p str,
}

#[derive(Debug, Serialize)]
struct StateOf<'p> {
    key: &'p str,
    name: &'p str,
    server: &'p str,
    exists: Option<bool>,
    /// What the verb would apply.
    pending: Vec<&'p str>,
    /// What it would revert, in that order.
    #[serde(skip_serializing_if = "Option::is_none")]
    reverts: Option<&'p [String]>,
    not_applied: Vec<NotApplied<'p>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked: Option<wire::Error>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<wire::Error>,
}

#[derive(Debug, Serialize)]
struct NotApplied<'p> {
    source: &'p str,
    version: &'p str,
    name: &'p str,
    state: &'static str,
    /// The baseline that is to be run instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_by: Option<&'p str>,
}

fn document<'p>(
    workspace: &'p Workspace,
    plan: &'p Plan,
    required: &'p [Required],
    observed: Option<Observed<'p>>,
) -> Document<'p> {
    let hooks_of = |step: &Step| {
        let hooks = hooks(workspace, &plan.request, step).into_iter();
        hooks.map(|(hook, command)| HookOf { hook: hook.as_str(), command }).collect()
    };
    let mut needs: Vec<BTreeSet<usize>> =
        plan.steps.iter().map(|step| step.needs.iter().map(|need| need.0).collect()).collect();
    reduce(&mut needs);
    Document {
        command: plan.request.command,
        workspace: workspace.name(),
        environment: &workspace.environment().name,
        steps: plan
            .steps
            .iter()
            .zip(needs)
            .map(|(step, needs)| StepOf {
                id: step.id.0,
                database: step.database.as_str(),
                name: workspace.database(&step.database).name.as_str(),
                action: step.action.name(),
                needs,
                hooks: hooks_of(step),
                requires: if runs_files(&step.action) { of(required, &step.database) } else { Vec::new() },
            })
            .collect(),
        databases: observed.map(|now| {
            let reverts = |status: &DatabaseStatus| now.reverts.get(&status.key).map(Vec::as_slice);
            now.report.databases.iter().map(|status| state_of(status, reverts(status))).collect()
        }),
    }
}

fn state_of<'p>(status: &'p DatabaseStatus, reverts: Option<&'p [String]>) -> StateOf<'p> {
    StateOf {
        key: status.key.as_str(),
        name: &status.name,
        server: &status.server,
        exists: status.exists,
        pending: not_applied(status)
            .filter(|entry| matches!(entry.state, State::Pending | State::OutOfOrder | State::Partial))
            .filter(|entry| entry.held_by.is_none() && status.blocked.is_none())
            .map(|entry| entry.name.as_str())
            .collect(),
        reverts,
        not_applied: not_applied(status)
            .map(|entry| NotApplied {
                source: &entry.source,
                version: &entry.version,
                name: &entry.name,
                state: entry.state.as_str(),
                held_by: entry.held_by.as_deref(),
            })
            .collect(),
        blocked: status.blocked.as_deref().map(|reason| wire::error(reason, status.key.as_str())),
        error: status.error.as_deref().map(|error| wire::error(error, status.key.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::report;

    #[test]
    fn whatever_is_not_applied_is_listed() {
        let report = report();
        let lines: Vec<String> = report.databases[..3].iter().map(pending_lines).collect();
        insta::assert_snapshot!(lines.join("\n---"), @r"
        nothing pending
        ---
        ! 2_b (changed)
        + 3_c (out of order)
        ! 4_d (missing)
        ! 5_e (failed)
        + 6_f (partial)
        + 7_g
        + 8_h
        ---
        + 1_a
        ");
        let state = serde_json::to_string_pretty(&state_of(&report.databases[1], None)).unwrap();
        insta::assert_snapshot!(state, @r#"
        {
          "key": "mextrack",
          "name": "mextrack_db",
          "server": "localhost:5432",
          "exists": true,
          "pending": [
            "3_c",
            "6_f",
            "7_g",
            "8_h"
          ],
          "not_applied": [
            {
              "source": "migrations",
              "version": "2",
              "name": "2_b",
              "state": "changed"
            },
            {
              "source": "migrations",
              "version": "3",
              "name": "3_c",
              "state": "out_of_order"
            },
            {
              "source": "migrations",
              "version": "4",
              "name": "4_d",
              "state": "missing"
            },
            {
              "source": "migrations",
              "version": "5",
              "name": "5_e",
              "state": "failed"
            },
            {
              "source": "migrations",
              "version": "6",
              "name": "6_f",
              "state": "partial"
            },
            {
              "source": "migrations",
              "version": "7",
              "name": "7_g",
              "state": "pending"
            },
            {
              "source": "migrations",
              "version": "8",
              "name": "8_h",
              "state": "pending"
            }
          ]
        }
        "#);
    }
}
