//! `clean`: the tables emptied, the structure and every history kept.

use dbctl_engine::{
    EngineError, Reader, Writer,
    clean::{CleanPlan, plan_clean},
};
use dbctl_workspace::Hook;

use super::StepContext;
use crate::{
    Event, StepError,
    files::{SourceFiles, history_tables, read_sources},
    hook,
};

pub(super) async fn run(context: &StepContext<'_>) -> Result<bool, StepError> {
    let sources = read_sources(context.database)?;
    hook::run(context, Hook::BeforeClean).await?;
    let mut writer = context.open_writer(&sources).await?;
    let result = empty(context, &mut *writer, &sources).await;
    context.finish(writer, &result).await;
    let changed = result?;
    hook::run(context, Hook::AfterClean).await?;
    Ok(changed)
}

async fn empty(
    context: &StepContext<'_>,
    writer: &mut dyn Writer,
    sources: &[SourceFiles],
) -> Result<bool, StepError> {
    let plan = plan(context, writer, sources).await?;
    writer.clean(&plan).await?;
    context.emit(Event::Cleaned {
        database: context.database.key.clone(),
        tables: plan.truncate.len(),
        sequences: plan.restart.len(),
    });
    Ok(!plan.truncate.is_empty())
}

/// Whether it could run, told by a session that cannot write.
pub(crate) async fn check(
    context: &StepContext<'_>,
    reader: &mut dyn Reader,
    sources: &[SourceFiles],
) -> Result<(), StepError> {
    plan(context, reader, sources).await.map(drop)
}

async fn plan<R: Reader + ?Sized>(
    context: &StepContext<'_>,
    reader: &mut R,
    sources: &[SourceFiles],
) -> Result<CleanPlan, StepError> {
    let inventory = reader.inventory().await?;
    let plan = plan_clean(&inventory, &context.database.keep, &history_tables(reader, sources).await?);
    let plan = plan.map_err(EngineError::from)?;
    // Most likely a table whose name is mistyped, and which would be emptied.
    if !plan.unmatched.is_empty() {
        return Err(StepError::NothingToKeep { entries: plan.unmatched });
    }
    Ok(plan)
}
