//! All or nothing: what is refused before anything begins, and how what is done in open transactions is committed.
//!
//! Until every database has succeeded each holds its transaction and its locks, on a connection of its own. Then they
//! are committed back to back, what is depended on first.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use dbctl_engine::{Atomic as Session, EngineError, Reader, TwoPhase};
use dbctl_migration::{Dialect, Progress};
use dbctl_workspace::{Hook, Key};

use crate::{
    Action, Atomic, Event, Migrate, Outcome, StepError, StepId,
    action::{StepContext, migrate},
    baseline::{self, Item},
    execute::Shared,
    files::{SourceFiles, read_sources, reconcile_all},
    gate::Seated,
    hook, requires,
    summary::Skip,
    two_phase,
};

/// What a step has done in a transaction that is still open.
pub(crate) struct Held<'a> {
    /// Until it is closed.
    pub(crate) session: Option<Seated<'a, dyn Session + 'a>>,
    /// Whether there is anything in it.
    pub(crate) changed: bool,
    pub(crate) elapsed: Duration,
}

impl<'a> Held<'a> {
    pub(crate) fn session(&mut self) -> &mut (dyn Session + 'a) {
        &mut **self.session.as_mut().expect("it is closed last of all")
    }

    pub(crate) async fn close(&mut self) {
        if let Some(session) = self.session.take() {
            session.close().await;
        }
    }
}

/// What a check has found in a database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Looked {
    /// Whether anything is pending.
    changes: bool,
    /// How many transactions its server keeps prepared, and has.
    prepared: (usize, usize),
}

/// How a step has ended.
pub(crate) type End = (StepId, Outcome, Duration);

/// Sees that every server takes the connections that have to be open at once. Gives the first database of each that
/// does not.
pub(crate) fn check_connections(shared: &Shared<'_>) -> Vec<(Key, StepError)> {
    let run = &shared.run;
    let mut needed: BTreeMap<&str, (&Key, BTreeSet<&Key>, bool)> = BTreeMap::new();
    for key in &run.plan.databases {
        needed.entry(run.targets[key].server.as_str()).or_insert((key, BTreeSet::new(), false)).1.insert(key);
    }
    // What is required of a database outside the run is looked up while others hold theirs.
    for key in &run.plan.databases {
        for upstream in requires::required(run.workspace, key) {
            let target = run.targets.get(&upstream).filter(|_| !run.plan.databases.contains(&upstream));
            if let Some((.., look)) = target.and_then(|target| needed.get_mut(target.server.as_str())) {
                *look = true;
            }
        }
    }
    let mut failed = Vec::new();
    for (server, (first, keys, looks)) in needed {
        let (needed, cap) = (keys.len() + usize::from(looks), shared.gate.cap(&run.targets[first]));
        if needed > cap {
            failed.push((first.clone(), StepError::Connections { server: server.to_owned(), needed, cap }));
        }
    }
    failed
}

/// Sees that everything pending fits one transaction, through a session that cannot write.
pub(crate) async fn check(
    context: &StepContext<'_>,
    migrate: &Migrate,
    sources: &[SourceFiles],
) -> Result<(), StepError> {
    if migrate.atomic() == Some(Atomic::TwoPhase) && context.target.dialect() == Dialect::Sqlite {
        return Err(EngineError::Unsupported(format!(
            "{} is a SQLite file, which prepares no transactions: use --atomic=one-phase, or migrate it in a run of its own",
            context.target.name
        ))
        .into());
    }
    let mut reader = context.open_reader().await?;
    let mut looked = reader.two_phase().await;
    if let Ok(TwoPhase { open, .. }) = &mut looked
        && !open.is_empty()
        && !context.shared.foresees
    {
        // Now, while no transaction is open that would keep a place.
        reader.close().await;
        context.settle(&std::mem::take(open)).await?;
        reader = context.open_reader().await?;
        looked = reader.two_phase().await;
    }
    let checked: Result<Looked, StepError> = async {
        let looked = looked?;
        let prepared = (looked.most, looked.taken);
        let changes = check_pending(context, &mut *reader, migrate, sources).await?;
        Ok(Looked { changes, prepared })
    }
    .await;
    reader.close().await;
    context.shared.keep_looked(&context.database.key, checked?);
    Ok(())
}

/// Sees that every server keeps as many prepared transactions as there are going to be. Gives the first database of each
/// that does not.
pub(crate) fn check_prepared(shared: &Shared<'_>) -> Vec<(Key, StepError)> {
    let (run, looked) = (&shared.run, shared.looked());
    let mut needed: BTreeMap<&str, (&Key, usize, usize, usize)> = BTreeMap::new();
    for key in &run.plan.databases {
        let Some(Looked { changes: true, prepared: (most, taken) }) = looked.get(key) else { continue };
        let server = needed.entry(run.targets[key].server.as_str()).or_insert((key, 0, *most, *taken));
        // What was left in a database that was looked at later is finished by now.
        (server.1, server.3) = (server.1 + 1, *taken.min(&server.3));
    }
    let lacking = |(server, (first, needed, most, taken)): (&str, (&Key, usize, usize, usize))| {
        let server = server.to_owned();
        let error = StepError::PreparedTransactions { server, needed, most, taken };
        (needed + taken > most).then(|| (first.clone(), error))
    };
    needed.into_iter().filter_map(lacking).collect()
}

