//! YAML text to a tree that knows where everything stands. The only module that knows the YAML library.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_yaml::{Error, Location, Spanned, options::DuplicateKeyPolicy};

use crate::{Span, problem::Problems};

/// Levels of nesting; a manifest needs seven.
const MAX_DEPTH: usize = 32;
/// Scalars, lists and mappings of the text.
const MAX_NODES: usize = 250_000;
/// What all aliases together may expand to.
const MAX_REPLAYED: usize = 20_000;

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// Where the value is written: for an alias, at its anchor.
    pub(crate) span: Span,
}

/// What a value is. Numbers keep their spelling.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(String),
    Text(Text),
    List(Vec<Node>),
    Map(Vec<(Word, Node)>),
}

/// A text as the manifest means it, and its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Text {
    pub(crate) value: String,
    pub(crate) span: Span,
    /// Where `value` starts in the source, if it stands there character by character.
    verbatim: Option<usize>,
}

impl Text {
    /// A value that stands in the source as it is.
    pub(crate) fn verbatim(value: String, span: Span) -> Self {
        Self { value, span, verbatim: Some(span.start) }
    }

    /// Whether it is written between quotes, or otherwise than it is meant.
    pub(crate) fn is_quoted(&self) -> bool {
        self.verbatim != Some(self.span.start)
    }

    /// The place of a part of the value; the place of the whole where escapes or folding blur it.
    pub(crate) fn part(&self, part: std::ops::Range<usize>) -> Span {
        self.verbatim.map_or(self.span, |start| Span { start: start + part.start, end: start + part.end })
    }
}

/// A key of a mapping and its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) span: Span,
}

impl Kind {
    /// With an article, for messages.
    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Parses a text; `None` where it is not YAML, which is then the only problem.
pub(crate) fn parse(source: &str, problems: &mut Problems) -> Option<Node> {
    // The lenient policy hands all entries over, so that every duplicate can be reported with everything else. It
    // does not where a key is an integer; the strict policy then finds what would be lost.
    match parse_with(source, DuplicateKeyPolicy::LastWins) {
        Ok(tree) => {
            if may_have_integer_keys(source)
                && let Err(Error::DuplicateMappingKey { key, location }) =
                    parse_with(source, DuplicateKeyPolicy::Error)
                && !duplicates(&tree)
            {
                let key = key.unwrap_or_default();
                problems
                    .at(place(location, source), format!("the key `{key}` is given twice"))
                    .hint("only one of them can be meant; remove the other")
                    .label("again here");
            }
            Some(tree)
        }
        Err(error) => {
            report(source, &error, problems);
            None
        }
    }
}

fn parse_with(source: &str, duplicate_keys: DuplicateKeyPolicy) -> Result<Node, Error> {
    let options = serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_documents: 1,
        },
        duplicate_keys: duplicate_keys,
        strict_booleans: true,
        with_snippet: false,
        alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: MAX_REPLAYED },
    };
    let tree: Spanned<Value> = serde_yaml::from_str_with_options(source, options)?;
    Ok(node(tree, source))
}

/// Whether what stands before any colon may be an integer, so that most manifests are parsed once.
fn may_have_integer_keys(source: &str) -> bool {
    let is_word = |c: char| !c.is_whitespace() && !"{}[],:".contains(c);
    source.match_indices(':').any(|(colon, _)| {
        let before = source[..colon].trim_end_matches([' ', '\t']);
        let word = &before[before.trim_end_matches(is_word).len()..];
        !word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
    })
}

/// Whether any mapping in the tree has a key twice.
fn duplicates(node: &Node) -> bool {
    match &node.kind {
        Kind::List(items) => items.iter().any(duplicates),
        Kind::Map(entries) => {
            let mut seen = std::collections::BTreeSet::new();
            entries.iter().any(|(key, value)| !seen.insert(&key.text) || duplicates(value))
        }
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) => false,
    }
}

fn node(value: Spanned<Value>, source: &str) -> Node {
    let span = place(value.defined, source);
    let kind = match value.value {
        Value::Null => Kind::Null,
        Value::Bool(value) => Kind::Bool(value),
        Value::Number => Kind::Number(source[span.range()].trim().to_owned()),
        Value::Text(value) => {
            let written = &source[span.range()];
            let verbatim = match written.strip_prefix(['"', '\'']) {
                Some(inner) if inner.starts_with(&*value) => Some(span.start + 1),
                None if written == value => Some(span.start),
                _ => None,
            };
            Kind::Text(Text { value, span, verbatim })
        }
        Value::List(items) => Kind::List(items.into_iter().map(|item| node(item, source)).collect()),
        Value::Map(entries) => Kind::Map(
            entries
                .into_iter()
                .map(|(key, value)| {
                    (Word { text: key.value, span: place(key.defined, source) }, node(value, source))
                })
                .collect(),
        ),
    };
    Node { kind, span }
}

