//! Splitting a script into statements as SQLite does: its quotes, its comments, and triggers, whose bodies hold `;`.
//!
//! The rules are those of `sqlite3_complete` (<https://sqlite.org/c3ref/complete.html>): a statement ends at a `;` outside of
//! quotes and comments, a `CREATE TRIGGER` at the `;` of its `; END ;`.

use super::{Piece, SplitError};

/// Splits a script into its statements; empty ones and comments alone are left out.
pub fn split(sql: &str) -> Result<Vec<Piece>, SplitError> {
    scan(sql, &mut |_, _| {})
}

/// `on_comment` is told where each `--` comment starts, and whether it stands above the first statement; those inside a
/// trigger belong to the trigger.
pub(super) fn scan(sql: &str, on_comment: &mut dyn FnMut(usize, bool)) -> Result<Vec<Piece>, SplitError> {
    let mut pieces = Vec::new();
    let mut open: Option<Open> = None;
    let mut at = 0;
    while let Some(token) = token(sql, at)? {
        let range = at..at + token.len;
        at = range.end;
        match token.kind {
            Kind::Space => {
                let is_own = open.as_ref().is_none_or(|open| open.head != Head::Trigger);
                if is_own && sql[range.clone()].starts_with("--") {
                    on_comment(range.start, open.is_none() && pieces.is_empty());
                }
                continue;
            }
            Kind::Dot if open.is_none() && starts_line(sql, range.start) => {
                let line = sql[range.start..].lines().next().unwrap_or_default();
                let command = line.split_whitespace().next().unwrap_or_default();
                return Err(SplitError::DotCommand { command: command.to_owned(), offset: range.start });
            }
            Kind::Semi if open.as_ref().is_none_or(Open::may_end) => {
                if let Some(open) = open.take() {
                    pieces.push(Piece { range: open.start..range.start, copy_data: None });
                }
                continue;
            }
            Kind::Word | Kind::Dot | Kind::Semi | Kind::Other => {}
        }
        let text = &sql[range.clone()];
        open.get_or_insert_with(|| Open::new(range.start)).take(token.kind, text, range.end);
    }
    pieces.extend(open.map(|open| Piece { range: open.start..open.end, copy_data: None }));
    Ok(pieces)
}

/// The words and signs of a statement, each quoted name or string as it stands; comments left out. What never ends is left
/// out, too.
pub fn words(statement: &str) -> impl Iterator<Item = &str> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let token = token(statement, at).ok().flatten()?;
            let range = at..at + token.len;
            at = range.end;
            if token.kind != Kind::Space {
                return Some(&statement[range]);
            }
        }
    })
}

fn starts_line(sql: &str, offset: usize) -> bool {
    sql[..offset].chars().next_back().is_none_or(|before| before == '\n' || before == '\u{feff}')
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// White space and comments.
    Space,
    Word,
    Semi,
    Dot,
    /// A string, a quoted name, a sign.
    Other,
}

struct Token {
    kind: Kind,
    len: usize,
}

/// The token at a byte offset; `None` at the end.
fn token(sql: &str, at: usize) -> Result<Option<Token>, SplitError> {
    let rest = &sql[at..];
    let Some(first) = rest.chars().next() else { return Ok(None) };
    let quoted = |what, close: char| {
        closing(rest, close)
            .map(|len| (Kind::Other, len))
            .ok_or(SplitError::Unterminated { what, offset: at })
    };
    let (kind, len) = match first {
        // SQLite passes over a byte order mark in front; elsewhere it is a letter to it.
        '\u{feff}' if at == 0 => (Kind::Space, first.len_utf8()),
        ' ' | '\t' | '\n' | '\r' | '\u{c}' => (Kind::Space, 1),
        '-' if rest.starts_with("--") => (Kind::Space, rest.find('\n').unwrap_or(rest.len())),
        // One that never ends is a comment to SQLite all the same.
        '/' if rest.starts_with("/*") => {
            (Kind::Space, rest[2..].find("*/").map_or(rest.len(), |inside| inside + 4))
        }
        '\'' => quoted("string", '\'')?,
        '"' => quoted("quoted name", '"')?,
        '`' => quoted("quoted name", '`')?,
        '[' => match rest.find(']') {
            Some(end) => (Kind::Other, end + 1),
            None => return Err(SplitError::Unterminated { what: "quoted name", offset: at }),
        },
        ';' => (Kind::Semi, 1),
        '.' => (Kind::Dot, 1),
        _ if is_letter(first) => (Kind::Word, rest.find(|c| !is_letter(c)).unwrap_or(rest.len())),
        _ => (Kind::Other, first.len_utf8()),
    };
    Ok(Some(Token { kind, len }))
}

/// As SQLite's tokenizer has it: whatever is no ASCII is a letter.
fn is_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// The length of what begins and ends with a quote, which stands for itself where it is doubled.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut at = 1;
    loop {
        at += text[at..].find(quote)? + 1;
        if !text[at..].starts_with(quote) {
            return Some(at);
        }
        at += 1;
    }
}

/// A statement whose end has not been seen.
struct Open {
    start: usize,
    /// End of its last token.
    end: usize,
    head: Head,
    /// How far the end of a trigger's body has been seen.
    body: Body,
}

/// What its first words make of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Head {
    Start,
    Explain,
    Create,
    Trigger,
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    Inside,
    /// Behind a `;`.
    Semi,
    /// Behind a `; END`.
    End,
}

