//! The first words of a statement, as far as they decide how dbctl runs it.

/// A token of SQL; only what stands at the head of a statement has to be told apart exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A bare word, as it is spelled.
    Word(&'a str),
    /// A quoted name, unquoted.
    Quoted(String),
    /// Any other character.
    Mark(char),
}

impl Token<'_> {
    /// Whether it is that keyword.
    pub(super) fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    /// The name it spells, folded as PostgreSQL folds it: letters of ASCII only, in UTF-8.
    pub(super) fn name(&self) -> Option<String> {
        match self {
            Self::Word(word) => Some(word.to_ascii_lowercase()),
            Self::Quoted(name) => Some(name.clone()),
            Self::Mark(_) => None,
        }
    }
}

/// The tokens of a statement; comments and blanks are passed over.
pub(super) struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    pub(super) fn new(statement: &'a str) -> Self {
        Self { rest: statement }
    }

    /// Takes the next token where it is one of these keywords.
    pub(super) fn eat(&mut self, keywords: &[&str]) -> bool {
        let before = self.rest;
        let taken = self.next().is_some_and(|token| keywords.iter().any(|keyword| token.is(keyword)));
        if !taken {
            self.rest = before;
        }
        taken
    }

    /// Takes the next tokens as long as they are these keywords; `true` where all of them were.
    pub(super) fn eat_all(&mut self, keywords: &[&str]) -> bool {
        keywords.iter().all(|keyword| self.eat(&[keyword]))
    }

    /// Takes the next token where it is that character.
    pub(super) fn eat_mark(&mut self, mark: char) -> bool {
        let before = self.rest;
        let taken = self.next() == Some(Token::Mark(mark));
        if !taken {
            self.rest = before;
        }
        taken
    }

    /// Takes a pair of parentheses with all that stands in it; `false` where none opens here, or it does not close.
    pub(super) fn eat_parentheses(&mut self) -> bool {
        if !self.eat_mark('(') {
            return false;
        }
        let mut depth = 1_usize;
        while depth > 0 {
            self.skip_blanks();
            if let Some(length) = literal(self.rest) {
                self.rest = &self.rest[length..];
                continue;
            }
            match self.next() {
                Some(Token::Mark('(')) => depth += 1,
                Some(Token::Mark(')')) => depth -= 1,
                Some(_) => {}
                None => return false,
            }
        }
        true
    }

    /// What is still to be read; empty where only comments are.
    pub(super) fn remainder(mut self) -> &'a str {
        self.skip_blanks();
        self.rest.trim_end()
    }

    fn skip_blanks(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.starts_with("--") {
                self.rest = self.rest.find('\n').map_or("", |end| &self.rest[end..]);
            } else if self.rest.starts_with("/*") {
                self.rest = &self.rest[comment_end(self.rest)..];
            } else {
                return;
            }
        }
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blanks();
        let first = self.rest.chars().next()?;
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        if first == '"' {
            let (name, length) = quoted(self.rest);
            self.rest = &self.rest[length..];
            return Some(Token::Quoted(name));
        }
        if is_word(first) {
            let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
            let (word, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Some(Token::Word(word));
        }
        self.rest = &self.rest[first.len_utf8()..];
        Some(Token::Mark(first))
    }
}

/// Comments nest in PostgreSQL.
fn comment_end(text: &str) -> usize {
    let (bytes, mut depth, mut at) = (text.as_bytes(), 0_usize, 0);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// How many bytes the string takes that a text begins with; `None` where it begins with none.
fn literal(text: &str) -> Option<usize> {
    let escapes = text.starts_with("E'") || text.starts_with("e'");
    if escapes || text.starts_with('\'') {
        let start = if escapes { 2 } else { 1 };
        let mut chars = text[start..].char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' if escapes => drop(chars.next()),
                '\'' if chars.peek().is_some_and(|(_, next)| *next == '\'') => drop(chars.next()),
                '\'' => return Some(start + at + 1),
                _ => {}
            }
        }
        return Some(text.len());
    }
    let tag = text.strip_prefix('$')?;
    let end = tag.find('$')?;
    let mut name = tag[..end].chars();
    let is_tag = name.next().is_none_or(|c| c.is_alphabetic() || c == '_')
        && name.all(|c| c.is_alphanumeric() || c == '_');
    let quote = &text[..end + 2];
    is_tag.then(|| text[quote.len()..].find(quote).map_or(text.len(), |at| at + 2 * quote.len()))
}

/// A quoted name and how many bytes it takes.
fn quoted(text: &str) -> (String, usize) {
    let mut name = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != '"' {
            name.push(c);
        } else if chars.peek().is_some_and(|(_, next)| *next == '"') {
            chars.next();
            name.push('"');
        } else {
            return (name, at + 1);
        }
    }
    (name, text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_skip_comments_and_unquote_names() {
        let words: Vec<_> = Words::new("BEGIN /* a /* b */ c */ -- d\n \"A \"\"b\"\"\".x;").collect();
        assert_eq!(
            words,
            [
                Token::Word("BEGIN"),
                Token::Quoted("A \"b\"".to_owned()),
                Token::Mark('.'),
                Token::Word("x"),
                Token::Mark(';')
            ]
        );
        assert_eq!(Words::new("/* open").next(), None);
        assert_eq!(Words::new("-- end").next(), None);
        assert_eq!(Words::new("\"open").next(), Some(Token::Quoted("open".to_owned())));
    }

    #[test]
    fn parentheses_are_taken_whole() {
        for (sql, rest) in [
            ("(a, (b)) c", Some("c")),
            ("('a)', 'it''s)', E'\\')' ) c", Some("c")),
            ("($$ ) $$, $x$ $$ ) $x$, $1) c", Some("c")),
            ("(\")\" /* ) */ -- )\n) c", Some("c")),
            ("a (b)", None),
            ("('a)", None),
        ] {
            let mut words = Words::new(sql);
            let taken = words.eat_parentheses().then(|| words.remainder());
            assert_eq!(taken, rest, "{sql}");
        }
    }
}
