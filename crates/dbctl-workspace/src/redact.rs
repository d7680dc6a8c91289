//! Blanks out passwords that are written in a text.

use std::ops::Range;

/// What stands for a password, whatever its length is.
const HIDDEN: &str = "****";

/// Replaces each literal password: in URLs (`://user:password@`, also where the scheme was forgotten), in keyword strings
/// (`password=…`) and after a YAML key (`password: …`). References such as `${PGPASSWORD}` stay.
pub(crate) fn redact(text: &str) -> String {
    Redacted::of(text).text
}

/// A text without its passwords, and where they were.
pub(crate) struct Redacted {
    pub(crate) text: String,
    /// In the text as it was, in order, and where what stands for each begins.
    hidden: Vec<(Range<usize>, usize)>,
}

impl Redacted {
    pub(crate) fn of(text: &str) -> Self {
        let mut found: Vec<Range<usize>> =
            [url_passwords(text), bare_passwords(text), keyword_passwords(text)].concat();
        found.sort_by_key(|range| range.start);
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for range in found {
            match ranges.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => ranges.push(range),
            }
        }
        let mut redacted = Self { text: String::with_capacity(text.len()), hidden: Vec::new() };
        let mut done = 0;
        for range in ranges {
            redacted.text.push_str(&text[done..range.start]);
            done = range.end;
            let at = redacted.text.len();
            redacted.text.push_str(HIDDEN);
            redacted.hidden.push((range, at));
        }
        redacted.text.push_str(&text[done..]);
        redacted
    }

    /// Where a range of the text as it was is now; with all that stands for a password it begins or ends in.
    pub(crate) fn range(&self, range: Range<usize>) -> Range<usize> {
        self.moved(range.start, 0)..self.moved(range.end, HIDDEN.len())
    }

    fn moved(&self, byte: usize, within: usize) -> usize {
        let before = self.hidden.partition_point(|(hidden, _)| hidden.start < byte);
        match before.checked_sub(1).and_then(|last| self.hidden.get(last)) {
            Some((hidden, at)) if byte < hidden.end => at + within,
            Some((hidden, at)) => at + HIDDEN.len() + (byte - hidden.end),
            None => byte,
        }
    }
}

/// Passwords between `://user:` and the last `@` of the same word or quoted string.
fn url_passwords(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut done = 0;
    for (at, mark) in text.match_indices("://") {
        if at < done {
            continue;
        }
        let start = at + mark.len();
        let end = start + url_end(&text[..at], &text[start..]);
        done = end;
        let url = &text[start..end];
        let Some(host) = url.rfind('@') else { continue };
        let Some(colon) = colon_outside_references(&url[..host]) else { continue };
        found.extend(literals(text, start + colon + 1..start + host));
    }
    found
}

/// Passwords of URLs without their scheme: between `user:` and the last `@` of a word.
fn bare_passwords(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for word in text.split(|c: char| c.is_ascii_whitespace() || "\"'`".contains(c)) {
        let parts = word.rfind('@').and_then(|host| Some((colon_outside_references(&word[..host])?, host)));
        if let Some((colon, host)) = parts
            && !word.contains("://")
        {
            found.extend(literals(text, start + colon + 1..start + host));
        }
        start += word.len() + 1;
    }
    found
}

/// Length of the rest of a URL: up to the quote that it stands in, else up to white space or a quote.
fn url_end(before: &str, rest: &str) -> usize {
    let scheme = before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || "+.-".contains(c));
    match scheme.chars().next_back() {
        Some(quote @ ('"' | '\'' | '`')) => rest.find([quote, '\n']),
        _ => rest.find(char::is_whitespace),
    }
    .unwrap_or(rest.len())
}

/// The first colon that does not belong to a `${NAME:-…}`.
fn colon_outside_references(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' if text[..at].ends_with('$') => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

/// Values of `password=`, `password:` and whatever ends so (`sslpassword`, `PGPASSWORD`).
fn keyword_passwords(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let lower = text.to_ascii_lowercase();
    let mut done = 0;
    for (at, word) in lower.match_indices("password") {
        if at < done {
            continue;
        }
        let after = &text[at + word.len()..];
        let sign = after.trim_start_matches(['"', '\'']).trim_start_matches([' ', '\t']);
        let Some(value) = sign.strip_prefix('=').or_else(|| sign.strip_prefix(": ")) else { continue };
        let value = value.trim_start_matches([' ', '\t']);
        let start = text.len() - value.len();
        let (skip, length) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => (1, value[1..].find([quote, '\n']).unwrap_or(value.len() - 1)),
            _ => (0, unquoted_length(value)),
        };
        done = start + skip + length;
        if &text[start + skip..done] == EXAMPLE {
            continue;
        }
        found.extend(literals(text, start + skip..done));
    }
    found
}

/// What stands for a password where dbctl itself shows how to write one.
const EXAMPLE: &str = "…";

