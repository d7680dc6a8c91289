//! The actions: one file each, all on the same footing.

mod atomic;
pub(crate) mod baseline;
pub(crate) mod clean;
mod create;
mod drop;
pub(crate) mod history;
pub(crate) mod migrate;
mod redo;
mod rollback;
pub(crate) mod seed;

use std::time::{Duration, Instant};

use dbctl_engine::{Applier, Atomic, Creation, EngineError, Reader, Target, Writer};
use dbctl_workspace::Database;
use tokio::{sync::SemaphorePermit, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    Action, Event, StepError,
    event::Ear,
    execute::Shared,
    files::{SourceFiles, peer_locks},
    gate::Seated,
    undo_order::Undo,
};

/// How often what other runs have prepared is finished before a session is opened.
const SETTLEMENTS: usize = 3;

/// What a step works with.
pub(crate) struct StepContext<'a> {
    pub(crate) shared: &'a Shared<'a>,
    pub(crate) database: &'a Database,
    pub(crate) target: &'a Target,
    pub(crate) ear: Ear<'a>,
}

/// What an action on one database came to.
pub(crate) enum Ran<'s> {
    /// It is over; `true` if it changed something.
    Over(bool),
    /// What it changed is in a transaction that is still open.
    Open {
        /// The session with that transaction.
        session: Seated<'s, dyn Atomic + 's>,
        /// Whether there is anything in it; else the session is there to decide for others.
        changed: bool,
    },
}

/// Waits for another run that has prepared a transaction, and most likely is about to finish it.
struct Patience<'s> {
    /// For ever where that is too long for the clock.
    until: Option<Instant>,
    stop: &'s CancellationToken,
}

impl Patience<'_> {
    const PAUSE: Duration = Duration::from_millis(100);

    /// For a moment; the error where it has waited long enough.
    async fn wait_for(&self, prepared: EngineError) -> Result<(), EngineError> {
        if self.until.is_some_and(|until| Instant::now() >= until) {
            return Err(prepared);
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(EngineError::Cancelled),
            () = sleep(Self::PAUSE) => Ok(()),
        }
    }
}

/// Runs one action on one database.
pub(crate) async fn run<'s>(context: &'s StepContext<'_>, action: &Action) -> Result<Ran<'s>, StepError> {
    let changed = match action {
        Action::Create => create::run(context).await,
        Action::Drop { disconnect } => drop::run(context, *disconnect).await,
        Action::Migrate(migrate) if migrate.atomic().is_some() => return atomic::run(context, migrate).await,
        Action::Migrate(migrate) => migrate::run(context, migrate).await,
        Action::Rollback(back) => rollback::run(context, Undo::Back(back)).await,
        Action::Undo { run } => rollback::run(context, Undo::Run(run)).await,
        Action::Redo => redo::run(context).await,
        Action::Seed { missing_only } => seed::run(context, *missing_only).await,
        Action::Clean => clean::run(context).await,
        Action::Baseline(adopt) => baseline::run(context, adopt).await,
        Action::Edit(edit) => history::run(context, edit).await,
    };
    changed.map(Ran::Over)
}

