//! An engine in memory, for testing the runner: no server, no SQL, every call told beforehand how to behave.

mod atomic;
mod call;
mod failure;
mod note;
mod runs;
mod seat;
mod sight;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use dbctl_migration::{
    Applied, Dialect, Migration, Progress, Script as File, TableName, Transaction,
    ledger::{LedgerRow, RunRow, SeedRow},
};
use jiff::Timestamp;
use secrecy::SecretString;

pub use self::call::{Behaviour, Call, CallKind, Fault, Record};
use self::{
    failure::{lost, missing, scripted_error},
    runs::Runs,
    seat::{Crowd, Seat},
};
use crate::{
    Access, Applier, Atomic, BELONGINGS, Creation, Decision, Engine, EngineError, Gid, Identity, LockHolder,
    Note, Reader, Resume, SeedWork, Session, SourceRef, Target, TwoPhase, Writer,
    clean::{CleanPlan, Inventory},
};

type Script = dyn Fn(&Call) -> Behaviour + Send + Sync;

/// The engine. Clones share one state, as several processes share one server.
#[derive(Clone)]
pub struct Fake {
    state: Arc<Mutex<State>>,
    crowd: Arc<Mutex<BTreeMap<String, Crowd>>>,
    script: Arc<Script>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct State {
    databases: BTreeMap<String, Database>,
    /// Databases that a writer has locked, each with its incarnation.
    locked: BTreeSet<(String, u64)>,
    /// How many sessions are open on each incarnation of a database.
    open: BTreeMap<(String, u64), usize>,
    /// How many databases were ever made.
    made: u64,
    /// What is prepared, by name, with its database.
    prepared: BTreeMap<String, (String, Database)>,
    /// The runs that may still decide.
    leading: BTreeSet<String>,
    decisions: BTreeMap<String, Decision>,
    log: Vec<Record>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Database {
    /// Tells it from one of the same name that was dropped.
    incarnation: u64,
    sources: BTreeMap<String, Vec<Applied>>,
    seeds: Vec<SeedRow>,
    environment: Option<String>,
    /// What people have made in it, and what migrations have.
    belongings: BTreeSet<String>,
    /// Seconds since 1970, one for each migration that was ever recorded.
    clock: i64,
    /// Which run recorded a migration, by source and name.
    by_run: BTreeMap<(String, String), String>,
    runs: Runs,
}

impl Database {
    fn record(&mut self, source: String, migration: &Migration, run: &str) {
        self.clock += 1;
        self.by_run.insert((source.clone(), migration.name.clone()), run.to_owned());
        self.sources.entry(source).or_default().push(Applied {
            version: migration.version.clone(),
            name: migration.name.clone(),
            checksum: Some(migration.checksum.clone()),
            at: Timestamp::from_second(self.clock).ok(),
            elapsed: None,
            progress: Progress::Whole,
            tool_row: None,
        });
    }
}

impl Default for Fake {
    fn default() -> Self {
        Self::new(|_| Behaviour::default())
    }
}

impl Fake {
    /// A server without databases, whose calls behave as `script` says.
    pub fn new(script: impl Fn(&Call) -> Behaviour + Send + Sync + 'static) -> Self {
        Self { state: Arc::default(), crowd: Arc::default(), script: Arc::new(script) }
    }

    /// The same server seen through another script.
    pub fn with_script(&self, script: impl Fn(&Call) -> Behaviour + Send + Sync + 'static) -> Self {
        Self { state: Arc::clone(&self.state), crowd: Arc::clone(&self.crowd), script: Arc::new(script) }
    }

    fn seat(&self, target: &Target) -> Seat {
        let mut crowds = lock(&self.crowd);
        let crowd = crowds.entry(target.server.clone()).or_default();
        crowd.now += 1;
        crowd.peak = crowd.peak.max(crowd.now);
        Seat { crowd: Arc::clone(&self.crowd), server: target.server.clone() }
    }

    /// A session on a database that exists.
    fn opened<'s>(
        &self,
        state: &mut State,
        target: &Target,
        session: &Session<'s>,
        seat: Seat,
        writer: bool,
    ) -> Result<FakeSession<'s>, EngineError> {
        let name = target.name.as_str();
        let Some(database) = state.databases.get(name) else { return Err(missing(target)) };
        let (database, incarnation) = (name.to_owned(), database.incarnation);
        *state.open.entry((database.clone(), incarnation)).or_default() += 1;
        let (engine, session) = (self.clone(), session.clone());
        Ok(FakeSession {
            engine,
            database,
            incarnation,
            session,
            writer,
            leads: false,
            working: Mutex::default(),
            _seat: seat,
        })
    }

