//! Poolers in transaction mode, which give a session for one transaction only: how one is noticed, and how dbctl works
//! through one where the manifest says that there is no way past it.
//!
//! Two connections do it. One holds the locks, in a transaction that stays open. The other works, and is always in a
//! transaction too: where one ends the next begins in the same message, so that the pooler never takes the session back and
//! a file has one as it has without a pooler. A pooler closes a session whose client leaves in a transaction, and with it
//! goes whatever was set there. What has to run outside a transaction runs on a new connection that was given nothing.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::types::Type;

use super::{
    failure::{Failure, quote_literal},
    lock::{self, LOST},
    script::AS_OURSELVES,
    session::{Link, get, set_local},
    writer::NOTICE_THE_DEAD,
};
use crate::{EngineError, SqlError};

/// How often two sessions are compared: a busy pool may hide once that they are one.
const ROUNDS: u32 = 8;

/// How long a pooler may take to give a second session.
const SECOND: Duration = Duration::from_secs(10);

/// How many sessions are taken away from a pooler, one after the other, because others have set something in them.
const TOUCHED: u32 = 30;

/// Ends the last query, which otherwise keeps its snapshot until the transaction ends; `CREATE INDEX CONCURRENTLY` waits
/// for all that are older than itself.
const NO_SNAPSHOT: &str = "CLOSE ALL";

/// What a connection through a pooler has besides itself.
#[derive(Default)]
pub(super) struct Pool<'s> {
    /// Whether a transaction is open that keeps the session.
    pub(super) kept: bool,
    /// What is set for files in each session that is kept.
    settings: Vec<(String, String)>,
    holder: Option<Box<Holder<'s>>>,
}

/// The transaction that holds the locks.
struct Holder<'s> {
    link: Link<'s>,
    keys: Vec<i64>,
}

/// Refuses a pooler. One connection tells in most cases: a server sends the session's own process id at log-in, and a
/// pooler one that it has made up. Poolers in session mode do so, too; a second connection tells them apart.
pub(super) async fn refuse(link: &mut Link<'_>) -> Result<(), EngineError> {
    if !link.stands_in {
        return Ok(());
    }
    let mut other = Link::open(&link.settings, link.database(), link.session()).await?;
    let shared = share_a_session(link, &mut other).await;
    other.close().await;
    if shared? {
        let (server, database) = (link.settings.server(), link.database().to_owned());
        return Err(EngineError::Pooled { server, database });
    }
    link.stands_in = false;
    Ok(())
}

