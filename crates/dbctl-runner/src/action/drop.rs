//! `drop`: the database itself.

use super::StepContext;
use crate::{Event, StepError};

pub(super) async fn run(context: &StepContext<'_>, disconnect: bool) -> Result<bool, StepError> {
    let dropped = context.drop(disconnect).await?;
    if dropped {
        context.emit(Event::Dropped { database: context.database.key.clone() });
    }
    Ok(dropped)
}
