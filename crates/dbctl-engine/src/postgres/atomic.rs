//! The session whose files, and all that is recorded of them, are one transaction.
//!
//! Each file has a savepoint where it otherwise has a transaction ([`Link::nested`]): one that could not get a lock in
//! time is tried again, and what ends it is found as before. What a file has set is reset for the next one; it goes with
//! the transaction at the latest.

use std::time::Duration;

use async_trait::async_trait;
use dbctl_migration::{
    Applied, Migration, Script, TableName, Transaction,
    ledger::{LedgerRow, RunRow, SeedRow},
};
use tokio_postgres::types::Type;

use super::{
    failure::Failure,
    layout::{Act, Layout},
    script::AS_OURSELVES,
    session::{Link, get, set_local},
    two_phase,
    writer::WriteSession,
};
use crate::{
    Applier, Atomic, Decision, EngineError, Gid, Identity, Note, Part, Reader, Resume, SourceRef, Target,
    TwoPhase, clean::Inventory,
};

/// The savepoint that stands for a file's own transaction.
const SAVEPOINT: &str = "\"dbctl file\"";

/// A session in one open transaction that holds the database's lock.
pub(super) struct AtomicSession<'s> {
    session: WriteSession<'s>,
    /// Whether the transaction is over.
    ended: bool,
}

impl<'s> AtomicSession<'s> {
    /// Begins the transaction and takes the locks in it.
    pub(super) async fn new(
        mut link: Link<'s>,
        peers: &[i64],
        target: &Target,
        decides: bool,
    ) -> Result<Self, EngineError> {
        link.nested = true;
        if decides && let Err(error) = two_phase::make_table(&mut link).await {
            link.close().await;
            return Err(error);
        }
        Ok(Self { session: WriteSession::new(link, peers, target).await?, ended: false })
    }

    fn link(&mut self) -> &mut Link<'s> {
        &mut self.session.link
    }
}

/// Begins a transaction that nobody may end but dbctl, and takes all locks in it; else ends it, and gives the first key
/// that is taken.
pub(super) async fn try_all(link: &mut Link<'_>, keys: &[i64]) -> Result<Option<i64>, EngineError> {
    let name = set_local("application_name", &link.application_name());
    // What other clients of a pooler have left set must not end it, either.
    let ours = if link.pool.is_some() { AS_OURSELVES } else { "" };
    link.batch(&format!("BEGIN; {ours}; {name}; {}", endless(link))).await?;
    for key in keys {
        let sql = "select pg_catalog.pg_try_advisory_xact_lock($1::bigint)";
        let row = link.one(sql, &[(key, Type::INT8)]).await?;
        if !get::<bool>(&row, 0)? {
            link.batch_always("ROLLBACK").await?;
            return Ok(Some(*key));
        }
    }
    Ok(None)
}

/// Keeps the server from ending the transaction while it waits for those of other databases. To be set anew whenever
/// settings were reset.
pub(super) fn endless(link: &Link<'_>) -> String {
    let idle = set_local("idle_in_transaction_session_timeout", "0");
    match link.version {
        ..170_000 => idle,
        170_000.. => format!("{idle}; {}", set_local("transaction_timeout", "0")),
    }
}

/// Sees that a script can be a part of one transaction.
pub(super) fn fits(script: &Script) -> Result<(), EngineError> {
    let layout = Layout::of(script, false)?;
    let not =
        |line, reason: &'static str| Err(EngineError::NotWhole { path: script.path.clone(), line, reason });
    if let Some(line) = layout.not_whole() {
        return not(
            line,
            match script.transaction {
                Transaction::None => "the file is to run outside a transaction",
                Transaction::One => "this statement cannot be part of a transaction with others",
            },
        );
    }
    let begins = (0..layout.len()).find(|piece| matches!(layout.act(*piece), Act::Modes(_)));
    match begins {
        Some(piece) => not(layout.line(piece), "the file begins a transaction with modes of its own"),
        None => Ok(()),
    }
}

impl Link<'_> {
    /// Begins a transaction, or where one is always open a part of it; `more` is what else it begins with.
    pub(super) async fn begin(&mut self, more: &str) -> Result<(), Failure> {
        if self.is_pooled() {
            return self.begin_kept(more).await;
        }
        let begin = if self.nested { format!("SAVEPOINT {SAVEPOINT}") } else { "BEGIN".to_owned() };
        self.batch(&format!("{begin}; {more}")).await
    }

    pub(super) async fn release_part(&mut self) -> Result<(), Failure> {
        self.batch(&format!("RELEASE SAVEPOINT {SAVEPOINT}")).await
    }

    pub(super) fn undo_sql(&self) -> String {
        match self.nested {
            true => format!("ROLLBACK TO SAVEPOINT {SAVEPOINT}; RELEASE SAVEPOINT {SAVEPOINT}"),
            false => self.and_begin("ROLLBACK").to_owned(),
        }
    }

    /// Has everything that a file deferred happen now, and then what is in `more`. Where the next file shares its transaction it finds the constraints
    /// as they were declared, also those that it adds itself.
    pub(super) async fn settle_constraints(&mut self, more: &str) -> Result<(), Failure> {
        if !self.nested {
            return self.batch(&format!("SET CONSTRAINTS ALL IMMEDIATE; {more}")).await;
        }
        let sql = "select pg_catalog.string_agg(distinct pg_catalog.format('%I.%I', n.nspname, c.conname), ', '), \
                   pg_catalog.string_agg(distinct pg_catalog.format('%I.%I', n.nspname, c.conname), ', ') filter (where c.condeferred) \
                   from pg_catalog.pg_constraint c join pg_catalog.pg_namespace n on n.oid = c.connamespace \
                   where c.condeferrable";
        let row = self.one(sql, &[]).await?;
        let named = |column| row.try_get::<_, Option<String>>(column).ok().flatten();
        let set = |column, mode| match named(column) {
            Some(names) => format!("SET CONSTRAINTS {names} {mode}; "),
            None => String::new(),
        };
        self.batch(&format!("{}{}{more}", set(0, "IMMEDIATE"), set(1, "DEFERRED"))).await
    }
}

