//! `${VAR}`, `${VAR:-default}`, `${VAR:?message}` and `$$` in texts.

use std::ops::Range;

use thiserror::Error;

/// How deep defaults may hold references.
const MAX_DEPTH: usize = 8;

/// The longest value that a template may have, in bytes: references to references would else fill the memory.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;

/// Why a template has no value; `at` is the part of the template it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TemplateError {
    pub(crate) at: Range<usize>,
    pub(crate) kind: TemplateErrorKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum TemplateErrorKind {
    #[error("the variable `{0}` is not set")]
    Unset(String),
    #[error("{message} (`{name}` is not set)")]
    Required { name: String, message: String },
    #[error("`${{` without its `}}`")]
    Unterminated,
    #[error("`{0}` is not the name of a variable")]
    Name(String),
    #[error("`{sign}` cannot follow `${{{word}`")]
    Sign { word: String, sign: char },
    #[error("references are nested deeper than {MAX_DEPTH} levels")]
    Depth,
    #[error("the references come to more than {} MiB", MAX_BYTES / 1024 / 1024)]
    TooLong,
}

/// What an unset `${VAR}` comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unset {
    Error,
    Empty,
}

/// Evaluates a template. A `$` that neither `{` nor `$` follows stands for itself.
pub(crate) fn interpolate(
    template: &str,
    unset: Unset,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, TemplateError> {
    let scope = Scope { template, unset, lookup };
    let (value, end) = scope.text(0, 0)?;
    debug_assert_eq!(end, template.len(), "only a reference ends at a brace");
    Ok(value)
}

struct Scope<'a> {
    template: &'a str,
    unset: Unset,
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl Scope<'_> {
    fn error<T>(at: Range<usize>, kind: TemplateErrorKind) -> Result<T, TemplateError> {
        Err(TemplateError { at, kind })
    }

    /// Text from a byte on: to the end, or (inside a reference) to its closing brace. Returns where it ends.
    fn text(&self, from: usize, depth: usize) -> Result<(String, usize), TemplateError> {
        let mut out = String::new();
        let mut at = from;
        while let Some(c) = self.template[at..].chars().next() {
            let rest = &self.template[at..];
            if c == '}' && depth > 0 {
                break;
            } else if rest.starts_with("$$") {
                out.push('$');
                at += 2;
            } else if rest.starts_with("${") {
                let (value, end) = self.reference(at, depth)?;
                if out.len() + value.len() > MAX_BYTES {
                    return Self::error(at..end, TemplateErrorKind::TooLong);
                }
                out.push_str(&value);
                at = end;
            } else {
                out.push(c);
                at += c.len_utf8();
            }
        }
        Ok((out, at))
    }

    /// A reference whose `${` stands at `open`. Returns where it ends, past its brace.
    fn reference(&self, open: usize, depth: usize) -> Result<(String, usize), TemplateError> {
        if depth == MAX_DEPTH {
            return Self::error(open..open + 2, TemplateErrorKind::Depth);
        }
        let start = open + 2;
        let inside = &self.template[start..];
        let Some(stop) = inside.find(['}', ':']) else {
            return Self::error(open..self.template.len(), TemplateErrorKind::Unterminated);
        };
        let name = &inside[..stop];
        if !is_variable(name) {
            return self.not_a_name(start, start + stop);
        }
        let value = (self.lookup)(name);
        let after = start + stop;
        if self.template[after..].starts_with('}') {
            return match (value, self.unset) {
                (Some(value), _) => Ok((value, after + 1)),
                (None, Unset::Empty) => Ok((String::new(), after + 1)),
                (None, Unset::Error) => {
                    Self::error(open..after + 1, TemplateErrorKind::Unset(name.to_owned()))
                }
            };
        }
        let operator = self.template[after + 1..].chars().next();
        let Some(operator @ ('-' | '?')) = operator else {
            let end = self.template[after..].find('}').map_or(self.template.len(), |end| after + end);
            return self.not_a_name(start, end);
        };
        self.fallback(open, name, value.filter(|value| !value.is_empty()), operator, after + 2, depth)
    }

    /// What is written may be a secret default with a wrong operator: only its first word is shown.
    fn not_a_name<T>(&self, start: usize, end: usize) -> Result<T, TemplateError> {
        let written = &self.template[start..end];
        let length =
            written.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(written.len());
        let word = written[..length].to_owned();
        let kind = match written[length..].chars().next() {
            Some(sign) => TemplateErrorKind::Sign { word, sign },
            None => TemplateErrorKind::Name(word),
        };
        Self::error(start..end, kind)
    }

    /// What follows `:-` or `:?`.
    fn fallback(
        &self,
        open: usize,
        name: &str,
        value: Option<String>,
        operator: char,
        from: usize,
        depth: usize,
    ) -> Result<(String, usize), TemplateError> {
        let skipping = Scope { lookup: &|_| Some(String::new()), ..*self };
        let scope = if value.is_some() { &skipping } else { self };
        let (fallback, end) = scope.text(from, depth + 1)?;
        if end == self.template.len() {
            return Self::error(open..end, TemplateErrorKind::Unterminated);
        }
        match (value, operator) {
            (Some(value), _) => Ok((value, end + 1)),
            (None, '-') => Ok((fallback, end + 1)),
            (None, _) if fallback.is_empty() => {
                Self::error(open..end + 1, TemplateErrorKind::Unset(name.to_owned()))
            }
            (None, _) => {
                let kind = TemplateErrorKind::Required { name: name.to_owned(), message: fallback };
                Self::error(open..end + 1, kind)
            }
        }
    }
}

