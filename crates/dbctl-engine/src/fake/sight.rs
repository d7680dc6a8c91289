//! What a test sees of the fake, and puts into it.

use dbctl_migration::Applied;

use super::{Fake, Record, lock};

impl Fake {
    /// Everything that happened so far.
    pub fn log(&self) -> Vec<Record> {
        self.state().log.clone()
    }

    /// Which databases exist.
    pub fn databases(&self) -> Vec<String> {
        self.state().databases.keys().cloned().collect()
    }

    /// The names of a source's applied migrations, in the order in which they were applied.
    pub fn applied(&self, database: &str, source: &str) -> Vec<String> {
        let state = self.state();
        let rows = state.databases.get(database).and_then(|db| db.sources.get(source));
        rows.into_iter().flatten().map(|applied| applied.name.clone()).collect()
    }

    /// The recorded seeds of a database.
    pub fn seeded(&self, database: &str) -> Vec<String> {
        let state = self.state();
        state
            .databases
            .get(database)
            .map(|db| db.seeds.iter().map(|row| row.file.clone()).collect())
            .unwrap_or_default()
    }

    /// Records an environment, as a run under that environment would have.
    pub fn set_environment(&self, database: &str, environment: &str) {
        self.state().databases.entry(database.to_owned()).or_default().environment =
            Some(environment.to_owned());
    }

    /// Makes something in a database, as somebody would have without dbctl.
    pub fn make(&self, database: &str, name: &str) {
        let mut state = self.state();
        state.databases.entry(database.to_owned()).or_default().belongings.insert(name.to_owned());
    }

    /// Records a migration in whatever state, as a tool or an earlier run would have.
    pub fn put(&self, database: &str, source: &str, row: Applied) {
        let mut state = self.state();
        let sources = &mut state.databases.entry(database.to_owned()).or_default().sources;
        sources.entry(source.to_owned()).or_default().push(row);
    }

    /// All that is recorded of a source.
    pub fn rows(&self, database: &str, source: &str) -> Vec<Applied> {
        let state = self.state();
        state.databases.get(database).and_then(|db| db.sources.get(source)).cloned().unwrap_or_default()
    }

    /// Which databases are locked right now.
    pub fn locked(&self) -> Vec<String> {
        self.state().locked.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The most sessions that were ever open at once on a server ([`crate::Target::server`]); a call on the server itself
    /// counts as a session for as long as it lasts.
    pub fn peak(&self, server: &str) -> usize {
        lock(&self.crowd).get(server).map_or(0, |crowd| crowd.peak)
    }

    /// How many sessions are open right now, on all servers.
    pub fn open_sessions(&self) -> usize {
        lock(&self.crowd).values().map(|crowd| crowd.now).sum()
    }
}
