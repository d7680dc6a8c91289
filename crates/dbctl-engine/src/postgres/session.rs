//! One connection: queries and the server's messages polled together, cancelled together, closed for certain.

use std::{pin::pin, time::Duration};

use dbctl_migration::{Statement, Value};
use futures::{Stream, StreamExt};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_postgres::{
    AsyncMessage, Client, Error, Row,
    error::{DbError, Severity as PgSeverity},
    types::{ToSql, Type},
};
use tokio_util::bytes::Bytes;

use super::{
    failure::{Failure, quote_literal},
    lock,
    pooler::Pool,
};
use crate::{
    EngineError, Notice, Session, Severity,
    connect::{Canceller, Connected, Messages, connect},
    libpq::Settings,
    shown::hide_passwords,
};

/// How long a statement may take to end once it is cancelled, and a connection to end once it is closed.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long a server may take to start up while somebody connects.
const STARTING: Duration = Duration::from_secs(30);

/// The oldest server that is supported, as `server_version_num`.
const OLDEST: i32 = 120_000;

/// The longest `application_name` that the server keeps, in bytes.
const APPLICATION_BYTES: usize = 63;

/// A connection that belongs to a run.
pub(super) struct Link<'s> {
    /// `None` once a pooler's session was given up, until the next query.
    client: Option<Client>,
    line: Line<'s>,
    /// How it came about.
    pub(super) settings: Settings,
    /// What works through a pooler in transaction mode.
    pub(super) pool: Option<Pool<'s>>,
    /// Whether somebody stands between us and the server who speaks the protocol himself.
    pub(super) stands_in: bool,
    /// Who we are on the server, for hints.
    pub(super) user: String,
    /// `server_version_num`.
    pub(super) version: i32,
    /// Whether one transaction is open all the time, and what is begun, committed or rolled back is a part of it.
    pub(super) nested: bool,
}

/// Everything of a connection but the client: what has to be polled while a query runs.
struct Line<'s> {
    messages: Option<Messages>,
    canceller: Canceller,
    session: Session<'s>,
    database: String,
    /// Why there is no connection any more.
    lost: Option<String>,
    /// A query's future was dropped before it ended.
    busy: bool,
    /// Queries run although the run is being stopped.
    shielded: bool,
}

impl<'s> Link<'s> {
    /// Connects and sees that the server is new enough.
    pub(super) async fn open(
        settings: &Settings,
        database: &str,
        session: &Session<'s>,
    ) -> Result<Self, EngineError> {
        let Connected { client, messages, canceller } = started(settings, database, session).await?;
        let line = Line {
            messages: Some(messages),
            canceller,
            session: session.clone(),
            database: database.to_owned(),
            lost: None,
            busy: false,
            shielded: false,
        };
        let mut link = Self {
            client: Some(client),
            line,
            user: settings.user.clone(),
            settings: settings.clone(),
            pool: settings.pooled.then(Pool::default),
            stands_in: false,
            version: 0,
            nested: false,
        };
        match link.greet(settings).await {
            Ok(version) => link.version = version,
            Err(error) => {
                link.close().await;
                return Err(error);
            }
        }
        Ok(link)
    }

    async fn greet(&mut self, settings: &Settings) -> Result<i32, EngineError> {
        let sql = "select current_setting('server_version_num')::int, current_setting('server_version'), \
                   pg_catalog.pg_backend_pid()";
        let row = self.one(sql, &[]).await?;
        let (number, version): (i32, String) = (get(&row, 0)?, get(&row, 1)?);
        self.stands_in = self.line.canceller.process_id().await != Some(get(&row, 2)?);
        if number < OLDEST {
            return Err(EngineError::Unsupported(format!(
                "{} runs PostgreSQL {version}, and dbctl needs 12 or newer",
                settings.server()
            )));
        }
        Ok(number)
    }

    /// Whether a query's future was dropped before it ended, so that a transaction may be open.
    pub(super) fn interrupted(&self) -> bool {
        self.line.busy
    }

