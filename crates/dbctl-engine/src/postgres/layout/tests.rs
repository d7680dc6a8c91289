use std::path::PathBuf;

use super::*;

fn script(sql: &str, transaction: Transaction) -> Script {
    Script { path: PathBuf::from("m.sql"), first_line: 1, sql: sql.to_owned(), transaction }
}

/// Units in brackets, those on their own with `!`; pieces that dbctl leaves out as `-`.
fn show(sql: &str, transaction: Transaction) -> String {
    let script = script(sql, transaction);
    let layout = match Layout::of(&script, false) {
        Ok(layout) => layout,
        Err(error) => return error.to_string(),
    };
    let units: Vec<_> = layout
        .units
        .iter()
        .map(|unit| {
            let pieces: Vec<_> = unit
                .pieces
                .clone()
                .map(|piece| match layout.act(piece) {
                    Act::Send(sql) => sql.to_owned(),
                    Act::Copy(sql, data) => format!("{sql} <{}>", data.trim_end()),
                    Act::Modes(sql) => sql,
                    Act::Nothing => "-".to_owned(),
                })
                .collect();
            format!("{}[{}]", if unit.alone { "!" } else { "" }, pieces.join("; "))
        })
        .collect();
    format!("{}{}", if layout.whole { "whole " } else { "" }, units.join(" "))
}

#[test]
fn scripts_meet_transactions() {
    let cases = [
        ("", "whole []"),
        ("-- nothing", "whole []"),
        ("a; b;", "whole [a; b]"),
        // The file's own transaction round everything is dbctl's.
        ("BEGIN; a; b; COMMIT;", "whole [-; a; b; -]"),
        ("begin transaction; a; end", "whole [-; a; -]"),
        ("BEGIN /* now */; a; COMMIT WORK;", "whole [-; a; -]"),
        (
            "START TRANSACTION ISOLATION LEVEL SERIALIZABLE; a; COMMIT;",
            "whole [SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; a; -]",
        ),
        ("SET x = 1; BEGIN; a; COMMIT;", "whole [SET x = 1; -; a; -]"),
        ("BEGIN; a;", "whole [-; a]"),
        ("SAVEPOINT s; a; ROLLBACK TO s; RELEASE s;", "whole [SAVEPOINT s; a; ROLLBACK TO s; RELEASE s]"),
        ("a; ROLLBACK TRANSACTION TO SAVEPOINT s", "whole [a; ROLLBACK TRANSACTION TO SAVEPOINT s]"),
        ("DO $$ BEGIN COMMIT; END $$", "whole [DO $$ BEGIN COMMIT; END $$]"),
        // One in the middle means several transactions.
        ("a; COMMIT; b;", "[a] [-] [b]"),
        ("BEGIN; a; b; COMMIT; c;", "[-; a; b; -] [c]"),
        ("BEGIN; a; COMMIT; BEGIN; b; COMMIT;", "[-; a; -] [-; b; -]"),
        ("BEGIN; a; COMMIT AND CHAIN; b; COMMIT;", "[-; a; -] [b; -]"),
        ("a; COMMIT AND NO CHAIN; b; BEGIN; c;", "[a] [-] [b] [-; c]"),
        // What refuses a transaction is on its own, and so is everything round it.
        ("a; CREATE INDEX CONCURRENTLY i ON t (x); b;", "[a] ![CREATE INDEX CONCURRENTLY i ON t (x)] [b]"),
        ("a; VACUUM", "[a] ![VACUUM]"),
        // What cannot be recorded is refused.
        (
            "a;\n  ROLLBACK;",
            "m.sql:2:3: the file undoes or prepares its own transaction, so it cannot be recorded as applied",
        ),
        (
            "ABORT",
            "m.sql:1:1: the file undoes or prepares its own transaction, so it cannot be recorded as applied",
        ),
        (
            "PREPARE TRANSACTION 'x'",
            "m.sql:1:1: the file undoes or prepares its own transaction, so it cannot be recorded as applied",
        ),
        (
            "a;\ncopy (select ')' x) to stdout with (format csv);",
            "m.sql:2:1: this COPY sends rows to the client, and there is none to take them",
        ),
        (
            "a; COPY app.t (id) TO STDOUT",
            "m.sql:1:4: this COPY sends rows to the client, and there is none to take them",
        ),
        (
            "copy binary t to stdin",
            "m.sql:1:1: this COPY sends rows to the client, and there is none to take them",
        ),
        ("COPY t TO '/tmp/stdout'", "whole [COPY t TO '/tmp/stdout']"),
        ("COPY (select ') to stdout') TO PROGRAM 'x'", "whole [COPY (select ') to stdout') TO PROGRAM 'x']"),
        ("PREPARE plan AS a", "whole [PREPARE plan AS a]"),
        ("COPY t FROM stdin;\n1\n2\n\\.\n", "whole [COPY t FROM stdin <1\n2>]"),
    ];
    for (sql, expected) in cases {
        assert_eq!(show(sql, Transaction::One), expected, "{sql}");
    }
    let outside = [
        ("a; b;", "[a] [b]"),
        ("BEGIN; a; COMMIT;", "[-; a; -]"),
        (
            "CALL p(); DO $$ begin commit; end $$; DO $$ begin end $$;",
            "![CALL p()] ![DO $$ begin commit; end $$] [DO $$ begin end $$]",
        ),
        // The server refuses these in a transaction where the table has partitions.
        ("REINDEX TABLE t; CLUSTER t", "![REINDEX TABLE t] ![CLUSTER t]"),
    ];
    for (sql, expected) in outside {
        assert_eq!(show(sql, Transaction::None), expected, "{sql}");
    }
}

