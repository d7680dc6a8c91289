//! Typed access to the mappings of the tree; whatever does not fit becomes a problem with the field's path.

use std::collections::BTreeMap;

use super::At;
use crate::{
    Span,
    problem::Problems,
    suggest::did_you_mean_or_list,
    yaml::{Kind, Node, Text, Word},
};

/// The fields of one mapping. A field that is given without a value counts as left out.
pub(super) struct Fields<'t> {
    path: String,
    span: Span,
    known: &'static [&'static str],
    given: BTreeMap<&'t str, (&'t Word, &'t Node)>,
}

impl<'t> Fields<'t> {
    /// `None` where the node is no mapping. `path` is empty for the manifest itself.
    pub(super) fn of(
        node: &'t Node,
        path: String,
        known: &'static [&'static str],
        problems: &mut Problems,
    ) -> Option<Self> {
        let entries = entries(node, &path, problems)?;
        let mut given = BTreeMap::new();
        for (key, value) in entries {
            if known.contains(&&*key.text) {
                given.insert(&*key.text, (key, value));
            } else {
                let place = if path.is_empty() { String::new() } else { format!(" in `{path}`") };
                problems
                    .at(key.span, format!("unknown key `{}`{place}", key.text))
                    .once("unknown")
                    .maybe_hint(did_you_mean_or_list(&key.text, "known keys", known));
            }
        }
        Some(Self { path, span: node.span, known, given })
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// A field and its path.
    pub(super) fn take(&mut self, name: &'static str) -> Option<(&'t Node, String)> {
        debug_assert!(self.known.contains(&name), "{name} is in the list that the schema is checked against");
        let (_, node) = self.given.get(name)?;
        (node.kind != Kind::Null).then(|| (*node, self.path_of(name)))
    }

    /// Where the key of a field stands.
    pub(super) fn key(&self, name: &str) -> Option<Span> {
        self.given.get(name).map(|(key, _)| key.span)
    }

    /// Whether the field has a value, of whatever type.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.given.get(name).is_some_and(|(_, node)| node.kind != Kind::Null)
    }

    /// Whether the field has a value that is not a mapping.
    pub(super) fn is_wrong(&self, name: &str) -> bool {
        self.given.get(name).is_some_and(|(_, node)| !matches!(node.kind, Kind::Null | Kind::Map(_)))
    }

    pub(super) fn text(&mut self, name: &'static str, problems: &mut Problems) -> Option<Text> {
        let (node, path) = self.take(name)?;
        Self::text_at(node, &path, problems)
    }

    /// Like [`Fields::text`]; leaving the field out is a problem.
    pub(super) fn required(&mut self, name: &'static str, problems: &mut Problems) -> Option<Text> {
        self.require(name, problems);
        self.text(name, problems)
    }

    /// Like [`Fields::scalar`]; leaving the field out is a problem.
    pub(super) fn required_scalar(&mut self, name: &'static str, problems: &mut Problems) -> Option<Text> {
        self.require(name, problems);
        self.scalar(name, problems)
    }

    fn require(&self, name: &'static str, problems: &mut Problems) {
        if !self.is_given(name) {
            let span = self.key(name).unwrap_or(self.span);
            problems.at(span, format!("`{}` is missing", self.path_of(name))).once(name);
        }
    }

    pub(super) fn texts(&mut self, name: &'static str, problems: &mut Problems) -> Option<Vec<Text>> {
        let (node, path) = self.take(name)?;
        let items = list(node, &path, problems)?;
        let texts = items.iter().enumerate();
        Some(texts.filter_map(|(at, item)| Self::text_at(item, &format!("{path}[{at}]"), problems)).collect())
    }

    /// Text, a number or a boolean, as text.
    pub(super) fn scalar(&mut self, name: &'static str, problems: &mut Problems) -> Option<Text> {
        let (node, path) = self.take(name)?;
        Self::scalar_at(node, &path, problems)
    }

    pub(super) fn boolean(&mut self, name: &'static str, problems: &mut Problems) -> Option<At<bool>> {
        let (node, path) = self.take(name)?;
        match node.kind {
            Kind::Bool(value) => Some(At { value, span: node.span }),
            _ => {
                wrong_type(node, &path, "true or false", problems);
                None
            }
        }
    }

    /// A whole number from 1.
    pub(super) fn count(&mut self, name: &'static str, problems: &mut Problems) -> Option<At<usize>> {
        let (node, path) = self.take(name)?;
        let Kind::Number(written) = &node.kind else {
            wrong_type(node, &path, "a whole number", problems);
            return None;
        };
        match written.parse() {
            Ok(value) if value >= 1 => Some(At { value, span: node.span }),
            _ => {
                problems
                    .at(node.span, format!("`{path}` must be a whole number from 1, not {written}"))
                    .once("count");
                None
            }
        }
    }

    /// A mapping of words to scalars.
    pub(super) fn pairs(
        &mut self,
        name: &'static str,
        read: fn(&Node, &str, &mut Problems) -> Option<Text>,
        problems: &mut Problems,
    ) -> Option<Vec<(Word, Text)>> {
        let (node, path) = self.take(name)?;
        let entries = entries(node, &path, problems)?;
        let given = entries.into_iter().filter(|(_, value)| value.kind != Kind::Null);
        let pairs = given.filter_map(|(key, value)| {
            Some((key.clone(), read(value, &format!("{path}.{}", key.text), problems)?))
        });
        Some(pairs.collect())
    }

    pub(super) fn text_at(node: &Node, path: &str, problems: &mut Problems) -> Option<Text> {
        match &node.kind {
            Kind::Text(text) => Some(text.clone()),
            _ => {
                wrong_type(node, path, "text", problems);
                None
            }
        }
    }

    pub(super) fn scalar_at(node: &Node, path: &str, problems: &mut Problems) -> Option<Text> {
        match &node.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Number(written) => Some(Text::verbatim(written.clone(), node.span)),
            Kind::Bool(value) => Some(Text::verbatim(value.to_string(), node.span)),
            Kind::Null | Kind::List(_) | Kind::Map(_) => {
                wrong_type(node, path, "text, a number or a boolean", problems);
                None
            }
        }
    }
}

