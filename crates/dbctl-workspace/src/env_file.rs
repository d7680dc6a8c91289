//! Env files: `NAME=value` lines as docker compose, dotenv and shells write them.
//!
//! Read here and not by a library, because the reader must not look at the process environment, must name the line of
//! what is wrong, and must leave `$` in passwords alone: only `${NAME}` is a reference, and only outside single quotes.

use std::collections::BTreeMap;

use crate::interpolate::{MAX_BYTES, Unset, interpolate};

/// What the values of a file may come to, in bytes: references to references would else fill the memory.
const MAX_TOTAL_BYTES: usize = 8 * MAX_BYTES;

/// What is wrong with a line; never says what the line holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EnvFileError {
    /// From 1.
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// A variable's value, and the line its name stands on, from 1. It may hold a password: it has no `Debug`.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) value: String,
    pub(crate) line: usize,
}

/// Parses a file. References see `over` first, then earlier lines, then `under`; one that nothing sets is empty.
pub(crate) fn parse(
    text: &str,
    over: &dyn Fn(&str) -> Option<String>,
    under: &dyn Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, Line>, EnvFileError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut vars: BTreeMap<String, Line> = BTreeMap::new();
    let mut rest = text;
    let (mut line_number, mut counted, mut bytes) = (1, 0, 0);
    while !rest.is_empty() {
        let at = text.len() - rest.len();
        line_number += text[counted..at].matches('\n').count();
        counted = at;
        let error = |message: String| EnvFileError { line: line_number, message };
        let line = rest.lines().next().unwrap_or_default();
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            rest = past_line(rest);
            continue;
        }
        let (name, value_at) = name(line).map_err(|message| error(message.to_owned()))?;
        let lookup = |name: &str| {
            over(name).or_else(|| vars.get(name).map(|set| set.value.clone())).or_else(|| under(name))
        };
        let (value, end) = value(&rest[value_at..], &lookup).map_err(error)?;
        bytes += value.len();
        if bytes > MAX_TOTAL_BYTES {
            return Err(error(
                "with this one, the values of the file come to far more than the file".to_owned(),
            ));
        }
        let name = name.to_owned();
        vars.insert(name, Line { value, line: line_number });
        rest = past_line(&rest[value_at + end..]);
    }
    Ok(vars)
}

fn past_line(text: &str) -> &str {
    text.find('\n').map_or("", |at| &text[at + 1..])
}

/// The name on a line, and where its value starts.
fn name(line: &str) -> Result<(&str, usize), &'static str> {
    let start = line.trim_start();
    let unprefixed = start.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']));
    let start = match unprefixed.map(str::trim_start) {
        Some(rest) if !rest.starts_with('=') => rest,
        _ => start,
    };
    let length =
        start.find(|c: char| !(c.is_ascii_alphanumeric() || "_.".contains(c))).unwrap_or(start.len());
    let name = &start[..length];
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err("the line does not start with the name of a variable");
    }
    let Some(value) = start[length..].trim_start().strip_prefix('=') else {
        return Err(if start.contains('=') {
            "what stands before the `=` is not the name of a variable: letters, digits, `_` and `.`"
        } else {
            "there is no `=` after the name"
        });
    };
    Ok((name, line.len() - value.trim_start_matches([' ', '\t']).len()))
}

