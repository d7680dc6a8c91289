//! PostgreSQL's tokens with their places, on top of `squawk-lexer`, which can be resumed behind data that is no SQL.

use std::ops::Range;

use squawk_lexer::{LiteralKind, Token, TokenKind, tokenize};

/// A token and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lexeme {
    pub(super) kind: TokenKind,
    pub(super) range: Range<usize>,
}

impl Lexeme {
    /// Whether PostgreSQL's grammar sees it at all.
    pub(super) fn is_trivia(&self) -> bool {
        matches!(self.kind, TokenKind::Whitespace | TokenKind::LineComment | TokenKind::BlockComment { .. })
    }

    /// What the token is, where it never ends.
    pub(super) fn unterminated(&self) -> Option<&'static str> {
        match self.kind {
            TokenKind::BlockComment { terminated: false } => Some("comment"),
            TokenKind::QuotedIdent { terminated: false, .. } => Some("quoted name"),
            TokenKind::Literal { kind } => match kind {
                LiteralKind::DollarQuotedString { terminated: false } => Some("dollar-quoted string"),
                LiteralKind::Str { terminated: false }
                | LiteralKind::NationalStr { terminated: false }
                | LiteralKind::ByteStr { terminated: false }
                | LiteralKind::BitStr { terminated: false }
                | LiteralKind::UnicodeEscStr { terminated: false }
                | LiteralKind::EscStr { terminated: false } => Some("string"),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The tokens of a script, one at a time, so that a script is never held twice.
pub(super) struct Tokens<'a> {
    sql: &'a str,
    at: usize,
    lexer: Box<dyn Iterator<Item = Token> + 'a>,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(sql: &'a str) -> Self {
        Self { sql, at: 0, lexer: Box::new(tokenize(sql)) }
    }

    /// Goes on at a byte offset; costs nothing however often it is done.
    pub(super) fn skip_to(&mut self, offset: usize) {
        self.at = offset;
        self.lexer = Box::new(tokenize(&self.sql[offset..]));
    }
}

impl Iterator for Tokens<'_> {
    type Item = Lexeme;

    fn next(&mut self) -> Option<Lexeme> {
        let token = self.lexer.next()?;
        let start = self.at;
        self.at += token.len as usize;
        let lexeme = Lexeme { kind: token.kind, range: start..self.at };
        match token.kind {
            // The lexer ends `E'…'` at its first closing quote. PostgreSQL goes on in the same mode where another
            // quote follows after a line break, so that a backslash still escapes there.
            TokenKind::Literal { kind: LiteralKind::EscStr { terminated: true } } => {
                let (end, terminated) = whole_escape_string(self.sql, self.at);
                if end != self.at {
                    self.skip_to(end);
                }
                let kind = TokenKind::Literal { kind: LiteralKind::EscStr { terminated } };
                Some(Lexeme { kind, range: start..end })
            }
            // A `$` that starts neither a parameter nor a dollar quote stands alone; the lexer takes the word behind
            // it along, which hides that `E` in `$E'\''` starts a string.
            TokenKind::PositionalParam { trailing_junk_start: 1 } if token.len > 1 => {
                self.skip_to(start + 1);
                Some(Lexeme { kind: token.kind, range: start..start + 1 })
            }
            _ => Some(lexeme),
        }
    }
}

/// Where an `E'…'` string whose first part ends at `end` really ends, and whether it does.
fn whole_escape_string(sql: &str, mut end: usize) -> (usize, bool) {
    while let Some(quote) = continuation(sql, end) {
        match escape_string_end(sql, quote + 1) {
            Some(after) => end = after,
            None => return (sql.len(), false),
        }
    }
    (end, true)
}

