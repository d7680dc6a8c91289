//! Errors as people see them: what went wrong, the source line with a caret, and what helps.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    path::Path,
    sync::Arc,
};

use dbctl_engine::{EngineError, Mark, SqlError, SqlLocation};
use dbctl_migration::FormatErrors;
use dbctl_runner::StepError;
use dbctl_workspace::ManifestErrors;
use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents,
    NamedSource, SourceCode, SourceSpan, SpanContents, ThemeCharacters, ThemeStyles,
};

use crate::{
    console::Paint,
    error::CliError,
    explain::{self, Explained},
    hint,
    paths::relative,
};

/// The most lines of a statement that are shown.
const MAX_STATEMENT_LINES: usize = 12;

/// The most characters of a line that are shown. What draws them can count to 65,535.
const MAX_LINE_CHARS: usize = 160;

/// How many of them stand before the place that is marked, where the line is longer.
const BEFORE_CHARS: usize = 60;

/// A step that failed on the database `key`: several lines, each with its end.
pub(crate) fn failure(error: &StepError, key: &str, paint: Paint) -> String {
    let mut text = String::new();
    match error {
        StepError::Engine(EngineError::Sql(sql)) | StepError::Exists { error: sql, .. } => {
            let code = paint.dim(&format!("({})", sql.code));
            headline(&mut text, paint, &format!("{key}: {} {code}", sql.message));
            statement(&mut text, sql, paint);
            footer(&mut text, paint, "detail", sql.detail.as_deref());
            footer(&mut text, paint, "context", sql.context.as_deref());
            footer(&mut text, paint, "hint", sql.hint.as_deref());
            footer(&mut text, paint, "help", hint::step(error, key).as_deref());
        }
        StepError::Engine(EngineError::Split { path, line, column, source_line, error: split }) => {
            headline(&mut text, paint, &format!("{key}: {split}"));
            let source = SourceLines::new(path, *line, *column, source_line, Mark::Error);
            text.push_str(&snippet(&source, source.label.clone(), 0, paint).unwrap_or_default());
            footer(&mut text, paint, "help", hint::step(error, key).as_deref());
        }
        StepError::Format(errors) => text.push_str(&formats(errors, Some(key), paint)),
        _ => {
            let Explained { message, path, line, output, settings, hint, .. } = explain::explain(error, key);
            headline(&mut text, paint, &format!("{key}: {message}"));
            if let Some(path) = path {
                let _ = writeln!(text, "  in {}", at(&path, line, None));
            }
            let output = Some(output.join("\n")).filter(|output| !output.is_empty());
            footer(&mut text, paint, "output", output.as_deref());
            footer(&mut text, paint, "settings", settings.as_deref());
            footer(&mut text, paint, "help", hint.as_deref());
        }
    }
    text
}

/// A command that ended without a summary.
pub(crate) fn command(error: &CliError, cwd: &Path, paint: Paint) -> String {
    match error {
        CliError::Manifest(errors) => return manifest(errors, cwd, paint),
        CliError::Format(errors) => return formats(errors, None, paint),
        CliError::Databases(errors) | CliError::Unreadable(errors) => {
            return errors.iter().map(|(key, error)| failure(error, key.as_str(), paint)).collect();
        }
        _ => {}
    }
    let mut text = String::new();
    match error {
        CliError::Declined | CliError::Interrupted => {
            let _ = writeln!(text, "{error}");
        }
        _ => headline(&mut text, paint, &error.to_string()),
    }
    if let CliError::Engine(error) = error
        && let EngineError::Connect(error) = &**error
    {
        footer(&mut text, paint, "settings", explain::settings(error));
    }
    footer(&mut text, paint, "help", hint::command(error).as_deref());
    text
}

