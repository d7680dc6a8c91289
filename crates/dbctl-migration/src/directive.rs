//! Directives: comments at the top of a file that speak to dbctl, in every format.

use std::time::Duration;

use thiserror::Error;

use crate::{Dialect, split, text::one_line};

/// The names a `-- dbctl:` comment may have.
const NAMES: [&str; 5] =
    ["no-transaction", "lock-timeout", "statement-timeout", "requires", "changes-history"];

/// The longest time limit that PostgreSQL takes: an `int` of milliseconds.
const MAX_TIMEOUT_MS: u64 = i32::MAX as u64;

/// What the `-- dbctl:` comments at the top of a file ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directives {
    /// `-- dbctl:no-transaction`: run outside a transaction, statement by statement.
    pub no_transaction: bool,
    /// `-- dbctl:lock-timeout 2s`: instead of the default; zero waits for ever, as in PostgreSQL.
    pub lock_timeout: Option<Duration>,
    /// `-- dbctl:statement-timeout 10min`: each statement of the file is cancelled after that long; zero is never.
    pub statement_timeout: Option<Duration>,
    /// `-- dbctl:changes-history`: the file may write to the tables that say what is applied.
    pub changes_history: bool,
    /// `-- dbctl:requires core@20260101120000`: applied there before this runs.
    pub requires: Vec<Requirement>,
}

/// A migration of another database that has to be applied first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The other database's key.
    pub database: String,
    /// The version or name that has to be applied there.
    pub version: String,
    /// The line of the directive, from 1.
    pub line: usize,
}

/// A `-- dbctl:` comment that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", one_line(message))]
pub struct DirectiveError {
    /// What is wrong with it.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
    /// Line in the file, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Directives {
    /// Reads the directives above the first statement of a file; each is a `--` comment with a line of its own. An
    /// unknown one is an error with a suggestion, and so is one that stands below, where it would have no effect.
    pub fn parse(text: &str) -> Result<Self, DirectiveError> {
        Self::parse_as(text, Dialect::Postgres)
    }

    /// The same of a file that is somebody else's SQL: what is a comment there, and what a statement.
    pub fn parse_as(text: &str, dialect: Dialect) -> Result<Self, DirectiveError> {
        let mut directives = Self::default();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut comments = None;
        for (index, line) in lines(text).enumerate() {
            let Some(comment) = line.trim_start().strip_prefix("--") else { continue };
            let found = directive(line, comment, index + 1);
            if found == Ok(None) {
                continue;
            }
            // Most files have no directive, and need not be taken apart.
            let comments = comments.get_or_insert_with(|| split::line_comments(text, dialect));
            let offset = offset_in(text, comment) - "--".len();
            match (comments.get(&offset), found) {
                (Some(true), found) => found?.map_or(Ok(()), |found| directives.take(&found))?,
                (Some(false), Ok(Some(found))) => return Err(found.below()),
                // Text of a string or of a function, or words that only resemble a directive.
                (Some(false), _) | (None, _) => {}
            }
        }
        Ok(directives)
    }

    /// Adds what a later part of the same file asks for; where both set one thing, the later part decides.
    pub(crate) fn and(mut self, later: Self) -> Self {
        self.no_transaction |= later.no_transaction;
        self.changes_history |= later.changes_history;
        self.lock_timeout = later.lock_timeout.or(self.lock_timeout);
        self.statement_timeout = later.statement_timeout.or(self.statement_timeout);
        self.requires.extend(later.requires);
        self
    }

    /// Moves all lines down, for directives that were read from a part of a file.
    pub(crate) fn below(mut self, lines_above: usize) -> Self {
        for requirement in &mut self.requires {
            requirement.line += lines_above;
        }
        self
    }

    fn take(&mut self, directive: &Directive<'_>) -> Result<(), DirectiveError> {
        match directive.name {
            "no-transaction" => self.no_transaction = directive.is_alone()?,
            "changes-history" => self.changes_history = directive.is_alone()?,
            "lock-timeout" => directive.set(&mut self.lock_timeout)?,
            "statement-timeout" => directive.set(&mut self.statement_timeout)?,
            "requires" => self.requires.extend(directive.requirements()?),
            unknown => return Err(directive.unknown(unknown)),
        }
        Ok(())
    }
}

/// One `-- dbctl:name argument` line.
#[derive(PartialEq, Eq)]
struct Directive<'a> {
    name: &'a str,
    argument: &'a str,
    line: usize,
    name_column: usize,
    argument_column: usize,
}

