//! All engines as one: each database is its own engine's.

use async_trait::async_trait;
use dbctl_migration::{Dialect, Script};

#[cfg(feature = "sqlite")]
use crate::sqlite::Sqlite;
use crate::{
    Access, Atomic, Creation, Decision, Engine, EngineError, Gid, Identity, Postgres, Reader, Resume,
    Session, Target, Writer, embedded::Reached,
};

/// Servers of every kind, by the way to them that a target has.
#[derive(Debug, Default)]
pub struct Servers {
    postgres: Postgres,
    #[cfg(feature = "sqlite")]
    sqlite: Sqlite,
}

impl Servers {
    /// Engines that have not reached any server yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The embedded servers that were found or started since this was last asked; each is told of once.
    pub fn take_reached(&self) -> Vec<Reached> {
        self.postgres.take_reached()
    }

    fn of(&self, dialect: Dialect) -> Result<&dyn Engine, EngineError> {
        match dialect {
            Dialect::Postgres => Ok(&self.postgres),
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite => Ok(&self.sqlite),
            #[cfg(not(feature = "sqlite"))]
            Dialect::Sqlite => Err(EngineError::Unsupported(
                "this program was built without SQLite: see the feature `sqlite` of the crate dbctl"
                    .to_owned(),
            )),
        }
    }
}

#[async_trait]
impl Engine for Servers {
    async fn exists(&self, target: &Target, session: &Session<'_>) -> Result<bool, EngineError> {
        self.of(target.dialect())?.exists(target, session).await
    }

    async fn identity(&self, target: &Target, session: &Session<'_>) -> Result<Identity, EngineError> {
        self.of(target.dialect())?.identity(target, session).await
    }

    async fn may_create(&self, target: &Target, session: &Session<'_>) -> Result<(), EngineError> {
        self.of(target.dialect())?.may_create(target, session).await
    }

    async fn may_drop(&self, target: &Target, session: &Session<'_>) -> Result<(), EngineError> {
        self.of(target.dialect())?.may_drop(target, session).await
    }

    async fn create(&self, target: &Target, session: &Session<'_>) -> Result<Creation, EngineError> {
        self.of(target.dialect())?.create(target, session).await
    }

    async fn drop(
        &self,
        target: &Target,
        disconnect: bool,
        session: &Session<'_>,
    ) -> Result<bool, EngineError> {
        self.of(target.dialect())?.drop(target, disconnect, session).await
    }

    async fn open<'s>(
        &self,
        target: &Target,
        session: &Session<'s>,
    ) -> Result<Box<dyn Reader + 's>, EngineError> {
        self.of(target.dialect())?.open(target, session).await
    }

    async fn open_exclusive<'s>(
        &self,
        target: &Target,
        peers: &[i64],
        session: &Session<'s>,
    ) -> Result<Box<dyn Writer + 's>, EngineError> {
        self.of(target.dialect())?.open_exclusive(target, peers, session).await
    }

    async fn reopen_exclusive<'s>(
        &self,
        target: &Target,
        peers: &[i64],
        session: &Session<'s>,
    ) -> Result<Box<dyn Writer + 's>, EngineError> {
        self.of(target.dialect())?.reopen_exclusive(target, peers, session).await
    }

    async fn open_atomic<'s>(
        &self,
        target: &Target,
        peers: &[i64],
        decides: bool,
        session: &Session<'s>,
    ) -> Result<Box<dyn Atomic + 's>, EngineError> {
        self.of(target.dialect())?.open_atomic(target, peers, decides, session).await
    }

    fn fits_one_transaction(&self, dialect: Dialect, script: &Script) -> Result<(), EngineError> {
        self.of(dialect)?.fits_one_transaction(dialect, script)
    }

    async fn decision(
        &self,
        target: &Target,
        gid: &Gid,
        asked: Option<Decision>,
        session: &Session<'_>,
    ) -> Result<Decision, EngineError> {
        self.of(target.dialect())?.decision(target, gid, asked, session).await
    }

    async fn conclude(
        &self,
        target: &Target,
        gid: &Gid,
        decision: Decision,
        session: &Session<'_>,
    ) -> Result<(), EngineError> {
        self.of(target.dialect())?.conclude(target, gid, decision, session).await
    }

    fn resumable(&self, dialect: Dialect, script: &Script, resume: &Resume) -> Result<(), EngineError> {
        self.of(dialect)?.resumable(dialect, script, resume)
    }

    async fn access(&self, target: &Target) -> Result<Access, EngineError> {
        self.of(target.dialect())?.access(target).await
    }
}
