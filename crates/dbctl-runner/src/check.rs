//! What is looked at before anything is touched. What destroys, and what leaves dependencies out, is refused whole.

use std::collections::{BTreeMap, BTreeSet};

use dbctl_engine::{Gid, Reader};
use dbctl_migration::{Back, State};
use dbctl_workspace::{Key, Workspace};
use futures::{StreamExt, stream};

use crate::{
    Action, Atomic, Edit, Flow, Plan, Request, StepError,
    action::{self, StepContext},
    atomic,
    execute::Shared,
    files::{Files, Rows, SourceFiles, applied},
    frozen,
    hook::hooks,
    requires,
    twins::twins,
    undo_order::{Held, Undo, undo_order},
};

/// The databases that a plan may have to reach: its own, and others where a check or a seed needs them. The variables
/// of all others need not be set.
pub fn needed(workspace: &Workspace, plan: &Plan) -> BTreeSet<Key> {
    let Request { actions, no_deps, ignore_dependents, .. } = &plan.request;
    let any = |wanted: fn(&Action) -> bool| actions.iter().any(wanted);
    let looks_at_dependencies =
        any(|action| action.flow() == Flow::Forward) && (*no_deps || plan.request.flow() == Flow::Backward);
    let drops = any(|action| matches!(action, Action::Drop { .. }));
    let reverts = any(|action| Undo::of(action).is_some());
    let redoes = any(|action| matches!(action, Action::Redo));
    let seeds = any(|action| matches!(action, Action::Seed { .. }));
    let mut keys: BTreeSet<Key> = plan.databases.iter().cloned().collect();
    if reverts && !ignore_dependents {
        keys.extend(requires::requiring(workspace, &plan.databases));
    }
    for key in &plan.databases {
        if looks_at_dependencies {
            keys.extend(workspace.dependencies(key).iter().cloned());
        }
        if redoes {
            keys.extend(requires::required(workspace, key));
        }
        if drops && !ignore_dependents {
            keys.extend(workspace.dependents(key).iter().cloned());
        }
        let database = workspace.database(key);
        let has_runners = database.seeds.as_ref().is_some_and(|seeds| !seeds.runners.is_empty());
        let steps = plan.steps.iter().filter(|step| step.database == *key);
        let has_hooks = || steps.into_iter().any(|step| !hooks(workspace, &plan.request, step).is_empty());
        if seeds && has_runners || has_hooks() {
            keys.extend(database.env.values().cloned());
        }
    }
    keys
}

/// What the checks came to.
pub(crate) struct Checked {
    /// The databases that fail, in the plan's order.
    pub(crate) failed: Vec<(Key, StepError)>,
    /// Whether nothing at all may start for that; else what depends on them may not.
    pub(crate) refused: bool,
    /// The migrations that would be reverted, in that order.
    pub(crate) reverts: BTreeMap<Key, Vec<String>>,
}

/// What was looked at in a database of which something is to be reverted.
struct Found {
    held: Held,
    reverts: Vec<String>,
}

/// Checks every database of the plan that needs it, at most `limits.jobs` at once.
pub(crate) async fn check(shared: &Shared<'_>) -> Checked {
    let (plan, request) = (shared.run.plan, &shared.run.plan.request);
    if let Some(first) = plan.databases.first() {
        let StepContext { ear, .. } = shared.context(first);
        let session = shared.session(&ear);
        let twins = twins(&plan.databases, shared.run.targets, shared.engine, &session, &shared.gate).await;
        if !twins.is_empty() {
            return Checked { failed: twins, refused: true, reverts: BTreeMap::new() };
        }
    }
    if request.atomic().is_some() {
        let failed = atomic::check_connections(shared);
        if !failed.is_empty() {
            return Checked { failed, refused: true, reverts: BTreeMap::new() };
        }
    }
    let files = Files::new(shared.run.workspace);
    let checks: Vec<_> = plan.databases.iter().map(|key| check_database(shared, &files, key)).collect();
    let results: Vec<_> = stream::iter(checks).buffered(request.limits.jobs.get()).collect().await;
    let (mut failed, mut applied, mut reverts) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for (key, result) in plan.databases.iter().zip(results) {
        match result {
            Ok(None) => {}
            Ok(Some(found)) => {
                applied.insert(key.clone(), found.held);
                reverts.insert(key.clone(), found.reverts);
            }
            Err(error) => failed.push((key.clone(), error)),
        }
    }
    if failed.is_empty()
        && !request.ignore_dependents
        && let Some(undo) = request.actions.iter().find_map(Undo::of)
    {
        failed = requires::check_unneeded(shared, &files, undo, &applied).await;
    }
    if failed.is_empty() {
        failed = check_vacancy(shared).await;
    }
    if failed.is_empty() && request.atomic() == Some(Atomic::TwoPhase) {
        failed = atomic::check_prepared(shared);
    }
    let whole = request.destroys() || request.no_deps || request.atomic().is_some() || request.is_frozen();
    let mistyped = failed.iter().any(|(_, error)| error.is_mistyped());
    Checked { failed, refused: whole || mistyped, reverts }
}