/// The directive in a comment, or `None` where the comment speaks to people only.
fn directive<'a>(
    line: &'a str,
    comment: &'a str,
    number: usize,
) -> Result<Option<Directive<'a>>, DirectiveError> {
    let column = |part: &str| line[..offset_in(line, part)].chars().count() + 1;
    let Some((prefix, rest)) = comment.split_once(':') else { return Ok(None) };
    let prefix = prefix.trim();
    let rest = rest.trim();
    let (name, argument) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
    let argument = argument.trim_start();
    let found = Directive {
        name,
        argument,
        line: number,
        name_column: column(name),
        argument_column: column(argument),
    };
    if prefix.eq_ignore_ascii_case("dbctl") {
        return Ok(Some(found));
    }
    // `-- dbtcl:no-transaction` would be a comment without effect, and nobody would notice before production does.
    if NAMES.contains(&name) && strsim::damerau_levenshtein(&prefix.to_lowercase(), "dbctl") <= 2 {
        return Err(DirectiveError {
            message: format!("unknown prefix `{prefix}:` of the directive `{name}`"),
            hint: Some(format!("did you mean `-- dbctl:{name}`?")),
            line: number,
            column: column(prefix),
        });
    }
    Ok(None)
}

impl Directive<'_> {
    fn error(&self, message: &str, hint: &str) -> DirectiveError {
        DirectiveError {
            message: message.to_owned(),
            hint: Some(hint.to_owned()),
            line: self.line,
            column: self.argument_column,
        }
    }

    /// The error of one that stands where it has no effect.
    fn below(&self) -> DirectiveError {
        DirectiveError {
            message: format!(
                "the directive `{}` stands below the first statement, where it has no effect",
                self.name
            ),
            hint: Some("move it to the top, above the first statement".to_owned()),
            line: self.line,
            column: self.name_column,
        }
    }

    fn unknown(&self, name: &str) -> DirectiveError {
        let nearest = NAMES
            .into_iter()
            .map(|known| (strsim::damerau_levenshtein(&name.to_lowercase().replace('_', "-"), known), known))
            .min()
            .filter(|(distance, known)| *distance <= known.len() / 3);
        DirectiveError {
            message: if name.is_empty() {
                "the directive has no name".to_owned()
            } else {
                format!("unknown directive `{name}`")
            },
            hint: Some(nearest.map_or_else(
                || format!("dbctl knows {}", NAMES.map(|known| format!("`{known}`")).join(", ")),
                |(_, known)| format!("did you mean `{known}`?"),
            )),
            line: self.line,
            column: self.name_column,
        }
    }

    /// `true`, for a directive that takes no argument.
    fn is_alone(&self) -> Result<bool, DirectiveError> {
        if self.argument.is_empty() {
            return Ok(true);
        }
        Err(self.error(&format!("`{}` takes no argument", self.name), &format!("-- dbctl:{}", self.name)))
    }

    /// Sets what may be set once.
    fn set(&self, time: &mut Option<Duration>) -> Result<(), DirectiveError> {
        if time.is_some() {
            return Err(self.error(&format!("`{}` is set twice", self.name), "keep one of them"));
        }
        *time = Some(self.duration()?);
        Ok(())
    }

    /// A whole number with `ms`, `s`, `m` (or PostgreSQL's `min`) or `h`.
    fn duration(&self) -> Result<Duration, DirectiveError> {
        let example = &format!("write it as `-- dbctl:{} 2s`; units are ms, s, m and h", self.name);
        if self.argument.is_empty() {
            return Err(self.error(&format!("`{}` needs a duration", self.name), example));
        }
        let wrong = || self.error(&format!("`{}` is not a duration", self.argument), example);
        let digits = self.argument.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.argument.len());
        let (number, unit) = self.argument.split_at(digits);
        let unit_ms = match unit.trim_start() {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        if number.is_empty() {
            return Err(wrong());
        }
        number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(unit_ms))
            .filter(|ms| *ms <= MAX_TIMEOUT_MS)
            .map(Duration::from_millis)
            .ok_or_else(|| {
                self.error(&format!("`{}` is too long", self.argument), "PostgreSQL takes 24 days")
            })
    }

    /// `key@version`, one or more of them.
    fn requirements(&self) -> Result<Vec<Requirement>, DirectiveError> {
        let example = "write it as `-- dbctl:requires core@20260101120000`";
        if self.argument.is_empty() {
            return Err(self.error("`requires` needs a database and a version", example));
        }
        let parse = |text: &str| match text.split_once('@') {
            Some((database, version)) if !database.is_empty() && !version.is_empty() => Ok(Requirement {
                database: database.to_owned(),
                version: version.to_owned(),
                line: self.line,
            }),
            _ => Err(DirectiveError {
                column: self.argument_column
                    + self.argument[..offset_in(self.argument, text)].chars().count(),
                ..self.error(&format!("`{text}` is not a database and a version"), example)
            }),
        };
        self.argument.split_whitespace().map(parse).collect()
    }
}

