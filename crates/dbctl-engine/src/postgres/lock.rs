//! dbctl's advisory lock and those of the tools it shares histories with.
//!
//! Locks are taken by polling the *try* form: a blocked `pg_advisory_lock` holds a snapshot, which deadlocks with a
//! `CREATE INDEX CONCURRENTLY` of the lock's holder.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_postgres::{Row, types::Type};

use super::{
    atomic, pooler,
    script::AS_OURSELVES,
    session::{Link, get},
    two_phase,
};
use crate::{EngineError, LockHolder};

/// dbctl's own lock of a database, in the bigint form: the bytes `dbctl`.
pub(super) const DATABASE_KEY: i64 = 0x64_6263_746c;

/// The lock that serialises creating and dropping one database, taken in the maintenance database: the bytes `dbct`
/// and 32 bits of the name's FNV-1a hash. Other databases may be made at the same time.
pub(super) fn creation_key(database: &str) -> i64 {
    let hash = database
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (0x6462_6374_i64 << 32) | i64::from(hash)
}

/// The lock of a run whose databases are all committed or none, held where that is decided: the bytes `db` and 48 bits of
/// the run's id, hashed as above.
pub(super) fn run_key(run: &str) -> i64 {
    let hash = run.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (0x6462_i64 << 48) | i64::try_from(hash >> 16).unwrap_or_default()
}

/// The columns that make a [`LockHolder`], of a `pg_stat_activity a` that may be missing or hidden.
pub(super) const HOLDER_COLUMNS: &str = "coalesce(a.application_name, ''), \
     case when a.client_addr is not null then host(a.client_addr) end, \
     to_char(a.backend_start at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";

/// A row of a pid and [`HOLDER_COLUMNS`].
pub(super) fn holder(row: &Row) -> Result<LockHolder, EngineError> {
    let (pid, application, client, since) = (get(row, 0)?, get(row, 1)?, get(row, 2)?, get(row, 3)?);
    Ok(LockHolder { pid, application, client, since, query_since: None, is_process: false })
}

/// Takes all locks or none, in this order, waiting for `session.wait`, wherever they hold: in the session, or where that
/// is shared with others, in a transaction.
pub(super) async fn acquire(link: &mut Link<'_>, keys: &[i64]) -> Result<(), EngineError> {
    if link.is_pooled() {
        return pooler::acquire(link, keys).await;
    }
    // All that is one transaction has one session.
    if link.pool.is_none() {
        pooler::refuse(link).await?;
    }
    poll(link, keys).await
}

/// Tries until all locks are held. While it waits it holds none of them, so that it never keeps others from a lock that it
/// cannot use yet.
pub(super) async fn poll(link: &mut Link<'_>, keys: &[i64]) -> Result<(), EngineError> {
    // A wait too long for the clock is one for ever.
    let until = Instant::now().checked_add(link.session().wait);
    let mut told = BTreeSet::new();
    let mut last_seen = None;
    for attempt in 0.. {
        let busy = match link.nested {
            true => atomic::try_all(link, keys).await?,
            false => try_all(link, keys).await?,
        };
        let Some(busy) = busy else { return Ok(()) };
        match look_up(link, busy).await? {
            Some(holder) => {
                if told.insert(holder.pid) {
                    link.session().observer.waiting(&holder);
                }
                last_seen = Some(holder);
            }
            // No session has it: a prepared transaction may.
            None if keys.contains(&DATABASE_KEY) => two_phase::refuse(link).await?,
            None => {}
        }
        let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            break;
        }
        pause(link, backoff(attempt, Duration::from_millis(50), Duration::from_millis(500)).min(left))
            .await?;
    }
    Err(EngineError::Locked { database: link.database().to_owned(), holder: last_seen })
}

/// The part of a query that says which of the keys `$1` this session does not hold.
pub(super) const LOST: &str = "array(select key from pg_catalog.unnest($1::bigint[]) key where not exists (\
     select from pg_catalog.pg_locks l where l.pid = pg_catalog.pg_backend_pid() and l.locktype = 'advisory' \
     and l.granted and l.objsubid = 1 \
     and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()) \
     and l.classid::bigint = (key >> 32) & 4294967295 and l.objid::bigint = key & 4294967295))";

/// Takes those locks again that a statement has let go of; a transaction's cannot be let go of by another one.
pub(super) async fn keep(link: &mut Link<'_>, keys: &[i64]) -> Result<(), EngineError> {
    if link.is_pooled() {
        return Ok(link.expect_held().await?);
    }
    link.batch(&format!("BEGIN; {AS_OURSELVES}")).await?;
    let row = link.one(&format!("select {LOST}"), &[(&keys, Type::INT8_ARRAY)]).await;
    link.rollback().await;
    let lost: Vec<i64> = get(&row?, 0)?;
    if lost.is_empty() { Ok(()) } else { acquire(link, &lost).await }
}

