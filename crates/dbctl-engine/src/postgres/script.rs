//! Running scripts: as a whole in one transaction with its history rows, or unit by unit with its progress.

use std::time::{Duration, Instant};

use dbctl_migration::{Migration, Script, Statement, TableName, ledger::Before, quote_ident};
use tokio_postgres::types::Type;
use tokio_util::bytes::Bytes;

use super::{
    again::{self, Found},
    failure::Failure,
    layout::{Act, Layout, Unit, copy_check},
    lock::{self, HOLDER_COLUMNS, LOST, backoff, holder, pause},
    records,
    session::{Link, get, set_local},
    watch::Watch,
};
use crate::{
    EngineError, LockHolder, Resume, SourceRef, SqlError, note::Ran, records::Suspect, shown::shorten,
};

/// How long transactional statements wait for a lock where no directive says otherwise.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a transaction is tried that could not get a lock in time.
const LOCK_ATTEMPTS: u32 = 5;

/// How much of a `COPY`'s data is sent at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// PostgreSQL's `lock_not_available`.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// PostgreSQL's `read_only_sql_transaction`.
const READ_ONLY: &str = "25006";

/// The statements that record how far a script got.
pub(super) type Progress<'a> = dyn Fn(&Resume, Before) -> Vec<Statement> + Sync + 'a;

/// A script and what is written with it.
pub(super) struct Work<'a> {
    pub(super) script: &'a Script,
    /// Instead of [`LOCK_TIMEOUT`], and of whatever else is set.
    pub(super) lock_timeout: Option<Duration>,
    /// Whether the manifest sets one.
    pub(super) bounded: bool,
    /// The statements that record it; they commit with it where that can be.
    pub(super) record: &'a (dyn Fn(&Ran) -> Vec<Statement> + Sync),
    /// Whose rows it may write itself: those of a migration that it applies.
    pub(super) own: Option<(&'a SourceRef<'a>, &'a Migration)>,
    /// The statements that record how far it got outside a transaction, where anybody wants to know.
    pub(super) progress: Option<&'a Progress<'a>>,
    /// Where an earlier run stopped.
    pub(super) resume: Option<Resume>,
    /// The locks that this session holds.
    pub(super) keys: &'a [i64],
    /// The tables whose rows the script must leave alone.
    pub(super) records: &'a [TableName],
}

/// Runs a script on a clean session and records it; says how long its SQL ran.
pub(super) async fn run(link: &mut Link<'_>, work: &Work<'_>) -> Result<Duration, EngineError> {
    let layout = Layout::of(work.script, work.resume.is_some())?;
    if link.is_pooled() && !layout.whole {
        layout.refuse_session()?;
        link.expect_no_settings()?;
    }
    if layout.whole {
        let record = |elapsed, by_itself| (work.record)(&Ran { elapsed, before: Before::Absent, by_itself });
        return transaction(link, work, &layout, &layout.units[0], &record).await;
    }
    let started = Instant::now();
    let before = stepwise(link, work, &layout).await?;
    let elapsed = started.elapsed();
    let by_itself = recorded_itself(link, work).await?;
    recorded(link, work, &(work.record)(&Ran { elapsed, before, by_itself })).await?;
    Ok(elapsed)
}

/// Whether a file that ran statement by statement has written its tool's row.
async fn recorded_itself(link: &mut Link<'_>, work: &Work<'_>) -> Result<bool, EngineError> {
    if work.own.is_none() {
        return Ok(false);
    }
    link.begin(AS_OURSELVES).await?;
    let by_itself = records::by_itself(link, work.own).await;
    link.rollback().await;
    by_itself
}

