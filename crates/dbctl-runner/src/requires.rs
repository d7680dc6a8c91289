//! `-- dbctl:requires`: migrations of one database that build on a migration of another.

use std::collections::BTreeSet;

use dbctl_migration::{Entry, Migration, Progress, Requirement};
use dbctl_workspace::{Database, Key, Workspace};

use crate::{
    StepError,
    action::{StepContext, rollback::Work},
    files::read_sources,
};

/// Whether a person means this migration by a version or a name.
fn is(migration: &Migration, version: &str) -> bool {
    migration.version.as_str() == version || migration.name == version
}

/// Sees that every requirement of these files names a migration on disk, of a database this one depends on.
pub(crate) fn check_files<'m>(
    workspace: &Workspace,
    database: &Database,
    migrations: impl Iterator<Item = &'m Migration>,
) -> Result<(), StepError> {
    for migration in migrations {
        for requirement in &migration.directives.requires {
            let wrong = |problem: String| StepError::RequirementUnknown {
                path: migration.up.path.clone(),
                line: requirement.line,
                problem,
            };
            let name = &requirement.database;
            let upstream = workspace.dependencies(&database.key);
            let Some(key) = upstream.iter().find(|key| key.as_str() == name) else {
                return Err(wrong(format!("`{name}` is no database that `{}` depends on", database.key)));
            };
            let sources = read_sources(workspace.database(key))?;
            let mut found = sources.iter().flat_map(|source| &source.migrations);
            if !found.any(|migration| is(migration, &requirement.version)) {
                return Err(wrong(format!("`{name}` has no migration `{}`", requirement.version)));
            }
        }
    }
    Ok(())
}

/// Sees, right before a migration runs, that what it requires is applied.
pub(crate) async fn check_applied(context: &StepContext<'_>, migration: &Migration) -> Result<(), StepError> {
    for requirement in &migration.directives.requires {
        let upstream = context.shared.run.workspace.dependencies(&context.database.key);
        let Some(key) = upstream.iter().find(|key| key.as_str() == requirement.database) else { continue };
        if !is_applied(&context.shared.context(key), &requirement.version).await? {
            return Err(StepError::RequirementUnmet {
                path: migration.up.path.clone(),
                line: requirement.line,
                database: requirement.database.clone(),
                version: requirement.version.clone(),
            });
        }
    }
    Ok(())
}

async fn is_applied(context: &StepContext<'_>, version: &str) -> Result<bool, StepError> {
    let sources = read_sources(context.database)?;
    let mut reader = context.open_reader().await?;
    let mut result = Ok(false);
    for source in &sources {
        match reader.applied(&source.history()).await {
            Ok(applied) => {
                let reconciled = source.reconcile(&applied);
                let mut entries = reconciled.entries.iter();
                if entries.any(|entry| is_whole(entry) && entry.matches(version)) {
                    result = Ok(true);
                }
            }
            Err(error) => result = Err(error.into()),
        }
    }
    reader.close().await;
    result
}

fn is_whole(entry: &Entry<'_>) -> bool {
    entry.applied.as_ref().is_some_and(|applied| applied.progress == Progress::Whole)
}

/// The databases with files that require something of this one. Folders that cannot be read are left to whoever
/// migrates them.
pub(crate) fn requiring(workspace: &Workspace, key: &Key) -> BTreeSet<Key> {
    let dependents = workspace.dependents(key).iter();
    dependents.filter(|dependent| !requirements(workspace, dependent, key).is_empty()).cloned().collect()
}

fn requirements(workspace: &Workspace, dependent: &Key, on: &Key) -> Vec<(Migration, Requirement)> {
    let sources = read_sources(workspace.database(dependent)).unwrap_or_default();
    let mut found = Vec::new();
    for migration in sources.into_iter().flat_map(|source| source.migrations) {
        let requires = migration.directives.requires.iter().filter(|other| other.database == on.as_str());
        found.extend(requires.map(|requirement| (migration.clone(), requirement.clone())));
    }
    found
}

/// Sees that no applied migration of another database requires one of those that are to be reverted. `planned` looks
/// at databases of the plan, too: before the run they may still be going to revert theirs.
pub(crate) async fn check_unneeded(
    context: &StepContext<'_>,
    work: &Work<'_>,
    planned: bool,
) -> Result<(), StepError> {
    let run = &context.shared.run;
    if run.plan.request.ignore_dependents {
        return Ok(());
    }
    for dependent in requiring(run.workspace, &context.database.key) {
        if !planned && run.plan.databases.contains(&dependent) {
            continue;
        }
        let other = context.shared.context(&dependent);
        if !other.exists().await? {
            continue;
        }
        for (migration, requirement) in requirements(run.workspace, &dependent, &context.database.key) {
            let reverted = work.iter().find(|(_, reverted)| is(reverted, &requirement.version));
            if let Some((_, reverted)) = reverted
                && is_applied(&other, &migration.name).await?
            {
                return Err(StepError::Required {
                    migration: reverted.name.clone(),
                    dependent: dependent.clone(),
                    by: migration.name.clone(),
                });
            }
        }
    }
    Ok(())
}