impl StepContext<'_> {
    pub(crate) fn emit(&self, event: Event) {
        self.shared.events.emit(event);
    }

    pub(crate) fn warn(&self, message: impl Into<String>) {
        self.emit(Event::Warning { database: self.database.key.clone(), message: message.into() });
    }

    /// A place on the database's server. Whoever has one asks for no other.
    pub(crate) async fn enter(&self) -> Result<SemaphorePermit<'_>, StepError> {
        Ok(self.shared.gate.enter(self.target, &self.shared.work).await?)
    }

    pub(crate) async fn exists(&self) -> Result<bool, StepError> {
        let _place = self.enter().await?;
        Ok(self.shared.engine.exists(self.target, &self.shared.session(&self.ear)).await?)
    }

    pub(crate) async fn may_create(&self) -> Result<(), StepError> {
        let _place = self.enter().await?;
        Ok(self.shared.engine.may_create(self.target, &self.shared.session(&self.ear)).await?)
    }

    pub(crate) async fn may_drop(&self) -> Result<(), StepError> {
        let _place = self.enter().await?;
        Ok(self.shared.engine.may_drop(self.target, &self.shared.session(&self.ear)).await?)
    }

    async fn create(&self) -> Result<Creation, StepError> {
        let _place = self.enter().await?;
        Ok(self.shared.engine.create(self.target, &self.shared.session(&self.ear)).await?)
    }

    async fn drop(&self, disconnect: bool) -> Result<bool, StepError> {
        let _place = self.enter().await?;
        Ok(self.shared.engine.drop(self.target, disconnect, &self.shared.session(&self.ear)).await?)
    }

    /// Opens a session that cannot write; whoever opens it closes it, whatever comes of the work.
    pub(crate) async fn open_reader<'s>(&'s self) -> Result<Seated<'s, dyn Reader + 's>, StepError> {
        let place = self.enter().await?;
        let reader = self.shared.engine.open(self.target, &self.shared.session(&self.ear)).await?;
        let mut reader = Seated::new(reader, place);
        match self.claim(&mut *reader).await {
            Ok(()) => Ok(reader),
            Err(error) => {
                reader.close().await;
                Err(error)
            }
        }
    }

    /// Opens the session that holds the database's lock and its tools' own. Whoever opens it closes it, whatever
    /// comes of the work: dropping it would free its locks late.
    pub(crate) async fn open_writer<'s>(
        &'s self,
        sources: &[SourceFiles],
    ) -> Result<Seated<'s, dyn Writer + 's>, StepError> {
        self.writer(sources, false).await
    }

    /// The same, in place of one that was lost: what it knew of the database may no longer hold.
    pub(crate) async fn reopen_writer<'s>(
        &'s self,
        sources: &[SourceFiles],
    ) -> Result<Seated<'s, dyn Writer + 's>, StepError> {
        self.writer(sources, true).await
    }

    async fn writer<'s>(
        &'s self,
        sources: &[SourceFiles],
        again: bool,
    ) -> Result<Seated<'s, dyn Writer + 's>, StepError> {
        let session = self.shared.session(&self.ear);
        let peers = peer_locks(sources, self.database.name.as_str());
        let engine = self.shared.engine;
        let mut attempts = 0..SETTLEMENTS;
        let patience = self.patience();
        let mut writer = loop {
            let place = self.enter().await?;
            let opened = match again {
                false => engine.open_exclusive(self.target, &peers, &session).await,
                true => engine.reopen_exclusive(self.target, &peers, &session).await,
            };
            match opened {
                Ok(writer) => break Seated::new(writer, place),
                Err(error @ EngineError::Prepared { .. }) if self.holds_others() => {
                    drop(place);
                    patience.wait_for(error).await?;
                }
                Err(EngineError::Prepared { prepared, .. }) if attempts.next().is_some() => {
                    drop(place);
                    self.settle(&prepared).await?;
                }
                Err(error) => return Err(error.into()),
            }
        };
        let ready = async {
            self.claim(&mut *writer).await?;
            // Where there is a record of runs, one that is refused shows in it as well.
            self.begin_run(&mut *writer, false).await
        };
        match ready.await {
            Ok(()) => Ok(writer),
            Err(error) => {
                writer.close().await;
                Err(error)
            }
        }
    }

    /// Whether the run may hold other databases while it opens this one. Then it finishes nothing that others have left: it
    /// would ask for places while it has some. What was left before it began is finished by its checks.
    fn holds_others(&self) -> bool {
        self.shared.run.plan.request.atomic().is_some()
    }

    fn patience(&self) -> Patience<'_> {
        let until = Instant::now().checked_add(self.shared.run.plan.request.limits.wait);
        Patience { until, stop: &self.shared.work }
    }

    /// As [`Self::open_writer`], with a transaction that stays open: closing it undoes everything.
    pub(crate) async fn open_atomic<'s>(
        &'s self,
        sources: &[SourceFiles],
        decides: bool,
    ) -> Result<Seated<'s, dyn Atomic + 's>, StepError> {
        let session = self.shared.session(&self.ear);
        let peers = peer_locks(sources, self.database.name.as_str());
        let patience = self.patience();
        let mut writer = loop {
            let place = self.enter().await?;
            match self.shared.engine.open_atomic(self.target, &peers, decides, &session).await {
                Ok(writer) => break Seated::new(writer, place),
                Err(error @ EngineError::Prepared { .. }) => {
                    drop(place);
                    patience.wait_for(error).await?;
                }
                Err(error) => return Err(error.into()),
            }
        };
        match self.claim(&mut *writer).await {
            Ok(()) => Ok(writer),
            Err(error) => {
                writer.close().await;
                Err(error)
            }
        }
    }

    async fn claim<R: Reader + ?Sized>(&self, reader: &mut R) -> Result<(), StepError> {
        self.shared.claim(reader.identity().await?, &self.database.key)
    }

    /// Makes the history tables where they are missing and records the environment where none is.
    pub(crate) async fn prepare(
        &self,
        writer: &mut dyn Applier,
        sources: &[SourceFiles],
    ) -> Result<(), StepError> {
        let histories: Vec<_> = sources.iter().map(SourceFiles::history).collect();
        writer.prepare(&histories, &self.shared.run.workspace.environment().name).await?;
        self.begin_run(writer, true).await
    }
}
