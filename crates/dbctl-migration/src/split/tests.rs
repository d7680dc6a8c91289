use proptest::prelude::*;

use super::*;

fn texts(sql: &str) -> Vec<&str> {
    split(sql).unwrap().into_iter().map(|piece| &sql[piece.range]).collect()
}

#[test]
fn statements_end_where_psql_ends_them() {
    let atomic = "CREATE OR REPLACE FUNCTION f(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; \
                  SELECT CASE WHEN a > 0 THEN CASE a WHEN 1 THEN 2 END END; END";
    let begin_column =
        "CREATE PROCEDURE p() BEGIN ATOMIC SELECT begin, t.end, 1 AS end FROM t; DELETE FROM t; END";
    let begin_function = "CREATE FUNCTION begin() RETURNS int LANGUAGE sql AS 'select 1'";
    let rule = "CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; DELETE FROM b)";
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        ("\u{feff} \n", &[]),
        (";;; ; -- only comments\n/* ; */;", &[]),
        ("select 1", &["select 1"]),
        ("select 1;", &["select 1"]),
        ("\u{feff}select 1 ; -- end", &["select 1 "]),
        ("select 1 -- end", &["select 1"]),
        ("-- a\nselect 1; /* b */ select 2;\n", &["select 1", "select 2"]),
        (
            "select ';', \";\", $$;$$, $a$;$$;$a$, E'\\';', U&\";\", U&';'; b",
            &["select ';', \";\", $$;$$, $a$;$$;$a$, E'\\';', U&\";\", U&';'", "b"],
        ),
        ("select '\\'; b", &["select '\\'", "b"]),
        ("select E'a'\n'\\';'; b", &["select E'a'\n'\\';'", "b"]),
        ("a /* /* ; */ ; */ ; b", &["a /* /* ; */ ; */ ", "b"]),
        ("a -- ;\n ; b", &["a -- ;\n ", "b"]),
        ("a -- ;\r ; b", &["a -- ;\r ", "b"]),
        ("select $1; select a$b$; c", &["select $1", "select a$b$", "c"]),
        ("select 1 @- 2;b", &["select 1 @- 2", "b"]),
        ("select 'ä;ö' as \"ü;\"; b", &["select 'ä;ö' as \"ü;\"", "b"]),
        (rule, &[rule]),
        ("select (1;2); b", &["select (1;2)", "b"]),
        ("select ); b", &["select )", "b"]),
        ("BEGIN; select 1; END; b", &["BEGIN", "select 1", "END", "b"]),
        ("DO $$ begin; end $$; b", &["DO $$ begin; end $$", "b"]),
        ("create table begin_atomic (begin int); b", &["create table begin_atomic (begin int)", "b"]),
        (
            "create view v as select case when true then 1 end; b",
            &["create view v as select case when true then 1 end", "b"],
        ),
        (
            "create function f() returns int return case when true then 1 end; b",
            &["create function f() returns int return case when true then 1 end", "b"],
        ),
        (begin_function, &[begin_function]),
        (
            "select create or replace function begin atomic; end",
            &["select create or replace function begin atomic", "end"],
        ),
    ];
    for (sql, expected) in cases {
        assert_eq!(texts(sql), *expected, "{sql:?}");
    }
    for body in [atomic, begin_column, begin_function] {
        assert_eq!(texts(&format!("{body}; select 2")), [body, "select 2"]);
    }
}

#[test]
fn copy_data_belongs_to_its_statement() {
    type Statement = (&'static str, Option<&'static str>);
    let cases: &[(&str, &[Statement])] = &[
        (
            "COPY t (a, b) FROM stdin;\n1\t;\n\n'\n\\.\nselect 1;",
            &[("COPY t (a, b) FROM stdin", Some("1\t;\n\n'\n")), ("select 1", None)],
        ),
        (
            "copy \"t\" from STDIN with (format csv) ; -- c\r\na\r\n\\.\r\nb",
            &[("copy \"t\" from STDIN with (format csv) ", Some("a\r\n")), ("b", None)],
        ),
        ("COPY t FROM/**/stdout;\n\\.", &[("COPY t FROM/**/stdout", Some(""))]),
        (
            "COPY t FROM stdin;\n$$\n /*\n\\.\nCOPY u FROM stdin;\n\\. \n\\.\n",
            &[("COPY t FROM stdin", Some("$$\n /*\n")), ("COPY u FROM stdin", Some("\\. \n"))],
        ),
        (
            "COPY t FROM stdin; COPY u FROM stdin; select 1;\na\n\\.\nb\n\\.\n",
            &[("COPY t FROM stdin", Some("a\n")), ("COPY u FROM stdin", Some("b\n")), ("select 1", None)],
        ),
        ("COPY stdin FROM 'x'; a", &[("COPY stdin FROM 'x'", None), ("a", None)]),
        ("COPY t FROM \"stdin\"; a", &[("COPY t FROM \"stdin\"", None), ("a", None)]),
        ("COPY t FROM PROGRAM 'stdin'; a", &[("COPY t FROM PROGRAM 'stdin'", None), ("a", None)]),
        (
            "COPY (select 1 from stdin) TO stdout;\na",
            &[("COPY (select 1 from stdin) TO stdout", None), ("a", None)],
        ),
        ("select copy from stdin;\na", &[("select copy from stdin", None), ("a", None)]),
        ("\"x\" copy t from stdin;\na", &[("\"x\" copy t from stdin", None), ("a", None)]),
    ];
    for (sql, expected) in cases {
        let pieces: Vec<_> = split(sql)
            .unwrap()
            .into_iter()
            .map(|piece| (&sql[piece.range], piece.copy_data.map(|data| &sql[data])))
            .collect();
        assert_eq!(pieces, *expected, "{sql:?}");
    }
}