/// The offset of the quote that continues a string which ended at `end`: `{whitespace_with_newline}{quote}` of scan.l.
fn continuation(sql: &str, end: usize) -> Option<usize> {
    let bytes = sql.as_bytes();
    let mut at = end;
    let mut new_line = false;
    loop {
        match bytes.get(at)? {
            b'\n' | b'\r' => {
                new_line = true;
                at += 1;
            }
            b' ' | b'\t' | 0x0b | 0x0c => at += 1,
            b'-' if bytes.get(at + 1) == Some(&b'-') => {
                at += bytes[at..].iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
            }
            b'\'' if new_line => return Some(at),
            _ => return None,
        }
    }
}

/// The offset behind the closing quote of an escape string whose inside starts at `at`.
fn escape_string_end(sql: &str, mut at: usize) -> Option<usize> {
    let bytes = sql.as_bytes();
    loop {
        match bytes.get(at)? {
            b'\\' => at += 2,
            b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 2,
            b'\'' => return Some(at + 1),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<&str> {
        Tokens::new(sql).filter(|token| !token.is_trivia()).map(|token| &sql[token.range]).collect()
    }

    #[test]
    fn tokens_are_those_of_postgresql() {
        let cases: [(&str, &[&str]); 24] = [
            ("select $1", &["select", "$1"]),
            ("$1$$a;b$$", &["$1", "$$a;b$$"]),
            ("a$b$ c", &["a$b$", "c"]),
            ("$tag$ $ $$ $tag $tagg$ $tag$ x", &["$tag$ $ $$ $tag $tagg$ $tag$", "x"]),
            ("$a$ $$a$ x", &["$a$ $$a$", "x"]),
            ("$ä_1$;$ä_1$", &["$ä_1$;$ä_1$"]),
            ("$E'\\'' x", &["$", "E'\\''", "x"]),
            ("@-1", &["@", "-", "1"]),
            ("a <-- b\n c", &["a", "<", "c"]),
            ("a */* b */ c", &["a", "*", "c"]),
            ("/* /* */ ; */ a", &["a"]),
            ("/*/ */ a", &["a"]),
            ("'a' 'b'", &["'a'", "'b'"]),
            ("'a''b\\'", &["'a''b\\'"]),
            ("B'01' X'ff' N'x' n", &["B'01'", "X'ff'", "N'x'", "n"]),
            ("E'\\'' e'\\\\' x", &["E'\\''", "e'\\\\'", "x"]),
            ("E'a' -- c\n 'b\\';' x", &["E'a' -- c\n 'b\\';'", "x"]),
            ("E'a'\n\n'b'\r'c\\'' x", &["E'a'\n\n'b'\r'c\\''", "x"]),
            ("E'a' 'b\\' x", &["E'a'", "'b\\'", "x"]),
            ("E'a' /* \n */ 'b\\' x", &["E'a'", "'b\\'", "x"]),
            ("E'a'\n- 'b\\' x", &["E'a'", "-", "'b\\'", "x"]),
            ("U&\"a\"\";\" U&'a'';' u & 1", &["U&\"a\"\";\"", "U&'a'';'", "u", "&", "1"]),
            ("name'x' namE'\\' y", &["name", "'x'", "namE", "'\\'", "y"]),
            ("-- a\rb", &["b"]),
        ];
        for (sql, expected) in cases {
            assert_eq!(texts(sql), expected, "{sql:?}");
        }
    }

    #[test]
    fn unterminated_tokens_say_what_they_are() {
        let cases = [
            ("'a", "string"),
            ("E'a\\'", "string"),
            ("E'a'\n'b\\'", "string"),
            ("E'a'\n'b\\", "string"),
            ("U&'a", "string"),
            ("b'0", "string"),
            ("x'0", "string"),
            ("n'0", "string"),
            ("\"a\"\"", "quoted name"),
            ("U&\"a", "quoted name"),
            ("$a$ $$ $a", "dollar-quoted string"),
            ("$$", "dollar-quoted string"),
            ("/* /* */", "comment"),
        ];
        for (sql, what) in cases {
            let last = Tokens::new(sql).last().unwrap();
            assert_eq!((last.unterminated(), last.range), (Some(what), 0..sql.len()), "{sql:?}");
        }
    }
}
