//! What notes come to in the fake.

use dbctl_migration::{Applied, Progress};

use super::Database;
use crate::{Note, SourceRef};

/// What a note is about.
pub(super) fn named(note: &Note<'_>) -> String {
    match note {
        Note::Applied(_, migration) => format!("applied {}", migration.name),
        Note::Forgotten(_, key) => format!("forgotten {key}"),
        Note::Repaired(_, migration) => format!("repaired {}", migration.name),
        Note::Begun(_, migration) => format!("begun {}", migration.name),
        Note::Withdrawn(_, migration) => format!("withdrawn {}", migration.name),
        Note::Reached { name, done, .. } => format!("reached {name} {done}"),
    }
}

impl Database {
    pub(super) fn note(&mut self, note: &Note<'_>, run: &str) {
        match note {
            Note::Withdrawn(source, migration) => {
                self.rows(source).retain(|row| row.name != migration.name);
            }
            Note::Applied(source, migration) => {
                self.rows(source).retain(|row| row.name != migration.name);
                self.record(source.name.to_owned(), migration, run);
            }
            Note::Forgotten(source, key) => {
                let keyed_by = source.keyed_by();
                self.rows(source).retain(|row| keyed_by.of_applied(row) != *key);
            }
            Note::Repaired(source, migration) => {
                for row in self.rows(source).iter_mut().filter(|row| row.name == migration.name) {
                    row.checksum = Some(migration.checksum.clone());
                }
            }
            Note::Begun(source, migration) => {
                self.record(source.name.to_owned(), migration, run);
                if let Some(row) = self.rows(source).last_mut() {
                    row.progress = Progress::Partial { done: 0, started: false, digest: None };
                }
            }
            Note::Reached { source, name, done: reached, .. } => {
                for row in self.rows(source).iter_mut().filter(|row| row.name == *name) {
                    if let Progress::Partial { done, started, .. }
                    | Progress::Reverting { done, started, .. } = &mut row.progress
                    {
                        (*done, *started) = (*reached, false);
                    }
                }
            }
        }
    }

    fn rows(&mut self, source: &SourceRef<'_>) -> &mut Vec<Applied> {
        self.sources.entry(source.name.to_owned()).or_default()
    }
}