/// Unit by unit, each committed with its progress; says what its row is afterwards.
async fn stepwise(link: &mut Link<'_>, work: &Work<'_>, layout: &Layout<'_>) -> Result<Before, EngineError> {
    let mut before = if work.resume.is_some() { Before::Any } else { Before::Absent };
    let resume = work.resume.clone().unwrap_or(Resume { done: 0, started: false, digest: None });
    if !layout.begins_with(&resume) {
        return Err(rewritten(work.script, layout, &resume));
    }
    for piece in (0..resume.done.min(layout.len())).filter(|piece| layout.sets_session(*piece)) {
        let statement = layout.statement(piece);
        link.batch(statement).await.map_err(|failure| at(layout, piece, failure))?;
    }
    let mut done = resume.done;
    if resume.started && took_effect(link, work, layout, resume.done).await? {
        done += 1;
        recorded(link, work, &progress(work, layout, (done, false), before)).await?;
    }
    for unit in layout.units.iter().filter(|unit| unit.pieces.end > done) {
        let start = unit.pieces.start.max(done);
        let ran = if unit.alone {
            alone(link, work, layout, start, before).await
        } else {
            let end = unit.pieces.end;
            let rest = Unit { pieces: start..end, alone: false };
            let record = |_, _| progress(work, layout, (end, false), before);
            transaction(link, work, layout, &rest, &record).await.map(drop)
        };
        ran.map_err(|error| stays(error, start))?;
        before = Before::Any;
    }
    Ok(before)
}

/// Says of a failure what was committed before it.
fn stays(error: EngineError, done: usize) -> EngineError {
    match error {
        EngineError::Sql(mut sql) if done > 0 => {
            let before =
                if done == 1 { "the statement".to_owned() } else { format!("the {done} statements") };
            let stays = format!(
                "{before} before it in the file are committed and stay: mend the rest, and the next run goes on from here"
            );
            let stays = if done == 1 {
                stays.replace("are committed and stay", "is committed and stays")
            } else {
                stays
            };
            sql.hint = Some(sql.hint.map_or_else(|| stays.clone(), |hint| format!("{hint}; {stays}")));
            EngineError::Sql(sql)
        }
        other => other,
    }
}

/// Sees that a script which has stopped can go on, as far as its text and what is recorded tell.
pub(super) fn resumable(script: &Script, resume: &Resume) -> Result<(), EngineError> {
    let layout = Layout::of(script, true)?;
    if !layout.begins_with(resume) {
        return Err(rewritten(script, &layout, resume));
    }
    let asks = resume.started && (resume.done >= layout.len() || again::asks(layout.statement(resume.done)));
    if asks { Err(unresolved(script, &layout, resume.done)) } else { Ok(()) }
}

fn rewritten(script: &Script, layout: &Layout<'_>, resume: &Resume) -> EngineError {
    // Only the statement that was started has changed.
    let started = resume.started && layout.begins_with(&Resume { started: false, ..resume.clone() });
    let end = if started { resume.done + 1 } else { resume.done };
    let last = end.min(layout.len()).checked_sub(1);
    let line = last.map_or(script.first_line, |last| layout.line(last));
    EngineError::Rewritten { path: script.path.clone(), line, done: resume.done, started }
}

fn progress(
    work: &Work<'_>,
    layout: &Layout<'_>,
    (done, started): (usize, bool),
    before: Before,
) -> Vec<Statement> {
    let resume = Resume { done, started, digest: Some(layout.digest(done, started)) };
    work.progress.iter().flat_map(|progress| progress(&resume, before)).collect()
}

/// One statement outside a transaction, its start recorded before it and its end after it.
async fn alone(
    link: &mut Link<'_>,
    work: &Work<'_>,
    layout: &Layout<'_>,
    piece: usize,
    before: Before,
) -> Result<(), EngineError> {
    recorded(link, work, &progress(work, layout, (piece, true), before)).await?;
    link.leave_for_statements().await?;
    let outcome = send(link, layout, piece).await;
    match outcome {
        Ok(()) => {
            // `DISCARD ALL` has released the locks, and so may a procedure have.
            lock::keep(link, work.keys).await?;
            if let Some(index) = again::passed_over(link, layout.statement(piece)).await? {
                return Err(invalid(layout, piece, &index));
            }
            recorded(link, work, &progress(work, layout, (piece + 1, false), Before::Any)).await
        }
        Err(error) => {
            // A statement that leaves nothing behind when it fails need not be looked at by the next run.
            let refused = matches!(&error, EngineError::Sql(_) | EngineError::Cancelled);
            // One of that name is there; there is none to be dropped.
            let not_begun =
                matches!(&error, EngineError::Sql(sql) if matches!(sql.code.as_str(), "42P07" | "42704"));
            if refused
                && (not_begun || !layout.leaves_traces(piece) || is_undone(link, layout, piece, &error).await)
            {
                // The failure itself is what matters; without this row the next run asks instead of going on.
                link.shield(true);
                let _ = recorded(link, work, &progress(work, layout, (piece, false), Before::Any)).await;
                link.shield(false);
            }
            Err(error)
        }
    }
}

