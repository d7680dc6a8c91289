//! Which statements PostgreSQL refuses inside a transaction block, as far as their words tell.

use squawk_lexer::{LiteralKind, TokenKind};

use super::tokens::Tokens;

/// Statements that are known by their first words.
///
/// From the callers of `PreventInTransactionBlock` in PostgreSQL's own source.
const BY_FIRST_WORDS: [(&[&str], &str); 17] = [
    (&["create", "index", "concurrently"], "CREATE INDEX CONCURRENTLY"),
    (&["create", "unique", "index", "concurrently"], "CREATE INDEX CONCURRENTLY"),
    (&["drop", "index", "concurrently"], "DROP INDEX CONCURRENTLY"),
    (&["reindex", "index", "concurrently"], "REINDEX CONCURRENTLY"),
    (&["reindex", "table", "concurrently"], "REINDEX CONCURRENTLY"),
    (&["reindex", "schema"], "REINDEX SCHEMA"),
    (&["reindex", "database"], "REINDEX DATABASE"),
    (&["reindex", "system"], "REINDEX SYSTEM"),
    (&["vacuum"], "VACUUM"),
    (&["create", "database"], "CREATE DATABASE"),
    (&["drop", "database"], "DROP DATABASE"),
    (&["create", "tablespace"], "CREATE TABLESPACE"),
    (&["drop", "tablespace"], "DROP TABLESPACE"),
    (&["alter", "system"], "ALTER SYSTEM"),
    (&["drop", "subscription"], "DROP SUBSCRIPTION"),
    (&["discard", "all"], "DISCARD ALL"),
    (&["commit", "prepared"], "COMMIT PREPARED"),
];

/// Why a statement cannot run inside a transaction block: `CREATE INDEX CONCURRENTLY`, `VACUUM`, …; `None` if it can,
/// as far as its words tell.
///
/// Words alone do not tell everything: `REINDEX` and `CLUSTER` of a partitioned table, and `CALL` of a procedure that
/// commits, are refused by the server only.
pub fn refuses_transaction(statement: &str) -> Option<&'static str> {
    let head: Vec<Word<'_>> = words(statement).take(4).collect();
    for (first_words, name) in BY_FIRST_WORDS {
        if starts_with(&head, first_words) {
            return Some(name);
        }
    }
    let is = |first_words: &[&str]| starts_with(&head, first_words);
    if is(&["rollback", "prepared"]) {
        return Some("ROLLBACK PREPARED");
    }
    if is(&["reindex"]) {
        return reindex(statement);
    }
    if is(&["cluster"]) {
        return clusters_everything(statement).then_some("CLUSTER without a table");
    }
    if is(&["create", "subscription"]) {
        return creates_slot(statement).then_some("CREATE SUBSCRIPTION with a replication slot");
    }
    if is(&["alter", "subscription"]) {
        return refreshes(statement).then_some("ALTER SUBSCRIPTION with a refresh");
    }
    if is(&["alter", "database"]) {
        let rest: Vec<_> = words(statement).skip(3).take(2).collect();
        return starts_with(&rest, &["set", "tablespace"]).then_some("ALTER DATABASE SET TABLESPACE");
    }
    if is(&["alter", "table"]) {
        return detaches_concurrently(statement).then_some("ALTER TABLE DETACH PARTITION CONCURRENTLY");
    }
    None
}

/// What the grammar sees of a statement, comments and blanks left out.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Word<'a> {
    /// An unquoted word: a keyword or a name.
    Bare(&'a str),
    /// What stands in a plain string, or a number.
    Value(&'a str),
    Open,
    Close,
    Equals,
    Comma,
    /// Quoted names, other strings, operators.
    Other,
}

impl Word<'_> {
    fn is(self, keyword: &str) -> bool {
        matches!(self, Word::Bare(word) if word.eq_ignore_ascii_case(keyword))
    }
}

fn words(statement: &str) -> impl Iterator<Item = Word<'_>> {
    Tokens::new(statement).filter(|token| !token.is_trivia()).map(|token| {
        let text = &statement[token.range];
        match token.kind {
            TokenKind::Ident => Word::Bare(text),
            TokenKind::Literal { kind: LiteralKind::Str { .. } } => Word::Value(text.trim_matches('\'')),
            TokenKind::Literal { kind: LiteralKind::Int { .. } } => Word::Value(text),
            TokenKind::OpenParen => Word::Open,
            TokenKind::CloseParen => Word::Close,
            TokenKind::Eq => Word::Equals,
            TokenKind::Comma => Word::Comma,
            _ => Word::Other,
        }
    })
}

