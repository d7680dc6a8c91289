//! A connection with what the run may do with it: read, or write under dbctl's lock, file by file or in one transaction.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use dbctl_migration::{
    Applied, Directives, History, Migration, Progress, Script, Statement, TableName, Value,
    ledger::{LedgerRow, RunRow, SeedRow},
    quote_ident,
};

use super::{
    LEDGER, admin, catalog,
    layout::layout,
    link::{Access, Link},
    lock::Lock,
    reader,
    records::{Guard, exists},
    script::{self, LOCK_TIMEOUT, Work},
    seed,
};
use crate::{
    Applier, Atomic, Decision, EngineError, Gid, Identity, Note, Part, Reader, Resume, SeedWork, Session,
    SourceRef, SqlError, Target, TwoPhase, Writer,
    clean::{CleanPlan, Inventory},
    note::{Notary, Ran},
    records::Suspect,
};

/// Whether foreign keys are enforced statement by statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ForeignKeys {
    On,
    /// A table that is rebuilt would take the rows with it that refer to it.
    Off,
}

/// A session. What it may do is said by the trait as which it is given out.
pub(super) struct FileSession<'s> {
    link: Link,
    /// `None` where it only reads.
    lock: Option<Lock>,
    session: Session<'s>,
    /// The tables that say what is applied.
    records: Vec<TableName>,
    settings: BTreeMap<String, String>,
    /// Whether a file may have left something behind in the connection.
    used: bool,
    /// Whether the run is recorded to be at work here.
    begun: bool,
}

impl<'s> FileSession<'s> {
    /// One that reads.
    pub(super) async fn read(target: &Target, session: &Session<'s>) -> Result<Self, EngineError> {
        Self::open(target, session, Access::Read, None).await
    }

    /// One that holds dbctl's lock.
    pub(super) async fn write(target: &Target, session: &Session<'s>) -> Result<Self, EngineError> {
        let path = admin::present(target)?;
        let lock = admin::lock(path, session).await?;
        Self::open(target, session, Access::Write, Some(lock)).await
    }

    /// One that holds the lock, and whose work is one transaction.
    pub(super) async fn atomic(target: &Target, session: &Session<'s>) -> Result<Self, EngineError> {
        let mut this = Self::write(target, session).await?;
        this.ready(ForeignKeys::Off).await?;
        this.link.patiently("BEGIN IMMEDIATE", LOCK_TIMEOUT).await?;
        this.link.nested = true;
        Ok(this)
    }

    async fn open(
        target: &Target,
        session: &Session<'s>,
        access: Access,
        lock: Option<Lock>,
    ) -> Result<Self, EngineError> {
        let path = admin::present(target)?;
        let link = match Link::open(path, access, session.cancel.clone()).await {
            Ok(link) => link,
            // It may have been dropped in this moment.
            Err(error) => return Err(admin::present(target).err().unwrap_or(error)),
        };
        Ok(Self {
            link,
            lock,
            session: session.clone(),
            records: Vec::new(),
            settings: target.settings.clone(),
            used: false,
            begun: false,
        })
    }

