//! Who is in the way of a statement that waits for a lock: only another session can ask while it waits.

use std::{pin::pin, time::Duration};

use tokio::time::sleep;
use tokio_postgres::types::Type;

use super::{
    lock::{HOLDER_COLUMNS, holder},
    session::{Link, get},
};
use crate::{EngineError, LockHolder};

/// How long between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// A second session, which looks at the first.
pub(super) struct Watch<'s> {
    link: Link<'s>,
    /// The session that is looked at.
    pid: i32,
}

impl<'s> Watch<'s> {
    /// Of the session that is about to wait. It is connected by then: there may be little time to look.
    pub(super) async fn of(waiting: &mut Link<'s>) -> Result<Self, EngineError> {
        let pid = get(&waiting.one("select pg_catalog.pg_backend_pid()", &[]).await?, 0)?;
        let link = Link::open(&waiting.settings, waiting.database(), waiting.session()).await?;
        Ok(Self { link, pid })
    }

    /// Awaits `work`, and says who was in its way for the first time that somebody was.
    pub(super) async fn during<T>(mut self, work: impl Future<Output = T>) -> (T, Option<LockHolder>) {
        let mut seen = None;
        let result = {
            let mut work = pin!(work);
            tokio::select! { biased;
                result = &mut work => result,
                found = self.look() => {
                    seen = found.ok();
                    work.await
                }
            }
        };
        self.link.close().await;
        (result, seen)
    }

    async fn look(&mut self) -> Result<LockHolder, EngineError> {
        loop {
            match blocker(&mut self.link, self.pid).await? {
                None => sleep(PAUSE).await,
                Some(found) => return Ok(found),
            }
        }
    }
}

/// The first that a session waits for; a prepared transaction has the pid 0.
async fn blocker(link: &mut Link<'_>, pid: i32) -> Result<Option<LockHolder>, EngineError> {
    let sql = format!(
        "select b.pid, {HOLDER_COLUMNS}, \
         to_char(a.query_start at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') \
         from pg_catalog.unnest(pg_catalog.pg_blocking_pids($1::int4)) b(pid) \
         left join pg_catalog.pg_stat_activity a on a.pid = b.pid limit 1"
    );
    let rows = link.query(&sql, &[(&pid, Type::INT4)]).await?;
    let seen = |row| {
        let query_since: Option<String> = get(row, 4)?;
        Ok(LockHolder { query_since: query_since.map(String::into_boxed_str), ..holder(row)? })
    };
    rows.first().map(seen).transpose()
}
