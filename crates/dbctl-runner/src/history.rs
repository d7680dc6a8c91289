//! What a database records of its migrations, with what dbctl knows of each row; read by a session that cannot write.

use std::{collections::BTreeMap, time::Duration};

use dbctl_engine::{Engine, Reader, Session, Target};
use dbctl_migration::{Progress, State, TableName, ledger::Ledger};
use dbctl_workspace::{Key, Workspace};
use jiff::Timestamp;

use crate::{
    StepError,
    files::{SourceFiles, applied, read_sources},
};

/// What one database records.
#[derive(Debug)]
pub struct DatabaseHistory {
    /// Its key.
    pub key: Key,
    /// Its name.
    pub name: String,
    /// Its server, without a password.
    pub server: String,
    /// Its sources, in the manifest's order.
    pub sources: Vec<SourceHistory>,
}

/// What is recorded of one source.
#[derive(Debug)]
pub struct SourceHistory {
    /// The source's folder as the manifest spells it.
    pub source: String,
    /// Whose format it is.
    pub format: &'static str,
    /// The table that is the truth.
    pub table: TableName,
    /// Its rows, in the order in which the tool reads them.
    pub rows: Vec<HistoryRow>,
}

/// One migration that is recorded.
#[derive(Debug)]
pub struct HistoryRow {
    /// Its version.
    pub version: String,
    /// Its whole name.
    pub name: String,
    /// The verdict on it.
    pub state: State,
    /// How far it got.
    pub progress: Progress,
    /// When it was applied, where that is recorded.
    pub applied_at: Option<Timestamp>,
    /// How long it ran, where that is recorded.
    pub elapsed: Option<Duration>,
    /// The role that applied it; only of what dbctl applied.
    pub applied_by: Option<String>,
    /// The run that applied it; only of what dbctl applied.
    pub run: Option<String>,
    /// What became of its file.
    pub checksum: ChecksumState,
}

/// What became of the file of an applied migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumState {
    /// It is what it was.
    Same,
    /// It has changed.
    Changed,
    /// Nobody recorded what it was.
    Unknown,
    /// It is no longer there.
    NoFile,
}

impl ChecksumState {
    /// As reports spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Changed => "changed",
            Self::Unknown => "unknown",
            Self::NoFile => "no_file",
        }
    }
}

/// Reads what a database records; `source` asks for one source alone, by its name.
pub async fn history(
    workspace: &Workspace,
    key: &Key,
    source: Option<&str>,
    targets: &BTreeMap<Key, Target>,
    engine: &dyn Engine,
    session: &Session<'_>,
) -> Result<DatabaseHistory, StepError> {
    let target = &targets[key];
    let sources = read_sources(workspace.database(key))?;
    let mut reader = engine.open(target, session).await?;
    let read = read(&mut *reader, &sources, source, Ledger::new(target.dialect())).await;
    reader.close().await;
    Ok(DatabaseHistory {
        key: key.clone(),
        name: target.name.to_string(),
        server: target.server.clone(),
        sources: read?,
    })
}

async fn read(
    reader: &mut dyn Reader,
    sources: &[SourceFiles],
    only: Option<&str>,
    ledger: Ledger,
) -> Result<Vec<SourceHistory>, StepError> {
    let rows = applied(reader, sources).await?;
    let known = reader.ledger().await?;
    let mut histories = Vec::new();
    for (source, rows) in
        sources.iter().zip(&rows).filter(|(source, _)| only.is_none_or(|name| name == source.name))
    {
        let history = source.history();
        let keyed_by = history.keyed_by();
        let reconciled = source.reconcile(rows);
        let mut shown = Vec::new();
        for row in rows {
            let key = keyed_by.of_applied(row);
            let entry = reconciled.entries.iter().find(|entry| {
                entry.applied.as_ref().is_some_and(|applied| keyed_by.of_applied(applied) == key)
            });
            let Some(entry) = entry else { continue };
            let note = known.iter().find(|note| {
                note.source == source.name
                    && keyed_by.of_applied(&note.applied) == key
                    && note.applied.may_be(row)
            });
            shown.push(HistoryRow {
                version: entry.local.map_or(&row.version, |local| &local.version).to_string(),
                name: entry.name().to_owned(),
                state: entry.state,
                progress: row.progress.clone(),
                applied_at: row.at,
                elapsed: row.elapsed,
                applied_by: note.and_then(|note| note.by.clone()),
                run: note.and_then(|note| note.run.clone()),
                checksum: match (entry.local, &row.checksum) {
                    (None, _) => ChecksumState::NoFile,
                    (Some(_), None) => ChecksumState::Unknown,
                    (Some(local), Some(recorded)) if local.has_checksum(recorded) => ChecksumState::Same,
                    (Some(_), Some(_)) => ChecksumState::Changed,
                },
            });
        }
        let [migrations, _, _] = ledger.tables();
        let table = reader.history_table(&history).await?.unwrap_or(migrations);
        histories.push(SourceHistory {
            source: source.name.clone(),
            format: source.kind.as_str(),
            table,
            rows: shown,
        });
    }
    Ok(histories)
}