/// Where `part`, a slice of `whole`, starts in it.
fn offset_in(whole: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize).min(whole.len())
}

/// Lines without their ending, which is `\n`, `\r\n` or a lone `\r`, as [`crate::text::position`] counts them.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r']) else {
            rest = None;
            return Some(text);
        };
        let after = &text[end..];
        rest = after.strip_prefix("\r\n").or_else(|| after.get(1..));
        Some(&text[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(database: &str, version: &str, line: usize) -> Requirement {
        Requirement { database: database.to_owned(), version: version.to_owned(), line }
    }

    #[test]
    fn directives_are_read_above_the_first_statement() {
        let none = Directives::default();
        let outside = Directives { no_transaction: true, ..Directives::default() };
        let timeout =
            |ms| Directives { lock_timeout: Some(Duration::from_millis(ms)), ..Directives::default() };
        let cases = [
            ("", none.clone()),
            ("-- a comment: with a colon\nselect 1;", none.clone()),
            ("-- dbctl:no-transaction", outside.clone()),
            ("--dbctl:no-transaction\r\n", outside.clone()),
            ("\u{feff}\n\n  --  DBCTL: no-transaction  \nselect 1;", outside.clone()),
            ("-- licence\r\r-- dbctl:no-transaction\rselect 1;", outside.clone()),
            ("-- dbctl:no-transaction\n-- dbctl:no-transaction\n", outside.clone()),
            ("/* licence,\n   /* nested */\n*/\n\n-- dbctl:no-transaction\nselect 1;", outside.clone()),
            ("/* a */ /* b */\n-- c\n/* d */\n-- dbctl:no-transaction", outside.clone()),
            ("\\restrict x\n-- dbctl:no-transaction\nselect 1;", outside),
            ("-- dbctl:changes-history\n", Directives { changes_history: true, ..Directives::default() }),
            ("/*\n-- dbctl:nonsense\n*/\nselect 1;", none.clone()),
            ("/* never closed\n-- dbctl:nonsense\n", none.clone()),
            // What is no comment line, and what belongs to something else.
            ("select 1; -- dbctl:nonsense", none.clone()),
            ("select '\n-- dbctl:no-transaction\n';", none.clone()),
            ("do $$\n-- dbctl:no-transaction\nbegin end $$;", none.clone()),
            ("select 1 as \"\n-- dbctl:no-transaction\n\";", none.clone()),
            ("copy t from stdin;\n-- dbctl:no-transaction\n\\.\n", none.clone()),
            (
                "create function f() returns int language sql begin atomic\n-- dbctl:no-transaction\nselect 1; end;",
                none.clone(),
            ),
            ("select 1;\n-- dbtcl:no-transaction", none.clone()),
            ("select 1;\n-- a comment: with a colon", none),
            ("-- dbctl:lock-timeout 500ms", timeout(500)),
            ("-- dbctl:lock-timeout 2s", timeout(2_000)),
            ("-- dbctl:lock-timeout 3 m", timeout(180_000)),
            ("-- dbctl:lock-timeout 0s", timeout(0)),
            ("-- dbctl:lock-timeout 1h", timeout(3_600_000)),
            (
                "-- dbctl:statement-timeout 10min\n-- dbctl:lock-timeout 1s",
                Directives { statement_timeout: Some(Duration::from_secs(600)), ..timeout(1_000) },
            ),
            (
                "-- x\n-- dbctl:requires core@20260101120000\n\n-- dbctl:requires a@1_init b@2@3\n",
                Directives {
                    requires: vec![
                        requirement("core", "20260101120000", 2),
                        requirement("a", "1_init", 4),
                        requirement("b", "2@3", 4),
                    ],
                    ..Directives::default()
                },
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(Directives::parse(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_an_error_with_a_place_and_a_hint() {
        let lock_timeout = "write it as `-- dbctl:lock-timeout 2s`; units are ms, s, m and h";
        let statement_timeout = "write it as `-- dbctl:statement-timeout 2s`; units are ms, s, m and h";
        let requires = "write it as `-- dbctl:requires core@20260101120000`";
        let above = "move it to the top, above the first statement";
        let all = "dbctl knows `no-transaction`, `lock-timeout`, `statement-timeout`, `requires`, `changes-history`";
        let cases = [
            (
                "-- dbctl:no-transction",
                (1, 10),
                "unknown directive `no-transction`",
                "did you mean `no-transaction`?",
            ),
            (
                "\n -- dbctl:No_Transaction",
                (2, 11),
                "unknown directive `No_Transaction`",
                "did you mean `no-transaction`?",
            ),
            ("-- dbctl:require core@1", (1, 10), "unknown directive `require`", "did you mean `requires`?"),
            ("-- dbctl:frobnicate", (1, 10), "unknown directive `frobnicate`", all),
            ("-- dbctl:", (1, 10), "the directive has no name", all),
            (
                "select 1;\n\n-- dbctl:no-transaction\nselect 2;",
                (3, 10),
                "the directive `no-transaction` stands below the first statement, where it has no effect",
                above,
            ),
            (
                "-- dbctl:lock-timeout 1s\ncreate table t (\n  -- dbctl:requires a@1\n  id int\n)",
                (3, 12),
                "the directive `requires` stands below the first statement, where it has no effect",
                above,
            ),
            (
                "/* a */ select 1; /* b\n*/\n-- DBCTL: frobnicate",
                (3, 11),
                "the directive `frobnicate` stands below the first statement, where it has no effect",
                above,
            ),
            (
                "copy t from stdin;\n1\n\\.\n-- dbctl:no-transaction\n",
                (4, 10),
                "the directive `no-transaction` stands below the first statement, where it has no effect",
                above,
            ),
            (
                "-- dbtcl:no-transaction",
                (1, 4),
                "unknown prefix `dbtcl:` of the directive `no-transaction`",
                "did you mean `-- dbctl:no-transaction`?",
            ),
            (
                "-- dbctl:no-transaction please",
                (1, 25),
                "`no-transaction` takes no argument",
                "-- dbctl:no-transaction",
            ),
            ("-- dbctl:lock-timeout", (1, 22), "`lock-timeout` needs a duration", lock_timeout),
            ("-- dbctl:lock-timeout 2", (1, 23), "`2` is not a duration", lock_timeout),
            ("-- dbctl:lock-timeout s", (1, 23), "`s` is not a duration", lock_timeout),
            ("-- dbctl:lock-timeout 2d", (1, 23), "`2d` is not a duration", lock_timeout),
            (
                "-- dbctl:statement-timeout",
                (1, 27),
                "`statement-timeout` needs a duration",
                statement_timeout,
            ),
            (
                "-- dbctl:statement_timeout 1s",
                (1, 10),
                "unknown directive `statement_timeout`",
                "did you mean `statement-timeout`?",
            ),
            ("-- dbctl:lock-timeout -2s", (1, 23), "`-2s` is not a duration", lock_timeout),
            ("-- dbctl:lock-timeout 99999m", (1, 23), "`99999m` is too long", "PostgreSQL takes 24 days"),
            (
                "-- dbctl:lock-timeout 99999999999999999999s",
                (1, 23),
                "`99999999999999999999s` is too long",
                "PostgreSQL takes 24 days",
            ),
            (
                "-- dbctl:lock-timeout 1s\n-- dbctl:lock-timeout 2s",
                (2, 23),
                "`lock-timeout` is set twice",
                "keep one of them",
            ),
            ("-- dbctl:requires", (1, 18), "`requires` needs a database and a version", requires),
            ("-- dbctl:requires core", (1, 19), "`core` is not a database and a version", requires),
            ("-- dbctl:requires  a@1 @2", (1, 24), "`@2` is not a database and a version", requires),
            ("-- dbctl:requires core@", (1, 19), "`core@` is not a database and a version", requires),
        ];
        for (text, (line, column), message, hint) in cases {
            let expected =
                DirectiveError { message: message.to_owned(), hint: Some(hint.to_owned()), line, column };
            assert_eq!(Directives::parse(text), Err(expected), "{text:?}");
        }
    }
}
