//! PostgreSQL through tokio-postgres.

mod admin;
mod again;
mod atomic;
mod belongings;
mod failure;
mod inventory;
mod layout;
mod locate;
mod lock;
mod pooler;
mod reader;
mod records;
mod script;
mod seed;
mod session;
mod tables;
mod two_phase;
mod watch;
mod words;
mod writer;

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use dbctl_migration::{Dialect, Script, ledger::Ledger};
use secrecy::ExposeSecret;
use tokio::{
    sync::{Mutex, OnceCell},
    time::{Instant, sleep},
};

use crate::{
    Access, Atomic, Creation, Decision, Endpoint, Engine, EngineError, Gid, Identity, LockHolder, Notice,
    PgVars, Reader, Resume, Session, Severity, Target, Writer,
    embedded::{self, EmbeddedSpec, Reached, Running},
    libpq::{self, Settings},
};
use atomic::AtomicSession;
use reader::ReadSession;
use session::Link;
use writer::WriteSession;

/// dbctl's own tables.
const LEDGER: Ledger = Ledger::new(Dialect::Postgres);

/// How long a server may stay away that was lost between two migrations.
const COMING_BACK: Duration = Duration::from_secs(30);

/// The PostgreSQL engine. It keeps no connections; it remembers which embedded servers it has found running, so that
/// many databases start one once, and what it has said of connection settings, so that it says so once per database.
#[derive(Debug, Default)]
pub struct Postgres {
    embedded: Mutex<Vec<(EmbeddedSpec, Arc<OnceCell<Running>>)>>,
    /// A database's key and what was said of its settings.
    said: std::sync::Mutex<BTreeSet<(String, String)>>,
    /// Embedded servers that nobody has asked about yet.
    reached: std::sync::Mutex<Vec<Reached>>,
}

impl Postgres {
    /// An engine that has not reached any server yet.
    pub fn new() -> Self {
        Self::default()
    }

    async fn settings(&self, endpoint: &Endpoint) -> Result<Settings, EngineError> {
        match endpoint {
            Endpoint::ConnInfo { text, vars } => Ok(libpq::settings(text.expose_secret(), vars)?),
            Endpoint::Variables(vars) => Ok(libpq::settings("", vars)?),
            Endpoint::Embedded(spec) => {
                let running = self.running(spec).await?;
                // It listens on this machine only, without TLS.
                let url = format!("{}?sslmode=disable", running.url("postgres").expose_secret());
                Ok(libpq::settings(&url, &PgVars::default())?)
            }
            Endpoint::Sqlite(path) => Err(EngineError::Unsupported(format!(
                "{} is a file, and no PostgreSQL server",
                path.display()
            ))),
        }
    }

    async fn running(&self, spec: &EmbeddedSpec) -> Result<Running, EngineError> {
        let cell = {
            let mut known = self.embedded.lock().await;
            match known.iter().find(|(one, _)| one == spec) {
                Some((_, cell)) => Arc::clone(cell),
                None => {
                    let cell = Arc::default();
                    known.push((spec.clone(), Arc::clone(&cell)));
                    cell
                }
            }
        };
        let reach = || async {
            let reached = embedded::reach(spec).await?;
            let server = reached.server.clone();
            self.reached.lock().unwrap_or_else(PoisonError::into_inner).push(reached);
            Ok::<_, EngineError>(server)
        };
        Ok(cell.get_or_try_init(reach).await?.clone())
    }

