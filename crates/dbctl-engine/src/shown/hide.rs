//! Passwords that stand in SQL, or in what a server says about it.

use std::ops::Range;

/// Stars for the characters of passwords: what follows the word `PASSWORD` in quotes, as in `CREATE ROLE`, and what stands
/// in URLs and connection strings. Nothing moves.
pub(crate) fn hide_passwords(text: &str) -> String {
    let mut hidden = in_urls(text);
    after_the_word(text, &mut hidden);
    hidden.sort_by_key(|range| range.start);
    let mut shown = String::with_capacity(text.len());
    let mut done = 0;
    for range in hidden {
        let start = range.start.max(done);
        if range.end > start {
            shown.push_str(&text[done..start]);
            shown.extend(text[start..range.end].chars().map(|c| if c == '\n' { c } else { '*' }));
            done = range.end;
        }
    }
    shown + &text[done..]
}

/// Between `://user:` and the last `@` of a word; to its end where the text was cut there.
fn in_urls(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut done = 0;
    for (at, mark) in text.match_indices("://") {
        let start = at + mark.len();
        if start < done {
            continue;
        }
        let rest = &text[start..];
        let url = &rest[..rest.find(ends_word).unwrap_or(rest.len())];
        done = start + url.len();
        let host = match url.rfind('@') {
            Some(host) => host,
            None if url.ends_with('…') => url.len() - '…'.len_utf8(),
            None => continue,
        };
        if let Some(colon) = url[..host].find(':') {
            found.push(start + colon + 1..start + host);
        }
    }
    found
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\'' | '"' | '`')
}

/// What `PASSWORD` is said to be: a literal that follows; a value after `=` or `:`, unless it is SQL, which sets spaces
/// around it and stands in no quotes.
fn after_the_word(text: &str, found: &mut Vec<Range<usize>>) {
    let lower = text.to_ascii_lowercase();
    let (mut done, mut counted, mut is_quoted) = (0, 0, false);
    for (at, word) in lower.match_indices("password") {
        if at < done {
            continue;
        }
        is_quoted ^= text[counted..at].matches('\'').count() % 2 == 1;
        counted = at;
        let after = &text[at + word.len()..];
        let value = after.trim_start();
        let literal = value.trim_start_matches(['e', 'E']);
        let sign = after.trim_start_matches('"').trim_start().strip_prefix(['=', ':']);
        let (secret, length) = if let Some(secret) = literal.strip_prefix('\'') {
            // A quote directly behind the word closes what it stands in.
            if value.len() == after.len() && is_quoted {
                continue;
            }
            (secret, literal_end(secret))
        } else if let Some(sign) = sign
            && !sign.starts_with(':')
            && (is_quoted || sign.len() + 1 == after.len() && !sign.starts_with(char::is_whitespace))
        {
            setting(sign.trim_start())
        } else {
            continue;
        };
        let start = text.len() - secret.len();
        done = start + length;
        found.push(start..done);
    }
}

/// The value of a setting in a connection string, without its quotes, which may be doubled, and its length.
fn setting(text: &str) -> (&str, usize) {
    for quote in ["''", "'", "\""] {
        if let Some(value) = text.strip_prefix(quote) {
            return (value, value.find(quote).unwrap_or(value.len()));
        }
    }
    (text, text.find(|c| ends_word(c) || matches!(c, '&' | ',')).unwrap_or(text.len()))
}

/// Where a literal ends whose opening quote stands before this text.
fn literal_end(text: &str) -> usize {
    let mut from = 0;
    while let Some(quote) = text[from..].find('\'').map(|at| from + at) {
        if !text[quote + 1..].starts_with('\'') {
            return quote;
        }
        from = quote + 2;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown_and_nothing_moves() {
        for (sql, shown) in [
            ("create role a password 'hush' login", "create role a password '****' login"),
            (
                "ALTER USER a PASSWORD\n  E'it''s' ; select 'x'",
                "ALTER USER a PASSWORD\n  E'*****' ; select 'x'",
            ),
            ("alter role a password 'cut of", "alter role a password '******"),
            (
                "select password, 'x' from t where password = 'y'",
                "select password, 'x' from t where password = 'y'",
            ),
            ("select password::text from t", "select password::text from t"),
            ("select 'password', 'x'", "select 'password', 'x'"),
            ("alter role a password null", "alter role a password null"),
            ("create role ä password 'ü'", "create role ä password '*'"),
            ("options (user 'u', password 'hush')", "options (user 'u', password '****')"),
            ("dblink('postgres://u:hush@h/d', 'x')", "dblink('postgres://u:****@h/d', 'x')"),
            ("dblink('postgres://u:p%40/@#s@h/d?a=b')", "dblink('postgres://u:********@h/d?a=b')"),
            ("a://u:x@h b://h:1/d c://u:y@h", "a://u:*@h b://h:1/d c://u:*@h"),
            ("syntax error at \"p://u:hu…", "syntax error at \"p://u:**…"),
            ("dblink('host=h password=hush dbname=d')", "dblink('host=h password=**** dbname=d')"),
            ("dblink('host=h password = hush')", "dblink('host=h password = ****')"),
            ("dblink('password=''a b'' host=h')", "dblink('password=''***'' host=h')"),
            ("p://h/d?user=u&password=hush&a=b", "p://h/d?user=u&password=****&a=b"),
            (
                "missing \"=\" after \"x\" in \"password=hush x\"",
                "missing \"=\" after \"x\" in \"password=**** x\"",
            ),
            ("values ('{\"password\": \"hush\"}')", "values ('{\"password\": \"****\"}')"),
            ("set PGPASSWORD='ü", "set PGPASSWORD='*"),
        ] {
            assert_eq!(hide_passwords(sql), shown);
        }
    }
}