/// Whether two live connections are given one session in turn, or one of them different ones.
async fn share_a_session(link: &mut Link<'_>, other: &mut Link<'_>) -> Result<bool, EngineError> {
    let mine = backend(link).await?;
    if backend(other).await? == mine {
        return Ok(true);
    }
    for _ in 0..ROUNDS {
        other.batch("BEGIN TRANSACTION READ ONLY").await?;
        let theirs = backend(other).await?;
        // Not asked for while the other has it: a pool of one would have none to give.
        let shared = theirs == mine || backend(link).await? != mine;
        other.rollback().await;
        if shared {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A pooler that has no second session to give, while one of its sessions holds the locks.
fn too_small(server: &str) -> EngineError {
    refusal(
        format!(
            "{server} has given no second session for {} s, and dbctl needs two through a pooler in transaction mode: one \
             holds its lock while the other works",
            SECOND.as_secs()
        ),
        "let the pooler have more sessions for this database and user (PgBouncer: default_pool_size of 2 at least, and one \
         more for each run that may wait), or give dbctl a way past it: `direct_url`",
    )
}

/// Which session this is, among all of all servers.
async fn backend(link: &mut Link<'_>) -> Result<String, EngineError> {
    let sql = "select pg_catalog.pg_backend_pid() || ' ' || pg_catalog.pg_postmaster_start_time()";
    get(&link.one(sql, &[]).await?, 0)
}

/// Takes the locks in a transaction on a connection of its own.
pub(super) async fn acquire(link: &mut Link<'_>, keys: &[i64]) -> Result<(), EngineError> {
    let mut holder = Link::open(&link.settings, link.database(), link.session()).await?;
    holder.nested = true;
    let held = async {
        lock::poll(&mut holder, keys).await?;
        Ok::<_, EngineError>(holder.batch(NO_SNAPSHOT).await?)
    };
    if let Err(error) = held.await {
        holder.close().await;
        return Err(error);
    }
    // What asks whether it still holds them must hear the truth, also while the run is being stopped.
    holder.shield(true);
    if let Some(pool) = &mut link.pool {
        pool.holder = Some(Box::new(Holder { link: holder, keys: keys.to_vec() }));
    }
    let error = match timeout(SECOND, link.batch("BEGIN; ROLLBACK")).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(failure)) => failure.into(),
        Err(_) => too_small(&link.settings.server()),
    };
    // Whatever is under way is not waited for: the holder's own session may be what it waits for.
    if let Some(holder) = link.pool.as_mut().and_then(|pool| pool.holder.take()) {
        Box::pin(holder.link.close()).await;
    }
    Err(error)
}

/// Gives the locks back and ends their connection, once nothing can be committed any more.
pub(super) async fn release(link: &mut Link<'_>) {
    link.leave().await;
    if let Some(holder) = link.pool.as_mut().and_then(|pool| pool.holder.take()) {
        let mut holder = holder.link;
        // Where this fails the connection is gone, and the locks with it.
        let _ = holder.batch_always("ROLLBACK").await;
        Box::pin(holder.close()).await;
    }
}

impl Link<'_> {
    /// Whether each transaction may have another session. All that is one transaction has one session.
    pub(super) fn is_pooled(&self) -> bool {
        self.pool.is_some() && !self.nested
    }

    fn is_kept(&self) -> bool {
        self.pool.as_ref().is_some_and(|pool| pool.kept)
    }

    /// What ends a transaction, through a pooler with the beginning of the next.
    pub(super) fn and_begin(&self, end: &'static str) -> &'static str {
        match (self.is_kept(), end) {
            (true, "COMMIT") => "COMMIT; BEGIN",
            (true, _) => "ROLLBACK; BEGIN",
            (false, end) => end,
        }
    }

    /// Begins a transaction in a session that is kept, with what is set for files in it.
    pub(super) async fn begin_kept(&mut self, more: &str) -> Result<(), Failure> {
        if !self.is_kept() {
            self.keep_session().await?;
        }
        self.batch(&format!("COMMIT; BEGIN; {more}")).await
    }

    /// Commits what was written without beginning a transaction, where one is always open.
    pub(super) async fn commit_kept(&mut self) -> Result<(), Failure> {
        if self.is_kept() { self.commit().await } else { Ok(()) }
    }

    /// Begins a transaction that cannot write, and that sets nothing for others.
    pub(super) async fn begin_reading(&mut self, modes: &str) -> Result<(), Failure> {
        let end = if self.is_kept() { "COMMIT; " } else { "" };
        let ours = match self.is_pooled() {
            true => format!("; {AS_OURSELVES}; {}", set_local("application_name", &self.application_name())),
            false => String::new(),
        };
        self.batch(&format!("{end}BEGIN TRANSACTION READ ONLY {modes}{ours}")).await
    }

    /// Undoes what is open and forgets what was set for the last file; the next one sets its own.
    pub(super) async fn begin_anew(&mut self) -> Result<(), Failure> {
        if let Some(pool) = &mut self.pool {
            pool.settings.clear();
        }
        match self.is_kept() {
            true => self.batch("ROLLBACK; BEGIN").await,
            false => self.keep_session().await,
        }
    }

    /// Gets a session from the pooler, as it is after connecting whatever others have set in it, and keeps it.
    async fn keep_session(&mut self) -> Result<(), Failure> {
        // From here on a pooler that has given a session closes it.
        let settings = match &mut self.pool {
            Some(pool) => {
                pool.kept = true;
                pool.settings.clone()
            }
            None => Vec::new(),
        };
        self.batch("BEGIN; RESET SESSION AUTHORIZATION; RESET ALL; RESET ROLE").await?;
        self.set_up_kept().await?;
        for (name, value) in &settings {
            let sql = "select pg_catalog.set_config($1::text, $2::text, false)";
            self.query(sql, &[(name, Type::TEXT), (value, Type::TEXT)]).await?;
        }
        self.batch("COMMIT; BEGIN").await
    }

    /// Sets, in a session that is kept, the run's name, that the server does not end it while nothing runs in it, and that it
    /// does where the pooler has closed it.
    pub(super) async fn set_up_kept(&mut self) -> Result<(), Failure> {
        let name = quote_literal(&self.application_name());
        let transaction = if self.version >= 170_000 { "SET transaction_timeout = 0; " } else { "" };
        let sql = format!(
            "SET application_name = {name}; SET idle_in_transaction_session_timeout = 0; {transaction}COMMIT; BEGIN"
        );
        self.batch(&sql).await?;
        if self.version < 140_000 {
            return Ok(());
        }
        // A server whose system cannot tell refuses this, and is as one that is older.
        match self.batch(&format!("{NOTICE_THE_DEAD}; COMMIT; BEGIN")).await {
            Err(Failure::Db { .. }) => self.batch("ROLLBACK; BEGIN").await,
            noticed => noticed,
        }
    }

    /// What is set for a file, in each session that is kept for it.
    pub(super) fn remember(&mut self, name: &str, value: &str) {
        if let Some(pool) = &mut self.pool {
            pool.settings.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Refuses a file that would run without the settings it was promised.
    pub(super) fn expect_no_settings(&self) -> Result<(), EngineError> {
        match self.pool.as_ref().and_then(|pool| pool.settings.first()) {
            None => Ok(()),
            Some((name, _)) => Err(refusal(
                format!(
                    "the statements of this file run outside a transaction, and through a pooler each in a session of \
                     which nothing is known: `{name}` cannot be set for them"
                ),
                "give dbctl a way past the pooler: `direct_url`; or keep it in a file that runs in a transaction",
            )),
        }
    }

    /// Gives up the session that was kept, for statements outside a transaction. The session that the pooler is to give next
    /// is one in which nobody has set anything: those where somebody has are closed.
    pub(super) async fn leave_for_statements(&mut self) -> Result<(), EngineError> {
        if !self.is_pooled() {
            return Ok(());
        }
        self.leave().await;
        for _ in 0..TOUCHED {
            match self.is_touched().await {
                Ok(false) => return Ok(self.batch("COMMIT").await?),
                Ok(true) | Err(Failure::Db { .. }) => self.hang_up().await,
                Err(failure @ (Failure::Lost { .. } | Failure::Cancelled)) => return Err(failure.into()),
            }
        }
        Err(refusal(
            "other clients of the pooler leave settings in its sessions, and a statement outside a transaction would run \
             with them"
                .to_owned(),
            "have them use `SET LOCAL`, let the pooler reset its sessions (PgBouncer: server_reset_query_always = 1), or \
             give dbctl a way past it: `direct_url`",
        ))
    }

    /// Whether others have set something in the session that the next transaction has, and left it so; the transaction stays
    /// open.
    async fn is_touched(&mut self) -> Result<bool, Failure> {
        self.batch("BEGIN").await?;
        // What poolers keep for each client is not among it.
        let sql = "select current_user <> session_user or exists (select from pg_catalog.pg_settings \
                   where source = 'session' and name not in ('application_name', 'client_encoding', 'DateStyle', \
                   'IntervalStyle', 'TimeZone', 'standard_conforming_strings'))";
        Ok(self.one(sql, &[]).await?.try_get(0).unwrap_or(true))
    }

    /// Gives up the session that was kept, for the pooler to close with all that was set in it. The next query has a new
    /// connection.
    pub(super) async fn leave(&mut self) {
        if self.is_kept() {
            self.hang_up().await;
        }
        if let Some(pool) = &mut self.pool {
            pool.kept = false;
        }
    }

    /// Sees that the locks are still held, where another connection holds them.
    pub(super) async fn expect_held(&mut self) -> Result<(), Failure> {
        match self.pool.as_mut().and_then(|pool| pool.holder.as_mut()) {
            Some(holder) => holder.expect_held().await,
            None => Ok(()),
        }
    }
}

impl Holder<'_> {
    async fn expect_held(&mut self) -> Result<(), Failure> {
        let held = async {
            let row = self.link.one(&format!("select {LOST}"), &[(&self.keys, Type::INT8_ARRAY)]).await?;
            self.link.batch(NO_SNAPSHOT).await?;
            Ok(row)
        };
        let row = match Box::pin(held).await {
            Ok(row) => row,
            Err(Failure::Cancelled) => return Err(Failure::Cancelled),
            Err(Failure::Lost { message, .. }) => return Err(self.lost(&message)),
            Err(Failure::Db { error, .. }) => return Err(self.lost(error.message())),
        };
        match row.try_get::<_, Vec<i64>>(0) {
            Ok(lost) if lost.is_empty() => Ok(()),
            Ok(_) | Err(_) => Err(self.lost("its transaction has ended")),
        }
    }

    fn lost(&self, why: &str) -> Failure {
        let message = format!(
            "the transaction that held dbctl's lock is gone ({why}); nothing was committed without it"
        );
        Failure::Lost { database: self.link.database().to_owned(), message }
    }
}

/// What cannot be done through a pooler.
fn refusal(message: String, hint: &str) -> EngineError {
    SqlError::ours("0A000", message, hint).into()
}
