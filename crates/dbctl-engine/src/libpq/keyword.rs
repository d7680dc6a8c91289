//! Keyword strings: `host=localhost port=5432 password='with space'`.

use std::{iter::Peekable, str::Chars};

use super::{
    ConnInfoError,
    parameter::{Given, unknown},
};

/// Reads a keyword string as libpq's `conninfo_parse` does. Errors name no value, for it may be part of a password.
pub(super) fn parse(text: &str) -> Result<Given, ConnInfoError> {
    let mut given = Given::default();
    let mut chars = text.chars().peekable();
    let mut after_password = false;
    loop {
        skip_space(&mut chars);
        if chars.peek().is_none() {
            return Ok(given);
        }
        let name = name(&mut chars);
        skip_space(&mut chars);
        if chars.next_if_eq(&'=').is_none() {
            return Err(no_value(after_password));
        }
        skip_space(&mut chars);
        let quoted = chars.next_if_eq(&'\'').is_some();
        let value = if quoted { quoted_value(&mut chars)? } else { plain_value(&mut chars) };
        let refused = given.set(&name, value).is_err();
        if refused && (after_password || !is_name(&name)) {
            return Err(no_value(after_password));
        }
        if refused {
            return Err(unknown(&name));
        }
        after_password = !quoted && name.ends_with("password");
    }
}

fn name(chars: &mut Peekable<Chars<'_>>) -> String {
    std::iter::from_fn(|| chars.next_if(|c| *c != '=' && !c.is_ascii_whitespace())).collect()
}

fn plain_value(chars: &mut Peekable<Chars<'_>>) -> String {
    let mut value = String::new();
    while let Some(c) = chars.next_if(|c| !c.is_ascii_whitespace()) {
        match c {
            '\\' => value.extend(chars.next()),
            c => value.push(c),
        }
    }
    value
}

fn quoted_value(chars: &mut Peekable<Chars<'_>>) -> Result<String, ConnInfoError> {
    let mut value = String::new();
    loop {
        match chars.next() {
            None => {
                return Err(ConnInfoError::new(
                    "a quoted value in the connection string has no closing quote",
                )
                .hint(r"write \' for a quote inside a value"));
            }
            Some('\'') => return Ok(value),
            Some('\\') => value.extend(chars.next()),
            Some(c) => value.push(c),
        }
    }
}

fn skip_space(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(char::is_ascii_whitespace).is_some() {}
}

/// Whether a word can be shown: it looks like a parameter's name rather than like a piece of a password.
fn is_name(word: &str) -> bool {
    (1..=40).contains(&word.len()) && word.chars().all(|c| c.is_ascii_alphabetic() || "_-".contains(c))
}

fn no_value(after_password: bool) -> ConnInfoError {
    if after_password {
        ConnInfoError::new("what follows the password in the connection string is no parameter")
            .hint("put a password with spaces in single quotes: password='…'")
    } else {
        ConnInfoError::new("the connection string is neither a URL nor a list of name=value")
            .hint("write postgresql://user@host:port/database, or host=… port=… user=… dbname=…")
    }
}
