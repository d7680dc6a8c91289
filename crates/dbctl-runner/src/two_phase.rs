//! The two phases of `migrate --atomic=two-phase`. Before the decision is recorded everything is rolled back, after it
//! everything is committed; where it cannot be known whether it is, the next run that writes finds out.

use std::{collections::BTreeMap, sync::Arc};

use dbctl_engine::{Decision, EngineError, Gid, Part};

use crate::{
    Outcome, StepError, StepId,
    action::StepContext,
    atomic::{End, Held, after, outcome, roll_back},
    execute::Shared,
};

/// What is prepared, in the order in which it was.
type Parts = BTreeMap<StepId, Gid>;

/// Commits all or none. The first is where that is decided, whether or not there is anything to commit.
pub(crate) async fn conclude(
    shared: &Shared<'_>,
    contexts: &[StepContext<'_>],
    mut held: BTreeMap<StepId, Held<'_>>,
) -> Vec<End> {
    let Some(first) = held.keys().next().copied() else { return Vec::new() };
    if !held.values().any(|one| one.changed) {
        return unchanged(held).await;
    }
    let mut parts = Parts::new();
    if let Err(failed) = prepare(shared, &mut held, &mut parts).await {
        return undo(shared, contexts, held, &parts, failed).await;
    }
    let named: Vec<Part> = parts.iter().map(|(id, gid)| part(&contexts[id.0], gid)).collect();
    let leader = held.get_mut(&first).expect("it is the first");
    match leader.session().decide(&named).await {
        Ok(()) => commit(shared, contexts, held, &parts).await,
        Err(error @ EngineError::Lost { .. }) => {
            // The answer was lost, perhaps not the decision.
            leader.close().await;
            let gid = &named.first().expect("something has changed").gid;
            match contexts[first.0].decision_of_own(gid).await {
                Ok(Decision::Commit) => commit(shared, contexts, held, &parts).await,
                Ok(Decision::Rollback) => undo(shared, contexts, held, &parts, (first, error)).await,
                Err(error) => in_doubt(shared, held, &parts, &error).await,
            }
        }
        Err(error) => undo(shared, contexts, held, &parts, (first, error)).await,
    }
}

fn part(context: &StepContext<'_>, gid: &Gid) -> Part {
    Part {
        key: context.database.key.to_string(),
        database: context.database.name.to_string(),
        gid: gid.clone(),
    }
}

/// There was nothing to do anywhere: at most tables were made to record in.
async fn unchanged(held: BTreeMap<StepId, Held<'_>>) -> Vec<End> {
    let mut ends = Vec::new();
    for (id, mut one) in held {
        let committed = one.session().commit().await;
        one.close().await;
        let outcome = committed.map_or_else(|error| outcome(error.into()), |()| Outcome::Unchanged);
        ends.push((id, outcome, one.elapsed));
    }
    ends
}

/// The first phase. What may be prepared is in `parts`, also where an answer was lost.
async fn prepare(
    shared: &Shared<'_>,
    held: &mut BTreeMap<StepId, Held<'_>>,
    parts: &mut Parts,
) -> Result<(), (StepId, EngineError)> {
    let mut decided_in = None;
    let stopped = || if shared.cancel.is_cancelled() { Err(EngineError::Cancelled) } else { Ok(()) };
    for (at, (id, one)) in held.iter_mut().enumerate() {
        let prepared = async {
            if at == 0 {
                let identity = one.session().identity().await?;
                decided_in = Some((identity, one.session().lead().await?));
            }
            let Some((decided_in, incarnation)) = decided_in.as_ref().filter(|_| one.changed) else {
                return one.session().commit().await;
            };
            stopped()?;
            let gid = Gid::new(&shared.run.stamp.run, parts.len() + 1, decided_in, *incarnation)?;
            parts.insert(*id, gid.clone());
            one.session().prepare_commit(&gid).await
        };
        prepared.await.map_err(|error| (*id, error))?;
    }
    match held.keys().next() {
        Some(first) => stopped().map_err(|error| (*first, error)),
        None => Ok(()),
    }
}

/// The second phase, once it is decided: nothing but the loss of a server is in its way.
async fn commit(
    shared: &Shared<'_>,
    contexts: &[StepContext<'_>],
    mut held: BTreeMap<StepId, Held<'_>>,
    parts: &Parts,
) -> Vec<End> {
    let mut failed = Vec::new();
    for (id, gid) in parts {
        let Some(one) = held.get_mut(id) else { continue };
        if let Err(error) = finish(&contexts[id.0], one, gid, Decision::Commit).await {
            failed.push((*id, doubt(shared, Some(Decision::Commit), error), one.elapsed));
        }
    }
    let (mut done, mut ends) = (Vec::new(), Vec::new());
    for (id, mut one) in held {
        one.close().await;
        match parts.contains_key(&id) {
            true if failed.iter().all(|(other, ..)| *other != id) => done.push((id, one.elapsed)),
            true => {}
            false => ends.push((id, Outcome::Unchanged, one.elapsed)),
        }
    }
    ends.extend(after(contexts, done).await);
    ends.extend(failed);
    ends
}

/// Does it on the session that has prepared it, else on a new one.
async fn finish(
    context: &StepContext<'_>,
    one: &mut Held<'_>,
    gid: &Gid,
    decision: Decision,
) -> Result<(), EngineError> {
    if one.session.is_some() {
        if one.session().conclude(gid, decision).await.is_ok() {
            return Ok(());
        }
        one.close().await;
    }
    context.conclude(gid, decision).await
}

/// Rolls back what is prepared and what is not yet; the session that leads goes last.
async fn undo(
    shared: &Shared<'_>,
    contexts: &[StepContext<'_>],
    mut held: BTreeMap<StepId, Held<'_>>,
    parts: &Parts,
    (failed, error): (StepId, EngineError),
) -> Vec<End> {
    let mut ends = Vec::new();
    for (id, gid) in parts.iter().rev() {
        let Some(one) = held.get_mut(id) else { continue };
        if let Err(error) = finish(&contexts[id.0], one, gid, Decision::Rollback).await {
            ends.push((*id, doubt(shared, Some(Decision::Rollback), error), one.elapsed));
        }
    }
    for (id, ..) in &ends {
        if let Some(mut one) = held.remove(id) {
            one.close().await;
        }
    }
    let by = contexts[failed.0].database.key.clone();
    let failed = held.contains_key(&failed).then(|| (failed, outcome(error.into())));
    ends.extend(roll_back(shared, contexts, held, failed, Some(by)).await);
    ends
}

/// Leaves everything as it is: whoever comes next finds out.
async fn in_doubt(
    shared: &Shared<'_>,
    held: BTreeMap<StepId, Held<'_>>,
    parts: &Parts,
    error: &EngineError,
) -> Vec<End> {
    let mut ends = Vec::new();
    for (id, mut one) in held {
        one.close().await;
        let outcome = match parts.contains_key(&id) {
            true => doubt(shared, None, EngineError::Unsupported(error.to_string())),
            false => Outcome::Unchanged,
        };
        ends.push((id, outcome, one.elapsed));
    }
    ends
}

fn doubt(shared: &Shared<'_>, decision: Option<Decision>, error: EngineError) -> Outcome {
    let (run, error) = (shared.run.stamp.run.clone(), Box::new(error));
    Outcome::Failed(Arc::new(StepError::InDoubt { run, decision, error }))
}
