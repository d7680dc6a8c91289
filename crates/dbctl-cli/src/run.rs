//! Verbs that change databases: what was typed becomes a request, is guarded, asked about, carried out and reported.

use std::{
    collections::BTreeSet,
    io,
    sync::{Mutex, PoisonError},
};

use dbctl_migration::{Back, OutOfOrder};
use dbctl_runner::{Action, Flow, Migrate, Plan, Request, Run, execute, plan};
use dbctl_workspace::{Key, Workspace};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{self, Global, MigrateArgs, RollbackArgs, Targets, Verb},
    confirm::{self, Asking},
    console::Console,
    context::{Context, Process},
    error::CliError,
    exit::Done,
    report,
    signals::Signals,
};

/// Runs a verb.
pub(crate) async fn run(
    verb: &Verb,
    global: &Global,
    process: &Process,
    console: &mut Console<'_>,
) -> Result<Done, CliError> {
    let context = Context::load(global, process)?;
    let request = request(verb, global, &context)?;
    let plan = plan(&context.workspace, &request)?;
    let targets = context.targets(&needed(&context.workspace, &plan))?;
    if request.destroys() && !global.yes {
        confirm::ask(&asking(&context, &plan), console)?;
    }

    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let report = Mutex::new(report::of(console));
    let locked = || report.lock().unwrap_or_else(PoisonError::into_inner);
    let mut written: io::Result<()> = Ok(());
    // Whoever reads the results may stop reading; the run goes on.
    let mut on_event = |event| {
        if written.is_ok() {
            written = locked().event(&event);
        }
    };
    let stopped = async {
        stop.cancelled().await;
        // If this cannot be written, nobody is there to read it.
        let _ = locked().stopping();
    };
    let run = Run { workspace: &context.workspace, plan: &plan, targets: &targets, stamp: &context.stamp };
    let summary = tokio::select! {
        biased;
        () = signals.twice(&stop) => return Err(CliError::Interrupted),
        summary = execute(run, &context.engine, stopped, &mut on_event) => summary,
    };
    let written = written.and_then(|()| locked().finish(&summary));
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(Done::Run(summary)),
    }
}

/// What was typed, as a request.
pub(crate) fn request(verb: &Verb, global: &Global, context: &Context) -> Result<Request, CliError> {
    let targets = context.select(targets_of(verb))?;
    let request = Request {
        command: command(verb),
        actions: actions(verb),
        // What is recorded without being run is recorded where it was asked for and nowhere else.
        no_deps: global.no_deps || matches!(verb, Verb::Migrate { migrate, .. } if migrate.fake),
        ignore_dependents: match verb {
            Verb::Drop { drop, .. } | Verb::Reset { drop, .. } => drop.ignore_dependents,
            Verb::Rollback { rollback, .. } => rollback.ignore_dependents,
            Verb::Up { .. }
            | Verb::Create { .. }
            | Verb::Migrate { .. }
            | Verb::Redo { .. }
            | Verb::Seed { .. }
            | Verb::Clean { .. } => false,
        },
        allow_protected: global.allow_protected.clone(),
        limits: context.limits,
        targets,
    };
    if let Some(flag) = one_target_flag(verb)
        && request.targets.len() > 1
    {
        let keys: Vec<&str> = request.targets.iter().map(Key::as_str).collect();
        return Err(CliError::usage(
            format!("{flag} takes one database, and {} were named: {}", keys.len(), keys.join(", ")),
            "name one of them",
        ));
    }
    Ok(request)
}

fn targets_of(verb: &Verb) -> &Targets {
    match verb {
        Verb::Up { targets }
        | Verb::Create { targets }
        | Verb::Drop { targets, .. }
        | Verb::Migrate { targets, .. }
        | Verb::Rollback { targets, .. }
        | Verb::Redo { targets }
        | Verb::Seed { targets }
        | Verb::Clean { targets }
        | Verb::Reset { targets, .. } => targets,
    }
}

fn command(verb: &Verb) -> &'static str {
    match verb {
        Verb::Up { .. } => "up",
        Verb::Create { .. } => "create",
        Verb::Drop { .. } => "drop",
        Verb::Migrate { .. } => "migrate",
        Verb::Rollback { .. } => "rollback",
        Verb::Redo { .. } => "redo",
        Verb::Seed { .. } => "seed",
        Verb::Clean { .. } => "clean",
        Verb::Reset { .. } => "reset",
    }
}

