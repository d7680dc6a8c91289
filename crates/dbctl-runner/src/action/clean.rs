//! `clean`: the tables emptied, the structure and every history kept.

use dbctl_engine::{
    EngineError, Reader,
    clean::{CleanPlan, plan_clean},
};

use super::StepContext;
use crate::{
    Event, StepError,
    files::{SourceFiles, history_tables, read_sources},
};

pub(super) async fn run(context: &StepContext<'_>) -> Result<bool, StepError> {
    let sources = read_sources(context.database)?;
    context
        .with_writer(&sources, async |writer| {
            let plan = plan(context, writer, &sources).await?;
            for entry in &plan.unmatched {
                context.warn(format!("`clean.keep` names `{entry}`, which is no table here"));
            }
            writer.clean(&plan).await?;
            context.emit(Event::Cleaned {
                database: context.database.key.clone(),
                tables: plan.truncate.len(),
                sequences: plan.restart.len(),
            });
            Ok(!plan.truncate.is_empty())
        })
        .await
}

/// Whether it could run, told by a session that cannot write.
pub(crate) async fn check(context: &StepContext<'_>, reader: &mut dyn Reader) -> Result<(), StepError> {
    plan(context, reader, &read_sources(context.database)?).await.map(drop)
}

async fn plan<R: Reader + ?Sized>(
    context: &StepContext<'_>,
    reader: &mut R,
    sources: &[SourceFiles],
) -> Result<CleanPlan, StepError> {
    let inventory = reader.inventory().await?;
    let plan = plan_clean(&inventory, &context.database.keep, &history_tables(sources));
    Ok(plan.map_err(EngineError::from)?)
}
