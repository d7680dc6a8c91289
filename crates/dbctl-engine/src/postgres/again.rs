//! A statement outside a transaction that an earlier run started: whether it is done, may run again, or is for somebody
//! to judge.

use dbctl_migration::quote_ident;
use tokio_postgres::types::Type;

use super::{
    session::{Link, get},
    words::{Token, Words},
};
use crate::EngineError;

/// What became of a statement that was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It took effect.
    Done,
    /// It did not, or does no harm twice; what it left half done is removed.
    Again,
    /// Nothing shows.
    Unknown,
}

/// Looks for the effects of a statement that was started, and clears away what it left half done.
pub(super) async fn look(link: &mut Link<'_>, statement: &str) -> Result<Found, EngineError> {
    if let Some(index) = concurrent_drop(statement) {
        let gone = "select pg_catalog.to_regclass($1::text) is null";
        let gone = get(&link.one(gone, &[(&index, Type::TEXT)]).await?, 0)?;
        return Ok(if gone { Found::Done } else { Found::Again });
    }
    if let Some(index) = concurrent_index(statement) {
        return match state(link, &index).await? {
            None => Ok(Found::Again),
            Some((true, _)) => Ok(Found::Done),
            Some((false, name)) => {
                link.batch(&format!("DROP INDEX CONCURRENTLY {name}")).await?;
                Ok(Found::Again)
            }
        };
    }
    if let Some(scope) = reindexed(statement) {
        for name in half_rebuilt(link, &scope).await? {
            // Somebody else's rebuilding may have ended meanwhile.
            link.batch(&format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")).await?;
        }
        return Ok(Found::Again);
    }
    Ok(if asks(statement) { Found::Unknown } else { Found::Again })
}

/// Whether nobody can tell of a statement that was started whether it took effect, nor run it twice.
pub(super) fn asks(statement: &str) -> bool {
    let told = concurrent_drop(statement).is_some()
        || concurrent_index(statement).is_some()
        || reindexed(statement).is_some();
    !told && !runs_twice(statement)
}

/// Whether a statement that the server has just refused left nothing behind, so that it may be mended: what it left half
/// done is removed, where that may take the time it takes.
pub(super) async fn is_undone(
    link: &mut Link<'_>,
    statement: &str,
    may_take_time: bool,
) -> Result<bool, EngineError> {
    if let Some(index) = concurrent_drop(statement) {
        // One whose drop has begun is invalid.
        let intact = "select exists (select from pg_catalog.pg_index \
                      where indexrelid = pg_catalog.to_regclass($1::text) and indisvalid)";
        return get(&link.one(intact, &[(&index, Type::TEXT)]).await?, 0);
    }
    let half_done = if let Some(index) = concurrent_index(statement) {
        match state(link, &index).await? {
            None => return Ok(true),
            Some((true, _)) => return Ok(false),
            Some((false, name)) => vec![name],
        }
    } else if let Some(table) = unnamed_index(statement) {
        // Whose an invalid one is nobody knows.
        let any = "select exists (select from pg_catalog.pg_index \
                   where indrelid = pg_catalog.to_regclass($1::text) and not indisvalid)";
        let any: bool = get(&link.one(any, &[(&table, Type::TEXT)]).await?, 0)?;
        return Ok(!any);
    } else if let Some(scope) = reindexed(statement) {
        half_rebuilt(link, &scope).await?
    } else {
        return Ok(runs_twice(statement));
    };
    if !half_done.is_empty() && !may_take_time {
        return Ok(false);
    }
    for name in half_done {
        link.batch(&format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")).await?;
    }
    Ok(true)
}

/// The index that a `CREATE INDEX CONCURRENTLY IF NOT EXISTS` has found and left as it is, although it is invalid.
pub(super) async fn passed_over(link: &mut Link<'_>, statement: &str) -> Result<Option<String>, EngineError> {
    let Some(index) = concurrent_index(statement).filter(|index| index.if_not_exists) else {
        return Ok(None);
    };
    Ok(state(link, &index).await?.and_then(|(valid, name)| (!valid).then_some(name)))
}

/// Whether an index is valid, and its full name; `None` where there is none.
async fn state(link: &mut Link<'_>, index: &NamedIndex) -> Result<Option<(bool, String)>, EngineError> {
    let rows = link
        .query(
            "select i.indisvalid, pg_catalog.format('%I.%I', n.nspname, c.relname) from pg_catalog.pg_index i \
             join pg_catalog.pg_class c on c.oid = i.indexrelid \
             join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
             where i.indrelid = pg_catalog.to_regclass($1::text) and c.relname = $2::text::name",
            &[(&index.table, Type::TEXT), (&index.name, Type::TEXT)],
        )
        .await?;
    rows.first().map(|row| Ok((get(row, 0)?, get(row, 1)?))).transpose()
}

/// The invalid indexes that `REINDEX … CONCURRENTLY` leaves behind where it does not end: by PostgreSQL's manual, the
/// unfinished `_ccnew` and the replaced `_ccold`, with a number where the name was taken. Full names.
async fn half_rebuilt(link: &mut Link<'_>, scope: &Scope) -> Result<Vec<String>, EngineError> {
    let sql = "with recursive tables(oid) as (\
                 select t.oid from pg_catalog.pg_class t where case $1::text \
                   when 'table' then t.oid = pg_catalog.to_regclass($2::text) \
                   when 'index' then t.oid = (select indrelid from pg_catalog.pg_index \
                     where indexrelid = pg_catalog.to_regclass($2::text)) \
                   when 'schema' then t.relnamespace = pg_catalog.to_regnamespace($2::text) \
                   else true end \
                 union select h.inhrelid from tables \
                   join pg_catalog.pg_inherits h on h.inhparent = tables.oid \
                   join pg_catalog.pg_class p on p.oid = h.inhrelid and p.relispartition) \
               select pg_catalog.format('%I.%I', n.nspname, c.relname) from pg_catalog.pg_index i \
               join pg_catalog.pg_class c on c.oid = i.indexrelid \
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
               where not i.indisvalid and c.relname ~ '_cc(new|old)[0-9]*$' and (i.indrelid in (select oid from tables) \
               or i.indrelid in (select t.reltoastrelid from tables join pg_catalog.pg_class t using (oid))) \
               order by 1";
    let rows = link.query(sql, &[(&scope.what, Type::TEXT), (&scope.name, Type::TEXT)]).await?;
    rows.iter().map(|row| get(row, 0)).collect()
}

/// Whether a statement comes to the same when it runs a second time: it is upkeep, or says so in its own words.
fn runs_twice(statement: &str) -> bool {
    const UPKEEP: [&str; 7] = ["vacuum", "analyze", "analyse", "checkpoint", "reindex", "cluster", "discard"];
    let mut words = Words::new(statement);
    let Some(first) = words.next() else { return false };
    if UPKEEP.iter().any(|keyword| first.is(keyword)) {
        return true;
    }
    if first.is("refresh") {
        return words.eat(&["materialized"]);
    }
    if first.is("create") {
        return kind_is_followed_by(words, &["if", "not", "exists"]);
    }
    if first.is("drop") {
        return kind_is_followed_by(words, &["if", "exists"]);
    }
    first.is("alter") && alters_twice(words)
}

/// What follows `ALTER`, where it sets something rather than adds or removes it.
fn alters_twice(mut words: Words<'_>) -> bool {
    let Some(kind) = words.next() else { return false };
    if kind.is("system") {
        return true;
    }
    words.next();
    if kind.is("type") {
        if words.eat_mark('.') {
            words.next();
        }
        return words.eat_all(&["add", "value", "if", "not", "exists"]);
    }
    if kind.is("database") {
        return words.eat_all(&["set", "tablespace"]);
    }
    kind.is("subscription") && words.eat(&["refresh", "set"]) && words.eat(&["publication"])
}

/// Whether the words follow those for a kind of object, such as `MATERIALIZED VIEW` or `INDEX CONCURRENTLY`.
fn kind_is_followed_by(words: Words<'_>, expected: &[&str]) -> bool {
    const LONGEST_KIND: usize = 4;
    let head: Vec<Token<'_>> = words.take(LONGEST_KIND + expected.len()).collect();
    let bare = head.iter().take_while(|token| matches!(token, Token::Word(_))).count();
    let at = head[..bare].iter().position(|token| token.is(expected[0]));
    at.is_some_and(|at| {
        at > 0
            && at + expected.len() <= bare
            && head[at..].iter().zip(expected).all(|(token, keyword)| token.is(keyword))
    })
}

/// An index by its name and its table.
#[derive(Debug, PartialEq, Eq)]
struct NamedIndex {
    name: String,
    /// Quoted.
    table: String,
    if_not_exists: bool,
}

/// The index that a `CREATE INDEX CONCURRENTLY` names; `None` for other statements and where PostgreSQL chooses the name.
fn concurrent_index(statement: &str) -> Option<NamedIndex> {
    let mut words = behind_concurrently(statement)?;
    let if_not_exists = words.eat(&["if"]);
    if if_not_exists && !words.eat_all(&["not", "exists"]) {
        return None;
    }
    if words.eat(&["on"]) {
        return None;
    }
    let name = words.next()?.name()?;
    if !words.eat(&["on"]) {
        return None;
    }
    words.eat(&["only"]);
    let table = qualified(&mut words)?;
    Some(NamedIndex { name, table, if_not_exists })
}

/// The table of a `CREATE INDEX CONCURRENTLY` that leaves the name to PostgreSQL, quoted; `None` for other statements.
fn unnamed_index(statement: &str) -> Option<String> {
    let mut words = behind_concurrently(statement)?;
    if !words.eat(&["on"]) {
        return None;
    }
    words.eat(&["only"]);
    qualified(&mut words)
}

/// What follows `CREATE INDEX CONCURRENTLY`.
fn behind_concurrently(statement: &str) -> Option<Words<'_>> {
    let mut words = Words::new(statement);
    if !words.eat(&["create"]) {
        return None;
    }
    words.eat(&["unique"]);
    (words.eat(&["index"]) && words.eat(&["concurrently"])).then_some(words)
}

/// The index that a `DROP INDEX CONCURRENTLY` names, quoted; `None` for other statements.
fn concurrent_drop(statement: &str) -> Option<String> {
    let mut words = Words::new(statement);
    if !(words.eat(&["drop"]) && words.eat(&["index"]) && words.eat(&["concurrently"])) {
        return None;
    }
    if words.eat(&["if"]) && !words.eat(&["exists"]) {
        return None;
    }
    qualified(&mut words)
}

/// What a `REINDEX … CONCURRENTLY` rebuilds.
#[derive(Debug, PartialEq, Eq)]
struct Scope {
    /// `index`, `table`, `schema`, or anything else for the whole database.
    what: String,
    /// Quoted; empty for the database.
    name: String,
}

/// The scope of a `REINDEX … CONCURRENTLY`; `None` for other statements.
fn reindexed(statement: &str) -> Option<Scope> {
    let mut words = Words::new(statement);
    if !(words.eat(&["reindex"]) && Words::new(statement).any(|word| word.is("concurrently"))) {
        return None;
    }
    words.eat_parentheses();
    let what = words.next()?.name()?;
    words.eat(&["concurrently"]);
    let name = match what.as_str() {
        "index" | "table" | "schema" => qualified(&mut words)?,
        _ => String::new(),
    };
    Some(Scope { what, name })
}

/// A name, with its schema where one stands before it; quoted.
fn qualified(words: &mut Words<'_>) -> Option<String> {
    let mut name = quote_ident(&words.next()?.name()?);
    if words.eat_mark('.') {
        name = format!("{name}.{}", quote_ident(&words.next()?.name()?));
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrent_indexes_are_named() {
        let cases = [
            ("create index concurrently i on t (x)", Some(("i", "\"t\"", false))),
            (
                "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS \"My I\" ON ONLY S.\"T\" (x)",
                Some(("My I", "\"s\".\"T\"", true)),
            ),
            (
                "CREATE INDEX CONCURRENTLY -- why\n Idx ON app.t USING gin (x)",
                Some(("idx", "\"app\".\"t\"", false)),
            ),
            ("CREATE INDEX CONCURRENTLY ON t (x)", None),
            ("CREATE INDEX i ON t (x)", None),
            ("DROP INDEX CONCURRENTLY i", None),
        ];
        for (sql, expected) in cases {
            let expected = expected.map(|(name, table, if_not_exists)| NamedIndex {
                name: name.to_owned(),
                table: table.to_owned(),
                if_not_exists,
            });
            assert_eq!(concurrent_index(sql), expected, "{sql}");
        }
    }

    #[test]
    fn indexes_without_a_name_have_a_table() {
        let cases = [
            ("create index concurrently on t (x)", Some("\"t\"")),
            ("CREATE UNIQUE INDEX CONCURRENTLY ON ONLY App.\"T\" USING btree (x)", Some("\"app\".\"T\"")),
            ("create index concurrently i on t (x)", None),
            ("create index on t (x)", None),
            ("drop index concurrently i", None),
        ];
        for (sql, expected) in cases {
            assert_eq!(unnamed_index(sql).as_deref(), expected, "{sql}");
        }
    }

    #[test]
    fn dropped_indexes_are_named() {
        let cases = [
            ("drop index concurrently i", Some("\"i\"")),
            ("DROP INDEX CONCURRENTLY IF EXISTS App.\"My I\" CASCADE", Some("\"app\".\"My I\"")),
            ("drop index i", None),
            ("drop table concurrently", None),
            ("create index concurrently i on t (x)", None),
        ];
        for (sql, expected) in cases {
            assert_eq!(concurrent_drop(sql).as_deref(), expected, "{sql}");
        }
    }

    #[test]
    fn what_is_rebuilt_is_named() {
        let cases = [
            ("reindex table concurrently App.\"T\"", Some(("table", "\"app\".\"T\""))),
            ("REINDEX (VERBOSE, CONCURRENTLY) INDEX i", Some(("index", "\"i\""))),
            ("reindex (tablespace ts) schema concurrently s", Some(("schema", "\"s\""))),
            ("reindex database concurrently", Some(("database", ""))),
            ("reindex database concurrently shop", Some(("database", ""))),
            ("reindex table t", None),
            ("vacuum", None),
        ];
        for (sql, expected) in cases {
            let expected =
                expected.map(|(what, name)| Scope { what: what.to_owned(), name: name.to_owned() });
            assert_eq!(reindexed(sql), expected, "{sql}");
        }
    }

    #[test]
    fn what_may_run_twice() {
        let twice = [
            "vacuum (full, analyze) t",
            "ANALYZE",
            "checkpoint",
            "reindex schema s",
            "cluster",
            "discard all",
            "refresh materialized view concurrently v",
            "alter system set work_mem = '1MB'",
            "alter database d set tablespace ts",
            "alter subscription s refresh publication",
            "alter subscription s set publication p, q",
            "alter type app.\"E\" add value if not exists 'x'",
            "drop database /* if it is there */ if exists d",
            "drop materialized view if exists v",
            "create unlogged table if not exists t (id int)",
        ];
        let once = [
            "",
            "call p()",
            "do $$ begin commit; end $$",
            "create database d",
            "create table \"if\" (not_exists int)",
            "create table t (a text default 'if not exists')",
            "drop database d",
            "drop subscription s",
            "drop table \"if\", exists",
            "alter subscription s add publication p",
            "alter subscription s drop publication p",
            "alter type e add value 'if not exists'",
            "alter table if exists t detach partition p concurrently",
            "commit prepared 'x'",
            "explain analyze delete from t",
            "insert into t values (1) on conflict do nothing",
        ];
        for sql in twice {
            assert!(runs_twice(sql), "{sql}");
        }
        for sql in once {
            assert!(!runs_twice(sql), "{sql}");
        }
    }
}
