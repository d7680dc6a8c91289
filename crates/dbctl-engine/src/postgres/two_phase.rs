//! Two-phase commit: transactions that outlive their session, and where it is recorded what becomes of them.
//!
//! 1. The session that is going to decide takes the run's lock, so that nobody takes the run for dead.
//! 2. Every database prepares its transaction. Each keeps its locks.
//! 3. The decision to commit is committed in one database. Before that everything is rolled back, after it committed.
//! 4. Every database commits what it has prepared.
//!
//! Whoever finds a prepared transaction waits until the run's lock is free, and then does what is recorded. Where nothing
//! is, it first records that it is rolled back: so all that come by do the same.

use std::time::Duration;

use dbctl_migration::ledger;
use tokio::time::Instant;
use tokio_postgres::types::Type;

use super::{
    failure::{Failure, quote_literal, sql_error},
    lock::{self, DATABASE_KEY, LOST, backoff, pause, run_key},
    reader::table_exists,
    script::AS_OURSELVES,
    session::{Link, get},
};
use crate::{Decision, EngineError, Gid, Part, Prepared, TwoPhase};

/// The database's OID: another that is made under its name has another one.
const INCARNATION: &str =
    "(select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())";

/// What the server keeps and has of prepared transactions.
pub(super) async fn look(link: &mut Link<'_>) -> Result<TwoPhase, EngineError> {
    let sql = format!(
        "select pg_catalog.current_setting('max_prepared_transactions')::int8, {INCARNATION}, \
         pg_catalog.current_database()::text, gid, owner::text, database::text, \
         to_char(prepared at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') \
         from (select) one left join pg_catalog.pg_prepared_xacts on true order by prepared, gid"
    );
    let mut found = TwoPhase::default();
    for row in link.query(&sql, &[]).await? {
        found.most = usize::try_from(get::<i64>(&row, 0)?).unwrap_or_default();
        let Some(gid) = get::<Option<String>>(&row, 3)? else { continue };
        found.taken += 1;
        let Some(gid) = Gid::parse(&gid) else { continue };
        let (here, database): (String, String) = (get(&row, 2)?, get(&row, 5)?);
        if database == here {
            found.open.push(Prepared { gid, owner: get(&row, 4)?, since: get(&row, 6)? });
        } else if gid.decided_in.database == here && gid.incarnation == get::<u32>(&row, 1)? {
            found.decided_here.push((database, gid));
        }
    }
    Ok(found)
}

/// Fails where transactions are prepared: one of them has the lock, and nobody but dbctl ends it.
pub(super) async fn refuse(link: &mut Link<'_>) -> Result<(), EngineError> {
    match look(link).await?.open {
        open if open.is_empty() => Ok(()),
        prepared => Err(EngineError::Prepared { database: link.database().to_owned(), prepared }),
    }
}

/// Makes the table of decisions where it is missing, before anything is prepared: what a prepared transaction has made
/// nobody else can make.
pub(super) async fn make_table(link: &mut Link<'_>) -> Result<(), EngineError> {
    if table_exists(link, &ledger::decisions_table()).await? {
        return Ok(());
    }
    // Others may be about to make its schema.
    lock::acquire(link, &[DATABASE_KEY]).await?;
    let made = async {
        for sql in ledger::create_decisions() {
            link.batch(&sql).await?;
        }
        link.batch_always("COMMIT").await
    }
    .await;
    if made.is_err() {
        // The first error is the one to tell.
        let _ = link.batch_always("ROLLBACK").await;
    }
    Ok(made?)
}

/// Takes the run's lock, of the session and within the open transaction.
pub(super) async fn lead(link: &mut Link<'_>) -> Result<u32, EngineError> {
    let key = run_key(&link.session().stamp.run);
    let sql = format!("select pg_catalog.pg_try_advisory_lock($1::bigint), {INCARNATION}");
    let row = link.one(&sql, &[(&key, Type::INT8)]).await?;
    match get(&row, 0)? {
        true => get(&row, 1),
        false => Err(EngineError::Locked { database: link.database().to_owned(), holder: None }),
    }
}

/// Ends the session's transaction by preparing it; where that fails the server has rolled it back.
pub(super) async fn prepare(link: &mut Link<'_>, gid: &Gid) -> Result<(), EngineError> {
    let sql = format!("PREPARE TRANSACTION {}", quote_literal(&gid.to_string()));
    link.batch_always(&sql).await.map_err(|failure| match failure {
        Failure::Db { error, sql } => {
            let mut told = sql_error(&error, &sql);
            told.hint = Some(
                match error.code().code() {
                    "0A000" => {
                        "such a transaction cannot be prepared: take that out of the files, bring those in first without \
                         --atomic, or use --atomic=one-phase"
                    }
                    "53200" | "53400" | "55000" => {
                        "raise max_prepared_transactions (`ALTER SYSTEM SET max_prepared_transactions = 64`), and restart \
                         the server"
                    }
                    _ => return EngineError::Sql(Box::new(told)),
                }
                .to_owned(),
            );
            EngineError::Sql(Box::new(told))
        }
        other => other.into(),
    })
}