/// All that is wrong with a manifest.
pub(crate) fn manifest(errors: &ManifestErrors, cwd: &Path, paint: Paint) -> String {
    let path = relative(&errors.path, cwd);
    let source = Arc::new(errors.source.clone());
    let mut text = String::new();
    for (at_problem, problem) in errors.problems.iter().enumerate() {
        if at_problem > 0 {
            text.push('\n');
        }
        headline(&mut text, paint, &problem.message);
        // With a password before it, its column in the file is not that in what is shown.
        let place = at(&path, Some(problem.line), Some(problem.column));
        let drawn = problem.span.as_ref().filter(|_| !errors.source.is_empty()).and_then(|span| {
            let lines = || errors.source.lines().skip(problem.line.saturating_sub(2)).take(3);
            if lines().any(|line| line.chars().nth(MAX_LINE_CHARS).is_some()) {
                let line = errors.source.lines().nth(problem.line.saturating_sub(1)).unwrap_or_default();
                let shown = errors.source[..span.start].chars().rev().take_while(|c| *c != '\n').count() + 1;
                let alone = SourceLines::new(&path, problem.line, shown, line, Mark::Error);
                let alone = SourceLines { name: place, ..alone };
                return snippet(&alone, alone.label.clone(), 0, paint);
            }
            let label = LabeledSpan::new(problem.label.clone(), span.start, span.len());
            snippet(&NamedSource::new(place, Arc::clone(&source)), label, 1, paint)
        });
        match drawn {
            Some(drawn) => text.push_str(&drawn),
            None => {
                let position = problem.span.as_ref().map(|_| problem.line);
                let _ = writeln!(text, "  in {}", at(&path, position, Some(problem.column)));
            }
        }
        footer(&mut text, paint, "help", problem.hint.as_deref());
    }
    text
}

fn formats(errors: &FormatErrors, key: Option<&str>, paint: Paint) -> String {
    let key = key.map(|key| format!("{key}: ")).unwrap_or_default();
    let mut text = String::new();
    for problem in explain::problems(errors) {
        let place = at(&problem.path, problem.line, problem.column);
        headline(&mut text, paint, &format!("{key}{place}: {}", problem.message));
        footer(&mut text, paint, "help", problem.hint.as_deref());
    }
    text
}

fn at(path: &Path, line: Option<usize>, column: Option<usize>) -> String {
    let mut text = path.display().to_string();
    for part in [line, line.and(column)].into_iter().flatten() {
        let _ = write!(text, ":{part}");
    }
    text
}

fn headline(text: &mut String, paint: Paint, message: &str) {
    let _ = writeln!(text, "{} {message}", paint.red("error:"));
}

/// `  name: value`, further lines below the first.
fn footer(text: &mut String, paint: Paint, name: &str, value: Option<&str>) {
    let Some(value) = value else { return };
    let indent = " ".repeat(name.len() + 4);
    let value = value.trim_end().replace('\n', &format!("\n{indent}"));
    let _ = writeln!(text, "  {} {value}", paint.cyan(&format!("{name}:")));
}

/// The source line with a caret, or the whole statement where PostgreSQL did not say where in it; where the statement is
/// dbctl's own, the statement.
fn statement(text: &mut String, sql: &SqlError, paint: Paint) {
    match (&sql.location, &sql.statement) {
        (Some(place), statement) => {
            let shown = match (place.mark, statement) {
                (Mark::Statement, Some(statement)) => statement_lines(place, statement),
                _ => place.source_line.clone(),
            };
            let source = SourceLines::new(&place.path, place.line, place.column, &shown, place.mark);
            let drawn = snippet(&source, source.label.clone(), 0, paint);
            text.push_str(&drawn.unwrap_or_else(|| {
                format!("  at {}\n", at(&place.path, Some(place.line), Some(place.column)))
            }));
        }
        (None, Some(statement)) => footer(text, paint, "statement", Some(statement)),
        (None, None) => {}
    }
}