/// What only one transaction for all files can cause.
fn explained(error: EngineError) -> EngineError {
    match error {
        EngineError::Sql(mut sql) if sql.code == "55P04" => {
            sql.hint = Some(
                "a new enum value has to be committed before it is used, and with --atomic everything is committed \
                 together: migrate up to the file that adds it first (`--to`), or without --atomic"
                    .to_owned(),
            );
            EngineError::Sql(sql)
        }
        other => other,
    }
}

#[async_trait]
impl Reader for AtomicSession<'_> {
    async fn identity(&mut self) -> Result<Identity, EngineError> {
        self.session.identity().await
    }

    async fn applied(&mut self, source: &SourceRef<'_>) -> Result<Vec<Applied>, EngineError> {
        self.session.applied(source).await
    }

    async fn history_table(&mut self, source: &SourceRef<'_>) -> Result<Option<TableName>, EngineError> {
        self.session.history_table(source).await
    }

    async fn ledger(&mut self) -> Result<Vec<LedgerRow>, EngineError> {
        self.session.ledger().await
    }

    async fn runs(&mut self) -> Result<Vec<RunRow>, EngineError> {
        self.session.runs().await
    }

    async fn seeds(&mut self) -> Result<Vec<SeedRow>, EngineError> {
        self.session.seeds().await
    }

    async fn two_phase(&mut self) -> Result<TwoPhase, EngineError> {
        self.session.two_phase().await
    }

    async fn environment(&mut self) -> Result<Option<String>, EngineError> {
        self.session.environment().await
    }

    async fn inventory(&mut self) -> Result<Inventory, EngineError> {
        self.session.inventory().await
    }

    async fn belongings(&mut self, histories: &[TableName]) -> Result<Vec<String>, EngineError> {
        self.session.belongings(histories).await
    }

    async fn close(self: Box<Self>) {
        let mut link = self.session.link;
        if !self.ended {
            // Where it has ended all the same, the server only says so. A pooler closes a session that is in a transaction.
            let sql = if link.pool.is_some() { "ROLLBACK; BEGIN" } else { "ROLLBACK" };
            let _ = link.batch_always(sql).await;
        }
        link.close().await;
    }
}

#[async_trait]
impl Applier for AtomicSession<'_> {
    async fn prepare(&mut self, sources: &[SourceRef<'_>], environment: &str) -> Result<(), EngineError> {
        self.session.prepare(sources, environment).await
    }

    async fn begin_run(&mut self, _command: &str, _make: bool) -> Result<(), EngineError> {
        Ok(())
    }

    async fn apply(
        &mut self,
        source: &SourceRef<'_>,
        migration: &Migration,
        resume: Option<Resume>,
    ) -> Result<Duration, EngineError> {
        fits(&migration.up)?;
        self.session.apply(source, migration, resume).await.map_err(explained)
    }

    async fn baseline(
        &mut self,
        source: &SourceRef<'_>,
        file: &Migration,
        past: &[&Migration],
        own: bool,
        resume: Option<Resume>,
    ) -> Result<Duration, EngineError> {
        fits(&file.up)?;
        self.session.baseline(source, file, past, own, resume).await.map_err(explained)
    }

    async fn note(&mut self, notes: &[Note<'_>]) -> Result<(), EngineError> {
        self.session.note(notes).await
    }
}

#[async_trait]
impl Atomic for AtomicSession<'_> {
    async fn ready(&mut self) -> Result<(), EngineError> {
        // Who prepares it has to finish it: that is to be who logged in.
        self.session.fresh().await?;
        // A savepoint can be set in a transaction alone.
        self.link().begin("SET CONSTRAINTS ALL IMMEDIATE").await?;
        Ok(self.link().release_part().await?)
    }

    async fn commit(&mut self) -> Result<(), EngineError> {
        self.link().nested = false;
        // What a file may have set goes with the session, which a pooler does not give to others in a transaction.
        let sql = if self.link().pool.is_some() { "COMMIT; BEGIN" } else { "COMMIT" };
        self.link().batch_always(sql).await?;
        self.ended = true;
        Ok(())
    }

    async fn lead(&mut self) -> Result<u32, EngineError> {
        two_phase::lead(self.link()).await
    }

    async fn prepare_commit(&mut self, gid: &Gid) -> Result<(), EngineError> {
        self.link().nested = false;
        two_phase::prepare(self.link(), gid).await?;
        self.ended = true;
        Ok(())
    }

    async fn decide(&mut self, parts: &[Part]) -> Result<(), EngineError> {
        two_phase::decide(self.link(), parts).await
    }

    async fn conclude(&mut self, gid: &Gid, decision: Decision) -> Result<(), EngineError> {
        match two_phase::conclude(self.link(), gid, decision).await {
            // Somebody else has done it, or it was never prepared.
            Err(failure) if failure.code() == "42704" => Ok(()),
            concluded => Ok(concluded?),
        }
    }
}