/// Records that all that is prepared is to be committed.
pub(super) async fn decide(link: &mut Link<'_>, parts: &[Part]) -> Result<(), EngineError> {
    let run = link.session().stamp.run.clone();
    let named: Vec<[String; 3]> =
        parts.iter().map(|part| [part.key.clone(), part.database.clone(), part.gid.to_string()]).collect();
    let decided = async {
        link.begin(AS_OURSELVES).await?;
        let keys = [run_key(&run)];
        let row = link.one(&format!("select {LOST}"), &[(&&keys[..], Type::INT8_ARRAY)]).await?;
        if !get::<Vec<i64>>(&row, 0)?.is_empty() {
            let message = "the run's lock was lost before it was decided to commit".to_owned();
            return Err(EngineError::Unsupported(message));
        }
        link.execute(&ledger::record_decision(&run, Decision::Commit.as_str(), &named)).await?;
        // Whoever found the run dead may have decided otherwise.
        match recorded(link, &run).await? {
            Some(Decision::Commit) => Ok(link.commit().await?),
            Some(Decision::Rollback) | None => {
                Err(EngineError::Unsupported("another run has decided to roll back meanwhile".to_owned()))
            }
        }
    }
    .await;
    if decided.is_err() {
        link.rollback().await;
    }
    decided
}

async fn recorded(link: &mut Link<'_>, run: &str) -> Result<Option<Decision>, EngineError> {
    let statement = ledger::read_decision(run);
    let rows = link.query(&statement.sql, &[(&run, Type::TEXT)]).await?;
    let decision = rows.first().map(|row| get::<String>(row, 0)).transpose()?;
    Ok(decision.map(|text| if text == "commit" { Decision::Commit } else { Decision::Rollback }))
}

/// What becomes of a run's transactions, once it is over. That nothing is recorded says something only where it would be.
pub(super) async fn decision(
    link: &mut Link<'_>,
    gid: &Gid,
    asked: Option<Decision>,
) -> Result<Decision, EngineError> {
    let row = link.one(&format!("select {INCARNATION}, pg_catalog.pg_is_in_recovery()"), &[]).await?;
    let no = |reason| EngineError::NoDecisions { database: gid.decided_in.database.clone(), reason };
    if get::<u32>(&row, 0)? != gid.incarnation {
        return Err(no("is not the database it was: it was dropped, and made anew"));
    }
    if get(&row, 1)? {
        return Err(no("is a standby, which may lack what is recorded"));
    }
    let run = gid.run.as_str();
    lock::acquire(link, &[run_key(run)]).await?;
    let wanted = asked.unwrap_or(Decision::Rollback);
    if !table_exists(link, &ledger::decisions_table()).await? {
        return Err(no("has lost its table `dbctl.decisions`"));
    }
    if let Some(decision) = recorded(link, run).await? {
        return Ok(decision);
    }
    match link.execute(&ledger::record_decision(run, wanted.as_str(), &[])).await {
        Ok(()) => {}
        // Who may not write here cannot tell others, but what is not recorded is rolled back by them, too.
        Err(failure) if asked.is_none() && failure.code() == "42501" => {}
        Err(failure) => return Err(failure.into()),
    }
    Ok(recorded(link, run).await?.unwrap_or(wanted))
}

/// Does to a prepared transaction what was decided.
pub(super) async fn conclude(link: &mut Link<'_>, gid: &Gid, decision: Decision) -> Result<(), Failure> {
    let verb = match decision {
        Decision::Commit => "COMMIT",
        Decision::Rollback => "ROLLBACK",
    };
    link.batch_always(&format!("{verb} PREPARED {}", quote_literal(&gid.to_string()))).await
}

/// [`conclude`], where the session that began to do so may still be at it, or another run may.
pub(super) async fn conclude_patiently(
    link: &mut Link<'_>,
    gid: &Gid,
    decision: Decision,
) -> Result<(), EngineError> {
    let until = Instant::now().checked_add(link.session().wait);
    for attempt in 0.. {
        let failure = match conclude(link, gid, decision).await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        let over = until.is_some_and(|until| Instant::now() >= until);
        match failure.code() {
            // Somebody else has done it.
            "42704" => return Ok(()),
            // Another session is about to.
            "55000" if !over => {
                pause(link, backoff(attempt, Duration::from_millis(50), Duration::from_millis(500))).await?;
            }
            "42501" => {
                let owner =
                    look(link).await?.open.into_iter().find(|one| one.gid == *gid).map(|one| one.owner);
                let mut error = EngineError::from(failure);
                if let (EngineError::Sql(told), Some(owner)) = (&mut error, owner) {
                    told.hint =
                        Some(format!("only who has prepared it may finish it, {owner}, or a superuser"));
                }
                return Err(error);
            }
            _ => return Err(failure.into()),
        }
    }
    Ok(())
}
