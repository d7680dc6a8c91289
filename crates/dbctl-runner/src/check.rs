//! What is looked at before anything is touched: a run that is going to be refused is refused whole.

use std::collections::BTreeSet;

use dbctl_engine::Reader;
use dbctl_migration::State;
use dbctl_workspace::{Key, Workspace};
use futures::{StreamExt, stream};

use crate::{
    Action, Flow, Plan, Request, StepError,
    action::{self, StepContext},
    execute::Shared,
    files::read_sources,
    request::Migrate,
    requires,
    twins::twins,
};

/// The databases that a plan may have to reach: its own, and others where a check or a seed needs them. The variables
/// of all others need not be set.
pub fn needed(workspace: &Workspace, plan: &Plan) -> BTreeSet<Key> {
    let Request { actions, no_deps, ignore_dependents, .. } = &plan.request;
    let any = |wanted: fn(&Action) -> bool| actions.iter().any(wanted);
    let looks_at_dependencies =
        any(|action| action.flow() == Flow::Forward) && (*no_deps || plan.request.flow() == Flow::Backward);
    let drops = any(|action| matches!(action, Action::Drop { .. }));
    let reverts = any(|action| matches!(action, Action::Rollback(_)));
    let redoes = any(|action| matches!(action, Action::Redo));
    let seeds = any(|action| matches!(action, Action::Seed { .. }));
    let mut keys: BTreeSet<Key> = plan.databases.iter().cloned().collect();
    for key in &plan.databases {
        if looks_at_dependencies || redoes {
            keys.extend(workspace.dependencies(key).iter().cloned());
        }
        if drops && !ignore_dependents {
            keys.extend(workspace.dependents(key).iter().cloned());
        }
        if reverts && !ignore_dependents {
            keys.extend(requires::requiring(workspace, key));
        }
        let database = workspace.database(key);
        if seeds && database.seeds.as_ref().is_some_and(|seeds| !seeds.runners.is_empty()) {
            keys.extend(database.env.values().cloned());
        }
    }
    keys
}

/// Checks every database of the plan that needs it, at most `limits.jobs` at once; returns the ones that fail, in
/// the plan's order.
pub(crate) async fn check(shared: &Shared<'_>) -> Vec<(Key, StepError)> {
    let plan = shared.run.plan;
    if let Some(first) = plan.databases.first() {
        let StepContext { ear, .. } = shared.context(first);
        let twins = twins(&plan.databases, shared.run.targets, shared.engine, &shared.session(&ear)).await;
        if !twins.is_empty() {
            return twins;
        }
    }
    let checks: Vec<_> = plan.databases.iter().map(|key| check_database(shared, key)).collect();
    let results: Vec<_> = stream::iter(checks).buffered(plan.request.limits.jobs.get()).collect().await;
    let failed =
        plan.databases.iter().zip(results).filter_map(|(key, result)| Some((key.clone(), result.err()?)));
    failed.collect()
}

async fn check_database(shared: &Shared<'_>, key: &Key) -> Result<(), StepError> {
    let request = &shared.run.plan.request;
    let context = shared.context(key);
    // Folders are read before anything is touched, so that a broken file in the last database stops the first.
    if request.actions.iter().any(needs_files) {
        let sources = read_sources(context.database)?;
        if request.actions.iter().any(|action| matches!(action, Action::Migrate(_) | Action::Redo)) {
            let migrations = sources.iter().flat_map(|source| &source.migrations);
            requires::check_files(shared.run.workspace, context.database, migrations)?;
        }
    }
    let forward = request.actions.iter().find(|action| action.flow() == Flow::Forward);
    if let Some(action) = forward
        && (request.no_deps || request.flow() == Flow::Backward)
    {
        check_dependencies(shared, key, action).await?;
    }
    if request.actions.iter().any(|action| matches!(action, Action::Drop { .. }))
        && !request.ignore_dependents
    {
        check_dependents(shared, key).await?;
    }
    if request.destroys() {
        check_destruction(&context, request).await?;
    }
    Ok(())
}

fn needs_files(action: &Action) -> bool {
    match action {
        Action::Migrate(_) | Action::Rollback(_) | Action::Redo | Action::Clean => true,
        Action::Create | Action::Drop { .. } | Action::Seed { .. } => false,
    }
}

/// A dependency that is left out has to be there, and for anything after `create` up to date.
async fn check_dependencies(shared: &Shared<'_>, key: &Key, action: &Action) -> Result<(), StepError> {
    for dependency in shared.run.workspace.dependencies(key) {
        if shared.run.plan.databases.contains(dependency) {
            continue;
        }
        let context = shared.context(dependency);
        let wrong = |state: String| StepError::Dependency { dependency: dependency.clone(), state };
        if !context.exists().await? {
            return Err(wrong("does not exist".to_owned()));
        }
        if matches!(action, Action::Create) && !shared.run.plan.request.actions.iter().any(needs_files) {
            continue;
        }
        let mut reader = context.open_reader().await?;
        let pending = pending(&context, &mut *reader).await;
        reader.close().await;
        let pending = pending?;
        if pending > 0 {
            let plural = if pending == 1 { "" } else { "s" };
            return Err(wrong(format!("has {pending} pending migration{plural}")));
        }
    }
    Ok(())
}

async fn pending(context: &StepContext<'_>, reader: &mut dyn Reader) -> Result<usize, StepError> {
    let mut pending = 0;
    for source in &read_sources(context.database)? {
        let applied = reader.applied(&source.history()).await?;
        let reconciled = source.reconcile(&applied);
        pending += [State::Pending, State::OutOfOrder, State::Partial]
            .into_iter()
            .map(|state| reconciled.count(state))
            .sum::<usize>();
    }
    Ok(pending)
}

async fn check_dependents(shared: &Shared<'_>, key: &Key) -> Result<(), StepError> {
    for dependent in shared.run.workspace.dependents(key) {
        if !shared.run.plan.databases.contains(dependent) && shared.context(dependent).exists().await? {
            return Err(StepError::Dependent { dependent: dependent.clone() });
        }
    }
    Ok(())
}

/// The environment the database belongs to, and everything about what is to be destroyed that can be known ahead.
async fn check_destruction(context: &StepContext<'_>, request: &Request) -> Result<(), StepError> {
    if !context.exists().await? {
        // Dropping what is not there is no error; the other actions say it themselves when they come to it.
        return Ok(());
    }
    let mut reader = context.open_reader().await?;
    let result = check_in_database(context, &mut *reader, request).await;
    reader.close().await;
    result
}

async fn check_in_database(
    context: &StepContext<'_>,
    reader: &mut dyn Reader,
    request: &Request,
) -> Result<(), StepError> {
    let current = &context.shared.run.workspace.environment().name;
    if let Some(recorded) = reader.environment().await?
        && recorded != *current
    {
        return Err(StepError::Environment { recorded, current: current.clone() });
    }
    for action in &request.actions {
        match action {
            Action::Rollback(back) => action::rollback::check(context, reader, back).await?,
            Action::Redo => action::redo::check(context, reader).await?,
            Action::Clean => action::clean::check(context, reader).await?,
            Action::Create | Action::Drop { .. } | Action::Seed { .. } | Action::Migrate(Migrate { .. }) => {}
        }
    }
    Ok(())
}
