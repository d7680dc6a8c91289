//! Which runs have been at work on a database of the fake.

use dbctl_migration::{RunStamp, ledger::RunRow};

/// The record of runs; `None` where nothing has made it yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Runs(Option<Vec<RunRow>>);

impl Runs {
    pub(super) fn rows(&self) -> Vec<RunRow> {
        self.0.clone().unwrap_or_default()
    }

    pub(super) fn begin(&mut self, stamp: &RunStamp, command: &str, make: bool) {
        if make {
            self.0.get_or_insert_default();
        }
        let Some(rows) = &mut self.0 else { return };
        if let Some(row) = rows.iter_mut().find(|row| row.run == stamp.run) {
            row.outcome = None;
            return;
        }
        rows.push(RunRow {
            run: stamp.run.clone(),
            command: command.to_owned(),
            started_at: None,
            ended_at: None,
            outcome: None,
            migrations: 0,
            by: "fake".to_owned(),
            client: None,
            dbctl_version: stamp.dbctl_version.clone(),
        });
    }

    pub(super) fn end(&mut self, run: &str, outcome: &str, migrations: usize) {
        if let Some(row) = self.0.iter_mut().flatten().find(|row| row.run == run) {
            row.outcome = Some(outcome.to_owned());
            row.migrations = migrations;
        }
    }
}
