//! What the tool records of a file: its statements, cut as the tool's own splitter cuts them.
//!
//! That splitter is no parser. It looks at one character after the other, and where it is wrong (the first `)` ends all
//! parentheses, a `$$` next to a `$` ends a string) so is the row; what runs is cut by [`crate::split`]. These are the
//! rules of version 3; before, it did not know `E''` strings and failed at files in which that matters.

/// The statements of a file, each with the comments around it and without its `;`; empty ones are left out.
pub(super) fn statements(sql: &str) -> Vec<String> {
    let mut statements = Vec::new();
    let mut splitter = Splitter { text: sql, start: 0, lexis: Lexis::Ready, frames: Vec::new() };
    let mut keep = |token: &str| {
        let trimmed = token.trim_end_matches(';').trim_matches(is_javascript_space);
        if !trimmed.is_empty() {
            statements.push(trimmed.to_owned());
        }
    };
    for (at, c) in sql.char_indices() {
        let end = at + c.len_utf8();
        if splitter.ends_statement(c, end) {
            keep(&sql[splitter.start..end]);
            splitter.start = end;
            splitter.lexis = Lexis::Ready;
            splitter.frames.clear();
        }
    }
    keep(&sql[splitter.start..]);
    statements
}

struct Splitter<'s> {
    text: &'s str,
    /// Where the statement starts.
    start: usize,
    lexis: Lexis,
    /// What has been opened and does not let a `;` end the statement, innermost last.
    frames: Vec<Frame>,
}

/// Where in a word, string or comment the splitter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lexis {
    Ready,
    /// Behind a `-`.
    Dash,
    LineComment,
    /// Behind a `/`, or within a comment if the depth is not zero.
    Block {
        depth: usize,
        after_delimiter: bool,
    },
    Quote {
        delimiter: char,
        escapes: bool,
        after: Quoted,
    },
    /// Behind an `E''` string, which goes on in the next line.
    Continued {
        newline: bool,
        dashes: u8,
    },
    /// Behind a `$` at that offset.
    Tag {
        start: usize,
    },
    /// Within a dollar-quoted string whose delimiter stands there.
    Dollar {
        from: usize,
        to: usize,
    },
    /// Behind a backslash.
    Escape,
}

/// What stands right before this place in a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quoted {
    Text,
    Delimiter,
    Backslash,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    Paren,
    /// `BEGIN ATOMIC`: where its current statement starts, whether that has been looked at, and whether an `END` is
    /// right before this place.
    Atomic {
        statement: usize,
        has_content: bool,
        pending_end: bool,
    },
}

