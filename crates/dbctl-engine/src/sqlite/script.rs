//! Running scripts: as a whole in one transaction with its history rows, or unit by unit with its progress.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use dbctl_migration::{Migration, Script, Statement, TableName, ledger::Before};
use rusqlite::{Batch, Connection, fallible_iterator::FallibleIterator as _};

use super::{
    failure::in_file,
    layout::{layout, sets_session},
    link::Link,
    records::{self, Guard},
};
use crate::{
    EngineError, Mark, Resume, SourceRef, SqlError,
    layout::{Control, Layout, Unit},
    note::Ran,
    records::Suspect,
    shown::{locate, shown_statement},
};

/// How long a transaction waits for another connection's where no directive says otherwise.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// The statements that record how far a script got.
pub(super) type Progress<'a> = dyn Fn(&Resume, Before) -> Vec<Statement> + Sync + 'a;

/// A script and what is written with it.
pub(super) struct Work<'a> {
    pub(super) script: &'a Script,
    /// Instead of [`LOCK_TIMEOUT`].
    pub(super) lock_timeout: Option<Duration>,
    /// Whether foreign keys are off while it runs, and have to hold once it has.
    pub(super) check_references: bool,
    /// The statements that record it once it has run; they commit with it.
    pub(super) record: &'a (dyn Fn(&Ran) -> Vec<Statement> + Sync),
    /// The migration that it is, where its tool has a table: a file may write that row itself.
    pub(super) own: Option<(&'a SourceRef<'a>, &'a Migration)>,
    /// The statements that record how far it got where it goes step by step.
    pub(super) progress: Option<&'a Progress<'a>>,
    /// Where an earlier run stopped.
    pub(super) resume: Option<Resume>,
    /// The tables whose rows the script must leave alone.
    pub(super) records: &'a [TableName],
}

/// Runs a script on a new connection and records it; says how long its SQL ran.
pub(super) async fn run(link: &mut Link, work: &Work<'_>) -> Result<Duration, EngineError> {
    let layout = layout(work.script, work.resume.is_some())?;
    // A thread of its own runs it, which cannot borrow.
    let script = Arc::new(work.script.clone());
    let file = File { work, layout: &layout, script };
    let result = match layout.whole {
        true => {
            let record =
                |elapsed, by_itself| (work.record)(&Ran { elapsed, before: Before::Absent, by_itself });
            file.transaction(link, &layout.units[0], work.own, &record).await
        }
        false => file.stepwise(link).await,
    };
    if result.is_err() {
        link.rollback().await;
    }
    result
}

/// Sees that a script can go on where it stopped.
pub(super) fn resumable(script: &Script, resume: &Resume) -> Result<(), EngineError> {
    same_so_far(&layout(script, true)?, resume)
}

fn same_so_far(layout: &Layout<'_>, resume: &Resume) -> Result<(), EngineError> {
    if layout.begins_with(resume) {
        return Ok(());
    }
    let last = resume.done.min(layout.len()).checked_sub(1);
    let line = last.map_or(layout.script.first_line, |last| layout.line(last));
    let path = layout.script.path.clone();
    Err(EngineError::Rewritten { path, line, done: resume.done, started: false })
}

struct File<'a> {
    work: &'a Work<'a>,
    layout: &'a Layout<'a>,
    script: Arc<Script>,
}

