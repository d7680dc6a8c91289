//! What is wrong with a manifest, and where.

use std::{
    collections::BTreeSet,
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use dbctl_migration::text::one_line;

use crate::redact::{Redacted, redact};

/// The most problems that one report lists.
const MAX_PROBLEMS: usize = 100;

/// A place in the manifest, in bytes of [`ManifestErrors::source`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// As a range.
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self { start: range.start, end: range.end }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Which bytes of [`ManifestErrors::source`] it is about; `None` where no place in the manifest is.
    pub span: Option<Range<usize>>,
    /// Line of its start in the manifest, from 1.
    pub line: usize,
    /// Column of its start in characters, from 1.
    pub column: usize,
    /// What to write beside the caret.
    pub label: Option<String>,
}

/// All that is wrong with one manifest. `Display` gives one line per problem.
#[derive(Clone, PartialEq, Eq)]
pub struct ManifestErrors {
    /// The manifest, as it was asked for.
    pub path: PathBuf,
    /// Its text without a byte order mark, with `****` for passwords; empty where it could not be read.
    pub source: String,
    /// What is wrong, in the order of the text; never empty.
    pub problems: Vec<Problem>,
}

impl std::error::Error for ManifestErrors {}

impl fmt::Display for ManifestErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{}", self.path.display())?;
            if problem.span.is_some() {
                write!(f, ":{}:{}", problem.line, problem.column)?;
            }
            write!(f, ": {}", problem.message)?;
            if let Some(hint) = &problem.hint {
                write!(f, " ({hint})")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ManifestErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManifestErrors")
            .field("path", &self.path)
            .field("problems", &self.problems)
            .finish_non_exhaustive()
    }
}

/// A problem before its line and column are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    span: Option<Span>,
    message: String,
    hint: Option<String>,
    label: Option<String>,
    /// Of problems of one kind at one place, the first is enough: an alias leads there by several ways.
    kind: Option<&'static str>,
}

impl Found {
    pub(crate) fn once(&mut self, kind: &'static str) -> &mut Self {
        self.kind = Some(kind);
        self
    }

    pub(crate) fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn maybe_hint(&mut self, hint: Option<String>) -> &mut Self {
        self.hint = hint;
        self
    }

    pub(crate) fn label(&mut self, label: impl Into<String>) -> &mut Self {
        self.label = Some(label.into());
        self
    }
}

/// Problems as they are found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Problems {
    found: Vec<Found>,
}

impl Problems {
    /// A problem with a place.
    pub(crate) fn at(&mut self, span: Span, message: impl Into<String>) -> &mut Found {
        self.push(Some(span), message.into())
    }

    /// A problem without one.
    pub(crate) fn nowhere(&mut self, message: impl Into<String>) -> &mut Found {
        self.push(None, message.into())
    }

    fn push(&mut self, span: Option<Span>, message: String) -> &mut Found {
        self.found.push(Found { span, message, hint: None, label: None, kind: None });
        self.found.last_mut().expect("one was just pushed")
    }

    /// Whether more problems would not be shown anyway; for checks that cost time.
    pub(crate) fn is_full(&self) -> bool {
        self.found.len() > MAX_PROBLEMS
    }

    /// Another hint for the problem that was just found, from whoever knows what was meant.
    pub(crate) fn rather(&mut self, hint: String) {
        if let Some(found) = self.found.last_mut() {
            found.hint(hint);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Adds those of another, which has none then.
    pub(crate) fn append(&mut self, other: &mut Self) {
        self.found.append(&mut other.found);
    }

    /// All of them as one error; `None` if there are none.
    pub(crate) fn into_errors(self, path: &Path, source: &str) -> Option<ManifestErrors> {
        if self.is_empty() {
            return None;
        }
        let lines = Lines::of(source);
        let mut found = self.found;
        found.sort_by_key(|found| found.span);
        let mut seen = BTreeSet::new();
        found.retain(|found| match found.kind {
            Some(kind) => seen.insert((found.span, kind)),
            None => true,
        });
        let dropped = found.len().saturating_sub(MAX_PROBLEMS);
        found.truncate(MAX_PROBLEMS);
        let mut problems: Vec<Problem> = found.into_iter().map(|found| lines.problem(found)).collect();
        if dropped > 0 {
            let message = format!("{dropped} more problems are not shown");
            let more = Found { span: None, message, hint: None, label: None, kind: None };
            problems.push(lines.problem(more));
        }
        let redacted = Redacted::of(source);
        for problem in &mut problems {
            problem.span = problem.span.take().map(|span| redacted.range(span));
        }
        Some(ManifestErrors { path: path.to_owned(), source: redacted.text, problems })
    }
}

/// A message without passwords, on one line whatever the manifest holds.
fn safe(message: &str) -> String {
    one_line(&redact(message))
}

/// Where the lines of a text start.
struct Lines<'s> {
    source: &'s str,
    starts: Vec<usize>,
}

impl<'s> Lines<'s> {
    fn of(source: &'s str) -> Self {
        let starts = std::iter::once(0).chain(source.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { source, starts }
    }

    /// Line and column, both from 1, the column in characters.
    fn position(&self, byte: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= byte);
        let start = self.starts[line - 1];
        (line, self.source[start..byte].chars().count() + 1)
    }

    fn problem(&self, found: Found) -> Problem {
        let span = found.span.map(|span| self.visible(span));
        let (line, column) = span.map_or((1, 1), |span| self.position(span.start));
        Problem {
            message: safe(&found.message),
            hint: found.hint.as_deref().map(safe),
            span: span.map(Span::range),
            line,
            column,
            label: found.label.as_deref().map(safe),
        }
    }

    /// Inside the text, on character boundaries, and on one line.
    fn visible(&self, span: Span) -> Span {
        let start = self.source.floor_char_boundary(span.start);
        let end = self.source.floor_char_boundary(span.end).max(start);
        let line = &self.source[start..end];
        let length = line.find(['\r', '\n']).unwrap_or(line.len());
        Span { start, end: start + length }
    }
}
