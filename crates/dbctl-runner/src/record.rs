//! What databases record of the run itself: that it is at work, and what it came to.

use std::time::Duration;

use dbctl_engine::{Applier, EngineError, Session, Writer};

use crate::{Outcome, StepError, action::StepContext, gate::Seated};

/// Recorded of a run that has begun.
const BEGUN: &str = "begun";

impl StepContext<'_> {
    /// Records that the run is at work on the database. That it cannot be recorded is no reason to leave the work undone.
    pub(crate) async fn begin_run(&self, writer: &mut dyn Applier, make: bool) -> Result<(), StepError> {
        match writer.begin_run(self.shared.run.plan.request.recorded_as(), make).await {
            Err(EngineError::Sql(error)) => {
                // Where nothing has to be made it is tried again once there is something to do.
                if make {
                    self.warn(format!("`dbctl history runs` will not show this run here: {error}"));
                }
                Ok(())
            }
            begun => Ok(begun?),
        }
    }

    /// The same in a session of its own, for work that is one open transaction, which would take the record with it.
    pub(crate) async fn begin_run_apart(&self) -> Result<(), StepError> {
        self.open_writer(&[]).await?.close().await;
        self.shared.recorded(&self.database.key, BEGUN);
        Ok(())
    }

    /// Records what the step has come to and ends its session.
    pub(crate) async fn finish(
        &self,
        mut writer: Seated<'_, dyn Writer + '_>,
        result: &Result<bool, StepError>,
    ) {
        let step = match result {
            Ok(true) => "done",
            Ok(false) => "unchanged",
            Err(error) if error.is_cancelled() => "cancelled",
            Err(_) => "failed",
        };
        self.end_run(&mut *writer, step).await;
        writer.close().await;
    }

    async fn end_run(&self, writer: &mut dyn Writer, step: &'static str) {
        let key = &self.database.key;
        let came_to = self.shared.events.came_to(key, step);
        // What cannot be recorded shows as not ended, which is what it then is.
        if writer.end_run(came_to, self.shared.events.migrations(key)).await.is_ok() {
            self.shared.recorded(key, came_to);
        }
    }

    /// Records what a step came to that has no session any more: it failed in a hook, or its transaction was committed or
    /// undone with those of other databases.
    pub(crate) async fn finish_late(&self, outcome: &Outcome) {
        let (is_atomic, failed) =
            (self.shared.run.plan.request.atomic().is_some(), matches!(outcome, Outcome::Failed(_)));
        let step = match outcome {
            Outcome::Done => "done",
            Outcome::Unchanged => "unchanged",
            Outcome::Failed(_) => "failed",
            Outcome::Skipped(_) | Outcome::Cancelled => "cancelled",
        };
        let key = &self.database.key;
        let is_open = match self.shared.recorded_so_far(key) {
            Some(so_far) => so_far != self.shared.events.came_to(key, step) && (is_atomic || failed),
            None => false,
        };
        if !is_open {
            return;
        }
        // What others do may have been ended by a failure; this is not part of it.
        let cancel = &self.shared.cancel;
        let Ok(_place) = self.shared.gate.enter(self.target, cancel).await else { return };
        let session =
            Session { wait: Duration::ZERO, cancel: cancel.clone(), ..self.shared.session(&self.ear) };
        if let Ok(mut writer) = self.shared.engine.open_exclusive(self.target, &[], &session).await {
            let has_tables = matches!(outcome, Outcome::Done);
            if self.begin_run(&mut *writer, has_tables).await.is_ok() {
                self.end_run(&mut *writer, step).await;
            }
            writer.close().await;
        }
    }
}