    /// What the run shares with its sessions.
    pub(super) fn session(&self) -> &Session<'s> {
        &self.line.session
    }

    /// The database this is connected to.
    pub(super) fn database(&self) -> &str {
        &self.line.database
    }

    /// `dbctl <verb> <run id>`.
    pub(super) fn application_name(&self) -> String {
        application_name(&self.line.session)
    }

    /// The way to the server; connects anew where the last session was left.
    async fn open_again(&mut self) -> Result<(&mut Line<'s>, &Client), Failure> {
        if self.client.is_none() && self.line.lost.is_none() {
            match started(&self.settings, &self.line.database, &self.line.session).await {
                Ok(Connected { client, messages, canceller }) => {
                    self.client = Some(client);
                    (self.line.messages, self.line.canceller) = (Some(messages), canceller);
                }
                Err(EngineError::Cancelled) => return Err(Failure::Cancelled),
                Err(error) => self.line.lost = Some(error.to_string()),
            }
        }
        match (&self.client, &self.line.lost) {
            (Some(client), _) => Ok((&mut self.line, client)),
            (None, reason) => Err(Failure::Lost {
                database: self.line.database.clone(),
                message: reason.clone().unwrap_or_default(),
            }),
        }
    }

    /// Runs SQL without values; rows are passed over.
    pub(super) async fn batch(&mut self, sql: &str) -> Result<(), Failure> {
        let (line, client) = self.open_again().await?;
        line.drive(client.batch_execute(sql), sql, true).await
    }

    /// Runs SQL even though the run is being stopped: for what has to be undone.
    pub(super) async fn batch_always(&mut self, sql: &str) -> Result<(), Failure> {
        let (line, client) = self.open_again().await?;
        line.drive(client.batch_execute(sql), sql, false).await
    }

    /// Commits. A commit that is under way is not cancelled: either answer would be a guess.
    pub(super) async fn commit(&mut self) -> Result<(), Failure> {
        if self.line.session.cancel.is_cancelled() && !self.line.shielded {
            return Err(Failure::Cancelled);
        }
        if self.nested {
            return self.release_part().await;
        }
        self.expect_held().await?;
        self.batch_always(self.and_begin("COMMIT")).await.map_err(|failure| match failure {
            Failure::Lost { database, message } => Failure::Lost {
                database,
                message: format!("{message}; whether the last COMMIT took effect shows in `dbctl status`"),
            },
            Failure::Db { .. } | Failure::Cancelled => failure,
        })
    }

    /// Whether queries run although the run is being stopped: for the little that has to be written even then.
    pub(super) fn shield(&mut self, shielded: bool) {
        self.line.shielded = shielded;
    }

    /// Ends the open transaction, whatever state it is in.
    pub(super) async fn rollback(&mut self) {
        // A cancel request that arrives late may hit the ROLLBACK itself.
        let undo = self.undo_sql();
        for _ in 0..2 {
            match self.batch_always(&undo).await {
                Err(failure) if failure.code() == "57014" => {}
                Ok(()) | Err(_) => return,
            }
        }
    }

    /// Rows of a query with bound values.
    pub(super) async fn query(
        &mut self,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, Failure> {
        let (line, client) = self.open_again().await?;
        line.drive(client.query_typed(sql, params), sql, true).await
    }

    /// The row of a query that always has one.
    pub(super) async fn one(
        &mut self,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Row, Failure> {
        let (line, client) = self.open_again().await?;
        line.drive(client.query_typed_one(sql, params), sql, true).await
    }

    /// As [`Self::one`], of a query with its values.
    pub(super) async fn one_of(&mut self, query: &Statement) -> Result<Row, Failure> {
        let params: Vec<Bound> = query.params.iter().map(bound).collect();
        self.one(&query.sql, &typed(&params)).await
    }

    /// Runs one statement of dbctl's own or of a history.
    pub(super) async fn execute(&mut self, statement: &Statement) -> Result<(), Failure> {
        let params: Vec<Bound> = statement.params.iter().map(bound).collect();
        let params = typed(&params);
        let (line, client) = self.open_again().await?;
        line.drive(client.execute_typed(&statement.sql, &params), &statement.sql, true).await?;
        Ok(())
    }

    /// Streams chunks into a `COPY … FROM STDIN`; the outer error is that of the chunks' source.
    ///
    /// Where the server refuses the statement itself, rather than its data, the driver loses count of the answers and
    /// with it the connection: what can be checked beforehand is to be checked.
    pub(super) async fn copy<E>(
        &mut self,
        sql: &str,
        chunks: impl Iterator<Item = Result<Bytes, E>>,
    ) -> Result<Result<(), Failure>, E> {
        use futures::SinkExt;
        let sink = match self.open_again().await {
            Ok((line, client)) => line.drive(client.copy_in::<_, Bytes>(sql), sql, true).await,
            Err(failure) => Err(failure),
        };
        let sink = match sink {
            Ok(sink) => sink,
            Err(failure) => return Ok(Err(failure)),
        };
        let mut sink = pin!(sink);
        for chunk in chunks {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => return Err(error),
            };
            // Once the server has refused a line, sending fails or is ignored; `finish` tells why.
            if let Err(failure) = self.line.drive(sink.send(chunk), sql, true).await {
                match failure {
                    Failure::Db { .. } => return Ok(Err(failure)),
                    Failure::Lost { .. } => break,
                    Failure::Cancelled => return Ok(Err(failure)),
                }
            }
        }
        Ok(self.line.drive(sink.finish(), sql, true).await.map(drop))
    }

    /// Ends the connection; the next query makes a new one.
    pub(super) async fn hang_up(&mut self) {
        drop(self.client.take());
        if let Some(mut messages) = self.line.messages.take() {
            let _ = timeout(PATIENCE, async { while let Some(Ok(_)) = messages.next().await {} }).await;
        }
    }

    /// Ends the session and waits, within bounds, until the connection is really closed.
    pub(super) async fn close(self) {
        let Self { client, line: Line { messages, canceller, busy, .. }, .. } = self;
        let Some(mut messages) = messages else { return };
        drop(client);
        let end = async {
            let drain = async { while let Some(Ok(_)) = messages.next().await {} };
            if busy {
                let ((), _) = futures::join!(drain, canceller.cancel());
            } else {
                drain.await;
            }
        };
        // A server that does not answer any more is not waited for: it has no lock to give back.
        let _ = timeout(PATIENCE, end).await;
    }
}