impl Splitter<'_> {
    /// Takes a character, which ends at `end`; whether it ends the statement.
    fn ends_statement(&mut self, c: char, end: usize) -> bool {
        let at = end - c.len_utf8();
        if let Some(Frame::Atomic { pending_end: pending @ true, .. }) = self.frames.last_mut() {
            *pending = false;
            if !is_word(c) {
                // The body is over, whatever the character was for it.
                self.frames.pop();
                self.lexis = Lexis::Ready;
            }
        }
        let Some(lexis) = self.next(c, at, end) else { return self.semicolon(end) };
        self.lexis = lexis;
        if lexis == Lexis::Ready {
            self.settle(c, end);
        }
        false
    }

    /// A `;` outside of strings and comments.
    fn semicolon(&mut self, end: usize) -> bool {
        self.lexis = Lexis::Ready;
        match self.frames.last_mut() {
            None => return true,
            Some(Frame::Paren) => {}
            Some(Frame::Atomic { statement, has_content, .. }) => (*statement, *has_content) = (end, false),
        }
        false
    }

    /// Closes what a character closes that left the splitter outside of strings and comments.
    fn settle(&mut self, c: char, end: usize) {
        while self.frames.last() == Some(&Frame::Paren) && c == ')' {
            self.frames.pop();
        }
        let (start, text) = (self.start, self.text);
        let Some(Frame::Atomic { statement, has_content, pending_end }) = self.frames.last_mut() else {
            return;
        };
        if !*has_content && ends_with_word(&text[start..end], "END") {
            *pending_end = is_blank(&text[*statement..end - "END".len()]);
            *has_content = !*pending_end;
        }
    }

    /// What the character leads to; `None` for a `;` that counts.
    fn next(&mut self, c: char, at: usize, end: usize) -> Option<Lexis> {
        match self.lexis {
            Lexis::Ready => self.ready(c, at, end),
            Lexis::Dash if c == '-' => Some(Lexis::LineComment),
            Lexis::Dash => self.ready(c, at, end),
            Lexis::LineComment if is_newline(c) => Some(Lexis::Ready),
            Lexis::LineComment => Some(Lexis::LineComment),
            Lexis::Block { depth, after_delimiter } => {
                let pair =
                    if after_delimiter { "" } else { self.text[..end].get(at - 1..).unwrap_or_default() };
                let (depth, is_delimiter) = match pair {
                    "/*" => (depth + 1, true),
                    "*/" => (depth.saturating_sub(1), true),
                    _ if depth == 0 => return self.ready(c, at, end),
                    _ => (depth, false),
                };
                match depth {
                    0 => Some(Lexis::Ready),
                    _ => Some(Lexis::Block { depth, after_delimiter: is_delimiter }),
                }
            }
            Lexis::Quote { delimiter, escapes, after } => {
                let go_on = |after| Some(Lexis::Quote { delimiter, escapes, after });
                match after {
                    Quoted::Delimiter if c == delimiter => go_on(Quoted::Text),
                    Quoted::Delimiter if escapes => self.continued(c, at, end, false, 0),
                    Quoted::Delimiter => self.ready(c, at, end),
                    Quoted::Backslash => go_on(Quoted::Text),
                    Quoted::Text if escapes && c == '\\' => go_on(Quoted::Backslash),
                    Quoted::Text if c == delimiter => go_on(Quoted::Delimiter),
                    Quoted::Text => go_on(Quoted::Text),
                }
            }
            Lexis::Continued { newline, dashes } => self.continued(c, at, end, newline, dashes),
            Lexis::Tag { start } if c == '$' => Some(Lexis::Dollar { from: start, to: end }),
            Lexis::Tag { start } if is_word(c) => Some(Lexis::Tag { start }),
            Lexis::Tag { .. } => self.ready(c, at, end),
            Lexis::Dollar { from, to } => match self.text[self.start..end].ends_with(&self.text[from..to]) {
                true => Some(Lexis::Ready),
                false => Some(Lexis::Dollar { from, to }),
            },
            Lexis::Escape => Some(Lexis::Ready),
        }
    }

    fn ready(&mut self, c: char, at: usize, end: usize) -> Option<Lexis> {
        let before = &self.text[self.start..at];
        let is_in_word = before.chars().next_back().is_some_and(is_word);
        Some(match c {
            ';' => return None,
            '$' if !is_in_word => Lexis::Tag { start: at },
            '\'' => Lexis::Quote { delimiter: c, escapes: ends_with_word(before, "E"), after: Quoted::Text },
            '"' => Lexis::Quote { delimiter: c, escapes: false, after: Quoted::Text },
            '-' => Lexis::Dash,
            '/' => Lexis::Block { depth: 0, after_delimiter: false },
            '\\' => Lexis::Escape,
            '(' => {
                self.frames.push(Frame::Paren);
                Lexis::Ready
            }
            'c' | 'C' if begins_body(&self.text[self.start..end]) => {
                self.frames.push(Frame::Atomic { statement: end, has_content: false, pending_end: false });
                Lexis::Ready
            }
            _ => Lexis::Ready,
        })
    }

    /// Behind an `E''` string: blanks and comments, and a `'` in another line that goes on with it.
    fn continued(&mut self, c: char, at: usize, end: usize, newline: bool, dashes: u8) -> Option<Lexis> {
        match dashes {
            2 if is_newline(c) => Some(Lexis::Continued { newline: true, dashes: 0 }),
            2 => Some(Lexis::Continued { newline, dashes }),
            _ if c == '-' => Some(Lexis::Continued { newline, dashes: dashes + 1 }),
            0 if is_space(c) => Some(Lexis::Continued { newline: newline || is_newline(c), dashes }),
            0 if newline && c == '\'' => {
                Some(Lexis::Quote { delimiter: c, escapes: true, after: Quoted::Text })
            }
            _ => self.ready(c, at, end),
        }
    }
}

/// Whether a text ends with `BEGIN ATOMIC`, with nothing but blanks between the two.
fn begins_body(text: &str) -> bool {
    ends_with_word(text, "ATOMIC") && {
        let before = &text[..text.len() - "ATOMIC".len()];
        ends_with_word(before.trim_end_matches(is_space), "BEGIN")
    }
}

/// Whether a text ends with that word, in whatever case, and not with a longer one.
fn ends_with_word(text: &str, word: &str) -> bool {
    let Some(at) = text.len().checked_sub(word.len()) else { return false };
    text.get(at..).is_some_and(|end| end.eq_ignore_ascii_case(word))
        && !text[..at].chars().next_back().is_some_and(is_word)
}

/// Whether there is nothing but blanks and comments.
fn is_blank(text: &str) -> bool {
    crate::split::split(text).is_ok_and(|pieces| pieces.is_empty())
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

fn is_newline(c: char) -> bool {
    matches!(c, '\n' | '\r')
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0C' | '\x0B')
}

/// What JavaScript's `trim` takes away, which knows the byte order mark and not U+0085.
fn is_javascript_space(c: char) -> bool {
    c == '\u{feff}' || c.is_whitespace() && c != '\u{85}'
}

#[cfg(test)]
mod tests;
