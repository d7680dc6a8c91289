//! The one session that may write: it holds the locks, and every file of its finds it as new.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use dbctl_migration::{
    Applied, Directives, History, Migration, Progress, Script, Statement, TableName,
    ledger::{LedgerRow, RunRow, SeedRow},
};
use tokio_postgres::types::{ToSql, Type};

use super::{
    LEDGER, atomic,
    belongings::belongings,
    failure::Failure,
    inventory::inventory,
    layout::Layout,
    locate::{Place, locate},
    lock, reader,
    script::{self, LOCK_TIMEOUT, Work, not_recorded, wait_for_lock},
    seed,
    session::{Link, PATIENCE, set_local},
    tables, two_phase,
};
use crate::{
    Applier, EngineError, Identity, Note, Reader, Resume, SeedWork, SourceRef, Target, TwoPhase, Writer,
    clean::{CleanPlan, Inventory},
    note::{Notary, Ran},
};

/// Lets the server notice soon that a killed client is gone, and cancel what it does for it: it would hold the locks until
/// the statement ends, be that hours. What the server, database or role is set to is left as it is.
pub(super) const NOTICE_THE_DEAD: &str = "select pg_catalog.set_config('client_connection_check_interval', '2s', false) \
                               where pg_catalog.current_setting('client_connection_check_interval') = '0'";

/// A session that holds the database's lock.
pub(super) struct WriteSession<'s> {
    pub(super) link: Link<'s>,
    keys: Vec<i64>,
    /// The tables that say what is applied.
    records: Vec<TableName>,
    place: Place,
    /// The histories of sources whose tables have been looked for, by the sources' names.
    located: BTreeMap<String, Option<Arc<dyn History>>>,
    /// Whether the ledger has a column for the rows of tools, once that is known.
    grown: Option<bool>,
    /// Whether a file may have left something behind in the session.
    used: bool,
    /// Whether the run is recorded to be at work here.
    begun: bool,
}

impl<'s> WriteSession<'s> {
    /// Takes the locks: dbctl's own first, then the peers' in their order.
    pub(super) async fn new(mut link: Link<'s>, peers: &[i64], target: &Target) -> Result<Self, EngineError> {
        let mut keys = vec![lock::DATABASE_KEY];
        for peer in peers {
            // A lock taken twice would have to be given back twice.
            if !keys.contains(peer) {
                keys.push(*peer);
            }
        }
        match lock::acquire(&mut link, &keys).await {
            Ok(()) => {
                if link.is_pooled() {
                    // This session holds none.
                    keys.clear();
                }
                Ok(Self {
                    link,
                    keys,
                    records: Vec::new(),
                    place: Place::of(target),
                    located: BTreeMap::new(),
                    grown: None,
                    used: true,
                    begun: false,
                })
            }
            Err(error) => {
                link.close().await;
                Err(error)
            }
        }
    }