/// What gives back the advisory locks of the session but these, however often each was taken. The locks of an open
/// transaction are not the session's; that they cannot be given back is only a warning, which is not wanted.
pub(super) fn leave_only(keys: &[i64]) -> String {
    let ours: Vec<String> = keys.iter().map(|key| format!("{key}::bigint")).collect();
    format!(
        "SET client_min_messages = error; \
         with recursive held as (select l.objsubid = 1 as is_one, l.mode = 'ExclusiveLock' as is_whole, \
             (l.classid::bigint << 32) | l.objid::bigint as key, l.classid::oid::integer as a, l.objid::oid::integer as b \
           from pg_catalog.pg_locks l where l.pid = pg_catalog.pg_backend_pid() and l.locktype = 'advisory' and l.granted \
             and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())), \
         theirs as (select * from held \
           where not (is_one and is_whole and key = any (array[{}]::bigint[]))), \
         freed as (select t.*, {UNLOCK} as again from theirs t \
           union all select t.is_one, t.is_whole, t.key, t.a, t.b, {UNLOCK} from freed t where t.again) \
         select count(*) from freed",
        ours.join(", ")
    )
}

/// Gives back one of a session's advisory locks once, and says whether it was held.
const UNLOCK: &str = "case when t.is_one and t.is_whole then pg_catalog.pg_advisory_unlock(t.key) \
     when t.is_one then pg_catalog.pg_advisory_unlock_shared(t.key) \
     when t.is_whole then pg_catalog.pg_advisory_unlock(t.a, t.b) \
     else pg_catalog.pg_advisory_unlock_shared(t.a, t.b) end";

/// Gives the locks back at once, without waiting for the connection's end.
pub(super) async fn release(link: &mut Link<'_>) {
    if link.interrupted() {
        link.rollback().await;
    }
    if link.is_pooled() {
        return pooler::release(link).await;
    }
    // Where this fails the connection is gone, and the locks with it.
    let _ = link.batch_always("select pg_catalog.pg_advisory_unlock_all()").await;
}

/// The first key that is taken; then none is held.
async fn try_all(link: &mut Link<'_>, keys: &[i64]) -> Result<Option<i64>, EngineError> {
    for (n, key) in keys.iter().enumerate() {
        let row =
            link.one("select pg_catalog.pg_try_advisory_lock($1::bigint)", &[(key, Type::INT8)]).await?;
        if !get::<bool>(&row, 0)? {
            for held in &keys[..n] {
                link.one("select pg_catalog.pg_advisory_unlock($1::bigint)", &[(held, Type::INT8)]).await?;
            }
            return Ok(Some(*key));
        }
    }
    Ok(None)
}

async fn look_up(link: &mut Link<'_>, key: i64) -> Result<Option<LockHolder>, EngineError> {
    let sql = format!(
        "select l.pid, {HOLDER_COLUMNS} from pg_catalog.pg_locks l \
         left join pg_catalog.pg_stat_activity a on a.pid = l.pid \
         where l.locktype = 'advisory' and l.granted and l.objsubid = 1 \
         and l.database = (select oid from pg_catalog.pg_database where datname = current_database()) \
         and l.classid::bigint = ($1::bigint >> 32) & 4294967295 and l.objid::bigint = $1::bigint & 4294967295 \
         and l.pid <> pg_backend_pid() limit 1"
    );
    link.query(&sql, &[(&key, Type::INT8)]).await?.first().map(holder).transpose()
}

/// Sleeps unless the run is stopped.
pub(super) async fn pause(link: &mut Link<'_>, time: Duration) -> Result<(), EngineError> {
    tokio::select! {
        () = link.session().cancel.cancelled() => Err(EngineError::Cancelled),
        () = sleep(time) => Ok(()),
    }
}

/// Doubling from `first` to `most`, each between half of it and all of it, so that two who wait drift apart.
pub(super) fn backoff(attempt: u32, first: Duration, most: Duration) -> Duration {
    let full = first.saturating_mul(1 << attempt.min(16)).min(most);
    let jitter = RandomState::new().hash_one(attempt) % 1024;
    full / 2 + (full / 2).mul_f64(jitter as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_bytes_they_claim() {
        assert_eq!(&DATABASE_KEY.to_be_bytes()[3..], b"dbctl");
        assert_eq!(&creation_key("a").to_be_bytes()[..4], b"dbct");
        assert_ne!(creation_key("a"), creation_key("b"));
    }

    #[test]
    fn waiting_grows_within_bounds() {
        for attempt in 0..40 {
            let time = backoff(attempt, Duration::from_millis(50), Duration::from_millis(500));
            assert!(
                time >= Duration::from_millis(25) && time <= Duration::from_millis(500),
                "{attempt}: {time:?}"
            );
        }
    }
}