/// The lines of the file that a statement stands on, as many as are worth showing.
fn statement_lines(place: &SqlLocation, statement: &str) -> String {
    let mut lines = vec![place.source_line.as_str()];
    lines.extend(statement.lines().skip(1));
    if lines.len() > MAX_STATEMENT_LINES {
        lines.truncate(MAX_STATEMENT_LINES - 1);
        lines.push("…");
    }
    // The first is cut where the place in it is known.
    let (first, rest) = lines.split_first().expect("there is the first");
    let rest = rest.iter().map(|line| cut(line).into_owned());
    std::iter::once((*first).to_owned()).chain(rest).collect::<Vec<_>>().join("\n")
}

/// The start of a line.
fn cut(line: &str) -> Cow<'_, str> {
    match line.char_indices().nth(MAX_LINE_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]).into(),
        None => line.into(),
    }
}

/// What can be shown of a line around one of its bytes, and where that byte is in it.
fn around(line: &str, at: usize) -> (Cow<'_, str>, usize) {
    if line.char_indices().nth(MAX_LINE_CHARS).is_none() {
        return (line.into(), at);
    }
    let from = line[..at].char_indices().rev().nth(BEFORE_CHARS - 1).map_or(0, |(byte, _)| byte);
    let ellipsis = if from > 0 { "…" } else { "" };
    (format!("{ellipsis}{}", cut(&line[from..])).into(), ellipsis.len() + at - from)
}

/// A frame around the source with the label in it; `None` if it cannot be drawn.
fn snippet(
    source: &dyn SourceCode,
    label: LabeledSpan,
    context_lines: usize,
    paint: Paint,
) -> Option<String> {
    let styles = if paint.0 { ThemeStyles::ansi() } else { ThemeStyles::none() };
    let theme = GraphicalTheme { characters: ThemeCharacters::unicode(), styles };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_links(false)
        .with_wrap_lines(false)
        .without_primary_span_start()
        .with_context_lines(context_lines);
    let mut drawn = String::new();
    handler.render_report(&mut drawn, &Snippet { source, label }).ok()?;
    // The frame alone: the headline is ours.
    let frame = drawn.lines().skip_while(|line| !line.contains('╭')).collect::<Vec<_>>();
    (!frame.is_empty()).then(|| frame.join("\n").trim_end().to_owned() + "\n")
}

struct Snippet<'s> {
    source: &'s dyn SourceCode,
    label: LabeledSpan,
}

impl fmt::Debug for Snippet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Snippet")
    }
}

impl fmt::Display for Snippet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("here")
    }
}

impl std::error::Error for Snippet<'_> {}

impl Diagnostic for Snippet<'_> {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(std::iter::once(self.label.clone())))
    }
}

/// A few lines of a file, which are all that is known of it.
struct SourceLines {
    /// The file and the place in it.
    name: String,
    text: String,
    /// Of the first one, from 1.
    line: usize,
    label: LabeledSpan,
}

impl SourceLines {
    /// With the word at the column of the first line marked; everything from there on where no place is known.
    fn new(path: &Path, line: usize, column: usize, text: &str, mark: Mark) -> Self {
        let name = at(path, Some(line), Some(column));
        let (first, rest) = text.split_at(text.find('\n').unwrap_or(text.len()));
        let at = first.char_indices().nth(column.saturating_sub(1)).map_or(first.len(), |(byte, _)| byte);
        let (first, start) = around(first, at);
        // So that an error at the end of the line has something to point at.
        let end = if start == first.len() { " " } else { "" };
        let text = format!("{first}{end}{rest}");
        let rest = text[start..].lines().next().unwrap_or_default().trim_end();
        let (label, length) = match mark {
            Mark::Error => (None, word(rest)),
            Mark::Statement => (Some("in the statement that starts here"), rest.len()),
            Mark::Header => (Some("the header of this file"), rest.len()),
        };
        let label = LabeledSpan::new(label.map(str::to_owned), start, length.max(1));
        Self { name, text, line, label }
    }
}

