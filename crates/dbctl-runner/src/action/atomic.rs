//! `migrate --atomic`: everything that is pending, in a transaction that stays open until all databases have theirs.

use super::{Ran, StepContext, migrate};
use crate::{
    Event, StepError,
    files::{applied, read_sources},
    request::{Atomic, Migrate},
    requires::{self, Upstream},
};

use dbctl_engine::Atomic as Session;

pub(super) async fn run<'s>(context: &'s StepContext<'_>, migrate: &Migrate) -> Result<Ran<'s>, StepError> {
    let sources = read_sources(context.database)?;
    let mut upstream = requires::look_upstream(context, &sources).await?;
    context.begin_run_apart().await?;
    let is_first = context.shared.run.plan.databases.first() == Some(&context.database.key);
    let decides = migrate.atomic() == Some(Atomic::TwoPhase) && is_first;
    let mut session = context.open_atomic(&sources, decides).await?;
    let done = work(context, &mut *session, migrate, &sources, &mut upstream).await;
    match done {
        Ok(changed) if changed || decides => return Ok(Ran::Open { session, changed }),
        Ok(_) => {
            // There is nothing to be undone with the others: at most tables were made to record in.
            let committed = session.commit().await;
            session.close().await;
            committed?;
        }
        Err(_) => {
            session.close().await;
            context.emit(Event::RolledBack { database: context.database.key.clone() });
        }
    }
    done.map(Ran::Over)
}

async fn work(
    context: &StepContext<'_>,
    session: &mut dyn Session,
    migrate: &Migrate,
    sources: &[crate::SourceFiles],
    upstream: &mut Upstream,
) -> Result<bool, StepError> {
    // What is applied before a session is lost is lost with it.
    let changed = migrate::migrate_all(context, session, migrate, sources, upstream, &mut 0).await?;
    let rows = applied(session, sources).await?;
    context.shared.keep_rows(&context.database.key, rows);
    Ok(changed)
}
