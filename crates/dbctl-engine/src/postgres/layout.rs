//! What PostgreSQL's statements mean to a script's layout, and where in it an error of the server's is.

use dbctl_migration::{
    Script, Transaction, quote_ident,
    split::{Piece, refuses_transaction, split},
    text::offset_of_char,
};
use tokio_postgres::error::{DbError, ErrorPosition};

use super::{failure::sql_error, words::Words};
use crate::{
    EngineError, Mark, SqlError,
    layout::{Control, Grammar},
    shown::{hide_passwords, shorten, shown_statement},
};

pub(super) use crate::layout::{Layout, Unit};

static GRAMMAR: Grammar = Grammar {
    split,
    control,
    refuses_transaction: |statement| refuses_transaction(statement).is_some(),
    alone: |statement, transaction| {
        refuses_transaction(statement).is_some()
            || runs_procedures(statement)
            || transaction == Transaction::None && may_refuse_transaction(statement)
    },
};

/// What to do with a piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act<'a> {
    /// Send it.
    Send(&'a str),
    /// Send it and the data after it.
    Copy(&'a str, &'a str),
    /// The file's own `BEGIN` with modes: dbctl has begun already.
    Modes(String),
    /// The file's own `BEGIN` or `COMMIT`: dbctl does that.
    Nothing,
}

impl<'a> Layout<'a> {
    /// Splits a script. `stepwise` has it run statement by statement whatever it holds.
    pub(super) fn of(script: &'a Script, stepwise: bool) -> Result<Self, EngineError> {
        let layout = Self::cut(script, stepwise, &GRAMMAR)?;
        layout.refuse_copy_out()?;
        Ok(layout)
    }