fn starts_with(words: &[Word<'_>], keywords: &[&str]) -> bool {
    words.len() >= keywords.len() && keywords.iter().zip(words).all(|(keyword, word)| word.is(keyword))
}

/// `REINDEX (VERBOSE, CONCURRENTLY) TABLE t`; the forms without options are known by their first words.
fn reindex(statement: &str) -> Option<&'static str> {
    let mut rest = words(statement).skip(1);
    if rest.next() != Some(Word::Open) {
        return None;
    }
    let options = options(&mut rest);
    if option(&options, "concurrently").unwrap_or(false) {
        return Some("REINDEX CONCURRENTLY");
    }
    let target: Vec<_> = rest.take(2).collect();
    if starts_with(&target, &["index", "concurrently"]) || starts_with(&target, &["table", "concurrently"]) {
        return Some("REINDEX CONCURRENTLY");
    }
    let whole =
        [("schema", "REINDEX SCHEMA"), ("database", "REINDEX DATABASE"), ("system", "REINDEX SYSTEM")];
    whole.into_iter().find(|(keyword, _)| starts_with(&target, &[keyword])).map(|(_, name)| name)
}

/// `CLUSTER`, `CLUSTER VERBOSE` and `CLUSTER (VERBOSE)` go through every table, one transaction each.
fn clusters_everything(statement: &str) -> bool {
    let mut rest = words(statement).skip(1).peekable();
    if rest.peek() == Some(&Word::Open) {
        rest.next();
        options(&mut rest);
    } else if rest.peek().is_some_and(|word| word.is("verbose")) {
        rest.next();
    }
    rest.next().is_none()
}

/// A subscription makes its slot on the publisher unless it is told not to, which cannot be rolled back.
fn creates_slot(statement: &str) -> bool {
    let options = with_options(statement);
    let connect = option(&options, "connect").unwrap_or(true);
    option(&options, "create_slot").unwrap_or(connect)
}

/// Every change of the publications copies tables and makes slots unless `refresh = false`.
fn refreshes(statement: &str) -> bool {
    let action: Vec<_> = words(statement).skip(3).take(2).collect();
    if starts_with(&action, &["refresh", "publication"]) {
        return true;
    }
    let changes = ["set", "add", "drop"].iter().any(|verb| starts_with(&action, &[verb, "publication"]));
    changes && option(&with_options(statement), "refresh").unwrap_or(true)
}

fn detaches_concurrently(statement: &str) -> bool {
    let mut detaches = false;
    let mut before = Word::Other;
    for word in words(statement) {
        detaches |= before.is("detach") && word.is("partition");
        before = word;
    }
    detaches && before.is("concurrently")
}

/// The options of the first `WITH (…)`.
fn with_options(statement: &str) -> Vec<(&str, bool)> {
    let mut rest = words(statement);
    let mut before = Word::Other;
    while let Some(word) = rest.next() {
        if word == Word::Open && before.is("with") {
            return options(&mut rest);
        }
        before = word;
    }
    Vec::new()
}

/// Reads `name [=] [value], …` up to the closing parenthesis, each value as PostgreSQL's `defGetBoolean` takes it.
fn options<'a>(words: &mut impl Iterator<Item = Word<'a>>) -> Vec<(&'a str, bool)> {
    let mut options: Vec<(&str, bool)> = Vec::new();
    let mut name_comes = true;
    for word in words {
        match word {
            Word::Close => break,
            Word::Comma => name_comes = true,
            Word::Bare(name) if name_comes => {
                options.push((name, true));
                name_comes = false;
            }
            Word::Bare(value) | Word::Value(value) => {
                if let Some(last) = options.last_mut() {
                    last.1 = !["false", "off", "0"].iter().any(|no| value.eq_ignore_ascii_case(no));
                }
            }
            Word::Open | Word::Equals | Word::Other => {}
        }
    }
    options
}

