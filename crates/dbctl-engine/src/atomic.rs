//! All or nothing: what a run over several databases asks of their sessions, and what is left of one that was killed.

use std::fmt;

use async_trait::async_trait;

use crate::{Applier, EngineError, Identity};

/// A session whose work is one transaction. It stays open, and holds its locks, until it is told what becomes of it;
/// closing it before undoes everything.
#[async_trait]
pub trait Atomic: Applier {
    /// Sees that the transaction is still open and that what it has deferred holds, so that nothing but the loss of the
    /// server stands in the way of its commit.
    async fn ready(&mut self) -> Result<(), EngineError>;
    /// Commits, also while the run is being stopped: others may have committed already. The session stays.
    async fn commit(&mut self) -> Result<(), EngineError>;
    /// Holds the run's own lock from now on, for as long as the session lives: whoever gets it knows that the run is
    /// over. To be called before the first transaction is prepared, on the session that will [`Self::decide`]. Gives what
    /// tells the database from others that have had its name or will, [`Gid::incarnation`].
    async fn lead(&mut self) -> Result<u32, EngineError>;
    /// Prepares the transaction: it and its locks outlive the session, and the server.
    async fn prepare_commit(&mut self, gid: &Gid) -> Result<(), EngineError>;
    /// Records that the run's prepared transactions are to be committed; from then on they are, whatever happens. To be
    /// called after all are prepared, with the key and the database of each.
    async fn decide(&mut self, parts: &[Part]) -> Result<(), EngineError>;
    /// Does to the transaction that this session has prepared what was decided.
    async fn conclude(&mut self, gid: &Gid, decision: Decision) -> Result<(), EngineError>;
}

/// One of the transactions that are decided on together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The manifest's key.
    pub key: String,
    /// The database's name.
    pub database: String,
    /// The transaction's name.
    pub gid: Gid,
}

/// What becomes of prepared transactions. Nothing recorded is [`Self::Rollback`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// All are committed.
    Commit,
    /// All are rolled back.
    Rollback,
}

impl Decision {
    /// As it is recorded.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Rollback => "rollback",
        }
    }

    /// Done, in words.
    pub fn done(self) -> &'static str {
        match self {
            Self::Commit => "committed",
            Self::Rollback => "rolled back",
        }
    }
}

/// The name of a prepared transaction. It says where what becomes of it is recorded: nothing within the transaction can be
/// seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gid {
    /// The run's id.
    pub run: String,
    /// Which of the run's transactions, from 1.
    pub part: usize,
    /// The database with the decision.
    pub decided_in: Identity,
    /// Which of those that have its name in turn: PostgreSQL's OID of it.
    pub incarnation: u32,
}

/// The most bytes that PostgreSQL takes for one.
const GID_BYTES: usize = 199;

impl Gid {
    /// The name of one part of a run.
    pub fn new(run: &str, part: usize, decided_in: &Identity, incarnation: u32) -> Result<Self, EngineError> {
        let gid = Self { run: run.to_owned(), part, decided_in: decided_in.clone(), incarnation };
        match gid.to_string().len() {
            ..=GID_BYTES => Ok(gid),
            _ => Err(EngineError::Unsupported(format!(
                "the name of the database {} is too long for --atomic=two-phase",
                decided_in.database
            ))),
        }
    }

    /// Reads one; `None` for what is not dbctl's.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.strip_prefix("dbctl_")?.splitn(5, '_');
        let (run, part) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        let (system, incarnation) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        let database = words.next()?.to_owned();
        Some(Self { run, part, decided_in: Identity { system, database }, incarnation })
    }
}

impl fmt::Display for Gid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, part, decided_in: Identity { system, database }, incarnation } = self;
        write!(f, "dbctl_{run}_{part}_{system}_{incarnation}_{database}")
    }
}

/// A transaction that a run has prepared and not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// Its name.
    pub gid: Gid,
    /// The role that has prepared it, and that has to finish it.
    pub owner: String,
    /// Since when, RFC 3339.
    pub since: String,
}

/// What a database says of prepared transactions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TwoPhase {
    /// How many the server keeps at once.
    pub most: usize,
    /// How many of these are taken, by whomever.
    pub taken: usize,
    /// Those of dbctl's in this database, the oldest first.
    pub open: Vec<Prepared>,
    /// Those of dbctl's in other databases of the server of which is recorded here what becomes of them, each with its
    /// database.
    pub decided_here: Vec<(String, Gid)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_transactions_are_read_as_they_are_written() {
        for (system, database) in
            [("7412345678901234567", "atriz_shared"), ("local:5432@1732182000.5", "ü \"x\" '_'")]
        {
            let decided_in = Identity { system: system.to_owned(), database: database.to_owned() };
            let gid = Gid::new("01a1fd25e8cbe8de4bbb", 3, &decided_in, 16_384).unwrap();
            assert_eq!(Gid::parse(&gid.to_string()), Some(gid));
        }
        for foreign in ["", "dbctl", "dbctl_1", "dbctl_a_b_c_d_e", "dbctl_r_1_s_d", "other_r_1_s_5_d"] {
            assert_eq!(Gid::parse(foreign), None, "{foreign}");
        }
        let long = Identity { system: "s".to_owned(), database: "d".repeat(200) };
        assert!(Gid::new("r", 1, &long, 5).is_err());
    }
}