impl Line<'_> {
    /// Polls a query together with the server's messages. `stoppable` queries are cancelled when the run is stopped.
    async fn drive<T>(
        &mut self,
        query: impl Future<Output = Result<T, Error>>,
        sql: &str,
        stoppable: bool,
    ) -> Result<T, Failure> {
        if let Some(message) = &self.lost {
            return Err(Failure::Lost { database: self.database.clone(), message: message.clone() });
        }
        let stoppable = stoppable && !self.shielded;
        if stoppable && self.session.cancel.is_cancelled() {
            return Err(Failure::Cancelled);
        }
        if self.busy {
            self.interrupt().await;
        }
        let mut query = pin!(query);
        let cancel = self.session.cancel.clone();
        self.busy = true;
        let result = loop {
            tokio::select! { biased;
                () = cancel.cancelled(), if stoppable => break self.stop(query).await,
                message = next(&mut self.messages) => self.hear(message),
                result = &mut query => break self.settle(result, sql),
            }
        };
        self.busy = false;
        result
    }

    /// Cancels a statement that nobody waits for any more, so that the next one need not.
    async fn interrupt(&mut self) {
        let canceller = self.canceller.clone();
        let mut request = pin!(canceller.cancel());
        loop {
            tokio::select! { biased;
                message = next(&mut self.messages) => self.hear(message),
                _ = &mut request => return,
            }
        }
    }

    /// Cancels the running statement on the server and awaits its end. A statement that was faster than the request
    /// has done its work, and so counts as done.
    async fn stop<T>(
        &mut self,
        mut query: std::pin::Pin<&mut impl Future<Output = Result<T, Error>>>,
    ) -> Result<T, Failure> {
        let until = Instant::now() + PATIENCE;
        let canceller = self.canceller.clone();
        let mut request = pin!(canceller.cancel());
        let (mut requested, mut ended) = (false, None);
        // The request is awaited too: one that arrives late would hit the next statement.
        while !requested || ended.is_none() {
            tokio::select! { biased;
                message = next(&mut self.messages) => self.hear(message),
                result = &mut query, if ended.is_none() => ended = Some(result),
                _ = &mut request, if !requested => requested = true,
                () = sleep_until(until) => {
                    self.messages = None;
                    self.lost.get_or_insert_with(|| "the server did not cancel the statement in time".to_owned());
                    break;
                }
            }
        }
        match ended {
            Some(Ok(value)) => Ok(value),
            Some(Err(_)) | None => Err(Failure::Cancelled),
        }
    }

    fn settle<T>(&mut self, result: Result<T, Error>, sql: &str) -> Result<T, Failure> {
        result.map_err(|error| {
            let told = error.as_db_error().is_some();
            match (Failure::new(error, sql, &self.database), &self.lost) {
                // Why the connection ended says more than that it did.
                (Failure::Lost { database, .. }, Some(reason)) if !told => {
                    Failure::Lost { database, message: reason.clone() }
                }
                (Failure::Lost { database, message }, _) => {
                    self.messages = None;
                    self.lost = Some(message.clone());
                    Failure::Lost { database, message }
                }
                (failure @ (Failure::Db { .. } | Failure::Cancelled), _) => failure,
            }
        })
    }

    fn hear(&mut self, message: Option<Result<AsyncMessage, Error>>) {
        match message {
            Some(Ok(AsyncMessage::Notice(notice))) => self.session.observer.notice(heard(&notice)),
            Some(Ok(_)) => {}
            // The connection is dropped, not only remembered as lost: it keeps queries waiting for their answers.
            Some(Err(error)) => {
                self.messages = None;
                let reason =
                    error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_owned());
                self.lost = Some(reason);
            }
            None => {
                self.messages = None;
                self.lost = Some("the server closed the connection".to_owned());
            }
        }
    }
}

