//! A connection, whose SQL runs on a thread beside, so that the run goes on meanwhile and can be stopped.

use std::{
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use dbctl_migration::{Statement, Value};
use percent_encoding::percent_encode;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, types::Null};
use tokio::{
    task::{JoinError, spawn_blocking},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{ESCAPED, failure::own, script::LOCK_TIMEOUT};
use crate::{EngineError, SqlError};

/// How long a statement itself waits for another connection's transaction; [`Link::patiently`] waits longer.
const BUSY: Duration = Duration::from_millis(50);

/// How often a statement is interrupted again that has just begun when it was.
const INTERRUPT_AGAIN: Duration = Duration::from_millis(10);

/// What a connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
    /// The file is made where there is none.
    Create,
}

/// A connection to a database.
pub(super) struct Link {
    path: PathBuf,
    access: Access,
    /// `None` once a thread has died with it.
    connection: Option<Connection>,
    cancel: CancellationToken,
    shielded: bool,
    /// Whether all work is one transaction, in which each file has a savepoint.
    pub(super) nested: bool,
    /// How long one [`Self::call`] may take.
    pub(super) limit: Option<Duration>,
}

/// The savepoint that stands for a file's own transaction.
const SAVEPOINT: &str = "\"dbctl file\"";

impl Link {
    pub(super) async fn open(
        path: &Path,
        access: Access,
        cancel: CancellationToken,
    ) -> Result<Self, EngineError> {
        let mut link = Self {
            path: path.to_owned(),
            access,
            connection: None,
            cancel,
            shielded: false,
            nested: false,
            limit: None,
        };
        link.reopen().await?;
        Ok(link)
    }

    /// The database's file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A new connection in place of this one: what was open is rolled back, and nothing stays set.
    pub(super) async fn reopen(&mut self) -> Result<(), EngineError> {
        drop(self.connection.take());
        let (path, access) = (self.path.clone(), self.access);
        let opened = spawn_blocking(move || open(&path, access)).await;
        self.connection = Some(opened.map_err(|error| self.lost(&error))??);
        Ok(())
    }

    /// Closes the connection; the last one brings what it has written into the file itself.
    pub(super) async fn close(mut self) {
        let connection = self.connection.take();
        let _ = spawn_blocking(move || drop(connection)).await;
    }

    /// Whether what follows goes on although the run is being stopped.
    pub(super) fn shield(&mut self, shielded: bool) {
        self.shielded = shielded;
    }

    fn lost(&self, error: &JoinError) -> EngineError {
        EngineError::Lost {
            database: self.path.display().to_string(),
            message: error.to_string(),
            between: false,
        }
    }