/// The value that a text starts with, and where it ends.
fn value(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<(String, usize), String> {
    let (value, end) = match text.chars().next() {
        Some(quote @ ('\'' | '`')) => {
            let length = text[1..].find(quote).ok_or("the quote is never closed")?;
            (text[1..=length].to_owned(), length + 2)
        }
        Some('"') => double_quoted(text, lookup)?,
        _ => {
            let line = text.lines().next().unwrap_or_default();
            let comment = line
                .char_indices()
                .find(|(at, c)| *c == '#' && (line[..*at].is_empty() || line[..*at].ends_with([' ', '\t'])));
            let value = line[..comment.map_or(line.len(), |(at, _)| at)].trim();
            return Ok((references(value, lookup)?, line.len()));
        }
    };
    let after = text[end..].lines().next().unwrap_or_default().trim();
    if !after.is_empty() && !after.starts_with('#') {
        return Err("there is text after the closing quote".to_owned());
    }
    Ok((value.replace("\r\n", "\n"), end))
}

/// A value in double quotes, with `\n`, `\r`, `\t`, `\"`, `\\` and `\$`; any other backslash stands for itself.
fn double_quoted(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<(String, usize), String> {
    let mut value = String::new();
    let mut at = 1;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if c == '"' {
            return Ok((value, at + 1));
        }
        if rest.starts_with("${") {
            let end = reference_end(rest).ok_or("`${` without its `}`")?;
            value.push_str(&reference(&rest[..end], lookup)?);
            bounded(&value)?;
            at += end;
            continue;
        }
        let escaped = match rest.as_bytes() {
            [b'\\', b'n', ..] => Some('\n'),
            [b'\\', b'r', ..] => Some('\r'),
            [b'\\', b't', ..] => Some('\t'),
            [b'\\', same @ (b'"' | b'\\' | b'$'), ..] => Some(char::from(*same)),
            _ => None,
        };
        value.push(escaped.unwrap_or(c));
        at += if escaped.is_some() { 2 } else { c.len_utf8() };
    }
    Err("the quote is never closed".to_owned())
}

/// Evaluates the `${…}` of an unquoted value.
fn references(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut value = String::new();
    let mut rest = text;
    while let Some(open) = rest.find("${") {
        value.push_str(&rest[..open]);
        let end = reference_end(&rest[open..]).ok_or("`${` without its `}`")?;
        value.push_str(&reference(&rest[open..open + end], lookup)?);
        bounded(&value)?;
        rest = &rest[open + end..];
    }
    value.push_str(rest);
    Ok(value)
}

fn reference(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    interpolate(text, Unset::Empty, lookup).map_err(|error| error.kind.to_string())
}

fn bounded(value: &str) -> Result<(), String> {
    if value.len() <= MAX_BYTES {
        return Ok(());
    }
    Err(format!("the references come to more than {} MiB", MAX_BYTES / 1024 / 1024))
}

/// Where the reference that a text starts with ends, on its own line.
fn reference_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' if text[..at].ends_with('$') => depth += 1,
            '}' if depth == 1 => return Some(at + 1),
            '}' => depth -= 1,
            '\n' => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        let over = |name: &str| (name == "OVER").then(|| "over".to_owned());
        let under = |name: &str| (name == "UNDER").then(|| "under".to_owned());
        parse(text, &over, &under)
            .map(|vars| vars.into_iter().map(|(name, set)| (name, set.value)).collect())
            .map_err(|error| format!("{}: {}", error.line, error.message))
    }

    #[test]
    fn values_are_what_applications_see() {
        for (text, value) in [
            ("A=1", "1"),
            ("\u{feff}A=1", "1"),
            ("export A=1", "1"),
            ("  A = 1 \r\n", "1"),
            ("A=", ""),
            ("A= # nothing", ""),
            ("A=#nothing", ""),
            ("A=a#b # c", "a#b"),
            ("A=a b", "a b"),
            ("A=\"a # b\" # c", "a # b"),
            ("A='a # b'", "a # b"),
            ("A=`a'b`", "a'b"),
            ("A=pa$$word$x", "pa$$word$x"),
            ("A=C:\\path\\new", "C:\\path\\new"),
            ("A=\"a\\nb\\t\\\"\\\\\\x\"", "a\nb\t\"\\\\x"),
            ("A='a\\n${OVER}'", "a\\n${OVER}"),
            ("A=\"\\${OVER}\"", "${OVER}"),
            ("A=x${OVER}y", "xovery"),
            ("A=\"${OVER}:${NO}\"", "over:"),
            ("A=${NO:-${OVER}}", "over"),
            ("B_C=b\nA=${B_C}", "b"),
            ("OVER=inner\nA=${OVER}", "over"),
            ("A=${UNDER}", "under"),
            ("UNDER=inner\nA=${UNDER}", "inner"),
            ("A=\"line 1\nline 2\"\n", "line 1\nline 2"),
            ("A='line 1\r\nline 2'\r\n", "line 1\nline 2"),
            ("A={\"json\": [1]}", "{\"json\": [1]}"),
            ("A=1\nA=2", "2"),
            ("# c\n\n  # d\nA=1", "1"),
            ("A=postgresql://u:p@h:5432/d?sslmode=require", "postgresql://u:p@h:5432/d?sslmode=require"),
        ] {
            let vars = read(text).unwrap();
            let found = vars.iter().find(|(name, _)| name == "A").map(|(_, value)| value.as_str());
            assert_eq!(found, Some(value), "{text}");
        }
        assert_eq!(read("export=1").unwrap(), [("export".to_owned(), "1".to_owned())]);
        assert_eq!(read("").unwrap(), []);
    }

    #[test]
    fn variables_know_their_line() {
        let vars = parse("\u{feff}# c\nA=1\nB=\"x\ny\"\n\nC=3\nA=4", &|_| None, &|_| None).ok().unwrap();
        let lines: Vec<(&str, usize)> = vars.iter().map(|(name, set)| (name.as_str(), set.line)).collect();
        assert_eq!(lines, [("A", 7), ("B", 3), ("C", 6)]);
    }

    #[test]
    fn errors_name_the_line_and_keep_the_value_to_themselves() {
        let double = |at: usize| format!("A{at}=${{A{0}}}${{A{0}}}\n", at - 1);
        let bomb: String = std::iter::once("A0=secret12\n".to_owned()).chain((1..60).map(double)).collect();
        let copy = |at: usize| format!("B{at}=${{A}}\n");
        let long = format!("A={}\n", "s".repeat(MAX_BYTES));
        let many: String = std::iter::once(long).chain((1..60).map(copy)).collect();
        for (text, error) in [
            ("A=1\nsecret", "2: there is no `=` after the name"),
            (
                "A=1\nmy-secret=2",
                "2: what stands before the `=` is not the name of a variable: letters, digits, `_` and `.`",
            ),
            (
                "my secret=2",
                "1: what stands before the `=` is not the name of a variable: letters, digits, `_` and `.`",
            ),
            ("my-secret", "1: there is no `=` after the name"),
            ("=secret", "1: the line does not start with the name of a variable"),
            ("1A=secret", "1: the line does not start with the name of a variable"),
            ("\n\nA='secret", "3: the quote is never closed"),
            ("A=\"secret\nB=1\n", "1: the quote is never closed"),
            ("A='secret' more", "1: there is text after the closing quote"),
            ("A=x${secret", "1: `${` without its `}`"),
            (&bomb, "19: the references come to more than 1 MiB"),
            (&many, "9: with this one, the values of the file come to far more than the file"),
            ("A=\"x\ny\"\nB=${se-cret}", "3: `-` cannot follow `${se`"),
        ] {
            assert_eq!(read(text).unwrap_err(), error, "{text:.60}");
        }
    }
}