/// Length of a password without quotes: with its blanks, which it should not have, up to the next `name=`, a comment, or
/// the end of what it stands in.
fn unquoted_length(value: &str) -> usize {
    let end = value.find(['\r', '\n', '&', '"', '\'', '`']).unwrap_or(value.len());
    let line = &value[..end];
    let is_blank = |c: char| matches!(c, ' ' | '\t');
    // The first of each run of blanks is enough.
    let blanks = line.match_indices(is_blank).map(|(at, _)| at).filter(|at| !line[..*at].ends_with(is_blank));
    let closed = line.trim_end_matches([' ', '\t', '}', ']', ',']).len();
    let ends = |at: &usize| {
        let next = line[*at..].trim_start_matches([' ', '\t']);
        let word = next.trim_start_matches(|c: char| c.is_ascii_alphabetic() || c == '_');
        let is_parameter = word.len() < next.len() && word.trim_start_matches([' ', '\t']).starts_with('=');
        is_parameter || next.starts_with('#') || *at >= closed
    };
    blanks.into_iter().find(ends).unwrap_or(end)
}

/// The parts of a range that are written out, without the names inside `${…}`.
fn literals(text: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = range.start;
    while let Some(open) = text[from..range.end].find("${") {
        found.push(from..from + open);
        let name = from + open + 2;
        let inside = &text[name..range.end];
        let length = inside.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inside.len());
        from = name + length;
        if text[from..range.end].starts_with('}') {
            from += 1;
        }
    }
    found.push(from..range.end);
    found.retain(|range| !range.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_blanked_out_whatever_their_length_is() {
        for (text, blank) in [
            ("url: postgres://u:secret@h/d", "url: postgres://u:****@h/d"),
            ("url: \"postgres://u:p w'd@h/d\" # x@y", "url: \"postgres://u:****@h/d\" # x@y"),
            ("url: postgres://u:pä@h", "url: postgres://u:****@h"),
            ("url: postgres://u:p/@:#@h/d", "url: postgres://u:****@h/d"),
            ("url: postgres://${USER:-me}:${PW}@h/d", "url: postgres://${USER:-me}:${PW}@h/d"),
            ("url: postgres://u:${PW:-hush}@h/d", "url: postgres://u:${PW****@h/d"),
            ("url: postgres://u:a${PW}b@h/d", "url: postgres://u:****${PW}****@h/d"),
            ("url: ${URL:-postgres://u:pw@h/d}", "url: ${URL:-postgres://u:****@h/d}"),
            ("url: postgres://u@h/d", "url: postgres://u@h/d"),
            ("url: 'u:secret@h/d'", "url: 'u:****@h/d'"),
            ("url: u:${PW}@h/d", "url: u:${PW}@h/d"),
            ("url: u@h/d # a: b@c", "url: u@h/d # a: b@c"),
            (
                "a: {url: 'postgres://u:pw@h/d', b: 'postgres://u:pw@h/d'}",
                "a: {url: 'postgres://u:****@h/d', b: 'postgres://u:****@h/d'}",
            ),
            ("url: host=h password=hush dbname=d", "url: host=h password=**** dbname=d"),
            ("url: \"host=h password='a b' dbname=d\"", "url: \"host=h password='****' dbname=d\""),
            ("url: host=h password = hush", "url: host=h password = ****"),
            ("url: host=h password=sek ret dbname=d", "url: host=h password=**** dbname=d"),
            ("url: host=h password=sek ret  dbname = d", "url: host=h password=****  dbname = d"),
            ("url: host=h password=sek ret # why", "url: host=h password=**** # why"),
            ("a: { url: host=h password=sek ret }", "a: { url: host=h password=**** }"),
            ("url: 'host=h password=a b=c d e'", "url: 'host=h password=**** b=c d e'"),
            ("url: host=h password=sek ${PW} ret", "url: host=h password=****${PW}****"),
            ("put it in quotes: password='…'", "put it in quotes: password='…'"),
            ("url: postgres://h/d?user=u&password=hush&x=y", "url: postgres://h/d?user=u&password=****&x=y"),
            ("url: host=h password=${PW} dbname=d", "url: host=h password=${PW} dbname=d"),
            ("  password: hush", "  password: ****"),
            ("  \"PGPASSWORD\": \"hush\"", "  \"PGPASSWORD\": \"****\""),
            ("the password is wrong", "the password is wrong"),
        ] {
            assert_eq!(redact(text), blank);
        }
    }

    #[test]
    fn places_move_with_the_text() {
        let text = "a: postgres://u:sekret@h b: password=x # c";
        let redacted = Redacted::of(text);
        assert_eq!(redacted.text, "a: postgres://u:****@h b: password=**** # c");
        for (was, is) in [
            ("a", "a"),
            ("b:", "b:"),
            ("@h", "@h"),
            ("# c", "# c"),
            ("sekret", "****"),
            ("ek", "****"),
            ("u:se", "u:****"),
        ] {
            let at = text.find(was).unwrap();
            assert_eq!(&redacted.text[redacted.range(at..at + was.len())], is, "{was}");
        }
        assert_eq!(redacted.range(0..text.len()), 0..redacted.text.len());
    }
}