impl Open {
    fn new(start: usize) -> Self {
        Self { start, end: start, head: Head::Start, body: Body::Inside }
    }

    fn may_end(&self) -> bool {
        self.head != Head::Trigger || self.body == Body::End
    }

    fn take(&mut self, kind: Kind, text: &str, end: usize) {
        self.end = end;
        let is = |word: &str| kind == Kind::Word && text.eq_ignore_ascii_case(word);
        self.body = match self.body {
            _ if kind == Kind::Semi => Body::Semi,
            Body::Semi if is("end") => Body::End,
            Body::Inside | Body::Semi | Body::End => Body::Inside,
        };
        self.head = match self.head {
            Head::Start if is("explain") => Head::Explain,
            Head::Explain if is("query") || is("plan") => Head::Explain,
            Head::Start | Head::Explain if is("create") => Head::Create,
            Head::Create if is("temp") || is("temporary") => Head::Create,
            Head::Create if is("trigger") => Head::Trigger,
            Head::Trigger => Head::Trigger,
            Head::Start | Head::Explain | Head::Create | Head::Other => Head::Other,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(sql: &str) -> Vec<&str> {
        split(sql).unwrap().into_iter().map(|piece| &sql[piece.range]).collect()
    }

    #[test]
    fn statements_end_where_sqlite_ends_them() {
        let trigger = "CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE b SET c = CASE WHEN 1 THEN 2 END; \
                       DELETE FROM b WHERE \"end\" = ';'; END";
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            (";;; ; -- only comments\n/* ; */;", &[]),
            ("\u{feff}select 1 ; -- end", &["select 1 "]),
            ("select 1 -- end", &["select 1"]),
            ("-- a\nselect 1; /* b */ select 2;\n", &["select 1", "select 2"]),
            ("select ';''', \";\"\"\", `;```, [;]; b", &["select ';''', \";\"\"\", `;```, [;]", "b"]),
            ("a /* /* ; */ ; b */", &["a /* /* ; */ ", "b */"]),
            ("a -- ;\r ;\n ; b", &["a -- ;\r ;\n ", "b"]),
            ("select 1 /* never ends ;", &["select 1"]),
            ("select '\\'; b", &["select '\\'", "b"]),
            ("select 'ä;ö' as ü; b", &["select 'ä;ö' as ü", "b"]),
            ("BEGIN; select 1; END; b", &["BEGIN", "select 1", "END", "b"]),
            ("create table trigger_end (a); end; b", &["create table trigger_end (a)", "end", "b"]),
            ("explain query plan create table t (a); b", &["explain query plan create table t (a)", "b"]),
            ("select 1\n.5; b", &["select 1\n.5", "b"]),
        ];
        for (sql, expected) in cases {
            assert_eq!(texts(sql), *expected, "{sql:?}");
        }
        for head in [
            "CREATE TRIGGER",
            "create temp  trigger",
            "CREATE TEMPORARY/**/TRIGGER",
            "explain create trigger",
        ] {
            let trigger = trigger.replacen("CREATE TRIGGER", head, 1);
            assert_eq!(
                texts(&format!("{trigger} /**/; select 2")),
                [format!("{trigger} /**/").as_str(), "select 2"]
            );
            assert_eq!(texts(&trigger), [&trigger]);
        }
    }

    #[test]
    fn comments_are_told() {
        let sql = "-- a\n/* -- b */ select '-- c'; -- d\ncreate trigger t after insert on a begin -- e\nselect 1; end; -- f";
        let mut told = Vec::new();
        scan(sql, &mut |offset, above| told.push((&sql[offset..offset + 4], above))).unwrap();
        assert_eq!(told, [("-- a", true), ("-- d", false), ("-- f", false)]);
    }

    #[test]
    fn what_never_ends_is_named() {
        let unterminated = |what, offset| Err(SplitError::Unterminated { what, offset });
        let dot = |command: &str, offset| Err(SplitError::DotCommand { command: command.to_owned(), offset });
        for (sql, expected) in [
            ("a 'b'';", unterminated("string", 2)),
            ("\"b\"\"", unterminated("quoted name", 0)),
            ("`b", unterminated("quoted name", 0)),
            ("[b", unterminated("quoted name", 0)),
            (".mode csv\n", dot(".mode", 0)),
            ("select 1;\n.read a.sql", dot(".read", 10)),
        ] {
            assert_eq!(split(sql), expected, "{sql:?}");
        }
    }

    #[test]
    fn words_are_those_that_count() {
        let words: Vec<_> = words(" PRAGMA /* a */ \"main\".foreign_keys=ON -- b").collect();
        assert_eq!(words, ["PRAGMA", "\"main\"", ".", "foreign_keys", "=", "ON"]);
    }

    proptest! {
        #[test]
        fn whatever_it_is_it_is_cut_and_not_changed(
            sql in "([;'\"`\\[\\]\n. -]|--|/\\*|\\*/|create |trigger |end|begin|ä|[a-c])*"
        ) {
            let Ok(pieces) = split(&sql) else { return Ok(()) };
            let mut end = 0;
            for piece in &pieces {
                prop_assert!(end <= piece.range.start && piece.range.start < piece.range.end);
                // A dot that does not start the line there must not start one here.
                let again = format!(" {}", &sql[piece.range.clone()]);
                prop_assert_eq!(texts(&again).len(), 1);
                end = piece.range.end;
            }
            let whole: usize = split(&format!("{sql}\n;")).map_or(0, |pieces| pieces.len());
            prop_assert!(whole <= pieces.len());
        }
    }
}