/// Whether a statement that was refused has left nothing behind, as far as that shows; whoever stops the run does not
/// wait until an index is dropped. The failure itself is what matters: where this cannot be found out, the next run does.
async fn is_undone(link: &mut Link<'_>, layout: &Layout<'_>, piece: usize, error: &EngineError) -> bool {
    let stopped = matches!(error, EngineError::Cancelled);
    link.shield(stopped);
    let undone = again::is_undone(link, layout.statement(piece), !stopped).await;
    link.shield(false);
    undone.unwrap_or(false)
}

/// The next run finds the statement started, and the index of its name to be built anew.
fn invalid(layout: &Layout<'_>, piece: usize, index: &str) -> EngineError {
    let message = format!(
        "the index {index} was there already, so nothing was built; but it is INVALID, as one that was never \
         finished is, and no query uses it"
    );
    let hint = format!(
        "run the command again: it drops the index and builds it anew; or do so yourself: DROP INDEX CONCURRENTLY {index};"
    );
    layout.complaint(piece, "55000", message, hint)
}

/// Whether the statement that an earlier run started is done; else it is to run again.
async fn took_effect(
    link: &mut Link<'_>,
    work: &Work<'_>,
    layout: &Layout<'_>,
    piece: usize,
) -> Result<bool, EngineError> {
    if piece >= layout.len() {
        return Err(unresolved(work.script, layout, piece));
    }
    link.leave_for_statements().await?;
    match again::look(link, layout.statement(piece)).await? {
        Found::Done => Ok(true),
        Found::Again => Ok(false),
        Found::Unknown => Err(unresolved(work.script, layout, piece)),
    }
}

fn unresolved(script: &Script, layout: &Layout<'_>, piece: usize) -> EngineError {
    let path = script.path.clone();
    if piece < layout.len() {
        let statement = shorten(layout.statement(piece));
        return EngineError::Unresolved { path, line: layout.line(piece), statement };
    }
    let statement = format!("(statement {} of a file that now has {})", piece + 1, layout.len());
    EngineError::Unresolved { path, line: script.first_line, statement }
}

/// Waits before a transaction that could not get a lock in time is tried again; passes on any other error, and this
/// one too after the last attempt.
pub(super) async fn wait_for_lock(
    link: &mut Link<'_>,
    error: EngineError,
    attempt: &mut u32,
    seen: Option<LockHolder>,
) -> Result<(), EngineError> {
    let mut error = match error {
        EngineError::Sql(error) if error.code == LOCK_NOT_AVAILABLE => error,
        other => return Err(other),
    };
    let was_seen = seen.is_some();
    let blocker = match seen {
        // Only a help: whoever it was may be gone, or hidden from this role.
        None => blocker(link, error.statement.as_deref().unwrap_or_default()).await.ok().flatten(),
        seen => seen,
    };
    *attempt += 1;
    if *attempt >= LOCK_ATTEMPTS {
        name_blocker(&mut error, blocker.as_ref(), was_seen);
        return Err(EngineError::Sql(error));
    }
    if let (1, Some(holder)) = (*attempt, &blocker) {
        link.session().observer.waiting(holder);
    }
    pause(link, backoff(*attempt, Duration::from_millis(100), Duration::from_secs(2))).await
}