/// Whether a template has any reference, well formed or not.
pub(crate) fn has_references(template: &str) -> bool {
    template.replace("$$", "").contains("${")
}

/// `[A-Za-z_][A-Za-z0-9_]*`
pub(crate) fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str) -> Result<String, String> {
        let lookup = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "EMPTY" => Some(String::new()),
            "DOLLAR" => Some("${A}".to_owned()),
            _ => None,
        };
        interpolate(template, Unset::Error, &lookup)
            .map_err(|error| format!("{}: {}", &template[error.at], error.kind))
    }

    #[test]
    fn templates_are_evaluated_once() {
        for (template, value) in [
            ("", ""),
            ("plain } text", "plain } text"),
            ("${A}", "1"),
            ("x${A}y${A}", "x1y1"),
            ("$$", "$"),
            ("$${A}", "${A}"),
            ("pa$word$", "pa$word$"),
            ("${DOLLAR}", "${A}"),
            ("${EMPTY}", ""),
            ("${EMPTY:-d}", "d"),
            ("${NO:-}", ""),
            ("${NO:-ü:-$$}", "ü:-$"),
            ("${NO:-${A}}", "1"),
            ("${NO:-${NO:-x}}!", "x!"),
            ("${A:-${NO}}", "1"),
            ("${A:?needed}", "1"),
        ] {
            assert_eq!(check(template).as_deref(), Ok(value), "{template}");
        }
    }

    #[test]
    fn references_are_seen() {
        for (template, expected) in
            [("a", false), ("$a $", false), ("$${A}", false), ("$$${A}", true), ("x${", true)]
        {
            assert_eq!(has_references(template), expected, "{template}");
        }
    }

    #[test]
    fn errors_name_their_part() {
        for (template, error) in [
            ("a ${NO} b", "${NO}: the variable `NO` is not set"),
            ("${NO:?set it}", "${NO:?set it}: set it (`NO` is not set)"),
            ("${NO:?}", "${NO:?}: the variable `NO` is not set"),
            ("${EMPTY:?set it}", "${EMPTY:?set it}: set it (`EMPTY` is not set)"),
            ("x${A", "${A: `${` without its `}`"),
            ("x${A:-b", "${A:-b: `${` without its `}`"),
            ("${}", ": `` is not the name of a variable"),
            ("${1A}", "1A: `1A` is not the name of a variable"),
            ("${A-b}", "A-b: `-` cannot follow `${A`"),
            ("${A:+b}", "A:+b: `:` cannot follow `${A`"),
            ("${ A}", " A: ` ` cannot follow `${`"),
            ("${NO:-${NOR}}", "${NOR}: the variable `NOR` is not set"),
        ] {
            assert_eq!(check(template).unwrap_err(), error, "{template}");
        }
        let deep = format!("{}x{}", "${NO:-".repeat(9), "}".repeat(9));
        assert!(check(&deep).unwrap_err().contains("nested deeper"));
    }
}