/// How many bytes the word at the start has; one character where there is no word.
fn word(text: &str) -> usize {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.');
    let word = text.find(|c| !part(c)).unwrap_or(text.len());
    if let Some(quoted) = text.strip_prefix('"') {
        return quoted.find('"').map_or(1, |end| end + 2);
    }
    if word > 0 { word } else { text.chars().next().map_or(1, char::len_utf8) }
}

impl SourceCode for SourceLines {
    fn read_span<'a>(
        &'a self,
        _: &SourceSpan,
        _: usize,
        _: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let whole = SourceSpan::new(0.into(), self.text.len());
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            self.text.as_bytes(),
            whole,
            self.line - 1,
            0,
            self.text.lines().count(),
        )))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use dbctl_migration::{DirectiveError, FormatError, split::SplitError};
    use dbctl_workspace::{Hook, Problem};

    use super::*;
    use crate::testing::{key, locked, sql, sql_error};

    const PLAIN: Paint = Paint(false);

    fn shown(error: &StepError) -> String {
        failure(error, "mextrack", PLAIN)
    }

    #[test]
    fn of_a_long_line_the_part_around_the_place_is_shown() {
        let line =
            format!("insert into l values {}(1, öops, 2){}", "(1, 'ö'),".repeat(9000), ", (3)".repeat(40));
        let column = line.chars().position(|c| c == 'p').unwrap() - 1;
        for mark in [Mark::Error, Mark::Statement] {
            let mut error = sql_error();
            error.statement = Some(line.clone());
            let place = error.location.as_mut().unwrap();
            (place.source_line, place.column, place.mark) = (line.clone(), column, mark);
            let shown = shown(&sql(error));
            assert!(shown.contains(&format!(":12:{column}]")), "{shown}");
            assert!(shown.lines().all(|line| line.chars().count() < 2 * MAX_LINE_CHARS), "{shown}");
            if mark == Mark::Error {
                insta::assert_snapshot!(shown);
            }
        }
        let manifest = ManifestErrors {
            path: "/w/workspace.yaml".into(),
            source: format!("workspace: w\n# {}\ndatabases: {}x\n", "c".repeat(500), " ".repeat(70_000)),
            problems: Vec::new(),
        };
        let at = manifest.source.len() - 2;
        let problem = Problem {
            span: Some(at..at + 1),
            line: 3,
            column: 70_012,
            message: "it must be a map".to_owned(),
            label: None,
            hint: None,
        };
        let shown =
            super::manifest(&ManifestErrors { problems: vec![problem], ..manifest }, Path::new("/w"), PLAIN);
        assert!(shown.contains("[workspace.yaml:3:70012]") && shown.len() < 1000, "{shown}");
    }

    #[test]
    fn a_statement_with_a_position() {
        let mut error = sql_error();
        error.detail = Some("first\nsecond".to_owned());
        error.hint = Some("Perhaps you meant \"vehicles\".".to_owned());
        error.context = Some("PL/pgSQL function f() line 3".to_owned());
        insta::assert_snapshot!(shown(&sql(error)));
    }

    #[test]
    fn a_statement_without_a_position() {
        let mut error = sql_error();
        error.code = "23505".to_owned();
        error.message = "duplicate key value violates unique constraint \"users_pkey\"".to_owned();
        error.detail = Some("Key (id)=(1) already exists.".to_owned());
        if let Some(SqlLocation { mark, column, source_line, .. }) = &mut error.location {
            (*mark, *column) = (Mark::Statement, 3);
            *source_line = "\u{a0}\tINSERT INTO \"users\" VALUES (1);".to_owned();
        }
        error.statement = Some("INSERT INTO \"users\" VALUES (1)".to_owned());
        insta::assert_snapshot!(shown(&sql(error)));
    }

    /// A `DO` block of so many lines after its first.
    fn block(lines: usize) -> StepError {
        let mut error = sql_error();
        error.code = "P0001".to_owned();
        error.message = "no users".to_owned();
        error.context = Some("PL/pgSQL function inline_code_block line 3 at RAISE".to_owned());
        let rest: String = (0..lines - 1).map(|n| format!("\n  perform {n};")).collect();
        error.statement = Some(format!("do $${rest}\nend $$"));
        if let Some(SqlLocation { mark, column, source_line, .. }) = &mut error.location {
            (*mark, *column, *source_line) = (Mark::Statement, 5, "/**/do $$".to_owned());
        }
        sql(error)
    }

    #[test]
    fn a_statement_over_several_lines_without_a_position() {
        insta::assert_snapshot!(shown(&block(3)), @r"
        error: mextrack: no users (P0001)
            ╭─[apps/mextrack/migrations/1700000001000_tracking.sql:12:5]
         12 │ /**/do $$
            ·     ──┬──
            ·       ╰── in the statement that starts here
         13 │   perform 0;
         14 │   perform 1;
         15 │ end $$
            ╰────
          context: PL/pgSQL function inline_code_block line 3 at RAISE
        ");
        let long = shown(&block(40));
        assert!(long.contains(" 22 │   perform 9;\n 23 │ …\n"), "{long}");
    }

    #[test]
    fn a_seed_whose_header_is_wrong() {
        let mut error = sql_error();
        error.code = "42703".to_owned();
        error.message = "column \"nme\" of relation \"users\" does not exist".to_owned();
        error.statement = Some("COPY public.users (id, nme) FROM STDIN".to_owned());
        error.location = Some(SqlLocation {
            path: PathBuf::from("seeds/users.csv"),
            line: 1,
            column: 1,
            source_line: "id,nme".to_owned(),
            mark: Mark::Header,
        });
        insta::assert_snapshot!(shown(&sql(error)), @r#"
        error: mextrack: column "nme" of relation "users" does not exist (42703)
           ╭─[seeds/users.csv:1:1]
         1 │ id,nme
           · ───┬──
           ·    ╰── the header of this file
           ╰────
        "#);
    }

    #[test]
    fn an_error_at_the_end_of_a_line_and_beyond() {
        for column in [24, 400] {
            let mut error = sql_error();
            if let Some(location) = &mut error.location {
                location.column = column;
            }
            let shown = shown(&sql(error));
            assert!(shown.contains("REFERENCES vehicle (id)") && shown.contains('─'), "{shown}");
        }
    }

    #[test]
    fn a_statement_of_our_own() {
        let mut error = sql_error();
        error.code = "42501".to_owned();
        error.message = "permission denied to create database".to_owned();
        error.location = None;
        error.statement = Some("CREATE DATABASE \"mextrack_db\"".to_owned());
        insta::assert_snapshot!(shown(&sql(error)), @r#"
        error: mextrack: permission denied to create database (42501)
          statement: CREATE DATABASE "mextrack_db"
          help: the user lacks that right: set `admin_url` of the server to one who has it
        "#);
    }

    #[test]
    fn a_script_that_cannot_be_split() {
        let error = SplitError::MetaCommand { command: "\\connect".to_owned(), offset: 0 };
        let error = StepError::Engine(EngineError::Split {
            path: PathBuf::from("apps/a/1.sql"),
            line: 3,
            column: 1,
            source_line: "\\connect other".to_owned(),
            error,
        });
        insta::assert_snapshot!(shown(&error));
    }

    #[test]
    fn what_is_not_sql_takes_two_lines() {
        insta::assert_snapshot!(shown(&locked()), @r"
        error: mextrack: another run holds the lock of atriz_shared: pid 4711, dbctl migrate 0198f, from 10.0.0.7, since 2026-11-20T08:00:00Z
          help: wait longer with --wait 5m, or end it: `dbctl psql mextrack -- -c 'select pg_terminate_backend(4711)'`
        ");
        let seed =
            EngineError::Seed { path: "a/users.csv".into(), line: Some(2), message: "no header".to_owned() };
        insta::assert_snapshot!(shown(&StepError::Engine(seed)), @r"
        error: mextrack: no header
          in a/users.csv:2
        ");
    }

    #[test]
    fn the_place_is_shown_without_its_line_of_text_too() {
        let path = || PathBuf::from("apps/a/m/2_b.sql");
        let unknown =
            StepError::RequirementUnknown { path: path(), line: 3, problem: "`x` is no database".to_owned() };
        let unmet = StepError::RequirementUnmet {
            path: path(),
            line: 3,
            database: "core".to_owned(),
            version: "1_a".to_owned(),
        };
        let io = StepError::Io { path: "apps/a/s".into(), source: std::io::ErrorKind::NotADirectory.into() };
        let no_runner = StepError::NoRunner { path: "apps/a/s/1.ts".into(), extension: "ts".to_owned() };
        let runner = StepError::Runner {
            path: "apps/a/s/1.ts".into(),
            command: "tsx {file}".to_owned(),
            outcome: "exited with 1".to_owned(),
            tail: vec!["Error: no".to_owned(), "    at 1.ts".to_owned()],
        };
        let hook = StepError::Hook {
            hook: Hook::AfterMigrate,
            command: "pnpm db:generate".to_owned(),
            outcome: "exited with 1".to_owned(),
            tail: vec!["Error: no schema".to_owned()],
        };
        let untold = StepError::Untold { dependent: key("shop"), folder: "db/migrations".to_owned() };
        let unresolved = StepError::Engine(EngineError::Unresolved {
            path: path(),
            line: 7,
            statement: "CREATE INDEX CONCURRENTLY i ON t (a)".to_owned(),
        });
        let all = [unknown, unmet, io, no_runner, runner, hook, untold, unresolved];
        insta::assert_snapshot!(all.iter().map(shown).collect::<String>());
    }

    #[test]
    fn every_problem_of_a_folder_is_shown() {
        let directive = DirectiveError {
            message: "there is no directive `no-transactoin`".to_owned(),
            hint: Some("did you mean `no-transaction`?".to_owned()),
            line: 1,
            column: 4,
        };
        let errors = FormatErrors(vec![
            FormatError::NoFolder { path: "apps/a/migrations".into() },
            FormatError::Directive { path: "apps/a/1.sql".into(), error: directive },
        ]);
        insta::assert_snapshot!(shown(&StepError::Format(errors)), @r"
        error: mextrack: apps/a/migrations: this migration folder does not exist
          help: make it (mkdir -p apps/a/migrations), or correct its path in the manifest
        error: mextrack: apps/a/1.sql:1:4: there is no directive `no-transactoin`
          help: did you mean `no-transaction`?
        ");
    }

    #[test]
    fn every_problem_of_a_manifest_is_shown() {
        let source =
            "workspace: atriz\ndatabases:\n  core:\n    depend_on: [auth]\n    url: postgres://u:****@h/d\n";
        let problem = |message: &str, word: &str, hint: Option<&str>, label: Option<&str>| {
            let start = source.find(word).unwrap();
            let line = source[..start].matches('\n').count() + 1;
            Problem {
                message: message.to_owned(),
                hint: hint.map(str::to_owned),
                span: Some(start..start + word.len()),
                line,
                column: if word == "depend_on" { 5 } else { 10 },
                label: label.map(str::to_owned),
            }
        };
        let errors = ManifestErrors {
            path: PathBuf::from("/w/workspace.yaml"),
            source: source.to_owned(),
            problems: vec![
                problem(
                    "unknown key `depend_on`",
                    "depend_on",
                    Some("did you mean `depends_on`?"),
                    Some("here"),
                ),
                problem("the url names `d`, not `core`", "postgres://", None, None),
                Problem { span: None, ..problem("DBCTL_ENV is empty", "workspace", None, None) },
            ],
        };
        insta::assert_snapshot!(command(&errors.into(), Path::new("/w/apps/a"), PLAIN));
    }
}
