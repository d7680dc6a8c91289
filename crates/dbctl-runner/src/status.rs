//! `status`: where every database stands, through sessions that cannot write.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc, time::Duration};

use dbctl_engine::{Engine, Prepared, Reader, Session, Target};
use dbctl_migration::{Dialect, State};
use dbctl_workspace::{Key, Workspace};
use futures::{StreamExt, stream};
use jiff::Timestamp;

use crate::{
    StepError,
    baseline::{self, Found},
    files::{read_sources, reconcile_all, resumable},
    gate::{Gate, Seated},
    twins::twins,
};

/// Where the selected databases stand, dependencies first.
#[derive(Debug)]
pub struct StatusReport {
    /// One per database.
    pub databases: Vec<DatabaseStatus>,
}

/// Where one database stands.
#[derive(Debug)]
pub struct DatabaseStatus {
    /// Its key.
    pub key: Key,
    /// Its name.
    pub name: String,
    /// Its server, without a password.
    pub server: String,
    /// Whether it exists; `None` where that could not be found out.
    pub exists: Option<bool>,
    /// Its migrations, source by source; all pending where it does not exist.
    pub migrations: Vec<StatusEntry>,
    /// Transactions that a run has prepared here and neither committed nor rolled back, the oldest first: what they hold
    /// does not show in `migrations`.
    pub prepared: Vec<Prepared>,
    /// Why `migrate` would apply nothing, though something is pending and could be read.
    pub blocked: Option<Arc<StepError>>,
    /// Why it could not be read.
    pub error: Option<Arc<StepError>>,
}

/// One migration's state.
#[derive(Debug, Clone)]
pub struct StatusEntry {
    /// The source's folder as the manifest spells it.
    pub source: String,
    /// Its version.
    pub version: String,
    /// Its whole name.
    pub name: String,
    /// The verdict.
    pub state: State,
    /// When it was applied, where that is recorded.
    pub applied_at: Option<Timestamp>,
    /// How long it ran, where that is recorded.
    pub elapsed: Option<Duration>,
    /// The baseline that is to be run instead of it, and with which it is going to be recorded.
    pub held_by: Option<String>,
}

impl DatabaseStatus {
    /// How many migrations are in each state.
    pub fn counts(&self) -> BTreeMap<State, usize> {
        let mut counts = BTreeMap::new();
        for entry in &self.migrations {
            *counts.entry(entry.state).or_default() += 1;
        }
        counts
    }

    /// Whether there is nothing to do and nothing wrong.
    pub fn is_up_to_date(&self) -> bool {
        self.exists == Some(true)
            && self.error.is_none()
            && self.prepared.is_empty()
            && self.migrations.iter().all(|entry| entry.state == State::Applied)
    }
}

/// Reads where databases stand, at most `jobs` at once and never more sessions on a server than its cap, through
/// sessions that cannot write.
pub async fn status(
    workspace: &Workspace,
    keys: &[Key],
    targets: &BTreeMap<Key, Target>,
    engine: &dyn Engine,
    session: &Session<'_>,
    jobs: NonZeroUsize,
) -> StatusReport {
    let look = Look { workspace, targets, engine, session, gate: Gate::new(targets.values()) };
    let reads: Vec<_> = keys.iter().map(|key| look.database(key)).collect();
    let mut databases: Vec<DatabaseStatus> = stream::iter(reads).buffered(jobs.get()).collect().await;
    for (key, error) in twins(keys, targets, engine, session, &look.gate).await {
        if let Some(status) = databases.iter_mut().find(|status| status.key == key) {
            status.error.get_or_insert_with(|| Arc::new(error));
        }
    }
    StatusReport { databases }
}

/// What the looks at all databases share.
struct Look<'a> {
    workspace: &'a Workspace,
    targets: &'a BTreeMap<Key, Target>,
    engine: &'a dyn Engine,
    session: &'a Session<'a>,
    gate: Gate,
}

impl Look<'_> {
    async fn database(&self, key: &Key) -> DatabaseStatus {
        let target = &self.targets[key];
        let mut status = DatabaseStatus {
            key: key.clone(),
            name: target.name.to_string(),
            server: target.server.clone(),
            exists: None,
            migrations: Vec::new(),
            prepared: Vec::new(),
            blocked: None,
            error: None,
        };
        let found = self.read(key, target, &mut status).await;
        status.error = found.err().map(Arc::new);
        status
    }

    async fn read(&self, key: &Key, target: &Target, status: &mut DatabaseStatus) -> Result<(), StepError> {
        let sources = read_sources(self.workspace.database(key))?;
        let place = self.gate.enter(target, &self.session.cancel).await?;
        let mut reader = match self.engine.open(target, self.session).await {
            Ok(reader) => Some(Seated::new(reader, place)),
            Err(error) => match StepError::from(error) {
                error if error.is_no_database() => None,
                error => return Err(error),
            },
        };
        status.exists = Some(reader.is_some());
        let result = entries(&sources, reader.as_deref_mut(), self.engine, target.dialect()).await;
        let prepared = match &mut reader {
            Some(reader) => reader.two_phase().await.map(|found| found.open),
            None => Ok(Vec::new()),
        };
        if let Some(reader) = reader {
            reader.close().await;
        }
        let (migrations, blocked) = result?;
        status.prepared = prepared?;
        (status.migrations, status.blocked) = (migrations, blocked.map(Arc::new));
        Ok(())
    }
}

async fn entries(
    sources: &[crate::SourceFiles],
    reader: Option<&mut (dyn Reader + '_)>,
    engine: &dyn Engine,
    dialect: Dialect,
) -> Result<(Vec<StatusEntry>, Option<StepError>), StepError> {
    let found = match reader {
        Some(reader) => baseline::look(reader, sources).await?,
        None => Found::nothing(sources),
    };
    let (mut entries, mut blocked) = (Vec::new(), None);
    let reconciled = reconcile_all(sources, &found.rows);
    for ((source, reconciled), rows) in sources.iter().zip(reconciled).zip(&found.rows) {
        let (trouble, due) = baseline::outlook(source, rows, &reconciled, &found.belongings);
        let stuck = || reconciled.entries.iter().find_map(|entry| resumable(engine, dialect, entry).err());
        blocked = blocked.or(trouble).or_else(|| stuck().map(StepError::Engine));
        let baseline = due.map(|due| reconciled.entries[due].name().to_owned());
        for (at, entry) in reconciled.entries.into_iter().enumerate() {
            let (version, name) = match (entry.local, &entry.applied) {
                (Some(local), _) => (local.version.to_string(), local.name.clone()),
                (None, Some(applied)) => (applied.version.to_string(), applied.name.clone()),
                (None, None) => continue,
            };
            let held = due.is_some_and(|due| at < due) && !entry.is_recorded();
            entries.push(StatusEntry {
                source: source.name.clone(),
                version,
                name,
                state: entry.state,
                applied_at: entry.applied.as_ref().and_then(|applied| applied.at),
                elapsed: entry.applied.as_ref().and_then(|applied| applied.elapsed),
                held_by: baseline.clone().filter(|_| held),
            });
        }
    }
    Ok((entries, blocked))
}