#[test]
fn what_pg_dump_writes_round_its_output_is_passed_over() {
    let sql = "\\restrict aB3\nselect 1;\n\\unrestrict aB3\n";
    assert_eq!(texts(sql), ["select 1"]);
    assert_eq!(texts("\\unrestrict"), [""; 0]);
}

#[test]
fn what_cannot_be_split_is_an_error_with_its_place() {
    let meta = |command: &str, offset| SplitError::MetaCommand { command: command.to_owned(), offset };
    let unterminated = |what, offset| SplitError::Unterminated { what, offset };
    let copy = |offset| SplitError::UnterminatedCopy { offset };
    let cases = [
        ("\\connect db\nselect 1;", meta("\\connect", 0)),
        ("select 1;\n  \\i x.sql", meta("\\i", 12)),
        ("select 1 \\gset", meta("\\gset", 9)),
        ("select 1 \\; select 2", meta("\\;", 9)),
        ("\\d\\d", meta("\\d", 0)),
        ("\\", meta("\\", 0)),
        ("select \\restrict x", meta("\\restrict", 7)),
        ("\\restricted x", meta("\\restricted", 0)),
        ("select 1; select 'a;", unterminated("string", 17)),
        ("select \"a;", unterminated("quoted name", 7)),
        ("$x$ ; $y$", unterminated("dollar-quoted string", 0)),
        ("a; /* /* */", unterminated("comment", 3)),
        ("a; COPY t FROM stdin;\n1\n", copy(3)),
        ("COPY t FROM stdin;", copy(0)),
        ("COPY t FROM stdin", copy(0)),
        ("COPY t FROM stdin;\n1\n \\.\n", copy(0)),
        ("COPY t FROM stdin; select\n1;\n\\.\n", copy(0)),
        ("COPY t FROM stdin; /*\n*/\n\\.\n", copy(0)),
    ];
    for (sql, error) in cases {
        assert_eq!(split(sql), Err(error), "{sql:?}");
    }
}

#[test]
fn depth_costs_no_stack_and_length_costs_linear_time() {
    let nested = format!("select {}1{};select 2", "(".repeat(200_000), ")".repeat(200_000));
    assert_eq!(split(&nested).unwrap().len(), 2);
    let comments = format!("{}{} select 1", "/*".repeat(100_000), "*/".repeat(100_000));
    assert_eq!(split(&comments).unwrap().len(), 1);
    for repeated in
        ["E'a'\n-- c\n", "$a ", "$a$$b$ x $a$ ", "\\restrict\n", "COPY t FROM stdin;\n\\.\n", "'", "-", "$"]
    {
        // Quadratic work on a megabyte would take minutes.
        let _ = split(&repeated.repeat(1_000_000 / repeated.len()));
    }
}

/// Scraps that meet all the rules of the splitter.
fn scraps() -> impl Strategy<Value = String> {
    let scrap = prop::sample::select(vec![
        "select",
        "create",
        "or",
        "replace",
        "function",
        "procedure",
        "begin",
        "atomic",
        "case",
        "end",
        "as",
        "copy",
        "from",
        "stdin",
        "x",
        "E",
        "U&",
        "B",
        "N",
        "(",
        ")",
        ";",
        ";",
        ";\n",
        "'",
        "''",
        "\"",
        "$$",
        "$a$",
        "$",
        "1",
        "--",
        "/*",
        "*/",
        "\\",
        "\\.",
        "\n\\.\n",
        "\\restrict",
        "\n",
        "\r",
        " ",
        " ",
        ".",
        "+",
        "-",
        "ä",
        "\u{feff}",
        "\0",
        "COPY t FROM stdin;\n",
    ]);
    prop::collection::vec(scrap, 0..40).prop_map(|scraps| scraps.concat())
}

proptest! {
    #[test]
    fn nothing_but_comments_is_lost(sql in prop_oneof![scraps(), any::<String>()]) {
        let Ok(pieces) = split(&sql) else { return Ok(()) };
        let mut at = 0;
        for piece in &pieces {
            prop_assert!(at <= piece.range.start && piece.range.start < piece.range.end);
            prop_assert!(!sql[piece.range.clone()].is_empty());
            at = piece.range.end;
        }
        // Without a backslash there are neither psql's lines nor data, so that all that is no statement can be named.
        if sql.contains('\\') {
            return Ok(());
        }
        for token in Tokens::new(&sql).filter(|token| !token.is_trivia()) {
            let next = pieces.partition_point(|piece| piece.range.end < token.range.end);
            let inside = pieces.get(next).is_some_and(|piece| piece.range.start <= token.range.start);
            prop_assert!(inside || token.kind == TokenKind::Semi, "{:?} is lost", &sql[token.range]);
        }
    }

    #[test]
    fn a_statement_alone_is_one_statement(sql in scraps()) {
        // A byte order mark is one at the start of a script; elsewhere it is a letter to PostgreSQL.
        let sql = sql.replace('\u{feff}', "");
        let Ok(pieces) = split(&sql) else { return Ok(()) };
        for piece in pieces.into_iter().filter(|piece| piece.copy_data.is_none()) {
            let alone = &sql[piece.range];
            let again = split(alone).unwrap();
            prop_assert_eq!(again.len(), 1);
            // A trailing comment goes where no `;` follows.
            prop_assert!(alone.starts_with(&alone[again[0].range.clone()]));
        }
    }

    #[test]
    fn words_are_read_from_anything(statement in any::<String>()) {
        let _ = refuses_transaction(&statement);
    }
}