fn actions(verb: &Verb) -> Vec<Action> {
    match verb {
        Verb::Up { .. } => Request::up_actions(),
        Verb::Create { .. } => vec![Action::Create],
        Verb::Drop { drop, .. } => vec![Action::Drop { disconnect: drop.disconnect }],
        Verb::Migrate { migrate, .. } => vec![Action::Migrate(migrate_action(migrate))],
        Verb::Rollback { rollback, .. } => vec![Action::Rollback(back(rollback))],
        Verb::Redo { .. } => vec![Action::Redo],
        Verb::Seed { .. } => vec![Action::Seed { missing_only: false }],
        Verb::Clean { .. } => vec![Action::Clean],
        Verb::Reset { drop, .. } => Request::reset_actions(drop.disconnect),
    }
}

fn migrate_action(args: &MigrateArgs) -> Migrate {
    Migrate {
        to: args.to.clone(),
        fake: args.fake,
        dry_run: args.dry_run,
        out_of_order: args.out_of_order.map(|policy| match policy {
            cli::OutOfOrder::Allow => OutOfOrder::Allow,
            cli::OutOfOrder::Warn => OutOfOrder::Warn,
            cli::OutOfOrder::Deny => OutOfOrder::Deny,
        }),
    }
}

fn back(args: &RollbackArgs) -> Back {
    match (&args.count, args.to.as_deref(), &args.only) {
        (_, Some("zero"), _) => Back::All,
        (_, Some(version), _) => Back::To(version.to_owned()),
        (_, _, Some(name)) => Back::Only(name.clone()),
        (Some(count), None, None) => Back::Count(count.get()),
        (None, None, None) => Back::Count(1),
    }
}

fn one_target_flag(verb: &Verb) -> Option<&'static str> {
    match verb {
        Verb::Migrate { migrate, .. } if migrate.to.is_some() => Some("--to"),
        Verb::Rollback { rollback, .. } if rollback.to.is_some() => Some("--to"),
        Verb::Rollback { rollback, .. } if rollback.count.is_some() => Some("--count"),
        Verb::Rollback { rollback, .. } if rollback.only.is_some() => Some("--only"),
        _ => None,
    }
}

/// The databases that the run may have to reach: those of the plan, and others where a check or a seed needs them.
fn needed(workspace: &Workspace, plan: &Plan) -> BTreeSet<Key> {
    let Request { actions, no_deps, ignore_dependents, .. } = &plan.request;
    let mut keys: BTreeSet<Key> = plan.databases.iter().cloned().collect();
    let forward = actions.iter().any(|action| action.flow() == Flow::Forward);
    let looks_at_dependencies = forward && (*no_deps || plan.request.flow() == Flow::Backward);
    let drops = actions.iter().any(|action| matches!(action, Action::Drop { .. }));
    let seeds = actions.iter().any(|action| matches!(action, Action::Seed { .. }));
    for key in &plan.databases {
        if looks_at_dependencies {
            keys.extend(workspace.dependencies(key).iter().cloned());
        }
        if drops && !ignore_dependents {
            keys.extend(workspace.dependents(key).iter().cloned());
        }
        let database = workspace.database(key);
        if seeds && database.seeds.as_ref().is_some_and(|seeds| !seeds.runners.is_empty()) {
            keys.extend(database.env.values().cloned());
        }
    }
    keys
}

fn asking(context: &Context, plan: &Plan) -> Asking {
    let databases = plan
        .databases
        .iter()
        .rev()
        .map(|key| {
            let name = context.workspace.database(key).name.to_string();
            (key.to_string(), name, context.server(key))
        })
        .collect();
    Asking {
        command: plan.request.command,
        effect: effect(&plan.request),
        environment: context.workspace.environment().name.clone(),
        databases,
    }
}

/// What a destroying request does, for the question.
fn effect(request: &Request) -> &'static str {
    match request.actions.as_slice() {
        [Action::Drop { .. }] => "drops these databases with all they hold",
        [Action::Drop { .. }, ..] => "drops these databases with all they hold, and makes them anew",
        [Action::Clean] => "empties the tables of these databases",
        [Action::Rollback(Back::Count(1))] => "reverts the last migration of these databases",
        [Action::Rollback(Back::All)] => "reverts every migration of these databases",
        [Action::Rollback(_)] => "reverts migrations of these databases",
        [Action::Redo] => "reverts the last migration of these databases and applies it again",
        [Action::Migrate(_)] => {
            "records pending migrations of these databases as applied, without running them"
        }
        _ => "changes these databases",
    }
}
