//! Verbs that change databases: what was typed becomes a request, is guarded, asked about, carried out and reported.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Mutex, PoisonError},
};

use dbctl_migration::{Back, OutOfOrder};
use dbctl_runner::{Action, Atomic, Edit, Migrate, Plan, Request, Run, execute, foresee, needed, plan};
use dbctl_workspace::Key;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{self, Global, MigrateArgs, RollbackArgs, Targets, Verb},
    command::{plan_file, runs::which},
    confirm::{self, Affected, Asking},
    console::Console,
    context::{Context, Process},
    error::CliError,
    exit::Done,
    report,
    signals::{Signals, unless_stopped},
};

/// Runs a verb.
pub(crate) async fn run(
    verb: &Verb,
    global: &Global,
    process: &Process,
    console: &mut Console<'_>,
) -> Result<Done, CliError> {
    let context = Context::load(global, process)?;
    let request = requested(verb, global, &context, console).await?;
    carry_out(&request, global, &context, console).await
}

/// Plans a request, asks where it destroys, carries it out and reports.
pub(crate) async fn carry_out(
    request: &Request,
    global: &Global,
    context: &Context,
    console: &mut Console<'_>,
) -> Result<Done, CliError> {
    let plan = plan(&context.workspace, request)?;
    let targets = context.targets(&needed(&context.workspace, &plan))?;
    let elsewhere = context.elsewhere(&targets);
    let run = Run {
        workspace: &context.workspace,
        plan: &plan,
        targets: &targets,
        elsewhere: &elsewhere,
        stamp: &context.stamp,
    };
    if let Some(destruction) = request.destruction().filter(|_| !global.yes) {
        confirm::can_ask(destruction, console)?;
        // Nobody is asked about what is going to be refused.
        let foreseen = unless_stopped(foresee(run, &context.engine)).await?;
        if !foreseen.failed.is_empty() {
            return Err(CliError::Databases(foreseen.failed));
        }
        confirm::ask(&asking(context, &plan, destruction, foreseen.reverts), console).await?;
    }

    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let report = Mutex::new(report::of(console));
    let locked = || report.lock().unwrap_or_else(PoisonError::into_inner);
    let mut written: io::Result<()> = Ok(());
    // Whoever reads the results may stop reading; the run goes on.
    let mut on_event = |event| {
        let reached = context.engine.take_reached();
        if written.is_ok() {
            let mut report = locked();
            let told = reached.iter().try_for_each(|server| report.server(server));
            written = told.and_then(|()| report.event(&event));
        }
    };
    let stopped = async {
        stop.cancelled().await;
        // If this cannot be written, nobody is there to read it.
        let _ = locked().stopping();
    };
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

/// What was typed, as a request. Which run is meant by `rollback --run`, and where it has been at work, the databases say.
pub(crate) async fn requested(
    verb: &Verb,
    global: &Global,
    context: &Context,
    console: &mut Console<'_>,
) -> Result<Request, CliError> {
    match verb {
        Verb::Rollback { targets, rollback: RollbackArgs { run: Some(typed), .. } } => {
            let (run, targets) = which(typed, targets, context, console).await?;
            let request = request_on(verb, global, context, targets)?;
            Ok(Request { actions: vec![Action::Undo { run }], ..request })
        }
        Verb::Migrate { migrate: args @ MigrateArgs { plan: Some(path), .. }, .. } => {
            let plan_file::Read { targets, no_deps, no_hooks, migrate } = plan_file::read(path, context)?;
            let request = request_on(verb, global, context, targets)?;
            let Migrate { dry_run, atomic, .. } = migrate_action(args);
            let migrate = Migrate { dry_run, atomic, ..migrate };
            let no_hooks = no_hooks || request.no_hooks;
            Ok(Request { actions: vec![Action::Migrate(migrate)], no_deps, no_hooks, ..request })
        }
        Verb::Up { .. }
        | Verb::Create { .. }
        | Verb::Drop { .. }
        | Verb::Migrate { .. }
        | Verb::Rollback { .. }
        | Verb::Redo { .. }
        | Verb::Seed { .. }
        | Verb::Clean { .. }
        | Verb::Reset { .. } => request_on(verb, global, context, context.select(targets_of(verb))?),
    }
}

fn request_on(
    verb: &Verb,
    global: &Global,
    context: &Context,
    targets: BTreeSet<Key>,
) -> Result<Request, CliError> {
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
        no_hooks: match verb {
            Verb::Up { hooks, .. }
            | Verb::Create { hooks, .. }
            | Verb::Migrate { hooks, .. }
            | Verb::Redo { hooks, .. }
            | Verb::Seed { hooks, .. }
            | Verb::Clean { hooks, .. }
            | Verb::Reset { hooks, .. } => hooks.no_hooks,
            Verb::Drop { .. } | Verb::Rollback { .. } => false,
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
        Verb::Up { targets, .. }
        | Verb::Create { targets, .. }
        | Verb::Drop { targets, .. }
        | Verb::Migrate { targets, .. }
        | Verb::Rollback { targets, .. }
        | Verb::Redo { targets, .. }
        | Verb::Seed { targets, .. }
        | Verb::Clean { targets, .. }
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
        atomic: args.atomic.map(|how| match how {
            cli::Atomic::OnePhase => Atomic::OnePhase,
            cli::Atomic::TwoPhase => Atomic::TwoPhase,
        }),
        frozen: None,
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

fn asking(
    context: &Context,
    plan: &Plan,
    destruction: (&'static str, &'static str),
    mut reverts: BTreeMap<Key, Vec<String>>,
) -> Asking {
    let databases = plan
        .databases
        .iter()
        .rev()
        .map(|key| Affected {
            key: key.to_string(),
            name: context.workspace.database(key).name.to_string(),
            server: context.server(key),
            reverts: reverts.remove(key),
        })
        .collect();
    Asking {
        destruction,
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
        [Action::Undo { .. }] => "reverts what that run applied to these databases",
        [Action::Redo] => "reverts the last migration of these databases and applies it again",
        [Action::Migrate(_)] => {
            "records pending migrations of these databases as applied, without running them"
        }
        [Action::Baseline(_)] => "records migrations of these databases as applied, without running them",
        [Action::Edit(Edit::Mark { applied: true, .. })] => {
            "records a migration of these databases as applied, without running it"
        }
        [Action::Edit(Edit::Mark { applied: false, .. })] => {
            "forgets that a migration of these databases is applied, without reverting it"
        }
        [Action::Edit(Edit::Resolve { .. })] => "records what became of a migration of these databases",
        [Action::Edit(Edit::Repair { .. })] => {
            "records files of these databases that have changed as they are now"
        }
        _ => "changes these databases",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::Command,
        testing::{World, cli},
    };

    fn planned(world: &World, line: &str) -> Result<(Context, Plan), CliError> {
        let cli = cli(line);
        let Command::Verb(verb) = &cli.command else { panic!("{line} is no verb") };
        let context = Context::load(&cli.global, &world.process(&[]))?;
        let request = request_on(verb, &cli.global, &context, context.select(targets_of(verb))?)?;
        let plan = plan(&context.workspace, &request)?;
        Ok((context, plan))
    }

    fn keys<'k>(keys: impl IntoIterator<Item = &'k Key>) -> String {
        keys.into_iter().map(Key::as_str).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_what_a_run_needs_is_reached() {
        let world = World::new();
        for (line, databases, reached) in [
            ("migrate shop", "core shop", "core shop"),
            ("migrate shop --no-deps", "shop", "core shop"),
            ("migrate core", "core", "core"),
            ("migrate core --fake", "core", "core"),
            ("migrate shop --fake", "shop", "core shop"),
            ("up core", "core", "core"),
            // The seeds of `shop` are run by a program, which sees LONE_URL.
            ("seed shop", "core shop", "core lone shop"),
            ("clean shop", "shop", "shop"),
            ("rollback core", "core", "core"),
            ("drop core", "core", "core shop stats"),
            ("drop core --ignore-dependents", "core", "core"),
            ("reset stats", "stats", "core shop stats"),
        ] {
            let (context, plan) = planned(&world, line).unwrap();
            assert_eq!(keys(&plan.databases), databases, "{line}");
            assert_eq!(keys(&needed(&context.workspace, &plan)), reached, "{line}");
        }
    }

    #[test]
    fn verbs_become_actions() {
        let world = World::new();
        let actions = |line: &str| planned(&world, line).unwrap().1.request.actions;
        assert_eq!(actions("rollback core"), [Action::Rollback(Back::Count(1))]);
        assert_eq!(actions("rollback core --count 3"), [Action::Rollback(Back::Count(3))]);
        assert_eq!(actions("rollback core --to zero"), [Action::Rollback(Back::All)]);
        assert_eq!(actions("rollback core --to 7"), [Action::Rollback(Back::To("7".to_owned()))]);
        assert_eq!(actions("rollback core --only 7_a"), [Action::Rollback(Back::Only("7_a".to_owned()))]);
        assert_eq!(actions("drop core --disconnect"), [Action::Drop { disconnect: true }]);
        assert_eq!(actions("reset core").len(), 4);
        let deny = Migrate { out_of_order: Some(OutOfOrder::Deny), ..Migrate::default() };
        assert_eq!(actions("migrate core --out-of-order deny"), [Action::Migrate(deny)]);
    }

    #[test]
    fn what_takes_one_database_takes_no_more() {
        let world = World::new();
        for (line, message) in [
            ("rollback core shop --count 2", "--count takes one database, and 2 were named: core, shop"),
            ("rollback ...core --to zero", "--to takes one database, and 3 were named: core, shop, stats"),
            ("rollback core shop --only 1_a", "--only takes one database, and 2 were named: core, shop"),
            ("migrate tag:app --to 7", "--to takes one database, and 2 were named: shop, stats"),
        ] {
            assert_eq!(planned(&world, line).err().map(|error| error.to_string()).as_deref(), Some(message));
        }
        // What comes along was not named, and goes to its end.
        let (_, plan) = planned(&world, "migrate shop --to 7").unwrap();
        let to = |step: &dbctl_runner::Step| match &step.action {
            Action::Migrate(migrate) => migrate.to.clone(),
            _ => None,
        };
        assert_eq!(plan.steps.iter().map(to).collect::<Vec<_>>(), [None, Some("7".to_owned())]);
    }

    #[test]
    fn the_question_names_what_goes_first_first() {
        let world = World::new();
        let (context, plan) = planned(&world, "drop ...shop").unwrap();
        let asking = asking(&context, &plan, plan.request.destruction().unwrap(), BTreeMap::new());
        let shown = |Affected { key, name, server, .. }: &Affected| format!("{key} {name} {server}");
        let databases: Vec<String> = asking.databases.iter().map(shown).collect();
        assert_eq!(databases, ["stats stats db.example:5432", "shop shop db.example:6432"]);
        assert_eq!(asking.effect, "drops these databases with all they hold");
    }

    #[test]
    fn a_protected_environment_wants_its_name() {
        let world = World::new();
        let plan = |line: &str| planned(&world, line).map(drop).map_err(|error| error.to_string());
        let refused = "`drop` destroys data, and the environment `production` is protected";
        assert_eq!(plan("--env production drop core"), Err(refused.to_owned()));
        assert_eq!(plan("--env production drop core --allow-protected staging"), Err(refused.to_owned()));
        assert_eq!(plan("--env production drop core --allow-protected production"), Ok(()));
        assert_eq!(plan("--env production migrate core"), Ok(()));
        let faked = "`migrate --fake` records migrations as applied without running them, and the environment `production` is protected";
        assert_eq!(plan("--env production migrate core --fake"), Err(faked.to_owned()));
    }
}
