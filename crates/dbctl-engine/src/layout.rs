//! How a script meets transactions, decided from its statements alone: as a whole in one, or in units that commit one
//! by one.

use std::{fmt, ops::Range};

use dbctl_migration::{
    Checksum, Script, Transaction,
    split::{Piece, SplitError},
};

use crate::{
    EngineError, Mark, Resume, SqlError, SqlLocation,
    shown::{locate, shown_statement},
};

/// What a server's own SQL says of statements.
pub(crate) struct Grammar {
    /// Cuts a script.
    pub(crate) split: fn(&str) -> Result<Vec<Piece>, SplitError>,
    /// A statement's part in transactions.
    pub(crate) control: fn(&str) -> Control<'_>,
    /// Whether a statement is refused in a transaction, as far as its words tell.
    pub(crate) refuses_transaction: fn(&str) -> bool,
    /// Whether a statement of a script that goes step by step runs outside a transaction.
    pub(crate) alone: fn(&str, Transaction) -> bool,
}

impl fmt::Debug for Grammar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Grammar")
    }
}

/// A script cut into what commits together.
#[derive(Debug)]
pub(crate) struct Layout<'a> {
    pub(crate) script: &'a Script,
    pub(crate) pieces: Vec<Piece>,
    grammar: &'static Grammar,
    /// Of the first so many statements, each computed from the one before it.
    digests: Vec<Checksum>,
    /// In order, and together all pieces.
    pub(crate) units: Vec<Unit>,
    /// Whether the one unit is the whole script, so that its history rows can commit with it.
    pub(crate) whole: bool,
}

/// Statements that commit together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Which pieces.
    pub(crate) pieces: Range<usize>,
    /// Whether it is one statement that runs outside a transaction block.
    pub(crate) alone: bool,
}

/// A statement's part in transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control<'a> {
    /// Its modes, such as `ISOLATION LEVEL …`.
    Begin {
        modes: &'a str,
    },
    Commit {
        chain: bool,
    },
    /// `ROLLBACK` of the whole transaction, or `PREPARE TRANSACTION`.
    Undo,
    /// None.
    None,
}

impl<'a> Layout<'a> {
    /// Splits a script. `stepwise` has it run statement by statement whatever it holds.
    pub(crate) fn cut(
        script: &'a Script,
        stepwise: bool,
        grammar: &'static Grammar,
    ) -> Result<Self, EngineError> {
        refuse_nul(script)?;
        let pieces = (grammar.split)(&script.sql).map_err(|error| unsplit(script, error))?;
        let mut layout =
            Self { script, pieces, grammar, digests: Vec::new(), units: Vec::new(), whole: false };
        layout.refuse_undo()?;
        layout.whole = !stepwise && script.transaction == Transaction::One && layout.fits_one_transaction();
        if !layout.whole {
            layout.digests = layout.chain();
        }
        layout.units =
            if layout.whole { vec![Unit { pieces: 0..layout.len(), alone: false }] } else { layout.steps() };
        Ok(layout)
    }

