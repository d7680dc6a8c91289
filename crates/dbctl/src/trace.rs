//! A run as spans: one for the run, and in it one for each migration.

use dbctl_runner::Event;
use tracing::{Span, debug, info, info_span, warn};

pub(crate) struct Trace {
    run: Span,
    migration: Option<Span>,
}

impl Trace {
    pub(crate) fn new(command: &str, run: &str) -> Self {
        Self { run: info_span!("dbctl", command, run), migration: None }
    }

    pub(crate) fn event(&mut self, event: &Event) {
        let in_run = self.run.clone();
        let _in_run = in_run.enter();
        let in_migration = self.migration.clone();
        let _in_migration = in_migration.as_ref().map(Span::enter);
        match event {
            Event::MigrationStarted { migration, .. } => {
                let direction = format!("{:?}", migration.direction).to_lowercase();
                self.migration = Some(info_span!("migration", name = %migration.name, direction));
            }
            Event::MigrationFinished { elapsed, .. } => {
                info!(elapsed_ms = elapsed.as_millis(), "finished");
                self.migration = None;
            }
            Event::Waiting { holder, .. } => info!(%holder, "waiting for another run"),
            Event::Warning { message, .. } => warn!("{message}"),
            Event::Notice { notice, .. } => debug!("{}", notice.message),
            Event::RunFinished { outcome, .. } => {
                self.migration = None;
                info!(outcome = outcome.as_str(), "finished");
            }
            _ => {}
        }
    }
}
