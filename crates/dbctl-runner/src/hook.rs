//! Hooks: commands of the package's own, before and after what is done to its database.
//!
//! A hook may use the database as it likes, with other tools and their locks: it runs while no session of its own step is
//! open.

use std::time::Instant;

use dbctl_engine::EngineError;
use dbctl_workspace::{Hook, Workspace};

use crate::{
    Action, Event, Request, Step, StepError,
    action::{StepContext, seed},
    program::{self, Failure},
};

/// The commands that a step runs if it comes to change something, in order.
pub fn hooks<'w>(workspace: &'w Workspace, request: &Request, step: &Step) -> Vec<(Hook, &'w str)> {
    let database = workspace.database(&step.database);
    let hooks = match &step.action {
        _ if request.no_hooks => return Vec::new(),
        Action::Create => [Hook::BeforeCreate, Hook::AfterCreate],
        Action::Migrate(migrate) if migrate.fake || migrate.dry_run => return Vec::new(),
        Action::Migrate(_) | Action::Redo => [Hook::BeforeMigrate, Hook::AfterMigrate],
        Action::Seed { .. } => match &database.seeds {
            Some(seeds) if !seed::are_skipped(seeds, workspace.environment()) => {
                [Hook::BeforeSeed, Hook::AfterSeed]
            }
            Some(_) | None => return Vec::new(),
        },
        Action::Clean => [Hook::BeforeClean, Hook::AfterClean],
        Action::Drop { .. }
        | Action::Rollback(_)
        | Action::Undo { .. }
        | Action::Baseline(_)
        | Action::Edit(_) => return Vec::new(),
    };
    let commands = |hook| database.hooks.commands(hook).iter().map(move |command| (hook, command.as_str()));
    hooks.into_iter().flat_map(commands).collect()
}

/// Whether there is anything to run then.
pub(crate) fn is_set(context: &StepContext<'_>, hook: Hook) -> bool {
    !context.shared.run.plan.request.no_hooks && !context.database.hooks.commands(hook).is_empty()
}

/// Runs a hook's commands one after the other; the first that fails ends it.
pub(crate) async fn run(context: &StepContext<'_>, hook: Hook) -> Result<(), StepError> {
    if !is_set(context, hook) {
        return Ok(());
    }
    for command in context.database.hooks.commands(hook) {
        if context.shared.cancel.is_cancelled() {
            return Err(EngineError::Cancelled.into());
        }
        let (database, name) = (context.database.key.clone(), command.clone());
        context.emit(Event::HookStarted { database: database.clone(), hook, command: name.clone() });
        let started = Instant::now();
        program::run(context, command).await?.map_err(|Failure { outcome, tail }| StepError::Hook {
            hook,
            command: command.clone(),
            outcome,
            tail,
        })?;
        let elapsed = started.elapsed();
        context.emit(Event::HookFinished { database, hook, command: name, elapsed });
    }
    Ok(())
}