#[test]
fn units_cover_all_pieces_in_order() {
    let words = ["a", "BEGIN", "COMMIT", "COMMIT AND CHAIN", "VACUUM", "END"];
    // Every script of four statements made of these.
    for n in 0..words.len().pow(4) {
        let pick = |place: u32| words[n / words.len().pow(place) % words.len()];
        let sql: String = (0..4).map(|place| format!("{};", pick(place))).collect();
        let script = script(&sql, Transaction::One);
        let layout = Layout::of(&script, false).unwrap();
        let covered: Vec<_> = layout.units.iter().flat_map(|unit| unit.pieces.clone()).collect();
        assert_eq!(covered, [0, 1, 2, 3], "{sql}");
    }
}

#[test]
fn session_settings_are_told_from_others() {
    let sql =
        "SET search_path = x; RESET ALL; SET LOCAL a.b = 1; SET TRANSACTION READ ONLY; set role r; SELECT 1";
    let script = script(sql, Transaction::None);
    let layout = Layout::of(&script, false).unwrap();
    let sets: Vec<_> = (0..layout.len()).map(|piece| layout.sets_session(piece)).collect();
    assert_eq!(sets, [true, true, false, false, true, false]);
}

#[test]
fn copy_contexts_name_lines_in_any_language() {
    for (context, expected) in [
        ("COPY users, line 3, column id: \"x\"", Some(3)),
        ("COPY t, line 12: \"a, 7\"", Some(12)),
        ("SQL function \"f\" statement 1\nCOPY users, Zeile 40, Spalte id: »x«", Some(40)),
        ("PL/pgSQL function f() line 3 at RAISE", None),
    ] {
        assert_eq!(copy_line(context), expected, "{context}");
    }
}

#[test]
fn copies_are_checked_by_inserts() {
    for (statement, expected) in [
        ("COPY t FROM stdin", Some("EXPLAIN INSERT INTO \"t\" DEFAULT VALUES")),
        (
            "copy Public.\"T x\" (id, \"A\"\"b\") from stdin with (format csv)",
            Some("EXPLAIN INSERT INTO \"public\".\"T x\" (\"id\", \"A\"\"b\") VALUES (DEFAULT, DEFAULT)"),
        ),
        // Only letters of ASCII are folded.
        ("copy ÄÖ (Ü) from stdin", Some("EXPLAIN INSERT INTO \"ÄÖ\" (\"Ü\") VALUES (DEFAULT)")),
        ("COPY (select 1) TO stdout", None),
        ("COPY t TO stdout", None),
        ("COPY t (a", None),
    ] {
        assert_eq!(copy_check(statement).as_deref(), expected, "{statement}");
    }
}

#[test]
fn what_only_a_session_remembers_is_told() {
    for sql in [
        "create temp table t (id int)",
        "CREATE LOCAL TEMPORARY VIEW v AS SELECT 1",
        "create or replace temp view v as select 1",
        "prepare p as select 1",
        "listen c",
        "load 'auto_explain'",
    ] {
        assert!(kept_in_session(sql), "{sql}");
    }
    for sql in [
        "create table temp (id int)",
        "create unlogged table t (id int)",
        "execute p",
        "notify c",
        "select 1",
    ] {
        assert!(!kept_in_session(sql), "{sql}");
    }
}

#[test]
fn what_other_tools_fill_in_is_told_from_what_is_mistyped() {
    for (text, found) in [
        ("${APP_USER} x", Some("${APP_USER}")),
        ("${}", None),
        ("${a b", None),
        ("$1", None),
        ("{{ schema }}.t", Some("{{ schema }}")),
        (":name;", Some(":name")),
        (":'name')", Some(":'name'")),
        (":\"a.b\"", Some(":\"a.b\"")),
        (":2]", None),
        ("::text", None),
        (": x", None),
        (":", None),
        ("", None),
    ] {
        assert_eq!(placeholder(text), found, "{text}");
    }
}