    fn notary<'t>(&self, tool: Option<&'t dyn History>) -> Notary<'t>
    where
        's: 't,
    {
        Notary { ledger: LEDGER, stamp: self.session.stamp, tool }
    }

    /// A connection in which nothing is set.
    async fn fresh(&mut self) -> Result<&mut Link, EngineError> {
        if self.used && !self.link.nested {
            self.link.reopen().await?;
            self.used = false;
        }
        Ok(&mut self.link)
    }

    /// A connection for a file, with the manifest's settings.
    async fn ready(&mut self, foreign_keys: ForeignKeys) -> Result<(), EngineError> {
        self.fresh().await?;
        if self.link.nested {
            return Ok(());
        }
        self.used = true;
        let on = foreign_keys == ForeignKeys::On;
        self.link.batch(format!("PRAGMA foreign_keys = {on}")).await?;
        for (name, value) in &self.settings {
            if name.eq_ignore_ascii_case("foreign_keys") && !on {
                continue;
            }
            set(&mut self.link, name, value).await?;
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "each kind of script leaves out others")]
    async fn run_script(
        &mut self,
        script: &Script,
        directives: &Directives,
        foreign_keys: ForeignKeys,
        record: &(dyn Fn(&Ran) -> Vec<Statement> + Sync),
        own: Option<(&SourceRef<'_>, &Migration)>,
        progress: Option<&script::Progress<'_>>,
        resume: Option<Resume>,
    ) -> Result<Duration, EngineError> {
        let records = if directives.changes_history { Vec::new() } else { self.records.clone() };
        self.ready(foreign_keys).await.map_err(EngineError::between_files)?;
        let work = Work {
            script,
            lock_timeout: directives.lock_timeout,
            check_references: foreign_keys == ForeignKeys::Off,
            record,
            own,
            progress,
            resume,
            records: &records,
        };
        self.link.limit = directives.statement_timeout.filter(|limit| !limit.is_zero());
        let result = script::run(&mut self.link, &work).await;
        self.link.limit = None;
        result
    }

    /// Statements of dbctl's own in one transaction.
    async fn in_transaction(
        &mut self,
        ddl: Vec<String>,
        statements: Vec<Statement>,
    ) -> Result<(), EngineError> {
        let work = async |link: &mut Link| {
            for sql in ddl {
                link.batch(sql).await?;
            }
            link.execute(statements).await
        };
        in_transaction(self.fresh().await?, work).await
    }

    /// What is missing of the tables that say what is applied, and what brings older ones up to date.
    async fn missing_tables(
        &mut self,
        sources: &[SourceRef<'_>],
    ) -> Result<(Vec<String>, Vec<Statement>), EngineError> {
        let link = self.fresh().await?;
        let (mut ddl, mut upgrades) = (Vec::new(), Vec::new());
        for table in LEDGER.tables() {
            if !exists(link, &table.name).await? {
                ddl = LEDGER.create();
                break;
            }
        }
        for source in sources {
            let Some(history) = source.history else { continue };
            if !exists(link, &history.table().name).await? {
                ddl.extend(history.create());
            } else if let Some(upgrade) = history.upgrade(source.migrations) {
                let read =
                    |row: &rusqlite::Row<'_>| Ok((row.get::<_, bool>(0)?, row.get::<_, Option<String>>(1)?));
                let answers = link.rows(upgrade.needed.sql, upgrade.needed.params, read).await?;
                for (needed, refused) in answers {
                    if let Some(refused) = refused {
                        return Err(EngineError::Unsupported(refused));
                    }
                    if needed {
                        upgrades.extend(upgrade.statements.clone());
                    }
                }
            }
        }
        Ok((ddl, upgrades))
    }

    /// Where an earlier run stopped that rolled the migration back.
    async fn reverted_so_far(
        &mut self,
        source: &SourceRef<'_>,
        migration: &Migration,
    ) -> Result<Option<Resume>, EngineError> {
        let keyed_by = source.keyed_by();
        let rows = reader::applied(self.fresh().await?, source).await?;
        let row = rows.into_iter().rfind(|row| keyed_by.of_applied(row) == keyed_by.of(migration));
        Ok(row.and_then(|row| match row.progress {
            Progress::Reverting { done, started, digest } => Some(Resume { done, started, digest }),
            Progress::Whole | Progress::Partial { .. } | Progress::Failed => None,
        }))
    }
}

/// Work in one transaction, which is undone where it fails.
async fn in_transaction<T>(
    link: &mut Link,
    work: impl AsyncFnOnce(&mut Link) -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    let done = async {
        link.begin(LOCK_TIMEOUT).await?;
        let done = work(link).await?;
        link.commit(LOCK_TIMEOUT).await?;
        Ok(done)
    }
    .await;
    if done.is_err() {
        link.rollback().await;
    }
    done
}

/// Sets what SQLite calls a pragma; it says nothing of one that it does not know.
async fn set(link: &mut Link, name: &str, value: &str) -> Result<(), EngineError> {
    let known = "SELECT 1 FROM pragma_pragma_list WHERE name = lower(?1)";
    let known = !link.rows(known, vec![Value::Text(name.to_owned())], |_| Ok(())).await?.is_empty();
    if known {
        let value = value.replace('\'', "''");
        let sql = format!("PRAGMA {} = '{value}'", quote_ident(name));
        link.rows(sql, Vec::new(), |_| Ok(())).await?;
        return Ok(());
    }
    let message = format!("SQLite has no setting \"{name}\"");
    let hint = "see `settings` of the database in the manifest: each is a PRAGMA";
    Err(SqlError::ours("SQLITE_ERROR", message, hint).into())
}

#[async_trait]
impl Reader for FileSession<'_> {
    async fn identity(&mut self) -> Result<Identity, EngineError> {
        Ok(admin::identity(self.link.path()))
    }

    async fn applied(&mut self, source: &SourceRef<'_>) -> Result<Vec<Applied>, EngineError> {
        reader::applied(self.fresh().await?, source).await
    }

    async fn ledger(&mut self) -> Result<Vec<LedgerRow>, EngineError> {
        reader::ledger_rows(self.fresh().await?).await
    }

    async fn runs(&mut self) -> Result<Vec<RunRow>, EngineError> {
        reader::runs(self.fresh().await?).await
    }

    async fn seeds(&mut self) -> Result<Vec<SeedRow>, EngineError> {
        reader::seeds(self.fresh().await?).await
    }

    async fn two_phase(&mut self) -> Result<TwoPhase, EngineError> {
        Ok(TwoPhase::default())
    }

    async fn environment(&mut self) -> Result<Option<String>, EngineError> {
        reader::environment(self.fresh().await?).await
    }

    async fn inventory(&mut self) -> Result<Inventory, EngineError> {
        catalog::inventory(self.fresh().await?).await
    }

    async fn belongings(&mut self, histories: &[TableName]) -> Result<Vec<String>, EngineError> {
        catalog::belongings(self.fresh().await?, histories).await
    }

    async fn close(self: Box<Self>) {
        let Self { link, lock, .. } = *self;
        // The connection first: whoever gets the lock is alone.
        link.close().await;
        drop(lock);
    }
}