    /// A session that has its database's lock.
    async fn locked_session<'s>(
        &self,
        target: &Target,
        session: &Session<'s>,
    ) -> Result<FakeSession<'s>, EngineError> {
        let seat = self.seat(target);
        let name = target.name.as_str();
        self.play(name, CallKind::Lock, session, |state| {
            let this = state.databases.get(name).map(|database| (name.to_owned(), database.incarnation));
            if this.is_some_and(|this| !state.locked.insert(this)) {
                state.refuse_prepared(name)?;
                let holder =
                    LockHolder { pid: 1, application: "dbctl fake".to_owned(), ..LockHolder::default() };
                return Err(EngineError::Locked { database: name.to_owned(), holder: Some(holder) });
            }
            // Bound to a session at once, so that even a lost answer gives the lock back.
            self.opened(state, target, session, seat, true)
        })
        .await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Plays one call: waits as the script says, then takes effect or fails.
    async fn play<T>(
        &self,
        database: &str,
        kind: CallKind,
        session: &Session<'_>,
        effect: impl FnOnce(&mut State) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let call = Call { database: database.to_owned(), kind };
        self.state().log.push(Record::Started(call.clone()));
        let behaviour = (self.script)(&call);
        for _ in 0..behaviour.yields {
            tokio::task::yield_now().await;
        }
        // What is said at the end of a session is said even while the run is being stopped, and not waited for.
        let last = call.kind.is_last();
        let waits = !matches!(call.kind, CallKind::Close | CallKind::EndRun(_));
        if behaviour.fault == Some(Fault::Hang) && waits {
            session.cancel.cancelled().await;
        }
        let (result, took_effect) = if session.cancel.is_cancelled() && !last {
            (Err(EngineError::Cancelled), false)
        } else {
            match behaviour.fault {
                Some(Fault::Error) => (Err(scripted_error()), false),
                Some(Fault::LostBefore) => (Err(lost(database)), false),
                Some(Fault::LostBetween) => (Err(lost(database).between_files()), false),
                Some(Fault::LostAfter) => {
                    // The value outlives the guard: a session that is dropped takes the same lock.
                    let value = effect(&mut self.state());
                    let took_effect = value.is_ok();
                    (value.and_then(|_| Err(lost(database))), took_effect)
                }
                Some(Fault::Hang) | None => {
                    let value = effect(&mut self.state());
                    let took_effect = value.is_ok();
                    (value, took_effect)
                }
            }
        };
        self.state().log.push(Record::Ended(call, took_effect));
        result
    }
}

/// A session of the fake; a writer holds its database's lock until it is closed or dropped.
struct FakeSession<'s> {
    engine: Fake,
    database: String,
    incarnation: u64,
    session: Session<'s>,
    writer: bool,
    /// Whether it has its run's own lock.
    leads: bool,
    /// What the database is in the session's own transaction, where that is all it has.
    working: Mutex<Option<Database>>,
    _seat: Seat,
}

impl Drop for FakeSession<'_> {
    fn drop(&mut self) {
        let this = (self.database.clone(), self.incarnation);
        let mut state = self.engine.state();
        if self.writer {
            state.locked.remove(&this);
        }
        if self.leads {
            state.leading.remove(&self.session.stamp.run);
        }
        if let Some(sessions) = state.open.get_mut(&this) {
            *sessions -= 1;
        }
    }
}