    /// What to do with a piece within a unit.
    pub(super) fn act(&self, piece: usize) -> Act<'a> {
        let statement = self.statement(piece);
        match (control(statement), &self.pieces[piece].copy_data) {
            (Control::Begin { modes: "" } | Control::Commit { .. }, _) => Act::Nothing,
            (Control::Begin { modes }, _) => Act::Modes(format!("SET TRANSACTION {modes}")),
            (Control::Undo | Control::None, Some(data)) => {
                Act::Copy(statement, &self.script.sql[data.clone()])
            }
            (Control::Undo | Control::None, None) => Act::Send(statement),
        }
    }

    /// Whether a query may be out of place before a statement, as before `SET TRANSACTION`; it changes no row, nor
    /// whether rows are counted.
    pub(super) fn precedes_queries(&self, piece: usize) -> bool {
        let mut words = Words::new(self.statement(piece));
        if !words.eat(&["set"]) {
            return !matches!(self.act(piece), Act::Send(_) | Act::Copy(..));
        }
        words.eat(&["local", "session"]);
        words.next().is_some_and(|word| word.name().as_deref() != Some("track_counts"))
    }

    /// Whether a statement only sets the session, so that a later run has to repeat it.
    pub(super) fn sets_session(&self, piece: usize) -> bool {
        let mut words = Words::new(self.statement(piece));
        match words.next() {
            Some(first) if first.is("reset") => true,
            Some(first) if first.is("set") => !words.eat(&["local", "transaction", "constraints"]),
            Some(first) if first.is("select") => {
                // As pg_dump empties the search path; with nothing else in it that could take effect twice.
                let call = words.next().and_then(|word| word.name());
                let call = match call.as_deref() {
                    Some("pg_catalog") => words.nth(1).and_then(|word| word.name()),
                    _ => call,
                };
                call.as_deref() == Some("set_config") && self.statement(piece).matches('(').count() == 1
            }
            _ => false,
        }
    }

    /// Whether nobody can say what a statement left behind once it has failed outside a transaction.
    pub(super) fn leaves_traces(&self, piece: usize) -> bool {
        let statement = self.statement(piece);
        runs_procedures(statement) || statement.to_ascii_lowercase().contains("concurrently")
    }

    /// The rows of a `COPY … TO STDOUT` would have to be read by somebody.
    fn refuse_copy_out(&self) -> Result<(), EngineError> {
        let message = "this COPY sends rows to the client, and there is none to take them";
        let hint = "take it out of the file; rows are copied to where dbctl runs by psql's `\\copy … to 'file'`, \
                    and to a file of the server's by `COPY … TO 'file'`";
        self.refuse(copies_out, "0A000", message, hint)
    }

    /// Refuses what only a session remembers, for a script that has another one for each of its units.
    pub(super) fn refuse_session(&self) -> Result<(), EngineError> {
        let message = "the statements of this file run outside a transaction, and through a pooler each in another \
                       session: what this one sets would not hold for those below it";
        let hint = "keep it in a file that runs in a transaction, set it with `SET LOCAL` in a `BEGIN` and `COMMIT` of \
                    the file's own, or give dbctl a way past the pooler: `direct_url`";
        let remembered =
            (0..self.len()).find(|n| self.sets_session(*n) || kept_in_session(self.statement(*n)));
        match remembered {
            Some(n) => Err(self.complaint(n, "0A000", message.to_owned(), hint.to_owned())),
            None => Ok(()),
        }
    }

    /// What helps a statement that cannot be where the file has it.
    fn misplaced(&self, piece: usize, code: &str) -> Option<String> {
        let sets = |words: &mut Words<'_>| words.eat(&["set"]) && words.eat(&["transaction"]);
        let modes = matches!(control(self.statement(piece)), Control::Begin { .. })
            || sets(&mut Words::new(self.statement(piece)));
        // That of a `SET TRANSACTION` says that it comes too late.
        if !matches!(code, "25001" | "2D000" | "55P04") || modes {
            return None;
        }
        let outside = "put `-- dbctl:no-transaction` at the top of the file";
        match self.in_own_transaction(piece) {
            true => {
                Some(format!("take it out of the file's own BEGIN and COMMIT, or those away, and {outside}"))
            }
            false if self.script.transaction == Transaction::None => None,
            false => Some(outside.to_owned()),
        }
    }

    /// Whether a statement speaks of transactions that only read: `READ ONLY`, or one of the settings.
    fn says_read_only(&self, piece: usize) -> bool {
        let mut words = Words::new(self.statement(piece)).peekable();
        while let Some(word) = words.next() {
            let is_setting = word.name().is_some_and(|name| name.ends_with("transaction_read_only"));
            if is_setting || word.is("read") && words.peek().is_some_and(|word| word.is("only")) {
                return true;
            }
        }
        false
    }

    /// A failure of a statement as a whole, at its start.
    pub(super) fn error_at_start(&self, piece: usize, error: &DbError) -> EngineError {
        let statement = self.statement(piece);
        let location = Some(self.location(self.pieces[piece].range.start, Mark::Statement));
        let shown = Some(shown_statement(statement));
        EngineError::Sql(Box::new(SqlError { statement: shown, location, ..sql_error(error, statement) }))
    }

    /// A refused statement, at the place PostgreSQL names, else at its start.
    pub(super) fn error(&self, piece: usize, error: &DbError) -> EngineError {
        let statement = self.statement(piece);
        let Piece { range, copy_data } = &self.pieces[piece];
        let mut sql = sql_error(error, statement);
        sql.statement = Some(shown_statement(statement));
        if let Some(line) =
            (0..piece).rfind(|piece| self.says_read_only(*piece)).map(|piece| self.line(piece))
            && sql.code == "25006"
        {
            sql.hint = Some(format!(
                "the file itself makes its transactions read-only, in line {line}: take that out, or what it writes"
            ));
        }
        sql.hint = match (sql.hint, self.misplaced(piece, &sql.code)) {
            (Some(hint), Some(mends)) if sql.code == "55P04" => Some(format!("{hint}; or {mends}")),
            (hint, mends) => hint.or(mends),
        };
        sql.location = Some(match (error.position(), copy_data, error.where_().and_then(copy_line)) {
            (Some(ErrorPosition::Original(character)), _, _) => {
                let character = usize::try_from(*character).unwrap_or_default().saturating_sub(1);
                let offset = offset_of_char(statement, character);
                if sql.code == "42601" && sql.hint.is_none() {
                    sql.hint = statement.get(offset..).and_then(placeholder).map(unfilled);
                }
                self.location(range.start + offset, Mark::Error)
            }
            (Some(ErrorPosition::Internal { query, .. }), _, _) => {
                let within = format!("in the query: {}", hide_passwords(&shorten(query)));
                sql.context = Some(
                    sql.context.map_or_else(|| within.clone(), |context| format!("{context}\n{within}")),
                );
                self.location(range.start, Mark::Statement)
            }
            (None, Some(data), Some(line)) => {
                let lines = self.script.sql[data.clone()].split_inclusive('\n');
                let before: usize = lines.take(line.saturating_sub(1)).map(str::len).sum();
                self.location(data.start + before, Mark::Error)
            }
            (None, _, _) => self.location(range.start, Mark::Statement),
        });
        EngineError::Sql(Box::new(sql))
    }

    /// A failure that belongs to the file as a whole, such as that of its `COMMIT`: at its last statement.
    pub(super) fn error_at_end(&self, error: &DbError, sql: &str) -> EngineError {
        match self.len().checked_sub(1) {
            Some(last) => self.error_at_start(last, error),
            None => EngineError::Sql(Box::new(sql_error(error, sql))),
        }
    }
}

/// What other tools fill in, at the start of this text: `${name}` of the shell and of many runners, `:name`, `:'name'` and
/// `:"name"` of psql, `{{name}}` of templates.
fn placeholder(text: &str) -> Option<&str> {
    let within = |before: &str, after: &str| {
        let rest = text.strip_prefix(before)?;
        let name = rest.find(after)?;
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
        let fits = name > 0 && rest[..name].chars().all(is_name);
        fits.then(|| &text[..before.len() + name + after.len()])
    };
    let bare = || {
        let name = text.strip_prefix(':')?;
        let length = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
        let begins = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
        begins.then(|| &text[..1 + length])
    };
    within("${", "}")
        .or_else(|| within("{{", "}}"))
        .or_else(|| within(":'", "'"))
        .or_else(|| within(":\"", "\""))
        .or_else(bare)
}