async fn check_database(
    shared: &Shared<'_>,
    files: &Files<'_>,
    key: &Key,
) -> Result<Option<Found>, StepError> {
    let request = &shared.run.plan.request;
    let context = shared.context(key);
    // Folders are read before anything is touched: a broken file must not be found when half is done.
    let sources = if request.actions.iter().any(needs_files) { Some(files.of(key)?) } else { None };
    let sources: &[SourceFiles] = sources.as_deref().map_or(&[], Vec::as_slice);
    if request.actions.iter().any(|action| matches!(action, Action::Migrate(_) | Action::Redo)) {
        requires::check_files(shared, files, key, sources)?;
    }
    for step in shared.run.plan.steps.iter().filter(|step| step.database == *key) {
        match &step.action {
            Action::Migrate(migrate) => {
                if let Some(to) = &migrate.to {
                    action::migrate::last(sources, to)?;
                }
                frozen::check(&context, migrate, sources).await?;
                if migrate.atomic().is_some() {
                    atomic::check(&context, migrate, sources).await?;
                }
            }
            Action::Seed { .. } => action::seed::check(&context)?,
            Action::Create
            | Action::Drop { .. }
            | Action::Rollback(_)
            | Action::Undo { .. }
            | Action::Redo
            | Action::Clean
            | Action::Baseline(_)
            | Action::Edit(_) => {}
        }
    }
    let forward = request.actions.iter().find(|action| action.flow() == Flow::Forward);
    if let Some(action) = forward
        && (request.no_deps || request.flow() == Flow::Backward)
    {
        check_dependencies(shared, files, key, action).await?;
    }
    if request.actions.iter().any(|action| matches!(action, Action::Drop { .. }))
        && !request.ignore_dependents
    {
        check_dependents(shared, key).await?;
    }
    let found = if request.destroys() { check_destruction(&context, request, sources).await? } else { None };
    if makes_anew(shared.run.plan, key) {
        context.may_create().await?;
    }
    Ok(found)
}

/// Whether the plan drops the database and creates it again.
fn makes_anew(plan: &Plan, key: &Key) -> bool {
    let any = |wanted: fn(&Action) -> bool| {
        plan.steps.iter().any(|step| step.database == *key && wanted(&step.action))
    };
    any(|action| matches!(action, Action::Drop { .. })) && any(|action| matches!(action, Action::Create))
}

fn needs_files(action: &Action) -> bool {
    match action {
        Action::Migrate(_)
        | Action::Rollback(_)
        | Action::Undo { .. }
        | Action::Redo
        | Action::Clean
        | Action::Baseline(_)
        | Action::Edit(_) => true,
        Action::Create | Action::Drop { .. } | Action::Seed { .. } => false,
    }
}

/// A dependency that is left out has to be there, and for anything after `create` up to date.
async fn check_dependencies(
    shared: &Shared<'_>,
    files: &Files<'_>,
    key: &Key,
    action: &Action,
) -> Result<(), StepError> {
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
        let sources = files.of(dependency)?;
        let mut reader = context.open_reader().await?;
        let rows = applied(&mut *reader, &sources).await;
        reader.close().await;
        let pending = pending(&sources, &rows?);
        if pending > 0 {
            let plural = if pending == 1 { "" } else { "s" };
            return Err(wrong(format!("has {pending} pending migration{plural}")));
        }
    }
    Ok(())
}

fn pending(sources: &[SourceFiles], rows: &[Rows]) -> usize {
    let states = [State::Pending, State::OutOfOrder, State::Partial];
    let reconciled = sources.iter().zip(rows).map(|(source, rows)| source.reconcile(rows));
    reconciled.map(|source| states.iter().map(|state| source.count(*state)).sum::<usize>()).sum()
}