/// The items of a list.
pub(super) fn list<'t>(node: &'t Node, path: &str, problems: &mut Problems) -> Option<&'t [Node]> {
    match &node.kind {
        Kind::List(items) => Some(items),
        Kind::Null => Some(&[]),
        _ => {
            wrong_type(node, path, "a list", problems);
            None
        }
    }
}

/// The entries of a mapping, each key once.
pub(super) fn entries<'t>(
    node: &'t Node,
    path: &str,
    problems: &mut Problems,
) -> Option<Vec<(&'t Word, &'t Node)>> {
    let entries = match &node.kind {
        Kind::Map(entries) => entries,
        Kind::Null => return Some(Vec::new()),
        _ => {
            wrong_type(node, path, "a mapping", problems);
            return None;
        }
    };
    let mut seen = BTreeMap::new();
    let mut kept: Vec<(&Word, &Node)> = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        if seen.insert(&*key.text, key.span).is_none() {
            kept.push((key, value));
        } else {
            let place = if path.is_empty() { String::new() } else { format!(" in `{path}`") };
            problems
                .at(key.span, format!("the key `{}` is given twice{place}", key.text))
                .once("twice")
                .hint("only one of them can be meant; remove the other")
                .label("again here");
        }
    }
    Some(kept)
}

fn wrong_type(node: &Node, path: &str, wanted: &str, problems: &mut Problems) {
    let name = if path.is_empty() { "the manifest".to_owned() } else { format!("`{path}`") };
    let message = format!("{name} must be {wanted}, not {}", node.kind.describe());
    let found = problems.at(node.span, message).once("type");
    match &node.kind {
        Kind::Number(written) if wanted == "text" => {
            found.hint(format!("put it in quotes: \"{written}\""));
        }
        Kind::Bool(value) if wanted == "text" => {
            found.hint(format!("put it in quotes: \"{value}\""));
        }
        Kind::Text(text) if wanted == "true or false" => {
            let quotes = if text.is_quoted() { ", without quotes" } else { "" };
            found.hint(match text.value.to_ascii_lowercase().as_str() {
                "yes" | "on" | "y" | "true" => format!("write `true`{quotes}"),
                "no" | "off" | "n" | "false" => format!("write `false`{quotes}"),
                _ => format!("write `true` or `false`{quotes}"),
            });
        }
        Kind::Map(entries) if wanted == "a list" && !entries.is_empty() => {
            let keys: Vec<String> = entries.iter().map(|(key, _)| written(&key.text)).collect();
            found.hint(format!("write it as a list: [{}]", keys.join(", ")));
        }
        Kind::Text(text) if wanted == "a list" => {
            found.hint(format!("write it as a list: [{}]", written(&text.value)));
        }
        _ => {}
    }
}

/// A text as it can be written in a list or mapping of one line.
pub(super) fn written(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || "./_".contains(c))
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "./_-".contains(c))
        && !["true", "false", "null"].contains(&&*text.to_lowercase());
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

#[cfg(test)]
mod tests {
    use super::written;

    #[test]
    fn what_means_something_in_yaml_is_quoted() {
        for (text, expected) in [
            ("db/migrations", "db/migrations"),
            ("./m", "./m"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", "'it''s'"),
            ("1", "'1'"),
            ("True", "'True'"),
            ("${V}", "'${V}'"),
            ("a, b", "'a, b'"),
        ] {
            assert_eq!(written(text), expected);
        }
    }
}