    /// How many statements there are.
    pub(crate) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// A statement's text, as it is sent.
    pub(crate) fn statement(&self, piece: usize) -> &'a str {
        &self.script.sql[self.pieces[piece].range.clone()]
    }

    /// The line of the first statement that cannot be part of one transaction; `None` where all can.
    pub(crate) fn not_whole(&self) -> Option<usize> {
        let alone = self.units.iter().find(|unit| unit.alone).or(self.units.get(1));
        (!self.whole).then(|| alone.map_or(1, |unit| self.line(unit.pieces.start)))
    }

    /// Sees that a seed is one transaction.
    pub(crate) fn whole_seed(&self) -> Result<(), EngineError> {
        match self.not_whole() {
            None => Ok(()),
            line => Err(EngineError::Seed {
                path: self.script.path.clone(),
                line,
                message: "a seed runs in one transaction, which this statement cannot be part of; otherwise one that \
                          fails halfway would have run in part"
                    .to_owned(),
            }),
        }
    }

    /// A statement's part in transactions.
    pub(crate) fn control<'s>(&self, statement: &'s str) -> Control<'s> {
        (self.grammar.control)(statement)
    }

    fn chain(&self) -> Vec<Checksum> {
        let mut chain = vec![Checksum::of_text("")];
        for Piece { range, copy_data } in &self.pieces {
            let data = copy_data.clone().map_or("", |data| &self.script.sql[data]);
            let before = chain.last().expect("it starts with one");
            // No statement holds a NUL.
            chain.push(Checksum::of_text(&format!("{before}\0{}\0{data}", &self.script.sql[range.clone()])));
        }
        chain
    }

    /// What is recorded of the statements that have run: the first `done`, and the one after them where it was started.
    /// Both are there then, so that whoever resolves a started statement need not know of digests.
    pub(crate) fn digest(&self, done: usize, started: bool) -> String {
        let end = if started { done + 1 } else { done };
        let both = self.digests.get(done..=end).unwrap_or_default();
        both.iter().map(Checksum::as_str).collect::<Vec<_>>().join(" ")
    }

    /// Whether the file still begins with the statements that a digest was made of.
    pub(crate) fn begins_with(&self, resume: &Resume) -> bool {
        let Some(recorded) = &resume.digest else { return resume.done <= self.len() };
        let ran = |count: usize| {
            self.digests.get(count).is_some_and(|now| recorded.split(' ').any(|one| one == now.as_str()))
        };
        ran(resume.done) && (!resume.started || ran(resume.done + 1))
    }

    fn fits_one_transaction(&self) -> bool {
        let all = || (0..self.len()).map(|n| self.statement(n));
        let last = self.len().checked_sub(1);
        let commits: Vec<_> = all()
            .enumerate()
            .filter_map(|(n, statement)| match self.control(statement) {
                Control::Commit { chain } => Some((Some(n), chain)),
                Control::Begin { .. } | Control::Undo | Control::None => None,
            })
            .collect();
        let only_at_the_end = commits.is_empty() || commits == [(last, false)];
        only_at_the_end && !all().any(|statement| (self.grammar.refuses_transaction)(statement))
    }

    /// `BEGIN` … `COMMIT` of the file stays together; every other statement is on its own.
    fn steps(&self) -> Vec<Unit> {
        let mut units = Vec::new();
        let mut open = None;
        for n in 0..self.len() {
            let statement = self.statement(n);
            match self.control(statement) {
                Control::Begin { .. } => {
                    open.get_or_insert(n);
                }
                Control::Commit { chain } => {
                    units.push(Unit { pieces: open.take().unwrap_or(n)..n + 1, alone: false });
                    open = chain.then_some(n + 1);
                }
                Control::Undo | Control::None if open.is_none() => {
                    let alone = (self.grammar.alone)(statement, self.script.transaction);
                    units.push(Unit { pieces: n..n + 1, alone });
                }
                Control::Undo | Control::None => {}
            }
        }
        if let Some(open) = open.filter(|open| *open < self.len()) {
            units.push(Unit { pieces: open..self.len(), alone: false });
        }
        units
    }

    fn refuse_undo(&self) -> Result<(), EngineError> {
        let message = "the file undoes or prepares its own transaction, so it cannot be recorded as applied";
        let hint = "leave the transaction to dbctl; `ROLLBACK TO SAVEPOINT` is fine";
        self.refuse(|statement| self.control(statement) == Control::Undo, "2D000", message, hint)
    }

    pub(crate) fn refuse(
        &self,
        refused: impl Fn(&str) -> bool,
        code: &str,
        message: &str,
        hint: &str,
    ) -> Result<(), EngineError> {
        match (0..self.len()).find(|n| refused(self.statement(*n))) {
            Some(n) => Err(self.complaint(n, code, message.to_owned(), hint.to_owned())),
            None => Ok(()),
        }
    }

    /// What dbctl itself has against a statement.
    pub(crate) fn complaint(&self, piece: usize, code: &str, message: String, hint: String) -> EngineError {
        SqlError {
            statement: Some(shown_statement(self.statement(piece))),
            location: Some(self.location(self.pieces[piece].range.start, Mark::Error)),
            ..SqlError::ours(code, message, hint)
        }
        .into()
    }

    /// Whether a statement stands between the file's own `BEGIN` and `COMMIT`.
    pub(crate) fn in_own_transaction(&self, piece: usize) -> bool {
        let controls = (0..piece).map(|n| self.control(self.statement(n)));
        controls.fold(false, |open, control| match control {
            Control::Begin { .. } => true,
            Control::Commit { chain } => chain,
            Control::Undo | Control::None => open,
        })
    }

    /// The first of these statements that names one of the tables and seems to write, with its place: what a function or a
    /// trigger does shows in no statement.
    pub(crate) fn writer_of(&self, pieces: Range<usize>, tables: &[&str]) -> Option<(String, SqlLocation)> {
        const WRITES: [&[&str]; 2] = [
            &["insert", "update", "delete", "truncate", "drop", "merge", "copy"],
            &["alter", "call", "do", "select"],
        ];
        let words = |text: &str| -> Vec<String> {
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            let words = text.split(|c| !is_part(c)).filter(|word| !word.is_empty());
            words.map(str::to_lowercase).collect()
        };
        let tables: Vec<Vec<String>> = tables.iter().map(|table| words(table)).collect();
        let named: Vec<(usize, Vec<String>)> = pieces
            .map(|piece| (piece, words(self.statement(piece))))
            .filter(|(_, said)| {
                tables.iter().any(|table| said.windows(table.len().max(1)).any(|some| some == &table[..]))
            })
            .collect();
        let writes = |verbs: &[&str]| {
            named.iter().find(|(_, said)| said.iter().any(|word| verbs.contains(&word.as_str())))
        };
        let (piece, _) = WRITES.into_iter().find_map(writes)?;
        let location = self.location(self.pieces[*piece].range.start, Mark::Statement);
        Some((shown_statement(self.statement(*piece)), location))
    }

    /// The line of a statement in its file.
    pub(crate) fn line(&self, piece: usize) -> usize {
        self.location(self.pieces[piece].range.start, Mark::Statement).line
    }

    /// Where a byte of the script is in its file.
    pub(crate) fn location(&self, offset: usize, mark: Mark) -> SqlLocation {
        locate(self.script, offset, mark)
    }
}

/// The servers' protocols and libraries end their texts with NUL.
fn refuse_nul(script: &Script) -> Result<(), EngineError> {
    let Some(offset) = script.sql.find('\0') else { return Ok(()) };
    let message = "the file holds a NUL character, which no statement can hold";
    let location = Some(locate(script, offset, Mark::Error));
    Err(SqlError { location, ..SqlError::ours("22021", message, "save it as UTF-8 text") }.into())
}

fn unsplit(script: &Script, error: SplitError) -> EngineError {
    let SqlLocation { path, line, column, source_line, .. } = locate(script, error.offset(), Mark::Error);
    EngineError::Split { path, line, column, source_line, error }
}