    /// The session as it was after connecting, its own locks apart: `DISCARD ALL` would release them, and `RESET ALL`
    /// alone keeps `SET ROLE` and the locks that a file has taken. A file's `statement_timeout` is not for dbctl's own.
    pub(super) async fn fresh(&mut self) -> Result<&mut Link<'s>, EngineError> {
        if self.link.is_pooled() {
            self.link.begin_anew().await?;
        }
        if self.used || self.link.nested {
            let mut sql = format!(
                "SET statement_timeout = 0; RESET SESSION AUTHORIZATION; RESET ROLE; {}; RESET ALL; CLOSE ALL; UNLISTEN *; DISCARD TEMP; \
                 DISCARD PLANS; DISCARD SEQUENCES; DEALLOCATE ALL",
                lock::leave_only(&self.keys)
            );
            // Somebody else's seed runner may work for minutes while this session waits with the lock.
            if self.link.version >= 140_000 {
                sql += "; SET idle_session_timeout = 0";
            }
            if self.link.nested {
                sql += &format!("; {}", atomic::endless(&self.link));
            }
            self.link.batch(&sql).await?;
            if self.link.is_pooled() {
                self.link.set_up_kept().await?;
            } else if self.link.version >= 140_000 {
                // A server whose system cannot tell refuses this, and is as one that is older.
                match self.link.batch(NOTICE_THE_DEAD).await {
                    Err(failure @ (Failure::Lost { .. } | Failure::Cancelled)) => return Err(failure.into()),
                    Ok(()) | Err(Failure::Db { .. }) => {}
                }
            }
            self.used = false;
        }
        Ok(&mut self.link)
    }

    /// The source's history where the tool has its table on this connection; looked for once, for a file may make what
    /// would change the answer.
    async fn located(&mut self, source: &SourceRef<'_>) -> Result<Option<Arc<dyn History>>, EngineError> {
        if let Some(known) = self.located.get(source.name) {
            return Ok(known.clone());
        }
        let history = match source.history {
            Some(_) => {
                let place = self.place.clone();
                let link = self.fresh().await?;
                link.begin("").await?;
                let history = locate(link, source, &place).await;
                link.rollback().await;
                history?
            }
            None => None,
        };
        // Without the files it is a guess.
        if !source.migrations.is_empty() {
            self.located.insert(source.name.to_owned(), history.clone());
        }
        Ok(history)
    }

    /// The history that a source's rows in the ledger speak of, where the ledger has room for that.
    async fn spoken_of<'h>(
        &mut self,
        history: Option<&'h dyn History>,
    ) -> Result<Option<&'h dyn History>, EngineError> {
        let is_grown = match self.grown {
            Some(known) => known,
            None => tables::is_grown(self.fresh().await?).await?,
        };
        self.grown = Some(is_grown);
        Ok(history.filter(|_| is_grown))
    }

    /// `tool` as [`Self::spoken_of`] has it.
    fn notary<'t>(&self, tool: Option<&'t dyn History>) -> Notary<'t>
    where
        's: 't,
    {
        Notary { ledger: LEDGER, stamp: self.link.session().stamp, tool }
    }

    /// A fresh session with the manifest's settings, for a file to use.
    async fn ready(&mut self) -> Result<&mut Link<'s>, EngineError> {
        self.fresh().await?;
        self.used = true;
        for (name, value) in &self.place.settings {
            self.link.remember(name, value);
        }
        if !self.place.settings.is_empty() {
            let calls: Vec<_> = (0..self.place.settings.len())
                .map(|n| format!("pg_catalog.set_config(${}::text, ${}::text, false)", 2 * n + 1, 2 * n + 2))
                .collect();
            let params: Vec<(&(dyn ToSql + Sync), Type)> = self
                .place
                .settings
                .iter()
                .flat_map(|(name, value)| [name, value])
                .map(|text| (text as &(dyn ToSql + Sync), Type::TEXT))
                .collect();
            let sql = format!("select {}", calls.join(", "));
            self.link.query(&sql, &params).await.map_err(|failure| {
                failure.with_hint(|| "see `settings` of the database in the manifest".to_owned())
            })?;
        }
        Ok(&mut self.link)
    }

    /// A session for a file that asks for this.
    async fn ready_for(
        &mut self,
        search_path: Option<&str>,
        directives: &Directives,
    ) -> Result<&mut Link<'s>, EngineError> {
        let link = self.ready().await?;
        let path = search_path.map(dbctl_migration::quote_ident);
        let timeout = directives.statement_timeout.map(|time| format!("{}ms", time.as_millis()));
        for (name, value) in [("search_path", path), ("statement_timeout", timeout)] {
            if let Some(value) = value {
                link.remember(name, &value);
                let sql = "select pg_catalog.set_config($1::text, $2::text, false)";
                link.query(sql, &[(&name, Type::TEXT), (&value, Type::TEXT)]).await?;
            }
        }
        Ok(link)
    }

    #[expect(clippy::too_many_arguments, reason = "each kind of script leaves out others")]
    async fn run_script(
        &mut self,
        search_path: Option<&str>,
        script: &Script,
        directives: &Directives,
        record: &(dyn Fn(&Ran) -> Vec<Statement> + Sync),
        own: Option<(&SourceRef<'_>, &Migration)>,
        progress: Option<&script::Progress<'_>>,
        resume: Option<Resume>,
    ) -> Result<Duration, EngineError> {
        let keys = self.keys.clone();
        let bounded = self.place.settings.keys().any(|name| name.eq_ignore_ascii_case("lock_timeout"));
        let records = if directives.changes_history { Vec::new() } else { self.records.clone() };
        let link = self.ready_for(search_path, directives).await.map_err(EngineError::between_files)?;
        let lock_timeout = directives.lock_timeout;
        let work = Work {
            script,
            lock_timeout,
            bounded,
            record,
            own,
            progress,
            resume,
            keys: &keys,
            records: &records,
        };
        script::run(link, &work).await
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

    async fn make_tables(&mut self, sources: &[SourceRef<'_>], environment: &str) -> Result<(), EngineError> {
        // Meanwhile a tool may have made its table.
        self.located.clear();
        self.grown = None;
        let mut histories = Vec::with_capacity(sources.len());
        for source in sources {
            histories.push(self.located(source).await?);
        }
        let sources: Vec<_> =
            sources.iter().zip(&histories).map(|(source, history)| source.with(history.as_deref())).collect();
        self.guard(&LEDGER.tables());
        for history in sources.iter().filter_map(|source| source.history) {
            self.guard(std::slice::from_ref(history.table()));
        }
        tables::make(self.fresh().await?, &sources, environment).await
    }
}

#[async_trait]
impl Reader for WriteSession<'_> {
    async fn identity(&mut self) -> Result<Identity, EngineError> {
        reader::identity(self.fresh().await?).await
    }

    async fn applied(&mut self, source: &SourceRef<'_>) -> Result<Vec<Applied>, EngineError> {
        let history = self.located(source).await?;
        reader::applied(self.fresh().await?, &source.with(history.as_deref())).await
    }

    async fn history_table(&mut self, source: &SourceRef<'_>) -> Result<Option<TableName>, EngineError> {
        let history = self.located(source).await?;
        Ok(source.with(history.as_deref()).history.map(|history| history.table().clone()))
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
        two_phase::look(self.fresh().await?).await
    }

    async fn environment(&mut self) -> Result<Option<String>, EngineError> {
        reader::environment(self.fresh().await?).await
    }

    async fn inventory(&mut self) -> Result<Inventory, EngineError> {
        inventory(self.fresh().await?).await
    }

    async fn belongings(&mut self, histories: &[TableName]) -> Result<Vec<String>, EngineError> {
        belongings(self.fresh().await?, histories).await
    }

    async fn close(self: Box<Self>) {
        let mut link = self.link;
        lock::release(&mut link).await;
        link.close().await;
    }
}

#[async_trait]
impl Applier for WriteSession<'_> {
    async fn prepare(&mut self, sources: &[SourceRef<'_>], environment: &str) -> Result<(), EngineError> {
        match self.make_tables(sources, environment).await {
            // A tool that takes no lock has made its table meanwhile.
            Err(error) if tables::lost_race(&error) => self.make_tables(sources, environment).await,
            result => result,
        }
    }

    async fn begin_run(&mut self, command: &str, make: bool) -> Result<(), EngineError> {
        if self.begun {
            return Ok(());
        }
        let statement = LEDGER.begin_run(self.link.session().stamp, command);
        let link = self.fresh().await?;
        if reader::table_exists(link, &LEDGER.runs_table()).await? {
            link.execute(&statement).await?;
            link.commit_kept().await?;
        } else if make {
            in_transaction(link, &[LEDGER.create_runs()], &[statement]).await?;
        } else {
            return Ok(());
        }
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
        let history = self.located(source).await.map_err(EngineError::between_files)?;
        let source = &source.with(history.as_deref());
        let tool = self.spoken_of(source.history).await.map_err(EngineError::between_files)?;
        let notary = self.notary(tool);
        let record = |ran: &Ran| notary.applied(source, migration, ran);
        let own = source.history.map(|_| (source, migration));
        let progress = |at: &Resume, before| notary.reached(source, migration, at, before);
        self.run_script(
            search_path(source),
            &migration.up,
            &migration.directives,
            &record,
            own,
            Some(&progress),
            resume,
        )
        .await
    }

    async fn baseline(
        &mut self,
        source: &SourceRef<'_>,
        file: &Migration,
        past: &[&Migration],
        own: bool,
        resume: Option<Resume>,
    ) -> Result<Duration, EngineError> {
        let history = self.located(source).await.map_err(EngineError::between_files)?;
        let source = &source.with(history.as_deref());
        let tool = self.spoken_of(source.history).await.map_err(EngineError::between_files)?;
        let notary = self.notary(tool);
        let record = |ran: &Ran| notary.past(source, file, past, own, ran.elapsed);
        let progress = |at: &Resume, _| vec![notary.progress(source, file, at)];
        let (search_path, directives) = (search_path(source), &file.directives);
        self.run_script(search_path, &file.up, directives, &record, None, Some(&progress), resume).await
    }

    async fn note(&mut self, notes: &[Note<'_>]) -> Result<(), EngineError> {
        let mut statements: Vec<Statement> = Vec::new();
        for note in notes {
            let history = self.located(note.source()).await?;
            let tool = self.spoken_of(history.as_deref()).await?;
            let source = note.source().with(history.as_deref());
            statements.extend(self.notary(tool).statements(note, &source));
        }
        in_transaction(self.fresh().await?, &[], &statements).await
    }
}

#[async_trait]
impl Writer for WriteSession<'_> {
    async fn end_run(&mut self, outcome: &str, migrations: usize) -> Result<(), EngineError> {
        if !self.begun {
            return Ok(());
        }
        let statement = LEDGER.end_run(self.link.session().stamp, outcome, migrations);
        self.link.shield(true);
        if self.link.interrupted() {
            self.link.rollback().await;
        }
        let ended = async {
            let link = self.fresh().await?;
            link.execute(&statement).await?;
            Ok(link.commit_kept().await?)
        };
        // A server that does not answer is not waited for: what is not recorded shows as not ended.
        let ended = tokio::time::timeout(PATIENCE, ended).await;
        self.link.shield(false);
        ended.unwrap_or(Err(EngineError::Cancelled))
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
        let history = self.located(source).await?;
        let source = &source.with(history.as_deref());
        let notary = self.notary(None);
        let record = |_: &Ran| notary.forgotten(source, source.keyed_by().of(migration));
        let progress = |at: &Resume, _| vec![notary.reverting(source, migration, at)];
        let resume = self.reverted_so_far(source, migration).await?;
        self.run_script(
            search_path(source),
            down,
            &migration.directives,
            &record,
            None,
            Some(&progress),
            resume,
        )
        .await
    }

    async fn seed(&mut self, work: &SeedWork, row: &SeedRow) -> Result<Duration, EngineError> {
        let statement = LEDGER.record_seed(row, self.link.session().stamp);
        match work {
            SeedWork::Sql(script) => {
                Layout::of(script, false)?.whole_seed()?;
                let record = |_: &Ran| vec![statement.clone()];
                self.run_script(None, script, &Directives::default(), &record, None, None, None).await
            }
            SeedWork::Csv { path, shown, table } => {
                let records = self.records.clone();
                seed::csv(self.ready().await?, path, shown, table, &statement, &records).await
            }
            SeedWork::External => {
                in_transaction(self.fresh().await?, &[], &[statement]).await?;
                Ok(Duration::ZERO)
            }
        }
    }

    async fn clean(&mut self, plan: &CleanPlan) -> Result<(), EngineError> {
        let link = self.fresh().await?;
        let mut batches = Vec::new();
        if !plan.truncate.is_empty() {
            let tables: Vec<_> = plan
                .truncate
                .iter()
                .map(|truncate| format!("{}{}", if truncate.only { "ONLY " } else { "" }, truncate.table))
                .collect();
            batches.push(format!("TRUNCATE TABLE {}", tables.join(", ")));
        }
        batches.extend(plan.restart.iter().map(|name| format!("ALTER SEQUENCE {name} RESTART")));
        batches.extend(plan.refresh.iter().map(|name| format!("REFRESH MATERIALIZED VIEW {name}")));
        let [_, seeds, _] = LEDGER.tables();
        let forget = match reader::table_exists(link, &seeds).await? {
            true => vec![LEDGER.forget_seeds()],
            false => Vec::new(),
        };
        in_transaction(link, &batches, &forget).await
    }
}

fn search_path<'a>(source: &SourceRef<'a>) -> Option<&'a str> {
    source.history.and_then(History::search_path)
}

/// Statements of dbctl's own in one transaction, tried again where it could not get a lock in time.
async fn in_transaction(
    link: &mut Link<'_>,
    batches: &[String],
    statements: &[Statement],
) -> Result<(), EngineError> {
    let timeout = set_local("lock_timeout", &format!("{}ms", LOCK_TIMEOUT.as_millis()));
    let mut attempt = 0;
    loop {
        let done = async {
            link.begin(&timeout).await?;
            for sql in batches {
                link.batch(sql).await?;
            }
            for statement in statements {
                link.execute(statement).await?;
            }
            link.commit().await
        }
        .await;
        match done {
            Ok(()) => return Ok(()),
            Err(failure) => {
                link.rollback().await;
                wait_for_lock(link, not_recorded(failure), &mut attempt, None).await?;
            }
        }
    }
}
