//! `drop`: the database itself.

use super::StepContext;
use crate::{Event, StepError};

pub(super) async fn run(context: &StepContext<'_>, disconnect: bool) -> Result<bool, StepError> {
    let session = context.shared.session(&context.ear);
    let dropped = context.shared.engine.drop(context.target, disconnect, &session).await?;
    if dropped {
        context.emit(Event::Dropped { database: context.database.key.clone() });
    }
    Ok(dropped)
}
