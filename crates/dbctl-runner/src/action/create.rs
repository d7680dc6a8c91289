//! `create`: the database itself, its owner, its extensions, and the environment it belongs to.

use dbctl_engine::EngineError;
use dbctl_workspace::Hook;

use super::StepContext;
use crate::{Event, StepError, hook};

pub(super) async fn run(context: &StepContext<'_>) -> Result<bool, StepError> {
    if hook::is_set(context, Hook::BeforeCreate) && !context.exists().await? {
        hook::run(context, Hook::BeforeCreate).await?;
    }
    let creation = context.create().await?;
    // A database says from its first moment which environment it belongs to; so does one that somebody else made, or
    // whose creation was cut short.
    if creation.created || recorded(context).await?.is_none() {
        record(context, creation.created).await?;
    }
    let changed = creation.created || !creation.extensions.is_empty();
    if changed {
        context.emit(Event::Created {
            database: context.database.key.clone(),
            new: creation.created,
            extensions: creation.extensions,
        });
    }
    if creation.created {
        hook::run(context, Hook::AfterCreate).await?;
    }
    Ok(changed)
}

async fn recorded(context: &StepContext<'_>) -> Result<Option<String>, StepError> {
    let mut reader = context.open_reader().await?;
    let environment = reader.environment().await;
    reader.close().await;
    Ok(environment?)
}

/// Records the environment. A role that may not make the record in somebody else's database goes on without.
async fn record(context: &StepContext<'_>, ours: bool) -> Result<(), StepError> {
    let mut writer = context.open_writer(&[]).await?;
    let prepared = context.prepare(&mut *writer, &[]).await.map(|()| ours);
    context.finish(writer, &prepared).await;
    match prepared.map(drop) {
        Err(StepError::Engine(EngineError::Sql(error))) if !ours && error.code == "42501" => {
            let environment = &context.shared.run.workspace.environment().name;
            context.warn(format!("not recorded as a database of `{environment}`: {}", error.message));
            Ok(())
        }
        result => result,
    }
}
