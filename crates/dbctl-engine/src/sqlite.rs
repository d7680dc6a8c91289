//! SQLite: a database is a file, and a session a connection of this process.

mod admin;
mod catalog;
mod failure;
mod layout;
mod link;
mod lock;
mod reader;
mod records;
mod script;
mod seed;
mod session;

use std::collections::BTreeMap;

use async_trait::async_trait;
use dbctl_migration::{Dialect, Script, Transaction, ledger::Ledger};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::{
    Access, Atomic, Creation, Decision, Engine, EngineError, Gid, Identity, Reader, Resume, Session, Target,
    Writer,
};
use layout::layout;
use session::FileSession;

/// dbctl's own tables.
const LEDGER: Ledger = Ledger::new(Dialect::Sqlite);

/// The SQLite engine: what it knows is in the files.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sqlite;

#[async_trait]
impl Engine for Sqlite {
    async fn exists(&self, target: &Target, _session: &Session<'_>) -> Result<bool, EngineError> {
        admin::exists(admin::file(target)?)
    }

    async fn identity(&self, target: &Target, _session: &Session<'_>) -> Result<Identity, EngineError> {
        Ok(admin::identity(admin::file(target)?))
    }

    async fn may_create(&self, target: &Target, _session: &Session<'_>) -> Result<(), EngineError> {
        admin::may_create(admin::file(target)?)
    }

    async fn may_drop(&self, target: &Target, session: &Session<'_>) -> Result<(), EngineError> {
        admin::may_drop(target, session).await
    }

    async fn create(&self, target: &Target, session: &Session<'_>) -> Result<Creation, EngineError> {
        admin::create(admin::file(target)?, session).await
    }

    /// Nobody can end the connections of other processes, so `disconnect` changes nothing.
    async fn drop(
        &self,
        target: &Target,
        _disconnect: bool,
        session: &Session<'_>,
    ) -> Result<bool, EngineError> {
        admin::drop(target, session).await
    }

    async fn open<'s>(
        &self,
        target: &Target,
        session: &Session<'s>,
    ) -> Result<Box<dyn Reader + 's>, EngineError> {
        Ok(Box::new(FileSession::read(target, session).await?))
    }

    /// The tools take no locks of their own but SQLite's, so there are no `peers`.
    async fn open_exclusive<'s>(
        &self,
        target: &Target,
        _peers: &[i64],
        session: &Session<'s>,
    ) -> Result<Box<dyn Writer + 's>, EngineError> {
        Ok(Box::new(FileSession::write(target, session).await?))
    }

    async fn open_atomic<'s>(
        &self,
        target: &Target,
        _peers: &[i64],
        decides: bool,
        session: &Session<'s>,
    ) -> Result<Box<dyn Atomic + 's>, EngineError> {
        if decides {
            return session::no_two_phase();
        }
        Ok(Box::new(FileSession::atomic(target, session).await?))
    }

    fn fits_one_transaction(&self, _dialect: Dialect, script: &Script) -> Result<(), EngineError> {
        let layout = layout(script, false)?;
        let reason = match script.transaction {
            Transaction::None => "the file is to run outside a transaction",
            Transaction::One => "this statement cannot be part of a transaction with others",
        };
        match layout.not_whole() {
            Some(line) => Err(EngineError::NotWhole { path: script.path.clone(), line, reason }),
            None => Ok(()),
        }
    }

    async fn decision(
        &self,
        target: &Target,
        _gid: &Gid,
        _asked: Option<Decision>,
        _session: &Session<'_>,
    ) -> Result<Decision, EngineError> {
        let database = target.name.to_string();
        Err(EngineError::NoDecisions { database, reason: "is a SQLite file, which prepares no transactions" })
    }

    async fn conclude(
        &self,
        _target: &Target,
        _gid: &Gid,
        _decision: Decision,
        _session: &Session<'_>,
    ) -> Result<(), EngineError> {
        session::no_two_phase()
    }

    fn resumable(&self, _dialect: Dialect, script: &Script, resume: &Resume) -> Result<(), EngineError> {
        script::resumable(script, resume)
    }

    /// A URL, and no variables: what else opens SQLite's files takes a path.
    async fn access(&self, target: &Target) -> Result<Access, EngineError> {
        let path = std::path::absolute(admin::file(target)?)
            .map_err(|error| failure::io("find", admin::file(target).unwrap_or(".".as_ref()))(error))?;
        let url = format!("sqlite:{}", utf8_percent_encode(&path.to_string_lossy(), &ESCAPED));
        Ok(Access { url: url.into(), vars: BTreeMap::new() })
    }
}

/// What would end a path in a URL, or be read as something else.
const ESCAPED: AsciiSet = CONTROLS.add(b'%').add(b'?').add(b'#');
