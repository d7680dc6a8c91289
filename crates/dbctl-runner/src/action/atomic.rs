//! `migrate --atomic`: everything that is pending, in a transaction that stays open until all databases have theirs.

use super::{Ran, StepContext, migrate};
use crate::{
    Event, StepError,
    files::{SourceFiles, applied, read_sources},
    gate::Seated,
    request::{Atomic, Migrate},
    requires::{self, Upstream},
};

use dbctl_engine::{Atomic as Session, EngineError};

pub(super) async fn run<'s>(context: &'s StepContext<'_>, migrate: &Migrate) -> Result<Ran<'s>, StepError> {
    let databases = &context.shared.run.plan.databases;
    let turn = databases.iter().position(|key| *key == context.database.key).unwrap_or_default();
    let decides = migrate.atomic() == Some(Atomic::TwoPhase) && turn == 0;
    let opened = open(context, turn, decides).await;
    context.shared.locked.send_replace(turn + 1);
    let (sources, mut upstream, mut session) = opened?;
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

type Opened<'s> = (Vec<SourceFiles>, Upstream, Seated<'s, dyn Session + 's>);

async fn open<'s>(context: &'s StepContext<'_>, turn: usize, decides: bool) -> Result<Opened<'s>, StepError> {
    // All hold what they have until all have it. Every run takes its locks in the workspace's order, so that no two wait
    // for each other, whichever databases they share.
    let mut locked = context.shared.locked.subscribe();
    tokio::select! {
        biased;
        () = context.shared.work.cancelled() => return Err(EngineError::Cancelled.into()),
        _ = locked.wait_for(|taken| *taken >= turn) => {}
    }
    let sources = read_sources(context.database)?;
    let upstream = requires::look_upstream(context, &sources).await?;
    context.begin_run_apart().await?;
    let session = context.open_atomic(&sources, decides).await?;
    Ok((sources, upstream, session))
}

async fn work(
    context: &StepContext<'_>,
    session: &mut dyn Session,
    migrate: &Migrate,
    sources: &[SourceFiles],
    upstream: &mut Upstream,
) -> Result<bool, StepError> {
    // What is applied before a session is lost is lost with it.
    let changed = migrate::migrate_all(context, session, migrate, sources, upstream, &mut 0).await?;
    let rows = applied(session, sources).await?;
    context.shared.keep_rows(&context.database.key, rows);
    Ok(changed)
}
