//! Scripts, their directives and their encodings.

use dbctl_migration::{
    Checksum, Directives,
    split::{Piece, SplitError, refuses_transaction, split},
    text::{decode, position},
};
use proptest::prelude::*;

use crate::{
    cases,
    files::seeds,
    mutate::{changed, changes},
};

/// A script that uses all that there is.
const SCRIPT: &str = r#"-- dbctl:lock-timeout 2s
-- dbctl:requires core@20260101000000
\restrict abc
/* a /* nested */ comment; */ create table t (a int default 1, "b;" text, c text default E'\';' -- one
  'two');
insert into t values (1, 'a;''b', $x$ ; $$ $x$), (2, U&'d\0061', N'x'), (3, B'01', X'ff');
create or replace function f() returns int language sql begin atomic select case when true then 1 end; end;
create rule r as on insert to t do also (select 1; select 2);
copy t (a) from stdin;
1;	'
\N
\.
copy t from stdin; copy t from stdin; -- two
1
\.
2
\.
\unrestrict abc
select $1, a$b$ from t where a <-- b
  1;
create index concurrently i on t (a)
"#;

fn almost_a_script() -> impl Strategy<Value = String> {
    changes().prop_map(|changes| String::from_utf8_lossy(&changed(SCRIPT.as_bytes(), &changes)).into_owned())
}

fn any_script() -> impl Strategy<Value = String> {
    prop_oneof![4 => almost_a_script(), 1 => any::<String>()]
}

/// The text of a piece as the server gets it.
fn texts(sql: &str, pieces: &[Piece]) -> Vec<(String, Option<String>)> {
    let lf = |text: &str| text.replace("\r\n", "\n");
    let text =
        |piece: &Piece| (lf(&sql[piece.range.clone()]), piece.copy_data.clone().map(|data| lf(&sql[data])));
    pieces.iter().map(text).collect()
}

/// The variant and what it is about, without its place.
fn kind(error: &SplitError) -> String {
    match error {
        SplitError::MetaCommand { command, .. } | SplitError::DotCommand { command, .. } => {
            format!("command {command}")
        }
        SplitError::Unterminated { what, .. } => (*what).to_owned(),
        SplitError::UnterminatedCopy { .. } => "copy".to_owned(),
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn pieces_joined_are_the_same_pieces(sql in any_script()) {
        let Ok(pieces) = split(&sql) else { return Ok(()) };
        let texts = texts(&sql, &pieces);
        let mut joined = String::new();
        for ((statement, data), piece) in texts.iter().zip(&pieces) {
            // Inside of a parenthesis that is never closed, one more would be part of the statement.
            let end = if sql[piece.range.end..].starts_with(';') { ";\n" } else { "" };
            joined += &format!("{statement}{end}");
            joined += &data.as_ref().map_or_else(String::new, |data| format!("{data}\\.\n"));
        }
        let again = split(&joined).unwrap();
        prop_assert_eq!(self::texts(&joined, &again), texts);
    }

    #[test]
    fn carriage_returns_split_nothing(sql in any_script()) {
        let unix = sql.replace('\r', "");
        let windows = unix.replace('\n', "\r\n");
        match (split(&unix), split(&windows)) {
            (Ok(a), Ok(b)) => {
                prop_assert_eq!(texts(&unix, &a), texts(&windows, &b));
                for (a, b) in a.into_iter().zip(b) {
                    prop_assert_eq!(refuses_transaction(&unix[a.range]), refuses_transaction(&windows[b.range]));
                }
            }
            (Err(a), Err(b)) => prop_assert_eq!(kind(&a), kind(&b)),
            (a, b) => prop_assert!(false, "{:?}, but {:?}", a, b),
        }
        prop_assert_eq!(Directives::parse(&unix), Directives::parse(&windows));
        // The data of a `COPY` and a psql command end at a line feed only.
        let plain = unix.replace('\\', "").replace("stdin", "x");
        prop_assert_eq!(Directives::parse(&plain), Directives::parse(&plain.replace('\n', "\r")));
        prop_assert_eq!(Checksum::of_text(&unix), Checksum::of_text(&windows));
    }

    #[test]
    fn what_is_wrong_has_a_place_in_the_script(sql in any_script()) {
        if let Err(error) = split(&sql) {
            let text = error.to_string();
            prop_assert!(!text.contains(char::is_control), "{:?}", text);
            let offset = error.offset();
            prop_assert!(offset < sql.len() && sql.is_char_boundary(offset));
            prop_assert!(position(&sql, offset).line <= sql.lines().count().max(1) + sql.matches('\r').count());
        }
        if let Err(error) = Directives::parse(&sql) {
            let text = format!("{error}{}", error.hint.as_deref().unwrap_or_default());
            prop_assert!(!text.contains(char::is_control), "{:?}", text);
            prop_assert!(error.line > 0 && error.column > 0);
        }
    }

    #[test]
    fn bytes_are_text_or_refused_with_a_place(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            changes().prop_map(|changes| changed(SCRIPT.as_bytes(), &changes)),
        ],
    ) {
        match decode(bytes.clone(), "m/x.sql".as_ref()) {
            Ok(text) => {
                let bare = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
                prop_assert_eq!(text.as_bytes(), bare);
                prop_assert!(!text.contains('\0'));
            }
            Err(error) => prop_assert!(error.to_string().starts_with("m/x.sql:"), "{}", error),
        }
    }
}

#[test]
fn the_script_and_the_seeds_are_split() {
    assert_eq!(split(SCRIPT).unwrap().len(), 9);
    assert_eq!(Directives::parse(SCRIPT).unwrap().requires.len(), 1);
    for (_, files) in seeds() {
        for (name, text) in files.iter().filter(|(name, _)| name.ends_with(b".sql")) {
            let text = std::str::from_utf8(text).unwrap();
            assert!(split(text).is_ok(), "{}", name.escape_ascii());
        }
    }
}