    /// Does something with the connection. Where the run is stopped meanwhile, SQLite is interrupted, which rolls the
    /// statement back.
    pub(super) async fn call<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Connection) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        if !self.shielded && self.cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        if self.connection.is_none() {
            self.reopen().await?;
        }
        let mut connection = self.connection.take().ok_or(EngineError::Cancelled)?;
        let interrupt = connection.get_interrupt_handle();
        let mut job = spawn_blocking(move || {
            let result = work(&mut connection);
            (connection, result)
        });
        let limit = self.limit;
        let mut is_late = false;
        let done = tokio::select! {
            done = &mut job => Some(done),
            () = self.cancel.cancelled(), if !self.shielded => None,
            () = async move { sleep(limit.unwrap_or_default()).await }, if limit.is_some() => {
                is_late = true;
                None
            }
        };
        let done = match done {
            Some(done) => done,
            None => loop {
                interrupt.interrupt();
                tokio::select! {
                    done = &mut job => break done,
                    () = sleep(INTERRUPT_AGAIN) => {}
                }
            },
        };
        let (connection, result) = done.map_err(|error| self.lost(&error))?;
        self.connection = Some(connection);
        match result {
            Err(EngineError::Cancelled) if is_late => Err(timed_out(limit.unwrap_or_default())),
            Err(EngineError::Sql(error)) => Err(EngineError::Sql(of_the_file(error, &self.path))),
            result => result,
        }
    }

    /// As [`Self::call`], again and again while another connection is in the way, for as long as that.
    pub(super) async fn repeatedly<T: Send + 'static>(
        &mut self,
        wait: Duration,
        work: impl Fn(&mut Connection) -> Result<T, EngineError> + Clone + Send + 'static,
    ) -> Result<T, EngineError> {
        let until = Instant::now() + wait;
        let mut pause = Duration::from_millis(5);
        loop {
            match self.call(work.clone()).await {
                Err(EngineError::Sql(error)) if error.code == "SQLITE_BUSY" && Instant::now() < until => {}
                result => return result,
            }
            tokio::select! {
                () = self.cancel.cancelled(), if !self.shielded => return Err(EngineError::Cancelled),
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }

    /// Runs SQL of dbctl's own.
    pub(super) async fn batch(&mut self, sql: impl Into<String>) -> Result<(), EngineError> {
        let sql = sql.into();
        self.call(move |connection| connection.execute_batch(&sql).map_err(|error| own(&error, &sql))).await
    }

    /// As [`Self::batch`], again and again while another connection is in the way, for as long as that.
    pub(super) async fn patiently(&mut self, sql: &str, wait: Duration) -> Result<(), EngineError> {
        let sql = sql.to_owned();
        let run = move |connection: &mut Connection| {
            connection.execute_batch(&sql).map_err(|error| own(&error, &sql))
        };
        self.repeatedly(wait, run).await
    }

    /// Runs statements of dbctl's own, in order.
    pub(super) async fn execute(&mut self, statements: Vec<Statement>) -> Result<(), EngineError> {
        self.call(move |connection| {
            statements.iter().try_for_each(|Statement { sql, params }| {
                let run = || -> rusqlite::Result<()> {
                    let mut statement = connection.prepare(sql)?;
                    bind(&mut statement, params)?;
                    let mut rows = statement.raw_query();
                    while rows.next()?.is_some() {}
                    Ok(())
                };
                run().map_err(|error| own(&error, sql))
            })
        })
        .await
    }

    /// The rows of a query of dbctl's own.
    pub(super) async fn rows<T: Send + 'static>(
        &mut self,
        sql: impl Into<String>,
        params: Vec<Value>,
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, EngineError> {
        let sql = sql.into();
        // With a rollback journal, whoever commits keeps readers out.
        self.repeatedly(LOCK_TIMEOUT, move |connection| rows(connection, &sql, &params, read)).await
    }

    /// Begins a transaction that writes, or where one is always open a part of it.
    pub(super) async fn begin(&mut self, wait: Duration) -> Result<(), EngineError> {
        match self.nested {
            true => {
                self.still_open().await?;
                self.batch(format!("SAVEPOINT {SAVEPOINT}")).await
            }
            false => self.patiently("BEGIN IMMEDIATE", wait).await,
        }
    }

    /// Commits what [`Self::begin`] has begun.
    pub(super) async fn commit(&mut self, wait: Duration) -> Result<(), EngineError> {
        match self.nested {
            true => self.batch(format!("RELEASE {SAVEPOINT}")).await,
            false => self.patiently("COMMIT", wait).await,
        }
    }

    /// Sees that the one transaction has not ended: a full disk ends it, and so does an interrupt.
    pub(super) async fn still_open(&mut self) -> Result<(), EngineError> {
        if self.call(|connection| Ok(connection.is_autocommit())).await? {
            return Err(EngineError::Lost {
                database: self.path.display().to_string(),
                message: "SQLite has rolled the transaction back".to_owned(),
                between: false,
            });
        }
        Ok(())
    }

    /// Rolls back what is open, if anything is.
    pub(super) async fn rollback(&mut self) {
        self.shield(true);
        let limit = self.limit.take();
        let sql = match self.nested {
            true => format!("ROLLBACK TO {SAVEPOINT}; RELEASE {SAVEPOINT}"),
            false => "ROLLBACK".to_owned(),
        };
        let rolled_back = self
            .call(move |connection| match connection.is_autocommit() {
                true => Ok(()),
                false => connection.execute_batch(&sql).map_err(|error| own(&error, &sql)),
            })
            .await;
        self.limit = limit;
        if self.nested {
            // What failed may not have got as far as its savepoint.
            self.shield(false);
            return;
        }
        // A connection that cannot even do that does so when it is closed.
        if rolled_back.is_err() {
            self.connection = None;
        }
        self.shield(false);
    }
}

/// The rows of a query of dbctl's own.
pub(super) fn rows<T>(
    connection: &Connection,
    sql: &str,
    params: &[Value],
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, EngineError> {
    let read = || {
        let mut statement = connection.prepare(sql)?;
        bind(&mut statement, params)?;
        statement.raw_query().mapped(read).collect::<Result<Vec<T>, _>>()
    };
    read().map_err(|error| own(&error, sql))
}

/// Gives parameters their values, by the number in their names: `$1`, `?1`, or `$1::text`, which is a name to SQLite.
fn bind(statement: &mut rusqlite::Statement<'_>, params: &[Value]) -> rusqlite::Result<()> {
    for at in 1..=statement.parameter_count() {
        let number = statement.parameter_name(at).and_then(|name| {
            let digits = name.get(1..)?;
            digits[..digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len())].parse().ok()
        });
        let value = params.get(number.unwrap_or(at).saturating_sub(1));
        match value {
            Some(Value::Text(text)) => statement.raw_bind_parameter(at, text)?,
            Some(Value::Int(int)) => statement.raw_bind_parameter(at, int)?,
            Some(Value::Bytes(bytes)) => statement.raw_bind_parameter(at, bytes)?,
            // SQLite has no arrays but those of its JSON functions.
            Some(Value::Texts(texts)) => {
                statement.raw_bind_parameter(at, serde_json::json!(texts).to_string())?
            }
            Some(Value::Null) | None => statement.raw_bind_parameter(at, Null)?,
        }
    }
    Ok(())
}

fn timed_out(limit: Duration) -> EngineError {
    let message = format!("the statement took longer than {} ms and was stopped", limit.as_millis());
    SqlError::ours("SQLITE_INTERRUPT", message, "give the file more with `-- dbctl:statement-timeout 10min`")
        .into()
}

/// What the system says of the file needs its name, which SQLite does not tell.
fn of_the_file(mut error: Box<SqlError>, path: &Path) -> Box<SqlError> {
    let codes = ["BUSY", "CANTOPEN", "CORRUPT", "FULL", "IOERR", "LOCKED", "NOTADB", "READONLY"];
    if error.detail.is_none() && error.code.strip_prefix("SQLITE_").is_some_and(|code| codes.contains(&code))
    {
        error.detail = Some(path.display().to_string());
    }
    error
}

fn open(path: &Path, access: Access) -> Result<Connection, EngineError> {
    let flags = match access {
        Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Access::Create => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    };
    // A path that looks like a URI is a path all the same.
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX);
    let connection = connection.and_then(|connection| {
        connection.busy_timeout(BUSY)?;
        if access == Access::Read {
            connection.pragma_update(None, "query_only", true)?;
            return Ok(unwritable(path, &connection).unwrap_or(connection));
        }
        Ok(connection)
    });
    connection.map_err(|error| EngineError::File {
        doing: "open",
        path: path.to_owned(),
        reason: match error {
            rusqlite::Error::SqliteFailure(_, Some(message)) => message,
            other => other.to_string(),
        },
    })
}