impl File<'_> {
    /// Unit by unit, each committed with its progress; the last one with what records the whole. What runs outside a
    /// transaction may run twice, so nobody has to know whether it took effect.
    async fn stepwise(&self, link: &mut Link) -> Result<Duration, EngineError> {
        let (work, layout) = (self.work, self.layout);
        let resume = work.resume.clone().unwrap_or(Resume { done: 0, started: false, digest: None });
        same_so_far(layout, &resume)?;
        let mut before = if work.resume.is_some() { Before::Any } else { Before::Absent };
        let started = Instant::now();
        let again = (0..resume.done.min(layout.len())).filter(|piece| sets_session(layout.statement(*piece)));
        self.send(link, again.collect(), &Guard::new(&[]), Duration::ZERO).await?;
        for unit in layout.units.iter().filter(|unit| unit.pieces.end > resume.done) {
            let end = unit.pieces.end;
            let rest = Unit { pieces: unit.pieces.start.max(resume.done)..end, alone: unit.alone };
            let progress = |_, _| {
                let reached = Resume { done: end, started: false, digest: Some(layout.digest(end, false)) };
                work.progress.iter().flat_map(|progress| progress(&reached, before)).collect()
            };
            if rest.alone {
                self.send(link, rest.pieces.collect(), &Guard::new(&[]), self.lock_timeout()).await?;
                link.begin(self.lock_timeout()).await?;
                self.commit(link, progress(Duration::ZERO, false)).await?;
            } else {
                self.transaction(link, &rest, None, &progress).await?;
            }
            before = Before::Any;
        }
        let elapsed = started.elapsed();
        link.begin(self.lock_timeout()).await?;
        let by_itself = records::by_itself(link, work.own).await?;
        self.commit(link, (work.record)(&Ran { elapsed, before, by_itself })).await?;
        Ok(elapsed)
    }

    /// A unit's statements and what records them, in one transaction. Says how long the statements ran.
    async fn transaction(
        &self,
        link: &mut Link,
        unit: &Unit,
        own: Option<(&SourceRef<'_>, &Migration)>,
        record: &(dyn Fn(Duration, bool) -> Vec<Statement> + Sync),
    ) -> Result<Duration, EngineError> {
        let mut broken = Vec::new();
        loop {
            link.begin(self.lock_timeout()).await?;
            let guard = Guard::new(self.work.records);
            let started = Instant::now();
            self.send(link, unit.pieces.clone().collect(), &guard, Duration::ZERO).await?;
            let elapsed = started.elapsed();
            let file = Suspect {
                path: &self.work.script.path,
                statements: Some((self.layout, unit.pieces.clone())),
            };
            let by_itself = guard.unchanged(link, &file, own).await?;
            if self.work.check_references {
                let dangling = references(link).await?;
                if dangling.iter().any(|reference| !broken.contains(reference)) {
                    // Those that were there before are not the file's doing.
                    link.rollback().await;
                    let known = references(link).await?;
                    if known == broken || dangling.iter().any(|reference| !known.contains(reference)) {
                        return Err(self.dangling(unit, &dangling, &known));
                    }
                    broken = known;
                    continue;
                }
            }
            self.commit(link, record(elapsed, by_itself)).await?;
            return Ok(elapsed);
        }
    }

    /// Runs statements in order; the file's own `BEGIN` and `COMMIT` are dbctl's to do. What is no part of a transaction may
    /// find another connection in the way, and tries again for as long as `wait`.
    async fn send(
        &self,
        link: &mut Link,
        pieces: Vec<usize>,
        guard: &Guard,
        wait: Duration,
    ) -> Result<(), EngineError> {
        let (layout, script) = (self.layout, Arc::clone(&self.script));
        let ours =
            pieces.into_iter().filter(|piece| layout.control(layout.statement(*piece)) == Control::None);
        let ranges: Vec<Range<usize>> = ours.map(|piece| layout.pieces[piece].range.clone()).collect();
        if ranges.is_empty() {
            return Ok(());
        }
        // One call for each where each has a time of its own.
        let calls = if link.limit.is_none() {
            vec![ranges]
        } else {
            ranges.into_iter().map(|one| vec![one]).collect()
        };
        for ranges in calls {
            let (script, guard) = (Arc::clone(&script), guard.clone());
            link.repeatedly(wait, move |connection| {
                guard.listen(connection)?;
                ranges.iter().try_for_each(|range| statement(connection, &script, range.clone(), &guard))
            })
            .await?;
        }
        Ok(())
    }

    async fn commit(&self, link: &mut Link, record: Vec<Statement>) -> Result<(), EngineError> {
        link.execute(record).await?;
        link.commit(self.lock_timeout()).await.map_err(|error| match error {
            EngineError::Sql(mut error) => {
                let start = self.layout.pieces.last().map_or(0, |piece| piece.range.start);
                error.location = Some(locate(self.work.script, start, Mark::Statement));
                EngineError::Sql(error)
            }
            other => other,
        })
    }

    fn lock_timeout(&self) -> Duration {
        self.work.lock_timeout.unwrap_or(LOCK_TIMEOUT)
    }

    fn dangling(&self, unit: &Unit, after: &[Dangling], before: &[Dangling]) -> EngineError {
        let new: Vec<_> = after.iter().filter(|reference| !before.contains(reference)).collect();
        let last = unit.pieces.end.saturating_sub(1);
        let start = self.layout.pieces.get(last).map_or(0, |piece| piece.range.start);
        let of = |Dangling { table, row, parent }: &Dangling| {
            let row = row.map_or_else(|| "a row".to_owned(), |row| format!("row {row}"));
            format!("{row} of {table} refers to a row of {parent} that is not there")
        };
        let message = match new.first() {
            Some(first) => format!("once the file has run, {}", of(first)),
            None => "foreign keys do not hold once the file has run".to_owned(),
        };
        let hint = "foreign keys are off while a migration runs, so that tables can be rebuilt, and have to hold at its end; \
                    it has been rolled back";
        SqlError {
            detail: (new.len() > 1).then(|| format!("there are {} such rows", new.len())),
            location: Some(locate(self.work.script, start, Mark::Statement)),
            ..SqlError::ours("SQLITE_CONSTRAINT_FOREIGNKEY", message, hint)
        }
        .into()
    }
}

