//! From a request to steps and the edges between them: pure and offline.

use std::{collections::BTreeSet, fmt};

use dbctl_workspace::{Key, Workspace};

use crate::{Action, Flow, Migrate, PlanError, Request};

/// A step's place in [`Plan::steps`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub usize);

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One action on one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its place in the plan.
    pub id: StepId,
    /// The database.
    pub database: Key,
    /// What is done to it.
    pub action: Action,
    /// Steps that must be done before it starts; all of them stand earlier in the plan.
    pub needs: Vec<StepId>,
}

/// The steps of a run, in an order that respects their edges.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The request it was made from.
    pub request: Request,
    /// All steps.
    pub steps: Vec<Step>,
    /// The databases concerned, dependencies first.
    pub databases: Vec<Key>,
}

/// Lays out the steps of a request. Edges come from the transitive closure of the dependencies, so that leaving out
/// the middle of a chain does not let its ends run side by side.
pub fn plan(workspace: &Workspace, request: &Request) -> Result<Plan, PlanError> {
    let environment = workspace.environment();
    if environment.protected
        && let Some((command, effect)) = request.destruction()
        && request.allow_protected.as_deref() != Some(environment.name.as_str())
    {
        return Err(PlanError::Protected {
            environment: environment.name.clone(),
            command,
            effect,
            given: request.allow_protected.clone(),
        });
    }

    let mut chosen = request.targets.clone();
    if request.flow() == Flow::Forward && !request.no_deps {
        for key in &request.targets {
            chosen.extend(workspace.dependencies(key).iter().cloned());
        }
    }
    let databases: Vec<Key> = workspace.order().iter().filter(|key| chosen.contains(*key)).cloned().collect();

    let mut steps: Vec<Step> = Vec::with_capacity(databases.len() * request.actions.len());
    for flow in [Flow::Backward, Flow::Forward] {
        let actions: Vec<&Action> = request.actions.iter().filter(|action| action.flow() == flow).collect();
        if actions.is_empty() {
            continue;
        }
        let walk: Vec<&Key> = match flow {
            Flow::Forward => databases.iter().collect(),
            Flow::Backward => databases.iter().rev().collect(),
        };
        for key in walk {
            let before: &BTreeSet<Key> = match flow {
                Flow::Forward => workspace.dependencies(key),
                Flow::Backward => workspace.dependents(key),
            };
            for action in &actions {
                let needs = needs(&steps, key, before);
                steps.push(Step {
                    id: StepId(steps.len()),
                    database: key.clone(),
                    action: fitted(action, request.targets.contains(key)),
                    needs,
                });
            }
        }
    }
    Ok(Plan { request: request.clone(), steps, databases })
}

/// `--to` is about the databases that were named: those that only come along are migrated to their ends.
fn fitted(action: &Action, named: bool) -> Action {
    match action {
        Action::Migrate(migrate) if !named => Action::Migrate(Migrate { to: None, ..migrate.clone() }),
        _ => action.clone(),
    }
}

/// The last step so far of the database itself and of every database in `before` that walks the same way.
fn needs(steps: &[Step], key: &Key, before: &BTreeSet<Key>) -> Vec<StepId> {
    let mut seen = BTreeSet::new();
    let mut needs: Vec<StepId> = steps
        .iter()
        .rev()
        .filter(|step| {
            (step.database == *key || before.contains(&step.database)) && seen.insert(&step.database)
        })
        .map(|step| step.id)
        .collect();
    needs.sort_unstable();
    needs
}

impl Plan {
    /// The step with that id.
    pub fn step(&self, id: StepId) -> &Step {
        &self.steps[id.0]
    }
}
