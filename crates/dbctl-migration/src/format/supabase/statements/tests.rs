use proptest::prelude::*;

use super::*;

/// What `supabase migration up` 3.1.0 has recorded.
#[test]
fn statements_are_those_of_the_tool() {
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        ("-- only\n", &["-- only"]),
        (";;\n;", &[]),
        (
            "\n-- head\ncreate table a(i int);;\n\n/* x;y */ insert into a values (1) ; -- t;1\nselect $q$a;b$q$, \
             E'it\\';x' ;\n;\n-- trailing",
            &[
                "-- head\ncreate table a(i int)",
                "/* x;y */ insert into a values (1)",
                "-- t;1\nselect $q$a;b$q$, E'it\\';x'",
                "-- trailing",
            ],
        ),
        (
            "create function f() returns int language sql begin atomic select 1; select case when true then 2 end; \
             end;\ncreate rule r as on insert to a do also (select 1; select 2);\nselect (1);",
            &[
                "create function f() returns int language sql begin atomic select 1; select case when true then 2 end; \
                 end",
                "create rule r as on insert to a do also (select 1; select 2)",
                "select (1)",
            ],
        ),
        (
            "BEGIN;\r\nSET LOCAL lock_timeout = '1s';\r\nCOMMIT;\r\n",
            &["BEGIN", "SET LOCAL lock_timeout = '1s'", "COMMIT"],
        ),
        ("select 'a''b;c', \"d;e\", a/b, a-b;x", &["select 'a''b;c', \"d;e\", a/b, a-b", "x"]),
        ("/* a /* ; */ ; */ x; y", &["/* a /* ; */ ; */ x", "y"]),
        ("select 'a\\'; b';", &["select 'a\\'", "b'"]),
        ("select E'a' -- ;\n 'b\\';c'; d", &["select E'a' -- ;\n 'b\\';c'", "d"]),
        ("select a$b$;c$b$;", &["select a$b$", "c$b$"]),
        ("select $1;$_ä9$ ; $_ä9$;", &["select $1", "$_ä9$ ; $_ä9$"]),
        ("select \\;x; y", &["select \\;x", "y"]),
        ("\u{feff}a;\u{a0}b\u{85};", &["a", "b\u{85}"]),
        // Where it is wrong, so are its rows.
        ("do also (select (1); select 2);", &["do also (select (1)", "select 2)"]),
        ("a $$$;b$$; c", &["a $$$", "b$$", "c"]),
    ];
    for (sql, expected) in cases {
        assert_eq!(statements(sql), *expected, "{sql:?}");
    }
}

proptest! {
    /// Where there are no comments, what is recorded is what runs.
    #[test]
    fn ordinary_statements_are_cut_as_they_run(
        parts in proptest::collection::vec(
            "(select 1|'a;b'|\"c;d\"|\\$\\$;\\$\\$|\\$t\\$;'\\$t\\$|E'\\\\';'|;\n|\\(x; y\\)|\r\n| )", 0..20
        )
    ) {
        let sql = parts.join(" ");
        let Ok(pieces) = crate::split::split(&sql) else { return Ok(()) };
        let ran: Vec<_> = pieces.into_iter().map(|piece| &sql[piece.range]).collect();
        let recorded = statements(&sql);
        prop_assert!(recorded.iter().eq(ran.iter().map(|ran| ran.trim_end())), "{recorded:?} {ran:?}");
    }
}

#[test]
fn long_files_cost_linear_time() {
    for run in ["a$", "/*", "(", "E'' ", "$a", "--\n", "begin atomic ", "end "] {
        let text = run.repeat(1_000_000 / run.len());
        assert!(statements(&text).len() <= 1, "{run}");
    }
    assert_eq!(statements(&"a;".repeat(300_000)).len(), 300_000);
}