/// Runs one statement of a file to its end.
fn statement(
    connection: &Connection,
    script: &Script,
    range: Range<usize>,
    guard: &Guard,
) -> Result<(), EngineError> {
    let text = &script.sql[range.clone()];
    let failed = |error: &rusqlite::Error| in_file(error, script, range.start, text);
    // Whatever SQLite takes for its end, nothing is left out.
    let mut batch = Batch::new(connection, text);
    while let Some(mut statement) = batch.next().map_err(|error| failed(&error))? {
        if statement.parameter_count() > 0 {
            return Err(unbound(script, range.start, text));
        }
        guard.prepared(connection)?;
        let mut rows = statement.raw_query();
        while rows.next().map_err(|error| failed(&error))?.is_some() {}
    }
    Ok(())
}

/// SQLite takes NULL for a parameter that nobody has bound.
fn unbound(script: &Script, start: usize, text: &str) -> EngineError {
    let message = "the statement has a parameter, and nobody gives it a value";
    let hint = "write the value instead of `?`, `:name`, `@name` or `$name`";
    SqlError {
        statement: Some(shown_statement(text)),
        location: Some(locate(script, start, Mark::Statement)),
        ..SqlError::ours("SQLITE_RANGE", message, hint)
    }
    .into()
}

/// A row whose foreign key refers to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Dangling {
    table: String,
    /// `None` in a table without rowids.
    row: Option<i64>,
    parent: String,
}

async fn references(link: &mut Link) -> Result<Vec<Dangling>, EngineError> {
    let read =
        |row: &rusqlite::Row<'_>| Ok(Dangling { table: row.get(0)?, row: row.get(1)?, parent: row.get(2)? });
    match link.rows("PRAGMA foreign_key_check", Vec::new(), read).await {
        // The table that a key refers to has no such key: SQLite says so of no row.
        Err(EngineError::Sql(mut error)) if error.message.contains("foreign key mismatch") => {
            error.hint = Some(
                "the columns that a foreign key refers to need a PRIMARY KEY or a UNIQUE index".to_owned(),
            );
            Err(EngineError::Sql(error))
        }
        result => result,
    }
}

/// Runs SQL that was cut before, such as for a seed of another engine's tests.
#[cfg(test)]
pub(super) fn run_text(connection: &Connection, sql: &str) -> Result<(), EngineError> {
    let script = Script {
        path: std::path::PathBuf::from("a.sql"),
        first_line: 1,
        sql: sql.to_owned(),
        transaction: dbctl_migration::Transaction::One,
    };
    let layout = layout(&script, false)?;
    let guard = Guard::new(&[]);
    (0..layout.len())
        .try_for_each(|piece| statement(connection, &script, layout.pieces[piece].range.clone(), &guard))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(sql: &str) -> Box<SqlError> {
        let connection = Connection::open_in_memory().unwrap();
        match run_text(&connection, sql) {
            Err(EngineError::Sql(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn errors_have_their_place() {
        for (sql, code, message, place) in [
            (
                "create table a (b);\nselect ä, c from a;",
                "SQLITE_ERROR",
                "no such column: ä",
                (2, 8, Mark::Error),
            ),
            ("select 1;\n selec 2;", "SQLITE_ERROR", "near \"selec\": syntax error", (2, 2, Mark::Error)),
            (
                "create table a (b unique);\ninsert into a\n values (1), (1);",
                "SQLITE_CONSTRAINT_UNIQUE",
                "UNIQUE constraint failed: a.b",
                (2, 1, Mark::Statement),
            ),
            (
                "select 1;\nselect ?1;",
                "SQLITE_RANGE",
                "the statement has a parameter, and nobody gives it a value",
                (2, 1, Mark::Statement),
            ),
        ] {
            let error = failure(sql);
            let at = error.location.unwrap();
            assert_eq!((&*error.code, &*error.message), (code, message), "{sql}");
            assert_eq!((at.line, at.column, at.mark), place, "{sql}");
        }
    }

    #[test]
    fn whatever_the_file_selects_is_read_to_its_end() {
        let connection = Connection::open_in_memory().unwrap();
        let sql = "create table a (b); create trigger t after insert on a begin delete from a where b = 1; end;\n\
                   insert into a values (1), (2) returning b; select * from a";
        run_text(&connection, sql).unwrap();
        let rows: i64 = connection.query_row("select sum(b) from a", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 2);
    }
}