impl FakeSession<'_> {
    /// Plays a call that works on this session's database, which cannot vanish while it is open.
    async fn on_database<T>(
        &self,
        kind: CallKind,
        effect: impl FnOnce(&mut Database) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let name = self.database.clone();
        self.engine
            .play(&self.database, kind, &self.session, |state| match state.databases.get_mut(&name) {
                Some(database) if database.incarnation == self.incarnation => match &mut *lock(&self.working)
                {
                    Some(working) => effect(working),
                    None => effect(database),
                },
                Some(_) | None => Err(lost(&name)),
            })
            .await
    }

    /// The database as this session sees it.
    fn seen(&self) -> Option<Database> {
        let working = lock(&self.working).clone();
        working.or_else(|| self.engine.state().databases.get(&self.database).cloned())
    }
}

#[async_trait]
impl Engine for Fake {
    async fn exists(&self, target: &Target, session: &Session<'_>) -> Result<bool, EngineError> {
        let _seat = self.seat(target);
        let name = target.name.as_str();
        self.play(name, CallKind::Exists, session, |state| Ok(state.databases.contains_key(name))).await
    }

    async fn identity(&self, target: &Target, _session: &Session<'_>) -> Result<Identity, EngineError> {
        let _seat = self.seat(target);
        Ok(Identity { system: "fake".to_owned(), database: target.name.to_string() })
    }

    async fn may_create(&self, target: &Target, session: &Session<'_>) -> Result<(), EngineError> {
        let _seat = self.seat(target);
        self.play(target.name.as_str(), CallKind::MayCreate, session, |_| Ok(())).await
    }

    async fn may_drop(&self, target: &Target, session: &Session<'_>) -> Result<(), EngineError> {
        let _seat = self.seat(target);
        let name = target.name.as_str();
        self.play(name, CallKind::MayDrop, session, |state| state.vacant(name)).await
    }

    async fn create(&self, target: &Target, session: &Session<'_>) -> Result<Creation, EngineError> {
        let _seat = self.seat(target);
        let name = target.name.as_str();
        self.play(name, CallKind::Create, session, |state| {
            let created = !state.databases.contains_key(name);
            state.made += 1;
            let incarnation = state.made;
            let fresh = || Database { incarnation, ..Database::default() };
            state.databases.entry(name.to_owned()).or_insert_with(fresh);
            Ok(Creation { created, extensions: Vec::new() })
        })
        .await
    }

    async fn drop(
        &self,
        target: &Target,
        disconnect: bool,
        session: &Session<'_>,
    ) -> Result<bool, EngineError> {
        let _seat = self.seat(target);
        let name = target.name.as_str();
        self.play(name, CallKind::Drop, session, |state| {
            let Some(database) = state.databases.get(name) else { return Ok(false) };
            let this = (name.to_owned(), database.incarnation);
            if !disconnect {
                state.vacant(name)?;
            }
            state.locked.remove(&this);
            state.databases.remove(name);
            Ok(true)
        })
        .await
    }