    /// The embedded servers that were found or started since this was last asked; each is told of once.
    pub fn take_reached(&self) -> Vec<Reached> {
        std::mem::take(&mut self.reached.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Who is at work on an embedded server that runs: whoever has a transaction open, and dbctl's own sessions; each with
    /// its database.
    pub async fn at_work(
        &self,
        server: &Running,
        session: &Session<'_>,
    ) -> Result<Vec<(String, LockHolder)>, EngineError> {
        let url = format!("{}?sslmode=disable", server.url("postgres").expose_secret());
        let settings = libpq::settings(&url, &PgVars::default())?;
        let mut link = Link::open(&settings, "postgres", session).await?;
        let found = admin::at_work(&mut link).await;
        link.close().await;
        found
    }

    /// The settings for a session: not to be had once the run is stopped, which may be while a server starts. Says what
    /// was passed over in them.
    async fn settings_for(
        &self,
        endpoint: &Endpoint,
        target: &Target,
        session: &Session<'_>,
    ) -> Result<Settings, EngineError> {
        let settings = tokio::select! { biased;
            () = session.cancel.cancelled() => return Err(EngineError::Cancelled),
            settings = self.settings(endpoint) => settings?,
        };
        for note in &settings.notes {
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.insert((target.key.clone(), note.clone())) {
                session.observer.notice(Notice { severity: Severity::Warning, message: note.clone() });
            }
        }
        Ok(settings)
    }

    /// For everything that needs a session: past a pooler where there is a way.
    async fn direct(&self, target: &Target, session: &Session<'_>) -> Result<Settings, EngineError> {
        match &target.direct {
            Some(direct) => self.settings_for(direct, target, session).await,
            None => {
                let settings = self.settings_for(&target.endpoint, target, session).await?;
                Ok(Settings { pooled: target.pooled, ..settings })
            }
        }
    }

    /// For creating and dropping.
    async fn admin(&self, target: &Target, session: &Session<'_>) -> Result<Settings, EngineError> {
        match &target.admin {
            Some(admin) => self.settings_for(admin, target, session).await,
            None => self.direct(target, session).await,
        }
    }

    /// For creating, with the role that is to own what an admin makes where the target names none: its migrations could
    /// not even use the public schema of somebody else's.
    async fn maker(
        &self,
        target: &Target,
        session: &Session<'_>,
    ) -> Result<(Settings, Option<String>), EngineError> {
        let admin = self.admin(target, session).await?;
        if target.admin.is_none() {
            return Ok((admin, None));
        }
        let own = self.direct(target, session).await?;
        admin::same_server(&admin, &own, target, session).await.map_err(from(target))?;
        let user = Some(own.user).filter(|user| *user != admin.user);
        Ok((admin, user))
    }
}

/// Whether somebody may start the server again: the embedded one is started by us alone.
fn may_come_back(target: &Target) -> bool {
    match target.direct.as_ref().unwrap_or(&target.endpoint) {
        Endpoint::ConnInfo { .. } | Endpoint::Variables(_) => true,
        Endpoint::Embedded(_) | Endpoint::Sqlite(_) => false,
    }
}

/// Says of a failure to connect where its settings come from.
fn from(target: &Target) -> impl Fn(EngineError) -> EngineError {
    |error| error.with_origin(target.origin.as_deref())
}

#[async_trait]
impl Engine for Postgres {
    async fn exists(&self, target: &Target, session: &Session<'_>) -> Result<bool, EngineError> {
        let exists = admin::exists(&self.direct(target, session).await?, target, session).await;
        exists.map_err(from(target))
    }

    async fn identity(&self, target: &Target, session: &Session<'_>) -> Result<Identity, EngineError> {
        let identity = admin::identity(&self.direct(target, session).await?, target, session).await;
        identity.map_err(from(target))
    }

    async fn may_create(&self, target: &Target, session: &Session<'_>) -> Result<(), EngineError> {
        let (admin, user) = self.maker(target, session).await?;
        admin::may_create(&admin, target, user.as_deref(), session).await.map_err(from(target))
    }

    async fn may_drop(&self, target: &Target, session: &Session<'_>) -> Result<(), EngineError> {
        admin::may_drop(&self.admin(target, session).await?, target, session).await.map_err(from(target))
    }

    async fn create(&self, target: &Target, session: &Session<'_>) -> Result<Creation, EngineError> {
        let (admin, user) = self.maker(target, session).await?;
        admin::create(&admin, target, user.as_deref(), session).await.map_err(from(target))
    }

    async fn drop(
        &self,
        target: &Target,
        disconnect: bool,
        session: &Session<'_>,
    ) -> Result<bool, EngineError> {
        let admin = self.admin(target, session).await?;
        if target.admin.is_some() {
            let own = self.direct(target, session).await?;
            if !admin::same_server(&admin, &own, target, session).await.map_err(from(target))? {
                return Ok(false);
            }
        }
        admin::drop(&admin, target, disconnect, session).await.map_err(from(target))
    }

    async fn open<'s>(
        &self,
        target: &Target,
        session: &Session<'s>,
    ) -> Result<Box<dyn Reader + 's>, EngineError> {
        let settings = self.direct(target, session).await?;
        let link = Link::open(&settings, target.name.as_str(), session).await.map_err(from(target))?;
        Ok(Box::new(ReadSession::new(link, target)))
    }