fn name_blocker(error: &mut SqlError, blocker: Option<&LockHolder>, was_seen: bool) {
    let who = match blocker {
        None => "another session holds a lock that is needed".to_owned(),
        Some(holder) if was_seen => format!("a lock that is needed is held by {holder}"),
        Some(holder) => format!("another session holds a lock that is needed, most likely {holder}"),
    };
    error.hint = Some(format!(
        "{who}; tried {LOCK_ATTEMPTS} times. End it, or wait longer with `-- dbctl:lock-timeout 30s`"
    ));
}

/// The session that has been in a transaction longest and holds a lock on a table that the statement names.
async fn blocker(link: &mut Link<'_>, statement: &str) -> Result<Option<LockHolder>, EngineError> {
    let sql = format!(
        "select a.pid, {HOLDER_COLUMNS} from pg_catalog.pg_stat_activity a \
         join pg_catalog.pg_locks l on l.pid = a.pid and l.granted and l.locktype = 'relation' \
           and l.database = (select oid from pg_catalog.pg_database where datname = current_database()) \
         join pg_catalog.pg_class c on c.oid = l.relation join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
         where a.pid <> pg_backend_pid() and n.nspname not in ('pg_catalog', 'information_schema') \
           and strpos($1::text, c.relname) > 0 \
         order by length(c.relname) desc, a.xact_start nulls last limit 1"
    );
    link.query(&sql, &[(&statement, Type::TEXT)]).await?.first().map(holder).transpose()
}

/// Statements of dbctl's own in a transaction, as the role that logged in; one that writes, too, where only the file has
/// made the session read-only.
async fn recorded(link: &mut Link<'_>, work: &Work<'_>, statements: &[Statement]) -> Result<(), EngineError> {
    match recorded_in(link, "", statements).await {
        Err(failure) if failure.code() == READ_ONLY => {
            let sql = "select source = 'session' and reset_val = 'off' from pg_catalog.pg_settings \
                       where name = 'default_transaction_read_only'";
            if !get::<bool>(&link.one(sql, &[]).await?, 0)? {
                return Err(lost_in(work, failure));
            }
            recorded_in(link, "SET TRANSACTION READ WRITE; ", statements).await
        }
        result => result,
    }
    .map_err(|failure| lost_in(work, failure))
}

async fn recorded_in(link: &mut Link<'_>, modes: &str, statements: &[Statement]) -> Result<(), Failure> {
    if statements.is_empty() {
        return Ok(());
    }
    let result = async {
        link.begin(&format!("{modes}{AS_OURSELVES}")).await?;
        for statement in statements {
            link.execute(statement).await?;
        }
        link.commit().await
    }
    .await;
    if result.is_err() {
        link.rollback().await;
    }
    result
}

/// Puts the role back that logged in and lifts the file's time limit, to the end of the transaction only: a file that
/// goes on statement by statement may rely on its `SET`s.
pub(super) const AS_OURSELVES: &str = "SET LOCAL session_authorization TO DEFAULT; SET LOCAL role TO DEFAULT; \
                                       SET LOCAL statement_timeout TO 0";

/// The setting by which a transaction is told from the next one.
const MARK: &str = "dbctl.transaction";

/// A unit's statements and what records them, in one transaction, tried again where it could not get a lock in time.
/// Says how long the statements ran.
async fn transaction(
    link: &mut Link<'_>,
    work: &Work<'_>,
    layout: &Layout<'_>,
    unit: &Unit,
    record: &(dyn Fn(Duration, bool) -> Vec<Statement> + Sync),
) -> Result<Duration, EngineError> {
    // A whole file has found a clean session.
    let before = if layout.whole || link.is_pooled() { Vec::new() } else { prepared(link).await? };
    let mut attempt = 0;
    loop {
        // Whoever was in the way once is looked for while he is.
        let watch = if attempt > 0 { Watch::of(link).await.ok() } else { None };
        let once = transaction_once(link, work, layout, unit, record);
        let (result, seen) = match watch {
            Some(watch) => watch.during(once).await,
            None => (once.await, None),
        };
        match result {
            Ok(elapsed) => return Ok(elapsed),
            Err(error) => {
                link.rollback().await;
                wait_for_lock(link, error, &mut attempt, seen).await?;
                if !link.is_pooled() {
                    prepare_as(link, &before).await?;
                }
            }
        }
    }
}