    async fn open<'s>(
        &self,
        target: &Target,
        session: &Session<'s>,
    ) -> Result<Box<dyn Reader + 's>, EngineError> {
        let seat = self.seat(target);
        let name = target.name.as_str();
        let opened = self
            .play(name, CallKind::Open, session, |state| self.opened(state, target, session, seat, false))
            .await?;
        Ok(Box::new(opened))
    }

    async fn open_exclusive<'s>(
        &self,
        target: &Target,
        _peers: &[i64],
        session: &Session<'s>,
    ) -> Result<Box<dyn Writer + 's>, EngineError> {
        Ok(Box::new(self.locked_session(target, session).await?))
    }

    async fn open_atomic<'s>(
        &self,
        target: &Target,
        _peers: &[i64],
        _decides: bool,
        session: &Session<'s>,
    ) -> Result<Box<dyn Atomic + 's>, EngineError> {
        let held = self.locked_session(target, session).await?;
        let working = held.seen();
        *lock(&held.working) = working;
        Ok(Box::new(held))
    }

    fn resumable(&self, _dialect: Dialect, _script: &File, _resume: &Resume) -> Result<(), EngineError> {
        Ok(())
    }

    fn fits_one_transaction(&self, _dialect: Dialect, script: &File) -> Result<(), EngineError> {
        match script.transaction {
            Transaction::One => Ok(()),
            Transaction::None => Err(EngineError::NotWhole {
                path: script.path.clone(),
                line: script.first_line,
                reason: "the file is to run outside a transaction",
            }),
        }
    }

    async fn decision(
        &self,
        target: &Target,
        gid: &Gid,
        asked: Option<Decision>,
        session: &Session<'_>,
    ) -> Result<Decision, EngineError> {
        self.decision_of(target, gid, asked, session).await
    }

    async fn conclude(
        &self,
        target: &Target,
        gid: &Gid,
        decision: Decision,
        session: &Session<'_>,
    ) -> Result<(), EngineError> {
        let _seat = self.seat(target);
        self.conclude_part(target.name.as_str(), gid, decision, session).await
    }

    async fn access(&self, target: &Target) -> Result<Access, EngineError> {
        let url = SecretString::from(format!("postgresql://fake/{}", target.name));
        Ok(Access { url, vars: BTreeMap::new() })
    }
}

#[async_trait]
impl Reader for FakeSession<'_> {
    async fn identity(&mut self) -> Result<Identity, EngineError> {
        Ok(Identity { system: "fake".to_owned(), database: self.database.clone() })
    }

    async fn applied(&mut self, source: &SourceRef<'_>) -> Result<Vec<Applied>, EngineError> {
        let name = source.name.to_owned();
        self.on_database(CallKind::Applied(name.clone()), |database| {
            Ok(database.sources.get(&name).cloned().unwrap_or_default())
        })
        .await
    }

    async fn ledger(&mut self) -> Result<Vec<LedgerRow>, EngineError> {
        let seen = self.seen();
        let by_run = seen.as_ref().map(|database| database.by_run.clone());
        let sources = seen.map(|database| database.sources);
        let row = |source: &str, applied: &Applied| LedgerRow {
            source: source.to_owned(),
            applied: applied.clone(),
            run: by_run
                .as_ref()
                .and_then(|runs| runs.get(&(source.to_owned(), applied.name.clone())))
                .cloned(),
            by: None,
        };
        let rows =
            sources.iter().flatten().flat_map(|(name, rows)| rows.iter().map(move |one| row(name, one)));
        Ok(rows.collect())
    }

    async fn runs(&mut self) -> Result<Vec<RunRow>, EngineError> {
        Ok(self.seen().map(|database| database.runs.rows()).unwrap_or_default())
    }

    async fn two_phase(&mut self) -> Result<TwoPhase, EngineError> {
        let state = self.engine.state();
        Ok(TwoPhase {
            most: 64,
            taken: state.prepared.len(),
            open: state.prepared_in(&self.database),
            decided_here: state.decided_in(&self.database),
        })
    }

    async fn seeds(&mut self) -> Result<Vec<SeedRow>, EngineError> {
        Ok(self.seen().map(|database| database.seeds).unwrap_or_default())
    }

    async fn environment(&mut self) -> Result<Option<String>, EngineError> {
        Ok(self.seen().and_then(|database| database.environment))
    }

    async fn inventory(&mut self) -> Result<Inventory, EngineError> {
        Ok(Inventory::default())
    }

    async fn belongings(&mut self, _histories: &[TableName]) -> Result<Vec<String>, EngineError> {
        let found = self.seen().into_iter().flat_map(|database| database.belongings);
        Ok(found.take(BELONGINGS).collect())
    }

    async fn close(self: Box<Self>) {
        let closed = self.engine.play(&self.database, CallKind::Close, &self.session, |_| Ok(()));
        // A connection that breaks while it is being closed is closed.
        drop(closed.await);
    }
}