/// Bytes of a location; line and column where the library knows no bytes.
fn place(location: Location, source: &str) -> Span {
    let span = location.span();
    let bytes = span.byte_offset().zip(span.byte_len());
    let (start, length) = match bytes {
        Some((offset, length)) => (to_usize(offset), to_usize(length)),
        None => (byte_of(source, to_usize(location.line()), to_usize(location.column())), 1),
    };
    let start = source.floor_char_boundary(start);
    Span { start, end: source.ceil_char_boundary(start.saturating_add(length)) }
}

fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// Byte of a line and a column, both from 1.
fn byte_of(source: &str, line: usize, column: usize) -> usize {
    let start: usize = source.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = &source[start..];
    start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at)
}

/// Says in the words of a manifest's author what the library found.
fn report(source: &str, error: &Error, problems: &mut Problems) {
    let mut error = error.without_snippet();
    // The alias is where the author can act, not what it leads to.
    let span = error.location().map_or(Span::default(), |location| place(location, source));
    while let Error::AliasError { error: inner, .. } = error {
        error = inner.without_snippet();
    }
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    match error {
        Error::Budget { .. } if text.contains("Documents") => {
            problems
                .at(span, "a manifest is one YAML document, and a second one starts here")
                .hint("remove the `---`");
        }
        Error::Budget { .. } if text.contains("Depth") => {
            problems.at(span, format!("the manifest is nested deeper than {MAX_DEPTH} levels"));
        }
        Error::Budget { .. } => {
            problems.at(span, "the manifest holds far more than a manifest can need");
        }
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => {
            problems.at(span, "the aliases of the manifest expand to far more than a manifest can need");
        }
        Error::UnknownAnchor { .. } => {
            problems
                .at(span, "this alias has no anchor")
                .hint("in YAML a word that starts with `*` is an alias; put it in quotes if it is text");
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            problems.at(span, "this alias lies inside its own anchor");
        }
        Error::NullIntoString { .. } | Error::Unexpected { .. } => {
            problems
                .at(span, "a key must be text")
                .hint("a value that starts with `{` or `[` must be put in quotes");
        }
        _ if text.contains("recursion limit") => {
            problems.at(span, format!("the manifest is nested deeper than {MAX_DEPTH} levels"));
        }
        _ if text.contains("tab") => {
            problems.at(tabs(source, span), "YAML forbids tabs here").hint("indent with spaces");
        }
        _ => {
            let before = &source[..span.start];
            let line = &source[before.rfind('\n').map_or(0, |at| at + 1)..];
            let line = line.lines().next().unwrap_or_default();
            let hint = if line.contains("${") {
                Some("between braces or brackets a text with `${…}` must be put in quotes")
            } else {
                before.ends_with('}').then_some("a text that starts with `{` must be put in quotes")
            };
            problems.at(span, format!("this is not YAML: {text}")).maybe_hint(hint.map(str::to_owned));
        }
    }
}

/// The tabs that are meant where the library stops: it may stop after them, and a line before them.
fn tabs(source: &str, span: Span) -> Span {
    let start = source[..span.start].trim_end_matches('\t').len();
    let line = source[..start].rfind('\n').map_or(0, |at| at + 1);
    let is_indentation = source[line..start].trim().is_empty();
    if start < span.start && is_indentation {
        return Span { start, end: span.start };
    }
    let indented = |(at, line): (usize, &str)| {
        let indentation = line.len() - line.trim_start_matches([' ', '\t']).len();
        let tab = line[..indentation].find('\t')?;
        let tabs = line[tab..].len() - line[tab..].trim_start_matches('\t').len();
        Some(Span { start: at + tab, end: at + tab + tabs })
    };
    let mut at = source[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let lines = source[at..].split_inclusive('\n').map(|line| {
        at += line.len();
        (at - line.len(), line)
    });
    lines.filter_map(indented).next().unwrap_or(span)
}

/// What the library calls back with.
enum Value {
    Null,
    Bool(bool),
    Number,
    Text(String),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integer_keys_are_never_overlooked() {
        for source in
            ["1: a", "{a: b,1 : c}", "a:\n  -1: b", "? 1\n: a", "\"1\": a", "&a 1: b", "*a : b", "0x1: a"]
        {
            assert!(may_have_integer_keys(source), "{source}");
        }
        for source in ["a: 1\nb_2: {c.d: [e], f-g: postgres://h}", ""] {
            assert!(!may_have_integer_keys(source), "{source}");
        }
    }
}
