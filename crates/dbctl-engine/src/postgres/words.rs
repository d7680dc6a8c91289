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

    /// The name it spells, folded as PostgreSQL folds it.
    pub(super) fn name(&self) -> Option<String> {
        match self {
            Self::Word(word) => Some(word.to_lowercase()),
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

    /// Takes the next token where it is that character.
    pub(super) fn eat_mark(&mut self, mark: char) -> bool {
        let before = self.rest;
        let taken = self.next() == Some(Token::Mark(mark));
        if !taken {
            self.rest = before;
        }
        taken
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
}