/// Another connection where one that only reads is refused: a transaction that was killed in the middle has to be undone
/// first, or nothing may be written beside a database in WAL mode.
fn unwritable(path: &Path, connection: &Connection) -> Option<Connection> {
    let look =
        |connection: &Connection| connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
    let refused = look(connection).err()?;
    if !matches!(refused.sqlite_error_code()?, ErrorCode::ReadOnly | ErrorCode::CannotOpen) {
        return None;
    }
    let path = path.canonicalize().ok()?;
    let holds_something = |suffix| {
        let mut beside = path.clone().into_os_string();
        beside.push(suffix);
        fs::metadata(beside).is_ok_and(|beside| beside.len() > 0)
    };
    if ["-journal", "-wal"].into_iter().any(holds_something) {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags).ok()?;
        connection.busy_timeout(BUSY).ok()?;
        connection.pragma_update(None, "query_only", true).ok()?;
        return look(&connection).is_ok().then_some(connection);
    }
    // All that was ever committed is in the file itself.
    let uri = format!("file:{}?immutable=1", percent_encode(path.as_os_str().as_bytes(), &ESCAPED));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn link() -> (tempfile::TempDir, Link) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let link = Link::open(&path, Access::Create, CancellationToken::new()).await.unwrap();
        (folder, link)
    }

    #[tokio::test]
    async fn values_are_bound() {
        let (_folder, mut link) = link().await;
        link.batch("create table t (a, b, c, d)").await.unwrap();
        let params = vec![Value::Text("'; --".into()), Value::Int(7), Value::Bytes(vec![0, 1]), Value::Null];
        let sql = "insert into t values (?1, ?2, ?3, ?4)".to_owned();
        link.execute(vec![Statement { sql, params }]).await.unwrap();
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let rows: Vec<(String, i64, Vec<u8>, Option<String>)> =
            link.rows("select * from t where b = ?1", vec![Value::Int(7)], read).await.unwrap();
        assert_eq!(rows, [("'; --".to_owned(), 7, vec![0, 1], None)]);
    }

    #[tokio::test]
    async fn a_statement_is_interrupted_and_rolled_back() {
        let (_folder, mut link) = link().await;
        link.batch("create table t (a); begin").await.unwrap();
        let endless =
            "insert into t with recursive n(i) as (select 1 union all select i + 1 from n) select i from n";
        let cancel = link.cancel.clone();
        let (stopped, ()) = tokio::join!(link.batch(endless), async { cancel.cancel() });
        assert!(matches!(stopped, Err(EngineError::Cancelled)), "{stopped:?}");
        assert!(matches!(link.batch("select 1").await, Err(EngineError::Cancelled)));
        link.rollback().await;
        link.shield(true);
        let count =
            link.rows("select count(*) from t", Vec::new(), |row| row.get::<_, i64>(0)).await.unwrap();
        assert_eq!(count, [0]);
    }

    #[tokio::test]
    async fn whoever_is_in_the_way_is_waited_for_so_long_and_no_longer() {
        let (folder, mut link) = link().await;
        let mut other =
            Link::open(&folder.path().join("a.db"), Access::Write, CancellationToken::new()).await.unwrap();
        other.batch("begin immediate").await.unwrap();
        let refused = link.patiently("begin immediate", Duration::from_millis(1)).await.unwrap_err();
        let EngineError::Sql(refused) = refused else { panic!("{refused}") };
        assert_eq!(refused.code, "SQLITE_BUSY");
        assert!(refused.hint.unwrap().contains("another connection"));
        let (done, ()) =
            tokio::join!(link.patiently("begin immediate", Duration::from_secs(60)), other.rollback());
        done.unwrap();
    }

    #[tokio::test]
    async fn whoever_reads_cannot_write() {
        let (folder, mut link) = link().await;
        link.batch("create table t (a)").await.unwrap();
        let mut reader =
            Link::open(&folder.path().join("a.db"), Access::Read, CancellationToken::new()).await.unwrap();
        let refused = reader.batch("insert into t values (1)").await.unwrap_err().to_string();
        assert!(refused.contains("readonly"), "{refused}");
        let missing = Link::open(&folder.path().join("b.db"), Access::Read, CancellationToken::new()).await;
        let missing = missing.err().unwrap().to_string();
        assert!(missing.contains("unable to open database file"), "{missing}");
        std::fs::write(folder.path().join("c.db"), "no database at all, just text that is long enough")
            .unwrap();
        let mut text =
            Link::open(&folder.path().join("c.db"), Access::Read, CancellationToken::new()).await.unwrap();
        let error = text.batch("select * from sqlite_schema").await.unwrap_err();
        let EngineError::Sql(error) = error else { panic!("{error}") };
        assert_eq!(error.code, "SQLITE_NOTADB");
    }
}