#[async_trait]
impl Applier for FakeSession<'_> {
    async fn prepare(&mut self, _sources: &[SourceRef<'_>], environment: &str) -> Result<(), EngineError> {
        let environment = environment.to_owned();
        self.on_database(CallKind::Prepare, |database| {
            database.environment.get_or_insert(environment);
            Ok(())
        })
        .await
    }

    async fn begin_run(&mut self, command: &str, make: bool) -> Result<(), EngineError> {
        if lock(&self.working).is_some() {
            return Ok(());
        }
        let (stamp, command) = (self.session.stamp, command.to_owned());
        self.on_database(CallKind::BeginRun, |database| {
            database.runs.begin(stamp, &command, make);
            Ok(())
        })
        .await
    }

    async fn apply(
        &mut self,
        source: &SourceRef<'_>,
        migration: &Migration,
        _resume: Option<Resume>,
    ) -> Result<Duration, EngineError> {
        let (source, run) = (source.name.to_owned(), &self.session.stamp.run);
        self.on_database(CallKind::Apply(migration.name.clone()), |database| {
            database.belongings.insert(migration.name.clone());
            database.record(source, migration, run);
            Ok(Duration::from_millis(1))
        })
        .await
    }

    async fn baseline(
        &mut self,
        source: &SourceRef<'_>,
        file: &Migration,
        past: &[&Migration],
        own: bool,
        _resume: Option<Resume>,
    ) -> Result<Duration, EngineError> {
        let (source, run) = (source.name.to_owned(), &self.session.stamp.run);
        self.on_database(CallKind::Baseline(file.name.clone()), |database| {
            database.belongings.insert(file.name.clone());
            let rows = database.sources.entry(source.clone()).or_default();
            rows.retain(|row| row.name != file.name && past.iter().all(|one| one.name != row.name));
            for migration in past.iter().copied().chain(own.then_some(file)) {
                database.record(source.clone(), migration, run);
            }
            Ok(Duration::from_millis(1))
        })
        .await
    }

    async fn note(&mut self, notes: &[Note<'_>]) -> Result<(), EngineError> {
        let run = &self.session.stamp.run;
        let kind = CallKind::Note(notes.iter().map(note::named).collect());
        self.on_database(kind, |database| {
            notes.iter().for_each(|note| database.note(note, run));
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl Writer for FakeSession<'_> {
    async fn end_run(&mut self, outcome: &str, migrations: usize) -> Result<(), EngineError> {
        let run = self.session.stamp.run.clone();
        let name = self.database.clone();
        let kind = CallKind::EndRun(outcome.to_owned());
        let end = |state: &mut State| {
            if let Some(database) = state.databases.get_mut(&name) {
                database.runs.end(&run, outcome, migrations);
            }
            Ok(())
        };
        self.engine.play(&self.database, kind, &self.session, end).await
    }

    async fn revert(
        &mut self,
        source: &SourceRef<'_>,
        migration: &Migration,
    ) -> Result<Duration, EngineError> {
        let source = source.name.to_owned();
        self.on_database(CallKind::Revert(migration.name.clone()), |database| {
            database.sources.entry(source).or_default().retain(|row| row.name != migration.name);
            Ok(Duration::from_millis(1))
        })
        .await
    }

    async fn seed(&mut self, _work: &SeedWork, row: &SeedRow) -> Result<Duration, EngineError> {
        let row = row.clone();
        self.on_database(CallKind::Seed(row.file.clone()), |database| {
            database.seeds.retain(|other| other.file != row.file);
            database.seeds.push(row);
            Ok(Duration::from_millis(1))
        })
        .await
    }

    async fn clean(&mut self, _plan: &CleanPlan) -> Result<(), EngineError> {
        self.on_database(CallKind::Clean, |database| {
            database.seeds.clear();
            Ok(())
        })
        .await
    }
}