async fn check_pending(
    context: &StepContext<'_>,
    reader: &mut dyn Reader,
    migrate: &Migrate,
    sources: &[SourceFiles],
) -> Result<bool, StepError> {
    let found = baseline::look(reader, sources).await?;
    let reconciled = reconcile_all(sources, &found.rows);
    // What there is to warn of is said once, when it comes to it.
    let work = migrate::pending(&mut |_| {}, migrate, sources, &reconciled, &found)?;
    for Item { source, entry, .. } in &work {
        let begun = entry.applied.as_ref().is_some_and(
            |row| matches!(row.progress, Progress::Partial { done, started, .. } if done > 0 || started),
        );
        if begun {
            let names = vec![entry.name().to_owned()];
            return Err(StepError::Unfinished { source_name: source.name.clone(), names });
        }
        if let Some(migration) = entry.local {
            context.shared.engine.fits_one_transaction(context.target.dialect(), &migration.up)?;
        }
    }
    let target = context.target;
    if migrate.atomic() == Some(Atomic::TwoPhase)
        && target.pooled
        && target.direct.is_none()
        && !work.is_empty()
    {
        return Err(EngineError::Unsupported(format!(
            "{} is reached through a pooler in transaction mode, and --atomic=two-phase keeps a lock that outlives \
             transactions: give it a way past the pooler with `direct_url`, or use --atomic=one-phase",
            target.name
        ))
        .into());
    }
    Ok(!work.is_empty())
}

/// Runs what the manifest has before migrations, while no transaction is open that a hook could wait for.
pub(crate) async fn hooks_before(contexts: &[StepContext<'_>], steps: &[crate::Step]) -> Option<End> {
    for (context, step) in contexts.iter().zip(steps) {
        let Action::Migrate(migrate) = &step.action else { continue };
        if !hook::is_set(context, Hook::BeforeMigrate) {
            continue;
        }
        let ran = async {
            let sources = read_sources(context.database)?;
            match migrate::any_pending(context, migrate, &sources).await? {
                true => hook::run(context, Hook::BeforeMigrate).await,
                false => Ok(()),
            }
        };
        if let Err(error) = ran.await {
            return Some((step.id, outcome(error), Duration::ZERO));
        }
    }
    None
}

pub(crate) fn outcome(error: StepError) -> Outcome {
    match error.is_cancelled() {
        true => Outcome::Cancelled,
        false => Outcome::Failed(Arc::new(error)),
    }
}

/// Commits everything, or rolls everything back where a database has failed or the run is to stop. Gives how each step
/// has ended.
pub(crate) async fn conclude(
    shared: &Shared<'_>,
    contexts: &[StepContext<'_>],
    mut held: BTreeMap<StepId, Held<'_>>,
    halted_by: Option<Key>,
) -> Vec<End> {
    let mut failed = None;
    if halted_by.is_none() {
        for (id, held) in &mut held {
            if let Err(error) = held.session().ready().await {
                failed = Some((*id, outcome(error.into())));
                break;
            }
        }
    }
    let by = |id: &StepId| contexts[id.0].database.key.clone();
    if failed.is_some() || halted_by.is_some() || shared.cancel.is_cancelled() {
        let halted_by = halted_by.or_else(|| failed.as_ref().map(|(id, _)| by(id)));
        return roll_back(shared, contexts, held, failed, halted_by).await;
    }
    if shared.run.plan.request.atomic() == Some(Atomic::TwoPhase) {
        return two_phase::conclude(shared, contexts, held).await;
    }
    let mut committed = Vec::new();
    while failed.is_none()
        && let Some((id, mut next)) = held.pop_first()
    {
        match next.session().commit().await {
            Ok(()) => committed.push((id, next)),
            Err(error) => {
                let committed = committed.iter().map(|(id, _)| by(id)).collect();
                failed = Some((id, outcome(StepError::NotCommitted { error: Box::new(error), committed })));
                held.insert(id, next);
            }
        }
    }
    let undone = match &failed {
        Some((id, _)) => {
            let halted_by = Some(by(id));
            roll_back(shared, contexts, held, failed, halted_by).await
        }
        None => Vec::new(),
    };
    let mut done = Vec::with_capacity(committed.len());
    for (id, mut held) in committed {
        held.close().await;
        done.push((id, held.elapsed));
    }
    let mut ends = after(contexts, done).await;
    ends.extend(undone);
    ends
}

/// Runs what the manifest has after migrations, now that they are there for everybody to see.
pub(crate) async fn after(contexts: &[StepContext<'_>], committed: Vec<(StepId, Duration)>) -> Vec<End> {
    let mut ends = Vec::with_capacity(committed.len());
    for (id, elapsed) in committed {
        let ran = hook::run(&contexts[id.0], Hook::AfterMigrate).await;
        ends.push((id, ran.map_or_else(outcome, |()| Outcome::Done), elapsed));
    }
    ends
}

/// Undoes what was done, last first.
pub(crate) async fn roll_back(
    shared: &Shared<'_>,
    contexts: &[StepContext<'_>],
    held: BTreeMap<StepId, Held<'_>>,
    failed: Option<(StepId, Outcome)>,
    halted_by: Option<Key>,
) -> Vec<End> {
    let mut ends = Vec::with_capacity(held.len());
    for (id, mut held) in held.into_iter().rev() {
        held.close().await;
        let outcome = match (&failed, &halted_by) {
            (Some((other, outcome)), _) if *other == id => outcome.clone(),
            (_, Some(key)) if !shared.cancel.is_cancelled() => Outcome::Skipped(Skip::Halted(key.clone())),
            _ => Outcome::Cancelled,
        };
        // Of a commit whose answer was lost nobody knows what became of it.
        if held.changed && !matches!(&outcome, Outcome::Failed(error) if error.is_not_committed()) {
            shared.events.emit(Event::RolledBack { database: contexts[id.0].database.key.clone() });
        }
        ends.push((id, outcome, held.elapsed));
    }
    ends.reverse();
    ends
}