/// The names and texts of the statements that files have prepared, oldest first.
async fn prepared(link: &mut Link<'_>) -> Result<Vec<(String, String)>, EngineError> {
    let sql = "select name, statement from pg_catalog.pg_prepared_statements where from_sql order by prepare_time, name";
    link.query(sql, &[]).await?.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect()
}

/// Puts prepared statements back as they were: a rollback leaves them as they are.
async fn prepare_as(link: &mut Link<'_>, before: &[(String, String)]) -> Result<(), EngineError> {
    let now = prepared(link).await?;
    for (name, _) in now.iter().filter(|statement| !before.contains(statement)) {
        link.batch(&format!("DEALLOCATE {}", quote_ident(name))).await?;
    }
    for (_, prepare) in before.iter().filter(|statement| !now.contains(statement)) {
        link.batch(prepare).await?;
    }
    Ok(())
}

/// What bounds the wait for locks in the next transaction: the directive's word; else what the manifest or the file itself
/// has set; else [`LOCK_TIMEOUT`]. Asked before the transaction, in which a file may want to be the first to ask.
async fn lock_timeout(
    link: &mut Link<'_>,
    work: &Work<'_>,
    layout: &Layout<'_>,
) -> Result<Option<String>, EngineError> {
    let ours = |timeout: Duration| Some(set_local("lock_timeout", &format!("{}ms", timeout.as_millis())));
    if let Some(timeout) = work.lock_timeout {
        return Ok(ours(timeout));
    }
    // A file outside a transaction sets nothing through a pooler.
    let is_set = if layout.whole || link.is_pooled() {
        work.bounded
    } else {
        let sql = "select source = 'session' from pg_catalog.pg_settings where name = 'lock_timeout'";
        get(&link.one(sql, &[]).await?, 0)?
    };
    Ok(if is_set { None } else { ours(LOCK_TIMEOUT) })
}

async fn transaction_once(
    link: &mut Link<'_>,
    work: &Work<'_>,
    layout: &Layout<'_>,
    unit: &Unit,
    record: &(dyn Fn(Duration, bool) -> Vec<Statement> + Sync),
) -> Result<Duration, EngineError> {
    let mark = format!("{}-{}", link.session().stamp.run, unit.pieces.start);
    let lock_timeout = lock_timeout(link, work, layout).await?;
    let limits =
        [lock_timeout, Some(set_local(MARK, &mark))].into_iter().flatten().collect::<Vec<_>>().join("; ");
    let started = Instant::now();
    link.begin(&limits).await.map_err(|failure| {
        let error = EngineError::from(failure);
        if layout.whole { error.between_files() } else { error }
    })?;
    let mut before = None;
    for piece in unit.pieces.clone() {
        if before.is_none() && !layout.precedes_queries(piece) {
            before = Some(records::look(link, work.records).await?);
        }
        send(link, layout, piece).await?;
        if layout.statement(piece).get(..5).is_some_and(|word| word.eq_ignore_ascii_case("reset")) {
            link.batch(&limits).await?;
        }
    }
    let elapsed = started.elapsed();
    // What the file has deferred fails here, where the failure can still be told from one of dbctl's own.
    link.settle_constraints(AS_OURSELVES).await.map_err(|f| at_end(layout, f))?;
    let read_only = still_ours(link, work, &mark).await?;
    let by_itself = match before {
        Some(before) => {
            let file = Suspect { path: &work.script.path, statements: Some((layout, unit.pieces.clone())) };
            records::unchanged(link, work.records, &before, &file, work.own).await?
        }
        None => false,
    };
    // What has changed nothing loses nothing where it is not recorded, and then runs again.
    if !read_only {
        for statement in record(elapsed, by_itself) {
            link.execute(&statement).await.map_err(not_recorded)?;
        }
    }
    link.commit().await.map_err(|failure| at_end(layout, failure))?;
    if read_only {
        recorded(link, work, &record(elapsed, by_itself)).await?;
    }
    Ok(elapsed)
}