fn unfilled(placeholder: &str) -> String {
    format!(
        "`{placeholder}` looks like a placeholder, and dbctl fills in none: write what it stands for; a value that differs \
         from one database to the next can be one of the `settings` in the manifest, which SQL reads by \
         `current_setting('app.name')`"
    )
}

/// The line of a `COPY`'s data that PostgreSQL's context names: `COPY t, line 3, column x: "y"`, in any language.
pub(super) fn copy_line(context: &str) -> Option<usize> {
    let line = context.lines().find(|line| line.starts_with("COPY "))?;
    line.split(", ").skip(1).find_map(|part| {
        let digits: String =
            part.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    })
}

fn control(statement: &str) -> Control<'_> {
    let mut words = Words::new(statement);
    let Some(first) = words.next() else { return Control::None };
    let is = |keywords: &[&str]| keywords.iter().any(|keyword| first.is(keyword));
    if is(&["begin"]) {
        words.eat(&["work", "transaction"]);
        return Control::Begin { modes: words.remainder() };
    }
    if is(&["start"]) && words.eat(&["transaction"]) {
        return Control::Begin { modes: words.remainder() };
    }
    if is(&["prepare"]) && words.eat(&["transaction"]) {
        return Control::Undo;
    }
    if is(&["commit", "end", "rollback", "abort"]) {
        words.eat(&["work", "transaction"]);
        if words.eat(&["to", "prepared"]) {
            return Control::None;
        }
        let chain = words.eat(&["and"]) && words.eat(&["chain"]);
        return if is(&["commit", "end"]) { Control::Commit { chain } } else { Control::Undo };
    }
    Control::None
}

/// Whether a statement may end transactions of its own: `CALL`, and a `DO` whose text speaks of it.
fn runs_procedures(statement: &str) -> bool {
    match Words::new(statement).next() {
        Some(first) if first.is("call") => true,
        Some(first) if first.is("do") => {
            Words::new(statement).any(|word| word.is("commit") || word.is("rollback"))
        }
        _ => false,
    }
}

/// Whether the server may refuse a statement in a transaction by what it is about: `REINDEX` and `CLUSTER` of a table
/// with partitions.
fn may_refuse_transaction(statement: &str) -> bool {
    Words::new(statement).next().is_some_and(|first| first.is("reindex") || first.is("cluster"))
}

/// Whether a statement is a `COPY` to the client; `STDIN` says the same there.
fn copies_out(statement: &str) -> bool {
    let mut words = Words::new(statement);
    if !words.eat(&["copy"]) {
        return false;
    }
    if !words.eat_parentheses() {
        words.eat(&["binary"]);
        words.next();
        while words.eat_mark('.') {
            words.next();
        }
        words.eat_parentheses();
    }
    words.eat(&["to"]) && words.eat(&["stdout", "stdin"])
}

/// A statement that the server refuses for the same reasons as a `COPY … FROM stdin`: its table, columns, rights, and
/// locks. Nothing is inserted.
pub(super) fn copy_check(statement: &str) -> Option<String> {
    let mut words = Words::new(statement);
    if !words.eat(&["copy"]) {
        return None;
    }
    let mut table = quote_ident(&words.next()?.name()?);
    if words.eat_mark('.') {
        table = format!("{table}.{}", quote_ident(&words.next()?.name()?));
    }
    let mut columns = Vec::new();
    if words.eat_mark('(') {
        loop {
            columns.push(quote_ident(&words.next()?.name()?));
            if !words.eat_mark(',') {
                break;
            }
        }
        if !words.eat_mark(')') {
            return None;
        }
    }
    words.eat(&["from"]).then(|| insert_check(&table, &columns))
}

/// Whether a statement makes what is gone with the session: temporary tables, prepared statements, and the like.
fn kept_in_session(statement: &str) -> bool {
    let mut words = Words::new(statement);
    if words.eat(&["create"]) {
        if words.eat(&["or"]) {
            words.next();
        }
        words.eat(&["local", "global"]);
        return words.eat(&["temp", "temporary"]);
    }
    words.eat(&["prepare", "listen", "load"])
}

/// [`copy_check`] of a table and its columns, quoted.
pub(super) fn insert_check(table: &str, columns: &[String]) -> String {
    match columns {
        [] => format!("EXPLAIN INSERT INTO {table} DEFAULT VALUES"),
        columns => {
            let defaults = vec!["DEFAULT"; columns.len()];
            format!("EXPLAIN INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), defaults.join(", "))
        }
    }
}

#[cfg(test)]
mod tests;