/// What is to be dropped is used by nobody else, the sessions of these very checks included: they have been closed.
async fn check_vacancy(shared: &Shared<'_>) -> Vec<(Key, StepError)> {
    let mut failed = Vec::new();
    for step in &shared.run.plan.steps {
        if matches!(step.action, Action::Drop { disconnect: false })
            && let Err(error) = shared.context(&step.database).may_drop().await
        {
            failed.push((step.database.clone(), error));
        }
    }
    failed
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
async fn check_destruction(
    context: &StepContext<'_>,
    request: &Request,
    sources: &[SourceFiles],
) -> Result<Option<Found>, StepError> {
    if !context.exists().await? {
        // Dropping what is not there is no error; the other actions say it themselves when they come to it.
        return Ok(None);
    }
    let mut reader = context.open_reader().await?;
    let mut decided_here = Vec::new();
    let open = reader.two_phase().await.map(|found| {
        decided_here = found.decided_here;
        found.open
    });
    let by_hand = request.actions.iter().any(|action| matches!(action, Action::Edit(Edit::Finish { .. })));
    match open {
        Ok(open) if open.is_empty() || by_hand => {}
        // Once it is finished everything may be different.
        Ok(_) if context.shared.foresees => {
            reader.close().await;
            return Ok(None);
        }
        Ok(open) => {
            reader.close().await;
            context.settle(&open).await?;
            reader = context.open_reader().await?;
        }
        Err(error) => {
            reader.close().await;
            return Err(error.into());
        }
    }
    let result = check_in_database(context, &mut *reader, request, sources).await;
    reader.close().await;
    if request.actions.iter().any(|action| matches!(action, Action::Drop { .. })) {
        decides_nothing(context, decided_here)?;
    }
    result
}

/// Sees that with a database no decision goes that others wait for. Those of the plan are finished by their own checks.
fn decides_nothing(context: &StepContext<'_>, mut decided_here: Vec<(String, Gid)>) -> Result<(), StepError> {
    let run = &context.shared.run;
    decided_here.retain(|(name, _)| {
        let targets = run.plan.databases.iter().map(|key| &run.targets[key]);
        let mut same = targets.filter(|target| target.server == context.target.server);
        !same.any(|target| target.name.as_str() == name)
    });
    match decided_here.first() {
        None => Ok(()),
        Some((_, gid)) => {
            let run = gid.run.clone();
            let databases = decided_here.into_iter().map(|(name, _)| name).collect::<BTreeSet<_>>();
            Err(StepError::Decides { run, databases: databases.into_iter().collect() })
        }
    }
}

async fn check_in_database(
    context: &StepContext<'_>,
    reader: &mut dyn Reader,
    request: &Request,
    sources: &[SourceFiles],
) -> Result<Option<Found>, StepError> {
    let current = &context.shared.run.workspace.environment().name;
    if let Some(recorded) = reader.environment().await?
        && recorded != *current
    {
        return Err(StepError::Environment { recorded, current: current.clone() });
    }
    let mut found = None;
    for action in &request.actions {
        match action {
            Action::Rollback(_) | Action::Undo { .. } => {
                let Some(undo) = Undo::of(action) else { continue };
                found = Some(reverted(reader, sources, undo).await?);
            }
            // What other databases require of it is there again afterwards.
            Action::Redo => {
                found = Some(reverted(reader, sources, Undo::Back(&Back::Count(1))).await?);
            }
            Action::Clean => action::clean::check(context, reader, sources).await?,
            Action::Baseline(adopt) => action::baseline::check(reader, sources, adopt).await?,
            Action::Edit(edit) => action::history::check(reader, sources, edit).await?,
            Action::Create | Action::Drop { .. } | Action::Seed { .. } | Action::Migrate(_) => {}
        }
    }
    Ok(found)
}

async fn reverted(
    reader: &mut dyn Reader,
    sources: &[SourceFiles],
    undo: Undo<'_>,
) -> Result<Found, StepError> {
    let held = Held::read(reader, sources, undo).await?;
    let work = undo_order(sources, &held, undo)?;
    let reverts = work.iter().map(|(_, migration)| migration.name.clone()).collect();
    Ok(Found { held, reverts })
}
