//! `create`: the database itself, its owner, its extensions, and the environment it belongs to.

use super::StepContext;
use crate::{Event, StepError};

pub(super) async fn run(context: &StepContext<'_>) -> Result<bool, StepError> {
    let creation = context.create().await?;
    if creation.created {
        // A new database says from its first moment which environment it belongs to.
        let mut writer = context.open_writer(&[]).await?;
        let prepared = context.prepare(&mut *writer, &[]).await;
        writer.close().await;
        prepared?;
    }
    let changed = creation.created || !creation.extensions.is_empty();
    if changed {
        context.emit(Event::Created {
            database: context.database.key.clone(),
            new: creation.created,
            extensions: creation.extensions,
        });
    }
    Ok(changed)
}