/// Connects; a server that is starting up is waited for.
async fn started(
    settings: &Settings,
    database: &str,
    session: &Session<'_>,
) -> Result<Connected, EngineError> {
    let name = name_at_login(settings, session);
    let until = Instant::now() + STARTING;
    for attempt in 0.. {
        let connected = tokio::select! { biased;
            () = session.cancel.cancelled() => return Err(EngineError::Cancelled),
            connected = connect(settings, database, &name) => connected,
        };
        match connected {
            Err(error) if error.is_starting() && Instant::now() < until => {
                if attempt == 0 {
                    let message = format!("{error}: waiting for up to {} s", STARTING.as_secs());
                    session.observer.notice(Notice { severity: Severity::Warning, message });
                }
            }
            result => return Ok(result?),
        }
        let pause = lock::backoff(attempt, Duration::from_millis(100), Duration::from_secs(1));
        tokio::select! { biased;
            () = session.cancel.cancelled() => return Err(EngineError::Cancelled),
            () = sleep(pause) => {}
        }
    }
    unreachable!("the last attempt returns")
}

/// The next message; never, once the connection has ended.
async fn next(
    messages: &mut Option<impl Stream<Item = Result<AsyncMessage, Error>> + Unpin>,
) -> Option<Result<AsyncMessage, Error>> {
    match messages {
        Some(messages) => messages.next().await,
        None => std::future::pending().await,
    }
}

fn heard(notice: &DbError) -> Notice {
    let severity = match notice.parsed_severity() {
        Some(PgSeverity::Debug | PgSeverity::Log) => Severity::Debug,
        Some(PgSeverity::Info | PgSeverity::Notice) => Severity::Notice,
        Some(PgSeverity::Warning | PgSeverity::Error | PgSeverity::Fatal | PgSeverity::Panic) | None => {
            Severity::Warning
        }
    };
    Notice { severity, message: hide_passwords(notice.message()) }
}

/// A value as the driver binds it.
type Bound = (Box<dyn ToSql + Sync + Send>, Type);

fn typed(params: &[Bound]) -> Vec<(&(dyn ToSql + Sync), Type)> {
    params.iter().map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone())).collect()
}

fn bound(value: &Value) -> Bound {
    match value {
        Value::Text(text) => (Box::new(text.clone()), Type::TEXT),
        Value::Int(number) => (Box::new(*number), Type::INT8),
        Value::Bytes(bytes) => (Box::new(bytes.clone()), Type::BYTEA),
        Value::Texts(texts) => (Box::new(texts.clone()), Type::TEXT_ARRAY),
        Value::Null => (Box::new(None::<String>), Type::TEXT),
    }
}

/// A column's value.
pub(super) fn get<'r, T: tokio_postgres::types::FromSql<'r>>(
    row: &'r Row,
    column: usize,
) -> Result<T, EngineError> {
    row.try_get(column).map_err(|error| {
        let name = row.columns().get(column).map_or("?", |column| column.name());
        EngineError::Unsupported(format!(
            "the server's answer has another shape than expected: column {name}: {error}"
        ))
    })
}

/// `dbctl <verb> <run id>`, cut to what the server keeps.
fn application_name(session: &Session<'_>) -> String {
    let mut name = format!("dbctl {} {}", session.verb, session.stamp.run);
    while name.len() > APPLICATION_BYTES {
        name.pop();
    }
    name
}

/// A pooler would keep the name for the next client of the session: there it is set once a session is kept.
fn name_at_login(settings: &Settings, session: &Session<'_>) -> String {
    if settings.pooled { String::new() } else { application_name(session) }
}

/// `SET LOCAL name = 'value'`, for utility statements take no parameters.
pub(super) fn set_local(name: &str, value: &str) -> String {
    format!("SET LOCAL {name} = {}", quote_literal(value))
}
