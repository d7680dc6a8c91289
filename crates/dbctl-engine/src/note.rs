//! What is recorded of migrations, as statements.

use std::time::Duration;

use dbctl_migration::{
    History, Migration, Recording, RunStamp, Statement,
    ledger::{Before, Ledger},
};

use crate::{Note, Resume, SourceRef};

/// What is known of a script that has run.
pub(crate) struct Ran {
    pub(crate) elapsed: Duration,
    /// What the ledger's row of it is.
    pub(crate) before: Before,
    /// Whether it has written its tool's row itself.
    pub(crate) by_itself: bool,
}

/// Who records, and in whose SQL.
#[derive(Clone, Copy)]
pub(crate) struct Notary<'a> {
    pub(crate) ledger: Ledger,
    pub(crate) stamp: &'a RunStamp,
    /// The history of which the ledger's row says what it speaks of: [`Ledger::record`].
    pub(crate) tool: Option<&'a dyn History>,
}

impl Notary<'_> {
    /// The statements of one note, of `source` with its table where it is.
    pub(crate) fn statements(self, note: &Note<'_>, source: &SourceRef<'_>) -> Vec<Statement> {
        match note {
            Note::Applied(_, migration) => {
                let mut statements = self.forgotten(source, source.keyed_by().of(migration));
                statements.extend(self.recorded(source, migration, Duration::ZERO));
                statements
            }
            Note::Forgotten(_, key) => self.forgotten(source, key),
            Note::Repaired(_, migration) => {
                let mut statements =
                    source.history.map_or_else(Vec::new, |history| history.repair(migration));
                statements.push(self.ledger.repair(source.name, migration, self.tool));
                statements
            }
            Note::Begun(_, migration) => {
                let nothing = Resume { done: 0, started: false, digest: None };
                vec![self.progress(source, migration, &nothing)]
            }
            Note::Withdrawn(_, migration) => vec![self.unknown(source, migration)],
            Note::Reached { source: _, name, done, as_it_is } => {
                vec![self.ledger.reached(source.name, name, *done, *as_it_is)]
            }
        }
    }

    /// What removes every record of a migration.
    pub(crate) fn forgotten(self, source: &SourceRef<'_>, key: &str) -> Vec<Statement> {
        let mut statements = source.history.map_or_else(Vec::new, |history| history.forget(key));
        statements.push(self.ledger.forget(source.name, source.keyed_by(), key));
        statements
    }

    /// How far a file got, whatever is known of it.
    pub(crate) fn progress(self, source: &SourceRef<'_>, migration: &Migration, at: &Resume) -> Statement {
        let digest = at.digest.as_deref().unwrap_or_default();
        self.ledger.record_progress(
            source.name,
            migration,
            self.stamp,
            at.done,
            at.started,
            digest,
            Before::Any,
        )
    }

    /// What is recorded once a file has run that stands for a source's past: that past in its order, then the file itself
    /// if it is a migration, else nothing more of how far it got.
    pub(crate) fn past(
        self,
        source: &SourceRef<'_>,
        file: &Migration,
        past: &[&Migration],
        own: bool,
        elapsed: Duration,
    ) -> Vec<Statement> {
        let mut statements = Vec::new();
        for migration in past {
            // The tool may have rolled it back once, which only the ledger still knows.
            statements.push(self.unknown(source, migration));
            statements.extend(self.recorded(source, migration, Duration::ZERO));
        }
        match own {
            true => statements.extend(self.recorded(source, file, elapsed)),
            false => statements.push(self.unknown(source, file)),
        }
        statements
    }

    /// What the ledger alone says of a migration goes: to its tool the name of a file beside the folder means nothing.
    fn unknown(self, source: &SourceRef<'_>, migration: &Migration) -> Statement {
        let keyed_by = source.keyed_by();
        self.ledger.forget(source.name, keyed_by, keyed_by.of(migration))
    }

    fn recorded(self, source: &SourceRef<'_>, migration: &Migration, elapsed: Duration) -> Vec<Statement> {
        let recording = Recording { migration, elapsed, stamp: self.stamp };
        let mut statements =
            source.history.map_or_else(Vec::new, |history: &dyn History| history.record(&recording));
        statements.push(self.ledger.record(source.name, &recording, Before::Any, self.tool));
        statements
    }

    /// What says that a migration is applied, once it has run.
    pub(crate) fn applied(self, source: &SourceRef<'_>, migration: &Migration, ran: &Ran) -> Vec<Statement> {
        let &Ran { elapsed, before, by_itself } = ran;
        let recording = Recording { migration, elapsed, stamp: self.stamp };
        if by_itself {
            return vec![self.ledger.record(source.name, &recording, Before::Any, self.tool)];
        }
        let mut statements = self.stale(source, migration, before);
        if let Some(history) = source.history {
            statements.extend(history.record(&recording));
        }
        statements.push(self.ledger.record(source.name, &recording, before, self.tool));
        statements
    }

    /// How far a migration got that goes step by step.
    pub(crate) fn reached(
        self,
        source: &SourceRef<'_>,
        migration: &Migration,
        at: &Resume,
        before: Before,
    ) -> Vec<Statement> {
        let digest = at.digest.as_deref().unwrap_or_default();
        let mut statements = self.stale(source, migration, before);
        if let (Before::Absent, Some(history)) = (before, source.history) {
            statements.extend(history.start(migration));
        }
        let (done, started) = (at.done, at.started);
        let progress =
            self.ledger.record_progress(source.name, migration, self.stamp, done, started, digest, before);
        statements.push(progress);
        statements
    }

    /// How far the way back of a migration got that goes step by step.
    pub(crate) fn reverting(self, source: &SourceRef<'_>, migration: &Migration, at: &Resume) -> Statement {
        let digest = at.digest.as_deref().unwrap_or_default();
        self.ledger.record_reverting(source.name, migration, self.stamp, at.done, at.started, digest)
    }

    /// What has to go before a first row: the ledger's row of a migration that the tool has rolled back.
    fn stale(self, source: &SourceRef<'_>, migration: &Migration, before: Before) -> Vec<Statement> {
        match (before, source.history) {
            (Before::Absent, Some(history)) => {
                vec![self.ledger.forget_stale(source.name, history, migration)]
            }
            (Before::Absent, None) | (Before::Any, _) => Vec::new(),
        }
    }
}
