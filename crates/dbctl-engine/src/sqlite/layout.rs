//! What SQLite's statements mean to a script's layout.

use dbctl_migration::{
    Script,
    split::sqlite::{split, words},
};

use crate::{
    EngineError,
    layout::{Control, Grammar, Layout},
};

static GRAMMAR: Grammar =
    Grammar { split, control, refuses_transaction, alone: |statement, _| refuses_transaction(statement) };

/// Splits a script. `stepwise` has it run statement by statement whatever it holds.
pub(super) fn layout(script: &Script, stepwise: bool) -> Result<Layout<'_>, EngineError> {
    Layout::cut(script, stepwise, &GRAMMAR)
}

fn control(statement: &str) -> Control<'_> {
    let mut words = words(statement);
    let first = words.next().unwrap_or_default().to_ascii_lowercase();
    match first.as_str() {
        // How it begins is dbctl's to say.
        "begin" => Control::Begin { modes: "" },
        "commit" | "end" => Control::Commit { chain: false },
        "rollback" if !words.any(|word| word.eq_ignore_ascii_case("to")) => Control::Undo,
        _ => Control::None,
    }
}

/// Statements that SQLite refuses in a transaction, or does nothing for there. Each may run twice.
fn refuses_transaction(statement: &str) -> bool {
    let mut words = words(statement);
    let is = |word: Option<&str>, names: &[&str]| {
        word.is_some_and(|word| names.iter().any(|name| word.eq_ignore_ascii_case(name)))
    };
    let first = words.next();
    if is(first, &["vacuum", "detach"]) {
        return true;
    }
    is(first, &["pragma"]) && is(pragma(words), &["journal_mode", "synchronous"]) && sets(statement)
}

/// Which setting a `PRAGMA` is about, the words behind it given.
fn pragma<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = words.next()?;
    match words.next() {
        Some(".") => words.next(),
        _ => Some(name),
    }
}

fn sets(statement: &str) -> bool {
    words(statement).any(|word| matches!(word, "=" | "("))
}

/// Whether a statement only sets the connection, so that a later run has to repeat it.
pub(super) fn sets_session(statement: &str) -> bool {
    words(statement).next().is_some_and(|first| {
        first.eq_ignore_ascii_case("attach") || first.eq_ignore_ascii_case("pragma") && sets(statement)
    })
}

#[cfg(test)]
mod tests {
    use dbctl_migration::Transaction;

    use super::*;

    /// Each unit's statements, with a `!` where it runs outside a transaction.
    fn units(sql: &str, transaction: Transaction) -> Vec<String> {
        let script = Script { path: "a.sql".into(), first_line: 1, sql: sql.to_owned(), transaction };
        let layout = layout(&script, false).unwrap();
        let shown = layout.units.iter().map(|unit| {
            let statements: Vec<_> = unit.pieces.clone().map(|piece| layout.statement(piece)).collect();
            format!("{}{}", if unit.alone { "!" } else { "" }, statements.join("|"))
        });
        assert_eq!(layout.whole, layout.not_whole().is_none());
        shown.collect()
    }

    #[test]
    fn scripts_meet_transactions() {
        for (sql, expected) in [
            (
                "create table a (b); insert into a values (1)",
                &["create table a (b)|insert into a values (1)"][..],
            ),
            ("BEGIN IMMEDIATE TRANSACTION; select 1; END;", &["BEGIN IMMEDIATE TRANSACTION|select 1|END"]),
            (
                "savepoint a; select 1; rollback to a; release a",
                &["savepoint a|select 1|rollback to a|release a"],
            ),
            ("select 1; vacuum; select 2", &["select 1", "!vacuum", "select 2"]),
            ("begin; select 1; commit; select 2", &["begin|select 1|commit", "select 2"]),
            ("PRAGMA main.journal_mode = wal; select 1", &["!PRAGMA main.journal_mode = wal", "select 1"]),
            ("pragma synchronous(1)", &["!pragma synchronous(1)"]),
            (
                "pragma journal_mode; pragma foreign_keys=off",
                &["pragma journal_mode|pragma foreign_keys=off"],
            ),
            ("detach database x", &["!detach database x"]),
        ] {
            assert_eq!(units(sql, Transaction::One), expected, "{sql}");
        }
        assert_eq!(units("select 1; select 2", Transaction::None), ["select 1", "select 2"]);
    }

    #[test]
    fn whoever_undoes_his_own_transaction_is_refused() {
        let sql = "begin;\nselect 1;\n  rollback;".to_owned();
        let script = Script { path: "a.sql".into(), first_line: 1, sql, transaction: Transaction::One };
        let refused = layout(&script, false).unwrap_err().to_string();
        assert!(
            refused.starts_with("a.sql:3:3: the file undoes or prepares its own transaction"),
            "{refused}"
        );
    }

    #[test]
    fn what_sets_the_connection_is_repeated() {
        for (sql, sets) in [
            ("attach 'a.db' as a", true),
            ("pragma foreign_keys = off", true),
            ("pragma foreign_key_check", false),
            ("create table pragma (a)", false),
        ] {
            assert_eq!(sets_session(sql), sets, "{sql}");
        }
    }
}