/// The splitter has shown that no statement ends the transaction; this makes sure of it, and that no other run could
/// have worked beside this one. Says whether the transaction is read-only.
async fn still_ours(link: &mut Link<'_>, work: &Work<'_>, mark: &str) -> Result<bool, EngineError> {
    let sql = format!(
        "select {LOST}, pg_catalog.current_setting($2::text, true), \
         pg_catalog.current_setting('transaction_read_only')::boolean"
    );
    let row = link.one(&sql, &[(&work.keys, Type::INT8_ARRAY), (&MARK, Type::TEXT)]).await?;
    let path = work.script.path.display();
    let (code, message, hint) = if get::<Option<String>>(&row, 1)?.as_deref() != Some(mark) {
        let message = format!(
            "{path} ended the transaction it ran in: its statements are committed, but it is not recorded"
        );
        ("25P01", message, "take the transaction control out of the file")
    } else if !get::<Vec<i64>>(&row, 0)?.is_empty() {
        let message = format!("{path} gave up the lock that keeps other runs away; it has been undone");
        ("55000", message, "take `pg_advisory_unlock_all()` out of the file")
    } else {
        return get(&row, 2);
    };
    Err(SqlError::ours(code, message, hint).into())
}

fn lost_in(work: &Work<'_>, failure: Failure) -> EngineError {
    match failure {
        Failure::Lost { database, message } => EngineError::Lost {
            database,
            message: format!("{message} (while recording {})", work.script.path.display()),
            between: false,
        },
        other => not_recorded(other),
    }
}

/// A failure of dbctl's own rows.
pub(super) fn not_recorded(failure: Failure) -> EngineError {
    if failure.code() != "23505" {
        return failure.into();
    }
    failure.with_hint(|| {
        "another tool, or somebody by hand, has written that row meanwhile: see `dbctl status`, and run the command \
         again. If it is not shown as applied there, rows with higher ids were written by hand, and the table's \
         sequence has to be set past them: setval(pg_get_serial_sequence(…), …)"
            .to_owned()
    })
}

async fn send(link: &mut Link<'_>, layout: &Layout<'_>, piece: usize) -> Result<(), EngineError> {
    let outcome = match layout.act(piece) {
        Act::Nothing => Ok(()),
        Act::Send(sql) => link.batch(sql).await,
        Act::Modes(sql) => link.batch(&sql).await,
        Act::Copy(sql, data) => {
            if let Some(check) = copy_check(sql) {
                link.batch(&check).await.map_err(|failure| at_start(layout, piece, failure))?;
            }
            let chunks = data.as_bytes().chunks(CHUNK_BYTES);
            let chunks = chunks.map(|chunk| Ok::<_, std::convert::Infallible>(Bytes::copy_from_slice(chunk)));
            match link.copy(sql, chunks).await {
                Ok(outcome) => outcome,
                Err(never) => match never {},
            }
        }
    };
    outcome.map_err(|failure| at(layout, piece, failure))
}

fn at(layout: &Layout<'_>, piece: usize, failure: Failure) -> EngineError {
    match failure {
        Failure::Db { error, .. } => layout.error(piece, &error),
        other => other.into(),
    }
}

fn at_start(layout: &Layout<'_>, piece: usize, failure: Failure) -> EngineError {
    match failure {
        Failure::Db { error, .. } => layout.error_at_start(piece, &error),
        other => other.into(),
    }
}

fn at_end(layout: &Layout<'_>, failure: Failure) -> EngineError {
    match failure {
        Failure::Db { error, sql } => layout.error_at_end(&error, &sql),
        other => other.into(),
    }
}