    async fn open_exclusive<'s>(
        &self,
        target: &Target,
        peers: &[i64],
        session: &Session<'s>,
    ) -> Result<Box<dyn Writer + 's>, EngineError> {
        let settings = self.direct(target, session).await?;
        let link = Link::open(&settings, target.name.as_str(), session).await.map_err(from(target))?;
        Ok(Box::new(WriteSession::new(link, peers, target).await?))
    }

    async fn reopen_exclusive<'s>(
        &self,
        target: &Target,
        peers: &[i64],
        session: &Session<'s>,
    ) -> Result<Box<dyn Writer + 's>, EngineError> {
        let until = Instant::now() + COMING_BACK;
        for attempt in 0.. {
            match self.open_exclusive(target, peers, session).await {
                Err(EngineError::Connect(error))
                    if error.may_come_back() && may_come_back(target) && Instant::now() < until => {}
                Err(EngineError::Lost { .. }) if Instant::now() < until => {}
                result => return result,
            }
            let pause = lock::backoff(attempt, Duration::from_millis(100), Duration::from_secs(1));
            tokio::select! { biased;
                () = session.cancel.cancelled() => return Err(EngineError::Cancelled),
                () = sleep(pause) => {}
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn open_atomic<'s>(
        &self,
        target: &Target,
        peers: &[i64],
        decides: bool,
        session: &Session<'s>,
    ) -> Result<Box<dyn Atomic + 's>, EngineError> {
        let settings = self.direct(target, session).await?;
        let link = Link::open(&settings, target.name.as_str(), session).await.map_err(from(target))?;
        Ok(Box::new(AtomicSession::new(link, peers, target, decides).await?))
    }

    async fn decision(
        &self,
        target: &Target,
        gid: &Gid,
        asked: Option<Decision>,
        session: &Session<'_>,
    ) -> Result<Decision, EngineError> {
        let settings = self.direct(target, session).await?;
        let mut link = Link::open(&settings, target.name.as_str(), session).await.map_err(from(target))?;
        let decision = two_phase::decision(&mut link, gid, asked).await;
        lock::release(&mut link).await;
        link.close().await;
        decision
    }

    async fn conclude(
        &self,
        target: &Target,
        gid: &Gid,
        decision: Decision,
        session: &Session<'_>,
    ) -> Result<(), EngineError> {
        let settings = self.direct(target, session).await?;
        let mut link = Link::open(&settings, target.name.as_str(), session).await.map_err(from(target))?;
        let concluded = two_phase::conclude_patiently(&mut link, gid, decision).await;
        link.close().await;
        concluded
    }

    fn fits_one_transaction(&self, _dialect: Dialect, script: &Script) -> Result<(), EngineError> {
        atomic::fits(script)
    }

    fn resumable(&self, _dialect: Dialect, script: &Script, resume: &Resume) -> Result<(), EngineError> {
        script::resumable(script, resume)
    }

    async fn access(&self, target: &Target) -> Result<Access, EngineError> {
        let settings = self.settings(&target.endpoint).await?;
        let name = target.name.as_str();
        let url = match &target.endpoint {
            Endpoint::ConnInfo { text, .. } => settings.url_from(text.expose_secret(), name),
            Endpoint::Variables(_) | Endpoint::Embedded(_) | Endpoint::Sqlite(_) => settings.url(name),
        };
        Ok(Access { url, vars: settings.vars(name) })
    }
}