#[async_trait]
impl Applier for FileSession<'_> {
    async fn prepare(&mut self, sources: &[SourceRef<'_>], environment: &str) -> Result<(), EngineError> {
        self.guard(&LEDGER.tables());
        for history in sources.iter().filter_map(|source| source.history) {
            self.guard(std::slice::from_ref(history.table()));
        }
        let (ddl, upgrades) = self.missing_tables(sources).await?;
        if ddl.is_empty() && upgrades.is_empty() && self.environment().await?.is_some() {
            return Ok(());
        }
        let mut statements = upgrades;
        statements.push(LEDGER.record_environment(environment));
        self.in_transaction(ddl, statements).await
    }

    async fn begin_run(&mut self, command: &str, make: bool) -> Result<(), EngineError> {
        if self.begun || self.link.nested {
            return Ok(());
        }
        let statement = LEDGER.begin_run(self.session.stamp, command);
        let ddl = match exists(self.fresh().await?, &LEDGER.runs_table().name).await? {
            true => Vec::new(),
            false if make => vec![LEDGER.create_runs()],
            false => return Ok(()),
        };
        self.in_transaction(ddl, vec![statement]).await?;
        self.begun = true;
        Ok(())
    }

    fn guard(&mut self, tables: &[TableName]) {
        for table in tables {
            if !self.records.contains(table) {
                self.records.push(table.clone());
            }
        }
    }

    async fn apply(
        &mut self,
        source: &SourceRef<'_>,
        migration: &Migration,
        resume: Option<Resume>,
    ) -> Result<Duration, EngineError> {
        let notary = self.notary(source.history);
        let record = |ran: &Ran| notary.applied(source, migration, ran);
        let own = source.history.map(|_| (source, migration));
        let progress = |at: &Resume, before| notary.reached(source, migration, at, before);
        let (script, directives) = (&migration.up, &migration.directives);
        self.run_script(script, directives, ForeignKeys::Off, &record, own, Some(&progress), resume).await
    }

    async fn baseline(
        &mut self,
        source: &SourceRef<'_>,
        file: &Migration,
        past: &[&Migration],
        own: bool,
        resume: Option<Resume>,
    ) -> Result<Duration, EngineError> {
        let notary = self.notary(source.history);
        let record = |ran: &Ran| notary.past(source, file, past, own, ran.elapsed);
        let progress = |at: &Resume, _| vec![notary.progress(source, file, at)];
        let (script, directives) = (&file.up, &file.directives);
        self.run_script(script, directives, ForeignKeys::Off, &record, None, Some(&progress), resume).await
    }

    async fn note(&mut self, notes: &[Note<'_>]) -> Result<(), EngineError> {
        let statements = notes
            .iter()
            .flat_map(|note| self.notary(note.source().history).statements(note, note.source()))
            .collect();
        self.in_transaction(Vec::new(), statements).await
    }
}

#[async_trait]
impl Writer for FileSession<'_> {
    async fn end_run(&mut self, outcome: &str, migrations: usize) -> Result<(), EngineError> {
        if !self.begun {
            return Ok(());
        }
        let statement = LEDGER.end_run(self.session.stamp, outcome, migrations);
        self.link.shield(true);
        self.link.rollback().await;
        self.link.shield(true);
        let ended = self.in_transaction(Vec::new(), vec![statement]).await;
        self.link.shield(false);
        ended
    }

    async fn revert(
        &mut self,
        source: &SourceRef<'_>,
        migration: &Migration,
    ) -> Result<Duration, EngineError> {
        let Some(down) = migration.reverted_by() else {
            return Err(EngineError::Unsupported(format!(
                "{} has no down part",
                migration.up.path.display()
            )));
        };
        let notary = self.notary(source.history);
        let record = |_: &Ran| notary.forgotten(source, source.keyed_by().of(migration));
        let progress = |at: &Resume, _| vec![notary.reverting(source, migration, at)];
        let resume = self.reverted_so_far(source, migration).await?;
        let directives = &migration.directives;
        self.run_script(down, directives, ForeignKeys::Off, &record, None, Some(&progress), resume).await
    }

    async fn seed(&mut self, work: &SeedWork, row: &SeedRow) -> Result<Duration, EngineError> {
        let statement = LEDGER.record_seed(row, self.session.stamp);
        match work {
            SeedWork::Sql(script) => {
                layout(script, false)?.whole_seed()?;
                let record = |_: &Ran| vec![statement.clone()];
                let none = Directives::default();
                self.run_script(script, &none, ForeignKeys::On, &record, None, None, None).await
            }
            SeedWork::Csv { path, shown, table } => {
                self.ready(ForeignKeys::On).await?;
                let records = self.records.clone();
                let started = Instant::now();
                let work = async |link: &mut Link| {
                    let guard = Guard::new(&records);
                    seed::csv(link, path, shown, table, &guard).await?;
                    let elapsed = started.elapsed();
                    guard.unchanged(link, &Suspect { path: shown, statements: None }, None).await?;
                    link.execute(vec![statement]).await?;
                    Ok(elapsed)
                };
                in_transaction(&mut self.link, work).await
            }
            SeedWork::External => {
                self.in_transaction(Vec::new(), vec![statement]).await?;
                Ok(Duration::ZERO)
            }
        }
    }

    async fn clean(&mut self, plan: &CleanPlan) -> Result<(), EngineError> {
        self.ready(ForeignKeys::Off).await?;
        let [_, seeds, _] = LEDGER.tables();
        let forget = match exists(&mut self.link, &seeds.name).await? {
            true => vec![LEDGER.forget_seeds()],
            false => Vec::new(),
        };
        let restart = plan.restart.iter().map(|table| Statement {
            sql: "DELETE FROM main.sqlite_sequence WHERE name = $1".to_owned(),
            params: vec![Value::Text(table.name.clone())],
        });
        let statements = restart.chain(forget).collect();
        let tables: Vec<String> = plan.truncate.iter().map(|truncate| truncate.table.name.clone()).collect();
        let work = async |link: &mut Link| {
            catalog::empty(link, tables).await?;
            link.execute(statements).await
        };
        in_transaction(&mut self.link, work).await
    }
}

/// What SQLite has not.
pub(super) fn no_two_phase<T>() -> Result<T, EngineError> {
    Err(EngineError::Unsupported(
        "SQLite cannot prepare a transaction, as --atomic=two-phase needs it".to_owned(),
    ))
}

#[async_trait]
impl Atomic for FileSession<'_> {
    async fn ready(&mut self) -> Result<(), EngineError> {
        self.link.still_open().await
    }

    async fn commit(&mut self) -> Result<(), EngineError> {
        self.link.shield(true);
        let committed = async {
            self.link.still_open().await?;
            self.link.patiently("COMMIT", LOCK_TIMEOUT).await
        }
        .await;
        self.link.shield(false);
        if committed.is_ok() {
            self.link.nested = false;
        }
        committed
    }

    async fn lead(&mut self) -> Result<u32, EngineError> {
        no_two_phase()
    }

    async fn prepare_commit(&mut self, _gid: &Gid) -> Result<(), EngineError> {
        no_two_phase()
    }

    async fn decide(&mut self, _parts: &[Part]) -> Result<(), EngineError> {
        no_two_phase()
    }

    async fn conclude(&mut self, _gid: &Gid, _decision: Decision) -> Result<(), EngineError> {
        no_two_phase()
    }
}
