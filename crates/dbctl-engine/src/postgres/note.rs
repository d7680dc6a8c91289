//! What is recorded without being run, as statements.

use std::time::Duration;

use dbctl_migration::{History, Migration, Recording, RunStamp, Statement, ledger::Before};

use super::LEDGER;
use crate::{Note, Resume, SourceRef};

/// The statements of one note, of `source` with its table where it is. `tool`: [`ledger::record`].
pub(super) fn statements(
    note: &Note<'_>,
    source: &SourceRef<'_>,
    tool: Option<&dyn History>,
    stamp: &RunStamp,
) -> Vec<Statement> {
    match note {
        Note::Applied(_, migration) => {
            let mut statements = forgotten(source, source.keyed_by().of(migration));
            statements.extend(recorded(source, tool, migration, stamp, Duration::ZERO));
            statements
        }
        Note::Forgotten(_, key) => forgotten(source, key),
        Note::Repaired(_, migration) => {
            let mut statements = source.history.map_or_else(Vec::new, |history| history.repair(migration));
            statements.push(LEDGER.repair(source.name, migration, tool));
            statements
        }
        Note::Begun(_, migration) => {
            let nothing = Resume { done: 0, started: false, digest: None };
            vec![progress(source, migration, stamp, &nothing)]
        }
        Note::Withdrawn(_, migration) => vec![unknown(source, migration)],
        Note::Reached { source: _, name, done, as_it_is } => {
            vec![LEDGER.reached(source.name, name, *done, *as_it_is)]
        }
    }
}

/// What removes every record of a migration.
pub(super) fn forgotten(source: &SourceRef<'_>, key: &str) -> Vec<Statement> {
    let mut statements = source.history.map_or_else(Vec::new, |history| history.forget(key));
    statements.push(LEDGER.forget(source.name, source.keyed_by(), key));
    statements
}

/// How far a file got, whatever is known of it.
pub(super) fn progress(
    source: &SourceRef<'_>,
    migration: &Migration,
    stamp: &RunStamp,
    at: &Resume,
) -> Statement {
    let digest = at.digest.as_deref().unwrap_or_default();
    LEDGER.record_progress(source.name, migration, stamp, at.done, at.started, digest, Before::Any)
}

/// What is recorded once a file has run that stands for a source's past: that past in its order, then the file itself
/// if it is a migration, else nothing more of how far it got.
pub(super) fn past(
    source: &SourceRef<'_>,
    tool: Option<&dyn History>,
    file: &Migration,
    past: &[&Migration],
    own: bool,
    stamp: &RunStamp,
    elapsed: Duration,
) -> Vec<Statement> {
    let mut statements = Vec::new();
    for migration in past {
        // The tool may have rolled it back once, which only the ledger still knows.
        statements.push(unknown(source, migration));
        statements.extend(recorded(source, tool, migration, stamp, Duration::ZERO));
    }
    match own {
        true => statements.extend(recorded(source, tool, file, stamp, elapsed)),
        false => statements.push(unknown(source, file)),
    }
    statements
}

/// What the ledger alone says of a migration goes: to its tool the name of a file beside the folder means nothing.
fn unknown(source: &SourceRef<'_>, migration: &Migration) -> Statement {
    let keyed_by = source.keyed_by();
    LEDGER.forget(source.name, keyed_by, keyed_by.of(migration))
}

fn recorded(
    source: &SourceRef<'_>,
    tool: Option<&dyn History>,
    migration: &Migration,
    stamp: &RunStamp,
    elapsed: Duration,
) -> Vec<Statement> {
    let recording = Recording { migration, elapsed, stamp };
    let mut statements =
        source.history.map_or_else(Vec::new, |history: &dyn History| history.record(&recording));
    statements.push(LEDGER.record(source.name, &recording, Before::Any, tool));
    statements
}