/// The last setting of an option.
fn option(options: &[(&str, bool)], name: &str) -> Option<bool> {
    options.iter().rev().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_leave_the_transaction() {
        let cases = [
            ("CREATE INDEX CONCURRENTLY i ON t (a)", "CREATE INDEX CONCURRENTLY"),
            (
                "create /* a */ unique -- b\n index\tconcurrently if not exists i on t (a)",
                "CREATE INDEX CONCURRENTLY",
            ),
            ("DROP INDEX CONCURRENTLY i", "DROP INDEX CONCURRENTLY"),
            ("REINDEX TABLE CONCURRENTLY t", "REINDEX CONCURRENTLY"),
            ("REINDEX INDEX concurrently i", "REINDEX CONCURRENTLY"),
            ("REINDEX (VERBOSE, CONCURRENTLY) TABLE t", "REINDEX CONCURRENTLY"),
            ("REINDEX (CONCURRENTLY true) INDEX i", "REINDEX CONCURRENTLY"),
            ("REINDEX (VERBOSE) TABLE CONCURRENTLY t", "REINDEX CONCURRENTLY"),
            ("REINDEX (VERBOSE) DATABASE d", "REINDEX DATABASE"),
            ("REINDEX SCHEMA s", "REINDEX SCHEMA"),
            ("REINDEX SYSTEM d", "REINDEX SYSTEM"),
            ("VACUUM", "VACUUM"),
            ("vacuum (full, analyze) t", "VACUUM"),
            ("CLUSTER", "CLUSTER without a table"),
            ("CLUSTER verbose -- all of them", "CLUSTER without a table"),
            ("CLUSTER (VERBOSE)", "CLUSTER without a table"),
            ("CREATE DATABASE d", "CREATE DATABASE"),
            ("DROP DATABASE IF EXISTS d", "DROP DATABASE"),
            ("CREATE TABLESPACE s LOCATION '/x'", "CREATE TABLESPACE"),
            ("DROP TABLESPACE s", "DROP TABLESPACE"),
            ("ALTER SYSTEM SET work_mem = '1MB'", "ALTER SYSTEM"),
            (
                "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p",
                "CREATE SUBSCRIPTION with a replication slot",
            ),
            (
                "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (create_slot, connect = false)",
                "CREATE SUBSCRIPTION with a replication slot",
            ),
            ("DROP SUBSCRIPTION s", "DROP SUBSCRIPTION"),
            ("ALTER SUBSCRIPTION s REFRESH PUBLICATION", "ALTER SUBSCRIPTION with a refresh"),
            ("ALTER SUBSCRIPTION s SET PUBLICATION p", "ALTER SUBSCRIPTION with a refresh"),
            ("ALTER DATABASE \"d\" SET TABLESPACE s", "ALTER DATABASE SET TABLESPACE"),
            ("DISCARD ALL", "DISCARD ALL"),
            ("COMMIT PREPARED 'x'", "COMMIT PREPARED"),
            ("ROLLBACK PREPARED 'x'", "ROLLBACK PREPARED"),
            (
                "ALTER TABLE IF EXISTS a.t DETACH PARTITION a.p CONCURRENTLY",
                "ALTER TABLE DETACH PARTITION CONCURRENTLY",
            ),
        ];
        for (statement, name) in cases {
            assert_eq!(refuses_transaction(statement), Some(name), "{statement}");
        }
    }

    #[test]
    fn statements_that_stay_inside() {
        let cases = [
            "",
            "-- vacuum",
            "CREATE INDEX i ON t (a)",
            "CREATE INDEX \"concurrently\" ON t (a)",
            "CREATE TABLE vacuum (a int)",
            "DROP INDEX \"CONCURRENTLY\"",
            "select 'create index concurrently'",
            "select $$vacuum$$",
            "'vacuum'",
            "\"vacuum\"",
            "REINDEX TABLE t",
            "REINDEX (CONCURRENTLY false) TABLE t",
            "REINDEX (CONCURRENTLY off, VERBOSE) INDEX i",
            "REINDEX TABLE \"concurrently\"",
            "CLUSTER t",
            "CLUSTER VERBOSE t USING i",
            "CLUSTER (VERBOSE) t",
            "ANALYZE t",
            "REFRESH MATERIALIZED VIEW CONCURRENTLY v",
            "ALTER TABLE t DETACH PARTITION p",
            "ALTER TABLE t DETACH PARTITION \"concurrently\"",
            "ALTER TABLE t DETACH PARTITION p FINALIZE",
            "ALTER TABLE t ADD COLUMN concurrently int",
            "ALTER DATABASE d SET work_mem = '1MB'",
            "ALTER DATABASE d RENAME TO tablespace",
            "ALTER TABLE t SET TABLESPACE s",
            "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (connect = false)",
            "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (slot_name = NONE, create_slot = 'OFF')",
            "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (create_slot = 0)",
            "ALTER SUBSCRIPTION s DISABLE",
            "ALTER SUBSCRIPTION s SET PUBLICATION p WITH (refresh = false)",
            "DISCARD TEMP",
            "COMMIT",
            "ROLLBACK",
            "ALTER TYPE e ADD VALUE 'x'",
        ];
        for statement in cases {
            assert_eq!(refuses_transaction(statement), None, "{statement}");
        }
    }
}
